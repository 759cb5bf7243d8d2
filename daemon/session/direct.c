/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Application data of the open session beside GnuTLS's record layer: record.h does what that one
 * does, from and to where the bytes lie. Handshakes, alerts and goodbyes stay GnuTLS's, and so does
 * all of a session whose cipher is another.
 *
 * Both use the same keys, so no number may be used by both, and none taken from the peer twice:
 *
 *   written  GnuTLS is told which number is next before it may write, and wire_push() lets nothing
 *            out under one that was used.
 *   taken    one window has all that was taken, by either. GnuTLS's own forgets whenever it is told
 *            a number, so what it is given is held against ours first.
 *
 * A direction's key is made when that many records went that way: who says little pays nothing.
 */

#include "session/private.h"

/* Nobody is to come near 2^48: far enough for goodbyes, and for what is said twice. */
#define DIRECT_SEQUENCE_END ((UINT64_C(1) << 48) - (UINT64_C(1) << 16))

static RecordKey *direct_key(Session *session, RecordKey **key, uint64_t next, bool open) {
        Direct *direct = &session->direct;

        if (*key || direct->after == 0 || record_number_sequence(next) < direct->after)
                return *key;

        *key = record_key_new(session->gnutls, open);
        if (!*key)
                direct->after = 0; /* nor will there be */
        return *key;
}

bool direct_sends(Session *session, size_t size) {
        Direct *direct = &session->direct;

        /* GnuTLS tells nobody of a limit that the peer set (RFC 8449) but by what it takes */
        return direct_key(session, &direct->seal, direct->next, /* open= */ false) &&
               size <= direct->size_max;
}

static bool direct_is_used_up(const Direct *direct, uint64_t n_blocks) {
        return record_number_sequence(direct->next) >= DIRECT_SEQUENCE_END ||
               direct->n_blocks > record_key_blocks_max(direct->seal) - n_blocks;
}

static int direct_fail(Session *session, DatagramBatch *net, int code) {
        int r;

        wire_begin(session, 0, net, NULL);
        r = failure_from_code(session, code);
        wire_end(session);
        return r;
}

int direct_send(Session *session, const void *data, size_t size, DatagramBatch *net) {
        Direct *direct = &session->direct;
        uint64_t n_blocks = record_blocks(size);
        uint8_t *place = datagram_batch_reserve(net, size + record_key_overhead(direct->seal));
        size_t sealed;

        if (!place)
                return SESSION_E_NO_ROOM;
        if (direct_is_used_up(direct, n_blocks))
                return direct_fail(session, net, GNUTLS_E_RECORD_LIMIT_REACHED);

        direct->ahead = true;
        sealed = record_seal(direct->seal, direct->next++, data, size, place);
        if (sealed == 0)
                return direct_fail(session, net, GNUTLS_E_ENCRYPTION_FAILED);

        datagram_batch_commit(net, sealed);
        direct->n_blocks += n_blocks;
        session->stats.n_direct++;
        return 0;
}

/* False: there is no place for it, which is GnuTLS's way to find out. */
static bool direct_open(Session *session, const uint8_t *record, size_t size, DatagramBatch *app) {
        Direct *direct = &session->direct;
        size_t plain_size = size - record_key_overhead(direct->open);
        uint8_t *place = app ? datagram_batch_reserve(app, plain_size) : NULL;
        uint64_t number = record_number(record);

        if (!place)
                return false;
        if (record_window_has(&direct->window, number) ||
            !record_open(direct->open, record, size, place)) {
                session->stats.n_discarded++;
                session->went_direct = false;
                return true;
        }

        record_window_add(&direct->window, number);
        session->took_last = true;
        session->stats.n_records_accepted++;
        session->stats.n_direct++;
        if (plain_size > 0)
                datagram_batch_commit(app, plain_size);
        return true;
}

size_t direct_receive(Session *session, const Datagram *in, DatagramBatch *app) {
        Direct *direct = &session->direct;
        size_t size, done = 0;

        if (in->size == 0 || session->state != SESSION_OPEN ||
            !direct_key(session, &direct->open, direct->window.next, /* open= */ true))
                return 0;

        do {
                size = record_find(direct->open, in->data + done, in->size - done);
                if (size == 0 || !direct_open(session, in->data + done, size, app))
                        break;
                done += size;
        } while (done < in->size);

        return done;
}

bool direct_has_taken(Session *session, uint64_t number) {
        const Direct *direct = &session->direct;

        if ((!direct->seal && !direct->open) || !record_window_has(&direct->window, number))
                return false;

        session->stats.n_discarded++;
        return true;
}

void direct_note_taken(Session *session, uint64_t number) {
        record_window_add(&session->direct.window, number);
}

bool direct_may_write(Session *session, uint64_t number) {
        Direct *direct = &session->direct;

        /* twice under one number would give away both plaintexts, and with AES-GCM the key */
        if (number < direct->next || direct->ahead)
                return false;

        direct->next = number + 1;
        return true;
}

void direct_tell_number(Session *session) {
        Direct *direct = &session->direct;
        uint64_t number = GUINT64_TO_BE(direct->next);
        int r;

        if (!direct->ahead)
                return;

        /* if it fails, what is written does not go out */
        r = gnutls_record_set_state(session->gnutls, /* read= */ 0, (const uint8_t *)&number);
        direct->ahead = r != GNUTLS_E_SUCCESS;
}

void direct_done(Session *session) {
        Direct *direct = &session->direct;

        direct->after = 0;
        direct->seal = record_key_free(direct->seal);
        direct->open = record_key_free(direct->open);
}
