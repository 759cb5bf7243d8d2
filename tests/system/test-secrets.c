/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Secrets stay where they belong: keys and plaintext are in no line of the log and in no signal to
 * who only watches, and what the keyring keeps is not in the memory of dtlsd itself.
 */

#include "memory.h"
#include "stage.h"

#include <gnutls/x509.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#define PLAINTEXT "a plaintext that nobody else may see"
#define SECRET_SIZE 32
#ifdef __SANITIZE_ADDRESS__
#define MANY_HANDSHAKES 50 /* each is slower by an order of magnitude, and so is the search */
#else
#define MANY_HANDSHAKES 1000
#endif

/* Of a private key. */
typedef struct Scalar {
        uint8_t bytes[SECRET_SIZE], reversed[SECRET_SIZE]; /* as numbers lie in memory here */
} Scalar;

typedef struct World {
        Service *service;
        sd_bus *bus;
        uid_t uid;
        TestIdentity *identity, *ca;
        uint8_t psk[SECRET_SIZE], asked_psk[SECRET_SIZE], stored_psk[SECRET_SIZE];
        char psk_identity[SECRET_SIZE + 1];
        Scalar given, made; /* the identity's, and one that the keyring has made */
        uint8_t cookie_secret[SECRET_SIZE];
} World;

static void fill_random(uint8_t secret[SECRET_SIZE]) {
        for (size_t i = 0; i < SECRET_SIZE; i++)
                secret[i] = (uint8_t)g_test_rand_int();
}

static void read_scalar(gnutls_x509_privkey_t key, Scalar *ret) {
        gnutls_datum_t k = {0};

        g_assert_cmpint(gnutls_x509_privkey_export_ecc_raw(key, NULL, NULL, NULL, &k), >=, 0);
        /* left-padded, or with a zero byte in front */
        for (size_t i = 0; i < MIN(k.size, SECRET_SIZE); i++) {
                ret->reversed[i] = k.data[k.size - 1 - i];
                ret->bytes[SECRET_SIZE - 1 - i] = k.data[k.size - 1 - i];
        }
        gnutls_free(k.data);
}

static void set_up(World *world, const void *unused) {
        fill_random(world->psk);
        fill_random(world->asked_psk);
        fill_random(world->stored_psk);
        fill_random(world->cookie_secret);
        for (int i = 0; i < SECRET_SIZE; i++)
                world->psk_identity[i] = (char)g_test_rand_int_range('a', 'z');
        world->identity =
                test_identity_new("localhost", NULL, TEST_IDENTITY_LOOPBACK, TEST_KEY_ECDSA);
        world->ca = test_identity_new("ca", NULL, TEST_IDENTITY_CA, TEST_KEY_ECDSA);
        read_scalar(test_identity_key(world->identity), &world->given);
        (void)g_setenv("DTLSD_LOG_LEVEL", "debug", TRUE);
        world->service = service_start(NULL);
        world->bus = service_bus(world->service, UID_ALICE);
        world->uid = geteuid() == 0 ? UID_ALICE : geteuid();
}

static void tear_down(World *world, const void *unused) {
        (void)bus_leave(world->bus);
        service_stop(world->service);
        (void)test_identity_free(world->identity);
        (void)test_identity_free(world->ca);
        (void)g_unsetenv("DTLSD_LOG_LEVEL");
}

/* ---- connections of every kind of secret ---- */

static char *listen_with(World *world, sd_bus_message *m, uint16_t *ret_port) {
        char *path = options_end_path(world->bus, m);

        *ret_port = get_port(world->bus, path);
        return path;
}

static sd_bus_message *listen_message(World *world) {
        return options_begin(world->bus, ROOT, MANAGER, "Listen", "sq", "127.0.0.1", 0);
}

static sd_bus_message *client_message(World *world, uint16_t port) {
        sd_bus_message *m =
                options_begin(world->bus, ROOT, MANAGER, "CreateConnection", "s", "client");

        g_assert_cmpint(sd_bus_message_append(m, "{sv}{sv}{sv}", "PeerAddress", "s", "127.0.0.1",
                                              "PeerPort", "q", port, "DatagramSignals", "b", true),
                        >=, 0);
        return m;
}

static void add_psk(World *world, sd_bus_message *m, const uint8_t psk[SECRET_SIZE]) {
        options_add_bytes(m, "PreSharedKeyIdentity", world->psk_identity, SECRET_SIZE);
        options_add_secret(m, "PreSharedKey", psk, SECRET_SIZE);
}

static char *open_with(World *world, sd_bus_message *m) {
        char *path = options_end_path(world->bus, m);

        do_handshake(world->bus, path);
        return path;
}

static void wait_open(World *world, const char *path) {
        wait_string(world->bus, path, CONNECTION, "HandshakeState", "HandshakeComplete");
}

/* Both ends with their key in the keyring. */
static void live_with_psk(World *world) {
        sd_bus_message *m = listen_message(world);
        g_autofree char *listener = NULL, *client = NULL;
        uint16_t port;

        add_psk(world, m, world->psk);
        options_add_secret(m, "CookieSecret", world->cookie_secret, SECRET_SIZE);
        listener = listen_with(world, m, &port);
        m = client_message(world, port);
        add_psk(world, m, world->psk);
        client = open_with(world, m);
        wait_open(world, client);
        write_datagram(world->bus, client, PLAINTEXT, strlen(PLAINTEXT));
}

static void live_with_certificate(World *world) {
        sd_bus_message *m = listen_message(world);
        g_autofree char *listener = NULL, *client = NULL;
        uint16_t port;

        options_add_identity(m, world->identity);
        listener = listen_with(world, m, &port);
        m = client_message(world, port);
        options_add_certificate(m, "CaCertificates", world->identity);
        options_add_identity(m, world->identity);
        client = open_with(world, m);
        wait_open(world, client);
        write_datagram(world->bus, client, PLAINTEXT, strlen(PLAINTEXT));
}

/* The listener's owner is asked, and answers over the bus. */
static void live_with_asked_psk(World *world, Ear *ear) {
        g_autofree char *listener = NULL, *client = NULL;
        g_auto(GStrv) words = NULL;
        sd_bus_message *m;
        uint16_t port;

        listener = listen_asking(world->bus, &port);
        m = client_message(world, port);
        add_psk(world, m, world->asked_psk);
        client = open_with(world, m);
        words = g_strsplit(ear_wait(ear, "PskRequired|")->str, "|", -1);

        provide_psk(world->bus, words[1], "", world->asked_psk, SECRET_SIZE);
        wait_open(world, client);
        write_datagram(world->bus, client, PLAINTEXT, strlen(PLAINTEXT));
}

/* One handshake after the other, and the last association stays. */
static void shake_hands(World *world, const char *client, unsigned n) {
        for (unsigned i = 0; i < n; i++) {
                if (i > 0)
                        (void)sd_bus_message_unref(
                                call(world->bus, client, CONNECTION, "Shutdown", ""));
                do_handshake(world->bus, client);
                wait_open(world, client);
        }
        write_datagram(world->bus, client, PLAINTEXT, strlen(PLAINTEXT));
}

/* Both ends by the name of a key in the store, which is there twice, one after the other. */
static void live_with_stored_psk(World *world, unsigned n_handshakes) {
        g_autofree char *name = g_strdup_printf("u/%u/x", world->uid);
        g_autofree char *listener = NULL, *client = NULL;
        sd_bus_message *m;
        uint16_t port;

        for (int i = 0; i < 2; i++) {
                m = options_begin(world->bus, ROOT, MANAGER, "SetPsk", "s", name);
                options_add_bytes(m, "Identity", world->psk_identity, SECRET_SIZE);
                options_add_secret(m, "Key", world->stored_psk, SECRET_SIZE);
                (void)sd_bus_message_unref(options_end(world->bus, m));
        }

        m = listen_message(world);
        g_assert_cmpint(sd_bus_message_append(m, "{sv}", "Psks", "as", 1, name), >=, 0);
        listener = listen_with(world, m, &port);
        m = client_message(world, port);
        g_assert_cmpint(sd_bus_message_append(m, "{sv}", "Psks", "as", 1, name), >=, 0);
        client = options_end_path(world->bus, m);
        shake_hands(world, client, n_handshakes);
}

/* What an authority makes of its request is the new identity's certificate. */
static void generate(World *world, const char *name) {
        sd_bus_message *reply,
                *m = options_begin(world->bus, ROOT, MANAGER, "GenerateIdentity", "s", name);
        g_autoptr(GBytes) der = NULL;
        const char *csr;

        reply = options_end(world->bus, m);
        g_assert_cmpint(sd_bus_message_read(reply, "s", &csr), >=, 0);
        der = test_certify(csr, world->ca);
        (void)sd_bus_message_unref(reply);

        m = NULL;
        g_assert_cmpint(sd_bus_message_new_method_call(world->bus, &m, NAME, ROOT, MANAGER,
                                                       "InstallCertificate"),
                        >=, 0);
        g_assert_cmpint(sd_bus_message_append(m, "s", name), >=, 0);
        g_assert_cmpint(sd_bus_message_open_container(m, 'a', "ay"), >=, 0);
        g_assert_cmpint(sd_bus_message_append_array(m, 'y', g_bytes_get_data(der, NULL),
                                                    g_bytes_get_size(der)),
                        >=, 0);
        g_assert_cmpint(sd_bus_message_close_container(m), >=, 0);
        g_assert_cmpint(sd_bus_call(world->bus, m, CALL_USEC, NULL, NULL), >=, 0);
        (void)sd_bus_message_unref(m);
}

/* From the keyring's own file. */
static void read_made_key(World *world) {
        g_autofree char *path = g_strdup_printf("%s/store/identity:u,%u,made",
                                                service_directory(world->service), world->uid);
        static const char begin[] = "-----BEGIN PRIVATE KEY";
        g_autofree char *contents = NULL;
        gnutls_x509_privkey_t key;
        gnutls_datum_t pem;
        gsize size;

        g_assert_true(g_file_get_contents(path, &contents, &size, NULL));
        pem.data = memmem(contents, size, begin, strlen(begin)); /* there is a digest before it */
        g_assert_nonnull(pem.data);
        pem.size = (unsigned)strlen((char *)pem.data);
        g_assert_cmpint(gnutls_x509_privkey_init(&key), >=, 0);
        g_assert_cmpint(gnutls_x509_privkey_import(key, &pem, GNUTLS_X509_FMT_PEM), >=, 0);
        read_scalar(key, &world->made);
        gnutls_x509_privkey_deinit(key);
}

/* Both ends by the name of a key that the keyring has made; and at the end one handshake that is
 * signed and not complete, for which a fiber of each end stands where it stands. */
static void live_with_made_key(World *world, unsigned n_handshakes) {
        g_autofree char *name = g_strdup_printf("u/%u/made", world->uid);
        g_autofree char *listener = NULL, *client = NULL, *doubtful = NULL;
        sd_bus_message *m = listen_message(world);
        uint16_t port;

        generate(world, name);
        g_assert_cmpint(sd_bus_message_append(m, "{sv}", "Identity", "s", name), >=, 0);
        listener = listen_with(world, m, &port);
        m = client_message(world, port);
        options_add_certificate(m, "CaCertificates", world->ca);
        g_assert_cmpint(sd_bus_message_append(m, "{sv}", "Identity", "s", name), >=, 0);
        client = options_end_path(world->bus, m);
        shake_hands(world, client, n_handshakes);

        m = client_message(world, port);
        g_assert_cmpint(sd_bus_message_append(m, "{sv}", "Identity", "s", name), >=, 0);
        doubtful = open_with(world, m);
        wait_string(world->bus, doubtful, CONNECTION, "HandshakeState", "PeerVerificationFailed");
        read_made_key(world);
}

/* One that fails of its key, which is where a careless line would be. */
static void fail_with_psk(World *world) {
        uint8_t wrong[SECRET_SIZE] = {1};
        sd_bus_message *m = listen_message(world);
        g_autofree char *listener = NULL, *client = NULL;
        uint16_t port;

        add_psk(world, m, wrong);
        listener = listen_with(world, m, &port);
        m = client_message(world, port);
        add_psk(world, m, world->psk);
        g_assert_cmpint(sd_bus_message_append(m, "{sv}", "HandshakeDeadline", "u", 200), >=, 0);
        client = open_with(world, m);
        wait_string(world->bus, client, CONNECTION, "HandshakeState", "HandshakeNotStarted");
}

static void live(World *world, Ear *ear) {
        live_with_psk(world);
        live_with_certificate(world);
        live_with_asked_psk(world, ear);
        live_with_stored_psk(world, 1);
        live_with_made_key(world, 1);
        fail_with_psk(world);
        ear_catch_up(ear);
}

/* ---- what must be nowhere ---- */

static char *hex(const uint8_t *data, size_t size) {
        GString *text = g_string_new(NULL);

        for (size_t i = 0; i < size; i++)
                g_string_append_printf(text, "%02x", data[i]);

        return g_string_free(text, FALSE);
}

/* The middle of the PEM, all of it base64. */
static Needle pem_needle(const World *world) {
        const char *pem = g_bytes_get_data(test_identity_key_pem(world->identity), NULL);
        const char *line = strchr(pem, '\n');

        g_assert_nonnull(line);
        return (Needle){"a private key's PEM", line + 1, 48};
}

static void assert_not_in_log(World *world, const Needle *needle) {
        g_autofree char *log = service_log(world->service);
        g_autofree char *as_hex = hex(needle->data, needle->size);
        g_autofree char *upper = g_ascii_strup(as_hex, -1);

        g_assert_nonnull(strstr(log, "opened")); /* or nothing is logged at all */
        if (memmem(log, strlen(log), needle->data, needle->size) || strstr(log, as_hex) ||
            strstr(log, upper))
                g_error("the log has %s:\n%s", needle->name, log);
}

static void test_no_secret_is_logged(World *world, const void *unused) {
        g_autoptr(Ear) ear = ear_new(world->bus);
        const Needle needles[] = {
                {"a PSK", world->psk, SECRET_SIZE},
                {"a PSK that was asked for", world->asked_psk, SECRET_SIZE},
                {"a PSK of the store", world->stored_psk, SECRET_SIZE},
                {"a private key", world->given.bytes, SECRET_SIZE},
                {"a private key that was made", world->made.bytes, SECRET_SIZE},
                {"a cookie's secret", world->cookie_secret, SECRET_SIZE},
                {"plaintext", PLAINTEXT, strlen(PLAINTEXT)},
                pem_needle(world),
        };

        live(world, ear);
        for (size_t i = 0; i < G_N_ELEMENTS(needles); i++)
                assert_not_in_log(world, &needles[i]);
}

static void test_no_secret_is_signalled(World *world, const void *unused) {
        g_autoptr(Ear) ear = ear_new(world->bus), same_user = NULL, root = NULL;
        sd_bus *buses[2] = {service_bus(world->service, UID_ALICE), NULL};
        const Needle needles[] = {
                {"a PSK", world->psk, SECRET_SIZE},
                {"a PSK that was asked for", world->asked_psk, SECRET_SIZE},
                {"a PSK of the store", world->stored_psk, SECRET_SIZE},
                {"a private key", world->given.bytes, SECRET_SIZE},
                {"a private key that was made", world->made.bytes, SECRET_SIZE},
                {"a cookie's secret", world->cookie_secret, SECRET_SIZE},
                pem_needle(world),
        };

        same_user = ear_new(buses[0]);
        (void)sd_bus_message_unref(call(buses[0], ROOT, MANAGER, "Subscribe", "a{sv}", 0));
        if (geteuid() == 0) {
                buses[1] = service_bus(world->service, 0);
                root = ear_new(buses[1]);
                (void)sd_bus_message_unref(
                        call(buses[1], ROOT, MANAGER, "Subscribe", "a{sv}", 1, "All", "b", true));
        }

        live(world, ear);
        (void)ear_wait(same_user, "StateChanged|");
        for (size_t i = 0; i < G_N_ELEMENTS(needles); i++) {
                g_assert_false(ear_has_bytes(ear, needles[i].data, needles[i].size));
                g_assert_false(ear_has_bytes(same_user, needles[i].data, needles[i].size));
                if (root)
                        g_assert_false(ear_has_bytes(root, needles[i].data, needles[i].size));
        }
        /* plaintext is the owner's alone */
        g_assert_false(ear_has_bytes(same_user, PLAINTEXT, strlen(PLAINTEXT)));
        if (root)
                g_assert_false(ear_has_bytes(root, PLAINTEXT, strlen(PLAINTEXT)));

        g_clear_pointer(&same_user, ear_free);
        g_clear_pointer(&root, ear_free);
        (void)bus_leave(buses[0]);
        if (buses[1])
                (void)bus_leave(buses[1]);
}

/* ---- memory ---- */

static void assert_not_in_memory(World *world, const Needle *needles, size_t n) {
        for (size_t i = 0; i < n; i++) {
                g_autofree char *found = memory_find(service_pid(world->service), &needles[i]);

                if (found)
                        g_error("%s is at %s", needles[i].name, found);
        }
}

/* What remains where memory was given back: an allocator writes into its beginning. */
static Needle tail(const char *name, const uint8_t secret[SECRET_SIZE]) {
        return (Needle){name, secret + SECRET_SIZE / 2, SECRET_SIZE / 2};
}

static bool is_root(void) {
        if (geteuid() == 0)
                return true;

        g_test_skip("only root reads another process's memory");
        return false;
}

/* Or the search would find nothing anywhere. */
static void assert_in_memory(pid_t pid, const Needle *needle) {
        g_autofree char *found = memory_find(pid, needle);

        if (!found)
                g_error("%s is nowhere", needle->name);
}

/* Looked for after each use, before what comes next may write over it by chance. */
static void test_what_the_keyring_keeps_is_not_in_memory(World *world, const void *unused) {
        g_autoptr(Ear) ear = ear_new(world->bus);
        const Needle needles[] = {
                tail("a PSK of the keyring", world->psk),
                tail("a PSK that was asked for", world->asked_psk),
                tail("a PSK of the store", world->stored_psk),
                tail("a private key", world->given.bytes),
                tail("a private key, reversed", world->given.reversed),
                pem_needle(world),
        };
        const Needle known = {"an identity", world->psk_identity, SECRET_SIZE};

        if (!is_root())
                return;

        live_with_psk(world);
        assert_not_in_memory(world, needles, G_N_ELEMENTS(needles));
        live_with_certificate(world);
        assert_not_in_memory(world, needles, G_N_ELEMENTS(needles));
        live_with_asked_psk(world, ear);
        assert_not_in_memory(world, needles, G_N_ELEMENTS(needles));
        live_with_stored_psk(world, MANY_HANDSHAKES);
        assert_not_in_memory(world, needles, G_N_ELEMENTS(needles));
        fail_with_psk(world);
        assert_not_in_memory(world, needles, G_N_ELEMENTS(needles));

        assert_in_memory(service_pid(world->service), &known);
        assert_in_memory(service_keyring_pid(world->service), &needles[4]);
}

static void test_what_the_keyring_makes_is_not_in_memory(World *world, const void *unused) {
        Needle needles[2];

        if (!is_root())
                return;

        live_with_made_key(world, MANY_HANDSHAKES);
        needles[0] = tail("a private key that was made", world->made.bytes);
        needles[1] = tail("a private key that was made, reversed", world->made.reversed);
        assert_not_in_memory(world, needles, G_N_ELEMENTS(needles));
        assert_in_memory(service_keyring_pid(world->service), &needles[1]);
}

/* ---- what a rule lets rest ---- */

#define REST_RULE "[Rest]\nSubjects=any\nVerdict=allow\nMay=rest-psk\n"

static void store_psk(World *world, const char *name) {
        sd_bus_message *m = options_begin(world->bus, ROOT, MANAGER, "SetPsk", "s", name);

        options_add_bytes(m, "Identity", name, strlen(name));
        options_add_secret(m, "Key", world->stored_psk, SECRET_SIZE);
        (void)sd_bus_message_unref(options_end(world->bus, m));
}

/* A listener with a key of its own and one of the store, each of which was used. */
static char *listen_at_rest(World *world, const char *name) {
        g_autofree char *own = NULL, *stored = NULL;
        sd_bus_message *m = listen_message(world);
        char *listener;
        uint16_t port;

        store_psk(world, name);
        add_psk(world, m, world->psk);
        g_assert_cmpint(sd_bus_message_append(m, "{sv}", "Psks", "as", 1, name), >=, 0);
        listener = listen_with(world, m, &port);

        m = client_message(world, port);
        add_psk(world, m, world->psk);
        own = open_with(world, m);
        wait_open(world, own);
        m = client_message(world, port);
        options_add_bytes(m, "PreSharedKeyIdentity", name, strlen(name));
        options_add_secret(m, "PreSharedKey", world->stored_psk, SECRET_SIZE);
        stored = open_with(world, m);
        wait_open(world, stored);
        return listener;
}

static void by_replacing(World *world, const char *name, const char *listener) {
        store_psk(world, name);
}

static void by_removing(World *world, const char *name, const char *listener) {
        (void)sd_bus_message_unref(call(world->bus, ROOT, MANAGER, "RemovePsk", "s", name));
}

static void by_closing(World *world, const char *name, const char *listener) {
        close_object(world->bus, listener, LISTENER);
}

static void by_configuring(World *world, const char *name, const char *listener) {
        sd_bus_message *m = options_begin(world->bus, listener, LISTENER, "SetConfiguration", "");

        add_psk(world, m, world->asked_psk);
        (void)sd_bus_message_unref(options_end(world->bus, m));
}

static void by_reloading(World *world, const char *name, const char *listener) {
        service_rule(world->service, REST_RULE);
}

static void by_forbidding(World *world, const char *name, const char *listener) {
        service_rule(world->service, "");
}

static bool keyring_is_another(void *userdata) {
        const pid_t *old = ((void **)userdata)[0];
        pid_t now = service_keyring_pid(((void **)userdata)[1]);

        return now != 0 && now != *old;
}

static void by_killing(World *world, const char *name, const char *listener) {
        pid_t pid = service_keyring_pid(world->service);

        g_assert_cmpint(kill(pid, SIGKILL), ==, 0);
        bus_wait(world->bus, keyring_is_another, (void *[]){&pid, world->service}, "a new keyring");
}

static void test_what_rests_is_wiped(World *world, const void *unused) {
        static const struct {
                void (*wipe)(World *world, const char *name, const char *listener);
                bool only_stored;
        } ways[] = {
                {by_replacing, true},    {by_removing, true},   {by_closing, false},
                {by_configuring, false}, {by_reloading, false}, {by_forbidding, false},
                {by_killing, false},
        };
        g_autofree char *name = g_strdup_printf("u/%u/rests", world->uid);
        const Needle own = tail("a PSK that rested", world->psk);
        const Needle stored = tail("a PSK of the store that rested", world->stored_psk);
        pid_t pid = service_pid(world->service);

        if (!is_root())
                return;

        g_free(listen_at_rest(world, name));
        assert_not_in_memory(world, &own, 1);
        assert_not_in_memory(world, &stored, 1);

        for (size_t i = 0; i < G_N_ELEMENTS(ways); i++) {
                g_autofree char *listener = NULL;

                service_rule(world->service, REST_RULE);
                listener = listen_at_rest(world, name);
                assert_in_memory(pid, &own);
                assert_in_memory(pid, &stored);
                ways[i].wipe(world, name, listener);
                assert_not_in_memory(world, &stored, 1);
                if (!ways[i].only_stored) {
                        assert_not_in_memory(world, &own, 1);
                        continue;
                }

                assert_in_memory(pid, &own);
                by_closing(world, name, listener);
        }
}

#define ADD(path, function) g_test_add("/secrets/" path, World, NULL, set_up, function, tear_down)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD("none-is-logged", test_no_secret_is_logged);
        ADD("none-is-signalled", test_no_secret_is_signalled);
        ADD("what-the-keyring-keeps-is-not-in-memory",
            test_what_the_keyring_keeps_is_not_in_memory);
        ADD("what-the-keyring-makes-is-not-in-memory",
            test_what_the_keyring_makes_is_not_in_memory);
        ADD("what-rests-by-a-rule-is-wiped", test_what_rests_is_wiped);
        return g_test_run();
}
