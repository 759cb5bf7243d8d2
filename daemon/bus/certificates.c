/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * certificates: certificates in messages, and errors tied to certificates.
 */

#include "base/fault.h"
#include "bus/private.h"

/* In one list, with the words that stand beside PEM: what decoding costs is bounded by it. Twice
 * the bundle that a system trusts. */
#define CERTIFICATE_BYTES_MAX ((size_t)512 * 1024)

static int certificates_read_blob(sd_bus_message *m, GPtrArray *blobs, size_t *room) {
        const void *data;
        size_t size;
        int r;

        r = sd_bus_message_read_array(m, 'y', &data, &size);
        if (r <= 0)
                return r;
        if (size > *room)
                return -E2BIG;

        *room -= size;
        g_ptr_array_add(blobs, g_bytes_new(data, size));
        return 1;
}

int certificates_read(sd_bus_message *m, const DictKey *key, GPtrArray **ret, sd_bus_error *error) {
        g_autoptr(GPtrArray) blobs = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
        size_t room = CERTIFICATE_BYTES_MAX;
        int r;

        r = sd_bus_message_enter_container(m, 'a', "ay");
        if (r < 0)
                return bus_refuse(error, r, NULL);

        do
                r = certificates_read_blob(m, blobs, &room);
        while (r > 0 && blobs->len <= key->maximum);
        if (r == -E2BIG)
                return bus_refuse_text(error, BUS_E_INVALID_PARAMETERS,
                                       "Option '%s' has more than %zu bytes", key->name,
                                       CERTIFICATE_BYTES_MAX);
        if (r < 0)
                return bus_refuse(error, r, NULL);
        if (r > 0)
                return bus_refuse_text(error, BUS_E_INVALID_PARAMETERS,
                                       "Option '%s' has more than %" G_GUINT64_FORMAT " elements",
                                       key->name, key->maximum);

        r = sd_bus_message_exit_container(m);
        if (r < 0)
                return bus_refuse(error, r, NULL);

        *ret = g_steal_pointer(&blobs);
        return 1;
}

uint64_t certificates_size(const GPtrArray *blobs) {
        uint64_t size = 0;

        for (guint i = 0; i < blobs->len; i++)
                size += g_bytes_get_size(blobs->pdata[i]);

        return size;
}

int verdict_code_read(sd_bus_message *m, VerdictCode *ret, sd_bus_error *error) {
        g_autofree char *quoted = NULL;
        const char *name;
        int r;

        r = sd_bus_message_read_basic(m, 's', &name);
        if (r < 0)
                return bus_refuse(error, r, NULL);

        quoted = text_quote(name);
        if (!verdict_code_from_name(name, ret) || *ret == VERDICT_NO_ERROR)
                return bus_refuse_text(error, BUS_E_INVALID_PARAMETERS,
                                       "'%s' is not an error of QSslError, like "
                                       "'SelfSignedCertificate'",
                                       quoted);

        return 1;
}

/* The certificate an error is about, in DER however it came; NULL: none. */
static int ignored_read_certificate(sd_bus_message *m, GBytes **ret, sd_bus_error *error) {
        g_autoptr(GPtrArray) blobs = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
        g_autoptr(Chain) chain = NULL;
        const void *data;
        size_t size;
        int r;

        r = sd_bus_message_read_array(m, 'y', &data, &size);
        if (r < 0)
                return bus_refuse(error, r, NULL);

        *ret = NULL;
        if (size == 0)
                return 1;

        g_ptr_array_add(blobs, g_bytes_new(data, size));
        r = chain_new(blobs, &chain);
        if (r < 0)
                return bus_refuse(error, fault(r), NULL);
        if (r || chain_count(chain) != 1)
                return bus_refuse_text(error, BUS_E_INVALID_PARAMETERS, "%s",
                                       "An error to ignore is about one certificate, in PEM "
                                       "or DER, or about none");

        *ret = g_bytes_ref(chain_der(chain, 0));
        return 1;
}

static int ignored_read_one(sd_bus_message *m, GArray *ignored, sd_bus_error *error) {
        g_autoptr(GBytes) certificate = NULL;
        VerdictCode code = VERDICT_NO_ERROR;
        int r;

        if (ignored->len >= IGNORED_MAX)
                return bus_refuse_text(error, BUS_E_INVALID_PARAMETERS,
                                       "There are more than %d errors to ignore", IGNORED_MAX);

        r = verdict_code_read(m, &code, error);
        if (r < 0)
                return r;

        r = ignored_read_certificate(m, &certificate, error);
        if (r < 0)
                return r;

        verdict_errors_add(ignored, code, certificate);
        return 1;
}

int ignored_read(sd_bus_message *m, GArray **ret, sd_bus_error *error) {
        g_autoptr(GArray) ignored = verdict_errors_new();
        int r;

        r = sd_bus_message_enter_container(m, 'a', "(say)");
        if (r < 0)
                return bus_refuse(error, r, NULL);

        for (;;) {
                r = sd_bus_message_enter_container(m, 'r', "say");
                if (r < 0)
                        return bus_refuse(error, r, NULL);
                if (r == 0)
                        break;

                r = ignored_read_one(m, ignored, error);
                if (r < 0)
                        return r;

                r = sd_bus_message_exit_container(m);
                if (r < 0)
                        return bus_refuse(error, r, NULL);
        }

        r = sd_bus_message_exit_container(m);
        if (r < 0)
                return bus_refuse(error, r, NULL);

        *ret = g_steal_pointer(&ignored);
        return 1;
}
