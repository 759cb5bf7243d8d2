/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who says hello to listeners and no more: many peers, with addresses in 127/8, of one socket for
 * each listener.
 *
 * bench-strangers once|cookies|hellos|noise PEERS A_SECOND PORT…: PEERS of each listener ask for a
 * cookie and return it, "ready" is printed, and until SIGTERM all say hello again with it, A_SECOND
 * of them a second (0: as fast as it goes); "once" do not. "hellos" have no cookie, "noise" is no
 * hello. How many were sent then is printed at the end.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BURST 32 /* in one call, and of cookies at a time: a listener's buffer holds them */
#define WAIT_MS 200
#define TRIES 5
#define FIRST_PEER 0x7f010000
#define COOKIE_MAX 32
#define COOKIE_SIZE_OFFSET 27 /* of a HelloVerifyRequest: behind its headers and version */
#define HELLO_HEADERS (13 + 12)
#define HELLO_COOKIE_OFFSET (HELLO_HEADERS + 2 + 32 + 1) /* version, random, no session */
#define HELLO_MAX 256

typedef struct Cookie {
        uint8_t size, bytes[COOKIE_MAX];
} Cookie;

typedef struct Crowd {
        int fd;
        struct sockaddr_in listener;
        Cookie *cookies;
        uint32_t next;
} Crowd;

typedef struct Letter {
        uint8_t bytes[HELLO_MAX];
        struct iovec place;
        union {
                struct cmsghdr header;
                uint8_t bytes[CMSG_SPACE(sizeof(struct in_pktinfo))];
        } source;
} Letter;

static uint32_t n_peers;
static uint64_t n_sent;
static bool is_noise;
static volatile sig_atomic_t is_over;

static void check(bool done, const char *what) {
        if (done)
                return;

        fprintf(stderr, "bench-strangers: %s: %s\n", what, strerror(errno));
        exit(1);
}

/* ---- hellos ---- */

/* One suite, ECDHE-ECDSA-AES128-GCM-SHA256; P-256, its points as they are, ECDSA with SHA-256. */
static const uint8_t suites_and_extensions[] = {
        0, 2,  0xc0, 0x2b, 1, 0,              /* no compression */
        0, 22, 0,    10,   0, 4, 0, 2, 0, 23, /* groups */
        0, 11, 0,    2,    1, 0,              /* points */
        0, 13, 0,    4,    0, 2, 4, 3,        /* signatures */
};

static void put(uint8_t *at, size_t value, size_t size) {
        for (; size > 0; value >>= 8)
                at[--size] = (uint8_t)value;
}

/* Each with another random: with a good cookie each begins anew. */
static size_t hello_write(uint8_t *hello, const Cookie *cookie) {
        static uint8_t random[32];
        static uint64_t number;
        const size_t behind = HELLO_COOKIE_OFFSET + 1u + cookie->size;
        const size_t size = behind + sizeof suites_and_extensions;

        if (number++ == 0)
                check(getrandom(random, sizeof random, 0) == sizeof random, "getrandom");
        memcpy(random, &number, sizeof number);

        memset(hello, 0, HELLO_COOKIE_OFFSET);
        put(hello, 0x16feff, 3);
        hello[10] = cookie->size > 0; /* the record's number, and the message's below */
        put(hello + 11, size - 13, 2);
        hello[13] = 1;
        put(hello + 14, size - HELLO_HEADERS, 3);
        hello[18] = cookie->size > 0;
        put(hello + 22, size - HELLO_HEADERS, 3);
        put(hello + HELLO_HEADERS, 0xfefd, 2);
        memcpy(hello + HELLO_HEADERS + 2, random, sizeof random);
        hello[HELLO_COOKIE_OFFSET] = cookie->size;
        memcpy(hello + HELLO_COOKIE_OFFSET + 1, cookie->bytes, cookie->size);
        memcpy(hello + behind, suites_and_extensions, sizeof suites_and_extensions);
        return size;
}

/* ---- sockets ---- */

static Crowd crowd_new(const char *port) {
        Crowd crowd = {
                .fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0),
                .listener = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)strtoul(port, NULL, 10)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)},
                .cookies = calloc(n_peers, sizeof *crowd.cookies),
        };
        const struct sockaddr_in any = {.sin_family = AF_INET};

        check(crowd.fd >= 0 && crowd.cookies, "socket");
        check(bind(crowd.fd, (const struct sockaddr *)&any, sizeof any) == 0, "bind");
        check(setsockopt(crowd.fd, IPPROTO_IP, IP_PKTINFO, &(int){1}, sizeof(int)) == 0,
              "IP_PKTINFO");
        return crowd;
}

static void letter_write(Letter *letter, struct msghdr *message, Crowd *crowd, uint32_t who) {
        const struct in_pktinfo source = {.ipi_spec_dst.s_addr = htonl(FIRST_PEER + who)};

        letter->place.iov_base = letter->bytes;
        letter->place.iov_len = hello_write(letter->bytes, &crowd->cookies[who]);
        if (is_noise)
                letter->bytes[0] ^= 0xff;
        letter->source.header = (struct cmsghdr){
                .cmsg_len = CMSG_LEN(sizeof source),
                .cmsg_level = IPPROTO_IP,
                .cmsg_type = IP_PKTINFO,
        };
        memcpy(CMSG_DATA(&letter->source.header), &source, sizeof source);
        *message = (struct msghdr){
                .msg_name = &crowd->listener,
                .msg_namelen = sizeof crowd->listener,
                .msg_iov = &letter->place,
                .msg_iovlen = 1,
                .msg_control = &letter->source,
                .msg_controllen = sizeof letter->source,
        };
}

/* The next @n of them; an error of the network is of an earlier one. */
static void crowd_say_hello(Crowd *crowd, uint32_t n) {
        static Letter letters[BURST];
        struct mmsghdr messages[BURST];

        for (uint32_t i = 0; i < n; i++, crowd->next = (crowd->next + 1) % n_peers)
                letter_write(&letters[i], &messages[i].msg_hdr, crowd, crowd->next);
        (void)sendmmsg(crowd->fd, messages, n, 0);
        n_sent += n;
}

/* ---- cookies ---- */

static uint32_t whose(struct msghdr *message) {
        struct cmsghdr *header = CMSG_FIRSTHDR(message);
        struct in_pktinfo info;

        if (!header || header->cmsg_type != IP_PKTINFO)
                return UINT32_MAX;

        memcpy(&info, CMSG_DATA(header), sizeof info);
        return ntohl(info.ipi_addr.s_addr) - FIRST_PEER;
}

static bool crowd_hear(Crowd *crowd) {
        struct pollfd pollfd = {.fd = crowd->fd, .events = POLLIN};
        uint8_t answer[2048], control[128];
        struct iovec place = {answer, sizeof answer};
        struct msghdr message = {
                .msg_iov = &place,
                .msg_iovlen = 1,
                .msg_control = control,
                .msg_controllen = sizeof control,
        };
        ssize_t size;
        uint32_t who;

        if (poll(&pollfd, 1, WAIT_MS) <= 0)
                return false;

        size = recvmsg(crowd->fd, &message, MSG_DONTWAIT);
        who = size > COOKIE_SIZE_OFFSET && answer[0] == 22 && answer[13] == 3 ? whose(&message)
                                                                              : UINT32_MAX;
        if (who < n_peers && answer[COOKIE_SIZE_OFFSET] <= COOKIE_MAX &&
            size > COOKIE_SIZE_OFFSET + answer[COOKIE_SIZE_OFFSET])
                memcpy(&crowd->cookies[who], answer + COOKIE_SIZE_OFFSET,
                       1u + answer[COOKIE_SIZE_OFFSET]);
        return true;
}

static bool crowd_has_cookies(const Crowd *crowd, uint32_t first, uint32_t n) {
        for (uint32_t who = first; who < first + n; who++)
                if (crowd->cookies[who].size == 0)
                        return false;

        return true;
}

/* Those without one ask for it, and all return theirs. */
static void crowd_return_cookies(Crowd *crowd) {
        for (uint32_t first = 0, n; first < n_peers; first += n) {
                n = n_peers - first < BURST ? n_peers - first : BURST;
                for (int i = 0; i < TRIES && !crowd_has_cookies(crowd, first, n); i++) {
                        crowd->next = first;
                        crowd_say_hello(crowd, n);
                        while (!crowd_has_cookies(crowd, first, n) && crowd_hear(crowd))
                                ;
                }
                crowd->next = first;
                crowd_say_hello(crowd, n);
        }
        crowd->next = 0;
}

/* ---- the flood ---- */

static double now(void) {
        struct timespec at;

        (void)clock_gettime(CLOCK_MONOTONIC, &at);
        return (double)at.tv_sec + (double)at.tv_nsec * 1e-9;
}

static void flood(Crowd *crowds, int n_crowds, double a_second) {
        const double begun = now();
        const uint32_t n = n_peers < BURST ? n_peers : BURST;

        for (int i = 0; !is_over; i = (i + 1) % n_crowds) {
                while (!is_over && a_second > 0 && (double)n_sent > (now() - begun) * a_second)
                        (void)usleep(100);
                crowd_say_hello(&crowds[i], n);
        }
}

static void on_term(int number) {
        is_over = 1;
}

int main(int argc, char **argv) {
        const int n_crowds = argc - 4;
        const char *what = n_crowds > 0 ? argv[1] : "";
        const bool is_once = strcmp(what, "once") == 0;
        Crowd *crowds = calloc((size_t)argc, sizeof *crowds);

        n_peers = n_crowds > 0 ? (uint32_t)strtoul(argv[2], NULL, 10) : 0;
        is_noise = strcmp(what, "noise") == 0;
        if (n_peers == 0 || !crowds) {
                fprintf(stderr,
                        "usage: bench-strangers once|cookies|hellos|noise PEERS A_SECOND PORT…\n");
                return 2;
        }

        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)sigaction(SIGTERM, &(struct sigaction){.sa_handler = on_term}, NULL);
        for (int i = 0; i < n_crowds; i++) {
                crowds[i] = crowd_new(argv[4 + i]);
                if (is_once || strcmp(what, "cookies") == 0)
                        crowd_return_cookies(&crowds[i]);
        }
        printf("ready\n");
        (void)fflush(stdout);

        n_sent = 0;
        if (!is_once)
                flood(crowds, n_crowds, strtod(argv[3], NULL));
        while (!is_over)
                (void)usleep(10000);
        printf("%llu\n", (unsigned long long)n_sent);
        return 0;
}
