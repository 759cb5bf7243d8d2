/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Brake: so many lines of the log in a time, for one who can cause as many as it likes, so that the
 * lines about others are not lost among them. The next line says how many were left out.
 *
 * Knows: the log. Does not know: the clock.
 */

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct Brake {
        uint64_t since_usec;
        unsigned n_lines;
        uint64_t n_suppressed;
} Brake;

/* Whether a line would be left out, and then it is counted so: for who would have to put it
 * together first. */
bool brake_leaves_out(Brake *brake, uint64_t now_usec, int level);
/* As log_write(), or left out. */
void brake_write(Brake *brake, uint64_t now_usec, int level, const char *message_id,
                 const char *const *fields, const char *text);

/* One for each user: one user's lines leave out none of another's. Those after the first 4096 have
 * one together. */
GHashTable *brakes_new(void);
Brake *brakes_of(GHashTable *brakes, uid_t uid);
