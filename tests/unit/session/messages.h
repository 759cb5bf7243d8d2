/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Types of handshake messages: RFC 5246 7.4, RFC 6347 4.3.2, RFC 6066 8, RFC 5077 3.3. */

enum {
        HELLO_REQUEST = 0,
        CLIENT_HELLO = 1,
        SERVER_HELLO = 2,
        HELLO_VERIFY_REQUEST = 3,
        NEW_SESSION_TICKET = 4,
        CERTIFICATE = 11,
        SERVER_KEY_EXCHANGE = 12,
        CERTIFICATE_REQUEST = 13,
        SERVER_HELLO_DONE = 14,
        CERTIFICATE_VERIFY = 15,
        CLIENT_KEY_EXCHANGE = 16,
        FINISHED = 20,
        CERTIFICATE_STATUS = 22,
};
