/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Each limit that a user can reach: a refusal that says so or a drop that is counted, nobody else
 * is hurt, and everything is given back.
 */

#include "stage.h"

#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

typedef struct World {
        Service *service;
        sd_bus *bus;
} World;

static World world_new(const char *limits) {
        g_autofree char *config = g_strdup_printf("[Limits]\n%s\n", limits);
        World world;

        world.service = service_start(config);
        world.bus = service_bus(world.service, UID_ALICE);
        return world;
}

/* The caller's name leaves, and nothing is left of it. */
static void world_free(World *world) {
        sd_bus *watcher = service_bus(world->service, UID_BOB);

        (void)bus_leave(world->bus);
        wait_nothing_used(watcher);
        (void)bus_leave(watcher);
        service_stop(world->service);
}

static sd_bus_message *create(sd_bus *bus) {
        return options_begin(bus, ROOT, MANAGER, "CreateConnection", "s", "client");
}

/* What a refusal says: how many of how many, and of what. */
static void assert_says(const char *text, const char *what) {
        if (!strstr(text, what))
                g_error("'%s' does not say '%s'", text, what);
}

static void test_listeners(void) {
        World world = world_new("ListenersPerUser=2");
        g_autofree char *text = NULL, *first = NULL;
        uint16_t port;

        first = listen_psk(world.bus, &port);
        g_free(listen_psk(world.bus, &port));
        text = call_refused("QuotaExceeded", world.bus, ROOT, MANAGER, "Listen", "sqa{sv}",
                            "127.0.0.1", 0, 0);
        assert_says(text, "2 of 2 listeners");
        g_assert_cmpuint(get_statistic(world.bus, "ListenersRefused"), ==, 1);
        g_assert_cmpuint(get_statistic(world.bus, "ListenersInUse"), ==, 2);
        close_object(world.bus, first, LISTENER);
        g_free(listen_psk(world.bus, &port));
        world_free(&world);
}

static void test_verifiers(void) {
        World world = world_new("VerifiersPerUser=2");
        g_autofree char *first = create_verifier(world.bus), *second = create_verifier(world.bus);
        g_autofree char *text = NULL;

        text = call_refused("QuotaExceeded", world.bus, ROOT, MANAGER, "CreateClientVerifier",
                            "a{sv}", 0);
        assert_says(text, "2 of 2 client verifiers");
        close_object(world.bus, first, VERIFIER);
        g_free(create_verifier(world.bus));
        world_free(&world);
}

static void test_connections_of_a_listener(void) {
        World world = world_new("ConnectionsPerUser=3");
        uint16_t port;
        int queue, fd;
        g_autofree char *listener = listen_queue(world.bus, &port, &queue);
        g_autofree char *open = connect_client(world.bus, port, &fd); /* two: one for each end */
        g_autofree char *third = create_client(world.bus, port, false);

        /* its hello is dropped, and counted, and the listener and who is in go on */
        do_handshake(world.bus, third);
        wait_statistic_reaches(world.bus, "DroppedQuota", 1);
        g_assert_cmpuint(get_counter(world.bus, listener, LISTENER, "Statistics", "DroppedQuota"),
                         >=, 1);
        write_datagram(world.bus, open, "still", 5);
        (void)close(fd);
        /* the client asks again, and then there is room */
        wait_string(world.bus, third, CONNECTION, "HandshakeState", "HandshakeComplete");
        (void)close(queue);
        world_free(&world);
}

static void test_half_open_handshakes_of_clients(void) {
        World world = world_new("HalfOpenPerUser=2");
        uint16_t port;
        int silent = udp_bind(&port);
        g_autofree char *one = create_client(world.bus, port, false);
        g_autofree char *two = create_client(world.bus, port, false);
        g_autofree char *three = create_client(world.bus, port, false);
        g_autofree char *text = NULL;

        do_handshake(world.bus, one);
        do_handshake(world.bus, two);
        text = call_refused("QuotaExceeded", world.bus, three, CONNECTION, "DoHandshake", "ay", 0);
        assert_says(text, "2 of 2 unfinished handshakes");
        g_assert_cmpuint(get_statistic(world.bus, "HalfOpenRefused"), ==, 1);
        (void)sd_bus_message_unref(call(world.bus, one, CONNECTION, "AbortHandshake", ""));
        do_handshake(world.bus, three);
        (void)close(silent);
        world_free(&world);
}

/* Who has proven its address and then says nothing. */
static void say_hello(int fd, uint16_t port, uint8_t number) {
        uint8_t random[32] = {number}, cookie[32], hello[HELLO_MAX];
        size_t size = hello_ask(fd, port, random, cookie);

        udp_send(fd, port, hello, hello_write(hello, random, cookie, size));
}

static void test_half_open_handshakes_of_a_listener(void) {
        World world = world_new("HalfOpenPerUser=4");
        uint16_t port, unused;
        g_autofree char *listener = listen_psk(world.bus, &port);
        int fds[8];

        for (uint8_t i = 0; i < G_N_ELEMENTS(fds); i++) {
                fds[i] = udp_bind(&unused);
                say_hello(fds[i], port, i);
        }
        wait_statistic(world.bus, "DroppedQuota", 4);
        g_assert_cmpuint(get_statistic(world.bus, "HalfOpenInUse"), ==, 4);
        g_assert_cmpuint(get_statistic(world.bus, "ConnectionsInUse"), ==, 4);

        /* and it is alice's own fault: bob is not in her way */
        if (geteuid() == 0) {
                sd_bus *bob = service_bus(world.service, UID_BOB);
                uint16_t bob_port;
                g_autofree char *other = listen_psk(bob, &bob_port);
                g_autofree char *open = open_client(bob, bob_port, false);

                (void)bus_leave(bob);
        }
        for (size_t i = 0; i < G_N_ELEMENTS(fds); i++)
                (void)close(fds[i]);
        world_free(&world);
}

/* More who leave it at that, until there are as many as may be. Their sockets stay open: what is
 * said to one must not come to who has its port next. */
static void fill_half_open(const World *world, uint16_t port, uint64_t n, GArray *fds) {
        uint64_t used = get_statistic(world->bus, "HalfOpenInUse");
        uint16_t unused;

        for (; used < n; used++) {
                int fd = udp_bind(&unused);

                say_hello(fd, port, (uint8_t)used);
                wait_statistic(world->bus, "HalfOpenInUse", used + 1);
                (void)g_array_append_val(fds, fd);
        }
}

/* Neither another user, nor who comes to the user's other listener, nor the user itself. */
static void test_half_open_handshakes_keep_nobody_out(void) {
        g_autoptr(GArray) fds = g_array_new(FALSE, FALSE, sizeof(int));
        World world;
        uint16_t flooded, second, bobs;
        sd_bus *bob;

        if (!service_has_users())
                return;

        world = world_new("HalfOpenPerUser=8\nHalfOpenTotal=8");
        bob = service_bus(world.service, UID_BOB);
        g_free(listen_psk(world.bus, &flooded));
        g_free(listen_psk(world.bus, &second));
        g_free(listen_psk(bob, &bobs));

        fill_half_open(&world, flooded, 8, fds);
        g_free(open_client(bob, bobs, false));
        fill_half_open(&world, flooded, 8, fds);
        g_free(open_client(bob, second, false));
        fill_half_open(&world, flooded, 8, fds);
        g_free(open_client(world.bus, bobs, false));
        fill_half_open(&world, flooded, 8, fds);
        g_assert_cmpuint(get_statistic(world.bus, "HalfOpenRefused"), ==, 0);

        (void)bus_leave(bob);
        world_free(&world);
        for (guint i = 0; i < fds->len; i++)
                (void)close(g_array_index(fds, int, i));
}

/* The owner of the listener never answers PskRequired. */
static void test_suspended_handshakes(void) {
        World world = world_new("SuspendedPerUser=3");
        uint16_t port, other_port;
        g_autofree char *listener = listen_asking(world.bus, &port);
        g_autofree char *other = listen_psk(world.bus, &other_port);
        g_autofree char *open = NULL;
        char *clients[6];

        for (size_t i = 0; i < G_N_ELEMENTS(clients); i++) {
                clients[i] = create_client(world.bus, port, false);
                do_handshake(world.bus, clients[i]);
        }
        wait_statistic(world.bus, "SuspendedInUse", 3);
        wait_statistic(world.bus, "SuspendedRefused", 3);
        g_assert_cmpuint(get_statistic(world.bus, "DroppedQuota"), ==, 3);

        /* nobody waits for those who wait */
        open = open_client(world.bus, other_port, false);
        g_assert_cmpuint(get_statistic(world.bus, "SuspendedInUse"), ==, 3);

        close_object(world.bus, listener, LISTENER);
        wait_statistic(world.bus, "SuspendedInUse", 0);
        for (size_t i = 0; i < G_N_ELEMENTS(clients); i++)
                g_free(clients[i]);
        world_free(&world);
}

/* The keyring stands still: handshakes wait for it, so many and no more. */
static void test_handshakes_that_wait_for_the_keyring(void) {
        World world = world_new("SigningPerUser=2");
        pid_t keyring = service_keyring_pid(world.service);
        uint16_t port;
        int silent = udp_bind(&port);
        g_autofree char *listener = listen_psk(world.bus, &port);
        char *clients[4];

        for (size_t i = 0; i < G_N_ELEMENTS(clients); i++)
                clients[i] = create_client(world.bus, port, false);
        g_assert_cmpint(kill(keyring, SIGSTOP), ==, 0);
        for (size_t i = 0; i < G_N_ELEMENTS(clients); i++)
                do_handshake(world.bus, clients[i]);
        wait_statistic(world.bus, "SigningInUse", 2);
        wait_statistic(world.bus, "SigningRefused", 2);
        g_assert_cmpint(kill(keyring, SIGCONT), ==, 0);
        wait_statistic(world.bus, "SigningInUse", 0);
        for (size_t i = 0; i < G_N_ELEMENTS(clients); i++)
                g_free(clients[i]);
        (void)close(silent);
        world_free(&world);
}

/* ---- a polkit that never answers ---- */

#define POLKIT "org.freedesktop.PolicyKit1"

/* A bus on which root may be polkit. */
static void allow_polkit(World *world, const char *bus_conf) {
        g_autofree char *contents = NULL;
        g_autofree char *path = g_build_filename(g_get_tmp_dir(), "dtlsd-polkit-bus.XXXXXX", NULL);
        int fd = g_mkstemp(path);
        GString *text;

        g_assert_cmpint(fd, >=, 0);
        (void)close(fd);
        g_assert_true(g_file_get_contents(bus_conf, &contents, NULL, NULL));
        text = g_string_new(contents);
        (void)g_string_replace(text, "</busconfig>",
                               "<policy context=\"default\"><allow own=\"" POLKIT "\"/>"
                               "<allow send_destination=\"" POLKIT "\"/></policy></busconfig>",
                               1);
        g_assert_true(g_file_set_contents(path, text->str, (gssize)text->len, NULL));
        (void)g_string_free(text, TRUE);

        (void)g_setenv("DTLSD_PRIVATE_BUS_CONF", path, TRUE);
        *world = world_new("CallsPerUser=2");
        (void)g_setenv("DTLSD_PRIVATE_BUS_CONF", bus_conf, TRUE);
        (void)g_unlink(path);
}

/* Below 1024 an administrator is asked. */
static sd_bus_message *send_listen(sd_bus *bus) {
        sd_bus_message *m = options_begin(bus, ROOT, MANAGER, "Listen", "sq", "127.0.0.1", 684);

        g_assert_cmpint(sd_bus_message_close_container(m), >=, 0);
        g_assert_cmpint(sd_bus_send(bus, m, NULL), >=, 0);
        return m;
}

/* One more call than may wait is refused; those that wait stop no other, and are answered when it
 * turns out that there is no polkit any more. */
static void test_calls_that_wait(void) {
        g_autofree char *bus_conf = g_strdup(g_getenv("DTLSD_PRIVATE_BUS_CONF"));
        sd_bus_message *calls[2];
        g_autofree char *text = NULL;
        sd_bus *polkit;
        World world;

        if (!service_has_users())
                return;

        allow_polkit(&world, bus_conf);
        polkit = service_bus(world.service, 0);
        g_assert_cmpint(sd_bus_request_name(polkit, POLKIT, 0), >=, 0);
        for (size_t i = 0; i < G_N_ELEMENTS(calls); i++)
                calls[i] = send_listen(world.bus);
        text = call_refused("QuotaExceeded", world.bus, ROOT, MANAGER, "Listen", "sqa{sv}",
                            "127.0.0.1", 684, 0);
        assert_says(text, "2 of 2 calls");
        g_assert_cmpuint(get_statistic(world.bus, "CallsInUse"), ==, 2);
        g_assert_cmpuint(get_statistic(world.bus, "CallsRefused"), ==, 1);

        (void)bus_leave(polkit);
        wait_statistic(world.bus, "CallsInUse", 0);
        for (size_t i = 0; i < G_N_ELEMENTS(calls); i++)
                (void)sd_bus_message_unref(calls[i]);
        world_free(&world);
}

/* Its answer is not waited for. */
static void send_remove_psk(sd_bus *bus, const char *name) {
        sd_bus_message *m = NULL;

        g_assert_cmpint(sd_bus_message_new_method_call(bus, &m, NAME, ROOT, MANAGER, "RemovePsk"),
                        >=, 0);
        g_assert_cmpint(sd_bus_message_append(m, "s", name), >=, 0);
        g_assert_cmpint(sd_bus_send(bus, m, NULL), >=, 0);
        (void)sd_bus_message_unref(m);
}

static void remove_psk_refused(sd_bus *bus, const char *name, const char *says) {
        g_autofree char *text =
                call_refused("QuotaExceeded", bus, ROOT, MANAGER, "RemovePsk", "s", name);

        assert_says(text, says);
}

/* A keyring that is slow leaves some of them to authorizations; and one user leaves one to another.
 */
static void test_calls_that_wait_for_the_store(void) {
        World world = world_new("CallsTotal=4\nCallsPerUser=4");
        pid_t keyring = service_keyring_pid(world.service);
        g_autofree char *name = NULL, *bobs = NULL;
        sd_bus *other = service_bus(world.service, UID_ALICE);
        sd_bus *bob = service_bus(world.service, UID_BOB);

        name = g_strdup_printf("u/%u/x", geteuid() == 0 ? UID_ALICE : geteuid());
        bobs = g_strdup_printf("u/%u/x", UID_BOB);
        g_assert_cmpint(kill(keyring, SIGSTOP), ==, 0);
        send_remove_psk(world.bus, name);
        send_remove_psk(world.bus, name);
        wait_statistic(other, "CallsInUse", 2);
        remove_psk_refused(other, name, "2 calls wait for the store, all that may of CallsTotal");
        if (service_has_users()) {
                send_remove_psk(bob, bobs);
                wait_statistic(other, "CallsInUse", 3);
                remove_psk_refused(bob, bobs, "3 calls wait for the store");
        }
        g_assert_cmpint(kill(keyring, SIGCONT), ==, 0);
        wait_statistic(other, "CallsInUse", 0);
        (void)bus_leave(bob);
        (void)bus_leave(other);
        world_free(&world);
}

/* ---- file descriptors and bytes ---- */

/* The last call of @bus has had its turn, in which nothing else of its user waited: the service has
 * read it before what @other asks first, and users take turns. */
static void wait_until_it_runs(sd_bus *bus, sd_bus *other) {
        g_assert_cmpint(sd_bus_call_method(bus, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                                           "org.freedesktop.DBus", "GetId", NULL, NULL, ""),
                        >=, 0);
        for (int i = 0; i < 2; i++)
                (void)get_statistic(other, "FdsInUse");
}

/* Each may have brought 16, and has brought one: they are charged as a share of what the user may
 * have, and none is refused as long as there are not really more. */
static void test_calls_that_wait_for_the_keyring(void) {
        World world = world_new("FdsPerUser=40");
        pid_t keyring = service_keyring_pid(world.service);
        sd_bus *other =
                service_bus(world.service, UID_BOB); /* whose questions cost alice nothing */
        sd_bus_message *calls[4];
        sd_bus *names[4];

        g_assert_cmpint(kill(keyring, SIGSTOP), ==, 0);
        for (size_t i = 0; i < G_N_ELEMENTS(calls); i++) {
                names[i] = service_bus(world.service, UID_ALICE);
                /* whose it is is known, for what waits for that is charged as well */
                (void)sd_bus_message_unref(call(names[i], ROOT, MANAGER, "Unsubscribe", ""));
                calls[i] = create(names[i]);
                options_add_psk(calls[i], PSK_IDENTITY, PSK_KEY);
                g_assert_cmpint(sd_bus_message_close_container(calls[i]), >=, 0);
                g_assert_cmpint(sd_bus_send(names[i], calls[i], NULL), >=, 0);
                wait_until_it_runs(names[i], other);
                g_assert_cmpuint(get_statistic(other, "FdsInUse"), ==, 16);
        }

        g_assert_cmpint(kill(keyring, SIGCONT), ==, 0);
        wait_statistic(other, "ConnectionsInUse", G_N_ELEMENTS(calls));
        wait_statistic(other, "FdsInUse", 0);
        g_assert_cmpuint(get_statistic(other, "FdsRefused"), ==, 0);
        for (size_t i = 0; i < G_N_ELEMENTS(calls); i++) {
                (void)sd_bus_message_unref(calls[i]);
                (void)bus_leave(names[i]);
        }
        (void)bus_leave(other);
        world_free(&world);
}

/* A call that waits holds some too, so there have to be more than it may hold. */
static void test_file_descriptors(void) {
        World world = world_new("FdsPerUser=24");
        uint16_t port;
        int fds[24] = {0}, n = 0, r = 0;
        g_autofree char *listener = listen_psk(world.bus, &port);
        uint64_t before = get_statistic(world.bus, "FdsInUse");

        g_assert_cmpuint(before, ==, 1);
        while (r >= 0 && n < (int)G_N_ELEMENTS(fds)) {
                r = try_connect(world.bus, port, &fds[n]);
                n += r >= 0;
        }
        g_test_message("%d connections with a channel each", n);
        g_assert_cmpint(r, <, 0);
        g_assert_cmpint(n, >, 2);
        g_assert_cmpuint(get_statistic(world.bus, "FdsRefused"), >=, 1);
        g_assert_cmpuint(get_statistic(world.bus, "FdsInUse"), <=, 24);
        for (int i = 0; i < n; i++)
                (void)close(fds[i]);
        wait_statistic(world.bus, "FdsInUse", before);
        world_free(&world);
}

static void test_bytes_of_channels(void) {
        World world = world_new("BytesPerUser=65536"); /* less than the buffers of one channel */
        uint16_t port;
        g_autofree char *listener = listen_psk(world.bus, &port);
        g_autofree char *client = open_client(world.bus, port, false);
        g_autofree char *text = NULL;

        text = call_refused("QuotaExceeded", world.bus, client, CONNECTION, "OpenChannel", "a{sv}",
                            0);
        assert_says(text, "of 65536 bytes");
        g_assert_cmpuint(get_statistic(world.bus, "BytesRefused"), ==, 1);
        g_assert_cmpuint(get_statistic(world.bus, "FdsInUse"), ==, 2); /* the two sockets */
        world_free(&world);
}

/* What waits for ReadDatagram is counted, and more than that is dropped and counted. */
static void test_bytes_that_wait_to_be_read(void) {
        World world = world_new("BytesPerUser=5000");
        g_autoptr(Ear) ear = ear_new(world.bus);
        uint16_t port;
        g_autofree char *listener = listen_psk(world.bus, &port);
        g_autofree char *client = open_client(world.bus, port, false);
        g_autofree char *server = ear_wait_connection(ear, listener, 1);
        uint64_t before = get_statistic(world.bus, "BytesInUse"); /* their options */
        char datagram[1024] = "";

        for (int i = 0; i < 8; i++)
                write_datagram(world.bus, client, datagram, sizeof datagram);
        wait_statistic(world.bus, "DroppedQuota", 4);
        g_assert_cmpuint(get_statistic(world.bus, "BytesInUse"), ==, before + 4 * sizeof datagram);
        for (int i = 0; i < 4; i++) {
                sd_bus_message *reply =
                        call(world.bus, server, CONNECTION, "ReadDatagram", "a{sv}", 0);

                (void)sd_bus_message_unref(reply);
        }
        g_assert_cmpuint(get_statistic(world.bus, "BytesInUse"), ==, before);
        world_free(&world);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/limits/listeners", test_listeners);
        g_test_add_func("/limits/client-verifiers", test_verifiers);
        g_test_add_func("/limits/connections-of-a-listener", test_connections_of_a_listener);
        g_test_add_func("/limits/half-open-handshakes-of-clients",
                        test_half_open_handshakes_of_clients);
        g_test_add_func("/limits/half-open-handshakes-of-a-listener",
                        test_half_open_handshakes_of_a_listener);
        g_test_add_func("/limits/half-open-handshakes-keep-nobody-out",
                        test_half_open_handshakes_keep_nobody_out);
        g_test_add_func("/limits/suspended-handshakes-delay-nobody", test_suspended_handshakes);
        g_test_add_func("/limits/handshakes-that-wait-for-the-keyring",
                        test_handshakes_that_wait_for_the_keyring);
        g_test_add_func("/limits/calls-that-wait-for-polkit", test_calls_that_wait);
        g_test_add_func("/limits/calls-that-wait-for-the-store",
                        test_calls_that_wait_for_the_store);
        g_test_add_func("/limits/calls-that-wait-for-the-keyring",
                        test_calls_that_wait_for_the_keyring);
        g_test_add_func("/limits/file-descriptors", test_file_descriptors);
        g_test_add_func("/limits/bytes-of-channels", test_bytes_of_channels);
        g_test_add_func("/limits/bytes-that-wait-to-be-read", test_bytes_that_wait_to_be_read);
        return g_test_run();
}
