/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "couple.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LIMIT_USEC (30 * G_USEC_PER_SEC)

static void on_nothing(void *userdata) {
}

void couple_changed(const char *name, void *userdata) {
        Couple *couple = userdata;

        g_string_append_printf(couple->changes, "%s ", name ? name : "*");
}

static void turn_until(Couple *couple, const bool *done) {
        gint64 limit = g_get_monotonic_time() + LIMIT_USEC;

        while (done ? !*done : !keys_identities_known(couple->keys)) {
                g_assert_cmpint(g_get_monotonic_time(), <, limit);
                g_assert_cmpint(sd_event_run(couple->event, 100000), >=, 0);
        }
}

void couple_connect(Couple *couple) {
        int pair[2];

        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), ==, 0);
        g_assert_cmpint(server_new(couple->event, pair[1], couple->store, on_nothing, NULL,
                                   &couple->server),
                        ==, 0);
        g_assert_cmpint(keys_connect(couple->keys, pair[0], on_nothing, NULL), ==, 0);
        g_assert_false(keys_identities_known(couple->keys));
        turn_until(couple, NULL);
}

Couple *couple_new(void) {
        Couple *couple = g_new0(Couple, 1);
        g_autofree char *text = NULL;

        couple->path = g_dir_make_tmp("dtlsd-couple.XXXXXX", NULL);
        couple->changes = g_string_new(NULL);
        couple->first = test_identity_new("first", NULL, 0, TEST_KEY_ECDSA);
        couple->second = test_identity_new("second", NULL, 0, TEST_KEY_ECDSA);
        g_assert_cmpint(sd_event_new(&couple->event), >=, 0);
        g_assert_cmpint(store_open(couple->path, NULL, &couple->store, &text), ==, 0);
        g_assert_cmpint(keys_new(couple->event, &couple->keys), ==, 0);
        host_serve(&couple->host, couple->event, couple->keys);
        couple_connect(couple);
        return couple;
}

void couple_free(Couple *couple) {
        g_autoptr(GDir) folder = g_dir_open(couple->path, 0, NULL);
        const char *name;

        keys_free(couple->keys);
        server_free(couple->server);
        store_free(couple->store);
        sd_event_unref(couple->event);
        while ((name = g_dir_read_name(folder))) {
                g_autofree char *file = g_build_filename(couple->path, name, NULL);

                (void)g_unlink(file);
        }
        (void)g_rmdir(couple->path);
        g_free(couple->path);
        g_free(couple->text);
        (void)g_string_free(couple->changes, TRUE);
        test_identity_free(couple->first);
        test_identity_free(couple->second);
        g_free(couple);
}

void couple_done(int outcome, const char *text, void *userdata) {
        Couple *couple = userdata;

        couple->answered = true;
        couple->outcome = outcome;
        g_free(couple->text);
        couple->text = g_strdup(text);
}

int couple_wait(Couple *couple) {
        turn_until(couple, &couple->answered);
        couple->answered = false;
        return couple->outcome;
}
