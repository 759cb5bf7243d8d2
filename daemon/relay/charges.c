/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Charges: what one object has cost its owner so far. Its destructor gives all of it back with one
 * call, so that no way an object can end forgets a part.
 *
 * Knows: quotas. Does not know: what the things charged for are.
 */

#include "base/fault.h"
#include "relay/private.h"

void charges_init(Charges *charges, Quota *quota, uid_t uid) {
        *charges = (Charges){.quota = quota, .uid = uid};
}

void charges_done(Charges *charges) {
        for (int kind = 0; kind < N_QUOTA_KINDS; kind++)
                charges_drop_all(charges, kind);
}

int charges_add(Charges *charges, QuotaKind kind, uint64_t n, Reason *reason) {
        g_autofree char *refusal = NULL;
        int r;

        r = quota_charge(charges->quota, charges->uid, kind, n);
        if (r < 0)
                return fault(r);
        if (r > 0) {
                refusal = quota_refusal(charges->quota, charges->uid, kind, r);
                return reason_set(reason, RELAY_E_QUOTA, "%s", refusal);
        }

        charges->n[kind] += n;
        return 0;
}

static int charges_refuse_spec(const Relay *relay, const Spec *spec, int r, Reason *reason) {
        g_autofree char *refusal =
                quota_refusal(relay->quota, spec->uid, QUOTA_BYTES, (QuotaOutcome)r);

        return reason_set(reason, RELAY_E_QUOTA, "%s", refusal);
}

int charges_add_spec(Relay *relay, Spec *spec, Reason *reason) {
        int r = spec_charge(spec, relay->quota);

        return r ? charges_refuse_spec(relay, spec, r, reason) : 0;
}

int charges_replace_spec(Relay *relay, Spec *spec, Spec *old, Reason *reason) {
        int r = spec_charge_instead(spec, old, relay->quota);

        return r ? charges_refuse_spec(relay, spec, r, reason) : 0;
}

void charges_drop(Charges *charges, QuotaKind kind, uint64_t n) {
        if (n == 0)
                return;

        g_assert(n <= charges->n[kind]);
        charges->n[kind] -= n;
        quota_discharge(charges->quota, charges->uid, kind, n);
}

void charges_move(Charges *from, Charges *to, QuotaKind kind, uint64_t n) {
        g_assert(n <= from->n[kind] && from->uid == to->uid);
        from->n[kind] -= n;
        to->n[kind] += n;
}

void charges_drop_all(Charges *charges, QuotaKind kind) {
        charges_drop(charges, kind, charges->n[kind]);
}
