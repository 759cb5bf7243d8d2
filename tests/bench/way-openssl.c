/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* OpenSSL in the program itself, over its own datagram BIO: one call a datagram. */

#include "bench.h"

#include <errno.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static BenchKind kind;
static SSL_CTX *context;
static int listening;
static uint16_t listening_port;

static void must(bool done, const char *what) {
        char text[256];

        if (done)
                return;

        ERR_error_string_n(ERR_get_error(), text, sizeof text);
        bench_die(what, text);
}

/* ---- credentials ---- */

static int make_cookie(SSL *ssl, unsigned char *cookie, unsigned *size) {
        (void)ssl;
        *size = 16; /* what it is made of is not what is measured: one host asks here */
        memset(cookie, 0x5a, *size);
        return 1;
}

static int check_cookie(SSL *ssl, const unsigned char *cookie, unsigned size) {
        unsigned char expected[DTLS1_COOKIE_LENGTH];
        unsigned n;

        return make_cookie(ssl, expected, &n) && n == size && memcmp(cookie, expected, n) == 0;
}

static unsigned give_psk(unsigned char *key) {
        memcpy(key, BENCH_PSK_KEY, sizeof BENCH_PSK_KEY - 1);
        return sizeof BENCH_PSK_KEY - 1;
}

static unsigned give_server_psk(SSL *ssl, const char *identity, unsigned char *key, unsigned size) {
        (void)ssl;
        (void)identity;
        (void)size;
        return give_psk(key);
}

static void use_certificate(bool server) {
        char *chain = bench_certificate("server.pem"), *key = bench_certificate("server.key");
        char *ca = bench_certificate("ca.pem");

        if (server) {
                must(SSL_CTX_use_certificate_chain_file(context, chain) == 1, chain);
                must(SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) == 1, key);
        } else {
                must(SSL_CTX_load_verify_file(context, ca) == 1, ca);
                SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
        }

        free(chain);
        free(key);
        free(ca);
}

static void way_begin(BenchKind what, bool server) {
        kind = what;
        context = SSL_CTX_new(server ? DTLS_server_method() : DTLS_client_method());
        must(context, "context");
        must(SSL_CTX_set_min_proto_version(context, DTLS1_2_VERSION) == 1, "version");
        must(SSL_CTX_set_cipher_list(context, bench_cipher(kind)) == 1, "ciphers");
        must(SSL_CTX_set1_groups_list(context, "P-256") == 1, "groups");
        SSL_CTX_set_cookie_generate_cb(context, make_cookie);
        SSL_CTX_set_cookie_verify_cb(context, check_cookie);
        (void)SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
        (void)SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
        if (kind == BENCH_PSK)
                SSL_CTX_set_psk_server_callback(context, give_server_psk);
        else
                use_certificate(server);
}

/* ---- sessions ---- */

static SSL *session_new(int fd, int close_fd) {
        SSL *ssl = SSL_new(context);
        BIO *bio = BIO_new_dgram(fd, close_fd);

        must(ssl && bio, "session");
        SSL_set_bio(ssl, bio, bio);
        (void)SSL_set_options(ssl, SSL_OP_NO_QUERY_MTU | SSL_OP_COOKIE_EXCHANGE);
        (void)DTLS_set_link_mtu(ssl, BENCH_MTU);
        return ssl;
}

static void set_peer(SSL *ssl, const struct sockaddr_in *peer) {
        BIO_ADDR *address = BIO_ADDR_new();

        must(address && BIO_ADDR_rawmake(address, AF_INET, &peer->sin_addr, sizeof peer->sin_addr,
                                         peer->sin_port) == 1,
             "address");
        (void)BIO_ctrl_set_connected(SSL_get_rbio(ssl), address);
        BIO_ADDR_free(address);
}

static void *way_connect(uint16_t port) {
        const struct sockaddr_in peer = {
                .sin_family = AF_INET,
                .sin_port = htons(port),
                .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
        };
        SSL *ssl = session_new(bench_connect(port), BIO_CLOSE);

        set_peer(ssl, &peer);
        must(SSL_set1_host(ssl, BENCH_SERVER_NAME) == 1, "name");
        must(SSL_set_tlsext_host_name(ssl, BENCH_SERVER_NAME) == 1, "name");
        must(SSL_connect(ssl) == 1, "handshake");
        return ssl;
}

static uint16_t way_listen(void) {
        listening = bench_bind(&listening_port, /* shared= */ true);
        return listening_port;
}

static void *way_accept(void) {
        struct sockaddr_in peer = {.sin_family = AF_INET};
        size_t size = sizeof peer.sin_addr;
        SSL *ssl = session_new(listening, BIO_NOCLOSE);
        BIO_ADDR *address = BIO_ADDR_new();
        int fd;

        must(address, "address");
        while (DTLSv1_listen(ssl, address) <= 0)
                (void)bench_wait_readable(listening, -1);

        peer.sin_port = BIO_ADDR_rawport(address);
        must(BIO_ADDR_rawaddress(address, &peer.sin_addr, &size) == 1, "address");
        BIO_ADDR_free(address);

        fd = bench_bind(&listening_port, /* shared= */ true);
        if (connect(fd, (const struct sockaddr *)&peer, sizeof peer) < 0)
                bench_die("connect", strerror(errno));
        must(BIO_set_fd(SSL_get_rbio(ssl), fd, BIO_CLOSE) == 1, "socket");
        set_peer(ssl, &peer);
        must(SSL_accept(ssl) == 1, "handshake");
        return ssl;
}

/* ---- data ---- */

static void way_send(void *end, const void *data, size_t size) {
        must(SSL_write(end, data, (int)size) == (int)size, "send");
}

static void way_pump(void *end, BenchGot got) {
        uint8_t buffer[BENCH_DATAGRAM_MAX];
        int n = SSL_read(end, buffer, sizeof buffer);

        must(n > 0, "receive");
        got(end, buffer, (size_t)n);
}

static void way_close(void *end) {
        (void)SSL_shutdown(end);
        SSL_free(end);
}

static const BenchWay openssl = {
        .begin = way_begin,
        .listen = way_listen,
        .accept = way_accept,
        .connect = way_connect,
        .send = way_send,
        .pump = way_pump,
        .close = way_close,
};

static const BenchWay *find(const char *variant) {
        return strcmp(variant, "openssl") == 0 ? &openssl : NULL;
}

int main(int argc, char **argv) {
        return bench_main(argc, argv, find);
}
