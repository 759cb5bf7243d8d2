/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "pair.h"

#include "lib/direct.h"

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <string.h>

const TestIdentity *pair_identity(PairIdentity which) {
        static TestIdentity *identities[N_PAIR_IDENTITIES];
        static const struct {
                const char *name;
                TestIdentityFlags flags;
                TestKeyType key;
        } kinds[N_PAIR_IDENTITIES] = {
                [PAIR_CA] = {"CA", TEST_IDENTITY_CA, TEST_KEY_ECDSA},
                [PAIR_ECDSA] = {"server.test", 0, TEST_KEY_ECDSA},
                [PAIR_RSA] = {"server.test", 0, TEST_KEY_RSA_2048},
                [PAIR_ED25519] = {"server.test", 0, TEST_KEY_ED25519},
                [PAIR_CLIENT] = {"client.test", 0, TEST_KEY_ECDSA},
                [PAIR_STRANGER] = {"server.test", 0, TEST_KEY_ECDSA},
        };
        bool alone = which == PAIR_CA || which == PAIR_STRANGER;

        if (!identities[which])
                identities[which] =
                        test_identity_new(kinds[which].name, alone ? NULL : pair_identity(PAIR_CA),
                                          kinds[which].flags, kinds[which].key);

        return identities[which];
}

PairSpec pair_spec_certificate(const TestIdentity *server, const TestIdentity *ca) {
        return (PairSpec){
                .client = {.role = DTLS_CLIENT,
                           .protocol = PROTOCOL_DTLS_1_2_OR_LATER,
                           .verify_mode = AUTO_VERIFY_PEER,
                           .interrupt_on_error = true,
                           .server_name_indication = true},
                .server = {.role = DTLS_SERVER,
                           .protocol = PROTOCOL_DTLS_1_2_OR_LATER,
                           .verify_mode = VERIFY_NONE,
                           .interrupt_on_error = true},
                .server_identity = server,
                .client_trust = ca,
                .name = "server.test",
        };
}

PairSpec pair_spec_psk(void) {
        return (PairSpec){
                .client = {.role = DTLS_CLIENT,
                           .protocol = PROTOCOL_DTLS_1_2_OR_LATER,
                           .psk = true},
                .server = {.role = DTLS_SERVER,
                           .protocol = PROTOCOL_DTLS_1_2_OR_LATER,
                           .psk = true},
        };
}

static SessionConfig *pair_config(SessionConfigSpec spec, const TestIdentity *identity, GBytes *der,
                                  const TestIdentity *anchor) {
        g_autoptr(GPtrArray) anchors = anchor ? test_chain_ders(anchor, NULL) : g_ptr_array_new();
        g_autoptr(GPtrArray) ders = NULL;
        g_autoptr(Trust) trust = NULL;
        g_autoptr(Chain) chain = NULL;
        SessionConfig *config = NULL;

        if (anchor)
                g_assert_cmpint(trust_new(anchors, &trust), ==, 0);
        if (identity) {
                ders = der ? test_blobs(der, NULL) : test_chain_ders(identity, NULL);
                g_assert_cmpint(chain_new(ders, &chain), ==, 0);
        }

        spec.trust = trust;
        spec.chain = chain;
        spec.key_id = identity ? 42 : 0;
        g_assert_cmpint(session_config_new(&spec, &config), ==, 0);
        return config;
}

SessionConfig *pair_server_config(const PairSpec *spec) {
        return pair_config(spec->server, spec->server_identity, spec->server_der,
                           spec->server_trust);
}

static uint32_t pair_direct_after(uint32_t after) {
        if (after == PAIR_NEVER_DIRECT)
                return 0;

        return after ? after : test_direct_after();
}

static void pair_end_init(PairEnd *end, SessionConfigSpec config_spec, const TestIdentity *identity,
                          const TestIdentity *anchor, const PairSpec *spec, uint64_t now_usec) {
        bool client = config_spec.role == DTLS_CLIENT;
        g_autoptr(SessionConfig) config =
                !client && spec->server_config
                        ? session_config_ref(spec->server_config)
                        : pair_config(config_spec, identity,
                                      client ? spec->client_der : spec->server_der, anchor);
        SessionSpec session_spec = {
                .config = config,
                .verification_name = client ? spec->name : NULL,
                .mtu = spec->mtu,
                .manual = spec->manual,
                .retransmit_initial_usec = PAIR_INITIAL_USEC,
                .retransmit_max_usec = PAIR_MAX_USEC,
                .handshake_deadline_usec = PAIR_DEADLINE_USEC,
                .answer_deadline_usec = PAIR_ANSWER_USEC,
                .ignored_codes = client ? spec->ignored_codes : NULL,
                .ticket = client ? spec->ticket : NULL,
                .direct_after = pair_direct_after(client ? spec->client_direct_after
                                                         : spec->server_direct_after),
        };

        end->net = datagram_batch_new(64, 128 * 1024);
        end->app = datagram_batch_new(64, 128 * 1024);
        end->received = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
        end->shape = g_string_new(NULL);
        g_queue_init(&end->inbox);
        end->identity = identity;
        end->psk = "0123456789abcdef";
        end->psk_identity = "alice";
        g_assert_cmpint(session_new(&session_spec, now_usec, &end->session), ==, 0);
}

Pair *pair_new(const PairSpec *spec) {
        Pair *pair = g_new0(Pair, 1);

        g_assert_cmpint(session_global_init(), ==, 0);
        pair->now_usec = UINT64_C(5000000000);
        pair_end_init(&pair->client, spec->client, spec->client_identity, spec->client_trust, spec,
                      pair->now_usec);
        pair_end_init(&pair->server, spec->server, spec->server_identity, spec->server_trust, spec,
                      pair->now_usec);
        return pair;
}

static void pair_end_done(PairEnd *end) {
        session_free(end->session);
        datagram_batch_free(end->net);
        datagram_batch_free(end->app);
        g_queue_clear_full(&end->inbox, (GDestroyNotify)g_bytes_unref);
        g_ptr_array_unref(end->received);
        (void)g_string_free(end->shape, TRUE);
        g_free(end->hint);
        g_free(end->asked_identity);
}

Pair *pair_free(Pair *pair) {
        pair_end_done(&pair->client);
        pair_end_done(&pair->server);
        g_free(pair);
        return NULL;
}

static PairEnd *pair_other(Pair *pair, const PairEnd *end) {
        return end == &pair->client ? &pair->server : &pair->client;
}

static bool pair_loses(PairEnd *end) {
        if (end->n_keep > 0) {
                end->n_keep--;
                return false;
        }
        if (end->n_lose == 0)
                return false;

        end->n_lose--;
        return true;
}

static void pair_note_shape(Pair *pair, PairEnd *end, const Datagram *out) {
        const uint8_t *record = out->data;

        g_string_append_printf(end->shape, "%" G_GUINT64_FORMAT ":", pair->now_usec);
        while (record < (const uint8_t *)out->data + out->size) {
                for (size_t i = 0; i < 13; i++)
                        g_string_append_printf(end->shape, "%02x", record[i]);
                if (record[0] == 21) /* an alert in the clear */
                        g_string_append_printf(end->shape, "(%u)", record[14]);
                g_string_append_c(end->shape, ' ');
                record += 13 + (record[11] << 8 | record[12]);
        }
}

void pair_collect(Pair *pair, PairEnd *end) {
        for (size_t i = 0; i < datagram_batch_count(end->net); i++) {
                Datagram out = datagram_batch_at(end->net, i);

                end->n_sent++;
                pair_note_shape(pair, end, &out);
                end->largest_sent = MAX(end->largest_sent, out.size);
                if (pair_loses(end))
                        continue;

                g_queue_push_tail(&pair_other(pair, end)->inbox, g_bytes_new(out.data, out.size));
        }
        for (size_t i = 0; i < datagram_batch_count(end->app); i++) {
                Datagram plain = datagram_batch_at(end->app, i);

                g_ptr_array_add(end->received, g_bytes_new(plain.data, plain.size));
        }

        datagram_batch_reset(end->net);
        datagram_batch_reset(end->app);
}

static void pair_result(Pair *pair, PairEnd *end, int r) {
        g_assert_cmpint(r, >=, 0);
        if (end->result == 0 && r != SESSION_E_TIMEOUT)
                end->result = r;
        pair_collect(pair, end);
}

static int pair_sign(Pair *pair, PairEnd *end, const SessionQuestion *question) {
        gnutls_datum_t input = {.data = (void *)question->input,
                                .size = (unsigned)question->input_size};
        gnutls_datum_t signature = {0};
        gnutls_privkey_t key;
        int r;

        g_assert_cmpuint(question->key_id, ==, 42);
        g_assert_nonnull(end->identity);
        g_assert_cmpint(gnutls_privkey_init(&key), ==, 0);
        g_assert_cmpint(gnutls_privkey_import_x509(key, test_identity_key(end->identity), 0), ==,
                        0);
        if (question->is_hash)
                r = gnutls_privkey_sign_hash2(key, gnutls_sign_get_id(question->algorithm), 0,
                                              &input, &signature);
        else
                r = gnutls_privkey_sign_data2(key, gnutls_sign_get_id(question->algorithm), 0,
                                              &input, &signature);
        g_assert_cmpint(r, ==, 0);
        gnutls_privkey_deinit(key);

        r = session_answer_signature(end->session, question->serial, pair->now_usec, signature.data,
                                     signature.size, NULL, end->net, end->app);
        gnutls_free(signature.data);
        return r;
}

static char *pair_text(GBytes *bytes) {
        gsize size;
        gconstpointer data;

        if (!bytes)
                return NULL;

        data = g_bytes_get_data(bytes, &size);
        return size > 0 ? g_strndup(data, size) : g_strdup("");
}

static int pair_psk(Pair *pair, PairEnd *end, const SessionQuestion *question) {
        g_autoptr(GBytes) identity = g_bytes_new(end->psk_identity, strlen(end->psk_identity));
        g_autoptr(Secret) key = end->psk ? secret_new(end->psk, strlen(end->psk)) : NULL;

        g_free(end->hint);
        g_free(end->asked_identity);
        end->hint = pair_text(question->hint);
        end->asked_identity = pair_text(question->identity);
        return session_answer_psk(end->session, question->serial, pair->now_usec, identity, key,
                                  end->net, end->app);
}

bool pair_answer(Pair *pair, PairEnd *end) {
        const SessionQuestion *question = session_question(end->session);
        int r = 0;

        if (!question)
                return false;

        end->n_questions++;
        switch (question->want) {
        case SESSION_WANTS_SIGNATURE:
                r = pair_sign(pair, end, question);
                break;
        case SESSION_WANTS_PSK:
                r = pair_psk(pair, end, question);
                break;
        case SESSION_WANTS_VERDICT:
                end->n_verdicts++;
                r = session_answer_verdict(end->session, question->serial, pair->now_usec,
                                           end->accept, end->net, end->app);
                break;
        case SESSION_WANTS_PIN:
                end->n_pins++;
                r = session_answer_pin(end->session, question->serial, pair->now_usec, end->no_pin,
                                       end->net, end->app);
                break;
        }

        pair_result(pair, end, r);
        return true;
}

static bool pair_end_step(Pair *pair, PairEnd *end) {
        g_autoptr(GBytes) datagram = g_queue_pop_head(&end->inbox);
        Datagram in = {0};
        gsize size;

        if (!datagram)
                return !end->no_answer && pair_answer(pair, end);

        in.data = g_bytes_get_data(datagram, &size);
        in.size = size;
        pair_result(pair, end,
                    session_receive(end->session, pair->now_usec, &in, end->net, end->app));
        return true;
}

void pair_run(Pair *pair) {
        bool moved = true;

        for (unsigned i = 0; moved; i++) {
                g_assert_cmpuint(i, <, 1000);
                moved = pair_end_step(pair, &pair->client);
                moved = pair_end_step(pair, &pair->server) || moved;
        }
}

void pair_start(Pair *pair) {
        PairEnd *client = &pair->client;

        pair_result(pair, client, session_start(client->session, pair->now_usec, client->net));
        pair_run(pair);
}

static void pair_end_expire(Pair *pair, PairEnd *end) {
        pair_result(pair, end, session_expire(end->session, pair->now_usec, end->net, end->app));
}

bool pair_expire(Pair *pair) {
        uint64_t deadline_usec = MIN(session_deadline_usec(pair->client.session),
                                     session_deadline_usec(pair->server.session));

        if (deadline_usec == SESSION_NEVER)
                return false;

        pair->now_usec = MAX(pair->now_usec, deadline_usec);
        pair_end_expire(pair, &pair->client);
        pair_end_expire(pair, &pair->server);
        pair_run(pair);
        return true;
}

void pair_send(Pair *pair, PairEnd *from, const void *data, size_t size) {
        g_assert_cmpint(session_send(from->session, data, size, from->net), ==, 0);
        pair_collect(pair, from);
        pair_run(pair);
}

void pair_assert_open(Pair *pair) {
        g_assert_null(session_failure(pair->client.session)->text);
        g_assert_null(session_failure(pair->server.session)->text);
        g_assert_cmpint(session_state(pair->client.session), ==, SESSION_OPEN);
        g_assert_cmpint(session_state(pair->server.session), ==, SESSION_OPEN);
}

void pair_assert_received(const PairEnd *end, guint i, const void *data, size_t size) {
        GBytes *bytes;

        g_assert_cmpuint(end->received->len, >, i);
        bytes = end->received->pdata[i];
        g_assert_cmpmem(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes), data, size);
}

void pair_assert_talks(Pair *pair) {
        guint n_client = pair->client.received->len, n_server = pair->server.received->len;

        pair_send(pair, &pair->client, "ping", 4);
        pair_send(pair, &pair->server, "pong\0!", 6);
        pair_assert_received(&pair->server, n_server, "ping", 4);
        pair_assert_received(&pair->client, n_client, "pong\0!", 6);
}
