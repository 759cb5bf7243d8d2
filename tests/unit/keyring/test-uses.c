/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* uses: that every use of a key is told of, for whom, and in how many lines. */

#include "keyring/uses.h"

#include "base/brake.h"
#include "base/log.h"
#include "lib/capture.h"

#include <string.h>

#define ALICE 1000
#define BOB 1001
#define PERIOD_USEC 1000 /* instead of a minute */
#define LIMIT_USEC (30 * G_USEC_PER_SEC)

typedef struct Fixture {
        sd_event *event;
        GHashTable *brakes;
        Vault *vault;
        VaultKey *shared; /* root's, of the store */
        Uses *uses;
} Fixture;

static void setup(Fixture *f, gconstpointer unused) {
        g_autoptr(Secret) secret = secret_new("secret", 6);
        const char *text;

        g_assert_cmpint(sd_event_new(&f->event), >=, 0);
        f->brakes = brakes_new();
        f->vault = vault_new();
        g_assert_cmpint(vault_import_shared_psk(f->vault, 0, secret, &f->shared, &text), ==, 0);
        vault_key_set_entry(f->shared, "psk", "sensor");
        g_assert_cmpint(uses_new(f->event, f->brakes, PERIOD_USEC, &f->uses), ==, 0);
        capture_begin();
}

/* What was written, with what is left at the end. */
static char *stop(Fixture *f) {
        f->uses = uses_free(f->uses);
        return capture_end();
}

static void teardown(Fixture *f, gconstpointer unused) {
        g_assert_null(f->uses);
        vault_free(f->vault);
        g_hash_table_unref(f->brakes);
        sd_event_unref(f->event);
}

static void note(Fixture *f, uid_t uid, unsigned n) {
        for (unsigned i = 0; i < n; i++)
                uses_note(f->uses, f->shared, uid, "is fetched");
}

static unsigned count(const char *text, const char *what) {
        unsigned n = 0;

        for (text = strstr(text, what); text; text = strstr(text + 1, what))
                n++;
        return n;
}

/* Of all lines with @what: the last number in each. */
static uint64_t sum(const char *text, const char *what) {
        g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
        uint64_t n = 0;

        for (char **line = lines; *line; line++) {
                const char *at = strstr(*line, what);

                if (at)
                        n += g_ascii_strtoull(at + strlen(what), NULL, 10);
        }

        return n;
}

static void names_who_has_it_used(Fixture *f, gconstpointer unused) {
        g_autofree char *text = NULL;

        note(f, ALICE, 1);
        note(f, BOB, 1);
        text = stop(f);
        g_assert_cmpuint(count(text, "\n"), ==, 2);
        g_assert_cmpuint(count(text, ", psk:sensor of uid 0: is fetched for uid 1000, 1 since"), ==,
                         1);
        g_assert_cmpuint(count(text, ", psk:sensor of uid 0: is fetched for uid 1001, 1 since"), ==,
                         1);
}

static void sums_up_what_follows(Fixture *f, gconstpointer unused) {
        g_autofree char *text = NULL;

        note(f, ALICE, 5000);
        text = stop(f);
        g_assert_cmpuint(count(text, "\n"), ==, 2);
        g_assert_cmpuint(sum(text, "for uid 1000, "), ==, 5000);
}

/* In the loop, and then never again: nothing wakes for keys that nobody uses. */
static void tells_by_itself_and_rests(Fixture *f, gconstpointer unused) {
        gint64 limit = g_get_monotonic_time() + LIMIT_USEC;
        unsigned n_turns = 0;
        g_autofree char *text = NULL;

        note(f, ALICE, 10);
        while (sd_event_run(f->event, 2 * G_USEC_PER_SEC) > 0) {
                g_assert_cmpint(g_get_monotonic_time(), <, limit);
                n_turns++;
        }
        text = stop(f);
        g_assert_cmpuint(n_turns, ==, 2); /* what followed; and that nothing did */
        g_assert_cmpuint(sum(text, "for uid 1000, "), ==, 10);
}

static void has_so_many_lines_for_each(Fixture *f, gconstpointer unused) {
        g_autoptr(Secret) secret = secret_new("secret", 6);
        g_autofree char *lines = NULL;
        const char *text;

        for (unsigned i = 0; i < 500; i++) {
                VaultKey *key;

                g_assert_cmpint(vault_import_psk(f->vault, ALICE, secret, &key, &text), ==, 0);
                uses_note(f->uses, key, ALICE, "is fetched");
        }
        note(f, BOB, 1);
        lines = stop(f);
        g_assert_cmpuint(count(lines, "for uid 1000"), ==, 20);
        g_assert_cmpuint(count(lines, "for uid 1001"), ==, 1);
}

/* Whoever took dtlsd over says which users there are. */
static void has_so_many_lines_for_all(Fixture *f, gconstpointer unused) {
        g_autofree char *text = NULL;

        for (uid_t uid = 1; uid <= USES_MAX + 1000; uid++)
                note(f, uid, 1);
        text = stop(f);
        g_assert_cmpuint(count(text, "\n"), ==, USES_MAX + 1);
        g_assert_nonnull(strstr(text, "used 1000 times more, by more users"));
}

static void hides_nobody_behind_a_user_of_many_keys(Fixture *f, gconstpointer unused) {
        g_autoptr(Secret) secret = secret_new("secret", 6);
        g_autofree char *lines = NULL;
        const char *text;

        for (unsigned i = 0; i < USES_MAX + 1; i++) {
                VaultKey *key;

                g_assert_cmpint(vault_import_psk(f->vault, ALICE, secret, &key, &text), ==, 0);
                uses_note(f->uses, key, ALICE, "is fetched");
        }
        note(f, BOB, 1);
        lines = stop(f);
        g_assert_cmpuint(count(lines, "for uid 1001, 1 since"), ==, 1);
        g_assert_cmpuint(sum(lines, "keys were used "), ==, USES_MAX + 1 - USES_PER_USER_MAX);
}

static void keeps_no_key_alive(Fixture *f, gconstpointer unused) {
        g_autoptr(VaultKey) key = NULL;
        g_autofree char *text = NULL;
        uint64_t id = vault_key_id(f->shared);

        note(f, ALICE, 2);
        g_assert_cmpint(vault_remove(f->vault, id, &key), ==, 0);
        key = vault_key_unref(key); /* frees it: a sanitizer sees a use of it below */
        text = stop(f);
        g_assert_cmpuint(sum(text, "for uid 1000, "), ==, 2);
}

#define CASE(name, function) g_test_add("/uses/" name, Fixture, NULL, setup, function, teardown)

int main(int argc, char **argv) {
        g_unsetenv("JOURNAL_STREAM");
        g_test_init(&argc, &argv, NULL);
        log_open("tester");
        CASE("names-who-has-it-used", names_who_has_it_used);
        CASE("sums-up-what-follows", sums_up_what_follows);
        CASE("tells-by-itself-and-rests", tells_by_itself_and_rests);
        CASE("has-so-many-lines-for-each", has_so_many_lines_for_each);
        CASE("has-so-many-lines-for-all", has_so_many_lines_for_all);
        CASE("hides-nobody-behind-a-user-of-many-keys", hides_nobody_behind_a_user_of_many_keys);
        CASE("keeps-no-key-alive", keeps_no_key_alive);
        return g_test_run();
}
