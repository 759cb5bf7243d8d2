/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* pins, as dtlsd knows them, and the keyring's methods about them: both real, over a socket. */

#include "couple.h"

#include <string.h>

#define HOST "meter-7"
#define PORT 5684

static GBytes *key_of(char letter) {
        uint8_t bytes[32];

        memset(bytes, letter, sizeof(bytes));
        return g_bytes_new(bytes, sizeof(bytes));
}

static int pin(Couple *couple, uid_t uid, bool of_all, char letter, bool first) {
        g_autoptr(GBytes) key = key_of(letter);
        const KeysPin place = {uid, of_all, HOST, PORT, key};

        (void)keys_pin(couple->keys, &place, first, couple_done, couple);
        return couple_wait(couple);
}

static int unpin(Couple *couple, uid_t uid, bool of_all, const char *host, uint16_t port,
                 char letter) {
        g_autoptr(GBytes) key = letter ? key_of(letter) : NULL;
        const KeysPin place = {uid, of_all, host, port, key};

        (void)keys_unpin(couple->keys, &place, couple_done, couple);
        return couple_wait(couple);
}

/* A letter for each key that counts, or NULL. */
static char *pins_of(const Couple *couple, uid_t uid, const char *host) {
        g_autoptr(GPtrArray) pins = keys_pins(couple->keys, uid, host, PORT);
        GString *letters = pins ? g_string_new(NULL) : NULL;

        for (guint i = 0; pins && i < pins->len; i++)
                g_string_append_c(letters, *(const char *)g_bytes_get_data(pins->pdata[i], NULL));
        return letters ? g_string_free(letters, FALSE) : NULL;
}

static void assert_pins(const Couple *couple, uid_t uid, const char *expected) {
        g_autofree char *letters = pins_of(couple, uid, HOST);

        g_assert_cmpstr(letters, ==, expected);
}

static void ones_own_and_the_administrators_count(void) {
        Couple *couple = couple_new();

        assert_pins(couple, ALICE, NULL);
        g_assert_cmpint(pin(couple, ALICE, false, 'a', false), ==, 0);
        g_assert_cmpint(pin(couple, ALICE, false, 'b', false), ==, 0);
        assert_pins(couple, ALICE, "ab");
        assert_pins(couple, BOB, NULL);
        g_assert_null(pins_of(couple, ALICE, "meter-8"));
        g_assert_cmpint(pin(couple, 0, true, 'c', false), ==, 0);
        assert_pins(couple, ALICE, "abc");
        assert_pins(couple, BOB, "c");

        g_assert_cmpint(unpin(couple, ALICE, false, HOST, PORT, 'a'), ==, 0);
        assert_pins(couple, ALICE, "bc");
        g_assert_cmpint(unpin(couple, ALICE, false, HOST, PORT, 'c'), ==, KEYS_E_UNKNOWN);
        g_assert_cmpint(unpin(couple, ALICE, false, "", 0, 0), ==, 0);
        assert_pins(couple, ALICE, "c");
        g_assert_cmpint(unpin(couple, 0, true, HOST, PORT, 0), ==, 0);
        assert_pins(couple, ALICE, NULL);
        couple_free(couple);
}

static void all_of_a_table_is_nobody_elses(void) {
        Couple *couple = couple_new();

        g_assert_cmpint(pin(couple, 1, false, 'a', false), ==, 0);
        g_assert_cmpint(pin(couple, 10, false, 'b', false), ==, 0);
        g_assert_cmpint(unpin(couple, 1, false, "", 0, 0), ==, 0);
        assert_pins(couple, 1, NULL);
        assert_pins(couple, 10, "b");
        couple_free(couple);
}

static void the_first_one_is_the_first(void) {
        Couple *couple = couple_new();

        g_assert_cmpint(pin(couple, ALICE, false, 'a', true), ==, 0);
        g_assert_cmpint(pin(couple, ALICE, false, 'b', true), ==, KEYS_E_REFUSED);
        g_assert_nonnull(strstr(couple->text, "another key is pinned"));
        assert_pins(couple, ALICE, "a");
        couple_free(couple);
}

static void before_they_are_known_no_key_is_right(void) {
        Couple *couple = couple_new();
        Keys *unconnected;
        g_autoptr(GPtrArray) pins = NULL;

        g_assert_cmpint(keys_new(couple->event, &unconnected), ==, 0);
        pins = keys_pins(unconnected, ALICE, HOST, PORT);
        g_assert_nonnull(pins);
        g_assert_cmpuint(pins->len, ==, 0);
        keys_free(unconnected);
        couple_free(couple);
}

static void damage(Couple *couple, const char *file) {
        g_autofree char *path = g_build_filename(couple->path, file, NULL);

        couple->server = server_free(couple->server);
        g_assert_true(g_file_set_contents(path, "nonsense", -1, NULL));
        couple_connect(couple);
}

/* Nobody is let in because a file broke. */
static void of_a_damaged_table_no_key_is_right(void) {
        Couple *couple = couple_new();

        g_assert_cmpint(pin(couple, ALICE, false, 'a', false), ==, 0);
        g_assert_cmpint(pin(couple, BOB, false, 'b', false), ==, 0);
        damage(couple, "pins:u,1000,pins");
        assert_pins(couple, ALICE, "");
        assert_pins(couple, BOB, "b");
        g_assert_cmpint(unpin(couple, ALICE, false, "", 0, 0), ==, 0);
        assert_pins(couple, ALICE, NULL);

        g_assert_cmpint(pin(couple, 0, true, 'c', false), ==, 0);
        damage(couple, "pins:pins");
        assert_pins(couple, ALICE, "");
        assert_pins(couple, BOB, "");
        g_assert_cmpint(unpin(couple, 0, true, "", 0, 0), ==, 0);
        assert_pins(couple, BOB, "b");
        couple_free(couple);
}

static void outlive_the_keyring_and_are_as_the_next_says(void) {
        Couple *couple = couple_new();

        g_assert_cmpint(pin(couple, ALICE, false, 'a', false), ==, 0);
        g_assert_cmpint(pin(couple, 0, true, 'b', false), ==, 0);
        couple->server = server_free(couple->server);
        g_assert_cmpint(pin(couple, ALICE, false, 'c', true), ==, KEYS_E_GONE);
        assert_pins(couple, ALICE, "ab");

        g_assert_cmpint(store_remove(couple->store, STORE_PINS, "pins"), ==, 0);
        couple_connect(couple);
        assert_pins(couple, ALICE, "a");
        couple_free(couple);
}

static void note(const KeysPin *place, const GPtrArray *pins, void *userdata) {
        g_string_append_printf(userdata, "%s:%u:%d:%u ", place->host, place->port, place->of_all,
                               pins->len);
}

static void are_shown_to_whom_they_count_for(void) {
        Couple *couple = couple_new();
        GString *text = g_string_new(NULL);

        g_assert_cmpint(pin(couple, ALICE, false, 'a', false), ==, 0);
        keys_pins_each(couple->keys, BOB, note, text);
        g_assert_cmpstr(text->str, ==, "");
        keys_pins_each(couple->keys, ALICE, note, text);
        g_assert_cmpstr(text->str, ==, HOST ":5684:0:1 ");
        g_assert_cmpint(pin(couple, 0, true, 'b', false), ==, 0);
        g_string_truncate(text, 0);
        keys_pins_each(couple->keys, BOB, note, text);
        g_assert_cmpstr(text->str, ==, HOST ":5684:1:1 ");
        (void)g_string_free(text, TRUE);
        couple_free(couple);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/pins/ones-own-and-the-administrators-count",
                        ones_own_and_the_administrators_count);
        g_test_add_func("/pins/all-of-a-table-is-nobody-elses", all_of_a_table_is_nobody_elses);
        g_test_add_func("/pins/the-first-one-is-the-first", the_first_one_is_the_first);
        g_test_add_func("/pins/before-they-are-known-no-key-is-right",
                        before_they_are_known_no_key_is_right);
        g_test_add_func("/pins/of-a-damaged-table-no-key-is-right",
                        of_a_damaged_table_no_key_is_right);
        g_test_add_func("/pins/outlive-the-keyring-and-are-as-the-next-says",
                        outlive_the_keyring_and_are_as_the_next_says);
        g_test_add_func("/pins/are-shown-to-whom-they-count-for", are_shown_to_whom_they_count_for);
        return g_test_run();
}
