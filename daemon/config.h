/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Config: what the administrator's files say: limits, lead times, and who may. Files are taken
 * whole or not at all: an unknown word or a value that is none stops the start, and the text says
 * where it is.
 */

#include "access/access.h"
#include "relay/expiry.h"

#include <stdbool.h>

#define CONFIG_PATH "/etc/dtlsd/dtlsd.conf"
#define POLICY_PATH "/etc/dtlsd/policy.d"

typedef struct Config {
        QuotaLimits limits;
        LeadTimes lead_times;
        char *deny_list;         /* a path; NULL: none */
        char **revocation_lists; /* paths of files and directories; NULL: none */
        uint32_t direct_after;   /* relay_set_direct_after()'s */
} Config;

typedef enum ConfigOutcome {
        CONFIG_E_BROKEN = 1, /* the file cannot be read, or says what it may not */
} ConfigOutcome;

/* @config: the defaults in, what the file says over them out; as it was when that fails.
 * @must_exist: false: no file is an empty one. @ret_text: file, group and key, for people. */
int config_read(const char *path, bool must_exist, Config *config, char **ret_text);
void config_done(Config *config);

/* Adds the rules of every *.conf of the folder @path, in the order of their names, to @access.
 * No folder is one without rules. */
int policy_read(const char *path, Access *access, char **ret_text);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Config, config_done)
