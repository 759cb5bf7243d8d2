/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What a stranger on the same bus learns of somebody's connections: nothing.
 */

#include "stage.h"

#include <string.h>
#include <unistd.h>

typedef struct Ear {
        unsigned n_heard;
        char *last;
} Ear;

static int on_anything(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Ear *ear = userdata;
        const char *interface = sd_bus_message_get_interface(m);

        /* the bus itself tells everybody who comes and goes */
        if (g_strcmp0(interface, "org.freedesktop.DBus") == 0)
                return 0;

        ear->n_heard++;
        g_free(ear->last);
        ear->last = g_strdup_printf("%s.%s from %s", interface, sd_bus_message_get_member(m),
                                    sd_bus_message_get_path(m));
        return 0;
}

static int hear_everything(sd_bus *bus, Ear *ear) {
        return sd_bus_add_match(bus, NULL, "type='signal'", on_anything, ear);
}

/* Everything that was sent to @bus before a reply that was asked for now has been heard. */
static void hear_until_now(sd_bus *bus) {
        (void)sd_bus_message_unref(call(bus, ROOT, "org.freedesktop.DBus.Peer", "Ping", ""));
        while (sd_bus_process(bus, NULL) > 0)
                ;
}

static void a_whole_life(sd_bus *bus) {
        uint16_t port;
        g_autofree char *listener = listen_psk(bus, &port);
        g_autofree char *client = open_client(bus, port, false);

        write_datagram(bus, client, "hello", 5);
        (void)sd_bus_message_unref(call(bus, client, CONNECTION, "Shutdown", ""));
        (void)sd_bus_message_unref(call(bus, client, CONNECTION, "Close", ""));
        (void)sd_bus_message_unref(call(bus, listener, LISTENER, "Close", ""));
}

static void test_stranger_hears_nothing(void) {
        Service *service;
        sd_bus *alice, *bob;
        Ear owner = {0}, stranger = {0};

        if (!service_has_users())
                return;

        service = service_start(NULL);
        alice = service_bus(service, UID_ALICE);
        bob = service_bus(service, UID_BOB);
        g_assert_cmpint(hear_everything(alice, &owner), >=, 0);
        g_assert_cmpint(hear_everything(bob, &stranger), >=, 0);

        a_whole_life(alice);
        hear_until_now(alice);
        hear_until_now(bob);
        g_assert_cmpuint(owner.n_heard, >, 0); /* or the test would hear nothing in any case */
        g_assert_cmpstr(stranger.last, ==, NULL);
        g_assert_cmpuint(stranger.n_heard, ==, 0);

        g_free(owner.last);
        (void)bus_leave(alice);
        (void)bus_leave(bob);
        service_stop(service);
}

/* The errors of each call on @path, as one text. */
static char *probe(sd_bus *bus, const char *path) {
        static const char *const calls[][3] = {
                {CONNECTION, "Shutdown", ""},
                {CONNECTION, "Close", ""},
                {LISTENER, "Close", ""},
                {"org.freedesktop.DBus.Properties", "GetAll", CONNECTION},
                {"org.freedesktop.DBus.Introspectable", "Introspect", ""},
                {"org.freedesktop.DBus.Peer", "Ping", ""},
        };
        GString *text = g_string_new(NULL);

        for (size_t i = 0; i < G_N_ELEMENTS(calls); i++) {
                sd_bus_error error = SD_BUS_ERROR_NULL;
                sd_bus_message *reply = NULL;
                int r;

                r = sd_bus_call_method(bus, NAME, path, calls[i][0], calls[i][1], &error, &reply,
                                       *calls[i][2] ? "s" : "", calls[i][2]);
                g_string_append_printf(text, "%s: %s\n", calls[i][1],
                                       r < 0 ? error.name : sd_bus_message_get_signature(reply, 1));
                sd_bus_error_free(&error);
                (void)sd_bus_message_unref(reply);
        }
        return g_string_free(text, FALSE);
}

static void test_foreign_path_is_like_a_missing_one(void) {
        static const char *const missing[] = {ROOT "/connection/4000000", ROOT "/listener/4000000",
                                              ROOT "/verifier/4000000"};
        Service *service;
        sd_bus *alice, *bob;
        uint16_t port;

        if (!service_has_users())
                return;

        service = service_start(NULL);
        alice = service_bus(service, UID_ALICE);
        bob = service_bus(service, UID_BOB);
        {
                g_autofree char *listener = listen_psk(alice, &port);
                g_autofree char *client = open_client(alice, port, true);
                g_autofree char *verifier = create_verifier(alice);
                const char *const foreign[] = {client, listener, verifier};

                for (size_t i = 0; i < G_N_ELEMENTS(foreign); i++) {
                        g_autofree char *of_foreign = probe(bob, foreign[i]);
                        g_autofree char *of_missing = probe(bob, missing[i]);

                        g_assert_cmpstr(of_foreign, ==, of_missing);
                        g_assert_nonnull(strstr(of_foreign, "UnknownObject"));
                }
                /* and it is there, for its owner */
                wait_string(alice, client, CONNECTION, "HandshakeState", "HandshakeComplete");
        }

        (void)bus_leave(alice);
        (void)bus_leave(bob);
        service_stop(service);
}

static bool text_reply_has(sd_bus *bus, const char *path, const char *what) {
        sd_bus_message *reply =
                call(bus, path, "org.freedesktop.DBus.Introspectable", "Introspect", "");
        const char *text;
        bool has;

        g_assert_cmpint(sd_bus_message_read(reply, "s", &text), >=, 0);
        has = strstr(text, what) != NULL;
        (void)sd_bus_message_unref(reply);
        return has;
}

static unsigned n_managed(sd_bus *bus) {
        sd_bus_message *reply =
                call(bus, ROOT, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", "");
        unsigned n = 0;
        const char *path;

        g_assert_cmpint(sd_bus_message_enter_container(reply, 'a', "{oa{sa{sv}}}"), >=, 0);
        while (sd_bus_message_enter_container(reply, 'e', "oa{sa{sv}}") > 0) {
                g_assert_cmpint(sd_bus_message_read(reply, "o", &path), >=, 0);
                if (strstr(path, "/connection/") || strstr(path, "/listener/") ||
                    strstr(path, "/verifier/"))
                        n++;
                g_assert_cmpint(sd_bus_message_skip(reply, "a{sa{sv}}"), >=, 0);
                g_assert_cmpint(sd_bus_message_exit_container(reply), >=, 0);
        }
        (void)sd_bus_message_unref(reply);
        return n;
}

static void test_lists_show_only_ones_own(void) {
        Service *service;
        sd_bus *alice, *bob, *root;
        uint16_t port;

        if (!service_has_users())
                return;

        service = service_start(NULL);
        alice = service_bus(service, UID_ALICE);
        bob = service_bus(service, UID_BOB);
        root = service_bus(service, 0);
        {
                g_autofree char *listener = listen_psk(alice, &port);
                g_autofree char *client = open_client(alice, port, true);
                g_autofree char *verifier = create_verifier(alice);
                g_autofree char *last = g_strdup_printf("\"%s\"", strrchr(client, '/') + 1);
                g_autofree char *only = g_strdup_printf("\"%s\"", strrchr(verifier, '/') + 1);

                g_assert_true(text_reply_has(alice, ROOT "/connection", last));
                g_assert_true(text_reply_has(root, ROOT "/connection", last));
                g_assert_false(text_reply_has(bob, ROOT "/connection", last));
                g_assert_true(text_reply_has(alice, ROOT "/verifier", only));
                g_assert_false(text_reply_has(bob, ROOT "/verifier", only));
                /* listener, its end, the client's end, verifier */
                g_assert_cmpuint(n_managed(alice), ==, 4);
                g_assert_cmpuint(n_managed(root), ==, 4);
                g_assert_cmpuint(n_managed(bob), ==, 0);
        }

        (void)bus_leave(alice);
        (void)bus_leave(bob);
        (void)bus_leave(root);
        service_stop(service);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/privacy/a-stranger-who-matches-every-signal-hears-nothing",
                        test_stranger_hears_nothing);
        g_test_add_func("/privacy/a-foreign-path-is-like-a-missing-one",
                        test_foreign_path_is_like_a_missing_one);
        g_test_add_func("/privacy/lists-show-only-ones-own", test_lists_show_only_ones_own);
        return g_test_run();
}
