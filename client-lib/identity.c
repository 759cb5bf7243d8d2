/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Calls of io.github.dtlsd.Dtlsd1.Manager that change the store of identities. */

#include "private.h"

#include <errno.h>
#include <string.h>

#define GENERATE_USEC UINT64_C(60000000) /* that the service gives the making of a key */

#define OPTION_KEY_URI "KeyUri" /* the one whose value is not in a file */

static int append_key(sd_bus_message *m, const char *option, const char *value,
                      const char *passphrase_file, sd_bus_error *error) {
        int r;

        r = sd_bus_message_open_container(m, 'a', "{sv}");
        if (r >= 0)
                r = strcmp(option, OPTION_KEY_URI) == 0
                            ? sd_bus_message_append(m, "{sv}", option, "s", value)
                            : dtlsd_secret_file_append(m, option, value, /* is_line= */ false,
                                                       error);
        if (r >= 0)
                r = dtlsd_secret_file_append(m, "Passphrase", passphrase_file, /* is_line= */ true,
                                             error);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int import(sd_bus *bus, const char *name, const char *const *certificate_chain_files,
                  const char *option, const char *value, const char *passphrase_file,
                  sd_bus_error *error) {
        sd_bus_message *m = NULL;
        int r;

        r = dtlsd_manager_call_new(bus, "ImportIdentity", &m);
        if (r >= 0)
                r = sd_bus_message_append(m, "s", name);
        if (r >= 0)
                r = dtlsd_files_append(m, certificate_chain_files, error);
        if (r >= 0)
                r = append_key(m, option, value, passphrase_file, error);
        return dtlsd_call(m, r, error);
}

int dtlsd_import_identity(sd_bus *bus, const char *name, const char *const *certificate_chain_files,
                          const char *private_key_file, const char *passphrase_file,
                          sd_bus_error *error) {
        return import(bus, name, certificate_chain_files, "Key", private_key_file, passphrase_file,
                      error);
}

int dtlsd_import_pkcs12(sd_bus *bus, const char *name, const char *pkcs12_file,
                        const char *passphrase_file, sd_bus_error *error) {
        return import(bus, name, NULL, "Pkcs12", pkcs12_file, passphrase_file, error);
}

int dtlsd_import_key_uri(sd_bus *bus, const char *name, const char *const *certificate_chain_files,
                         const char *key_uri, const char *pin_file, sd_bus_error *error) {
        return import(bus, name, certificate_chain_files, OPTION_KEY_URI, key_uri, pin_file, error);
}

static int append_request(sd_bus_message *m, const char *key_type, const char *subject,
                          const char *const *subject_alt_names) {
        int r;

        r = sd_bus_message_open_container(m, 'a', "{sv}");
        if (r >= 0 && key_type)
                r = sd_bus_message_append(m, "{sv}", "KeyType", "s", key_type);
        if (r >= 0 && subject)
                r = sd_bus_message_append(m, "{sv}", "Subject", "s", subject);
        if (r >= 0 && subject_alt_names) {
                r = sd_bus_message_open_container(m, 'e', "sv");
                if (r >= 0)
                        r = sd_bus_message_append_basic(m, 's', "SubjectAltNames");
                if (r >= 0)
                        r = sd_bus_message_open_container(m, 'v', "as");
                if (r >= 0)
                        r = sd_bus_message_append_strv(m, (char **)subject_alt_names);
                if (r >= 0)
                        r = sd_bus_message_close_container(m);
                if (r >= 0)
                        r = sd_bus_message_close_container(m);
        }
        return r < 0 ? r : sd_bus_message_close_container(m);
}

int dtlsd_generate_identity(sd_bus *bus, const char *name, const char *key_type,
                            const char *subject, const char *const *subject_alt_names,
                            char **ret_csr, sd_bus_error *error) {
        sd_bus_message *m = NULL, *reply = NULL;
        const char *csr;
        char *copy;
        int r;

        r = dtlsd_manager_call_new(bus, "GenerateIdentity", &m);
        if (r >= 0)
                r = sd_bus_message_append(m, "s", name);
        if (r >= 0)
                r = append_request(m, key_type, subject, subject_alt_names);
        if (r >= 0)
                r = sd_bus_call(bus, m, GENERATE_USEC + DTLSD_CALL_USEC, error, &reply);
        if (r >= 0)
                r = sd_bus_message_read(reply, "s", &csr);
        if (r >= 0) {
                copy = strdup(csr);
                if (copy)
                        *ret_csr = copy;
                r = copy ? 0 : -ENOMEM;
        }

        (void)sd_bus_message_unref(m);
        (void)sd_bus_message_unref(reply);
        return r;
}

int dtlsd_install_certificate(sd_bus *bus, const char *name,
                              const char *const *certificate_chain_files, sd_bus_error *error) {
        sd_bus_message *m = NULL;
        int r;

        r = dtlsd_manager_call_new(bus, "InstallCertificate", &m);
        if (r >= 0)
                r = sd_bus_message_append(m, "s", name);
        if (r >= 0)
                r = dtlsd_files_append(m, certificate_chain_files, error);
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
