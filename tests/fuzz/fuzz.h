/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A fuzz target is one function in libFuzzer's shape. It is built twice over: with
 * `clang -fsanitize=fuzzer,address` for a real hunt, and with fuzz-main.c as a plain test.
 */

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
