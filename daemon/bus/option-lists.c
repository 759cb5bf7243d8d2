/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * option-lists: options that are lists of names or of errors.
 */

#include "base/fault.h"
#include "bus/option-readers.h"

/* ---- errors to ignore ---- */

int read_ignored(sd_bus_message *m, const DictKey *key, void *userdata, sd_bus_error *error) {
        Options *options = userdata;
        GArray *ignored;
        int r;

        r = ignored_read(m, &ignored, error);
        if (r < 0)
                return r;

        g_array_unref(options->spec->ignored);
        options->spec->ignored = ignored;
        return 1;
}

int read_ignored_codes(sd_bus_message *m, const DictKey *key, void *userdata, sd_bus_error *error) {
        g_autoptr(GArray) codes = g_array_new(FALSE, FALSE, sizeof(VerdictCode));
        Options *options = userdata;
        VerdictCode code;
        int r;

        r = sd_bus_message_enter_container(m, 'a', "s");
        if (r < 0)
                return bus_refuse(error, r, NULL);

        for (;;) {
                r = sd_bus_message_at_end(m, /* complete= */ false);
                if (r < 0)
                        return bus_refuse(error, r, NULL);
                if (r > 0)
                        break;
                if (codes->len >= IGNORED_MAX)
                        return bus_refuse_text(error, BUS_E_INVALID_PARAMETERS,
                                               "Option '%s' has more than %d elements", key->name,
                                               IGNORED_MAX);

                r = verdict_code_read(m, &code, error);
                if (r < 0)
                        return r;

                g_array_append_val(codes, code);
        }

        r = sd_bus_message_exit_container(m);
        if (r < 0)
                return bus_refuse(error, r, NULL);

        g_array_unref(options->spec->ignored_codes);
        options->spec->ignored_codes = g_steal_pointer(&codes);
        return 1;
}

/* ---- what we speak ---- */

/* The length of the first name that cannot be one; SIZE_MAX: there is none. */
static size_t options_find_bad_protocol(const GPtrArray *protocols) {
        for (guint i = 0; i < protocols->len; i++) {
                size_t size = g_bytes_get_size(g_ptr_array_index(protocols, i));

                if (size == 0 || size > SESSION_NEXT_PROTOCOL_MAX)
                        return size;
        }

        return SIZE_MAX;
}

/* QSsl::SslOption's names. Those but the first four ask for what this service never does anyway. */
static const char *const options_ssl[] = {
        SPEC_NO_SERVER_NAME,
        SPEC_NO_SERVER_PREFERENCE,
        SPEC_NO_PERSISTENCE,
        SPEC_NO_TICKETS,
        "DisableCompression",
        "DisableEmptyFragments",
        "DisableLegacyRenegotiation",
        "DisableSessionSharing",
        NULL,
};

static const char *ssl_option_from_name(const char *name) {
        for (size_t i = 0; options_ssl[i]; i++)
                if (g_str_equal(options_ssl[i], name))
                        return options_ssl[i];

        return NULL;
}

static int options_refuse_name(sd_bus_error *error, const DictKey *key, const char *word) {
        g_autofree char *quoted = text_quote(word);

        return bus_refuse_text(error, BUS_E_INVALID_PARAMETERS,
                               "Option '%s': there is no '%s' here", key->name, quoted);
}

/* An "as" of known names, each once. */
static int options_read_names(sd_bus_message *m, const DictKey *key,
                              const char *(*from_name)(const char *name), GPtrArray **ret,
                              sd_bus_error *error) {
        g_autoptr(GPtrArray) words = g_ptr_array_new();
        g_autoptr(GPtrArray) names = g_ptr_array_new();
        int r;

        r = texts_read(m, key, words, error);
        if (r < 0)
                return r;

        for (guint i = 0; i < words->len; i++) {
                const char *name = from_name(words->pdata[i]);

                if (!name)
                        return options_refuse_name(error, key, words->pdata[i]);
                if (!g_ptr_array_find(names, name, NULL))
                        g_ptr_array_add(names, (void *)name);
        }

        g_clear_pointer(ret, g_ptr_array_unref);
        *ret = g_steal_pointer(&names);
        return 1;
}

/* Of what an empty list says nothing about: *ret is NULL then. */
static int options_read_choice(sd_bus_message *m, const DictKey *key,
                               const char *(*from_name)(const char *name), GPtrArray **ret,
                               sd_bus_error *error) {
        int r;

        r = options_read_names(m, key, from_name, ret, error);
        if (r > 0 && (*ret)->len == 0)
                g_clear_pointer(ret, g_ptr_array_unref);
        return r;
}

int read_ciphers(sd_bus_message *m, const DictKey *key, void *userdata, sd_bus_error *error) {
        Options *options = userdata;
        int r;

        r = options_read_choice(m, key, session_cipher_from_name, &options->spec->ciphers, error);
        options->has_ciphers = r > 0 && options->spec->ciphers; /* an empty list says none */
        return r;
}

int read_curves(sd_bus_message *m, const DictKey *key, void *userdata, sd_bus_error *error) {
        Options *options = userdata;

        return options_read_choice(m, key, session_curve_from_name, &options->spec->curves, error);
}

int read_ssl_options(sd_bus_message *m, const DictKey *key, void *userdata, sd_bus_error *error) {
        Options *options = userdata;

        return options_read_names(m, key, ssl_option_from_name, &options->spec->ssl_options, error);
}

int read_next_protocols(sd_bus_message *m, const DictKey *key, void *userdata,
                        sd_bus_error *error) {
        Options *options = userdata;
        g_autoptr(GPtrArray) protocols = NULL;
        size_t bad;
        int r;

        r = certificates_read(m, key, &protocols, error);
        if (r < 0)
                return r;

        bad = options_find_bad_protocol(protocols);
        if (bad != SIZE_MAX)
                return bus_refuse_text(error, BUS_E_INVALID_PARAMETERS,
                                       "Option '%s' has a name of %zu bytes; each has to have 1 to "
                                       "%d",
                                       key->name, bad, SESSION_NEXT_PROTOCOL_MAX);

        g_clear_pointer(&options->spec->next_protocols, g_ptr_array_unref);
        if (protocols->len > 0)
                options->spec->next_protocols = g_steal_pointer(&protocols);
        return 1;
}
