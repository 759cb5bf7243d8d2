/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * One connection, several programs: three users, two groups, and what each may by a share.
 */

#include "stage.h"

#include <errno.h>
#include <grp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define UNKNOWN "org.freedesktop.DBus.Error.UnknownObject"
#define UID_CAROL ((uid_t)3) /* sys */
#define GID_ONE ((gid_t)20)  /* dialout: carol's */
#define GID_TWO ((gid_t)44)  /* video: bob's and carol's */
#define BOB "uid:5"

/* Alice has a connection; what its peer has is in the test's hands. */
typedef struct World {
        Service *service;
        sd_bus *alice, *bob, *carol;
        int queue, far; /* the peer's channel */
        char *path;     /* alice's */
} World;

static sd_bus *bus_of_groups(Service *service, uid_t uid, size_t n, const gid_t *gids) {
        sd_bus *bus;

        g_assert_cmpint(setgroups(n, gids), ==, 0);
        bus = service_bus(service, uid);
        g_assert_cmpint(setgroups(0, NULL), ==, 0);
        return bus;
}

static bool world_new(World *world) {
        static const gid_t both[] = {GID_ONE, GID_TWO};
        g_autofree char *listener = NULL;
        uint16_t port;

        if (!service_has_users())
                return false;

        world->service = service_start(NULL);
        world->alice = service_bus(world->service, UID_ALICE);
        world->bob = bus_of_groups(world->service, UID_BOB, 1, &both[1]);
        world->carol = bus_of_groups(world->service, UID_CAROL, 2, both);
        listener = listen_queue(world->alice, &port, &world->queue);
        world->path = open_client(world->alice, port, false);
        world->far = accept_channel(world->queue);
        return true;
}

static void world_done(World *world) {
        (void)close(world->far);
        (void)close(world->queue);
        (void)bus_leave(world->alice);
        (void)bus_leave(world->bob);
        (void)bus_leave(world->carol);
        service_stop(world->service);
        g_free(world->path);
}

static void share(const World *world, const char *subject, const char *one, const char *other) {
        (void)sd_bus_message_unref(other ? call(world->alice, world->path, CONNECTION, "Share",
                                                "sas", subject, 2, one, other)
                                         : call(world->alice, world->path, CONNECTION, "Share",
                                                "sas", subject, 1, one));
}

static void stop_sharing(const World *world, const char *subject) {
        (void)sd_bus_message_unref(
                call(world->alice, world->path, CONNECTION, "Unshare", "s", subject));
}

static void assert_refused(sd_bus *bus, const char *error, const World *world, const char *method) {
        g_free(call_refused(error, bus, world->path, CONNECTION, method, ""));
}

/* Whether the reply to this call has the connection's path, or its number, in it. */
static bool says(sd_bus *bus, const World *world, const char *what, sd_bus_message *reply) {
        GString *text = message_flatten(reply);
        bool has = strstr(text->str, what) != NULL;

        g_string_free(text, TRUE);
        (void)sd_bus_message_unref(reply);
        return has;
}

static bool is_listed(sd_bus *bus, const World *world) {
        g_autofree char *node = g_strdup_printf("<node name=\"%s\"", strrchr(world->path, '/') + 1);
        bool managed = says(bus, world, world->path,
                            call(bus, ROOT, OBJECT_MANAGER, "GetManagedObjects", ""));
        bool paged =
                says(bus, world, world->path,
                     call(bus, ROOT, MANAGER, "ListConnections", "tua{sv}", UINT64_C(0), 100, 0));
        bool node_is_there = says(bus, world, node,
                                  call(bus, ROOT "/connection",
                                       "org.freedesktop.DBus.Introspectable", "Introspect", ""));

        g_assert_cmpint(managed, ==, paged);
        g_assert_cmpint(managed, ==, node_is_there);
        return managed;
}

/* ---- rights over the bus ---- */

static void test_inspect_is_to_see(void) {
        World world = {0};
        g_autofree char *state = NULL;

        if (!world_new(&world))
                return;

        g_assert_false(is_listed(world.bob, &world));
        assert_refused(world.bob, UNKNOWN, &world, "Shutdown");
        share(&world, BOB, "inspect", NULL);

        g_assert_true(is_listed(world.bob, &world));
        g_assert_false(is_listed(world.carol, &world));
        state = get_string(world.bob, world.path, CONNECTION, "HandshakeState");
        g_assert_cmpstr(state, ==, "HandshakeComplete");
        assert_refused(world.bob, "NotAuthorized", &world, "Shutdown");
        g_free(call_refused("NotAuthorized", world.bob, world.path, CONNECTION,
                            "WriteDatagramEncrypted", "ay", 1, 'x'));

        stop_sharing(&world, BOB);
        g_assert_false(is_listed(world.bob, &world));
        assert_refused(world.bob, UNKNOWN, &world, "Shutdown");
        world_done(&world);
}

static void test_the_shared_hear_what_happens(void) {
        World world = {0};
        g_autoptr(Ear) bob = NULL;
        g_autoptr(Ear) carol = NULL;
        g_autofree char *state = NULL;

        if (!world_new(&world))
                return;

        bob = ear_new(world.bob);
        carol = ear_new(world.carol);
        state = g_strdup_printf("StateChanged|%s|HandshakeNotStarted", world.path);
        /* without Subscribe: both have called once */
        assert_refused(world.bob, UNKNOWN, &world, "Shutdown");
        assert_refused(world.carol, UNKNOWN, &world, "Shutdown");
        share(&world, BOB, "inspect", NULL);
        (void)ear_wait(bob, "InterfacesAdded|");
        (void)sd_bus_message_unref(call(world.alice, world.path, CONNECTION, "Shutdown", ""));
        (void)ear_wait(bob, state);
        (void)ear_wait(bob, "Closed|");
        stop_sharing(&world, BOB);
        (void)ear_wait(bob, "InterfacesRemoved|");
        ear_catch_up(carol);
        g_assert_cmpuint(ear_count(carol, ""), ==, 0);
        bob = ear_free(bob);
        carol = ear_free(carol);
        world_done(&world);
}

static void test_control_is_to_drive(void) {
        World world = {0};
        int again;

        if (!world_new(&world))
                return;

        share(&world, BOB, "control", NULL);
        (void)sd_bus_message_unref(call(world.bob, world.path, CONNECTION, "Shutdown", ""));
        wait_string(world.alice, world.path, CONNECTION, "HandshakeState", "HandshakeNotStarted");
        (void)sd_bus_message_unref(call(world.bob, world.path, CONNECTION, "DoHandshake", "ay", 0));
        wait_string(world.bob, world.path, CONNECTION, "HandshakeState", "HandshakeComplete");
        again = accept_channel(world.queue);
        (void)close(again);

        /* with whom, by which keys and how long it is there is the owner's to say */
        assert_refused(world.bob, "NotAuthorized", &world, "Close");
        g_free(call_refused("NotAuthorized", world.bob, world.path, CONNECTION, "SetPeer", "sqs",
                            "127.0.0.1", 1, ""));
        g_free(call_refused("NotAuthorized", world.bob, world.path, CONNECTION, "Share", "sas",
                            "uid:3", 1, "read"));
        g_free(call_refused("NotAuthorized", world.bob, world.path, CONNECTION, "Unshare", "s",
                            BOB));
        g_free(call_refused("NotAuthorized", world.bob, world.path, CONNECTION,
                            "ExportKeyingMaterial", "sayu", "EXPORTER-x", 0, 16));
        world_done(&world);
}

static void test_write_is_to_send(void) {
        World world = {0};
        char buffer[16];

        if (!world_new(&world))
                return;

        share(&world, BOB, "write", NULL);
        write_datagram(world.bob, world.path, "bob's", 5);
        (void)wait_fd(world.far);
        g_assert_cmpint(recv(world.far, buffer, sizeof(buffer), 0), ==, 5);
        g_assert_cmpmem(buffer, 5, "bob's", 5);
        assert_refused(world.bob, "NotAuthorized", &world, "Shutdown");
        world_done(&world);
}

static void test_a_group_is_who_the_bus_says(void) {
        World world = {0};

        if (!world_new(&world))
                return;

        share(&world, "gid:20", "inspect", NULL);
        g_assert_true(is_listed(world.carol, &world));
        g_assert_false(is_listed(world.bob, &world));
        share(&world, "gid:44", "control", NULL);
        stop_sharing(&world, "gid:20");
        g_assert_true(is_listed(world.carol, &world));
        (void)sd_bus_message_unref(call(world.bob, world.path, CONNECTION, "Shutdown", ""));
        world_done(&world);
}

/* Other programs of the owner's own user see it anyway, and may more by a share. */
static void test_the_owners_user_is_a_subject_too(void) {
        World world = {0};
        sd_bus *other;

        if (!world_new(&world))
                return;

        other = service_bus(world.service, UID_ALICE);
        assert_refused(other, "NotAuthorized", &world, "Shutdown");
        share(&world, "uid:1", "control", NULL);
        (void)sd_bus_message_unref(call(other, world.path, CONNECTION, "Shutdown", ""));
        (void)bus_leave(other);
        world_done(&world);
}

static void test_the_second_share_takes_the_place_of_the_first(void) {
        World world = {0};

        if (!world_new(&world))
                return;

        share(&world, BOB, "control", "write");
        share(&world, BOB, "inspect", NULL);
        assert_refused(world.bob, "NotAuthorized", &world, "Shutdown");
        g_assert_true(
                says(world.bob, &world, "|" BOB "|inspect",
                     call(world.bob, world.path, PROPERTIES, "Get", "ss", CONNECTION, "Shares")));
        world_done(&world);
}

static void test_sixty_four_are_enough(void) {
        g_autofree char *text = NULL;
        World world = {0};

        if (!world_new(&world))
                return;

        for (unsigned i = 0; i < 64; i++) {
                g_autofree char *subject = g_strdup_printf("uid:%u", 2000 + i);

                share(&world, subject, "read", NULL);
        }
        text = call_refused("QuotaExceeded", world.alice, world.path, CONNECTION, "Share", "sas",
                            BOB, 1, "read");
        g_assert_nonnull(strstr(text, "64"));
        assert_refused(world.bob, UNKNOWN, &world, "Shutdown");
        stop_sharing(&world, "uid:2000");
        share(&world, BOB, "read", NULL);
        g_free(call_refused("InvalidInputParameters", world.alice, world.path, CONNECTION,
                            "Unshare", "s", "uid:2000"));
        world_done(&world);
}

/* ---- channels ---- */

#define BURST 200

static void assert_comes(int fd, const char *text) {
        char buffer[64];

        (void)wait_fd(fd);
        g_assert_cmpint(recv(fd, buffer, sizeof(buffer), 0), ==, (ssize_t)strlen(text));
        g_assert_cmpmem(buffer, strlen(text), text, strlen(text));
}

/* After what is left to be read. */
static void assert_hangs_up(int fd) {
        char buffer[64];

        do
                (void)wait_fd(fd);
        while (recv(fd, buffer, sizeof(buffer), 0) > 0);
        g_assert_cmpint(recv(fd, buffer, sizeof(buffer), 0), ==, 0);
}

static char *attached(const World *world) {
        sd_bus_message *reply =
                call(world->alice, world->path, PROPERTIES, "Get", "ss", CONNECTION, "Attached");
        GString *text = message_flatten(reply);

        (void)sd_bus_message_unref(reply);
        return g_string_free(text, FALSE);
}

typedef struct Gone {
        const World *world;
        const char *what;
} Gone;

static bool is_detached(void *userdata) {
        const Gone *gone = userdata;
        g_autofree char *text = attached(gone->world);

        return !strstr(text, gone->what);
}

static void test_each_reader_has_its_own_channel(void) {
        g_autofree char *who = NULL;
        int alice, bob, carol;
        World world = {0};

        if (!world_new(&world))
                return;

        share(&world, BOB, "read", NULL);
        share(&world, "gid:20", "read", "write");
        bob = open_channel(world.bob, world.path); /* before the owner has one */
        alice = open_channel(world.alice, world.path);
        carol = open_channel(world.carol, world.path);
        g_assert_cmpint(send(world.far, "to all", 6, 0), ==, 6);
        assert_comes(alice, "to all");
        assert_comes(bob, "to all");
        assert_comes(carol, "to all");

        g_assert_cmpint(send(bob, "x", 1, MSG_NOSIGNAL), ==, -1);
        g_assert_cmpint(errno, ==, EPIPE);
        g_assert_cmpint(send(carol, "carol's", 7, 0), ==, 7);
        assert_comes(world.far, "carol's");
        g_assert_cmpint(send(alice, "alice's", 7, 0), ==, 7);
        assert_comes(world.far, "alice's");

        who = attached(&world);
        g_assert_nonnull(strstr(who, "|1|"));
        g_assert_nonnull(strstr(who, "|5|"));
        g_assert_nonnull(strstr(who, "|3|"));
        assert_refused(world.bob, "NotAuthorized", &world, "Shutdown");
        (void)close(bob);
        bus_wait(world.alice, is_detached, &(Gone){&world, "|5|"}, "the end of bob's channel");
        (void)close(carol);
        (void)close(alice);
        world_done(&world);
}

/* The datagrams up to some point, in order and without a gap, and then the end; how many. */
static unsigned read_until_the_end(int fd) {
        char buffer[64];
        unsigned n = 0;
        ssize_t size;

        for (;;) {
                (void)wait_fd(fd);
                size = recv(fd, buffer, sizeof(buffer) - 1, 0);
                g_assert_cmpint(size, >=, 0);
                if (size == 0)
                        return n;

                buffer[size] = '\0';
                g_assert_cmpuint(g_ascii_strtoull(buffer, NULL, 10), ==, n);
                n++;
        }
}

static void test_unshare_ends_it_amid_data(void) {
        int alice, bob;
        World world = {0};

        if (!world_new(&world))
                return;

        share(&world, BOB, "read", "write");
        alice = open_channel(world.alice, world.path);
        bob = open_channel(world.bob, world.path);
        for (unsigned i = 0; i < BURST; i++) {
                g_autofree char *text = g_strdup_printf("%u", i);

                if (i < BURST / 2)
                        (void)send(bob, "noise", 5, MSG_NOSIGNAL);
                if (i == BURST / 2)
                        stop_sharing(&world, BOB);
                g_assert_cmpint(send(world.far, text, strlen(text), 0), >, 0);
                assert_comes(alice, text);
        }
        /* what the owner had before it said so, and nothing that came later */
        g_assert_cmpuint(read_until_the_end(bob), ==, BURST / 2);
        g_assert_cmpint(send(bob, "x", 1, MSG_NOSIGNAL), ==, -1);
        g_free(call_refused(UNKNOWN, world.bob, world.path, CONNECTION, "OpenChannel", "a{sv}", 0));
        (void)close(alice);
        (void)close(bob);
        world_done(&world);
}

static void test_a_channel_goes_with_the_name_that_opened_it(void) {
        World world = {0};
        sd_bus *other;
        int bob, fd;

        if (!world_new(&world))
                return;

        share(&world, BOB, "read", NULL);
        other = service_bus(world.service, UID_BOB);
        bob = open_channel(world.bob, world.path);
        fd = open_channel(other, world.path);
        (void)bus_leave(other);
        assert_hangs_up(fd);
        g_assert_cmpint(send(world.far, "on", 2, 0), ==, 2);
        assert_comes(bob, "on");
        (void)close(fd);
        (void)close(bob);
        world_done(&world);
}

static void test_all_goes_with_the_owner(void) {
        World world = {0};
        int bob, carol;

        if (!world_new(&world))
                return;

        share(&world, BOB, "read", NULL);
        share(&world, "gid:20", "write", NULL);
        bob = open_channel(world.bob, world.path);
        carol = open_channel(world.carol, world.path);
        (void)bus_leave(g_steal_pointer(&world.alice));
        assert_hangs_up(bob);
        assert_hangs_up(carol);
        assert_hangs_up(world.far);
        assert_refused(world.bob, UNKNOWN, &world, "Shutdown");
        (void)close(bob);
        (void)close(carol);
        world_done(&world);
}

/* Nobody reads bob's, and neither the owner nor the peer feels it. */
static void test_a_slow_reader_loses_only_its_own(void) {
        g_autofree char *payload = g_strnfill(1000, 'x');
        int alice, bob;
        World world = {0};
        char buffer[1024];

        if (!world_new(&world))
                return;

        share(&world, BOB, "read", NULL);
        alice = open_channel(world.alice, world.path);
        bob = open_channel(world.bob, world.path);
        for (unsigned i = 0; i < 1000; i++) {
                g_assert_cmpint(send(world.far, payload, 1000, 0), ==, 1000);
                (void)wait_fd(alice);
                g_assert_cmpint(recv(alice, buffer, sizeof(buffer), 0), ==, 1000);
        }
        g_assert_cmpuint(
                get_counter(world.alice, world.path, CONNECTION, "Statistics", "DroppedSharedFull"),
                >, 0);
        g_assert_cmpuint(
                get_counter(world.alice, world.path, CONNECTION, "Statistics", "DroppedAppFull"),
                ==, 0);
        (void)close(alice);
        (void)close(bob);
        world_done(&world);
}

/* From birth: of a listener's connections, and of the listener to see. */
static void test_an_option_shares_from_the_beginning(void) {
        g_autofree char *listener = NULL, *client = NULL, *path = NULL, *mode = NULL;
        World world = {0};
        sd_bus_message *m;
        g_autoptr(Ear) ear = NULL;

        if (!world_new(&world))
                return;

        ear = ear_new(world.alice);
        m = options_begin(world.alice, ROOT, MANAGER, "Listen", "sq", "127.0.0.1", 0);
        options_add_psk(m, PSK_IDENTITY, PSK_KEY);
        g_assert_cmpint(sd_bus_message_append(m, "{sv}", "Share", "as", 1, BOB "=control"), >=, 0);
        listener = options_end_path(world.alice, m);
        client = open_client(world.alice, get_port(world.bob, listener), false);
        path = ear_wait_connection(ear, listener, 1);
        mode = get_string(world.bob, path, CONNECTION, "Mode");
        g_assert_cmpstr(mode, ==, "server");
        (void)sd_bus_message_unref(call(world.bob, path, CONNECTION, "Shutdown", ""));
        g_free(call_refused("NotAuthorized", world.bob, listener, LISTENER, "Close", ""));
        g_free(call_refused(UNKNOWN, world.carol, listener, LISTENER, "Close", ""));
        g_free(call_refused("InvalidInputParameters", world.alice, ROOT, MANAGER,
                            "CreateConnection", "sa{sv}", "client", 1, "Share", "as", 1,
                            "uid:5=fly"));
        ear = ear_free(ear);
        world_done(&world);
}

/* A port is one user's, and whose is not for the other to know. */
static void test_a_port_is_one_users(void) {
        g_autofree char *listener = NULL, *text = NULL;
        World world = {0};
        uint16_t port;

        if (!world_new(&world))
                return;

        listener = listen_psk(world.alice, &port);
        text = call_refused("AlreadyExists", world.bob, ROOT, MANAGER, "Listen", "sqa{sv}",
                            "0.0.0.0", port, 0);
        g_assert_nonnull(strstr(text, "administrator"));
        g_assert_null(strstr(text, "user 1"));
        world_done(&world);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/sharing/each-reader-has-its-own-channel",
                        test_each_reader_has_its_own_channel);
        g_test_add_func("/sharing/unshare-ends-it-amid-data", test_unshare_ends_it_amid_data);
        g_test_add_func("/sharing/a-channel-goes-with-the-name-that-opened-it",
                        test_a_channel_goes_with_the_name_that_opened_it);
        g_test_add_func("/sharing/all-goes-with-the-owner", test_all_goes_with_the_owner);
        g_test_add_func("/sharing/a-slow-reader-loses-only-its-own",
                        test_a_slow_reader_loses_only_its_own);
        g_test_add_func("/sharing/an-option-shares-from-the-beginning",
                        test_an_option_shares_from_the_beginning);
        g_test_add_func("/sharing/a-port-is-one-users", test_a_port_is_one_users);
        g_test_add_func("/sharing/inspect-is-to-see", test_inspect_is_to_see);
        g_test_add_func("/sharing/the-shared-hear-what-happens", test_the_shared_hear_what_happens);
        g_test_add_func("/sharing/control-is-to-drive", test_control_is_to_drive);
        g_test_add_func("/sharing/write-is-to-send", test_write_is_to_send);
        g_test_add_func("/sharing/a-group-is-who-the-bus-says", test_a_group_is_who_the_bus_says);
        g_test_add_func("/sharing/the-owners-user-is-a-subject-too",
                        test_the_owners_user_is_a_subject_too);
        g_test_add_func("/sharing/the-second-share-takes-the-place-of-the-first",
                        test_the_second_share_takes_the_place_of_the_first);
        g_test_add_func("/sharing/sixty-four-are-enough", test_sixty_four_are_enough);
        return g_test_run();
}
