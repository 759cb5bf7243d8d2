/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Service: a private bus with the real dtlsd and its real keyring on it, for one test.
 *
 * As root the daemon runs as nobody, and connections can be made as any user with a passwd entry;
 * as somebody else everything runs as that one user, and tests of several users skip.
 */

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>
#include <systemd/sd-bus.h>

/* nothing here takes that long unless it broke, sanitized and beside all other tests */
#define SERVICE_LIMIT_USEC (60 * UINT64_C(1000000))
#define CALL_USEC SERVICE_LIMIT_USEC

#define NAME "io.github.dtlsd.Dtlsd1"
#define ROOT "/io/github/dtlsd/Dtlsd1"
#define MANAGER NAME ".Manager"
#define CONNECTION NAME ".Connection"
#define LISTENER NAME ".Listener"
#define VERIFIER NAME ".ClientVerifier"
#define ERROR_PREFIX NAME ".Error."

/* set before the start: the PKCS#11 module that the keyring may load */
#define SERVICE_MODULE_VARIABLE "DTLSD_TEST_PKCS11_MODULE"

typedef struct Service Service;

/* Users that every Debian has; alice is root's stand-in for "a user". */
#define UID_ALICE ((uid_t)1) /* daemon */
#define UID_BOB ((uid_t)5)   /* games */

/* @config: contents of dtlsd.conf, or NULL. The test ends when it cannot be started. */
Service *service_start(const char *config);
/* The same with a daemon that may have only so many file descriptors. */
Service *service_start_limited(const char *config, unsigned n_fds);
/* Ends the daemon by SIGTERM and checks that it ended well: status 0, no sanitizer's complaint. */
void service_stop(Service *service);

/* Starts a daemon again after the test has killed and reaped it. */
void service_restart(Service *service);
/* The same of one that shall not start: it ends by itself. */
void service_restart_refused(Service *service);
/* Removes a directory of a test with everything in it. */
void service_remove_directory(const char *path);

/* Kills the bus; in its place is a socket that accepts and says nothing, as one of systemd's whose
 * bus does not come up. Returns it. */
int service_lose_bus(Service *service);
/* A new bus at the same place; until the daemon has its name there. */
void service_return_bus(Service *service, int fd);

const char *service_directory(const Service *service);
const char *service_address(const Service *service); /* of the bus */
/* Until somebody has this name on the bus. */
void service_wait_name(Service *service, const char *name);
pid_t service_pid(const Service *service);
/* Waits for one where none runs. */
pid_t service_keyring_pid(const Service *service);
/* Rules in front of the shipped ones, in force when it returns; "": none. Root's to do. */
void service_rule(Service *service, const char *rules);
/* What the daemon has logged so far. */
char *service_log(const Service *service);

/* Whether connections as other users can be made here; a test that needs them calls this first and
 * returns when false (it marks itself skipped). */
bool service_has_users(void);
/* A connection to the bus as this user; as one's own when service_has_users() is false. */
sd_bus *service_bus(Service *service, uid_t uid);
/* Closes it: the name leaves the bus. */
sd_bus *bus_leave(sd_bus *bus);

/* A fixture: alice, alone on a service. */
typedef struct Solo {
        Service *service;
        sd_bus *bus;
} Solo;

void solo_set_up(Solo *solo, const void *unused);
void solo_tear_down(Solo *solo, const void *unused);

/* Processes @bus until @done says so; fails the test after SERVICE_LIMIT_USEC, naming @what. */
void bus_wait(sd_bus *bus, bool (*done)(void *userdata), void *userdata, const char *what);

/* A call that must work; the reply. */
sd_bus_message *call(sd_bus *bus, const char *path, const char *interface, const char *member,
                     const char *types, ...);
/* A call that must fail with this error (a name after ERROR_PREFIX, or a whole one with a dot).
 * Returns the message text, to be freed. */
char *call_refused(const char *error_name, sd_bus *bus, const char *path, const char *interface,
                   const char *member, const char *types, ...);
/* A string property. */
char *get_string(sd_bus *bus, const char *path, const char *interface, const char *property);
/* Waits until the string property has this value, reading it again after each event. */
void wait_string(sd_bus *bus, const char *path, const char *interface, const char *property,
                 const char *value);
/* A counter of a property of type a{st}; 0 when it is not in it. */
uint64_t get_counter(sd_bus *bus, const char *path, const char *interface, const char *property,
                     const char *counter);

/* A sealed memfd with these bytes. */
int sealed_memfd(const void *data, size_t size);
