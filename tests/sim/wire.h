/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Wire: two sessions, one of each role, joined by a net that is as bad as it is told to be.
 *
 * Time is virtual: it jumps to whatever happens next, so a minute of retransmissions takes none.
 * Everything random comes from a seed. What the sessions ask is answered by the wire itself, at
 * once or later, unless a test wants to answer by hand.
 *
 * The wire also holds what must be so whatever the net does: no datagram longer than was allowed,
 * no timer that goes off again and again at one time, no fault.
 */

#include "session/cookie.h"
#include "session/session.h"

#include <glib.h>

#define WIRE_SECOND UINT64_C(1000000)
#define WIRE_IDENTITY "wire-device"
#define WIRE_PSK_KEY "a key for two"
#define WIRE_SERVER_NAME "server.example.org"

typedef enum WireKind {
        WIRE_PSK,
        WIRE_CERTIFICATE, /* of the server */
        WIRE_MUTUAL,      /* of both */
        N_WIRE_KINDS,
} WireKind;

typedef enum WireKey {
        WIRE_ECDSA,
        WIRE_RSA,
        WIRE_ED25519,
        N_WIRE_KEYS,
} WireKey;

typedef enum WireAnswers {
        WIRE_ANSWERS_AT_ONCE,
        WIRE_ANSWERS_LATER,   /* after answer_delay_usec of virtual time */
        WIRE_ANSWERS_BY_HAND, /* the test calls wire_answer() */
} WireAnswers;

typedef struct WireSetup {
        guint32 seed;
        WireKind kind;
        WireKey key; /* of the server's certificate */
        bool cookies;

        unsigned loss, duplication, reordering, corruption; /* percent of datagrams */
        uint64_t delay_usec;                                /* one way; 0: 10 ms */

        uint16_t mtu;                 /* of both sessions; 0: default */
        const char *name;             /* to verify and to send; NULL: WIRE_SERVER_NAME */
        const char *hint;             /* PSK */
        bool wrong_key;               /* the server has another PSK */
        bool tickets;                 /* asked for and given out */
        SessionConfig *server_config; /* of an earlier wire; NULL: a new one */
        const Secret *ticket;         /* of an earlier wire's client */
        bool distrust;                /* neither trusts the other's issuer */
        bool client_manual, server_manual;
        WireAnswers answers;
        uint64_t answer_delay_usec;
        uint64_t handshake_deadline_usec; /* 0: an hour */
        uint64_t answer_deadline_usec;    /* 0: half an hour */
} WireSetup;

typedef struct Wire Wire;

typedef struct WireEnd {
        Wire *wire;
        struct WireEnd *peer;
        DtlsRole role;
        SessionConfig *config;
        Session *session; /* the server's: NULL until a hello was accepted */
        Address address;

        int end;             /* SESSION_E_CLOSED or SESSION_E_FAILED when it is over */
        GPtrArray *received; /* GBytes of plaintext */
        unsigned n_timeouts;
        unsigned n_sent;       /* datagrams */
        uint64_t answer_usec;  /* when the wire will answer; SESSION_NEVER */
        uint64_t expired_usec; /* last time a timer went off, and how often at that time */
        unsigned n_expired;
} WireEnd;

typedef struct WirePacket {
        uint64_t due_usec;
        guint64 order; /* of sending */
        WireEnd *to;
        uint8_t *bytes;
        size_t size;
} WirePacket;

/* Sees every datagram that is sent, may change it; false: lost. */
typedef bool (*WireTap)(Wire *wire, WireEnd *from, unsigned index, WirePacket *packet, void *data);
/* Called before each delivery. */
typedef void (*WireStep)(Wire *wire, unsigned index, void *data);

struct Wire {
        WireSetup setup;
        uint64_t now_usec;
        GRand *random;
        WireEnd client, server;
        CookieJar *jar;
        GPtrArray *packets; /* WirePacket, in flight */
        unsigned n_sent;    /* datagrams of both ends, whatever became of them */
        unsigned n_delivered;
        unsigned n_cookies_asked;
        WireTap tap;
        void *tap_data;
        WireStep step;
        void *step_data;
        DatagramBatch *net, *app;
};

/* Once in main(), before anything; the second frees what the first made. */
void wire_world_make(void);
void wire_world_free(void);

Wire *wire_new(const WireSetup *setup);
Wire *wire_free(Wire *wire);

void wire_start(Wire *wire);
/* One thing happens. False: nothing will happen any more. */
bool wire_step(Wire *wire);
/* Until both are open, either is over, or @limit_usec have passed. True: both are open. */
bool wire_shake(Wire *wire, uint64_t limit_usec);
/* Everything that happens in this time. */
void wire_pass(Wire *wire, uint64_t usec);
bool wire_is_open(const Wire *wire);
bool wire_is_over(const Wire *wire);

/* What session_send said. */
int wire_say(WireEnd *from, const void *data, size_t size);
/* Says something and passes time until it is heard; false: it was not. Several tries on a bad net.
 */
bool wire_talks(WireEnd *from, unsigned n_tries);

/* As if it came from the peer, now. */
void wire_inject(WireEnd *to, const void *data, size_t size);
/* Answers what is asked; true: something was. */
bool wire_answer(WireEnd *end);
void wire_expire(WireEnd *end);
/* After a call on end->session that the test made itself: what it left in wire->net is sent. */
void wire_after(WireEnd *end, int r);
/* Before such a call. */
void wire_before(WireEnd *end);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Wire, wire_free)
