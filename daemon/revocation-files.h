/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Revocation files: the administrator's deny list and revocation lists, from disk. They are taken
 * whole or not at all, as the rules are: of a list that nobody could read, nobody would notice who
 * is trusted again.
 *
 * Knows: files, where they are. Does not know: what is in them.
 */

#include "config.h"
#include "identity/revocations.h"

/* For revocation lists too; a file of this size takes a second and half a GiB while it is read. */
#define REVOCATION_FILE_MAX ((size_t)16 * 1024 * 1024 - 1)

typedef enum RevocationFilesOutcome {
        REVOCATION_FILES_E_BROKEN = 1, /* one cannot be read, or is not what it should be */
} RevocationFilesOutcome;

/* @ret_text: which one and what is wrong with it, for people. */
int revocation_files_read(const Config *config, Revocations **ret, char **ret_text);
