/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * $DTLSD_TEST_DIRECT_AFTER: SessionSpec.direct_after of all sessions of a test that does not say it
 * itself.
 */

#include <glib.h>

static inline uint32_t test_direct_after(void) {
        const char *text = g_getenv("DTLSD_TEST_DIRECT_AFTER");

        return text ? (uint32_t)g_ascii_strtoull(text, NULL, 10) : 0;
}
