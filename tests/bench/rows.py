# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is measured, by which ways, and what it is to reach."""

from dataclasses import dataclass, field
from typing import Callable

SIZES = (16, 64, 200, 1200)
IN_PROCESS = ("gnutls", "openssl", "qdtls")
RECORDS = "-records"  # behind dtlsd's ways: all records go through GnuTLS's record layer
BULK = ("udp", "udp-gso", "gnutls-gso", *IN_PROCESS, "dtlsd", "dtlsd" + RECORDS)
SHARED = ("gnutls-gso", "gnutls", "qdtls", "dtlsd-shared", "dtlsd-shared" + RECORDS)
VETH = ("gnutls", "dtlsd", "dtlsd-shared")
SHARED_WINDOW = 512, 320 * 1024  # datagrams and bytes on their way: what a shared channel holds
TRIPS = ("udp", *IN_PROCESS, "dtlsd", "dtlsd-shared", "dtlsd-client", "dtlsd-server")
PERCENTS = (1, 5, 10, 25, 50, 75, 90, 95, 99, 99.9)  # of the loop "trips"
FAIR = ("alone", "bulk", "handshakes", "hellos", "listeners", "half-open")  # beside whom
FLOODS = ("bulk-alone", "bulk-hellos", "bulk-garbage", "bulk-cookies")
SERVERS = (*IN_PROCESS, "dtlsd", "dtlsd-shared")
CLIENTS = tuple(way + "-client" for way in SERVERS)
READERS = {f"dtlsd-readers-{n}": n for n in (1, 2, 5)}
APPS = ("dtlsd-shared-1", "dtlsd-shared-100")  # so many
PEERS = (100, 1000, 8000)  # twice as many sockets, in 20,000
SHORT = {100: 0.1, 1000: 0.1, 8000: 0}  # Row.short
GNUTLS = ("gnutls", "dtlsd", "dtlsd-shared")
AT_ONCE = 8  # clients

BOTH = "both ends', and all that serves them"
SERVER = "the server's, and all that serves it"
CLIENT = "the client's, and all that serves it"

REST = "[Rest]\nSubjects=any\nVerdict=allow\nMay=rest-psk\n"


@dataclass
class Row:
    """One loop, run by several ways. @key: the figure that its table shows."""

    name: str
    title: str
    ways: tuple
    loop: str
    argument: str
    amount: float
    key: str
    counted: str = BOTH  # whose processor time, or memory, it is
    rules: str = ""  # of the server's service
    fresh: bool = False  # by services in which nothing was before
    veth: bool = False  # each end is in a network namespace, which takes root
    once: bool = False  # in the first round alone: it has rounds of its own, or does not vary
    limit: int = 60  # seconds that one way may take
    short: float = 0.1  # so much of @amount in the short form; 0: it is left out there
    rounds: list = field(default_factory=list)  # of {way: {key: value}}

    def values(self, way, key=None):
        key = key or self.key
        return [found[way][key] for found in self.rounds if key in found.get(way, {})]


@dataclass
class Goal:
    """What must be, and what is aimed at; None: it is shown. @value makes it of a round's figures,
    {way: {key: value}}. @less: less is better."""

    title: str
    row: str
    value: Callable
    must: float | None
    aim: float | None
    less: bool = False
    exact: bool = False  # a count, or a time of which one is enough: no noise to be beyond


def rate(way, other, key="per_cpu"):
    return lambda found: found[way][key] / found[other][key]


def cost(way, other, key="server_us"):
    """How many times more can be had of it."""
    return lambda found: found[other][key] / found[way][key]


def longer(way, other, key="p50"):
    return lambda found: found[way][key] / found[other][key]


def figure(way, key, factor=1):
    return lambda found: found[way][key] * factor


def kilobytes(way):
    return figure(way, "kib", 1.024)


def each_more(ways, key="per_cpu"):
    """What one more of them costs, µs, from the least number to the greatest."""
    few, many = min(ways, key=ways.get), max(ways, key=ways.get)
    return lambda found: (1e6 / found[many][key] - 1e6 / found[few][key]) / (ways[many] - ways[few])


def share(way, key, other):
    return lambda found: found[way][key] / found[way][other]


def rows():
    for size in SIZES:
        yield Row(f"bulk-{size}", f"One way, {size} bytes, datagrams a second of processor time",
                  BULK, "bulk", str(size), 0.3, "per_cpu")
    for size in SIZES:
        window = min(SHARED_WINDOW[0], SHARED_WINDOW[1] // size)
        yield Row(f"bulk-shared-{size}", f"One way, {size} bytes, {window} on their way, "
                  "datagrams a second of processor time",
                  SHARED, "bulk", f"{size},{window}", 0.3, "per_cpu")
    yield Row("bulk-veth-1200", "One way, 1200 bytes, over a veth without UDP segmentation, datagrams a second of "
              "processor time", VETH, "bulk", "1200", 0.3, "per_cpu", veth=True)
    yield Row("readers-64", "One way, 64 bytes, to a connection that 1, 2 or 5 programs read, datagrams a "
              "second of processor time", tuple(READERS), "bulk", "64", 0.3, "per_cpu")
    yield Row("trips-64", "Round trip, 64 bytes, µs (median)", TRIPS, "trips", "64", 0.3, "p50")
    yield Row("fair", "Round trip of a quiet user beside others, 64 bytes, µs (99 of 100)",
              tuple(way for way in FAIR if way != "listeners"), "fair", "", 2, "p99", limit=240)
    yield Row("fair-listeners", "The same beside 60 flooded listeners", ("alone", "listeners"), "fair", "", 2,
              "p99", limit=240)
    yield Row("flood", "One way, 1200 bytes, to a listener that hears 50,000 datagrams a second beside, "
              "datagrams a second", FLOODS, "fair", "", 2, "rate", limit=240)
    for n in PEERS:
        yield Row(f"peers-{n}", f"A datagram of 200 bytes of each of {n} peers in turn, and its answer, µs",
                  GNUTLS, "peers", f"200,psk,{n}", 0.3, "server_us", SERVER, fresh=True, short=SHORT[n])
    for kind, ways in (("ecdsa", (*SERVERS, "dtlsd-announced")), ("rsa", SERVERS), ("psk", SERVERS)):
        yield Row(f"handshakes-{kind}", f"Handshake, {kind}, µs", ways, "handshakes", kind, 0.5,
                  "server_us", SERVER)
    yield Row("handshakes-psk-resting", "Handshake, psk, whose key rests in the listener, µs", GNUTLS,
              "handshakes", "psk", 0.5, "server_us", SERVER, REST)
    for kind, ways in (("ecdsa", ("gnutls", "qdtls", "dtlsd", "dtlsd-shared")), ("psk", GNUTLS)):
        yield Row(f"handshakes-{kind}-{AT_ONCE}", f"Handshake, {kind}, of {AT_ONCE} clients at once, µs", ways,
                  "handshakes", f"{kind},{AT_ONCE}", 0.5, "server_us", SERVER)
    yield Row("handshakes-resumed", "Handshake that takes up a session, µs", GNUTLS, "handshakes",
              "resumed", 0.5, "server_us", SERVER)
    yield Row("connects", "Connection of a client, with a socket of its own, ecdsa, µs", CLIENTS,
              "connects", "ecdsa", 0.5, "client_us", CLIENT)
    yield Row("memory-ecdsa", "An idle connection, KiB of processes and kernel", SERVERS, "memory",
              "ecdsa", 500, "kib", SERVER, fresh=True)
    yield Row("memory-half-open", "A peer that has returned its cookie and says no more, KiB of the processes",
              ("half-open",), "fair", "", 0.5, "kib", SERVER, fresh=True, limit=240)
    for n in PEERS:
        yield Row(f"memory-{n}", f"One of {n} idle connections, KiB of processes and kernel", GNUTLS,
                  "memory", "psk", n, "kib", SERVER, fresh=True, short=SHORT[n])
    yield Row("calls-200", "A call with 200 bytes on the bus, µs", ("dtlsd-empty-client", "dtlsd-bus-client"), "calls",
              "200,psk", 0.3, "client_us", CLIENT)
    yield Row("start", "From the start to the name on the bus, ms", ("service",), "start", "", 1,
              "start_ms", SERVER, fresh=True)
    yield Row("objects", "GetManagedObjects with 10,000 objects of one's own, ms", ("service",), "objects", "",
              10000, "objects_ms", SERVER, fresh=True, once=True)
    yield Row("apps", "Applications with 10 connections each, shared channels, µs a datagram of 64 bytes "
              "and its answer", APPS, "apps", "64,psk,", 0.5, "all_us", fresh=True)
    yield Row("scale", "100,000 connections of one listener, in turn, µs", ("dtlsd-shared",), "scale",
              "200,psk", 100000, "all_us", SERVER, fresh=True, once=True, limit=400, short=0.02)
    yield Row("idle", "Wake-ups of the services in a minute, with 1000 idle connections", ("dtlsd",), "idle",
              "psk,1000", 60, "wakeups", SERVER, fresh=True, once=True, limit=200, short=0.05)


# Channels are said, and connections are not announced on the bus unless it is said.
GOALS = (
    Goal("own channel, one datagram a call, 64 B, × GnuTLS", "bulk-64", rate("dtlsd", "gnutls"), 1.15, 1.3),
    Goal("own channel, one datagram a call, 1200 B, × GnuTLS", "bulk-1200", rate("dtlsd", "gnutls"), 1.0, 1.1),
    Goal("shared channel, 64 B, × GnuTLS", "bulk-shared-64", rate("dtlsd-shared", "gnutls"), 4.0, 6),
    Goal("shared channel, 1200 B, × GnuTLS", "bulk-shared-1200", rate("dtlsd-shared", "gnutls"), 2.3, 3.5),
    Goal("shared channel, 64 B, × all records through GnuTLS's record layer", "bulk-shared-64", rate("dtlsd-shared", "dtlsd-shared" + RECORDS), None, None),
    Goal("shared channel, 1200 B, × all records through GnuTLS's record layer", "bulk-shared-1200", rate("dtlsd-shared", "dtlsd-shared" + RECORDS), None, None),
    Goal("shared channel, 64 B, × QDtls", "bulk-shared-64", rate("dtlsd-shared", "qdtls"), 4.3, 5),
    Goal("shared channel, 1200 B, × QDtls", "bulk-shared-1200", rate("dtlsd-shared", "qdtls"), 2.6, 3),
    Goal("over a veth without UDP segmentation, shared channel, 1200 B, × GnuTLS", "bulk-veth-1200", rate("dtlsd-shared", "gnutls"), 1.0, 1.2),
    Goal("1000 peers of one listener, shared channel, 200 B, × GnuTLS", "peers-1000", cost("dtlsd-shared", "gnutls"), 1.0, 1.3),
    Goal("one more reader of a shared connection, own channels, 64 B, µs", "readers-64", each_more(READERS), None, 0.3, less=True),
    Goal("round trip p50, own channels, dtlsd at both ends, time × QDtls", "trips-64", longer("dtlsd", "qdtls"), 1.9, 1.7, less=True),
    Goal("round trip p50, shared channels, dtlsd at both ends, time × QDtls", "trips-64", longer("dtlsd-shared", "qdtls"), 1.9, 1.7, less=True),
    Goal("round trip p50, own channel, dtlsd at the client's end, time × QDtls", "trips-64", longer("dtlsd-client", "qdtls"), 1.2, 1.1, less=True),
    Goal("round trip p50, own channel, dtlsd at the server's end, time × QDtls", "trips-64", longer("dtlsd-server", "qdtls"), 1.2, 1.1, less=True),
    *(Goal(f"round trip p99, own channels, beside {who}, × alone", "fair", longer(who, "alone", "p99"), None, 3, less=True)
      for who in ("bulk", "handshakes")),
    Goal("ECDSA handshakes, key in the keyring, accept queue, × GnuTLS", "handshakes-ecdsa", cost("dtlsd", "gnutls"), 0.85, 0.95),
    Goal("ECDSA handshakes, key in the keyring, accept queue, × QDtls", "handshakes-ecdsa", cost("dtlsd", "qdtls"), 2.6, 2.9),
    Goal("ECDSA handshakes, key in the keyring, shared channel, × GnuTLS", "handshakes-ecdsa", cost("dtlsd-shared", "gnutls"), 0.85, 0.95),
    Goal("ECDSA handshakes, key in the keyring, shared channel, × QDtls", "handshakes-ecdsa", cost("dtlsd-shared", "qdtls"), 2.6, 2.9),
    Goal("the same, an object each announced on the bus, × GnuTLS", "handshakes-ecdsa", cost("dtlsd-announced", "gnutls"), None, 0.8),
    *(Goal(f"ECDSA handshakes of {AT_ONCE} clients at once, {channel}, × {name}", f"handshakes-ecdsa-{AT_ONCE}", cost(way, other), None, None)
      for channel, way in (("accept queue", "dtlsd"), ("shared channel", "dtlsd-shared"))
      for name, other in (("GnuTLS", "gnutls"), ("QDtls", "qdtls"))),
    Goal("RSA-2048 handshakes, key in the keyring, shared channel, × GnuTLS", "handshakes-rsa", cost("dtlsd-shared", "gnutls"), None, 0.95),
    Goal("resumed handshakes, shared channel, × GnuTLS", "handshakes-resumed", cost("dtlsd-shared", "gnutls"), None, 0.7),
    Goal("PSK handshakes, key in the keyring, accept queue, × GnuTLS", "handshakes-psk", cost("dtlsd", "gnutls"), 0.5, 0.6),
    Goal("PSK handshakes, key in the keyring, shared channel, × GnuTLS", "handshakes-psk", cost("dtlsd-shared", "gnutls"), 0.5, 0.6),
    Goal("PSK handshakes, key in the listener, accept queue, × GnuTLS", "handshakes-psk-resting", cost("dtlsd", "gnutls"), 0.7, 0.8),
    Goal("PSK handshakes, key in the listener, shared channel, × GnuTLS", "handshakes-psk-resting", cost("dtlsd-shared", "gnutls"), 0.7, 0.8),
    *(Goal(f"PSK handshakes of {AT_ONCE} clients at once, key in the keyring, {channel}, × GnuTLS", f"handshakes-psk-{AT_ONCE}", cost(way, "gnutls"), None, None)
      for channel, way in (("accept queue", "dtlsd"), ("shared channel", "dtlsd-shared"))),
    Goal("client connections, one socket each, own channel, × GnuTLS", "connects", cost("dtlsd-client", "gnutls-client", "client_us"), None, 0.8),
    Goal("client connections, one socket each, shared channel, × GnuTLS", "connects", cost("dtlsd-shared-client", "gnutls-client", "client_us"), None, 0.8),
    Goal("memory an idle connection, own channel, kB", "memory-ecdsa", kilobytes("dtlsd"), 21, 19, less=True),
    Goal("memory an idle connection, shared channel, kB", "memory-ecdsa", kilobytes("dtlsd-shared"), 16, 15, less=True),
    Goal("memory a half-open peer after its cookie, kB", "memory-half-open", kilobytes("half-open"), 32, 24, less=True),
    Goal("round trip p99 of a quiet user beside 10,000 half-open handshakes, × alone", "fair", longer("half-open", "alone", "p99"), None, 3, less=True),
    Goal("the same, beside 60 listeners of another user's that are flooded with good cookies", "fair-listeners", longer("listeners", "alone", "p99"), None, 3, less=True),
    Goal("bulk kept beside 50,000 ClientHellos a second without a cookie", "flood", rate("bulk-hellos", "bulk-alone", "rate"), 0.5, 0.7),
    Goal("bulk kept beside 50,000 datagrams of noise a second", "flood", rate("bulk-garbage", "bulk-alone", "rate"), 0.5, 0.7),
    Goal("bulk kept beside 50,000 ClientHellos a second with good cookies", "flood", rate("bulk-cookies", "bulk-alone", "rate"), 0.5, 0.7),
    Goal("100,000 connections of one listener, shared channel: how many answered within a second", "scale", share("dtlsd-shared", "answered", "made"), 1, None, exact=True),
    Goal("a datagram of 100 of them in turn, cost × with no others", "scale", figure("dtlsd-shared", "some_times"), None, 1.3, less=True),
    Goal("a datagram of all of them in turn, cost × with 100", "scale", figure("dtlsd-shared", "all_times"), None, 1.3, less=True),
    Goal("the longest answer of ListConnections there, ms", "scale", figure("dtlsd-shared", "page_ms"), None, 1000, less=True, exact=True),
    Goal("100 applications with 10 connections each, shared channels, × one of them", "apps", cost("dtlsd-shared-100", "dtlsd-shared-1", "all_us"), None, 0.8),
    Goal("the same, fairness (Jain's index)", "apps", figure("dtlsd-shared-100", "fairness"), None, None),
    Goal("the same, p99 of ten round trips at once, ms", "apps", figure("dtlsd-shared-100", "p99", 1e-3), None, None),
    Goal("WriteDatagramEncrypted, 200 B, × an empty method of the same bus", "calls-200", cost("dtlsd-bus-client", "dtlsd-empty-client", "client_us"), 0.8, 0.9),
    Goal("GetManagedObjects answers with 10,000 own objects", "objects", figure("service", "objects"), 1, None, exact=True),
    Goal("the same, ms", "objects", figure("service", "objects_ms"), None, 1000, less=True, exact=True),
    Goal("wake-ups in a minute with 1000 idle connections", "idle", figure("dtlsd", "wakeups"), 2, 0, less=True, exact=True),
    Goal("from the start to the name on the bus, ms", "start", figure("service", "start_ms"), 100, 50, less=True),
    Goal("memory of both processes without connections (PSS), MB", "start", figure("service", "kib", 1.024e-3), 14, 10, less=True),
)
