/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * refuse: outcomes to D-Bus errors, in one place. An outcome has its own name and says what to do;
 * a fault is always Failed, without detail, which is in the journal.
 */

#include "base/fault.h"
#include "base/log.h"
#include "base/terms.h"
#include "bus/private.h"

#include <stdarg.h>

/* Those that are not QDtls's. */
static const char *const refuse_names[] = {
        [BUS_E_NOT_AUTHORIZED] = "NotAuthorized",
        [BUS_E_QUOTA] = "QuotaExceeded",
        [BUS_E_EXISTS] = "AlreadyExists",
        [BUS_E_TOO_LONG] = "MessageTooLong",
        [BUS_E_TIMED_OUT] = "TimedOut",
        [BUS_E_CHANNEL_IN_USE] = "ChannelInUse",
        [BUS_E_FAILED] = "Failed",
};

static BusError refuse_error(RelayOutcome outcome) {
        switch (outcome) {
        case RELAY_E_INVALID_PARAMETERS:
                return BUS_E_INVALID_PARAMETERS;
        case RELAY_E_INVALID_OPERATION:
                return BUS_E_INVALID_OPERATION;
        case RELAY_E_SOCKET:
                return BUS_E_SOCKET;
        case RELAY_E_CLOSED:
                return BUS_E_CLOSED;
        case RELAY_E_VERIFICATION:
                return BUS_E_VERIFICATION;
        case RELAY_E_TLS_INITIALIZATION:
                return BUS_E_TLS_INITIALIZATION;
        case RELAY_E_TLS_FATAL:
                return BUS_E_TLS_FATAL;
        case RELAY_E_TLS_NON_FATAL:
                return BUS_E_TLS_NON_FATAL;
        case RELAY_E_QUOTA:
                return BUS_E_QUOTA;
        case RELAY_E_EXISTS:
                return BUS_E_EXISTS;
        case RELAY_E_TOO_LONG:
                return BUS_E_TOO_LONG;
        case RELAY_E_TIMED_OUT:
        case RELAY_E_NOTHING:
                return BUS_E_TIMED_OUT;
        case RELAY_E_CHANNEL_IN_USE:
                return BUS_E_CHANNEL_IN_USE;
        }

        return BUS_E_FAILED;
}

/* An error whose text is not UTF-8 would end our bus connection when it is sent. */
static int refuse_set(sd_bus_error *error, BusError what, const char *text) {
        const char *name = what < (BusError)N_DTLS_ERRORS ? dtls_error_name((DtlsError)what)
                                                          : refuse_names[what];
        g_autofree char *full = g_strconcat(DTLSD_ERROR_PREFIX, name, NULL);
        g_autofree char *valid = g_utf8_make_valid(text, -1);

        (void)sd_bus_error_set(error, full, valid); /* its result is the errno of the name */
        return -(int)what;
}

int bus_refuse(sd_bus_error *error, int r, const Reason *reason) {
        /* who calls may write what the bus daemon does not look at, and it is nobody else's news */
        if (r == -EBADMSG)
                return bus_refuse_text(error, BUS_E_INVALID_PARAMETERS,
                                       "The message contradicts itself: an argument is not what "
                                       "its type says, or names a file descriptor that did not "
                                       "come with it");

        if (r <= 0) {
                log_warning("A call failed: %s", g_strerror(-r));
                return refuse_set(error, BUS_E_FAILED,
                                  "It failed inside the service; its journal says why");
        }

        return refuse_set(error, refuse_error((RelayOutcome)r), reason ? reason->text : "");
}

int bus_refuse_dtls(sd_bus_error *error, DtlsError what, const char *text) {
        return refuse_set(error, what == DTLS_NO_ERROR ? BUS_E_FAILED : (BusError)what, text);
}

int bus_refuse_unknown(sd_bus_error *error, const char *path) {
        g_autofree char *text = g_strdup_printf("Unknown object '%s'.", path ? path : "");

        (void)sd_bus_error_set(error, SD_BUS_ERROR_UNKNOWN_OBJECT, text);
        return -BUS_E_UNKNOWN_OBJECT;
}

int bus_refuse_text(sd_bus_error *error, BusError what, const char *format, ...) {
        g_autofree char *text = NULL;
        va_list arguments;

        va_start(arguments, format);
        text = g_strdup_vprintf(format, arguments);
        va_end(arguments);

        return refuse_set(error, what, text);
}
