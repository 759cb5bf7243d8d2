/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "host.h"

static int on_uses(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        Host *host = userdata;

        keys_serve_uses(host->keys, events);
        return 0;
}

static int on_round(sd_event_source *source, void *userdata) {
        Host *host = userdata;

        keys_flush_uses(host->keys);
        return 0;
}

static int host_watch(int fd, uint32_t events, void *userdata) {
        Host *host = userdata;
        int r;

        if (fd < 0) {
                host->source = sd_event_source_disable_unref(host->source);
                return 0;
        }
        if (host->source)
                return events ? sd_event_source_set_io_events(host->source, events)
                              : sd_event_source_set_enabled(host->source, SD_EVENT_OFF);

        r = sd_event_add_io(host->event, &host->source, fd, events, on_uses, host);
        return r < 0 ? r : sd_event_source_set_prepare(host->source, on_round);
}

static void host_stir(void *userdata) {
}

void host_serve(Host *host, sd_event *event, Keys *keys) {
        static const KeysHost functions = {.watch = host_watch, .stir = host_stir};

        host->event = event;
        host->keys = keys;
        keys_set_host(keys, &functions, host);
}
