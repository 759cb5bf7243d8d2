/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * news-send: what news.c has taken notes of goes out at the end of a turn.
 *
 * Users have turns, each tells one thing: of one whose objects change more than the bus takes
 * nobody else's signals come later.
 */

#include "bus/news.h"

#include "base/log.h"
#include "base/terms.h"

#include <string.h>

/* Messages the bus has not taken: after so many news the next wait until it has taken all of them.
 * Answers come behind them, those to what was asked later too. */
#define NEWS_QUEUED_MAX 32
#define NEWS_AGAIN_USEC 50000
#define NEWS_SECOND_USEC UINT64_C(1000000)
#define NEWS_DATAGRAMS_PER_SECOND 500 /* of one uid; 10 us each here, more at the bus */

bool news_must_wait(const Bus *bus) {
        return bus_n_queued(bus) > NEWS_QUEUED_MAX;
}

/* ---- sending ---- */

void news_signal(Bus *bus, const Signal *signal, const char *name) {
        signal_send(bus->bus, signal, name);
        managed_told(bus, signal);
}

static void news_tell_all(News *news, const GPtrArray *names, const Signal *signal) {
        for (guint i = 0; i < names->len; i++)
                news_signal(news->bus, signal, g_ptr_array_index(names, i));
}

static void news_tell(News *news, const Topic *topic, bool is_private, const Signal *signal) {
        g_autoptr(GPtrArray) names = news_audience(news, topic, is_private);

        news_tell_all(news, names, signal);
}

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
                news_signal(news->bus, &signal, after->pdata[i]);
        }

        signal.kind = SIGNAL_REMOVED;
        for (guint i = 0; i < before->len; i++)
                if (!names_have(after, before->pdata[i]))
                        news_signal(news->bus, &signal, before->pdata[i]);
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
                news_tell(news, topic, /* is_private= */ false, &signal);
        topic->is_new = false;
        topic->was_told = true;
}

static void news_send_psk(News *news, const Note *note, Signal *signal) {
        Connection *connection = relay_find_connection(news->bus->relay, note->topic->id);

        if (!connection)
                return;

        signal->psk = connection_facts(connection).psk;
        if (signal->psk.pending)
                news_tell(news, note->topic, /* is_private= */ true, signal);
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
                news_tell(news, note->topic, /* is_private= */ true, &signal);
                return;
        case NOTE_REMOVED:
                signal.kind = SIGNAL_REMOVED;
                if (!note->topic->was_told)
                        return;
                break;
        }

        news_tell(news, note->topic, /* is_private= */ false, &signal);
}

/* ---- datagrams as signals ---- */

static void news_again(News *news) {
        int r;

        if (sd_event_source_get_enabled(news->again, NULL) > 0)
                return; /* another user's wait ends no later for it */

        relay_stir(news->bus->relay);
        r = sd_event_source_set_time(news->again,
                                     (uint64_t)g_get_monotonic_time() + NEWS_AGAIN_USEC);
        if (r >= 0)
                r = sd_event_source_set_enabled(news->again, SD_EVENT_ONESHOT);
        if (r < 0)
                log_warning("News cannot wait: %s", g_strerror(-r));
}

/* Whether this second has room for one more. */
static bool user_may_hear_datagram(UserNews *user, uint64_t now_usec) {
        if (now_usec - user->second_usec >= NEWS_SECOND_USEC) {
                user->second_usec = now_usec;
                user->n_datagrams = 0;
        }

        return user->n_datagrams < NEWS_DATAGRAMS_PER_SECOND;
}

/* Whether there was one. */
static bool news_send_datagram(News *news, UserNews *user, Connection *connection) {
        ConnectionFacts facts = connection_facts(connection);
        Topic *topic = topic_new(SIGNAL_CONNECTION, facts.id, facts.spec);
        g_autoptr(GPtrArray) names = news_audience(news, topic, /* is_private= */ true);
        SignalObject object = topic_object(news, topic);
        g_autoptr(GBytes) datagram = NULL;
        Signal signal = {.kind = SIGNAL_DATAGRAM, .object = &object};

        if (names->len > 0) /* else ReadDatagram may fetch it */
                datagram = connection_take_oldest(connection);
        if (datagram) {
                user->n_datagrams++;
                signal.datagram = datagram;
                news_tell_all(news, names, &signal);
        }

        topic_unref(topic);
        return datagram;
}

/* Connections in turn. */
static void user_send_datagram(News *news, UserNews *user) {
        gpointer id = g_queue_pop_head(&user->arrived);
        Connection *connection = relay_find_connection(news->bus->relay, GPOINTER_TO_UINT(id));

        if (connection && news_send_datagram(news, user, connection))
                g_queue_push_tail(&user->arrived, id);
        else
                (void)g_hash_table_remove(news->arrived, id);
}

/* ---- the end of a turn ---- */

/* One of them; properties first: who hears of a state finds it in them. False: none may be told
 * now. */
static bool user_send_one(News *news, UserNews *user) {
        if (user->changed.length > 0) {
                Topic *topic = g_queue_pop_head(&user->changed);

                topic_send(news, topic);
                topic_unref(topic);
                return true;
        }
        if (user->notes.length > 0) {
                Note *note = g_queue_pop_head(&user->notes);

                news->n_notes--;
                note_send(news, note);
                note_free(note);
                return true;
        }
        if (user->arrived.length == 0)
                return false;

        if (!user_may_hear_datagram(user, (uint64_t)g_get_monotonic_time())) {
                news_again(news);
                return false;
        }

        user_send_datagram(news, user);
        return true;
}

void news_send(Bus *bus) {
        News *news = bus->news;
        uint64_t n_before = bus_n_queued(bus);

        if (n_before == 0)
                news->n_queued = 0;
        /* the turn in which the last of that leaves tells */
        if (news->n_queued > NEWS_QUEUED_MAX)
                return;

        identity_news_send(news->identities);

        while (!g_queue_is_empty(&news->turns) && !news_must_wait(bus)) {
                UserNews *user = g_queue_pop_head(&news->turns);

                user->has_turn = user_send_one(news, user);
                if (user->has_turn)
                        g_queue_push_tail(&news->turns, user);
        }

        news->n_queued += bus_n_queued(bus) - n_before;
}
