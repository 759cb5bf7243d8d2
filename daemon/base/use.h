/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Use: what dtlsd asks of keys, and the keyring answers, in the middle of handshakes. Both have a
 * socket of their own for it beside their D-Bus messages, a SOCK_SEQPACKET pair: several uses go in
 * a packet, each a head of fixed size and the bytes behind it. Both ends are of one build.
 */

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define USE_WORD_SIZE 39            /* the longest name of an algorithm or an error, and a NUL */
#define USE_BYTES_MAX (160 * 1024)  /* of one use */
#define USE_PACKET_MAX (168 * 1024) /* of a packet */

typedef struct Use {
        uint64_t ticket; /* the answer has that of the question */
        uint64_t key;    /* asked */
        uint32_t uid;    /* asked: who uses it */
        uint32_t size;   /* of the bytes */
        /* asked: the algorithm, "": the bytes of a pre-shared key are wanted; answered: the name of
         * an error behind the prefix, "": none, and the bytes are the answer, else a text */
        char word[USE_WORD_SIZE];
        uint8_t is_hash; /* asked: the bytes are one */
} Use;

typedef struct UsePacket UsePacket;

UsePacket *use_packet_new(void);
UsePacket *use_packet_free(UsePacket *packet);

/* False: there is no room left; or the word or the bytes are longer than any. */
bool use_put(UsePacket *packet, const Use *use, const char *word, const void *bytes);
size_t use_count(const UsePacket *packet); /* of those put since it was sent */
/* Sends all that was put, if anything was, and wipes it. Negative: it was not sent, and is kept. */
int use_send(UsePacket *packet, int fd, int flags);
void use_drop(UsePacket *packet);

/* Takes a packet, without waiting; negative: there is none. What was there before is wiped. Of one
 * that is longer than any there is no use in it, but more. */
int use_receive(UsePacket *packet, int fd);
/* The next one of it; its bytes are borrowed. False: there are no more, or what there is is none.
 */
bool use_next(UsePacket *packet, Use *ret, void **ret_bytes);
bool use_has_more(const UsePacket *packet); /* that was not taken */

G_DEFINE_AUTOPTR_CLEANUP_FUNC(UsePacket, use_packet_free)
