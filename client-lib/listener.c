/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Calls of io.github.dtlsd.Dtlsd1.Listener, and the accept queue. */

#include "private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PACKET_MAX 4096 /* facts of one connection */

struct dtlsd_listener {
        unsigned n_refs;
        sd_bus *bus;
        char *path;
        int fd;
        uint16_t port;
};

int dtlsd_listener_new(sd_bus *bus, const char *path, dtlsd_listener **ret, sd_bus_error *error) {
        dtlsd_listener *listener;
        int r;

        listener = calloc(1, sizeof *listener);
        if (!listener)
                return -ENOMEM;

        listener->n_refs = 1;
        listener->fd = -1;
        listener->bus = sd_bus_ref(bus);
        listener->path = strdup(path);
        r = listener->path ? 0 : -ENOMEM;
        if (r >= 0)
                r = sd_bus_get_property_trivial(bus, DTLSD_NAME, path, DTLSD_LISTENER, "LocalPort",
                                                error, 'q', &listener->port);
        if (r < 0) {
                (void)sd_bus_call_method_async(bus, NULL, DTLSD_NAME, path, DTLSD_LISTENER, "Close",
                                               NULL, NULL, NULL);
                (void)dtlsd_listener_unref(listener);
                return r;
        }

        *ret = listener;
        return 0;
}

dtlsd_listener *dtlsd_listener_ref(dtlsd_listener *listener) {
        listener->n_refs++;
        return listener;
}

dtlsd_listener *dtlsd_listener_unref(dtlsd_listener *listener) {
        if (!listener || --listener->n_refs > 0)
                return NULL;

        if (listener->fd >= 0)
                (void)close(listener->fd);
        (void)sd_bus_unref(listener->bus);
        free(listener->path);
        free(listener);
        return NULL;
}

const char *dtlsd_listener_path(const dtlsd_listener *listener) {
        return listener->path;
}

uint32_t dtlsd_listener_number(const dtlsd_listener *listener) {
        return dtlsd_path_number(listener->path);
}

uint16_t dtlsd_listener_port(const dtlsd_listener *listener) {
        return listener->port;
}

int dtlsd_listener_fd(const dtlsd_listener *listener) {
        return listener->fd;
}

int dtlsd_listener_open_accept_queue(dtlsd_listener *listener, sd_bus_error *error) {
        sd_bus_message *reply = NULL;
        int fd, r;

        r = sd_bus_call_method(listener->bus, DTLSD_NAME, listener->path, DTLSD_LISTENER,
                               "OpenAcceptQueue", error, &reply, NULL);
        if (r >= 0)
                r = sd_bus_message_read(reply, "h", &fd);
        if (r >= 0)
                r = fd = dtlsd_fd_copy(fd);
        if (r >= 0) {
                if (listener->fd >= 0)
                        (void)close(listener->fd);
                listener->fd = fd;
        }

        (void)sd_bus_message_unref(reply);
        return r < 0 ? r : 0;
}

/* Receives one packet; *ret_fd is -1 when it brought none. */
static ssize_t packet_receive(int fd, uint8_t *packet, int *ret_fd) {
        union {
                struct cmsghdr header;
                uint8_t bytes[CMSG_SPACE(sizeof(int))];
        } control;
        struct iovec iov = {.iov_base = packet, .iov_len = PACKET_MAX};
        struct msghdr m = {
                .msg_iov = &iov,
                .msg_iovlen = 1,
                .msg_control = &control,
                .msg_controllen = sizeof control,
        };
        struct cmsghdr *c;
        ssize_t n;

        *ret_fd = -1;
        n = recvmsg(fd, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
        if (n < 0)
                return -errno;

        c = CMSG_FIRSTHDR(&m);
        if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
                memcpy(ret_fd, CMSG_DATA(c), sizeof(int));
        else if (m.msg_flags & MSG_CTRUNC)
                return -EMFILE;
        return n;
}

/* Takes @fd over, whatever happens. */
static int accept_packet(dtlsd_listener *listener, const uint8_t *packet, size_t size, int fd,
                         dtlsd_connection **ret) {
        struct dtlsd_facts facts = {0};
        dtlsd_connection *connection;
        uint32_t number = 0;
        char path[96];
        int r;

        r = dtlsd_facts_read(packet, size, &number, &facts);
        if (r >= 0 && !number)
                r = -EBADMSG;
        if (r >= 0) {
                (void)snprintf(path, sizeof path, DTLSD_ROOT "/connection/%u", number);
                r = dtlsd_connection_new(listener->bus, path, fd, 0, &connection);
        }
        if (r < 0) {
                (void)close(fd);
                return r;
        }

        r = dtlsd_connection_take_facts(connection, &facts);
        if (r < 0) {
                (void)dtlsd_connection_unref(connection);
                return r;
        }

        *ret = connection;
        return 0;
}

int dtlsd_listener_accept(dtlsd_listener *listener, dtlsd_connection **ret) {
        uint8_t packet[PACKET_MAX];
        ssize_t n;
        int fd;

        if (listener->fd < 0)
                return -ENOTCONN;

        n = packet_receive(listener->fd, packet, &fd);
        if (n < 0)
                return (int)n;
        if (n == 0)
                return -ECONNRESET;
        if (fd < 0)
                return -EBADMSG;

        return accept_packet(listener, packet, (size_t)n, fd, ret);
}

int dtlsd_listener_set_configuration(dtlsd_listener *listener, const struct dtlsd_options *options,
                                     sd_bus_error *error) {
        sd_bus_message *m = NULL;
        int r;

        r = sd_bus_message_new_method_call(listener->bus, &m, DTLSD_NAME, listener->path,
                                           DTLSD_LISTENER, "SetConfiguration");
        if (r >= 0)
                r = sd_bus_message_sensitive(m);
        if (r >= 0)
                r = dtlsd_options_append(m, options, OPTIONS_FOR_LISTENER, NULL, 0, error);
        return dtlsd_call(m, r, error);
}

int dtlsd_listener_set_cookie_parameters(dtlsd_listener *listener,
                                         const struct dtlsd_cookie_parameters *parameters,
                                         sd_bus_error *error) {
        return dtlsd_cookie_parameters_set(listener->bus, listener->path, DTLSD_LISTENER,
                                           parameters, error);
}

int dtlsd_listener_cookie_parameters(dtlsd_listener *listener, struct dtlsd_cookie_parameters *ret,
                                     sd_bus_error *error) {
        return dtlsd_cookie_parameters_get(listener->bus, listener->path, DTLSD_LISTENER, ret,
                                           error);
}

int dtlsd_listener_close(dtlsd_listener *listener, sd_bus_error *error) {
        int r;

        r = sd_bus_call_method(listener->bus, DTLSD_NAME, listener->path, DTLSD_LISTENER, "Close",
                               error, NULL, NULL);
        return r < 0 ? r : 0;
}
