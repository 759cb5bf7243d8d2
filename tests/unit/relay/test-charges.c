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

/* ---- what a user's certificates take ---- */

static Trust *trust_of(unsigned n_anchors) {
        g_autoptr(GPtrArray) blobs = test_blobs(NULL, NULL);
        Trust *trust = NULL;

        for (unsigned i = 0; i < n_anchors; i++) {
                g_autoptr(TestIdentity) anchor =
                        test_identity_new("anchor", NULL, TEST_IDENTITY_CA, TEST_KEY_ECDSA);

                g_ptr_array_add(blobs, g_bytes_ref(test_identity_der(anchor)));
        }
        g_assert_cmpint(trust_new(blobs, &trust), ==, 0);
        g_assert_cmpuint(trust_memory(trust), >, n_anchors * 4096);
        return trust;
}

static Spec *with_trust(Spec *spec, Trust *trust) {
        spec->trust = trust;
        return spec;
}

static void count_certificates_once_for_all_copies(World *world, gconstpointer unused) {
        Trust *few = trust_of(1), *many = trust_of(3);
        size_t n_few = trust_memory(few), n_many = trust_memory(many);
        Connection *client;
        Reason reason = {0};
        Listener *listener;

        world_use_psk(world, "someone", "secret");
        listener = world_listen(world, with_trust(world_listener_spec("127.0.0.1", 0), many));
        client = world_start(world, world_client_spec(), listener, "127.0.0.1");
        world_wait_state(world, client, HANDSHAKE_COMPLETE);
        world_wait(world, world->n_announced == 1);
        g_assert_cmpuint(quota_used(world->quota, WORLD_UID, QUOTA_BYTES), ==, n_many);

        /* its connection still has the old ones */
        g_assert_cmpint(listener_set_spec(listener,
                                          with_trust(world_listener_spec("127.0.0.1", 0), few),
                                          &reason),
                        ==, 0);
        g_assert_cmpuint(quota_used(world->quota, WORLD_UID, QUOTA_BYTES), ==, n_many + n_few);
        connection_close(world_other_end(world, client), END_CLOSE);
        world_spend(world, 1000);
        g_assert_cmpuint(quota_used(world->quota, WORLD_UID, QUOTA_BYTES), ==, n_few);
}

static void bound_certificates(World *world, gconstpointer unused) {
        QuotaLimits limits = quota_limits_default(4096);
        Trust *trust = trust_of(2);
        Connection *connection;
        Reason reason = {0};

        limits.per_uid[QUOTA_BYTES] = trust_memory(trust) * 3 / 2;
        world_setup_limits(world, &limits);
        g_assert_cmpint(relay_create_connection(world->relay,
                                                with_trust(world_client_spec(), trust_ref(trust)),
                                                &connection, &reason),
                        ==, 0);

        /* another object; but what takes the place of another has it */
        g_assert_cmpint(relay_create_connection(world->relay,
                                                with_trust(world_client_spec(), trust_ref(trust)),
                                                &connection, &reason),
                        ==, RELAY_E_QUOTA);
        connection = relay_find_connection(world->relay, 1);
        g_assert_cmpint(connection_set_spec(connection,
                                            with_trust(world_client_spec(), trust_ref(trust)),
                                            &reason),
                        ==, 0);
        g_assert_cmpuint(quota_used(world->quota, WORLD_UID, QUOTA_BYTES), ==, trust_memory(trust));
        g_assert_cmpint(connection_set_spec(connection, world_client_spec(), &reason), ==, 0);
        g_assert_cmpuint(quota_used(world->quota, WORLD_UID, QUOTA_BYTES), ==, 0);
        trust_unref(trust);
}

static void count_a_listeners_certificates_once(World *world, gconstpointer unused) {
        QuotaLimits limits = quota_limits_default(4096);
        Trust *trust = trust_of(2);
        Reason reason = {0};
        Listener *listener;

        limits.per_uid[QUOTA_BYTES] = trust_memory(trust) * 3 / 2;
        world_setup_limits(world, &limits);
        listener = world_listen(world,
                                with_trust(world_listener_spec("127.0.0.1", 0), trust_ref(trust)));
        g_assert_cmpint(listener_set_spec(listener,
                                          with_trust(world_listener_spec("127.0.0.1", 0), trust),
                                          &reason),
                        ==, 0);
        g_assert_cmpuint(quota_used(world->quota, WORLD_UID, QUOTA_BYTES), ==, trust_memory(trust));
}

static void bound_errors_to_ignore(World *world, gconstpointer unused) {
        QuotaLimits limits = quota_limits_default(4096);
        const size_t n_bytes = 1000 + sizeof(VerdictError);
        g_autoptr(GArray) errors = verdict_errors_new();
        g_autoptr(GBytes) certificate = g_bytes_new_take(g_malloc0(1000), 1000);
        Connection *connection;
        Reason reason = {0};

        limits.per_uid[QUOTA_BYTES] = 2500;
        world_setup_limits(world, &limits);
        verdict_errors_add(errors, VERDICT_CERTIFICATE_EXPIRED, certificate);
        g_assert_cmpint(
                relay_create_connection(world->relay, world_client_spec(), &connection, &reason),
                ==, 0);
        for (int i = 0; i < 3; i++) {
                g_assert_cmpint(connection_ignore_errors(connection, errors, &reason), ==, 0);
                g_assert_cmpuint(quota_used(world->quota, WORLD_UID, QUOTA_BYTES), ==, n_bytes);
        }

        verdict_errors_add(errors, VERDICT_HOST_NAME_MISMATCH, certificate);
        g_assert_cmpint(connection_ignore_errors(connection, errors, &reason), ==, RELAY_E_QUOTA);
        connection_close(connection, END_CLOSE);
        world_spend(world, 1000);
        g_assert_cmpuint(quota_used(world->quota, WORLD_UID, QUOTA_BYTES), ==, 0);
}

static GPtrArray *names_of(unsigned n) {
        GPtrArray *names = g_ptr_array_new();

        for (unsigned i = 0; i < n; i++)
                g_ptr_array_add(names, (void *)"name");
        return names;
}

/* Whatever a caller may say in a few bytes or in many. */
static void count_whatever_may_be_long(void) {
        g_autoptr(Quota) quota = quota_of(10);
        g_autoptr(Spec) spec = spec_new(DTLS_SERVER, 1000, ":1.5");
        g_autoptr(GBytes) coap = g_bytes_new("coap", 4), h2 = g_bytes_new("h2", 2);
        VerdictCode code = VERDICT_CERTIFICATE_EXPIRED;
        size_t n_bytes;

        g_array_append_val(spec->ignored_codes, code);
        n_bytes = sizeof(code);
        spec->psk_identity = g_bytes_new("device", 6);
        n_bytes += 6;
        spec->psk_hint = g_strdup("who are you?");
        n_bytes += 12;
        spec->ciphers = names_of(2);
        spec->curves = names_of(3);
        spec->ssl_options = names_of(4);
        n_bytes += 9 * sizeof(void *);
        spec->next_protocols = test_blobs(coap, h2, NULL);
        n_bytes += 6;
        spec->dh_parameters = g_bytes_new("a prime", 7);
        spec->ticket = g_bytes_new("a ticket", 8);
        n_bytes += 15;

        g_assert_cmpint(spec_charge(spec, quota), ==, 0);
        g_assert_cmpuint(quota_used(quota, 1000, QUOTA_BYTES), ==, n_bytes);
        g_assert_cmpint(spec_charge(spec, quota), ==, 0); /* not twice */
        g_assert_cmpuint(quota_used(quota, 1000, QUOTA_BYTES), ==, n_bytes);
        spec = spec_free(spec);
        g_assert_cmpuint(quota_used(quota, 1000, QUOTA_BYTES), ==, 0);
}

static Spec *spec_with_hint(size_t n) {
        Spec *spec = spec_new(DTLS_SERVER, 1000, ":1.5");

        spec->psk_hint = g_strnfill(n, 'x');
        return spec;
}

static void count_what_takes_the_place_of_another_once(void) {
        QuotaLimits limits = quota_limits_default(4096);
        g_autoptr(Quota) quota = NULL;
        g_autoptr(Spec) first = spec_with_hint(90), second = spec_with_hint(100);
        g_autoptr(Spec) third = spec_with_hint(40), too_long = spec_with_hint(101);

        limits.per_uid[QUOTA_BYTES] = 100;
        g_assert_cmpint(quota_new(&limits, &quota), ==, 0);
        g_assert_cmpint(spec_charge_instead(first, NULL, quota), ==, 0);
        g_assert_cmpint(spec_charge_instead(too_long, first, quota), ==, QUOTA_E_UID);
        g_assert_cmpuint(quota_used(quota, 1000, QUOTA_BYTES), ==, 90);
        g_assert_cmpint(spec_charge_instead(second, first, quota), ==, 0);
        first = spec_free(first);
        g_assert_cmpuint(quota_used(quota, 1000, QUOTA_BYTES), ==, 100);
        g_assert_cmpint(spec_charge_instead(third, second, quota), ==, 0);
        second = spec_free(second);
        g_assert_cmpuint(quota_used(quota, 1000, QUOTA_BYTES), ==, 40);
        third = spec_free(third);
        g_assert_cmpuint(quota_used(quota, 1000, QUOTA_BYTES), ==, 0);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_assert_cmpint(session_global_init(), ==, 0);

        g_test_add_func("/charges/give-everything-back", give_everything_back);
        g_test_add_func("/charges/keep-nothing-of-what-was-refused",
                        keep_nothing_of_what_was_refused);
        g_test_add("/charges/count-certificates-once-for-all-copies", World, NULL, world_setup,
                   count_certificates_once_for_all_copies, world_teardown);
        g_test_add("/charges/count-a-listeners-certificates-once", World, NULL, NULL,
                   count_a_listeners_certificates_once, world_teardown);
        g_test_add("/charges/bound-certificates", World, NULL, NULL, bound_certificates,
                   world_teardown);
        g_test_add_func("/charges/count-whatever-may-be-long", count_whatever_may_be_long);
        g_test_add_func("/charges/count-what-takes-the-place-of-another-once",
                        count_what_takes_the_place_of_another_once);
        g_test_add("/charges/bound-errors-to-ignore", World, NULL, NULL, bound_errors_to_ignore,
                   world_teardown);
        return g_test_run();
}
