/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Fault: what cannot be handled where it is found travels up as a negative errno.
 *
 * Functions that can fail return int. 0 is done. Negative is a fault: memory, the kernel, a bug of
 * ours; it is passed up with `return fault(r)` and never matched on. Positive is an outcome of that
 * one module, listed in its header, handled by its caller and never forwarded as it is.
 */

#define fault(r) fault_at((r), __FILE__, __LINE__, __func__)

/* Writes one hop of the trace at debug level. Returns r, always negative: a positive r, which
 * somebody forgot to handle, and a 0, which is no fault, become -ENOTRECOVERABLE. Keeps errno. */
int fault_at(int r, const char *file, int line, const char *function);
