/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Verdict, see verdict.h. What was sent is put in order (verdict-path.c), who issued whom is looked
 * at link by link (verdict-links.c); times, names, purposes and length are looked at here in any
 * case: they depend on nothing else.
 */

#include "identity/private.h"

#include "base/address.h"
#include "base/fault.h"
#include "identity/certificate.h"
#include "identity/ocsp.h"

#include <gnutls/x509-ext.h>
#include <string.h>
#include <time.h>

#define VERDICT_SERIAL_SIZE_MAX 128 /* RFC 5280: 20, and many have more */
/* GnuTLS reads a list of purposes from its beginning for each of them: 32 KiB, which a peer may
 * send, take it half a second. A hundred real ones fit in this. */
#define VERDICT_PURPOSES_SIZE_MAX 1024
#define VERDICT_PURPOSES_OID "2.5.29.37"

#define VERDICT_PIN_SIZE 32

/* The serial number that a certificate says its issuer's certificate has, if it says so. */
static int verdict_named_serial(gnutls_x509_crt_t certificate, gnutls_x509_aki_t authority,
                                gnutls_datum_t *ret) {
        gnutls_datum_t extension, name;
        unsigned type;
        int r;

        r = gnutls_x509_crt_get_extension_by_oid2(certificate, GNUTLS_X509EXT_OID_AUTHORITY_KEY_ID,
                                                  0, &extension, NULL);
        if (r < 0)
                return r;

        r = gnutls_x509_ext_import_authority_key_id(&extension, authority, 0);
        gnutls_free(extension.data);
        if (r < 0)
                return r;

        return gnutls_x509_aki_get_cert_issuer(authority, 0, &type, &name, NULL, ret);
}

static bool verdict_serial_fits(gnutls_x509_crt_t certificate, gnutls_x509_crt_t issuer) {
        uint8_t serial[VERDICT_SERIAL_SIZE_MAX];
        size_t size = sizeof(serial);
        gnutls_datum_t named = {NULL, 0};
        gnutls_x509_aki_t authority;
        bool fits = true;

        if (gnutls_x509_aki_init(&authority) < 0)
                return false;

        if (verdict_named_serial(certificate, authority, &named) >= 0 && named.size > 0)
                fits = gnutls_x509_crt_get_serial(issuer, serial, &size) >= 0 &&
                       size == named.size && memcmp(serial, named.data, size) == 0;

        gnutls_x509_aki_deinit(authority);
        return fits;
}

/* GnuTLS looks for an issuer by name and key alone. */
static void verdict_serials(GArray *errors, const Path *path) {
        for (size_t i = 0; i < path->length; i++) {
                gnutls_x509_crt_t issuer = path_issuer(path, i);

                if (issuer && !verdict_serial_fits(path->certificates[i], issuer))
                        verdict_errors_add(errors, VERDICT_AUTHORITY_ISSUER_SERIAL_NUMBER_MISMATCH,
                                           path->ders[i]);
        }
}

/* Whoever vouches for it. */
static void verdict_revocations(GArray *errors, const Path *path, const Revocations *revocations) {
        for (size_t i = 0; i < path->length; i++) {
                gnutls_x509_crt_t issuer = path_issuer(path, i);
                RevocationsStatus status =
                        revocations_ask(revocations, path->certificates[i], issuer);

                if (revocations_deny(revocations, path->certificates[i]))
                        verdict_errors_add(errors, VERDICT_CERTIFICATE_BLACKLISTED, path->ders[i]);
                if (status == REVOCATIONS_REVOKED)
                        verdict_errors_add(errors, VERDICT_CERTIFICATE_REVOKED, path->ders[i]);
                if (status == REVOCATIONS_UNKNOWN)
                        verdict_errors_add(errors, VERDICT_CERTIFICATE_STATUS_UNKNOWN,
                                           path->ders[i]);
        }

        if (path->anchor && revocations_deny(revocations, path->anchor)) {
                g_autoptr(GBytes) der = certificate_export(path->anchor);

                verdict_errors_add(errors, VERDICT_CERTIFICATE_BLACKLISTED, der);
        }
}

static int verdict_ocsp(GArray *errors, const Path *path, GBytes *response) {
        OcspSubject subject = {
                .certificate = path->certificates[0],
                .issuer = path_issuer(path, 0),
                .der = path->ders[0],
        };
        int r;

        if (!subject.issuer && path_is_self_issued(path, 0))
                subject.issuer = path->certificates[0];

        r = ocsp_judge(errors, response, &subject);
        return r < 0 ? fault(r) : 0;
}

static void verdict_dates(GArray *errors, gnutls_x509_crt_t certificate, GBytes *der, time_t now) {
        time_t begin = gnutls_x509_crt_get_activation_time(certificate);
        time_t end = gnutls_x509_crt_get_expiration_time(certificate);

        if (begin == (time_t)-1)
                verdict_errors_add(errors, VERDICT_INVALID_NOT_BEFORE_FIELD, der);
        else if (now < begin)
                verdict_errors_add(errors, VERDICT_CERTIFICATE_NOT_YET_VALID, der);

        if (end == (time_t)-1)
                verdict_errors_add(errors, VERDICT_INVALID_NOT_AFTER_FIELD, der);
        else if (now > end)
                verdict_errors_add(errors, VERDICT_CERTIFICATE_EXPIRED, der);
}

static void verdict_all_dates(GArray *errors, const Path *path) {
        time_t now = time(NULL);

        for (size_t i = 0; i < path->length; i++)
                verdict_dates(errors, path->certificates[i], path->ders[i], now);

        if (path->anchor) {
                g_autoptr(GBytes) der = certificate_export(path->anchor);

                verdict_dates(errors, path->anchor, der, now);
        }
}

static bool verdict_purposes_are_bearable(gnutls_x509_crt_t certificate) {
        gnutls_datum_t purposes = {NULL, 0};

        if (gnutls_x509_crt_get_extension_by_oid2(certificate, VERDICT_PURPOSES_OID, 0, &purposes,
                                                  NULL) < 0)
                return true; /* it has none */

        gnutls_free(purposes.data);
        return purposes.size <= VERDICT_PURPOSES_SIZE_MAX;
}

/* The peer's own, and those that say for what they issue. */
static void verdict_purposes(GArray *errors, const Path *path, bool peer_is_server) {
        const char *purpose = peer_is_server ? GNUTLS_KP_TLS_WWW_SERVER : GNUTLS_KP_TLS_WWW_CLIENT;

        for (size_t i = 0; i < path->length; i++)
                if (!verdict_purposes_are_bearable(path->certificates[i]) ||
                    !gnutls_x509_crt_check_key_purpose(path->certificates[i], purpose, 0))
                        verdict_errors_add(errors, VERDICT_INVALID_PURPOSE, path->ders[i]);
}

/* A certificate knows no scopes: they are the business of one host. */
static bool verdict_name_is_address(const char *name, Address *ret) {
        g_autofree char *address = g_strndup(name, strcspn(name, "%"));

        return address_parse(address, 0, ret) == 0;
}

static bool verdict_address_matches(gnutls_x509_crt_t leaf, const Address *address) {
        if (address_family(address) == AF_INET)
                return gnutls_x509_crt_check_ip(leaf, (const uint8_t *)&address->in.sin_addr,
                                                sizeof(address->in.sin_addr), 0);

        return gnutls_x509_crt_check_ip(leaf, (const uint8_t *)&address->in6.sin6_addr,
                                        sizeof(address->in6.sin6_addr), 0);
}

static bool verdict_name_matches(gnutls_x509_crt_t leaf, const char *name) {
        g_autofree char *relative = NULL;
        Address address;

        if (verdict_name_is_address(name, &address))
                return verdict_address_matches(leaf, &address);

        /* "example.org." is the same name, and no certificate has the dot */
        relative = g_strdup(name);
        if (g_str_has_suffix(relative, "."))
                relative[strlen(relative) - 1] = '\0';

        return gnutls_x509_crt_check_hostname(leaf, relative);
}

static void verdict_name(GArray *errors, const Path *path, const char *name) {
        if (!name || *name == '\0')
                return;

        if (!verdict_name_matches(path->certificates[0], name))
                verdict_errors_add(errors, VERDICT_HOST_NAME_MISMATCH, path->ders[0]);
}

/* A root that is sent along does not make a chain longer. */
static void verdict_length(GArray *errors, const Path *path, const VerdictQuestion *question) {
        size_t length = path->length;

        if (length > 1 && path_is_self_issued(path, length - 1))
                length--;

        if (question->depth > 0 && length > question->depth)
                verdict_errors_add(errors, VERDICT_PATH_LENGTH_EXCEEDED,
                                   path->ders[question->depth]);
        if (question->chain->len > CHAIN_LENGTH_MAX)
                verdict_errors_add(errors, VERDICT_PATH_LENGTH_EXCEEDED,
                                   question->chain->pdata[CHAIN_LENGTH_MAX]);
}

static GBytes *verdict_key_hash(gnutls_x509_crt_t certificate) {
        uint8_t hash[VERDICT_PIN_SIZE];
        size_t size = sizeof(hash);

        if (gnutls_x509_crt_get_key_id(certificate, GNUTLS_KEYID_USE_SHA256, hash, &size) < 0)
                return NULL;

        return g_bytes_new(hash, size);
}

GBytes *verdict_pin(GBytes *der) {
        certificate_auto certificate = NULL;

        return certificate_import(der, &certificate) == 0 ? verdict_key_hash(certificate) : NULL;
}

/* Whether a pin, or the caller, vouches for the leaf. */
static bool verdict_is_vouched(const Path *path, const VerdictQuestion *question) {
        g_autoptr(GBytes) pin = NULL;

        if (!question->pins)
                return question->vouched;

        pin = verdict_key_hash(path->certificates[0]);
        return pin && g_ptr_array_find_with_equal_func((GPtrArray *)question->pins, pin,
                                                       (GEqualFunc)g_bytes_equal, NULL);
}

/* Who issued whom, up to whom we trust, and for which name; of one whom no pin vouches for. */
static int verdict_issuers(GArray *errors, Path *path, const VerdictQuestion *question) {
        int r;

        r = verdict_chain(errors, path, question->trust);
        if (r < 0)
                return fault(r);

        verdict_serials(errors, path);
        verdict_name(errors, path, question->name);
        verdict_length(errors, path, question);
        if (question->pins)
                verdict_errors_add(errors, VERDICT_CERTIFICATE_REJECTED, path->ders[0]);
        return 0;
}

/**
 * verdict_reach() - everything that is wrong with what a peer showed
 *
 * An empty list is a good peer. The list is complete in this sense: a peer whose errors are all
 * ignored has valid signatures from its leaf to the last certificate of its path, unless a failed
 * signature, or a key that says nothing of one, is among the ignored.
 *
 * Return: 0, or a fault.
 */
int verdict_reach(const VerdictQuestion *question, GArray **ret) {
        g_autoptr(GArray) errors = verdict_errors_new();
        g_auto(Sent) sent = {.length = 0};
        g_auto(Path) path = {.length = 0};
        int r = 0;

        if (question->chain->len == 0)
                verdict_errors_add(errors, VERDICT_NO_PEER_CERTIFICATE, NULL);
        else
                r = sent_read(&sent, question->chain, errors);
        if (r < 0)
                return fault(r);

        if (errors->len == 0) {
                path_build(&path, &sent, question);

                if (!verdict_is_vouched(&path, question))
                        r = verdict_issuers(errors, &path, question);
                if (r < 0)
                        return fault(r);

                if (question->revocations)
                        verdict_revocations(errors, &path, question->revocations);
                if (question->wants_ocsp)
                        r = verdict_ocsp(errors, &path, question->ocsp_response);
                if (r < 0)
                        return fault(r);

                verdict_all_dates(errors, &path);
                verdict_purposes(errors, &path, question->peer_is_server);
        }

        *ret = g_steal_pointer(&errors);
        return 0;
}

bool verdict_is_bearable(GBytes *der) {
        certificate_auto certificate = NULL;

        return certificate_import(der, &certificate) == 0 && certificate_is_bearable(certificate);
}
