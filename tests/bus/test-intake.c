/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Secrets that come with a call, with a keyring that this test is: it answers when it is told to.
 */

#include "base/memfd.h"
#include "identity/chain.h"
#include "seat.h"

#include <gnutls/x509.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define KEYRING_ERROR ERROR_PREFIX "BadSecret"

typedef struct Keyring {
        Seat *seat;
        sd_bus *bus;
        GPtrArray *imports; /* messages, unanswered */
        unsigned n_removed;
        uint64_t last_id;
} Keyring;

static int on_import(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Keyring *keyring = userdata;
        const char *member = sd_bus_message_get_member(m);
        uint8_t type;

        if (sd_bus_message_get_type(m, &type) < 0 || type != SD_BUS_MESSAGE_METHOD_CALL)
                return 0;

        if (strcmp(member, "Remove") == 0)
                keyring->n_removed++;
        else if (g_str_has_prefix(member, "Import"))
                g_ptr_array_add(keyring->imports, sd_bus_message_ref(m));
        return 1;
}

static void message_unref(gpointer m) {
        (void)sd_bus_message_unref(m);
}

static void on_keyring_lost(void *userdata) {
}

static Keyring keyring_start(Seat *seat) {
        Keyring keyring = {
                .seat = seat,
                .imports = g_ptr_array_new_with_free_func(message_unref),
        };
        sd_id128_t id = {};
        int pair[2];

        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair),
                        ==, 0);
        g_assert_cmpint(sd_bus_new(&keyring.bus), >=, 0);
        g_assert_cmpint(sd_bus_set_fd(keyring.bus, pair[0], pair[0]), >=, 0);
        g_assert_cmpint(sd_id128_randomize(&id), >=, 0);
        g_assert_cmpint(sd_bus_set_server(keyring.bus, true, id), >=, 0);
        g_assert_cmpint(sd_bus_negotiate_fds(keyring.bus, true), >=, 0);
        g_assert_cmpint(sd_bus_start(keyring.bus), >=, 0);
        g_assert_cmpint(sd_bus_attach_event(keyring.bus, seat->event, SD_EVENT_PRIORITY_NORMAL), >=,
                        0);
        g_assert_cmpint(keys_connect(seat->keys, pair[1], on_keyring_lost, NULL), ==, 0);
        return keyring;
}

/* Apart from keyring_start(), which returns by value. */
static void keyring_listen(Keyring *keyring) {
        g_assert_cmpint(sd_bus_add_filter(keyring->bus, NULL, on_import, keyring), >=, 0);
        seat_run(keyring->seat);
}

static void keyring_stop(Keyring *keyring) {
        if (keyring->bus) {
                (void)sd_bus_detach_event(keyring->bus);
                (void)sd_bus_close_unref(keyring->bus);
        }
        (void)g_ptr_array_unref(keyring->imports);
}

/* Answers the import that came first. @spki: of a private key. */
static void keyring_answers(Keyring *keyring, GBytes *spki) {
        sd_bus_message *import = g_ptr_array_index(keyring->imports, 0);
        sd_bus_message *reply;

        g_assert_cmpint(sd_bus_message_new_method_return(import, &reply), >=, 0);
        g_assert_cmpint(sd_bus_message_append(reply, "t", ++keyring->last_id), >=, 0);
        if (spki)
                g_assert_cmpint(sd_bus_message_append_array(reply, 'y',
                                                            g_bytes_get_data(spki, NULL),
                                                            g_bytes_get_size(spki)),
                                >=, 0);
        g_assert_cmpint(sd_bus_send(keyring->bus, reply, NULL), >=, 0);
        (void)sd_bus_message_unref(reply);
        g_ptr_array_remove_index(keyring->imports, 0);
}

static void keyring_takes(Keyring *keyring, GBytes *spki) {
        keyring_answers(keyring, spki);
        seat_run(keyring->seat);
}

/* ---- calls ---- */

static Call *create_with_psk(Seat *seat, const char *name, int fd) {
        sd_bus_message *m = seat_message(seat, name, ROOT, MANAGER, "CreateConnection");

        g_assert_cmpint(sd_bus_message_append(m, "sa{sv}", "client", 2, "PreSharedKeyIdentity",
                                              "ay", 2, 'm', 'e', "PreSharedKey", "h", fd),
                        >=, 0);
        return seat_send(seat, m);
}

static int psk_fd(void) {
        int fd;

        g_assert_cmpint(memfd_new("secret", 6, &fd), ==, 0);
        return fd;
}

static Seat *seat_with_user(void) {
        Seat *seat = seat_new();

        seat_enter(seat, ":1.1", 1000);
        return seat;
}

static void runs_again(void) {
        g_autoptr(Seat) seat = seat_with_user();
        Keyring keyring = keyring_start(seat);
        g_autoptr(Call) call = NULL;
        int fd = psk_fd();

        keyring_listen(&keyring);
        call = create_with_psk(seat, ":1.1", fd);
        (void)close(fd);
        seat_run(seat);
        g_assert_null(call->reply);
        g_assert_null(relay_find_connection(seat->relay, 1)); /* no effect before */
        g_assert_cmpuint(keyring.imports->len, ==, 1);

        keyring_takes(&keyring, NULL);
        g_assert_null(call_error(call));
        g_assert_nonnull(connection_facts(relay_find_connection(seat->relay, 1)).spec->psk);
        g_assert_null(relay_find_connection(seat->relay, 2));
        /* the object holds the one reference that is left */
        fake_removed(relay_find_connection(seat->relay, 1));
        seat_run(seat);
        g_assert_cmpuint(keyring.n_removed, ==, 1);
        g_assert_cmpuint(quota_used(seat->quota, 1000, QUOTA_FDS), ==, 0);
        keyring_stop(&keyring);
}

static int on_always_ready(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        return 0;
}

static bool is_answered(void *userdata) {
        const Call *call = userdata;

        return call->reply != NULL;
}

/* As while listeners are flooded: in each round of the loop there is something else that waits. */
static void runs_again_beside_what_is_always_ready(void) {
        g_autoptr(Seat) seat = seat_with_user();
        Keyring keyring = keyring_start(seat);
        g_autoptr(Call) call = NULL;
        sd_event_source *sources[2];
        int fd = psk_fd();
        int always[2];

        keyring_listen(&keyring);
        call = create_with_psk(seat, ":1.1", fd);
        (void)close(fd);
        seat_run(seat);
        for (size_t i = 0; i < G_N_ELEMENTS(sources); i++) {
                always[i] = eventfd(1, EFD_CLOEXEC);
                g_assert_cmpint(sd_event_add_io(seat->event, &sources[i], always[i], EPOLLIN,
                                                on_always_ready, NULL),
                                >=, 0);
        }

        keyring_answers(&keyring, NULL);
        (void)seat_run_until(seat, is_answered, call, SEAT_LIMIT_USEC);
        g_assert_null(call_error(call));
        for (size_t i = 0; i < G_N_ELEMENTS(sources); i++) {
                sd_event_source_disable_unref(sources[i]);
                (void)close(always[i]);
        }
        keyring_stop(&keyring);
}

static void later_calls_wait(void) {
        g_autoptr(Seat) seat = seat_with_user();
        Keyring keyring = keyring_start(seat);
        g_autoptr(Call) create = NULL;
        g_autoptr(Call) mtu = NULL;
        g_autoptr(Call) other = NULL;
        int fd = psk_fd();

        seat_enter(seat, ":1.2", 1000);
        keyring_listen(&keyring);
        create = create_with_psk(seat, ":1.1", fd);
        (void)close(fd);
        mtu = seat_call(seat, ":1.1", ROOT "/connection/1", CONNECTION, "SetMtuHint", "q", 1000);
        other = seat_call(seat, ":1.2", ROOT, "org.freedesktop.DBus.Peer", "Ping", "");
        seat_run(seat);
        g_assert_null(mtu->reply);
        g_assert_nonnull(other->reply);

        keyring_takes(&keyring, NULL);
        g_assert_null(call_error(create));
        g_assert_null(call_error(mtu)); /* the object is there when its turn comes */
        g_assert_cmpuint(create->order, <, mtu->order);
        keyring_stop(&keyring);
}

static void a_bad_secret_is_refused(void) {
        g_autoptr(Seat) seat = seat_with_user();
        Keyring keyring = keyring_start(seat);
        g_autoptr(Call) call = NULL;
        int fd = psk_fd();

        keyring_listen(&keyring);
        call = create_with_psk(seat, ":1.1", fd);
        (void)close(fd);
        seat_run(seat);
        g_assert_cmpint(sd_bus_reply_method_errorf(g_ptr_array_index(keyring.imports, 0),
                                                   KEYRING_ERROR, "it is all zeros"),
                        >=, 0);
        seat_run(seat);

        g_assert_cmpstr(call_error(call), ==, ERROR_PREFIX "InvalidInputParameters");
        g_assert_nonnull(strstr(sd_bus_message_get_error(call->reply)->message, "all zeros"));
        g_assert_null(relay_find_connection(seat->relay, 1));
        keyring_stop(&keyring);
}

static void without_a_keyring(void) {
        g_autoptr(Seat) seat = seat_with_user();
        g_autoptr(Call) call = NULL;
        int fd = psk_fd();

        call = create_with_psk(seat, ":1.1", fd);
        (void)close(fd);
        seat_run(seat);
        g_assert_cmpstr(call_error(call), ==, ERROR_PREFIX "TlsInitializationError");
}

static void the_keyring_dies(void) {
        g_autoptr(Seat) seat = seat_with_user();
        Keyring keyring = keyring_start(seat);
        g_autoptr(Call) call = NULL;
        int fd = psk_fd();

        keyring_listen(&keyring);
        call = create_with_psk(seat, ":1.1", fd);
        (void)close(fd);
        seat_run(seat);
        g_ptr_array_set_size(keyring.imports, 0);
        (void)sd_bus_detach_event(keyring.bus);
        keyring.bus = sd_bus_close_unref(keyring.bus);
        seat_run(seat);
        g_assert_cmpstr(call_error(call), ==, ERROR_PREFIX "TlsInitializationError");
        keyring_stop(&keyring);
}

static void the_caller_leaves(void) {
        g_autoptr(Seat) seat = seat_with_user();
        Keyring keyring = keyring_start(seat);
        g_autoptr(Call) call = NULL;
        int fd = psk_fd();

        keyring_listen(&keyring);
        call = create_with_psk(seat, ":1.1", fd);
        (void)close(fd);
        seat_run(seat);
        seat_leave(seat, ":1.1");
        seat_run(seat);
        g_assert_cmpuint(quota_used(seat->quota, 1000, QUOTA_FDS), ==, 0);

        keyring_takes(&keyring, NULL);
        g_assert_null(relay_find_connection(seat->relay, 1));
        g_assert_cmpuint(keyring.n_removed, ==, 1);
        keyring_stop(&keyring);
}

/* ---- a private key and a PSK in one call ---- */

static GBytes *certificate_new(void) {
        gnutls_x509_privkey_t key;
        gnutls_x509_crt_t certificate;
        gnutls_datum_t der;
        GBytes *bytes;

        g_assert_cmpint(gnutls_x509_privkey_init(&key), ==, 0);
        g_assert_cmpint(gnutls_x509_privkey_generate(key, GNUTLS_PK_EDDSA_ED25519, 0, 0), ==, 0);
        g_assert_cmpint(gnutls_x509_crt_init(&certificate), ==, 0);
        g_assert_cmpint(gnutls_x509_crt_set_version(certificate, 3), ==, 0);
        g_assert_cmpint(gnutls_x509_crt_set_serial(certificate, "\1", 1), ==, 0);
        g_assert_cmpint(gnutls_x509_crt_set_dn(certificate, "CN=test", NULL), ==, 0);
        g_assert_cmpint(gnutls_x509_crt_set_activation_time(certificate, time(NULL) - 60), ==, 0);
        g_assert_cmpint(gnutls_x509_crt_set_expiration_time(certificate, time(NULL) + 3600), ==, 0);
        g_assert_cmpint(gnutls_x509_crt_set_key(certificate, key), ==, 0);
        g_assert_cmpint(gnutls_x509_crt_sign2(certificate, certificate, key, GNUTLS_DIG_SHA512, 0),
                        ==, 0);
        g_assert_cmpint(gnutls_x509_crt_export2(certificate, GNUTLS_X509_FMT_DER, &der), ==, 0);
        bytes = g_bytes_new(der.data, der.size);
        gnutls_free(der.data);
        gnutls_x509_crt_deinit(certificate);
        gnutls_x509_privkey_deinit(key);
        return bytes;
}

static Call *create_with_both(Seat *seat, GBytes *certificate, int key_fd, int psk) {
        sd_bus_message *m = seat_message(seat, ":1.1", ROOT, MANAGER, "CreateConnection");

        g_assert_cmpint(sd_bus_message_append(m, "s", "client"), >=, 0);
        g_assert_cmpint(sd_bus_message_open_container(m, 'a', "{sv}"), >=, 0);
        g_assert_cmpint(sd_bus_message_open_container(m, 'e', "sv"), >=, 0);
        g_assert_cmpint(sd_bus_message_append(m, "s", "CertificateChain"), >=, 0);
        g_assert_cmpint(sd_bus_message_open_container(m, 'v', "aay"), >=, 0);
        g_assert_cmpint(sd_bus_message_open_container(m, 'a', "ay"), >=, 0);
        g_assert_cmpint(sd_bus_message_append_array(m, 'y', g_bytes_get_data(certificate, NULL),
                                                    g_bytes_get_size(certificate)),
                        >=, 0);
        g_assert_cmpint(sd_bus_message_close_container(m), >=, 0);
        g_assert_cmpint(sd_bus_message_close_container(m), >=, 0);
        g_assert_cmpint(sd_bus_message_close_container(m), >=, 0);
        g_assert_cmpint(sd_bus_message_append(m, "{sv}{sv}{sv}", "PrivateKey", "h", key_fd,
                                              "PreSharedKeyIdentity", "ay", 1, 'x', "PreSharedKey",
                                              "h", psk),
                        >=, 0);
        g_assert_cmpint(sd_bus_message_close_container(m), >=, 0);
        return seat_send(seat, m);
}

static void two_secrets_one_after_the_other(void) {
        g_autoptr(Seat) seat = seat_with_user();
        Keyring keyring = keyring_start(seat);
        g_autoptr(GBytes) certificate = certificate_new();
        g_autoptr(GPtrArray) blobs = g_ptr_array_new();
        g_autoptr(Chain) chain = NULL;
        g_autoptr(Call) call = NULL;
        const Spec *spec;
        int key_fd = psk_fd(), fd = psk_fd();

        g_ptr_array_add(blobs, certificate);
        g_assert_cmpint(chain_new(blobs, &chain), ==, 0);

        keyring_listen(&keyring);
        call = create_with_both(seat, certificate, key_fd, fd);
        (void)close(key_fd);
        (void)close(fd);
        seat_run(seat);
        g_assert_cmpuint(keyring.imports->len, ==, 1);
        keyring_takes(&keyring, chain_spki(chain));
        g_assert_null(call->reply);
        g_assert_cmpuint(keyring.imports->len, ==, 1);
        keyring_takes(&keyring, NULL);

        g_assert_null(call_error(call));
        spec = connection_facts(relay_find_connection(seat->relay, 1)).spec;
        g_assert_nonnull(spec->key);
        g_assert_nonnull(spec->psk);
        g_assert_cmpuint(key_id(spec->key), ==, 1);
        g_assert_cmpuint(key_id(spec->psk), ==, 2);
        g_assert_cmpuint(quota_used(seat->quota, 1000, QUOTA_FDS), ==, 0);
        keyring_stop(&keyring);
}

/* What was asked is what is done: the secret is out of its owner's hands before anybody thinks
 * about the question, and is not taken a second time after it. */
static void a_secret_is_taken_before_the_question(void) {
        g_autoptr(Seat) seat = seat_with_user();
        Keyring keyring = keyring_start(seat);
        sd_bus_message *m = seat_message(seat, ":1.1", ROOT, MANAGER, "Listen");
        g_autoptr(Call) call = NULL;
        int fd;

        keyring_listen(&keyring);
        seat->has_polkit = true;
        g_assert_cmpint(memfd_new("secret", 6, &fd), ==, 0);
        g_assert_cmpint(sd_bus_message_append(m, "sqa{sv}", "127.0.0.1", 1000, 2,
                                              "PreSharedKeyIdentity", "ay", 2, 'm', 'e',
                                              "PreSharedKey", "h", fd),
                        >=, 0);
        call = seat_send(seat, m);
        seat_run(seat);
        g_assert_cmpuint(keyring.imports->len, ==, 1);
        g_assert_cmpuint(seat->polkit->len, ==, 0);

        keyring_takes(&keyring, NULL);
        g_assert_cmpuint(seat->polkit->len, ==, 1);
        g_assert_cmpint(pwrite(fd, "SECRET", 6, 0), <, 0);
        (void)close(fd);
        seat_polkit_answers(seat, true, false);
        seat_run(seat);
        g_assert_null(call_error(call));
        g_assert_cmpuint(keyring.imports->len, ==, 0);
        g_assert_cmpuint(key_id(listener_facts(relay_find_listener(seat->relay, 1)).spec->psk), ==,
                         1);
        keyring_stop(&keyring);
}

/* ---- what is not a sealed memfd never gets near the keyring ---- */

static void unread(void) {
        g_autoptr(Seat) seat = seat_with_user();
        Keyring keyring = keyring_start(seat);
        int fds[4], pair[2];

        keyring_listen(&keyring);
        g_assert_cmpint(pipe(pair), ==, 0); /* a read would wait for ever */
        fds[0] = pair[0];
        fds[1] = memfd_create("unsealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        fds[2] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        fds[3] = pair[1];
        g_assert_cmpint(ftruncate(fds[1], 16), ==, 0);

        for (size_t i = 0; i < G_N_ELEMENTS(fds); i++) {
                g_autoptr(Call) call = create_with_psk(seat, ":1.1", fds[i]);

                seat_run(seat);
                g_assert_cmpstr(call_error(call), ==, ERROR_PREFIX "InvalidInputParameters");
                (void)close(fds[i]);
        }

        g_assert_cmpuint(keyring.imports->len, ==, 0);
        keyring_stop(&keyring);
}

/* Of what waits for the keyring nobody knows how many fds it holds: it is refused once so many are
 * open that nobody is charged for, and not before. */
static void holds_no_more_fds_than_there_are(void) {
        g_autoptr(Seat) seat = seat_with_user();
        uint64_t limit = quota_limit(seat->quota, 1000, QUOTA_FDS);
        const struct rlimit few = {1000, 4096};
        Keyring keyring = keyring_start(seat);
        g_autoptr(Call) call = NULL;
        int fds[800], fd = psk_fd();
        unsigned n_refused = 0;

        keyring_listen(&keyring);
        g_assert_cmpint(quota_charge(seat->quota, 1000, QUOTA_FDS, limit), ==, 0);
        call = create_with_psk(seat, ":1.1", fd);
        seat_run(seat);
        g_assert_cmpuint(keyring.imports->len, ==, 1);
        keyring_takes(&keyring, NULL);
        g_assert_null(call_error(call));

        g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &few), ==, 0);
        for (size_t i = 0; i < G_N_ELEMENTS(fds); i++)
                fds[i] = dup(STDERR_FILENO);
        for (unsigned i = 0; i < 20; i++) {
                g_autofree char *name = g_strdup_printf(":1.%u", 2 + i);
                g_autoptr(Call) late = NULL;

                seat_enter(seat, name, 1000);
                late = create_with_psk(seat, name, fd);
                seat_run(seat);
                n_refused += late->reply != NULL;
                if (late->reply)
                        g_assert_cmpstr(call_error(late), ==, ERROR_PREFIX "QuotaExceeded");
        }
        g_assert_cmpuint(n_refused, >=, 10);
        g_assert_cmpuint(keyring.imports->len, ==, 20 - n_refused);
        for (size_t i = 0; i < G_N_ELEMENTS(fds); i++)
                (void)close(fds[i]);
        (void)close(fd);
        quota_discharge(seat->quota, 1000, QUOTA_FDS, limit);
        keyring_stop(&keyring);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/bus/intake/a-call-has-no-effect-before-its-secret-is-taken", runs_again);
        g_test_add_func("/bus/intake/a-call-runs-again-beside-what-is-always-ready",
                        runs_again_beside_what_is_always_ready);
        g_test_add_func("/bus/intake/later-calls-of-the-caller-wait-behind-it", later_calls_wait);
        g_test_add_func("/bus/intake/a-bad-secret-is-refused-in-the-keyrings-words",
                        a_bad_secret_is_refused);
        g_test_add_func("/bus/intake/without-a-keyring-it-says-so", without_a_keyring);
        g_test_add_func("/bus/intake/a-keyring-that-dies-answers-the-call", the_keyring_dies);
        g_test_add_func("/bus/intake/a-caller-that-leaves-takes-its-secret-along",
                        the_caller_leaves);
        g_test_add_func("/bus/intake/two-secrets-go-one-after-the-other",
                        two_secrets_one_after_the_other);
        g_test_add_func("/bus/intake/a-secret-is-taken-before-the-question",
                        a_secret_is_taken_before_the_question);
        g_test_add_func("/bus/intake/what-is-not-a-sealed-memfd-is-refused-unread", unread);
        g_test_add_func("/bus/intake/holds-no-more-fds-than-there-are",
                        holds_no_more_fds_than_there_are);
        return g_test_run();
}
