/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What bus's own files see of each other. No other room includes this.
 *
 * A handler has four verbs: read, ask, do, answer. Steps that have to wait for somebody (the
 * caller's credentials, polkit, the keyring taking a secret) park the message, and when the answer
 * is there the same handler runs again from the top; so nothing before "do" may have an effect, and
 * each such step returns: 1 go on, 0 parked (the handler returns 1 at once), negative refused
 * (error is set).
 */

#include "bus/bus.h"

#include <stdbool.h>

#define REPLY_BYTES_MAX                                                                            \
        ((size_t)16 * 1024 * 1024) /* dbus-daemon ends a service that sends 32 MiB */
#define BUS_PATH_MAX 96

typedef struct Callers Callers;
typedef struct Asks Asks;
typedef struct Intake Intake;
typedef struct News News;
typedef struct Defaults Defaults;

struct Bus {
        sd_bus *bus;
        sd_event *event;
        Relay *relay;
        Keys *keys;
        Quota *quota;
        Callers *callers;
        Asks *asks;
        Intake *intake;
        News *news;
        GHashTable *pending; /* calls answered later: Connect, ReadDatagram (bus/pending.c) */
        BusLost lost;
        void *lost_userdata;
};

/* ---- caller.c: who calls ---- */

typedef struct Caller {
        char *name; /* unique */
        uid_t uid;
        gid_t *gids;
        size_t n_gids;
} Caller;

int callers_new(Bus *bus, Callers **ret); /* adds the filter that parks, and NameOwnerChanged */
Callers *callers_free(Callers *callers);
/* The caller of the message that is being handled. Past the filter it is always known; NULL only
 * for a message that has no sender. */
const Caller *caller_of(Bus *bus, sd_bus_message *m);
/* The caller of the message sd-bus handles right now (find functions, enumerators, getters). */
const Caller *caller_current(Bus *bus);
/* A name that is on the bus and whose credentials are known, or NULL. */
const Caller *caller_by_name(Bus *bus, const char *name);

/* ---- ask.c: whether it may be ---- */

bool bus_may_see(Bus *bus, const Caller *caller, const Spec *spec);
/* The owning name, or the uid of a persistent object; otherwise NotAuthorized or UnknownObject. */
int bus_may_control(Bus *bus, const Caller *caller, const Spec *spec, sd_bus_error *error);
int asks_new(Bus *bus, Asks **ret);
Asks *asks_free(Asks *asks);
/* @about may be NULL. 1, 0 parked, negative. */
int bus_ask(Bus *bus, sd_bus_message *m, AccessVerb verb, const Address *about,
            sd_bus_error *error);

/* ---- intake.c: secrets that come with a call go to the keyring before the call runs ---- */

typedef enum IntakeKind {
        INTAKE_PRIVATE_KEY,
        INTAKE_PSK,
} IntakeKind;

int intake_new(Bus *bus, Intake **ret);
Intake *intake_free(Intake *intake);
/* @fd: as read from m. Refuses what is not a sealed memfd, without a read. 1 with *ret a reference,
 * 0 parked, negative. */
int bus_intake(Bus *bus, sd_bus_message *m, IntakeKind kind, int fd, Key **ret,
               sd_bus_error *error);

/* ---- news.c: signals, each to those who may see the object, once a turn ---- */

int news_new(Bus *bus, News **ret); /* becomes relay's observer */
News *news_free(News *news);
void news_watch(Bus *bus, const Caller *caller, bool all); /* Subscribe, GetManagedObjects */
void news_unwatch(Bus *bus, const char *name);

/* ---- pending.c: calls whose answer comes with a later event ---- */

void pending_connect(Bus *bus, sd_bus_message *m, uint32_t id); /* Manager.Connect */
int pending_read(Bus *bus, sd_bus_message *m, uint32_t id, uint64_t timeout_usec);
/* Called by news.c as relay tells it; answer at the end of the turn. */
void pending_connection_event(Bus *bus, uint32_t id);
void pending_caller_gone(Bus *bus, const char *name);
int pending_new(Bus *bus);
void pending_free(Bus *bus);

/* ---- refuse.c: outcomes to errors, in one place ---- */

/* @r: an outcome of relay (positive), or a fault (negative: Failed, without detail). Always
 * negative. */
int bus_refuse(sd_bus_error *error, int r, const Reason *reason);
/* @name: after DTLSD_ERROR_PREFIX. Always negative. */
int bus_refuse_text(sd_bus_error *error, const char *name, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

/* ---- options.c: a{sv} to Spec and back ---- */

typedef enum OptionsFor {
        OPTIONS_FOR_CREATE,
        OPTIONS_FOR_CONNECT,
        OPTIONS_FOR_LISTEN,
        OPTIONS_FOR_SET_CONFIGURATION, /* of a connection */
        OPTIONS_FOR_SET_LISTENER_CONFIGURATION,
} OptionsFor;

/* Reads the a{sv} that comes next in m over the defaults in @spec. 1, 0 parked, negative. */
int options_read(Bus *bus, sd_bus_message *m, OptionsFor what, Spec *spec, sd_bus_error *error);
/* Appends an a{sv}: options as in effect; keys and CAs as fingerprints, no secret. */
int options_append(sd_bus_message *reply, const Spec *spec);

/* ---- connection.c, listener.c, manager.c: one file an interface; the vtable is last in each ----
 */

extern const sd_bus_vtable manager_vtable[];
extern const sd_bus_vtable connection_vtable[];
extern const sd_bus_vtable listener_vtable[];

/* sd_bus_object_find_t: *found is the Connection or Listener, 0 when the caller may not see it or
 * it is not there, which look the same. Getters and methods get the object as userdata and the Bus
 * from bus_of(). */
int connection_find(sd_bus *b, const char *path, const char *interface, void *userdata,
                    void **found, sd_bus_error *error);
int listener_find(sd_bus *b, const char *path, const char *interface, void *userdata, void **found,
                  sd_bus_error *error);
const char *connection_path(uint32_t id, char buffer[static BUS_PATH_MAX]);
const char *listener_path(uint32_t id, char buffer[static BUS_PATH_MAX]);

/* The Bus an sd_bus belongs to (handlers get the object as userdata). */
Bus *bus_of(sd_bus *connection);
