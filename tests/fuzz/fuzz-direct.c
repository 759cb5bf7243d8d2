/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Datagrams at an open session that opens and seals its records itself: of a peer's they are
 * damaged, cut, joined, repeated, late, or made up. Nothing of it ends the session, no plaintext
 * comes out that the peer has not said, or that came out before, and the peer, which leaves its
 * records to GnuTLS, understands all that is sent.
 *
 * The input's first byte is the cipher; then come steps: a byte that says what happens, and what
 * belongs to it.
 */

#include "fuzz.h"

#include "session/private.h"

#include <string.h>

#define N_KEPT_MAX 250
#define LETTER_SIZE 40

typedef struct Input {
        const uint8_t *next;
        size_t left;
} Input;

typedef struct End {
        Session *session;
        DatagramBatch *net, *app;
} End;

typedef struct Post {
        End peer, subject;
        GBytes *kept[N_KEPT_MAX]; /* datagrams of the peer's */
        unsigned n_kept;
        uint8_t n_said;
        bool heard[256]; /* letters of the peer's, by their first byte */
        uint8_t n_back;
} Post;

static uint8_t take(Input *input) {
        if (input->left == 0)
                return 0;

        input->left--;
        return *input->next++;
}

/* ---- the two ends ---- */

static SessionConfig *config(DtlsRole role, uint8_t which) {
        static const char *const names[] = {
                "TLS_PSK_WITH_AES_128_GCM_SHA256",
                "TLS_PSK_WITH_CHACHA20_POLY1305_SHA256",
        };
        g_autoptr(GPtrArray) ciphers = g_ptr_array_new();
        SessionConfigSpec spec = {
                .role = role,
                .protocol = PROTOCOL_DTLS_1_2,
                .psk = true,
                .psk_alone = role == DTLS_CLIENT,
                .ciphers = ciphers,
        };
        SessionConfig *made;

        g_ptr_array_add(ciphers, (void *)session_cipher_from_name(names[which % 2]));
        g_assert_cmpint(session_config_new(&spec, &made), ==, 0);
        return made;
}

static void end_init(End *end, DtlsRole role, uint8_t which, uint32_t direct_after) {
        g_autoptr(SessionConfig) made = config(role, which);
        SessionSpec spec = {
                .config = made,
                .retransmit_initial_usec = 1000000,
                .retransmit_max_usec = 1000000,
                .handshake_deadline_usec = 60000000,
                .answer_deadline_usec = 60000000,
                .direct_after = direct_after,
        };

        end->net = datagram_batch_new(8, 65536);
        end->app = datagram_batch_new(32, 65536);
        g_assert_cmpint(session_new(&spec, 1, &end->session), ==, 0);
}

static void end_done(End *end) {
        session_free(end->session);
        datagram_batch_free(end->net);
        datagram_batch_free(end->app);
}

static void answer(End *end) {
        static const char secret[] = "0123456789abcdef";
        const SessionQuestion *question = session_question(end->session);
        g_autoptr(GBytes) identity = g_bytes_new_static("fuzz", 4);
        g_autoptr(Secret) key = secret_new(secret, sizeof secret - 1);

        if (question)
                g_assert_cmpint(session_answer_psk(end->session, question->serial, 1, identity, key,
                                                   end->net, end->app),
                                ==, 0);
}

/* Everything of @from arrives at @to. */
static void pass(End *from, End *to) {
        for (size_t i = 0; i < datagram_batch_count(from->net); i++) {
                Datagram datagram = datagram_batch_at(from->net, i);

                g_assert_cmpint(session_receive(to->session, 1, &datagram, to->net, to->app), ==,
                                0);
                answer(to);
        }
        datagram_batch_reset(from->net);
}

static void open_both(Post *post, uint8_t which) {
        end_init(&post->peer, DTLS_CLIENT, which, 0);
        end_init(&post->subject, DTLS_SERVER, which, 1);
        g_assert_cmpint(session_start(post->peer.session, 1, post->peer.net), ==, 0);
        for (unsigned i = 0; i < 4; i++) {
                pass(&post->peer, &post->subject);
                pass(&post->subject, &post->peer);
        }
        g_assert_cmpint(session_state(post->peer.session), ==, SESSION_OPEN);
        g_assert_cmpint(session_state(post->subject.session), ==, SESSION_OPEN);
}

/* ---- steps ---- */

/* The longest comes first: GnuTLS sends what is longer than what it has sent. */
static size_t letter_size(uint8_t n) {
        return LETTER_SIZE - n % LETTER_SIZE;
}

static void check_letter(const uint8_t *letter, size_t size) {
        g_assert_cmpuint(size, ==, letter_size(letter[0]));
        for (size_t i = 1; i < size; i++)
                g_assert_cmpuint(letter[i], ==, letter[0]);
}

static void bring(Post *post, const uint8_t *data, size_t size) {
        g_autofree uint8_t *exact = g_memdup2(data, size);
        Datagram in = {.data = exact ? exact : (const uint8_t *)"", .size = size};
        End *subject = &post->subject;

        g_assert_cmpint(session_receive(subject->session, 1, &in, subject->net, subject->app), ==,
                        0);
        g_assert_cmpint(session_state(subject->session), ==, SESSION_OPEN);
        for (size_t i = 0; i < datagram_batch_count(subject->app); i++) {
                Datagram letter = datagram_batch_at(subject->app, i);

                check_letter(letter.data, letter.size);
                g_assert_false(post->heard[letter.data[0]]);
                g_assert_cmpuint(letter.data[0], <, post->n_said);
                post->heard[letter.data[0]] = true;
        }
        datagram_batch_reset(subject->app);
        pass(subject, &post->peer);
}

static void keep(Post *post) {
        Datagram datagram = datagram_batch_at(post->peer.net, 0);

        post->kept[post->n_kept++] = g_bytes_new(datagram.data, datagram.size);
        datagram_batch_reset(post->peer.net);
}

static void step_say(Post *post) {
        uint8_t letter[LETTER_SIZE];

        if (post->n_kept == N_KEPT_MAX)
                return;

        memset(letter, post->n_said, sizeof letter);
        g_assert_cmpint(
                session_send(post->peer.session, letter, letter_size(post->n_said), post->peer.net),
                ==, 0);
        post->n_said++;
        keep(post);
}

/* It is the newest, so it is heard. */
static void step_tell(Post *post) {
        gsize size;
        const uint8_t *bytes;

        step_say(post);
        if (post->n_kept == N_KEPT_MAX)
                return;

        bytes = g_bytes_get_data(post->kept[post->n_kept - 1], &size);
        bring(post, bytes, size);
        g_assert_true(post->heard[post->n_said - 1]);
}

static void step_warn(Post *post) {
        Session *peer = post->peer.session;

        if (post->n_kept == N_KEPT_MAX)
                return;

        wire_begin(peer, 1, post->peer.net, NULL);
        (void)gnutls_alert_send(peer->gnutls, GNUTLS_AL_WARNING, GNUTLS_A_USER_CANCELED);
        wire_end(peer);
        keep(post);
}

/* One or two of what is kept, changed at one place, cut or made longer. */
static void step_bring(Post *post, Input *input, unsigned n) {
        uint8_t change = take(input), place = take(input), cut = take(input);
        g_autoptr(GByteArray) bytes = g_byte_array_new();

        for (unsigned i = 0; i < n && post->n_kept > 0; i++) {
                gsize size;
                const uint8_t *kept =
                        g_bytes_get_data(post->kept[take(input) % post->n_kept], &size);

                (void)g_byte_array_append(bytes, kept, (guint)size);
        }
        if (bytes->len > 0)
                bytes->data[place % bytes->len] ^= change;
        if (cut > 128)
                (void)g_byte_array_set_size(bytes, bytes->len - MIN(bytes->len, cut - 128U));
        bring(post, bytes->data, bytes->len);
}

static void step_make_up(Post *post, Input *input) {
        size_t size = take(input);

        size = MIN(size, input->left);
        bring(post, input->next, size);
        input->next += size;
        input->left -= size;
}

static void step_answer(Post *post) {
        End *peer = &post->peer, *subject = &post->subject;
        uint8_t letter[LETTER_SIZE];
        Datagram heard;

        memset(letter, post->n_back, sizeof letter);
        g_assert_cmpint(
                session_send(subject->session, letter, letter_size(post->n_back), subject->net), ==,
                0);
        pass(subject, peer);
        g_assert_cmpuint(datagram_batch_count(peer->app), ==, 1);
        heard = datagram_batch_at(peer->app, 0);
        check_letter(heard.data, heard.size);
        g_assert_cmpuint(heard.data[0], ==, post->n_back++);
        datagram_batch_reset(peer->app);
}

static void step(Post *post, Input *input) {
        switch (take(input) % 8) {
        case 0:
                step_say(post);
                break;
        case 1:
                step_tell(post);
                break;
        case 2:
                step_warn(post);
                break;
        case 3:
        case 4:
                step_bring(post, input, 1);
                break;
        case 5:
                step_bring(post, input, 3);
                break;
        case 6:
                step_make_up(post, input);
                break;
        default:
                step_answer(post);
                break;
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        Input input = {.next = data, .left = size};
        Post post = {.n_kept = 0};

        if (size == 0)
                return 0;

        g_assert_cmpint(session_global_init(), ==, 0);
        open_both(&post, take(&input));
        while (input.left > 0)
                step(&post, &input);

        for (unsigned i = 0; i < post.n_kept; i++)
                g_bytes_unref(post.kept[i]);
        end_done(&post.peer);
        end_done(&post.subject);
        return 0;
}
