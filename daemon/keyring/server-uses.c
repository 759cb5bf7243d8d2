/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Uses of keys come on a socket of their own, which a method opens: a packet has many questions, of
 * different users, and each is answered as soon as its answer is there. What the loop itself can
 * answer goes out in few packets; what a thread signs in one of its own.
 */

#include "base/cleanup.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/terms.h"
#include "base/use.h"
#include "keyring/server-private.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* In one packet: while it fills, half a millisecond of ECDSA signatures, who asked first waits. */
#define ANSWERS_MAX 8

typedef struct UseJob { /* for a thread */
        Server *server;
        uint64_t ticket;
        VaultKey *key;
} UseJob;

/* ---- answers ---- */

static void answers_drop(Server *server) {
        UsePacket *packet;

        while ((packet = g_queue_pop_head(&server->full)))
                use_packet_free(packet);
        use_drop(server->answers);
}

/* In the order they were put. */
static int answers_try(Server *server) {
        UsePacket *packet;
        int r;

        while ((packet = g_queue_peek_head(&server->full))) {
                r = use_send(packet, server->uses_fd, MSG_DONTWAIT);
                if (r < 0)
                        return r;
                use_packet_free(g_queue_pop_head(&server->full));
        }

        return use_send(server->answers, server->uses_fd, MSG_DONTWAIT);
}

static void uses_stall(Server *server, bool is_stalled) {
        if (server->is_stalled == is_stalled)
                return;

        server->is_stalled = is_stalled;
        (void)sd_event_source_set_io_events(server->uses_source, is_stalled ? EPOLLOUT : EPOLLIN);
}

/* What dtlsd does not take now is kept, and until it does no more is read of it: then only the
 * signatures that threads make still come, and of those only so many wait. */
static void answers_send(Server *server) {
        int r;

        r = server->uses_fd < 0 ? -ENOTCONN : answers_try(server);
        if (r < 0 && r != -EAGAIN) {
                log_debug("answers to uses of keys were lost: %s", g_strerror(-r));
                answers_drop(server);
        }
        uses_stall(server, r == -EAGAIN);
}

static void answers_put(Server *server, uint64_t ticket, const sd_bus_error *error,
                        const void *data, size_t size) {
        const char *name = error && error->name ? error->name : SERVER_ERROR_FAILED;
        const char *word = error ? name + strlen(DTLSD_ERROR_PREFIX) : "";
        const void *bytes = error ? error->message : data;
        const Use use = {
                .ticket = ticket,
                .size = (uint32_t)(error ? strlen(error->message) : size),
        };

        if (!use_put(server->answers, &use, word, bytes)) {
                g_queue_push_tail(&server->full, server->answers);
                server->answers = use_packet_new();
                if (!use_put(server->answers, &use, word, bytes))
                        g_assert_not_reached(); /* longer than any */
        }
        if (server->is_stalled) /* on_uses() hears of room */
                return;
        if (use_count(server->answers) >= ANSWERS_MAX || !server->is_reading_uses)
                answers_send(server);
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

/* ---- the socket ---- */

static void use_one(Server *server, const Use *use, const void *input) {
        const ServerSubject subject = {.id = use->key, .uid = use->uid};
        sd_bus_error error = SD_BUS_ERROR_NULL;
        SignerRequest request = {
                .algorithm = use->word,
                .is_hash = use->is_hash,
                .input = input,
                .size = use->size,
        };
        int r;

        r = *use->word ? use_sign(server, use->ticket, subject, &request, &error)
                       : use_fetch(server, use->ticket, subject, &error);
        if (r < 0)
                answers_put(server, use->ticket, &error, NULL, 0);
        sd_bus_error_free(&error);
}

/* Those of the packet that is there, as far as their answers are taken. */
static void uses_answer(Server *server) {
        void *input;
        Use use;

        server->is_reading_uses = true;
        while (!server->is_stalled && use_next(server->asked, &use, &input))
                use_one(server, &use, input);
        server->is_reading_uses = false;

        if (!server->is_stalled) {
                if (use_has_more(server->asked))
                        log_debug("what was asked of keys cannot be read");
                use_drop(server->asked);
                answers_send(server);
        }
}

void server_run_uses(Server *server) {
        while (server->uses_fd >= 0 && !server->is_stalled &&
               use_receive(server->asked, server->uses_fd) == 0)
                uses_answer(server);
}

/* What is over is told by the bus too, with which the keyring ends. */
static int on_uses(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        Server *server = userdata;

        if (server->is_stalled) {
                answers_send(server);
                uses_answer(server); /* what was left of its packet */
                return 0;
        }

        if (use_receive(server->asked, fd) == 0)
                uses_answer(server);
        else if (events & (EPOLLHUP | EPOLLERR))
                (void)sd_event_source_set_enabled(source, SD_EVENT_OFF);
        return 0;
}

static int uses_listen(Server *server) {
        return sd_event_add_io(server->event, &server->uses_source, server->uses_fd, EPOLLIN,
                               on_uses, server);
}

int method_open_uses(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Server *server = userdata;
        const int size = USE_PACKET_MAX;
        g_autofd int theirs = -1;
        int pair[2], r;

        server_close_uses(server);
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
                return fault(-errno);

        server->uses_fd = pair[0];
        theirs = pair[1];
        for (int i = 0; i < 2; i++) /* the longest packet, whatever the default is */
                (void)setsockopt(pair[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
        r = uses_listen(server);
        return r < 0 ? fault(r) : sd_bus_reply_method_return(m, "h", theirs);
}

void server_close_uses(Server *server) {
        server->uses_source = sd_event_source_disable_unref(server->uses_source);
        autofd_close(&server->uses_fd);
        server->uses_fd = -1;
        server->is_stalled = false;
        use_drop(server->asked);
        answers_drop(server);
}
