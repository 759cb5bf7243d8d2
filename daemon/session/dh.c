/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Diffie-Hellman parameters of the caller's: read, and looked at as far as costs nothing. Whether
 * the prime is one would cost seconds; who gives one that is none weakens its own connections.
 */

#include "session/config.h"
#include "session/private.h"

#include "base/fault.h"

#include <errno.h>
#include <string.h>

const char *session_dh_outcome_text(SessionDhOutcome outcome) {
        switch (outcome) {
        case SESSION_DH_E_MALFORMED:
                return "they are not PKCS#3 DH parameters in PEM or DER";
        case SESSION_DH_E_WEAK:
                return "their prime has fewer than " G_STRINGIFY(SESSION_DH_BITS_MIN) " bits";
        case SESSION_DH_E_LONG:
                return "their prime has more than " G_STRINGIFY(SESSION_DH_BITS_MAX) " bits";
        case SESSION_DH_E_NONSENSE:
                return "their prime is even, or their generator is not between 1 and prime - 1";
        }

        return "they cannot be used";
}

/* The bytes of a number without the zeros in front. */
static gnutls_datum_t dh_number(const gnutls_datum_t *number) {
        gnutls_datum_t bare = *number;

        while (bare.size > 0 && *bare.data == 0) {
                bare.data++;
                bare.size--;
        }

        return bare;
}

/* Whether 1 < @generator < @prime - 1; @prime is odd, so that its last byte is not 0. */
static bool dh_generates(const gnutls_datum_t *prime, const gnutls_datum_t *generator) {
        g_autofree uint8_t *largest = g_memdup2(prime->data, prime->size);

        largest[prime->size - 1] &= 0xfe;
        if (generator->size == 0 || (generator->size == 1 && generator->data[0] == 1))
                return false;
        if (generator->size != prime->size)
                return generator->size < prime->size;

        return memcmp(generator->data, largest, prime->size) < 0;
}

static size_t dh_bits(const gnutls_datum_t *number) {
        return number->size > 0 ? (number->size - 1) * 8 + g_bit_storage(number->data[0]) : 0;
}

/* GnuTLS's powers want an odd prime. */
static int dh_check(const gnutls_datum_t *prime, const gnutls_datum_t *generator) {
        gnutls_datum_t p = dh_number(prime), g = dh_number(generator);

        if (dh_bits(&p) < SESSION_DH_BITS_MIN)
                return SESSION_DH_E_WEAK;
        if (dh_bits(&p) > SESSION_DH_BITS_MAX)
                return SESSION_DH_E_LONG;
        if ((p.data[p.size - 1] & 1) == 0 || !dh_generates(&p, &g))
                return SESSION_DH_E_NONSENSE;

        return 0;
}

/* @prime and @generator alone: the length of the private value is not the caller's to choose. */
static int dh_write(const gnutls_datum_t *prime, const gnutls_datum_t *generator, GBytes **ret) {
        gnutls_dh_params_t params;
        gnutls_datum_t der;
        int r;

        if (gnutls_dh_params_init(&params) < 0)
                return fault(-ENOMEM);

        r = gnutls_dh_params_import_raw2(params, prime, generator, 0);
        if (r >= 0)
                r = gnutls_dh_params_export2_pkcs3(params, GNUTLS_X509_FMT_DER, &der);
        gnutls_dh_params_deinit(params);
        if (r < 0)
                return SESSION_DH_E_MALFORMED;

        *ret = g_bytes_new_with_free_func(der.data, der.size, gnutls_free, der.data);
        return 0;
}

static int dh_import(const void *data, size_t size, gnutls_dh_params_t params) {
        gnutls_datum_t blob = {(void *)data, (unsigned)size};

        if (size > SESSION_DH_SIZE_MAX)
                return SESSION_DH_E_MALFORMED;
        if (gnutls_dh_params_import_pkcs3(params, &blob, GNUTLS_X509_FMT_DER) >= 0 ||
            gnutls_dh_params_import_pkcs3(params, &blob, GNUTLS_X509_FMT_PEM) >= 0)
                return 0;

        return SESSION_DH_E_MALFORMED;
}

int session_dh_read(const void *data, size_t size, GBytes **ret) {
        gnutls_dh_params_t params;
        gnutls_datum_t prime, generator;
        int r;

        if (gnutls_dh_params_init(&params) < 0)
                return fault(-ENOMEM);

        r = dh_import(data, size, params);
        if (!r && gnutls_dh_params_export_raw(params, &prime, &generator, NULL) < 0)
                r = SESSION_DH_E_MALFORMED;
        gnutls_dh_params_deinit(params);
        if (r)
                return r;

        r = dh_check(&prime, &generator);
        if (!r)
                r = dh_write(&prime, &generator, ret);
        gnutls_free(prime.data);
        gnutls_free(generator.data);
        return r;
}
