/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * signals, see signals.h. Properties come from the rows of the interface's own vtable, so that a
 * property is described in one place.
 */

#include "bus/signals.h"
#include "base/log.h"
#include "base/terms.h"

#include <errno.h>
#include <string.h>

#define PROPERTIES "org.freedesktop.DBus.Properties"
#define OBJECT_MANAGER "org.freedesktop.DBus.ObjectManager"

/* Which change of relay's a property is about. One that is not here is sent with every change. */
static const struct {
        const char *property;
        unsigned mask;
} signal_masks[] = {
        {"HandshakeState", CHANGED_STATE},
        {"Encrypted", CHANGED_STATE},
        {"PeerAddress", CHANGED_PEER},
        {"PeerPort", CHANGED_PEER},
        {"LocalAddress", CHANGED_PEER},
        {"LocalPort", CHANGED_PEER},
        {"VerificationName", CHANGED_PEER},
        {"MtuHint", CHANGED_MTU},
        {"DataMtu", CHANGED_MTU},
        {"SessionCipher", CHANGED_SESSION},
        {"SessionProtocol", CHANGED_SESSION},
        {"EphemeralServerKey", CHANGED_SESSION},
        {"NextProtocol", CHANGED_SESSION},
        {"NextProtocolStatus", CHANGED_SESSION},
        {"SessionTicketLifeTimeHint", CHANGED_SESSION},
        {"Resumed", CHANGED_SESSION},
        {"PskIdentity", CHANGED_SESSION},
        {"PeerCertificateChain", CHANGED_SESSION},
        {"Error", CHANGED_ERROR},
        {"PeerVerificationErrors", CHANGED_ERROR},
        {"PendingPsk", CHANGED_PSK},
        {"Configuration", CHANGED_CONFIGURATION},
        {"Backlog", CHANGED_BACKLOG},
        {"Shares", CHANGED_SHARES},
        {"Attached", CHANGED_CHANNELS},
};

/* What sd-bus would list beside ours in GetManagedObjects; a client's object is gone when all are.
 */
static const char *const signal_stock_interfaces[] = {
        "org.freedesktop.DBus.Peer",
        "org.freedesktop.DBus.Introspectable",
        PROPERTIES,
};

SignalObject signal_object(SignalObjectKind kind, uint32_t id, void *object) {
        SignalObject signal_object = {.object = object};

        switch (kind) {
        case SIGNAL_CONNECTION:
                (void)connection_path(id, signal_object.path);
                signal_object.interface = DTLSD_INTERFACE_CONNECTION;
                signal_object.vtable = connection_vtable;
                break;
        case SIGNAL_LISTENER:
                (void)listener_path(id, signal_object.path);
                signal_object.interface = DTLSD_INTERFACE_LISTENER;
                signal_object.vtable = listener_vtable;
                break;
        case SIGNAL_VERIFIER:
                (void)verifier_path(id, signal_object.path);
                signal_object.interface = DTLSD_INTERFACE_VERIFIER;
                signal_object.vtable = verifier_vtable;
                break;
        case N_SIGNAL_OBJECT_KINDS:
                break;
        }

        return signal_object;
}

SignalObject signal_identity(const char *name, const KeysIdentity *identity) {
        SignalObject signal_object = {
                .interface = DTLSD_INTERFACE_IDENTITY,
                .vtable = identity_vtable,
                .object = (void *)identity,
        };

        identity_path(name, signal_object.path, sizeof(signal_object.path));
        return signal_object;
}

/* ---- properties ---- */

static bool row_is_property(const sd_bus_vtable *row) {
        return row->type == _SD_BUS_VTABLE_PROPERTY && !(row->flags & SD_BUS_VTABLE_HIDDEN);
}

static bool row_is_about(const sd_bus_vtable *row, unsigned mask) {
        for (size_t i = 0; i < G_N_ELEMENTS(signal_masks); i++)
                if (strcmp(signal_masks[i].property, row->x.property.member) == 0)
                        return signal_masks[i].mask & mask;

        return true;
}

static bool row_is_initial(const sd_bus_vtable *row, const Signal *signal) {
        return !(row->flags &
                 (SD_BUS_VTABLE_PROPERTY_EXPLICIT | SD_BUS_VTABLE_PROPERTY_EMITS_INVALIDATION));
}

static bool row_is_changed(const sd_bus_vtable *row, const Signal *signal) {
        return (row->flags & SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE) &&
               !(row->flags & SD_BUS_VTABLE_PROPERTY_EXPLICIT) && row_is_about(row, signal->mask);
}

static bool row_is_invalidated(const sd_bus_vtable *row, const Signal *signal) {
        return (row->flags & SD_BUS_VTABLE_PROPERTY_EMITS_INVALIDATION) &&
               row_is_about(row, signal->mask);
}

static int append_property(sd_bus *bus, sd_bus_message *m, const SignalObject *object,
                           const sd_bus_vtable *row) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        int r;

        r = sd_bus_message_open_container(m, 'e', "sv");
        if (r >= 0)
                r = sd_bus_message_append_basic(m, 's', row->x.property.member);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'v', row->x.property.signature);
        if (r >= 0)
                r = row->x.property.get(bus, object->path, object->interface,
                                        row->x.property.member, m, object->object, &error);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        if (r >= 0)
                r = sd_bus_message_close_container(m);

        sd_bus_error_free(&error);
        return r;
}

typedef bool (*RowFilter)(const sd_bus_vtable *row, const Signal *signal);

static int append_properties(sd_bus *bus, sd_bus_message *m, const Signal *signal,
                             RowFilter filter) {
        const SignalObject *object = signal->object;
        int r;

        r = sd_bus_message_open_container(m, 'a', "{sv}");
        if (r < 0)
                return r;

        for (const sd_bus_vtable *row = object->vtable; row->type != _SD_BUS_VTABLE_END; row++) {
                if (!row_is_property(row) || !filter(row, signal))
                        continue;

                r = append_property(bus, m, object, row);
                if (r < 0)
                        return r;
        }

        return sd_bus_message_close_container(m);
}

static int append_invalidated(sd_bus_message *m, const Signal *signal) {
        const sd_bus_vtable *row;
        int r;

        r = sd_bus_message_open_container(m, 'a', "s");
        if (r < 0)
                return r;

        for (row = signal->object->vtable; row->type != _SD_BUS_VTABLE_END; row++) {
                if (!row_is_property(row) || !row_is_invalidated(row, signal))
                        continue;

                r = sd_bus_message_append_basic(m, 's', row->x.property.member);
                if (r < 0)
                        return r;
        }

        return sd_bus_message_close_container(m);
}

bool signal_is_worth_it(const Signal *signal) {
        const sd_bus_vtable *row;

        for (row = signal->object->vtable; row->type != _SD_BUS_VTABLE_END; row++)
                if (row_is_property(row) &&
                    (row_is_changed(row, signal) || row_is_invalidated(row, signal)))
                        return true;

        return false;
}

/* ---- each signal's arguments ---- */

int signal_append_object(sd_bus *bus, sd_bus_message *m, const SignalObject *object) {
        const Signal signal = {.kind = SIGNAL_ADDED, .object = object};
        int r;

        r = sd_bus_message_append_basic(m, 'o', object->path);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "{sa{sv}}");
        for (size_t i = 0; r >= 0 && i < G_N_ELEMENTS(signal_stock_interfaces); i++)
                r = sd_bus_message_append(m, "{sa{sv}}", signal_stock_interfaces[i], 0);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'e', "sa{sv}");
        if (r >= 0)
                r = sd_bus_message_append_basic(m, 's', object->interface);
        if (r >= 0)
                r = append_properties(bus, m, &signal, row_is_initial);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return r;
}

static int fill_added(sd_bus *bus, sd_bus_message *m, const Signal *signal) {
        return signal_append_object(bus, m, signal->object);
}

static int fill_removed(sd_bus *bus, sd_bus_message *m, const Signal *signal) {
        int r;

        r = sd_bus_message_append_basic(m, 'o', signal->object->path);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "s");
        for (size_t i = 0; r >= 0 && i < G_N_ELEMENTS(signal_stock_interfaces); i++)
                r = sd_bus_message_append_basic(m, 's', signal_stock_interfaces[i]);
        if (r >= 0)
                r = sd_bus_message_append_basic(m, 's', signal->object->interface);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return r;
}

static int fill_changed(sd_bus *bus, sd_bus_message *m, const Signal *signal) {
        int r;

        r = sd_bus_message_append_basic(m, 's', signal->object->interface);
        if (r >= 0)
                r = append_properties(bus, m, signal, row_is_changed);
        if (r >= 0)
                r = append_invalidated(m, signal);
        return r;
}

static int fill_state(sd_bus *bus, sd_bus_message *m, const Signal *signal) {
        return sd_bus_message_append(m, "sss", signal->words[0], signal->words[1],
                                     signal->words[2]);
}

static int fill_nothing(sd_bus *bus, sd_bus_message *m, const Signal *signal) {
        return 0;
}

static int fill_psk(sd_bus *bus, sd_bus_message *m, const Signal *signal) {
        int r;

        r = append_bytes(m, signal->psk.hint);
        if (r >= 0)
                r = append_bytes(m, signal->psk.peer_identity);
        if (r >= 0)
                r = sd_bus_message_append(m, "uu", signal->psk.max_identity, signal->psk.max_key);
        return r;
}

static int fill_datagram(sd_bus *bus, sd_bus_message *m, const Signal *signal) {
        int r;

        r = sd_bus_message_sensitive(m);
        if (r >= 0)
                r = append_bytes(m, signal->datagram);
        return r;
}

static int fill_ciphertext(sd_bus *bus, sd_bus_message *m, const Signal *signal) {
        return append_bytes(m, signal->datagram);
}

static int fill_closed(sd_bus *bus, sd_bus_message *m, const Signal *signal) {
        return sd_bus_message_append_basic(m, 's', signal->words[0]);
}

static int fill_new_connection(sd_bus *bus, sd_bus_message *m, const Signal *signal) {
        char path[BUS_PATH_MAX], peer[ADDRESS_STRING_MAX];

        return sd_bus_message_append(m, "osq", connection_path(signal->connection, path),
                                     address_format(signal->peer, peer),
                                     address_port(signal->peer));
}

static int fill_ends_soon(sd_bus *bus, sd_bus_message *m, const Signal *signal) {
        return sd_bus_message_append(m, "tu", signal->not_after_usec, signal->days);
}

/* @interface NULL: the object's own. */
static const struct {
        const char *interface;
        const char *member;
        bool is_from_root;
        int (*fill)(sd_bus *bus, sd_bus_message *m, const Signal *signal);
} signal_shapes[N_SIGNAL_KINDS] = {
        [SIGNAL_ADDED] = {OBJECT_MANAGER, "InterfacesAdded", true, fill_added},
        [SIGNAL_REMOVED] = {OBJECT_MANAGER, "InterfacesRemoved", true, fill_removed},
        [SIGNAL_CHANGED] = {PROPERTIES, "PropertiesChanged", false, fill_changed},
        [SIGNAL_STATE] = {NULL, "StateChanged", false, fill_state},
        [SIGNAL_TIMEOUT] = {NULL, "HandshakeTimeout", false, fill_nothing},
        [SIGNAL_PSK] = {NULL, "PskRequired", false, fill_psk},
        [SIGNAL_DATAGRAM] = {NULL, "DatagramReceived", false, fill_datagram},
        [SIGNAL_SEND] = {NULL, "DatagramToSend", false, fill_ciphertext},
        [SIGNAL_CLOSED] = {NULL, "Closed", false, fill_closed},
        [SIGNAL_NEW_CONNECTION] = {NULL, "NewConnection", false, fill_new_connection},
        [SIGNAL_ENDS_SOON] = {NULL, "ExpiresSoon", false, fill_ends_soon},
};

void signal_send(sd_bus *bus, const Signal *signal, const char *name) {
        const SignalObject *object = signal->object;
        const char *interface = signal_shapes[signal->kind].interface;
        const char *path =
                signal_shapes[signal->kind].is_from_root ? DTLSD_ROOT_PATH : object->path;
        sd_bus_message *m = NULL;
        int r;

        r = sd_bus_message_new_signal(bus, &m, path, interface ? interface : object->interface,
                                      signal_shapes[signal->kind].member);
        if (r >= 0)
                r = signal_shapes[signal->kind].fill(bus, m, signal);
        if (r >= 0)
                r = sd_bus_send_to(bus, m, name, NULL);
        if (r < 0 && r != -ENOTCONN)
                log_warning("A signal could not be sent to %s: %s %s: %s", name, path,
                            signal_shapes[signal->kind].member, g_strerror(-r));

        (void)sd_bus_message_unref(m);
}
