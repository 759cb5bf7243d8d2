/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Pem: the blocks of a text that are of one kind.
 *
 * Strict: a block of another kind, a block without an end and a NUL are mistakes to be told. Text
 * between the blocks is not.
 */

#include <glib.h>
#include <stddef.h>

typedef enum PemOutcome {
        PEM_E_MALFORMED = 1, /* no block, a damaged one, or one of another kind */
        PEM_E_TOO_MANY,      /* more than were asked for */
} PemOutcome;

/* Appends what is in each block of @label ("CERTIFICATE"), at least one, until @ders holds @n_max.
 * On failure @ders may have grown. */
int pem_split(GBytes *blob, const char *label, size_t n_max, GPtrArray *ders);
/* A block of what is in @der, behind what is in @text. */
int pem_append(GByteArray *text, const char *label, GBytes *der);
