/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the files that tell news see of each other: news.c has the watchers and tells of what relay
 * owns, identity-news.c of the store's identities.
 */

#include "bus/private.h"

#define NEWS_NOTES_MAX 16384 /* of each kind; from there on they are lost, and counted */

typedef struct Watcher {
        char *name;
        bool is_subscriber; /* not only a caller of GetManagedObjects */
        bool all;           /* objects of others too */
} Watcher;

/* Whether the bus has fallen behind. Then what there is to tell waits here, where it is bounded. */
bool news_must_wait(const Bus *bus);

typedef struct IdentityNews IdentityNews;

/* @watchers: of Watcher, borrowed. */
IdentityNews *identity_news_new(Bus *bus, GHashTable *watchers);
IdentityNews *identity_news_free(IdentityNews *news);
/* Takes notes. @name NULL: any may have changed. */
void identity_news_changed(IdentityNews *news, const char *name);
void identity_news_ends_soon(IdentityNews *news, const char *name, uint64_t not_after_usec,
                             uint32_t days);
bool identity_news_has_any(const IdentityNews *news);
void identity_news_send(IdentityNews *news); /* until the bus falls behind */
