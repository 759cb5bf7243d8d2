/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * news: what relay says has changed, as signals, each to those who may see the object.
 *
 * Nothing is broadcast: one match rule would show a stranger everybody's objects. Relay's observer
 * only takes notes here; they are sent at the end of a turn, never inside a call, one
 * PropertiesChanged an object, users in turn. What is new about an object's properties is read when
 * it is sent; what happened to it (states, its end) is kept by value, since the object may be gone
 * by then.
 *
 * Sending is news-send.c's, to whom is news-audience.c's; of the store's identities identity-news.c
 * tells.
 */

#include "bus/news.h"

#include "base/fault.h"
#include "base/log.h"

#define SENDS_QUEUED_MAX 1024 /* messages the bus has not taken; then datagrams are lost */

/* ---- topics and notes ---- */

Topic *topic_new(SignalObjectKind kind, uint32_t id, const Spec *spec) {
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

void topic_unref(gpointer topic) {
        g_rc_box_release_full(topic, topic_done);
}

static Topic *news_topic(News *news, SignalObjectKind kind, uint32_t id) {
        return g_hash_table_lookup(news->topics[kind], GUINT_TO_POINTER(id));
}

void note_free(gpointer data) {
        Note *note = data;

        topic_unref(note->topic);
        g_free(note->text);
        g_free(note);
}

/* ---- users ---- */

static UserNews *news_user(News *news, uid_t uid) {
        UserNews *user = g_hash_table_lookup(news->users, GUINT_TO_POINTER(uid));

        if (!user) {
                user = g_new0(UserNews, 1);
                g_hash_table_insert(news->users, GUINT_TO_POINTER(uid), user);
        }

        return user;
}

static void user_free(gpointer data) {
        UserNews *user = data;

        g_queue_clear_full(&user->changed, topic_unref);
        g_queue_clear_full(&user->notes, note_free);
        g_queue_clear(&user->arrived);
        g_free(user);
}

static void news_want_turn(News *news, UserNews *user) {
        if (!user->has_turn)
                g_queue_push_tail(&news->turns, user);

        user->has_turn = true;
        bus_turn(news->bus);
}

/* For one note more of @user: whoever has most loses its last. Whether there is. */
static bool notes_make_room(News *news, UserNews *user) {
        UserNews *most = user;

        if (news->n_notes < NEWS_NOTES_MAX)
                return true;

        if (news->n_lost++ == 0)
                log_warning("The bus does not take our signals; some are lost from here");
        for (const GList *l = news->turns.head; l; l = l->next) {
                UserNews *other = l->data;

                if (other->notes.length > most->notes.length)
                        most = other;
        }
        if (most == user)
                return false;

        note_free(g_queue_pop_tail(&most->notes));
        news->n_notes--;
        return true;
}

/* Takes @note, whose topic is borrowed. */
static void news_note(News *news, Topic *topic, Note note) {
        UserNews *user = news_user(news, topic->uid);

        if (!notes_make_room(news, user)) {
                g_free(note.text);
                return;
        }

        note.topic = g_rc_box_acquire(topic);
        g_queue_push_tail(&user->notes, g_memdup2(&note, sizeof(note)));
        news->n_notes++;
        news_want_turn(news, user);
}

static void topic_changed(News *news, Topic *topic, unsigned mask) {
        UserNews *user = news_user(news, topic->uid);

        topic->mask |= mask;
        if (topic->is_queued)
                return;

        topic->is_queued = true;
        g_queue_push_tail(&user->changed, g_rc_box_acquire(topic));
        news_want_turn(news, user);
}

/* Of one that is told about. */
static void news_changed(News *news, SignalObjectKind kind, uint32_t id, unsigned mask) {
        Topic *topic = news_topic(news, kind, id);

        if (topic)
                topic_changed(news, topic, mask);
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

/* ---- the observer: takes notes, calls nothing of relay that changes anything ---- */

static Topic *connection_topic(News *news, const Connection *connection) {
        return news_topic(news, SIGNAL_CONNECTION, connection_id(connection));
}

static void on_connection_added(Connection *connection, void *userdata) {
        ConnectionFacts facts = connection_facts(connection);

        if (facts.announced)
                topic_add(userdata, SIGNAL_CONNECTION, facts.id, facts.spec);
}

static void on_connection_changed(Connection *connection, unsigned mask, void *userdata) {
        uint32_t id = connection_id(connection);
        News *news = userdata;

        news_changed(news, SIGNAL_CONNECTION, id, mask);
        pending_connection_event(news->bus, id);
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
        pending_connection_event(news->bus, connection_id(connection));
}

/* What an owner needs to go on is told of a connection that is not announced, too. */
static void connection_note(News *news, const Connection *connection, NoteKind kind) {
        ConnectionFacts facts = connection_facts(connection);
        Topic *topic = topic_new(SIGNAL_CONNECTION, facts.id, facts.spec);

        news_note(news, topic, (Note){.kind = kind});
        topic_unref(topic);
}

/* Anybody can leave handshakes undone at a listener: nothing is told of them without need. */
static void on_connection_timeout(Connection *connection, void *userdata) {
        if (connection_topic(userdata, connection) || connection_facts(connection).spec->manual)
                connection_note(userdata, connection, NOTE_TIMEOUT);
}

static void on_connection_psk_required(Connection *connection, void *userdata) {
        connection_note(userdata, connection, NOTE_PSK);
}

static void on_connection_datagram(Connection *connection, void *userdata) {
        News *news = userdata;
        ConnectionFacts facts = connection_facts(connection);
        UserNews *user;

        pending_connection_event(news->bus, facts.id);
        if (!facts.spec->datagram_signals ||
            !g_hash_table_add(news->arrived, GUINT_TO_POINTER(facts.id)))
                return;

        user = news_user(news, facts.spec->uid);
        g_queue_push_tail(&user->arrived, GUINT_TO_POINTER(facts.id));
        news_want_turn(news, user);
}

/* The one signal that is sent inside a call: the owner has it before the call's answer. */
static bool on_connection_send(Connection *connection, const Datagram *datagram, void *userdata) {
        News *news = userdata;
        ConnectionFacts facts = connection_facts(connection);
        g_autoptr(GBytes) bytes = g_bytes_new(datagram->data, datagram->size);
        SignalObject object = signal_object(SIGNAL_CONNECTION, facts.id, connection);
        Signal signal = {.kind = SIGNAL_SEND, .object = &object, .datagram = bytes};
        const Caller *owner = caller_by_name(news->bus, facts.spec->owner);

        if (!owner || bus_n_queued(news->bus) > SENDS_QUEUED_MAX)
                return false;

        signal_send(news->bus->bus, &signal, owner->name);
        relay_stir(news->bus->relay);
        return true;
}

static void on_connection_closed(Connection *connection, EndReason reason, void *userdata) {
        News *news = userdata;
        Topic *topic = connection_topic(news, connection);

        if (topic)
                news_note(news, topic, (Note){.kind = NOTE_CLOSED, .reason = reason});
        pending_connection_event(news->bus, connection_id(connection));
}

static void on_connection_removed(uint32_t id, uid_t uid, void *userdata) {
        News *news = userdata;

        topic_remove(news, SIGNAL_CONNECTION, id);
        pending_connection_event(news->bus, id);
}

static void on_listener_added(Listener *listener, void *userdata) {
        ListenerFacts facts = listener_facts(listener);

        topic_add(userdata, SIGNAL_LISTENER, facts.id, facts.spec);
}

static void on_listener_changed(Listener *listener, unsigned mask, void *userdata) {
        news_changed(userdata, SIGNAL_LISTENER, listener_facts(listener).id, mask);
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
        News *news = userdata;

        topic_remove(news, SIGNAL_LISTENER, id);
        pending_listener_removed(news->bus, id);
}

static void on_verifier_added(Verifier *verifier, void *userdata) {
        VerifierFacts facts = verifier_facts(verifier);

        topic_add(userdata, SIGNAL_VERIFIER, facts.id, facts.spec);
}

static void on_verifier_changed(Verifier *verifier, unsigned mask, void *userdata) {
        news_changed(userdata, SIGNAL_VERIFIER, verifier_facts(verifier).id, mask);
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

/* ---- birth and death ---- */

static int on_again(sd_event_source *source, uint64_t usec, void *userdata) {
        News *news = userdata;
        GHashTableIter iter;
        gpointer value;

        g_hash_table_iter_init(&iter, news->users);
        while (g_hash_table_iter_next(&iter, NULL, &value)) {
                UserNews *user = value;

                if (user->arrived.length > 0)
                        news_want_turn(news, user);
        }
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
        news->watchers = watchers_new();
        for (size_t i = 0; i < N_SIGNAL_OBJECT_KINDS; i++)
                news->topics[i] = g_hash_table_new_full(NULL, NULL, NULL, topic_unref);
        news->users = g_hash_table_new_full(NULL, NULL, NULL, user_free);
        g_queue_init(&news->turns);
        news->arrived = g_hash_table_new(NULL, NULL);
        news->identities = identity_news_new(bus, news->watchers);
        *ret = news;

        r = sd_event_add_time(bus->event, &news->again, CLOCK_MONOTONIC, 0, 0, on_again, news);
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
        g_queue_clear(&news->turns);
        g_hash_table_unref(news->users);
        for (size_t i = 0; i < N_SIGNAL_OBJECT_KINDS; i++)
                g_hash_table_unref(news->topics[i]);
        news->identities = identity_news_free(news->identities);
        g_hash_table_unref(news->watchers);
        g_hash_table_unref(news->arrived);
        g_free(news);
        return NULL;
}
