/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * World: root and two users on a service, for tests of what is kept for them.
 */

#include "interop/peer.h"
#include "stage.h"

typedef struct World {
        Service *service;
        sd_bus *root, *alice, *bob;
        char *directory; /* for files of the test's */
        /* what a test has made of them, and NULL */
        TestIdentity *ca, *other, *server, *first, *second;
} World;

/* False: there cannot be several users here, and the test is skipped. */
bool world_of_users(World *world);
/* The same with a CA, another, and a server's certificate of the first, in the directory too. */
bool world_of_trust(World *world);
void world_free(World *world);
/* A test in a world that @make has made, for which it is skipped where there can be none. */
void world_test(const char *path, bool (*make)(World *world), void (*test)(World *world));
/* Kills both processes, with everything that is only in their memory, and starts them again. */
void world_restart(const World *world);

/* OpenSSL's, with that certificate. */
Peer *world_start_server(const World *world, uint16_t *ret_port);
/* A client who trusts the CA. @ticket: or NULL. */
sd_bus_message *world_client_begin(const World *world, sd_bus *bus, uint16_t port, GBytes *ticket);
/* One of Bob's with this certificate. */
char *world_create_certified(const World *world, const TestIdentity *identity, uint16_t port,
                             GBytes *ticket);

/* ---- judged anew ---- */

/* Bob comes to alice's listener, which trusts the other CA, and takes his session up. After @take
 * he is in and stays, but comes in no more, by his ticket neither; after @give he does again. His
 * certificate is world->first. */
void world_turn_bob_away(World *world, const char *listener, uint16_t port,
                         void (*take)(const World *world), void (*give)(const World *world));
/* Alice's client, which @create makes, takes a session with Bob up, and after @take no more: the
 * server shows no certificate then, and is judged all the same. @ticket: or NULL. */
void world_turn_ticket_down(const World *world,
                            char *(*create)(const World *world, uint16_t port, GBytes *ticket),
                            void (*take)(const World *world));

/* ---- connections, by their paths ---- */

void shake(sd_bus *bus, const char *path, const char *state);
void shut(sd_bus *bus, const char *path);
void give_up(sd_bus *bus, const char *path);
GBytes *get_ticket(sd_bus *bus, const char *path);
bool is_resumed(sd_bus *bus, const char *path);
/* The server has refused it by an alert. */
void wait_turned_away(sd_bus *bus, const char *path);
