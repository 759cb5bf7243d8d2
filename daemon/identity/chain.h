/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Chain: certificates as they were given, leaf first. Immutable, counted.
 *
 * Knows: X.509, PEM, DER. Does not know: private keys, trust, sessions.
 */

#include <glib.h>
#include <stddef.h>

#define CHAIN_LENGTH_MAX 16                 /* longer chains than this are a mistake or an attack */
#define CHAIN_BYTES_MAX ((size_t)64 * 1024) /* all of it in DER */

typedef struct Chain Chain;

typedef enum ChainOutcome {
        CHAIN_E_EMPTY = 1,       /* no certificate in it */
        CHAIN_E_NOT_CERTIFICATE, /* neither PEM nor DER of a certificate, or a damaged one */
        CHAIN_E_TOO_LONG,        /* over CHAIN_LENGTH_MAX or CHAIN_BYTES_MAX, or a certificate is
                                    over 16 KiB */
        CHAIN_E_DISORDERED,      /* a certificate did not issue the one before it */
} ChainOutcome;

const char *chain_outcome_text(ChainOutcome outcome);

/* @blobs: GBytes, each PEM (one certificate or several) or the DER of one. */
int chain_new(GPtrArray *blobs, Chain **ret);
Chain *chain_ref(Chain *chain);
Chain *chain_unref(Chain *chain);

size_t chain_count(const Chain *chain);
GBytes *chain_der(const Chain *chain, size_t i); /* borrowed */

/* The leaf's SubjectPublicKeyInfo in DER: what a key is compared with. Borrowed. */
GBytes *chain_spki(const Chain *chain);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Chain, chain_unref)
