/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the files of udp see of each other; no other room includes this. */

#include "transport/udp.h"

#include <sys/socket.h>

#define UDP_PACKET_MAX 65535 /* an IP packet, whatever the MTU of a loopback says */

struct Udp {
        int fd;
        Address local;
        Address peer; /* set once connected */
        UdpStats stats;
        int hint;
        size_t car_max; /* the longest datagrams that are joined to trains; 0: none are */
        size_t n_slots; /* packets to take in the next call */
};

/* The control messages of one packet: its local address, and the size of a train's cars. */
typedef union UdpControl {
        struct cmsghdr header; /* for its alignment */
        uint8_t bytes[CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(int))];
} UdpControl;

/* What recvmmsg and sendmmsg work on, prepared on the caller's stack. */
typedef struct UdpRun {
        struct mmsghdr messages[UDP_BATCH_MAX];
        struct iovec places[UDP_BATCH_MAX];
        Address peers[UDP_BATCH_MAX];
        UdpControl controls[UDP_BATCH_MAX];
        size_t n_cars[UDP_BATCH_MAX]; /* to send: datagrams in each */
} UdpRun;

/* Empties the error queue. */
void udp_take_errors(Udp *udp);
/* Whether an error is about the call as such: a bug of ours, whatever the datagrams are. */
bool udp_is_bug(int error);
