/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Bench, see bench.h: two processes, and what the ways need. */

#include "private.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define FILES_MAX 20000
#define BUFFERS (8 << 20)

static pid_t server_pid;
static BenchKind kind;
void (*bench_look)(void);

/* ---- plain things ---- */

void bench_die(const char *what, const char *why) {
        fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what, why);
        exit(1);
}

void bench_check(bool done, const char *what) {
        if (!done)
                bench_die(what, strerror(errno));
}

char *bench_certificate(const char *name) {
        const char *folder = getenv("BENCH_CERTIFICATES");
        char *path;

        bench_check(asprintf(&path, "%s/%s%s", folder ? folder : ".",
                             kind == BENCH_RSA ? "rsa/" : "", name) > 0,
                    "asprintf");
        return path;
}

const char *bench_cipher(BenchKind of) {
        if (of == BENCH_PSK)
                return "PSK-AES128-GCM-SHA256";

        return of == BENCH_RSA ? "ECDHE-RSA-AES128-GCM-SHA256" : "ECDHE-ECDSA-AES128-GCM-SHA256";
}

static void pin(bool server) {
        const char *text = getenv("BENCH_CPUS");
        int cpus[2] = {0, 0};
        cpu_set_t set;

        if (text && !*text)
                return;
        if (text && sscanf(text, "%d,%d", &cpus[0], &cpus[1]) != 2)
                bench_die("BENCH_CPUS", "has to be C,S");

        CPU_ZERO(&set);
        CPU_SET(cpus[server], &set);
        bench_check(sched_setaffinity(0, sizeof set, &set) == 0, "sched_setaffinity");
}

/* ---- sockets ---- */

void bench_widen(int fd) {
        const int size = BUFFERS;

        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size);
}

const char *bench_address(void) {
        const char *address = getenv("BENCH_ADDRESS");

        return address ? address : "127.0.0.1";
}

static struct sockaddr_in server_at(uint16_t port) {
        struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};

        bench_check(inet_pton(AF_INET, bench_address(), &address.sin_addr) == 1, "BENCH_ADDRESS");
        return address;
}

int bench_bind(uint16_t *port, bool is_shared) {
        int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        struct sockaddr_in address = server_at(*port);
        socklen_t size = sizeof address;
        const int one = is_shared;

        bench_check(fd >= 0, "socket");
        bench_widen(fd);
        bench_check(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) == 0,
                    "SO_REUSEPORT");
        bench_check(bind(fd, (struct sockaddr *)&address, size) == 0, "bind");
        bench_check(getsockname(fd, (struct sockaddr *)&address, &size) == 0, "getsockname");
        *port = ntohs(address.sin_port);
        return fd;
}

int bench_connect(uint16_t port) {
        int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        const struct sockaddr_in address = server_at(port);

        bench_check(fd >= 0, "socket");
        bench_widen(fd);
        bench_check(connect(fd, (const struct sockaddr *)&address, sizeof address) == 0, "connect");
        return fd;
}

bool bench_wait_readable(int fd, int timeout_ms) {
        struct pollfd pollfd = {.fd = fd, .events = POLLIN};

        return poll(&pollfd, 1, timeout_ms) > 0;
}

static void server_end(void) {
        if (server_pid <= 0)
                return;

        (void)kill(server_pid, SIGKILL);
        (void)waitpid(server_pid, NULL, 0);
}

/* ---- the program ---- */

static _Noreturn void usage(void) {
        fprintf(stderr,
                "usage: %s WAY bulk SIZE[,WINDOW] SECONDS\n"
                "       %s WAY trips|calls SIZE SECONDS\n"
                "       %s WAY apps SIZE,KIND,N SECONDS\n"
                "       %s WAY peers SIZE,KIND,N SECONDS\n"
                "       %s WAY handshakes|connects KIND SECONDS\n"
                "       %s WAY memory KIND N\n"
                "       %s WAY idle KIND,N SECONDS\n"
                "       %s WAY scale SIZE,KIND N\n"
                "Those from peers on are of the server, and its clients are GnuTLS's. KIND: "
                "ecdsa,\n"
                "rsa, psk, resumed. WAY-client, WAY-server: that way at one end, GnuTLS at the "
                "other.\n",
                program_invocation_short_name, program_invocation_short_name,
                program_invocation_short_name, program_invocation_short_name,
                program_invocation_short_name, program_invocation_short_name,
                program_invocation_short_name, program_invocation_short_name);
        exit(2);
}

BenchKind bench_kind(void) {
        return kind;
}

static BenchKind kind_of(const char *argument) {
        static const char *const names[] = {
                [BENCH_ECDSA] = "ecdsa",
                [BENCH_RSA] = "rsa",
                [BENCH_PSK] = "psk",
                [BENCH_RESUMED] = "resumed",
        };

        for (BenchKind of = BENCH_ECDSA; of <= BENCH_RESUMED; of++)
                if (strstr(argument, names[of]))
                        return of;

        return BENCH_ECDSA;
}

/* Takes @suffix off @name. */
static bool cut(char *name, const char *suffix) {
        const size_t size = strlen(name), n = strlen(suffix);

        if (size <= n || strcmp(name + size - n, suffix) != 0)
                return false;

        name[size - n] = '\0';
        return true;
}

static void enter_namespace(void) {
        const char *path = getenv("BENCH_SERVER_NETWORK");
        int fd;

        if (!path)
                return;

        fd = open(path, O_RDONLY | O_CLOEXEC);
        bench_check(fd >= 0 && setns(fd, CLONE_NEWNET) == 0, path);
        (void)close(fd);
}

static _Noreturn void be_server(const BenchWay *way, const char *loop, const char *argument) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        pin(/* server= */ true);
        enter_namespace();
        way->begin(kind, /* server= */ true);
        bench_serve(way, loop, argument);
}

static void be_client(const BenchWay *way, const BenchLoop *loop, char **arguments) {
        bench_meter_begin(server_pid);
        pin(/* server= */ false);
        way->begin(kind, /* server= */ false);
        bench_page_wait(&bench_page->port, 1, "listen");
        loop->run(way, arguments[0], strtod(arguments[1], NULL));
        (void)fflush(stdout);
}

int bench_main(int argc, char **argv, BenchFind find) {
        const struct rlimit files = {FILES_MAX, FILES_MAX};
        const BenchLoop *loop = argc == 5 ? bench_loop(argv[2]) : NULL;
        const bool client_alone = loop && cut(argv[1], "-client");
        const bool server_alone = loop && (cut(argv[1], "-server") || loop->of_server);
        const BenchWay *way = loop ? find(argv[1]) : NULL;

        if (!way)
                usage();

        bench_look = way->look;
        kind = kind_of(argv[3]);
        (void)setrlimit(RLIMIT_NOFILE, &files);
        bench_page_new();

        server_pid = fork();
        bench_check(server_pid >= 0, "fork");
        if (server_pid == 0)
                be_server(client_alone ? &bench_gnutls : way, loop->name, argv[3]);

        (void)atexit(server_end);
        be_client(server_alone && !client_alone ? &bench_gnutls : way, loop, argv + 3);
        server_end();
        _exit(0); /* the libraries' own ends are not what is measured */
}
