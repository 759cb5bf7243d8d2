/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Polkit: where the rules say "ask", the real polkitd is asked, about the caller, and what it says
 * is done; and where there is none, or it goes, the answer is no.
 */

#include "authority.h"
#include "stage.h"

#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define POLKIT "org.freedesktop.PolicyKit1"
#define POLKIT_PATH "/org/freedesktop/PolicyKit1/Authority"
#define POLKIT_INTERFACE POLKIT ".Authority"
#define AGENT_INTERFACE POLKIT ".AuthenticationAgent"
#define AGENT_PATH "/agent"
#define ACTION "io.github.dtlsd.dtlsd1."

#define SOMEBODY_MUST_AUTHENTICATE                                                                 \
        "polkit.addRule(function(action, subject) { return polkit.Result.AUTH_ADMIN; });\n"

/* An agent: what asks a person. The test is the person. */
typedef struct Agent {
        sd_bus *bus;
        sd_bus_message *question; /* BeginAuthentication; NULL: none was asked */
        char *action, *cookie;
        unsigned n_asked, n_cancelled;
} Agent;

typedef struct World {
        Service *service;
        Authority *authority;
        sd_bus *root, *alice, *bob;
        Agent agent;
} World;

/* A call that is not waited for. */
typedef struct Sent {
        World *world;
        sd_bus_slot *slot;
        char *error, *text; /* NULL: none */
        bool is_answered;
} Sent;

static void write_rules(const World *world) {
        g_autofree char *path =
                g_build_filename(service_directory(world->service), "policy.d", "10-x.conf", NULL);

        g_assert_true(g_file_set_contents(
                path, "[Ask]\nSubjects=any\nVerdict=ask\nMay=persistent\nConnect=*\n", -1, NULL));
        g_assert_cmpint(chmod(path, 0644), ==, 0);
}

/* @rules: polkit's; NULL: no polkit yet. */
static bool world_new(World *world, const char *rules) {
        if (!authority_is_here())
                return false;

        *world = (World){.service = service_start(NULL)};
        world->root = service_bus(world->service, 0);
        world->alice = service_bus(world->service, UID_ALICE);
        world->bob = service_bus(world->service, UID_BOB);
        write_rules(world);
        (void)sd_bus_message_unref(call(world->root, ROOT, MANAGER, "Reload", ""));
        if (rules)
                world->authority = authority_start(world->service, NULL, rules);
        return true;
}

static void world_free(World *world) {
        (void)bus_leave(world->root);
        (void)bus_leave(world->alice);
        (void)bus_leave(world->bob);
        world->authority = authority_kill(world->authority);
        service_stop(world->service);
}

static void assert_says(const char *text, const char *what) {
        if (!strstr(text, what))
                g_error("'%s' does not say '%s'", text, what);
}

static sd_bus_message *create_persistent(sd_bus *bus) {
        sd_bus_message *m = options_begin(bus, ROOT, MANAGER, "CreateConnection", "s", "client");

        g_assert_cmpint(sd_bus_message_append(m, "{sv}", "Persistent", "b", true), >=, 0);
        return m;
}

static void assert_refused(sd_bus *bus, sd_bus_message *m, const char *why) {
        g_autofree char *text = options_end_refused("NotAuthorized", bus, m);

        assert_says(text, why);
}

/* ---- what it says ---- */

static void test_its_rules_decide_by_who_calls(void) {
        World world;

        if (!world_new(&world, "polkit.addRule(function(action, subject) {\n"
                               "  if (action.id != '" ACTION "persistent')\n"
                               "    return polkit.Result.NO;\n"
                               "  return subject.user == 'daemon' ? polkit.Result.YES\n"
                               "                                  : polkit.Result.NO;\n"
                               "});\n"))
                return;

        g_free(options_end_path(world.alice, create_persistent(world.alice)));
        assert_refused(world.bob, create_persistent(world.bob), "polkit says no");
        /* who denies it, whom, and where that is written */
        assert_refused(world.bob, create_persistent(world.bob),
                       "User 5 may not persistent here: polkit says no (rule 'Ask')");
        world_free(&world);
}

static sd_bus_message *create_to(sd_bus *bus, const char *address) {
        sd_bus_message *m = options_begin(bus, ROOT, MANAGER, "CreateConnection", "s", "client");

        g_assert_cmpint(sd_bus_message_append(m, "{sv}{sv}", "PeerAddress", "s", address,
                                              "PeerPort", "q", 5684),
                        >=, 0);
        return m;
}

static void test_its_rules_see_what_it_is_about(void) {
        World world;

        if (!world_new(&world, "polkit.addRule(function(action, subject) {\n"
                               "  var is_known = action.lookup('address') == '192.0.2.1:5684' ||\n"
                               "                 action.lookup('entry') == 'identity:device';\n"
                               "  return is_known ? polkit.Result.YES : polkit.Result.NO;\n"
                               "});\n"))
                return;

        g_free(options_end_path(world.alice, create_to(world.alice, "192.0.2.1")));
        assert_refused(world.alice, create_to(world.alice, "192.0.2.2"), "polkit says no");
        g_free(call_refused("NotAuthorized", world.alice, ROOT, MANAGER, "RemoveIdentity", "s",
                            "another"));
        g_free(call_refused("InvalidInputParameters", world.alice, ROOT, MANAGER, "RemoveIdentity",
                            "s", "device")); /* it may; there is none */
        world_free(&world);
}

/* The defaults of the shipped actions: an administrator has to authenticate. */
static void test_nobody_is_bothered_who_did_not_ask_for_it(void) {
        World world;
        sd_bus_message *m;

        if (!world_new(&world, ""))
                return;

        assert_refused(world.alice, create_persistent(world.alice),
                       "call with interactive authorization allowed");
        m = create_persistent(world.alice);
        g_assert_cmpint(sd_bus_message_set_allow_interactive_authorization(m, true), >=, 0);
        assert_refused(world.alice, m, "no agent is there to ask");
        world_free(&world);
}

/* ---- somebody is asked ---- */

static int on_begin(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Agent *agent = userdata;
        const char *action, *message, *icon, *cookie;

        g_assert_cmpint(sd_bus_message_read(m, "sss", &action, &message, &icon), >, 0);
        g_assert_cmpint(sd_bus_message_skip(m, "a{ss}"), >=, 0);
        g_assert_cmpint(sd_bus_message_read(m, "s", &cookie), >, 0);
        agent->n_asked++;
        if (agent->question)
                return 1; /* one is enough to answer */

        agent->action = g_strdup(action);
        agent->cookie = g_strdup(cookie);
        agent->question = sd_bus_message_ref(m);
        return 1;
}

static int on_cancel(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Agent *agent = userdata;

        agent->n_cancelled++;
        return sd_bus_reply_method_return(m, NULL);
}

static const sd_bus_vtable agent_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("BeginAuthentication", "sssa{ss}sa(sa{sv})", "", on_begin,
                      SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("CancelAuthentication", "s", "", on_cancel, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};

/* For @uid's names in this process; root may register one for anybody. */
static void agent_register(World *world, uid_t uid) {
        Agent *agent = &world->agent;
        sd_bus_error error = SD_BUS_ERROR_NULL;

        agent->bus = service_bus(world->service, 0);
        g_assert_cmpint(sd_bus_add_object_vtable(agent->bus, NULL, AGENT_PATH, AGENT_INTERFACE,
                                                 agent_vtable, agent),
                        >=, 0);
        if (sd_bus_call_method(agent->bus, POLKIT, POLKIT_PATH, POLKIT_INTERFACE,
                               "RegisterAuthenticationAgent", &error, NULL, "(sa{sv})ss",
                               "unix-process", 3, "pid", "u", (uint32_t)getpid(), "start-time", "t",
                               UINT64_C(0), "uid", "i", (int32_t)uid, "C", AGENT_PATH) < 0)
                g_error("no agent: %s: %s", error.name, error.message);
}

static void agent_done(Agent *agent) {
        (void)sd_bus_message_unref(agent->question);
        g_free(agent->action);
        g_free(agent->cookie);
        (void)bus_leave(agent->bus);
}

static bool agent_is_asked(void *userdata) {
        World *world = userdata;

        while (sd_bus_process(world->agent.bus, NULL) > 0)
                ;
        return world->agent.question;
}

static bool agent_is_released(void *userdata) {
        World *world = userdata;

        while (sd_bus_process(world->agent.bus, NULL) > 0)
                ;
        return world->agent.n_cancelled > 0;
}

/* What the helper that has checked a password says. */
static void agent_answers(Agent *agent, bool is_authenticated) {
        if (is_authenticated)
                g_assert_cmpint(sd_bus_call_method(agent->bus, POLKIT, POLKIT_PATH,
                                                   POLKIT_INTERFACE, "AuthenticationAgentResponse2",
                                                   NULL, NULL, "us(sa{sv})", 0, agent->cookie,
                                                   "unix-user", 1, "uid", "u", 0),
                                >=, 0);
        g_assert_cmpint(sd_bus_reply_method_return(agent->question, NULL), >=, 0);
}

static int on_answer(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Sent *sent = userdata;
        const sd_bus_error *refusal = sd_bus_message_get_error(reply);

        sent->is_answered = true;
        sent->error = g_strdup(refusal ? refusal->name : NULL);
        sent->text = g_strdup(refusal ? refusal->message : NULL);
        return 0;
}

/* A call for which somebody may be bothered. */
static void send_interactive(World *world, sd_bus *bus, Sent *sent) {
        sd_bus_message *m = create_persistent(bus);

        *sent = (Sent){.world = world};
        g_assert_cmpint(sd_bus_message_set_allow_interactive_authorization(m, true), >=, 0);
        g_assert_cmpint(sd_bus_message_close_container(m), >=, 0);
        g_assert_cmpint(sd_bus_call_async(bus, &sent->slot, m, on_answer, sent, CALL_USEC), >=, 0);
        (void)sd_bus_message_unref(m);
}

static bool sent_is_answered(void *userdata) {
        const Sent *sent = userdata;

        while (sent->world->agent.bus && sd_bus_process(sent->world->agent.bus, NULL) > 0)
                ;
        return sent->is_answered;
}

static void sent_wait(Sent *sent, const char *what) {
        bus_wait(sent->world->alice, sent_is_answered, sent, what);
}

static void sent_done(Sent *sent) {
        (void)sd_bus_slot_unref(sent->slot);
        g_free(sent->error);
        g_free(sent->text);
}

static void check_authentication(bool is_authenticated) {
        World world;
        Sent sent;

        if (!world_new(&world, SOMEBODY_MUST_AUTHENTICATE))
                return;

        agent_register(&world, UID_ALICE);
        send_interactive(&world, world.alice, &sent);
        bus_wait(world.alice, agent_is_asked, &world, "the question");
        g_assert_cmpstr(world.agent.action, ==, ACTION "persistent");
        g_assert_false(sent.is_answered);
        /* and in the meantime everybody is served */
        g_assert_cmpuint(get_statistic(world.bob, "CallsInUse"), ==, 1);

        agent_answers(&world.agent, is_authenticated);
        sent_wait(&sent, "the answer");
        if (is_authenticated) {
                g_assert_null(sent.error);
        } else {
                g_assert_cmpstr(sent.error, ==, ERROR_PREFIX "NotAuthorized");
                assert_says(sent.text, "polkit says no");
        }
        wait_statistic(world.bob, "CallsInUse", 0);
        sent_done(&sent);
        agent_done(&world.agent);
        world_free(&world);
}

static void test_who_authenticates_may(void) {
        check_authentication(true);
}

static void test_who_does_not_authenticate_may_not(void) {
        check_authentication(false);
}

/* The dialog is about nothing any more. */
static void test_a_question_goes_with_its_caller(void) {
        World world;
        Sent sent;

        if (!world_new(&world, SOMEBODY_MUST_AUTHENTICATE))
                return;

        agent_register(&world, UID_ALICE);
        send_interactive(&world, world.alice, &sent);
        bus_wait(world.alice, agent_is_asked, &world, "the question");
        sent.slot = sd_bus_slot_unref(sent.slot);
        world.alice = bus_leave(world.alice);
        bus_wait(world.bob, agent_is_released, &world, "that the question is taken back");
        wait_statistic(world.bob, "CallsInUse", 0);
        g_assert_cmpuint(get_statistic(world.bob, "FdsInUse"), ==, 0);
        sent_done(&sent);
        agent_done(&world.agent);
        world_free(&world);
}

/* ---- nobody answers ---- */

#define N_USERS 9 /* of whom eight may ask for all that the service asks at once */
#define N_EACH 8

typedef struct Askers {
        sd_bus *buses[N_USERS];
        Sent sent[N_USERS][N_EACH];
} Askers;

/* The last that was; NULL: none. */
static const Sent *find_answered(Askers *askers, unsigned *ret_n) {
        const Sent *found = NULL;

        *ret_n = 0;
        for (unsigned i = 0; i < N_USERS; i++) {
                while (sd_bus_process(askers->buses[i], NULL) > 0)
                        ;
                for (unsigned j = 0; j < N_EACH; j++) {
                        if (!askers->sent[i][j].is_answered)
                                continue;
                        found = &askers->sent[i][j];
                        (*ret_n)++;
                }
        }
        return found;
}

static bool somebody_is_answered(void *userdata) {
        unsigned n;

        return find_answered(userdata, &n);
}

static void askers_done(Askers *askers) {
        for (unsigned i = 0; i < N_USERS; i++) {
                for (unsigned j = 0; j < N_EACH; j++)
                        sent_done(&askers->sent[i][j]);
                (void)bus_leave(askers->buses[i]);
        }
}

static bool agent_has_as_many(void *userdata) {
        World *world = userdata;

        (void)agent_is_asked(world);
        return world->agent.n_asked >= N_USERS * N_EACH - N_EACH + 1;
}

/* Users that every Debian has: daemon, bin, sys, sync, games, man, lp, mail, news. */
static void test_users_whose_questions_stay_open_leave_room_for_others(void) {
        Askers askers = {0};
        const Sent *refused;
        unsigned n_refused;
        World world;

        if (!world_new(&world, SOMEBODY_MUST_AUTHENTICATE))
                return;

        agent_register(&world, UID_ALICE);
        for (uid_t i = 0; i < N_USERS; i++) {
                askers.buses[i] = service_bus(world.service, i + 1);
                for (unsigned j = 0; j < (i < N_USERS - 1 ? N_EACH : 1); j++)
                        send_interactive(&world, askers.buses[i], &askers.sent[i][j]);
                if (i == N_USERS - 2)
                        wait_statistic(world.root, "CallsInUse", (N_USERS - 1) * N_EACH);
        }

        /* the ninth's question comes to the agent, and somebody is told that theirs does not wait
         */
        bus_wait(askers.buses[N_USERS - 1], agent_has_as_many, &world, "all questions");
        g_assert_cmpuint(get_statistic(world.root, "CallsInUse"), ==, (N_USERS - 1) * N_EACH);
        g_assert_false(askers.sent[N_USERS - 1][0].is_answered);
        bus_wait(world.bob, agent_is_released, &world, "that one is taken back");
        bus_wait(world.bob, somebody_is_answered, &askers, "the refusal");
        refused = find_answered(&askers, &n_refused);
        g_assert_cmpuint(n_refused, ==, 1);
        g_assert_cmpstr(refused->error, ==, ERROR_PREFIX "QuotaExceeded");
        askers_done(&askers);
        wait_statistic(world.root, "CallsInUse", 0);
        agent_done(&world.agent);
        world_free(&world);
}

/* ---- where it is not ---- */

static void test_without_it_ask_is_deny(void) {
        World world;

        if (!world_new(&world, NULL))
                return;

        assert_refused(world.alice, create_persistent(world.alice),
                       "polkit is not there, and without it the answer is no");
        /* asked anew each time: it may have come */
        world.authority = authority_start(
                world.service, NULL,
                "polkit.addRule(function(action, subject) { return polkit.Result.YES; });\n");
        g_free(options_end_path(world.alice, create_persistent(world.alice)));
        world_free(&world);
}

static void test_its_death_is_a_no_at_once(void) {
        World world;
        Sent sent;

        if (!world_new(&world, SOMEBODY_MUST_AUTHENTICATE))
                return;

        agent_register(&world, UID_ALICE);
        send_interactive(&world, world.alice, &sent);
        bus_wait(world.alice, agent_is_asked, &world, "the question");
        world.authority = authority_kill(world.authority);
        sent_wait(&sent, "the answer");
        g_assert_cmpstr(sent.error, ==, ERROR_PREFIX "NotAuthorized");
        assert_says(sent.text, "polkit did not answer, so the answer is no");
        wait_statistic(world.bob, "CallsInUse", 0);
        sent_done(&sent);
        agent_done(&world.agent);
        world_free(&world);
}

/* A service that is not root may ask about its own actions alone. */
static void test_the_actions_are_the_services_users(void) {
        World world;

        if (!world_new(&world, NULL))
                return;

        world.authority = authority_start(
                world.service, "unix-user:games",
                "polkit.addRule(function(action, subject) { return polkit.Result.YES; });\n");
        assert_refused(world.alice, create_persistent(world.alice), "polkit did not answer");
        world_free(&world);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/polkit/its-rules-decide-by-who-calls",
                        test_its_rules_decide_by_who_calls);
        g_test_add_func("/polkit/its-rules-see-what-it-is-about",
                        test_its_rules_see_what_it_is_about);
        g_test_add_func("/polkit/nobody-is-bothered-who-did-not-ask-for-it",
                        test_nobody_is_bothered_who_did_not_ask_for_it);
        g_test_add_func("/polkit/who-authenticates-may", test_who_authenticates_may);
        g_test_add_func("/polkit/who-does-not-authenticate-may-not",
                        test_who_does_not_authenticate_may_not);
        g_test_add_func("/polkit/a-question-goes-with-its-caller",
                        test_a_question_goes_with_its_caller);
        g_test_add_func("/polkit/users-whose-questions-stay-open-leave-room-for-others",
                        test_users_whose_questions_stay_open_leave_room_for_others);
        g_test_add_func("/polkit/without-it-ask-is-deny", test_without_it_ask_is_deny);
        g_test_add_func("/polkit/its-death-is-a-no-at-once", test_its_death_is_a_no_at_once);
        g_test_add_func("/polkit/the-actions-are-the-services-users",
                        test_the_actions_are_the_services_users);
        return g_test_run();
}
