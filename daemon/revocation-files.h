/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Revocation files: the administrator's deny list and revocation lists, from disk. What cannot be
 * used is named in the log, and the rest counts all the same: who takes certificates back shall not
 * lose the whole service over one file.
 *
 * Knows: files, where they are. Does not know: what is in them.
 */

#include "config.h"
#include "identity/revocations.h"

/* For revocation lists too; a file of this size takes a second and half a GiB while it is read. */
#define REVOCATION_FILE_MAX ((size_t)16 * 1024 * 1024 - 1)

/* Never fails: with nothing that could be used it has nothing. */
Revocations *revocation_files_read(const Config *config);
