/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Vault, see vault.h. What is refused is refused at import, where somebody reads the text: a key
 * that would fail in the middle of a handshake helps nobody.
 */

#include "keyring/vault.h"

#include "base/fault.h"

#include <errno.h>
#include <gnutls/x509.h>
#include <string.h>

struct VaultKey {
        unsigned n_refs;
        uint64_t id;
        uid_t uid;
        bool is_shared;
        gnutls_privkey_t private; /* NULL: a PSK */
        gnutls_pk_algorithm_t algorithm;
        GBytes *spki;
        Secret *psk; /* NULL: a private key */

        uint64_t n_uses;
        double allowance; /* uses left; fills by VAULT_USES_PER_SECOND */
        uint64_t allowance_usec;
        uint64_t n_reported;
        uint64_t report_usec; /* of the last line; 0: none yet */
};

struct Vault {
        uint64_t last_id;
        GHashTable *keys;   /* id in the key itself to VaultKey, owned */
        GHashTable *counts; /* uid to number of keys */
};

static VaultKey *vault_key_new(uid_t uid) {
        VaultKey *key = g_new0(VaultKey, 1);

        key->n_refs = 1;
        key->uid = uid;
        key->allowance = VAULT_USES_BURST;
        return key;
}

VaultKey *vault_key_ref(VaultKey *key) {
        key->n_refs++;
        return key;
}

VaultKey *vault_key_unref(VaultKey *key) {
        if (!key || --key->n_refs > 0)
                return NULL;

        if (key->private)
                gnutls_privkey_deinit(key->private); /* wipes its numbers */
        if (key->spki)
                g_bytes_unref(key->spki);
        secret_free(key->psk);
        g_free(key);
        return NULL;
}

static void vault_key_destroy(gpointer key) {
        vault_key_unref(key);
}

Vault *vault_new(void) {
        Vault *vault = g_new0(Vault, 1);

        vault->keys = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, vault_key_destroy);
        vault->counts = g_hash_table_new(NULL, NULL);
        return vault;
}

Vault *vault_free(Vault *vault) {
        if (!vault)
                return NULL;

        g_hash_table_unref(vault->keys);
        g_hash_table_unref(vault->counts);
        g_free(vault);
        return NULL;
}

size_t vault_count(const Vault *vault, uid_t uid) {
        return GPOINTER_TO_SIZE(g_hash_table_lookup(vault->counts, GUINT_TO_POINTER(uid)));
}

static void vault_set_count(Vault *vault, uid_t uid, size_t count) {
        if (count > 0)
                g_hash_table_insert(vault->counts, GUINT_TO_POINTER(uid), GSIZE_TO_POINTER(count));
        else
                g_hash_table_remove(vault->counts, GUINT_TO_POINTER(uid));
}

static int vault_check_room(const Vault *vault, uid_t uid, const char **ret_text) {
        if (vault_count(vault, uid) >= VAULT_KEYS_PER_UID_MAX) {
                *ret_text = "this user has as many keys in the keyring as one may; close objects";
                return VAULT_E_FULL;
        }

        if (g_hash_table_size(vault->keys) >= VAULT_KEYS_MAX) {
                *ret_text = "the keyring is full";
                return VAULT_E_FULL;
        }

        return 0;
}

/* Takes @key. */
static VaultKey *vault_add(Vault *vault, VaultKey *key) {
        key->id = ++vault->last_id;
        g_hash_table_insert(vault->keys, &key->id, key);
        vault_set_count(vault, key->uid, vault_count(vault, key->uid) + 1);
        return key;
}

static const char *vault_parse_refusal(int gnutls_code) {
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

static const char *vault_parse_refusal_of(int gnutls_code, bool has_passphrase) {
        if (gnutls_code == GNUTLS_E_DECRYPTION_FAILED && has_passphrase)
                return "the passphrase is not that of the private key";

        return vault_parse_refusal(gnutls_code);
}

/* Whoever made the file says how much work its passphrase is. */
static bool vault_is_bearable(const gnutls_datum_t *data, gnutls_x509_crt_fmt_t format) {
        unsigned n_iterations = 0;
        int r;

        r = gnutls_pkcs8_info(data, format, NULL, NULL, NULL, NULL, &n_iterations, NULL);
        return r < 0 || n_iterations <= VAULT_ITERATIONS_MAX;
}

/* @password: NULL: the key is not encrypted. */
static int vault_parse(VaultKey *key, const Secret *secret, const char *password,
                       const char **ret_text) {
        static const char armour[] = "-----BEGIN ";
        gnutls_datum_t data = {(unsigned char *)secret_peek(secret), (unsigned)secret_size(secret)};
        bool pem = memmem(data.data, data.size, armour, strlen(armour)) != NULL;
        gnutls_x509_crt_fmt_t format = pem ? GNUTLS_X509_FMT_PEM : GNUTLS_X509_FMT_DER;
        int r;

        if (password && !vault_is_bearable(&data, format)) {
                *ret_text = "the passphrase takes more than a million rounds to try";
                return VAULT_E_BAD_SECRET;
        }

        r = gnutls_privkey_init(&key->private);
        if (r < 0)
                return fault(-ENOMEM);

        r = gnutls_privkey_import_x509_raw(key->private, &data, format, password, /* flags= */ 0);
        if (r == GNUTLS_E_MEMORY_ERROR)
                return fault(-ENOMEM);
        if (r < 0) {
                *ret_text = vault_parse_refusal_of(r, password != NULL);
                return VAULT_E_BAD_SECRET;
        }

        return 0;
}

static bool vault_is_zero(const gnutls_datum_t *number) {
        for (unsigned i = 0; i < number->size; i++)
                if (number->data[i] != 0)
                        return false;

        return true;
}

static void vault_wipe(gnutls_datum_t *number) {
        gnutls_memset(number->data, 0, number->size);
        gnutls_free(number->data);
}

/* GnuTLS takes and verifies a key whose exponent is 0 modulo a prime less 1, and then ends the
 * process when it shall sign with it. */
static bool vault_rsa_can_sign(gnutls_privkey_t private) {
        gnutls_datum_t e1, e2;
        bool can;

        if (gnutls_privkey_export_rsa_raw2(private, NULL, NULL, NULL, NULL, NULL, NULL, &e1, &e2,
                                           0) < 0)
                return false;

        can = !vault_is_zero(&e1) && !vault_is_zero(&e2);
        vault_wipe(&e1);
        vault_wipe(&e2);
        return can;
}

static const char *vault_check_rsa(gnutls_privkey_t private, unsigned bits) {
        if (bits < VAULT_RSA_BITS_MIN)
                return "the RSA key is shorter than 2048 bits";
        if (bits > VAULT_RSA_BITS_MAX)
                return "the RSA key is longer than 8192 bits";
        if (!vault_rsa_can_sign(private))
                return "the private key is damaged: its exponent cannot sign";

        return NULL;
}

static const char *vault_check_ecdsa(gnutls_privkey_t private) {
        gnutls_ecc_curve_t curve;

        if (gnutls_privkey_export_ecc_raw2(private, &curve, NULL, NULL, NULL, 0) < 0)
                return "the curve of the ECDSA key cannot be read";
        if (curve != GNUTLS_ECC_CURVE_SECP256R1 && curve != GNUTLS_ECC_CURVE_SECP384R1 &&
            curve != GNUTLS_ECC_CURVE_SECP521R1)
                return "the ECDSA key is on a curve that is not supported; use P-256, P-384 or "
                       "P-521";

        return NULL;
}

static const char *vault_check_type(VaultKey *key) {
        unsigned bits;
        int algorithm = gnutls_privkey_get_pk_algorithm(key->private, &bits);

        key->algorithm = (gnutls_pk_algorithm_t)algorithm;
        switch (algorithm) {
        case GNUTLS_PK_RSA:
        case GNUTLS_PK_RSA_PSS:
                return vault_check_rsa(key->private, bits);
        case GNUTLS_PK_ECDSA:
                return vault_check_ecdsa(key->private);
        case GNUTLS_PK_EDDSA_ED25519:
                return NULL;
        default:
                return vault_parse_refusal(GNUTLS_E_UNKNOWN_PK_ALGORITHM);
        }
}

static int vault_read_spki(VaultKey *key) {
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
                return VAULT_E_BAD_SECRET;

        key->spki = g_bytes_new(der.data, der.size);
        gnutls_free(der.data);
        return 0;
}

static int vault_read_private_key(VaultKey *key, const Secret *secret, const char *password,
                                  const char **ret_text) {
        const char *text;
        int r;

        r = vault_parse(key, secret, password, ret_text);
        if (r)
                return r;

        text = vault_check_type(key);
        if (!text && gnutls_privkey_verify_params(key->private) < 0)
                text = "the private key is damaged: its numbers do not belong together";
        if (!text && vault_read_spki(key) != 0)
                text = "the public part of the private key cannot be told";
        if (!text)
                return 0;

        *ret_text = text;
        return VAULT_E_BAD_SECRET;
}

static int vault_import(Vault *vault, uid_t uid, const Secret *secret, const char *password,
                        VaultKey **ret, const char **ret_text) {
        g_autoptr(VaultKey) key = NULL;
        int r;

        r = vault_check_room(vault, uid, ret_text);
        if (r)
                return r;

        key = vault_key_new(uid);
        r = vault_read_private_key(key, secret, password, ret_text);
        if (r)
                return r;

        *ret = vault_add(vault, g_steal_pointer(&key));
        return 0;
}

int vault_import_private_key(Vault *vault, uid_t uid, const Secret *secret, VaultKey **ret,
                             const char **ret_text) {
        return vault_import(vault, uid, secret, NULL, ret, ret_text);
}

int vault_import_shared_key(Vault *vault, uid_t uid, const Secret *secret, const Secret *passphrase,
                            VaultKey **ret, const char **ret_text) {
        g_autoptr(Secret) password = NULL; /* with the NUL that GnuTLS wants */
        int r;

        if (passphrase) {
                password = secret_new_zero(secret_size(passphrase) + 1);
                memcpy(secret_data(password), secret_peek(passphrase), secret_size(passphrase));
        }

        r = vault_import(vault, uid, secret, password ? (const char *)secret_peek(password) : NULL,
                         ret, ret_text);
        if (r == 0)
                (*ret)->is_shared = true;
        return r;
}

int vault_import_psk(Vault *vault, uid_t uid, const Secret *secret, VaultKey **ret,
                     const char **ret_text) {
        VaultKey *key;
        int r;

        r = vault_check_room(vault, uid, ret_text);
        if (r)
                return r;

        /* GnuTLS would complete a handshake with an empty one */
        if (secret_size(secret) == 0 || secret_size(secret) > VAULT_PSK_MAX) {
                *ret_text = "a pre-shared key has 1 to 512 bytes";
                return VAULT_E_BAD_SECRET;
        }

        key = vault_key_new(uid);
        key->psk = secret_new(secret_peek(secret), secret_size(secret));
        *ret = vault_add(vault, key);
        return 0;
}

int vault_import_shared_psk(Vault *vault, uid_t uid, const Secret *secret, VaultKey **ret,
                            const char **ret_text) {
        int r;

        r = vault_import_psk(vault, uid, secret, ret, ret_text);
        if (r == 0)
                (*ret)->is_shared = true;
        return r;
}

int vault_remove(Vault *vault, uint64_t id, VaultKey **ret) {
        VaultKey *key = g_hash_table_lookup(vault->keys, &id);

        if (!key)
                return VAULT_E_UNKNOWN;

        vault_set_count(vault, key->uid, vault_count(vault, key->uid) - 1);
        if (ret)
                *ret = vault_key_ref(key);
        g_hash_table_remove(vault->keys, &id);
        return 0;
}

static int vault_key_spend(VaultKey *key, uint64_t now_usec) {
        double filled = (double)(now_usec - key->allowance_usec) * VAULT_USES_PER_SECOND / 1e6;

        key->allowance = MIN(key->allowance + filled, VAULT_USES_BURST);
        key->allowance_usec = now_usec;
        if (key->allowance < 1)
                return VAULT_E_RATE;

        key->allowance -= 1;
        key->n_uses++;
        return 0;
}

static VaultKey *vault_find(Vault *vault, uint64_t id, uid_t uid) {
        VaultKey *key = g_hash_table_lookup(vault->keys, &id);

        return key && (key->is_shared || key->uid == uid) ? key : NULL;
}

int vault_use_private_key(Vault *vault, uint64_t id, uid_t uid, uint64_t now_usec, VaultKey **ret) {
        VaultKey *key = vault_find(vault, id, uid);

        if (!key || !key->private)
                return VAULT_E_UNKNOWN;

        *ret = key;
        return vault_key_spend(key, now_usec);
}

int vault_use_psk(Vault *vault, uint64_t id, uid_t uid, uint64_t now_usec, VaultKey **ret) {
        VaultKey *key = vault_find(vault, id, uid);

        if (!key || !key->psk)
                return VAULT_E_UNKNOWN;

        *ret = key;
        return vault_key_spend(key, now_usec);
}

uint64_t vault_key_id(const VaultKey *key) {
        return key->id;
}

uid_t vault_key_uid(const VaultKey *key) {
        return key->uid;
}

uint64_t vault_key_uses(const VaultKey *key) {
        return key->n_uses;
}

bool vault_key_report(VaultKey *key, uint64_t now_usec, uint64_t *ret_n_uses) {
        if (key->report_usec > 0 && now_usec - key->report_usec < VAULT_REPORT_USEC)
                return false;

        *ret_n_uses = key->n_uses - key->n_reported;
        key->n_reported = key->n_uses;
        key->report_usec = now_usec;
        return true;
}

gnutls_pk_algorithm_t vault_key_algorithm(const VaultKey *key) {
        return key->algorithm;
}

gnutls_privkey_t vault_key_private(const VaultKey *key) {
        return key->private;
}

GBytes *vault_key_spki(const VaultKey *key) {
        return key->spki;
}

const Secret *vault_key_psk(const VaultKey *key) {
        return key->psk;
}
