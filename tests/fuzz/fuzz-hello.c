/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A stranger's datagram: the parser stays inside it, and the answer is never longer than it.
 */

#include "fuzz.h"

#include "session/cookie.h"
#include "session/hello.h"

static void check_hello(const uint8_t *data, size_t size) {
        Hello hello;

        if (hello_parse(data, size, &hello) != 0)
                return;

        g_assert(size >= HELLO_SIZE_MIN);
        g_assert(hello.record_sequence >> 48 == 0);
        g_assert(hello.cookie >= data && hello.cookie + hello.cookie_size <= data + size);
}

static void check_cookie(const uint8_t *data, size_t size) {
        g_autoptr(DatagramBatch) net = datagram_batch_new(2, 1024);
        g_autoptr(CookieJar) jar = NULL;
        Datagram in = {.data = data, .size = size};
        Hello hello;
        int r;

        g_assert(cookie_jar_new("Sha256", "secret", 6, &jar) == 0);
        g_assert(address_parse("192.0.2.1", 5684, &in.peer) == 0);

        r = cookie_check(jar, 1, &in, net, &hello);
        g_assert(r >= 0);
        if (r != COOKIE_E_ASKED) {
                g_assert(datagram_batch_count(net) == 0);
                return;
        }

        g_assert(datagram_batch_count(net) == 1);
        g_assert(datagram_batch_at(net, 0).size <= size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        check_hello(data, size);
        check_cookie(data, size);
        return 0;
}
