/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "service.h"

#include "lib/direct.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define POLL_USEC (10 * UINT64_C(1000))

#define UID_NOBODY 65534
#define GID_NOGROUP 65534

struct Service {
        char *directory;
        char *address;
        GPid bus_pid, daemon_pid;
        rlim_t n_fds; /* of the daemon; 0: as here */
};

static const char *const UNPRIVILEGED = "nobody";
#define SERVICE_BUS_POLICY NAME ".conf"

bool service_has_users(void) {
        if (geteuid() == 0)
                return true;

        g_test_skip("only root can connect as several users");
        return false;
}

static char *in_directory(const Service *service, const char *name) {
        return g_build_filename(service->directory, name, NULL);
}

static void write_file(const Service *service, const char *name, const char *contents) {
        g_autofree char *path = in_directory(service, name);

        g_assert_true(g_file_set_contents_full(path, contents, -1, G_FILE_SET_CONTENTS_CONSISTENT,
                                               0644, NULL));
}

/* Of policy/. */
static char *shipped_file(const char *name) {
        return g_build_filename(g_getenv("DTLSD_POLICY_DIRECTORY"), name, NULL);
}

/* The shipped ones. */
static void write_rules(const Service *service) {
        g_autofree char *shipped = shipped_file("90-default.conf");
        g_autofree char *folder = in_directory(service, "policy.d");
        g_autofree char *path = g_build_filename(folder, "90-default.conf", NULL);
        g_autofree char *rules = NULL;

        g_assert_cmpint(g_mkdir(folder, 0755), ==, 0);
        g_assert_true(g_file_get_contents(shipped, &rules, NULL, NULL));
        g_assert_true(g_file_set_contents(path, rules, -1, NULL));
        g_assert_cmpint(chmod(path, 0644), ==, 0);
}

/* A folder of the keyring's own, where it keeps what it keeps. */
static void make_store(const Service *service) {
        g_autofree char *folder = in_directory(service, "store");

        g_assert_cmpint(g_mkdir(folder, 0700), ==, 0);
        if (geteuid() == 0)
                g_assert_cmpint(chown(folder, UID_NOBODY, GID_NOGROUP), ==, 0);
}

static void copy_program(const Service *service, const char *name) {
        g_autofree char *from = g_build_filename(g_getenv("DTLSD_DAEMON_DIRECTORY"), name, NULL);
        g_autofree char *to = in_directory(service, name);
        g_autofree char *contents = NULL;
        size_t size;

        g_assert_true(g_file_get_contents(from, &contents, &size, NULL));
        g_assert_true(
                g_file_set_contents_full(to, contents, size, G_FILE_SET_CONTENTS_NONE, 0755, NULL));
}

/* The file @source as @name, with all of @what replaced. */
static void write_replaced(const Service *service, const char *name, const char *source,
                           const char *what, const char *replacement) {
        g_autofree char *contents = NULL;
        GString *text;

        g_assert_true(g_file_get_contents(source, &contents, NULL, NULL));
        text = g_string_new(contents);
        g_assert_cmpuint(g_string_replace(text, what, replacement, 0), >, 0);
        write_file(service, name, text->str);
        g_string_free(text, TRUE);
}

static void write_bus_config(const Service *service) {
        const char *user = geteuid() == 0 ? UNPRIVILEGED : g_get_user_name();
        g_autofree char *users = g_strdup_printf("user=\"%s\"", user);
        g_autofree char *policy = shipped_file(SERVICE_BUS_POLICY);

        write_replaced(service, "bus.conf", g_getenv("DTLSD_PRIVATE_BUS_CONF"), "@DIRECTORY@",
                       service->directory);
        write_replaced(service, SERVICE_BUS_POLICY, policy, "user=\"dtlsd\"", users);
}

/* Runs in the child. */
static void limit_fds(rlim_t n_fds) {
        const struct rlimit limit = {n_fds, n_fds};

        if (n_fds > 0 && setrlimit(RLIMIT_NOFILE, &limit) < 0)
                _exit(126);
}

/* Runs @argv with its output in LOG; the child dies with the test. */
static GPid start(const Service *service, const char *log, const char *const *argv) {
        g_autofree char *path = in_directory(service, log);
        GPid pid = fork();
        int fd;

        g_assert_cmpint(pid, >=, 0);
        if (pid != 0)
                return pid;

        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        if (fd < 0 || dup2(fd, STDOUT_FILENO) < 0 || dup2(fd, STDERR_FILENO) < 0)
                _exit(126);
        (void)setenv("DBUS_SYSTEM_BUS_ADDRESS", service->address, 1);
        limit_fds(service->n_fds);
        execvp(argv[0], (char *const *)argv);
        _exit(127);
}

static void start_daemon(Service *service) {
        g_autofree char *daemon = in_directory(service, "dtlsd");
        g_autofree char *keyring = in_directory(service, "dtlsd-keyring");
        g_autofree char *config = in_directory(service, "dtlsd.conf");
        g_autofree char *keyring_option = g_strconcat("--keyring=", keyring, NULL);
        g_autofree char *config_option = g_strconcat("--config=", config, NULL);
        g_autofree char *store = in_directory(service, "store");
        g_autofree char *store_option = g_strconcat("--store=", store, NULL);
        g_autofree char *policy = in_directory(service, "policy.d");
        g_autofree char *policy_option = g_strconcat("--policy=", policy, NULL);
        const char *module = g_getenv(SERVICE_MODULE_VARIABLE);
        g_autofree char *module_option =
                module ? g_strconcat("--pkcs11-module=", module, NULL) : NULL;
        const char *argv[] = {"setpriv",         "--pdeathsig=KILL", "--reuid=nobody",
                              "--regid=nogroup", "--clear-groups",   daemon,
                              config_option,     policy_option,      store_option,
                              keyring_option,    module_option,      NULL};

        service->daemon_pid = start(service, "dtlsd.log", geteuid() == 0 ? argv : argv + 5);
}

static void show_log(const Service *service) {
        g_autofree char *log = service_log(service);

        g_test_message("dtlsd said: %s", log);
}

static bool has_owner(sd_bus *bus, const char *name) {
        return sd_bus_call_method(bus, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                                  "org.freedesktop.DBus", "GetNameOwner", NULL, NULL, "s",
                                  name) >= 0;
}

void service_wait_name(Service *service, const char *name) {
        sd_bus *bus = service_bus(service, geteuid());
        gint64 limit = g_get_monotonic_time() + (gint64)SERVICE_LIMIT_USEC;

        while (!has_owner(bus, name)) {
                if (g_get_monotonic_time() > limit) {
                        show_log(service);
                        g_error("nobody took the name %s", name);
                }
                (void)sd_bus_wait(bus, POLL_USEC);
        }
        (void)bus_leave(bus);
}

/* The stock bus, or what the program on-dbus-broker says. */
static void start_bus(Service *service) {
        g_autofree char *config = g_strdup_printf("--config-file=%s/bus.conf", service->directory);
        g_autofree char *socket = in_directory(service, "bus");
        const char *const daemon[] = {"dbus-daemon", config,       "--nofork",
                                      "--nopidfile", "--nosyslog", NULL};
        /* it takes a socket of somebody else's, and looks for systemd on its own bus */
        const char *const broker[] = {"systemd-socket-activate",
                                      "--listen",
                                      socket,
                                      "--setenv=PATH",
                                      "--setenv=DBUS_SYSTEM_BUS_ADDRESS",
                                      "dbus-broker-launch",
                                      "--scope=system",
                                      config,
                                      NULL};
        bool has_broker = g_strcmp0(g_getenv("DTLSD_TEST_BUS"), "dbus-broker") == 0;

        service->bus_pid = start(service, "bus.log", has_broker ? broker : daemon);
        (void)bus_leave(service_bus(service, geteuid())); /* the bus is there */
        g_assert_cmpint(g_chmod(socket, 0666), ==, 0);
}

static void write_dtlsd_config(const Service *service, const char *config) {
        uint32_t direct_after = test_direct_after();
        g_autoptr(GString) text = g_string_new(config);

        if (direct_after > 0)
                g_string_append_printf(text, "\n[Records]\nDirectAfter=%u\n", direct_after);
        write_file(service, "dtlsd.conf", text->str);
}

Service *service_start(const char *config) {
        return service_start_limited(config, 0);
}

Service *service_start_limited(const char *config, unsigned n_fds) {
        Service *service = g_new0(Service, 1);

        service->directory = g_dir_make_tmp("dtlsd-test.XXXXXX", NULL);
        g_assert_nonnull(service->directory);
        g_assert_cmpint(g_chmod(service->directory, 0755), ==, 0);
        service->address = g_strdup_printf("unix:path=%s/bus", service->directory);
        write_bus_config(service);
        write_dtlsd_config(service, config);
        write_rules(service);
        make_store(service);
        copy_program(service, "dtlsd");
        copy_program(service, "dtlsd-keyring");

        start_bus(service);
        service->n_fds = n_fds;
        start_daemon(service);
        service_wait_name(service, NAME);
        return service;
}

void service_remove_directory(const char *path) {
        g_autoptr(GDir) directory = g_dir_open(path, 0, NULL);
        const char *name;

        while (directory && (name = g_dir_read_name(directory))) {
                g_autofree char *file = g_build_filename(path, name, NULL);

                if (g_remove(file) != 0)
                        service_remove_directory(file);
        }
        (void)g_rmdir(path);
}

void service_stop(Service *service) {
        g_autofree char *log = NULL;
        int status = 0;

        g_assert_cmpint(kill(service->daemon_pid, SIGTERM), ==, 0);
        g_assert_cmpint(waitpid(service->daemon_pid, &status, 0), ==, service->daemon_pid);
        log = service_log(service);
        if (status != 0 || strstr(log, "Sanitizer") || strstr(log, "runtime error"))
                g_error("dtlsd ended with wait status %d; it said:\n%s", status, log);

        (void)kill(service->bus_pid, SIGTERM);
        (void)waitpid(service->bus_pid, NULL, 0);
        service_remove_directory(service->directory);
        g_free(service->directory);
        g_free(service->address);
        g_free(service);
}

void service_restart(Service *service) {
        start_daemon(service);
        service_wait_name(service, NAME);
}

int service_lose_bus(Service *service) {
        g_autofree char *path = in_directory(service, "bus");
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        g_assert_cmpint(fd, >=, 0);
        g_assert_cmpuint(g_strlcpy(address.sun_path, path, sizeof address.sun_path), <,
                         sizeof address.sun_path);
        g_assert_cmpint(g_remove(path), ==, 0);
        g_assert_cmpint(bind(fd, (struct sockaddr *)&address, sizeof address), ==, 0);
        g_assert_cmpint(g_chmod(path, 0666), ==, 0);
        g_assert_cmpint(listen(fd, SOMAXCONN), ==, 0);
        g_assert_cmpint(kill(service->bus_pid, SIGKILL), ==, 0);
        g_assert_cmpint(waitpid(service->bus_pid, NULL, 0), ==, service->bus_pid);
        return fd;
}

void service_return_bus(Service *service, int fd) {
        g_autofree char *path = in_directory(service, "bus");

        (void)close(fd);
        g_assert_cmpint(g_remove(path), ==, 0);
        start_bus(service);
        service_wait_name(service, NAME);
}

void service_restart_refused(Service *service) {
        int status = 0;

        start_daemon(service);
        g_assert_cmpint(waitpid(service->daemon_pid, &status, 0), ==, service->daemon_pid);
        g_assert_true(WIFEXITED(status));
        g_assert_cmpint(WEXITSTATUS(status), ==, EXIT_FAILURE);
}

const char *service_address(const Service *service) {
        return service->address;
}

const char *service_directory(const Service *service) {
        return service->directory;
}

pid_t service_pid(const Service *service) {
        return service->daemon_pid;
}

/* 0: none. */
static pid_t child_of(pid_t pid) {
        g_autofree char *path = g_strdup_printf("/proc/%d/task/%d/children", pid, pid);
        g_autofree char *contents = NULL;

        return g_file_get_contents(path, &contents, NULL, NULL)
                       ? (pid_t)g_ascii_strtoll(contents, NULL, 10)
                       : 0;
}

pid_t service_keyring_pid(const Service *service) {
        gint64 limit = g_get_monotonic_time() + (gint64)SERVICE_LIMIT_USEC;
        pid_t pid;

        while ((pid = child_of(service->daemon_pid)) == 0) {
                if (g_get_monotonic_time() > limit) {
                        show_log(service);
                        g_error("no keyring runs");
                }
                g_usleep(POLL_USEC);
        }
        return pid;
}

char *service_log(const Service *service) {
        g_autofree char *path = in_directory(service, "dtlsd.log");
        char *contents = NULL;

        if (!g_file_get_contents(path, &contents, NULL, NULL))
                return g_strdup("");

        return contents;
}

sd_bus *service_bus(Service *service, uid_t uid) {
        uid_t own = geteuid();
        sd_bus *bus = NULL;
        gint64 limit = g_get_monotonic_time() + (gint64)SERVICE_LIMIT_USEC;
        const char *name;
        int r;

        if (own == 0 && uid != 0)
                g_assert_cmpint(seteuid(uid), ==, 0);
        do { /* the bus daemon may still be starting */
                bus = sd_bus_unref(bus);
                g_assert_cmpint(sd_bus_new(&bus), >=, 0);
                g_assert_cmpint(sd_bus_set_address(bus, service->address), >=, 0);
                g_assert_cmpint(sd_bus_set_bus_client(bus, 1), >=, 0);
                r = sd_bus_start(bus);
                if (r >= 0)
                        r = sd_bus_get_unique_name(bus, &name);
                if (r < 0)
                        g_usleep(POLL_USEC);
        } while (r < 0 && g_get_monotonic_time() < limit);
        g_assert_cmpint(r, >=, 0);
        if (own == 0 && uid != 0)
                g_assert_cmpint(seteuid(own), ==, 0);

        (void)sd_bus_set_method_call_timeout(bus, CALL_USEC);
        return bus;
}

sd_bus *bus_leave(sd_bus *bus) {
        return sd_bus_flush_close_unref(bus);
}

void solo_set_up(Solo *solo, const void *unused) {
        solo->service = service_start(NULL);
        solo->bus = service_bus(solo->service, UID_ALICE);
}

void solo_tear_down(Solo *solo, const void *unused) {
        (void)bus_leave(solo->bus);
        service_stop(solo->service);
}

void bus_wait(sd_bus *bus, bool (*done)(void *userdata), void *userdata, const char *what) {
        gint64 limit = g_get_monotonic_time() + (gint64)SERVICE_LIMIT_USEC;
        g_autofree char *printable = g_strescape(what, NULL);
        int r;

        while (!done(userdata)) {
                if (g_get_monotonic_time() > limit)
                        g_error("%s did not come within the limit", printable);

                r = sd_bus_process(bus, NULL);
                g_assert_cmpint(r, >=, 0);
                if (r == 0)
                        (void)sd_bus_wait(bus, POLL_USEC);
        }
        g_test_message("saw %s", printable);
}

static int call_v(sd_bus *bus, const char *path, const char *interface, const char *member,
                  sd_bus_error *error, sd_bus_message **ret, const char *types, va_list ap) {
        sd_bus_message *m = NULL;
        int r;

        r = sd_bus_message_new_method_call(bus, &m, NAME, path, interface, member);
        g_assert_cmpint(r, >=, 0);
        if (types && *types)
                g_assert_cmpint(sd_bus_message_appendv(m, types, ap), >=, 0);

        r = sd_bus_call(bus, m, CALL_USEC, error, ret);
        (void)sd_bus_message_unref(m);
        return r;
}

sd_bus_message *call(sd_bus *bus, const char *path, const char *interface, const char *member,
                     const char *types, ...) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *reply = NULL;
        va_list ap;
        int r;

        va_start(ap, types);
        r = call_v(bus, path, interface, member, &error, &reply, types, ap);
        va_end(ap);
        if (r < 0)
                g_error("%s failed: %s: %s", member, error.name, error.message);

        return reply;
}

char *call_refused(const char *error_name, sd_bus *bus, const char *path, const char *interface,
                   const char *member, const char *types, ...) {
        g_autofree char *name = strchr(error_name, '.')
                                        ? g_strdup(error_name)
                                        : g_strconcat(ERROR_PREFIX, error_name, NULL);
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *reply = NULL;
        char *text;
        va_list ap;
        int r;

        va_start(ap, types);
        r = call_v(bus, path, interface, member, &error, &reply, types, ap);
        va_end(ap);
        if (r >= 0)
                g_error("%s worked; it should have been refused with %s", member, name);
        if (g_strcmp0(error.name, name) != 0)
                g_error("%s was refused with %s (%s), not with %s", member, error.name,
                        error.message, name);

        text = g_strdup(error.message);
        sd_bus_error_free(&error);
        return text;
}

char *get_string(sd_bus *bus, const char *path, const char *interface, const char *property) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        char *value = NULL;
        int r;

        r = sd_bus_get_property_string(bus, NAME, path, interface, property, &error, &value);
        if (r < 0)
                g_error("%s of %s: %s: %s", property, path, error.name, error.message);

        return value;
}

void wait_string(sd_bus *bus, const char *path, const char *interface, const char *property,
                 const char *value) {
        gint64 limit = g_get_monotonic_time() + (gint64)SERVICE_LIMIT_USEC;

        for (;;) {
                g_autofree char *now = get_string(bus, path, interface, property);

                if (g_str_equal(now, value))
                        return;
                if (g_get_monotonic_time() > limit)
                        g_error("%s of %s stayed %s, not %s", property, path, now, value);
                while (sd_bus_process(bus, NULL) > 0)
                        ;
                (void)sd_bus_wait(bus, POLL_USEC);
        }
}

uint64_t get_counter(sd_bus *bus, const char *path, const char *interface, const char *property,
                     const char *counter) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *reply = NULL;
        uint64_t value, found = 0;
        const char *name;
        int r;

        r = sd_bus_get_property(bus, NAME, path, interface, property, &error, &reply, "a{st}");
        if (r < 0)
                g_error("%s of %s: %s: %s", property, path, error.name, error.message);

        g_assert_cmpint(sd_bus_message_enter_container(reply, 'a', "{st}"), >=, 0);
        while (sd_bus_message_read(reply, "{st}", &name, &value) > 0)
                if (g_str_equal(name, counter))
                        found = value;
        (void)sd_bus_message_unref(reply);
        return found;
}

int sealed_memfd(const void *data, size_t size) {
        int fd = memfd_create("secret", MFD_CLOEXEC | MFD_ALLOW_SEALING);

        g_assert_cmpint(fd, >=, 0);
        g_assert_cmpint(write(fd, data, size), ==, (ssize_t)size);
        g_assert_cmpint(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK), ==, 0);
        return fd;
}

void service_rule(Service *service, const char *rules) {
        sd_bus *root = service_bus(service, 0);

        write_file(service, "policy.d/10-x.conf", rules);
        (void)sd_bus_message_unref(call(root, ROOT, MANAGER, "Reload", ""));
        (void)bus_leave(root);
}
