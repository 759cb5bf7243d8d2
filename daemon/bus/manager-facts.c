/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The Manager's properties, see manager.c: each getter shows one fact. */

#include "base/memfd.h"
#include "base/terms.h"
#include "bus/private.h"

static int append_strings(sd_bus_message *reply, const char *const *strings) {
        return sd_bus_message_append_strv(reply, (char **)strings);
}

int get_version(sd_bus *b, const char *path, const char *interface, const char *property,
                sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        return append_text(reply, DTLSD_VERSION);
}

int get_features(sd_bus *b, const char *path, const char *interface, const char *property,
                 sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        static const char *const features[] = {"CertificateVerification",
                                               "ClientSideAlpn",
                                               "ServerSideAlpn",
                                               "Psk",
                                               "SessionTicket",
                                               "Alerts",
                                               "AcceptQueue",
                                               "PlainChannel",
                                               "SharedChannel",
                                               "Persistent",
                                               "ClientVerifier",
                                               "ExternalTransport",
                                               NULL};

        return append_strings(reply, features);
}

int get_supported_ciphers(sd_bus *b, const char *path, const char *interface, const char *property,
                          sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        return append_strings(reply, session_supported_ciphers());
}

int get_supported_curves(sd_bus *b, const char *path, const char *interface, const char *property,
                         sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        return append_strings(reply, session_supported_curves());
}

int get_supported_protocols(sd_bus *b, const char *path, const char *interface,
                            const char *property, sd_bus_message *reply, void *userdata,
                            sd_bus_error *error) {
        const char *names[N_DTLS_PROTOCOLS + 1] = {NULL};

        for (DtlsProtocol protocol = 0; protocol < N_DTLS_PROTOCOLS; protocol++)
                names[protocol] = dtls_protocol_name(protocol);

        return append_strings(reply, names);
}

int get_supported_hashes(sd_bus *b, const char *path, const char *interface, const char *property,
                         sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        return append_strings(reply, cookie_hashes);
}

static int append_quota(sd_bus_message *reply, QuotaKind kind, const char *suffix, uint64_t value) {
        g_autofree char *key = g_strconcat(quota_kind_name(kind), suffix, NULL);

        return sd_bus_message_append(reply, "{st}", key, value);
}

int get_limits(sd_bus *b, const char *path, const char *interface, const char *property,
               sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Bus *bus = bus_of(b);
        const Caller *caller = caller_current(bus);
        Counters others = {
                .at = {{"DatagramSize", SESSION_PAYLOAD_MAX},
                       {"PskIdentitySize", SESSION_PSK_IDENTITY_MAX},
                       {"PskSize", SESSION_PSK_KEY_MAX},
                       {"SecretSize", MEMFD_SECRET_MAX},
                       {"ListPage", LIST_PAGE_MAX}},
                .n = 5,
        };
        int r;

        r = sd_bus_message_open_container(reply, 'a', "{st}");
        for (QuotaKind kind = 0; r >= 0 && kind < N_QUOTA_KINDS; kind++) {
                r = append_quota(reply, kind, "PerUser",
                                 quota_limit(bus->quota, caller ? caller->uid : 0, kind));
                if (r >= 0 && !quota_kind_is_rate(kind))
                        r = append_quota(reply, kind, "Total", quota_limit_total(bus->quota, kind));
        }
        if (r >= 0)
                r = append_counters(reply, &others);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

int get_service_statistics(sd_bus *b, const char *path, const char *interface, const char *property,
                           sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Bus *bus = bus_of(b);
        Counters counters = relay_counters(bus->relay);
        int r;

        r = sd_bus_message_open_container(reply, 'a', "{st}");
        if (r >= 0)
                r = append_counters(reply, &counters);
        for (QuotaKind kind = 0; r >= 0 && kind < N_QUOTA_KINDS; kind++) {
                if (!quota_kind_is_rate(kind))
                        r = append_quota(reply, kind, "InUse", quota_used_total(bus->quota, kind));
                if (r >= 0)
                        r = append_quota(reply, kind, "Refused", quota_refused(bus->quota, kind));
        }
        return r < 0 ? r : sd_bus_message_close_container(reply);
}
