/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * qdtls-client: what a client made with QDtls looks like here.
 *
 * It has a UDP socket of its own and moves every datagram by itself, as QDtls wants it: what comes
 * goes to the connection, what the connection has for the peer goes to the socket, and a flight
 * that was lost is sent again when the signal says so. Each call has QDtls' name.
 *
 * Says MESSAGE to the server, prints its answer and ends.
 *
 * usage: qdtls-client ADDRESS PORT CA-FILE NAME MESSAGE
 */

#include <dtlsd-client.h>

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#define DATAGRAM_MAX 65536

struct client {
        sd_event *event;
        dtlsd_connection *dtls;
        int socket_fd;
        const char *message;
        int answered;
};

static int complain(const char *what, int r, sd_bus_error *error) {
        fprintf(stderr, "qdtls-client: %s: %s\n", what,
                error && error->message ? error->message : strerror(-r));
        sd_bus_error_free(error);
        return 1;
}

/* ---- what the connection says ---- */

static void on_datagram_to_send(dtlsd_connection *dtls, const void *data, size_t size,
                                void *userdata) {
        struct client *client = userdata;

        if (send(client->socket_fd, data, size, 0) < 0) /* lost, as one is underway */
                complain("send", -errno, NULL);
}

static void on_handshake_timeout(dtlsd_connection *dtls, void *userdata) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        int r;

        r = dtlsd_connection_handle_timeout(dtls, NULL, &error);
        if (r < 0)
                complain("handle timeout", r, &error);
}

/* An application that knows better would call dtlsd_connection_ignore_errors() and then
 * dtlsd_connection_resume_handshake(). */
static void distrust(dtlsd_connection *dtls) {
        struct dtlsd_verification_error *errors = NULL;
        size_t n = 0;

        (void)dtlsd_connection_verification_errors(dtls, &errors, &n, NULL);
        for (size_t i = 0; i < n; i++)
                fprintf(stderr, "qdtls-client: the server's certificate: %s\n", errors[i].name);
        free(errors);
        (void)dtlsd_connection_abort_handshake(dtls, NULL);
}

static void greet(struct client *client) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        int r;

        r = dtlsd_connection_write(client->dtls, client->message, strlen(client->message), &error);
        if (r < 0)
                sd_event_exit(client->event, complain("write", r, &error));
}

static void on_state_changed(dtlsd_connection *dtls, enum dtlsd_handshake_state state,
                             const sd_bus_error *why, void *userdata) {
        struct client *client = userdata;

        switch (state) {
        case DTLSD_HANDSHAKE_IN_PROGRESS:
                break;
        case DTLSD_HANDSHAKE_COMPLETE:
                greet(client);
                break;
        case DTLSD_PEER_VERIFICATION_FAILED:
                distrust(dtls);
                break;
        case DTLSD_HANDSHAKE_NOT_STARTED: /* it is over, and the last datagram was sent */
                if (sd_bus_error_is_set(why))
                        fprintf(stderr, "qdtls-client: %s\n", why->message);
                sd_event_exit(client->event, client->answered ? 0 : 1);
                break;
        }
}

static const struct dtlsd_handlers handlers = {
        .datagram_to_send = on_datagram_to_send,
        .handshake_timeout = on_handshake_timeout,
        .state_changed = on_state_changed,
};

/* ---- what the socket says ---- */

static int take_answer(struct client *client, const void *data, size_t size, sd_bus_error *error) {
        struct dtlsd_bytes *plain = NULL;
        size_t n = 0;
        int r;

        r = dtlsd_connection_decrypt_datagram(client->dtls, data, size, &plain, &n, error);
        for (size_t i = 0; i < n; i++)
                fwrite(plain[i].data, 1, plain[i].size, stdout);
        free(plain);
        if (r < 0 || n == 0)
                return r;

        client->answered = 1;
        return dtlsd_connection_shutdown(client->dtls, error);
}

static int on_datagram(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        struct client *client = userdata;
        enum dtlsd_handshake_state state;
        sd_bus_error error = SD_BUS_ERROR_NULL;
        char buffer[DATAGRAM_MAX];
        ssize_t n;
        int r;

        n = recv(fd, buffer, sizeof buffer, MSG_DONTWAIT);
        if (n <= 0) /* nobody listens there yet, for one: there will be a timeout */
                return 0;

        r = dtlsd_connection_handshake_state(client->dtls, &state, &error);
        if (r >= 0 && state == DTLSD_HANDSHAKE_COMPLETE)
                r = take_answer(client, buffer, (size_t)n, &error);
        else if (r >= 0)
                r = dtlsd_connection_handshake_datagram(client->dtls, buffer, (size_t)n, NULL,
                                                        &error);
        if (r < 0)
                complain("a datagram", r, &error);
        return 0;
}

/* ---- the beginning ---- */

static int socket_connect(const char *address, const char *port) {
        struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
                                 .ai_socktype = SOCK_DGRAM};
        struct addrinfo *at;
        int fd;

        if (getaddrinfo(address, port, &hints, &at) != 0)
                return -EINVAL;

        fd = socket(at->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (fd >= 0 && connect(fd, at->ai_addr, at->ai_addrlen) < 0) {
                close(fd);
                fd = -1;
        }
        freeaddrinfo(at);
        return fd < 0 ? -errno : fd;
}

static int start(struct client *client, sd_bus *bus, char **argv, sd_bus_error *error) {
        const char *const ca_files[] = {argv[3], NULL};
        const struct dtlsd_options options = {
                .ca_files = ca_files,
                .verification_name = argv[4],
                .manual_retransmission = 1,
        };
        int r;

        r = dtlsd_connection_create_external(bus, DTLSD_CLIENT, argv[1], (uint16_t)atoi(argv[2]),
                                             &options, &client->dtls, error);
        if (r >= 0)
                r = dtlsd_connection_set_handlers(client->dtls, &handlers, client, error);
        if (r >= 0)
                r = sd_event_add_io(client->event, NULL, client->socket_fd, EPOLLIN, on_datagram,
                                    client);
        return r < 0 ? r : dtlsd_connection_do_handshake(client->dtls, error);
}

int main(int argc, char **argv) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        struct client client = {0};
        sd_bus *bus = NULL;
        int r;

        if (argc != 6) {
                fprintf(stderr, "usage: qdtls-client ADDRESS PORT CA-FILE NAME MESSAGE\n");
                return 2;
        }

        client.message = argv[5];
        client.socket_fd = socket_connect(argv[1], argv[2]);
        if (client.socket_fd < 0)
                return complain(argv[1], client.socket_fd, NULL);

        r = sd_bus_open_system(&bus);
        if (r >= 0)
                r = sd_event_new(&client.event);
        if (r >= 0)
                r = sd_bus_attach_event(bus, client.event, SD_EVENT_PRIORITY_NORMAL);
        if (r >= 0)
                r = start(&client, bus, argv, &error);
        r = r < 0 ? complain("start", r, &error) : sd_event_loop(client.event);

        (void)dtlsd_connection_unref(client.dtls);
        (void)sd_bus_flush_close_unref(bus);
        (void)sd_event_unref(client.event);
        (void)close(client.socket_fd);
        return r;
}
