/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Program: one of ours at the shell, with its standard streams apart and its exit status.
 */

#include <glib.h>

typedef struct Program Program;

/* Runs a line of sh that "exec"s the program, so that signals reach it. */
Program *program_start(const char *line);
void program_say(Program *program, const char *text);
/* The end of its standard input. */
void program_end_input(Program *program);
void program_signal(Program *program, int signal);
/* Waits, with a limit, until its standard error matches @regex (multi-line); the first group, or
 * the whole match; to be freed. */
char *program_wait_for(Program *program, const char *regex);
/* The same of its standard output. */
char *program_wait_for_output(Program *program, const char *regex);
/* Waits, with a limit, until it ends; its exit status, 128 and the number if a signal ended it. */
int program_wait(Program *program);
const char *program_output(const Program *program);
const char *program_errors(const Program *program);
/* Kills it if it still runs. */
Program *program_free(Program *program);

/* The master of a new pseudo-terminal; -1 where there is none to be had: the test is skipped then,
 * and returns. */
int terminal_open(void);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Program, program_free)
