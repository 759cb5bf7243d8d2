/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Quota: whatever a user can cause to exist is charged to its uid at birth and given back at death.
 * Two bounds each: one a uid, which may be that uid's own, and one for all.
 *
 * Datagrams are not held but sent, so many a second, and only a uid has a bound: one user's are not
 * to wait for another's. What may be sent now is in a bucket that holds a tenth of a second's.
 */

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

typedef enum QuotaKind {
        QUOTA_CONNECTIONS,
        QUOTA_LISTENERS,
        QUOTA_VERIFIERS,
        QUOTA_HALF_OPEN, /* handshakes not complete */
        QUOTA_SUSPENDED, /* handshakes that wait for an answer their owner owes */
        QUOTA_SIGNING,   /* handshakes that wait for the keyring */
        QUOTA_FDS,
        /* kernel buffers of channels, queues for ReadDatagram, certificates held, long answers that
         * are being made, and of what the store keeps trust sets and revocations */
        QUOTA_BYTES,
        QUOTA_CALLS,     /* calls kept while polkit is asked about them */
        QUOTA_DATAGRAMS, /* a second: see quota_may_send() */
        N_QUOTA_KINDS,
} QuotaKind;

#define QUOTA_RATE_NONE UINT64_C(1000000000) /* datagrams a second; so many are no limit */
#define QUOTA_AHEAD_USEC UINT64_C(1000000)   /* what may be sent ahead, once, is paid back */

typedef struct QuotaLimits {
        uint64_t per_uid[N_QUOTA_KINDS];
        uint64_t total[N_QUOTA_KINDS];
} QuotaLimits;

typedef struct Quota Quota;

typedef enum QuotaOutcome {
        QUOTA_E_UID = 1, /* this uid has its share */
        QUOTA_E_TOTAL,   /* the service is full */
} QuotaOutcome;

/* Defaults, made to fit @n_fds, the process's limit of file descriptors. */
QuotaLimits quota_limits_default(uint64_t n_fds);

int quota_new(const QuotaLimits *limits, Quota **ret);
Quota *quota_free(Quota *quota);

/* From now on; what is there already stays. Forgets the limits of single users. */
void quota_set_limits(Quota *quota, const QuotaLimits *limits);
/* This user's own, instead of the one that every user has. */
void quota_set_user_limit(Quota *quota, uid_t uid, QuotaKind kind, uint64_t limit);

/* All of @n or nothing. */
int quota_charge(Quota *quota, uid_t uid, QuotaKind kind, uint64_t n);
/* Of what is there already: over the limits too. */
void quota_count(Quota *quota, uid_t uid, QuotaKind kind, uint64_t n);
/* Whether @n could be charged now; it is not counted as refused. */
bool quota_has_room(const Quota *quota, uid_t uid, QuotaKind kind, uint64_t n);
void quota_discharge(Quota *quota, uid_t uid, QuotaKind kind, uint64_t n);

bool quota_kind_is_rate(QuotaKind kind);
bool quota_has_rates(const Quota *quota); /* any user has a limit */
/* How many datagrams may be sent at @now_usec, or as if it were @ahead_usec later, at most
 * QUOTA_AHEAD_USEC; UINT64_MAX: there is no limit. */
uint64_t quota_may_send(Quota *quota, uid_t uid, uint64_t now_usec, uint64_t ahead_usec);
void quota_sent(Quota *quota, uid_t uid, uint64_t n);
/* One alone: 0, or QUOTA_E_UID, which counts as refused. */
int quota_send(Quota *quota, uid_t uid, uint64_t now_usec);
/* After how long who may send none now should ask again. */
uint64_t quota_send_wait_usec(Quota *quota, uid_t uid, uint64_t now_usec);

uint64_t quota_used(const Quota *quota, uid_t uid, QuotaKind kind);
uint64_t quota_used_total(const Quota *quota, QuotaKind kind);
uint64_t quota_refused(const Quota *quota, QuotaKind kind); /* how often, ever */
uint64_t quota_limit(const Quota *quota, uid_t uid, QuotaKind kind);
uint64_t quota_limit_total(const Quota *quota, QuotaKind kind);
const char *quota_kind_name(QuotaKind kind); /* "Connections", … */
/* "User 1000 has 64 of 64 connections; close some, or …": @outcome of a charge that failed. */
char *quota_refusal(const Quota *quota, uid_t uid, QuotaKind kind, QuotaOutcome outcome);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Quota, quota_free)
