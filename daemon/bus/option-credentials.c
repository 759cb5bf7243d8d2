/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * option-credentials: options about who one is and who the other has to be: certificates, keys,
 * tickets, cookies. Secrets are only noted here, as fds; options.c hands them to the keyring.
 */

#include "base/entry.h"
#include "base/fault.h"
#include "base/memfd.h"
#include "base/terms.h"
#include "bus/option-readers.h"

#include <string.h>

const char *const cookie_hashes[] = {"Md5", "Sha1", "Sha224", "Sha256", "Sha384", "Sha512", NULL};

/* What a room says of a value: done, a fault, or an outcome with its text. */
static int options_settle(int r, const DictKey *key, const char *text, sd_bus_error *error) {
        if (r < 0)
                return bus_refuse(error, fault(r), NULL);
        if (r)
                return bus_refuse_text(error, BUS_E_INVALID_PARAMETERS, "Option '%s': %s",
                                       key->name, text);

        return 1;
}

/* ---- certificates ---- */

int read_identity(sd_bus_message *m, const DictKey *key, void *userdata, sd_bus_error *error) {
        Options *options = userdata;
        const char *name;
        int r;

        r = options_read_word(m, &name, error);
        if (r < 0)
                return r;

        options->has_identity = true;
        g_free(options->spec->identity);
        options->spec->identity = g_strdup(name);
        return 1;
}

int read_chain(sd_bus_message *m, const DictKey *key, void *userdata, sd_bus_error *error) {
        Options *options = userdata;
        g_autoptr(GPtrArray) blobs = NULL;
        int r;

        r = certificates_read(m, key, &blobs, error);
        if (r < 0)
                return r;

        options->has_chain = true;
        g_clear_pointer(&options->spec->identity, g_free);
        g_clear_pointer(&options->spec->chain, chain_unref);
        r = chain_new(blobs, &options->spec->chain);
        return options_settle(r, key, r > 0 ? chain_outcome_text((ChainOutcome)r) : NULL, error);
}

int read_ca_certificates(sd_bus_message *m, const DictKey *key, void *userdata,
                         sd_bus_error *error) {
        Options *options = userdata;
        g_autoptr(GPtrArray) blobs = NULL;
        int r;

        r = certificates_read(m, key, &blobs, error);
        if (r < 0)
                return r;

        options->has_ca_certificates = true;
        g_clear_pointer(&options->spec->trust, trust_unref);
        r = trust_new(blobs, &options->spec->trust);
        return options_settle(r, key, r > 0 ? trust_outcome_text((TrustOutcome)r) : NULL, error);
}

/* ---- keys and cookies ---- */

static int read_fd(sd_bus_message *m, int *ret, sd_bus_error *error) {
        int r;

        r = sd_bus_message_read_basic(m, 'h', ret);
        return r < 0 ? bus_refuse(error, r, NULL) : 1;
}

int read_private_key(sd_bus_message *m, const DictKey *key, void *userdata, sd_bus_error *error) {
        Options *options = userdata;

        return read_fd(m, &options->private_key_fd, error);
}

int read_psk(sd_bus_message *m, const DictKey *key, void *userdata, sd_bus_error *error) {
        Options *options = userdata;

        return read_fd(m, &options->psk_fd, error);
}

int read_psk_identity(sd_bus_message *m, const DictKey *key, void *userdata, sd_bus_error *error) {
        Options *options = userdata;

        options->has_psk_identity = true;
        return bytes_read(m, key, &options->spec->psk_identity, error);
}

int read_psks(sd_bus_message *m, const DictKey *key, void *userdata, sd_bus_error *error) {
        g_autoptr(GPtrArray) patterns = g_ptr_array_new();
        Options *options = userdata;
        int r;

        r = texts_read(m, key, patterns, error);
        if (r < 0)
                return r;

        for (guint i = 0; i < patterns->len; i++)
                if (!entry_pattern_can_be(patterns->pdata[i]))
                        return dict_refuse(error, key, patterns->pdata[i],
                                           "names in the store, in which '*' stands for any "
                                           "letters and '?' for one");

        options->has_psks = patterns->len > 0; /* an empty list says none */
        g_ptr_array_add(patterns, NULL);
        g_clear_pointer(&options->spec->psks, psk_choice_unref);
        if (options->has_psks)
                options->spec->psks = psk_choice_new((char **)patterns->pdata);
        return 1;
}

int read_psk_hint(sd_bus_message *m, const DictKey *key, void *userdata, sd_bus_error *error) {
        Options *options = userdata;
        g_autoptr(GBytes) hint = NULL;
        const char *data;
        gsize size;
        int r;

        r = bytes_read(m, key, &hint, error);
        if (r < 0)
                return r;

        data = g_bytes_get_data(hint, &size);
        if (size > 0 && memchr(data, 0, size))
                return bus_refuse_text(error, BUS_E_INVALID_PARAMETERS,
                                       "Option '%s' has a NUL byte in it, which cannot be sent",
                                       key->name);

        g_free(options->spec->psk_hint);
        options->spec->psk_hint = g_strndup(size > 0 ? data : "", size);
        return 1;
}

int read_dh_parameters(sd_bus_message *m, const DictKey *key, void *userdata, sd_bus_error *error) {
        Options *options = userdata;
        g_autoptr(GBytes) parameters = NULL;
        int r;

        r = bytes_read(m, key, &parameters, error);
        if (r < 0)
                return r;

        g_clear_pointer(&options->spec->dh_parameters, g_bytes_unref);
        if (g_bytes_get_size(parameters) == 0)
                return 1;

        r = session_dh_read(g_bytes_get_data(parameters, NULL), g_bytes_get_size(parameters),
                            &options->spec->dh_parameters);
        return options_settle(r, key, r > 0 ? session_dh_outcome_text((SessionDhOutcome)r) : NULL,
                              error);
}

int read_session_ticket(sd_bus_message *m, const DictKey *key, void *userdata,
                        sd_bus_error *error) {
        Options *options = userdata;
        GBytes **ticket = &options->spec->ticket;
        int r;

        r = bytes_read(m, key, ticket, error);
        if (r < 0)
                return r;

        options->has_ticket = g_bytes_get_size(*ticket) > 0;
        if (!options->has_ticket)
                g_clear_pointer(ticket, g_bytes_unref);
        return 1;
}

int read_cookie_hash(sd_bus_message *m, const DictKey *key, void *userdata, sd_bus_error *error) {
        Options *options = userdata;
        const char *word;
        int r;

        r = options_read_word(m, &word, error);
        if (r < 0)
                return r;

        if (!g_strv_contains(cookie_hashes, word))
                return dict_refuse(error, key, word, COOKIE_HASHES);

        g_free(options->spec->cookie_hash);
        options->spec->cookie_hash = g_strdup(word);
        return 1;
}

int read_cookie_secret(sd_bus_message *m, const DictKey *key, void *userdata, sd_bus_error *error) {
        Options *options = userdata;
        int fd, r;

        r = read_fd(m, &fd, error);
        if (r < 0)
                return r;

        r = memfd_read(fd, &options->spec->cookie_secret);
        if (r)
                return options_settle(r, key, r > 0 ? memfd_outcome_text((MemfdOutcome)r) : NULL,
                                      error);

        if (secret_size(options->spec->cookie_secret) > COOKIE_SECRET_MAX)
                return bus_refuse_text(error, BUS_E_INVALID_PARAMETERS,
                                       "Option '%s' has %zu bytes; it has to have 1 to %d",
                                       key->name, secret_size(options->spec->cookie_secret),
                                       COOKIE_SECRET_MAX);

        return 1;
}
