/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Revocations, see revocations.h.
 *
 * GnuTLS keeps a whole CRL as a tree, 25 times its size, and hashes all of it for each signature it
 * checks. So a list is read once here, and the tree is let go.
 */

#include "identity/revocations.h"
#include "base/fault.h"
#include "identity/certificate.h"
#include "identity/der.h"
#include "identity/pem.h"

#include <errno.h>
#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <gnutls/x509.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DER_BIT_STRING 0x03

#define SHA256_SIZE 32
#define HASH_SIZE_MAX 64
#define SERIAL_SIZE_MAX 23 /* RFC 5280, 4.1.2.2: 20, and some have more */
#define OID_SIZE_MAX 128
/* What Ed25519 and Ed448 sign cannot be hashed beforehand, so it is kept, and hashed each time. */
#define UNHASHED_SIZE_MAX ((size_t)256 * 1024)

typedef struct Serial {
        uint8_t size;
        uint8_t bytes[SERIAL_SIZE_MAX];
} Serial;

typedef struct RevocationList {
        time_t begin, end; /* end -1: none is said */
        gnutls_sign_algorithm_t algorithm;
        bool hashed; /* @proof is a hash of what was signed, else it is that itself */
        GBytes *proof, *signature;
        GArray *serials; /* of Serial, sorted */
} RevocationList;

struct Revocations {
        grefcount n_refs;
        GHashTable *denied; /* GBytes of SHA256_SIZE */
        GHashTable *lists;  /* issuer's name (GBytes, DER): GPtrArray of RevocationList, newest
                               first */
        size_t n_lists, n_serials;
};

const char *revocations_outcome_text(RevocationsOutcome outcome) {
        switch (outcome) {
        case REVOCATIONS_E_MALFORMED:
                return "not a revocation list (CRL) in PEM or DER, or a damaged one";
        case REVOCATIONS_E_UNSUPPORTED:
                return "a revocation list with a critical extension, as partial and indirect lists "
                       "have: give a whole one";
        case REVOCATIONS_E_WEAK:
                return "a revocation list whose signature is of an algorithm that is broken, or "
                       "cannot be checked here";
        case REVOCATIONS_E_TOO_MANY:
                return "one more than the service keeps";
        }

        g_assert_not_reached();
}

/* ---- birth and death ---- */

static void list_free(RevocationList *list) {
        g_clear_pointer(&list->proof, g_bytes_unref);
        g_clear_pointer(&list->signature, g_bytes_unref);
        g_clear_pointer(&list->serials, g_array_unref);
        g_free(list);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(RevocationList, list_free)

Revocations *revocations_new(void) {
        Revocations *revocations = g_new0(Revocations, 1);

        g_ref_count_init(&revocations->n_refs);
        revocations->denied = g_hash_table_new_full(g_bytes_hash, g_bytes_equal,
                                                    (GDestroyNotify)g_bytes_unref, NULL);
        revocations->lists =
                g_hash_table_new_full(g_bytes_hash, g_bytes_equal, (GDestroyNotify)g_bytes_unref,
                                      (GDestroyNotify)g_ptr_array_unref);
        return revocations;
}

Revocations *revocations_ref(Revocations *revocations) {
        g_ref_count_inc(&revocations->n_refs);
        return revocations;
}

Revocations *revocations_unref(Revocations *revocations) {
        if (!revocations || !g_ref_count_dec(&revocations->n_refs))
                return NULL;

        g_hash_table_unref(revocations->denied);
        g_hash_table_unref(revocations->lists);
        g_free(revocations);
        return NULL;
}

/* ---- the deny list ---- */

/* NULL: no hash. */
static GBytes *denied_read(const char *text) {
        uint8_t hash[SHA256_SIZE] = {0};
        size_t n_digits = 0;

        for (; *text; text++) {
                int digit = g_ascii_xdigit_value(*text);

                if (*text == ':')
                        continue;
                if (digit < 0 || n_digits >= 2 * sizeof(hash))
                        return NULL;

                hash[n_digits / 2] = (uint8_t)(hash[n_digits / 2] << 4 | digit);
                n_digits++;
        }

        return n_digits == 2 * sizeof(hash) ? g_bytes_new(hash, sizeof(hash)) : NULL;
}

int revocations_add_denied(Revocations *revocations, GBytes *text, size_t *ret_n_bad,
                           size_t *ret_bad) {
        gsize size;
        const char *data = g_bytes_get_data(text, &size);
        g_autoptr(GString) copy = g_string_new_len(data, (gssize)size);
        char *rest = copy->str, *line;
        size_t n_bad = 0, bad = 0;

        /* a NUL would end the list, and what is behind it would be let in */
        for (gsize i = 0; i < size; i++)
                if (copy->str[i] == '\0')
                        copy->str[i] = '?';

        for (size_t i = 1; (line = strsep(&rest, "\n")); i++) {
                GBytes *hash;

                line[strcspn(line, "#")] = '\0';
                if (*g_strstrip(line) == '\0')
                        continue;

                hash = denied_read(line);
                if (hash && g_hash_table_size(revocations->denied) >= REVOCATIONS_DENIED_MAX) {
                        g_bytes_unref(hash);
                        return REVOCATIONS_E_TOO_MANY;
                }
                if (hash)
                        g_hash_table_add(revocations->denied, hash);
                else if (n_bad++ == 0)
                        bad = i;
        }

        *ret_n_bad = n_bad;
        *ret_bad = bad;
        return 0;
}

static bool denied_has(const Revocations *revocations, const uint8_t *hash) {
        g_autoptr(GBytes) key = g_bytes_new_static(hash, SHA256_SIZE);

        return g_hash_table_contains(revocations->denied, key);
}

bool revocations_deny(const Revocations *revocations, gnutls_x509_crt_t certificate) {
        uint8_t hash[SHA256_SIZE] = {0};
        size_t size = sizeof(hash);

        if (g_hash_table_size(revocations->denied) == 0)
                return false;
        if (gnutls_x509_crt_get_fingerprint(certificate, GNUTLS_DIG_SHA256, hash, &size) >= 0 &&
            denied_has(revocations, hash))
                return true;

        size = sizeof(hash);
        return gnutls_x509_crt_get_key_id(certificate, GNUTLS_KEYID_USE_SHA256, hash, &size) >= 0 &&
               denied_has(revocations, hash);
}

/* ---- reading a list ---- */

static int serial_compare(const void *a, const void *b) {
        const Serial *left = a, *right = b;

        if (left->size != right->size)
                return left->size < right->size ? -1 : 1;

        return memcmp(left->bytes, right->bytes, left->size);
}

static int list_read_serials(RevocationList *list, gnutls_x509_crl_t crl) {
        gnutls_x509_crl_iter_t iterator = NULL;
        Serial serial = {0};
        size_t size;
        time_t when;
        int r;

        list->serials = g_array_new(FALSE, FALSE, sizeof(Serial));
        for (;;) {
                size = sizeof(serial.bytes);
                r = gnutls_x509_crl_iter_crt_serial(crl, &iterator, serial.bytes, &size, &when);
                if (r < 0)
                        break;

                serial.size = (uint8_t)size;
                g_array_append_val(list->serials, serial);
        }
        gnutls_x509_crl_iter_deinit(iterator);
        if (r != GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE ||
            gnutls_x509_crl_get_crt_count(crl) != (int)list->serials->len)
                return REVOCATIONS_E_MALFORMED;

        if (list->serials->len > 0)
                qsort(list->serials->data, list->serials->len, sizeof(Serial), serial_compare);
        return 0;
}

/* RFC 5280, 5.1: what was signed, an algorithm, a signature. GnuTLS says the first to nobody, and
 * of the last not how long it is. */
static bool list_find_signed(GBytes *der, Der *ret_signed, Der *ret_signature) {
        Der outside, inside, skipped;
        const uint8_t *begin;

        outside.data = g_bytes_get_data(der, &outside.size);
        if (!der_read_tagged(&outside, DER_SEQUENCE, &inside))
                return false;

        begin = inside.data;
        if (!der_read_tagged(&inside, DER_SEQUENCE, &skipped))
                return false;

        *ret_signed = (Der){begin, (size_t)(inside.data - begin)};
        if (!der_read_tagged(&inside, DER_SEQUENCE, &skipped) ||
            !der_read_tagged(&inside, DER_BIT_STRING, ret_signature) || ret_signature->size < 1 ||
            ret_signature->data[0] != 0)
                return false;

        ret_signature->data++; /* how many bits are left over */
        ret_signature->size--;
        return true;
}

static int list_read_proof(RevocationList *list, const Der *signed_part) {
        gnutls_digest_algorithm_t digest = gnutls_sign_get_hash_algorithm(list->algorithm);
        gnutls_pk_algorithm_t key = gnutls_sign_get_pk_algorithm(list->algorithm);
        uint8_t hash[HASH_SIZE_MAX];

        list->hashed = key != GNUTLS_PK_EDDSA_ED25519 && key != GNUTLS_PK_EDDSA_ED448;
        if (!list->hashed) {
                if (signed_part->size > UNHASHED_SIZE_MAX)
                        return REVOCATIONS_E_WEAK;

                list->proof = g_bytes_new(signed_part->data, signed_part->size);
                return 0;
        }

        if (gnutls_hash_fast(digest, signed_part->data, signed_part->size, hash) < 0)
                return REVOCATIONS_E_WEAK;

        list->proof = g_bytes_new(hash, gnutls_hash_get_len(digest));
        return 0;
}

static int list_read_signature(RevocationList *list, gnutls_x509_crl_t crl, GBytes *der) {
        int algorithm = gnutls_x509_crl_get_signature_algorithm(crl);
        Der signed_part, signature;

        if (!certificate_signature_is_strong(algorithm))
                return REVOCATIONS_E_WEAK;
        if (!list_find_signed(der, &signed_part, &signature))
                return REVOCATIONS_E_MALFORMED;

        list->algorithm = (gnutls_sign_algorithm_t)algorithm;
        list->signature = g_bytes_new(signature.data, signature.size);
        return list_read_proof(list, &signed_part);
}

/* Critical ones narrow what a list is about; who does not know them may not use it. */
static bool list_is_whole(gnutls_x509_crl_t crl) {
        char oid[OID_SIZE_MAX];
        unsigned critical;

        for (unsigned i = 0;; i++) {
                size_t size = sizeof(oid);
                int r = gnutls_x509_crl_get_extension_info(crl, i, oid, &size, &critical);

                if (r == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
                        return true;
                if (r < 0 || critical)
                        return false;
        }
}

static int list_read(gnutls_x509_crl_t crl, GBytes *der, RevocationList **ret) {
        g_autoptr(RevocationList) list = g_new0(RevocationList, 1);
        int r;

        if (!list_is_whole(crl))
                return REVOCATIONS_E_UNSUPPORTED;

        list->begin = gnutls_x509_crl_get_this_update(crl);
        list->end = gnutls_x509_crl_get_next_update(crl);
        if (list->begin == (time_t)-1)
                return REVOCATIONS_E_MALFORMED;

        r = list_read_signature(list, crl, der);
        if (r)
                return r;

        r = list_read_serials(list, crl);
        if (r)
                return r;

        *ret = g_steal_pointer(&list);
        return 0;
}

static int list_compare(gconstpointer a, gconstpointer b) {
        const RevocationList *left = *(RevocationList *const *)a;
        const RevocationList *right = *(RevocationList *const *)b;

        return (left->begin < right->begin) - (left->begin > right->begin);
}

static void revocations_keep(Revocations *revocations, GBytes *issuer, RevocationList *list) {
        GPtrArray *lists = g_hash_table_lookup(revocations->lists, issuer);

        if (!lists) {
                lists = g_ptr_array_new_with_free_func((GDestroyNotify)list_free);
                g_hash_table_insert(revocations->lists, g_bytes_ref(issuer), lists);
        }

        g_ptr_array_add(lists, list);
        g_ptr_array_sort(lists, list_compare);
        revocations->n_lists++;
        revocations->n_serials += list->serials->len;
}

static int revocations_take(Revocations *revocations, gnutls_x509_crl_t crl, GBytes *der) {
        g_autoptr(GBytes) issuer = NULL;
        RevocationList *list;
        gnutls_datum_t name;
        int r, n_serials = gnutls_x509_crl_get_crt_count(crl);

        if (n_serials < 0 || gnutls_x509_crl_get_raw_issuer_dn(crl, &name) < 0)
                return REVOCATIONS_E_MALFORMED;

        issuer = g_bytes_new_with_free_func(name.data, name.size, gnutls_free, name.data);
        if (revocations->n_lists >= REVOCATIONS_LISTS_MAX ||
            (size_t)n_serials > REVOCATIONS_SERIALS_MAX - revocations->n_serials)
                return REVOCATIONS_E_TOO_MANY;

        r = list_read(crl, der, &list);
        if (r)
                return r;

        revocations_keep(revocations, issuer, list);
        return 0;
}

static int revocations_add(Revocations *revocations, GBytes *der) {
        gnutls_datum_t datum = {(void *)g_bytes_get_data(der, NULL),
                                (unsigned)g_bytes_get_size(der)};
        gnutls_x509_crl_t crl;
        int r;

        if (gnutls_x509_crl_init(&crl) < 0)
                return fault(-ENOMEM);

        if (gnutls_x509_crl_import(crl, &datum, GNUTLS_X509_FMT_DER) < 0)
                r = REVOCATIONS_E_MALFORMED;
        else
                r = revocations_take(revocations, crl, der);
        gnutls_x509_crl_deinit(crl);
        return r;
}

int revocations_add_lists(Revocations *revocations, GBytes *blob) {
        g_autoptr(GPtrArray) ders = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
        gsize size;
        const uint8_t *data = g_bytes_get_data(blob, &size);

        /* none is shorter than 128 bytes, so its length has the long form; text may begin with a 0
         */
        if (size > 1 && data[0] == DER_SEQUENCE && data[1] & 0x80)
                return revocations_add(revocations, blob);

        switch ((PemOutcome)pem_split(blob, "X509 CRL", REVOCATIONS_LISTS_MAX, ders)) {
        case PEM_E_MALFORMED:
                return REVOCATIONS_E_MALFORMED;
        case PEM_E_TOO_MANY:
                return REVOCATIONS_E_TOO_MANY;
        }

        for (size_t i = 0; i < ders->len; i++) {
                int r = revocations_add(revocations, ders->pdata[i]);

                if (r)
                        return r < 0 ? fault(r) : r;
        }

        return 0;
}

/* ---- asking ---- */

static bool list_is_signed_by(const RevocationList *list, gnutls_pubkey_t key) {
        gnutls_datum_t proof = {(void *)g_bytes_get_data(list->proof, NULL),
                                (unsigned)g_bytes_get_size(list->proof)};
        gnutls_datum_t signature = {(void *)g_bytes_get_data(list->signature, NULL),
                                    (unsigned)g_bytes_get_size(list->signature)};

        if (list->hashed)
                return gnutls_pubkey_verify_hash2(key, list->algorithm, 0, &proof, &signature) >= 0;

        return gnutls_pubkey_verify_data2(key, list->algorithm, 0, &proof, &signature) >= 0;
}

static bool issuer_may_revoke(gnutls_x509_crt_t issuer) {
        unsigned usage;

        return gnutls_x509_crt_get_key_usage(issuer, &usage, NULL) < 0 ||
               usage & GNUTLS_KEY_CRL_SIGN;
}

/* The newest of its lists, or NULL. */
static const RevocationList *issuer_find_list(gnutls_x509_crt_t issuer, const GPtrArray *lists) {
        const RevocationList *found = NULL;
        gnutls_pubkey_t key;

        if (!issuer_may_revoke(issuer) || gnutls_pubkey_init(&key) < 0)
                return NULL;

        if (gnutls_pubkey_import_x509(key, issuer, 0) >= 0)
                for (size_t i = 0; !found && i < lists->len; i++)
                        if (list_is_signed_by(lists->pdata[i], key))
                                found = lists->pdata[i];

        gnutls_pubkey_deinit(key);
        return found;
}

static const GPtrArray *revocations_find(const Revocations *revocations, gnutls_x509_crt_t issuer) {
        g_autoptr(GBytes) name = NULL;
        gnutls_datum_t datum;

        if (revocations->n_lists == 0 || gnutls_x509_crt_get_raw_dn(issuer, &datum) < 0)
                return NULL;

        name = g_bytes_new_with_free_func(datum.data, datum.size, gnutls_free, datum.data);
        return g_hash_table_lookup(revocations->lists, name);
}

static bool list_has(const RevocationList *list, gnutls_x509_crt_t certificate) {
        Serial serial = {0};
        size_t size = sizeof(serial.bytes);

        if (list->serials->len == 0 ||
            gnutls_x509_crt_get_serial(certificate, serial.bytes, &size) < 0)
                return false; /* a longer one than any list has */

        serial.size = (uint8_t)size;
        return bsearch(&serial, list->serials->data, list->serials->len, sizeof(Serial),
                       serial_compare) != NULL;
}

RevocationsStatus revocations_ask(const Revocations *revocations, gnutls_x509_crt_t certificate,
                                  gnutls_x509_crt_t issuer) {
        const GPtrArray *lists = revocations_find(revocations, issuer);
        const RevocationList *list;
        time_t now = time(NULL);

        if (!lists)
                return REVOCATIONS_SILENT;

        list = issuer_find_list(issuer, lists);
        if (list && list_has(list, certificate))
                return REVOCATIONS_REVOKED; /* also by one that is out of date */
        if (!list || now < list->begin || (list->end != (time_t)-1 && now > list->end))
                return REVOCATIONS_UNKNOWN;

        return REVOCATIONS_GOOD;
}
