/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * turns: when the connection is read and written, and what ends a turn.
 *
 * sd-bus could look after its socket itself, and then each message would be a round of the loop,
 * and so would the end of its turn. Here a turn among relay's takes in a few, and ends with them.
 * What it has brought about is dealt with there, in one place: answers, news, errands that are
 * over, messages that are not needed any more.
 */

#include "base/fault.h"
#include "base/log.h"
#include "bus/private.h"

#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define CALLS_ACCURACY_USEC 1 /* sd-event's least */
#define ROUND_USEC                                                                                 \
        250 /* so long a user's calls run while nobody waits; what is not of the bus does */
/* answers that wait in the order they were given, and not in turn */
#define SEND_BUFFER (8 * 1024)

void bus_turn(Bus *bus) {
        int r;

        if (!bus->turn || bus->takes_in)
                return;

        r = sd_event_source_set_enabled(bus->turn, SD_EVENT_ONESHOT);
        if (r < 0)
                log_warning("A turn of the bus cannot end: %s", g_strerror(-r));
        relay_stir(bus->relay);
}

/* ---- when ---- */

uint64_t bus_n_queued(const Bus *bus) {
        uint64_t n = 0;

        (void)sd_bus_get_n_queued_write(bus->bus, &n); /* fails in another process only */
        return n;
}

static bool turns_are_backed_up(const Bus *bus) {
        return bus_n_queued(bus) > 0;
}

/* What sd-bus waits for; 0: it has read more already. */
static uint64_t turns_bus_at(Bus *bus) {
        uint64_t at_usec;

        return sd_bus_get_timeout(bus->bus, &at_usec) > 0 ? at_usec : UINT64_MAX;
}

/* For nothing but their turn. */
static bool turns_calls_wait(const Bus *bus) {
        return queues_wait(bus->queues) || managed_wait(bus);
}

/* While the bus daemon does not keep up with the answers calls have no turns: it has one queue of
 * ours for everybody, in which nobody is to wait for another's answers. So those that wait have one
 * when the socket has room. It takes its place among what is ready; a deferred source would come
 * before everything else each time, and while calls keep coming nothing else would. */
static int turns_events(Bus *bus) {
        int events = sd_bus_get_events(bus->bus);

        return events >= 0 && turns_calls_wait(bus) ? events | EPOLLOUT : events;
}

/* When a call does that waits for its user's rest. */
static uint64_t turns_calls_at(Bus *bus) {
        return turns_are_backed_up(bus) || turns_calls_wait(bus) ? UINT64_MAX
                                                                 : queues_rest_until(bus->queues);
}

/* Set anew in each round it would come behind what is ready by then, and beside two sockets that
 * always are, never. */
static void turns_wake_at(Bus *bus, uint64_t at_usec) {
        if (bus->calls_usec == at_usec)
                return;

        /* cannot fail for a timer of ours */
        bus->calls_usec = at_usec;
        relay_stir(bus->relay);
        (void)sd_event_source_set_time(bus->calls, at_usec);
}

static void turns_await(Bus *bus) {
        int events = turns_events(bus);

        turns_wake_at(bus, MIN(turns_calls_at(bus), turns_bus_at(bus)));
        if (events >= 0)
                watch_set(bus->socket, (uint32_t)events);
}

/* As each round of the loop begins: others may have had something to say. */
static int on_round(sd_event_source *source, void *userdata) {
        turns_await(userdata);
        return 0;
}

/* ---- what ---- */

static bool turns_have_time(const Bus *bus) {
        return g_get_monotonic_time() - bus->round_usec < ROUND_USEC;
}

/* To ask the kernel costs less than to have sd-bus find nothing. */
static bool turns_have_more(Bus *bus) {
        int n_bytes = 0;

        return turns_bus_at(bus) == 0 ||
               (ioctl(sd_bus_get_fd(bus->bus), FIONREAD, &n_bytes) == 0 && n_bytes > 0);
}

bool bus_has_room(Bus *bus) {
        return !queues_wait(bus->queues) && !turns_are_backed_up(bus) && turns_have_time(bus) &&
               !turns_have_more(bus);
}

static void turns_broke(Bus *bus) {
        turns_end(bus);
        sd_bus_close(bus->bus);
        bus_lose(bus);
}

/* What has come about before a call is told before its answer. */
static void turns_tell(Bus *bus) {
        pending_settle(bus);
        news_send(bus);
}

/* What a call has ended is given back before the next one, which may need it. */
static void turns_give_back(Bus *bus) {
        relay_end_turn(bus->relay);
        errands_turn_over(bus);
}

/* The calls whose turn it is, then what has arrived: sd-bus reads them in this order. */
static void turns_take_in(Bus *bus, bool calls_run) {
        unsigned n = BUS_MESSAGES_PER_TURN;

        if (calls_run) {
                n += queues_turn(bus->queues);
                n += managed_turn(bus);
        }

        do {
                int r = sd_bus_process(bus->bus, NULL);

                queues_ran(bus->queues);
                if (r < 0)
                        turns_broke(bus);
                else if (calls_run || !queues_wait(bus->queues))
                        turns_tell(bus);
                turns_give_back(bus);
        } while (--n > 0 && !bus->is_lost && turns_have_more(bus));
}

static void turns_over(Bus *bus) {
        callers_turn_over(bus);
        pending_settle(bus);
        /* before calls that wait, as much is told as the bus takes, and then they run; told here,
         * too, it would take their turn */
        if (!queues_wait(bus->queues))
                news_send(bus);
        errands_turn_over(bus);
        bin_empty(bus);
        if (!bus->is_lost)
                turns_await(bus);

        if (bus->is_lost && bus->host.lost) {
                BusHost host = bus->host;

                bus->host.lost = NULL;
                relay_stir(bus->relay);
                host.lost(host.userdata); /* may free the bus */
        }
}

static int on_turn(sd_event_source *source, void *userdata) {
        turns_over(userdata);
        return 0;
}

static void turns_go_on(Bus *bus) {
        bool calls_run = !turns_are_backed_up(bus);

        bus->round_usec = g_get_monotonic_time();
        turns_tell(bus);
        bus->takes_in = true;
        turns_take_in(bus, calls_run);
        bus->takes_in = false;

        (void)sd_event_source_set_enabled(bus->turn, SD_EVENT_OFF);
        turns_over(bus);
}

static void on_socket(uint32_t events, void *userdata) {
        turns_go_on(userdata);
}

static int on_calls(sd_event_source *source, uint64_t usec, void *userdata) {
        Bus *bus = userdata;

        turns_wake_at(bus, UINT64_MAX);
        turns_go_on(bus);
        return 0;
}

/* ---- birth and death ---- */

int turns_new(Bus *bus) {
        int r;

        r = sd_event_add_defer(bus->event, &bus->turn, on_turn, bus);
        if (r >= 0)
                r = sd_event_source_set_enabled(bus->turn, SD_EVENT_OFF);
        if (r >= 0)
                r = sd_event_add_time(bus->event, &bus->calls, CLOCK_MONOTONIC, UINT64_MAX,
                                      CALLS_ACCURACY_USEC, on_calls, bus);
        if (r >= 0)
                r = sd_event_source_set_enabled(bus->calls, SD_EVENT_ON);
        bus->calls_usec = UINT64_MAX;
        return r < 0 ? fault(r) : 0;
}

int turns_begin(Bus *bus) {
        int fd = sd_bus_get_fd(bus->bus);
        int r;

        if (fd < 0)
                return fault(fd);

        /* a courtesy to those who wait for an answer; without it they wait */
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &(int){SEND_BUFFER}, sizeof(int));

        r = relay_watch(bus->relay, fd, on_socket, bus, &bus->socket);
        if (r < 0)
                return fault(r);

        r = sd_event_source_set_prepare(bus->calls, on_round);
        return r < 0 ? fault(r) : 0;
}

/* The fd may be another's from now on. */
void turns_end(Bus *bus) {
        bus->socket = watch_free(bus->socket);
        bus->calls = sd_event_source_disable_unref(bus->calls);
}

void turns_free(Bus *bus) {
        turns_end(bus);
        bus->turn = sd_event_source_disable_unref(bus->turn);
}
