/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Revocation files, see revocation-files.h.
 */

#include "revocation-files.h"

#include "file.h"

#include <stdarg.h>

G_GNUC_PRINTF(2, 3)
static int files_refuse(char **ret_text, const char *format, ...) {
        va_list arguments;

        va_start(arguments, format);
        *ret_text = g_strdup_vprintf(format, arguments);
        va_end(arguments);
        return REVOCATION_FILES_E_BROKEN;
}

static int revocation_file_read(const char *path, GBytes **ret, char **ret_text) {
        char *contents;
        size_t size;

        if (file_read(path, REVOCATION_FILE_MAX, &contents, &size, ret_text))
                return REVOCATION_FILES_E_BROKEN;

        *ret = g_bytes_new_take(contents, size);
        return 0;
}

static int deny_list_read(Revocations *revocations, const char *path, char **ret_text) {
        g_autoptr(GBytes) text = NULL;
        size_t n_bad = 0, bad = 0;
        int r;

        r = revocation_file_read(path, &text, ret_text);
        if (r)
                return r;

        r = revocations_add_denied(revocations, text, &n_bad, &bad);
        if (r)
                return files_refuse(ret_text, "%s: more than %zu hashes", path,
                                    REVOCATIONS_DENIED_MAX);
        if (n_bad > 0)
                return files_refuse(ret_text,
                                    "%s: line %zu is no SHA-256 in hexadecimal (%zu such lines)",
                                    path, bad, n_bad);

        return 0;
}

static int list_read(Revocations *revocations, const char *path, char **ret_text) {
        g_autoptr(GBytes) blob = NULL;
        int r;

        r = revocation_file_read(path, &blob, ret_text);
        if (r)
                return r;

        r = revocations_add_lists(revocations, blob);
        if (r)
                return files_refuse(ret_text, "%s: %s", path,
                                    r < 0 ? g_strerror(-r)
                                          : revocations_outcome_text((RevocationsOutcome)r));

        return 0;
}

/* No hidden ones: such as editors and downloads leave for a moment. */
static int directory_read(Revocations *revocations, const char *path, GDir *directory,
                          char **ret_text) {
        size_t n_files = 0;
        const char *name;

        while ((name = g_dir_read_name(directory))) {
                g_autofree char *file = g_build_filename(path, name, NULL);
                int r;

                if (*name == '.')
                        continue;
                if (n_files++ >= REVOCATIONS_LISTS_MAX)
                        return files_refuse(ret_text, "%s: more than %d files", path,
                                            REVOCATIONS_LISTS_MAX);

                r = list_read(revocations, file, ret_text);
                if (r)
                        return r;
        }

        return 0;
}

static int lists_read(Revocations *revocations, const char *path, char **ret_text) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GDir) directory = g_dir_open(path, 0, &error);

        if (directory)
                return directory_read(revocations, path, directory, ret_text);
        if (g_error_matches(error, G_FILE_ERROR, G_FILE_ERROR_NOTDIR))
                return list_read(revocations, path, ret_text);

        return files_refuse(ret_text, "%s", error->message);
}

int revocation_files_read(const Config *config, Revocations **ret, char **ret_text) {
        g_autoptr(Revocations) revocations = revocations_new();
        int r = 0;

        if (config->deny_list)
                r = deny_list_read(revocations, config->deny_list, ret_text);
        for (char **path = config->revocation_lists; r == 0 && path && *path; path++)
                r = lists_read(revocations, *path, ret_text);
        if (r)
                return r;

        *ret = g_steal_pointer(&revocations);
        return 0;
}
