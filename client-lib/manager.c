/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Calls of io.github.dtlsd.Dtlsd1.Manager. */

#include "private.h"

#include <stdbool.h>
#include <unistd.h>

int dtlsd_manager_call_new(sd_bus *bus, const char *member, sd_bus_message **ret) {
        int r;

        r = sd_bus_message_new_method_call(bus, ret, DTLSD_NAME, DTLSD_ROOT, DTLSD_MANAGER, member);
        if (r < 0)
                return r;

        return sd_bus_message_sensitive(*ret); /* wiped when it goes */
}

static int connect_answered(sd_bus *bus, sd_bus_message *reply, dtlsd_connection **ret) {
        const char *path;
        uint32_t data_mtu;
        int fd, r;

        r = sd_bus_message_read(reply, "ohu", &path, &fd, &data_mtu);
        if (r < 0)
                return r;

        fd = dtlsd_fd_copy(fd);
        if (fd < 0)
                return fd;

        r = dtlsd_connection_new(bus, path, fd, data_mtu, ret);
        if (r < 0)
                (void)close(fd);
        return r;
}

/* The service answers at the deadline, by itself. */
static uint64_t connect_limit_usec(const struct dtlsd_options *options) {
        uint32_t deadline = options ? options->handshake_deadline : 0;

        return deadline * UINT64_C(1000) + DTLSD_CALL_USEC;
}

int dtlsd_connect(sd_bus *bus, const char *address, uint16_t port,
                  const struct dtlsd_options *options, dtlsd_connection **ret,
                  sd_bus_error *error) {
        sd_bus_message *m = NULL, *reply = NULL;
        int r;

        r = dtlsd_manager_call_new(bus, "Connect", &m);
        if (r >= 0)
                r = sd_bus_message_append(m, "sq", address, port);
        if (r >= 0)
                r = dtlsd_options_append(m, options, OPTIONS_FOR_CONNECT, NULL, 0, error);
        if (r >= 0)
                r = sd_bus_call(bus, m, connect_limit_usec(options), error, &reply);
        if (r >= 0)
                r = connect_answered(bus, reply, ret);

        (void)sd_bus_message_unref(m);
        (void)sd_bus_message_unref(reply);
        return r < 0 ? r : 0;
}

/* Calls m and reads the object path it answers; *ret lives as long as *ret_reply. */
static int manager_make(sd_bus *bus, sd_bus_message *m, sd_bus_error *error,
                        sd_bus_message **ret_reply, const char **ret) {
        int r;

        r = sd_bus_call(bus, m, DTLSD_CALL_USEC, error, ret_reply);
        if (r < 0)
                return r;

        return sd_bus_message_read(*ret_reply, "o", ret);
}

static int connection_create(sd_bus *bus, const char *mode, enum options_for what,
                             const char *address, uint16_t port,
                             const struct dtlsd_options *options, dtlsd_connection **ret,
                             sd_bus_error *error) {
        sd_bus_message *m = NULL, *reply = NULL;
        const char *path;
        int r;

        r = dtlsd_manager_call_new(bus, "CreateConnection", &m);
        if (r >= 0)
                r = sd_bus_message_append(m, "s", mode);
        if (r >= 0)
                r = dtlsd_options_append(m, options, what, address, port, error);
        if (r >= 0)
                r = manager_make(bus, m, error, &reply, &path);
        if (r >= 0)
                r = dtlsd_connection_new(bus, path, -1, 0, ret);

        (void)sd_bus_message_unref(m);
        (void)sd_bus_message_unref(reply);
        return r < 0 ? r : 0;
}

int dtlsd_connection_create(sd_bus *bus, const char *address, uint16_t port,
                            const struct dtlsd_options *options, dtlsd_connection **ret,
                            sd_bus_error *error) {
        return connection_create(bus, "client", OPTIONS_FOR_CREATE, address, port, options, ret,
                                 error);
}

int dtlsd_connection_create_external(sd_bus *bus, enum dtlsd_mode mode, const char *address,
                                     uint16_t port, const struct dtlsd_options *options,
                                     dtlsd_connection **ret, sd_bus_error *error) {
        bool server = mode == DTLSD_SERVER;

        return connection_create(bus, server ? "server" : "client",
                                 server ? OPTIONS_FOR_EXTERNAL_SERVER : OPTIONS_FOR_EXTERNAL_CLIENT,
                                 address, port, options, ret, error);
}

int dtlsd_listen(sd_bus *bus, const char *address, uint16_t port,
                 const struct dtlsd_options *options, dtlsd_listener **ret, sd_bus_error *error) {
        sd_bus_message *m = NULL, *reply = NULL;
        const char *path;
        int r;

        r = dtlsd_manager_call_new(bus, "Listen", &m);
        if (r >= 0)
                r = sd_bus_message_append(m, "sq", address, port);
        if (r >= 0)
                r = dtlsd_options_append(m, options, OPTIONS_FOR_LISTEN, NULL, 0, error);
        if (r >= 0)
                r = manager_make(bus, m, error, &reply, &path);
        if (r >= 0)
                r = dtlsd_listener_new(bus, path, ret, error);

        (void)sd_bus_message_unref(m);
        (void)sd_bus_message_unref(reply);
        return r < 0 ? r : 0;
}

int dtlsd_set_default_configuration(sd_bus *bus, const struct dtlsd_options *options,
                                    sd_bus_error *error) {
        sd_bus_message *m = NULL;
        int r;

        r = dtlsd_manager_call_new(bus, "SetDefaultConfiguration", &m);
        if (r >= 0)
                r = dtlsd_options_append(m, options, OPTIONS_FOR_DEFAULT, NULL, 0, error);
        return dtlsd_call(m, r, error);
}
