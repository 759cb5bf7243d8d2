/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Every change of everything that is kept, killed before and after every single system call that it
 * makes: what is there afterwards is all that was there before it, or all that is there when nobody
 * kills it.
 */

#include "ground.h"
#include "keyring/identities.h"
#include "keyring/pins.h"
#include "keyring/psks.h"
#include "keyring/revoked.h"
#include "keyring/trusts.h"
#include "killer.h"
#include "lib/certificates.h"

#include <string.h>
#include <unistd.h>

#define STOPS_MAX 2000
#define HASH "abcd000000000000000000000000000000000000000000000000000000000001\n"

typedef struct World {
        Ground ground;
        Identities *identities;
        Psks *psks;
        Trusts *trusts;
        Pins *pins;
        Revoked *revoked;
        TestIdentity *first, *second;
        GHashTable *prepared; /* the files to begin with */
} World;

/* What is killed; it has to work. */
typedef int (*Deed)(const World *world);

typedef struct Case {
        const char *name;
        Deed deed;
} Case;

static void world_open(World *world) {
        Ground *ground = &world->ground;

        if (!ground->store)
                ground_open(ground);
        g_assert_cmpint(identities_new(ground->store, ground->vault, &world->identities), ==, 0);
        g_assert_cmpint(psks_new(ground->store, ground->vault, &world->psks), ==, 0);
        g_assert_cmpint(trusts_new(ground->store, &world->trusts), ==, 0);
        g_assert_cmpint(pins_new(ground->store, &world->pins), ==, 0);
        g_assert_cmpint(revoked_new(ground->store, &world->revoked), ==, 0);
}

static void world_close(World *world) {
        world->identities = identities_free(world->identities);
        world->psks = psks_free(world->psks);
        world->trusts = trusts_free(world->trusts);
        world->pins = pins_free(world->pins);
        world->revoked = revoked_free(world->revoked);
        ground_close(&world->ground);
}

/* ---- all that is there, as text ---- */

static void say_bytes(GString *text, const void *data, size_t size) {
        g_autofree char *hash = g_compute_checksum_for_data(G_CHECKSUM_SHA256, data, size);

        g_string_append_printf(text, " %.16s", hash);
}

static void say_secret(GString *text, const Secret *secret) {
        if (secret)
                say_bytes(text, secret_peek(secret), secret_size(secret));
}

static void say_list(GString *text, GPtrArray *bytes) {
        for (guint i = 0; i < bytes->len; i++) {
                gsize size;
                const void *data = g_bytes_get_data(bytes->pdata[i], &size);

                say_bytes(text, data, size);
        }
}

static void say_identities(GString *text, const World *world) {
        g_autoptr(GPtrArray) list = identities_list(world->identities);

        for (guint i = 0; i < list->len; i++) {
                const Identity *identity = list->pdata[i];

                g_string_append_printf(text, "\nidentity %s:", identity->name);
                for (size_t j = 0; identity->chain && j < chain_count(identity->chain); j++) {
                        gsize size;
                        const void *der = g_bytes_get_data(chain_der(identity->chain, j), &size);

                        say_bytes(text, der, size);
                }
                if (identity->key) {
                        GBytes *spki = private_key_spki(vault_key_private(identity->key));
                        g_autoptr(GPtrArray) one = test_blobs(spki, NULL);

                        say_list(text, one);
                }
                g_string_append(text, " waits:");
                say_secret(text, identity->waiting);
        }
}

static void say_revoked(GString *text, const World *world) {
        g_autoptr(GPtrArray) list = revoked_list(world->revoked);

        for (guint i = 0; i < list->len; i++) {
                const RevokedEntry *entry = list->pdata[i];
                g_autoptr(GPtrArray) one = test_blobs(entry->text, NULL); /* damaged: none */

                g_string_append_printf(text, "\nrevocations %s:", entry->name);
                say_list(text, one);
        }
}

static int say_pins(const PinPlace *place, GPtrArray *keys, void *userdata) {
        GString *text = userdata;

        g_string_append_printf(text, "\npins %s %s %u:", place->table, place->host, place->port);
        say_list(text, keys);
        return 0;
}

static gint compare_text(gconstpointer a, gconstpointer b) {
        return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Reads all of it again. */
static char *describe(World *world) {
        g_autoptr(GString) text = g_string_new(NULL);
        g_autoptr(GPtrArray) psks = NULL;
        g_autoptr(GPtrArray) trusts = NULL;
        g_auto(GStrv) lines = NULL;

        world_open(world);
        say_identities(text, world);
        psks = psks_list(world->psks);
        for (guint i = 0; i < psks->len; i++) {
                const StoredPsk *psk = psks->pdata[i];

                g_string_append_printf(text, "\npsk %s %.*s:", psk->name,
                                       (int)g_bytes_get_size(psk->identity),
                                       (const char *)g_bytes_get_data(psk->identity, NULL));
                say_secret(text, vault_key_psk(psk->key));
        }
        trusts = trusts_list(world->trusts);
        for (guint i = 0; i < trusts->len; i++) {
                const TrustSet *set = trusts->pdata[i];

                g_string_append_printf(text, "\ntrust %s:", set->name);
                say_list(text, set->anchors);
        }
        g_assert_cmpint(pins_each(world->pins, say_pins, text), ==, 0);
        say_revoked(text, world);
        world_close(world);

        lines = g_strsplit(text->str, "\n", -1);
        qsort(lines, g_strv_length(lines), sizeof(char *), compare_text);
        return g_strjoinv("\n", lines);
}

/* ---- the changes ---- */

static int put_identity(const World *world, const char *name, const TestIdentity *identity) {
        GBytes *pem = test_identity_key_pem(identity);
        g_autoptr(GPtrArray) ders = test_chain_ders(identity, NULL);
        g_autoptr(Secret) secret = secret_new(g_bytes_get_data(pem, NULL), g_bytes_get_size(pem));
        g_autoptr(PrivateKey) key = NULL;
        g_autoptr(Chain) chain = NULL;
        const Identity *put;
        const char *text;

        g_assert_cmpint(chain_new(ders, &chain), ==, 0);
        g_assert_cmpint(private_key_read(secret, NULL, &key, &text), ==, 0);
        return identities_put(world->identities, name, chain, key, &put, &text);
}

static int wait_identity(const World *world, const char *name, const TestIdentity *identity) {
        GBytes *pem = test_identity_key_pem(identity);
        g_autoptr(Secret) key = secret_new(g_bytes_get_data(pem, NULL), g_bytes_get_size(pem));
        const char *text;

        return identities_wait(world->identities, name, key, &text);
}

static int install_identity(const World *world, const char *name, const TestIdentity *identity) {
        g_autoptr(GPtrArray) chain = test_chain_ders(identity, NULL);
        const Identity *installed;
        const char *text;

        return identities_install(world->identities, name, chain, &installed, &text);
}

static int put_psk(const World *world, const char *name, const char *key) {
        g_autoptr(GBytes) identity = g_bytes_new_static("sensor", 6);
        g_autoptr(Secret) secret = secret_new(key, strlen(key));
        const StoredPsk *psk;
        const char *text;

        return psks_put(world->psks, name, identity, secret, &psk, &text);
}

static int add_anchor(const World *world, const char *name, const TestIdentity *anchor) {
        g_autoptr(GPtrArray) blobs = test_blobs(test_identity_der(anchor), NULL);
        const TrustSet *set;
        const char *text;

        return trusts_add(world->trusts, name, blobs, &set, &text);
}

static int drop_anchor(const World *world, const char *name, const TestIdentity *anchor) {
        uint8_t digest[TRUST_FINGERPRINT_SIZE] = {0};
        gsize size = sizeof(digest);
        const TrustSet *set;
        const char *text;

        if (anchor) {
                GBytes *der = test_identity_der(anchor);
                g_autoptr(GChecksum) checksum = g_checksum_new(G_CHECKSUM_SHA256);

                g_checksum_update(checksum, g_bytes_get_data(der, NULL),
                                  (gssize)g_bytes_get_size(der));
                g_checksum_get_digest(checksum, digest, &size);
        }
        return trusts_remove(world->trusts, name, digest, anchor ? size : 0, &set, &text);
}

static int pin(const World *world, const char *table, const char *host, char key, bool first) {
        const PinPlace place = {table, host, 5684};
        uint8_t bytes[PIN_SIZE] = {(uint8_t)key};
        g_autoptr(GBytes) pinned = g_bytes_new(bytes, sizeof(bytes));
        g_autoptr(GPtrArray) keys = NULL;
        const char *text;

        return pins_add(world->pins, &place, pinned, first, &keys, &text);
}

/* @key 0: all of the host; @host "": all of the table. */
static int unpin(const World *world, const char *table, const char *host, char key) {
        const PinPlace place = {table, host, *host ? 5684 : 0};
        uint8_t bytes[PIN_SIZE] = {(uint8_t)key};
        g_autoptr(GBytes) pinned = key ? g_bytes_new(bytes, sizeof(bytes)) : NULL;
        g_autoptr(GPtrArray) keys = NULL;
        const char *text;

        return pins_remove(world->pins, &place, pinned, &keys, &text);
}

static int deny(const World *world, const char *name, const char *hash) {
        g_autoptr(GBytes) text = g_bytes_new(hash, strlen(hash));
        const char *why;

        return revoked_put(world->revoked, name, text, &why);
}

/* One of each kind for each change to be made of it, and what is its neighbour. */
static void prepare(World *world) {
        world_open(world);
        g_assert_cmpint(put_identity(world, "gateway", world->first), ==, 0);
        g_assert_cmpint(put_identity(world, "next", world->first), ==, 0);
        g_assert_cmpint(wait_identity(world, "next", world->second), ==, 0);
        g_assert_cmpint(put_psk(world, "sensor", "the key"), ==, 0);
        g_assert_cmpint(add_anchor(world, "field", world->first), ==, 0);
        g_assert_cmpint(add_anchor(world, "fields", world->first), ==, 0);
        g_assert_cmpint(add_anchor(world, "fields", world->second), ==, 0);
        g_assert_cmpint(pin(world, "pins", "meter", 1, false), ==, 0);
        g_assert_cmpint(pin(world, "pins", "meter", 2, false), ==, 0);
        g_assert_cmpint(pin(world, "pins", "valve", 1, false), ==, 0);
        g_assert_cmpint(pin(world, "u/1000/pins", "meter", 1, false), ==, 0);
        g_assert_cmpint(deny(world, "stolen", HASH), ==, 0);
        world_close(world);
        world->prepared = ground_save(&world->ground);
}

static int identity_new(const World *world) {
        return put_identity(world, "u/1000/own", world->second);
}

static int identity_replaced(const World *world) {
        return put_identity(world, "gateway", world->second);
}

static int identity_removed(const World *world) {
        return identities_remove(world->identities, "gateway");
}

static int key_made(const World *world) {
        return wait_identity(world, "u/1000/own", world->second);
}

static int key_made_for_the_next_certificate(const World *world) {
        return wait_identity(world, "gateway", world->second);
}

static int certificate_installed(const World *world) {
        return install_identity(world, "next", world->second);
}

static int psk_new(const World *world) {
        return put_psk(world, "u/1000/own", "a key");
}

static int psk_replaced(const World *world) {
        return put_psk(world, "sensor", "another key, and a longer one");
}

static int psk_removed(const World *world) {
        return psks_remove(world->psks, "sensor");
}

static int trust_new(const World *world) {
        return add_anchor(world, "u/1000/own", world->second);
}

static int anchor_added(const World *world) {
        return add_anchor(world, "field", world->second);
}

static int anchor_removed(const World *world) {
        return drop_anchor(world, "fields", world->second);
}

static int last_anchor_removed(const World *world) {
        return drop_anchor(world, "field", world->first);
}

static int trust_removed(const World *world) {
        return drop_anchor(world, "fields", NULL);
}

static int pin_of_a_new_table(const World *world) {
        return pin(world, "u/1001/pins", "meter", 3, false);
}

static int pin_of_the_first_time(const World *world) {
        return pin(world, "u/1000/pins", "pump", 3, true);
}

static int pin_added(const World *world) {
        return pin(world, "pins", "valve", 2, false);
}

static int pin_removed(const World *world) {
        return unpin(world, "pins", "meter", 2);
}

static int host_unpinned(const World *world) {
        return unpin(world, "pins", "meter", 0);
}

static int table_removed(const World *world) {
        return unpin(world, "pins", "", 0);
}

static int revocations_new_entry(const World *world) {
        return deny(world, "u/1000/own", HASH);
}

static int revocations_replaced(const World *world) {
        return deny(world, "stolen", HASH HASH);
}

static int revocations_removed(const World *world) {
        return revoked_remove(world->revoked, "stolen");
}

/* ---- killed ---- */

typedef struct Victim {
        const World *world;
        Deed deed;
} Victim;

/* In a process of its own. */
static void do_it(const void *data) {
        const Victim *victim = data;
        World world = *victim->world;

        world_open(&world);
        killer_ready();
        if (victim->deed(&world) != 0)
                _exit(1);
}

static void kill_everywhere(World *world, const Case *at) {
        const Victim victim = {world, at->deed};
        g_autofree char *before = NULL, *after = NULL;
        unsigned n_before = 0, n_after = 0;

        before = describe(world);
        g_assert_false(killer_kills(do_it, &victim, STOPS_MAX));
        after = describe(world);
        g_assert_cmpstr(before, !=, after);

        ground_restore(&world->ground, world->prepared);
        for (unsigned n = 1; killer_kills(do_it, &victim, n); n++) {
                g_autofree char *now = describe(world);
                bool is_after = g_str_equal(now, after);

                n_after += is_after;
                n_before += !is_after;
                if (!is_after && !g_str_equal(now, before))
                        g_error("%s, killed at stop %u: now there is\n%s\nand not\n%s\nor\n%s",
                                at->name, n, now, before, after);
                ground_restore(&world->ground, world->prepared);
        }
        ground_restore(&world->ground, world->prepared);

        g_test_message("%s: as before %u times, as after %u times", at->name, n_before, n_after);
        g_assert_cmpuint(n_before, >, 0);
        g_assert_cmpuint(n_after, >, 0);
}

static const Case cases[] = {
        {"identity-new", identity_new},
        {"identity-replaced", identity_replaced},
        {"identity-removed", identity_removed},
        {"key-made", key_made},
        {"key-made-for-the-next-certificate", key_made_for_the_next_certificate},
        {"certificate-installed", certificate_installed},
        {"psk-new", psk_new},
        {"psk-replaced", psk_replaced},
        {"psk-removed", psk_removed},
        {"trust-new", trust_new},
        {"anchor-added", anchor_added},
        {"anchor-removed", anchor_removed},
        {"last-anchor-removed", last_anchor_removed},
        {"trust-removed", trust_removed},
        {"pin-of-a-new-table", pin_of_a_new_table},
        {"pin-of-the-first-time", pin_of_the_first_time},
        {"pin-added", pin_added},
        {"pin-removed", pin_removed},
        {"host-unpinned", host_unpinned},
        {"table-removed", table_removed},
        {"revocations-new", revocations_new_entry},
        {"revocations-replaced", revocations_replaced},
        {"revocations-removed", revocations_removed},
};

static void killed_anywhere_it_is_the_old_or_the_new(gconstpointer sealed) {
        World world = {.ground = ground_new(sealed != NULL)};

        ground_close(&world.ground);
        world.first = test_identity_new("first", NULL, TEST_IDENTITY_CA, TEST_KEY_ECDSA);
        world.second = test_identity_new("second", NULL, TEST_IDENTITY_CA, TEST_KEY_ED25519);
        prepare(&world);
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
                kill_everywhere(&world, &cases[i]);
        test_identity_free(world.first);
        test_identity_free(world.second);
        g_hash_table_unref(world.prepared);
        ground_done(&world.ground);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_data_func("/killed/plain/anywhere-it-is-the-old-or-the-new", NULL,
                             killed_anywhere_it_is_the_old_or_the_new);
        g_test_add_data_func("/killed/sealed/anywhere-it-is-the-old-or-the-new", "",
                             killed_anywhere_it_is_the_old_or_the_new);
        return g_test_run();
}
