/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the ways of dtlsd share: a bus and the options that everybody here has. */

#include "bench.h"

#include <dtlsd-client.h>

extern const BenchWay bench_dtlsd;        /* a channel for each connection */
extern const BenchWay bench_dtlsd_shared; /* one channel for all that an end has */
extern const BenchWay bench_dtlsd_empty;  /* a client of something else on the same bus */

/* A server whose connection so many programs read. */
const BenchWay *bench_dtlsd_find_readers(uint32_t n);

extern BenchKind bench_dtlsd_kind;
extern bool bench_dtlsd_announces; /* a listener's connections on a shared channel, too */
extern sd_bus *bench_dtlsd_bus;

sd_bus *bench_dtlsd_open_bus(const char *variable);
/* How long it takes to list what the server's service has, and how much that is. */
void bench_dtlsd_look(void);
void bench_dtlsd_begin(BenchKind kind, bool server);
void bench_dtlsd_must(int r, const char *what, const sd_bus_error *error);
/* @channel: NULL, or what its connections share. */
dtlsd_listener *bench_dtlsd_listen(const dtlsd_channel *channel);
/* Options of a client, good until the next call. */
const struct dtlsd_options *bench_dtlsd_client(const dtlsd_channel *channel);
