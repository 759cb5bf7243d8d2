/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * refuse: outcomes to D-Bus errors, in one place. An outcome has its own name and says what to do;
 * a fault is always Failed, without detail, which is in the journal.
 */

#include "base/fault.h"
#include "base/log.h"
#include "base/terms.h"
#include "bus/private.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

static const char *refuse_name(RelayOutcome outcome) {
        switch (outcome) {
        case RELAY_E_INVALID_PARAMETERS:
                return "InvalidInputParameters";
        case RELAY_E_INVALID_OPERATION:
                return "InvalidOperation";
        case RELAY_E_SOCKET:
                return "UnderlyingSocketError";
        case RELAY_E_CLOSED:
                return "RemoteClosedConnectionError";
        case RELAY_E_VERIFICATION:
                return "PeerVerificationError";
        case RELAY_E_TLS_INITIALIZATION:
                return "TlsInitializationError";
        case RELAY_E_TLS_FATAL:
                return "TlsFatalError";
        case RELAY_E_TLS_NON_FATAL:
                return "TlsNonFatalError";
        case RELAY_E_QUOTA:
                return "QuotaExceeded";
        case RELAY_E_EXISTS:
                return "AlreadyExists";
        case RELAY_E_TOO_LONG:
                return "MessageTooLong";
        case RELAY_E_TIMED_OUT:
        case RELAY_E_NOTHING:
                return "TimedOut";
        case RELAY_E_CHANNEL_IN_USE:
                return "ChannelInUse";
        }

        return "Failed";
}

/* An error whose text is not UTF-8 would end our bus connection when it is sent. */
static void refuse_set(sd_bus_error *error, const char *name, const char *text) {
        g_autofree char *full = g_strconcat(DTLSD_ERROR_PREFIX, name, NULL);
        g_autofree char *valid = g_utf8_make_valid(text, -1);

        (void)sd_bus_error_set(error, full, valid); /* its result is the errno of the name */
}

int bus_refuse(sd_bus_error *error, int r, const Reason *reason) {
        if (r <= 0) {
                log_warning("A call failed: %s", g_strerror(-r));
                refuse_set(error, "Failed", "It failed inside the service; its journal says why");
                return -EIO;
        }

        refuse_set(error, refuse_name((RelayOutcome)r), reason ? reason->text : "");
        return -EINVAL;
}

int bus_refuse_dtls(sd_bus_error *error, DtlsError what, const char *text) {
        refuse_set(error, what == DTLS_NO_ERROR ? "Failed" : dtls_error_name(what), text);
        return -EINVAL;
}

int bus_refuse_unknown(sd_bus_error *error, const char *path) {
        g_autofree char *text = g_strdup_printf("Unknown object '%s'.", path ? path : "");

        (void)sd_bus_error_set(error, SD_BUS_ERROR_UNKNOWN_OBJECT, text);
        return -EINVAL;
}

int bus_refuse_text(sd_bus_error *error, const char *name, const char *format, ...) {
        g_autofree char *text = NULL;
        va_list arguments;

        va_start(arguments, format);
        text = g_strdup_vprintf(format, arguments);
        va_end(arguments);

        refuse_set(error, name, text);
        return -EINVAL;
}
