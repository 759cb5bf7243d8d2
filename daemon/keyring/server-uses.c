/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The method that uses keys: it has many questions, of different users, and each is answered as
 * soon as its answer is there. What the loop itself can answer goes out in few signals; what a
 * thread signs in one of its own.
 */

#include "base/fault.h"
#include "base/log.h"
#include "base/terms.h"
#include "keyring/server-private.h"

#define USE_TYPE "ttusbay"
#define ANSWER_TYPE "tssay"
/* In one signal: while it fills, half a millisecond of ECDSA signatures, who asked first waits. */
#define ANSWERS_MAX 8

typedef struct UseJob { /* for a thread */
        Server *server;
        uint64_t ticket;
        VaultKey *key;
} UseJob;

/* ---- answers ---- */

static int answers_send(Server *server) {
        g_autoptr(sd_bus_message) m = g_steal_pointer(&server->answers);
        int r;

        server->n_answers = 0;
        r = sd_bus_message_close_container(m);
        return r < 0 ? r : sd_bus_message_send(m);
}

static int answers_open(Server *server) {
        int r;

        r = sd_bus_message_new_signal(server->bus, &server->answers, DTLSD_ROOT_PATH,
                                      DTLSD_INTERFACE_KEYRING, "Used");
        if (r >= 0)
                r = sd_bus_message_sensitive(server->answers); /* wiped when it is sent */
        if (r >= 0)
                r = sd_bus_message_open_container(server->answers, 'a', "(" ANSWER_TYPE ")");
        return r;
}

static int answers_append(Server *server, uint64_t ticket, const sd_bus_error *error,
                          const void *data, size_t size) {
        sd_bus_message *m = server->answers;
        int r;

        r = sd_bus_message_open_container(m, 'r', ANSWER_TYPE);
        if (r >= 0)
                r = sd_bus_message_append(m, "tss", ticket, error ? error->name : "",
                                          error ? error->message : "");
        if (r >= 0)
                r = sd_bus_message_append_array(m, 'y', data, size);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static void answers_put(Server *server, uint64_t ticket, const sd_bus_error *error,
                        const void *data, size_t size) {
        int r = 0;

        if (!server->answers)
                r = answers_open(server);
        if (r >= 0)
                r = answers_append(server, ticket, error, data, size);
        if (r >= 0 && (++server->n_answers == ANSWERS_MAX || !server->is_reading_uses))
                r = answers_send(server);
        if (r < 0) { /* the other end is gone, or reads nothing: then nobody waits for it */
                log_debug("an answer was not taken: %s", g_strerror(-r));
                server->answers = sd_bus_message_unref(server->answers);
        }
}

/* ---- signatures ---- */

static void on_signed(int outcome, const void *signature, size_t size, void *userdata) {
        g_autofree UseJob *job = userdata;
        const sd_bus_error error = SD_BUS_ERROR_MAKE_CONST(
                SERVER_ERROR_FAILED, outcome == SIGNER_E_ABSENT
                                             ? "the token with the key cannot be used; is it there?"
                                             : "the key could not make the signature");

        answers_put(job->server, job->ticket, outcome ? &error : NULL, signature, size);
        server_note_token(job->key, outcome);
        vault_key_unref(job->key);
}

static int use_sign(Server *server, uint64_t ticket, ServerSubject subject, SignerRequest *request,
                    sd_bus_error *ret_error) {
        const char *refusal;
        UseJob *job;
        int r;

        r = vault_use_private_key(server->vault, subject.id, subject.uid, server_now(server),
                                  &request->key);
        if (r)
                return server_refuse_vault(server, subject, r, NULL, ret_error);

        request->uid = subject.uid;
        refusal = signer_refusal(request);
        if (refusal)
                return server_refuse(server, subject, SERVER_ERROR_NOT_AUTHORIZED, refusal,
                                     ret_error);

        job = g_new(UseJob, 1);
        *job = (UseJob){server, ticket, vault_key_ref(request->key)};
        r = signer_sign(server->signer, request, on_signed, job);
        if (r) {
                vault_key_unref(job->key);
                g_free(job);
                return server_refuse(server, subject, SERVER_ERROR_QUOTA_EXCEEDED,
                                     "too many signatures of this user wait", ret_error);
        }

        uses_note(server->uses, request->key, subject.uid, "signs");
        return 0;
}

/* ---- PSKs ---- */

static int use_fetch(Server *server, uint64_t ticket, ServerSubject subject,
                     sd_bus_error *ret_error) {
        VaultKey *key;
        int r;

        r = vault_use_psk(server->vault, subject.id, subject.uid, &key);
        if (r)
                return server_refuse_vault(server, subject, r, NULL, ret_error);

        uses_note(server->uses, key, subject.uid, "is fetched");
        answers_put(server, ticket, NULL, secret_peek(vault_key_psk(key)),
                    secret_size(vault_key_psk(key)));
        return 0;
}

/* ---- the method ---- */

/* 1: one was read; 0: there are no more. */
static int uses_read_one(Server *server, sd_bus_message *m) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        ServerSubject subject = {0};
        SignerRequest request = {0};
        const void *input;
        uint64_t ticket;
        int is_hash, r;
        uint32_t uid;

        r = sd_bus_message_enter_container(m, 'r', USE_TYPE);
        if (r <= 0)
                return r;

        r = sd_bus_message_read(m, "ttusb", &ticket, &subject.id, &uid, &request.algorithm,
                                &is_hash);
        if (r >= 0)
                r = sd_bus_message_read_array(m, 'y', &input, &request.size);
        if (r >= 0)
                r = sd_bus_message_exit_container(m);
        if (r < 0)
                return r;

        subject.uid = uid;
        request.is_hash = is_hash;
        request.input = input;
        r = *request.algorithm ? use_sign(server, ticket, subject, &request, &error)
                               : use_fetch(server, ticket, subject, &error);
        if (r < 0)
                answers_put(server, ticket, &error, NULL, 0);
        sd_bus_error_free(&error);
        return 1;
}

int method_use(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Server *server = userdata;
        int r;

        r = sd_bus_message_enter_container(m, 'a', "(" USE_TYPE ")");
        if (r < 0)
                return r;

        server->is_reading_uses = true;
        while (r > 0)
                r = uses_read_one(server, m);
        server->is_reading_uses = false;

        if (server->answers && answers_send(server) < 0)
                log_debug("answers were not taken");
        return r < 0 ? r : 1; /* nobody waits for a reply */
}
