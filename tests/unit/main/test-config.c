/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>

typedef struct Fixture {
        char *folder;
        char *path;
        Config config;
        char *text;
} Fixture;

static void fixture_set_up(Fixture *f, gconstpointer data) {
        f->folder = g_dir_make_tmp("test-config.XXXXXX", NULL);
        f->path = g_build_filename(f->folder, "dtlsd.conf", NULL);
        f->config.limits = quota_limits_default(20000);
}

static void fixture_tear_down(Fixture *f, gconstpointer data) {
        (void)g_remove(f->path);
        (void)g_rmdir(f->folder);
        config_done(&f->config);
        g_free(f->folder);
        g_free(f->path);
        g_free(f->text);
}

static int read_text(Fixture *f, const char *contents) {
        g_assert_true(g_file_set_contents(f->path, contents, -1, NULL));
        g_clear_pointer(&f->text, g_free);
        return config_read(f->path, true, &f->config, &f->text);
}

static void assert_is_as(const Config *before, const Config *config) {
        g_assert_cmpmem(&before->limits, sizeof before->limits, &config->limits,
                        sizeof config->limits);
        g_assert_cmpmem(&before->lead_times, sizeof before->lead_times, &config->lead_times,
                        sizeof config->lead_times);
        g_assert_true(config->deny_list == before->deny_list);
        g_assert_true(config->revocation_lists == before->revocation_lists);
        g_assert_cmpuint(config->direct_after, ==, before->direct_after);
}

static void test_missing_default_is_fine(Fixture *f, gconstpointer data) {
        const Config before = f->config;

        g_assert_cmpint(config_read(f->path, false, &f->config, &f->text), ==, 0);
        assert_is_as(&before, &f->config);
}

static void test_missing_given_file_is_an_error(Fixture *f, gconstpointer data) {
        g_assert_cmpint(config_read(f->path, true, &f->config, &f->text), ==, CONFIG_E_BROKEN);
        g_assert_nonnull(strstr(f->text, f->path));
}

static void test_takes_an_empty_device(Fixture *f, gconstpointer data) {
        g_assert_cmpint(config_read("/dev/null", true, &f->config, &f->text), ==, 0);
}

/* Nobody writes into the FIFO, and of the device there is no end. */
static void test_what_is_no_file_is_an_error(Fixture *f, gconstpointer data) {
        g_assert_cmpint(mkfifo(f->path, 0600), ==, 0);
        g_assert_cmpint(config_read(f->path, true, &f->config, &f->text), ==, CONFIG_E_BROKEN);
        g_assert_true(g_str_has_prefix(f->text, f->path));
        g_clear_pointer(&f->text, g_free);
        g_assert_cmpint(config_read("/dev/zero", true, &f->config, &f->text), ==, CONFIG_E_BROKEN);
        g_assert_true(g_str_has_prefix(f->text, "/dev/zero: "));
}

static void test_rules_that_are_no_file_are_an_error(Fixture *f, gconstpointer data) {
        g_autoptr(Access) access = access_new();

        g_assert_cmpint(mkfifo(f->path, 0600), ==, 0);
        g_assert_cmpint(policy_read(f->folder, access, &f->text), ==, CONFIG_E_BROKEN);
        g_assert_true(g_str_has_prefix(f->text, f->path));
}

static void test_overrides_limits(Fixture *f, gconstpointer data) {
        Config expected = f->config;

        expected.limits.per_uid[QUOTA_CONNECTIONS] = 3;
        expected.limits.total[QUOTA_HALF_OPEN] = 0;
        g_assert_cmpint(read_text(f, "# ours\n[Limits]\nConnectionsPerUser=3\nHalfOpenTotal = 0\n"),
                        ==, 0);
        assert_is_as(&expected, &f->config);
}

static void test_every_kind_has_its_keys(Fixture *f, gconstpointer data) {
        for (QuotaKind kind = 0; kind < N_QUOTA_KINDS; kind++) {
                const char *name = quota_kind_name(kind);
                g_autofree char *own =
                        g_strdup_printf("[Limits]\n%sPerUser=%d\n", name, 100 + kind);
                g_autofree char *all = g_strdup_printf("[Limits]\n%sTotal=%d\n", name, 200 + kind);
                bool has_total = !quota_kind_is_rate(kind);

                g_assert_cmpint(read_text(f, own), ==, 0);
                g_assert_cmpuint(f->config.limits.per_uid[kind], ==, 100 + kind);
                g_assert_cmpint(read_text(f, all), ==, has_total ? 0 : CONFIG_E_BROKEN);
                if (has_total)
                        g_assert_cmpuint(f->config.limits.total[kind], ==, 200 + kind);
        }
}

static void test_names_files_of_trust(Fixture *f, gconstpointer data) {
        g_assert_cmpint(read_text(f, "[Trust]\nDenyList=/etc/a b\nRevocationLists=/c;/d/\n"), ==,
                        0);
        g_assert_cmpstr(f->config.deny_list, ==, "/etc/a b");
        g_assert_cmpuint(g_strv_length(f->config.revocation_lists), ==, 2);
        g_assert_cmpstr(f->config.revocation_lists[0], ==, "/c");
        g_assert_cmpstr(f->config.revocation_lists[1], ==, "/d/");

        g_assert_cmpint(read_text(f, ""), ==, 0);
        g_assert_null(f->config.deny_list);
        g_assert_null(f->config.revocation_lists);
}

static void test_reads_lead_times(Fixture *f, gconstpointer data) {
        f->config.lead_times = LEAD_TIMES_DEFAULT;
        g_assert_cmpint(read_text(f, ""), ==, 0);
        g_assert_cmpuint(f->config.lead_times.n, ==, 4);

        g_assert_cmpint(read_text(f, "[Identities]\nExpiryLeadDays=60; 0;3650;\n"), ==, 0);
        g_assert_cmpuint(f->config.lead_times.n, ==, 3);
        g_assert_cmpuint(f->config.lead_times.days[0], ==, 60);
        g_assert_cmpuint(f->config.lead_times.days[1], ==, 0);
        g_assert_cmpuint(f->config.lead_times.days[2], ==, 3650);
}

static void test_reads_when_records_go_direct(Fixture *f, gconstpointer data) {
        f->config.direct_after = 5;
        g_assert_cmpint(read_text(f, "[Limits]\n"), ==, 0);
        g_assert_cmpuint(f->config.direct_after, ==, 5);
        g_assert_cmpint(read_text(f, "[Records]\nDirectAfter=0\n"), ==, 0);
        g_assert_cmpuint(f->config.direct_after, ==, 0);
        g_assert_cmpint(read_text(f, "[Records]\nDirectAfter=4294967295\n"), ==, 0);
        g_assert_cmpuint(f->config.direct_after, ==, UINT32_MAX);
}

static void refuse(Fixture *f, const char *contents, const char *group, const char *key) {
        const Config before = f->config;

        g_assert_cmpint(read_text(f, contents), ==, CONFIG_E_BROKEN);
        g_assert_nonnull(strstr(f->text, f->path));
        g_assert_nonnull(strstr(f->text, group));
        g_assert_nonnull(strstr(f->text, key));
        assert_is_as(&before, &f->config);
}

static void test_says_where_it_is_broken(Fixture *f, gconstpointer data) {
        refuse(f, "[Limits]\nConnectionsPerUser=many\n", "[Limits]", "ConnectionsPerUser");
        refuse(f, "[Limits]\nConnectionsPerUser=\n", "[Limits]", "ConnectionsPerUser");
        refuse(f, "[Limits]\nConnectionsPerUser=-1\n", "[Limits]", "ConnectionsPerUser");
        refuse(f, "[Limits]\nConnectionsPerUser=1.5\n", "[Limits]", "ConnectionsPerUser");
        refuse(f, "[Limits]\nConnectionsPerUser=99999999999999999999\n", "[Limits]",
               "ConnectionsPerUser");
        refuse(f, "[Limits]\nConnectionsTotal=5\nConnections=5\n", "[Limits]", "Connections:");
        refuse(f, "[Limits]\nConnectionsTotal=5\nConnectionsTotal=6\n", "[Limits]", "twice");
        refuse(f, "[Trust]\nDenyList=/x\n[Limits]\n[Trust]\nDenyList=/y\n", "DenyList", "twice");
        refuse(f, "[Limits]\nConnectionsTotal[de]=5\n", "[Limits]", "ConnectionsTotal[de]:");
        refuse(f, "[Limits]\nNoSuchThingTotal=5\n", "[Limits]", "NoSuchThingTotal");
        refuse(f, "[Limits]\nConnectionsTotal=5\n[Limit]\nx=1\n", "[Limit]", "group");
        refuse(f, "[Trust]\nDenied=/x\n", "[Trust]", "Denied:");
        refuse(f, "[Trust]\nDenyList=x\n", "[Trust]", "DenyList");
        refuse(f, "[Trust]\nDenyList=\n", "[Trust]", "DenyList");
        refuse(f, "[Trust]\nDenyList=/x;/y\n", "[Trust]", "DenyList");
        refuse(f, "[Trust]\nDenyList=/x\nRevocationLists=/y;z\n", "[Trust]", "RevocationLists");
        refuse(f, "[Identities]\nLeadDays=1\n", "[Identities]", "LeadDays:");
        refuse(f, "[Identities]\nExpiryLeadDays=\n", "[Identities]", "ExpiryLeadDays");
        refuse(f, "[Identities]\nExpiryLeadDays=30;;7\n", "[Identities]", "ExpiryLeadDays");
        refuse(f, "[Identities]\nExpiryLeadDays=30;-1\n", "[Identities]", "ExpiryLeadDays");
        refuse(f, "[Identities]\nExpiryLeadDays=3651\n", "[Identities]", "ExpiryLeadDays");
        refuse(f, "[Identities]\nExpiryLeadDays=a week\n", "[Identities]", "ExpiryLeadDays");
        refuse(f, "[Identities]\nExpiryLeadDays=1;2;3;4;5;6;7;8;9;10;11;12;13;14;15;16;17\n",
               "[Identities]", "1 to 16");
        refuse(f, "[Records]\nDirectAfter=4294967296\n", "[Records]", "DirectAfter");
        refuse(f, "[Records]\nDirectAfter=no\n", "[Records]", "DirectAfter");
        refuse(f, "[Records]\nDirect=1\n", "[Records]", "Direct:");
        refuse(f, "ConnectionsPerUser=5\n", "group", "");
        refuse(f, "nonsense", "", "");
}

static void test_is_text_to_its_end(Fixture *f, gconstpointer data) {
        static const char cut[] = "[Limits]\n\0ConnectionsPerUser=0\n";

        refuse(f, "[Limits]\n# \xff\n", "UTF-8", "");
        g_assert_true(g_file_set_contents(f->path, cut, sizeof(cut) - 1, NULL));
        g_clear_pointer(&f->text, g_free);
        g_assert_cmpint(config_read(f->path, true, &f->config, &f->text), ==, CONFIG_E_BROKEN);
        g_assert_nonnull(strstr(f->text, "NUL"));
}

static void add(const char *name, void (*test)(Fixture *, gconstpointer)) {
        g_test_add(name, Fixture, NULL, fixture_set_up, test, fixture_tear_down);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        add("/config/file/may-be-missing-where-nobody-named-it", test_missing_default_is_fine);
        add("/config/file/must-be-there-when-it-was-named", test_missing_given_file_is_an_error);
        add("/config/file/may-be-an-empty-device", test_takes_an_empty_device);
        add("/config/file/is-a-file", test_what_is_no_file_is_an_error);
        add("/config/rules/are-files", test_rules_that_are_no_file_are_an_error);
        add("/config/limits/override-the-defaults", test_overrides_limits);
        add("/config/limits/every-kind-has-its-keys", test_every_kind_has_its_keys);
        add("/config/trust/names-files", test_names_files_of_trust);
        add("/config/identities/have-lead-times", test_reads_lead_times);
        add("/config/records/go-direct", test_reads_when_records_go_direct);
        add("/config/error/says-where-the-file-is-broken", test_says_where_it_is_broken);
        add("/config/error/is-what-is-not-text-to-its-end", test_is_text_to_its_end);
        return g_test_run();
}
