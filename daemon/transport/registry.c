/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "transport/registry.h"

struct Registry {
        GHashTable *ports; /* port: GPtrArray of Claim, borrowed */
};

struct Claim {
        Registry *registry;
        Address local;
        uid_t uid;
};

Registry *registry_new(void) {
        Registry *registry = g_new0(Registry, 1);

        registry->ports =
                g_hash_table_new_full(NULL, NULL, NULL, (GDestroyNotify)g_ptr_array_unref);
        return registry;
}

Registry *registry_free(Registry *registry) {
        if (!registry)
                return NULL;

        g_assert(g_hash_table_size(registry->ports) == 0);
        g_hash_table_destroy(registry->ports);
        g_free(registry);
        return NULL;
}

static gpointer port_key(const Address *local) {
        return GUINT_TO_POINTER(address_port(local));
}

/* The wildcard of a family covers each address of it; IPv6 sockets take IPv6 alone. */
static bool claims_overlap(const Address *a, const Address *b) {
        if (address_family(a) != address_family(b))
                return false;

        return address_is_any(a) || address_is_any(b) || address_same_host(a, b);
}

int registry_claim(Registry *registry, const Address *local, uid_t uid, Claim **ret,
                   uid_t *ret_holder) {
        GPtrArray *claims = g_hash_table_lookup(registry->ports, port_key(local));
        Claim *claim;

        g_assert(address_port(local) != 0);
        for (guint i = 0; claims && i < claims->len; i++) {
                const Claim *other = claims->pdata[i];

                if (claims_overlap(&other->local, local)) {
                        *ret_holder = other->uid;
                        return REGISTRY_E_TAKEN;
                }
        }

        if (!claims) {
                claims = g_ptr_array_new();
                (void)g_hash_table_insert(registry->ports, port_key(local), claims);
        }
        claim = g_new(Claim, 1);
        *claim = (Claim){.registry = registry, .local = *local, .uid = uid};
        g_ptr_array_add(claims, claim);
        *ret = claim;
        return 0;
}

Claim *claim_release(Claim *claim) {
        GPtrArray *claims;

        if (!claim)
                return NULL;

        claims = g_hash_table_lookup(claim->registry->ports, port_key(&claim->local));
        (void)g_ptr_array_remove_fast(claims, claim);
        if (claims->len == 0)
                (void)g_hash_table_remove(claim->registry->ports, port_key(&claim->local));
        g_free(claim);
        return NULL;
}
