/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* couple: the client of the keyring and the keyring's server, both real, over a socket and a store.
 */

#include "host.h"
#include "keyring/server.h"
#include "keys/keys.h"
#include "lib/certificates.h"

#define ALICE 1000
#define BOB 1001

typedef struct Couple {
        char *path;
        sd_event *event;
        Store *store;
        Server *server;
        Keys *keys;
        Host host;
        TestIdentity *first, *second;
        GString *changes; /* names, each with a space behind it; "*": any */

        bool answered;
        int outcome;
        char *text;
} Couple;

Couple *couple_new(void);
void couple_free(Couple *couple);
/* The next server, when the last one was freed; until it has said what it keeps. */
void couple_connect(Couple *couple);

/* Observers and KeysDone, for which @userdata is the couple. */
void couple_changed(const char *name, void *userdata);
void couple_done(int outcome, const char *text, void *userdata);
/* The outcome of what was asked with couple_done(). */
int couple_wait(Couple *couple);
