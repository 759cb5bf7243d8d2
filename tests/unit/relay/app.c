/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "app.h"

#include "base/cleanup.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

static const char *const app_kinds[] = {"", "data", "opened", "closed", "changed", "dropped"};

/* ---- the whole ---- */

static void app_release_bytes(gpointer bytes) {
        g_bytes_unref(bytes);
}

void app_setup_limits(App *app, const QuotaLimits *limits) {
        Spec *spec;
        Reason reason = {0};

        world_setup_limits(&app->world, limits);
        world_use_psk(&app->world, "someone", "a secret of both");
        app->frames = g_queue_new();
        app->packet = g_byte_array_new();
        app->opened = g_hash_table_new_full(NULL, NULL, NULL, app_release_bytes);
        app->fd = -1;
        g_assert_cmpint(relay_open_channel(app->world.relay, WORLD_UID, WORLD_OWNER, &app->fd,
                                           &app->id, &reason),
                        ==, 0);

        spec = world_listener_spec("127.0.0.1", 0);
        spec->channel = app->id;
        app->listener = world_listen(&app->world, spec);
}

void app_setup(App *app, gconstpointer unused) {
        QuotaLimits limits = quota_limits_default(4096);

        app_setup_limits(app, &limits);
}

void app_teardown(App *app, gconstpointer unused) {
        g_queue_free_full(app->frames, g_free);
        g_byte_array_unref(app->packet);
        g_hash_table_unref(app->opened);
        autofd_close(&app->fd);
        world_teardown(&app->world, NULL);
}

Spec *app_client_spec(App *app) {
        Spec *spec = world_client_spec();

        spec->channel = app->id;
        return spec;
}

void app_pair(App *app, Connection **ret_client, Connection **ret_server) {
        World *world = &app->world;

        *ret_client = world_start(world, world_client_spec(), app->listener, "127.0.0.1");
        world_wait_state(world, *ret_client, HANDSHAKE_COMPLETE);
        *ret_server = world_other_end(world, *ret_client);
        g_assert_nonnull(*ret_server);
        world_wait_state(world, *ret_server, HANDSHAKE_COMPLETE);
}

/* ---- what it reads ---- */

static char *app_text(App *app, uint32_t number, uint16_t kind, const uint8_t *data, size_t size) {
        uint32_t n;

        g_assert_cmpuint(kind, >, 0);
        g_assert_cmpuint(kind, <, G_N_ELEMENTS(app_kinds));

        switch (kind) {
        case 2:
                g_assert_true(g_hash_table_insert(app->opened, GUINT_TO_POINTER(number),
                                                  g_bytes_new(data, size)));
                return g_strdup_printf("%u opened", number);
        case 4:
                return g_strdup_printf("%u changed", number);
        case 5:
                g_assert_cmpuint(size, >=, sizeof(n));
                memcpy(&n, data, sizeof(n));
                return g_strdup_printf("%u dropped %u %.*s", number, n, (int)(size - sizeof(n)),
                                       data + sizeof(n));
        default:
                return g_strdup_printf("%u %s %.*s", number, app_kinds[kind], (int)size, data);
        }
}

static void app_take_apart(App *app, const uint8_t *packet, size_t size) {
        size_t at = 0;

        g_assert_cmpuint(size, <=, 65536);
        g_assert_cmpuint(size % 8, ==, 0);
        while (at < size) {
                uint16_t kind, length;
                uint32_t number;

                memcpy(&number, packet + at, 4);
                memcpy(&kind, packet + at + 4, 2);
                memcpy(&length, packet + at + 6, 2);
                at += 8;
                g_assert_cmpuint(length, <=, size - at);
                g_queue_push_tail(app->frames, app_text(app, number, kind, packet + at, length));
                at += (length + 7u) / 8 * 8;
        }
}

void app_read(App *app) {
        g_autofree uint8_t *packet = g_malloc(65536);
        ssize_t n;

        while ((n = recv(app->fd, packet, 65536, MSG_DONTWAIT)) > 0) {
                app->n_packets++;
                app_take_apart(app, packet, (size_t)n);
        }
}

char *app_next(App *app) {
        world_wait(&app->world, (app_read(app), !g_queue_is_empty(app->frames)));
        return g_queue_pop_head(app->frames);
}

GBytes *app_opened_field(App *app, uint32_t number, uint16_t type) {
        GBytes *fields = g_hash_table_lookup(app->opened, GUINT_TO_POINTER(number));
        gsize size, at = 0;
        const uint8_t *data;

        g_assert_nonnull(fields);
        data = g_bytes_get_data(fields, &size);
        while (at < size) {
                uint16_t header[2];

                memcpy(header, data + at, sizeof(header));
                at += sizeof(header);
                if (header[0] == type)
                        return g_bytes_new_from_bytes(fields, at, header[1]);
                at += (header[1] + 3u) / 4 * 4;
        }

        return NULL;
}

/* ---- what it writes ---- */

void app_add(App *app, uint32_t number, uint16_t kind, const void *data, size_t size) {
        static const uint8_t padding[8] = {1, 2, 3, 4, 5, 6, 7, 8};
        uint16_t rest[2] = {kind, (uint16_t)size};

        g_byte_array_append(app->packet, (const uint8_t *)&number, sizeof(number));
        g_byte_array_append(app->packet, (const uint8_t *)rest, sizeof(rest));
        if (size > 0)
                g_byte_array_append(app->packet, data, (guint)size);
        g_byte_array_append(app->packet, padding, (guint)(-size % 8));
}

void app_flush(App *app) {
        ssize_t n;

        world_wait(&app->world, (n = send(app->fd, app->packet->data, app->packet->len,
                                          MSG_DONTWAIT | MSG_NOSIGNAL)) >= 0 ||
                                        errno != EAGAIN);
        g_assert_cmpint(n, ==, app->packet->len);
        g_byte_array_set_size(app->packet, 0);
}

void app_says(App *app, uint32_t number, const char *text) {
        app_add(app, number, 1, text, strlen(text));
        app_flush(app);
}

void app_closes_fd(App *app) {
        autofd_close(&app->fd);
        app->fd = -1;
}
