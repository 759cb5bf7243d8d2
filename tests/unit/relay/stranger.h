/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Stranger: a DTLS client on a plain socket, without a Relay, for what a well-behaved client would
 * not do: vanish without a word, start anew from the same port, send the same datagram twice.
 */

#include "session/session.h"
#include "world.h"

typedef struct Stranger {
        World *world;
        int fd;
        Session *session;
        SessionConfig *config;
        DatagramBatch *net, *app;
        GString *heard;     /* plaintext, each with a space behind it */
        GBytes *last_hello; /* the last ClientHello that had a cookie */
        const char *psk;    /* NULL: does not answer its session's question */
        bool deaf;          /* what comes is thrown away */
        bool apart;         /* every record in a datagram of its own */
} Stranger;

Stranger *stranger_new(World *world, const Listener *listener, const char *psk);
Stranger *stranger_free(Stranger *stranger);
/* A fresh session from the same port; whatever there was is forgotten. Sends the first hello. */
void stranger_start(Stranger *stranger);
/* Takes what has come, answers. */
void stranger_step(Stranger *stranger);
/* Its session's question, with its PSK if it has one. */
void stranger_answer(Stranger *stranger);
bool stranger_is_open(const Stranger *stranger);
void stranger_say(Stranger *stranger, const char *text);
void stranger_resend_hello(Stranger *stranger);

#define stranger_wait(stranger, condition)                                                         \
        for (uint64_t stranger_limit_ = world_limit((stranger)->world); !(condition);) {           \
                stranger_step(stranger);                                                           \
                world_turn_quickly((stranger)->world, stranger_limit_);                            \
        }

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Stranger, stranger_free)
