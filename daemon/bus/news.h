/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the files that tell news see of each other: news.c has the watchers and takes notes of what
 * relay owns, news-send.c sends them, identity-news.c tells of the store's identities.
 */

#include "bus/private.h"
#include "bus/signals.h"

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

/* ---- what there is to tell of what relay owns ---- */

/* An object that is told about, and whose it is. */
typedef struct Topic {
        SignalObjectKind kind;
        uint32_t id;
        uid_t uid;
        char *owner;    /* NULL: persistent */
        GArray *shares; /* as it was told last */
        bool is_new;
        bool was_told;
        bool is_queued;
        unsigned mask;
} Topic;

typedef enum NoteKind {
        NOTE_STATE,
        NOTE_TIMEOUT,
        NOTE_PSK,
        NOTE_CLOSED,
        NOTE_CONNECTION,
        NOTE_REMOVED,
} NoteKind;

typedef struct Note {
        NoteKind kind;
        Topic *topic;
        HandshakeState state;
        DtlsError error;
        char *text;
        EndReason reason;
        uint32_t connection;
        Address peer;
} Note;

typedef struct Rate {
        uint64_t since_usec;
        unsigned n;
} Rate;

struct News {
        Bus *bus;
        GHashTable *watchers;                      /* by name */
        GHashTable *topics[N_SIGNAL_OBJECT_KINDS]; /* by id */
        GQueue changed;                            /* of Topic */
        GQueue notes;                              /* of Note */
        GHashTable *arrived;                       /* ids: datagrams to be signalled */
        GHashTable *rates;                         /* by uid */
        IdentityNews *identities;
        sd_event_source *again;
        uint64_t n_lost;
};

Topic *topic_new(SignalObjectKind kind, uint32_t id, const Spec *spec);
void topic_unref(gpointer topic);
void note_free(gpointer note);
