/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Identities of the store, as tests import, renew and use them: by alice's listeners, to which bob
 * connects.
 */

#include "world.h"

#define IDENTITY NAME ".Identity"

/* With a CA and two leaves of it, an ECDSA key's and an RSA key's. False: as world_of_users(). */
bool world_of_identities(World *world);
/* Lets alice use all that are called gate*. */
void let_alice_use(const World *world);

/* ImportIdentity, with the certificate and no option yet. */
sd_bus_message *import_begin(sd_bus *bus, const char *name, const TestIdentity *identity);
void import_add_key(sd_bus_message *m, GBytes *key);
void import(sd_bus *bus, const char *name, const TestIdentity *identity);
void import_refused(sd_bus *bus, const char *name, const TestIdentity *identity, GBytes *key,
                    const char *error, const char *expected);
void install(sd_bus *bus, const char *name, GBytes *certificate);
void install_refused(sd_bus *bus, const char *name, GBytes *certificate, const char *what);

/* Listen at 127.0.0.1, to be called. */
sd_bus_message *listen_with(sd_bus *bus, const char *identity);
/* A client of bob's that trusts the CA and has said hello; its path. */
char *begin_to(const World *world, uint16_t port);
/* The same, complete. */
char *open_to(const World *world, uint16_t port);
/* Whether the leaf that the peer of @path showed is @identity's. */
bool peer_is(sd_bus *bus, const char *path, const TestIdentity *identity);
