/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* pins: which keys a host may have, over a real store. */

#include "ground.h"
#include "keyring/pins.h"

#include <string.h>

#define OWN "u/1000/pins"
#define HOST "meter-7.example.org"

typedef struct World {
        Ground ground;
        Pins *pins;
        GBytes *first, *second;
} World;

static World world_new(void) {
        World world = {.ground = ground_new(/* sealed= */ false)};

        world.first = g_bytes_new_static("the first of keys has this hash.", PIN_SIZE);
        world.second = g_bytes_new_static("\0\xff and this is the next of them.", PIN_SIZE);
        g_assert_cmpint(pins_new(world.ground.store, &world.pins), ==, 0);
        return world;
}

static void world_close(World *world) {
        pins_free(world->pins);
        ground_close(&world->ground);
}

static void world_again(World *world) {
        world_close(world);
        ground_open(&world->ground);
        g_assert_cmpint(pins_new(world->ground.store, &world->pins), ==, 0);
}

static void world_done(World *world) {
        world_close(world);
        ground_done(&world->ground);
        g_bytes_unref(world->first);
        g_bytes_unref(world->second);
}

static int add_to(World *world, const char *table, const char *host, uint16_t port, GBytes *pin,
                  bool first) {
        const PinPlace place = {table, host, port};
        g_autoptr(GPtrArray) keys = NULL;
        const char *text;

        return pins_add(world->pins, &place, pin, first, &keys, &text);
}

static int add(World *world, GBytes *pin, bool first) {
        return add_to(world, OWN, HOST, 5684, pin, first);
}

static int drop(World *world, const char *host, uint16_t port, GBytes *pin) {
        const PinPlace place = {OWN, host, port};
        g_autoptr(GPtrArray) keys = NULL;
        const char *text;

        return pins_remove(world->pins, &place, pin, &keys, &text);
}

typedef struct Search {
        PinPlace place;
        GBytes *pin;
        unsigned n_places;
        bool found;
} Search;

static int search(const PinPlace *place, GPtrArray *keys, void *userdata) {
        Search *s = userdata;

        s->n_places++;
        if (g_str_equal(place->table, s->place.table) && g_str_equal(place->host, s->place.host) &&
            place->port == s->place.port && s->pin)
                s->found = g_ptr_array_find_with_equal_func(keys, s->pin, (GEqualFunc)g_bytes_equal,
                                                            NULL);
        return 0;
}

static bool has(const World *world, const char *table, const char *host, uint16_t port,
                GBytes *pin) {
        Search s = {.place = {table, host, port}, .pin = pin};

        g_assert_cmpint(pins_each(world->pins, search, &s), ==, 0);
        return s.found;
}

static unsigned count(const World *world) {
        Search s = {.place = {"", "", 0}};

        g_assert_cmpint(pins_each(world->pins, search, &s), ==, 0);
        return s.n_places;
}

static void are_there_again(void) {
        World world = world_new();

        g_assert_cmpint(add(&world, world.first, false), ==, 0);
        g_assert_cmpint(add(&world, world.second, false), ==, 0);
        g_assert_cmpint(add(&world, world.second, false), ==, 0); /* once */
        g_assert_cmpint(add_to(&world, "pins", "2001:db8::1", 1, world.first, false), ==, 0);
        world_again(&world);
        g_assert_cmpuint(count(&world), ==, 2);
        g_assert_true(has(&world, OWN, HOST, 5684, world.first));
        g_assert_true(has(&world, OWN, HOST, 5684, world.second));
        g_assert_true(has(&world, "pins", "2001:db8::1", 1, world.first));
        g_assert_false(has(&world, "pins", HOST, 5684, world.first));
        g_assert_false(has(&world, "u/100/pins", HOST, 5684, world.first));

        g_assert_cmpint(drop(&world, HOST, 5684, world.first), ==, 0);
        g_assert_cmpint(drop(&world, HOST, 5684, world.first), ==, PINS_E_UNKNOWN);
        g_assert_cmpint(drop(&world, HOST, 5685, NULL), ==, PINS_E_UNKNOWN);
        world_again(&world);
        g_assert_false(has(&world, OWN, HOST, 5684, world.first));
        g_assert_true(has(&world, OWN, HOST, 5684, world.second));

        g_assert_cmpint(drop(&world, HOST, 5684, NULL), ==, 0);
        world_again(&world);
        g_assert_cmpuint(count(&world), ==, 1);
        world_done(&world);
}

static void the_first_one_is_the_first(void) {
        World world = world_new();

        g_assert_cmpint(add(&world, world.first, true), ==, 0);
        g_assert_cmpint(add(&world, world.first, true), ==, 0);
        g_assert_cmpint(add(&world, world.second, true), ==, PINS_E_TAKEN);
        world_again(&world);
        g_assert_false(has(&world, OWN, HOST, 5684, world.second));
        world_done(&world);
}

/* Who asked whether there was any may have been told no before the administrator said. */
static void none_is_the_first_beside_the_administrators(void) {
        World world = world_new();

        g_assert_cmpint(add_to(&world, "pins", HOST, 5684, world.first, false), ==, 0);
        g_assert_cmpint(add(&world, world.second, true), ==, PINS_E_TAKEN);
        g_assert_false(has(&world, OWN, HOST, 5684, world.second));
        g_assert_cmpint(add(&world, world.first, true), ==, 0);
        g_assert_cmpint(add(&world, world.second, false), ==, 0);
        g_assert_cmpint(add_to(&world, OWN, HOST, 5685, world.second, true), ==, 0);
        world_done(&world);
}

static void places_have_one_spelling(void) {
        static const char *const tables[] = {"",         "x",         "pins/x",
                                             "u/1000/x", "u/01/pins", "u/x/pins"};
        static const char *const hosts[] = {"Meter", "meter.",         "a b",
                                            "[x]",   "::ffff:1.2.3.4", "a\n"};
        World world = world_new();

        for (size_t i = 0; i < G_N_ELEMENTS(tables); i++)
                g_assert_cmpint(add_to(&world, tables[i], HOST, 1, world.first, false), ==,
                                PINS_E_BAD);
        for (size_t i = 0; i < G_N_ELEMENTS(hosts); i++)
                g_assert_cmpint(add_to(&world, OWN, hosts[i], 1, world.first, false), ==,
                                PINS_E_BAD);
        g_assert_cmpint(add_to(&world, OWN, HOST, 0, world.first, false), ==, PINS_E_BAD);
        g_assert_cmpuint(count(&world), ==, 0);
        world_done(&world);
}

/* Nothing is believed of it, nothing is pinned as if it had never been, and nobody else is hurt. */
static void a_damaged_table_stays_until_it_is_let_go(void) {
        static const char *const bodies[] = {
                "nonsense",
                "[meter 5684]\nKeys=AAAA\n",
                "[meter 5684]\n",
                "[Meter 5684]\nKeys=MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\n",
                "[meter 0]\nKeys=MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\n",
                "[meter]\nKeys=MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\n"};
        World world = world_new();

        g_assert_cmpint(add_to(&world, "pins", HOST, 1, world.first, false), ==, 0);
        for (size_t i = 0; i < G_N_ELEMENTS(bodies); i++) {
                g_test_message("%s", bodies[i]);
                ground_write(&world.ground, STORE_PINS, OWN, bodies[i]);
                world_again(&world);
                g_assert_cmpuint(count(&world), ==, 2); /* it is told of, with nothing in it */
                g_assert_cmpint(add(&world, world.first, true), ==, PINS_E_DAMAGED);
                g_assert_cmpint(drop(&world, HOST, 5684, NULL), ==, PINS_E_DAMAGED);
        }

        g_assert_cmpint(drop(&world, "", 0, NULL), ==, 0);
        g_assert_cmpint(drop(&world, "", 0, NULL), ==, PINS_E_UNKNOWN);
        g_assert_cmpint(add(&world, world.first, true), ==, 0);
        g_assert_true(has(&world, "pins", HOST, 1, world.first));
        world_done(&world);
}

/* The administrator may have pinned another key there; whoever says so itself is believed. */
static void nothing_is_first_where_the_administrators_are_damaged(void) {
        World world = world_new();

        ground_write(&world.ground, STORE_PINS, "pins", "nonsense");
        world_again(&world);
        g_assert_cmpint(add(&world, world.first, true), ==, PINS_E_DAMAGED);
        g_assert_cmpuint(count(&world), ==, 1);
        g_assert_cmpint(add(&world, world.first, false), ==, 0);
        world_done(&world);
}

static void there_are_so_many(void) {
        World world = world_new();
        int r = 0;
        int n = 0;

        for (int i = 0; i < PINS_PER_HOST_MAX; i++) {
                uint8_t bytes[PIN_SIZE] = {(uint8_t)i};
                g_autoptr(GBytes) pin = g_bytes_new(bytes, sizeof(bytes));

                g_assert_cmpint(add(&world, pin, false), ==, 0);
        }
        g_assert_cmpint(add(&world, world.first, false), ==, PINS_E_FULL);

        /* long names fill the table's bytes before its places */
        for (; r == 0; n++) {
                g_autofree char *host = g_strdup_printf("%0200d", n);

                r = add_to(&world, "u/7/pins", host, 1, world.first, false);
        }
        g_assert_cmpint(r, ==, PINS_E_FULL);
        g_assert_cmpint(n, <, PINS_PER_USER_MAX);
        g_assert_cmpint(add_to(&world, "u/8/pins", HOST, 1, world.first, false), ==, 0);
        world_again(&world);
        g_assert_cmpuint(count(&world), ==, 1 + (unsigned)n - 1 + 1);
        world_done(&world);
}

static int store_ports(World *world, int n) {
        GString *text = g_string_new(NULL);
        g_autoptr(Secret) secret = NULL;
        int r;

        for (int i = 1; i <= n; i++)
                g_string_append_printf(
                        text, "[h %d]\nKeys=MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\n", i);
        secret = secret_new(text->str, text->len);
        r = store_put(world->ground.store, STORE_PINS, OWN, secret);
        (void)g_string_free(text, TRUE);
        return r;
}

static void a_user_has_so_many_hosts(void) {
        World world = world_new();

        g_assert_cmpint(store_ports(&world, PINS_PER_USER_MAX), ==, 0);
        world_again(&world);
        g_assert_cmpuint(count(&world), ==, PINS_PER_USER_MAX);
        g_assert_cmpint(add(&world, world.first, false), ==, PINS_E_FULL);
        g_assert_cmpint(drop(&world, "h", 1, NULL), ==, 0);
        g_assert_cmpint(add(&world, world.first, false), ==, 0);
        world_done(&world);
}

static void without_a_store_nothing_is_kept(void) {
        World world = {.first = g_bytes_new_static("the first of keys has this hash.", PIN_SIZE)};

        g_assert_cmpint(pins_new(NULL, &world.pins), ==, 0);
        g_assert_cmpint(add(&world, world.first, true), ==, PINS_E_NO_STORE);
        g_assert_cmpint(drop(&world, HOST, 5684, NULL), ==, PINS_E_NO_STORE);
        g_assert_cmpint(drop(&world, "", 0, NULL), ==, PINS_E_NO_STORE);
        pins_free(world.pins);
        g_bytes_unref(world.first);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/pins/are-there-again", are_there_again);
        g_test_add_func("/pins/the-first-one-is-the-first", the_first_one_is_the_first);
        g_test_add_func("/pins/none-is-the-first-beside-the-administrators",
                        none_is_the_first_beside_the_administrators);
        g_test_add_func("/pins/places-have-one-spelling", places_have_one_spelling);
        g_test_add_func("/pins/a-damaged-table-stays-until-it-is-let-go",
                        a_damaged_table_stays_until_it_is_let_go);
        g_test_add_func("/pins/nothing-is-first-where-the-administrators-are-damaged",
                        nothing_is_first_where_the_administrators_are_damaged);
        g_test_add_func("/pins/there-are-so-many", there_are_so_many);
        g_test_add_func("/pins/a-user-has-so-many-hosts", a_user_has_so_many_hosts);
        g_test_add_func("/pins/without-a-store-nothing-is-kept", without_a_store_nothing_is_kept);
        return g_test_run();
}
