/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who may: every method of every object, called by its owner, by the owner's other names, by root
 * and by a stranger, against the table of interfaces/README.md; and what ListConnections shows to
 * whom.
 */

#include "base/terms.h"
#include "bus/private.h"
#include "lib/contract.h"
#include "seat.h"

#include <string.h>

#define OWNER ":1.1"
#define SIBLING ":1.2" /* the owner's uid, another name */
#define STRANGER ":1.3"
#define ROOT_USER ":1.4"
#define NOT_AUTHORIZED ERROR_PREFIX "NotAuthorized"
#define LISTENER NAME ".Listener"
#define VERIFIER NAME ".ClientVerifier"

typedef struct World {
        Seat *seat;
        Connection *connection;
        Listener *listener;
        char *connection_path, *listener_path, *verifier_path;
} World;

static World world_new(const char *owner) {
        World world = {.seat = seat_new()};

        seat_enter(world.seat, OWNER, 1000);
        seat_enter(world.seat, SIBLING, 1000);
        seat_enter(world.seat, STRANGER, 1001);
        seat_enter(world.seat, ROOT_USER, 0);
        world.connection = fake_connection(world.seat->relay, 1000, owner, true);
        world.listener = fake_listener(world.seat->relay, 1000, owner);
        world.connection_path = g_strdup_printf(ROOT "/connection/%u", fake_id(world.connection));
        world.listener_path =
                g_strdup_printf(ROOT "/listener/%u", listener_facts(world.listener).id);
        world.verifier_path =
                g_strdup_printf(ROOT "/verifier/%u",
                                verifier_facts(fake_verifier(world.seat->relay, 1000, owner)).id);
        return world;
}

static void world_done(World *world) {
        seat_free(world->seat);
        g_free(world->connection_path);
        g_free(world->listener_path);
        g_free(world->verifier_path);
}

/* Nothing, or empty, of each type: enough to come to the question of who may. */
static void append_nothing(sd_bus_message *m, const char *signature) {
        while (signature && *signature) {
                const char *end = signature + 1;
                g_autofree char *contents = NULL;
                int r;

                if (*signature != 'a') {
                        r = strchr("so", *signature)
                                    ? sd_bus_message_append_basic(m, *signature, "/")
                                    : sd_bus_message_append_basic(m, *signature, &(uint64_t){0});
                } else {
                        for (int depth = 0; depth > 0 || end == signature + 1; end++)
                                depth += strchr("({", *end) ? 1 : strchr(")}", *end) ? -1 : 0;
                        contents = g_strndup(signature + 1, (gsize)(end - signature - 1));
                        r = sd_bus_message_open_container(m, 'a', contents);
                        if (r >= 0)
                                r = sd_bus_message_close_container(m);
                }
                g_assert_cmpint(r, >=, 0);
                signature = end;
        }
}

static void assert_answer(World *world, const char *sender, const char *path, const char *interface,
                          const sd_bus_vtable *row, const char *expected) {
        sd_bus_message *m =
                seat_message(world->seat, sender, path, interface, row->x.method.member);
        g_autoptr(Call) call = NULL;

        append_nothing(m, row->x.method.signature);
        call = seat_send(world->seat, m);
        seat_run(world->seat);
        if (g_strcmp0(call_error(call), expected) != 0)
                g_error("%s to %s: %s, expected %s", row->x.method.member, sender, call_error(call),
                        expected);
}

/* Each method of @vtable; returns how many there are. */
static unsigned assert_all(World *world, const char *sender, const char *path,
                           const char *interface, const sd_bus_vtable *vtable,
                           const char *expected) {
        unsigned n = 0;

        for (const sd_bus_vtable *row = vtable + 1; row->type != _SD_BUS_VTABLE_END; row++) {
                if (row->type != _SD_BUS_VTABLE_METHOD)
                        continue;

                assert_answer(world, sender, path, interface, row, expected);
                n++;
        }

        return n;
}

static void a_stranger_finds_nothing(void) {
        World world = world_new(OWNER);
        unsigned n;

        n = assert_all(&world, STRANGER, world.connection_path, CONNECTION, connection_vtable,
                       SD_BUS_ERROR_UNKNOWN_OBJECT);
        n += assert_all(&world, STRANGER, world.listener_path, LISTENER, listener_vtable,
                        SD_BUS_ERROR_UNKNOWN_OBJECT);
        n += assert_all(&world, STRANGER, world.verifier_path, VERIFIER, verifier_vtable,
                        SD_BUS_ERROR_UNKNOWN_OBJECT);
        g_assert_cmpuint(n, >, 20);
        world_done(&world);
}

static void a_stranger_reads_nothing(void) {
        World world = world_new(OWNER);
        g_autoptr(Call) all =
                seat_call(world.seat, STRANGER, world.connection_path,
                          "org.freedesktop.DBus.Properties", "GetAll", "s", CONNECTION);
        g_autoptr(Call) one =
                seat_call(world.seat, STRANGER, world.listener_path,
                          "org.freedesktop.DBus.Properties", "Get", "ss", LISTENER, "LocalPort");
        g_autoptr(Call) root =
                seat_call(world.seat, ROOT_USER, world.listener_path,
                          "org.freedesktop.DBus.Properties", "Get", "ss", LISTENER, "LocalPort");

        seat_run(world.seat);
        g_assert_cmpstr(call_error(all), ==, SD_BUS_ERROR_UNKNOWN_OBJECT);
        g_assert_cmpstr(call_error(one), ==, SD_BUS_ERROR_UNKNOWN_OBJECT);
        g_assert_cmpstr(call_error(root), ==, NULL);
        world_done(&world);
}

/* The same word for word, so that nobody can count what others have. */
static void foreign_and_missing_look_the_same(void) {
        World world = world_new(OWNER);
        g_autoptr(Call) foreign =
                seat_call(world.seat, STRANGER, world.connection_path, CONNECTION, "Shutdown", "");
        g_autoptr(Call) missing =
                seat_call(world.seat, STRANGER, ROOT "/connection/999", CONNECTION, "Shutdown", "");
        g_autofree char *expected = NULL;
        GString *text = NULL;

        seat_run(world.seat);
        text = g_string_new(sd_bus_message_get_error(foreign->reply)->message);
        (void)g_string_replace(text, world.connection_path, ROOT "/connection/999", 0);
        expected = g_string_free(text, FALSE);
        g_assert_cmpstr(call_error(foreign), ==, call_error(missing));
        g_assert_cmpstr(sd_bus_message_get_error(missing->reply)->message, ==, expected);
        world_done(&world);
}

static void only_the_owning_name_may(void) {
        static const char *const others[] = {SIBLING, ROOT_USER};
        World world = world_new(OWNER);

        for (size_t i = 0; i < G_N_ELEMENTS(others); i++) {
                (void)assert_all(&world, others[i], world.connection_path, CONNECTION,
                                 connection_vtable, NOT_AUTHORIZED);
                (void)assert_all(&world, others[i], world.listener_path, LISTENER, listener_vtable,
                                 NOT_AUTHORIZED);
                (void)assert_all(&world, others[i], world.verifier_path, VERIFIER, verifier_vtable,
                                 NOT_AUTHORIZED);
        }
        world_done(&world);
}

static void any_name_of_the_user_may_what_is_persistent(void) {
        World world = world_new(NULL);
        g_autoptr(Call) sibling =
                seat_call(world.seat, SIBLING, world.connection_path, CONNECTION, "Shutdown", "");
        g_autoptr(Call) root =
                seat_call(world.seat, ROOT_USER, world.connection_path, CONNECTION, "Shutdown", "");

        seat_run(world.seat);
        g_assert_cmpstr(call_error(sibling), ==, NULL);
        g_assert_cmpstr(call_error(root), ==, NOT_AUTHORIZED);
        world_done(&world);
}

static void what_belongs_to_no_name_its_user_and_root_may_close(void) {
        World world = world_new("");
        g_autoptr(Call) other =
                seat_call(world.seat, SIBLING, world.connection_path, CONNECTION, "Shutdown", "");
        g_autoptr(Call) stranger =
                seat_call(world.seat, STRANGER, world.listener_path, LISTENER, "Close", "");
        g_autoptr(Call) sibling = NULL, root = NULL;

        seat_run(world.seat);
        g_assert_cmpstr(call_error(other), ==, NOT_AUTHORIZED);
        g_assert_nonnull(
                strstr(sd_bus_message_get_error(other->reply)->message, "The bus was lost"));
        g_assert_cmpstr(call_error(stranger), ==, SD_BUS_ERROR_UNKNOWN_OBJECT);

        sibling = seat_call(world.seat, SIBLING, world.connection_path, CONNECTION, "Close", "");
        root = seat_call(world.seat, ROOT_USER, world.listener_path, LISTENER, "Close", "");
        seat_run(world.seat);
        g_assert_cmpstr(call_error(sibling), ==, NULL);
        g_assert_cmpstr(call_error(root), ==, NULL);
        world_done(&world);
}

/* ---- rights by a share ---- */

#define SHARED ":1.5"
#define SHARED_UID 1005

/* "owner, `write`, `read`" of a method, from the table of interfaces/README.md. */
static const char *who_may(const Contract *contract, const char *member) {
        g_autofree char *name = g_strconcat("Connection.", member, NULL);

        return contract_find(contract, name)->who;
}

static const char *answer_to(World *world, const char *sender, const sd_bus_vtable *row) {
        sd_bus_message *m = seat_message(world->seat, sender, world->connection_path, CONNECTION,
                                         row->x.method.member);
        g_autoptr(Call) call = NULL;

        append_nothing(m, row->x.method.signature);
        call = seat_send(world->seat, m);
        seat_run(world->seat);
        return g_intern_string(call_error(call) ? call_error(call) : "");
}

static void each_right_is_good_for_what_the_table_says(void) {
        static const char *const rights[] = {"inspect", "read", "write", "control"};
        g_autoptr(Contract) contract = contract_new();
        unsigned n_allowed = 0;

        for (size_t i = 0; i < G_N_ELEMENTS(rights); i++) {
                World world = world_new(OWNER);
                g_autofree char *quoted = g_strdup_printf("`%s`", rights[i]);
                g_autoptr(Call) share = NULL;

                seat_enter(world.seat, SHARED, SHARED_UID);
                share = seat_call(world.seat, OWNER, world.connection_path, CONNECTION, "Share",
                                  "sas", "uid:1005", 1, rights[i]);
                seat_run(world.seat);
                g_assert_cmpstr(call_error(share), ==, NULL);

                for (const sd_bus_vtable *row = connection_vtable + 1;
                     row->type != _SD_BUS_VTABLE_END; row++) {
                        const char *who;
                        bool may;

                        if (row->type != _SD_BUS_VTABLE_METHOD)
                                continue;

                        who = who_may(contract, row->x.method.member);
                        may = !g_str_equal(answer_to(&world, SHARED, row), NOT_AUTHORIZED);
                        if (may != (strstr(who, quoted) != NULL))
                                g_error("%s by right %s: the table says '%s'", row->x.method.member,
                                        rights[i], who);
                        n_allowed += may;
                }
                g_assert_cmpstr(answer_to(&world, STRANGER, connection_vtable + 1), ==,
                                SD_BUS_ERROR_UNKNOWN_OBJECT);
                world_done(&world);
        }
        g_assert_cmpuint(n_allowed, >=, 9);
}

static void what_cannot_be_shared_is_refused(void) {
        static const char *const subjects[] = {"",         "uid:",           "uid:bob",
                                               "bob",      "uid:-1",         "uid:+1",
                                               "uid: 1",   "uid:4294967295", "uid:4294967296",
                                               "gid:0x10", "UID:1",          "uid:1 ",
                                               "gid",      "pid:1",          "uid:1.0",
                                               "uid::1",   "uid:1\n",        "uid:\xc3\xa9"};
        World world = world_new(OWNER);

        for (size_t i = 0; i < G_N_ELEMENTS(subjects); i++) {
                g_autoptr(Call) share =
                        seat_call(world.seat, OWNER, world.connection_path, CONNECTION, "Share",
                                  "sas", subjects[i], 1, "read");
                g_autoptr(Call) unshare = seat_call(world.seat, OWNER, world.connection_path,
                                                    CONNECTION, "Unshare", "s", subjects[i]);

                seat_run(world.seat);
                g_test_message("'%s'", subjects[i]);
                g_assert_cmpstr(call_error(share), ==, ERROR_PREFIX "InvalidInputParameters");
                g_assert_cmpstr(call_error(unshare), ==, ERROR_PREFIX "InvalidInputParameters");
                g_assert_nonnull(strstr(sd_bus_message_get_error(share->reply)->message, "uid:N"));
        }
        world_done(&world);
}

static void a_right_that_is_none_is_refused(void) {
        World world = world_new(OWNER);
        g_autoptr(Call) none = seat_call(world.seat, OWNER, world.connection_path, CONNECTION,
                                         "Share", "sas", "uid:1005", 0);
        g_autoptr(Call) unknown = seat_call(world.seat, OWNER, world.connection_path, CONNECTION,
                                            "Share", "sas", "uid:1005", 2, "read", "execute");
        g_autoptr(Call) many =
                seat_call(world.seat, OWNER, world.connection_path, CONNECTION, "Share", "sas",
                          "uid:1005", 5, "read", "read", "read", "read", "read");

        seat_run(world.seat);
        g_assert_cmpstr(call_error(many), ==, ERROR_PREFIX "InvalidInputParameters");
        g_assert_cmpstr(call_error(none), ==, ERROR_PREFIX "InvalidInputParameters");
        g_assert_cmpstr(call_error(unknown), ==, ERROR_PREFIX "InvalidInputParameters");
        g_assert_nonnull(strstr(sd_bus_message_get_error(unknown->reply)->message,
                                "'execute' is no right; the rights are read, write, inspect, "
                                "control"));
        g_assert_null(connection_facts(world.connection).spec->shares);
        world_done(&world);
}

/* ---- ListConnections ---- */

/* The numbers of the paths, "1 2 5". */
static char *listed(World *world, const char *sender, uint64_t after, uint32_t max, const char *key,
                    const char *type, const void *value) {
        sd_bus_message *m = seat_message(world->seat, sender, ROOT, MANAGER, "ListConnections");
        GString *numbers = g_string_new(NULL);
        g_autoptr(Call) call = NULL;
        const char *path;

        g_assert_cmpint(sd_bus_message_append(m, "tu", after, max), >=, 0);
        if (!key)
                g_assert_cmpint(sd_bus_message_append(m, "a{sv}", 0), >=, 0);
        else if (*type == 'b')
                g_assert_cmpint(sd_bus_message_append(m, "a{sv}", 1, key, "b", 1), >=, 0);
        else
                g_assert_cmpint(sd_bus_message_append(m, "a{sv}", 1, key, type, value), >=, 0);
        call = seat_send(world->seat, m);
        seat_run(world->seat);
        g_assert_cmpstr(call_error(call), ==, NULL);

        g_assert_cmpint(sd_bus_message_enter_container(call->reply, 'a', "(oa{sv})"), >, 0);
        while (sd_bus_message_enter_container(call->reply, 'r', "oa{sv}") > 0) {
                g_assert_cmpint(sd_bus_message_read(call->reply, "o", &path), >, 0);
                g_assert_cmpint(sd_bus_message_skip(call->reply, "a{sv}"), >, 0);
                g_assert_cmpint(sd_bus_message_exit_container(call->reply), >=, 0);
                g_string_append_printf(numbers, "%s%s", numbers->len > 0 ? " " : "",
                                       strrchr(path, '/') + 1);
        }

        return g_string_free(numbers, FALSE);
}

static void assert_listed(World *world, const char *sender, uint64_t after, uint32_t max,
                          const char *key, const char *type, const void *value,
                          const char *expected) {
        g_autofree char *numbers = listed(world, sender, after, max, key, type, value);

        g_assert_cmpstr(numbers, ==, expected);
}

static void lists_what_the_caller_sees_page_by_page(void) {
        World world = world_new(OWNER); /* 1, and the listener 2 */
        Relay *relay = world.seat->relay;

        (void)fake_connection(relay, 1001, STRANGER, true); /* 3 */
        (void)fake_connection(relay, 1000, SIBLING, true);  /* 4 */
        (void)fake_connection(relay, 1000, NULL, true);     /* 5 */
        (void)fake_connection(relay, 1000, OWNER, false);   /* 6 */
        fake_state(world.connection, HANDSHAKE_COMPLETE, DTLS_NO_ERROR, "");

        assert_listed(&world, OWNER, 0, 10, NULL, NULL, NULL, "1 4 5 6");
        assert_listed(&world, OWNER, 0, 2, NULL, NULL, NULL, "1 4");
        assert_listed(&world, OWNER, 4, 2, NULL, NULL, NULL, "5 6");
        assert_listed(&world, OWNER, 6, 2, NULL, NULL, NULL, "");
        assert_listed(&world, OWNER, UINT64_MAX, 2, NULL, NULL, NULL, "");
        assert_listed(&world, STRANGER, 0, UINT32_MAX, NULL, NULL, NULL, "3");
        assert_listed(&world, ROOT_USER, 0, 1000, NULL, NULL, NULL, "1 3 4 5 6");
        assert_listed(&world, OWNER, 0, 10, "Mine", "b", NULL, "1 5 6");
        assert_listed(&world, SIBLING, 0, 10, "Mine", "b", NULL, "4 5");
        assert_listed(&world, ROOT_USER, 0, 10, "Mine", "b", NULL, "");
        assert_listed(&world, OWNER, 0, 10, "HandshakeState", "s", "HandshakeComplete", "1");
        assert_listed(&world, OWNER, 0, 10, "Listener", "o", "/", "1 4 5 6");
        assert_listed(&world, OWNER, 0, 10, "Listener", "o", world.listener_path, "");
        world_done(&world);
}

static void a_filter_that_is_none_is_refused(void) {
        World world = world_new(OWNER);
        g_autoptr(Call) key = seat_call(world.seat, OWNER, ROOT, MANAGER, "ListConnections",
                                        "tua{sv}", UINT64_C(0), 1, 1, "State", "s", "x");
        g_autoptr(Call) state =
                seat_call(world.seat, OWNER, ROOT, MANAGER, "ListConnections", "tua{sv}",
                          UINT64_C(0), 1, 1, "HandshakeState", "s", "Complete");
        g_autoptr(Call) none = seat_call(world.seat, OWNER, ROOT, MANAGER, "ListConnections",
                                         "tua{sv}", UINT64_C(0), 0, 0);

        seat_run(world.seat);
        g_assert_cmpstr(call_error(key), ==, ERROR_PREFIX "InvalidInputParameters");
        g_assert_cmpstr(call_error(state), ==, ERROR_PREFIX "InvalidInputParameters");
        g_assert_cmpstr(call_error(none), ==, ERROR_PREFIX "InvalidInputParameters");
        world_done(&world);
}

/* ---- text that is none ---- */

static void no_getter_breaks_of_bytes(void) {
        World world = world_new(OWNER);
        g_autoptr(Call) all = NULL;
        g_autoptr(Call) managed = NULL;
        const char *text;

        fake_state(world.connection, HANDSHAKE_NOT_STARTED, DTLS_TLS_FATAL_ERROR,
                   "bad \xff\xc0 text");
        fake_verification_error(world.connection, VERDICT_NO_PEER_CERTIFICATE);
        all = seat_call(world.seat, OWNER, world.connection_path, "org.freedesktop.DBus.Properties",
                        "Get", "ss", CONNECTION, "Error");
        managed = seat_call(world.seat, OWNER, ROOT, "org.freedesktop.DBus.ObjectManager",
                            "GetManagedObjects", "");
        seat_run(world.seat);
        g_assert_cmpstr(call_error(all), ==, NULL);
        g_assert_cmpstr(call_error(managed), ==, NULL);
        g_assert_cmpint(sd_bus_message_enter_container(all->reply, 'v', "(ss)"), >, 0);
        g_assert_cmpint(sd_bus_message_read(all->reply, "(ss)", NULL, &text), >, 0);
        g_assert_true(g_utf8_validate(text, -1, NULL));
        g_assert_true(g_str_has_prefix(text, "bad "));
        world_done(&world);
}

/* One object has one path. */
static void a_path_has_one_spelling(void) {
        static const char *const spellings[] = {
                "/connection/01",  "/connection/1_", "/connection/0", "/connection/4294967297",
                "/connection/1/1", "/Connection/1",  "/listener/1"};
        World world = world_new(OWNER);

        for (size_t i = 0; i < G_N_ELEMENTS(spellings); i++) {
                g_autofree char *path = g_strconcat(ROOT, spellings[i], NULL);
                g_autoptr(Call) call =
                        seat_call(world.seat, OWNER, path, CONNECTION, "Shutdown", "");

                seat_run(world.seat);
                g_test_message("%s", path);
                g_assert_cmpstr(call_error(call), ==, SD_BUS_ERROR_UNKNOWN_OBJECT);
        }
        world_done(&world);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/who/a-stranger-finds-nothing", a_stranger_finds_nothing);
        g_test_add_func("/who/a-stranger-reads-nothing", a_stranger_reads_nothing);
        g_test_add_func("/who/foreign-and-missing-look-the-same",
                        foreign_and_missing_look_the_same);
        g_test_add_func("/who/only-the-owning-name-may", only_the_owning_name_may);
        g_test_add_func("/who/any-name-of-the-user-may-what-is-persistent",
                        any_name_of_the_user_may_what_is_persistent);
        g_test_add_func("/who/what-belongs-to-no-name-its-user-and-root-may-close",
                        what_belongs_to_no_name_its_user_and_root_may_close);
        g_test_add_func("/who/each-right-is-good-for-what-the-table-says",
                        each_right_is_good_for_what_the_table_says);
        g_test_add_func("/who/what-cannot-be-shared-is-refused", what_cannot_be_shared_is_refused);
        g_test_add_func("/who/a-right-that-is-none-is-refused", a_right_that_is_none_is_refused);
        g_test_add_func("/who/lists-what-the-caller-sees-page-by-page",
                        lists_what_the_caller_sees_page_by_page);
        g_test_add_func("/who/a-filter-that-is-none-is-refused", a_filter_that_is_none_is_refused);
        g_test_add_func("/who/no-getter-breaks-of-bytes", no_getter_breaks_of_bytes);
        g_test_add_func("/who/a-path-has-one-spelling", a_path_has_one_spelling);
        return g_test_run();
}
