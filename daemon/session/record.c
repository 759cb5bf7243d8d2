/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "session/record.h"

#include "base/prefetch.h"

#include <glib.h>
#include <gnutls/crypto.h>
#include <string.h>

#define RECORD_VERSION 0xfefd /* DTLS 1.2 */
#define RECORD_APPLICATION_DATA 23
#define RECORD_NUMBER_OFFSET 3
#define RECORD_NUMBER_SIZE 8
#define RECORD_LENGTH_OFFSET 11
#define RECORD_SEQUENCE_BITS 48
#define RECORD_NONCE_SIZE 12
#define RECORD_SALT_SIZE 4 /* of AES-GCM's nonce: the rest of it is in each record */
#define RECORD_TAG_SIZE 16
#define RECORD_AAD_SIZE 13
#define RECORD_BLOCK_SIZE 16
/* RFC 9325 4.4 with RFC 8446 5.5, for AES-GCM: 2^24.5 records that are as long as they can be */
#define RECORD_BLOCKS_MAX (UINT64_C(23726566) * (RECORD_PLAINTEXT_MAX / RECORD_BLOCK_SIZE))
#define RECORD_WINDOW_SIZE 64 /* RFC 6347 4.1.2.6, without the greatest */

struct RecordKey {
        gnutls_aead_cipher_hd_t cipher;
        uint64_t epoch;                /* where it is in a number */
        uint8_t iv[RECORD_NONCE_SIZE]; /* ends in zeros where the rest is in each record */
        size_t explicit_size;          /* of that rest */
};

/* ---- numbers ---- */

bool record_window_has(const RecordWindow *window, uint64_t number) {
        uint64_t before;

        if (number >= window->next)
                return false;

        before = window->next - 1 - number; /* the greatest */
        return before == 0 || before > RECORD_WINDOW_SIZE || (window->taken >> (before - 1) & 1);
}

void record_window_add(RecordWindow *window, uint64_t number) {
        uint64_t ahead;

        if (number < window->next) {
                uint64_t before = window->next - 1 - number;

                if (before >= 1 && before <= RECORD_WINDOW_SIZE)
                        window->taken |= UINT64_C(1) << (before - 1);
                return;
        }

        ahead = number + 1 - window->next;
        window->taken = ahead < RECORD_WINDOW_SIZE ? window->taken << ahead : 0;
        if (ahead <= RECORD_WINDOW_SIZE)
                window->taken |= UINT64_C(1) << (ahead - 1); /* what was the greatest */
        window->next = number + 1;
}

uint64_t record_number(const uint8_t *record) {
        uint64_t number;

        memcpy(&number, record + RECORD_NUMBER_OFFSET, sizeof number);
        return GUINT64_FROM_BE(number);
}

bool record_number_is_encrypted(uint64_t number) {
        return number >> RECORD_SEQUENCE_BITS != 0; /* epoch 0 is in plaintext */
}

uint64_t record_number_sequence(uint64_t number) {
        return number & ((UINT64_C(1) << RECORD_SEQUENCE_BITS) - 1);
}

/* ---- keys ---- */

static bool record_key_is_for(gnutls_session_t gnutls, gnutls_cipher_algorithm_t *ret_cipher,
                              size_t *ret_explicit_size) {
        *ret_cipher = gnutls_cipher_get(gnutls);

        if (gnutls_protocol_get_version(gnutls) != GNUTLS_DTLS1_2)
                return false;

        switch (*ret_cipher) {
        case GNUTLS_CIPHER_AES_128_GCM:
        case GNUTLS_CIPHER_AES_256_GCM:
                *ret_explicit_size = RECORD_NONCE_SIZE - RECORD_SALT_SIZE;
                return true;
        case GNUTLS_CIPHER_CHACHA20_POLY1305:
                *ret_explicit_size = 0;
                return true;
        default:
                return false;
        }
}

RecordKey *record_key_new(gnutls_session_t gnutls, bool open) {
        gnutls_cipher_algorithm_t cipher;
        gnutls_datum_t mac_key, iv, cipher_key;
        uint8_t number[RECORD_NUMBER_SIZE];
        size_t explicit_size;
        RecordKey *key;

        if (!record_key_is_for(gnutls, &cipher, &explicit_size) ||
            gnutls_record_get_state(gnutls, open, &mac_key, &iv, &cipher_key, number) < 0 ||
            iv.size != RECORD_NONCE_SIZE - explicit_size)
                return NULL;

        key = g_new0(RecordKey, 1);
        key->explicit_size = explicit_size;
        key->epoch = (uint64_t)(number[0] << 8 | number[1]) << RECORD_SEQUENCE_BITS;
        memcpy(key->iv, iv.data, iv.size);
        if (gnutls_aead_cipher_init(&key->cipher, cipher, &cipher_key) < 0) {
                key->cipher = NULL;
                return record_key_free(key);
        }

        return key;
}

RecordKey *record_key_free(RecordKey *key) {
        if (!key)
                return NULL;

        if (key->cipher)
                gnutls_aead_cipher_deinit(key->cipher); /* wipes it */
        gnutls_memset(key, 0, sizeof *key);
        g_free(key);
        return NULL;
}

void record_key_prefetch(const RecordKey *key) {
        memory_prefetch(key, sizeof *key);
}

size_t record_key_overhead(const RecordKey *key) {
        return RECORD_HEADER_SIZE + key->explicit_size + RECORD_TAG_SIZE;
}

/* Of ChaCha20-Poly1305 the record numbers are the limit. */
uint64_t record_key_blocks_max(const RecordKey *key) {
        return key->explicit_size > 0 ? RECORD_BLOCKS_MAX : UINT64_MAX;
}

uint64_t record_blocks(size_t size) {
        return size / RECORD_BLOCK_SIZE + 2; /* what is left over, and the tag's */
}

/* ---- records ---- */

static void record_put_16(uint8_t *to, uint16_t value) {
        to[0] = value >> 8;
        to[1] = value & 0xff;
}

/* RFC 5288, 3: salt and what is in the record. RFC 7905, 2: the number, over it the IV. */
static void record_make_nonce(const RecordKey *key, const uint8_t *record,
                              uint8_t ret[static RECORD_NONCE_SIZE]) {
        const uint8_t *varies =
                record + (key->explicit_size > 0 ? RECORD_HEADER_SIZE : RECORD_NUMBER_OFFSET);
        uint64_t tail, number;

        memcpy(ret, key->iv, RECORD_SALT_SIZE);
        memcpy(&tail, key->iv + RECORD_SALT_SIZE, sizeof tail);
        memcpy(&number, varies, sizeof number);
        tail ^= number;
        memcpy(ret + RECORD_SALT_SIZE, &tail, sizeof tail);
}

/* RFC 5246, 6.2.3.3: number, type, version, length of the plaintext. */
static void record_make_aad(const uint8_t *record, size_t size,
                            uint8_t ret[static RECORD_AAD_SIZE]) {
        memcpy(ret, record + RECORD_NUMBER_OFFSET, RECORD_NUMBER_SIZE);
        memcpy(ret + RECORD_NUMBER_SIZE, record, RECORD_NUMBER_OFFSET);
        record_put_16(ret + RECORD_LENGTH_OFFSET, (uint16_t)size);
}

size_t record_seal(const RecordKey *key, uint64_t number, const void *plain, size_t size,
                   uint8_t *record) {
        uint64_t wire_number = GUINT64_TO_BE(number);
        uint8_t nonce[RECORD_NONCE_SIZE], aad[RECORD_AAD_SIZE];
        uint8_t *sealed = record + RECORD_HEADER_SIZE + key->explicit_size;
        size_t sealed_size = size + RECORD_TAG_SIZE;

        g_assert(size <= RECORD_PLAINTEXT_MAX);

        record[0] = RECORD_APPLICATION_DATA;
        record_put_16(record + 1, RECORD_VERSION);
        memcpy(record + RECORD_NUMBER_OFFSET, &wire_number, sizeof wire_number);
        record_put_16(record + RECORD_LENGTH_OFFSET, (uint16_t)(key->explicit_size + sealed_size));
        memcpy(record + RECORD_HEADER_SIZE, &wire_number, key->explicit_size);

        record_make_nonce(key, record, nonce);
        record_make_aad(record, size, aad);
        if (gnutls_aead_cipher_encrypt(key->cipher, nonce, sizeof nonce, aad, sizeof aad,
                                       RECORD_TAG_SIZE, plain, size, sealed, &sealed_size) < 0)
                return 0;

        return record_key_overhead(key) + size;
}

size_t record_find(const RecordKey *key, const uint8_t *data, size_t size) {
        size_t overhead = record_key_overhead(key), found;

        if (size < overhead || data[0] != RECORD_APPLICATION_DATA ||
            (data[1] << 8 | data[2]) != RECORD_VERSION)
                return 0;

        found = RECORD_HEADER_SIZE +
                (size_t)(data[RECORD_LENGTH_OFFSET] << 8 | data[RECORD_LENGTH_OFFSET + 1]);
        if (found > size || found < overhead || found > overhead + RECORD_PLAINTEXT_MAX)
                return 0;

        return record_number(data) - record_number_sequence(record_number(data)) == key->epoch
                       ? found
                       : 0;
}

bool record_open(const RecordKey *key, const uint8_t *record, size_t size, uint8_t *plain) {
        uint8_t nonce[RECORD_NONCE_SIZE], aad[RECORD_AAD_SIZE];
        size_t before = RECORD_HEADER_SIZE + key->explicit_size;
        size_t plain_size = size - record_key_overhead(key);

        record_make_nonce(key, record, nonce);
        record_make_aad(record, plain_size, aad);
        return gnutls_aead_cipher_decrypt(key->cipher, nonce, sizeof nonce, aad, sizeof aad,
                                          RECORD_TAG_SIZE, record + before, size - before, plain,
                                          &plain_size) >= 0;
}
