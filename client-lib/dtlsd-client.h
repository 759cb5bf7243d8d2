/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef DTLSD_CLIENT_H
#define DTLSD_CLIENT_H

/*
 * libdtlsd-client: DTLS by the dtlsd service, for programs in C.
 *
 * One function is one D-Bus call. You bring the sd_bus (the system bus, usually) and keep it;
 * nothing here logs, starts a thread, runs a loop or keeps a cache. Data does not cross the bus: a
 * connection has a channel, a file descriptor on which one packet is one datagram; poll(), send()
 * and recv() it yourself. POLLHUP means that the connection is over.
 *
 * Functions return 0 (or a count) and negative errno. Where the service refused a call, @error (a
 * sd_bus_error, may be NULL) has the name, "io.github.dtlsd.Dtlsd1.Error.PeerVerificationError" for
 * one, and a text for people; release it with sd_bus_error_free().
 *
 * Objects are counted; the last unref of a connection or a listener does not end it: it belongs to
 * the bus name of the sd_bus that made it, and goes when you close it or that name leaves the bus.
 */

#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct dtlsd_connection dtlsd_connection;
typedef struct dtlsd_listener dtlsd_listener;

/*
 * Options of a connection or a listener: a zeroed struct is all defaults. Strings and arrays are
 * borrowed for the time of the call. The names are those of the D-Bus options (see
 * io.github.dtlsd.Dtlsd1.Manager.xml), where ranges and defaults are documented.
 */
struct dtlsd_options {
        const char *local_address; /* NULL: any (a listener: must be set) */
        uint16_t local_port;       /* 0: any */
        const char
                *verification_name; /* name the peer's certificate must have; NULL: its address */
        const char *const *certificate_chain_files; /* PEM files, leaf first; NULL-terminated */
        const char *private_key_file;               /* PEM; goes to the service as a sealed memfd */
        const char *const *ca_files;                /* PEM files; NULL: the system's trust */
        const void *psk_identity;
        size_t psk_identity_size;
        const void *psk; /* 1 to 64 bytes */
        size_t psk_size;
        const char *psk_identity_hint; /* listener */
        const char *peer_verify_mode;  /* "VerifyNone", "QueryPeer", "VerifyPeer"; NULL: by role */
        const char *cipher_profile;    /* "default", "iot", "legacy" */
        uint16_t mtu_hint; /* bytes of UDP payload of the handshake's datagrams; 0: 1400 */
        uint32_t handshake_deadline; /* milliseconds; 0: the default */
        uint32_t idle_timeout;       /* milliseconds; 0: none */
        int no_cookies;              /* listener: do not ask for cookies (RFC 6347 4.2.1) */
        int announce;                /* listener with an accept queue: signals on the bus as well */
};

/* ---- connections ---- */

/* From nothing to an open channel (Manager.Connect). @address: numeric; resolve names yourself, and
 * give the name as verification_name. Waits for the handshake, at most handshake_deadline (20 s).
 */
int dtlsd_connect(sd_bus *bus, const char *address, uint16_t port,
                  const struct dtlsd_options *options, dtlsd_connection **ret, sd_bus_error *error);

/* An object in HandshakeNotStarted (Manager.CreateConnection), to be driven step by step. */
int dtlsd_connection_create(sd_bus *bus, const char *address, uint16_t port,
                            const struct dtlsd_options *options, dtlsd_connection **ret,
                            sd_bus_error *error);
/* An object that is there already, by its path. */
int dtlsd_connection_at(sd_bus *bus, const char *path, dtlsd_connection **ret);

dtlsd_connection *dtlsd_connection_ref(dtlsd_connection *connection);
dtlsd_connection *dtlsd_connection_unref(dtlsd_connection *connection); /* closes the channel */

const char *dtlsd_connection_path(const dtlsd_connection *connection);
/* The channel, or -1. It is the connection's: dup() it to keep it longer. */
int dtlsd_connection_fd(const dtlsd_connection *connection);
/* The largest datagram that fits the path, in bytes. */
uint32_t dtlsd_connection_data_mtu(const dtlsd_connection *connection);

int dtlsd_connection_do_handshake(dtlsd_connection *connection, sd_bus_error *error);
int dtlsd_connection_provide_psk(dtlsd_connection *connection, const void *identity,
                                 size_t identity_size, const void *psk, size_t psk_size,
                                 sd_bus_error *error);
int dtlsd_connection_refuse_psk(dtlsd_connection *connection, sd_bus_error *error);
int dtlsd_connection_open_channel(dtlsd_connection *connection, sd_bus_error *error);
/* One datagram over the bus, without a channel: for tests and rare messages. */
int dtlsd_connection_write(dtlsd_connection *connection, const void *data, size_t size,
                           sd_bus_error *error);
/* Waits at most @timeout milliseconds; *ret_data is to be free()d. */
int dtlsd_connection_read(dtlsd_connection *connection, uint32_t timeout, void **ret_data,
                          size_t *ret_size, sd_bus_error *error);
int dtlsd_connection_shutdown(dtlsd_connection *connection, sd_bus_error *error);
int dtlsd_connection_close(dtlsd_connection *connection, sd_bus_error *error);

/* ---- listeners ---- */

/* Binds a UDP socket for many peers (Manager.Listen). @port 0 picks one. */
int dtlsd_listen(sd_bus *bus, const char *address, uint16_t port,
                 const struct dtlsd_options *options, dtlsd_listener **ret, sd_bus_error *error);

dtlsd_listener *dtlsd_listener_ref(dtlsd_listener *listener);
dtlsd_listener *dtlsd_listener_unref(dtlsd_listener *listener); /* closes the accept queue */

const char *dtlsd_listener_path(const dtlsd_listener *listener);
uint16_t dtlsd_listener_port(const dtlsd_listener *listener);
/* The accept queue, or -1: readable when a connection waits. */
int dtlsd_listener_fd(const dtlsd_listener *listener);
int dtlsd_listener_open_accept_queue(dtlsd_listener *listener, sd_bus_error *error);
/* Takes one completed connection from the accept queue, without the bus: -EAGAIN when none waits
 * (the queue does not block), -ECONNRESET when the listener is gone. */
int dtlsd_listener_accept(dtlsd_listener *listener, dtlsd_connection **ret);
int dtlsd_listener_close(dtlsd_listener *listener, sd_bus_error *error);

/* Of an accepted connection; "" and 0 otherwise. */
const char *dtlsd_connection_peer_address(const dtlsd_connection *connection);
uint16_t dtlsd_connection_peer_port(const dtlsd_connection *connection);
const void *dtlsd_connection_psk_identity(const dtlsd_connection *connection, size_t *ret_size);

#ifdef __cplusplus
}
#endif

#endif
