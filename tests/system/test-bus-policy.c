/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Bus policy: what the shipped file makes a bus enforce: the service's user alone owns the name,
 * anybody may send to it, and nothing is said about anybody else.
 */

#include "service.h"

#include <string.h>
#include <unistd.h>

#define DRIVER "org.freedesktop.DBus"
#define DRIVER_PATH "/org/freedesktop/DBus"
#define ACCESS_DENIED "org.freedesktop.DBus.Error.AccessDenied"
#define UID_SERVICE ((uid_t)65534) /* nobody, whose name service.c puts into the policy */

static const uid_t others[] = {0, UID_ALICE, UID_BOB};

static int request_name(sd_bus *bus, sd_bus_error *error) {
        return sd_bus_call_method(bus, DRIVER, DRIVER_PATH, DRIVER, "RequestName", error, NULL,
                                  "su", NAME, 0);
}

static void test_one_user_owns_the_name(void) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        Service *service;
        sd_bus *bus;

        if (!service_has_users())
                return;

        service = service_start(NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(others); i++) {
                bus = service_bus(service, others[i]);
                g_assert_cmpint(request_name(bus, &error), <, 0);
                g_assert_cmpstr(error.name, ==, ACCESS_DENIED);
                sd_bus_error_free(&error);
                (void)bus_leave(bus);
        }

        bus = service_bus(service, UID_SERVICE);
        g_assert_cmpint(request_name(bus, &error), >=, 0); /* it is in the queue now */
        (void)bus_leave(bus);
        service_stop(service);
}

static void test_anybody_may_send(void) {
        Service *service;

        if (!service_has_users())
                return;

        service = service_start(NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(others); i++) {
                sd_bus *bus = service_bus(service, others[i]);
                g_autofree char *version = get_string(bus, ROOT, MANAGER, "Version");

                g_assert_cmpstr(version, !=, "");
                (void)bus_leave(bus);
        }
        service_stop(service);
}

static void test_nothing_else_may_be_sent_for_that(void) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        Service *service;
        sd_bus *alice, *bob;
        const char *name;

        if (!service_has_users())
                return;

        service = service_start(NULL);
        alice = service_bus(service, UID_ALICE);
        bob = service_bus(service, UID_BOB);
        g_assert_cmpint(sd_bus_get_unique_name(bob, &name), >=, 0);
        g_assert_cmpint(sd_bus_call_method(alice, name, ROOT, MANAGER, "ListConnections", &error,
                                           NULL, "tua{sv}", UINT64_C(0), 0, 0),
                        <, 0);
        g_assert_cmpstr(error.name, ==, ACCESS_DENIED);
        sd_bus_error_free(&error);
        (void)bus_leave(alice);
        (void)bus_leave(bob);
        service_stop(service);
}

/* ---- the file ---- */

static void on_element(GMarkupParseContext *context, const char *element, const char **names,
                       const char **values, void *userdata, GError **error) {
        unsigned *n_rules = userdata;

        if (!g_str_equal(element, "allow") && !g_str_equal(element, "deny"))
                return;

        (*n_rules)++;
        g_assert_cmpstr(element, ==, "allow"); /* what is denied is denied by the bus already */
        g_assert_true(g_str_equal(names[0], "own") || g_str_equal(names[0], "send_destination"));
        g_assert_cmpstr(values[0], ==, NAME);
        g_assert_null(names[1]);
}

/* A rule without would open, or close, every service of the bus. */
static void test_every_rule_names_the_service(void) {
        static const GMarkupParser parser = {.start_element = on_element};
        unsigned n_rules = 0;
        g_autoptr(GMarkupParseContext) context =
                g_markup_parse_context_new(&parser, 0, &n_rules, NULL);
        g_autofree char *path =
                g_build_filename(g_getenv("DTLSD_POLICY_DIRECTORY"), NAME ".conf", NULL);
        g_autofree char *contents = NULL;

        g_assert_true(g_file_get_contents(path, &contents, NULL, NULL));
        g_assert_true(g_markup_parse_context_parse(context, contents, -1, NULL));
        g_assert_cmpuint(n_rules, ==, 2);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/bus-policy/one-user-owns-the-name", test_one_user_owns_the_name);
        g_test_add_func("/bus-policy/anybody-may-send", test_anybody_may_send);
        g_test_add_func("/bus-policy/nothing-else-may-be-sent-for-that",
                        test_nothing_else_may_be_sent_for_that);
        g_test_add_func("/bus-policy/every-rule-names-the-service",
                        test_every_rule_names_the_service);
        return g_test_run();
}
