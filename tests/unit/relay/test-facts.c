/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a connection knows of itself, as values. */

#include "world.h"

#include "relay/private.h"

#include <string.h>

static void are_empty_at_birth_and_never_null(World *world, gconstpointer unused) {
        Connection *connection;
        ConnectionFacts facts;
        Reason reason = {0};

        g_assert_cmpint(
                relay_create_connection(world->relay, world_client_spec(), &connection, &reason),
                ==, 0);
        facts = connection_facts(connection);
        g_assert_cmpint(facts.state, ==, HANDSHAKE_NOT_STARTED);
        g_assert_false(facts.encrypted);
        g_assert_cmpstr(facts.session.protocol, ==, "UnknownProtocol");
        g_assert_cmpstr(facts.session.cipher_name, ==, "");
        g_assert_cmpstr(facts.session.key_exchange, ==, "");
        g_assert_cmpstr(facts.session.curve, ==, "");
        g_assert_cmpstr(facts.error_text, ==, "");
        g_assert_cmpuint(facts.verification_errors->len, ==, 0);
        g_assert_null(facts.peer_chain);
        g_assert_false(facts.psk.pending);
        g_assert_true(facts.announced);
        g_assert_cmpuint(facts.data_mtu, ==, 0);
}

static void change_tells_the_observer(World *world, gconstpointer unused) {
        Connection *connection;
        Reason reason = {0};

        g_assert_cmpint(
                relay_create_connection(world->relay, world_client_spec(), &connection, &reason),
                ==, 0);
        world->changed = 0;
        connection_clear_error(connection);
        g_assert_cmpuint(world->changed, ==, 0); /* nothing was there */
        connection_set_error(connection, DTLS_TLS_FATAL_ERROR, "broken");
        g_assert_cmpuint(world->changed, ==, CHANGED_ERROR);
        g_assert_cmpint(connection_facts(connection).error, ==, DTLS_TLS_FATAL_ERROR);
        g_assert_cmpstr(connection_facts(connection).error_text, ==, "broken");

        world->changed = 0;
        connection_close(connection, END_CLOSE);
        connection_set_error(connection, DTLS_TLS_FATAL_ERROR, "nobody hears");
        g_assert_cmpuint(world->changed, ==, 0);
}

static void keep_long_texts_short(World *world, gconstpointer unused) {
        g_autofree char *text = g_strnfill(10000, 'x');
        Connection *connection;
        Reason reason = {0};

        g_assert_cmpint(
                relay_create_connection(world->relay, world_client_spec(), &connection, &reason),
                ==, 0);
        connection_set_error(connection, DTLS_TLS_FATAL_ERROR, text);
        g_assert_cmpuint(strlen(connection_facts(connection).error_text), <, 256);
}

static void name_the_leaf_by_its_hash(World *world, gconstpointer unused) {
        g_autoptr(TestIdentity) identity = test_identity_new("peer", NULL, 0, TEST_KEY_ECDSA);
        g_autofree char *expected = NULL;
        g_autoptr(GBytes) leaf = NULL;
        g_autoptr(GString) hex = g_string_new(NULL);
        Connection *connection;
        const uint8_t *bytes;
        Reason reason = {0};

        g_assert_cmpint(
                relay_create_connection(world->relay, world_client_spec(), &connection, &reason),
                ==, 0);
        (void)connection_opened_facts(connection, &leaf);
        g_assert_null(leaf);

        connection->peer_chain = test_chain_ders(identity, NULL);
        g_assert_true(connection_opened_facts(connection, &leaf).leaf_sha256 == leaf);
        bytes = g_bytes_get_data(leaf, NULL);
        for (size_t i = 0; i < g_bytes_get_size(leaf); i++)
                g_string_append_printf(hex, "%02x", bytes[i]);
        expected = g_compute_checksum_for_bytes(G_CHECKSUM_SHA256, test_identity_der(identity));
        g_assert_cmpstr(hex->str, ==, expected);
}

#define CASE(name, function)                                                                       \
        g_test_add("/facts/" name, World, NULL, world_setup, function, world_teardown)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_assert_cmpint(session_global_init(), ==, 0);

        CASE("are-empty-at-birth-and-never-null", are_empty_at_birth_and_never_null);
        CASE("tell-the-observer-when-they-change", change_tells_the_observer);
        CASE("keep-long-texts-short", keep_long_texts_short);
        CASE("name-the-leaf-by-its-hash", name_the_leaf_by_its_hash);
        return g_test_run();
}
