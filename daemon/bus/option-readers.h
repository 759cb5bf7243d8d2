/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the files that read options see of each other; nobody else includes this. The readers of
 * single options are for the table in options.c.
 */

#include "bus/private.h"

/* What is read, until all of it is known. @has_…: in this call; what is not may be in the spec all
 * the same, as a default. */
typedef struct Options {
        Spec *spec;
        Address peer_host, local_host;
        uint16_t peer_port, local_port;
        bool has_peer_port;
        bool has_idle_timeout;
        bool inherits_signals; /* a default that an object without a name has no use for */
        bool has_identity, has_chain, has_psk_identity, has_psks;
        bool has_trust, has_ca_certificates;
        bool has_profile, has_ciphers;
        bool has_ticket;
        int private_key_fd, psk_fd; /* the message's, -1: not given */
} Options;

#define MSEC_USEC UINT64_C(1000)
#define IDLE_TIMEOUT_MAX (7 * 86400000ul) /* ms, a week */

/* option-joins.c: refuses what does not go together, and completes the spec. 1 or negative. */
int options_join(Options *options, OptionsFor what, sd_bus_error *error);

/* What comes next in m. 1 or negative. */
int options_read_word(sd_bus_message *m, const char **ret, sd_bus_error *error);

/* Each is a DictRead, with Options as its userdata. */
typedef int OptionReader(sd_bus_message *m, const DictKey *key, void *userdata,
                         sd_bus_error *error);

OptionReader read_bool;
OptionReader read_number;
OptionReader read_milliseconds;
OptionReader read_idle_timeout;
OptionReader read_mtu_hint;
OptionReader read_transport;
OptionReader read_trust;
OptionReader read_verify_mode;
OptionReader read_protocol;
OptionReader read_profile;
OptionReader read_retransmission;
OptionReader read_verification_name;
OptionReader read_peer_address;
OptionReader read_local_address;
OptionReader read_peer_port;
OptionReader read_local_port;
OptionReader read_identity;
OptionReader read_chain;
OptionReader read_ca_certificates;
OptionReader read_ignored;
OptionReader read_ignored_codes;
OptionReader read_ciphers;
OptionReader read_curves;
OptionReader read_ssl_options;
OptionReader read_next_protocols;
OptionReader read_private_key;
OptionReader read_psk;
OptionReader read_psk_identity;
OptionReader read_psk_hint;
OptionReader read_psks;
OptionReader read_dh_parameters;
OptionReader read_session_ticket;
OptionReader read_cookie_hash;
OptionReader read_cookie_secret;
OptionReader read_shares; /* share.c */
