/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Strangers: every method, called by somebody who may not, with arguments that are in order, about
 * what is another user's. Nothing comes of it, and who may not see does not learn what is there.
 */

#include "lib/contract.h"
#include "stage.h"

#include <string.h>
#include <unistd.h>

#define UNKNOWN "org.freedesktop.DBus.Error.UnknownObject"
#define ALICES_NAME "u/1/plant"

typedef struct World {
        Service *service;
        Contract *contract;
        sd_bus *alice, *stranger;
        char *connection, *listener, *verifier; /* alice's */
        int far;                                /* the other end of her connection */
} World;

static bool world_new(World *world, const char *rules, uid_t stranger) {
        uint16_t port;
        int queue;

        if (!service_has_users())
                return false;

        world->contract = contract_new();
        world->service = service_start(NULL);
        service_rule(world->service, rules);
        world->alice = service_bus(world->service, UID_ALICE);
        world->stranger = service_bus(world->service, stranger);
        world->listener = listen_queue(world->alice, &port, &queue);
        world->connection = open_client(world->alice, port, false);
        world->verifier = create_verifier(world->alice);
        world->far = accept_channel(queue);
        (void)close(queue);
        return true;
}

/* What is alice's is as it was. */
static void world_done(World *world) {
        char buffer[8];

        write_datagram(world->alice, world->connection, "hers", 4);
        (void)wait_fd(world->far);
        g_assert_cmpint(read(world->far, buffer, sizeof(buffer)), ==, 4);
        g_assert_cmpmem(buffer, 4, "hers", 4); /* and nobody's before */
        (void)sd_bus_message_unref(
                call(world->alice, world->listener, LISTENER, "OpenAcceptQueue", ""));
        close_object(world->alice, world->verifier, VERIFIER);

        (void)close(world->far);
        (void)bus_leave(world->alice);
        (void)bus_leave(world->stranger);
        service_stop(world->service);
        (void)contract_free(world->contract);
        g_free(world->connection);
        g_free(world->listener);
        g_free(world->verifier);
}

static const char *path_of(const World *world, const char *interface) {
        if (g_str_equal(interface, CONNECTION))
                return world->connection;
        if (g_str_equal(interface, LISTENER))
                return world->listener;
        if (g_str_equal(interface, VERIFIER))
                return world->verifier;

        return ROOT;
}

static void assert_refused(const World *world, const ContractCall *call, const char *arguments,
                           const char *expected) {
        g_auto(GStrv) words = g_strsplit(call->method->name, ".", 2);
        g_autofree char *interface = g_strconcat(NAME ".", words[0], NULL);
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *m = NULL;
        int r;

        g_assert_cmpint(sd_bus_message_new_method_call(world->stranger, &m, NAME,
                                                       path_of(world, interface), interface,
                                                       words[1]),
                        >=, 0);
        contract_append(m, call, arguments);
        r = sd_bus_call(world->stranger, m, CALL_USEC, &error, NULL);
        if (r >= 0 || !g_str_equal(error.name, expected))
                g_error("%s%s: %s (%s), not %s", call->method->name, arguments,
                        r < 0 ? error.name : "it works", r < 0 ? error.message : "", expected);

        sd_bus_error_free(&error);
        (void)sd_bus_message_unref(m);
}

/* Of every object that is alice's. */
static void assert_all_refused(const World *world, const char *expected) {
        unsigned n = 0;

        for (guint i = 0; i < world->contract->calls->len; i++) {
                const ContractCall *call = world->contract->calls->pdata[i];

                if (g_str_has_prefix(call->method->name, "Manager."))
                        continue;

                assert_refused(world, call, call->arguments, expected);
                n++;
        }
        g_assert_cmpuint(n, >, 40);
}

static void test_nothing_is_there_for_who_may_not_see(void) {
        World world = {0};

        if (!world_new(&world, "", UID_BOB))
                return;

        assert_all_refused(&world, UNKNOWN);
        world_done(&world);
}

static void test_who_may_look_may_no_more(void) {
        World world = {0};

        if (!world_new(&world, "[Look]\nSubjects=user:games\nVerdict=allow\nMay=inspect\n",
                       UID_BOB))
                return;

        assert_all_refused(&world, ERROR_PREFIX "NotAuthorized");
        world_done(&world);
}

static void test_nor_may_another_program_of_the_same_user(void) {
        World world = {0};

        if (!world_new(&world, "", UID_ALICE))
                return;

        assert_all_refused(&world, ERROR_PREFIX "NotAuthorized");
        world_done(&world);
}

static void test_nor_may_root(void) {
        World world = {0};

        if (!world_new(&world, "", 0))
                return;

        assert_all_refused(&world, ERROR_PREFIX "NotAuthorized");
        world_done(&world);
}

/* ---- the store ---- */

static void set_psk(const World *world) {
        sd_bus_message *m = options_begin(world->alice, ROOT, MANAGER, "SetPsk", "s", ALICES_NAME);

        options_add_bytes(m, "Identity", "plant", 5);
        options_add_secret(m, "Key", PSK_KEY, strlen(PSK_KEY));
        (void)sd_bus_message_unref(options_end(world->alice, m));
}

/* @arguments with her name in the place of each of the store. */
static char *about_alices(const char *arguments) {
        GString *text = g_string_new(arguments);

        if (g_string_replace(text, "'u/1000/plant'", "'" ALICES_NAME "'", 0) == 0)
                (void)g_string_replace(text, "'plant'", "'" ALICES_NAME "'", 0);
        return g_string_free(text, FALSE);
}

static bool is_of_a_name(const ContractCall *call) {
        return strstr(call->method->who, "another's name root") != NULL;
}

/* With every right that policy can give. */
static void test_anothers_name_is_only_anothers(void) {
        sd_bus_message *reply;
        World world = {0};
        unsigned n = 0;
        const char *name;

        if (!world_new(&world,
                       "[All]\nSubjects=any\nVerdict=allow\nUse=identity:*;psk:*;trust:*\n"
                       "May=manage-store;inspect;reload\n",
                       UID_BOB))
                return;

        set_psk(&world);
        for (guint i = 0; i < world.contract->calls->len; i++) {
                const ContractCall *call = world.contract->calls->pdata[i];
                g_autofree char *arguments = about_alices(call->arguments);

                if (!is_of_a_name(call))
                        continue;

                assert_refused(&world, call, arguments, ERROR_PREFIX "NotAuthorized");
                n++;
        }
        g_assert_cmpuint(n, >=, 16);

        reply = call(world.alice, ROOT, MANAGER, "ListPsks", "");
        g_assert_cmpint(sd_bus_message_enter_container(reply, 'a', "(say)"), >, 0);
        g_assert_cmpint(sd_bus_message_enter_container(reply, 'r', "say"), >, 0);
        g_assert_cmpint(sd_bus_message_read(reply, "s", &name), >, 0);
        g_assert_cmpstr(name, ==, ALICES_NAME);
        (void)sd_bus_message_unref(reply);
        world_done(&world);
}

/* Whether it is there, or not, or anybody's at all: the same. */
static void test_anothers_name_is_of_no_use(void) {
        World world = {0};
        unsigned n = 0;

        if (!world_new(&world, "[All]\nSubjects=any\nVerdict=allow\nUse=identity:*;psk:*;trust:*\n",
                       UID_BOB))
                return;

        for (guint i = 0; i < world.contract->calls->len; i++) {
                const ContractCall *call = world.contract->calls->pdata[i];
                g_autofree char *arguments = about_alices(call->arguments);

                if (g_strcmp0(call->verb, "use") != 0 ||
                    !g_str_has_prefix(call->method->name, "Manager.") ||
                    strstr(call->arguments, "Psks")) /* a pattern, which then finds none */
                        continue;

                assert_refused(&world, call, arguments, ERROR_PREFIX "InvalidInputParameters");
                n++;
        }
        g_assert_cmpuint(n, >=, 6);
        world_done(&world);
}

/* Nor may one who may not use the system's find out what it has. */
static void test_who_may_not_use_does_not_learn_what_there_is(void) {
        World world = {0};
        unsigned n = 0;

        if (!world_new(&world, "[No]\nSubjects=any\nVerdict=deny\nUse=identity:*;psk:*;trust:*\n",
                       UID_BOB))
                return;

        for (guint i = 0; i < world.contract->calls->len; i++) {
                const ContractCall *call = world.contract->calls->pdata[i];

                if (g_strcmp0(call->verb, "use") != 0 ||
                    !g_str_has_prefix(call->method->name, "Manager."))
                        continue;

                assert_refused(&world, call, call->arguments, ERROR_PREFIX "NotAuthorized");
                n++;
        }
        g_assert_cmpuint(n, >=, 9);
        world_done(&world);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/strangers/nothing-is-there-for-who-may-not-see",
                        test_nothing_is_there_for_who_may_not_see);
        g_test_add_func("/strangers/who-may-look-may-no-more", test_who_may_look_may_no_more);
        g_test_add_func("/strangers/nor-may-another-program-of-the-same-user",
                        test_nor_may_another_program_of_the_same_user);
        g_test_add_func("/strangers/nor-may-root", test_nor_may_root);
        g_test_add_func("/strangers/anothers-name-is-only-anothers",
                        test_anothers_name_is_only_anothers);
        g_test_add_func("/strangers/anothers-name-is-of-no-use", test_anothers_name_is_of_no_use);
        g_test_add_func("/strangers/who-may-not-use-does-not-learn-what-there-is",
                        test_who_may_not_use_does_not_learn_what_there_is);
        return g_test_run();
}
