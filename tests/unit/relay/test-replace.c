/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A peer that starts anew from a known address, RFC 6347 4.2.8. */

#include "stranger.h"

#include <string.h>
#include <sys/socket.h>

#define PSK "a secret of both"

static Stranger *meet(World *world, bool cookies) {
        Spec *spec = world_listener_spec("127.0.0.1", 0);
        Stranger *stranger;

        spec->cookies = cookies;
        world_use_psk(world, "", PSK);
        stranger = stranger_new(world, world_listen(world, spec), PSK);
        stranger_start(stranger);
        stranger_wait(stranger, stranger_is_open(stranger) && world->n_announced == 1);
        return stranger;
}

static Connection *now_there(World *world) {
        return relay_find_connection(world->relay, world->last_accepted);
}

static void check_alive(Stranger *stranger, const char *text) {
        World *world = stranger->world;
        g_autofree char *heard = NULL;

        stranger_say(stranger, text);
        heard = world_read(world, now_there(world));
        g_assert_cmpstr(heard, ==, text);

        g_string_truncate(stranger->heard, 0);
        world_send(now_there(world), text);
        stranger_wait(stranger, stranger->heard->len > 0);
        g_assert_true(g_str_has_prefix(stranger->heard->str, text));
}

static void replaces(World *world, bool cookies) {
        g_autoptr(Stranger) stranger = meet(world, cookies);
        uint32_t elder = world->last_accepted;

        check_alive(stranger, "first");

        /* it forgets everything, and comes again from the same port */
        stranger_start(stranger);
        stranger_wait(stranger, stranger_is_open(stranger) && world->n_announced == 2);
        g_assert_cmpuint(world->last_accepted, !=, elder);
        g_assert_cmpstr(world->closed->str, ==, "1:Replaced ");
        g_assert_cmpint(connection_facts(relay_find_connection(world->relay, elder)).state, ==,
                        HANDSHAKE_NOT_STARTED);
        g_assert_cmpuint(world_counter(relay_counters(world->relay), "Replaced"), ==, 1);
        check_alive(stranger, "second");
}

static void takes_the_place_of_its_elder(World *world, gconstpointer unused) {
        replaces(world, /* cookies= */ true);
}

static void proves_itself_with_cookies_off_too(World *world, gconstpointer unused) {
        replaces(world, /* cookies= */ false);
        g_assert_cmpuint(world_counter(relay_counters(world->relay), "CookiesAsked"), ==, 1);
}

static void finds_its_sealed_records_behind_the_elder(World *world, gconstpointer unused) {
        g_autoptr(Stranger) stranger = meet(world, true);

        /* its Finished comes alone, sealed, and only its keys say whose it is */
        stranger->apart = true;
        stranger_start(stranger);
        stranger_wait(stranger, stranger_is_open(stranger) && world->n_announced == 2);
        g_assert_cmpstr(world->closed->str, ==, "1:Replaced ");
        check_alive(stranger, "second");
}

static void changes_nothing_without_a_cookie(World *world, gconstpointer unused) {
        g_autoptr(Stranger) stranger = meet(world, true);
        Session *mine = g_steal_pointer(&stranger->session);
        unsigned n_added = world->n_added;

        /* a hello from the same address by somebody who cannot hear the answer */
        stranger_start(stranger);
        stranger->deaf = true;
        for (int i = 0; i < 20; i++) {
                stranger_step(stranger);
                world_spend(world, 5000);
        }
        g_assert_cmpuint(world->n_added, ==, n_added);
        g_assert_cmpuint(world_counter(relay_counters(world->relay), "CookiesAsked"), >=, 2);

        session_free(stranger->session);
        stranger->session = mine;
        stranger->deaf = false;
        check_alive(stranger, "still");
}

static void leaves_the_elder_when_the_successor_fails(World *world, gconstpointer unused) {
        g_autoptr(Stranger) stranger = meet(world, true);
        Session *mine = g_steal_pointer(&stranger->session);
        Counters counters;

        /* a second association that stops half-way */
        stranger->psk = NULL;
        stranger_start(stranger);
        stranger_wait(stranger, world->n_added == 2);
        session_free(stranger->session);
        stranger->session = mine;

        /* meanwhile the elder works, and the other hears nothing of it */
        counters = connection_counters(relay_find_connection(world->relay, 2));
        check_alive(stranger, "meanwhile");
        g_assert_cmpuint(world_counter(connection_counters(relay_find_connection(world->relay, 2)),
                                       "DatagramsReceived"),
                         ==, world_counter(counters, "DatagramsReceived"));
        world_wait(world, world->n_removed == 1);
        g_assert_cmpstr(world->closed->str, ==, "2:Failed ");
        check_alive(stranger, "afterwards");
}

static void gives_the_place_of_an_elder_that_closed(World *world, gconstpointer unused) {
        g_autoptr(Stranger) stranger = meet(world, true);
        Reason reason = {0};

        stranger->psk = NULL;
        stranger_start(stranger);
        stranger_wait(stranger, session_question(stranger->session));
        g_assert_cmpint(connection_shutdown(now_there(world), &reason), ==, 0);

        /* the younger had no place of its own, and has one now */
        stranger->psk = PSK;
        stranger_wait(stranger, stranger_is_open(stranger) && world->n_announced == 2);
        check_alive(stranger, "moved up");
}

static void makes_room_for_a_peer_that_gave_up(World *world, gconstpointer unused) {
        Listener *listener = world_listen(world, world_listener_spec("127.0.0.1", 0));
        g_autoptr(Stranger) stranger = stranger_new(world, listener, PSK);

        /* the listener's side waits for a PSK when the peer starts anew */
        stranger_start(stranger);
        stranger_wait(stranger, world->n_psk_required == 1);
        stranger_start(stranger);
        stranger_wait(stranger, world->n_psk_required == 2);
        g_assert_cmpstr(world->closed->str, ==, "1:Replaced ");
        g_assert_cmpuint(quota_used(world->quota, WORLD_UID, QUOTA_HALF_OPEN), ==, 1);

        world_use_psk(world, "", PSK);
        stranger_wait(stranger, stranger_is_open(stranger) && world->n_announced == 1);
        check_alive(stranger, "again");
}

static void takes_a_hello_twice_for_one(World *world, gconstpointer unused) {
        g_autoptr(Stranger) stranger = meet(world, true);

        /* a replayed hello has a good cookie, and is the one that is known */
        for (int i = 0; i < 5; i++)
                stranger_resend_hello(stranger);
        world_spend(world, 50 * 1000);
        g_assert_cmpuint(world->n_added, ==, 1);
        check_alive(stranger, "still");
}

static void takes_back_whatever_was_charged(World *world, gconstpointer unused) {
        g_autoptr(Stranger) stranger = meet(world, true);

        for (int i = 0; i < 5; i++) {
                unsigned n = world->n_announced + 1;

                stranger_start(stranger);
                stranger_wait(stranger, stranger_is_open(stranger) && world->n_announced == n);
        }
        g_assert_cmpuint(quota_used(world->quota, WORLD_UID, QUOTA_HALF_OPEN), ==, 0);
        check_alive(stranger, "sixth");
}

#define CASE(name, function)                                                                       \
        g_test_add("/replace/" name, World, NULL, world_setup, function, world_teardown)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_assert_cmpint(session_global_init(), ==, 0);

        CASE("a-restarted-peer-takes-the-place-of-its-elder", takes_the_place_of_its_elder);
        CASE("a-restarted-peer-proves-itself-with-cookies-off-too",
             proves_itself_with_cookies_off_too);
        CASE("a-successors-sealed-records-are-found-behind-the-elder",
             finds_its_sealed_records_behind_the_elder);
        CASE("a-hello-without-its-cookie-changes-nothing", changes_nothing_without_a_cookie);
        CASE("the-elder-stays-when-the-successor-fails", leaves_the_elder_when_the_successor_fails);
        CASE("a-successor-moves-up-when-the-elder-closes", gives_the_place_of_an_elder_that_closed);
        CASE("a-half-open-elder-makes-room-at-once", makes_room_for_a_peer_that_gave_up);
        CASE("the-same-hello-twice-is-one-peer", takes_a_hello_twice_for_one);
        CASE("every-successor-gives-back-what-it-cost", takes_back_whatever_was_charged);
        return g_test_run();
}
