/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Two users and every kind of quota: one takes all that she may have, is told so where there is a
 * call to tell it by, and counted where there is none; the other, under the same limit, does not
 * feel it; and with her name goes all that she had.
 */

#include "stage.h"

#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FILL_MAX 200

typedef struct World {
        Service *service;
        sd_bus *alice, *bob;
        uint16_t port; /* of bob's listener */
        int queue;
        char *client;        /* bob's, not shaken yet */
        GPtrArray *channels; /* alice's: the messages they came in */
} World;

/* Takes of one kind until there is no more. Returns what the refusal says; NULL: nobody is told. */
typedef char *(*Fill)(World *world);

typedef struct Case {
        const char *kind; /* "Connections" */
        const char *limit;
        Fill fill;
        const char *says; /* NULL: nobody is told */
        bool stops;       /* the keyring, so that what waits for it waits */
        bool is_rate;     /* nothing is in use */
} Case;

static void keyring_signal(const World *world, int signal) {
        g_assert_cmpint(kill(service_keyring_pid(world->service), signal), ==, 0);
}

/* ---- alice takes ---- */

/* Makes @member without a limit of its own; it is the last of the calls that is refused. */
static char *fill_by(World *world, const char *member, const char *types, ...) {
        for (int i = 0; i < FILL_MAX; i++) {
                sd_bus_error error = SD_BUS_ERROR_NULL;
                sd_bus_message *m = NULL;
                char *text;
                va_list ap;
                int r;

                g_assert_cmpint(sd_bus_message_new_method_call(world->alice, &m, NAME, ROOT,
                                                               MANAGER, member),
                                >=, 0);
                va_start(ap, types);
                g_assert_cmpint(sd_bus_message_appendv(m, types, ap), >=, 0);
                va_end(ap);
                r = sd_bus_call(world->alice, m, CALL_USEC, &error, NULL);
                (void)sd_bus_message_unref(m);
                if (r >= 0)
                        continue;

                g_assert_cmpstr(error.name, ==, ERROR_PREFIX "QuotaExceeded");
                text = g_strdup(error.message);
                sd_bus_error_free(&error);
                return text;
        }

        g_error("%s has no limit", member);
}

static char *fill_connections(World *world) {
        return fill_by(world, "CreateConnection", "sa{sv}", "client", 0);
}

static char *fill_listeners(World *world) {
        return fill_by(world, "Listen", "sqa{sv}", "127.0.0.1", 0, 0);
}

static char *fill_verifiers(World *world) {
        return fill_by(world, "CreateClientVerifier", "a{sv}", 0);
}

/* Handshakes with a peer that never answers. */
static char *fill_half_open(World *world) {
        char *text = NULL;
        uint16_t port;
        int silent = udp_bind(&port);

        for (int i = 0; i < 4; i++) {
                g_autofree char *client = create_client(world->alice, port, false);

                do_handshake(world->alice, client);
        }
        {
                g_autofree char *client = create_client(world->alice, port, false);

                text = call_refused("QuotaExceeded", world->alice, client, CONNECTION,
                                    "DoHandshake", "ay", 0);
        }
        (void)close(silent);
        return text;
}

static char *fill_suspended(World *world) {
        uint16_t port;
        g_autofree char *listener = listen_asking(world->alice, &port);

        for (int i = 0; i < 4; i++) {
                g_autofree char *client = create_client(world->alice, port, false);

                do_handshake(world->alice, client);
        }
        wait_statistic(world->alice, "SuspendedInUse", 2);
        wait_statistic_reaches(world->alice, "SuspendedRefused", 1);
        return NULL;
}

static char *fill_signing(World *world) {
        uint16_t port;
        g_autofree char *listener = listen_psk(world->alice, &port);
        char *clients[6];

        for (size_t i = 0; i < G_N_ELEMENTS(clients); i++)
                clients[i] = create_client(world->alice, port, false);
        keyring_signal(world, SIGSTOP);
        for (size_t i = 0; i < G_N_ELEMENTS(clients); i++) {
                do_handshake(world->alice, clients[i]);
                g_free(clients[i]);
        }
        wait_statistic(world->alice, "SigningInUse", 4);
        wait_statistic_reaches(world->alice, "SigningRefused", 1);
        return NULL;
}

static char *fill_bytes(World *world) {
        uint16_t port;
        g_autofree char *listener = listen_psk(world->alice, &port);

        for (int i = 0; i < FILL_MAX; i++) {
                g_autofree char *client = open_client(world->alice, port, false);
                sd_bus_error error = SD_BUS_ERROR_NULL;
                sd_bus_message *reply = NULL;
                int r;

                r = sd_bus_call_method(world->alice, NAME, client, CONNECTION, "OpenChannel",
                                       &error, &reply, "a{sv}", 0);
                if (r >= 0) {
                        g_ptr_array_add(world->channels, reply);
                } else {
                        char *text = g_strdup(error.message);

                        g_assert_cmpstr(error.name, ==, ERROR_PREFIX "QuotaExceeded");
                        sd_bus_error_free(&error);
                        return text;
                }
        }

        g_error("channels cost nothing");
}

static char *fill_datagrams(World *world) {
        uint16_t port;
        g_autofree char *listener = listen_psk(world->alice, &port);
        g_autofree char *client = open_client(world->alice, port, false);

        for (int i = 0; i < FILL_MAX; i++) {
                sd_bus_error error = SD_BUS_ERROR_NULL;
                char *text;

                if (sd_bus_call_method(world->alice, NAME, client, CONNECTION,
                                       "WriteDatagramEncrypted", &error, NULL, "ay", 1, 'x') >= 0)
                        continue;

                g_assert_cmpstr(error.name, ==, ERROR_PREFIX "QuotaExceeded");
                text = g_strdup(error.message);
                sd_bus_error_free(&error);
                return text;
        }

        g_error("there is no limit");
}

/* A change of the store that waits for the keyring. */
static sd_bus_slot *remove_psk(sd_bus *bus, const char *name, sd_bus_message_handler_t done,
                               void *userdata) {
        sd_bus_slot *slot = NULL;

        g_assert_cmpint(sd_bus_call_method_async(bus, &slot, NAME, ROOT, MANAGER, "RemovePsk", done,
                                                 userdata, "s", name),
                        >=, 0);
        return slot;
}

static int on_nothing(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return 1;
}

static char *fill_calls(World *world) {
        keyring_signal(world, SIGSTOP);
        for (int i = 0; i < 2; i++)
                g_assert_cmpint(sd_bus_call_method_async(world->alice, NULL, NAME, ROOT, MANAGER,
                                                         "RemovePsk", on_nothing, NULL, "s",
                                                         "u/1/x"),
                                >=, 0);
        wait_statistic(world->bob, "CallsInUse", 2);
        return call_refused("QuotaExceeded", world->alice, ROOT, MANAGER, "RemovePsk", "s",
                            "u/1/x");
}

/* ---- bob lives ---- */

static int on_removed(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        g_assert_cmpstr(sd_bus_message_get_error(m)->name, ==,
                        ERROR_PREFIX "InvalidInputParameters"); /* there is none */
        *(bool *)userdata = true;
        return 1;
}

static bool is_true(void *userdata) {
        return *(bool *)userdata;
}

/* What he has before she takes all of hers. */
static void bob_begins(World *world) {
        g_free(listen_queue(world->bob, &world->port, &world->queue));
        world->client = create_client(world->bob, world->port, false);
}

/* A handshake and a change of the store, both of which need the keyring. */
static void bob_goes_on(World *world, bool keyring_stands_still) {
        bool removed = false;
        sd_bus_slot *slot;

        do_handshake(world->bob, world->client);
        slot = remove_psk(world->bob, "u/5/x", on_removed, &removed);
        g_assert_cmpint(sd_bus_flush(world->bob), >=, 0);
        if (keyring_stands_still)
                keyring_signal(world, SIGCONT);
        wait_string(world->bob, world->client, CONNECTION, "HandshakeState", "HandshakeComplete");
        bus_wait(world->bob, is_true, &removed, "an answer from the keyring");
        (void)sd_bus_slot_unref(slot);
}

static void bob_exchanges(World *world) {
        char buffer[8];
        int near, far = accept_channel(world->queue);

        near = open_channel(world->bob, world->client);
        g_assert_cmpint(send(near, "bob's", 5, 0), ==, 5);
        (void)wait_fd(far);
        g_assert_cmpint(recv(far, buffer, sizeof(buffer), 0), ==, 5);
        (void)close(near);
        (void)close(far);
}

/* His listener has no key, and he answers. */
static void bob_is_asked(World *world) {
        g_autoptr(Ear) ear = ear_new(world->bob);
        uint16_t port;
        g_autofree char *listener = listen_asking(world->bob, &port);
        g_autofree char *client = create_client(world->bob, port, false);
        g_auto(GStrv) words = NULL;

        do_handshake(world->bob, client);
        words = g_strsplit(ear_wait(ear, "PskRequired|")->str, "|", -1);
        provide_psk(world->bob, words[1], "", PSK_KEY, strlen(PSK_KEY));
        wait_string(world->bob, client, CONNECTION, "HandshakeState", "HandshakeComplete");
}

/* ---- the two ---- */

static uint64_t counter(World *world, const char *kind, const char *what) {
        g_autofree char *name = g_strconcat(kind, what, NULL);

        return get_statistic(world->bob, name);
}

static void message_unref(gpointer m) {
        (void)sd_bus_message_unref(m);
}

static bool world_new(World *world, const Case *at) {
        g_autofree char *config = g_strdup_printf("[Limits]\n%sPerUser=%s\n", at->kind, at->limit);

        if (!service_has_users())
                return false;

        *world = (World){.service = service_start(config)};
        world->channels = g_ptr_array_new_with_free_func(message_unref);
        world->alice = service_bus(world->service, UID_ALICE);
        world->bob = service_bus(world->service, UID_BOB);
        return true;
}

static void world_done(World *world) {
        (void)close(world->queue);
        g_free(world->client);
        (void)g_ptr_array_unref(world->channels);
        (void)bus_leave(world->bob);
        service_stop(world->service);
}

static void assert_told(const Case *at, const char *text) {
        g_autofree char *cure = g_strconcat(at->kind, "PerUser=", NULL);

        if (!at->says) {
                g_assert_null(text);
                return;
        }

        g_assert_true(g_str_has_prefix(text, at->says));
        g_assert_nonnull(strstr(text, cure));
}

static void test_kind(const void *data) {
        const Case *at = data;
        g_autofree char *text = NULL, *verifier = NULL;
        uint64_t before;
        World world;

        if (!world_new(&world, at))
                return;

        bob_begins(&world);
        before = at->is_rate ? 0 : counter(&world, at->kind, "InUse");
        text = at->fill(&world);
        assert_told(at, text);
        g_assert_cmpuint(counter(&world, at->kind, "Refused"), >=, 1);
        if (!at->is_rate)
                g_assert_cmpuint(counter(&world, at->kind, "InUse"), >, before);

        bob_goes_on(&world, at->stops);
        bob_exchanges(&world);
        bob_is_asked(&world);
        verifier = create_verifier(world.bob);
        close_object(world.bob, verifier, VERIFIER);

        /* all that was hers comes back, and she may begin again */
        (void)bus_leave(world.alice);
        world.alice = service_bus(world.service, UID_ALICE);
        (void)bus_leave(g_steal_pointer(&world.bob));
        wait_nothing_used(world.alice);
        g_ptr_array_set_size(world.channels, 0); /* which she has let go only now */
        world.bob = service_bus(world.service, UID_BOB);
        g_free(at->fill(&world));
        if (at->stops)
                keyring_signal(&world, SIGCONT);
        (void)bus_leave(world.alice);
        world_done(&world);
}

static const Case cases[] = {
        {"Connections", "4", fill_connections, "User 1 has 4 of 4 connections;", false},
        {"Listeners", "2", fill_listeners, "User 1 has 2 of 2 listeners;", false},
        {"Verifiers", "2", fill_verifiers, "User 1 has 2 of 2 client verifiers;", false},
        {"HalfOpen", "4", fill_half_open, "User 1 has 4 of 4 unfinished handshakes;", false},
        {"Suspended", "2", fill_suspended, NULL, false},
        {"Signing", "4", fill_signing, NULL, true},
        {"Fds", "48", fill_listeners, "User 1 has 48 of 48 file descriptors;", false},
        {"Bytes", "4194304", fill_bytes, "User 1 has ", false},
        {"Calls", "2", fill_calls, "User 1 has 2 of 2 calls", true},
        {"Datagrams", "1", fill_datagrams, "User 1 may send 1 datagrams a second;", false, true},
};

/* She floods her channel, and he sends and receives as if she were not there. */
static void test_a_rate_is_felt_by_its_user_alone(void) {
        int near[2], far[2];
        sd_bus *buses[2];
        Service *service;

        if (!service_has_users())
                return;

        service = service_start(NULL);
        service_rule(service, "[Slow]\nSubjects=user:daemon\nDatagramsPerUser=1\n");
        for (int i = 0; i < 2; i++) {
                uint16_t port;
                int queue;

                buses[i] = service_bus(service, i == 0 ? UID_ALICE : UID_BOB);
                g_free(listen_queue(buses[i], &port, &queue));
                g_free(connect_client(buses[i], port, &near[i]));
                far[i] = accept_channel(queue);
                (void)close(queue);
        }
        g_assert_cmpuint(get_counter(buses[0], ROOT, MANAGER, "Limits", "DatagramsPerUser"), ==, 1);

        for (int i = 0; i < FILL_MAX; i++) {
                char byte = 'x';

                (void)send(near[0], &byte, 1, MSG_DONTWAIT);
                g_assert_cmpint(send(near[1], &byte, 1, 0), ==, 1);
                (void)wait_fd(far[1]);
                g_assert_cmpint(recv(far[1], &byte, 1, 0), ==, 1);
        }
        /* hers are in her channel still, and not lost */
        g_assert_cmpuint(get_statistic(buses[1], "DatagramsCollected"), <, 2 * FILL_MAX);
        service_rule(service, "");
        for (int i = 0; i < FILL_MAX; i++) {
                char byte;

                (void)wait_fd(far[0]);
                g_assert_cmpint(recv(far[0], &byte, 1, 0), ==, 1);
        }

        for (int i = 0; i < 2; i++) {
                (void)close(near[i]);
                (void)close(far[i]);
                (void)bus_leave(buses[i]);
        }
        service_stop(service);
}

/* One for every kind that Manager.Limits names. */
static void test_no_kind_is_left_out(void) {
        Service *service = service_start(NULL);
        sd_bus *bus = service_bus(service, UID_ALICE);
        sd_bus_message *reply = call(bus, ROOT, PROPERTIES, "Get", "ss", MANAGER, "Limits");
        GString *limits = message_flatten(reply);

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autofree char *name = g_strdup_printf("|%sPerUser|", cases[i].kind);

                g_assert_cmpuint(g_string_replace(limits, name, "|", 0), ==, 1);
        }
        g_assert_null(strstr(limits->str, "PerUser"));

        (void)g_string_free(limits, TRUE);
        (void)sd_bus_message_unref(reply);
        (void)bus_leave(bus);
        service_stop(service);
}

int main(int argc, char **argv) {

        g_test_init(&argc, &argv, NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autofree char *name = g_strconcat("/two-users/", cases[i].kind, NULL);

                g_test_add_data_func(name, &cases[i], test_kind);
        }
        g_test_add_func("/two-users/a-rate-is-felt-by-its-user-alone",
                        test_a_rate_is_felt_by_its_user_alone);
        g_test_add_func("/two-users/no-kind-is-left-out", test_no_kind_is_left_out);
        return g_test_run();
}
