/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* killer: ends a process of its own between any two of its system calls. */

#include <stdbool.h>

/* Leaves by _exit(1) when it cannot. Its calls are counted from killer_ready() on. */
typedef void (*KillerDeed)(const void *userdata);

/* Kills a process that does @deed at its @n-th stop, of two for each call. False: it was done
 * before. */
bool killer_kills(KillerDeed deed, const void *userdata, unsigned n);
void killer_ready(void);
