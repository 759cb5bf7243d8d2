/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Facts: what people want to know of a certificate, as text and numbers.
 *
 * Knows: X.509. Does not know: whether any of it is true.
 */

#include <glib.h>
#include <stdint.h>

typedef struct Facts {
        char *subject;           /* as RFC 4514 writes it; never NULL; printable UTF-8 */
        uint64_t not_after_usec; /* of the wall clock; 0: not known; UINT64_MAX: never */
        const char *key_type;    /* "ECDSA", "RSA", …; "" : not known */
} Facts;

/* Of what is no certificate nothing is known. */
Facts facts_look(GBytes *der);
/* A distinguished name, likewise as text; "": it is none. */
char *facts_name(GBytes *der);
void facts_done(Facts *facts);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Facts, facts_done)
