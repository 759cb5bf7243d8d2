/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Records beside GnuTLS's record layer, against GnuTLS's own: each script is played to a server
 * that opens them itself and to one that leaves all to GnuTLS, and what came of it must be the
 * same.
 */

#include "pair.h"
#include "session/private.h"

#include <fcntl.h>
#include <gnutls/crypto.h>
#include <sys/mman.h>
#include <unistd.h>

static const char *const ciphers[] = {
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
};

/* The client leaves all to GnuTLS, the server may be the one or the other. */
typedef struct Scene {
        Pair *pair;
        PairEnd *peer, *subject;
        GString *notes; /* what a script found out on its way */
} Scene;

typedef void (*Script)(Scene *scene);

static Pair *pair_with(const char *cipher, uint32_t client_after, uint32_t server_after) {
        PairSpec spec = pair_spec_certificate(pair_identity(PAIR_ECDSA), pair_identity(PAIR_CA));
        g_autoptr(GPtrArray) list = g_ptr_array_new();

        g_ptr_array_add(list, (void *)session_cipher_from_name(cipher));
        spec.client.ciphers = spec.server.ciphers = list;
        spec.client_direct_after = client_after;
        spec.server_direct_after = server_after;
        return pair_new(&spec);
}

/* Each encrypted record that this end has sent has a number of its own, greater than those before.
 */
static void assert_numbers_rise(const PairEnd *end) {
        g_auto(GStrv) words = g_strsplit_set(end->shape->str, " :", -1);
        uint64_t next = UINT64_C(1) << 48;
        unsigned n = 0;

        for (char **word = words; *word; word++) {
                g_autofree char *digits = NULL;
                uint64_t number;

                if (strlen(*word) < (size_t)2 * RECORD_HEADER_SIZE)
                        continue;

                digits = g_strndup(*word + 6, 16);
                number = g_ascii_strtoull(digits, NULL, 16);
                if (!record_number_is_encrypted(number))
                        continue;

                g_assert_cmphex(number, >=, next);
                next = number + 1;
                n++;
        }

        g_assert_cmpuint(n, >, 0);
}

/* ---- what a script does ---- */

/* What this end wants to send, which is not sent yet. */
static GBytes *taken_from(PairEnd *end) {
        Datagram out;
        GBytes *bytes;

        g_assert_cmpuint(datagram_batch_count(end->net), ==, 1);
        out = datagram_batch_at(end->net, 0);
        bytes = g_bytes_new(out.data, out.size);
        datagram_batch_reset(end->net);
        return bytes;
}

static GBytes *data_from(PairEnd *end, const char *text) {
        g_assert_cmpint(session_send(end->session, text, strlen(text), end->net), ==, 0);
        return taken_from(end);
}

static GBytes *alert_from(PairEnd *end, gnutls_alert_level_t level,
                          gnutls_alert_description_t description) {
        wire_begin(end->session, 0, end->net, NULL);
        direct_tell_number(end->session);
        g_assert_cmpint(gnutls_alert_send(end->session->gnutls, level, description), ==, 0);
        wire_end(end->session);
        return taken_from(end);
}

static void bring(Scene *scene, GBytes *datagram) {
        g_queue_push_tail(&scene->subject->inbox, g_bytes_ref(datagram));
        pair_run(scene->pair);
}

static void bring_bytes(Scene *scene, const void *data, size_t size) {
        g_autoptr(GBytes) datagram = g_bytes_new(data, size);

        bring(scene, datagram);
}

static GPtrArray *several(Scene *scene, unsigned n) {
        GPtrArray *datagrams = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);

        for (unsigned i = 0; i < n; i++) {
                g_autofree char *text = g_strdup_printf("datagram %u", i);

                g_ptr_array_add(datagrams, data_from(scene->peer, text));
        }

        return datagrams;
}

/* A record of the peer's that GnuTLS would not write. */
static GBytes *forged(Scene *scene, uint64_t number, size_t size) {
        RecordKey *key = record_key_new(scene->peer->session->gnutls, /* open= */ false);
        g_autofree uint8_t *plain = g_malloc0(size + 1);
        g_autofree uint8_t *record = g_malloc(size + 100);
        size_t sealed;

        g_assert_nonnull(key);
        sealed = record_seal(key, number, plain, size, record);
        g_assert_cmpuint(sealed, ==, size + record_key_overhead(key));
        record_key_free(key);
        return g_bytes_new(record, sealed);
}

/* ---- the scripts ---- */

static void script_each_twice(Scene *scene) {
        g_autoptr(GPtrArray) datagrams = several(scene, 200);

        for (guint i = 0; i < datagrams->len; i++) {
                bring(scene, datagrams->pdata[i]);
                bring(scene, datagrams->pdata[i]);
        }
        for (guint i = 0; i < datagrams->len; i++)
                bring(scene, datagrams->pdata[i]);
}

static void script_window_edges(Scene *scene) {
        static const unsigned before[] = {0, 1, 2, 31, 32, 62, 63, 64, 65, 66, 100, 199};
        g_autoptr(GPtrArray) datagrams = several(scene, 200);

        bring(scene, datagrams->pdata[199]);
        for (unsigned round = 0; round < 2; round++)
                for (size_t i = 0; i < G_N_ELEMENTS(before); i++)
                        bring(scene, datagrams->pdata[199 - before[i]]);
}

static void script_any_order(Scene *scene) {
        g_autoptr(GPtrArray) datagrams = several(scene, 500);
        g_autoptr(GRand) random = g_rand_new_with_seed(42);

        for (unsigned i = 0; i < 2000; i++) {
                guint latest = MIN(i / 4 + 10, datagrams->len - 1);
                guint back = g_rand_int(random) % 90;

                bring(scene, datagrams->pdata[latest - MIN(latest, back)]);
        }
}

static void script_every_byte_wrong(Scene *scene) {
        g_autoptr(GBytes) good = data_from(scene->peer, "whole and well");
        gsize size;
        const uint8_t *bytes = g_bytes_get_data(good, &size);

        for (gsize i = 0; i < size; i++)
                for (unsigned bit = 0; bit < 8; bit++) {
                        g_autofree uint8_t *bad = g_memdup2(bytes, size);

                        bad[i] ^= 1U << bit;
                        bring_bytes(scene, bad, size);
                }
        bring(scene, good);
        bring(scene, good);
}

static void script_other_epochs_and_kinds(Scene *scene) {
        g_autoptr(GBytes) good = data_from(scene->peer, "of epoch 1");
        gsize size;
        const uint8_t *bytes = g_bytes_get_data(good, &size);

        for (unsigned epoch = 0; epoch < 4; epoch++) {
                g_autofree uint8_t *other = g_memdup2(bytes, size);

                other[4] = (uint8_t)epoch;
                bring_bytes(scene, other, size);
        }
        for (unsigned type = 0; type < 256; type++) {
                g_autofree uint8_t *other = g_memdup2(bytes, size);

                other[0] = (uint8_t)type;
                bring_bytes(scene, other, size);
        }
}

static void script_cut_and_padded(Scene *scene) {
        g_autoptr(GBytes) good = data_from(scene->peer, "as long as it says");
        gsize size;
        const uint8_t *bytes = g_bytes_get_data(good, &size);
        g_autofree uint8_t *padded = g_malloc0(size + 20);

        for (gsize n = 0; n < size; n++) {
                g_autofree uint8_t *cut = g_memdup2(bytes, n);

                bring_bytes(scene, cut, n);
                if (n <= RECORD_HEADER_SIZE)
                        continue;
                cut[11] = (uint8_t)((n - RECORD_HEADER_SIZE) >> 8);
                cut[12] = (uint8_t)(n - RECORD_HEADER_SIZE);
                bring_bytes(scene, cut, n);
        }

        memcpy(padded, bytes, size);
        bring_bytes(scene, padded, size + 20);
}

static void join(GByteArray *to, GBytes *from) {
        gsize size;
        const uint8_t *bytes = g_bytes_get_data(from, &size);

        (void)g_byte_array_append(to, bytes, (guint)size);
}

static void script_many_in_a_datagram(Scene *scene) {
        g_autoptr(GByteArray) train = g_byte_array_new();
        g_autoptr(GBytes) first = data_from(scene->peer, "first");
        g_autoptr(GBytes) warning =
                alert_from(scene->peer, GNUTLS_AL_WARNING, GNUTLS_A_USER_CANCELED);
        g_autoptr(GBytes) second = data_from(scene->peer, "second");
        g_autoptr(GBytes) third = data_from(scene->peer, "third");

        join(train, first);
        join(train, second);
        bring_bytes(scene, train->data, train->len);
        join(train, warning);
        join(train, first);
        join(train, third);
        bring_bytes(scene, train->data, train->len);
        bring_bytes(scene, train->data, train->len);
        bring(scene, third);
}

/* By us alone: GnuTLS sends none. */
static void script_empty_records(Scene *scene) {
        g_autoptr(GBytes) before = data_from(scene->peer, "before");
        uint64_t number = record_number(g_bytes_get_data(before, NULL));
        g_autoptr(GByteArray) train = g_byte_array_new();
        g_autoptr(GBytes) late = NULL;

        bring(scene, before);
        for (unsigned i = 1; i <= 20; i++) {
                g_autoptr(GBytes) empty = forged(scene, number + i, 0);

                bring(scene, empty);
                bring(scene, empty);
                join(train, empty);
        }
        late = forged(scene, number + 21, 3);
        join(train, late);
        bring_bytes(scene, train->data, train->len);
}

static GBytes *too_long(Scene *scene, uint64_t number, size_t size) {
        static const uint8_t start[] = {23, 0xfe, 0xfd};
        gnutls_datum_t mac, iv, key;
        g_autofree uint8_t *plain = g_malloc0(size);
        uint8_t *record = g_malloc0(size + 37);
        uint8_t nonce[12] = {0}, aad[13];
        size_t sealed = size + 16, before = RECORD_HEADER_SIZE;
        uint64_t wire_number = GUINT64_TO_BE(number);
        gnutls_aead_cipher_hd_t cipher;

        g_assert_cmpint(
                gnutls_record_get_state(scene->peer->session->gnutls, 0, &mac, &iv, &key, NULL), ==,
                0);
        memcpy(nonce, iv.data, iv.size);
        for (size_t i = 0; i < 8; i++)
                nonce[4 + i] ^= ((uint8_t *)&wire_number)[i];
        if (iv.size < sizeof nonce)
                before += 8;

        memcpy(record, start, sizeof start);
        memcpy(record + 3, &wire_number, 8);
        record[11] = (uint8_t)((before - RECORD_HEADER_SIZE + sealed) >> 8);
        record[12] = (uint8_t)(before - RECORD_HEADER_SIZE + sealed);
        if (before > RECORD_HEADER_SIZE)
                memcpy(record + RECORD_HEADER_SIZE, &wire_number, 8);
        memcpy(aad, &wire_number, 8);
        memcpy(aad + 8, record, 3);
        aad[11] = (uint8_t)(size >> 8);
        aad[12] = (uint8_t)size;
        g_assert_cmpint(gnutls_aead_cipher_init(
                                &cipher, gnutls_cipher_get(scene->peer->session->gnutls), &key),
                        ==, 0);
        g_assert_cmpint(gnutls_aead_cipher_encrypt(cipher, nonce, sizeof nonce, aad, sizeof aad, 16,
                                                   plain, size, record + before, &sealed),
                        ==, 0);
        gnutls_aead_cipher_deinit(cipher);
        return g_bytes_new_take(record, before + sealed);
}

static void script_longest_and_one_more(Scene *scene) {
        g_autoptr(GBytes) first = data_from(scene->peer, "first");
        uint64_t number = record_number(g_bytes_get_data(first, NULL));
        g_autoptr(GBytes) longest = forged(scene, number + 1, RECORD_PLAINTEXT_MAX);
        g_autoptr(GBytes) as_long = too_long(scene, number + 2, RECORD_PLAINTEXT_MAX);
        g_autoptr(GBytes) one_more = too_long(scene, number + 3, RECORD_PLAINTEXT_MAX + 1);
        g_autoptr(GBytes) next = forged(scene, number + 4, 4);

        bring(scene, longest);
        bring(scene, as_long);
        bring(scene, one_more);
        bring(scene, next);
}

/* Each is taken once, and what went before it is as old as it would be behind data. */
static void script_warnings(Scene *scene) {
        g_autoptr(GPtrArray) datagrams = several(scene, 100);
        g_autoptr(GBytes) warning =
                alert_from(scene->peer, GNUTLS_AL_WARNING, GNUTLS_A_USER_CANCELED);
        g_autoptr(GBytes) later = data_from(scene->peer, "later");

        bring(scene, datagrams->pdata[0]);
        for (unsigned i = 0; i < 3; i++) {
                bring(scene, warning);
                pair_send(scene->pair, scene->subject, "from here too", 13);
        }
        bring(scene, datagrams->pdata[99]);
        bring(scene, datagrams->pdata[36]); /* 64 before the alert */
        bring(scene, datagrams->pdata[35]);
        bring(scene, later);
        bring(scene, warning);
}

/* An alert older than the window, kept back while data went on. */
static void script_old_warning(Scene *scene) {
        g_autoptr(GBytes) warning =
                alert_from(scene->peer, GNUTLS_AL_WARNING, GNUTLS_A_USER_CANCELED);
        g_autoptr(GPtrArray) datagrams = several(scene, 100);

        for (guint i = 0; i < datagrams->len; i++)
                bring(scene, datagrams->pdata[i]);
        bring(scene, warning);
}

static void script_fatal_alert(Scene *scene) {
        g_autoptr(GBytes) data = data_from(scene->peer, "data");
        g_autoptr(GBytes) alert = alert_from(scene->peer, GNUTLS_AL_FATAL, GNUTLS_A_DECRYPT_ERROR);
        g_autoptr(GBytes) forgery = NULL;
        g_autofree uint8_t *bytes =
                g_memdup2(g_bytes_get_data(alert, NULL), g_bytes_get_size(alert));

        pair_send(scene->pair, scene->subject, "hello", 5);
        bytes[g_bytes_get_size(alert) - 1] ^= 1;
        forgery = g_bytes_new(bytes, g_bytes_get_size(alert));
        bring(scene, forgery);
        bring(scene, data);
        bring(scene, alert);
}

static void script_peer_closes(Scene *scene) {
        pair_assert_talks(scene->pair);
        session_close(scene->peer->session, scene->peer->net);
        pair_collect(scene->pair, scene->peer);
        pair_run(scene->pair);
}

static void script_subject_closes(Scene *scene) {
        pair_assert_talks(scene->pair);
        session_close(scene->subject->session, scene->subject->net);
        pair_collect(scene->pair, scene->subject);
        pair_run(scene->pair);
}

static void script_another_handshake(Scene *scene) {
        Session *peer = scene->peer->session;

        for (unsigned i = 0; i < 5; i++) {
                pair_assert_talks(scene->pair);
                wire_begin(peer, scene->pair->now_usec, scene->peer->net, NULL);
                clock_advance(peer);
                (void)gnutls_handshake(peer->gnutls);
                wire_end(peer);
                pair_collect(scene->pair, scene->peer);
                pair_run(scene->pair);
                g_string_append_printf(scene->notes, "alert %d; ", gnutls_alert_get(peer->gnutls));
                pair_send(scene->pair, scene->subject, "still here", 10);
        }
}

/* The peer's numbers go up to the last there is. */
static void script_last_numbers(Scene *scene) {
        const uint64_t last = (UINT64_C(2) << 48) - 4;
        uint64_t wire_number = GUINT64_TO_BE(last);

        scene->peer->session->direct.next = last;
        g_assert_cmpint(gnutls_record_set_state(scene->peer->session->gnutls, 0,
                                                (const uint8_t *)&wire_number),
                        ==, 0);
        pair_send(scene->pair, scene->peer, "near", 4);
        pair_send(scene->pair, scene->peer, "the", 3);
        pair_send(scene->pair, scene->peer, "end", 3);
}

/* More than the batch takes. */
static void script_no_room(Scene *scene) {
        g_autoptr(GPtrArray) datagrams = several(scene, 4);
        DatagramBatch *app = scene->subject->app;

        scene->subject->app = datagram_batch_new(2, 1000);
        for (guint i = 0; i < datagrams->len; i++) {
                gsize size;
                const uint8_t *bytes = g_bytes_get_data(datagrams->pdata[i], &size);
                Datagram in = {.data = bytes, .size = size};

                g_assert_cmpint(session_receive(scene->subject->session, scene->pair->now_usec, &in,
                                                scene->subject->net, scene->subject->app),
                                ==, 0);
        }
        pair_collect(scene->pair, scene->subject);
        datagram_batch_free(scene->subject->app);
        scene->subject->app = app;
        for (guint i = 0; i < datagrams->len; i++)
                bring(scene, datagrams->pdata[i]);
}

/* ---- the plays ---- */

static char *told(const Scene *scene) {
        SessionStats stats = session_stats(scene->subject->session);
        GString *text = g_string_new(scene->notes->str);

        g_string_append_printf(
                text,
                "accepted %" G_GUINT64_FORMAT ", filtered %" G_GUINT64_FORMAT
                ", discarded %" G_GUINT64_FORMAT ", no room %" G_GUINT64_FORMAT
                ", state %d, result %d, '%s', peer's %d, '%s'\n",
                stats.n_records_accepted, stats.n_dropped_filter, stats.n_discarded,
                stats.n_dropped_app_full, session_state(scene->subject->session),
                scene->subject->result, session_failure(scene->subject->session)->text,
                session_state(scene->peer->session), session_failure(scene->peer->session)->text);
        for (unsigned end = 0; end < 2; end++) {
                const GPtrArray *received = end ? scene->peer->received : scene->subject->received;

                for (guint i = 0; i < received->len; i++) {
                        g_autofree char *sum =
                                g_compute_checksum_for_bytes(G_CHECKSUM_SHA256, received->pdata[i]);

                        g_string_append_printf(text, "%s\n", sum);
                }
        }

        return g_string_free(text, FALSE);
}

static char *play(Script script, const char *cipher, uint32_t after) {
        g_autoptr(Pair) pair = pair_with(cipher, PAIR_NEVER_DIRECT, after);
        g_autoptr(GString) notes = g_string_new(NULL);
        Scene scene = {
                .pair = pair, .peer = &pair->client, .subject = &pair->server, .notes = notes};

        pair_start(pair);
        pair_assert_open(pair);
        script(&scene);
        assert_numbers_rise(scene.subject);
        if (session_state(scene.subject->session) == SESSION_OPEN)
                pair_send(pair, scene.subject, "all of it?", 10);
        if (after != 2) /* which in a short script is never */
                g_assert_true((session_stats(scene.subject->session).n_direct > 0) == (after == 1));
        return told(&scene);
}

static void test_as_gnutls_would(const void *script) {
        for (size_t i = 0; i < G_N_ELEMENTS(ciphers); i++) {
                Script what = *(const Script *)script;
                g_autofree char *gnutls = play(what, ciphers[i], PAIR_NEVER_DIRECT);
                g_autofree char *direct = play(what, ciphers[i], 1);
                g_autofree char *later = play(what, ciphers[i], 2);

                g_assert_cmpstr(direct, ==, gnutls);
                g_assert_cmpstr(later, ==, gnutls);
        }
}

/* ---- both ways ---- */

static void talk(Pair *pair, unsigned n) {
        g_autofree uint8_t *data = g_malloc(SESSION_PAYLOAD_MAX);

        for (size_t i = 0; i < SESSION_PAYLOAD_MAX; i++)
                data[i] = (uint8_t)(i * 7);
        for (unsigned i = 0; i < n; i++) {
                size_t size = i % 10 == 9 ? session_payload_max(pair->client.session) : 1 + i * 13;
                guint n_server = pair->server.received->len, n_client = pair->client.received->len;

                pair_send(pair, &pair->client, data, size);
                pair_assert_received(&pair->server, n_server, data, size);
                pair_send(pair, &pair->server, data, size);
                pair_assert_received(&pair->client, n_client, data, size);
        }
        pair_assert_open(pair);
        assert_numbers_rise(&pair->client);
        assert_numbers_rise(&pair->server);
}

static void test_all_kinds_of_ends_talk(void) {
        static const uint32_t afters[] = {1, 7, PAIR_NEVER_DIRECT};

        for (size_t i = 0; i < G_N_ELEMENTS(ciphers); i++)
                for (size_t client = 0; client < G_N_ELEMENTS(afters); client++)
                        for (size_t server = 0; server < G_N_ELEMENTS(afters); server++) {
                                g_autoptr(Pair) pair =
                                        pair_with(ciphers[i], afters[client], afters[server]);

                                pair_start(pair);
                                pair_assert_open(pair);
                                talk(pair, 100);
                                g_assert_true((session_stats(pair->client.session).n_direct >
                                               150) == (afters[client] != PAIR_NEVER_DIRECT));
                                g_assert_true((session_stats(pair->server.session).n_direct >
                                               150) == (afters[server] != PAIR_NEVER_DIRECT));
                        }
}

static void test_other_ciphers_stay_with_gnutls(void) {
        static const char *const others[] = {
                "TLS_ECDHE_ECDSA_WITH_AES_128_CCM",
                "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256",
        };

        for (size_t i = 0; i < G_N_ELEMENTS(others); i++) {
                g_autoptr(Pair) pair = pair_with(others[i], 1, 1);

                pair_start(pair);
                pair_assert_open(pair);
                talk(pair, 20);
                g_assert_cmpuint(session_stats(pair->client.session).n_direct, ==, 0);
                g_assert_cmpuint(session_stats(pair->server.session).n_direct, ==, 0);
        }
}

static void test_keys_are_made_late_and_gone_at_the_end(void) {
        g_autoptr(Pair) pair = pair_with(ciphers[0], 33, PAIR_NEVER_DIRECT);
        const Direct *direct = &pair->client.session->direct;

        pair_start(pair);
        for (unsigned i = 0; i < 32; i++)
                pair_send(pair, &pair->client, "x", 1);
        g_assert_null(direct->seal);
        pair_send(pair, &pair->client, "x", 1);
        g_assert_nonnull(direct->seal);
        g_assert_null(direct->open); /* nothing came this way */

        session_close(pair->client.session, pair->client.net);
        g_assert_null(direct->seal);
        pair_collect(pair, &pair->client);
        pair_run(pair);
        g_assert_cmpint(pair->server.result, ==, SESSION_E_CLOSED);
}

static void test_our_last_number_ends_the_session(void) {
        g_autoptr(Pair) pair = pair_with(ciphers[0], 1, PAIR_NEVER_DIRECT);
        Session *client = pair->client.session;

        pair_start(pair);
        pair_assert_talks(pair);
        client->direct.next = (UINT64_C(2) << 48) - (UINT64_C(1) << 16) - 1;
        client->direct.ahead = true;
        pair_send(pair, &pair->client, "last", 4);
        pair_assert_received(&pair->server, 1, "last", 4);
        g_assert_cmpint(session_send(client, "one", 3, pair->client.net), ==, SESSION_E_FAILED);
        g_assert_nonnull(strstr(session_failure(client)->text, "as its keys may protect"));
        pair_collect(pair, &pair->client);
        pair_run(pair);
        assert_numbers_rise(&pair->client);
        g_assert_cmpint(session_state(pair->server.session), ==, SESSION_OVER);
        g_assert_cmpint(session_failure(pair->server.session)->alert_received, >=, 0);
}

/* RFC 9325, 4.4: with AES-GCM what 2^24.5 records of 2^14 bytes have in blocks of 16: 2^34.5. */
#define BLOCKS_MAX UINT64_C(24296004000)

static void test_our_last_block_ends_the_session(void) {
        g_autoptr(Pair) pair = pair_with(ciphers[0], 1, PAIR_NEVER_DIRECT);
        g_autoptr(Pair) other = pair_with(ciphers[2], 1, PAIR_NEVER_DIRECT);
        Session *client = pair->client.session;
        uint64_t before;

        pair_start(pair);
        pair_send(pair, &pair->client, "sixteen bytes ok", 16); /* by GnuTLS: the first so long */
        before = client->direct.n_blocks;
        pair_send(pair, &pair->client, "sixteen bytes ok", 16);
        g_assert_cmpuint(client->direct.n_blocks - before, >=, 2);
        g_assert_cmpuint(client->direct.n_blocks - before, <=, 3);

        client->direct.n_blocks = BLOCKS_MAX - 2048;
        pair_send(pair, &pair->client, "one of the last", 15);
        pair_assert_received(&pair->server, 2, "one of the last", 15);
        client->direct.n_blocks = BLOCKS_MAX;
        g_assert_cmpint(session_send(client, "more", 4, pair->client.net), ==, SESSION_E_FAILED);
        g_assert_nonnull(strstr(session_failure(client)->text, "as its keys may protect"));
        pair_collect(pair, &pair->client);
        pair_run(pair);
        g_assert_cmpint(session_state(pair->server.session), ==, SESSION_OVER);
        g_assert_cmpuint(pair->server.received->len, ==, 3);

        /* the numbers end sooner than ChaCha20-Poly1305 does */
        pair_start(other);
        pair_send(other, &other->client, "say it", 6);
        other->client.session->direct.n_blocks = UINT64_C(1) << 48;
        pair_send(other, &other->client, "and on", 6);
        g_assert_cmpuint(session_stats(other->client.session).n_direct, ==, 1);
        pair_assert_open(other);
}

/* RFC 9147, 4.5.3, whoever opens them: 2^36 that are not authentic, and no more. */
static void test_too_many_forgeries_end_the_session(void) {
        static const uint32_t afters[] = {1, PAIR_NEVER_DIRECT};

        for (size_t i = 0; i < G_N_ELEMENTS(afters); i++) {
                g_autoptr(Pair) pair = pair_with(ciphers[0], PAIR_NEVER_DIRECT, afters[i]);
                Scene scene = {.pair = pair, .peer = &pair->client, .subject = &pair->server};
                Session *server = pair->server.session;
                g_autoptr(GBytes) good = NULL, forgery = NULL;
                g_autofree uint8_t *bytes = NULL;
                gsize size;

                pair_start(pair);
                pair_assert_talks(pair);
                good = data_from(&pair->client, "good");
                bytes = g_memdup2(g_bytes_get_data(good, &size), g_bytes_get_size(good));
                bytes[g_bytes_get_size(good) - 1] ^= 1;
                forgery = g_bytes_new(bytes, g_bytes_get_size(good));

                server->stats.n_discarded = (UINT64_C(1) << 36) - 2;
                bring(&scene, forgery);
                pair_assert_open(pair);
                bring(&scene, good);
                pair_assert_received(&pair->server, 1, "good", 4);
                bring(&scene, forgery);
                g_assert_cmpint(pair->server.result, ==, SESSION_E_FAILED);
                g_assert_nonnull(strstr(session_failure(server)->text, "forged"));
                g_assert_cmpint(session_state(pair->client.session), ==, SESSION_OVER);
                g_assert_cmpint(session_failure(pair->client.session)->alert_received, ==,
                                GNUTLS_A_INTERNAL_ERROR);
        }
}

/* ---- keys in memory ---- */

#define KEY_SIZE 16
#define REGION_MAX (UINT64_C(1) << 30) /* larger ones are a sanitizer's */

/* So that the test itself is no place where they are. */
typedef struct Masked {
        uint8_t bytes[KEY_SIZE];
} Masked;

static Masked mask_key(Session *session, unsigned read) {
        gnutls_datum_t mac, iv, key;
        Masked masked;

        g_assert_cmpint(gnutls_record_get_state(session->gnutls, read, &mac, &iv, &key, NULL), ==,
                        0);
        g_assert_cmpuint(key.size, >=, KEY_SIZE);
        for (size_t i = 0; i < KEY_SIZE; i++)
                masked.bytes[i] = key.data[i] ^ 0xff;
        return masked;
}

static size_t count_in(const uint8_t *bytes, size_t size, const Masked *masked) {
        size_t n = 0, i;

        for (size_t at = 0; at + KEY_SIZE <= size; at++) {
                for (i = 0; i < KEY_SIZE && (bytes[at + i] ^ masked->bytes[i]) == 0xff; i++)
                        continue;
                n += i == KEY_SIZE;
        }

        return n;
}

/* In all that this process can write to but where it is read to. */
static size_t count_in_memory(const Masked *masked) {
        g_autofree char *maps = NULL;
        g_auto(GStrv) lines = NULL;
        int mem = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
        size_t n = 0;

        g_assert_cmpint(mem, >=, 0);
        g_assert_true(g_file_get_contents("/proc/self/maps", &maps, NULL, NULL));
        lines = g_strsplit(maps, "\n", -1);
        for (char **line = lines; *line; line++) {
                char *rest;
                uint64_t begin = g_ascii_strtoull(*line, &rest, 16);
                uint64_t end = *rest == '-' ? g_ascii_strtoull(rest + 1, &rest, 16) : 0;
                uint8_t *bytes;
                ssize_t size;

                if (!g_str_has_prefix(rest, " rw") || rest[4] == 's' || end - begin > REGION_MAX)
                        continue;

                bytes = mmap(NULL, end - begin, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                             -1, 0);
                g_assert_true(bytes != MAP_FAILED);
                size = pread(mem, bytes, end - begin, (off_t)begin);
                n += size > 0 ? count_in(bytes, (size_t)size, masked) : 0;
                g_assert_cmpint(munmap(bytes, end - begin), ==, 0);
        }
        (void)close(mem);
        return n;
}

typedef void (*Ending)(Pair *pair);

static void end_by_us(Pair *pair) {
        session_close(pair->server.session, pair->server.net);
}

static void end_by_the_peer(Pair *pair) {
        session_close(pair->client.session, pair->client.net);
        pair_collect(pair, &pair->client);
        pair_run(pair);
}

static void end_by_an_alert(Pair *pair) {
        Scene scene = {.pair = pair, .peer = &pair->client, .subject = &pair->server};
        g_autoptr(GBytes) alert =
                alert_from(&pair->client, GNUTLS_AL_FATAL, GNUTLS_A_DECRYPT_ERROR);

        bring(&scene, alert);
}

static void end_by_a_limit(Pair *pair) {
        pair->server.session->direct.next = (UINT64_C(2) << 48) - 1;
        pair->server.session->direct.ahead = true;
        (void)session_send(pair->server.session, "x", 1, pair->server.net);
}

static void end_without_a_word(Pair *pair) {
        pair->server.session = session_free(pair->server.session);
}

static void count_keys(const Masked keys[2], size_t ret[2]) {
        for (unsigned read = 0; read < 2; read++)
                ret[read] = count_in_memory(&keys[read]);
}

/* Ours go with the end, and the last with the session. */
static void assert_no_key_is_left(const char *cipher, Ending ending) {
        g_autoptr(Pair) pair = pair_with(cipher, PAIR_NEVER_DIRECT, 2);
        Session *server = pair->server.session;
        size_t before[2], now[2];
        Masked keys[2];

        pair_start(pair);
        keys[0] = mask_key(server, 0);
        keys[1] = mask_key(server, 1);
        count_keys(keys, before);
        for (unsigned n = 0; n < 3; n++)
                pair_assert_talks(pair);
        count_keys(keys, now);
        g_assert_cmpuint(now[0], >, before[0]);
        g_assert_cmpuint(now[1], >, before[1]);

        ending(pair);
        count_keys(keys, now);
        g_assert_cmpuint(now[0], <=, before[0]);
        g_assert_cmpuint(now[1], <=, before[1]);

        pair->server.session = session_free(pair->server.session);
        pair->client.session = session_free(pair->client.session);
        count_keys(keys, now);
        g_assert_cmpuint(now[0] + now[1], ==, 0);
}

static void test_no_key_is_left_in_memory(void) {
        static const Ending endings[] = {end_by_us, end_by_the_peer, end_by_an_alert,
                                         end_by_a_limit, end_without_a_word};

#ifdef __SANITIZE_ADDRESS__
        g_test_skip("The sanitizer's own memory takes minutes to look through");
        return;
#endif
        for (size_t i = 0; i < G_N_ELEMENTS(endings); i++) {
                assert_no_key_is_left(ciphers[0], endings[i]);
                assert_no_key_is_left(ciphers[2], endings[i]);
        }
}

/* RFC 8449. */
static void test_the_peers_limit_is_kept(void) {
        static const uint32_t afters[] = {1, PAIR_NEVER_DIRECT};
        static const uint8_t data[2000];

        for (size_t i = 0; i < G_N_ELEMENTS(afters); i++) {
                g_autoptr(Pair) pair = pair_with(ciphers[0], PAIR_NEVER_DIRECT, afters[i]);
                Session *server = pair->server.session;

                g_assert_cmpint(gnutls_record_set_max_recv_size(pair->client.session->gnutls, 1000),
                                ==, 0);
                pair_start(pair);
                pair_assert_open(pair);
                for (unsigned round = 0; round < 3; round++) {
                        pair_send(pair, &pair->server, data, 900);
                        g_assert_cmpint(session_send(server, data, 1900, pair->server.net), ==,
                                        SESSION_E_TOO_LONG);
                        pair_send(pair, &pair->server, data, 10);
                }
                g_assert_cmpuint(pair->client.received->len, ==, 6);
        }
}

/* Our last flight is lost, data goes on, and the peer says its Finished again. */
static void test_last_flight_is_sent_again_behind_own_records(void) {
        PairSpec spec = pair_spec_psk();
        g_autoptr(Pair) pair = NULL;
        Session *server;

        spec.client_direct_after = PAIR_NEVER_DIRECT;
        spec.server_direct_after = 1;
        pair = pair_new(&spec);
        server = pair->server.session;

        pair->server.no_answer = true;
        pair_start(pair); /* up to the server's question */
        pair->server.no_answer = false;
        pair->server.n_lose = 1 + 20;
        pair_run(pair);
        g_assert_cmpint(session_state(server), ==, SESSION_OPEN);
        g_assert_cmpint(session_state(pair->client.session), ==, SESSION_SHAKING);
        for (unsigned i = 0; i < 20; i++)
                pair_send(pair, &pair->server, "lost", 4);
        g_assert_cmpuint(session_stats(server).n_direct, >=, 19);

        g_assert_true(pair_expire(pair));
        g_assert_cmpuint(session_stats(server).n_flights_resent, ==, 1);
        pair_assert_open(pair);
        pair_assert_talks(pair);
        assert_numbers_rise(&pair->server);
}

static Pair *pair_with_an_old_number(void) {
        const uint64_t old = GUINT64_TO_BE((UINT64_C(1) << 48) + 1);
        Pair *pair = pair_with(ciphers[0], PAIR_NEVER_DIRECT, 10);

        pair_start(pair);
        talk(pair, 20);
        pair_send(pair, &pair->server, "own", 3);
        g_assert_true(pair->server.session->direct.ahead);

        /* as if a call had been forgotten, or GnuTLS counted in another way */
        direct_tell_number(pair->server.session);
        g_assert_cmpint(gnutls_record_set_state(pair->server.session->gnutls, /* read= */ 0,
                                                (const uint8_t *)&old),
                        ==, 0);
        return pair;
}

static void assert_ended_without_a_word(Pair *pair, size_t n_sent) {
        g_assert_cmpint(session_state(pair->server.session), ==, SESSION_OVER);
        pair_collect(pair, &pair->server);
        g_assert_cmpuint(pair->server.n_sent, ==, n_sent);
        assert_numbers_rise(&pair->server);
}

/* Whatever goes wrong in the service, it costs this connection. */
static void test_no_number_goes_out_twice(void) {
        g_autoptr(Pair) sends = pair_with_an_old_number();
        g_autoptr(Pair) answers = pair_with_an_old_number();
        g_autoptr(Pair) closes = pair_with_an_old_number();
        size_t n_sent = sends->server.n_sent;

        sends->server.session->direct.size_max = 0; /* so that GnuTLS sends it */
        g_assert_cmpint(session_send(sends->server.session, "x", 1, sends->server.net), ==,
                        SESSION_E_FAILED);
        g_assert_cmpint(session_failure(sends->server.session)->alert_sent, <, 0);
        assert_ended_without_a_word(sends, n_sent);

        n_sent = answers->server.n_sent;
        wire_begin(answers->client.session, 0, answers->client.net, NULL);
        (void)gnutls_handshake(answers->client.session->gnutls);
        wire_end(answers->client.session);
        pair_collect(answers, &answers->client);
        pair_run(answers);
        g_assert_cmpint(answers->server.result, ==, SESSION_E_FAILED);
        assert_ended_without_a_word(answers, n_sent);

        n_sent = closes->server.n_sent;
        session_close(closes->server.session, closes->server.net);
        assert_ended_without_a_word(closes, n_sent);
}

/* What GnuTLS took before is not taken again behind it. */
static void test_no_replay_across_the_change(void) {
        g_autoptr(Pair) pair = pair_with(ciphers[0], PAIR_NEVER_DIRECT, 20);
        Scene scene = {.pair = pair, .peer = &pair->client, .subject = &pair->server};
        g_autoptr(GPtrArray) datagrams = NULL;

        pair_start(pair);
        datagrams = several(&scene, 40);
        for (unsigned round = 0; round < 2; round++)
                for (guint i = 0; i < datagrams->len; i++)
                        if (round > 0 || i != 10)
                                bring(&scene, datagrams->pdata[i]);
        bring(&scene, datagrams->pdata[10]);
        g_assert_cmpuint(pair->server.received->len, ==, 40);
        g_assert_cmpuint(session_stats(pair->server.session).n_discarded, ==, 40);
        g_assert_cmpuint(session_stats(pair->server.session).n_direct, >=, 20);
}

#define SCRIPT(name, function)                                                                     \
        do {                                                                                       \
                static const Script script = function;                                             \
                g_test_add_data_func("/session/direct/as-gnutls-would/" name, &script,             \
                                     test_as_gnutls_would);                                        \
        } while (0)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/session/direct/all-kinds-of-ends-talk", test_all_kinds_of_ends_talk);
        g_test_add_func("/session/direct/other-ciphers-stay-with-gnutls",
                        test_other_ciphers_stay_with_gnutls);
        g_test_add_func("/session/direct/keys-are-made-late-and-gone-at-the-end",
                        test_keys_are_made_late_and_gone_at_the_end);
        g_test_add_func("/session/direct/our-last-number-ends-the-session",
                        test_our_last_number_ends_the_session);
        g_test_add_func("/session/direct/our-last-block-ends-the-session",
                        test_our_last_block_ends_the_session);
        g_test_add_func("/session/direct/too-many-forgeries-end-the-session",
                        test_too_many_forgeries_end_the_session);
        g_test_add_func("/session/direct/no-key-is-left-in-memory", test_no_key_is_left_in_memory);
        g_test_add_func("/session/direct/the-peers-limit-is-kept", test_the_peers_limit_is_kept);
        g_test_add_func("/session/direct/last-flight-is-sent-again-behind-own-records",
                        test_last_flight_is_sent_again_behind_own_records);
        g_test_add_func("/session/direct/no-number-goes-out-twice", test_no_number_goes_out_twice);
        g_test_add_func("/session/direct/no-replay-across-the-change",
                        test_no_replay_across_the_change);
        SCRIPT("each-twice", script_each_twice);
        SCRIPT("window-edges", script_window_edges);
        SCRIPT("any-order", script_any_order);
        SCRIPT("every-byte-wrong", script_every_byte_wrong);
        SCRIPT("other-epochs-and-kinds", script_other_epochs_and_kinds);
        SCRIPT("cut-and-padded", script_cut_and_padded);
        SCRIPT("many-in-a-datagram", script_many_in_a_datagram);
        SCRIPT("empty-records", script_empty_records);
        SCRIPT("longest-and-one-more", script_longest_and_one_more);
        SCRIPT("warnings", script_warnings);
        SCRIPT("old-warning", script_old_warning);
        SCRIPT("fatal-alert", script_fatal_alert);
        SCRIPT("peer-closes", script_peer_closes);
        SCRIPT("subject-closes", script_subject_closes);
        SCRIPT("another-handshake", script_another_handshake);
        SCRIPT("last-numbers", script_last_numbers);
        SCRIPT("no-room", script_no_room);
        return g_test_run();
}
