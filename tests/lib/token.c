/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "token.h"

#include <glib/gstdio.h>
#include <stdlib.h>

#define SO_PIN "4321"

struct TestToken {
        char *home; /* of softhsm2.conf */
        char *slot; /* the folder that SoftHSM looks into, */
        char *away; /* and where it lies when it does not find it */
};

static void run(const char *const *arguments) {
        g_autofree char *error = NULL;
        int status;

        g_assert_true(g_spawn_sync(NULL, (char **)arguments, NULL,
                                   G_SPAWN_SEARCH_PATH | G_SPAWN_STDOUT_TO_DEV_NULL, NULL, NULL,
                                   NULL, &error, &status, NULL));
        if (status != 0)
                g_error("%s: %s", arguments[0], error);
}

const char *test_token_module(void) {
        static const char *const paths[] = {"/usr/lib/softhsm/libsofthsm2.so",
                                            "/usr/lib64/pkcs11/libsofthsm2.so",
                                            "/usr/lib/pkcs11/libsofthsm2.so"};

        for (size_t i = 0; i < G_N_ELEMENTS(paths); i++)
                if (g_file_test(paths[i], G_FILE_TEST_EXISTS))
                        return paths[i];

        return NULL;
}

static bool token_is_possible(void) {
        g_autofree char *program = g_find_program_in_path("softhsm2-util");

        if (program && test_token_module())
                return true;

        g_test_skip("SoftHSM is not installed");
        return false;
}

static void token_init(void) {
        const char *const arguments[] = {
                "softhsm2-util", "--init-token", "--free",   "--label", "gate",
                "--pin",         TEST_TOKEN_PIN, "--so-pin", SO_PIN,    NULL};

        run(arguments);
}

TestToken *test_token_new(void) {
        g_autofree char *folder = NULL, *file = NULL, *config = NULL;
        TestToken *token;

        if (!token_is_possible())
                return NULL;

        token = g_new0(TestToken, 1);
        token->home = g_dir_make_tmp("dtlsd-token.XXXXXX", NULL);
        token->slot = g_build_filename(token->home, "slot", NULL);
        token->away = g_build_filename(token->home, "away", NULL);
        folder = g_build_filename(token->home, ".config", "softhsm2", NULL);
        file = g_build_filename(folder, "softhsm2.conf", NULL);
        config = g_strdup_printf("directories.tokendir = %s\n", token->slot);
        g_assert_cmpint(g_mkdir_with_parents(folder, 0700), ==, 0);
        g_assert_cmpint(g_mkdir(token->slot, 0700), ==, 0);
        g_assert_true(g_file_set_contents(file, config, -1, NULL));
        g_assert_true(g_setenv("HOME", token->home, TRUE));
        g_unsetenv("SOFTHSM2_CONF");
        /* what SoftHSM and its OpenSSL do not free is not ours */
        g_assert_true(g_setenv("LSAN_OPTIONS", "detect_leaks=0", TRUE));
        token_init();
        return token;
}

TestToken *test_token_free(TestToken *token) {
        const char *arguments[] = {"rm", "-r", NULL, NULL};

        if (!token)
                return NULL;

        g_unsetenv("LSAN_OPTIONS");
        arguments[2] = token->home;
        run(arguments);
        g_free(token->home);
        g_free(token->slot);
        g_free(token->away);
        g_free(token);
        return NULL;
}

char *test_token_import(const TestToken *token, const TestIdentity *identity, const char *label) {
        static unsigned last_id;
        g_autofree char *file =
                test_write(token->home, "import.p8", test_identity_key_pem(identity));
        g_autofree char *id = g_strdup_printf("%02x", ++last_id);
        const char *const arguments[] = {"softhsm2-util", "--import", file,   "--token", "gate",
                                         "--label",       label,      "--id", id,        "--pin",
                                         TEST_TOKEN_PIN,  NULL};

        run(arguments);
        return g_strdup_printf("pkcs11:token=gate;object=%s", label);
}

void test_token_set_present(const TestToken *token, bool present) {
        if (present) {
                g_assert_cmpint(g_rmdir(token->slot), ==, 0);
                g_assert_cmpint(g_rename(token->away, token->slot), ==, 0);
        } else {
                g_assert_cmpint(g_rename(token->slot, token->away), ==, 0);
                g_assert_cmpint(g_mkdir(token->slot, 0755), ==, 0);
        }
}

void test_token_replace(const TestToken *token) {
        const char *const arguments[] = {"softhsm2-util", "--delete-token", "--token", "gate",
                                         NULL};

        run(arguments);
        token_init();
}

void test_token_give(const TestToken *token, const char *user) {
        const char *const arguments[] = {"chown", "-R", user, token->home, NULL};

        run(arguments);
}
