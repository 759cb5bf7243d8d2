/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* bundle: PKCS#12 files as openssl makes them, and such as nobody should make. */

#include "keyring/bundle.h"
#include "lib/certificates.h"

#include <glib/gstdio.h>
#include <gnutls/pkcs12.h>
#include <string.h>

#define PASSPHRASE "open sesame"

typedef struct World {
        char *path;
        TestIdentity *root, *middle, *leaf, *other;
} World;

static World world_new(void) {
        World world = {.path = g_dir_make_tmp("dtlsd-bundle.XXXXXX", NULL)};
        g_autofree char *chain = NULL;
        g_autoptr(GBytes) above = NULL;

        world.root = test_identity_new("root", NULL, TEST_IDENTITY_CA, TEST_KEY_ECDSA);
        world.middle = test_identity_new("middle", world.root, TEST_IDENTITY_CA, TEST_KEY_ECDSA);
        world.leaf = test_identity_new("leaf", world.middle, 0, TEST_KEY_ECDSA);
        world.other = test_identity_new("other", NULL, 0, TEST_KEY_ECDSA);
        test_identity_write(world.leaf, world.path, "leaf");
        test_identity_write(world.other, world.path, "other");
        /* not in the order of a chain, and one that is not of it */
        above = test_chain_pem(world.root, world.other, world.middle, NULL);
        chain = test_write(world.path, "above.crt", above);
        return world;
}

static void world_done(World *world) {
        g_autoptr(GDir) folder = g_dir_open(world->path, 0, NULL);
        const char *name;

        while ((name = g_dir_read_name(folder))) {
                g_autofree char *file = g_build_filename(world->path, name, NULL);

                (void)g_unlink(file);
        }
        (void)g_rmdir(world->path);
        g_free(world->path);
        test_identity_free(world->leaf);
        test_identity_free(world->middle);
        test_identity_free(world->root);
        test_identity_free(world->other);
}

/* What `openssl pkcs12 -export` makes with these options, in the world's folder. */
static Secret *make(const World *world, const char *options) {
        g_autofree char *line = g_strconcat("openssl pkcs12 -export -out made.p12 ", options, NULL);
        g_autofree char *file = g_build_filename(world->path, "made.p12", NULL);
        g_autofree char *contents = NULL;
        const char *const arguments[] = {"sh", "-c", line, NULL};
        gsize size;
        int status;

        g_assert_true(g_spawn_sync(world->path, (char **)arguments, NULL, G_SPAWN_SEARCH_PATH, NULL,
                                   NULL, NULL, NULL, &status, NULL));
        g_assert_cmpint(status, ==, 0);
        g_assert_true(g_file_get_contents(file, &contents, &size, NULL));
        return secret_new(contents, size);
}

static int read_with(const Secret *file, const char *passphrase, Chain **ret_chain,
                     PrivateKey **ret_key, const char **ret_text) {
        g_autoptr(Secret) secret = passphrase ? secret_new(passphrase, strlen(passphrase)) : NULL;

        return bundle_read(file, secret, ret_chain, ret_key, ret_text);
}

static void refused(const Secret *file, const char *passphrase, const char *expected) {
        const char *text = "";
        PrivateKey *key;
        Chain *chain;

        g_assert_cmpint(read_with(file, passphrase, &chain, &key, &text), ==, BUNDLE_E_BAD);
        if (!strstr(text, expected))
                g_error("'%s' does not say '%s'", text, expected);
}

static void takes_what_openssl_makes(void) {
        static const struct {
                const char *options, *passphrase;
        } forms[] = {
                {"-passout pass:'" PASSPHRASE "'", PASSPHRASE},
                {"-passout pass:'" PASSPHRASE "' -legacy", PASSPHRASE}, /* RC2, 3DES, SHA-1 */
                {"-passout pass:'" PASSPHRASE "' -iter 300000", PASSPHRASE},
                {"-passout pass:'" PASSPHRASE "' -certpbe NONE", PASSPHRASE},
                {"-passout pass:'" PASSPHRASE "' -nomac", PASSPHRASE},
                {"-passout pass:caf\xc3\xa9", "caf\xc3\xa9"},
                {"-passout pass:", NULL},
                {"-passout pass: -keypbe NONE -certpbe NONE -nomac", NULL},
        };
        World world = world_new();

        for (size_t i = 0; i < G_N_ELEMENTS(forms); i++) {
                g_autofree char *options =
                        g_strconcat("-inkey leaf.key -in leaf.crt -certfile above.crt ",
                                    forms[i].options, NULL);
                g_autoptr(Secret) file = make(&world, options);
                g_autoptr(PrivateKey) key = NULL;
                g_autoptr(Chain) chain = NULL;
                const char *text = NULL;

                g_test_message("%s", forms[i].options);
                g_assert_cmpint(read_with(file, forms[i].passphrase, &chain, &key, &text), ==, 0);
                g_assert_true(g_bytes_equal(private_key_spki(key), chain_spki(chain)));
                /* in order, and the stranger left out */
                g_assert_cmpuint(chain_count(chain), ==, 3);
                g_assert_true(g_bytes_equal(chain_der(chain, 0), test_identity_der(world.leaf)));
                g_assert_true(g_bytes_equal(chain_der(chain, 1), test_identity_der(world.middle)));
                g_assert_true(g_bytes_equal(chain_der(chain, 2), test_identity_der(world.root)));
        }
        world_done(&world);
}

static void says_what_is_missing(void) {
        World world = world_new();
        g_autoptr(Secret) whole = make(&world, "-inkey leaf.key -in leaf.crt -passout pass:x");
        g_autoptr(Secret) no_key = make(&world, "-nokeys -in leaf.crt -passout pass:x");
        g_autoptr(Secret) no_chain = make(&world, "-nocerts -inkey leaf.key -passout pass:x");
        g_autoptr(Secret) pem = secret_new("-----BEGIN PRIVATE KEY-----\n", 28);

        refused(whole, "y", "the passphrase is not that of the PKCS#12 file");
        refused(whole, NULL, "give its passphrase");
        refused(no_key, "x", "has no private key");
        refused(no_chain, "x", "no certificate in the PKCS#12 file is that of its private key");
        refused(pem, NULL, "not a PKCS#12 file");
        world_done(&world);
}

static void add_bag(gnutls_pkcs12_t file, gnutls_pkcs12_bag_type_t type,
                    const gnutls_datum_t *data) {
        gnutls_pkcs12_bag_t bag;

        g_assert_cmpint(gnutls_pkcs12_bag_init(&bag), ==, 0);
        g_assert_cmpint(gnutls_pkcs12_bag_set_data(bag, type, data), >=, 0);
        g_assert_cmpint(gnutls_pkcs12_set_bag(file, bag), ==, 0);
        gnutls_pkcs12_bag_deinit(bag);
}

static void add_key(gnutls_pkcs12_t file, const TestIdentity *identity) {
        gnutls_datum_t key = {NULL, 0};

        g_assert_cmpint(gnutls_x509_privkey_export2_pkcs8(test_identity_key(identity),
                                                          GNUTLS_X509_FMT_DER, NULL,
                                                          GNUTLS_PKCS_PLAIN, &key),
                        ==, 0);
        add_bag(file, GNUTLS_BAG_PKCS8_KEY, &key);
        gnutls_free(key.data);
}

/* What openssl does not make: a file of a certificate and these keys, and whose passphrase is "x".
 */
static Secret *make_strange(const TestIdentity *certificate, const TestIdentity *first,
                            const TestIdentity *second) {
        gsize size;
        gconstpointer der = g_bytes_get_data(test_identity_der(certificate), &size);
        gnutls_datum_t contents = {(unsigned char *)der, (unsigned)size};
        gnutls_pkcs12_t file;
        Secret *made;

        g_assert_cmpint(gnutls_pkcs12_init(&file), ==, 0);
        add_bag(file, GNUTLS_BAG_CERTIFICATE, &contents);
        add_key(file, first);
        if (second)
                add_key(file, second);
        g_assert_cmpint(gnutls_pkcs12_generate_mac2(file, GNUTLS_MAC_SHA256, "x"), ==, 0);
        g_assert_cmpint(gnutls_pkcs12_export2(file, GNUTLS_X509_FMT_DER, &contents), ==, 0);
        gnutls_pkcs12_deinit(file);
        made = secret_new(contents.data, contents.size);
        gnutls_free(contents.data);
        return made;
}

static void has_one_key_and_its_certificate(void) {
        World world = world_new();
        g_autoptr(Secret) two = make_strange(world.leaf, world.leaf, world.other);
        g_autoptr(Secret) mixed = make_strange(world.other, world.leaf, NULL);
        g_autoptr(Secret) good = make_strange(world.leaf, world.leaf, NULL);
        g_autoptr(PrivateKey) key = NULL;
        g_autoptr(Chain) chain = NULL;
        const char *text = NULL;

        refused(two, "x", "more than one private key; make a file of each");
        refused(mixed, "x", "no certificate in the PKCS#12 file is that of its private key");
        g_assert_cmpint(read_with(good, "x", &chain, &key, &text), ==, 0);
        world_done(&world);
}

/* @file with the @nth number of 65536 rounds made 2^23 - 1; NULL: there are not so many. */
static Secret *with_more_rounds(const Secret *file, unsigned nth) {
        static const uint8_t few[] = {0x02, 0x03, 0x01, 0x00, 0x00};
        static const uint8_t many[] = {0x02, 0x03, 0x7f, 0xff, 0xff};
        Secret *copy = secret_new(secret_peek(file), secret_size(file));
        uint8_t *at = secret_data(copy), *end = at + secret_size(copy);

        for (unsigned i = 0; (at = memmem(at, (size_t)(end - at), few, sizeof(few))); at++)
                if (i++ == nth) {
                        memcpy(at, many, sizeof(many));
                        return copy;
                }

        return secret_free(copy);
}

static void works_no_longer_than_a_million_rounds(void) {
        World world = world_new();
        g_autoptr(Secret) whole =
                make(&world, "-inkey leaf.key -in leaf.crt -passout pass:x -iter 65536");
        g_autoptr(Secret) bare =
                make(&world, "-inkey leaf.key -in leaf.crt -passout pass:x -iter 65536 -nomac");
        g_autoptr(Secret) sum =
                make(&world, "-inkey leaf.key -in leaf.crt -passout pass:x -iter 400000");
        g_autoptr(Secret) mac = with_more_rounds(whole, 2);
        g_autoptr(Secret) key = with_more_rounds(bare, 0);

        refused(mac, "x", "more than a million rounds");
        refused(key, "x", "more than a million rounds");
        refused(sum, "x", "more than a million rounds"); /* those of the certificates too */
        world_done(&world);
}

static void a_damaged_one_is_refused_and_no_more(void) {
        World world = world_new();
        g_autoptr(Secret) good = make(&world, "-inkey leaf.key -in leaf.crt -passout pass: "
                                              "-keypbe NONE -certpbe NONE -nomac");
        size_t n_refused = 0, size = secret_size(good);

        for (size_t i = 0; i < 2 * size; i++) {
                g_autoptr(Secret) bad = secret_new(secret_peek(good), i < size ? i : size);
                g_autoptr(PrivateKey) key = NULL;
                g_autoptr(Chain) chain = NULL;
                const char *text = NULL;

                if (i >= size)
                        secret_data(bad)[i - size] ^= 0x55;
                if (bundle_read(bad, NULL, &chain, &key, &text) != 0) {
                        g_assert_nonnull(text);
                        n_refused++;
                }
        }
        g_assert_cmpuint(n_refused, >, size);
        world_done(&world);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/bundle/takes-what-openssl-makes", takes_what_openssl_makes);
        g_test_add_func("/bundle/says-what-is-missing", says_what_is_missing);
        g_test_add_func("/bundle/has-one-key-and-its-certificate", has_one_key_and_its_certificate);
        g_test_add_func("/bundle/works-no-longer-than-a-million-rounds",
                        works_no_longer_than_a_million_rounds);
        g_test_add_func("/bundle/a-damaged-one-is-refused-and-no-more",
                        a_damaged_one_is_refused_and_no_more);
        return g_test_run();
}
