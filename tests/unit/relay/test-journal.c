/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Lines about connections and listeners, rationed. */

#include "world.h"

#include "base/log.h"
#include "lib/capture.h"
#include "relay/private.h"

#include <string.h>

static unsigned count_lines(const char *text) {
        unsigned n = 0;

        for (; *text; text++)
                n += *text == '\n';

        return n;
}

static void rations_what_a_stranger_can_cause(World *world, gconstpointer unused) {
        Listener *listener = world_listen(world, world_listener_spec("127.0.0.1", 0));
        g_autofree char *flood = NULL;
        g_autofree char *after = NULL;

        log_set_level(LOG_INFO);
        capture_begin();
        for (int i = 0; i < 1000; i++)
                log_listener(listener, LOG_INFO, NULL, "once more");
        flood = capture_end();
        g_assert_cmpuint(count_lines(flood), <=, 20);
        g_assert_cmpuint(count_lines(flood), >=, 10);

        /* a time later there is one more, and it says how many there were */
        brakes_of(listener->relay->brakes, listener->spec->uid)->since_usec -=
                UINT64_C(3600) * G_USEC_PER_SEC;
        capture_begin();
        log_listener(listener, LOG_INFO, NULL, "once more");
        after = capture_end();
        g_assert_cmpuint(count_lines(after), ==, 1);
        g_assert_nonnull(strstr(after, "lines left out"));
}

/* Another user's lines, and those about an object that is new, have no part in it. */
static void rations_each_user_whatever_it_makes(World *world, gconstpointer unused) {
        Spec *other = world_listener_spec("127.0.0.1", 0);
        g_autofree char *flood = NULL;

        other->uid = 4711;
        log_set_level(LOG_INFO);
        capture_begin();
        for (int i = 0; i < 50; i++)
                (void)listener_close(world_listen(world, world_listener_spec("127.0.0.1", 0)));
        (void)world_listen(world, other);
        flood = capture_end();
        g_assert_cmpuint(count_lines(flood), ==, 21);
}

static void is_silent_below_its_level(World *world, gconstpointer unused) {
        Listener *listener = world_listen(world, world_listener_spec("127.0.0.1", 0));
        g_autofree char *text = NULL;

        log_set_level(LOG_WARNING);
        capture_begin();
        for (int i = 0; i < 1000; i++)
                log_listener(listener, LOG_INFO, NULL, "not said");
        log_listener(listener, LOG_WARNING, NULL, "said");
        text = capture_end();
        log_set_level(LOG_INFO);
        g_assert_cmpuint(count_lines(text), ==, 1);
        g_assert_nonnull(strstr(text, "said"));
        g_assert_null(strstr(text, "left out"));
}

static void tells_of_a_connection_from_birth_to_end(World *world, gconstpointer unused) {
        Connection *client, *server;
        g_autofree char *text = NULL;
        Reason reason = {0};

        log_set_level(LOG_INFO);
        capture_begin();
        world_pair(world, &client, &server);
        world_send(client, "confidential");
        g_free(world_read(world, server));
        (void)connection_shutdown(client, &reason);
        world_wait_state(world, server, HANDSHAKE_NOT_STARTED);
        text = capture_end();

        g_assert_nonnull(strstr(text, "Connection 1 with 127.0.0.1:"));
        g_assert_nonnull(strstr(text, "opened: DtlsV1_2, TLS_"));
        g_assert_nonnull(strstr(text, "ended: Shutdown"));
        g_assert_nonnull(strstr(text, "ended: PeerClosed"));
        g_assert_null(strstr(text, "confidential"));
        g_assert_null(strstr(text, "a secret of both"));
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_assert_cmpint(session_global_init(), ==, 0);

        g_test_add("/journal/rations-what-a-stranger-can-cause", World, NULL, world_setup,
                   rations_what_a_stranger_can_cause, world_teardown);
        g_test_add("/journal/rations-each-user-whatever-it-makes", World, NULL, world_setup,
                   rations_each_user_whatever_it_makes, world_teardown);
        g_test_add("/journal/is-silent-below-its-level", World, NULL, world_setup,
                   is_silent_below_its_level, world_teardown);
        g_test_add("/journal/tells-of-a-connection-from-birth-to-end", World, NULL, world_setup,
                   tells_of_a_connection_from_birth_to_end, world_teardown);
        return g_test_run();
}
