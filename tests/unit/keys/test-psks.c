/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* psks, as dtlsd knows them, and the keyring's methods about them: both real, over a socket. */

#include "base/memfd.h"
#include "host.h"
#include "keyring/server.h"
#include "keys/keys.h"

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
        Host host;

        bool answered;
        int outcome;
        char *text;
        Secret *fetched;
} World;

static void on_nothing(void *userdata) {
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
        turn_until(world, NULL);
}

static void set_up(World *world, gconstpointer data) {
        g_autofree char *text = NULL;

        world->path = g_dir_make_tmp("dtlsd-psks.XXXXXX", NULL);
        g_assert_cmpint(sd_event_new(&world->event), >=, 0);
        g_assert_cmpint(store_open(world->path, NULL, &world->store, &text), ==, 0);
        g_assert_cmpint(keys_new(world->event, &world->keys), ==, 0);
        host_serve(&world->host, world->event, world->keys);
        connect_both(world);
}

static void tear_down(World *world, gconstpointer data) {
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
        secret_free(world->fetched);
}

static void on_done(int outcome, const char *text, void *userdata) {
        World *world = userdata;

        world->answered = true;
        world->outcome = outcome;
        g_free(world->text);
        world->text = g_strdup(text);
}

static void on_fetched(int outcome, const char *text, const Secret *psk, void *userdata) {
        World *world = userdata;

        on_done(outcome, text, userdata);
        world->fetched = secret_free(world->fetched);
        if (psk)
                world->fetched = secret_new(secret_peek(psk), secret_size(psk));
}

static int wait_answer(World *world, uint64_t ticket) {
        g_assert_cmpuint(ticket, !=, 0);
        world->answered = false;
        turn_until(world, &world->answered);
        return world->outcome;
}

static int store(World *world, uid_t uid, const char *name, const char *identity, const char *key) {
        g_autoptr(GBytes) bytes = g_bytes_new(identity, strlen(identity));
        uint64_t ticket;
        int fd;

        g_assert_cmpint(memfd_new(key, strlen(key), &fd), ==, 0);
        ticket = keys_store_psk(world->keys, uid, name, bytes, fd, on_done, world);
        (void)close(fd);
        return wait_answer(world, ticket);
}

static int remove_psk(World *world, uid_t uid, const char *name) {
        return wait_answer(world, keys_remove_psk(world->keys, uid, name, on_done, world));
}

static const KeysPsk *find(const World *world, const char *name) {
        return g_tree_lookup(keys_psks(world->keys), name);
}

static void assert_fetches(World *world, uid_t uid, Key *key, const char *expected) {
        g_assert_cmpint(
                wait_answer(world, keys_fetch_psk(world->keys, key, uid, on_fetched, world)), ==,
                0);
        g_assert_cmpmem(secret_peek(world->fetched), secret_size(world->fetched), expected,
                        strlen(expected));
}

static void what_is_stored_is_known_here(World *world, gconstpointer data) {
        g_autoptr(GBytes) identity = g_bytes_new("identity", 8);
        g_autoptr(Key) old = NULL;

        g_assert_cmpint(store(world, 0, "sensor", "identity", "first"), ==, 0);
        g_assert_true(g_bytes_equal(find(world, "sensor")->identity, identity));
        assert_fetches(world, ALICE, find(world, "sensor")->key, "first"); /* whoever it is for */
        g_assert_null(find(world, "other"));

        /* who has begun with the old one can end with it */
        old = key_ref(find(world, "sensor")->key);
        g_assert_cmpint(store(world, 0, "sensor", "identity", "second"), ==, 0);
        assert_fetches(world, 0, find(world, "sensor")->key, "second");
        assert_fetches(world, 0, old, "first");

        g_assert_cmpint(remove_psk(world, 0, "sensor"), ==, 0);
        g_assert_null(find(world, "sensor"));
        g_assert_cmpint(remove_psk(world, 0, "sensor"), ==, KEYS_E_UNKNOWN);
}

static void the_next_keyring_says_what_it_keeps(World *world, gconstpointer data) {
        g_autoptr(Key) old = NULL;

        g_assert_cmpint(store(world, 0, "b", "i", "first"), ==, 0);
        g_assert_cmpint(store(world, ALICE, "u/1000/a", "i", "second"), ==, 0);
        old = key_ref(find(world, "b")->key);
        server_free(world->server);
        connect_both(world);

        g_assert_false(key_is_alive(old));
        g_assert_cmpint(g_tree_nnodes(keys_psks(world->keys)), ==, 2);
        assert_fetches(world, ALICE, find(world, "b")->key, "first");
        assert_fetches(world, ALICE, find(world, "u/1000/a")->key, "second");
}

static void one_user_does_not_write_anothers(World *world, gconstpointer data) {
        g_assert_cmpint(store(world, ALICE, "u/1000/x", "i", "k"), ==, 0);
        g_assert_cmpint(store(world, BOB, "u/1000/x", "i", "k"), ==, KEYS_E_REFUSED);
        g_assert_cmpint(remove_psk(world, BOB, "u/1000/x"), ==, KEYS_E_REFUSED);
        g_assert_cmpint(store(world, ALICE, "u/10/x", "i", "k"), ==, KEYS_E_REFUSED);
        g_assert_cmpint(store(world, 0, "u/1000/x", "i", "of root"), ==, 0);
        assert_fetches(world, ALICE, find(world, "u/1000/x")->key, "of root");
}

static void what_cannot_be_is_refused_and_changes_nothing(World *world, gconstpointer data) {
        g_assert_cmpint(store(world, 0, "x", "i", "k"), ==, 0);
        g_assert_cmpint(store(world, 0, "../x", "i", "k"), ==, KEYS_E_BAD_SECRET);
        g_assert_nonnull(strstr(world->text, "a name is 1 to 64"));
        g_assert_cmpint(remove_psk(world, 0, "../x"), ==, KEYS_E_BAD_SECRET);
        g_assert_cmpint(store(world, 0, "x", "", "other"), ==, KEYS_E_BAD_SECRET);
        g_assert_nonnull(strstr(world->text, "1 to 255"));
        assert_fetches(world, 0, find(world, "x")->key, "k");
}

static void without_a_keyring_it_says_so(World *world, gconstpointer data) {
        g_assert_cmpint(store(world, 0, "x", "i", "k"), ==, 0);
        world->server = server_free(world->server);
        g_assert_cmpint(store(world, 0, "x", "i", "k"), ==, KEYS_E_GONE);
        g_assert_cmpint(remove_psk(world, 0, "x"), ==, KEYS_E_GONE);
        g_assert_cmpint(g_tree_nnodes(keys_psks(world->keys)), ==, 1);
        g_assert_false(key_is_alive(find(world, "x")->key));
}

#define ADD(path, function) g_test_add("/psks/" path, World, NULL, set_up, function, tear_down)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD("what-is-stored-is-known-here", what_is_stored_is_known_here);
        ADD("the-next-keyring-says-what-it-keeps", the_next_keyring_says_what_it_keeps);
        ADD("one-user-does-not-write-anothers", one_user_does_not_write_anothers);
        ADD("what-cannot-be-is-refused-and-changes-nothing",
            what_cannot_be_is_refused_and_changes_nothing);
        ADD("without-a-keyring-it-says-so", without_a_keyring_it_says_so);
        return g_test_run();
}
