/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "seat.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define DRIVER "org.freedesktop.DBus"
#define POLKIT "org.freedesktop.PolicyKit1"
#define SEAT_QUIET_USEC 5000

static void must(int r, const char *what) {
        if (r < 0)
                g_error("%s: %s", what, g_strerror(-r));
}

/* ---- the driver and polkit ---- */

static void driver_answer(Seat *seat, sd_bus_message *question) {
        const char *name;
        gpointer uid;
        int r;

        must(sd_bus_message_rewind(question, true), "rewind");
        must(sd_bus_message_read(question, "s", &name), "read a name");

        if (g_hash_table_lookup_extended(seat->users, name, NULL, &uid))
                r = sd_bus_reply_method_return(question, "a{sv}", 3, "ProcessID", "u", 1,
                                               "UnixUserID", "u", GPOINTER_TO_UINT(uid),
                                               "UnixGroupIDs", "au", 2, 100, 200);
        else
                r = sd_bus_reply_method_errorf(question, SD_BUS_ERROR_NAME_HAS_NO_OWNER,
                                               "no such name");
        must(r, "answer for the driver");
}

static int driver_is_asked(Seat *seat, sd_bus_message *m) {
        g_assert_cmpstr(sd_bus_message_get_member(m), ==, "GetConnectionCredentials");

        seat->n_credentials++;
        if (seat->withholds)
                g_ptr_array_add(seat->questions, sd_bus_message_ref(m));
        else
                driver_answer(seat, m);
        return 1;
}

static int polkit_is_asked(Seat *seat, sd_bus_message *m) {
        if (!seat->has_polkit)
                return sd_bus_reply_method_errorf(m, SD_BUS_ERROR_SERVICE_UNKNOWN, "no polkit");

        if (strcmp(sd_bus_message_get_member(m), "CancelCheckAuthorization") == 0) {
                seat->n_cancelled++;
                return sd_bus_reply_method_return(m, "");
        }

        g_assert_cmpstr(sd_bus_message_get_member(m), ==, "CheckAuthorization");
        g_ptr_array_add(seat->polkit, sd_bus_message_ref(m));
        return 1;
}

/* Everything that leaves the service. */
static int on_message(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Seat *seat = userdata;
        const char *destination = sd_bus_message_get_destination(m);
        uint8_t type;

        must(sd_bus_message_get_type(m, &type), "type");
        if (type == SD_BUS_MESSAGE_SIGNAL) {
                g_ptr_array_add(seat->signals, sd_bus_message_ref(m));
                return 1;
        }
        if (type != SD_BUS_MESSAGE_METHOD_CALL)
                return 0;
        if (g_strcmp0(destination, DRIVER) == 0)
                return driver_is_asked(seat, m);
        if (g_strcmp0(destination, POLKIT) == 0)
                return polkit_is_asked(seat, m);

        g_error("the service called %s", destination);
}

void seat_release(Seat *seat) {
        for (guint i = 0; i < seat->questions->len; i++)
                driver_answer(seat, g_ptr_array_index(seat->questions, i));
        g_ptr_array_set_size(seat->questions, 0);
}

void seat_polkit_answers(Seat *seat, bool is_authorized, bool is_challenge) {
        for (guint i = 0; i < seat->polkit->len; i++)
                must(sd_bus_reply_method_return(g_ptr_array_index(seat->polkit, i), "(bba{ss})",
                                                is_authorized, is_challenge, 1, "polkit.detail",
                                                "of no meaning"),
                     "answer for polkit");
        g_ptr_array_set_size(seat->polkit, 0);
}

void seat_enter(Seat *seat, const char *name, uid_t uid) {
        g_hash_table_insert(seat->users, g_strdup(name), GUINT_TO_POINTER(uid));
}

void seat_leave(Seat *seat, const char *name) {
        sd_bus_message *m;

        (void)g_hash_table_remove(seat->users, name);
        must(sd_bus_message_new_signal(seat->theirs, &m, "/org/freedesktop/DBus", DRIVER,
                                       "NameOwnerChanged"),
             "new signal");
        must(sd_bus_message_set_sender(m, DRIVER), "set the sender");
        must(sd_bus_message_append(m, "sss", name, name, ""), "append");
        must(sd_bus_send(seat->theirs, m, NULL), "send");
        (void)sd_bus_message_unref(m);
}

/* ---- birth and death ---- */

static void message_unref(gpointer m) {
        (void)sd_bus_message_unref(m);
}

static sd_bus *seat_end(int fd, bool is_server) {
        sd_bus *bus;
        sd_id128_t id;

        must(sd_id128_randomize(&id), "id");
        must(sd_bus_new(&bus), "sd_bus_new");
        must(sd_bus_set_fd(bus, fd, fd), "set_fd");
        if (is_server)
                must(sd_bus_set_server(bus, true, id), "set_server");
        must(sd_bus_set_anonymous(bus, true), "anonymous");
        must(sd_bus_negotiate_fds(bus, true), "fds");
        must(sd_bus_start(bus), "start");
        return bus;
}

static void on_lost(void *userdata) {
        Seat *seat = userdata;

        seat->is_lost = true;
}

Access *shipped_rules(void) {
        g_autofree char *contents = NULL, *text = NULL;
        Access *access = access_new();

        g_assert_true(g_file_get_contents(g_getenv("DTLSD_RULES"), &contents, NULL, NULL));
        must(access_read(access, "90-default.conf", contents, &text), text);
        return access;
}

static int on_reload(void *userdata, char **ret_text) {
        return 0;
}

void seat_run(Seat *seat) {
        int r;

        /* sd-bus goes on with what it has read by a timer that is due at once, which takes a moment
         */
        do {
                r = sd_event_run(seat->event, SEAT_QUIET_USEC);
                must(r, "run");
        } while (r > 0);
}

void seat_stop_reading(Seat *seat) {
        must(sd_bus_detach_event(seat->theirs), "detach");
}

void seat_read_again(Seat *seat) {
        must(sd_bus_attach_event(seat->theirs, seat->event, SD_EVENT_PRIORITY_NORMAL), "attach");
}

Seat *seat_new(void) {
        QuotaLimits limits = quota_limits_default(1024);
        Seat *seat = g_new0(Seat, 1);
        const BusHost host = {.lost = on_lost, .reload = on_reload, .userdata = seat};
        int pair[2];

        seat->keyring_fd = -1;
        seat->users = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        seat->questions = g_ptr_array_new_with_free_func(message_unref);
        seat->polkit = g_ptr_array_new_with_free_func(message_unref);
        seat->signals = g_ptr_array_new_with_free_func(message_unref);

        must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), "pair");
        must(sd_event_new(&seat->event), "event");
        seat->theirs = seat_end(pair[0], /* is_server= */ true);
        seat->ours = seat_end(pair[1], /* is_server= */ false);
        seat_read_again(seat);
        must(sd_bus_add_filter(seat->theirs, NULL, on_message, seat), "filter");

        must(keys_new(seat->event, &seat->keys), "keys");
        must(quota_new(&limits, &seat->quota), "quota");
        must(relay_new(seat->event, seat->keys, seat->quota, &seat->relay), "relay");
        seat->access = shipped_rules();
        must(bus_new(seat->ours, seat->event, seat->relay, seat->keys, seat->quota, seat->access,
                     &host, &seat->bus),
             "bus_new");
        seat_run(seat); /* the two ends greet each other */
        return seat;
}

Seat *seat_free(Seat *seat) {
        if (!seat)
                return NULL;

        seat->bus = bus_free(seat->bus);
        seat->relay = relay_free(seat->relay);
        seat->access = access_free(seat->access);
        seat->quota = quota_free(seat->quota);
        seat->keys = keys_free(seat->keys);
        (void)g_ptr_array_unref(seat->questions);
        (void)g_ptr_array_unref(seat->polkit);
        (void)g_ptr_array_unref(seat->signals);
        g_hash_table_unref(seat->users);
        (void)sd_bus_detach_event(seat->theirs);
        (void)sd_bus_close_unref(seat->theirs);
        (void)sd_bus_close_unref(seat->ours);
        if (seat->keyring_fd >= 0)
                (void)close(seat->keyring_fd);
        (void)sd_event_unref(seat->event);
        g_free(seat);
        return NULL;
}

/* ---- running ---- */

static uint64_t now_usec(void) {
        struct timespec now;

        (void)clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint64_t seat_run_until(Seat *seat, bool (*done)(void *userdata), void *userdata,
                        uint64_t limit_usec) {
        uint64_t start = now_usec();

        while (!done(userdata)) {
                uint64_t spent = now_usec() - start;

                if (spent >= limit_usec)
                        g_error("not within %" G_GUINT64_FORMAT " us", limit_usec);
                must(sd_event_run(seat->event, limit_usec - spent), "run");
        }

        return now_usec() - start;
}

/* ---- calls ---- */

sd_bus_message *seat_message(Seat *seat, const char *sender, const char *path,
                             const char *interface, const char *member) {
        sd_bus_message *m;

        must(sd_bus_message_new_method_call(seat->theirs, &m, NAME, path, interface, member),
             "new call");
        if (sender)
                must(sd_bus_message_set_sender(m, sender), "set the sender");
        return m;
}

static int on_reply(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Call *call = userdata;

        call->reply = sd_bus_message_ref(m);
        call->order = ++call->seat->n_answers;
        return 1;
}

Call *seat_send(Seat *seat, sd_bus_message *m) {
        Call *call = g_new0(Call, 1);

        call->seat = seat;
        must(sd_bus_call_async(seat->theirs, NULL, m, on_reply, call, SEAT_LIMIT_USEC), "call");
        must(sd_bus_message_get_cookie(m, &call->cookie), "cookie");
        (void)sd_bus_message_unref(m);
        return call;
}

Call *seat_call(Seat *seat, const char *sender, const char *path, const char *interface,
                const char *member, const char *types, ...) {
        sd_bus_message *m = seat_message(seat, sender, path, interface, member);
        va_list arguments;

        va_start(arguments, types);
        must(sd_bus_message_appendv(m, types, arguments), "append");
        va_end(arguments);
        return seat_send(seat, m);
}

void call_free(Call *call) {
        if (!call)
                return;

        (void)sd_bus_message_unref(call->reply);
        g_free(call);
}

static bool call_is_answered(void *userdata) {
        return ((const Call *)userdata)->reply != NULL;
}

const char *call_error(const Call *call) {
        const sd_bus_error *error;

        (void)seat_run_until(call->seat, call_is_answered, (void *)call, SEAT_LIMIT_USEC);
        error = sd_bus_message_get_error(call->reply);
        return error ? error->name : NULL;
}

void seat_meet(Seat *seat, const char *name, uid_t uid) {
        g_autoptr(Call) call = NULL;

        seat_enter(seat, name, uid);
        call = seat_call(seat, name, ROOT, "org.freedesktop.DBus.Peer", "Ping", "");
        seat_run(seat);
        g_assert_null(call_error(call));
}

/* ---- signals ---- */

static bool signal_is(sd_bus_message *m, const char *name, const char *member) {
        return (!name || g_strcmp0(sd_bus_message_get_destination(m), name) == 0) &&
               (!member || g_strcmp0(sd_bus_message_get_member(m), member) == 0);
}

unsigned seat_heard(const Seat *seat, const char *name, const char *member) {
        unsigned n = 0;

        for (guint i = 0; i < seat->signals->len; i++)
                n += signal_is(g_ptr_array_index(seat->signals, i), name, member);
        return n;
}

sd_bus_message *seat_last(const Seat *seat, const char *name, const char *member) {
        for (guint i = seat->signals->len; i > 0; i--) {
                sd_bus_message *m = g_ptr_array_index(seat->signals, i - 1);

                if (signal_is(m, name, member))
                        return m;
        }

        g_error("%s was not told %s", name, member);
}

void seat_forget(Seat *seat) {
        g_ptr_array_set_size(seat->signals, 0);
}
