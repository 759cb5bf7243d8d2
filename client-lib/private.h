/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the library's files see of each other. */

#include "dtlsd-client.h"

#include <stdbool.h>

#define DTLSD_NAME "io.github.dtlsd.Dtlsd1"
#define DTLSD_ROOT "/io/github/dtlsd/Dtlsd1"
#define DTLSD_MANAGER DTLSD_NAME ".Manager"
#define DTLSD_CONNECTION DTLSD_NAME ".Connection"
#define DTLSD_LISTENER DTLSD_NAME ".Listener"
#define DTLSD_VERIFIER DTLSD_NAME ".ClientVerifier"

/* a call that waits for nobody but the service, its keyring and polkit; one that waits for a peer
 * has that time on top */
#define DTLSD_CALL_USEC (60 * UINT64_C(1000000))

struct dtlsd_connection {
        unsigned n_refs;
        sd_bus *bus;
        char *path;
        int fd;
        uint32_t data_mtu;
        char *peer_address;
        uint16_t peer_port;
        void *psk_identity;
        size_t psk_identity_size;
        struct dtlsd_handlers handlers;
        void *handlers_userdata;
        sd_bus_slot *signals; /* NULL: there are no handlers */
        char *service;        /* the unique name that signals have to come from */
};

/* The options that are for it: a bit each. */
enum options_for {
        OPTIONS_FOR_CONNECT = 1 << 0,
        OPTIONS_FOR_CREATE = 1 << 1,
        OPTIONS_FOR_LISTEN = 1 << 2,
        OPTIONS_FOR_CONNECTION = 1 << 3, /* Connection.SetConfiguration */
        OPTIONS_FOR_LISTENER = 1 << 4,   /* Listener.SetConfiguration */
        OPTIONS_FOR_EXTERNAL_CLIENT = 1 << 5,
        OPTIONS_FOR_EXTERNAL_SERVER = 1 << 6,
        OPTIONS_FOR_VERIFIER = 1 << 7,
        OPTIONS_FOR_DEFAULT = 1 << 8, /* Manager.SetDefaultConfiguration */
};

#define OPTIONS_FOR_EXTERNAL (OPTIONS_FOR_EXTERNAL_CLIENT | OPTIONS_FOR_EXTERNAL_SERVER)

/* Takes nothing over: @path is copied; an @fd that is not -1 becomes the connection's. */
int dtlsd_connection_new(sd_bus *bus, const char *path, int fd, uint32_t data_mtu,
                         dtlsd_connection **ret);
/* What an accept queue's packet tells of its connection. */
int dtlsd_connection_take_facts(dtlsd_connection *connection, const struct dtlsd_facts *facts);

/* Takes the fd over, unless it fails. */
int dtlsd_channel_new(int fd, uint32_t id, dtlsd_channel **ret);
/* Reads fields into *ret and *ret_connection, which keep what is not told. Errors: -EBADMSG. */
int dtlsd_facts_read(const uint8_t *fields, size_t size, uint32_t *ret_connection,
                     struct dtlsd_facts *ret);
/* Text of the service as a string. Errors: -EBADMSG (there is no room, or a NUL in it). */
int dtlsd_text_take(char *ret, size_t ret_size, const void *text, size_t size);
/* The number at the end of an object path; 0: there is none. */
uint32_t dtlsd_path_number(const char *path);

int dtlsd_manager_call_new(sd_bus *bus, const char *member, sd_bus_message **ret);
int dtlsd_connection_call_new(const dtlsd_connection *connection, const char *member,
                              sd_bus_message **ret);
/* Calls @m. It is unreferenced, and nothing is sent where @r, of making it, is negative. */
int dtlsd_call(sd_bus_message *m, int r, sd_bus_error *error);

/* An fd of a message, to be kept: the message closes its own. Errors: -EMFILE. */
int dtlsd_fd_copy(int fd);
/* Of a reply: the ay, to be freed, and the aay, in one piece. */
int dtlsd_bytes_copy(sd_bus_message *m, void **ret, size_t *ret_size);
int dtlsd_bytes_array_copy(sd_bus_message *m, struct dtlsd_bytes **ret, size_t *ret_n);

/* A word of the property HandshakeState; -EBADMSG: none that is known. */
int dtlsd_handshake_state_parse(const char *text, enum dtlsd_handshake_state *ret);
/* The two halves of the property Error; "NoError" leaves *ret as it is. */
int dtlsd_error_make(sd_bus_error *ret, const char *name, const char *text);
/* The property Error, which several interfaces have. */
int dtlsd_last_error(sd_bus *bus, const char *path, const char *interface, sd_bus_error *ret,
                     sd_bus_error *error);

/* Asks for the port. On failure the service's listener is closed. */
int dtlsd_listener_new(sd_bus *bus, const char *path, dtlsd_listener **ret, sd_bus_error *error);

/* All of it, to be freed. @error names a file that cannot be read. */
int dtlsd_file_read(const char *path, uint8_t **ret, size_t *ret_size, sd_bus_error *error);
/* A sealed memfd, or a negative errno. */
int dtlsd_secret_memfd(const void *data, size_t size);
/* Appends the a{sv}. The memfds of secrets are duplicated into the message and closed here. @peer,
 * @port: for OPTIONS_FOR_CREATE, where they are options; NULL and 0: none. @error names a file that
 * cannot be used. */
int dtlsd_options_append(sd_bus_message *m, const struct dtlsd_options *options,
                         enum options_for what, const char *peer, uint16_t port,
                         sd_bus_error *error);
/* Appends the files' bytes, an aay; NULL: none. */
int dtlsd_files_append(sd_bus_message *m, const char *const *paths, sd_bus_error *error);
/* Appends the entry {sv} with a sealed memfd of the file's bytes; of a file that is a line, without
 * its end. NULL: nothing. */
int dtlsd_secret_file_append(sd_bus_message *m, const char *key, const char *path, bool is_line,
                             sd_bus_error *error);
/* Appends an entry {sv} with an ay, or with a sealed memfd of the bytes. */
/* An entry of options, "aay" or "as"; of NULL none. */
int dtlsd_files_entry_append(sd_bus_message *m, const char *key, const char *const *paths,
                             sd_bus_error *error);
int dtlsd_names_append(sd_bus_message *m, const char *key, const char *const *names);
int dtlsd_bytes_append(sd_bus_message *m, const char *key, const void *data, size_t size);
int dtlsd_secret_append(sd_bus_message *m, const char *key, const void *data, size_t size);
/* Appends an a(say). */
int dtlsd_verification_errors_append(sd_bus_message *m,
                                     const struct dtlsd_verification_error *errors, size_t n);

/* GetCookieGeneratorParameters and SetCookieGeneratorParameters, which several interfaces have. */
int dtlsd_cookie_parameters_get(sd_bus *bus, const char *path, const char *interface,
                                struct dtlsd_cookie_parameters *ret, sd_bus_error *error);
int dtlsd_cookie_parameters_set(sd_bus *bus, const char *path, const char *interface,
                                const struct dtlsd_cookie_parameters *parameters,
                                sd_bus_error *error);
