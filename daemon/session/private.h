/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the files of session/ know of each other; nobody outside the room includes it.
 *
 *   session.c    life, the verbs, what can be read
 *   timers.c     when what is due
 *   answer.c     the answers to questions
 *   handshake.c  runs gnutls_handshake() on a fiber until nothing moves any more
 *   ask.c        GnuTLS's callbacks that need an answer from outside: they stop the fiber
 *   data.c       the open session: plaintext in and out, goodbyes
 *   direct.c     its records without GnuTLS's record layer (record.c)
 *   wire.c       push and pull: records from the filter, datagrams to the net
 *   clock.c      the time GnuTLS is told
 *   mismatch.c   whether the pre-shared keys of the two ends differ
 *   failure.c    GnuTLS's codes and the peer's alerts in our words
 *   facts.c      what was agreed
 *   alpn.c       the protocol inside
 *   export.c     keying material of it for the application
 *   choice.c     which of the listed suites
 *   dh.c         Diffie-Hellman parameters of the caller's
 *   ticket.c     sessions to be taken up later
 *   config.c, priority.c, suites.c   what many sessions share
 */

#include "session/config.h"
#include "session/fiber.h"
#include "session/filter.h"
#include "session/record.h"
#include "session/session.h"

#include <gnutls/dtls.h>
#include <gnutls/gnutls.h>

#define SESSION_SUSPENDED_MAX 1024 /* stacks; 128 KiB of address space each */
#define SESSION_STACKS_SPARE 32
#define SESSION_NO_ALERT (-1)
#define SESSION_ID_MAX 32
/* records that did not authenticate, replays with them: RFC 9147 4.5.3 for AES-GCM and
 * ChaCha20-Poly1305 */
#define SESSION_DISCARDED_MAX (UINT64_C(1) << 36)

typedef struct Suite {
        const char *iana, *openssl;
        uint16_t id;
        const char *key_exchange, *cipher, *mac; /* GnuTLS's keywords */
} Suite;

/* One of SessionConfigSpec.ciphers that we have the credentials for. */
typedef struct ListedSuite {
        const Suite *suite;
        gnutls_priority_t priority; /* a server's: this suite alone; a client's: NULL */
} ListedSuite;

struct SessionConfig {
        unsigned n_references;
        SessionConfigSpec spec;
        char *psk_hint;
        PeerVerifyMode verify_mode; /* AutoVerifyPeer resolved */
        bool has_certificate;       /* a chain and somebody to sign for it */
        bool trusts_nobody;         /* spec.trust was not given */
        gnutls_priority_t priority;
        gnutls_certificate_credentials_t certificate;
        gnutls_psk_client_credentials_t psk_client;
        gnutls_psk_server_credentials_t psk_server;
        gnutls_dh_params_t dh; /* of both credentials; NULL: GnuTLS's own */
        gnutls_pk_algorithm_t key_algorithm;
        unsigned key_bits;
        gnutls_datum_t ticket_key; /* a server's that gives out tickets; else none */
        ListedSuite *listed;       /* in the caller's order; none: the profile's */
        size_t n_listed;
};

/* What is under way in one call from outside; nothing of it outlives the call. */
typedef struct SessionTurn {
        uint64_t now_usec;
        DatagramBatch *net; /* NULL: what is said goes nowhere (a session being freed) */
        DatagramBatch *app;
        uint8_t *place; /* in net: the datagram being put together */
        size_t size;
        bool pulled;  /* GnuTLS took a record since this was last cleared */
        bool pushed;  /* GnuTLS gave a record since this was last cleared */
        bool sent;    /* GnuTLS gave a record in this turn */
        bool starved; /* no stack was left for the fiber in this turn */
} SessionTurn;

typedef struct SessionAnswer {
        bool accept;
        bool unknown; /* a server has no key for this identity, and hides it */
        GBytes *identity;
        const Secret *key;
        const void *signature;
        size_t signature_size;
        const char *why;
} SessionAnswer;

/* Signs that the pre-shared keys differ: mismatch.c. */
typedef struct Mismatch {
        /* a server's: Finished records that the agreed keys do not open; of the first one */
        unsigned n_spoiled;
        uint64_t spoiled_usec, spoiled_number;

        /* a client's */
        bool finished;             /* its last flight was sent, with a pre-shared key */
        unsigned n_tried, n_fresh; /* how often: some time ago, just now */
        uint64_t flight_usec;      /* the last time */
        unsigned n_refused;        /* n_tried when the server said its hello again */
        uint64_t n_answered;       /* over n_timeouts: its hello is not answered before the next */
} Mismatch;

/* direct.c */
typedef struct Direct {
        uint32_t after; /* how many records go through GnuTLS first; 0: all */
        RecordKey *seal, *open;
        RecordWindow window; /* of encrypted records, whoever opened them */
        uint64_t next;       /* number of the next that is written, by whomever */
        bool ahead;          /* GnuTLS does not know that number */
        size_t size_max;     /* the longest plaintext that GnuTLS has sent */
        uint64_t n_blocks;   /* of the cipher, sealed so far */
} Direct;

struct Session {
        /* what application data needs, side by side (session_prefetch()) */
        SessionState state;
        bool took_last, went_direct;
        size_t payload_max, record_overhead;
        Direct direct;
        SessionStats stats;

        SessionConfig *config;
        char *verification_name;
        GArray *ignored;       /* of VerdictError; NULL: none */
        GArray *ignored_codes; /* of VerdictCode; NULL: none */
        bool manual;

        gnutls_session_t gnutls;
        Fiber *fiber;
        int code; /* what gnutls_handshake() returned last */
        Filter filter;
        SessionTurn turn;
        uint64_t clock_msec; /* what GnuTLS is told; clock.c */

        SessionFailure failure;
        SessionFacts facts;
        GArray *errors;        /* of VerdictError */
        GPtrArray *peer_chain; /* of GBytes; NULL: none */
        GBytes *psk_identity;

        SessionQuestion question;
        SessionAnswer answer;
        bool asking;
        bool psk_unknown;                /* a random key is in the place of the peer's */
        bool peer_has_protocols;         /* the client's hello names some */
        bool verdict_due;                /* the peer is judged when the handshake is complete */
        bool pin_due;                    /* the peer's key is to be pinned then */
        bool judged;                     /* what a resumed session says of its peer was looked at */
        uint8_t offered[SESSION_ID_MAX]; /* a client's: of the session that it would take up */
        size_t offered_size;
        uint32_t ticket_lifetime; /* s, as the server said with its ticket */
        int alert;                /* to send for the failure, in place of GnuTLS's choice */

        size_t mtu;      /* bound on the handshake's datagrams */
        size_t path_mtu; /* UDP payload of the path */
        size_t data_mtu;

        uint64_t retransmit_initial_usec, retransmit_max_usec, answer_deadline_usec;
        uint64_t interval_usec;     /* between the last transmission and the next */
        uint64_t retransmit_usec;   /* these are points in time; SESSION_NEVER: not */
        uint64_t handshake_usec;    /* the handshake's deadline */
        uint64_t answer_usec;       /* the answer's */
        uint64_t alert_usec;        /* when the remembered plaintext alert is believed */
        uint64_t housekeeping_usec; /* when GnuTLS may forget its last flight */
        bool timed_out;             /* manual: a timeout that nobody has handled yet */

        uint64_t n_discarded_seen; /* GnuTLS's counter before the record it has now */
        uint8_t sealed_type;
        uint64_t sealed_number; /* of the encrypted record GnuTLS has now */
        bool sealed;            /* it has one */
        Mismatch mismatch;
};

/* priority.c */
/* @n_suites 0: those of the profile. */
char *priority_string(const SessionConfigSpec *spec, bool certificates, const Suite *const *suites,
                      size_t n_suites);

/* suites.c */
const Suite *suite_find(const char *name); /* IANA's or OpenSSL's; NULL: there is none */
const Suite *suite_find_id(uint16_t id);
bool suite_has_psk(const Suite *suite);
bool suite_is_for_dtls_1_0(const Suite *suite);

/* choice.c: before GnuTLS sees the message. 0, or GnuTLS's code with the failure set. */
int choice_note_client_hello(Session *session, const gnutls_datum_t *hello);
int choice_note_server_hello(Session *session, const gnutls_datum_t *hello);

/* clock.c */
void clock_install(void);
/* Around every call of GnuTLS for a session; returns the one before, to be bound again behind. */
Session *clock_bind(Session *session);
Session *clock_bound(void);
/* Far enough that GnuTLS takes any flight in the air for lost. */
void clock_advance(Session *session);

/* wire.c */
void wire_attach(Session *session);
void wire_begin(Session *session, uint64_t now_usec, DatagramBatch *net, DatagramBatch *app);
void wire_settle(Session *session); /* was the record that GnuTLS took last good? */
void wire_end(Session *session);

/* ask.c: GnuTLS's callbacks */
int ask_psk_client(gnutls_session_t gnutls, gnutls_datum_t *identity, gnutls_datum_t *key);
int ask_psk_server(gnutls_session_t gnutls, const gnutls_datum_t *identity, gnutls_datum_t *key);
int ask_sign_data(gnutls_privkey_t key, gnutls_sign_algorithm_t algorithm, void *userdata,
                  unsigned flags, const gnutls_datum_t *data, gnutls_datum_t *signature);
int ask_sign_hash(gnutls_privkey_t key, gnutls_sign_algorithm_t algorithm, void *userdata,
                  unsigned flags, const gnutls_datum_t *hash, gnutls_datum_t *signature);
int ask_verdict(gnutls_session_t gnutls);
/* What is asked without a fiber, behind a complete handshake: the same, and for a pin. False: there
 * is nothing to ask. */
bool ask_late(Session *session);
/* The same look at the peer of a session that was taken up again. 0, or GnuTLS's code with the
 * failure set. */
int ask_verdict_resumed(Session *session);
void ask_clear(Session *session);
/* Who refuses the peer says why. */
void ask_verdict_refused(Session *session);
void ask_pin_refused(Session *session, const char *why);
/* What a peer that was not accepted is told. */
int ask_verdict_alert(const Session *session);

/* ticket.c */
bool ticket_is_wanted(const SessionConfig *config);
int ticket_prepare(Session *session, const Secret *ticket);
void ticket_note(Session *session, const gnutls_datum_t *message);
/* Our hello, as a client. */
void ticket_note_offer(Session *session, const gnutls_datum_t *hello);
/* Whether this message, which GnuTLS has consumed, takes up an old session. */
bool ticket_is_taken(const Session *session, unsigned type, const gnutls_datum_t *message);

/* handshake.c */
int handshake_global_init(void);
int handshake_prepare(Session *session);
/* Runs until nothing moves: 0, SESSION_E_FAILED, SESSION_E_CLOSED or a fault. */
int handshake_drive(Session *session);
/* Ends a suspended gnutls_handshake(); nothing is sent. */
void handshake_unwind(Session *session);
int handshake_complete(Session *session);

/* timers.c */
void timers_note_alert(Session *session);
void timers_set(Session *session); /* behind what may have moved the handshake */
/* The flight in the air once more, between two timeouts; what handshake_drive() says. */
int timers_answer(Session *session);

/* mismatch.c */
/* GnuTLS could not open the encrypted record that it has. */
void mismatch_note_spoiled(Session *session);
/* We said Finished. */
void mismatch_note_finished(Session *session);
/* At the end of each turn. */
void mismatch_note_turn(Session *session);
/* Each datagram, behind the filter and GnuTLS. 0, SESSION_E_FAILED, or a fault. */
int mismatch_take(Session *session, const Datagram *in);
bool mismatch_is_seen(const Session *session);   /* by a server */
bool mismatch_is_likely(const Session *session); /* for a client whose handshake ends anyway */
/* What must be wrong with the pre-shared keys, where they are. */
const char *mismatch_why(const Session *session);
const char *mismatch_hint(const Session *session); /* for a deadline's text; "": none */
/* With decrypt_error; SESSION_E_FAILED. */
int mismatch_end(Session *session);

/* data.c */
int data_read(Session *session);
/* Whether there were too many records that were none; what session_receive() says. */
int data_judge_forgeries(Session *session);

/* direct.c */
/* Whether a plaintext of this size goes out without GnuTLS. */
bool direct_sends(Session *session, size_t size);
/* What session_send() says. */
int direct_send(Session *session, const void *data, size_t size, DatagramBatch *net);
/* How many bytes of the datagram, from the first, are done with. */
size_t direct_receive(Session *session, const Datagram *in, DatagramBatch *app);
/* Encrypted records that GnuTLS reads: whether it may not have this one, which then is counted; and
 * that it took it. */
bool direct_has_taken(Session *session, uint64_t number);
void direct_note_taken(Session *session, uint64_t number);
/* Encrypted records that GnuTLS writes: before each call that may write one; and whether it may go
 * out, which then is noted. */
void direct_tell_number(Session *session);
bool direct_may_write(Session *session, uint64_t number);
void direct_done(Session *session); /* no keys are left */

/* failure.c */
bool failure_is_set(const Session *session);
void failure_set(Session *session, DtlsError error, const char *format, ...)
        __attribute__((format(printf, 3, 4)));
/* Ends the session for GnuTLS's @code: alert, text, SESSION_OVER. Returns SESSION_E_FAILED. */
int failure_from_code(Session *session, int code);
/* Ends it for a reason of ours, said by failure_set(), with this alert. */
int failure_end(Session *session, int alert);
/* Ends it for an alert of the peer. */
int failure_from_alert(Session *session, uint8_t description);

/* alpn.c */
int alpn_offer(Session *session);
void alpn_note_hello(Session *session, const gnutls_datum_t *hello);
void alpn_read(Session *session); /* into the facts */

/* facts.c */
void facts_read(Session *session);
void facts_measure(Session *session); /* data_mtu, payload_max, record_overhead */
