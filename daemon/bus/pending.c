/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pending: calls whose answer comes with a later event: Connect, when the handshake is over,
 * ReadDatagram, when something arrives, and Listener.Close, when all its connections have ended.
 *
 * A call's message holds the fds that came with it, asked for or not, and its secrets. So the
 * message is not kept: what is kept is a stub of it that knows whom to answer and nothing else.
 */

#include "base/cleanup.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/terms.h"
#include "bus/private.h"

#include <errno.h>
#include <string.h>

#define PENDING_READS_MAX 16 /* of one connection */

typedef struct Wait {
        Pending *pending;
        uint32_t id;
        sd_bus_message *call; /* the stub */
        bool is_connect;
        sd_event_source *timer; /* NULL: relay has the deadline */
} Wait;

struct Pending {
        Bus *bus;
        GHashTable *waits;   /* by connection id: GPtrArray of Wait, in the order they came */
        GHashTable *closes;  /* by listener id: the stub */
        GHashTable *touched; /* ids of connections with waits, to look at when the turn ends */
};

/* ---- stubs ---- */

static int stub_new(sd_bus_message *m, sd_bus_message **ret) {
        sd_bus_message *stub = NULL;
        uint64_t cookie;
        int r;

        r = sd_bus_message_get_cookie(m, &cookie);
        if (r >= 0)
                r = sd_bus_message_new_method_call(
                        sd_bus_message_get_bus(m), &stub, NULL, sd_bus_message_get_path(m),
                        sd_bus_message_get_interface(m), sd_bus_message_get_member(m));
        if (r >= 0)
                r = sd_bus_message_set_sender(stub, sd_bus_message_get_sender(m));
        if (r >= 0)
                r = sd_bus_message_set_expect_reply(stub, sd_bus_message_get_expect_reply(m));
        if (r >= 0)
                r = sd_bus_message_seal(stub, cookie, 0);
        if (r < 0) {
                (void)sd_bus_message_unref(stub);
                return fault(r);
        }

        *ret = stub;
        return 0;
}

/* ---- waits ---- */

static void wait_free(gpointer data) {
        Wait *wait = data;

        (void)sd_event_source_disable_unref(wait->timer);
        (void)sd_bus_message_unref(wait->call);
        g_free(wait);
}

static GPtrArray *pending_waits(const Pending *pending, uint32_t id) {
        return g_hash_table_lookup(pending->waits, GUINT_TO_POINTER(id));
}

static int pending_add(Bus *bus, sd_bus_message *m, uint32_t id, bool is_connect, Wait **ret) {
        Pending *pending = bus->pending;
        GPtrArray *waits = pending_waits(pending, id);
        sd_bus_message *stub = NULL;
        Wait *wait;
        int r;

        r = stub_new(m, &stub);
        if (r < 0)
                return r;

        if (!waits) {
                waits = g_ptr_array_new_with_free_func(wait_free);
                g_hash_table_insert(pending->waits, GUINT_TO_POINTER(id), waits);
        }

        wait = g_new0(Wait, 1);
        wait->pending = pending;
        wait->id = id;
        wait->call = stub;
        wait->is_connect = is_connect;
        g_ptr_array_add(waits, wait);

        /* what it waits for may be there already */
        pending_connection_event(bus, id);
        *ret = wait;
        return 0;
}

/* Frees @wait. */
static void wait_over(Wait *wait) {
        Pending *pending = wait->pending;
        uint32_t id = wait->id;
        GPtrArray *waits = pending_waits(pending, id);

        (void)g_ptr_array_remove(waits, wait);
        if (waits->len == 0)
                (void)g_hash_table_remove(pending->waits, GUINT_TO_POINTER(id));
}

static void wait_refuse(Wait *wait, sd_bus_error *error) {
        (void)sd_bus_reply_method_error(wait->call, error); /* a caller that left hears nothing */
        sd_bus_error_free(error);
        wait_over(wait);
}

/* ---- Connect ---- */

static void connect_refuse(Wait *wait, Connection *connection, sd_bus_error *error) {
        wait_refuse(wait, error);
        if (connection)
                connection_close(connection, END_FAILED);
}

static void connect_complete(Wait *wait, Connection *connection) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        char path[BUS_PATH_MAX];
        g_autofd int channel_fd = -1;
        uint32_t data_mtu;
        Reason reason = {};
        int r;

        r = connection_open_channel(connection, &channel_fd, &data_mtu, &reason);
        if (r) {
                (void)bus_refuse(&error, r, &reason);
                connect_refuse(wait, connection, &error);
                return;
        }

        r = sd_bus_reply_method_return(wait->call, "ohu", connection_path(wait->id, path),
                                       channel_fd, data_mtu);
        if (r < 0) {
                log_warning("Connect could not be answered: %s", g_strerror(-r));
                connection_close(connection, END_FAILED);
        }

        wait_over(wait);
}

static char *connect_errors_text(const ConnectionFacts *facts) {
        GString *text = g_string_new("The peer's certificate is not accepted: ");

        for (guint i = 0; i < facts->verification_errors->len; i++)
                g_string_append_printf(
                        text, "%s%s", i > 0 ? ", " : "",
                        verdict_code_name(
                                g_array_index(facts->verification_errors, VerdictError, i).code));

        return g_string_free(text, FALSE);
}

static void connect_failed(Wait *wait, Connection *connection, const ConnectionFacts *facts) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        g_autofree char *text = NULL;

        if (facts->verification_errors->len > 0) {
                text = connect_errors_text(facts);
                (void)bus_refuse_dtls(&error, DTLS_PEER_VERIFICATION_ERROR, text);
        } else if (facts->timed_out) {
                (void)bus_refuse_text(&error, BUS_E_TIMED_OUT, "%s", facts->error_text);
        } else if (facts->error != DTLS_NO_ERROR) {
                (void)bus_refuse_dtls(&error, facts->error, facts->error_text);
        } else {
                (void)bus_refuse_text(&error, BUS_E_INVALID_OPERATION, "The handshake was aborted");
        }

        connect_refuse(wait, connection, &error);
}

static void connect_settle(Wait *wait, Connection *connection) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        ConnectionFacts facts;

        if (!connection) {
                (void)bus_refuse_text(&error, BUS_E_CLOSED,
                                      "The connection ended before its handshake was complete");
                connect_refuse(wait, NULL, &error);
                return;
        }

        facts = connection_facts(connection);
        switch (facts.state) {
        case HANDSHAKE_IN_PROGRESS:
                break;
        case HANDSHAKE_COMPLETE:
                connect_complete(wait, connection);
                break;
        case HANDSHAKE_NOT_STARTED:
        case HANDSHAKE_PEER_VERIFICATION_FAILED:
        case N_HANDSHAKE_STATES:
                connect_failed(wait, connection, &facts);
                break;
        }
}

void pending_connect(Bus *bus, sd_bus_message *m, uint32_t id) {
        Connection *connection = relay_find_connection(bus->relay, id);
        sd_bus_error error = SD_BUS_ERROR_NULL;
        Wait *wait;
        int r;

        r = pending_add(bus, m, id, /* is_connect= */ true, &wait);
        if (r >= 0)
                return;

        (void)bus_refuse(&error, r, NULL);
        (void)sd_bus_reply_method_error(m, &error);
        sd_bus_error_free(&error);
        if (connection)
                connection_close(connection, END_FAILED);
}

/* ---- ReadDatagram ---- */

static void read_answer(Wait *wait, GBytes *datagram) {
        sd_bus_message *reply = NULL;
        gsize size;
        const void *data = g_bytes_get_data(datagram, &size);
        int r;

        r = sd_bus_message_new_method_return(wait->call, &reply);
        if (r >= 0)
                r = sd_bus_message_sensitive(reply);
        if (r >= 0)
                r = sd_bus_message_append_array(reply, 'y', data, size);
        if (r >= 0)
                r = sd_bus_send(NULL, reply, NULL);
        if (r < 0)
                log_warning("ReadDatagram could not be answered: %s", g_strerror(-r));

        (void)sd_bus_message_unref(reply);
        wait_over(wait);
}

/* Why nothing more will come. */
static void read_refuse(Wait *wait, const Connection *connection) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        ConnectionFacts facts;

        if (!connection) {
                (void)bus_refuse_text(&error, BUS_E_CLOSED,
                                      "The connection ended and nothing more will arrive");
                wait_refuse(wait, &error);
                return;
        }

        facts = connection_facts(connection);
        if (facts.error != DTLS_NO_ERROR)
                (void)bus_refuse_dtls(&error, facts.error, facts.error_text);
        else
                (void)bus_refuse_text(&error, BUS_E_INVALID_OPERATION,
                                      "The connection was shut down and nothing more will arrive");
        wait_refuse(wait, &error);
}

/* RELAY_E_CLOSED: nothing will. Then nobody has called just now, and the object's error stays that
 * of its end. */
static int read_take(Connection *connection, GBytes **ret, Reason *reason) {
        if (!connection)
                return RELAY_E_CLOSED;
        if (connection_facts(connection).encrypted)
                return connection_read(connection, ret, reason);

        *ret = connection_take_oldest(connection);
        return *ret ? 0 : RELAY_E_CLOSED;
}

/* Returns whether it waits on. */
static bool read_settle(Wait *wait, Connection *connection) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        g_autoptr(GBytes) datagram = NULL;
        Reason reason = {};
        int r;

        r = read_take(connection, &datagram, &reason);
        if (r == RELAY_E_NOTHING)
                return true;

        if (r == 0) {
                read_answer(wait, datagram);
        } else if (r == RELAY_E_CLOSED) {
                read_refuse(wait, connection);
        } else {
                (void)bus_refuse(&error, r, &reason);
                wait_refuse(wait, &error);
        }
        return false;
}

static int on_read_timeout(sd_event_source *source, uint64_t usec, void *userdata) {
        sd_bus_error error = SD_BUS_ERROR_NULL;

        (void)bus_refuse_text(&error, BUS_E_TIMED_OUT, "Nothing arrived in the time given");
        wait_refuse(userdata, &error);
        return 0;
}

int pending_read(Bus *bus, sd_bus_message *m, uint32_t id, uint64_t timeout_usec,
                 sd_bus_error *error) {
        const GPtrArray *waits = pending_waits(bus->pending, id);
        Wait *wait;
        int r;

        if (waits && waits->len >= PENDING_READS_MAX)
                return bus_refuse_text(error, BUS_E_QUOTA,
                                       "%d ReadDatagram calls wait on this connection already",
                                       PENDING_READS_MAX);

        r = pending_add(bus, m, id, /* is_connect= */ false, &wait);
        if (r < 0)
                return bus_refuse(error, r, NULL);

        relay_stir(bus->relay);
        r = sd_event_add_time(bus->event, &wait->timer, CLOCK_MONOTONIC,
                              (uint64_t)g_get_monotonic_time() + timeout_usec, 0, on_read_timeout,
                              wait);
        if (r < 0) {
                wait_over(wait);
                return bus_refuse(error, fault(r), NULL);
        }

        return 1;
}

/* ---- Close ---- */

int pending_close(Bus *bus, sd_bus_message *m, uint32_t listener, sd_bus_error *error) {
        sd_bus_message *stub = NULL;
        int r;

        r = stub_new(m, &stub);
        if (r < 0)
                return bus_refuse(error, r, NULL);

        g_hash_table_insert(bus->pending->closes, GUINT_TO_POINTER(listener), stub);
        callers_hold(bus, sd_bus_message_get_sender(m), true);
        return 1;
}

void pending_listener_removed(Bus *bus, uint32_t listener) {
        gpointer stub;

        if (!bus->pending || !g_hash_table_steal_extended(bus->pending->closes,
                                                          GUINT_TO_POINTER(listener), NULL, &stub))
                return;

        (void)sd_bus_reply_method_return(stub, NULL);
        relay_stir(bus->relay);
        callers_hold(bus, sd_bus_message_get_sender(stub), false);
        (void)sd_bus_message_unref(stub);
}

static gboolean close_is_of(gpointer id, gpointer stub, gpointer name) {
        return g_strcmp0(sd_bus_message_get_sender(stub), name) == 0;
}

/* ---- events ---- */

void pending_connection_event(Bus *bus, uint32_t id) {
        if (!bus->pending || !pending_waits(bus->pending, id))
                return;

        g_hash_table_add(bus->pending->touched, GUINT_TO_POINTER(id));
        bus_turn(bus);
}

static void pending_settle_one(Pending *pending, uint32_t id) {
        Connection *connection = relay_find_connection(pending->bus->relay, id);
        GPtrArray *waits;

        /* each round answers the first one; the array goes with its last */
        for (;;) {
                Wait *wait;

                waits = pending_waits(pending, id);
                if (!waits)
                        return;

                wait = g_ptr_array_index(waits, 0);
                if (wait->is_connect) {
                        connect_settle(wait, connection);
                        return;
                }
                if (read_settle(wait, connection))
                        return;
        }
}

void pending_settle(Bus *bus) {
        Pending *pending = bus->pending;
        g_autoptr(GList) ids = NULL;

        if (g_hash_table_size(pending->touched) == 0)
                return;

        ids = g_hash_table_get_keys(pending->touched);
        g_hash_table_remove_all(pending->touched);
        for (GList *l = ids; l; l = l->next)
                pending_settle_one(pending, GPOINTER_TO_UINT(l->data));
}

/* Of Connect's own object relay has made an end already, as of all that its caller owned. */
static void waits_caller_gone(GPtrArray *waits, const char *name) {
        for (guint i = waits->len; i > 0; i--) {
                const Wait *wait = g_ptr_array_index(waits, i - 1);

                if (g_strcmp0(sd_bus_message_get_sender(wait->call), name) == 0)
                        (void)g_ptr_array_remove_index(waits, i - 1);
        }
}

void pending_caller_gone(Bus *bus, const char *name) {
        GHashTableIter iter;
        gpointer value;

        (void)g_hash_table_foreach_remove(bus->pending->closes, close_is_of, (gpointer)name);
        g_hash_table_iter_init(&iter, bus->pending->waits);
        while (g_hash_table_iter_next(&iter, NULL, &value)) {
                GPtrArray *waits = value;

                waits_caller_gone(waits, name);
                if (waits->len == 0)
                        g_hash_table_iter_remove(&iter);
        }
}

static void stub_free(gpointer stub) {
        (void)sd_bus_message_unref(stub);
}

static void waits_free(gpointer waits) {
        (void)g_ptr_array_unref(waits);
}

int pending_new(Bus *bus, Pending **ret) {
        Pending *pending;

        pending = g_new0(Pending, 1);
        pending->bus = bus;
        pending->waits = g_hash_table_new_full(NULL, NULL, NULL, waits_free);
        pending->closes = g_hash_table_new_full(NULL, NULL, NULL, stub_free);
        pending->touched = g_hash_table_new(NULL, NULL);
        *ret = pending;
        return 0;
}

Pending *pending_free(Pending *pending) {
        if (!pending)
                return NULL;

        g_hash_table_unref(pending->waits);
        g_hash_table_unref(pending->closes);
        g_hash_table_unref(pending->touched);
        g_free(pending);
        return NULL;
}
