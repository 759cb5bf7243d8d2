/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Facts: what a connection knows of itself and its peer, kept as values, so that whoever reads them
 * never has to ask a session, which may be over.
 *
 * Knows: errors, certificates, what was agreed. Does not know: states, and what follows from them.
 */

#include "relay/private.h"

void connection_changed(Connection *connection, unsigned mask) {
        if (!connection->gone)
                relay_tell(connection->relay, connection_changed, connection, mask);
}

void connection_set_error(Connection *connection, DtlsError error, const char *text) {
        g_autofree char *before = connection->error_text; /* text may be it */

        connection->error = error;
        connection->error_text = g_strndup(text, CONNECTION_ERROR_MAX - 1);
        connection->timed_out = false;
        connection_changed(connection, CHANGED_ERROR);
}

void connection_clear_error(Connection *connection) {
        if (connection->error != DTLS_NO_ERROR)
                connection_set_error(connection, DTLS_NO_ERROR, "");
}

static void facts_copy_errors(GArray **errors, const GArray *from) {
        if ((*errors)->len == 0 && (!from || from->len == 0))
                return;

        g_array_unref(*errors);
        *errors = verdict_errors_new();

        for (guint i = 0; from && i < from->len; i++) {
                const VerdictError *error = &g_array_index(from, VerdictError, i);

                verdict_errors_add(*errors, error->code, error->certificate);
        }
}

void connection_set_ignored(Connection *connection, const GArray *errors) {
        facts_copy_errors(&connection->ignored, errors);
        charges_drop(&connection->charges, QUOTA_BYTES, connection->ignored_bytes);
        connection->ignored_bytes = 0;
}

void connection_learn_peer(Connection *connection) {
        GPtrArray *chain = session_peer_chain(connection->session);
        GBytes *identity = session_psk_identity(connection->session);

        g_clear_pointer(&connection->peer_chain, g_ptr_array_unref);
        g_clear_pointer(&connection->psk_identity, g_bytes_unref);
        connection->peer_chain = chain ? g_ptr_array_ref(chain) : NULL;
        connection->psk_identity = identity ? g_bytes_ref(identity) : NULL;
        facts_copy_errors(&connection->errors, session_errors(connection->session));
        connection_changed(connection, CHANGED_SESSION | CHANGED_ERROR);
}

void connection_forget_errors(Connection *connection) {
        facts_copy_errors(&connection->errors, NULL);
}

void connection_forget_agreed(Connection *connection) {
        connection->agreed = &session_facts_none;
        g_clear_pointer(&connection->kept, g_free);
}

void connection_keep_agreed(Connection *connection) {
        if (connection->agreed == &session_facts_none)
                return;

        connection->kept = g_memdup2(connection->agreed, sizeof(*connection->agreed));
        connection->agreed = connection->kept;
}

/* As in Qt, who shuts down has no peer any more; and who hears that the peer has, keeps it. */
void connection_forget_session(Connection *connection) {
        g_clear_pointer(&connection->peer_chain, g_ptr_array_unref);
        connection_forget_agreed(connection);
        connection_changed(connection, CHANGED_SESSION);
}

void connection_forget_peer(Connection *connection) {
        g_clear_pointer(&connection->peer_chain, g_ptr_array_unref);
        g_clear_pointer(&connection->psk_identity, g_bytes_unref);
        connection_forget_errors(connection);
        connection_forget_agreed(connection);
        connection_changed(connection, CHANGED_SESSION | CHANGED_ERROR | CHANGED_MTU);
}

uint32_t connection_id(const Connection *connection) {
        return connection->id;
}

ConnectionFacts connection_facts(const Connection *connection) {
        return (ConnectionFacts){
                .id = connection->id,
                .listener = connection->listener,
                .state = connection->state,
                .encrypted = connection->state == HANDSHAKE_COMPLETE,
                .peer = connection->spec->peer,
                .local = connection->local,
                .spec = connection->spec,
                .data_mtu = connection->data_mtu,
                .session = *connection->agreed,
                .error = connection->error,
                .error_text = connection->error_text,
                .timed_out = connection->timed_out,
                .verification_errors = connection->errors,
                .peer_chain = connection->peer_chain,
                .psk_identity = connection->psk_identity,
                .psk = connection->question.psk,
                .channel_open = connection->outlet || connection->trunk,
                .announced = connection->announced,
        };
}

Counters connection_counters(const Connection *connection) {
        return tally_counters(&connection->tally);
}

static GBytes *facts_digest(GBytes *certificate) {
        g_autoptr(GChecksum) checksum = g_checksum_new(G_CHECKSUM_SHA256);
        uint8_t digest[32];
        gsize size = sizeof(digest);

        g_checksum_update(checksum, g_bytes_get_data(certificate, NULL),
                          (gssize)g_bytes_get_size(certificate));
        g_checksum_get_digest(checksum, digest, &size);
        return g_bytes_new(digest, size);
}

G_STATIC_ASSERT(sizeof((OpenedFacts){0}.server_name) == SESSION_SERVER_NAME_MAX + 1);

OpenedFacts connection_opened_facts(const Connection *connection, GBytes **ret_leaf) {
        OpenedFacts facts;

        *ret_leaf = NULL;
        if (connection->peer_chain && connection->peer_chain->len > 0)
                *ret_leaf = facts_digest(g_ptr_array_index(connection->peer_chain, 0));

        facts = (OpenedFacts){
                .connection = connection->id,
                .peer = connection->spec->peer,
                .local = connection->local,
                .data_mtu = connection->data_mtu,
                .psk_identity = connection->psk_identity,
                .leaf_sha256 = *ret_leaf,
                .resumed = connection->agreed->resumed,
                .listener = connection->listener ? connection->listener->id : 0,
                .next_protocol = connection->agreed->next_protocol,
                .next_protocol_size = connection->agreed->next_protocol_size,
        };
        if (!connection->session || !session_server_name(connection->session, facts.server_name))
                facts.server_name[0] = '\0';

        return facts;
}
