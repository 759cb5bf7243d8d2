/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Connection's methods about datagrams, channels and keys of what was agreed, see connection.c. */

#include "base/cleanup.h"
#include "bus/connection.h"

#define READ_TIMEOUT_MAX 600000 /* ms */
#define USEC_PER_MSEC UINT64_C(1000)

int call_write_datagram_encrypted(sd_bus_message *m, Connection *connection, sd_bus_error *error) {
        const void *datagram;
        Reason reason;
        size_t size;
        int r;

        r = sd_bus_message_read_array(m, 'y', &datagram, &size);
        if (r < 0)
                return bus_refuse(error, r, NULL);

        r = connection_write(connection, caller_of(message_bus(m), m)->uid, datagram, size,
                             &reason);
        if (r)
                return bus_refuse(error, r, &reason);

        return sd_bus_reply_method_return(m, "x", (int64_t)size);
}

static int reply_byte_arrays(sd_bus_message *m, GPtrArray *bytes) {
        g_autoptr(sd_bus_message) reply = NULL;
        int r;

        r = sd_bus_message_new_method_return(m, &reply);
        if (r >= 0)
                r = append_byte_arrays(reply, bytes);
        return r < 0 ? r : sd_bus_message_send(reply);
}

int call_decrypt_datagram(sd_bus_message *m, Connection *connection, sd_bus_error *error) {
        g_autoptr(GPtrArray) plain = NULL;
        const void *datagram;
        Reason reason;
        size_t size;
        int r;

        r = sd_bus_message_read_array(m, 'y', &datagram, &size);
        if (r < 0)
                return bus_refuse(error, r, NULL);

        r = connection_decrypt(connection, datagram, size, &plain, &reason);
        return r ? bus_refuse(error, r, &reason) : reply_byte_arrays(m, plain);
}

int call_open_carrier(sd_bus_message *m, Connection *connection, sd_bus_error *error) {
        g_autofd int carrier_fd = -1;
        Reason reason;
        int r;

        r = connection_open_carrier(connection, &carrier_fd, &reason);
        return r ? bus_refuse(error, r, &reason) : sd_bus_reply_method_return(m, "h", carrier_fd);
}

static int read_timeout(sd_bus_message *m, const DictKey *key, void *userdata,
                        sd_bus_error *error) {
        uint32_t *timeout = userdata;
        int r;

        r = sd_bus_message_read_basic(m, 'u', timeout);
        if (r < 0)
                return bus_refuse(error, r, NULL);
        if (*timeout > READ_TIMEOUT_MAX)
                return bus_refuse_text(error, BUS_E_INVALID_PARAMETERS,
                                       "Option 'Timeout' is %" G_GUINT32_FORMAT
                                       "; it has to be 0 to %d milliseconds",
                                       *timeout, READ_TIMEOUT_MAX);

        return 1;
}

static int reply_bytes(sd_bus_message *m, GBytes *bytes) {
        g_autoptr(sd_bus_message) reply = NULL;
        int r;

        r = sd_bus_message_new_method_return(m, &reply);
        if (r >= 0)
                r = append_bytes(reply, bytes);
        return r < 0 ? r : sd_bus_message_send(reply);
}

int call_read_datagram(sd_bus_message *m, Connection *connection, sd_bus_error *error) {
        static const DictKey keys[] = {{"Timeout", "u", 1, read_timeout, 0, 0, 0}};
        static const Dict dict = {keys, G_N_ELEMENTS(keys), 1, "ReadDatagram"};
        g_autoptr(GBytes) datagram = NULL;
        uint32_t timeout = 0;
        Reason reason;
        int r;

        r = dict_read(m, &dict, &timeout, error);
        if (r < 0)
                return r;

        r = connection_read(connection, &datagram, &reason);
        if (r == RELAY_E_NOTHING && timeout > 0)
                return pending_read(message_bus(m), m, connection_id(connection),
                                    timeout * USEC_PER_MSEC, error);
        if (r)
                return bus_refuse(error, r, &reason);

        return reply_bytes(m, datagram);
}

/* The owner's, or one by a share; the latter also for other programs of the user whose it is, once
 * one of them has the owner's. */
static int open_channel(const Caller *caller, Connection *connection, int *ret_fd,
                        uint32_t *ret_data_mtu, Reason *reason) {
        ConnectionFacts facts = connection_facts(connection);
        bool is_shared = caller_rights(caller, facts.spec->shares) & (SHARE_READ | SHARE_WRITE);
        Opener opener;

        if (caller_owns(caller, facts.spec) && !(facts.channel_open && is_shared))
                return connection_open_channel(connection, ret_fd, ret_data_mtu, reason);

        opener = (Opener){.subject = caller_subject(caller), .name = caller->name};
        return connection_open_shared_channel(connection, &opener, ret_fd, ret_data_mtu, reason);
}

int call_open_channel(sd_bus_message *m, Connection *connection, sd_bus_error *error) {
        static const Dict none = {NULL, 0, 1, "OpenChannel"};
        g_autofd int channel_fd = -1;
        uint32_t data_mtu;
        Reason reason;
        int r;

        r = dict_read(m, &none, NULL, error);
        if (r < 0)
                return r;

        r = open_channel(caller_of(message_bus(m), m), connection, &channel_fd, &data_mtu, &reason);
        if (r)
                return bus_refuse(error, r, &reason);

        return sd_bus_reply_method_return(m, "hu", channel_fd, data_mtu);
}

static int reply_secret(sd_bus_message *m, const Secret *secret) {
        g_autoptr(sd_bus_message) reply = NULL;
        int r;

        r = sd_bus_message_new_method_return(m, &reply);
        if (r >= 0)
                r = sd_bus_message_sensitive(reply);
        if (r >= 0)
                r = sd_bus_message_append_array(reply, 'y', secret_peek(secret),
                                                secret_size(secret));
        return r < 0 ? r : sd_bus_message_send(reply);
}

int call_export_keying_material(sd_bus_message *m, Connection *connection, sd_bus_error *error) {
        g_autoptr(Secret) material = NULL;
        g_autoptr(GBytes) context = NULL;
        const char *label;
        const void *data;
        uint32_t length;
        Reason reason;
        size_t size;
        int r;

        r = bus_ask(message_bus(m), m, ACCESS_EXPORT_KEY, NULL, error);
        if (r <= 0)
                return r < 0 ? r : 1;

        r = sd_bus_message_read_basic(m, 's', &label);
        if (r >= 0)
                r = sd_bus_message_read_array(m, 'y', &data, &size);
        if (r >= 0)
                r = sd_bus_message_read_basic(m, 'u', &length);
        if (r < 0)
                return bus_refuse(error, r, NULL);

        context = size > 0 ? g_bytes_new(data, size) : NULL;
        r = connection_export_keying_material(connection, label, context, length, &material,
                                              &reason);
        if (r)
                return bus_refuse(error, r, &reason);

        return reply_secret(m, material);
}

int call_get_session_ticket(sd_bus_message *m, Connection *connection, sd_bus_error *error) {
        g_autoptr(GBytes) ticket = NULL;
        g_autoptr(sd_bus_message) reply = NULL;
        uint32_t lifetime;
        Reason reason;
        int r;

        r = connection_session_ticket(connection, &ticket, &lifetime, &reason);
        if (r)
                return bus_refuse(error, r, &reason);

        r = sd_bus_message_new_method_return(m, &reply);
        if (r >= 0)
                r = append_bytes(reply, ticket);
        if (r >= 0)
                r = sd_bus_message_append(reply, "u", lifetime);
        return r < 0 ? r : sd_bus_message_send(reply);
}
