/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Config, see config.h. The file is a key file:
 *
 *      [Limits]
 *      ConnectionsPerUser=100
 *      ConnectionsTotal=4000
 *
 *      [Trust]
 *      DenyList=/etc/dtlsd/denied
 *      RevocationLists=/etc/dtlsd/crls;/var/lib/our-ca/ca.crl
 *
 *      [Identities]
 *      ExpiryLeadDays=30;14;7;1
 *
 *      [Records]
 *      DirectAfter=32
 *
 * Every kind of quota has these two keys, save that a rate has no total. The files of [Trust] are
 * read elsewhere.
 */

#include "config.h"

#include "file.h"

#include <string.h>

#define CONFIG_GROUP_LIMITS "Limits"
#define CONFIG_GROUP_TRUST "Trust"
#define CONFIG_GROUP_IDENTITIES "Identities"
#define CONFIG_GROUP_RECORDS "Records"
#define CONFIG_FILE_MAX ((size_t)1024 * 1024) /* of dtlsd.conf, and of rules */
#define CONFIG_PATHS_MAX ((size_t)64)         /* a directory has more */

typedef int (*ConfigReadKey)(GKeyFile *file, const char *key, Config *config, char **ret_text);

static int config_no_such_key(const char *group, const char *key, char **ret_text) {
        *ret_text = g_strdup_printf("[%s] %s: there is no such key", group, key);
        return CONFIG_E_BROKEN;
}

static uint64_t *config_find_limit(Config *config, const char *key) {
        for (QuotaKind kind = 0; kind < N_QUOTA_KINDS; kind++) {
                const char *name = quota_kind_name(kind);
                const char *rest = key + strlen(name);

                if (!g_str_has_prefix(key, name))
                        continue;
                if (g_str_equal(rest, "PerUser"))
                        return &config->limits.per_uid[kind];
                if (g_str_equal(rest, "Total") && !quota_kind_is_rate(kind))
                        return &config->limits.total[kind];
        }

        return NULL;
}

static int config_read_limit(GKeyFile *file, const char *key, Config *config, char **ret_text) {
        g_autofree char *value = g_key_file_get_value(file, CONFIG_GROUP_LIMITS, key, NULL);
        uint64_t *limit = config_find_limit(config, key);
        guint64 number;

        if (!limit)
                return config_no_such_key(CONFIG_GROUP_LIMITS, key, ret_text);

        if (!value || !g_ascii_string_to_unsigned(value, 10, 0, G_MAXINT64, &number, NULL)) {
                *ret_text = g_strdup_printf("[%s] %s: '%s' is not a number from 0 on",
                                            CONFIG_GROUP_LIMITS, key, value ? value : "");
                return CONFIG_E_BROKEN;
        }

        *limit = number;
        return 0;
}

static int config_read_paths(GKeyFile *file, const char *key, size_t n_max, char ***ret,
                             char **ret_text) {
        g_auto(GStrv) paths = g_key_file_get_string_list(file, CONFIG_GROUP_TRUST, key, NULL, NULL);
        size_t n = paths ? g_strv_length(paths) : 0;

        for (size_t i = 0; i < n; i++)
                if (!g_path_is_absolute(paths[i])) {
                        *ret_text = g_strdup_printf("[%s] %s: '%s' is no path from / on",
                                                    CONFIG_GROUP_TRUST, key, paths[i]);
                        return CONFIG_E_BROKEN;
                }

        if (n == 0 || n > n_max) {
                *ret_text = g_strdup_printf("[%s] %s: 1 to %zu paths are needed",
                                            CONFIG_GROUP_TRUST, key, n_max);
                return CONFIG_E_BROKEN;
        }

        *ret = g_steal_pointer(&paths);
        return 0;
}

static int config_read_trust(GKeyFile *file, const char *key, Config *config, char **ret_text) {
        g_auto(GStrv) paths = NULL;
        int r;

        if (!g_str_equal(key, "DenyList") && !g_str_equal(key, "RevocationLists"))
                return config_no_such_key(CONFIG_GROUP_TRUST, key, ret_text);

        if (g_str_equal(key, "RevocationLists")) {
                g_clear_pointer(&config->revocation_lists, g_strfreev);
                return config_read_paths(file, key, CONFIG_PATHS_MAX, &config->revocation_lists,
                                         ret_text);
        }

        r = config_read_paths(file, key, 1, &paths, ret_text);
        if (r)
                return r;

        g_free(config->deny_list);
        config->deny_list = g_strdup(paths[0]);
        return 0;
}

static bool config_read_days(char **words, LeadTimes *ret) {
        size_t n = words ? g_strv_length(words) : 0;

        if (n == 0 || n > LEAD_TIMES_MAX)
                return false;

        for (size_t i = 0; i < n; i++) {
                guint64 days;

                if (!g_ascii_string_to_unsigned(g_strstrip(words[i]), 10, 0, LEAD_DAYS_MAX, &days,
                                                NULL))
                        return false;
                ret->days[i] = (uint32_t)days;
        }

        ret->n = n;
        return true;
}

static int config_read_identities(GKeyFile *file, const char *key, Config *config,
                                  char **ret_text) {
        g_auto(GStrv) words =
                g_key_file_get_string_list(file, CONFIG_GROUP_IDENTITIES, key, NULL, NULL);
        LeadTimes times = {.n = 0};

        if (!g_str_equal(key, "ExpiryLeadDays"))
                return config_no_such_key(CONFIG_GROUP_IDENTITIES, key, ret_text);

        if (!config_read_days(words, &times)) {
                *ret_text = g_strdup_printf("[%s] %s: 1 to %d numbers of days are needed, each "
                                            "from 0 to %d, with ';' between them",
                                            CONFIG_GROUP_IDENTITIES, key, LEAD_TIMES_MAX,
                                            LEAD_DAYS_MAX);
                return CONFIG_E_BROKEN;
        }

        config->lead_times = times;
        return 0;
}

static int config_read_records(GKeyFile *file, const char *key, Config *config, char **ret_text) {
        g_autofree char *value = g_key_file_get_value(file, CONFIG_GROUP_RECORDS, key, NULL);
        guint64 number;

        if (!g_str_equal(key, "DirectAfter"))
                return config_no_such_key(CONFIG_GROUP_RECORDS, key, ret_text);

        if (!value || !g_ascii_string_to_unsigned(value, 10, 0, G_MAXUINT32, &number, NULL)) {
                *ret_text = g_strdup_printf("[%s] %s: '%s' is not a number from 0 on",
                                            CONFIG_GROUP_RECORDS, key, value ? value : "");
                return CONFIG_E_BROKEN;
        }

        config->direct_after = (uint32_t)number;
        return 0;
}

static int config_read_group(GKeyFile *file, const char *group, ConfigReadKey read_key,
                             Config *config, char **ret_text) {
        g_auto(GStrv) keys = g_key_file_get_keys(file, group, NULL, NULL);

        for (char **key = keys; *key; key++) {
                int r;

                if (g_strv_contains((const char *const *)key + 1, *key)) {
                        *ret_text = g_strdup_printf("[%s] %s: it is there twice", group, *key);
                        return CONFIG_E_BROKEN;
                }

                r = read_key(file, *key, config, ret_text);
                if (r)
                        return r;
        }

        return 0;
}

static int config_read_groups(GKeyFile *file, Config *config, char **ret_text) {
        g_auto(GStrv) groups = g_key_file_get_groups(file, NULL);

        for (char **group = groups; *group; group++) {
                ConfigReadKey read_key = NULL;
                int r;

                if (g_str_equal(*group, CONFIG_GROUP_LIMITS))
                        read_key = config_read_limit;
                else if (g_str_equal(*group, CONFIG_GROUP_TRUST))
                        read_key = config_read_trust;
                else if (g_str_equal(*group, CONFIG_GROUP_IDENTITIES))
                        read_key = config_read_identities;
                else if (g_str_equal(*group, CONFIG_GROUP_RECORDS))
                        read_key = config_read_records;
                if (!read_key) {
                        *ret_text = g_strdup_printf("[%s]: there is no such group", *group);
                        return CONFIG_E_BROKEN;
                }

                r = config_read_group(file, *group, read_key, config, ret_text);
                if (r)
                        return r;
        }

        return 0;
}

/* 0: read, into @ret_text on failure; no file is as good as an empty one unless it must be there.
 */
static int config_load(const char *path, bool must_exist, char **ret_contents, char **ret_text) {
        g_autofree char *contents = NULL, *text = NULL;
        size_t size = 0;
        int r;

        r = file_read(path, CONFIG_FILE_MAX, &contents, &size, &text);
        if (r == FILE_E_UNKNOWN && !must_exist) {
                *ret_contents = g_strdup("");
                return 0;
        }
        if (r) {
                *ret_text = g_steal_pointer(&text);
                return CONFIG_E_BROKEN;
        }

        /* what is behind a NUL would not be read, and what is no text cannot be told of */
        if (!g_utf8_validate_len(contents, size, NULL)) {
                *ret_text = g_strdup_printf("%s: not a text in UTF-8, or with a NUL in it", path);
                return CONFIG_E_BROKEN;
        }

        *ret_contents = g_steal_pointer(&contents);
        return 0;
}

int config_read(const char *path, bool must_exist, Config *config, char **ret_text) {
        g_autoptr(GKeyFile) file = g_key_file_new();
        g_autoptr(GError) error = NULL;
        g_autofree char *contents = NULL;
        g_autofree char *text = NULL;
        Config read = {
                .limits = config->limits,
                .lead_times = config->lead_times,
                .direct_after = config->direct_after,
        };
        int r;

        r = config_load(path, must_exist, &contents, ret_text);
        if (r)
                return r;

        /* a key with a language, passed over otherwise, is a key that does not exist */
        if (!g_key_file_load_from_data(file, contents, strlen(contents),
                                       G_KEY_FILE_KEEP_TRANSLATIONS, &error))
                text = g_strdup(error->message);
        else
                (void)config_read_groups(file, &read, &text);
        if (text) {
                config_done(&read);
                *ret_text = g_strdup_printf("%s: %s", path, text);
                return CONFIG_E_BROKEN;
        }

        config_done(config);
        *config = read;
        return 0;
}

void config_done(Config *config) {
        g_clear_pointer(&config->deny_list, g_free);
        g_clear_pointer(&config->revocation_lists, g_strfreev);
}

/* ---- the rules ---- */

static int by_name(const void *a, const void *b) {
        return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The names of its rule files, in order. */
static int policy_list(const char *path, GPtrArray **ret, char **ret_text) {
        g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
        g_autoptr(GError) error = NULL;
        g_autoptr(GDir) folder = g_dir_open(path, 0, &error);
        const char *name;

        if (!folder && !g_error_matches(error, G_FILE_ERROR, G_FILE_ERROR_NOENT)) {
                *ret_text = g_strdup(error->message);
                return CONFIG_E_BROKEN;
        }

        while (folder && (name = g_dir_read_name(folder))) {
                if (g_str_has_suffix(name, ".conf") && name[0] != '.')
                        g_ptr_array_add(names, g_build_filename(path, name, NULL));
        }

        g_ptr_array_sort(names, by_name);
        *ret = g_steal_pointer(&names);
        return 0;
}

int policy_read(const char *path, Access *access, char **ret_text) {
        g_autoptr(GPtrArray) files = NULL;
        int r;

        r = policy_list(path, &files, ret_text);
        if (r)
                return r;

        for (guint i = 0; i < files->len; i++) {
                g_autofree char *contents = NULL;

                if (config_load(files->pdata[i], /* must_exist= */ true, &contents, ret_text) ||
                    access_read(access, files->pdata[i], contents, ret_text))
                        return CONFIG_E_BROKEN;
        }

        return 0;
}
