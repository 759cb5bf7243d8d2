/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A socket of ours, others', and a network of its own for what a machine's cannot show. */

#include "transport/udp.h"

#include <glib.h>
#include <poll.h>

#define WAIT_MSEC 60000 /* limit of any wait */
#define CARS 150        /* more than go as one */

typedef struct Scene {
        Udp *udp;
        DatagramBatch *rx, *net;
} Scene;

void scene_up(Scene *scene, const void *data);
void scene_down(Scene *scene, const void *data);

Address at(const char *text, uint16_t port);
void assert_address(Address address, const char *text);
Udp *bound(const char *text);
bool has_ipv6(void);

/* A plain socket of somebody else. */
int other_new(const char *text, Address *ret);
void other_sends(int fd, const Address *to, const char *text);
void wait_for(int fd, short events);
/* One datagram and where it came from. */
void assert_other_gets(int fd, const char *text, Address *ret_from);

void receive(Scene *scene);
void assert_received(Scene *scene, size_t i, const char *text);
void put(Scene *scene, const Address *peer, const Address *local, const char *text);
/* Each longer than the last, so that the kernel gets them one by one. */
void put_apart(Scene *scene, const Address *peer, size_t n);
void send_all(Scene *scene);
/* All of one size, and each another. */
char *car(int number);
void put_cars(Scene *scene, const Address *peer, int n);

/* An address where nobody is: a socket that was there is closed. */
Address nobody(void);
void run_ip(const char *arguments);
/* Runs @body in a child with a network namespace of its own. */
void in_own_network(void (*body)(Scene *), Scene *scene);
/* A link of which the other end is ours too, but answers nothing. */
void add_link(const char *options);

void add(const char *name, void (*body)(Scene *, const void *));
