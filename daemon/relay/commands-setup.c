/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Commands that say what a connection is: its peer, configuration, cookies, and with whom it is
 * shared; see commands.h. */

#include "base/fault.h"
#include "relay/commands.h"

int command_check_peer(const Address *peer, Reason *reason) {
        if (!peer || !address_is_peer(peer))
                return reason_set(reason, RELAY_E_INVALID_PARAMETERS,
                                  "The peer must be one host's address and a port that is not 0; "
                                  "not a null, multicast or broadcast address");

        return 0;
}

int relay_create_connection(Relay *relay, Spec *spec, Connection **ret, Reason *reason) {
        g_autoptr(Connection) connection = NULL;
        int r;

        r = connection_new(relay, spec, NULL, &connection, reason);
        if (r)
                return r;

        if (spec->role != DTLS_CLIENT && !spec->external)
                return reason_set(reason, RELAY_E_INVALID_PARAMETERS,
                                  "With Transport 'udp' a server's connections come from its "
                                  "listener; call Listen");

        r = spec->role == DTLS_SERVER ? cookies_make_jar(spec, &connection->jar, reason) : 0;
        if (r)
                return r;

        r = address_is_set(&spec->peer) ? command_check_peer(&spec->peer, reason) : 0;
        if (r)
                return r;

        r = config_check_mtu(spec, spec->mtu_hint, reason);
        if (r)
                return r;

        r = ticket_check(relay, spec, reason);
        if (r)
                return r;

        r = psks_check(relay, spec, reason);
        if (r)
                return r;

        r = charges_add_spec(relay, spec, reason);
        if (r)
                return r;

        relay_add_connection(relay, connection);
        connection_schedule(connection);
        relay_tell(relay, connection_added, connection);
        *ret = g_steal_pointer(&connection);
        return 0;
}

static int command_set_peer(Connection *connection, const Address *peer, const char *name,
                            Reason *reason) {
        Spec *spec = connection->spec;
        int r;

        r = command_check_own(connection, COMMAND_SET_PEER, reason);
        if (r)
                return r;

        r = command_check_peer(peer, reason);
        if (r)
                return r;

        spec->peer = *peer;
        g_free(spec->verification_name);
        spec->verification_name = g_strdup(name ? name : "");
        connection_changed(connection, CHANGED_PEER);
        return 0;
}

int connection_set_peer(Connection *connection, const Address *peer, const char *name,
                        Reason *reason) {
        return command_done(connection, command_set_peer(connection, peer, name, reason), reason);
}

static int command_set_name(Connection *connection, const char *name, Reason *reason) {
        int r;

        r = command_check_own(connection, COMMAND_SET_NAME, reason);
        if (r)
                return r;

        g_free(connection->spec->verification_name);
        connection->spec->verification_name = g_strdup(name ? name : "");
        connection_changed(connection, CHANGED_PEER);
        return 0;
}

int connection_set_verification_name(Connection *connection, const char *name, Reason *reason) {
        return command_done(connection, command_set_name(connection, name, reason), reason);
}

int connection_set_mtu_hint(Connection *connection, uint16_t mtu, Reason *reason) {
        int r;

        r = config_check_mtu(connection->spec, mtu, reason);
        if (r)
                return command_done(connection, r, reason);

        /* for the next handshake; as in Qt at any time */
        connection->spec->mtu_hint = mtu;
        connection_changed(connection, CHANGED_MTU);
        return command_done(connection, 0, reason);
}

static int command_set_spec(Connection *connection, Spec *spec, Reason *reason) {
        g_autoptr(Spec) taken = spec;
        Spec *old = connection->spec;
        int r;

        r = command_check_own(connection, COMMAND_SET_CONFIGURATION, reason);
        if (r)
                return r;

        r = config_check_mtu(taken, taken->mtu_hint, reason);
        if (r)
                return r;

        /* whose, with whom and from where stays */
        taken->role = old->role;
        taken->external = old->external;
        taken->uid = old->uid;
        taken->persistent = old->persistent;
        taken->peer = old->peer;
        taken->local = old->local;
        g_free(taken->owner);
        taken->owner = g_strdup(old->owner);
        g_free(taken->verification_name);
        taken->verification_name = g_strdup(old->verification_name);
        spec_share_as(taken, old);

        r = ticket_check(connection->relay, taken, reason);
        if (r)
                return r;

        r = psks_check(connection->relay, taken, reason);
        if (r)
                return r;

        r = charges_replace_spec(connection->relay, taken, old, reason);
        if (r)
                return r;

        connection->spec = g_steal_pointer(&taken);
        spec_free(old);
        connection_changed(connection, CHANGED_CONFIGURATION);
        return 0;
}

int connection_set_spec(Connection *connection, Spec *spec, Reason *reason) {
        return command_done(connection, command_set_spec(connection, spec, reason), reason);
}

int connection_ignore_errors(Connection *connection, const GArray *errors, Reason *reason) {
        size_t n_bytes = spec_errors_memory(errors);
        int r;

        r = charges_add(&connection->charges, QUOTA_BYTES, n_bytes, reason);
        if (r)
                return command_done(connection, r, reason);

        connection_set_ignored(connection, errors);
        connection->ignored_bytes = n_bytes;
        connection->ignored_said = true;

        if (connection->session)
                session_set_ignored(connection->session, connection->ignored,
                                    connection->spec->ignored_codes);
        return command_done(connection, 0, reason);
}

/* ---- an external server's cookies ---- */

static int command_set_cookies(Connection *connection, const CookieParameters *parameters,
                               Reason *reason) {
        if (connection->listener)
                return reason_set(reason, RELAY_E_INVALID_OPERATION,
                                  "The cookie was checked before there was this connection; call "
                                  "SetCookieGeneratorParameters of its listener");
        if (!connection->jar)
                return reason_set(reason, RELAY_E_INVALID_OPERATION,
                                  "Cookies are a server's, this is a client");

        return cookies_set(connection->spec, &connection->jar, parameters, reason);
}

int connection_set_cookie_parameters(Connection *connection, const CookieParameters *parameters,
                                     Reason *reason) {
        return command_done(connection, command_set_cookies(connection, parameters, reason),
                            reason);
}

bool connection_cookie_parameters(const Connection *connection, CookieParameters *ret) {
        const CookieJar *jar = connection->listener ? connection->listener->jar : connection->jar;

        if (jar)
                *ret = cookies_parameters(jar);

        return jar;
}

/* ---- with whom it is shared ---- */

static void command_set_shares(Connection *connection, GArray *shares) {
        g_clear_pointer(&connection->spec->shares, g_array_unref);
        connection->spec->shares = shares;
        sharing_review(connection);
        connection_changed(connection, CHANGED_SHARES | CHANGED_CONFIGURATION);
}

int connection_share(Connection *connection, const Share *share, Reason *reason) {
        GArray *shares = shares_with(connection->spec->shares, share);
        int r = 0;

        if (shares)
                command_set_shares(connection, shares);
        else
                r = reason_set(reason, RELAY_E_QUOTA,
                               "The connection is shared with %d subjects, and no more can be; "
                               "Unshare one, or share with a group",
                               SHARES_MAX);

        return command_done(connection, r, reason);
}

int connection_unshare(Connection *connection, const Share *share, Reason *reason) {
        char subject[SHARE_SUBJECT_MAX];
        GArray *shares;
        bool found;
        int r = 0;

        shares = shares_without(connection->spec->shares, share, &found);
        command_set_shares(connection, shares);
        if (!found)
                r = reason_set(reason, RELAY_E_INVALID_PARAMETERS,
                               "The connection is not shared with %s; Shares has whom it is shared "
                               "with",
                               share_format_subject(share, subject));

        return command_done(connection, r, reason);
}
