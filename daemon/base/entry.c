/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Entry, see entry.h. */

#include "base/entry.h"

#include <stdint.h>
#include <string.h>

#define ENTRY_UID_DIGITS_MAX 10

#define ENTRY_LETTERS                                                                              \
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"                                     \
        "0123456789._-"

static bool entry_is_word(const char *text) {
        size_t length = strspn(text, ENTRY_LETTERS);

        return length > 0 && length <= ENTRY_WORD_MAX && text[length] == '\0' && text[0] != '.';
}

bool entry_name_is_valid(const char *name) {
        g_auto(GStrv) parts = g_strsplit(name, "/", 3);
        guint64 uid;

        if (g_strv_length(parts) == 1)
                return entry_is_word(parts[0]);

        /* one spelling of each number */
        return g_strv_length(parts) == 3 && g_str_equal(parts[0], "u") && entry_is_word(parts[2]) &&
               strlen(parts[1]) <= ENTRY_UID_DIGITS_MAX &&
               (parts[1][0] != '0' || parts[1][1] == '\0') &&
               g_ascii_string_to_unsigned(parts[1], 10, 0, UINT32_MAX - 1, &uid, NULL);
}

bool entry_pattern_can_be(const char *pattern) {
        size_t length = strspn(pattern, ENTRY_LETTERS "/*?");

        if (!strpbrk(pattern, "*?"))
                return entry_name_is_valid(pattern);

        return length <= ENTRY_PATTERN_MAX && pattern[length] == '\0';
}

uid_t entry_name_uid(const char *name) {
        return g_str_has_prefix(name, "u/") ? (uid_t)g_ascii_strtoull(name + 2, NULL, 10) : 0;
}

static int entry_compare(const void *a, const void *b) {
        return strcmp(a, b);
}

GPtrArray *entry_list(GHashTable *by_name) {
        GPtrArray *list = g_ptr_array_new();
        g_autoptr(GList) names = g_hash_table_get_keys(by_name);

        names = g_list_sort(names, entry_compare);
        for (GList *i = names; i; i = i->next)
                g_ptr_array_add(list, g_hash_table_lookup(by_name, i->data));

        return list;
}
