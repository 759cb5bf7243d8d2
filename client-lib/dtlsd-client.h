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
 *                   everywhere, and TimedOut where the store is changed: what was asked for may yet
 *                   be done.
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

typedef struct dtlsd_channel dtlsd_channel;
typedef struct dtlsd_connection dtlsd_connection;
typedef struct dtlsd_listener dtlsd_listener;
typedef struct dtlsd_verifier dtlsd_verifier;

/* None: NULL and 0. */
struct dtlsd_bytes {
        const void *data;
        size_t size;
};

/* What is wrong with a peer. @name: one of QSslError's ("SelfSignedCertificate"); which there are,
 * and when, is in interfaces/README.md. @certificate: the one it is about, DER; on the way to the
 * service PEM is taken as well. */
struct dtlsd_verification_error {
        const char *name;
        struct dtlsd_bytes certificate;
};

/* QDtlsClientVerifier::GeneratorParameters: of the cookies that strangers are asked for. Functions
 * that take it say -EINVAL where secret_size is more than there is room for. */
struct dtlsd_cookie_parameters {
        char hash[16]; /* "Md5", "Sha1", "Sha224", "Sha256", "Sha384", "Sha512" */
        uint8_t secret[1024];
        size_t secret_size; /* 1 to 1024 bytes */
};

/*
 * Options of a connection or a listener. A zeroed struct is all defaults, and so is NULL in its
 * place. Strings and arrays are borrowed for the time of the call; files are read during it, by the
 * calling process. A list of names is NULL-terminated, best first, at most 256; NULL, and an empty
 * one, is the default. Each field is an option on the bus, named at its end, and what it means in
 * full is in io.github.dtlsd.Dtlsd1.Manager.xml.
 *
 * A field that says for what it is not, or for whom it is only, is passed over elsewhere.
 *
 * The struct keeps its size: later versions put new fields in place of reserved, with 0 as default.
 * So initialise it by names, and whole.
 *
 * Errors of the functions that take it, besides those of the service (InvalidInputParameters, with
 * the option and its rule in the message): what open() and read() say of a file; -EINVAL, it is not
 * a regular file (error->message names the file), or reserved is not zero: the program was made for
 * a later version of this library; -EFBIG, the file is larger than 1 MiB.
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
         * the next; at most 16 certificates with 64 KiB of DER. NULL-terminated. NULL: none. With
         * private_key_file (CertificateChain). */
        const char *const *certificate_chain_files;
        /* PEM or DER; goes to the service as a sealed memfd. The leaf's. NULL: none (PrivateKey).
         */
        const char *private_key_file;
        /* Certificate and key by their name in the service's store, instead of these two; NULL:
         * none (Identity). */
        const char *identity;
        /* Who vouches for the peer: PEM or DER files, at most 1024 certificates. NULL-terminated.
         * NULL: the system's trust store; with a psk and no certificate, nobody: a client then
         * offers PSK suites alone. An empty array: nobody (CaCertificates). */
        const char *const *ca_files;
        /* Instead of those: "system", or a trust set by its name in the service's store. NULL: as
         * above (Trust). */
        const char *trust;
        /* Not 0: where no key is pinned for the server, the one it has is taken, and pinned. Not
         * for listeners (TrustOnFirstUse). */
        int trust_on_first_use;

        /* Pre-shared key: 1 to 255 bytes of identity and 1 to 512 bytes of key, both or neither. A
         * listener that has one refuses every other identity; without, and without psks, it is
         * asked for each (Connection.PskRequired). NULL: none (PreSharedKeyIdentity, PreSharedKey).
         */
        const void *psk_identity;
        size_t psk_identity_size;
        const void *psk;
        size_t psk_size;
        /* Pre-shared keys by their names in the service's store, or patterns with '*' and '?': a
         * client's one, a server's many; at most 32. NULL-terminated. NULL: none (Psks). */
        const char *const *psks;
        /* What a server tells its clients, to pick their key by; at most 255 bytes. NULL: nothing
         * (and then no PSK suites, if there is a certificate and no psk). Listeners, and servers of
         * dtlsd_connection_create_external(), only (PskIdentityHint). */
        const char *psk_identity_hint;

        /* "VerifyNone", "QueryPeer", "VerifyPeer", "AutoVerifyPeer". NULL: the last, which is
         * VerifyPeer for a client and QueryPeer for a listener (PeerVerifyMode). */
        const char *peer_verify_mode;
        /* Longest chain of the peer's that is accepted, certificates: 1 to 16. 0: any
         * (PeerVerifyDepth). */
        uint32_t peer_verify_depth;
        /* Not 0: the order of QDtls, in which the handshake finishes and then the verdict on the
         * peer is told (HandshakeMustInterruptOnError false). */
        int no_interrupt_on_error;
        /* Not 0: a listener refuses clients without a certificate at once
         * (MissingCertificateIsFatal). */
        int missing_certificate_is_fatal;
        /* Not 0: the server has to bring a good OCSP response of its certificate along. Not for
         * listeners (OcspStapling). */
        int ocsp_stapling;
        /* Errors that are none here, in pairs of name and certificate, which match exactly; at most
         * 256 (IgnoredErrors). */
        const struct dtlsd_verification_error *ignored_errors;
        size_t n_ignored_errors;
        /* The same by name alone, whatever the certificate (IgnoredErrorsOfAnyCertificate). */
        const char *const *ignored_errors_of_any_certificate;

        /* "DtlsV1_2", "DtlsV1_2OrLater", "DtlsV1_0", "DtlsV1_0OrLater". NULL: the second. With
         * QSsl's other names no handshake starts (Protocol). */
        const char *protocol;
        /* "default", "iot", "legacy". NULL: the first. Not with ciphers (CipherProfile). */
        const char *cipher_profile;
        /* IANA's names, or OpenSSL's (Ciphers). */
        const char *const *ciphers;
        /* "P-256", "prime256v1", or as the Manager lists them (EllipticCurves). */
        const char *const *elliptic_curves;
        /* Names of QSsl::SslOption, "DisableServerNameIndication" (SslOptions). */
        const char *const *ssl_options;
        /* Names of application protocols (ALPN); at most 8, of 1 to 31 bytes (NextProtocols). */
        const char *const *next_protocols;
        /* What dtlsd_connection_session_ticket() gave: that session is taken up, without
         * signatures. At most 131072 bytes. With ssl_options that do not disable tickets, such as
         * an empty array. NULL: none. Not for listeners (SessionTicket). */
        const void *session_ticket;
        size_t session_ticket_size;
        /* Diffie-Hellman parameters of a server, PKCS#3 in a PEM or DER file, at most 8192 bytes:
         * a prime of 2048 to 4096 bits. NULL: the service's own. Listeners, and servers of
         * dtlsd_connection_create_external(), only (DhParameters). */
        const char *dh_parameters_file;

        /* Largest UDP payload of the handshake's datagrams, bytes: 256 (512 with a certificate) to
         * 65507. 0: 1400. Not for dtlsd_connection_set_configuration(), see
         * dtlsd_connection_set_mtu_hint() (MtuHint). */
        uint16_t mtu_hint;
        /* Not 0: a datagram that is larger than the data MTU is refused or dropped, and not sent in
         * fragments. Not for the functions ..._set_configuration() (DontFragment). */
        int dont_fragment;
        /* Not 0: nothing is sent again before dtlsd_connection_handle_timeout(), as with QDtls. For
         * dtlsd_connection_create() and ..._set_configuration(); others refuse it (Retransmission
         * "manual"). */
        int manual_retransmission;
        /* Milliseconds until a flight is sent again: 10 to 60000, and from retransmit_initial to
         * 60000. 0: 1000, doubled up to 60000 (RetransmitInitial, RetransmitMax). */
        uint32_t retransmit_initial;
        uint32_t retransmit_max;
        /* A handshake fails after that, milliseconds: 100 to 600000. 0: 20000 in dtlsd_connect(),
         * else 60000 (HandshakeDeadline). */
        uint32_t handshake_deadline;
        /* How long a key or a verdict on the peer may be owed, milliseconds: 100 to 600000. 0:
         * 50000 (AnswerDeadline). */
        uint32_t answer_deadline;
        /* A connection over which nothing came or went for that long ends, milliseconds: 100 to
         * 604800000. 0: never (IdleTimeout). */
        uint32_t idle_timeout;

        /* Not 0: strangers are not asked for a cookie (RFC 6347, 4.2.1), and can make the service
         * work for them in somebody else's name. Listeners, and servers of
         * dtlsd_connection_create_external(), only (CookieVerification false). */
        int no_cookies;
        /* "Md5", "Sha1", "Sha224", "Sha256", "Sha384", "Sha512". NULL: "Sha256". For
         * dtlsd_listen(), and servers of dtlsd_connection_create_external() (CookieHash). */
        const char *cookie_hash;
        /* 1 to 1024 bytes. NULL: random, and replaced from time to time. For the same
         * (CookieSecret). */
        const void *cookie_secret;
        size_t cookie_secret_size;
        /* Not 0: a listener with an accept queue or a shared channel signals its connections on
         * the bus as well; without, peers that are not trusted are refused and nobody is asked.
         * For dtlsd_listen() (Announce). */
        int announce;
        /* With whom the connection is shared from its birth, a listener's connections each, as by
         * dtlsd_connection_share(): "uid:1000=read,write"; at most 64. NULL-terminated. NULL: with
         * nobody. Not for the functions ..._set_configuration() (Share). */
        const char *const *share;

        /* The connection's datagrams go over it, and those of a listener's connections: a shared
         * channel, see dtlsd_channel_open(). NULL: each has a channel of its own. For
         * dtlsd_connection_create() and dtlsd_listen(); dtlsd_connect() refuses it (Channel). */
        const dtlsd_channel *channel;

        const void *reserved[19]; /* zero */
};

/* QSslConfiguration::setDefaultDtlsConfiguration: what a call of this sd_bus that takes options
 * finds in them at 0 is as here from now on, where it is for that call. Local address and port,
 * verification_name, dont_fragment, cookie_hash, cookie_secret, announce, share and channel have no
 * such default.
 * @options: all that was set before is replaced; NULL: no default of its own
 * (Manager.SetDefaultConfiguration). Errors: InvalidInputParameters; those of dtlsd_options. */
int dtlsd_set_default_configuration(sd_bus *bus, const struct dtlsd_options *options,
                                    sd_bus_error *error);

/*
 * ---- identities: certificates whose key the service keeps ----
 *
 * Which there are, and which of them end soon, the service tells whoever has called
 * Manager.Subscribe or GetManagedObjects: match InterfacesAdded, InterfacesRemoved,
 * PropertiesChanged and the signal ExpiresSoon of the interface Identity, as the example psk-server
 * matches its signal.
 */

/* Keeps a certificate with its key in the service's store, in the place of what had the name:
 * afterwards options.identity takes it. @name: the administrator's, or a user's own "u/UID/NAME".
 * Files as in dtlsd_options; @passphrase_file: a line, or NULL when the key is not encrypted
 * (Manager.ImportIdentity). Errors: InvalidInputParameters, NotAuthorized, Failed. */
int dtlsd_import_identity(sd_bus *bus, const char *name, const char *const *certificate_chain_files,
                          const char *private_key_file, const char *passphrase_file,
                          sd_bus_error *error);
/* The same with a PKCS#12 file, which has key and certificates. @passphrase_file: a line, or NULL
 * when it is empty (Manager.ImportIdentity). Errors: as above. */
int dtlsd_import_pkcs12(sd_bus *bus, const char *name, const char *pkcs12_file,
                        const char *passphrase_file, sd_bus_error *error);
/* The same with a key that stays in a token: @key_uri names it (RFC 7512), "pkcs11:token=...".
 * @name: the administrator's. @pin_file: a line, or NULL when the token wants none
 * (Manager.ImportIdentity). Errors: as above. */
int dtlsd_import_key_uri(sd_bus *bus, const char *name, const char *const *certificate_chain_files,
                         const char *key_uri, const char *pin_file, sd_bus_error *error);
/* Has a key made in the service's store, and a request for its certificate: *ret_csr, PEM, to be
 * freed. An identity that has this name goes on until the certificate is installed. @key_type:
 * "ECDSA-P256", "RSA-2048", "RSA-3072", "RSA-4096", "Ed25519"; NULL: the first. @subject: as RFC
 * 4514 writes names; NULL: CN=NAME. @subject_alt_names: DNS names and numeric addresses,
 * NULL-terminated, or NULL. May take a minute (Manager.GenerateIdentity). Errors:
 * InvalidInputParameters, NotAuthorized, TimedOut, Failed. */
int dtlsd_generate_identity(sd_bus *bus, const char *name, const char *key_type,
                            const char *subject, const char *const *subject_alt_names,
                            char **ret_csr, sd_bus_error *error);
/* The certificate of the key that was made, or a new one of the key in use
 * (Manager.InstallCertificate). Errors: InvalidInputParameters, NotAuthorized, Failed. */
int dtlsd_install_certificate(sd_bus *bus, const char *name,
                              const char *const *certificate_chain_files, sd_bus_error *error);
/* Objects that were made with it go on (Manager.RemoveIdentity). Errors: InvalidInputParameters
 * (there is none), NotAuthorized. */
int dtlsd_remove_identity(sd_bus *bus, const char *name, sd_bus_error *error);

/* ---- pre-shared keys that the service keeps ---- */

/* Keeps a pre-shared key in the service's store, in the place of what had the name: afterwards
 * options.psks takes it. @name: the administrator's, or a user's own "u/UID/NAME". Identity and key
 * as in dtlsd_options (Manager.SetPsk). Errors: InvalidInputParameters, NotAuthorized, Failed. */
int dtlsd_set_psk(sd_bus *bus, const char *name, const void *identity, size_t identity_size,
                  const void *psk, size_t psk_size, sd_bus_error *error);
/* Open connections go on (Manager.RemovePsk). Errors: InvalidInputParameters (there is none),
 * NotAuthorized. */
int dtlsd_remove_psk(sd_bus *bus, const char *name, sd_bus_error *error);

/* ---- trust sets and pins: whom the service trusts by name ---- */

/* Adds the certificates of PEM or DER files, NULL-terminated, to a set, which is made when it is
 * not there: afterwards options.trust takes it. @trust: as @name above (Manager.AddTrustAnchors).
 * Errors: InvalidInputParameters, NotAuthorized, Failed. */
int dtlsd_add_trust_anchors(sd_bus *bus, const char *trust, const char *const *certificate_files,
                            sd_bus_error *error);
/* @fingerprint: 32 bytes, the SHA-256 of one of its certificates; NULL: the whole set
 * (Manager.RemoveTrustAnchor). Errors: InvalidInputParameters (there is none), NotAuthorized. */
int dtlsd_remove_trust_anchor(sd_bus *bus, const char *trust, const uint8_t *fingerprint,
                              sd_bus_error *error);

/* A key that a server may have. */
struct dtlsd_pin {
        /* verification_name of connections to it or, without one, the address. "" with port 0, to
         * unpin: everything that the caller's user has pinned. */
        const char *host;
        uint16_t port; /* 1 to 65535 */
        /* 32 bytes, the SHA-256 of its SubjectPublicKeyInfo. NULL, to unpin: all of them. */
        const uint8_t *fingerprint;
        /* Not 0: for everybody, not for the caller's user alone. */
        int administrator;
};

/* From the next handshake on (Manager.Pin). Errors: InvalidInputParameters, NotAuthorized, Failed.
 */
int dtlsd_pin(sd_bus *bus, const struct dtlsd_pin *pin, sd_bus_error *error);
/* (Manager.Unpin.) Errors: InvalidInputParameters (there is none), NotAuthorized. */
int dtlsd_unpin(sd_bus *bus, const struct dtlsd_pin *pin, sd_bus_error *error);

/* ---- certificates that are taken back, whoever trusts them ---- */

/* Keeps revocation lists (CRLs) and denied certificates in the service's store, in the place of
 * what had the name, for the next handshake on. @name: the administrator's, which counts for
 * everybody, or a user's own "u/UID/NAME", which counts for its own connections and listeners.
 * @list_files: PEM or DER, NULL-terminated, or NULL. @denied: SHA-256 of certificates or of public
 * keys in hexadecimal, NULL-terminated, or NULL (Manager.SetRevocations). Errors:
 * InvalidInputParameters, NotAuthorized, QuotaExceeded, Failed. */
int dtlsd_set_revocations(sd_bus *bus, const char *name, const char *const *list_files,
                          const char *const *denied, sd_bus_error *error);
/* (Manager.RemoveRevocations.) Errors: InvalidInputParameters (there are none), NotAuthorized. */
int dtlsd_remove_revocations(sd_bus *bus, const char *name, sd_bus_error *error);

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
 * An object in HandshakeNotStarted, to be driven step by step: set_handlers, do_handshake, wait for
 * DTLSD_HANDSHAKE_COMPLETE, open_channel (Manager.CreateConnection).
 *
 * Arguments as of dtlsd_connect(); @address NULL with @port 0: dtlsd_connection_set_peer() will
 * say. Errors: InvalidInputParameters, UnderlyingSocketError, AlreadyExists,
 * TlsInitializationError; those of dtlsd_options.
 */
int dtlsd_connection_create(sd_bus *bus, const char *address, uint16_t port,
                            const struct dtlsd_options *options, dtlsd_connection **ret,
                            sd_bus_error *error);

/* A connection by its path, as signals and properties name it. No call is made: whether it is there
 * the first function says that makes one. Errors: -EINVAL (not an object path), -ENOMEM. */
int dtlsd_connection_at(sd_bus *bus, const char *path, dtlsd_connection **ret);

/* Returns its argument. */
dtlsd_connection *dtlsd_connection_ref(dtlsd_connection *connection);
/* Returns NULL; takes NULL. The last one closes the channel, which ends the connection. One of a
 * shared channel goes on. */
dtlsd_connection *dtlsd_connection_unref(dtlsd_connection *connection);

/* "/io/github/dtlsd/Dtlsd1/connection/17"; the connection's, as all that its getters return. */
const char *dtlsd_connection_path(const dtlsd_connection *connection);
/* The number at its end, which frames of a shared channel have; 0: there is none. */
uint32_t dtlsd_connection_number(const dtlsd_connection *connection);
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

/* ---- a connection step by step ---- */

/* QDtls::HandshakeState, with its numbers. */
enum dtlsd_handshake_state {
        DTLSD_HANDSHAKE_NOT_STARTED = 0,
        DTLSD_HANDSHAKE_IN_PROGRESS = 1,
        DTLSD_PEER_VERIFICATION_FAILED = 2,
        DTLSD_HANDSHAKE_COMPLETE = 3,
};

/* A question for a key. Borrowed for the time of the handler. @hint: the server's, to a client.
 * @peer_identity: the client's, to a server. Either may be empty, and any bytes. */
struct dtlsd_psk_request {
        const void *hint;
        size_t hint_size;
        const void *peer_identity;
        size_t peer_identity_size;
        uint32_t max_identity_size; /* bytes that dtlsd_connection_provide_psk() takes */
        uint32_t max_psk_size;
};

/*
 * What a connection has to say, in the order in which it happens. NULL: not wanted. They are called
 * by sd_bus_process() (so by an event loop that the sd_bus is attached to), each with what was
 * given to dtlsd_connection_set_handlers(), and may call everything here, and unref the connection.
 *
 * Later versions put new ones in place of reserved.
 */
struct dtlsd_handlers {
        /* QDtls::handshakeTimeout: no answer came in time. With manual_retransmission call
         * dtlsd_connection_handle_timeout() (HandshakeTimeout). */
        void (*handshake_timeout)(dtlsd_connection *connection, void *userdata);
        /* QDtls::pskRequired. Answer with dtlsd_connection_provide_psk() or ..._refuse_psk(), now
         * or later, before answer_deadline (PskRequired). */
        void (*psk_required)(dtlsd_connection *connection, const struct dtlsd_psk_request *request,
                             void *userdata);
        /* Every transition. @why: the error it brought; not set if none. Borrowed (StateChanged).
         */
        void (*state_changed)(dtlsd_connection *connection, enum dtlsd_handshake_state state,
                              const sd_bus_error *why, void *userdata);
        /* The association is over. @reason: "PeerClosed", "Failed", "IdleTimeout", … (Closed). */
        void (*closed)(dtlsd_connection *connection, const char *reason, void *userdata);
        /* Of dtlsd_connection_create_external(), while no carrier is open: send it to the peer as
         * one datagram. Borrowed (DatagramToSend). */
        void (*datagram_to_send)(dtlsd_connection *connection, const void *data, size_t size,
                                 void *userdata);

        void (*reserved[11])(void); /* NULL */
};

/* From here on they are called, in place of those before; NULL: none. @handlers is copied. Signals
 * count that come from the service itself, which is asked whether the connection is there; those
 * before this call are lost. Of a listener's connection a handler for psk_required comes too late:
 * match the signal, as the example psk-server does. Errors: -EINVAL (reserved is not NULL). */
int dtlsd_connection_set_handlers(dtlsd_connection *connection,
                                  const struct dtlsd_handlers *handlers, void *userdata,
                                  sd_bus_error *error);

/* Another peer, before the handshake; arguments as of dtlsd_connect(). @verification_name: as the
 * option; NULL, "": the address (Connection.SetPeer). Errors: InvalidInputParameters,
 * InvalidOperation (the handshake has begun). */
int dtlsd_connection_set_peer(dtlsd_connection *connection, const char *address, uint16_t port,
                              const char *verification_name, sd_bus_error *error);
/* The same of the name alone (Connection.SetPeerVerificationName). */
int dtlsd_connection_set_verification_name(dtlsd_connection *connection, const char *name,
                                           sd_bus_error *error);
/* @mtu: as the option mtu_hint; for the next handshake (Connection.SetMtuHint). Errors:
 * InvalidInputParameters. */
int dtlsd_connection_set_mtu_hint(dtlsd_connection *connection, uint16_t mtu, sd_bus_error *error);
/* Other options, before the handshake; what @options leaves at 0 has its default again. Peer, MTU
 * hint, local address and dont_fragment stay; so do the errors to ignore, unless it names some
 * (Connection.SetConfiguration). Errors: InvalidInputParameters, InvalidOperation (the handshake
 * has begun), TlsInitializationError; those of dtlsd_options. */
int dtlsd_connection_set_configuration(dtlsd_connection *connection,
                                       const struct dtlsd_options *options, sd_bus_error *error);

/* Sends a client's first flight, and does not wait: the state goes on by itself
 * (Connection.DoHandshake). Errors: InvalidOperation (it has begun, or is complete),
 * UnderlyingSocketError, AlreadyExists, TlsInitializationError. */
int dtlsd_connection_do_handshake(dtlsd_connection *connection, sd_bus_error *error);
/* With manual_retransmission: sends the flight again, if no answer came in time. *ret_handled
 * (NULL: not wanted): whether that was so (Connection.HandleTimeout). Errors: TlsFatalError (the
 * handshake has taken too long). */
int dtlsd_connection_handle_timeout(dtlsd_connection *connection, int *ret_handled,
                                    sd_bus_error *error);
/* The peer may have exactly these @n errors, at most 256, from now on; they take the place of those
 * before (Connection.IgnoreVerificationErrors). Errors: InvalidInputParameters (no such error, not
 * a certificate). */
int dtlsd_connection_ignore_errors(dtlsd_connection *connection,
                                   const struct dtlsd_verification_error *errors, size_t n,
                                   sd_bus_error *error);
/* Goes on from DTLSD_PEER_VERIFICATION_FAILED, once every error is ignored
 * (Connection.ResumeHandshake). Errors: InvalidOperation (not in that state), PeerVerificationError
 * (one is not ignored), TlsFatalError. */
int dtlsd_connection_resume_handshake(dtlsd_connection *connection, sd_bus_error *error);
/* Ends a handshake, from DTLSD_HANDSHAKE_IN_PROGRESS or DTLSD_PEER_VERIFICATION_FAILED
 * (Connection.AbortHandshake). Errors: InvalidOperation (neither). */
int dtlsd_connection_abort_handshake(dtlsd_connection *connection, sd_bus_error *error);
/* Answers psk_required. @identity: a client's, 1 to 255 bytes; of a server it is ignored.
 * @psk: 1 to 512 bytes (Connection.ProvidePsk). Errors: InvalidInputParameters, InvalidOperation
 * (none is asked for), TlsFatalError. */
int dtlsd_connection_provide_psk(dtlsd_connection *connection, const void *identity,
                                 size_t identity_size, const void *psk, size_t psk_size,
                                 sd_bus_error *error);
/* There is none: a client's handshake fails; a listener's fails later, as with a wrong key
 * (Connection.RefusePsk). Errors: InvalidOperation. */
int dtlsd_connection_refuse_psk(dtlsd_connection *connection, sd_bus_error *error);
/* Opens the channel of a complete connection or, of one that is shared with you, one of your own,
 * whose close ends nothing: see dtlsd_connection_share() (Connection.OpenChannel). Errors:
 * InvalidOperation (not complete), ChannelInUse (it has one). */
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
/* Key material for another protocol (RFC 5705), the same at both ends. @label: 1 to 128 printable
 * characters; @context: at most 65535 bytes, NULL and 0: none; @material: yours, of @size, 1 to
 * 1024 bytes; wipe it (Connection.ExportKeyingMaterial). Errors: InvalidOperation (not encrypted),
 * InvalidInputParameters, TlsNonFatalError (no extended master secret). */
int dtlsd_connection_export_keying_material(dtlsd_connection *connection, const char *label,
                                            const void *context, size_t context_size,
                                            void *material, size_t size, sd_bus_error *error);
/* A client's session, for the option session_ticket of a later one to the same server, as soon as
 * it is encrypted: sealed by the service, for this user alone, and of no use after the service has
 * ended. *ret: free() it. *ret_lifetime (NULL: not wanted): how long the server wants to know it,
 * seconds; 0: it did not say (Connection.GetSessionTicket). Errors: InvalidOperation (not
 * encrypted), TlsNonFatalError (there is none: ssl_options do not allow it, the server gave none,
 * or a pre-shared key was used). */
int dtlsd_connection_session_ticket(dtlsd_connection *connection, void **ret, size_t *ret_size,
                                    uint32_t *ret_lifetime, sd_bus_error *error);
/* Shares the connection with "uid:1000" or "gid:20", in the place of what that subject could do
 * before. @rights: of "read", "write", "inspect" and "control", at least one; NULL-terminated. Whom
 * it is shared with to read or to write takes dtlsd_connection_at() with its path, and
 * dtlsd_connection_open_channel(): every reader has every datagram (Connection.Share). Errors:
 * InvalidInputParameters. */
int dtlsd_connection_share(dtlsd_connection *connection, const char *subject,
                           const char *const *rights, sd_bus_error *error);
/* Takes all of these rights away, and closes the channels that rest on them (Connection.Unshare).
 * Errors: InvalidInputParameters (it is not shared with @subject). */
int dtlsd_connection_unshare(dtlsd_connection *connection, const char *subject,
                             sd_bus_error *error);
/* close_notify; the object stays, and a client may shake hands again (Connection.Shutdown). Errors:
 * InvalidOperation (not encrypted). */
int dtlsd_connection_shutdown(dtlsd_connection *connection, sd_bus_error *error);
/* Ends the connection and its object, in every state (Connection.Close). The channel's fd stays
 * open, at its end, until the last unref. */
int dtlsd_connection_close(dtlsd_connection *connection, sd_bus_error *error);

/* ---- a connection whose datagrams you carry yourself ---- */

/* QSslSocket::SslMode, with its numbers. */
enum dtlsd_mode {
        DTLSD_CLIENT = 1,
        DTLSD_SERVER = 2,
};

/*
 * As dtlsd_connection_create(), for datagrams that go over a socket of yours or anything else:
 * QDtls as Qt has it (Manager.CreateConnection, Transport "external").
 *
 * What the peer sent goes to dtlsd_connection_handshake_datagram(), and then to
 * dtlsd_connection_decrypt_datagram(); what is for it comes to the handler datagram_to_send. @mode:
 * a server is started by a peer's first datagram; unless no_cookies is set, that has to be one that
 * a verifier with the same cookie parameters has verified. @address, @port: the peer's; a carrier
 * without addresses may say any, always the same. NULL and 0: dtlsd_connection_set_peer() will say.
 *
 * Errors: InvalidInputParameters (local_address is set, too: there is no socket),
 * TlsInitializationError; those of dtlsd_options.
 */
int dtlsd_connection_create_external(sd_bus *bus, enum dtlsd_mode mode, const char *address,
                                     uint16_t port, const struct dtlsd_options *options,
                                     dtlsd_connection **ret, sd_bus_error *error);

/* Of a server of dtlsd_connection_create_external(), for hellos that come later; neither half is
 * optional (Connection.SetCookieGeneratorParameters). Errors: InvalidInputParameters,
 * InvalidOperation (any other connection). */
int dtlsd_connection_set_cookie_parameters(dtlsd_connection *connection,
                                           const struct dtlsd_cookie_parameters *parameters,
                                           sd_bus_error *error);
/* Those in force, of a listener's connection the listener's; the secret is one: wipe it
 * (Connection.GetCookieGeneratorParameters). Errors: InvalidOperation (a client has none). */
int dtlsd_connection_cookie_parameters(dtlsd_connection *connection,
                                       struct dtlsd_cookie_parameters *ret, sd_bus_error *error);
/* The handshake's next datagram from the peer, at most 65535 bytes; it starts that of a server.
 * *ret_state (NULL: not wanted): afterwards (Connection.DoHandshake). Errors:
 * InvalidInputParameters (empty), InvalidOperation (no peer is set; a client's, before
 * dtlsd_connection_do_handshake(); it is complete, or waits for a verdict; a carrier is open),
 * MessageTooLong, TlsInitializationError, TlsFatalError (a server's first one has no good cookie,
 * too). */
int dtlsd_connection_handshake_datagram(dtlsd_connection *connection, const void *datagram,
                                        size_t size, enum dtlsd_handshake_state *ret_state,
                                        sd_bus_error *error);
/* Of a complete connection: a datagram from the peer, at most 65535 bytes. *ret: the *ret_n
 * datagrams of plaintext that are in it (more than one when its sender put them together), in one
 * piece; free() it. NULL and 0: it had none, or was not authentic (Connection.DecryptDatagram).
 * Errors: InvalidOperation (not complete; a carrier is open), MessageTooLong,
 * RemoteClosedConnectionError, TlsFatalError. */
int dtlsd_connection_decrypt_datagram(dtlsd_connection *connection, const void *datagram,
                                      size_t size, struct dtlsd_bytes **ret, size_t *ret_n,
                                      sd_bus_error *error);
/* In every state, one at a time: a SOCK_SEQPACKET on which each packet is one datagram of
 * ciphertext, both ways, in place of those two functions and of the handler datagram_to_send. Data
 * comes by dtlsd_connection_read() or a channel then. A server asks for cookies by itself there.
 * *ret_fd: yours to close, which is to the connection the loss of its socket
 * (Connection.OpenCarrier). Errors: InvalidOperation (a socket of the service carries it),
 * ChannelInUse. */
int dtlsd_connection_open_carrier(dtlsd_connection *connection, int *ret_fd, sd_bus_error *error);

/* ---- what there is to know of a connection ---- */

/* QDtls::handshakeState (Connection.HandshakeState). */
int dtlsd_connection_handshake_state(dtlsd_connection *connection, enum dtlsd_handshake_state *ret,
                                     sd_bus_error *error);
/* QDtls::dtlsError, dtlsErrorString: of the last call, or of what came by itself since. @ret:
 * initialised, yours to free; stays not set (sd_bus_error_is_set()) when there is none. Its name is
 * DTLSD_ERROR() of one of QDtlsError (Connection.Error). */
int dtlsd_connection_last_error(dtlsd_connection *connection, sd_bus_error *ret,
                                sd_bus_error *error);
/* QDtls::peerVerificationErrors: all of them, in one piece; free() it. NULL and 0: none
 * (Connection.PeerVerificationErrors). */
int dtlsd_connection_verification_errors(dtlsd_connection *connection,
                                         struct dtlsd_verification_error **ret, size_t *ret_n,
                                         sd_bus_error *error);

/* The peer's certificates, DER, leaf first, in one piece; free() it. NULL and 0: none
 * (Connection.PeerCertificateChain). */
int dtlsd_connection_peer_chain(dtlsd_connection *connection, struct dtlsd_bytes **ret,
                                size_t *ret_n, sd_bus_error *error);

/* QSslCipher. Each "" or 0 where there is none (Connection.SessionCipher). */
struct dtlsd_cipher {
        char name[64]; /* IANA's */
        char protocol[32];
        char key_exchange_method[32];
        char authentication_method[32];
        char encryption_method[32];
        char mac[32];
        uint32_t supported_bits;
        uint32_t used_bits;
        int extended_master_secret; /* RFC 7627; whether material can be exported */
};

/* Properties of a connection, named at their end. Later versions put new ones in place of reserved.
 */
struct dtlsd_connection_info {
        char mode[8];                /* "client", "server" (Mode) */
        int encrypted;               /* (Encrypted) */
        char peer_address[64];       /* numeric; "": none is set (PeerAddress) */
        uint16_t peer_port;          /* (PeerPort) */
        char local_address[64];      /* of the socket; "": there is none yet (LocalAddress) */
        uint16_t local_port;         /* (LocalPort) */
        char verification_name[256]; /* (VerificationName) */
        uint16_t mtu_hint;           /* as set; 0: the service's choice (MtuHint) */
        uint32_t data_mtu; /* largest datagram that fits the path, bytes; 0 before (DataMtu) */
        char protocol[32]; /* "DtlsV1_2"; "UnknownProtocol" before (SessionProtocol) */
        struct dtlsd_cipher cipher;    /* (SessionCipher) */
        char next_protocol[32];        /* ALPN; "": none (NextProtocol) */
        char next_protocol_status[32]; /* "Negotiated", "Unsupported", "None" (NextProtocolStatus)
                                        */
        int resumed;                   /* an earlier session (Resumed) */
        uint8_t psk_identity[256];     /* that was used (PskIdentity) */
        size_t psk_identity_size;      /* 0: no PSK was */

        uint8_t reserved[512];
};

/* All of them, of one moment. */
int dtlsd_connection_info(dtlsd_connection *connection, struct dtlsd_connection_info *ret,
                          sd_bus_error *error);

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
/* The number at its end, which the facts of its connections have. */
uint32_t dtlsd_listener_number(const dtlsd_listener *listener);
/* As bound, never 0. */
uint16_t dtlsd_listener_port(const dtlsd_listener *listener);
/* The accept queue, for poll(): readable when a connection waits. -1: none is open. The
 * listener's. */
int dtlsd_listener_fd(const dtlsd_listener *listener);

/* From here on completed connections come to dtlsd_listener_accept() (Listener.OpenAcceptQueue).
 * Errors: ChannelInUse (a queue is open, or options.channel was given). */
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
/* Other options, for handshakes that begin later, say with a new certificate; what @options leaves
 * at 0 has its default again. Address, cookie_hash and cookie_secret, dont_fragment and announce
 * stay, and so do share and channel; mtu_hint and the errors to ignore do unless they are given
 * (Listener.SetConfiguration). Errors: InvalidInputParameters,
 * TlsInitializationError; those of dtlsd_options. */
int dtlsd_listener_set_configuration(dtlsd_listener *listener, const struct dtlsd_options *options,
                                     sd_bus_error *error);
/* From now on; neither half is optional (Listener.SetCookieGeneratorParameters). Errors:
 * InvalidInputParameters. */
int dtlsd_listener_set_cookie_parameters(dtlsd_listener *listener,
                                         const struct dtlsd_cookie_parameters *parameters,
                                         sd_bus_error *error);
/* Those in force, and the secret is one: wipe it (Listener.GetCookieGeneratorParameters). */
int dtlsd_listener_cookie_parameters(dtlsd_listener *listener, struct dtlsd_cookie_parameters *ret,
                                     sd_bus_error *error);
/* Closes the socket; the object goes, and its connections end, which this waits for
 * (Listener.Close). */
int dtlsd_listener_close(dtlsd_listener *listener, sd_bus_error *error);

/* ---- shared channels ---- */

/*
 * One fd for any number of connections: for those created with options.channel, and for those that
 * come to a listener with it, of which each then costs no fd, no call and no signal. It is the way
 * for many peers and for many datagrams: many frames go in one packet, up to 64 KiB, by one system
 * call.
 *
 * Of each connection come, in this order, one frame that it has opened, its datagrams, and one that
 * it has closed. A connection is a number here, dtlsd_connection_number(); to ask more of it, see
 * dtlsd_connection_at(). Closing the channel, by the last unref or the end of the process, ends
 * every connection and every listener on it.
 *
 * What is sent is collected: it goes when a packet is full, and when you turn to what comes, by
 * dtlsd_channel_receive(), ..._receive_many() or ..._wait(). Who does neither, or has a loop of his
 * own, calls dtlsd_channel_flush() before he waits. These functions make no call on the bus, do not
 * wait (but for dtlsd_channel_wait()) and allocate nothing; use a channel from one thread. Their
 * errors:
 *
 *   -EAGAIN      there is nothing to receive, or the way out is full: wait, then say it again.
 *                Nothing of it has been taken.
 *   -ECONNRESET  the channel is over: the service is gone, or your sd_bus has left
 *   -EBADMSG     a packet is not understood; the rest of it is lost
 */

enum dtlsd_frame_kind {
        DTLSD_FRAME_DATA = 1,    /* a datagram, never empty */
        DTLSD_FRAME_OPENED = 2,  /* the handshake is complete */
        DTLSD_FRAME_CLOSED = 3,  /* it is over, and all its datagrams have come */
        DTLSD_FRAME_CHANGED = 4, /* some of what opened told: the data MTU */
        DTLSD_FRAME_DROPPED = 5, /* datagrams were lost on their way in or out */
};

/* @data: a datagram. Of other kinds it is for dtlsd_frame_facts(). */
struct dtlsd_frame {
        uint32_t connection;
        enum dtlsd_frame_kind kind;
        const void *data;
        size_t size;
};

/* Manager.OpenChannel. @ret: yours to unref. */
int dtlsd_channel_open(sd_bus *bus, dtlsd_channel **ret, sd_bus_error *error);

/* Returns its argument. */
dtlsd_channel *dtlsd_channel_ref(dtlsd_channel *channel);
/* Returns NULL; takes NULL. The last one closes the channel. */
dtlsd_channel *dtlsd_channel_unref(dtlsd_channel *channel);

/* For poll(); readable when a packet waits, which is not to say that all of the last one was taken:
 * receive until -EAGAIN, or fewer than you have room for, first. The channel's. */
int dtlsd_channel_fd(const dtlsd_channel *channel);
/* Of the option Channel on the bus. */
uint32_t dtlsd_channel_id(const dtlsd_channel *channel);

/* One datagram. @data is copied. Errors: -EINVAL (empty), -EMSGSIZE (more than 16384 bytes); those
 * above. What the service cannot send comes back as a frame of kind DTLSD_FRAME_DROPPED. */
int dtlsd_channel_send(dtlsd_channel *channel, uint32_t connection, const void *data, size_t size);
/* @n frames of the kinds DTLSD_FRAME_DATA and DTLSD_FRAME_CLOSED, which closes; then flushes.
 * *ret_n: so many were taken, from the first, at least one. Errors as of dtlsd_channel_send(), of
 * the first frame; -EINVAL (another kind). */
int dtlsd_channel_send_many(dtlsd_channel *channel, const struct dtlsd_frame *frames, size_t n,
                            size_t *ret_n);
/* Ends a connection, after what was sent before; DTLSD_FRAME_CLOSED comes of it. */
int dtlsd_channel_close_connection(dtlsd_channel *channel, uint32_t connection);
/* Sends what was collected. -EAGAIN: it is kept. */
int dtlsd_channel_flush(dtlsd_channel *channel);

/* The next frame. What it points to is the channel's, until the next call of a function of these
 * three. */
int dtlsd_channel_receive(dtlsd_channel *channel, struct dtlsd_frame *ret);
/* The next frames, at most @max (1 and more), all of one packet; *ret_n: how many, at least one.
 * Fewer than @max are the rest of it. */
int dtlsd_channel_receive_many(dtlsd_channel *channel, struct dtlsd_frame *ret, size_t max,
                               size_t *ret_n);
/* Flushes, and waits for what @events says: POLLIN, something to receive; POLLOUT, room to send,
 * all that was collected being gone; or the first of both. It may end early, when some of what was
 * collected has gone. @timeout: milliseconds, negative: without end. Errors: -ETIMEDOUT, -EINTR. */
int dtlsd_channel_wait(dtlsd_channel *channel, short events, int timeout);

/* What a frame tells. "", 0 and NULL: nothing. Pointers are into the frame, and live as long. Later
 * versions put new ones in place of reserved. */
struct dtlsd_facts {
        /* opened: */
        uint32_t listener;      /* dtlsd_listener_number(); 0: no listener's */
        char peer_address[64];  /* numeric */
        char local_address[64]; /* that the peer sent to */
        uint16_t peer_port;
        uint16_t local_port;
        uint32_t data_mtu;                /* as dtlsd_connection_data_mtu(); changed, too */
        struct dtlsd_bytes psk_identity;  /* that was used */
        const uint8_t *leaf_fingerprint;  /* 32 bytes, the SHA-256 of the peer's certificate */
        struct dtlsd_bytes next_protocol; /* ALPN */
        char server_name[256];            /* that a client asked for (SNI) */
        int resumed;                      /* an earlier session */

        /* closed: as the signal Closed; dropped: "ChannelFull" (you did not read), "SocketFull",
         * "TooLong", "NotOpen" (no open connection of this channel has the number) */
        char reason[32];
        uint32_t n_dropped; /* since the last such frame for this connection and reason */

        const void *reserved[16];
};

/* Of each kind but DTLSD_FRAME_DATA. Errors: -EINVAL (that kind), -EBADMSG. */
int dtlsd_frame_facts(const struct dtlsd_frame *frame, struct dtlsd_facts *ret);

/* ---- client verifiers ---- */

/*
 * QDtlsClientVerifier, for datagrams that you carry yourself (Manager.CreateClientVerifier). A
 * listener needs none.
 *
 * @parameters: of its cookies; NULL: Sha256, and a random secret that is replaced from time to
 * time. @ret: yours to unref. Errors: InvalidInputParameters.
 */
int dtlsd_verifier_create(sd_bus *bus, const struct dtlsd_cookie_parameters *parameters,
                          dtlsd_verifier **ret, sd_bus_error *error);

/* Returns its argument. */
dtlsd_verifier *dtlsd_verifier_ref(dtlsd_verifier *verifier);
/* Returns NULL; takes NULL. */
dtlsd_verifier *dtlsd_verifier_unref(dtlsd_verifier *verifier);

/* What is to be done about a first datagram. */
struct dtlsd_client_verdict {
        int verified;       /* the peer is where it says: start a connection with the datagram */
        size_t reply_size;  /* not 0: send it the reply */
        uint8_t reply[512]; /* never longer than the datagram was */
};

/* @datagram: 1 to 65535 bytes that came from a stranger, at @address and @port
 * (ClientVerifier.VerifyClient). Errors: InvalidInputParameters, MessageTooLong. */
int dtlsd_verifier_verify_client(dtlsd_verifier *verifier, const void *datagram, size_t size,
                                 const char *address, uint16_t port,
                                 struct dtlsd_client_verdict *ret, sd_bus_error *error);
/* The last datagram, if it was verified; free() it. NULL and 0: it was not
 * (ClientVerifier.VerifiedHello). */
int dtlsd_verifier_verified_hello(dtlsd_verifier *verifier, void **ret, size_t *ret_size,
                                  sd_bus_error *error);
/* As dtlsd_connection_last_error() (ClientVerifier.Error). */
int dtlsd_verifier_last_error(dtlsd_verifier *verifier, sd_bus_error *ret, sd_bus_error *error);
/* From now on; neither half is optional (ClientVerifier.SetCookieGeneratorParameters). Errors:
 * InvalidInputParameters. */
int dtlsd_verifier_set_cookie_parameters(dtlsd_verifier *verifier,
                                         const struct dtlsd_cookie_parameters *parameters,
                                         sd_bus_error *error);
/* Those in force, for the options of the connections; the secret is one: wipe it
 * (ClientVerifier.GetCookieGeneratorParameters). */
int dtlsd_verifier_cookie_parameters(dtlsd_verifier *verifier, struct dtlsd_cookie_parameters *ret,
                                     sd_bus_error *error);
/* The object goes (ClientVerifier.Close). */
int dtlsd_verifier_close(dtlsd_verifier *verifier, sd_bus_error *error);

#ifdef __cplusplus
}
#endif

#endif
