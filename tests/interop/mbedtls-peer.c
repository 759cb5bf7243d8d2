/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * mbedTLS as one end of one association, for tests. The options and the lines are those of
 * puppet.h; --ciphers, --hint and --cookie-hash are Qt's alone, and a server asks for cookies
 * whenever there is a --cookie-secret, of whatever text: mbedTLS makes its own.
 *
 * It knows mbedTLS alone, so that what it prints is mbedTLS's behaviour and nobody else's.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>
#include <mbedtls/error.h>
#include <mbedtls/ssl.h>
#include <mbedtls/ssl_cookie.h>
#include <mbedtls/timing.h>
#include <mbedtls/x509_crt.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define DATAGRAM_MAX 65536
#define TICK_MSEC 20 /* how late a retransmission may be */

enum option {
        CERTIFICATE,
        KEY,
        CA,
        VERIFY,
        NAME,
        IDENTITY,
        PSK,
        COOKIE_SECRET,
        DROP,
        PORT,
        N_OPTIONS
};

static const char *const option_names[N_OPTIONS] = {
        "certificate", "key",           "ca",   "verify", "name", "identity",
        "psk",         "cookie-secret", "drop", "port"};

static const char *given[N_OPTIONS];
static int server, fd = -1, n_arrived;
static struct sockaddr_in peer_address;
static mbedtls_entropy_context entropy;
static mbedtls_ctr_drbg_context random_source;
static mbedtls_x509_crt certificate, ca;
static mbedtls_pk_context key;
static mbedtls_ssl_cookie_ctx cookies;
static mbedtls_ssl_config config;
static mbedtls_ssl_context ssl;
static mbedtls_timing_delay_context timer;

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void say(const char *format, ...) {
        va_list arguments;

        va_start(arguments, format);
        (void)vprintf(format, arguments);
        va_end(arguments);
        (void)putchar('\n');
        (void)fflush(stdout);
}

static void say_error(int r) {
        char text[256];

        mbedtls_strerror(r, text, sizeof text);
        say("error -0x%04x: %s", (unsigned)-r, text);
}

/* What must work here. */
static void must(int r, const char *what) {
        if (r == 0)
                return;
        say("cannot %s", what);
        say_error(r);
        exit(1);
}

/* ---- the socket ---- */

static int is_dropped(int number) {
        const char *at = given[DROP];

        while (at && *at) {
                char *end;

                if (strtol(at, &end, 10) == number)
                        return 1;
                at = *end ? end + 1 : end;
        }
        return 0;
}

static int receive(void *unused, unsigned char *buffer, size_t size) {
        ssize_t n = recv(fd, buffer, size, MSG_DONTWAIT);

        if (n < 0)
                return errno == EAGAIN || errno == ECONNREFUSED ? MBEDTLS_ERR_SSL_WANT_READ
                                                                : MBEDTLS_ERR_SSL_INTERNAL_ERROR;
        if (!is_dropped(++n_arrived))
                return (int)n;

        say("dropped %d", n_arrived);
        return MBEDTLS_ERR_SSL_WANT_READ;
}

static int transmit(void *unused, const unsigned char *data, size_t size) {
        ssize_t n = send(fd, data, size, MSG_NOSIGNAL);

        return n < 0 ? MBEDTLS_ERR_SSL_WANT_WRITE : (int)n;
}

static void wait_input(int with_typing) {
        struct pollfd p[2] = {{.fd = fd, .events = POLLIN},
                              {.fd = with_typing ? STDIN_FILENO : -1, .events = POLLIN}};

        (void)poll(p, 2, TICK_MSEC);
}

static struct sockaddr_in loopback(unsigned long port) {
        return (struct sockaddr_in){.sin_family = AF_INET,
                                    .sin_port = htons((uint16_t)port),
                                    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

/* A server's socket becomes its first client's: it has one association in its life. */
static void open_socket(void) {
        struct sockaddr_in address = loopback(server ? 0 : strtoul(given[PORT], NULL, 10));
        socklen_t size = sizeof address;
        char first;

        fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (server) {
                must(bind(fd, (struct sockaddr *)&address, size), "bind");
                must(getsockname(fd, (struct sockaddr *)&address, &size), "getsockname");
                say("listening %u", ntohs(address.sin_port));
                size = sizeof peer_address;
                if (recvfrom(fd, &first, 1, MSG_PEEK, (struct sockaddr *)&peer_address, &size) < 0)
                        must(-1, "receive");
                address = peer_address;
        }
        must(connect(fd, (struct sockaddr *)&address, sizeof address), "connect");
}

/* ---- the association ---- */

static void read_files(void) {
        if (given[CA]) {
                must(mbedtls_x509_crt_parse_file(&ca, given[CA]), "read the CA");
                mbedtls_ssl_conf_ca_chain(&config, &ca, NULL);
        }
        if (given[CERTIFICATE]) {
                must(mbedtls_x509_crt_parse_file(&certificate, given[CERTIFICATE]),
                     "read the certificate");
                must(mbedtls_pk_parse_keyfile(&key, given[KEY], NULL), "read the key");
                must(mbedtls_ssl_conf_own_cert(&config, &certificate, &key), "use the certificate");
        }
}

static int verify_mode(void) {
        const char *name = given[VERIFY] ? given[VERIFY] : server ? "VerifyNone" : "VerifyPeer";

        if (strcmp(name, "VerifyNone") == 0)
                return MBEDTLS_SSL_VERIFY_NONE;
        return strcmp(name, "QueryPeer") == 0 ? MBEDTLS_SSL_VERIFY_OPTIONAL
                                              : MBEDTLS_SSL_VERIFY_REQUIRED;
}

static void make_config(void) {
        must(mbedtls_ctr_drbg_seed(&random_source, mbedtls_entropy_func, &entropy, NULL, 0),
             "seed");
        must(mbedtls_ssl_config_defaults(
                     &config, server ? MBEDTLS_SSL_IS_SERVER : MBEDTLS_SSL_IS_CLIENT,
                     MBEDTLS_SSL_TRANSPORT_DATAGRAM, MBEDTLS_SSL_PRESET_DEFAULT),
             "configure");
        mbedtls_ssl_conf_rng(&config, mbedtls_ctr_drbg_random, &random_source);
        mbedtls_ssl_conf_authmode(&config, verify_mode());
        read_files();
        if (given[PSK])
                must(mbedtls_ssl_conf_psk(
                             &config, (const unsigned char *)given[PSK], strlen(given[PSK]),
                             (const unsigned char *)given[IDENTITY], strlen(given[IDENTITY])),
                     "use the PSK");
        if (!server)
                return;

        if (given[COOKIE_SECRET]) {
                must(mbedtls_ssl_cookie_setup(&cookies, mbedtls_ctr_drbg_random, &random_source),
                     "make cookies");
                mbedtls_ssl_conf_dtls_cookies(&config, mbedtls_ssl_cookie_write,
                                              mbedtls_ssl_cookie_check, &cookies);
        } else {
                mbedtls_ssl_conf_dtls_cookies(&config, NULL, NULL, NULL);
        }
}

static void make_association(void) {
        must(mbedtls_ssl_setup(&ssl, &config), "set up");
        mbedtls_ssl_set_bio(&ssl, NULL, transmit, receive, NULL);
        mbedtls_ssl_set_timer_cb(&ssl, &timer, mbedtls_timing_set_delay, mbedtls_timing_get_delay);
        if (!server && given[NAME])
                must(mbedtls_ssl_set_hostname(&ssl, given[NAME]), "use the name");
}

static void name_client(void) {
        if (server && given[COOKIE_SECRET])
                must(mbedtls_ssl_set_client_transport_id(&ssl, (const unsigned char *)&peer_address,
                                                         sizeof peer_address),
                     "name the client");
}

static void say_verification_errors(void) {
        uint32_t flags = mbedtls_ssl_get_verify_result(&ssl);

        if (given[PSK] || flags == 0 || flags == UINT32_MAX)
                return;
        if (flags & MBEDTLS_X509_BADCERT_NOT_TRUSTED)
                say("verification-error NOT_TRUSTED");
        if (flags & MBEDTLS_X509_BADCERT_CN_MISMATCH)
                say("verification-error CN_MISMATCH");
        if (flags & MBEDTLS_X509_BADCERT_MISSING)
                say("verification-error MISSING");
}

static int shake_hands(void) {
        int r;

        name_client();
        say("state HandshakeInProgress");
        for (;;) {
                r = mbedtls_ssl_handshake(&ssl);
                if (r == 0) {
                        if (given[COOKIE_SECRET] && server)
                                say("verified");
                        say("state HandshakeComplete");
                        say("encrypted %s", mbedtls_ssl_get_ciphersuite(&ssl));
                        return 0;
                }
                if (r == MBEDTLS_ERR_SSL_HELLO_VERIFY_REQUIRED) {
                        say("not verified");
                        must(mbedtls_ssl_session_reset(&ssl), "reset");
                        name_client();
                } else if (r == MBEDTLS_ERR_SSL_WANT_READ || r == MBEDTLS_ERR_SSL_WANT_WRITE) {
                        wait_input(0);
                } else {
                        say_verification_errors();
                        say_error(r);
                        say("state HandshakeNotStarted");
                        return -1;
                }
        }
}

/* 0: it goes on. */
static int read_datagrams(void) {
        static unsigned char buffer[DATAGRAM_MAX];
        int r;

        while ((r = mbedtls_ssl_read(&ssl, buffer, sizeof buffer)) > 0)
                say("received %.*s", r, (const char *)buffer);
        if (r == MBEDTLS_ERR_SSL_WANT_READ || r == MBEDTLS_ERR_SSL_WANT_WRITE)
                return 0;

        say_error(r);
        say("state HandshakeNotStarted");
        return -1;
}

static void obey(const char *line) {
        int r;

        if (strcmp(line, "/shutdown") == 0) {
                must(mbedtls_ssl_close_notify(&ssl), "shut down");
                say("state HandshakeNotStarted");
                return;
        }
        r = mbedtls_ssl_write(&ssl, (const unsigned char *)line, strlen(line));
        if (r < 0)
                say_error(r);
}

/* Whole lines come from the test, a short one at a time. 0: it goes on. */
static int read_typed(void) {
        char buffer[4096];
        struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};
        ssize_t n;

        if (poll(&p, 1, 0) <= 0)
                return 0;
        n = read(STDIN_FILENO, buffer, sizeof buffer - 1);
        if (n <= 0)
                return -1;

        buffer[n] = '\0';
        for (char *rest = NULL, *line = strtok_r(buffer, "\n", &rest); line;
             line = strtok_r(NULL, "\n", &rest))
                obey(line);
        return 0;
}

static void read_arguments(char **argv) {
        for (; *argv; argv++) {
                int known = 0;

                for (size_t i = 0; i < N_OPTIONS; i++) {
                        size_t size = strlen(option_names[i]);

                        if (strncmp(*argv, "--", 2) != 0 ||
                            strncmp(*argv + 2, option_names[i], size) != 0 ||
                            (*argv)[2 + size] != '=')
                                continue;
                        given[i] = *argv + 2 + size + 1;
                        known = 1;
                }
                if (!known) {
                        say("no such option: %s", *argv);
                        exit(2);
                }
        }
}

int main(int argc, char **argv) {
        if (argc < 2) {
                say("usage: %s client|server OPTION…", argv[0]);
                return 2;
        }
        server = strcmp(argv[1], "server") == 0;
        read_arguments(argv + 2);
        mbedtls_entropy_init(&entropy);
        mbedtls_ctr_drbg_init(&random_source);
        mbedtls_x509_crt_init(&certificate);
        mbedtls_x509_crt_init(&ca);
        mbedtls_pk_init(&key);
        mbedtls_ssl_cookie_init(&cookies);
        mbedtls_ssl_config_init(&config);
        mbedtls_ssl_init(&ssl);
        make_config();
        open_socket();
        make_association();

        if (shake_hands() == 0)
                while (read_datagrams() == 0 && read_typed() == 0)
                        wait_input(1);
        while (getchar() != EOF) /* the test reads what was said, and ends it */
                continue;
        return 0;
}
