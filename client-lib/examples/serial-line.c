/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * serial-line: DTLS over a line that carries bytes and has neither packets nor addresses.
 *
 * dtlsd gives the connection's ciphertext on a carrier, a packet a datagram. Each becomes a frame
 * of SLIP (RFC 1055) on the line, with the check sequence of PPP (RFC 1662, C.2) at its end, as
 * SLIP has none. What comes damaged or too long is dropped; DTLS sends a handshake's flights again,
 * and what is said after that the application, here the client each second until it is answered.
 *
 * The client says MESSAGE, prints the answer and ends; a server answers in capitals until the
 * client says goodbye.
 *
 * usage: serial-line DEVICE IDENTITY KEY [MESSAGE]     (with MESSAGE the client; KEY in plain
 * characters, for a demonstration only)
 */

#include <dtlsd-client.h>

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <systemd/sd-event.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

/* SLIP's four */
#define END 0xC0
#define ESC 0xDB
#define ESC_END 0xDC
#define ESC_ESC 0xDD

#define DATAGRAM_MAX 1006 /* as RFC 1055 has it */
#define CHECK_SIZE 2
#define CHECK_GOOD 0xF0B8 /* of a frame with its check sequence */
#define PATIENCE_USEC 1000000

struct line {
        sd_event *event;
        dtlsd_connection *dtls;
        int device_fd, carrier_fd;
        const char *message; /* NULL: the server */
        int answered;

        /* the frame that comes in */
        unsigned char frame[DATAGRAM_MAX + CHECK_SIZE];
        size_t size;
        int escaped, damaged;
};

static int complain(const char *what, int r, sd_bus_error *error) {
        fprintf(stderr, "serial-line: %s: %s\n", what,
                error && error->message ? error->message : strerror(-r));
        sd_bus_error_free(error);
        return 1;
}

/* ---- frames ---- */

static unsigned check(const unsigned char *data, size_t size) {
        unsigned sum = 0xFFFF;

        for (size_t i = 0; i < size; i++) {
                sum ^= data[i];
                for (int bit = 0; bit < 8; bit++)
                        sum = sum & 1 ? sum >> 1 ^ 0x8408 : sum >> 1;
        }
        return sum;
}

static size_t escape(unsigned char *out, const unsigned char *data, size_t size) {
        size_t n = 0;

        for (size_t i = 0; i < size; i++)
                if (data[i] == END || data[i] == ESC) {
                        out[n++] = ESC;
                        out[n++] = data[i] == END ? ESC_END : ESC_ESC;
                } else
                        out[n++] = data[i];
        return n;
}

static int write_frame(const struct line *line, const unsigned char *data, size_t size) {
        unsigned sum = ~check(data, size);
        const unsigned char checks[CHECK_SIZE] = {sum & 0xFF, sum >> 8 & 0xFF};
        unsigned char out[2 * (DATAGRAM_MAX + CHECK_SIZE) + 2];
        size_t n = 0;
        ssize_t done;

        out[n++] = END; /* ends what noise has begun */
        n += escape(out + n, data, size);
        n += escape(out + n, checks, sizeof checks);
        out[n++] = END;

        for (size_t i = 0; i < n; i += (size_t)done) {
                done = write(line->device_fd, out + i, n - i);
                if (done < 0)
                        return -errno;
        }
        return 0;
}

static void end_frame(struct line *line) {
        if (!line->damaged && line->size > CHECK_SIZE &&
            check(line->frame, line->size) == CHECK_GOOD)
                /* lost when the carrier is full, as on any link */
                (void)send(line->carrier_fd, line->frame, line->size - CHECK_SIZE,
                           MSG_NOSIGNAL | MSG_DONTWAIT);
        line->size = 0;
        line->escaped = line->damaged = 0;
}

static void take_byte(struct line *line, unsigned char byte) {
        if (byte == END) {
                end_frame(line);
                return;
        }
        if (byte == ESC && !line->escaped) {
                line->escaped = 1;
                return;
        }

        if (line->escaped && byte == ESC_END)
                byte = END;
        else if (line->escaped && byte == ESC_ESC)
                byte = ESC;
        else if (line->escaped)
                line->damaged = 1;
        line->escaped = 0;

        if (line->size < sizeof line->frame)
                line->frame[line->size++] = byte;
        else
                line->damaged = 1;
}

/* ---- line and carrier ---- */

static int on_device(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        struct line *line = userdata;
        unsigned char buffer[DATAGRAM_MAX];
        ssize_t n;

        n = read(fd, buffer, sizeof buffer);
        if (n <= 0)
                return sd_event_exit(line->event,
                                     complain("the line", n < 0 ? -errno : -EPIPE, NULL));

        for (ssize_t i = 0; i < n; i++)
                take_byte(line, buffer[i]);
        return 0;
}

static int on_carrier(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        struct line *line = userdata;
        unsigned char buffer[DATAGRAM_MAX];
        ssize_t n;
        int r;

        /* the length is that of the whole packet: what is larger than the line takes is dropped */
        while ((n = recv(fd, buffer, sizeof buffer, MSG_DONTWAIT | MSG_TRUNC)) > 0) {
                if ((size_t)n > sizeof buffer)
                        continue;
                r = write_frame(line, buffer, (size_t)n);
                if (r < 0)
                        return sd_event_exit(line->event, complain("the line", r, NULL));
        }
        return n == 0 ? sd_event_exit(line->event, line->answered ? 0 : 1) : 0;
}

/* ---- what is said over it ---- */

static void say_in_capitals(int fd, char *data, size_t size) {
        for (size_t i = 0; i < size; i++)
                data[i] = (char)toupper((unsigned char)data[i]);
        (void)send(fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static int on_data(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        struct line *line = userdata;
        char buffer[DATAGRAM_MAX];
        ssize_t n;

        n = recv(fd, buffer, sizeof buffer, MSG_DONTWAIT);
        if (n < 0)
                return 0;
        if (n == 0) /* the peer has said goodbye */
                return sd_event_exit(line->event, line->answered ? 0 : 1);

        line->answered = 1;
        if (!line->message) {
                say_in_capitals(fd, buffer, (size_t)n);
                return 0;
        }

        fwrite(buffer, 1, (size_t)n, stdout);
        (void)dtlsd_connection_shutdown(line->dtls, NULL);
        (void)on_carrier(NULL, line->carrier_fd, EPOLLIN, line); /* the goodbye */
        return sd_event_exit(line->event, 0);
}

static int on_time_to_speak(sd_event_source *source, uint64_t usec, void *userdata) {
        struct line *line = userdata;

        (void)send(dtlsd_connection_fd(line->dtls), line->message, strlen(line->message),
                   MSG_NOSIGNAL | MSG_DONTWAIT);
        (void)sd_event_source_set_time_relative(source, PATIENCE_USEC);
        return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static int begin_to_talk(struct line *line, sd_bus_error *error) {
        int r;

        r = dtlsd_connection_open_channel(line->dtls, error);
        if (r >= 0)
                r = sd_event_add_io(line->event, NULL, dtlsd_connection_fd(line->dtls), EPOLLIN,
                                    on_data, line);
        if (r >= 0 && line->message)
                r = sd_event_add_time_relative(line->event, NULL, CLOCK_MONOTONIC, 0, 0,
                                               on_time_to_speak, line);
        return r;
}

static void on_state_changed(dtlsd_connection *dtls, enum dtlsd_handshake_state state,
                             const sd_bus_error *why, void *userdata) {
        struct line *line = userdata;
        sd_bus_error error = SD_BUS_ERROR_NULL;
        int r;

        if (state == DTLSD_HANDSHAKE_NOT_STARTED && !line->answered) {
                fprintf(stderr, "serial-line: %s\n", why->message ? why->message : "it is over");
                sd_event_exit(line->event, 1);
        }
        if (state != DTLSD_HANDSHAKE_COMPLETE)
                return;

        r = begin_to_talk(line, &error);
        if (r < 0)
                sd_event_exit(line->event, complain("channel", r, &error));
}

/* ---- the beginning ---- */

static int open_device(const char *path) {
        struct termios settings;
        int fd;

        fd = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
        if (fd < 0)
                return -errno;

        if (tcgetattr(fd, &settings) == 0) { /* every byte as it is; the speed is left alone */
                cfmakeraw(&settings);
                (void)tcsetattr(fd, TCSANOW, &settings);
        }
        return fd;
}

static int start(struct line *line, sd_bus *bus, char **argv, sd_bus_error *error) {
        const struct dtlsd_handlers handlers = {.state_changed = on_state_changed};
        const struct dtlsd_options options = {
                .psk_identity = argv[2],
                .psk_identity_size = strlen(argv[2]),
                .psk = argv[3],
                .psk_size = strlen(argv[3]),
                .mtu_hint = DATAGRAM_MAX,
                .retransmit_initial = 250, /* the other end is near, but frames get lost */
                .retransmit_max = 1000,
                .no_cookies = 1, /* nobody can write in another's name */
        };
        int r;

        /* A line has no addresses: any will do, as long as it is the same. */
        r = dtlsd_connection_create_external(bus, line->message ? DTLSD_CLIENT : DTLSD_SERVER,
                                             "192.0.2.1", 1, &options, &line->dtls, error);
        if (r >= 0)
                r = dtlsd_connection_set_handlers(line->dtls, &handlers, line, error);
        if (r >= 0)
                r = dtlsd_connection_open_carrier(line->dtls, &line->carrier_fd, error);
        if (r >= 0)
                r = sd_event_add_io(line->event, NULL, line->carrier_fd, EPOLLIN, on_carrier, line);
        if (r >= 0)
                r = sd_event_add_io(line->event, NULL, line->device_fd, EPOLLIN, on_device, line);
        if (r >= 0 && line->message) /* a server is started by what comes */
                r = dtlsd_connection_do_handshake(line->dtls, error);
        return r;
}

int main(int argc, char **argv) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        struct line line = {.carrier_fd = -1};
        sd_bus *bus = NULL;
        int r;

        if (argc != 4 && argc != 5) {
                fprintf(stderr, "usage: serial-line DEVICE IDENTITY KEY [MESSAGE]\n");
                return 2;
        }

        line.message = argv[4];
        line.device_fd = open_device(argv[1]);
        if (line.device_fd < 0)
                return complain(argv[1], line.device_fd, NULL);

        r = sd_bus_open_system(&bus);
        if (r >= 0)
                r = sd_event_new(&line.event);
        if (r >= 0)
                r = sd_bus_attach_event(bus, line.event, SD_EVENT_PRIORITY_NORMAL);
        if (r >= 0)
                r = start(&line, bus, argv, &error);
        r = r < 0 ? complain("start", r, &error) : sd_event_loop(line.event);

        (void)dtlsd_connection_unref(line.dtls);
        (void)sd_bus_flush_close_unref(bus);
        (void)sd_event_unref(line.event);
        (void)close(line.device_fd);
        if (line.carrier_fd >= 0)
                (void)close(line.carrier_fd);
        return r;
}
