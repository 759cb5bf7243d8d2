/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Seat: a Bus with a cardboard relay on one end of a socket pair, and on the other end this test,
 * which is everybody else at once: the bus driver, polkit, and every caller. So it decides when the
 * driver answers and sees each message that leaves the service, with its destination.
 */

#include "bus/bus.h"
#include "fake-relay.h"

#define NAME "io.github.dtlsd.Dtlsd1"
#define ROOT "/io/github/dtlsd/Dtlsd1"
#define CONNECTION NAME ".Connection"
#define MANAGER NAME ".Manager"
#define ERROR_PREFIX NAME ".Error."

/* nothing here takes that long unless it broke, sanitized and beside all other tests */
#define SEAT_LIMIT_USEC (60 * UINT64_C(1000000))

typedef struct Seat {
        sd_event *event;
        sd_bus *ours, *theirs;
        Relay *relay;
        Keys *keys;
        Quota *quota;
        Access *access;
        Bus *bus;
        int keyring_fd; /* nobody answers there until a test does; -1: not connected */
        bool is_lost;

        GHashTable *users;    /* names the driver knows, to uid */
        bool withholds;       /* the driver does not answer for now */
        GPtrArray *questions; /* of the driver, withheld */
        GPtrArray *polkit;    /* CheckAuthorization messages, unanswered */
        bool has_polkit;
        unsigned n_credentials; /* questions the driver was asked, ever */
        unsigned n_cancelled;
        GPtrArray *signals; /* messages */
        unsigned n_answers;
} Seat;

typedef struct Call {
        Seat *seat;
        sd_bus_message *reply; /* NULL: none yet; an error too */
        unsigned order;        /* of answers, from 1 */
        uint64_t cookie;       /* what it was sent with */
} Call;

/* As policy/ ships them. */
Access *shipped_rules(void);
Seat *seat_new(void);
Seat *seat_free(Seat *seat);

/* A name is on the bus, as this user. */
void seat_enter(Seat *seat, const char *name, uid_t uid);
/* The same, and it has called once: it is known whose it is. */
void seat_meet(Seat *seat, const char *name, uid_t uid);
/* It leaves, and the driver says so. */
void seat_leave(Seat *seat, const char *name);
/* The driver answers all that it withheld. */
void seat_release(Seat *seat);
void seat_polkit_answers(Seat *seat, bool is_authorized, bool is_challenge);

/* The bus takes nothing off the service's socket, until it does again. */
void seat_stop_reading(Seat *seat);
void seat_read_again(Seat *seat);

/* Runs the loop until nothing is left to do. */
void seat_run(Seat *seat);
/* Runs it until @done, for at most @limit_usec; returns the time it took. */
uint64_t seat_run_until(Seat *seat, bool (*done)(void *userdata), void *userdata,
                        uint64_t limit_usec);

sd_bus_message *seat_message(Seat *seat, const char *sender, const char *path,
                             const char *interface, const char *member);
/* Takes @m. */
Call *seat_send(Seat *seat, sd_bus_message *m);
Call *seat_call(Seat *seat, const char *sender, const char *path, const char *interface,
                const char *member, const char *types, ...);
void call_free(Call *call);
/* Its name; NULL: no error. Waits for the answer: after a call that took long a user rests. */
const char *call_error(const Call *call);

/* How many signals of this member this name was sent (NULL: any), and the last of them. */
unsigned seat_heard(const Seat *seat, const char *name, const char *member);
sd_bus_message *seat_last(const Seat *seat, const char *name, const char *member);
void seat_forget(Seat *seat);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Seat, seat_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Call, call_free)
