/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Calls of io.github.dtlsd.Dtlsd1.ClientVerifier. */

#include "private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct dtlsd_verifier {
        unsigned n_refs;
        sd_bus *bus;
        char *path;
};

static int verifier_new(sd_bus *bus, sd_bus_message *reply, dtlsd_verifier **ret) {
        dtlsd_verifier *verifier;
        const char *path;
        int r;

        r = sd_bus_message_read(reply, "o", &path);
        if (r < 0)
                return r;

        verifier = calloc(1, sizeof *verifier);
        if (!verifier)
                return -ENOMEM;

        verifier->n_refs = 1;
        verifier->bus = sd_bus_ref(bus);
        verifier->path = strdup(path);
        if (!verifier->path) {
                (void)dtlsd_verifier_unref(verifier);
                return -ENOMEM;
        }

        *ret = verifier;
        return 0;
}

int dtlsd_verifier_create(sd_bus *bus, const struct dtlsd_cookie_parameters *parameters,
                          dtlsd_verifier **ret, sd_bus_error *error) {
        sd_bus_message *m = NULL, *reply = NULL;
        struct dtlsd_options options = {0};
        int r;

        if (parameters && parameters->secret_size > sizeof parameters->secret)
                return -EINVAL;

        if (parameters) {
                options.cookie_hash = parameters->hash;
                options.cookie_secret = parameters->secret;
                options.cookie_secret_size = parameters->secret_size;
        }
        r = sd_bus_message_new_method_call(bus, &m, DTLSD_NAME, DTLSD_ROOT, DTLSD_MANAGER,
                                           "CreateClientVerifier");
        if (r >= 0)
                r = dtlsd_options_append(m, &options, OPTIONS_FOR_VERIFIER, NULL, 0, error);
        if (r >= 0)
                r = sd_bus_call(bus, m, DTLSD_CALL_USEC, error, &reply);
        if (r >= 0)
                r = verifier_new(bus, reply, ret);

        (void)sd_bus_message_unref(m);
        (void)sd_bus_message_unref(reply);
        return r < 0 ? r : 0;
}

dtlsd_verifier *dtlsd_verifier_ref(dtlsd_verifier *verifier) {
        verifier->n_refs++;
        return verifier;
}

dtlsd_verifier *dtlsd_verifier_unref(dtlsd_verifier *verifier) {
        if (!verifier || --verifier->n_refs > 0)
                return NULL;

        (void)sd_bus_unref(verifier->bus);
        free(verifier->path);
        free(verifier);
        return NULL;
}

static int verdict_answered(sd_bus_message *reply, struct dtlsd_client_verdict *ret) {
        const void *data;
        size_t size;
        int verified, r;

        r = sd_bus_message_read(reply, "b", &verified);
        if (r >= 0)
                r = sd_bus_message_read_array(reply, 'y', &data, &size);
        if (r < 0)
                return r;
        if (size > sizeof ret->reply)
                return -EBADMSG;

        ret->verified = verified;
        ret->reply_size = size;
        memcpy(ret->reply, data, size);
        return 0;
}

int dtlsd_verifier_verify_client(dtlsd_verifier *verifier, const void *datagram, size_t size,
                                 const char *address, uint16_t port,
                                 struct dtlsd_client_verdict *ret, sd_bus_error *error) {
        sd_bus_message *m = NULL, *reply = NULL;
        int r;

        r = sd_bus_message_new_method_call(verifier->bus, &m, DTLSD_NAME, verifier->path,
                                           DTLSD_VERIFIER, "VerifyClient");
        if (r >= 0)
                r = sd_bus_message_append_array(m, 'y', datagram, size);
        if (r >= 0)
                r = sd_bus_message_append(m, "sq", address, port);
        if (r >= 0)
                r = sd_bus_call(verifier->bus, m, DTLSD_CALL_USEC, error, &reply);
        if (r >= 0)
                r = verdict_answered(reply, ret);

        (void)sd_bus_message_unref(m);
        (void)sd_bus_message_unref(reply);
        return r < 0 ? r : 0;
}

int dtlsd_verifier_verified_hello(dtlsd_verifier *verifier, void **ret, size_t *ret_size,
                                  sd_bus_error *error) {
        sd_bus_message *reply = NULL;
        int r;

        r = sd_bus_get_property(verifier->bus, DTLSD_NAME, verifier->path, DTLSD_VERIFIER,
                                "VerifiedHello", error, &reply, "ay");
        if (r >= 0)
                r = dtlsd_bytes_copy(reply, ret, ret_size);

        (void)sd_bus_message_unref(reply);
        return r < 0 ? r : 0;
}

int dtlsd_verifier_last_error(dtlsd_verifier *verifier, sd_bus_error *ret, sd_bus_error *error) {
        return dtlsd_last_error(verifier->bus, verifier->path, DTLSD_VERIFIER, ret, error);
}

int dtlsd_verifier_set_cookie_parameters(dtlsd_verifier *verifier,
                                         const struct dtlsd_cookie_parameters *parameters,
                                         sd_bus_error *error) {
        return dtlsd_cookie_parameters_set(verifier->bus, verifier->path, DTLSD_VERIFIER,
                                           parameters, error);
}

int dtlsd_verifier_cookie_parameters(dtlsd_verifier *verifier, struct dtlsd_cookie_parameters *ret,
                                     sd_bus_error *error) {
        return dtlsd_cookie_parameters_get(verifier->bus, verifier->path, DTLSD_VERIFIER, ret,
                                           error);
}

int dtlsd_verifier_close(dtlsd_verifier *verifier, sd_bus_error *error) {
        int r;

        r = sd_bus_call_method(verifier->bus, DTLSD_NAME, verifier->path, DTLSD_VERIFIER, "Close",
                               error, NULL, NULL);
        return r < 0 ? r : 0;
}
