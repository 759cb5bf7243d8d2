/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* seal: what is given away comes back whole, to whom it was given, or not at all. */

#include "base/seal.h"

#include <string.h>

#define TEXT "nobody may read this"
#define BOUND "alice"

typedef struct World {
        Seal *seal;
        GBytes *sealed;
} World;

static void set_up(World *world, gconstpointer unused) {
        g_autoptr(Secret) secret = secret_new(TEXT, sizeof TEXT);

        g_assert_cmpint(seal_new(&world->seal), ==, 0);
        g_assert_cmpint(seal_close(world->seal, BOUND, sizeof BOUND, secret, &world->sealed), ==,
                        0);
}

static void tear_down(World *world, gconstpointer unused) {
        world->seal = seal_free(world->seal);
        g_bytes_unref(world->sealed);
}

static int open_bytes(const World *world, const void *data, size_t size) {
        g_autoptr(GBytes) sealed = g_bytes_new(data, size);
        g_autoptr(Secret) secret = NULL;

        return seal_open(world->seal, BOUND, sizeof BOUND, sealed, &secret);
}

static void test_comes_back(World *world, gconstpointer unused) {
        g_autoptr(Secret) secret = NULL;

        g_assert_cmpint(seal_open(world->seal, BOUND, sizeof BOUND, world->sealed, &secret), ==, 0);
        g_assert_cmpmem(secret_peek(secret), secret_size(secret), TEXT, sizeof TEXT);
        g_assert_cmpuint(g_bytes_get_size(world->sealed), ==, sizeof TEXT + SEAL_OVERHEAD);
}

static void test_cannot_be_read(World *world, gconstpointer unused) {
        g_autoptr(Secret) secret = secret_new(TEXT, sizeof TEXT);
        g_autoptr(GBytes) again = NULL;
        gsize size;
        const void *data = g_bytes_get_data(world->sealed, &size);

        g_assert_null(memmem(data, size, "nobody", 6));
        g_assert_cmpint(seal_close(world->seal, BOUND, sizeof BOUND, secret, &again), ==, 0);
        g_assert_false(g_bytes_equal(world->sealed, again));
}

static void test_every_changed_bit_is_seen(World *world, gconstpointer unused) {
        gsize size;
        const uint8_t *data = g_bytes_get_data(world->sealed, &size);

        for (size_t i = 0; i < size; i++) {
                g_autofree uint8_t *changed = g_memdup2(data, size);

                changed[i] ^= 1;
                g_assert_cmpint(open_bytes(world, changed, size), ==, SEAL_E_FOREIGN);
                g_assert_cmpint(open_bytes(world, data, i), ==, SEAL_E_FOREIGN);
        }
}

static void test_is_for_one_alone(World *world, gconstpointer unused) {
        g_autoptr(Seal) other = NULL;
        g_autoptr(Secret) secret = NULL;

        g_assert_cmpint(seal_open(world->seal, "bob", 4, world->sealed, &secret), ==,
                        SEAL_E_FOREIGN);
        g_assert_cmpint(seal_open(world->seal, NULL, 0, world->sealed, &secret), ==,
                        SEAL_E_FOREIGN);
        g_assert_cmpint(seal_new(&other), ==, 0);
        g_assert_cmpint(seal_open(other, BOUND, sizeof BOUND, world->sealed, &secret), ==,
                        SEAL_E_FOREIGN);
        g_assert_null(secret);
}

static void test_nothing_can_be_sealed_too(World *world, gconstpointer unused) {
        g_autoptr(Secret) nothing = secret_new(NULL, 0), back = NULL;
        g_autoptr(GBytes) sealed = NULL;

        g_assert_cmpint(seal_close(world->seal, NULL, 0, nothing, &sealed), ==, 0);
        g_assert_cmpint(seal_open(world->seal, NULL, 0, sealed, &back), ==, 0);
        g_assert_cmpuint(secret_size(back), ==, 0);
}

/* AES-256-GCM's own test, case 14: nonce, ciphertext, tag. What is on disks is of this form. */
static void test_a_key_opens_what_it_closed_elsewhere(void) {
        static const uint8_t elsewhere[SEAL_OVERHEAD + 16] =
                "\0\0\0\0\0\0\0\0\0\0\0\0"
                "\xce\xa7\x40\x3d\x4d\x60\x6b\x6e\x07\x4e\xc5\xd3\xba\xf3\x9d\x18"
                "\xd0\xd1\xc8\xa7\x99\x99\x6b\xf0\x26\x5b\x98\xb5\xd4\x8a\xb9\x19";
        g_autoptr(GBytes) sealed = g_bytes_new_static(elsewhere, sizeof elsewhere);
        g_autoptr(Secret) key = secret_new_zero(SEAL_KEY_SIZE);
        g_autoptr(Secret) zeros = secret_new_zero(16);
        g_autoptr(Secret) secret = NULL;
        g_autoptr(Seal) seal = NULL;

        g_assert_cmpint(seal_new_of(key, &seal), ==, 0);
        g_assert_cmpint(seal_open(seal, NULL, 0, sealed, &secret), ==, 0);
        g_assert_cmpmem(secret_peek(secret), secret_size(secret), secret_peek(zeros), 16);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add("/seal/comes-back", World, NULL, set_up, test_comes_back, tear_down);
        g_test_add("/seal/cannot-be-read", World, NULL, set_up, test_cannot_be_read, tear_down);
        g_test_add("/seal/every-changed-bit-is-seen", World, NULL, set_up,
                   test_every_changed_bit_is_seen, tear_down);
        g_test_add("/seal/is-for-one-alone", World, NULL, set_up, test_is_for_one_alone, tear_down);
        g_test_add("/seal/nothing-can-be-sealed-too", World, NULL, set_up,
                   test_nothing_can_be_sealed_too, tear_down);
        g_test_add_func("/seal/a-key-opens-what-it-closed-elsewhere",
                        test_a_key_opens_what_it_closed_elsewhere);
        return g_test_run();
}
