/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * RevocationList, see revocation-list.h.
 *
 * GnuTLS keeps a whole CRL as a tree, 25 times its size, and hashes all of it for each signature it
 * checks. So a list is read once here, and the tree is let go.
 */

#include "identity/revocation-list.h"
#include "base/fault.h"
#include "identity/certificate.h"
#include "identity/der.h"

#include <errno.h>
#include <gnutls/crypto.h>
#include <stdlib.h>
#include <string.h>

#define DER_BIT_STRING 0x03

#define HASH_SIZE_MAX 64
#define SERIAL_SIZE_MAX 23 /* RFC 5280, 4.1.2.2: 20, and some have more */
#define OID_SIZE_MAX 128
/* What Ed25519 and Ed448 sign cannot be hashed beforehand, so it is kept, and hashed each time. */
#define UNHASHED_SIZE_MAX ((size_t)256 * 1024)

typedef struct Serial {
        uint8_t size;
        uint8_t bytes[SERIAL_SIZE_MAX];
} Serial;

void revocation_list_free(RevocationList *list) {
        g_clear_pointer(&list->issuer, g_bytes_unref);
        g_clear_pointer(&list->proof, g_bytes_unref);
        g_clear_pointer(&list->signature, g_bytes_unref);
        g_clear_pointer(&list->serials, g_array_unref);
        g_free(list);
}

/* ---- reading ---- */

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

static int list_read_issuer(RevocationList *list, gnutls_x509_crl_t crl) {
        gnutls_datum_t name;

        if (gnutls_x509_crl_get_raw_issuer_dn(crl, &name) < 0)
                return REVOCATIONS_E_MALFORMED;

        list->issuer = g_bytes_new_with_free_func(name.data, name.size, gnutls_free, name.data);
        return 0;
}

static int list_read(RevocationList *list, gnutls_x509_crl_t crl, GBytes *der) {
        int r;

        if (!list_is_whole(crl))
                return REVOCATIONS_E_UNSUPPORTED;

        list->begin = gnutls_x509_crl_get_this_update(crl);
        list->end = gnutls_x509_crl_get_next_update(crl);
        if (list->begin == (time_t)-1)
                return REVOCATIONS_E_MALFORMED;

        r = list_read_issuer(list, crl);
        if (r == 0)
                r = list_read_signature(list, crl, der);
        return r ? r : list_read_serials(list, crl);
}

static int list_import(gnutls_x509_crl_t crl, GBytes *der, size_t n_serials_max,
                       RevocationList **ret) {
        g_autoptr(RevocationList) list = g_new0(RevocationList, 1);
        gnutls_datum_t datum = {(void *)g_bytes_get_data(der, NULL),
                                (unsigned)g_bytes_get_size(der)};
        int r, n_serials;

        if (gnutls_x509_crl_import(crl, &datum, GNUTLS_X509_FMT_DER) < 0)
                return REVOCATIONS_E_MALFORMED;

        n_serials = gnutls_x509_crl_get_crt_count(crl);
        if (n_serials < 0)
                return REVOCATIONS_E_MALFORMED;
        if ((size_t)n_serials > n_serials_max)
                return REVOCATIONS_E_TOO_MANY;

        r = list_read(list, crl, der);
        if (r)
                return r;

        *ret = g_steal_pointer(&list);
        return 0;
}

int revocation_list_new(GBytes *der, size_t n_serials_max, RevocationList **ret) {
        gnutls_x509_crl_t crl;
        int r;

        if (gnutls_x509_crl_init(&crl) < 0)
                return fault(-ENOMEM);

        r = list_import(crl, der, n_serials_max, ret);
        gnutls_x509_crl_deinit(crl);
        return r;
}

/* ---- asking ---- */

bool revocation_list_is_signed_by(const RevocationList *list, gnutls_pubkey_t key) {
        gnutls_datum_t proof = {(void *)g_bytes_get_data(list->proof, NULL),
                                (unsigned)g_bytes_get_size(list->proof)};
        gnutls_datum_t signature = {(void *)g_bytes_get_data(list->signature, NULL),
                                    (unsigned)g_bytes_get_size(list->signature)};

        if (list->hashed)
                return gnutls_pubkey_verify_hash2(key, list->algorithm, 0, &proof, &signature) >= 0;

        return gnutls_pubkey_verify_data2(key, list->algorithm, 0, &proof, &signature) >= 0;
}

bool revocation_list_has(const RevocationList *list, gnutls_x509_crt_t certificate) {
        Serial serial = {0};
        size_t size = sizeof(serial.bytes);

        if (list->serials->len == 0 ||
            gnutls_x509_crt_get_serial(certificate, serial.bytes, &size) < 0)
                return false; /* a longer one than any list has */

        serial.size = (uint8_t)size;
        return bsearch(&serial, list->serials->data, list->serials->len, sizeof(Serial),
                       serial_compare) != NULL;
}
