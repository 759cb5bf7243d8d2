/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * ExportKeyingMaterial over the real bus: for the owner of an end, and for nobody else.
 */

#include "stage.h"

#include <string.h>

#define LABEL "EXPORTER-test"
#define LENGTH 60

typedef struct World {
        Service *service;
        sd_bus *bus;
        uint16_t port;
        char *listener, *client;
} World;

static void set_up(World *world, const void *unused) {
        world->service = service_start(NULL);
        world->bus = service_bus(world->service, UID_ALICE);
        world->listener = listen_psk(world->bus, &world->port);
        world->client = create_client(world->bus, world->port, false);
}

static void tear_down(World *world, const void *unused) {
        g_free(world->client);
        g_free(world->listener);
        (void)bus_leave(world->bus);
        service_stop(world->service);
}

/* The listener's one connection. */
static char *server_of(World *world) {
        g_autoptr(Ear) ear = ear_new(world->bus);
        g_auto(GStrv) words = NULL;

        do_handshake(world->bus, world->client);
        words = g_strsplit(ear_wait(ear, "NewConnection|")->str, "|", -1);
        return g_strdup(words[2]);
}

static char *material(World *world, const char *path, const char *label, bool context) {
        sd_bus_message *reply;
        const void *data;
        size_t size;
        char *text;

        reply = context ? call(world->bus, path, CONNECTION, "ExportKeyingMaterial", "sayu", label,
                               2, 'c', 'x', LENGTH)
                        : call(world->bus, path, CONNECTION, "ExportKeyingMaterial", "sayu", label,
                               0, LENGTH);
        g_assert_cmpint(sd_bus_message_read_array(reply, 'y', &data, &size), >=, 0);
        g_assert_cmpuint(size, ==, LENGTH);
        text = g_base64_encode(data, size);
        (void)sd_bus_message_unref(reply);
        return text;
}

static void test_both_ends(World *world, const void *unused) {
        g_autofree char *server = server_of(world);
        g_autofree char *one = NULL, *two = NULL, *bound = NULL, *bound_too = NULL;

        wait_string(world->bus, world->client, CONNECTION, "HandshakeState", "HandshakeComplete");
        one = material(world, world->client, LABEL, false);
        two = material(world, server, LABEL, false);
        bound = material(world, world->client, LABEL, true);
        bound_too = material(world, server, LABEL, true);
        g_assert_cmpstr(one, ==, two);
        g_assert_cmpstr(bound, ==, bound_too);
        g_assert_cmpstr(one, !=, bound);
}

static void refused(World *world, const char *error, const char *label, uint32_t length) {
        g_free(call_refused(error, world->bus, world->client, CONNECTION, "ExportKeyingMaterial",
                            "sayu", label, 0, length));
}

static void test_states_and_ranges(World *world, const void *unused) {
        g_autofree char *server = NULL, *error = NULL;

        refused(world, "InvalidOperation", LABEL, LENGTH);
        server = server_of(world);
        wait_string(world->bus, world->client, CONNECTION, "HandshakeState", "HandshakeComplete");
        refused(world, "InvalidInputParameters", "key expansion", LENGTH);
        refused(world, "InvalidInputParameters", "", LENGTH);
        refused(world, "InvalidInputParameters", LABEL, 0);
        refused(world, "InvalidInputParameters", LABEL, 1025);
        error = get_error(world->bus, world->client);
        g_assert_true(g_str_has_prefix(error, "InvalidInputParameters: "));
        g_free(material(world, world->client, LABEL, false)); /* it goes on */
}

static void test_owner_alone(World *world, const void *unused) {
        sd_bus *same_user = service_bus(world->service, UID_ALICE);
        g_autofree char *server = server_of(world);

        wait_string(world->bus, world->client, CONNECTION, "HandshakeState", "HandshakeComplete");
        g_free(call_refused("NotAuthorized", same_user, world->client, CONNECTION,
                            "ExportKeyingMaterial", "sayu", LABEL, 0, LENGTH));
        (void)bus_leave(same_user);
}

#define ADD(path, function) g_test_add("/export/" path, World, NULL, set_up, function, tear_down)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD("is-equal-at-both-ends", test_both_ends);
        ADD("keeps-to-states-and-ranges", test_states_and_ranges);
        ADD("is-for-the-owner-alone", test_owner_alone);
        return g_test_run();
}
