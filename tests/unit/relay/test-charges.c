/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What one object has cost, given back together. */

#include "world.h"

#include "relay/private.h"

#include <string.h>

static Quota *quota_of(uint64_t n_fds) {
        QuotaLimits limits = quota_limits_default(4096);
        Quota *quota;

        limits.per_uid[QUOTA_FDS] = n_fds;
        g_assert_cmpint(quota_new(&limits, &quota), ==, 0);
        return quota;
}

static void give_everything_back(void) {
        g_autoptr(Quota) quota = quota_of(10);
        Charges charges;

        charges_init(&charges, quota, 1000);
        g_assert_cmpint(charges_add(&charges, QUOTA_FDS, 3, NULL), ==, 0);
        g_assert_cmpint(charges_add(&charges, QUOTA_BYTES, 700, NULL), ==, 0);
        charges_drop(&charges, QUOTA_FDS, 1);
        g_assert_cmpuint(quota_used(quota, 1000, QUOTA_FDS), ==, 2);

        charges_done(&charges);
        g_assert_cmpuint(quota_used_total(quota, QUOTA_FDS), ==, 0);
        g_assert_cmpuint(quota_used_total(quota, QUOTA_BYTES), ==, 0);
        charges_done(&charges); /* nothing twice */
        g_assert_cmpuint(quota_used_total(quota, QUOTA_FDS), ==, 0);
}

static void keep_nothing_of_what_was_refused(void) {
        g_autoptr(Quota) quota = quota_of(2);
        Charges charges;
        Reason reason = {0};

        charges_init(&charges, quota, 1000);
        g_assert_cmpint(charges_add(&charges, QUOTA_FDS, 2, &reason), ==, 0);
        g_assert_cmpint(charges_add(&charges, QUOTA_FDS, 1, &reason), ==, RELAY_E_QUOTA);
        g_assert_nonnull(strstr(reason.text, "2 of 2"));
        g_assert_cmpint(charges_add(&charges, QUOTA_FDS, 1, NULL), ==, RELAY_E_QUOTA);
        g_assert_cmpuint(quota_used(quota, 1000, QUOTA_FDS), ==, 2);

        charges_drop_all(&charges, QUOTA_FDS);
        g_assert_cmpuint(quota_used(quota, 1000, QUOTA_FDS), ==, 0);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);

        g_test_add_func("/charges/give-everything-back", give_everything_back);
        g_test_add_func("/charges/keep-nothing-of-what-was-refused",
                        keep_nothing_of_what_was_refused);
        return g_test_run();
}
