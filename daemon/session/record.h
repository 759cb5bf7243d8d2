/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Record: application data in DTLS 1.2 records, without GnuTLS's record layer.
 *
 * That one allocates and copies, which costs twice as much as the cipher does. Here one call of the
 * cipher goes from where the plaintext lies to where the datagram is to be, and back.
 *
 * RFC 6347 4.1 has the record, its number and the window against replays, RFC 5288 AES-GCM and RFC
 * 7905 ChaCha20-Poly1305 in it. Of a session with another cipher or version there are no keys.
 *
 * Knows: keys of one direction, records, numbers. Does not know: sessions, whose number is next.
 */

#include <gnutls/gnutls.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RECORD_HEADER_SIZE 13
#define RECORD_PLAINTEXT_MAX 16384 /* RFC 5246 6.2.1 */

typedef struct RecordKey RecordKey;

/* Which records were taken; all zero: none. A number here is the epoch and the sequence number, as
 * they are in a record's header. Of those before the last one 64 are known apart, as in GnuTLS;
 * what is older counts as taken. */
typedef struct RecordWindow {
        uint64_t next; /* behind the greatest that was taken */
        uint64_t taken;
} RecordWindow;

bool record_window_has(const RecordWindow *window, uint64_t number);
void record_window_add(RecordWindow *window, uint64_t number);

/* The number of a record, of which the header is there. */
uint64_t record_number(const uint8_t *record);
bool record_number_is_encrypted(uint64_t number);
uint64_t record_number_sequence(uint64_t number);

/* Of the current epoch, to open or to seal; NULL: there is none for this session. The session's
 * own copy of it stays where it is. */
RecordKey *record_key_new(gnutls_session_t gnutls, bool open);
RecordKey *record_key_free(RecordKey *key);
void record_key_prefetch(const RecordKey *key);
/* What a record has beside its plaintext. */
size_t record_key_overhead(const RecordKey *key);
/* How many blocks of the cipher it may seal; and at most so many are in a record of this plaintext.
 */
uint64_t record_key_blocks_max(const RecordKey *key);
uint64_t record_blocks(size_t size);

/* No number may come twice. @record has room for the overhead too. Its size; 0: the cipher failed.
 */
size_t record_seal(const RecordKey *key, uint64_t number, const void *plain, size_t size,
                   uint8_t *record);
/* The size of the record at the front of these bytes if it is one to be opened with this key, by
 * all that can be known without opening it; else 0. */
size_t record_find(const RecordKey *key, const uint8_t *data, size_t size);
/* A record that was found. @plain has room for its size less the overhead; that is the plaintext's.
 * False: it is not authentic, and what is at @plain is worth nothing. */
bool record_open(const RecordKey *key, const uint8_t *record, size_t size, uint8_t *plain);
