/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Bench, see bench.h: two processes, and what the ways need. */

#include "private.h"

#include <arpa/inet.h>
#include <errno.h>
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

        bench_check(asprintf(&path, "%s/%s", folder ? folder : ".", name) > 0, "asprintf");
        return path;
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

static void widen(int fd) {
        const int size = BUFFERS;

        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size);
}

static struct sockaddr_in loopback(uint16_t port) {
        return (struct sockaddr_in){
                .sin_family = AF_INET,
                .sin_port = htons(port),
                .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
        };
}

int bench_bind(uint16_t *port, bool is_shared) {
        int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        struct sockaddr_in address = loopback(*port);
        socklen_t size = sizeof address;
        const int one = is_shared;

        bench_check(fd >= 0, "socket");
        widen(fd);
        bench_check(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) == 0,
                    "SO_REUSEPORT");
        bench_check(bind(fd, (struct sockaddr *)&address, size) == 0, "bind");
        bench_check(getsockname(fd, (struct sockaddr *)&address, &size) == 0, "getsockname");
        *port = ntohs(address.sin_port);
        return fd;
}

int bench_connect(uint16_t port) {
        int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        const struct sockaddr_in address = loopback(port);

        bench_check(fd >= 0, "socket");
        widen(fd);
        bench_check(connect(fd, (const struct sockaddr *)&address, sizeof address) == 0, "connect");
        return fd;
}

void bench_wait_readable(int fd, int timeout_ms) {
        struct pollfd pollfd = {.fd = fd, .events = POLLIN};

        (void)poll(&pollfd, 1, timeout_ms);
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
                "       %s WAY trips|peers SIZE SECONDS\n"
                "       %s WAY handshakes ecdsa|psk|resumed SECONDS\n"
                "       %s WAY memory ecdsa|psk SESSIONS\n"
                "peers, handshakes and memory are of the server; its clients are GnuTLS's\n",
                program_invocation_short_name, program_invocation_short_name,
                program_invocation_short_name, program_invocation_short_name);
        exit(2);
}

static BenchKind kind_of(const char *argument) {
        if (strcmp(argument, "psk") == 0)
                return BENCH_PSK;

        return strcmp(argument, "resumed") == 0 ? BENCH_RESUMED : BENCH_ECDSA;
}

static _Noreturn void be_server(const BenchWay *way, const char *loop, BenchKind kind) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        pin(/* server= */ true);
        way->begin(kind, /* server= */ true);
        bench_serve(way, loop);
}

int bench_main(int argc, char **argv, BenchFind find) {
        const struct rlimit files = {FILES_MAX, FILES_MAX};
        const BenchWay *way = argc == 5 ? find(argv[1]) : NULL;
        const BenchLoop *loop = way ? bench_loop(argv[2]) : NULL;
        const BenchWay *client;

        if (!loop)
                usage();

        client = loop->of_server ? &bench_gnutls : way;
        (void)setrlimit(RLIMIT_NOFILE, &files);
        bench_page_new();

        server_pid = fork();
        bench_check(server_pid >= 0, "fork");
        if (server_pid == 0)
                be_server(way, loop->name, kind_of(argv[3]));

        (void)atexit(server_end);
        bench_meter_begin(server_pid);
        pin(/* server= */ false);
        client->begin(kind_of(argv[3]), /* server= */ false);
        bench_page_wait(&bench_page->port, 1, "listen");
        loop->run(client, argv[3], strtod(argv[4], NULL));
        (void)fflush(stdout);
        server_end();
        _exit(0); /* the libraries' own ends are not what is measured */
}
