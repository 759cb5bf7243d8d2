/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* GnuTLS in the program itself: "gnutls" with one call a datagram, "gnutls-gso" with trains. */

#include "bench.h"

#include <string.h>

static const BenchWay *find(const char *variant) {
        bench_gnutls_batches = strcmp(variant, "gnutls-gso") == 0;
        return bench_gnutls_batches || strcmp(variant, "gnutls") == 0 ? &bench_gnutls : NULL;
}

int main(int argc, char **argv) {
        return bench_main(argc, argv, find);
}
