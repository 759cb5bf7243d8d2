/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * dtlsctl trust, pin, unpin and pins: whom the service's store trusts.
 */

#include "dtlsctl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ANCHOR_ROW "%-24s %-64s %-10s %s\n"
#define PIN_ROW "%-32s %5s %-64s %s\n"

/* ---- the command line ---- */

bool fingerprint_read(const char *text, uint8_t ret[static FINGERPRINT_SIZE]) {
        size_t n = 0;

        for (const char *at = text; *at; at++) {
                int digit = g_ascii_xdigit_value(*at);

                if (*at == ':')
                        continue;
                if (digit < 0 || n == 2 * (size_t)FINGERPRINT_SIZE)
                        return false;
                ret[n / 2] = (uint8_t)(n % 2 ? ret[n / 2] << 4 | digit : digit);
                n++;
        }

        return n == 2 * (size_t)FINGERPRINT_SIZE;
}

static bool fingerprint_parse(const char *text, uint8_t ret[static FINGERPRINT_SIZE]) {
        if (fingerprint_read(text, ret))
                return true;

        (void)say_usage("'%s' is no fingerprint: a SHA-256 in hexadecimal, 64 digits", text);
        return false;
}

int finish_call(const char *what, int r, sd_bus_error *error) {
        if (r < 0)
                (void)complain(what, r, error);
        sd_bus_error_free(error);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* ---- trust ---- */

static int trust_add(sd_bus *bus, char **arguments) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        int r;

        if (!arguments[0] || !arguments[1])
                return say_usage("usage: dtlsctl trust add NAME FILE...");

        r = dtlsd_add_trust_anchors(bus, arguments[0], (const char *const *)arguments + 1, &error);
        return finish_call(arguments[0], r, &error);
}

static int trust_remove(sd_bus *bus, char **arguments) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        uint8_t fingerprint[FINGERPRINT_SIZE];
        int r;

        if (!arguments[0] || (arguments[1] && arguments[2]))
                return say_usage("usage: dtlsctl trust remove NAME [FINGERPRINT]");
        if (arguments[1] && !fingerprint_parse(arguments[1], fingerprint))
                return EXIT_USAGE;

        r = dtlsd_remove_trust_anchor(bus, arguments[0], arguments[1] ? fingerprint : NULL, &error);
        return finish_call(arguments[0], r, &error);
}

static int print_anchors(const char *name, sd_bus_message *reply) {
        const char *fingerprint, *subject;
        uint64_t until;
        int r;

        r = sd_bus_message_enter_container(reply, 'a', "(sst)");
        while (r >= 0) {
                g_autofree char *day = NULL, *escaped = NULL;

                r = sd_bus_message_read(reply, "(sst)", &fingerprint, &subject, &until);
                if (r <= 0)
                        break;
                day = text_day(until);
                escaped = text_escape(subject, strlen(subject));
                (void)printf(ANCHOR_ROW, name, fingerprint, day, escaped);
        }

        return r;
}

static int list_anchors(sd_bus *bus, const char *name, sd_bus_error *error) {
        sd_bus_message *reply = NULL;
        int r;

        r = sd_bus_call_method(bus, NAME, ROOT, NAME ".Manager", "ListTrustAnchors", error, &reply,
                               "s", name);
        if (r >= 0)
                r = print_anchors(name, reply);
        (void)sd_bus_message_unref(reply);
        return r;
}

static int trust_list(sd_bus *bus, char **arguments) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *reply = NULL;
        char **names = NULL;
        int r;

        if (arguments[0])
                return say_usage("usage: dtlsctl trust list");

        r = sd_bus_call_method(bus, NAME, ROOT, NAME ".Manager", "ListTrusts", &error, &reply, "");
        if (r >= 0)
                r = sd_bus_message_read_strv(reply, &names);
        if (r >= 0)
                (void)printf(ANCHOR_ROW, "NAME", "FINGERPRINT", "UNTIL", "SUBJECT");
        for (char **name = names; r >= 0 && name && *name; name++)
                r = list_anchors(bus, *name, &error);

        g_strfreev(names);
        (void)sd_bus_message_unref(reply);
        return finish_call("trust", r, &error);
}

int command_trust(sd_bus *bus, Settings *settings, char **arguments) {
        if (g_str_equal(arguments[0], "add"))
                return trust_add(bus, arguments + 1);
        if (g_str_equal(arguments[0], "remove"))
                return trust_remove(bus, arguments + 1);
        if (g_str_equal(arguments[0], "list"))
                return trust_list(bus, arguments + 1);

        return say_usage("there is no command 'trust %s'; there are 'trust add', 'trust remove' "
                         "and 'trust list'",
                         arguments[0]);
}

/* ---- pins ---- */

static int call_about_pin(sd_bus *bus, const Settings *settings, char **arguments,
                          int (*about)(sd_bus *bus, const struct dtlsd_pin *pin,
                                       sd_bus_error *error)) {
        struct dtlsd_pin pin = {.host = arguments[0], .administrator = settings->administrator};
        sd_bus_error error = SD_BUS_ERROR_NULL;
        uint8_t fingerprint[FINGERPRINT_SIZE];

        if (!port_parse(arguments[1], 1, &pin.port))
                return EXIT_USAGE;
        if (arguments[2]) {
                if (!fingerprint_parse(arguments[2], fingerprint))
                        return EXIT_USAGE;
                pin.fingerprint = fingerprint;
        }

        return finish_call(arguments[0], about(bus, &pin, &error), &error);
}

int command_pin(sd_bus *bus, Settings *settings, char **arguments) {
        return call_about_pin(bus, settings, arguments, dtlsd_pin);
}

int command_unpin(sd_bus *bus, Settings *settings, char **arguments) {
        return call_about_pin(bus, settings, arguments, dtlsd_unpin);
}

static char *hexadecimal(const uint8_t *data, size_t size) {
        GString *text = g_string_new(NULL);

        for (size_t i = 0; i < size; i++)
                g_string_append_printf(text, "%02x", data[i]);
        return g_string_free(text, FALSE);
}

/* 1: one was printed; 0: there are no more. */
static int print_pin(sd_bus_message *reply) {
        g_autofree char *fingerprint = NULL, *number = NULL;
        const void *data;
        const char *host;
        int is_of_all, r;
        uint16_t port;
        size_t size;

        r = sd_bus_message_enter_container(reply, 'r', "sqayb");
        if (r <= 0)
                return r;

        r = sd_bus_message_read(reply, "sq", &host, &port);
        if (r >= 0)
                r = sd_bus_message_read_array(reply, 'y', &data, &size);
        if (r >= 0)
                r = sd_bus_message_read(reply, "b", &is_of_all);
        if (r >= 0)
                r = sd_bus_message_exit_container(reply);
        if (r < 0)
                return r;

        fingerprint = hexadecimal(data, size);
        number = g_strdup_printf("%u", port);
        (void)printf(PIN_ROW, host, number, fingerprint, is_of_all ? "everybody" : "you");
        return 1;
}

int command_pins(sd_bus *bus, Settings *settings, char **arguments) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *reply = NULL;
        int r;

        r = sd_bus_call_method(bus, NAME, ROOT, NAME ".Manager", "ListPins", &error, &reply, "");
        if (r >= 0)
                (void)printf(PIN_ROW, "HOST", "PORT", "FINGERPRINT", "FOR");
        if (r >= 0)
                r = sd_bus_message_enter_container(reply, 'a', "(sqayb)");
        while (r > 0)
                r = print_pin(reply);

        (void)sd_bus_message_unref(reply);
        return finish_call("pins", r, &error);
}
