/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * ClientVerifier over the bus: real clients' hellos, carried by the test.
 */

#include "stage.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define UNKNOWN "org.freedesktop.DBus.Error.UnknownObject"

/* ---- verifiers ---- */

static char *verify_refused(sd_bus *bus, const char *verifier, GBytes *datagram,
                            const char *address, uint16_t port) {
        sd_bus_message *m = verify_begin(bus, verifier, datagram, address, port);
        sd_bus_error error = SD_BUS_ERROR_NULL;
        char *text;

        g_assert_cmpint(sd_bus_call(bus, m, CALL_USEC, &error, NULL), <, 0);
        g_assert_cmpstr(error.name, ==, ERROR_PREFIX "InvalidInputParameters");
        text = g_strdup(error.message);
        sd_bus_error_free(&error);
        (void)sd_bus_message_unref(m);
        return text;
}

static void assert_hello(sd_bus *bus, const char *verifier, GBytes *expected) {
        sd_bus_message *reply = NULL;
        const void *hello;
        size_t size;

        g_assert_cmpint(sd_bus_get_property(bus, NAME, verifier, VERIFIER, "VerifiedHello", NULL,
                                            &reply, "ay"),
                        >=, 0);
        g_assert_cmpint(sd_bus_message_read_array(reply, 'y', &hello, &size), >=, 0);
        g_assert_cmpmem(hello, size, expected ? g_bytes_get_data(expected, NULL) : NULL,
                        expected ? g_bytes_get_size(expected) : 0);
        (void)sd_bus_message_unref(reply);
}

static int set_parameters(sd_bus *bus, const char *verifier, const char *hash, const char *secret,
                          sd_bus_error *error) {
        sd_bus_message *m = NULL;
        int r;

        g_assert_cmpint(sd_bus_message_new_method_call(bus, &m, NAME, verifier, VERIFIER,
                                                       "SetCookieGeneratorParameters"),
                        >=, 0);
        g_assert_cmpint(sd_bus_message_append(m, "s", hash), >=, 0);
        g_assert_cmpint(sd_bus_message_append_array(m, 'y', secret, strlen(secret)), >=, 0);
        r = sd_bus_call(bus, m, CALL_USEC, error, NULL);
        (void)sd_bus_message_unref(m);
        return r;
}

static GBytes *get_secret(sd_bus *bus, const char *verifier, const char *expected_hash) {
        sd_bus_message *reply = call(bus, verifier, VERIFIER, "GetCookieGeneratorParameters", "");
        const char *hash;
        const void *secret;
        GBytes *copy;
        size_t size;

        g_assert_cmpint(sd_bus_message_read(reply, "s", &hash), >=, 0);
        g_assert_cmpstr(hash, ==, expected_hash);
        g_assert_cmpint(sd_bus_message_read_array(reply, 'y', &secret, &size), >=, 0);
        copy = g_bytes_new(secret, size);
        (void)sd_bus_message_unref(reply);
        return copy;
}

/* ---- a client whose datagrams come to a socket of the test's ---- */

/* Starts one. Its first hello. */
static GBytes *client_start(sd_bus *bus, Stray *client) {
        g_autofree char *path = NULL;
        uint16_t port;

        client->fd = udp_bind(&port);
        path = create_client(bus, port, false);
        do_handshake(bus, path);
        return stray_receive(client);
}

/* Its hello with the verifier's cookie. */
static GBytes *client_prove(sd_bus *bus, Stray *client, const char *verifier) {
        g_autoptr(GBytes) hello = client_start(bus, client);
        g_autoptr(GBytes) reply = NULL;

        g_assert_false(verify_client(bus, verifier, hello, "127.0.0.1", client->port, &reply));
        g_assert_nonnull(reply);
        g_assert_cmpuint(g_bytes_get_size(reply), <=, g_bytes_get_size(hello));
        assert_hello(bus, verifier, NULL);
        stray_send(client, reply);
        return stray_receive(client);
}

/* ---- the tests ---- */

static void test_knows_a_client_by_its_cookie(Solo *solo, const void *unused) {
        g_autofree char *verifier = create_verifier(solo->bus);
        Stray client;
        g_autoptr(GBytes) hello = client_prove(solo->bus, &client, verifier);
        g_autoptr(GBytes) cut = g_bytes_new_from_bytes(hello, 0, g_bytes_get_size(hello) - 1);
        GBytes *reply;

        g_assert_true(verify_client(solo->bus, verifier, hello, "127.0.0.1", client.port, &reply));
        g_assert_null(reply);
        assert_hello(solo->bus, verifier, hello);

        /* cut short it is noise, of which nothing is said or kept */
        g_assert_false(verify_client(solo->bus, verifier, cut, "127.0.0.1", client.port, &reply));
        g_assert_null(reply);
        assert_hello(solo->bus, verifier, NULL);
        (void)close(client.fd);
}

static void assert_asked(sd_bus *bus, const char *verifier, GBytes *hello, const char *address,
                         uint16_t port) {
        g_autoptr(GBytes) reply = NULL;

        g_assert_false(verify_client(bus, verifier, hello, address, port, &reply));
        g_assert_nonnull(reply);
}

static void test_asks_again_from_elsewhere(Solo *solo, const void *unused) {
        g_autofree char *verifier = make_verifier(solo->bus, "Sha384", "spice");
        g_autofree char *same = make_verifier(solo->bus, "Sha384", "spice");
        g_autofree char *other_secret = make_verifier(solo->bus, "Sha384", "sauce");
        g_autofree char *other_hash = make_verifier(solo->bus, "Sha512", "spice");
        g_autofree char *random = create_verifier(solo->bus);
        Stray client;
        g_autoptr(GBytes) hello = client_prove(solo->bus, &client, verifier);
        GBytes *reply;

        g_assert_true(verify_client(solo->bus, same, hello, "127.0.0.1", client.port, &reply));
        assert_asked(solo->bus, other_secret, hello, "127.0.0.1", client.port);
        assert_asked(solo->bus, other_hash, hello, "127.0.0.1", client.port);
        assert_asked(solo->bus, random, hello, "127.0.0.1", client.port);
        assert_asked(solo->bus, verifier, hello, "127.0.0.2", client.port);
        assert_asked(solo->bus, verifier, hello, "127.0.0.1", client.port ^ 1);
        (void)close(client.fd);
}

static void test_arguments_that_cannot_be(Solo *solo, const void *unused) {
        static const struct {
                const char *address;
                uint16_t port;
        } bad[] = {{"", 4711},          {"0.0.0.0", 4711}, {"::", 4711},
                   {"224.0.0.1", 4711}, {"ff02::1", 4711}, {"255.255.255.255", 4711},
                   {"localhost", 4711}, {"127.0.0.1", 0}};
        g_autofree char *verifier = create_verifier(solo->bus);
        Stray client;
        g_autoptr(GBytes) hello = client_prove(solo->bus, &client, verifier);
        g_autoptr(GBytes) empty = g_bytes_new(NULL, 0);
        g_autofree char *none = NULL;
        GBytes *reply;

        g_assert_true(verify_client(solo->bus, verifier, hello, "127.0.0.1", client.port, &reply));
        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
                g_autofree char *text =
                        verify_refused(solo->bus, verifier, hello, bad[i].address, bad[i].port);
                g_autofree char *expected = g_strconcat("InvalidInputParameters: ", text, NULL);
                g_autofree char *error = get_error_of(solo->bus, verifier, VERIFIER);

                g_assert_cmpstr(error, ==, expected);
        }
        g_free(verify_refused(solo->bus, verifier, empty, "127.0.0.1", client.port));
        assert_hello(solo->bus, verifier, hello); /* as in Qt, no such call changes it */

        g_assert_true(verify_client(solo->bus, verifier, hello, "127.0.0.1", client.port, &reply));
        none = get_error_of(solo->bus, verifier, VERIFIER);
        g_assert_cmpstr(none, ==, "NoError: ");
        (void)close(client.fd);
}

static void assert_parameters_refused(sd_bus *bus, const char *verifier, const char *hash,
                                      const char *secret, const char *says) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        g_autofree char *kept = NULL;

        g_assert_cmpint(set_parameters(bus, verifier, hash, secret, &error), <, 0);
        g_assert_cmpstr(error.name, ==, ERROR_PREFIX "InvalidInputParameters");
        g_assert_nonnull(strstr(error.message, says));
        kept = get_error_of(bus, verifier, VERIFIER);
        g_assert_true(g_str_has_prefix(kept, "InvalidInputParameters: "));
        sd_bus_error_free(&error);
}

static void test_parameters_are_set_and_read(Solo *solo, const void *unused) {
        g_autofree char *verifier = create_verifier(solo->bus);
        g_autofree char *other = create_verifier(solo->bus);
        g_autoptr(GBytes) random = get_secret(solo->bus, verifier, "Sha256");
        g_autoptr(GBytes) random_too = get_secret(solo->bus, other, "Sha256");
        g_autoptr(GBytes) spice = g_bytes_new_static("spice", 5);
        g_autoptr(GBytes) now = NULL, hello = NULL;
        Stray client;
        GBytes *reply;

        g_assert_cmpuint(g_bytes_get_size(random), ==, 32);
        g_assert_false(g_bytes_equal(random, random_too));

        hello = client_prove(solo->bus, &client, verifier);
        g_assert_cmpint(set_parameters(solo->bus, verifier, "Md5", "spice", NULL), >=, 0);
        now = get_secret(solo->bus, verifier, "Md5");
        g_assert_true(g_bytes_equal(now, spice));
        g_assert_false(verify_client(solo->bus, verifier, hello, "127.0.0.1", client.port, &reply));
        g_assert_cmpuint(g_bytes_get_size(reply), ==, 25 + 3 + 16); /* a cookie of MD5's size */
        g_bytes_unref(reply);

        assert_parameters_refused(solo->bus, verifier, "Sha256", "", "1 to 1024");
        assert_parameters_refused(solo->bus, verifier, "Blake2s_256", "spice",
                                  "Md5, Sha1, Sha224, Sha256, Sha384 or Sha512");
        g_bytes_unref(get_secret(solo->bus, verifier, "Md5"));
        (void)close(client.fd);
}

typedef struct Object {
        sd_bus *bus;
        const char *path;
} Object;

static bool object_is_gone(void *userdata) {
        const Object *object = userdata;
        sd_bus_message *reply = NULL;
        int r;

        r = sd_bus_get_property(object->bus, NAME, object->path, VERIFIER, "Error", NULL, &reply,
                                "(ss)");
        (void)sd_bus_message_unref(reply);
        return r < 0;
}

static void test_is_listed_and_goes_with_its_name(Solo *solo, const void *unused) {
        sd_bus *owner = service_bus(solo->service, UID_ALICE);
        g_autoptr(Ear) ear = ear_new(solo->bus);
        g_autofree char *verifier = NULL, *added = NULL, *removed = NULL, *text = NULL;
        sd_bus_message *list = NULL;
        GString *all;

        (void)sd_bus_message_unref(call(solo->bus, ROOT, MANAGER, "Subscribe", "a{sv}", 0));
        verifier = create_verifier(owner);
        added = g_strdup_printf("InterfacesAdded|" ROOT "|%s|", verifier);
        removed = g_strdup_printf("InterfacesRemoved|" ROOT "|%s|", verifier);
        (void)ear_wait(ear, added);
        list = call(solo->bus, ROOT, OBJECT_MANAGER, "GetManagedObjects", "");
        all = message_flatten(list);
        g_assert_nonnull(strstr(all->str, verifier));
        (void)g_string_free(all, TRUE);
        (void)sd_bus_message_unref(list);

        /* one's own other programs see it, and may not use it */
        text = call_refused("NotAuthorized", solo->bus, verifier, VERIFIER, "Close", "");
        (void)bus_leave(owner);
        bus_wait(solo->bus, object_is_gone, &(Object){solo->bus, verifier},
                 "the end of the verifier");
        (void)ear_wait(ear, removed);
        wait_statistic(solo->bus, "VerifiersInUse", 0);
}

static void test_closes(Solo *solo, const void *unused) {
        g_autofree char *verifier = create_verifier(solo->bus);
        g_autofree char *text = NULL;

        close_object(solo->bus, verifier, VERIFIER);
        text = call_refused(UNKNOWN, solo->bus, verifier, VERIFIER, "Close", "");
        g_assert_cmpuint(get_statistic(solo->bus, "VerifiersInUse"), ==, 0);
}

#define ADD(path, function)                                                                        \
        g_test_add("/client-verifier/" path, Solo, NULL, solo_set_up, function, solo_tear_down)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD("knows-a-client-by-its-cookie", test_knows_a_client_by_its_cookie);
        ADD("asks-again-from-elsewhere-or-with-another-secret", test_asks_again_from_elsewhere);
        ADD("arguments-that-cannot-be-are-said-and-kept-as-its-error",
            test_arguments_that_cannot_be);
        ADD("parameters-are-set-and-read", test_parameters_are_set_and_read);
        ADD("is-listed-and-goes-with-its-name", test_is_listed_and_goes_with_its_name);
        ADD("closes", test_closes);
        return g_test_run();
}
