/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What ends a share, and whatever hands its channel is in by then: given on to processes of other
 * users, amid data, and when policy has changed its mind. A channel is good for whoever holds it,
 * and for as long as who opened it may have it.
 */

#include "party.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- a process of another user's, that was handed a channel and says back what comes ---- */

typedef struct Stranger {
        pid_t pid;
        int control; /* hangs up when the process is gone */
} Stranger;

static int receive_fd(int control) {
        union {
                struct cmsghdr header;
                uint8_t bytes[CMSG_SPACE(sizeof(int))];
        } room;
        char byte;
        struct iovec iov = {&byte, 1};
        struct msghdr message = {.msg_iov = &iov,
                                 .msg_iovlen = 1,
                                 .msg_control = room.bytes,
                                 .msg_controllen = sizeof(room.bytes)};
        int fd;

        if (recvmsg(control, &message, 0) != 1 || message.msg_controllen == 0)
                _exit(2);

        memcpy(&fd, CMSG_DATA(&room.header), sizeof(fd));
        return fd;
}

static void send_fd(int control, int fd) {
        union {
                struct cmsghdr header;
                uint8_t bytes[CMSG_SPACE(sizeof(int))];
        } room = {.header = {CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
        struct iovec iov = {(char[]){"x"}, 1};
        const struct msghdr message = {.msg_iov = &iov,
                                       .msg_iovlen = 1,
                                       .msg_control = room.bytes,
                                       .msg_controllen = sizeof(room.bytes)};

        memcpy(CMSG_DATA(&room.header), &fd, sizeof(fd));
        g_assert_cmpint(sendmsg(control, &message, 0), ==, 1);
}

/* In a child, which has nothing of the test's but the socket. */
static void stranger_live(int control, uid_t uid) {
        char buffer[64];
        ssize_t size;
        int fd;

        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (dup2(control, STDERR_FILENO + 1) < 0 || close_range(STDERR_FILENO + 2, ~0U, 0) < 0 ||
            setgroups(0, NULL) < 0 || setgid((gid_t)uid) < 0 || setuid(uid) < 0)
                _exit(1);

        fd = receive_fd(STDERR_FILENO + 1);
        while ((size = recv(fd, buffer, sizeof(buffer), 0)) > 0)
                (void)send(fd, buffer, (size_t)size, MSG_NOSIGNAL);
        _exit(size == 0 ? 0 : 3);
}

/* Takes @fd, which nobody else has from then on. */
static Stranger stranger_new(uid_t uid, int fd) {
        int flags = fcntl(fd, F_GETFL);
        Stranger stranger;
        int pair[2];

        g_assert_cmpint(fcntl(fd, F_SETFL, flags & ~O_NONBLOCK), ==, 0);
        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), ==, 0);
        stranger.pid = fork();
        g_assert_cmpint(stranger.pid, >=, 0);
        if (stranger.pid == 0)
                stranger_live(pair[1], uid);

        stranger.control = pair[0];
        (void)close(pair[1]);
        send_fd(stranger.control, fd);
        (void)close(fd);
        return stranger;
}

/* It ends by itself, since its channel has. */
static void stranger_ends(Stranger *stranger) {
        int status;

        (void)wait_fd(stranger->control);
        g_assert_cmpint(waitpid(stranger->pid, &status, 0), ==, stranger->pid);
        g_assert_cmpint(status, ==, 0);
        (void)close(stranger->control);
}

static void stranger_kill(Stranger *stranger) {
        g_assert_cmpint(kill(stranger->pid, SIGKILL), ==, 0);
        g_assert_cmpint(waitpid(stranger->pid, NULL, 0), ==, stranger->pid);
        (void)close(stranger->control);
}

/* What the peer says comes back from who has the channel now. */
static void assert_echo(const Party *party, const char *text) {
        g_assert_cmpint(send(party->far, text, strlen(text), 0), ==, (ssize_t)strlen(text));
        assert_comes(party->far, text);
}

static void test_a_channel_is_good_in_any_hands_while_its_opener_may(void) {
        g_autofree char *who = NULL;
        Party party = {0};
        Stranger carols;

        if (!party_new(&party))
                return;

        party_share(&party, BOB, "read", "write");
        carols = stranger_new(UID_CAROL, open_channel(party.bob, party.path));
        assert_echo(&party, "to whom it may concern");

        /* she has the channel and nothing else; the owner sees whose it is */
        who = party_attached(&party);
        g_assert_nonnull(strstr(who, "|5|"));
        g_assert_null(strstr(who, "|3|"));
        party_assert_refused(&party, party.carol, UNKNOWN, "Shutdown");
        g_free(call_refused(UNKNOWN, party.carol, party.path, CONNECTION, "OpenChannel", "a{sv}",
                            0));

        party_unshare(&party, BOB);
        stranger_ends(&carols);
        party_done(&party);
}

static void test_it_ends_with_the_name_that_opened_it(void) {
        Party party = {0};
        Stranger carols;

        if (!party_new(&party))
                return;

        party_share(&party, BOB, "read", "write");
        carols = stranger_new(UID_CAROL, open_channel(party.bob, party.path));
        assert_echo(&party, "one");
        (void)bus_leave(g_steal_pointer(&party.bob));
        stranger_ends(&carols);
        party_wait_detached(&party, "|5|");
        party_done(&party);
}

static void test_the_owners_ends_with_the_owner(void) {
        Party party = {0};
        Stranger carols;

        if (!party_new(&party))
                return;

        carols = stranger_new(UID_CAROL, open_channel(party.alice, party.path));
        assert_echo(&party, "one");
        party_assert_refused(&party, party.carol, UNKNOWN, "Shutdown");
        (void)bus_leave(g_steal_pointer(&party.alice));
        stranger_ends(&carols);
        assert_hangs_up(party.far);
        party_done(&party);
}

/* Who holds the last copy of the owner's channel holds the connection. */
static void test_the_owners_in_a_dead_hand_is_closed(void) {
        Party party = {0};
        Stranger bobs, carols;

        if (!party_new(&party))
                return;

        party_share(&party, BOB, "read", "write");
        bobs = stranger_new(UID_BOB, open_channel(party.bob, party.path));
        stranger_kill(&bobs);
        party_wait_detached(&party, "|5|");
        carols = stranger_new(UID_CAROL, open_channel(party.alice, party.path));
        assert_echo(&party, "still there");
        stranger_kill(&carols);
        assert_hangs_up(party.far);
        party_assert_refused(&party, party.alice, UNKNOWN, "Shutdown");
        party_done(&party);
}

/* ---- policy ---- */

static void test_policy_can_deny_what_comes_and_spares_what_is(void) {
        g_autofree char *text = NULL;
        Party party = {0};
        int bob;

        if (!party_new(&party))
                return;

        party_share(&party, BOB, "read", "write");
        bob = open_channel(party.bob, party.path);
        service_rule(party.service, "[Alone]\nSubjects=user:daemon\nVerdict=deny\nMay=share\n");

        text = call_refused("NotAuthorized", party.alice, party.path, CONNECTION, "Share", "sas",
                            GROUP_ONE, 1, "read");
        g_assert_nonnull(strstr(text, "User 1 may not share here"));
        g_assert_nonnull(strstr(text, "rule 'Alone'"));
        party_assert_refused(&party, party.carol, UNKNOWN, "Shutdown");
        g_free(call_refused("NotAuthorized", party.alice, ROOT, MANAGER, "CreateConnection",
                            "sa{sv}", "client", 1, "Share", "as", 1, BOB "=read"));

        g_assert_cmpint(send(party.far, "on", 2, 0), ==, 2);
        assert_comes(bob, "on");
        party_unshare(&party, BOB); /* to take back is nobody's to deny */
        assert_hangs_up(bob);
        (void)close(bob);
        party_done(&party);
}

/* ---- races ---- */

#define ROUNDS 60
#define PUMP_LIMIT_MSEC ((int)(SERVICE_LIMIT_USEC / 1000))

/* The peer speaks without a pause, and the owner reads each word before the next. (A change of user
 * in another thread, as service_bus() makes them, interrupts it.) */
typedef struct Pump {
        int far, near;
        _Atomic unsigned n_begun; /* as many may have been sent */
        atomic_bool stops;
        bool lost; /* the owner missed one */
} Pump;

static void *pump_run(void *userdata) {
        Pump *pump = userdata;
        char text[16], buffer[16];

        while (!atomic_load(&pump->stops) && !pump->lost) {
                struct pollfd polled = {pump->near, POLLIN, 0};
                unsigned number = atomic_fetch_add(&pump->n_begun, 1);
                int size = g_snprintf(text, sizeof(text), "%u", number);

                pump->lost = send(pump->far, text, (size_t)size, 0) != size ||
                             TEMP_FAILURE_RETRY(poll(&polled, 1, PUMP_LIMIT_MSEC)) != 1 ||
                             recv(pump->near, buffer, sizeof(buffer), 0) != size ||
                             memcmp(text, buffer, (size_t)size) != 0;
        }

        return NULL;
}

/* In order, each once, to the end (who is kept from reading loses what has no room meanwhile); the
 * number behind the last one, 0: there was none. */
static unsigned read_to_the_end(int fd) {
        unsigned next = 0;
        char buffer[16];
        ssize_t size;

        for (;;) {
                (void)wait_fd(fd);
                size = recv(fd, buffer, sizeof(buffer) - 1, 0);
                g_assert_cmpint(size, >=, 0);
                if (size == 0)
                        return next;

                buffer[size] = '\0';
                g_assert_cmpuint(g_ascii_strtoull(buffer, NULL, 10), >=, next);
                next = (unsigned)g_ascii_strtoull(buffer, NULL, 10) + 1;
        }
}

/* Somebody's channel, which is over in one way or the other while the data flows. */
static void race_once(const Party *party, const Pump *pump, int round) {
        sd_bus *other = service_bus(party->service, UID_BOB);
        unsigned n_before;
        int fd;

        party_share(party, BOB, "read", "write");
        fd = open_channel(other, party->path);
        for (int i = 0; i < round % 4; i++)
                g_assert_cmpint(send(fd, "noise", 5, MSG_NOSIGNAL), ==, 5);
        if (round % 2) /* at the beginning, and in the middle */
                (void)wait_fd(fd);

        switch (round % 3) {
        case 0:
                party_unshare(party, BOB);
                n_before = atomic_load(&pump->n_begun);
                g_assert_cmpuint(read_to_the_end(fd), <=, n_before);
                g_assert_cmpint(send(fd, "late", 4, MSG_NOSIGNAL), ==, -1);
                g_assert_cmpint(errno, ==, EPIPE);
                break;
        case 1:
                (void)bus_leave(g_steal_pointer(&other));
                (void)read_to_the_end(fd);
                break;
        default: /* both at once, and the program's own end */
                (void)bus_leave(g_steal_pointer(&other));
                party_unshare(party, BOB);
        }
        (void)close(fd);
        if (other)
                (void)bus_leave(other);
}

static void assert_no_late_word(int far) {
        char buffer[16];
        ssize_t size;

        while ((size = recv(far, buffer, sizeof(buffer), MSG_DONTWAIT)) > 0)
                g_assert_cmpmem(buffer, (size_t)size, "noise", 5);
        g_assert_cmpint(size, ==, -1);
        g_assert_cmpint(errno, ==, EAGAIN);
}

static void test_however_it_ends_amid_data_nobody_else_feels_it(void) {
        Party party = {0};
        Pump pump = {0};
        pthread_t thread;

        if (!party_new(&party))
                return;

        pump.far = party.far;
        pump.near = open_channel(party.alice, party.path);
        g_assert_cmpint(pthread_create(&thread, NULL, pump_run, &pump), ==, 0);
        for (int round = 0; round < ROUNDS; round++)
                race_once(&party, &pump, round);
        atomic_store(&pump.stops, true);
        g_assert_cmpint(pthread_join(thread, NULL), ==, 0);

        g_assert_false(pump.lost);
        g_assert_cmpuint(atomic_load(&pump.n_begun), >, ROUNDS);
        assert_no_late_word(party.far);
        party_wait_detached(&party, "|5|");
        (void)close(pump.near);
        party_done(&party);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/sharing-ends/a-channel-is-good-in-any-hands-while-its-opener-may",
                        test_a_channel_is_good_in_any_hands_while_its_opener_may);
        g_test_add_func("/sharing-ends/it-ends-with-the-name-that-opened-it",
                        test_it_ends_with_the_name_that_opened_it);
        g_test_add_func("/sharing-ends/the-owners-ends-with-the-owner",
                        test_the_owners_ends_with_the_owner);
        g_test_add_func("/sharing-ends/the-owners-in-a-dead-hand-is-closed",
                        test_the_owners_in_a_dead_hand_is_closed);
        g_test_add_func("/sharing-ends/policy-can-deny-what-comes-and-spares-what-is",
                        test_policy_can_deny_what_comes_and_spares_what_is);
        g_test_add_func("/sharing-ends/however-it-ends-amid-data-nobody-else-feels-it",
                        test_however_it_ends_amid_data_nobody_else_feels_it);
        return g_test_run();
}
