/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Sessions that are taken up later without a full handshake (RFC 5077): a client asks for a ticket
 * and begins with it, a server gives them out. There is no cache of sessions.
 */

#include "session/private.h"
#include "session/reader.h"

#include "base/fault.h"

#include <errno.h>
#include <string.h>

#define TICKET_LIFETIME 3600 /* s, of those that we give out */
#define HINT_SIZE 4
#define SESSION_ID_OFFSET (2 + 32) /* in a hello: behind version and random */

bool ticket_is_wanted(const SessionConfig *config) {
        if (config->spec.role == DTLS_CLIENT)
                return config->spec.tickets;

        return config->ticket_key.data;
}

/* One that GnuTLS does not take, such as one that is too old, is none. */
int ticket_prepare(Session *session, const Secret *ticket) {
        const SessionConfig *config = session->config;

        if (!ticket_is_wanted(config))
                return 0;

        gnutls_db_set_cache_expiration(session->gnutls, TICKET_LIFETIME);
        if (config->spec.role == DTLS_SERVER)
                return gnutls_session_ticket_enable_server(session->gnutls, &config->ticket_key) < 0
                               ? fault(-ENOMEM)
                               : 0;

        session->filter.order.tickets = true;
        if (ticket)
                (void)gnutls_session_set_data(session->gnutls, secret_peek(ticket),
                                              secret_size(ticket));
        return 0;
}

void ticket_note(Session *session, const gnutls_datum_t *message) {
        session->ticket_lifetime =
                message->size < HINT_SIZE ? 0 : (uint32_t)number_read(message->data, HINT_SIZE);
}

/* The session ID in a hello of either side; its size, 0: there is none. */
static size_t ticket_session_id(const gnutls_datum_t *hello, const uint8_t **ret) {
        Reader reader = {.next = hello->data, .left = hello->size};
        size_t size;

        if (!reader_take(&reader, SESSION_ID_OFFSET))
                return 0;

        *ret = reader_take_vector(&reader, 1, &size);
        return *ret && size <= SESSION_ID_MAX ? size : 0;
}

void ticket_note_offer(Session *session, const gnutls_datum_t *hello) {
        const uint8_t *id;

        session->offered_size = ticket_session_id(hello, &id);
        if (session->offered_size > 0)
                memcpy(session->offered, id, session->offered_size);
}

/* A client is told by the server's saying its session ID again (RFC 5077, 3.4), which GnuTLS shows
 * only when all is done. */
bool ticket_is_taken(const Session *session, unsigned type, const gnutls_datum_t *message) {
        const uint8_t *id;
        size_t size;

        if (type == GNUTLS_HANDSHAKE_CLIENT_HELLO)
                return gnutls_session_is_resumed(session->gnutls) != 0;
        if (type != GNUTLS_HANDSHAKE_SERVER_HELLO || session->offered_size == 0)
                return false;

        size = ticket_session_id(message, &id);
        return size == session->offered_size && memcmp(id, session->offered, size) == 0;
}

static bool ticket_is_there(const Session *session) {
        return session->state == SESSION_OPEN && session->config->spec.role == DTLS_CLIENT &&
               ticket_is_wanted(session->config) && !session->psk_identity &&
               (gnutls_session_get_flags(session->gnutls) & GNUTLS_SFLAGS_SESSION_TICKET ||
                gnutls_session_is_resumed(session->gnutls));
}

int session_ticket(const Session *session, Secret **ret, uint32_t *ret_lifetime) {
        gnutls_datum_t data;

        if (!ticket_is_there(session))
                return SESSION_E_NO_TICKET;
        if (gnutls_session_get_data2(session->gnutls, &data) < 0)
                return SESSION_E_NO_TICKET;

        *ret = secret_new(data.data, data.size);
        *ret_lifetime = session->ticket_lifetime;
        explicit_bzero(data.data, data.size);
        gnutls_free(data.data);
        return 0;
}
