/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The shared channel: whose it is, what its owner can do to others with it, and what is left of it
 * when it goes.
 */

#include "dtlsd-client.h"
#include "stage.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define MANY 1000
#define LIMITS                                                                                     \
        "[Limits]\nConnectionsPerUser=20000\nConnectionsTotal=40000\nHalfOpenPerUser=4000\n"       \
        "HalfOpenTotal=8000\nFdsPerUser=8000\nFdsTotal=8000\n"

/* A user with a shared channel and a listener on it. */
typedef struct Owner {
        sd_bus *bus;
        dtlsd_channel *channel;
        char *listener;
        uint16_t port;
} Owner;

typedef struct World {
        Service *service;
        Owner alice, bob;
} World;

static char *make_on(sd_bus *bus, sd_bus_message *m, uint32_t channel) {
        options_add_psk(m, PSK_IDENTITY, PSK_KEY);
        g_assert_cmpint(sd_bus_message_append(m, "{sv}", "Channel", "u", channel), >=, 0);
        return options_end_path(bus, m);
}

static char *create_on(const Owner *owner, uint16_t port) {
        sd_bus_message *m =
                options_begin(owner->bus, ROOT, MANAGER, "CreateConnection", "s", "client");

        g_assert_cmpint(sd_bus_message_append(m, "{sv}{sv}", "PeerAddress", "s", "127.0.0.1",
                                              "PeerPort", "q", port),
                        >=, 0);
        return make_on(owner->bus, m, dtlsd_channel_id(owner->channel));
}

static void owner_new(Owner *owner, Service *service, uid_t uid) {
        sd_bus_error error = SD_BUS_ERROR_NULL;

        owner->bus = service_bus(service, uid);
        if (dtlsd_channel_open(owner->bus, &owner->channel, &error) < 0)
                g_error("OpenChannel: %s", error.message);

        owner->listener =
                make_on(owner->bus,
                        options_begin(owner->bus, ROOT, MANAGER, "Listen", "sq", "127.0.0.1", 0),
                        dtlsd_channel_id(owner->channel));
        owner->port = get_port(owner->bus, owner->listener);
}

static void owner_done(Owner *owner) {
        g_free(owner->listener);
        owner->channel = dtlsd_channel_unref(owner->channel);
        owner->bus = bus_leave(owner->bus);
}

static void set_up(World *world, const void *config) {
        world->service = service_start(config ? config : LIMITS);
        owner_new(&world->alice, world->service, UID_ALICE);
        owner_new(&world->bob, world->service, UID_BOB);
}

static void tear_down(World *world, const void *config) {
        sd_bus *bus;

        owner_done(&world->alice);
        owner_done(&world->bob);
        bus = service_bus(world->service, UID_ALICE);
        wait_nothing_used(bus);
        (void)bus_leave(bus);
        service_stop(world->service);
}

/* The next frame, waited for. */
static struct dtlsd_frame take(const Owner *owner) {
        struct dtlsd_frame frame;
        int r;

        while ((r = dtlsd_channel_receive(owner->channel, &frame)) == -EAGAIN)
                g_assert_cmpint(dtlsd_channel_wait(owner->channel, POLLIN,
                                                   (int)(SERVICE_LIMIT_USEC / 1000)),
                                ==, 0);
        g_assert_cmpint(r, ==, 0);
        return frame;
}

static uint32_t expect(const Owner *owner, enum dtlsd_frame_kind kind, const char *text) {
        struct dtlsd_frame frame = take(owner);
        struct dtlsd_facts facts;

        g_assert_cmpint(frame.kind, ==, kind);
        if (kind == DTLSD_FRAME_DATA) {
                g_assert_cmpmem(frame.data, frame.size, text, strlen(text));
        } else if (text) {
                g_assert_cmpint(dtlsd_frame_facts(&frame, &facts), ==, 0);
                g_assert_cmpstr(facts.reason, ==, text);
        }
        return frame.connection;
}

static void say(const Owner *owner, uint32_t number, const char *text) {
        g_assert_cmpint(dtlsd_channel_send(owner->channel, number, text, strlen(text)), ==, 0);
        g_assert_cmpint(dtlsd_channel_flush(owner->channel), ==, 0);
}

/* Somebody's client with a channel of its own; at the owner's listener it has *ret_number. */
static int connect_to(const Owner *owner, sd_bus *bus, uint32_t *ret_number) {
        int fd;

        g_free(connect_client(bus, owner->port, &fd));
        *ret_number = expect(owner, DTLSD_FRAME_OPENED, NULL);
        return fd;
}

static void assert_reads(int fd, const char *text) {
        char buffer[256];
        ssize_t n;

        (void)wait_fd(fd);
        n = recv(fd, buffer, sizeof(buffer), 0);
        g_assert_cmpint(n, >=, 0);
        g_assert_cmpmem(buffer, (size_t)n, text, strlen(text));
}

/* There and back, within the limit of everything here. */
static void assert_serves(const Owner *owner, int fd, uint32_t number) {
        g_assert_cmpint(send(fd, "ping", 4, 0), ==, 4);
        g_assert_cmpuint(expect(owner, DTLSD_FRAME_DATA, "ping"), ==, number);
        say(owner, number, "pong");
        assert_reads(fd, "pong");
}

/* ---- whose it is ---- */

static char *refusal(const Owner *owner, uint32_t channel) {
        return call_refused("InvalidInputParameters", owner->bus, ROOT, MANAGER, "CreateConnection",
                            "sa{sv}", "client", 1, "Channel", "u", channel);
}

static void test_anothers_is_unknown(World *world, const void *config) {
        uint32_t id = dtlsd_channel_id(world->alice.channel);
        g_autofree char *bobs = refusal(&world->bob, id);
        Owner again = {.bus = service_bus(world->service, UID_ALICE)};
        g_autofree char *other_names = refusal(&again, id);
        g_autofree char *nobodys = refusal(&again, 4000000000);

        /* and nothing tells one that is there from one that is not */
        g_assert_cmpstr(bobs, ==, other_names);
        g_assert_nonnull(strstr(bobs, "no shared channel"));
        g_assert_nonnull(strstr(nobodys, "no shared channel 4000000000"));
        again.bus = bus_leave(again.bus);
}

static void test_options_are_refused_and_named(World *world, const void *config) {
        g_autofree char *text =
                call_refused("InvalidInputParameters", world->alice.bus, ROOT, MANAGER,
                             "OpenChannel", "a{sv}", 1, "Nonsense", "b", true);
        g_autofree char *with_connect = call_refused(
                "InvalidInputParameters", world->alice.bus, ROOT, MANAGER, "Connect", "sqa{sv}",
                "127.0.0.1", 5684, 1, "Channel", "u", dtlsd_channel_id(world->alice.channel));
        g_autofree char *external =
                call_refused("InvalidInputParameters", world->alice.bus, ROOT, MANAGER,
                             "CreateConnection", "sa{sv}", "client", 2, "Transport", "s",
                             "external", "Channel", "u", dtlsd_channel_id(world->alice.channel));
        g_autofree char *persistent =
                call_refused("InvalidInputParameters", world->alice.bus, ROOT, MANAGER,
                             "CreateConnection", "sa{sv}", "client", 2, "Persistent", "b", true,
                             "Channel", "u", dtlsd_channel_id(world->alice.channel));

        g_assert_nonnull(strstr(text, "Nonsense"));
        g_assert_nonnull(strstr(with_connect, "Channel"));
        g_assert_nonnull(strstr(external, "Channel"));
        g_assert_nonnull(strstr(persistent, "Channel"));
}

static void test_anothers_connections_are_out_of_reach(World *world, const void *config) {
        struct dtlsd_frame frames[2];
        uint32_t number;
        size_t n;
        int fd = connect_to(&world->alice, world->alice.bus, &number);
        g_autofree char *path = g_strdup_printf(ROOT "/connection/%u", number);

        frames[0] = (struct dtlsd_frame){number, DTLSD_FRAME_DATA, "intruder", 8};
        frames[1] = (struct dtlsd_frame){number, DTLSD_FRAME_CLOSED, NULL, 0};
        g_assert_cmpint(dtlsd_channel_send_many(world->bob.channel, frames, 2, &n), ==, 0);
        g_assert_cmpuint(n, ==, 2);
        g_assert_cmpuint(expect(&world->bob, DTLSD_FRAME_DROPPED, "NotOpen"), ==, number);

        /* the first thing that its peer hears is its owner's */
        assert_serves(&world->alice, fd, number);
        g_assert_cmpuint(
                get_counter(world->alice.bus, path, CONNECTION, "Statistics", "DatagramsCollected"),
                ==, 1);
        (void)close(fd);
        g_assert_cmpuint(expect(&world->alice, DTLSD_FRAME_CLOSED, "PeerClosed"), ==, number);
}

static void test_unannounced_until_told(World *world, const void *config) {
        g_autoptr(Ear) ear = NULL;
        uint32_t number;
        g_autofree char *path = NULL, *state = NULL, *announced = NULL;
        sd_bus_message *m;
        uint16_t port;
        int fd, other_fd;

        ear = ear_new(world->alice.bus); /* an owner watches what it has */
        fd = connect_to(&world->alice, world->bob.bus, &number);
        path = g_strdup_printf(ROOT "/connection/%u", number);
        ear_catch_up(ear);
        g_assert_cmpuint(ear_count(ear, ""), ==, 0);

        /* but it answers on its path */
        state = get_string(world->alice.bus, path, CONNECTION, "HandshakeState");
        g_assert_cmpstr(state, ==, "HandshakeComplete");
        g_free(call_refused("ChannelInUse", world->alice.bus, path, CONNECTION, "OpenChannel",
                            "a{sv}", 0));
        g_free(call_refused("ChannelInUse", world->alice.bus, world->alice.listener, LISTENER,
                            "OpenAcceptQueue", ""));

        m = options_begin(world->alice.bus, ROOT, MANAGER, "Listen", "sq", "127.0.0.1", 0);
        g_assert_cmpint(sd_bus_message_append(m, "{sv}", "Announce", "b", true), >=, 0);
        announced = make_on(world->alice.bus, m, dtlsd_channel_id(world->alice.channel));
        port = get_port(world->alice.bus, announced);
        g_free(connect_client(world->bob.bus, port, &other_fd));
        (void)expect(&world->alice, DTLSD_FRAME_OPENED, NULL);
        g_free(ear_wait_connection(ear, announced, 1));
        (void)close(fd);
        (void)close(other_fd);
        ear = ear_free(ear);
}

/* ---- who does not read ---- */

static void test_a_slow_reader_is_alone(World *world, const void *config) {
        g_autofree uint8_t *block = g_malloc0(1200);
        uint32_t number, bobs, n_dropped = 0, late = 0;
        int fd = connect_to(&world->alice, world->alice.bus, &number);
        int bobs_fd = connect_to(&world->bob, world->alice.bus, &bobs), late_fd;
        size_t n_sent = 0, n_data = 0;
        bool opened = false, closed = false;

        while (get_statistic(world->alice.bus, "DroppedAppFull") == 0) {
                for (int i = 0; i < 200; i++) {
                        struct pollfd look = {.fd = fd, .events = POLLOUT};

                        g_assert_cmpint(poll(&look, 1, (int)(SERVICE_LIMIT_USEC / 1000)), ==, 1);
                        n_sent += send(fd, block, 1200, MSG_DONTWAIT | MSG_NOSIGNAL) == 1200;
                }
        }
        assert_serves(&world->bob, bobs_fd, bobs);

        /* what opens and ends meanwhile is told of later, and nothing of it is lost */
        g_free(connect_client(world->bob.bus, world->alice.port, &late_fd));
        (void)close(late_fd);
        wait_statistic_reaches(world->alice.bus, "HandshakesCompleted", 6);
        (void)close(fd);

        for (unsigned n_closed = 0; n_closed < 2;) {
                struct dtlsd_frame frame = take(&world->alice);
                struct dtlsd_facts facts;

                if (frame.kind == DTLSD_FRAME_DATA) {
                        g_assert_cmpuint(frame.connection, ==, number);
                        g_assert_false(closed);
                        n_data++;
                        continue;
                }

                g_assert_cmpint(dtlsd_frame_facts(&frame, &facts), ==, 0);
                n_dropped += facts.n_dropped;
                if (frame.kind == DTLSD_FRAME_OPENED) {
                        late = frame.connection;
                        opened = true;
                }
                if (frame.kind == DTLSD_FRAME_CLOSED) {
                        g_assert_cmpstr(facts.reason, ==, "PeerClosed");
                        n_closed++;
                        closed |= frame.connection == number;
                        if (frame.connection != number) {
                                g_assert_true(opened);
                                g_assert_cmpuint(frame.connection, ==, late);
                        }
                }
        }

        g_test_message("%zu sent, %zu read, %u dropped", n_sent, n_data, n_dropped);
        g_assert_cmpuint(n_data, >, 0);
        g_assert_cmpuint(n_dropped, ==, get_statistic(world->alice.bus, "DroppedAppFull"));
        (void)close(bobs_fd);
}

/* ---- who goes ---- */

/* An application that opens @n connections to itself and says when they are there. */
static void application(World *world, int ready) {
        Owner owner = {0};
        struct dtlsd_frame frame;
        unsigned n_opened = 0;

        owner_new(&owner, world->service, UID_ALICE);
        for (int i = 0; i < MANY; i++) {
                g_autofree char *path = create_on(&owner, owner.port);

                do_handshake(owner.bus, path);
                while (dtlsd_channel_receive(owner.channel, &frame) == 0)
                        n_opened += frame.kind == DTLSD_FRAME_OPENED;
        }
        while (n_opened < 2 * MANY)
                n_opened += take(&owner).kind == DTLSD_FRAME_OPENED;

        g_assert_cmpint(write(ready, "x", 1), ==, 1);
        for (;;)
                (void)pause();
}

static void test_a_killed_application_leaves_nothing(World *world, const void *config) {
        uint32_t number;
        int fd = connect_to(&world->bob, world->bob.bus, &number);
        struct pollfd look;
        int ready[2];
        pid_t pid;

        g_assert_cmpint(pipe(ready), ==, 0);
        pid = fork();
        g_assert_cmpint(pid, >=, 0);
        if (pid == 0)
                application(world, ready[1]);

        (void)close(ready[1]);
        look = (struct pollfd){.fd = ready[0], .events = POLLIN};
        g_assert_cmpint(poll(&look, 1, 5 * (int)(SERVICE_LIMIT_USEC / 1000)), ==, 1); /* many */
        g_assert_true(look.revents & POLLIN);
        g_assert_cmpuint(get_statistic(world->bob.bus, "ConnectionsInUse"), ==, 2 * MANY + 2);

        g_assert_cmpint(kill(pid, SIGKILL), ==, 0);
        g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
        wait_statistic(world->bob.bus, "ConnectionsInUse", 2);
        assert_serves(&world->bob, fd, number);
        (void)close(ready[0]);
        (void)close(fd);
}

static void test_a_closed_fd_ends_it_all(World *world, const void *config) {
        uint32_t number;
        int fd = connect_to(&world->alice, world->bob.bus, &number);

        world->alice.channel = dtlsd_channel_unref(world->alice.channel);
        g_assert_cmpint(wait_fd(fd) & POLLHUP, !=, 0);
        wait_statistic(world->bob.bus, "ListenersInUse", 1);
        wait_statistic(world->bob.bus, "ConnectionsInUse", 1); /* the peer's object */
        (void)close(fd);
}

static void test_a_name_that_leaves_ends_it_all(World *world, const void *config) {
        struct pollfd look = {.fd = dtlsd_channel_fd(world->alice.channel), .events = POLLIN};
        struct dtlsd_frame frame;
        uint32_t number;
        int fd = connect_to(&world->alice, world->bob.bus, &number), r;

        world->alice.bus = bus_leave(world->alice.bus);
        g_assert_cmpint(wait_fd(fd) & POLLHUP, !=, 0);
        g_assert_cmpuint(expect(&world->alice, DTLSD_FRAME_CLOSED, "OwnerGone"), ==, number);
        while ((r = dtlsd_channel_receive(world->alice.channel, &frame)) == -EAGAIN)
                g_assert_cmpint(poll(&look, 1, (int)(SERVICE_LIMIT_USEC / 1000)), ==, 1);
        g_assert_cmpint(r, ==, -ECONNRESET);
        (void)close(fd);
}

/* ---- who writes nonsense ---- */

static size_t count_lines(const World *world) {
        g_autofree char *log = service_log(world->service);
        size_t n = 0;

        for (const char *c = log; *c; c++)
                n += *c == '\n';
        return n;
}

/* Headers of frames, right and wrong, of numbers that are bob's, alice's and nobody's. */
static size_t garbage(GRand *random, uint8_t packet[static 4096], const uint32_t numbers[2]) {
        size_t at = 0;

        while (at < 4000) {
                uint32_t number = g_rand_boolean(random) ? numbers[g_rand_int_range(random, 0, 2)]
                                                         : g_rand_int(random);
                uint16_t kind =
                        (uint16_t)(g_rand_int_range(random, 0, 40) ? 1 : g_rand_int(random));
                uint16_t length = (uint16_t)g_rand_int_range(random, 0, 64);

                if (kind == 3)
                        continue; /* that would be no garbage */
                if (g_rand_int_range(random, 0, 100) == 0)
                        length = (uint16_t)g_rand_int(random);
                memcpy(packet + at, &number, 4);
                memcpy(packet + at + 4, &kind, 2);
                memcpy(packet + at + 6, &length, 2);
                at += 8 + (length % 64 + 7u) / 8 * 8;
        }

        return MIN(at, 4096);
}

static void test_garbage_harms_nobody(World *world, const void *config) {
        g_autoptr(GRand) random = g_rand_new_with_seed(3);
        uint8_t packet[4096 + 128] = {0};
        int bobs_channel = dtlsd_channel_fd(world->bob.channel);
        uint32_t numbers[2];
        int fd = connect_to(&world->alice, world->alice.bus, &numbers[0]);
        int bobs_fd = connect_to(&world->bob, world->bob.bus, &numbers[1]);
        g_autofree uint8_t *read = g_malloc(65536);
        size_t lines = count_lines(world);

        for (int i = 0; i < 3000; i++) {
                struct pollfd look = {.fd = bobs_channel, .events = POLLOUT};

                g_assert_cmpint(poll(&look, 1, (int)(SERVICE_LIMIT_USEC / 1000)), ==, 1);
                (void)send(bobs_channel, packet, garbage(random, packet, numbers), MSG_DONTWAIT);
                if (i % 2 == 0) /* and reads half of the time */
                        while (recv(bobs_channel, read, 65536, MSG_DONTWAIT) > 0)
                                continue;
                if (i % 500 == 0)
                        assert_serves(&world->alice, fd, numbers[0]);
        }

        assert_serves(&world->alice, fd, numbers[0]);
        g_assert_cmpuint(get_statistic(world->alice.bus, "DroppedFrames"), >, 100);
        g_assert_cmpuint(get_statistic(world->alice.bus, "DroppedNotOpen"), >, 1000);
        g_assert_cmpuint(count_lines(world) - lines, <, 50);
        (void)close(fd);
        (void)close(bobs_fd);
}

static void skip(void) {
        (void)service_has_users();
}

#define ADD(path, function)                                                                        \
        g_test_add("/shared-channel/" path, World, NULL, set_up, function, tear_down)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        if (geteuid() != 0) {
                g_test_add_func("/shared-channel/is-of-several-users", skip);
                return g_test_run();
        }

        ADD("anothers-is-unknown", test_anothers_is_unknown);
        ADD("options-are-refused-and-named", test_options_are_refused_and_named);
        ADD("anothers-connections-are-out-of-reach", test_anothers_connections_are_out_of_reach);
        ADD("is-quiet-unless-told", test_unannounced_until_told);
        ADD("a-slow-reader-is-alone", test_a_slow_reader_is_alone);
        ADD("a-killed-application-leaves-nothing", test_a_killed_application_leaves_nothing);
        ADD("a-closed-fd-ends-it-all", test_a_closed_fd_ends_it_all);
        ADD("a-name-that-leaves-ends-it-all", test_a_name_that_leaves_ends_it_all);
        ADD("garbage-harms-nobody", test_garbage_harms_nobody);
        return g_test_run();
}
