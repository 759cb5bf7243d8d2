/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * coap-server: a CoAP server (RFC 7252) that knows nothing of DTLS.
 *
 * Its pre-shared key goes to dtlsd's keyring when the listener is made and is never seen again;
 * each client is a file descriptor on which one packet is one CoAP message. GET is answered with a
 * line of text, whatever the path; everything else with 4.05.
 *
 * usage: coap-server ADDRESS PORT IDENTITY KEY     (KEY in plain characters, for a demonstration
 * only)
 */

#include <dtlsd-client.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <systemd/sd-event.h>

#define DATAGRAM_MAX 65536

/* RFC 7252, 3 */
#define COAP_VERSION 1
#define COAP_HEADER_SIZE 4
#define COAP_TOKEN_MAX 8
#define COAP_PAYLOAD_MARKER 0xff
enum {
        COAP_CONFIRMABLE = 0,
        COAP_NON_CONFIRMABLE = 1,
        COAP_ACKNOWLEDGEMENT = 2
};
enum {
        COAP_GET = 0x01,
        COAP_CONTENT = 0x45,
        COAP_METHOD_NOT_ALLOWED = 0x85
};

static const char *const text = "hello from an application that has no key\n";

/* Returns the answer's size, 0 for none. */
static size_t coap_answer(const uint8_t *request, size_t size, uint8_t *answer) {
        size_t token_size = request[0] & 0x0f;
        unsigned type = request[0] >> 4 & 3;
        size_t at = COAP_HEADER_SIZE + token_size;

        if (size < COAP_HEADER_SIZE || request[0] >> 6 != COAP_VERSION ||
            token_size > COAP_TOKEN_MAX || size < at || request[1] == 0)
                return 0;
        if (type != COAP_CONFIRMABLE && type != COAP_NON_CONFIRMABLE)
                return 0;

        memcpy(answer, request, at); /* message id and token are the request's */
        type = type == COAP_CONFIRMABLE ? COAP_ACKNOWLEDGEMENT : COAP_NON_CONFIRMABLE;
        answer[0] = (uint8_t)(COAP_VERSION << 6 | type << 4 | token_size);
        if (request[1] != COAP_GET) {
                answer[1] = COAP_METHOD_NOT_ALLOWED;
                return at;
        }

        answer[1] = COAP_CONTENT;
        answer[at++] = COAP_PAYLOAD_MARKER;
        memcpy(answer + at, text, strlen(text));
        return at + strlen(text);
}

static int on_message(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        dtlsd_connection *connection = userdata;
        uint8_t request[DATAGRAM_MAX], answer[128];
        size_t size;
        ssize_t n;

        n = recv(fd, request, sizeof request, MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN)
                return 0;
        if (n <= 0) { /* the end: an empty datagram is never delivered */
                (void)sd_event_source_disable_unref(source);
                (void)dtlsd_connection_unref(connection);
                return 0;
        }

        size = coap_answer(request, (size_t)n, answer);
        printf("coap-server: %zd bytes from %s port %u, answered with %zu\n", n,
               dtlsd_connection_peer_address(connection), dtlsd_connection_peer_port(connection),
               size);
        if (size > 0)
                (void)send(fd, answer, size, MSG_NOSIGNAL | MSG_DONTWAIT);
        return 0;
}

static int on_accept(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        dtlsd_listener *listener = userdata;
        dtlsd_connection *connection = NULL;
        sd_event_source *data = NULL;
        int r;

        r = dtlsd_listener_accept(listener, &connection);
        if (r == -ECONNRESET) /* the listener is gone, and dtlsd perhaps */
                return sd_event_exit(sd_event_source_get_event(source), 1);
        if (r < 0)
                return 0;

        return sd_event_add_io(sd_event_source_get_event(source), &data,
                               dtlsd_connection_fd(connection), EPOLLIN, on_message, connection);
}

static int die(const char *what, int r, const sd_bus_error *error) {
        fprintf(stderr, "coap-server: %s: %s\n", what,
                error && error->message ? error->message : strerror(-r));
        return 1;
}

int main(int argc, char **argv) {
        struct dtlsd_options options = {.cipher_profile = "iot"}; /* CoAP's suite is CCM-8 */
        sd_bus_error error = SD_BUS_ERROR_NULL;
        dtlsd_listener *listener = NULL;
        sd_event *event = NULL;
        sd_bus *bus = NULL;
        int r;

        if (argc != 5) {
                fprintf(stderr, "usage: coap-server ADDRESS PORT IDENTITY KEY\n");
                return 2;
        }

        setlinebuf(stdout);
        options.psk_identity = argv[3];
        options.psk_identity_size = strlen(argv[3]);
        options.psk = argv[4];
        options.psk_size = strlen(argv[4]);
        r = sd_bus_open_system(&bus);
        if (r >= 0)
                r = sd_event_new(&event);
        if (r >= 0)
                r = sd_bus_attach_event(bus, event, SD_EVENT_PRIORITY_NORMAL);
        if (r < 0)
                return die("start", r, NULL);

        r = dtlsd_listen(bus, argv[1], (uint16_t)atoi(argv[2]), &options, &listener, &error);
        if (r >= 0)
                r = dtlsd_listener_open_accept_queue(listener, &error);
        if (r >= 0)
                r = sd_event_add_io(event, NULL, dtlsd_listener_fd(listener), EPOLLIN, on_accept,
                                    listener);
        if (r < 0)
                return die("listen", r, &error);

        printf("coap-server: listening on port %u\n", dtlsd_listener_port(listener));
        return sd_event_loop(event) != 0;
}
