/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * dtlsctl listen: takes connections from an accept queue and copies what they say.
 */

#include "dtlsctl.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <systemd/sd-event.h>
#include <unistd.h>

typedef struct Server {
        sd_event *event;
        dtlsd_listener *listener;
        GHashTable *peers; /* of Peer by itself */
        struct Peer *last; /* standard input goes to it */
        bool echo;
} Server;

typedef struct Peer {
        Server *server;
        dtlsd_connection *connection;
        sd_event_source *source;
} Peer;

static void peer_free(void *value) {
        Peer *peer = value;

        if (peer->server->last == peer)
                peer->server->last = NULL;
        (void)sd_event_source_disable_unref(peer->source);
        (void)dtlsd_connection_unref(peer->connection);
        g_free(peer);
}

static void peer_say(const Peer *peer, const char *what) {
        (void)fprintf(stderr, "dtlsctl: %s port %u: %s\n",
                      dtlsd_connection_peer_address(peer->connection),
                      dtlsd_connection_peer_port(peer->connection), what);
}

static int on_peer(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        Peer *peer = userdata;
        Server *server = peer->server;
        uint8_t buffer[DATAGRAM_MAX];
        ssize_t n;

        if (!copy_to_output(fd, &n, buffer)) {
                peer_say(peer, "gone");
                (void)g_hash_table_remove(server->peers, peer);
                return 0;
        }

        server->last = peer;
        if (server->echo && n > 0)
                (void)send(fd, buffer, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT);
        return 0;
}

static int on_accept(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        Server *server = userdata;
        dtlsd_connection *connection = NULL;
        Peer *peer;
        int r;

        r = dtlsd_listener_accept(server->listener, &connection);
        if (r == -EAGAIN)
                return 0;
        if (r < 0)
                return sd_event_exit(server->event, complain("accept", r, NULL));

        peer = g_new0(Peer, 1);
        peer->server = server;
        peer->connection = connection;
        (void)g_hash_table_add(server->peers, peer);
        r = sd_event_add_io(server->event, &peer->source, dtlsd_connection_fd(connection), EPOLLIN,
                            on_peer, peer);
        if (r < 0)
                return sd_event_exit(server->event, complain("accept", r, NULL));

        server->last = peer;
        peer_say(peer, "connected");
        return 0;
}

static int on_input(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        Server *server = userdata;
        uint8_t buffer[DATAGRAM_MAX];
        ssize_t n = read(fd, buffer, sizeof buffer);

        if (n <= 0) {
                (void)sd_event_source_set_enabled(source, SD_EVENT_OFF);
                return 0;
        }
        if (!server->last)
                (void)fprintf(stderr, "dtlsctl: nobody is connected\n");
        else if (send(dtlsd_connection_fd(server->last->connection), buffer, (size_t)n,
                      MSG_NOSIGNAL) < 0)
                peer_say(server->last, strerror(errno));
        return 0;
}

static int serve(sd_bus *bus, Server *server) {
        sd_event_source *input = NULL;
        int r;

        r = sd_event_new(&server->event);
        if (r >= 0)
                r = sd_bus_attach_event(bus, server->event, SD_EVENT_PRIORITY_NORMAL);
        if (r >= 0)
                r = sd_event_add_io(server->event, NULL, dtlsd_listener_fd(server->listener),
                                    EPOLLIN, on_accept, server);
        if (r < 0)
                return complain("listen", r, NULL);

        /* standard input that cannot be polled (a file) is not taken */
        if (sd_event_add_io(server->event, &input, STDIN_FILENO, EPOLLIN, on_input, server) < 0)
                input = NULL;

        r = sd_event_loop(server->event);
        (void)sd_event_source_disable_unref(input);
        return r < 0 ? complain("listen", r, NULL) : r;
}

int command_listen(sd_bus *bus, Settings *settings, char **arguments) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        Server server = {.echo = settings->echo};
        guint64 port;
        int r;

        if (g_strv_length(arguments) != 2 ||
            !g_ascii_string_to_unsigned(arguments[1], 10, 0, 65535, &port, NULL)) {
                (void)fprintf(stderr, "usage: dtlsctl listen [OPTION…] ADDRESS PORT\n");
                return 2;
        }

        r = dtlsd_listen(bus, arguments[0], (uint16_t)port, &settings->options, &server.listener,
                         &error);
        if (r >= 0)
                r = dtlsd_listener_open_accept_queue(server.listener, &error);
        if (r < 0) {
                (void)complain(arguments[0], r, &error);
                sd_bus_error_free(&error);
                (void)dtlsd_listener_unref(server.listener);
                return 1;
        }

        (void)fprintf(stderr, "dtlsctl: listening on port %u, %s\n",
                      dtlsd_listener_port(server.listener), dtlsd_listener_path(server.listener));
        server.peers = g_hash_table_new_full(NULL, NULL, peer_free, NULL);
        r = serve(bus, &server);
        g_hash_table_destroy(server.peers);
        (void)sd_bus_detach_event(bus);
        (void)sd_event_unref(server.event);
        (void)dtlsd_listener_unref(server.listener);
        return r;
}
