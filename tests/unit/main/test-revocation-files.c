/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* revocation files: what is good counts, and what is not is named. */

#include "identity/certificate.h"
#include "lib/capture.h"
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

/* What was said; to be freed. */
static char *read_files(Fixture *f) {
        capture_begin();
        f->revocations = revocation_files_read(&f->config);
        g_assert_nonnull(f->revocations);
        return capture_end();
}

static void assert_says(const char *said, const char *path, const char *words) {
        g_test_message("%s", said);
        g_assert_nonnull(strstr(said, path));
        g_assert_nonnull(strstr(said, words));
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

static void test_nothing_configured_is_nothing_said(Fixture *f, gconstpointer unused) {
        g_autofree char *said = read_files(f);

        g_assert_cmpstr(said, ==, "");
        g_assert_false(denies_leaf(f));
        g_assert_cmpint(status_of_leaf(f), ==, REVOCATIONS_SILENT);
}

static void test_a_directory_is_all_its_files(Fixture *f, gconstpointer unused) {
        g_autofree char *said = NULL;
        g_autofree char *bad = write_taken(f, "bad.crl", g_bytes_new_static("nonsense", 8));
        g_autofree char *good =
                write_taken(f, "good.crl", test_crl_new(f->ca, NULL, f->leaf, NULL));
        g_autofree char *hidden = write_taken(f, ".new", g_bytes_new_static("half", 4));

        set_lists(f, f->folder);
        said = read_files(f);
        assert_says(said, bad, "CRL");
        g_assert_null(strstr(said, good));
        g_assert_null(strstr(said, hidden));
        g_assert_cmpint(status_of_leaf(f), ==, REVOCATIONS_REVOKED);
}

static void test_a_file_is_a_list(Fixture *f, gconstpointer unused) {
        g_autofree char *said = NULL;
        g_autofree char *path = write_taken(f, "ca.crl", test_crl_new(f->ca, NULL, NULL, NULL));

        set_lists(f, path);
        said = read_files(f);
        g_assert_cmpstr(said, ==, "");
        g_assert_cmpint(status_of_leaf(f), ==, REVOCATIONS_GOOD);
}

static void test_a_bad_line_is_named_and_the_rest_counts(Fixture *f, gconstpointer unused) {
        g_autofree char *hash = certificate_fingerprint(test_identity_der(f->leaf));
        g_autofree char *text = g_strdup_printf("# denied\n%.60s\n%s\n", hash, hash);
        g_autofree char *said = NULL;

        f->config.deny_list = write_taken(f, "denied", g_bytes_new(text, strlen(text)));
        said = read_files(f);
        assert_says(said, f->config.deny_list, "line 2 ");
        g_assert_true(denies_leaf(f));
}

static void test_a_file_that_is_not_there_is_named(Fixture *f, gconstpointer unused) {
        g_autofree char *lists = g_build_filename(f->folder, "lists", NULL);
        g_autofree char *said = NULL;

        f->config.deny_list = g_build_filename(f->folder, "denied", NULL);
        set_lists(f, lists);
        said = read_files(f);
        assert_says(said, f->config.deny_list, "No such file");
        assert_says(said, lists, "No such file");
}

static void test_a_file_without_end_is_not_read(Fixture *f, gconstpointer unused) {
        g_autofree char *path = write_taken(f, "large", g_bytes_new_static("", 0));
        g_autofree char *said = NULL;

        g_assert_cmpint(truncate(path, (off_t)REVOCATION_FILE_MAX + 1), ==, 0);
        f->config.deny_list = g_strdup("/dev/zero");
        set_lists(f, path);
        said = read_files(f);
        assert_says(said, "/dev/zero", "not a file");
        assert_says(said, path, "not a file");
}

static void add(const char *name, void (*test)(Fixture *, gconstpointer)) {
        g_test_add(name, Fixture, NULL, set_up, test, tear_down);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        add("/revocation-files/nothing-configured-is-nothing-said",
            test_nothing_configured_is_nothing_said);
        add("/revocation-files/a-directory-is-all-its-files", test_a_directory_is_all_its_files);
        add("/revocation-files/a-file-is-a-list", test_a_file_is_a_list);
        add("/revocation-files/a-bad-line-is-named-and-the-rest-counts",
            test_a_bad_line_is_named_and_the_rest_counts);
        add("/revocation-files/a-file-that-is-not-there-is-named",
            test_a_file_that_is_not_there_is_named);
        add("/revocation-files/a-file-without-end-is-not-read",
            test_a_file_without_end_is_not_read);
        return g_test_run();
}
