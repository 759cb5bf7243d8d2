/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Bus link, see bus-link.h. */

#include "bus-link.h"

#include "base/fault.h"
#include "base/log.h"
#include "base/terms.h"

#include <systemd/sd-daemon.h>
#include <time.h>

#define BUS_DELAY_FIRST_USEC (1 * UINT64_C(1000000))
#define BUS_DELAY_MAX_USEC (30 * UINT64_C(1000000))
#define BUS_ANSWER_USEC G_USEC_PER_SEC
#define BUS_ADDRESS_USUAL "unix:path=/run/dbus/system_bus_socket"

struct BusLink {
        BusLinkSpec spec;
        sd_bus *connection;
        Bus *bus;
        sd_event_source *timer; /* the next attempt, while there is no bus */
        uint64_t delay_usec;
};

/* ---- once ---- */

static const char *bus_address(void) {
        const char *address = g_getenv("DBUS_SYSTEM_BUS_ADDRESS");

        return address && *address ? address : BUS_ADDRESS_USUAL;
}

/* A connection that is not ready has nothing to flush, and would be waited for. */
static void link_leave(BusLink *link) {
        bool is_ready = link->connection && sd_bus_is_ready(link->connection) > 0;

        link->bus = bus_free(link->bus);
        link->connection = is_ready ? sd_bus_flush_close_unref(link->connection)
                                    : sd_bus_close_unref(link->connection);
}

static void say_no_bus(int level, int r) {
        log_write(level, NULL, NULL,
                  "no bus at %s: %s; start the system's dbus, or name another bus in "
                  "DBUS_SYSTEM_BUS_ADDRESS",
                  bus_address(), g_strerror(-r));
}

static void say_no_name(int level, int r) {
        if (r < 0) {
                say_no_bus(level, r);
                return;
        }

        switch ((BusOutcome)r) {
        case BUS_E_NAME_TAKEN:
                log_write(level, NULL, NULL, "%s is taken on the bus at %s: dtlsd runs already",
                          DTLSD_BUS_NAME, bus_address());
                break;
        case BUS_E_NAME_REFUSED:
                log_write(level, NULL, NULL,
                          "the bus at %s does not let this user have the name %s: install "
                          "io.github.dtlsd.Dtlsd1.conf in the bus's system.d folder and reload the "
                          "bus, or run as the user it names (dtlsd)",
                          bus_address(), DTLSD_BUS_NAME);
                break;
        }
}

static int link_open(BusLink *link) {
        int r;

        r = sd_bus_new(&link->connection);
        if (r >= 0)
                r = sd_bus_set_address(link->connection, bus_address());
        if (r >= 0)
                r = sd_bus_set_bus_client(link->connection, true);
        if (r >= 0)
                r = sd_bus_set_connected_signal(link->connection, true);
        if (r >= 0)
                r = sd_bus_start(link->connection);
        return r;
}

static void on_lost(void *userdata);

static int on_reload(void *userdata, char **ret_text) {
        const BusLink *link = userdata;

        return link->spec.reload(link->spec.userdata, ret_text);
}

/* 0, or what was said at @level. Waits for the bus where the connection is not ready. */
static int link_enter(BusLink *link, int level) {
        const BusHost host = {.lost = on_lost, .reload = on_reload, .userdata = link};
        int r;

        r = bus_new(link->connection, link->spec.event, link->spec.relay, link->spec.keys,
                    link->spec.quota, link->spec.access, &host, &link->bus);
        if (r) {
                say_no_name(level, r);
                link_leave(link);
                return r;
        }

        link->delay_usec = 0;
        return 0;
}

/* ---- again ---- */

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata);

static void link_try_in(BusLink *link, uint64_t delay_usec) {
        int r;

        link->timer = sd_event_source_disable_unref(link->timer);
        r = sd_event_add_time(link->spec.event, &link->timer, CLOCK_MONOTONIC,
                              (uint64_t)g_get_monotonic_time() + delay_usec, 0, on_timer, link);
        if (r < 0)
                (void)sd_event_exit(link->spec.event, fault(r));
}

static void link_schedule(BusLink *link) {
        link->delay_usec = CLAMP(link->delay_usec * 2, BUS_DELAY_FIRST_USEC, BUS_DELAY_MAX_USEC);
        link_try_in(link, link->delay_usec);
}

static int on_connected(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        link_try_in(userdata, 0); /* not from inside the connection */
        return 0;
}

/* A bus that takes connections and does not answer must not hold up what is open; so sd-bus
 * connects by the loop, and an attempt has the time until the next. */
static void link_reach(BusLink *link) {
        int r;

        link_leave(link);
        r = link_open(link);
        if (r >= 0)
                r = sd_bus_match_signal(link->connection, NULL, NULL, "/org/freedesktop/DBus/Local",
                                        "org.freedesktop.DBus.Local", "Connected", on_connected,
                                        link);
        if (r >= 0)
                r = sd_bus_attach_event(link->connection, link->spec.event,
                                        SD_EVENT_PRIORITY_NORMAL);
        if (r < 0)
                say_no_bus(LOG_WARNING, r);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        BusLink *link = userdata;

        if (!link->connection || sd_bus_is_ready(link->connection) <= 0) {
                link_reach(link);
                link_schedule(link);
                return 0;
        }

        (void)sd_bus_detach_event(link->connection);
        /* what it asks of the bus now is waited for; it has just answered, and may stop again */
        (void)sd_bus_set_method_call_timeout(link->connection, BUS_ANSWER_USEC);
        if (link_enter(link, LOG_WARNING)) {
                link_schedule(link);
                return 0;
        }
        (void)sd_bus_set_method_call_timeout(link->connection, 0); /* as usual */

        log_notice("on the bus again");
        (void)sd_notify(false, "STATUS=Serving");
        return 0;
}

static void on_lost(void *userdata) {
        BusLink *link = userdata;

        log_warning("the bus is lost; open channels go on, and the bus is tried again");
        (void)sd_notify(false, "STATUS=Waiting for the bus");
        link_leave(link);
        link_schedule(link);
}

/* ---- the whole ---- */

int bus_link_new(const BusLinkSpec *spec, BusLink **ret) {
        g_autoptr(BusLink) link = g_new0(BusLink, 1);
        int r;

        link->spec = *spec;
        r = link_open(link);
        if (r < 0) {
                say_no_bus(LOG_ERR, r);
                return r;
        }

        r = link_enter(link, LOG_ERR);
        if (r == 0)
                *ret = g_steal_pointer(&link);
        return r;
}

void bus_link_reloaded(BusLink *link) {
        if (link && link->bus)
                bus_reloaded(link->bus);
}

BusLink *bus_link_free(BusLink *link) {
        if (!link)
                return NULL;

        link_leave(link);
        sd_event_source_disable_unref(link->timer);
        g_free(link);
        return NULL;
}
