/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Launcher: sees to it that Keys has a keyring. Starts dtlsd-keyring on a socket pair, or connects
 * to the socket of one that runs as a service, and does so again whenever it is lost: at once the
 * first time, then after 1 s, 2 s and so on up to 30 s, so that a keyring that cannot live does not
 * take the machine.
 */

#include "keys/keys.h"

typedef struct Launcher Launcher;
typedef void (*LauncherLost)(void *userdata);

typedef struct LauncherSpec {
        const char *program;     /* path of dtlsd-keyring */
        const char *socket_path; /* instead: of the keyring's socket; NULL: start the program */
        const char *store;       /* of the program: where it keeps what it keeps; NULL: nowhere */
        const char *const *modules; /* PKCS#11, that the program may load; NULL: none */
        LauncherLost lost;          /* from the loop: what was held in it is gone */
        void *userdata;
} LauncherSpec;

/* The first attempt is made in here. SIGCHLD must be blocked. */
int launcher_new(sd_event *event, Keys *keys, const LauncherSpec *spec, Launcher **ret);
/* After keys_free(), which closed the keyring's socket: waits for it to end, and ends it else. */
Launcher *launcher_free(Launcher *launcher);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Launcher, launcher_free)
