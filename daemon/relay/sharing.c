/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sharing: channels of those a connection is shared with. Each sees every datagram that comes while
 * it is open, whatever the owner and the others do; what it does not read in time is its own loss.
 * Each is its opener's: it goes with that bus name, with the rights it was opened by, and with the
 * association.
 *
 * Knows: who has a channel, and by which rights. Does not know: how they were shared.
 */

#include "base/fault.h"
#include "relay/commands.h"

#include <string.h>

#define SHARING_CHANNELS_MAX 16 /* each datagram goes to each */
#define SHARING_CHANNELS_PER_USER_MAX 4

static AccessSubject sharing_subject(const Outlet *outlet) {
        return (AccessSubject){
                .uid = outlet->charges.uid,
                .gids = outlet->gids,
                .n_gids = outlet->n_gids,
        };
}

/* ---- datagrams ---- */

/* From the last to the first: one that is dropped changes nothing before it. */
void sharing_deliver(Connection *connection, const DatagramBatch *app) {
        for (guint i = connection->others->len; i > 0; i--) {
                Outlet *outlet = g_ptr_array_index(connection->others, i - 1);
                int r;

                if (!(outlet->rights & SHARE_READ))
                        continue;

                r = outlet_deliver(outlet, app);
                if (r)
                        sharing_drop(outlet);
                if (!connection->others)
                        return;
        }
}

/* ---- birth ---- */

static unsigned sharing_count(const Connection *connection, uid_t uid) {
        unsigned n = 0;

        for (guint i = 0; i < connection->others->len; i++) {
                const Outlet *outlet = g_ptr_array_index(connection->others, i);

                n += outlet->charges.uid == uid;
        }

        return n;
}

static int sharing_check(const Connection *connection, const Opener *opener, Reason *reason) {
        if (!(shares_rights(connection->spec->shares, &opener->subject) &
              (SHARE_READ | SHARE_WRITE)))
                return reason_set(reason, RELAY_E_INVALID_OPERATION,
                                  "The connection is not shared with you to read or to write");
        if (!connection->others)
                return 0;

        if (connection->others->len >= SHARING_CHANNELS_MAX)
                return reason_set(reason, RELAY_E_QUOTA,
                                  "%d programs that the connection is shared with have a channel, "
                                  "and no more can have one",
                                  SHARING_CHANNELS_MAX);
        if (sharing_count(connection, opener->subject.uid) >= SHARING_CHANNELS_PER_USER_MAX)
                return reason_set(reason, RELAY_E_QUOTA,
                                  "User %u has %d channels to this connection by its share; close "
                                  "one first",
                                  opener->subject.uid, SHARING_CHANNELS_PER_USER_MAX);

        return 0;
}

int connection_open_shared_channel(Connection *connection, const Opener *opener, int *ret_fd,
                                   uint32_t *ret_data_mtu, Reason *reason) {
        Outlet *outlet;
        int r;

        r = command_check_channel(connection, reason);
        if (r)
                return r;

        r = sharing_check(connection, opener, reason);
        if (r)
                return r;

        r = outlet_new(connection, opener, &outlet, ret_fd, reason);
        if (r)
                return r;

        if (!connection->others)
                connection->others = g_ptr_array_new();
        g_ptr_array_add(connection->others, outlet);
        names_add(connection->relay->sharers, outlet->name, outlet);
        *ret_data_mtu = connection->data_mtu;
        connection_changed(connection, CHANGED_CHANNELS);
        return 0;
}

/* ---- death ---- */

void sharing_drop(Outlet *outlet) {
        Connection *connection = outlet->connection;

        names_remove(connection->relay->sharers, outlet->name, outlet);
        (void)g_ptr_array_remove(connection->others, outlet);
        if (connection->others->len == 0)
                g_clear_pointer(&connection->others, g_ptr_array_unref);

        outlet_bury(outlet);
        connection_changed(connection, CHANGED_CHANNELS);
}

void sharing_drop_all(Connection *connection) {
        while (connection->others)
                sharing_drop(g_ptr_array_index(connection->others, connection->others->len - 1));
}

void sharing_review(Connection *connection) {
        for (guint i = connection->others ? connection->others->len : 0; i > 0; i--) {
                Outlet *outlet = g_ptr_array_index(connection->others, i - 1);
                AccessSubject subject = sharing_subject(outlet);

                if (outlet->rights & ~shares_rights(connection->spec->shares, &subject))
                        sharing_drop(outlet);
        }
}

/* It is nobody's any more, and stays. */
static void sharing_forget_name(Outlet *outlet) {
        names_remove(outlet->connection->relay->sharers, outlet->name, outlet);
        g_free(outlet->name);
        outlet->name = g_strdup("");
}

void sharing_name_gone(Relay *relay, const char *name) {
        Outlet *outlet;

        while ((outlet = names_first(relay->sharers, name)))
                if (name)
                        sharing_drop(outlet);
                else
                        sharing_forget_name(outlet);
}

/* ---- who is there ---- */

static void sharing_append(GArray *attached, const Outlet *outlet, const char *name) {
        Attached one = {
                .uid = outlet->charges.uid,
                .name = name,
                .rights = outlet->rights,
                .n_dropped = channel_stats(outlet->channel).n_dropped_full,
        };

        g_array_append_val(attached, one);
}

static void sharing_append_lane(GArray *attached, const Connection *connection) {
        Attached one = {
                .uid = connection->spec->uid,
                .name = connection->spec->owner,
                .rights = SHARE_READ | SHARE_WRITE,
                .n_dropped = connection->tally.at[TALLY_DROPPED_APP_FULL],
        };

        g_array_append_val(attached, one);
}

GArray *connection_attached(const Connection *connection) {
        GArray *attached = g_array_new(FALSE, FALSE, sizeof(Attached));
        const Spec *spec = connection->spec;

        if (connection->outlet)
                sharing_append(attached, connection->outlet,
                               spec->persistent || !spec->owner ? "" : spec->owner);
        if (lane_is_open(connection->lane))
                sharing_append_lane(attached, connection);
        for (guint i = 0; connection->others && i < connection->others->len; i++) {
                const Outlet *outlet = g_ptr_array_index(connection->others, i);

                sharing_append(attached, outlet, outlet->name);
        }

        return attached;
}
