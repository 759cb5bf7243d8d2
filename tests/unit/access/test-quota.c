/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* quota: nobody gets more than a share, all together no more than there is, and all comes back. */

#include "access/quota.h"

#include <string.h>

#define ALICE 1000
#define BOB 1001

static Quota *quota_of(uint64_t per_uid, uint64_t total) {
        QuotaLimits limits;
        Quota *quota;

        for (int kind = 0; kind < N_QUOTA_KINDS; kind++) {
                limits.per_uid[kind] = per_uid;
                limits.total[kind] = total;
        }

        g_assert_cmpint(quota_new(&limits, &quota), ==, 0);
        return quota;
}

static void test_a_user_gets_its_share_and_no_more(void) {
        g_autoptr(Quota) quota = quota_of(3, 100);

        for (int i = 0; i < 3; i++)
                g_assert_cmpint(quota_charge(quota, ALICE, QUOTA_LISTENERS, 1), ==, 0);

        g_assert_cmpint(quota_charge(quota, ALICE, QUOTA_LISTENERS, 1), ==, QUOTA_E_UID);
        g_assert_cmpuint(quota_used(quota, ALICE, QUOTA_LISTENERS), ==, 3);
        g_assert_cmpuint(quota_used_total(quota, QUOTA_LISTENERS), ==, 3);
        g_assert_cmpuint(quota_refused(quota, QUOTA_LISTENERS), ==, 1);
}

static void test_a_user_can_have_a_limit_of_its_own(void) {
        g_autoptr(Quota) quota = quota_of(3, 100);
        QuotaLimits limits;

        quota_set_user_limit(quota, ALICE, QUOTA_LISTENERS, 1);
        g_assert_cmpint(quota_charge(quota, ALICE, QUOTA_LISTENERS, 2), ==, QUOTA_E_UID);
        g_assert_cmpint(quota_charge(quota, ALICE, QUOTA_CONNECTIONS, 3), ==, 0);
        g_assert_cmpint(quota_charge(quota, BOB, QUOTA_LISTENERS, 3), ==, 0);
        g_assert_cmpuint(quota_limit(quota, ALICE, QUOTA_LISTENERS), ==, 1);
        g_assert_cmpuint(quota_limit(quota, BOB, QUOTA_LISTENERS), ==, 3);

        for (int kind = 0; kind < N_QUOTA_KINDS; kind++) {
                limits.per_uid[kind] = 2;
                limits.total[kind] = 100;
        }
        quota_set_limits(quota, &limits);
        g_assert_cmpuint(quota_limit(quota, ALICE, QUOTA_LISTENERS), ==, 2);
        /* what is there stays, and there is no more */
        g_assert_cmpuint(quota_used(quota, BOB, QUOTA_LISTENERS), ==, 3);
        g_assert_cmpint(quota_charge(quota, BOB, QUOTA_LISTENERS, 1), ==, QUOTA_E_UID);
}

/* Of what is there, nothing can be refused; but no more of it. */
static void test_what_is_there_counts_over_the_limit(void) {
        g_autoptr(Quota) quota = quota_of(3, 100);

        quota_count(quota, ALICE, QUOTA_BYTES, 5);
        g_assert_cmpuint(quota_used(quota, ALICE, QUOTA_BYTES), ==, 5);
        g_assert_cmpuint(quota_used_total(quota, QUOTA_BYTES), ==, 5);
        g_assert_cmpint(quota_charge(quota, ALICE, QUOTA_BYTES, 1), ==, QUOTA_E_UID);
        quota_discharge(quota, ALICE, QUOTA_BYTES, 5);
        g_assert_cmpint(quota_charge(quota, ALICE, QUOTA_BYTES, 3), ==, 0);
        quota_count(quota, BOB, QUOTA_BYTES, 0);
        g_assert_cmpuint(quota_used(quota, BOB, QUOTA_BYTES), ==, 0);
}

static void test_users_and_kinds_do_not_share(void) {
        g_autoptr(Quota) quota = quota_of(3, 100);

        g_assert_cmpint(quota_charge(quota, ALICE, QUOTA_LISTENERS, 3), ==, 0);
        g_assert_cmpint(quota_charge(quota, ALICE, QUOTA_CONNECTIONS, 3), ==, 0);
        g_assert_cmpint(quota_charge(quota, BOB, QUOTA_LISTENERS, 2), ==, 0);
        g_assert_cmpint(quota_charge(quota, 0, QUOTA_LISTENERS, 3), ==, 0);

        g_assert_cmpuint(quota_used(quota, BOB, QUOTA_LISTENERS), ==, 2);
        g_assert_cmpuint(quota_used(quota, BOB, QUOTA_CONNECTIONS), ==, 0);
        g_assert_cmpuint(quota_used_total(quota, QUOTA_LISTENERS), ==, 8);
        g_assert_cmpuint(quota_refused(quota, QUOTA_LISTENERS), ==, 0);
}

static void test_all_users_together_get_what_there_is(void) {
        g_autoptr(Quota) quota = quota_of(3, 4);

        g_assert_cmpint(quota_charge(quota, ALICE, QUOTA_FDS, 3), ==, 0);
        g_assert_cmpint(quota_charge(quota, BOB, QUOTA_FDS, 2), ==, QUOTA_E_TOTAL);
        g_assert_cmpint(quota_charge(quota, BOB, QUOTA_FDS, 1), ==, 0);
        g_assert_cmpint(quota_charge(quota, BOB, QUOTA_FDS, 1), ==, QUOTA_E_TOTAL);
        g_assert_cmpuint(quota_refused(quota, QUOTA_FDS), ==, 2);
}

static void test_a_refused_charge_leaves_nothing(void) {
        g_autoptr(Quota) quota = quota_of(10, 15);

        g_assert_cmpint(quota_charge(quota, ALICE, QUOTA_BYTES, 6), ==, 0);
        g_assert_cmpint(quota_charge(quota, ALICE, QUOTA_BYTES, 5), ==, QUOTA_E_UID);
        g_assert_cmpint(quota_charge(quota, BOB, QUOTA_BYTES, 10), ==, QUOTA_E_TOTAL);
        g_assert_cmpuint(quota_used(quota, ALICE, QUOTA_BYTES), ==, 6);
        g_assert_cmpuint(quota_used(quota, BOB, QUOTA_BYTES), ==, 0);
        g_assert_cmpuint(quota_used_total(quota, QUOTA_BYTES), ==, 6);
}

static void test_a_huge_charge_does_not_wrap_around(void) {
        g_autoptr(Quota) quota = quota_of(UINT64_MAX, UINT64_MAX);

        g_assert_cmpint(quota_charge(quota, ALICE, QUOTA_BYTES, 2), ==, 0);
        g_assert_cmpint(quota_charge(quota, ALICE, QUOTA_BYTES, UINT64_MAX), ==, QUOTA_E_UID);
        g_assert_cmpint(quota_charge(quota, BOB, QUOTA_BYTES, UINT64_MAX - 1), ==, QUOTA_E_TOTAL);
        g_assert_cmpint(quota_charge(quota, BOB, QUOTA_BYTES, UINT64_MAX - 2), ==, 0);
}

static void test_what_is_given_back_can_be_had_again(void) {
        g_autoptr(Quota) quota = quota_of(2, 2);

        for (int i = 0; i < 1000; i++) {
                g_assert_cmpint(quota_charge(quota, ALICE, QUOTA_CALLS, 2), ==, 0);
                g_assert_cmpint(quota_charge(quota, BOB, QUOTA_CALLS, 1), ==, QUOTA_E_TOTAL);
                quota_discharge(quota, ALICE, QUOTA_CALLS, 1);
                g_assert_cmpint(quota_charge(quota, BOB, QUOTA_CALLS, 1), ==, 0);
                quota_discharge(quota, BOB, QUOTA_CALLS, 1);
                quota_discharge(quota, ALICE, QUOTA_CALLS, 1);
        }

        g_assert_cmpuint(quota_used(quota, ALICE, QUOTA_CALLS), ==, 0);
        g_assert_cmpuint(quota_used_total(quota, QUOTA_CALLS), ==, 0);
}

static void test_nothing_is_always_had(void) {
        g_autoptr(Quota) quota = quota_of(0, 0);

        g_assert_cmpint(quota_charge(quota, ALICE, QUOTA_BYTES, 0), ==, 0);
        quota_discharge(quota, ALICE, QUOTA_BYTES, 0);
        g_assert_cmpint(quota_charge(quota, ALICE, QUOTA_BYTES, 1), ==, QUOTA_E_UID);
        g_assert_null(quota_free(NULL));
}

static void test_a_refusal_names_user_numbers_and_cure(void) {
        g_autoptr(Quota) quota = quota_of(3, 4);
        g_autofree char *own = NULL, *total = NULL;

        g_assert_cmpint(quota_charge(quota, ALICE, QUOTA_LISTENERS, 3), ==, 0);
        g_assert_cmpint(quota_charge(quota, BOB, QUOTA_LISTENERS, 1), ==, 0);

        own = quota_refusal(quota, ALICE, QUOTA_LISTENERS, QUOTA_E_UID);
        g_assert_true(g_str_has_prefix(own, "User 1000 has 3 of 3 listeners; close some, or "));

        total = quota_refusal(quota, BOB, QUOTA_LISTENERS, QUOTA_E_TOTAL);
        g_assert_nonnull(strstr(total, "4 of 4 listeners"));
        g_assert_nonnull(strstr(total, "try again later"));
}

static void test_every_kind_has_a_name_of_its_own(void) {
        g_autoptr(GHashTable) names = g_hash_table_new(g_str_hash, g_str_equal);

        for (int kind = 0; kind < N_QUOTA_KINDS; kind++)
                g_assert_true(g_hash_table_add(names, (gpointer)quota_kind_name(kind)));

        g_assert_cmpstr(quota_kind_name(QUOTA_CONNECTIONS), ==, "Connections");
        g_assert_cmpstr(quota_kind_name(QUOTA_FDS), ==, "Fds");
}

static void test_defaults_fit_the_limit_of_fds(void) {
        const uint64_t sizes[] = {0, 3, 64, 256, 512, 1024, 20000, 524288};

        for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
                QuotaLimits limits = quota_limits_default(sizes[i]);
                uint64_t reserved = sizes[i] - limits.total[QUOTA_FDS];

                g_assert_cmpuint(limits.total[QUOTA_FDS], <=, sizes[i]);
                if (sizes[i] >= 512)
                        g_assert_cmpuint(reserved, >=, 256);
                if (sizes[i] > 0)
                        g_assert_cmpuint(reserved, >, 0);
                for (int kind = 0; kind < N_QUOTA_KINDS; kind++)
                        g_assert_cmpuint(limits.per_uid[kind], <=, limits.total[kind]);
        }
}

static void test_no_user_can_have_all_fds(void) {
        QuotaLimits limits = quota_limits_default(20000);

        g_assert_cmpuint(limits.total[QUOTA_FDS], ==, 20000 - 512);
        g_assert_cmpuint(limits.per_uid[QUOTA_FDS], ==, (20000 - 512) / 2);
        g_assert_cmpuint(limits.per_uid[QUOTA_CONNECTIONS], ==, 1024);
        g_assert_cmpuint(limits.per_uid[QUOTA_LISTENERS], ==, 64);
}

/* ---- so many a second ---- */

#define SECOND UINT64_C(1000000)
#define START (1000 * SECOND)

static void test_without_a_rate_everything_may_be_sent(void) {
        const QuotaLimits limits = quota_limits_default(20000);
        g_autoptr(Quota) quota = NULL;

        g_assert_cmpint(quota_new(&limits, &quota), ==, 0);
        g_assert_false(quota_has_rates(quota));
        quota_set_user_limit(quota, BOB, QUOTA_DATAGRAMS, 10);
        g_assert_true(quota_has_rates(quota));
        quota_sent(quota, ALICE, UINT64_C(1) << 40);
        g_assert_cmpuint(quota_may_send(quota, ALICE, START, 0), ==, UINT64_MAX);
        g_assert_cmpuint(quota_send_wait_usec(quota, ALICE, START), ==, 0);
        g_assert_cmpint(quota_send(quota, ALICE, START), ==, 0);
        g_assert_cmpuint(quota_may_send(quota, BOB, START, 0), ==, 1);

        /* and what was sent without one is not owed when there is one */
        quota_set_user_limit(quota, ALICE, QUOTA_DATAGRAMS, 10);
        g_assert_cmpuint(quota_may_send(quota, ALICE, START, 0), ==, 1);
}

static void test_a_rate_holds_a_tenth_of_a_second(void) {
        g_autoptr(Quota) quota = quota_of(1000, 1000);

        g_assert_cmpuint(quota_may_send(quota, ALICE, START, 0), ==, 100);
        quota_sent(quota, ALICE, 100);
        g_assert_cmpuint(quota_may_send(quota, ALICE, START, 0), ==, 0);
        g_assert_cmpuint(quota_may_send(quota, BOB, START, 0), ==, 100);
        g_assert_cmpuint(quota_may_send(quota, ALICE, START + 999, 0), ==, 0);
        g_assert_cmpuint(quota_may_send(quota, ALICE, START + 1000, 0), ==, 1);
        g_assert_cmpuint(quota_may_send(quota, ALICE, START + 3600 * SECOND, 0), ==, 100);
}

/* However often one asks, and however odd the rate: over an hour it is what it says. */
static void test_a_rate_is_what_it_says(void) {
        const uint64_t rates[] = {1, 3, 7, 1000, 333333};

        for (size_t i = 0; i < G_N_ELEMENTS(rates); i++) {
                g_autoptr(Quota) quota = quota_of(rates[i], UINT64_MAX);
                uint64_t now_usec = START, n_sent = 0;

                while (now_usec < START + 3600 * SECOND) {
                        uint64_t n = quota_may_send(quota, ALICE, now_usec, 0);

                        quota_sent(quota, ALICE, n);
                        n_sent += n;
                        now_usec += MAX(quota_send_wait_usec(quota, ALICE, now_usec), 1);
                }
                g_assert_cmpuint(n_sent, >=, 3600 * rates[i] - rates[i]);
                g_assert_cmpuint(n_sent, <=, 3600 * rates[i] + MAX(rates[i] / 10, 1));
        }
}

/* Not woken for each datagram, and not late. */
static void test_who_waits_for_a_rate_waits_for_some(void) {
        g_autoptr(Quota) quota = quota_of(1000, 1000);

        quota_sent(quota, ALICE, quota_may_send(quota, ALICE, START, 0));
        g_assert_cmpuint(quota_send_wait_usec(quota, ALICE, START), ==, SECOND / 100);
        g_assert_cmpuint(quota_may_send(quota, ALICE, START + SECOND / 100, 0), ==, 10);
        quota_set_user_limit(quota, BOB, QUOTA_DATAGRAMS, 2);
        quota_sent(quota, BOB, quota_may_send(quota, BOB, START, 0));
        g_assert_cmpuint(quota_send_wait_usec(quota, BOB, START), ==, SECOND / 2);
}

static void test_what_is_sent_ahead_is_paid_back(void) {
        g_autoptr(Quota) quota = quota_of(1000, 1000);

        quota_sent(quota, ALICE, quota_may_send(quota, ALICE, START, QUOTA_AHEAD_USEC));
        g_assert_cmpuint(quota_may_send(quota, ALICE, START, QUOTA_AHEAD_USEC), ==, 0);
        g_assert_cmpuint(quota_may_send(quota, ALICE, START + SECOND, 0), ==, 0);
        g_assert_cmpuint(quota_may_send(quota, ALICE, START + SECOND + 1000, 0), ==, 1);
}

static void test_one_over_the_rate_is_refused(void) {
        g_autoptr(Quota) quota = quota_of(10, 10);
        g_autofree char *text = NULL;

        g_assert_cmpint(quota_send(quota, ALICE, START), ==, 0);
        g_assert_cmpint(quota_send(quota, ALICE, START), ==, QUOTA_E_UID);
        g_assert_cmpint(quota_send(quota, BOB, START), ==, 0);
        g_assert_cmpuint(quota_refused(quota, QUOTA_DATAGRAMS), ==, 1);
        text = quota_refusal(quota, ALICE, QUOTA_DATAGRAMS, QUOTA_E_UID);
        g_assert_true(g_str_has_prefix(text, "User 1000 may send 10 datagrams a second; "));
        g_assert_cmpint(quota_send(quota, ALICE, START + SECOND / 10), ==, 0);
}

static void test_a_rate_of_nothing_is_nothing(void) {
        g_autoptr(Quota) quota = quota_of(0, 0);

        g_assert_cmpuint(quota_may_send(quota, ALICE, START, QUOTA_AHEAD_USEC), ==, 0);
        g_assert_cmpuint(quota_send_wait_usec(quota, ALICE, START), ==, SECOND);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/quota/what-is-there-counts-over-the-limit",
                        test_what_is_there_counts_over_the_limit);
        g_test_add_func("/quota/a-user-gets-its-share-and-no-more",
                        test_a_user_gets_its_share_and_no_more);
        g_test_add_func("/quota/users-and-kinds-do-not-share", test_users_and_kinds_do_not_share);
        g_test_add_func("/quota/all-users-together-get-what-there-is",
                        test_all_users_together_get_what_there_is);
        g_test_add_func("/quota/a-refused-charge-leaves-nothing",
                        test_a_refused_charge_leaves_nothing);
        g_test_add_func("/quota/a-huge-charge-does-not-wrap-around",
                        test_a_huge_charge_does_not_wrap_around);
        g_test_add_func("/quota/what-is-given-back-can-be-had-again",
                        test_what_is_given_back_can_be_had_again);
        g_test_add_func("/quota/nothing-is-always-had", test_nothing_is_always_had);
        g_test_add_func("/quota/refusal/names-user-numbers-and-cure",
                        test_a_refusal_names_user_numbers_and_cure);
        g_test_add_func("/quota/every-kind-has-a-name-of-its-own",
                        test_every_kind_has_a_name_of_its_own);
        g_test_add_func("/quota/defaults/fit-the-limit-of-fds", test_defaults_fit_the_limit_of_fds);
        g_test_add_func("/quota/defaults/no-user-can-have-all-fds", test_no_user_can_have_all_fds);
        g_test_add_func("/quota/a-user-can-have-a-limit-of-its-own",
                        test_a_user_can_have_a_limit_of_its_own);
        g_test_add_func("/quota/rate/without-one-everything-may-be-sent",
                        test_without_a_rate_everything_may_be_sent);
        g_test_add_func("/quota/rate/holds-a-tenth-of-a-second",
                        test_a_rate_holds_a_tenth_of_a_second);
        g_test_add_func("/quota/rate/is-what-it-says", test_a_rate_is_what_it_says);
        g_test_add_func("/quota/rate/who-waits-waits-for-some",
                        test_who_waits_for_a_rate_waits_for_some);
        g_test_add_func("/quota/rate/what-is-sent-ahead-is-paid-back",
                        test_what_is_sent_ahead_is_paid_back);
        g_test_add_func("/quota/rate/one-over-it-is-refused", test_one_over_the_rate_is_refused);
        g_test_add_func("/quota/rate/of-nothing-is-nothing", test_a_rate_of_nothing_is_nothing);
        return g_test_run();
}
