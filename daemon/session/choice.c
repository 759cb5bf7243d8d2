/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Exactly the suites that were listed. GnuTLS knows products of key exchanges, ciphers and MACs,
 * and no lists. So a server chooses here, before GnuTLS looks at the ClientHello, and then lets it
 * have this one suite; a client has to offer the product, and fails after the ServerHello what is
 * not in its list.
 */

#include "session/private.h"
#include "session/reader.h"

#define VERSION_SIZE 2
#define RANDOM_SIZE 32
#define SUITE_SIZE 2
#define SUITES_LENGTH_SIZE 2
#define VERSION_DTLS_1_2 0xfefd /* versions count down */

/* What a ClientHello offers: *ret points to pairs of bytes. */
static bool choice_read_hello(const gnutls_datum_t *hello, unsigned *ret_version,
                              const uint8_t **ret, size_t *ret_n) {
        Reader reader = {.next = hello->data, .left = hello->size};
        const uint8_t *version = reader_take(&reader, VERSION_SIZE);
        size_t size;

        if (!version || !reader_take(&reader, RANDOM_SIZE))
                return false;
        if (!reader_take_vector(&reader, 1, &size) || !reader_take_vector(&reader, 1, &size))
                return false; /* session id, cookie */

        *ret = reader_take_vector(&reader, SUITES_LENGTH_SIZE, &size);
        if (!*ret)
                return false;

        *ret_version = number_read(version, VERSION_SIZE);
        *ret_n = size / SUITE_SIZE;
        return true;
}

/* Whether we have what the suite needs. */
static bool choice_is_possible(const SessionConfig *config, const Suite *suite, unsigned version) {
        bool ecdsa = config->key_algorithm != GNUTLS_PK_RSA &&
                     config->key_algorithm != GNUTLS_PK_RSA_PSS;

        if (!suite_is_for_dtls_1_0(suite) &&
            (version > VERSION_DTLS_1_2 || config->spec.protocol == PROTOCOL_DTLS_1_0))
                return false;
        if (suite_has_psk(suite))
                return config->spec.psk;
        if (!config->has_certificate)
                return false;

        return ecdsa == g_str_has_suffix(suite->key_exchange, "ECDSA");
}

static bool choice_has(const uint8_t *offered, size_t n_offered, uint16_t id, size_t *ret) {
        for (size_t i = 0; i < n_offered; i++)
                if (number_read(offered + i * SUITE_SIZE, SUITE_SIZE) == id) {
                        *ret = i;
                        return true;
                }

        return false;
}

/* Our first, or the client's first, by whose preference counts. */
static const ListedSuite *choice_pick(const SessionConfig *config, const gnutls_datum_t *hello) {
        const ListedSuite *picked = NULL;
        size_t best = SIZE_MAX, n_offered, at;
        const uint8_t *offered;
        unsigned version;

        if (!choice_read_hello(hello, &version, &offered, &n_offered))
                return NULL;

        for (size_t i = 0; i < config->n_listed; i++) {
                const ListedSuite *listed = &config->listed[i];

                if (!choice_is_possible(config, listed->suite, version) ||
                    !choice_has(offered, n_offered, listed->suite->id, &at))
                        continue;
                if (config->spec.server_preference)
                        return listed;
                if (at < best) {
                        best = at;
                        picked = listed;
                }
        }

        return picked;
}

int choice_note_client_hello(Session *session, const gnutls_datum_t *hello) {
        const ListedSuite *listed;

        if (session->config->n_listed == 0)
                return 0;

        listed = choice_pick(session->config, hello);
        if (!listed) {
                failure_set(session, DTLS_TLS_FATAL_ERROR,
                            "no cipher suite in common with the peer: none of Ciphers is offered "
                            "that our certificate or pre-shared key fits");
                session->alert = GNUTLS_A_HANDSHAKE_FAILURE;
                return GNUTLS_E_NO_CIPHER_SUITES;
        }

        return gnutls_priority_set(session->gnutls, listed->priority);
}

int choice_note_server_hello(Session *session, const gnutls_datum_t *hello) {
        Reader reader = {.next = hello->data, .left = hello->size};
        const SessionConfig *config = session->config;
        const uint8_t *id;
        const Suite *suite;
        size_t size;

        if (config->n_listed == 0)
                return 0;
        if (!reader_take(&reader, VERSION_SIZE + RANDOM_SIZE) ||
            !reader_take_vector(&reader, 1, &size)) /* session id */
                return 0;                           /* GnuTLS will say so */

        id = reader_take(&reader, SUITE_SIZE);
        if (!id)
                return 0;

        for (size_t i = 0; i < config->n_listed; i++)
                if (config->listed[i].suite->id == number_read(id, SUITE_SIZE))
                        return 0;

        suite = suite_find_id((uint16_t)number_read(id, SUITE_SIZE));
        failure_set(session, DTLS_TLS_FATAL_ERROR,
                    "the server chose %s, which is not one of Ciphers",
                    suite ? suite->iana : "a suite");
        session->alert = GNUTLS_A_HANDSHAKE_FAILURE;
        return GNUTLS_E_UNWANTED_ALGORITHM;
}
