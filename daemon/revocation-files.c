/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Revocation files, see revocation-files.h.
 */

#include "revocation-files.h"
#include "base/log.h"

#include <errno.h>
#include <sys/stat.h>

static GBytes *file_read(const char *path) {
        g_autoptr(GError) error = NULL;
        struct stat status;
        char *contents;
        gsize size;

        if (stat(path, &status) < 0) {
                log_warning("%s: %s; nothing of it counts", path, g_strerror(errno));
                return NULL;
        }
        if (!S_ISREG(status.st_mode) || (size_t)status.st_size > REVOCATION_FILE_MAX) {
                log_warning("%s: not a file of at most %zu bytes; nothing of it counts", path,
                            REVOCATION_FILE_MAX);
                return NULL;
        }

        if (!g_file_get_contents(path, &contents, &size, &error)) {
                log_warning("%s; nothing of it counts", error->message);
                return NULL;
        }

        return g_bytes_new_take(contents, size);
}

static void deny_list_read(Revocations *revocations, const char *path) {
        g_autoptr(GBytes) text = file_read(path);
        size_t n_bad = 0, bad = 0;
        int r;

        if (!text)
                return;

        r = revocations_add_denied(revocations, text, &n_bad, &bad);
        if (r)
                log_warning("%s: more than %zu hashes; those behind do not count", path,
                            REVOCATIONS_DENIED_MAX);
        if (n_bad > 0)
                log_warning("%s: line %zu is no SHA-256 in hexadecimal (%zu such lines); the "
                            "other lines count",
                            path, bad, n_bad);
}

static void list_read(Revocations *revocations, const char *path) {
        g_autoptr(GBytes) blob = file_read(path);
        int r;

        if (!blob)
                return;

        r = revocations_add_lists(revocations, blob);
        if (r)
                log_warning("%s: %s; it does not count", path,
                            r < 0 ? g_strerror(-r)
                                  : revocations_outcome_text((RevocationsOutcome)r));
}

/* No hidden ones: such as editors and downloads leave for a moment. */
static void directory_read(Revocations *revocations, const char *path, GDir *directory) {
        size_t n_files = 0;
        const char *name;

        while ((name = g_dir_read_name(directory))) {
                g_autofree char *file = g_build_filename(path, name, NULL);

                if (*name == '.')
                        continue;
                if (n_files++ >= REVOCATIONS_LISTS_MAX) {
                        log_warning("%s: more than %d files; some do not count", path,
                                    REVOCATIONS_LISTS_MAX);
                        return;
                }

                list_read(revocations, file);
        }
}

static void lists_read(Revocations *revocations, const char *path) {
        GDir *directory = g_dir_open(path, 0, NULL);

        if (!directory) {
                list_read(revocations, path);
                return;
        }

        directory_read(revocations, path, directory);
        g_dir_close(directory);
}

Revocations *revocation_files_read(const Config *config) {
        Revocations *revocations = revocations_new();

        if (config->deny_list)
                deny_list_read(revocations, config->deny_list);
        for (char **path = config->revocation_lists; path && *path; path++)
                lists_read(revocations, *path);

        return revocations;
}
