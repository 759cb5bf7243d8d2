/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * news: what relay says has changed, as signals, each to those who may see the object.
 *
 * Nothing is broadcast: one match rule would show a stranger everybody's objects. Relay's observer
 * only takes notes here; they are sent at the end of a turn, never inside a call, one
 * PropertiesChanged an object. What is new about an object's properties is read when it is sent;
 * what happened to it (states, its end) is kept by value, since the object may be gone by then.
 *
 * Of the store's identities identity-news.c tells.
 *
 * Who hears: the owning name, whoever it is shared with and has called before, and watchers (who
 * subscribed, or listed the objects) that may see it.
 * Plaintext, and what asks for a secret, is for the owner alone.
 */

#include "bus/news.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/terms.h"
#include "bus/signals.h"

#include <errno.h>
#include <string.h>

#define NEWS_QUEUED_MAX 1024 /* messages the bus has not taken; from there on news wait */
#define NEWS_AGAIN_USEC 50000
#define NEWS_SECOND_USEC UINT64_C(1000000)
#define NEWS_DATAGRAMS_PER_SECOND 500 /* of one uid; 10 us each here, more at the bus */

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

/* ---- topics and notes ---- */

static Topic *topic_new(SignalObjectKind kind, uint32_t id, const Spec *spec) {
        Topic *topic = g_rc_box_new0(Topic);

        topic->kind = kind;
        topic->id = id;
        topic->uid = spec->uid;
        topic->owner = spec->persistent ? NULL : g_strdup(spec->owner);
        topic->shares = spec->shares ? g_array_ref(spec->shares) : NULL;
        return topic;
}

static void topic_done(gpointer data) {
        Topic *topic = data;

        g_free(topic->owner);
        g_clear_pointer(&topic->shares, g_array_unref);
}

static void topic_unref(gpointer topic) {
        g_rc_box_release_full(topic, topic_done);
}

static Topic *news_topic(News *news, SignalObjectKind kind, uint32_t id) {
        return g_hash_table_lookup(news->topics[kind], GUINT_TO_POINTER(id));
}

static void note_free(gpointer data) {
        Note *note = data;

        topic_unref(note->topic);
        g_free(note->text);
        g_free(note);
}

/* Takes @note, whose topic is borrowed. */
static void news_note(News *news, Topic *topic, Note note) {
        if (g_queue_get_length(&news->notes) >= NEWS_NOTES_MAX) {
                if (news->n_lost++ == 0)
                        log_warning("The bus does not take our signals; some are lost from here");
                g_free(note.text);
                return;
        }

        note.topic = g_rc_box_acquire(topic);
        g_queue_push_tail(&news->notes, g_memdup2(&note, sizeof(note)));
        bus_turn(news->bus);
}

static void topic_changed(News *news, Topic *topic, unsigned mask) {
        topic->mask |= mask;
        if (topic->is_queued)
                return;

        topic->is_queued = true;
        g_queue_push_tail(&news->changed, g_rc_box_acquire(topic));
        bus_turn(news->bus);
}

static void topic_add(News *news, SignalObjectKind kind, uint32_t id, const Spec *spec) {
        Topic *topic = topic_new(kind, id, spec);

        topic->is_new = true;
        g_hash_table_insert(news->topics[kind], GUINT_TO_POINTER(id), topic);
        topic_changed(news, topic, 0);
}

static void topic_remove(News *news, SignalObjectKind kind, uint32_t id) {
        Topic *topic = news_topic(news, kind, id);

        if (!topic)
                return;

        news_note(news, topic, (Note){.kind = NOTE_REMOVED});
        g_hash_table_remove(news->topics[kind], GUINT_TO_POINTER(id));
}

bool news_must_wait(const Bus *bus) {
        uint64_t n = 0;

        return sd_bus_get_n_queued_write(bus->bus, &n) < 0 || n > NEWS_QUEUED_MAX;
}

/* ---- the observer: takes notes, calls nothing of relay that changes anything ---- */

static Topic *connection_topic(News *news, const Connection *connection) {
        return news_topic(news, SIGNAL_CONNECTION, connection_facts(connection).id);
}

static void on_connection_added(Connection *connection, void *userdata) {
        ConnectionFacts facts = connection_facts(connection);

        if (facts.announced)
                topic_add(userdata, SIGNAL_CONNECTION, facts.id, facts.spec);
}

static void on_connection_changed(Connection *connection, unsigned mask, void *userdata) {
        News *news = userdata;
        Topic *topic = connection_topic(news, connection);

        if (topic)
                topic_changed(news, topic, mask);
        pending_connection_event(news->bus, connection_facts(connection).id);
}

static void on_connection_state(Connection *connection, HandshakeState state, DtlsError error,
                                const char *text, void *userdata) {
        News *news = userdata;
        Topic *topic = connection_topic(news, connection);

        if (topic)
                news_note(news, topic,
                          (Note){
                                  .kind = NOTE_STATE,
                                  .state = state,
                                  .error = error,
                                  .text = g_utf8_make_valid(text ? text : "", -1),
                          });
        pending_connection_event(news->bus, connection_facts(connection).id);
}

/* What an owner needs to go on is told of a connection that is not announced, too. */
static void connection_note(News *news, const Connection *connection, NoteKind kind) {
        ConnectionFacts facts = connection_facts(connection);
        Topic *topic = topic_new(SIGNAL_CONNECTION, facts.id, facts.spec);

        news_note(news, topic, (Note){.kind = kind});
        topic_unref(topic);
}

static void on_connection_timeout(Connection *connection, void *userdata) {
        connection_note(userdata, connection, NOTE_TIMEOUT);
}

static void on_connection_psk_required(Connection *connection, void *userdata) {
        connection_note(userdata, connection, NOTE_PSK);
}

static void on_connection_datagram(Connection *connection, void *userdata) {
        News *news = userdata;
        ConnectionFacts facts = connection_facts(connection);

        pending_connection_event(news->bus, facts.id);
        if (!facts.spec->datagram_signals)
                return;

        g_hash_table_add(news->arrived, GUINT_TO_POINTER(facts.id));
        bus_turn(news->bus);
}

/* The one signal that is sent inside a call: the owner has it before the call's answer. */
static bool on_connection_send(Connection *connection, const Datagram *datagram, void *userdata) {
        News *news = userdata;
        ConnectionFacts facts = connection_facts(connection);
        g_autoptr(GBytes) bytes = g_bytes_new(datagram->data, datagram->size);
        SignalObject object = signal_object(SIGNAL_CONNECTION, facts.id, connection);
        Signal signal = {.kind = SIGNAL_SEND, .object = &object, .datagram = bytes};
        const Caller *owner = caller_by_name(news->bus, facts.spec->owner);

        if (!owner || news_must_wait(news->bus))
                return false;

        signal_send(news->bus->bus, &signal, owner->name);
        return true;
}

static void on_connection_closed(Connection *connection, EndReason reason, void *userdata) {
        News *news = userdata;
        Topic *topic = connection_topic(news, connection);

        if (topic)
                news_note(news, topic, (Note){.kind = NOTE_CLOSED, .reason = reason});
        pending_connection_event(news->bus, connection_facts(connection).id);
}

static void on_connection_removed(uint32_t id, uid_t uid, void *userdata) {
        News *news = userdata;

        topic_remove(news, SIGNAL_CONNECTION, id);
        g_hash_table_remove(news->arrived, GUINT_TO_POINTER(id));
        pending_connection_event(news->bus, id);
}

static void on_listener_added(Listener *listener, void *userdata) {
        ListenerFacts facts = listener_facts(listener);

        topic_add(userdata, SIGNAL_LISTENER, facts.id, facts.spec);
}

static void on_listener_changed(Listener *listener, unsigned mask, void *userdata) {
        News *news = userdata;
        Topic *topic = news_topic(news, SIGNAL_LISTENER, listener_facts(listener).id);

        if (topic)
                topic_changed(news, topic, mask);
}

static void on_listener_connection(Listener *listener, Connection *connection, void *userdata) {
        News *news = userdata;
        Topic *topic = news_topic(news, SIGNAL_LISTENER, listener_facts(listener).id);
        ConnectionFacts facts = connection_facts(connection);

        if (topic)
                news_note(news, topic,
                          (Note){
                                  .kind = NOTE_CONNECTION,
                                  .connection = facts.id,
                                  .peer = facts.peer,
                          });
}

static void on_listener_removed(uint32_t id, uid_t uid, void *userdata) {
        topic_remove(userdata, SIGNAL_LISTENER, id);
}

static void on_verifier_added(Verifier *verifier, void *userdata) {
        VerifierFacts facts = verifier_facts(verifier);

        topic_add(userdata, SIGNAL_VERIFIER, facts.id, facts.spec);
}

static void on_verifier_changed(Verifier *verifier, unsigned mask, void *userdata) {
        News *news = userdata;
        Topic *topic = news_topic(news, SIGNAL_VERIFIER, verifier_facts(verifier).id);

        if (topic)
                topic_changed(news, topic, mask);
}

static void on_verifier_removed(uint32_t id, uid_t uid, void *userdata) {
        topic_remove(userdata, SIGNAL_VERIFIER, id);
}

static void on_identities_changed(const char *name, void *userdata) {
        News *news = userdata;

        identity_news_changed(news->identities, name);
}

static void on_identity_ends_soon(const char *name, uint64_t not_after_usec, uint32_t days,
                                  void *userdata) {
        News *news = userdata;

        identity_news_ends_soon(news->identities, name, not_after_usec, days);
}

/* ---- watchers ---- */

static void watcher_free(gpointer data) {
        Watcher *watcher = data;

        g_free(watcher->name);
        g_free(watcher);
}

static Watcher *watcher_of(News *news, const char *name) {
        Watcher *watcher = g_hash_table_lookup(news->watchers, name);

        if (!watcher) {
                watcher = g_new0(Watcher, 1);
                watcher->name = g_strdup(name);
                g_hash_table_insert(news->watchers, watcher->name, watcher);
        }

        return watcher;
}

int news_watch(Bus *bus, const Caller *caller, bool all, sd_bus_error *error) {
        Watcher *watcher;

        /* whether it may inspect is whether it may see what nobody owns */
        if (all && !bus_may_see_uid(bus, caller, (uid_t)-1))
                return bus_refuse_text(error, "NotAuthorized",
                                       "Only who may inspect objects of others may subscribe to "
                                       "All; leave it out to hear of your own");

        watcher = watcher_of(bus->news, caller->name);
        watcher->is_subscriber = true;
        watcher->all |= all;
        return 1;
}

void news_watch_listed(Bus *bus, const Caller *caller) {
        Watcher *watcher = watcher_of(bus->news, caller->name);

        watcher->all = true; /* the list had all it may see */
}

void news_unwatch(Bus *bus, const char *name) {
        (void)g_hash_table_remove(bus->news->watchers, name);
}

/* ---- who hears ---- */

static bool topic_is_owner(Bus *bus, const Topic *topic, const Caller *caller) {
        return topic->owner && caller && caller->uid == topic->uid &&
               strcmp(caller->name, topic->owner) == 0;
}

static bool watcher_hears(Bus *bus, const Watcher *watcher, const Topic *topic, bool is_private) {
        const Caller *caller = caller_by_name(bus, watcher->name);

        if (!caller || topic_is_owner(bus, topic, caller))
                return false; /* an owner is told anyway, once */
        if (!is_private && caller_rights(caller, topic->shares))
                return false; /* so is whom it is shared with */
        if (is_private)
                return !topic->owner && watcher->is_subscriber && caller->uid == topic->uid;
        if (caller->uid == topic->uid)
                return true;

        return watcher->all && bus_may_see_uid(bus, caller, topic->uid);
}

static bool names_have(GPtrArray *names, const char *name) {
        return g_ptr_array_find_with_equal_func(names, name, g_str_equal, NULL);
}

/* Names, borrowed until something is called that may make one leave. */
static GPtrArray *news_audience(News *news, const Topic *topic, bool is_private) {
        GPtrArray *names = g_ptr_array_new();
        const Caller *owner = caller_by_name(news->bus, topic->owner);
        GHashTableIter iter;
        gpointer value;

        if (!is_private)
                callers_find_shared(news->bus, topic->shares, names);
        if (topic_is_owner(news->bus, topic, owner) && !names_have(names, owner->name))
                g_ptr_array_add(names, owner->name);

        g_hash_table_iter_init(&iter, news->watchers);
        while (g_hash_table_iter_next(&iter, NULL, &value)) {
                const Watcher *watcher = value;

                if (watcher_hears(news->bus, watcher, topic, is_private))
                        g_ptr_array_add(names, watcher->name);
        }

        return names;
}

static bool news_tell(News *news, const Topic *topic, bool is_private, const Signal *signal) {
        g_autoptr(GPtrArray) names = news_audience(news, topic, is_private);

        for (guint i = 0; i < names->len; i++)
                signal_send(news->bus->bus, signal, g_ptr_array_index(names, i));

        return names->len > 0;
}

/* ---- sending ---- */

static SignalObject topic_object(const News *news, const Topic *topic) {
        const Relay *relay = news->bus->relay;
        void *object = NULL;

        switch (topic->kind) {
        case SIGNAL_CONNECTION:
                object = relay_find_connection(relay, topic->id);
                break;
        case SIGNAL_LISTENER:
                object = relay_find_listener(relay, topic->id);
                break;
        case SIGNAL_VERIFIER:
                object = relay_find_verifier(relay, topic->id);
                break;
        case N_SIGNAL_OBJECT_KINDS:
                break;
        }

        return signal_object(topic->kind, topic->id, object);
}

/* To those who see it from now on it is new, and to those who do not any more it is gone. */
static void topic_send_shares(News *news, Topic *topic, const Signal *changed) {
        const Spec *spec = connection_facts(changed->object->object).spec;
        g_autoptr(GPtrArray) before =
                topic->is_new ? g_ptr_array_new() : news_audience(news, topic, false);
        g_autoptr(GPtrArray) after = NULL;
        Signal signal = *changed;

        g_clear_pointer(&topic->shares, g_array_unref);
        topic->shares = spec->shares ? g_array_ref(spec->shares) : NULL;
        after = news_audience(news, topic, /* is_private= */ false);

        for (guint i = 0; i < after->len; i++) {
                signal.kind = names_have(before, after->pdata[i]) ? SIGNAL_CHANGED : SIGNAL_ADDED;
                signal_send(news->bus->bus, &signal, after->pdata[i]);
        }

        signal.kind = SIGNAL_REMOVED;
        for (guint i = 0; i < before->len; i++)
                if (!names_have(after, before->pdata[i]))
                        signal_send(news->bus->bus, &signal, before->pdata[i]);
}

static void topic_send(News *news, Topic *topic) {
        SignalObject object = topic_object(news, topic);
        Signal signal = {
                .kind = topic->is_new ? SIGNAL_ADDED : SIGNAL_CHANGED,
                .object = &object,
                .mask = topic->mask,
        };

        topic->is_queued = false;
        topic->mask = 0;
        if (!object.object)
                return; /* came and went in one turn */
        if (signal.kind == SIGNAL_CHANGED && !signal_is_worth_it(&signal))
                return;

        if (signal.mask & CHANGED_SHARES)
                topic_send_shares(news, topic, &signal);
        else
                (void)news_tell(news, topic, /* is_private= */ false, &signal);
        topic->is_new = false;
        topic->was_told = true;
}

static void news_send_psk(News *news, const Note *note, Signal *signal) {
        Connection *connection = relay_find_connection(news->bus->relay, note->topic->id);

        if (!connection)
                return;

        signal->psk = connection_facts(connection).psk;
        if (signal->psk.pending)
                (void)news_tell(news, note->topic, /* is_private= */ true, signal);
}

static void note_send(News *news, const Note *note) {
        SignalObject object = topic_object(news, note->topic);
        Signal signal = {.object = &object};

        switch (note->kind) {
        case NOTE_STATE:
                signal.kind = SIGNAL_STATE;
                signal.words[0] = handshake_state_name(note->state);
                signal.words[1] = dtls_error_name(note->error);
                signal.words[2] = note->text;
                break;
        case NOTE_TIMEOUT:
                signal.kind = SIGNAL_TIMEOUT;
                break;
        case NOTE_PSK:
                signal.kind = SIGNAL_PSK;
                news_send_psk(news, note, &signal);
                return;
        case NOTE_CLOSED:
                signal.kind = SIGNAL_CLOSED;
                signal.words[0] = end_reason_name(note->reason);
                break;
        case NOTE_CONNECTION:
                signal.kind = SIGNAL_NEW_CONNECTION;
                signal.connection = note->connection;
                signal.peer = &note->peer;
                (void)news_tell(news, note->topic, /* is_private= */ true, &signal);
                return;
        case NOTE_REMOVED:
                signal.kind = SIGNAL_REMOVED;
                if (!note->topic->was_told)
                        return;
                break;
        }

        (void)news_tell(news, note->topic, /* is_private= */ false, &signal);
}

/* ---- datagrams as signals ---- */

/* How much of this second is used already. */
static Rate *news_rate(News *news, uid_t uid, uint64_t now_usec) {
        Rate *rate = g_hash_table_lookup(news->rates, GUINT_TO_POINTER(uid));

        if (!rate) {
                rate = g_new0(Rate, 1);
                g_hash_table_insert(news->rates, GUINT_TO_POINTER(uid), rate);
        }
        if (now_usec - rate->since_usec >= NEWS_SECOND_USEC)
                *rate = (Rate){.since_usec = now_usec};

        return rate;
}

/* Returns whether all that has arrived was dealt with. */
static bool news_send_datagrams(News *news, Connection *connection, uint64_t now_usec) {
        ConnectionFacts facts = connection_facts(connection);
        Topic *topic = topic_new(SIGNAL_CONNECTION, facts.id, facts.spec);
        g_autoptr(GPtrArray) names = news_audience(news, topic, /* is_private= */ true);
        SignalObject object = topic_object(news, topic);
        Rate *rate = news_rate(news, topic->uid, now_usec);
        bool is_done = names->len == 0; /* then ReadDatagram may fetch it */

        while (!is_done && rate->n < NEWS_DATAGRAMS_PER_SECOND) {
                g_autoptr(GBytes) datagram = connection_take_oldest(connection);
                Signal signal = {.kind = SIGNAL_DATAGRAM, .object = &object};

                is_done = !datagram;
                if (is_done)
                        break;

                rate->n++;
                signal.datagram = datagram;
                (void)news_tell(news, topic, /* is_private= */ true, &signal);
        }

        topic_unref(topic);
        return is_done;
}

static void news_again(News *news) {
        int r;

        r = sd_event_source_set_time_relative(news->again, NEWS_AGAIN_USEC);
        if (r >= 0)
                r = sd_event_source_set_enabled(news->again, SD_EVENT_ONESHOT);
        if (r < 0)
                log_warning("News cannot wait: %s", g_strerror(-r));
}

static void news_send_arrived(News *news) {
        g_autoptr(GList) ids = g_hash_table_get_keys(news->arrived);
        uint64_t now_usec = 0;

        (void)sd_event_now(news->bus->event, CLOCK_MONOTONIC, &now_usec);

        for (GList *l = ids; l; l = l->next) {
                Connection *connection =
                        relay_find_connection(news->bus->relay, GPOINTER_TO_UINT(l->data));

                if (!connection || news_send_datagrams(news, connection, now_usec))
                        (void)g_hash_table_remove(news->arrived, l->data);
        }

        if (g_hash_table_size(news->arrived) > 0)
                news_again(news);
}

/* ---- the end of a turn ---- */

static bool news_has_any(News *news) {
        return !g_queue_is_empty(&news->changed) || !g_queue_is_empty(&news->notes) ||
               g_hash_table_size(news->arrived) > 0 || identity_news_has_any(news->identities);
}

void news_send(Bus *bus) {
        News *news = bus->news;

        identity_news_send(news->identities);

        /* properties first: who hears of a state finds it in them */
        while (!g_queue_is_empty(&news->changed) && !news_must_wait(bus)) {
                Topic *topic = g_queue_pop_head(&news->changed);

                topic_send(news, topic);
                topic_unref(topic);
        }

        while (!g_queue_is_empty(&news->notes) && !news_must_wait(bus)) {
                Note *note = g_queue_pop_head(&news->notes);

                note_send(news, note);
                note_free(note);
        }

        if (!news_must_wait(bus))
                news_send_arrived(news);
        else if (news_has_any(news))
                news_again(news);
}

static int on_again(sd_event_source *source, uint64_t usec, void *userdata) {
        News *news = userdata;

        bus_turn(news->bus);
        return 0;
}

static const RelayObserver news_observer = {
        .connection_added = on_connection_added,
        .connection_changed = on_connection_changed,
        .connection_state = on_connection_state,
        .connection_timeout = on_connection_timeout,
        .connection_psk_required = on_connection_psk_required,
        .connection_send = on_connection_send,
        .connection_datagram = on_connection_datagram,
        .connection_closed = on_connection_closed,
        .connection_removed = on_connection_removed,
        .listener_added = on_listener_added,
        .listener_changed = on_listener_changed,
        .listener_connection = on_listener_connection,
        .listener_removed = on_listener_removed,
        .verifier_added = on_verifier_added,
        .verifier_changed = on_verifier_changed,
        .verifier_removed = on_verifier_removed,
        .identities_changed = on_identities_changed,
        .identity_ends_soon = on_identity_ends_soon,
};

/* What relay has when a Bus begins (its bus was restarted) is there as if it had been told. */
static void news_learn(News *news) {
        const Relay *relay = news->bus->relay;
        g_autoptr(GArray) connections = relay_list_connections(relay, 0, G_MAXUINT32);
        g_autoptr(GArray) listeners = relay_list_listeners(relay, 0, G_MAXUINT32);

        for (guint i = 0; i < connections->len; i++)
                on_connection_added(
                        relay_find_connection(relay, g_array_index(connections, uint32_t, i)),
                        news);
        for (guint i = 0; i < listeners->len; i++)
                on_listener_added(relay_find_listener(relay, g_array_index(listeners, uint32_t, i)),
                                  news);
}

int news_new(Bus *bus, News **ret) {
        News *news;
        int r;

        news = g_new0(News, 1);
        news->bus = bus;
        news->watchers = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, watcher_free);
        for (size_t i = 0; i < N_SIGNAL_OBJECT_KINDS; i++)
                news->topics[i] = g_hash_table_new_full(NULL, NULL, NULL, topic_unref);
        g_queue_init(&news->changed);
        g_queue_init(&news->notes);
        news->arrived = g_hash_table_new(NULL, NULL);
        news->rates = g_hash_table_new_full(NULL, NULL, NULL, g_free);
        news->identities = identity_news_new(bus, news->watchers);
        *ret = news;

        r = sd_event_add_time_relative(bus->event, &news->again, CLOCK_MONOTONIC, 0, 0, on_again,
                                       news);
        if (r >= 0)
                r = sd_event_source_set_enabled(news->again, SD_EVENT_OFF);
        if (r < 0)
                return fault(r);

        relay_observe(bus->relay, &news_observer, news);
        news_learn(news);
        return 0;
}

News *news_free(News *news) {
        if (!news)
                return NULL;

        relay_observe(news->bus->relay, NULL, NULL);
        (void)sd_event_source_disable_unref(news->again);
        g_queue_clear_full(&news->changed, topic_unref);
        g_queue_clear_full(&news->notes, note_free);
        for (size_t i = 0; i < N_SIGNAL_OBJECT_KINDS; i++)
                g_hash_table_unref(news->topics[i]);
        news->identities = identity_news_free(news->identities);
        g_hash_table_unref(news->watchers);
        g_hash_table_unref(news->arrived);
        g_hash_table_unref(news->rates);
        g_free(news);
        return NULL;
}
