/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The parameters of cookies, for whatever has them. */

#include "private.h"

#include <errno.h>
#include <string.h>

static int parameters_answered(sd_bus_message *reply, struct dtlsd_cookie_parameters *ret) {
        const char *hash;
        const void *secret;
        size_t size;
        int r;

        r = sd_bus_message_sensitive(reply);
        if (r >= 0)
                r = sd_bus_message_read(reply, "s", &hash);
        if (r >= 0)
                r = sd_bus_message_read_array(reply, 'y', &secret, &size);
        if (r < 0)
                return r;
        if (strlen(hash) >= sizeof ret->hash || size > sizeof ret->secret)
                return -EBADMSG;

        memcpy(ret->hash, hash, strlen(hash) + 1);
        memcpy(ret->secret, secret, size);
        ret->secret_size = size;
        return 0;
}

int dtlsd_cookie_parameters_get(sd_bus *bus, const char *path, const char *interface,
                                struct dtlsd_cookie_parameters *ret, sd_bus_error *error) {
        sd_bus_message *reply = NULL;
        int r;

        r = sd_bus_call_method(bus, DTLSD_NAME, path, interface, "GetCookieGeneratorParameters",
                               error, &reply, NULL);
        if (r >= 0)
                r = parameters_answered(reply, ret);

        (void)sd_bus_message_unref(reply);
        return r < 0 ? r : 0;
}

int dtlsd_cookie_parameters_set(sd_bus *bus, const char *path, const char *interface,
                                const struct dtlsd_cookie_parameters *parameters,
                                sd_bus_error *error) {
        sd_bus_message *m = NULL;
        int r;

        if (parameters->secret_size > sizeof parameters->secret)
                return -EINVAL;

        r = sd_bus_message_new_method_call(bus, &m, DTLSD_NAME, path, interface,
                                           "SetCookieGeneratorParameters");
        if (r >= 0)
                r = sd_bus_message_sensitive(m);
        if (r >= 0)
                r = sd_bus_message_append(m, "s", parameters->hash);
        if (r >= 0)
                r = sd_bus_message_append_array(m, 'y', parameters->secret,
                                                parameters->secret_size);
        return dtlsd_call(m, r, error);
}
