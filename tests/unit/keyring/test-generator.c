/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* generator: what is asked for is in the request, and the key is the one that signed it. */

#include "keyring/generator.h"

#include <glib.h>
#include <gnutls/x509.h>
#include <string.h>

#define ALICE 1000
#define LIMIT_USEC (120 * G_USEC_PER_SEC)

typedef struct Fixture {
        sd_event *event;
        Generator *generator;
} Fixture;

typedef struct Heard {
        unsigned n;
        int outcome;
        Secret *key;
        char *csr;
} Heard;

static void set_up(Fixture *f, gconstpointer data) {
        g_assert_cmpint(sd_event_new(&f->event), >=, 0);
        g_assert_cmpint(generator_new(f->event, &f->generator), ==, 0);
}

static void tear_down(Fixture *f, gconstpointer data) {
        generator_free(f->generator);
        sd_event_unref(f->event);
}

static void on_answer(int outcome, const Secret *key, const char *csr, void *userdata) {
        Heard *heard = userdata;

        heard->n++;
        heard->outcome = outcome;
        if (outcome)
                return;

        secret_free(heard->key);
        heard->key = secret_new(secret_peek(key), secret_size(key));
        g_free(heard->csr);
        heard->csr = g_strdup(csr);
}

static void heard_done(Heard *heard) {
        secret_free(heard->key);
        g_free(heard->csr);
}

static void wait_for(Fixture *f, const Heard *heard, unsigned n) {
        gint64 limit = g_get_monotonic_time() + LIMIT_USEC;

        while (heard->n < n) {
                g_assert_cmpint(g_get_monotonic_time(), <, limit);
                g_assert_cmpint(sd_event_run(f->event, 100000), >=, 0);
        }
}

static gnutls_x509_crq_t make(Fixture *f, const GeneratorRequest *request, Heard *heard) {
        const char *text = NULL;
        gnutls_x509_crq_t csr;
        gnutls_datum_t pem;

        g_assert_cmpint(generator_make(f->generator, request, on_answer, heard, &text), ==, 0);
        g_assert_cmpuint(heard->n, ==, 0); /* never from inside the call */
        wait_for(f, heard, 1);
        g_assert_cmpint(heard->outcome, ==, 0);

        pem = (gnutls_datum_t){(unsigned char *)heard->csr, (unsigned)strlen(heard->csr)};
        g_assert_cmpint(gnutls_x509_crq_init(&csr), ==, 0);
        g_assert_cmpint(gnutls_x509_crq_import(csr, &pem, GNUTLS_X509_FMT_PEM), ==, 0);
        return csr;
}

/* The key ids, which are hashes of the public keys. */
static void assert_is_of_key(gnutls_x509_crq_t csr, const Secret *key) {
        gnutls_datum_t pem = {(unsigned char *)secret_peek(key), (unsigned)secret_size(key)};
        uint8_t of_csr[64], of_key[64];
        size_t n_csr = sizeof(of_csr), n_key = sizeof(of_key);
        gnutls_x509_privkey_t private;

        g_assert_cmpint(gnutls_x509_privkey_init(&private), ==, 0);
        g_assert_cmpint(gnutls_x509_privkey_import_pkcs8(private, &pem, GNUTLS_X509_FMT_PEM, NULL,
                                                         GNUTLS_PKCS_PLAIN),
                        ==, 0);
        g_assert_cmpint(gnutls_x509_privkey_get_key_id(private, 0, of_key, &n_key), ==, 0);
        g_assert_cmpint(gnutls_x509_crq_get_key_id(csr, 0, of_csr, &n_csr), ==, 0);
        g_assert_cmpmem(of_csr, n_csr, of_key, n_key);
        gnutls_x509_privkey_deinit(private);
}

static void each_type_is_made_and_signs_its_request(Fixture *f, gconstpointer data) {
        static const struct {
                const char *name;
                gnutls_pk_algorithm_t algorithm;
                unsigned bits;
        } types[] = {
                {"ECDSA-P256", GNUTLS_PK_ECDSA, 256},      {"RSA-2048", GNUTLS_PK_RSA, 2048},
                {"RSA-3072", GNUTLS_PK_RSA, 3072},         {"RSA-4096", GNUTLS_PK_RSA, 4096},
                {"Ed25519", GNUTLS_PK_EDDSA_ED25519, 256},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(types); i++) {
                GeneratorRequest request = {ALICE, types[i].name, "CN=device,O=Example", NULL};
                Heard heard = {0};
                gnutls_x509_crq_t csr = make(f, &request, &heard);
                unsigned bits = 0;

                g_assert_cmpint(gnutls_x509_crq_verify(csr, 0), ==, 0);
                g_assert_cmpint(gnutls_x509_crq_get_pk_algorithm(csr, &bits), ==,
                                types[i].algorithm);
                g_assert_cmpuint(bits, ==, types[i].bits);
                assert_is_of_key(csr, heard.key);
                gnutls_x509_crq_deinit(csr);
                heard_done(&heard);
        }
}

static void assert_name(gnutls_x509_crq_t csr, unsigned i, gnutls_x509_subject_alt_name_t type,
                        const void *expected, size_t size) {
        uint8_t name[256];
        size_t n_name = sizeof(name);

        g_assert_cmpint(gnutls_x509_crq_get_subject_alt_name(csr, i, name, &n_name, NULL, NULL), ==,
                        type);
        g_assert_cmpmem(name, n_name, expected, size);
}

static void the_request_says_who(Fixture *f, gconstpointer data) {
        static const char *const names[] = {"device.example.org", "192.0.2.1", "2001:db8::1", NULL};
        static const uint8_t v4[] = {192, 0, 2, 1};
        static const uint8_t v6[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 1};
        GeneratorRequest request = {ALICE, "ECDSA-P256", "CN=a\\,b,O=Example", names};
        Heard heard = {0};
        gnutls_x509_crq_t csr = make(f, &request, &heard);
        gnutls_datum_t dn = {0};

        g_assert_cmpint(gnutls_x509_crq_get_dn3(csr, &dn, 0), ==, 0);
        g_assert_cmpstr((const char *)dn.data, ==, "CN=a\\,b,O=Example");
        gnutls_free(dn.data);
        assert_name(csr, 0, GNUTLS_SAN_DNSNAME, names[0], strlen(names[0]));
        assert_name(csr, 1, GNUTLS_SAN_IPADDRESS, v4, sizeof(v4));
        assert_name(csr, 2, GNUTLS_SAN_IPADDRESS, v6, sizeof(v6));
        gnutls_x509_crq_deinit(csr);
        heard_done(&heard);
}

static void refused(Fixture *f, const GeneratorRequest *request, const char *expected) {
        const char *text = NULL;

        g_assert_cmpint(generator_make(f->generator, request, on_answer, NULL, &text), ==,
                        GENERATOR_E_BAD_REQUEST);
        g_assert_nonnull(strstr(text, expected));
}

static void what_cannot_be_is_refused_at_once(Fixture *f, gconstpointer data) {
        static const char *const types[] = {"", "RSA", "rsa-2048", "RSA-1024", "RSA-65536", "DSA"};
        static const char *const names[] = {"", "a b", "caf\xc3\xa9.example", "http://x",
                                            "1.2.3.4/8"};
        static const char *const subjects[] = {"nonsense", "CN", "XX=y", "CN=\xff\xfe,=,"};
        g_autofree char *long_subject = g_strnfill(GENERATOR_SUBJECT_MAX + 1, 'x');
        g_autofree char *long_name = g_strnfill(254, 'x');
        const char *many[GENERATOR_NAMES_MAX + 2] = {NULL};

        for (size_t i = 0; i < G_N_ELEMENTS(types); i++)
                refused(f, &(GeneratorRequest){ALICE, types[i], "CN=x", NULL}, "of the type");
        for (size_t i = 0; i < G_N_ELEMENTS(subjects); i++)
                refused(f, &(GeneratorRequest){ALICE, "ECDSA-P256", subjects[i], NULL}, "RFC 4514");
        refused(f, &(GeneratorRequest){ALICE, "ECDSA-P256", long_subject, NULL}, "1024 bytes");
        for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
                const char *list[] = {"good.example", names[i], NULL};

                refused(f, &(GeneratorRequest){ALICE, "ECDSA-P256", "CN=x", list}, "a DNS name");
        }
        refused(f,
                &(GeneratorRequest){ALICE, "ECDSA-P256", "CN=x",
                                    (const char *const[]){long_name, NULL}},
                "a DNS name");
        for (size_t i = 0; i <= GENERATOR_NAMES_MAX; i++)
                many[i] = "x.example";
        refused(f, &(GeneratorRequest){ALICE, "ECDSA-P256", "CN=x", many}, "more than 64");
}

static void only_so_many_wait(Fixture *f, gconstpointer data) {
        GeneratorRequest request = {ALICE, "RSA-3072", "CN=x", NULL};
        const char *text = NULL;
        Heard heard = {0};

        for (int i = 0; i < 1 + GENERATOR_QUEUE_PER_UID_MAX; i++)
                g_assert_cmpint(generator_make(f->generator, &request, on_answer, &heard, &text),
                                ==, 0);
        g_assert_cmpint(generator_make(f->generator, &request, on_answer, &heard, &text), ==,
                        GENERATOR_E_BUSY);
        g_assert_nonnull(strstr(text, "try again"));

        f->generator = generator_free(f->generator); /* those that wait are answered all the same */
        g_assert_cmpuint(heard.n, ==, 1 + GENERATOR_QUEUE_PER_UID_MAX);
        g_assert_cmpint(heard.outcome, ==, GENERATOR_E_STOPPED);
        heard_done(&heard);
}

#define ADD(path, function)                                                                        \
        g_test_add("/generator/" path, Fixture, NULL, set_up, function, tear_down)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD("each-type-is-made-and-signs-its-request", each_type_is_made_and_signs_its_request);
        ADD("the-request-says-who", the_request_says_who);
        ADD("what-cannot-be-is-refused-at-once", what_cannot_be_is_refused_at_once);
        ADD("only-so-many-wait", only_so_many_wait);
        return g_test_run();
}
