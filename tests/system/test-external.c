/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Transport "external": a client and a server of the service, whose datagrams the test carries, by
 * signals and calls, or between two carriers.
 */

#include "stage.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define IN_PROGRESS "HandshakeInProgress"
#define COMPLETE "HandshakeComplete"
#define NOT_STARTED "HandshakeNotStarted"
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
} World;

static int on_message(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        World *world = userdata;
        Side *sides[] = {&world->client, &world->server};
        const void *data;
        size_t size;

        if (!sd_bus_message_is_signal(m, CONNECTION, "DatagramToSend"))
                return 0;

        g_assert_cmpint(sd_bus_message_read_array(m, 'y', &data, &size), >=, 0);
        for (size_t i = 0; i < G_N_ELEMENTS(sides); i++)
                if (g_strcmp0(sides[i]->path, sd_bus_message_get_path(m)) == 0)
                        g_queue_push_tail(&sides[i]->out, g_bytes_new(data, size));
        return 0;
}

static char *create(World *world, const char *mode) {
        sd_bus_message *m = options_begin(world->bus, ROOT, MANAGER, "CreateConnection", "s", mode);

        g_assert_cmpint(sd_bus_message_append(m, "{sv}{sv}{sv}", "Transport", "s", "external",
                                              "PeerAddress", "s", "192.0.2.1", "PeerPort", "q", 7),
                        >=, 0);
        if (g_str_equal(mode, "server") && world->has_cookies)
                options_add_secret(m, "CookieSecret", SECRET, strlen(SECRET));
        else if (g_str_equal(mode, "server"))
                g_assert_cmpint(sd_bus_message_append(m, "{sv}", "CookieVerification", "b", 0), >=,
                                0);
        options_add_psk(m, PSK_IDENTITY, PSK_KEY);
        return options_end_path(world->bus, m);
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

static void a_lost_flight_is_sent_again(World *world, const void *unused) {
        world->n_lost = 1;
        start(world);
        carry_handshake(world);
        g_assert_cmpuint(get_counter(world->bus, world->client.path, CONNECTION, "Statistics",
                                     "Retransmissions"),
                         >, 0);
}

static void keeps_to_the_state_table(World *world, const void *unused) {
        give_refused(world, &world->server, "DoHandshake", NULL, 0, "InvalidInputParameters");
        give_refused(world, &world->client, "DoHandshake", "x", 1, "InvalidInputParameters");
        give_refused(world, &world->client, "DecryptDatagram", "x", 1, "InvalidOperation");
        start(world);
        give_refused(world, &world->client, "DoHandshake", NULL, 0, "InvalidInputParameters");
        carry_handshake(world);
        give_refused(world, &world->client, "DoHandshake", NULL, 0, "InvalidOperation");
        give_refused(world, &world->client, "DoHandshake", "x", 1, "InvalidOperation");
        g_free(call_refused("InvalidOperation", world->bus, world->client.path, CONNECTION,
                            "OpenChannel", "a{sv}", 0));
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

static GBytes *ask_verifier(World *world, const char *verifier, GBytes *hello, bool *ret_verified) {
        sd_bus_message *m = NULL, *reply = NULL;
        const void *data;
        GBytes *answer;
        size_t size;
        int verified;

        g_assert_cmpint(sd_bus_message_new_method_call(world->bus, &m, NAME, verifier, VERIFIER,
                                                       "VerifyClient"),
                        >=, 0);
        g_assert_cmpint(sd_bus_message_append_array(m, 'y', g_bytes_get_data(hello, NULL),
                                                    g_bytes_get_size(hello)),
                        >=, 0);
        g_assert_cmpint(sd_bus_message_append(m, "sq", "192.0.2.1", 7), >=, 0);
        g_assert_cmpint(sd_bus_call(world->bus, m, CALL_USEC, NULL, &reply), >=, 0);
        g_assert_cmpint(sd_bus_message_read(reply, "b", &verified), >=, 0);
        g_assert_cmpint(sd_bus_message_read_array(reply, 'y', &data, &size), >=, 0);
        answer = g_bytes_new(data, size);
        *ret_verified = verified;
        (void)sd_bus_message_unref(reply);
        (void)sd_bus_message_unref(m);
        return answer;
}

static void a_verified_hello_starts_a_server(World *world, const void *unused) {
        sd_bus_message *m = options_begin(world->bus, ROOT, MANAGER, "CreateClientVerifier", "");
        g_autoptr(GBytes) hello = NULL, ask = NULL;
        g_autofree char *verifier = NULL;
        bool verified;

        options_add_secret(m, "CookieSecret", SECRET, strlen(SECRET));
        verifier = options_end_path(world->bus, m);

        start(world);
        hello = g_queue_pop_head(&world->client.out);
        give_refused(world, &world->server, "DoHandshake", g_bytes_get_data(hello, NULL),
                     g_bytes_get_size(hello), "TlsFatalError");
        g_assert_true(is_in(world, &world->server, NOT_STARTED));
        g_assert_true(g_queue_is_empty(&world->server.out));

        ask = ask_verifier(world, verifier, hello, &verified);
        g_assert_false(verified);
        give_well(world, &world->client, "DoHandshake", ask);
        carry_handshake(world);
        carry_data(world, &world->client, &world->server, "verified");
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

static void carriers_take_it_all(World *world, const void *unused) {
        Link link = {world,
                     {open_carrier(world, &world->client), open_carrier(world, &world->server)}};
        int channel_fd;

        g_free(call_refused("ChannelInUse", world->bus, world->client.path, CONNECTION,
                            "OpenCarrier", ""));
        g_assert_cmpint(send(link.fds[1], "", 0, MSG_NOSIGNAL), ==, 0);
        g_assert_cmpint(send(link.fds[1], "noise", 5, MSG_NOSIGNAL), ==, 5);
        do_handshake(world->bus, world->client.path);
        while (!link_is_done(&link))
                (void)wait_fd(link.fds[0]);

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

#define ADD(path, cookies, test)                                                                   \
        g_test_add("/external/" path, World, GINT_TO_POINTER(cookies), set_up, test, tear_down)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD("shakes-hands-by-signals", 0, shakes_hands_by_signals);
        ADD("a-lost-flight-is-sent-again", 0, a_lost_flight_is_sent_again);
        ADD("keeps-to-the-state-table", 0, keeps_to_the_state_table);
        ADD("hostile-datagrams-move-nothing", 0, hostile_datagrams_move_nothing);
        ADD("nobody-else-may-call", 0, nobody_else_may_call);
        ADD("a-verified-hello-starts-a-server", 1, a_verified_hello_starts_a_server);
        ADD("carriers-take-it-all", 1, carriers_take_it_all);
        return g_test_run();
}
