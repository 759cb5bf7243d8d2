/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Names: whatever is given as one, to every method that takes one, by somebody who may everything.
 * What is none is refused in words that can be shown, and leaves the service as it was.
 */

#include "lib/contract.h"
#include "stage.h"

#include <string.h>
#include <unistd.h>

#define TEXT_MAX 600 /* bytes of a refusal */

typedef struct World {
        Service *service;
        Contract *contract;
        sd_bus *bus;
        char *connection, *listener, *verifier;
} World;

static void set_up(World *world, const void *unused) {
        uint16_t port;

        world->contract = contract_new();
        world->service = service_start(NULL);
        world->bus = service_bus(world->service, 0);
        world->connection = create_client(world->bus, 9, false);
        world->listener = listen_psk(world->bus, &port);
        world->verifier = create_verifier(world->bus);
}

static void tear_down(World *world, const void *unused) {
        (void)bus_leave(world->bus);
        service_stop(world->service);
        world->contract = contract_free(world->contract);
        g_free(world->connection);
        g_free(world->listener);
        g_free(world->verifier);
}

/* As GVariant's text. */
static char *quoted(const char *name) {
        g_autoptr(GVariant) text = g_variant_ref_sink(g_variant_new_string(name));

        return g_variant_print(text, FALSE);
}

static char *with_name(const char *arguments, const char *old, const char *name) {
        g_autofree char *quoted_name = quoted(name);
        GString *text = g_string_new(arguments);

        if (g_string_replace(text, old, quoted_name, 0) == 0)
                g_string_truncate(text, 0);
        return g_string_free(text, FALSE);
}

static const char *path_of(const World *world, const char *interface) {
        if (g_str_equal(interface, CONNECTION))
                return world->connection;
        if (g_str_equal(interface, LISTENER))
                return world->listener;

        return g_str_equal(interface, VERIFIER) ? world->verifier : ROOT;
}

static bool can_be_shown(const char *text) {
        for (const char *c = text; *c; c++)
                if (g_ascii_iscntrl(*c))
                        return false;

        return strlen(text) <= TEXT_MAX && g_utf8_validate(text, -1, NULL);
}

static void assert_refused(const World *world, const ContractCall *call, const char *arguments) {
        g_auto(GStrv) words = g_strsplit(call->method->name, ".", 2);
        g_autofree char *interface = g_strconcat(NAME ".", words[0], NULL);
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *m = NULL;
        int r;

        g_assert_cmpint(sd_bus_message_new_method_call(world->bus, &m, NAME,
                                                       path_of(world, interface), interface,
                                                       words[1]),
                        >=, 0);
        contract_append(m, call, arguments);
        r = sd_bus_call(world->bus, m, CALL_USEC, &error, NULL);
        if (r >= 0 || !g_str_equal(error.name, ERROR_PREFIX "InvalidInputParameters"))
                g_error("%s%s: %s", call->method->name, arguments, r < 0 ? error.name : "it works");
        if (!can_be_shown(error.message))
                g_error("%s%s: %s", call->method->name, arguments, error.message);

        sd_bus_error_free(&error);
        (void)sd_bus_message_unref(m);
}

/* In the place of @old in all calls that have it; how many. */
static unsigned assert_each_refused(const World *world, const char *old, const char *name) {
        unsigned n = 0;

        for (guint i = 0; i < world->contract->calls->len; i++) {
                const ContractCall *call = world->contract->calls->pdata[i];
                g_autofree char *arguments = with_name(call->arguments, old, name);

                if (*arguments == '\0')
                        continue;

                assert_refused(world, call, arguments);
                n++;
        }

        return n;
}

static void test_what_is_no_entry(World *world, const void *unused) {
        g_autofree char *long_name = g_strnfill(300, 'x');
        const char *const names[] = {
                "",
                "../x",
                ".x",
                "a b",
                "a/b",
                "u/1",
                "u/01/x",
                "u/1/../y",
                "u/4294967295/x",
                "caf\xc3\xa9",
                "a\nb",
                "x\x7f",
                "%s%n",
                "\xe2\x80\xae"
                "x",
                long_name,
        };

        for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
                g_assert_cmpuint(assert_each_refused(world, "'plant'", names[i]), >=, 20);
                g_assert_cmpuint(assert_each_refused(world, "'u/1000/plant'", names[i]), >=, 8);
        }
}

static void test_what_is_no_host(World *world, const void *unused) {
        g_autofree char *long_name = g_strnfill(300, 'x');
        const char *const names[] = {
                "../x", "a b", "a/b", "caf\xc3\xa9", "a\nb", "x\x7f", "%s%n", "[::1]", long_name,
        };

        for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
                g_assert_cmpuint(assert_each_refused(world, "'meter'", names[i]), >=, 4);
}

/* Any text, up to a length. */
static void test_what_is_no_verification_name(World *world, const void *unused) {
        g_autofree char *long_name = g_strnfill(300, 'x');

        g_assert_cmpuint(assert_each_refused(world, "'device'", long_name), >=, 2);
}

/* D-Bus has no string with a NUL in it. Whether the bus says so, or the service: nothing more comes
 * of it than that. */
static void test_a_nul_is_the_end_of_who_sends_it(World *world, const void *unused) {
        sd_bus *other = service_bus(world->service, UID_ALICE);
        sd_bus_message *m = NULL;
        char *space;

        g_assert_cmpint(
                sd_bus_message_new_method_call(other, &m, NAME, ROOT, MANAGER, "RemoveIdentity"),
                >=, 0);
        g_assert_cmpint(sd_bus_message_append_string_space(m, 9, &space), >=, 0);
        memcpy(space, "u/1/x\0/..", 9);
        g_assert_cmpint(sd_bus_call(other, m, CALL_USEC, NULL, NULL), <, 0);
        (void)sd_bus_message_unref(m);
        (void)bus_leave(other);
        g_free(get_string(world->bus, world->connection, CONNECTION, "HandshakeState"));
}

#define ADD(path, function) g_test_add("/names/" path, World, NULL, set_up, function, tear_down)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        if (geteuid() != 0) {
                g_print("1..0 # SKIP root may give every name\n");
                return 0;
        }

        ADD("what-is-no-entry", test_what_is_no_entry);
        ADD("what-is-no-host", test_what_is_no_host);
        ADD("what-is-no-verification-name", test_what_is_no_verification_name);
        ADD("a-nul-is-the-end-of-who-sends-it", test_a_nul_is_the_end_of_who_sends_it);
        return g_test_run();
}
