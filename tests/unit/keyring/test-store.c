/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * store: what is written is there, whole, after whatever happened. The last test kills the writer
 * before and after every single system call that it makes.
 */

#include "keyring/store.h"

#include "base/seal.h"
#include "killer.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define OLD "what was there"
#define NEW "what is there instead, and is longer"

typedef struct World {
        char *parent;
        char *path;
        Secret *seal;
} World;

static World world_new(bool sealed) {
        World world = {0};

        world.parent = g_dir_make_tmp("dtlsd-store.XXXXXX", NULL);
        world.path = g_build_filename(world.parent, "store", NULL);
        if (sealed)
                world.seal = secret_new("thirty-two bytes that seal it all", SEAL_KEY_SIZE);
        return world;
}

static void remove_folder(const char *path) {
        g_autoptr(GDir) folder = g_dir_open(path, 0, NULL);
        const char *name;

        while (folder && (name = g_dir_read_name(folder))) {
                g_autofree char *file = g_build_filename(path, name, NULL);

                (void)g_unlink(file);
        }
        (void)g_rmdir(path);
}

static void world_done(World *world) {
        remove_folder(world->path);
        (void)g_rmdir(world->parent);
        g_free(world->path);
        g_free(world->parent);
        secret_free(world->seal);
}

static Store *open_store(const World *world) {
        g_autofree char *text = NULL;
        Store *store = NULL;
        int r = store_open(world->path, world->seal, &store, &text);

        if (r)
                g_error("%d: %s", r, text ? text : "");
        return store;
}

static int put(Store *store, StoreKind kind, const char *name, const char *text) {
        g_autoptr(Secret) secret = secret_new(text, strlen(text));

        return store_put(store, kind, name, secret);
}

/* NULL: it is not there. */
static char *get(Store *store, StoreKind kind, const char *name) {
        g_autoptr(Secret) secret = NULL;
        int r = store_get(store, kind, name, &secret);

        if (r == STORE_E_UNKNOWN)
                return NULL;

        g_assert_cmpint(r, ==, 0);
        return g_strndup((const char *)secret_peek(secret), secret_size(secret));
}

static void assert_is(Store *store, const char *name, const char *expected) {
        g_autofree char *text = get(store, STORE_IDENTITY, name);

        g_assert_cmpstr(text, ==, expected);
}

/* ---- entries ---- */

static void keeps_what_was_put(gconstpointer sealed) {
        World world = world_new(sealed != NULL);
        Store *store = open_store(&world);
        g_autofree char *psk = NULL;

        assert_is(store, "gateway", NULL);
        g_assert_cmpint(put(store, STORE_IDENTITY, "gateway", OLD), ==, 0);
        g_assert_cmpint(put(store, STORE_PSK, "gateway", "another kind"), ==, 0);
        g_assert_cmpint(put(store, STORE_IDENTITY, "u/1000/gateway", "another's"), ==, 0);
        store_free(store);

        store = open_store(&world);
        assert_is(store, "gateway", OLD);
        assert_is(store, "u/1000/gateway", "another's");
        assert_is(store, "u/1001/gateway", NULL);
        psk = get(store, STORE_PSK, "gateway");
        g_assert_cmpstr(psk, ==, "another kind");

        g_assert_cmpint(put(store, STORE_IDENTITY, "gateway", NEW), ==, 0);
        assert_is(store, "gateway", NEW);
        g_assert_cmpint(store_remove(store, STORE_IDENTITY, "gateway"), ==, 0);
        g_assert_cmpint(store_remove(store, STORE_IDENTITY, "gateway"), ==, STORE_E_UNKNOWN);
        assert_is(store, "gateway", NULL);
        store_free(store);
        world_done(&world);
}

static void lists_in_order(void) {
        World world = world_new(false);
        g_autoptr(Store) store = open_store(&world);
        g_autoptr(GPtrArray) names = NULL;
        static const char *const expected[] = {"a", "b", "u/7/a"};

        g_assert_cmpint(put(store, STORE_IDENTITY, "b", OLD), ==, 0);
        g_assert_cmpint(put(store, STORE_IDENTITY, "u/7/a", OLD), ==, 0);
        g_assert_cmpint(put(store, STORE_PSK, "0", OLD), ==, 0);
        g_assert_cmpint(put(store, STORE_IDENTITY, "a", OLD), ==, 0);
        g_assert_cmpint(store_list(store, &names), ==, 0);
        g_assert_cmpuint(names->len, ==, 4);
        for (guint i = 0; i < 3; i++) {
                const StoreName *name = names->pdata[i];

                g_assert_cmpint(name->kind, ==, STORE_IDENTITY);
                g_assert_cmpstr(name->name, ==, expected[i]);
        }
        g_assert_cmpint(((const StoreName *)names->pdata[3])->kind, ==, STORE_PSK);
        world_done(&world);
}

static void refuses_what_is_too_long(void) {
        World world = world_new(false);
        g_autoptr(Store) store = open_store(&world);
        g_autoptr(Secret) largest = secret_new_zero(STORE_ENTRY_MAX);
        g_autoptr(Secret) larger = secret_new_zero(STORE_ENTRY_MAX + 1);
        g_autoptr(Secret) read = NULL;

        g_assert_cmpint(store_put(store, STORE_IDENTITY, "a", largest), ==, 0);
        g_assert_cmpint(store_put(store, STORE_IDENTITY, "a", larger), ==, STORE_E_TOO_LONG);
        g_assert_cmpint(store_get(store, STORE_IDENTITY, "a", &read), ==, 0);
        g_assert_cmpuint(secret_size(read), ==, STORE_ENTRY_MAX);
        world_done(&world);
}

/* ---- the disk ---- */

static void files_are_ours_alone(void) {
        World world = world_new(false);
        g_autoptr(Store) store = open_store(&world);
        g_autofree char *file = store_file(store, STORE_IDENTITY, "u/5/a");
        struct stat status;

        g_assert_cmpint(put(store, STORE_IDENTITY, "u/5/a", OLD), ==, 0);
        g_assert_cmpint(stat(world.path, &status), ==, 0);
        g_assert_cmpint(status.st_mode & 07777, ==, 0700);
        g_assert_cmpint(stat(file, &status), ==, 0);
        g_assert_cmpint(status.st_mode & 07777, ==, 0600);
        world_done(&world);
}

static void seals_so_that_nothing_can_be_read(void) {
        World world = world_new(true);
        g_autoptr(Store) store = open_store(&world);
        g_autofree char *file = store_file(store, STORE_IDENTITY, "a");
        g_autofree char *contents = NULL;
        gsize size;

        g_assert_cmpint(put(store, STORE_IDENTITY, "a", OLD), ==, 0);
        g_assert_true(g_file_get_contents(file, &contents, &size, NULL));
        g_assert_null(memmem(contents, size, OLD, 8));
        world_done(&world);
}

/* (Without CONSISTENT GLib leaves what was longer before behind it.) */
static void overwrite(const char *file, const char *contents, gsize size) {
        g_assert_true(g_file_set_contents_full(file, contents, (gssize)size,
                                               G_FILE_SET_CONTENTS_CONSISTENT, 0600, NULL));
}

/* Each byte, one after the other, and each length; the neighbour is not hurt. */
static void damage_is_seen_and_kept_to_one_entry(gconstpointer sealed) {
        World world = world_new(sealed != NULL);
        g_autoptr(Store) store = open_store(&world);
        g_autofree char *file = store_file(store, STORE_IDENTITY, "a");
        g_autofree char *contents = NULL;
        gsize size;

        g_assert_cmpint(put(store, STORE_IDENTITY, "a", OLD), ==, 0);
        g_assert_cmpint(put(store, STORE_IDENTITY, "b", NEW), ==, 0);
        g_assert_true(g_file_get_contents(file, &contents, &size, NULL));

        for (gsize i = 0; i < size; i++) {
                g_autoptr(Secret) read = NULL;

                contents[i] ^= 1;
                overwrite(file, contents, size);
                g_assert_cmpint(store_get(store, STORE_IDENTITY, "a", &read), ==, STORE_E_DAMAGED);
                contents[i] ^= 1;
        }
        for (gsize length = 0; length < size; length++) {
                g_autoptr(Secret) read = NULL;

                overwrite(file, contents, length);
                g_assert_cmpint(store_get(store, STORE_IDENTITY, "a", &read), ==, STORE_E_DAMAGED);
        }
        overwrite(file, contents, size);
        assert_is(store, "a", OLD);
        assert_is(store, "b", NEW);
        world_done(&world);
}

static void loose_and_foreign_files_are_damaged(void) {
        World world = world_new(false);
        g_autoptr(Store) store = open_store(&world);
        g_autofree char *file = store_file(store, STORE_IDENTITY, "a");
        g_autofree char *other = store_file(store, STORE_IDENTITY, "b");
        g_autoptr(Secret) read = NULL;

        g_assert_cmpint(put(store, STORE_IDENTITY, "a", OLD), ==, 0);
        g_assert_cmpint(chmod(file, 0640), ==, 0);
        g_assert_cmpint(store_get(store, STORE_IDENTITY, "a", &read), ==, STORE_E_DAMAGED);
        g_assert_cmpint(chmod(file, 0600), ==, 0);

        g_assert_cmpint(link(file, other), ==, 0); /* under another name */
        g_assert_cmpint(store_get(store, STORE_IDENTITY, "b", &read), ==, STORE_E_DAMAGED);
        g_assert_cmpint(unlink(other), ==, 0);
        g_assert_cmpint(symlink(file, other), ==, 0);
        g_assert_cmpint(store_get(store, STORE_IDENTITY, "b", &read), ==, STORE_E_DAMAGED);
        g_assert_cmpint(unlink(other), ==, 0);
        g_assert_cmpint(mkfifo(other, 0600), ==, 0); /* would wait for ever */
        g_assert_cmpint(store_get(store, STORE_IDENTITY, "b", &read), ==, STORE_E_DAMAGED);

        if (geteuid() == 0) {
                g_assert_cmpint(chown(file, 65534, 65534), ==, 0);
                g_assert_cmpint(store_get(store, STORE_IDENTITY, "a", &read), ==, STORE_E_DAMAGED);
        }
        world_done(&world);
}

static void another_seal_opens_nothing(void) {
        World world = world_new(true);
        Store *store = open_store(&world);
        g_autoptr(Secret) read = NULL;

        g_assert_cmpint(put(store, STORE_IDENTITY, "a", OLD), ==, 0);
        store_free(store);
        secret_data(world.seal)[0] ^= 1;
        store = open_store(&world);
        g_assert_cmpint(store_get(store, STORE_IDENTITY, "a", &read), ==, STORE_E_DAMAGED);
        store_free(store);

        world.seal = secret_free(world.seal);
        store = open_store(&world);
        g_assert_cmpint(store_get(store, STORE_IDENTITY, "a", &read), ==, STORE_E_DAMAGED);
        store_free(store);
        world_done(&world);
}

static void assert_folder_refused(const World *world, const char *expected) {
        g_autofree char *text = NULL;
        Store *store = NULL;

        g_assert_cmpint(store_open(world->path, NULL, &store, &text), ==, STORE_E_FOLDER);
        g_assert_true(g_str_has_prefix(text, world->path));
        g_assert_nonnull(strstr(text, expected));
}

/* Else one would sweep away what the other is about to rename. */
static void refuses_a_folder_that_another_uses(void) {
        World world = world_new(false);
        Store *store = open_store(&world);

        assert_folder_refused(&world, "another dtlsd-keyring uses it");
        g_assert_cmpint(put(store, STORE_PSK, "a", "one"), ==, 0);
        store_free(store);
        store_free(open_store(&world));
        world_done(&world);
}

static void refuses_a_folder_that_is_not_its_own(void) {
        World world = world_new(false);
        g_autofree char *version = g_build_filename(world.path, "version", NULL);

        store_free(open_store(&world));
        g_assert_cmpint(chmod(world.path, 0750), ==, 0);
        assert_folder_refused(&world, "mode 0700");
        g_assert_cmpint(chmod(world.path, 0700), ==, 0);
        overwrite(version, "2\n", 2);
        assert_folder_refused(&world, "version");
        overwrite(version, "1\n", 2);
        store_free(open_store(&world));
        world_done(&world);
}

/* ---- killed at every call ---- */

static void replace(const void *world) {
        g_autoptr(Store) store = open_store(world);

        killer_ready();
        if (put(store, STORE_IDENTITY, "a", NEW) != 0)
                _exit(1);
}

static void drop(const void *world) {
        g_autoptr(Store) store = open_store(world);

        killer_ready();
        if (store_remove(store, STORE_IDENTITY, "a") != 0)
                _exit(1);
}

static void kill_everywhere(KillerDeed deed, bool sealed, const char *after) {
        unsigned n_old = 0, n_new = 0, n = 1;
        World world = world_new(sealed);

        for (bool killed = true; killed; n++) {
                Store *store = open_store(&world);
                g_autofree char *text = NULL;
                g_autoptr(GPtrArray) names = NULL;

                g_assert_cmpint(put(store, STORE_IDENTITY, "a", OLD), ==, 0);
                g_assert_cmpint(put(store, STORE_IDENTITY, "b", OLD), ==, 0);
                store_free(store);

                killed = killer_kills(deed, &world, n);

                store = open_store(&world);
                text = get(store, STORE_IDENTITY, "a");
                if (g_strcmp0(text, OLD) == 0)
                        n_old++;
                else if (g_strcmp0(text, after) == 0)
                        n_new++;
                else
                        g_error("killed at stop %u: '%s'", n, text);
                assert_is(store, "b", OLD);
                store_free(store);

                store = open_store(&world); /* it has been swept */
                g_assert_cmpint(store_list(store, &names), ==, 0);
                g_assert_cmpuint(names->len, ==, text ? 2 : 1);
                store_free(store);
        }

        g_test_message("%u stops: the old %u times, the new %u times", n - 2, n_old, n_new);
        g_assert_cmpuint(n_old, >, 0);
        g_assert_cmpuint(n_new, >, 0);
        world_done(&world);
}

static void killed_anywhere_it_is_the_old_or_the_new(gconstpointer sealed) {
        kill_everywhere(replace, sealed != NULL, NEW);
        kill_everywhere(drop, sealed != NULL, NULL);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_data_func("/store/plain/keeps-what-was-put", NULL, keeps_what_was_put);
        g_test_add_data_func("/store/sealed/keeps-what-was-put", "", keeps_what_was_put);
        g_test_add_func("/store/lists-in-order", lists_in_order);
        g_test_add_func("/store/refuses-what-is-too-long", refuses_what_is_too_long);
        g_test_add_func("/store/files-are-ours-alone", files_are_ours_alone);
        g_test_add_func("/store/sealed/nothing-can-be-read", seals_so_that_nothing_can_be_read);
        g_test_add_data_func("/store/plain/damage-is-seen-and-kept-to-one-entry", NULL,
                             damage_is_seen_and_kept_to_one_entry);
        g_test_add_data_func("/store/sealed/damage-is-seen-and-kept-to-one-entry", "",
                             damage_is_seen_and_kept_to_one_entry);
        g_test_add_func("/store/loose-and-foreign-files-are-damaged",
                        loose_and_foreign_files_are_damaged);
        g_test_add_func("/store/sealed/another-seal-opens-nothing", another_seal_opens_nothing);
        g_test_add_func("/store/refuses-a-folder-that-is-not-its-own",
                        refuses_a_folder_that_is_not_its_own);
        g_test_add_func("/store/refuses-a-folder-that-another-uses",
                        refuses_a_folder_that_another_uses);
        g_test_add_data_func("/store/plain/killed-anywhere-it-is-the-old-or-the-new", NULL,
                             killed_anywhere_it_is_the_old_or_the_new);
        g_test_add_data_func("/store/sealed/killed-anywhere-it-is-the-old-or-the-new", "",
                             killed_anywhere_it_is_the_old_or_the_new);
        return g_test_run();
}
