/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * crowd-server: a server for thousands of peers.
 *
 * All of them come over one file descriptor, a shared channel: that one has opened, what it says,
 * and that it has closed. What is there is taken at once, and the answers, in capitals, go at once:
 * a few system calls for a crowd, none for a peer. There is no call on the bus but the first two.
 *
 * usage: crowd-server ADDRESS PORT IDENTITY KEY     (KEY in plain characters, for a demonstration
 * only)
 */

#include <dtlsd-client.h>

#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FRAMES_MAX 256
#define PACKET_MAX 65536 /* frames that are received together have no more bytes */

struct server {
        dtlsd_channel *channel;
        unsigned n_peers;
        struct dtlsd_frame answers[FRAMES_MAX];
        size_t n_answers;
        char text[PACKET_MAX]; /* of the answers */
        size_t text_size;
};

static void answer(struct server *server, const struct dtlsd_frame *frame) {
        const char *said = frame->data;
        char *text = server->text + server->text_size;

        for (size_t i = 0; i < frame->size; i++)
                text[i] = (char)toupper((unsigned char)said[i]);
        server->answers[server->n_answers++] =
                (struct dtlsd_frame){frame->connection, DTLSD_FRAME_DATA, text, frame->size};
        server->text_size += frame->size;
}

static void on_frame(struct server *server, const struct dtlsd_frame *frame) {
        struct dtlsd_facts facts;

        if (frame->kind == DTLSD_FRAME_DATA) {
                answer(server, frame);
                return;
        }
        if (dtlsd_frame_facts(frame, &facts) < 0)
                return;

        if (frame->kind == DTLSD_FRAME_OPENED)
                printf("crowd-server: %u is %s port %u; %u peers\n", frame->connection,
                       facts.peer_address, facts.peer_port, ++server->n_peers);
        else if (frame->kind == DTLSD_FRAME_CLOSED)
                printf("crowd-server: %u has gone: %s; %u peers\n", frame->connection, facts.reason,
                       --server->n_peers);
        else if (frame->kind == DTLSD_FRAME_DROPPED)
                printf("crowd-server: %u: %u datagrams were lost: %s\n", frame->connection,
                       facts.n_dropped, facts.reason);
}

/* Waits while the way out is full. */
static int send_answers(struct server *server) {
        size_t at = 0, n;
        int r;

        while (at < server->n_answers) {
                n = 0;
                r = dtlsd_channel_send_many(server->channel, server->answers + at,
                                            server->n_answers - at, &n);
                if (r == -EAGAIN)
                        r = dtlsd_channel_wait(server->channel, POLLOUT, -1);
                if (r < 0)
                        return r;

                at += n;
        }

        server->n_answers = server->text_size = 0;
        return 0;
}

static int serve(struct server *server) {
        struct dtlsd_frame frames[FRAMES_MAX];
        size_t n;
        int r;

        for (;;) {
                r = dtlsd_channel_receive_many(server->channel, frames, FRAMES_MAX, &n);
                if (r == -EAGAIN) {
                        n = 0;
                        r = dtlsd_channel_wait(server->channel, POLLIN, -1);
                }
                if (r < 0)
                        return r;

                for (size_t i = 0; i < n; i++)
                        on_frame(server, &frames[i]);
                r = send_answers(server);
                if (r < 0)
                        return r;
        }
}

static int die(const char *what, int r, const sd_bus_error *error) {
        fprintf(stderr, "crowd-server: %s: %s\n", what,
                error && error->message ? error->message : strerror(-r));
        return 1;
}

int main(int argc, char **argv) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        struct dtlsd_options options = {0};
        dtlsd_listener *listener = NULL;
        static struct server server;
        sd_bus *bus = NULL;
        int r;

        if (argc != 5) {
                fprintf(stderr, "usage: crowd-server ADDRESS PORT IDENTITY KEY\n");
                return 2;
        }

        setlinebuf(stdout);
        r = sd_bus_open_system(&bus);
        if (r >= 0)
                r = dtlsd_channel_open(bus, &server.channel, &error);
        if (r < 0)
                return die("start", r, &error);

        options.psk_identity = argv[3];
        options.psk_identity_size = strlen(argv[3]);
        options.psk = argv[4];
        options.psk_size = strlen(argv[4]);
        options.channel = server.channel;
        r = dtlsd_listen(bus, argv[1], (uint16_t)atoi(argv[2]), &options, &listener, &error);
        if (r < 0)
                return die("listen", r, &error);

        printf("crowd-server: listening on port %u\n", dtlsd_listener_port(listener));
        return die("the channel", serve(&server), NULL);
}
