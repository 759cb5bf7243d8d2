/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The order of calls: kept while the service asks the bus who a new name is.
 */

#include "stage.h"

#include <string.h>

#define N_CALLS 50

/* What came back, in the order it came. */
typedef struct Replies {
        GPtrArray *texts; /* "NUMBER ERROR|values" */
} Replies;

typedef struct Sent {
        Replies *replies;
        unsigned number;
} Sent;

static int on_reply(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Sent *sent = userdata;
        const sd_bus_error *refused = sd_bus_message_get_error(m);
        GString *values = message_flatten(m);

        g_ptr_array_add(sent->replies->texts,
                        g_strdup_printf("%u %s%s", sent->number, refused ? refused->name : "",
                                        refused ? "" : values->str));
        (void)g_string_free(values, TRUE);
        return 0;
}

/* Sends without waiting. */
static void fire(sd_bus *bus, Sent *sent, const char *path, const char *interface,
                 const char *member, const char *types, ...) {
        sd_bus_message *m = NULL;
        va_list ap;

        g_assert_cmpint(sd_bus_message_new_method_call(bus, &m, NAME, path, interface, member), >=,
                        0);
        va_start(ap, types);
        if (*types)
                g_assert_cmpint(sd_bus_message_appendv(m, types, ap), >=, 0);
        va_end(ap);
        g_assert_cmpint(sd_bus_call_async(bus, NULL, m, on_reply, sent, CALL_USEC), >=, 0);
        (void)sd_bus_message_unref(m);
}

static bool all_are_there(void *userdata) {
        const Replies *replies = userdata;

        return replies->texts->len >= N_CALLS;
}

static void expect_replies(Sent sent[N_CALLS], Replies *replies) {
        replies->texts = g_ptr_array_new_with_free_func(g_free);
        for (unsigned i = 0; i < N_CALLS; i++)
                sent[i] = (Sent){replies, i};
}

static void assert_reply(const Replies *replies, unsigned number, const char *expected) {
        g_autofree char *text = g_strdup_printf("%u %s", number, expected);

        g_assert_cmpstr(replies->texts->pdata[number], ==, text);
}

static void test_objects_are_numbered_in_the_order_of_the_calls(void) {
        Service *service = service_start(NULL);
        sd_bus *bus = service_bus(service, UID_ALICE);
        Sent sent[N_CALLS];
        Replies replies;

        expect_replies(sent, &replies);
        for (unsigned i = 0; i < N_CALLS; i++)
                fire(bus, &sent[i], ROOT, MANAGER, "CreateConnection", "sa{sv}", "client", 0);
        bus_wait(bus, all_are_there, &replies, "all replies");
        for (unsigned i = 0; i < N_CALLS; i++) {
                g_autofree char *path = g_strdup_printf("|" ROOT "/connection/%u", i + 1);

                assert_reply(&replies, i, path);
        }
        g_ptr_array_unref(replies.texts);
        (void)bus_leave(bus);
        service_stop(service);
}

/* Five calls about each object, of which each needs what the one before did. */
static void fire_life(sd_bus *bus, Sent *sent, unsigned number, uint16_t port) {
        g_autofree char *path = g_strdup_printf(ROOT "/connection/%u", number);

        fire(bus, &sent[0], ROOT, MANAGER, "CreateConnection", "sa{sv}", "client", 0);
        fire(bus, &sent[1], path, CONNECTION, "SetPeer", "sqs", "127.0.0.1", port, "");
        fire(bus, &sent[2], path, CONNECTION, "DoHandshake", "ay", 0);
        fire(bus, &sent[3], path, CONNECTION, "Close", "");
        fire(bus, &sent[4], path, CONNECTION, "Close", "");
}

static void test_call_that_depends_on_the_one_before_works(void) {
        Service *service = service_start(NULL);
        sd_bus *bus = service_bus(service, UID_ALICE);
        uint16_t port;
        int silent = udp_bind(&port);
        Sent sent[N_CALLS];
        Replies replies;

        expect_replies(sent, &replies);
        for (unsigned i = 0; i < N_CALLS / 5; i++)
                fire_life(bus, &sent[i * 5], i + 1, port);
        bus_wait(bus, all_are_there, &replies, "all replies");
        for (unsigned i = 0; i < N_CALLS / 5; i++) {
                g_autofree char *path = g_strdup_printf("|" ROOT "/connection/%u", i + 1);

                assert_reply(&replies, i * 5, path);
                assert_reply(&replies, i * 5 + 1, "");
                assert_reply(&replies, i * 5 + 2, "|HandshakeInProgress");
                assert_reply(&replies, i * 5 + 3, "");
                /* gone by then, and like one that never was */
                assert_reply(&replies, i * 5 + 4, "org.freedesktop.DBus.Error.UnknownObject");
        }
        g_ptr_array_unref(replies.texts);
        (void)close(silent);
        (void)bus_leave(bus);
        service_stop(service);
}

/* Calls of a name that is known already, which need not be parked, come in between. */
static void test_names_keep_their_own_order(void) {
        Service *service = service_start(NULL);
        sd_bus *known = service_bus(service, UID_ALICE), *fresh;
        Sent sent[N_CALLS];
        Replies replies;
        uint64_t last = 0;

        (void)sd_bus_message_unref(call(known, ROOT, MANAGER, "Unsubscribe", ""));
        fresh = service_bus(service, UID_BOB);
        expect_replies(sent, &replies);
        for (unsigned i = 0; i < N_CALLS; i++) {
                fire(fresh, &sent[i], ROOT, MANAGER, "CreateConnection", "sa{sv}", "client", 0);
                fire(known, &sent[i], ROOT, MANAGER, "Unsubscribe", "");
        }
        bus_wait(fresh, all_are_there, &replies, "all replies");
        for (unsigned i = 0; i < N_CALLS; i++) {
                const char *text = replies.texts->pdata[i];
                const char *number = strrchr(text, '/');
                uint64_t now;

                g_assert_cmpuint(g_ascii_strtoull(text, NULL, 10), ==, i);
                g_assert_nonnull(number);
                now = g_ascii_strtoull(number + 1, NULL, 10);
                g_assert_cmpuint(now, >, last);
                last = now;
        }
        g_ptr_array_unref(replies.texts);
        (void)bus_leave(known);
        (void)bus_leave(fresh);
        service_stop(service);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/order/objects-are-numbered-in-the-order-of-the-calls",
                        test_objects_are_numbered_in_the_order_of_the_calls);
        g_test_add_func("/order/a-call-that-depends-on-the-one-before-works",
                        test_call_that_depends_on_the_one_before_works);
        g_test_add_func("/order/names-keep-their-own-order", test_names_keep_their_own_order);
        return g_test_run();
}
