/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Cookies for datagrams that somebody else carries. */

#include "session/cookie.h"
#include "world.h"

#include <string.h>

#define RECORD_HEADER_SIZE 13
#define MESSAGE_HEADER_SIZE 12
#define HEADERS_SIZE (RECORD_HEADER_SIZE + MESSAGE_HEADER_SIZE)

/* A client without a socket, and who it says it is. */
typedef struct Client {
        SessionConfig *config;
        Session *session;
        DatagramBatch *net, *app;
        Address address;
} Client;

static Client *client_new(const char *address, uint16_t port) {
        SessionConfigSpec config = {.role = DTLS_CLIENT,
                                    .protocol = PROTOCOL_DTLS_1_2_OR_LATER,
                                    .psk = true,
                                    .verify_mode = VERIFY_NONE};
        SessionSpec spec = {.retransmit_initial_usec = 200 * 1000,
                            .retransmit_max_usec = 1000 * 1000,
                            .handshake_deadline_usec = 30 * 1000 * 1000,
                            .answer_deadline_usec = 30 * 1000 * 1000};
        Client *client = g_new0(Client, 1);

        g_assert_cmpint(address_parse(address, port, &client->address), ==, 0);
        client->net = datagram_batch_new(64, 256 * 1024);
        client->app = datagram_batch_new(64, 256 * 1024);
        g_assert_cmpint(session_config_new(&config, &client->config), ==, 0);
        spec.config = client->config;
        g_assert_cmpint(session_new(&spec, 1000, &client->session), ==, 0);
        g_assert_cmpint(session_start(client->session, 1000, client->net), ==, 0);
        return client;
}

static Client *client_free(Client *client) {
        session_free(client->session);
        session_config_unref(client->config);
        datagram_batch_free(client->net);
        datagram_batch_free(client->app);
        g_free(client);
        return NULL;
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Client, client_free)

/* What it says now: one datagram, a ClientHello. */
static GByteArray *client_hello(const Client *client) {
        GByteArray *hello = g_byte_array_new();
        Datagram out;

        g_assert_cmpuint(datagram_batch_count(client->net), ==, 1);
        out = datagram_batch_at(client->net, 0);
        return g_byte_array_append(hello, out.data, (guint)out.size);
}

static void client_receive(Client *client, GBytes *reply) {
        Datagram in = {.data = g_bytes_get_data(reply, NULL), .size = g_bytes_get_size(reply)};

        datagram_batch_reset(client->net);
        g_assert_cmpint(session_receive(client->session, 2000, &in, client->net, client->app), ==,
                        0);
}

/* ---- verifiers ---- */

static Verifier *make(World *world, const char *hash, const char *secret) {
        Spec *spec = spec_new(DTLS_SERVER, WORLD_UID, WORLD_OWNER);
        Verifier *verifier;
        Reason reason;

        if (secret) {
                g_free(spec->cookie_hash);
                spec->cookie_hash = g_strdup(hash);
                spec->cookie_secret = secret_new(secret, strlen(secret));
        }
        g_assert_cmpint(relay_create_verifier(world->relay, spec, &verifier, &reason), ==, 0);
        return verifier;
}

static bool says(Verifier *verifier, const Address *from, const GByteArray *datagram,
                 GBytes **ret_reply) {
        bool verified;
        Reason reason;

        g_assert_cmpint(verifier_verify(verifier, from, datagram->data, datagram->len, &verified,
                                        ret_reply, &reason),
                        ==, 0);
        g_assert_cmpint(verifier_facts(verifier).error, ==, DTLS_NO_ERROR);
        g_assert_true(verified == (verifier_facts(verifier).hello != NULL));
        g_assert_false(verified && *ret_reply);
        return verified;
}

static void assert_verified(Verifier *verifier, const Address *from, const GByteArray *datagram) {
        g_autoptr(GBytes) reply = NULL;
        gsize size;
        const void *kept;

        g_assert_true(says(verifier, from, datagram, &reply));
        kept = g_bytes_get_data(verifier_facts(verifier).hello, &size);
        g_assert_cmpmem(kept, size, datagram->data, datagram->len);
}

static void assert_asked(Verifier *verifier, const Address *from, const GByteArray *datagram) {
        g_autoptr(GBytes) reply = NULL;

        g_assert_false(says(verifier, from, datagram, &reply));
        g_assert_nonnull(reply);
        g_assert_cmpuint(g_bytes_get_size(reply), <=, datagram->len); /* never more than it said */
}

static void assert_ignored(Verifier *verifier, const Address *from, const GByteArray *datagram) {
        g_autoptr(GBytes) reply = NULL;

        g_assert_false(says(verifier, from, datagram, &reply));
        g_assert_null(reply);
}

/* Its second hello, with this verifier's cookie. */
static GByteArray *proven_hello(Client *client, Verifier *verifier) {
        g_autoptr(GByteArray) first = client_hello(client);
        g_autoptr(GBytes) reply = NULL;

        g_assert_false(says(verifier, &client->address, first, &reply));
        client_receive(client, reply);
        return client_hello(client);
}

static void asks_and_then_knows(World *world, gconstpointer unused) {
        g_autoptr(Client) client = client_new("192.0.2.7", 4711);
        Verifier *verifier = make(world, NULL, NULL);
        g_autoptr(GByteArray) hello = proven_hello(client, verifier);

        assert_verified(verifier, &client->address, hello);
        assert_verified(verifier, &client->address, hello);
        g_assert_cmpuint(world_counter(relay_counters(world->relay), "CookiesAsked"), ==, 1);
        g_assert_cmpuint(world->n_verifiers_added, ==, 1);
}

static void every_hash_fits_a_gnutls_client(World *world, gconstpointer unused) {
        static const char *const hashes[] = {"Md5", "Sha1", "Sha224", "Sha256", "Sha384", "Sha512"};

        for (size_t i = 0; i < G_N_ELEMENTS(hashes); i++) {
                g_autoptr(Client) client = client_new("2001:db8::7", 4711);
                Verifier *verifier = make(world, hashes[i], "spice");
                g_autoptr(GByteArray) hello = proven_hello(client, verifier);

                assert_verified(verifier, &client->address, hello);
        }
}

static void a_cookie_is_of_one_address(World *world, gconstpointer unused) {
        g_autoptr(Client) client = client_new("192.0.2.7", 4711);
        Verifier *verifier = make(world, NULL, NULL);
        g_autoptr(GByteArray) hello = proven_hello(client, verifier);
        Address other;

        g_assert_cmpint(address_parse("192.0.2.8", 4711, &other), ==, 0);
        assert_asked(verifier, &other, hello);
        g_assert_cmpint(address_parse("192.0.2.7", 4712, &other), ==, 0);
        assert_asked(verifier, &other, hello);

        /* two spellings of one address are one */
        g_assert_cmpint(address_parse("::ffff:192.0.2.7", 4711, &other), ==, 0);
        assert_verified(verifier, &other, hello);
}

static void a_cookie_is_of_one_hash_and_secret(World *world, gconstpointer unused) {
        g_autoptr(Client) client = client_new("192.0.2.7", 4711);
        Verifier *verifier = make(world, "Sha256", "spice");
        g_autoptr(GByteArray) hello = proven_hello(client, verifier);

        assert_verified(make(world, "Sha256", "spice"), &client->address, hello);
        assert_asked(make(world, "Sha256", "sauce"), &client->address, hello);
        assert_asked(make(world, "Sha512", "spice"), &client->address, hello);
        assert_asked(make(world, NULL, NULL), &client->address, hello);
        assert_asked(make(world, NULL, NULL), &client->address, hello);
}

static void noise_is_not_answered(World *world, gconstpointer unused) {
        g_autoptr(Client) client = client_new("192.0.2.7", 4711);
        Verifier *verifier = make(world, NULL, NULL);
        g_autoptr(GByteArray) hello = proven_hello(client, verifier);
        g_autoptr(GByteArray) noise = g_byte_array_new();
        guint whole = hello->len;

        /* cut off anywhere */
        for (guint size = 1; size < whole; size++) {
                g_byte_array_set_size(noise, 0);
                g_byte_array_append(noise, hello->data, size);
                assert_ignored(verifier, &client->address, noise);
        }
        /* another kind of record, or of message; a later epoch */
        for (size_t i = 0; i < 3; i++) {
                static const guint at[] = {0, RECORD_HEADER_SIZE, 4};

                hello->data[at[i]] ^= 1;
                assert_ignored(verifier, &client->address, hello);
                hello->data[at[i]] ^= 1;
        }
        assert_verified(verifier, &client->address, hello);
        g_assert_cmpuint(world_counter(relay_counters(world->relay), "DroppedStranger"), ==,
                         whole + 2);
}

static void write_number(uint8_t *to, size_t number, size_t size) {
        for (size_t i = 0; i < size; i++)
                to[i] = (uint8_t)(number >> (8 * (size - 1 - i)));
}

/* The part of a hello that begins at @offset of its body and has @size bytes. */
static GByteArray *fragment(const GByteArray *hello, size_t offset, size_t size) {
        GByteArray *part = g_byte_array_new();

        g_byte_array_append(part, hello->data, HEADERS_SIZE);
        g_byte_array_append(part, hello->data + HEADERS_SIZE + offset, (guint)size);
        write_number(part->data + 11, MESSAGE_HEADER_SIZE + size, 2);
        write_number(part->data + RECORD_HEADER_SIZE + 6, offset, 3);
        write_number(part->data + RECORD_HEADER_SIZE + 9, size, 3);
        return part;
}

static void a_fragmented_hello_is_known_by_its_first(World *world, gconstpointer unused) {
        g_autoptr(Client) client = client_new("192.0.2.7", 4711);
        Verifier *verifier = make(world, NULL, NULL);
        g_autoptr(GByteArray) bare = client_hello(client);
        g_autoptr(GByteArray) hello = proven_hello(client, verifier);
        /* version, random, session id of none, cookie of 32 */
        size_t body = hello->len - HEADERS_SIZE, head = 2 + 32 + 1 + 1 + 32;
        g_autoptr(GByteArray) asking = fragment(bare, 0, 2 + 32 + 1 + 1);
        g_autoptr(GByteArray) first = fragment(hello, 0, head);
        g_autoptr(GByteArray) second = fragment(hello, head, body - head);
        g_autoptr(GByteArray) short_first = fragment(hello, 0, head - 1);

        assert_asked(verifier, &client->address, asking);
        assert_ignored(verifier, &client->address, second); /* of it nothing is kept */
        assert_verified(verifier, &client->address, first);
        assert_ignored(verifier, &client->address, short_first);
}

/* ---- what a verified hello is for ---- */

/* Answers what @session asks, and hands over what it says; false: nothing was said. */
static bool pass_on(Session *session, DatagramBatch *net, DatagramBatch *app, Session *other,
                    DatagramBatch *other_net, DatagramBatch *other_app) {
        const SessionQuestion *asked = session_question(session);
        g_autoptr(GBytes) identity = g_bytes_new_static("someone", 7);
        g_autoptr(Secret) key = secret_new("a secret of both", 16);
        size_t n;

        if (asked && asked->want == SESSION_WANTS_PSK)
                (void)session_answer_psk(session, asked->serial, 3000, identity, key, net, app);

        n = datagram_batch_count(net);
        for (size_t i = 0; i < n; i++) {
                Datagram in = datagram_batch_at(net, i);

                g_assert_cmpint(session_receive(other, 3000, &in, other_net, other_app), ==, 0);
        }
        datagram_batch_reset(net);
        return n > 0;
}

/* A server that has nothing but the verifier's hello, in one or more datagrams, and the same client
 * come to an end. */
static void assert_starts_a_server(Client *client, GByteArray *const *hello, size_t n_hello) {
        SessionConfigSpec config_spec = {.role = DTLS_SERVER,
                                         .protocol = PROTOCOL_DTLS_1_2_OR_LATER,
                                         .psk = true,
                                         .verify_mode = VERIFY_NONE};
        SessionSpec spec = {.retransmit_initial_usec = 200 * 1000,
                            .retransmit_max_usec = 1000 * 1000,
                            .handshake_deadline_usec = 30 * 1000 * 1000,
                            .answer_deadline_usec = 30 * 1000 * 1000};
        g_autoptr(DatagramBatch) net = datagram_batch_new(64, 256 * 1024);
        g_autoptr(DatagramBatch) app = datagram_batch_new(64, 256 * 1024);
        SessionConfig *config;
        Session *server;
        Hello parsed;
        bool busy = true;

        g_assert_cmpint(session_config_new(&config_spec, &config), ==, 0);
        g_assert_cmpint(hello_parse(hello[0]->data, hello[0]->len, &parsed), ==, 0);
        spec.config = config;
        spec.hello = &parsed;
        g_assert_cmpint(session_new(&spec, 3000, &server), ==, 0);
        for (size_t i = 0; i < n_hello; i++) {
                Datagram in = {.data = hello[i]->data, .size = hello[i]->len};

                g_assert_cmpint(session_receive(server, 3000, &in, net, app), ==, 0);
        }

        datagram_batch_reset(client->net);
        while (busy) {
                busy = pass_on(server, net, app, client->session, client->net, client->app);
                busy |= pass_on(client->session, client->net, client->app, server, net, app);
        }
        g_assert_cmpint(session_state(server), ==, SESSION_OPEN);
        g_assert_cmpint(session_state(client->session), ==, SESSION_OPEN);
        session_free(server);
        session_config_unref(config);
}

static void a_verified_hello_starts_a_server_elsewhere(World *world, gconstpointer unused) {
        g_autoptr(Client) client = client_new("192.0.2.7", 4711);
        g_autoptr(GByteArray) hello = proven_hello(client, make(world, NULL, NULL));

        assert_starts_a_server(client, &hello, 1);
}

static void so_does_one_in_fragments(World *world, gconstpointer unused) {
        g_autoptr(Client) client = client_new("192.0.2.7", 4711);
        Verifier *verifier = make(world, NULL, NULL);
        g_autoptr(GByteArray) hello = proven_hello(client, verifier);
        g_autoptr(GByteArray) first = fragment(hello, 0, 100);
        g_autoptr(GByteArray) second = fragment(hello, 100, hello->len - HEADERS_SIZE - 100);
        GByteArray *const fragments[] = {first, second};

        assert_verified(verifier, &client->address, first);
        assert_starts_a_server(client, fragments, G_N_ELEMENTS(fragments));
}

/* ---- what else can be asked ---- */

static void is_told_what_cannot_be(World *world, gconstpointer unused) {
        static const struct {
                const char *address;
                uint16_t port;
        } bad[] = {{"0.0.0.0", 4711},         {"::", 4711},      {"224.0.0.1", 4711},
                   {"255.255.255.255", 4711}, {"ff02::1", 4711}, {"192.0.2.7", 0}};
        g_autoptr(Client) client = client_new("192.0.2.7", 4711);
        Verifier *verifier = make(world, NULL, NULL);
        g_autoptr(GByteArray) hello = proven_hello(client, verifier);
        g_autofree uint8_t *long_datagram = g_malloc0(DATAGRAM_SIZE_MAX + 1);
        GBytes *reply;
        Address address;
        Reason reason;
        bool verified;

        assert_verified(verifier, &client->address, hello);
        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
                g_assert_cmpint(address_parse(bad[i].address, bad[i].port, &address), ==, 0);
                g_assert_cmpint(verifier_verify(verifier, &address, hello->data, hello->len,
                                                &verified, &reply, &reason),
                                ==, RELAY_E_INVALID_PARAMETERS);
                g_assert_cmpint(verifier_facts(verifier).error, ==, DTLS_INVALID_INPUT_PARAMETERS);
                g_assert_cmpstr(verifier_facts(verifier).error_text, ==, reason.text);
        }
        g_assert_cmpint(verifier_verify(verifier, NULL, hello->data, hello->len, &verified, &reply,
                                        &reason),
                        ==, RELAY_E_INVALID_PARAMETERS);
        g_assert_cmpint(
                verifier_verify(verifier, &client->address, "", 0, &verified, &reply, &reason), ==,
                RELAY_E_INVALID_PARAMETERS);
        g_assert_cmpint(verifier_verify(verifier, &client->address, long_datagram,
                                        DATAGRAM_SIZE_MAX + 1, &verified, &reply, &reason),
                        ==, RELAY_E_TOO_LONG);

        /* as in Qt: such a call was none, and what works clears the error */
        g_assert_nonnull(verifier_facts(verifier).hello);
        assert_verified(verifier, &client->address, hello);
}

static void tells_of_its_error_when_it_changes(World *world, gconstpointer unused) {
        Verifier *verifier = make(world, NULL, NULL);
        CookieParameters empty = {.hash = "Sha256", .secret = "", .size = 0};
        CookieParameters good = {.hash = "Sha1", .secret = "spice", .size = 5};
        Reason reason;

        for (int i = 0; i < 2; i++)
                g_assert_cmpint(verifier_set_cookie_parameters(verifier, &empty, &reason), ==,
                                RELAY_E_INVALID_PARAMETERS);
        g_assert_cmpuint(world->n_verifier_changes, ==, 1);
        g_assert_cmpint(verifier_facts(verifier).error, ==, DTLS_INVALID_INPUT_PARAMETERS);
        g_assert_cmpstr(verifier_cookie_parameters(verifier).hash, ==, "Sha256");

        g_assert_cmpint(verifier_set_cookie_parameters(verifier, &good, &reason), ==, 0);
        g_assert_cmpuint(world->n_verifier_changes, ==, 2);
        g_assert_cmpint(verifier_facts(verifier).error, ==, DTLS_NO_ERROR);
        g_assert_cmpstr(verifier_cookie_parameters(verifier).hash, ==, "Sha1");
}

static void a_hello_is_charged_while_it_is_kept(World *world, gconstpointer unused) {
        QuotaLimits limits = quota_limits_default(4096);
        g_autoptr(Client) client = client_new("192.0.2.7", 4711);
        g_autoptr(GByteArray) first = client_hello(client);
        g_autoptr(GByteArray) hello = NULL;
        Verifier *verifier, *other;
        Spec *spec;
        GBytes *reply;
        Reason reason;
        bool verified;

        limits.per_uid[QUOTA_VERIFIERS] = 2;
        limits.per_uid[QUOTA_BYTES] = 1000;
        world_setup_limits(world, &limits);
        verifier = make(world, "Sha256", "spice");
        other = make(world, "Sha256", "spice");
        spec = spec_new(DTLS_SERVER, WORLD_UID, WORLD_OWNER);
        g_assert_cmpint(relay_create_verifier(world->relay, spec, &verifier, &reason), ==,
                        RELAY_E_QUOTA);
        g_assert_nonnull(strstr(reason.text, "2 of 2 client verifiers"));

        hello = proven_hello(client, verifier);
        g_assert_cmpuint(quota_used(world->quota, WORLD_UID, QUOTA_BYTES), ==, 0);
        for (int i = 0; i < 3; i++) {
                assert_verified(verifier, &client->address, hello);
                g_assert_cmpuint(quota_used(world->quota, WORLD_UID, QUOTA_BYTES), ==, hello->len);
        }

        /* a hello padded until there is no room for two */
        g_byte_array_set_size(hello, 900);
        g_assert_cmpint(verifier_verify(other, &client->address, hello->data, hello->len, &verified,
                                        &reply, &reason),
                        ==, RELAY_E_QUOTA);
        g_assert_null(verifier_facts(other).hello);

        assert_asked(verifier, &client->address, first);
        g_assert_cmpuint(quota_used(world->quota, WORLD_UID, QUOTA_BYTES), ==, 0);
        assert_verified(other, &client->address, hello);
}

static void goes_with_its_owner(World *world, gconstpointer unused) {
        uint32_t first = verifier_facts(make(world, NULL, NULL)).id;
        uint32_t second = verifier_facts(make(world, NULL, NULL)).id;
        g_autoptr(GArray) ids = NULL;

        relay_owner_gone(world->relay, WORLD_OTHER_OWNER);
        verifier_close(relay_find_verifier(world->relay, first));
        g_assert_null(relay_find_verifier(world->relay, first));
        ids = relay_list_verifiers(world->relay, 0, 10);
        g_assert_cmpuint(ids->len, ==, 1);
        g_assert_cmpuint(g_array_index(ids, uint32_t, 0), ==, second);

        relay_owner_gone(world->relay, WORLD_OWNER);
        g_assert_null(relay_find_verifier(world->relay, second));
        g_assert_cmpuint(world->n_verifiers_removed, ==, 2);
        world_spend(world, 1000); /* the end of the turn */
        g_assert_cmpuint(quota_used(world->quota, WORLD_UID, QUOTA_VERIFIERS), ==, 0);
}

#define CASE(name, run) g_test_add("/verifier/" name, World, NULL, world_setup, run, world_teardown)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_assert_cmpint(session_global_init(), ==, 0);

        CASE("asks-and-then-knows", asks_and_then_knows);
        CASE("every-hash-fits-a-gnutls-client", every_hash_fits_a_gnutls_client);
        CASE("a-cookie-is-of-one-address", a_cookie_is_of_one_address);
        CASE("a-cookie-is-of-one-hash-and-secret", a_cookie_is_of_one_hash_and_secret);
        CASE("noise-is-not-answered", noise_is_not_answered);
        CASE("a-fragmented-hello-is-known-by-its-first", a_fragmented_hello_is_known_by_its_first);
        CASE("a-verified-hello-starts-a-server-elsewhere",
             a_verified_hello_starts_a_server_elsewhere);
        CASE("so-does-one-in-fragments", so_does_one_in_fragments);
        CASE("is-told-what-cannot-be", is_told_what_cannot_be);
        CASE("tells-of-its-error-when-it-changes", tells_of_its_error_when_it_changes);
        CASE("goes-with-its-owner", goes_with_its_owner);
        g_test_add("/verifier/a-hello-is-charged-while-it-is-kept", World, NULL, NULL,
                   a_hello_is_charged_while_it_is_kept, world_teardown);
        return g_test_run();
}
