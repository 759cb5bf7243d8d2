/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * psk-server: a server whose keys are in the application.
 *
 * The listener knows no key. When a client names its identity, dtlsd asks: the signal PskRequired
 * on that client's connection object. The answer may take as long as a database takes; here it is
 * at hand. What the clients say is answered in capitals.
 *
 * usage: psk-server ADDRESS PORT IDENTITY KEY     (KEY in plain characters, for a demonstration
 * only)
 */

#include <dtlsd-client.h>

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#define DATAGRAM_MAX 65536

struct server {
        sd_event *event;
        dtlsd_listener *listener;
        const char *identity, *key;
};

/* What a peer says is not let at the terminal as it is. */
static void print_peer_text(const char *text, size_t size) {
        for (size_t i = 0; i < size; i++)
                putchar(isprint((unsigned char)text[i]) ? text[i] : '.');
}

static int read_bytes(sd_bus_message *m, const void **ret, size_t *ret_size) {
        return sd_bus_message_read_array(m, 'y', ret, ret_size);
}

static int on_psk_required(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        struct server *server = userdata;
        const void *hint, *identity;
        size_t hint_size, identity_size;
        dtlsd_connection *connection;
        int known, r;

        if (read_bytes(m, &hint, &hint_size) < 0 || read_bytes(m, &identity, &identity_size) < 0)
                return 0;
        if (dtlsd_connection_at(sd_bus_message_get_bus(m), sd_bus_message_get_path(m),
                                &connection) < 0)
                return 0;

        known = identity_size == strlen(server->identity) &&
                memcmp(identity, server->identity, identity_size) == 0;
        printf("psk-server: the key of '");
        print_peer_text(identity, identity_size);
        printf("' is asked for: %s\n", known ? "ProvidePsk" : "RefusePsk");
        if (known)
                r = dtlsd_connection_provide_psk(connection, identity, identity_size, server->key,
                                                 strlen(server->key), NULL);
        else
                r = dtlsd_connection_refuse_psk(connection, NULL);
        if (r < 0) /* the client has given up meanwhile, for one */
                printf("psk-server: the answer came to nothing: %s\n", strerror(-r));

        (void)dtlsd_connection_unref(connection);
        return 0;
}

static int on_datagram(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        dtlsd_connection *connection = userdata;
        char buffer[DATAGRAM_MAX];
        ssize_t n;

        n = recv(fd, buffer, sizeof buffer, MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN)
                return 0;
        if (n <= 0) { /* the end: an empty datagram is never delivered */
                printf("psk-server: %s has gone\n", dtlsd_connection_peer_address(connection));
                (void)sd_event_source_disable_unref(source);
                (void)dtlsd_connection_unref(connection);
                return 0;
        }

        printf("psk-server: %s says: ", dtlsd_connection_peer_address(connection));
        print_peer_text(buffer, (size_t)(n > 0 && buffer[n - 1] == '\n' ? n - 1 : n));
        putchar('\n');
        for (ssize_t i = 0; i < n; i++)
                buffer[i] = (char)toupper((unsigned char)buffer[i]);
        (void)send(fd, buffer, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT);
        return 0;
}

static int on_accept(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        struct server *server = userdata;
        dtlsd_connection *connection = NULL;
        sd_event_source *data = NULL;
        const void *identity;
        size_t size;
        int r;

        r = dtlsd_listener_accept(server->listener, &connection);
        if (r == -ECONNRESET) /* the listener is gone, and dtlsd perhaps */
                return sd_event_exit(server->event, 1);
        if (r < 0)
                return 0;

        identity = dtlsd_connection_psk_identity(connection, &size);
        printf("psk-server: connected: %s port %u, identity '",
               dtlsd_connection_peer_address(connection), dtlsd_connection_peer_port(connection));
        print_peer_text(identity, size);
        printf("'\n");
        return sd_event_add_io(server->event, &data, dtlsd_connection_fd(connection), EPOLLIN,
                               on_datagram, connection);
}

static int die(const char *what, int r, const sd_bus_error *error) {
        fprintf(stderr, "psk-server: %s: %s\n", what,
                error && error->message ? error->message : strerror(-r));
        return 1;
}

int main(int argc, char **argv) {
        struct dtlsd_options options = {.psk_identity_hint = "psk-server"};
        sd_bus_error error = SD_BUS_ERROR_NULL;
        struct server server = {0};
        sd_bus *bus = NULL;
        int r;

        if (argc != 5) {
                fprintf(stderr, "usage: psk-server ADDRESS PORT IDENTITY KEY\n");
                return 2;
        }

        setlinebuf(stdout);
        server.identity = argv[3];
        server.key = argv[4];
        r = sd_bus_open_system(&bus);
        if (r >= 0)
                r = sd_event_new(&server.event);
        if (r >= 0)
                r = sd_bus_attach_event(bus, server.event, SD_EVENT_PRIORITY_NORMAL);
        if (r < 0)
                return die("start", r, NULL);

        /* unicast to us; nobody else ever sees it */
        r = sd_bus_match_signal(bus, NULL, "io.github.dtlsd.Dtlsd1", NULL,
                                "io.github.dtlsd.Dtlsd1.Connection", "PskRequired", on_psk_required,
                                &server);
        if (r >= 0)
                r = dtlsd_listen(bus, argv[1], (uint16_t)atoi(argv[2]), &options, &server.listener,
                                 &error);
        if (r >= 0)
                r = dtlsd_listener_open_accept_queue(server.listener, &error);
        if (r >= 0)
                r = sd_event_add_io(server.event, NULL, dtlsd_listener_fd(server.listener), EPOLLIN,
                                    on_accept, &server);
        if (r < 0)
                return die("listen", r, &error);

        printf("psk-server: listening on port %u\n", dtlsd_listener_port(server.listener));
        return sd_event_loop(server.event) != 0;
}
