/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A session is taken up with what holds now, and not with what held when it began: whatever was
 * changed between. Trust sets and denied certificates have their own tests of that (trust,
 * revoked), and the deny list of dtlsd.conf (tickets).
 */

#include "identities.h"
#include "lib/revocations.h"
#include "world.h"

#include <string.h>

#define DEVICE "u/5/device"

static char *open_at(const World *world, uint16_t port, GBytes *ticket) {
        char *path = options_end_path(world->alice,
                                      world_client_begin(world, world->alice, port, ticket));

        shake(world->alice, path, "HandshakeComplete");
        return path;
}

/* Bob listens, and Alice has a ticket of his, which is good. */
static bool begin(World *world, uint16_t *ret_port, GBytes **ret_ticket) {
        g_autofree char *listener = NULL, *first = NULL, *second = NULL;
        sd_bus_message *m;

        if (!world_of_trust(world))
                return false;

        import(world->bob, DEVICE, world->server);
        m = options_begin(world->bob, ROOT, MANAGER, "Listen", "sq", "127.0.0.1", 0);
        g_assert_cmpint(sd_bus_message_append(m, "{sv}{sv}", "Identity", "s", DEVICE, "SslOptions",
                                              "as", 0),
                        >=, 0);
        listener = options_end_path(world->bob, m);
        *ret_port = get_port(world->bob, listener);

        first = open_at(world, *ret_port, NULL);
        *ret_ticket = get_ticket(world->alice, first);
        second = open_at(world, *ret_port, *ret_ticket);
        g_assert_true(is_resumed(world->alice, second));
        return true;
}

static void refuse_the_server(const World *world, uint16_t port, GBytes *ticket,
                              const char *error) {
        g_autofree char *path = options_end_path(
                world->alice, world_client_begin(world, world->alice, port, ticket));
        g_autofree char *text = NULL;

        shake(world->alice, path, "PeerVerificationFailed");
        text = get_error(world->alice, path);
        if (!strstr(text, error))
                g_error("'%s' does not say '%s'", text, error);
}

static void test_a_revocation_list_is_asked(void) {
        g_autoptr(GBytes) ticket = NULL, crl = NULL;
        sd_bus_message *m;
        World world;
        uint16_t port;

        if (!begin(&world, &port, &ticket))
                return;

        crl = test_crl_new(world.ca, NULL, world.server, NULL);
        m = options_begin(world.alice, ROOT, MANAGER, "SetRevocations", "s", "u/1/taken");
        g_assert_cmpint(sd_bus_message_open_container(m, 'e', "sv"), >=, 0);
        g_assert_cmpint(sd_bus_message_append(m, "s", "Lists"), >=, 0);
        g_assert_cmpint(sd_bus_message_open_container(m, 'v', "aay"), >=, 0);
        g_assert_cmpint(sd_bus_message_open_container(m, 'a', "ay"), >=, 0);
        g_assert_cmpint(sd_bus_message_append_array(m, 'y', g_bytes_get_data(crl, NULL),
                                                    g_bytes_get_size(crl)),
                        >=, 0);
        for (int i = 0; i < 3; i++)
                g_assert_cmpint(sd_bus_message_close_container(m), >=, 0);
        (void)sd_bus_message_unref(options_end(world.alice, m));

        refuse_the_server(&world, port, ticket, "CertificateRevoked");
        world_free(&world);
}

/* The peer's port has a pin now, and that is another key's. */
static void test_pins_are_asked(void) {
        static const uint8_t another[32] = {1};
        g_autoptr(GBytes) ticket = NULL;
        sd_bus_message *m;
        World world;
        uint16_t port;

        if (!begin(&world, &port, &ticket))
                return;

        m = options_begin(world.alice, ROOT, MANAGER, "Pin", "sq", "127.0.0.1", port);
        options_add_bytes(m, "Fingerprint", another, sizeof(another));
        (void)sd_bus_message_unref(options_end(world.alice, m));

        refuse_the_server(&world, port, ticket, "CertificateRejected");
        world_free(&world);
}

static void test_the_rules_are_asked(void) {
        g_autoptr(GBytes) ticket = NULL;
        g_autofree char *text = NULL, *again = NULL;
        World world;
        uint16_t port;

        if (!begin(&world, &port, &ticket))
                return;

        service_rule(world.service, "[No]\nSubjects=uid:1\nVerdict=deny\nConnect=127.0.0.1\n");
        text = options_end_refused("NotAuthorized", world.alice,
                                   world_client_begin(&world, world.alice, port, ticket));
        g_assert_nonnull(strstr(text, "may not connect"));

        service_rule(world.service, "");
        again = open_at(&world, port, ticket);
        g_assert_false(is_resumed(world.alice, again)); /* a reload ends a listener's tickets */
        world_free(&world);
}

/* Whose certificate is another now shows it. */
static void test_the_listeners_identity_is_shown_again(void) {
        g_autoptr(GBytes) ticket = NULL;
        g_autofree char *path = NULL;
        World world;
        uint16_t port;

        if (!begin(&world, &port, &ticket))
                return;

        world.second =
                test_identity_new("server", world.ca, TEST_IDENTITY_LOOPBACK, TEST_KEY_ECDSA);
        import(world.bob, DEVICE, world.second);
        path = open_at(&world, port, ticket);
        g_assert_false(is_resumed(world.alice, path));
        world_free(&world);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/resumption/a-revocation-list-is-asked", test_a_revocation_list_is_asked);
        g_test_add_func("/resumption/pins-are-asked", test_pins_are_asked);
        g_test_add_func("/resumption/the-rules-are-asked", test_the_rules_are_asked);
        g_test_add_func("/resumption/the-listeners-identity-is-shown-again",
                        test_the_listeners_identity_is_shown_again);
        return g_test_run();
}
