/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Authority: the real polkitd on the bus of a Service, which knows the shipped actions and the
 * rules of the test and nothing of what is installed on this machine.
 *
 * What it reads is at fixed paths, so it gets a mount namespace of its own, for which root is
 * needed.
 */

#include "service.h"

typedef struct Authority Authority;

/* Whether it can be had here; a test that needs it calls this first and returns when false (it
 * marks itself skipped). */
bool authority_is_here(void);
/* @owner: the user whose actions they are, as the annotation names it; NULL: whom the daemon runs
 * as. @rules: JavaScript. */
Authority *authority_start(Service *service, const char *owner, const char *rules);
/* Ends it by SIGKILL, whatever it is doing. */
Authority *authority_kill(Authority *authority);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Authority, authority_kill)
