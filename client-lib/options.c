/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Options of the C interface as the a{sv} of the bus.
 */

#include "private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int append_string(sd_bus_message *m, const char *key, const char *value) {
        return value ? sd_bus_message_append(m, "{sv}", key, "s", value) : 0;
}

static int append_number(sd_bus_message *m, const char *key, uint32_t value) {
        return value ? sd_bus_message_append(m, "{sv}", key, "u", value) : 0;
}

static int append_flag(sd_bus_message *m, const char *key, int value) {
        return sd_bus_message_append(m, "{sv}", key, "b", value);
}

static int open_entry(sd_bus_message *m, const char *key, const char *type) {
        int r;

        r = sd_bus_message_open_container(m, 'e', "sv");
        if (r >= 0)
                r = sd_bus_message_append(m, "s", key);
        return r < 0 ? r : sd_bus_message_open_container(m, 'v', type);
}

static int close_entry(sd_bus_message *m) {
        int r;

        r = sd_bus_message_close_container(m);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

int dtlsd_bytes_append(sd_bus_message *m, const char *key, const void *data, size_t size) {
        int r;

        r = open_entry(m, key, "ay");
        if (r >= 0)
                r = sd_bus_message_append_array(m, 'y', data, size);
        return r < 0 ? r : close_entry(m);
}

int dtlsd_names_append(sd_bus_message *m, const char *key, const char *const *names) {
        int r;

        if (!names)
                return 0;

        r = open_entry(m, key, "as");
        if (r >= 0)
                r = sd_bus_message_append_strv(m, (char **)names);
        return r < 0 ? r : close_entry(m);
}

static int append_file(sd_bus_message *m, const char *path, sd_bus_error *error) {
        uint8_t *data = NULL;
        size_t size = 0;
        int r;

        r = dtlsd_file_read(path, &data, &size, error);
        if (r < 0)
                return r;

        r = sd_bus_message_append_array(m, 'y', data, size);
        free(data);
        return r;
}

static int append_file_bytes(sd_bus_message *m, const char *key, const char *path,
                             sd_bus_error *error) {
        int r;

        if (!path)
                return 0;

        r = open_entry(m, key, "ay");
        if (r >= 0)
                r = append_file(m, path, error);
        return r < 0 ? r : close_entry(m);
}

int dtlsd_files_append(sd_bus_message *m, const char *const *paths, sd_bus_error *error) {
        int r;

        r = sd_bus_message_open_container(m, 'a', "ay");
        for (size_t i = 0; r >= 0 && paths && paths[i]; i++)
                r = append_file(m, paths[i], error);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

int dtlsd_files_entry_append(sd_bus_message *m, const char *key, const char *const *paths,
                             sd_bus_error *error) {
        int r;

        if (!paths)
                return 0;

        r = open_entry(m, key, "aay");
        if (r >= 0)
                r = dtlsd_files_append(m, paths, error);
        return r < 0 ? r : close_entry(m);
}

static int append_protocols(sd_bus_message *m, const char *const *names) {
        int r;

        if (!names)
                return 0;

        r = open_entry(m, "NextProtocols", "aay");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "ay");
        for (size_t i = 0; r >= 0 && names[i]; i++)
                r = sd_bus_message_append_array(m, 'y', names[i], strlen(names[i]));
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return r < 0 ? r : close_entry(m);
}

int dtlsd_secret_append(sd_bus_message *m, const char *key, const void *data, size_t size) {
        int fd, r;

        fd = dtlsd_secret_memfd(data, size);
        if (fd < 0)
                return fd;

        r = sd_bus_message_append(m, "{sv}", key, "h", fd);
        (void)close(fd);
        return r;
}

int dtlsd_secret_file_append(sd_bus_message *m, const char *key, const char *path, bool is_line,
                             sd_bus_error *error) {
        uint8_t *data = NULL;
        size_t size = 0;
        int r;

        if (!path)
                return 0;

        r = dtlsd_file_read(path, &data, &size, error);
        if (r < 0)
                return r;

        r = dtlsd_secret_append(m, key, data,
                                size - (is_line && size > 0 && data[size - 1] == '\n'));
        explicit_bzero(data, size);
        free(data);
        return r;
}

static int append_credentials(sd_bus_message *m, const struct dtlsd_options *options,
                              sd_bus_error *error) {
        int r;

        r = dtlsd_files_entry_append(m, "CertificateChain", options->certificate_chain_files,
                                     error);
        if (r >= 0)
                r = dtlsd_secret_file_append(m, "PrivateKey", options->private_key_file,
                                             /* is_line= */ false, error);
        if (r >= 0)
                r = append_string(m, "Identity", options->identity);
        if (r >= 0)
                r = dtlsd_files_entry_append(m, "CaCertificates", options->ca_files, error);
        if (r >= 0 && options->psk_identity)
                r = dtlsd_bytes_append(m, "PreSharedKeyIdentity", options->psk_identity,
                                       options->psk_identity_size);
        if (r >= 0 && options->psk)
                r = dtlsd_secret_append(m, "PreSharedKey", options->psk, options->psk_size);
        if (r >= 0)
                r = dtlsd_names_append(m, "Psks", options->psks);
        return r;
}

static int append_peer(sd_bus_message *m, const char *address, uint16_t port) {
        if (!address && !port)
                return 0;

        return sd_bus_message_append(m, "{sv}{sv}", "PeerAddress", "s", address, "PeerPort", "q",
                                     port);
}

static int append_local(sd_bus_message *m, const struct dtlsd_options *options) {
        int r;

        r = append_string(m, "LocalAddress", options->local_address);
        if (r >= 0 && options->local_port)
                r = sd_bus_message_append(m, "{sv}", "LocalPort", "q", options->local_port);
        if (r >= 0)
                r = append_string(m, "VerificationName", options->verification_name);
        return r;
}

static int append_listener(sd_bus_message *m, const struct dtlsd_options *options,
                           sd_bus_error *error) {
        const char *hint = options->psk_identity_hint;
        int r = 0;

        if (hint)
                r = dtlsd_bytes_append(m, "PskIdentityHint", hint, strlen(hint));
        if (r >= 0 && options->no_cookies)
                r = append_flag(m, "CookieVerification", 0);
        return r < 0 ? r : append_file_bytes(m, "DhParameters", options->dh_parameters_file, error);
}

static int append_cookies(sd_bus_message *m, const struct dtlsd_options *options) {
        int r;

        r = append_string(m, "CookieHash", options->cookie_hash);
        if (r >= 0 && options->cookie_secret)
                r = dtlsd_secret_append(m, "CookieSecret", options->cookie_secret,
                                        options->cookie_secret_size);
        return r;
}

static int append_ignored_errors(sd_bus_message *m, const struct dtlsd_options *options) {
        int r = 0;

        if (options->n_ignored_errors > 0) {
                r = open_entry(m, "IgnoredErrors", "a(say)");
                if (r >= 0)
                        r = dtlsd_verification_errors_append(m, options->ignored_errors,
                                                             options->n_ignored_errors);
                if (r >= 0)
                        r = close_entry(m);
        }
        return r < 0 ? r
                     : dtlsd_names_append(m, "IgnoredErrorsOfAnyCertificate",
                                          options->ignored_errors_of_any_certificate);
}

static int append_verification(sd_bus_message *m, const struct dtlsd_options *options) {
        int r;

        r = append_string(m, "Trust", options->trust);
        if (r >= 0)
                r = append_string(m, "PeerVerifyMode", options->peer_verify_mode);
        if (r >= 0)
                r = append_number(m, "PeerVerifyDepth", options->peer_verify_depth);
        if (r >= 0 && options->no_interrupt_on_error)
                r = append_flag(m, "HandshakeMustInterruptOnError", 0);
        if (r >= 0 && options->missing_certificate_is_fatal)
                r = append_flag(m, "MissingCertificateIsFatal", 1);
        return r < 0 ? r : append_ignored_errors(m, options);
}

static int append_choice(sd_bus_message *m, const struct dtlsd_options *options) {
        int r;

        r = append_string(m, "Protocol", options->protocol);
        if (r >= 0)
                r = append_string(m, "CipherProfile", options->cipher_profile);
        if (r >= 0)
                r = dtlsd_names_append(m, "Ciphers", options->ciphers);
        if (r >= 0)
                r = dtlsd_names_append(m, "EllipticCurves", options->elliptic_curves);
        if (r >= 0)
                r = dtlsd_names_append(m, "SslOptions", options->ssl_options);
        return r < 0 ? r : append_protocols(m, options->next_protocols);
}

static int append_times(sd_bus_message *m, const struct dtlsd_options *options) {
        int r;

        r = append_number(m, "RetransmitInitial", options->retransmit_initial);
        if (r >= 0)
                r = append_number(m, "RetransmitMax", options->retransmit_max);
        if (r >= 0)
                r = append_number(m, "HandshakeDeadline", options->handshake_deadline);
        if (r >= 0)
                r = append_number(m, "AnswerDeadline", options->answer_deadline);
        if (r >= 0)
                r = append_number(m, "IdleTimeout", options->idle_timeout);
        if (r >= 0 && options->manual_retransmission)
                r = append_string(m, "Retransmission", "manual");
        return r;
}

static int append_packets(sd_bus_message *m, const struct dtlsd_options *options,
                          enum options_for what) {
        int r = 0;

        if (options->mtu_hint && what != OPTIONS_FOR_CONNECTION)
                r = sd_bus_message_append(m, "{sv}", "MtuHint", "q", options->mtu_hint);
        if (r >= 0 && options->dont_fragment &&
            !(what & (OPTIONS_FOR_CONNECTION | OPTIONS_FOR_LISTENER | OPTIONS_FOR_DEFAULT)))
                r = append_flag(m, "DontFragment", 1);
        return r;
}

/* A program that was made for a later version means something by it. */
static int check_reserved(const struct dtlsd_options *options, sd_bus_error *error) {
        for (size_t i = 0; i < sizeof options->reserved / sizeof *options->reserved; i++)
                if (options->reserved[i])
                        return sd_bus_error_set_errnof(
                                error, EINVAL,
                                "dtlsd_options: reserved is not zero, as if of a later version");

        return 0;
}

/* What depends on whom it is for. */
static int append_special(sd_bus_message *m, const struct dtlsd_options *options,
                          enum options_for what, const char *peer, uint16_t port,
                          sd_bus_error *error) {
        const unsigned creates = OPTIONS_FOR_CREATE | OPTIONS_FOR_EXTERNAL;
        const unsigned listens = OPTIONS_FOR_LISTEN | OPTIONS_FOR_LISTENER;
        const unsigned serves = listens | OPTIONS_FOR_EXTERNAL_SERVER | OPTIONS_FOR_CONNECTION |
                                OPTIONS_FOR_DEFAULT;
        int r = 0;

        if (what & OPTIONS_FOR_EXTERNAL)
                r = append_string(m, "Transport", "external");
        if (r >= 0 && what & creates)
                r = append_peer(m, peer, port);
        if (r >= 0 && what & (OPTIONS_FOR_CONNECT | creates)) /* elsewhere arguments */
                r = append_local(m, options);
        if (r >= 0)
                r = append_packets(m, options, what);
        if (r >= 0 && options->ocsp_stapling && !(what & listens))
                r = append_flag(m, "OcspStapling", 1);
        if (r >= 0 && options->session_ticket && !(what & listens))
                r = dtlsd_bytes_append(m, "SessionTicket", options->session_ticket,
                                       options->session_ticket_size);
        if (r >= 0 && options->trust_on_first_use && !(what & listens))
                r = append_flag(m, "TrustOnFirstUse", 1);
        if (r >= 0 && what & serves)
                r = append_listener(m, options, error);
        if (r >= 0 && what & (OPTIONS_FOR_LISTEN | OPTIONS_FOR_EXTERNAL_SERVER))
                r = append_cookies(m, options);
        if (r >= 0 && what == OPTIONS_FOR_LISTEN && options->announce)
                r = append_flag(m, "Announce", 1);
        if (r >= 0 && options->channel &&
            what & (OPTIONS_FOR_CONNECT | OPTIONS_FOR_CREATE | OPTIONS_FOR_LISTEN))
                r = append_number(m, "Channel", dtlsd_channel_id(options->channel));
        if (r >= 0 && what & (OPTIONS_FOR_CONNECT | OPTIONS_FOR_LISTEN | creates))
                r = dtlsd_names_append(m, "Share", options->share);
        return r;
}

static int append_all(sd_bus_message *m, const struct dtlsd_options *options, enum options_for what,
                      const char *peer, uint16_t port, sd_bus_error *error) {
        int r;

        r = append_special(m, options, what, peer, port, error);
        if (r >= 0)
                r = append_credentials(m, options, error);
        if (r >= 0)
                r = append_verification(m, options);
        if (r >= 0)
                r = append_choice(m, options);
        return r < 0 ? r : append_times(m, options);
}

int dtlsd_options_append(sd_bus_message *m, const struct dtlsd_options *options,
                         enum options_for what, const char *peer, uint16_t port,
                         sd_bus_error *error) {
        static const struct dtlsd_options none;
        int r;

        options = options ? options : &none;
        r = check_reserved(options, error);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "{sv}");
        if (r >= 0 && what == OPTIONS_FOR_VERIFIER)
                r = append_cookies(m, options);
        else if (r >= 0)
                r = append_all(m, options, what, peer, port, error);
        return r < 0 ? r : sd_bus_message_close_container(m);
}
