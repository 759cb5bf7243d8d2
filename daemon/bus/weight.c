/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * weight: what a call that waits takes: memory, as far as a look at its contents tells, and file
 * descriptors, which only the process as a whole can be asked about.
 */

#include "bus/private.h"

#include <dirent.h>
#include <string.h>
#include <sys/stat.h>

#define CALL_BYTES_MIN ((size_t)1024) /* what sd-bus has of it beside its contents */

static int weigh_basic(sd_bus_message *m, char type, size_t *total) {
        union {
                const char *text;
                uint64_t number;
                int fd;
        } value;
        int r;

        r = sd_bus_message_read_basic(m, type, &value);
        if (r < 0)
                return r;

        *total += sizeof(uint64_t);
        if (type == 's' || type == 'o' || type == 'g')
                *total += strlen(value.text);
        return 0;
}

/* Adds what is left of the container to @total, and stops as soon as that is over @limit, so that
 * its own cost is bounded. D-Bus bounds the depth. */
static int weigh(sd_bus_message *m, size_t limit, size_t *total) {
        const char *contents;
        const void *bytes;
        size_t size;
        char type;
        int r;

        while (*total <= limit) {
                r = sd_bus_message_peek_type(m, &type, &contents);
                if (r <= 0)
                        return r;

                if (type == 'a' && contents[1] == '\0' && strchr("ynqiuxtd", *contents)) {
                        r = sd_bus_message_read_array(m, *contents, &bytes, &size);
                        *total += sizeof(uint64_t) + (r < 0 ? 0 : size);
                } else if (strchr("aver", type)) {
                        *total += sizeof(uint64_t);
                        r = sd_bus_message_enter_container(m, type, contents);
                        if (r >= 0)
                                r = weigh(m, limit, total);
                        if (r >= 0 && *total <= limit)
                                r = sd_bus_message_exit_container(m);
                } else {
                        r = weigh_basic(m, type, total);
                }
                if (r < 0)
                        return r;
        }

        return 0;
}

size_t message_weight(sd_bus_message *m, size_t limit) {
        size_t total = 0;

        if (weigh(m, limit, &total) < 0)
                total = limit + 1; /* not even readable */
        (void)sd_bus_message_rewind(m, /* complete= */ true);
        return MAX(total, CALL_BYTES_MIN);
}

size_t fds_used(void) {
        struct stat st;
        size_t n = 0;
        DIR *directory;

        /* Linux 6.2 and later say it without being walked */
        if (stat("/proc/self/fd", &st) == 0 && st.st_size > 0)
                return (size_t)st.st_size;

        directory = opendir("/proc/self/fd");
        if (!directory)
                return 0;
        while (readdir(directory))
                n++;
        (void)closedir(directory);
        return n;
}
