/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Peer: somebody else's program, with its standard input and all it prints in the test's hands.
 */

#include <glib.h>

typedef struct Peer Peer;

/* @argv ends with NULL; the program is found in PATH. */
Peer *peer_start(const char *const *argv);
/* Ends it if it still runs. */
Peer *peer_stop(Peer *peer);
/* The same without a chance to say goodbye to anybody. */
Peer *peer_kill(Peer *peer);

void peer_say(Peer *peer, const char *text);
/* Waits, with a limit, until what it has printed matches @regex (multi-line); the first group, or
 * the whole match. Fails the test with all that was printed. To be freed. */
char *peer_wait_for(Peer *peer, const char *regex);
/* The next line that it prints, without its end; waits with a limit. To be freed. */
char *peer_read_line(Peer *peer);
