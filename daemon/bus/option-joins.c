/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What options mean together, once each is read: see options.c. */

#include "base/terms.h"
#include "bus/option-readers.h"

static int options_refuse(sd_bus_error *error, const char *text) {
        return bus_refuse_text(error, BUS_E_INVALID_PARAMETERS, "%s", text);
}

static int options_join_peer(Options *options, sd_bus_error *error) {
        bool has_host = address_is_set(&options->peer_host);

        if (has_host != options->has_peer_port)
                return options_refuse(error, "PeerAddress and PeerPort belong together");

        if (has_host) {
                options->spec->peer = options->peer_host;
                address_set_port(&options->spec->peer, options->peer_port);
        }

        return 1;
}

static int options_join_local(Options *options, sd_bus_error *error) {
        const Address *peer = &options->spec->peer;
        bool has_host = address_is_set(&options->local_host);

        if (!has_host && options->local_port == 0)
                return 1;
        if (!has_host && !address_is_set(peer))
                return options_refuse(error, "LocalPort needs LocalAddress or PeerAddress, to tell "
                                             "IPv4 from IPv6");
        if (!has_host)
                options->local_host = address_any(address_family(peer), 0);
        if (address_is_set(peer) && address_family(peer) != address_family(&options->local_host))
                return options_refuse(error, "LocalAddress and PeerAddress have to be both IPv4 or "
                                             "both IPv6");

        options->spec->local = options->local_host;
        address_set_port(&options->spec->local, options->local_port);
        return 1;
}

static int options_join_transport(const Options *options, OptionsFor what, sd_bus_error *error) {
        const Spec *spec = options->spec;

        if (what == OPTIONS_FOR_CREATE && spec->role == DTLS_SERVER && !spec->external)
                return options_refuse(error, "Objects of mode 'server' need Transport 'external'; "
                                             "with 'udp' they come from a listener: call Listen");
        if (!spec->external)
                return 1;
        if (what != OPTIONS_FOR_CREATE && what != OPTIONS_FOR_SET_CONFIGURATION)
                return options_refuse(error, "Transport 'external' is for CreateConnection alone: "
                                             "nobody else could carry the datagrams");
        if (address_is_set(&options->local_host) || options->local_port != 0)
                return options_refuse(error, "With Transport 'external' there is no socket, and so "
                                             "neither LocalAddress nor LocalPort");
        if (spec->persistent)
                return options_refuse(error, "With Transport 'external' datagrams go to the name "
                                             "that owns the object; one that is Persistent has "
                                             "none");

        return 1;
}

static int options_join_channel(const Options *options, sd_bus_error *error) {
        const Spec *spec = options->spec;

        if (spec->channel == 0)
                return 1;
        if (spec->external)
                return options_refuse(error, "With Transport 'external' a connection has a channel "
                                             "of its own; leave out Channel");
        if (spec->persistent)
                return options_refuse(error, "A shared channel goes with the name that opened it; "
                                             "what is Persistent stays, so leave out Channel");

        return 1;
}

static int options_join_credentials(const Options *options, OptionsFor what, sd_bus_error *error) {
        const Spec *spec = options->spec;

        if (options->has_identity && (options->has_chain || options->private_key_fd >= 0))
                return options_refuse(error, "Identity takes the place of CertificateChain and "
                                             "PrivateKey; give one of them");
        if (options->has_chain != (options->private_key_fd >= 0))
                return options_refuse(error, "CertificateChain and PrivateKey belong together");
        if (options->has_psk_identity != (options->psk_fd >= 0))
                return options_refuse(error, "PreSharedKeyIdentity and PreSharedKey belong "
                                             "together");
        if (options->has_psk_identity && options->has_psks && spec->role == DTLS_CLIENT &&
            what != OPTIONS_FOR_SET_DEFAULTS)
                return options_refuse(error, "Psks take the place of a client's "
                                             "PreSharedKeyIdentity and PreSharedKey; give one of "
                                             "them");
        if (options->has_ca_certificates && options->has_trust)
                return options_refuse(error, "CaCertificates take the place of Trust; give one of "
                                             "them");
        if (spec->role == DTLS_SERVER && spec->first_use)
                return options_refuse(error, "TrustOnFirstUse is of a client");
        if (spec->first_use &&
            (spec->verify_mode == VERIFY_NONE || spec->verify_mode == QUERY_PEER))
                return options_refuse(error, "TrustOnFirstUse needs a PeerVerifyMode that minds "
                                             "who the peer is: VerifyPeer or AutoVerifyPeer");
        if (options->has_ciphers && options->has_profile)
                return options_refuse(error, "Ciphers take the place of CipherProfile; give one of "
                                             "them");
        if (options->has_ticket && !spec_has_tickets(spec))
                return options_refuse(error, "SessionTicket needs SslOptions, which may be empty, "
                                             "without DisableSessionTickets and "
                                             "DisableSessionPersistence");
        if (spec->chain && spec->mtu_hint != 0 && spec->mtu_hint < SESSION_MTU_MIN_CERTIFICATE)
                return bus_refuse_text(error, BUS_E_INVALID_PARAMETERS,
                                       "MtuHint is %u; with CertificateChain it has to be 0, or %d "
                                       "and more",
                                       spec->mtu_hint, SESSION_MTU_MIN_CERTIFICATE);

        return 1;
}

static int options_join_times(const Options *options, sd_bus_error *error) {
        Spec *spec = options->spec;

        if (spec->retransmit_max_usec < spec->retransmit_initial_usec)
                return options_refuse(error, "RetransmitMax has to be RetransmitInitial or more");

        if (!spec->persistent)
                return 1;
        if (options->inherits_signals)
                spec->datagram_signals = false;
        if (spec->datagram_signals)
                return options_refuse(error, "DatagramSignals go to the name that owns an object; "
                                             "one that is Persistent has none. Use ReadDatagram");
        if (options->has_idle_timeout && spec->idle_timeout_usec == 0)
                return options_refuse(error, "Persistent needs an IdleTimeout that is not 0");
        if (spec->idle_timeout_usec == 0)
                spec->idle_timeout_usec = SPEC_IDLE_PERSISTENT_USEC;

        return 1;
}

/* Of two that exclude each other the one that was named counts. */
static void options_join_choices(const Options *options) {
        Spec *spec = options->spec;

        if (options->has_trust) {
                g_clear_pointer(&spec->trust, trust_unref);
                spec->trust_said = true;
        }
        if (options->has_ca_certificates)
                g_clear_pointer(&spec->trust_name, g_free);
        if (options->has_profile)
                g_clear_pointer(&spec->ciphers, g_ptr_array_unref);
        if (options->has_ciphers)
                spec->profile = PROFILE_DEFAULT;

        if (options->has_psks && spec->role == DTLS_CLIENT && !options->has_psk_identity) {
                g_clear_pointer(&spec->psk_identity, g_bytes_unref);
                g_clear_pointer(&spec->psk, key_unref);
        }

        /* who has a pre-shared key and says nothing of certificates wants no certificate */
        spec->trust_system =
                !spec->trust && !spec->trust_name &&
                (spec->trust_said || spec->chain || !(spec->psk_identity || spec->psks));
}

int options_join(Options *options, OptionsFor what, sd_bus_error *error) {
        Spec *spec = options->spec;
        int r;

        r = options_join_transport(options, what, error);
        if (r < 0)
                return r;

        r = options_join_channel(options, error);
        if (r < 0)
                return r;

        r = options_join_peer(options, error);
        if (r < 0)
                return r;

        r = options_join_local(options, error);
        if (r < 0)
                return r;

        r = options_join_credentials(options, what, error);
        if (r < 0)
                return r;

        r = options_join_times(options, error);
        if (r < 0)
                return r;

        if (spec->persistent)
                g_clear_pointer(&spec->owner, g_free);
        options_join_choices(options);
        if (what == OPTIONS_FOR_CONNECT)
                spec->offer_psk =
                        spec->psk_identity || spec->psks; /* nobody could be asked for one */
        return 1;
}
