/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Commands: what a connection's owner may ask of it, and when: QDtls' methods over QDtls' states,
 * in one table (commands.c). A command that fails leaves its error on the object, one that works
 * clears it. The commands themselves lie by what they are about: commands-setup.c what a connection
 * is, commands-handshake.c its handshake, commands-carried.c the application's datagrams,
 * commands-encrypted.c what is encrypted.
 *
 * Where Qt is silent: AbortHandshake works while a handshake goes on and while it waits for a
 * verdict ("aborts the ongoing handshake"); HandleTimeout where no timeout can be says that there
 * was none; what has arrived can be read after the end.
 *
 * Knows: states and methods. Does not know: D-Bus, who calls.
 */

#include "relay/private.h"

#define COMMAND_FAULT_TEXT "The service failed here; its journal has more"

typedef enum Command {
        COMMAND_SET_PEER,
        COMMAND_SET_NAME,
        COMMAND_SET_CONFIGURATION,
        COMMAND_DO_HANDSHAKE,
        COMMAND_CONTINUE,
        COMMAND_RESUME,
        COMMAND_ABORT,
        COMMAND_WRITE,
        COMMAND_READ,
        COMMAND_DECRYPT,
        COMMAND_SHUTDOWN,
        COMMAND_OPEN_CHANNEL,
        COMMAND_EXPORT,
        COMMAND_TICKET,
        N_COMMANDS,
} Command;

/* Whether the state allows it, and else why not. */
int command_check(const Connection *connection, Command command, Reason *reason);
/* The same of what belongs to own connections alone. */
int command_check_own(const Connection *connection, Command command, Reason *reason);
/* Every command ends here: what it came to is the object's error, or that there is none. A peer
 * that waits for its verdict stays what is wrong. Returns @r. */
int command_done(Connection *connection, int r, const Reason *reason);
/* A command that set the association's own error on its way tells what it is. */
int command_failed(const Connection *connection, Reason *reason);
/* What an object's error says after a command that came to @outcome. */
DtlsError command_error(RelayOutcome outcome);

/* @peer may be NULL. */
int command_check_peer(const Address *peer, Reason *reason);
/* Whether anybody can open a channel now. */
int command_check_channel(const Connection *connection, Reason *reason);
/* What a handshake begins with; @command is which one starts it. */
int command_prepare_handshake(Connection *connection, Command command, Reason *reason);
/* An external server's handshake, by a proven hello. */
int connection_begin_server(Connection *connection, const Datagram *in, const Hello *hello,
                            Reason *reason);
