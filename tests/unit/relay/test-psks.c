/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* psks: which pre-shared key of the store a handshake is made with. */

#include "world.h"

#include "base/cleanup.h"
#include "base/memfd.h"
#include "relay/private.h"
#include "session/session.h"

#include <string.h>

#define RULES                                                                                      \
        "[deny]\nSubjects=any\nVerdict=deny\nUse=psk:secret-*\n"                                   \
        "[group]\nSubjects=gid:77\nVerdict=allow\nUse=psk:group-*\n"                               \
        "[ask]\nSubjects=any\nVerdict=ask\nUse=psk:ask-*\n"                                        \
        "[allow]\nSubjects=any\nVerdict=allow\nUse=psk:*\n"
#define NO_RULES "[deny]\nSubjects=any\nVerdict=deny\nUse=psk:*\n"

typedef struct Fixture {
        World world;
        Access *access;
        int outcome; /* of the last change; negative: not yet */
} Fixture;

static void rule(Fixture *fixture, const char *rules) {
        Access *access = access_new();
        g_autofree char *text = NULL;

        g_assert_cmpint(access_read(access, "rules", rules, &text), ==, 0);
        access_replace(fixture->access, access);
}

static void setup(Fixture *fixture, gconstpointer unused) {
        world_setup(&fixture->world, NULL);
        world_open_store(&fixture->world);
        world_start_keyring(&fixture->world);
        world_wait(&fixture->world, keys_identities_known(fixture->world.keys));
        fixture->access = access_new();
        rule(fixture, RULES);
        relay_set_access(fixture->world.relay, fixture->access);
}

static void teardown(Fixture *fixture, gconstpointer unused) {
        world_teardown(&fixture->world, NULL);
        access_free(fixture->access);
}

static void on_done(int outcome, const char *text, void *userdata) {
        Fixture *fixture = userdata;

        fixture->outcome = outcome;
}

static void store(Fixture *fixture, const char *name, const char *identity, const char *key) {
        World *world = &fixture->world;
        g_autoptr(GBytes) bytes = g_bytes_new(identity, strlen(identity));
        g_autofd int fd = -1;

        fixture->outcome = -1;
        g_assert_cmpint(memfd_new(key, strlen(key), &fd), ==, 0);
        (void)keys_store_psk(world->keys, 0, name, bytes, fd, on_done, fixture);
        world_wait(world, fixture->outcome >= 0);
        g_assert_cmpint(fixture->outcome, ==, 0);
}

static void unstore(Fixture *fixture, const char *name) {
        World *world = &fixture->world;

        fixture->outcome = -1;
        (void)keys_remove_psk(world->keys, 0, name, on_done, fixture);
        world_wait(world, fixture->outcome >= 0);
        g_assert_cmpint(fixture->outcome, ==, 0);
}

static Spec *with_psks(Spec *spec, const char *patterns, gid_t gid) {
        g_auto(GStrv) split = g_strsplit(patterns, " ", -1);

        g_clear_pointer(&spec->psks, psk_choice_unref);
        g_clear_pointer(&spec->gids, g_bytes_unref);
        spec->gids = g_bytes_new(&gid, sizeof(gid));
        spec->psks = psk_choice_new(split);
        return spec;
}

/* ---- which ---- */

/* The name of what is found; "": nothing. */
static const char *found(Fixture *fixture, const char *patterns, gid_t gid, const char *identity) {
        g_autoptr(Spec) spec = with_psks(world_listener_spec("127.0.0.1", 0), patterns, gid);
        g_autoptr(GBytes) bytes = g_bytes_new(identity, strlen(identity));
        const KeysPsk *psk = psks_find(fixture->world.relay, spec, bytes);

        return psk ? psk->name : "";
}

static void is_found_by_identity_pattern_and_rule(Fixture *fixture, gconstpointer unused) {
        store(fixture, "a", "a", "k");
        store(fixture, "sensor-1", "s1", "k");
        store(fixture, "sensor-12", "s12", "k");
        store(fixture, "secret-1", "secret", "k");
        store(fixture, "group-1", "group", "k");
        store(fixture, "u/1000/own", "own", "k");
        store(fixture, "u/1001/own", "others", "k");

        g_assert_cmpstr(found(fixture, "a", 1, "a"), ==, "a");
        g_assert_cmpstr(found(fixture, "a", 1, "s1"), ==, "");
        g_assert_cmpstr(found(fixture, "a", 1, "A"), ==, "");
        g_assert_cmpstr(found(fixture, "b sensor-?", 1, "s1"), ==, "sensor-1");
        g_assert_cmpstr(found(fixture, "sensor-?", 1, "s12"), ==, "");
        g_assert_cmpstr(found(fixture, "*", 1, "s12"), ==, "sensor-12");

        /* one's own need no rule; another's are not there whatever is said */
        g_assert_cmpstr(found(fixture, "*", 1, "own"), ==, "u/1000/own");
        g_assert_cmpstr(found(fixture, "* u/1001/own ?/1001/*", 1, "others"), ==, "");

        /* not by another way than its name */
        g_assert_cmpstr(found(fixture, "*", 1, "secret"), ==, "");
        g_assert_cmpstr(found(fixture, "secret-1", 1, "secret"), ==, "");
        rule(fixture, NO_RULES);
        g_assert_cmpstr(found(fixture, "*", 1, "s12"), ==, "");
        g_assert_cmpstr(found(fixture, "*", 1, "own"), ==, "u/1000/own");
}

static void a_rule_may_be_about_groups(Fixture *fixture, gconstpointer unused) {
        store(fixture, "group-1", "group", "k");
        rule(fixture, "[group]\nSubjects=gid:77\nVerdict=allow\nUse=psk:group-*\n");
        g_assert_cmpstr(found(fixture, "group-1", 77, "group"), ==, "group-1");
        g_assert_cmpstr(found(fixture, "group-1", 78, "group"), ==, "");
}

/* Polkit was asked about the pattern as it was said, and so under the rule that was about that. */
static void what_polkit_was_not_asked_about_is_not_used(Fixture *fixture, gconstpointer unused) {
        store(fixture, "ask-1", "ask", "k");
        g_assert_cmpstr(found(fixture, "ask-1", 1, "ask"), ==, "ask-1");
        g_assert_cmpstr(found(fixture, "ask-?", 1, "ask"), ==, "ask-1");
        g_assert_cmpstr(found(fixture, "*", 1, "ask"), ==, "");
        g_assert_cmpstr(found(fixture, "* ask-*", 1, "ask"), ==, "ask-1");
}

static void of_several_the_first_by_name_is_taken(Fixture *fixture, gconstpointer unused) {
        store(fixture, "b", "same", "k");
        store(fixture, "u/1000/a", "same", "k");
        store(fixture, "a", "same", "k");
        g_assert_cmpstr(found(fixture, "*", 1, "same"), ==, "a");
        g_assert_cmpstr(found(fixture, "u/1000/* b", 1, "same"), ==, "b");
}

static void without_rules_one_has_ones_own(Fixture *fixture, gconstpointer unused) {
        relay_set_access(fixture->world.relay, NULL);
        store(fixture, "a", "a", "k");
        store(fixture, "u/1000/b", "b", "k");
        g_assert_cmpstr(found(fixture, "*", 1, "a"), ==, "");
        g_assert_cmpstr(found(fixture, "*", 1, "b"), ==, "u/1000/b");
}

/* ---- handshakes ---- */

static Listener *listen_with(Fixture *fixture, const char *patterns) {
        return world_listen(&fixture->world,
                            with_psks(world_listener_spec("127.0.0.1", 0), patterns, 1));
}

/* One whose own key this is; how it ended. */
static HandshakeState shake(Fixture *fixture, const Listener *listener, const char *identity,
                            const char *key) {
        World *world = &fixture->world;
        Spec *spec = world_client_spec();
        Connection *client;

        spec->psk_identity = g_bytes_new(identity, strlen(identity));
        spec->psk = world_import_psk(world, WORLD_UID, key);
        client = world_start(world, spec, listener, "127.0.0.1");
        world_wait(world, connection_facts(client).state != HANDSHAKE_IN_PROGRESS);
        g_assert_cmpuint(world->n_psk_required, ==, 0); /* nobody was asked */
        return connection_facts(client).state;
}

/* The store has it, so nobody need give it again. */
static void one_that_waits_for_a_dying_keyring_says_to_try_again(Fixture *fixture,
                                                                 gconstpointer unused) {
        World *world = &fixture->world;
        Connection *client;

        store(fixture, "sensor-1", "s1", "a key");
        world_use_psk(world, "s1", "a key");
        client = world_start(world, with_psks(world_client_spec(), "sensor-1", 1),
                             world_listen(world, world_listener_spec("127.0.0.1", 0)), "127.0.0.1");
        world_wait(world, quota_used(world->quota, WORLD_UID, QUOTA_SIGNING) == 1);

        relay_keyring_lost(world->relay);
        g_assert_cmpint(connection_facts(client).state, ==, HANDSHAKE_NOT_STARTED);
        g_assert_nonnull(strstr(connection_facts(client).error_text, "the store has this key"));
}

static void a_listener_takes_what_the_store_has_now(Fixture *fixture, gconstpointer unused) {
        Listener *listener = listen_with(fixture, "sensor-*");
        World *world = &fixture->world;
        Connection *old;

        g_assert_cmpint(shake(fixture, listener, "s1", "old key"), ==, HANDSHAKE_NOT_STARTED);
        store(fixture, "sensor-1", "s1", "old key");
        g_assert_cmpint(shake(fixture, listener, "s1", "old key"), ==, HANDSHAKE_COMPLETE);
        old = relay_find_connection(world->relay, world->last_accepted);

        store(fixture, "sensor-1", "s1", "new key");
        g_assert_cmpint(shake(fixture, listener, "s1", "old key"), ==, HANDSHAKE_NOT_STARTED);
        g_assert_cmpint(shake(fixture, listener, "s1", "new key"), ==, HANDSHAKE_COMPLETE);
        g_assert_cmpint(connection_facts(old).state, ==, HANDSHAKE_COMPLETE);

        rule(fixture, NO_RULES);
        g_assert_cmpint(shake(fixture, listener, "s1", "new key"), ==, HANDSHAKE_NOT_STARTED);
        rule(fixture, RULES);
        unstore(fixture, "sensor-1");
        g_assert_cmpint(shake(fixture, listener, "s1", "new key"), ==, HANDSHAKE_NOT_STARTED);
        g_assert_cmpint(connection_facts(old).state, ==, HANDSHAKE_COMPLETE);
}

static void an_objects_own_key_comes_before_the_stores(Fixture *fixture, gconstpointer unused) {
        Spec *spec = with_psks(world_listener_spec("127.0.0.1", 0), "*", 1);
        Listener *listener;

        store(fixture, "a", "both", "of the store");
        store(fixture, "b", "other", "of the store too");
        spec->psk_identity = g_bytes_new_static("both", 4);
        spec->psk = world_import_psk(&fixture->world, WORLD_UID, "of the object");
        listener = world_listen(&fixture->world, spec);
        g_assert_cmpint(shake(fixture, listener, "both", "of the object"), ==, HANDSHAKE_COMPLETE);
        g_assert_cmpint(shake(fixture, listener, "both", "of the store"), ==,
                        HANDSHAKE_NOT_STARTED);
        g_assert_cmpint(shake(fixture, listener, "other", "of the store too"), ==,
                        HANDSHAKE_COMPLETE);
}

static void a_client_has_exactly_one(Fixture *fixture, gconstpointer unused) {
        World *world = &fixture->world;
        Listener *listener = listen_with(fixture, "*");
        Connection *client = NULL;
        Reason reason = {0};
        GBytes *identity;

        g_assert_cmpint(relay_create_connection(world->relay,
                                                with_psks(world_client_spec(), "sensor-*", 1),
                                                &client, &reason),
                        ==, RELAY_E_INVALID_PARAMETERS);
        g_assert_nonnull(strstr(reason.text, "names 0 pre-shared keys"));
        store(fixture, "sensor-1", "s1", "key");
        store(fixture, "sensor-2", "s2", "key");
        g_assert_cmpint(relay_create_connection(world->relay,
                                                with_psks(world_client_spec(), "sensor-*", 1),
                                                &client, &reason),
                        ==, RELAY_E_INVALID_PARAMETERS);
        g_assert_nonnull(strstr(reason.text, "names 2 pre-shared keys"));

        client = world_start(world, with_psks(world_client_spec(), "sensor-2", 1), listener,
                             "127.0.0.1");
        world_wait_state(world, client, HANDSHAKE_COMPLETE);
        identity = connection_facts(client).psk_identity;
        g_assert_cmpmem(g_bytes_get_data(identity, NULL), g_bytes_get_size(identity), "s2", 2);

        /* what has become of it since counts when it shakes hands again */
        g_assert_cmpint(connection_shutdown(client, &reason), ==, 0);
        unstore(fixture, "sensor-2");
        g_assert_cmpint(connection_do_handshake(client, &reason), ==, RELAY_E_INVALID_PARAMETERS);
        store(fixture, "sensor-2", "again", "key");
        g_assert_cmpint(connection_do_handshake(client, &reason), ==, 0);
        world_wait_state(world, client, HANDSHAKE_COMPLETE);
        identity = connection_facts(client).psk_identity;
        g_assert_cmpmem(g_bytes_get_data(identity, NULL), g_bytes_get_size(identity), "again", 5);
}

/* Its name and identity are known, and who asks for it is told to try again. */
static void it_stays_while_the_keyring_is_away(Fixture *fixture, gconstpointer unused) {
        World *world = &fixture->world;
        Connection *client;
        Listener *listener;
        Reason reason;

        store(fixture, "sensor-1", "s1", "k");
        listener = listen_with(fixture, "sensor-1");
        world_kill_keyring(world);
        g_assert_cmpstr(found(fixture, "*", 1, "s1"), ==, "sensor-1");

        client = world_start(world, with_psks(world_client_spec(), "sensor-1", 1), listener,
                             "127.0.0.1");
        world_wait_state(world, client, HANDSHAKE_NOT_STARTED);
        g_assert_nonnull(strstr(connection_facts(client).error_text, "the store has this key"));

        world_start_keyring(world);
        g_assert_cmpint(connection_do_handshake(client, &reason), ==, 0);
        world_wait_state(world, client, HANDSHAKE_COMPLETE);
}

#define CASE(name, function) g_test_add("/psks/" name, Fixture, NULL, setup, function, teardown)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_assert_cmpint(session_global_init(), ==, 0);

        CASE("is-found-by-identity-pattern-and-rule", is_found_by_identity_pattern_and_rule);
        CASE("one-that-waits-for-a-dying-keyring-says-to-try-again",
             one_that_waits_for_a_dying_keyring_says_to_try_again);
        CASE("a-rule-may-be-about-groups", a_rule_may_be_about_groups);
        CASE("what-polkit-was-not-asked-about-is-not-used",
             what_polkit_was_not_asked_about_is_not_used);
        CASE("of-several-the-first-by-name-is-taken", of_several_the_first_by_name_is_taken);
        CASE("without-rules-one-has-ones-own", without_rules_one_has_ones_own);
        CASE("a-listener-takes-what-the-store-has-now", a_listener_takes_what_the_store_has_now);
        CASE("an-objects-own-key-comes-before-the-stores",
             an_objects_own_key_comes_before_the_stores);
        CASE("a-client-has-exactly-one", a_client_has_exactly_one);
        CASE("it-stays-while-the-keyring-is-away", it_stays_while_the_keyring_is_away);
        return g_test_run();
}
