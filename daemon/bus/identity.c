/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * identity: the interface Identity, the store's certificates that one may use; and the Manager's
 * methods that change them. The key goes from the caller's memfd to the keyring, which reads it.
 */

#include "base/cleanup.h"
#include "base/memfd.h"
#include "base/terms.h"
#include "bus/private.h"
#include "identity/facts.h"

#include <stddef.h>
#include <string.h>

#define KEY_URI_MAX 1024 /* as the keyring has it */

void identity_path(const char *name, char *ret, size_t size) {
        g_autofree char *path = NULL;

        /* fails for want of memory alone */
        if (sd_bus_path_encode(IDENTITY_FOLDER, name, &path) < 0)
                g_assert_not_reached();
        (void)g_strlcpy(ret, path, size);
}

int identity_find(sd_bus *b, const char *path, const char *interface, void *userdata, void **found,
                  sd_bus_error *error) {
        Bus *bus = bus_of(b);
        const KeysIdentity *identity;
        g_autofree char *name = NULL;

        if (sd_bus_path_decode(path, IDENTITY_FOLDER, &name) <= 0)
                return 0;

        identity = keys_identity(bus->keys, name);
        if (!identity || !store_may_see(bus, caller_current(bus), "identity", name))
                return 0;

        *found = (void *)identity;
        return 1;
}

int enumerate_identities(sd_bus *connection, const char *prefix, void *userdata, char ***ret_nodes,
                         sd_bus_error *error) {
        Bus *bus = userdata;
        const Caller *caller = caller_current(bus);
        g_autoptr(GPtrArray) list = keys_identities(bus->keys);
        g_autoptr(GPtrArray) paths = g_ptr_array_new();

        for (guint i = 0; i < list->len; i++) {
                const KeysIdentity *identity = list->pdata[i];
                char *path;

                if (!store_may_see(bus, caller, "identity", identity->name))
                        continue;
                if (sd_bus_path_encode(IDENTITY_FOLDER, identity->name, &path) >= 0)
                        g_ptr_array_add(paths, path);
        }

        g_ptr_array_add(paths, NULL);
        *ret_nodes = (char **)g_ptr_array_steal(paths, NULL);
        return 0;
}

/* ---- methods of the Manager ---- */

typedef struct ImportOptions {
        int key_fd, pkcs12_fd, passphrase_fd; /* -1: not given; the message's */
        const char *key_uri;                  /* NULL: not given */
} ImportOptions;

int read_secret_fd(sd_bus_message *m, const DictKey *key, void *userdata, sd_bus_error *error) {
        const int *fd = (const int *)((uint8_t *)userdata + key->offset);
        int r;

        r = dict_read_basic(m, key, userdata, error);
        if (r < 0)
                return r;

        r = memfd_check(*fd);
        if (r < 0)
                return bus_refuse(error, r, NULL);
        if (r > 0)
                return bus_refuse_text(error, BUS_E_INVALID_PARAMETERS, "Option '%s': %s",
                                       key->name, memfd_outcome_text((MemfdOutcome)r));

        return 1;
}

int identity_read_chain(sd_bus_message *m, GPtrArray **ret, sd_bus_error *error) {
        static const DictKey chain = {.name = "chain", .maximum = CHAIN_LENGTH_MAX};

        return certificates_read(m, &chain, ret, error);
}

static int read_key_uri(sd_bus_message *m, const DictKey *key, void *userdata,
                        sd_bus_error *error) {
        ImportOptions *options = userdata;
        size_t size;
        int r;

        r = dict_read_basic(m, key, userdata, error);
        if (r < 0)
                return r;

        size = strlen(options->key_uri);
        if (size >= key->minimum && size <= key->maximum)
                return 1;

        return bus_refuse_text(error, BUS_E_INVALID_PARAMETERS,
                               "Option '%s' has %zu bytes; it has to have %" G_GUINT64_FORMAT
                               " to %" G_GUINT64_FORMAT,
                               key->name, size, key->minimum, key->maximum);
}

/* What is to be imported, in its form. @uri_fd: the caller's to close. */
static int import_choose(const ImportOptions *options, KeysImport *import, int *uri_fd,
                         sd_bus_error *error) {
        int r;

        if ((options->key_fd >= 0) + (options->pkcs12_fd >= 0) + (options->key_uri != NULL) != 1)
                return bus_refuse_text(error, BUS_E_INVALID_PARAMETERS,
                                       "One of the options 'Key', 'Pkcs12' and 'KeyUri' is needed: "
                                       "a sealed memfd with the private key of the first "
                                       "certificate or with a PKCS#12 file, or the URI of a key in "
                                       "a token");

        import->form = options->key_uri ? "pkcs11" : options->key_fd < 0 ? "pkcs12" : "key";
        import->key_fd = MAX(options->key_fd, options->pkcs12_fd);
        import->passphrase_fd = options->passphrase_fd;
        if (!options->key_uri)
                return 1;

        r = memfd_new(options->key_uri, strlen(options->key_uri), uri_fd);
        import->key_fd = *uri_fd;
        return r < 0 ? bus_refuse(error, r, NULL) : 1;
}

static int import_read_options(sd_bus_message *m, const char *name, KeysImport *import, int *uri_fd,
                               sd_bus_error *error) {
        static const DictKey keys[] = {
                {"Key", "h", 1, read_secret_fd, offsetof(ImportOptions, key_fd), 0, 0},
                {"Pkcs12", "h", 1, read_secret_fd, offsetof(ImportOptions, pkcs12_fd), 0, 0},
                {"KeyUri", "s", 1, read_key_uri, offsetof(ImportOptions, key_uri), 1, KEY_URI_MAX},
                {"Passphrase", "h", 1, read_secret_fd, offsetof(ImportOptions, passphrase_fd), 0,
                 0},
        };
        static const Dict dict = {keys, G_N_ELEMENTS(keys), 1, "ImportIdentity"};
        ImportOptions options = {.key_fd = -1, .pkcs12_fd = -1, .passphrase_fd = -1};
        int r;

        r = dict_read(m, &dict, &options, error);
        if (r < 0)
                return r;

        if (options.key_uri && g_str_has_prefix(name, "u/"))
                return bus_refuse_text(error, BUS_E_NOT_AUTHORIZED,
                                       "A key in a token is the administrator's: '%s' is a user's "
                                       "name",
                                       name);

        return import_choose(&options, import, uri_fd, error);
}

int method_import_identity(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        g_autoptr(GPtrArray) blobs = NULL;
        g_autofd int uri_fd = -1;
        Bus *bus = message_bus(m);
        KeysImport import;
        StoreCall *call;
        const char *name;
        int r;

        r = store_read_name(bus, m, &name, error);
        if (r >= 0)
                r = identity_read_chain(m, &blobs, error);
        if (r >= 0)
                r = import_read_options(m, name, &import, &uri_fd, error);
        if (r >= 0)
                r = store_begin(bus, m, "identity", name, &call, error);
        if (r <= 0)
                return r < 0 ? r : 1;

        import.blobs = blobs;
        call->ticket =
                keys_store_identity(bus->keys, call->uid, name, &import, on_store_done, call);
        return 1;
}

int method_remove_identity(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return store_remove(m, "identity", keys_remove_identity, error);
}

/* ---- properties ---- */

static int get_name(sd_bus *b, const char *path, const char *interface, const char *property,
                    sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const KeysIdentity *identity = userdata;

        return append_text(reply, identity->name);
}

/* NULL: there is none yet. */
static GBytes *identity_leaf(const KeysIdentity *identity) {
        return identity->chain->len > 0 ? identity->chain->pdata[0] : NULL;
}

static int get_fingerprint(sd_bus *b, const char *path, const char *interface, const char *property,
                           sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        GBytes *leaf = identity_leaf(userdata);
        g_autofree char *fingerprint =
                leaf ? g_compute_checksum_for_bytes(G_CHECKSUM_SHA256, leaf) : NULL;

        return append_text(reply, fingerprint);
}

static int get_certificate(sd_bus *b, const char *path, const char *interface, const char *property,
                           sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const KeysIdentity *identity = userdata;

        return append_byte_arrays(reply, identity->chain);
}

static Facts identity_facts(const KeysIdentity *identity) {
        GBytes *leaf = identity_leaf(identity);

        return leaf ? facts_look(leaf) : (Facts){.key_type = ""};
}

static int get_subject(sd_bus *b, const char *path, const char *interface, const char *property,
                       sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        g_auto(Facts) facts = identity_facts(userdata);

        return append_text(reply, facts.subject);
}

static int get_not_after(sd_bus *b, const char *path, const char *interface, const char *property,
                         sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        g_auto(Facts) facts = identity_facts(userdata);

        return sd_bus_message_append_basic(reply, 't', &facts.not_after_usec);
}

static int get_key_type(sd_bus *b, const char *path, const char *interface, const char *property,
                        sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        g_auto(Facts) facts = identity_facts(userdata);

        return append_text(reply, facts.key_type);
}

static int get_awaits_certificate(sd_bus *b, const char *path, const char *interface,
                                  const char *property, sd_bus_message *reply, void *userdata,
                                  sd_bus_error *error) {
        const KeysIdentity *identity = userdata;

        return sd_bus_message_append(reply, "b", identity->awaits_certificate);
}

static int get_source(sd_bus *b, const char *path, const char *interface, const char *property,
                      sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        return append_text(reply, "store");
}

const sd_bus_vtable identity_vtable[] = {
        SD_BUS_VTABLE_START(0),

        SD_BUS_SIGNAL_WITH_ARGS("ExpiresSoon", SD_BUS_ARGS("t", not_after, "u", days), 0),

        SD_BUS_PROPERTY("Name", "s", get_name, 0, CONST),
        SD_BUS_PROPERTY("Fingerprint", "s", get_fingerprint, 0, LONG),
        SD_BUS_PROPERTY("Certificate", "aay", get_certificate, 0, LONG),
        SD_BUS_PROPERTY("Subject", "s", get_subject, 0, LONG),
        SD_BUS_PROPERTY("NotAfter", "t", get_not_after, 0, LONG),
        SD_BUS_PROPERTY("KeyType", "s", get_key_type, 0, LONG),
        SD_BUS_PROPERTY("AwaitsCertificate", "b", get_awaits_certificate, 0, LONG),
        SD_BUS_PROPERTY("Source", "s", get_source, 0, CONST),

        SD_BUS_VTABLE_END,
};
