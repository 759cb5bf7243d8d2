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

void journal_token_absent(const char *identity) {
        g_autofree char *field = g_strconcat("DTLSD_IDENTITY=", identity, NULL);
        const char *const fields[] = {field, NULL};

        log_write(
                LOG_ERR, MSG_TOKEN_ABSENT, fields,
                "identity %s: its key's token cannot be used; handshakes with it fail until it can",
                identity);
}

void journal_module_unusable(const char *path, const char *why) {
        g_autofree char *field = g_strconcat("DTLSD_MODULE=", path, NULL);
        const char *const fields[] = {field, NULL};

        log_write(LOG_ERR, MSG_MODULE_UNUSABLE, fields,
                  "the PKCS#11 module %s cannot be loaded: %s", path, why);
}
