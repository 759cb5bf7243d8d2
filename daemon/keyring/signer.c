/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Signer, see signer.h. A job is one signature. It waits in its uid's lane, is worked on in a
 * thread of GLib's pool, and comes back over a queue and an eventfd. Lanes are served in turn. Only
 * the loop's thread touches lanes, keys' counts and answers; a thread has a job to itself.
 */

#include "keyring/signer.h"

#include "base/cleanup.h"
#include "base/fault.h"

#include <errno.h>
#include <gnutls/crypto.h>
#include <string.h>
#include <sys/eventfd.h>

typedef struct SignerLane {
        uid_t uid;
        GQueue waiting; /* of SignerJob */
        unsigned n_working;
} SignerLane;

typedef struct SignerJob {
        SignerLane *lane;
        VaultKey *key;
        gnutls_sign_algorithm_t algorithm;
        bool is_hash;
        GBytes *input;
        SignerAnswer answer;
        void *userdata;

        int code; /* GnuTLS's, from the thread */
        gnutls_datum_t signature;
} SignerJob;

struct Signer {
        GHashTable *lanes; /* uid to SignerLane, owned; those with a job */
        GQueue turns;      /* lanes with jobs that wait, in the order they are served */
        size_t n_waiting;
        unsigned n_working;

        GThreadPool *pool;
        GAsyncQueue *done;
        int done_fd;
        sd_event_source *done_source;
};

/* What GnuTLS asks of a key in DTLS 1.2. RSA-RAW is how it asks for PKCS#1: the padding's inside is
 * made by the caller, so it is looked at. */
static const struct {
        gnutls_sign_algorithm_t algorithm;
        bool is_hash;
} signer_algorithms[] = {
        {GNUTLS_SIGN_RSA_RAW, true},
        {GNUTLS_SIGN_RSA_SHA256, true},
        {GNUTLS_SIGN_RSA_SHA384, true},
        {GNUTLS_SIGN_RSA_SHA512, true},
        {GNUTLS_SIGN_RSA_PSS_RSAE_SHA256, true},
        {GNUTLS_SIGN_RSA_PSS_RSAE_SHA384, true},
        {GNUTLS_SIGN_RSA_PSS_RSAE_SHA512, true},
        {GNUTLS_SIGN_RSA_PSS_SHA256, true},
        {GNUTLS_SIGN_RSA_PSS_SHA384, true},
        {GNUTLS_SIGN_RSA_PSS_SHA512, true},
        {GNUTLS_SIGN_ECDSA_SHA256, true},
        {GNUTLS_SIGN_ECDSA_SHA384, true},
        {GNUTLS_SIGN_ECDSA_SHA512, true},
        {GNUTLS_SIGN_EDDSA_ED25519, false},
};

/* RFC 8017 9.2 note 1: the DER in front of a hash. */
#define DIGEST_INFO_PREFIX_SIZE 19

static const struct {
        uint8_t prefix[DIGEST_INFO_PREFIX_SIZE];
        size_t hash_size;
} signer_digest_infos[] = {
        {{0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01,
          0x05, 0x00, 0x04, 0x20},
         32},
        {{0x30, 0x41, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02,
          0x05, 0x00, 0x04, 0x30},
         48},
        {{0x30, 0x51, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03,
          0x05, 0x00, 0x04, 0x40},
         64},
};

static bool signer_is_digest_info(const uint8_t *input, size_t size) {
        for (size_t i = 0; i < G_N_ELEMENTS(signer_digest_infos); i++)
                if (size == DIGEST_INFO_PREFIX_SIZE + signer_digest_infos[i].hash_size &&
                    memcmp(input, signer_digest_infos[i].prefix, DIGEST_INFO_PREFIX_SIZE) == 0)
                        return true;

        return false;
}

static const char *signer_refuse_input(const SignerRequest *request,
                                       gnutls_sign_algorithm_t algorithm) {
        gnutls_digest_algorithm_t hash = gnutls_sign_get_hash_algorithm(algorithm);

        if (algorithm == GNUTLS_SIGN_RSA_RAW)
                return signer_is_digest_info(request->input, request->size)
                               ? NULL
                               : "RSA signs an exact DigestInfo of SHA-256, SHA-384 or SHA-512 "
                                 "and nothing else";

        if (request->is_hash)
                return request->size == (size_t)gnutls_hash_get_len(hash)
                               ? NULL
                               : "the input has not the length of the algorithm's hash";

        if (request->size == 0 || request->size > SIGNER_MESSAGE_MAX)
                return "the message is empty or too long";

        return NULL;
}

const char *signer_refusal(const SignerRequest *request) {
        gnutls_sign_algorithm_t algorithm = gnutls_sign_get_id(request->algorithm);

        for (size_t i = 0; i < G_N_ELEMENTS(signer_algorithms); i++) {
                if (signer_algorithms[i].algorithm != algorithm)
                        continue;

                if (!gnutls_sign_supports_pk_algorithm(algorithm,
                                                       vault_key_algorithm(request->key)))
                        return "the algorithm is not one of this type of key";
                if (signer_algorithms[i].is_hash != request->is_hash)
                        return request->is_hash ? "this algorithm signs messages, not hashes"
                                                : "this algorithm signs hashes, not messages";

                return signer_refuse_input(request, algorithm);
        }

        return "not a signature algorithm of DTLS 1.2 that is still safe";
}

/* ---- in a thread ---- */

static void signer_work(gpointer data, gpointer userdata) {
        SignerJob *job = data;
        Signer *signer = userdata;
        gnutls_datum_t input;
        gsize size;

        input.data = (unsigned char *)g_bytes_get_data(job->input, &size);
        input.size = (unsigned)size;
        job->code = job->is_hash
                            ? gnutls_privkey_sign_hash2(vault_key_private(job->key), job->algorithm,
                                                        /* flags= */ 0, &input, &job->signature)
                            : gnutls_privkey_sign_data2(vault_key_private(job->key), job->algorithm,
                                                        /* flags= */ 0, &input, &job->signature);

        g_async_queue_push(signer->done, job);
        (void)eventfd_write(signer->done_fd, 1); /* fails only when it is readable anyway */
}

/* ---- in the loop ---- */

static SignerLane *signer_lane(Signer *signer, uid_t uid) {
        SignerLane *lane = g_hash_table_lookup(signer->lanes, GUINT_TO_POINTER(uid));

        if (lane)
                return lane;

        lane = g_new0(SignerLane, 1);
        lane->uid = uid;
        g_queue_init(&lane->waiting);
        g_hash_table_insert(signer->lanes, GUINT_TO_POINTER(uid), lane);
        return lane;
}

static void signer_job_end(SignerJob *job, int outcome) {
        job->answer(outcome, job->signature.data, job->signature.size, job->userdata);

        vault_key_unref(job->key);
        g_bytes_unref(job->input);
        gnutls_free(job->signature.data);
        g_free(job);
}

static void signer_start(Signer *signer, SignerLane *lane) {
        SignerJob *job = g_queue_pop_head(&lane->waiting);

        signer->n_waiting--;
        signer->n_working++;
        lane->n_working++;
        g_thread_pool_push(signer->pool, job, NULL); /* its threads are there since signer_new() */
}

static void signer_dispatch(Signer *signer) {
        for (guint n = signer->turns.length; n > 0 && signer->n_working < SIGNER_WORKERS; n--) {
                SignerLane *lane = g_queue_pop_head(&signer->turns);

                if (lane->n_working < SIGNER_WORKERS_PER_UID)
                        signer_start(signer, lane);
                if (lane->waiting.length > 0)
                        g_queue_push_tail(&signer->turns, lane);
        }
}

static void signer_take_back(Signer *signer, SignerJob *job) {
        SignerLane *lane = job->lane;

        signer->n_working--;
        lane->n_working--;
        if (lane->n_working == 0 && lane->waiting.length == 0)
                g_hash_table_remove(signer->lanes, GUINT_TO_POINTER(lane->uid));

        signer_job_end(job, job->code < 0 ? SIGNER_E_FAILED : 0);
}

static int on_signer_done(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        Signer *signer = userdata;
        eventfd_t count;
        SignerJob *job;

        (void)eventfd_read(fd, &count); /* only to make it unreadable */

        job = g_async_queue_try_pop(signer->done);
        while (job) {
                signer_take_back(signer, job);
                signer_dispatch(signer);
                job = g_async_queue_try_pop(signer->done);
        }

        return 0;
}

int signer_sign(Signer *signer, const SignerRequest *request, SignerAnswer answer, void *userdata) {
        SignerLane *lane;
        SignerJob *job;

        if (signer->n_waiting >= SIGNER_QUEUE_MAX)
                return SIGNER_E_BUSY;

        lane = signer_lane(signer, vault_key_uid(request->key));
        if (lane->waiting.length >= SIGNER_QUEUE_PER_UID_MAX)
                return SIGNER_E_BUSY;

        job = g_new0(SignerJob, 1);
        job->lane = lane;
        job->key = vault_key_ref(request->key);
        job->algorithm = gnutls_sign_get_id(request->algorithm);
        job->is_hash = request->is_hash;
        job->input = g_bytes_new(request->input, request->size);
        job->answer = answer;
        job->userdata = userdata;

        g_queue_push_tail(&lane->waiting, job);
        signer->n_waiting++;
        if (lane->waiting.length == 1)
                g_queue_push_tail(&signer->turns, lane);
        signer_dispatch(signer);
        return 0;
}

int signer_new(sd_event *event, Signer **ret) {
        g_autoptr(Signer) signer = g_new0(Signer, 1);
        int r;

        signer->lanes = g_hash_table_new_full(NULL, NULL, NULL, g_free);
        g_queue_init(&signer->turns);
        signer->done = g_async_queue_new();

        signer->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (signer->done_fd < 0)
                return fault(-errno);

        r = sd_event_add_io(event, &signer->done_source, signer->done_fd, EPOLLIN, on_signer_done,
                            signer);
        if (r < 0)
                return fault(r);

        signer->pool =
                g_thread_pool_new(signer_work, signer, SIGNER_WORKERS, /* exclusive= */ TRUE, NULL);
        if (!signer->pool || g_thread_pool_get_num_threads(signer->pool) == 0)
                return fault(-EAGAIN);

        *ret = g_steal_pointer(&signer);
        return 0;
}

static void signer_drop_waiting(Signer *signer) {
        GHashTableIter iter;
        gpointer lane;

        g_hash_table_iter_init(&iter, signer->lanes);
        while (g_hash_table_iter_next(&iter, NULL, &lane)) {
                SignerJob *job = g_queue_pop_head(&((SignerLane *)lane)->waiting);

                while (job) {
                        signer_job_end(job, SIGNER_E_STOPPED);
                        job = g_queue_pop_head(&((SignerLane *)lane)->waiting);
                }
        }
}

Signer *signer_free(Signer *signer) {
        SignerJob *job;

        if (!signer)
                return NULL;

        signer_drop_waiting(signer);
        if (signer->pool)
                g_thread_pool_free(signer->pool, /* immediate= */ FALSE, /* wait= */ TRUE);
        job = g_async_queue_try_pop(signer->done);
        while (job) {
                signer_job_end(job, SIGNER_E_STOPPED);
                job = g_async_queue_try_pop(signer->done);
        }

        sd_event_source_disable_unref(signer->done_source);
        autofd_close(&signer->done_fd);
        g_async_queue_unref(signer->done);
        g_queue_clear(&signer->turns);
        g_hash_table_unref(signer->lanes);
        g_free(signer);
        return NULL;
}
