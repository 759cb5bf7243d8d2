/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "door.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LIMIT_USEC (30 * G_USEC_PER_SEC)

static void on_closed(void *userdata) {
}

static int on_reply(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Door *door = userdata;

        door->reply = sd_bus_message_ref(m);
        return 0;
}

static void door_turn(Door *door, gint64 limit) {
        g_assert_cmpint(g_get_monotonic_time(), <, limit);
        g_assert_cmpint(sd_event_run(door->event, 100000), >=, 0);
}

void door_set_up(Door *door, gconstpointer data) {
        gint64 limit = g_get_monotonic_time() + LIMIT_USEC;
        int pair[2];

        g_assert_cmpint(sd_event_new(&door->event), >=, 0);
        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), ==, 0);
        g_assert_cmpint(
                server_new(door->event, pair[1], door->store, on_closed, NULL, &door->server), ==,
                0);
        g_assert_cmpint(sd_bus_new(&door->client), >=, 0);
        g_assert_cmpint(sd_bus_set_fd(door->client, pair[0], pair[0]), >=, 0);
        g_assert_cmpint(sd_bus_negotiate_fds(door->client, true), >=, 0);
        g_assert_cmpint(sd_bus_start(door->client), >=, 0);
        g_assert_cmpint(sd_bus_attach_event(door->client, door->event, 0), >=, 0);
        while (sd_bus_is_ready(door->client) == 0)
                door_turn(door, limit);
}

void door_tear_down(Door *door, gconstpointer data) {
        sd_bus_message_unref(door->reply);
        sd_bus_close_unref(door->client);
        server_free(door->server);
        sd_event_unref(door->event);
}

sd_bus_message *door_new_call(Door *door, const char *method) {
        sd_bus_message *m;

        g_assert_cmpint(sd_bus_message_new_method_call(door->client, &m, NULL, DTLSD_ROOT_PATH,
                                                       DTLSD_INTERFACE_KEYRING, method),
                        >=, 0);
        return m;
}

void door_call(Door *door, sd_bus_message *call) {
        gint64 limit = g_get_monotonic_time() + LIMIT_USEC;

        door->reply = sd_bus_message_unref(door->reply);
        g_assert_cmpint(sd_bus_call_async(door->client, NULL, call, on_reply, door, UINT64_MAX), >=,
                        0);
        while (!door->reply)
                door_turn(door, limit);
}

int door_open_uses(Door *door) {
        g_autoptr(sd_bus_message) m = door_new_call(door, "OpenUses");
        int fd;

        door_call(door, m);
        g_assert_cmpint(sd_bus_message_read(door->reply, "h", &fd), >, 0);
        fd = dup(fd);
        g_assert_cmpint(fd, >=, 0);
        return fd;
}

void door_refuses(Door *door, sd_bus_message *call, const char *error, const char *text) {
        g_autofree char *name = g_strconcat(DTLSD_ERROR_PREFIX, error, NULL);
        const sd_bus_error *answer;

        door_call(door, call);
        answer = sd_bus_message_get_error(door->reply);
        g_assert_nonnull(answer);
        if (!g_str_equal(answer->name, name) || !strstr(answer->message, text))
                g_error("'%s: %s' is not %s and does not say '%s'", answer->name, answer->message,
                        error, text);
}

static void door_refuses_name(Door *door, const char *method, uid_t uid, const char *name,
                              const char *error, const char *text) {
        g_autoptr(sd_bus_message) m = door_new_call(door, method);

        g_assert_cmpint(sd_bus_message_append(m, "us", (uint32_t)uid, name), >=, 0);
        door_refuses(door, m, error, text);
}

void door_refuses_names(Door *door, const char *method) {
        door_refuses_name(door, method, 0, "..", "BadSecret", "1 to 64");
        door_refuses_name(door, method, 1000, "u/1001/x", "NotAuthorized", "another");
        door_refuses_name(door, method, 1000, "u/1000/x", "Failed", "--store");
}

void door_lists_nothing(Door *door, const char *method, const char *type) {
        g_autoptr(sd_bus_message) m = door_new_call(door, method);

        door_call(door, m);
        g_assert_false(sd_bus_message_is_method_error(door->reply, NULL));
        g_assert_cmpint(sd_bus_message_enter_container(door->reply, 'a', type), >, 0);
        g_assert_cmpint(sd_bus_message_at_end(door->reply, false), >, 0);
}
