/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Signer: signs in threads, so that an RSA signature of 9 ms stops neither the loop nor another
 * user's signatures, nor those with another key. Users take turns, each one's keys do, and one user
 * never has all the threads. A signature of some 60 us is made at once: the way to a thread and
 * back would cost as much again, and delay the next caller no less.
 *
 * Whoever asks may have been taken over, so what is signed is only what a DTLS 1.2 handshake signs:
 * hashes of its algorithms, whole messages for Ed25519, and for RSA an exact DigestInfo. (A bare
 * hash does not show what it is a hash of: that these are handshakes is the caller's word.)
 *
 * Knows: signature algorithms. Does not know: D-Bus, threads.
 */

#include "keyring/vault.h"

#include <systemd/sd-event.h>

#define SIGNER_WORKERS 3         /* two processors' worth for one user, and one more for others */
#define SIGNER_WORKERS_PER_UID 2 /* less than all */
#define SIGNER_QUEUE_PER_UID_MAX 64
#define SIGNER_QUEUE_MAX 512
/* Ed25519 signs the message itself: a server's is 300 bytes; a client's is the handshake so far,
 * with at most 64 KiB of certificates in each direction. */
#define SIGNER_MESSAGE_MAX ((size_t)160 * 1024)
/* Tokens take their time, and that is not the other keys': each has one thread of these at most. */
#define SIGNER_TOKEN_WORKERS 4
#define SIGNER_CHEAP_BITS 256 /* of an elliptic curve: P-256 */
#define SIGNER_CHEAP_MESSAGE 4096

typedef struct Signer Signer;

typedef enum SignerOutcome {
        SIGNER_E_BUSY = 1, /* too many signatures wait, of this uid or of all */
        SIGNER_E_FAILED,   /* the key cannot do it after all */
        SIGNER_E_ABSENT,   /* the key is in a token that cannot be used now */
        SIGNER_E_STOPPED,  /* the signer went away first */
} SignerOutcome;

typedef struct SignerRequest {
        uid_t uid;             /* who signs; in a shared key's case not its owner */
        VaultKey *key;         /* referenced */
        const char *algorithm; /* as gnutls_sign_get_name() says */
        bool is_hash;
        const uint8_t *input; /* copied */
        size_t size;
} SignerRequest;

/* Once for each request that was accepted: from the loop, or, of a cheap one, inside the call. */
typedef void (*SignerAnswer)(int outcome, const void *signature, size_t size, void *userdata);

int signer_new(sd_event *event, Signer **ret);
Signer *
signer_free(Signer *signer); /* waits for the signatures in work; answers all with STOPPED */

/* NULL: may be signed. Else why not, for people; static. */
const char *signer_refusal(const SignerRequest *request);
/* 0: @answer was called, or will be. The request must have passed signer_refusal(). */
int signer_sign(Signer *signer, const SignerRequest *request, SignerAnswer answer, void *userdata);
/* Looks whether a token's key is there, as a signature would. */
int signer_try(Signer *signer, VaultKey *key, SignerAnswer answer, void *userdata);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Signer, signer_free)
