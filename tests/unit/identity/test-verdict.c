/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * verdict: every error, each with its certificate, and nothing else.
 *
 * A case is a chain, what is asked about it, and the whole list that must come: one error more is
 * as wrong as one less, because callers ignore errors by exact pairs.
 */

#include "identity/chain.h"
#include "identity/verdict.h"
#include "lib/revocations.h"

#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <gnutls/x509.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#define NAME "server.example.org"

static TestIdentity *root, *inter, *leaf; /* a good chain, for NAME and loopback */
static TestIdentity *stranger;            /* a root that nobody trusts */

typedef struct Case {
        TestIdentity *chain[4];
        TestIdentity *trust; /* NULL: root */
        const char *name;
        bool peer_is_client;
        uint32_t depth;
        Revocations *revocations;
        bool wants_ocsp;
        GBytes *response;
        const GPtrArray *pins;
        bool vouched;
} Case;

static bool reached[N_VERDICT_CODES]; /* which errors were expected, and came */

static GArray *reach_by(const Trust *trust, VerdictQuestion question) {
        GArray *errors = NULL;

        question.trust = trust;
        g_assert_cmpint(verdict_reach(&question, &errors), ==, 0);
        return errors;
}

/* By a set that is given, and by one that was kept: they say the same. */
static GArray *reach_under(const TestIdentity *anchor, const VerdictQuestion *question) {
        g_autoptr(GPtrArray) blobs = test_chain_ders(anchor, NULL);
        g_autoptr(Trust) given = NULL;
        g_autoptr(Trust) kept = trust_new_kept(blobs);
        g_autoptr(GArray) same = reach_by(kept, *question);
        GArray *errors;

        g_assert_cmpint(trust_new(blobs, &given), ==, 0);
        errors = reach_by(given, *question);
        g_assert_cmpuint(errors->len, ==, same->len);
        g_assert_true(verdict_all_ignored(errors, same, NULL));
        return errors;
}

static GArray *reach(GPtrArray *chain, const TestIdentity *anchor, const char *name) {
        const VerdictQuestion question = {.chain = chain, .name = name, .peer_is_server = true};

        return reach_under(anchor, &question);
}

static GArray *reach_case(const Case *c) {
        g_autoptr(GPtrArray) chain =
                test_chain_ders(c->chain[0], c->chain[1], c->chain[2], c->chain[3], NULL);
        const VerdictQuestion question = {.chain = chain,
                                          .name = c->name,
                                          .peer_is_server = !c->peer_is_client,
                                          .depth = c->depth,
                                          .revocations = c->revocations,
                                          .pins = c->pins,
                                          .vouched = c->vouched,
                                          .wants_ocsp = c->wants_ocsp,
                                          .ocsp_response = c->response};

        return reach_under(c->trust ? c->trust : root, &question);
}

static bool has(const GArray *errors, VerdictCode code, GBytes *certificate) {
        for (size_t i = 0; i < errors->len; i++) {
                const VerdictError *error = &g_array_index(errors, VerdictError, i);

                if (error->code == code &&
                    (certificate
                             ? error->certificate && g_bytes_equal(error->certificate, certificate)
                             : !error->certificate)) {
                        reached[code] = true;
                        return true;
                }
        }

        return false;
}

static void describe(const GArray *errors) {
        for (size_t i = 0; i < errors->len; i++) {
                const VerdictError *error = &g_array_index(errors, VerdictError, i);
                g_autofree char *fingerprint =
                        error->certificate ? g_compute_checksum_for_bytes(G_CHECKSUM_SHA256,
                                                                          error->certificate)
                                           : NULL;

                g_test_message("%s of %s", verdict_code_name(error->code), fingerprint);
        }
}

/* Pairs of code and identity, all that are expected; ends with VERDICT_NO_ERROR. */
static void assert_errors(GArray *taken, ...) {
        g_autoptr(GArray) errors = taken;
        size_t n_expected = 0;
        va_list pairs;

        describe(errors);
        va_start(pairs, taken);
        for (;;) {
                VerdictCode code = va_arg(pairs, VerdictCode);
                const TestIdentity *identity;

                if (code == VERDICT_NO_ERROR)
                        break;
                identity = va_arg(pairs, const TestIdentity *);
                if (!has(errors, code, identity ? test_identity_der(identity) : NULL))
                        g_error("%s is missing", verdict_code_name(code));
                n_expected++;
        }
        va_end(pairs);

        g_assert_cmpuint(errors->len, ==, n_expected);
}

static TestIdentity *signed_leaf(const TestIdentity *issuer, TestIdentityFlags flags) {
        return test_identity_new(NAME, issuer, flags, TEST_KEY_ECDSA);
}

/* The last byte of a certificate is of its signature. */
static GBytes *forged(GBytes *der) {
        gsize size;
        const void *data = g_bytes_get_data(der, &size);
        uint8_t *copy = g_memdup2(data, size);

        copy[size - 1] ^= 1;
        return g_bytes_new_take(copy, size);
}

static void test_a_good_chain_has_no_errors(void) {
        assert_errors(reach_case(&(Case){{leaf, inter}}), VERDICT_NO_ERROR);
        assert_errors(reach_case(&(Case){{leaf, inter}, .name = NAME}), VERDICT_NO_ERROR);
        assert_errors(reach_case(&(Case){{leaf, inter}, .peer_is_client = true}), VERDICT_NO_ERROR);
        assert_errors(reach_case(&(Case){{leaf, inter, root}}), VERDICT_NO_ERROR);
}

static void test_order_and_strangers_do_not_matter(void) {
        assert_errors(reach_case(&(Case){{leaf, root, inter}}), VERDICT_NO_ERROR);
        assert_errors(reach_case(&(Case){{leaf, stranger, inter}}), VERDICT_NO_ERROR);
        assert_errors(reach_case(&(Case){{leaf, inter, inter, root}}), VERDICT_NO_ERROR);
        assert_errors(reach_case(&(Case){{leaf, leaf, inter}}), VERDICT_NO_ERROR);
}

static void test_an_intermediate_can_be_the_anchor(void) {
        assert_errors(reach_case(&(Case){{leaf}, .trust = inter}), VERDICT_NO_ERROR);
        assert_errors(reach_case(&(Case){{leaf, inter, root}, .trust = inter}), VERDICT_NO_ERROR);
}

static void test_every_kind_of_key_is_good(void) {
        static const TestKeyType keys[] = {TEST_KEY_ED25519, TEST_KEY_RSA_2048};

        for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
                g_autoptr(TestIdentity) ca =
                        test_identity_new("ca", NULL, TEST_IDENTITY_CA, keys[i]);
                g_autoptr(TestIdentity) own = test_identity_new(NAME, ca, 0, keys[i]);

                assert_errors(reach_case(&(Case){{own}, .trust = ca, .name = NAME}),
                              VERDICT_NO_ERROR);
        }
}

static void test_no_certificate_is_an_error_of_none(void) {
        assert_errors(reach_case(&(Case){{NULL}, .name = NAME}), VERDICT_NO_PEER_CERTIFICATE, NULL,
                      VERDICT_NO_ERROR);
}

static void test_a_self_signed_leaf_is_self_signed(void) {
        g_autoptr(TestIdentity) own = signed_leaf(NULL, 0);

        assert_errors(reach_case(&(Case){{own}}), VERDICT_SELF_SIGNED_CERTIFICATE, own,
                      VERDICT_NO_ERROR);
}

static void test_a_root_that_is_sent_is_not_trusted_for_that(void) {
        assert_errors(reach_case(&(Case){{leaf, inter, root}, .trust = stranger}),
                      VERDICT_SELF_SIGNED_CERTIFICATE_IN_CHAIN, root, VERDICT_NO_ERROR);
}

static void test_an_unknown_issuer_is_of_the_last_one(void) {
        assert_errors(reach_case(&(Case){{leaf, inter}, .trust = stranger}),
                      VERDICT_UNABLE_TO_GET_LOCAL_ISSUER_CERTIFICATE, inter, VERDICT_NO_ERROR);
        assert_errors(reach_case(&(Case){{leaf}}), VERDICT_UNABLE_TO_GET_LOCAL_ISSUER_CERTIFICATE,
                      leaf, VERDICT_UNABLE_TO_VERIFY_FIRST_CERTIFICATE, leaf, VERDICT_NO_ERROR);
        assert_errors(reach_case(&(Case){{leaf, stranger}}),
                      VERDICT_UNABLE_TO_GET_LOCAL_ISSUER_CERTIFICATE, leaf,
                      VERDICT_UNABLE_TO_VERIFY_FIRST_CERTIFICATE, leaf, VERDICT_NO_ERROR);
}

static void test_nobody_is_trusted_by_an_empty_set(void) {
        g_autoptr(GPtrArray) none = test_blobs(NULL, NULL);
        g_autoptr(GPtrArray) chain = test_chain_ders(leaf, inter, NULL);
        g_autoptr(Trust) trust = NULL;
        VerdictQuestion question = {.chain = chain, .peer_is_server = true};
        GArray *errors = NULL;

        g_assert_cmpint(trust_new(none, &trust), ==, 0);
        question.trust = trust;
        g_assert_cmpint(verdict_reach(&question, &errors), ==, 0);
        assert_errors(errors, VERDICT_UNABLE_TO_GET_LOCAL_ISSUER_CERTIFICATE, inter,
                      VERDICT_NO_ERROR);
}

static void test_an_anchor_that_is_the_leaf_is_enough(void) {
        g_autoptr(TestIdentity) own = signed_leaf(NULL, 0);
        g_autoptr(TestIdentity) old = signed_leaf(NULL, TEST_IDENTITY_EXPIRED);

        assert_errors(reach_case(&(Case){{own}, .trust = own, .name = NAME}), VERDICT_NO_ERROR);
        assert_errors(reach_case(&(Case){{leaf}, .trust = leaf}), VERDICT_NO_ERROR);
        assert_errors(reach_case(&(Case){{leaf, inter}, .trust = leaf}), VERDICT_NO_ERROR);

        /* and is looked at all the same */
        assert_errors(reach_case(&(Case){{own}, .trust = own, .name = "other.example.org"}),
                      VERDICT_HOST_NAME_MISMATCH, own, VERDICT_NO_ERROR);
        assert_errors(reach_case(&(Case){{old}, .trust = old}), VERDICT_CERTIFICATE_EXPIRED, old,
                      VERDICT_NO_ERROR);
}

static void test_the_name_of_an_anchor_is_not_its_key(void) {
        g_autoptr(TestIdentity) pinned = signed_leaf(NULL, 0), own = signed_leaf(NULL, 0);
        g_autoptr(TestIdentity) namesake =
                test_identity_new("root", NULL, TEST_IDENTITY_CA, TEST_KEY_ECDSA);
        g_autoptr(TestIdentity) below = signed_leaf(namesake, 0);

        assert_errors(reach_case(&(Case){{own}, .trust = pinned}), VERDICT_SELF_SIGNED_CERTIFICATE,
                      own, VERDICT_NO_ERROR);
        assert_errors(reach_case(&(Case){{below, namesake}}),
                      VERDICT_SELF_SIGNED_CERTIFICATE_IN_CHAIN, namesake, VERDICT_NO_ERROR);
}

static void test_dates_are_of_the_one_that_is_out_of_them(void) {
        g_autoptr(TestIdentity) expired = signed_leaf(root, TEST_IDENTITY_EXPIRED);
        g_autoptr(TestIdentity) early = signed_leaf(root, TEST_IDENTITY_NOT_YET_VALID);
        g_autoptr(TestIdentity) old_inter = test_identity_new(
                "old", root, TEST_IDENTITY_CA | TEST_IDENTITY_EXPIRED, TEST_KEY_ECDSA);
        g_autoptr(TestIdentity) below = signed_leaf(old_inter, 0);
        g_autoptr(TestIdentity) both = signed_leaf(old_inter, TEST_IDENTITY_NOT_YET_VALID);

        assert_errors(reach_case(&(Case){{expired}}), VERDICT_CERTIFICATE_EXPIRED, expired,
                      VERDICT_NO_ERROR);
        assert_errors(reach_case(&(Case){{early}}), VERDICT_CERTIFICATE_NOT_YET_VALID, early,
                      VERDICT_NO_ERROR);
        assert_errors(reach_case(&(Case){{below, old_inter}}), VERDICT_CERTIFICATE_EXPIRED,
                      old_inter, VERDICT_NO_ERROR);
        assert_errors(reach_case(&(Case){{both, old_inter}}), VERDICT_CERTIFICATE_EXPIRED,
                      old_inter, VERDICT_CERTIFICATE_NOT_YET_VALID, both, VERDICT_NO_ERROR);
}

static void test_an_anchor_can_expire_too(void) {
        g_autoptr(TestIdentity) ca = test_identity_new(
                "ca", NULL, TEST_IDENTITY_CA | TEST_IDENTITY_EXPIRED, TEST_KEY_ECDSA);
        g_autoptr(TestIdentity) own = signed_leaf(ca, 0);

        assert_errors(reach_case(&(Case){{own}, .trust = ca}), VERDICT_CERTIFICATE_EXPIRED, ca,
                      VERDICT_NO_ERROR);
}

static void test_all_errors_come_at_once(void) {
        g_autoptr(TestIdentity) own =
                signed_leaf(NULL, TEST_IDENTITY_EXPIRED | TEST_IDENTITY_CLIENT_ONLY);
        g_autoptr(TestIdentity) old_inter = test_identity_new(
                "old", stranger, TEST_IDENTITY_CA | TEST_IDENTITY_EXPIRED, TEST_KEY_ECDSA);
        g_autoptr(TestIdentity) below =
                signed_leaf(old_inter, TEST_IDENTITY_NOT_YET_VALID | TEST_IDENTITY_CRITICAL |
                                               TEST_IDENTITY_CLIENT_ONLY);

        assert_errors(reach_case(&(Case){{own}, .name = "other.example.org"}),
                      VERDICT_SELF_SIGNED_CERTIFICATE, own, VERDICT_CERTIFICATE_EXPIRED, own,
                      VERDICT_INVALID_PURPOSE, own, VERDICT_HOST_NAME_MISMATCH, own,
                      VERDICT_NO_ERROR);
        assert_errors(reach_case(&(Case){{below, old_inter}, .name = "other.example.org"}),
                      VERDICT_UNABLE_TO_GET_LOCAL_ISSUER_CERTIFICATE, old_inter,
                      VERDICT_CERTIFICATE_EXPIRED, old_inter, VERDICT_CERTIFICATE_NOT_YET_VALID,
                      below, VERDICT_CERTIFICATE_REJECTED, below, VERDICT_INVALID_PURPOSE, below,
                      VERDICT_HOST_NAME_MISMATCH, below, VERDICT_NO_ERROR);
}

static void assert_name(const TestIdentity *identity, const char *name, bool matches) {
        g_autoptr(GPtrArray) chain = test_chain_ders(identity, inter, NULL);
        g_autofree char *printable = name ? g_strescape(name, NULL) : NULL;

        g_test_message("%s", printable);
        if (matches)
                assert_errors(reach(chain, root, name), VERDICT_NO_ERROR);
        else
                assert_errors(reach(chain, root, name), VERDICT_HOST_NAME_MISMATCH, identity,
                              VERDICT_NO_ERROR);
}

static void test_host_names_match_dns_names(void) {
        g_autoptr(TestIdentity) wild = test_identity_new("*.example.org", inter, 0, TEST_KEY_ECDSA);

        assert_name(leaf, NAME, true);
        assert_name(leaf, "SERVER.Example.ORG", true);
        assert_name(leaf, NAME ".", true);
        assert_name(leaf, NULL, true);
        assert_name(leaf, "", true);
        assert_name(leaf, "example.org", false);
        assert_name(leaf, "x" NAME, false);
        assert_name(leaf, NAME "..", false);
        assert_name(leaf, ".", false);
        assert_name(leaf, "\xff", false);
        assert_name(leaf, "*", false);
        assert_name(leaf, "*.example.org", false);
        assert_name(wild, "a.example.org", true);
        assert_name(wild, "a.b.example.org", false);
}

static void test_a_common_name_counts_without_other_names(void) {
        g_autoptr(TestIdentity) plain = signed_leaf(inter, TEST_IDENTITY_NO_SAN);

        assert_name(plain, NAME, true);
        assert_name(plain, "other.example.org", false);
}

static void test_addresses_match_addresses_alone(void) {
        g_autoptr(TestIdentity) dns = test_identity_new("127.0.0.1", inter, 0, TEST_KEY_ECDSA);
        g_autoptr(TestIdentity) plain =
                test_identity_new("127.0.0.1", inter, TEST_IDENTITY_NO_SAN, TEST_KEY_ECDSA);

        assert_name(leaf, "127.0.0.1", true);
        assert_name(leaf, "::1", true);
        assert_name(leaf, "0:0:0:0:0:0:0:1", true);
        assert_name(leaf, "::1%lo", true);
        assert_name(leaf, "::1%17", true);
        assert_name(leaf, "::ffff:127.0.0.1", true);
        assert_name(leaf, "127.0.0.2", false);
        assert_name(leaf, "::2", false);
        assert_name(leaf, "127.1", false);
        assert_name(dns, "127.0.0.1", false);
        assert_name(plain, "127.0.0.1", false);
}

static void test_the_purpose_must_be_the_peers(void) {
        g_autoptr(TestIdentity) client = signed_leaf(root, TEST_IDENTITY_CLIENT_ONLY);
        g_autoptr(TestIdentity) server = signed_leaf(root, TEST_IDENTITY_SERVER_ONLY);

        assert_errors(reach_case(&(Case){{client}}), VERDICT_INVALID_PURPOSE, client,
                      VERDICT_NO_ERROR);
        assert_errors(reach_case(&(Case){{server}, .peer_is_client = true}),
                      VERDICT_INVALID_PURPOSE, server, VERDICT_NO_ERROR);
        assert_errors(reach_case(&(Case){{client}, .peer_is_client = true}), VERDICT_NO_ERROR);
        assert_errors(reach_case(&(Case){{server}}), VERDICT_NO_ERROR);
}

static void test_more_purposes_than_anybody_has_are_not_read(void) {
        g_autoptr(TestIdentity) server = signed_leaf(root, TEST_IDENTITY_MANY_PURPOSES);

        assert_errors(reach_case(&(Case){{server}}), VERDICT_INVALID_PURPOSE, server,
                      VERDICT_NO_ERROR);
}

static void test_weak_or_unknown_things_are_rejected(void) {
        g_autoptr(TestIdentity) sha1 = signed_leaf(root, TEST_IDENTITY_SHA1);
        g_autoptr(TestIdentity) critical = signed_leaf(root, TEST_IDENTITY_CRITICAL);
        g_autoptr(TestIdentity) small = test_identity_new(NAME, root, 0, TEST_KEY_RSA_1024);
        g_autoptr(TestIdentity) small_own = test_identity_new(NAME, NULL, 0, TEST_KEY_RSA_1024);

        assert_errors(reach_case(&(Case){{sha1}}), VERDICT_CERTIFICATE_REJECTED, sha1,
                      VERDICT_NO_ERROR);
        assert_errors(reach_case(&(Case){{critical}}), VERDICT_CERTIFICATE_REJECTED, critical,
                      VERDICT_NO_ERROR);
        assert_errors(reach_case(&(Case){{small}}), VERDICT_CERTIFICATE_REJECTED, small,
                      VERDICT_NO_ERROR);
        assert_errors(reach_case(&(Case){{small_own}}), VERDICT_SELF_SIGNED_CERTIFICATE, small_own,
                      VERDICT_CERTIFICATE_REJECTED, small_own, VERDICT_NO_ERROR);
}

static void test_who_is_no_ca_is_blamed_for_it(void) {
        g_autoptr(TestIdentity) below = test_identity_new("x.example.org", leaf, 0, TEST_KEY_ECDSA);
        g_autoptr(TestIdentity) crl = test_identity_new(
                "crl", root, TEST_IDENTITY_CA | TEST_IDENTITY_ONLY_CRL, TEST_KEY_ECDSA);
        g_autoptr(TestIdentity) below_crl = signed_leaf(crl, 0);

        assert_errors(reach_case(&(Case){{below_crl, crl}}), VERDICT_INVALID_CA_CERTIFICATE, crl,
                      VERDICT_NO_ERROR);
        assert_errors(reach_case(&(Case){{below, leaf, inter}}), VERDICT_INVALID_CA_CERTIFICATE,
                      leaf, VERDICT_NO_ERROR);
        assert_errors(reach_case(&(Case){{below}, .trust = leaf}), VERDICT_INVALID_CA_CERTIFICATE,
                      leaf, VERDICT_NO_ERROR);
}

/* Before version 3 nothing said who was one; an anchor may be that old, what was sent may not. */
static void test_version_1_is_no_ca_unless_it_is_the_anchor(void) {
        g_autoptr(TestIdentity) old =
                test_identity_new("old", root, TEST_IDENTITY_VERSION_1, TEST_KEY_ECDSA);
        g_autoptr(TestIdentity) below = signed_leaf(old, 0);

        assert_errors(reach_case(&(Case){{below, old}}), VERDICT_INVALID_CA_CERTIFICATE, old,
                      VERDICT_NO_ERROR);
        assert_errors(reach_case(&(Case){{below, old}, .trust = stranger}),
                      VERDICT_UNABLE_TO_GET_LOCAL_ISSUER_CERTIFICATE, old,
                      VERDICT_INVALID_CA_CERTIFICATE, old, VERDICT_NO_ERROR);
        assert_errors(reach_case(&(Case){{below}, .trust = old}), VERDICT_NO_ERROR);
}

static void test_a_ca_may_limit_how_many_come_below(void) {
        g_autoptr(TestIdentity) last = test_identity_new(
                "last", root, TEST_IDENTITY_CA | TEST_IDENTITY_PATH_ZERO, TEST_KEY_ECDSA);
        g_autoptr(TestIdentity) over =
                test_identity_new("over", last, TEST_IDENTITY_CA, TEST_KEY_ECDSA);
        g_autoptr(TestIdentity) below = signed_leaf(over, 0), allowed = signed_leaf(last, 0);

        assert_errors(reach_case(&(Case){{allowed, last}}), VERDICT_NO_ERROR);
        assert_errors(reach_case(&(Case){{below, over, last}}), VERDICT_PATH_LENGTH_EXCEEDED, below,
                      VERDICT_NO_ERROR);
        assert_errors(reach_case(&(Case){{below, over, last}, .trust = stranger}),
                      VERDICT_UNABLE_TO_GET_LOCAL_ISSUER_CERTIFICATE, last,
                      VERDICT_PATH_LENGTH_EXCEEDED, below, VERDICT_NO_ERROR);
}

static void test_a_ca_may_limit_the_names_below(void) {
        g_autoptr(TestIdentity) narrow = test_identity_new(
                "narrow", root, TEST_IDENTITY_CA | TEST_IDENTITY_ONLY_EXAMPLE, TEST_KEY_ECDSA);
        g_autoptr(TestIdentity) middle =
                test_identity_new("middle", narrow, TEST_IDENTITY_CA, TEST_KEY_ECDSA);
        g_autoptr(TestIdentity) inside = signed_leaf(middle, 0);
        g_autoptr(TestIdentity) outside =
                test_identity_new("example.com", middle, 0, TEST_KEY_ECDSA);

        assert_errors(reach_case(&(Case){{inside, middle, narrow}}), VERDICT_NO_ERROR);
        assert_errors(reach_case(&(Case){{outside, middle, narrow}}), VERDICT_CERTIFICATE_REJECTED,
                      outside, VERDICT_NO_ERROR);
        assert_errors(reach_case(&(Case){{outside, middle, narrow}, .trust = stranger}),
                      VERDICT_UNABLE_TO_GET_LOCAL_ISSUER_CERTIFICATE, narrow,
                      VERDICT_CERTIFICATE_REJECTED, outside, VERDICT_NO_ERROR);
}

static void assert_forged_leaf_is_seen(GPtrArray *chain, const TestIdentity *anchor) {
        g_autoptr(GArray) errors = NULL;

        g_ptr_array_insert(chain, 0, forged(chain->pdata[0]));
        g_bytes_unref(g_ptr_array_steal_index(chain, 1));
        errors = reach(chain, anchor, NULL);
        describe(errors);
        g_assert_true(has(errors, VERDICT_CERTIFICATE_SIGNATURE_FAILED, chain->pdata[0]));
}

/* Whoever ignores what is wrong with the issuer must still hear of a leaf it never signed. */
static void test_a_forged_leaf_is_seen_whatever_is_wrong_above(void) {
        TestIdentityFlags wrongs[] = {0, TEST_IDENTITY_EXPIRED, TEST_IDENTITY_SHA1,
                                      TEST_IDENTITY_CRITICAL, TEST_IDENTITY_NOT_YET_VALID};

        for (size_t i = 0; i < G_N_ELEMENTS(wrongs); i++) {
                g_autoptr(TestIdentity) ca =
                        test_identity_new("ca", root, TEST_IDENTITY_CA | wrongs[i], TEST_KEY_ECDSA);
                g_autoptr(TestIdentity) own = signed_leaf(ca, 0);
                g_autoptr(GPtrArray) known = test_chain_ders(own, ca, NULL);
                g_autoptr(GPtrArray) unknown = test_chain_ders(own, ca, NULL);
                g_autoptr(GPtrArray) with_root = test_chain_ders(own, ca, root, NULL);

                assert_forged_leaf_is_seen(known, root);
                assert_forged_leaf_is_seen(unknown, stranger);
                assert_forged_leaf_is_seen(with_root, stranger);
        }
}

static void test_a_forged_leaf_is_seen_below_one_too_many(void) {
        g_autoptr(TestIdentity) last = test_identity_new(
                "last", root, TEST_IDENTITY_CA | TEST_IDENTITY_PATH_ZERO, TEST_KEY_ECDSA);
        g_autoptr(TestIdentity) over =
                test_identity_new("over", last, TEST_IDENTITY_CA, TEST_KEY_ECDSA);
        g_autoptr(TestIdentity) own = signed_leaf(over, 0);
        g_autoptr(GPtrArray) chain = test_chain_ders(own, over, last, NULL);

        assert_forged_leaf_is_seen(chain, root);
}

/* Without a key identifier the name alone says who issued it. */
static void test_a_signature_by_a_namesake_is_false(void) {
        g_autoptr(TestIdentity) other_root =
                test_identity_new("root", NULL, TEST_IDENTITY_CA, TEST_KEY_ECDSA);
        g_autoptr(TestIdentity) other_inter =
                test_identity_new("inter", root, TEST_IDENTITY_CA, TEST_KEY_ECDSA);
        g_autoptr(TestIdentity) below_root = signed_leaf(other_root, TEST_IDENTITY_NO_AUTHORITY);
        g_autoptr(TestIdentity) below_inter = signed_leaf(other_inter, TEST_IDENTITY_NO_AUTHORITY);

        assert_errors(reach_case(&(Case){{below_root}}), VERDICT_CERTIFICATE_SIGNATURE_FAILED,
                      below_root, VERDICT_NO_ERROR);
        assert_errors(reach_case(&(Case){{below_inter, inter}}),
                      VERDICT_CERTIFICATE_SIGNATURE_FAILED, below_inter, VERDICT_NO_ERROR);
        assert_errors(reach_case(&(Case){{leaf, other_inter}}),
                      VERDICT_UNABLE_TO_GET_LOCAL_ISSUER_CERTIFICATE, leaf,
                      VERDICT_UNABLE_TO_VERIFY_FIRST_CERTIFICATE, leaf, VERDICT_NO_ERROR);
}

static void test_depth_counts_what_was_sent_without_the_root(void) {
        assert_errors(reach_case(&(Case){{leaf, inter}, .depth = 2}), VERDICT_NO_ERROR);
        assert_errors(reach_case(&(Case){{leaf, inter, root}, .depth = 2}), VERDICT_NO_ERROR);
        assert_errors(reach_case(&(Case){{leaf, inter}, .depth = 1}), VERDICT_PATH_LENGTH_EXCEEDED,
                      inter, VERDICT_NO_ERROR);
        assert_errors(reach_case(&(Case){{leaf, inter, root}, .trust = stranger, .depth = 1}),
                      VERDICT_PATH_LENGTH_EXCEEDED, inter, VERDICT_SELF_SIGNED_CERTIFICATE_IN_CHAIN,
                      root, VERDICT_NO_ERROR);
        assert_errors(reach_case(&(Case){{leaf, inter, root}, .trust = stranger, .depth = 2}),
                      VERDICT_SELF_SIGNED_CERTIFICATE_IN_CHAIN, root, VERDICT_NO_ERROR);
        assert_errors(reach_case(&(Case){{leaf, inter}, .depth = UINT32_MAX}), VERDICT_NO_ERROR);
}

static void test_a_chain_without_end_is_too_long_and_no_more(void) {
        g_autoptr(GPtrArray) chain = test_chain_ders(leaf, inter, NULL);

        while (chain->len < 200)
                g_ptr_array_add(chain, g_bytes_ref(test_identity_der(stranger)));
        assert_errors(reach(chain, root, NULL), VERDICT_PATH_LENGTH_EXCEEDED, stranger,
                      VERDICT_NO_ERROR);

        g_ptr_array_set_size(chain, CHAIN_LENGTH_MAX);
        assert_errors(reach(chain, root, NULL), VERDICT_NO_ERROR);
}

/* As far as names go, each of two issued the other. */
static void test_a_circle_is_walked_once(void) {
        g_autoptr(TestIdentity) a = test_identity_new("a", NULL, TEST_IDENTITY_CA, TEST_KEY_ECDSA);
        g_autoptr(TestIdentity) b = test_identity_new(
                "b", a, TEST_IDENTITY_CA | TEST_IDENTITY_NO_AUTHORITY, TEST_KEY_ECDSA);
        g_autoptr(TestIdentity) a_again = test_identity_new(
                "a", b, TEST_IDENTITY_CA | TEST_IDENTITY_NO_AUTHORITY, TEST_KEY_ECDSA);
        g_autoptr(TestIdentity) own = signed_leaf(b, 0);

        assert_errors(reach_case(&(Case){{own, b, a_again}}),
                      VERDICT_UNABLE_TO_GET_LOCAL_ISSUER_CERTIFICATE, a_again,
                      VERDICT_CERTIFICATE_SIGNATURE_FAILED, b, VERDICT_NO_ERROR);
}

static void test_a_real_chain_at_the_limit_is_walked(void) {
        TestIdentity *identities[CHAIN_LENGTH_MAX];
        g_autoptr(GPtrArray) chain = test_chain_ders(NULL, NULL);
        const TestIdentity *issuer = root;

        for (size_t i = CHAIN_LENGTH_MAX; i-- > 0;) {
                g_autofree char *cn = g_strdup_printf("%zu.example.org", i);

                identities[i] =
                        test_identity_new(cn, issuer, i > 0 ? TEST_IDENTITY_CA : 0, TEST_KEY_ECDSA);
                issuer = identities[i];
        }
        for (size_t i = 0; i < CHAIN_LENGTH_MAX; i++)
                g_ptr_array_add(chain, g_bytes_ref(test_identity_der(identities[i])));

        assert_errors(reach(chain, root, NULL), VERDICT_NO_ERROR);
        assert_errors(reach(chain, stranger, NULL), VERDICT_UNABLE_TO_GET_LOCAL_ISSUER_CERTIFICATE,
                      identities[CHAIN_LENGTH_MAX - 1], VERDICT_NO_ERROR);

        for (size_t i = 0; i < CHAIN_LENGTH_MAX; i++)
                test_identity_free(identities[i]);
}

static void test_what_cannot_be_read_is_the_only_error(void) {
        g_autoptr(GBytes) noise = g_bytes_new_static("noise", 5);
        g_autoptr(GPtrArray) first = test_blobs(noise, NULL);
        g_autoptr(GPtrArray) second = test_blobs(test_identity_der(leaf), noise, NULL);
        GPtrArray *const chains[] = {first, second};

        for (size_t i = 0; i < G_N_ELEMENTS(chains); i++) {
                g_autoptr(GArray) errors = reach(chains[i], root, "other.example.org");

                g_assert_cmpuint(errors->len, ==, 1);
                g_assert_true(has(errors, VERDICT_UNSPECIFIED_ERROR, noise));
        }
}

/* No damage of a single byte makes a certificate that is accepted, or a crash. */
static void test_a_damaged_leaf_is_never_good(void) {
        gsize size;
        const uint8_t *data = g_bytes_get_data(test_identity_der(leaf), &size);

        for (size_t i = 0; i < size; i++) {
                uint8_t *copy = g_memdup2(data, size);
                g_autoptr(GBytes) der = g_bytes_new_take(copy, size);
                g_autoptr(GPtrArray) chain = test_blobs(der, test_identity_der(inter), NULL);
                g_autoptr(GArray) errors = NULL;

                copy[i] ^= (uint8_t)(1 << i % 8);
                errors = reach(chain, root, NAME);
                g_assert_cmpuint(errors->len, >, 0);
        }
}

static void test_a_monstrous_key_is_not_worked_with(void) {
        static const struct {
                unsigned modulus, exponent;
        } sizes[] = {{2048, 2048}, {2048, 3}, {1024, 1024}, {256, 9}};

        for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
                g_autoptr(GBytes) monster =
                        test_monstrous_der(root, sizes[i].modulus, sizes[i].exponent);
                g_autoptr(GPtrArray) chain = test_blobs(test_identity_der(leaf), monster, NULL);
                g_autoptr(GArray) errors = reach(chain, stranger, NULL);

                describe(errors);
                g_assert_cmpuint(errors->len, ==, 1);
                g_assert_true(has(errors, VERDICT_UNSPECIFIED_ERROR, monster));
        }
}

static void test_a_large_key_is_not_yet_monstrous(void) {
        g_autoptr(GBytes) large = test_monstrous_der(root, 1024, 8);
        g_autoptr(GPtrArray) chain = test_blobs(test_identity_der(leaf), large, NULL);
        g_autoptr(GArray) errors = reach(chain, inter, NULL);

        g_assert_cmpuint(errors->len, ==, 0);
}

/* A leaf below the root whose @at-th date, 0 or 1, is what stands here. */
static TestIdentity *dated_leaf(size_t at, const char *date) {
        g_autoptr(TestIdentity) good = signed_leaf(root, 0);
        gsize size;
        const uint8_t *der = g_bytes_get_data(test_identity_der(good), &size);
        const uint8_t *dates = memmem(der, size, "\x30\x1e\x17\x0d", 4);
        uint8_t from[30], to[30];

        g_assert_nonnull(dates);
        memcpy(from, dates + 2, sizeof(from));
        memcpy(to, from, sizeof(to));
        memcpy(to + 15 * at + 2, date, 13);
        return test_identity_altered(good, root, from, to, sizeof(from));
}

/* GnuTLS reads no certificate with such a date: nothing else can be said of it. */
static void test_what_is_no_date_is_of_its_field(void) {
        g_autoptr(TestIdentity) begin = dated_leaf(0, "991301000000Z");
        g_autoptr(TestIdentity) end = dated_leaf(1, "4912312359xxZ");
        g_autoptr(TestIdentity) fine = dated_leaf(1, "491231235959Z");

        assert_errors(reach_case(&(Case){{begin}}), VERDICT_INVALID_NOT_BEFORE_FIELD, begin,
                      VERDICT_UNSPECIFIED_ERROR, begin, VERDICT_NO_ERROR);
        assert_errors(reach_case(&(Case){{end}, .name = "other.example.org"}),
                      VERDICT_INVALID_NOT_AFTER_FIELD, end, VERDICT_UNSPECIFIED_ERROR, end,
                      VERDICT_NO_ERROR);
        assert_errors(reach_case(&(Case){{fine}}), VERDICT_NO_ERROR);
}

static void test_an_undecodable_key_is_its_issuers(void) {
        static const struct {
                const char *from, *to;
                size_t size;
        } damages[] = {
                {"\x03\x42\x00\x04", "\x03\x42\x00\x05", 4}, /* the form of the point */
                {"\x2a\x86\x48\xce\x3d\x03\x01\x07", "\x2a\x86\x48\xce\x3d\x03\x01\x7e", 8},
                {"\x2a\x86\x48\xce\x3d\x02\x01", "\x2a\x86\x48\xce\x3d\x02\x7e", 7},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(damages); i++) {
                g_autoptr(TestIdentity) damaged = test_identity_altered(
                        inter, root, damages[i].from, damages[i].to, damages[i].size);

                assert_errors(reach_case(&(Case){{leaf, damaged}}),
                              VERDICT_UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY, damaged,
                              VERDICT_CERTIFICATE_REJECTED, damaged, VERDICT_CERTIFICATE_REJECTED,
                              leaf, VERDICT_NO_ERROR);
                assert_errors(reach_case(&(Case){{leaf, damaged}, .trust = stranger}),
                              VERDICT_UNABLE_TO_GET_LOCAL_ISSUER_CERTIFICATE, damaged,
                              VERDICT_UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY, damaged,
                              VERDICT_CERTIFICATE_REJECTED, damaged, VERDICT_CERTIFICATE_REJECTED,
                              leaf, VERDICT_NO_ERROR);
        }
}

/* OpenSSL passes such an issuer over; GnuTLS does not look at the number. */
static void test_a_named_serial_number_must_be_the_issuers(void) {
        g_autoptr(TestIdentity) fits = signed_leaf(inter, TEST_IDENTITY_AUTHORITY_SERIAL);
        g_autoptr(TestIdentity) differs = signed_leaf(inter, TEST_IDENTITY_OTHER_SERIAL);
        g_autoptr(TestIdentity) below_root = signed_leaf(root, TEST_IDENTITY_OTHER_SERIAL);

        assert_errors(reach_case(&(Case){{fits, inter}}), VERDICT_NO_ERROR);
        assert_errors(reach_case(&(Case){{differs, inter}}),
                      VERDICT_AUTHORITY_ISSUER_SERIAL_NUMBER_MISMATCH, differs, VERDICT_NO_ERROR);
        assert_errors(reach_case(&(Case){{below_root}}),
                      VERDICT_AUTHORITY_ISSUER_SERIAL_NUMBER_MISMATCH, below_root,
                      VERDICT_NO_ERROR);
        assert_errors(reach_case(&(Case){{differs, inter}, .trust = stranger}),
                      VERDICT_UNABLE_TO_GET_LOCAL_ISSUER_CERTIFICATE, inter,
                      VERDICT_AUTHORITY_ISSUER_SERIAL_NUMBER_MISMATCH, differs, VERDICT_NO_ERROR);
        assert_errors(reach_case(&(Case){{differs}, .trust = differs}), VERDICT_NO_ERROR);
}

/* A number above its modulus is no RSA signature at all. */
static void test_a_signature_that_cannot_be_one_has_failed(void) {
        g_autoptr(TestIdentity) ca =
                test_identity_new("ca", NULL, TEST_IDENTITY_CA, TEST_KEY_RSA_2048);
        g_autoptr(TestIdentity) own = signed_leaf(ca, 0);
        gsize size;
        const uint8_t *der = g_bytes_get_data(test_identity_der(own), &size);
        uint8_t *copy = g_memdup2(der, size);
        g_autoptr(GBytes) broken = g_bytes_new_take(copy, size);
        g_autoptr(GPtrArray) chain = test_blobs(broken, NULL);
        g_autoptr(GArray) errors = NULL;

        memset(copy + size - 2048 / 8, 0xff, 2048 / 8);
        errors = reach(chain, ca, NULL);
        describe(errors);
        g_assert_cmpuint(errors->len, ==, 1);
        g_assert_true(has(errors, VERDICT_CERTIFICATE_SIGNATURE_FAILED, broken));
}

/* Damage that its issuer has signed: whatever it does, there is an answer. */
static void test_a_signed_damage_is_answered(void) {
        const uint8_t *der = g_bytes_get_data(test_identity_der(inter), NULL);
        size_t body_size = (size_t)der[6] << 8 | der[7]; /* after two heads of four bytes */

        for (size_t i = 8; i < body_size; i++) {
                uint8_t from[8], to[8];
                g_autoptr(TestIdentity) damaged = NULL;
                g_autoptr(GArray) errors = NULL;

                memcpy(from, der + i, sizeof(from));
                memcpy(to, from, sizeof(to));
                to[0] ^= (uint8_t)(1 << i % 8);
                damaged = test_identity_altered(inter, root, from, to, sizeof(from));
                errors = reach_case(&(Case){{leaf, damaged}, .name = NAME});
                g_assert_nonnull(errors);
        }
}

/* ---- what is taken back ---- */

static Revocations *denied_one(const TestIdentity *identity) {
        g_autofree char *hash =
                g_compute_checksum_for_bytes(G_CHECKSUM_SHA256, test_identity_der(identity));
        g_autoptr(GBytes) text = g_bytes_new(hash, strlen(hash));
        Revocations *revocations = revocations_new();
        size_t n_bad, bad;

        g_assert_cmpint(revocations_add_denied(revocations, text, &n_bad, &bad), ==, 0);
        return revocations;
}

static Revocations *listed(GBytes *taken) {
        g_autoptr(GBytes) list = taken;
        Revocations *revocations = revocations_new();

        g_assert_cmpint(revocations_add_lists(revocations, list), ==, 0);
        return revocations;
}

static void test_denied_is_whoever_vouches_for_it(void) {
        TestIdentity *const denied[] = {leaf, inter, root};

        for (size_t i = 0; i < G_N_ELEMENTS(denied); i++) {
                g_autoptr(Revocations) revocations = denied_one(denied[i]);

                assert_errors(reach_case(&(Case){{leaf, inter}, .revocations = revocations}),
                              VERDICT_CERTIFICATE_BLACKLISTED, denied[i], VERDICT_NO_ERROR);
                assert_errors(reach_case(&(Case){{leaf, inter, root}, .revocations = revocations}),
                              VERDICT_CERTIFICATE_BLACKLISTED, denied[i], VERDICT_NO_ERROR);
        }
}

static void test_an_anchor_that_is_the_leaf_is_denied(void) {
        g_autoptr(Revocations) revocations = denied_one(leaf), others = denied_one(stranger);

        assert_errors(reach_case(&(Case){{leaf}, .trust = leaf, .revocations = revocations}),
                      VERDICT_CERTIFICATE_BLACKLISTED, leaf, VERDICT_NO_ERROR);
        assert_errors(reach_case(&(Case){{leaf, inter}, .revocations = others}), VERDICT_NO_ERROR);
}

static void test_revoked_is_what_its_issuer_listed(void) {
        g_autoptr(Revocations) of_inter = listed(test_crl_new(inter, NULL, leaf, NULL));
        g_autoptr(Revocations) of_root = listed(test_crl_new(root, NULL, inter, leaf, NULL));
        g_autoptr(Revocations) of_other = listed(test_crl_new(stranger, NULL, leaf, inter, NULL));

        assert_errors(reach_case(&(Case){{leaf, inter}, .revocations = of_inter}),
                      VERDICT_CERTIFICATE_REVOKED, leaf, VERDICT_NO_ERROR);
        assert_errors(reach_case(&(Case){{leaf, inter}, .revocations = of_root}),
                      VERDICT_CERTIFICATE_REVOKED, inter, VERDICT_NO_ERROR);
        assert_errors(reach_case(&(Case){{leaf, inter}, .revocations = of_other}),
                      VERDICT_NO_ERROR);
        assert_errors(
                reach_case(&(Case){{leaf, inter}, .trust = stranger, .revocations = of_inter}),
                VERDICT_UNABLE_TO_GET_LOCAL_ISSUER_CERTIFICATE, inter, VERDICT_CERTIFICATE_REVOKED,
                leaf, VERDICT_NO_ERROR);
}

static void test_a_list_out_of_date_leaves_the_status_unknown(void) {
        static const TestCrl past = {.begin = -9 * TEST_DAY, .end = -TEST_DAY};
        g_autoptr(Revocations) outdated = listed(test_crl_new(inter, &past, NULL, NULL));
        const TestCrl by_stranger = {.signer = stranger};
        g_autoptr(Revocations) forged = listed(test_crl_new(inter, &by_stranger, leaf, NULL));

        assert_errors(reach_case(&(Case){{leaf, inter}, .revocations = outdated}),
                      VERDICT_CERTIFICATE_STATUS_UNKNOWN, leaf, VERDICT_NO_ERROR);
        assert_errors(reach_case(&(Case){{leaf, inter}, .revocations = forged}),
                      VERDICT_CERTIFICATE_STATUS_UNKNOWN, leaf, VERDICT_NO_ERROR);
}

/* ---- what the peer brings along of its status ---- */

/* The good chain with this response; its only error is @code of the leaf. */
static void assert_response(GBytes *taken, VerdictCode code) {
        g_autoptr(GBytes) response = taken;
        Case c = {{leaf, inter}, .wants_ocsp = true, .response = response};

        if (code == VERDICT_NO_ERROR)
                assert_errors(reach_case(&c), VERDICT_NO_ERROR);
        else
                assert_errors(reach_case(&c), code, leaf, VERDICT_NO_ERROR);
}

static void assert_said(const TestOcsp *how, VerdictCode code) {
        TestOcsp whole = *how;

        if (!whole.subject)
                whole.subject = leaf;
        whole.issuer = inter;
        assert_response(test_ocsp_new(&whole), code);
}

static void test_a_response_is_wanted_when_asked_for(void) {
        const TestOcsp revoked = {.subject = leaf, .issuer = inter, .status = TEST_OCSP_REVOKED};
        g_autoptr(GBytes) response = test_ocsp_new(&revoked);

        assert_said(&(TestOcsp){.status = TEST_OCSP_GOOD}, VERDICT_NO_ERROR);
        assert_response(NULL, VERDICT_OCSP_NO_RESPONSE_FOUND);
        assert_response(g_bytes_new("", 0), VERDICT_OCSP_NO_RESPONSE_FOUND);
        /* nobody asked */
        assert_errors(reach_case(&(Case){{leaf, inter}, .response = response}), VERDICT_NO_ERROR);
}

static void test_a_refusal_is_told_as_it_is(void) {
        assert_response(test_ocsp_refusal(1), VERDICT_OCSP_MALFORMED_REQUEST);
        assert_response(test_ocsp_refusal(2), VERDICT_OCSP_INTERNAL_ERROR);
        assert_response(test_ocsp_refusal(3), VERDICT_OCSP_TRY_LATER);
        assert_response(test_ocsp_refusal(5), VERDICT_OCSP_SIG_REQURED);
        assert_response(test_ocsp_refusal(6), VERDICT_OCSP_UNAUTHORIZED);
}

static void test_what_is_no_response_is_malformed(void) {
        assert_response(g_bytes_new("noise", 5), VERDICT_OCSP_MALFORMED_RESPONSE);
        assert_response(test_ocsp_refusal(0), VERDICT_OCSP_MALFORMED_RESPONSE);
        assert_response(test_ocsp_refusal(4), VERDICT_OCSP_MALFORMED_RESPONSE);
        assert_response(test_ocsp_refusal(7), VERDICT_OCSP_MALFORMED_RESPONSE);
        assert_response(g_bytes_ref(test_identity_der(leaf)), VERDICT_OCSP_MALFORMED_RESPONSE);
        assert_said(&(TestOcsp){.n_more = 1}, VERDICT_OCSP_MALFORMED_RESPONSE);
}

static void test_a_response_is_the_issuers(void) {
        assert_said(&(TestOcsp){.signer = root, .companion = root},
                    VERDICT_OCSP_RESPONSE_CANNOT_BE_TRUSTED);
        assert_said(&(TestOcsp){.signer = stranger}, VERDICT_OCSP_RESPONSE_CANNOT_BE_TRUSTED);
}

static void test_a_response_is_about_the_leaf(void) {
        assert_said(&(TestOcsp){.subject = inter}, VERDICT_OCSP_RESPONSE_CERT_ID_UNKNOWN);
}

static void test_a_response_has_its_time(void) {
        assert_said(&(TestOcsp){.begin = -TEST_DAY, .end = -TEST_DAY / 2},
                    VERDICT_OCSP_RESPONSE_EXPIRED);
}

static void test_a_response_says_the_status(void) {
        assert_said(&(TestOcsp){.status = TEST_OCSP_UNKNOWN}, VERDICT_OCSP_STATUS_UNKNOWN);
        assert_said(&(TestOcsp){.status = TEST_OCSP_REVOKED}, VERDICT_CERTIFICATE_REVOKED);
}

static void test_a_response_is_no_trust(void) {
        const TestOcsp of_leaf = {.subject = leaf, .issuer = inter};
        g_autoptr(TestIdentity) own = signed_leaf(NULL, 0);
        const TestOcsp of_own = {.subject = own, .issuer = own};
        g_autoptr(GBytes) for_leaf = test_ocsp_new(&of_leaf), for_own = test_ocsp_new(&of_own);

        assert_errors(reach_case(&(Case){{leaf, inter},
                                         .trust = stranger,
                                         .wants_ocsp = true,
                                         .response = for_leaf}),
                      VERDICT_UNABLE_TO_GET_LOCAL_ISSUER_CERTIFICATE, inter, VERDICT_NO_ERROR);
        assert_errors(reach_case(&(Case){
                              {leaf}, .trust = stranger, .wants_ocsp = true, .response = for_leaf}),
                      VERDICT_UNABLE_TO_GET_LOCAL_ISSUER_CERTIFICATE, leaf,
                      VERDICT_UNABLE_TO_VERIFY_FIRST_CERTIFICATE, leaf,
                      VERDICT_OCSP_RESPONSE_CANNOT_BE_TRUSTED, leaf,
                      VERDICT_OCSP_RESPONSE_CERT_ID_UNKNOWN, leaf, VERDICT_NO_ERROR);
        assert_errors(
                reach_case(&(Case){{own}, .trust = own, .wants_ocsp = true, .response = for_own}),
                VERDICT_NO_ERROR);
}

/* ---- pins ---- */

/* Made here in another way: of the key, not of the certificate. */
static GBytes *pin_of(const TestIdentity *identity) {
        gnutls_datum_t spki;
        gnutls_pubkey_t key;
        uint8_t hash[32];

        g_assert_cmpint(gnutls_pubkey_init(&key), ==, 0);
        {
                gnutls_privkey_t private;

                g_assert_cmpint(gnutls_privkey_init(&private), ==, 0);
                g_assert_cmpint(gnutls_privkey_import_x509(private, test_identity_key(identity), 0),
                                ==, 0);
                g_assert_cmpint(gnutls_pubkey_import_privkey(key, private, 0, 0), ==, 0);
                gnutls_privkey_deinit(private);
        }
        g_assert_cmpint(gnutls_pubkey_export2(key, GNUTLS_X509_FMT_DER, &spki), ==, 0);
        g_assert_cmpint(gnutls_hash_fast(GNUTLS_DIG_SHA256, spki.data, spki.size, hash), ==, 0);
        gnutls_free(spki.data);
        gnutls_pubkey_deinit(key);
        return g_bytes_new(hash, sizeof(hash));
}

static GPtrArray *pins_of(const TestIdentity *first, const TestIdentity *second) {
        GPtrArray *pins = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);

        if (first)
                g_ptr_array_add(pins, pin_of(first));
        if (second)
                g_ptr_array_add(pins, pin_of(second));
        return pins;
}

static void test_a_pin_is_the_keys_hash(void) {
        g_autoptr(GBytes) pin = verdict_pin(test_identity_der(leaf));
        g_autoptr(GBytes) expected = pin_of(leaf);
        g_autoptr(GBytes) noise = g_bytes_new_static("noise", 5);

        g_assert_true(g_bytes_equal(pin, expected));
        g_assert_null(verdict_pin(noise));
}

static void test_a_key_that_is_not_pinned_is_rejected(void) {
        g_autoptr(GPtrArray) other = pins_of(stranger, inter); /* not the leaf's */
        g_autoptr(GPtrArray) none = pins_of(NULL, NULL);

        assert_errors(reach_case(&(Case){{leaf, inter}, .pins = other}),
                      VERDICT_CERTIFICATE_REJECTED, leaf, VERDICT_NO_ERROR);
        assert_errors(reach_case(&(Case){{leaf, inter}, .pins = none}),
                      VERDICT_CERTIFICATE_REJECTED, leaf, VERDICT_NO_ERROR);
        /* and all else is said too */
        assert_errors(reach_case(&(Case){{leaf, inter}, .trust = stranger, .pins = other}),
                      VERDICT_UNABLE_TO_GET_LOCAL_ISSUER_CERTIFICATE, inter,
                      VERDICT_CERTIFICATE_REJECTED, leaf, VERDICT_NO_ERROR);
}

static void test_a_pinned_key_needs_nobody_else(void) {
        g_autoptr(TestIdentity) own = signed_leaf(NULL, 0);
        g_autoptr(GPtrArray) pins = pins_of(stranger, own);

        assert_errors(reach_case(&(Case){{own}, .name = "other.test", .pins = pins}),
                      VERDICT_NO_ERROR);
        assert_errors(reach_case(&(Case){{own}, .name = "other.test", .vouched = true}),
                      VERDICT_NO_ERROR);
        assert_errors(reach_case(&(Case){{own}, .vouched = true, .pins = pins}), VERDICT_NO_ERROR);
}

static void test_a_pinned_key_is_not_above_all(void) {
        g_autoptr(TestIdentity) old = signed_leaf(NULL, TEST_IDENTITY_EXPIRED);
        g_autoptr(TestIdentity) client = signed_leaf(NULL, TEST_IDENTITY_CLIENT_ONLY);
        g_autoptr(TestIdentity) stolen = signed_leaf(NULL, 0);
        g_autoptr(Revocations) revocations = revocations_new();
        g_autofree char *hash =
                g_compute_checksum_for_bytes(G_CHECKSUM_SHA256, test_identity_der(stolen));
        g_autoptr(GBytes) denied = g_bytes_new(hash, strlen(hash));
        size_t n_bad, bad;

        g_assert_cmpint(revocations_add_denied(revocations, denied, &n_bad, &bad), ==, 0);
        assert_errors(reach_case(&(Case){{old}, .vouched = true}), VERDICT_CERTIFICATE_EXPIRED, old,
                      VERDICT_NO_ERROR);
        assert_errors(reach_case(&(Case){{client}, .vouched = true}), VERDICT_INVALID_PURPOSE,
                      client, VERDICT_NO_ERROR);
        assert_errors(reach_case(&(Case){{stolen}, .vouched = true, .revocations = revocations}),
                      VERDICT_CERTIFICATE_BLACKLISTED, stolen, VERDICT_NO_ERROR);
}

/* What vouches for the caller's choice is the pins, when there are some. */
static void test_who_vouches_does_not_outvote_a_pin(void) {
        g_autoptr(GPtrArray) other = pins_of(stranger, NULL);

        assert_errors(reach_case(&(Case){{leaf, inter}, .vouched = true, .pins = other}),
                      VERDICT_CERTIFICATE_REJECTED, leaf, VERDICT_NO_ERROR);
}

static const struct {
        const char *path;
        void (*run)(void);
} tests[] = {
        {"/verdict/pins/are-the-keys-hashes", test_a_pin_is_the_keys_hash},
        {"/verdict/pins/another-key-is-rejected", test_a_key_that_is_not_pinned_is_rejected},
        {"/verdict/pins/the-right-key-needs-nobody-else", test_a_pinned_key_needs_nobody_else},
        {"/verdict/pins/are-not-above-all", test_a_pinned_key_is_not_above_all},
        {"/verdict/pins/are-not-outvoted", test_who_vouches_does_not_outvote_a_pin},
        {"/verdict/good/a-good-chain-has-no-errors", test_a_good_chain_has_no_errors},
        {"/verdict/good/order-and-strangers-do-not-matter", test_order_and_strangers_do_not_matter},
        {"/verdict/good/an-intermediate-can-be-the-anchor", test_an_intermediate_can_be_the_anchor},
        {"/verdict/good/every-kind-of-key", test_every_kind_of_key_is_good},
        {"/verdict/good/an-anchor-that-is-the-leaf-is-enough",
         test_an_anchor_that_is_the_leaf_is_enough},
        {"/verdict/issuer/no-certificate-is-an-error-of-none",
         test_no_certificate_is_an_error_of_none},
        {"/verdict/issuer/a-self-signed-leaf-is-self-signed",
         test_a_self_signed_leaf_is_self_signed},
        {"/verdict/issuer/a-root-that-is-sent-is-not-trusted-for-that",
         test_a_root_that_is_sent_is_not_trusted_for_that},
        {"/verdict/issuer/an-unknown-one-is-of-the-last",
         test_an_unknown_issuer_is_of_the_last_one},
        {"/verdict/issuer/nobody-is-trusted-by-an-empty-set",
         test_nobody_is_trusted_by_an_empty_set},
        {"/verdict/issuer/the-name-of-an-anchor-is-not-its-key",
         test_the_name_of_an_anchor_is_not_its_key},
        {"/verdict/issuer/who-is-no-ca-is-blamed-for-it", test_who_is_no_ca_is_blamed_for_it},
        {"/verdict/issuer/version-1-is-no-ca-unless-it-is-the-anchor",
         test_version_1_is_no_ca_unless_it_is_the_anchor},
        {"/verdict/issuer/may-limit-how-many-come-below", test_a_ca_may_limit_how_many_come_below},
        {"/verdict/issuer/may-limit-the-names-below", test_a_ca_may_limit_the_names_below},
        {"/verdict/issuer/an-undecodable-key-is-its-own", test_an_undecodable_key_is_its_issuers},
        {"/verdict/issuer/has-the-serial-number-that-was-named",
         test_a_named_serial_number_must_be_the_issuers},
        {"/verdict/dates/are-of-the-one-that-is-out-of-them",
         test_dates_are_of_the_one_that_is_out_of_them},
        {"/verdict/dates/an-anchor-can-expire-too", test_an_anchor_can_expire_too},
        {"/verdict/dates/what-is-none-is-of-its-field", test_what_is_no_date_is_of_its_field},
        {"/verdict/all-errors-come-at-once", test_all_errors_come_at_once},
        {"/verdict/name/host-names-match-dns-names", test_host_names_match_dns_names},
        {"/verdict/name/a-common-name-counts-without-other-names",
         test_a_common_name_counts_without_other_names},
        {"/verdict/name/addresses-match-addresses-alone", test_addresses_match_addresses_alone},
        {"/verdict/purpose/must-be-the-peers", test_the_purpose_must_be_the_peers},
        {"/verdict/purpose/more-than-anybody-has-are-not-read",
         test_more_purposes_than_anybody_has_are_not_read},
        {"/verdict/weak/or-unknown-things-are-rejected", test_weak_or_unknown_things_are_rejected},
        {"/verdict/depth/counts-what-was-sent-without-the-root",
         test_depth_counts_what_was_sent_without_the_root},
        {"/verdict/forged/a-leaf-is-seen-whatever-is-wrong-above",
         test_a_forged_leaf_is_seen_whatever_is_wrong_above},
        {"/verdict/forged/a-leaf-is-seen-below-one-too-many",
         test_a_forged_leaf_is_seen_below_one_too_many},
        {"/verdict/forged/a-signature-by-a-namesake-is-false",
         test_a_signature_by_a_namesake_is_false},
        {"/verdict/forged/what-cannot-be-a-signature-has-failed",
         test_a_signature_that_cannot_be_one_has_failed},
        {"/verdict/hostile/a-chain-without-end-is-too-long-and-no-more",
         test_a_chain_without_end_is_too_long_and_no_more},
        {"/verdict/hostile/a-circle-is-walked-once", test_a_circle_is_walked_once},
        {"/verdict/hostile/a-real-chain-at-the-limit-is-walked",
         test_a_real_chain_at_the_limit_is_walked},
        {"/verdict/hostile/what-cannot-be-read-is-the-only-error",
         test_what_cannot_be_read_is_the_only_error},
        {"/verdict/hostile/a-damaged-leaf-is-never-good", test_a_damaged_leaf_is_never_good},
        {"/verdict/hostile/a-damage-that-is-signed-is-answered", test_a_signed_damage_is_answered},
        {"/verdict/hostile/a-monstrous-key-is-not-worked-with",
         test_a_monstrous_key_is_not_worked_with},
        {"/verdict/hostile/a-large-key-is-not-yet-monstrous",
         test_a_large_key_is_not_yet_monstrous},
        {"/verdict/denied/is-whoever-vouches-for-it", test_denied_is_whoever_vouches_for_it},
        {"/verdict/denied/an-anchor-that-is-the-leaf", test_an_anchor_that_is_the_leaf_is_denied},
        {"/verdict/revoked/is-what-its-issuer-listed", test_revoked_is_what_its_issuer_listed},
        {"/verdict/revoked/a-list-out-of-date-leaves-the-status-unknown",
         test_a_list_out_of_date_leaves_the_status_unknown},
        {"/verdict/ocsp/a-response-is-wanted-when-asked-for",
         test_a_response_is_wanted_when_asked_for},
        {"/verdict/ocsp/a-refusal-is-told-as-it-is", test_a_refusal_is_told_as_it_is},
        {"/verdict/ocsp/what-is-no-response-is-malformed", test_what_is_no_response_is_malformed},
        {"/verdict/ocsp/is-the-issuers", test_a_response_is_the_issuers},
        {"/verdict/ocsp/is-about-the-leaf", test_a_response_is_about_the_leaf},
        {"/verdict/ocsp/has-its-time", test_a_response_has_its_time},
        {"/verdict/ocsp/says-the-status", test_a_response_says_the_status},
        {"/verdict/ocsp/is-no-trust", test_a_response_is_no_trust},
};

/* Runs that test again, and looks whether it saw the error. */
static bool test_reaches(const char *path, VerdictCode code) {
        memset(reached, 0, sizeof(reached));
        for (size_t i = 0; i < G_N_ELEMENTS(tests); i++)
                if (g_str_equal(tests[i].path, path)) {
                        tests[i].run();
                        return reached[code];
                }

        g_error("there is no test %s", path);
}

/* ---- the table of interfaces/README.md ---- */

typedef struct Row {
        char *name, *when, *test; /* test: NULL for "–" */
} Row;

static void row_clear(gpointer data) {
        Row *row = data;

        g_free(row->name);
        g_free(row->when);
        g_free(row->test);
}

static char *unquoted(const char *cell) {
        g_auto(GStrv) parts = g_strsplit(cell, "`", 3);

        return g_strv_length(parts) == 3 ? g_strdup(parts[1]) : NULL;
}

/* Every row of three cells that names an error. */
static GArray *read_rows(void) {
        GArray *rows = g_array_new(FALSE, FALSE, sizeof(Row));
        g_autofree char *text = NULL, *path = NULL;
        g_auto(GStrv) lines = NULL;

        path = g_build_filename(g_getenv("DTLSD_INTERFACES"), "README.md", NULL);
        g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
        lines = g_strsplit(strstr(text, "| error | when | test |"), "\n", -1);
        g_array_set_clear_func(rows, row_clear);
        for (size_t i = 2; g_str_has_prefix(lines[i], "| "); i++) {
                g_auto(GStrv) cells = g_strsplit(lines[i], "|", -1);
                Row row;

                g_assert_cmpuint(g_strv_length(cells), ==, 5);
                row = (Row){unquoted(cells[1]), g_strdup(g_strstrip(cells[2])), unquoted(cells[3])};
                g_array_append_val(rows, row);
        }

        return rows;
}

static void test_the_table_is_what_is_reached(void) {
        g_autoptr(GArray) rows = read_rows();

        g_assert_cmpuint(rows->len, ==, N_VERDICT_CODES);
        for (VerdictCode code = 0; code < N_VERDICT_CODES; code++) {
                const Row *row = &g_array_index(rows, Row, code);
                bool never = g_str_has_prefix(row->when, "never: ");

                g_assert_cmpstr(row->name, ==, verdict_code_name(code));
                g_test_message("%s: %s", row->name, row->test);
                g_assert_true(row->test || never);
                if (row->test)
                        g_assert_cmpint(test_reaches(row->test, code), ==, !never);
        }
}

int main(int argc, char **argv) {
        int r;

        g_test_init(&argc, &argv, NULL);
        root = test_identity_new("root", NULL, TEST_IDENTITY_CA, TEST_KEY_ECDSA);
        inter = test_identity_new("inter", root, TEST_IDENTITY_CA, TEST_KEY_ECDSA);
        leaf = test_identity_new(NAME, inter, TEST_IDENTITY_LOOPBACK, TEST_KEY_ECDSA);
        stranger = test_identity_new("stranger", NULL, TEST_IDENTITY_CA, TEST_KEY_ECDSA);

        for (size_t i = 0; i < G_N_ELEMENTS(tests); i++)
                g_test_add_func(tests[i].path, tests[i].run);
        g_test_add_func("/verdict/codes/the-table-is-what-is-reached",
                        test_the_table_is_what_is_reached);

        r = g_test_run();
        test_identity_free(root);
        test_identity_free(inter);
        test_identity_free(leaf);
        test_identity_free(stranger);
        return r;
}
