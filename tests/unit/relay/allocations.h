/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stddef.h>

/* From here on what is allocated in this process is counted, but for what GnuTLS does itself. */
void allocations_begin(void);
size_t allocations_end(void); /* how many it were */
