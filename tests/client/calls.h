/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Calls: what several tests ask of the library, and see that it is so. */

#include "interop/scene.h"

dtlsd_connection *create_connection(const Scene *scene, const char *address, uint16_t port,
                                    const struct dtlsd_options *options);
enum dtlsd_handshake_state state_of(dtlsd_connection *connection);
/* Waits, with a limit, for this HandshakeState. */
void wait_state(const Scene *scene, const dtlsd_connection *connection, const char *state);

/* Of a call that ended with @r; frees @error. */
void expect_refused(int r, sd_bus_error *error, const char *name);
/* NULL: there is none. */
void expect_last_error(dtlsd_connection *connection, const char *name);
/* Of an object's Configuration: each a key and its value as message_flatten() has it;
 * NULL-terminated. */
void expect_configuration(const Scene *scene, const char *path, const char *interface,
                          const char *const *expected);
