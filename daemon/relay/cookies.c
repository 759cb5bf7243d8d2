/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Cookies: the parameters that cookies are made with (QDtlsClientVerifier::GeneratorParameters), on
 * their way into a jar: from a spec at birth, and from a later command into both.
 *
 * Knows: specs, jars. Does not know: whose they are.
 */

#include "base/fault.h"
#include "relay/private.h"

static int cookies_make(const char *hash, const void *secret, size_t size, CookieJar **ret,
                        Reason *reason) {
        int r;

        r = cookie_jar_new(hash, secret, size, ret);
        if (r < 0)
                return fault(r);
        if (r == COOKIE_E_BAD_SECRET)
                return reason_set(reason, RELAY_E_INVALID_PARAMETERS,
                                  "The cookie secret is empty; it has to have 1 to %d bytes",
                                  COOKIE_SECRET_MAX);
        if (r > 0)
                return reason_set(
                        reason, RELAY_E_INVALID_PARAMETERS,
                        "Cookies cannot be made with this hash; it has to be " COOKIE_HASHES);

        return 0;
}

int cookies_make_jar(const Spec *spec, CookieJar **ret, Reason *reason) {
        const Secret *secret = spec->cookie_secret;

        return cookies_make(spec->cookie_hash, secret ? secret_peek(secret) : NULL,
                            secret ? secret_size(secret) : 0, ret, reason);
}

int cookies_set(Spec *spec, CookieJar **jar, const CookieParameters *parameters, Reason *reason) {
        const void *secret = parameters->secret ? parameters->secret : "";
        CookieJar *made;
        int r;

        if (parameters->size > COOKIE_SECRET_MAX)
                return reason_set(reason, RELAY_E_INVALID_PARAMETERS,
                                  "The cookie secret has %zu bytes; it has to have 1 to %d",
                                  parameters->size, COOKIE_SECRET_MAX);

        r = cookies_make(parameters->hash, secret, parameters->size, &made, reason);
        if (r)
                return r;

        /* into the spec too, from where a later configuration starts */
        g_free(spec->cookie_hash);
        secret_free(spec->cookie_secret);
        spec->cookie_hash = g_strdup(parameters->hash);
        spec->cookie_secret = secret_new(secret, parameters->size);
        cookie_jar_free(*jar);
        *jar = made;
        return 0;
}

CookieParameters cookies_parameters(const CookieJar *jar) {
        CookieParameters parameters = {.hash = cookie_jar_hash(jar)};

        parameters.secret = cookie_jar_secret(jar, &parameters.size);
        return parameters;
}
