/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * qdtls-server: what a server made with QDtls and QDtlsClientVerifier looks like here.
 *
 * It has a UDP socket of its own for all its clients and tells them apart by their addresses. The
 * first datagram of a stranger goes to a verifier; one that was verified starts a connection with
 * the same cookie parameters, and from then on what comes from that address is for that
 * connection. Each call has Qt's name. A program that is not written yet does better with
 * dtlsd_listen(), which does all of this.
 *
 * Sends back what it is told.
 *
 * usage: qdtls-server ADDRESS PORT CERTIFICATE-FILE KEY-FILE
 */

#include <dtlsd-client.h>

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#define DATAGRAM_MAX 65536
#define QUIET_MSEC (5 * 60 * 1000) /* a client that says nothing so long is forgotten */

struct address {
        struct sockaddr_storage storage;
        socklen_t size;
        char text[NI_MAXHOST];
        uint16_t port;
};

struct server {
        sd_event *event;
        sd_bus *bus;
        int socket_fd;
        dtlsd_verifier *verifier;
        struct dtlsd_options options; /* of each connection */
        struct dtlsd_cookie_parameters cookies;
        struct peer *peers;
};

struct peer {
        struct peer *next;
        struct server *server;
        struct address address;
        dtlsd_connection *dtls;
};

static int complain(const char *what, int r, sd_bus_error *error) {
        fprintf(stderr, "qdtls-server: %s: %s\n", what,
                error && error->message ? error->message : strerror(-r));
        sd_bus_error_free(error);
        return 1;
}

static void send_to(const struct server *server, const struct address *to, const void *data,
                    size_t size) {
        if (sendto(server->socket_fd, data, size, MSG_DONTWAIT,
                   (const struct sockaddr *)&to->storage, to->size) < 0)
                complain(to->text, -errno, NULL); /* lost, as one is underway */
}

/* ---- peers ---- */

static struct peer *peer_find(const struct server *server, const struct address *address) {
        for (struct peer *peer = server->peers; peer; peer = peer->next)
                if (peer->address.port == address->port &&
                    strcmp(peer->address.text, address->text) == 0)
                        return peer;

        return NULL;
}

static void peer_forget(struct peer *peer) {
        struct peer **at = &peer->server->peers;

        while (*at != peer)
                at = &(*at)->next;
        *at = peer->next;

        (void)dtlsd_connection_close(peer->dtls, NULL);
        (void)dtlsd_connection_unref(peer->dtls);
        free(peer);
}

static void on_datagram_to_send(dtlsd_connection *dtls, const void *data, size_t size,
                                void *userdata) {
        struct peer *peer = userdata;

        send_to(peer->server, &peer->address, data, size);
}

static void on_state_changed(dtlsd_connection *dtls, enum dtlsd_handshake_state state,
                             const sd_bus_error *why, void *userdata) {
        struct peer *peer = userdata;

        if (state == DTLSD_HANDSHAKE_COMPLETE)
                printf("qdtls-server: %s port %u is there\n", peer->address.text,
                       peer->address.port);
}

/* By the peer, or because nothing came of the handshake, or of the peer for long. */
static void on_closed(dtlsd_connection *dtls, const char *reason, void *userdata) {
        struct peer *peer = userdata;

        printf("qdtls-server: %s port %u is gone: %s\n", peer->address.text, peer->address.port,
               reason);
        peer_forget(peer);
}

static const struct dtlsd_handlers handlers = {
        .datagram_to_send = on_datagram_to_send,
        .state_changed = on_state_changed,
        .closed = on_closed,
};

/* With the datagram that the verifier has verified. */
static int peer_start(struct server *server, const struct address *address, const void *hello,
                      size_t size, sd_bus_error *error) {
        struct peer *peer;
        int r;

        peer = calloc(1, sizeof *peer);
        if (!peer)
                return -ENOMEM;

        peer->server = server;
        peer->address = *address;
        r = dtlsd_connection_create_external(server->bus, DTLSD_SERVER, address->text,
                                             address->port, &server->options, &peer->dtls, error);
        if (r < 0) {
                free(peer);
                return r;
        }

        peer->next = server->peers;
        server->peers = peer;
        r = dtlsd_connection_set_handlers(peer->dtls, &handlers, peer, error);
        if (r >= 0)
                r = dtlsd_connection_handshake_datagram(peer->dtls, hello, size, NULL, error);
        if (r < 0)
                peer_forget(peer);
        return r;
}

static int peer_take(struct peer *peer, const void *data, size_t size, sd_bus_error *error) {
        enum dtlsd_handshake_state state;
        struct dtlsd_bytes *plain = NULL;
        size_t n = 0;
        int r;

        r = dtlsd_connection_handshake_state(peer->dtls, &state, error);
        if (r >= 0 && state != DTLSD_HANDSHAKE_COMPLETE)
                return dtlsd_connection_handshake_datagram(peer->dtls, data, size, NULL, error);
        if (r >= 0)
                r = dtlsd_connection_decrypt_datagram(peer->dtls, data, size, &plain, &n, error);
        for (size_t i = 0; r >= 0 && i < n; i++)
                r = dtlsd_connection_write(peer->dtls, plain[i].data, plain[i].size, error);

        free(plain);
        return r;
}

/* ---- the socket ---- */

static int stranger_take(struct server *server, const struct address *from, const void *data,
                         size_t size, sd_bus_error *error) {
        struct dtlsd_client_verdict verdict;
        int r;

        r = dtlsd_verifier_verify_client(server->verifier, data, size, from->text, from->port,
                                         &verdict, error);
        if (r < 0)
                return r;
        if (verdict.verified)
                return peer_start(server, from, data, size, error);
        if (verdict.reply_size > 0)
                send_to(server, from, verdict.reply, verdict.reply_size);
        return 0;
}

static ssize_t receive(int fd, void *buffer, struct address *ret_from) {
        char port[NI_MAXSERV];
        ssize_t n;

        ret_from->size = sizeof ret_from->storage;
        n = recvfrom(fd, buffer, DATAGRAM_MAX, MSG_DONTWAIT, (struct sockaddr *)&ret_from->storage,
                     &ret_from->size);
        if (n < 0 || getnameinfo((struct sockaddr *)&ret_from->storage, ret_from->size,
                                 ret_from->text, sizeof ret_from->text, port, sizeof port,
                                 NI_NUMERICHOST | NI_NUMERICSERV | NI_DGRAM) != 0)
                return -1;

        ret_from->port = (uint16_t)atoi(port);
        return n;
}

static int on_datagram(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        struct server *server = userdata;
        sd_bus_error error = SD_BUS_ERROR_NULL;
        char buffer[DATAGRAM_MAX];
        struct address from;
        struct peer *peer;
        ssize_t n;
        int r;

        n = receive(fd, buffer, &from);
        if (n <= 0)
                return 0;

        peer = peer_find(server, &from);
        if (peer)
                r = peer_take(peer, buffer, (size_t)n, &error);
        else
                r = stranger_take(server, &from, buffer, (size_t)n, &error);
        if (r < 0)
                complain(from.text, r, &error);
        return 0;
}

static int socket_bind(const char *address, const char *port, uint16_t *ret_port) {
        struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
                                 .ai_socktype = SOCK_DGRAM};
        struct sockaddr_storage bound;
        socklen_t size = sizeof bound;
        struct addrinfo *at;
        int fd;

        if (getaddrinfo(address, port, &hints, &at) != 0)
                return -EINVAL;

        fd = socket(at->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (fd < 0 || bind(fd, at->ai_addr, at->ai_addrlen) < 0 ||
            getsockname(fd, (struct sockaddr *)&bound, &size) < 0) {
                freeaddrinfo(at);
                return -errno;
        }

        freeaddrinfo(at);
        *ret_port = ntohs(((struct sockaddr_in *)&bound)->sin_port); /* IPv6 has it there too */
        return fd;
}

/* ---- the beginning ---- */

/* The same parameters for the verifier and for the connections, or these would not know its
 * cookies. */
static int verifier_start(struct server *server, sd_bus_error *error) {
        int r;

        r = dtlsd_verifier_create(server->bus, NULL, &server->verifier, error);
        if (r >= 0)
                r = dtlsd_verifier_cookie_parameters(server->verifier, &server->cookies, error);
        if (r >= 0) /* which stay from here on */
                r = dtlsd_verifier_set_cookie_parameters(server->verifier, &server->cookies, error);
        if (r < 0)
                return r;

        server->options.cookie_hash = server->cookies.hash;
        server->options.cookie_secret = server->cookies.secret;
        server->options.cookie_secret_size = server->cookies.secret_size;
        return 0;
}

int main(int argc, char **argv) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        struct server server = {.options = {.idle_timeout = QUIET_MSEC}};
        const char *certificate_files[] = {argc > 3 ? argv[3] : NULL, NULL};
        uint16_t port = 0;
        int r;

        if (argc != 5) {
                fprintf(stderr, "usage: qdtls-server ADDRESS PORT CERTIFICATE-FILE KEY-FILE\n");
                return 2;
        }

        setlinebuf(stdout);
        server.options.certificate_chain_files = certificate_files;
        server.options.private_key_file = argv[4];
        server.socket_fd = socket_bind(argv[1], argv[2], &port);
        if (server.socket_fd < 0)
                return complain(argv[1], server.socket_fd, NULL);

        r = sd_bus_open_system(&server.bus);
        if (r >= 0)
                r = sd_event_new(&server.event);
        if (r >= 0)
                r = sd_bus_attach_event(server.bus, server.event, SD_EVENT_PRIORITY_NORMAL);
        if (r >= 0)
                r = verifier_start(&server, &error);
        if (r >= 0)
                r = sd_event_add_io(server.event, NULL, server.socket_fd, EPOLLIN, on_datagram,
                                    &server);
        if (r < 0)
                return complain("start", r, &error);

        printf("qdtls-server: listening on port %u\n", port);
        return sd_event_loop(server.event) != 0;
}
