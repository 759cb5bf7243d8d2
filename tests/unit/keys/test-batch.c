/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* batch: what is asked in one turn goes in one packet. The keyring is the test's own. */

#include "base/memfd.h"
#include "base/terms.h"
#include "base/use.h"
#include "host.h"
#include "keys/keys.h"

#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#define ALICE 1000
#define LIMIT_USEC (30 * G_USEC_PER_SEC)
#define CALL_MAX 64
#define ALGORITHM "EdDSA-Ed25519"

typedef struct World {
        sd_event *event;
        Keys *keys;
        Host host;
        sd_bus *keyring;
        Key *key;
        int uses_fd;
        sd_event_source *uses_source;
        UsePacket *asked, *answers;
        GArray *calls;   /* how many uses each had */
        GArray *tickets; /* of all of them */
        unsigned n_removed, n_asked_when_removed;
        unsigned n_answers, n_refused;
} World;

static int on_import(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        return sd_bus_reply_method_return(m, "t", UINT64_C(1));
}

static int on_asked(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        World *world = userdata;
        unsigned n = 0;
        void *bytes;
        Use use;

        g_assert_cmpint(use_receive(world->asked, fd), ==, 0);
        for (; use_next(world->asked, &use, &bytes); n++) {
                g_assert_cmpstr(use.word, ==, use.size > 0 ? ALGORITHM : "");
                g_array_append_val(world->tickets, use.ticket);
        }
        g_assert_false(use_has_more(world->asked));
        g_array_append_val(world->calls, n);
        return 0;
}

static int on_open_uses(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        World *world = userdata;
        int pair[2], r;

        g_assert_cmpint(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), ==, 0);
        world->uses_fd = pair[0];
        g_assert_cmpint(sd_event_add_io(world->event, &world->uses_source, pair[0], EPOLLIN,
                                        on_asked, world),
                        >=, 0);
        g_assert_cmpint(sd_event_source_set_priority(world->uses_source, -1), >=, 0);
        r = sd_bus_reply_method_return(m, "h", pair[1]);
        (void)close(pair[1]);
        return r;
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
        SD_BUS_METHOD("OpenUses", "", "h", on_open_uses, SD_BUS_VTABLE_UNPRIVILEGED),
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

static void on_signed(int outcome, const char *text, const void *signature, size_t size,
                      void *userdata) {
        World *world = userdata;

        world->n_answers++;
        world->n_refused += outcome == KEYS_E_REFUSED;
}

static void on_lost(void *userdata) {
}

static void set_up(World *world, gconstpointer data) {
        int pair[2], fd;

        world->asked = use_packet_new();
        world->answers = use_packet_new();
        world->calls = g_array_new(FALSE, FALSE, sizeof(unsigned));
        world->tickets = g_array_new(FALSE, FALSE, sizeof(uint64_t));
        g_assert_cmpint(sd_event_new(&world->event), >=, 0);
        g_assert_cmpint(keys_new(world->event, &world->keys), ==, 0);
        host_serve(&world->host, world->event, world->keys);
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
        g_assert_cmpint(sd_bus_negotiate_fds(world->keyring, true), >=, 0);
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
        sd_event_source_disable_unref(world->uses_source);
        (void)close(world->uses_fd);
        use_packet_free(world->asked);
        use_packet_free(world->answers);
        sd_event_unref(world->event);
        g_array_unref(world->calls);
        g_array_unref(world->tickets);
}

static uint64_t fetch(World *world) {
        return keys_fetch_psk(world->keys, world->key, ALICE, on_fetched, world);
}

static void sign(World *world, size_t size) {
        g_autofree void *input = g_malloc0(size);

        (void)keys_sign(world->keys, world->key, ALICE, ALGORITHM, /* is_hash= */ false, input,
                        size, on_signed, world);
}

static void answer(World *world, uint64_t ticket, const char *error) {
        const Use use = {.ticket = ticket, .size = 3};

        g_assert_true(use_put(world->answers, &use, error, "\1\2\3"));
        g_assert_cmpint(use_send(world->answers, world->uses_fd, 0), ==, 0);
}

static bool is_asked(const World *world) {
        uint8_t byte;

        return recv(world->uses_fd, &byte, sizeof(byte), MSG_PEEK | MSG_DONTWAIT) > 0;
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

/* Ed25519 signs all that was said, which may be long. */
static void a_full_packet_refuses_nobody(World *world, gconstpointer data) {
        (void)fetch(world);
        sign(world, USE_BYTES_MAX);
        sign(world, USE_BYTES_MAX / 2);
        sign(world, USE_BYTES_MAX + 1); /* no packet has room for it */
        wait_until(world, world->tickets->len == 3 && world->n_answers == 1);
        g_assert_cmpuint(n_of_call(world, 0), ==, 2);
        g_assert_cmpuint(n_of_call(world, 1), ==, 1);
        g_assert_cmpuint(world->n_refused, ==, 1);
}

/* In any order, once, and to nobody who does not wait. */
static void each_has_its_own_answer(World *world, gconstpointer data) {
        uint64_t first = fetch(world), second = fetch(world), forgotten = fetch(world);

        wait_until(world, world->tickets->len == 3);
        keys_forget(world->keys, forgotten);
        answer(world, second, "QuotaExceeded");
        wait_until(world, world->n_answers == 1);
        g_assert_cmpuint(world->n_refused, ==, 1);
        answer(world, forgotten, "");
        answer(world, second, "");
        answer(world, first, "");
        wait_until(world, world->n_answers == 2);
        g_assert_cmpuint(world->n_refused, ==, 1);
}

/* What it had said is heard, in its order, before that it is gone. */
static void a_keyring_that_ends_is_heard_to_the_end(World *world, gconstpointer data) {
        const guint n = 20; /* packets: more than turns until the end is noticed */

        for (guint i = 0; i < n; i++)
                (void)fetch(world);
        wait_until(world, world->tickets->len == n);
        for (guint i = 0; i < n - 1; i++)
                answer(world, g_array_index(world->tickets, uint64_t, i), "");
        g_assert_cmpint(sd_bus_flush(world->keyring), >=, 0);
        world->keyring = sd_bus_close_unref(world->keyring);
        wait_until(world, world->n_answers == n);
        g_assert_cmpuint(world->n_refused, ==, 1);
}

/* Else the key would not be there any more. */
static void a_key_is_removed_after_its_uses(World *world, gconstpointer data) {
        (void)fetch(world);
        world->key = key_unref(world->key);
        g_assert_true(is_asked(world)); /* the loop has not turned yet */
        wait_until(world, world->n_removed == 1);
        g_assert_cmpuint(world->n_asked_when_removed, ==, 1);
}

/* Nothing is lost, and the room that there is wakes the loop. */
static void what_a_full_socket_does_not_take_waits(World *world, gconstpointer data) {
        const unsigned n = 4000;
        gint64 limit = g_get_monotonic_time() + LIMIT_USEC;

        g_assert_cmpint(sd_event_source_set_enabled(world->uses_source, SD_EVENT_OFF), >=, 0);
        for (unsigned i = 0; i < n; i++)
                (void)fetch(world);
        while (sd_event_run(world->event, 0) > 0)
                g_assert_cmpint(g_get_monotonic_time(), <, limit);

        while (world->tickets->len < n) {
                g_assert_cmpint(sd_event_prepare(world->event), ==, 0);
                while (is_asked(world))
                        (void)on_asked(NULL, world->uses_fd, EPOLLIN, world);
                if (sd_event_wait(world->event, world->tickets->len < n ? LIMIT_USEC : 0) > 0)
                        g_assert_cmpint(sd_event_dispatch(world->event), >, 0);
                else
                        g_assert_cmpuint(world->tickets->len, ==, n);
        }
        g_assert_cmpuint(world->n_answers, ==, 0);
        g_assert_cmpuint(world->tickets->len, ==, n);
        for (unsigned i = 1; i < n; i++)
                g_assert_cmpuint(g_array_index(world->tickets, uint64_t, i), ==,
                                 g_array_index(world->tickets, uint64_t, i - 1) + 1);
}

#define ADD(path, function) g_test_add("/batch/" path, World, NULL, set_up, function, tear_down)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD("a-turns-go-in-one-call", a_turns_go_in_one_call);
        ADD("a-call-has-so-many", a_call_has_so_many);
        ADD("a-full-packet-refuses-nobody", a_full_packet_refuses_nobody);
        ADD("each-has-its-own-answer", each_has_its_own_answer);
        ADD("a-keyring-that-ends-is-heard-to-the-end", a_keyring_that_ends_is_heard_to_the_end);
        ADD("what-a-full-socket-does-not-take-waits", what_a_full_socket_does_not_take_waits);
        ADD("a-key-is-removed-after-its-uses", a_key_is_removed_after_its_uses);
        return g_test_run();
}
