/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Journal: the kinds of lines that the keyring writes, with their ids in the journal's catalog
 * (daemon/dtlsd.catalog), and those that more than one file has.
 */

#include <stdbool.h>

#define MSG_KEY_USED "fd41ca3c7b054dc2b81ff91e3ef2f914"
#define MSG_KEY_RATE "9298d42c22af4e14a18cc7dc1c8f8393"
#define MSG_KEY_HELD "3d5c3143270d425aab9529a3da38ea41"
#define MSG_CALL_REFUSED "4ce1deee29bb4746b552bfdac8bce6ec"
#define MSG_CALL_FAILED "98d618e36e4042a1b821a234048eb642"
#define MSG_ENTRY_CHANGED "4a12e598ba1a48a9a588ae8c426e9185"
#define MSG_ENTRY_LEFT_OUT "9fb19177a2914bed9c3830e7ccca54d1"
#define MSG_TOKEN_ABSENT "eb998b7752284ed2a5b702b1100d5a29"
#define MSG_TOKEN_BACK "8486722b95b04e32a3ad7f7af3eacf13"
#define MSG_MODULE_UNUSABLE "73ae9175b3a8450d8e0235425ce291b3"
#define MSG_STORE_UNUSABLE "453579b782734e1d814f1b9802e48562"
#define MSG_STORE_NOT_SEALED "432b3d6262e541f3acb109a053b2a1ec"
#define MSG_STRANGER_AT_DOOR "e048a454fbac4f81b50e7518d0e37380"

/* A file of the store is not used. */
void journal_left_out(const char *file, const char *why);
/* The token with the key of this entry cannot be used, or can again. */
void journal_token(const char *entry, bool is_absent);
/* A PKCS#11 module cannot be loaded. */
void journal_module_unusable(const char *path, const char *why);
