/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * dtlsctl and what the service keeps by name: identities, pre-shared keys, trust sets, revocations
 * and pins.
 */

#include "lib/certificates.h"
#include "lib/revocations.h"
#include "shell.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

/* ---- identities and pre-shared keys ---- */

/* What a line that works prints. */
static char *output_of(const char *line) {
        g_autoptr(Program) program = program_start(line);

        g_assert_cmpint(program_wait(program), ==, 0);
        return g_strstrip(g_strdup(program_output(program)));
}

static char *fingerprint(const Scene *scene, const char *name) {
        g_autofree char *line = g_strdup_printf(
                "openssl x509 -in \"$F/%s.crt\" -outform DER | sha256sum | cut -d' ' -f1", name);

        return output_of(line);
}

/* The day on which a certificate ends. */
static char *last_day(const char *name) {
        g_autofree char *line = g_strdup_printf("date -u -d \"$(openssl x509 -in \"$F/%s.crt\" "
                                                "-noout -enddate | cut -d= -f2)\" +%%F",
                                                name);

        return output_of(line);
}

static char *days_left(const char *name) {
        g_autofree char *line = g_strdup_printf(
                "echo $((($(date -d \"$(openssl x509 -in \"$F/%s.crt\" -noout -enddate | "
                "cut -d= -f2)\" +%%s) - $(date +%%s)) / 86400))",
                name);

        return output_of(line);
}

/* What `dtlsctl identities` says of one. */
static void expect_identity(const Scene *scene, const char *name, const char *type,
                            const char *file) {
        g_autofree char *sum = fingerprint(scene, file), *day = last_day(file);
        g_autofree char *days = days_left(file);
        g_autofree char *row = g_strdup_printf("\n%-32s %-8s %s %-5s %s CN=localhost\n", name, type,
                                               day, days, sum);

        expect("dtlsctl identities", 0, row, "");
}

static void expect_import(const char *name, const char *file) {
        g_autofree char *line =
                g_strdup_printf("dtlsctl import %s --certificate \"$F/%s.crt\" --key \"$F/%s.key\"",
                                name, file, file);

        expect(line, 0, "", "");
}

/* Names that whoever runs this may import: a plain one is for root. */
static char *own_name(void) {
        return g_strdup_printf("u/%u/device", geteuid());
}

/* A listener with this identity is the one that a client trusts. */
static void expect_served(const char *name) {
        g_autofree char *options = g_strconcat("--echo --identity ", name, NULL), *port = NULL;
        g_autoptr(Program) server = start_listener(options, &port);
        g_autofree char *line = g_strdup_printf(
                "printf hello | dtlsctl connect --ca \"$F/ca.crt\" 127.0.0.1 %s", port);

        expect(line, 0, "hello", "dtlsctl: connection ");
}

static void test_identities_are_kept_used_replaced_and_forgotten(Scene *scene, const void *unused) {
        g_autofree char *name = own_name(), *options = NULL, *port = NULL, *line = NULL;
        g_autofree char *remove = g_strconcat("dtlsctl remove ", name, NULL);
        g_autoptr(Program) server = NULL;

        expect("dtlsctl identities", 0, "NAME ", "");
        expect_import(name, "server");
        expect_identity(scene, name, "ECDSA", "server");

        options = g_strconcat("--echo --identity ", name, NULL);
        server = start_listener(options, &port);
        (void)server; /* runs until the end */
        line = g_strdup_printf("printf hello | dtlsctl connect --ca \"$F/ca.crt\" --identity %s "
                               "127.0.0.1 %s",
                               name, port);
        expect(line, 0, "hello", "dtlsctl: connection ");

        expect_import(name, "rsa");
        expect_identity(scene, name, "RSA", "rsa");
        expect(remove, 0, "", "");
        expect(line, 1, "", name);
        expect(remove, 1, "", name);
}

static void test_what_has_ended_is_said(Scene *scene, const void *unused) {
        g_autoptr(TestIdentity) over = test_identity_until("over", time(NULL) - 10);
        g_autofree char *name = own_name();

        test_identity_write(over, scene->directory, "over");
        expect_import(name, "over");
        expect("dtlsctl identities", 0, " ended ", "");
}

static void test_an_encrypted_key_takes_its_passphrase_from_a_file(Scene *scene,
                                                                   const void *unused) {
        g_autofree char *name = own_name();
        g_autofree char *line = g_strdup_printf("dtlsctl import %s --certificate \"$F/server.crt\" "
                                                "--key \"$F/locked.key\"",
                                                name);
        g_autofree char *right = g_strconcat(line, " --passphrase-file \"$F/right\"", NULL);
        g_autofree char *bare = g_strconcat(line, " --passphrase-file \"$F/bare\"", NULL);
        g_autofree char *wrong = g_strconcat(line, " --passphrase-file \"$F/wrong\"", NULL);

        expect("openssl pkcs8 -topk8 -in \"$F/server.key\" -out \"$F/locked.key\" "
               "-passout pass:'open sesame'",
               0, "", "");
        expect("echo 'open sesame' >\"$F/right\"; printf 'open sesame' >\"$F/bare\"; "
               "echo 'open barley' >\"$F/wrong\"",
               0, "", "");
        expect(line, 1, "", "the private key is encrypted");
        expect(wrong, 1, "", "the passphrase is not that of the private key");
        expect(right, 0, "", "");
        expect(bare, 0, "", "");
}

static void test_a_pkcs12_file_brings_key_and_chain(Scene *scene, const void *unused) {
        g_autofree char *name = own_name();
        g_autofree char *import =
                g_strdup_printf("dtlsctl import %s --pkcs12 \"$F/server.p12\"", name);
        g_autofree char *right = g_strconcat(import, " --passphrase-file \"$F/right\"", NULL);
        g_autofree char *wrong = g_strconcat(import, " --passphrase-file \"$F/wrong\"", NULL);

        expect("openssl pkcs12 -export -inkey \"$F/server.key\" -in \"$F/server.crt\" "
               "-out \"$F/server.p12\" -passout pass:'open sesame'",
               0, "", "");
        expect("echo 'open sesame' >\"$F/right\"; echo 'open barley' >\"$F/wrong\"", 0, "", "");
        expect(import, 1, "", "the PKCS#12 file is encrypted; give its passphrase");
        expect(wrong, 1, "", "the passphrase is not that of the PKCS#12 file");
        expect(right, 0, "", "");
        expect_identity(scene, name, "ECDSA", "server");
        expect_served(name);
}

static void test_a_key_is_made_in_the_store(Scene *scene, const void *unused) {
        g_autofree char *name = own_name();
        g_autofree char *generate =
                g_strdup_printf("dtlsctl generate %s --subject CN=localhost,O=Example "
                                "--alt-name localhost --alt-name 127.0.0.1 >\"$F/made.csr\"",
                                name);
        g_autofree char *install = g_strdup_printf("dtlsctl install %s \"$F/made.crt\"", name);
        g_autofree char *wrong = g_strdup_printf("dtlsctl install %s \"$F/server.crt\"", name);
        g_autofree char *type = g_strdup_printf("dtlsctl generate %s --key-type RSA", name);

        expect(type, 1, "", "a key is of the type ECDSA-P256,");
        expect(generate, 0, "", "");
        expect("openssl req -in \"$F/made.csr\" -noout -verify -subject 2>&1", 0,
               "O = Example, CN = localhost", "");
        expect("openssl x509 -req -in \"$F/made.csr\" -CA \"$F/ca.crt\" -CAkey \"$F/ca.key\" "
               "-days 1 -copy_extensions copy -out \"$F/made.crt\" 2>/dev/null",
               0, "", "");
        expect(wrong, 1, "", "not that of the first certificate");
        expect(install, 0, "", "");
        expect_served(name);
}

static void test_import_says_why_not(Scene *scene, const void *unused) {
        g_autofree char *name = own_name();
        g_autofree char *mixed =
                g_strdup_printf("dtlsctl import %s --certificate \"$F/server.crt\" "
                                "--key \"$F/client.key\"",
                                name);
        g_autofree char *none =
                g_strdup_printf("dtlsctl import %s --certificate nofile --key nofile", name);

        expect(none, 1, "", "dtlsctl: nofile: No such file or directory\n");
        expect(mixed, 1, "", name);
        expect("dtlsctl import .. " OPTIONS_CERTIFICATE, 1, "", "dtlsctl: ..: ");
        expect("dtlsctl remove ..", 1, "", "dtlsctl: ..: ");
}

static void test_psks_are_kept_used_replaced_and_forgotten(Scene *scene, const void *unused) {
        g_autofree char *name = g_strdup_printf("u/%u/sensor", geteuid());
        g_autofree char *set = g_strdup_printf("echo 00ff17 | dtlsctl set-psk %s --psk-identity "
                                               "'sensor 17' --psk-file /dev/stdin",
                                               name);
        g_autofree char *remove = g_strconcat("dtlsctl remove-psk ", name, NULL);
        g_autofree char *row = g_strdup_printf("\n%-32s sensor 17\n", name);
        g_autofree char *options = g_strdup_printf("--echo --psks 'u/%u/*'", geteuid());
        g_autofree char *port = NULL, *by_name = NULL, *by_key = NULL, *other_key = NULL;
        g_autoptr(Program) server = NULL;

        expect("dtlsctl psks", 0, "NAME ", "");
        expect(set, 0, "", "");
        expect("dtlsctl psks", 0, row, "");

        server = start_listener(options, &port);
        (void)server; /* runs until the end */
        by_name = g_strdup_printf("printf hello | dtlsctl connect --psks %s 127.0.0.1 %s", name,
                                  port);
        by_key = g_strdup_printf("echo 00FF17 >\"$F/psk\"; printf hello | dtlsctl connect "
                                 "--psk-identity 'sensor 17' --psk-file \"$F/psk\" 127.0.0.1 %s",
                                 port);
        other_key = g_strdup_printf("echo 00ff18 | dtlsctl set-psk %s --psk-identity 'sensor 17' "
                                    "--psk-file /dev/stdin",
                                    name);
        expect(by_name, 0, "hello", "dtlsctl: connection ");
        expect(by_key, 0, "hello", "dtlsctl: connection ");
        expect(other_key, 0, "", "");
        expect(by_name, 0, "hello", "dtlsctl: connection ");
        expect(by_key, 1, "", "another pre-shared key for our identity, or none");
        expect(remove, 0, "", "");
        expect(by_name, 1, "", "names 0 pre-shared keys");
        expect(remove, 1, "", name);
        expect("dtlsctl set-psk .. --psk-identity x --psk-file \"$F/psk\"", 1, "", "dtlsctl: ..: ");
}

/* ---- trust ---- */

static void test_trust_sets_are_kept_used_and_forgotten(Scene *scene, const void *unused) {
        g_autofree char *name = g_strdup_printf("u/%u/peers", geteuid());
        g_autofree char *sum = fingerprint(scene, "ca"), *port = NULL, *row = NULL;
        g_autofree char *add = g_strdup_printf("dtlsctl trust add %s \"$F/ca.crt\"", name);
        g_autofree char *add_more =
                g_strdup_printf("dtlsctl trust add %s \"$F/ca.crt\" \"$F/server.crt\"", name);
        g_autofree char *drop = g_strdup_printf("dtlsctl trust remove %s %s", name, sum);
        g_autofree char *drop_all = g_strdup_printf("dtlsctl trust remove %s", name);
        g_autofree char *connect = NULL;
        g_autoptr(Program) server = NULL;

        expect("dtlsctl trust list", 0, "NAME ", "");
        expect(add, 0, "", "");
        row = g_strdup_printf("%-24s %s ", name, sum);
        expect("dtlsctl trust list", 0, row, "");

        server = start_listener("--echo " OPTIONS_CERTIFICATE, &port);
        (void)server; /* runs until the end */
        connect = g_strdup_printf("printf hello | dtlsctl connect --trust %s 127.0.0.1 %s", name,
                                  port);
        expect(connect, 0, "hello", "");
        expect(add_more, 0, "", "");
        expect(drop, 0, "", "");
        expect(drop, 1, "", name);
        expect(drop_all, 0, "", "");
        expect(connect, 1, "", name);
        expect("dtlsctl trust add x nofile", 1, "", "nofile: No such file");
}

/* ca.crl, of nobody whom anybody here knows. */
static void write_list(const Scene *scene) {
        g_autoptr(TestIdentity) other =
                test_identity_new("Another CA", NULL, TEST_IDENTITY_CA, TEST_KEY_ECDSA);
        g_autoptr(GBytes) list = test_crl_new(other, NULL, other, NULL);

        g_free(test_write(scene->directory, "ca.crl", list));
}

static void test_revocations_are_kept_and_forgotten(Scene *scene, const void *unused) {
        g_autofree char *name = g_strdup_printf("u/%u/stolen", geteuid());
        g_autofree char *sum = fingerprint(scene, "server"), *port = NULL, *row = NULL;
        g_autofree char *set = g_strdup_printf("dtlsctl revocations set %s %s", name, sum);
        g_autofree char *show = g_strdup_printf("dtlsctl revocations list %s", name);
        g_autofree char *drop = g_strdup_printf("dtlsctl revocations remove %s", name);
        g_autofree char *set_list =
                g_strdup_printf("dtlsctl revocations set %s \"$F/ca.crl\"", name);
        g_autofree char *connect = NULL;
        g_autoptr(Program) server = start_listener("--echo " OPTIONS_CERTIFICATE, &port);

        connect = g_strdup_printf("printf hello | dtlsctl connect --ca \"$F/ca.crt\" 127.0.0.1 %s",
                                  port);
        expect("dtlsctl revocations list", 0, "NAME ", "");
        expect(connect, 0, "hello", "");
        expect(set, 0, "", "");
        row = g_strdup_printf("\n%-32s %5s %6s its user\n", name, "0", "1");
        expect("dtlsctl revocations list", 0, row, "");
        expect(show, 0, sum, "");
        expect(connect, 1, "", "127.0.0.1");

        write_list(scene);
        expect(set_list, 0, "", "");
        expect(show, 0, " CN=Another CA\n", "");
        expect(connect, 0, "hello", "");
        expect(drop, 0, "", "");
        expect(drop, 1, "", name);
        expect("dtlsctl revocations set x nofile", 1, "", "nofile: No such file");
}

/* The SHA-256 of the public key. */
static char *pin_of(const char *name) {
        g_autofree char *line = g_strdup_printf("openssl x509 -in \"$F/%s.crt\" -pubkey -noout | "
                                                "openssl pkey -pubin -outform DER | sha256sum | "
                                                "cut -d' ' -f1",
                                                name);

        return output_of(line);
}

static void test_pins_are_kept_used_and_forgotten(Scene *scene, const void *unused) {
        g_autofree char *sum = pin_of("server"), *port = NULL, *row = NULL, *pin = NULL;
        g_autofree char *connect = NULL, *first = NULL, *unpin = NULL, *unpin_one = NULL;
        g_autoptr(Program) server = start_listener("--echo " OPTIONS_CERTIFICATE, &port);

        connect = g_strdup_printf("printf hello | dtlsctl connect 127.0.0.1 %s", port);
        first = g_strdup_printf("printf hello | dtlsctl connect --trust-on-first-use 127.0.0.1 %s",
                                port);
        pin = g_strdup_printf("dtlsctl pin 127.0.0.1 %s %s", port, sum);
        unpin = g_strdup_printf("dtlsctl unpin 127.0.0.1 %s", port);
        unpin_one = g_strdup_printf("dtlsctl unpin 127.0.0.1 %s %s", port, sum);
        row = g_strdup_printf("\n%-32s %5s %s you\n", "127.0.0.1", port, sum);

        expect("dtlsctl pins", 0, "HOST ", "");
        expect(connect, 1, "", "127.0.0.1");
        expect(pin, 0, "", "");
        expect("dtlsctl pins", 0, row, "");
        expect(connect, 0, "hello", "");
        expect(unpin_one, 0, "", "");
        expect(unpin, 1, "", "no such key is pinned");
        expect(connect, 1, "", "127.0.0.1");

        expect(first, 0, "hello", "");
        expect("dtlsctl pins", 0, row, "");
        expect(connect, 0, "hello", "");
        expect(unpin, 0, "", "");
}

#define ADD(path, function)                                                                        \
        g_test_add("/dtlsctl/" path, Scene, NULL, shell_set_up, function, scene_tear_down)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        shell_init("DTLSD_PROGRAMS");

        ADD("identities/are-kept-used-replaced-and-forgotten",
            test_identities_are_kept_used_replaced_and_forgotten);
        ADD("identities/that-have-ended-are-shown-so", test_what_has_ended_is_said);
        ADD("identities/with-an-encrypted-key-take-its-passphrase-from-a-file",
            test_an_encrypted_key_takes_its_passphrase_from_a_file);
        ADD("identities/come-from-a-pkcs12-file-too", test_a_pkcs12_file_brings_key_and_chain);
        ADD("identities/are-made-in-the-store", test_a_key_is_made_in_the_store);
        ADD("identities/that-cannot-be-are-told-why", test_import_says_why_not);
        ADD("psks/are-kept-used-replaced-and-forgotten",
            test_psks_are_kept_used_replaced_and_forgotten);
        ADD("trust/sets-are-kept-used-and-forgotten", test_trust_sets_are_kept_used_and_forgotten);
        ADD("trust/revocations-are-kept-and-forgotten", test_revocations_are_kept_and_forgotten);
        ADD("trust/pins-are-kept-used-and-forgotten", test_pins_are_kept_used_and_forgotten);
        return g_test_run();
}
