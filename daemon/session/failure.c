/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * How a session ends badly: GnuTLS's codes and the peer's alerts in our words, and the alert that
 * is due. GnuTLS never sends one by itself.
 */

#include "session/private.h"

#include <stdarg.h>
#include <stdio.h>

#define ALERT_NAME_PREFIX "GNUTLS_A_"
#define ALERT_NAME_MAX 48
#define FAILURE_TEXT_MAX 192

bool failure_is_set(const Session *session) {
        return session->failure.error != DTLS_NO_ERROR;
}

void failure_set(Session *session, DtlsError error, const char *format, ...) {
        char text[FAILURE_TEXT_MAX];
        va_list arguments;

        va_start(arguments, format);
        (void)vsnprintf(text, sizeof text, format, arguments);
        va_end(arguments);

        session->failure.error = error;
        g_free(session->failure.text);
        session->failure.text = g_strdup(text);
}

/* "unknown_ca", as RFC 5246 writes it. */
static void failure_alert_name(uint8_t description, char ret[static ALERT_NAME_MAX]) {
        const char *name = gnutls_alert_get_strname((gnutls_alert_description_t)description);
        g_autofree char *lower = NULL;

        if (name && g_str_has_prefix(name, ALERT_NAME_PREFIX))
                name += strlen(ALERT_NAME_PREFIX);
        lower = g_ascii_strdown(name ? name : "unknown", -1);
        (void)g_strlcpy(ret, lower, ALERT_NAME_MAX);
}

/* NULL: there is none. */
static const char *failure_alert_advice(const Session *session, uint8_t description) {
        switch (description) {
        case GNUTLS_A_UNKNOWN_CA:
        case GNUTLS_A_BAD_CERTIFICATE:
        case GNUTLS_A_CERTIFICATE_UNKNOWN:
                return "it does not accept our certificate";
        case GNUTLS_A_HANDSHAKE_FAILURE:
        case GNUTLS_A_INSUFFICIENT_SECURITY:
                return "no cipher suite in common, or it wants a certificate of ours";
        case GNUTLS_A_PROTOCOL_VERSION:
                return "no DTLS version in common";
        case GNUTLS_A_UNKNOWN_PSK_IDENTITY:
                return "it does not know the identity of our pre-shared key";
        case GNUTLS_A_DECRYPT_ERROR:
        case GNUTLS_A_BAD_RECORD_MAC:
                return session->psk_identity ? mismatch_why(session) : NULL;
        default:
                return NULL;
        }
}

static void failure_over(Session *session) {
        direct_done(session);
        session->state = SESSION_OVER;
        session->retransmit_usec = SESSION_NEVER;
        session->handshake_usec = SESSION_NEVER;
        session->alert_usec = SESSION_NEVER;
        session->housekeeping_usec = SESSION_NEVER;
        ask_clear(session);
}

int failure_end(Session *session, int alert) {
        direct_tell_number(session);
        if (alert != SESSION_NO_ALERT && gnutls_alert_send(session->gnutls, GNUTLS_AL_FATAL,
                                                           (gnutls_alert_description_t)alert) >= 0)
                session->failure.alert_sent = alert;

        failure_over(session);
        return SESSION_E_FAILED;
}

int failure_from_alert(Session *session, uint8_t description) {
        const char *advice = failure_alert_advice(session, description);
        char name[ALERT_NAME_MAX];

        failure_alert_name(description, name);
        session->failure.alert_received = description;
        if (description == GNUTLS_A_CLOSE_NOTIFY)
                failure_set(session, DTLS_REMOTE_CLOSED_CONNECTION_ERROR,
                            "the peer closed the connection during the handshake");
        else
                failure_set(session, DTLS_TLS_FATAL_ERROR, "peer sent alert: %s(%u)%s%s", name,
                            description, advice ? "; " : "", advice ? advice : "");

        return failure_end(session, SESSION_NO_ALERT);
}

static void failure_describe(Session *session, int code) {
        const char *text = gnutls_strerror(code);

        switch (code) {
        case GNUTLS_E_NO_CIPHER_SUITES:
        case GNUTLS_E_UNKNOWN_CIPHER_SUITE:
        case GNUTLS_E_NO_COMMON_KEY_SHARE:
                text = "no cipher suite in common with the peer";
                break;
        case GNUTLS_E_UNSUPPORTED_VERSION_PACKET:
                text = "no DTLS version in common with the peer";
                break;
        case GNUTLS_E_INSUFFICIENT_CREDENTIALS:
                text = "no certificate or pre-shared key for what the peer offers";
                break;
        case GNUTLS_E_PK_SIG_VERIFY_FAILED:
                text = "the peer does not have the key of its certificate";
                break;
        case GNUTLS_E_RECORD_LIMIT_REACHED:
                text = "as much was sent as its keys may protect; connect again";
                break;
        }

        failure_set(session, DTLS_TLS_FATAL_ERROR, "%s", text);
}

int failure_from_code(Session *session, int code) {
        int level;
        int alert = session->alert;

        if (code == GNUTLS_E_FATAL_ALERT_RECEIVED)
                return failure_from_alert(session, (uint8_t)gnutls_alert_get(session->gnutls));

        if (alert == SESSION_NO_ALERT)
                alert = gnutls_error_to_alert(code, &level);
        if (alert < 0)
                alert = GNUTLS_A_INTERNAL_ERROR;
        if (!failure_is_set(session))
                failure_describe(session, code);

        return failure_end(session, alert);
}
