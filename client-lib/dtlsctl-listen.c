/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * dtlsctl listen: takes connections from an accept queue and copies what they say. Standard input
 * waits until somebody is there, and goes to whom was heard last; its end ends nothing.
 */

#include "dtlsctl.h"

#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <systemd/sd-event.h>
#include <unistd.h>

typedef struct Server {
        sd_event *event;
        dtlsd_listener *listener;
        GHashTable *peers;      /* of Peer by itself */
        struct Peer *last;      /* standard input goes to it */
        sd_event_source *input; /* on while there is a last; NULL after the end of input */
        bool echo;
} Server;

typedef struct Peer {
        Server *server;
        dtlsd_connection *connection;
        sd_event_source *source;
} Peer;

/* ---- peers ---- */

static void server_set_last(Server *server, Peer *peer) {
        server->last = peer;
        if (server->input)
                (void)sd_event_source_set_enabled(server->input, peer ? SD_EVENT_ON : SD_EVENT_OFF);
}

static void peer_free(void *value) {
        Peer *peer = value;

        if (peer->server->last == peer)
                server_set_last(peer->server, NULL);
        (void)sd_event_source_disable_unref(peer->source);
        (void)dtlsd_connection_unref(peer->connection);
        g_free(peer);
}

static void peer_say(const Peer *peer, const char *what) {
        say("connection %" G_GUINT64_FORMAT " of %s port %u: %s",
            text_number(dtlsd_connection_path(peer->connection)),
            dtlsd_connection_peer_address(peer->connection),
            dtlsd_connection_peer_port(peer->connection), what);
}

static int on_peer(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        Peer *peer = userdata;
        Server *server = peer->server;
        uint8_t buffer[DATAGRAM_MAX];
        size_t size;

        switch (copy_to_output(fd, buffer, &size)) {
        case COPY_GOES_ON:
                break;
        case COPY_ENDED:
                peer_say(peer, "gone");
                (void)g_hash_table_remove(server->peers, peer);
                return 0;
        case COPY_FAILED:
                return sd_event_exit(server->event, EXIT_FAILURE);
        }

        server_set_last(server, peer);
        if (server->echo && size > 0 && send(fd, buffer, size, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 &&
            errno == EAGAIN)
                peer_say(peer, "too slow for the echo");
        return 0;
}

static void peer_greet(const Peer *peer) {
        size_t size;
        const void *identity = dtlsd_connection_psk_identity(peer->connection, &size);
        g_autofree char *text = NULL;

        if (identity)
                text = g_strdup_printf("connected, identity %.*s", (int)size,
                                       (const char *)identity);
        peer_say(peer, text ? text : "connected");
}

static int peer_new(Server *server, dtlsd_connection *connection) {
        Peer *peer = g_new0(Peer, 1);
        int r;

        peer->server = server;
        peer->connection = connection;
        (void)g_hash_table_add(server->peers, peer);
        r = sd_event_add_io(server->event, &peer->source, dtlsd_connection_fd(connection), EPOLLIN,
                            on_peer, peer);
        if (r < 0) {
                (void)g_hash_table_remove(server->peers, peer);
                return r;
        }

        peer_greet(peer);
        server_set_last(server, peer);
        return 0;
}

static int on_accept(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        Server *server = userdata;
        dtlsd_connection *connection = NULL;
        int r;

        r = dtlsd_listener_accept(server->listener, &connection);
        if (r == -EAGAIN)
                return 0;
        if (r == -ECONNRESET) {
                say("the listener is gone: dtlsd has ended, or somebody closed it");
                return sd_event_exit(server->event, EXIT_FAILURE);
        }
        if (r >= 0)
                r = peer_new(server, connection);
        if (r < 0)
                (void)complain("a connection is lost", r, NULL);
        return 0;
}

/* ---- standard input ---- */

static void take_input(Server *server) {
        const dtlsd_connection *connection = server->last->connection;
        CopyOutcome outcome = copy_from_input(dtlsd_connection_fd(connection),
                                              dtlsd_connection_data_mtu(connection));

        if (outcome != COPY_GOES_ON)
                server->input = sd_event_source_disable_unref(server->input);
}

static int on_input(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        take_input(userdata);
        return 0;
}

static int on_file_input(sd_event_source *source, void *userdata) {
        take_input(userdata);
        return 0;
}

static int server_watch_input(Server *server) {
        int r;

        r = sd_event_add_io(server->event, &server->input, STDIN_FILENO, EPOLLIN, on_input, server);
        if (r == -EPERM) /* a file, /dev/null: always ready, which epoll does not take */
                r = sd_event_add_defer(server->event, &server->input, on_file_input, server);
        if (r >= 0)
                r = sd_event_source_set_priority(server->input, SD_EVENT_PRIORITY_IDLE);
        if (r >= 0)
                r = sd_event_source_set_enabled(server->input, SD_EVENT_OFF);
        return r;
}

/* ---- the whole ---- */

static int serve(sd_bus *bus, Server *server) {
        int r;

        r = sd_event_new(&server->event);
        if (r >= 0)
                r = sd_event_add_signal(server->event, NULL, SIGINT, NULL, NULL); /* exits with 0 */
        if (r >= 0)
                r = sd_event_add_signal(server->event, NULL, SIGTERM, NULL, NULL);
        if (r >= 0)
                r = sd_event_add_signal(server->event, NULL, SIGHUP, NULL, NULL);
        if (r >= 0)
                r = sd_bus_attach_event(bus, server->event, SD_EVENT_PRIORITY_NORMAL);
        if (r >= 0)
                r = sd_event_add_io(server->event, NULL, dtlsd_listener_fd(server->listener),
                                    EPOLLIN, on_accept, server);
        if (r >= 0)
                r = server_watch_input(server);
        if (r < 0)
                return complain("listen", r, NULL);

        r = sd_event_loop(server->event);
        return r < 0 ? complain("listen", r, NULL) : r;
}

/* A name is resolved, to its first address. False: has said why it cannot be. */
static bool resolve(const char *host, char address[static NI_MAXHOST]) {
        struct addrinfo hints = {.ai_socktype = SOCK_DGRAM};
        struct addrinfo *list;
        int r;

        r = getaddrinfo(host, NULL, &hints, &list);
        if (r == 0) {
                r = getnameinfo(list->ai_addr, list->ai_addrlen, address, NI_MAXHOST, NULL, 0,
                                NI_NUMERICHOST);
                freeaddrinfo(list);
        }
        if (r != 0)
                say("%s: %s", host, r == EAI_SYSTEM ? strerror(errno) : gai_strerror(r));
        return r == 0;
}

static dtlsd_listener *listen_at(sd_bus *bus, const Settings *settings, const char *address,
                                 uint16_t port) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        dtlsd_listener *listener = NULL;
        int r;

        r = dtlsd_listen(bus, address, port, &settings->options, &listener, &error);
        if (r >= 0)
                r = dtlsd_listener_open_accept_queue(listener, &error);
        if (r < 0) {
                (void)complain(address, r, &error);
                listener = dtlsd_listener_unref(listener);
        }

        sd_bus_error_free(&error);
        return listener;
}

int command_listen(sd_bus *bus, Settings *settings, char **arguments) {
        Server server = {.echo = settings->echo};
        char address[NI_MAXHOST];
        sigset_t signals;
        uint16_t port;
        int status;

        if (!port_parse(arguments[1], 0, &port))
                return EXIT_USAGE;
        if (!resolve(arguments[0], address))
                return EXIT_FAILURE;

        server.listener = listen_at(bus, settings, address, port);
        if (!server.listener)
                return EXIT_FAILURE;

        signals_take(&signals); /* before anybody is told that there is something to end */
        say("listening on %s port %u", address, dtlsd_listener_port(server.listener));
        server.peers = g_hash_table_new_full(NULL, NULL, peer_free, NULL);
        status = serve(bus, &server);

        server.input = sd_event_source_disable_unref(server.input);
        g_hash_table_destroy(server.peers);
        (void)sd_bus_detach_event(bus);
        (void)sd_event_unref(server.event);
        (void)dtlsd_listener_close(server.listener, NULL); /* it may be gone already */
        (void)dtlsd_listener_unref(server.listener);
        return status;
}
