/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What GnuTLS's callbacks ask for and only the outside knows: a PSK, a signature, a verdict.
 *
 * A callback runs on the session's fiber, in the middle of gnutls_handshake(). It writes down the
 * question and yields; the call that brought the datagram returns, and its caller finds the
 * question. The answer's call enters the fiber again and the callback returns to GnuTLS. A callback
 * that is told to fail says why and with which alert.
 *
 * A server judges the peer's certificate before the peer has proven that it has the key
 * (CertificateVerify comes later): the verdict is about a claim, SESSION_OPEN is the proof.
 */

#include "session/private.h"

#define ASK_BAD_CERTIFICATE_STATUS_RESPONSE 113 /* RFC 6066, 8; GnuTLS has no name for it */

/* When the handshake is given up meanwhile the answer is empty, and so a refusal. */
static void ask_and_wait(Session *session, SessionWant want) {
        g_assert(fiber_current() == session->fiber);

        session->question.want = want;
        session->question.serial++;
        session->asking = true;
        session->answer_usec = session->turn.now_usec + session->answer_deadline_usec;
        fiber_yield();
}

void ask_clear(Session *session) {
        uint32_t serial = session->question.serial;

        if (session->question.hint)
                g_bytes_unref(session->question.hint);
        if (session->question.identity)
                g_bytes_unref(session->question.identity);
        session->question = (SessionQuestion){.serial = serial};
        session->asking = false;
        session->answer_usec = SESSION_NEVER;
}

static int ask_copy(gnutls_datum_t *to, const void *data, size_t size) {
        to->data = gnutls_malloc(size + 1); /* never NULL for an empty one */
        if (!to->data)
                return GNUTLS_E_MEMORY_ERROR;

        if (size > 0)
                memcpy(to->data, data, size);
        to->size = (unsigned)size;
        return 0;
}

static void ask_used_identity(Session *session, GBytes *identity) {
        if (session->psk_identity)
                g_bytes_unref(session->psk_identity);
        session->psk_identity = g_bytes_ref(identity);
}

static int ask_psk_give_up(Session *session, int alert) {
        session->alert = alert;
        if (!failure_is_set(session))
                failure_set(session, DTLS_TLS_FATAL_ERROR, "no pre-shared key was given");

        return GNUTLS_E_INSUFFICIENT_CREDENTIALS;
}

/* GnuTLS would take an empty key, and complete a handshake with it. */
static bool ask_psk_is_usable(Session *session, const Secret *key) {
        size_t size = secret_size(key);

        if (size > 0 && size <= SESSION_PSK_KEY_MAX)
                return true;

        failure_set(session, DTLS_INVALID_INPUT_PARAMETERS,
                    "the pre-shared key has %zu bytes; it must have 1 to %d", size,
                    SESSION_PSK_KEY_MAX);
        return false;
}

static bool ask_identity_is_usable(Session *session, GBytes *identity) {
        if (identity && g_bytes_get_size(identity) <= SESSION_PSK_IDENTITY_MAX)
                return true;

        failure_set(session, DTLS_INVALID_INPUT_PARAMETERS,
                    "the identity of the pre-shared key is missing or longer than %d bytes",
                    SESSION_PSK_IDENTITY_MAX);
        return false;
}

/* "" comes from key exchanges that must send a hint and have none. */
static GBytes *ask_hint(gnutls_session_t gnutls) {
        const char *hint = gnutls_psk_client_get_hint(gnutls);

        return hint && *hint ? g_bytes_new(hint, strlen(hint)) : NULL;
}

int ask_psk_client(gnutls_session_t gnutls, gnutls_datum_t *identity, gnutls_datum_t *key) {
        Session *session = gnutls_session_get_ptr(gnutls);
        const SessionAnswer *answer = &session->answer;
        gconstpointer name;
        gsize size;
        int r;

        session->question.hint = ask_hint(gnutls);
        ask_and_wait(session, SESSION_WANTS_PSK);
        if (!answer->key || !ask_psk_is_usable(session, answer->key) ||
            !ask_identity_is_usable(session, answer->identity))
                return ask_psk_give_up(session, GNUTLS_A_USER_CANCELED);

        name = g_bytes_get_data(answer->identity, &size);
        r = ask_copy(identity, name, size);
        if (r < 0)
                return r;

        ask_used_identity(session, answer->identity);
        return ask_copy(key, secret_peek(answer->key), secret_size(answer->key));
}

int ask_psk_server(gnutls_session_t gnutls, const gnutls_datum_t *identity, gnutls_datum_t *key) {
        Session *session = gnutls_session_get_ptr(gnutls);
        const SessionAnswer *answer = &session->answer;

        if (identity->size > SESSION_PSK_IDENTITY_MAX) {
                failure_set(session, DTLS_TLS_FATAL_ERROR,
                            "the peer's pre-shared key identity has %u bytes, over the limit of %d",
                            identity->size, SESSION_PSK_IDENTITY_MAX);
                return ask_psk_give_up(session, GNUTLS_A_UNKNOWN_PSK_IDENTITY);
        }

        session->question.identity = g_bytes_new(identity->data, identity->size);
        ask_used_identity(session, session->question.identity);
        ask_and_wait(session, SESSION_WANTS_PSK);
        session->psk_unknown = answer->unknown;
        if (answer->unknown)
                return 1; /* GnuTLS goes on with a random key */
        if (!answer->key || !ask_psk_is_usable(session, answer->key))
                return ask_psk_give_up(session, GNUTLS_A_UNKNOWN_PSK_IDENTITY);

        return ask_copy(key, secret_peek(answer->key), secret_size(answer->key));
}

static int ask_signature(bool is_hash, gnutls_sign_algorithm_t algorithm,
                         const gnutls_datum_t *input, gnutls_datum_t *signature) {
        Session *session = clock_bound();
        const SessionAnswer *answer;

        if (!session)
                return GNUTLS_E_PK_SIGN_FAILED; /* no handshake is under way */

        answer = &session->answer;
        session->question.key_id = session->config->spec.key_id;
        session->question.algorithm = gnutls_sign_get_name(algorithm);
        session->question.is_hash = is_hash;
        session->question.input = input->data;
        session->question.input_size = input->size;
        ask_and_wait(session, SESSION_WANTS_SIGNATURE);
        if (answer->signature)
                return ask_copy(signature, answer->signature, answer->signature_size);

        session->alert = GNUTLS_A_INTERNAL_ERROR;
        if (!failure_is_set(session))
                failure_set(session, DTLS_TLS_INITIALIZATION_ERROR,
                            "the private key gave no signature: %s",
                            answer->why ? answer->why : "no reason was given");
        return GNUTLS_E_PK_SIGN_FAILED;
}

int ask_sign_data(gnutls_privkey_t key, gnutls_sign_algorithm_t algorithm, void *userdata,
                  unsigned flags, const gnutls_datum_t *data, gnutls_datum_t *signature) {
        return ask_signature(/* is_hash= */ false, algorithm, data, signature);
}

int ask_sign_hash(gnutls_privkey_t key, gnutls_sign_algorithm_t algorithm, void *userdata,
                  unsigned flags, const gnutls_datum_t *hash, gnutls_datum_t *signature) {
        return ask_signature(/* is_hash= */ true, algorithm, hash, signature);
}

static GPtrArray *ask_read_chain(gnutls_session_t gnutls) {
        GPtrArray *chain = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
        unsigned n_certificates = 0;
        const gnutls_datum_t *certificates = gnutls_certificate_get_peers(gnutls, &n_certificates);

        for (unsigned i = 0; certificates && i < n_certificates; i++)
                g_ptr_array_add(chain, g_bytes_new(certificates[i].data, certificates[i].size));

        return chain;
}

/* What came with the leaf, in CertificateStatus; NULL: nothing. */
static GBytes *ask_read_ocsp(gnutls_session_t gnutls) {
        gnutls_datum_t response;

        if (gnutls_ocsp_status_request_get(gnutls, &response) < 0)
                return NULL;

        return g_bytes_new(response.data, response.size);
}

static int ask_judge(Session *session, GPtrArray *chain) {
        g_autoptr(GBytes) ocsp = ask_read_ocsp(session->gnutls);
        VerdictQuestion question = {
                .trust = session->config->spec.trust,
                .revocations = session->config->spec.revocations,
                .chain = chain,
                .name = session->verification_name,
                .wants_ocsp = session->config->spec.ocsp_stapling,
                .ocsp_response = ocsp,
                .peer_is_server = session->config->spec.role == DTLS_CLIENT,
                .depth = session->config->spec.verify_depth,
                .pins = session->config->spec.pins,
                .vouched = session->config->spec.first_use,
        };
        GArray *errors;
        int r;

        /* a peer that was not obliged to send one is not blamed */
        if (chain->len == 0 && session->config->verify_mode != VERIFY_PEER)
                return 0;

        r = verdict_reach(&question, &errors);
        if (r)
                return GNUTLS_E_INTERNAL_ERROR;

        g_array_unref(session->errors);
        session->errors = errors;
        session->pin_due = session->config->spec.first_use && chain->len > 0;
        return 0;
}

static int ask_alert_of(VerdictCode code) {
        switch (code) {
        case VERDICT_SELF_SIGNED_CERTIFICATE:
        case VERDICT_SELF_SIGNED_CERTIFICATE_IN_CHAIN:
        case VERDICT_UNABLE_TO_GET_ISSUER_CERTIFICATE:
        case VERDICT_UNABLE_TO_GET_LOCAL_ISSUER_CERTIFICATE:
        case VERDICT_UNABLE_TO_VERIFY_FIRST_CERTIFICATE:
        case VERDICT_INVALID_CA_CERTIFICATE:
                return GNUTLS_A_UNKNOWN_CA;
        case VERDICT_CERTIFICATE_EXPIRED:
        case VERDICT_CERTIFICATE_NOT_YET_VALID:
                return GNUTLS_A_CERTIFICATE_EXPIRED;
        case VERDICT_CERTIFICATE_REVOKED:
                return GNUTLS_A_CERTIFICATE_REVOKED;
        case VERDICT_INVALID_PURPOSE:
                return GNUTLS_A_UNSUPPORTED_CERTIFICATE;
        case VERDICT_NO_PEER_CERTIFICATE:
                return GNUTLS_A_HANDSHAKE_FAILURE;
        case VERDICT_OCSP_NO_RESPONSE_FOUND ... VERDICT_OCSP_STATUS_UNKNOWN:
                return ASK_BAD_CERTIFICATE_STATUS_RESPONSE;
        default:
                return GNUTLS_A_BAD_CERTIFICATE;
        }
}

static VerdictCode ask_first_error(const Session *session) {
        return session->errors->len > 0 ? g_array_index(session->errors, VerdictError, 0).code
                                        : VERDICT_UNSPECIFIED_ERROR;
}

int ask_verdict_alert(const Session *session) {
        return ask_alert_of(ask_first_error(session));
}

void ask_verdict_refused(Session *session) {
        VerdictCode code = ask_first_error(session);

        session->alert = ask_alert_of(code);
        failure_set(session, DTLS_PEER_VERIFICATION_ERROR, "the peer was not accepted: %s%s",
                    verdict_code_name(code), session->errors->len > 1 ? " and more" : "");
}

void ask_pin_refused(Session *session, const char *why) {
        session->alert = GNUTLS_A_BAD_CERTIFICATE;
        failure_set(session, DTLS_PEER_VERIFICATION_ERROR,
                    "the peer was not accepted: its key could not be pinned: %s", why);
}

/* Whatever the peer's errors are worth, GnuTLS checks a signature of its key next, and one with a
 * key like this would take seconds of everybody's time. So nobody is asked. */
static int ask_verdict_unbearable(Session *session, GBytes *leaf) {
        verdict_errors_add(session->errors, VERDICT_UNSPECIFIED_ERROR, leaf);
        session->alert = GNUTLS_A_UNSUPPORTED_CERTIFICATE;
        failure_set(session, DTLS_PEER_VERIFICATION_ERROR,
                    "the peer was not accepted: its certificate has a key whose signatures take "
                    "too long to check");
        return GNUTLS_E_CERTIFICATE_ERROR;
}

/* 0: it goes on; 1: whether it does is to be asked; else GnuTLS's code with the failure set. */
static int ask_look(Session *session) {
        const SessionConfig *config = session->config;
        g_autoptr(GPtrArray) chain = ask_read_chain(session->gnutls);
        int r;

        if (chain->len > 0 && !session->peer_chain)
                session->peer_chain = g_ptr_array_ref(chain);
        if (chain->len > 0 && !verdict_is_bearable(chain->pdata[0]))
                return ask_verdict_unbearable(session, chain->pdata[0]);
        if (config->verify_mode == VERIFY_NONE)
                return 0;

        r = ask_judge(session, chain);
        if (r < 0)
                return r;
        if (chain->len == 0 && config->spec.missing_certificate_is_fatal) {
                verdict_errors_add(session->errors, VERDICT_NO_PEER_CERTIFICATE, NULL);
                ask_verdict_refused(session);
                return GNUTLS_E_NO_CERTIFICATE_FOUND;
        }
        if (config->verify_mode == QUERY_PEER)
                return 0;

        return !verdict_all_ignored(session->errors, session->ignored, session->ignored_codes);
}

int ask_verdict(gnutls_session_t gnutls) {
        Session *session = gnutls_session_get_ptr(gnutls);
        int r;

        r = ask_look(session);
        if (r <= 0)
                return r;

        if (!session->config->spec.interrupt_on_error) {
                session->verdict_due = true;
                return 0;
        }

        ask_and_wait(session, SESSION_WANTS_VERDICT);
        if (session->answer.accept)
                return 0;
        if (!failure_is_set(session))
                ask_verdict_refused(session);

        return GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR;
}

/* GnuTLS does not ask about a peer whose session was taken up again. */
int ask_verdict_resumed(Session *session) {
        int r;

        if (session->judged || !gnutls_session_is_resumed(session->gnutls) ||
            gnutls_auth_get_type(session->gnutls) != GNUTLS_CRD_CERTIFICATE)
                return 0;

        session->judged = true;
        r = ask_look(session);
        if (r > 0)
                session->verdict_due = true;
        return MIN(r, 0);
}

bool ask_late(Session *session) {
        if (!session->verdict_due && !session->pin_due)
                return false;

        /* a key is pinned when its owner has proven to have it, and was not turned away */
        session->question.want = session->verdict_due ? SESSION_WANTS_VERDICT : SESSION_WANTS_PIN;
        if (session->verdict_due)
                session->verdict_due = false;
        else
                session->pin_due = false;
        session->question.serial++;
        session->asking = true;
        session->answer_usec = session->turn.now_usec + session->answer_deadline_usec;
        return true;
}
