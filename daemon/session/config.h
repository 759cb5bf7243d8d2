/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * SessionConfig: what many sessions have in common: priorities, credentials, how a peer is judged.
 * Immutable after birth, counted (GnuTLS does not count credentials itself). A listener has one for
 * all its sessions.
 */

#include "base/terms.h"
#include "identity/chain.h"
#include "identity/revocations.h"
#include "identity/trust.h"

#include <stdbool.h>
#include <stdint.h>

typedef enum DtlsProtocol { /* QSsl::SslProtocol */
        PROTOCOL_DTLS_1_0,
        PROTOCOL_DTLS_1_0_OR_LATER,
        PROTOCOL_DTLS_1_2,
        PROTOCOL_DTLS_1_2_OR_LATER,
        N_DTLS_PROTOCOLS,
        /* those of TLS have names, and no more: nothing can be made of them */
        PROTOCOL_TLS_1_0 = N_DTLS_PROTOCOLS,
        PROTOCOL_TLS_1_0_OR_LATER,
        PROTOCOL_TLS_1_1,
        PROTOCOL_TLS_1_1_OR_LATER,
        PROTOCOL_TLS_1_2,
        PROTOCOL_TLS_1_2_OR_LATER,
        PROTOCOL_TLS_1_3,
        PROTOCOL_TLS_1_3_OR_LATER,
        PROTOCOL_ANY,
        PROTOCOL_SECURE,
        PROTOCOL_UNKNOWN,
        N_PROTOCOLS,
} DtlsProtocol;

typedef enum CipherProfile {
        PROFILE_DEFAULT,
        PROFILE_IOT,    /* and CCM-8 */
        PROFILE_LEGACY, /* and CBC, DHE */
        N_CIPHER_PROFILES,
} CipherProfile;

typedef struct SessionConfigSpec {
        DtlsRole role;
        DtlsProtocol protocol;
        CipherProfile profile;

        Chain *chain;    /* own certificates, or NULL. Referenced. */
        uint64_t key_id; /* handed back in signature questions; 0: there is no key */

        bool psk;             /* offer, or accept, PSK and ECDHE-PSK */
        bool psk_alone;       /* client: and no certificate suite */
        const char *psk_hint; /* server: identity hint, or NULL */

        Trust *trust; /* to judge the peer by. Referenced. NULL: a set that trusts nobody */
        Revocations *revocations; /* of whoever is trusted. Referenced. NULL: none */
        /* Of the keys the peer may have, verdict_pin()'s. Referenced. NULL: any may be */
        GPtrArray *pins;
        bool first_use; /* and whatever it has is to be pinned: SESSION_WANTS_PIN */
        PeerVerifyMode verify_mode;
        uint32_t verify_depth;
        bool interrupt_on_error; /* true: the verdict is asked before our next flight */
        bool missing_certificate_is_fatal;
        bool ocsp_stapling; /* client: the server's certificate has to come with an OCSP response */
        bool server_name_indication; /* client: send SNI when the verification name is a DNS name */
        bool server_preference;      /* server: own order of suites */
        GPtrArray *ciphers; /* session_cipher_from_name()'s, best first; in place of the profile's.
                               Referenced. NULL: the profile's */
        GPtrArray *curves; /* session_curve_from_name()'s, best first. Referenced. NULL: GnuTLS's */
        GPtrArray *next_protocols; /* of GBytes (RFC 7301), best first. Referenced. NULL: none */
        /* Client: ask for a ticket, to take the session up later. Server: give them out, sealed
         * with a key of this configuration, unless PSKs are accepted. */
        bool tickets;
        GBytes *dh_parameters; /* server: session_dh_read()'s. Referenced. NULL: GnuTLS's own */
} SessionConfigSpec;

#define SESSION_NEXT_PROTOCOLS_MAX 8 /* GnuTLS ignores more */
#define SESSION_NEXT_PROTOCOL_MAX 31 /* bytes; GnuTLS refuses longer ones */

typedef enum SessionConfigOutcome {
        SESSION_CONFIG_E_UNUSABLE = 1, /* a server with neither certificate and key nor PSK */
        SESSION_CONFIG_E_BAD_CHAIN,    /* GnuTLS takes the key type or the chain for no suite */
        SESSION_CONFIG_E_NO_SUITE,     /* none of ciphers fits the credentials or the protocol */
        SESSION_CONFIG_E_NOT_DTLS,     /* the protocol is one of TLS */
} SessionConfigOutcome;

typedef struct SessionConfig SessionConfig;

int session_config_new(const SessionConfigSpec *spec, SessionConfig **ret);
SessionConfig *session_config_ref(SessionConfig *config);
SessionConfig *session_config_unref(SessionConfig *config);
const SessionConfigSpec *session_config_spec(const SessionConfig *config);
bool session_config_is_shared(const SessionConfig *config); /* has more than one reference */
/* Whether what @spec describes would be the same. Of one with a chain only when that is the same
 * object. */
bool session_config_is_like(const SessionConfig *config, const SessionConfigSpec *spec);

const char *dtls_protocol_name(DtlsProtocol protocol); /* "DtlsV1_2OrLater", … */
bool dtls_protocol_from_name(const char *name, DtlsProtocol *ret);
const char *cipher_profile_name(CipherProfile profile); /* "default", "iot", "legacy" */
bool cipher_profile_from_name(const char *name, CipherProfile *ret);

#define SESSION_DH_BITS_MIN 2048
#define SESSION_DH_BITS_MAX 4096 /* a longer one costs every handshake too much of our time */
#define SESSION_DH_SIZE_MAX 8192 /* bytes, as PEM with text around */

typedef enum SessionDhOutcome {
        SESSION_DH_E_MALFORMED = 1,
        SESSION_DH_E_WEAK,
        SESSION_DH_E_LONG,
        SESSION_DH_E_NONSENSE,
} SessionDhOutcome;

/* Diffie-Hellman parameters, PKCS#3 in PEM or DER, looked at and written anew as DER. */
int session_dh_read(const void *data, size_t size, GBytes **ret);
const char *session_dh_outcome_text(SessionDhOutcome outcome); /* for people */

/* IANA's name, from that or OpenSSL's; NULL: there is no such suite here. Static. */
const char *session_cipher_from_name(const char *name);
bool session_cipher_is_legacy(const char *name); /* CBC or DHE */
/* GnuTLS's name, from that, OpenSSL's or NIST's; NULL: there is no such curve here. Static. */
const char *session_curve_from_name(const char *name);

/* IANA names of every suite that some profile offers, NULL-terminated; for Manager's properties. */
const char *const *session_supported_ciphers(void);
const char *const *session_supported_curves(void);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(SessionConfig, session_config_unref)
