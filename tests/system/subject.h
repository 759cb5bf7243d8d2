/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Subject: a connection that is brought to a state of its handshake, and to a situation there, as
 * the tables of states in interfaces/README.md name them, so that a test can call its methods.
 *
 * Knows: the way to every state, of every role. Does not know: what comes of a call there.
 */

#include "stage.h"

#define NOT_STARTED "HandshakeNotStarted"
#define IN_PROGRESS "HandshakeInProgress"
#define FAILED "PeerVerificationFailed"
#define COMPLETE "HandshakeComplete"

typedef struct Role {
        const char *name; /* "client", "listener's", "server" */
        bool external;    /* Transport: then the test carries every datagram */
} Role;

typedef struct World {
        Service *service;
        sd_bus *bus;
        Ear *ear;
        TestIdentity *authority, *server, *stranger;
        sd_bus_slot *carrying;
        struct {
                const char *path; /* borrowed; NULL: nothing is carried */
                bool complete;
        } carried[2]; /* each other's peers */
} World;

typedef struct Subject {
        World *world;
        const Role *role;
        const char *situation;
        char *path;
        char *other; /* the other end's connection; NULL: nobody is there, or nobody who matters */
        char *listener; /* NULL: none */
        int silent_fd;  /* a peer that never answers */
        int channel_fd;
        int carrier_fd, other_carrier_fd;
        GBytes *datagram; /* to be given to it; NULL: any */
        bool has_end;     /* it is over, and Error says why */
} Subject;

void world_set_up(World *world);
void world_tear_down(World *world);

/* @situation: "" as usual. @role and @situation are borrowed. */
void subject_init(Subject *subject, World *world, const Role *role, const char *state,
                  const char *situation);
/* What is still there of it goes. */
void subject_done(Subject *subject);
