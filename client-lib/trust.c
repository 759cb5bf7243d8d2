/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Calls of io.github.dtlsd.Dtlsd1.Manager that change whom the store trusts, and whom not. */

#include "private.h"

#define FINGERPRINT_SIZE 32

int dtlsd_add_trust_anchors(sd_bus *bus, const char *trust, const char *const *certificate_files,
                            sd_bus_error *error) {
        sd_bus_message *m = NULL;
        int r;

        r = dtlsd_manager_call_new(bus, "AddTrustAnchors", &m);
        if (r >= 0)
                r = sd_bus_message_append(m, "s", trust);
        if (r >= 0)
                r = dtlsd_files_append(m, certificate_files, error);
        return dtlsd_call(m, r, error);
}

int dtlsd_remove_trust_anchor(sd_bus *bus, const char *trust, const uint8_t *fingerprint,
                              sd_bus_error *error) {
        sd_bus_message *m = NULL;
        int r;

        r = dtlsd_manager_call_new(bus, "RemoveTrustAnchor", &m);
        if (r >= 0)
                r = sd_bus_message_append(m, "s", trust);
        if (r >= 0)
                r = sd_bus_message_append_array(m, 'y', fingerprint,
                                                fingerprint ? FINGERPRINT_SIZE : 0);
        return dtlsd_call(m, r, error);
}

static int append_fingerprint(sd_bus_message *m, const uint8_t *fingerprint) {
        int r;

        r = sd_bus_message_open_container(m, 'e', "sv");
        if (r >= 0)
                r = sd_bus_message_append(m, "s", "Fingerprint");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'v', "ay");
        if (r >= 0)
                r = sd_bus_message_append_array(m, 'y', fingerprint, FINGERPRINT_SIZE);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int call_about_pin(sd_bus *bus, const char *method, const struct dtlsd_pin *pin,
                          sd_bus_error *error) {
        sd_bus_message *m = NULL;
        int r;

        r = dtlsd_manager_call_new(bus, method, &m);
        if (r >= 0)
                r = sd_bus_message_append(m, "sq", pin->host, pin->port);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "{sv}");
        if (r >= 0 && pin->fingerprint)
                r = append_fingerprint(m, pin->fingerprint);
        if (r >= 0 && pin->administrator)
                r = sd_bus_message_append(m, "{sv}", "Administrator", "b", 1);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return dtlsd_call(m, r, error);
}

int dtlsd_pin(sd_bus *bus, const struct dtlsd_pin *pin, sd_bus_error *error) {
        return call_about_pin(bus, "Pin", pin, error);
}

int dtlsd_unpin(sd_bus *bus, const struct dtlsd_pin *pin, sd_bus_error *error) {
        return call_about_pin(bus, "Unpin", pin, error);
}

/* Each may be NULL. */
static int append_revocations(sd_bus_message *m, const char *const *list_files,
                              const char *const *denied, sd_bus_error *error) {
        int r;

        r = sd_bus_message_open_container(m, 'a', "{sv}");
        if (r >= 0)
                r = dtlsd_files_entry_append(m, "Lists", list_files, error);
        if (r >= 0)
                r = dtlsd_names_append(m, "Denied", denied);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

int dtlsd_set_revocations(sd_bus *bus, const char *name, const char *const *list_files,
                          const char *const *denied, sd_bus_error *error) {
        sd_bus_message *m = NULL;
        int r;

        r = dtlsd_manager_call_new(bus, "SetRevocations", &m);
        if (r >= 0)
                r = sd_bus_message_append(m, "s", name);
        if (r >= 0)
                r = append_revocations(m, list_files, denied, error);
        return dtlsd_call(m, r, error);
}

int dtlsd_remove_revocations(sd_bus *bus, const char *name, sd_bus_error *error) {
        sd_bus_message *m = NULL;
        int r;

        r = dtlsd_manager_call_new(bus, "RemoveRevocations", &m);
        if (r >= 0)
                r = sd_bus_message_append(m, "s", name);
        return dtlsd_call(m, r, error);
}
