/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * log: structured lines to the journal when standard error is the journal, plain text otherwise.
 *
 * relay, bus, keyring and the mains log; rooms below relay return instead (faults trace at debug).
 */

#include <stdarg.h>
#include <syslog.h>

/* Reads JOURNAL_STREAM and DTLSD_LOG_LEVEL (err, warning, notice, info, debug). */
void log_open(const char *identifier);
void log_set_level(int level);
int log_level(void);

/* @fields: "KEY=value" strings ended by NULL, or NULL. @message_id: 32 hex digits, or NULL. */
void log_write(int level, const char *message_id, const char *const *fields, const char *format,
               ...) __attribute__((format(printf, 4, 5)));

#define log_error(...) log_write(LOG_ERR, NULL, NULL, __VA_ARGS__)
#define log_warning(...) log_write(LOG_WARNING, NULL, NULL, __VA_ARGS__)
#define log_notice(...) log_write(LOG_NOTICE, NULL, NULL, __VA_ARGS__)
#define log_info(...) log_write(LOG_INFO, NULL, NULL, __VA_ARGS__)
#define log_debug(...) log_write(LOG_DEBUG, NULL, NULL, __VA_ARGS__)
