/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Party: three users of two groups on one service, and an open connection of the first one's that
 * she may share with the others.
 */

#include "stage.h"

#define UNKNOWN "org.freedesktop.DBus.Error.UnknownObject"
#define UID_CAROL ((uid_t)3) /* sys */
#define BOB "uid:5"
#define GROUP_ONE "gid:20" /* dialout: carol's */
#define GROUP_TWO "gid:44" /* video: bob's and carol's */

typedef struct Party {
        Service *service;
        sd_bus *alice, *bob, *carol;
        int queue, far; /* the peer's accept queue, and its channel */
        char *path;     /* alice's connection */
} Party;

/* False: there cannot be several users here, and the test is skipped. */
bool party_new(Party *party);
void party_done(Party *party);

/* By alice; @other: one more right, or NULL. */
void party_share(const Party *party, const char *subject, const char *one, const char *other);
void party_unshare(const Party *party, const char *subject);
/* @method of the connection, without arguments. */
void party_assert_refused(const Party *party, sd_bus *bus, const char *error, const char *method);
/* What alice sees in Attached, and until this is no more in it. */
char *party_attached(const Party *party);
void party_wait_detached(const Party *party, const char *what);

void assert_comes(int fd, const char *text);
/* After what is left to be read. */
void assert_hangs_up(int fd);
