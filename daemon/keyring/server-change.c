/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The way of every method that changes what is kept: it waits for its turn, and is then called as
 * sd-bus would call it. It answers when what it changed is on the disk.
 */

#include "base/log.h"
#include "base/terms.h"
#include "keyring/server-private.h"

typedef struct ServerChange {
        Server *server;
        sd_bus_message *m;
        sd_bus_message_handler_t method;
} ServerChange;

int server_refuse_stopped(sd_bus_error *ret_error) {
        return sd_bus_error_set(ret_error, SERVER_ERROR_FAILED, "the keyring stops");
}

int server_put_change(Server *server, uid_t uid, ChangesMake make, void *userdata,
                      sd_bus_error *ret_error) {
        if (changes_put(server->changes, uid, make, userdata) == 0)
                return 0;

        return server_refuse(server, (ServerSubject){.uid = uid}, SERVER_ERROR_QUOTA_EXCEEDED,
                             "too many changes wait for the disk; try again in a moment",
                             ret_error);
}

void server_reply_error(sd_bus_message *m, int r, sd_bus_error *error) {
        r = sd_bus_reply_method_errno(m, r, error);
        if (r < 0) /* the other end is gone, or reads nothing: then nobody waits for it */
                log_debug("an answer was not taken: %s", g_strerror(-r));

        sd_bus_error_free(error);
}

static void server_make_change(void *userdata, bool stopped) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        ServerChange *change = userdata;
        int r;

        r = stopped ? server_refuse_stopped(&error)
                    : change->method(change->m, change->server, &error);
        if (r < 0)
                server_reply_error(change->m, r, &error);

        sd_bus_message_unref(change->m);
        g_free(change);
}

int server_change(Server *server, sd_bus_message *m, sd_bus_message_handler_t method,
                  sd_bus_error *ret_error) {
        ServerChange *change;
        uint32_t uid;
        int r;

        r = sd_bus_message_read(m, "u", &uid);
        if (r >= 0)
                r = sd_bus_message_rewind(m, /* complete= */ true);
        if (r < 0)
                return r;

        change = g_new0(ServerChange, 1);
        change->server = server;
        change->m = sd_bus_message_ref(m);
        change->method = method;
        r = server_put_change(server, uid, server_make_change, change, ret_error);
        if (r == 0)
                return 1; /* @method answers */

        sd_bus_message_unref(change->m);
        g_free(change);
        return r;
}
