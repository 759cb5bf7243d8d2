/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Trust, see trust.h. Beside GnuTLS's list, the fingerprint of every anchor: a peer whose very
 * certificate is an anchor is trusted as itself, and GnuTLS cannot be asked for that.
 *
 * GnuTLS takes 40 us to read a certificate, and whoever changes one of a long set has changed the
 * set. So of a set that has been read before, each is put aside by its subject, and read when a
 * verdict looks for it or for an issuer of that name.
 */

#include "identity/trust.h"
#include "base/fault.h"
#include "identity/certificate.h"
#include "identity/der.h"

#include <errno.h>
#include <gnutls/x509.h>
#include <string.h>

/* twice the system's bundle */
#define TRUST_INPUT_MAX ((size_t)512 * 1024)

/* What GnuTLS's tree of a certificate takes, beside what grows with its size */
#define TRUST_ANCHOR_MEMORY ((size_t)8 * 1024)
#define TRUST_ANCHOR_MEMORY_FACTOR 8

#define DER_VERSION 0xa0 /* RFC 5280, 4.1: [0], and not there in the first version */

struct Trust {
        grefcount n_refs;
        size_t memory;
        gnutls_x509_trust_list_t list;
        GHashTable *anchors; /* fingerprints of all */
        GPtrArray *reported; /* fingerprints of those that were given, ends with NULL */
        GHashTable *aside;   /* what is not in the list yet: DER by fingerprint, */
        GHashTable *issuers; /* and arrays of DER by subject, of those nobody has looked for */
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

static void bytes_unref(void *bytes) {
        g_bytes_unref(bytes);
}

static Trust *trust_new_empty(void) {
        g_autoptr(Trust) trust = g_new0(Trust, 1);

        g_ref_count_init(&trust->n_refs);
        trust->anchors = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        trust->reported = g_ptr_array_new_with_free_func(g_free);
        trust->aside = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, bytes_unref);
        trust->issuers = g_hash_table_new_full(g_bytes_hash, g_bytes_equal, bytes_unref,
                                               (GDestroyNotify)g_ptr_array_unref);

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

/* @certificate: taken, and NULL then. */
static int trust_list_add(const Trust *trust, gnutls_x509_crt_t *certificate) {
        if (!certificate_is_bearable(*certificate))
                return TRUST_E_UNBEARABLE;
        if (gnutls_x509_trust_list_add_cas(trust->list, certificate, 1, 0) != 1)
                return fault(-ENOMEM);

        *certificate = NULL; /* the list's from here on */
        return 0;
}

static void trust_note(Trust *trust, GBytes *der, const char *fingerprint) {
        trust->memory += anchor_memory(der);
        g_ptr_array_add(trust->reported, g_strdup(fingerprint));
        g_hash_table_add(trust->anchors, g_strdup(fingerprint));
}

/* Each once: bundles repeat themselves. */
static int trust_add(Trust *trust, GBytes *der, gpointer *certificate) {
        g_autofree char *fingerprint = certificate_fingerprint(der);
        gnutls_x509_crt_t anchor = *certificate;
        int r;

        if (g_hash_table_contains(trust->anchors, fingerprint))
                return 0;

        r = trust_list_add(trust, &anchor);
        *certificate = anchor;
        if (r)
                return r;

        trust_note(trust, der, fingerprint);
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

/* ---- one that was read before ---- */

/* RFC 5280, 4.1; NULL: it is no certificate. A part of @der. */
static GBytes *subject_of(GBytes *der) {
        gsize size;
        const uint8_t *data = g_bytes_get_data(der, &size);
        Der left = {data, size}, inside, subject;
        uint8_t tag;

        if (!der_read_tagged(&left, DER_SEQUENCE, &inside) ||
            !der_read_tagged(&inside, DER_SEQUENCE, &left) || !der_read(&left, &tag, &subject))
                return NULL;
        if (tag == DER_VERSION && !der_read(&left, &tag, &subject))
                return NULL;

        /* after the serial number: how it is signed, the issuer, how long it is valid */
        for (int i = 0; i < 4; i++)
                if (!der_read_tagged(&left, DER_SEQUENCE, &subject))
                        return NULL;

        return g_bytes_new_from_bytes(der, (gsize)(subject.data - data), subject.size);
}

static void trust_put_aside(Trust *trust, GBytes *der) {
        g_autofree char *fingerprint = certificate_fingerprint(der);
        g_autoptr(GBytes) subject = subject_of(der);
        GPtrArray *ders;

        if (!subject || g_hash_table_contains(trust->anchors, fingerprint))
                return;

        trust_note(trust, der, fingerprint);
        (void)g_hash_table_insert(trust->aside, g_steal_pointer(&fingerprint), g_bytes_ref(der));
        ders = g_hash_table_lookup(trust->issuers, subject);
        if (!ders) {
                ders = g_ptr_array_new_with_free_func(bytes_unref);
                (void)g_hash_table_insert(trust->issuers, g_bytes_ref(subject), ders);
        }
        g_ptr_array_add(ders, g_bytes_ref(der));
}

Trust *trust_new_kept(const GPtrArray *ders) {
        g_autoptr(Trust) trust = trust_new_empty();

        for (guint i = 0; trust && i < ders->len; i++)
                trust_put_aside(trust, ders->pdata[i]);
        if (trust)
                g_ptr_array_add(trust->reported, NULL);

        return g_steal_pointer(&trust);
}

static void trust_fetch(const Trust *trust, GBytes *der) {
        g_autofree char *fingerprint = certificate_fingerprint(der);
        certificate_auto certificate = NULL;

        if (!g_hash_table_remove(trust->aside, fingerprint))
                return;

        /* what has become of it since is no anchor */
        if (certificate_import(der, &certificate) == 0)
                (void)trust_list_add(trust, &certificate);
}

static GBytes *issuer_of(gnutls_x509_crt_t certificate) {
        gnutls_datum_t name = {NULL, 0};
        GBytes *issuer = NULL;
        Der left, inside;

        if (gnutls_x509_crt_get_raw_issuer_dn(certificate, &name) < 0)
                return NULL;

        left = (Der){name.data, name.size};
        if (der_read_tagged(&left, DER_SEQUENCE, &inside))
                issuer = g_bytes_new(inside.data, inside.size);
        gnutls_free(name.data);
        return issuer;
}

void trust_look_for(const Trust *trust, gnutls_x509_crt_t certificate, GBytes *der) {
        g_autoptr(GBytes) issuer = NULL;
        GPtrArray *ders;

        if (g_hash_table_size(trust->aside) == 0)
                return;

        trust_fetch(trust, der);
        issuer = issuer_of(certificate);
        ders = issuer ? g_hash_table_lookup(trust->issuers, issuer) : NULL;
        for (guint i = 0; ders && i < MIN(ders->len, TRUST_ISSUERS_MAX); i++)
                trust_fetch(trust, ders->pdata[i]);
        if (ders)
                (void)g_hash_table_remove(trust->issuers, issuer);
}

/* ---- what is in it ---- */

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
        g_hash_table_unref(trust->aside);
        g_hash_table_unref(trust->issuers);
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
