/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Policy: the administrator's rules in force, read again while connections run, and asked about.
 */

#include "world.h"

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void write_rules(const World *world, const char *rules) {
        g_autofree char *path =
                g_build_filename(service_directory(world->service), "policy.d", "10-x.conf", NULL);

        g_assert_true(g_file_set_contents(path, rules, -1, NULL));
        g_assert_cmpint(chmod(path, 0644), ==, 0);
}

static void reload(const World *world) {
        (void)sd_bus_message_unref(call(world->root, ROOT, MANAGER, "Reload", ""));
}

static void assert_says(const char *text, const char *what) {
        if (!strstr(text, what))
                g_error("'%s' does not say '%s'", text, what);
}

/* CheckAccess about an address: "allow: the rule". */
static char *check(sd_bus *bus, const char *action, const char *address, unsigned port) {
        sd_bus_message *reply = call(bus, ROOT, MANAGER, "CheckAccess", "sa{sv}", action, 2,
                                     "Address", "s", address, "Port", "q", port);
        const char *verdict, *rule;
        char *text;

        g_assert_cmpint(sd_bus_message_read(reply, "ss", &verdict, &rule), >, 0);
        text = g_strdup_printf("%s: %s", verdict, rule);
        (void)sd_bus_message_unref(reply);
        return text;
}

static char *refused_connect(sd_bus *bus, uint16_t port) {
        sd_bus_message *m = options_begin(bus, ROOT, MANAGER, "Connect", "sq", "127.0.0.1", port);

        options_add_psk(m, PSK_IDENTITY, PSK_KEY);
        return options_end_refused("NotAuthorized", bus, m);
}

/* ---- what is answered ---- */

static void test_a_user_can_ask_what_it_may(void) {
        World world;
        g_autofree char *connect = NULL, *below = NULL, *above = NULL, *text = NULL;

        if (!world_of_users(&world))
                return;

        connect = check(world.alice, "connect", "192.0.2.1", 5684);
        g_assert_cmpstr(connect, ==, "allow: What is one's own");
        below = check(world.alice, "io.github.dtlsd.dtlsd1.listen", "0.0.0.0", 853);
        g_assert_cmpstr(below, ==, "ask: Ports below 1024");
        above = check(world.alice, "listen", "::", 1024);
        g_assert_cmpstr(above, ==, "allow: What is one's own");
        text = call_refused("InvalidInputParameters", world.alice, ROOT, MANAGER, "CheckAccess",
                            "sa{sv}", "fly", 0);
        assert_says(text, "no action 'fly'");
        world_free(&world);
}

/* It would not change the answer, and who asks believe that it did. */
static void test_a_detail_is_of_its_verb(void) {
        World world;

        if (!world_of_users(&world))
                return;

        g_free(call_refused("InvalidInputParameters", world.alice, ROOT, MANAGER, "CheckAccess",
                            "sa{sv}", "connect", 1, "Port", "q", 5684));
        g_free(call_refused("InvalidInputParameters", world.alice, ROOT, MANAGER, "CheckAccess",
                            "sa{sv}", "persistent", 1, "Address", "s", "192.0.2.1"));
        g_free(call_refused("InvalidInputParameters", world.alice, ROOT, MANAGER, "CheckAccess",
                            "sa{sv}", "connect", 1, "Entry", "s", "identity:device"));
        (void)sd_bus_message_unref(call(world.alice, ROOT, MANAGER, "CheckAccess", "sa{sv}", "use",
                                        1, "Entry", "s", "identity:device"));
        world_free(&world);
}

static void test_root_can_ask_for_others_and_is_told_where(void) {
        World world;
        g_autofree char *text = NULL;
        sd_bus_message *reply;
        const char *verdict, *rule;

        if (!world_of_users(&world))
                return;

        write_rules(&world, "[Nobody of daemon]\nSubjects=group:daemon\nVerdict=deny\n"
                            "May=persistent\n");
        reload(&world);
        reply = call(world.root, ROOT, MANAGER, "CheckAccess", "sa{sv}", "persistent", 2, "Uid",
                     "u", 4000, "Gids", "au", 2, 7000, 1);
        g_assert_cmpint(sd_bus_message_read(reply, "ss", &verdict, &rule), >, 0);
        g_assert_cmpstr(verdict, ==, "deny");
        g_assert_true(g_str_has_prefix(rule, service_directory(world.service)));
        g_assert_true(g_str_has_suffix(rule, "/policy.d/10-x.conf:1: Nobody of daemon"));
        (void)sd_bus_message_unref(reply);

        text = call_refused("NotAuthorized", world.alice, ROOT, MANAGER, "CheckAccess", "sa{sv}",
                            "persistent", 1, "Uid", "u", 0);
        assert_says(text, "for root to name");
        world_free(&world);
}

/* ---- rules that change ---- */

static void test_a_new_rule_is_for_what_comes_and_spares_what_is(void) {
        World world;
        g_autofree char *listener = NULL, *open = NULL, *text = NULL, *log = NULL, *other = NULL;
        uint16_t port;
        int fd, queue;

        if (!world_of_users(&world))
                return;

        listener = listen_queue(world.bob, &port, &queue);
        open = connect_client(world.alice, port, &fd);
        write_rules(&world, "# the plant\n[No sensors]\nSubjects=user:daemon\nVerdict=deny\n"
                            "Connect=127.0.0.0/8\n");
        reload(&world);

        text = refused_connect(world.alice, port);
        assert_says(text, "User 1 may not connect here");
        assert_says(text, "rule 'No sensors'");
        log = service_log(world.service);
        assert_says(log, "10-x.conf:2");
        g_assert_null(strstr(text, "10-x.conf")); /* where it stands is not for everybody */

        g_assert_cmpint(send(fd, "still", 5, 0), ==, 5);
        {
                int theirs = accept_channel(queue);
                char buffer[16];

                g_assert_true(wait_fd(theirs) & POLLIN);
                g_assert_cmpint(recv(theirs, buffer, sizeof(buffer), 0), ==, 5);
                (void)close(theirs);
        }
        other = open_client(world.bob, port, false);
        (void)close(fd);
        (void)close(queue);
        world_free(&world);
}

static void test_a_broken_file_changes_nothing_and_is_named(void) {
        World world;
        g_autofree char *text = NULL, *verdict = NULL;

        if (!world_of_users(&world))
                return;

        write_rules(&world, "[Good]\nSubjects=any\nVerdict=deny\nConnect=*\n\n"
                            "[Bad]\nSubjects=any\nVerdict=perhaps\nConnect=*\n");
        text = call_refused("Failed", world.root, ROOT, MANAGER, "Reload", "");
        assert_says(text, "10-x.conf:6: [Bad] Verdict=: 'perhaps' is no verdict");
        verdict = check(world.alice, "connect", "192.0.2.1", 5684);
        g_assert_cmpstr(verdict, ==, "allow: What is one's own");
        world_free(&world);
}

static void test_reload_is_not_everybodys(void) {
        World world;
        g_autofree char *text = NULL, *verdict = NULL;

        if (!world_of_users(&world))
                return;

        write_rules(&world, "[Closed]\nSubjects=any\nVerdict=deny\nConnect=*\n");
        text = call_refused("NotAuthorized", world.alice, ROOT, MANAGER, "Reload", "");
        assert_says(text, "may not reload");
        verdict = check(world.alice, "connect", "192.0.2.1", 5684);
        g_assert_cmpstr(verdict, ==, "allow: What is one's own");
        world_free(&world);
}

static bool is_denied(void *userdata) {
        const World *world = userdata;
        g_autofree char *verdict = check(world->alice, "connect", "192.0.2.1", 5684);

        return g_str_equal(verdict, "deny: Closed");
}

static void test_a_hangup_reloads(void) {
        World world;

        if (!world_of_users(&world))
                return;

        write_rules(&world, "[Closed]\nSubjects=any\nVerdict=deny\nConnect=*\n");
        g_assert_cmpint(kill(service_pid(world.service), SIGHUP), ==, 0);
        bus_wait(world.alice, is_denied, &world, "the new rule");
        world_free(&world);
}

/* Asking for any port until the right one comes is no way round a rule. */
static void test_a_picked_port_is_judged_too(void) {
        World world;
        g_autofree char *text = NULL;

        if (!world_of_users(&world))
                return;

        write_rules(&world, "[Kept]\nSubjects=user:daemon\nVerdict=deny\nListen=*:1025-65535\n");
        reload(&world);
        text = call_refused("NotAuthorized", world.alice, ROOT, MANAGER, "Listen", "sqa{sv}",
                            "127.0.0.1", 0, 0);
        assert_says(text, "the port that the kernel picked is kept");
        wait_statistic(world.alice, "ListenersInUse", 0);
        world_free(&world);
}

/* Of a connection that runs: who sees it, who hears of it, and what its owner may do with it. */
static void test_rights_follow_the_rules(void) {
        g_autofree char *listener = NULL, *open = NULL, *state = NULL, *text = NULL;
        g_autoptr(Ear) bob = NULL;
        size_t n_heard;
        uint16_t port;
        World world;

        if (!world_of_users(&world))
                return;

        listener = listen_psk(world.alice, &port);
        open = open_client(world.alice, port, false);
        write_rules(&world, "[Look]\nSubjects=user:games\nVerdict=allow\nMay=inspect\n");
        reload(&world);
        bob = ear_new(world.bob);
        (void)sd_bus_message_unref(
                call(world.bob, ROOT, MANAGER, "Subscribe", "a{sv}", 1, "All", "b", true));
        state = get_string(world.bob, open, CONNECTION, "HandshakeState");
        g_assert_cmpstr(state, ==, "HandshakeComplete");
        (void)sd_bus_message_unref(call(world.alice, open, CONNECTION, "SetMtuHint", "q", 1300));
        (void)ear_wait(bob, "PropertiesChanged|");
        (void)sd_bus_message_unref(call(world.alice, open, CONNECTION, "ExportKeyingMaterial",
                                        "sayu", "EXPORTER-x", 0, 16));

        write_rules(&world, "[No keys]\nSubjects=user:daemon\nVerdict=deny\nMay=export-key\n");
        reload(&world);
        ear_catch_up(bob);
        n_heard = ear_count(bob, "");
        g_free(call_refused("org.freedesktop.DBus.Error.UnknownObject", world.bob, open, CONNECTION,
                            "Shutdown", ""));
        (void)sd_bus_message_unref(call(world.alice, open, CONNECTION, "SetMtuHint", "q", 1200));
        text = call_refused("NotAuthorized", world.alice, open, CONNECTION, "ExportKeyingMaterial",
                            "sayu", "EXPORTER-x", 0, 16);
        assert_says(text, "rule 'No keys'");
        write_datagram(world.alice, open, "still", 5);
        ear_catch_up(bob);
        g_assert_cmpuint(ear_count(bob, ""), ==, n_heard);

        write_rules(&world, "[Look]\nSubjects=user:games\nVerdict=allow\nMay=inspect\n");
        reload(&world);
        (void)sd_bus_message_unref(call(world.alice, open, CONNECTION, "Shutdown", ""));
        (void)ear_wait(bob, "StateChanged|");
        bob = ear_free(bob);
        world_free(&world);
}

/* ---- limits ---- */

static void test_a_rule_can_limit_one_user(void) {
        World world;
        g_autofree char *text = NULL;
        uint16_t port;

        if (!world_of_users(&world))
                return;

        write_rules(&world, "[Few]\nSubjects=user:daemon\nListenersPerUser=1\n");
        g_free(listen_psk(world.alice, &port));
        reload(&world);
        text = call_refused("QuotaExceeded", world.alice, ROOT, MANAGER, "Listen", "sqa{sv}",
                            "127.0.0.1", 0, 0);
        assert_says(text, "User 1 has 1 of 1 listeners");
        g_assert_cmpuint(get_counter(world.alice, ROOT, MANAGER, "Limits", "ListenersPerUser"), ==,
                         1);
        for (int i = 0; i < 3; i++)
                g_free(listen_psk(world.bob, &port));

        write_rules(&world, "");
        reload(&world);
        g_free(listen_psk(world.alice, &port));
        world_free(&world);
}

static char *listen_for_good(sd_bus *bus) {
        sd_bus_message *m = options_begin(bus, ROOT, MANAGER, "Listen", "sq", "127.0.0.1", 0);

        options_add_psk(m, PSK_IDENTITY, PSK_KEY);
        g_assert_cmpint(sd_bus_message_append(m, "{sv}", "Persistent", "b", 1), >=, 0);
        return options_end_path(bus, m);
}

/* Who made what outlives its program may have left the bus when the rules are read again. */
static void test_a_limit_of_one_user_outlives_its_programs(void) {
        g_autofree char *listener = NULL, *first = NULL, *second = NULL;
        World world;
        uint16_t port;

        if (!world_of_users(&world))
                return;

        write_rules(&world, "[Few]\nSubjects=user:daemon\nVerdict=allow\nMay=persistent\n"
                            "ConnectionsPerUser=1\n");
        reload(&world);
        listener = listen_for_good(world.alice);
        port = get_port(world.alice, listener);
        world.alice = sd_bus_flush_close_unref(world.alice);

        first = open_client(world.bob, port, /* persistent= */ false);
        reload(&world);
        second = create_client(world.bob, port, /* persistent= */ false);
        do_handshake(world.bob, second);
        wait_statistic_reaches(world.root, "ConnectionsRefused", 1);
        world_free(&world);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/policy/a-user-can-ask-what-it-may", test_a_user_can_ask_what_it_may);
        g_test_add_func("/policy/a-detail-is-of-its-verb", test_a_detail_is_of_its_verb);
        g_test_add_func("/policy/root-can-ask-for-others-and-is-told-where",
                        test_root_can_ask_for_others_and_is_told_where);
        g_test_add_func("/policy/a-new-rule-is-for-what-comes-and-spares-what-is",
                        test_a_new_rule_is_for_what_comes_and_spares_what_is);
        g_test_add_func("/policy/a-broken-file-changes-nothing-and-is-named",
                        test_a_broken_file_changes_nothing_and_is_named);
        g_test_add_func("/policy/reload-is-not-everybodys", test_reload_is_not_everybodys);
        g_test_add_func("/policy/a-hangup-reloads", test_a_hangup_reloads);
        g_test_add_func("/policy/a-picked-port-is-judged-too", test_a_picked_port_is_judged_too);
        g_test_add_func("/policy/rights-follow-the-rules", test_rights_follow_the_rules);
        g_test_add_func("/policy/a-rule-can-limit-one-user", test_a_rule_can_limit_one_user);
        g_test_add_func("/policy/a-limit-of-one-user-outlives-its-programs",
                        test_a_limit_of_one_user_outlives_its_programs);
        return g_test_run();
}
