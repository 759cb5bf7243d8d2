/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * dtlsctl policy check: what the rules would say, and which of them. Users and their groups are
 * looked up here; the daemon is told numbers.
 */

#include "dtlsctl.h"

#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int append_place(sd_bus_message *m, const char *address, uint16_t port) {
        int r;

        r = sd_bus_message_append(m, "{sv}", "Address", "s", address);
        return r < 0 ? r : sd_bus_message_append(m, "{sv}", "Port", "q", port);
}

static int append_gids(sd_bus_message *m, const gid_t *gids, size_t n) {
        int r;

        r = sd_bus_message_open_container(m, 'e', "sv");
        if (r >= 0)
                r = sd_bus_message_append(m, "s", "Gids");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'v', "au");
        if (r >= 0)
                r = sd_bus_message_append_array(m, 'u', gids, n * sizeof *gids);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int append_user(sd_bus_message *m, const struct passwd *user) {
        g_autofree gid_t *gids = NULL;
        int n = 0, r;

        while (getgrouplist(user->pw_name, user->pw_gid, gids, &n) < 0) /* says how many */
                gids = g_renew(gid_t, gids, (size_t)n);

        r = sd_bus_message_append(m, "{sv}", "Uid", "u", (uint32_t)user->pw_uid);
        return r < 0 ? r : append_gids(m, gids, (size_t)n);
}

/* What comes after the verb, and who is meant. @port: where there is an address. */
static int append_details(sd_bus_message *m, char **arguments, uint16_t port,
                          const struct passwd *user) {
        int r;

        r = sd_bus_message_open_container(m, 'a', "{sv}");
        if (r >= 0 && arguments[0] && arguments[1])
                r = append_place(m, arguments[0], port);
        else if (r >= 0 && arguments[0])
                r = sd_bus_message_append(m, "{sv}", "Entry", "s", arguments[0]);
        if (r >= 0 && user)
                r = append_user(m, user);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int print_answer(sd_bus_message *reply) {
        g_autofree char *escaped = NULL;
        const char *verdict, *rule;
        int r;

        r = sd_bus_message_read(reply, "ss", &verdict, &rule);
        if (r < 0)
                return r;

        escaped = text_escape(rule, strlen(rule));
        (void)printf("%s: %s\n", verdict, escaped);
        return 0;
}

static int check(sd_bus *bus, char **arguments, uint16_t port, const struct passwd *user) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *m = NULL, *reply = NULL;
        int r;

        r = sd_bus_message_new_method_call(bus, &m, NAME, ROOT, NAME ".Manager", "CheckAccess");
        if (r >= 0)
                r = sd_bus_message_append(m, "s", arguments[0]);
        if (r >= 0)
                r = append_details(m, arguments + 1, port, user);
        if (r >= 0)
                r = sd_bus_call(bus, m, 0, &error, &reply);
        if (r >= 0)
                r = print_answer(reply);

        if (r < 0)
                (void)complain(arguments[0], r, &error);
        (void)sd_bus_message_unref(reply);
        (void)sd_bus_message_unref(m);
        sd_bus_error_free(&error);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int command_policy(sd_bus *bus, Settings *settings, char **arguments) {
        const struct passwd *user = NULL;
        uint16_t port = 0;

        if (!g_str_equal(arguments[0], "check"))
                return say_usage("there is no command 'policy %s'; there is 'policy check'",
                                 arguments[0]);
        if (arguments[2] && arguments[3] && !port_parse(arguments[3], 0, &port))
                return EXIT_USAGE;

        if (settings->user) {
                user = getpwnam(settings->user);
                if (!user) {
                        say("there is no user '%s'", settings->user);
                        return EXIT_FAILURE;
                }
        }

        return check(bus, arguments + 1, port, user);
}
