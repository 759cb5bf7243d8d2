/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Many strangers: they cost neither memory nor lines in the log, and the listener serves. And one
 * program's calls without end: they cost nobody's data its turn.
 */

#include "stage.h"

#include <arpa/inet.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define N_STRANGERS 200
#define N_DATAGRAMS 20000
#define N_CALLS 5000 /* of one program, more than are answered at once */
#define BURST 50     /* fits the listener's receive buffer */
#define LINES_MAX 30
#ifdef __SANITIZE_ADDRESS__
#define GROWTH_MAX_KB (64 * 1024) /* what was given back is kept aside */
#else
#define GROWTH_MAX_KB (2 * 1024) /* 100 bytes a stranger */
#endif

typedef struct World {
        Service *service;
        sd_bus *bus;
        uint16_t port;
        char *listener;
        size_t n_served;
        int strangers[N_STRANGERS];
} World;

static void set_up(World *world, const void *config) {
        uint16_t unused;

        world->service = service_start(config);
        world->bus = service_bus(world->service, UID_ALICE);
        world->listener = listen_psk(world->bus, &world->port);
        for (int i = 0; i < N_STRANGERS; i++)
                world->strangers[i] = udp_bind(&unused);
}

static void tear_down(World *world, const void *unused) {
        for (int i = 0; i < N_STRANGERS; i++)
                (void)close(world->strangers[i]);
        g_free(world->listener);
        (void)bus_leave(world->bus);
        service_stop(world->service);
}

static size_t count_lines(const World *world) {
        g_autofree char *log = service_log(world->service);
        size_t n = 0;

        for (const char *at = log; *at; at++)
                n += *at == '\n';

        return n;
}

static long resident_kb(pid_t pid) {
        g_autofree char *path = g_strdup_printf("/proc/%d/status", pid);
        g_autofree char *text = NULL;
        const char *line;

        g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
        line = strstr(text, "VmRSS:");
        g_assert_nonnull(line);
        return (long)g_ascii_strtoll(line + strlen("VmRSS:"), NULL, 10);
}

/* Every datagram is taken off the socket before more come, or the kernel would drop some and less
 * would be tried than it seems. */
static void flood(World *world, void (*write_one)(uint8_t *buffer, size_t *size, int number)) {
        uint64_t before = get_statistic(world->bus, "DatagramsReceived");
        uint8_t datagram[512];
        size_t size;

        for (int i = 0; i < N_DATAGRAMS; i++) {
                write_one(datagram, &size, i);
                udp_send(world->strangers[i % N_STRANGERS], world->port, datagram, size);
                if ((i + 1) % BURST == 0)
                        wait_statistic_reaches(world->bus, "DatagramsReceived",
                                               before + (uint64_t)i + 1);
        }
}

static void write_hello(uint8_t *buffer, size_t *size, int number) {
        uint8_t random[32];

        for (size_t i = 0; i < sizeof random; i++)
                random[i] = (uint8_t)g_test_rand_int();
        *size = hello_write(buffer, random, NULL, 0);
}

/* Of every type of record, and none. */
static void write_noise(uint8_t *buffer, size_t *size, int number) {
        *size = (size_t)g_test_rand_int_range(1, 300);
        for (size_t i = 0; i < *size; i++)
                buffer[i] = (uint8_t)g_test_rand_int();
        if (number % 2 == 0)
                buffer[0] = (uint8_t)g_test_rand_int_range(20, 25);
        if (number % 4 == 0 && *size >= 3)
                memcpy(buffer + 1, (const uint8_t[]){254, 253}, 2);
}

static size_t count_said(const char *log, const char *what) {
        size_t n = 0;

        for (const char *at = strstr(log, what); at; at = strstr(at + 1, what))
                n++;

        return n;
}

/* The listener's side has heard it and said so, and the keyring what it was used for. */
static bool goodbyes_are_there(void *userdata) {
        const World *world = userdata;
        g_autofree char *log = service_log(world->service);

        return count_said(log, "PeerClosed") == world->n_served &&
               count_said(log, ": removed after") == world->n_served;
}

static void assert_serves(World *world) {
        g_autofree char *client = open_client(world->bus, world->port, false);

        close_object(world->bus, client, CONNECTION);
        world->n_served++;
        bus_wait(world->bus, goodbyes_are_there, world, "the goodbye");
}

static void assert_nothing_of(World *world,
                              void (*write_one)(uint8_t *buffer, size_t *size, int number)) {
        size_t lines;
        long memory, growth;

        assert_serves(world); /* once, so that what is made once is there */
        lines = count_lines(world);
        memory = resident_kb(service_pid(world->service));
        flood(world, write_one);
        g_assert_cmpuint(count_lines(world), ==, lines);
        growth = resident_kb(service_pid(world->service)) - memory;
        g_test_message("%ld KiB more", growth);
        g_assert_cmpint(growth, <, GROWTH_MAX_KB);
        g_assert_cmpuint(get_statistic(world->bus, "HalfOpenInUse"), ==, 0);
        assert_serves(world);
}

static void test_hellos_without_cookies(World *world, const void *unused) {
        uint64_t asked = get_statistic(world->bus, "CookiesAsked");

        assert_nothing_of(world, write_hello);
        /* and the two clients' */
        g_assert_cmpuint(get_statistic(world->bus, "CookiesAsked"), >=, asked + N_DATAGRAMS + 2);
}

static void test_noise(World *world, const void *unused) {
        assert_nothing_of(world, write_noise);
        g_assert_cmpuint(get_statistic(world->bus, "DroppedStranger"), >, N_DATAGRAMS / 2);
}

/* Who has proven its address causes a line, but only so many. */
static void test_refusals_are_rationed(World *world, const void *unused) {
        size_t lines = count_lines(world);
        uint64_t n = 0;

        for (int i = 0; i < N_STRANGERS; i++) {
                uint8_t random[32] = {(uint8_t)i}, cookie[32], hello[HELLO_MAX];
                size_t size = hello_ask(world->strangers[i], world->port, random, cookie);

                udp_send(world->strangers[i], world->port, hello,
                         hello_write(hello, random, cookie, size));
                wait_statistic(world->bus, "HandshakesStarted", 1);
                n += i > 0;
                wait_statistic(world->bus, "DroppedQuota", n);
        }
        lines = count_lines(world) - lines;
        g_test_message("%d refused, %zu lines", N_STRANGERS, lines);
        g_assert_cmpuint(lines, >, 0);
        g_assert_cmpuint(lines, <, LINES_MAX);
}

/* A program that calls as fast as the bus takes it, says when there are many; it wants no
 * answers. */
static void keep_calling(const World *world, int ready) {
        sd_bus *bus = service_bus(world->service, UID_BOB);
        unsigned n = 0;
        int r;

        do {
                sd_bus_message *m;

                g_assert_cmpint(
                        sd_bus_message_new_method_call(bus, &m, NAME, ROOT, PROPERTIES, "GetAll"),
                        >=, 0);
                g_assert_cmpint(sd_bus_message_append(m, "s", MANAGER), >=, 0);
                g_assert_cmpint(sd_bus_message_set_expect_reply(m, false), >=, 0);
                r = sd_bus_send(bus, m, NULL);
                if (r >= 0)
                        r = sd_bus_flush(bus);
                (void)sd_bus_message_unref(m);
                if (++n == N_CALLS)
                        g_assert_cmpint(write(ready, "x", 1), ==, 1);
        } while (r >= 0);
}

static void test_calls_leave_time_for_data(World *world, const void *unused) {
        int queue, fd, channel, ready[2];
        uint16_t port;
        char byte;
        pid_t pid;

        g_free(listen_queue(world->bus, &port, &queue));
        g_free(connect_client(world->bus, port, &fd));
        channel = accept_channel(queue);

        g_assert_cmpint(pipe(ready), ==, 0);
        pid = fork();
        g_assert_cmpint(pid, >=, 0);
        if (pid == 0) {
                keep_calling(world, ready[1]);
                _exit(1);
        }

        (void)wait_fd(ready[0]);

        /* each within the limit of wait_fd() */
        for (int i = 0; i < 1000; i++) {
                g_assert_cmpint(send(fd, "x", 1, 0), ==, 1);
                (void)wait_fd(channel);
                g_assert_cmpint(recv(channel, &byte, 1, 0), ==, 1);
        }

        g_assert_cmpint(waitpid(pid, NULL, WNOHANG), ==, 0); /* it calls still */
        g_assert_cmpint(kill(pid, SIGKILL), ==, 0);
        g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
        (void)close(ready[0]);
        (void)close(ready[1]);
        (void)close(fd);
        (void)close(channel);
        (void)close(queue);
}

#define ADD(path, config, function)                                                                \
        g_test_add("/flood/" path, World, config, set_up, function, tear_down)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD("hellos-without-cookies-leave-nothing", NULL, test_hellos_without_cookies);
        ADD("noise-leaves-nothing", NULL, test_noise);
        ADD("refusals-are-rationed-in-the-log", "[Limits]\nHalfOpenPerUser=1\n",
            test_refusals_are_rationed);
        ADD("calls-leave-time-for-data", NULL, test_calls_leave_time_for_data);
        return g_test_run();
}
