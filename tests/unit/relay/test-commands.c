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
        return connection_write(connection, WORLD_UID, "x", 1, reason);
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

#define CASE(name, function)                                                                       \
        g_test_add("/commands/" name, World, NULL, world_setup, function, world_teardown)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_assert_cmpint(session_global_init(), ==, 0);

        CASE("keeps-to-the-state-table", keeps_to_the_state_table);
        return g_test_run();
}
