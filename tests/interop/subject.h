/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Subject: one object with QDtls' members, and a QDtlsClientVerifier beside it, in a test's hands:
 * Qt's own, or the service's with Transport "external". Both are told the same lines:
 *
 *   new client|server, new-verifier
 *   set-peer ADDRESS PORT [NAME], set-peer-verification-name NAME, set-mtu-hint NUMBER
 *   configure [protocol= verify= depth= ca= certificate= key= hint= ciphers= cookies=
 *              client-order= interrupt= missing-is-fatal=]…   a whole QSslConfiguration
 *   set-cookies HASH SECRET, set-verifier-cookies HASH SECRET
 *   ignore [NAME@FILE|NAME@none]…
 *   psk IDENTITY KEY         what is answered when a PSK is asked for, until "new"; nothing at
 * first do-handshake HEX|-|verified, decrypt HEX|-, verify HEX|- ADDRESS PORT write TEXT|*SIZE
 *   wait-timeout             until handshakeTimeout, with a limit
 *   wait-state STATE         likewise
 *   handle-timeout, resume, abort, shutdown
 *   show WHAT, observe
 *
 * and answer with one line, fields with tabs between:
 *
 *   result= state= error= text= (is there one?) encrypted= cipher= (is there one?) protocol= peer=
 *   name= mtu= chain= (how many certificates) verification= (NAME@leaf|other|none, sorted)
 *   verifier= (its error) signals= (since the last line)
 *
 * Where the service's default is another than Qt's and Qt's can be asked for, it is: Retransmission
 * is "manual", HandshakeMustInterruptOnError is false.
 */

#include "scene.h"

/* The path of our program around QDtls; empty where Qt was not there to build it. */
#define QDTLS_SUBJECT "DTLSD_QDTLS_SUBJECT"

typedef struct Subject Subject;

struct Subject {
        /* The line that it answers with, to be freed. */
        char *(*obey)(Subject *subject, const char *line);
        void (*free)(Subject *subject);
        GQueue sent; /* the datagrams that it sent, in hex, to be freed */
};

Subject *subject_qt_new(void);
Subject *subject_dtlsd_new(sd_bus *bus);
/* With what is left in its queue. */
void subject_free(Subject *subject);
