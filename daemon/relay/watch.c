/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Watch: sockets, channels and the bus, in an epoll of their own beside the loop's sources. A turn
 * of sd-event costs as much as a datagram; here what is ready has its turn, one behind the other,
 * and then shared channels have what came for them, and the keyring what it is asked, in one packet
 * each. Users take turns, in each of which theirs have a slice of time: one with a thousand busy
 * connections is waited for no longer than one with a few. In relay_run() the loop is one of those
 * that are watched: it turns when it has something to do, and when a handler has left something for
 * it.
 *
 * Knows: fds, whose they are, in which order they became ready. Does not know: what they are.
 */

#include "base/fault.h"
#include "relay/private.h"

#include <errno.h>
#include <sys/epoll.h>

/* of a user; and no longer a shared channel's packet waits for others' turns */
#define WATCHES_SLICE_USEC 250
#define WATCHES_ACCURACY_USEC 1  /* sd-event's least: none of the timers is to be coalesced */
#define WATCH_NOBODY ((uid_t)-1) /* the service's own: a user like others */

struct WatchUser {
        uid_t uid;
        size_t n_watches;
        GQueue ready; /* of Watch */
        bool in_ring; /* with others who have some */
        GList link;   /* there */
};

struct Watch {
        Relay *relay;
        WatchUser *user;
        int fd;
        uint32_t events; /* 0: none, and the end is not told either */
        uint32_t ready;  /* what it waits for a turn with; 0: it does not */
        GList link;      /* then, in the user's */
        WatchHandler handler;
        void *userdata;
};

/* ---- users ---- */

static WatchUser *watch_user_of(Watches *watches, uid_t uid) {
        WatchUser *user = g_hash_table_lookup(watches->users, GUINT_TO_POINTER(uid));

        if (user)
                return user;

        user = g_new0(WatchUser, 1);
        user->uid = uid;
        user->link.data = user;
        g_hash_table_insert(watches->users, GUINT_TO_POINTER(uid), user);
        return user;
}

static void watch_user_enter(Watches *watches, WatchUser *user) {
        if (user->in_ring || user->ready.length == 0)
                return;

        user->in_ring = true;
        g_queue_push_tail_link(&watches->ring, &user->link);
}

static WatchUser *watch_user_leave(Watches *watches, WatchUser *user) {
        if (user->in_ring)
                g_queue_unlink(&watches->ring, &user->link);
        user->in_ring = false;
        return user;
}

static void watch_user_drop(Watches *watches, WatchUser *user) {
        if (user->n_watches > 0 || user == watches->serving)
                return;

        (void)watch_user_leave(watches, user);
        (void)g_hash_table_remove(watches->users, GUINT_TO_POINTER(user->uid));
}

static void watch_enqueue(Watch *watch, uint32_t events) {
        if (watch->ready == 0)
                g_queue_push_tail_link(&watch->user->ready, &watch->link);
        watch->ready |= events;
        watch_user_enter(&watch->relay->watches, watch->user);
}

/* What it waits with of @events, and no more. */
static void watch_dequeue(Watch *watch, uint32_t events) {
        if (watch->ready != 0 && (watch->ready & events) == 0)
                g_queue_unlink(&watch->user->ready, &watch->link);
        watch->ready &= events;
}

/* ---- turns ---- */

static void watches_wait(Watches *watches, int timeout_msec) {
        struct epoll_event ready[WATCHES_MAX];
        int n;

        /* somebody has a turn yet */
        n = epoll_wait(watches->epoll_fd, ready, WATCHES_MAX,
                       watches->ring.length > 0 ? 0 : timeout_msec);

        /* fewer than none: a signal came, and the loop reads it */
        for (int i = 0; i < n; i++)
                watch_enqueue(ready[i].data.ptr, ready[i].events);
        watches->now_usec = (uint64_t)g_get_monotonic_time();
}

static void watch_serve(Watch *watch) {
        uint32_t events = watch->ready;

        watch_dequeue(watch, 0);
        watch->handler(events, watch->userdata); /* which may free it */
}

static void watches_serve_user(Relay *relay, WatchUser *user) {
        Watches *watches = &relay->watches;
        uint64_t begun_usec = watches->now_usec;

        watches->serving = watch_user_leave(watches, user);
        while (user->ready.length > 0 && watches->now_usec - begun_usec < WATCHES_SLICE_USEC) {
                watch_serve(user->ready.head->data);
                watches->now_usec = (uint64_t)g_get_monotonic_time();
        }

        watches->serving = NULL;
        watch_user_enter(watches, user); /* behind the others */
        watch_user_drop(watches, user);
}

/* A slice of each user's. */
static void watches_serve(Relay *relay) {
        Watches *watches = &relay->watches;
        uint64_t flushed_usec = watches->now_usec;

        watches->is_serving = true;
        for (guint n = watches->ring.length; n > 0 && watches->ring.length > 0; n--) {
                watches_serve_user(relay, g_queue_peek_head(&watches->ring));
                if (watches->now_usec - flushed_usec >= WATCHES_SLICE_USEC) {
                        trunks_flush(relay);
                        flushed_usec = watches->now_usec;
                }
        }

        trunks_flush(relay);
        keys_flush_uses(relay->keys);
        watches->is_serving = false;
        relay_end_turn(relay);
}

/* In a loop that is not relay_run(). */
static int on_round(sd_event_source *source, void *userdata) {
        const Relay *relay = userdata;

        keys_flush_uses(relay->keys);
        return 0;
}

static int on_watches(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        Relay *relay = userdata;

        watches_wait(&relay->watches, 0);
        do /* what is waiting here makes the epoll ready no more */
                watches_serve(relay);
        while (relay->watches.ring.length > 0);
        return 0;
}

void relay_stir(Relay *relay) {
        relay->watches.is_stirred = true;
}

int watches_new_timer(Relay *relay, sd_event_time_handler_t handler, void *userdata,
                      sd_event_source **ret) {
        int r;

        r = sd_event_add_time(relay->event, ret, CLOCK_MONOTONIC, SESSION_NEVER,
                              WATCHES_ACCURACY_USEC, handler, userdata);
        return r < 0 ? fault(r) : 0;
}

void watches_set_timer(Relay *relay, sd_event_source *timer, uint64_t at_usec) {
        relay_stir(relay);
        /* neither can fail for a timer of ours */
        (void)sd_event_source_set_time(timer, at_usec);
        (void)sd_event_source_set_enabled(timer, SD_EVENT_ONESHOT);
}

static void on_loop(uint32_t events, void *userdata) {
        relay_stir(userdata);
}

/* The loop's own clock stands still meanwhile: who is called here looks at another. */
static void watches_until_stirred(Relay *relay) {
        Watches *watches = &relay->watches;

        watches->is_stirred = false;
        do {
                watches_wait(watches, -1);
                watches_serve(relay);
        } while (!watches->is_stirred);
}

static int watches_turn(Relay *relay) {
        int r;

        keys_flush_uses(relay->keys); /* of sd-event's sources */
        r = sd_event_prepare(relay->event);
        if (r < 0)
                return r;
        if (r == 0) {
                watches_until_stirred(relay);
                return sd_event_wait(relay->event, 0);
        }

        watches_wait(&relay->watches, 0);
        watches_serve(relay);
        return r;
}

int relay_run(Relay *relay) {
        Watch *loop = NULL;
        int code, r;

        relay->watches.source = sd_event_source_disable_unref(relay->watches.source);
        r = relay_watch(relay, sd_event_get_fd(relay->event), on_loop, relay, &loop);
        if (!loop)
                return fault(r);

        while (r >= 0 && sd_event_get_state(relay->event) != SD_EVENT_FINISHED) {
                r = watches_turn(relay);
                if (r > 0)
                        r = sd_event_dispatch(relay->event);
        }

        watch_free(loop);
        if (r < 0)
                return fault(r);

        r = sd_event_get_exit_code(relay->event, &code);
        return r < 0 ? fault(r) : code;
}

uint64_t relay_now(const Relay *relay) {
        const Watches *watches = &relay->watches;
        uint64_t now_usec;

        if (watches->is_serving)
                return watches->now_usec;

        /* fails for unknown clocks alone */
        if (sd_event_now(relay->event, CLOCK_MONOTONIC, &now_usec) < 0)
                g_assert_not_reached();

        return MAX(now_usec, watches->now_usec);
}

/* ---- one ---- */

static int watch_control(const Watch *watch, int operation, uint32_t events) {
        struct epoll_event event = {.events = events, .data.ptr = (void *)watch};

        return epoll_ctl(watch->relay->watches.epoll_fd, operation, watch->fd, &event) < 0 ? -errno
                                                                                           : 0;
}

int watch_new(Relay *relay, uid_t uid, int fd, uint32_t events, WatchHandler handler,
              void *userdata, Watch **ret) {
        g_autofree Watch *watch = g_new(Watch, 1);
        int r;

        *watch = (Watch){
                .relay = relay,
                .fd = fd,
                .events = events,
                .link.data = watch,
                .handler = handler,
                .userdata = userdata,
        };
        r = watch_control(watch, EPOLL_CTL_ADD, events);
        if (r < 0)
                return fault(r);

        watch->user = watch_user_of(&relay->watches, uid);
        watch->user->n_watches++;
        *ret = g_steal_pointer(&watch);
        return 0;
}

void watch_set(Watch *watch, uint32_t events) {
        int operation = EPOLL_CTL_MOD;

        if (events == watch->events && (events & EPOLLET) == 0)
                return;

        if (events == 0)
                operation = EPOLL_CTL_DEL;
        else if (watch->events == 0)
                operation = EPOLL_CTL_ADD;

        /* what cannot be watched any more is heard of no more, and goes by a timeout */
        (void)watch_control(watch, operation, events);
        watch->events = events;
        watch_dequeue(watch, events == 0 ? 0 : events | EPOLLERR | EPOLLHUP);
}

Watch *watch_free(Watch *watch) {
        if (!watch)
                return NULL;

        watch_set(watch, 0);
        watch->user->n_watches--;
        watch_user_drop(&watch->relay->watches, watch->user);
        g_free(watch);
        return NULL;
}

/* ---- the service's own ---- */

int relay_watch(Relay *relay, int fd, WatchHandler handler, void *userdata, Watch **ret) {
        return watch_new(relay, WATCH_NOBODY, fd, EPOLLIN, handler, userdata, ret);
}

/* ---- the keyring's ---- */

static void on_uses(uint32_t events, void *userdata) {
        Relay *relay = userdata;

        keys_serve_uses(relay->keys, events);
}

static int on_uses_watch(int fd, uint32_t events, void *userdata) {
        Relay *relay = userdata;
        Watches *watches = &relay->watches;

        if (fd < 0)
                watches->uses = watch_free(watches->uses);
        else if (watches->uses)
                watch_set(watches->uses, events);
        else
                return watch_new(relay, WATCH_NOBODY, fd, events, on_uses, relay, &watches->uses);
        return 0;
}

static void on_stir(void *userdata) {
        relay_stir(userdata);
}

static const KeysHost watches_host = {.watch = on_uses_watch, .stir = on_stir};

/* ---- all of them ---- */

int watches_new(Relay *relay) {
        Watches *watches = &relay->watches;
        int r;

        watches->users = g_hash_table_new_full(NULL, NULL, NULL, g_free);
        watches->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        if (watches->epoll_fd < 0)
                return fault(-errno);

        r = sd_event_add_io(relay->event, &watches->source, watches->epoll_fd, EPOLLIN, on_watches,
                            relay);
        if (r >= 0)
                r = sd_event_source_set_prepare(watches->source, on_round);
        if (r < 0)
                return fault(r);

        keys_set_host(relay->keys, &watches_host, relay);
        return 0;
}

/* None is left. */
void watches_free(Relay *relay) {
        keys_set_host(relay->keys, NULL, NULL);
        relay->watches.source = sd_event_source_disable_unref(relay->watches.source);
        g_clear_pointer(&relay->watches.users, g_hash_table_unref);
        autofd_close(&relay->watches.epoll_fd);
}
