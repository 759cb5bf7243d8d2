/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* rests: PSKs that rest in a listener, how long, and what wipes them. */

#include "world.h"

#include "base/cleanup.h"
#include "base/memfd.h"
#include "relay/private.h"
#include "session/session.h"

#include <string.h>

#define USE "[use]\nSubjects=any\nVerdict=allow\nUse=psk:*\n"
#define REST "[rest]\nSubjects=gid:77\nVerdict=allow\nMay=rest-psk\n"

typedef struct Fixture {
        World world;
        Access *access;
        Listener *listener; /* with the store's, */
        Key *own;           /* and this */
        GBytes *own_identity;
} Fixture;

static void rule(Fixture *fixture, const char *rules) {
        Access *access = access_new();
        g_autofree char *text = NULL;

        g_assert_cmpint(access_read(access, "rules", rules, &text), ==, 0);
        access_replace(fixture->access, access);
        relay_set_access(fixture->world.relay, fixture->access);
}

static void store(Fixture *fixture, const char *name, const char *key) {
        g_autoptr(GBytes) identity = g_bytes_new(name, strlen(name));
        g_autofd int fd = -1;

        g_assert_cmpint(memfd_new(key, strlen(key), &fd), ==, 0);
        (void)keys_store_psk(fixture->world.keys, 0, name, identity, fd, world_on_done,
                             &fixture->world);
        world_wait_done(&fixture->world);
}

static void unstore(Fixture *fixture, const char *name) {
        (void)keys_remove_psk(fixture->world.keys, 0, name, world_on_done, &fixture->world);
        world_wait_done(&fixture->world);
}

static Spec *listener_spec(const Fixture *fixture) {
        static char *patterns[] = {(char *)"a*", NULL};
        const gid_t gid = 77;
        Spec *spec = world_listener_spec("127.0.0.1", 0);

        spec->gids = g_bytes_new(&gid, sizeof(gid));
        spec->psks = psk_choice_new(patterns);
        spec->psk = key_ref(fixture->own);
        spec->psk_identity = g_bytes_ref(fixture->own_identity);
        return spec;
}

static void setup(Fixture *fixture, gconstpointer unused) {
        World *world = &fixture->world;

        world_setup(world, NULL);
        world_open_store(world);
        world_start_keyring(world);
        fixture->access = access_new();
        rule(fixture, USE REST);
        store(fixture, "a1", "key of a1");
        store(fixture, "a2", "key of a2");
        fixture->own = world_import_psk(world, WORLD_UID, "own key");
        fixture->own_identity = g_bytes_new_static("own", 3);
        fixture->listener = world_listen(world, listener_spec(fixture));
}

static void teardown(Fixture *fixture, gconstpointer unused) {
        g_clear_pointer(&fixture->own, key_unref);
        g_bytes_unref(fixture->own_identity);
        world_teardown(&fixture->world, NULL);
        access_free(fixture->access);
}

static HandshakeState shake(Fixture *fixture, const char *identity, const char *key) {
        World *world = &fixture->world;
        Spec *spec = world_client_spec();
        Connection *client;

        spec->psk_identity = g_bytes_new(identity, strlen(identity));
        spec->psk = world_import_psk(world, WORLD_UID, key);
        client = world_start(world, spec, fixture->listener, "127.0.0.1");
        world_wait(world, connection_facts(client).state != HANDSHAKE_IN_PROGRESS);
        return connection_facts(client).state;
}

static void assert_used(Fixture *fixture, const char *identity, const char *key, uint64_t n) {
        g_assert_cmpint(shake(fixture, identity, key), ==, HANDSHAKE_COMPLETE);
        g_assert_cmpuint(world_counter(listener_counters(fixture->listener), "PsksRested"), ==, n);
}

static unsigned n_resting(const Fixture *fixture) {
        const Relay *relay = fixture->world.relay;

        /* no wake-up for nothing */
        g_assert_true(!relay->rests_alarm.iter == (relay->rests.length == 0));
        return relay->rests.length;
}

static void let_all_rest(Fixture *fixture) {
        g_assert_cmpint(shake(fixture, "a1", "key of a1"), ==, HANDSHAKE_COMPLETE);
        g_assert_cmpint(shake(fixture, "a2", "key of a2"), ==, HANDSHAKE_COMPLETE);
        g_assert_cmpint(shake(fixture, "own", "own key"), ==, HANDSHAKE_COMPLETE);
        g_assert_cmpuint(n_resting(fixture), ==, 3);
}

static const Key *key_of(const Fixture *fixture, const char *name) {
        const KeysPsk *psk = g_tree_lookup(keys_psks(fixture->world.keys), name);

        g_assert_nonnull(psk);
        return psk->key;
}

/* ---- whose may ---- */

static void none_does_without_a_rule(Fixture *fixture, gconstpointer unused) {
        static const char *const rules[] = {
                USE,
                USE "[ask]\nSubjects=gid:77\nVerdict=ask\nMay=rest-psk\n" REST,
                USE "[others]\nSubjects=gid:78\nVerdict=allow\nMay=rest-psk\n",
        };

        for (size_t i = 0; i < G_N_ELEMENTS(rules); i++) {
                rule(fixture, rules[i]);
                assert_used(fixture, "a1", "key of a1", 0);
                assert_used(fixture, "own", "own key", 0);
                g_assert_cmpuint(n_resting(fixture), ==, 0);
        }
}

static void one_is_used_again(Fixture *fixture, gconstpointer unused) {
        assert_used(fixture, "a1", "key of a1", 0);
        assert_used(fixture, "a1", "key of a1", 1);
        assert_used(fixture, "own", "own key", 1);
        assert_used(fixture, "own", "own key", 2);
        assert_used(fixture, "a1", "key of a1", 3);
        g_assert_cmpint(shake(fixture, "a1", "another key"), ==, HANDSHAKE_NOT_STARTED);
        g_assert_cmpuint(n_resting(fixture), ==, 2);
}

static void a_client_keeps_none(Fixture *fixture, gconstpointer unused) {
        Spec *spec = world_client_spec();

        spec->psk_identity = g_bytes_ref(fixture->own_identity);
        spec->psk = key_ref(fixture->own);
        world_wait_state(&fixture->world,
                         world_start(&fixture->world, spec, fixture->listener, "127.0.0.1"),
                         HANDSHAKE_COMPLETE);
        g_assert_cmpuint(n_resting(fixture), ==, 1); /* the listener's */
}

/* One that was replaced while the keyring was asked would be found by nobody. */
static void what_no_handshake_would_find_is_not_kept(Fixture *fixture, gconstpointer unused) {
        g_autoptr(GBytes) identity = g_bytes_new_static("a1", 2);
        g_autoptr(Key) replaced = key_ref((Key *)key_of(fixture, "a1"));
        g_autoptr(Secret) psk = secret_new("key of a1", 9);
        Listener *listener = fixture->listener;

        store(fixture, "a1", "new key");
        rests_keep(listener, identity, replaced, psk, 1);
        g_assert_cmpuint(n_resting(fixture), ==, 0);
        rests_keep(listener, identity, (Key *)key_of(fixture, "a1"), psk, 1);
        g_assert_cmpuint(n_resting(fixture), ==, 1);
}

static void a_user_has_so_many(Fixture *fixture, gconstpointer unused) {
        g_autoptr(GBytes) identity = g_bytes_new_static("a1", 2);
        g_autoptr(Secret) psk = secret_new("own key", 7);
        World *world = &fixture->world;
        Spec *spec;

        rests_keep(fixture->listener, fixture->own_identity, fixture->own, psk, 1);
        for (unsigned i = 1; i < RESTS_PER_USER_MAX; i++)
                rests_keep(world_listen(world, listener_spec(fixture)), fixture->own_identity,
                           fixture->own, psk, 1);
        g_assert_cmpuint(n_resting(fixture), ==, RESTS_PER_USER_MAX);
        rests_keep(fixture->listener, identity, (Key *)key_of(fixture, "a1"), psk, 1);
        g_assert_cmpuint(n_resting(fixture), ==, RESTS_PER_USER_MAX);

        spec = listener_spec(fixture);
        spec->uid = WORLD_OTHER_UID;
        rests_keep(world_listen(world, spec), fixture->own_identity, fixture->own, psk, 1);
        g_assert_cmpuint(n_resting(fixture), ==, RESTS_PER_USER_MAX + 1);
}

/* ---- how long ---- */

static void each_has_its_time(Fixture *fixture, gconstpointer unused) {
        g_autoptr(GBytes) identity = g_bytes_new_static("a1", 2);
        g_autoptr(Secret) psk = secret_new("key of a1", 9);
        Key *key = (Key *)key_of(fixture, "a1");
        Listener *listener = fixture->listener;
        Relay *relay = fixture->world.relay;
        const Secret *found;

        rests_keep(listener, identity, key, psk, 100);
        rests_keep(listener, fixture->own_identity, fixture->own, psk, 200);
        rests_keep(listener, identity, key, psk, 300); /* of two that asked at the same time */
        found = rests_find(listener, key, 100 + RESTS_USEC - 1);
        g_assert_cmpmem(secret_peek(found), secret_size(found), "key of a1", 9);

        /* however often it was used, and however late the timer */
        g_assert_null(rests_find(listener, key, 100 + RESTS_USEC));
        g_assert_cmpuint(relay->rests_alarm.at_usec, ==, 100 + RESTS_USEC);
        relay->rests_alarm.ring(relay, 100 + RESTS_USEC - 1);
        g_assert_cmpuint(n_resting(fixture), ==, 2);
        relay->rests_alarm.ring(relay, 100 + RESTS_USEC);
        g_assert_cmpuint(n_resting(fixture), ==, 1);
        g_assert_nonnull(rests_find(listener, fixture->own, 0));
        g_assert_cmpuint(relay->rests_alarm.at_usec, ==, 200 + RESTS_USEC);
        relay->rests_alarm.ring(relay, 200 + RESTS_USEC);
        g_assert_cmpuint(n_resting(fixture), ==, 0);
}

/* ---- what wipes it ---- */

static void what_changes_it_wipes_it(Fixture *fixture, gconstpointer unused) {
        let_all_rest(fixture);
        store(fixture, "a3", "another key");
        g_assert_cmpuint(n_resting(fixture), ==, 3);
        store(fixture, "a1", "new key of a1");
        g_assert_cmpuint(n_resting(fixture), ==, 2);
        g_assert_cmpint(shake(fixture, "a1", "key of a1"), ==, HANDSHAKE_NOT_STARTED);
        assert_used(fixture, "a1", "new key of a1", 1);
        unstore(fixture, "a1");
        g_assert_cmpuint(n_resting(fixture), ==, 2);
        g_assert_cmpint(shake(fixture, "a1", "new key of a1"), ==, HANDSHAKE_NOT_STARTED);
}

static void rules_that_are_read_again_wipe_all(Fixture *fixture, gconstpointer unused) {
        let_all_rest(fixture);
        rule(fixture, USE REST);
        g_assert_cmpuint(n_resting(fixture), ==, 0);
        rule(fixture, REST);
        g_assert_cmpint(shake(fixture, "a1", "key of a1"), ==, HANDSHAKE_NOT_STARTED);
        g_assert_cmpuint(n_resting(fixture), ==, 0);
}

static void a_lost_keyring_wipes_all(Fixture *fixture, gconstpointer unused) {
        let_all_rest(fixture);
        world_kill_keyring(&fixture->world);
        g_assert_cmpuint(n_resting(fixture), ==, 0);
        g_assert_false(key_is_alive(fixture->own));
}

static void another_configuration_wipes_the_listeners(Fixture *fixture, gconstpointer unused) {
        Listener *other = world_listen(&fixture->world, listener_spec(fixture));
        g_autoptr(Secret) psk = secret_new("own key", 7);
        Reason reason;

        rests_keep(other, fixture->own_identity, fixture->own, psk,
                   relay_now(fixture->world.relay));
        assert_used(fixture, "own", "own key", 0);
        g_assert_cmpuint(n_resting(fixture), ==, 2);
        g_assert_cmpint(listener_set_spec(fixture->listener, listener_spec(fixture), &reason), ==,
                        0);
        g_assert_cmpuint(n_resting(fixture), ==, 1);
        assert_used(fixture, "own", "own key", 0);
        g_assert_cmpuint(n_resting(fixture), ==, 2);
}

static void a_listeners_end_wipes_its_own(Fixture *fixture, gconstpointer unused) {
        let_all_rest(fixture);
        (void)listener_close(fixture->listener);
        g_assert_cmpuint(n_resting(fixture), ==, 0);
}

#define CASE(name, function) g_test_add("/rests/" name, Fixture, NULL, setup, function, teardown)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_assert_cmpint(session_global_init(), ==, 0);

        CASE("none-does-without-a-rule", none_does_without_a_rule);
        CASE("one-is-used-again", one_is_used_again);
        CASE("a-client-keeps-none", a_client_keeps_none);
        CASE("what-no-handshake-would-find-is-not-kept", what_no_handshake_would_find_is_not_kept);
        CASE("a-user-has-so-many", a_user_has_so_many);
        CASE("each-has-its-time", each_has_its_time);
        CASE("what-changes-it-wipes-it", what_changes_it_wipes_it);
        CASE("rules-that-are-read-again-wipe-all", rules_that_are_read_again_wipe_all);
        CASE("a-lost-keyring-wipes-all", a_lost_keyring_wipes_all);
        CASE("another-configuration-wipes-the-listeners",
             another_configuration_wipes_the_listeners);
        CASE("a-listeners-end-wipes-its-own", a_listeners_end_wipes_its_own);
        return g_test_run();
}
