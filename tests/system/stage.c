/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "stage.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- calls with options ---- */

sd_bus_message *options_begin(sd_bus *bus, const char *path, const char *interface,
                              const char *member, const char *types, ...) {
        sd_bus_message *m = NULL;
        va_list ap;
        int r;

        r = sd_bus_message_new_method_call(bus, &m, NAME, path, interface, member);
        g_assert_cmpint(r, >=, 0);
        va_start(ap, types);
        if (*types)
                g_assert_cmpint(sd_bus_message_appendv(m, types, ap), >=, 0);
        va_end(ap);
        g_assert_cmpint(sd_bus_message_open_container(m, 'a', "{sv}"), >=, 0);
        return m;
}

static void open_option(sd_bus_message *m, const char *key, const char *type) {
        g_assert_cmpint(sd_bus_message_open_container(m, 'e', "sv"), >=, 0);
        g_assert_cmpint(sd_bus_message_append(m, "s", key), >=, 0);
        g_assert_cmpint(sd_bus_message_open_container(m, 'v', type), >=, 0);
}

static void close_option(sd_bus_message *m) {
        g_assert_cmpint(sd_bus_message_close_container(m), >=, 0);
        g_assert_cmpint(sd_bus_message_close_container(m), >=, 0);
}

void options_add_bytes(sd_bus_message *m, const char *key, const void *data, size_t size) {
        open_option(m, key, "ay");
        g_assert_cmpint(sd_bus_message_append_array(m, 'y', data, size), >=, 0);
        close_option(m);
}

void options_add_ticket(sd_bus_message *m, GBytes *ticket) {
        if (ticket)
                options_add_bytes(m, "SessionTicket", g_bytes_get_data(ticket, NULL),
                                  g_bytes_get_size(ticket));
}

void options_add_secret(sd_bus_message *m, const char *key, const void *data, size_t size) {
        int fd = sealed_memfd(data, size);

        g_assert_cmpint(sd_bus_message_append(m, "{sv}", key, "h", fd), >=, 0);
        (void)close(fd);
}

void options_add_psk(sd_bus_message *m, const char *identity, const char *key) {
        options_add_bytes(m, "PreSharedKeyIdentity", identity, strlen(identity));
        options_add_secret(m, "PreSharedKey", key, strlen(key));
}

static void append_bytes(sd_bus_message *m, GBytes *bytes) {
        g_assert_cmpint(sd_bus_message_append_array(m, 'y', g_bytes_get_data(bytes, NULL),
                                                    g_bytes_get_size(bytes)),
                        >=, 0);
}

void options_add_certificate(sd_bus_message *m, const char *key, const TestIdentity *identity) {
        open_option(m, key, "aay");
        g_assert_cmpint(sd_bus_message_open_container(m, 'a', "ay"), >=, 0);
        append_bytes(m, test_identity_der(identity));
        g_assert_cmpint(sd_bus_message_close_container(m), >=, 0);
        close_option(m);
}

void options_add_identity(sd_bus_message *m, const TestIdentity *identity) {
        GBytes *key = test_identity_key_pem(identity);

        options_add_certificate(m, "CertificateChain", identity);
        options_add_secret(m, "PrivateKey", g_bytes_get_data(key, NULL), g_bytes_get_size(key));
}

static int options_call(sd_bus *bus, sd_bus_message *m, sd_bus_error *error, sd_bus_message **ret) {
        int r;

        g_assert_cmpint(sd_bus_message_close_container(m), >=, 0);
        r = sd_bus_call(bus, m, CALL_USEC, error, ret);
        (void)sd_bus_message_unref(m);
        return r;
}

sd_bus_message *options_end(sd_bus *bus, sd_bus_message *m) {
        g_autofree char *member = g_strdup(sd_bus_message_get_member(m));
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *reply = NULL;
        int r;

        r = options_call(bus, m, &error, &reply);
        if (r < 0)
                g_error("%s failed: %s: %s", member, error.name, error.message);

        return reply;
}

char *options_end_path(sd_bus *bus, sd_bus_message *m) {
        return take_path(options_end(bus, m));
}

char *options_end_refused(const char *error_name, sd_bus *bus, sd_bus_message *m) {
        g_autofree char *name = g_strconcat(ERROR_PREFIX, error_name, NULL);
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *reply = NULL;
        char *text;

        g_assert_cmpint(options_call(bus, m, &error, &reply), <, 0);
        if (g_strcmp0(error.name, name) != 0)
                g_error("refused with %s (%s), not with %s", error.name, error.message, name);

        text = g_strdup(error.message);
        sd_bus_error_free(&error);
        return text;
}

char *take_path(sd_bus_message *reply) {
        const char *path;
        char *copy;

        g_assert_cmpint(sd_bus_message_read(reply, "o", &path), >=, 0);
        copy = g_strdup(path);
        (void)sd_bus_message_unref(reply);
        return copy;
}

uint16_t get_port(sd_bus *bus, const char *listener) {
        uint16_t port;

        g_assert_cmpint(sd_bus_get_property_trivial(bus, NAME, listener, LISTENER, "LocalPort",
                                                    NULL, 'q', &port),
                        >=, 0);
        return port;
}

char *listen_asking(sd_bus *bus, uint16_t *ret_port) {
        sd_bus_message *m = options_begin(bus, ROOT, MANAGER, "Listen", "sq", "127.0.0.1", 0);
        char *path;

        options_add_bytes(m, "PskIdentityHint", "who", 3);
        path = options_end_path(bus, m);
        *ret_port = get_port(bus, path);
        return path;
}

void provide_psk(sd_bus *bus, const char *connection, const char *identity, const void *key,
                 size_t size) {
        sd_bus_message *m = NULL;

        g_assert_cmpint(
                sd_bus_message_new_method_call(bus, &m, NAME, connection, CONNECTION, "ProvidePsk"),
                >=, 0);
        g_assert_cmpint(sd_bus_message_append_array(m, 'y', identity, strlen(identity)), >=, 0);
        g_assert_cmpint(sd_bus_message_append_array(m, 'y', key, size), >=, 0);
        g_assert_cmpint(sd_bus_call(bus, m, CALL_USEC, NULL, NULL), >=, 0);
        (void)sd_bus_message_unref(m);
}

char *create_verifier(sd_bus *bus) {
        return take_path(call(bus, ROOT, MANAGER, "CreateClientVerifier", "a{sv}", 0));
}

char *make_verifier(sd_bus *bus, const char *hash, const char *secret) {
        sd_bus_message *m = options_begin(bus, ROOT, MANAGER, "CreateClientVerifier", "");

        g_assert_cmpint(sd_bus_message_append(m, "{sv}", "CookieHash", "s", hash), >=, 0);
        options_add_secret(m, "CookieSecret", secret, strlen(secret));
        return options_end_path(bus, m);
}

sd_bus_message *verify_begin(sd_bus *bus, const char *verifier, GBytes *datagram,
                             const char *address, uint16_t port) {
        sd_bus_message *m = NULL;
        gsize size;
        const void *data = g_bytes_get_data(datagram, &size);

        g_assert_cmpint(
                sd_bus_message_new_method_call(bus, &m, NAME, verifier, VERIFIER, "VerifyClient"),
                >=, 0);
        g_assert_cmpint(sd_bus_message_append_array(m, 'y', data, size), >=, 0);
        g_assert_cmpint(sd_bus_message_append(m, "sq", address, port), >=, 0);
        return m;
}

bool verify_client(sd_bus *bus, const char *verifier, GBytes *datagram, const char *address,
                   uint16_t port, GBytes **ret_reply) {
        sd_bus_message *m = verify_begin(bus, verifier, datagram, address, port), *answer = NULL;
        const void *reply;
        size_t size;
        int verified;

        g_assert_cmpint(sd_bus_call(bus, m, CALL_USEC, NULL, &answer), >=, 0);
        g_assert_cmpint(sd_bus_message_read(answer, "b", &verified), >=, 0);
        g_assert_cmpint(sd_bus_message_read_array(answer, 'y', &reply, &size), >=, 0);
        *ret_reply = size > 0 ? g_bytes_new(reply, size) : NULL;
        (void)sd_bus_message_unref(answer);
        (void)sd_bus_message_unref(m);
        return verified;
}

char *get_error_of(sd_bus *bus, const char *path, const char *interface) {
        sd_bus_message *reply = NULL;
        const char *name, *text;
        char *both;

        g_assert_cmpint(
                sd_bus_get_property(bus, NAME, path, interface, "Error", NULL, &reply, "(ss)"), >=,
                0);
        g_assert_cmpint(sd_bus_message_read(reply, "(ss)", &name, &text), >=, 0);
        both = g_strdup_printf("%s: %s", name, text);
        (void)sd_bus_message_unref(reply);
        return both;
}

char *get_error(sd_bus *bus, const char *connection) {
        return get_error_of(bus, connection, CONNECTION);
}

void do_handshake(sd_bus *bus, const char *connection) {
        (void)sd_bus_message_unref(call(bus, connection, CONNECTION, "DoHandshake", "ay", 0));
}

void close_object(sd_bus *bus, const char *path, const char *interface) {
        (void)sd_bus_message_unref(call(bus, path, interface, "Close", ""));
}

uint64_t get_statistic(sd_bus *bus, const char *counter) {
        return get_counter(bus, ROOT, MANAGER, "Statistics", counter);
}

typedef struct Wanted {
        sd_bus *bus;
        const char *counter;
        uint64_t value;
} Wanted;

static bool statistic_is(void *userdata) {
        const Wanted *wanted = userdata;

        return get_statistic(wanted->bus, wanted->counter) == wanted->value;
}

void wait_statistic(sd_bus *bus, const char *counter, uint64_t value) {
        bus_wait(bus, statistic_is, &(Wanted){bus, counter, value}, counter);
}

static bool statistic_reaches(void *userdata) {
        const Wanted *wanted = userdata;

        return get_statistic(wanted->bus, wanted->counter) >= wanted->value;
}

void wait_statistic_reaches(sd_bus *bus, const char *counter, uint64_t value) {
        bus_wait(bus, statistic_reaches, &(Wanted){bus, counter, value}, counter);
}

void wait_nothing_used(sd_bus *bus) {
        static const char *const counters[] = {
                "ConnectionsInUse", "ListenersInUse", "HalfOpenInUse",
                "SuspendedInUse",   "SigningInUse",   "FdsInUse",
                "BytesInUse",       "CallsInUse",     "VerifiersInUse",
        };

        for (size_t i = 0; i < G_N_ELEMENTS(counters); i++)
                wait_statistic(bus, counters[i], 0);
}

/* ---- messages ---- */

static void flatten_bytes(sd_bus_message *m, GString *text) {
        const void *data;
        size_t size;

        g_assert_cmpint(sd_bus_message_read_array(m, 'y', &data, &size), >=, 0);
        (void)g_string_append_c(text, '|');
        (void)g_string_append_len(text, data, (gssize)size);
}

static void flatten_basic(sd_bus_message *m, char type, GString *text) {
        union {
                const char *string;
                uint8_t y;
                int b;
                uint16_t q;
                uint32_t u;
                uint64_t t;
        } value = {0};

        g_assert_cmpint(sd_bus_message_read_basic(m, type, &value), >=, 0);
        if (strchr("sog", type))
                g_string_append_printf(text, "|%s", value.string);
        else if (type == 'y')
                g_string_append_printf(text, "|%u", value.y);
        else if (type == 'q' || type == 'n')
                g_string_append_printf(text, "|%u", value.q);
        else if (strchr("tx", type))
                g_string_append_printf(text, "|%" G_GUINT64_FORMAT, value.t);
        else
                g_string_append_printf(text, "|%u", value.u);
}

static void flatten_into(sd_bus_message *m, GString *text) {
        const char *contents;
        char type;

        while (sd_bus_message_peek_type(m, &type, &contents) > 0) {
                if (type == 'a' && g_str_equal(contents, "y")) {
                        flatten_bytes(m, text);
                } else if (strchr("avre", type)) {
                        g_assert_cmpint(sd_bus_message_enter_container(m, type, contents), >=, 0);
                        flatten_into(m, text);
                        g_assert_cmpint(sd_bus_message_exit_container(m), >=, 0);
                } else {
                        flatten_basic(m, type, text);
                }
        }
}

GString *message_flatten(sd_bus_message *m) {
        GString *text = g_string_new(NULL);

        flatten_into(m, text);
        return text;
}

char *message_text(sd_bus_message *m) {
        GString *text = message_flatten(m);

        (void)sd_bus_message_unref(m);
        return g_string_free(text, FALSE);
}

char *get_values(sd_bus *bus, const char *path, const char *interface, const char *property) {
        return message_text(call(bus, path, PROPERTIES, "Get", "ss", interface, property));
}

struct Ear {
        sd_bus *bus;
        sd_bus_slot *slot;
        GPtrArray *heard; /* of GString */
};

static void ear_forget(gpointer signal) {
        (void)g_string_free(signal, TRUE);
}

static int on_signal(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Ear *ear = userdata;
        GString *text;

        /* the bus itself tells everybody who comes and goes */
        if (g_strcmp0(sd_bus_message_get_interface(m), "org.freedesktop.DBus") == 0)
                return 0;

        text = message_flatten(m);
        (void)g_string_prepend(text, sd_bus_message_get_path(m));
        (void)g_string_prepend(text, "|");
        (void)g_string_prepend(text, sd_bus_message_get_member(m));
        g_ptr_array_add(ear->heard, text);
        return 0;
}

Ear *ear_new(sd_bus *bus) {
        Ear *ear = g_new0(Ear, 1);

        ear->bus = sd_bus_ref(bus);
        ear->heard = g_ptr_array_new_with_free_func(ear_forget);
        g_assert_cmpint(sd_bus_add_match(bus, &ear->slot, "type='signal'", on_signal, ear), >=, 0);
        return ear;
}

Ear *ear_free(Ear *ear) {
        if (!ear)
                return NULL;

        (void)sd_bus_slot_unref(ear->slot);
        (void)sd_bus_unref(ear->bus);
        g_ptr_array_unref(ear->heard);
        g_free(ear);
        return NULL;
}

void ear_catch_up(Ear *ear) {
        (void)sd_bus_message_unref(call(ear->bus, ROOT, "org.freedesktop.DBus.Peer", "Ping", ""));
        while (sd_bus_process(ear->bus, NULL) > 0)
                ;
}

static bool begins(const GString *signal, const char *beginning) {
        return signal->len >= strlen(beginning) &&
               memcmp(signal->str, beginning, strlen(beginning)) == 0;
}

size_t ear_count(Ear *ear, const char *beginning) {
        size_t n = 0;

        ear_catch_up(ear);
        for (guint i = 0; i < ear->heard->len; i++)
                n += begins(ear->heard->pdata[i], beginning);

        return n;
}

static const GString *ear_find(const Ear *ear, const char *beginning) {
        for (guint i = ear->heard->len; i > 0; i--)
                if (begins(ear->heard->pdata[i - 1], beginning))
                        return ear->heard->pdata[i - 1];

        return NULL;
}

/* The @n-th from the beginning, from 1. */
static const GString *ear_find_nth(const Ear *ear, const char *beginning, unsigned n) {
        for (guint i = 0; i < ear->heard->len; i++) {
                n -= begins(ear->heard->pdata[i], beginning);
                if (n == 0)
                        return ear->heard->pdata[i];
        }

        return NULL;
}

const GString *ear_last(Ear *ear, const char *beginning) {
        ear_catch_up(ear);
        return ear_find(ear, beginning);
}

typedef struct Listening {
        Ear *ear;
        const char *beginning;
        unsigned n;
} Listening;

static bool has_heard(void *userdata) {
        const Listening *listening = userdata;

        return ear_find_nth(listening->ear, listening->beginning, listening->n);
}

const GString *ear_wait(Ear *ear, const char *beginning) {
        bus_wait(ear->bus, has_heard, &(Listening){ear, beginning, 1}, beginning);
        return ear_find(ear, beginning);
}

char *ear_wait_connection(Ear *ear, const char *listener, unsigned n) {
        g_autofree char *beginning =
                listener ? g_strdup_printf("NewConnection|%s|", listener) : NULL;
        const char *wanted = beginning ? beginning : "NewConnection|";
        g_auto(GStrv) words = NULL;

        bus_wait(ear->bus, has_heard, &(Listening){ear, wanted, n}, wanted);
        words = g_strsplit(ear_find_nth(ear, wanted, n)->str, "|", -1);
        return g_strdup(words[2]);
}

bool ear_has_bytes(Ear *ear, const void *data, size_t size) {
        ear_catch_up(ear);
        for (guint i = 0; i < ear->heard->len; i++) {
                const GString *signal = ear->heard->pdata[i];

                if (memmem(signal->str, signal->len, data, size))
                        return true;
        }

        return false;
}

/* ---- datagrams ---- */

struct sockaddr_in loopback(uint16_t port) {
        return (struct sockaddr_in){.sin_family = AF_INET,
                                    .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                    .sin_port = htons(port)};
}

int udp_bind(uint16_t *ret_port) {
        struct sockaddr_in address = loopback(0);
        socklen_t size = sizeof address;
        int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

        g_assert_cmpint(fd, >=, 0);
        g_assert_cmpint(bind(fd, (struct sockaddr *)&address, size), ==, 0);
        g_assert_cmpint(getsockname(fd, (struct sockaddr *)&address, &size), ==, 0);
        *ret_port = ntohs(address.sin_port);
        return fd;
}

void udp_send(int fd, uint16_t port, const void *data, size_t size) {
        struct sockaddr_in address = loopback(port);

        g_assert_cmpint(
                sendto(fd, data, size, 0, (const struct sockaddr *)&address, sizeof address), ==,
                (ssize_t)size);
}

static size_t put(uint8_t *at, const void *data, size_t size) {
        memcpy(at, data, size);
        return size;
}

GBytes *stray_receive(Stray *stray) {
        uint8_t buffer[2048];
        struct sockaddr_in from;
        socklen_t size = sizeof from;
        ssize_t n;

        (void)wait_fd(stray->fd);
        n = recvfrom(stray->fd, buffer, sizeof buffer, 0, (struct sockaddr *)&from, &size);
        g_assert_cmpint(n, >, 0);
        stray->port = ntohs(from.sin_port);
        return g_bytes_new(buffer, (gsize)n);
}

void stray_send(const Stray *stray, GBytes *datagram) {
        udp_send(stray->fd, stray->port, g_bytes_get_data(datagram, NULL),
                 g_bytes_get_size(datagram));
}

size_t hello_write(uint8_t buffer[HELLO_MAX], const uint8_t random[32], const uint8_t *cookie,
                   size_t cookie_size) {
        /* TLS_PSK_WITH_AES_128_GCM_SHA256, safe renegotiation (RFC 5746); no compression; extended
         * master secret (RFC 7627) */
        static const uint8_t suites[] = {0, 4, 0x00, 0xa8, 0x00, 0xff, 1,
                                         0, 0, 4,    0x00, 0x17, 0,    0};
        uint8_t body_size = (uint8_t)(2 + 32 + 1 + 1 + cookie_size + sizeof suites);
        uint8_t message_seq = cookie_size > 0;
        /* RFC 6347, 4.1: type, version, epoch, sequence number, length */
        const uint8_t record[] = {
                22, 254, 255, 0, 0, 0, 0, 0, 0, 0, message_seq, 0, (uint8_t)(12 + body_size)};
        /* RFC 6347, 4.2.2: type, length, message_seq, fragment's offset and length */
        const uint8_t message[] = {1, 0, 0, body_size, 0, message_seq, 0, 0, 0, 0, 0, body_size};
        size_t n = 0;

        g_assert_cmpuint(sizeof record + sizeof message + body_size, <=, HELLO_MAX);
        n += put(buffer + n, record, sizeof record);
        n += put(buffer + n, message, sizeof message);
        n += put(buffer + n, (const uint8_t[]){254, 253}, 2);
        n += put(buffer + n, random, 32);
        buffer[n++] = 0; /* no session */
        buffer[n++] = (uint8_t)cookie_size;
        n += put(buffer + n, cookie_size > 0 ? cookie : random, cookie_size);
        n += put(buffer + n, suites, sizeof suites);
        return n;
}

size_t hello_ask(int fd, uint16_t port, const uint8_t random[32], uint8_t cookie[32]) {
        uint8_t hello[HELLO_MAX], answer[256];
        ssize_t n;

        udp_send(fd, port, hello, hello_write(hello, random, NULL, 0));
        (void)wait_fd(fd);
        n = recv(fd, answer, sizeof answer, 0);
        /* record and message header, version, the cookie behind its length */
        g_assert_cmpint(n, >, 13 + 12 + 3);
        g_assert_cmpuint(answer[13], ==, 3); /* HelloVerifyRequest */
        g_assert_cmpuint(answer[27], <=, 32);
        g_assert_cmpint(n, ==, 28 + answer[27]);
        memcpy(cookie, answer + 28, answer[27]);
        return answer[27];
}

/* ---- a wire ---- */

typedef struct Lane {
        int front_fd;
        uint16_t listener_port;
        _Atomic uint16_t client_port; /* who sent last */
} Lane;

struct Wire {
        Lane lanes[WIRE_LANES];
        _Atomic int n_lanes;
        int back_fd, stop_fd[2];
        uint16_t back_port;
        _Atomic uint16_t diverted_to;
        _Atomic size_t longest;
        GThread *thread;
};

static ssize_t take(int fd, uint8_t *buffer, size_t size, uint16_t *ret_port) {
        struct sockaddr_in from;
        socklen_t from_size = sizeof from;
        ssize_t n = recvfrom(fd, buffer, size, MSG_DONTWAIT, (struct sockaddr *)&from, &from_size);

        if (n >= 0)
                *ret_port = ntohs(from.sin_port);
        return n;
}

/* A socket whose other end has gone says so once; what was sent then is lost, as on any wire. */
static void pass(int fd, uint16_t port, const uint8_t *data, size_t size) {
        struct sockaddr_in address = loopback(port);

        (void)sendto(fd, data, size, 0, (const struct sockaddr *)&address, sizeof address);
}

/* Only the wire's own thread writes it. */
static void wire_measure(Wire *wire, size_t size) {
        if (size > wire->longest)
                wire->longest = size;
}

static void wire_forwards(Wire *wire, Lane *lane) {
        uint8_t buffer[65536];
        uint16_t port;
        ssize_t n;

        for (;;) {
                n = take(lane->front_fd, buffer, sizeof buffer, &port);
                if (n < 0)
                        return;

                lane->client_port = port;
                wire_measure(wire, (size_t)n);
                pass(wire->back_fd, lane->listener_port, buffer, (size_t)n);
        }
}

static void wire_backwards(Wire *wire) {
        uint8_t buffer[65536];
        uint16_t port;
        ssize_t n;

        for (;;) {
                n = take(wire->back_fd, buffer, sizeof buffer, &port);
                if (n < 0)
                        return;

                wire_measure(wire, (size_t)n);
                for (int i = 0; i < wire->n_lanes; i++) {
                        Lane *lane = &wire->lanes[i];

                        if (lane->listener_port != port)
                                continue;
                        if (wire->diverted_to)
                                pass(wire->back_fd, wire->diverted_to, buffer, (size_t)n);
                        else
                                pass(lane->front_fd, lane->client_port, buffer, (size_t)n);
                }
        }
}

static gpointer wire_run(gpointer userdata) {
        Wire *wire = userdata;

        for (;;) {
                struct pollfd fds[2 + WIRE_LANES] = {
                        {.fd = wire->stop_fd[0], .events = POLLIN},
                        {.fd = wire->back_fd, .events = POLLIN},
                };
                int n = wire->n_lanes;

                for (int i = 0; i < n; i++)
                        fds[2 + i] =
                                (struct pollfd){.fd = wire->lanes[i].front_fd, .events = POLLIN};
                (void)poll(fds, (nfds_t)(2 + n), -1);
                if (fds[0].revents & POLLHUP)
                        return NULL;
                if (fds[0].revents) { /* a lane was opened */
                        char byte;

                        (void)!read(wire->stop_fd[0], &byte, 1);
                }
                for (int i = 0; i < n; i++)
                        wire_forwards(wire, &wire->lanes[i]);
                wire_backwards(wire);
        }
}

Wire *wire_new(void) {
        Wire *wire = g_new0(Wire, 1);

        wire->back_fd = udp_bind(&wire->back_port);
        g_assert_cmpint(pipe(wire->stop_fd), ==, 0);
        wire->thread = g_thread_new("wire", wire_run, wire);
        return wire;
}

int wire_cut(Wire *wire) {
        if (wire->thread) {
                (void)close(wire->stop_fd[1]);
                (void)g_thread_join(wire->thread);
                (void)close(wire->stop_fd[0]);
                wire->thread = NULL;
        }

        return wire->lanes[0].front_fd;
}

Wire *wire_free(Wire *wire) {
        (void)wire_cut(wire);
        (void)close(wire->back_fd);
        for (int i = 0; i < wire->n_lanes; i++)
                (void)close(wire->lanes[i].front_fd);
        g_free(wire);
        return NULL;
}

uint16_t wire_lane(Wire *wire, uint16_t port) {
        Lane *lane = &wire->lanes[wire->n_lanes];
        uint16_t front;

        g_assert_cmpint(wire->n_lanes, <, WIRE_LANES);
        lane->front_fd = udp_bind(&front);
        lane->listener_port = port;
        wire->n_lanes++;
        g_assert_cmpint(write(wire->stop_fd[1], "x", 1), ==, 1);
        return front;
}

uint16_t wire_back_port(const Wire *wire) {
        return wire->back_port;
}

int wire_back_fd(const Wire *wire) {
        return wire->back_fd;
}

size_t wire_longest(const Wire *wire) {
        return wire->longest;
}

void wire_divert(Wire *wire, uint16_t port) {
        wire->diverted_to = port;
}

/* ---- another keyring ---- */

typedef struct Return {
        const Service *service;
        pid_t old;
        sd_bus *bus;
        const char *identity;
} Return;

static bool has_returned(void *userdata) {
        const Return *r = userdata;
        pid_t now = service_keyring_pid(r->service);
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *reply = NULL;
        const char *path;

        if (now == 0 || now == r->old)
                return false;

        /* the object was there all the time */
        if (sd_bus_call_method(r->bus, NAME, ROOT, MANAGER, "Listen", &error, &reply, "sqa{sv}",
                               "127.0.0.1", 0, 1, "Identity", "s", r->identity) < 0) {
                sd_bus_error_free(&error);
                return false;
        }

        g_assert_cmpint(sd_bus_message_read(reply, "o", &path), >=, 0);
        close_object(r->bus, path, LISTENER);
        (void)sd_bus_message_unref(reply);
        return true;
}

void wait_keyring(const Service *service, pid_t old, sd_bus *bus, const char *identity) {
        bus_wait(bus, has_returned, &(Return){service, old, bus, identity}, "the next keyring");
}
