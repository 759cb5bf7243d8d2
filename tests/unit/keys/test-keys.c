/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "keys/keys.h"

#include "base/log.h"
#include "base/memfd.h"
#include "base/terms.h"
#include "base/use.h"
#include "host.h"
#include "keyring/server.h"
#include "material.h"

#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#define ALICE 1000
#define BOB 1001
#define LIMIT_USEC (30 * G_USEC_PER_SEC)
#define TEXT "what is signed"

typedef struct Fixture {
        sd_event *event;
        Keys *keys;
        Host host;
        Server *server; /* a real keyring */
        int other_fd;   /* the keyring's end, while nobody serves it */

        sd_bus *fake; /* a keyring that does as the test says */
        sd_bus_message *held;
        int uses_fd; /* the fake's */
        bool refuses_uses;
        unsigned n_removed;
        uint64_t last_id;

        unsigned n_lost;
        unsigned n_answers_when_lost;
        bool reconnects;
} Fixture;

typedef struct Heard {
        unsigned n_answers;
        int outcome;
        char *text;
        Key *key;
        GBytes *bytes; /* signature or PSK */
} Heard;

static unsigned n_answers_in_all;

/* ---- what is heard ---- */

static void heard_take(Heard *heard, int outcome, const char *text, const void *data, size_t size) {
        n_answers_in_all++;
        heard->n_answers++;
        heard->outcome = outcome;
        g_free(heard->text);
        heard->text = g_strdup(text);
        g_clear_pointer(&heard->bytes, g_bytes_unref);
        heard->bytes = g_bytes_new(data, size);
        g_assert_true((outcome != 0) == (text != NULL));
}

static void on_imported(int outcome, const char *text, Key *key, void *userdata) {
        Heard *heard = userdata;

        heard_take(heard, outcome, text, NULL, 0);
        heard->key = key ? key_ref(key) : NULL;
}

static void on_signed(int outcome, const char *text, const void *signature, size_t size,
                      void *userdata) {
        heard_take(userdata, outcome, text, signature, size);
}

static void on_fetched(int outcome, const char *text, const Secret *psk, void *userdata) {
        heard_take(userdata, outcome, text, psk ? secret_peek(psk) : NULL,
                   psk ? secret_size(psk) : 0);
}

static void heard_done(Heard *heard) {
        g_free(heard->text);
        g_clear_pointer(&heard->bytes, g_bytes_unref);
        heard->key = key_unref(heard->key);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Heard, heard_done)

/* ---- the two ends ---- */

static void on_closed(void *userdata) {
}

static void on_lost(void *userdata);

/* A new connection, whose other end nobody serves yet. */
static void connect_keys(Fixture *f) {
        int pair[2];

        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), ==, 0);
        f->other_fd = pair[1];
        g_assert_cmpint(keys_connect(f->keys, pair[0], on_lost, f), ==, 0);
}

static void serve(Fixture *f) {
        g_assert_cmpint(server_new(f->event, f->other_fd, NULL, on_closed, NULL, &f->server), ==,
                        0);
        f->other_fd = -1;
}

static void on_lost(void *userdata) {
        Fixture *f = userdata;

        f->n_lost++;
        f->n_answers_when_lost = n_answers_in_all;
        g_assert_false(keys_connected(f->keys));
        if (!f->reconnects)
                return;

        connect_keys(f);
        f->server = server_free(f->server);
        serve(f);
}

static int hold(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Fixture *f = userdata;

        g_assert_null(f->held);
        f->held = sd_bus_message_ref(m);
        return 1;
}

static int fake_import(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Fixture *f = userdata;

        return sd_bus_reply_method_return(m, "t", ++f->last_id);
}

static int fake_remove(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Fixture *f = userdata;

        f->n_removed++;
        return sd_bus_reply_method_return(m, "");
}

static int fake_open_uses(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Fixture *f = userdata;
        int pair[2], r;

        if (f->refuses_uses)
                return sd_bus_error_set(ret_error, DTLSD_ERROR_PREFIX "Failed", "no fd is left");

        g_assert_cmpint(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), ==, 0);
        f->uses_fd = pair[0];
        r = sd_bus_reply_method_return(m, "h", pair[1]);
        (void)close(pair[1]);
        return r;
}

/* ImportPsk answers at once; ImportPrivateKey is held back, and what is used not looked at. */
static const sd_bus_vtable fake_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("ImportPrivateKey", "uh", "tay", hold, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("ImportPsk", "uh", "t", fake_import, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("OpenUses", "", "h", fake_open_uses, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Remove", "t", "", fake_remove, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};

static void serve_fake(Fixture *f) {
        g_assert_cmpint(sd_bus_new(&f->fake), >=, 0);
        g_assert_cmpint(
                sd_bus_set_server(f->fake, true,
                                  SD_ID128_MAKE(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1)),
                >=, 0);
        g_assert_cmpint(sd_bus_add_object_vtable(f->fake, NULL, DTLSD_ROOT_PATH,
                                                 DTLSD_INTERFACE_KEYRING, fake_vtable, f),
                        >=, 0);
        g_assert_cmpint(sd_bus_set_fd(f->fake, f->other_fd, f->other_fd), >=, 0);
        f->other_fd = -1;
        g_assert_cmpint(sd_bus_negotiate_fds(f->fake, true), >=, 0);
        g_assert_cmpint(sd_bus_start(f->fake), >=, 0);
        g_assert_cmpint(sd_bus_attach_event(f->fake, f->event, 0), >=, 0);
}

static bool is_asked(const Fixture *f) {
        uint8_t byte;

        return recv(f->uses_fd, &byte, sizeof(byte), MSG_PEEK | MSG_DONTWAIT) > 0;
}

static void answer_use(Fixture *f, uint64_t ticket) {
        const Use use = {.ticket = ticket, .size = 3};
        UsePacket *packet = use_packet_new();

        g_assert_true(use_put(packet, &use, "", "\1\2\3"));
        g_assert_cmpint(use_send(packet, f->uses_fd, 0), ==, 0);
        use_packet_free(packet);
}

static void fixture_set_up(Fixture *f, gconstpointer data) {
        f->other_fd = -1;
        f->uses_fd = -1;
        g_assert_cmpint(sd_event_new(&f->event), >=, 0);
        g_assert_cmpint(keys_new(f->event, &f->keys), ==, 0);
        host_serve(&f->host, f->event, f->keys);
}

static void fixture_tear_down(Fixture *f, gconstpointer data) {
        keys_free(f->keys);
        server_free(f->server);
        sd_bus_message_unref(f->held);
        sd_bus_close_unref(f->fake);
        if (f->other_fd >= 0)
                (void)close(f->other_fd);
        if (f->uses_fd >= 0)
                (void)close(f->uses_fd);
        sd_event_unref(f->event);
}

static void turn(Fixture *f, gint64 limit) {
        g_assert_cmpint(g_get_monotonic_time(), <, limit);
        g_assert_cmpint(sd_event_run(f->event, 10000), >=, 0);
}

static void wait_for(Fixture *f, const unsigned *count, unsigned n) {
        gint64 limit = g_get_monotonic_time() + LIMIT_USEC;

        while (*count < n)
                turn(f, limit);
}

/* Until nothing happens any more. */
static void settle(Fixture *f) {
        while (sd_event_run(f->event, 20000) > 0)
                ;
}

/* ---- asking ---- */

static int new_memfd(const void *data, size_t size) {
        int fd;

        g_assert_cmpint(memfd_new(data, size, &fd), ==, 0);
        return fd;
}

static uint64_t ask_psk(Fixture *f, const char *psk, Heard *heard) {
        int fd = new_memfd(psk, strlen(psk));
        uint64_t ticket = keys_import_psk(f->keys, ALICE, fd, on_imported, heard);

        (void)close(fd); /* ours; it has its own */
        return ticket;
}

static uint64_t ask_private_key(Fixture *f, gnutls_x509_privkey_t private, Heard *heard) {
        g_autoptr(GBytes) pem = material_export(private, MATERIAL_PKCS8_PEM);
        int fd = new_memfd(g_bytes_get_data(pem, NULL), g_bytes_get_size(pem));
        uint64_t ticket = keys_import_private_key(f->keys, ALICE, fd, on_imported, heard);

        (void)close(fd);
        return ticket;
}

static uint64_t ask_signature(Fixture *f, const Key *key, Heard *heard) {
        g_autoptr(GBytes) hash = material_hash(GNUTLS_DIG_SHA256, TEXT);

        return keys_sign(f->keys, key, ALICE, "ECDSA-SHA256", true, g_bytes_get_data(hash, NULL),
                         g_bytes_get_size(hash), on_signed, heard);
}

static Key *import_psk(Fixture *f, const char *psk) {
        g_auto(Heard) heard = {0};

        g_assert_cmpuint(ask_psk(f, psk, &heard), !=, 0);
        g_assert_cmpuint(heard.n_answers, ==, 0);
        wait_for(f, &heard.n_answers, 1);
        g_assert_cmpint(heard.outcome, ==, 0);
        return key_ref(heard.key);
}

static Key *import_ecdsa(Fixture *f) {
        gnutls_x509_privkey_t private = material_key(GNUTLS_PK_ECDSA, 256);
        g_autoptr(GBytes) spki = material_spki(private);
        g_auto(Heard) heard = {0};

        g_assert_cmpuint(ask_private_key(f, private, &heard), !=, 0);
        wait_for(f, &heard.n_answers, 1);
        g_assert_cmpint(heard.outcome, ==, 0);
        g_assert_true(g_bytes_equal(key_spki(heard.key), spki));
        gnutls_x509_privkey_deinit(private);
        return key_ref(heard.key);
}

/* ---- with a real keyring ---- */

static void test_signs(Fixture *f, gconstpointer data) {
        g_autoptr(Key) key = NULL;
        g_auto(Heard) heard = {0};
        const void *signature;
        gsize size;

        connect_keys(f);
        serve(f);
        key = import_ecdsa(f);
        g_assert_true(key_is_alive(key));

        ask_signature(f, key, &heard);
        g_assert_cmpuint(heard.n_answers, ==, 0);
        wait_for(f, &heard.n_answers, 1);
        g_assert_cmpint(heard.outcome, ==, 0);
        signature = g_bytes_get_data(heard.bytes, &size);
        g_assert_true(
                material_verifies(key_spki(key), GNUTLS_SIGN_ECDSA_SHA256, TEXT, signature, size));
}

static void test_fetches_a_psk_for_its_uid_alone(Fixture *f, gconstpointer data) {
        g_autoptr(Key) key = NULL;
        g_auto(Heard) mine = {0};
        g_auto(Heard) others = {0};

        connect_keys(f);
        serve(f);
        key = import_psk(f, "secret");

        keys_fetch_psk(f->keys, key, ALICE, on_fetched, &mine);
        keys_fetch_psk(f->keys, key, BOB, on_fetched, &others);
        wait_for(f, &mine.n_answers, 1);
        wait_for(f, &others.n_answers, 1);
        g_assert_cmpint(mine.outcome, ==, 0);
        g_assert_cmpmem(g_bytes_get_data(mine.bytes, NULL), g_bytes_get_size(mine.bytes), "secret",
                        6);
        g_assert_cmpint(others.outcome, ==, KEYS_E_REFUSED);
        g_assert_cmpuint(g_bytes_get_size(others.bytes), ==, 0);
}

static void test_passes_on_why_a_secret_is_bad(Fixture *f, gconstpointer data) {
        g_auto(Heard) heard = {0};
        int fd = new_memfd("hello", 5);

        connect_keys(f);
        serve(f);
        keys_import_private_key(f->keys, ALICE, fd, on_imported, &heard);
        (void)close(fd);
        wait_for(f, &heard.n_answers, 1);
        g_assert_cmpint(heard.outcome, ==, KEYS_E_BAD_SECRET);
        g_assert_nonnull(strstr(heard.text, "not a private key"));
        g_assert_null(heard.key);
}

static void test_passes_on_a_refusal(Fixture *f, gconstpointer data) {
        g_autoptr(Key) key = NULL;
        g_auto(Heard) heard = {0};

        connect_keys(f);
        serve(f);
        key = import_ecdsa(f);
        keys_sign(f->keys, key, ALICE, "RSA-RAW", true, "x", 1, on_signed, &heard);
        wait_for(f, &heard.n_answers, 1);
        g_assert_cmpint(heard.outcome, ==, KEYS_E_REFUSED);
        g_assert_nonnull(strstr(heard.text, "type of key"));
}

static void test_sends_on_only_sealed_memfds(Fixture *f, gconstpointer data) {
        int unsealed = memfd_create("unsealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        g_auto(Heard) heard = {0};

        g_assert_cmpint(write(unsealed, "secret", 6), ==, 6);
        connect_keys(f);
        serve_fake(f);
        keys_import_psk(f->keys, ALICE, unsealed, on_imported, &heard);
        g_assert_cmpuint(heard.n_answers, ==, 0);
        wait_for(f, &heard.n_answers, 1);
        g_assert_cmpint(heard.outcome, ==, KEYS_E_BAD_SECRET);
        g_assert_cmpstr(heard.text, ==, memfd_outcome_text(MEMFD_E_NOT_SEALED));
        settle(f);
        g_assert_cmpuint(f->last_id, ==, 0);
        (void)close(unsealed);
}

/* ---- time ---- */

static void test_answers_from_the_loop_when_nobody_is_there(Fixture *f, gconstpointer data) {
        g_auto(Heard) heard = {0};
        g_auto(Heard) forgotten = {0};

        g_assert_false(keys_connected(f->keys));
        g_assert_cmpuint(ask_psk(f, "secret", &heard), !=, 0);
        keys_forget(f->keys, ask_psk(f, "secret", &forgotten));
        g_assert_cmpuint(heard.n_answers, ==, 0);
        wait_for(f, &heard.n_answers, 1);
        settle(f);
        g_assert_cmpuint(heard.n_answers, ==, 1);
        g_assert_cmpint(heard.outcome, ==, KEYS_E_GONE);
        g_assert_cmpuint(forgotten.n_answers, ==, 0);
}

/* sd-bus would block in a call with a descriptor until the other end has greeted it. */
static void test_does_not_wait_for_a_keyring_that_starts(Fixture *f, gconstpointer data) {
        g_auto(Heard) heard = {0};
        gint64 before = g_get_monotonic_time();

        connect_keys(f);
        ask_psk(f, "secret", &heard);
        g_assert_cmpint(g_get_monotonic_time() - before, <, G_USEC_PER_SEC);
        settle(f);
        g_assert_cmpuint(heard.n_answers, ==, 0);
        serve(f);
        wait_for(f, &heard.n_answers, 1);
        g_assert_cmpint(heard.outcome, ==, 0);
}

static void test_is_late_with_a_keyring_that_never_greets(Fixture *f, gconstpointer data) {
        g_auto(Heard) heard = {0};

        keys_set_answer_usec(f->keys, 50000);
        connect_keys(f);
        ask_psk(f, "secret", &heard);
        wait_for(f, &heard.n_answers, 1);
        g_assert_cmpint(heard.outcome, ==, KEYS_E_LATE);
        serve_fake(f);
        settle(f);
        g_assert_cmpuint(heard.n_answers, ==, 1);
        g_assert_cmpuint(f->last_id, ==, f->n_removed); /* not imported, or removed again */
}

static void test_is_late_once(Fixture *f, gconstpointer data) {
        g_autoptr(Key) key = NULL;
        g_auto(Heard) heard = {0};
        uint64_t ticket;

        connect_keys(f);
        serve_fake(f);
        key = import_psk(f, "secret");
        keys_set_answer_usec(f->keys, 50000);
        ticket = keys_fetch_psk(f->keys, key, ALICE, on_fetched, &heard);
        wait_for(f, &heard.n_answers, 1);
        g_assert_cmpint(heard.outcome, ==, KEYS_E_LATE);

        g_assert_true(is_asked(f));
        answer_use(f, ticket);
        settle(f);
        g_assert_cmpuint(heard.n_answers, ==, 1);
        g_assert_true(key_is_alive(key));
}

static void test_removes_what_was_imported_too_late(Fixture *f, gconstpointer data) {
        gnutls_x509_privkey_t private = material_key(GNUTLS_PK_ECDSA, 256);
        g_auto(Heard) heard = {0};

        connect_keys(f);
        serve_fake(f);
        keys_set_answer_usec(f->keys, 50000);
        ask_private_key(f, private, &heard);
        wait_for(f, &heard.n_answers, 1);
        g_assert_cmpint(heard.outcome, ==, KEYS_E_LATE);

        g_assert_nonnull(f->held);
        g_assert_cmpint(sd_bus_reply_method_return(f->held, "tay", UINT64_C(7), 2, 1, 2), >=, 0);
        wait_for(f, &f->n_removed, 1);
        g_assert_cmpuint(heard.n_answers, ==, 1);
        gnutls_x509_privkey_deinit(private);
}

/* ---- forgetting and removing ---- */

static void test_does_not_answer_who_forgot(Fixture *f, gconstpointer data) {
        g_autoptr(Key) key = NULL;
        g_auto(Heard) heard = {0};
        uint64_t ticket;

        connect_keys(f);
        serve_fake(f);
        key = import_psk(f, "secret");
        ticket = keys_fetch_psk(f->keys, key, ALICE, on_fetched, &heard);
        while (!is_asked(f))
                turn(f, G_MAXINT64);
        keys_forget(f->keys, ticket);
        keys_forget(f->keys, ticket);
        keys_forget(f->keys, 0);
        answer_use(f, ticket);
        settle(f);
        g_assert_cmpuint(heard.n_answers, ==, 0);
}

static void test_removes_a_forgotten_import(Fixture *f, gconstpointer data) {
        g_auto(Heard) heard = {0};
        uint64_t ticket;

        connect_keys(f);
        serve_fake(f);
        settle(f);
        ticket = ask_psk(f, "secret", &heard);
        keys_forget(f->keys, ticket);
        wait_for(f, &f->n_removed, 1);
        g_assert_cmpuint(heard.n_answers, ==, 0);
}

static void test_removes_with_the_last_reference(Fixture *f, gconstpointer data) {
        Key *key;

        connect_keys(f);
        serve_fake(f);
        key = import_psk(f, "secret");
        g_assert_cmpuint(key_id(key), ==, 1);
        key_unref(key_ref(key));
        settle(f);
        g_assert_cmpuint(f->n_removed, ==, 0);
        key_unref(key);
        wait_for(f, &f->n_removed, 1);
}

static void test_refuses_an_answer_that_is_none(Fixture *f, gconstpointer data) {
        g_autoptr(Key) key = NULL;
        g_auto(Heard) heard = {0};

        connect_keys(f);
        serve_fake(f);
        key = import_psk(f, "secret");
        ask_signature(f, key, &heard);
        g_assert_cmpint(send(f->uses_fd, "nonsense", 8, 0), ==, 8);
        wait_for(f, &heard.n_answers, 1);
        g_assert_cmpint(heard.outcome, ==, KEYS_E_REFUSED);
}

/* ---- death ---- */

static void test_answers_everybody_once_when_it_dies(Fixture *f, gconstpointer data) {
        gnutls_x509_privkey_t private = material_key(GNUTLS_PK_ECDSA, 256);
        g_autoptr(Key) key = NULL;
        Heard heard[30] = {0};
        const unsigned n = G_N_ELEMENTS(heard);

        connect_keys(f);
        serve(f);
        key = import_ecdsa(f);
        n_answers_in_all = 0;
        for (unsigned i = 0; i < n; i += 3) {
                ask_signature(f, key, &heard[i]);
                ask_psk(f, "secret", &heard[i + 1]);
                ask_private_key(f, private, &heard[i + 2]);
        }
        f->server = server_free(f->server);

        wait_for(f, &f->n_lost, 1);
        settle(f);
        g_assert_cmpuint(f->n_lost, ==, 1);
        g_assert_cmpuint(f->n_answers_when_lost, ==, n);
        for (unsigned i = 0; i < n; i++) {
                g_assert_cmpuint(heard[i].n_answers, ==, 1);
                g_assert_cmpint(heard[i].outcome, ==, KEYS_E_GONE);
                heard_done(&heard[i]);
        }
        g_assert_false(key_is_alive(key));
        gnutls_x509_privkey_deinit(private);
}

static void test_lives_on_with_a_new_keyring(Fixture *f, gconstpointer data) {
        g_autoptr(Key) old = NULL;
        g_autoptr(Key) new = NULL;
        g_auto(Heard) heard = {0};

        f->reconnects = true;
        connect_keys(f);
        serve(f);
        old = import_ecdsa(f);
        f->server = server_free(f->server);
        wait_for(f, &f->n_lost, 1);

        g_assert_true(keys_connected(f->keys));
        g_assert_false(key_is_alive(old));
        new = import_ecdsa(f);
        g_assert_cmpuint(key_id(new), ==, key_id(old)); /* the same number of another keyring */

        ask_signature(f, old, &heard);
        wait_for(f, &heard.n_answers, 1);
        g_assert_cmpint(heard.outcome, ==, KEYS_E_GONE);
        g_assert_nonnull(strstr(heard.text, "lost"));

        old = key_unref(old); /* must not remove the new one */
        ask_signature(f, new, &heard);
        wait_for(f, &heard.n_answers, 2);
        g_assert_cmpint(heard.outcome, ==, 0);
        f->reconnects = false;
}

/* It would be none for any handshake. */
static void test_loses_a_keyring_that_opens_no_uses(Fixture *f, gconstpointer data) {
        g_auto(Heard) heard = {0};

        f->refuses_uses = true;
        connect_keys(f);
        ask_psk(f, "secret", &heard);
        serve_fake(f);
        wait_for(f, &f->n_lost, 1);
        wait_for(f, &heard.n_answers, 1);
        g_assert_cmpint(heard.outcome, ==, KEYS_E_GONE);
        g_assert_false(keys_connected(f->keys));
}

static void test_drops_a_connection_for_another(Fixture *f, gconstpointer data) {
        g_autoptr(Key) old = NULL;
        g_auto(Heard) heard = {0};

        connect_keys(f);
        serve_fake(f);
        old = import_psk(f, "secret");
        keys_fetch_psk(f->keys, old, ALICE, on_fetched, &heard);
        connect_keys(f);
        g_assert_cmpuint(heard.n_answers, ==, 0);
        serve(f);
        wait_for(f, &heard.n_answers, 1);
        settle(f);
        g_assert_cmpint(heard.outcome, ==, KEYS_E_GONE);
        g_assert_cmpuint(heard.n_answers, ==, 1);
        g_assert_false(key_is_alive(old));
        g_assert_true(keys_connected(f->keys));
        g_assert_cmpuint(f->n_lost, ==, 0);
}

static void test_keys_outlive_keys(Fixture *f, gconstpointer data) {
        Key *key;

        connect_keys(f);
        serve(f);
        key = import_ecdsa(f);
        f->keys = keys_free(f->keys);
        g_assert_false(key_is_alive(key));
        g_assert_nonnull(key_spki(key));
        key_unref(key);
}

static void be_a_keyring(int fd) {
        Server *server;
        sd_event *event;

        if (sd_event_new(&event) < 0 || server_new(event, fd, NULL, on_closed, NULL, &server) < 0)
                _exit(1);
        (void)sd_event_loop(event);
        _exit(0);
}

static void test_notices_a_killed_process(Fixture *f, gconstpointer data) {
        g_autoptr(Key) key = NULL;
        g_auto(Heard) heard = {0};
        pid_t pid;

        connect_keys(f);
        pid = fork();
        g_assert_cmpint(pid, >=, 0);
        if (pid == 0)
                be_a_keyring(f->other_fd);
        (void)close(f->other_fd);
        f->other_fd = -1;

        key = import_ecdsa(f);
        g_assert_cmpint(kill(pid, SIGSTOP), ==, 0);
        ask_signature(f, key, &heard);
        settle(f);
        g_assert_cmpuint(heard.n_answers, ==, 0);
        g_assert_cmpint(kill(pid, SIGKILL), ==, 0);
        g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
        wait_for(f, &f->n_lost, 1);
        g_assert_cmpuint(heard.n_answers, ==, 1);
        g_assert_cmpint(heard.outcome, ==, KEYS_E_GONE);
}

static void add(const char *name, void (*test)(Fixture *, gconstpointer)) {
        g_test_add(name, Fixture, NULL, fixture_set_up, test, fixture_tear_down);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        log_set_level(LOG_ERR);
        add("/keys/sign/verifies-with-the-public-key-of-the-import", test_signs);
        add("/keys/fetch/gives-a-psk-to-its-uid-alone", test_fetches_a_psk_for_its_uid_alone);
        add("/keys/refusal/passes-on-why-a-secret-is-bad", test_passes_on_why_a_secret_is_bad);
        add("/keys/refusal/passes-on-the-keyrings-text", test_passes_on_a_refusal);
        add("/keys/refusal/takes-an-answer-that-is-none-for-one",
            test_refuses_an_answer_that_is_none);
        add("/keys/import/sends-on-only-sealed-memfds", test_sends_on_only_sealed_memfds);
        add("/keys/answer/comes-from-the-loop-when-nobody-is-there",
            test_answers_from_the_loop_when_nobody_is_there);
        add("/keys/answer/does-not-wait-for-a-keyring-that-starts",
            test_does_not_wait_for_a_keyring_that_starts);
        add("/keys/late/with-a-keyring-that-never-greets",
            test_is_late_with_a_keyring_that_never_greets);
        add("/keys/late/is-said-once", test_is_late_once);
        add("/keys/late/removes-what-was-imported-too-late",
            test_removes_what_was_imported_too_late);
        add("/keys/forget/does-not-answer-who-forgot", test_does_not_answer_who_forgot);
        add("/keys/forget/removes-what-was-imported-for-nobody", test_removes_a_forgotten_import);
        add("/keys/key/is-removed-with-its-last-reference", test_removes_with_the_last_reference);
        add("/keys/key/outlives-the-client", test_keys_outlive_keys);
        add("/keys/death/answers-everybody-once", test_answers_everybody_once_when_it_dies);
        add("/keys/death/of-a-killed-process-is-noticed", test_notices_a_killed_process);
        add("/keys/death/is-mended-by-a-new-keyring", test_lives_on_with_a_new_keyring);
        add("/keys/death/is-that-of-a-keyring-that-opens-no-uses",
            test_loses_a_keyring_that_opens_no_uses);
        add("/keys/connect/drops-the-connection-before", test_drops_a_connection_for_another);
        return g_test_run();
}
