/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Expiry, see expiry.h. */

#include "relay/expiry.h"
#include "base/entry.h"
#include "base/fault.h"
#include "base/log.h"
#include "identity/facts.h"
#include "relay/private.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define DAY_USEC (UINT64_C(24) * 60 * 60 * 1000000)
#define EXPIRY_FIELD_MAX 128

/* A certificate in use. */
typedef struct Ending {
        GBytes *leaf;
        uint64_t not_after_usec; /* 0: not known */
        uint32_t days;           /* the lead time that was told last, or LEAD_NONE */
} Ending;

struct Expiry {
        Relay *relay;
        LeadTimes times;
        GHashTable *endings; /* by name of the identity */
        sd_event_source
                *source;    /* of a timerfd, which sd-event's timers are not: it tells of jumps */
        GHashTable *brakes; /* of users, who can import as many as they like */
};

/* ---- lead times ---- */

static uint64_t lead_time_usec(uint64_t not_after_usec, uint32_t days) {
        uint64_t before_usec = days * DAY_USEC;

        return not_after_usec > before_usec ? not_after_usec - before_usec : 0;
}

uint32_t lead_times_reached(const LeadTimes *times, uint64_t not_after_usec, uint64_t now_usec) {
        uint32_t reached = LEAD_NONE;

        if (now_usec >= not_after_usec)
                return 0;

        for (size_t i = 0; i < times->n; i++)
                if (now_usec >= lead_time_usec(not_after_usec, times->days[i]))
                        reached = MIN(reached, times->days[i]);

        return reached;
}

uint64_t lead_times_next_usec(const LeadTimes *times, uint64_t not_after_usec, uint32_t days) {
        uint32_t next = 0;

        if (days == 0)
                return UINT64_MAX;

        for (size_t i = 0; i < times->n; i++)
                if (times->days[i] < days)
                        next = MAX(next, times->days[i]);

        return lead_time_usec(not_after_usec, next);
}

/* ---- telling ---- */

static char *expiry_date(uint64_t not_after_usec) {
        g_autoptr(GDateTime) time =
                g_date_time_new_from_unix_utc((gint64)(not_after_usec / G_USEC_PER_SEC));

        return time ? g_date_time_format(time, "%Y-%m-%d %H:%M:%S UTC")
                    : g_strdup("an unknown day");
}

static char *expiry_text(const char *name, const Ending *ending, uint64_t now_usec) {
        g_autofree char *date = expiry_date(ending->not_after_usec);
        uint64_t n_days;

        if (ending->days == 0)
                return g_strdup_printf("The certificate of the identity '%s' has ended, on %s; "
                                       "it needs another",
                                       name, date);

        n_days = (ending->not_after_usec - now_usec + DAY_USEC / 2) / DAY_USEC; /* about */
        if (n_days == 0)
                return g_strdup_printf("The certificate of the identity '%s' ends today, on %s; "
                                       "then it needs another",
                                       name, date);

        return g_strdup_printf("The certificate of the identity '%s' ends in %" G_GUINT64_FORMAT
                               " day%s, on %s; then it needs another",
                               name, n_days, n_days == 1 ? "" : "s", date);
}

/* The administrator's are as many as the administrator made. */
static void expiry_log(Expiry *expiry, const char *name, const Ending *ending, uint64_t now_usec) {
        char identity[EXPIRY_FIELD_MAX], days[EXPIRY_FIELD_MAX], uid[EXPIRY_FIELD_MAX];
        const char *fields[] = {identity, days, uid, NULL};
        const char *message_id = ending->days > 0 ? MSG_IDENTITY_ENDS_SOON : MSG_IDENTITY_ENDED;
        int level = ending->days > 0 ? LOG_NOTICE : LOG_WARNING;
        g_autofree char *text = expiry_text(name, ending, now_usec);
        uid_t owner = entry_name_uid(name);

        (void)g_snprintf(identity, sizeof(identity), "DTLSD_IDENTITY=%s", name);
        (void)g_snprintf(days, sizeof(days), "DTLSD_LEAD_DAYS=%" G_GUINT32_FORMAT, ending->days);
        (void)g_snprintf(uid, sizeof(uid), "DTLSD_OWNER_UID=%u", owner);
        if (owner == 0)
                log_write(level, message_id, fields, "%s", text);
        else
                brake_write(brakes_of(expiry->brakes, owner), relay_now(expiry->relay), level,
                            message_id, fields, text);
}

/* When the clock was set back, lead times that were told come again. */
static void expiry_look(Expiry *expiry, const char *name, Ending *ending, uint64_t now_usec) {
        uint32_t before = ending->days;

        if (ending->not_after_usec == 0)
                return;

        ending->days = lead_times_reached(&expiry->times, ending->not_after_usec, now_usec);
        if (ending->days >= before)
                return;

        expiry_log(expiry, name, ending, now_usec);
        relay_tell(expiry->relay, identity_ends_soon, name, ending->not_after_usec, ending->days);
}

/* ---- the clock ---- */

/* Whatever the time, it tells when the clock is set: what was told too early may be due again. */
static void expiry_set_timer(int fd, uint64_t at_usec) {
        const struct itimerspec at = {
                .it_value.tv_sec = (time_t)(at_usec / G_USEC_PER_SEC),
                .it_value.tv_nsec = (long)(at_usec % G_USEC_PER_SEC) * 1000 + 1, /* 0 is never */
        };

        /* cannot fail for a timer of ours */
        (void)timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &at, NULL);
}

static void expiry_arm(Expiry *expiry) {
        uint64_t next_usec = UINT64_MAX;
        GHashTableIter iter;
        gpointer value;

        g_hash_table_iter_init(&iter, expiry->endings);
        while (g_hash_table_iter_next(&iter, NULL, &value)) {
                const Ending *ending = value;

                if (ending->not_after_usec > 0)
                        next_usec = MIN(next_usec,
                                        lead_times_next_usec(&expiry->times, ending->not_after_usec,
                                                             ending->days));
        }

        expiry_set_timer(sd_event_source_get_io_fd(expiry->source), next_usec);
}

void expiry_look_at(Expiry *expiry, uint64_t now_usec) {
        GHashTableIter iter;
        gpointer name, ending;

        g_hash_table_iter_init(&iter, expiry->endings);
        while (g_hash_table_iter_next(&iter, &name, &ending))
                expiry_look(expiry, name, ending, now_usec);

        expiry_arm(expiry);
}

static void expiry_look_at_all(Expiry *expiry) {
        expiry_look_at(expiry, (uint64_t)g_get_real_time());
}

static int on_expiry(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        uint64_t n_expired;

        (void)!read(fd, &n_expired, sizeof(n_expired)); /* due, or the clock was set (ECANCELED) */
        expiry_look_at_all(userdata);
        return 0;
}

void expiry_set_lead_times(Expiry *expiry, const LeadTimes *times) {
        expiry->times = *times;
        expiry_look_at_all(expiry);
}

/* ---- what there is ---- */

static void ending_free(gpointer data) {
        Ending *ending = data;

        g_bytes_unref(ending->leaf);
        g_free(ending);
}

static Ending *ending_new(GBytes *leaf) {
        g_auto(Facts) facts = facts_look(leaf);
        Ending *ending = g_new0(Ending, 1);

        ending->leaf = g_bytes_ref(leaf);
        ending->not_after_usec = facts.not_after_usec < UINT64_MAX ? facts.not_after_usec : 0;
        ending->days = LEAD_NONE;
        return ending;
}

/* What is known of this name is of the certificate that it has now. */
static void expiry_learn(Expiry *expiry, const char *name) {
        const KeysIdentity *identity = keys_identity(expiry->relay->keys, name);
        GBytes *leaf = identity && identity->chain->len > 0 ? identity->chain->pdata[0] : NULL;
        Ending *ending = g_hash_table_lookup(expiry->endings, name);

        if (ending && leaf && g_bytes_equal(ending->leaf, leaf))
                return;

        if (leaf)
                g_hash_table_insert(expiry->endings, g_strdup(name), ending_new(leaf));
        else
                (void)g_hash_table_remove(expiry->endings, name);
}

static gboolean ending_has_gone(gpointer name, gpointer ending, gpointer userdata) {
        const Expiry *expiry = userdata;

        return !keys_identity(expiry->relay->keys, name);
}

static void expiry_learn_all(Expiry *expiry) {
        g_autoptr(GPtrArray) list = keys_identities(expiry->relay->keys);

        (void)g_hash_table_foreach_remove(expiry->endings, ending_has_gone, expiry);
        for (guint i = 0; i < list->len; i++)
                expiry_learn(expiry, ((const KeysIdentity *)list->pdata[i])->name);
}

void expiry_identities_changed(Expiry *expiry, const char *name) {
        if (name)
                expiry_learn(expiry, name);
        else
                expiry_learn_all(expiry);

        expiry_look_at_all(expiry);
}

/* ---- birth and death ---- */

int expiry_new(Relay *relay, Expiry **ret) {
        Expiry *expiry = g_new0(Expiry, 1);
        g_autofd int fd = -1;
        int r;

        expiry->relay = relay;
        expiry->endings = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, ending_free);
        expiry->brakes = brakes_new();
        *ret = expiry;

        fd = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);
        if (fd < 0)
                return fault(-errno);

        r = sd_event_add_io(relay->event, &expiry->source, fd, EPOLLIN, on_expiry, expiry);
        if (r >= 0)
                r = sd_event_source_set_io_fd_own(expiry->source, true);
        if (r < 0)
                return fault(r);

        (void)autofd_steal(&fd);
        expiry_arm(expiry);
        return 0;
}

Expiry *expiry_free(Expiry *expiry) {
        if (!expiry)
                return NULL;

        (void)sd_event_source_disable_unref(expiry->source);
        g_hash_table_unref(expiry->endings);
        g_hash_table_unref(expiry->brakes);
        g_free(expiry);
        return NULL;
}
