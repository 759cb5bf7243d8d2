/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* revocation files: all of them, or none and the name of the one that is broken. */

#include "identity/certificate.h"
#include "lib/revocations.h"
#include "revocation-files.h"

#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

typedef struct Fixture {
        char *folder;
        TestIdentity *ca, *leaf;
        Config config;
        Revocations *revocations;
} Fixture;

static void set_up(Fixture *f, gconstpointer unused) {
        f->folder = g_dir_make_tmp("test-revocation-files.XXXXXX", NULL);
        g_assert_nonnull(f->folder);
        f->ca = test_identity_new("ca", NULL, TEST_IDENTITY_CA, TEST_KEY_ECDSA);
        f->leaf = test_identity_new("leaf", f->ca, 0, TEST_KEY_ECDSA);
}

static void tear_down(Fixture *f, gconstpointer unused) {
        g_autoptr(GDir) directory = g_dir_open(f->folder, 0, NULL);
        const char *name;

        while ((name = g_dir_read_name(directory))) {
                g_autofree char *path = g_build_filename(f->folder, name, NULL);

                (void)g_remove(path);
        }
        (void)g_rmdir(f->folder);
        g_free(f->folder);
        test_identity_free(f->ca);
        test_identity_free(f->leaf);
        config_done(&f->config);
        revocations_unref(f->revocations);
}

static char *write_taken(const Fixture *f, const char *name, GBytes *taken) {
        g_autoptr(GBytes) contents = taken;

        return test_write(f->folder, name, contents);
}

static void read_files(Fixture *f) {
        g_autofree char *text = NULL;

        g_assert_cmpint(revocation_files_read(&f->config, &f->revocations, &text), ==, 0);
        g_assert_nonnull(f->revocations);
        g_assert_null(text);
}

static void assert_refused(Fixture *f, const char *path, const char *words) {
        g_autofree char *text = NULL;

        g_assert_cmpint(revocation_files_read(&f->config, &f->revocations, &text), ==,
                        REVOCATION_FILES_E_BROKEN);
        g_assert_null(f->revocations);
        g_test_message("%s", text);
        g_assert_nonnull(strstr(text, path));
        g_assert_nonnull(strstr(text, words));
}

static RevocationsStatus status_of_leaf(const Fixture *f) {
        certificate_auto leaf = NULL, ca = NULL;

        g_assert_cmpint(certificate_import(test_identity_der(f->leaf), &leaf), ==, 0);
        g_assert_cmpint(certificate_import(test_identity_der(f->ca), &ca), ==, 0);
        return revocations_ask(f->revocations, leaf, ca);
}

static bool denies_leaf(const Fixture *f) {
        certificate_auto leaf = NULL;

        g_assert_cmpint(certificate_import(test_identity_der(f->leaf), &leaf), ==, 0);
        return revocations_deny(f->revocations, leaf);
}

static void set_lists(Fixture *f, const char *path) {
        f->config.revocation_lists = g_new0(char *, 2);
        f->config.revocation_lists[0] = g_strdup(path);
}

static void test_nothing_configured_is_nothing(Fixture *f, gconstpointer unused) {
        read_files(f);
        g_assert_false(denies_leaf(f));
        g_assert_cmpint(status_of_leaf(f), ==, REVOCATIONS_SILENT);
}

static void test_a_directory_is_all_its_files(Fixture *f, gconstpointer unused) {
        g_autofree char *good =
                write_taken(f, "good.crl", test_crl_new(f->ca, NULL, f->leaf, NULL));
        g_autofree char *hidden = write_taken(f, ".new", g_bytes_new_static("half", 4));

        set_lists(f, f->folder);
        read_files(f);
        g_assert_cmpint(status_of_leaf(f), ==, REVOCATIONS_REVOKED);
}

static void test_a_bad_one_among_good_ones_is_named(Fixture *f, gconstpointer unused) {
        g_autofree char *bad = write_taken(f, "bad.crl", g_bytes_new_static("nonsense", 8));
        g_autofree char *good =
                write_taken(f, "good.crl", test_crl_new(f->ca, NULL, f->leaf, NULL));

        set_lists(f, f->folder);
        assert_refused(f, bad, "CRL");
}

static void test_a_file_is_a_list(Fixture *f, gconstpointer unused) {
        g_autofree char *path = write_taken(f, "ca.crl", test_crl_new(f->ca, NULL, NULL, NULL));

        set_lists(f, path);
        read_files(f);
        g_assert_cmpint(status_of_leaf(f), ==, REVOCATIONS_GOOD);
}

static void test_a_deny_list_denies(Fixture *f, gconstpointer unused) {
        g_autofree char *hash = certificate_fingerprint(test_identity_der(f->leaf));
        g_autofree char *text = g_strdup_printf("# denied\n%s\n", hash);

        f->config.deny_list = write_taken(f, "denied", g_bytes_new(text, strlen(text)));
        read_files(f);
        g_assert_true(denies_leaf(f));
}

static void test_a_bad_line_is_named(Fixture *f, gconstpointer unused) {
        g_autofree char *hash = certificate_fingerprint(test_identity_der(f->leaf));
        g_autofree char *text = g_strdup_printf("# denied\n%.60s\n%s\n", hash, hash);

        f->config.deny_list = write_taken(f, "denied", g_bytes_new(text, strlen(text)));
        assert_refused(f, f->config.deny_list, "line 2 ");
}

static void test_a_file_that_is_not_there_is_named(Fixture *f, gconstpointer unused) {
        g_autofree char *lists = g_build_filename(f->folder, "lists", NULL);

        f->config.deny_list = g_build_filename(f->folder, "denied", NULL);
        assert_refused(f, f->config.deny_list, "No such file");
        g_clear_pointer(&f->config.deny_list, g_free);
        set_lists(f, lists);
        assert_refused(f, lists, "No such file");
}

static void test_a_file_without_end_is_not_read(Fixture *f, gconstpointer unused) {
        g_autofree char *path = write_taken(f, "large", g_bytes_new_static("", 0));

        g_assert_cmpint(truncate(path, (off_t)REVOCATION_FILE_MAX + 1), ==, 0);
        f->config.deny_list = g_strdup("/dev/zero");
        assert_refused(f, "/dev/zero", "not a file");
        g_clear_pointer(&f->config.deny_list, g_free);
        set_lists(f, path);
        assert_refused(f, path, "not a file");
}

static void add(const char *name, void (*test)(Fixture *, gconstpointer)) {
        g_test_add(name, Fixture, NULL, set_up, test, tear_down);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        add("/revocation-files/nothing-configured-is-nothing", test_nothing_configured_is_nothing);
        add("/revocation-files/a-directory-is-all-its-files", test_a_directory_is_all_its_files);
        add("/revocation-files/a-bad-one-among-good-ones-is-named",
            test_a_bad_one_among_good_ones_is_named);
        add("/revocation-files/a-file-is-a-list", test_a_file_is_a_list);
        add("/revocation-files/a-deny-list-denies", test_a_deny_list_denies);
        add("/revocation-files/a-bad-line-is-named", test_a_bad_line_is_named);
        add("/revocation-files/a-file-that-is-not-there-is-named",
            test_a_file_that_is_not_there_is_named);
        add("/revocation-files/a-file-without-end-is-not-read",
            test_a_file_without_end_is_not_read);
        return g_test_run();
}
