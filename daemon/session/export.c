/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Keying material for the application, derived from the session's master secret (RFC 5705).
 *
 * Without the extended master secret an attacker in the middle can have two sessions, with two
 * different peers, that share one master secret, and so one export: it would name no session at all
 * (RFC 7627, 1 and 5.4). So there is none then.
 */

#include "session/private.h"

#include "base/fault.h"

/* What TLS itself derives from a master secret: RFC 5246 and RFC 7627. */
static const char *const export_labels_of_tls[] = {
        "client finished",        "server finished", "master secret",
        "extended master secret", "key expansion",   NULL,
};

static bool export_label_is_good(const char *label) {
        size_t size = strlen(label);

        if (size == 0 || size > SESSION_EXPORT_LABEL_MAX)
                return false;

        for (size_t i = 0; i < size; i++)
                if (!g_ascii_isprint(label[i]))
                        return false;

        return !g_strv_contains(export_labels_of_tls, label);
}

/**
 * session_export_keying_material() - bytes that both ends of this session can derive, and nobody
 * else
 *
 * No context and an empty one are two things in RFC 5705; @context NULL is none.
 *
 * Return: 0, SESSION_E_NOT_OPEN, SESSION_E_BAD_EXPORT, SESSION_E_WEAK_MASTER_SECRET, or a fault.
 */
int session_export_keying_material(const Session *session, const char *label, const void *context,
                                   size_t context_size, size_t size, Secret **ret) {
        g_autoptr(Secret) material = NULL;

        if (session->state != SESSION_OPEN)
                return SESSION_E_NOT_OPEN;
        if (!export_label_is_good(label) || context_size > SESSION_EXPORT_CONTEXT_MAX ||
            size == 0 || size > SESSION_EXPORT_MAX)
                return SESSION_E_BAD_EXPORT;
        if (!session->facts.extended_master_secret)
                return SESSION_E_WEAK_MASTER_SECRET;

        material = secret_new_zero(size);
        if (gnutls_prf_rfc5705(session->gnutls, strlen(label), label, context_size, context, size,
                               (char *)secret_data(material)) < 0)
                return fault(-ENOTRECOVERABLE);

        *ret = g_steal_pointer(&material);
        return 0;
}
