/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Schedule, see schedule.h. */

#include "schedule.h"

#include <sched.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

/* From Linux 6.12 on: how long before somebody else's turn. By itself it is 3 ms or less. */
#define SCHEDULE_SLICE_NSEC 10000000

/* struct sched_attr of the kernel, which not every C library knows, in its first size. */
typedef struct ScheduleAttributes {
        uint32_t size, policy;
        uint64_t flags;
        int32_t nice;
        uint32_t priority;
        uint64_t runtime, deadline, period;
} ScheduleAttributes;

void schedule_as_batch(void) {
        ScheduleAttributes attributes;

        if (syscall(SYS_sched_getattr, 0, &attributes, sizeof(attributes), 0) < 0 ||
            attributes.policy != SCHED_OTHER)
                return;

        attributes.policy = SCHED_BATCH;
        attributes.runtime = SCHEDULE_SLICE_NSEC;
        (void)syscall(SYS_sched_setattr, 0, &attributes, 0);
}
