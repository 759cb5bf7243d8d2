/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Limits: what a user may have, what the refusal says, that others are not hurt, and that
 * everything is given back.
 */

#include "pair.h"

#include <string.h>
#include <unistd.h>

static uint64_t statistic(sd_bus *bus, const char *counter) {
        return get_counter(bus, ROOT, MANAGER, "Statistics", counter);
}

static void test_user_at_its_limit_is_told_and_hurts_nobody(void) {
        Service *service;
        sd_bus *alice, *bob;

        if (!service_has_users())
                return;

        service = service_start("[Limits]\nConnectionsPerUser=3\n");
        alice = service_bus(service, UID_ALICE);
        bob = service_bus(service, UID_BOB);
        for (int i = 0; i < 3; i++)
                (void)sd_bus_message_unref(
                        call(alice, ROOT, MANAGER, "CreateConnection", "sa{sv}", "client", 0));
        {
                g_autofree char *text = call_refused("QuotaExceeded", alice, ROOT, MANAGER,
                                                     "CreateConnection", "sa{sv}", "client", 0);

                /* which limit, whose, how much */
                g_assert_nonnull(strstr(text, "User 1 has 3 of 3 connections"));
                g_assert_nonnull(strstr(text, "ConnectionsPerUser="));
        }
        (void)sd_bus_message_unref(
                call(bob, ROOT, MANAGER, "CreateConnection", "sa{sv}", "client", 0));
        g_assert_cmpuint(statistic(bob, "ConnectionsRefused"), ==, 1);
        (void)bus_leave(alice);
        (void)bus_leave(bob);
        service_stop(service);
}

static void test_closing_gives_back(void) {
        Service *service = service_start("[Limits]\nConnectionsPerUser=1\n");
        sd_bus *bus = service_bus(service, UID_ALICE);

        for (int i = 0; i < 20; i++) {
                sd_bus_message *reply =
                        call(bus, ROOT, MANAGER, "CreateConnection", "sa{sv}", "client", 0);
                const char *path;

                g_assert_cmpint(sd_bus_message_read(reply, "o", &path), >=, 0);
                (void)sd_bus_message_unref(call(bus, path, CONNECTION, "Close", ""));
                (void)sd_bus_message_unref(reply);
        }
        (void)bus_leave(bus);
        service_stop(service);
}

static void close_unanswered(sd_bus *bus, const char *path) {
        sd_bus_message *m;

        g_assert_cmpint(sd_bus_message_new_method_call(bus, &m, NAME, path, CONNECTION, "Close"),
                        >=, 0);
        g_assert_cmpint(sd_bus_message_set_expect_reply(m, false), >=, 0);
        g_assert_cmpint(sd_bus_send(bus, m, NULL), >=, 0);
        (void)sd_bus_message_unref(m);
}

/* Two that are read together. */
static void test_closing_gives_back_to_the_next_call(void) {
        Service *service = service_start("[Limits]\nConnectionsPerUser=1\n");
        sd_bus *bus = service_bus(service, UID_ALICE);

        for (int i = 0; i < 50; i++) {
                sd_bus_message *reply =
                        call(bus, ROOT, MANAGER, "CreateConnection", "sa{sv}", "client", 0);
                const char *path;

                g_assert_cmpint(sd_bus_message_read(reply, "o", &path), >=, 0);
                close_unanswered(bus, path);
                (void)sd_bus_message_unref(reply);
        }
        (void)bus_leave(bus);
        service_stop(service);
}

static const char *const kinds[] = {"ConnectionsInUse", "ListenersInUse", "HalfOpenInUse",
                                    "SuspendedInUse",   "SigningInUse",   "FdsInUse",
                                    "BytesInUse",       "CallsInUse"};

static bool nothing_is_used(void *bus) {
        for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++)
                if (statistic(bus, kinds[i]) != 0)
                        return false;

        return true;
}

static void test_everything_is_given_back_when_a_name_leaves(void) {
        Service *service = service_start(NULL);
        sd_bus *watcher = service_bus(service, UID_BOB);

        for (int i = 0; i < 10; i++) {
                sd_bus *bus = service_bus(service, UID_ALICE);
                uint16_t port;
                int queue, fd, server;
                g_autofree char *listener = listen_queue(bus, &port, &queue);
                g_autofree char *client = connect_client(bus, port, &fd);
                g_autofree char *half = create_client(bus, port, false);

                server = accept_channel(queue);
                g_assert_cmpuint(statistic(watcher, "ConnectionsInUse"), >=, 3);
                g_assert_cmpuint(statistic(watcher, "FdsInUse"), >=, 3);
                g_assert_cmpuint(statistic(watcher, "BytesInUse"), >, 0);
                (void)bus_leave(bus);
                (void)close(fd);
                (void)close(server);
                (void)close(queue);
        }
        bus_wait(watcher, nothing_is_used, watcher, "that nothing is used");
        (void)bus_leave(watcher);
        service_stop(service);
}

static void test_ports_of_two_users_do_not_overlap(void) {
        Service *service;
        sd_bus *alice, *bob;
        uint16_t port;

        if (!service_has_users())
                return;

        service = service_start(NULL);
        alice = service_bus(service, UID_ALICE);
        bob = service_bus(service, UID_BOB);
        {
                g_autofree char *listener = listen_psk(alice, &port);
                static const char *const overlapping[] = {"127.0.0.1", "0.0.0.0"};

                for (size_t i = 0; i < G_N_ELEMENTS(overlapping); i++) {
                        g_autofree char *text =
                                call_refused("AlreadyExists", bob, ROOT, MANAGER, "Listen",
                                             "sqa{sv}", overlapping[i], port, 0);

                        /* not whose it is */
                        g_assert_null(strcasestr(text, "user 1"));
                }
                /* another address of the same port is free */
                (void)sd_bus_message_unref(
                        call(bob, ROOT, MANAGER, "Listen", "sqa{sv}", "127.0.0.2", port, 0));
        }
        (void)bus_leave(alice);
        (void)bus_leave(bob);
        service_stop(service);
}

static void test_privileged_port_is_refused(void) {
        Service *service;
        sd_bus *alice;

        if (!service_has_users())
                return;

        service = service_start(NULL);
        alice = service_bus(service, UID_ALICE);
        {
                g_autofree char *text = call_refused("NotAuthorized", alice, ROOT, MANAGER,
                                                     "Listen", "sqa{sv}", "127.0.0.1", 684, 0);

                g_assert_nonnull(strstr(text, "1024"));
        }
        (void)bus_leave(alice);
        service_stop(service);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/quota/a-user-at-its-limit-is-told-and-hurts-nobody",
                        test_user_at_its_limit_is_told_and_hurts_nobody);
        g_test_add_func("/quota/closing-gives-back", test_closing_gives_back);
        g_test_add_func("/quota/closing-gives-back-to-the-next-call",
                        test_closing_gives_back_to_the_next_call);
        g_test_add_func("/quota/everything-is-given-back-when-a-name-leaves",
                        test_everything_is_given_back_when_a_name_leaves);
        g_test_add_func("/quota/ports-of-two-users-do-not-overlap",
                        test_ports_of_two_users_do_not_overlap);
        g_test_add_func("/quota/a-privileged-port-is-refused", test_privileged_port_is_refused);
        return g_test_run();
}
