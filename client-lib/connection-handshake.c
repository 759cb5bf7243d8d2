/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A connection driven step by step: what is set before the handshake, and what is said during it.
 */

#include "private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int dtlsd_connection_set_peer(dtlsd_connection *connection, const char *address, uint16_t port,
                              const char *verification_name, sd_bus_error *error) {
        sd_bus_message *m = NULL;
        int r;

        r = dtlsd_connection_call_new(connection, "SetPeer", &m);
        if (r >= 0)
                r = sd_bus_message_append(m, "sqs", address, port, verification_name);
        return dtlsd_call(m, r, error);
}

int dtlsd_connection_set_verification_name(dtlsd_connection *connection, const char *name,
                                           sd_bus_error *error) {
        sd_bus_message *m = NULL;
        int r;

        r = dtlsd_connection_call_new(connection, "SetPeerVerificationName", &m);
        if (r >= 0)
                r = sd_bus_message_append(m, "s", name);
        return dtlsd_call(m, r, error);
}

int dtlsd_connection_set_mtu_hint(dtlsd_connection *connection, uint16_t mtu, sd_bus_error *error) {
        sd_bus_message *m = NULL;
        int r;

        r = dtlsd_connection_call_new(connection, "SetMtuHint", &m);
        if (r >= 0)
                r = sd_bus_message_append(m, "q", mtu);
        return dtlsd_call(m, r, error);
}

int dtlsd_connection_set_configuration(dtlsd_connection *connection,
                                       const struct dtlsd_options *options, sd_bus_error *error) {
        sd_bus_message *m = NULL;
        int r;

        r = dtlsd_connection_call_new(connection, "SetConfiguration", &m);
        if (r >= 0)
                r = sd_bus_message_sensitive(m);
        if (r >= 0)
                r = dtlsd_options_append(m, options, OPTIONS_FOR_CONNECTION, NULL, 0, error);
        return dtlsd_call(m, r, error);
}

int dtlsd_connection_do_handshake(dtlsd_connection *connection, sd_bus_error *error) {
        sd_bus_message *m = NULL;
        int r;

        r = dtlsd_connection_call_new(connection, "DoHandshake", &m);
        if (r >= 0)
                r = sd_bus_message_append(m, "ay", 0);
        return dtlsd_call(m, r, error);
}

int dtlsd_connection_handle_timeout(dtlsd_connection *connection, int *ret_handled,
                                    sd_bus_error *error) {
        sd_bus_message *reply = NULL;
        int handled = 0, r;

        r = sd_bus_call_method(connection->bus, DTLSD_NAME, connection->path, DTLSD_CONNECTION,
                               "HandleTimeout", error, &reply, NULL);
        if (r >= 0)
                r = sd_bus_message_read(reply, "b", &handled);
        if (r >= 0 && ret_handled)
                *ret_handled = handled;

        (void)sd_bus_message_unref(reply);
        return r < 0 ? r : 0;
}

/* ---- the verdict on the peer ---- */

static int append_verification_error(sd_bus_message *m,
                                     const struct dtlsd_verification_error *verification_error) {
        int r;

        r = sd_bus_message_open_container(m, 'r', "say");
        if (r >= 0)
                r = sd_bus_message_append(m, "s", verification_error->name);
        if (r >= 0)
                r = sd_bus_message_append_array(m, 'y', verification_error->certificate.data,
                                                verification_error->certificate.size);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

int dtlsd_verification_errors_append(sd_bus_message *m,
                                     const struct dtlsd_verification_error *errors, size_t n) {
        int r;

        r = sd_bus_message_open_container(m, 'a', "(say)");
        for (size_t i = 0; r >= 0 && i < n; i++)
                r = append_verification_error(m, &errors[i]);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

int dtlsd_connection_ignore_errors(dtlsd_connection *connection,
                                   const struct dtlsd_verification_error *errors, size_t n,
                                   sd_bus_error *error) {
        sd_bus_message *m = NULL;
        int r;

        r = dtlsd_connection_call_new(connection, "IgnoreVerificationErrors", &m);
        if (r >= 0)
                r = dtlsd_verification_errors_append(m, errors, n);
        return dtlsd_call(m, r, error);
}

int dtlsd_connection_resume_handshake(dtlsd_connection *connection, sd_bus_error *error) {
        sd_bus_message *m = NULL;
        int r;

        r = dtlsd_connection_call_new(connection, "ResumeHandshake", &m);
        return dtlsd_call(m, r, error);
}

int dtlsd_connection_abort_handshake(dtlsd_connection *connection, sd_bus_error *error) {
        sd_bus_message *m = NULL;
        int r;

        r = dtlsd_connection_call_new(connection, "AbortHandshake", &m);
        return dtlsd_call(m, r, error);
}

/* ---- secrets ---- */

int dtlsd_connection_provide_psk(dtlsd_connection *connection, const void *identity,
                                 size_t identity_size, const void *psk, size_t psk_size,
                                 sd_bus_error *error) {
        sd_bus_message *m = NULL;
        int r;

        r = dtlsd_connection_call_new(connection, "ProvidePsk", &m);
        if (r >= 0)
                r = sd_bus_message_sensitive(m);
        if (r >= 0)
                r = sd_bus_message_append_array(m, 'y', identity, identity_size);
        if (r >= 0)
                r = sd_bus_message_append_array(m, 'y', psk, psk_size);
        return dtlsd_call(m, r, error);
}

int dtlsd_connection_refuse_psk(dtlsd_connection *connection, sd_bus_error *error) {
        sd_bus_message *m = NULL;
        int r;

        r = dtlsd_connection_call_new(connection, "RefusePsk", &m);
        return dtlsd_call(m, r, error);
}

static int material_answered(sd_bus_message *reply, void *material, size_t size) {
        const void *data;
        size_t data_size;
        int r;

        r = sd_bus_message_sensitive(reply);
        if (r >= 0)
                r = sd_bus_message_read_array(reply, 'y', &data, &data_size);
        if (r < 0)
                return r;
        if (data_size != size)
                return -EBADMSG;

        memcpy(material, data, size);
        return 0;
}

int dtlsd_connection_export_keying_material(dtlsd_connection *connection, const char *label,
                                            const void *context, size_t context_size,
                                            void *material, size_t size, sd_bus_error *error) {
        sd_bus_message *m = NULL, *reply = NULL;
        int r;

        r = dtlsd_connection_call_new(connection, "ExportKeyingMaterial", &m);
        if (r >= 0)
                r = sd_bus_message_append(m, "s", label);
        if (r >= 0)
                r = sd_bus_message_append_array(m, 'y', context, context_size);
        if (r >= 0)
                r = sd_bus_message_append(m, "u", size > UINT32_MAX ? UINT32_MAX : (uint32_t)size);
        if (r >= 0)
                r = sd_bus_call(connection->bus, m, DTLSD_CALL_USEC, error, &reply);
        if (r >= 0)
                r = material_answered(reply, material, size);

        (void)sd_bus_message_unref(m);
        (void)sd_bus_message_unref(reply);
        return r < 0 ? r : 0;
}

int dtlsd_connection_session_ticket(dtlsd_connection *connection, void **ret, size_t *ret_size,
                                    uint32_t *ret_lifetime, sd_bus_error *error) {
        sd_bus_message *reply = NULL;
        uint32_t lifetime;
        size_t size = 0;
        void *ticket = NULL;
        int r;

        r = sd_bus_call_method(connection->bus, DTLSD_NAME, connection->path, DTLSD_CONNECTION,
                               "GetSessionTicket", error, &reply, NULL);
        if (r >= 0)
                r = dtlsd_bytes_copy(reply, &ticket, &size);
        if (r >= 0)
                r = sd_bus_message_read(reply, "u", &lifetime);
        (void)sd_bus_message_unref(reply);
        if (r < 0) {
                free(ticket);
                return r;
        }

        *ret = ticket;
        *ret_size = size;
        if (ret_lifetime)
                *ret_lifetime = lifetime;
        return 0;
}
