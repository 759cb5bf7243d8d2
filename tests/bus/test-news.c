/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What leaves the service by itself, and to whom. The test sees every message, so "nobody else was
 * told" means nobody.
 */

#include "seat.h"

#include <string.h>

#define OWNER ":1.1"
#define SAME_USER ":1.10"
#define STRANGER ":1.2"
#define ROOT_USER ":1.0"

/* Everybody has called once; the stranger has subscribed and listed. */
static Seat *seat_with_people(void) {
        Seat *seat = seat_new();
        g_autoptr(Call) subscribe = NULL;
        g_autoptr(Call) list = NULL;

        seat_meet(seat, OWNER, 1000);
        seat_meet(seat, SAME_USER, 1000);
        seat_meet(seat, STRANGER, 1001);
        seat_meet(seat, ROOT_USER, 0);
        subscribe = seat_call(seat, STRANGER, ROOT, MANAGER, "Subscribe", "a{sv}", 0);
        list = seat_call(seat, STRANGER, ROOT, "org.freedesktop.DBus.ObjectManager",
                         "GetManagedObjects", "");
        seat_run(seat);
        g_assert_null(call_error(subscribe));
        g_assert_null(call_error(list));
        return seat;
}

static void subscribe(Seat *seat, const char *name, bool all) {
        g_autoptr(Call) call =
                all ? seat_call(seat, name, ROOT, MANAGER, "Subscribe", "a{sv}", 1, "All", "b", 1)
                    : seat_call(seat, name, ROOT, MANAGER, "Subscribe", "a{sv}", 0);

        seat_run(seat);
        g_assert_null(call_error(call));
}

/* Everything that can be said about an object. */
static void live_and_die(Seat *seat, Connection *connection) {
        fake_datagram_signals(connection, true);
        fake_state(connection, HANDSHAKE_IN_PROGRESS, DTLS_NO_ERROR, "");
        seat_run(seat);
        fake_psk_required(connection);
        seat_run(seat);
        fake_timeout(connection, /* manual= */ false);
        seat_run(seat);
        fake_state(connection, HANDSHAKE_COMPLETE, DTLS_NO_ERROR, "");
        seat_run(seat);
        fake_datagram(connection, "plaintext");
        seat_run(seat);
        fake_closed(connection, END_PEER_CLOSED);
        fake_removed(connection);
        seat_run(seat);
}

static void the_owner_hears_all(void) {
        g_autoptr(Seat) seat = seat_with_people();

        live_and_die(seat, fake_connection(seat->relay, 1000, OWNER, true));
        g_assert_cmpuint(seat_heard(seat, OWNER, "InterfacesAdded"), ==, 1);
        g_assert_cmpuint(seat_heard(seat, OWNER, "StateChanged"), ==, 2);
        g_assert_cmpuint(seat_heard(seat, OWNER, "PskRequired"), ==, 1);
        g_assert_cmpuint(seat_heard(seat, OWNER, "HandshakeTimeout"), ==, 1);
        g_assert_cmpuint(seat_heard(seat, OWNER, "DatagramReceived"), ==, 1);
        g_assert_cmpuint(seat_heard(seat, OWNER, "Closed"), ==, 1);
        g_assert_cmpuint(seat_heard(seat, OWNER, "InterfacesRemoved"), ==, 1);
        g_assert_cmpuint(seat_heard(seat, OWNER, "PropertiesChanged"), >, 0);
}

static void nobody_else_does(void) {
        g_autoptr(Seat) seat = seat_with_people();

        live_and_die(seat, fake_connection(seat->relay, 1000, OWNER, true));
        live_and_die(seat, fake_connection(seat->relay, 1000, NULL, true));
        (void)listener_close(fake_listener(seat->relay, 1000, OWNER));
        seat_run(seat);
        for (guint i = 0; i < seat->signals->len; i++)
                g_assert_cmpstr(sd_bus_message_get_destination(g_ptr_array_index(seat->signals, i)),
                                ==, OWNER);
}

static void a_subscriber_of_the_same_user(void) {
        g_autoptr(Seat) seat = seat_with_people();

        subscribe(seat, SAME_USER, false);
        live_and_die(seat, fake_connection(seat->relay, 1000, OWNER, true));
        g_assert_cmpuint(seat_heard(seat, SAME_USER, "InterfacesAdded"), ==, 1);
        g_assert_cmpuint(seat_heard(seat, SAME_USER, "StateChanged"), ==, 2);
        g_assert_cmpuint(seat_heard(seat, SAME_USER, "InterfacesRemoved"), ==, 1);
        /* plaintext and secrets are the owner's */
        g_assert_cmpuint(seat_heard(seat, SAME_USER, "PskRequired"), ==, 0);
        g_assert_cmpuint(seat_heard(seat, SAME_USER, "DatagramReceived"), ==, 0);
        g_assert_cmpuint(seat_heard(seat, STRANGER, NULL), ==, 0);
}

static void share(Seat *seat, const Connection *connection, const char *subject, bool on) {
        g_autofree char *path = g_strdup_printf(ROOT "/connection/%u", fake_id(connection));
        g_autoptr(Call) call =
                on ? seat_call(seat, OWNER, path, CONNECTION, "Share", "sas", subject, 1, "inspect")
                   : seat_call(seat, OWNER, path, CONNECTION, "Unshare", "s", subject);

        seat_run(seat);
        g_assert_null(call_error(call));
}

/* Once each, whatever else it has subscribed to. */
static void whom_it_is_shared_with(void) {
        g_autoptr(Seat) seat = seat_with_people();
        Connection *connection = fake_connection(seat->relay, 1000, OWNER, true);

        seat_run(seat);
        share(seat, connection, "uid:1001", true);
        share(seat, connection, "uid:1000", true);
        g_assert_cmpuint(seat_heard(seat, STRANGER, "InterfacesAdded"), ==, 1);
        g_assert_cmpuint(seat_heard(seat, SAME_USER, "InterfacesAdded"), ==, 1);
        g_assert_cmpuint(seat_heard(seat, OWNER, "InterfacesAdded"), ==, 1);
        live_and_die(seat, connection);
        g_assert_cmpuint(seat_heard(seat, STRANGER, "StateChanged"), ==, 2);
        g_assert_cmpuint(seat_heard(seat, SAME_USER, "StateChanged"), ==, 2);
        g_assert_cmpuint(seat_heard(seat, OWNER, "StateChanged"), ==, 2);
        g_assert_cmpuint(seat_heard(seat, STRANGER, "Closed"), ==, 1);
        g_assert_cmpuint(seat_heard(seat, STRANGER, "InterfacesRemoved"), ==, 1);
        g_assert_cmpuint(seat_heard(seat, STRANGER, "PskRequired"), ==, 0);
        g_assert_cmpuint(seat_heard(seat, STRANGER, "DatagramReceived"), ==, 0);
        g_assert_cmpuint(seat_heard(seat, ROOT_USER, NULL), ==, 0);
}

static void no_more_than_it_is_shared(void) {
        g_autoptr(Seat) seat = seat_with_people();
        Connection *connection = fake_connection(seat->relay, 1000, OWNER, true);

        seat_run(seat);
        share(seat, connection, "uid:1001", true);
        share(seat, connection, "uid:1001", false);
        g_assert_cmpuint(seat_heard(seat, STRANGER, "InterfacesRemoved"), ==, 1);
        seat_forget(seat);
        live_and_die(seat, connection);
        g_assert_cmpuint(seat_heard(seat, STRANGER, NULL), ==, 0);
        g_assert_cmpuint(seat_heard(seat, OWNER, "StateChanged"), ==, 2);
}

static void a_persistent_object(void) {
        g_autoptr(Seat) seat = seat_with_people();

        subscribe(seat, SAME_USER, false);
        subscribe(seat, ROOT_USER, true);
        live_and_die(seat, fake_connection(seat->relay, 1000, NULL, true));
        g_assert_cmpuint(seat_heard(seat, SAME_USER, "PskRequired"), ==, 1);
        g_assert_cmpuint(seat_heard(seat, SAME_USER, "DatagramReceived"), ==, 1);
        g_assert_cmpuint(seat_heard(seat, OWNER, NULL), ==, 0); /* did not subscribe */
        g_assert_cmpuint(seat_heard(seat, ROOT_USER, "StateChanged"), ==, 2);
        g_assert_cmpuint(seat_heard(seat, ROOT_USER, "PskRequired"), ==, 0);
        g_assert_cmpuint(seat_heard(seat, ROOT_USER, "DatagramReceived"), ==, 0);
}

static void all_is_for_inspectors(void) {
        g_autoptr(Seat) seat = seat_with_people();
        g_autoptr(Call) refused =
                seat_call(seat, STRANGER, ROOT, MANAGER, "Subscribe", "a{sv}", 1, "All", "b", 1);

        subscribe(seat, ROOT_USER, false);
        seat_run(seat);
        g_assert_cmpstr(call_error(refused), ==, ERROR_PREFIX "NotAuthorized");

        /* and only who asks for it hears of others */
        live_and_die(seat, fake_connection(seat->relay, 1000, OWNER, true));
        g_assert_cmpuint(seat_heard(seat, ROOT_USER, NULL), ==, 0);
        subscribe(seat, ROOT_USER, true);
        live_and_die(seat, fake_connection(seat->relay, 1000, OWNER, true));
        g_assert_cmpuint(seat_heard(seat, ROOT_USER, "StateChanged"), ==, 2);
        g_assert_cmpuint(seat_heard(seat, ROOT_USER, "DatagramReceived"), ==, 0);
        g_assert_cmpuint(seat_heard(seat, STRANGER, NULL), ==, 0);
}

static void who_lists_watches(void) {
        g_autoptr(Seat) seat = seat_with_people();
        g_autoptr(Call) list =
                seat_call(seat, SAME_USER, ROOT, "org.freedesktop.DBus.ObjectManager",
                          "GetManagedObjects", "");
        g_autoptr(Call) stop = NULL;
        Connection *connection;

        seat_run(seat);
        connection = fake_connection(seat->relay, 1000, OWNER, true);
        seat_run(seat);
        g_assert_cmpuint(seat_heard(seat, SAME_USER, "InterfacesAdded"), ==, 1);

        stop = seat_call(seat, SAME_USER, ROOT, MANAGER, "Unsubscribe", "");
        seat_run(seat);
        g_assert_null(call_error(stop));
        seat_forget(seat);
        fake_state(connection, HANDSHAKE_IN_PROGRESS, DTLS_NO_ERROR, "");
        seat_run(seat);
        g_assert_cmpuint(seat_heard(seat, SAME_USER, NULL), ==, 0);
        g_assert_cmpuint(seat_heard(seat, OWNER, "StateChanged"), ==, 1);
}

static void who_left_hears_nothing(void) {
        g_autoptr(Seat) seat = seat_with_people();

        subscribe(seat, SAME_USER, false);
        seat_leave(seat, SAME_USER);
        seat_run(seat);
        seat_meet(seat, SAME_USER, 1000); /* another program's name now */
        live_and_die(seat, fake_connection(seat->relay, 1000, OWNER, true));
        g_assert_cmpuint(seat_heard(seat, SAME_USER, NULL), ==, 0);
}

/* A restarted bus hands out the same unique names, to others. */
static void a_name_is_not_the_owner(void) {
        g_autoptr(Seat) seat = seat_with_people();

        live_and_die(seat, fake_connection(seat->relay, 1000, STRANGER, true));
        g_assert_cmpuint(seat_heard(seat, NULL, NULL), ==, 0);
}

static void an_owners_removal_reaches_watchers(void) {
        g_autoptr(Seat) seat = seat_with_people();

        subscribe(seat, SAME_USER, false);
        (void)fake_connection(seat->relay, 1000, OWNER, true);
        seat_run(seat);
        seat_leave(seat, OWNER);
        seat_run(seat);
        g_assert_cmpuint(seat_heard(seat, SAME_USER, "InterfacesRemoved"), ==, 1);
        g_assert_cmpuint(seat_heard(seat, OWNER, "InterfacesRemoved"), ==, 0);
}

static void one_change_a_turn(void) {
        g_autoptr(Seat) seat = seat_with_people();
        Connection *connection = fake_connection(seat->relay, 1000, OWNER, true);

        seat_run(seat);
        seat_forget(seat);
        fake_state(connection, HANDSHAKE_IN_PROGRESS, DTLS_NO_ERROR, "");
        fake_state(connection, HANDSHAKE_NOT_STARTED, DTLS_TLS_FATAL_ERROR, "it broke");
        fake_changed(connection, CHANGED_MTU);
        seat_run(seat);
        g_assert_cmpuint(seat_heard(seat, OWNER, "PropertiesChanged"), ==, 1);
        g_assert_cmpuint(seat_heard(seat, OWNER, "StateChanged"), ==, 2);
}

static void properties_of(sd_bus_message *m, GHashTable *names) {
        g_assert_cmpint(sd_bus_message_enter_container(m, 'a', "{sv}"), >=, 0);
        while (sd_bus_message_enter_container(m, 'e', "sv") > 0) {
                const char *name;

                g_assert_cmpint(sd_bus_message_read(m, "s", &name), >, 0);
                g_hash_table_add(names, g_strdup(name));
                g_assert_cmpint(sd_bus_message_skip(m, "v"), >=, 0);
                g_assert_cmpint(sd_bus_message_exit_container(m), >=, 0);
        }
        g_assert_cmpint(sd_bus_message_exit_container(m), >=, 0);
}

static void changes_are_what_changed(void) {
        g_autoptr(Seat) seat = seat_with_people();
        g_autoptr(GHashTable) names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        Connection *connection = fake_connection(seat->relay, 1000, OWNER, true);
        const char *interface, *invalidated;
        sd_bus_message *m;

        seat_run(seat);
        fake_changed(connection, CHANGED_MTU | CHANGED_ERROR);
        seat_run(seat);
        m = seat_last(seat, OWNER, "PropertiesChanged");
        g_assert_cmpstr(sd_bus_message_get_path(m), ==, ROOT "/connection/1");
        g_assert_cmpint(sd_bus_message_read(m, "s", &interface), >, 0);
        g_assert_cmpstr(interface, ==, CONNECTION);
        properties_of(m, names);
        g_assert_true(g_hash_table_contains(names, "MtuHint"));
        g_assert_true(g_hash_table_contains(names, "DataMtu"));
        g_assert_true(g_hash_table_contains(names, "Error"));
        g_assert_cmpuint(g_hash_table_size(names), ==, 3);

        g_assert_cmpint(sd_bus_message_enter_container(m, 'a', "s"), >, 0);
        g_assert_cmpint(sd_bus_message_read(m, "s", &invalidated), >, 0);
        g_assert_cmpstr(invalidated, ==, "PeerVerificationErrors");
        g_assert_cmpint(sd_bus_message_at_end(m, false), >, 0);
}

static void added_says_what_it_is(void) {
        g_autoptr(Seat) seat = seat_with_people();
        g_autoptr(GHashTable) names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        const char *path;
        bool is_ours = false;
        sd_bus_message *m;

        (void)fake_connection(seat->relay, 1000, OWNER, true);
        seat_run(seat);
        m = seat_last(seat, OWNER, "InterfacesAdded");
        g_assert_cmpstr(sd_bus_message_get_path(m), ==, ROOT);
        g_assert_cmpint(sd_bus_message_read(m, "o", &path), >, 0);
        g_assert_cmpstr(path, ==, ROOT "/connection/1");
        g_assert_cmpint(sd_bus_message_enter_container(m, 'a', "{sa{sv}}"), >, 0);
        while (sd_bus_message_enter_container(m, 'e', "sa{sv}") > 0) {
                const char *interface;

                g_assert_cmpint(sd_bus_message_read(m, "s", &interface), >, 0);
                is_ours = is_ours || strcmp(interface, CONNECTION) == 0;
                properties_of(m, names);
                g_assert_cmpint(sd_bus_message_exit_container(m), >=, 0);
        }

        g_assert_true(is_ours);
        g_assert_true(g_hash_table_contains(names, "HandshakeState"));
        g_assert_true(g_hash_table_contains(names, "Owner"));
        g_assert_false(g_hash_table_contains(names, "Statistics"));
        g_assert_false(g_hash_table_contains(names, "PeerCertificateChain"));
}

/* Its owner is told what it needs to go on, and no more. */
static void unannounced(void) {
        g_autoptr(Seat) seat = seat_with_people();

        live_and_die(seat, fake_connection(seat->relay, 1000, OWNER, false));
        g_assert_cmpuint(seat_heard(seat, OWNER, "PskRequired"), ==, 1);
        g_assert_cmpuint(seat_heard(seat, OWNER, "DatagramReceived"), ==, 1);
        g_assert_cmpuint(seat_heard(seat, NULL, NULL), ==, 2);

        /* who sends again by hand has to know when */
        fake_timeout(fake_connection(seat->relay, 1000, OWNER, false), /* manual= */ true);
        seat_run(seat);
        g_assert_cmpuint(seat_heard(seat, OWNER, "HandshakeTimeout"), ==, 1);
}

/* Relay sleeps where it does not see what the bus has to do. */
static void the_loop_is_stirred_for_what_is_told(void) {
        g_autoptr(Seat) seat = seat_with_people();
        Connection *told = fake_connection(seat->relay, 1000, OWNER, true);
        Connection *untold = fake_connection(seat->relay, 1000, OWNER, false);

        seat_run(seat);
        (void)fake_take_stir(seat->relay);
        fake_state(untold, HANDSHAKE_COMPLETE, DTLS_NO_ERROR, "");
        g_assert_false(fake_take_stir(seat->relay));
        fake_state(told, HANDSHAKE_COMPLETE, DTLS_NO_ERROR, "");
        g_assert_true(fake_take_stir(seat->relay));
}

static void came_and_went(void) {
        g_autoptr(Seat) seat = seat_with_people();

        fake_removed(fake_connection(seat->relay, 1000, OWNER, true));
        seat_run(seat);
        g_assert_cmpuint(seat_heard(seat, NULL, NULL), ==, 0);
}

static void bad_text(void) {
        g_autoptr(Seat) seat = seat_with_people();
        Connection *connection = fake_connection(seat->relay, 1000, OWNER, true);
        const char *state, *error, *text;

        fake_state(connection, HANDSHAKE_NOT_STARTED, DTLS_TLS_FATAL_ERROR, "the peer said \xff!");
        seat_run(seat);
        g_assert_cmpint(sd_bus_message_read(seat_last(seat, OWNER, "StateChanged"), "sss", &state,
                                            &error, &text),
                        >, 0);
        g_assert_cmpstr(error, ==, "TlsFatalError");
        g_assert_true(g_str_has_prefix(text, "the peer said "));
}

static void a_listener_says_who_came(void) {
        g_autoptr(Seat) seat = seat_with_people();
        Listener *listener = fake_listener(seat->relay, 1000, OWNER);
        Connection *connection = fake_connection(seat->relay, 1000, OWNER, true);
        const char *path, *address;
        Address peer;
        Reason reason;
        uint16_t port;
        sd_bus_message *m;

        g_assert_cmpint(address_parse("192.0.2.7", 4711, &peer), ==, 0);
        g_assert_cmpint(connection_set_peer(connection, &peer, "", &reason), ==, 0);
        fake_new_connection(listener, connection);
        seat_run(seat);
        m = seat_last(seat, OWNER, "NewConnection");
        g_assert_cmpstr(sd_bus_message_get_path(m), ==, ROOT "/listener/1");
        g_assert_cmpint(sd_bus_message_read(m, "osq", &path, &address, &port), >, 0);
        g_assert_cmpstr(path, ==, ROOT "/connection/2");
        g_assert_cmpstr(address, ==, "192.0.2.7");
        g_assert_cmpuint(port, ==, 4711);
        g_assert_cmpuint(seat_heard(seat, NULL, "NewConnection"), ==, 1);
}

static void a_verifier_is_told_of_as_the_rest(void) {
        g_autoptr(Seat) seat = seat_with_people();
        Verifier *verifier = fake_verifier(seat->relay, 1000, OWNER);
        g_autoptr(Call) refused = NULL;

        seat_run(seat);
        g_assert_cmpuint(seat_heard(seat, OWNER, "InterfacesAdded"), ==, 1);
        refused = seat_call(seat, OWNER, ROOT "/verifier/1", NAME ".ClientVerifier", "VerifyClient",
                            "aysq", 0, "192.0.2.7", 4711);
        seat_run(seat);
        g_assert_cmpstr(call_error(refused), ==, ERROR_PREFIX "InvalidInputParameters");
        g_assert_cmpuint(seat_heard(seat, OWNER, "PropertiesChanged"), ==, 1);
        verifier_close(verifier);
        seat_run(seat);
        g_assert_cmpuint(seat_heard(seat, OWNER, "InterfacesRemoved"), ==, 1);
        g_assert_cmpuint(seat_heard(seat, SAME_USER, NULL), ==, 0);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/bus/news/the-owner-hears-all", the_owner_hears_all);
        g_test_add_func("/bus/news/nobody-else-hears-anything", nobody_else_does);
        g_test_add_func("/bus/news/a-subscriber-of-the-same-user-hears-no-secrets",
                        a_subscriber_of_the_same_user);
        g_test_add_func("/bus/news/whom-it-is-shared-with-hears-no-secrets-either",
                        whom_it_is_shared_with);
        g_test_add_func("/bus/news/who-does-not-see-it-any-more-hears-that-it-is-gone",
                        no_more_than_it_is_shared);
        g_test_add_func("/bus/news/a-persistent-object-tells-its-users-subscribers",
                        a_persistent_object);
        g_test_add_func("/bus/news/all-is-for-who-may-inspect", all_is_for_inspectors);
        g_test_add_func("/bus/news/who-lists-watches-until-it-unsubscribes", who_lists_watches);
        g_test_add_func("/bus/news/who-left-hears-nothing-nor-does-its-successor",
                        who_left_hears_nothing);
        g_test_add_func("/bus/news/a-name-alone-is-not-the-owner", a_name_is_not_the_owner);
        g_test_add_func("/bus/news/watchers-hear-of-what-went-with-its-owner",
                        an_owners_removal_reaches_watchers);
        g_test_add_func("/bus/news/one-properties-changed-a-turn", one_change_a_turn);
        g_test_add_func("/bus/news/a-change-has-what-changed", changes_are_what_changed);
        g_test_add_func("/bus/news/an-added-object-has-its-properties", added_says_what_it_is);
        g_test_add_func("/bus/news/what-is-not-announced-tells-what-its-owner-needs", unannounced);
        g_test_add_func("/bus/news/the-loop-is-stirred-for-what-is-told",
                        the_loop_is_stirred_for_what_is_told);
        g_test_add_func("/bus/news/what-came-and-went-in-a-turn-is-not-told", came_and_went);
        g_test_add_func("/bus/news/text-that-is-not-utf8-is-told-escaped", bad_text);
        g_test_add_func("/bus/news/a-listener-says-who-came", a_listener_says_who_came);
        g_test_add_func("/bus/news/a-verifier-is-told-of-as-the-rest",
                        a_verifier_is_told_of_as_the_rest);
        return g_test_run();
}
