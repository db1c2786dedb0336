/* test_host_table.c -- lines are found, moved up and grown as a list of the same names says. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "base/random.h"
#include "proxy/host_table.h"

#define NAMES 3000

static struct map_print print_of(unsigned n, char name[32])
{
    snprintf(name, 32, "h%u.test", n);
    return map_print_of(str_from(name));
}

Test(host_table, holds_what_was_added_and_not_removed_whatever_the_order)
{
    static bool there[NAMES];
    struct host_table t = { 0 };
    struct random random;
    size_t count = 0, seen = 0;
    char name[32];

    random_init(&random);
    for (unsigned step = 0; step < 60000; step++) {
        unsigned n = (unsigned)random_below(&random, NAMES);
        struct map_print print = print_of(n, name);
        struct host_line *line = host_table_find(&t, print);

        cr_assert_eq(line != NULL, there[n]);
        if (there[n]) {
            cr_assert_eq(line->site.slot, n);
            cr_assert_str_eq(host_table_side(&t, line)->name, name);
            host_table_remove(&t, line);
            count--;
        } else {
            host_table_add(&t, print, str_from(name))->site.slot = n;
            count++;
        }
        there[n] = !there[n];
        cr_assert_eq(t.count, count);
    }
    for (size_t at = 0; host_table_next(&t, &at) != NULL; seen++)
        continue;
    cr_expect_eq(seen, count);
    for (unsigned n = 0; n < NAMES; n++)
        cr_assert_eq(host_table_find(&t, print_of(n, name)) != NULL, there[n]);
    host_table_free(&t);
}

/* Prints that want the same place, at the table's end: lines stand behind one another around it. */
Test(host_table, lines_of_one_place_move_up_around_the_end)
{
    struct host_table t = { 0 };
    struct map_print prints[6];

    for (unsigned i = 0; i < 6; i++) {
        prints[i] = (struct map_print){ UINT64_MAX - (i % 2), i };
        host_table_add(&t, prints[i], STR("x"))->site.slot = i;
    }
    for (unsigned gone = 0; gone < 6; gone++) {
        host_table_remove(&t, host_table_find(&t, prints[gone]));
        for (unsigned i = 0; i < 6; i++) {
            struct host_line *line = host_table_find(&t, prints[i]);

            cr_assert_eq(line != NULL, i > gone);
            cr_assert(line == NULL || line->site.slot == i);
        }
    }
    host_table_free(&t);
}
