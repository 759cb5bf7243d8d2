/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* identities, as dtlsd knows them, and the keyring's methods about them: both real, over a socket.
 */

#include "base/memfd.h"
#include "keyring/server.h"
#include "keys/keys.h"
#include "lib/certificates.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ALICE 1000
#define BOB 1001
#define LIMIT_USEC (30 * G_USEC_PER_SEC)

typedef struct World {
        char *path;
        sd_event *event;
        Store *store;
        Server *server;
        Keys *keys;
        TestIdentity *first, *second;
        GString *changes; /* names, each with a space behind it; "*": any */

        bool answered;
        int outcome;
        char *text;
} World;

static void on_nothing(void *userdata) {
}

static void on_changed(const char *name, void *userdata) {
        World *world = userdata;

        g_string_append_printf(world->changes, "%s ", name ? name : "*");
}

static void turn_until(World *world, const bool *done) {
        gint64 limit = g_get_monotonic_time() + LIMIT_USEC;

        while (done ? !*done : !keys_identities_known(world->keys)) {
                g_assert_cmpint(g_get_monotonic_time(), <, limit);
                g_assert_cmpint(sd_event_run(world->event, 100000), >=, 0);
        }
}

static void connect_both(World *world) {
        int pair[2];

        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), ==, 0);
        g_assert_cmpint(
                server_new(world->event, pair[1], world->store, on_nothing, NULL, &world->server),
                ==, 0);
        g_assert_cmpint(keys_connect(world->keys, pair[0], on_nothing, NULL), ==, 0);
        g_assert_false(keys_identities_known(world->keys));
        turn_until(world, NULL);
}

static World *world_new(void) {
        World *world = g_new0(World, 1);
        g_autofree char *text = NULL;

        world->path = g_dir_make_tmp("dtlsd-identities.XXXXXX", NULL);
        world->changes = g_string_new(NULL);
        world->first = test_identity_new("first", NULL, 0, TEST_KEY_ECDSA);
        world->second = test_identity_new("second", NULL, 0, TEST_KEY_ECDSA);
        g_assert_cmpint(sd_event_new(&world->event), >=, 0);
        g_assert_cmpint(store_open(world->path, NULL, &world->store, &text), ==, 0);
        g_assert_cmpint(keys_new(world->event, &world->keys), ==, 0);
        keys_observe_identities(world->keys, on_changed, world);
        connect_both(world);
        return world;
}

static void world_free(World *world) {
        g_autoptr(GDir) folder = g_dir_open(world->path, 0, NULL);
        const char *name;

        keys_free(world->keys);
        server_free(world->server);
        store_free(world->store);
        sd_event_unref(world->event);
        while ((name = g_dir_read_name(folder))) {
                g_autofree char *file = g_build_filename(world->path, name, NULL);

                (void)g_unlink(file);
        }
        (void)g_rmdir(world->path);
        g_free(world->path);
        g_free(world->text);
        (void)g_string_free(world->changes, TRUE);
        test_identity_free(world->first);
        test_identity_free(world->second);
        g_free(world);
}

static void on_done(int outcome, const char *text, void *userdata) {
        World *world = userdata;

        world->answered = true;
        world->outcome = outcome;
        g_free(world->text);
        world->text = g_strdup(text);
}

static int store(World *world, uid_t uid, const char *name, const TestIdentity *identity) {
        GBytes *key = test_identity_key_pem(identity);
        g_autoptr(GPtrArray) chain = test_blobs(test_identity_pem(identity), NULL);
        int fd;

        world->answered = false;
        g_assert_cmpint(memfd_new(g_bytes_get_data(key, NULL), g_bytes_get_size(key), &fd), ==, 0);
        (void)keys_store_identity(world->keys, uid, name, chain, fd, -1, on_done, world);
        (void)close(fd);
        turn_until(world, &world->answered);
        return world->outcome;
}

static int remove_identity(World *world, uid_t uid, const char *name) {
        world->answered = false;
        (void)keys_remove_identity(world->keys, uid, name, on_done, world);
        turn_until(world, &world->answered);
        return world->outcome;
}

static void what_is_stored_is_known_here(void) {
        World *world = world_new();
        const KeysIdentity *identity;

        g_assert_cmpint(store(world, 0, "gateway", world->first), ==, 0);
        identity = keys_identity(world->keys, "gateway");
        g_assert_nonnull(identity);
        g_assert_cmpuint(identity->chain->len, ==, 1);
        g_assert_true(g_bytes_equal(identity->chain->pdata[0], test_identity_der(world->first)));
        g_assert_true(key_is_alive(identity->key));
        g_assert_null(keys_identity(world->keys, "other"));

        g_assert_cmpint(store(world, 0, "gateway", world->second), ==, 0);
        identity = keys_identity(world->keys, "gateway");
        g_assert_true(g_bytes_equal(identity->chain->pdata[0], test_identity_der(world->second)));

        g_assert_cmpint(remove_identity(world, 0, "gateway"), ==, 0);
        g_assert_null(keys_identity(world->keys, "gateway"));
        g_assert_cmpint(remove_identity(world, 0, "gateway"), ==, KEYS_E_UNKNOWN);
        g_assert_cmpstr(world->changes->str, ==, "* gateway gateway gateway ");
        world_free(world);
}

static void the_next_keyring_says_what_it_keeps(void) {
        World *world = world_new();
        g_autoptr(GPtrArray) list = NULL;
        g_autoptr(Key) old = NULL;

        g_assert_cmpint(store(world, 0, "b", world->first), ==, 0);
        g_assert_cmpint(store(world, ALICE, "u/1000/a", world->second), ==, 0);
        old = key_ref(keys_identity(world->keys, "b")->key);
        server_free(world->server);
        connect_both(world);

        g_assert_false(key_is_alive(old));
        list = keys_identities(world->keys);
        g_assert_cmpuint(list->len, ==, 2);
        g_assert_cmpstr(((const KeysIdentity *)list->pdata[0])->name, ==, "b");
        g_assert_cmpstr(((const KeysIdentity *)list->pdata[1])->name, ==, "u/1000/a");
        g_assert_true(key_is_alive(keys_identity(world->keys, "b")->key));
        world_free(world);
}

static void one_user_does_not_write_anothers(void) {
        World *world = world_new();

        g_assert_cmpint(store(world, ALICE, "u/1000/x", world->first), ==, 0);
        g_assert_cmpint(store(world, BOB, "u/1000/x", world->second), ==, KEYS_E_REFUSED);
        g_assert_cmpint(remove_identity(world, BOB, "u/1000/x"), ==, KEYS_E_REFUSED);
        g_assert_cmpint(store(world, ALICE, "u/10/x", world->first), ==, KEYS_E_REFUSED);
        g_assert_cmpint(store(world, 0, "u/1000/x", world->second), ==, 0); /* root may */
        world_free(world);
}

static void a_name_that_is_none_is_refused(void) {
        World *world = world_new();

        g_assert_cmpint(store(world, 0, "../x", world->first), ==, KEYS_E_BAD_SECRET);
        g_assert_nonnull(strstr(world->text, "a name is 1 to 64"));
        g_assert_cmpint(remove_identity(world, 0, "../x"), ==, KEYS_E_BAD_SECRET);
        world_free(world);
}

static void without_a_keyring_it_says_so(void) {
        World *world = world_new();
        g_autoptr(GPtrArray) list = NULL;

        g_assert_cmpint(store(world, 0, "x", world->first), ==, 0);
        world->server = server_free(world->server);
        g_assert_cmpint(store(world, 0, "x", world->second), ==, KEYS_E_GONE);
        list = keys_identities(world->keys);
        g_assert_cmpuint(list->len, ==, 0);
        world_free(world);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/identities/what-is-stored-is-known-here", what_is_stored_is_known_here);
        g_test_add_func("/identities/the-next-keyring-says-what-it-keeps",
                        the_next_keyring_says_what_it_keeps);
        g_test_add_func("/identities/one-user-does-not-write-anothers",
                        one_user_does_not_write_anothers);
        g_test_add_func("/identities/a-name-that-is-none-is-refused",
                        a_name_that_is_none_is_refused);
        g_test_add_func("/identities/without-a-keyring-it-says-so", without_a_keyring_it_says_so);
        return g_test_run();
}
