/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Pre-shared keys of the store: used by name by programs that never hold them, replaced while
 * connections run, one's own and the administrator's.
 */

#include "authority.h"
#include "world.h"

#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#define OLD_KEY "the key that was first"
#define NEW_KEY "the key that came later"

static void rule(const World *world, const char *verdict) {
        g_autofree char *text = g_strdup_printf("[Sensors]\nSubjects=user:daemon\nVerdict=%s\n"
                                                "Use=psk:sensor-*\n",
                                                verdict);

        service_rule(world->service, text);
}

/* ---- storing ---- */

static sd_bus_message *set_begin(sd_bus *bus, const char *name, const char *identity) {
        sd_bus_message *m = options_begin(bus, ROOT, MANAGER, "SetPsk", "s", name);

        options_add_bytes(m, "Identity", identity, strlen(identity));
        return m;
}

static void set(sd_bus *bus, const char *name, const char *identity, const char *key) {
        sd_bus_message *m = set_begin(bus, name, identity);

        options_add_secret(m, "Key", key, strlen(key));
        (void)sd_bus_message_unref(options_end(bus, m));
}

static void assert_says(const char *text, const char *expected) {
        if (!strstr(text, expected))
                g_error("'%s' does not say '%s'", text, expected);
}

static void set_refused(sd_bus *bus, const char *name, const char *identity, const void *key,
                        size_t size, const char *error, const char *expected) {
        sd_bus_message *m = set_begin(bus, name, identity);
        g_autofree char *text = NULL;

        options_add_secret(m, "Key", key, size);
        text = options_end_refused(error, bus, m);
        assert_says(text, expected);
}

static void remove_psk(sd_bus *bus, const char *name) {
        (void)sd_bus_message_unref(call(bus, ROOT, MANAGER, "RemovePsk", "s", name));
}

/* Names and identities, with a '|' before each. */
static char *list(sd_bus *bus) {
        return message_text(call(bus, ROOT, MANAGER, "ListPsks", ""));
}

static void assert_lists(sd_bus *bus, const char *expected) {
        g_autofree char *text = list(bus);

        g_assert_cmpstr(text, ==, expected);
}

/* ---- using ---- */

static void add_psks(sd_bus_message *m, const char *pattern) {
        g_assert_cmpint(sd_bus_message_append(m, "{sv}", "Psks", "as", 1, pattern), >=, 0);
}

static sd_bus_message *listen_begin(sd_bus *bus, const char *pattern) {
        sd_bus_message *m = options_begin(bus, ROOT, MANAGER, "Listen", "sq", "127.0.0.1", 0);

        add_psks(m, pattern);
        return m;
}

static sd_bus_message *client_begin(sd_bus *bus, uint16_t port) {
        sd_bus_message *m = options_begin(bus, ROOT, MANAGER, "CreateConnection", "s", "client");

        g_assert_cmpint(sd_bus_message_append(m, "{sv}{sv}", "PeerAddress", "s", "127.0.0.1",
                                              "PeerPort", "q", port),
                        >=, 0);
        return m;
}

static char *shake_with(sd_bus *bus, sd_bus_message *m, const char *state) {
        char *path = options_end_path(bus, m);

        do_handshake(bus, path);
        wait_string(bus, path, CONNECTION, "HandshakeState", state);
        return path;
}

/* A client of bob's with a key of its own. */
static char *open_to(const World *world, uint16_t port, const char *identity, const char *key) {
        sd_bus_message *m = client_begin(world->bob, port);

        options_add_psk(m, identity, key);
        return shake_with(world->bob, m, "HandshakeComplete");
}

/* How it fails. */
static char *fail_at(const World *world, uint16_t port, const char *identity, const char *key) {
        sd_bus_message *m = client_begin(world->bob, port);
        g_autofree char *path = NULL;

        options_add_psk(m, identity, key);
        path = shake_with(world->bob, m, "HandshakeNotStarted");
        return get_error(world->bob, path);
}

static void assert_wrong_key(const World *world, uint16_t port, const char *identity,
                             const char *key) {
        g_autofree char *error = fail_at(world, port, identity, key);

        assert_says(error, "another pre-shared key for our identity, or none");
}

static void assert_identity(sd_bus *bus, const char *path, const char *expected) {
        g_autofree char *text = get_values(bus, path, CONNECTION, "PskIdentity");

        g_assert_cmpstr(text + 1, ==, expected);
}

static void test_one_key_for_many_programs(World *world) {
        g_autofree char *listener = NULL, *text = NULL, *client = NULL;
        sd_bus_message *m;

        set(world->root, "sensor-1", "the first", OLD_KEY);
        text = options_end_refused("NotAuthorized", world->alice,
                                   listen_begin(world->alice, "sensor-*"));
        assert_says(text, "may not use");
        rule(world, "allow");
        listener = options_end_path(world->alice, listen_begin(world->alice, "sensor-*"));
        m = client_begin(world->alice, get_port(world->alice, listener));
        add_psks(m, "sensor-1");
        client = shake_with(world->alice, m, "HandshakeComplete");
        assert_identity(world->alice, client, "the first");
}

static void test_a_new_one_is_for_what_comes_and_spares_what_is(World *world) {
        g_autoptr(Ear) ear = NULL;
        g_autofree char *listener = NULL, *old = NULL, *new = NULL, *server = NULL;
        uint16_t port;

        rule(world, "allow");
        ear = ear_new(world->alice);
        listener = options_end_path(world->alice, listen_begin(world->alice, "sensor-*"));
        port = get_port(world->alice, listener);
        assert_wrong_key(world, port, "one", OLD_KEY); /* not there yet */
        set(world->root, "sensor-1", "one", OLD_KEY);
        old = open_to(world, port, "one", OLD_KEY);
        server = ear_wait_connection(ear, listener, 1);
        assert_identity(world->alice, server, "one");

        set(world->root, "sensor-1", "one", NEW_KEY);
        assert_wrong_key(world, port, "one", OLD_KEY);
        new = open_to(world, port, "one", NEW_KEY);
        write_datagram(world->bob, old, "still", 5);
        read_datagram(world->alice, server, "still");

        /* forbidden again, and removed, it is not there for who comes */
        rule(world, "deny");
        assert_wrong_key(world, port, "one", NEW_KEY);
        rule(world, "allow");
        remove_psk(world->root, "sensor-1");
        assert_wrong_key(world, port, "one", NEW_KEY);
        write_datagram(world->bob, old, "too", 3);
        read_datagram(world->alice, server, "too");
        g_assert_cmpuint(ear_count(ear, "PskRequired|"), ==, 0);
        g_clear_pointer(&ear, ear_free);
}

/* What a stranger learns of who is in the store: nothing. */
static void test_an_unknown_identity_is_like_a_wrong_key(World *world) {
        g_autofree char *listener = NULL, *wrong = NULL, *unknown = NULL, *hidden = NULL;
        uint16_t port;

        rule(world, "allow");
        set(world->root, "sensor-1", "one", OLD_KEY);
        set(world->root, "other", "other", OLD_KEY);
        listener = options_end_path(world->alice, listen_begin(world->alice, "sensor-*"));
        port = get_port(world->alice, listener);
        wrong = fail_at(world, port, "one", NEW_KEY);
        unknown = fail_at(world, port, "nobody", OLD_KEY);
        hidden = fail_at(world, port, "other", OLD_KEY);
        assert_says(wrong, "another pre-shared key for our identity, or none");
        g_assert_cmpstr(unknown, ==, wrong);
        g_assert_cmpstr(hidden, ==, wrong);
}

static void test_a_client_needs_exactly_one(World *world) {
        g_autofree char *none = NULL, *many = NULL, *both = NULL;
        sd_bus_message *m;

        rule(world, "allow");
        set(world->root, "sensor-1", "one", OLD_KEY);
        set(world->root, "sensor-2", "two", OLD_KEY);
        m = client_begin(world->alice, 9);
        add_psks(m, "sensor-3");
        none = options_end_refused("InvalidInputParameters", world->alice, m);
        assert_says(none, "names 0 pre-shared keys");
        m = client_begin(world->alice, 9);
        add_psks(m, "sensor-*");
        many = options_end_refused("InvalidInputParameters", world->alice, m);
        assert_says(many, "names 2 pre-shared keys");
        m = client_begin(world->alice, 9);
        add_psks(m, "sensor-1");
        options_add_psk(m, "one", OLD_KEY);
        both = options_end_refused("InvalidInputParameters", world->alice, m);
        assert_says(both, "give one of them");
}

static bool world_with_polkit(World *world) {
        return authority_is_here() && world_of_users(world);
}

/* Polkit is asked about what is said, once, and not in the middle of handshakes. */
static void test_polkit_is_asked_about_the_pattern(World *world) {
        static const char yes_to_the_pattern[] =
                "polkit.addRule(function(action, subject) {\n"
                "    return action.id == 'io.github.dtlsd.dtlsd1.use' &&\n"
                "           action.lookup('entry') == 'psk:sensor-*' ? polkit.Result.YES\n"
                "                                                    : polkit.Result.NO; });\n";
        g_autoptr(Authority) authority = NULL;
        g_autofree char *listener = NULL, *refused = NULL, *client = NULL, *wider = NULL;

        authority = authority_start(world->service, NULL, yes_to_the_pattern);
        rule(world, "ask");
        set(world->root, "sensor-1", "one", OLD_KEY);
        refused = options_end_refused("NotAuthorized", world->alice,
                                      listen_begin(world->alice, "sensor-1"));
        assert_says(refused, "polkit says no");
        wider = options_end_refused("NotAuthorized", world->alice, listen_begin(world->alice, "*"));
        listener = options_end_path(world->alice, listen_begin(world->alice, "sensor-*"));
        authority = authority_kill(authority);
        client = open_to(world, get_port(world->alice, listener), "one", OLD_KEY);
        rule(world, "deny");
        assert_wrong_key(world, get_port(world->alice, listener), "one", OLD_KEY);
}

/* So none has to die with the key. */
static void test_no_session_ticket_rests_on_one(World *world) {
        g_autofree char *listener = NULL, *client = NULL;
        sd_bus_message *m;

        set(world->alice, "u/1/x", "x", OLD_KEY);
        m = listen_begin(world->alice, "u/1/x");
        g_assert_cmpint(sd_bus_message_append(m, "{sv}", "SslOptions", "as", 0), >=, 0);
        listener = options_end_path(world->alice, m);
        m = client_begin(world->alice, get_port(world->alice, listener));
        add_psks(m, "u/1/x");
        g_assert_cmpint(sd_bus_message_append(m, "{sv}", "SslOptions", "as", 0), >=, 0);
        client = shake_with(world->alice, m, "HandshakeComplete");
        g_free(call_refused("TlsNonFatalError", world->alice, client, CONNECTION,
                            "GetSessionTicket", ""));
}

/* Said once for all, shown, and taken back. */
static void test_can_be_a_default_and_are_shown(World *world) {
        g_autofree char *listener = NULL, *client = NULL;
        GString *text;
        sd_bus_message *m, *reply;

        set(world->alice, "u/1/x", "x", OLD_KEY);
        (void)sd_bus_message_unref(call(world->alice, ROOT, MANAGER, "SetDefaultConfiguration",
                                        "a{sv}", 1, "Psks", "as", 2, "u/1/*", "u/1/y"));
        m = options_begin(world->alice, ROOT, MANAGER, "Listen", "sq", "127.0.0.1", 0);
        listener = options_end_path(world->alice, m);
        client = open_to(world, get_port(world->alice, listener), "x", OLD_KEY);
        reply = call(world->alice, listener, PROPERTIES, "Get", "ss", LISTENER, "Configuration");
        text = message_flatten(reply);
        g_assert_nonnull(strstr(text->str, "|Psks|u/1/*|u/1/y|"));
        (void)g_string_free(text, TRUE);
        (void)sd_bus_message_unref(reply);

        /* for this listener no more */
        (void)sd_bus_message_unref(call(world->alice, listener, LISTENER, "SetConfiguration",
                                        "a{sv}", 1, "Psks", "as", 1, "u/1/y"));
        assert_wrong_key(world, get_port(world->alice, listener), "x", OLD_KEY);
}

/* ---- whose ---- */

static void test_a_users_own_are_nobody_elses(World *world) {
        g_autofree char *listener = NULL, *theirs = NULL, *client = NULL, *text = NULL;
        g_autofree char *taken = NULL;
        sd_bus_message *m;
        uint16_t port;

        set(world->alice, "u/1/mine", "mine", OLD_KEY);
        assert_lists(world->alice, "|u/1/mine|mine");
        assert_lists(world->root, "|u/1/mine|mine");
        assert_lists(world->bob, "");
        listener = options_end_path(world->alice, listen_begin(world->alice, "u/1/*"));
        client = open_to(world, get_port(world->alice, listener), "mine", OLD_KEY);

        /* bob may say the name, and has nothing of it */
        theirs = options_end_path(world->bob, listen_begin(world->bob, "u/1/*"));
        port = get_port(world->bob, theirs);
        assert_wrong_key(world, port, "mine", OLD_KEY);
        m = client_begin(world->bob, port);
        add_psks(m, "u/1/mine");
        text = options_end_refused("InvalidInputParameters", world->bob, m);
        assert_says(text, "names 0 pre-shared keys");
        set_refused(world->bob, "u/1/mine", "mine", NEW_KEY, strlen(NEW_KEY), "NotAuthorized",
                    "another user's");
        taken = call_refused("NotAuthorized", world->bob, ROOT, MANAGER, "RemovePsk", "s",
                             "u/1/mine");
        remove_psk(world->alice, "u/1/mine");
        assert_lists(world->root, "");
}

/* The same identity under another user's name: each has its own. */
static void test_one_users_identity_is_not_anothers(World *world) {
        g_autofree char *of_alice = NULL, *of_bob = NULL, *first = NULL, *second = NULL;

        set(world->alice, "u/1/x", "same", OLD_KEY);
        set(world->bob, "u/5/x", "same", NEW_KEY);
        of_alice = options_end_path(world->alice, listen_begin(world->alice, "u/1/*"));
        of_bob = options_end_path(world->bob, listen_begin(world->bob, "u/5/*"));
        first = open_to(world, get_port(world->alice, of_alice), "same", OLD_KEY);
        second = open_to(world, get_port(world->bob, of_bob), "same", NEW_KEY);
        assert_wrong_key(world, get_port(world->alice, of_alice), "same", NEW_KEY);
}

static void test_the_administrators_are_not_everybodys(World *world) {
        g_autofree char *text = NULL;

        set(world->root, "sensor-1", "one", OLD_KEY);
        rule(world, "deny");
        assert_lists(world->alice, "");
        rule(world, "allow");
        assert_lists(world->alice, "|sensor-1|one");
        set_refused(world->alice, "sensor-1", "one", NEW_KEY, strlen(NEW_KEY), "NotAuthorized",
                    "may not manage-store");
        text = call_refused("NotAuthorized", world->alice, ROOT, MANAGER, "RemovePsk", "s",
                            "sensor-1");
}

static void test_a_user_has_so_many(World *world) {
        for (int i = 0; i < 64; i++) {
                g_autofree char *name = g_strdup_printf("u/1/%d", i);

                set(world->alice, name, "i", OLD_KEY);
        }
        set_refused(world->alice, "u/1/more", "i", OLD_KEY, strlen(OLD_KEY), "QuotaExceeded",
                    "64 pre-shared keys at most");
        set(world->bob, "u/5/x", "i", OLD_KEY);
}

/* ---- death ---- */

typedef struct Return {
        const World *world;
        pid_t old;
} Return;

/* The next keyring has said what it keeps; where none is there, nobody says it. */
static bool has_returned(void *userdata) {
        const Return *r = userdata;
        g_autofree char *text = NULL;

        if (service_keyring_pid(r->world->service) == r->old)
                return false;

        text = list(r->world->root);
        return strstr(text, "sensor-1");
}

static void test_outlives_its_keyring_and_the_service(World *world) {
        g_autofree char *listener = NULL, *first = NULL, *second = NULL, *again = NULL;
        pid_t keyring;

        rule(world, "allow");
        set(world->root, "sensor-1", "one", OLD_KEY);
        listener = options_end_path(world->alice, listen_begin(world->alice, "sensor-*"));
        keyring = service_keyring_pid(world->service);
        g_assert_cmpint(kill(keyring, SIGKILL), ==, 0);
        bus_wait(world->root, has_returned, &(Return){world, keyring}, "the next keyring");
        first = open_to(world, get_port(world->alice, listener), "one", OLD_KEY);

        /* both processes, with everything that is only in their memory */
        world_restart(world);
        again = options_end_path(world->alice, listen_begin(world->alice, "sensor-*"));
        second = open_to(world, get_port(world->alice, again), "one", OLD_KEY);
}

/* A stand-in for a machine under load: the keyring says late what it keeps. */
static void test_is_known_after_a_slow_start(World *world) {
        const char *directory = service_directory(world->service);
        g_autofree char *keyring = g_build_filename(directory, "dtlsd-keyring", NULL);
        g_autofree char *late = g_strconcat(keyring, "-late", NULL);
        g_autofree char *script = g_strdup_printf("#!/bin/sh\nsleep 2\nexec %s \"$@\"\n", late);

        set(world->root, "sensor-1", "one", OLD_KEY);
        g_assert_cmpint(g_rename(keyring, late), ==, 0);
        g_assert_true(g_file_set_contents(keyring, script, -1, NULL));
        g_assert_cmpint(g_chmod(keyring, 0755), ==, 0);
        world_restart(world);
        assert_lists(world->root, "|sensor-1|one");
}

/* ---- what is given ---- */

static void test_identity_and_key_have_their_sizes(World *world) {
        g_autofree char *identity = g_strnfill(256, 'i');
        g_autofree char *unsealed = NULL, *missing = NULL;
        const uint8_t key[513] = {0};
        sd_bus_message *m;

        set_refused(world->root, "x", "", "k", 1, "InvalidInputParameters", "1 to 255");
        set_refused(world->root, "x", identity, "k", 1, "InvalidInputParameters", "1 to 255");
        set_refused(world->root, "x", "i", "", 0, "InvalidInputParameters", "");
        set_refused(world->root, "x", "i", key, sizeof(key), "InvalidInputParameters", "1 to 512");

        m = set_begin(world->root, "x", "i");
        g_assert_cmpint(sd_bus_message_append(m, "{sv}", "Key", "h", STDERR_FILENO), >=, 0);
        unsealed = options_end_refused("InvalidInputParameters", world->root, m);
        assert_says(unsealed, "memfd");
        missing = options_end_refused("InvalidInputParameters", world->root,
                                      set_begin(world->root, "x", "i"));
        assert_says(missing, "both needed");
        assert_lists(world->root, "");

        set(world->root, "x", identity + 1, "k");
        m = set_begin(world->root, "x", "i");
        options_add_secret(m, "Key", key, 512);
        (void)sd_bus_message_unref(options_end(world->root, m));
        assert_lists(world->root, "|x|i");
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        world_test("/psks/one-key-for-many-programs", world_of_users,
                   test_one_key_for_many_programs);
        world_test("/psks/a-new-one-is-for-what-comes-and-spares-what-is", world_of_users,
                   test_a_new_one_is_for_what_comes_and_spares_what_is);
        world_test("/psks/an-unknown-identity-is-like-a-wrong-key", world_of_users,
                   test_an_unknown_identity_is_like_a_wrong_key);
        world_test("/psks/a-client-needs-exactly-one", world_of_users,
                   test_a_client_needs_exactly_one);
        world_test("/psks/polkit-is-asked-about-the-pattern", world_with_polkit,
                   test_polkit_is_asked_about_the_pattern);
        world_test("/psks/no-session-ticket-rests-on-one", world_of_users,
                   test_no_session_ticket_rests_on_one);
        world_test("/psks/can-be-a-default-and-are-shown", world_of_users,
                   test_can_be_a_default_and_are_shown);
        world_test("/psks/a-users-own-are-nobody-elses", world_of_users,
                   test_a_users_own_are_nobody_elses);
        world_test("/psks/one-users-identity-is-not-anothers", world_of_users,
                   test_one_users_identity_is_not_anothers);
        world_test("/psks/the-administrators-are-not-everybodys", world_of_users,
                   test_the_administrators_are_not_everybodys);
        world_test("/psks/a-user-has-so-many", world_of_users, test_a_user_has_so_many);
        world_test("/psks/outlives-its-keyring-and-the-service", world_of_users,
                   test_outlives_its_keyring_and_the_service);
        world_test("/psks/are-known-after-a-slow-start", world_of_users,
                   test_is_known_after_a_slow_start);
        world_test("/psks/identity-and-key-have-their-sizes", world_of_users,
                   test_identity_and_key_have_their_sizes);
        return g_test_run();
}
