/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "session/order.h"
#include "session/reader.h"

#define HELLO_FIXED_SIZE (2 + 32)  /* version, random */
#define HELLO_CHOICES_SIZE (2 + 1) /* suite, compression */
#define EXTENSION_TYPE_SIZE 2
#define EXTENSION_SESSION_TICKET 35

enum {
        MESSAGE_CLIENT_HELLO = 1,
        MESSAGE_SERVER_HELLO = 2,
        MESSAGE_HELLO_VERIFY_REQUEST = 3,
        MESSAGE_NEW_SESSION_TICKET = 4,
        MESSAGE_CERTIFICATE = 11,
        MESSAGE_SERVER_KEY_EXCHANGE = 12,
        MESSAGE_CERTIFICATE_REQUEST = 13,
        MESSAGE_SERVER_HELLO_DONE = 14,
        MESSAGE_CERTIFICATE_VERIFY = 15,
        MESSAGE_CLIENT_KEY_EXCHANGE = 16,
        MESSAGE_CERTIFICATE_STATUS = 22,
};

/* What may be said, in the order it is said; what may come is allocated. */
typedef struct OrderRule {
        uint8_t type;
        uint8_t rank; /* a message is only taken behind one of a lower rank */
        uint32_t length_max;
} OrderRule;

#define ORDER_RANK_AGREED 7 /* behind it come keys, and nothing of a client in plaintext */

static const OrderRule order_server_says[] = {
        {MESSAGE_HELLO_VERIFY_REQUEST, 1, 3 + 255},
        {MESSAGE_SERVER_HELLO, 2, 4096},
        {MESSAGE_CERTIFICATE, 3, ORDER_MESSAGE_MAX},
        {MESSAGE_CERTIFICATE_STATUS, 4, ORDER_MESSAGE_MAX},
        {MESSAGE_SERVER_KEY_EXCHANGE, 5, 8192},
        {MESSAGE_CERTIFICATE_REQUEST, 6, ORDER_MESSAGE_MAX},
        {MESSAGE_SERVER_HELLO_DONE, ORDER_RANK_AGREED, 0},
        {MESSAGE_NEW_SESSION_TICKET, ORDER_RANK_AGREED + 1, ORDER_MESSAGE_MAX},
        {},
};

static const OrderRule order_client_says[] = {
        {MESSAGE_CLIENT_HELLO, 1, 8192},
        {MESSAGE_CERTIFICATE, 2, ORDER_MESSAGE_MAX},
        {MESSAGE_CLIENT_KEY_EXCHANGE, 3, 4096},
        {MESSAGE_CERTIFICATE_VERIFY, 4, 4096},
        {},
};

static const OrderRule *order_find(const Order *order, unsigned type) {
        const OrderRule *rule = order->role == DTLS_SERVER ? order_client_says : order_server_says;

        while (rule->type && rule->type != type)
                rule++;

        return rule->type ? rule : NULL;
}

bool order_knows(const Order *order, unsigned type) {
        return order_find(order, type) != NULL;
}

bool order_takes(const Order *order, unsigned type, size_t length) {
        const OrderRule *rule = order_find(order, type);

        if (!rule || length > rule->length_max || order->expects_change)
                return false;
        if (type == MESSAGE_NEW_SESSION_TICKET && !order->tickets)
                return false;
        if (type == MESSAGE_HELLO_VERIFY_REQUEST)
                return order->last_rank <= rule->rank &&
                       order->n_hello_verify < ORDER_HELLO_VERIFY_MAX;

        return rule->rank > order->last_rank;
}

/* Whether this ServerHello says that a NewSessionTicket will come (RFC 5077, 3.2). */
static bool order_promises_ticket(const uint8_t *body, size_t body_size) {
        Reader hello = {.next = body, .left = body_size}, extensions;
        const uint8_t *type;
        size_t size;

        if (!reader_take(&hello, HELLO_FIXED_SIZE) ||
            !reader_take_vector(&hello, 1, &size) || /* session ID */
            !reader_take(&hello, HELLO_CHOICES_SIZE))
                return false;

        extensions.next = reader_take_vector(&hello, 2, &extensions.left);
        if (!extensions.next)
                return false;

        do {
                type = reader_take(&extensions, EXTENSION_TYPE_SIZE);
                if (type && number_read(type, EXTENSION_TYPE_SIZE) == EXTENSION_SESSION_TICKET)
                        return true;
        } while (type && reader_take_vector(&extensions, 2, &size));

        return false;
}

static void order_expect_change(Order *order, unsigned type, const uint8_t *body, size_t size) {
        switch (type) {
        case MESSAGE_SERVER_HELLO:
                order->expects_ticket = order->tickets && order_promises_ticket(body, size);
                break;
        case MESSAGE_SERVER_HELLO_DONE:
                order->expects_change = !order->expects_ticket;
                break;
        case MESSAGE_NEW_SESSION_TICKET:
        case MESSAGE_CERTIFICATE_VERIFY:
                order->expects_change = true;
                break;
        case MESSAGE_CERTIFICATE: /* of a client with none: a list of no bytes */
                order->expects_proof = size > 3;
                break;
        case MESSAGE_CLIENT_KEY_EXCHANGE:
                order->expects_change = !order->expects_proof;
                break;
        default:
                break;
        }
}

void order_consumed(Order *order, unsigned type, const uint8_t *body, size_t size) {
        const OrderRule *rule = order_find(order, type);

        if (!rule)
                return;

        order->last_rank = rule->rank;
        order->n_hello_verify += type == MESSAGE_HELLO_VERIFY_REQUEST;
        order_expect_change(order, type, body, size);
}

void order_resume(Order *order) {
        order->last_rank = ORDER_RANK_AGREED;
        order->expects_change = !order->expects_ticket;
}
