/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "keyring/vault.h"
#include "material.h"

#include <string.h>

#define ALICE 1000
#define BOB 1001

static int import(Vault *vault, GBytes *bytes, VaultKey **ret, const char **ret_text) {
        gsize size;
        const void *data = g_bytes_get_data(bytes, &size);
        g_autoptr(Secret) secret = secret_new(data, size);

        return vault_import_private_key(vault, ALICE, secret, ret, ret_text);
}

static int import_psk(Vault *vault, uid_t uid, const char *psk, size_t size, VaultKey **ret) {
        g_autoptr(Secret) secret = secret_new(psk, size);
        const char *text = NULL;
        int r;

        r = vault_import_psk(vault, uid, secret, ret, &text);
        g_assert_true((r != 0) == (text != NULL));
        return r;
}

static void assert_refused(Vault *vault, GBytes *bytes, const char *expected) {
        const char *text = NULL;
        VaultKey *key = NULL;

        g_assert_cmpint(import(vault, bytes, &key, &text), ==, VAULT_E_BAD_SECRET);
        g_assert_null(key);
        g_assert_nonnull(strstr(text, expected));
        g_assert_cmpuint(vault_count(vault, ALICE), ==, 0);
}

static void refuse_string(Vault *vault, const char *text, const char *expected) {
        g_autoptr(GBytes) bytes = g_bytes_new(text, strlen(text));

        assert_refused(vault, bytes, expected);
}

static void refuse_key(Vault *vault, gnutls_pk_algorithm_t algorithm, unsigned bits,
                       MaterialForm form, const char *expected) {
        gnutls_x509_privkey_t key = material_key(algorithm, bits);
        g_autoptr(GBytes) bytes = material_export(key, form);

        assert_refused(vault, bytes, expected);
        gnutls_x509_privkey_deinit(key);
}

static void take_every_form(gnutls_pk_algorithm_t algorithm, unsigned bits) {
        /* RFC 8410 gives Ed25519 no form but PKCS#8 */
        MaterialForm first = algorithm == GNUTLS_PK_EDDSA_ED25519 ? MATERIAL_PKCS8_PEM : 0;
        gnutls_x509_privkey_t private = material_key(algorithm, bits);
        g_autoptr(GBytes) spki = material_spki(private);
        g_autoptr(Vault) vault = vault_new();

        for (MaterialForm form = first; form < MATERIAL_ENCRYPTED_PEM; form++) {
                g_autoptr(GBytes) bytes = material_export(private, form);
                const char *text = NULL;
                VaultKey *key;

                g_test_message("type %d in form %d", algorithm, form);
                g_assert_cmpint(import(vault, bytes, &key, &text), ==, 0);
                g_assert_cmpstr(text, ==, NULL);
                g_assert_true(g_bytes_equal(private_key_spki(vault_key_private(key)), spki));
                g_assert_cmpint(private_key_algorithm(vault_key_private(key)), ==, algorithm);
                g_assert_cmpuint(vault_key_uid(key), ==, ALICE);
        }
        gnutls_x509_privkey_deinit(private);
}

static void test_takes_every_form(void) {
        take_every_form(GNUTLS_PK_RSA, 2048);
        take_every_form(GNUTLS_PK_ECDSA, 256);
        take_every_form(GNUTLS_PK_ECDSA, 384);
        take_every_form(GNUTLS_PK_ECDSA, 521);
        take_every_form(GNUTLS_PK_EDDSA_ED25519, 0);
}

static void test_finds_the_key_behind_other_text(void) {
        gnutls_x509_privkey_t private = material_key(GNUTLS_PK_ECDSA, 256);
        g_autoptr(GBytes) pem = material_export(private, MATERIAL_PKCS8_PEM);
        g_autoptr(Vault) vault = vault_new();
        g_autoptr(GByteArray) all = g_byte_array_new();
        g_autoptr(GBytes) bytes = NULL;
        const char *before = "Bag Attributes\n  friendlyName: mine\n"
                             "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n"
                             "-----END EC PARAMETERS-----\n";
        const char *text = NULL;
        VaultKey *key;

        g_byte_array_append(all, (const guint8 *)before, (guint)strlen(before));
        g_byte_array_append(all, g_bytes_get_data(pem, NULL), (guint)g_bytes_get_size(pem));
        bytes = g_bytes_new(all->data, all->len);
        g_assert_cmpint(import(vault, bytes, &key, &text), ==, 0);
        gnutls_x509_privkey_deinit(private);
}

static void test_refuses_what_is_no_key(void) {
        g_autoptr(Vault) vault = vault_new();
        g_autofree char *zeros = g_malloc0(1024);
        g_autoptr(GBytes) zero_bytes = g_bytes_new(zeros, 1024);

        refuse_string(vault, "", "not a private key");
        refuse_string(vault, "a", "not a private key");
        refuse_string(vault, "hello, this is no key at all", "not a private key");
        refuse_string(vault, "-----BEGIN ", "not a private key");
        refuse_string(vault, "-----BEGIN PRIVATE KEY-----", "not a private key");
        refuse_string(vault,
                      "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n",
                      "not a private key");
        refuse_string(vault, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
                      "not a private key");
        assert_refused(vault, zero_bytes, "not a private key");
}

static void test_refuses_an_encrypted_key(void) {
        g_autoptr(Vault) vault = vault_new();

        refuse_key(vault, GNUTLS_PK_ECDSA, 256, MATERIAL_ENCRYPTED_PEM, "encrypted");
        refuse_key(vault, GNUTLS_PK_ECDSA, 256, MATERIAL_ENCRYPTED_DER, "encrypted");
}

static void test_refuses_weak_and_strange_types(void) {
        g_autoptr(Vault) vault = vault_new();

        refuse_key(vault, GNUTLS_PK_RSA, 1024, MATERIAL_PKCS8_PEM, "shorter than 2048");
        refuse_key(vault, GNUTLS_PK_RSA, 2040, MATERIAL_PKCS8_DER, "shorter than 2048");
        refuse_key(vault, GNUTLS_PK_ECDSA, 224, MATERIAL_PKCS8_PEM, "curve");
        refuse_key(vault, GNUTLS_PK_EDDSA_ED448, 0, MATERIAL_PKCS8_PEM, "not supported");
        refuse_key(vault, GNUTLS_PK_ECDH_X25519, 0, MATERIAL_PKCS8_PEM, "not supported");
}

/* Every truncation, and a change of every byte in turn: refused, or still the same key. */
static void test_survives_damage(void) {
        gnutls_x509_privkey_t private = material_key(GNUTLS_PK_ECDSA, 256);
        g_autoptr(GBytes) good = material_export(private, MATERIAL_TRADITIONAL_DER);
        g_autoptr(GBytes) spki = material_spki(private);
        gsize size = g_bytes_get_size(good);
        unsigned n_refused = 0;

        for (gsize i = 0; i < 2 * size; i++) {
                g_autofree uint8_t *copy = g_memdup2(g_bytes_get_data(good, NULL), size);
                g_autoptr(Vault) vault = vault_new();
                g_autoptr(GBytes) bytes = NULL;
                const char *text = NULL;
                VaultKey *key;

                if (i >= size)
                        copy[i - size] ^= 0x55;
                bytes = g_bytes_new(copy, i < size ? i : size);
                if (import(vault, bytes, &key, &text) == 0)
                        g_assert_true(
                                g_bytes_equal(private_key_spki(vault_key_private(key)), spki));
                else
                        n_refused++;
        }
        g_assert_cmpuint(n_refused, >, size);
        gnutls_x509_privkey_deinit(private);
}

static void test_refuses_numbers_that_do_not_belong_together(void) {
        gnutls_x509_privkey_t private = material_key(GNUTLS_PK_RSA, 2048);
        g_autoptr(GBytes) good = material_export(private, MATERIAL_TRADITIONAL_DER);
        gsize size = g_bytes_get_size(good);
        g_autofree uint8_t *copy = g_memdup2(g_bytes_get_data(good, NULL), size);
        g_autoptr(Vault) vault = vault_new();
        g_autoptr(GBytes) bytes = NULL;

        copy[100] ^= 0x10; /* in the modulus, which then is not the product of the primes */
        bytes = g_bytes_new(copy, size);
        assert_refused(vault, bytes, "damaged");
        gnutls_x509_privkey_deinit(private);
}

static void test_refuses_an_exponent_that_ends_the_process(void) {
        gnutls_x509_privkey_t good = material_key(GNUTLS_PK_RSA, 2048);
        gnutls_x509_privkey_t private = material_of_no_use(good);
        g_autoptr(GBytes) bytes = material_export(private, MATERIAL_TRADITIONAL_DER);
        g_autoptr(Vault) vault = vault_new();

        assert_refused(vault, bytes, "cannot sign");
        gnutls_x509_privkey_deinit(private);
        gnutls_x509_privkey_deinit(good);
}

static void test_refuses_empty_and_long_psks(void) {
        g_autoptr(Vault) vault = vault_new();
        const char psk[VAULT_PSK_MAX + 1] = "secret";
        VaultKey *key;

        g_assert_cmpint(import_psk(vault, ALICE, psk, 0, &key), ==, VAULT_E_BAD_SECRET);
        g_assert_cmpint(import_psk(vault, ALICE, psk, VAULT_PSK_MAX + 1, &key), ==,
                        VAULT_E_BAD_SECRET);
        g_assert_cmpint(import_psk(vault, ALICE, psk, 1, &key), ==, 0);
        g_assert_cmpint(import_psk(vault, ALICE, psk, VAULT_PSK_MAX, &key), ==, 0);
        g_assert_cmpmem(secret_peek(vault_key_psk(key)), secret_size(vault_key_psk(key)), psk,
                        VAULT_PSK_MAX);
}

static void test_belongs_to_one_uid_and_is_of_one_kind(void) {
        g_autoptr(Vault) vault = vault_new();
        VaultKey *key, *found = NULL;
        uint64_t id;

        g_assert_cmpint(import_psk(vault, ALICE, "psk", 3, &key), ==, 0);
        id = vault_key_id(key);

        g_assert_cmpint(vault_use_psk(vault, id, BOB, &found), ==, VAULT_E_UNKNOWN);
        g_assert_cmpint(vault_use_psk(vault, id, 0, &found), ==, VAULT_E_UNKNOWN);
        g_assert_cmpint(vault_use_psk(vault, id + 1, ALICE, &found), ==, VAULT_E_UNKNOWN);
        g_assert_cmpint(vault_use_private_key(vault, id, ALICE, 0, &found), ==, VAULT_E_UNKNOWN);
        g_assert_null(found);
        g_assert_cmpint(vault_use_psk(vault, id, ALICE, &found), ==, 0);
        g_assert_true(found == key);
}

static void test_a_psk_of_the_store_is_everybodys(void) {
        g_autoptr(Vault) vault = vault_new();
        g_autoptr(Secret) secret = secret_new("psk", 3);
        const char *text = NULL;
        VaultKey *key, *found;

        g_assert_cmpint(vault_import_shared_psk(vault, ALICE, secret, &key, &text), ==, 0);
        g_assert_cmpint(vault_use_psk(vault, vault_key_id(key), BOB, &found), ==, 0);
        g_assert_true(found == key);
        g_assert_cmpuint(vault_count(vault, ALICE), ==, 1);
}

static void test_never_gives_a_number_twice(void) {
        g_autoptr(Vault) vault = vault_new();
        uint64_t last = 0;

        for (unsigned i = 0; i < 100; i++) {
                g_autoptr(VaultKey) removed = NULL;
                VaultKey *key;

                g_assert_cmpint(import_psk(vault, ALICE, "psk", 3, &key), ==, 0);
                g_assert_cmpuint(vault_key_id(key), >, last);
                last = vault_key_id(key);
                g_assert_cmpint(vault_remove(vault, last, &removed), ==, 0);
                g_assert_true(removed == key);
        }
        g_assert_cmpuint(vault_count(vault, ALICE), ==, 0);
}

static void test_outlives_its_removal_while_it_is_used(void) {
        g_autoptr(Vault) vault = vault_new();
        g_autoptr(VaultKey) used = NULL;
        g_autoptr(VaultKey) removed = NULL;
        VaultKey *key, *found;

        g_assert_cmpint(import_psk(vault, ALICE, "psk", 3, &key), ==, 0);
        used = vault_key_ref(key);
        g_assert_cmpint(vault_remove(vault, vault_key_id(used), &removed), ==, 0);
        g_assert_cmpint(vault_use_psk(vault, vault_key_id(used), ALICE, &found), ==,
                        VAULT_E_UNKNOWN);
        vault = vault_free(vault);
        g_assert_cmpuint(secret_size(vault_key_psk(used)), ==, 3);
}

static void test_bounds_the_keys_of_a_uid(void) {
        g_autoptr(Vault) vault = vault_new();
        g_autoptr(VaultKey) removed = NULL;
        VaultKey *key;

        for (unsigned i = 0; i < VAULT_KEYS_PER_UID_MAX; i++)
                g_assert_cmpint(import_psk(vault, ALICE, "psk", 3, &key), ==, 0);
        g_assert_cmpint(import_psk(vault, ALICE, "psk", 3, &key), ==, VAULT_E_FULL);
        g_assert_cmpint(import_psk(vault, BOB, "psk", 3, &key), ==, 0);
        g_assert_cmpint(vault_remove(vault, 1, &removed), ==, 0);
        g_assert_cmpint(import_psk(vault, ALICE, "psk", 3, &key), ==, 0);
}

/* The store's own, of which there may be so many, are the administrator's. */
static void test_has_room_for_a_full_store(void) {
        g_autoptr(Vault) vault = vault_new();
        VaultKey *key;

        for (unsigned i = 0; i < 2 * 4096 + VAULT_KEYS_PER_UID_MAX; i++)
                g_assert_cmpint(import_psk(vault, 0, "psk", 3, &key), ==, 0);
        g_assert_cmpint(import_psk(vault, 0, "psk", 3, &key), ==, VAULT_E_FULL);
}

static void test_bounds_the_keys_of_all(void) {
        g_autoptr(Vault) vault = vault_new();
        VaultKey *key;

        for (unsigned i = 0; i < VAULT_KEYS_MAX; i++)
                g_assert_cmpint(
                        import_psk(vault, ALICE + i / VAULT_KEYS_PER_UID_MAX, "psk", 3, &key), ==,
                        0);
        g_assert_cmpint(import_psk(vault, 9999, "psk", 3, &key), ==, VAULT_E_FULL);
}

static unsigned use_all(Vault *vault, uint64_t id, uint64_t now_usec) {
        unsigned n = 0;
        VaultKey *key;

        while (vault_use_private_key(vault, id, ALICE, now_usec, &key) == 0)
                n++;
        return n;
}

static void test_bounds_the_rate_of_signatures(void) {
        gnutls_x509_privkey_t private = material_key(GNUTLS_PK_ECDSA, 256);
        g_autoptr(GBytes) bytes = material_export(private, MATERIAL_PKCS8_PEM);
        g_autoptr(Vault) vault = vault_new();
        VaultKey *key, *other;
        uint64_t start = 7 * UINT64_C(1000000);
        const char *text;

        g_assert_cmpint(import(vault, bytes, &key, &text), ==, 0);
        g_assert_cmpint(import(vault, bytes, &other, &text), ==, 0);

        g_assert_cmpuint(use_all(vault, vault_key_id(key), start), ==, VAULT_USES_BURST);
        g_assert_cmpuint(use_all(vault, vault_key_id(key), start + 500000), ==,
                         VAULT_USES_PER_SECOND / 2);
        g_assert_cmpuint(use_all(vault, vault_key_id(other), start), ==, VAULT_USES_BURST);
        g_assert_cmpuint(use_all(vault, vault_key_id(key), start + 3600 * UINT64_C(1000000)), ==,
                         VAULT_USES_BURST);
        gnutls_x509_privkey_deinit(private);
}

static void test_gives_a_psk_as_often_as_peers_come(void) {
        g_autoptr(Vault) vault = vault_new();
        VaultKey *key, *found;

        g_assert_cmpint(import_psk(vault, ALICE, "psk", 3, &key), ==, 0);
        for (unsigned i = 0; i < 2 * VAULT_USES_BURST; i++)
                g_assert_cmpint(vault_use_psk(vault, vault_key_id(key), ALICE, &found), ==, 0);
        g_assert_cmpuint(vault_key_uses(key), ==, 2 * VAULT_USES_BURST);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/vault/import/takes-every-form-of-a-private-key", test_takes_every_form);
        g_test_add_func("/vault/import/finds-the-key-behind-other-text",
                        test_finds_the_key_behind_other_text);
        g_test_add_func("/vault/import/refuses-what-is-no-key", test_refuses_what_is_no_key);
        g_test_add_func("/vault/import/refuses-an-encrypted-key", test_refuses_an_encrypted_key);
        g_test_add_func("/vault/import/refuses-weak-and-strange-types",
                        test_refuses_weak_and_strange_types);
        g_test_add_func("/vault/import/survives-damage-at-every-byte", test_survives_damage);
        g_test_add_func("/vault/import/refuses-numbers-that-do-not-belong-together",
                        test_refuses_numbers_that_do_not_belong_together);
        g_test_add_func("/vault/import/refuses-an-exponent-that-ends-the-process",
                        test_refuses_an_exponent_that_ends_the_process);
        g_test_add_func("/vault/import/refuses-empty-and-long-psks",
                        test_refuses_empty_and_long_psks);
        g_test_add_func("/vault/key/belongs-to-one-uid-and-is-of-one-kind",
                        test_belongs_to_one_uid_and_is_of_one_kind);
        g_test_add_func("/vault/a-psk-of-the-store-is-everybodys",
                        test_a_psk_of_the_store_is_everybodys);
        g_test_add_func("/vault/key/never-has-a-number-twice", test_never_gives_a_number_twice);
        g_test_add_func("/vault/key/outlives-its-removal-while-it-is-used",
                        test_outlives_its_removal_while_it_is_used);
        g_test_add_func("/vault/limit/bounds-the-keys-of-a-uid", test_bounds_the_keys_of_a_uid);
        g_test_add_func("/vault/limit/has-room-for-a-full-store", test_has_room_for_a_full_store);
        g_test_add_func("/vault/limit/bounds-the-keys-of-all", test_bounds_the_keys_of_all);
        g_test_add_func("/vault/limit/bounds-the-rate-of-signatures",
                        test_bounds_the_rate_of_signatures);
        g_test_add_func("/vault/limit/gives-a-psk-as-often-as-peers-come",
                        test_gives_a_psk_as_often_as_peers_come);
        return g_test_run();
}
