/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * news-send: what news.c has taken notes of goes out at the end of a turn.
 *
 * Who hears: the owning name, whoever it is shared with and has called before, and watchers (who
 * subscribed, or listed the objects) that may see it.
 * Plaintext, and what asks for a secret, is for the owner alone.
 */

#include "bus/news.h"

#include "base/log.h"
#include "base/terms.h"

#include <string.h>

#define NEWS_QUEUED_MAX 1024 /* messages the bus has not taken; from there on news wait */
#define NEWS_AGAIN_USEC 50000
#define NEWS_SECOND_USEC UINT64_C(1000000)
#define NEWS_DATAGRAMS_PER_SECOND 500 /* of one uid; 10 us each here, more at the bus */

bool news_must_wait(const Bus *bus) {
        uint64_t n = 0;

        return sd_bus_get_n_queued_write(bus->bus, &n) < 0 || n > NEWS_QUEUED_MAX;
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
