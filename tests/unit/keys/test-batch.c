/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* batch: what is asked in one turn goes in one call. The keyring is the test's own. */

#include "base/memfd.h"
#include "base/terms.h"
#include "keys/keys.h"

#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#define ALICE 1000
#define LIMIT_USEC (30 * G_USEC_PER_SEC)
#define CALL_MAX 64

typedef struct World {
        sd_event *event;
        Keys *keys;
        sd_bus *keyring;
        Key *key;
        GArray *calls;   /* how many uses each had */
        GArray *tickets; /* of all of them */
        unsigned n_removed, n_asked_when_removed;
        unsigned n_answers, n_refused;
} World;

static int on_import(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        return sd_bus_reply_method_return(m, "t", UINT64_C(1));
}

static int on_use(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        World *world = userdata;
        unsigned n = 0;

        g_assert_cmpint(sd_bus_message_enter_container(m, 'a', "(ttusbay)"), >, 0);
        for (; sd_bus_message_enter_container(m, 'r', "ttusbay") > 0; n++) {
                uint64_t ticket;

                g_assert_cmpint(sd_bus_message_read(m, "t", &ticket), >, 0);
                g_assert_cmpint(sd_bus_message_skip(m, "tusbay"), >=, 0);
                g_assert_cmpint(sd_bus_message_exit_container(m), >=, 0);
                g_array_append_val(world->tickets, ticket);
        }
        g_array_append_val(world->calls, n);
        return 1;
}

static int on_remove(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        World *world = userdata;

        world->n_removed++;
        world->n_asked_when_removed = world->tickets->len;
        return 1;
}

static const sd_bus_vtable vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("ImportPsk", "uh", "t", on_import, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Use", "a(ttusbay)", "", on_use, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Remove", "t", "", on_remove, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};

static void turn(World *world, gint64 limit) {
        g_assert_cmpint(g_get_monotonic_time(), <, limit);
        g_assert_cmpint(sd_event_run(world->event, 10000), >=, 0);
}

#define wait_until(world, condition)                                                               \
        for (gint64 limit_ = g_get_monotonic_time() + LIMIT_USEC; !(condition);)                   \
        turn(world, limit_)

static void on_imported(int outcome, const char *text, Key *key, void *userdata) {
        World *world = userdata;

        world->key = key_ref(key);
}

static void on_fetched(int outcome, const char *text, const Secret *psk, void *userdata) {
        World *world = userdata;

        world->n_answers++;
        if (outcome == 0)
                g_assert_cmpmem(secret_peek(psk), secret_size(psk), "\1\2\3", 3);
        else
                world->n_refused++;
}

static void on_lost(void *userdata) {
}

static void set_up(World *world, gconstpointer data) {
        int pair[2], fd;

        world->calls = g_array_new(FALSE, FALSE, sizeof(unsigned));
        world->tickets = g_array_new(FALSE, FALSE, sizeof(uint64_t));
        g_assert_cmpint(sd_event_new(&world->event), >=, 0);
        g_assert_cmpint(keys_new(world->event, &world->keys), ==, 0);
        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), ==, 0);
        g_assert_cmpint(keys_connect(world->keys, pair[0], on_lost, world), ==, 0);
        g_assert_cmpint(sd_bus_new(&world->keyring), >=, 0);
        g_assert_cmpint(
                sd_bus_set_server(world->keyring, true,
                                  SD_ID128_MAKE(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1)),
                >=, 0);
        g_assert_cmpint(sd_bus_add_object_vtable(world->keyring, NULL, DTLSD_ROOT_PATH,
                                                 DTLSD_INTERFACE_KEYRING, vtable, world),
                        >=, 0);
        g_assert_cmpint(sd_bus_set_fd(world->keyring, pair[1], pair[1]), >=, 0);
        g_assert_cmpint(sd_bus_start(world->keyring), >=, 0);
        g_assert_cmpint(sd_bus_attach_event(world->keyring, world->event, 0), >=, 0);

        g_assert_cmpint(memfd_new("x", 1, &fd), ==, 0);
        (void)keys_import_psk(world->keys, ALICE, fd, on_imported, world);
        (void)close(fd);
        wait_until(world, world->key);
}

static void tear_down(World *world, gconstpointer data) {
        key_unref(world->key);
        keys_free(world->keys);
        sd_bus_close_unref(world->keyring);
        sd_event_unref(world->event);
        g_array_unref(world->calls);
        g_array_unref(world->tickets);
}

static uint64_t fetch(World *world) {
        return keys_fetch_psk(world->keys, world->key, ALICE, on_fetched, world);
}

static void answer(World *world, uint64_t ticket, const char *error) {
        g_assert_cmpint(sd_bus_emit_signal(world->keyring, DTLSD_ROOT_PATH, DTLSD_INTERFACE_KEYRING,
                                           "Used", "a(tssay)", 1, ticket, error, "", 3, 1, 2, 3),
                        >=, 0);
}

static unsigned n_of_call(const World *world, guint number) {
        return g_array_index(world->calls, unsigned, number);
}

/* ---- tests ---- */

static void a_turns_go_in_one_call(World *world, gconstpointer data) {
        for (int i = 0; i < 10; i++)
                (void)fetch(world);
        wait_until(world, world->calls->len > 0);
        g_assert_cmpuint(n_of_call(world, 0), ==, 10);

        (void)fetch(world);
        wait_until(world, world->calls->len > 1);
        g_assert_cmpuint(n_of_call(world, 1), ==, 1);
        for (guint i = 0; i < world->tickets->len; i++)
                answer(world, g_array_index(world->tickets, uint64_t, i), "");
        wait_until(world, world->n_answers == 11);
        g_assert_cmpuint(world->n_refused, ==, 0);
}

static void a_call_has_so_many(World *world, gconstpointer data) {
        for (int i = 0; i < CALL_MAX + 1; i++)
                (void)fetch(world);
        wait_until(world, world->calls->len > 1);
        g_assert_cmpuint(n_of_call(world, 0), ==, CALL_MAX);
        g_assert_cmpuint(n_of_call(world, 1), ==, 1);
}

/* In any order, once, and to nobody who does not wait. */
static void each_has_its_own_answer(World *world, gconstpointer data) {
        uint64_t first = fetch(world), second = fetch(world), forgotten = fetch(world);

        wait_until(world, world->tickets->len == 3);
        keys_forget(world->keys, forgotten);
        answer(world, second, DTLSD_ERROR_PREFIX "QuotaExceeded");
        wait_until(world, world->n_answers == 1);
        g_assert_cmpuint(world->n_refused, ==, 1);
        answer(world, forgotten, "");
        answer(world, second, "");
        answer(world, first, "");
        wait_until(world, world->n_answers == 2);
        g_assert_cmpuint(world->n_refused, ==, 1);
}

/* Else the key would not be there any more. */
static void a_key_is_removed_after_its_uses(World *world, gconstpointer data) {
        (void)fetch(world);
        world->key = key_unref(world->key);
        wait_until(world, world->n_removed == 1);
        g_assert_cmpuint(world->n_asked_when_removed, ==, 1);
}

#define ADD(path, function) g_test_add("/batch/" path, World, NULL, set_up, function, tear_down)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD("a-turns-go-in-one-call", a_turns_go_in_one_call);
        ADD("a-call-has-so-many", a_call_has_so_many);
        ADD("each-has-its-own-answer", each_has_its_own_answer);
        ADD("a-key-is-removed-after-its-uses", a_key_is_removed_after_its_uses);
        return g_test_run();
}
