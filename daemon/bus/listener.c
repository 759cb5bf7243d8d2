/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * listener: the interface Listener. The vtable at the end is the summary.
 */

#include "base/cleanup.h"
#include "base/terms.h"
#include "bus/private.h"

/* ---- methods ---- */

static int method_open_accept_queue(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Listener *listener = userdata;
        g_autofd int queue_fd = -1;
        Reason reason;
        int r;

        r = bus_may_call(m, listener_facts(listener).spec, error);
        if (r < 0)
                return r;

        r = listener_open_accept_queue(listener, &queue_fd, &reason);
        if (r)
                return bus_refuse(error, r, &reason);

        return sd_bus_reply_method_return(m, "h", queue_fd);
}

static int method_set_configuration(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Listener *listener = userdata;
        g_autoptr(Spec) spec = NULL;
        Bus *bus = message_bus(m);
        Reason reason;
        int r;

        r = bus_may_call(m, listener_facts(listener).spec, error);
        if (r < 0)
                return r;

        spec = options_start_from(listener_facts(listener).spec);
        r = options_read(bus, m, OPTIONS_FOR_SET_LISTENER_CONFIGURATION, spec, error);
        if (r <= 0)
                return r < 0 ? r : 1;

        r = options_ask(bus, m, OPTIONS_FOR_SET_LISTENER_CONFIGURATION, spec, error);
        if (r <= 0)
                return r < 0 ? r : 1;

        r = listener_set_spec(listener, g_steal_pointer(&spec), &reason);
        return r ? bus_refuse(error, r, &reason) : sd_bus_reply_method_return(m, NULL);
}

static int method_set_cookie_generator_parameters(sd_bus_message *m, void *userdata,
                                                  sd_bus_error *error) {
        Listener *listener = userdata;
        CookieParameters parameters;
        Reason reason;
        int r;

        r = bus_may_call(m, listener_facts(listener).spec, error);
        if (r < 0)
                return r;

        r = cookie_parameters_read(m, &parameters, error);
        if (r < 0)
                return r;

        r = listener_set_cookie_parameters(listener, &parameters, &reason);
        return r ? bus_refuse(error, r, &reason) : sd_bus_reply_method_return(m, NULL);
}

static int method_get_cookie_generator_parameters(sd_bus_message *m, void *userdata,
                                                  sd_bus_error *error) {
        int r;

        r = bus_may_call(m, listener_facts(userdata).spec, error);
        return r < 0 ? r : cookie_parameters_reply(m, listener_cookie_parameters(userdata));
}

static int method_close(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Listener *listener = userdata;
        Bus *bus = message_bus(m);
        uint32_t id;
        int r;

        r = bus_may_close(m, listener_facts(listener).spec, error);
        if (r < 0)
                return r;

        id = listener_facts(listener).id;
        return listener_close(listener) ? sd_bus_reply_method_return(m, NULL)
                                        : pending_close(bus, m, id, error);
}

/* ---- facts ---- */

static int get_local_address(sd_bus *b, const char *path, const char *interface,
                             const char *property, sd_bus_message *reply, void *userdata,
                             sd_bus_error *error) {
        ListenerFacts facts = listener_facts(userdata);

        return append_address(reply, &facts.local);
}

static int get_local_port(sd_bus *b, const char *path, const char *interface, const char *property,
                          sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        ListenerFacts facts = listener_facts(userdata);

        return sd_bus_message_append(reply, "q", address_port(&facts.local));
}

static int get_owner(sd_bus *b, const char *path, const char *interface, const char *property,
                     sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        return append_owner(reply, listener_facts(userdata).spec);
}

static int get_configuration(sd_bus *b, const char *path, const char *interface,
                             const char *property, sd_bus_message *reply, void *userdata,
                             sd_bus_error *error) {
        return options_append(reply, listener_facts(userdata).spec);
}

static int get_backlog(sd_bus *b, const char *path, const char *interface, const char *property,
                       sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        return sd_bus_message_append(reply, "u", listener_facts(userdata).backlog);
}

static int get_statistics(sd_bus *b, const char *path, const char *interface, const char *property,
                          sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Counters counters = listener_counters(userdata);
        int r;

        r = sd_bus_message_open_container(reply, 'a', "{st}");
        if (r >= 0)
                r = append_counters(reply, &counters);
        if (r >= 0)
                r = sd_bus_message_append(reply, "{st}", "Connections",
                                          (uint64_t)listener_facts(userdata).n_connections);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

/* ---- the interface ---- */

/* clang-format off */
const sd_bus_vtable listener_vtable[] = {
        SD_BUS_VTABLE_START(0),

        SD_BUS_METHOD_WITH_ARGS("OpenAcceptQueue", SD_BUS_NO_ARGS, SD_BUS_RESULT("h", queue),
                                method_open_accept_queue, OPEN),
        SD_BUS_METHOD_WITH_ARGS("SetConfiguration", SD_BUS_ARGS("a{sv}", options),
                                SD_BUS_NO_RESULT, method_set_configuration, SECRET),
        SD_BUS_METHOD_WITH_ARGS("SetCookieGeneratorParameters",
                                SD_BUS_ARGS("s", hash, "ay", secret), SD_BUS_NO_RESULT,
                                method_set_cookie_generator_parameters, SECRET),
        SD_BUS_METHOD_WITH_ARGS("GetCookieGeneratorParameters", SD_BUS_NO_ARGS,
                                SD_BUS_RESULT("s", hash, "ay", secret),
                                method_get_cookie_generator_parameters, SECRET),
        SD_BUS_METHOD_WITH_ARGS("Close", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, method_close, OPEN),

        SD_BUS_SIGNAL_WITH_ARGS("NewConnection",
                                SD_BUS_ARGS("o", connection, "s", address, "q", port), 0),

        SD_BUS_PROPERTY("LocalAddress", "s", get_local_address, 0, CONST),
        SD_BUS_PROPERTY("LocalPort", "q", get_local_port, 0, CONST),
        SD_BUS_PROPERTY("Owner", "(us)", get_owner, 0, CONST),
        SD_BUS_PROPERTY("Configuration", "a{sv}", get_configuration, 0, LONG),
        SD_BUS_PROPERTY("Backlog", "u", get_backlog, 0, CHANGES),
        SD_BUS_PROPERTY("Statistics", "a{st}", get_statistics, 0, EXPLICIT),

        SD_BUS_VTABLE_END,
};
/* clang-format on */
