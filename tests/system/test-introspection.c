/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The live service against interfaces/: Introspect says what the XML says, and what it says can be
 * read, in every state and whatever bytes the peer chose.
 */

#include "stage.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Neither UTF-8 nor a C string, as a PSK identity may be. */
#define ODD_BYTES "\xff\x00\xfe|"
#define ODD_SIZE 4

/* ---- an XML description as lines, one a member ---- */

typedef struct Reader {
        const char *wanted; /* the interface */
        bool inside;
        GPtrArray *lines;
        GString *line; /* of the member that is open */
} Reader;

static const char *attribute(const char **names, const char **values, const char *name) {
        for (size_t i = 0; names[i]; i++)
                if (g_str_equal(names[i], name))
                        return values[i];

        return "-";
}

static bool is_member(const char *element) {
        return g_str_equal(element, "method") || g_str_equal(element, "signal") ||
               g_str_equal(element, "property");
}

/* "in" is what a method's argument is that does not say. */
static const char *direction(const char **names, const char **values) {
        const char *said = attribute(names, values, "direction");

        return g_str_equal(said, "-") ? "in" : said;
}

static void on_start(GMarkupParseContext *context, const char *element, const char **names,
                     const char **values, gpointer userdata, GError **error) {
        Reader *reader = userdata;

        if (g_str_equal(element, "interface"))
                reader->inside = g_str_equal(attribute(names, values, "name"), reader->wanted);
        if (!reader->inside)
                return;

        if (is_member(element))
                g_string_printf(reader->line, "%s %s %s %s", element,
                                attribute(names, values, "name"), attribute(names, values, "type"),
                                attribute(names, values, "access"));
        else if (g_str_equal(element, "arg"))
                g_string_append_printf(reader->line, " %s:%s:%s", attribute(names, values, "name"),
                                       attribute(names, values, "type"), direction(names, values));
        else if (g_str_equal(element, "annotation"))
                g_string_append_printf(reader->line, " %s=%s", attribute(names, values, "name"),
                                       attribute(names, values, "value"));
}

static void on_end(GMarkupParseContext *context, const char *element, gpointer userdata,
                   GError **error) {
        Reader *reader = userdata;

        if (reader->inside && is_member(element))
                g_ptr_array_add(reader->lines, g_strdup(reader->line->str));
        if (g_str_equal(element, "interface"))
                reader->inside = false;
}

/* Annotations stand in any order. */
static char *with_sorted_words(const char *line) {
        g_auto(GStrv) words = g_strsplit(line, " ", -1);
        guint n_fixed = 4, n = g_strv_length(words);

        for (guint i = n_fixed; i < n; i++)
                for (guint k = i + 1; k < n; k++)
                        if (strchr(words[i], '=') && strcmp(words[k], words[i]) < 0) {
                                char *word = words[i];

                                words[i] = words[k];
                                words[k] = word;
                        }

        return g_strjoinv(" ", words);
}

static gint compare(gconstpointer a, gconstpointer b) {
        return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Sorted; members of @interface. */
static GPtrArray *members(const char *xml, const char *interface) {
        const GMarkupParser parser = {.start_element = on_start, .end_element = on_end};
        Reader reader = {.wanted = interface,
                         .lines = g_ptr_array_new_with_free_func(g_free),
                         .line = g_string_new(NULL)};
        GMarkupParseContext *context = g_markup_parse_context_new(&parser, 0, &reader, NULL);
        g_autoptr(GError) error = NULL;

        if (!g_markup_parse_context_parse(context, xml, -1, &error))
                g_error("%s: %s", interface, error->message);
        for (guint i = 0; i < reader.lines->len; i++) {
                char *line = reader.lines->pdata[i];

                reader.lines->pdata[i] = with_sorted_words(line);
                g_free(line);
        }
        g_ptr_array_sort(reader.lines, compare);
        g_markup_parse_context_free(context);
        (void)g_string_free(reader.line, TRUE);
        return reader.lines;
}

static char *read_contract(const char *interface) {
        g_autofree char *name = g_strconcat(interface, ".xml", NULL);
        g_autofree char *path = g_build_filename(g_getenv("DTLSD_INTERFACES"), name, NULL);
        char *contents;

        g_assert_true(g_file_get_contents(path, &contents, NULL, NULL));
        return contents;
}

static char *introspect(sd_bus *bus, const char *path) {
        sd_bus_message *reply =
                call(bus, path, "org.freedesktop.DBus.Introspectable", "Introspect", "");
        const char *xml;
        char *copy;

        g_assert_cmpint(sd_bus_message_read(reply, "s", &xml), >=, 0);
        copy = g_strdup(xml);
        (void)sd_bus_message_unref(reply);
        return copy;
}

static void assert_contract_is_kept(sd_bus *bus, const char *path, const char *interface) {
        g_autofree char *live = introspect(bus, path), *written = read_contract(interface);
        g_autoptr(GPtrArray) is = members(live, interface), should = members(written, interface);

        g_assert_cmpuint(should->len, >, 0);
        for (guint i = 0; i < MIN(is->len, should->len); i++)
                g_assert_cmpstr(is->pdata[i], ==, should->pdata[i]);
        g_assert_cmpuint(is->len, ==, should->len);
}

/* ---- the tests ---- */

/* The keyring's interface is for the two processes alone. */
static void test_the_keyring_is_not_on_the_bus(Solo *solo, const void *unused) {
        g_autofree char *root = introspect(solo->bus, ROOT);
        g_autofree char *error = call_refused("org.freedesktop.DBus.Error.UnknownMethod", solo->bus,
                                              ROOT, NAME ".Keyring", "Sign", "");

        g_assert_null(strstr(root, "Keyring"));
}

/* Get of one property; its type is what the contract says. */
static void assert_readable(sd_bus *bus, const char *path, const char *interface,
                            const char *property, const char *type) {
        sd_bus_message *reply = call(bus, path, PROPERTIES, "Get", "ss", interface, property);
        const char *contents;
        GString *value;

        g_assert_cmpint(sd_bus_message_peek_type(reply, NULL, &contents), >, 0);
        if (!g_str_equal(contents, type))
                g_error("%s is of type %s, not %s", property, contents, type);
        value = message_flatten(reply);
        (void)g_string_free(value, TRUE);
        (void)sd_bus_message_unref(reply);
}

/* Each by itself, and all together. */
static void assert_all_readable(sd_bus *bus, const char *path, const char *interface) {
        g_autofree char *written = read_contract(interface);
        g_autoptr(GPtrArray) lines = members(written, interface);
        guint n = 0;

        for (guint i = 0; i < lines->len; i++) {
                g_auto(GStrv) words = g_strsplit(lines->pdata[i], " ", -1);

                if (!g_str_equal(words[0], "property"))
                        continue;

                assert_readable(bus, path, interface, words[1], words[2]);
                n++;
        }
        g_assert_cmpuint(n, >, 0);
        (void)sd_bus_message_unref(call(bus, path, PROPERTIES, "GetAll", "s", interface));
}

static void test_introspection_is_the_contract(Solo *solo, const void *unused) {
        uint16_t port;
        g_autofree char *listener = listen_psk(solo->bus, &port);
        g_autofree char *client = create_client(solo->bus, port, false);
        g_autofree char *verifier = create_verifier(solo->bus);
        g_autofree char *root = introspect(solo->bus, ROOT);

        assert_contract_is_kept(solo->bus, ROOT, MANAGER);
        assert_contract_is_kept(solo->bus, client, CONNECTION);
        assert_contract_is_kept(solo->bus, listener, LISTENER);
        assert_contract_is_kept(solo->bus, verifier, VERIFIER);
        assert_all_readable(solo->bus, verifier, VERIFIER);
        g_assert_nonnull(strstr(root, "interface name=\"" OBJECT_MANAGER "\""));
}

static void assert_state(sd_bus *bus, const char *path, const char *state) {
        g_autofree char *now = get_string(bus, path, CONNECTION, "HandshakeState");

        g_assert_cmpstr(now, ==, state);
        assert_all_readable(bus, path, CONNECTION);
}

static void test_properties_before_and_during_a_handshake(Solo *solo, const void *unused) {
        uint16_t port;
        int silent = udp_bind(&port);
        g_autofree char *bare =
                options_end_path(solo->bus, options_begin(solo->bus, ROOT, MANAGER,
                                                          "CreateConnection", "s", "client"));
        g_autofree char *client = create_client(solo->bus, port, false);

        assert_state(solo->bus, bare, "HandshakeNotStarted");
        assert_state(solo->bus, client, "HandshakeNotStarted");
        do_handshake(solo->bus, client);
        assert_state(solo->bus, client, "HandshakeInProgress");
        (void)close(silent);
}

static void test_properties_of_both_ends_of_an_open_connection(Solo *solo, const void *unused) {
        g_autoptr(Ear) ear = ear_new(solo->bus);
        uint16_t port;
        g_autofree char *listener = listen_psk(solo->bus, &port);
        g_autofree char *client = open_client(solo->bus, port, false);
        g_autofree char *server = ear_wait_connection(ear, listener, 1);

        assert_state(solo->bus, client, "HandshakeComplete");
        assert_state(solo->bus, server, "HandshakeComplete");
        assert_all_readable(solo->bus, listener, LISTENER);
        assert_all_readable(solo->bus, ROOT, MANAGER);
        /* over, but readable still */
        (void)sd_bus_message_unref(call(solo->bus, client, CONNECTION, "Shutdown", ""));
        wait_string(solo->bus, server, CONNECTION, "HandshakeState", "HandshakeNotStarted");
        assert_state(solo->bus, client, "HandshakeNotStarted");
        assert_state(solo->bus, server, "HandshakeNotStarted");
}

static char *listen_certificate(sd_bus *bus, const TestIdentity *identity, uint16_t *ret_port) {
        sd_bus_message *m = options_begin(bus, ROOT, MANAGER, "Listen", "sq", "127.0.0.1", 0);
        char *path;

        options_add_identity(m, identity);
        path = options_end_path(bus, m);
        *ret_port = get_port(bus, path);
        return path;
}

static void test_properties_of_a_peer_that_is_not_trusted(Solo *solo, const void *unused) {
        g_autoptr(TestIdentity) identity =
                test_identity_new("localhost", NULL, TEST_IDENTITY_LOOPBACK, TEST_KEY_ECDSA);
        g_autoptr(TestIdentity) other =
                test_identity_new("other", NULL, TEST_IDENTITY_CA, TEST_KEY_ECDSA);
        uint16_t port;
        g_autofree char *listener = listen_certificate(solo->bus, identity, &port);
        g_autofree char *client = NULL;
        sd_bus_message *m;

        m = options_begin(solo->bus, ROOT, MANAGER, "CreateConnection", "s", "client");
        options_add_certificate(m, "CaCertificates", other);
        g_assert_cmpint(sd_bus_message_append(m, "{sv}", "PeerAddress", "s", "127.0.0.1"), >=, 0);
        g_assert_cmpint(sd_bus_message_append(m, "{sv}", "PeerPort", "q", port), >=, 0);
        client = options_end_path(solo->bus, m);
        do_handshake(solo->bus, client);
        wait_string(solo->bus, client, CONNECTION, "HandshakeState", "PeerVerificationFailed");
        assert_state(solo->bus, client, "PeerVerificationFailed");
}

/* ---- bytes that are no text ---- */

/* A listener that hints with odd bytes and asks for the key; its client's identity is odd, and what
 * it ignores is about a certificate. */
static char *odd_listener(sd_bus *bus, uint16_t *ret_port) {
        sd_bus_message *m = options_begin(bus, ROOT, MANAGER, "Listen", "sq", "127.0.0.1", 0);
        char *path;

        options_add_bytes(m, "PskIdentityHint", "\xff\xfe", 2);
        path = options_end_path(bus, m);
        *ret_port = get_port(bus, path);
        return path;
}

static void ignore_odd_errors(sd_bus *bus, const char *path, GBytes *certificate) {
        sd_bus_message *m = NULL;

        g_assert_cmpint(sd_bus_message_new_method_call(bus, &m, NAME, path, CONNECTION,
                                                       "IgnoreVerificationErrors"),
                        >=, 0);
        g_assert_cmpint(sd_bus_message_open_container(m, 'a', "(say)"), >=, 0);
        g_assert_cmpint(sd_bus_message_open_container(m, 'r', "say"), >=, 0);
        g_assert_cmpint(sd_bus_message_append(m, "s", "SelfSignedCertificate"), >=, 0);
        g_assert_cmpint(sd_bus_message_append_array(m, 'y', g_bytes_get_data(certificate, NULL),
                                                    g_bytes_get_size(certificate)),
                        >=, 0);
        g_assert_cmpint(sd_bus_message_close_container(m), >=, 0);
        g_assert_cmpint(sd_bus_message_close_container(m), >=, 0);
        g_assert_cmpint(sd_bus_call(bus, m, CALL_USEC, NULL, NULL), >=, 0);
        (void)sd_bus_message_unref(m);
}

static char *odd_client(sd_bus *bus, uint16_t port) {
        sd_bus_message *m = options_begin(bus, ROOT, MANAGER, "CreateConnection", "s", "client");

        options_add_bytes(m, "PreSharedKeyIdentity", ODD_BYTES, ODD_SIZE);
        options_add_secret(m, "PreSharedKey", ODD_BYTES, ODD_SIZE);
        g_assert_cmpint(sd_bus_message_append(m, "{sv}{sv}{sv}", "PeerAddress", "s", "127.0.0.1",
                                              "PeerPort", "q", port, "VerificationName", "s",
                                              "\x7f\x01"),
                        >=, 0);
        return options_end_path(bus, m);
}

static void assert_bytes(sd_bus *bus, const char *path, const char *property) {
        sd_bus_message *reply = call(bus, path, PROPERTIES, "Get", "ss", CONNECTION, property);
        GString *value = message_flatten(reply);

        g_assert_nonnull(memmem(value->str, value->len, ODD_BYTES, ODD_SIZE));
        (void)g_string_free(value, TRUE);
        (void)sd_bus_message_unref(reply);
}

static void assert_lists_work(sd_bus *bus) {
        sd_bus_message *reply = call(bus, ROOT, OBJECT_MANAGER, "GetManagedObjects", "");
        GString *all = message_flatten(reply);

        (void)g_string_free(all, TRUE);
        (void)sd_bus_message_unref(reply);
        reply = call(bus, ROOT, MANAGER, "ListConnections", "tua{sv}", UINT64_C(0), 1000, 0);
        all = message_flatten(reply);
        (void)g_string_free(all, TRUE);
        (void)sd_bus_message_unref(reply);
}

static void test_bytes_that_are_no_text_break_no_getter(Solo *solo, const void *unused) {
        g_autoptr(TestIdentity) identity = test_identity_new("\xc3\xbf", NULL, 0, TEST_KEY_ECDSA);
        g_autoptr(Ear) ear = ear_new(solo->bus);
        uint16_t port;
        g_autofree char *listener = odd_listener(solo->bus, &port);
        g_autofree char *client = odd_client(solo->bus, port);
        g_auto(GStrv) words = NULL;

        ignore_odd_errors(solo->bus, client, test_identity_der(identity));
        do_handshake(solo->bus, client);
        words = g_strsplit(ear_wait(ear, "PskRequired|")->str, "|", -1);
        assert_bytes(solo->bus, words[1], "PendingPsk");
        assert_state(solo->bus, words[1], "HandshakeInProgress");
        assert_lists_work(solo->bus);

        provide_psk(solo->bus, words[1], "", ODD_BYTES, ODD_SIZE);
        wait_string(solo->bus, client, CONNECTION, "HandshakeState", "HandshakeComplete");
        wait_string(solo->bus, words[1], CONNECTION, "HandshakeState", "HandshakeComplete");
        assert_bytes(solo->bus, words[1], "PskIdentity");
        assert_bytes(solo->bus, client, "PskIdentity");
        assert_state(solo->bus, words[1], "HandshakeComplete");
        assert_state(solo->bus, client, "HandshakeComplete");
        assert_all_readable(solo->bus, listener, LISTENER);
        assert_lists_work(solo->bus);
}

/* A hint with odd bytes, and what a client that has to ask for its key hears of it. */
static void test_odd_hint_is_shown_as_it_came(Solo *solo, const void *unused) {
        g_autoptr(Ear) ear = ear_new(solo->bus);
        uint16_t port;
        g_autofree char *listener = odd_listener(solo->bus, &port);
        g_autofree char *client =
                options_end_path(solo->bus, options_begin(solo->bus, ROOT, MANAGER,
                                                          "CreateConnection", "s", "client"));
        g_autofree char *beginning = g_strdup_printf("PskRequired|%s|\xff\xfe||", client);

        (void)sd_bus_message_unref(
                call(solo->bus, client, CONNECTION, "SetPeer", "sqs", "127.0.0.1", port, ""));
        do_handshake(solo->bus, client);
        (void)ear_wait(ear, beginning);
        assert_state(solo->bus, client, "HandshakeInProgress");
        assert_lists_work(solo->bus);
}

#define ADD(path, function)                                                                        \
        g_test_add("/introspection/" path, Solo, NULL, solo_set_up, function, solo_tear_down)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD("is-the-contract", test_introspection_is_the_contract);
        ADD("the-keyring-is-not-on-the-bus", test_the_keyring_is_not_on_the_bus);
        ADD("properties-before-and-during-a-handshake",
            test_properties_before_and_during_a_handshake);
        ADD("properties-of-both-ends-of-an-open-connection",
            test_properties_of_both_ends_of_an_open_connection);
        ADD("properties-of-a-peer-that-is-not-trusted",
            test_properties_of_a_peer_that_is_not_trusted);
        ADD("bytes-that-are-no-text-break-no-getter", test_bytes_that_are_no_text_break_no_getter);
        ADD("an-odd-hint-is-shown-as-it-came", test_odd_hint_is_shown_as_it_came);
        return g_test_run();
}
