/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "wire.h"

#include "lib/certificates.h"
#include "lib/direct.h"

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <string.h>

#define DELAY_DEFAULT_USEC 10000
#define REORDER_USEC 30000 /* how much later a datagram may come when it is overtaken */
#define EXPIRED_MAX 20     /* timers at one time; more is a busy loop */
#define SERVER_KEY_ID 1
#define CLIENT_KEY_ID 2

/* Made once: certificates take long. */
static struct {
        TestIdentity *ca;
        TestIdentity *server[N_WIRE_KEYS];
        TestIdentity *client;
        Chain *server_chain[N_WIRE_KEYS];
        Chain *client_chain;
        Trust *trust;
} world;

static Chain *world_chain(const TestIdentity *leaf) {
        g_autoptr(GPtrArray) ders = test_chain_ders(leaf, NULL);
        Chain *chain;

        g_assert_cmpint(chain_new(ders, &chain), ==, 0);
        return chain;
}

void wire_world_make(void) {
        static const TestKeyType types[N_WIRE_KEYS] = {
                [WIRE_ECDSA] = TEST_KEY_ECDSA,
                [WIRE_RSA] = TEST_KEY_RSA_2048,
                [WIRE_ED25519] = TEST_KEY_ED25519,
        };
        g_autoptr(GPtrArray) anchors = NULL;

        g_assert_cmpint(session_global_init(), ==, 0);

        world.ca = test_identity_new("ca", NULL, TEST_IDENTITY_CA, TEST_KEY_ECDSA);
        for (unsigned i = 0; i < N_WIRE_KEYS; i++) {
                world.server[i] = test_identity_new(WIRE_SERVER_NAME, world.ca, 0, types[i]);
                world.server_chain[i] = world_chain(world.server[i]);
        }
        world.client = test_identity_new("client", world.ca, 0, TEST_KEY_ECDSA);
        world.client_chain = world_chain(world.client);

        anchors = test_chain_ders(world.ca, NULL);
        g_assert_cmpint(trust_new(anchors, &world.trust), ==, 0);
}

void wire_world_free(void) {
        for (unsigned i = 0; i < N_WIRE_KEYS; i++) {
                test_identity_free(world.server[i]);
                chain_unref(world.server_chain[i]);
        }
        chain_unref(world.client_chain);
        trust_unref(world.trust);
        test_identity_free(world.client);
        test_identity_free(world.ca);
}

static SessionConfig *end_config(const WireSetup *setup, DtlsRole role) {
        bool server = role == DTLS_SERVER;
        SessionConfigSpec spec = {
                .role = role,
                .protocol = PROTOCOL_DTLS_1_2_OR_LATER,
                .verify_mode = server ? VERIFY_NONE : VERIFY_PEER,
                .interrupt_on_error = true,
                .server_name_indication = true,
        };
        SessionConfig *config;

        if (server && setup->server_config)
                return session_config_ref(setup->server_config);

        spec.tickets = setup->tickets;
        if (setup->kind == WIRE_PSK) {
                spec.psk = true;
                spec.psk_hint = server ? setup->hint : NULL;
        } else if (server) {
                spec.chain = world.server_chain[setup->key];
                spec.key_id = SERVER_KEY_ID;
        }
        if (setup->kind == WIRE_MUTUAL && server)
                spec.verify_mode = VERIFY_PEER;
        if (setup->kind == WIRE_MUTUAL && !server) {
                spec.chain = world.client_chain;
                spec.key_id = CLIENT_KEY_ID;
        }
        if (setup->kind != WIRE_PSK && !setup->distrust)
                spec.trust = world.trust;

        g_assert_cmpint(session_config_new(&spec, &config), ==, 0);
        return config;
}

static void end_init(WireEnd *end, Wire *wire, WireEnd *peer, DtlsRole role) {
        end->wire = wire;
        end->peer = peer;
        end->role = role;
        end->config = end_config(&wire->setup, role);
        end->received = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
        end->answer_usec = SESSION_NEVER;
        g_assert_cmpint(
                address_parse(role == DTLS_CLIENT ? "192.0.2.1" : "192.0.2.2", 5684, &end->address),
                ==, 0);
}

static void end_done(WireEnd *end) {
        session_free(end->session);
        session_config_unref(end->config);
        g_ptr_array_unref(end->received);
}

static Session *end_session(WireEnd *end, const Hello *hello) {
        const WireSetup *setup = &end->wire->setup;
        SessionSpec spec = {
                .config = end->config,
                .mtu = setup->mtu,
                .manual = end->role == DTLS_CLIENT ? setup->client_manual : setup->server_manual,
                .retransmit_initial_usec = WIRE_SECOND,
                .retransmit_max_usec = 8 * WIRE_SECOND,
                .handshake_deadline_usec = setup->handshake_deadline_usec,
                .answer_deadline_usec = setup->answer_deadline_usec,
                .hello = hello,
                .ticket = end->role == DTLS_CLIENT ? setup->ticket : NULL,
                .direct_after = test_direct_after(),
        };
        Session *session;

        if (end->role == DTLS_CLIENT && setup->kind != WIRE_PSK)
                spec.verification_name = setup->name ? setup->name : WIRE_SERVER_NAME;
        if (spec.handshake_deadline_usec == 0)
                spec.handshake_deadline_usec = 3600 * WIRE_SECOND;
        if (spec.answer_deadline_usec == 0)
                spec.answer_deadline_usec = 1800 * WIRE_SECOND;

        g_assert_cmpint(session_new(&spec, end->wire->now_usec, &session), ==, 0);
        return session;
}

static void packet_free(void *pointer) {
        WirePacket *packet = pointer;

        g_free(packet->bytes);
        g_free(packet);
}

Wire *wire_new(const WireSetup *setup) {
        Wire *wire = g_new0(Wire, 1);

        wire->setup = *setup;
        wire->now_usec = 1000 * WIRE_SECOND;
        wire->random = g_rand_new_with_seed(setup->seed);
        wire->packets = g_ptr_array_new_with_free_func(packet_free);
        wire->net = datagram_batch_new(64, (size_t)256 * 1024);
        wire->app = datagram_batch_new(64, (size_t)256 * 1024);
        end_init(&wire->client, wire, &wire->server, DTLS_CLIENT);
        end_init(&wire->server, wire, &wire->client, DTLS_SERVER);
        if (setup->cookies)
                g_assert_cmpint(cookie_jar_new("Sha256", NULL, 0, &wire->jar), ==, 0);

        wire->client.session = end_session(&wire->client, NULL);
        return wire;
}

Wire *wire_free(Wire *wire) {
        if (!wire)
                return NULL;

        end_done(&wire->client);
        end_done(&wire->server);
        cookie_jar_free(wire->jar);
        datagram_batch_free(wire->net);
        datagram_batch_free(wire->app);
        g_ptr_array_unref(wire->packets);
        g_rand_free(wire->random);
        g_free(wire);
        return NULL;
}

static bool wire_chance(Wire *wire, unsigned percent) {
        return percent > 0 && g_rand_int_range(wire->random, 0, 100) < (gint32)percent;
}

static WirePacket *packet_new(WireEnd *from, const uint8_t *bytes, size_t size) {
        Wire *wire = from->wire;
        uint64_t delay_usec = wire->setup.delay_usec ? wire->setup.delay_usec : DELAY_DEFAULT_USEC;
        WirePacket *packet = g_new0(WirePacket, 1);

        packet->due_usec = wire->now_usec + delay_usec;
        if (wire_chance(wire, wire->setup.reordering))
                packet->due_usec += g_rand_int_range(wire->random, 1, REORDER_USEC);
        packet->order = wire->n_sent;
        packet->to = from->peer;
        packet->bytes = g_memdup2(bytes, size);
        packet->size = size;
        if (wire_chance(wire, wire->setup.corruption))
                packet->bytes[g_rand_int_range(wire->random, 0, (gint32)size)] ^=
                        1 << g_rand_int_range(wire->random, 0, 8);
        return packet;
}

static void wire_send_packet(WireEnd *from, unsigned index, const uint8_t *bytes, size_t size) {
        Wire *wire = from->wire;
        WirePacket *packet = packet_new(from, bytes, size);

        if ((wire->tap && !wire->tap(wire, from, index, packet, wire->tap_data)) ||
            wire_chance(wire, wire->setup.loss))
                packet_free(packet);
        else
                g_ptr_array_add(wire->packets, packet);
}

static void wire_send_batch(WireEnd *from) {
        Wire *wire = from->wire;
        size_t mtu = wire->setup.mtu ? wire->setup.mtu : SESSION_MTU_DEFAULT;

        for (size_t i = 0; i < datagram_batch_count(wire->net); i++) {
                Datagram out = datagram_batch_at(wire->net, i);
                unsigned index = wire->n_sent++;

                if (from->session && session_state(from->session) == SESSION_SHAKING)
                        g_assert_cmpuint(out.size, <=, mtu);
                g_assert_cmpuint(out.size, >, 0);

                from->n_sent++;
                wire_send_packet(from, index, out.data, out.size);
                if (wire_chance(wire, wire->setup.duplication))
                        wire_send_packet(from, index, out.data, out.size);
        }
        datagram_batch_reset(wire->net);
}

void wire_before(WireEnd *end) {
        Wire *wire = end->wire;

        datagram_batch_reset(wire->net);
        datagram_batch_reset(wire->app);
        datagram_batch_address(wire->net, &end->peer->address, &end->address);
}

static void end_take_app(WireEnd *end) {
        Wire *wire = end->wire;

        for (size_t i = 0; i < datagram_batch_count(wire->app); i++) {
                Datagram plain = datagram_batch_at(wire->app, i);

                g_ptr_array_add(end->received, g_bytes_new(plain.data, plain.size));
        }
        datagram_batch_reset(wire->app);
}

static void end_schedule_answer(WireEnd *end) {
        Wire *wire = end->wire;

        if (!session_question(end->session))
                end->answer_usec = SESSION_NEVER;
        else if (wire->setup.answers == WIRE_ANSWERS_AT_ONCE)
                (void)wire_answer(end);
        else if (wire->setup.answers == WIRE_ANSWERS_LATER && end->answer_usec == SESSION_NEVER)
                end->answer_usec = wire->now_usec + wire->setup.answer_delay_usec;
}

void wire_after(WireEnd *end, int r) {
        g_assert_cmpint(r, >=, 0);

        end_take_app(end);
        wire_send_batch(end);

        switch (r) {
        case 0:
                break;
        case SESSION_E_TIMEOUT:
                end->n_timeouts++;
                break;
        case SESSION_E_CLOSED:
        case SESSION_E_FAILED:
                g_assert_cmpint(end->end, ==, 0);
                g_assert_cmpint(session_state(end->session), ==, SESSION_OVER);
                end->end = r;
                break;
        default:
                g_assert_not_reached();
        }
        end_schedule_answer(end);
}

static void end_sign(WireEnd *end, const SessionQuestion *question, gnutls_datum_t *ret) {
        const TestIdentity *identity = question->key_id == SERVER_KEY_ID
                                               ? world.server[end->wire->setup.key]
                                               : world.client;
        gnutls_sign_algorithm_t algorithm = gnutls_sign_get_id(question->algorithm);
        const gnutls_datum_t input = {(uint8_t *)question->input, question->input_size};
        gnutls_privkey_t key;
        int r;

        g_assert_cmpint(gnutls_privkey_init(&key), ==, 0);
        g_assert_cmpint(gnutls_privkey_import_x509(key, test_identity_key(identity), 0), ==, 0);
        if (question->is_hash)
                r = gnutls_privkey_sign_hash2(key, algorithm, 0, &input, ret);
        else
                r = gnutls_privkey_sign_data2(key, algorithm, 0, &input, ret);
        g_assert_cmpint(r, ==, 0);
        gnutls_privkey_deinit(key);
}

static int end_answer_signature(WireEnd *end, const SessionQuestion *question) {
        Wire *wire = end->wire;
        gnutls_datum_t signature;
        int r;

        end_sign(end, question, &signature);
        r = session_answer_signature(end->session, question->serial, wire->now_usec, signature.data,
                                     signature.size, NULL, wire->net, wire->app);
        gnutls_free(signature.data);
        return r;
}

static int end_answer_psk(WireEnd *end, const SessionQuestion *question) {
        Wire *wire = end->wire;
        bool other = wire->setup.wrong_key && end->role == DTLS_SERVER;
        const char *text = other ? "another key" : WIRE_PSK_KEY;
        g_autoptr(Secret) key = secret_new(text, strlen(text));
        g_autoptr(GBytes) identity = g_bytes_new_static(WIRE_IDENTITY, strlen(WIRE_IDENTITY));

        if (end->role == DTLS_SERVER)
                g_assert_true(g_bytes_equal(question->identity, identity));

        return session_answer_psk(end->session, question->serial, wire->now_usec, identity, key,
                                  wire->net, wire->app);
}

bool wire_answer(WireEnd *end) {
        const SessionQuestion *question = end->session ? session_question(end->session) : NULL;
        Wire *wire = end->wire;
        int r = 0;

        if (!question)
                return false;

        end->answer_usec = SESSION_NEVER;
        wire_before(end);
        switch (question->want) {
        case SESSION_WANTS_PSK:
                r = end_answer_psk(end, question);
                break;
        case SESSION_WANTS_SIGNATURE:
                r = end_answer_signature(end, question);
                break;
        case SESSION_WANTS_VERDICT:
                r = session_answer_verdict(end->session, question->serial, wire->now_usec,
                                           /* accept= */ true, wire->net, wire->app);
                break;
        case SESSION_WANTS_PIN:
                r = session_answer_pin(end->session, question->serial, wire->now_usec, NULL,
                                       wire->net, wire->app);
                break;
        }
        wire_after(end, r);
        return true;
}

void wire_expire(WireEnd *end) {
        Wire *wire = end->wire;

        if (end->expired_usec != wire->now_usec)
                end->n_expired = 0;
        end->expired_usec = wire->now_usec;
        g_assert_cmpuint(end->n_expired++, <, EXPIRED_MAX);

        wire_before(end);
        wire_after(end, session_expire(end->session, wire->now_usec, wire->net, wire->app));
}

void wire_start(Wire *wire) {
        wire_before(&wire->client);
        wire_after(&wire->client, session_start(wire->client.session, wire->now_usec, wire->net));
}

/* What relay does with a datagram from somebody unknown. */
static bool server_accept(WireEnd *server, const Datagram *in) {
        Wire *wire = server->wire;
        Hello hello;
        int r;

        if (!wire->jar) {
                if (hello_parse(in->data, in->size, &hello) != 0)
                        return false;

                server->session = end_session(server, NULL);
                return true;
        }

        r = cookie_check(wire->jar, wire->now_usec, in, wire->net, &hello);
        g_assert_cmpint(r, >=, 0);
        if (r == COOKIE_E_ASKED) {
                wire->n_cookies_asked++;
                wire_send_batch(server);
        }
        if (r != 0)
                return false;

        server->session = end_session(server, &hello);
        return true;
}

void wire_inject(WireEnd *to, const void *data, size_t size) {
        g_autofree uint8_t *exact = g_memdup2(data, size); /* for ASan */
        Wire *wire = to->wire;
        Datagram in = {
                .data = exact,
                .size = size,
                .peer = to->peer->address,
                .local = to->address,
        };

        wire_before(to);
        if (!to->session && !server_accept(to, &in))
                return;

        wire_after(to, session_receive(to->session, wire->now_usec, &in, wire->net, wire->app));
}

static uint64_t end_deadline(const WireEnd *end) {
        uint64_t deadline_usec;

        if (!end->session)
                return SESSION_NEVER;

        deadline_usec = session_deadline_usec(end->session);
        if (session_state(end->session) == SESSION_SHAKING)
                g_assert_cmpuint(deadline_usec, !=, SESSION_NEVER); /* it could hang for ever */

        return MIN(deadline_usec, end->answer_usec);
}

static bool wire_next_packet(const Wire *wire, guint *ret) {
        bool found = false;

        for (guint i = 0; i < wire->packets->len; i++) {
                const WirePacket *packet = wire->packets->pdata[i];
                const WirePacket *best = found ? wire->packets->pdata[*ret] : NULL;

                if (best && (packet->due_usec > best->due_usec ||
                             (packet->due_usec == best->due_usec && packet->order > best->order)))
                        continue;

                *ret = i;
                found = true;
        }

        return found;
}

static void wire_deliver(Wire *wire, guint i) {
        WirePacket *packet = g_ptr_array_steal_index(wire->packets, i);

        if (wire->step)
                wire->step(wire, wire->n_delivered, wire->step_data);
        wire->n_delivered++;
        wire_inject(packet->to, packet->bytes, packet->size);
        packet_free(packet);
}

static void end_due(WireEnd *end) {
        Wire *wire = end->wire;

        if (wire->now_usec >= end->answer_usec)
                (void)wire_answer(end);
        else
                wire_expire(end);
}

/* When the next thing happens; SESSION_NEVER: nothing will. */
static uint64_t wire_next_usec(const Wire *wire) {
        uint64_t next_usec = MIN(end_deadline(&wire->client), end_deadline(&wire->server));
        guint i;

        if (wire_next_packet(wire, &i))
                next_usec = MIN(next_usec, ((WirePacket *)wire->packets->pdata[i])->due_usec);

        return next_usec;
}

bool wire_step(Wire *wire) {
        uint64_t next_usec = wire_next_usec(wire);
        guint i;

        if (next_usec == SESSION_NEVER)
                return false;

        wire->now_usec = MAX(wire->now_usec, next_usec);
        if (wire_next_packet(wire, &i) &&
            ((WirePacket *)wire->packets->pdata[i])->due_usec <= wire->now_usec)
                wire_deliver(wire, i);
        else if (end_deadline(&wire->client) <= wire->now_usec)
                end_due(&wire->client);
        else
                end_due(&wire->server);
        return true;
}

bool wire_is_open(const Wire *wire) {
        return wire->server.session && session_state(wire->client.session) == SESSION_OPEN &&
               session_state(wire->server.session) == SESSION_OPEN;
}

bool wire_is_over(const Wire *wire) {
        return wire->client.end || wire->server.end;
}

bool wire_shake(Wire *wire, uint64_t limit_usec) {
        uint64_t until_usec = wire->now_usec + limit_usec;

        while (!wire_is_open(wire) && !wire_is_over(wire) && wire_next_usec(wire) <= until_usec)
                if (!wire_step(wire))
                        break;

        return wire_is_open(wire);
}

void wire_pass(Wire *wire, uint64_t usec) {
        uint64_t until_usec = wire->now_usec + usec;

        while (wire_next_usec(wire) <= until_usec)
                if (!wire_step(wire))
                        break;

        wire->now_usec = until_usec;
}

int wire_say(WireEnd *from, const void *data, size_t size) {
        int r;

        wire_before(from);
        r = session_send(from->session, data, size, from->wire->net);
        wire_send_batch(from);
        return r;
}

bool wire_talks(WireEnd *from, unsigned n_tries) {
        WireEnd *to = from->peer;

        for (unsigned i = 0; i < n_tries; i++) {
                guint n_before = to->received->len;
                char text[16];
                int n = g_snprintf(text, sizeof(text), "say %u", i);

                g_assert_cmpint(wire_say(from, text, n), ==, 0);
                wire_pass(from->wire, WIRE_SECOND / 5);
                if (to->received->len > n_before) {
                        g_autoptr(GBytes) said = g_bytes_new(text, n);

                        g_assert_true(
                                g_bytes_equal(to->received->pdata[to->received->len - 1], said));
                        return true;
                }
        }

        return false;
}
