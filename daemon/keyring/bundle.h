/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Bundle: a PKCS#12 file: one private key, its certificate and those that issued it. Whoever made
 * the file says how much work its passphrase is, so that is looked at before any of it is done.
 *
 * Knows: PKCS#12. Does not know: whose it is, the disk.
 */

#include "identity/chain.h"
#include "keyring/private-key.h"

typedef enum BundleOutcome {
        BUNDLE_E_BAD = 1, /* the file or its passphrase; the text says in what way */
} BundleOutcome;

/* @passphrase: NULL: an empty one. In any thread. @ret_chain: the key's certificate first, in the
 * order in which they issued each other; others are left out. @ret_text: for people; static. */
int bundle_read(const Secret *file, const Secret *passphrase, Chain **ret_chain,
                PrivateKey **ret_key, const char **ret_text);
