/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Bench, see bench.h: two processes, their clocks, and the five loops. */

#include "bench.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WINDOW 64         /* datagrams on their way: what the smallest buffer between holds */
#define STUCK_SECONDS 1.0 /* nothing came for so long: what is on its way is lost */
#define START_SECONDS 20.0
#define WARM_SECONDS 0.1
#define PEERS 1000 /* of one server */
#define TRIPS_MAX 200000
#define FILES_MAX 20000
#define WARM_SESSIONS 50
#define BUFFERS (8 << 20)
#define PIDS_MAX 8

typedef struct Shared { /* between the two processes */
        _Atomic uint64_t received;
        _Atomic uint64_t wanted;  /* the client sleeps until so many are received */
        _Atomic uint32_t waiting; /* it does; a futex */
        _Atomic uint32_t port;    /* a futex */
        _Atomic uint32_t accepted;
} Shared;

typedef struct Cost { /* processor seconds */
        double client, server;
} Cost;

static Shared *shared;
static pid_t server_pid;
static pid_t client_services[PIDS_MAX], server_services[PIDS_MAX]; /* ends with 0 */
static uint64_t n_sent, n_lost, window = WINDOW;

/* ---- plain things ---- */

void bench_die(const char *what, const char *why) {
        fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what, why);
        exit(1);
}

static void check(bool done, const char *what) {
        if (!done)
                bench_die(what, strerror(errno));
}

char *bench_certificate(const char *name) {
        const char *folder = getenv("BENCH_CERTIFICATES");
        char *path;

        check(asprintf(&path, "%s/%s", folder ? folder : ".", name) > 0, "asprintf");
        return path;
}

static double now(void) {
        struct timespec t;

        (void)clock_gettime(CLOCK_MONOTONIC, &t);
        return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static double cpu_of(pid_t pid) {
        struct timespec t;
        clockid_t clock;

        if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &t) < 0)
                return 0;

        return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static Cost cost(void) {
        Cost sum = {cpu_of(getpid()), cpu_of(server_pid)};

        for (const pid_t *pid = client_services; *pid; pid++)
                sum.client += cpu_of(*pid);
        for (const pid_t *pid = server_services; *pid; pid++)
                sum.server += cpu_of(*pid);
        return sum;
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
        check(sched_setaffinity(0, sizeof set, &set) == 0, "sched_setaffinity");
}

static void read_pids(const char *variable, pid_t pids[static PIDS_MAX]) {
        const char *text = getenv(variable);
        size_t n = 0;
        char *end;

        for (; text && *text && n < PIDS_MAX - 1; text = end) {
                pids[n++] = (pid_t)strtol(text, &end, 10);
                if (end == text)
                        bench_die(variable, "has to be numbers");
        }
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

        check(fd >= 0, "socket");
        widen(fd);
        check(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) == 0, "SO_REUSEPORT");
        check(bind(fd, (struct sockaddr *)&address, size) == 0, "bind");
        check(getsockname(fd, (struct sockaddr *)&address, &size) == 0, "getsockname");
        *port = ntohs(address.sin_port);
        return fd;
}

int bench_connect(uint16_t port) {
        int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        const struct sockaddr_in address = loopback(port);

        check(fd >= 0, "socket");
        widen(fd);
        check(connect(fd, (const struct sockaddr *)&address, sizeof address) == 0, "connect");
        return fd;
}

void bench_wait_readable(int fd, int timeout_ms) {
        struct pollfd pollfd = {.fd = fd, .events = POLLIN};

        (void)poll(&pollfd, 1, timeout_ms);
}

/* ---- the window ---- */

static void futex_wait(_Atomic uint32_t *word, uint32_t value, double seconds) {
        const struct timespec limit = {(time_t)seconds,
                                       (long)((seconds - (double)(time_t)seconds) * 1e9)};

        (void)syscall(SYS_futex, word, FUTEX_WAIT, value, &limit, NULL, 0);
}

static void futex_set(_Atomic uint32_t *word, uint32_t value) {
        atomic_store(word, value);
        (void)syscall(SYS_futex, word, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}

static void wait_word(_Atomic uint32_t *word, uint32_t least, const char *what) {
        const double end = now() + START_SECONDS;

        for (uint32_t value = atomic_load(word); value < least; value = atomic_load(word)) {
                if (now() > end)
                        bench_die(what, "the other side was not ready in time");
                futex_wait(word, value, 0.1);
        }
}

static uint64_t n_done(void) {
        return atomic_load(&shared->received) + n_lost;
}

/* Until the server has so many, or nothing more comes: the rest is lost then. */
static void wait_done(uint64_t count) {
        uint64_t last = n_done();
        double since = now();

        while (n_done() < count) {
                atomic_store(&shared->wanted, count - n_lost);
                atomic_store(&shared->waiting, 1);
                if (n_done() < count)
                        futex_wait(&shared->waiting, 1, 0.1);

                if (n_done() != last) {
                        last = n_done();
                        since = now();
                } else if (now() - since > STUCK_SECONDS) {
                        n_lost += count - last;
                }
        }

        atomic_store(&shared->waiting, 0);
}

static void pump(const BenchWay *way, void *end, BenchGot got) {
        if (way->pump) {
                way->pump(end, got);
                return;
        }

        bench_wait_readable(way->fd(end), -1);
        way->take(end, got);
}

static void server_counts(void *end, const void *data, size_t size) {
        uint64_t count = atomic_fetch_add(&shared->received, 1) + 1;

        (void)data;
        (void)size;
        if (atomic_load(&shared->waiting) && count >= atomic_load(&shared->wanted))
                futex_set(&shared->waiting, 0);
}

/* ---- the server's process ---- */

static const BenchWay *echoing;

static void server_answers(void *end, const void *data, size_t size) {
        echoing->send(end, data, size);
}

static void server_echoes(void *end, const void *data, size_t size) {
        echoing->send(end, data, size);
        if (echoing->flush)
                echoing->flush(end);
}

/* As servers with many peers do it: whoever has said something is answered. */
static _Noreturn void serve_peers(const BenchWay *way, void *first) {
        struct epoll_event events[64];
        int epoll = epoll_create1(EPOLL_CLOEXEC);
        void *end = first;

        check(epoll >= 0, "epoll_create1");
        for (uint32_t n = 1; n <= PEERS; n++) {
                events[0] = (struct epoll_event){.events = EPOLLIN, .data.ptr = end};
                if (epoll_ctl(epoll, EPOLL_CTL_ADD, way->fd(end), events) < 0)
                        check(errno == EEXIST, "epoll_ctl"); /* one fd for all of them */
                futex_set(&shared->accepted, n);
                end = n < PEERS ? way->accept() : NULL;
        }

        echoing = way;
        for (;;) {
                int n = epoll_wait(epoll, events, 64, -1);

                for (int i = 0; i < n; i++) {
                        way->take(events[i].data.ptr, server_answers);
                        if (way->flush)
                                way->flush(events[i].data.ptr);
                }
        }
}

static _Noreturn void serve(const BenchWay *way, const char *loop, BenchKind kind) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        pin(/* server= */ true);
        way->begin(kind, /* server= */ true);
        futex_set(&shared->port, way->listen());

        for (;;) {
                void *end = way->accept();

                if (strcmp(loop, "peers") == 0)
                        serve_peers(way, end);

                futex_set(&shared->accepted, atomic_load(&shared->accepted) + 1);
                if (strcmp(loop, "handshakes") == 0) {
                        way->close(end);
                } else if (strcmp(loop, "bulk") == 0) {
                        for (;;)
                                pump(way, end, server_counts);
                } else if (strcmp(loop, "trips") == 0) {
                        echoing = way;
                        for (;;)
                                pump(way, end, server_echoes);
                }
        }
}

static void server_end(void) {
        if (server_pid <= 0)
                return;

        (void)kill(server_pid, SIGKILL);
        (void)waitpid(server_pid, NULL, 0);
}

/* ---- the loops, in the client's process ---- */

static void bulk_for(const BenchWay *way, void *end, size_t size, double seconds) {
        uint8_t buffer[BENCH_DATAGRAM_MAX] = {0};
        const double until = now() + seconds;

        do {
                for (unsigned i = 0; i < 32; i++, n_sent++) {
                        if (n_sent - n_done() >= window) {
                                if (way->flush)
                                        way->flush(end);
                                wait_done(n_sent - window / 2);
                        }
                        way->send(end, buffer, size);
                }
        } while (now() < until);

        if (way->flush)
                way->flush(end);
        wait_done(n_sent);
}

static void loop_bulk(const BenchWay *way, void *end, size_t size, double seconds) {
        Cost before, after;
        uint64_t n_before;
        double start, n;

        bulk_for(way, end, size, WARM_SECONDS);
        n_lost = 0;
        n_sent = n_before = n_done();
        before = cost();
        start = now();
        bulk_for(way, end, size, seconds);
        seconds = now() - start;
        after = cost();
        n = (double)(n_done() - n_lost - n_before);
        printf("rate=%.0f client_us=%.4f server_us=%.4f lost=%llu\n", n / seconds,
               (after.client - before.client) / n * 1e6, (after.server - before.server) / n * 1e6,
               (unsigned long long)n_lost);
}

static size_t n_trips_back;

static void client_counts(void *end, const void *data, size_t size) {
        (void)end;
        (void)data;
        (void)size;
        n_trips_back++;
}

static int compare_trips(const void *a, const void *b) {
        const float x = *(const float *)a, y = *(const float *)b;

        return (x > y) - (x < y);
}

static size_t trips_for(const BenchWay *way, void *end, size_t size, double seconds,
                        float trips[static TRIPS_MAX]) {
        uint8_t buffer[BENCH_DATAGRAM_MAX] = {0};
        double start = now();
        const double until = start + seconds;
        size_t n = 0;

        while (start < until && n < TRIPS_MAX) {
                double back;

                n_trips_back = 0;
                way->send(end, buffer, size);
                if (way->flush)
                        way->flush(end);
                while (n_trips_back == 0)
                        pump(way, end, client_counts);

                back = now();
                trips[n++] = (float)(back - start);
                start = back;
        }

        return n;
}

static void loop_trips(const BenchWay *way, void *end, size_t size, double seconds) {
        static float trips[TRIPS_MAX];
        Cost before, after;
        size_t n;

        (void)trips_for(way, end, size, WARM_SECONDS, trips);
        before = cost();
        n = trips_for(way, end, size, seconds, trips);
        after = cost();
        qsort(trips, n, sizeof trips[0], compare_trips);
        printf("p50=%.3f p90=%.3f p99=%.3f n=%zu client_us=%.4f server_us=%.4f\n",
               (double)trips[n / 2] * 1e6, (double)trips[n * 9 / 10] * 1e6,
               (double)trips[n * 99 / 100] * 1e6, n,
               (after.client - before.client) / (double)n * 1e6,
               (after.server - before.server) / (double)n * 1e6);
}

static size_t peers_for(const BenchWay *way, void *ends[static PEERS], size_t size,
                        double seconds) {
        uint8_t buffer[BENCH_DATAGRAM_MAX] = {0};
        const double until = now() + seconds;
        size_t n = 0;

        do {
                for (size_t first = n; n < first + WINDOW; n++)
                        way->send(ends[n % PEERS], buffer, size);
                for (size_t i = n - WINDOW; i < n; i++)
                        for (n_trips_back = 0; n_trips_back == 0;)
                                pump(way, ends[i % PEERS], client_counts);
        } while (now() < until);

        return n;
}

static void loop_peers(const BenchWay *way, uint16_t port, size_t size, double seconds) {
        static void *ends[PEERS];
        Cost before, after;
        double start, n;

        for (uint32_t i = 0; i < PEERS; i++) {
                ends[i] = way->connect(port);
                wait_word(&shared->accepted, i + 1, "accept");
        }

        (void)peers_for(way, ends, size, WARM_SECONDS);
        before = cost();
        start = now();
        n = (double)peers_for(way, ends, size, seconds);
        seconds = now() - start;
        after = cost();
        printf("rate=%.1f client_us=%.4f server_us=%.4f\n", n / seconds,
               (after.client - before.client) / n * 1e6, (after.server - before.server) / n * 1e6);
}

static size_t handshakes_for(const BenchWay *way, uint16_t port, double seconds) {
        const double until = now() + seconds;
        size_t n = 0;

        do {
                way->close(way->connect(port));
                n++;
        } while (now() < until);

        return n;
}

static void loop_handshakes(const BenchWay *way, uint16_t port, double seconds) {
        Cost before, after;
        double start, n;

        (void)handshakes_for(way, port, WARM_SECONDS);
        before = cost();
        start = now();
        n = (double)handshakes_for(way, port, seconds);
        seconds = now() - start;
        after = cost();
        printf("rate=%.1f client_us=%.2f server_us=%.2f\n", n / seconds,
               (after.client - before.client) / n * 1e6, (after.server - before.server) / n * 1e6);
}

/* The line of a file in /proc that begins with @key, KiB. */
static double kib_of(const char *path, const char *key) {
        const size_t size = strlen(key);
        double value = 0;
        char line[256];
        FILE *file;

        file = fopen(path, "r");
        check(file, path);
        while (fgets(line, sizeof line, file))
                if (strncmp(line, key, size) == 0)
                        value = strtod(line + size, NULL);

        (void)fclose(file);
        return value;
}

/* What a process has of its own and its share of the rest, KiB. */
static double memory_of(pid_t pid) {
        char path[64];

        (void)snprintf(path, sizeof path, "/proc/%d/smaps_rollup", (int)pid);
        return kib_of(path, "Pss:");
}

static double memory_of_server(void) {
        double sum = memory_of(server_pid);

        for (const pid_t *pid = server_services; *pid; pid++)
                sum += memory_of(*pid);
        return sum;
}

/* Of the whole machine: only of use where nobody else does much. */
static double memory_of_kernel(void) {
        return kib_of("/proc/meminfo", "Slab:");
}

/* What the kernel has for the clients, which all ways have alike: sockets that stay open. */
static double memory_of_sockets(uint16_t port, uint32_t n) {
        const double before = memory_of_kernel();

        for (uint32_t i = 0; i < n; i++)
                (void)bench_connect(port);
        return memory_of_kernel() - before;
}

static void loop_memory(const BenchWay *way, uint16_t port, uint32_t n) {
        double processes = 0, kernel = 0;

        for (uint32_t i = 0; i < n + WARM_SESSIONS; i++) {
                if (i == WARM_SESSIONS) {
                        processes = -memory_of_server();
                        kernel = -memory_of_sockets(port, n) - memory_of_kernel();
                }
                (void)way->connect(port);
                wait_word(&shared->accepted, i + 1, "accept");
        }

        processes += memory_of_server();
        kernel += memory_of_kernel();
        printf("processes_kib=%.3f kernel_kib=%.3f n=%u\n", processes / n, kernel / n, n);
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

static void run(const BenchWay *way, char **arguments) {
        const char *loop = arguments[0];
        char *comma = NULL;
        const size_t size = strtoul(arguments[1], &comma, 10);
        const double amount = strtod(arguments[2], NULL);
        const uint16_t port = (uint16_t)atomic_load(&shared->port);
        void *end;

        if (strcmp(loop, "handshakes") == 0) {
                loop_handshakes(way, port, amount);
                return;
        }
        if (strcmp(loop, "memory") == 0) {
                loop_memory(way, port, (uint32_t)amount);
                return;
        }

        if (size == 0 || size > BENCH_MTU)
                usage();
        if (strcmp(loop, "peers") == 0) {
                loop_peers(way, port, size, amount);
                return;
        }
        if (*comma == ',')
                window = strtoul(comma + 1, NULL, 10);
        end = way->connect(port);
        wait_word(&shared->accepted, 1, "accept");
        if (strcmp(loop, "bulk") == 0)
                loop_bulk(way, end, size, amount);
        else if (strcmp(loop, "trips") == 0)
                loop_trips(way, end, size, amount);
        else
                usage();
}

int bench_main(int argc, char **argv, BenchFind find) {
        const struct rlimit files = {FILES_MAX, FILES_MAX};
        BenchKind kind = BENCH_ECDSA;
        const BenchWay *way, *client;
        bool of_server;

        way = argc == 5 ? find(argv[1]) : NULL;
        if (!way)
                usage();

        of_server = strcmp(argv[2], "bulk") != 0 && strcmp(argv[2], "trips") != 0;
        client = of_server ? &bench_gnutls : way;
        if (strcmp(argv[3], "psk") == 0)
                kind = BENCH_PSK;
        else if (strcmp(argv[3], "resumed") == 0)
                kind = BENCH_RESUMED;

        (void)setrlimit(RLIMIT_NOFILE, &files);
        read_pids("BENCH_CLIENT_PIDS", client_services);
        read_pids("BENCH_SERVER_PIDS", server_services);
        shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
                      0);
        check(shared != MAP_FAILED, "mmap");

        server_pid = fork();
        check(server_pid >= 0, "fork");
        if (server_pid == 0)
                serve(way, argv[2], kind);

        (void)atexit(server_end);
        pin(/* server= */ false);
        client->begin(kind, /* server= */ false);
        wait_word(&shared->port, 1, "listen");
        run(client, argv + 2);
        (void)fflush(stdout);
        server_end();
        _exit(0); /* the libraries' own ends are not what is measured */
}
