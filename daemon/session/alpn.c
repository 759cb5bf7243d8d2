/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Which application protocol is spoken inside (RFC 7301), as QSslConfiguration has it: a server
 * takes what its client likes best, and goes on where nothing is in common.
 */

#include "session/private.h"

#include "base/fault.h"

#define EXTENSION_ALPN 16 /* RFC 7301, 6 */

int alpn_offer(Session *session) {
        GPtrArray *protocols = session->config->spec.next_protocols;
        gnutls_datum_t offered[SESSION_NEXT_PROTOCOLS_MAX];
        unsigned n = protocols ? protocols->len : 0;

        if (n == 0)
                return 0;
        if (n > SESSION_NEXT_PROTOCOLS_MAX)
                return fault(-E2BIG);

        for (unsigned i = 0; i < n; i++) {
                gsize size;
                gconstpointer data = g_bytes_get_data(protocols->pdata[i], &size);

                offered[i] = (gnutls_datum_t){.data = (void *)data, .size = (unsigned)size};
        }

        return gnutls_alpn_set_protocols(session->gnutls, offered, n, 0) < 0 ? fault(-EINVAL) : 0;
}

static int alpn_see_extension(void *userdata, unsigned id, const uint8_t *data, unsigned size) {
        Session *session = userdata;

        if (id == EXTENSION_ALPN)
                session->peer_has_protocols = true;

        return 0;
}

void alpn_note_hello(Session *session, const gnutls_datum_t *hello) {
        /* one without extensions is an error here, and none to us */
        (void)gnutls_ext_raw_parse(session, alpn_see_extension, hello,
                                   GNUTLS_EXT_RAW_FLAG_DTLS_CLIENT_HELLO);
}

void alpn_read(Session *session) {
        SessionFacts *facts = &session->facts;
        gnutls_datum_t selected;

        if (gnutls_alpn_get_selected_protocol(session->gnutls, &selected) >= 0 &&
            selected.size <= sizeof facts->next_protocol) {
                facts->next_protocol_status = "Negotiated";
                facts->next_protocol_size = selected.size;
                memcpy(facts->next_protocol, selected.data, selected.size);
        } else if (session->config->spec.next_protocols && session->peer_has_protocols) {
                facts->next_protocol_status = "Unsupported";
        }
}
