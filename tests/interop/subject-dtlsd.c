/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The service's Connection with Transport "external", and its ClientVerifier, as a subject.
 *
 * A call is over here when the service has nothing left to do for it: it is asked until no
 * signature is awaited, and a PSK that it asks for is given, since QDtls has all of this in the
 * call.
 */

#include "subject.h"
#include "system/stage.h"

#include <string.h>
#include <unistd.h>

#define VERIFIER NAME ".ClientVerifier"
#define WAIT_LIMIT_USEC (60 * G_USEC_PER_SEC)

typedef struct DtlsdSubject {
        Subject subject;
        sd_bus *bus;
        sd_bus_slot *slot;
        char *connection, *verifier; /* paths */
        char *identity, *key;        /* of the PSK to answer with */
        GString *signals;
        bool asked;     /* a PSK is asked for */
        bool timed_out; /* HandshakeTimeout came; as with QDtls, told to who waits for it */
} DtlsdSubject;

/* ---- hex ---- */

static char *to_hex(const void *data, size_t size) {
        const uint8_t *bytes = data;
        GString *hex = g_string_new(NULL);

        for (size_t i = 0; i < size; i++)
                g_string_append_printf(hex, "%02x", bytes[i]);
        return g_string_free(hex, FALSE);
}

/* "-" is nothing. */
static GByteArray *from_hex(const char *hex) {
        GByteArray *bytes = g_byte_array_new();

        for (; g_ascii_isxdigit(*hex); hex += 2) {
                uint8_t byte =
                        (uint8_t)(g_ascii_xdigit_value(hex[0]) << 4 | g_ascii_xdigit_value(hex[1]));

                (void)g_byte_array_append(bytes, &byte, 1);
        }
        return bytes;
}

static void append_bytes(sd_bus_message *m, const void *data, size_t size) {
        g_assert_cmpint(sd_bus_message_append_array(m, 'y', data, size), >=, 0);
}

static void append_text(sd_bus_message *m, const char *text) {
        append_bytes(m, text, strlen(text));
}

/* ---- signals ---- */

static void hear(DtlsdSubject *dtlsd, const char *signal) {
        g_string_append_printf(dtlsd->signals, "%s%s", dtlsd->signals->len ? "+" : "", signal);
}

static void hear_psk_required(DtlsdSubject *dtlsd, sd_bus_message *m) {
        const char *hint, *identity;
        size_t n_hint, n_identity;
        uint32_t max_identity, max_key;
        g_autofree char *signal = NULL;

        g_assert_cmpint(sd_bus_message_read_array(m, 'y', (const void **)&hint, &n_hint), >=, 0);
        g_assert_cmpint(sd_bus_message_read_array(m, 'y', (const void **)&identity, &n_identity),
                        >=, 0);
        g_assert_cmpint(sd_bus_message_read(m, "uu", &max_identity, &max_key), >=, 0);
        signal = g_strdup_printf("pskRequired(%.*s,%.*s,%u,%u)", (int)n_hint, hint, (int)n_identity,
                                 identity, max_identity, max_key);
        hear(dtlsd, signal);
        dtlsd->asked = true;
}

static int on_signal(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        DtlsdSubject *dtlsd = userdata;
        const void *data;
        size_t size;

        if (g_strcmp0(sd_bus_message_get_path(m), dtlsd->connection) != 0)
                return 0;
        if (sd_bus_message_is_signal(m, CONNECTION, "HandshakeTimeout")) {
                dtlsd->timed_out = true;
        } else if (sd_bus_message_is_signal(m, CONNECTION, "PskRequired")) {
                hear_psk_required(dtlsd, m);
        } else if (sd_bus_message_is_signal(m, CONNECTION, "DatagramToSend")) {
                g_assert_cmpint(sd_bus_message_read_array(m, 'y', &data, &size), >=, 0);
                g_queue_push_tail(&dtlsd->subject.sent, to_hex(data, size));
        }
        return 0;
}

static void catch_up(DtlsdSubject *dtlsd) {
        (void)sd_bus_message_unref(call(dtlsd->bus, ROOT, "org.freedesktop.DBus.Peer", "Ping", ""));
        while (sd_bus_process(dtlsd->bus, NULL) > 0)
                ;
}

/* ---- calls ---- */

static sd_bus_message *begin(DtlsdSubject *dtlsd, const char *path, const char *interface,
                             const char *member) {
        sd_bus_message *m = NULL;

        g_assert_cmpint(
                sd_bus_message_new_method_call(dtlsd->bus, &m, NAME, path, interface, member), >=,
                0);
        return m;
}

static sd_bus_message *begin_call(DtlsdSubject *dtlsd, const char *member) {
        return begin(dtlsd, dtlsd->connection, CONNECTION, member);
}

/* Calls and frees @m: the reply, or NULL when it was refused. */
static sd_bus_message *end(DtlsdSubject *dtlsd, sd_bus_message *m) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *reply = NULL;

        if (sd_bus_call(dtlsd->bus, m, CALL_USEC, &error, &reply) < 0 &&
            !g_str_has_prefix(error.name, ERROR_PREFIX))
                g_error("%s: %s: %s", sd_bus_message_get_member(m), error.name, error.message);
        sd_bus_error_free(&error);
        (void)sd_bus_message_unref(m);
        return reply;
}

static char *end_yes(DtlsdSubject *dtlsd, sd_bus_message *m) {
        sd_bus_message *reply = end(dtlsd, m);
        char *answer = g_strdup(reply ? "true" : "false");

        (void)sd_bus_message_unref(reply);
        return answer;
}

static void answer_psk(DtlsdSubject *dtlsd) {
        sd_bus_message *m = begin_call(dtlsd, *dtlsd->key ? "ProvidePsk" : "RefusePsk");

        dtlsd->asked = false;
        if (*dtlsd->key) {
                append_text(m, dtlsd->identity);
                append_text(m, dtlsd->key);
        }
        (void)sd_bus_message_unref(end(dtlsd, m));
        catch_up(dtlsd);
}

static void settle(DtlsdSubject *dtlsd) {
        do {
                catch_up(dtlsd);
                if (dtlsd->asked)
                        answer_psk(dtlsd);
        } while (get_statistic(dtlsd->bus, "SigningInUse") || dtlsd->asked);
        catch_up(dtlsd);
}

/* ---- properties ---- */

static GString *get(DtlsdSubject *dtlsd, const char *path, const char *interface,
                    const char *property) {
        sd_bus_message *reply =
                call(dtlsd->bus, path, PROPERTIES, "Get", "ss", interface, property);
        GString *value = message_flatten(reply);

        (void)sd_bus_message_unref(reply);
        (void)g_string_erase(value, 0, MIN(1, (gssize)value->len));
        return value;
}

/* The value after this key of a flattened dictionary, or nothing. */
static char *entry(DtlsdSubject *dtlsd, const char *property, const char *key) {
        GString *all = get(dtlsd, dtlsd->connection, CONNECTION, property);
        g_auto(GStrv) words = g_strsplit(all->str, "|", -1);
        char *value = NULL;

        for (guint i = 0; !value && words[i] && words[i + 1]; i++)
                if (g_str_equal(words[i], key))
                        value = g_strdup(words[i + 1]);
        (void)g_string_free(all, TRUE);
        return value ? value : g_strdup("");
}

static sd_bus_message *read_property(DtlsdSubject *dtlsd, const char *property, const char *type) {
        sd_bus_message *reply = NULL;

        g_assert_cmpint(sd_bus_get_property(dtlsd->bus, NAME, dtlsd->connection, CONNECTION,
                                            property, NULL, &reply, type),
                        >=, 0);
        return reply;
}

/* The number of certificates; *ret_leaf: the first, to be freed. */
static unsigned read_chain(DtlsdSubject *dtlsd, GBytes **ret_leaf) {
        sd_bus_message *reply = read_property(dtlsd, "PeerCertificateChain", "aay");
        unsigned n = 0;
        const void *data;
        size_t size;

        *ret_leaf = NULL;
        g_assert_cmpint(sd_bus_message_enter_container(reply, 'a', "ay"), >=, 0);
        while (sd_bus_message_read_array(reply, 'y', &data, &size) > 0)
                if (n++ == 0)
                        *ret_leaf = g_bytes_new(data, size);
        (void)sd_bus_message_unref(reply);
        return n;
}

static int compare_words(gconstpointer a, gconstpointer b) {
        return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static char *verification_errors(DtlsdSubject *dtlsd, GBytes *leaf) {
        sd_bus_message *reply = read_property(dtlsd, "PeerVerificationErrors", "a(say)");
        g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
        const char *name;
        const void *data;
        size_t size;

        g_assert_cmpint(sd_bus_message_enter_container(reply, 'a', "(say)"), >=, 0);
        while (sd_bus_message_enter_container(reply, 'r', "say") > 0) {
                g_autoptr(GBytes) certificate = NULL;

                g_assert_cmpint(sd_bus_message_read(reply, "s", &name), >=, 0);
                g_assert_cmpint(sd_bus_message_read_array(reply, 'y', &data, &size), >=, 0);
                g_assert_cmpint(sd_bus_message_exit_container(reply), >=, 0);
                certificate = g_bytes_new(data, size);
                g_ptr_array_add(names,
                                g_strconcat(name,
                                            size == 0                                  ? "@none"
                                            : leaf && g_bytes_equal(certificate, leaf) ? "@leaf"
                                                                                       : "@other",
                                            NULL));
        }
        (void)sd_bus_message_unref(reply);
        g_ptr_array_sort(names, compare_words);
        g_ptr_array_add(names, NULL);
        return g_strjoinv(",", (char **)names->pdata);
}

static void append_property(DtlsdSubject *dtlsd, GString *line, const char *before,
                            const char *property) {
        GString *value = get(dtlsd, dtlsd->connection, CONNECTION, property);

        g_string_append_printf(line, "%s%s", before, value->str);
        (void)g_string_free(value, TRUE);
}

static void append_yes(GString *line, const char *before, bool value) {
        g_string_append_printf(line, "%s%s", before, value ? "true" : "false");
}

static void append_session(DtlsdSubject *dtlsd, GString *line) {
        GString *encrypted = get(dtlsd, dtlsd->connection, CONNECTION, "Encrypted");
        g_autofree char *cipher = entry(dtlsd, "SessionCipher", "Name");

        append_yes(line, "\tencrypted=", g_str_equal(encrypted->str, "1"));
        append_yes(line, "\tcipher=", *cipher);
        append_property(dtlsd, line, "\tprotocol=", "SessionProtocol");
        (void)g_string_free(encrypted, TRUE);
}

static char *observe(DtlsdSubject *dtlsd, const char *result) {
        GString *line = g_string_new(NULL);
        g_autofree char *error = get_error(dtlsd->bus, dtlsd->connection);
        GString *verifier = get(dtlsd, dtlsd->verifier, VERIFIER, "Error");
        g_autoptr(GBytes) leaf = NULL;
        unsigned n_chain = read_chain(dtlsd, &leaf);
        g_autofree char *verification = verification_errors(dtlsd, leaf);
        const char *text = strstr(error, ": ");

        g_string_append_printf(line, "result=%s", result);
        append_property(dtlsd, line, "\tstate=", "HandshakeState");
        g_string_append_printf(line, "\terror=%.*s", (int)(text - error), error);
        append_yes(line, "\ttext=", text[2]);
        append_session(dtlsd, line);
        append_property(dtlsd, line, "\tpeer=", "PeerAddress");
        append_property(dtlsd, line, " ", "PeerPort");
        append_property(dtlsd, line, "\tname=", "VerificationName");
        append_property(dtlsd, line, "\tmtu=", "MtuHint");
        g_string_append_printf(line, "\tchain=%u\tverification=%s\tverifier=%.*s\tsignals=%s",
                               n_chain, verification, (int)strcspn(verifier->str, "|"),
                               verifier->str, dtlsd->signals->str);
        (void)g_string_truncate(dtlsd->signals, 0);
        (void)g_string_free(verifier, TRUE);
        return g_string_free(line, FALSE);
}

/* ---- a QSslConfiguration ---- */

static const struct {
        const char *word, *option;
} strings[] =
        {
                {"protocol", "Protocol"},
                {"verify", "PeerVerifyMode"},
},
  flags[] =
          {
                  {"cookies", "CookieVerification"},
                  {"interrupt", "HandshakeMustInterruptOnError"},
                  {"missing-is-fatal", "MissingCertificateIsFatal"},
},
  files[] = {
          {"ca", "CaCertificates"},
          {"certificate", "CertificateChain"},
};

static char *read_file(const char *path, size_t *ret_size) {
        char *contents = NULL;

        g_assert_true(g_file_get_contents(path, &contents, ret_size, NULL));
        return contents;
}

static void open_entry(sd_bus_message *m, const char *option, const char *type) {
        g_assert_cmpint(sd_bus_message_open_container(m, 'e', "sv"), >=, 0);
        g_assert_cmpint(sd_bus_message_append(m, "s", option), >=, 0);
        g_assert_cmpint(sd_bus_message_open_container(m, 'v', type), >=, 0);
}

static void close_entry(sd_bus_message *m) {
        g_assert_cmpint(sd_bus_message_close_container(m), >=, 0);
        g_assert_cmpint(sd_bus_message_close_container(m), >=, 0);
}

static void append_file(sd_bus_message *m, const char *option, const char *path) {
        size_t size = 0;
        g_autofree char *contents = read_file(path, &size);

        open_entry(m, option, "aay");
        g_assert_cmpint(sd_bus_message_open_container(m, 'a', "ay"), >=, 0);
        append_bytes(m, contents, size);
        g_assert_cmpint(sd_bus_message_close_container(m), >=, 0);
        close_entry(m);
}

static void append_list(sd_bus_message *m, const char *option, const char *words) {
        g_auto(GStrv) list = g_strsplit(words, ":", -1);

        open_entry(m, option, "as");
        g_assert_cmpint(sd_bus_message_append_strv(m, list), >=, 0);
        close_entry(m);
}

static bool append_other(sd_bus_message *m, const char *word, const char *value) {
        if (g_str_equal(word, "depth")) {
                (void)sd_bus_message_append(m, "{sv}", "PeerVerifyDepth", "u", atoi(value));
        } else if (g_str_equal(word, "key")) {
                size_t size = 0;
                g_autofree char *key = read_file(value, &size);

                options_add_secret(m, "PrivateKey", key, size);
        } else if (g_str_equal(word, "hint")) {
                options_add_bytes(m, "PskIdentityHint", value, strlen(value));
        } else if (g_str_equal(word, "ciphers")) {
                append_list(m, "Ciphers", value);
        } else if (g_str_equal(word, "client-order")) {
                append_list(m, "SslOptions", "DisableServerCipherPreference");
        } else {
                return false;
        }
        return true;
}

static void append_setting(sd_bus_message *m, const char *word, const char *value) {
        for (size_t i = 0; i < G_N_ELEMENTS(strings); i++)
                if (g_str_equal(word, strings[i].word)) {
                        (void)sd_bus_message_append(m, "{sv}", strings[i].option, "s", value);
                        return;
                }
        for (size_t i = 0; i < G_N_ELEMENTS(flags); i++)
                if (g_str_equal(word, flags[i].word)) {
                        (void)sd_bus_message_append(m, "{sv}", flags[i].option, "b",
                                                    g_str_equal(value, "true"));
                        return;
                }
        for (size_t i = 0; i < G_N_ELEMENTS(files); i++)
                if (g_str_equal(word, files[i].word)) {
                        append_file(m, files[i].option, value);
                        return;
                }
        if (!append_other(m, word, value))
                g_error("no option %s", word);
}

static void append_manual(sd_bus_message *m) {
        /* three seconds until a timeout, so that what is asked before is before */
        g_assert_cmpint(sd_bus_message_append(m, "{sv}{sv}", "Retransmission", "s", "manual",
                                              "RetransmitInitial", "u", 3000),
                        >=, 0);
}

static char *call_configure(DtlsdSubject *dtlsd, char **words) {
        sd_bus_message *m = begin_call(dtlsd, "SetConfiguration");
        bool interrupts = false;

        g_assert_cmpint(sd_bus_message_open_container(m, 'a', "{sv}"), >=, 0);
        append_manual(m);
        for (char **word = words + 1; *word; word++) {
                char *value = strchr(*word, '=');

                *value++ = '\0';
                append_setting(m, *word, value);
                interrupts |= g_str_equal(*word, "interrupt");
        }
        if (!interrupts)
                append_setting(m, "interrupt", "false");
        g_assert_cmpint(sd_bus_message_close_container(m), >=, 0);
        return end_yes(dtlsd, m);
}

/* ---- the language ---- */

static void forget(DtlsdSubject *dtlsd, char **path, const char *interface) {
        if (*path)
                close_object(dtlsd->bus, *path, interface);
        g_clear_pointer(path, g_free);
}

static char *call_new(DtlsdSubject *dtlsd, char **words) {
        sd_bus_message *m =
                options_begin(dtlsd->bus, ROOT, MANAGER, "CreateConnection", "s", words[1]);

        forget(dtlsd, &dtlsd->connection, CONNECTION);
        g_assert_cmpint(sd_bus_message_append(m, "{sv}{sv}", "Transport", "s", "external",
                                              "HandshakeMustInterruptOnError", "b", 0),
                        >=, 0);
        append_manual(m);
        dtlsd->connection = options_end_path(dtlsd->bus, m);
        g_free(dtlsd->identity);
        g_free(dtlsd->key);
        dtlsd->identity = g_strdup("");
        dtlsd->key = g_strdup("");
        return g_strdup("true");
}

static char *call_new_verifier(DtlsdSubject *dtlsd, char **words) {
        forget(dtlsd, &dtlsd->verifier, VERIFIER);
        dtlsd->verifier = options_end_path(
                dtlsd->bus, options_begin(dtlsd->bus, ROOT, MANAGER, "CreateClientVerifier", ""));
        return g_strdup("true");
}

static char *call_set_peer(DtlsdSubject *dtlsd, char **words) {
        sd_bus_message *m = begin_call(dtlsd, "SetPeer");

        g_assert_cmpint(
                sd_bus_message_append(m, "sqs", words[1], atoi(words[2]), words[3] ? words[3] : ""),
                >=, 0);
        return end_yes(dtlsd, m);
}

static char *call_set_name(DtlsdSubject *dtlsd, char **words) {
        sd_bus_message *m = begin_call(dtlsd, "SetPeerVerificationName");

        g_assert_cmpint(sd_bus_message_append(m, "s", words[1]), >=, 0);
        return end_yes(dtlsd, m);
}

static char *call_set_mtu(DtlsdSubject *dtlsd, char **words) {
        sd_bus_message *m = begin_call(dtlsd, "SetMtuHint");

        g_assert_cmpint(sd_bus_message_append(m, "q", atoi(words[1])), >=, 0);
        return end_yes(dtlsd, m);
}

static char *set_cookies(DtlsdSubject *dtlsd, const char *path, const char *interface,
                         char **words) {
        sd_bus_message *m = begin(dtlsd, path, interface, "SetCookieGeneratorParameters");

        g_assert_cmpint(sd_bus_message_append(m, "s", words[1]), >=, 0);
        append_text(m, words[2] ? words[2] : "");
        return end_yes(dtlsd, m);
}

static char *call_set_cookies(DtlsdSubject *dtlsd, char **words) {
        return set_cookies(dtlsd, dtlsd->connection, CONNECTION, words);
}

static char *call_set_verifier_cookies(DtlsdSubject *dtlsd, char **words) {
        return set_cookies(dtlsd, dtlsd->verifier, VERIFIER, words);
}

static void append_der(sd_bus_message *m, const char *path) {
        size_t size = 0;
        g_autofree char *pem = read_file(path, &size);
        g_auto(GStrv) parts = g_strsplit(pem, "-----", -1);
        g_autofree guchar *der = g_base64_decode(parts[2], &size);

        append_bytes(m, der, size);
}

static char *call_ignore(DtlsdSubject *dtlsd, char **words) {
        sd_bus_message *m = begin_call(dtlsd, "IgnoreVerificationErrors");

        g_assert_cmpint(sd_bus_message_open_container(m, 'a', "(say)"), >=, 0);
        for (char **word = words + 1; *word; word++) {
                g_auto(GStrv) parts = g_strsplit(*word, "@", 2);

                g_assert_cmpint(sd_bus_message_open_container(m, 'r', "say"), >=, 0);
                g_assert_cmpint(sd_bus_message_append(m, "s", parts[0]), >=, 0);
                if (g_str_equal(parts[1], "none"))
                        append_text(m, "");
                else
                        append_der(m, parts[1]);
                g_assert_cmpint(sd_bus_message_close_container(m), >=, 0);
        }
        g_assert_cmpint(sd_bus_message_close_container(m), >=, 0);
        return end_yes(dtlsd, m);
}

static char *call_psk(DtlsdSubject *dtlsd, char **words) {
        g_free(dtlsd->identity);
        g_free(dtlsd->key);
        dtlsd->identity = g_strdup(words[1]);
        dtlsd->key = g_strdup(words[2]);
        return g_strdup("true");
}

static GByteArray *datagram(DtlsdSubject *dtlsd, const char *word) {
        GString *hello;
        GByteArray *bytes;

        if (!g_str_equal(word, "verified"))
                return from_hex(word);

        hello = get(dtlsd, dtlsd->verifier, VERIFIER, "VerifiedHello");
        bytes = g_byte_array_new();
        (void)g_byte_array_append(bytes, (const uint8_t *)hello->str, (guint)hello->len);
        (void)g_string_free(hello, TRUE);
        return bytes;
}

/* What came of it is known when all of it is over: then the error says what Qt returns at once. */
static char *end_handshake(DtlsdSubject *dtlsd, sd_bus_message *m) {
        sd_bus_message *reply = end(dtlsd, m);
        g_autofree char *error = NULL;
        bool works = reply;

        (void)sd_bus_message_unref(reply);
        settle(dtlsd);
        error = get_error(dtlsd->bus, dtlsd->connection);
        return g_strdup(works && g_str_has_prefix(error, "NoError:") ? "true" : "false");
}

static char *call_do_handshake(DtlsdSubject *dtlsd, char **words) {
        sd_bus_message *m = begin_call(dtlsd, "DoHandshake");
        g_autoptr(GByteArray) bytes = datagram(dtlsd, words[1]);

        dtlsd->timed_out = false;
        append_bytes(m, bytes->data, bytes->len);
        return end_handshake(dtlsd, m);
}

static char *call_decrypt(DtlsdSubject *dtlsd, char **words) {
        sd_bus_message *m = begin_call(dtlsd, "DecryptDatagram");
        g_autoptr(GByteArray) bytes = datagram(dtlsd, words[1]);
        sd_bus_message *reply;
        GString *plain;
        char *answer;

        append_bytes(m, bytes->data, bytes->len);
        reply = end(dtlsd, m);
        plain = reply ? message_flatten(reply) : g_string_new(NULL);
        answer = g_strdup_printf("\"%s\"", plain->len ? plain->str + 1 : "");
        (void)g_string_free(plain, TRUE);
        (void)sd_bus_message_unref(reply);
        return answer;
}

static char *call_verify(DtlsdSubject *dtlsd, char **words) {
        sd_bus_message *m = begin(dtlsd, dtlsd->verifier, VERIFIER, "VerifyClient");
        g_autoptr(GByteArray) bytes = datagram(dtlsd, words[1]);
        sd_bus_message *reply;
        const void *cookie;
        size_t size = 0;
        int verified = 0;

        append_bytes(m, bytes->data, bytes->len);
        g_assert_cmpint(sd_bus_message_append(m, "sq", words[2], atoi(words[3])), >=, 0);
        reply = end(dtlsd, m);
        if (reply) {
                g_assert_cmpint(sd_bus_message_read(reply, "b", &verified), >=, 0);
                g_assert_cmpint(sd_bus_message_read_array(reply, 'y', &cookie, &size), >=, 0);
        }
        if (size > 0)
                g_queue_push_tail(&dtlsd->subject.sent, to_hex(cookie, size));
        (void)sd_bus_message_unref(reply);
        return g_strdup(verified ? "true" : "false");
}

static char *call_write(DtlsdSubject *dtlsd, char **words) {
        sd_bus_message *m = begin_call(dtlsd, "WriteDatagramEncrypted");
        const char *word = words[1] ? words[1] : "";
        g_autofree char *long_text = *word == '*' ? g_strnfill((gsize)atoi(word + 1), 'x') : NULL;
        sd_bus_message *reply;
        int64_t written = -1;

        append_text(m, long_text ? long_text : word);
        reply = end(dtlsd, m);
        if (reply)
                g_assert_cmpint(sd_bus_message_read(reply, "x", &written), >=, 0);
        (void)sd_bus_message_unref(reply);
        return g_strdup_printf("%" G_GINT64_FORMAT, written);
}

static char *call_wait_timeout(DtlsdSubject *dtlsd, char **words) {
        gint64 limit = g_get_monotonic_time() + WAIT_LIMIT_USEC;

        while (!dtlsd->timed_out && g_get_monotonic_time() < limit) {
                (void)sd_bus_wait(dtlsd->bus, 50000);
                catch_up(dtlsd);
        }
        if (!dtlsd->timed_out)
                return g_strdup("false");

        hear(dtlsd, "handshakeTimeout");
        dtlsd->timed_out = false;
        return g_strdup("true");
}

static char *call_wait_state(DtlsdSubject *dtlsd, char **words) {
        wait_string(dtlsd->bus, dtlsd->connection, CONNECTION, "HandshakeState", words[1]);
        return g_strdup("true");
}

static char *call_handle_timeout(DtlsdSubject *dtlsd, char **words) {
        sd_bus_message *reply = end(dtlsd, begin_call(dtlsd, "HandleTimeout"));
        int handled = 0;

        if (reply)
                g_assert_cmpint(sd_bus_message_read(reply, "b", &handled), >=, 0);
        (void)sd_bus_message_unref(reply);
        return g_strdup(handled ? "true" : "false");
}

static char *call_resume(DtlsdSubject *dtlsd, char **words) {
        return end_handshake(dtlsd, begin_call(dtlsd, "ResumeHandshake"));
}

static char *call_abort(DtlsdSubject *dtlsd, char **words) {
        return end_yes(dtlsd, begin_call(dtlsd, "AbortHandshake"));
}

static char *call_shutdown(DtlsdSubject *dtlsd, char **words) {
        return end_yes(dtlsd, begin_call(dtlsd, "Shutdown"));
}

static char *call_observe(DtlsdSubject *dtlsd, char **words) {
        return g_strdup("true");
}

/* An empty dictionary is a null QSslCipher. */
static char *show_cipher(DtlsdSubject *dtlsd) {
        static const char *const members[] = {"Name",
                                              "SupportedBits",
                                              "UsedBits",
                                              "KeyExchangeMethod",
                                              "AuthenticationMethod",
                                              "EncryptionMethod",
                                              "Protocol"};
        g_autofree char *name = entry(dtlsd, "SessionCipher", "Name");
        GString *line = g_string_new(*name ? NULL : ",0,0,,,,UnknownProtocol");

        for (size_t i = 0; *name && i < G_N_ELEMENTS(members); i++) {
                g_autofree char *value = entry(dtlsd, "SessionCipher", members[i]);

                g_string_append_printf(line, "%s%s", i ? "," : "", value);
        }
        return g_string_free(line, FALSE);
}

/* Hash or secret; the error's name where there is none. */
static char *show_cookies(DtlsdSubject *dtlsd, bool secret) {
        sd_bus_message *reply = end(dtlsd, begin_call(dtlsd, "GetCookieGeneratorParameters"));
        GString *both = reply ? message_flatten(reply) : g_string_new("|refused|");
        g_auto(GStrv) words = g_strsplit(both->str, "|", 3);

        (void)g_string_free(both, TRUE);
        (void)sd_bus_message_unref(reply);
        return g_strdup(words[secret ? 2 : 1]);
}

static char *call_show(DtlsdSubject *dtlsd, char **words) {
        static const struct {
                const char *word, *option;
        } shown[] = {
                {"protocol", "Protocol"},
                {"verify", "PeerVerifyMode"},
                {"depth", "PeerVerifyDepth"},
                {"hint", "PskIdentityHint"},
        };

        if (g_str_equal(words[1], "cipher"))
                return show_cipher(dtlsd);
        if (g_str_equal(words[1], "cookie-hash"))
                return show_cookies(dtlsd, false);
        if (g_str_equal(words[1], "cookie-secret"))
                return show_cookies(dtlsd, true);
        if (g_str_equal(words[1], "mode"))
                return get_string(dtlsd->bus, dtlsd->connection, CONNECTION, "Mode");
        for (size_t i = 0; i < G_N_ELEMENTS(shown); i++)
                if (g_str_equal(words[1], shown[i].word))
                        return entry(dtlsd, "Configuration", shown[i].option);
        g_error("nothing to show: %s", words[1]);
}

static const struct {
        const char *word;
        char *(*call)(DtlsdSubject *dtlsd, char **words);
} calls[] = {
        {"new", call_new},
        {"new-verifier", call_new_verifier},
        {"set-peer", call_set_peer},
        {"set-peer-verification-name", call_set_name},
        {"set-mtu-hint", call_set_mtu},
        {"configure", call_configure},
        {"set-cookies", call_set_cookies},
        {"set-verifier-cookies", call_set_verifier_cookies},
        {"ignore", call_ignore},
        {"psk", call_psk},
        {"do-handshake", call_do_handshake},
        {"decrypt", call_decrypt},
        {"verify", call_verify},
        {"write", call_write},
        {"wait-timeout", call_wait_timeout},
        {"wait-state", call_wait_state},
        {"handle-timeout", call_handle_timeout},
        {"resume", call_resume},
        {"abort", call_abort},
        {"shutdown", call_shutdown},
        {"show", call_show},
        {"observe", call_observe},
};

static char *obey(Subject *subject, const char *line) {
        DtlsdSubject *dtlsd = (DtlsdSubject *)subject;
        g_auto(GStrv) words = g_strsplit(line, " ", -1);
        g_autofree char *result = NULL;

        for (size_t i = 0; i < G_N_ELEMENTS(calls); i++)
                if (g_str_equal(words[0], calls[i].word))
                        result = calls[i].call(dtlsd, words);
        if (!result)
                g_error("no call %s", words[0]);

        catch_up(dtlsd);
        return observe(dtlsd, result);
}

static void stop(Subject *subject) {
        DtlsdSubject *dtlsd = (DtlsdSubject *)subject;

        forget(dtlsd, &dtlsd->connection, CONNECTION);
        forget(dtlsd, &dtlsd->verifier, VERIFIER);
        (void)sd_bus_slot_unref(dtlsd->slot);
        (void)sd_bus_unref(dtlsd->bus);
        (void)g_string_free(dtlsd->signals, TRUE);
        g_free(dtlsd->identity);
        g_free(dtlsd->key);
}

Subject *subject_dtlsd_new(sd_bus *bus) {
        DtlsdSubject *dtlsd = g_new0(DtlsdSubject, 1);

        dtlsd->subject = (Subject){.obey = obey, .free = stop, .sent = G_QUEUE_INIT};
        dtlsd->bus = sd_bus_ref(bus);
        dtlsd->signals = g_string_new(NULL);
        g_assert_cmpint(sd_bus_add_match(bus, &dtlsd->slot, "type='signal'", on_signal, dtlsd), >=,
                        0);
        g_free(call_new_verifier(dtlsd, NULL));
        return &dtlsd->subject;
}
