/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Trust, see trust.h. Beside GnuTLS's list, the fingerprint of every anchor: a peer whose very
 * certificate is an anchor is trusted as itself, and GnuTLS cannot be asked for that.
 */

#include "identity/trust.h"
#include "base/fault.h"
#include "identity/certificate.h"

#include <errno.h>
#include <gnutls/x509.h>
#include <string.h>

/* twice the system's bundle */
#define TRUST_INPUT_MAX ((size_t)512 * 1024)

/* What GnuTLS's tree of a certificate takes, beside what grows with its size */
#define TRUST_ANCHOR_MEMORY ((size_t)8 * 1024)
#define TRUST_ANCHOR_MEMORY_FACTOR 8

struct Trust {
        grefcount n_refs;
        size_t memory;
        gnutls_x509_trust_list_t list;
        GHashTable *anchors; /* fingerprints of all */
        GPtrArray *reported; /* fingerprints of those that were given, ends with NULL */
};

const char *trust_outcome_text(TrustOutcome outcome) {
        switch (outcome) {
        case TRUST_E_NOT_CERTIFICATE:
                return "not certificates in PEM or DER, or damaged ones";
        case TRUST_E_TOO_MANY:
                return "more than 1024 CA certificates";
        case TRUST_E_TOO_MUCH:
                return "more than 512 KiB for CA certificates";
        case TRUST_E_TOO_LONG:
                return "a CA certificate is longer than 16 KiB";
        case TRUST_E_UNBEARABLE:
                return "a CA certificate has a key whose signatures take too long to check: RSA "
                       "with more than 8192 bits or a long exponent, or DSA";
        case TRUST_E_NO_SYSTEM_TRUST:
                return "the system has no store of trusted certificates";
        }

        g_assert_not_reached();
}

static Trust *trust_new_empty(void) {
        g_autoptr(Trust) trust = g_new0(Trust, 1);

        g_ref_count_init(&trust->n_refs);
        trust->anchors = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        trust->reported = g_ptr_array_new_with_free_func(g_free);

        if (gnutls_x509_trust_list_init(&trust->list, 0) < 0)
                return NULL;

        return g_steal_pointer(&trust);
}

static TrustOutcome trust_outcome(int r) {
        switch ((CertificateOutcome)r) {
        case CERTIFICATE_E_MALFORMED:
                return TRUST_E_NOT_CERTIFICATE;
        case CERTIFICATE_E_TOO_MANY:
                return TRUST_E_TOO_MANY;
        case CERTIFICATE_E_TOO_LONG:
                return TRUST_E_TOO_LONG;
        }

        g_assert_not_reached();
}

static int trust_read(const GPtrArray *blobs, GPtrArray *ders, GPtrArray *certificates) {
        size_t size = 0;

        for (size_t i = 0; i < blobs->len; i++) {
                int r;

                size += g_bytes_get_size(blobs->pdata[i]);
                if (size > TRUST_INPUT_MAX)
                        return TRUST_E_TOO_MUCH;

                r = certificate_split(blobs->pdata[i], TRUST_ANCHORS_MAX, ders, certificates);
                if (r)
                        return r < 0 ? fault(r) : (int)trust_outcome(r);
        }

        return 0;
}

static size_t anchor_memory(GBytes *der) {
        return TRUST_ANCHOR_MEMORY + TRUST_ANCHOR_MEMORY_FACTOR * g_bytes_get_size(der);
}

size_t trust_memory_of(const GPtrArray *ders) {
        size_t memory = 0;

        for (guint i = 0; i < ders->len; i++)
                memory += anchor_memory(ders->pdata[i]);

        return memory;
}

/* Each once: bundles repeat themselves. @certificate: taken, and NULL then. */
static int trust_add(Trust *trust, GBytes *der, gpointer *certificate) {
        g_autofree char *fingerprint = certificate_fingerprint(der);
        gnutls_x509_crt_t anchor = *certificate;

        if (g_hash_table_contains(trust->anchors, fingerprint))
                return 0;

        if (!certificate_is_bearable(anchor))
                return TRUST_E_UNBEARABLE;
        if (gnutls_x509_trust_list_add_cas(trust->list, &anchor, 1, 0) != 1)
                return fault(-ENOMEM);
        *certificate = NULL; /* the list's from here on */
        trust->memory += anchor_memory(der);

        g_ptr_array_add(trust->reported, g_strdup(fingerprint));
        g_hash_table_add(trust->anchors, g_steal_pointer(&fingerprint));
        return 0;
}

int trust_new(GPtrArray *blobs, Trust **ret) {
        g_autoptr(GPtrArray) ders = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
        g_autoptr(GPtrArray) certificates = certificate_array_new();
        g_autoptr(Trust) trust = NULL;
        int r;

        r = trust_read(blobs, ders, certificates);
        if (r)
                return r;

        trust = trust_new_empty();
        if (!trust)
                return fault(-ENOMEM);

        for (size_t i = 0; i < ders->len; i++) {
                r = trust_add(trust, ders->pdata[i], &certificates->pdata[i]);
                if (r)
                        return r < 0 ? fault(r) : r;
        }

        g_ptr_array_add(trust->reported, NULL);
        *ret = g_steal_pointer(&trust);
        return 0;
}

static int trust_compare_ders(const void *a, const void *b) {
        return g_bytes_compare(*(const GBytes *const *)a, *(const GBytes *const *)b);
}

GPtrArray *trust_anchors(const Trust *trust) {
        GPtrArray *ders = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
        gnutls_x509_trust_list_iter_t iterator = NULL;
        gnutls_x509_crt_t anchor;

        while (gnutls_x509_trust_list_iter_get_ca(trust->list, &iterator, &anchor) >= 0) {
                GBytes *der = certificate_export(anchor);

                if (der)
                        g_ptr_array_add(ders, der);
                gnutls_x509_crt_deinit(anchor);
        }

        gnutls_x509_trust_list_iter_deinit(iterator);
        g_ptr_array_sort(ders, trust_compare_ders);
        return ders;
}

static void trust_learn_anchors(Trust *trust) {
        g_autoptr(GPtrArray) ders = trust_anchors(trust);

        for (guint i = 0; i < ders->len; i++)
                (void)g_hash_table_add(trust->anchors, certificate_fingerprint(ders->pdata[i]));
}

int trust_new_system(Trust **ret) {
        g_autoptr(Trust) trust = trust_new_empty();

        if (!trust)
                return fault(-ENOMEM);

        if (gnutls_x509_trust_list_add_system_trust(trust->list, 0, 0) <= 0)
                return TRUST_E_NO_SYSTEM_TRUST;

        trust_learn_anchors(trust);
        g_ptr_array_add(trust->reported, NULL);
        *ret = g_steal_pointer(&trust);
        return 0;
}

Trust *trust_ref(Trust *trust) {
        g_ref_count_inc(&trust->n_refs);
        return trust;
}

Trust *trust_unref(Trust *trust) {
        if (!trust || !g_ref_count_dec(&trust->n_refs))
                return NULL;

        if (trust->list)
                gnutls_x509_trust_list_deinit(trust->list, /* all= */ 1);
        g_hash_table_unref(trust->anchors);
        g_ptr_array_unref(trust->reported);
        g_free(trust);
        return NULL;
}

size_t trust_memory(const Trust *trust) {
        return trust->memory;
}

const char *const *trust_fingerprints(const Trust *trust) {
        return (const char *const *)trust->reported->pdata;
}

bool trust_has(const Trust *trust, GBytes *der) {
        g_autofree char *fingerprint = certificate_fingerprint(der);

        return g_hash_table_contains(trust->anchors, fingerprint);
}

void *trust_list(const Trust *trust) {
        return trust->list;
}
