/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Application protocols: whose order counts, and what is said where nothing is in common.
 */

#include "pair.h"

/* From "coap,lwm2m"; NULL: none. */
static GPtrArray *protocols(const char *names) {
        g_auto(GStrv) words = g_strsplit(names ? names : "", ",", -1);
        GPtrArray *array = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);

        if (!names) {
                g_ptr_array_unref(array);
                return NULL;
        }
        for (char **word = words; *word; word++)
                g_ptr_array_add(array, g_bytes_new(*word, strlen(*word)));

        return array;
}

static void assert_agreed(const PairEnd *end, const char *status, const char *protocol) {
        const SessionFacts *facts = session_facts(end->session);

        g_assert_cmpstr(facts->next_protocol_status, ==, status);
        g_assert_cmpmem(facts->next_protocol, facts->next_protocol_size, protocol,
                        strlen(protocol));
}

static void shake(const char *of_client, const char *of_server, const char *client_status,
                  const char *server_status, const char *agreed) {
        g_autoptr(GPtrArray) client = protocols(of_client), server = protocols(of_server);
        PairSpec spec = pair_spec_psk();
        g_autoptr(Pair) pair = NULL;

        spec.client.next_protocols = client;
        spec.server.next_protocols = server;
        pair = pair_new(&spec);
        assert_agreed(&pair->client, "None", "");
        pair_start(pair);
        pair_assert_open(pair);
        assert_agreed(&pair->client, client_status, agreed);
        assert_agreed(&pair->server, server_status, agreed);
}

static void test_clients_order(void) {
        shake("lwm2m,coap,x", "coap,lwm2m", "Negotiated", "Negotiated", "lwm2m");
        shake("x,coap", "coap,lwm2m", "Negotiated", "Negotiated", "coap");
}

static void test_nothing_in_common(void) {
        shake("coap", "lwm2m", "None", "Unsupported", "");
}

static void test_one_end_alone(void) {
        shake("coap", NULL, "None", "None", "");
        shake(NULL, "coap", "None", "None", "");
        shake(NULL, NULL, "None", "None", "");
}

static void test_as_many_and_as_long_as_promised(void) {
        g_autofree char *longest = g_strnfill(SESSION_NEXT_PROTOCOL_MAX, 'p');
        g_autofree char *eight = g_strconcat("1,2,3,4,5,6,7,", longest, NULL);

        shake(eight, longest, "Negotiated", "Negotiated", longest);
        shake(longest, eight, "Negotiated", "Negotiated", longest);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/session/alpn/the-client-s-order-counts", test_clients_order);
        g_test_add_func("/session/alpn/goes-on-with-nothing-in-common", test_nothing_in_common);
        g_test_add_func("/session/alpn/is-none-where-one-end-names-none", test_one_end_alone);
        g_test_add_func("/session/alpn/takes-as-many-and-as-long-as-promised",
                        test_as_many_and_as_long_as_promised);
        return g_test_run();
}
