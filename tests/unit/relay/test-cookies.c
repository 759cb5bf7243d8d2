/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Parameters of cookies, into a jar and a spec. */

#include "relay/private.h"
#include "world.h"

#include <string.h>

typedef struct Stage {
        Spec *spec;
        CookieJar *jar;
        Reason reason;
} Stage;

static void stage_up(Stage *stage, gconstpointer unused) {
        stage->spec = spec_new(DTLS_SERVER, WORLD_UID, WORLD_OWNER);
        g_assert_cmpint(cookies_make_jar(stage->spec, &stage->jar, &stage->reason), ==, 0);
}

static void stage_down(Stage *stage, gconstpointer unused) {
        cookie_jar_free(stage->jar);
        spec_free(stage->spec);
}

static int stage_set(Stage *stage, const char *hash, const void *secret, size_t size) {
        CookieParameters parameters = {.hash = hash, .secret = secret, .size = size};

        return cookies_set(stage->spec, &stage->jar, &parameters, &stage->reason);
}

static void begin_random(Stage *stage, gconstpointer unused) {
        CookieParameters parameters = cookies_parameters(stage->jar);
        CookieJar *other = NULL;

        g_assert_cmpstr(parameters.hash, ==, "Sha256");
        g_assert_cmpuint(parameters.size, ==, 32);
        g_assert_cmpint(cookies_make_jar(stage->spec, &other, &stage->reason), ==, 0);
        g_assert_true(memcmp(cookies_parameters(other).secret, parameters.secret, 32) != 0);
        cookie_jar_free(other);
}

static void are_as_they_were_set(Stage *stage, gconstpointer unused) {
        CookieParameters parameters;
        CookieJar *later = NULL;

        g_assert_cmpint(stage_set(stage, "Sha512", "spice", 5), ==, 0);
        parameters = cookies_parameters(stage->jar);
        g_assert_cmpstr(parameters.hash, ==, "Sha512");
        g_assert_cmpmem(parameters.secret, parameters.size, "spice", 5);

        /* what is made of the spec later has them too */
        g_assert_cmpint(cookies_make_jar(stage->spec, &later, &stage->reason), ==, 0);
        parameters = cookies_parameters(later);
        g_assert_cmpstr(parameters.hash, ==, "Sha512");
        g_assert_cmpmem(parameters.secret, parameters.size, "spice", 5);
        cookie_jar_free(later);
}

static void stay_when_a_change_is_refused(Stage *stage, gconstpointer unused) {
        g_autofree char *too_long = g_strnfill(COOKIE_SECRET_MAX + 1, 'x');
        CookieParameters parameters;

        g_assert_cmpint(stage_set(stage, "Sha512", "spice", 5), ==, 0);

        g_assert_cmpint(stage_set(stage, "Sha1", "", 0), ==, RELAY_E_INVALID_PARAMETERS);
        g_assert_nonnull(strstr(stage->reason.text, "1 to 1024"));
        g_assert_cmpint(stage_set(stage, "Sha1", NULL, 0), ==, RELAY_E_INVALID_PARAMETERS);
        g_assert_cmpint(stage_set(stage, "Sha1", too_long, COOKIE_SECRET_MAX + 1), ==,
                        RELAY_E_INVALID_PARAMETERS);
        g_assert_nonnull(strstr(stage->reason.text, "1025"));
        g_assert_cmpint(stage_set(stage, "sha1", "spice", 5), ==, RELAY_E_INVALID_PARAMETERS);

        parameters = cookies_parameters(stage->jar);
        g_assert_cmpstr(parameters.hash, ==, "Sha512");
        g_assert_cmpstr(stage->spec->cookie_hash, ==, "Sha512");
        g_assert_cmpint(stage_set(stage, "Sha1", too_long, COOKIE_SECRET_MAX), ==, 0);
}

/* All of QCryptographicHash::Algorithm that GnuTLS has no HMAC of. */
static void are_of_the_hashes_there_are(Stage *stage, gconstpointer unused) {
        static const char *const none[] = {
                "Md4",          "Keccak_224",   "Keccak_256",   "Keccak_384",   "Keccak_512",
                "RealSha3_224", "RealSha3_256", "RealSha3_384", "RealSha3_512", "Sha3_224",
                "Sha3_256",     "Sha3_384",     "Sha3_512",     "Blake2b_160",  "Blake2b_256",
                "Blake2b_384",  "Blake2b_512",  "Blake2s_128",  "Blake2s_160",  "Blake2s_224",
                "Blake2s_256"};
        static const char *const some[] = {"Md5", "Sha1", "Sha224", "Sha256", "Sha384", "Sha512"};

        for (size_t i = 0; i < G_N_ELEMENTS(none); i++) {
                g_assert_cmpint(stage_set(stage, none[i], "spice", 5), ==,
                                RELAY_E_INVALID_PARAMETERS);
                g_assert_nonnull(
                        strstr(stage->reason.text, "Md5, Sha1, Sha224, Sha256, Sha384 or Sha512"));
        }
        for (size_t i = 0; i < G_N_ELEMENTS(some); i++) {
                g_assert_cmpint(stage_set(stage, some[i], "spice", 5), ==, 0);
                g_assert_cmpstr(cookies_parameters(stage->jar).hash, ==, some[i]);
        }
}

#define CASE(name, run) g_test_add("/cookies/" name, Stage, NULL, stage_up, run, stage_down)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_assert_cmpint(session_global_init(), ==, 0);

        CASE("begin-random", begin_random);
        CASE("are-as-they-were-set", are_as_they_were_set);
        CASE("stay-when-a-change-is-refused", stay_when_a_change_is_refused);
        CASE("are-of-the-hashes-there-are", are_of_the_hashes_there_are);
        return g_test_run();
}
