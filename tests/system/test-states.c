/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The table of states in interfaces/README.md, cell by cell: a connection is brought to the state,
 * the call is made, and what comes of it, the new state and the property Error are as the cell
 * says. The table is the only place where that is said; this file knows how to get everywhere.
 */

#include "stage.h"

#include <string.h>
#include <unistd.h>

#define HEADING "## What a connection may do in which state"
#define GONE "gone"
#define SERVER "server" /* the role and the mode */
#define NOT_STARTED "HandshakeNotStarted"
#define IN_PROGRESS "HandshakeInProgress"
#define FAILED "PeerVerificationFailed"
#define COMPLETE "HandshakeComplete"

typedef struct World {
        Service *service;
        sd_bus *bus;
        Ear *ear;
        TestIdentity *authority, *server, *stranger;
        sd_bus_slot *carrying;
        struct {
                const char *path; /* borrowed; NULL: nothing is carried */
                bool complete;
        } carried[2]; /* each other's peers */
} World;

/* One connection whose methods are called, and what there is at its other end. */
typedef struct Subject {
        World *world;
        char *path;
        char *other; /* the other end's connection; NULL: nobody is there, or nobody who matters */
        char *listener; /* NULL: none */
        int silent_fd;  /* a peer that never answers */
        int channel_fd;
        sd_bus_message *reply; /* of the call: it may hold a channel open */
        bool has_end;          /* it is over, and Error says why */
        bool is_read;          /* by a method that does nothing else */
} Subject;

/* ---- the table ---- */

typedef struct Row {
        char *method;
        GStrv cells; /* one a state, in the order of the head */
} Row;

static GStrv states; /* the head of the table */

static void row_free(gpointer data) {
        Row *row = data;

        g_free(row->method);
        g_strfreev(row->cells);
        g_free(row);
}

static char *read_interfaces(const char *name) {
        g_autofree char *path = g_build_filename(g_getenv("DTLSD_INTERFACES"), name, NULL);
        char *text;

        g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
        return text;
}

/* The cells of a line "| a | b |". */
static GStrv line_cells(const char *line) {
        g_autofree char *inner = g_strndup(line + 1, strlen(line) - 2);
        GStrv cells = g_strsplit(inner, "|", -1);

        for (size_t i = 0; cells[i]; i++)
                (void)g_strstrip(cells[i]);
        return cells;
}

static GPtrArray *read_table(void) {
        g_autofree char *text = read_interfaces("README.md");
        const char *section = strstr(text, HEADING);
        GPtrArray *rows = g_ptr_array_new_with_free_func(row_free);
        g_auto(GStrv) lines = NULL;

        g_assert_nonnull(section);
        lines = g_strsplit(section, "\n", -1);
        for (size_t i = 1; !g_str_has_prefix(lines[i], "And by itself"); i++) {
                g_auto(GStrv) cells = NULL;
                Row *row;

                if (!g_str_has_prefix(lines[i], "| "))
                        continue;

                cells = line_cells(lines[i]);
                if (!states) {
                        states = g_strdupv(cells + 1);
                        continue;
                }

                g_assert_cmpuint(g_strv_length(cells), ==, g_strv_length(states) + 1);
                row = g_new0(Row, 1);
                row->method = g_strndup(cells[0] + 1, strcspn(cells[0] + 1, "`")); /* `Name` */
                row->cells = g_strdupv(cells + 1);
                g_ptr_array_add(rows, row);
        }

        return rows;
}

/* A part of a cell, "WHO and WHO, SITUATION: OUTCOME", of which all but the last may be missing.
 * The outcome:
 * "works", "true", "false", "op", "ERROR", "→ STATE", "→ STATE with ERROR". */
typedef struct Clause {
        GStrv who; /* NULL: all */
        char *situation, *outcome;
} Clause;

static const char *const roles[] = {"client", "listener's", "server", NULL};

static char *without_ticks(const char *text) {
        g_auto(GStrv) parts = g_strsplit(text, "`", -1);

        return g_strjoinv("", parts);
}

static Clause clause_parse(const char *text) {
        const char *colon = strstr(text, ": ");
        g_autofree char *when = g_strndup(text, colon ? (size_t)(colon - text) : 0);
        g_auto(GStrv) words = g_strsplit(when, ", ", 2);
        g_auto(GStrv) who = g_strsplit(words[0] ? words[0] : "", " and ", -1);
        bool has_role = who[0] && g_strv_contains(roles, who[0]);
        const char *situation = has_role ? words[1] : words[0];

        return (Clause){
                .who = has_role ? g_steal_pointer(&who) : NULL,
                .situation = g_strdup(situation ? situation : ""),
                .outcome = without_ticks(colon ? colon + 2 : text),
        };
}

static void clause_done(Clause *clause) {
        g_strfreev(clause->who);
        g_free(clause->situation);
        g_free(clause->outcome);
}

/* ---- the two ends ---- */

static sd_bus_message *begin_listener(const Subject *subject) {
        sd_bus_message *m = options_begin(subject->world->bus, ROOT, MANAGER, "Listen", "sq",
                                          "127.0.0.1", (uint16_t)0);

        g_assert_cmpint(sd_bus_message_append(m, "{sv}", "Announce", "b", 1), >=, 0);
        return m;
}

/* Its path, and where a client has to go. */
static uint16_t end_listener(Subject *subject, sd_bus_message *m) {
        subject->listener = options_end_path(subject->world->bus, m);
        return get_port(subject->world->bus, subject->listener);
}

static sd_bus_message *begin_client(const Subject *subject, uint16_t port) {
        sd_bus_message *m = options_begin(subject->world->bus, ROOT, MANAGER, "CreateConnection",
                                          "s", "client");

        if (port != 0)
                g_assert_cmpint(sd_bus_message_append(m, "{sv}{sv}", "PeerAddress", "s",
                                                      "127.0.0.1", "PeerPort", "q", port),
                                >=, 0);
        return m;
}

/* A server that is nobody's listener's needs somebody to carry its datagrams: the test. */
static sd_bus_message *begin_carried(const Subject *subject, const char *mode) {
        sd_bus_message *m =
                options_begin(subject->world->bus, ROOT, MANAGER, "CreateConnection", "s", mode);

        g_assert_cmpint(sd_bus_message_append(m, "{sv}{sv}{sv}", "Transport", "s", "external",
                                              "PeerAddress", "s", "127.0.0.1", "PeerPort", "q",
                                              5684),
                        >=, 0);
        if (g_str_equal(mode, SERVER))
                g_assert_cmpint(sd_bus_message_append(m, "{sv}", "CookieVerification", "b", 0), >=,
                                0);
        return m;
}

static void carry(World *world, unsigned to, sd_bus_message *datagram) {
        const char *method = world->carried[to].complete ? "DecryptDatagram" : "DoHandshake";
        sd_bus_message *m = NULL;
        const void *data;
        size_t size;

        g_assert_cmpint(sd_bus_message_read_array(datagram, 'y', &data, &size), >=, 0);
        g_assert_cmpint(sd_bus_message_new_method_call(world->bus, &m, NAME,
                                                       world->carried[to].path, CONNECTION, method),
                        >=, 0);
        g_assert_cmpint(sd_bus_message_append_array(m, 'y', data, size), >=, 0);
        g_assert_cmpint(sd_bus_message_set_expect_reply(m, false), >=, 0);
        g_assert_cmpint(sd_bus_send(world->bus, m, NULL), >=, 0);
        (void)sd_bus_message_unref(m);
}

static int on_signal(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        World *world = userdata;
        const char *state;

        for (unsigned i = 0; i < G_N_ELEMENTS(world->carried); i++) {
                if (g_strcmp0(world->carried[i].path, sd_bus_message_get_path(m)) != 0)
                        continue;

                if (sd_bus_message_is_signal(m, CONNECTION, "DatagramToSend")) {
                        carry(world, 1 - i, m);
                } else if (sd_bus_message_is_signal(m, CONNECTION, "StateChanged")) {
                        g_assert_cmpint(sd_bus_message_read(m, "s", &state), >=, 0);
                        world->carried[i].complete = g_str_equal(state, COMPLETE);
                }
                g_assert_cmpint(sd_bus_message_rewind(m, true), >=, 0);
        }

        return 0;
}

static sd_bus_message *begin_far(const Subject *subject, const char *role) {
        return g_str_equal(role, SERVER) ? begin_carried(subject, SERVER) : begin_listener(subject);
}

/* Ends what was begun for the far end, and begins the client that goes there. */
static sd_bus_message *begin_near(Subject *subject, const char *role, sd_bus_message *far) {
        if (!g_str_equal(role, SERVER))
                return begin_client(subject, end_listener(subject, far));

        subject->path = options_end_path(subject->world->bus, far);
        return begin_carried(subject, "client");
}

static char *find_at_listener(const Subject *subject) {
        sd_bus_message *reply =
                call(subject->world->bus, ROOT, MANAGER, "ListConnections", "tua{sv}", (uint64_t)0,
                     1, 1, "Listener", "o", subject->listener);
        GString *text = message_flatten(reply);
        g_auto(GStrv) fields = g_strsplit(text->str, "|", 3);
        char *path = fields[0] ? g_strdup(fields[1]) : NULL;

        (void)g_string_free(text, TRUE);
        (void)sd_bus_message_unref(reply);
        return path;
}

static bool is_at_listener(void *userdata) {
        g_autofree char *path = find_at_listener(userdata);

        return path;
}

/* The handshake begins, and the subject is the end that has the role. */
static void start(Subject *subject, const char *role, sd_bus_message *client) {
        World *world = subject->world;
        char *near = options_end_path(world->bus, client), *far;
        bool is_client = g_str_equal(role, "client");

        if (g_str_equal(role, SERVER)) {
                subject->other = near;
                world->carried[0].path = near;
                world->carried[1].path = subject->path;
                do_handshake(world->bus, near);
                return;
        }

        do_handshake(world->bus, near);
        bus_wait(world->bus, is_at_listener, subject, "a connection at the listener");
        far = find_at_listener(subject);
        subject->path = is_client ? near : far;
        subject->other = is_client ? far : near;
}

static void start_with_keys(Subject *subject, const char *role, bool client_has,
                            bool listener_has) {
        sd_bus_message *listener = begin_far(subject, role), *client;

        if (listener_has)
                options_add_psk(listener, PSK_IDENTITY, PSK_KEY);
        client = begin_near(subject, role, listener);
        if (client_has)
                options_add_psk(client, PSK_IDENTITY, PSK_KEY);
        start(subject, role, client);
}

/* The end that has the role does not trust the other one. */
static void start_with_certificates(Subject *subject, const char *role) {
        const World *world = subject->world;
        bool is_client = g_str_equal(role, "client");
        sd_bus_message *listener = begin_far(subject, role), *client;

        options_add_identity(listener, world->server);
        options_add_certificate(listener, "CaCertificates", world->authority);
        if (!is_client)
                g_assert_cmpint(sd_bus_message_append(listener, "{sv}", "PeerVerifyMode", "s",
                                                      "VerifyPeer"),
                                >=, 0);
        client = begin_near(subject, role, listener);
        options_add_identity(client, world->stranger);
        options_add_certificate(client, "CaCertificates",
                                is_client ? world->stranger : world->authority);
        start(subject, role, client);
}

static void start_with_tickets(Subject *subject, const char *role) {
        const World *world = subject->world;
        sd_bus_message *listener = begin_listener(subject), *client;

        options_add_identity(listener, world->server);
        g_assert_cmpint(sd_bus_message_append(listener, "{sv}", "SslOptions", "as", 0), >=, 0);
        client = begin_client(subject, end_listener(subject, listener));
        options_add_certificate(client, "CaCertificates", world->authority);
        g_assert_cmpint(sd_bus_message_append(client, "{sv}", "SslOptions", "as", 0), >=, 0);
        start(subject, role, client);
}

static void start_silently(Subject *subject, bool manual) {
        sd_bus *bus = subject->world->bus;
        sd_bus_message *m;
        uint16_t port;

        subject->silent_fd = udp_bind(&port);
        m = begin_client(subject, port);
        if (manual)
                g_assert_cmpint(sd_bus_message_append(m, "{sv}{sv}", "Retransmission", "s",
                                                      "manual", "RetransmitInitial", "u", 10),
                                >=, 0);
        subject->path = options_end_path(bus, m);
        do_handshake(bus, subject->path);
}

/* ---- into each state ---- */

static void wait_signal(const Subject *subject, const char *name) {
        g_autofree char *beginning = g_strdup_printf("%s|%s", name, subject->path);

        (void)ear_wait(subject->world->ear, beginning);
}

static void call_plainly(const Subject *subject, const char *path, const char *method) {
        (void)sd_bus_message_unref(call(subject->world->bus, path, CONNECTION, method, ""));
}

static void enter_complete(Subject *subject, const char *role, const char *situation) {
        if (g_str_equal(situation, "with tickets"))
                start_with_tickets(subject, role);
        else
                start_with_keys(subject, role, true, true);
        wait_string(subject->world->bus, subject->path, CONNECTION, "HandshakeState", COMPLETE);
        wait_string(subject->world->bus, subject->other, CONNECTION, "HandshakeState", COMPLETE);
        if (g_str_equal(situation, "channel open"))
                subject->channel_fd = open_channel(subject->world->bus, subject->path);
}

static void enter_not_started(Subject *subject, const char *role, const char *situation) {
        sd_bus *bus = subject->world->bus;
        bool is_client = g_str_equal(role, "client");

        if (g_str_equal(situation, "no peer") || (is_client && !*situation)) {
                uint16_t port = *situation ? 0 : 5684;

                subject->path = options_end_path(bus, begin_client(subject, port));
                return;
        }
        if (g_str_equal(role, SERVER) && !*situation) {
                subject->path = options_end_path(bus, begin_carried(subject, SERVER));
                return;
        }

        enter_complete(subject, role, "");
        if (g_str_equal(situation, "something left"))
                write_datagram(bus, subject->other, "left", 4);
        call_plainly(subject, *situation ? subject->other : subject->path, "Shutdown");
        subject->has_end = *situation;
}

static void enter_in_progress(Subject *subject, const char *role, const char *situation) {
        bool is_client = g_str_equal(role, "client");
        bool is_asked = g_str_equal(situation, "asked");

        if (is_client && !is_asked)
                start_silently(subject, g_str_equal(situation, "timed out"));
        else
                start_with_keys(subject, role, !is_client && is_asked, is_client || !is_asked);
        if (is_asked)
                wait_signal(subject, "PskRequired");
        if (g_str_equal(situation, "timed out"))
                wait_signal(subject, "HandshakeTimeout");
}

static void ignore_all(const Subject *subject) {
        sd_bus_message *errors = NULL, *m = NULL;
        sd_bus *bus = subject->world->bus;

        g_assert_cmpint(sd_bus_get_property(bus, NAME, subject->path, CONNECTION,
                                            "PeerVerificationErrors", NULL, &errors, "a(say)"),
                        >=, 0);
        g_assert_cmpint(sd_bus_message_new_method_call(bus, &m, NAME, subject->path, CONNECTION,
                                                       "IgnoreVerificationErrors"),
                        >=, 0);
        g_assert_cmpint(sd_bus_message_copy(m, errors, true), >=, 0);
        g_assert_cmpint(sd_bus_call(bus, m, CALL_USEC, NULL, NULL), >=, 0);
        (void)sd_bus_message_unref(m);
        (void)sd_bus_message_unref(errors);
}

static void enter_failed(Subject *subject, const char *role, const char *situation) {
        start_with_certificates(subject, role);
        wait_string(subject->world->bus, subject->path, CONNECTION, "HandshakeState", FAILED);
        if (g_str_equal(situation, "all ignored"))
                ignore_all(subject);
}

static bool has_arrived(void *userdata) {
        const Subject *subject = userdata;

        return get_counter(subject->world->bus, subject->path, CONNECTION, "Statistics",
                           "DatagramsDelivered") > 0;
}

static void subject_init(Subject *subject, World *world, const char *role, const char *state,
                         const char *situation) {
        *subject = (Subject){.world = world, .silent_fd = -1, .channel_fd = -1};
        if (g_str_equal(state, NOT_STARTED))
                enter_not_started(subject, role, situation);
        else if (g_str_equal(state, IN_PROGRESS))
                enter_in_progress(subject, role, situation);
        else if (g_str_equal(state, FAILED))
                enter_failed(subject, role, situation);
        else
                enter_complete(subject, role, situation);

        if (g_str_equal(situation, "something left") && g_str_equal(state, COMPLETE))
                write_datagram(world->bus, subject->other, "left", 4);
        if (g_str_equal(situation, "something left"))
                bus_wait(world->bus, has_arrived, subject, "the datagram");
        wait_string(world->bus, subject->path, CONNECTION, "HandshakeState", state);
}

/* What is still there of it goes. */
static void subject_done(Subject *subject) {
        sd_bus *bus = subject->world->bus;
        const char *const paths[] = {subject->path, subject->other};

        memset(subject->world->carried, 0, sizeof(subject->world->carried));
        for (size_t i = 0; i < G_N_ELEMENTS(paths); i++)
                if (paths[i])
                        (void)sd_bus_call_method(bus, NAME, paths[i], CONNECTION, "Close", NULL,
                                                 NULL, "");
        if (subject->listener)
                close_object(bus, subject->listener, LISTENER);
        if (subject->silent_fd >= 0)
                (void)close(subject->silent_fd);
        if (subject->channel_fd >= 0)
                (void)close(subject->channel_fd);
        (void)sd_bus_message_unref(subject->reply);
        g_free(subject->path);
        g_free(subject->other);
        g_free(subject->listener);
}

/* ---- the calls ---- */

#define APPEND(name, ...)                                                                          \
        static int append_##name(sd_bus_message *m) {                                              \
                return sd_bus_message_append(m, __VA_ARGS__);                                      \
        }

APPEND(peer, "sqs", "127.0.0.1", 5684, "")
APPEND(name, "s", "localhost")
APPEND(mtu, "q", 1280)
APPEND(bytes, "ay", 0)
APPEND(datagram, "ay", 1, 'x')
APPEND(options, "a{sv}", 0)
APPEND(errors, "a(say)", 0)
APPEND(export, "sayu", "EXPORTER-test", 0, 16)
APPEND(cookie, "say", "Sha256", 1, 's')
APPEND(share, "sas", "uid:5", 1, "read")
APPEND(subject, "s", "uid:5")

static int append_psk(sd_bus_message *m) {
        int r;

        r = sd_bus_message_append_array(m, 'y', PSK_IDENTITY, strlen(PSK_IDENTITY));
        return r < 0 ? r : sd_bus_message_append_array(m, 'y', PSK_KEY, strlen(PSK_KEY));
}

/* With arguments that are right. */
static const struct {
        const char *method;
        int (*append)(sd_bus_message *m); /* NULL: it has none */
} calls[] = {
        {"SetPeer", append_peer},
        {"SetPeerVerificationName", append_name},
        {"SetConfiguration", append_options},
        {"SetMtuHint", append_mtu},
        {"IgnoreVerificationErrors", append_errors},
        {"DoHandshake", append_bytes},
        {"HandleTimeout", NULL},
        {"ResumeHandshake", NULL},
        {"AbortHandshake", NULL},
        {"ProvidePsk", append_psk},
        {"RefusePsk", NULL},
        {"WriteDatagramEncrypted", append_datagram},
        {"ReadDatagram", append_options},
        {"DecryptDatagram", append_datagram},
        {"OpenCarrier", NULL},
        {"OpenChannel", append_options},
        {"ExportKeyingMaterial", append_export},
        {"GetSessionTicket", NULL},
        {"Shutdown", NULL},
        {"Share", append_share},
        {"Unshare", append_subject},
        {"Close", NULL},
        {"SetCookieGeneratorParameters", append_cookie},
        {"GetCookieGeneratorParameters", NULL},
};

static sd_bus_message *call_new(const Subject *subject, const char *method) {
        sd_bus_message *m = NULL;

        g_assert_cmpint(sd_bus_message_new_method_call(subject->world->bus, &m, NAME, subject->path,
                                                       CONNECTION, method),
                        >=, 0);
        for (size_t i = 0; i < G_N_ELEMENTS(calls); i++) {
                if (!g_str_equal(calls[i].method, method))
                        continue;
                if (calls[i].append)
                        g_assert_cmpint(calls[i].append(m), >=, 0);
                return m;
        }

        g_error("this test does not know how to call %s", method);
}

/* ---- what comes of them ---- */

typedef struct Result {
        bool worked;
        char *text; /* "works", "true", "false", or the error's name without prefix */
} Result;

static Result make_call(Subject *subject, const char *method) {
        sd_bus_message *m = call_new(subject, method);
        sd_bus_error error = SD_BUS_ERROR_NULL;
        Result result = {.worked = true};
        int yes;

        if (sd_bus_call(subject->world->bus, m, CALL_USEC, &error, &subject->reply) < 0) {
                g_assert_true(g_str_has_prefix(error.name, ERROR_PREFIX));
                g_assert_cmpstr(error.message, !=, "");
                result = (Result){false, g_strdup(error.name + strlen(ERROR_PREFIX))};
        } else if (sd_bus_message_has_signature(subject->reply, "b")) {
                g_assert_cmpint(sd_bus_message_read(subject->reply, "b", &yes), >=, 0);
                result.text = g_strdup(yes ? "true" : "false");
        } else {
                result.text = g_strdup("works");
        }
        sd_bus_error_free(&error);
        (void)sd_bus_message_unref(m);
        return result;
}

/* What the property Error begins with after the call. */
static const char *expected_error(const Subject *subject, const Result *result, const char *state,
                                  const char *before) {
        if (result->worked && (subject->has_end || subject->is_read || g_str_equal(state, FAILED)))
                return before;
        if (result->worked)
                return "NoError: ";
        if (g_str_equal(result->text, "TimedOut"))
                return before; /* that nothing has arrived is no error */

        return g_str_equal(result->text, "ChannelInUse") ? "InvalidOperation" : result->text;
}

static bool is_gone(void *userdata) {
        const Subject *subject = userdata;
        sd_bus_error error = SD_BUS_ERROR_NULL;
        char *state = NULL;
        bool gone;

        (void)sd_bus_get_property_string(subject->world->bus, NAME, subject->path, CONNECTION,
                                         "HandshakeState", &error, &state);
        gone = g_strcmp0(error.name, "org.freedesktop.DBus.Error.UnknownObject") == 0;
        sd_bus_error_free(&error);
        free(state);
        return gone;
}

static void check_gone(Subject *subject) {
        bus_wait(subject->world->bus, is_gone, subject, "the object's end");
}

/* @to: the state it leads to; @with: how Error begins then, or NULL: as always. */
static void check_after(Subject *subject, const Result *result, const char *to, const char *before,
                        const char *with) {
        g_autofree char *error = NULL;
        const char *expected;

        if (g_str_equal(to, GONE)) {
                check_gone(subject);
                return;
        }

        wait_string(subject->world->bus, subject->path, CONNECTION, "HandshakeState", to);
        error = get_error(subject->world->bus, subject->path);
        expected = with ? with : expected_error(subject, result, to, before);
        if (!g_str_has_prefix(error, expected))
                g_error("Error is '%s', it should be %s", error, expected);
}

static void check_outcome(Subject *subject, const char *method, const char *state,
                          const char *outcome) {
        g_auto(GStrv) words = g_strsplit(outcome, " ", -1);
        bool moves = g_str_equal(words[0], "→");
        bool has_with = moves && g_strcmp0(words[2], "with") == 0;
        g_autofree char *before = NULL;
        Result result;

        if (!subject->has_end) /* for what works to clear */
                g_free(call_refused("InvalidInputParameters", subject->world->bus, subject->path,
                                    CONNECTION, "SetMtuHint", "q", 1));
        before = get_error(subject->world->bus, subject->path);
        subject->is_read = g_str_has_prefix(method, "Get");

        result = make_call(subject, method);
        g_assert_cmpstr(result.text, ==,
                        moves                        ? "works"
                        : g_str_equal(outcome, "op") ? "InvalidOperation"
                                                     : outcome);
        check_after(subject, &result, moves ? words[1] : state, before, has_with ? words[3] : NULL);
        g_free(result.text);
}

static void check_clause(World *world, const char *method, const char *role, const char *state,
                         const Clause *clause) {
        Subject subject;

        g_test_message("%s of a %s in %s, %s: %s", method, role, state,
                       *clause->situation ? clause->situation : "as usual", clause->outcome);
        subject_init(&subject, world, role, state, clause->situation);
        check_outcome(&subject, method, state, clause->outcome);
        subject_done(&subject);
}

/* Each part of a cell, for each role it is about; and each role has one as usual. */
static void check_cell(World *world, const char *method, const char *state, const char *cell) {
        g_auto(GStrv) clauses = g_strsplit(cell, "; ", -1);

        for (size_t i = 0; roles[i]; i++) {
                unsigned n_usual = 0;

                for (size_t j = 0; clauses[j]; j++) {
                        Clause clause = clause_parse(clauses[j]);

                        if (!clause.who ||
                            g_strv_contains((const char *const *)clause.who, roles[i])) {
                                n_usual += *clause.situation == '\0';
                                check_clause(world, method, roles[i], state, &clause);
                        }
                        clause_done(&clause);
                }
                if (n_usual != 1)
                        g_error("%s in %s is said %u times for a %s", method, state, n_usual,
                                roles[i]);
        }
}

/* ---- the tests ---- */

static void set_up(World *world) {
        world->service = service_start(NULL);
        world->bus = service_bus(world->service, UID_ALICE);
        world->ear = ear_new(world->bus);
        g_assert_cmpint(sd_bus_add_filter(world->bus, &world->carrying, on_signal, world), >=, 0);
        world->authority = test_identity_new("CA", NULL, TEST_IDENTITY_CA, TEST_KEY_ECDSA);
        world->server = test_identity_new("localhost", world->authority, TEST_IDENTITY_LOOPBACK,
                                          TEST_KEY_ECDSA);
        world->stranger = test_identity_new("stranger", NULL, 0, TEST_KEY_ECDSA);
}

static void tear_down(World *world) {
        (void)sd_bus_slot_unref(world->carrying);
        world->ear = ear_free(world->ear);
        (void)bus_leave(world->bus);
        service_stop(world->service);
        (void)test_identity_free(world->authority);
        (void)test_identity_free(world->server);
        (void)test_identity_free(world->stranger);
}

static void test_row(const void *data) {
        const Row *row = data;
        World world = {};

        set_up(&world);
        for (size_t i = 0; states[i]; i++)
                check_cell(&world, row->method, states[i], row->cells[i]);
        tear_down(&world);
}

static void test_every_method_has_a_row(const void *data) {
        const GPtrArray *rows = data;
        g_autofree char *xml = read_interfaces(CONNECTION ".xml");
        g_autoptr(GRegex) pattern = g_regex_new("<method name=\"(\\w+)\"", 0, 0, NULL);
        g_autoptr(GMatchInfo) match = NULL;
        guint n = 0;

        for (g_regex_match(pattern, xml, 0, &match); g_match_info_matches(match);
             g_match_info_next(match, NULL)) {
                g_autofree char *method = g_match_info_fetch(match, 1);
                bool found = false;

                for (guint i = 0; i < rows->len; i++)
                        found |= g_str_equal(((const Row *)rows->pdata[i])->method, method);
                if (!found)
                        g_error("%s has no row", method);
                n++;
        }
        g_assert_cmpuint(n, ==, rows->len);
}

int main(int argc, char **argv) {
        g_autoptr(GPtrArray) rows = read_table();
        int r;

        g_test_init(&argc, &argv, NULL);
        g_test_add_data_func("/states/every-method-has-a-row", rows, test_every_method_has_a_row);
        for (guint i = 0; i < rows->len; i++) {
                Row *row = g_ptr_array_index(rows, i);
                g_autofree char *path = g_strdup_printf("/states/of/%s", row->method);

                g_test_add_data_func(path, row, test_row);
        }
        r = g_test_run();
        g_strfreev(states);
        return r;
}
