/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Transport "external": a client and a server of the service, whose datagrams the test carries, by
 * signals and calls, or between two carriers.
 */

#include "stage.h"

#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define IN_PROGRESS "HandshakeInProgress"
#define COMPLETE "HandshakeComplete"
#define NOT_STARTED "HandshakeNotStarted"
#define REJECTED "PeerVerificationFailed"
#define SECRET "a secret of both"
#define ROUNDS 64

typedef struct Side {
        char *path;
        GQueue out; /* GBytes: what it wants sent */
} Side;

typedef struct World {
        Service *service;
        sd_bus *bus;
        sd_bus_slot *slot;
        Side client, server;
        bool has_cookies; /* the server */
        unsigned n_lost;  /* of the first datagrams */
        unsigned n_timeouts;
} World;

static int on_message(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        World *world = userdata;
        Side *sides[] = {&world->client, &world->server};
        const void *data;
        size_t size;

        if (sd_bus_message_is_signal(m, CONNECTION, "HandshakeTimeout"))
                world->n_timeouts++;
        if (!sd_bus_message_is_signal(m, CONNECTION, "DatagramToSend"))
                return 0;

        g_assert_cmpint(sd_bus_message_read_array(m, 'y', &data, &size), >=, 0);
        for (size_t i = 0; i < G_N_ELEMENTS(sides); i++)
                if (g_strcmp0(sides[i]->path, sd_bus_message_get_path(m)) == 0)
                        g_queue_push_tail(&sides[i]->out, g_bytes_new(data, size));
        return 0;
}

static sd_bus_message *create_begin(World *world, const char *mode) {
        sd_bus_message *m = options_begin(world->bus, ROOT, MANAGER, "CreateConnection", "s", mode);

        g_assert_cmpint(sd_bus_message_append(m, "{sv}{sv}{sv}", "Transport", "s", "external",
                                              "PeerAddress", "s", "192.0.2.1", "PeerPort", "q", 7),
                        >=, 0);
        if (g_str_equal(mode, "server") && world->has_cookies)
                options_add_secret(m, "CookieSecret", SECRET, strlen(SECRET));
        else if (g_str_equal(mode, "server"))
                g_assert_cmpint(sd_bus_message_append(m, "{sv}", "CookieVerification", "b", 0), >=,
                                0);
        return m;
}

static char *create(World *world, const char *mode) {
        sd_bus_message *m = create_begin(world, mode);

        options_add_psk(m, PSK_IDENTITY, PSK_KEY);
        return options_end_path(world->bus, m);
}

/* In place of the one that set_up() made. */
static void replace(World *world, Side *side, sd_bus_message *m) {
        close_object(world->bus, side->path, CONNECTION);
        g_free(side->path);
        side->path = options_end_path(world->bus, m);
}

static void set_up_with(World *world, bool has_cookies) {
        world->has_cookies = has_cookies;
        world->service = service_start(NULL);
        world->bus = service_bus(world->service, UID_ALICE);
        g_queue_init(&world->client.out);
        g_queue_init(&world->server.out);
        g_assert_cmpint(sd_bus_add_filter(world->bus, &world->slot, on_message, world), >=, 0);
        world->client.path = create(world, "client");
        world->server.path = create(world, "server");
}

static void set_up(World *world, const void *has_cookies) {
        set_up_with(world, has_cookies);
}

static void bytes_free(gpointer bytes) {
        g_bytes_unref(bytes);
}

static void tear_down(World *world, const void *unused) {
        (void)sd_bus_slot_unref(world->slot);
        g_queue_clear_full(&world->client.out, bytes_free);
        g_queue_clear_full(&world->server.out, bytes_free);
        g_free(world->client.path);
        g_free(world->server.path);
        (void)bus_leave(world->bus);
        service_stop(world->service);
}

static void catch_up(World *world) {
        while (sd_bus_process(world->bus, NULL) > 0)
                ;
}

/* ---- calls with a datagram ---- */

static int give(World *world, const Side *side, const char *method, const void *data, size_t size,
                sd_bus_message **ret, sd_bus_error *error) {
        sd_bus_message *m = NULL;
        int r;

        g_assert_cmpint(sd_bus_message_new_method_call(world->bus, &m, NAME, side->path, CONNECTION,
                                                       method),
                        >=, 0);
        g_assert_cmpint(sd_bus_message_append_array(m, 'y', data, size), >=, 0);
        r = sd_bus_call(world->bus, m, CALL_USEC, error, ret);
        (void)sd_bus_message_unref(m);
        catch_up(world);
        return r;
}

static void give_refused(World *world, const Side *side, const char *method, const void *data,
                         size_t size, const char *name) {
        g_autofree char *whole = g_strconcat(ERROR_PREFIX, name, NULL);
        sd_bus_error error = SD_BUS_ERROR_NULL;

        g_assert_cmpint(give(world, side, method, data, size, NULL, &error), <, 0);
        g_assert_cmpstr(error.name, ==, whole);
        sd_bus_error_free(&error);
}

static void give_well(World *world, const Side *side, const char *method, GBytes *datagram) {
        gsize size = 0;
        const void *data = datagram ? g_bytes_get_data(datagram, &size) : NULL;

        g_assert_cmpint(give(world, side, method, data, size, NULL, NULL), >=, 0);
}

static char *get_state(World *world, const Side *side) {
        return get_string(world->bus, side->path, CONNECTION, "HandshakeState");
}

static bool is_in(World *world, const Side *side, const char *state) {
        g_autofree char *now = get_state(world, side);

        return g_str_equal(now, state);
}

/* ---- the carried handshake ---- */

static void carry_one(World *world, Side *from, const Side *to) {
        GBytes *datagram = g_queue_pop_head(&from->out);

        if (!datagram)
                return;
        if (world->n_lost > 0)
                world->n_lost--;
        else
                give_well(world, to, is_in(world, to, COMPLETE) ? "DecryptDatagram" : "DoHandshake",
                          datagram);
        g_bytes_unref(datagram);
}

static bool has_more(void *userdata) {
        World *world = userdata;

        return !g_queue_is_empty(&world->client.out) || !g_queue_is_empty(&world->server.out) ||
               (is_in(world, &world->client, COMPLETE) && is_in(world, &world->server, COMPLETE));
}

static void carry_handshake(World *world) {
        for (int i = 0; i < ROUNDS; i++) {
                if (is_in(world, &world->client, COMPLETE) &&
                    is_in(world, &world->server, COMPLETE))
                        return;

                bus_wait(world->bus, has_more, world, "a datagram to carry");
                carry_one(world, &world->client, &world->server);
                carry_one(world, &world->server, &world->client);
        }
        g_error("the handshake does not end");
}

static void carry_data(World *world, Side *from, const Side *to, const char *text) {
        sd_bus_message *reply = NULL;
        GBytes *sealed;
        const void *plain;
        size_t size;

        write_datagram(world->bus, from->path, text, strlen(text));
        catch_up(world);
        sealed = g_queue_pop_head(&from->out);
        g_assert_nonnull(sealed);
        g_assert_cmpint(give(world, to, "DecryptDatagram", g_bytes_get_data(sealed, NULL),
                             g_bytes_get_size(sealed), &reply, NULL),
                        >=, 0);
        g_assert_cmpint(sd_bus_message_enter_container(reply, 'a', "ay"), >, 0);
        g_assert_cmpint(sd_bus_message_read_array(reply, 'y', &plain, &size), >, 0);
        g_assert_cmpmem(plain, size, text, strlen(text));
        g_assert_cmpint(sd_bus_message_at_end(reply, false), >, 0);
        (void)sd_bus_message_unref(reply);
        g_bytes_unref(sealed);
}

static void start(World *world) {
        give_well(world, &world->client, "DoHandshake", NULL);
        /* it was there before the answer */
        g_assert_cmpuint(g_queue_get_length(&world->client.out), ==, 1);
}

static void shakes_hands_by_signals(World *world, const void *unused) {
        g_autofree char *transport =
                get_string(world->bus, world->server.path, CONNECTION, "Transport");
        g_autofree char *local =
                get_string(world->bus, world->server.path, CONNECTION, "LocalAddress");
        GBytes *goodbye;

        g_assert_cmpstr(transport, ==, "external");
        g_assert_cmpstr(local, ==, "");
        start(world);
        carry_handshake(world);
        carry_data(world, &world->client, &world->server, "from the client");
        carry_data(world, &world->server, &world->client, "from the server");

        (void)sd_bus_message_unref(
                call(world->bus, world->client.path, CONNECTION, "Shutdown", ""));
        catch_up(world);
        goodbye = g_queue_pop_head(&world->client.out);
        g_assert_nonnull(goodbye);
        give_refused(world, &world->server, "DecryptDatagram", g_bytes_get_data(goodbye, NULL),
                     g_bytes_get_size(goodbye), "RemoteClosedConnectionError");
        g_assert_true(is_in(world, &world->server, NOT_STARTED));
        g_bytes_unref(goodbye);
}

static void replace_by_stored(World *world, Side *side, const char *mode, const char *name) {
        sd_bus_message *m = create_begin(world, mode);

        g_assert_cmpint(sd_bus_message_append(m, "{sv}", "Psks", "as", 1, name), >=, 0);
        replace(world, side, m);
}

/* The server's key comes from the store, and then the client's too. */
static void shakes_hands_by_the_store(World *world, const void *unused) {
        g_autofree char *name = g_strdup_printf("u/%u/x", geteuid() == 0 ? UID_ALICE : geteuid());
        sd_bus_message *m = options_begin(world->bus, ROOT, MANAGER, "SetPsk", "s", name);

        options_add_bytes(m, "Identity", PSK_IDENTITY, strlen(PSK_IDENTITY));
        options_add_secret(m, "Key", PSK_KEY, strlen(PSK_KEY));
        (void)sd_bus_message_unref(options_end(world->bus, m));

        replace_by_stored(world, &world->server, "server", name);
        start(world);
        carry_handshake(world);
        carry_data(world, &world->client, &world->server, "by the server's");
        replace_by_stored(world, &world->server, "server", name);
        replace_by_stored(world, &world->client, "client", name);
        start(world);
        carry_handshake(world);
        carry_data(world, &world->client, &world->server, "by that of both");
}

static void a_lost_flight_is_sent_again(World *world, const void *unused) {
        world->n_lost = 1;
        start(world);
        carry_handshake(world);
        g_assert_cmpuint(get_counter(world->bus, world->client.path, CONNECTION, "Statistics",
                                     "Retransmissions"),
                         >, 0);
}

static void hostile_datagrams_move_nothing(World *world, const void *unused) {
        g_autofree uint8_t *noise = g_malloc0(70000);

        for (size_t i = 0; i < 70000; i++)
                noise[i] = (uint8_t)(i * 167 + (i >> 8));
        give_refused(world, &world->server, "DoHandshake", noise, 65535, "TlsFatalError");
        give_refused(world, &world->server, "DoHandshake", noise, 65536, "MessageTooLong");
        start(world);
        g_assert_cmpint(give(world, &world->client, "DoHandshake", noise, 65535, NULL, NULL), >=,
                        0);
        carry_handshake(world);
        for (size_t size = 0; size < 65535; size = size * 3 + 1) {
                sd_bus_message *reply = NULL;

                noise[0] = 23;
                g_assert_cmpint(
                        give(world, &world->client, "DecryptDatagram", noise, size, &reply, NULL),
                        >=, 0);
                g_assert_cmpint(sd_bus_message_enter_container(reply, 'a', "ay"), >, 0);
                g_assert_cmpint(sd_bus_message_at_end(reply, false), >, 0);
                (void)sd_bus_message_unref(reply);
        }
        carry_data(world, &world->server, &world->client, "still there");
}

static void nobody_else_may_call(World *world, const void *unused) {
        sd_bus *other;

        if (!service_has_users())
                return;

        other = service_bus(world->service, UID_BOB);
        g_free(call_refused("org.freedesktop.DBus.Error.UnknownObject", other, world->client.path,
                            CONNECTION, "OpenCarrier", ""));
        (void)bus_leave(other);

        other = service_bus(world->service, UID_ALICE);
        g_free(call_refused("NotAuthorized", other, world->client.path, CONNECTION, "OpenCarrier",
                            ""));
        (void)bus_leave(other);
}

/* ---- cookies ---- */

/* Carries the hello to a verifier with the server's secret, and the cookie back. */
static void prove(World *world) {
        g_autofree char *verifier = make_verifier(world->bus, "Sha256", SECRET);
        g_autoptr(GBytes) hello = g_queue_pop_head(&world->client.out);
        g_autoptr(GBytes) ask = NULL;

        g_assert_false(verify_client(world->bus, verifier, hello, "192.0.2.1", 7, &ask));
        give_well(world, &world->client, "DoHandshake", ask);
}

/* What the client has to say now, which the server does not answer. */
static void hello_is_refused(World *world) {
        GBytes *hello = g_queue_peek_head(&world->client.out);

        g_assert_nonnull(hello);
        give_refused(world, &world->server, "DoHandshake", g_bytes_get_data(hello, NULL),
                     g_bytes_get_size(hello), "TlsFatalError");
        g_assert_true(is_in(world, &world->server, NOT_STARTED));
        g_assert_true(g_queue_is_empty(&world->server.out));
}

static void a_verified_hello_starts_a_server(World *world, const void *unused) {
        start(world);
        hello_is_refused(world);
        prove(world);
        carry_handshake(world);
        carry_data(world, &world->client, &world->server, "verified");
}

static void set_secret(World *world, const char *secret) {
        sd_bus_message *m = NULL;

        g_assert_cmpint(sd_bus_message_new_method_call(world->bus, &m, NAME, world->server.path,
                                                       CONNECTION, "SetCookieGeneratorParameters"),
                        >=, 0);
        g_assert_cmpint(sd_bus_message_append(m, "s", "Sha256"), >=, 0);
        g_assert_cmpint(sd_bus_message_append_array(m, 'y', secret, strlen(secret)), >=, 0);
        g_assert_cmpint(sd_bus_call(world->bus, m, CALL_USEC, NULL, NULL), >=, 0);
        (void)sd_bus_message_unref(m);
}

static void has_secret(World *world, const char *expected) {
        sd_bus_message *reply = call(world->bus, world->server.path, CONNECTION,
                                     "GetCookieGeneratorParameters", "");
        const char *hash;
        const void *secret;
        size_t size;

        g_assert_cmpint(sd_bus_message_read(reply, "s", &hash), >=, 0);
        g_assert_cmpint(sd_bus_message_read_array(reply, 'y', &secret, &size), >=, 0);
        g_assert_cmpstr(hash, ==, "Sha256");
        g_assert_cmpmem(secret, size, expected, strlen(expected));
        (void)sd_bus_message_unref(reply);
}

static void a_changed_secret_refuses_the_old_hello(World *world, const void *unused) {
        has_secret(world, SECRET);
        start(world);
        prove(world);
        set_secret(world, "another secret");
        has_secret(world, "another secret");
        hello_is_refused(world);
        set_secret(world, SECRET);
        carry_handshake(world);

        g_free(call_refused("InvalidOperation", world->bus, world->client.path, CONNECTION,
                            "SetCookieGeneratorParameters", "say", "Sha256", 1, 'x'));
        g_free(call_refused("InvalidOperation", world->bus, world->client.path, CONNECTION,
                            "GetCookieGeneratorParameters", ""));
}

/* ---- the application's own clock ---- */

static bool has_timed_out(void *userdata) {
        const World *world = userdata;

        return world->n_timeouts > 0;
}

static bool handle_timeout(World *world) {
        sd_bus_message *reply =
                call(world->bus, world->client.path, CONNECTION, "HandleTimeout", "");
        int handled;

        g_assert_cmpint(sd_bus_message_read(reply, "b", &handled), >=, 0);
        (void)sd_bus_message_unref(reply);
        catch_up(world);
        return handled;
}

static void a_lost_flight_waits_for_handle_timeout(World *world, const void *unused) {
        sd_bus_message *m = create_begin(world, "client");

        g_assert_cmpint(sd_bus_message_append(m, "{sv}{sv}", "Retransmission", "s", "manual",
                                              "RetransmitInitial", "u", 3000),
                        >=, 0);
        options_add_psk(m, PSK_IDENTITY, PSK_KEY);
        replace(world, &world->client, m);

        start(world);
        g_assert_false(handle_timeout(world));
        g_bytes_unref(g_queue_pop_head(&world->client.out));
        bus_wait(world->bus, has_timed_out, world, "HandshakeTimeout");
        g_assert_true(g_queue_is_empty(&world->client.out));
        g_assert_true(handle_timeout(world));
        g_assert_cmpuint(g_queue_get_length(&world->client.out), ==, 1);
        g_assert_false(handle_timeout(world));
        carry_handshake(world);
}

/* ---- a verdict on the peer ---- */

static bool has_verdict(void *userdata) {
        World *world = userdata;

        return !g_queue_is_empty(&world->client.out) || !g_queue_is_empty(&world->server.out) ||
               is_in(world, &world->client, REJECTED);
}

/* A client that knows no authority and a server with a certificate of its own, as far as the
 * client's question. */
static void carry_to_verdict(World *world, const TestIdentity *identity) {
        sd_bus_message *client = create_begin(world, "client");
        sd_bus_message *server = create_begin(world, "server");

        /* no flight twice, so that it is seen that none goes before the verdict */
        g_assert_cmpint(sd_bus_message_append(client, "{sv}{sv}{sv}", "VerificationName", "s",
                                              "localhost", "CaCertificates", "aay", 0,
                                              "RetransmitInitial", "u", 30000),
                        >=, 0);
        replace(world, &world->client, client);
        options_add_identity(server, identity);
        replace(world, &world->server, server);

        start(world);
        for (int i = 0; i < ROUNDS && !is_in(world, &world->client, REJECTED); i++) {
                bus_wait(world->bus, has_verdict, world, "a datagram to carry");
                carry_one(world, &world->client, &world->server);
                if (!is_in(world, &world->client, REJECTED))
                        carry_one(world, &world->server, &world->client);
        }
        g_assert_true(is_in(world, &world->client, REJECTED));
        g_assert_true(g_queue_is_empty(&world->client.out));
}

static void ignore_self_signed(World *world, const TestIdentity *identity) {
        GBytes *der = test_identity_der(identity);
        sd_bus_message *m = NULL;

        g_assert_cmpint(sd_bus_message_new_method_call(world->bus, &m, NAME, world->client.path,
                                                       CONNECTION, "IgnoreVerificationErrors"),
                        >=, 0);
        g_assert_cmpint(sd_bus_message_open_container(m, 'a', "(say)"), >=, 0);
        g_assert_cmpint(sd_bus_message_open_container(m, 'r', "say"), >=, 0);
        g_assert_cmpint(sd_bus_message_append(m, "s", "SelfSignedCertificate"), >=, 0);
        g_assert_cmpint(sd_bus_message_append_array(m, 'y', g_bytes_get_data(der, NULL),
                                                    g_bytes_get_size(der)),
                        >=, 0);
        g_assert_cmpint(sd_bus_message_close_container(m), >=, 0);
        g_assert_cmpint(sd_bus_message_close_container(m), >=, 0);
        g_assert_cmpint(sd_bus_call(world->bus, m, CALL_USEC, NULL, NULL), >=, 0);
        (void)sd_bus_message_unref(m);
}

static void resumes_what_it_did_not_trust(World *world, const void *unused) {
        g_autoptr(TestIdentity) identity = test_identity_new("localhost", NULL, 0, TEST_KEY_ECDSA);

        carry_to_verdict(world, identity);
        give_refused(world, &world->client, "DoHandshake", "x", 1, "InvalidOperation");
        g_free(call_refused("PeerVerificationError", world->bus, world->client.path, CONNECTION,
                            "ResumeHandshake", ""));
        ignore_self_signed(world, identity);
        (void)sd_bus_message_unref(
                call(world->bus, world->client.path, CONNECTION, "ResumeHandshake", ""));
        catch_up(world);
        g_assert_false(g_queue_is_empty(&world->client.out));
        carry_handshake(world);
        carry_data(world, &world->server, &world->client, "trusted after all");
}

static void aborts_what_it_does_not_trust(World *world, const void *unused) {
        g_autoptr(TestIdentity) identity = test_identity_new("localhost", NULL, 0, TEST_KEY_ECDSA);
        g_autoptr(GBytes) alert = NULL;

        carry_to_verdict(world, identity);
        (void)sd_bus_message_unref(
                call(world->bus, world->client.path, CONNECTION, "AbortHandshake", ""));
        catch_up(world);
        g_assert_true(is_in(world, &world->client, NOT_STARTED));
        alert = g_queue_pop_head(&world->client.out);
        g_assert_nonnull(alert);
        give_well(world, &world->server, "DoHandshake", alert);
        /* anybody could have sent it: believed when nothing better comes */
        wait_string(world->bus, world->server.path, CONNECTION, "HandshakeState", NOT_STARTED);
}

/* ---- carriers ---- */

static int open_carrier(World *world, const Side *side) {
        sd_bus_message *reply = call(world->bus, side->path, CONNECTION, "OpenCarrier", "");
        int fd;

        g_assert_cmpint(sd_bus_message_read(reply, "h", &fd), >=, 0);
        fd = dup(fd);
        g_assert_cmpint(fd, >=, 0);
        (void)sd_bus_message_unref(reply);
        return fd;
}

typedef struct Link {
        World *world;
        int fds[2];
} Link;

/* Passes on what there is; true when both are complete. */
static bool link_is_done(void *userdata) {
        Link *link = userdata;
        uint8_t buffer[4096];
        ssize_t n;

        for (int i = 0; i < 2; i++)
                while ((n = recv(link->fds[i], buffer, sizeof buffer, MSG_DONTWAIT)) > 0)
                        g_assert_cmpint(send(link->fds[1 - i], buffer, (size_t)n, MSG_NOSIGNAL), ==,
                                        n);

        return is_in(link->world, &link->world->client, COMPLETE) &&
               is_in(link->world, &link->world->server, COMPLETE);
}

/* Either end may be the last to say something, or neither: the last to arrive changes a state. */
static void link_run(Link *link) {
        struct pollfd polls[] = {{.fd = link->fds[0], .events = POLLIN},
                                 {.fd = link->fds[1], .events = POLLIN}};
        gint64 limit = g_get_monotonic_time() + (gint64)SERVICE_LIMIT_USEC;

        while (!link_is_done(link)) {
                g_assert_cmpint(g_get_monotonic_time(), <, limit);
                g_assert_cmpint(poll(polls, 2, 20), >=, 0);
        }
}

static void carriers_take_it_all(World *world, const void *unused) {
        Link link = {world,
                     {open_carrier(world, &world->client), open_carrier(world, &world->server)}};
        int channel_fd;

        g_free(call_refused("ChannelInUse", world->bus, world->client.path, CONNECTION,
                            "OpenCarrier", ""));
        g_assert_cmpint(send(link.fds[1], "", 0, MSG_NOSIGNAL), ==, 0);
        g_assert_cmpint(send(link.fds[1], "noise", 5, MSG_NOSIGNAL), ==, 5);
        do_handshake(world->bus, world->client.path);
        link_run(&link);

        channel_fd = open_channel(world->bus, world->client.path);
        g_assert_cmpint(send(channel_fd, "by carrier", 10, MSG_NOSIGNAL), ==, 10);
        (void)wait_fd(link.fds[0]);
        (void)link_is_done(&link);
        read_datagram(world->bus, world->server.path, "by carrier");
        give_refused(world, &world->client, "DecryptDatagram", "x", 1, "InvalidOperation");
        g_assert_true(g_queue_is_empty(&world->client.out));

        /* like a socket that is gone */
        (void)close(link.fds[1]);
        wait_string(world->bus, world->server.path, CONNECTION, "HandshakeState", NOT_STARTED);
        {
                g_autofree char *error = get_error(world->bus, world->server.path);

                g_assert_true(g_str_has_prefix(error, "UnderlyingSocketError"));
        }
        (void)close(open_carrier(world, &world->server));
        (void)close(channel_fd);
        (void)close(link.fds[0]);
}

static void link_up(World *world, Link *link) {
        *link = (Link){world,
                       {open_carrier(world, &world->client), open_carrier(world, &world->server)}};
        do_handshake(world->bus, world->client.path);
        link_run(link);
}

static uint64_t get_count(const World *world, const char *counter) {
        return get_counter(world->bus, world->client.path, CONNECTION, "Statistics", counter);
}

/* What is lost is counted as lost, and not as sent. */
static void a_full_carrier_loses(World *world, const void *unused) {
        static const uint8_t data[8000];
        uint8_t buffer[16384];
        uint64_t n_sent, n_bytes;
        ssize_t size;
        Link link;

        link_up(world, &link);
        n_sent = get_count(world, "DatagramsSent");
        n_bytes = get_count(world, "BytesSent");
        for (int i = 0; i < 100; i++) /* more than the kernel holds; each call is answered */
                write_datagram(world->bus, world->client.path, data, sizeof data);
        g_assert_cmpuint(get_count(world, "DroppedSocketFull"), >, 0);
        g_assert_cmpuint(get_count(world, "DroppedSocketFull") + get_count(world, "DatagramsSent"),
                         ==, n_sent + 100);

        while ((size = recv(link.fds[0], buffer, sizeof buffer, MSG_DONTWAIT)) > 0) {
                n_sent++;
                n_bytes += (uint64_t)size;
        }
        g_assert_cmpuint(get_count(world, "DatagramsSent"), ==, n_sent);
        g_assert_cmpuint(get_count(world, "BytesSent"), ==, n_bytes);
        write_datagram(world->bus, world->client.path, "room again", 10);
        (void)wait_fd(link.fds[0]);
        (void)link_is_done(&link);
        read_datagram(world->bus, world->server.path, "room again");
        (void)close(link.fds[0]);
        (void)close(link.fds[1]);
}

static void fds_on_a_carrier_are_not_kept(World *world, const void *unused) {
        union {
                struct cmsghdr header;
                uint8_t bytes[CMSG_SPACE(sizeof(int))];
        } control = {0};
        struct iovec iov = {(void *)"x", 1};
        struct msghdr m = {.msg_iov = &iov,
                           .msg_iovlen = 1,
                           .msg_control = &control,
                           .msg_controllen = sizeof control};
        int carrier = open_carrier(world, &world->server), ends[2];

        g_assert_cmpint(pipe(ends), ==, 0);
        control.header = (struct cmsghdr){.cmsg_level = SOL_SOCKET,
                                          .cmsg_type = SCM_RIGHTS,
                                          .cmsg_len = CMSG_LEN(sizeof(int))};
        memcpy(CMSG_DATA(&control.header), &ends[1], sizeof(int));
        if (sendmsg(carrier, &m, MSG_NOSIGNAL) < 0)
                g_test_message("the kernel refuses fds on a carrier");
        (void)close(ends[1]);
        g_assert_cmpint(wait_fd(ends[0]) & POLLHUP, !=, 0); /* nobody has the other end */
        (void)close(ends[0]);
        (void)close(carrier);
}

/* ---- the end ---- */

static void goes_with_its_owner(World *world, const void *unused) {
        sd_bus *mine = world->bus;
        g_autofree char *path = NULL;
        Side side = {0};
        int carrier;

        world->bus = service_bus(world->service, UID_ALICE);
        side.path = path = create(world, "server");
        carrier = open_carrier(world, &side);
        (void)bus_leave(world->bus);
        world->bus = mine;

        g_assert_cmpint(wait_fd(carrier) & POLLHUP, !=, 0);
        (void)close(carrier);
        close_object(mine, world->client.path, CONNECTION);
        close_object(mine, world->server.path, CONNECTION);
        wait_nothing_used(mine);
}

#define ADD(path, cookies, test)                                                                   \
        g_test_add("/external/" path, World, GINT_TO_POINTER(cookies), set_up, test, tear_down)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD("shakes-hands-by-signals", 0, shakes_hands_by_signals);
        ADD("shakes-hands-by-the-store", 0, shakes_hands_by_the_store);
        ADD("a-lost-flight-is-sent-again", 0, a_lost_flight_is_sent_again);
        ADD("hostile-datagrams-move-nothing", 0, hostile_datagrams_move_nothing);
        ADD("nobody-else-may-call", 0, nobody_else_may_call);
        ADD("a-verified-hello-starts-a-server", 1, a_verified_hello_starts_a_server);
        ADD("a-changed-secret-refuses-the-old-hello", 1, a_changed_secret_refuses_the_old_hello);
        ADD("a-lost-flight-waits-for-handle-timeout", 0, a_lost_flight_waits_for_handle_timeout);
        ADD("resumes-what-it-did-not-trust", 0, resumes_what_it_did_not_trust);
        ADD("aborts-what-it-does-not-trust", 0, aborts_what_it_does_not_trust);
        ADD("carriers-take-it-all", 1, carriers_take_it_all);
        ADD("a-full-carrier-loses", 1, a_full_carrier_loses);
        ADD("fds-on-a-carrier-are-not-kept", 1, fds_on_a_carrier_are_not_kept);
        ADD("goes-with-its-owner", 0, goes_with_its_owner);
        return g_test_run();
}
