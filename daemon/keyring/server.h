/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Server: the keyring's only door. One socket, on whose other end is dtlsd; both speak D-Bus, with
 * no bus between (interfaces/io.github.dtlsd.Dtlsd1.Keyring.xml).
 *
 * sd-bus authenticates nobody on such a socket, so the kernel is asked who made the other end.
 * That the uid named in a call is who it is for is dtlsd's word.
 *
 * Knows: vault, signer, D-Bus. Does not know: why somebody wants a signature.
 */

#include "keyring/store.h"

#include <sys/types.h>
#include <systemd/sd-event.h>

typedef struct Server Server;

typedef enum ServerOutcome {
        SERVER_E_STRANGER = 1, /* the other end is not who may speak here */
} ServerOutcome;

typedef void (*ServerClosed)(void *userdata);

/* 0: the other end of @fd, a UNIX socket, belongs to @uid. */
int server_check_peer(int fd, uid_t uid);

/* Takes @fd, whatever it returns. @store: borrowed; NULL: nothing is kept. @closed: from the loop,
 * once, when the other end is gone. */
int server_new(sd_event *event, int fd, Store *store, ServerClosed closed, void *userdata,
               Server **ret);
Server *server_free(Server *server);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Server, server_free)
