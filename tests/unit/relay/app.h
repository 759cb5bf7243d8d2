/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * App: an application with a shared channel, by the table of interfaces/README.md. Its listener and
 * its clients are on it; what it reads is looked at frame by frame.
 */

#include "channel/shared-channel.h"
#include "world.h"

typedef struct App {
        World world;
        int fd;
        uint32_t id;
        Listener *listener; /* on it */
        GQueue *frames;     /* read and not looked at yet: "7 data hello" */
        size_t n_packets;   /* read */
        GByteArray *packet; /* not sent yet */
        GHashTable *opened; /* by number: the fields of opened, GBytes */
} App;

/* A listener with Channel at 127.0.0.1, for clients with a PSK. */
void app_setup(App *app, gconstpointer unused);
void app_setup_limits(App *app, const QuotaLimits *limits);
void app_teardown(App *app, gconstpointer unused);

Spec *app_client_spec(App *app); /* with Channel */
/* A client without Channel, and the listener's end, which is on it. Both complete; nothing is read.
 */
void app_pair(App *app, Connection **ret_client, Connection **ret_server);

/* Takes what is there off the channel. */
void app_read(App *app);
/* The next frame, waited for: "7 data hello", "7 opened", "7 closed PeerClosed", "7 changed",
 * "7 dropped 3 TooLong". */
char *app_next(App *app);
#define app_expects(app, ...)                                                                      \
        do {                                                                                       \
                g_autofree char *expected_ = g_strdup_printf(__VA_ARGS__);                         \
                g_autofree char *next_ = app_next(app);                                            \
                g_assert_cmpstr(next_, ==, expected_);                                             \
        } while (0)
/* A field of what was said when that number opened, which was read; NULL: it had none. */
GBytes *app_opened_field(App *app, uint32_t number, uint16_t type);

void app_add(App *app, uint32_t number, uint16_t kind, const void *data, size_t size);
void app_flush(App *app); /* the packet, waiting for room */
void app_says(App *app, uint32_t number, const char *text);
void app_closes_fd(App *app);
