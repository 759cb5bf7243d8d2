/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What was agreed, read once when the handshake is complete. The words of a cipher suite's parts
 * are OpenSSL's, because QSslCipher's are.
 */

#include "session/private.h"

#define GNUTLS_MTU_MAX 16384

const SessionFacts session_facts_none = {
        .protocol = "UnknownProtocol",
        .cipher_name = "",
        .key_exchange = "",
        .authentication = "",
        .encryption = "",
        .mac = "",
        .curve = "",
        .next_protocol_status = "None",
};

static const char *facts_protocol(gnutls_protocol_t protocol) {
        switch (protocol) {
        case GNUTLS_DTLS1_0:
                return "DtlsV1_0";
        case GNUTLS_DTLS1_2:
                return "DtlsV1_2";
        default:
                return "UnknownProtocol";
        }
}

static void facts_key_exchange(SessionFacts *facts, gnutls_kx_algorithm_t kx) {
        static const struct {
                gnutls_kx_algorithm_t kx;
                const char *exchange, *authentication;
        } names[] = {
                {GNUTLS_KX_ECDHE_ECDSA, "ECDH", "ECDSA"}, {GNUTLS_KX_ECDHE_RSA, "ECDH", "RSA"},
                {GNUTLS_KX_DHE_RSA, "DH", "RSA"},         {GNUTLS_KX_PSK, "PSK", "PSK"},
                {GNUTLS_KX_ECDHE_PSK, "ECDHEPSK", "PSK"}, {GNUTLS_KX_DHE_PSK, "DHEPSK", "PSK"},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
                if (names[i].kx != kx)
                        continue;

                facts->key_exchange = names[i].exchange;
                facts->authentication = names[i].authentication;
        }
}

static const char *facts_encryption(gnutls_cipher_algorithm_t cipher) {
        switch (cipher) {
        case GNUTLS_CIPHER_AES_128_GCM:
                return "AESGCM(128)";
        case GNUTLS_CIPHER_AES_256_GCM:
                return "AESGCM(256)";
        case GNUTLS_CIPHER_AES_128_CCM:
                return "AESCCM(128)";
        case GNUTLS_CIPHER_AES_128_CCM_8:
                return "AESCCM8(128)";
        case GNUTLS_CIPHER_CHACHA20_POLY1305:
                return "CHACHA20/POLY1305(256)";
        case GNUTLS_CIPHER_AES_128_CBC:
                return "AES(128)";
        case GNUTLS_CIPHER_AES_256_CBC:
                return "AES(256)";
        default:
                return gnutls_cipher_get_name(cipher);
        }
}

void facts_read(Session *session) {
        gnutls_session_t gnutls = session->gnutls;
        gnutls_cipher_algorithm_t cipher = gnutls_cipher_get(gnutls);
        gnutls_kx_algorithm_t kx = gnutls_kx_get(gnutls);
        SessionFacts *facts = &session->facts;
        const char *curve = NULL;

        facts->protocol = facts_protocol(gnutls_protocol_get_version(gnutls));
        facts->cipher_name = gnutls_ciphersuite_get(gnutls);
        facts_key_exchange(facts, kx);
        facts->encryption = facts_encryption(cipher);
        facts->mac = gnutls_mac_get_name(gnutls_mac_get(gnutls));
        facts->bits = (uint32_t)gnutls_cipher_get_key_size(cipher) * 8;
        if (kx != GNUTLS_KX_PSK)
                curve = gnutls_group_get_name(gnutls_group_get(gnutls));
        facts->curve = curve ? curve : "";
        if (kx == GNUTLS_KX_DHE_RSA || kx == GNUTLS_KX_DHE_PSK)
                facts->dh_bits = (uint32_t)MAX(gnutls_dh_get_prime_bits(gnutls), 0);
        facts->resumed = gnutls_session_is_resumed(gnutls) != 0;
        facts->ticket_lifetime = session->psk_identity ? 0 : session->ticket_lifetime;
        facts->extended_master_secret = gnutls_session_ext_master_secret_status(gnutls) != 0;
        alpn_read(session);
}

/* GnuTLS knows exactly what its ciphers add to a record; it is asked with the path's width as its
 * MTU, which is then set to the most there is, so that it never refuses a datagram because of the
 * path. */
void facts_measure(Session *session) {
        unsigned path = (unsigned)MIN(session->path_mtu, (size_t)GNUTLS_MTU_MAX);

        session->record_overhead = gnutls_record_overhead_size(session->gnutls);
        gnutls_dtls_set_mtu(session->gnutls, GNUTLS_MTU_MAX);
        session->payload_max =
                MIN((size_t)gnutls_dtls_get_data_mtu(session->gnutls), (size_t)SESSION_PAYLOAD_MAX);

        gnutls_dtls_set_mtu(session->gnutls, path);
        session->data_mtu =
                MIN((size_t)gnutls_dtls_get_data_mtu(session->gnutls), session->payload_max);

        gnutls_dtls_set_mtu(session->gnutls, GNUTLS_MTU_MAX);
}

/* GnuTLS takes printable ASCII alone for a name. */
bool session_server_name(const Session *session, char ret[static SESSION_SERVER_NAME_MAX + 1]) {
        size_t size = SESSION_SERVER_NAME_MAX + 1;
        unsigned type;

        if (session->config->spec.role != DTLS_SERVER)
                return false;

        return gnutls_server_name_get(session->gnutls, ret, &size, &type, 0) == GNUTLS_E_SUCCESS &&
               type == GNUTLS_NAME_DNS && size > 0;
}
