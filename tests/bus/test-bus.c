/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A Bus on a real dbus-daemon of its own: the name, and credentials as that one gives them.
 */

#include "bus/bus.h"
#include "fake-relay.h"

#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define NAME "io.github.dtlsd.Dtlsd1"
#define ROOT "/io/github/dtlsd/Dtlsd1"
#define LIMIT_USEC (60 * UINT64_C(1000000))

typedef struct Daemon {
        char *directory, *config, *address;
        GPid pid;
} Daemon;

static char *daemon_read_address(int fd) {
        char line[512] = "";
        ssize_t n = read(fd, line, sizeof(line) - 1);

        if (n <= 0)
                g_error("dbus-daemon did not say its address");
        (void)close(fd);
        return g_strdup(g_strstrip(line));
}

/* A test that fails leaves no daemon behind. */
static void daemon_die_with_parent(gpointer userdata) {
        (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
}

static Daemon daemon_start(bool may_own) {
        g_autoptr(GError) error = NULL;
        g_autofree char *text = NULL, *argument = NULL;
        Daemon daemon = {};
        int fd;

        daemon.directory = g_dir_make_tmp("dtlsd-bus-XXXXXX", &error);
        g_assert_no_error(error);
        daemon.config = g_build_filename(daemon.directory, "bus.conf", NULL);
        text = g_strdup_printf("<busconfig><type>system</type><listen>unix:path=%s/bus</listen>"
                               "<policy context='default'><allow user='*'/><%s own='*'/>"
                               "<allow send_type='method_call'/><allow send_type='signal'/>"
                               "<allow send_requested_reply='true' send_type='method_return'/>"
                               "<allow send_requested_reply='true' send_type='error'/>"
                               "<allow receive_type='method_call'/><allow receive_type='signal'/>"
                               "<allow receive_type='method_return'/>"
                               "<allow receive_type='error'/></policy></busconfig>",
                               daemon.directory, may_own ? "allow" : "deny");
        g_assert_true(g_file_set_contents(daemon.config, text, -1, &error));

        argument = g_strdup_printf("--config-file=%s", daemon.config);
        {
                char *argv[] = {"dbus-daemon", argument, "--nofork", "--print-address=1", NULL};

                g_assert_true(g_spawn_async_with_pipes(
                        NULL, argv, NULL,
                        G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD |
                                G_SPAWN_STDERR_TO_DEV_NULL,
                        daemon_die_with_parent, NULL, &daemon.pid, NULL, &fd, NULL, &error));
        }
        daemon.address = daemon_read_address(fd);
        return daemon;
}

static void daemon_stop(Daemon *daemon) {
        g_autofree char *socket = g_build_filename(daemon->directory, "bus", NULL);

        (void)kill(daemon->pid, SIGTERM);
        (void)waitpid(daemon->pid, NULL, 0);
        (void)g_unlink(socket);
        (void)g_unlink(daemon->config);
        (void)g_rmdir(daemon->directory);
        g_free(daemon->directory);
        g_free(daemon->config);
        g_free(daemon->address);
}

static sd_bus *daemon_connect(const Daemon *daemon) {
        sd_bus *bus;

        g_assert_cmpint(sd_bus_new(&bus), >=, 0);
        g_assert_cmpint(sd_bus_set_address(bus, daemon->address), >=, 0);
        g_assert_cmpint(sd_bus_set_bus_client(bus, true), >=, 0);
        g_assert_cmpint(sd_bus_negotiate_fds(bus, true), >=, 0);
        g_assert_cmpint(sd_bus_start(bus), >=, 0);
        return bus;
}

typedef struct Service {
        sd_event *event;
        sd_bus *connection;
        Relay *relay;
        Keys *keys;
        Quota *quota;
        Access *access;
        Bus *bus;
        bool is_lost;
} Service;

static void on_lost(void *userdata) {
        Service *service = userdata;

        service->is_lost = true;
        service->bus = bus_free(service->bus); /* as the main may */
}

static int service_start(Service *service, const Daemon *daemon) {
        QuotaLimits limits = quota_limits_default(1024);
        const BusHost host = {.lost = on_lost, .userdata = service};

        *service = (Service){};
        g_assert_cmpint(sd_event_new(&service->event), >=, 0);
        g_assert_cmpint(keys_new(service->event, &service->keys), ==, 0);
        g_assert_cmpint(quota_new(&limits, &service->quota), ==, 0);
        g_assert_cmpint(relay_new(service->event, service->keys, service->quota, &service->relay),
                        ==, 0);
        service->connection = daemon_connect(daemon);
        service->access = access_new(); /* nobody asks in here */
        return bus_new(service->connection, service->event, service->relay, service->keys,
                       service->quota, service->access, &host, &service->bus);
}

static void service_stop(Service *service) {
        (void)bus_free(service->bus);
        (void)relay_free(service->relay);
        (void)quota_free(service->quota);
        (void)access_free(service->access);
        (void)keys_free(service->keys);
        (void)sd_bus_flush_close_unref(service->connection);
        (void)sd_event_unref(service->event);
}

static int on_reply(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        sd_bus_message **reply = userdata;

        *reply = sd_bus_message_ref(m);
        return 1;
}

static sd_bus_message *service_call(Service *service, sd_bus *client, const char *path,
                                    const char *interface, const char *member) {
        sd_bus_message *reply = NULL;

        if (!sd_bus_get_event(client))
                g_assert_cmpint(
                        sd_bus_attach_event(client, service->event, SD_EVENT_PRIORITY_NORMAL), >=,
                        0);
        g_assert_cmpint(sd_bus_call_method_async(client, NULL, NAME, path, interface, member,
                                                 on_reply, &reply, ""),
                        >=, 0);
        while (!reply)
                g_assert_cmpint(sd_event_run(service->event, LIMIT_USEC), >, 0);
        return reply;
}

static void client_leaves(sd_bus *client) {
        (void)sd_bus_detach_event(client);
        (void)sd_bus_flush_close_unref(client);
}

static void one_name(void) {
        Daemon daemon = daemon_start(true);
        Service first, second;

        g_assert_cmpint(service_start(&first, &daemon), ==, 0);
        g_assert_cmpint(service_start(&second, &daemon), ==, BUS_E_NAME_TAKEN);
        g_assert_null(second.bus);
        service_stop(&second);
        service_stop(&first);

        /* and it is free again */
        g_assert_cmpint(service_start(&first, &daemon), ==, 0);
        service_stop(&first);
        daemon_stop(&daemon);
}

static void no_name(void) {
        Daemon daemon = daemon_start(false);
        Service service;

        g_assert_cmpint(service_start(&service, &daemon), ==, BUS_E_NAME_REFUSED);
        service_stop(&service);
        daemon_stop(&daemon);
}

static void knows_who_calls(void) {
        Daemon daemon = daemon_start(true);
        Service service;
        sd_bus *client;
        sd_bus_message *reply;

        g_assert_cmpint(service_start(&service, &daemon), ==, 0);
        client = daemon_connect(&daemon);
        (void)fake_connection(service.relay, getuid() + 1, ":1.77", true);
        (void)fake_connection(service.relay, getuid(), NULL, true);

        reply = service_call(&service, client, ROOT "/connection/2", NAME ".Connection", "Close");
        g_assert_null(sd_bus_message_get_error(reply));
        (void)sd_bus_message_unref(reply);

        reply = service_call(&service, client, ROOT "/connection/1", NAME ".Connection", "Close");
        g_assert_nonnull(sd_bus_message_get_error(reply));
        g_assert_cmpstr(sd_bus_message_get_error(reply)->name, ==,
                        getuid() == 0 ? NAME ".Error.NotAuthorized" : SD_BUS_ERROR_UNKNOWN_OBJECT);
        (void)sd_bus_message_unref(reply);

        client_leaves(client);
        service_stop(&service);
        daemon_stop(&daemon);
}

static void hears_who_leaves(void) {
        Daemon daemon = daemon_start(true);
        Service service;
        sd_bus *client;
        const char *name;

        g_assert_cmpint(service_start(&service, &daemon), ==, 0);
        client = daemon_connect(&daemon);
        (void)sd_bus_message_unref(
                service_call(&service, client, ROOT, "org.freedesktop.DBus.Peer", "Ping"));
        g_assert_cmpint(sd_bus_get_unique_name(client, &name), >=, 0);
        (void)fake_connection(service.relay, getuid(), name, true);
        client_leaves(client);
        while (relay_find_connection(service.relay, 1))
                g_assert_cmpint(sd_event_run(service.event, LIMIT_USEC), >, 0);

        service_stop(&service);
        daemon_stop(&daemon);
}

static void the_bus_goes(void) {
        Daemon daemon = daemon_start(true);
        Service service;

        g_assert_cmpint(service_start(&service, &daemon), ==, 0);
        daemon_stop(&daemon);
        while (!service.is_lost)
                g_assert_cmpint(sd_event_run(service.event, LIMIT_USEC), >, 0);
        service_stop(&service);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/bus/bus/its-name-is-one-services-at-a-time", one_name);
        g_test_add_func("/bus/bus/a-name-that-policy-refuses-is-an-outcome", no_name);
        g_test_add_func("/bus/bus/knows-who-calls-from-a-real-bus", knows_who_calls);
        g_test_add_func("/bus/bus/hears-who-leaves-a-real-bus", hears_who_leaves);
        g_test_add_func("/bus/bus/says-that-the-bus-is-gone-and-may-be-freed-then", the_bus_goes);
        return g_test_run();
}
