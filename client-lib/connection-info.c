/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What there is to know of a connection: its properties, in C's types. */

#include "private.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the state and the error ---- */

int dtlsd_handshake_state_parse(const char *text, enum dtlsd_handshake_state *ret) {
        static const char *const words[] = {
                [DTLSD_HANDSHAKE_NOT_STARTED] = "HandshakeNotStarted",
                [DTLSD_HANDSHAKE_IN_PROGRESS] = "HandshakeInProgress",
                [DTLSD_PEER_VERIFICATION_FAILED] = "PeerVerificationFailed",
                [DTLSD_HANDSHAKE_COMPLETE] = "HandshakeComplete",
        };

        for (size_t i = 0; i < sizeof words / sizeof *words; i++)
                if (strcmp(text, words[i]) == 0) {
                        *ret = (enum dtlsd_handshake_state)i;
                        return 0;
                }

        return -EBADMSG;
}

static int get_property(const dtlsd_connection *connection, const char *name, const char *type,
                        sd_bus_message **ret, sd_bus_error *error) {
        return sd_bus_get_property(connection->bus, DTLSD_NAME, connection->path, DTLSD_CONNECTION,
                                   name, error, ret, type);
}

int dtlsd_connection_handshake_state(dtlsd_connection *connection, enum dtlsd_handshake_state *ret,
                                     sd_bus_error *error) {
        sd_bus_message *reply = NULL;
        const char *text;
        int r;

        r = get_property(connection, "HandshakeState", "s", &reply, error);
        if (r >= 0)
                r = sd_bus_message_read(reply, "s", &text);
        if (r >= 0)
                r = dtlsd_handshake_state_parse(text, ret);

        (void)sd_bus_message_unref(reply);
        return r < 0 ? r : 0;
}

int dtlsd_error_make(sd_bus_error *ret, const char *name, const char *text) {
        char whole[128];
        int n;

        if (strcmp(name, "NoError") == 0)
                return 0;

        n = snprintf(whole, sizeof whole, DTLSD_ERROR("%s"), name);
        if (n < 0 || (size_t)n >= sizeof whole)
                return -EBADMSG;

        (void)sd_bus_error_set(ret, whole, text);
        return sd_bus_error_is_set(ret) ? 0 : -ENOMEM;
}

int dtlsd_last_error(sd_bus *bus, const char *path, const char *interface, sd_bus_error *ret,
                     sd_bus_error *error) {
        sd_bus_message *reply = NULL;
        const char *name, *text;
        int r;

        r = sd_bus_get_property(bus, DTLSD_NAME, path, interface, "Error", error, &reply, "(ss)");
        if (r >= 0)
                r = sd_bus_message_read(reply, "(ss)", &name, &text);
        if (r >= 0)
                r = dtlsd_error_make(ret, name, text);

        (void)sd_bus_message_unref(reply);
        return r < 0 ? r : 0;
}

int dtlsd_connection_last_error(dtlsd_connection *connection, sd_bus_error *ret,
                                sd_bus_error *error) {
        return dtlsd_last_error(connection->bus, connection->path, DTLSD_CONNECTION, ret, error);
}

/* ---- arrays, in one piece each ---- */

/* Positive while there is one; it is the message's. */
static int next_bytes(sd_bus_message *m, struct dtlsd_bytes *ret) {
        return sd_bus_message_read_array(m, 'y', &ret->data, &ret->size);
}

static int next_error(sd_bus_message *m, struct dtlsd_verification_error *ret) {
        int r;

        r = sd_bus_message_enter_container(m, 'r', "say");
        if (r <= 0)
                return r;

        r = sd_bus_message_read(m, "s", &ret->name);
        if (r >= 0)
                r = next_bytes(m, &ret->certificate);
        if (r >= 0)
                r = sd_bus_message_exit_container(m);
        return r < 0 ? r : 1;
}

/* Copies to *tail, which moves on. */
static const void *keep(char **tail, const void *data, size_t size) {
        void *to = *tail;

        if (size == 0)
                return NULL;

        memcpy(to, data, size);
        *tail += size;
        return to;
}

int dtlsd_bytes_array_copy(sd_bus_message *m, struct dtlsd_bytes **ret, size_t *ret_n) {
        struct dtlsd_bytes one, *all;
        size_t n = 0, size = 0;
        char *tail;
        int r;

        r = sd_bus_message_enter_container(m, 'a', "ay");
        if (r < 0)
                return r;

        while ((r = next_bytes(m, &one)) > 0) {
                n++;
                size += one.size;
        }
        if (r >= 0)
                r = sd_bus_message_rewind(m, 0);
        if (r < 0)
                return r;

        all = n ? malloc(n * sizeof *all + size) : NULL;
        if (n && !all)
                return -ENOMEM;

        tail = n ? (char *)(all + n) : NULL;
        for (size_t i = 0; i < n && next_bytes(m, &one) > 0; i++)
                all[i] = (struct dtlsd_bytes){keep(&tail, one.data, one.size), one.size};
        *ret = all;
        *ret_n = n;
        return 0;
}

static int copy_errors(sd_bus_message *m, struct dtlsd_verification_error **ret, size_t *ret_n) {
        struct dtlsd_verification_error one, *all;
        size_t n = 0, size = 0;
        char *tail;
        int r;

        while ((r = next_error(m, &one)) > 0) {
                n++;
                size += strlen(one.name) + 1 + one.certificate.size;
        }
        if (r >= 0)
                r = sd_bus_message_rewind(m, 0);
        if (r < 0)
                return r;

        all = n ? malloc(n * sizeof *all + size) : NULL;
        if (n && !all)
                return -ENOMEM;

        tail = n ? (char *)(all + n) : NULL;
        for (size_t i = 0; i < n && next_error(m, &one) > 0; i++) {
                all[i].name = keep(&tail, one.name, strlen(one.name) + 1);
                all[i].certificate.data = keep(&tail, one.certificate.data, one.certificate.size);
                all[i].certificate.size = one.certificate.size;
        }
        *ret = all;
        *ret_n = n;
        return 0;
}

int dtlsd_connection_peer_chain(dtlsd_connection *connection, struct dtlsd_bytes **ret,
                                size_t *ret_n, sd_bus_error *error) {
        sd_bus_message *reply = NULL;
        int r;

        r = get_property(connection, "PeerCertificateChain", "aay", &reply, error);
        if (r >= 0)
                r = dtlsd_bytes_array_copy(reply, ret, ret_n);

        (void)sd_bus_message_unref(reply);
        return r < 0 ? r : 0;
}

int dtlsd_connection_verification_errors(dtlsd_connection *connection,
                                         struct dtlsd_verification_error **ret, size_t *ret_n,
                                         sd_bus_error *error) {
        sd_bus_message *reply = NULL;
        int r;

        r = get_property(connection, "PeerVerificationErrors", "a(say)", &reply, error);
        if (r >= 0)
                r = sd_bus_message_enter_container(reply, 'a', "(say)");
        if (r >= 0)
                r = copy_errors(reply, ret, ret_n);

        (void)sd_bus_message_unref(reply);
        return r < 0 ? r : 0;
}

/* ---- the rest ---- */

/* Where a value of a{sv} goes. */
struct field {
        const char *name;
        const char *type; /* "s" to a char array, "ay" to a byte array, else to its own C type */
        size_t offset;
        size_t size;        /* of an array */
        size_t size_offset; /* of "ay": of the size_t; 0: a char array */
};

#define TEXT(name, member)                                                                         \
        {                                                                                          \
                name, "s", offsetof(struct dtlsd_connection_info, member),                         \
                        sizeof(((struct dtlsd_connection_info *)0)->member), 0                     \
        }
#define VALUE(name, type, member)                                                                  \
        { name, type, offsetof(struct dtlsd_connection_info, member), 0, 0 }

static const struct field cipher_fields[] = {
        TEXT("Name", cipher.name),
        TEXT("Protocol", cipher.protocol),
        TEXT("KeyExchangeMethod", cipher.key_exchange_method),
        TEXT("AuthenticationMethod", cipher.authentication_method),
        TEXT("EncryptionMethod", cipher.encryption_method),
        TEXT("Mac", cipher.mac),
        VALUE("SupportedBits", "u", cipher.supported_bits),
        VALUE("UsedBits", "u", cipher.used_bits),
        VALUE("ExtendedMasterSecret", "b", cipher.extended_master_secret),
        {NULL},
};

static const struct field fields[] = {
        TEXT("Mode", mode),
        VALUE("Encrypted", "b", encrypted),
        TEXT("PeerAddress", peer_address),
        VALUE("PeerPort", "q", peer_port),
        TEXT("LocalAddress", local_address),
        VALUE("LocalPort", "q", local_port),
        TEXT("VerificationName", verification_name),
        VALUE("MtuHint", "q", mtu_hint),
        VALUE("DataMtu", "u", data_mtu),
        TEXT("SessionProtocol", protocol),
        {"NextProtocol", "ay", offsetof(struct dtlsd_connection_info, next_protocol),
         sizeof(((struct dtlsd_connection_info *)0)->next_protocol) - 1, 0},
        TEXT("NextProtocolStatus", next_protocol_status),
        VALUE("Resumed", "b", resumed),
        {"PskIdentity", "ay", offsetof(struct dtlsd_connection_info, psk_identity),
         sizeof(((struct dtlsd_connection_info *)0)->psk_identity),
         offsetof(struct dtlsd_connection_info, psk_identity_size)},
        {NULL},
};

static int take_bytes(const struct field *field, sd_bus_message *m, char *info) {
        const void *data;
        size_t size;
        int r;

        r = sd_bus_message_read_array(m, 'y', &data, &size);
        if (r < 0)
                return r;
        if (size > field->size)
                return -EBADMSG;
        if (!field->size_offset && memchr(data, '\0', size))
                return -EBADMSG; /* it would read as another */

        memcpy(info + field->offset, data, size);
        if (field->size_offset)
                memcpy(info + field->size_offset, &size, sizeof size);
        return 0;
}

static int take_value(const struct field *field, sd_bus_message *m, char *info) {
        const char *text;
        size_t size;
        int r;

        if (strcmp(field->type, "ay") == 0)
                return take_bytes(field, m, info);
        if (strcmp(field->type, "s") != 0)
                return sd_bus_message_read(m, field->type, info + field->offset);

        r = sd_bus_message_read(m, "s", &text);
        if (r < 0)
                return r;

        size = strlen(text) + 1;
        if (size > field->size)
                return -EBADMSG;

        memcpy(info + field->offset, text, size);
        return 0;
}

static int take_properties(const struct field *table, sd_bus_message *m, char *info);

static int take_property(const struct field *table, sd_bus_message *m, char *info) {
        const char *name, *type;
        int r;

        r = sd_bus_message_read(m, "s", &name);
        if (r < 0)
                return r;

        while (table->name && strcmp(table->name, name) != 0)
                table++;
        type = strcmp(name, "SessionCipher") == 0 ? "a{sv}" : table->type;
        if (!type)
                return sd_bus_message_skip(m, "v"); /* of a later service, or not wanted */

        r = sd_bus_message_enter_container(m, 'v', type);
        if (r >= 0)
                r = table->name ? take_value(table, m, info)
                                : take_properties(cipher_fields, m, info);
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int take_properties(const struct field *table, sd_bus_message *m, char *info) {
        int r;

        r = sd_bus_message_enter_container(m, 'a', "{sv}");
        while (r >= 0) {
                r = sd_bus_message_enter_container(m, 'e', "sv");
                if (r == 0)
                        break;
                if (r >= 0)
                        r = take_property(table, m, info);
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
        }
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

int dtlsd_connection_info(dtlsd_connection *connection, struct dtlsd_connection_info *ret,
                          sd_bus_error *error) {
        struct dtlsd_connection_info info = {0};
        sd_bus_message *reply = NULL;
        int r;

        r = sd_bus_call_method(connection->bus, DTLSD_NAME, connection->path,
                               "org.freedesktop.DBus.Properties", "GetAll", error, &reply, "s",
                               DTLSD_CONNECTION);
        if (r >= 0)
                r = take_properties(fields, reply, (char *)&info);
        if (r >= 0)
                *ret = info;

        (void)sd_bus_message_unref(reply);
        return r < 0 ? r : 0;
}
