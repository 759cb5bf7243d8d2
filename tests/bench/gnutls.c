/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* GnuTLS in the program itself, see bench.h. */

#include "bench.h"
#include "crowd.h"
#include "train.h"

#include <errno.h>
#include <gnutls/dtls.h>
#include <gnutls/gnutls.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PRIORITIES                                                                                 \
        "NONE:+VERS-DTLS1.2:+AES-128-GCM:+AEAD:+COMP-NULL:+SIGN-ECDSA-SHA256:+GROUP-SECP256R1:"

#define CROWD_STEP 4096
#define CHANGE_TYPE 20 /* of the record ChangeCipherSpec */
#define CHANGE_SIZE 14
#define CHANGE_WAIT_MS 100

bool bench_gnutls_batches, bench_gnutls_crowds, bench_gnutls_silent;

typedef struct End {
        gnutls_session_t session;
        Train *train; /* NULL: one of a crowd, and which */
        uint32_t peer;
        const uint8_t *hello; /* a datagram that was read already */
        size_t hello_size;
} End;

static BenchKind kind;
static bool serving;
static gnutls_priority_t priorities;
static gnutls_certificate_credentials_t certificate;
static gnutls_psk_server_credentials_t psk_server;
static gnutls_psk_client_credentials_t psk_client;
static gnutls_datum_t cookie_key;
static gnutls_datum_t ticket_key;   /* a server's that gives tickets */
static gnutls_datum_t last_session; /* a client's that takes it up */
static End **crowd;                 /* by peer */
static int listening;
static uint16_t listening_port;

static void must(int r, const char *what) {
        if (r < 0)
                bench_die(what, gnutls_strerror(r));
}

/* ---- credentials ---- */

static int give_psk(gnutls_session_t session, const char *identity, gnutls_datum_t *key) {
        (void)session;
        (void)identity;
        key->size = sizeof BENCH_PSK_KEY - 1;
        key->data = gnutls_malloc(key->size);
        memcpy(key->data, BENCH_PSK_KEY, key->size);
        return 0;
}

static void begin_psk(bool server) {
        const gnutls_datum_t key = {(unsigned char *)BENCH_PSK_KEY, sizeof BENCH_PSK_KEY - 1};

        if (server) {
                must(gnutls_psk_allocate_server_credentials(&psk_server), "credentials");
                gnutls_psk_set_server_credentials_function(psk_server, give_psk);
                return;
        }

        must(gnutls_psk_allocate_client_credentials(&psk_client), "credentials");
        must(gnutls_psk_set_client_credentials(psk_client, BENCH_PSK_IDENTITY, &key,
                                               GNUTLS_PSK_KEY_RAW),
             "credentials");
}

static void begin_certificate(bool server) {
        char *chain = bench_certificate("server.pem"), *key = bench_certificate("server.key");
        char *ca = bench_certificate("ca.pem");

        must(gnutls_certificate_allocate_credentials(&certificate), "credentials");
        if (server)
                must(gnutls_certificate_set_x509_key_file(certificate, chain, key,
                                                          GNUTLS_X509_FMT_PEM),
                     chain);
        else
                must(gnutls_certificate_set_x509_trust_file(certificate, ca, GNUTLS_X509_FMT_PEM),
                     ca);
        free(chain);
        free(key);
        free(ca);
}

static const char *priorities_of(BenchKind what) {
        if (what == BENCH_PSK)
                return PRIORITIES "+PSK";

        return what == BENCH_RSA ? PRIORITIES "+ECDHE-RSA:+SIGN-RSA-SHA256"
                                 : PRIORITIES "+ECDHE-ECDSA";
}

static void way_begin(BenchKind what, bool server) {
        kind = what;
        serving = server;
        must(gnutls_priority_init(&priorities, priorities_of(what), NULL), "priorities");
        must(gnutls_key_generate(&cookie_key, GNUTLS_COOKIE_KEY_SIZE), "cookie key");
        must(gnutls_session_ticket_key_generate(&ticket_key), "ticket key");
        if (kind == BENCH_PSK)
                begin_psk(server);
        else
                begin_certificate(server);
}

/* ---- the transport ---- */

static ssize_t push(gnutls_transport_ptr_t transport, const void *data, size_t size) {
        End *end = transport;

        if (end->train)
                train_send(end->train, data, size);
        else
                crowd_send(end->peer, data, size);
        return (ssize_t)size;
}

static void way_flush(void *data) {
        End *end = data;

        if (end->train)
                train_flush(end->train);
}

static int way_fd(void *data) {
        End *end = data;

        return end->train ? end->train->fd : crowd_fd();
}

/* Others say nothing in a handshake. */
static ssize_t pull_from_crowd(const End *end, void *data, size_t size) {
        uint32_t peer;
        ssize_t n;

        do
                n = crowd_receive(&peer, data, size);
        while (n >= 0 && peer != end->peer);
        return n;
}

static ssize_t pull(gnutls_transport_ptr_t transport, void *data, size_t size) {
        End *end = transport;
        ssize_t n = (ssize_t)end->hello_size;

        if (n > 0) {
                memcpy(data, end->hello, (size_t)n);
                end->hello_size = 0;
                return n;
        }

        n = end->train ? train_receive(end->train, data, size) : pull_from_crowd(end, data, size);
        /* a client that gets ChangeCipherSpec and finds no Finished behind it waits for ever */
        if (n == CHANGE_SIZE && *(uint8_t *)data == CHANGE_TYPE)
                (void)bench_wait_readable(way_fd(end), CHANGE_WAIT_MS);
        return n;
}

static int pull_wait(gnutls_transport_ptr_t transport, unsigned ms) {
        End *end = transport;

        way_flush(end);
        if (end->hello_size > 0 || (end->train && train_has_more(end->train)))
                return 1;

        /* 0 is what makes GnuTLS send its flight again when it is time */
        return bench_wait_readable(way_fd(end), (int)ms);
}

/* ---- sessions ---- */

static End *end_new(Train *train, bool server) {
        End *end = calloc(1, sizeof *end);

        if (!end)
                bench_die("calloc", strerror(errno));
        end->train = train;
        must(gnutls_init(&end->session, (server ? GNUTLS_SERVER : GNUTLS_CLIENT) | GNUTLS_DATAGRAM |
                                                GNUTLS_NONBLOCK),
             "init");
        must(gnutls_priority_set(end->session, priorities), "priorities");
        gnutls_dtls_set_mtu(end->session, BENCH_MTU);
        gnutls_transport_set_ptr(end->session, end);
        gnutls_transport_set_push_function(end->session, push);
        gnutls_transport_set_pull_function(end->session, pull);
        gnutls_transport_set_pull_timeout_function(end->session, pull_wait);
        return end;
}

static void end_shake_hands(End *end) {
        int r;

        while ((r = gnutls_handshake(end->session)) < 0) {
                if (gnutls_error_is_fatal(r))
                        bench_die("handshake", gnutls_strerror(r));
                if (r == GNUTLS_E_AGAIN)
                        (void)pull_wait(end, gnutls_dtls_get_timeout(end->session));
        }

        way_flush(end);
}

/* Each with the ticket of the one before. */
static void end_resume(End *end) {
        if (last_session.size > 0)
                must(gnutls_session_set_data(end->session, last_session.data, last_session.size),
                     "session");

        end_shake_hands(end);
        if (last_session.size > 0 && !gnutls_session_is_resumed(end->session))
                bench_die("resume", "it was a full handshake");

        gnutls_free(last_session.data);
        must(gnutls_session_get_data2(end->session, &last_session), "session");
}

static End *join_crowd(uint16_t port) {
        End *end = end_new(NULL, /* server= */ false);

        end->peer = crowd_join(port);
        if (end->peer % CROWD_STEP == 0)
                crowd = realloc(crowd, (end->peer + CROWD_STEP) * sizeof(End *));
        if (!crowd)
                bench_die("realloc", strerror(errno));
        crowd[end->peer] = end;
        return end;
}

static void *way_connect(uint16_t port) {
        End *end = bench_gnutls_crowds
                           ? join_crowd(port)
                           : end_new(train_new(bench_connect(port), bench_gnutls_batches),
                                     /* server= */ false);

        if (kind == BENCH_PSK) {
                must(gnutls_credentials_set(end->session, GNUTLS_CRD_PSK, psk_client), "psk");
        } else {
                must(gnutls_credentials_set(end->session, GNUTLS_CRD_CERTIFICATE, certificate),
                     "certificate");
                must(gnutls_server_name_set(end->session, GNUTLS_NAME_DNS, BENCH_SERVER_NAME,
                                            sizeof BENCH_SERVER_NAME - 1),
                     "name");
                gnutls_session_set_verify_cert(end->session, BENCH_SERVER_NAME, 0);
        }

        if (kind == BENCH_RESUMED)
                end_resume(end);
        else
                end_shake_hands(end);
        return end;
}

static uint16_t way_listen(void) {
        listening = bench_bind(&listening_port, /* shared= */ true);
        return listening_port;
}

typedef struct Stranger {
        struct sockaddr_in address;
        socklen_t size;
} Stranger;

static ssize_t push_cookie(gnutls_transport_ptr_t transport, const void *data, size_t size) {
        const Stranger *stranger = transport;

        return sendto(listening, data, size, 0, (const struct sockaddr *)&stranger->address,
                      stranger->size);
}

static size_t wait_verified(Stranger *stranger, gnutls_dtls_prestate_st *prestate,
                            uint8_t hello[static BENCH_DATAGRAM_MAX]) {
        for (;;) {
                ssize_t n;

                stranger->size = sizeof stranger->address;
                n = recvfrom(listening, hello, BENCH_DATAGRAM_MAX, 0,
                             (struct sockaddr *)&stranger->address, &stranger->size);
                if (n < 0)
                        bench_die("recvfrom", strerror(errno));

                memset(prestate, 0, sizeof *prestate);
                if (gnutls_dtls_cookie_verify(&cookie_key, &stranger->address,
                                              sizeof stranger->address, hello, (size_t)n,
                                              prestate) >= 0)
                        return (size_t)n;

                (void)gnutls_dtls_cookie_send(&cookie_key, &stranger->address,
                                              sizeof stranger->address, prestate, stranger,
                                              push_cookie);
        }
}

/* As many servers do it: a socket of its own for each client that has proved its address. */
static void *way_accept(void) {
        uint8_t hello[BENCH_DATAGRAM_MAX];
        gnutls_dtls_prestate_st prestate;
        Stranger stranger = {0};
        size_t size = wait_verified(&stranger, &prestate, hello);
        int fd = bench_bind(&listening_port, /* shared= */ true);
        End *end;

        if (connect(fd, (struct sockaddr *)&stranger.address, stranger.size) < 0)
                bench_die("connect", strerror(errno));

        end = end_new(train_new(fd, bench_gnutls_batches), /* server= */ true);
        end->hello = hello; /* read before this function returns */
        end->hello_size = size;
        gnutls_dtls_prestate_set(end->session, &prestate);
        if (kind == BENCH_PSK)
                must(gnutls_credentials_set(end->session, GNUTLS_CRD_PSK, psk_server), "psk");
        else
                must(gnutls_credentials_set(end->session, GNUTLS_CRD_CERTIFICATE, certificate),
                     "certificate");
        if (kind == BENCH_RESUMED)
                must(gnutls_session_ticket_enable_server(end->session, &ticket_key), "tickets");
        end_shake_hands(end);
        return end;
}

/* ---- data ---- */

static void way_send(void *data, const void *bytes, size_t size) {
        End *end = data;
        ssize_t n = gnutls_record_send(end->session, bytes, size);

        if (n < 0)
                bench_die("send", gnutls_strerror((int)n));
}

/* Whosever it is. */
static void take_of_crowd(BenchGot got) {
        uint8_t datagram[BENCH_DATAGRAM_MAX], buffer[BENCH_DATAGRAM_MAX];
        uint32_t peer;
        ssize_t n;

        while ((n = crowd_receive(&peer, datagram, sizeof datagram)) >= 0) {
                End *end = crowd[peer];

                end->hello = datagram;
                end->hello_size = (size_t)n;
                n = gnutls_record_recv(end->session, buffer, sizeof buffer);
                if (n <= 0)
                        bench_die("receive", n == 0 ? "closed" : gnutls_strerror((int)n));
                got(end, buffer, (size_t)n);
        }
}

static void way_take(void *data, BenchGot got) {
        uint8_t buffer[BENCH_DATAGRAM_MAX];
        End *end = data;
        ssize_t n;

        if (!end->train) {
                take_of_crowd(got);
                return;
        }

        while ((n = gnutls_record_recv(end->session, buffer, sizeof buffer)) != GNUTLS_E_AGAIN) {
                if (n <= 0)
                        bench_die("receive", n == 0 ? "closed" : gnutls_strerror((int)n));
                got(end, buffer, (size_t)n);
        }
}

static void way_close(void *data) {
        End *end = data;

        if (serving && !bench_gnutls_silent)
                (void)gnutls_bye(end->session, GNUTLS_SHUT_WR);
        train_flush(end->train);
        gnutls_deinit(end->session);
        (void)train_free(end->train);
        free(end);
}

const BenchWay bench_gnutls = {
        .begin = way_begin,
        .listen = way_listen,
        .accept = way_accept,
        .connect = way_connect,
        .send = way_send,
        .flush = way_flush,
        .fd = way_fd,
        .take = way_take,
        .close = way_close,
};
