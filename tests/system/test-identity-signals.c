/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What is told of the store's identities, and to whom.
 */

#include "stage.h"

#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#define IDENTITY NAME ".Identity"
#define GATEWAY ROOT "/identity/gateway"
#define MINE ROOT "/identity/u_2f1_2fmine"
#define ADDED "InterfacesAdded|" ROOT "|"
#define REMOVED "InterfacesRemoved|" ROOT "|"
#define CHANGED "PropertiesChanged|"
#define DAY 86400

/* The rules of a service let everybody ask for the administrator's identities, so all see them. */
typedef struct World {
        Service *service;
        sd_bus *root, *alice, *bob;
        Ear *root_ear, *alice_ear, *bob_ear;
        TestIdentity *first, *second;
} World;

static bool world_new(World *world) {
        if (!service_has_users())
                return false;

        *world = (World){.service = service_start(NULL)};
        world->root = service_bus(world->service, 0);
        world->alice = service_bus(world->service, UID_ALICE);
        world->bob = service_bus(world->service, UID_BOB);
        world->root_ear = ear_new(world->root);
        world->alice_ear = ear_new(world->alice);
        world->bob_ear = ear_new(world->bob);
        world->first = test_identity_until("first", time(NULL) + 100 * DAY);
        world->second = test_identity_until("second", time(NULL) + 100 * DAY);
        return true;
}

static void world_free(World *world) {
        ear_free(world->root_ear);
        ear_free(world->alice_ear);
        ear_free(world->bob_ear);
        (void)bus_leave(world->root);
        (void)bus_leave(world->alice);
        (void)bus_leave(world->bob);
        test_identity_free(world->first);
        test_identity_free(world->second);
        service_stop(world->service);
}

static void subscribe(sd_bus *bus) {
        (void)sd_bus_message_unref(call(bus, ROOT, MANAGER, "Subscribe", "a{sv}", 0));
}

static void list(sd_bus *bus) {
        (void)sd_bus_message_unref(call(bus, ROOT, OBJECT_MANAGER, "GetManagedObjects", ""));
}

static void append_chain(sd_bus_message *m, GBytes *certificate) {
        g_assert_cmpint(sd_bus_message_open_container(m, 'a', "ay"), >=, 0);
        g_assert_cmpint(sd_bus_message_append_array(m, 'y', g_bytes_get_data(certificate, NULL),
                                                    g_bytes_get_size(certificate)),
                        >=, 0);
        g_assert_cmpint(sd_bus_message_close_container(m), >=, 0);
}

static void import(sd_bus *bus, const char *name, const TestIdentity *identity) {
        GBytes *key = test_identity_key_pem(identity);
        sd_bus_message *m = NULL;

        g_assert_cmpint(
                sd_bus_message_new_method_call(bus, &m, NAME, ROOT, MANAGER, "ImportIdentity"), >=,
                0);
        g_assert_cmpint(sd_bus_message_append(m, "s", name), >=, 0);
        append_chain(m, test_identity_der(identity));
        g_assert_cmpint(sd_bus_message_open_container(m, 'a', "{sv}"), >=, 0);
        options_add_secret(m, "Key", g_bytes_get_data(key, NULL), g_bytes_get_size(key));
        (void)sd_bus_message_unref(options_end(bus, m));
}

static void remove_identity(sd_bus *bus, const char *name) {
        (void)sd_bus_message_unref(call(bus, ROOT, MANAGER, "RemoveIdentity", "s", name));
}

static void test_a_life_is_told(void) {
        World world;
        const GString *changed;

        if (!world_new(&world))
                return;

        subscribe(world.alice);
        import(world.root, "gateway", world.first);
        g_assert_cmpuint(ear_count(world.alice_ear, ADDED GATEWAY "|"), ==, 1);
        g_assert_nonnull(strstr(ear_last(world.alice_ear, ADDED)->str, IDENTITY "|Name|gateway"));

        import(world.root, "gateway", world.second);
        changed = ear_last(world.alice_ear, CHANGED GATEWAY "|" IDENTITY "|");
        g_assert_nonnull(changed);
        g_assert_nonnull(strstr(changed->str, "|NotAfter"));
        g_assert_nonnull(strstr(changed->str, "|Fingerprint"));
        g_assert_cmpuint(ear_count(world.alice_ear, CHANGED), ==, 1);

        /* the same again is no news */
        import(world.root, "gateway", world.second);
        g_assert_cmpuint(ear_count(world.alice_ear, CHANGED), ==, 1);

        remove_identity(world.root, "gateway");
        g_assert_cmpuint(ear_count(world.alice_ear, REMOVED GATEWAY "|"), ==, 1);
        g_assert_cmpuint(ear_count(world.alice_ear, ""), ==, 3);
        g_assert_cmpuint(ear_count(world.bob_ear, ""), ==, 0); /* has not asked */
        world_free(&world);
}

/* A request changes nothing but that a certificate is awaited; installing it changes the rest. */
static void test_a_renewal_is_told(void) {
        World world;
        sd_bus_message *m, *reply;
        g_autoptr(TestIdentity) authority = NULL;
        g_autoptr(GBytes) certificate = NULL;
        const char *csr;

        if (!world_new(&world))
                return;

        authority = test_identity_new("ca", NULL, TEST_IDENTITY_CA, TEST_KEY_ECDSA);
        list(world.alice);
        import(world.alice, "u/1/mine", world.first);
        reply = options_end(world.alice, options_begin(world.alice, ROOT, MANAGER,
                                                       "GenerateIdentity", "s", "u/1/mine"));
        g_assert_cmpuint(ear_count(world.alice_ear, CHANGED MINE "|"), ==, 1);

        g_assert_cmpint(sd_bus_message_read(reply, "s", &csr), >=, 0);
        certificate = test_certify(csr, authority);
        (void)sd_bus_message_unref(reply);
        g_assert_cmpint(sd_bus_message_new_method_call(world.alice, &m, NAME, ROOT, MANAGER,
                                                       "InstallCertificate"),
                        >=, 0);
        g_assert_cmpint(sd_bus_message_append(m, "s", "u/1/mine"), >=, 0);
        append_chain(m, certificate);
        g_assert_cmpint(sd_bus_call(world.alice, m, CALL_USEC, NULL, NULL), >=, 0);
        (void)sd_bus_message_unref(m);
        g_assert_cmpuint(ear_count(world.alice_ear, CHANGED MINE "|"), ==, 2);
        world_free(&world);
}

static void test_a_users_own_are_told_to_nobody_else(void) {
        World world;

        if (!world_new(&world))
                return;

        subscribe(world.alice);
        subscribe(world.bob);
        list(world.bob);
        subscribe(world.root);
        import(world.alice, "u/1/mine", world.first);
        import(world.alice, "u/1/mine", world.second);
        remove_identity(world.alice, "u/1/mine");
        g_assert_cmpuint(ear_count(world.alice_ear, ""), ==, 3);
        g_assert_cmpuint(ear_count(world.bob_ear, ""), ==, 0);
        g_assert_cmpuint(ear_count(world.root_ear, ""), ==, 0); /* of others: only by All */

        (void)sd_bus_message_unref(
                call(world.root, ROOT, MANAGER, "Subscribe", "a{sv}", 1, "All", "b", 1));
        import(world.alice, "u/1/mine", world.first);
        g_assert_cmpuint(ear_count(world.root_ear, ADDED MINE "|"), ==, 1);
        world_free(&world);
}

/* Whether the program can be started; else it is tried again and again. */
static void let_start(const World *world, bool may) {
        const char *directory = service_directory(world->service);
        g_autofree char *there = g_build_filename(directory, "dtlsd-keyring", NULL);
        g_autofree char *away = g_build_filename(directory, "dtlsd-keyring.away", NULL);

        g_assert_cmpint(g_rename(may ? away : there, may ? there : away), ==, 0);
}

static bool has_gone(void *userdata) {
        const World *world = userdata;
        g_autofree char *log = service_log(world->service);

        return strstr(log, "there is no keyring: ");
}

static void kill_keyring(const World *world) {
        g_assert_cmpint(kill(service_keyring_pid(world->service), SIGKILL), ==, 0);
}

static void test_another_keyring_is_no_news(void) {
        g_autofree char *text = NULL;
        sd_bus_message *m;
        World world;
        pid_t keyring;

        if (!world_new(&world))
                return;

        subscribe(world.alice);
        import(world.root, "gateway", world.first);
        import(world.alice, "u/1/mine", world.second);
        g_assert_cmpuint(ear_count(world.alice_ear, ""), ==, 2);

        keyring = service_keyring_pid(world.service);
        kill_keyring(&world);
        wait_keyring(world.service, keyring, world.root, "gateway");
        g_assert_cmpuint(ear_count(world.alice_ear, ""), ==, 2);

        /* they stay meanwhile, and nobody has to hear that they are there */
        keyring = service_keyring_pid(world.service);
        let_start(&world, false);
        kill_keyring(&world);
        bus_wait(world.root, has_gone, &world, "the end of the keyring");
        list(world.bob);
        g_free(get_string(world.bob, GATEWAY, IDENTITY, "Fingerprint"));
        m = options_begin(world.root, ROOT, MANAGER, "Listen", "sq", "127.0.0.1", 0);
        g_assert_cmpint(sd_bus_message_append(m, "{sv}", "Identity", "s", "gateway"), >=, 0);
        text = options_end_refused("TlsInitializationError", world.root, m);
        g_assert_nonnull(strstr(text, "the next is not ready; it will have identity 'gateway'"));
        let_start(&world, true);
        g_assert_cmpint(service_keyring_pid(world.service), >, 0); /* waits: none runs yet */
        wait_keyring(world.service, keyring, world.root, "gateway");
        g_assert_cmpuint(ear_count(world.alice_ear, ""), ==, 2);
        g_assert_cmpuint(ear_count(world.bob_ear, ""), ==, 0);

        /* and what changes from there on is told as before */
        remove_identity(world.root, "gateway");
        g_assert_cmpuint(ear_count(world.alice_ear, REMOVED GATEWAY "|"), ==, 1);
        g_assert_cmpuint(ear_count(world.bob_ear, REMOVED GATEWAY "|"), ==, 1);
        world_free(&world);
}

/* ---- what ends soon ---- */

/* Imports one that ends then; to be freed: the signal that tells of its last @days. */
static char *import_until(sd_bus *bus, const char *name, const char *path, int64_t end,
                          unsigned days) {
        g_autoptr(TestIdentity) identity = test_identity_until(name, end);

        import(bus, name, identity);
        return g_strdup_printf("ExpiresSoon|%s|%" G_GINT64_FORMAT "000000|%u", path, end, days);
}

static size_t n_logged(const World *world, const char *text) {
        g_autofree char *log = service_log(world->service);
        g_auto(GStrv) parts = g_strsplit(log, text, -1);

        return g_strv_length(parts) - 1;
}

static void test_what_ends_soon_is_told_to_who_sees_it(void) {
        World world;
        g_autofree char *mine = NULL, *over = NULL;

        if (!world_new(&world))
                return;

        subscribe(world.alice);
        subscribe(world.bob);
        list(world.bob);
        mine = import_until(world.alice, "u/1/mine", MINE, time(NULL) + 10 * DAY, 14);
        g_assert_cmpuint(ear_count(world.alice_ear, mine), ==, 1);
        g_assert_cmpuint(ear_count(world.bob_ear, ""), ==, 0);
        g_assert_cmpuint(n_logged(&world, "'u/1/mine' ends in 10 days, on "), ==, 1);

        over = import_until(world.root, "gateway", GATEWAY, time(NULL) - 1, 0);
        g_assert_cmpuint(ear_count(world.alice_ear, over), ==, 1);
        g_assert_cmpuint(ear_count(world.bob_ear, over), ==, 1);
        g_assert_cmpuint(ear_count(world.alice_ear, "ExpiresSoon|"), ==, 2);
        g_assert_cmpuint(n_logged(&world, "'gateway' has ended, on "), ==, 1);
        world_free(&world);
}

static void test_a_lead_time_that_comes_is_told(void) {
        World world;
        g_autofree char *last = NULL;

        if (!world_new(&world))
                return;

        subscribe(world.alice);
        last = import_until(world.root, "gateway", GATEWAY, time(NULL) + DAY + 3, 1);
        (void)ear_wait(world.alice_ear, last);
        g_assert_cmpuint(ear_count(world.alice_ear, last), ==, 1);
        g_assert_cmpuint(n_logged(&world, "'gateway' ends in 1 day, on "), >=, 1);
        world_free(&world);
}

static void test_a_restart_of_the_keyring_tells_nothing_again(void) {
        World world;
        g_autofree char *told = NULL;
        pid_t keyring;
        int status;

        if (!world_new(&world))
                return;

        subscribe(world.alice);
        told = import_until(world.root, "gateway", GATEWAY, time(NULL) + 10 * DAY, 14);
        keyring = service_keyring_pid(world.service);
        kill_keyring(&world);
        wait_keyring(world.service, keyring, world.root, "gateway");
        g_assert_cmpuint(ear_count(world.alice_ear, "ExpiresSoon|"), ==, 1);
        g_assert_cmpuint(n_logged(&world, "'gateway' ends in 10 days"), ==, 1);

        /* of the service: once, in its new log; who subscribes then reads NotAfter */
        g_assert_cmpint(kill(service_pid(world.service), SIGKILL), ==, 0);
        g_assert_cmpint(waitpid(service_pid(world.service), &status, 0), >, 0);
        service_restart(world.service);
        subscribe(world.alice);
        g_assert_cmpuint(ear_count(world.alice_ear, "ExpiresSoon|"), ==, 1);
        g_assert_cmpuint(n_logged(&world, "'gateway' ends in 10 days"), ==, 1);
        world_free(&world);
}

static void configure(const World *world, const char *contents) {
        g_autofree char *path =
                g_build_filename(service_directory(world->service), "dtlsd.conf", NULL);

        g_assert_true(g_file_set_contents(path, contents, -1, NULL));
}

static void test_lead_times_are_read_again(void) {
        World world;
        g_autofree char *told = NULL, *refused = NULL;

        if (!world_new(&world))
                return;

        subscribe(world.alice);
        told = import_until(world.root, "gateway", GATEWAY, time(NULL) + 50 * DAY, 60);
        configure(&world, "[Identities]\nExpiryLeadDays=60\n[Limits]\nConnectionsTotal=many\n");
        refused = call_refused("Failed", world.root, ROOT, MANAGER, "Reload", "");
        g_assert_nonnull(strstr(refused, "ConnectionsTotal"));
        g_assert_cmpuint(ear_count(world.alice_ear, "ExpiresSoon|"), ==, 0);

        configure(&world, "[Identities]\nExpiryLeadDays=60;20\n");
        (void)sd_bus_message_unref(call(world.root, ROOT, MANAGER, "Reload", ""));
        (void)ear_wait(world.alice_ear, told);
        (void)sd_bus_message_unref(call(world.root, ROOT, MANAGER, "Reload", ""));
        g_assert_cmpuint(ear_count(world.alice_ear, told), ==, 1);
        g_assert_cmpuint(ear_count(world.alice_ear, "ExpiresSoon|"), ==, 1);
        world_free(&world);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/identity-signals/a-life-is-told", test_a_life_is_told);
        g_test_add_func("/identity-signals/a-renewal-is-told", test_a_renewal_is_told);
        g_test_add_func("/identity-signals/a-users-own-are-told-to-nobody-else",
                        test_a_users_own_are_told_to_nobody_else);
        g_test_add_func("/identity-signals/another-keyring-is-no-news",
                        test_another_keyring_is_no_news);
        g_test_add_func("/identity-signals/what-ends-soon-is-told-to-who-sees-it",
                        test_what_ends_soon_is_told_to_who_sees_it);
        g_test_add_func("/identity-signals/a-lead-time-that-comes-is-told",
                        test_a_lead_time_that_comes_is_told);
        g_test_add_func("/identity-signals/a-restart-of-the-keyring-tells-nothing-again",
                        test_a_restart_of_the_keyring_tells_nothing_again);
        g_test_add_func("/identity-signals/lead-times-are-read-again",
                        test_lead_times_are_read_again);
        return g_test_run();
}
