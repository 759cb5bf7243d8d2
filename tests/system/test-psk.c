/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Pre-shared keys that an application gives when it is asked: whom the question reaches, how it is
 * answered, and how it ends when it is not, or wrongly.
 */

#include "stage.h"

#include <string.h>
#include <unistd.h>

#define HINT "hint"
#define IDENTITY_MAX 255 /* what PskRequired says, and so does Qt */
#define KEY_MAX 512

typedef struct World {
        Service *service;
        sd_bus *bus;
        Ear *ear;
        uint16_t port;
        char *listener; /* has PSK_KEY of PSK_IDENTITY, and a hint */
} World;

static void set_up(World *world, const void *unused) {
        sd_bus_message *m;

        world->service = service_start(NULL);
        world->bus = service_bus(world->service, UID_ALICE);
        world->ear = ear_new(world->bus);
        m = options_begin(world->bus, ROOT, MANAGER, "Listen", "sq", "127.0.0.1", 0);
        options_add_psk(m, PSK_IDENTITY, PSK_KEY);
        options_add_bytes(m, "PskIdentityHint", HINT, strlen(HINT));
        g_assert_cmpint(sd_bus_message_append(m, "{sv}", "RetransmitInitial", "u", 50), >=, 0);
        world->listener = options_end_path(world->bus, m);
        world->port = get_port(world->bus, world->listener);
}

static void tear_down(World *world, const void *unused) {
        world->ear = ear_free(world->ear);
        g_free(world->listener);
        (void)bus_leave(world->bus);
        service_stop(world->service);
}

/* A client that has no key; to be ended with options_end_path(). */
static sd_bus_message *create(World *world) {
        sd_bus_message *m =
                options_begin(world->bus, ROOT, MANAGER, "CreateConnection", "s", "client");

        g_assert_cmpint(sd_bus_message_append(m, "{sv}{sv}{sv}", "PeerAddress", "s", "127.0.0.1",
                                              "PeerPort", "q", world->port, "RetransmitInitial",
                                              "u", 50),
                        >=, 0);
        return m;
}

/* The handshake goes as far as the question. */
static char *wait_asked(World *world, sd_bus_message *m) {
        char *client = options_end_path(world->bus, m);
        g_autofree char *signal = g_strdup_printf("PskRequired|%s|" HINT "||255|512", client);

        do_handshake(world->bus, client);
        g_assert_cmpstr(ear_wait(world->ear, signal)->str, ==, signal);
        return client;
}

static char *get_pending(sd_bus *bus, const char *path) {
        return get_values(bus, path, CONNECTION, "PendingPsk");
}

static void provide_bytes(sd_bus *bus, const char *path, const void *identity, size_t identity_size,
                          const void *key, size_t key_size) {
        sd_bus_message *m = NULL;

        g_assert_cmpint(
                sd_bus_message_new_method_call(bus, &m, NAME, path, CONNECTION, "ProvidePsk"), >=,
                0);
        g_assert_cmpint(sd_bus_message_append_array(m, 'y', identity, identity_size), >=, 0);
        g_assert_cmpint(sd_bus_message_append_array(m, 'y', key, key_size), >=, 0);
        g_assert_cmpint(sd_bus_call(bus, m, CALL_USEC, NULL, NULL), >=, 0);
        (void)sd_bus_message_unref(m);
}

static void provide(sd_bus *bus, const char *path, const char *identity, const char *key) {
        provide_bytes(bus, path, identity, strlen(identity), key, strlen(key));
}

static void assert_failed(World *world, const char *path, const char *beginning, const char *says) {
        g_autofree char *error = NULL, *pending = NULL;

        wait_string(world->bus, path, CONNECTION, "HandshakeState", "HandshakeNotStarted");
        error = get_error(world->bus, path);
        if (!g_str_has_prefix(error, beginning) || !strstr(error, says))
                g_error("'%s' is not %s and does not say '%s'", error, beginning, says);
        pending = get_pending(world->bus, path);
        g_assert_cmpstr(pending, ==, "|0|||0|0");
}

static void test_question_reaches_the_owner_alone(World *world, const void *unused) {
        sd_bus *same_user = service_bus(world->service, UID_ALICE);
        sd_bus *root = geteuid() == 0 ? service_bus(world->service, 0) : NULL;
        g_autoptr(Ear) other = ear_new(same_user);
        g_autoptr(Ear) all = root ? ear_new(root) : NULL;
        g_autofree char *client = NULL, *pending = NULL, *changed = NULL;

        (void)sd_bus_message_unref(call(same_user, ROOT, MANAGER, "Subscribe", "a{sv}", 0));
        if (root)
                (void)sd_bus_message_unref(
                        call(root, ROOT, MANAGER, "Subscribe", "a{sv}", 1, "All", "b", true));
        client = wait_asked(world, create(world));
        pending = get_pending(world->bus, client);
        g_assert_cmpstr(pending, ==, "|1|" HINT "||255|512");

        /* who watches hears of the handshake, and nothing of the question */
        changed = g_strdup_printf("StateChanged|%s|", client);
        (void)ear_wait(other, changed);
        g_assert_cmpuint(ear_count(other, "PskRequired|"), ==, 0);
        if (root) {
                (void)ear_wait(all, changed);
                g_assert_cmpuint(ear_count(all, "PskRequired|"), ==, 0);
                g_clear_pointer(&all, ear_free);
                (void)bus_leave(root);
        }
        g_assert_cmpuint(ear_count(world->ear, "PskRequired|"), ==, 1);
        g_clear_pointer(&other, ear_free);
        (void)bus_leave(same_user);
}

static void test_answer_opens(World *world, const void *unused) {
        g_autofree char *client = wait_asked(world, create(world)), *pending = NULL;

        provide(world->bus, client, PSK_IDENTITY, PSK_KEY);
        wait_string(world->bus, client, CONNECTION, "HandshakeState", "HandshakeComplete");
        pending = get_pending(world->bus, client);
        g_assert_cmpstr(pending, ==, "|0|||0|0");
        /* nobody asks any more */
        g_free(call_refused("InvalidOperation", world->bus, client, CONNECTION, "RefusePsk", ""));
}

static void test_answer_that_cannot_be_leaves_the_question(World *world, const void *unused) {
        g_autofree char *client = wait_asked(world, create(world)), *pending = NULL;
        sd_bus_message *m = NULL;
        sd_bus_error error = SD_BUS_ERROR_NULL;
        const char long_key[KEY_MAX + 1] = "";

        g_free(call_refused("InvalidInputParameters", world->bus, client, CONNECTION, "ProvidePsk",
                            "ayay", 1, 'x', 0));
        g_assert_cmpint(sd_bus_message_new_method_call(world->bus, &m, NAME, client, CONNECTION,
                                                       "ProvidePsk"),
                        >=, 0);
        g_assert_cmpint(sd_bus_message_append_array(m, 'y', "x", 1), >=, 0);
        g_assert_cmpint(sd_bus_message_append_array(m, 'y', long_key, sizeof long_key), >=, 0);
        g_assert_cmpint(sd_bus_call(world->bus, m, CALL_USEC, &error, NULL), <, 0);
        g_assert_cmpstr(error.name, ==, ERROR_PREFIX "InvalidInputParameters");
        sd_bus_error_free(&error);
        (void)sd_bus_message_unref(m);

        pending = get_pending(world->bus, client);
        g_assert_cmpstr(pending, ==, "|1|" HINT "||255|512");
        provide(world->bus, client, PSK_IDENTITY, PSK_KEY);
        wait_string(world->bus, client, CONNECTION, "HandshakeState", "HandshakeComplete");
}

/* A listener without a key, whose owner is asked as well; world->port is its. */
static char *listen_without_key(World *world) {
        sd_bus_message *m =
                options_begin(world->bus, ROOT, MANAGER, "Listen", "sq", "127.0.0.1", 0);
        char *listener;

        options_add_bytes(m, "PskIdentityHint", HINT, strlen(HINT));
        listener = options_end_path(world->bus, m);
        world->port = get_port(world->bus, listener);
        return listener;
}

static bool has_second_question(void *userdata) {
        return ear_count(userdata, "PskRequired|") == 2;
}

/* Waits for the question of the listener's connection, behind the client's: its path, and the
 * identity that it names in *ret_identity. */
static char *wait_server_asked(World *world, GBytes **ret_identity) {
        static const char tail[] = "|255|512";
        const GString *signal;
        const char *path, *identity;
        size_t identity_size;

        bus_wait(world->bus, has_second_question, world->ear, "the server's question");
        signal = ear_last(world->ear, "PskRequired|");
        path = signal->str + strlen("PskRequired|");
        identity = strchr(path, '|') + strlen("||"); /* no hint comes to a server */
        identity_size = signal->len - (size_t)(identity - signal->str) - strlen(tail);
        g_assert_cmpstr(identity + identity_size, ==, tail);
        *ret_identity = g_bytes_new(identity, identity_size);
        return g_strndup(path, strcspn(path, "|"));
}

/* Identity and key as long as they may be, NUL in front and every other byte behind. */
static void test_any_bytes_will_do_in_both_roles(World *world, const void *unused) {
        g_autofree char *listener = listen_without_key(world);
        g_autofree char *client = wait_asked(world, create(world)), *server = NULL;
        g_autoptr(GBytes) named = NULL, sent = NULL;
        uint8_t bytes[KEY_MAX];

        for (size_t i = 0; i < sizeof bytes; i++)
                bytes[i] = (uint8_t)i;
        sent = g_bytes_new(bytes, IDENTITY_MAX);
        provide_bytes(world->bus, client, bytes, IDENTITY_MAX, bytes, KEY_MAX);
        server = wait_server_asked(world, &named);
        g_assert_true(g_bytes_equal(named, sent));
        provide_bytes(world->bus, server, NULL, 0, bytes, KEY_MAX);
        wait_string(world->bus, client, CONNECTION, "HandshakeState", "HandshakeComplete");
        wait_string(world->bus, server, CONNECTION, "HandshakeState", "HandshakeComplete");
}

static bool is_pending(void *userdata) {
        void **both = userdata;
        g_autofree char *pending = get_pending(both[0], both[1]);

        return g_str_has_prefix(pending, "|1|");
}

/* Nobody in particular owns it, so nobody is told: whoever of the user looks may answer. */
static void test_persistent_object_is_asked_by_its_property(World *world, const void *unused) {
        sd_bus *other = service_bus(world->service, UID_ALICE);
        g_autofree char *client = NULL;
        sd_bus_message *m = create(world);

        g_assert_cmpint(sd_bus_message_append(m, "{sv}", "Persistent", "b", true), >=, 0);
        client = options_end_path(world->bus, m);
        do_handshake(world->bus, client);
        bus_wait(world->bus, is_pending, (void *[]){world->bus, client}, "PendingPsk");
        g_assert_cmpuint(ear_count(world->ear, "PskRequired|"), ==, 0);
        provide(other, client, PSK_IDENTITY, PSK_KEY);
        wait_string(world->bus, client, CONNECTION, "HandshakeState", "HandshakeComplete");
        close_object(other, client, CONNECTION);
        (void)bus_leave(other);
}

static void test_refusal_ends_the_handshake(World *world, const void *unused) {
        g_autofree char *client = wait_asked(world, create(world));

        (void)sd_bus_message_unref(call(world->bus, client, CONNECTION, "RefusePsk", ""));
        assert_failed(world, client, "TlsFatalError: ", "no pre-shared key was given");
        /* and it may try again */
        do_handshake(world->bus, client);
        bus_wait(world->bus, is_pending, (void *[]){world->bus, client}, "the next question");
}

static void test_silence_ends_the_handshake(World *world, const void *unused) {
        sd_bus_message *m = create(world);
        g_autofree char *client = NULL;

        g_assert_cmpint(sd_bus_message_append(m, "{sv}", "AnswerDeadline", "u", 100), >=, 0);
        client = wait_asked(world, m);
        assert_failed(world, client, "TlsFatalError: ",
                      "the question for a pre-shared key was not answered within 0.1 s");
        wait_statistic(world->bus, "SuspendedInUse", 0);
}

static void test_wrong_key_says_so(World *world, const void *unused) {
        g_autofree char *client = wait_asked(world, create(world));

        provide(world->bus, client, PSK_IDENTITY, "sixteen bytes no");
        assert_failed(world, client,
                      "TlsFatalError: ", "another pre-shared key for our identity, or none");
}

/* ---- what a stranger learns of a listener ---- */

/* How it ends for a client of this identity and key: with which alert. */
static char *experience(World *world, const char *identity, const char *key) {
        g_autofree char *client = NULL;
        sd_bus_message *m = create(world);

        options_add_psk(m, identity, key);
        client = options_end_path(world->bus, m);
        do_handshake(world->bus, client);
        wait_string(world->bus, client, CONNECTION, "HandshakeState", "HandshakeNotStarted");
        return get_error(world->bus, client);
}

static void test_unknown_identity_is_like_a_wrong_key(World *world, const void *unused) {
        g_autofree char *wrong_key = experience(world, PSK_IDENTITY, "sixteen bytes no");
        g_autofree char *unknown = experience(world, "nobody", PSK_KEY);
        g_autofree char *both = experience(world, "nobody", "sixteen bytes no");

        g_assert_nonnull(strstr(wrong_key, "another pre-shared key for our identity, or none"));
        g_assert_cmpstr(unknown, ==, wrong_key);
        g_assert_cmpstr(both, ==, wrong_key);
}

/* Whose owner is asked, and says that there is no such identity. */
static void test_refused_identity_is_like_a_wrong_key(World *world, const void *unused) {
        g_autofree char *wrong_key = experience(world, PSK_IDENTITY, "sixteen bytes no");
        g_autofree char *listener = listen_without_key(world);
        g_autofree char *client = NULL, *server = NULL, *error = NULL;
        sd_bus_message *m = create(world);
        const GString *signal;

        options_add_psk(m, "nobody", PSK_KEY);
        client = options_end_path(world->bus, m);
        do_handshake(world->bus, client);
        signal = ear_wait(world->ear, "PskRequired|");
        server =
                g_strndup(strchr(signal->str, '|') + 1, strcspn(strchr(signal->str, '|') + 1, "|"));
        (void)sd_bus_message_unref(call(world->bus, server, CONNECTION, "RefusePsk", ""));
        wait_string(world->bus, client, CONNECTION, "HandshakeState", "HandshakeNotStarted");
        error = get_error(world->bus, client);
        g_assert_cmpstr(error, ==, wrong_key);
}

#define ADD(path, function) g_test_add("/psk/" path, World, NULL, set_up, function, tear_down)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD("the-question-reaches-the-owner-alone", test_question_reaches_the_owner_alone);
        ADD("the-answer-opens", test_answer_opens);
        ADD("an-answer-that-cannot-be-leaves-the-question",
            test_answer_that_cannot_be_leaves_the_question);
        ADD("any-bytes-will-do-in-both-roles", test_any_bytes_will_do_in_both_roles);
        ADD("a-persistent-object-is-asked-by-its-property",
            test_persistent_object_is_asked_by_its_property);
        ADD("a-refusal-ends-the-handshake", test_refusal_ends_the_handshake);
        ADD("silence-ends-the-handshake", test_silence_ends_the_handshake);
        ADD("a-wrong-key-says-so", test_wrong_key_says_so);
        ADD("an-unknown-identity-is-like-a-wrong-key", test_unknown_identity_is_like_a_wrong_key);
        ADD("a-refused-identity-is-like-a-wrong-key", test_refused_identity_is_like_a_wrong_key);
        return g_test_run();
}
