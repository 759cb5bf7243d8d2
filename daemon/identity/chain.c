/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Chain, see chain.h. What is kept is DER: every user imports what it needs from it.
 */

#include "identity/chain.h"
#include "base/fault.h"
#include "identity/certificate.h"

#include <errno.h>
#include <gnutls/abstract.h>
#include <stdbool.h>

/* PEM of a chain at its limit, with the text that openssl puts between the blocks */
#define CHAIN_INPUT_MAX (8 * CHAIN_BYTES_MAX)

struct Chain {
        grefcount n_refs;
        GPtrArray *ders;
        GBytes *spki;
};

const char *chain_outcome_text(ChainOutcome outcome) {
        switch (outcome) {
        case CHAIN_E_EMPTY:
                return "there is no certificate in the chain";
        case CHAIN_E_NOT_CERTIFICATE:
                return "not a certificate in PEM or DER, or a damaged one";
        case CHAIN_E_TOO_LONG:
                return "a certificate chain has 16 certificates at most, and 64 KiB";
        case CHAIN_E_DISORDERED:
                return "a certificate of the chain did not issue the one before it";
        }

        g_assert_not_reached();
}

static size_t chain_size(const GPtrArray *blobs) {
        size_t size = 0;

        for (size_t i = 0; i < blobs->len; i++)
                size += g_bytes_get_size(blobs->pdata[i]);

        return size;
}

static int chain_read(const GPtrArray *blobs, GPtrArray *ders, GPtrArray *certificates) {
        if (chain_size(blobs) > CHAIN_INPUT_MAX)
                return CHAIN_E_TOO_LONG;

        for (size_t i = 0; i < blobs->len; i++) {
                int r = certificate_split(blobs->pdata[i], CHAIN_LENGTH_MAX, ders, certificates);

                if (r < 0)
                        return fault(r);
                if (r > 0)
                        return r == CERTIFICATE_E_MALFORMED ? CHAIN_E_NOT_CERTIFICATE
                                                            : CHAIN_E_TOO_LONG;
        }

        if (ders->len == 0)
                return CHAIN_E_EMPTY;

        return chain_size(ders) > CHAIN_BYTES_MAX ? CHAIN_E_TOO_LONG : 0;
}

static int chain_check_order(const GPtrArray *certificates) {
        for (size_t i = 1; i < certificates->len; i++)
                if (!gnutls_x509_crt_check_issuer(certificates->pdata[i - 1],
                                                  certificates->pdata[i]))
                        return CHAIN_E_DISORDERED;

        return 0;
}

/* As GnuTLS writes the key, not as it lies in the certificate: what it is compared with comes from
 * a private key and is written the same way. */
static int chain_read_spki(gnutls_x509_crt_t leaf, GBytes **ret) {
        gnutls_pubkey_t key;
        gnutls_datum_t spki;
        int r;

        if (gnutls_pubkey_init(&key) < 0)
                return fault(-ENOMEM);

        r = gnutls_pubkey_import_x509(key, leaf, 0);
        if (r >= 0)
                r = gnutls_pubkey_export2(key, GNUTLS_X509_FMT_DER, &spki);
        gnutls_pubkey_deinit(key);
        if (r < 0)
                return CHAIN_E_NOT_CERTIFICATE; /* a key of a kind that nobody here knows */

        *ret = g_bytes_new_with_free_func(spki.data, spki.size, gnutls_free, spki.data);
        return 0;
}

int chain_new(GPtrArray *blobs, Chain **ret) {
        g_autoptr(GPtrArray) certificates = certificate_array_new();
        g_autoptr(Chain) chain = g_new0(Chain, 1);
        int r;

        g_ref_count_init(&chain->n_refs);
        chain->ders = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);

        r = chain_read(blobs, chain->ders, certificates);
        if (r)
                return r;

        r = chain_check_order(certificates);
        if (r)
                return r;

        r = chain_read_spki(certificates->pdata[0], &chain->spki);
        if (r)
                return r;

        *ret = g_steal_pointer(&chain);
        return 0;
}

Chain *chain_ref(Chain *chain) {
        g_ref_count_inc(&chain->n_refs);
        return chain;
}

Chain *chain_unref(Chain *chain) {
        if (!chain || !g_ref_count_dec(&chain->n_refs))
                return NULL;

        g_ptr_array_unref(chain->ders);
        g_bytes_unref(chain->spki);
        g_free(chain);
        return NULL;
}

size_t chain_count(const Chain *chain) {
        return chain->ders->len;
}

GBytes *chain_der(const Chain *chain, size_t i) {
        g_assert(i < chain->ders->len);

        return chain->ders->pdata[i];
}

GBytes *chain_spki(const Chain *chain) {
        return chain->spki;
}
