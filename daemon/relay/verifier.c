/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Verifier: QDtlsClientVerifier: does for datagrams that somebody else carries what a listener does
 * for those of its socket. A stranger is answered from what it sent and forgotten; of one that has
 * proven its address the hello is kept, until the next datagram.
 *
 * Knows: cookies, one hello. Does not know: what the hello is for; sockets.
 */

#include "base/fault.h"
#include "relay/commands.h"

#include <string.h>

struct Verifier {
        Relay *relay;
        uint32_t id;
        Spec *spec;
        CookieJar *jar;
        GBytes *hello; /* the verified one; NULL: none */
        DtlsError error;
        char error_text[256];
        Charges charges;
};

/* ---- what came of a command ---- */

static void verifier_set_error(Verifier *verifier, DtlsError error, const char *text) {
        bool differs = verifier->error != error || strcmp(verifier->error_text, text) != 0;

        verifier->error = error;
        (void)g_strlcpy(verifier->error_text, text, sizeof(verifier->error_text));
        if (differs)
                relay_tell(verifier->relay, verifier_changed, verifier, CHANGED_ERROR);
}

static int verifier_done(Verifier *verifier, int r, const Reason *reason) {
        if (r == 0)
                verifier_set_error(verifier, DTLS_NO_ERROR, "");
        else if (r < 0)
                verifier_set_error(verifier, DTLS_TLS_FATAL_ERROR, COMMAND_FAULT_TEXT);
        else
                verifier_set_error(verifier, command_error((RelayOutcome)r), reason->text);

        return r;
}

/* ---- datagrams ---- */

static int verifier_check(const Address *peer, size_t size, Reason *reason) {
        int r;

        if (size == 0)
                return reason_set(reason, RELAY_E_INVALID_PARAMETERS,
                                  "The datagram is empty; nothing can be read from it");

        r = command_check_peer(peer, reason);
        if (r)
                return r;

        if (size > DATAGRAM_SIZE_MAX)
                return reason_set(reason, RELAY_E_TOO_LONG,
                                  "The datagram has %zu bytes; none has more than %d", size,
                                  DATAGRAM_SIZE_MAX);

        return 0;
}

static void verifier_forget(Verifier *verifier) {
        g_clear_pointer(&verifier->hello, g_bytes_unref);
        charges_drop_all(&verifier->charges, QUOTA_BYTES);
}

static int verifier_keep(Verifier *verifier, const Datagram *in, Reason *reason) {
        int r;

        r = charges_add(&verifier->charges, QUOTA_BYTES, in->size, reason);
        if (r)
                return r;

        verifier->hello = g_bytes_new(in->data, in->size);
        return 0;
}

/* @reply: what is to be sent to the stranger, or NULL. */
static int verifier_try(Verifier *verifier, const Datagram *in, GBytes **reply, Reason *reason) {
        Relay *relay = verifier->relay;
        Datagram answer;
        Hello hello;
        int r;

        verifier_forget(verifier);

        datagram_batch_reset(relay->net);
        r = cookie_check(verifier->jar, relay_now(relay), in, relay->net, &hello);
        if (r < 0)
                return fault(r);
        if (r == 0)
                return verifier_keep(verifier, in, reason);

        if (r != COOKIE_E_ASKED) {
                relay->tally.at[TALLY_DROPPED_STRANGER]++;
                return 0;
        }

        relay->tally.at[TALLY_COOKIES_ASKED]++;
        answer = datagram_batch_at(relay->net, 0);
        *reply = g_bytes_new(answer.data, answer.size);
        datagram_batch_reset(relay->net);
        return 0;
}

int verifier_verify(Verifier *verifier, const Address *peer, const void *data, size_t size,
                    bool *ret_verified, GBytes **ret_reply, Reason *reason) {
        GBytes *reply = NULL;
        int r;

        r = verifier_check(peer, size, reason);
        if (r == 0) {
                /* no local address: whoever carries datagrams need not have any */
                Datagram in = {.data = data, .size = size, .peer = *peer};

                r = verifier_try(verifier, &in, &reply, reason);
        }
        if (r == 0) {
                *ret_verified = verifier->hello;
                *ret_reply = reply;
        }

        return verifier_done(verifier, r, reason);
}

/* ---- parameters and facts ---- */

int verifier_set_cookie_parameters(Verifier *verifier, const CookieParameters *parameters,
                                   Reason *reason) {
        int r;

        r = cookies_set(verifier->spec, &verifier->jar, parameters, reason);
        return verifier_done(verifier, r, reason);
}

CookieParameters verifier_cookie_parameters(const Verifier *verifier) {
        return cookies_parameters(verifier->jar);
}

VerifierFacts verifier_facts(const Verifier *verifier) {
        return (VerifierFacts){
                .id = verifier->id,
                .spec = verifier->spec,
                .hello = verifier->hello,
                .error = verifier->error,
                .error_text = verifier->error_text,
        };
}

/* ---- birth and death ---- */

int relay_create_verifier(Relay *relay, Spec *spec, Verifier **ret, Reason *reason) {
        g_autoptr(Verifier) verifier = g_new0(Verifier, 1);
        int r;

        verifier->relay = relay;
        verifier->spec = spec;
        charges_init(&verifier->charges, relay->quota, spec->uid);

        r = charges_add(&verifier->charges, QUOTA_VERIFIERS, 1, reason);
        if (r)
                return r;

        r = cookies_make_jar(spec, &verifier->jar, reason);
        if (r)
                return r;

        verifier->id = relay_add_verifier(relay, verifier);
        relay_tell(relay, verifier_added, verifier);
        *ret = g_steal_pointer(&verifier);
        return 0;
}

Verifier *verifier_free(Verifier *verifier) {
        if (!verifier)
                return NULL;

        g_clear_pointer(&verifier->hello, g_bytes_unref);
        cookie_jar_free(verifier->jar);
        charges_done(&verifier->charges);
        spec_free(verifier->spec);
        g_free(verifier);
        return NULL;
}

static void verifier_release(void *corpse) {
        verifier_free(corpse);
}

void verifier_close(Verifier *verifier) {
        Relay *relay = verifier->relay;

        relay_drop_verifier(relay, verifier);
        relay_tell(relay, verifier_removed, verifier->id, verifier->spec->uid);
        relay_bury(relay, verifier, verifier_release);
}
