/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Session: one DTLS association as a machine without a socket.
 *
 * Datagrams go in; datagrams for the net and plaintext for the application come out, as arguments.
 * Time is an argument too. What the machine cannot know by itself (a PSK, a signature, a verdict on
 * the peer) it asks for: session_question() after a call; it stays suspended, keeping what arrives
 * in bounds, until the answer comes, in any order with anything else, or it is aborted.
 *
 * Inside: the datagram filter, GnuTLS on a fiber, a clock of its own that stands still between the
 * timeouts this file decides, so that nothing is sent that was not meant to be.
 *
 * Knows: records, handshakes, GnuTLS. Does not know: sockets, D-Bus, keys, the event loop.
 */

#include "base/datagram.h"
#include "base/secret.h"
#include "base/terms.h"
#include "identity/verdict.h"
#include "session/config.h"
#include "session/hello.h"

#define SESSION_MTU_DEFAULT 1400 /* UDP payload; an ordinary link's, on loopback too */
#define SESSION_MTU_MIN 256      /* flights of more than 31 records fail in GnuTLS */
#define SESSION_MTU_MIN_CERTIFICATE 512
#define SESSION_PSK_IDENTITY_MAX 255 /* bytes; what PskRequired reports as maximum, as Qt does */
#define SESSION_PSK_KEY_MAX 512
#define SESSION_PAYLOAD_MAX 16347 /* GnuTLS: 16384 less what a record adds */
#define SESSION_EXPORT_LABEL_MAX 128
#define SESSION_EXPORT_CONTEXT_MAX 65535 /* RFC 5705, 4: its length has two bytes */
#define SESSION_EXPORT_MAX 1024          /* bytes; far more than the keys of anything */
#define SESSION_NEVER UINT64_MAX
#define SESSION_DIRECT_AFTER_DEFAULT 32 /* its two keys take 1.6 kB, which who is idle saves */

typedef struct Session Session;

typedef struct SessionSpec {
        SessionConfig *config;         /* referenced */
        const char *verification_name; /* name to match and to send as SNI; NULL: not matched */
        uint16_t mtu;                  /* bound on the handshake's datagrams; 0: default */
        bool manual;                   /* nothing is resent without session_retransmit() */
        uint64_t retransmit_initial_usec, retransmit_max_usec;
        uint64_t handshake_deadline_usec, answer_deadline_usec; /* from birth; from the question */
        const GArray *ignored;       /* of VerdictError; copied; may be NULL */
        const GArray *ignored_codes; /* of VerdictCode; copied; may be NULL */
        const Hello *hello;          /* server: of the datagram that will be received first */
        const Secret *ticket; /* client: session_ticket()'s of an earlier session; NULL: none */
        /* How many records of each direction GnuTLS handles before ours go beside its record layer;
         * 0: all of them. */
        uint32_t direct_after;
} SessionSpec;

typedef enum SessionState {
        SESSION_NEW,
        SESSION_SHAKING,
        SESSION_OPEN,
        SESSION_OVER, /* closed or failed; only its facts and failure can still be read */
} SessionState;

typedef enum SessionOutcome {
        SESSION_E_CLOSED = 1, /* the peer's close_notify; SESSION_OVER */
        SESSION_E_FAILED,     /* see session_failure(); an alert was appended if one is due; OVER */
        SESSION_E_NOT_OPEN,   /* send, before the handshake is complete or after the end */
        SESSION_E_EMPTY,      /* send, of no bytes */
        SESSION_E_TOO_LONG,   /* send, over session_payload_max(); whoever wants no IP fragments
                                 compares with session_data_mtu() before */
        SESSION_E_NO_ROOM, /* send, the net batch is full; nothing was sealed: flush, call again */
        SESSION_E_TIMEOUT, /* expire: a retransmission timeout occurred (and, unless manual, the
                              flight was appended) */
        SESSION_E_NO_TIMEOUT,         /* retransmit: none has occurred */
        SESSION_E_STALE,              /* answer: nobody asks that any more */
        SESSION_E_BAD_EXPORT,         /* export: a label of TLS itself, or a size out of range */
        SESSION_E_WEAK_MASTER_SECRET, /* export: no extended master secret (RFC 7627) */
        SESSION_E_NO_TICKET,          /* ticket: there is none */
} SessionOutcome;

typedef enum SessionWant {
        SESSION_WANTS_PSK,
        SESSION_WANTS_SIGNATURE,
        SESSION_WANTS_VERDICT, /* the peer's errors are not all ignored: session_errors() */
        SESSION_WANTS_PIN,     /* the peer, of session_peer_chain(), has proven to have its key */
} SessionWant;

typedef struct SessionQuestion {
        SessionWant want;
        uint32_t serial; /* unique in the session; an answer names it */
        /* PSK. Client: hint (NULL: none sent). Server: the identity the client named. */
        GBytes *hint;
        GBytes *identity;
        /* signature */
        uint64_t key_id;
        const char *algorithm; /* gnutls_sign_get_name()'s, which gnutls_sign_get_id() maps back:
                                  "ECDSA-SHA256", "RSA-PSS-RSAE-SHA256", "EdDSA-Ed25519", and
                                  "RSA-RAW": PKCS#1 1.5 of the DigestInfo that is the input */
        bool is_hash;          /* input is a hash (or DigestInfo), else the whole message */
        const uint8_t *input;
        size_t input_size;
} SessionQuestion;

typedef struct SessionFailure {
        DtlsError error;
        char *text; /* for people: what happened and, where it helps, what to do; NULL: nothing */
        bool timed_out; /* a deadline passed, and nothing better is known */
        int alert_sent; /* AlertDescription of RFC 5246 7.2; -1 none */
        int alert_received;
} SessionFailure;

/* QSslCipher's members and what else was agreed; strings are static or "" */
typedef struct SessionFacts {
        const char *protocol;    /* "DtlsV1_2", "DtlsV1_0", "UnknownProtocol" before */
        const char *cipher_name; /* IANA, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256" */
        const char *key_exchange, *authentication, *encryption, *mac;
        uint32_t bits;
        const char *curve; /* group of the ephemeral key, "" when none, or it has no name */
        uint32_t dh_bits;  /* of the prime of an ephemeral Diffie-Hellman key; 0: it is none */
        bool resumed;
        uint32_t ticket_lifetime; /* s, of session_ticket(); 0: there is none, or no hint */
        bool extended_master_secret;
        /* "Negotiated"; "Unsupported": a client named protocols, and none is ours; "None" */
        const char *next_protocol_status;
        uint8_t next_protocol[SESSION_NEXT_PROTOCOL_MAX];
        size_t next_protocol_size;
} SessionFacts;

extern const SessionFacts session_facts_none; /* before something was agreed */

typedef struct SessionStats {
        uint64_t n_records_accepted; /* that authenticated, or moved the handshake */
        uint64_t n_direct;           /* records sealed or opened beside GnuTLS's record layer */
        uint64_t n_dropped_filter;   /* records the filter took out */
        uint64_t n_dropped_queue;    /* records beyond the bound while shaking or suspended */
        uint64_t n_discarded;        /* records GnuTLS could not authenticate, or replays */
        uint64_t n_timeouts;
        uint64_t n_flights_resent;
        uint64_t n_dropped_net_full; /* datagrams of ours that the net batch had no room for */
        uint64_t n_dropped_app_full; /* plaintext that the app batch had no room for */
} SessionStats;

/* Once in a process, before the first session and before any thread: clears the environment that
 * GnuTLS would obey (key logs, priorities), sets its clock. */
int session_global_init(void);

int session_new(const SessionSpec *spec, uint64_t now_usec, Session **ret);
Session *session_free(Session *session); /* sends nothing; resumes and unwinds a suspended fiber */

/* Client: sends the first flight. (A server starts by receiving.) */
int session_start(Session *session, uint64_t now_usec, DatagramBatch *net);
int session_receive(Session *session, uint64_t now_usec, const Datagram *in, DatagramBatch *net,
                    DatagramBatch *app);
/* Several that came together, as one: what a flight brings is dealt with in one go. */
int session_receive_all(Session *session, uint64_t now_usec, const Datagram *in, size_t n,
                        DatagramBatch *net, DatagramBatch *app);
int session_send(Session *session, const void *data, size_t size, DatagramBatch *net);

/* When session_expire() wants to be called next; SESSION_NEVER: not. */
uint64_t session_deadline_usec(const Session *session);
int session_expire(Session *session, uint64_t now_usec, DatagramBatch *net, DatagramBatch *app);
/* QDtls::handleTimeout, manual mode. */
int session_retransmit(Session *session, uint64_t now_usec, DatagramBatch *net, DatagramBatch *app);

/* NULL when nothing is asked. Borrowed until the next call on the session. */
const SessionQuestion *session_question(const Session *session);
/* @identity: client's, ignored for a server. @key NULL refuses: a client's handshake fails at once
 * (alert, SESSION_E_FAILED); a server goes on with a random key and fails as with a wrong one, so
 * that the peer does not learn which identities there are (RFC 4279, 2). */
int session_answer_psk(Session *session, uint32_t serial, uint64_t now_usec, GBytes *identity,
                       const Secret *key, DatagramBatch *net, DatagramBatch *app);
/* @signature NULL: it cannot be had; @why for the failure's text. */
int session_answer_signature(Session *session, uint32_t serial, uint64_t now_usec,
                             const void *signature, size_t size, const char *why,
                             DatagramBatch *net, DatagramBatch *app);
/* @why NULL: the peer's key is pinned; else why it cannot be. */
int session_answer_pin(Session *session, uint32_t serial, uint64_t now_usec, const char *why,
                       DatagramBatch *net, DatagramBatch *app);
int session_answer_verdict(Session *session, uint32_t serial, uint64_t now_usec, bool accept,
                           DatagramBatch *net, DatagramBatch *app);
/* Replaces the lists; what is asked now is judged by relay, which compares. */
void session_set_ignored(Session *session, const GArray *ignored, const GArray *ignored_codes);

/* close_notify if open; user_canceled (fatal) if shaking. SESSION_OVER. */
void session_close(Session *session, DatagramBatch *net);
/* Asks memory for what application data needs of each, all at once. NULLs are passed over. */
void session_prefetch(Session *const sessions[], size_t n);

/* Keying material (RFC 5705). @label: 1 to SESSION_EXPORT_LABEL_MAX printable ASCII characters. */
int session_export_keying_material(const Session *session, const char *label, const void *context,
                                   size_t context_size, size_t size, Secret **ret);

/* What a client's later session can begin with, in place of a full handshake; it is as secret as
 * the session's keys. SESSION_E_NO_TICKET: the server gave none, or the key was a pre-shared one.
 * @ret_lifetime: s, the server's hint; 0: it gave none. */
int session_ticket(const Session *session, Secret **ret, uint32_t *ret_lifetime);

/* Whether what was last given to session_receive() carried a record that authenticated under
 * this session's keys: what tells an old association's records from those of a restarted peer
 * (RFC 6347 4.2.8). */
bool session_took_last(const Session *session);
/* Whether that was nothing but application data, which was taken, and not by GnuTLS: then all else
 * is as it was before. */
bool session_went_direct(const Session *session);

SessionState session_state(const Session *session);
const SessionFailure *session_failure(const Session *session);
const SessionFacts *session_facts(const Session *session); /* empty before GnuTLS is done */
SessionStats session_stats(const Session *session);
/* Of them these. */
uint64_t session_records_accepted(const Session *session);
uint64_t session_records_direct(const Session *session);
const GArray *session_errors(const Session *session); /* of VerdictError, may be empty */
#define SESSION_SERVER_NAME_MAX 255                   /* RFC 1035: a DNS name's */
/* The name that a server's client asked for (SNI), printable ASCII. False: none. */
bool session_server_name(const Session *session, char ret[static SESSION_SERVER_NAME_MAX + 1]);
GPtrArray *session_peer_chain(const Session *session); /* GBytes DER; NULL: none yet */
GBytes *session_psk_identity(const Session *session);  /* what was used; NULL: none */

/* The largest plaintext that fits one datagram of the path; 0 before SESSION_OPEN. */
size_t session_data_mtu(const Session *session);
/* The largest plaintext that fits a record at all, at most SESSION_PAYLOAD_MAX; 0 before OPEN. */
size_t session_payload_max(const Session *session);
/* The path's UDP payload (after the handshake it bounds data alone). Until this is called the path
 * is as wide as the handshake's bound. */
void session_set_path_mtu(Session *session, size_t payload);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Session, session_free)
