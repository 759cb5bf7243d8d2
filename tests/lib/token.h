/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A PKCS#11 token for tests: SoftHSM's, with everything in a directory of its own. It is found by
 * HOME, which is set here, and which programs that are started inherit.
 */

#include "lib/certificates.h"

#include <stdbool.h>

#define TEST_TOKEN_PIN "1234"

typedef struct TestToken TestToken;

/* NULL: there is no SoftHSM here, and the test is skipped. One at a time. */
TestToken *test_token_new(void);
TestToken *test_token_free(TestToken *token);

const char *test_token_module(void); /* NULL: as above */
/* Its key becomes the token's; the URI, to be freed. */
char *test_token_import(const TestToken *token, const TestIdentity *identity, const char *label);
/* Out of its slot, or in again. */
void test_token_set_present(const TestToken *token, bool present);
/* Its slot has another token from here on, of the same name and without a key. */
void test_token_replace(const TestToken *token);
/* To the user that the service runs as. */
void test_token_give(const TestToken *token, const char *user);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(TestToken, test_token_free)
