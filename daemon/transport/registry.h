/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Registry: who has which local address and port. Every socket is dtlsd's to the kernel, so the
 * kernel cannot keep users apart; this table does: wildcard and specific of one port overlap.
 */

#include "base/address.h"

#include <glib.h>
#include <sys/types.h>

typedef struct Registry Registry;
typedef struct Claim Claim;

typedef enum RegistryOutcome {
        REGISTRY_E_TAKEN = 1,
} RegistryOutcome;

Registry *registry_new(void);
Registry *registry_free(Registry *registry); /* every claim must have been released */

/* @local: port not 0. @ret_holder: on REGISTRY_E_TAKEN the uid in the way. */
int registry_claim(Registry *registry, const Address *local, uid_t uid, Claim **ret,
                   uid_t *ret_holder);
Claim *claim_release(Claim *claim);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Registry, registry_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Claim, claim_release)
