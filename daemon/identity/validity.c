/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Validity, see validity.h. The way down is RFC 5280, 4.1: a certificate, its body, and in that
 * after the version, the serial number, the algorithm and the issuer, two dates.
 */

#include "identity/validity.h"
#include "identity/der.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define DER_INTEGER 0x02
#define DER_UTC_TIME 0x17
#define DER_GENERALIZED_TIME 0x18
#define DER_VERSION 0xa0 /* [0], there unless it is version 1 */

static bool validity_find(GBytes *certificate, Der *ret_dates) {
        Der der, inside, body, skipped;

        der.data = g_bytes_get_data(certificate, &der.size);
        if (!der_read_tagged(&der, DER_SEQUENCE, &inside) ||
            !der_read_tagged(&inside, DER_SEQUENCE, &body))
                return false;

        if (body.size > 0 && body.data[0] == DER_VERSION &&
            !der_read_tagged(&body, DER_VERSION, &skipped))
                return false;

        return der_read_tagged(&body, DER_INTEGER, &skipped) &&
               der_read_tagged(&body, DER_SEQUENCE, &skipped) &&
               der_read_tagged(&body, DER_SEQUENCE, &skipped) &&
               der_read_tagged(&body, DER_SEQUENCE, ret_dates);
}

static unsigned date_two_digits(const uint8_t *at) {
        return (unsigned)(at[0] - '0') * 10 + (unsigned)(at[1] - '0');
}

/* MMDDhhmmss, all of digits */
static bool date_exists(const uint8_t *at) {
        unsigned month = date_two_digits(at), day = date_two_digits(at + 2);

        return month >= 1 && month <= 12 && day >= 1 && day <= 31 &&
               date_two_digits(at + 4) <= 23 && date_two_digits(at + 6) <= 59 &&
               date_two_digits(at + 8) <= 59;
}

static bool date_is_good(uint8_t tag, const Der *date) {
        size_t year_size = tag == DER_UTC_TIME ? 2 : 4;

        if ((tag != DER_UTC_TIME && tag != DER_GENERALIZED_TIME) ||
            date->size != year_size + strlen("MMDDhhmmssZ"))
                return false;

        for (size_t i = 0; i < date->size - 1; i++)
                if (!g_ascii_isdigit((char)date->data[i]))
                        return false;

        return date->data[date->size - 1] == 'Z' && date_exists(date->data + year_size);
}

Validity validity_look(GBytes *der) {
        Der dates, begin, end;
        uint8_t begin_tag, end_tag;

        if (!validity_find(der, &dates) || !der_read(&dates, &begin_tag, &begin) ||
            !der_read(&dates, &end_tag, &end))
                return (Validity){.begin_is_bad = false};

        return (Validity){
                .begin_is_bad = !date_is_good(begin_tag, &begin),
                .end_is_bad = !date_is_good(end_tag, &end),
        };
}
