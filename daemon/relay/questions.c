/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Questions: what a session cannot know by itself, asked of who knows: a signature and the object's
 * own PSK, or the store's, of the keyring, a PSK nobody gave of the owner, and whether a peer that
 * is not trusted may pass of the owner too. A question is looked at once; one that the session no
 * longer asks is dropped, and its answer never comes.
 *
 * Knows: sessions' questions, the keyring's answers. Does not know: what is done with the answer.
 */

#include "base/fault.h"
#include "relay/private.h"

/* Of handshakes' time: the keyring's, which may be on this processor, with the way to it and back,
 * and what is done with its answer. */
#define QUESTION_SIGNATURE_USEC 150
#define QUESTION_PSK_USEC 50
#define PIN_LOST_TEXT "The keyring process, which would keep it, is not there; try again"
#define KEYRING_LOST_TEXT                                                                          \
        "The keyring process died and this key with it; give the key again and try again"
#define KEYRING_LOST_KEPT_TEXT                                                                     \
        "The keyring process died; the store has this key, and the next keyring will: try again"

static void question_forget_psk(Connection *connection) {
        PendingPsk *psk = &connection->question.psk;
        bool pending = psk->pending;

        g_clear_pointer(&psk->hint, g_bytes_unref);
        g_clear_pointer(&psk->peer_identity, g_bytes_unref);
        *psk = (PendingPsk){0};
        if (pending)
                connection_changed(connection, CHANGED_PSK);
}

void question_drop(Connection *connection) {
        keys_forget(connection->relay->keys, connection->question.ticket);
        connection->question.ticket = 0;
        g_clear_pointer(&connection->question.identity, g_bytes_unref);
        g_clear_pointer(&connection->question.psk_key, key_unref);
        question_forget_psk(connection);
        if (connection->question.suspended)
                g_queue_delete_link(&connection->relay->suspended,
                                    g_steal_pointer(&connection->question.suspended));
        charges_drop_all(&connection->charges, QUOTA_SUSPENDED);
        charges_drop_all(&connection->charges, QUOTA_SIGNING);
        connection->question.open = false;
}

/* ---- answers; each is a call of the session like any other ---- */

/* What can be done about a key that is gone. */
static const char *question_lost(const Connection *connection) {
        const Spec *spec = connection->spec;
        bool is_kept = connection->question.want == SESSION_WANTS_SIGNATURE ? spec->identity != NULL
                                                                            : spec->psks != NULL;

        return is_kept ? KEYRING_LOST_KEPT_TEXT : KEYRING_LOST_TEXT;
}

/* Why the keyring has no answer. */
static const char *question_why(const Connection *connection, int outcome, const char *text) {
        switch ((KeysOutcome)outcome) {
        case KEYS_E_GONE:
                return question_lost(connection);
        case KEYS_E_LATE:
                return "The keyring did not answer in time; try again";
        case KEYS_E_REFUSED:
        case KEYS_E_BAD_SECRET:
        case KEYS_E_UNKNOWN:
        case KEYS_E_FULL:
                break;
        }

        return text && *text ? text : "The keyring refused";
}

static int question_answer_signature(Connection *connection, const void *signature, size_t size,
                                     const char *why) {
        Relay *relay = connection->relay;
        uint32_t serial = connection->question.serial;

        question_drop(connection);
        return session_answer_signature(connection->session, serial, relay_now(relay), signature,
                                        size, why, relay->net, relay->app);
}

static int question_answer_psk(Connection *connection, GBytes *identity, const Secret *key) {
        Relay *relay = connection->relay;
        uint32_t serial = connection->question.serial;

        question_drop(connection);
        return session_answer_psk(connection->session, serial, relay_now(relay), identity, key,
                                  relay->net, relay->app);
}

static int question_answer_pin(Connection *connection, const char *why) {
        Relay *relay = connection->relay;
        uint32_t serial = connection->question.serial;

        question_drop(connection);
        return session_answer_pin(connection->session, serial, relay_now(relay), why, relay->net,
                                  relay->app);
}

/* No key: the session can only say that it was refused; @why is what is known here. */
static int question_refuse_psk(Connection *connection, const char *why) {
        g_free(connection->blame);
        connection->blame = g_strdup(why);
        return question_answer_psk(connection, NULL, NULL);
}

static void on_signed(int outcome, const char *text, const void *signature, size_t size,
                      void *userdata) {
        Connection *connection = userdata; /* forgotten before it dies */
        int r;

        if (!outcome)
                shakes_spend(connection->relay, QUESTION_SIGNATURE_USEC);
        connection_prepare(connection);
        if (outcome)
                r = question_answer_signature(connection, NULL, 0,
                                              question_why(connection, outcome, text));
        else
                r = question_answer_signature(connection, signature, size, NULL);
        connection_finish(connection, r);
}

static void on_fetched(int outcome, const char *text, const Secret *psk, void *userdata) {
        Connection *connection = userdata; /* forgotten before it dies */
        g_autoptr(GBytes) identity = g_steal_pointer(&connection->question.identity);
        g_autoptr(Key) key = g_steal_pointer(&connection->question.psk_key);
        int r;

        if (!outcome && connection->listener)
                rests_keep(connection->listener, identity, key, psk, relay_now(connection->relay));

        if (!outcome)
                shakes_spend(connection->relay, QUESTION_PSK_USEC);
        /* the secret is the keyring client's, which wipes it when this returns */
        connection_prepare(connection);
        if (outcome)
                r = question_refuse_psk(connection, question_why(connection, outcome, text));
        else
                r = question_answer_psk(connection, identity, psk);
        connection_finish(connection, r);
}

static void on_pinned(int outcome, const char *text, void *userdata) {
        Connection *connection = userdata; /* forgotten before it dies */

        connection_prepare(connection);
        connection_finish(
                connection,
                question_answer_pin(connection, outcome == KEYS_E_GONE ? PIN_LOST_TEXT
                                                : outcome ? question_why(connection, outcome, text)
                                                          : NULL));
}

/* ---- how many wait for their owners: the session bounds how long ---- */

/* The oldest of the user who has most; NULL: nobody has more than @uid would. */
static Connection *question_of_another(const Relay *relay, uid_t uid) {
        uint64_t n_most = quota_used(relay->quota, uid, QUOTA_SUSPENDED) + 1;
        Connection *oldest = NULL;

        for (const GList *link = relay->suspended.head; link; link = link->next) {
                Connection *connection = link->data;
                uint64_t n = quota_used(relay->quota, connection->spec->uid, QUOTA_SUSPENDED);

                if (n > n_most) {
                        n_most = n;
                        oldest = connection;
                }
        }

        return oldest;
}

static void question_make_room(Connection *connection) {
        const Quota *quota = connection->relay->quota;
        uid_t uid = connection->spec->uid;
        Connection *other;

        if (quota_has_room(quota, uid, QUOTA_SUSPENDED, 1) ||
            quota_used(quota, uid, QUOTA_SUSPENDED) >= quota_limit(quota, uid, QUOTA_SUSPENDED))
                return;

        other = question_of_another(connection->relay, uid);
        if (!other)
                return;

        connection_give_way(other, connection->endpoint,
                            "There is no room for all handshakes that wait for an answer, and its "
                            "user has most");
        connection_prepare(connection);
}

/* False: there is no room; or no session any more, when a socket broke on the way. */
static bool question_suspend(Connection *connection, Reason *reason) {
        Relay *relay = connection->relay;

        question_make_room(connection);
        if (!connection->session)
                return false;
        if (charges_add(&connection->charges, QUOTA_SUSPENDED, 1, reason)) {
                tally_connection(connection, TALLY_DROPPED_QUOTA, 1);
                return false;
        }

        g_queue_push_tail(&relay->suspended, connection);
        connection->question.suspended = relay->suspended.tail;
        return true;
}

/* ---- asking; each returns what the session said when it was answered at once, else 0 ---- */

static int question_ask_signature(Connection *connection, const SessionQuestion *asked) {
        Question *question = &connection->question;
        Relay *relay = connection->relay;
        const Spec *spec = connection->spec;
        Reason reason;

        if (charges_add(&connection->charges, QUOTA_SIGNING, 1, &reason))
                return question_answer_signature(connection, NULL, 0, reason.text);
        if (!spec->key || !key_is_alive(spec->key))
                return question_answer_signature(connection, NULL, 0, question_lost(connection));

        question->ticket =
                keys_sign(relay->keys, spec->key, spec->uid, asked->algorithm, asked->is_hash,
                          asked->input, asked->input_size, on_signed, connection);
        return 0;
}

/* NULL: the keyring has to be asked. */
static const Secret *question_find_rested(Connection *connection, const Key *key) {
        const Secret *psk = NULL;

        if (connection->listener)
                psk = rests_find(connection->listener, key, relay_now(connection->relay));
        if (psk)
                tally_connection(connection, TALLY_PSKS_RESTED, 1);
        return psk;
}

static int question_fetch_psk(Connection *connection, Key *key, GBytes *identity) {
        const Secret *rested = question_find_rested(connection, key);
        Question *question = &connection->question;
        const Spec *spec = connection->spec;
        Reason reason;

        if (rested)
                return question_answer_psk(connection, identity, rested);
        if (charges_add(&connection->charges, QUOTA_SIGNING, 1, &reason))
                return question_refuse_psk(connection, reason.text);
        if (!key_is_alive(key))
                return question_refuse_psk(connection, question_lost(connection));

        question->identity = g_bytes_ref(identity);
        question->psk_key = key_ref(key);
        question->ticket =
                keys_fetch_psk(connection->relay->keys, key, spec->uid, on_fetched, connection);
        return 0;
}

static int question_ask_owner_psk(Connection *connection, const SessionQuestion *asked) {
        PendingPsk *psk = &connection->question.psk;
        Reason reason;

        if (spec_is_disowned(connection->spec))
                return question_refuse_psk(connection, "The bus was lost, and with it the name "
                                                       "that would be asked for the key");

        if (!question_suspend(connection, &reason))
                return connection->session ? question_refuse_psk(connection, reason.text) : 0;

        psk->pending = true;
        psk->hint = asked->hint ? g_bytes_ref(asked->hint) : NULL;
        psk->peer_identity = asked->identity ? g_bytes_ref(asked->identity) : NULL;
        psk->max_identity = SESSION_PSK_IDENTITY_MAX;
        psk->max_key = SESSION_PSK_KEY_MAX;
        relay_tell(connection->relay, connection_psk_required, connection);
        connection_changed(connection, CHANGED_PSK);
        return 0;
}

static bool question_same_identity(GBytes *a, GBytes *b) {
        if (!a || !b)
                return (a ? g_bytes_get_size(a) : 0) == (b ? g_bytes_get_size(b) : 0);

        return g_bytes_equal(a, b);
}

static int question_fetch_stored_psk(Connection *connection, const SessionQuestion *asked) {
        const Spec *spec = connection->spec;
        Relay *relay = connection->relay;
        const KeysPsk *psk = NULL;
        Reason reason;

        if (spec->role == DTLS_SERVER)
                psk = psks_find(relay, spec, asked->identity);
        else if (psks_find_only(relay, spec, &psk, &reason))
                return question_refuse_psk(connection, reason.text);

        return psk ? question_fetch_psk(connection, psk->key, psk->identity)
                   : question_answer_psk(connection, NULL, NULL);
}

/* Who has said which there are is not asked about others. */
static int question_ask_psk(Connection *connection, const SessionQuestion *asked) {
        const Spec *spec = connection->spec;

        if (spec->psk && (spec->role == DTLS_CLIENT ||
                          question_same_identity(asked->identity, spec->psk_identity)))
                return question_fetch_psk(connection, spec->psk, spec->psk_identity);
        if (spec->psks)
                return question_fetch_stored_psk(connection, asked);
        if (spec->psk)
                return question_answer_psk(connection, NULL, NULL);

        return question_ask_owner_psk(connection, asked);
}

/* Nobody may be asked: as untrusted as it is. */
static int question_reject(Connection *connection) {
        Relay *relay = connection->relay;
        uint32_t serial = connection->question.serial;

        question_drop(connection);
        return session_answer_verdict(connection->session, serial, relay_now(relay),
                                      /* accept= */ false, relay->net, relay->app);
}

static void question_say_verdict(Connection *connection) {
        g_autoptr(GString) text = g_string_new("The peer is not trusted (");

        for (guint i = 0; i < connection->errors->len; i++) {
                const VerdictError *error = &g_array_index(connection->errors, VerdictError, i);

                g_string_append_printf(text, "%s%s", i > 0 ? ", " : "",
                                       verdict_code_name(error->code));
        }

        g_string_append(text, "); ignore these errors and resume the handshake, or abort it");
        connection_set_error(connection, DTLS_PEER_VERIFICATION_ERROR, text->str);
}

static int question_ask_verdict(Connection *connection) {
        /* nobody knows its number before it is complete, or is there to say anything */
        if (!connection->announced || spec_is_disowned(connection->spec))
                return question_reject(connection);
        if (!question_suspend(connection, NULL))
                return connection->session ? question_reject(connection) : 0;

        connection_learn_peer(connection);
        connection->agreed = session_facts(connection->session); /* of a late verdict */
        question_say_verdict(connection);
        connection_set_state(connection, HANDSHAKE_PEER_VERIFICATION_FAILED);
        return 0;
}

static int question_ask_pin(Connection *connection) {
        GPtrArray *chain = session_peer_chain(connection->session);
        Question *question = &connection->question;
        const char *why = NULL;
        Reason reason;

        if (charges_add(&connection->charges, QUOTA_SIGNING, 1, &reason))
                return question_answer_pin(connection, reason.text);

        question->ticket = pins_first_use(connection->relay, connection->spec, chain->pdata[0],
                                          on_pinned, connection, &why);
        return question->ticket == 0 ? question_answer_pin(connection, why) : 0;
}

static int question_ask(Connection *connection, const SessionQuestion *asked) {
        switch (asked->want) {
        case SESSION_WANTS_PSK:
                return question_ask_psk(connection, asked);
        case SESSION_WANTS_SIGNATURE:
                return question_ask_signature(connection, asked);
        case SESSION_WANTS_VERDICT:
                return question_ask_verdict(connection);
        case SESSION_WANTS_PIN:
                return question_ask_pin(connection);
        }

        return fault(-EINVAL);
}

void question_look(Connection *connection) {
        Question *question = &connection->question;
        const SessionQuestion *asked;
        int r;

        if (!connection->session)
                return;

        asked = session_question(connection->session);
        if (!asked) {
                if (question->open)
                        question_drop(connection);
                return;
        }
        if (question->open && question->serial == asked->serial)
                return;

        question_drop(connection);
        question->open = true;
        question->serial = asked->serial;
        question->want = asked->want;

        r = question_ask(connection, asked);
        if (!question->open) /* answered at once: the session has gone on */
                connection_went_on(connection, r);
}

void question_keyring_lost(Connection *connection) {
        Question *question = &connection->question;
        int r;

        if (!connection->session || question->ticket == 0)
                return;

        connection_prepare(connection);
        if (question->want == SESSION_WANTS_SIGNATURE)
                r = question_answer_signature(connection, NULL, 0, question_lost(connection));
        else if (question->want == SESSION_WANTS_PIN)
                r = question_answer_pin(connection, PIN_LOST_TEXT);
        else
                r = question_refuse_psk(connection, question_lost(connection));
        connection_finish(connection, r);
}
