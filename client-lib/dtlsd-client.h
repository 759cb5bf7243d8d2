/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef DTLSD_CLIENT_H
#define DTLSD_CLIENT_H

/*
 * libdtlsd-client: DTLS by the dtlsd service, for programs in C and C++.
 *
 * You bring the sd_bus (the system bus, usually) and keep it; nothing here logs, starts a thread,
 * runs a loop or keeps a cache. One function is one D-Bus call, except that dtlsd_listen() asks for
 * the port as well, and that functions without a sd_bus_error make none unless it is said. A call
 * waits for its answer; use it from the thread that uses its sd_bus. It may be made in a handler
 * of that sd_bus too, which then waits.
 *
 * Data does not cross the bus: a connection has a channel, a file descriptor on which one packet is
 * one datagram; poll(), send() and recv() it yourself. It does not block. send() says EAGAIN when
 * the way out is full; a datagram that is not read in time is dropped, as with UDP. recv() answers
 * 0, and poll() POLLHUP, when the connection is over and all was read.
 *
 * Results: 0, or a negative errno. Out-parameters (ret...) are untouched on failure. Each function
 * with a sd_bus_error may fail with
 *
 *   -EIO            the service refused; which of its errors it is, error->name says, and
 *                   error->message why, for people. Those of each function stand with it, without
 *                   the prefix DTLSD_ERROR(); Failed, NotAuthorized and QuotaExceeded are possible
 *                   everywhere.
 *   -EBADR          there is no such object, or it is not yours to see
 *                   (org.freedesktop.DBus.Error.UnknownObject)
 *   -EHOSTUNREACH   dtlsd does not run and cannot be started (....Error.ServiceUnknown)
 *   -EACCES         the bus's policy does not let you (....Error.AccessDenied)
 *   -ETIMEDOUT      the service does not answer
 *   -ENOTCONN       the sd_bus is not connected (any more)
 *   -ENOMEM, -EMFILE, -EBADMSG (the answer is not of the expected form), and whatever else
 *                   sd_bus_call() says.
 *
 * @error is given to you to release with sd_bus_error_free(); it may be NULL, and must be
 * initialised (SD_BUS_ERROR_NULL) otherwise.
 *
 * Objects of this library are counted. They stand for the service's objects, whose life is another:
 * what ends one of those is its close function, the close of its channel (by the last unref), and
 * the end of your sd_bus, whose name owns it.
 */

#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

#ifdef __cplusplus
extern "C" {
#endif

/* An error's whole name: sd_bus_error_has_name(&error, DTLSD_ERROR("PeerVerificationError")). */
#define DTLSD_ERROR(name) "io.github.dtlsd.Dtlsd1.Error." name

typedef struct dtlsd_connection dtlsd_connection;
typedef struct dtlsd_listener dtlsd_listener;

/*
 * Options of a connection or a listener. A zeroed struct is all defaults, and so is NULL in its
 * place. Strings and arrays are borrowed for the time of the call; files are read during it, by the
 * calling process. Each field is an option on the bus, named at its end, and what it means in full
 * is in io.github.dtlsd.Dtlsd1.Manager.xml.
 *
 * Errors of the functions that take it, besides those of the service (InvalidInputParameters, with
 * the option and its rule in the message): what open() and read() say of a file; -EINVAL, it is not
 * a regular file; -EFBIG, it is larger than 1 MiB. error->message names the file.
 */
struct dtlsd_options {
        /* Of the socket; numeric. NULL: any. Not for listeners, which have it as an argument
         * (LocalAddress). */
        const char *local_address;
        /* 0: any. With local_address only. Not for listeners (LocalPort). */
        uint16_t local_port;
        /* DNS name or numeric address that a server's certificate must have, and that is asked of
         * it (SNI); at most 255 bytes. NULL, "": the address that is connected to. Not for
         * listeners (VerificationName). */
        const char *verification_name;

        /* Own certificate: PEM or DER files, several in one if wished, leaf first, each issued by
         * the next; at most 16 certificates. NULL-terminated. NULL: none. With private_key_file
         * (CertificateChain). */
        const char *const *certificate_chain_files;
        /* PEM or DER; goes to the service as a sealed memfd. The leaf's. NULL: none (PrivateKey).
         */
        const char *private_key_file;
        /* Who vouches for the peer: PEM or DER files, at most 1024 certificates. NULL-terminated.
         * NULL: the system's trust store; with a psk and no certificate, nobody: a client then
         * offers PSK suites alone. An empty array: nobody (CaCertificates). */
        const char *const *ca_files;

        /* Pre-shared key: 1 to 128 bytes of identity and 1 to 64 bytes of key, both or neither. A
         * listener that has one refuses every other identity; without, it is asked for each
         * (Connection.PskRequired). NULL: none (PreSharedKeyIdentity, PreSharedKey). */
        const void *psk_identity;
        size_t psk_identity_size;
        const void *psk;
        size_t psk_size;
        /* What a listener tells its clients, to pick their key by; at most 128 bytes. NULL: nothing
         * (and then no PSK suites, if there is a certificate and no psk). Listeners only
         * (PskIdentityHint). */
        const char *psk_identity_hint;

        /* "VerifyNone", "QueryPeer", "VerifyPeer", "AutoVerifyPeer". NULL: the last, which is
         * VerifyPeer for a client and QueryPeer for a listener (PeerVerifyMode). */
        const char *peer_verify_mode;
        /* "default", "iot", "legacy". NULL: the first (CipherProfile). */
        const char *cipher_profile;

        /* Largest UDP payload of the handshake's datagrams, bytes: 256 (512 with a certificate) to
         * 65507. 0: 1400 (MtuHint). */
        uint16_t mtu_hint;
        /* A handshake fails after that, milliseconds: 100 to 600000. 0: 20000 in dtlsd_connect(),
         * else 60000 (HandshakeDeadline). */
        uint32_t handshake_deadline;
        /* A connection over which nothing came or went for that long ends, milliseconds: 100 to
         * 604800000. 0: never (IdleTimeout). */
        uint32_t idle_timeout;

        /* Not 0: strangers are not asked for a cookie (RFC 6347, 4.2.1), and can make the service
         * work for them in somebody else's name. Listeners only (CookieVerification false). */
        int no_cookies;
        /* Not 0: a listener with an accept queue signals its connections on the bus as well.
         * Listeners only (Announce). */
        int announce;
};

/* ---- connections ---- */

/*
 * From nothing to an open channel (Manager.Connect).
 *
 * @address: numeric, "192.0.2.1", "fe80::1%eth0"; resolve names yourself, and give the name as
 * verification_name. @port: 1 to 65535. @ret: yours to unref.
 *
 * Waits for the handshake, at most handshake_deadline. When it fails there is no object.
 *
 * Errors: InvalidInputParameters, TimedOut (nobody answers), PeerVerificationError, TlsFatalError,
 * RemoteClosedConnectionError, UnderlyingSocketError (no route; local_address is not here),
 * AlreadyExists (local_port is taken), TlsInitializationError; those of dtlsd_options.
 */
int dtlsd_connect(sd_bus *bus, const char *address, uint16_t port,
                  const struct dtlsd_options *options, dtlsd_connection **ret, sd_bus_error *error);

/*
 * An object in HandshakeNotStarted, to be driven step by step: do_handshake, wait until its
 * HandshakeState is HandshakeComplete, open_channel (Manager.CreateConnection).
 *
 * Arguments as of dtlsd_connect(). Errors: InvalidInputParameters, UnderlyingSocketError,
 * AlreadyExists, TlsInitializationError; those of dtlsd_options.
 */
int dtlsd_connection_create(sd_bus *bus, const char *address, uint16_t port,
                            const struct dtlsd_options *options, dtlsd_connection **ret,
                            sd_bus_error *error);

/* A connection by its path, as signals and properties name it. No call is made: whether it is there
 * the first function says that makes one. Errors: -EINVAL (not an object path), -ENOMEM. */
int dtlsd_connection_at(sd_bus *bus, const char *path, dtlsd_connection **ret);

/* Returns its argument. */
dtlsd_connection *dtlsd_connection_ref(dtlsd_connection *connection);
/* Returns NULL; takes NULL. The last one closes the channel, which ends the connection. */
dtlsd_connection *dtlsd_connection_unref(dtlsd_connection *connection);

/* "/io/github/dtlsd/Dtlsd1/connection/17"; the connection's, as all that its getters return. */
const char *dtlsd_connection_path(const dtlsd_connection *connection);
/* The channel; -1: none is open. It is the connection's: dup() it to keep it longer. */
int dtlsd_connection_fd(const dtlsd_connection *connection);
/* The largest datagram, in bytes, that fits the path in one piece, when the channel was opened; 0:
 * none is open. A larger one, up to 16347 bytes, goes in fragments. */
uint32_t dtlsd_connection_data_mtu(const dtlsd_connection *connection);

/* Of a connection that dtlsd_listener_accept() gave: the peer's numeric address and port. "" and 0
 * of others. */
const char *dtlsd_connection_peer_address(const dtlsd_connection *connection);
uint16_t dtlsd_connection_peer_port(const dtlsd_connection *connection);
/* Of such a connection: *ret_size bytes of what its peer calls itself (any bytes: not a C string);
 * NULL and 0 where no PSK was used, and of others. */
const void *dtlsd_connection_psk_identity(const dtlsd_connection *connection, size_t *ret_size);

/* Sends a client's first flight, and does not wait: the state goes on by itself
 * (Connection.DoHandshake). Errors: InvalidOperation (it has begun, or is complete),
 * UnderlyingSocketError, AlreadyExists, TlsInitializationError. */
int dtlsd_connection_do_handshake(dtlsd_connection *connection, sd_bus_error *error);
/* Answers the signal PskRequired. @identity: a client's, 1 to 128 bytes; of a server it is ignored.
 * @psk: 1 to 64 bytes (Connection.ProvidePsk). Errors: InvalidInputParameters, InvalidOperation
 * (none is asked for), TlsFatalError. */
int dtlsd_connection_provide_psk(dtlsd_connection *connection, const void *identity,
                                 size_t identity_size, const void *psk, size_t psk_size,
                                 sd_bus_error *error);
/* There is none: the handshake fails (Connection.RefusePsk). Errors: InvalidOperation. */
int dtlsd_connection_refuse_psk(dtlsd_connection *connection, sd_bus_error *error);
/* Opens the channel of a complete connection (Connection.OpenChannel). Errors: InvalidOperation
 * (not complete), ChannelInUse (it has one). */
int dtlsd_connection_open_channel(dtlsd_connection *connection, sd_bus_error *error);
/* One datagram of 1 to 16347 bytes over the bus, for tests and rare messages
 * (Connection.WriteDatagramEncrypted). Errors: InvalidInputParameters (empty), InvalidOperation
 * (not encrypted), MessageTooLong, TlsNonFatalError (try again). */
int dtlsd_connection_write(dtlsd_connection *connection, const void *data, size_t size,
                           sd_bus_error *error);
/* One datagram over the bus, of a connection without a channel. @timeout: waits so many
 * milliseconds, at most 600000; 0: does not wait. *ret_data: free() it
 * (Connection.ReadDatagram). Errors: TimedOut, InvalidInputParameters, InvalidOperation (not
 * encrypted, nothing is left), ChannelInUse, RemoteClosedConnectionError. */
int dtlsd_connection_read(dtlsd_connection *connection, uint32_t timeout, void **ret_data,
                          size_t *ret_size, sd_bus_error *error);
/* close_notify; the object stays, and a client may shake hands again (Connection.Shutdown). Errors:
 * InvalidOperation (not encrypted). */
int dtlsd_connection_shutdown(dtlsd_connection *connection, sd_bus_error *error);
/* Ends the connection and its object, in every state (Connection.Close). The channel's fd stays
 * open, at its end, until the last unref. */
int dtlsd_connection_close(dtlsd_connection *connection, sd_bus_error *error);

/* ---- listeners ---- */

/*
 * Binds a UDP socket for many peers (Manager.Listen, and its property LocalPort).
 *
 * @address: a numeric address of this host, or "0.0.0.0", "::". @port: 0 picks one. @ret: yours to
 * unref.
 *
 * Errors: InvalidInputParameters, AlreadyExists (somebody has address and port),
 * UnderlyingSocketError (the address is not here), TlsInitializationError; those of dtlsd_options.
 */
int dtlsd_listen(sd_bus *bus, const char *address, uint16_t port,
                 const struct dtlsd_options *options, dtlsd_listener **ret, sd_bus_error *error);

/* Returns its argument. */
dtlsd_listener *dtlsd_listener_ref(dtlsd_listener *listener);
/* Returns NULL; takes NULL. The last one closes the accept queue; the listener goes on without it,
 * and signals NewConnection. */
dtlsd_listener *dtlsd_listener_unref(dtlsd_listener *listener);

/* "/io/github/dtlsd/Dtlsd1/listener/3"; the listener's. */
const char *dtlsd_listener_path(const dtlsd_listener *listener);
/* As bound, never 0. */
uint16_t dtlsd_listener_port(const dtlsd_listener *listener);
/* The accept queue, for poll(): readable when a connection waits. -1: none is open. The
 * listener's. */
int dtlsd_listener_fd(const dtlsd_listener *listener);

/* From here on completed connections come to dtlsd_listener_accept() (Listener.OpenAcceptQueue).
 * Errors: ChannelInUse (a queue is open). */
int dtlsd_listener_open_accept_queue(dtlsd_listener *listener, sd_bus_error *error);
/* Takes one complete connection, channel and all, from the accept queue, and does not wait. No call
 * is made. @ret: yours to unref. Errors:
 *
 *   -EAGAIN      none waits
 *   -ECONNRESET  the listener is gone
 *   -ENOTCONN    no accept queue was opened
 *   -EMFILE      this process has no file descriptor left for the channel: the connection is lost
 *   -EBADMSG     the packet is not understood
 *   -ENOMEM
 */
int dtlsd_listener_accept(dtlsd_listener *listener, dtlsd_connection **ret);
/* Closes the socket; the object goes, and its connections end (Listener.Close). */
int dtlsd_listener_close(dtlsd_listener *listener, sd_bus_error *error);

#ifdef __cplusplus
}
#endif

#endif
