/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cookies: SetCookieGeneratorParameters and GetCookieGeneratorParameters, which several interfaces
 * have: what they read and what they answer.
 */

#include "bus/private.h"

int cookie_parameters_read(sd_bus_message *m, CookieParameters *ret, sd_bus_error *error) {
        int r;

        r = sd_bus_message_read(m, "s", &ret->hash);
        if (r >= 0)
                r = sd_bus_message_read_array(m, 'y', &ret->secret, &ret->size);
        return r < 0 ? bus_refuse(error, r, NULL) : 1;
}

int cookie_parameters_reply(sd_bus_message *m, CookieParameters parameters) {
        g_autoptr(sd_bus_message) reply = NULL;
        int r;

        r = sd_bus_message_new_method_return(m, &reply);
        if (r >= 0)
                r = sd_bus_message_sensitive(reply);
        if (r >= 0)
                r = append_text(reply, parameters.hash);
        if (r >= 0)
                r = sd_bus_message_append_array(reply, 'y', parameters.secret, parameters.size);
        return r < 0 ? r : sd_bus_message_send(reply);
}
