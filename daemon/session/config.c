/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What many sessions share, as GnuTLS wants it: one cache of priorities and one set of credentials,
 * made once. They hold no secret: instead of a private key and of PSKs there are functions that ask
 * (ask.c).
 */

#include "session/config.h"
#include "session/private.h"

#include "base/fault.h"

#include <gnutls/abstract.h>

static int config_key_info(gnutls_privkey_t key, unsigned flags, void *userdata) {
        SessionConfig *config = userdata;

        if (flags & GNUTLS_PRIVKEY_INFO_PK_ALGO)
                return (int)config->key_algorithm;
        if (flags & GNUTLS_PRIVKEY_INFO_PK_ALGO_BITS)
                return (int)config->key_bits;
        if (flags & GNUTLS_PRIVKEY_INFO_HAVE_SIGN_ALGO)
                return gnutls_sign_supports_pk_algorithm(GNUTLS_FLAGS_TO_SIGN_ALGO(flags),
                                                         config->key_algorithm)
                               ? 1
                               : 0;

        return -1;
}

static void config_free_pcerts(gnutls_pcert_st *pcerts, size_t n_pcerts) {
        for (size_t i = 0; i < n_pcerts; i++)
                gnutls_pcert_deinit(&pcerts[i]);

        gnutls_free(pcerts);
}

static int config_read_key(SessionConfig *config, gnutls_pcert_st *leaf) {
        int algorithm = gnutls_pubkey_get_pk_algorithm(leaf->pubkey, &config->key_bits);

        switch (algorithm) {
        case GNUTLS_PK_RSA:
        case GNUTLS_PK_RSA_PSS:
        case GNUTLS_PK_ECDSA:
        case GNUTLS_PK_EDDSA_ED25519:
        case GNUTLS_PK_EDDSA_ED448:
                config->key_algorithm = (gnutls_pk_algorithm_t)algorithm;
                return 0;
        }

        return SESSION_CONFIG_E_BAD_CHAIN;
}

/* The pcerts that could be read, all or none. */
static gnutls_pcert_st *config_read_chain(const Chain *chain) {
        size_t n_pcerts = chain_count(chain);
        gnutls_pcert_st *pcerts = gnutls_calloc(n_pcerts, sizeof(gnutls_pcert_st));

        g_assert(pcerts);

        for (size_t i = 0; i < n_pcerts; i++) {
                gsize size;
                gconstpointer data = g_bytes_get_data(chain_der(chain, i), &size);
                gnutls_datum_t der = {.data = (void *)data, .size = (unsigned)size};

                if (gnutls_pcert_import_x509_raw(&pcerts[i], &der, GNUTLS_X509_FMT_DER, 0) < 0) {
                        config_free_pcerts(pcerts, i);
                        return NULL;
                }
        }

        return pcerts;
}

/* The key stays where it is: GnuTLS gets functions that ask for signatures. Whether key and
 * certificate match is not tried here, where nobody could answer; the keyring compares them. */
static int config_set_key(SessionConfig *config, gnutls_pcert_st *pcerts, size_t n_pcerts) {
        gnutls_privkey_t key;
        int r;

        r = gnutls_privkey_init(&key);
        if (r < 0)
                return fault(-ENOMEM);

        r = gnutls_privkey_import_ext4(key, config, ask_sign_data, ask_sign_hash, NULL, NULL,
                                       config_key_info, 0);
        if (r >= 0)
                r = gnutls_certificate_set_key(config->certificate, NULL, 0, pcerts, (int)n_pcerts,
                                               key);
        if (r < 0) {
                gnutls_privkey_deinit(key);
                return SESSION_CONFIG_E_BAD_CHAIN;
        }

        return 0;
}

static int config_add_chain(SessionConfig *config) {
        size_t n_pcerts = chain_count(config->spec.chain);
        gnutls_pcert_st *pcerts;
        int r;

        pcerts = config_read_chain(config->spec.chain);
        if (!pcerts)
                return SESSION_CONFIG_E_BAD_CHAIN;

        r = config_read_key(config, &pcerts[0]);
        if (!r)
                r = config_set_key(config, pcerts, n_pcerts);
        if (r) {
                config_free_pcerts(pcerts, n_pcerts);
                return r;
        }

        gnutls_free(pcerts); /* what is in them belongs to the credentials now */
        return 0;
}

static int config_add_dh(SessionConfig *config) {
        gsize size;
        gconstpointer data = g_bytes_get_data(config->spec.dh_parameters, &size);
        gnutls_datum_t der = {(void *)data, (unsigned)size};

        if (gnutls_dh_params_init(&config->dh) < 0)
                return fault(-ENOMEM);
        if (gnutls_dh_params_import_pkcs3(config->dh, &der, GNUTLS_X509_FMT_DER) < 0)
                return fault(-ENOTRECOVERABLE);

        return 0;
}

static int config_add_certificates(SessionConfig *config) {
        if (gnutls_certificate_allocate_credentials(&config->certificate) < 0)
                return fault(-ENOMEM);

        gnutls_certificate_set_flags(config->certificate, GNUTLS_CERTIFICATE_SKIP_KEY_CERT_MATCH);
        if (config->dh)
                gnutls_certificate_set_dh_params(config->certificate, config->dh);
        else if (gnutls_certificate_set_known_dh_params(config->certificate,
                                                        GNUTLS_SEC_PARAM_MEDIUM) < 0)
                return fault(-ENOMEM);

        return config->has_certificate ? config_add_chain(config) : 0;
}

static int config_add_psk_client(SessionConfig *config) {
        if (gnutls_psk_allocate_client_credentials(&config->psk_client) < 0)
                return fault(-ENOMEM);

        gnutls_psk_set_client_credentials_function2(config->psk_client, ask_psk_client);
        return 0;
}

static int config_add_psk_server(SessionConfig *config) {
        if (gnutls_psk_allocate_server_credentials(&config->psk_server) < 0)
                return fault(-ENOMEM);

        gnutls_psk_set_server_credentials_function2(config->psk_server, ask_psk_server);
        if (config->dh)
                gnutls_psk_set_server_dh_params(config->psk_server, config->dh);
        else if (gnutls_psk_set_server_known_dh_params(config->psk_server,
                                                       GNUTLS_SEC_PARAM_MEDIUM) < 0)
                return fault(-ENOMEM);
        if (config->psk_hint &&
            gnutls_psk_set_server_credentials_hint(config->psk_server, config->psk_hint) < 0)
                return fault(-ENOMEM);

        return 0;
}

static int config_make_priority(const SessionConfig *config, bool certificates,
                                const Suite *const *suites, size_t n_suites,
                                gnutls_priority_t *ret) {
        g_autofree char *priority = priority_string(&config->spec, certificates, suites, n_suites);

        if (gnutls_priority_init2(ret, priority, NULL, 0) < 0)
                return fault(-ENOTRECOVERABLE);

        return 0;
}

static bool config_fits(const SessionConfig *config, bool certificates, const Suite *suite) {
        if (config->spec.protocol == PROTOCOL_DTLS_1_0 && !suite_is_for_dtls_1_0(suite))
                return false;

        return suite_has_psk(suite) ? config->spec.psk : certificates;
}

/* Those of the caller's list that can be spoken at all; *ret has room for all of them. */
static size_t config_list_suites(const SessionConfig *config, bool certificates,
                                 const Suite **ret) {
        const GPtrArray *ciphers = config->spec.ciphers;
        size_t n = 0;

        for (guint i = 0; i < ciphers->len; i++) {
                const Suite *suite = suite_find(ciphers->pdata[i]);

                if (suite && config_fits(config, certificates, suite))
                        ret[n++] = suite;
        }

        return n;
}

static int config_set_listed(SessionConfig *config, bool certificates) {
        g_autofree const Suite **suites = g_new(const Suite *, config->spec.ciphers->len + 1);
        size_t n = config_list_suites(config, certificates, suites);
        int r;

        if (n == 0)
                return SESSION_CONFIG_E_NO_SUITE;

        config->listed = g_new0(ListedSuite, n);
        for (size_t i = 0; i < n; i++) {
                config->listed[i].suite = suites[i];
                config->n_listed++;
                if (config->spec.role == DTLS_CLIENT)
                        continue;

                r = config_make_priority(config, certificates, &suites[i], 1,
                                         &config->listed[i].priority);
                if (r)
                        return fault(r);
        }

        return config_make_priority(config, certificates, suites, n, &config->priority);
}

static int config_set_priority(SessionConfig *config, bool certificates) {
        if (config->spec.ciphers)
                return config_set_listed(config, certificates);

        return config_make_priority(config, certificates, NULL, 0, &config->priority);
}

static void config_free(SessionConfig *config) {
        if (config->priority)
                gnutls_priority_deinit(config->priority);
        for (size_t i = 0; i < config->n_listed; i++)
                if (config->listed[i].priority)
                        gnutls_priority_deinit(config->listed[i].priority);
        g_free(config->listed);
        if (config->certificate)
                gnutls_certificate_free_credentials(config->certificate);
        if (config->psk_client)
                gnutls_psk_free_client_credentials(config->psk_client);
        if (config->psk_server)
                gnutls_psk_free_server_credentials(config->psk_server);
        if (config->dh)
                gnutls_dh_params_deinit(config->dh);
        if (config->ticket_key.data) {
                explicit_bzero(config->ticket_key.data, config->ticket_key.size);
                gnutls_free(config->ticket_key.data);
        }
        if (config->spec.chain)
                chain_unref(config->spec.chain);
        if (config->spec.trust)
                trust_unref(config->spec.trust);
        revocations_unref(config->spec.revocations);
        g_clear_pointer(&config->spec.pins, g_ptr_array_unref);
        if (config->spec.next_protocols)
                g_ptr_array_unref(config->spec.next_protocols);
        if (config->spec.ciphers)
                g_ptr_array_unref(config->spec.ciphers);
        if (config->spec.curves)
                g_ptr_array_unref(config->spec.curves);
        if (config->spec.dh_parameters)
                g_bytes_unref(config->spec.dh_parameters);
        g_free(config->psk_hint);
        g_free(config);
}

static bool config_has_key(const SessionConfigSpec *spec) {
        return spec->chain && spec->key_id != 0;
}

static int config_copy_spec(SessionConfig *config, const SessionConfigSpec *spec) {
        bool client = spec->role == DTLS_CLIENT;

        config->spec = *spec;
        config->spec.chain = spec->chain ? chain_ref(spec->chain) : NULL;
        config->spec.trust = spec->trust ? trust_ref(spec->trust) : NULL;
        config->spec.pins = spec->pins ? g_ptr_array_ref(spec->pins) : NULL;
        config->spec.revocations = spec->revocations ? revocations_ref(spec->revocations) : NULL;
        config->spec.next_protocols =
                spec->next_protocols ? g_ptr_array_ref(spec->next_protocols) : NULL;
        config->spec.ciphers = spec->ciphers ? g_ptr_array_ref(spec->ciphers) : NULL;
        config->spec.curves = spec->curves ? g_ptr_array_ref(spec->curves) : NULL;
        config->spec.dh_parameters = spec->dh_parameters ? g_bytes_ref(spec->dh_parameters) : NULL;
        config->psk_hint = g_strdup(spec->psk_hint);
        config->spec.psk_hint = config->psk_hint;
        config->has_certificate = config_has_key(spec);
        config->verify_mode = spec->verify_mode;
        if (spec->verify_mode == AUTO_VERIFY_PEER)
                config->verify_mode = client ? VERIFY_PEER : QUERY_PEER;

        config->trusts_nobody = !config->spec.trust;
        if (config->trusts_nobody) {
                g_autoptr(GPtrArray) nobody = g_ptr_array_new();
                int r = trust_new(nobody, &config->spec.trust);

                if (r)
                        return fault(r);
        }

        return 0;
}

/* A client can always check a server's certificate, unless it wants to hear of PSKs alone: some
 * servers without a certificate end a handshake that offers a certificate suite first. */
static bool config_wants_certificates(const SessionConfigSpec *spec) {
        if (config_has_key(spec))
                return true;

        return spec->role == DTLS_CLIENT && !(spec->psk_alone && spec->psk);
}

static int config_fill(SessionConfig *config, bool certificates) {
        const SessionConfigSpec *spec = &config->spec;
        int r;

        r = spec->dh_parameters ? config_add_dh(config) : 0;
        if (!r && certificates)
                r = config_add_certificates(config);
        if (!r && spec->psk && spec->role == DTLS_CLIENT)
                r = config_add_psk_client(config);
        if (!r && spec->psk && spec->role == DTLS_SERVER)
                r = config_add_psk_server(config);
        if (!r)
                r = config_set_priority(config, certificates);
        if (!r && spec->tickets && spec->role == DTLS_SERVER && !spec->psk &&
            gnutls_session_ticket_key_generate(&config->ticket_key) < 0)
                r = fault(-ENOMEM);

        return r;
}

int session_config_new(const SessionConfigSpec *spec, SessionConfig **ret) {
        bool certificates = config_wants_certificates(spec);
        SessionConfig *config;
        int r;

        if (spec->protocol >= N_DTLS_PROTOCOLS)
                return SESSION_CONFIG_E_NOT_DTLS;
        if (!certificates && !spec->psk)
                return SESSION_CONFIG_E_UNUSABLE;

        config = g_new0(SessionConfig, 1);
        config->n_references = 1;
        r = config_copy_spec(config, spec);
        if (!r)
                r = config_fill(config, certificates);
        if (r) {
                config_free(config);
                return r < 0 ? fault(r) : r;
        }

        *ret = config;
        return 0;
}

SessionConfig *session_config_ref(SessionConfig *config) {
        g_assert(config->n_references > 0);

        config->n_references++;
        return config;
}

SessionConfig *session_config_unref(SessionConfig *config) {
        if (!config)
                return NULL;

        g_assert(config->n_references > 0);
        if (--config->n_references == 0)
                config_free(config);

        return NULL;
}

bool session_config_is_shared(const SessionConfig *config) {
        return config->n_references > 1;
}

const SessionConfigSpec *session_config_spec(const SessionConfig *config) {
        return &config->spec;
}

static const char *const protocol_names[N_PROTOCOLS] = {
        [PROTOCOL_DTLS_1_0] = "DtlsV1_0",       [PROTOCOL_DTLS_1_0_OR_LATER] = "DtlsV1_0OrLater",
        [PROTOCOL_DTLS_1_2] = "DtlsV1_2",       [PROTOCOL_DTLS_1_2_OR_LATER] = "DtlsV1_2OrLater",
        [PROTOCOL_TLS_1_0] = "TlsV1_0",         [PROTOCOL_TLS_1_0_OR_LATER] = "TlsV1_0OrLater",
        [PROTOCOL_TLS_1_1] = "TlsV1_1",         [PROTOCOL_TLS_1_1_OR_LATER] = "TlsV1_1OrLater",
        [PROTOCOL_TLS_1_2] = "TlsV1_2",         [PROTOCOL_TLS_1_2_OR_LATER] = "TlsV1_2OrLater",
        [PROTOCOL_TLS_1_3] = "TlsV1_3",         [PROTOCOL_TLS_1_3_OR_LATER] = "TlsV1_3OrLater",
        [PROTOCOL_ANY] = "AnyProtocol",         [PROTOCOL_SECURE] = "SecureProtocols",
        [PROTOCOL_UNKNOWN] = "UnknownProtocol",
};

static const char *const profile_names[N_CIPHER_PROFILES] = {
        [PROFILE_DEFAULT] = "default",
        [PROFILE_IOT] = "iot",
        [PROFILE_LEGACY] = "legacy",
};

static bool config_find_name(const char *const *names, size_t n_names, const char *name,
                             size_t *ret) {
        for (size_t i = 0; i < n_names; i++) {
                if (g_strcmp0(names[i], name) == 0) {
                        *ret = i;
                        return true;
                }
        }

        return false;
}

const char *dtls_protocol_name(DtlsProtocol protocol) {
        g_assert(protocol < N_PROTOCOLS);

        return protocol_names[protocol];
}

bool dtls_protocol_from_name(const char *name, DtlsProtocol *ret) {
        size_t i;

        if (!config_find_name(protocol_names, N_PROTOCOLS, name, &i))
                return false;

        *ret = (DtlsProtocol)i;
        return true;
}

const char *cipher_profile_name(CipherProfile profile) {
        g_assert(profile < N_CIPHER_PROFILES);

        return profile_names[profile];
}

bool cipher_profile_from_name(const char *name, CipherProfile *ret) {
        size_t i;

        if (!config_find_name(profile_names, N_CIPHER_PROFILES, name, &i))
                return false;

        *ret = (CipherProfile)i;
        return true;
}
