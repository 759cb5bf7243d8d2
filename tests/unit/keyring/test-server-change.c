/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What changes what is kept, on a slow disk, or where much has to be read: nobody else waits for
 * it, and nothing of it is told before it is there. Both are slow here as long as the test holds
 * them: fsync() is a fake, and so is what GnuTLS is asked for first.
 */

#include "base/memfd.h"
#include "base/use.h"
#include "door.h"
#include "ground.h"
#include "lib/certificates.h"
#include "lib/revocations.h"

#include <dlfcn.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ALICE 1000
#define BOB 1001
#define LIMIT_USEC (30 * G_USEC_PER_SEC)
#define HELD_MAX_USEC LIMIT_USEC /* who waits for it in the loop waits no longer */
#define REVOKED "abcd000000000000000000000000000000000000000000000000000000000001\n"

typedef struct Fixture {
        Door door;
        Ground ground;
        TestIdentity *identity, *another;
        uint64_t key; /* Bob's */
        int uses_fd;
        sd_event_source *uses_source;
        UsePacket *answers;
        unsigned n_used, n_answers, n_errors;
} Fixture;

/* ---- the fake disk and the fake reader ---- */

typedef struct Gate {
        GMutex mutex;
        GCond changed;
        bool is_held, is_waited_at;
} Gate;

static Gate disk, reader;

static void gate_pass(Gate *gate) {
        gint64 limit = g_get_monotonic_time() + HELD_MAX_USEC;

        g_mutex_lock(&gate->mutex);
        gate->is_waited_at = gate->is_held;
        while (gate->is_held)
                if (!g_cond_wait_until(&gate->changed, &gate->mutex, limit))
                        gate->is_held = false;
        gate->is_waited_at = false;
        g_mutex_unlock(&gate->mutex);
}

static void gate_hold(Gate *gate, bool is_held) {
        g_mutex_lock(&gate->mutex);
        gate->is_held = is_held;
        g_cond_signal(&gate->changed);
        g_mutex_unlock(&gate->mutex);
}

static bool gate_is_waited_at(Gate *gate) {
        bool is_waited_at;

        g_mutex_lock(&gate->mutex);
        is_waited_at = gate->is_waited_at;
        g_mutex_unlock(&gate->mutex);
        return is_waited_at;
}

int fsync(int fd) {
        gate_pass(&disk);
        return (int)syscall(SYS_fsync, fd);
}

int gnutls_x509_trust_list_init(gnutls_x509_trust_list_t *list, unsigned size) {
        int (*real)(gnutls_x509_trust_list_t * list, unsigned size) =
                dlsym(RTLD_NEXT, "gnutls_x509_trust_list_init");

        gate_pass(&reader);
        return real(list, size);
}

int gnutls_x509_crl_init(gnutls_x509_crl_t *list) {
        int (*real)(gnutls_x509_crl_t * list) = dlsym(RTLD_NEXT, "gnutls_x509_crl_init");

        gate_pass(&reader);
        return real(list);
}

/* ---- the keyring ---- */

static int on_used(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        Fixture *f = userdata;
        void *bytes;
        Use use;

        if (use_receive(f->answers, fd) < 0) /* the keyring has ended */
                return sd_event_source_set_enabled(source, SD_EVENT_OFF);

        g_assert_true(use_next(f->answers, &use, &bytes));
        g_assert_cmpstr(use.word, ==, "");
        f->n_used++;
        return 0;
}

static int on_answer(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Fixture *f = userdata;

        f->n_answers++;
        f->n_errors += sd_bus_message_is_method_error(m, NULL);
        return 0;
}

static void turn(Fixture *f, gint64 limit) {
        g_assert_cmpint(g_get_monotonic_time(), <, limit);
        g_assert_cmpint(sd_event_run(f->door.event, 10000), >=, 0);
}

static void append_secret(sd_bus_message *m, const void *data, size_t size) {
        int fd;

        g_assert_cmpint(memfd_new(data, size, &fd), ==, 0);
        g_assert_cmpint(sd_bus_message_append(m, "h", fd), >=, 0);
        (void)close(fd);
}

static void append_key(Fixture *f, sd_bus_message *m) {
        gsize size;
        const void *pem = g_bytes_get_data(test_identity_key_pem(f->identity), &size);

        append_secret(m, pem, size);
}

static void import_key_of_bob(Fixture *f) {
        g_autoptr(sd_bus_message) m = door_new_call(&f->door, "ImportPrivateKey");

        g_assert_cmpint(sd_bus_message_append(m, "u", BOB), >=, 0);
        append_key(f, m);
        door_call(&f->door, m);
        g_assert_cmpint(sd_bus_message_read(f->door.reply, "t", &f->key), >, 0);
}

static void set_up(Fixture *f, gconstpointer data) {
        f->ground = ground_new(/* sealed= */ false);
        f->door.store = f->ground.store;
        f->identity = test_identity_new("device", NULL, TEST_IDENTITY_CA, TEST_KEY_ECDSA);
        f->another = test_identity_new("another", NULL, TEST_IDENTITY_CA, TEST_KEY_ECDSA);
        door_set_up(&f->door, NULL);
        f->answers = use_packet_new();
        f->uses_fd = door_open_uses(&f->door);
        g_assert_cmpint(
                sd_event_add_io(f->door.event, &f->uses_source, f->uses_fd, EPOLLIN, on_used, f),
                >=, 0);
        import_key_of_bob(f);
}

static void tear_down(Fixture *f, gconstpointer data) {
        sd_event_source_disable_unref(f->uses_source);
        (void)close(f->uses_fd);
        use_packet_free(f->answers);
        door_tear_down(&f->door, NULL);
        test_identity_free(f->identity);
        test_identity_free(f->another);
        ground_close(&f->ground);
        ground_done(&f->ground);
}

/* Returns when it is answered. */
static void sign_for_bob(Fixture *f) {
        g_autoptr(UsePacket) asked = use_packet_new();
        gint64 limit = g_get_monotonic_time() + LIMIT_USEC;
        const uint8_t hash[32] = "what is signed";
        const Use use = {.key = f->key, .uid = BOB, .size = sizeof(hash), .is_hash = true};
        unsigned n_used = f->n_used;

        g_assert_true(use_put(asked, &use, "ECDSA-SHA256", hash));
        g_assert_cmpint(use_send(asked, f->uses_fd, 0), ==, 0);
        while (f->n_used == n_used)
                turn(f, limit);
}

/* What a method lists, as text. */
static char *list(Fixture *f, const char *method) {
        g_autoptr(sd_bus_message) m = door_new_call(&f->door, method);
        char *text = NULL;
        size_t size;
        FILE *file = open_memstream(&text, &size);

        door_call(&f->door, m);
        g_assert_false(sd_bus_message_is_method_error(f->door.reply, NULL));
        g_assert_cmpint(sd_bus_message_dump(f->door.reply, file, SD_BUS_MESSAGE_DUMP_SUBTREE_ONLY),
                        >=, 0);
        g_assert_cmpint(fclose(file), ==, 0);
        return text;
}

/* ---- the changes ---- */

static void append_blob(sd_bus_message *m, GBytes *blob) {
        gsize size;
        const void *data = g_bytes_get_data(blob, &size);

        g_assert_cmpint(sd_bus_message_open_container(m, 'a', "ay"), >=, 0);
        g_assert_cmpint(sd_bus_message_append_array(m, 'y', data, size), >=, 0);
        g_assert_cmpint(sd_bus_message_close_container(m), >=, 0);
}

static void with_nothing(Fixture *f, sd_bus_message *m) {
}

static void with_psk(Fixture *f, sd_bus_message *m) {
        g_assert_cmpint(sd_bus_message_append_array(m, 'y', "sensor", 6), >=, 0);
        append_secret(m, "a key of some length", 20);
}

static void with_certificate(Fixture *f, sd_bus_message *m) {
        append_blob(m, test_identity_der(f->identity));
}

static void with_no_bytes(Fixture *f, sd_bus_message *m) {
        g_assert_cmpint(sd_bus_message_append_array(m, 'y', NULL, 0), >=, 0);
}

static void with_revoked(Fixture *f, sd_bus_message *m) {
        g_assert_cmpint(sd_bus_message_append_array(m, 'y', REVOKED, strlen(REVOKED)), >=, 0);
}

static void with_another_certificate(Fixture *f, sd_bus_message *m) {
        append_blob(m, test_identity_der(f->another));
}

static void with_fingerprint(Fixture *f, sd_bus_message *m) {
        GBytes *der = test_identity_der(f->another);
        g_autoptr(GChecksum) checksum = g_checksum_new(G_CHECKSUM_SHA256);
        uint8_t digest[32];
        gsize size = sizeof(digest);

        g_checksum_update(checksum, g_bytes_get_data(der, NULL), (gssize)g_bytes_get_size(der));
        g_checksum_get_digest(checksum, digest, &size);
        g_assert_cmpint(sd_bus_message_append_array(m, 'y', digest, size), >=, 0);
}

static void with_list(Fixture *f, sd_bus_message *m) {
        const TestCrl how = {0};
        g_autoptr(GBytes) der = test_crl_new(f->identity, &how, f->another, NULL);
        g_autoptr(GBytes) pem = test_crl_pem(der);
        gsize size;
        const void *data = g_bytes_get_data(pem, &size);

        g_assert_cmpint(sd_bus_message_append_array(m, 'y', data, size), >=, 0);
}

static void with_pin(Fixture *f, sd_bus_message *m) {
        const uint8_t pin[32] = {1};

        g_assert_cmpint(sd_bus_message_append(m, "sq", "meter.example.org", 5684), >=, 0);
        g_assert_cmpint(sd_bus_message_append_array(m, 'y', pin, sizeof(pin)), >=, 0);
}

static void with_first_pin(Fixture *f, sd_bus_message *m) {
        with_pin(f, m);
        g_assert_cmpint(sd_bus_message_append(m, "b", 1), >=, 0);
}

static void with_pair(Fixture *f, sd_bus_message *m) {
        with_certificate(f, m);
        g_assert_cmpint(sd_bus_message_append(m, "s", "key"), >=, 0);
        append_key(f, m);
        g_assert_cmpint(sd_bus_message_append(m, "ah", 0), >=, 0);
}

static void with_subject(Fixture *f, sd_bus_message *m) {
        g_assert_cmpint(sd_bus_message_append(m, "ssas", "ECDSA-P256", "CN=device", 0), >=, 0);
}

typedef struct Case {
        const char *method, *name, *list;
        void (*append)(Fixture *f, sd_bus_message *m);
} Case;

/* Each finds what those before it made. */
static const Case cases[] = {
        {"StorePsk", "u/1000/own", "ListPsks", with_psk},
        {"RemovePsk", "u/1000/own", "ListPsks", with_nothing},
        {"AddTrustAnchors", "u/1000/own", "ListTrusts", with_certificate},
        {"RemoveTrustAnchor", "u/1000/own", "ListTrusts", with_no_bytes},
        {"Pin", "u/1000/pins", "ListPins", with_first_pin},
        {"Unpin", "u/1000/pins", "ListPins", with_pin},
        {"StoreRevocations", "u/1000/own", "ListRevocations", with_revoked},
        {"RemoveRevocations", "u/1000/own", "ListRevocations", with_nothing},
        {"GenerateIdentity", "u/1000/new", "ListIdentities", with_subject},
        {"StoreIdentity", "u/1000/own", "ListIdentities", with_pair},
        {"GenerateIdentity", "u/1000/own", "ListIdentities", with_subject},
        {"InstallCertificate", "u/1000/own", "ListIdentities", with_certificate},
        {"RemoveIdentity", "u/1000/own", "ListIdentities", with_nothing},
};

/* The same for those that have what GnuTLS reads. */
static const Case readings[] = {
        {"AddTrustAnchors", "u/1000/own", "ListTrusts", with_certificate},
        {"AddTrustAnchors", "u/1000/own", "ListTrusts", with_another_certificate},
        {"RemoveTrustAnchor", "u/1000/own", "ListTrusts", with_fingerprint},
        {"StoreRevocations", "u/1000/own", "ListRevocations", with_list},
};

/* Alice's; on_answer() counts. */
static void begin(Fixture *f, const Case *change) {
        g_autoptr(sd_bus_message) m = door_new_call(&f->door, change->method);

        g_assert_cmpint(sd_bus_message_append(m, "us", ALICE, change->name), >=, 0);
        change->append(f, m);
        g_assert_cmpint(sd_bus_call_async(f->door.client, NULL, m, on_answer, f, UINT64_MAX), >=,
                        0);
}

static void wait_until_it_is_at(Fixture *f, Gate *gate) {
        gint64 limit = g_get_monotonic_time() + LIMIT_USEC;

        while (!gate_is_waited_at(gate))
                turn(f, limit);
}

static void nobody_waits_for(Fixture *f, const Case *change, Gate *gate) {
        gint64 limit = g_get_monotonic_time() + LIMIT_USEC;
        g_autofree char *before = list(f, change->list);
        g_autofree char *meanwhile = NULL, *after = NULL;

        f->n_answers = 0;
        gate_hold(gate, true);
        begin(f, change);
        wait_until_it_is_at(f, gate);
        sign_for_bob(f);
        meanwhile = list(f, change->list);
        if (!gate_is_waited_at(gate))
                g_error("%s: a signature waited for it", change->method);
        g_assert_cmpstr(meanwhile, ==, before);
        g_assert_cmpuint(f->n_answers, ==, 0);

        gate_hold(gate, false);
        while (f->n_answers == 0)
                turn(f, limit);
        after = list(f, change->list);
        g_assert_cmpuint(f->n_errors, ==, 0);
        g_assert_cmpstr(after, !=, before);
}

static void nobody_waits_for_another_s_change(Fixture *f, gconstpointer data) {
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
                nobody_waits_for(f, &cases[i], &disk);
}

static void nobody_waits_for_what_another_has_read(Fixture *f, gconstpointer data) {
        for (size_t i = 0; i < G_N_ELEMENTS(readings); i++)
                nobody_waits_for(f, &readings[i], &reader);
}

static void what_is_on_its_way_to_the_disk_gets_there(Fixture *f, gconstpointer data) {
        gint64 limit = g_get_monotonic_time() + LIMIT_USEC;
        g_autoptr(Secret) contents = NULL;

        gate_hold(&disk, true);
        begin(f, &cases[0]);
        begin(f, &cases[1]);
        wait_until_it_is_at(f, &disk);
        g_free(list(f, "ListPsks")); /* was asked behind them, and so the second waits, too */
        gate_hold(&disk, false);
        f->door.server = server_free(f->door.server);

        /* the first was made and told, the second was not made, and told so */
        while (f->n_answers < 2)
                turn(f, limit);
        g_assert_cmpuint(f->n_errors, ==, 1);
        g_assert_cmpint(store_get(f->ground.store, STORE_PSK, "u/1000/own", &contents), ==, 0);
}

#define ADD(path, function)                                                                        \
        g_test_add("/server-change/" path, Fixture, NULL, set_up, function, tear_down)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD("nobody-waits-for-another-s-change", nobody_waits_for_another_s_change);
        ADD("nobody-waits-for-what-another-has-read", nobody_waits_for_what_another_has_read);
        ADD("what-is-on-its-way-to-the-disk-gets-there", what_is_on_its_way_to_the_disk_gets_there);
        return g_test_run();
}
