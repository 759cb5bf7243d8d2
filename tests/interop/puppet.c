/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "puppet.h"

gboolean puppet_is_built(const char *variable) {
        const char *path = g_getenv(variable);

        return path && *path;
}

static void test_skip(gconstpointer variable) {
        g_autofree char *reason = g_strdup_printf(
                "%s is empty: built without %s", (const char *)variable,
                g_str_equal(variable, MBEDTLS_PEER) ? "libmbedtls-dev" : "qt6-base-dev and g++");

        g_test_skip(reason);
}

void puppet_add_skip(const char *path, const char *variable) {
        g_test_add_data_func(path, variable, test_skip);
}

static Peer *start(const char *variable, const char *role, const char *port,
                   const char *const *arguments) {
        g_autoptr(GPtrArray) argv = g_ptr_array_new();

        g_ptr_array_add(argv, (void *)g_getenv(variable));
        g_ptr_array_add(argv, (void *)role);
        if (port)
                g_ptr_array_add(argv, (void *)port);
        for (; *arguments; arguments++)
                g_ptr_array_add(argv, (void *)*arguments);
        g_ptr_array_add(argv, NULL);
        return peer_start((const char *const *)argv->pdata);
}

Peer *puppet_client(const char *variable, const dtlsd_listener *listener,
                    const char *const *arguments) {
        g_autofree char *port = g_strdup_printf("--port=%u", dtlsd_listener_port(listener));

        return start(variable, "client", port, arguments);
}

Peer *puppet_server(const char *variable, const char *const *arguments, char **ret_port) {
        Peer *peer = start(variable, "server", NULL, arguments);

        *ret_port = peer_wait_for(peer, "^listening ([0-9]+)$");
        return peer;
}

char *puppet_file(const Scene *scene, const char *option, const char *name) {
        return g_strdup_printf("--%s=%s", option, scene_file(scene, name));
}

void puppet_expect(Peer *peer, const char *regex) {
        g_free(peer_wait_for(peer, regex));
}

void puppet_converse(Peer *peer, const dtlsd_connection *connection) {
        peer_say(peer, "from the peer\n");
        expect_datagram(connection, "from the peer");
        send_datagram(connection, "from dtlsd");
        puppet_expect(peer, "^received from dtlsd$");
}
