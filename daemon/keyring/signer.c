/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Signer, see signer.h. A job of the workers is one signature; a thread has it to itself. Only the
 * loop's thread touches keys' counts and answers. What costs less than two changes of threads is
 * signed by the loop itself.
 */

#include "keyring/signer.h"

#include "base/fault.h"
#include "keyring/workers.h"

#include <gnutls/crypto.h>
#include <string.h>

typedef struct SignerJob {
        VaultKey *key;
        gnutls_sign_algorithm_t algorithm;
        bool is_hash;
        GBytes *input; /* NULL: only a try */
        SignerAnswer answer;
        void *userdata;

        int outcome; /* from the thread, of private_key_sign() */
        gnutls_datum_t signature;
} SignerJob;

struct Signer {
        Workers *workers;
        Workers *token_workers; /* whose users are keys, and whose things are users */
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

                if (!gnutls_sign_supports_pk_algorithm(
                            algorithm, private_key_algorithm(vault_key_private(request->key))))
                        return "the algorithm is not one of this type of key";
                if (signer_algorithms[i].is_hash != request->is_hash)
                        return request->is_hash ? "this algorithm signs messages, not hashes"
                                                : "this algorithm signs hashes, not messages";

                return signer_refuse_input(request, algorithm);
        }

        return "not a signature algorithm of DTLS 1.2 that is still safe";
}

/* ---- jobs ---- */

static void signer_work(void *data) {
        SignerJob *job = data;
        PrivateKey *key = vault_key_private(job->key);
        gnutls_datum_t input;
        const char *text;
        gsize size;

        if (!job->input) {
                job->outcome = token_try(private_key_token(key), &text) ? PRIVATE_KEY_E_ABSENT : 0;
                return;
        }

        input.data = (unsigned char *)g_bytes_get_data(job->input, &size);
        input.size = (unsigned)size;
        job->outcome = private_key_sign(key, job->algorithm, job->is_hash, &input, &job->signature);
}

static void signer_job_free(SignerJob *job) {
        vault_key_unref(job->key);
        g_clear_pointer(&job->input, g_bytes_unref);
        gnutls_free(job->signature.data);
        g_free(job);
}

static void signer_done(void *data, bool worked) {
        SignerJob *job = data;
        int outcome = SIGNER_E_STOPPED;

        if (worked)
                outcome = job->outcome == PRIVATE_KEY_E_ABSENT ? SIGNER_E_ABSENT
                          : job->outcome                       ? SIGNER_E_FAILED
                                                               : 0;
        job->answer(outcome, job->signature.data, job->signature.size, job->userdata);
        signer_job_free(job);
}

/* Of a key in memory: what is in a token, nobody knows. */
static bool signer_is_cheap(const SignerRequest *request) {
        const PrivateKey *key = vault_key_private(request->key);
        unsigned bits = 0;

        if (private_key_token(key))
                return false;

        switch (gnutls_privkey_get_pk_algorithm(private_key_handle(key), &bits)) {
        case GNUTLS_PK_ECDSA:
                return bits <= SIGNER_CHEAP_BITS;
        case GNUTLS_PK_EDDSA_ED25519:
                return request->size <= SIGNER_CHEAP_MESSAGE;
        default:
                return false;
        }
}

static int signer_put(Signer *signer, SignerJob *job, uid_t uid) {
        uint64_t id = vault_key_id(job->key);

        if (private_key_token(vault_key_private(job->key)))
                return workers_put(signer->token_workers, (uid_t)id, uid, job);

        return workers_put(signer->workers, uid, id, job);
}

int signer_sign(Signer *signer, const SignerRequest *request, SignerAnswer answer, void *userdata) {
        SignerJob *job = g_new0(SignerJob, 1);

        job->key = vault_key_ref(request->key);
        job->algorithm = gnutls_sign_get_id(request->algorithm);
        job->is_hash = request->is_hash;
        job->input = g_bytes_new(request->input, request->size);
        job->answer = answer;
        job->userdata = userdata;
        if (signer_is_cheap(request)) {
                signer_work(job);
                signer_done(job, /* worked= */ true);
                return 0;
        }
        if (signer_put(signer, job, request->uid) == 0)
                return 0;

        signer_job_free(job);
        return SIGNER_E_BUSY;
}

int signer_try(Signer *signer, VaultKey *key, SignerAnswer answer, void *userdata) {
        SignerJob *job = g_new0(SignerJob, 1);

        job->key = vault_key_ref(key);
        job->answer = answer;
        job->userdata = userdata;
        if (signer_put(signer, job, vault_key_uid(key)) == 0)
                return 0;

        signer_job_free(job);
        return SIGNER_E_BUSY;
}

/* ---- the whole ---- */

int signer_new(sd_event *event, Signer **ret) {
        static const WorkersPlan plan = {
                .n_threads = SIGNER_WORKERS,
                .n_threads_per_uid = SIGNER_WORKERS_PER_UID,
                .n_waiting_max = SIGNER_QUEUE_MAX,
                .n_waiting_per_uid_max = SIGNER_QUEUE_PER_UID_MAX,
                .work = signer_work,
                .done = signer_done,
        };
        WorkersPlan token_plan = plan;
        g_autoptr(Signer) signer = g_new0(Signer, 1);
        int r;

        token_plan.n_threads = SIGNER_TOKEN_WORKERS;
        token_plan.n_threads_per_uid = 1;
        r = workers_new(event, &plan, &signer->workers);
        if (r == 0)
                r = workers_new(event, &token_plan, &signer->token_workers);
        if (r < 0)
                return fault(r);

        *ret = g_steal_pointer(&signer);
        return 0;
}

Signer *signer_free(Signer *signer) {
        if (!signer)
                return NULL;

        workers_free(signer->workers);
        workers_free(signer->token_workers);
        g_free(signer);
        return NULL;
}
