/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Keys: the asynchronous client of the keyring process. Private keys and PSKs are known here by
 * number only, what is kept by name. The connection to the keyring may die and be replaced; keys
 * that lived in the dead one are gone, and whoever asks for them is told so.
 *
 * Answers come from the event loop, never from inside the asking call. An asker that dies first
 * calls keys_forget().
 */

#include "base/secret.h"
#include "identity/revocations.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

/* a keyring that does not answer in that time is late */
#define KEYS_ANSWER_USEC (10 * UINT64_C(1000000))
/* and one that makes a key, or tries a passphrase: that takes seconds, and others may be before it
 */
#define KEYS_GENERATE_USEC (60 * UINT64_C(1000000))

typedef struct Keys Keys;
/* A private key or a PSK in the keyring; goes from it with the last reference. */
typedef struct Key Key;

typedef enum KeysOutcome {
        KEYS_E_GONE = 1,   /* the keyring is not there, died, or the key lived in one that died */
        KEYS_E_REFUSED,    /* the keyring says no; text has its reason */
        KEYS_E_LATE,       /* no answer in time */
        KEYS_E_BAD_SECRET, /* import: not a key, empty, encrypted, not a sealed memfd; text */
        KEYS_E_UNKNOWN,    /* nothing of that name is kept */
        KEYS_E_FULL,       /* one of the keyring's bounds; text says which */
} KeysOutcome;

/* @outcome 0 or KeysOutcome; @text says why when it is not 0. What is handed over is borrowed:
 * who keeps @key references it. */
typedef void (*KeysImported)(int outcome, const char *text, Key *key, void *userdata);
typedef void (*KeysSigned)(int outcome, const char *text, const void *signature, size_t size,
                           void *userdata);
typedef void (*KeysFetched)(int outcome, const char *text, const Secret *psk, void *userdata);
typedef void (*KeysDone)(int outcome, const char *text, void *userdata);
typedef void (*KeysGenerated)(int outcome, const char *text, const char *csr, void *userdata);
typedef void (*KeysLost)(void *userdata);

/* A chain with its key that the keyring keeps. Another takes its place when it is replaced, and
 * when the keyring was started again; until then it stays, with a dead key. */
typedef struct KeysIdentity {
        char *name;              /* "NAME", or "u/UID/NAME" */
        GPtrArray *chain;        /* GBytes, DER, leaf first; empty: it cannot be used yet, */
        Key *key;                /* and this is NULL */
        bool awaits_certificate; /* a key that was generated does */
} KeysIdentity;

/* What becomes one. */
typedef struct KeysImport {
        GPtrArray *blobs;          /* GBytes, PEM or DER; leaf first */
        const char *form;          /* of the key: as the keyring's StoreIdentity has it */
        int key_fd, passphrase_fd; /* sealed memfds, passed on unread; no passphrase: -1 */
} KeysImport;

/* A pre-shared key that the keyring keeps, and the identity it goes with on the wire. Likewise. */
typedef struct KeysPsk {
        char *name;
        GBytes *identity;
        Key *key;
} KeysPsk;

/* @name: of one that is new, replaced or removed; NULL: any may be. */
typedef void (*KeysIdentitiesChanged)(const char *name, void *userdata);

/* Certificates that may vouch for peers, which the keyring keeps. They are no secret, so they stay
 * when the keyring dies, until the next one says what there is. */
typedef struct KeysTrust {
        char *name;         /* "NAME", or "u/UID/NAME" */
        GPtrArray *anchors; /* GBytes, DER; never empty */
} KeysTrust;

/* @name: of a set that is new, changed or gone; NULL: any may be. */
typedef void (*KeysTrustsChanged)(const char *name, void *userdata);

/* Certificates that are taken back, by the word of a user, or of the administrator to all. They
 * outlive the keyring as trust sets do. */
typedef struct KeysRevoked {
        char *name;               /* "NAME", or "u/UID/NAME" */
        Revocations *revocations; /* of a damaged one revocations_new_unknown() */
        bool damaged;
        size_t n_bytes; /* on the disk, */
        char *checksum; /* and the SHA-256 of what is there */
} KeysRevoked;

/* @name: of an entry that is new, changed or gone; NULL: any may be. */
typedef void (*KeysRevokedChanged)(const char *name, void *userdata);

/* A key that a host may have, by the word of a user, or of the administrator to all. */
typedef struct KeysPin {
        uid_t uid;
        bool of_all;
        const char *host; /* as host_normal() has it */
        uint16_t port;
        GBytes *key; /* SHA-256 of its SubjectPublicKeyInfo; NULL: any */
} KeysPin;

/* Who serves the socket for uses of keys, a part of each handshake: a turn of sd-event, where all
 * else here is, costs as much as a datagram. */
typedef struct KeysHost {
        /* @fd is watched for these events, when they are 0 not even for its end; @fd -1: it is
         * about to be closed. Else a negative errno. */
        int (*watch)(int fd, uint32_t events, void *userdata);
        void (*stir)(void *userdata); /* sd-event has something to do */
} KeysHost;

int keys_new(sd_event *event, Keys **ret);
/* Whoever asks must be gone before: what is still asked is not answered. Keys may live on, dead. */
Keys *keys_free(Keys *keys);

/* Takes @fd, whatever it returns: one end of a socket on which the keyring speaks D-Bus. @lost is
 * called once, from the loop, when that connection is over, after everybody who asked has been
 * told; it may connect again. A connection that is there already is dropped, and @lost not called
 * for it. */
int keys_connect(Keys *keys, int fd, KeysLost lost, void *userdata);
bool keys_connected(const Keys *keys);
/* Before the first keyring is connected. NULL: nobody any more. */
void keys_set_host(Keys *keys, const KeysHost *host, void *userdata);
/* The socket has these: what was answered is told. */
void keys_serve_uses(Keys *keys, uint32_t events);
/* At the end of each turn: what was asked in it goes. */
void keys_flush_uses(Keys *keys);
/* Instead of KEYS_ANSWER_USEC, for what is asked from here on. */
void keys_set_answer_usec(Keys *keys, uint64_t usec);

/* @fd: a sealed memfd, passed on unread; the caller keeps its own. @uid: who it is for. Returns a
 * ticket for keys_forget(), never 0; when there is nobody to ask, the answer is on its way. */
uint64_t keys_import_private_key(Keys *keys, uid_t uid, int fd, KeysImported answer,
                                 void *userdata);
uint64_t keys_import_psk(Keys *keys, uid_t uid, int fd, KeysImported answer, void *userdata);

uint64_t keys_sign(Keys *keys, const Key *key, uid_t uid, const char *algorithm, bool is_hash,
                   const void *input, size_t size, KeysSigned answer, void *userdata);
uint64_t keys_fetch_psk(Keys *keys, const Key *key, uid_t uid, KeysFetched answer, void *userdata);
/* New, or in the place of what has this name; in keys_identity() when the answer comes. */
uint64_t keys_store_identity(Keys *keys, uid_t uid, const char *name, const KeysImport *import,
                             KeysDone answer, void *userdata);
/* A new key waits for its certificate when the answer comes. @key_type, @subject, @names: as the
 * keyring's GenerateIdentity has them; @names NULL-terminated. */
uint64_t keys_generate_identity(Keys *keys, uid_t uid, const char *name, const char *key_type,
                                const char *subject, char **names, KeysGenerated answer,
                                void *userdata);
uint64_t keys_install_certificate(Keys *keys, uid_t uid, const char *name, GPtrArray *blobs,
                                  KeysDone answer, void *userdata);
uint64_t keys_remove_identity(Keys *keys, uid_t uid, const char *name, KeysDone answer,
                              void *userdata);
/* Likewise; @identity: 1 to 255 bytes. */
uint64_t keys_store_psk(Keys *keys, uid_t uid, const char *name, GBytes *identity, int key_fd,
                        KeysDone answer, void *userdata);
uint64_t keys_remove_psk(Keys *keys, uid_t uid, const char *name, KeysDone answer, void *userdata);
/* To the set of this name, which is made when it is not there; in keys_trust() when the answer
 * comes. @blobs: as above. */
uint64_t keys_add_trust_anchors(Keys *keys, uid_t uid, const char *name, GPtrArray *blobs,
                                KeysDone answer, void *userdata);
/* @fingerprint: SHA-256 of the certificate; empty: the whole set. It goes with its last. */
uint64_t keys_remove_trust_anchor(Keys *keys, uid_t uid, const char *name, const void *fingerprint,
                                  size_t size, KeysDone answer, void *userdata);
/* @first: only where no other key is pinned. In keys_pins() when the answer comes. */
uint64_t keys_pin(Keys *keys, const KeysPin *pin, bool first, KeysDone answer, void *userdata);
/* The host "" at port 0: everything that is pinned by this word. */
uint64_t keys_unpin(Keys *keys, const KeysPin *pin, KeysDone answer, void *userdata);
/* New, or in the place of what has this name. @text: of identity/revocation-text.h; @revocations:
 * what is in it, which is in keys_revoked() when the answer comes. Both referenced. */
uint64_t keys_store_revocations(Keys *keys, uid_t uid, const char *name, GBytes *text,
                                Revocations *revocations, KeysDone answer, void *userdata);
uint64_t keys_remove_revocations(Keys *keys, uid_t uid, const char *name, KeysDone answer,
                                 void *userdata);
/* The answer will not be called any more. 0, and a ticket that was answered, are ignored. */
void keys_forget(Keys *keys, uint64_t ticket);

/* Whether this keyring has said what it keeps, of all kinds. Until then identities are those of the
 * last one. */
bool keys_identities_known(const Keys *keys);
/* Borrowed, until the loop turns; NULL: there is none. It may lack its certificate. */
const KeysIdentity *keys_identity(const Keys *keys, const char *name);
/* In order of their names; of const KeysIdentity, as above. */
GPtrArray *keys_identities(const Keys *keys);
/* From the loop. */
void keys_observe_identities(Keys *keys, KeysIdentitiesChanged changed, void *userdata);

/* From the loop, when one is stored or removed; not when the keyring comes or goes. */
typedef void (*KeysPsksChanged)(const char *name, void *userdata);
void keys_observe_psks(Keys *keys, KeysPsksChanged changed, void *userdata);
/* Names to const KeysPsk; known when the identities are. Borrowed; what is in it, until the loop
 * turns. */
GTree *keys_psks(const Keys *keys);
/* As with identities; NULL: there is none. */
const KeysTrust *keys_trust(const Keys *keys, const char *name);
GPtrArray *keys_trusts(const Keys *keys);
void keys_observe_trusts(Keys *keys, KeysTrustsChanged changed, void *userdata);

/* As with trust sets. */
const KeysRevoked *keys_revoked(const Keys *keys, const char *name);
GPtrArray *keys_revoked_list(const Keys *keys);
/* Whether the keyring has said what there is. */
bool keys_revoked_known(const Keys *keys);
void keys_observe_revoked(Keys *keys, KeysRevokedChanged changed, void *userdata);

/* What counts for @uid: its own, and those to all; new, of GBytes. NULL: nothing is pinned there.
 * An empty array: it is not known yet, so no key is the right one. They outlive the keyring as
 * trust sets do. */
GPtrArray *keys_pins(const Keys *keys, uid_t uid, const char *host, uint16_t port);
/* In no order; @pins: of GBytes; all borrowed. */
typedef void (*KeysPinsEach)(const KeysPin *place, const GPtrArray *pins, void *userdata);
void keys_pins_each(const Keys *keys, uid_t uid, KeysPinsEach each, void *userdata);

Key *key_ref(Key *key);
Key *key_unref(Key *key);
uint64_t key_id(const Key *key);
bool key_is_alive(const Key *key); /* its keyring is */
GBytes *key_spki(const Key *key);  /* private keys: SubjectPublicKeyInfo, DER. Borrowed */

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Keys, keys_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Key, key_unref)
