/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Shell: our programs as a person at the shell has them, in a scene: what they print where, and
 * with which status they end.
 */

#include "interop/scene.h"
#include "program.h"

#define OPTIONS_CERTIFICATE "--certificate \"$F/server.crt\" --key \"$F/server.key\""

/* At the start of main(): those of the folder that this variable names are in PATH. */
void shell_init(const char *variable);
/* From here on the bus is the scene's, and "$F/ca.crt" in a line a file of it. */
void shell_enter(const Scene *scene);
void shell_set_up(Scene *scene, const void *unused); /* the scene, and enters it */

Program *start(const char *format, ...) G_GNUC_PRINTF(1, 2);
/* Runs the line to its end, without input: with what is in its output ("": nothing is) and in its
 * standard error. */
void expect(const char *line, int status, const char *output, const char *errors);
/* Whatever it was given and told: a terminal is let at nothing but text. */
void expect_plain(const char *text);
/* A `dtlsctl listen` at 127.0.0.1 with these options, and its port. */
Program *start_listener(const char *options, char **ret_port);
