/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Relay: joins sockets, sessions and channels, and owns their events. This header is what bus/ may
 * use: commands with values, facts as values, and an observer that hears of changes.
 *
 * An Endpoint (a bound socket) is relay's own affair. A client Connection owns one; a Listener owns
 * one with the Connections of its peers; an external Connection has its owner for one. Nothing here
 * is freed before the end of a turn, so a pointer from relay_find_*() is good until the caller
 * returns to the loop, and no longer.
 *
 * Knows: everything below. Does not know: D-Bus.
 */

#include "access/access.h"
#include "access/quota.h"
#include "base/datagram.h"
#include "keys/keys.h"
#include "relay/expiry.h"
#include "relay/spec.h"
#include "session/session.h"

#include <systemd/sd-event.h>

typedef struct Relay Relay;
typedef struct Connection Connection;
typedef struct Listener Listener;
typedef struct Verifier Verifier;
typedef struct Watch Watch;
typedef void (*WatchHandler)(uint32_t events, void *userdata);

/* Outcomes of every command; each has its D-Bus error (bus/refuse.c). Reason.text is always filled.
 */
typedef enum RelayOutcome {
        RELAY_E_INVALID_PARAMETERS = 1, /* InvalidInputParameters */
        RELAY_E_INVALID_OPERATION,      /* not in this state */
        RELAY_E_SOCKET,                 /* UnderlyingSocketError */
        RELAY_E_CLOSED,                 /* RemoteClosedConnectionError */
        RELAY_E_VERIFICATION,           /* PeerVerificationError */
        RELAY_E_TLS_INITIALIZATION,
        RELAY_E_TLS_FATAL,
        RELAY_E_TLS_NON_FATAL,
        RELAY_E_QUOTA,
        RELAY_E_EXISTS,   /* the address and port are taken */
        RELAY_E_TOO_LONG, /* MessageTooLong */
        RELAY_E_TIMED_OUT,
        RELAY_E_CHANNEL_IN_USE,
        RELAY_E_NOTHING, /* read: nothing has arrived (the caller may wait for on_datagram) */
} RelayOutcome;

typedef struct Reason {
        char text[256]; /* for people: what, which number, what to do */
} Reason;

typedef enum EndReason { /* Closed(reason) on the bus, by these names */
        END_SHUTDOWN,
        END_CLOSE,
        END_PEER_CLOSED,
        END_REPLACED, /* a restarted peer proved itself (RFC 6347 4.2.8) */
        END_IDLE_TIMEOUT,
        END_FAILED,
        END_CHANNEL_CLOSED, /* the application closed its channel */
        END_OWNER_GONE,
        END_LISTENER_CLOSED,
        N_END_REASONS,
} EndReason;

const char *end_reason_name(EndReason reason); /* "Shutdown", "PeerClosed", … */

typedef enum ChangeMask { /* what PropertiesChanged is about */
        CHANGED_STATE = 1 << 0,
        CHANGED_PEER = 1 << 1,    /* address, port, verification name, local address */
        CHANGED_MTU = 1 << 2,     /* MtuHint, DataMtu */
        CHANGED_SESSION = 1 << 3, /* cipher, protocol, chain, identity, resumed */
        CHANGED_ERROR = 1 << 4,   /* Error, PeerVerificationErrors */
        CHANGED_PSK = 1 << 5,     /* PendingPsk */
        CHANGED_CONFIGURATION = 1 << 6,
        CHANGED_BACKLOG = 1 << 7,
        CHANGED_SHARES = 1 << 8,
        CHANGED_CHANNELS = 1 << 9, /* who has one open */
} ChangeMask;

/* Who opens a channel, borrowed. */
typedef struct Opener {
        AccessSubject subject;
        const char *name;
} Opener;

/* Who has one open. */
typedef struct Attached {
        uid_t uid;
        const char *name;   /* borrowed; "": the uid's, or no name's any more */
        unsigned rights;    /* SHARE_READ, SHARE_WRITE */
        uint64_t n_dropped; /* datagrams that it did not read in time */
} Attached;

typedef struct PendingPsk {
        bool pending;
        GBytes *hint;          /* borrowed; NULL: none */
        GBytes *peer_identity; /* borrowed; server role */
        uint32_t max_identity, max_key;
} PendingPsk;

/* A connection's facts as values: what getters read. Borrowed until the next command or turn. */
typedef struct ConnectionFacts {
        uint32_t id;
        const Listener *listener; /* NULL: an own one */
        HandshakeState state;
        bool encrypted;
        Address peer, local;
        const Spec *spec;
        uint32_t data_mtu;
        SessionFacts session;
        DtlsError error;
        const char *error_text;
        bool timed_out; /* the error is that a deadline passed (RELAY_E_TIMED_OUT for a waiter) */
        const GArray *verification_errors; /* of VerdictError; never NULL */
        GPtrArray *peer_chain;             /* GBytes DER; may be NULL */
        GBytes *psk_identity;              /* may be NULL */
        PendingPsk psk;
        bool channel_open; /* the owner's, of its own or shared */
        bool announced;
} ConnectionFacts;

typedef struct Counter {
        const char
                *name; /* CamelCase, "DatagramsReceived"; counters of drops: "DroppedAppFull", … */
        uint64_t value;
} Counter;

#define COUNTERS_MAX 32

typedef struct Counters {
        Counter at[COUNTERS_MAX];
        size_t n;
} Counters;

/* QDtlsClientVerifier::GeneratorParameters, borrowed. */
typedef struct CookieParameters {
        const char *hash;
        const void *secret;
        size_t size;
} CookieParameters;

/* Called from inside relay; must only take notes (bus/news.c sends at the end of the turn), must
 * not call commands. Any member may be NULL. */
typedef struct RelayObserver {
        void (*connection_added)(Connection *connection, void *userdata);
        void (*connection_changed)(Connection *connection, unsigned mask, void *userdata);
        /* every transition, so that no error is lost between calls */
        void (*connection_state)(Connection *connection, HandshakeState state, DtlsError error,
                                 const char *text, void *userdata);
        void (*connection_timeout)(Connection *connection, void *userdata); /* HandshakeTimeout */
        void (*connection_psk_required)(Connection *connection, void *userdata);
        /* An external connection's datagram to its owner, who carries it. Not a note: it is sent at
         * once, so that it is there before the answer to the call that caused it. Whether it was
         * taken; without this member none is. */
        bool (*connection_send)(Connection *connection, const Datagram *datagram, void *userdata);
        /* a datagram is in the queue of connection_read() */
        void (*connection_datagram)(Connection *connection, void *userdata);
        void (*connection_closed)(Connection *connection, EndReason reason, void *userdata);
        void (*connection_removed)(uint32_t id, uid_t uid, void *userdata);
        void (*listener_added)(Listener *listener, void *userdata);
        void (*listener_changed)(Listener *listener, unsigned mask, void *userdata);
        /* a handshake completed and no accept queue takes it: NewConnection */
        void (*listener_connection)(Listener *listener, Connection *connection, void *userdata);
        void (*listener_removed)(uint32_t id, uid_t uid, void *userdata);
        void (*verifier_added)(Verifier *verifier, void *userdata);
        void (*verifier_changed)(Verifier *verifier, unsigned mask, void *userdata);
        void (*verifier_removed)(uint32_t id, uid_t uid, void *userdata);
        /* Of the store: as KeysIdentitiesChanged. */
        void (*identities_changed)(const char *name, void *userdata);
        /* @days: the lead time that has come; 0: it has ended. */
        void (*identity_ends_soon)(const char *name, uint64_t not_after_usec, uint32_t days,
                                   void *userdata);
} RelayObserver;

int relay_new(sd_event *event, Keys *keys, Quota *quota, Relay **ret);
/* By these rules, which are borrowed, an administrator's PSKs of the store are used, and PSKs rest;
 * before, none is and does. To be said again when the rules are others. */
void relay_set_access(Relay *relay, const Access *access);
Relay *relay_free(Relay *relay); /* ends everything, close_notify where open */
/* What is gone is freed, and what it was charged is given back: by who is not called by relay, and
 * looks at nothing of it any more, sooner than by a round of the loop of its own. */
void relay_end_turn(Relay *relay);
/* As sd_event_loop() with the event that it was made with, which works too, at more cost. */
int relay_run(Relay *relay);
/* @fd has its turn among sockets and channels, with all that belongs to the service itself. The
 * loop's clock may stand still then. */
int relay_watch(Relay *relay, int fd, WatchHandler handler, void *userdata, Watch **ret);
void watch_set(Watch *watch, uint32_t events); /* at first EPOLLIN; 0: not even of its end */
Watch *watch_free(Watch *watch);
/* Its loop's sources and timers have a turn before it sleeps: said by who has set one of them, or
 * sent a message, and may have been called by relay. */
void relay_stir(Relay *relay);
void relay_observe(Relay *relay, const RelayObserver *observer, void *userdata);
/* The keyring died: handshakes that wait for it fail with a clear error. */
void relay_keyring_lost(Relay *relay);
/* From here on peers are judged by these (referenced) beside the store's, and by the system's trust
 * as it is now. */
void relay_reload_trust(Relay *relay, Revocations *revocations);
/* From here on it is told so long before that an identity of the store ends. */
void relay_set_lead_times(Relay *relay, const LeadTimes *times);
/* SessionSpec.direct_after, of sessions that are not there yet. */
void relay_set_direct_after(Relay *relay, uint32_t n_records);
Counters relay_counters(const Relay *relay); /* of the whole service */

/* A name left the bus: its objects go, and its channels to those of others. */
void relay_owner_gone(Relay *relay, const char *owner);
/* The bus went away, and the next one hands the same names out again: all that is there belongs to
 * no name any more, unless it is persistent. A connection that is on no channel goes, if it does
 * not wait for an accept queue; others live until their channel closes or their association ends. A
 * listener goes when it has neither accept queue nor shared channel, with its last connection. */
void relay_owners_lost(Relay *relay);

/* ---- connections: ids count up and are never reused ---- */

/* An object in HandshakeNotStarted. Takes @spec. */
int relay_create_connection(Relay *relay, Spec *spec, Connection **ret, Reason *reason);
Connection *relay_find_connection(const Relay *relay, uint32_t id);
/* Ids after @after in rising order, at most @max; a GArray of uint32_t. */
GArray *relay_list_connections(const Relay *relay, uint32_t after, size_t max);

uint32_t connection_id(const Connection *connection);
ConnectionFacts connection_facts(const Connection *connection);
Counters connection_counters(const Connection *connection);

/* Commands. Each writes the object's error as Qt would: set when it fails, cleared when it works,
 * unless the state is about an error (PeerVerificationFailed) and stays. */
int connection_set_peer(Connection *connection, const Address *peer, const char *name,
                        Reason *reason);
int connection_set_verification_name(Connection *connection, const char *name, Reason *reason);
int connection_set_mtu_hint(Connection *connection, uint16_t mtu, Reason *reason);
/* Takes @spec (role, owner, peer, local and name stay the object's). */
int connection_set_spec(Connection *connection, Spec *spec, Reason *reason);
/* @errors: GArray of VerdictError, copied. */
int connection_ignore_errors(Connection *connection, const GArray *errors, Reason *reason);
int connection_do_handshake(Connection *connection, Reason *reason);
/* External: begins a server's handshake with the peer's datagram, or goes on with either's. */
int connection_continue_handshake(Connection *connection, const void *data, size_t size,
                                  Reason *reason);
/* External: @ret: of GBytes, the plaintext of this datagram. */
int connection_decrypt(Connection *connection, const void *data, size_t size, GPtrArray **ret,
                       Reason *reason);
/* External: *ret_fd carries its datagrams from now on. */
int connection_open_carrier(Connection *connection, int *ret_fd, Reason *reason);
int connection_handle_timeout(Connection *connection, bool *ret_occurred, Reason *reason);
int connection_resume_handshake(Connection *connection, Reason *reason);
int connection_abort_handshake(Connection *connection, Reason *reason);
int connection_provide_psk(Connection *connection, GBytes *identity, const Secret *key,
                           Reason *reason);
int connection_refuse_psk(Connection *connection, Reason *reason);
/* @uid sends. */
int connection_write(Connection *connection, uid_t uid, const void *data, size_t size,
                     Reason *reason);
/* @ret: what arrived first. RELAY_E_NOTHING when the queue is empty. */
int connection_read(Connection *connection, GBytes **ret, Reason *reason);
/* The same, or NULL, for who was not called: it says nothing about the object's error. */
GBytes *connection_take_oldest(Connection *connection);
/* An external server's. */
int connection_set_cookie_parameters(Connection *connection, const CookieParameters *parameters,
                                     Reason *reason);
/* The same, or its listener's. False: it has none. */
bool connection_cookie_parameters(const Connection *connection, CookieParameters *ret);
int connection_shutdown(Connection *connection, Reason *reason);
/* The subject of @share has its rights from now on, and no others. */
int connection_share(Connection *connection, const Share *share, Reason *reason);
int connection_unshare(Connection *connection, const Share *share, Reason *reason);
/* Shuts down if need be; the object goes at the end of the turn. */
void connection_close(Connection *connection, EndReason why);
/* For what was refused before it came to a command. */
void connection_set_error(Connection *connection, DtlsError error, const char *text);
int connection_open_channel(Connection *connection, int *ret_fd, uint32_t *ret_data_mtu,
                            Reason *reason);
/* The same for whom it is shared with, by its right to read or write; beside the owner's. It is no
 * error of the object when it fails. */
int connection_open_shared_channel(Connection *connection, const Opener *opener, int *ret_fd,
                                   uint32_t *ret_data_mtu, Reason *reason);
/* A GArray of Attached, the owner's first. */
GArray *connection_attached(const Connection *connection);
/* RFC 5705. @context: NULL: none, which is not an empty one. */
int connection_export_keying_material(Connection *connection, const char *label, GBytes *context,
                                      uint32_t size, Secret **ret, Reason *reason);
/* For Spec.ticket of a later client of the same user's; sealed. @ret_lifetime: s, 0: not known. */
int connection_session_ticket(Connection *connection, GBytes **ret, uint32_t *ret_lifetime,
                              Reason *reason);

/* ---- shared channels ---- */

/* *ret_id is for Spec.channel of what @owner makes later. It goes when the fd is closed, or with
 * its owner. */
int relay_open_channel(Relay *relay, uid_t uid, const char *owner, int *ret_fd, uint32_t *ret_id,
                       Reason *reason);

/* ---- listeners ---- */

/* Takes @spec; spec->local says where. */
int relay_listen(Relay *relay, Spec *spec, Listener **ret, Reason *reason);
Listener *relay_find_listener(const Relay *relay, uint32_t id);
GArray *relay_list_listeners(const Relay *relay, uint32_t after, size_t max);

typedef struct ListenerFacts {
        uint32_t id;
        Address local;
        const Spec *spec;
        uint32_t backlog; /* completed connections that wait for room in the accept queue */
        uint32_t n_connections;
        bool accept_queue_open;
} ListenerFacts;

ListenerFacts listener_facts(const Listener *listener);
Counters listener_counters(const Listener *listener);
int listener_set_spec(Listener *listener, Spec *spec, Reason *reason); /* for later handshakes */
int listener_set_cookie_parameters(Listener *listener, const CookieParameters *parameters,
                                   Reason *reason);
CookieParameters listener_cookie_parameters(const Listener *listener);
int listener_open_accept_queue(Listener *listener, int *ret_fd, Reason *reason);
/* Its connections end with END_LISTENER_CLOSED, where there are many some in a turn. Whether it is
 * over; else listener_removed tells when it is, and its socket is free. */
bool listener_close(Listener *listener);

/* ---- client verifiers ---- */

/* Takes @spec, of which the owner and the cookie parameters count. */
int relay_create_verifier(Relay *relay, Spec *spec, Verifier **ret, Reason *reason);
Verifier *relay_find_verifier(const Relay *relay, uint32_t id);
GArray *relay_list_verifiers(const Relay *relay, uint32_t after, size_t max);

typedef struct VerifierFacts {
        uint32_t id;
        const Spec *spec;
        GBytes *hello; /* the verified one; NULL: none */
        DtlsError error;
        const char *error_text;
} VerifierFacts;

VerifierFacts verifier_facts(const Verifier *verifier);
/* @ret_reply: what is to be sent to @peer, or NULL: nothing. */
int verifier_verify(Verifier *verifier, const Address *peer, const void *data, size_t size,
                    bool *ret_verified, GBytes **ret_reply, Reason *reason);
int verifier_set_cookie_parameters(Verifier *verifier, const CookieParameters *parameters,
                                   Reason *reason);
CookieParameters verifier_cookie_parameters(const Verifier *verifier);
void verifier_close(Verifier *verifier);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Relay, relay_free)
