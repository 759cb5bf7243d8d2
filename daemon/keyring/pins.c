/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Pins, see pins.h. A table is a key file, on the disk and in memory: a group for each host with
 * its port, "[meter-7.example.org 5684]", and in it the keys' hashes in base64.
 */

#include "keyring/pins.h"

#include "base/entry.h"
#include "base/fault.h"
#include "base/host.h"
#include "keyring/entries.h"

#include <errno.h>
#include <string.h>

#define PINS_KEY "Keys"

typedef struct PinTable {
        char *name;
        GKeyFile *file;
        size_t n_places;
        bool damaged; /* what is on the disk cannot be read, and must not be lost */
} PinTable;

struct Pins {
        Store *store;
        GHashTable *tables; /* name in the table itself to PinTable, owned */
        size_t n_places;    /* in all */
};

static void table_free(void *data) {
        PinTable *table = data;

        g_free(table->name);
        g_key_file_unref(table->file);
        g_free(table);
}

static PinTable *table_new(const char *name) {
        PinTable *table = g_new0(PinTable, 1);

        table->name = g_strdup(name);
        table->file = g_key_file_new();
        return table;
}

/* ---- groups ---- */

static char *group_of(const PinPlace *place) {
        return g_strdup_printf("%s %u", place->host, place->port);
}

/* The reverse; *ret_host is to be freed. */
static bool group_read(const char *group, char **ret_host, uint16_t *ret_port) {
        g_auto(GStrv) words = g_strsplit(group, " ", 2);
        g_autofree char *host = g_strv_length(words) == 2 ? host_normal(words[0]) : NULL;
        guint64 port;

        if (!host || !g_str_equal(host, words[0]) ||
            !g_ascii_string_to_unsigned(words[1], 10, 1, UINT16_MAX, &port, NULL))
                return false;

        *ret_host = g_steal_pointer(&host);
        *ret_port = (uint16_t)port;
        return true;
}

static GBytes *pin_read(const char *text) {
        gsize size;
        guchar *data = g_base64_decode(text, &size);

        if (size == PIN_SIZE)
                return g_bytes_new_take(data, size);

        g_free(data);
        return NULL;
}

static GPtrArray *keys_new(void) {
        return g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
}

/* Of a place that has none: an empty array. NULL: something is wrong with them. */
static GPtrArray *keys_of(GKeyFile *file, const char *group) {
        g_auto(GStrv) texts = g_key_file_get_string_list(file, group, PINS_KEY, NULL, NULL);
        g_autoptr(GPtrArray) keys = keys_new();

        for (char **text = texts; text && *text; text++) {
                GBytes *pin = pin_read(*text);

                if (!pin)
                        return NULL;
                g_ptr_array_add(keys, pin);
        }

        return g_steal_pointer(&keys);
}

/* In the place of what was there; none: the group goes. */
static void table_set(PinTable *table, const char *group, const GPtrArray *keys) {
        g_autoptr(GPtrArray) texts = g_ptr_array_new_with_free_func(g_free);

        if (keys->len == 0) {
                (void)g_key_file_remove_group(table->file, group, NULL);
                return;
        }

        for (guint i = 0; i < keys->len; i++)
                g_ptr_array_add(texts,
                                g_base64_encode(g_bytes_get_data(keys->pdata[i], NULL), PIN_SIZE));
        g_key_file_set_string_list(table->file, group, PINS_KEY, (const char *const *)texts->pdata,
                                   texts->len);
}

/* ---- the disk ---- */

static bool table_is_sound(PinTable *table) {
        g_auto(GStrv) groups = g_key_file_get_groups(table->file, &table->n_places);

        for (char **group = groups; *group; group++) {
                g_autoptr(GPtrArray) keys = keys_of(table->file, *group);
                g_autofree char *host = NULL;
                uint16_t port;

                if (!group_read(*group, &host, &port) || !keys || keys->len == 0 ||
                    keys->len > PINS_PER_HOST_MAX)
                        return false;
        }

        return table->n_places <= PINS_PER_USER_MAX;
}

static bool table_read(PinTable *table, const Secret *text) {
        return text &&
               g_key_file_load_from_data(table->file, (const char *)secret_peek(text),
                                         secret_size(text), G_KEY_FILE_NONE, NULL) &&
               table_is_sound(table);
}

static int pins_load(void *userdata, const char *name, const Secret *contents,
                     const char **ret_why) {
        PinTable *table = table_new(name);
        Pins *pins = userdata;

        table->damaged = !table_read(table, contents);
        if (table->damaged) {
                *ret_why = "it is damaged, not of this user alone, or sealed with another key; "
                           "nothing can be pinned there";
                table->n_places = 0;
        }

        pins->n_places += table->n_places;
        (void)g_hash_table_replace(pins->tables, table->name, table);
        return table->damaged ? ENTRIES_E_BAD : 0;
}

int pins_new(Store *store, Pins **ret) {
        g_autoptr(Pins) pins = g_new0(Pins, 1);
        int r;

        pins->store = store;
        pins->tables = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, table_free);

        r = entries_load(store, STORE_PINS, pins_load, pins);
        if (r < 0)
                return fault(r);

        *ret = g_steal_pointer(&pins);
        return 0;
}

Pins *pins_free(Pins *pins) {
        if (!pins)
                return NULL;

        g_hash_table_unref(pins->tables);
        g_free(pins);
        return NULL;
}

static Secret *table_write(const PinTable *table) {
        gsize size;
        g_autofree char *text = g_key_file_to_data(table->file, &size, NULL);

        return secret_new(text, size);
}

static int table_save(const Pins *pins, const char *name, const Secret *text,
                      const char **ret_text) {
        int r;

        r = secret_size(text) > 0 ? store_put(pins->store, STORE_PINS, name, text)
                                  : store_remove(pins->store, STORE_PINS, name);
        if (r == STORE_E_TOO_LONG) {
                *ret_text = "there are more pins than 256 KiB; remove some";
                return PINS_E_FULL;
        }

        return r < 0 ? fault(r) : 0;
}

/* As on the disk when it returns 0, else as before. */
static int table_change(Pins *pins, PinTable *table, const char *group, GPtrArray *before,
                        GPtrArray *after, const char **ret_text) {
        g_autoptr(Secret) text = NULL;
        int r;

        table_set(table, group, after);
        text = table_write(table);
        table_set(table, group, before); /* what is not on the disk yet is not told */
        r = table_save(pins, table->name, text, ret_text);
        if (r)
                return r;

        table_set(table, group, after);
        table->n_places += (after->len > 0) - (before->len > 0);
        pins->n_places += (after->len > 0) - (before->len > 0);
        return 0;
}

/* ---- changing them ---- */

static bool name_is_of_table(const char *name) {
        g_autofree char *of_user = g_strdup_printf("u/%u/" PINS_WORD, entry_name_uid(name));

        return g_str_equal(name, PINS_WORD) || g_str_equal(name, of_user);
}

static int pins_check(const Pins *pins, const PinPlace *place, const char **ret_text) {
        g_autofree char *normal = host_normal(place->host);
        const PinTable *table = g_hash_table_lookup(pins->tables, place->table);

        if (!pins->store)
                return PINS_E_NO_STORE;
        if (!name_is_of_table(place->table) || g_strcmp0(normal, place->host) != 0 ||
            place->port == 0) {
                *ret_text = "this is no table, no host in small letters, or no port";
                return PINS_E_BAD;
        }
        if (table && table->damaged) {
                *ret_text = "the pins on the disk are damaged; the keyring's log names the file. "
                            "Unpin all to begin anew";
                return PINS_E_DAMAGED;
        }

        return 0;
}

static bool keys_have(GPtrArray *keys, GBytes *pin) {
        return g_ptr_array_find_with_equal_func(keys, pin, (GEqualFunc)g_bytes_equal, NULL);
}

static int pins_check_room(const Pins *pins, const PinTable *table, const GPtrArray *keys,
                           const char **ret_text) {
        if (keys->len >= PINS_PER_HOST_MAX)
                *ret_text = "a host has 8 pinned keys at most; remove one";
        else if (keys->len == 0 && table->n_places >= PINS_PER_USER_MAX)
                *ret_text = "a user has 2048 pinned hosts at most; remove some";
        else if (keys->len == 0 && pins->n_places >= PINS_MAX)
                *ret_text = "all users have 65536 pinned hosts at most; remove some";
        else
                return 0;

        return PINS_E_FULL;
}

static PinTable *pins_table(Pins *pins, const char *name) {
        PinTable *table = g_hash_table_lookup(pins->tables, name);

        if (table)
                return table;

        table = table_new(name);
        (void)g_hash_table_insert(pins->tables, table->name, table);
        return table;
}

/* A first key counts as such where it is known that there was none, of the administrator neither.
 */
static int pins_check_first(const Pins *pins, const char *group, GBytes *pin,
                            const char **ret_text) {
        const PinTable *table = g_hash_table_lookup(pins->tables, PINS_WORD);
        g_autoptr(GPtrArray) keys = NULL;

        if (!table)
                return 0;
        if (table->damaged) {
                *ret_text = "the administrator's pins on the disk are damaged, and so nobody knows "
                            "whether this is the first key; the keyring's log names the file";
                return PINS_E_DAMAGED;
        }

        keys = keys_of(table->file, group);
        return keys->len > 0 && !keys_have(keys, pin) ? PINS_E_TAKEN : 0;
}

int pins_add(Pins *pins, const PinPlace *place, GBytes *pin, bool first, GPtrArray **ret_keys,
             const char **ret_text) {
        g_autoptr(GPtrArray) before = NULL, after = NULL;
        g_autofree char *group = group_of(place);
        PinTable *table;
        int r;

        r = pins_check(pins, place, ret_text);
        if (r == 0 && first)
                r = pins_check_first(pins, group, pin, ret_text);
        if (r)
                return r;

        table = pins_table(pins, place->table);
        before = keys_of(table->file, group);
        if (!keys_have(before, pin)) {
                if (first && before->len > 0)
                        return PINS_E_TAKEN;

                r = pins_check_room(pins, table, before, ret_text);
                if (r)
                        return r;

                after = keys_of(table->file, group);
                g_ptr_array_add(after, g_bytes_ref(pin));
                r = table_change(pins, table, group, before, after, ret_text);
                if (r)
                        return r;
        }

        *ret_keys = g_ptr_array_ref(after ? after : before);
        return 0;
}

/* All of a table. */
static int pins_drop(Pins *pins, const char *name, const char **ret_text) {
        const PinTable *table = g_hash_table_lookup(pins->tables, name);
        int r;

        r = store_remove(pins->store, STORE_PINS, name);
        if (r < 0)
                return fault(r);

        pins->n_places -= table ? table->n_places : 0;
        (void)g_hash_table_remove(pins->tables, name);
        *ret_text = "nothing is pinned";
        return r == STORE_E_UNKNOWN ? PINS_E_UNKNOWN : 0;
}

static int pins_remove_key(Pins *pins, const PinPlace *place, GBytes *pin, GPtrArray **ret_keys,
                           const char **ret_text) {
        PinTable *table = g_hash_table_lookup(pins->tables, place->table);
        g_autofree char *group = group_of(place);
        g_autoptr(GPtrArray) before = table ? keys_of(table->file, group) : keys_new();
        g_autoptr(GPtrArray) after = keys_new();
        int r;

        for (guint i = 0; pin && i < before->len; i++)
                if (!g_bytes_equal(before->pdata[i], pin))
                        g_ptr_array_add(after, g_bytes_ref(before->pdata[i]));
        if (after->len == before->len) {
                *ret_text = "no such key is pinned there";
                return PINS_E_UNKNOWN;
        }

        r = table_change(pins, table, group, before, after, ret_text);
        if (r)
                return r;

        *ret_keys = g_steal_pointer(&after);
        return 0;
}

int pins_remove(Pins *pins, const PinPlace *place, GBytes *pin, GPtrArray **ret_keys,
                const char **ret_text) {
        bool all = !pin && *place->host == '\0' && name_is_of_table(place->table);
        int r;

        if (all && pins->store) {
                *ret_keys = keys_new();
                r = pins_drop(pins, place->table, ret_text);
                if (r)
                        g_clear_pointer(ret_keys, g_ptr_array_unref);
                return r;
        }

        r = pins_check(pins, place, ret_text);
        return r ? r : pins_remove_key(pins, place, pin, ret_keys, ret_text);
}

/* ---- looking ---- */

static int table_each(const PinTable *table, PinsEach each, void *userdata) {
        const PinPlace whole = {.table = table->name, .host = ""};
        g_auto(GStrv) groups = NULL;
        int r = 0;

        if (table->damaged) {
                g_autoptr(GPtrArray) none = keys_new();

                return each(&whole, none, userdata);
        }

        groups = g_key_file_get_groups(table->file, NULL);
        for (char **group = groups; r == 0 && *group; group++) {
                g_autoptr(GPtrArray) keys = keys_of(table->file, *group);
                PinPlace place = {.table = table->name};
                g_autofree char *host = NULL;

                if (group_read(*group, &host, &place.port)) {
                        place.host = host;
                        r = each(&place, keys, userdata);
                }
        }

        return r;
}

int pins_each(const Pins *pins, PinsEach each, void *userdata) {
        GHashTableIter iter;
        void *table;
        int r = 0;

        g_hash_table_iter_init(&iter, pins->tables);
        while (r == 0 && g_hash_table_iter_next(&iter, NULL, &table))
                r = table_each(table, each, userdata);

        return r;
}
