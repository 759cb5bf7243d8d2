/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What relay's own files see of each other. No other room includes this.
 *
 * One owner each: Relay owns Listeners and Connections, a Listener its Endpoint, an own (client)
 * Connection its Endpoint while it is associated, a Connection its Session and Channel. What ends
 * is taken out of every table at once and buried; only relay_settle(), at the end of a turn, frees.
 * So no function on the way of a datagram has to ask whether it is still alive: it looks at
 * connection->session, which is NULL once the association is over.
 *
 * The batch for the net belongs to one endpoint at a time: whoever makes a session write into it
 * flushes it before another endpoint's turn comes.
 */

#include "base/brake.h"
#include "base/cleanup.h"
#include "base/seal.h"
#include "channel/accept-queue.h"
#include "channel/channel.h"
#include "relay/relay.h"
#include "session/cookie.h"
#include "transport/demux.h"
#include "transport/registry.h"
#include "transport/udp.h"

#include <sys/epoll.h>

#define RELAY_NET_DATAGRAMS 512               /* answers of one receive batch, flights and all */
#define RELAY_NET_BYTES ((size_t)1024 * 1024) /* 32 packets of 16 KiB, sealed, fit */
#define RELAY_APP_DATAGRAMS 256               /* records that one call can bring to light */
#define RELAY_APP_BYTES ((size_t)512 * 1024)  /* what a session keeps while shaking, opened */
#define RELAY_OUT_BYTES (CHANNEL_PACKETS_MAX * CHANNEL_SLOT_SIZE)
#define CONNECTION_ERROR_MAX 256 /* bytes of its text */
#define CONNECTION_QUEUE_MAX 64  /* datagrams kept for connection_read() */
#define CONNECTION_QUEUE_BYTES ((size_t)256 * 1024)
#define CONNECTION_LINGER_USEC (10 * UINT64_C(1000000)) /* API: a listener's, once over */
#define PATH_USEC UINT64_C(1000000)
#define LISTENER_BACKLOG_MAX 256
/* How soon a full accept queue is tried again, and how late one that nobody reads. */
#define LISTENER_RETRY_USEC (20 * UINT64_C(1000))
#define LISTENER_RETRY_MAX_USEC (1000 * UINT64_C(1000))
#define HELLO_RANDOM_SIZE 32
#define RESTS_USEC (60 * UINT64_C(1000000)) /* since it was fetched, however often it is used */
#define RESTS_PER_USER_MAX 64

/* ids for the journal's catalog */
#define MSG_CONNECTION_OPENED "c1a1a9be1b4742d9a3f0a6d3c8f5e911"
#define MSG_CONNECTION_FAILED "5f0b8c2f7e7e4b5bb2d1f7a4c0a3d922"
#define MSG_CONNECTION_ENDED "83f4d2a06c1d4d2f8f6e9b0b7a5c4e33"
#define MSG_LISTENER_STARTED "2d9a7c51e0b84f60a7d9c3e1b6f80a44"
#define MSG_LISTENER_ENDED "b76e0f3a94d24c0c8e5b1d2f9a7c6055"
#define MSG_QUOTA_REFUSED "9e3c5a7d1f2b4e8690a1b2c3d4e5f766"
#define MSG_IDENTITY_ENDS_SOON "621ec583211a46ffa7efb03fff82daa1"
#define MSG_IDENTITY_ENDED "a21dd28f75f64ad7ba7251f58a81c270"

typedef struct Crowd Crowd;
typedef struct Endpoint Endpoint;
typedef struct Source Source;
typedef struct Outlet Outlet;
typedef struct Owner Owner;
typedef struct Shaker Shaker;

/* ---- tally.c: what is counted, and under which name it is shown ---- */

typedef enum TallyKind {
        TALLY_DATAGRAMS_RECEIVED,
        TALLY_DATAGRAMS_SENT,
        TALLY_BYTES_RECEIVED,
        TALLY_BYTES_SENT,
        TALLY_RECORDS_ACCEPTED,
        TALLY_RECORDS_DIRECT, /* sealed or opened beside GnuTLS's record layer */
        TALLY_DELIVERED,      /* plaintext datagrams, to the application */
        TALLY_COLLECTED,      /* and from it */
        TALLY_DROPPED_FILTER,
        TALLY_DROPPED_NOT_AUTHENTIC,
        TALLY_DROPPED_EARLY, /* beyond what a session keeps while it shakes or waits */
        TALLY_DROPPED_APP_FULL,
        TALLY_DROPPED_SHARED_FULL, /* of channels that are not the owner's */
        TALLY_DROPPED_QUEUE_FULL,
        TALLY_DROPPED_STRANGER,
        TALLY_DROPPED_TOO_LONG,
        TALLY_DROPPED_SOCKET_FULL,
        TALLY_DROPPED_REFUSED, /* by the kernel: unreachable, firewall, over the path's MTU */
        TALLY_DROPPED_SOURCE,
        TALLY_DROPPED_TRUNCATED,
        TALLY_DROPPED_QUOTA,
        TALLY_COOKIES_ASKED,
        TALLY_HANDSHAKES_STARTED,
        TALLY_HANDSHAKES_COMPLETED,
        TALLY_HANDSHAKES_FAILED,
        TALLY_TIMEOUTS,
        TALLY_RETRANSMISSIONS,
        TALLY_REPLACED,
        TALLY_ICMP_ERRORS,
        TALLY_DROPPED_NOT_OPEN, /* on a shared channel: of a number that is not open */
        TALLY_PSKS_RESTED,      /* handshakes for whose key the keyring was not asked */
        TALLY_DROPPED_FRAMES,   /* packets of a shared channel that are no frames, or not all */
        N_TALLY_KINDS,
} TallyKind;

G_STATIC_ASSERT(N_TALLY_KINDS <= COUNTERS_MAX);

typedef struct Tally {
        uint64_t at[N_TALLY_KINDS];
} Tally;

Counters tally_counters(const Tally *tally);
/* Each adds upwards: to the connection, its listener, the service. */
void tally_connection(Connection *connection, TallyKind kind, uint64_t n);
void tally_listener(Listener *listener, TallyKind kind, uint64_t n);
/* What the engines counted since the last call. */
void tally_session(Connection *connection);
/* Of it what sending changes, and what changes when data went_by(). */
void tally_direct(Connection *connection);
void tally_went_by(Connection *connection);
void tally_outlet(Outlet *outlet);
void tally_endpoint(Endpoint *endpoint);
/* A listener's socket counts for all its peers; these tell them apart. */
void tally_received(Connection *connection, const Datagram *in);
void tally_sent(Connection *connection);

/* ---- charges.c: what one object has cost its owner, given back together ---- */

typedef struct Charges {
        Quota *quota;
        uid_t uid;
        uint64_t n[N_QUOTA_KINDS];
} Charges;

void charges_init(Charges *charges, Quota *quota, uid_t uid);
void charges_done(Charges *charges);
/* 0, or RELAY_E_QUOTA with the reason. */
int charges_add(Charges *charges, QuotaKind kind, uint64_t n, Reason *reason);
void charges_drop(Charges *charges, QuotaKind kind, uint64_t n);
void charges_drop_all(Charges *charges, QuotaKind kind);
/* From one to another of the same user's. */
void charges_move(Charges *from, Charges *to, QuotaKind kind, uint64_t n);
/* What a spec refers to; given back by spec_free(). 0, or RELAY_E_QUOTA with the reason. */
int charges_add_spec(Relay *relay, Spec *spec, Reason *reason);
/* The same in the place of @old, as spec_charge_instead(). */
int charges_replace_spec(Relay *relay, Spec *spec, Spec *old, Reason *reason);

/* ---- watch.c: sockets and channels, and whose turn it is ---- */

#define WATCHES_MAX 1024 /* are looked at, at once: in the kernel's list users have no turns */

typedef struct WatchUser WatchUser;

typedef struct Watches {
        int epoll_fd;
        sd_event_source *source; /* NULL: relay_run() is the loop */
        GHashTable *users;       /* WatchUser by uid */
        GQueue ring;             /* of those who have something to do */
        Watch *uses;             /* the keyring's socket; NULL: not open */
        WatchUser *serving;      /* whose slice it is; not in the ring */
        bool is_serving, is_stirred;
        uint64_t now_usec; /* of the last turn */
} Watches;

int watches_new(Relay *relay);
void watches_free(Relay *relay);
/* A timer of the loop's that is not set. */
int watches_new_timer(Relay *relay, sd_event_time_handler_t handler, void *userdata,
                      sd_event_source **ret);
/* Sets one, which is seen before it sleeps: tests/fences has nobody set one
 * otherwise. What is due at once comes behind all that is ready; a deferred source would come
 * before. */
void watches_set_timer(Relay *relay, sd_event_source *timer, uint64_t at_usec);
/* Whatever the handler is told stays so until it is changed; with EPOLLET it is told once, and
 * watch_set() makes it be told again. */
int watch_new(Relay *relay, uid_t uid, int fd, uint32_t events, WatchHandler handler,
              void *userdata, Watch **ret);

/* ---- alarms.c: one timer for all ---- */

typedef struct Alarm {
        void (*ring)(void *owner, uint64_t now_usec);
        void *owner;
        uint64_t at_usec;
        GSequenceIter *iter; /* NULL: not set */
} Alarm;

int alarms_new(Relay *relay);
void alarms_free(Relay *relay);
void alarm_set(Relay *relay, Alarm *alarm, uint64_t at_usec); /* SESSION_NEVER clears */
void alarm_clear(Relay *relay, Alarm *alarm);

/* ---- pace.c: so many datagrams a second of a user ---- */

typedef struct Pace Pace;

/* Something that waits for it. */
typedef struct Paced {
        void (*resume)(void *owner);
        void *owner;
        Pace *pace; /* NULL: it does not wait */
        GList link;
} Paced;

/* How many it may send now, or so much later; UINT64_MAX: there is no limit. Then quota_sent(). */
uint64_t pace_allows(const Relay *relay, uid_t uid, uint64_t ahead_usec);
/* 0, or RELAY_E_QUOTA with the reason. */
int pace_take_one(const Relay *relay, uid_t uid, Reason *reason);
/* Until it may send again, in turn with others of this user. */
void pace_wait(Relay *relay, uid_t uid, Paced *paced);
void pace_forget(Paced *paced); /* if it waits */

/* ---- journal.c: lines about connections; what a stranger can cause is rationed ---- */

/* "Connection 7 with ADDRESS " comes before. */
void log_connection(Connection *connection, int level, const char *message_id, const char *format,
                    ...) __attribute__((format(printf, 4, 5)));
void log_listener(Listener *listener, int level, const char *message_id, const char *format, ...)
        __attribute__((format(printf, 4, 5)));

/* ---- closing.c: connections that end together, some in a turn ---- */

typedef struct Closing {
        GQueue *connections; /* each leaves it when it is closed */
        EndReason why;
        void (*done)(void *owner); /* all have */
        void *owner;
} Closing;

int closings_new(Relay *relay);
void closings_free(Relay *relay);
/* Some now, the others in later turns; whether it is done. */
bool closing_begin(Relay *relay, Closing *closing);
void closings_finish(Relay *relay); /* all of them, now */
/* A connection that goes with its bus name is among that name's from birth to death. */
void owner_join(Connection *connection);
void owner_leave(Connection *connection); /* if it is */
/* The bus is, and no name leaves it any more: it is SPEC_NOBODY's, and goes with that if there is
 * nothing else by which its owner has hold of it. */
void owner_lost(Connection *connection);
void owner_gone(Relay *relay, const char *name);

/* ---- the objects ---- */

#include "relay/trunk.h"

struct Relay {
        sd_event *event;
        Watches watches;
        Keys *keys;
        Quota *quota;
        const Access *access; /* NULL: not known yet */
        Registry *registry;
        DatagramBatch *rx, *net, *app, *out;
        size_t net_mark; /* what the connection whose turn it is adds to net begins here */
        GTree *connections, *listeners, *verifiers; /* by id */
        GHashTable *owners; /* by name, of those with connections that go with it */
        GQueue closings;    /* of Closing, in turn */
        sd_event_source *closings_timer;
        GQueue refreshes; /* of Listener, in turn */
        sd_event_source *refreshes_timer;
        uint32_t last_connection, last_listener, last_verifier;
        GHashTable *lingering; /* uid to GQueue of Connections, the oldest first */
        GHashTable *crowds;    /* uid to Crowd, of those with handshakes that are not complete */
        GQueue suspended;      /* Connections that wait for their owners' answers, oldest first */
        GHashTable *paces;     /* uid to Pace, of those with something that waits */
        GHashTable *sharers;   /* Outlets by the name that has opened them (names.c) */
        GHashTable *trunks;    /* by id, */
        GHashTable *trunks_of; /* and by name */
        uint32_t last_trunk;
        GPtrArray *trunks_due; /* Trunks with something to send */
        sd_event_source *trunks_flush;
        GArray *graves; /* of Grave */
        sd_event_source *settle;
        GSequence *crowds_by_size;
        GSequence *alarms;
        sd_event_source *timer;
        uint64_t timer_usec; /* when it rings; SESSION_NEVER: it does not */
        GQueue shakers;      /* users with handshakes that wait, whose turn is next first */
        sd_event_source *shakes_timer;
        const Endpoint *shakes_first; /* without it: in whose turn, since when, and how much */
        gint64 shakes_spell_usec, shakes_spent_usec;
        size_t n_passed; /* established datagrams since handshakes' last turn, or spell */
        Trust *system_trust;
        bool system_trust_read;
        GHashTable *trusts; /* name to Trust, of the store's sets that were used */
        Revocations *revocation_files;
        GHashTable *revocations; /* uid to Revocations, all that count for it; made at first use */
        GHashTable *kept;        /* uid to what it is charged for in the store, size_t */
        Seal *seal;              /* of session tickets; they die with it */
        Expiry *expiry;
        uint32_t direct_after;
        GQueue rests;   /* rests.c */
        GQueue configs; /* config.c */
        Alarm rests_alarm;
        const RelayObserver *observer;
        void *observer_userdata;
        Tally tally;
        GHashTable *brakes; /* of users: for lines about their objects */
        bool buffer_judged;
};

/* A bound socket; without udp the owner of an external connection (carrier.c). */
/* The last path that the kernel was asked about; payload 0: it said nothing. */
typedef struct PathMemory {
        Address peer, local; /* whatever their ports are */
        size_t payload;
        uint64_t n_too_long; /* what the endpoint's socket had counted then */
        uint64_t asked_usec;
} PathMemory;

/* Handshakes in progress go before those that begin, however many these are. */
typedef enum LaterKind {
        LATER_GOES_ON,
        LATER_BEGINS,
        N_LATERS,
} LaterKind;

typedef struct Later {
        DatagramBatch *batch; /* NULL: none had to wait */
        size_t index;         /* of the next one */
} Later;

struct Endpoint {
        Relay *relay;
        Listener *listener;     /* or */
        Connection *connection; /* an own one's, connected */
        Udp *udp;
        Claim *claim;
        Demux *demux; /* a listener's: Connections */
        Watch *watch;
        DatagramBatch *waiting; /* what the socket would not take; NULL: it is not full */
        size_t waiting_index;
        Later later[N_LATERS]; /* what came for handshakes and had to wait */
        Shaker *shaker;        /* waits with others of its user; NULL: it does not */
        GList shaker_link;
        GPtrArray *paused; /* Outlets that are not read meanwhile */
        bool over;
        UdpStats seen;
        PathMemory path;
        Charges charges;
};

/* What is asked for a session that waits. */
typedef struct Question {
        bool open;
        uint32_t serial;
        SessionWant want;
        uint64_t ticket;  /* of the keyring's answer; 0: it is not asked */
        GList *suspended; /* in relay->suspended; NULL: it does not wait for its owner */
        GBytes *identity; /* of the PSK it is asked for, */
        Key *psk_key;     /* and which it is */
        PendingPsk psk;   /* with references of its own */
} Question;

/* A channel, and whose it is. */
struct Outlet {
        Connection *connection;
        Channel *channel; /* NULL: it is over */
        Watch *watch;
        bool is_owners;
        bool stopped;    /* nothing is collected, for the endpoint is full or its user too fast */
        unsigned rights; /* SHARE_READ: what comes is delivered; SHARE_WRITE: it is collected */
        char *name;      /* who opened it; "": no name any more. Of an owner's NULL */
        gid_t *gids;
        size_t n_gids;
        DatagramBatch *held; /* of a burst, what the channel did not take yet; NULL: nothing */
        size_t held_index;
        ChannelStats seen;
        Paced paced;
        Charges charges; /* the uid */
};

struct Connection {
        /* what a datagram needs, side by side: with very many it is what it costs */
        Relay *relay;
        Listener *listener; /* NULL: an own one */
        Endpoint *endpoint; /* while associated */
        Session *session;   /* NULL: not associated */
        Outlet *outlet;    /* the owner's channel; NULL: what comes is kept for connection_read() */
        Lane *lane;        /* its place there; NULL: not open, and nothing is to be told of it */
        GPtrArray *others; /* Outlets of those it is shared with; NULL: there are none */
        Connection *successor, *predecessor; /* RFC 6347 4.2.8 (replace.c) */
        HandshakeState state;                /* written in connection.c alone */
        bool gone;                           /* out of every table, to be freed */
        uint32_t data_mtu;
        uint64_t active_usec;
        uint64_t measured_usec; /* the path; 0: never */
        uint64_t n_too_long;    /* what the endpoint's socket had counted then */
        SessionStats seen_session;
        Tally tally;

        uint32_t id;
        Spec *spec; /* its own copy: peer, verification name and MTU hint follow commands */
        SessionConfig *config;
        Trunk *trunk; /* its shared channel, from birth on; NULL: none */
        Owner *owner; /* the bus name that it goes with; NULL: it does not */
        GList link;   /* in its trunk, or in its owner */
        GList listener_link;
        bool had_lane;
        Channel *carrier; /* external: its packets are ciphertext; NULL: datagrams are signals */
        Watch *carrier_watch;
        CookieJar *jar; /* an external server's */
        int handing_fd; /* the application's end, until the accept queue takes it */

        uint8_t hello_random[HELLO_RANDOM_SIZE]; /* RFC 6347 4.2.8 */

        bool ending; /* in connection_end(), which may be reached from below itself */
        bool announced;
        bool handed; /* known to its owner by a channel alone, which is its life */
        bool in_backlog;
        Source *source; /* while it shakes */
        GList *source_link;

        /* facts */
        Address local;
        DtlsError error;
        char *error_text;     /* "": there is no error */
        bool timed_out;       /* the error is a deadline's */
        char *blame;          /* why an answer could not be had, while a session fails of it */
        GArray *errors;       /* of VerdictError */
        GArray *ignored;      /* of VerdictError */
        size_t ignored_bytes; /* charged for @ignored */
        bool ignored_said;    /* by IgnoreVerificationErrors; else they are the spec's */
        GPtrArray *peer_chain;
        GBytes *psk_identity;
        const SessionFacts *agreed; /* the session's; once it is over: */
        SessionFacts *kept;         /* NULL: nothing */

        Question question;
        GQueue queue; /* GBytes for connection_read() */
        size_t queue_bytes;
        uint64_t linger_usec; /* 0: not lingering */
        GList *linger_link;
        Alarm alarm;
        Charges charges;
        ChannelStats seen_carrier;
};

struct Listener {
        Relay *relay;
        uint32_t id;
        Spec *spec;
        SessionConfig *config;
        CookieJar *jar; /* with cookies off too: a restarted peer has to prove itself */
        Endpoint *endpoint;
        GQueue connections;
        Closing closing;
        GTree *sources;    /* host to Source */
        GHashTable *rests; /* Key to what rests of it here */
        Trunk *trunk;      /* its connections'; NULL: none */
        GList trunk_link;
        GList refresh_link; /* in relay->refreshes, if it has data */
        AcceptQueue *queue;
        sd_event_source *queue_source;
        GQueue backlog; /* Connections that wait for room in the queue */
        uint64_t retry_usec;
        bool gone;
        Alarm alarm;
        Charges charges;
        Tally tally;
};

/* ---- relay.c ---- */

uint64_t relay_now(const Relay *relay);
void relay_bury(Relay *relay, void *corpse, void (*release)(void *corpse));
void relay_settle(Relay *relay);
void relay_add_connection(Relay *relay, Connection *connection);
void relay_drop_connection(Relay *relay, Connection *connection);
void relay_add_listener(Relay *relay, Listener *listener);
void relay_drop_listener(Relay *relay, Listener *listener);
/* Returns its id. */
uint32_t relay_add_verifier(Relay *relay, Verifier *verifier);
void relay_drop_verifier(Relay *relay, Verifier *verifier);

/* Calls one member of the observer, if there is one. */
#define relay_tell(relay, member, ...)                                                             \
        do {                                                                                       \
                if ((relay)->observer && (relay)->observer->member)                                \
                        (relay)->observer->member(__VA_ARGS__, (relay)->observer_userdata);        \
        } while (0)

/* Fills reason, which may be NULL; returns outcome. */
int reason_set(Reason *reason, int outcome, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

/* ---- config.c ---- */

/* Whether @mtu is 0 or large enough for what @spec has to say in a handshake. */
int config_check_mtu(const Spec *spec, uint16_t mtu, Reason *reason);
/* The session configuration of a spec that is whole; else why it is not. */
int config_make(Relay *relay, Spec *spec, SessionConfig **ret, Reason *reason);
/* The same of one that was whole, for who goes on with the keys it has. */
int config_make_again(Relay *relay, const Spec *spec, SessionConfig **ret, Reason *reason);
/* Of a connection, which has no session any more; NULL then. */
void config_release(Relay *relay, SessionConfig **config);
void configs_close(Relay *relay);

/* ---- trusts.c ---- */

void trusts_open(Relay *relay);
void trusts_close(Relay *relay);
void trusts_reload_system(Relay *relay);
/* Whom @spec trusts, as it is now; NULL: nobody. Borrowed. */
Trust *trusts_for(Relay *relay, const Spec *spec);

/* ---- revoked.c ---- */

void revoked_open(Relay *relay);
void revoked_close(Relay *relay);
void revoked_set_files(Relay *relay, Revocations *revocations);
/* What counts for this user, as it is now. Borrowed. */
Revocations *revoked_for(Relay *relay, uid_t uid);

/* ---- kept.c ---- */

void kept_open(Relay *relay);
void kept_close(Relay *relay);
void kept_follow(Relay *relay); /* trust sets or revocations have changed */

/* ---- pins.c ---- */

/* What is pinned for whom a client expects; NULL: nothing. */
GPtrArray *pins_for(const Relay *relay, const Spec *spec);
/* Has the key of this certificate pinned for whom a client expects, where no other key is: a ticket
 * of keys. 0: it cannot be, and *ret_why says so. */
uint64_t pins_first_use(Relay *relay, const Spec *spec, GBytes *leaf, KeysDone answer,
                        void *userdata, const char **ret_why);

/* ---- psks.c: what is borrowed is until the loop turns ---- */

/* Of several with this identity the first by name; NULL: there is none. */
const KeysPsk *psks_find(const Relay *relay, const Spec *spec, GBytes *identity);
/* What a client uses: there must be one and no other. */
int psks_find_only(const Relay *relay, const Spec *spec, const KeysPsk **ret, Reason *reason);
/* Whether @spec has what it needs of the store. */
int psks_check(const Relay *relay, const Spec *spec, Reason *reason);

/* ---- rests.c: PSKs that rest in a listener, where rules let them ---- */

void rests_open(Relay *relay);
GHashTable *rests_table_new(void); /* a listener's */
/* What the keyring has said of the PSK @key with this identity; copied. */
void rests_keep(Listener *listener, GBytes *identity, Key *key, const Secret *psk,
                uint64_t now_usec);
/* NULL: it does not rest there. Borrowed until the loop turns. */
const Secret *rests_find(const Listener *listener, const Key *key, uint64_t now_usec);
void rests_drop_listener(Listener *listener);
/* What has this name in the store; NULL: all. @userdata: the Relay. */
void rests_drop(const char *name, void *userdata);

/* ---- ticket.c ---- */

int ticket_seal(const Relay *relay, const Spec *spec, const Secret *session, GBytes **ret);
/* Whether the ticket of @spec is this user's; who connects where is not known yet. */
int ticket_check(const Relay *relay, const Spec *spec, Reason *reason);
/* And is for this connection. *ret: what a session can begin with; not set when none was given. */
int ticket_open(const Relay *relay, const Spec *spec, Secret **ret, Reason *reason);

/* ---- cookies.c ---- */

int cookies_make_jar(const Spec *spec, CookieJar **ret, Reason *reason);
/* Puts @parameters into @spec, and a new jar in the place of @jar. */
int cookies_set(Spec *spec, CookieJar **jar, const CookieParameters *parameters, Reason *reason);
CookieParameters cookies_parameters(const CookieJar *jar);

/* ---- endpoint.c ---- */

/* RELAY_E_SOCKET, RELAY_E_EXISTS, RELAY_E_QUOTA. */
int endpoint_new(Relay *relay, uid_t uid, const Address *local, Endpoint **ret, Reason *reason);
/* Of an external connection. */
Endpoint *endpoint_new_external(Connection *connection);
int endpoint_connect(Endpoint *endpoint, const Address *peer, bool dont_fragment, Reason *reason);
int endpoint_start(Endpoint *endpoint); /* its events */
/* Warns once when a socket has less than it should to receive into. */
void endpoint_judge_buffer(Relay *relay, size_t size);
Endpoint *endpoint_free(Endpoint *endpoint);
void endpoint_bury(Endpoint *endpoint);
Connection *endpoint_find(Endpoint *endpoint, const Datagram *in);
/* Sends what is in the net batch; what the socket does not take waits. */
void endpoint_flush(Endpoint *endpoint);
/* Makes sure that one more call of a session fits. */
void endpoint_make_room(Endpoint *endpoint);
bool endpoint_is_full(const Endpoint *endpoint);
/* Hears of what is there again, and of room to send while something waits. The loop tells of each
 * socket and each channel once (EPOLLET): told until it is read, a thousand that wait would be told
 * in every turn of any of them. So who leaves something behind says this, or outlet_listen(). */
void endpoint_listen(Endpoint *endpoint);
bool later_is_waiting(const Later *later);
bool endpoint_has_later(const Endpoint *endpoint);
void endpoint_pause(Endpoint *endpoint, Outlet *outlet);
void endpoint_forget(Endpoint *endpoint, Outlet *outlet);
void endpoint_drain(Endpoint *endpoint); /* the socket takes more again */
void endpoint_fail(Endpoint *endpoint, int r);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Endpoint, endpoint_free)

/* ---- shakes.c: handshakes, which give way ---- */

int shakes_new(Relay *relay);
void shakes_free(Relay *relay);
/* How long they may go on at once, and that they took so long, then or elsewhere. */
gint64 shakes_allowance(const Endpoint *endpoint, gint64 now_usec);
void shakes_spend(Relay *relay, gint64 usec);
/* How much time what is established has before handshakes go on, of which so many datagrams passed
 * since the turn before; these took @took_usec. */
gint64 shakes_share_of_others(size_t n_passed, gint64 took_usec);
/* Something was put aside at this socket: it has its turn. */
void shakes_wait(Endpoint *endpoint);
void shakes_forget(Endpoint *endpoint);

/* ---- ingress.c, egress.c ---- */

/* What was put aside, the oldest first: one, and more until @until_usec. */
void ingress_catch_up(Endpoint *endpoint, gint64 until_usec);
void on_udp_event(uint32_t events, void *userdata);
void on_channel_event(uint32_t events, void *userdata);
/* What the application wrote before it said goodbye still goes out. */
void egress_last(Outlet *outlet);

/* ---- carrier.c: Transport "external" ---- */

void carrier_send(Connection *connection, const DatagramBatch *net);
/* A stranger's hello to an external server: as cookie_check(), which may want something sent. */
int carrier_prove(Connection *connection, const Datagram *in, Hello *ret);
void carrier_received(Connection *connection, const Datagram *in);
int connection_attach_carrier(Connection *connection, int *ret_app_fd, Reason *reason);
void connection_drop_carrier(Connection *connection);

/* ---- connection.c ---- */

/* Takes spec. */
int connection_new(Relay *relay, Spec *spec, Listener *listener, Connection **ret, Reason *reason);
Connection *connection_free(Connection *connection);
/* A fresh session on connection->endpoint. */
int connection_associate(Connection *connection, const Hello *hello, Reason *reason);
void connection_set_state(Connection *connection, HandshakeState state);
/* What is put into the net batch from here on is for its peer. */
void connection_address_net(const Connection *connection);
/* Around each call of the session outside ingress. */
void connection_prepare(Connection *connection);
void connection_finish(Connection *connection, int r);
/* After each call of the session: all that can have happened. */
void connection_went_on(Connection *connection, int r);
/* The same where each was session_went_direct(). */
void connection_went_by(Connection *connection);
/* The association is over; the object stays, lingers or goes. */
void connection_end(Connection *connection, EndReason why);
void connection_fail(Connection *connection, int r);
/* Ends, of too many, for another one, at whose @endpoint the turn is. */
void connection_give_way(Connection *connection, Endpoint *endpoint, const char *text);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Connection, connection_free)

/* ---- deadlines.c: what a connection does at some time ---- */

void connection_touch(Connection *connection); /* it is not idle */
void connection_schedule(Connection *connection);
void connection_ring(void *owner, uint64_t now_usec); /* of its alarm */

/* ---- lingering.c: a listener's that are over and can be read for a while ---- */

void lingering_open(Relay *relay);
void lingering_close(Relay *relay);
void lingering_begin(Connection *connection);
void lingering_end(Connection *connection); /* if it lingers */
/* For one more connection of this user's, where its share is used up. */
void lingering_make_room(Relay *relay, uid_t uid);

/* ---- path.c ---- */

/* DataMtu of the path, which is at most PATH_USEC old unless @at_once. */
void path_measure(Connection *connection, bool at_once);
/* The same when it is due; once in PATH_USEC, unless the kernel has said something. */
void connection_follow_path(Connection *connection, bool at_once);

/* ---- facts.c ---- */

void connection_changed(Connection *connection, unsigned mask);
void connection_clear_error(Connection *connection);
void connection_set_ignored(Connection *connection, const GArray *errors);
/* Copies what the session knows of the peer. */
void connection_learn_peer(Connection *connection);
void connection_forget_errors(Connection *connection);
void connection_forget_agreed(Connection *connection);
void connection_keep_agreed(Connection *connection);    /* its session goes */
void connection_forget_session(Connection *connection); /* what was agreed, and with whom */
void connection_forget_peer(Connection *connection);    /* all of it */
OpenedFacts connection_opened_facts(const Connection *connection, GBytes **ret_leaf);

/* ---- delivery.c ---- */

/* What the app batch holds goes to the channel, or into the queue. */
void connection_hand_over(Connection *connection);
/* One datagram of plaintext into the net batch. */
int connection_seal(Connection *connection, const void *data, size_t size);
int connection_attach_channel(Connection *connection, int *ret_app_fd, Reason *reason);
void connection_lost_channel(Connection *connection, int r);
void connection_drop_channel(Connection *connection);

/* ---- outlet.c ---- */

/* Charged to @opener; without one it is the owner's. */
int outlet_new(Connection *connection, const Opener *opener, Outlet **ret, int *ret_app_fd,
               Reason *reason);
/* As endpoint_listen(). */
void outlet_listen(const Outlet *outlet);
/* It is not read any more, and again; what comes for its reader goes on. */
void outlet_stop(Outlet *outlet);
void outlet_resume(void *owner);
/* It is not read until its user may send again. */
void outlet_wait(Outlet *outlet);
/* What its channel does not take waits, as far as there is room and quota; what channel_give()
 * says, but for CHANNEL_E_FULL. */
int outlet_deliver(Outlet *outlet, const DatagramBatch *app);
/* The application has read: what waits goes on. As channel_give(). */
int outlet_go_on(Outlet *outlet);
/* Nothing goes through it from here on; who has the other end reads what was delivered, then HUP.
 */
void outlet_bury(Outlet *outlet);
/* What was wrong with its channel. */
void outlet_lost(Outlet *outlet, int r);

/* ---- names.c: what goes with a bus name ---- */

GHashTable *names_new(void);
void names_add(GHashTable *names, const char *name, void *what);
void names_remove(GHashTable *names, const char *name, void *what); /* if it is there */
/* Any one, of this name or (NULL) of all. NULL: there is none. */
void *names_first(GHashTable *names, const char *name);

/* ---- sharing.c: channels of those it is shared with ---- */

void sharing_deliver(Connection *connection, const DatagramBatch *app);
void sharing_drop(Outlet *outlet);
void sharing_drop_all(Connection *connection);
/* The shares are others now: what they do not allow any more is closed. */
void sharing_review(Connection *connection);
/* A name left the bus, or all did (NULL), and then what is open stays open. */
void sharing_name_gone(Relay *relay, const char *name);

/* ---- questions.c ---- */

void question_look(Connection *connection);
void question_drop(Connection *connection);
/* The keyring that was asked is gone. */
void question_keyring_lost(Connection *connection);

/* ---- listener.c ---- */

Listener *listener_free(Listener *listener);
/* A stranger: NULL when it is only answered, or dropped. */
Connection *listener_greet(Listener *listener, const Datagram *in);
/* A proven hello: NULL when there is no room for it. @predecessor or NULL. */
Connection *listener_admit(Listener *listener, const Datagram *in, const Hello *hello,
                           Connection *predecessor);
void listener_forget(Listener *listener, Connection *connection);
/* Whether who completes a handshake there comes to anybody. */
bool listener_is_heard(const Listener *listener);
/* If it is not, and has no connection any more. */
void listener_end_unused(Listener *listener);
/* What its spec names is another now: handshakes that begin later have it. */
void listener_refresh(Listener *listener);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Listener, listener_free)

/* ---- refresh.c: configurations of listeners that are made anew, some in a turn ---- */

typedef bool (*RefreshIf)(const Spec *spec, const void *what);

int refreshes_new(Relay *relay);
void refreshes_free(Relay *relay);
/* Of each whose spec names what has changed. */
void refresh_listeners(Relay *relay, RefreshIf has_changed, const void *what);
/* If it waits for its turn: that is now, or is not needed any more. */
void refresh_before_use(Listener *listener);
void refresh_forget(Listener *listener);

/* ---- verifier.c ---- */

Verifier *verifier_free(Verifier *verifier);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Verifier, verifier_free)

/* ---- sources.c: unfinished handshakes, by user, listener and host ---- */

void sources_open(Relay *relay);
void sources_close(Relay *relay);
GTree *sources_new(void); /* a listener's */
void source_add(Connection *connection);
void source_drop(Connection *connection); /* if it is in one */
/* For the handshake of @connection, where there is no room for one more. */
void sources_make_room(Connection *connection);

/* ---- backlog.c ---- */

/* A handshake of the listener's completed. */
void listener_take(Listener *listener, Connection *connection);
void backlog_forget(Listener *listener, Connection *connection);
void backlog_retry(void *owner, uint64_t now_usec);

/* ---- replace.c: a new ClientHello from a known address ---- */

/* Whether it begins with a record that no keys protect. */
bool replace_is_plaintext(const Datagram *in);
/* Whether it can only go on with a handshake: it is no hello, nor data. */
bool replace_is_of_flight(const Datagram *in);
/* The association that this datagram is for. NULL: it is dealt with. */
Connection *replace_route(Connection *connection, const Datagram *in);
/* After the elder had it and did not take it. */
Connection *replace_second(Connection *elder, const Datagram *in);
void replace_note_hello(Connection *connection, const Datagram *in);
/* The successor completed. */
void replace_complete(Connection *successor);
/* Either is over. */
void replace_unlink(Connection *connection);
