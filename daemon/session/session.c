/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The session's life and its verbs.
 */

#include "session/session.h"
#include "session/private.h"

#include "base/fault.h"
#include "base/prefetch.h"

#include <unistd.h>

/* GnuTLS reads some of these when it is loaded, before this; a service has none of them anyway. The
 * key log is the one that matters: it is read later, and would write down every master secret. */
static void session_clear_environment(void) {
        static const char *const prefixes[] = {"GNUTLS_", "P11_KIT_", "SSLKEYLOGFILE",
                                               "SOFTHSM2_CONF", "NETTLE_"};
        g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);

        for (char **entry = environ; *entry; entry++) {
                for (size_t i = 0; i < G_N_ELEMENTS(prefixes); i++) {
                        if (g_str_has_prefix(*entry, prefixes[i]))
                                g_ptr_array_add(names, g_strndup(*entry, strcspn(*entry, "=")));
                }
        }

        for (guint i = 0; i < names->len; i++)
                g_unsetenv(names->pdata[i]);
}

int session_global_init(void) {
        session_clear_environment();
        gnutls_global_set_log_level(0);
        clock_install();

        return handshake_global_init();
}

/* NULL: there are none. */
static GArray *session_copy_errors(const GArray *errors) {
        GArray *copy;

        if (!errors || errors->len == 0)
                return NULL;

        copy = verdict_errors_new();
        for (guint i = 0; i < errors->len; i++) {
                const VerdictError *error = &g_array_index(errors, VerdictError, i);

                verdict_errors_add(copy, error->code, error->certificate);
        }

        return copy;
}

static GArray *session_copy_codes(const GArray *codes) {
        return codes && codes->len > 0 ? g_array_copy((GArray *)codes) : NULL;
}

static void session_copy_spec(Session *session, const SessionSpec *spec, uint64_t now_usec) {
        session->config = session_config_ref(spec->config);
        session->verification_name = g_strdup(spec->verification_name);
        session->ignored = session_copy_errors(spec->ignored);
        session->ignored_codes = session_copy_codes(spec->ignored_codes);
        session->errors = verdict_errors_new();
        session->manual = spec->manual;
        session->direct.after = spec->direct_after;
        session->mtu = spec->mtu ? MAX(spec->mtu, SESSION_MTU_MIN) : SESSION_MTU_DEFAULT;
        session->path_mtu = session->mtu;

        session->retransmit_initial_usec = MAX(spec->retransmit_initial_usec, 1);
        session->retransmit_max_usec =
                MAX(spec->retransmit_max_usec, session->retransmit_initial_usec);
        session->answer_deadline_usec = spec->answer_deadline_usec;
        session->handshake_usec = now_usec + spec->handshake_deadline_usec;
        session->retransmit_usec = SESSION_NEVER;
        session->answer_usec = SESSION_NEVER;
        session->alert_usec = SESSION_NEVER;
        session->housekeeping_usec = SESSION_NEVER;

        session->alert = SESSION_NO_ALERT;
        session->failure.alert_sent = SESSION_NO_ALERT;
        session->failure.alert_received = SESSION_NO_ALERT;
        session->facts = session_facts_none;
}

static int session_set_credentials(Session *session) {
        const SessionConfig *config = session->config;
        gnutls_session_t gnutls = session->gnutls;
        int r;

        r = gnutls_priority_set(gnutls, config->priority);
        if (r >= 0 && config->certificate)
                r = gnutls_credentials_set(gnutls, GNUTLS_CRD_CERTIFICATE, config->certificate);
        if (r >= 0 && config->psk_client)
                r = gnutls_credentials_set(gnutls, GNUTLS_CRD_PSK, config->psk_client);
        if (r >= 0 && config->psk_server)
                r = gnutls_credentials_set(gnutls, GNUTLS_CRD_PSK, config->psk_server);
        if (r < 0)
                return fault(-ENOMEM);

        gnutls_session_set_verify_function(gnutls, ask_verdict);
        /* requested, never required by GnuTLS: a missing one is an error like others, which may be
         * ignored */
        if (config->spec.role == DTLS_SERVER && config->verify_mode != VERIFY_NONE)
                gnutls_certificate_server_set_request(gnutls, GNUTLS_CERT_REQUEST);

        return 0;
}

static void session_set_name(Session *session) {
        const SessionConfigSpec *spec = &session->config->spec;
        const char *name = session->verification_name;

        if (spec->role != DTLS_CLIENT || !spec->server_name_indication || !name || !*name)
                return;
        if (g_hostname_is_ip_address(name) || strchr(name, '%'))
                return;

        /* a name that cannot be sent is still matched: that is the verdict's business */
        (void)gnutls_server_name_set(session->gnutls, GNUTLS_NAME_DNS, name, strlen(name));
}

/* The cookie was exchanged without GnuTLS; it is told where the numbers stand. */
static void session_set_hello(Session *session, const Hello *hello) {
        uint16_t first = hello ? hello->message_seq : 0;
        gnutls_dtls_prestate_st prestate = {0};

        filter_init(&session->filter, session->config->spec.role, first);
        if (!hello)
                return;

        prestate.record_seq = (unsigned)hello->record_sequence;
        prestate.hsk_read_seq = hello->message_seq;
        prestate.hsk_write_seq = (unsigned)hello->message_seq - 1; /* GnuTLS adds 1 */
        gnutls_dtls_prestate_set(session->gnutls, &prestate);
}

static int session_init_gnutls(Session *session) {
        bool client = session->config->spec.role == DTLS_CLIENT;
        unsigned flags = GNUTLS_DATAGRAM | GNUTLS_NONBLOCK;

        if (!ticket_is_wanted(session->config))
                flags |= GNUTLS_NO_TICKETS;
        flags |= client ? GNUTLS_CLIENT : GNUTLS_SERVER;
        if (client && session->config->has_certificate)
                flags |= GNUTLS_FORCE_CLIENT_CERT; /* also to a server that names another CA */
        if (gnutls_init(&session->gnutls, flags) < 0)
                return fault(-ENOMEM);

        gnutls_session_set_ptr(session->gnutls, session);
        /* milliseconds of the session's own clock: see clock.c; the deadline is ours */
        gnutls_dtls_set_timeouts(session->gnutls, 1000, INT_MAX);
        gnutls_dtls_set_mtu(session->gnutls, (unsigned)session->mtu);
        wire_attach(session);
        return 0;
}

int session_new(const SessionSpec *spec, uint64_t now_usec, Session **ret) {
        g_autoptr(Session) session = g_new0(Session, 1);
        int r;

        session_copy_spec(session, spec, now_usec);
        r = session_init_gnutls(session);
        if (r < 0)
                return fault(r);

        session_set_hello(session, spec->hello);
        r = session_set_credentials(session);
        if (r < 0)
                return fault(r);

        session_set_name(session);
        r = alpn_offer(session);
        if (r < 0)
                return fault(r);

        r = ticket_prepare(session, spec->ticket);
        if (r < 0)
                return fault(r);

        r = handshake_prepare(session);
        if (r < 0)
                return fault(r);

        *ret = g_steal_pointer(&session);
        return 0;
}

Session *session_free(Session *session) {
        if (!session)
                return NULL;

        if (session->fiber) {
                wire_begin(session, 0, NULL, NULL);
                handshake_unwind(session);
                wire_end(session);
                session->fiber = fiber_free(session->fiber);
        }
        if (session->gnutls) {
                gnutls_deinit(session->gnutls);
                filter_done(&session->filter);
        }

        direct_done(session);
        ask_clear(session);
        session_config_unref(session->config);
        g_free(session->verification_name);
        g_free(session->failure.text);
        g_clear_pointer(&session->ignored, g_array_unref);
        g_clear_pointer(&session->ignored_codes, g_array_unref);
        g_array_unref(session->errors);
        if (session->peer_chain)
                g_ptr_array_unref(session->peer_chain);
        if (session->psk_identity)
                g_bytes_unref(session->psk_identity);
        g_free(session);
        return NULL;
}

int session_start(Session *session, uint64_t now_usec, DatagramBatch *net) {
        int r;

        g_assert(session->state == SESSION_NEW && session->config->spec.role == DTLS_CLIENT);

        wire_begin(session, now_usec, net, NULL);
        session->state = SESSION_SHAKING;
        r = handshake_drive(session);
        timers_set(session);
        wire_end(session);

        return r;
}

static int session_go_on(Session *session) {
        int r;

        if (session->asking || !filter_ready(&session->filter)) {
                timers_note_alert(session);
                return 0;
        }
        if (session->state == SESSION_OPEN)
                return data_read(session);

        r = handshake_drive(session);
        timers_set(session);
        return r;
}

/* What is behind the first @done bytes of the first. */
static int session_take(Session *session, const Datagram *in, size_t n, size_t done) {
        const uint8_t *rest = done > 0 ? in->data + done : in->data; /* NULL where it is empty */
        int r;

        filter_input(&session->filter, rest, in->size - done);
        for (size_t i = 1; i < n; i++)
                filter_input(&session->filter, in[i].data, in[i].size);
        r = session_go_on(session);
        filter_keep(&session->filter);
        for (size_t i = 0; i < n && r == 0; i++)
                r = mismatch_take(session, &in[i]);

        return r;
}

int session_receive_all(Session *session, uint64_t now_usec, const Datagram *in, size_t n,
                        DatagramBatch *net, DatagramBatch *app) {
        size_t done;
        int r = 0;

        session->took_last = false;
        session->went_direct = false;
        if (session->state == SESSION_NEW && session->config->spec.role == DTLS_SERVER)
                session->state = SESSION_SHAKING;
        if (session->state == SESSION_NEW || session->state == SESSION_OVER)
                return 0;

        session->went_direct = true;
        done = n == 1 ? direct_receive(session, in, app) : 0;
        if (done > 0 && done == in->size && session->went_direct)
                return 0;

        session->went_direct = false;
        wire_begin(session, now_usec, net, app);
        if (done == 0 || done < in->size)
                r = session_take(session, in, n, done);
        if (r == 0)
                r = data_judge_forgeries(session);
        wire_end(session);

        return r;
}

int session_receive(Session *session, uint64_t now_usec, const Datagram *in, DatagramBatch *net,
                    DatagramBatch *app) {
        return session_receive_all(session, now_usec, in, 1, net, app);
}

void session_prefetch(Session *const sessions[], size_t n) {
        for (size_t i = 0; i < n; i++)
                if (sessions[i])
                        memory_prefetch(sessions[i], offsetof(Session, config));
        for (size_t i = 0; i < n; i++)
                if (sessions[i] && sessions[i]->direct.open)
                        record_key_prefetch(sessions[i]->direct.open);
}

void session_close(Session *session, DatagramBatch *net) {
        wire_begin(session, 0, net, NULL);

        switch (session->state) {
        case SESSION_OPEN:
                direct_tell_number(session);
                (void)gnutls_bye(session->gnutls, GNUTLS_SHUT_WR); /* lost or not, it is over */
                break;
        case SESSION_SHAKING:
                handshake_unwind(session);
                (void)failure_end(session, GNUTLS_A_USER_CANCELED);
                break;
        case SESSION_NEW:
        case SESSION_OVER:
                break;
        }

        wire_end(session);
        direct_done(session);
        session->state = SESSION_OVER;
        session->handshake_usec = SESSION_NEVER;
        session->housekeeping_usec = SESSION_NEVER;
}

void session_set_ignored(Session *session, const GArray *ignored, const GArray *ignored_codes) {
        GArray *errors = session_copy_errors(ignored);
        GArray *codes = session_copy_codes(ignored_codes);

        g_clear_pointer(&session->ignored, g_array_unref);
        g_clear_pointer(&session->ignored_codes, g_array_unref);
        session->ignored = errors;
        session->ignored_codes = codes;
}

SessionState session_state(const Session *session) {
        return session->state;
}

const SessionFailure *session_failure(const Session *session) {
        return &session->failure;
}

const SessionFacts *session_facts(const Session *session) {
        return &session->facts;
}

SessionStats session_stats(const Session *session) {
        SessionStats stats = session->stats;

        stats.n_dropped_filter = session->filter.n_dropped;
        stats.n_dropped_queue += session->filter.queue.n_dropped;
        return stats;
}

uint64_t session_records_accepted(const Session *session) {
        return session->stats.n_records_accepted;
}

uint64_t session_records_direct(const Session *session) {
        return session->stats.n_direct;
}

const GArray *session_errors(const Session *session) {
        return session->errors;
}

GPtrArray *session_peer_chain(const Session *session) {
        return session->peer_chain;
}

GBytes *session_psk_identity(const Session *session) {
        return session->psk_identity;
}

bool session_took_last(const Session *session) {
        return session->took_last;
}

bool session_went_direct(const Session *session) {
        return session->went_direct;
}

size_t session_data_mtu(const Session *session) {
        return session->data_mtu;
}

size_t session_payload_max(const Session *session) {
        return session->payload_max;
}

void session_set_path_mtu(Session *session, size_t payload) {
        session->path_mtu = MAX(payload, (size_t)SESSION_MTU_MIN);

        if (session->state == SESSION_OPEN)
                facts_measure(session);
        else
                session->mtu = MIN(session->mtu, session->path_mtu);
}
