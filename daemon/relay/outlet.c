/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Outlet: a channel with its events, and whom it is charged to: the owner of the connection, or one
 * of those it is shared with.
 *
 * Knows: channels, charges. Does not know: datagrams.
 */

#include "base/fault.h"
#include "base/log.h"
#include "relay/private.h"

#include <string.h>

#define OUTLET_BYTES ((uint64_t)2 * CHANNEL_BUFFER_DEFAULT)
/* Of a burst, for who reads but was not there at once: as much as a socket holds. */
#define OUTLET_HELD_DATAGRAMS 512
#define OUTLET_HELD_BYTES ((size_t)512 * 1024)

static void outlet_free(Outlet *outlet) {
        watch_free(outlet->watch);
        channel_free(outlet->channel);
        datagram_batch_free(outlet->held);
        charges_done(&outlet->charges);
        g_free(outlet->name);
        g_free(outlet->gids);
        g_free(outlet);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Outlet, outlet_free)

void outlet_stop(Outlet *outlet) {
        outlet->stopped = true;
        outlet_listen(outlet);
}

void outlet_resume(void *owner) {
        Outlet *outlet = owner;

        outlet->stopped = false;
        outlet_listen(outlet);
}

void outlet_wait(Outlet *outlet) {
        outlet_stop(outlet);
        pace_wait(outlet->connection->relay, outlet->charges.uid, &outlet->paced);
}

static Outlet *outlet_of(Connection *connection, const Opener *opener) {
        const Spec *spec = connection->spec;
        Outlet *outlet = g_new0(Outlet, 1);

        outlet->connection = connection;
        outlet->is_owners = !opener;
        outlet->rights = SHARE_READ | SHARE_WRITE;
        outlet->paced = (Paced){.resume = outlet_resume, .owner = outlet};
        charges_init(&outlet->charges, connection->relay->quota,
                     opener ? opener->subject.uid : spec->uid);
        if (!opener)
                return outlet;

        outlet->rights &= shares_rights(spec->shares, &opener->subject);
        outlet->name = g_strdup(opener->name);
        outlet->n_gids = opener->subject.n_gids;
        outlet->gids = g_memdup2(opener->subject.gids, outlet->n_gids * sizeof(gid_t));
        return outlet;
}

/* That the other end is closed is told in any case. */
static uint32_t outlet_events(const Outlet *outlet) {
        bool collects = outlet->rights & SHARE_WRITE && !outlet->stopped;

        return EPOLLET | (collects ? EPOLLIN : 0) | (outlet->held ? EPOLLOUT : 0);
}

void outlet_listen(const Outlet *outlet) {
        watch_set(outlet->watch, outlet_events(outlet));
}

static int outlet_open(Outlet *outlet, int *ret_app_fd, Reason *reason) {
        bool may_write = outlet->rights & SHARE_WRITE;
        g_autofd int app_fd = -1;
        int r;

        r = channel_new(&outlet->channel, &app_fd);
        if (r < 0)
                return fault(r);
        if (r > 0)
                return reason_set(reason, RELAY_E_QUOTA,
                                  "The service has no file descriptor left; try again later");

        r = may_write ? 0 : channel_refuse(outlet->channel);
        if (r < 0)
                return fault(r);

        r = watch_new(outlet->connection->relay, outlet->charges.uid, channel_fd(outlet->channel),
                      outlet_events(outlet), on_channel_event, outlet, &outlet->watch);
        if (r < 0)
                return fault(r);

        *ret_app_fd = autofd_steal(&app_fd);
        return 0;
}

int outlet_new(Connection *connection, const Opener *opener, Outlet **ret, int *ret_app_fd,
               Reason *reason) {
        g_autoptr(Outlet) outlet = outlet_of(connection, opener);
        int r;

        r = charges_add(&outlet->charges, QUOTA_FDS, 1, reason);
        if (r)
                return r;

        r = charges_add(&outlet->charges, QUOTA_BYTES, OUTLET_BYTES, reason);
        if (r)
                return r;

        r = outlet_open(outlet, ret_app_fd, reason);
        if (r)
                return r;

        *ret = g_steal_pointer(&outlet);
        return 0;
}

/* ---- what a full channel does not take ---- */

static void outlet_let_go(Outlet *outlet) {
        outlet->held = datagram_batch_free(outlet->held);
        outlet->held_index = 0;
        charges_drop(&outlet->charges, QUOTA_BYTES, OUTLET_HELD_BYTES);
        outlet_listen(outlet);
}

/* What of @from is after @index, as far as there is room. How many these were. */
static size_t outlet_append(Outlet *outlet, const DatagramBatch *from, size_t index) {
        size_t n = 0;

        for (; index + n < datagram_batch_count(from); n++) {
                Datagram plain = datagram_batch_at(from, index + n);

                if (!datagram_batch_append(outlet->held, plain.data, plain.size))
                        break;
        }

        return n;
}

/* So that each is moved but once or so, however slowly they are read. */
static bool outlet_is_half_gone(const Outlet *outlet) {
        return outlet->held_index > 0 &&
               outlet->held_index >= datagram_batch_count(outlet->held) / 2;
}

/* In the place of what is gone already. */
static void outlet_move_up(Outlet *outlet) {
        DatagramBatch *before = outlet->held;

        outlet->held = datagram_batch_new(OUTLET_HELD_DATAGRAMS, OUTLET_HELD_BYTES);
        (void)outlet_append(outlet, before, outlet->held_index);
        outlet->held_index = 0;
        datagram_batch_free(before);
}

/* Peers whose connections nobody reads are not to use up what new connections need. */
static bool outlet_may_hold(const Outlet *outlet) {
        const Quota *quota = outlet->charges.quota;
        uid_t uid = outlet->charges.uid;

        return quota_used(quota, uid, QUOTA_BYTES) + OUTLET_HELD_BYTES <=
                       quota_limit(quota, uid, QUOTA_BYTES) / 2 &&
               quota_used_total(quota, QUOTA_BYTES) + OUTLET_HELD_BYTES <=
                       quota_limit_total(quota, QUOTA_BYTES) / 2;
}

static void outlet_hold(Outlet *outlet, const DatagramBatch *app, size_t index) {
        if (!outlet->held && outlet_may_hold(outlet) &&
            !charges_add(&outlet->charges, QUOTA_BYTES, OUTLET_HELD_BYTES, NULL)) {
                outlet->held = datagram_batch_new(OUTLET_HELD_DATAGRAMS, OUTLET_HELD_BYTES);
                outlet_listen(outlet);
        }
        if (outlet->held)
                index += outlet_append(outlet, app, index);
        if (outlet_is_half_gone(outlet) && index < datagram_batch_count(app)) {
                outlet_move_up(outlet);
                index += outlet_append(outlet, app, index);
        }

        channel_drop(outlet->channel, datagram_batch_count(app) - index);
}

int outlet_go_on(Outlet *outlet) {
        int r;

        if (!outlet->held)
                return 0;

        r = channel_give(outlet->channel, outlet->held, &outlet->held_index);
        if (r != CHANNEL_E_FULL)
                outlet_let_go(outlet);

        return r;
}

int outlet_deliver(Outlet *outlet, const DatagramBatch *app) {
        size_t index = 0;
        int r;

        r = outlet_go_on(outlet);
        if (r == 0)
                r = channel_give(outlet->channel, app, &index);
        if (r == CHANNEL_E_FULL) {
                outlet_hold(outlet, app, index);
                r = 0;
        }

        tally_outlet(outlet);
        return r;
}

/* ---- death ---- */

static void outlet_release(void *corpse) {
        outlet_free(corpse);
}

static void outlet_release_channel(void *corpse) {
        channel_free(corpse);
}

void outlet_bury(Outlet *outlet) {
        Connection *connection = outlet->connection;

        if (connection->endpoint)
                endpoint_forget(connection->endpoint, outlet);
        pace_forget(&outlet->paced);
        if (outlet_go_on(outlet) == CHANNEL_E_FULL)
                channel_drop(outlet->channel,
                             datagram_batch_count(outlet->held) - outlet->held_index);
        tally_outlet(outlet);
        outlet->watch = watch_free(outlet->watch);
        relay_bury(connection->relay, g_steal_pointer(&outlet->channel), outlet_release_channel);
        charges_done(&outlet->charges);
        relay_bury(connection->relay, outlet, outlet_release);
}

void outlet_lost(Outlet *outlet, int r) {
        if (outlet->is_owners) {
                connection_lost_channel(outlet->connection, r);
                return;
        }

        if (r < 0)
                log_connection(outlet->connection, LOG_WARNING, NULL,
                               "lost a channel of user %u, which broke: %s; the others go on",
                               outlet->charges.uid, strerror(-r));
        else
                egress_last(outlet);
        sharing_drop(outlet);
}
