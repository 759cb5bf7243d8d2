/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "messages.h"

#include "session/order.h"

#include <glib.h>
#include <string.h>

/* The longest way through a full handshake (RFC 6347 4.2.4, RFC 6066 8, RFC 5077 3.1). */
static const unsigned of_server[] = {
        HELLO_VERIFY_REQUEST, SERVER_HELLO,        CERTIFICATE,       CERTIFICATE_STATUS,
        SERVER_KEY_EXCHANGE,  CERTIFICATE_REQUEST, SERVER_HELLO_DONE, NEW_SESSION_TICKET,
};
static const unsigned of_client[] = {
        CLIENT_HELLO,
        CERTIFICATE,
        CLIENT_KEY_EXCHANGE,
        CERTIFICATE_VERIFY,
};

static void consume(Order *order, unsigned type, size_t size) {
        static const uint8_t body[64];

        order_consumed(order, type, body, size);
}

/* Those of @says from the place @next on are taken, and nothing else. */
static void check_takes(const Order *order, const unsigned *says, size_t n, size_t next) {
        for (unsigned type = 0; type < 256; type++) {
                bool known = false, later = false;

                for (size_t i = 0; i < n; i++) {
                        known |= says[i] == type;
                        later |= says[i] == type && i >= next;
                }
                g_assert_cmpint(order_knows(order, type), ==, known);
                g_assert_cmpint(order_takes(order, type, 0), ==, later);
        }
}

static void test_a_server_says_what_is_behind_what_it_said(void) {
        Order order = {.role = DTLS_CLIENT, .tickets = true};

        check_takes(&order, of_server, G_N_ELEMENTS(of_server), 0);
        consume(&order, SERVER_HELLO, 0);
        order.expects_ticket = true; /* as a hello says that promises one */
        for (size_t i = 2; i < G_N_ELEMENTS(of_server); i++) {
                check_takes(&order, of_server, G_N_ELEMENTS(of_server), i);
                consume(&order, of_server[i], 0);
        }
        check_takes(&order, of_server, G_N_ELEMENTS(of_server), SIZE_MAX);
}

static void test_a_client_says_what_is_behind_what_it_said(void) {
        Order order = {.role = DTLS_SERVER};

        for (size_t i = 0; i < G_N_ELEMENTS(of_client); i++) {
                check_takes(&order, of_client, G_N_ELEMENTS(of_client), i);
                consume(&order, of_client[i], 40);
        }
        check_takes(&order, of_client, G_N_ELEMENTS(of_client), SIZE_MAX);
}

static void test_a_server_asks_for_a_cookie_so_many_times(void) {
        Order order = {.role = DTLS_CLIENT};

        for (unsigned i = 0; i < ORDER_HELLO_VERIFY_MAX; i++) {
                g_assert_true(order_takes(&order, HELLO_VERIFY_REQUEST, 19));
                consume(&order, HELLO_VERIFY_REQUEST, 19);
        }
        g_assert_false(order_takes(&order, HELLO_VERIFY_REQUEST, 19));
        g_assert_true(order_takes(&order, SERVER_HELLO, 60));
}

static void test_nothing_is_longer_than_it_can_be(void) {
        static const struct {
                DtlsRole role;
                unsigned type;
                size_t max;
        } longest[] = {
                {DTLS_CLIENT, HELLO_VERIFY_REQUEST, 2 + 1 + 255}, /* RFC 6347 4.2.1 */
                {DTLS_CLIENT, SERVER_HELLO_DONE, 0},              /* RFC 5246 7.4.5 */
                {DTLS_CLIENT, CERTIFICATE, ORDER_MESSAGE_MAX},
                {DTLS_SERVER, CERTIFICATE, ORDER_MESSAGE_MAX},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(longest); i++) {
                Order order = {.role = longest[i].role};

                g_assert_true(order_takes(&order, longest[i].type, longest[i].max));
                g_assert_false(order_takes(&order, longest[i].type, longest[i].max + 1));
        }
}

static void test_the_change_comes_behind_a_servers_last_word(void) {
        Order order = {.role = DTLS_CLIENT};

        consume(&order, SERVER_HELLO, 40);
        g_assert_false(order.expects_change);
        consume(&order, SERVER_HELLO_DONE, 0);
        g_assert_true(order.expects_change);
}

static void test_the_change_comes_behind_a_clients_proof(void) {
        Order proof = {.role = DTLS_SERVER};
        Order none = {.role = DTLS_SERVER};

        consume(&proof, CLIENT_HELLO, 40);
        consume(&proof, CERTIFICATE, 40);
        consume(&proof, CLIENT_KEY_EXCHANGE, 40);
        g_assert_false(proof.expects_change);
        consume(&proof, CERTIFICATE_VERIFY, 40);
        g_assert_true(proof.expects_change);

        consume(&none, CLIENT_HELLO, 40);
        consume(&none, CERTIFICATE, 3); /* a list of none */
        consume(&none, CLIENT_KEY_EXCHANGE, 40);
        g_assert_true(none.expects_change);
}

/* A ServerHello with two extensions, of which the second is this one, cut at @cut. */
static bool promises(unsigned extension, bool tickets, size_t cut) {
        uint8_t hello[] = {
                [34] = 1, 0xaa,    /* session ID */
                0xc0,     0x2b, 0, /* suite, compression */
                0,        9,       /* extensions */
                0xff,     0x01, 0, 1, 0, 0, (uint8_t)extension, 0, 0,
        };
        Order order = {.role = DTLS_CLIENT, .tickets = tickets};
        g_autofree uint8_t *exact = g_memdup2(hello, MIN(cut, sizeof hello));

        order_consumed(&order, SERVER_HELLO, exact, MIN(cut, sizeof hello));
        consume(&order, SERVER_HELLO_DONE, 0);
        g_assert_cmpint(order.expects_change, ==, !order.expects_ticket);
        return order.expects_ticket;
}

static void test_the_change_waits_for_a_promised_ticket(void) {
        g_assert_true(promises(35, true, SIZE_MAX)); /* RFC 5077 3.2 */
        g_assert_false(promises(35, false, SIZE_MAX));
        g_assert_false(promises(23, true, SIZE_MAX));
        for (size_t cut = 0; cut < 50; cut++)
                g_assert_false(promises(35, true, cut));
}

static void test_a_resumed_session_says_keys_next(void) {
        Order client = {.role = DTLS_CLIENT, .tickets = true};
        Order server = {.role = DTLS_SERVER};

        consume(&client, SERVER_HELLO, 40);
        client.expects_ticket = true;
        order_resume(&client);
        g_assert_false(client.expects_change);
        g_assert_false(order_takes(&client, CERTIFICATE, 60));
        g_assert_true(order_takes(&client, NEW_SESSION_TICKET, 60));
        consume(&client, NEW_SESSION_TICKET, 60);
        g_assert_true(client.expects_change);

        consume(&server, CLIENT_HELLO, 40);
        order_resume(&server);
        g_assert_true(server.expects_change);
        g_assert_false(order_takes(&server, CLIENT_KEY_EXCHANGE, 60));
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/order/a-server-says-what-is-behind-what-it-said",
                        test_a_server_says_what_is_behind_what_it_said);
        g_test_add_func("/order/a-client-says-what-is-behind-what-it-said",
                        test_a_client_says_what_is_behind_what_it_said);
        g_test_add_func("/order/a-server-asks-for-a-cookie-so-many-times",
                        test_a_server_asks_for_a_cookie_so_many_times);
        g_test_add_func("/order/nothing-is-longer-than-it-can-be",
                        test_nothing_is_longer_than_it_can_be);
        g_test_add_func("/order/the-change-comes-behind-a-servers-last-word",
                        test_the_change_comes_behind_a_servers_last_word);
        g_test_add_func("/order/the-change-comes-behind-a-clients-proof",
                        test_the_change_comes_behind_a_clients_proof);
        g_test_add_func("/order/the-change-waits-for-a-promised-ticket",
                        test_the_change_waits_for_a_promised_ticket);
        g_test_add_func("/order/a-resumed-session-says-keys-next",
                        test_a_resumed_session_says_keys_next);
        return g_test_run();
}
