/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Very many: peers of one listener on one shared channel, on few sockets, each with an address of
 * its own in 127/8; and connections that are announced, of which lists answer.
 */

#include "dtlsd-client.h"
#include "stage.h"

#include <arpa/inet.h>
#include <errno.h>
#include <gnutls/dtls.h>
#include <gnutls/gnutls.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifdef __SANITIZE_ADDRESS__
#define N_GUESTS 200
#define N_ANNOUNCED 1000
#else
#define N_GUESTS 1000
#define N_ANNOUNCED 5000
#endif
#define N_SOCKETS 4
#define N_AT_ONCE 50              /* that are waited for; a bus bears 128 calls */
#define FIRST_ADDRESS 0x7f010001u /* 127.1.0.1 */
#define PRIORITIES "NORMAL:-VERS-ALL:+VERS-DTLS1.2:-KX-ALL:+PSK:-CIPHER-ALL:+AES-128-GCM"
#define LIMITS                                                                                     \
        "[Limits]\nConnectionsPerUser=20000\nConnectionsTotal=40000\nHalfOpenPerUser=4000\n"       \
        "HalfOpenTotal=8000\nBytesPerUser=4000000000\nBytesTotal=8000000000\n"

typedef struct Crowd Crowd;

typedef struct Guest {
        Crowd *crowd;
        uint32_t number;
        gnutls_session_t session;
        const void *datagram; /* that has come, until it is read */
        size_t size;
        bool open, answered;
} Guest;

struct Crowd {
        Service *service;
        sd_bus *bus;
        dtlsd_channel *channel;
        gnutls_psk_client_credentials_t credentials;
        int fds[N_SOCKETS];
        struct sockaddr_in server;
        Guest guests[N_GUESTS];
        GHashTable *opened; /* a set of connections' numbers */
        unsigned n_open, n_answered;
        gint64 limit_usec;
};

typedef union Control {
        struct cmsghdr header; /* for its alignment */
        char bytes[CMSG_SPACE(sizeof(struct in_pktinfo))];
} Control;

/* ---- guests ---- */

static ssize_t push(gnutls_transport_ptr_t pointer, const void *data, size_t size) {
        const Guest *guest = pointer;
        const struct in_pktinfo from = {.ipi_spec_dst.s_addr =
                                                htonl(FIRST_ADDRESS + guest->number)};
        Control control = {.header = {CMSG_LEN(sizeof from), IPPROTO_IP, IP_PKTINFO}};
        struct iovec iovec = {(void *)data, size};
        const struct msghdr message = {
                .msg_name = &guest->crowd->server,
                .msg_namelen = sizeof guest->crowd->server,
                .msg_iov = &iovec,
                .msg_iovlen = 1,
                .msg_control = control.bytes,
                .msg_controllen = sizeof control.bytes,
        };

        memcpy(CMSG_DATA(&control.header), &from, sizeof from);
        g_assert_cmpint(sendmsg(guest->crowd->fds[guest->number % N_SOCKETS], &message, 0), ==,
                        (ssize_t)size);
        return (ssize_t)size;
}

static ssize_t pull(gnutls_transport_ptr_t pointer, void *data, size_t size) {
        Guest *guest = pointer;
        size_t n = guest->size;

        if (n == 0) {
                gnutls_transport_set_errno(guest->session, EAGAIN);
                return -1;
        }

        g_assert_cmpuint(n, <=, size);
        memcpy(data, guest->datagram, n);
        guest->size = 0;
        return (ssize_t)n;
}

static int pull_wait(gnutls_transport_ptr_t pointer, unsigned milliseconds) {
        const Guest *guest = pointer;

        return guest->size > 0;
}

/* Once more: after a datagram, or when it is time. */
static void shake_hands(Guest *guest) {
        int r = gnutls_handshake(guest->session);

        if (r < 0 && gnutls_error_is_fatal(r))
                g_error("guest %u: %s", guest->number, gnutls_strerror(r));
        guest->open = r == GNUTLS_E_SUCCESS;
        guest->crowd->n_open += guest->open;
}

static void come(Crowd *crowd, uint32_t number) {
        Guest *guest = &crowd->guests[number];

        *guest = (Guest){.crowd = crowd, .number = number};
        g_assert_cmpint(
                gnutls_init(&guest->session, GNUTLS_CLIENT | GNUTLS_DATAGRAM | GNUTLS_NONBLOCK), ==,
                0);
        g_assert_cmpint(gnutls_priority_set_direct(guest->session, PRIORITIES, NULL), ==, 0);
        g_assert_cmpint(gnutls_credentials_set(guest->session, GNUTLS_CRD_PSK, crowd->credentials),
                        ==, 0);
        gnutls_transport_set_ptr(guest->session, guest);
        gnutls_transport_set_push_function(guest->session, push);
        gnutls_transport_set_pull_function(guest->session, pull);
        gnutls_transport_set_pull_timeout_function(guest->session, pull_wait);
        shake_hands(guest);
}

static void say_who(const Guest *guest) {
        g_autofree char *text = g_strdup_printf("guest %u", guest->number);

        g_assert_cmpint(gnutls_record_send(guest->session, text, strlen(text)), ==,
                        (ssize_t)strlen(text));
}

static void hear(Guest *guest) {
        g_autofree char *expected = g_strdup_printf("welcome, guest %u", guest->number);
        char text[64];
        ssize_t n = gnutls_record_recv(guest->session, text, sizeof text);

        if (n == GNUTLS_E_AGAIN)
                return; /* the last flight once more, as either end was slow */

        g_assert_cmpint(n, >, 0);
        g_assert_cmpmem(text, (size_t)n, expected, strlen(expected));
        g_assert_false(guest->answered);
        guest->answered = true;
        guest->crowd->n_answered++;
}

/* ---- what happens ---- */

static bool take_datagram(Crowd *crowd, int fd) {
        uint8_t datagram[4096];
        Control control;
        struct iovec iovec = {datagram, sizeof datagram};
        struct msghdr message = {
                .msg_iov = &iovec,
                .msg_iovlen = 1,
                .msg_control = control.bytes,
                .msg_controllen = sizeof control.bytes,
        };
        ssize_t n = recvmsg(fd, &message, MSG_DONTWAIT);
        struct in_pktinfo to;
        uint32_t number;
        Guest *guest;

        if (n < 0)
                return false;

        g_assert_cmpuint(message.msg_controllen, >=, CMSG_LEN(sizeof to));
        memcpy(&to, CMSG_DATA(&control.header), sizeof to);
        number = ntohl(to.ipi_addr.s_addr) - FIRST_ADDRESS;
        g_assert_cmpuint(number, <, N_GUESTS);
        guest = &crowd->guests[number];
        guest->datagram = datagram;
        guest->size = (size_t)n;
        if (guest->open)
                hear(guest);
        else
                shake_hands(guest);
        guest->size = 0;
        return true;
}

static void answer(Crowd *crowd, const struct dtlsd_frame *frame) {
        g_autofree char *text =
                g_strdup_printf("welcome, %.*s", (int)frame->size, (const char *)frame->data);

        g_assert_true(g_hash_table_contains(crowd->opened, GUINT_TO_POINTER(frame->connection)));
        g_assert_cmpint(dtlsd_channel_send(crowd->channel, frame->connection, text, strlen(text)),
                        ==, 0);
}

static void take_frames(Crowd *crowd) {
        struct dtlsd_frame frame;
        int r;

        while ((r = dtlsd_channel_receive(crowd->channel, &frame)) == 0) {
                if (frame.kind == DTLSD_FRAME_OPENED)
                        g_assert_true(g_hash_table_add(crowd->opened,
                                                       GUINT_TO_POINTER(frame.connection)));
                else if (frame.kind == DTLSD_FRAME_DATA)
                        answer(crowd, &frame);
                else
                        g_error("a frame of kind %d", frame.kind);
        }
        g_assert_cmpint(r, ==, -EAGAIN);
        g_assert_cmpint(dtlsd_channel_flush(crowd->channel), ==, 0);
}

static void send_again_what_is_due(Crowd *crowd, uint32_t n_come) {
        for (uint32_t i = 0; i < n_come; i++)
                if (!crowd->guests[i].open &&
                    gnutls_dtls_get_timeout(crowd->guests[i].session) == 0)
                        shake_hands(&crowd->guests[i]);
}

/* Whatever happens next, @n_come guests having come. */
static void crowd_turn(Crowd *crowd, uint32_t n_come) {
        struct pollfd fds[N_SOCKETS + 1];

        for (size_t i = 0; i < N_SOCKETS; i++)
                fds[i] = (struct pollfd){.fd = crowd->fds[i], .events = POLLIN};
        fds[N_SOCKETS] = (struct pollfd){.fd = dtlsd_channel_fd(crowd->channel), .events = POLLIN};
        g_assert_cmpint(poll(fds, G_N_ELEMENTS(fds), 100), >=, 0);
        g_assert_cmpint(g_get_monotonic_time(), <, crowd->limit_usec);

        for (size_t i = 0; i < N_SOCKETS; i++)
                while (take_datagram(crowd, crowd->fds[i]))
                        continue;
        take_frames(crowd);
        send_again_what_is_due(crowd, n_come);
}

#define crowd_wait(crowd, n_come, condition)                                                       \
        while (!(condition))                                                                       \
        crowd_turn(crowd, n_come)

/* ---- the house ---- */

static void crowd_open_sockets(Crowd *crowd) {
        const struct sockaddr_in any = {.sin_family = AF_INET};
        const int one = 1;

        for (size_t i = 0; i < N_SOCKETS; i++) {
                crowd->fds[i] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
                g_assert_cmpint(crowd->fds[i], >=, 0);
                g_assert_cmpint(setsockopt(crowd->fds[i], IPPROTO_IP, IP_PKTINFO, &one, sizeof one),
                                ==, 0);
                g_assert_cmpint(bind(crowd->fds[i], (const struct sockaddr *)&any, sizeof any), ==,
                                0);
        }
}

static void crowd_begin(Crowd *crowd) {
        const gnutls_datum_t key = {(unsigned char *)PSK_KEY, sizeof PSK_KEY - 1};
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *m;

        crowd->service = service_start(LIMITS);
        crowd->bus = service_bus(crowd->service, UID_ALICE);
        crowd->opened = g_hash_table_new(NULL, NULL);
        if (dtlsd_channel_open(crowd->bus, &crowd->channel, &error) < 0)
                g_error("OpenChannel: %s", error.message);

        m = options_begin(crowd->bus, ROOT, MANAGER, "Listen", "sq", "127.0.0.1", 0);
        options_add_psk(m, PSK_IDENTITY, PSK_KEY);
        g_assert_cmpint(
                sd_bus_message_append(m, "{sv}", "Channel", "u", dtlsd_channel_id(crowd->channel)),
                >=, 0);
        g_autofree char *listener = options_end_path(crowd->bus, m);
        crowd->server = loopback(get_port(crowd->bus, listener));

        g_assert_cmpint(gnutls_psk_allocate_client_credentials(&crowd->credentials), ==, 0);
        g_assert_cmpint(gnutls_psk_set_client_credentials(crowd->credentials, PSK_IDENTITY, &key,
                                                          GNUTLS_PSK_KEY_RAW),
                        ==, 0);
        crowd_open_sockets(crowd);
        crowd->limit_usec = g_get_monotonic_time() + 3 * (gint64)SERVICE_LIMIT_USEC;
}

static void crowd_end(Crowd *crowd) {
        sd_bus *watcher = service_bus(crowd->service, UID_BOB);

        for (uint32_t i = 0; i < N_GUESTS; i++)
                gnutls_deinit(crowd->guests[i].session);
        for (size_t i = 0; i < N_SOCKETS; i++)
                (void)close(crowd->fds[i]);
        gnutls_psk_free_client_credentials(crowd->credentials);
        g_hash_table_unref(crowd->opened);
        (void)dtlsd_channel_unref(crowd->channel);
        (void)bus_leave(crowd->bus);
        wait_nothing_used(watcher);
        (void)bus_leave(watcher);
        service_stop(crowd->service);
}

static void test_each_of_very_many_peers_is_answered(void) {
        g_autofree Crowd *crowd = g_new0(Crowd, 1);

        crowd_begin(crowd);
        for (uint32_t i = 0; i < N_GUESTS; i++) {
                crowd_wait(crowd, i, i - crowd->n_open < N_AT_ONCE);
                come(crowd, i);
        }
        crowd_wait(crowd, N_GUESTS, crowd->n_open == N_GUESTS);
        crowd_wait(crowd, N_GUESTS, g_hash_table_size(crowd->opened) == N_GUESTS);
        g_assert_cmpuint(get_statistic(crowd->bus, "ConnectionsInUse"), ==, N_GUESTS);

        for (unsigned round = 0; round < 2; round++) {
                crowd->n_answered = 0;
                for (uint32_t i = 0; i < N_GUESTS; i++)
                        crowd->guests[i].answered = false;
                for (uint32_t i = 0; i < N_GUESTS; i++) {
                        crowd_wait(crowd, N_GUESTS, i - crowd->n_answered < N_AT_ONCE);
                        say_who(&crowd->guests[round == 0 ? i : N_GUESTS - 1 - i]);
                }
                crowd_wait(crowd, N_GUESTS, crowd->n_answered == N_GUESTS);
        }
        g_assert_cmpuint(get_statistic(crowd->bus, "HandshakesFailed"), ==, 0);
        crowd_end(crowd);
}

/* ---- lists ---- */

static int on_created(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        if (sd_bus_message_is_method_error(m, NULL))
                g_error("CreateConnection: %s", sd_bus_message_get_error(m)->message);
        (*(unsigned *)userdata)++;
        return 1;
}

static void create_very_many(sd_bus *bus) {
        unsigned n_asked = 0, n_made = 0;

        while (n_made < N_ANNOUNCED) {
                int r;

                for (; n_asked < N_ANNOUNCED && n_asked - n_made < N_AT_ONCE; n_asked++)
                        g_assert_cmpint(sd_bus_call_method_async(bus, NULL, NAME, ROOT, MANAGER,
                                                                 "CreateConnection", on_created,
                                                                 &n_made, "sa{sv}", "client", 0),
                                        >=, 0);
                r = sd_bus_process(bus, NULL);
                g_assert_cmpint(r, >=, 0);
                if (r == 0)
                        g_assert_cmpint(sd_bus_wait(bus, SERVICE_LIMIT_USEC), >, 0);
        }
}

/* Of @reply, whose elements begin with a path: how many are connections', each but once. */
static unsigned count_connections(sd_bus_message *reply, char type, const char *element,
                                  const char **ret_last) {
        g_autoptr(GHashTable) paths = g_hash_table_new(g_str_hash, g_str_equal);
        g_autofree char *array =
                type == 'e' ? g_strdup_printf("{%s}", element) : g_strdup_printf("(%s)", element);
        int r;

        g_assert_cmpint(sd_bus_message_enter_container(reply, 'a', array), >, 0);
        while ((r = sd_bus_message_enter_container(reply, type, element)) > 0) {
                const char *path;

                g_assert_cmpint(sd_bus_message_read(reply, "o", &path), >, 0);
                if (g_str_has_prefix(path, ROOT "/connection/")) {
                        g_assert_true(g_hash_table_add(paths, (void *)path));
                        *ret_last = path;
                }
                g_assert_cmpint(sd_bus_message_skip(reply, element + 1), >=, 0);
                g_assert_cmpint(sd_bus_message_exit_container(reply), >=, 0);
        }
        g_assert_cmpint(r, ==, 0);
        return g_hash_table_size(paths);
}

static unsigned count_managed(sd_bus *bus) {
        sd_bus_message *reply = call(bus, ROOT, OBJECT_MANAGER, "GetManagedObjects", "");
        const char *last;
        unsigned n = count_connections(reply, 'e', "oa{sa{sv}}", &last);

        (void)sd_bus_message_unref(reply);
        return n;
}

/* Page by page. */
static unsigned count_listed(sd_bus *bus) {
        uint64_t after = 0;
        unsigned n, all = 0;

        do {
                sd_bus_message *reply =
                        call(bus, ROOT, MANAGER, "ListConnections", "tua{sv}", after, 1000, 0);
                const char *last = NULL;

                n = count_connections(reply, 'r', "oa{sv}", &last);
                if (n > 0)
                        after = g_ascii_strtoull(strrchr(last, '/') + 1, NULL, 10);
                all += n;
                (void)sd_bus_message_unref(reply);
        } while (n > 0);

        return all;
}

static void test_lists_of_very_many_answer(void) {
        Service *service = service_start(LIMITS);
        sd_bus *owner = service_bus(service, UID_ALICE), *other = service_bus(service, UID_BOB);

        create_very_many(owner);
        g_assert_cmpuint(count_managed(owner), ==, N_ANNOUNCED);
        g_assert_cmpuint(count_listed(owner), ==, N_ANNOUNCED);
        if (geteuid() == 0) {
                g_assert_cmpuint(count_managed(other), ==, 0);
                g_assert_cmpuint(count_listed(other), ==, 0);
        }

        (void)bus_leave(owner);
        wait_nothing_used(other);
        (void)bus_leave(other);
        service_stop(service);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/crowd/each-of-very-many-peers-is-answered",
                        test_each_of_very_many_peers_is_answered);
        g_test_add_func("/crowd/lists-of-very-many-answer", test_lists_of_very_many_answer);
        return g_test_run();
}
