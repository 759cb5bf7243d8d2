/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Quota, see quota.h. A uid has a row of counts while any of them is above 0.
 */

#include "access/quota.h"

#include <string.h>

#define QUOTA_FDS_RESERVED 512 /* API: at the limit of fds the bus connection would be lost */

/* API: a polkit question pins its message's fds, and dbus-daemon bears 128 calls of ours at once */
#define QUOTA_CALLS_PER_UID 8
#define QUOTA_CALLS_TOTAL 64

#define MEBIBYTE ((uint64_t)1024 * 1024)

#define SECOND_USEC UINT64_C(1000000)
#define BUCKET_USEC (SECOND_USEC / 10)         /* what it holds */
#define BUCKET_FILL_USEC (SECOND_USEC / 100)   /* worth waking somebody */
#define BUCKET_FILL_MAX_USEC (2 * SECOND_USEC) /* more than the deepest takes to be full */

typedef struct QuotaKindText {
        const char *name;
        const char *nouns; /* "user 1 has 2 of 2 …" */
        const char *cure;
} QuotaKindText;

typedef struct QuotaRow {
        uint64_t used[N_QUOTA_KINDS];
} QuotaRow;

typedef struct QuotaBucket {
        int64_t credit; /* in millionths of a datagram; below 0: sent ahead */
        uint64_t filled_usec;
} QuotaBucket;

typedef struct QuotaOwn {
        uint64_t limits[N_QUOTA_KINDS];
} QuotaOwn;

struct Quota {
        QuotaLimits limits;
        GHashTable *own;     /* uid -> QuotaOwn, of those who have limits of their own */
        GHashTable *rows;    /* uid -> QuotaRow */
        GHashTable *buckets; /* uid -> QuotaBucket, of those who ever had a rate */
        bool has_rates;
        uint64_t total[N_QUOTA_KINDS];
        uint64_t refused[N_QUOTA_KINDS];
};

static const QuotaKindText quota_kinds[N_QUOTA_KINDS] = {
        [QUOTA_CONNECTIONS] = {"Connections", "connections", "close some"},
        [QUOTA_LISTENERS] = {"Listeners", "listeners", "close some"},
        [QUOTA_VERIFIERS] = {"Verifiers", "client verifiers", "close some"},
        [QUOTA_HALF_OPEN] = {"HalfOpen", "unfinished handshakes", "wait until some are finished"},
        [QUOTA_SUSPENDED] = {"Suspended", "handshakes that wait for an answer", "answer some"},
        [QUOTA_SIGNING] = {"Signing", "handshakes that wait for the keyring",
                           "wait until some are signed"},
        [QUOTA_FDS] = {"Fds", "file descriptors", "close connections, channels or listeners"},
        [QUOTA_BYTES] = {"Bytes", "bytes",
                         "close channels, read what waits, or remove trust sets and revocations"},
        [QUOTA_CALLS] = {"Calls", "calls that wait for an authorization or for the store",
                         "wait until some are answered"},
        [QUOTA_DATAGRAMS] = {"Datagrams", "datagrams a second", "send fewer"},
};

/* ---- limits ---- */

static void limits_set(QuotaLimits *limits, QuotaKind kind, uint64_t per_uid, uint64_t total) {
        limits->per_uid[kind] = MIN(per_uid, total);
        limits->total[kind] = total;
}

QuotaLimits quota_limits_default(uint64_t n_fds) {
        /* a process with next to none gets what little there is */
        uint64_t usable = n_fds / 2 > QUOTA_FDS_RESERVED ? n_fds - QUOTA_FDS_RESERVED : n_fds / 2;
        uint64_t n_connections = MIN(usable, 16384);
        uint64_t n_handshakes = MIN(usable, 1024);
        QuotaLimits limits;

        limits_set(&limits, QUOTA_CONNECTIONS, 1024, n_connections);
        limits_set(&limits, QUOTA_LISTENERS, 64, MIN(usable / 4, 1024));
        limits_set(&limits, QUOTA_VERIFIERS, 64, 1024);
        limits_set(&limits, QUOTA_HALF_OPEN, 256, n_handshakes);
        limits_set(&limits, QUOTA_SUSPENDED, 256, n_handshakes);
        limits_set(&limits, QUOTA_SIGNING, 256, n_handshakes);
        limits_set(&limits, QUOTA_FDS, usable / 2, usable);
        limits_set(&limits, QUOTA_BYTES, 512 * MEBIBYTE, 4096 * MEBIBYTE); /* 1024 channels */
        limits_set(&limits, QUOTA_CALLS, QUOTA_CALLS_PER_UID, QUOTA_CALLS_TOTAL);
        limits_set(&limits, QUOTA_DATAGRAMS, QUOTA_RATE_NONE, QUOTA_RATE_NONE);
        return limits;
}

static void quota_look_for_rates(Quota *quota) {
        const QuotaOwn *own;
        GHashTableIter iter;

        quota->has_rates = quota->limits.per_uid[QUOTA_DATAGRAMS] < QUOTA_RATE_NONE;
        g_hash_table_iter_init(&iter, quota->own);
        while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&own))
                if (own->limits[QUOTA_DATAGRAMS] < QUOTA_RATE_NONE)
                        quota->has_rates = true;
}

void quota_set_limits(Quota *quota, const QuotaLimits *limits) {
        quota->limits = *limits;
        g_hash_table_remove_all(quota->own);
        quota_look_for_rates(quota);
}

void quota_set_user_limit(Quota *quota, uid_t uid, QuotaKind kind, uint64_t limit) {
        QuotaOwn *own = g_hash_table_lookup(quota->own, GUINT_TO_POINTER(uid));

        g_assert(kind < N_QUOTA_KINDS);

        if (!own) {
                own = g_new0(QuotaOwn, 1);
                memcpy(own->limits, quota->limits.per_uid, sizeof(own->limits));
                g_hash_table_insert(quota->own, GUINT_TO_POINTER(uid), own);
        }
        own->limits[kind] = limit;
        if (kind == QUOTA_DATAGRAMS)
                quota_look_for_rates(quota);
}

uint64_t quota_limit(const Quota *quota, uid_t uid, QuotaKind kind) {
        const QuotaOwn *own = g_hash_table_lookup(quota->own, GUINT_TO_POINTER(uid));

        g_assert(kind < N_QUOTA_KINDS);

        return own ? own->limits[kind] : quota->limits.per_uid[kind];
}

uint64_t quota_limit_total(const Quota *quota, QuotaKind kind) {
        return quota->limits.total[kind];
}

const char *quota_kind_name(QuotaKind kind) {
        g_assert(kind < N_QUOTA_KINDS);

        return quota_kinds[kind].name;
}

/* ---- birth and death ---- */

int quota_new(const QuotaLimits *limits, Quota **ret) {
        Quota *quota = g_new0(Quota, 1);

        quota->limits = *limits;
        quota->own = g_hash_table_new_full(NULL, NULL, NULL, g_free);
        quota->rows = g_hash_table_new_full(NULL, NULL, NULL, g_free);
        quota->buckets = g_hash_table_new_full(NULL, NULL, NULL, g_free);
        quota_look_for_rates(quota);
        *ret = quota;
        return 0;
}

Quota *quota_free(Quota *quota) {
        if (!quota)
                return NULL;

        g_hash_table_unref(quota->buckets);
        g_hash_table_unref(quota->rows);
        g_hash_table_unref(quota->own);
        g_free(quota);
        return NULL;
}

/* ---- charges ---- */

static QuotaRow *quota_row(const Quota *quota, uid_t uid) {
        return g_hash_table_lookup(quota->rows, GUINT_TO_POINTER(uid));
}

static bool quota_fits(uint64_t used, uint64_t n, uint64_t limit) {
        return used <= limit && n <= limit - used;
}

void quota_count(Quota *quota, uid_t uid, QuotaKind kind, uint64_t n) {
        QuotaRow *row = quota_row(quota, uid);

        g_assert(kind < N_QUOTA_KINDS);

        if (n == 0)
                return;

        if (!row) {
                row = g_new0(QuotaRow, 1);
                g_hash_table_insert(quota->rows, GUINT_TO_POINTER(uid), row);
        }
        row->used[kind] += n;
        quota->total[kind] += n;
}

bool quota_has_room(const Quota *quota, uid_t uid, QuotaKind kind, uint64_t n) {
        return quota_fits(quota_used(quota, uid, kind), n, quota_limit(quota, uid, kind)) &&
               quota_fits(quota->total[kind], n, quota->limits.total[kind]);
}

int quota_charge(Quota *quota, uid_t uid, QuotaKind kind, uint64_t n) {
        QuotaRow *row = quota_row(quota, uid);

        g_assert(kind < N_QUOTA_KINDS);

        if (n == 0)
                return 0;

        if (!quota_fits(row ? row->used[kind] : 0, n, quota_limit(quota, uid, kind))) {
                quota->refused[kind]++;
                return QUOTA_E_UID;
        }
        if (!quota_fits(quota->total[kind], n, quota->limits.total[kind])) {
                quota->refused[kind]++;
                return QUOTA_E_TOTAL;
        }

        quota_count(quota, uid, kind, n);
        return 0;
}

static bool quota_row_is_empty(const QuotaRow *row) {
        for (int kind = 0; kind < N_QUOTA_KINDS; kind++)
                if (row->used[kind] > 0)
                        return false;

        return true;
}

void quota_discharge(Quota *quota, uid_t uid, QuotaKind kind, uint64_t n) {
        QuotaRow *row = quota_row(quota, uid);

        g_assert(kind < N_QUOTA_KINDS);

        if (n == 0)
                return;

        g_assert(row && row->used[kind] >= n);

        row->used[kind] -= n;
        quota->total[kind] -= n;
        if (quota_row_is_empty(row))
                g_hash_table_remove(quota->rows, GUINT_TO_POINTER(uid));
}

/* ---- so many a second ---- */

bool quota_kind_is_rate(QuotaKind kind) {
        return kind == QUOTA_DATAGRAMS;
}

bool quota_has_rates(const Quota *quota) {
        return quota->has_rates;
}

static bool quota_has_rate(const Quota *quota, uid_t uid, uint64_t *ret) {
        if (!quota->has_rates)
                return false;

        *ret = quota_limit(quota, uid, QUOTA_DATAGRAMS);
        return *ret < QUOTA_RATE_NONE;
}

static int64_t bucket_size(uint64_t rate) {
        return rate == 0 ? 0 : (int64_t)MAX(rate * BUCKET_USEC, SECOND_USEC);
}

static int64_t bucket_depth(uint64_t rate) {
        return -(int64_t)(rate * QUOTA_AHEAD_USEC);
}

/* A new one is full. */
static QuotaBucket *quota_bucket(Quota *quota, uid_t uid, uint64_t rate) {
        QuotaBucket *bucket = g_hash_table_lookup(quota->buckets, GUINT_TO_POINTER(uid));

        if (bucket)
                return bucket;

        bucket = g_new(QuotaBucket, 1);
        *bucket = (QuotaBucket){.credit = bucket_size(rate)};
        g_hash_table_insert(quota->buckets, GUINT_TO_POINTER(uid), bucket);
        return bucket;
}

static QuotaBucket *quota_fill(Quota *quota, uid_t uid, uint64_t rate, uint64_t now_usec) {
        QuotaBucket *bucket = quota_bucket(quota, uid, rate);
        uint64_t usec = MIN(now_usec - bucket->filled_usec, BUCKET_FILL_MAX_USEC);

        bucket->filled_usec = now_usec;
        bucket->credit = CLAMP(bucket->credit + (int64_t)(rate * usec), bucket_depth(rate),
                               bucket_size(rate));
        return bucket;
}

uint64_t quota_may_send(Quota *quota, uid_t uid, uint64_t now_usec, uint64_t ahead_usec) {
        uint64_t rate;
        int64_t credit;

        if (!quota_has_rate(quota, uid, &rate))
                return UINT64_MAX;

        credit = quota_fill(quota, uid, rate, now_usec)->credit + (int64_t)(rate * ahead_usec);
        return credit > 0 ? (uint64_t)credit / SECOND_USEC : 0;
}

void quota_sent(Quota *quota, uid_t uid, uint64_t n) {
        uint64_t rate;

        if (quota_has_rate(quota, uid, &rate))
                quota_bucket(quota, uid, rate)->credit -= (int64_t)(n * SECOND_USEC);
}

int quota_send(Quota *quota, uid_t uid, uint64_t now_usec) {
        if (quota_may_send(quota, uid, now_usec, 0) == 0) {
                quota->refused[QUOTA_DATAGRAMS]++;
                return QUOTA_E_UID;
        }

        quota_sent(quota, uid, 1);
        return 0;
}

uint64_t quota_send_wait_usec(Quota *quota, uid_t uid, uint64_t now_usec) {
        uint64_t rate;
        int64_t missing;

        if (!quota_has_rate(quota, uid, &rate))
                return 0;
        if (rate == 0)
                return SECOND_USEC; /* the limit may be another then */

        missing = (int64_t)MAX(rate * BUCKET_FILL_USEC, SECOND_USEC) -
                  quota_fill(quota, uid, rate, now_usec)->credit;
        return missing > 0 ? MIN(((uint64_t)missing + rate - 1) / rate, SECOND_USEC) : 0;
}

/* ---- what is used ---- */

uint64_t quota_used(const Quota *quota, uid_t uid, QuotaKind kind) {
        const QuotaRow *row = quota_row(quota, uid);

        return row ? row->used[kind] : 0;
}

uint64_t quota_used_total(const Quota *quota, QuotaKind kind) {
        return quota->total[kind];
}

uint64_t quota_refused(const Quota *quota, QuotaKind kind) {
        return quota->refused[kind];
}

char *quota_refusal(const Quota *quota, uid_t uid, QuotaKind kind, QuotaOutcome outcome) {
        const QuotaKindText *text = &quota_kinds[kind];

        if (outcome == QUOTA_E_TOTAL)
                return g_strdup_printf("The service has %" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT
                                       " %s, of all users together; try again later, or ask the "
                                       "administrator to raise %sTotal= in dtlsd.conf",
                                       quota_used_total(quota, kind), quota->limits.total[kind],
                                       text->nouns, text->name);

        if (quota_kind_is_rate(kind))
                return g_strdup_printf("User %u may send %" G_GUINT64_FORMAT
                                       " %s; %s, or ask the administrator to raise %sPerUser= in "
                                       "dtlsd.conf or a rule",
                                       uid, quota_limit(quota, uid, kind), text->nouns, text->cure,
                                       text->name);

        return g_strdup_printf(
                "User %u has %" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT
                " %s; %s, or ask the administrator to raise %sPerUser= in dtlsd.conf or a rule",
                uid, quota_used(quota, uid, kind), quota_limit(quota, uid, kind), text->nouns,
                text->cure, text->name);
}
