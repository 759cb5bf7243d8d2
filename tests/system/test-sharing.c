/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * One connection, several programs: three users, two groups, and what each may by a share.
 */

#include "party.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Whether the reply to this call has the connection's path, or its number, in it. */
static bool says(sd_bus *bus, const Party *party, const char *what, sd_bus_message *reply) {
        GString *text = message_flatten(reply);
        bool has = strstr(text->str, what) != NULL;

        g_string_free(text, TRUE);
        (void)sd_bus_message_unref(reply);
        return has;
}

static bool is_listed(sd_bus *bus, const Party *party) {
        g_autofree char *node = g_strdup_printf("<node name=\"%s\"", strrchr(party->path, '/') + 1);
        bool managed = says(bus, party, party->path,
                            call(bus, ROOT, OBJECT_MANAGER, "GetManagedObjects", ""));
        bool paged =
                says(bus, party, party->path,
                     call(bus, ROOT, MANAGER, "ListConnections", "tua{sv}", UINT64_C(0), 100, 0));
        bool node_is_there = says(bus, party, node,
                                  call(bus, ROOT "/connection",
                                       "org.freedesktop.DBus.Introspectable", "Introspect", ""));

        g_assert_cmpint(managed, ==, paged);
        g_assert_cmpint(managed, ==, node_is_there);
        return managed;
}

/* ---- rights over the bus ---- */

static void test_inspect_is_to_see(void) {
        Party party = {0};
        g_autofree char *state = NULL;

        if (!party_new(&party))
                return;

        g_assert_false(is_listed(party.bob, &party));
        party_assert_refused(&party, party.bob, UNKNOWN, "Shutdown");
        party_share(&party, BOB, "inspect", NULL);

        g_assert_true(is_listed(party.bob, &party));
        g_assert_false(is_listed(party.carol, &party));
        state = get_string(party.bob, party.path, CONNECTION, "HandshakeState");
        g_assert_cmpstr(state, ==, "HandshakeComplete");
        party_assert_refused(&party, party.bob, "NotAuthorized", "Shutdown");
        g_free(call_refused("NotAuthorized", party.bob, party.path, CONNECTION,
                            "WriteDatagramEncrypted", "ay", 1, 'x'));

        party_unshare(&party, BOB);
        g_assert_false(is_listed(party.bob, &party));
        party_assert_refused(&party, party.bob, UNKNOWN, "Shutdown");
        party_done(&party);
}

static void test_the_shared_hear_what_happens(void) {
        Party party = {0};
        g_autoptr(Ear) bob = NULL;
        g_autoptr(Ear) carol = NULL;
        g_autofree char *state = NULL;

        if (!party_new(&party))
                return;

        bob = ear_new(party.bob);
        carol = ear_new(party.carol);
        state = g_strdup_printf("StateChanged|%s|HandshakeNotStarted", party.path);
        /* without Subscribe: both have called once */
        party_assert_refused(&party, party.bob, UNKNOWN, "Shutdown");
        party_assert_refused(&party, party.carol, UNKNOWN, "Shutdown");
        party_share(&party, BOB, "inspect", NULL);
        (void)ear_wait(bob, "InterfacesAdded|");
        (void)sd_bus_message_unref(call(party.alice, party.path, CONNECTION, "Shutdown", ""));
        (void)ear_wait(bob, state);
        (void)ear_wait(bob, "Closed|");
        party_unshare(&party, BOB);
        (void)ear_wait(bob, "InterfacesRemoved|");
        ear_catch_up(carol);
        g_assert_cmpuint(ear_count(carol, ""), ==, 0);
        bob = ear_free(bob);
        carol = ear_free(carol);
        party_done(&party);
}

static void test_control_is_to_drive(void) {
        Party party = {0};
        int again;

        if (!party_new(&party))
                return;

        party_share(&party, BOB, "control", NULL);
        (void)sd_bus_message_unref(call(party.bob, party.path, CONNECTION, "Shutdown", ""));
        wait_string(party.alice, party.path, CONNECTION, "HandshakeState", "HandshakeNotStarted");
        (void)sd_bus_message_unref(call(party.bob, party.path, CONNECTION, "DoHandshake", "ay", 0));
        wait_string(party.bob, party.path, CONNECTION, "HandshakeState", "HandshakeComplete");
        again = accept_channel(party.queue);
        (void)close(again);

        /* with whom, by which keys and how long it is there is the owner's to say */
        party_assert_refused(&party, party.bob, "NotAuthorized", "Close");
        g_free(call_refused("NotAuthorized", party.bob, party.path, CONNECTION, "SetPeer", "sqs",
                            "127.0.0.1", 1, ""));
        g_free(call_refused("NotAuthorized", party.bob, party.path, CONNECTION, "Share", "sas",
                            "uid:3", 1, "read"));
        g_free(call_refused("NotAuthorized", party.bob, party.path, CONNECTION, "Unshare", "s",
                            BOB));
        g_free(call_refused("NotAuthorized", party.bob, party.path, CONNECTION,
                            "ExportKeyingMaterial", "sayu", "EXPORTER-x", 0, 16));
        party_done(&party);
}

static void test_write_is_to_send(void) {
        Party party = {0};
        char buffer[16];

        if (!party_new(&party))
                return;

        party_share(&party, BOB, "write", NULL);
        write_datagram(party.bob, party.path, "bob's", 5);
        (void)wait_fd(party.far);
        g_assert_cmpint(recv(party.far, buffer, sizeof(buffer), 0), ==, 5);
        g_assert_cmpmem(buffer, 5, "bob's", 5);
        party_assert_refused(&party, party.bob, "NotAuthorized", "Shutdown");
        party_done(&party);
}

static void test_a_group_is_who_the_bus_says(void) {
        Party party = {0};

        if (!party_new(&party))
                return;

        party_share(&party, "gid:20", "inspect", NULL);
        g_assert_true(is_listed(party.carol, &party));
        g_assert_false(is_listed(party.bob, &party));
        party_share(&party, "gid:44", "control", NULL);
        party_unshare(&party, "gid:20");
        g_assert_true(is_listed(party.carol, &party));
        (void)sd_bus_message_unref(call(party.bob, party.path, CONNECTION, "Shutdown", ""));
        party_done(&party);
}

/* Other programs of the owner's own user see it anyway, and may more by a share. */
static void test_the_owners_user_is_a_subject_too(void) {
        Party party = {0};
        sd_bus *other;

        if (!party_new(&party))
                return;

        other = service_bus(party.service, UID_ALICE);
        party_assert_refused(&party, other, "NotAuthorized", "Shutdown");
        party_share(&party, "uid:1", "control", NULL);
        (void)sd_bus_message_unref(call(other, party.path, CONNECTION, "Shutdown", ""));
        (void)bus_leave(other);
        party_done(&party);
}

static void test_the_second_share_takes_the_place_of_the_first(void) {
        Party party = {0};

        if (!party_new(&party))
                return;

        party_share(&party, BOB, "control", "write");
        party_share(&party, BOB, "inspect", NULL);
        party_assert_refused(&party, party.bob, "NotAuthorized", "Shutdown");
        g_assert_true(
                says(party.bob, &party, "|" BOB "|inspect",
                     call(party.bob, party.path, PROPERTIES, "Get", "ss", CONNECTION, "Shares")));
        party_done(&party);
}

static void test_sixty_four_are_enough(void) {
        g_autofree char *text = NULL;
        Party party = {0};

        if (!party_new(&party))
                return;

        for (unsigned i = 0; i < 64; i++) {
                g_autofree char *subject = g_strdup_printf("uid:%u", 2000 + i);

                party_share(&party, subject, "read", NULL);
        }
        text = call_refused("QuotaExceeded", party.alice, party.path, CONNECTION, "Share", "sas",
                            BOB, 1, "read");
        g_assert_nonnull(strstr(text, "64"));
        party_assert_refused(&party, party.bob, UNKNOWN, "Shutdown");
        party_unshare(&party, "uid:2000");
        party_share(&party, BOB, "read", NULL);
        g_free(call_refused("InvalidInputParameters", party.alice, party.path, CONNECTION,
                            "Unshare", "s", "uid:2000"));
        party_done(&party);
}

/* ---- channels ---- */

#define BURST 200

static void test_each_reader_has_its_own_channel(void) {
        g_autofree char *who = NULL;
        int alice, bob, carol;
        Party party = {0};

        if (!party_new(&party))
                return;

        party_share(&party, BOB, "read", NULL);
        party_share(&party, "gid:20", "read", "write");
        bob = open_channel(party.bob, party.path); /* before the owner has one */
        alice = open_channel(party.alice, party.path);
        carol = open_channel(party.carol, party.path);
        g_assert_cmpint(send(party.far, "to all", 6, 0), ==, 6);
        assert_comes(alice, "to all");
        assert_comes(bob, "to all");
        assert_comes(carol, "to all");

        g_assert_cmpint(send(bob, "x", 1, MSG_NOSIGNAL), ==, -1);
        g_assert_cmpint(errno, ==, EPIPE);
        g_assert_cmpint(send(carol, "carol's", 7, 0), ==, 7);
        assert_comes(party.far, "carol's");
        g_assert_cmpint(send(alice, "alice's", 7, 0), ==, 7);
        assert_comes(party.far, "alice's");

        who = party_attached(&party);
        g_assert_nonnull(strstr(who, "|1|"));
        g_assert_nonnull(strstr(who, "|5|"));
        g_assert_nonnull(strstr(who, "|3|"));
        party_assert_refused(&party, party.bob, "NotAuthorized", "Shutdown");
        (void)close(bob);
        party_wait_detached(&party, "|5|");
        (void)close(carol);
        (void)close(alice);
        party_done(&party);
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
        Party party = {0};

        if (!party_new(&party))
                return;

        party_share(&party, BOB, "read", "write");
        alice = open_channel(party.alice, party.path);
        bob = open_channel(party.bob, party.path);
        for (unsigned i = 0; i < BURST; i++) {
                g_autofree char *text = g_strdup_printf("%u", i);

                if (i < BURST / 2)
                        (void)send(bob, "noise", 5, MSG_NOSIGNAL);
                if (i == BURST / 2)
                        party_unshare(&party, BOB);
                g_assert_cmpint(send(party.far, text, strlen(text), 0), >, 0);
                assert_comes(alice, text);
        }
        /* what the owner had before it said so, and nothing that came later */
        g_assert_cmpuint(read_until_the_end(bob), ==, BURST / 2);
        g_assert_cmpint(send(bob, "x", 1, MSG_NOSIGNAL), ==, -1);
        g_free(call_refused(UNKNOWN, party.bob, party.path, CONNECTION, "OpenChannel", "a{sv}", 0));
        (void)close(alice);
        (void)close(bob);
        party_done(&party);
}

static void test_a_channel_goes_with_the_name_that_opened_it(void) {
        Party party = {0};
        sd_bus *other;
        int bob, fd;

        if (!party_new(&party))
                return;

        party_share(&party, BOB, "read", NULL);
        other = service_bus(party.service, UID_BOB);
        bob = open_channel(party.bob, party.path);
        fd = open_channel(other, party.path);
        (void)bus_leave(other);
        assert_hangs_up(fd);
        g_assert_cmpint(send(party.far, "on", 2, 0), ==, 2);
        assert_comes(bob, "on");
        (void)close(fd);
        (void)close(bob);
        party_done(&party);
}

static void test_all_goes_with_the_owner(void) {
        Party party = {0};
        int bob, carol;

        if (!party_new(&party))
                return;

        party_share(&party, BOB, "read", NULL);
        party_share(&party, "gid:20", "write", NULL);
        bob = open_channel(party.bob, party.path);
        carol = open_channel(party.carol, party.path);
        (void)bus_leave(g_steal_pointer(&party.alice));
        assert_hangs_up(bob);
        assert_hangs_up(carol);
        assert_hangs_up(party.far);
        party_assert_refused(&party, party.bob, UNKNOWN, "Shutdown");
        (void)close(bob);
        (void)close(carol);
        party_done(&party);
}

/* Nobody reads bob's, and neither the owner nor the peer feels it. */
static void test_a_slow_reader_loses_only_its_own(void) {
        g_autofree char *payload = g_strnfill(1000, 'x');
        int alice, bob;
        Party party = {0};
        char buffer[1024];

        if (!party_new(&party))
                return;

        party_share(&party, BOB, "read", NULL);
        alice = open_channel(party.alice, party.path);
        bob = open_channel(party.bob, party.path);
        for (unsigned i = 0; i < 1000; i++) {
                g_assert_cmpint(send(party.far, payload, 1000, 0), ==, 1000);
                (void)wait_fd(alice);
                g_assert_cmpint(recv(alice, buffer, sizeof(buffer), 0), ==, 1000);
        }
        g_assert_cmpuint(
                get_counter(party.alice, party.path, CONNECTION, "Statistics", "DroppedSharedFull"),
                >, 0);
        g_assert_cmpuint(
                get_counter(party.alice, party.path, CONNECTION, "Statistics", "DroppedAppFull"),
                ==, 0);
        (void)close(alice);
        (void)close(bob);
        party_done(&party);
}

/* From birth: of a listener's connections, and of the listener to see. */
static void test_an_option_shares_from_the_beginning(void) {
        g_autofree char *listener = NULL, *client = NULL, *path = NULL, *mode = NULL;
        Party party = {0};
        sd_bus_message *m;
        g_autoptr(Ear) ear = NULL;

        if (!party_new(&party))
                return;

        ear = ear_new(party.alice);
        m = options_begin(party.alice, ROOT, MANAGER, "Listen", "sq", "127.0.0.1", 0);
        options_add_psk(m, PSK_IDENTITY, PSK_KEY);
        g_assert_cmpint(sd_bus_message_append(m, "{sv}", "Share", "as", 1, BOB "=control"), >=, 0);
        listener = options_end_path(party.alice, m);
        client = open_client(party.alice, get_port(party.bob, listener), false);
        path = ear_wait_connection(ear, listener, 1);
        mode = get_string(party.bob, path, CONNECTION, "Mode");
        g_assert_cmpstr(mode, ==, "server");
        (void)sd_bus_message_unref(call(party.bob, path, CONNECTION, "Shutdown", ""));
        g_free(call_refused("NotAuthorized", party.bob, listener, LISTENER, "Close", ""));
        g_free(call_refused(UNKNOWN, party.carol, listener, LISTENER, "Close", ""));
        g_free(call_refused("InvalidInputParameters", party.alice, ROOT, MANAGER,
                            "CreateConnection", "sa{sv}", "client", 1, "Share", "as", 1,
                            "uid:5=fly"));
        /* how much a word is taken apart has an end, however long it is */
        g_free(call_refused("InvalidInputParameters", party.alice, ROOT, MANAGER,
                            "CreateConnection", "sa{sv}", "client", 1, "Share", "as", 1,
                            "uid:5=read,read,read,read,read"));
        ear = ear_free(ear);
        party_done(&party);
}

/* A port is one user's, and whose is not for the other to know. */
static void test_a_port_is_one_users(void) {
        g_autofree char *listener = NULL, *text = NULL;
        Party party = {0};
        uint16_t port;

        if (!party_new(&party))
                return;

        listener = listen_psk(party.alice, &port);
        text = call_refused("AlreadyExists", party.bob, ROOT, MANAGER, "Listen", "sqa{sv}",
                            "0.0.0.0", port, 0);
        g_assert_nonnull(strstr(text, "administrator"));
        g_assert_null(strstr(text, "user 1"));
        party_done(&party);
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
