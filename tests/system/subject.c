/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "subject.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SERVER "server" /* the role and the mode */
#define CLIENT "client" /* the same */
#define SECRET "a secret of both"
#define PEER_PORT 5684

static bool is_client(const Subject *subject) {
        return g_str_equal(subject->role->name, CLIENT);
}

static bool is_situation(const Subject *subject, const char *situation) {
        return g_str_equal(subject->situation, situation);
}

/* ---- the two ends ---- */

static sd_bus_message *begin_listener(const Subject *subject) {
        sd_bus_message *m = options_begin(subject->world->bus, ROOT, MANAGER, "Listen", "sq",
                                          "127.0.0.1", (uint16_t)0);

        g_assert_cmpint(sd_bus_message_append(m, "{sv}", "Announce", "b", 1), >=, 0);
        return m;
}

/* Its path, and where a client has to go. */
static uint16_t end_listener(Subject *subject, sd_bus_message *m) {
        subject->listener = options_end_path(subject->world->bus, m);
        return get_port(subject->world->bus, subject->listener);
}

static sd_bus_message *begin_client(const Subject *subject, uint16_t port) {
        sd_bus_message *m =
                options_begin(subject->world->bus, ROOT, MANAGER, "CreateConnection", "s", CLIENT);

        if (port != 0)
                g_assert_cmpint(sd_bus_message_append(m, "{sv}{sv}", "PeerAddress", "s",
                                                      "127.0.0.1", "PeerPort", "q", port),
                                >=, 0);
        return m;
}

/* It needs somebody to carry its datagrams: the test. */
static sd_bus_message *begin_carried(const Subject *subject, const char *mode) {
        sd_bus_message *m =
                options_begin(subject->world->bus, ROOT, MANAGER, "CreateConnection", "s", mode);

        g_assert_cmpint(sd_bus_message_append(m, "{sv}", "Transport", "s", "external"), >=, 0);
        if (!is_situation(subject, "no peer"))
                g_assert_cmpint(sd_bus_message_append(m, "{sv}{sv}", "PeerAddress", "s",
                                                      "127.0.0.1", "PeerPort", "q", PEER_PORT),
                                >=, 0);
        return m;
}

/* Of a server that takes any hello. */
static sd_bus_message *begin_server(const Subject *subject) {
        sd_bus_message *m = begin_carried(subject, SERVER);

        g_assert_cmpint(sd_bus_message_append(m, "{sv}", "CookieVerification", "b", 0), >=, 0);
        return m;
}

static void carry(World *world, unsigned to, sd_bus_message *datagram) {
        const char *method = world->carried[to].complete ? "DecryptDatagram" : "DoHandshake";
        sd_bus_message *m = NULL;
        const void *data;
        size_t size;

        g_assert_cmpint(sd_bus_message_read_array(datagram, 'y', &data, &size), >=, 0);
        g_assert_cmpint(sd_bus_message_new_method_call(world->bus, &m, NAME,
                                                       world->carried[to].path, CONNECTION, method),
                        >=, 0);
        g_assert_cmpint(sd_bus_message_append_array(m, 'y', data, size), >=, 0);
        g_assert_cmpint(sd_bus_message_set_expect_reply(m, false), >=, 0);
        g_assert_cmpint(sd_bus_send(world->bus, m, NULL), >=, 0);
        (void)sd_bus_message_unref(m);
}

static int on_signal(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        World *world = userdata;
        const char *state;

        for (unsigned i = 0; i < G_N_ELEMENTS(world->carried); i++) {
                if (g_strcmp0(world->carried[i].path, sd_bus_message_get_path(m)) != 0)
                        continue;

                if (sd_bus_message_is_signal(m, CONNECTION, "DatagramToSend")) {
                        carry(world, 1 - i, m);
                } else if (sd_bus_message_is_signal(m, CONNECTION, "StateChanged")) {
                        g_assert_cmpint(sd_bus_message_read(m, "s", &state), >=, 0);
                        world->carried[i].complete = g_str_equal(state, COMPLETE);
                }
                g_assert_cmpint(sd_bus_message_rewind(m, true), >=, 0);
        }

        return 0;
}

static void add_clock(const Subject *subject, sd_bus_message *m) {
        if (is_situation(subject, "timed out"))
                g_assert_cmpint(sd_bus_message_append(m, "{sv}{sv}", "Retransmission", "s",
                                                      "manual", "RetransmitInitial", "u", 10),
                                >=, 0);
}

static sd_bus_message *begin_far(const Subject *subject) {
        sd_bus_message *m;

        if (!subject->role->external)
                return begin_listener(subject);

        m = begin_server(subject);
        add_clock(subject, m);
        return m;
}

/* Ends what was begun for the far end, and begins the client that goes there. */
static sd_bus_message *begin_near(Subject *subject, sd_bus_message *far) {
        if (!subject->role->external)
                return begin_client(subject, end_listener(subject, far));

        subject->other = options_end_path(subject->world->bus, far); /* as far as start() */
        return begin_carried(subject, CLIENT);
}

static char *find_at_listener(const Subject *subject) {
        g_autofree char *text =
                message_text(call(subject->world->bus, ROOT, MANAGER, "ListConnections", "tua{sv}",
                                  (uint64_t)0, 1, 1, "Listener", "o", subject->listener));
        g_auto(GStrv) fields = g_strsplit(text, "|", 3);
        char *path = fields[0] ? g_strdup(fields[1]) : NULL;

        return path;
}

static bool is_at_listener(void *userdata) {
        g_autofree char *path = find_at_listener(userdata);

        return path;
}

/* The handshake begins, and the subject is the end that has the role. */
static void start(Subject *subject, sd_bus_message *m) {
        World *world = subject->world;
        char *client = options_end_path(world->bus, m), *server = subject->other;

        if (subject->role->external) {
                world->carried[0].path = client;
                world->carried[1].path = server;
        }
        do_handshake(world->bus, client);
        if (!subject->role->external) {
                bus_wait(world->bus, is_at_listener, subject, "a connection at the listener");
                server = find_at_listener(subject);
        }
        subject->path = is_client(subject) ? client : server;
        subject->other = is_client(subject) ? server : client;
}

static void start_with_keys(Subject *subject, bool client_has, bool server_has) {
        sd_bus_message *far = begin_far(subject), *near;

        if (server_has)
                options_add_psk(far, PSK_IDENTITY, PSK_KEY);
        near = begin_near(subject, far);
        if (client_has)
                options_add_psk(near, PSK_IDENTITY, PSK_KEY);
        start(subject, near);
}

/* The end that has the role does not trust the other one. */
static void start_with_certificates(Subject *subject) {
        const World *world = subject->world;
        sd_bus_message *far = begin_far(subject), *near;

        options_add_identity(far, world->server);
        options_add_certificate(far, "CaCertificates", world->authority);
        if (!is_client(subject))
                g_assert_cmpint(
                        sd_bus_message_append(far, "{sv}", "PeerVerifyMode", "s", "VerifyPeer"), >=,
                        0);
        near = begin_near(subject, far);
        options_add_identity(near, world->stranger);
        options_add_certificate(near, "CaCertificates",
                                is_client(subject) ? world->stranger : world->authority);
        start(subject, near);
}

static void start_with_tickets(Subject *subject) {
        const World *world = subject->world;
        sd_bus_message *far = begin_far(subject), *near;

        options_add_identity(far, world->server);
        g_assert_cmpint(sd_bus_message_append(far, "{sv}", "SslOptions", "as", 0), >=, 0);
        near = begin_near(subject, far);
        options_add_certificate(near, "CaCertificates", world->authority);
        g_assert_cmpint(sd_bus_message_append(near, "{sv}", "SslOptions", "as", 0), >=, 0);
        start(subject, near);
}

static void start_silently(Subject *subject) {
        sd_bus *bus = subject->world->bus;
        sd_bus_message *m;
        uint16_t port;

        if (subject->role->external) {
                m = begin_carried(subject, CLIENT);
        } else {
                subject->silent_fd = udp_bind(&port);
                m = begin_client(subject, port);
        }
        add_clock(subject, m);
        subject->path = options_end_path(bus, m);
        do_handshake(bus, subject->path);
}

/* ---- a hello ---- */

static GBytes *last_datagram(const Subject *subject, const char *path) {
        g_autofree char *beginning = g_strdup_printf("DatagramToSend|%s|", path);
        const GString *text;

        ear_catch_up(subject->world->ear);
        text = ear_last(subject->world->ear, beginning);
        g_assert_nonnull(text);
        return g_bytes_new(text->str + strlen(beginning), text->len - strlen(beginning));
}

static void give(const Subject *subject, const char *path, GBytes *datagram) {
        sd_bus_message *m = NULL;

        g_assert_cmpint(sd_bus_message_new_method_call(subject->world->bus, &m, NAME, path,
                                                       CONNECTION, "DoHandshake"),
                        >=, 0);
        g_assert_cmpint(sd_bus_message_append_array(m, 'y', g_bytes_get_data(datagram, NULL),
                                                    g_bytes_get_size(datagram)),
                        >=, 0);
        g_assert_cmpint(sd_bus_call(subject->world->bus, m, CALL_USEC, NULL, NULL), >=, 0);
        (void)sd_bus_message_unref(m);
}

/* Of a client that has the cookie of a verifier with the subject's secret. */
static GBytes *make_verified_hello(Subject *subject) {
        sd_bus *bus = subject->world->bus;
        g_autofree char *verifier = make_verifier(bus, "Sha256", SECRET);
        sd_bus_message *client = begin_carried(subject, CLIENT);
        g_autoptr(GBytes) hello = NULL, ask = NULL;

        options_add_psk(client, PSK_IDENTITY, PSK_KEY);
        subject->other = options_end_path(bus, client);
        do_handshake(bus, subject->other);
        hello = last_datagram(subject, subject->other);
        g_assert_false(verify_client(bus, verifier, hello, "127.0.0.1", PEER_PORT, &ask));
        give(subject, subject->other, ask);
        close_object(bus, verifier, VERIFIER);
        return last_datagram(subject, subject->other);
}

/* ---- carriers ---- */

static int open_carrier(const Subject *subject, const char *path) {
        sd_bus_message *reply = call(subject->world->bus, path, CONNECTION, "OpenCarrier", "");
        int fd;

        g_assert_cmpint(sd_bus_message_read(reply, "h", &fd), >=, 0);
        fd = dup(fd);
        g_assert_cmpint(fd, >=, 0);
        (void)sd_bus_message_unref(reply);
        return fd;
}

/* What the other end says, to the subject. */
static void pass_one_on(const Subject *subject) {
        uint8_t buffer[4096];
        ssize_t n;

        (void)wait_fd(subject->other_carrier_fd);
        n = recv(subject->other_carrier_fd, buffer, sizeof(buffer), MSG_DONTWAIT);
        g_assert_cmpint(n, >, 0);
        g_assert_cmpint(send(subject->carrier_fd, buffer, (size_t)n, MSG_NOSIGNAL), ==, n);
}

/* ---- into each state ---- */

static void wait_signal(const Subject *subject, const char *name) {
        g_autofree char *beginning = g_strdup_printf("%s|%s", name, subject->path);

        (void)ear_wait(subject->world->ear, beginning);
}

static void call_plainly(const Subject *subject, const char *path, const char *method) {
        (void)sd_bus_message_unref(call(subject->world->bus, path, CONNECTION, method, ""));
}

static bool has_arrived(void *userdata) {
        const Subject *subject = userdata;

        return get_counter(subject->world->bus, subject->path, CONNECTION, "Statistics",
                           "DatagramsDelivered") > 0;
}

/* By the other end, and it has come here. */
static void leave_something(Subject *subject) {
        sd_bus *bus = subject->world->bus;

        if (subject->role->external) {
                subject->carrier_fd = open_carrier(subject, subject->path);
                subject->other_carrier_fd = open_carrier(subject, subject->other);
        }
        write_datagram(bus, subject->other, "left", 4);
        if (subject->role->external)
                pass_one_on(subject);
        bus_wait(bus, has_arrived, subject, "the datagram");
}

static void enter_complete(Subject *subject) {
        if (is_situation(subject, "with tickets"))
                start_with_tickets(subject);
        else
                start_with_keys(subject, true, true);
        wait_string(subject->world->bus, subject->path, CONNECTION, "HandshakeState", COMPLETE);
        wait_string(subject->world->bus, subject->other, CONNECTION, "HandshakeState", COMPLETE);
}

static void enter_over(Subject *subject) {
        bool by_peer = is_situation(subject, "closed by the peer");
        bool has_left = is_situation(subject, "something left");

        enter_complete(subject);
        if (has_left)
                leave_something(subject);
        call_plainly(subject, by_peer || has_left ? subject->other : subject->path, "Shutdown");
        if (has_left && subject->role->external)
                pass_one_on(subject);
        subject->has_end = by_peer || has_left;
}

static void enter_not_started(Subject *subject) {
        sd_bus_message *m;

        if (g_str_equal(subject->role->name, "listener's") ||
            is_situation(subject, "closed by the peer") ||
            is_situation(subject, "something left")) {
                enter_over(subject);
                return;
        }

        if (!subject->role->external)
                m = begin_client(subject, is_situation(subject, "no peer") ? 0 : PEER_PORT);
        else
                m = begin_carried(subject, subject->role->name);
        if (is_situation(subject, "a verified hello")) {
                options_add_psk(m, PSK_IDENTITY, PSK_KEY);
                options_add_secret(m, "CookieSecret", SECRET, strlen(SECRET));
                subject->datagram = make_verified_hello(subject);
        }
        subject->path = options_end_path(subject->world->bus, m);
}

static void enter_in_progress(Subject *subject) {
        bool is_asked = is_situation(subject, "asked");

        if (is_client(subject) && !is_asked)
                start_silently(subject);
        else
                start_with_keys(subject, !is_client(subject) && is_asked,
                                is_client(subject) || !is_asked);
        if (is_asked)
                wait_signal(subject, "PskRequired");
        if (is_situation(subject, "timed out"))
                wait_signal(subject, "HandshakeTimeout");
}

static void ignore_all(const Subject *subject) {
        sd_bus_message *errors = NULL, *m = NULL;
        sd_bus *bus = subject->world->bus;

        g_assert_cmpint(sd_bus_get_property(bus, NAME, subject->path, CONNECTION,
                                            "PeerVerificationErrors", NULL, &errors, "a(say)"),
                        >=, 0);
        g_assert_cmpint(sd_bus_message_new_method_call(bus, &m, NAME, subject->path, CONNECTION,
                                                       "IgnoreVerificationErrors"),
                        >=, 0);
        g_assert_cmpint(sd_bus_message_copy(m, errors, true), >=, 0);
        g_assert_cmpint(sd_bus_call(bus, m, CALL_USEC, NULL, NULL), >=, 0);
        (void)sd_bus_message_unref(m);
        (void)sd_bus_message_unref(errors);
}

static void enter_failed(Subject *subject) {
        start_with_certificates(subject);
        wait_string(subject->world->bus, subject->path, CONNECTION, "HandshakeState", FAILED);
        if (is_situation(subject, "all ignored"))
                ignore_all(subject);
}

/* What is the same in every state. */
static void enter_situation(Subject *subject) {
        bool has_channel = is_situation(subject, "channel open");

        if (is_situation(subject, "carrier open") || (has_channel && subject->role->external))
                subject->carrier_fd = open_carrier(subject, subject->path);
        if (has_channel)
                subject->channel_fd = open_channel(subject->world->bus, subject->path);
}

void subject_init(Subject *subject, World *world, const Role *role, const char *state,
                  const char *situation) {
        *subject = (Subject){.world = world,
                             .role = role,
                             .situation = situation,
                             .silent_fd = -1,
                             .channel_fd = -1,
                             .carrier_fd = -1,
                             .other_carrier_fd = -1};
        if (g_str_equal(state, NOT_STARTED))
                enter_not_started(subject);
        else if (g_str_equal(state, IN_PROGRESS))
                enter_in_progress(subject);
        else if (g_str_equal(state, FAILED))
                enter_failed(subject);
        else
                enter_complete(subject);

        if (is_situation(subject, "something left") && g_str_equal(state, COMPLETE))
                leave_something(subject);
        wait_string(world->bus, subject->path, CONNECTION, "HandshakeState", state);
        enter_situation(subject);
}

static void close_fds(const Subject *subject) {
        const int fds[] = {subject->silent_fd, subject->channel_fd, subject->carrier_fd,
                           subject->other_carrier_fd};

        for (size_t i = 0; i < G_N_ELEMENTS(fds); i++)
                if (fds[i] >= 0)
                        (void)close(fds[i]);
}

void subject_done(Subject *subject) {
        sd_bus *bus = subject->world->bus;
        const char *const paths[] = {subject->path, subject->other};

        memset(subject->world->carried, 0, sizeof(subject->world->carried));
        for (size_t i = 0; i < G_N_ELEMENTS(paths); i++)
                if (paths[i])
                        (void)sd_bus_call_method(bus, NAME, paths[i], CONNECTION, "Close", NULL,
                                                 NULL, "");
        if (subject->listener)
                close_object(bus, subject->listener, LISTENER);
        close_fds(subject);
        g_clear_pointer(&subject->datagram, g_bytes_unref);
        g_free(subject->path);
        g_free(subject->other);
        g_free(subject->listener);
}

/* ---- the world ---- */

void world_set_up(World *world) {
        *world = (World){.service = service_start(NULL)};
        world->bus = service_bus(world->service, UID_ALICE);
        world->ear = ear_new(world->bus);
        g_assert_cmpint(sd_bus_add_filter(world->bus, &world->carrying, on_signal, world), >=, 0);
        world->authority = test_identity_new("CA", NULL, TEST_IDENTITY_CA, TEST_KEY_ECDSA);
        world->server = test_identity_new("localhost", world->authority, TEST_IDENTITY_LOOPBACK,
                                          TEST_KEY_ECDSA);
        world->stranger = test_identity_new("stranger", NULL, 0, TEST_KEY_ECDSA);
}

void world_tear_down(World *world) {
        (void)sd_bus_slot_unref(world->carrying);
        world->ear = ear_free(world->ear);
        (void)bus_leave(world->bus);
        service_stop(world->service);
        (void)test_identity_free(world->authority);
        (void)test_identity_free(world->server);
        (void)test_identity_free(world->stranger);
}
