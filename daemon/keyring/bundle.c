/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Bundle, see bundle.h. */

#include "keyring/bundle.h"

#include "base/fault.h"

#include <errno.h>
#include <gnutls/pkcs12.h>
#include <stdbool.h>
#include <string.h>

#define BUNDLE_CERTIFICATES_MAX 64 /* a chain and as many that do not belong to it */

typedef struct Bundle {
        gnutls_pkcs12_t file;
        const Secret *passphrase; /* NULL: an empty one */
        Secret *password;         /* the same, with the NUL that GnuTLS wants */
        unsigned rounds_left;
        Secret *key; /* PKCS#8, DER */
        bool key_is_encrypted;
        GPtrArray *certificates; /* GBytes, DER, in no order */
} Bundle;

static void bundle_done(Bundle *bundle) {
        if (bundle->file)
                gnutls_pkcs12_deinit(bundle->file);
        secret_free(bundle->password);
        secret_free(bundle->key);
        g_ptr_array_unref(bundle->certificates);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Bundle, bundle_done)

static const char *bundle_password(const Bundle *bundle) {
        return (const char *)secret_peek(bundle->password);
}

/* ---- passphrases ---- */

static const char *bundle_refusal(const Bundle *bundle, int gnutls_code) {
        switch (gnutls_code) {
        case GNUTLS_E_MAC_VERIFY_FAILED:
        case GNUTLS_E_DECRYPTION_FAILED:
                return bundle->passphrase ? "the passphrase is not that of the PKCS#12 file"
                                          : "the PKCS#12 file is encrypted; give its passphrase";
        case GNUTLS_E_UNKNOWN_CIPHER_TYPE:
        case GNUTLS_E_UNKNOWN_HASH_ALGORITHM:
        case GNUTLS_E_UNKNOWN_ALGORITHM:
                return "the PKCS#12 file is encrypted in a way that is not supported; make it as "
                       "openssl pkcs12 -export does";
        default:
                return "the PKCS#12 file is damaged";
        }
}

/* @gnutls_code: of asking how many rounds there are; when that cannot be told, none is made. */
static const char *bundle_spend(Bundle *bundle, int gnutls_code, unsigned n_rounds) {
        if (gnutls_code < 0)
                return bundle_refusal(bundle, gnutls_code);
        if (n_rounds > bundle->rounds_left)
                return "the passphrase of the PKCS#12 file takes more than a million rounds to try";

        bundle->rounds_left -= n_rounds;
        return NULL;
}

static const char *bundle_check_mac(Bundle *bundle) {
        unsigned n_rounds = 0;
        const char *text;
        int r;

        r = gnutls_pkcs12_mac_info(bundle->file, NULL, NULL, NULL, &n_rounds, NULL);
        if (r == GNUTLS_E_INVALID_REQUEST) /* it has none, as PEM has none */
                return NULL;

        text = bundle_spend(bundle, r, n_rounds);
        if (text)
                return text;

        r = gnutls_pkcs12_verify_mac(bundle->file, bundle_password(bundle));
        return r < 0 ? bundle_refusal(bundle, r) : NULL;
}

static const char *bundle_decrypt(Bundle *bundle, gnutls_pkcs12_bag_t bag) {
        unsigned n_rounds = 0;
        const char *text;
        int r;

        r = gnutls_pkcs12_bag_enc_info(bag, NULL, NULL, NULL, NULL, &n_rounds, NULL);
        text = bundle_spend(bundle, r, n_rounds);
        if (text)
                return text;

        r = gnutls_pkcs12_bag_decrypt(bag, bundle_password(bundle));
        return r < 0 ? bundle_refusal(bundle, r) : NULL;
}

/* ---- what is in it ---- */

static const char *bundle_take_key(Bundle *bundle, const gnutls_datum_t *der, bool is_encrypted) {
        unsigned n_rounds = 0;
        int r = 0;

        if (bundle->key)
                return "the PKCS#12 file has more than one private key; make a file of each";

        bundle->key = secret_new(der->data, der->size);
        bundle->key_is_encrypted = is_encrypted;
        if (is_encrypted)
                r = gnutls_pkcs8_info(der, GNUTLS_X509_FMT_DER, NULL, NULL, NULL, NULL, &n_rounds,
                                      NULL);
        return bundle_spend(bundle, r, n_rounds);
}

static const char *bundle_take_certificate(Bundle *bundle, const gnutls_datum_t *der) {
        if (bundle->certificates->len >= BUNDLE_CERTIFICATES_MAX)
                return "the PKCS#12 file has more than 64 certificates";

        g_ptr_array_add(bundle->certificates, g_bytes_new(der->data, der->size));
        return NULL;
}

static const char *bundle_take(Bundle *bundle, gnutls_pkcs12_bag_t bag, unsigned i) {
        gnutls_datum_t der = {NULL, 0};
        int type = gnutls_pkcs12_bag_get_type(bag, i);

        if (type < 0 || gnutls_pkcs12_bag_get_data(bag, i, &der) < 0)
                return bundle_refusal(bundle, type);

        switch (type) {
        case GNUTLS_BAG_PKCS8_KEY:
        case GNUTLS_BAG_PKCS8_ENCRYPTED_KEY:
                return bundle_take_key(bundle, &der, type == GNUTLS_BAG_PKCS8_ENCRYPTED_KEY);
        case GNUTLS_BAG_CERTIFICATE:
                return bundle_take_certificate(bundle, &der);
        default:
                return NULL; /* revocation lists, secrets of other kinds */
        }
}

static const char *bundle_take_bag(Bundle *bundle, gnutls_pkcs12_bag_t bag) {
        const char *text = NULL;
        int n;

        if (gnutls_pkcs12_bag_get_type(bag, 0) == GNUTLS_BAG_ENCRYPTED)
                text = bundle_decrypt(bundle, bag);

        n = gnutls_pkcs12_bag_get_count(bag);
        for (int i = 0; i < n && !text; i++)
                text = bundle_take(bundle, bag, (unsigned)i);
        return text;
}

static const char *bundle_take_all(Bundle *bundle) {
        const char *text = NULL;

        for (int i = 0; !text; i++) {
                gnutls_pkcs12_bag_t bag;
                int r;

                if (gnutls_pkcs12_bag_init(&bag) < 0)
                        return "there is no memory for the PKCS#12 file";

                r = gnutls_pkcs12_get_bag(bundle->file, i, bag);
                if (r >= 0)
                        text = bundle_take_bag(bundle, bag);
                else if (r != GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
                        text = bundle_refusal(bundle, r);
                gnutls_pkcs12_bag_deinit(bag);
                if (r < 0)
                        return text;
        }

        return text;
}

static const char *bundle_open(Bundle *bundle, const Secret *file) {
        gnutls_datum_t data = {(unsigned char *)secret_peek(file), (unsigned)secret_size(file)};
        const char *text;

        if (gnutls_pkcs12_init(&bundle->file) < 0)
                return "there is no memory for the PKCS#12 file";
        if (gnutls_pkcs12_import(bundle->file, &data, GNUTLS_X509_FMT_DER, 0) < 0)
                return "not a PKCS#12 file";

        text = bundle_check_mac(bundle);
        if (!text)
                text = bundle_take_all(bundle);
        if (!text && !bundle->key)
                text = "the PKCS#12 file has no private key";
        return text;
}

/* ---- its chain ---- */

/* The certificate of the key; NULL: it is not there. */
static GBytes *bundle_find_leaf(const Bundle *bundle, GBytes *spki) {
        for (guint i = 0; i < bundle->certificates->len; i++) {
                g_autoptr(GPtrArray) alone = g_ptr_array_new();
                g_autoptr(Chain) chain = NULL;

                g_ptr_array_add(alone, bundle->certificates->pdata[i]);
                if (chain_new(alone, &chain) == 0 && g_bytes_equal(chain_spki(chain), spki))
                        return bundle->certificates->pdata[i];
        }

        return NULL;
}

static bool bundle_is_issuer(GBytes *certificate, GBytes *issuer) {
        g_autoptr(GPtrArray) both = g_ptr_array_new();
        g_autoptr(Chain) chain = NULL;

        g_ptr_array_add(both, certificate);
        g_ptr_array_add(both, issuer);
        return chain_new(both, &chain) == 0;
}

/* Who issued it; NULL: that one is not there, or it is its own. */
static GBytes *bundle_find_issuer(const Bundle *bundle, GBytes *certificate) {
        if (bundle_is_issuer(certificate, certificate))
                return NULL;

        for (guint i = 0; i < bundle->certificates->len; i++)
                if (bundle_is_issuer(certificate, bundle->certificates->pdata[i]))
                        return bundle->certificates->pdata[i];

        return NULL;
}

static int bundle_chain(const Bundle *bundle, GBytes *spki, Chain **ret, const char **ret_text) {
        g_autoptr(GPtrArray) ders = g_ptr_array_new();
        GBytes *certificate = bundle_find_leaf(bundle, spki);
        int r;

        if (!certificate) {
                *ret_text = "no certificate in the PKCS#12 file is that of its private key";
                return BUNDLE_E_BAD;
        }

        /* two that issued each other have no end: such a chain is too long */
        while (certificate && ders->len <= CHAIN_LENGTH_MAX) {
                g_ptr_array_add(ders, certificate);
                certificate = bundle_find_issuer(bundle, certificate);
        }

        r = chain_new(ders, ret);
        if (r > 0)
                *ret_text = chain_outcome_text((ChainOutcome)r);
        return r > 0 ? BUNDLE_E_BAD : r;
}

/* ---- the whole ---- */

static void bundle_init(Bundle *bundle, const Secret *passphrase) {
        size_t size = passphrase ? secret_size(passphrase) : 0;

        *bundle = (Bundle){.passphrase = passphrase, .rounds_left = PRIVATE_KEY_ITERATIONS_MAX};
        bundle->password = secret_new_zero(size + 1);
        if (passphrase)
                memcpy(secret_data(bundle->password), secret_peek(passphrase), size);
        bundle->certificates = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
}

int bundle_read(const Secret *file, const Secret *passphrase, Chain **ret_chain,
                PrivateKey **ret_key, const char **ret_text) {
        g_autoptr(PrivateKey) key = NULL;
        g_auto(Bundle) bundle = {0};
        const char *text;
        int r;

        bundle_init(&bundle, passphrase);
        text = bundle_open(&bundle, file);
        if (text) {
                *ret_text = text;
                return BUNDLE_E_BAD;
        }

        r = private_key_read(bundle.key, bundle.key_is_encrypted ? bundle.password : NULL, &key,
                             ret_text);
        if (r == 0)
                r = bundle_chain(&bundle, private_key_spki(key), ret_chain, ret_text);
        if (r)
                return r > 0 ? BUNDLE_E_BAD : fault(r);

        *ret_key = g_steal_pointer(&key);
        return 0;
}
