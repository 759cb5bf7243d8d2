/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Two sessions joined by queues in memory, with a clock that the test moves. Each end answers what
 * its session asks for, in the way the test set, or not at all.
 */

#include "lib/certificates.h"
#include "session/session.h"

#define PAIR_INITIAL_USEC UINT64_C(1000000)
#define PAIR_MAX_USEC UINT64_C(60000000)
#define PAIR_DEADLINE_USEC UINT64_C(60000000)
#define PAIR_ANSWER_USEC UINT64_C(50000000)

/* Made when first asked for; they stay until the process ends. */
typedef enum PairIdentity {
        PAIR_CA,
        PAIR_ECDSA, /* the servers are "server.test" */
        PAIR_RSA,
        PAIR_ED25519,
        PAIR_CLIENT,
        PAIR_STRANGER, /* a server that vouches for itself */
        N_PAIR_IDENTITIES,
} PairIdentity;

typedef struct PairEnd PairEnd;

struct PairEnd {
        Session *session;
        DatagramBatch *net, *app;
        GQueue inbox;        /* of GBytes: datagrams on their way here */
        GPtrArray *received; /* of GBytes: plaintext */
        int result;          /* the first outcome that was not 0, or 0 */
        size_t n_sent, largest_sent;
        GString *shape;        /* of what was sent: when, and the records' headers */
        size_t n_keep, n_lose; /* behind n_keep datagrams sent from here n_lose are lost */

        const TestIdentity *identity; /* signs */
        const char *psk;              /* NULL refuses */
        const char *psk_identity;
        bool accept;        /* the verdict */
        bool no_answer;     /* questions stay open */
        const char *no_pin; /* why the peer's key cannot be pinned; NULL: it can */
        unsigned n_questions, n_verdicts, n_pins;
        char *hint, *asked_identity; /* of the last question for a PSK */
};

typedef struct Pair {
        uint64_t now_usec;
        PairEnd client, server;
} Pair;

typedef struct PairSpec {
        SessionConfigSpec client, server;
        const TestIdentity *client_identity, *server_identity; /* chains of one */
        GBytes *client_der, *server_der; /* shown in place of the identity's own; may be NULL */
        const TestIdentity *client_trust, *server_trust; /* anchors */
        const char *name;
        uint16_t mtu;
        bool manual;
        const GArray *ignored_codes;  /* client's */
        SessionConfig *server_config; /* in place of server; NULL: made from it */
        const Secret *ticket;         /* client's */
        /* SessionSpec.direct_after; 0: what $DTLSD_TEST_DIRECT_AFTER says, or else never */
        uint32_t client_direct_after, server_direct_after;
} PairSpec;

#define PAIR_NEVER_DIRECT UINT32_MAX

/* What @spec says of the server, for several pairs. */
SessionConfig *pair_server_config(const PairSpec *spec);

const TestIdentity *pair_identity(PairIdentity which);

PairSpec pair_spec_certificate(const TestIdentity *server, const TestIdentity *ca);
PairSpec pair_spec_psk(void);

Pair *pair_new(const PairSpec *spec);
Pair *pair_free(Pair *pair);

/* Starts the client and runs until nothing moves at this time. */
void pair_start(Pair *pair);
void pair_run(Pair *pair);
/* Moves time to the next deadline of either end and lets it expire; false: there is none. */
bool pair_expire(Pair *pair);
/* Whether one end's answer could be given. */
bool pair_answer(Pair *pair, PairEnd *end);
void pair_send(Pair *pair, PairEnd *from, const void *data, size_t size);
void pair_collect(Pair *pair, PairEnd *end);
void pair_assert_open(Pair *pair);
/* The i-th plaintext that came out at this end. */
void pair_assert_received(const PairEnd *end, guint i, const void *data, size_t size);
/* Both ways. */
void pair_assert_talks(Pair *pair);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Pair, pair_free)
