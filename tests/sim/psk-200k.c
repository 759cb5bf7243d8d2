/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Many PSK handshakes in real time between two processes over loopback: does ever one hang?
 *
 *   psk-200k [N [LOSS]]      (or PSK_HANDSHAKES=N; 2000 without; LOSS in percent, 0 without)
 *
 * The parent is the client: N connections one after the other, several at a time, each from a
 * socket of its own: handshake, one datagram each way, goodbye. The child is the server: one
 * socket, a session for each peer, cookies on. Each is a plain poll loop. Speaks TAP.
 *
 * Virtual time never showed the hang that this looks for: it comes from how real timers, real
 * processes and GnuTLS's own ideas of time meet.
 */

#include "session/cookie.h"
#include "session/session.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define N_DEFAULT 2000
#define N_AT_ONCE 8
#define SECOND_USEC UINT64_C(1000000)
#define RETRANSMIT_USEC (SECOND_USEC / 4)
#define HANG_USEC (30 * SECOND_USEC)  /* a handshake that takes this long is one that hangs */
#define FORGET_USEC (5 * SECOND_USEC) /* the server keeps a silent peer for so long */
#define KEY "a key for two hundred thousand"
#define IDENTITY "device"

typedef struct Peer {
        Session *session;
        int fd; /* the client's own; the server's is shared */
        Address address;
        uint64_t begun_usec;
        uint64_t heard_usec;
        bool said;
} Peer;

typedef struct Party {
        SessionConfig *config;
        DatagramBatch *net, *app;
        uint64_t n_begun, n_done, n_failed, n_timeouts, n_resent, n_slow;
        uint64_t longest_usec;
} Party;

static gint32 loss_percent;

static uint64_t now(void) {
        struct timespec time;

        g_assert_cmpint(clock_gettime(CLOCK_MONOTONIC, &time), ==, 0);
        return (uint64_t)time.tv_sec * SECOND_USEC + (uint64_t)time.tv_nsec / 1000;
}

static void party_init(Party *party, DtlsRole role) {
        SessionConfigSpec spec = {
                .role = role,
                .protocol = PROTOCOL_DTLS_1_2_OR_LATER,
                .psk = true,
                .verify_mode = VERIFY_NONE,
        };

        *party = (Party){
                .net = datagram_batch_new(16, (size_t)128 * 1024),
                .app = datagram_batch_new(16, (size_t)128 * 1024),
        };
        g_assert_cmpint(session_config_new(&spec, &party->config), ==, 0);
}

static void party_done(Party *party) {
        session_config_unref(party->config);
        datagram_batch_free(party->net);
        datagram_batch_free(party->app);
}

static Session *party_session(const Party *party, const Hello *hello) {
        SessionSpec spec = {
                .config = party->config,
                .retransmit_initial_usec = RETRANSMIT_USEC,
                .retransmit_max_usec = 2 * SECOND_USEC,
                .handshake_deadline_usec = HANG_USEC,
                .answer_deadline_usec = HANG_USEC,
                .hello = hello,
        };
        Session *session;

        g_assert_cmpint(session_new(&spec, now(), &session), ==, 0);
        return session;
}

/* A full socket buffer is loss like any other. */
static void party_flush(Party *party, const Peer *peer) {
        for (size_t i = 0; i < datagram_batch_count(party->net); i++) {
                Datagram out = datagram_batch_at(party->net, i);

                if (g_random_int_range(0, 100) < loss_percent)
                        continue;

                (void)sendto(peer->fd, out.data, out.size, MSG_DONTWAIT, &peer->address.sa,
                             address_size(&peer->address));
        }
        datagram_batch_reset(party->net);
}

static int party_answer(Party *party, Peer *peer) {
        const SessionQuestion *question = session_question(peer->session);
        g_autoptr(Secret) key = secret_new(KEY, strlen(KEY));
        g_autoptr(GBytes) identity = g_bytes_new_static(IDENTITY, strlen(IDENTITY));

        return session_answer_psk(peer->session, question->serial, now(), identity, key, party->net,
                                  party->app);
}

/* Behind every call on the session. */
static int party_after(Party *party, Peer *peer, int r) {
        while (session_question(peer->session))
                r = party_answer(party, peer);

        if (r == SESSION_E_TIMEOUT) {
                party->n_timeouts++;
                r = 0;
        }
        g_assert_cmpint(r, >=, 0);
        party_flush(party, peer);
        return r;
}

static int party_receive(Party *party, Peer *peer, const Datagram *in) {
        datagram_batch_reset(party->app);
        peer->heard_usec = now();
        return party_after(party, peer,
                           session_receive(peer->session, now(), in, party->net, party->app));
}

static int party_expire(Party *party, Peer *peer) {
        datagram_batch_reset(party->app);
        if (now() < session_deadline_usec(peer->session))
                return 0;

        return party_after(party, peer,
                           session_expire(peer->session, now(), party->net, party->app));
}

static void party_say(Party *party, Peer *peer) {
        g_assert_cmpint(session_send(peer->session, "hello", 5, party->net), ==, 0);
        party_flush(party, peer);
}

static int wait_msec(uint64_t until_usec) {
        uint64_t now_usec = now();

        if (until_usec <= now_usec)
                return 0;

        return (int)MIN((until_usec - now_usec) / 1000 + 1, 1000);
}

/* The server. */

static guint address_key_hash(gconstpointer key) {
        static const uint8_t hash_key[ADDRESS_HASH_KEY_SIZE];

        return (guint)address_hash(key, hash_key);
}

static gboolean address_key_equal(gconstpointer a, gconstpointer b) {
        return address_equal(a, b);
}

static void peer_free(void *pointer) {
        Peer *peer = pointer;

        session_free(peer->session);
        g_free(peer);
}

typedef struct Server {
        Party party;
        int fd;
        CookieJar *jar;
        GHashTable *peers; /* Address of Peer -> Peer */
} Server;

static Peer *server_greet(Server *server, const Datagram *in) {
        Peer asked = {.fd = server->fd, .address = in->peer};
        Hello hello;
        Peer *peer;
        int r;

        r = cookie_check(server->jar, now(), in, server->party.net, &hello);
        g_assert_cmpint(r, >=, 0);
        party_flush(&server->party, &asked);
        if (r)
                return NULL;

        peer = g_new(Peer, 1);
        *peer = asked;
        peer->session = party_session(&server->party, &hello);
        peer->begun_usec = now();
        g_hash_table_insert(server->peers, &peer->address, peer);
        server->party.n_begun++;
        return peer;
}

static void server_forget(Server *server, Peer *peer) {
        SessionStats stats = session_stats(peer->session);

        server->party.n_resent += stats.n_flights_resent;
        g_hash_table_remove(server->peers, &peer->address);
}

static void server_take(Server *server, const Datagram *in) {
        Peer *peer = g_hash_table_lookup(server->peers, &in->peer);
        int r;

        if (!peer)
                peer = server_greet(server, in);
        if (!peer)
                return;

        r = party_receive(&server->party, peer, in);
        if (datagram_batch_count(server->party.app) > 0 && r == 0)
                party_say(&server->party, peer);
        if (r == 0)
                return;

        server->party.n_done += r == SESSION_E_CLOSED;
        server->party.n_failed += r == SESSION_E_FAILED;
        server_forget(server, peer);
}

static void server_receive(Server *server) {
        uint8_t buffer[2048];

        for (unsigned i = 0; i < 64; i++) {
                struct sockaddr_storage from;
                socklen_t from_size = sizeof(from);
                Datagram in = {.data = buffer};
                ssize_t n = recvfrom(server->fd, buffer, sizeof(buffer), MSG_DONTWAIT,
                                     (struct sockaddr *)&from, &from_size);

                if (n < 0)
                        return;

                in.size = (size_t)n;
                g_assert_cmpint(
                        address_from_sockaddr((struct sockaddr *)&from, from_size, &in.peer), ==,
                        0);
                server_take(server, &in);
        }
}

static uint64_t server_expire(Server *server) {
        uint64_t next_usec = now() + SECOND_USEC;
        g_autoptr(GList) peers = g_hash_table_get_values(server->peers);

        for (GList *l = peers; l; l = l->next) {
                Peer *peer = l->data;
                int r = party_expire(&server->party, peer);

                /* a client whose goodbye was lost */
                if (session_state(peer->session) == SESSION_OPEN &&
                    now() > peer->heard_usec + FORGET_USEC)
                        r = SESSION_E_CLOSED;
                if (r) {
                        server->party.n_failed += r == SESSION_E_FAILED;
                        server_forget(server, peer);
                        continue;
                }
                next_usec = MIN(next_usec, session_deadline_usec(peer->session));
        }

        return next_usec;
}

static void server_run(int fd, int done_fd, int report_fd) {
        Server server = {.fd = fd};

        party_init(&server.party, DTLS_SERVER);
        g_assert_cmpint(cookie_jar_new("Sha256", NULL, 0, &server.jar), ==, 0);
        server.peers = g_hash_table_new_full(address_key_hash, address_key_equal, NULL, peer_free);

        for (;;) {
                uint64_t next_usec = server_expire(&server);
                struct pollfd fds[] = {{.fd = fd, .events = POLLIN}, {.fd = done_fd}};

                (void)poll(fds, G_N_ELEMENTS(fds), wait_msec(next_usec));
                if (fds[1].revents)
                        break; /* the client has gone */
                server_receive(&server);
        }

        g_hash_table_unref(server.peers);
        cookie_jar_free(server.jar);
        (void)!write(report_fd, &server.party, sizeof(server.party));
        party_done(&server.party);
}

/* The client. */

static void client_begin(Party *party, Peer *peer, const Address *server) {
        peer->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        g_assert_cmpint(peer->fd, >=, 0);
        g_assert_cmpint(connect(peer->fd, &server->sa, address_size(server)), ==, 0);
        peer->address = *server;
        peer->session = party_session(party, NULL);
        peer->begun_usec = now();
        peer->said = false;
        party->n_begun++;
        (void)party_after(party, peer, session_start(peer->session, now(), party->net));
}

static void client_end(Party *party, Peer *peer, bool good) {
        SessionStats stats = session_stats(peer->session);
        uint64_t took_usec = now() - peer->begun_usec;

        if (good)
                party->n_done++;
        else
                party->n_failed++;
        if (!good)
                printf("# failed after %" G_GUINT64_FORMAT " us: %s\n", took_usec,
                       session_failure(peer->session)->text);
        party->n_resent += stats.n_flights_resent;
        party->n_slow += took_usec >= RETRANSMIT_USEC;
        party->longest_usec = MAX(party->longest_usec, took_usec);

        session_close(peer->session, party->net);
        party_flush(party, peer);
        peer->session = session_free(peer->session);
        (void)close(peer->fd);
}

/* Application data is not resent by DTLS: it is said again with the timer of this test. */
static void client_talk(Party *party, Peer *peer) {
        if (session_state(peer->session) != SESSION_OPEN)
                return;
        if (peer->said && now() < peer->heard_usec + SECOND_USEC)
                return;

        peer->said = true;
        peer->heard_usec = now();
        party_say(party, peer);
}

static void client_take(Party *party, Peer *peer) {
        uint8_t buffer[2048];

        while (peer->session) {
                ssize_t n = recv(peer->fd, buffer, sizeof(buffer), MSG_DONTWAIT);
                Datagram in = {.data = buffer, .size = (size_t)n, .peer = peer->address};
                int r;

                if (n < 0)
                        return;

                r = party_receive(party, peer, &in);
                if (r)
                        client_end(party, peer, /* good= */ false);
                else if (datagram_batch_count(party->app) > 0)
                        client_end(party, peer, /* good= */ true);
        }
}

static void client_expire(Party *party, Peer *peer) {
        int r = party_expire(party, peer);

        if (r || now() > peer->begun_usec + HANG_USEC)
                client_end(party, peer, /* good= */ false);
        else
                client_talk(party, peer);
}

static void client_run(Party *party, const Address *server, uint64_t n) {
        Peer peers[N_AT_ONCE] = {};

        while (party->n_done + party->n_failed < n) {
                struct pollfd fds[N_AT_ONCE];
                uint64_t next_usec = now() + SECOND_USEC;

                for (unsigned i = 0; i < N_AT_ONCE; i++) {
                        if (!peers[i].session && party->n_begun < n)
                                client_begin(party, &peers[i], server);
                        fds[i] = (struct pollfd){.fd = peers[i].session ? peers[i].fd : -1,
                                                 .events = POLLIN};
                        if (peers[i].session)
                                next_usec = MIN(next_usec, session_deadline_usec(peers[i].session));
                }
                (void)poll(fds, N_AT_ONCE, wait_msec(next_usec));
                for (unsigned i = 0; i < N_AT_ONCE; i++) {
                        if (peers[i].session)
                                client_take(party, &peers[i]);
                        if (peers[i].session)
                                client_expire(party, &peers[i]);
                }
        }
}

static int bind_loopback(Address *ret) {
        struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t size = sizeof(in);
        int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        g_assert_cmpint(fd, >=, 0);
        g_assert_cmpint(bind(fd, (struct sockaddr *)&in, size), ==, 0);
        g_assert_cmpint(getsockname(fd, (struct sockaddr *)&in, &size), ==, 0);
        g_assert_cmpint(address_from_sockaddr((struct sockaddr *)&in, size, ret), ==, 0);
        return fd;
}

static uint64_t count_wanted(int argc, char **argv) {
        const char *text = argc > 1 ? argv[1] : getenv("PSK_HANDSHAKES");

        return text ? g_ascii_strtoull(text, NULL, 10) : N_DEFAULT;
}

static void say_result(const Party *client, const Party *server, uint64_t n, uint64_t took_usec) {
        printf("1..1\n");
        printf("# %" G_GUINT64_FORMAT " handshakes in %.1f s; client: %" G_GUINT64_FORMAT
               " timeouts, %" G_GUINT64_FORMAT " flights resent, %" G_GUINT64_FORMAT
               " slower than a timeout, longest %.3f s\n",
               client->n_done, (double)took_usec / 1e6, client->n_timeouts, client->n_resent,
               client->n_slow, (double)client->longest_usec / 1e6);
        printf("# server: %" G_GUINT64_FORMAT " begun, %" G_GUINT64_FORMAT
               " timeouts, %" G_GUINT64_FORMAT " flights resent, %" G_GUINT64_FORMAT " failed\n",
               server->n_begun, server->n_timeouts, server->n_resent, server->n_failed);
        printf("%s 1 /sim/psk-200k/no-handshake-hangs\n", client->n_done == n ? "ok" : "not ok");
}

int main(int argc, char **argv) {
        uint64_t n = count_wanted(argc, argv), begun_usec = now();
        int done[2], report[2], server_fd, r;
        Party client, server = {};
        Address address;
        pid_t child;

        loss_percent = argc > 2 ? atoi(argv[2]) : 0;
        g_assert_cmpint(session_global_init(), ==, 0);
        g_assert_cmpint(pipe2(done, O_CLOEXEC), ==, 0);
        g_assert_cmpint(pipe2(report, O_CLOEXEC), ==, 0);
        server_fd = bind_loopback(&address);

        child = fork();
        g_assert_cmpint(child, >=, 0);
        if (child == 0) {
                (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
                (void)close(done[1]);
                server_run(server_fd, done[0], report[1]);
                _exit(0);
        }

        (void)close(server_fd);
        (void)close(done[0]);
        party_init(&client, DTLS_CLIENT);
        client_run(&client, &address, n);
        party_done(&client);

        (void)close(done[1]); /* the server sees that and reports */
        (void)!read(report[0], &server, sizeof(server));
        r = waitpid(child, NULL, 0);
        g_assert_cmpint(r, ==, child);
        say_result(&client, &server, n, now() - begun_usec);
        return client.n_done == n ? 0 : 1;
}
