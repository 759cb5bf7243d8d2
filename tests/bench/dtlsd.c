/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the ways of dtlsd share, see dtlsd.h.
 *
 * BENCH_CLIENT_BUS, BENCH_SERVER_BUS: the addresses of the buses where the ends' services are.
 */

#include "dtlsd.h"

#include <stdlib.h>
#include <string.h>

BenchKind bench_dtlsd_kind;
bool bench_dtlsd_announces;
sd_bus *bench_dtlsd_bus;

static const char *ciphers[2]; /* one */

void bench_dtlsd_must(int r, const char *what, const sd_bus_error *error) {
        if (r < 0)
                bench_die(what, error && error->message ? error->message : strerror(-r));
}

sd_bus *bench_dtlsd_open_bus(const char *variable) {
        const char *address = getenv(variable);
        sd_bus *opened;

        if (!address)
                bench_die(variable, "is not set");
        bench_dtlsd_must(sd_bus_new(&opened), "bus", NULL);
        bench_dtlsd_must(sd_bus_set_address(opened, address), address, NULL);
        bench_dtlsd_must(sd_bus_set_bus_client(opened, 1), address, NULL);
        bench_dtlsd_must(sd_bus_start(opened), address, NULL);
        return opened;
}

void bench_dtlsd_begin(BenchKind kind, bool server) {
        bench_dtlsd_kind = kind;
        ciphers[0] = bench_cipher(kind);
        bench_dtlsd_bus = bench_dtlsd_open_bus(server ? "BENCH_SERVER_BUS" : "BENCH_CLIENT_BUS");
}

static const char *const curves[] = {"prime256v1", NULL};
static const char *const tickets[] = {NULL}; /* nothing disables them */

static struct dtlsd_options options_of_psk(const dtlsd_channel *channel) {
        return (struct dtlsd_options){
                .ciphers = ciphers,
                .psk_identity = BENCH_PSK_IDENTITY,
                .psk_identity_size = sizeof BENCH_PSK_IDENTITY - 1,
                .psk = BENCH_PSK_KEY,
                .psk_size = sizeof BENCH_PSK_KEY - 1,
                .channel = channel,
        };
}

dtlsd_listener *bench_dtlsd_listen(const dtlsd_channel *channel) {
        char *chain = bench_certificate("server.pem"), *key = bench_certificate("server.key");
        const char *chains[] = {chain, NULL};
        struct dtlsd_options options = {
                .ciphers = ciphers,
                .elliptic_curves = curves,
                .certificate_chain_files = chains,
                .private_key_file = key,
                .peer_verify_mode = "VerifyNone",
                .channel = channel,
                .announce = bench_dtlsd_announces,
        };
        sd_bus_error error = SD_BUS_ERROR_NULL;
        dtlsd_listener *listener;

        if (bench_dtlsd_kind == BENCH_PSK)
                options = options_of_psk(channel);
        else if (bench_dtlsd_kind == BENCH_RESUMED)
                options.ssl_options = tickets;
        bench_dtlsd_must(
                dtlsd_listen(bench_dtlsd_bus, bench_address(), 0, &options, &listener, &error),
                "Listen", &error);
        free(chain);
        free(key);
        return listener;
}

const struct dtlsd_options *bench_dtlsd_client(const dtlsd_channel *channel) {
        static struct dtlsd_options options;
        static const char *cas[2];

        if (bench_dtlsd_kind == BENCH_PSK) {
                options = options_of_psk(channel);
                return &options;
        }

        if (!cas[0])
                cas[0] = bench_certificate("ca.pem");
        options = (struct dtlsd_options){
                .ciphers = ciphers,
                .elliptic_curves = curves,
                .ca_files = cas,
                .verification_name = BENCH_SERVER_NAME,
                .channel = channel,
        };
        return &options;
}
