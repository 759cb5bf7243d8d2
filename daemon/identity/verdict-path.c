/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a peer sent, and as much of it as leads from its leaf towards an anchor, see verdict.c. */

#include "identity/private.h"

#include "base/fault.h"
#include "identity/certificate.h"
#include "identity/validity.h"

void sent_done(Sent *sent) {
        for (size_t i = 0; i < sent->length; i++)
                gnutls_x509_crt_deinit(sent->certificates[i]);
}

bool verdict_key_is_decodable(gnutls_x509_crt_t certificate) {
        unsigned bits;

        return gnutls_x509_crt_get_pk_algorithm(certificate, &bits) >= 0;
}

/* A key that cannot be decoded costs nothing: nobody can work with it. */
static bool sent_is_bearable(const Sent *sent, size_t i) {
        return certificate_is_bearable(sent->certificates[i]) ||
               (i > 0 && !verdict_key_is_decodable(sent->certificates[i]));
}

/* Nothing else was looked at, so a date alone must not be all there is to ignore. */
static void sent_unreadable(GArray *errors, GBytes *der) {
        Validity validity = validity_look(der);

        verdict_errors_add(errors, VERDICT_UNSPECIFIED_ERROR, der);
        if (validity.begin_is_bad)
                verdict_errors_add(errors, VERDICT_INVALID_NOT_BEFORE_FIELD, der);
        if (validity.end_is_bad)
                verdict_errors_add(errors, VERDICT_INVALID_NOT_AFTER_FIELD, der);
}

int sent_read(Sent *sent, GPtrArray *chain, GArray *errors) {
        for (size_t i = 0; i < chain->len && i < CHAIN_LENGTH_MAX; i++) {
                int r = certificate_import(chain->pdata[i], &sent->certificates[i]);

                if (r < 0)
                        return fault(r);
                if (r == 0)
                        sent->length++;
                if (r > 0)
                        sent_unreadable(errors, chain->pdata[i]);
                else if (!sent_is_bearable(sent, i))
                        verdict_errors_add(errors, VERDICT_UNSPECIFIED_ERROR, chain->pdata[i]);
                if (errors->len > 0)
                        return 0;
        }

        return 0;
}

void path_done(Path *path) {
        if (path->anchor)
                gnutls_x509_crt_deinit(path->anchor);
}

bool path_is_self_issued(const Path *path, size_t i) {
        return gnutls_x509_crt_check_issuer(path->certificates[i], path->certificates[i]);
}

/* Whether what else was sent does not matter to the last one. */
static bool path_is_at_end(Path *path, const Trust *trust) {
        gnutls_x509_crt_t last = path->certificates[path->length - 1];

        trust_look_for(trust, last, path->ders[path->length - 1]);
        if (trust_has(trust, path->ders[path->length - 1]))
                path->trusted = true;
        else if (path_is_self_issued(path, path->length - 1))
                return true;
        else if (gnutls_x509_trust_list_get_issuer(trust_list(trust), last, &path->anchor,
                                                   GNUTLS_TL_GET_COPY) >= 0)
                path->trusted = true;

        return path->trusted;
}

void path_build(Path *path, const Sent *sent, const VerdictQuestion *question) {
        bool used[CHAIN_LENGTH_MAX] = {false};
        size_t next = 0;

        while (next < sent->length) {
                gnutls_x509_crt_t last = sent->certificates[next];

                used[next] = true;
                path->certificates[path->length] = last;
                path->ders[path->length++] = question->chain->pdata[next];
                if (path_is_at_end(path, question->trust))
                        return;

                for (next = 0; next < sent->length; next++)
                        if (!used[next] &&
                            gnutls_x509_crt_check_issuer(last, sent->certificates[next]))
                                break;
        }
}

GBytes *path_issuer_der(const Path *path, size_t i) {
        if (i + 1 < path->length)
                return g_bytes_ref(path->ders[i + 1]);

        return path->anchor ? certificate_export(path->anchor) : NULL;
}

gnutls_x509_crt_t path_issuer(const Path *path, size_t i) {
        return i + 1 < path->length ? path->certificates[i + 1] : path->anchor;
}
