# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is measured, by which ways, and what it is to reach."""

SIZES = (16, 64, 200, 1200)
IN_PROCESS = ("gnutls", "openssl", "qdtls")
BULK = ("udp", "udp-gso", "gnutls-gso", *IN_PROCESS, "dtlsd")
SHARED = ("gnutls-gso", "gnutls", "qdtls", "dtlsd-shared")
SHARED_WINDOW = 512, 320 * 1024  # datagrams and bytes on their way: what a shared channel holds
TRIPS = ("udp", *IN_PROCESS, "dtlsd", "dtlsd-shared")
PEERS = ("gnutls", "dtlsd", "dtlsd-shared")
FAIR = ("alone", "bulk", "handshakes", "hellos")  # beside whom
SERVERS = (*IN_PROCESS, "dtlsd", "dtlsd-shared")
RESUMING = ("gnutls", "dtlsd", "dtlsd-shared")


class Row:
    """One loop, run by several ways. @key: the figure that is compared; @less: less is better."""

    def __init__(self, name, title, ways, loop, argument, amount, key, less=False):
        self.name, self.title, self.ways = name, title, ways
        self.loop, self.argument, self.amount = loop, argument, amount
        self.key, self.less = key, less
        self.rounds = []  # of {way: {key: value}}

    def values(self, way, key=None):
        return [found[way][key or self.key] for found in self.rounds if way in found]


class Goal:
    """@way against @other (None: the figure itself): what must be, and what is aimed at. How much
    better it is, unless @less: then its figure over the other's, and less is better."""

    def __init__(self, title, row, way, other, must, goal, less=False):
        self.title, self.row, self.way, self.other = title, row, way, other
        self.must, self.goal, self.less = must, goal, less


def rows():
    for size in SIZES:
        yield Row(f"bulk-{size}", f"one way, {size} bytes, datagrams a second of processor time",
                  BULK, "bulk", str(size), 0.3, "per_cpu")
    for size in SIZES:
        window = min(SHARED_WINDOW[0], SHARED_WINDOW[1] // size)
        yield Row(f"bulk-shared-{size}", f"one way, {size} bytes, {window} on their way, "
                  "datagrams a second of processor time",
                  SHARED, "bulk", f"{size},{window}", 0.3, "per_cpu")
    yield Row("trips-64", "round trip, 64 bytes, µs (median)", TRIPS,
              "trips", "64", 0.3, "p50", less=True)
    yield Row("fair", "round trip of a quiet user beside others, 64 bytes, µs (99 of 100)", FAIR,
              "fair", "", 2, "p99", less=True)
    yield Row("peers-200", "a datagram of 200 bytes of each of 1000 peers in turn, and its answer, "
              "the server's processor time, µs", PEERS, "peers", "200", 0.3, "server_us", less=True)
    for kind in ("ecdsa", "psk"):
        yield Row(f"handshakes-{kind}", f"handshake, {kind}, the server's processor time, µs",
                  SERVERS, "handshakes", kind, 0.5, "server_us", less=True)
    yield Row("handshakes-resumed", "handshake that takes up a session, the server's processor time, µs",
              RESUMING, "handshakes", "resumed", 0.5, "server_us", less=True)
    yield Row("memory-ecdsa", "an idle connection at the server, KiB of its processes and of the kernel", SERVERS,
              "memory", "ecdsa", 500, "kib", less=True)


GOALS = (
    Goal("own channel, one datagram a call, 64 B, × GnuTLS", "bulk-64", "dtlsd", "gnutls", 1.15, 1.3),
    Goal("own channel, one datagram a call, 1200 B, × GnuTLS", "bulk-1200", "dtlsd", "gnutls", 1.0, 1.1),
    Goal("shared channel, 64 B, × GnuTLS", "bulk-shared-64", "dtlsd-shared", "gnutls", 4.0, 4.5),
    Goal("shared channel, 1200 B, × GnuTLS", "bulk-shared-1200", "dtlsd-shared", "gnutls", 2.3, 2.6),
    Goal("shared channel, 64 B, × QDtls", "bulk-shared-64", "dtlsd-shared", "qdtls", 4.3, 5),
    Goal("shared channel, 1200 B, × QDtls", "bulk-shared-1200", "dtlsd-shared", "qdtls", 2.6, 3),
    Goal("1000 peers of one listener, shared channel, 200 B, × GnuTLS", "peers-200", "dtlsd-shared", "gnutls", 1.0, 1.3),
    Goal("round trip p50, own channels, dtlsd at both ends, × QDtls (less is better)", "trips-64", "dtlsd", "qdtls", 1.9, 1.7, less=True),
    Goal("round trip p50, shared channels, dtlsd at both ends, × QDtls (less is better)", "trips-64", "dtlsd-shared", "qdtls", 1.9, 1.7, less=True),
    Goal("ECDSA handshakes, key in the keyring, accept queue, × GnuTLS", "handshakes-ecdsa", "dtlsd", "gnutls", 0.85, 0.95),
    Goal("ECDSA handshakes, key in the keyring, accept queue, × QDtls", "handshakes-ecdsa", "dtlsd", "qdtls", 2.6, 2.9),
    Goal("ECDSA handshakes, key in the keyring, shared channel, × GnuTLS", "handshakes-ecdsa", "dtlsd-shared", "gnutls", 0.85, 0.95),
    Goal("ECDSA handshakes, key in the keyring, shared channel, × QDtls", "handshakes-ecdsa", "dtlsd-shared", "qdtls", 2.6, 2.9),
    Goal("PSK handshakes, key in the keyring, accept queue, × GnuTLS", "handshakes-psk", "dtlsd", "gnutls", 0.5, 0.6),
    Goal("PSK handshakes, key in the keyring, shared channel, × GnuTLS", "handshakes-psk", "dtlsd-shared", "gnutls", 0.5, 0.6),
    Goal("memory an idle connection, own channel, kB (less is better)", "memory-ecdsa", "dtlsd", None, 21, 19, less=True),
    Goal("memory an idle connection, shared channel, kB (less is better)", "memory-ecdsa", "dtlsd-shared", None, 16, 15, less=True),
)
