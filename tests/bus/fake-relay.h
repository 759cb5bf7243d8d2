/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A relay of cardboard behind relay/relay.h: no sockets, no sessions. A test says what happens.
 */

#include "relay/relay.h"

/* The one that was made last; tests have one at a time. */
Relay *fake_relay(void);

/* In HandshakeNotStarted. @owner NULL: persistent. Relay's observer hears of it. */
Connection *fake_connection(Relay *relay, uid_t uid, const char *owner, bool announced);
Listener *fake_listener(Relay *relay, uid_t uid, const char *owner);
Verifier *fake_verifier(Relay *relay, uid_t uid, const char *owner);
uint32_t fake_id(const Connection *connection);

void fake_state(Connection *connection, HandshakeState state, DtlsError error, const char *text);
void fake_verification_error(Connection *connection, VerdictCode code);
void fake_changed(Connection *connection, unsigned mask);
void fake_datagram(Connection *connection, const char *text);
void fake_datagram_signals(Connection *connection, bool on);
size_t fake_n_datagrams(const Connection *connection); /* not read yet */
void fake_psk_required(Connection *connection);
void fake_timeout(Connection *connection, bool manual);
void fake_closed(Connection *connection, EndReason reason);
void fake_removed(Connection *connection); /* and freed */
void fake_new_connection(Listener *listener, Connection *connection);

/* How connection_close() was last called; N_END_REASONS: it was not. */
EndReason fake_close_reason(const Relay *relay);
unsigned fake_n_owners_gone(const Relay *relay);
unsigned fake_n_owners_lost(const Relay *relay);
/* Whether relay_stir() was called since the last time. */
bool fake_take_stir(Relay *relay);
