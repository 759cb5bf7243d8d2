/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* importer: pairs are read in threads, each in its form; what takes long holds up nobody else. */

#include "keyring/importer.h"
#include "lib/certificates.h"

#include <glib.h>
#include <string.h>

#define ALICE 1000
#define BOB 1001
#define LIMIT_USEC (60 * G_USEC_PER_SEC)

typedef struct Fixture {
        sd_event *event;
        Importer *importer;
        TestIdentity *identity;
} Fixture;

typedef struct Heard {
        unsigned n;
        int outcome;
        const char *text;
        bool fits;
        GString *order; /* a letter for each that was answered; NULL: of no interest */
        char letter;
} Heard;

static void set_up(Fixture *f, gconstpointer data) {
        g_assert_cmpint(sd_event_new(&f->event), >=, 0);
        g_assert_cmpint(importer_new(f->event, &f->importer), ==, 0);
        f->identity = test_identity_new("x", NULL, 0, TEST_KEY_ECDSA);
}

static void tear_down(Fixture *f, gconstpointer data) {
        importer_free(f->importer);
        sd_event_unref(f->event);
        test_identity_free(f->identity);
}

static void on_answer(int outcome, const char *text, Chain *chain, PrivateKey *key,
                      void *userdata) {
        Heard *heard = userdata;

        heard->n++;
        heard->outcome = outcome;
        heard->text = text;
        heard->fits = outcome == 0 && g_bytes_equal(chain_spki(chain), private_key_spki(key));
        if (heard->order)
                g_string_append_c(heard->order, heard->letter);
}

static void wait_for(Fixture *f, const Heard *heard) {
        gint64 limit = g_get_monotonic_time() + LIMIT_USEC;

        while (heard->n == 0) {
                g_assert_cmpint(g_get_monotonic_time(), <, limit);
                g_assert_cmpint(sd_event_run(f->event, 100000), >=, 0);
        }
}

static ImporterRequest request_new(const Fixture *f, uid_t uid) {
        GBytes *pem = test_identity_key_pem(f->identity);

        return (ImporterRequest){
                .uid = uid,
                .form = IMPORTER_KEY,
                .blobs = test_chain_ders(f->identity, NULL),
                .key = secret_new(g_bytes_get_data(pem, NULL), g_bytes_get_size(pem)),
        };
}

static void reads_a_pair(Fixture *f, gconstpointer data) {
        ImporterRequest request = request_new(f, ALICE);
        const char *text = NULL;
        Heard heard = {0};

        g_assert_cmpint(importer_read(f->importer, &request, on_answer, &heard, &text), ==, 0);
        g_assert_null(request.key); /* it is the importer's */
        g_assert_cmpuint(heard.n, ==, 0);
        wait_for(f, &heard);
        g_assert_cmpint(heard.outcome, ==, 0);
        g_assert_true(heard.fits);
}

static void says_what_is_wrong(Fixture *f, gconstpointer data) {
        ImporterRequest requests[3] = {request_new(f, ALICE), request_new(f, ALICE),
                                       request_new(f, ALICE)};
        static const char *const texts[] = {"no certificate", "not a private key",
                                            "brings its chain along"};

        g_ptr_array_set_size(requests[0].blobs, 0);
        secret_free(requests[1].key);
        requests[1].key = secret_new("nonsense", 8);
        requests[2].form = IMPORTER_PKCS12;
        for (size_t i = 0; i < G_N_ELEMENTS(requests); i++) {
                const char *text = NULL;
                Heard heard = {0};

                g_assert_cmpint(importer_read(f->importer, &requests[i], on_answer, &heard, &text),
                                ==, 0);
                wait_for(f, &heard);
                g_assert_cmpint(heard.outcome, ==, IMPORTER_E_BAD_SECRET);
                g_assert_nonnull(strstr(heard.text, texts[i]));
        }
}

/* A key whose passphrase is all the work that may be. */
static Secret *slow_key(void) {
        const char *const arguments[] = {
                "sh", "-c",
                "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 | "
                "openssl pkcs8 -topk8 -passout pass:x -v2prf hmacWithSHA512 -iter 1000000",
                NULL};
        g_autofree char *pem = NULL;

        g_assert_true(g_spawn_sync(NULL, (char **)arguments, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL,
                                   &pem, NULL, NULL, NULL));
        return secret_new(pem, strlen(pem));
}

static void what_takes_long_holds_up_no_other_user(Fixture *f, gconstpointer data) {
        g_autoptr(GString) order = g_string_new(NULL);
        g_autoptr(Secret) slow = slow_key();
        Heard alice[IMPORTER_QUEUE_PER_UID_MAX + 1] = {0};
        Heard bob = {.order = order, .letter = 'b'}, refused = {0};
        ImporterRequest request;
        const char *text = NULL;

        for (size_t i = 0; i < G_N_ELEMENTS(alice); i++) {
                alice[i] = (Heard){.order = order, .letter = 'a'};
                request = request_new(f, ALICE);
                secret_free(request.key);
                request.key = secret_new(secret_peek(slow), secret_size(slow));
                request.passphrase = secret_new("x", 1);
                g_assert_cmpint(importer_read(f->importer, &request, on_answer, &alice[i], &text),
                                ==, 0);
        }
        request = request_new(f, ALICE);
        g_assert_cmpint(importer_read(f->importer, &request, on_answer, &refused, &text), ==,
                        IMPORTER_E_BUSY);
        g_assert_nonnull(strstr(text, "try again"));

        request = request_new(f, BOB);
        g_assert_cmpint(importer_read(f->importer, &request, on_answer, &bob, &text), ==, 0);
        wait_for(f, &bob);
        g_assert_true(bob.fits);
        g_assert_cmpuint(order->len, <=, 2); /* one of alice's may have been done */

        f->importer = importer_free(f->importer);
        g_assert_cmpint(alice[IMPORTER_QUEUE_PER_UID_MAX].outcome, ==, IMPORTER_E_STOPPED);
        g_assert_cmpuint(refused.n, ==, 0);
}

#define ADD(path, function)                                                                        \
        g_test_add("/importer/" path, Fixture, NULL, set_up, function, tear_down)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD("reads-a-pair", reads_a_pair);
        ADD("says-what-is-wrong", says_what_is_wrong);
        ADD("what-takes-long-holds-up-no-other-user", what_takes_long_holds_up_no_other_user);
        return g_test_run();
}
