/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "world.h"

#include "base/cleanup.h"
#include "base/memfd.h"
#include "lib/direct.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/socket.h>

/* ---- the observer ---- */

static void on_added(Connection *connection, void *userdata) {
        World *world = userdata;

        world->n_added++;
}

static void on_changed(Connection *connection, unsigned mask, void *userdata) {
        World *world = userdata;

        world->changed |= mask;
}

static void on_state(Connection *connection, HandshakeState state, DtlsError error,
                     const char *text, void *userdata) {
        World *world = userdata;

        g_string_append_printf(world->states, "%u:%s:%s ", connection_facts(connection).id,
                               handshake_state_name(state), dtls_error_name(error));
}

static void on_timeout(Connection *connection, void *userdata) {
        World *world = userdata;

        world->n_timeouts++;
}

static void on_psk_required(Connection *connection, void *userdata) {
        World *world = userdata;

        g_assert_true(connection_facts(connection).psk.pending);
        world->n_psk_required++;
}

static void on_datagram(Connection *connection, void *userdata) {
        World *world = userdata;

        world->n_datagrams++;
}

static void on_closed(Connection *connection, EndReason reason, void *userdata) {
        World *world = userdata;

        g_string_append_printf(world->closed, "%u:%s ", connection_facts(connection).id,
                               end_reason_name(reason));
}

static void on_removed(uint32_t id, uid_t uid, void *userdata) {
        World *world = userdata;

        g_assert_null(relay_find_connection(world->relay, id));
        world->n_removed++;
}

static void on_listener_added(Listener *listener, void *userdata) {
        World *world = userdata;

        world->n_listeners_added++;
}

static void on_listener_changed(Listener *listener, unsigned mask, void *userdata) {
        World *world = userdata;

        if (mask & CHANGED_BACKLOG)
                world->n_backlog_changes++;
}

static void on_listener_connection(Listener *listener, Connection *connection, void *userdata) {
        World *world = userdata;

        world->n_announced++;
        world->last_accepted = connection_facts(connection).id;
}

static void on_listener_removed(uint32_t id, uid_t uid, void *userdata) {
        World *world = userdata;

        world->n_listeners_removed++;
}

static void on_verifier_added(Verifier *verifier, void *userdata) {
        World *world = userdata;

        world->n_verifiers_added++;
}

static void on_verifier_changed(Verifier *verifier, unsigned mask, void *userdata) {
        World *world = userdata;

        world->n_verifier_changes++;
}

static void on_verifier_removed(uint32_t id, uid_t uid, void *userdata) {
        World *world = userdata;

        world->n_verifiers_removed++;
}

static const RelayObserver world_observer = {
        .connection_added = on_added,
        .connection_changed = on_changed,
        .connection_state = on_state,
        .connection_timeout = on_timeout,
        .connection_psk_required = on_psk_required,
        .connection_datagram = on_datagram,
        .connection_closed = on_closed,
        .connection_removed = on_removed,
        .listener_added = on_listener_added,
        .listener_changed = on_listener_changed,
        .listener_connection = on_listener_connection,
        .listener_removed = on_listener_removed,
        .verifier_added = on_verifier_added,
        .verifier_changed = on_verifier_changed,
        .verifier_removed = on_verifier_removed,
};

/* ---- the whole ---- */

void world_setup_limits(World *world, const QuotaLimits *limits) {
        g_assert_cmpint(sd_event_new(&world->event), >=, 0);
        g_assert_cmpint(keys_new(world->event, &world->keys), ==, 0);
        g_assert_cmpint(quota_new(limits, &world->quota), ==, 0);
        g_assert_cmpint(relay_new(world->event, world->keys, world->quota, &world->relay), ==, 0);
        relay_set_direct_after(world->relay, test_direct_after());
        relay_observe(world->relay, &world_observer, world);
        world->states = g_string_new(NULL);
        world->closed = g_string_new(NULL);
}

void world_setup(World *world, gconstpointer unused) {
        QuotaLimits limits = quota_limits_default(4096);

        world_setup_limits(world, &limits);
}

static void world_close_store(World *world) {
        g_autoptr(GDir) folder = NULL;
        const char *name;

        if (!world->store_path)
                return;

        world->store = store_free(world->store);
        folder = g_dir_open(world->store_path, 0, NULL);
        while ((name = g_dir_read_name(folder))) {
                g_autofree char *file = g_build_filename(world->store_path, name, NULL);

                (void)g_unlink(file);
        }
        (void)g_rmdir(world->store_path);
        g_clear_pointer(&world->store_path, g_free);
}

void world_teardown(World *world, gconstpointer unused) {
        world->relay = relay_free(world->relay);
        for (int kind = 0; kind < N_QUOTA_KINDS; kind++)
                g_assert_cmpuint(quota_used_total(world->quota, kind), ==, 0);

        g_clear_pointer(&world->keyring, server_free);
        world_close_store(world);
        keys_free(world->keys);
        quota_free(world->quota);
        sd_event_unref(world->event);
        g_string_free(world->states, TRUE);
        g_string_free(world->closed, TRUE);
        g_clear_pointer(&world->psk_identity, g_bytes_unref);
        secret_free(world->psk_key);
}

static uint64_t world_now(World *world) {
        (void)world;
        return (uint64_t)g_get_monotonic_time();
}

uint64_t world_limit(World *world) {
        return world_now(world) + WORLD_LIMIT_USEC;
}

static void world_provide_psks(World *world) {
        g_autoptr(GArray) ids = relay_list_connections(world->relay, 0, SIZE_MAX);

        for (guint i = 0; i < ids->len; i++) {
                Connection *connection =
                        relay_find_connection(world->relay, g_array_index(ids, uint32_t, i));

                if (connection && connection_facts(connection).psk.pending)
                        (void)connection_provide_psk(connection, world->psk_identity,
                                                     world->psk_key, NULL);
        }
}

static void world_run(World *world, uint64_t wait_usec, uint64_t limit_usec) {
        g_assert_cmpint(sd_event_run(world->event, wait_usec), >=, 0);
        if (world->psk_key)
                world_provide_psks(world);
        g_assert_cmpuint(world_now(world), <, limit_usec);
}

void world_turn(World *world, uint64_t limit_usec) {
        world_run(world, 50 * 1000, limit_usec);
}

void world_turn_quickly(World *world, uint64_t limit_usec) {
        world_run(world, 2 * 1000, limit_usec);
}

void world_spend(World *world, uint64_t usec) {
        uint64_t end = world_now(world) + usec;

        while (world_now(world) < end)
                world_turn_quickly(world, UINT64_MAX);
}

/* ---- the keyring ---- */

static void on_keyring_closed(void *userdata) {
}

static void on_keyring_lost(void *userdata) {
        World *world = userdata;

        world->keyring_lost = true;
        relay_keyring_lost(world->relay);
}

void world_open_store(World *world) {
        g_autofree char *text = NULL;

        world->store_path = g_dir_make_tmp("dtlsd-store.XXXXXX", NULL);
        if (store_open(world->store_path, NULL, &world->store, &text))
                g_error("%s", text);
}

void world_start_keyring(World *world) {
        int pair[2];

        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair),
                        ==, 0);
        g_assert_cmpint(server_new(world->event, pair[0], world->store, on_keyring_closed, world,
                                   &world->keyring),
                        ==, 0);
        g_assert_cmpint(keys_connect(world->keys, pair[1], on_keyring_lost, world), ==, 0);
        world->keyring_lost = false;
        world_wait(world, keys_identities_known(world->keys));
}

void world_kill_keyring(World *world) {
        g_clear_pointer(&world->keyring, server_free);
        world_wait(world, world->keyring_lost);
}

void world_on_done(int outcome, const char *text, void *userdata) {
        World *world = userdata;

        if (outcome)
                g_error("%s", text);
        world->is_done = true;
}

void world_wait_done(World *world) {
        world_wait(world, world->is_done);
        world->is_done = false;
}

static void on_imported(int outcome, const char *text, Key *key, void *userdata) {
        Key **ret = userdata;

        if (outcome)
                g_error("import: %s", text);
        *ret = key_ref(key);
}

Key *world_import_key(World *world, uid_t uid, const TestIdentity *identity) {
        GBytes *pem = test_identity_key_pem(identity);
        g_autofd int fd = -1;
        Key *key = NULL;

        g_assert_cmpint(memfd_new(g_bytes_get_data(pem, NULL), g_bytes_get_size(pem), &fd), ==, 0);
        g_assert_cmpuint(keys_import_private_key(world->keys, uid, fd, on_imported, &key), !=, 0);
        world_wait(world, key);
        return key;
}

Key *world_import_psk(World *world, uid_t uid, const char *psk) {
        g_autofd int fd = -1;
        Key *key = NULL;

        g_assert_cmpint(memfd_new(psk, strlen(psk), &fd), ==, 0);
        g_assert_cmpuint(keys_import_psk(world->keys, uid, fd, on_imported, &key), !=, 0);
        world_wait(world, key);
        return key;
}

/* ---- connections ---- */

void world_use_psk(World *world, const char *identity, const char *key) {
        g_clear_pointer(&world->psk_identity, g_bytes_unref);
        secret_free(world->psk_key);
        world->psk_identity = g_bytes_new(identity, strlen(identity));
        world->psk_key = secret_new(key, strlen(key));
}

static void world_shorten(Spec *spec) {
        spec->retransmit_initial_usec = 200 * 1000;
        spec->handshake_deadline_usec = 30 * 1000 * 1000;
        spec->answer_deadline_usec = 30 * 1000 * 1000;
}

Spec *world_client_spec(void) {
        Spec *spec = spec_new(DTLS_CLIENT, WORLD_UID, WORLD_OWNER);

        world_shorten(spec);
        return spec;
}

Spec *world_listener_spec(const char *address, uint16_t port) {
        Spec *spec = spec_new(DTLS_SERVER, WORLD_UID, WORLD_OWNER);

        world_shorten(spec);
        g_assert_cmpint(address_parse(address, port, &spec->local), ==, 0);
        return spec;
}

Listener *world_listen(World *world, Spec *spec) {
        Listener *listener = NULL;
        Reason reason = {0};

        g_assert_cmpint(relay_listen(world->relay, spec, &listener, &reason), ==, 0);
        g_assert_cmpstr(reason.text, ==, "");
        return listener;
}

Connection *world_start(World *world, Spec *spec, const Listener *listener, const char *address) {
        Address local = listener_facts(listener).local;
        Connection *connection = NULL;
        Reason reason = {0};
        int r;

        g_assert_cmpint(address_parse(address, address_port(&local), &spec->peer), ==, 0);
        g_assert_cmpint(relay_create_connection(world->relay, spec, &connection, &reason), ==, 0);

        r = connection_do_handshake(connection, &reason);
        g_assert_cmpstr(reason.text, ==, "");
        g_assert_cmpint(r, ==, 0);
        return connection;
}

void world_wait_state(World *world, const Connection *connection, HandshakeState state) {
        world_wait(world, connection_facts(connection).state == state);
}

Connection *world_other_end(World *world, const Connection *client) {
        g_autoptr(GArray) ids = relay_list_connections(world->relay, 0, SIZE_MAX);
        Address address = connection_facts(client).local;

        for (guint i = 0; i < ids->len; i++) {
                Connection *connection =
                        relay_find_connection(world->relay, g_array_index(ids, uint32_t, i));
                Address peer = connection_facts(connection).peer;

                if (connection != client && address_equal(&peer, &address))
                        return connection;
        }

        return NULL;
}

void world_pair(World *world, Connection **ret_client, Connection **ret_server) {
        Listener *listener = world_listen(world, world_listener_spec("127.0.0.1", 0));
        unsigned n_announced = world->n_announced;

        world_use_psk(world, "someone", "a secret of both");
        *ret_client = world_start(world, world_client_spec(), listener, "127.0.0.1");
        world_wait_state(world, *ret_client, HANDSHAKE_COMPLETE);
        world_wait(world, world->n_announced > n_announced);
        *ret_server = relay_find_connection(world->relay, world->last_accepted);
        g_assert_nonnull(*ret_server);
}

bool world_has(World *world, uint32_t id) {
        return relay_find_connection(world->relay, id);
}

uint64_t world_counter(Counters counters, const char *name) {
        for (size_t i = 0; i < counters.n; i++)
                if (strcmp(counters.at[i].name, name) == 0)
                        return counters.at[i].value;

        g_error("there is no counter %s", name);
}

void world_send(Connection *connection, const char *text) {
        Reason reason = {0};

        g_assert_cmpint(connection_write(connection, WORLD_UID, text, strlen(text), &reason), ==,
                        0);
        g_assert_cmpstr(reason.text, ==, "");
}

int world_open_channel(Connection *connection) {
        Reason reason = {0};
        uint32_t mtu;
        int fd;

        g_assert_cmpint(connection_open_channel(connection, &fd, &mtu, &reason), ==, 0);
        return fd;
}

char *world_read(World *world, Connection *connection) {
        g_autoptr(GBytes) bytes = NULL;
        Reason reason = {0};
        int r = RELAY_E_NOTHING;

        world_wait(world, (r = connection_read(connection, &bytes, &reason)) != RELAY_E_NOTHING);
        if (r)
                g_error("read: %s", reason.text);

        return g_strndup(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes));
}

char *world_recv(World *world, int fd) {
        char buffer[65536];
        ssize_t n = -1;

        world_wait(world,
                   (n = recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT)) >= 0 || errno != EAGAIN);
        g_assert_cmpint(n, >=, 0);
        return n > 0 ? g_strndup(buffer, (size_t)n) : NULL;
}

int world_udp(const char *address, uint16_t port) {
        int fd = socket(strchr(address, ':') ? AF_INET6 : AF_INET,
                        SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        Address peer;

        g_assert_cmpint(fd, >=, 0);
        g_assert_cmpint(address_parse(address, port, &peer), ==, 0);
        g_assert_cmpint(connect(fd, &peer.sa, address_size(&peer)), ==, 0);
        return fd;
}
