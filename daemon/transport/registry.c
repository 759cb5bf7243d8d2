/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Registry, see registry.h. Claims lie by port, since claims of different ports never meet. IPv6
 * sockets never take IPv4 (udp.c), so families do not meet either.
 */

#include "transport/registry.h"

struct Registry {
        GHashTable *ports; /* port -> GPtrArray of Claim; a port without claims is not in it */
};

struct Claim {
        Registry *registry;
        Address local;
        uid_t uid;
};

static gpointer registry_port_key(const Address *local) {
        return GUINT_TO_POINTER((guint)address_port(local));
}

static void registry_free_port(gpointer claims) {
        g_ptr_array_unref(claims);
}

Registry *registry_new(void) {
        Registry *registry = g_new0(Registry, 1);

        registry->ports = g_hash_table_new_full(NULL, NULL, NULL, registry_free_port);
        return registry;
}

Registry *registry_free(Registry *registry) {
        if (!registry)
                return NULL;

        g_assert(g_hash_table_size(registry->ports) == 0);
        g_hash_table_unref(registry->ports);
        g_free(registry);
        return NULL;
}

/* Of two addresses with one port. */
static bool registry_overlap(const Address *a, const Address *b) {
        if (address_family(a) != address_family(b))
                return false;

        return address_is_any(a) || address_is_any(b) || address_same_host(a, b);
}

static const Claim *registry_find_overlap(const GPtrArray *claims, const Address *local) {
        for (guint i = 0; claims && i < claims->len; i++) {
                const Claim *claim = g_ptr_array_index(claims, i);

                if (registry_overlap(&claim->local, local))
                        return claim;
        }

        return NULL;
}

int registry_claim(Registry *registry, const Address *local, uid_t uid, Claim **ret,
                   uid_t *ret_holder) {
        gpointer key = registry_port_key(local);
        GPtrArray *claims = g_hash_table_lookup(registry->ports, key);
        const Claim *in_the_way = registry_find_overlap(claims, local);
        Claim *claim;

        g_assert(address_port(local) != 0);

        if (in_the_way) {
                *ret_holder = in_the_way->uid;
                return REGISTRY_E_TAKEN;
        }

        claim = g_new0(Claim, 1);
        claim->registry = registry;
        claim->local = *local;
        claim->uid = uid;

        if (!claims) {
                claims = g_ptr_array_new();
                g_hash_table_insert(registry->ports, key, claims);
        }
        g_ptr_array_add(claims, claim);

        *ret = claim;
        return 0;
}

Claim *claim_release(Claim *claim) {
        gpointer key;
        GPtrArray *claims;
        bool was_there;

        if (!claim)
                return NULL;

        key = registry_port_key(&claim->local);
        claims = g_hash_table_lookup(claim->registry->ports, key);
        was_there = g_ptr_array_remove_fast(claims, claim);
        g_assert(was_there);

        if (claims->len == 0)
                g_hash_table_remove(claim->registry->ports, key);

        g_free(claim);
        return NULL;
}
