/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Stage: what tests need beside a pair of connections: calls with every kind of option, an ear for
 * signals, datagrams that nobody honest sends, and a wire between a client and a listener that the
 * test can listen to and speak on.
 */

#include "lib/certificates.h"
#include "pair.h"

#include <netinet/in.h>

#define OBJECT_MANAGER "org.freedesktop.DBus.ObjectManager"
#define PROPERTIES "org.freedesktop.DBus.Properties"

/* ---- calls with options ---- */

/* A call whose last argument is options; append "{sv}"s to it, or the below, and end it. */
sd_bus_message *options_begin(sd_bus *bus, const char *path, const char *interface,
                              const char *member, const char *types, ...);
void options_add_bytes(sd_bus_message *m, const char *key, const void *data, size_t size);
void options_add_ticket(sd_bus_message *m, GBytes *ticket); /* NULL: none */
/* As a sealed memfd. */
void options_add_secret(sd_bus_message *m, const char *key, const void *data, size_t size);
void options_add_psk(sd_bus_message *m, const char *identity, const char *key);
/* @key: CertificateChain, CaCertificates. */
void options_add_certificate(sd_bus_message *m, const char *key, const TestIdentity *identity);
/* CertificateChain with its PrivateKey. */
void options_add_identity(sd_bus_message *m, const TestIdentity *identity);
/* Calls and frees @m; it must work. */
sd_bus_message *options_end(sd_bus *bus, sd_bus_message *m);
/* The same for a call that answers with a path alone. */
char *options_end_path(sd_bus *bus, sd_bus_message *m);
/* Calls and frees @m; it must fail. As call_refused(). */
char *options_end_refused(const char *error_name, sd_bus *bus, sd_bus_message *m);

/* A listener that asks its owner for every key: PskRequired; and the answer to it, of @size bytes.
 */
char *listen_asking(sd_bus *bus, uint16_t *ret_port);
void provide_psk(sd_bus *bus, const char *connection, const char *identity, const void *key,
                 size_t size);
/* A ClientVerifier of which nothing was said. */
char *create_verifier(sd_bus *bus);
char *make_verifier(sd_bus *bus, const char *hash, const char *secret);
/* VerifyClient, to be called; and called, which must work. *ret_reply: NULL when it is empty. */
sd_bus_message *verify_begin(sd_bus *bus, const char *verifier, GBytes *datagram,
                             const char *address, uint16_t port);
bool verify_client(sd_bus *bus, const char *verifier, GBytes *datagram, const char *address,
                   uint16_t port, GBytes **ret_reply);
char *take_path(sd_bus_message *reply);
uint16_t get_port(sd_bus *bus, const char *listener);
/* Both halves of the property Error: "NoError: ". */
char *get_error(sd_bus *bus, const char *connection);
char *get_error_of(sd_bus *bus, const char *path, const char *interface);
void do_handshake(sd_bus *bus, const char *connection);
void close_object(sd_bus *bus, const char *path, const char *interface);
uint64_t get_statistic(sd_bus *bus, const char *counter);
void wait_statistic(sd_bus *bus, const char *counter, uint64_t value);
/* Until it is no less. */
void wait_statistic_reaches(sd_bus *bus, const char *counter, uint64_t value);
/* Until every KINDInUse is 0. */
void wait_nothing_used(sd_bus *bus);

/* ---- messages ---- */

/* What is left of @m, every value after a '|': text and byte arrays as they are (so NULs too),
 * numbers in decimal. */
GString *message_flatten(sd_bus_message *m);
/* The same of what has no NULs, and lets go of @m. */
char *message_text(sd_bus_message *m);
/* So, of a property. */
char *get_values(sd_bus *bus, const char *path, const char *interface, const char *property);

/* Ear: every signal that comes to a name, "Member|path|values…". */
typedef struct Ear Ear;

Ear *ear_new(sd_bus *bus);
Ear *ear_free(Ear *ear);
/* Everything that was sent to it before now has been heard. */
void ear_catch_up(Ear *ear);
size_t ear_count(Ear *ear, const char *beginning);
/* The last one that begins so, or NULL. Borrowed. */
const GString *ear_last(Ear *ear, const char *beginning);
/* Waits for one. */
const GString *ear_wait(Ear *ear, const char *beginning);
/* Waits for the @n-th, from 1, NewConnection of a listener (NULL: of any): the connection's path.
 */
char *ear_wait_connection(Ear *ear, const char *listener, unsigned n);
/* Whether any signal has these bytes in it. */
bool ear_has_bytes(Ear *ear, const void *data, size_t size);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Ear, ear_free)

/* ---- datagrams ---- */

struct sockaddr_in loopback(uint16_t port);
/* A UDP socket on 127.0.0.1; *ret_port. */
int udp_bind(uint16_t *ret_port);
void udp_send(int fd, uint16_t port, const void *data, size_t size);

/* Stray: a socket of the test's that a client takes for a server's. */
typedef struct Stray {
        int fd;
        uint16_t port; /* the client's: who sent last */
} Stray;

GBytes *stray_receive(Stray *stray);
void stray_send(const Stray *stray, GBytes *datagram);

#define HELLO_MAX 128
/* A ClientHello with one PSK suite, and with this cookie; its size. */
size_t hello_write(uint8_t buffer[HELLO_MAX], const uint8_t random[32], const uint8_t *cookie,
                   size_t cookie_size);
/* Asks the listener at @port for a cookie with @fd: its size. */
size_t hello_ask(int fd, uint16_t port, const uint8_t random[32], uint8_t cookie[32]);

/* Wire: clients send to a front port; the listener sees one back port. What goes over it is passed
 * on by a thread. Several lanes have a front each, and share the back. */
#define WIRE_LANES 2

typedef struct Wire Wire;

Wire *wire_new(void);
Wire *wire_free(Wire *wire);
/* Opens one more lane to the listener at @port; where clients send. */
uint16_t wire_lane(Wire *wire, uint16_t port);
uint16_t wire_back_port(const Wire *wire);
/* The longest datagram so far, either way. */
size_t wire_longest(const Wire *wire);
/* The back socket, to speak in the client's name. */
int wire_back_fd(const Wire *wire);
/* From now on what the listeners say goes to this port, and not to the client; 0: as before. */
void wire_divert(Wire *wire, uint16_t port);
/* Nothing is passed on any more; the first lane's front socket, to be read by the test. */
int wire_cut(Wire *wire);

/* ---- another keyring ---- */

/* Waits until there is another than @old, and it has said that it keeps this identity, which
 * @bus may use. */
void wait_keyring(const Service *service, pid_t old, sd_bus *bus, const char *identity);
