/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Host: the name of a host, in the one spelling by which names are compared: a numeric address as
 * it is formatted, without a scope, which is this machine's; or a DNS name in small letters without
 * the dot at its end.
 */

#define HOST_MAX 253 /* letters; RFC 1035 */

/* To be freed; NULL: @text is no host's name. */
char *host_normal(const char *text);
