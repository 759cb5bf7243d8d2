/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * capture: what the test itself writes to standard error between begin and end, as text.
 */

void capture_begin(void);
/* To be freed. */
char *capture_end(void);
