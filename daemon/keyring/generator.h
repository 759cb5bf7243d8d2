/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Generator: new private keys, each with a request for its certificate (PKCS#10). They are made in
 * a thread of their own, one after the other: an RSA key takes seconds, and signatures do not wait
 * for it.
 *
 * Knows: key types, certificate requests. Does not know: names, the disk.
 */

#include "base/secret.h"

#include <sys/types.h>
#include <systemd/sd-event.h>

#define GENERATOR_QUEUE_PER_UID_MAX 2
#define GENERATOR_QUEUE_MAX 16
#define GENERATOR_SUBJECT_MAX 1024 /* bytes */
#define GENERATOR_NAMES_MAX 64     /* alternative names */

typedef struct Generator Generator;

typedef enum GeneratorOutcome {
        GENERATOR_E_BAD_REQUEST = 1, /* the type, the subject or a name; the text says why */
        GENERATOR_E_BUSY,            /* too many wait, of this uid or of all */
        GENERATOR_E_FAILED,
        GENERATOR_E_STOPPED, /* the generator went away first */
} GeneratorOutcome;

typedef struct GeneratorRequest {
        uid_t uid;
        const char *key_type;     /* "ECDSA-P256", "RSA-2048", "RSA-3072", "RSA-4096", "Ed25519" */
        const char *subject;      /* as RFC 4514 writes it */
        const char *const *names; /* DNS names and addresses, NULL-terminated; may be NULL */
} GeneratorRequest;

/* From the loop, once for each request that was accepted. @key: PKCS#8, PEM. @csr: PEM. */
typedef void (*GeneratorAnswer)(int outcome, const Secret *key, const char *csr, void *userdata);

int generator_new(sd_event *event, Generator **ret);
/* Waits for the key in work; answers all with STOPPED. */
Generator *generator_free(Generator *generator);

/* @ret_text: why not, for people; static. */
int generator_make(Generator *generator, const GeneratorRequest *request, GeneratorAnswer answer,
                   void *userdata, const char **ret_text);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Generator, generator_free)
