/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Crowd, see crowd.h. */

#include "crowd.h"

#include "bench.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#define FIRST_ADDRESS 0x7f010001u /* 127.1.0.1 */

typedef union Control {
        struct cmsghdr header; /* for its alignment */
        char bytes[CMSG_SPACE(sizeof(struct in_pktinfo))];
} Control;

static int fd = -1;
static uint32_t n_peers;
static struct sockaddr_in server;

static void open_socket(uint16_t port) {
        const struct sockaddr_in any = {.sin_family = AF_INET};
        const int one = 1;

        fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0 || setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &one, sizeof one) < 0 ||
            bind(fd, (const struct sockaddr *)&any, sizeof any) < 0)
                bench_die("crowd", strerror(errno));

        bench_widen(fd);
        server = (struct sockaddr_in){
                .sin_family = AF_INET,
                .sin_port = htons(port),
                .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
        };
}

uint32_t crowd_join(uint16_t port) {
        if (fd < 0)
                open_socket(port);

        return n_peers++;
}

int crowd_fd(void) {
        return fd;
}

void crowd_send(uint32_t peer, const void *data, size_t size) {
        const struct in_pktinfo from = {.ipi_spec_dst.s_addr = htonl(FIRST_ADDRESS + peer)};
        Control control = {.header = {CMSG_LEN(sizeof from), IPPROTO_IP, IP_PKTINFO}};
        struct iovec iovec = {(void *)data, size};
        const struct msghdr message = {
                .msg_name = &server,
                .msg_namelen = sizeof server,
                .msg_iov = &iovec,
                .msg_iovlen = 1,
                .msg_control = control.bytes,
                .msg_controllen = sizeof control.bytes,
        };

        memcpy(CMSG_DATA(&control.header), &from, sizeof from);
        if (sendmsg(fd, &message, 0) < 0)
                bench_die("crowd", strerror(errno));
}

ssize_t crowd_receive(uint32_t *ret_peer, void *buffer, size_t size) {
        Control control;
        struct iovec iovec = {buffer, size};
        struct msghdr message = {
                .msg_iov = &iovec,
                .msg_iovlen = 1,
                .msg_control = control.bytes,
                .msg_controllen = sizeof control.bytes,
        };
        struct in_pktinfo to;
        ssize_t n = recvmsg(fd, &message, 0);

        if (n < 0)
                return -1;

        memcpy(&to, CMSG_DATA(&control.header), sizeof to);
        *ret_peer = ntohl(to.ipi_addr.s_addr) - FIRST_ADDRESS;
        if (message.msg_controllen < CMSG_LEN(sizeof to) || *ret_peer >= n_peers)
                bench_die("crowd", "a datagram for nobody");
        return n;
}
