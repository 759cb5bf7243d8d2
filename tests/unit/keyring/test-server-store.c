/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The door's methods about what is kept: what the other end reads when it is refused. That they
 * work is told by tests/unit/keys/test-identities.c.
 */

#include "base/memfd.h"
#include "base/terms.h"
#include "keyring/server.h"

#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#define ALICE 1000
#define LIMIT_USEC (30 * G_USEC_PER_SEC)

G_DEFINE_AUTOPTR_CLEANUP_FUNC(sd_bus_message, sd_bus_message_unref)

typedef struct World {
        sd_event *event;
        Server *server; /* without a store */
        sd_bus *client;
        sd_bus_message *reply;
} World;

static void on_closed(void *userdata) {
}

static int on_reply(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        World *world = userdata;

        world->reply = sd_bus_message_ref(m);
        return 0;
}

static void turn(World *world, gint64 limit) {
        g_assert_cmpint(g_get_monotonic_time(), <, limit);
        g_assert_cmpint(sd_event_run(world->event, 100000), >=, 0);
}

static void set_up(World *world, gconstpointer data) {
        gint64 limit = g_get_monotonic_time() + LIMIT_USEC;
        int pair[2];

        g_assert_cmpint(sd_event_new(&world->event), >=, 0);
        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), ==, 0);
        g_assert_cmpint(server_new(world->event, pair[1], NULL, on_closed, NULL, &world->server),
                        ==, 0);
        g_assert_cmpint(sd_bus_new(&world->client), >=, 0);
        g_assert_cmpint(sd_bus_set_fd(world->client, pair[0], pair[0]), >=, 0);
        g_assert_cmpint(sd_bus_start(world->client), >=, 0);
        g_assert_cmpint(sd_bus_attach_event(world->client, world->event, 0), >=, 0);
        while (sd_bus_is_ready(world->client) == 0)
                turn(world, limit);
}

static void tear_down(World *world, gconstpointer data) {
        sd_bus_message_unref(world->reply);
        sd_bus_close_unref(world->client);
        server_free(world->server);
        sd_event_unref(world->event);
}

static void answer_to(World *world, sd_bus_message *call) {
        gint64 limit = g_get_monotonic_time() + LIMIT_USEC;

        world->reply = sd_bus_message_unref(world->reply);
        g_assert_cmpint(sd_bus_call_async(world->client, NULL, call, on_reply, world, UINT64_MAX),
                        >=, 0);
        while (!world->reply)
                turn(world, limit);
}

static sd_bus_message *new_call(World *world, const char *method) {
        sd_bus_message *m;

        g_assert_cmpint(sd_bus_message_new_method_call(world->client, &m, NULL, DTLSD_ROOT_PATH,
                                                       DTLSD_INTERFACE_KEYRING, method),
                        >=, 0);
        return m;
}

static void remove_refused(World *world, uid_t uid, const char *name, const char *error,
                           const char *text) {
        g_autoptr(sd_bus_message) m = new_call(world, "RemoveIdentity");

        g_assert_cmpint(sd_bus_message_append(m, "us", (uint32_t)uid, name), >=, 0);
        answer_to(world, m);
        g_assert_true(sd_bus_message_is_method_error(world->reply, error));
        g_assert_nonnull(strstr(sd_bus_message_get_error(world->reply)->message, text));
}

static void says_why_a_name_is_refused(World *world, gconstpointer data) {
        remove_refused(world, 0, "..", DTLSD_ERROR_PREFIX "BadSecret", "1 to 64");
        remove_refused(world, ALICE, "u/1001/x", DTLSD_ERROR_PREFIX "NotAuthorized", "another");
        remove_refused(world, ALICE, "u/1000/x", DTLSD_ERROR_PREFIX "Failed", "--store");
}

static void a_secret_is_a_sealed_memfd(World *world, gconstpointer data) {
        g_autoptr(sd_bus_message) m = new_call(world, "StoreIdentity");

        g_assert_cmpint(sd_bus_message_append(m, "usaayhah", ALICE, "u/1000/x", 0, STDIN_FILENO, 0),
                        >=, 0);
        answer_to(world, m);
        g_assert_true(sd_bus_message_is_method_error(world->reply, DTLSD_ERROR_PREFIX "BadSecret"));
        g_assert_nonnull(strstr(sd_bus_message_get_error(world->reply)->message, "memfd"));
}

static void without_a_store_it_keeps_nothing(World *world, gconstpointer data) {
        g_autoptr(sd_bus_message) m = new_call(world, "ListIdentities");

        answer_to(world, m);
        g_assert_false(sd_bus_message_is_method_error(world->reply, NULL));
        g_assert_cmpint(sd_bus_message_enter_container(world->reply, 'a', "(stayaay)"), >, 0);
        g_assert_cmpint(sd_bus_message_at_end(world->reply, false), >, 0);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add("/server-store/says-why-a-name-is-refused", World, NULL, set_up,
                   says_why_a_name_is_refused, tear_down);
        g_test_add("/server-store/a-secret-is-a-sealed-memfd", World, NULL, set_up,
                   a_secret_is_a_sealed_memfd, tear_down);
        g_test_add("/server-store/without-a-store-it-keeps-nothing", World, NULL, set_up,
                   without_a_store_it_keeps_nothing, tear_down);
        return g_test_run();
}
