/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* With whom something is shared, as a value. */

#include "relay/shares.h"

static GArray *with(GArray *shares, const char *subject, unsigned rights) {
        GArray *more;
        Share share;

        g_assert_true(share_parse_subject(subject, &share));
        share.rights = rights;
        more = shares_with(shares, &share);
        g_assert_nonnull(more);
        if (shares)
                g_array_unref(shares);
        return more;
}

static unsigned rights_of(const GArray *shares, uid_t uid, gid_t one, gid_t other) {
        const gid_t gids[] = {one, other};
        const AccessSubject subject = {.uid = uid, .gids = gids, .n_gids = G_N_ELEMENTS(gids)};

        return shares_rights(shares, &subject);
}

static void a_subject_is_a_user_or_a_group(void) {
        g_autoptr(GArray) shares = with(NULL, "uid:1000", SHARE_READ);

        shares = with(shares, "gid:20", SHARE_WRITE);
        g_assert_cmpuint(rights_of(shares, 1000, 1, 2), ==, SHARE_READ | SHARE_INSPECT);
        g_assert_cmpuint(rights_of(shares, 1001, 1, 20), ==, SHARE_WRITE | SHARE_INSPECT);
        g_assert_cmpuint(rights_of(shares, 20, 1000, 1000), ==, 0);
        g_assert_cmpuint(rights_of(NULL, 1000, 1, 2), ==, 0);
}

static void several_add_up(void) {
        g_autoptr(GArray) shares = with(NULL, "gid:20", SHARE_READ);

        shares = with(shares, "gid:21", SHARE_CONTROL);
        shares = with(shares, "uid:5", SHARE_WRITE);
        g_assert_cmpuint(rights_of(shares, 5, 20, 21), ==,
                         SHARE_READ | SHARE_WRITE | SHARE_CONTROL | SHARE_INSPECT);
        g_assert_cmpuint(rights_of(shares, 6, 20, 21), ==,
                         SHARE_READ | SHARE_CONTROL | SHARE_INSPECT);
}

static void the_second_takes_the_place_of_the_first(void) {
        g_autoptr(GArray) shares = with(NULL, "uid:5", SHARE_READ | SHARE_CONTROL);

        shares = with(shares, "uid:5", SHARE_WRITE);
        g_assert_cmpuint(shares->len, ==, 1);
        g_assert_cmpuint(rights_of(shares, 5, 0, 0), ==, SHARE_WRITE | SHARE_INSPECT);
}

static void what_was_is_not_changed(void) {
        g_autoptr(GArray) before = with(NULL, "uid:5", SHARE_READ);
        g_autoptr(GArray) after = NULL;
        Share share = {.id = 5};
        bool found;

        g_assert_null(shares_without(before, &share, &found));
        g_assert_true(found);
        share.id = 6;
        after = shares_without(before, &share, &found);
        g_assert_false(found);
        g_assert_cmpuint(after->len, ==, 1);
        g_assert_cmpuint(rights_of(before, 5, 0, 0), ==, SHARE_READ | SHARE_INSPECT);
}

static void there_are_not_more_than_so_many(void) {
        g_autoptr(GArray) shares = NULL;
        Share share = {.id = 1000, .rights = SHARE_READ};

        for (unsigned i = 0; i < SHARES_MAX; i++) {
                g_autofree char *subject = g_strdup_printf("uid:%u", 1000 + i);

                shares = with(shares, subject, SHARE_READ);
        }
        share.id = 999;
        g_assert_null(shares_with(shares, &share));
        /* one that is there can still be changed */
        share.id = 1000;
        g_array_unref(shares_with(shares, &share));
}

static void subjects_are_written_in_one_way(void) {
        static const char *const good[] = {"uid:0", "gid:0", "uid:4294967294", "gid:100"};
        static const char *const bad[] = {"uid:4294967295", "uid:-1", "uid:", "uid: 1", "uid:1 ",
                                          "uid:01",         "gid:00", "bob",  "GID:1",  ""};
        char buffer[SHARE_SUBJECT_MAX];
        Share share;

        for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
                g_assert_true(share_parse_subject(good[i], &share));
                g_assert_cmpstr(share_format_subject(&share, buffer), ==, good[i]);
        }
        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
                g_assert_false(share_parse_subject(bad[i], &share));
}

static void rights_have_names(void) {
        const char *names[5];
        unsigned right, all = 0;

        share_right_names(~0U, names);
        for (size_t i = 0; names[i]; i++) {
                g_assert_true(share_right_from_name(names[i], &right));
                all |= right;
        }
        g_assert_cmpuint(all, ==, SHARE_INSPECT | SHARE_READ | SHARE_WRITE | SHARE_CONTROL);
        g_assert_false(share_right_from_name("Read", &right));
        share_right_names(0, names);
        g_assert_null(names[0]);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/shares/a-subject-is-a-user-or-a-group", a_subject_is_a_user_or_a_group);
        g_test_add_func("/shares/several-add-up", several_add_up);
        g_test_add_func("/shares/the-second-takes-the-place-of-the-first",
                        the_second_takes_the_place_of_the_first);
        g_test_add_func("/shares/what-was-is-not-changed", what_was_is_not_changed);
        g_test_add_func("/shares/there-are-not-more-than-so-many", there_are_not_more_than_so_many);
        g_test_add_func("/shares/subjects-are-written-in-one-way", subjects_are_written_in_one_way);
        g_test_add_func("/shares/rights-have-names", rights_have_names);
        return g_test_run();
}
