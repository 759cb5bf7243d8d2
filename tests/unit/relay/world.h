/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * World: a Relay with everything below it, for tests of relay/: real loopback sockets, real
 * sessions, and on demand a real keyring on a socket pair, all in one loop. What the observer hears
 * is kept. Tearing it down asserts that every quota is back at zero.
 */

#include "keyring/server.h"
#include "lib/certificates.h"
#include "relay/relay.h"

#define WORLD_LIMIT_USEC (60 * UINT64_C(1000000)) /* how long a test waits for anything */
#define WORLD_UID 1000
#define WORLD_OTHER_UID 1001
#define WORLD_OWNER ":1.7"
#define WORLD_OTHER_OWNER ":1.8"

typedef struct World {
        sd_event *event;
        Keys *keys;
        Quota *quota;
        Relay *relay;
        Server *keyring;
        Store *store; /* the keyring's, when a test has one */
        char *store_path;
        bool keyring_lost;
        bool is_done; /* what world_on_done() was given to */

        /* answers every PskRequired in world_turn(); NULL key: nobody answers */
        GBytes *psk_identity;
        Secret *psk_key;

        /* what the observer heard */
        GString *states; /* "3:HandshakeInProgress:NoError " … */
        GString *closed; /* "3:Shutdown " … */
        unsigned n_added, n_removed, n_announced, n_timeouts, n_datagrams, n_psk_required;
        unsigned n_listeners_added, n_listeners_removed, n_backlog_changes;
        unsigned n_verifiers_added, n_verifier_changes, n_verifiers_removed;
        unsigned changed;       /* every bit that was ever in a mask */
        uint32_t last_accepted; /* listener_connection's */
} World;

void world_setup(World *world, gconstpointer unused);
void world_teardown(World *world, gconstpointer unused);
/* The same with other limits. */
void world_setup_limits(World *world, const QuotaLimits *limits);

/* One turn of the loop, and PSKs are provided. Ends the test after @limit_usec. */
void world_turn(World *world, uint64_t limit_usec);
/* The same without waiting for more than a moment: something else has to be looked at too. */
void world_turn_quickly(World *world, uint64_t limit_usec);
uint64_t world_limit(World *world);
#define world_wait(world, condition)                                                               \
        for (uint64_t limit_usec_ = world_limit(world); !(condition);)                             \
        world_turn(world, limit_usec_)
/* Turns for that long: what must not happen has time to. */
void world_spend(World *world, uint64_t usec);

/* A keyring that is started later keeps what has a name in a folder of the test's own. */
void world_open_store(World *world);
void world_start_keyring(World *world);
void world_kill_keyring(World *world);
/* A KeysDone of a change that must work, and @userdata a World. */
void world_on_done(int outcome, const char *text, void *userdata);
void world_wait_done(World *world);
Key *world_import_key(World *world, uid_t uid, const TestIdentity *identity);
Key *world_import_psk(World *world, uid_t uid, const char *psk);

void world_use_psk(World *world, const char *identity, const char *key);
Spec *world_client_spec(void); /* non-persistent, WORLD_OWNER's, short deadlines */
Spec *world_listener_spec(const char *address, uint16_t port);
Listener *world_listen(World *world, Spec *spec);
/* At @address with the listener's port, handshake begun. */
Connection *world_start(World *world, Spec *spec, const Listener *listener, const char *address);
/* A listener at 127.0.0.1, PSK on both ends, both ends complete. */
void world_pair(World *world, Connection **ret_client, Connection **ret_server);
void world_wait_state(World *world, const Connection *connection, HandshakeState state);
/* The listener's end whose peer is that client. NULL: there is none. */
Connection *world_other_end(World *world, const Connection *client);
bool world_has(World *world, uint32_t id);
uint64_t world_counter(Counters counters, const char *name);
void world_send(Connection *connection, const char *text);
/* The next datagram in the queue, waited for, as text. */
char *world_read(World *world, Connection *connection);
/* A channel of its own, which there must be; to be closed. */
int world_open_channel(Connection *connection);
/* From a channel: waited for; NULL: HUP. */
char *world_recv(World *world, int fd);
int world_udp(const char *address, uint16_t port); /* a plain connected socket */
