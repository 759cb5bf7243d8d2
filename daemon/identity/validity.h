/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Validity: which of a certificate's two dates is no date. GnuTLS refuses the whole certificate
 * then, and does not say which it was; QSslError has a name for each.
 *
 * Knows: so much DER as leads to the dates. Does not know: whether a date is past.
 */

#include <glib.h>
#include <stdbool.h>

typedef struct Validity {
        bool begin_is_bad; /* notBefore */
        bool end_is_bad;   /* notAfter */
} Validity;

/* Neither, when @der is not even so much of a certificate that it has dates. */
Validity validity_look(GBytes *der);
