/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * RevocationText: denied certificates and revocation lists as they are kept and handed over: the
 * hashes, a line each, then the lists in PEM.
 */

#include "identity/revocations.h"

#define REVOCATION_TEXT_MAX ((size_t)256 * 1024)

/* RevocationsOutcome. @blobs: of GBytes, PEM or DER. @denied: of text, as in a deny list. What is
 * in the lists is looked at when it is read. */
int revocation_text_new(GPtrArray *blobs, GPtrArray *denied, GBytes **ret);
/* An empty one is REVOCATIONS_E_MALFORMED. */
int revocation_text_read(GBytes *text, Revocations **ret);
