/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * verifier: the interface ClientVerifier. The vtable at the end is the summary.
 */

#include "base/terms.h"
#include "bus/private.h"

/* ---- methods ---- */

static int verifier_answer(sd_bus_message *m, bool verified, GBytes *hello_verify_request) {
        g_autoptr(sd_bus_message) reply = NULL;
        int r;

        r = sd_bus_message_new_method_return(m, &reply);
        if (r >= 0)
                r = sd_bus_message_append(reply, "b", (int)verified);
        if (r >= 0)
                r = append_bytes(reply, hello_verify_request);
        return r < 0 ? r : sd_bus_message_send(reply);
}

static int method_verify_client(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Verifier *verifier = userdata;
        g_autoptr(GBytes) reply = NULL;
        const void *datagram;
        const char *text;
        Address peer;
        Reason reason;
        uint16_t port;
        size_t size;
        bool verified, is_address;
        int r;

        r = bus_may_call(m, verifier_facts(verifier).spec, error);
        if (r < 0)
                return r;

        r = sd_bus_message_read_array(m, 'y', &datagram, &size);
        if (r >= 0)
                r = sd_bus_message_read(m, "sq", &text, &port);
        if (r < 0)
                return bus_refuse(error, r, NULL);

        /* what is no address is for relay to refuse: the object shall keep the error */
        is_address = address_parse(text, port, &peer) == 0;
        r = verifier_verify(verifier, is_address ? &peer : NULL, datagram, size, &verified, &reply,
                            &reason);
        return r ? bus_refuse(error, r, &reason) : verifier_answer(m, verified, reply);
}

static int method_set_cookie_generator_parameters(sd_bus_message *m, void *userdata,
                                                  sd_bus_error *error) {
        Verifier *verifier = userdata;
        CookieParameters parameters;
        Reason reason;
        int r;

        r = bus_may_call(m, verifier_facts(verifier).spec, error);
        if (r < 0)
                return r;

        r = cookie_parameters_read(m, &parameters, error);
        if (r < 0)
                return r;

        r = verifier_set_cookie_parameters(verifier, &parameters, &reason);
        return r ? bus_refuse(error, r, &reason) : sd_bus_reply_method_return(m, NULL);
}

static int method_get_cookie_generator_parameters(sd_bus_message *m, void *userdata,
                                                  sd_bus_error *error) {
        int r;

        r = bus_may_call(m, verifier_facts(userdata).spec, error);
        return r < 0 ? r : cookie_parameters_reply(m, verifier_cookie_parameters(userdata));
}

static int method_close(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        int r;

        r = bus_may_call(m, verifier_facts(userdata).spec, error);
        if (r < 0)
                return r;

        verifier_close(userdata);
        return sd_bus_reply_method_return(m, NULL);
}

/* ---- facts ---- */

static int get_verified_hello(sd_bus *b, const char *path, const char *interface,
                              const char *property, sd_bus_message *reply, void *userdata,
                              sd_bus_error *error) {
        return append_bytes(reply, verifier_facts(userdata).hello);
}

static int get_error(sd_bus *b, const char *path, const char *interface, const char *property,
                     sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        VerifierFacts facts = verifier_facts(userdata);

        return append_error(reply, facts.error, facts.error_text);
}

static int get_owner(sd_bus *b, const char *path, const char *interface, const char *property,
                     sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        return append_owner(reply, verifier_facts(userdata).spec);
}

/* ---- the interface ---- */

/* clang-format off */
const sd_bus_vtable verifier_vtable[] = {
        SD_BUS_VTABLE_START(0),

        SD_BUS_METHOD_WITH_ARGS("VerifyClient",
                                SD_BUS_ARGS("ay", datagram, "s", address, "q", port),
                                SD_BUS_RESULT("b", verified, "ay", reply), method_verify_client,
                                OPEN),
        SD_BUS_METHOD_WITH_ARGS("SetCookieGeneratorParameters",
                                SD_BUS_ARGS("s", hash, "ay", secret), SD_BUS_NO_RESULT,
                                method_set_cookie_generator_parameters, SECRET),
        SD_BUS_METHOD_WITH_ARGS("GetCookieGeneratorParameters", SD_BUS_NO_ARGS,
                                SD_BUS_RESULT("s", hash, "ay", secret),
                                method_get_cookie_generator_parameters, SECRET),
        SD_BUS_METHOD_WITH_ARGS("Close", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, method_close, OPEN),

        SD_BUS_PROPERTY("VerifiedHello", "ay", get_verified_hello, 0, EXPLICIT),
        SD_BUS_PROPERTY("Error", "(ss)", get_error, 0, CHANGES),
        SD_BUS_PROPERTY("Owner", "(us)", get_owner, 0, CONST),

        SD_BUS_VTABLE_END,
};
/* clang-format on */
