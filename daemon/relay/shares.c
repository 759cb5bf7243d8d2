/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "relay/shares.h"

#include <string.h>

#define SHARE_ID_MAX (UINT32_MAX - 1) /* the last one means nobody */

static const struct {
        const char *name;
        unsigned right;
} share_rights[] = {
        {"read", SHARE_READ},
        {"write", SHARE_WRITE},
        {"inspect", SHARE_INSPECT},
        {"control", SHARE_CONTROL},
};

/* ---- as text ---- */

bool share_parse_subject(const char *text, Share *ret) {
        const char *number = text + strlen("uid:");
        guint64 id;

        if (!g_str_has_prefix(text, "uid:") && !g_str_has_prefix(text, "gid:"))
                return false;
        if (!g_ascii_string_to_unsigned(number, 10, 0, SHARE_ID_MAX, &id, NULL))
                return false;
        if (number[0] == '0' && number[1] != '\0') /* 01: one subject has one spelling */
                return false;

        *ret = (Share){.is_group = text[0] == 'g', .id = (uint32_t)id};
        return true;
}

const char *share_format_subject(const Share *share, char buffer[static SHARE_SUBJECT_MAX]) {
        (void)g_snprintf(buffer, SHARE_SUBJECT_MAX, "%s:%" G_GUINT32_FORMAT,
                         share->is_group ? "gid" : "uid", share->id);
        return buffer;
}

bool share_right_from_name(const char *name, unsigned *ret) {
        for (size_t i = 0; i < G_N_ELEMENTS(share_rights); i++) {
                if (!g_str_equal(share_rights[i].name, name))
                        continue;

                *ret = share_rights[i].right;
                return true;
        }

        return false;
}

void share_right_names(unsigned rights, const char *ret[static 5]) {
        size_t n = 0;

        for (size_t i = 0; i < G_N_ELEMENTS(share_rights); i++)
                if (rights & share_rights[i].right)
                        ret[n++] = share_rights[i].name;
        ret[n] = NULL;
}

/* ---- who may ---- */

static bool share_names(const Share *share, const AccessSubject *subject) {
        if (!share->is_group)
                return share->id == subject->uid;

        for (size_t i = 0; i < subject->n_gids; i++)
                if (share->id == subject->gids[i])
                        return true;

        return false;
}

unsigned shares_rights(const GArray *shares, const AccessSubject *subject) {
        unsigned rights = 0;

        for (guint i = 0; shares && i < shares->len; i++) {
                const Share *share = &g_array_index(shares, Share, i);

                if (share_names(share, subject))
                        rights |= share->rights;
        }

        return rights;
}

/* ---- new ones ---- */

/* A copy in which @share is not, wherever it was. */
static GArray *shares_copy_others(const GArray *shares, const Share *share) {
        GArray *copy = g_array_new(FALSE, FALSE, sizeof(Share));

        for (guint i = 0; shares && i < shares->len; i++) {
                const Share *other = &g_array_index(shares, Share, i);

                if (other->is_group != share->is_group || other->id != share->id)
                        g_array_append_val(copy, *other);
        }

        return copy;
}

GArray *shares_with(const GArray *shares, const Share *share) {
        GArray *more = shares_copy_others(shares, share);
        Share added = *share;

        if (more->len >= SHARES_MAX) {
                g_array_unref(more);
                return NULL;
        }

        added.rights |= SHARE_INSPECT;
        g_array_append_val(more, added);
        return more;
}

GArray *shares_without(const GArray *shares, const Share *share, bool *ret_found) {
        GArray *less = shares_copy_others(shares, share);

        *ret_found = shares && less->len < shares->len;
        if (less->len > 0)
                return less;

        g_array_unref(less);
        return NULL;
}
