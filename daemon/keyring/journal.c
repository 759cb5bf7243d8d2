/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Journal, see journal.h. */

#include "keyring/journal.h"

#include "base/log.h"

#include <glib.h>

void journal_left_out(const char *file, const char *why) {
        g_autofree char *field = g_strconcat("DTLSD_FILE=", file, NULL);
        const char *const fields[] = {field, NULL};

        log_write(LOG_ERR, MSG_ENTRY_LEFT_OUT, fields, "%s is left out: %s", file, why);
}

void journal_token(const char *entry, bool is_absent) {
        g_autofree char *field = g_strconcat("DTLSD_ENTRY=", entry, NULL);
        const char *const fields[] = {field, NULL};

        if (is_absent)
                log_write(LOG_ERR, MSG_TOKEN_ABSENT, fields,
                          "the token with the key of %s cannot be used; handshakes with it fail "
                          "until it can",
                          entry);
        else
                log_write(LOG_NOTICE, MSG_TOKEN_BACK, fields,
                          "the token with the key of %s can be used again", entry);
}

void journal_module_unusable(const char *path, const char *why) {
        g_autofree char *field = g_strconcat("DTLSD_MODULE=", path, NULL);
        const char *const fields[] = {field, NULL};

        log_write(LOG_ERR, MSG_MODULE_UNUSABLE, fields,
                  "the PKCS#11 module %s cannot be loaded: %s", path, why);
}
