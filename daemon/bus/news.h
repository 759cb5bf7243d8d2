/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the files that tell news see of each other: news.c takes notes of what
 * relay owns, news-audience.c says who hears of it, news-send.c sends it, identity-news.c tells of
 * the store's identities.
 */

#include "bus/private.h"
#include "bus/signals.h"

#define NEWS_NOTES_MAX 16384 /* from there on those of whoever has most are lost, and counted */

typedef struct Watcher {
        char *name;
        bool is_subscriber; /* not only a caller of GetManagedObjects */
        bool all;           /* objects of others too */
} Watcher;

GHashTable *watchers_new(void);

/* Whether the bus has fallen behind. Then what there is to tell waits here, where it is bounded. */
bool news_must_wait(const Bus *bus);

/* signal_send(); whose answer to GetManagedObjects is being made hears of it behind that too. */
void news_signal(Bus *bus, const Signal *signal, const char *name);
/* managed.c: @signal was sent. */
void managed_told(Bus *bus, const Signal *signal);

typedef struct IdentityNews IdentityNews;

/* @watchers: of Watcher, borrowed. */
IdentityNews *identity_news_new(Bus *bus, GHashTable *watchers);
IdentityNews *identity_news_free(IdentityNews *news);
/* Takes notes. @name NULL: any may have changed. */
void identity_news_changed(IdentityNews *news, const char *name);
void identity_news_ends_soon(IdentityNews *news, const char *name, uint64_t not_after_usec,
                             uint32_t days);
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

/* What there is to tell of a user's objects. */
typedef struct UserNews {
        GQueue changed; /* of Topic */
        GQueue notes;   /* of Note */
        GQueue arrived; /* ids of connections with datagrams to be signalled */
        uint64_t second_usec;
        unsigned n_datagrams; /* that were, since then */
        bool has_turn;
} UserNews;

struct News {
        Bus *bus;
        GHashTable *watchers;                      /* by name */
        GHashTable *topics[N_SIGNAL_OBJECT_KINDS]; /* by id */
        GHashTable *users;                         /* UserNews by uid */
        GQueue turns;                              /* of UserNews */
        size_t n_notes;
        GHashTable *arrived; /* the ids of all users */
        IdentityNews *identities;
        sd_event_source *again;
        uint64_t n_lost;
        uint64_t n_queued; /* of what was told, since the bus had taken all */
};

/* Who hears of it: names, borrowed until something is called that may make one leave. @is_private:
 * what is for the owner alone. */
GPtrArray *news_audience(News *news, const Topic *topic, bool is_private);
bool names_have(GPtrArray *names, const char *name);

Topic *topic_new(SignalObjectKind kind, uint32_t id, const Spec *spec);
void topic_unref(gpointer topic);
void note_free(gpointer note);
