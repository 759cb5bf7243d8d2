/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "keyring/server.h"

#include "base/log.h"
#include "base/memfd.h"
#include "base/terms.h"
#include "keyring/signer.h"
#include "keyring/vault.h"
#include "lib/capture.h"
#include "material.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#define ALICE 1000
#define BOB 1001
#define LIMIT_USEC (30 * G_USEC_PER_SEC)
#define TEXT "what is signed"
#define ERROR_NAME(x) (DTLSD_ERROR_PREFIX x)

G_DEFINE_AUTOPTR_CLEANUP_FUNC(sd_bus_message, sd_bus_message_unref)

typedef struct Fixture {
        sd_event *event;
        Server *server;
        sd_bus *client;
        unsigned n_closed;
} Fixture;

static void on_closed(void *userdata) {
        Fixture *f = userdata;

        f->n_closed++;
}

static void turn(Fixture *f, gint64 limit) {
        g_assert_cmpint(g_get_monotonic_time(), <, limit);
        g_assert_cmpint(sd_event_run(f->event, 100000), >=, 0);
}

static void fixture_set_up(Fixture *f, gconstpointer data) {
        gint64 limit = g_get_monotonic_time() + LIMIT_USEC;
        int pair[2];

        g_assert_cmpint(sd_event_new(&f->event), >=, 0);
        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), ==, 0);
        g_assert_cmpint(server_new(f->event, pair[1], NULL, on_closed, f, &f->server), ==, 0);

        g_assert_cmpint(sd_bus_new(&f->client), >=, 0);
        g_assert_cmpint(sd_bus_set_fd(f->client, pair[0], pair[0]), >=, 0);
        g_assert_cmpint(sd_bus_start(f->client), >=, 0);
        g_assert_cmpint(sd_bus_attach_event(f->client, f->event, 0), >=, 0);
        while (sd_bus_is_ready(f->client) == 0) /* before it is, a call with an fd would wait */
                turn(f, limit);
}

static void fixture_tear_down(Fixture *f, gconstpointer data) {
        sd_bus_close_unref(f->client);
        server_free(f->server);
        sd_event_unref(f->event);
}

static int on_reply(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        *(sd_bus_message **)userdata = sd_bus_message_ref(m);
        return 0;
}

static sd_bus_message *new_call(Fixture *f, const char *method) {
        sd_bus_message *m;

        g_assert_cmpint(sd_bus_message_new_method_call(f->client, &m, NULL, DTLSD_ROOT_PATH,
                                                       DTLSD_INTERFACE_KEYRING, method),
                        >=, 0);
        return m;
}

/* Takes @call. */
static sd_bus_message *answer_to(Fixture *f, sd_bus_message *call) {
        gint64 limit = g_get_monotonic_time() + LIMIT_USEC;
        sd_bus_message *reply = NULL;

        g_assert_cmpint(sd_bus_call_async(f->client, NULL, call, on_reply, &reply, UINT64_MAX), >=,
                        0);
        sd_bus_message_unref(call);
        while (!reply)
                turn(f, limit);
        return reply;
}

static void assert_error(sd_bus_message *reply, const char *name, const char *text) {
        const sd_bus_error *error = sd_bus_message_get_error(reply);

        g_assert_nonnull(error);
        g_assert_cmpstr(error->name, ==, name);
        g_assert_nonnull(strstr(error->message, text));
}

static sd_bus_message *import_fd(Fixture *f, const char *method, uid_t uid, int fd) {
        sd_bus_message *m = new_call(f, method);

        g_assert_cmpint(sd_bus_message_append(m, "uh", (uint32_t)uid, fd), >=, 0);
        return answer_to(f, m);
}

static sd_bus_message *import(Fixture *f, const char *method, uid_t uid, const void *data,
                              size_t size) {
        sd_bus_message *reply;
        int fd;

        g_assert_cmpint(memfd_new(data, size, &fd), ==, 0);
        reply = import_fd(f, method, uid, fd);
        (void)close(fd);
        return reply;
}

static uint64_t import_psk(Fixture *f, uid_t uid, const char *psk) {
        g_autoptr(sd_bus_message) reply = import(f, "ImportPsk", uid, psk, strlen(psk));
        uint64_t id;

        g_assert_cmpint(sd_bus_message_read(reply, "t", &id), >, 0);
        return id;
}

static void test_forgets_what_is_removed(Fixture *f, gconstpointer data) {
        uint64_t id = import_psk(f, ALICE, "secret");
        const char *const methods[] = {"Remove", "Remove"};
        sd_bus_message *m;

        for (size_t i = 0; i < G_N_ELEMENTS(methods); i++) {
                g_autoptr(sd_bus_message) reply = NULL;

                m = new_call(f, methods[i]);
                g_assert_cmpint(sd_bus_message_append(m, "t", id), >=, 0);
                reply = answer_to(f, m);
                if (i == 0)
                        g_assert_false(sd_bus_message_is_method_error(reply, NULL));
                else
                        assert_error(reply, ERROR_NAME("UnknownKey"), "no such key");
        }
}

static void test_refuses_bad_secrets(Fixture *f, gconstpointer data) {
        char long_psk[VAULT_PSK_MAX + 1] = {0};
        int pipe_fds[2];
        g_autoptr(sd_bus_message) no_key =
                import(f, "ImportPrivateKey", ALICE, "hello", strlen("hello"));
        g_autoptr(sd_bus_message) too_long =
                import(f, "ImportPsk", ALICE, long_psk, sizeof(long_psk));
        g_autoptr(sd_bus_message) pipe_end = NULL;

        g_assert_cmpint(pipe(pipe_fds), ==, 0);
        pipe_end = import_fd(f, "ImportPsk", ALICE, pipe_fds[0]);
        (void)close(pipe_fds[0]);
        (void)close(pipe_fds[1]);

        assert_error(no_key, ERROR_NAME("BadSecret"), "not a private key");
        assert_error(too_long, ERROR_NAME("BadSecret"), "512 bytes");
        assert_error(pipe_end, ERROR_NAME("BadSecret"), "sealed");
}

static void test_ends_a_conversation_that_is_not_dbus(void) {
        gint64 limit = g_get_monotonic_time() + LIMIT_USEC;
        Fixture f = {0};
        int pair[2];

        g_assert_cmpint(sd_event_new(&f.event), >=, 0);
        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), ==, 0);
        g_assert_cmpint(server_new(f.event, pair[1], NULL, on_closed, &f, &f.server), ==, 0);
        g_assert_cmpint(write(pair[0], "GET / HTTP/1.1\r\n\r\n", 18), ==, 18);
        while (f.n_closed == 0)
                turn(&f, limit);
        (void)close(pair[0]);
        fixture_tear_down(&f, NULL);
}

static void test_knows_the_other_end(void) {
        int pair[2], file[2];

        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), ==, 0);
        g_assert_cmpint(pipe(file), ==, 0);
        g_assert_cmpint(server_check_peer(pair[0], getuid()), ==, 0);
        g_assert_cmpint(server_check_peer(pair[0], getuid() + 1), ==, SERVER_E_STRANGER);
        g_assert_cmpint(server_check_peer(file[0], getuid()), <, 0);
        (void)close(pair[0]);
        (void)close(pair[1]);
        (void)close(file[0]);
        (void)close(file[1]);
}

/* ---- the interface as it is written and as it is served ---- */

typedef struct Members {
        bool ours; /* inside the Keyring's interface */
        GString *text;
} Members;

static void on_element(GMarkupParseContext *context, const char *element, const char **names,
                       const char **values, gpointer userdata, GError **error) {
        Members *members = userdata;

        if (g_str_equal(element, "interface"))
                members->ours = g_str_equal(values[0], DTLSD_INTERFACE_KEYRING);
        if (!members->ours || g_str_equal(element, "annotation"))
                return;

        g_string_append(members->text, element);
        for (const char *const attributes[] = {"name", "type", "direction"}, *const *a = attributes;
             a < attributes + G_N_ELEMENTS(attributes); a++)
                for (size_t i = 0; names[i]; i++)
                        if (g_str_equal(names[i], *a))
                                g_string_append_printf(members->text, " %s", values[i]);
        g_string_append_c(members->text, '\n');
}

static char *members_of(const char *xml) {
        const GMarkupParser parser = {.start_element = on_element};
        Members members = {.text = g_string_new(NULL)};
        GMarkupParseContext *context = g_markup_parse_context_new(&parser, 0, &members, NULL);
        g_autoptr(GError) error = NULL;

        g_markup_parse_context_parse(context, xml, -1, &error);
        g_assert_no_error(error);
        g_markup_parse_context_free(context);
        return g_string_free(members.text, FALSE);
}

static void test_is_as_its_interface_says(Fixture *f, gconstpointer data) {
        g_autofree char *path = g_build_filename(g_getenv("DTLSD_INTERFACES"),
                                                 DTLSD_INTERFACE_KEYRING ".xml", NULL);
        g_autoptr(sd_bus_message) reply = NULL;
        g_autofree char *written = NULL;
        g_autofree char *expected = NULL;
        g_autofree char *found = NULL;
        const char *served;
        sd_bus_message *m;

        g_assert_cmpint(sd_bus_message_new_method_call(f->client, &m, NULL, DTLSD_ROOT_PATH,
                                                       "org.freedesktop.DBus.Introspectable",
                                                       "Introspect"),
                        >=, 0);
        reply = answer_to(f, m);
        g_assert_cmpint(sd_bus_message_read(reply, "s", &served), >, 0);
        g_assert_true(g_file_get_contents(path, &written, NULL, NULL));

        expected = members_of(written);
        found = members_of(served);
        g_assert_nonnull(strstr(expected, "method OpenUses"));
        g_assert_cmpstr(found, ==, expected);
}

static void add(const char *name, void (*test)(Fixture *, gconstpointer)) {
        g_test_add(name, Fixture, NULL, fixture_set_up, test, fixture_tear_down);
}

static unsigned count_lines(const char *text, const char *beginning) {
        unsigned n = 0;

        for (text = strstr(text, beginning); text; text = strstr(text + 1, beginning))
                n++;
        return n;
}

/* Not only what is refused: every line is somebody's, and so bounded for each. */
static void one_users_lines_hide_no_others(Fixture *f, gconstpointer data) {
        g_autofree char *text = NULL;

        log_set_level(LOG_INFO);
        capture_begin();
        for (int i = 0; i < 100; i++)
                (void)import_psk(f, ALICE, "a secret");
        (void)import_psk(f, BOB, "a secret");
        text = capture_end();
        log_set_level(LOG_ERR);
        g_assert_cmpuint(count_lines(text, "of uid 1000: imported"), >, 10);
        g_assert_cmpuint(count_lines(text, "of uid 1000: imported"), <, 50);
        g_assert_cmpuint(count_lines(text, "of uid 1001: imported"), ==, 1);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        log_set_level(LOG_ERR);
        add("/server/interface/is-served-as-it-is-written", test_is_as_its_interface_says);
        add("/server/key/is-gone-when-it-is-removed", test_forgets_what_is_removed);
        add("/server/import/refuses-bad-secrets", test_refuses_bad_secrets);
        add("/server/log/one-users-lines-hide-no-others", one_users_lines_hide_no_others);
        g_test_add_func("/server/door/ends-a-conversation-that-is-not-dbus",
                        test_ends_a_conversation_that_is_not_dbus);
        g_test_add_func("/server/door/knows-the-other-end", test_knows_the_other_end);
        return g_test_run();
}
