/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "shell.h"

#include <string.h>

void shell_init(const char *variable) {
        g_autofree char *path = g_strconcat(g_getenv(variable), ":", g_getenv("PATH"), NULL);

        g_assert_true(g_setenv("PATH", path, TRUE));
        g_assert_true(g_setenv("LC_ALL", "C.UTF-8", TRUE));
}

void shell_enter(const Scene *scene) {
        g_autofree char *address =
                g_strdup_printf("unix:path=%s/bus", service_directory(scene->service));

        g_assert_true(g_setenv("DBUS_SYSTEM_BUS_ADDRESS", address, TRUE));
        g_assert_true(g_setenv("F", scene->directory, TRUE));
}

void shell_set_up(Scene *scene, const void *unused) {
        scene_set_up(scene, NULL);
        shell_enter(scene);
}

Program *start(const char *format, ...) {
        g_autofree char *line = NULL;
        va_list ap;

        va_start(ap, format);
        line = g_strdup_vprintf(format, ap);
        va_end(ap);
        return program_start(line);
}

void expect_plain(const char *text) {
        g_assert_true(g_utf8_validate(text, -1, NULL));
        for (; *text; text = g_utf8_next_char(text))
                if (*text != '\n' && !g_unichar_isprint(g_utf8_get_char(text)))
                        g_error("character 0x%x goes to the terminal", g_utf8_get_char(text));
}

void expect(const char *line, int status, const char *output, const char *errors) {
        g_autoptr(Program) program = program_start(line);
        int ended;

        program_end_input(program);
        ended = program_wait(program);
        expect_plain(program_errors(program));
        if (ended != status || !strstr(program_output(program), output) ||
            (*output == '\0' && *program_output(program) != '\0') ||
            !strstr(program_errors(program), errors))
                g_error("`%s` ended with %d\nstandard output:\n%s\nstandard error:\n%s\n"
                        "instead of status %d, '%s', '%s'",
                        line, ended, program_output(program), program_errors(program), status,
                        output, errors);
}

Program *start_listener(const char *options, char **ret_port) {
        Program *program = start("exec dtlsctl listen %s 127.0.0.1 0", options);

        *ret_port =
                program_wait_for(program, "^dtlsctl: listening on 127\\.0\\.0\\.1 port ([0-9]+)$");
        return program;
}
