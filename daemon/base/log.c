/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * log, see log.h. The only state that is global, because a fault traces from anywhere.
 *
 * Strangers choose part of what is logged (names in certificates, addresses). What could forge a
 * line or drive a terminal is written as an escape, and a line has an end.
 */

#define SD_JOURNAL_SUPPRESS_LOCATION

#include "base/log.h"

#include <errno.h>
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

/* A line of text, or the value of a field; what is longer is cut. A certificate's subject may be
 * 64 KiB, and no reader of a journal wants that. */
#define LOG_TEXT_MAX 2048
#define LOG_FIELDS_MAX 32

static struct {
        const char *identifier;
        int level;
        bool journal;
} log_state = {"dtlsd", LOG_INFO, false};

static const struct {
        const char *name;
        int level;
} log_levels[] = {
        {"err", LOG_ERR},   {"warning", LOG_WARNING}, {"notice", LOG_NOTICE},
        {"info", LOG_INFO}, {"debug", LOG_DEBUG},
};

/* JOURNAL_STREAM is inherited by programs whose standard error has become something else. */
static bool log_stderr_is_journal(void) {
        const char *stream = g_getenv("JOURNAL_STREAM");
        g_autofree char *own = NULL;
        struct stat status;

        if (!stream || fstat(STDERR_FILENO, &status) < 0)
                return false;

        own = g_strdup_printf("%ju:%ju", (uintmax_t)status.st_dev, (uintmax_t)status.st_ino);
        return g_str_equal(stream, own);
}

void log_open(const char *identifier) {
        const char *level = g_getenv("DTLSD_LOG_LEVEL");

        log_state.identifier = identifier;
        log_state.journal = log_stderr_is_journal();

        for (size_t i = 0; level && i < G_N_ELEMENTS(log_levels); i++)
                if (g_str_equal(level, log_levels[i].name))
                        log_state.level = log_levels[i].level;
}

void log_set_level(int level) {
        log_state.level = level;
}

int log_level(void) {
        return log_state.level;
}

static void log_escape(GString *line, const char *text) {
        size_t limit = line->len + LOG_TEXT_MAX;
        const char *next;

        for (; *text; text = next) {
                gunichar c = g_utf8_get_char_validated(text, -1);
                bool valid = c != (gunichar)-1 && c != (gunichar)-2;

                next = valid ? g_utf8_next_char(text) : text + 1;
                if (valid && g_unichar_isprint(c))
                        g_string_append_len(line, text, next - text);
                else
                        for (const char *byte = text; byte < next; byte++)
                                g_string_append_printf(line, "\\x%02x", (uint8_t)*byte);

                if (line->len >= limit) {
                        g_string_append(line, "...");
                        return;
                }
        }
}

static bool log_to_journal(int level, const char *message_id, const char *const *fields,
                           const char *message) {
        g_autoptr(GPtrArray) texts = g_ptr_array_new_with_free_func(g_free);
        struct iovec iov[LOG_FIELDS_MAX + 4];

        g_ptr_array_add(texts, g_strconcat("MESSAGE=", message, NULL));
        g_ptr_array_add(texts, g_strdup_printf("PRIORITY=%d", level));
        g_ptr_array_add(texts, g_strconcat("SYSLOG_IDENTIFIER=", log_state.identifier, NULL));
        if (message_id)
                g_ptr_array_add(texts, g_strconcat("MESSAGE_ID=", message_id, NULL));

        for (size_t i = 0; fields && fields[i] && i < LOG_FIELDS_MAX; i++) {
                GString *field = g_string_new(NULL);

                log_escape(field, fields[i]);
                g_ptr_array_add(texts, g_string_free(field, FALSE));
        }

        for (size_t i = 0; i < texts->len; i++)
                iov[i] = (struct iovec){texts->pdata[i], strlen(texts->pdata[i])};

        return sd_journal_sendv(iov, (int)texts->len) >= 0;
}

/* One write, so that lines of several writers do not mix. */
static void log_to_stderr(const char *message) {
        g_autofree char *line = g_strconcat(log_state.identifier, ": ", message, "\n", NULL);

        (void)!write(STDERR_FILENO, line, strlen(line)); /* nowhere to say that it failed */
}

void log_write(int level, const char *message_id, const char *const *fields, const char *format,
               ...) {
        g_autoptr(GString) message = NULL;
        g_autofree char *text = NULL;
        int saved = errno;
        va_list args;

        if (level > log_state.level)
                return;

        va_start(args, format);
        text = g_strdup_vprintf(format, args);
        va_end(args);

        message = g_string_new(NULL);
        log_escape(message, text);

        if (!log_state.journal || !log_to_journal(level, message_id, fields, message->str))
                log_to_stderr(message->str);

        errno = saved;
}
