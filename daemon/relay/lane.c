/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Lane: one open connection on a trunk, from opened to closed. Its data goes by, or is dropped; the
 * rest is told when there is room.
 *
 * Knows: frames, and in which order an application hears of a connection. Does not know: why a
 * connection opened or ended.
 */

#include "relay/private.h"

#include <string.h>

static const struct {
        const char *name;
        TallyKind tally;
} lane_drops[N_LANE_DROPS] = {
        [LANE_CHANNEL_FULL] = {"ChannelFull", TALLY_DROPPED_APP_FULL},
        [LANE_SOCKET_FULL] = {"SocketFull", TALLY_DROPPED_SOCKET_FULL},
        [LANE_TOO_LONG] = {"TooLong", TALLY_DROPPED_TOO_LONG},
        [LANE_NOT_OPEN] = {"NotOpen", TALLY_DROPPED_NOT_OPEN},
};

/* ---- frames ---- */

static bool lane_put(Lane *lane, FrameKind kind, const void *data, size_t size) {
        return shared_channel_put(lane->trunk->channel, &(Frame){
                                                                .connection = lane->number,
                                                                .kind = kind,
                                                                .data = data,
                                                                .size = size,
                                                        });
}

static bool lane_put_dropped(Trunk *trunk, uint32_t number, LaneDrop why, uint32_t n) {
        uint8_t bytes[sizeof(n) + sizeof("ChannelFull")];
        size_t size = strlen(lane_drops[why].name);

        memcpy(bytes, &n, sizeof(n));
        memcpy(bytes + sizeof(n), lane_drops[why].name, size);
        return shared_channel_put(trunk->channel, &(Frame){
                                                          .connection = number,
                                                          .kind = FRAME_DROPPED,
                                                          .data = bytes,
                                                          .size = sizeof(n) + size,
                                                  });
}

static GByteArray *lane_encode_opened(const Connection *connection) {
        g_autoptr(GBytes) leaf = NULL;
        OpenedFacts facts = connection_opened_facts(connection, &leaf);

        return opened_encode(&facts);
}

/* ---- what is to be told ---- */

static void lane_queue(Lane *lane, unsigned due) {
        lane->due |= due;
        if (lane->is_pending)
                return;

        lane->is_pending = true;
        lane->link.data = lane;
        g_queue_push_tail_link(&lane->trunk->pending, &lane->link);
}

static void lane_note(Lane *lane, unsigned due) {
        lane_queue(lane, due);
        trunk_due(lane->trunk);
}

static bool lane_tell_opened(Lane *lane) {
        g_autoptr(GByteArray) fields = NULL;

        if (!(lane->due & LANE_OPENED))
                return true;

        fields = lane->opened ? g_byte_array_ref(lane->opened)
                              : lane_encode_opened(lane->connection);
        if (!lane_put(lane, FRAME_OPENED, fields->data, fields->len))
                return false;

        lane->due &= ~(unsigned)(LANE_OPENED | LANE_CHANGED);
        return true;
}

static bool lane_tell_changed(Lane *lane) {
        g_autoptr(GByteArray) fields = NULL;

        if (!(lane->due & LANE_CHANGED))
                return true;

        fields = opened_encode_data_mtu(lane->connection->data_mtu);
        if (!lane_put(lane, FRAME_CHANGED, fields->data, fields->len))
                return false;

        lane->due &= ~(unsigned)LANE_CHANGED;
        return true;
}

static bool lane_tell_dropped(Lane *lane) {
        for (LaneDrop why = 0; why < N_LANE_DROPS; why++) {
                if (lane->n_dropped[why] == 0)
                        continue;
                if (!lane_put_dropped(lane->trunk, lane->number, why, lane->n_dropped[why]))
                        return false;

                lane->n_dropped[why] = 0;
        }

        return true;
}

bool lane_tell(Lane *lane) {
        const char *why = end_reason_name(lane->why);

        /* what little room is left would fill with counts */
        if (shared_channel_is_full(lane->trunk->channel))
                return false;
        if (!lane_tell_opened(lane) || !lane_tell_changed(lane) || !lane_tell_dropped(lane))
                return false;

        if (!(lane->due & LANE_CLOSED)) {
                g_queue_unlink(&lane->trunk->pending, &lane->link);
                lane->is_pending = false;
                return true;
        }

        if (!lane_put(lane, FRAME_CLOSED, why, strlen(why)))
                return false;

        lane_free(lane);
        return true;
}

void lane_tell_not_open(Trunk *trunk, uint32_t number, uint32_t n) {
        trunk->relay->tally.at[TALLY_DROPPED_NOT_OPEN] += n;
        (void)lane_put_dropped(trunk, number, LANE_NOT_OPEN, n);
        trunk_due(trunk);
}

/* ---- from birth to death ---- */

void lane_open(Connection *connection) {
        Lane *lane = g_new0(Lane, 1);

        lane->trunk = connection->trunk;
        lane->connection = connection;
        lane->number = connection->had_lane ? ++connection->relay->last_connection : connection->id;
        connection->had_lane = true;
        connection->lane = lane;
        g_hash_table_insert(lane->trunk->lanes, GUINT_TO_POINTER(lane->number), lane);
        lane_note(lane, LANE_OPENED);
        connection_changed(connection, CHANGED_CHANNELS);
}

bool lane_is_open(const Lane *lane) {
        return lane && !(lane->due & LANE_CLOSED);
}

void lane_drop(Lane *lane, LaneDrop why) {
        tally_connection(lane->connection, lane_drops[why].tally, 1);
        lane->n_dropped[why]++;
        lane_note(lane, 0);
}

/* What is to be told comes first; while it has to wait, so does all that comes after it, and data
 * does not wait. */
void lane_deliver(Lane *lane, const DatagramBatch *app) {
        size_t n = 0;

        for (size_t i = 0; i < datagram_batch_count(app); i++) {
                Datagram plain = datagram_batch_at(app, i);

                if (plain.size == 0)
                        continue;

                if ((!lane->is_pending || lane_tell(lane)) &&
                    lane_put(lane, FRAME_DATA, plain.data, plain.size))
                        n++;
                else
                        lane_drop(lane, LANE_CHANNEL_FULL);
        }

        tally_connection(lane->connection, TALLY_DELIVERED, n);
        trunk_due(lane->trunk);
}

void lane_changed(Lane *lane) {
        if (lane_is_open(lane))
                lane_note(lane, LANE_CHANGED);
}

void lane_close(Lane *lane, EndReason why) {
        if (!lane_is_open(lane))
                return;

        if (lane->due & LANE_OPENED)
                lane->opened = lane_encode_opened(lane->connection);
        lane->due &= ~(unsigned)LANE_CHANGED;
        lane->why = why;
        g_hash_table_remove(lane->trunk->lanes, GUINT_TO_POINTER(lane->number));
        lane_queue(lane, LANE_CLOSED);
        if (why == END_CLOSE)
                trunk_due_later(lane->trunk);
        else
                trunk_due(lane->trunk);
        connection_changed(lane->connection, CHANGED_CHANNELS);
}

void lane_detach(Lane *lane) {
        charges_move(&lane->connection->charges, &lane->trunk->charges, QUOTA_CONNECTIONS, 1);
        lane->connection->lane = NULL;
        lane->connection = NULL;
}

void lane_free(Lane *lane) {
        if (lane->is_pending)
                g_queue_unlink(&lane->trunk->pending, &lane->link);
        if (lane->connection)
                lane->connection->lane = NULL;
        else
                charges_drop(&lane->trunk->charges, QUOTA_CONNECTIONS, 1);
        g_clear_pointer(&lane->opened, g_byte_array_unref);
        g_free(lane);
}
