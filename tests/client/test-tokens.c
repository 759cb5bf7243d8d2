/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * dtlsctl and keys in PKCS#11 tokens, SoftHSM's: what a person at the shell does, and is told.
 */

#include "lib/certificates.h"
#include "lib/token.h"
#include "shell.h"

#include <string.h>
#include <unistd.h>

#define IMPORT "dtlsctl import tls --certificate \"$F/token.crt\" --key-uri "
#define URI "'pkcs11:token=gate;object=tls' "

/* A scene whose service has this module (NULL: none), with a token that has the key of token.crt.
 * False: that cannot be here, and the test is skipped. */
static bool scene_with_token(Scene *scene, const char *module, TestToken **ret) {
        g_autoptr(TestIdentity) identity =
                test_identity_new("localhost", NULL, TEST_IDENTITY_LOOPBACK, TEST_KEY_ECDSA);
        g_autofree char *uri = NULL;

        if (geteuid() != 0) {
                g_test_skip("keys in tokens are the administrator's: this needs root");
                return false;
        }

        *ret = test_token_new();
        if (!*ret)
                return false;

        if (module)
                g_setenv(SERVICE_MODULE_VARIABLE, module, TRUE);
        scene_set_up(scene, NULL);
        g_unsetenv(SERVICE_MODULE_VARIABLE);
        shell_enter(scene);
        test_identity_write(identity, scene->directory, "token");
        uri = test_token_import(*ret, identity, "tls");
        test_token_give(*ret, "nobody");
        g_assert_true(g_file_set_contents(scene_file(scene, "pin"), TEST_TOKEN_PIN "\n", -1, NULL));
        g_assert_true(g_file_set_contents(scene_file(scene, "wrong"), "4711\n", -1, NULL));
        return true;
}

static void scene_end(Scene *scene, TestToken *token) {
        scene_tear_down(scene, NULL);
        test_token_free(token);
}

static void expect_hello_over_it(void) {
        g_autofree char *port = NULL;
        g_autoptr(Program) listener = start_listener("--echo --identity tls", &port);
        g_autofree char *line = g_strdup_printf("test \"$(echo hello | dtlsctl connect --ca "
                                                "\"$F/token.crt\" 127.0.0.1 %s)\" = hello",
                                                port);

        expect(line, 0, "", "");
}

static void test_the_pin_is_in_a_file(void) {
        Scene scene;
        g_autoptr(TestToken) token = NULL;

        if (!scene_with_token(&scene, test_token_module(), &token))
                return;

        expect(IMPORT URI "--passphrase-file \"$F/pin\"", 0, "", "");
        expect_hello_over_it();
        scene_end(&scene, g_steal_pointer(&token));
}

/* So that a prompt's answer can be piped into it, and nothing has to be in a file. */
static void test_the_pin_comes_by_a_pipe(void) {
        Scene scene;
        g_autoptr(TestToken) token = NULL;

        if (!scene_with_token(&scene, test_token_module(), &token))
                return;

        expect("echo " TEST_TOKEN_PIN " | " IMPORT URI "--passphrase-file /dev/stdin", 0, "", "");
        expect_hello_over_it();
        scene_end(&scene, g_steal_pointer(&token));
}

static void test_what_is_wrong_is_told(void) {
        const struct {
                const char *line, *text;
        } wrong[] = {
                {IMPORT URI "--passphrase-file \"$F/wrong\"", "the token refuses the PIN"},
                {IMPORT URI, "the token refuses the PIN, or wants one; give it as the passphrase"},
                {IMPORT "'pkcs11:token=gate;object=other' --passphrase-file \"$F/pin\"",
                 "no token has a private key of this PKCS#11 URI; is it there?"},
                {IMPORT "'pkcs11:token=none;object=tls' --passphrase-file \"$F/pin\"",
                 "no token has a private key of this PKCS#11 URI; is it there?"},
                {IMPORT "key.pem", "a key's URI begins with pkcs11:"},
                {IMPORT "'pkcs11:token=gate;object=tls?pin-value=1234'",
                 "give the PIN as the passphrase"},
                {"dtlsctl import tls --certificate \"$F/server.crt\" --key-uri " URI
                 "--passphrase-file \"$F/pin\"",
                 "the private key in the token is not that of the first certificate"},
                {IMPORT URI "--passphrase-file \"$F/none\"", "/none: No such file or directory"},
                {IMPORT URI "--passphrase-file \"$F\" || exit 1", ": Is a directory"},
                {IMPORT URI "--passphrase-file /dev/zero || exit 1",
                 "/dev/zero: too long for a passphrase"},
        };
        Scene scene;
        g_autoptr(TestToken) token = NULL;

        if (!scene_with_token(&scene, test_token_module(), &token))
                return;

        for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++)
                expect(wrong[i].line, 1, "", wrong[i].text);
        expect("dtlsctl identities | grep tls || echo none >&2; exit 1", 1, "", "none");

        /* and nothing of it is in the way of what is right */
        expect(IMPORT URI "--passphrase-file \"$F/pin\"", 0, "", "");
        scene_end(&scene, g_steal_pointer(&token));
}

static void expect_without_module(const char *module, const char *text, const char *logged) {
        g_autoptr(TestToken) token = NULL;
        g_autofree char *log = NULL;
        Scene scene;

        if (!scene_with_token(&scene, module, &token))
                return;

        expect(IMPORT URI "--passphrase-file \"$F/pin\"", 1, "", text);
        log = service_log(scene.service);
        g_assert_nonnull(strstr(log, logged));
        scene_end(&scene, g_steal_pointer(&token));
}

static void test_a_missing_module_is_told(void) {
        expect_without_module(NULL,
                              "no PKCS#11 module may be loaded; start the keyring with "
                              "--pkcs11-module",
                              "no PKCS#11 module may be loaded");
        expect_without_module("/usr/lib/none.so",
                              "a PKCS#11 module cannot be loaded; the keyring's journal names it",
                              "the PKCS#11 module /usr/lib/none.so cannot be loaded: ");
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        shell_init("DTLSD_PROGRAMS");
        g_test_add_func("/tokens/the-pin-is-in-a-file", test_the_pin_is_in_a_file);
        g_test_add_func("/tokens/the-pin-comes-by-a-pipe", test_the_pin_comes_by_a_pipe);
        g_test_add_func("/tokens/what-is-wrong-is-told", test_what_is_wrong_is_told);
        g_test_add_func("/tokens/a-missing-module-is-told", test_a_missing_module_is_told);
        return g_test_run();
}
