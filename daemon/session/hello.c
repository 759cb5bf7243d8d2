/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "session/hello.h"
#include "session/reader.h"

#define RECORD_HEADER_SIZE 13
#define MESSAGE_HEADER_SIZE 12
#define RANDOM_SIZE 32
#define SESSION_ID_MAX 32

#define CONTENT_HANDSHAKE 22
#define MESSAGE_CLIENT_HELLO 1

/* Type, version, epoch, sequence number, length: leaves the reader with the record's payload. */
static bool hello_parse_record(Reader *reader, uint64_t *ret_sequence) {
        const uint8_t *header = reader_take(reader, RECORD_HEADER_SIZE);
        size_t length;

        if (!header)
                return false;

        /* the first record says fe ff or fe fd, depending on the peer */
        if (header[0] != CONTENT_HANDSHAKE || header[1] != 0xfe)
                return false;
        if (header[2] != 0xff && header[2] != 0xfd)
                return false;
        if (number_read(header + 3, 2) != 0)
                return false;

        length = number_read(header + 11, 2);
        if (length > reader->left)
                return false;

        reader->left = length;
        *ret_sequence = number_read(header + 5, 6);
        return true;
}

/* Leaves the reader with the first fragment of the message's body. */
static bool hello_parse_message(Reader *reader, Hello *hello) {
        const uint8_t *header = reader_take(reader, MESSAGE_HEADER_SIZE);
        size_t length, offset, fragment;

        if (!header || header[0] != MESSAGE_CLIENT_HELLO)
                return false;

        length = number_read(header + 1, 3);
        offset = number_read(header + 6, 3);
        fragment = number_read(header + 9, 3);
        if (offset != 0 || fragment > length || fragment > reader->left)
                return false;

        reader->left = fragment;
        hello->message_seq = number_read(header + 4, 2);
        hello->fragmented = fragment != length;
        return true;
}

static bool hello_parse_body(Reader *reader, Hello *hello) {
        const uint8_t *version = reader_take(reader, 2);
        const uint8_t *random = reader_take(reader, RANDOM_SIZE);
        size_t session_id_size;

        if (!version || version[0] != 0xfe || !random)
                return false;
        if (!reader_take_vector(reader, 1, &session_id_size) || session_id_size > SESSION_ID_MAX)
                return false;

        hello->cookie = reader_take_vector(reader, 1, &hello->cookie_size);
        return hello->cookie != NULL;
}

/**
 * hello_parse() - tell a ClientHello from everything else
 *
 * Return: 0, or HELLO_E_NOT_HELLO.
 */
int hello_parse(const uint8_t *data, size_t size, Hello *ret) {
        Reader reader = {.next = data, .left = size};
        Hello hello = {};

        if (!hello_parse_record(&reader, &hello.record_sequence))
                return HELLO_E_NOT_HELLO;
        if (!hello_parse_message(&reader, &hello))
                return HELLO_E_NOT_HELLO;
        if (!hello_parse_body(&reader, &hello))
                return HELLO_E_NOT_HELLO;

        *ret = hello;
        return 0;
}
