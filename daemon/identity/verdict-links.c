/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who issued whom, see verdict.c.
 *
 * GnuTLS goes down a chain from its anchor and stops at the first thing that is wrong, so that what
 * lies below was never looked at: with an unknown root no signature of the chain was checked at
 * all. That is well for a yes or no. But our callers may ignore single errors, and whoever ignores
 * one must still hear of the others. So a chain that GnuTLS does not accept as a whole is walked
 * again, every link by itself and as if all above it was good.
 */

#include "identity/private.h"

#include "base/fault.h"

#include <errno.h>
#include <gnutls/gnutls.h>

/* GnuTLS 3.7.9 copies the chain to an array of 16 on its stack without counting. */
G_STATIC_ASSERT(CHAIN_LENGTH_MAX <= 16);

#define VERDICT_STRICT                                                                             \
        (GNUTLS_PROFILE_TO_VFLAGS(GNUTLS_PROFILE_MEDIUM) | GNUTLS_VERIFY_DISABLE_TIME_CHECKS |     \
         GNUTLS_VERIFY_DISABLE_TRUSTED_TIME_CHECKS)

/* What GnuTLS says of one certificate, where it means that certificate. The rest is told apart in
 * verdict_link. */
static const struct {
        unsigned status;
        VerdictCode code;
} verdict_statuses[] = {
        {GNUTLS_CERT_SIGNATURE_FAILURE, VERDICT_CERTIFICATE_SIGNATURE_FAILED},
        {GNUTLS_CERT_INSECURE_ALGORITHM, VERDICT_CERTIFICATE_REJECTED},
        {GNUTLS_CERT_UNKNOWN_CRIT_EXTENSIONS, VERDICT_CERTIFICATE_REJECTED},
};

/* What a verification said, one entry for each certificate it got to. */
typedef struct Reports {
        struct {
                gnutls_x509_crt_t certificate;
                gnutls_x509_crt_t issuer;
                unsigned status;
        } entries[2 * CHAIN_LENGTH_MAX];
        size_t length;
} Reports;

/* gnutls_verify_output_function carries no pointer of its caller's. */
static _Thread_local Reports *verdict_reports;

static int verdict_note(gnutls_x509_crt_t certificate, gnutls_x509_crt_t issuer,
                        gnutls_x509_crl_t crl, unsigned status) {
        Reports *reports = verdict_reports;

        if (reports && reports->length < G_N_ELEMENTS(reports->entries)) {
                reports->entries[reports->length].certificate = certificate;
                reports->entries[reports->length].issuer = issuer;
                reports->entries[reports->length++].status = status;
        }

        return 0;
}

static int verdict_verify(gnutls_x509_trust_list_t list, gnutls_x509_crt_t *certificates,
                          size_t length, unsigned flags, Reports *reports, unsigned *ret_status) {
        unsigned status = 0;
        int r;

        verdict_reports = reports;
        r = gnutls_x509_trust_list_verify_crt2(list, certificates, (unsigned)length, NULL, 0, flags,
                                               &status, verdict_note);
        verdict_reports = NULL;
        if (r < 0)
                return fault(-EPROTO);

        *ret_status = status;
        return 0;
}

/* The same with one anchor, or none at all. */
static int verdict_verify_under(gnutls_x509_crt_t anchor, gnutls_x509_crt_t *certificates,
                                size_t length, unsigned flags, Reports *reports,
                                unsigned *ret_status) {
        gnutls_x509_trust_list_t list;
        int r = 0;

        if (gnutls_x509_trust_list_init(&list, 1) < 0)
                return fault(-ENOMEM);

        if (anchor && gnutls_x509_trust_list_add_cas(list, &anchor, 1, 0) != 1)
                r = fault(-ENOMEM);
        if (r == 0)
                r = verdict_verify(list, certificates, length,
                                   flags | GNUTLS_VERIFY_DO_NOT_ALLOW_X509_V1_CA_CRT, reports,
                                   ret_status);

        gnutls_x509_trust_list_deinit(list, /* all= */ 0);
        return r;
}

static void verdict_no_issuer(GArray *errors, const Path *path, size_t i) {
        if (path_is_self_issued(path, i)) {
                verdict_errors_add(errors,
                                   i == 0 ? VERDICT_SELF_SIGNED_CERTIFICATE
                                          : VERDICT_SELF_SIGNED_CERTIFICATE_IN_CHAIN,
                                   path->ders[i]);
                return;
        }

        verdict_errors_add(errors, VERDICT_UNABLE_TO_GET_LOCAL_ISSUER_CERTIFICATE, path->ders[i]);
        if (i == 0)
                verdict_errors_add(errors, VERDICT_UNABLE_TO_VERIFY_FIRST_CERTIFICATE,
                                   path->ders[i]);
}

static bool verdict_may_sign(gnutls_x509_crt_t issuer) {
        unsigned usage;

        return gnutls_x509_crt_get_key_usage(issuer, &usage, NULL) < 0 ||
               usage & GNUTLS_KEY_KEY_CERT_SIGN;
}

static void verdict_link_errors(GArray *errors, const Path *path, size_t i, unsigned status) {
        gnutls_x509_crt_t issuer = path_issuer(path, i);

        for (size_t s = 0; s < G_N_ELEMENTS(verdict_statuses); s++)
                if (status & verdict_statuses[s].status)
                        verdict_errors_add(errors, verdict_statuses[s].code, path->ders[i]);

        if (status & GNUTLS_CERT_SIGNER_NOT_FOUND)
                verdict_no_issuer(errors, path, i);

        /* GnuTLS says this of the child */
        if (status & GNUTLS_CERT_SIGNER_NOT_CA ||
            (status & GNUTLS_CERT_SIGNER_CONSTRAINTS_FAILURE && issuer &&
             !verdict_may_sign(issuer))) {
                g_autoptr(GBytes) issuer_der = path_issuer_der(path, i);

                verdict_errors_add(errors, VERDICT_INVALID_CA_CERTIFICATE, issuer_der);
        }

        /* and then it says of the child's signature that it is weak */
        if (issuer && !verdict_key_is_decodable(issuer)) {
                g_autoptr(GBytes) issuer_der = path_issuer_der(path, i);

                verdict_errors_add(errors, VERDICT_UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY, issuer_der);
        }

        if (status == GNUTLS_CERT_INVALID)
                verdict_errors_add(errors, VERDICT_CERTIFICATE_UNTRUSTED, path->ders[i]);
}

static int verdict_link(GArray *errors, Path *path, size_t i, const Trust *trust) {
        gnutls_x509_crt_t *certificate = &path->certificates[i];
        unsigned status = GNUTLS_CERT_INVALID;
        int r;

        if (i + 1 < path->length)
                r = verdict_verify_under(path->certificates[i + 1], certificate, 1, VERDICT_STRICT,
                                         NULL, &status);
        else if (path->trusted)
                r = verdict_verify(trust_list(trust), certificate, 1, VERDICT_STRICT, NULL,
                                   &status);
        else
                r = verdict_verify_under(NULL, certificate, 1, VERDICT_STRICT, NULL, &status);
        if (r < 0)
                return fault(r);

        verdict_link_errors(errors, path, i, status);
        return 0;
}

static GBytes *path_der(const Path *path, gnutls_x509_crt_t certificate) {
        for (size_t i = 0; i < path->length; i++)
                if (path->certificates[i] == certificate)
                        return path->ders[i];

        return path->ders[0];
}

/* What one certificate of a chain says of all below it: how many, and with which names. Everything
 * is let pass that has been looked at link by link. */
static int verdict_constraints(GArray *errors, Path *path, const Trust *trust) {
        unsigned flags = GNUTLS_VERIFY_ALLOW_BROKEN | GNUTLS_VERIFY_ALLOW_SIGN_WITH_SHA1 |
                         GNUTLS_VERIFY_IGNORE_UNKNOWN_CRIT_EXTENSIONS |
                         GNUTLS_VERIFY_DISABLE_TIME_CHECKS |
                         GNUTLS_VERIFY_DISABLE_TRUSTED_TIME_CHECKS;
        Reports reports = {.length = 0};
        size_t last = path->length - 1;
        unsigned status = 0;
        int r = 0;

        if (path->trusted)
                r = verdict_verify(trust_list(trust), path->certificates, path->length, flags,
                                   &reports, &status);
        else if (last > 0)
                r = verdict_verify_under(path->certificates[last], path->certificates, last, flags,
                                         &reports, &status);
        if (r < 0)
                return fault(r);

        for (size_t i = 0; i < reports.length; i++) {
                gnutls_x509_crt_t issuer = reports.entries[i].issuer;
                GBytes *der = path_der(path, reports.entries[i].certificate);

                if (!(reports.entries[i].status & status & GNUTLS_CERT_SIGNER_CONSTRAINTS_FAILURE))
                        continue;

                /* GnuTLS looks for no issuer when there is one certificate too many */
                if (!issuer)
                        verdict_errors_add(errors, VERDICT_PATH_LENGTH_EXCEEDED, der);
                else if (verdict_may_sign(issuer))
                        verdict_errors_add(errors, VERDICT_CERTIFICATE_REJECTED, der);
        }

        return 0;
}

int verdict_chain(GArray *errors, Path *path, const Trust *trust) {
        unsigned status = GNUTLS_CERT_INVALID;
        int r;

        if (path->trusted) {
                r = verdict_verify(trust_list(trust), path->certificates, path->length,
                                   VERDICT_STRICT, NULL, &status);
                if (r < 0)
                        return fault(r);
        }

        if (status == 0)
                return 0;

        for (size_t i = path->length; i > 0; i--) {
                r = verdict_link(errors, path, i - 1, trust);
                if (r < 0)
                        return fault(r);
        }

        r = verdict_constraints(errors, path, trust);
        if (r < 0)
                return fault(r);

        /* whatever it was, it was not good */
        if (errors->len == 0)
                verdict_errors_add(errors, VERDICT_CERTIFICATE_UNTRUSTED, path->ders[0]);

        return 0;
}
