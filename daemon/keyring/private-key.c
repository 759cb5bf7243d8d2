/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * PrivateKey, see private-key.h. What is refused is refused when it is read, where somebody sees
 * the text: a key that would fail in the middle of a handshake helps nobody.
 */

#include "keyring/private-key.h"

#include "base/fault.h"

#include <errno.h>
#include <gnutls/x509.h>
#include <stdbool.h>
#include <string.h>

struct PrivateKey {
        grefcount n_refs;
        gnutls_privkey_t private;
        Token *token; /* where it is instead; NULL: in memory */
        gnutls_pk_algorithm_t algorithm;
        GBytes *spki;
};

static PrivateKey *private_key_new(void) {
        PrivateKey *key = g_new0(PrivateKey, 1);

        g_ref_count_init(&key->n_refs);
        return key;
}

PrivateKey *private_key_ref(PrivateKey *key) {
        g_ref_count_inc(&key->n_refs);
        return key;
}

PrivateKey *private_key_unref(PrivateKey *key) {
        if (!key || !g_ref_count_dec(&key->n_refs))
                return NULL;

        if (key->private)
                gnutls_privkey_deinit(key->private); /* wipes its numbers */
        token_free(key->token);
        if (key->spki)
                g_bytes_unref(key->spki);
        g_free(key);
        return NULL;
}

/* ---- reading ---- */

static const char *private_key_parse_refusal(int gnutls_code) {
        switch (gnutls_code) {
        case GNUTLS_E_DECRYPTION_FAILED:
                return "the private key is encrypted; give it without a passphrase";
        case GNUTLS_E_UNKNOWN_PK_ALGORITHM:
        case GNUTLS_E_UNSUPPORTED_SIGNATURE_ALGORITHM:
        case GNUTLS_E_ECC_UNSUPPORTED_CURVE:
                return "the private key is of a type that is not supported; use ECDSA, Ed25519 or "
                       "RSA";
        default:
                return "not a private key: it takes PKCS#8, PKCS#1 or SEC1, as PEM or DER";
        }
}

static const char *private_key_parse_refusal_of(int gnutls_code, bool has_passphrase) {
        if (gnutls_code == GNUTLS_E_DECRYPTION_FAILED && has_passphrase)
                return "the passphrase is not that of the private key";

        return private_key_parse_refusal(gnutls_code);
}

/* Whoever made the file says how much work its passphrase is. */
static bool private_key_is_bearable(const gnutls_datum_t *data, gnutls_x509_crt_fmt_t format) {
        unsigned n_iterations = 0;
        int r;

        r = gnutls_pkcs8_info(data, format, NULL, NULL, NULL, NULL, &n_iterations, NULL);
        return r < 0 || n_iterations <= PRIVATE_KEY_ITERATIONS_MAX;
}

/* @password: NULL: the key is not encrypted. */
static int private_key_parse(PrivateKey *key, const Secret *secret, const char *password,
                             const char **ret_text) {
        static const char armour[] = "-----BEGIN ";
        gnutls_datum_t data = {(unsigned char *)secret_peek(secret), (unsigned)secret_size(secret)};
        bool pem = memmem(data.data, data.size, armour, strlen(armour)) != NULL;
        gnutls_x509_crt_fmt_t format = pem ? GNUTLS_X509_FMT_PEM : GNUTLS_X509_FMT_DER;
        int r;

        if (data.size > PRIVATE_KEY_SIZE_MAX) {
                *ret_text = "the private key is longer than 16 KiB, which none is";
                return PRIVATE_KEY_E_BAD;
        }
        if (password && !private_key_is_bearable(&data, format)) {
                *ret_text = "the passphrase takes more than a million rounds to try";
                return PRIVATE_KEY_E_BAD;
        }

        r = gnutls_privkey_init(&key->private);
        if (r < 0)
                return fault(-ENOMEM);

        r = gnutls_privkey_import_x509_raw(key->private, &data, format, password, /* flags= */ 0);
        if (r == GNUTLS_E_MEMORY_ERROR)
                return fault(-ENOMEM);
        if (r < 0) {
                *ret_text = private_key_parse_refusal_of(r, password != NULL);
                return PRIVATE_KEY_E_BAD;
        }

        return 0;
}

static bool private_key_is_zero(const gnutls_datum_t *number) {
        for (unsigned i = 0; i < number->size; i++)
                if (number->data[i] != 0)
                        return false;

        return true;
}

static void private_key_wipe(gnutls_datum_t *number) {
        gnutls_memset(number->data, 0, number->size);
        gnutls_free(number->data);
}

/* GnuTLS takes and verifies a key whose exponent is 0 modulo a prime less 1, and then ends the
 * process when it shall sign with it. */
static bool private_key_rsa_can_sign(gnutls_privkey_t private) {
        gnutls_datum_t e1, e2;
        bool can;

        if (gnutls_privkey_export_rsa_raw2(private, NULL, NULL, NULL, NULL, NULL, NULL, &e1, &e2,
                                           0) < 0)
                return false;

        can = !private_key_is_zero(&e1) && !private_key_is_zero(&e2);
        private_key_wipe(&e1);
        private_key_wipe(&e2);
        return can;
}

static const char *private_key_check_rsa(gnutls_privkey_t private, unsigned bits) {
        if (bits < PRIVATE_KEY_RSA_BITS_MIN)
                return "the RSA key is shorter than 2048 bits";
        if (bits > PRIVATE_KEY_RSA_BITS_MAX)
                return "the RSA key is longer than 8192 bits";
        if (!private_key_rsa_can_sign(private))
                return "the private key is damaged: its exponent cannot sign";

        return NULL;
}

static const char *private_key_check_ecdsa(gnutls_privkey_t private) {
        gnutls_ecc_curve_t curve;

        if (gnutls_privkey_export_ecc_raw2(private, &curve, NULL, NULL, NULL, 0) < 0)
                return "the curve of the ECDSA key cannot be read";
        if (curve != GNUTLS_ECC_CURVE_SECP256R1 && curve != GNUTLS_ECC_CURVE_SECP384R1 &&
            curve != GNUTLS_ECC_CURVE_SECP521R1)
                return "the ECDSA key is on a curve that is not supported; use P-256, P-384 or "
                       "P-521";

        return NULL;
}

static const char *private_key_check_type(PrivateKey *key) {
        unsigned bits;
        int algorithm = gnutls_privkey_get_pk_algorithm(key->private, &bits);

        key->algorithm = (gnutls_pk_algorithm_t)algorithm;
        switch (algorithm) {
        case GNUTLS_PK_RSA:
        case GNUTLS_PK_RSA_PSS:
                return private_key_check_rsa(key->private, bits);
        case GNUTLS_PK_ECDSA:
                return private_key_check_ecdsa(key->private);
        case GNUTLS_PK_EDDSA_ED25519:
                return NULL;
        default:
                return private_key_parse_refusal(GNUTLS_E_UNKNOWN_PK_ALGORITHM);
        }
}

static int private_key_read_spki(PrivateKey *key) {
        gnutls_datum_t der = {NULL, 0};
        gnutls_pubkey_t public;
        int r;

        r = gnutls_pubkey_init(&public);
        if (r < 0)
                return fault(-ENOMEM);

        r = gnutls_pubkey_import_privkey(public, key->private, /* usage= */ 0, /* flags= */ 0);
        if (r >= 0)
                r = gnutls_pubkey_export2(public, GNUTLS_X509_FMT_DER, &der);
        gnutls_pubkey_deinit(public);
        if (r < 0)
                return PRIVATE_KEY_E_BAD;

        key->spki = g_bytes_new(der.data, der.size);
        gnutls_free(der.data);
        return 0;
}

static int private_key_fill(PrivateKey *key, const Secret *secret, const char *password,
                            const char **ret_text) {
        const char *text;
        int r;

        r = private_key_parse(key, secret, password, ret_text);
        if (r)
                return r;

        text = private_key_check_type(key);
        if (!text && gnutls_privkey_verify_params(key->private) < 0)
                text = "the private key is damaged: its numbers do not belong together";
        if (!text && private_key_read_spki(key) != 0)
                text = "the public part of the private key cannot be told";
        if (!text)
                return 0;

        *ret_text = text;
        return PRIVATE_KEY_E_BAD;
}

int private_key_read(const Secret *secret, const Secret *passphrase, PrivateKey **ret,
                     const char **ret_text) {
        g_autoptr(PrivateKey) key = private_key_new();
        g_autoptr(Secret) password = NULL; /* with the NUL that GnuTLS wants */
        int r;

        if (passphrase) {
                password = secret_new_zero(secret_size(passphrase) + 1);
                memcpy(secret_data(password), secret_peek(passphrase), secret_size(passphrase));
        }

        r = private_key_fill(key, secret, password ? (const char *)secret_peek(password) : NULL,
                             ret_text);
        if (r == 0)
                *ret = g_steal_pointer(&key);
        return r;
}

PrivateKey *private_key_of_token(Token *token, GBytes *spki) {
        PrivateKey *key = private_key_new();

        key->token = token;
        key->algorithm = token_algorithm(token);
        key->spki = g_bytes_ref(spki);
        return key;
}

int private_key_read_again(const Secret *text, GBytes *spki, PrivateKey **ret,
                           const char **ret_text) {
        const char *begin = PRIVATE_KEY_TOKEN_BEGIN;
        Token *token;
        int r;

        if (secret_size(text) < strlen(begin) ||
            memcmp(secret_peek(text), begin, strlen(begin)) != 0)
                return private_key_read(text, /* passphrase= */ NULL, ret, ret_text);

        r = token_read(text, spki, &token, ret_text);
        if (r)
                return r > 0 ? PRIVATE_KEY_E_BAD : fault(r);

        *ret = private_key_of_token(token, spki);
        return 0;
}

/* ---- using ---- */

Token *private_key_token(const PrivateKey *key) {
        return key->token;
}

int private_key_sign(PrivateKey *key, gnutls_sign_algorithm_t algorithm, bool is_hash,
                     const gnutls_datum_t *input, gnutls_datum_t *ret) {
        int r;

        if (key->token)
                return token_sign(key->token, algorithm, is_hash, input, ret) == 0
                               ? 0
                               : PRIVATE_KEY_E_ABSENT;

        r = is_hash ? gnutls_privkey_sign_hash2(key->private, algorithm, /* flags= */ 0, input, ret)
                    : gnutls_privkey_sign_data2(key->private, algorithm, /* flags= */ 0, input,
                                                ret);
        return r < 0 ? PRIVATE_KEY_E_BAD : 0;
}

gnutls_pk_algorithm_t private_key_algorithm(const PrivateKey *key) {
        return key->algorithm;
}

GBytes *private_key_spki(const PrivateKey *key) {
        return key->spki;
}

gnutls_privkey_t private_key_handle(const PrivateKey *key) {
        return key->private;
}

int private_key_write(const PrivateKey *key, Secret **ret) {
        gnutls_datum_t pem = {NULL, 0};
        gnutls_x509_privkey_t private;
        int r;

        if (key->token)
                return token_write(key->token, ret);

        r = gnutls_privkey_export_x509(key->private, &private);
        if (r < 0)
                return fault(-EIO);

        r = gnutls_x509_privkey_export2_pkcs8(private, GNUTLS_X509_FMT_PEM, NULL, GNUTLS_PKCS_PLAIN,
                                              &pem);
        gnutls_x509_privkey_deinit(private);
        if (r < 0)
                return fault(-EIO);

        *ret = secret_new(pem.data, pem.size);
        private_key_wipe(&pem);
        return 0;
}
