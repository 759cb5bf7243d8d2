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
#include <sys/epoll.h>

#define OUTLET_BYTES ((uint64_t)2 * CHANNEL_BUFFER_DEFAULT)

static void outlet_free(Outlet *outlet) {
        sd_event_source_disable_unref(outlet->source);
        channel_free(outlet->channel);
        charges_done(&outlet->charges);
        g_free(outlet->name);
        g_free(outlet->gids);
        g_free(outlet);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Outlet, outlet_free)

static void outlet_resume(void *owner) {
        const Outlet *outlet = owner;

        /* cannot fail for a source of ours */
        (void)sd_event_source_set_enabled(outlet->source, SD_EVENT_ON);
}

void outlet_wait(Outlet *outlet) {
        /* as above */
        (void)sd_event_source_set_enabled(outlet->source, SD_EVENT_OFF);
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

        /* that the other end is closed is told in any case */
        r = sd_event_add_io(outlet->connection->relay->event, &outlet->source,
                            channel_fd(outlet->channel), may_write ? EPOLLIN : 0, on_channel_event,
                            outlet);
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
        tally_outlet(outlet);
        outlet->source = sd_event_source_disable_unref(outlet->source);
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
