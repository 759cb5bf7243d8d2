/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Generator, see generator.h. What the caller gave is made into a request before a thread hears of
 * it, so that what is wrong is told at once; the thread adds the key and signs.
 */

#include "keyring/generator.h"

#include "base/fault.h"
#include "keyring/workers.h"

#include <arpa/inet.h>
#include <errno.h>
#include <gnutls/x509.h>
#include <string.h>

#define GENERATOR_DNS_NAME_MAX 253

typedef struct GeneratorType {
        const char *name;
        gnutls_pk_algorithm_t algorithm;
        unsigned bits;
} GeneratorType;

static const GeneratorType generator_types[] = {
        {"ECDSA-P256", GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1)},
        {"RSA-2048", GNUTLS_PK_RSA, 2048},
        {"RSA-3072", GNUTLS_PK_RSA, 3072},
        {"RSA-4096", GNUTLS_PK_RSA, 4096},
        {"Ed25519", GNUTLS_PK_EDDSA_ED25519, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_ED25519)},
};

typedef struct GeneratorJob {
        const GeneratorType *type;
        gnutls_x509_crq_t request;
        GeneratorAnswer answer;
        void *userdata;

        int code; /* GnuTLS's, from the thread */
        Secret *key;
        char *csr;
} GeneratorJob;

struct Generator {
        Workers *workers;
};

/* ---- what was asked for ---- */

static const GeneratorType *generator_type(const char *name) {
        for (size_t i = 0; i < G_N_ELEMENTS(generator_types); i++)
                if (g_str_equal(generator_types[i].name, name))
                        return &generator_types[i];

        return NULL;
}

static bool generator_is_dns_name(const char *name) {
        size_t length = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                     "0123456789-_.*");

        return length > 0 && length <= GENERATOR_DNS_NAME_MAX && name[length] == '\0';
}

static const char *generator_add_name(gnutls_x509_crq_t request, const char *name) {
        gnutls_x509_subject_alt_name_t type = GNUTLS_SAN_IPADDRESS;
        uint8_t address[sizeof(struct in6_addr)];
        const void *data = address;
        unsigned size;

        if (inet_pton(AF_INET, name, address) > 0) {
                size = sizeof(struct in_addr);
        } else if (inet_pton(AF_INET6, name, address) > 0) {
                size = sizeof(struct in6_addr);
        } else if (generator_is_dns_name(name)) {
                type = GNUTLS_SAN_DNSNAME;
                data = name;
                size = (unsigned)strlen(name);
        } else {
                return "an alternative name is a DNS name or a numeric address";
        }

        return gnutls_x509_crq_set_subject_alt_name(request, type, data, size, GNUTLS_FSAN_APPEND) <
                               0
                       ? "an alternative name cannot be put into a request"
                       : NULL;
}

static const char *generator_add_names(gnutls_x509_crq_t request, const char *const *names) {
        const char *text = NULL;

        if (names && g_strv_length((char **)names) > GENERATOR_NAMES_MAX)
                return "there are more than 64 alternative names";

        for (; names && *names && !text; names++)
                text = generator_add_name(request, *names);

        return text;
}

/* NULL, or why it cannot be; @job has what there is of it. */
static const char *generator_prepare(GeneratorJob *job, const GeneratorRequest *request) {
        const char *where;

        job->type = generator_type(request->key_type);
        if (!job->type)
                return "a key is of the type ECDSA-P256, RSA-2048, RSA-3072, RSA-4096 or Ed25519";

        if (strlen(request->subject) > GENERATOR_SUBJECT_MAX)
                return "the subject has more than 1024 bytes";

        if (gnutls_x509_crq_init(&job->request) < 0 ||
            gnutls_x509_crq_set_version(job->request, 1) < 0)
                return "a request cannot be made";
        if (gnutls_x509_crq_set_dn(job->request, request->subject, &where) < 0)
                return "the subject is not a name as RFC 4514 writes it, like CN=device,O=Example";

        return generator_add_names(job->request, request->names);
}

/* ---- in a thread ---- */

static int generator_sign(GeneratorJob *job, gnutls_x509_privkey_t key) {
        gnutls_datum_t csr = {NULL, 0};
        int r;

        r = gnutls_x509_crq_set_key(job->request, key);
        if (r >= 0)
                r = gnutls_x509_crq_sign2(job->request, key, GNUTLS_DIG_UNKNOWN, 0);
        if (r >= 0)
                r = gnutls_x509_crq_export2(job->request, GNUTLS_X509_FMT_PEM, &csr);
        if (r < 0)
                return r;

        job->csr = g_strndup((const char *)csr.data, csr.size);
        gnutls_free(csr.data);
        return 0;
}

static int generator_export(GeneratorJob *job, gnutls_x509_privkey_t key) {
        gnutls_datum_t pem = {NULL, 0};
        int r;

        r = gnutls_x509_privkey_export2_pkcs8(key, GNUTLS_X509_FMT_PEM, NULL, GNUTLS_PKCS_PLAIN,
                                              &pem);
        if (r < 0)
                return r;

        job->key = secret_new(pem.data, pem.size);
        gnutls_memset(pem.data, 0, pem.size);
        gnutls_free(pem.data);
        return 0;
}

static void generator_work(void *data) {
        GeneratorJob *job = data;
        gnutls_x509_privkey_t key;

        job->code = gnutls_x509_privkey_init(&key);
        if (job->code < 0)
                return;

        job->code = gnutls_x509_privkey_generate(key, job->type->algorithm, job->type->bits,
                                                 /* flags= */ 0);
        if (job->code >= 0)
                job->code = generator_sign(job, key);
        if (job->code >= 0)
                job->code = generator_export(job, key);
        gnutls_x509_privkey_deinit(key); /* wipes its numbers */
}

/* ---- in the loop ---- */

static void generator_job_free(GeneratorJob *job) {
        if (job->request)
                gnutls_x509_crq_deinit(job->request);
        secret_free(job->key);
        g_free(job->csr);
        g_free(job);
}

static void generator_done(void *data, bool worked) {
        GeneratorJob *job = data;
        int outcome = !worked ? GENERATOR_E_STOPPED : job->code < 0 ? GENERATOR_E_FAILED : 0;

        job->answer(outcome, job->key, job->csr, job->userdata);
        generator_job_free(job);
}

int generator_make(Generator *generator, const GeneratorRequest *request, GeneratorAnswer answer,
                   void *userdata, const char **ret_text) {
        GeneratorJob *job = g_new0(GeneratorJob, 1);
        const char *text;
        int r;

        job->answer = answer;
        job->userdata = userdata;
        text = generator_prepare(job, request);
        r = text ? GENERATOR_E_BAD_REQUEST : 0;
        if (r == 0 && workers_put(generator->workers, request->uid, 0, job) != 0) {
                text = "other keys are being made; try again in a moment";
                r = GENERATOR_E_BUSY;
        }
        if (r == 0)
                return 0;

        *ret_text = text;
        generator_job_free(job);
        return r;
}

int generator_new(sd_event *event, Generator **ret) {
        static const WorkersPlan plan = {
                .n_threads = 1,
                .n_threads_per_uid = 1,
                .n_waiting_max = GENERATOR_QUEUE_MAX,
                .n_waiting_per_uid_max = GENERATOR_QUEUE_PER_UID_MAX,
                .work = generator_work,
                .done = generator_done,
        };
        g_autoptr(Generator) generator = g_new0(Generator, 1);
        int r;

        r = workers_new(event, &plan, &generator->workers);
        if (r < 0)
                return fault(r);

        *ret = g_steal_pointer(&generator);
        return 0;
}

Generator *generator_free(Generator *generator) {
        if (!generator)
                return NULL;

        workers_free(generator->workers);
        g_free(generator);
        return NULL;
}
