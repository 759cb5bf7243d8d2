/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Bench: what the programs here share. Each is one way to speak DTLS (a library in its own process,
 * or dtlsd through its client library), written as that library's users write it, and measured by
 * the same loops: bulk one way, round trips, many peers, handshakes, memory.
 *
 * A run has two processes, the client's and the server's, that share a page: the client sends only
 * as far ahead of what the server has counted as a window allows, so that nothing is lost and every
 * way carries the same load. What is printed is one line of "key=value".
 *
 * BENCH_CPUS=C,S: the processors of client and server; "": none is chosen. Without: 0,0.
 * BENCH_CLIENT_PIDS, BENCH_SERVER_PIDS: services whose processor time and memory belong to an end.
 * BENCH_CERTIFICATES: the folder with ca.pem, server.pem, server.key, and the same in rsa/.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BENCH_DATAGRAM_MAX 2048
#define BENCH_MTU 1400
#define BENCH_PSK_IDENTITY "bench"
#define BENCH_PSK_KEY "sixteen bytes ok"
#define BENCH_SERVER_NAME "localhost"

typedef enum BenchKind {
        BENCH_ECDSA, /* the server has a P-256 certificate, the client checks it and its name */
        BENCH_RSA,   /* the same with one for RSA-2048 */
        BENCH_PSK,
        BENCH_RESUMED, /* as by certificate; all but the client's first take up a session */
} BenchKind;

typedef void (*BenchGot)(void *end, const void *data, size_t size);

/* A way. Everything blocks; whatever goes wrong ends the program. Ends are the way's own. */
typedef struct BenchWay {
        /* Once in each of the two processes. */
        void (*begin)(BenchKind kind, bool server);
        uint16_t (*listen)(void);
        void *(*accept)(void); /* a whole handshake, with the exchange of cookies */
        void *(*connect)(uint16_t port);
        void (*send)(void *end, const void *data, size_t size);
        void (*flush)(void *end);              /* NULL: send() keeps nothing back */
        void (*pump)(void *end, BenchGot got); /* waits, then hands out what there is; or: */
        int (*fd)(void *end);                  /* is readable when something waits; may be shared */
        void (*take)(void *end, BenchGot got); /* hands out what there is on its fd */
        void (*close)(void *end);              /* a server's says goodbye to its peer */
        void (*look)(void); /* NULL; or prints what its service tells of its connections */
} BenchWay;

extern const BenchWay bench_gnutls; /* the client of all that measure a server alone */
extern bool bench_gnutls_batches;   /* by trains (GSO and GRO), not one call a datagram */
extern bool bench_gnutls_crowds;    /* clients have one socket for all of them */
extern bool bench_gnutls_silent;    /* a server's end is closed without a goodbye */

/* NULL: what is not known by this name. */
typedef const BenchWay *(*BenchFind)(const char *variant);

int bench_main(int argc, char **argv, BenchFind find);

void bench_die(const char *what, const char *why) __attribute__((noreturn));
/* "FOLDER/name", or of another folder for BENCH_RSA; to be freed. */
char *bench_certificate(const char *name);
/* A server's connection has opened by itself, while it took what came. */
void bench_opened(void);
/* What everybody speaks, by OpenSSL's name. */
const char *bench_cipher(BenchKind kind);
/* The server's, as it is written. */
const char *bench_address(void);
/* UDP there, with buffers as large as may be. @port 0: picked; *port is what it is. With
 * @shared other sockets of ours may have the same. */
int bench_bind(uint16_t *port, bool shared);
int bench_connect(uint16_t port);
/* Buffers as large as may be. */
void bench_widen(int fd);
bool bench_wait_readable(int fd, int timeout_ms);

#ifdef __cplusplus
}
#endif
