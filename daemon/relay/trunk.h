/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Trunk: a shared channel with its events, and a Lane for each connection on it that is open. For
 * private.h alone.
 *
 * Data goes straight into the channel's packet, or is dropped. Whatever may not be lost (that a
 * connection opened, changed, ended, and how much was dropped) is state of its lane: a lane with
 * something to be told waits in its trunk until there is room, and then is told once, however often
 * that changed. Packets leave at the end of a turn.
 */

#include "channel/shared-channel.h"

#define TRUNK_CLOSE_MAX 16 /* connections in a turn: each says goodbye to its peer */

typedef struct Trunk Trunk;
typedef struct Lane Lane;

typedef enum LaneDrop {
        LANE_CHANNEL_FULL,
        LANE_SOCKET_FULL,
        LANE_TOO_LONG,
        LANE_NOT_OPEN,
        N_LANE_DROPS,
} LaneDrop;

typedef enum LaneDue { /* what is to be told */
        LANE_OPENED = 1 << 0,
        LANE_CHANGED = 1 << 1,
        LANE_CLOSED = 1 << 2,
} LaneDue;

struct Trunk {
        Relay *relay;
        uint32_t id;
        char *owner; /* "": no name any more */
        SharedChannel *channel;
        Watch *watch;
        sd_event_source *more;         /* for what is left of a packet */
        GQueue connections, listeners; /* that were made with it, open or not */
        GHashTable *lanes;             /* by number, those that are open */
        GQueue pending;                /* lanes with something to be told */
        bool is_due;                   /* in relay->trunks_due */
        bool is_waiting;               /* for the application to read */
        Alarm later;                   /* for what need not go at once */
        bool hung_up;                  /* it reads no more; what it wrote is still read */
        Paced paced;                   /* waits for its user to be allowed to send */
        bool gone;                     /* what is on it goes, some in a turn */
        EndReason why;                 /* then */
        SharedChannelStats seen;
        Charges charges; /* with the connections that are gone and not told of */
};

struct Lane {
        Trunk *trunk;
        Connection *connection; /* NULL: it is gone */
        uint32_t number;
        unsigned due;
        bool is_pending;
        EndReason why;      /* it closed */
        GByteArray *opened; /* of one that closed before it was told */
        uint32_t n_dropped[N_LANE_DROPS];
        GList link; /* in trunk->pending */
};

/* ---- trunk.c ---- */

int trunks_new(Relay *relay);
void trunks_close(Relay *relay);
void trunks_free(Relay *relay);
/* Those that have something to send do: at the end of a turn. */
void trunks_flush(Relay *relay);
/* A name left the bus, or all did (NULL), and then they are nobody's. */
void trunks_name_gone(Relay *relay, const char *name);

/* The one that its spec names, if it does, which has to be of the same owner. */
int trunk_join(Connection *connection, Reason *reason);
int trunk_join_listener(Listener *listener, Reason *reason);
/* If it is on one. */
void trunk_leave(Connection *connection);
void trunk_leave_listener(Listener *listener);
void trunk_due(Trunk *trunk); /* a packet goes at the end of the turn */
void trunk_due_later(Trunk *trunk);
/* Nothing is read off it until its user may send again. */
void trunk_wait(Trunk *trunk);
/* There is more to do, of a packet or of its end, when others had their turns. */
void trunk_goes_on(Trunk *trunk);
void trunk_lost(Trunk *trunk, int r); /* what was wrong with its channel */

/* ---- lane.c ---- */

void lane_open(Connection *connection);
bool lane_is_open(const Lane *lane); /* which may be NULL */
void lane_deliver(Lane *lane, const DatagramBatch *app);
void lane_changed(Lane *lane);
void lane_close(Lane *lane, EndReason why);
/* The connection goes, and what is to be told of it stays. */
void lane_detach(Lane *lane);
void lane_free(Lane *lane);
/* Something of this lane was dropped. */
void lane_drop(Lane *lane, LaneDrop why);
/* Puts what is to be told. False: there is no room for all of it. When it is told that it closed,
 * the lane is gone. */
bool lane_tell(Lane *lane);
/* Of a number that is no lane; nothing is kept when there is no room. */
void lane_tell_not_open(Trunk *trunk, uint32_t number, uint32_t n);

/* ---- frames.c: a datagram's way out of a shared channel ---- */

void on_trunk_event(uint32_t events, void *userdata);
/* Goes on with a packet. */
void frames_go_on(Trunk *trunk);
