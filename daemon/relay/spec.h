/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Spec: everything a caller chose for a connection or a listener, as a value. bus/ fills it from
 * options and gives it away; in its own copy relay writes only what a command changes by name
 * (peer, verification name, MTU hint, cookie parameters, shares); Configuration shows it back.
 */

#include "access/access.h"
#include "access/quota.h"
#include "base/address.h"
#include "base/secret.h"
#include "base/terms.h"
#include "identity/chain.h"
#include "identity/trust.h"
#include "identity/verdict.h"
#include "keys/keys.h"
#include "relay/shares.h"
#include "session/config.h"

/* of ssl_options, by QSsl::SslOption's names: what these change; the others change nothing here */
#define SPEC_NO_SERVER_NAME "DisableServerNameIndication"
#define SPEC_NO_SERVER_PREFERENCE "DisableServerCipherPreference"
#define SPEC_NO_PERSISTENCE "DisableSessionPersistence"
#define SPEC_NO_TICKETS "DisableSessionTickets"

#define SPEC_IDLE_PERSISTENT_USEC (300 * UINT64_C(1000000)) /* where no other is said */
#define SPEC_TICKET_MAX (128 * 1024) /* bytes, sealed; a peer's longest chain and ticket fit */

#define COOKIE_SECRET_MAX 1024
#define COOKIE_HASHES "Md5, Sha1, Sha224, Sha256, Sha384 or Sha512" /* for people */

/* What the option Psks says: names and patterns of pre-shared keys of the store. Not changed once
 * made; counted. */
typedef struct PskChoice {
        char **patterns; /* '*' stands for any letters, '?' for one; NULL-terminated */
} PskChoice;

PskChoice *psk_choice_new(char **patterns); /* copies them */
PskChoice *psk_choice_ref(PskChoice *psks);
void psk_choice_unref(PskChoice *psks);

typedef struct Spec {
        DtlsRole role;

        /* whose */
        uid_t uid;
        GBytes *gids; /* of who said this, for rules that are asked later; shared; NULL: none */
        char *owner;  /* unique bus name; NULL when persistent */
        bool persistent;
        GArray *shares; /* with whom else; NULL: with nobody. See relay/shares.h */

        bool external; /* Transport = "external": the owner carries the datagrams */

        /* peer and socket */
        Address peer;            /* not set: SetPeer will say */
        char *verification_name; /* "": the address itself is checked (client), nothing (server) */
        Address local;           /* not set: any address, any port */
        uint16_t mtu_hint;
        bool dont_fragment;

        /* who we are */
        char *identity; /* the store's name of chain and key, which follow it; NULL: the caller's */
        Chain *chain;
        Key *key;             /* private key of chain */
        GBytes *psk_identity; /* PreSharedKeyIdentity */
        Key *psk;             /* PreSharedKey */
        PskChoice *psks;      /* of the store; NULL: none */
        char *psk_hint;       /* server */
        bool offer_psk;       /* client: PskRequired may be asked */

        /* whom we trust */
        Trust *trust;      /* CaCertificates; NULL: */
        char *trust_name;  /* Trust, a set of the store; NULL: */
        bool trust_system; /* Trust = "system" or nothing said; false: nobody */
        bool trust_said;   /* and which of both */
        bool first_use;    /* client: the first key that it sees is pinned */
        PeerVerifyMode verify_mode;
        uint32_t verify_depth;
        bool interrupt_on_error;
        bool missing_certificate_is_fatal;
        bool ocsp_stapling;
        GArray *ignored;       /* of VerdictError; not changed once set */
        GArray *ignored_codes; /* of VerdictCode; likewise */

        DtlsProtocol protocol;
        CipherProfile profile;
        GPtrArray *ciphers, *curves, *ssl_options; /* of static names, best first; NULL: not said.
                                                      Not changed once set */
        GPtrArray *next_protocols;                 /* of GBytes; likewise */

        GBytes *dh_parameters; /* server; session_dh_read()'s; NULL: not said */
        GBytes *ticket;        /* client; connection_session_ticket()'s, sealed; NULL: not said */

        /* cookies (listeners, verifiers, external servers) */
        bool cookies;
        char *cookie_hash;
        Secret *cookie_secret; /* NULL: random and rotated */

        bool manual; /* Retransmission = "manual" */
        uint64_t retransmit_initial_usec, retransmit_max_usec;
        uint64_t handshake_deadline_usec, answer_deadline_usec,
                idle_timeout_usec; /* idle 0: never */

        bool datagram_signals;
        bool announce;
        uint32_t channel; /* relay_open_channel()'s; 0: each opens its own */

        struct SpecLease *lease; /* spec_charge(); shared by copies */
} Spec;

Spec *spec_new(DtlsRole role, uid_t uid, const char *owner); /* interfaces/README.md's defaults */
Spec *spec_copy(const Spec *spec);                           /* references what is counted */
/* A copy for another object, of this role: nothing is charged for it yet. */
Spec *spec_derive(const Spec *spec, DtlsRole role);
Spec *spec_free(Spec *spec);

/* As whom its rules are asked; borrows its groups. */
AccessSubject spec_subject(const Spec *spec);

#define SPEC_NOBODY "" /* an owner's name that no bus hands out */

/* The name that it belonged to is gone with the bus: it is nobody's, unless it is persistent. */
void spec_disown(Spec *spec);
bool spec_is_disowned(const Spec *spec);

/* Takes the shares of @other on, in the place of its own. */
void spec_share_as(Spec *spec, const Spec *other);

/* chain and key as the store has them now, to be charged. False: it has none of that name,
 * or no certificate for it yet. */
bool spec_follow_identity(Spec *spec, const Keys *keys);

/* Charges the certificates, names and parameters that it holds to its uid, until it and all its
 * copies are gone; again, when it holds others since. 0, or a QuotaOutcome, and then what was
 * charged stays. */
int spec_charge(Spec *spec, Quota *quota);
/* The same for one that takes the place of @old (NULL: of none), which has no copies and goes: what
 * was charged for that counts. */
int spec_charge_instead(Spec *spec, Spec *old, Quota *quota);
/* The bytes of a GArray of VerdictError, with their certificates. */
size_t spec_errors_memory(const GArray *errors);

/* Whom a client expects: the verification name, or without one the peer's address as a certificate
 * would have it: without a scope, which is this machine's. */
const char *spec_peer_name(const Spec *spec, char buffer[static ADDRESS_STRING_MAX]);
/* Whether a client asks for tickets and a server gives them out. As in Qt they are off until
 * ssl_options is said without what forbids them. */
bool spec_has_tickets(const Spec *spec);

/* What is known of the peers that are judged. */
typedef struct SpecJudgement {
        Trust *trust; /* NULL: nobody is trusted */
        Revocations *revocations;
        GPtrArray *pins; /* NULL: none, or not a client's */
} SpecJudgement;

/* What this says of a session; all in it is borrowed. */
SessionConfigSpec spec_session(const Spec *spec, const SpecJudgement *judgement);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Spec, spec_free)
