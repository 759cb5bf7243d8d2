/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Calls of io.github.dtlsd.Dtlsd1.Manager that change the store's pre-shared keys. */

#include "private.h"

int dtlsd_set_psk(sd_bus *bus, const char *name, const void *identity, size_t identity_size,
                  const void *psk, size_t psk_size, sd_bus_error *error) {
        sd_bus_message *m = NULL;
        int r;

        r = dtlsd_manager_call_new(bus, "SetPsk", &m);
        if (r >= 0)
                r = sd_bus_message_append(m, "s", name);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "{sv}");
        if (r >= 0)
                r = dtlsd_bytes_append(m, "Identity", identity, identity_size);
        if (r >= 0)
                r = dtlsd_secret_append(m, "Key", psk, psk_size);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return dtlsd_call(m, r, error);
}

int dtlsd_remove_psk(sd_bus *bus, const char *name, sd_bus_error *error) {
        sd_bus_message *m = NULL;
        int r;

        r = dtlsd_manager_call_new(bus, "RemovePsk", &m);
        if (r >= 0)
                r = sd_bus_message_append(m, "s", name);
        return dtlsd_call(m, r, error);
}
