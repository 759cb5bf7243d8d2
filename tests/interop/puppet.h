/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Puppet: a peer program of ours around a library that has none that would do: qdtls-peer,
 * mbedtls-peer. They take the same options and print the same lines.
 *
 *   PROGRAM client --port=N OPTION…     to 127.0.0.1
 *   PROGRAM server OPTION…              says "listening N"
 *
 *   --certificate=FILE --key=FILE --ca=FILE --verify=MODE (Qt's names) --name=TEXT
 *   --identity=TEXT --psk=TEXT --hint=TEXT --ciphers=LIST
 *   --cookie-hash=NAME --cookie-secret=TEXT: a server asks for cookies
 *   --drop=NUMBERS: the datagrams to lose, by number of arrival from 1
 *
 * A line of the standard input is sent as one datagram; "/shutdown" sends close_notify. Lines out:
 *
 *   state NAME            whenever it is another
 *   encrypted CIPHER      after the state HandshakeComplete
 *   received TEXT         a datagram
 *   error NAME: TEXT      a call of the library failed
 *   verification-error NAME
 *   psk-required hint=… identity=… maximum-identity=N maximum-key=N
 *   verified, not verified
 *   timeout, dropped N
 */

#include "scene.h"

/* Environment variables with their paths, empty where a library was not there to build with. */
#define QDTLS_PEER "DTLSD_QDTLS_PEER"
#define MBEDTLS_PEER "DTLSD_MBEDTLS_PEER"

gboolean puppet_is_built(const char *variable);
/* A test for programs that are not built: it skips, naming the variable and the package. */
void puppet_add_skip(const char *path, const char *variable);

/* @arguments ends with NULL. */
Peer *puppet_client(const char *variable, const dtlsd_listener *listener,
                    const char *const *arguments);
/* *ret_port: where it listens, to be freed. */
Peer *puppet_server(const char *variable, const char *const *arguments, char **ret_port);

/* "--option=" and the path of a file of the scene; to be freed. */
char *puppet_file(const Scene *scene, const char *option, const char *name);

/* Waits for a line that matches. */
void puppet_expect(Peer *peer, const char *regex);
/* One datagram each way, both as they were sent. */
void puppet_converse(Peer *peer, const dtlsd_connection *connection);
