/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Importer: reads the pairs that are to be kept, in threads of its own: how much work a passphrase
 * is says whoever made the file, and signatures do not wait for it.
 *
 * Knows: the forms a pair comes in. Does not know: names, the disk.
 */

#include "identity/chain.h"
#include "keyring/private-key.h"

#include <stdbool.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#define IMPORTER_THREADS 2
#define IMPORTER_QUEUE_PER_UID_MAX 4
#define IMPORTER_QUEUE_MAX 32

typedef struct Importer Importer;

typedef enum ImporterOutcome {
        IMPORTER_E_BAD_SECRET = 1, /* the chain, the key or the passphrase; the text says why */
        IMPORTER_E_BUSY,           /* too many wait, of this uid or of all */
        IMPORTER_E_FAILED,
        IMPORTER_E_STOPPED, /* the importer went away first */
} ImporterOutcome;

typedef enum ImporterForm {
        IMPORTER_KEY,    /* as private_key_read() has it */
        IMPORTER_PKCS12, /* a file with the key and its chain */
        IMPORTER_PKCS11, /* the URI of a key in a token, whose PIN is the passphrase */
} ImporterForm;

typedef struct ImporterRequest {
        uid_t uid;
        ImporterForm form;
        GPtrArray *blobs;   /* certificates, leaf first, PEM or DER; PKCS#12: none */
        Secret *key;        /* in its form */
        Secret *passphrase; /* NULL: none */
} ImporterRequest;

/* From the loop, once for each request that was accepted; both are borrowed, and NULL with an
 * outcome. Whether they fit is for the callee to see. @text: static. */
typedef void (*ImporterAnswer)(int outcome, const char *text, Chain *chain, PrivateKey *key,
                               void *userdata);

int importer_new(sd_event *event, Importer **ret);
Importer *importer_free(Importer *importer); /* waits for those in work; answers all with STOPPED */

/* "key", "pkcs12", "pkcs11". */
bool importer_form_parse(const char *text, ImporterForm *ret);
void importer_request_done(ImporterRequest *request);
/* Takes what is in @request, whatever it returns. 0: @answer will be called. @ret_text: static. */
int importer_read(Importer *importer, ImporterRequest *request, ImporterAnswer answer,
                  void *userdata, const char **ret_text);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Importer, importer_free)
