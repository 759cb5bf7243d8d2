/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * dtlsctl connect: like netcat, over DTLS. Names are resolved here; the daemon never does.
 */

#include "dtlsctl.h"

#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* for an address that is not the last of its name: two retransmissions */
#define FIRST_DEADLINE_MSEC 4000

/* ---- connecting ---- */

static bool is_literal(const char *host) {
        struct addrinfo hints = {.ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_DGRAM};
        struct addrinfo *list;

        if (getaddrinfo(host, NULL, &hints, &list) != 0)
                return false;

        freeaddrinfo(list);
        return true;
}

/* ---- the session ---- */

/* False: has said why not. *ret: NULL where there is no file yet. */
static bool read_ticket(Settings *settings, char **ret) {
        static const char *const no_options[] = {NULL};
        g_autoptr(GError) error = NULL;
        gsize size = 0;

        settings->options.ssl_options = no_options; /* by default there are no tickets */
        if (g_file_get_contents(settings->ticket_file, ret, &size, &error) ||
            g_error_matches(error, G_FILE_ERROR, G_FILE_ERROR_NOENT)) {
                settings->options.session_ticket = *ret;
                settings->options.session_ticket_size = size;
                return true;
        }

        say("%s", error->message);
        return false;
}

static void write_ticket(const Settings *settings, dtlsd_connection *connection) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        g_autoptr(GError) failed = NULL;
        size_t size = 0;
        void *ticket = NULL;
        int r;

        r = dtlsd_connection_session_ticket(connection, &ticket, &size, NULL, &error);
        if (r < 0)
                (void)complain(settings->ticket_file, r, &error);
        else if (!g_file_set_contents_full(settings->ticket_file, ticket, (gssize)size,
                                           G_FILE_SET_CONTENTS_CONSISTENT, 0600, &failed))
                say("%s", failed->message);
        sd_bus_error_free(&error);
        free(ticket);
}

/* Whether it may be for a session of another service, user or connection. */
static bool is_about_the_ticket(const sd_bus_error *error) {
        return sd_bus_error_has_name(error, DTLSD_ERROR("InvalidInputParameters")) ||
               sd_bus_error_has_name(error, DTLSD_ERROR("TlsInitializationError"));
}

/* ---- to a host ---- */

/* A session that is no use is no reason to fail. */
static int connect_with_ticket(sd_bus *bus, const char *address, uint16_t port,
                               struct dtlsd_options *options, dtlsd_connection **ret,
                               sd_bus_error *error) {
        int r;

        r = dtlsd_connect(bus, address, port, options, ret, error);
        if (r >= 0 || !options->session_ticket || !is_about_the_ticket(error))
                return r;

        say("the session is not taken up: %s", error->message);
        sd_bus_error_free(error);
        options->session_ticket = NULL;
        return dtlsd_connect(bus, address, port, options, ret, error);
}

/* Whether another address of the same host might do better. */
static bool is_about_the_address(const sd_bus_error *error) {
        return sd_bus_error_has_name(error, DTLSD_ERROR("TimedOut")) ||
               sd_bus_error_has_name(error, DTLSD_ERROR("UnderlyingSocketError"));
}

static int connect_one(sd_bus *bus, const Settings *settings, const struct addrinfo *at,
                       uint16_t port, dtlsd_connection **ret, sd_bus_error *error) {
        struct dtlsd_options options = settings->options;
        char address[NI_MAXHOST];
        int r;

        r = getnameinfo(at->ai_addr, at->ai_addrlen, address, sizeof address, NULL, 0,
                        NI_NUMERICHOST);
        if (r != 0)
                return sd_bus_error_set(error, DTLSD_ERROR("UnderlyingSocketError"),
                                        gai_strerror(r));

        if (at->ai_next)
                options.handshake_deadline = FIRST_DEADLINE_MSEC;
        r = connect_with_ticket(bus, address, port, &options, ret, error);
        if (r < 0)
                (void)complain(address, r, error);
        else
                say("connection %" G_GUINT64_FORMAT " to %s port %u, datagrams of up to %u bytes",
                    text_number(dtlsd_connection_path(*ret)), address, port,
                    dtlsd_connection_data_mtu(*ret));
        return r;
}

/* Tries each address that the host has. */
static dtlsd_connection *connect_any(sd_bus *bus, const Settings *settings,
                                     const struct addrinfo *list, uint16_t port) {
        dtlsd_connection *connection = NULL;
        bool go_on = true;

        for (const struct addrinfo *at = list; at && go_on && !connection; at = at->ai_next) {
                sd_bus_error error = SD_BUS_ERROR_NULL;

                if (connect_one(bus, settings, at, port, &connection, &error) < 0)
                        go_on = is_about_the_address(&error);
                sd_bus_error_free(&error);
        }

        return connection;
}

static dtlsd_connection *connect_host(sd_bus *bus, Settings *settings, const char *host,
                                      uint16_t port) {
        g_autofree char *ticket = NULL;
        struct addrinfo hints = {.ai_socktype = SOCK_DGRAM};
        dtlsd_connection *connection;
        struct addrinfo *list;
        int r;

        if (settings->ticket_file && !read_ticket(settings, &ticket))
                return NULL;

        r = getaddrinfo(host, NULL, &hints, &list);
        if (r != 0) {
                say("%s: %s", host, r == EAI_SYSTEM ? strerror(errno) : gai_strerror(r));
                return NULL;
        }

        if (!settings->options.verification_name && !is_literal(host))
                settings->options.verification_name = host;
        connection = connect_any(bus, settings, list, port);
        freeaddrinfo(list);
        if (connection && settings->ticket_file)
                write_ticket(settings, connection);
        return connection;
}

/* ---- the whole ---- */

int command_connect(sd_bus *bus, Settings *settings, char **arguments) {
        dtlsd_connection *connection;
        uint16_t port;
        int status;

        if (!port_parse(arguments[1], 1, &port))
                return EXIT_USAGE;

        connection = connect_host(bus, settings, arguments[0], port);
        if (!connection)
                return EXIT_FAILURE;

        status = copy_both(connection, settings_wait_msec(settings), /* is_shared= */ false);
        (void)dtlsd_connection_close(connection, NULL); /* it may be gone already */
        (void)dtlsd_connection_unref(connection);
        return status;
}
