/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ground.h"

#include "base/seal.h"

#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#define GROUND_MEMORY "/dev/shm"

void ground_open(Ground *ground) {
        g_autofree char *text = NULL;

        if (store_open(ground->path, ground->seal, &ground->store, &text) != 0)
                g_error("%s: %s", ground->path, text);
        ground->vault = vault_new();
}

void ground_close(Ground *ground) {
        ground->vault = vault_free(ground->vault);
        ground->store = store_free(ground->store);
}

/* In memory where that can be: many a test syncs a thousand times. */
static char *ground_make_folder(void) {
        char *path = g_strdup(GROUND_MEMORY "/dtlsd-store.XXXXXX");

        if (g_mkdtemp(path))
                return path;

        g_free(path);
        return g_dir_make_tmp("dtlsd-store.XXXXXX", NULL);
}

Ground ground_new(bool sealed) {
        Ground ground = {.path = ground_make_folder()};

        if (sealed)
                ground.seal = secret_new("thirty-two bytes that seal it all", SEAL_KEY_SIZE);
        ground_open(&ground);
        return ground;
}

static void ground_clear(const Ground *ground) {
        g_autoptr(GDir) folder = g_dir_open(ground->path, 0, NULL);
        const char *name;

        while ((name = g_dir_read_name(folder))) {
                g_autofree char *file = g_build_filename(ground->path, name, NULL);

                g_assert_cmpint(g_unlink(file), ==, 0);
        }
}

void ground_done(Ground *ground) {
        ground_clear(ground);
        g_assert_cmpint(g_rmdir(ground->path), ==, 0);
        g_free(ground->path);
        secret_free(ground->seal);
}

GHashTable *ground_save(const Ground *ground) {
        GHashTable *files = g_hash_table_new_full(g_str_hash, g_str_equal, g_free,
                                                  (GDestroyNotify)g_bytes_unref);
        g_autoptr(GDir) folder = g_dir_open(ground->path, 0, NULL);
        const char *name;

        while ((name = g_dir_read_name(folder))) {
                g_autofree char *file = g_build_filename(ground->path, name, NULL);
                char *contents;
                gsize size;

                g_assert_true(g_file_get_contents(file, &contents, &size, NULL));
                g_hash_table_insert(files, g_strdup(name), g_bytes_new_take(contents, size));
        }

        return files;
}

void ground_restore(const Ground *ground, GHashTable *files) {
        GHashTableIter iter;
        gpointer name, bytes;

        ground_clear(ground);
        g_hash_table_iter_init(&iter, files);
        while (g_hash_table_iter_next(&iter, &name, &bytes)) {
                g_autofree char *file = g_build_filename(ground->path, name, NULL);
                gsize size;
                const void *contents = g_bytes_get_data(bytes, &size);

                g_assert_true(g_file_set_contents_full(file, contents, (gssize)size,
                                                       G_FILE_SET_CONTENTS_NONE, 0600, NULL));
        }
}

void ground_write(const Ground *ground, StoreKind kind, const char *name, const char *contents) {
        g_autoptr(Secret) secret = secret_new(contents, strlen(contents));

        g_assert_cmpint(store_put(ground->store, kind, name, secret), ==, 0);
}

void ground_empty(const Ground *ground, StoreKind kind, const char *name) {
        g_autofree char *file = store_file(ground->store, kind, name);

        g_assert_cmpint(truncate(file, 0), ==, 0);
}
