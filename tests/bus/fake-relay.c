/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake-relay.h"

#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

struct Connection {
        Relay *relay;
        ConnectionFacts facts;
        Spec *spec;
        GArray *errors;
        GQueue datagrams; /* of GBytes */
        char error_text[256];
        int app_fd; /* what the channel's other end would be */
};

struct Listener {
        Relay *relay;
        ListenerFacts facts;
        Spec *spec;
};

struct Verifier {
        Relay *relay;
        VerifierFacts facts;
        Spec *spec;
};

struct Watch {
        sd_event_source *source;
        WatchHandler handler;
        void *userdata;
};

struct Relay {
        sd_event *event;
        GPtrArray *connections; /* by id, rising */
        GPtrArray *listeners;
        GPtrArray *verifiers;
        uint32_t last_id, last_verifier;
        const RelayObserver *observer;
        void *userdata;
        EndReason close_reason;
        unsigned n_owners_gone, n_owners_lost;
        bool is_stirred;
};

static const RelayObserver fake_nobody = {};
static Relay *fake_last;

/* ---- what a test says ---- */

Relay *fake_relay(void) {
        return fake_last;
}

static Connection *fake_connection_of(Relay *relay, Spec *spec, bool announced) {
        Connection *connection = g_new0(Connection, 1);

        connection->relay = relay;
        connection->spec = spec;
        connection->app_fd = -1;
        connection->errors = verdict_errors_new();
        connection->facts = (ConnectionFacts){
                .id = ++relay->last_id,
                .state = HANDSHAKE_NOT_STARTED,
                .peer = spec->peer,
                .local = spec->local,
                .spec = spec,
                .data_mtu = 1371,
                .session = session_facts_none,
                .error_text = connection->error_text,
                .verification_errors = connection->errors,
                .announced = announced,
        };
        g_ptr_array_add(relay->connections, connection);
        if (relay->observer->connection_added)
                relay->observer->connection_added(connection, relay->userdata);
        return connection;
}

static Spec *fake_spec(uid_t uid, const char *owner) {
        Spec *spec = spec_new(DTLS_CLIENT, uid, owner);

        spec->persistent = !owner;
        return spec;
}

Connection *fake_connection(Relay *relay, uid_t uid, const char *owner, bool announced) {
        return fake_connection_of(relay, fake_spec(uid, owner), announced);
}

static Listener *fake_listener_of(Relay *relay, Spec *spec) {
        Listener *listener = g_new0(Listener, 1);

        listener->relay = relay;
        listener->spec = spec;
        listener->facts = (ListenerFacts){
                .id = ++relay->last_id,
                .local = spec->local,
                .spec = spec,
        };
        g_ptr_array_add(relay->listeners, listener);
        if (relay->observer->listener_added)
                relay->observer->listener_added(listener, relay->userdata);
        return listener;
}

Listener *fake_listener(Relay *relay, uid_t uid, const char *owner) {
        return fake_listener_of(relay, fake_spec(uid, owner));
}

static Verifier *fake_verifier_of(Relay *relay, Spec *spec) {
        Verifier *verifier = g_new0(Verifier, 1);

        verifier->relay = relay;
        verifier->spec = spec;
        verifier->facts = (VerifierFacts){
                .id = ++relay->last_verifier,
                .spec = spec,
                .error_text = "",
        };
        g_ptr_array_add(relay->verifiers, verifier);
        if (relay->observer->verifier_added)
                relay->observer->verifier_added(verifier, relay->userdata);
        return verifier;
}

Verifier *fake_verifier(Relay *relay, uid_t uid, const char *owner) {
        return fake_verifier_of(relay, fake_spec(uid, owner));
}

uint32_t fake_id(const Connection *connection) {
        return connection->facts.id;
}

void fake_changed(Connection *connection, unsigned mask) {
        const Relay *relay = connection->relay;

        if (relay->observer->connection_changed)
                relay->observer->connection_changed(connection, mask, relay->userdata);
}

void fake_state(Connection *connection, HandshakeState state, DtlsError error, const char *text) {
        const Relay *relay = connection->relay;

        connection->facts.state = state;
        connection->facts.encrypted = state == HANDSHAKE_COMPLETE;
        connection->facts.error = error;
        g_strlcpy(connection->error_text, text, sizeof(connection->error_text));
        fake_changed(connection, CHANGED_STATE | CHANGED_ERROR);
        if (relay->observer->connection_state)
                relay->observer->connection_state(connection, state, error, text, relay->userdata);
}

void fake_verification_error(Connection *connection, VerdictCode code) {
        verdict_errors_add(connection->errors, code, NULL);
}

void fake_datagram(Connection *connection, const char *text) {
        const Relay *relay = connection->relay;

        g_queue_push_tail(&connection->datagrams, g_bytes_new(text, strlen(text)));
        if (relay->observer->connection_datagram)
                relay->observer->connection_datagram(connection, relay->userdata);
}

void fake_datagram_signals(Connection *connection, bool on) {
        connection->spec->datagram_signals = on;
}

size_t fake_n_datagrams(const Connection *connection) {
        return connection->datagrams.length;
}

void fake_timeout(Connection *connection, bool manual) {
        Relay *relay = connection->relay;

        connection->spec->manual = manual;
        if (relay->observer->connection_timeout)
                relay->observer->connection_timeout(connection, relay->userdata);
}

void fake_psk_required(Connection *connection) {
        const Relay *relay = connection->relay;

        connection->facts.psk = (PendingPsk){
                .pending = true,
                .max_identity = SESSION_PSK_IDENTITY_MAX,
                .max_key = SESSION_PSK_KEY_MAX,
        };
        if (relay->observer->connection_psk_required)
                relay->observer->connection_psk_required(connection, relay->userdata);
}

void fake_closed(Connection *connection, EndReason reason) {
        const Relay *relay = connection->relay;

        if (relay->observer->connection_closed)
                relay->observer->connection_closed(connection, reason, relay->userdata);
}

static void connection_free(Connection *connection) {
        if (connection->app_fd >= 0)
                (void)close(connection->app_fd);
        g_queue_clear_full(&connection->datagrams, (GDestroyNotify)g_bytes_unref);
        (void)g_array_unref(connection->errors);
        (void)spec_free(connection->spec);
        g_free(connection);
}

void fake_removed(Connection *connection) {
        const Relay *relay = connection->relay;

        (void)g_ptr_array_remove(relay->connections, connection);
        if (relay->observer->connection_removed)
                relay->observer->connection_removed(connection->facts.id, connection->spec->uid,
                                                    relay->userdata);
        connection_free(connection);
}

void fake_new_connection(Listener *listener, Connection *connection) {
        const Relay *relay = listener->relay;

        if (relay->observer->listener_connection)
                relay->observer->listener_connection(listener, connection, relay->userdata);
}

EndReason fake_close_reason(const Relay *relay) {
        return relay->close_reason;
}

unsigned fake_n_owners_gone(const Relay *relay) {
        return relay->n_owners_gone;
}

unsigned fake_n_owners_lost(const Relay *relay) {
        return relay->n_owners_lost;
}

bool fake_take_stir(Relay *relay) {
        bool is_stirred = relay->is_stirred;

        relay->is_stirred = false;
        return is_stirred;
}

/* ---- relay/relay.h ---- */

const char *end_reason_name(EndReason reason) {
        static const char *const names[N_END_REASONS] = {
                "Shutdown", "Close",         "PeerClosed", "Replaced",      "IdleTimeout",
                "Failed",   "ChannelClosed", "OwnerGone",  "ListenerClosed"};

        return names[reason];
}

int relay_new(sd_event *event, Keys *keys, Quota *quota, Relay **ret) {
        Relay *relay = g_new0(Relay, 1);

        relay->event = event;
        relay->connections = g_ptr_array_new();
        relay->listeners = g_ptr_array_new();
        relay->verifiers = g_ptr_array_new();
        relay->observer = &fake_nobody;
        relay->close_reason = N_END_REASONS;
        fake_last = relay;
        *ret = relay;
        return 0;
}

Relay *relay_free(Relay *relay) {
        for (guint i = 0; i < relay->connections->len; i++)
                connection_free(g_ptr_array_index(relay->connections, i));
        for (guint i = 0; i < relay->listeners->len; i++) {
                Listener *listener = g_ptr_array_index(relay->listeners, i);

                (void)spec_free(listener->spec);
                g_free(listener);
        }
        while (relay->verifiers->len > 0)
                verifier_close(g_ptr_array_index(relay->verifiers, 0));
        (void)g_ptr_array_unref(relay->verifiers);
        (void)g_ptr_array_unref(relay->connections);
        (void)g_ptr_array_unref(relay->listeners);
        g_free(relay);
        return NULL;
}

static int on_watch(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        Watch *watch = userdata;

        watch->handler(events, watch->userdata); /* which may free it */
        return 0;
}

int relay_watch(Relay *relay, int fd, WatchHandler handler, void *userdata, Watch **ret) {
        Watch *watch = g_new0(Watch, 1);

        watch->handler = handler;
        watch->userdata = userdata;
        *ret = watch;
        return sd_event_add_io(relay->event, &watch->source, fd, EPOLLIN, on_watch, watch);
}

void watch_set(Watch *watch, uint32_t events) {
        g_assert_cmpint(sd_event_source_set_io_events(watch->source, events), >=, 0);
}

Watch *watch_free(Watch *watch) {
        if (watch)
                sd_event_source_disable_unref(watch->source);
        g_free(watch);
        return NULL;
}

void relay_observe(Relay *relay, const RelayObserver *observer, void *userdata) {
        relay->observer = observer ? observer : &fake_nobody;
        relay->userdata = userdata;
}

void relay_keyring_lost(Relay *relay) {
}

void relay_reload_trust(Relay *relay, Revocations *revocations) {
}

void relay_stir(Relay *relay) {
        relay->is_stirred = true;
}

void relay_end_turn(Relay *relay) {
        /* nothing is kept until then */
}

Counters relay_counters(const Relay *relay) {
        return (Counters){};
}

void relay_owner_gone(Relay *relay, const char *owner) {
        relay->n_owners_gone++;
        for (guint i = relay->connections->len; i > 0; i--) {
                Connection *connection = g_ptr_array_index(relay->connections, i - 1);

                if (g_strcmp0(connection->spec->owner, owner) == 0)
                        fake_removed(connection);
        }
}

void relay_owners_lost(Relay *relay) {
        relay->n_owners_lost++;
}

int relay_create_connection(Relay *relay, Spec *spec, Connection **ret, Reason *reason) {
        *ret = fake_connection_of(relay, spec, /* announced= */ true);
        return 0;
}

/* Of the first that has at least this number: they are in rising order. */
static guint fake_position(const Relay *relay, uint32_t id) {
        guint low = 0, high = relay->connections->len;

        while (low < high) {
                guint middle = (low + high) / 2;

                if (fake_id(g_ptr_array_index(relay->connections, middle)) < id)
                        low = middle + 1;
                else
                        high = middle;
        }

        return low;
}

Connection *relay_find_connection(const Relay *relay, uint32_t id) {
        guint at = fake_position(relay, id);
        Connection *connection =
                at < relay->connections->len ? g_ptr_array_index(relay->connections, at) : NULL;

        return connection && fake_id(connection) == id ? connection : NULL;
}

GArray *relay_list_connections(const Relay *relay, uint32_t after, size_t max) {
        GArray *ids = g_array_new(FALSE, FALSE, sizeof(uint32_t));

        for (guint i = fake_position(relay, after); i < relay->connections->len && ids->len < max;
             i++) {
                uint32_t id = fake_id(g_ptr_array_index(relay->connections, i));

                if (id > after)
                        g_array_append_val(ids, id);
        }

        return ids;
}

uint32_t connection_id(const Connection *connection) {
        return connection->facts.id;
}

ConnectionFacts connection_facts(const Connection *connection) {
        return connection->facts;
}

Counters connection_counters(const Connection *connection) {
        return (Counters){};
}

int connection_set_peer(Connection *connection, const Address *peer, const char *name,
                        Reason *reason) {
        connection->facts.peer = *peer;
        fake_changed(connection, CHANGED_PEER);
        return 0;
}

int connection_set_verification_name(Connection *connection, const char *name, Reason *reason) {
        return 0;
}

int connection_set_mtu_hint(Connection *connection, uint16_t mtu, Reason *reason) {
        connection->spec->mtu_hint = mtu;
        fake_changed(connection, CHANGED_MTU);
        return 0;
}

int connection_set_spec(Connection *connection, Spec *spec, Reason *reason) {
        (void)spec_free(spec);
        return 0;
}

int connection_ignore_errors(Connection *connection, const GArray *errors, Reason *reason) {
        return 0;
}

int connection_do_handshake(Connection *connection, Reason *reason) {
        fake_state(connection, HANDSHAKE_IN_PROGRESS, DTLS_NO_ERROR, "");
        return 0;
}

int connection_continue_handshake(Connection *connection, const void *data, size_t size,
                                  Reason *reason) {
        return connection_do_handshake(connection, reason);
}

int connection_decrypt(Connection *connection, const void *data, size_t size, GPtrArray **ret,
                       Reason *reason) {
        *ret = g_ptr_array_new();
        return 0;
}

int connection_open_carrier(Connection *connection, int *ret_fd, Reason *reason) {
        return RELAY_E_INVALID_OPERATION;
}

int connection_set_cookie_parameters(Connection *connection, const CookieParameters *parameters,
                                     Reason *reason) {
        return 0;
}

bool connection_cookie_parameters(const Connection *connection, CookieParameters *ret) {
        return false;
}

int connection_handle_timeout(Connection *connection, bool *ret_occurred, Reason *reason) {
        *ret_occurred = false;
        return 0;
}

int connection_resume_handshake(Connection *connection, Reason *reason) {
        return 0;
}

int connection_abort_handshake(Connection *connection, Reason *reason) {
        return 0;
}

int connection_provide_psk(Connection *connection, GBytes *identity, const Secret *key,
                           Reason *reason) {
        return 0;
}

int connection_refuse_psk(Connection *connection, Reason *reason) {
        return 0;
}

int connection_write(Connection *connection, uid_t uid, const void *data, size_t size,
                     Reason *reason) {
        return 0;
}

int connection_read(Connection *connection, GBytes **ret, Reason *reason) {
        if (g_queue_is_empty(&connection->datagrams))
                return RELAY_E_NOTHING;

        *ret = g_queue_pop_head(&connection->datagrams);
        return 0;
}

GBytes *connection_take_oldest(Connection *connection) {
        return g_queue_pop_head(&connection->datagrams);
}

void connection_set_error(Connection *connection, DtlsError error, const char *text) {
        connection->facts.error = error;
        g_strlcpy(connection->error_text, text, sizeof(connection->error_text));
}

int connection_shutdown(Connection *connection, Reason *reason) {
        return 0;
}

int connection_share(Connection *connection, const Share *share, Reason *reason) {
        GArray *shares = shares_with(connection->spec->shares, share);

        g_clear_pointer(&connection->spec->shares, g_array_unref);
        connection->spec->shares = shares;
        fake_changed(connection, CHANGED_SHARES);
        return 0;
}

int connection_unshare(Connection *connection, const Share *share, Reason *reason) {
        bool found;
        GArray *shares = shares_without(connection->spec->shares, share, &found);

        g_clear_pointer(&connection->spec->shares, g_array_unref);
        connection->spec->shares = shares;
        fake_changed(connection, CHANGED_SHARES);
        return found ? 0 : RELAY_E_INVALID_PARAMETERS;
}

void connection_close(Connection *connection, EndReason why) {
        connection->relay->close_reason = why;
}

int connection_open_channel(Connection *connection, int *ret_fd, uint32_t *ret_data_mtu,
                            Reason *reason) {
        int pair[2];

        g_assert_cmpint(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), ==, 0);
        connection->app_fd = pair[0];
        connection->facts.channel_open = true;
        *ret_fd = pair[1];
        *ret_data_mtu = connection->facts.data_mtu;
        return 0;
}

int connection_open_shared_channel(Connection *connection, const Opener *opener, int *ret_fd,
                                   uint32_t *ret_data_mtu, Reason *reason) {
        return connection_open_channel(connection, ret_fd, ret_data_mtu, reason);
}

GArray *connection_attached(const Connection *connection) {
        return g_array_new(FALSE, FALSE, sizeof(Attached));
}

int connection_export_keying_material(Connection *connection, const char *label, GBytes *context,
                                      uint32_t size, Secret **ret, Reason *reason) {
        *ret = secret_new_zero(size);
        return 0;
}

int connection_session_ticket(Connection *connection, GBytes **ret, uint32_t *ret_lifetime,
                              Reason *reason) {
        *ret = g_bytes_new_static("ticket", 6);
        *ret_lifetime = 60;
        return 0;
}

int relay_open_channel(Relay *relay, uid_t uid, const char *owner, int *ret_fd, uint32_t *ret_id,
                       Reason *reason) {
        return RELAY_E_QUOTA;
}

int relay_listen(Relay *relay, Spec *spec, Listener **ret, Reason *reason) {
        *ret = fake_listener_of(relay, spec);
        return 0;
}

Listener *relay_find_listener(const Relay *relay, uint32_t id) {
        for (guint i = 0; i < relay->listeners->len; i++) {
                Listener *listener = g_ptr_array_index(relay->listeners, i);

                if (listener->facts.id == id)
                        return listener;
        }

        return NULL;
}

GArray *relay_list_listeners(const Relay *relay, uint32_t after, size_t max) {
        GArray *ids = g_array_new(FALSE, FALSE, sizeof(uint32_t));

        for (guint i = 0; i < relay->listeners->len && ids->len < max; i++) {
                const Listener *listener = g_ptr_array_index(relay->listeners, i);

                if (listener->facts.id > after)
                        g_array_append_val(ids, listener->facts.id);
        }

        return ids;
}

ListenerFacts listener_facts(const Listener *listener) {
        return listener->facts;
}

Counters listener_counters(const Listener *listener) {
        return (Counters){};
}

int listener_set_spec(Listener *listener, Spec *spec, Reason *reason) {
        (void)spec_free(spec);
        return 0;
}

int listener_set_cookie_parameters(Listener *listener, const CookieParameters *parameters,
                                   Reason *reason) {
        return 0;
}

CookieParameters listener_cookie_parameters(const Listener *listener) {
        return (CookieParameters){.hash = "Sha256"};
}

int listener_open_accept_queue(Listener *listener, int *ret_fd, Reason *reason) {
        return RELAY_E_QUOTA;
}

bool listener_close(Listener *listener) {
        Relay *relay = listener->relay;

        (void)g_ptr_array_remove(relay->listeners, listener);
        if (relay->observer->listener_removed)
                relay->observer->listener_removed(listener->facts.id, listener->spec->uid,
                                                  relay->userdata);
        (void)spec_free(listener->spec);
        g_free(listener);
        return true;
}

int relay_create_verifier(Relay *relay, Spec *spec, Verifier **ret, Reason *reason) {
        *ret = fake_verifier_of(relay, spec);
        return 0;
}

Verifier *relay_find_verifier(const Relay *relay, uint32_t id) {
        for (guint i = 0; i < relay->verifiers->len; i++) {
                Verifier *verifier = g_ptr_array_index(relay->verifiers, i);

                if (verifier->facts.id == id)
                        return verifier;
        }

        return NULL;
}

GArray *relay_list_verifiers(const Relay *relay, uint32_t after, size_t max) {
        GArray *ids = g_array_new(FALSE, FALSE, sizeof(uint32_t));

        for (guint i = 0; i < relay->verifiers->len && ids->len < max; i++) {
                const Verifier *verifier = g_ptr_array_index(relay->verifiers, i);

                if (verifier->facts.id > after)
                        g_array_append_val(ids, verifier->facts.id);
        }

        return ids;
}

VerifierFacts verifier_facts(const Verifier *verifier) {
        return verifier->facts;
}

int verifier_verify(Verifier *verifier, const Address *peer, const void *data, size_t size,
                    bool *ret_verified, GBytes **ret_reply, Reason *reason) {
        const Relay *relay = verifier->relay;

        verifier->facts.error = DTLS_INVALID_INPUT_PARAMETERS;
        g_strlcpy(reason->text, "of cardboard", sizeof(reason->text));
        if (relay->observer->verifier_changed)
                relay->observer->verifier_changed(verifier, CHANGED_ERROR, relay->userdata);
        return RELAY_E_INVALID_PARAMETERS;
}

int verifier_set_cookie_parameters(Verifier *verifier, const CookieParameters *parameters,
                                   Reason *reason) {
        return 0;
}

CookieParameters verifier_cookie_parameters(const Verifier *verifier) {
        return (CookieParameters){.hash = "Sha256"};
}

void verifier_close(Verifier *verifier) {
        Relay *relay = verifier->relay;

        (void)g_ptr_array_remove(relay->verifiers, verifier);
        if (relay->observer->verifier_removed)
                relay->observer->verifier_removed(verifier->facts.id, verifier->spec->uid,
                                                  relay->userdata);
        (void)spec_free(verifier->spec);
        g_free(verifier);
}
