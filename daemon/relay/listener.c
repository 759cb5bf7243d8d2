/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Listener: one bound socket for many peers. A stranger costs nothing until its cookie returns; who
 * has proven its address becomes a Connection that the listener's owner pays for.
 *
 * Knows: strangers, quotas. Does not know: what a connection does later (backlog.c hands it over).
 */

#include "base/fault.h"
#include "base/log.h"
#include "relay/private.h"

#include <string.h>

/* ---- strangers ---- */

static int listener_prove(Listener *listener, const Datagram *in, Hello *ret) {
        Relay *relay = listener->relay;
        int r;

        if (!listener->spec->cookies)
                return hello_parse(in->data, in->size, ret);

        datagram_batch_address(relay->net, &in->peer, &in->local);
        r = cookie_check(listener->jar, relay_now(relay), in, relay->net, ret);
        if (r == COOKIE_E_ASKED)
                tally_listener(listener, TALLY_COOKIES_ASKED, 1);

        return r;
}

Connection *listener_greet(Listener *listener, const Datagram *in) {
        Hello hello;
        int r;

        r = listener_prove(listener, in, &hello);
        if (r == 0)
                return listener_admit(listener, in, &hello, NULL);

        if (!listener->spec->cookies || r != COOKIE_E_ASKED)
                tally_listener(listener, TALLY_DROPPED_STRANGER, 1);

        return NULL;
}

static int listener_new_connection(Listener *listener, const Datagram *in, const Hello *hello,
                                   Connection **ret, Reason *reason) {
        g_autoptr(Connection) connection = NULL;
        Spec *spec;
        int r;

        spec = spec_copy(listener->spec);
        spec->peer = in->peer;

        r = connection_new(listener->relay, spec, listener, &connection, reason);
        if (r)
                return r;

        connection->local = in->local;
        connection->config = session_config_ref(listener->config);
        connection->endpoint = listener->endpoint;
        connection->announced = spec->announce || (!listener->queue && !listener->trunk);
        connection->handed = listener->trunk && !connection->announced;
        replace_note_hello(connection, in);

        r = connection_associate(connection, hello, reason);
        if (r)
                return r;

        *ret = g_steal_pointer(&connection);
        return 0;
}

/* No room is never an error of the listener: the peer's hello is dropped, and it asks again. */
static void listener_turn_away(Listener *listener, const Datagram *in, int r,
                               const Reason *reason) {
        char peer[ADDRESS_STRING_MAX];

        tally_listener(listener, TALLY_DROPPED_QUOTA, 1);
        log_listener(listener, LOG_NOTICE, MSG_QUOTA_REFUSED,
                     "Listener %" G_GUINT32_FORMAT " has no room for %s: %s", listener->id,
                     address_format_port(&in->peer, peer), r < 0 ? strerror(-r) : reason->text);
}

Connection *listener_admit(Listener *listener, const Datagram *in, const Hello *hello,
                           Connection *predecessor) {
        Relay *relay = listener->relay;
        Connection *connection;
        Reason reason = {0};
        int r;

        if (!listener_is_heard(listener))
                return NULL;

        refresh_before_use(listener);
        r = listener_new_connection(listener, in, hello, &connection, &reason);
        if (r) {
                listener_turn_away(listener, in, r, &reason);
                return NULL;
        }

        relay_add_connection(relay, connection);
        connection->listener_link.data = connection;
        g_queue_push_tail_link(&listener->connections, &connection->listener_link);
        connection->predecessor = predecessor;
        if (predecessor)
                predecessor->successor = connection;
        else
                demux_insert(listener->endpoint->demux, &in->peer, &in->local, connection);

        relay_tell(relay, connection_added, connection);
        connection_set_state(connection, HANDSHAKE_IN_PROGRESS);
        return connection;
}

void listener_forget(Listener *listener, Connection *connection) {
        g_queue_unlink(&listener->connections, &connection->listener_link);
        if (connection->in_backlog)
                backlog_forget(listener, connection);
        listener_end_unused(listener);
}

bool listener_is_heard(const Listener *listener) {
        return !listener->gone &&
               (listener->queue || listener->trunk || !spec_is_disowned(listener->spec));
}

void listener_end_unused(Listener *listener) {
        if (!listener_is_heard(listener) && g_queue_is_empty(&listener->connections))
                (void)listener_close(listener);
}

/* ---- configuration ---- */

int listener_set_spec(Listener *listener, Spec *spec, Reason *reason) {
        g_autoptr(Spec) taken = spec;
        g_autoptr(SessionConfig) config = NULL;
        g_autoptr(CookieJar) jar = NULL;
        bool has_copies = !g_queue_is_empty(&listener->connections);
        int r;

        taken->role = DTLS_SERVER;
        r = config_make(listener->relay, taken, &config, reason);
        if (r)
                return r;

        r = cookies_make_jar(taken, &jar, reason);
        if (r)
                return r;

        /* whose and where it is stays */
        taken->uid = listener->spec->uid;
        g_free(taken->owner);
        taken->owner = g_strdup(listener->spec->owner);
        taken->persistent = listener->spec->persistent;
        taken->local = listener->spec->local;
        spec_share_as(taken, listener->spec);

        r = charges_replace_spec(listener->relay, taken, has_copies ? NULL : listener->spec,
                                 reason);
        if (r)
                return r;

        refresh_forget(listener);
        rests_drop_listener(listener);
        session_config_unref(listener->config);
        cookie_jar_free(listener->jar);
        spec_free(listener->spec);
        listener->config = g_steal_pointer(&config);
        listener->jar = g_steal_pointer(&jar);
        listener->spec = g_steal_pointer(&taken);
        relay_tell(listener->relay, listener_changed, listener, CHANGED_CONFIGURATION);
        return 0;
}

int listener_set_cookie_parameters(Listener *listener, const CookieParameters *parameters,
                                   Reason *reason) {
        int r;

        r = cookies_set(listener->spec, &listener->jar, parameters, reason);
        if (r)
                return r;

        relay_tell(listener->relay, listener_changed, listener, CHANGED_CONFIGURATION);
        return 0;
}

CookieParameters listener_cookie_parameters(const Listener *listener) {
        return cookies_parameters(listener->jar);
}

/* Whatever is wrong with its own keys, whom it does not trust any more must not come in. */
static int listener_keep_keys(Listener *listener, const Spec *spec, SessionConfig **ret) {
        spec_free(listener->spec);
        listener->spec = spec_copy(spec);
        return config_make_again(listener->relay, listener->spec, ret, NULL);
}

void listener_refresh(Listener *listener) {
        g_autoptr(Spec) before = spec_copy(listener->spec);
        SessionConfig *config;
        Reason reason;
        int r;

        r = config_make(listener->relay, listener->spec, &config, &reason);
        if (r) {
                log_listener(listener, LOG_WARNING, NULL,
                             "Listener %" G_GUINT32_FORMAT " goes on with what it has: %s",
                             listener->id, r > 0 ? reason.text : g_strerror(-r));
                r = listener_keep_keys(listener, before, &config);
        }
        if (r)
                return;

        session_config_unref(listener->config);
        listener->config = config;
        relay_tell(listener->relay, listener_changed, listener, CHANGED_CONFIGURATION);
}

/* ---- birth and death ---- */

static int listener_check(const Spec *spec, Reason *reason) {
        Address with_port = spec->local;

        if (spec->role != DTLS_SERVER)
                return reason_set(reason, RELAY_E_INVALID_PARAMETERS,
                                  "A listener is a server; it cannot have the role of a client");
        if (!address_is_set(&spec->local))
                return reason_set(reason, RELAY_E_INVALID_PARAMETERS,
                                  "Say the address to listen on, 0.0.0.0 or :: for all");

        /* an address nobody can answer from; port 0 is good here */
        address_set_port(&with_port, 1);
        if (!address_is_any(&spec->local) && !address_is_peer(&with_port))
                return reason_set(reason, RELAY_E_INVALID_PARAMETERS,
                                  "A multicast or broadcast address cannot be listened on");

        return 0;
}

static int listener_open(Listener *listener, Reason *reason) {
        Spec *spec = listener->spec;
        int r;

        r = charges_add_spec(listener->relay, listener->spec, reason);
        if (r)
                return r;

        r = charges_add(&listener->charges, QUOTA_LISTENERS, 1, reason);
        if (r)
                return r;

        r = trunk_join_listener(listener, reason);
        if (r)
                return r;

        r = config_make(listener->relay, spec, &listener->config, reason);
        if (r)
                return r;

        r = cookies_make_jar(spec, &listener->jar, reason);
        if (r)
                return r;

        r = endpoint_new(listener->relay, spec->uid, &spec->local, &listener->endpoint, reason);
        if (r)
                return r;

        listener->endpoint->listener = listener;
        r = udp_set_dont_fragment(listener->endpoint->udp, spec->dont_fragment);
        if (r < 0)
                return fault(r);

        return endpoint_start(listener->endpoint);
}

Listener *listener_free(Listener *listener) {
        if (!listener)
                return NULL;

        g_assert(g_queue_is_empty(&listener->connections) && !listener->alarm.iter);
        trunk_leave_listener(listener);
        endpoint_free(listener->endpoint);
        g_clear_pointer(&listener->sources, g_tree_unref);
        g_hash_table_unref(listener->rests);
        sd_event_source_disable_unref(listener->queue_source);
        accept_queue_free(listener->queue);
        session_config_unref(listener->config);
        cookie_jar_free(listener->jar);
        charges_done(&listener->charges);
        spec_free(listener->spec);
        g_free(listener);
        return NULL;
}

static void listener_release(void *corpse) {
        listener_free(corpse);
}

/* The socket is there until all have said goodbye by it. */
static void listener_closed(void *owner) {
        Listener *listener = owner;
        Relay *relay = listener->relay;

        rests_drop_listener(listener);
        endpoint_bury(g_steal_pointer(&listener->endpoint));

        log_listener(listener, LOG_INFO, MSG_LISTENER_ENDED, "Listener %" G_GUINT32_FORMAT " ended",
                     listener->id);
        relay_tell(relay, listener_removed, listener->id, listener->spec->uid);
        relay_bury(relay, listener, listener_release);
}

int relay_listen(Relay *relay, Spec *spec, Listener **ret, Reason *reason) {
        g_autoptr(Listener) listener = NULL;
        char where[ADDRESS_STRING_MAX];
        Address local;
        int r;

        listener = g_new0(Listener, 1);
        listener->relay = relay;
        listener->spec = spec;
        g_queue_init(&listener->connections);
        listener->closing = (Closing){
                .connections = &listener->connections,
                .why = END_LISTENER_CLOSED,
                .done = listener_closed,
                .owner = listener,
        };
        listener->sources = sources_new();
        listener->rests = rests_table_new();
        listener->alarm = (Alarm){.ring = backlog_retry, .owner = listener};
        g_queue_init(&listener->backlog);
        charges_init(&listener->charges, relay->quota, spec->uid);

        r = listener_check(spec, reason);
        if (r)
                return r;

        r = listener_open(listener, reason);
        if (r)
                return r;

        relay_add_listener(relay, listener);
        local = udp_local(listener->endpoint->udp);
        log_listener(listener, LOG_INFO, MSG_LISTENER_STARTED,
                     "Listener %" G_GUINT32_FORMAT " at %s started", listener->id,
                     address_format_port(&local, where));
        relay_tell(relay, listener_added, listener);
        *ret = g_steal_pointer(&listener);
        return 0;
}

bool listener_close(Listener *listener) {
        Relay *relay = listener->relay;

        if (listener->gone)
                return false;

        listener->gone = true;
        refresh_forget(listener);
        relay_drop_listener(relay, listener);
        trunk_leave_listener(listener);
        alarm_clear(relay, &listener->alarm);
        listener->queue_source = sd_event_source_disable_unref(listener->queue_source);
        return closing_begin(relay, &listener->closing);
}

ListenerFacts listener_facts(const Listener *listener) {
        return (ListenerFacts){
                .id = listener->id,
                .local = udp_local(listener->endpoint->udp),
                .spec = listener->spec,
                .backlog = listener->backlog.length,
                .n_connections = listener->connections.length,
                .accept_queue_open = listener->queue,
        };
}

Counters listener_counters(const Listener *listener) {
        return tally_counters(&listener->tally);
}
