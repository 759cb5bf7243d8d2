/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * share: with whom a connection is shared: Share and Unshare, and how subjects and rights are
 * written on the bus. What a right is good for stands with each method, in connection.c.
 */

#include "bus/option-readers.h"

#define RIGHTS_MAX 4 /* there are no more */

/* ---- in ---- */

static int share_read_subject(sd_bus_message *m, Share *ret, sd_bus_error *error) {
        g_autofree char *quoted = NULL;
        const char *subject;
        int r;

        r = sd_bus_message_read_basic(m, 's', &subject);
        if (r < 0)
                return bus_refuse(error, r, NULL);
        if (share_parse_subject(subject, ret))
                return 1;

        quoted = text_quote(subject);
        return bus_refuse_text(error, BUS_E_INVALID_PARAMETERS,
                               "'%s' is nobody to share with; it has to be " SHARE_SUBJECTS,
                               quoted);
}

static int share_add_right(const char *name, Share *share, sd_bus_error *error) {
        g_autofree char *quoted = NULL;
        unsigned right = 0;

        if (share_right_from_name(name, &right)) {
                share->rights |= right;
                return 1;
        }

        quoted = text_quote(name);
        return bus_refuse_text(error, BUS_E_INVALID_PARAMETERS,
                               "'%s' is no right; the rights are " SHARE_RIGHTS, quoted);
}

static int share_read_rights(sd_bus_message *m, Share *share, sd_bus_error *error) {
        static const DictKey rights = {.name = "rights", .maximum = RIGHTS_MAX};
        g_autoptr(GPtrArray) names = g_ptr_array_new();
        int r;

        r = texts_read(m, &rights, names, error);
        for (guint i = 0; r >= 0 && i < names->len; i++)
                r = share_add_right(names->pdata[i], share, error);
        if (r >= 0 && share->rights == 0)
                return bus_refuse_text(error, BUS_E_INVALID_PARAMETERS,
                                       "No right is named; the rights are " SHARE_RIGHTS
                                       ". Unshare takes them away");

        return r;
}

int call_share(sd_bus_message *m, Connection *connection, sd_bus_error *error) {
        Reason reason = {0};
        Share share = {0};
        int r;

        r = share_read_subject(m, &share, error);
        if (r >= 0)
                r = share_read_rights(m, &share, error);
        if (r < 0)
                return r;

        r = bus_ask(message_bus(m), m, ACCESS_SHARE, NULL, error);
        if (r <= 0)
                return r < 0 ? r : 1;

        r = connection_share(connection, &share, &reason);
        return r ? bus_refuse(error, r, &reason) : sd_bus_reply_method_return(m, NULL);
}

int call_unshare(sd_bus_message *m, Connection *connection, sd_bus_error *error) {
        Reason reason = {0};
        Share share = {0};
        int r;

        r = share_read_subject(m, &share, error);
        if (r < 0)
                return r;

        r = connection_unshare(connection, &share, &reason);
        return r ? bus_refuse(error, r, &reason) : sd_bus_reply_method_return(m, NULL);
}

/* "uid:1000=read,write" */
static int share_read_word(const DictKey *key, const char *word, Share *ret, sd_bus_error *error) {
        g_auto(GStrv) halves = g_strsplit(word, "=", 2);
        g_auto(GStrv) names = NULL;
        int r = 1;

        if (g_strv_length(halves) != 2 || !share_parse_subject(halves[0], ret))
                return dict_refuse(error, key, word,
                                   "'SUBJECT=RIGHT,...'; SUBJECT: " SHARE_SUBJECTS
                                   "; RIGHT: " SHARE_RIGHTS);

        names = g_strsplit(halves[1], ",", RIGHTS_MAX);
        for (size_t i = 0; r >= 0 && names[i]; i++)
                r = share_add_right(names[i], ret, error);
        if (r >= 0 && ret->rights == 0)
                return dict_refuse(error, key, word, "with a right; they are " SHARE_RIGHTS);

        return r;
}

static void shares_add(GArray **shares, const Share *share) {
        GArray *more = shares_with(*shares, share);

        g_assert(more); /* no more than SHARES_MAX were read */
        g_clear_pointer(shares, g_array_unref);
        *shares = more;
}

int read_shares(sd_bus_message *m, const DictKey *key, void *userdata, sd_bus_error *error) {
        g_autoptr(GPtrArray) words = g_ptr_array_new();
        Options *options = userdata;
        Share share = {0};
        int r;

        r = texts_read(m, key, words, error);
        for (guint i = 0; r >= 0 && i < words->len; i++) {
                r = share_read_word(key, words->pdata[i], &share, error);
                if (r >= 0)
                        shares_add(&options->spec->shares, &share);
        }
        return r;
}

/* ---- out ---- */

int append_shares_entry(sd_bus_message *reply, const GArray *shares) {
        int r;

        r = entry_open(reply, "Share", "as");
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "s");
        for (guint i = 0; r >= 0 && shares && i < shares->len; i++) {
                const Share *share = &g_array_index(shares, Share, i);
                char subject[SHARE_SUBJECT_MAX];
                g_autofree char *rights = NULL, *word = NULL;
                const char *names[5];

                share_right_names(share->rights, names);
                rights = g_strjoinv(",", (char **)names);
                word = g_strconcat(share_format_subject(share, subject), "=", rights, NULL);
                r = sd_bus_message_append_basic(reply, 's', word);
        }
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : entry_close(reply);
}

static int append_share(sd_bus_message *reply, const Share *share) {
        char subject[SHARE_SUBJECT_MAX];
        const char *names[5];
        int r;

        share_right_names(share->rights, names);
        r = sd_bus_message_open_container(reply, 'r', "sas");
        if (r >= 0)
                r = sd_bus_message_append(reply, "s", share_format_subject(share, subject));
        if (r >= 0)
                r = sd_bus_message_append_strv(reply, (char **)names);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

int get_shares(sd_bus *b, const char *path, const char *interface, const char *property,
               sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const GArray *shares = connection_facts(userdata).spec->shares;
        int r;

        r = sd_bus_message_open_container(reply, 'a', "(sas)");
        for (guint i = 0; r >= 0 && shares && i < shares->len; i++)
                r = append_share(reply, &g_array_index(shares, Share, i));
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int append_attached(sd_bus_message *reply, const Attached *attached) {
        const char *names[5];
        int r;

        share_right_names(attached->rights, names);
        r = sd_bus_message_open_container(reply, 'r', "usast");
        if (r >= 0)
                r = sd_bus_message_append(reply, "us", (uint32_t)attached->uid, attached->name);
        if (r >= 0)
                r = sd_bus_message_append_strv(reply, (char **)names);
        if (r >= 0)
                r = sd_bus_message_append(reply, "t", attached->n_dropped);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

int get_attached(sd_bus *b, const char *path, const char *interface, const char *property,
                 sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        g_autoptr(GArray) attached = connection_attached(userdata);
        int r;

        r = sd_bus_message_open_container(reply, 'a', "(usast)");
        for (guint i = 0; r >= 0 && i < attached->len; i++)
                r = append_attached(reply, &g_array_index(attached, Attached, i));
        return r < 0 ? r : sd_bus_message_close_container(reply);
}
