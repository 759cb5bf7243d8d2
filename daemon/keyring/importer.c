/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Importer, see importer.h. A job of the workers is one pair; a thread has it to itself. */

#include "keyring/importer.h"

#include "base/fault.h"
#include "keyring/bundle.h"
#include "keyring/workers.h"

#include <errno.h>

typedef struct ImporterJob {
        ImporterRequest request;
        ImporterAnswer answer;
        void *userdata;

        int outcome; /* from the thread, like the rest */
        const char *text;
        Chain *chain;
        PrivateKey *key;
} ImporterJob;

struct Importer {
        Workers *workers;
};

bool importer_form_parse(const char *text, ImporterForm *ret) {
        if (g_str_equal(text, "key"))
                *ret = IMPORTER_KEY;
        else if (g_str_equal(text, "pkcs12"))
                *ret = IMPORTER_PKCS12;
        else if (g_str_equal(text, "pkcs11"))
                *ret = IMPORTER_PKCS11;
        else
                return false;

        return true;
}

void importer_request_done(ImporterRequest *request) {
        g_clear_pointer(&request->blobs, g_ptr_array_unref);
        g_clear_pointer(&request->key, secret_free);
        g_clear_pointer(&request->passphrase, secret_free);
}

/* ---- in a thread ---- */

static int importer_read_chain(ImporterJob *job) {
        int r = chain_new(job->request.blobs, &job->chain);

        if (r > 0)
                job->text = chain_outcome_text((ChainOutcome)r);
        return r;
}

static int importer_read_pair(ImporterJob *job) {
        const ImporterRequest *request = &job->request;
        int r = importer_read_chain(job);

        return r ? r : private_key_read(request->key, request->passphrase, &job->key, &job->text);
}

/* The key has to be there now: a mistake in its URI or PIN is told to whoever made it. */
static int importer_find_key(ImporterJob *job) {
        const ImporterRequest *request = &job->request;
        g_autoptr(Token) token = NULL;
        int r = importer_read_chain(job);

        if (r == 0)
                r = token_new(request->key, request->passphrase, chain_spki(job->chain), &token,
                              &job->text);
        if (r == 0)
                r = token_try(token, &job->text);
        if (r == 0)
                job->key = private_key_of_token(g_steal_pointer(&token), chain_spki(job->chain));
        return r;
}

static int importer_read_bundle(ImporterJob *job) {
        const ImporterRequest *request = &job->request;

        if (request->blobs->len > 0) {
                job->text = "a PKCS#12 file brings its chain along; give none beside it";
                return IMPORTER_E_BAD_SECRET;
        }

        return bundle_read(request->key, request->passphrase, &job->chain, &job->key, &job->text);
}

static void importer_work(void *data) {
        ImporterJob *job = data;
        int r = -EINVAL;

        switch (job->request.form) {
        case IMPORTER_KEY:
                r = importer_read_pair(job);
                break;
        case IMPORTER_PKCS12:
                r = importer_read_bundle(job);
                break;
        case IMPORTER_PKCS11:
                r = importer_find_key(job);
                break;
        }

        job->outcome = r < 0 ? IMPORTER_E_FAILED : r > 0 ? IMPORTER_E_BAD_SECRET : 0;
}

/* ---- in the loop ---- */

static void importer_job_free(ImporterJob *job) {
        importer_request_done(&job->request);
        chain_unref(job->chain);
        private_key_unref(job->key);
        g_free(job);
}

static void importer_done(void *data, bool worked) {
        ImporterJob *job = data;
        int outcome = worked ? job->outcome : IMPORTER_E_STOPPED;

        job->answer(outcome, job->text, outcome ? NULL : job->chain, outcome ? NULL : job->key,
                    job->userdata);
        importer_job_free(job);
}

int importer_read(Importer *importer, ImporterRequest *request, ImporterAnswer answer,
                  void *userdata, const char **ret_text) {
        ImporterJob *job = g_new0(ImporterJob, 1);

        job->request = *request;
        job->answer = answer;
        job->userdata = userdata;
        *request = (ImporterRequest){0};
        if (workers_put(importer->workers, job->request.uid, 0, job) == 0)
                return 0;

        importer_job_free(job);
        *ret_text = "other keys are being imported; try again in a moment";
        return IMPORTER_E_BUSY;
}

int importer_new(sd_event *event, Importer **ret) {
        static const WorkersPlan plan = {
                .n_threads = IMPORTER_THREADS,
                .n_threads_per_uid = 1,
                .n_waiting_max = IMPORTER_QUEUE_MAX,
                .n_waiting_per_uid_max = IMPORTER_QUEUE_PER_UID_MAX,
                .work = importer_work,
                .done = importer_done,
        };
        g_autoptr(Importer) importer = g_new0(Importer, 1);
        int r;

        r = workers_new(event, &plan, &importer->workers);
        if (r < 0)
                return fault(r);

        *ret = g_steal_pointer(&importer);
        return 0;
}

Importer *importer_free(Importer *importer) {
        if (!importer)
                return NULL;

        workers_free(importer->workers);
        g_free(importer);
        return NULL;
}
