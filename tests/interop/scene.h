/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Scene: the service, one user's bus connection, and a directory with certificates that everybody
 * in an interoperation test can read: ca.crt, server.crt/.key (ECDSA), rsa.*, ed25519.*, client.*.
 */

#include "dtlsd-client.h"
#include "peer.h"
#include "system/service.h"

#define KEY_TEXT "0123456789abcdef"
#define KEY_HEX "30313233343536373839616263646566"
#define OTHER_KEY_TEXT "not the same key"
#define OTHER_KEY_HEX "6e6f74207468652073616d65206b6579"

typedef struct Scene {
        Service *service;
        sd_bus *bus;
        char *directory;
} Scene;

void scene_set_up(Scene *scene, const void *unused);
void scene_tear_down(Scene *scene, const void *unused);
/* A path in the directory; lives as long as the scene's process. */
const char *scene_file(const Scene *scene, const char *name);

/* A listener on @address with an accept queue. */
dtlsd_listener *scene_listen(const Scene *scene, const char *address,
                             const struct dtlsd_options *options);
/* Waits, with a limit, for the next completed connection. */
dtlsd_connection *scene_accept(dtlsd_listener *listener);
/* No completed connection waits. */
void scene_accepts_nobody(const Scene *scene, dtlsd_listener *listener);
/* Waits for a datagram, with a limit, and compares it. */
void expect_datagram(const dtlsd_connection *connection, const char *text);
void send_datagram(const dtlsd_connection *connection, const char *text);
/* Waits until the channel says that the connection is over. */
void expect_over(const dtlsd_connection *connection);
/* Connects; the test fails with the service's reason. */
dtlsd_connection *scene_connect(const Scene *scene, const char *address, const char *port,
                                const struct dtlsd_options *options);
/* Connects to 127.0.0.1, where that must fail: the error's name behind the prefix, and its text;
 * to be freed. */
char *scene_refused(const Scene *scene, const char *port, const struct dtlsd_options *options);
/* The same as "alice" with another key than KEY_TEXT. Flights go out fast, so that the peer hears
 * enough of them until its own timer makes it say something. @deadline: ms; 0: the default. */
char *scene_refused_key(const Scene *scene, const char *port, uint32_t deadline);
