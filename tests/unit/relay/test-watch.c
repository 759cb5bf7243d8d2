/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whose turn it is, in a loop of sd-event's and in relay_run(). */

#include "world.h"

#include "base/cleanup.h"
#include "relay/private.h"

#include <errno.h>
#include <sys/eventfd.h>

#define N 3

typedef struct Ring Ring;

typedef struct Bell {
        Ring *ring;
        int fd, number;
        Watch *watch;
} Bell;

struct Ring {
        World *world;
        GString *heard;
        Bell bells[N];
        void (*on_heard)(Bell *bell);
        unsigned n;
        bool is_rung;
};

static void on_bell(uint32_t events, void *userdata) {
        Bell *bell = userdata;
        Ring *ring = bell->ring;

        g_assert_cmpuint(events, ==, EPOLLIN);
        g_string_append_printf(ring->heard, "%d ", bell->number);
        ring->n++;
        if (ring->on_heard)
                ring->on_heard(bell);
}

static void ring_hang(Ring *ring, World *world, uint32_t events) {
        *ring = (Ring){.world = world, .heard = g_string_new(NULL)};
        for (int i = 0; i < N; i++) {
                Bell *bell = &ring->bells[i];

                *bell = (Bell){.ring = ring, .number = i, .fd = eventfd(0, EFD_NONBLOCK)};
                g_assert_cmpint(watch_new(world->relay, WORLD_UID, bell->fd, events, on_bell, bell,
                                          &bell->watch),
                                ==, 0);
        }
}

static void ring_take_down(Ring *ring) {
        for (int i = 0; i < N; i++) {
                watch_free(ring->bells[i].watch);
                autofd_close(&ring->bells[i].fd);
        }
        g_string_free(ring->heard, TRUE);
}

static void ring_number(Ring *ring, int number) {
        g_assert_cmpint(eventfd_write(ring->bells[number].fd, 1), ==, 0);
}

static void each_has_its_turn_in_order(World *world, gconstpointer unused) {
        Ring ring;

        ring_hang(&ring, world, EPOLLIN | EPOLLET);
        ring_number(&ring, 2);
        ring_number(&ring, 0);
        ring_number(&ring, 1);
        world_wait(world, ring.n == N);
        g_assert_cmpstr(ring.heard->str, ==, "2 0 1 ");
        ring_take_down(&ring);
}

static void is_told_once_and_again_when_it_says_so(World *world, gconstpointer unused) {
        Ring ring;

        ring_hang(&ring, world, EPOLLIN | EPOLLET);
        ring_number(&ring, 0);
        world_wait(world, ring.n == 1);
        world_spend(world, 10 * 1000);
        g_assert_cmpuint(ring.n, ==, 1);

        watch_set(ring.bells[0].watch, EPOLLIN | EPOLLET);
        world_wait(world, ring.n == 2);

        watch_set(ring.bells[0].watch, 0);
        ring_number(&ring, 0);
        world_spend(world, 10 * 1000);
        g_assert_cmpuint(ring.n, ==, 2);

        watch_set(ring.bells[0].watch, EPOLLIN | EPOLLET);
        world_wait(world, ring.n == 3);
        ring_take_down(&ring);
}

static void take_down_the_next(Bell *bell) {
        Bell *next = &bell->ring->bells[(bell->number + 1) % N];

        next->watch = watch_free(next->watch);
}

static void who_goes_has_no_turn(World *world, gconstpointer unused) {
        Ring ring;

        ring_hang(&ring, world, EPOLLIN | EPOLLET);
        ring.on_heard = take_down_the_next;
        ring_number(&ring, 0);
        ring_number(&ring, 1);
        ring_number(&ring, 2);
        world_wait(world, ring.n == 2);
        world_spend(world, 10 * 1000);
        g_assert_cmpstr(ring.heard->str, ==, "0 2 ");
        ring_take_down(&ring);
}

/* ---- relay_run() ---- */

/* As whoever leaves something for the loop, a handler has it look. */
static void end_with(Relay *relay, int code) {
        g_assert_cmpint(sd_event_exit(relay->event, code), ==, 0);
        relay_stir(relay);
}

static void on_rung(void *owner, uint64_t now_usec) {
        Ring *ring = owner;

        ring->is_rung = true;
        end_with(ring->world->relay, 7);
}

static Alarm alarm_of_ring;

static void set_an_alarm(Bell *bell) {
        Relay *relay = bell->ring->world->relay;

        alarm_of_ring = (Alarm){.ring = on_rung, .owner = bell->ring};
        alarm_set(relay, &alarm_of_ring, relay_now(relay) + 2000);
}

/* The handler's alarm is heard of though nothing else comes. */
static void the_loop_sees_what_a_handler_left(World *world, gconstpointer unused) {
        Ring ring;

        ring_hang(&ring, world, EPOLLIN | EPOLLET);
        ring.on_heard = set_an_alarm;
        ring_number(&ring, 1);
        g_assert_cmpint(relay_run(world->relay), ==, 7);
        g_assert_true(ring.is_rung);
        g_assert_cmpstr(ring.heard->str, ==, "1 ");
        ring_take_down(&ring);
}

static Key *key_of_ring;

static void on_fetched(int outcome, const char *text, const Secret *psk, void *userdata) {
        Ring *ring = userdata;

        g_assert_cmpint(outcome, ==, 0);
        end_with(ring->world->relay, 7);
}

static void ask_the_keyring(void *owner, uint64_t now_usec) {
        Ring *ring = owner;

        (void)keys_fetch_psk(ring->world->keys, key_of_ring, WORLD_UID, on_fetched, ring);
}

static void ask_in_a_turn(Bell *bell) {
        ask_the_keyring(bell->ring, 0);
}

static void ring_await_the_keyring(Ring *ring) {
        g_assert_cmpint(relay_run(ring->world->relay), ==, 7);
        ring_take_down(ring);
        key_of_ring = key_unref(key_of_ring);
}

/* What is asked goes though nothing else comes, and so does its answer. */
static void what_a_handler_asks_of_the_keyring_is_answered(World *world, gconstpointer unused) {
        Ring ring;

        world_start_keyring(world);
        key_of_ring = world_import_psk(world, WORLD_UID, "psk");
        ring_hang(&ring, world, EPOLLIN | EPOLLET);
        ring.on_heard = ask_in_a_turn;
        ring_number(&ring, 1);
        ring_await_the_keyring(&ring);
}

static void what_an_alarm_asks_of_the_keyring_is_answered(World *world, gconstpointer unused) {
        Ring ring;

        world_start_keyring(world);
        key_of_ring = world_import_psk(world, WORLD_UID, "psk");
        ring_hang(&ring, world, EPOLLIN | EPOLLET);
        alarm_of_ring = (Alarm){.ring = ask_the_keyring, .owner = &ring};
        alarm_set(world->relay, &alarm_of_ring, relay_now(world->relay) + 2000);
        ring_await_the_keyring(&ring);
}

/* All are always ready, and nobody reads them. */
static void the_loop_has_its_turn_beside_the_busy(World *world, gconstpointer unused) {
        Ring ring;

        ring_hang(&ring, world, EPOLLIN);
        for (int i = 0; i < N; i++)
                ring_number(&ring, i);
        alarm_of_ring = (Alarm){.ring = on_rung, .owner = &ring};
        alarm_set(world->relay, &alarm_of_ring, relay_now(world->relay) + 5000);
        g_assert_cmpint(relay_run(world->relay), ==, 7);
        g_assert_true(ring.is_rung);
        g_assert_cmpuint(ring.n, >, N);
        ring_take_down(&ring);
}

static int on_busy(sd_event_source *source, void *userdata) {
        return 0; /* and is on again at once */
}

static void count_ten(Bell *bell) {
        if (bell->ring->n == 10)
                end_with(bell->ring->world->relay, 0);
}

/* And the other way round. */
static void what_is_watched_has_its_turn_beside_a_busy_loop(World *world, gconstpointer unused) {
        sd_event_source *busy;
        Ring ring;

        ring_hang(&ring, world, EPOLLIN);
        ring.on_heard = count_ten;
        g_assert_cmpint(sd_event_add_defer(world->event, &busy, on_busy, NULL), >=, 0);
        g_assert_cmpint(sd_event_source_set_enabled(busy, SD_EVENT_ON), >=, 0);
        ring_number(&ring, 0);
        g_assert_cmpint(relay_run(world->relay), ==, 0);
        g_assert_cmpuint(ring.n, >=, 10);
        sd_event_source_disable_unref(busy);
        ring_take_down(&ring);
}

static void time_does_not_go_back(World *world, gconstpointer unused) {
        uint64_t last = 0;
        Ring ring;

        ring_hang(&ring, world, EPOLLIN);
        ring_number(&ring, 0);
        for (int i = 0; i < 100; i++) {
                uint64_t now;

                world_turn_quickly(world, world_limit(world));
                now = relay_now(world->relay);
                g_assert_cmpuint(now, >=, last);
                last = now;
        }
        ring_take_down(&ring);
}

#define N_BUSY 100
#define BUSY_USEC 200

/* A loop that is busy with one user's, and then somebody else comes. */
typedef struct Crowd {
        Relay *relay;
        Watch *watches[N_BUSY], *quiet;
        int fds[N_BUSY], fd, quiet_fd;
        unsigned n_turns, n_turns_before; /* of the busy ones, in all and since the other waits */
        bool is_quiet_served;
} Crowd;

static void on_busy_watch(uint32_t events, void *userdata) {
        Crowd *crowd = userdata;
        gint64 until_usec = g_get_monotonic_time() + BUSY_USEC;

        while (g_get_monotonic_time() < until_usec)
                ;
        if (++crowd->n_turns == N_BUSY / 2)
                g_assert_cmpint(eventfd_write(crowd->quiet_fd, 1), ==, 0);
        if (crowd->n_turns > N_BUSY / 2 && !crowd->is_quiet_served)
                crowd->n_turns_before++;
}

static void on_quiet_watch(uint32_t events, void *userdata) {
        Crowd *crowd = userdata;

        crowd->is_quiet_served = true;
        end_with(crowd->relay, 0);
}

/* A slice of the busy one's is one or two turns, and the kernel says who is ready 32 at a time. */
static void one_users_many_are_waited_for_as_one(World *world, gconstpointer unused) {
        Crowd crowd = {
                .relay = world->relay,
                .fd = eventfd(1, EFD_NONBLOCK),
                .quiet_fd = eventfd(0, EFD_NONBLOCK),
        };

        for (int i = 0; i < N_BUSY; i++) {
                crowd.fds[i] = dup(crowd.fd);
                g_assert_cmpint(watch_new(world->relay, WORLD_UID, crowd.fds[i], EPOLLIN,
                                          on_busy_watch, &crowd, &crowd.watches[i]),
                                ==, 0);
        }
        g_assert_cmpint(watch_new(world->relay, WORLD_OTHER_UID, crowd.quiet_fd, EPOLLIN,
                                  on_quiet_watch, &crowd, &crowd.quiet),
                        ==, 0);
        g_assert_cmpint(relay_run(world->relay), ==, 0);
        g_assert_true(crowd.is_quiet_served);
        g_assert_cmpuint(crowd.n_turns_before, <=, 6);
        for (int i = 0; i < N_BUSY; i++) {
                watch_free(crowd.watches[i]);
                autofd_close(&crowd.fds[i]);
        }
        watch_free(crowd.quiet);
        autofd_close(&crowd.fd);
        autofd_close(&crowd.quiet_fd);
}

#define CASE(name, function)                                                                       \
        g_test_add("/watch/" name, World, NULL, world_setup, function, world_teardown)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_assert_cmpint(session_global_init(), ==, 0);

        CASE("each-has-its-turn-in-order", each_has_its_turn_in_order);
        CASE("is-told-once-and-again-when-it-says-so", is_told_once_and_again_when_it_says_so);
        CASE("who-goes-has-no-turn", who_goes_has_no_turn);
        CASE("time-does-not-go-back", time_does_not_go_back);
        CASE("the-loop-sees-what-a-handler-left", the_loop_sees_what_a_handler_left);
        CASE("what-a-handler-asks-of-the-keyring-is-answered",
             what_a_handler_asks_of_the_keyring_is_answered);
        CASE("what-an-alarm-asks-of-the-keyring-is-answered",
             what_an_alarm_asks_of_the_keyring_is_answered);
        CASE("the-loop-has-its-turn-beside-the-busy", the_loop_has_its_turn_beside_the_busy);
        CASE("what-is-watched-has-its-turn-beside-a-busy-loop",
             what_is_watched_has_its_turn_beside_a_busy_loop);
        CASE("one-users-many-are-waited-for-as-one", one_users_many_are_waited_for_as_one);
        return g_test_run();
}
