/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* QDtls' methods over QDtls' states. */

#include "world.h"

#include "base/cleanup.h"
#include "session/session.h"

#include <string.h>

static Connection *create(World *world) {
        Connection *connection = NULL;
        Reason reason = {0};

        g_assert_cmpint(
                relay_create_connection(world->relay, world_client_spec(), &connection, &reason),
                ==, 0);
        return connection;
}

static int set_peer(Connection *connection, const char *text, uint16_t port, Reason *reason) {
        Address address = {0};

        if (text)
                g_assert_cmpint(address_parse(text, port, &address), ==, 0);
        return connection_set_peer(connection, &address, "name.example", reason);
}

static void refuses_addresses_that_are_no_peer(World *world, gconstpointer unused) {
        static const struct {
                const char *text;
                uint16_t port;
        } bad[] = {{NULL, 0},           {"0.0.0.0", 5684}, {"255.255.255.255", 5684},
                   {"224.0.0.1", 5684}, {"ff02::1", 5684}, {"127.0.0.1", 0}};
        Connection *connection = create(world);
        ConnectionFacts facts;
        Reason reason;

        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
                reason = (Reason){0};
                g_assert_cmpint(set_peer(connection, bad[i].text, bad[i].port, &reason), ==,
                                RELAY_E_INVALID_PARAMETERS);
                g_assert_cmpstr(reason.text, !=, "");
                facts = connection_facts(connection);
                g_assert_false(address_is_set(&facts.peer));
                g_assert_cmpstr(facts.spec->verification_name, ==, "");
                g_assert_cmpint(facts.error, ==, DTLS_INVALID_INPUT_PARAMETERS);
                g_assert_cmpstr(facts.error_text, ==, reason.text);
        }

        /* and what works clears it */
        g_assert_cmpint(set_peer(connection, "127.0.0.1", 5684, &reason), ==, 0);
        facts = connection_facts(connection);
        g_assert_cmpint(facts.error, ==, DTLS_NO_ERROR);
        g_assert_cmpstr(facts.error_text, ==, "");
        g_assert_cmpstr(facts.spec->verification_name, ==, "name.example");
}

typedef int (*CommandCall)(World *world, Connection *connection, Reason *reason);

static int call_set_peer(World *world, Connection *connection, Reason *reason) {
        return set_peer(connection, "127.0.0.1", 5684, reason);
}

static int call_set_name(World *world, Connection *connection, Reason *reason) {
        return connection_set_verification_name(connection, "other.example", reason);
}

static int call_set_spec(World *world, Connection *connection, Reason *reason) {
        return connection_set_spec(connection, world_client_spec(), reason);
}

static int call_do_handshake(World *world, Connection *connection, Reason *reason) {
        return connection_do_handshake(connection, reason);
}

static int call_resume(World *world, Connection *connection, Reason *reason) {
        return connection_resume_handshake(connection, reason);
}

static int call_abort(World *world, Connection *connection, Reason *reason) {
        return connection_abort_handshake(connection, reason);
}

static int call_write(World *world, Connection *connection, Reason *reason) {
        return connection_write(connection, "x", 1, reason);
}

static int call_read(World *world, Connection *connection, Reason *reason) {
        g_autoptr(GBytes) bytes = NULL;

        return connection_read(connection, &bytes, reason);
}

static int call_shutdown(World *world, Connection *connection, Reason *reason) {
        return connection_shutdown(connection, reason);
}

static int call_open_channel(World *world, Connection *connection, Reason *reason) {
        g_autofd int fd = -1;
        uint32_t mtu;

        return connection_open_channel(connection, &fd, &mtu, reason);
}

static int call_export(World *world, Connection *connection, Reason *reason) {
        g_autoptr(Secret) material = NULL;

        return connection_export_keying_material(connection, "EXPORTER-test", NULL, 16, &material,
                                                 reason);
}

static int call_ticket(World *world, Connection *connection, Reason *reason) {
        g_autoptr(GBytes) ticket = NULL;
        uint32_t lifetime;

        return connection_session_ticket(connection, &ticket, &lifetime, reason);
}

static int call_provide_psk(World *world, Connection *connection, Reason *reason) {
        g_autoptr(Secret) key = secret_new("key", 3);

        return connection_provide_psk(connection, NULL, key, reason);
}

static int call_refuse_psk(World *world, Connection *connection, Reason *reason) {
        return connection_refuse_psk(connection, reason);
}

#define NEVER_CALL 99

/* What each call says where it is refused; 0: it is not called here, because it works. */
static const struct {
        const char *name;
        CommandCall call;
        int not_started, in_progress, complete;
} table[] = {
        {"SetPeer", call_set_peer, NEVER_CALL, RELAY_E_INVALID_OPERATION,
         RELAY_E_INVALID_OPERATION},
        {"SetPeerVerificationName", call_set_name, NEVER_CALL, RELAY_E_INVALID_OPERATION,
         RELAY_E_INVALID_OPERATION},
        {"SetConfiguration", call_set_spec, NEVER_CALL, RELAY_E_INVALID_OPERATION,
         RELAY_E_INVALID_OPERATION},
        {"DoHandshake", call_do_handshake, NEVER_CALL, RELAY_E_INVALID_OPERATION,
         RELAY_E_INVALID_OPERATION},
        {"ResumeHandshake", call_resume, RELAY_E_INVALID_OPERATION, RELAY_E_INVALID_OPERATION,
         RELAY_E_INVALID_OPERATION},
        {"AbortHandshake", call_abort, RELAY_E_INVALID_OPERATION, NEVER_CALL,
         RELAY_E_INVALID_OPERATION},
        {"WriteDatagramEncrypted", call_write, RELAY_E_INVALID_OPERATION, RELAY_E_INVALID_OPERATION,
         NEVER_CALL},
        {"ReadDatagram", call_read, RELAY_E_INVALID_OPERATION, RELAY_E_INVALID_OPERATION,
         RELAY_E_NOTHING},
        {"Shutdown", call_shutdown, RELAY_E_INVALID_OPERATION, RELAY_E_INVALID_OPERATION,
         NEVER_CALL},
        {"OpenChannel", call_open_channel, RELAY_E_INVALID_OPERATION, RELAY_E_INVALID_OPERATION,
         NEVER_CALL},
        {"ExportKeyingMaterial", call_export, RELAY_E_INVALID_OPERATION, RELAY_E_INVALID_OPERATION,
         NEVER_CALL},
        {"GetSessionTicket", call_ticket, RELAY_E_INVALID_OPERATION, RELAY_E_INVALID_OPERATION,
         RELAY_E_TLS_NON_FATAL},
        {"ProvidePsk", call_provide_psk, RELAY_E_INVALID_OPERATION, NEVER_CALL,
         RELAY_E_INVALID_OPERATION},
        {"RefusePsk", call_refuse_psk, RELAY_E_INVALID_OPERATION, NEVER_CALL,
         RELAY_E_INVALID_OPERATION},
};

static void check_table(World *world, Connection *connection, HandshakeState state) {
        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                int expected = state == HANDSHAKE_NOT_STARTED   ? table[i].not_started
                               : state == HANDSHAKE_IN_PROGRESS ? table[i].in_progress
                                                                : table[i].complete;
                Reason reason = {0};

                if (expected == NEVER_CALL)
                        continue;

                g_test_message("%s in %s", table[i].name, handshake_state_name(state));
                g_assert_cmpint(table[i].call(world, connection, &reason), ==, expected);
                g_assert_cmpstr(reason.text, !=, "");
                g_assert_cmpint(connection_facts(connection).state, ==, state);
                if (expected == RELAY_E_INVALID_OPERATION)
                        g_assert_cmpint(connection_facts(connection).error, ==,
                                        DTLS_INVALID_OPERATION);
        }
}

static void keeps_to_the_state_table(World *world, gconstpointer unused) {
        Listener *listener = world_listen(world, world_listener_spec("127.0.0.1", 0));
        Connection *client = create(world);
        Address there = listener_facts(listener).local;
        Reason reason = {0};

        check_table(world, client, HANDSHAKE_NOT_STARTED);

        g_assert_cmpint(connection_set_peer(client, &there, NULL, &reason), ==, 0);
        g_assert_cmpint(connection_do_handshake(client, &reason), ==, 0);
        check_table(world, client, HANDSHAKE_IN_PROGRESS);

        world_use_psk(world, "someone", "secret");
        world_wait_state(world, client, HANDSHAKE_COMPLETE);
        check_table(world, client, HANDSHAKE_COMPLETE);
}

static void needs_a_peer_to_start(World *world, gconstpointer unused) {
        Connection *connection = create(world);
        Reason reason = {0};

        g_assert_cmpint(connection_do_handshake(connection, &reason), ==,
                        RELAY_E_INVALID_OPERATION);
        g_assert_nonnull(strstr(reason.text, "SetPeer"));
}

static void refuses_mtu_hints_that_cannot_work(World *world, gconstpointer unused) {
        Connection *connection = create(world);
        Reason reason = {0};

        g_assert_cmpint(connection_set_mtu_hint(connection, 255, &reason), ==,
                        RELAY_E_INVALID_PARAMETERS);
        g_assert_nonnull(strstr(reason.text, "256"));
        g_assert_cmpint(connection_set_mtu_hint(connection, 256, &reason), ==, 0);
        g_assert_cmpint(connection_set_mtu_hint(connection, 0, &reason), ==, 0);
}

static void says_how_long_a_datagram_may_be(World *world, gconstpointer unused) {
        g_autofree char *payload = g_strnfill(17 * 1024, 'x');
        Connection *client, *server;
        Reason reason = {0};

        world_pair(world, &client, &server);
        g_assert_cmpint(connection_write(client, payload, 17 * 1024, &reason), ==,
                        RELAY_E_TOO_LONG);
        g_assert_nonnull(strstr(reason.text, "16347"));
        g_assert_cmpint(connection_facts(client).error, !=, DTLS_NO_ERROR);
        g_assert_cmpint(connection_write(client, "", 0, &reason), ==, RELAY_E_INVALID_PARAMETERS);

        /* the connection is usable, and what works clears the error */
        world_send(client, "small");
        g_assert_cmpint(connection_facts(client).error, ==, DTLS_NO_ERROR);
        g_autofree char *small = world_read(world, server);
        g_assert_cmpstr(small, ==, "small");
        g_assert_cmpint(connection_write(client, payload, 16000, &reason), ==, 0);
        g_autofree char *large = world_read(world, server);
        g_assert_cmpuint(strlen(large), ==, 16000);
}

static void exports_the_same_at_both_ends(World *world, gconstpointer unused) {
        g_autoptr(GBytes) context = g_bytes_new_static("context", 7);
        g_autoptr(Secret) of_client = NULL, of_server = NULL, none = NULL;
        Connection *client, *server;
        Reason reason = {0};

        world_pair(world, &client, &server);
        g_assert_cmpint(connection_export_keying_material(client, "EXPORTER-test", context, 32,
                                                          &of_client, &reason),
                        ==, 0);
        g_assert_cmpint(connection_export_keying_material(server, "EXPORTER-test", context, 32,
                                                          &of_server, &reason),
                        ==, 0);
        g_assert_cmpmem(secret_peek(of_client), secret_size(of_client), secret_peek(of_server), 32);

        g_assert_cmpint(connection_export_keying_material(client, "key expansion", NULL, 32, &none,
                                                          &reason),
                        ==, RELAY_E_INVALID_PARAMETERS);
        g_assert_null(none);
        g_assert_nonnull(strstr(reason.text, "key expansion"));
        g_assert_cmpint(connection_facts(client).error, ==, DTLS_INVALID_INPUT_PARAMETERS);
        g_assert_cmpint(connection_facts(client).state, ==, HANDSHAKE_COMPLETE);
}

static void aborts_what_goes_on(World *world, gconstpointer unused) {
        Listener *listener = world_listen(world, world_listener_spec("127.0.0.1", 0));
        Connection *client = world_start(world, world_client_spec(), listener, "127.0.0.1");
        Reason reason = {0};

        world_wait(world, connection_facts(client).psk.pending);
        g_assert_cmpuint(quota_used(world->quota, WORLD_UID, QUOTA_SUSPENDED), ==, 1);
        g_assert_cmpint(connection_abort_handshake(client, &reason), ==, 0);
        g_assert_cmpint(connection_facts(client).state, ==, HANDSHAKE_NOT_STARTED);
        g_assert_cmpint(connection_facts(client).error, ==, DTLS_NO_ERROR);
        g_assert_false(connection_facts(client).psk.pending);
        g_assert_cmpuint(quota_used(world->quota, WORLD_UID, QUOTA_SUSPENDED), ==, 0);
}

static void refuses_psks_that_are_none(World *world, gconstpointer unused) {
        Listener *listener = world_listen(world, world_listener_spec("127.0.0.1", 0));
        Connection *client = world_start(world, world_client_spec(), listener, "127.0.0.1");
        g_autoptr(Secret) empty = secret_new("", 0);
        g_autoptr(Secret) long_one = secret_new_zero(513);
        g_autoptr(Secret) good = secret_new("secret", 6);
        g_autofree char *name = g_strnfill(256, 'n');
        g_autoptr(GBytes) long_name = g_bytes_new(name, 256);
        Reason reason = {0};

        world_wait(world, connection_facts(client).psk.pending);
        g_assert_cmpuint(connection_facts(client).psk.max_key, ==, 512);
        g_assert_cmpint(connection_provide_psk(client, NULL, empty, &reason), ==,
                        RELAY_E_INVALID_PARAMETERS);
        g_assert_cmpint(connection_provide_psk(client, NULL, long_one, &reason), ==,
                        RELAY_E_INVALID_PARAMETERS);
        g_assert_cmpint(connection_provide_psk(client, long_name, good, &reason), ==,
                        RELAY_E_INVALID_PARAMETERS);
        g_assert_true(connection_facts(client).psk.pending); /* and may be tried again */

        g_assert_cmpint(connection_refuse_psk(client, &reason), ==, 0);
        g_assert_cmpint(connection_facts(client).state, ==, HANDSHAKE_NOT_STARTED);
        g_assert_cmpint(connection_facts(client).error, !=, DTLS_NO_ERROR);
}

static void retransmits_by_hand_when_told_to(World *world, gconstpointer unused) {
        g_autofd int silent = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        Spec *spec = world_client_spec();
        socklen_t size = sizeof(spec->peer);
        Connection *client;
        char buffer[2048];
        Reason reason = {0};
        bool occurred = true;
        Address any;

        g_assert_cmpint(address_parse("127.0.0.1", 0, &any), ==, 0);
        g_assert_cmpint(bind(silent, &any.sa, address_size(&any)), ==, 0);
        g_assert_cmpint(getsockname(silent, &spec->peer.sa, &size), ==, 0);
        spec->manual = true;
        g_assert_cmpint(relay_create_connection(world->relay, spec, &client, &reason), ==, 0);

        g_assert_cmpint(connection_handle_timeout(client, &occurred, &reason), ==, 0);
        g_assert_false(occurred);
        g_assert_cmpint(connection_do_handshake(client, &reason), ==, 0);
        g_assert_cmpint(recv(silent, buffer, sizeof(buffer), 0), >, 0);

        world_wait(world, world->n_timeouts == 1);
        g_assert_cmpint(recv(silent, buffer, sizeof(buffer), 0), <, 0);
        g_assert_cmpint(connection_handle_timeout(client, &occurred, &reason), ==, 0);
        g_assert_true(occurred);
        g_assert_cmpint(recv(silent, buffer, sizeof(buffer), 0), >, 0);
}

static void keeps_whose_it_is_over_a_new_configuration(World *world, gconstpointer unused) {
        Connection *connection = create(world);
        Spec *spec = spec_new(DTLS_SERVER, WORLD_OTHER_UID, NULL);
        Reason reason = {0};
        const Spec *now;

        g_assert_cmpint(set_peer(connection, "127.0.0.1", 5684, &reason), ==, 0);
        spec->manual = true;
        g_assert_cmpint(connection_set_spec(connection, spec, &reason), ==, 0);
        now = connection_facts(connection).spec;
        g_assert_true(now->manual);
        g_assert_cmpuint(now->uid, ==, WORLD_UID);
        g_assert_cmpstr(now->owner, ==, WORLD_OWNER);
        g_assert_cmpint(now->role, ==, DTLS_CLIENT);
        g_assert_cmpstr(now->verification_name, ==, "name.example");
        g_assert_cmpuint(address_port(&now->peer), ==, 5684);
}

#define CASE(name, function)                                                                       \
        g_test_add("/commands/" name, World, NULL, world_setup, function, world_teardown)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_assert_cmpint(session_global_init(), ==, 0);

        CASE("refuses-addresses-that-are-no-peer", refuses_addresses_that_are_no_peer);
        CASE("keeps-to-the-state-table", keeps_to_the_state_table);
        CASE("needs-a-peer-to-start", needs_a_peer_to_start);
        CASE("refuses-mtu-hints-that-cannot-work", refuses_mtu_hints_that_cannot_work);
        CASE("says-how-long-a-datagram-may-be", says_how_long_a_datagram_may_be);
        CASE("exports-the-same-at-both-ends", exports_the_same_at_both_ends);
        CASE("aborts-what-goes-on", aborts_what_goes_on);
        CASE("refuses-psks-that-are-none", refuses_psks_that_are_none);
        CASE("retransmits-by-hand-when-told-to", retransmits_by_hand_when_told_to);
        CASE("keeps-whose-it-is-over-a-new-configuration",
             keeps_whose_it_is_over_a_new_configuration);
        return g_test_run();
}
