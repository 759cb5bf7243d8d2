/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Calls of io.github.dtlsd.Dtlsd1.Manager that change the store of identities. */

#include "private.h"

static int append_key(sd_bus_message *m, const char *private_key_file, const char *passphrase_file,
                      sd_bus_error *error) {
        int r;

        r = sd_bus_message_open_container(m, 'a', "{sv}");
        if (r >= 0)
                r = dtlsd_secret_file_append(m, "Key", private_key_file, /* is_line= */ false,
                                             error);
        if (r >= 0)
                r = dtlsd_secret_file_append(m, "Passphrase", passphrase_file, /* is_line= */ true,
                                             error);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

int dtlsd_import_identity(sd_bus *bus, const char *name, const char *const *certificate_chain_files,
                          const char *private_key_file, const char *passphrase_file,
                          sd_bus_error *error) {
        sd_bus_message *m = NULL;
        int r;

        r = dtlsd_manager_call_new(bus, "ImportIdentity", &m);
        if (r >= 0)
                r = sd_bus_message_append(m, "s", name);
        if (r >= 0)
                r = dtlsd_files_append(m, certificate_chain_files, error);
        if (r >= 0)
                r = append_key(m, private_key_file, passphrase_file, error);
        return dtlsd_call(m, r, error);
}

int dtlsd_remove_identity(sd_bus *bus, const char *name, sd_bus_error *error) {
        sd_bus_message *m = NULL;
        int r;

        r = dtlsd_manager_call_new(bus, "RemoveIdentity", &m);
        if (r >= 0)
                r = sd_bus_message_append(m, "s", name);
        return dtlsd_call(m, r, error);
}
