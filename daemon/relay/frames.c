/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Frames: a datagram's way out of a shared channel: one packet a turn, or a part of a long one, its
 * frames sealed one after the other from where they were read, neighbours to one connection back to
 * back, so that they leave as one. What a connection cannot send is dropped and told; the others go
 * on.
 *
 * Knows: whose a frame is. Does not know: what is told to the application, and when.
 */

#include "base/fault.h"
#include "base/log.h"
#include "relay/private.h"

#define FRAMES_MAX 256 /* in a turn: the smallest would be 8192 to a packet */

/* Neighbours of one number, within a packet. */
typedef struct FramesRun {
        Trunk *trunk;
        uint32_t number;    /* 0 is nobody's */
        Lane *lane;         /* NULL: there is none of that number */
        Endpoint *endpoint; /* whose the net batch is */
        uint32_t n_not_open;
        uint64_t n_max; /* this turn's frames, */
        size_t n_sent, n_closed;
} FramesRun;

static void frames_end_run(FramesRun *run) {
        if (lane_is_open(run->lane)) {
                connection_touch(run->lane->connection);
                tally_direct(run->lane->connection);
                connection_follow_path(run->lane->connection, /* at_once= */ false);
        }
        if (run->n_not_open > 0)
                lane_tell_not_open(run->trunk, run->number, run->n_not_open);
        run->n_not_open = 0;
}

static void frames_begin_run(FramesRun *run, uint32_t number) {
        Endpoint *endpoint;

        frames_end_run(run);
        run->number = number;
        run->lane = g_hash_table_lookup(run->trunk->lanes, GUINT_TO_POINTER(number));
        if (!run->lane)
                return;

        endpoint = run->lane->connection->endpoint;
        if (run->endpoint && run->endpoint != endpoint)
                endpoint_flush(run->endpoint);
        run->endpoint = endpoint;
        connection_prepare(run->lane->connection);
}

static void frames_send(Lane *lane, const Frame *frame) {
        Connection *connection = lane->connection;
        int r;

        if (frame->size == 0)
                return;
        if (endpoint_is_full(connection->endpoint)) {
                lane_drop(lane, LANE_SOCKET_FULL);
                return;
        }

        r = connection_seal(connection, frame->data, frame->size);
        if (r < 0)
                connection_fail(connection, fault(r));
        else if (r == SESSION_E_TOO_LONG)
                lane_drop(lane, LANE_TOO_LONG);
        else if (r == SESSION_E_NO_ROOM)
                lane_drop(lane, LANE_SOCKET_FULL);
        else if (r > 0)
                connection_went_on(connection, r == SESSION_E_FAILED ? r : 0);
        else
                tally_connection(connection, TALLY_COLLECTED, 1);
}

static void frames_take(FramesRun *run, const Frame *frame) {
        if (frame->connection != run->number)
                frames_begin_run(run, frame->connection);

        if (!lane_is_open(run->lane)) {
                run->n_not_open += frame->kind == FRAME_DATA;
                return;
        }

        if (frame->kind == FRAME_DATA) {
                frames_send(run->lane, frame);
                run->n_sent++;
                return;
        }

        connection_close(run->lane->connection, END_CLOSE);
        run->n_closed++;
}

static bool frames_is_turn_over(const FramesRun *run, size_t n_frames) {
        return n_frames >= run->n_max || run->n_closed >= TRUNK_CLOSE_MAX;
}

static void frames_count_malformed(Trunk *trunk) {
        SharedChannelStats now = shared_channel_stats(trunk->channel);
        g_autofree char *text = NULL, *uid = NULL;

        if (now.n_malformed == trunk->seen.n_malformed)
                return;

        trunk->relay->tally.at[TALLY_DROPPED_FRAMES] += now.n_malformed - trunk->seen.n_malformed;
        trunk->seen = now;

        text = g_strdup_printf("Shared channel %" G_GUINT32_FORMAT
                               " of user %u: a packet is no frames, or too long; the rest of it is "
                               "dropped",
                               trunk->id, trunk->charges.uid);
        uid = g_strdup_printf("DTLSD_OWNER_UID=%u", trunk->charges.uid);
        brake_write(brakes_of(trunk->relay->brakes, trunk->charges.uid), relay_now(trunk->relay),
                    LOG_NOTICE, NULL, (const char *[]){uid, NULL}, text);
}

/* What shared_channel_receive() says. */
static int frames_turn(Trunk *trunk) {
        FramesRun run = {.trunk = trunk};
        Frame frame;
        size_t n = 0;
        int r;

        run.n_max = MIN(pace_allows(trunk->relay, trunk->charges.uid, 0), FRAMES_MAX);
        if (run.n_max == 0) {
                trunk_wait(trunk);
                return 0;
        }

        r = shared_channel_has_more(trunk->channel) ? 0 : shared_channel_receive(trunk->channel);
        if (r)
                return r;
        if (trunk->hung_up && !shared_channel_has_more(trunk->channel))
                return CHANNEL_E_HANGUP;

        for (; !frames_is_turn_over(&run, n) && shared_channel_next(trunk->channel, &frame); n++)
                frames_take(&run, &frame);

        if (run.endpoint)
                endpoint_flush(run.endpoint);
        frames_end_run(&run);
        quota_sent(trunk->relay->quota, trunk->charges.uid, run.n_sent);
        trunk->relay->n_passed += run.n_sent;
        frames_count_malformed(trunk);
        if (trunk->hung_up || shared_channel_has_more(trunk->channel))
                trunk_goes_on(trunk);
        return 0;
}

void frames_go_on(Trunk *trunk) {
        int r = frames_turn(trunk);

        if (r)
                trunk_lost(trunk, r);
}

void on_trunk_event(uint32_t events, void *userdata) {
        Trunk *trunk = userdata;

        if (events & EPOLLOUT)
                trunk_due(trunk);

        if (events & ~(uint32_t)EPOLLOUT && !trunk->paced.pace)
                frames_go_on(trunk);
}
