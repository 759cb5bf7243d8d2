/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The worked example of the README, run as it stands there: "#" is root's line, "USER$" a user's,
 * what follows is what it prints, and what precedes the first of them is the file of rules. Users
 * that no system has, the port and the folder of the rules are replaced by the test's; reload is
 * asked of the service itself.
 */

#include "shell.h"
#include "system/stage.h"

#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

typedef struct Example {
        Scene scene;
        char *rules;
        GPtrArray *commands, *outputs; /* of char *; an output is "" or its lines */
        GPtrArray *listeners;          /* of Program */
} Example;

/* ---- what stands in the README ---- */

static char *replace(const char *text, const char *what, const char *by) {
        g_auto(GStrv) parts = g_strsplit(text, what, -1);

        return g_strjoinv(by, parts);
}

/* A port that was free just now. */
static char *free_port(void) {
        uint16_t number;
        int fd = udp_bind(&number);

        (void)close(fd);
        return g_strdup_printf("%u", number);
}

static char *as_here(const Example *example, const char *text) {
        g_autofree char *port = free_port(), *next_port = free_port();
        g_autofree char *gateway = replace(text, "gateway", "daemon");
        g_autofree char *both = replace(gateway, "reporter", "games");
        g_autofree char *first = replace(both, "5684", port);
        g_autofree char *here = replace(first, "5685", next_port);

        return replace(here, "/etc/dtlsd", service_directory(example->scene.service));
}

static bool is_prompt(const char *line) {
        return g_regex_match_simple("^(#|[a-z]+\\$) ", line, 0, 0);
}

static void take_line(Example *example, GString *rules, const char *line) {
        char *output;

        if (is_prompt(line)) {
                g_ptr_array_add(example->commands, g_strdup(line));
                g_ptr_array_add(example->outputs, g_strdup(""));
        } else if (example->commands->len == 0) {
                g_string_append_printf(rules, "%s\n", line);
        } else {
                output = g_ptr_array_steal_index(example->outputs, example->outputs->len - 1);
                g_ptr_array_add(example->outputs, g_strconcat(output, line, "\n", NULL));
                g_free(output);
        }
}

static void read_example(Example *example) {
        g_autofree char *readme = NULL, *here = NULL;
        g_autoptr(GRegex) code = g_regex_new("^    (.*)$|^$", G_REGEX_MULTILINE, 0, NULL);
        g_autoptr(GMatchInfo) match = NULL;
        GString *rules = g_string_new(NULL);
        char *section, *end;

        g_assert_true(g_file_get_contents(g_getenv("DTLSD_README"), &readme, NULL, NULL));
        section = strstr(readme, "\n## Two programs, one certificate\n");
        g_assert_nonnull(section);
        end = strstr(section + 1, "\n## ");
        g_assert_nonnull(end);
        *end = '\0';

        here = as_here(example, section);
        for (g_regex_match(code, here, 0, &match); g_match_info_matches(match);
             g_match_info_next(match, NULL)) {
                g_autofree char *line = g_match_info_fetch(match, 1);

                if (*line || example->commands->len == 0)
                        take_line(example, rules, line);
        }
        example->rules = g_string_free(rules, FALSE);
        g_strchug(example->rules);
}

/* ---- the programs, where any user can run them ---- */

static void copy_here(const Example *example, const char *from, const char *name) {
        g_autofree char *contents = NULL;
        size_t size;

        g_assert_true(g_file_get_contents(from, &contents, &size, NULL));
        g_assert_true(g_file_set_contents_full(scene_file(&example->scene, name), contents, size,
                                               G_FILE_SET_CONTENTS_NONE, 0755, NULL));
}

static void copy_program(const Example *example, const char *file, const char *name) {
        g_autofree char *path = g_build_filename(g_getenv("DTLSD_PROGRAMS"), file, NULL);

        copy_here(example, path, name);
}

static void free_program(gpointer program) {
        (void)program_free(program);
}

static void set_up(Example *example, const void *unused) {
        example->commands = g_ptr_array_new_with_free_func(g_free);
        example->outputs = g_ptr_array_new_with_free_func(g_free);
        example->listeners = g_ptr_array_new_with_free_func(free_program);
        shell_set_up(&example->scene, NULL);
        g_assert_cmpint(g_chmod(example->scene.directory, 0755), ==, 0);
        copy_program(example, "dtlsctl", "dtlsctl");
        copy_program(example, "libdtlsd-client.so.0", "libdtlsd-client.so.0");
        copy_here(example, scene_file(&example->scene, "ca.crt"), "ca.pem");
        copy_here(example, scene_file(&example->scene, "server.crt"), "cert.pem");
        copy_here(example, scene_file(&example->scene, "server.key"), "key.pem");
        g_assert_cmpint(g_chmod(scene_file(&example->scene, "key.pem"), 0600), ==, 0);
        g_assert_true(g_file_set_contents(scene_file(&example->scene, "key.hex"),
                                          "00112233445566778899aabbccddeeff\n", -1, NULL));
        read_example(example);
}

static void tear_down(Example *example, const void *unused) {
        g_ptr_array_unref(example->listeners);
        g_ptr_array_unref(example->commands);
        g_ptr_array_unref(example->outputs);
        g_free(example->rules);
        scene_tear_down(&example->scene, NULL);
}

/* ---- running it ---- */

static void reload(const Example *example) {
        sd_bus *root = service_bus(example->scene.service, 0);

        (void)sd_bus_message_unref(call(root, ROOT, MANAGER, "Reload", ""));
        (void)bus_leave(root);
}

/* As a prompt says: "# LINE", or "USER$ LINE". */
static Program *start_as_said(const char *command) {
        g_auto(GStrv) parts = g_strsplit(command, " ", 2);
        g_autofree char *here =
                g_strdup_printf("cd \"$F\"; PATH=\"$F:$PATH\" LD_LIBRARY_PATH=\"$F\"; "
                                "export PATH LD_LIBRARY_PATH; %s",
                                parts[1]);
        g_autofree char *quoted = g_shell_quote(here);
        g_autofree char *line = NULL;

        if (g_str_equal(parts[0], "#"))
                return program_start(here);

        parts[0][strlen(parts[0]) - 1] = '\0'; /* the dollar */
        line = g_strdup_printf("exec setpriv --reuid %s --regid %s --init-groups sh -c %s",
                               parts[0], parts[0], quoted);
        return program_start(line);
}

static void run(Example *example, const char *command, const char *output) {
        Program *program = start_as_said(command);

        if (strstr(command, " listen --")) {
                g_free(program_wait_for(program, "listening on"));
                g_ptr_array_add(example->listeners, program);
                return;
        }

        program_end_input(program);
        if (program_wait(program) != 0 || !g_str_equal(program_output(program), output))
                g_error("`%s` printed '%s', not '%s'; standard error:\n%s", command,
                        program_output(program), output, program_errors(program));
        (void)program_free(program);
}

static void test_the_two_programs_of_the_readme_run(Example *example, const void *unused) {
        g_autofree char *file = g_build_filename(service_directory(example->scene.service),
                                                 "policy.d", "50-device.conf", NULL);

        if (!service_has_users())
                return;

        g_assert_cmpuint(example->commands->len, >=, 6);
        g_assert_true(g_file_set_contents_full(file, example->rules, -1, G_FILE_SET_CONTENTS_NONE,
                                               0644, NULL));
        for (guint i = 0; i < example->commands->len; i++) {
                const char *command = example->commands->pdata[i];

                if (g_str_equal(command, "# systemctl reload dtlsd"))
                        reload(example);
                else
                        run(example, command, example->outputs->pdata[i]);
        }
        g_assert_cmpuint(example->listeners->len, ==, 2);
}

static void test_the_rules_are_twelve_lines(Example *example, const void *unused) {
        g_auto(GStrv) lines = g_strsplit(example->rules, "\n", -1);
        unsigned n = 0;

        for (char **line = lines; *line; line++)
                n += **line != '\0';
        g_assert_cmpuint(n, ==, 12);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add("/readme/the-two-programs-run", Example, NULL, set_up,
                   test_the_two_programs_of_the_readme_run, tear_down);
        g_test_add("/readme/the-rules-are-twelve-lines", Example, NULL, set_up,
                   test_the_rules_are_twelve_lines, tear_down);
        return g_test_run();
}
