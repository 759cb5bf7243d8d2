# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who says hello to a listener and no more: many peers, with addresses in 127/8, of one socket."""

import os
import socket
import struct
import time

BURST = 50
WAIT_SECONDS = 0.2
TRIES = 5
IP_PKTINFO = 8  # which socket does not name
PKTINFO = "=I4s4s"  # its index, spec_dst, addr


def number(value, size):
    return value.to_bytes(size, "big")


def extension(kind, body):
    return number(kind, 2) + number(len(body), 2) + body


EXTENSIONS = (extension(10, b"\0\2\0\x17")        # P-256
              + extension(11, b"\1\0")            # its points as they are
              + extension(13, b"\0\2\4\3"))       # ECDSA with SHA-256


def hello(cookie):
    body = b"\xfe\xfd" + os.urandom(32) + b"\0" + number(len(cookie), 1) + cookie
    body += b"\0\2\xc0\x2b\1\0" + number(len(EXTENSIONS), 2) + EXTENSIONS
    is_second = number(1 if cookie else 0, 2)
    message = b"\1" + number(len(body), 3) + is_second + number(0, 3) + number(len(body), 3) + body
    return b"\x16\xfe\xff" + bytes(6) + is_second + number(len(message), 2) + message


def cookie_of(answer):
    """Of a HelloVerifyRequest; None: it is none."""
    if len(answer) < 29 or answer[0] != 22 or answer[13] != 3:
        return None
    return answer[28:28 + answer[27]]


class Strangers:
    def __init__(self):
        self.end = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.end.bind(("0.0.0.0", 0))
        self.end.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
        self.cookies = {}

    def send(self, port, who, datagram):
        source = struct.pack(PKTINFO, 0, number(0x7F010000 + who, 4), bytes(4))
        try:
            self.end.sendmsg([datagram], [(socket.IPPROTO_IP, IP_PKTINFO, source)], 0,
                             ("127.0.0.1", port))
        except OSError:
            pass  # an error of the network, of an earlier one

    def say_hello(self, port, who):
        self.send(port, who, hello(self.cookies.get(who, b"")))

    def repeat(self, port, datagram):
        """As fast as it goes, of one peer."""
        try:
            self.end.sendto(datagram, ("127.0.0.1", port))
        except OSError:
            pass

    def hear(self):
        """Cookies, for a while."""
        until, n = time.monotonic() + WAIT_SECONDS, 0
        while n < BURST and time.monotonic() < until:
            self.end.settimeout(WAIT_SECONDS)
            try:
                answer, said, _, _ = self.end.recvmsg(2048, 128)
            except OSError:
                continue
            cookie = cookie_of(answer)
            for level, kind, data in said:
                if cookie and (level, kind) == (socket.IPPROTO_IP, IP_PKTINFO):
                    who = int.from_bytes(struct.unpack_from(PKTINFO, data)[2], "big") - 0x7F010000
                    self.cookies[who] = cookie
                    n += 1
        self.end.settimeout(None)

    def return_cookies(self, port, n):
        """Each of @n asks for a cookie and returns it."""
        for first in range(0, n, BURST):
            some = range(first, min(first + BURST, n))
            for _ in range(TRIES):
                missing = [who for who in some if who not in self.cookies]
                for who in missing:
                    self.say_hello(port, who)
                if missing:
                    self.hear()
            for who in some:
                self.say_hello(port, who)
