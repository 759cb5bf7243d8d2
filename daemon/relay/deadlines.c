/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Deadlines: what a connection does at some time, with nobody asking: what its session has to send
 * again or to give up, its end when it was idle too long, or could be read for long enough.
 *
 * Knows: when. Does not know: what becomes of it then.
 */

#include "base/log.h"
#include "relay/private.h"

#define CONNECTION_TOGETHER_USEC                                                                   \
        (30 * UINT64_C(1000000)) /* a thousand cost two wake-ups a minute */

void connection_touch(Connection *connection) {
        connection->active_usec = relay_now(connection->relay);
}

/* A persistent object that nobody uses goes too, associated or not: it has no name that could
 * leave. One that shakes hands has deadlines of its own. */
static uint64_t connection_idle_at(const Connection *connection) {
        uint64_t idle_usec = connection->spec->idle_timeout_usec;
        bool lone = connection->spec->persistent && !connection->session && !connection->listener;

        if (idle_usec == 0 || (connection->state != HANDSHAKE_COMPLETE && !lone))
                return SESSION_NEVER;

        return connection->active_usec + idle_usec;
}

/* What an open session has to do at some time is done for all of them at one time. */
static uint64_t connection_session_at(const Connection *connection) {
        uint64_t at_usec = session_deadline_usec(connection->session);

        if (connection->state != HANDSHAKE_COMPLETE || at_usec == SESSION_NEVER)
                return at_usec;

        return (at_usec / CONNECTION_TOGETHER_USEC + 1) * CONNECTION_TOGETHER_USEC;
}

static uint64_t connection_wakes_at(const Connection *connection) {
        uint64_t at_usec = connection_idle_at(connection);

        if (connection->session)
                at_usec = MIN(at_usec, connection_session_at(connection));
        if (connection->linger_usec > 0)
                at_usec = MIN(at_usec, connection->linger_usec);

        return at_usec;
}

void connection_schedule(Connection *connection) {
        uint64_t at_usec;

        if (connection->gone)
                return;

        /* an alarm that is early costs one look; moving it for every datagram would cost more */
        at_usec = connection_wakes_at(connection);
        if (!connection->alarm.iter || at_usec < connection->alarm.at_usec)
                alarm_set(connection->relay, &connection->alarm, at_usec);
}

static void connection_idle_out(Connection *connection) {
        log_connection(connection, LOG_DEBUG, NULL, "was idle too long");

        if (connection->spec->persistent)
                connection_close(connection, END_IDLE_TIMEOUT);
        else
                connection_end(connection, END_IDLE_TIMEOUT);
}

static void connection_expire(Connection *connection, uint64_t now_usec) {
        Relay *relay = connection->relay;
        int r;

        connection_prepare(connection);
        r = session_expire(connection->session, now_usec, relay->net, relay->app);
        if (r == SESSION_E_TIMEOUT) {
                relay_tell(relay, connection_timeout, connection);
                r = 0;
        }

        connection_finish(connection, r);
}

void connection_ring(void *owner, uint64_t now_usec) {
        Connection *connection = owner;

        if (connection->linger_usec > 0 && now_usec >= connection->linger_usec) {
                connection_close(connection, END_CLOSE);
                return;
        }

        if (connection->session && session_deadline_usec(connection->session) <= now_usec)
                connection_expire(connection, now_usec);
        if (!connection->gone && connection_idle_at(connection) <= now_usec)
                connection_idle_out(connection);

        connection_schedule(connection);
}
