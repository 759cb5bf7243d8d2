/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A ticket comes back for the same user and the same connection, and for nothing else. */

#include "world.h"

#include "relay/private.h"

#include <string.h>

#define SESSION "what GnuTLS would make of it"

typedef struct Case {
        const char *what;
        void (*change)(Spec *spec);
} Case;

static Spec *named_spec(void) {
        Spec *spec = world_client_spec();

        g_free(spec->verification_name);
        spec->verification_name = g_strdup("a.example");
        spec->ssl_options = g_ptr_array_new();
        return spec;
}

static void seal_for(World *world, const Spec *of, Spec *into) {
        g_autoptr(Secret) session = secret_new(SESSION, sizeof SESSION);

        g_clear_pointer(&into->ticket, g_bytes_unref);
        g_assert_cmpint(ticket_seal(world->relay, of, session, &into->ticket), ==, 0);
}

static void comes_back(World *world, gconstpointer unused) {
        g_autoptr(Spec) spec = named_spec();
        g_autoptr(Secret) none = NULL, back = NULL;
        Reason reason;

        g_assert_cmpint(ticket_open(world->relay, spec, &none, &reason), ==, 0);
        g_assert_null(none);

        seal_for(world, spec, spec);
        g_assert_cmpint(ticket_check(world->relay, spec, &reason), ==, 0);
        g_assert_cmpint(ticket_open(world->relay, spec, &back, &reason), ==, 0);
        g_assert_cmpmem(secret_peek(back), secret_size(back), SESSION, sizeof SESSION);

        /* a server has no use for it and does not look */
        spec->role = DTLS_SERVER;
        spec->uid++;
        g_assert_cmpint(ticket_open(world->relay, spec, &none, &reason), ==, 0);
        g_assert_null(none);
}

static void is_one_users(World *world, gconstpointer unused) {
        g_autoptr(Spec) spec = named_spec();
        Reason reason;

        seal_for(world, spec, spec);
        spec->uid = WORLD_OTHER_UID;
        g_assert_cmpint(ticket_check(world->relay, spec, &reason), ==, RELAY_E_INVALID_PARAMETERS);
        g_assert_nonnull(strstr(reason.text, "connect without it"));
}

static void change_name(Spec *spec) {
        *spec->verification_name = 'b';
}

static void change_to_address(Spec *spec) {
        *spec->verification_name = '\0';
}

static void change_mode(Spec *spec) {
        spec->verify_mode = VERIFY_NONE;
}

static void change_depth(Spec *spec) {
        spec->verify_depth = 3;
}

static void change_to_nobody(Spec *spec) {
        spec->trust_system = false;
}

static void change_trust(Spec *spec) {
        g_autoptr(TestIdentity) authority =
                test_identity_new("CA", NULL, TEST_IDENTITY_CA, TEST_KEY_ECDSA);
        g_autoptr(GPtrArray) ders = test_chain_ders(authority, NULL);

        g_assert_cmpint(trust_new(ders, &spec->trust), ==, 0);
}

static void change_chain(Spec *spec) {
        g_autoptr(TestIdentity) identity = test_identity_new("me", NULL, 0, TEST_KEY_ECDSA);
        g_autoptr(GPtrArray) ders = test_chain_ders(identity, NULL);

        g_assert_cmpint(chain_new(ders, &spec->chain), ==, 0);
}

static void change_protocol(Spec *spec) {
        spec->protocol = PROTOCOL_DTLS_1_0_OR_LATER;
}

static void change_profile(Spec *spec) {
        spec->profile = PROFILE_LEGACY;
}

static void change_ciphers(Spec *spec) {
        spec->ciphers = g_ptr_array_new();
        g_ptr_array_add(spec->ciphers, (void *)session_supported_ciphers()[0]);
}

static const Case cases[] = {
        {"name", change_name},       {"address", change_to_address}, {"mode", change_mode},
        {"depth", change_depth},     {"nobody", change_to_nobody},   {"trust", change_trust},
        {"chain", change_chain},     {"protocol", change_protocol},  {"profile", change_profile},
        {"ciphers", change_ciphers},
};

static void is_one_connections(World *world, gconstpointer data) {
        const Case *changed = data;
        g_autoptr(Spec) spec = named_spec();
        g_autoptr(Secret) back = NULL;
        Reason reason;

        seal_for(world, spec, spec);
        changed->change(spec);
        g_assert_cmpint(ticket_check(world->relay, spec, &reason), ==, 0);
        g_assert_cmpint(ticket_open(world->relay, spec, &back, &reason), ==,
                        RELAY_E_TLS_INITIALIZATION);
        g_assert_null(back);

        seal_for(world, spec, spec);
        g_assert_cmpint(ticket_open(world->relay, spec, &back, &reason), ==, 0);
}

static void is_paid_for(World *world, gconstpointer unused) {
        Spec *spec = named_spec();
        uint64_t before = quota_used(world->quota, WORLD_UID, QUOTA_BYTES);
        Connection *connection;
        Reason reason;
        size_t size;

        seal_for(world, spec, spec);
        size = g_bytes_get_size(spec->ticket);
        g_assert_cmpint(relay_create_connection(world->relay, spec, &connection, &reason), ==, 0);
        g_assert_cmpuint(quota_used(world->quota, WORLD_UID, QUOTA_BYTES), ==, before + size);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add("/ticket/comes-back", World, NULL, world_setup, comes_back, world_teardown);
        g_test_add("/ticket/is-one-users", World, NULL, world_setup, is_one_users, world_teardown);
        g_test_add("/ticket/is-paid-for", World, NULL, world_setup, is_paid_for, world_teardown);
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autofree char *path =
                        g_strdup_printf("/ticket/is-one-connections/%s", cases[i].what);

                g_test_add(path, World, &cases[i], world_setup, is_one_connections, world_teardown);
        }
        return g_test_run();
}
