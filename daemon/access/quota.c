/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "access/quota.h"

#include <stdbool.h>

#define FDS_RESERVED 256 /* API: the bus and the files of the process must never be without */

typedef struct Account {
        uint64_t used[N_QUOTA_KINDS];
} Account;

struct Quota {
        QuotaLimits limits;
        GHashTable *accounts; /* uid: Account; only of those who have something */
        Account total;
        uint64_t refused[N_QUOTA_KINDS];
};

const char *quota_kind_name(QuotaKind kind) {
        switch (kind) {
        case QUOTA_CONNECTIONS:
                return "Connections";
        case QUOTA_LISTENERS:
                return "Listeners";
        case QUOTA_HALF_OPEN:
                return "HalfOpen";
        case QUOTA_SUSPENDED:
                return "Suspended";
        case QUOTA_SIGNING:
                return "Signing";
        case QUOTA_FDS:
                return "Fds";
        case QUOTA_BYTES:
                return "Bytes";
        case QUOTA_CALLS:
                return "Calls";
        case N_QUOTA_KINDS:
                break;
        }
        g_assert_not_reached();
}

/* What a kind is, and what its user can do about having too many. */
static const struct {
        const char *what, *advice;
} quota_words[N_QUOTA_KINDS] = {
        [QUOTA_CONNECTIONS] = {"connections", "close some"},
        [QUOTA_LISTENERS] = {"listeners", "close some"},
        [QUOTA_HALF_OPEN] = {"handshakes in progress", "wait for some to finish"},
        [QUOTA_SUSPENDED] = {"handshakes that wait for an answer", "answer or refuse some"},
        [QUOTA_SIGNING] = {"handshakes that wait for a signature", "try again later"},
        [QUOTA_FDS] = {"file descriptors", "close some connections or channels"},
        [QUOTA_BYTES] = {"bytes of buffers", "close some channels or connections"},
        [QUOTA_CALLS] = {"calls that wait", "wait for their answers"},
};

QuotaLimits quota_limits_default(uint64_t n_fds) {
        uint64_t fds = n_fds > FDS_RESERVED * 2 ? n_fds - FDS_RESERVED : n_fds / 2;

        return (QuotaLimits){
                .per_uid = {[QUOTA_CONNECTIONS] = 1024,
                            [QUOTA_LISTENERS] = 64,
                            [QUOTA_HALF_OPEN] = 256,
                            [QUOTA_SUSPENDED] = 256,
                            [QUOTA_SIGNING] = 256,
                            [QUOTA_FDS] = fds / 2,
                            [QUOTA_BYTES] = UINT64_C(512) * 1024 * 1024,
                            [QUOTA_CALLS] = 64},
                .total = {[QUOTA_CONNECTIONS] = 16384,
                          [QUOTA_LISTENERS] = 1024,
                          [QUOTA_HALF_OPEN] = 4096,
                          [QUOTA_SUSPENDED] = 1024,
                          [QUOTA_SIGNING] = 1024,
                          [QUOTA_FDS] = fds,
                          [QUOTA_BYTES] = UINT64_C(2) * 1024 * 1024 * 1024,
                          [QUOTA_CALLS] = 512},
        };
}

int quota_new(const QuotaLimits *limits, Quota **ret) {
        Quota *quota = g_new0(Quota, 1);

        quota->limits = *limits;
        quota->accounts = g_hash_table_new_full(NULL, NULL, NULL, g_free);
        *ret = quota;
        return 0;
}

Quota *quota_free(Quota *quota) {
        if (!quota)
                return NULL;

        g_hash_table_destroy(quota->accounts);
        g_free(quota);
        return NULL;
}

static Account *quota_account(const Quota *quota, uid_t uid) {
        return g_hash_table_lookup(quota->accounts, GUINT_TO_POINTER(uid));
}

/* Without the overflow of used + n. */
static bool fits(uint64_t used, uint64_t n, uint64_t limit) {
        return used <= limit && n <= limit - used;
}

int quota_charge(Quota *quota, uid_t uid, QuotaKind kind, uint64_t n) {
        Account *account = quota_account(quota, uid);

        if (!fits(account ? account->used[kind] : 0, n, quota->limits.per_uid[kind])) {
                quota->refused[kind]++;
                return QUOTA_E_UID;
        }
        if (!fits(quota->total.used[kind], n, quota->limits.total[kind])) {
                quota->refused[kind]++;
                return QUOTA_E_TOTAL;
        }

        if (n == 0)
                return 0;
        if (!account) {
                account = g_new0(Account, 1);
                (void)g_hash_table_insert(quota->accounts, GUINT_TO_POINTER(uid), account);
        }
        account->used[kind] += n;
        quota->total.used[kind] += n;
        return 0;
}

static bool account_is_empty(const Account *account) {
        for (size_t i = 0; i < N_QUOTA_KINDS; i++)
                if (account->used[i] > 0)
                        return false;

        return true;
}

void quota_discharge(Quota *quota, uid_t uid, QuotaKind kind, uint64_t n) {
        Account *account = quota_account(quota, uid);

        if (n == 0)
                return;

        g_assert(account && account->used[kind] >= n);
        account->used[kind] -= n;
        quota->total.used[kind] -= n;
        if (account_is_empty(account))
                (void)g_hash_table_remove(quota->accounts, GUINT_TO_POINTER(uid));
}

uint64_t quota_used(const Quota *quota, uid_t uid, QuotaKind kind) {
        const Account *account = quota_account(quota, uid);

        return account ? account->used[kind] : 0;
}

uint64_t quota_used_total(const Quota *quota, QuotaKind kind) {
        return quota->total.used[kind];
}

uint64_t quota_refused(const Quota *quota, QuotaKind kind) {
        return quota->refused[kind];
}

const QuotaLimits *quota_limits(const Quota *quota) {
        return &quota->limits;
}

char *quota_refusal(const Quota *quota, uid_t uid, QuotaKind kind, QuotaOutcome outcome) {
        const char *what = quota_words[kind].what, *advice = quota_words[kind].advice;

        if (outcome == QUOTA_E_UID)
                return g_strdup_printf("user %u has %" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT
                                       " %s; %s, or have %sPerUser= raised in dtlsd.conf",
                                       (unsigned)uid, quota_used(quota, uid, kind),
                                       quota->limits.per_uid[kind], what, advice,
                                       quota_kind_name(kind));

        return g_strdup_printf("the service has %" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT
                               " %s; try again later, or have %sTotal= raised in dtlsd.conf",
                               quota->total.used[kind], quota->limits.total[kind], what,
                               quota_kind_name(kind));
}
