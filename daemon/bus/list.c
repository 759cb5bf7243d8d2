/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * list: ListConnections of the Manager: pages of the connections that the caller may see and wants.
 */

#include "base/terms.h"
#include "bus/private.h"

#include <stddef.h>
#include <string.h>

typedef struct ListFilter {
        const Caller *caller;
        const char *state;    /* NULL: any */
        const char *listener; /* NULL: any */
        int mine;
} ListFilter;

static int list_read_state(sd_bus_message *m, const DictKey *key, void *userdata,
                           sd_bus_error *error) {
        ListFilter *filter = userdata;
        int r;

        r = sd_bus_message_read_basic(m, 's', &filter->state);
        if (r < 0)
                return bus_refuse(error, r, NULL);

        for (HandshakeState state = 0; state < N_HANDSHAKE_STATES; state++)
                if (strcmp(handshake_state_name(state), filter->state) == 0)
                        return 1;

        return dict_refuse(error, key, filter->state,
                           "'HandshakeNotStarted', 'HandshakeInProgress', "
                           "'PeerVerificationFailed' or 'HandshakeComplete'");
}

static const DictKey list_keys[] = {
        {"HandshakeState", "s", 1, list_read_state, 0, 0, 0},
        {"Listener", "o", 1, dict_read_basic, offsetof(ListFilter, listener), 0, 0},
        {"Mine", "b", 1, dict_read_basic, offsetof(ListFilter, mine), 0, 0},
};
static const Dict list_dict = {list_keys, G_N_ELEMENTS(list_keys), 1, "ListConnections"};

static const char *list_listener_path(const ConnectionFacts *facts,
                                      char buffer[static BUS_PATH_MAX]) {
        return facts->listener ? listener_path(listener_facts(facts->listener).id, buffer) : "/";
}

static bool list_passes(const ListFilter *filter, const ConnectionFacts *facts) {
        const Spec *spec = facts->spec;
        char buffer[BUS_PATH_MAX];

        if (filter->state && strcmp(filter->state, handshake_state_name(facts->state)) != 0)
                return false;
        if (filter->listener && strcmp(filter->listener, list_listener_path(facts, buffer)) != 0)
                return false;
        if (!filter->mine)
                return true;

        return spec->uid == filter->caller->uid &&
               (spec->persistent || g_strcmp0(spec->owner, filter->caller->name) == 0);
}

static int list_append_address(sd_bus_message *reply, const char *address_key, const char *port_key,
                               const Address *address) {
        int r;

        r = entry_open(reply, address_key, "s");
        if (r >= 0)
                r = append_address(reply, address);
        if (r >= 0)
                r = entry_close(reply);
        if (r >= 0)
                r = sd_bus_message_append(reply, "{sv}", port_key, "q", address_port(address));
        return r;
}

static int list_append_owner(sd_bus_message *reply, const Spec *spec) {
        int r;

        r = entry_open(reply, "Owner", "(us)");
        if (r >= 0)
                r = append_owner(reply, spec);
        return r < 0 ? r : entry_close(reply);
}

static int list_append_facts(sd_bus_message *reply, const ConnectionFacts *facts) {
        char buffer[BUS_PATH_MAX];
        int r;

        r = sd_bus_message_open_container(reply, 'a', "{sv}");
        if (r >= 0)
                r = append_entry_text(reply, "Mode", dtls_role_name(facts->spec->role));
        if (r >= 0)
                r = append_entry_text(reply, "HandshakeState", handshake_state_name(facts->state));
        if (r >= 0)
                r = list_append_address(reply, "PeerAddress", "PeerPort", &facts->peer);
        if (r >= 0)
                r = list_append_address(reply, "LocalAddress", "LocalPort", &facts->local);
        if (r >= 0)
                r = list_append_owner(reply, facts->spec);
        if (r >= 0)
                r = sd_bus_message_append(reply, "{sv}", "Listener", "o",
                                          list_listener_path(facts, buffer));
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int list_append_connection(sd_bus_message *reply, const ConnectionFacts *facts) {
        char path[BUS_PATH_MAX];
        int r;

        r = sd_bus_message_open_container(reply, 'r', "oa{sv}");
        if (r >= 0)
                r = sd_bus_message_append(reply, "o", connection_path(facts->id, path));
        if (r >= 0)
                r = list_append_facts(reply, facts);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

/* Appends what the caller may see and wants of @ids, at most *room. */
static int list_append_some(Bus *bus, sd_bus_message *reply, const ListFilter *filter,
                            const GArray *ids, uint32_t *room) {
        int r;

        for (guint i = 0; *room > 0 && i < ids->len; i++) {
                Connection *connection =
                        relay_find_connection(bus->relay, g_array_index(ids, uint32_t, i));
                ConnectionFacts facts;

                if (!connection)
                        continue;

                facts = connection_facts(connection);
                if (!bus_may_see(bus, filter->caller, facts.spec) || !list_passes(filter, &facts))
                        continue;

                r = list_append_connection(reply, &facts);
                if (r < 0)
                        return r;

                (*room)--;
        }

        return 0;
}

static int list_append_all(Bus *bus, sd_bus_message *reply, const ListFilter *filter,
                           uint64_t after, uint32_t max) {
        int r;

        r = sd_bus_message_open_container(reply, 'a', "(oa{sv})");
        while (r >= 0 && max > 0 && after < UINT32_MAX) {
                g_autoptr(GArray) ids =
                        relay_list_connections(bus->relay, (uint32_t)after, LIST_PAGE_MAX);

                if (ids->len == 0)
                        break;

                r = list_append_some(bus, reply, filter, ids, &max);
                after = g_array_index(ids, uint32_t, ids->len - 1);
        }

        return r < 0 ? r : sd_bus_message_close_container(reply);
}

int method_list_connections(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Bus *bus = message_bus(m);
        ListFilter filter = {.caller = caller_of(bus, m)};
        g_autoptr(sd_bus_message) reply = NULL;
        uint64_t after;
        uint32_t max;
        int r;

        r = sd_bus_message_read(m, "tu", &after, &max);
        if (r < 0)
                return bus_refuse(error, r, NULL);
        if (max == 0)
                return bus_refuse_text(error, BUS_E_INVALID_PARAMETERS,
                                       "max is 0; it has to be 1 to %d", LIST_PAGE_MAX);

        r = dict_read(m, &list_dict, &filter, error);
        if (r < 0)
                return r;

        r = sd_bus_message_new_method_return(m, &reply);
        if (r >= 0)
                r = list_append_all(bus, reply, &filter, after, MIN(max, LIST_PAGE_MAX));
        return r < 0 ? r : sd_bus_message_send(reply);
}
