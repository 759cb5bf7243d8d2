/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Expiry: when certificates of the store's identities end, and who is told before: the journal and
 * the observer, once for each lead time and certificate, and when it has ended.
 *
 * One alarm of the wall clock is set, for the next moment at which there is something to tell; the
 * kernel keeps it right while the machine sleeps, and tells when the clock is set: forward, and
 * what has come is told; back, and what was told too early is told again when it comes. An identity
 * that is seen for the first time is told of once if a lead time has come: for the shortest. What
 * was told is known by the certificate, so a keyring that was started again has nothing told again.
 *
 * Knows: the keyring's identities. Does not know: who hears.
 */

#include <stddef.h>
#include <stdint.h>

#define LEAD_TIMES_MAX 16
#define LEAD_DAYS_MAX 3650
#define LEAD_NONE UINT32_MAX
#define LEAD_TIMES_DEFAULT ((LeadTimes){.days = {30, 14, 7, 1}, .n = 4})

typedef struct Expiry Expiry;
typedef struct Relay Relay;

/* So many days before the end, in any order. The end itself, 0, always is one of them. */
typedef struct LeadTimes {
        uint32_t days[LEAD_TIMES_MAX];
        size_t n;
} LeadTimes;

/* The shortest that has come at @now_usec; LEAD_NONE: none has. Times are of the wall clock. */
uint32_t lead_times_reached(const LeadTimes *times, uint64_t not_after_usec, uint64_t now_usec);
/* When the next one comes after that of @days; UINT64_MAX: there is none. */
uint64_t lead_times_next_usec(const LeadTimes *times, uint64_t not_after_usec, uint32_t days);

/* Of @relay's keyring and observer. Until lead times are set there is but the end. */
int expiry_new(Relay *relay, Expiry **ret);
Expiry *expiry_free(Expiry *expiry);
void expiry_set_lead_times(Expiry *expiry, const LeadTimes *times);
/* Tells what has come at this time of the wall clock; the loop calls it when there is something. */
void expiry_look_at(Expiry *expiry, uint64_t now_usec);
/* As KeysIdentitiesChanged. */
void expiry_identities_changed(Expiry *expiry, const char *name);
