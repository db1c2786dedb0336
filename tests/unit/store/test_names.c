/* test_names.c -- the set of names against a plain list of them. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/random.h"
#include "store/names.h"

#define ALL 3000

static struct str name_of(unsigned i, char to[32])
{
    return str_slice(to, (size_t)snprintf(to, 32, "h%u.example", i));
}

static enum family family_of(unsigned i)
{
    return i % 3 == 0 ? FAMILY_tenant : FAMILY_host;
}

struct truth {
    bool has[ALL], seen[ALL];
};

static void expect_same(const struct names *n, const struct truth *t)
{
    size_t count = 0, hosts = 0, unseen = 0, unseen_hosts = 0;
    char text[32];

    for (unsigned i = 0; i < ALL; i++) {
        bool host = family_of(i) == FAMILY_host;

        cr_assert_eq(names_has(n, family_of(i), name_of(i, text)), t->has[i], "%u", i);
        cr_assert_eq(names_is_seen(n, family_of(i), name_of(i, text)), t->has[i] && t->seen[i]);
        count += t->has[i];
        hosts += t->has[i] && host;
        unseen += t->has[i] && !t->seen[i];
        unseen_hosts += t->has[i] && !t->seen[i] && host;
    }
    cr_assert_eq(n->count, count);
    cr_assert_eq(n->hosts, hosts);
    cr_assert_eq(n->unseen, unseen);
    cr_assert_eq(n->unseen_hosts, unseen_hosts);
}

Test(store_names, hold_what_was_added_and_know_what_was_seen)
{
    static struct truth t;
    struct random r = { .state = 42 };
    struct names n;
    char text[32];

    names_init(&n);
    expect_same(&n, &t);
    for (unsigned turn = 0; turn < 6; turn++) {
        for (unsigned k = 0; k < 4000; k++) {
            unsigned i = (unsigned)random_below(&r, ALL);
            bool seen = random_below(&r, 2) == 0;

            if (random_below(&r, 4) == 0) {
                names_remove(&n, family_of(i), name_of(i, text));
                t.has[i] = false;
                continue;
            }
            names_add(&n, family_of(i), name_of(i, text), seen);
            t.seen[i] = (t.has[i] && t.seen[i]) || seen;
            t.has[i] = true;
        }
        expect_same(&n, &t);
        if (turn % 3 == 2) {
            names_drop_unseen(&n);
            for (unsigned i = 0; i < ALL; i++)
                t.has[i] = t.has[i] && t.seen[i];
            expect_same(&n, &t);
        }
        names_begin(&n);
        memset(t.seen, 0, sizeof(t.seen));
        expect_same(&n, &t);
    }
    names_free(&n);
}

Test(store_names, of_one_name_in_two_families_are_two)
{
    struct names n;

    names_init(&n);
    names_add(&n, FAMILY_host, STR("acme"), true);
    cr_expect_not(names_has(&n, FAMILY_tenant, STR("acme")));
    names_remove(&n, FAMILY_tenant, STR("acme"));
    cr_expect(names_has(&n, FAMILY_host, STR("acme")));
    names_free(&n);
}

Test(store_names, merge_into_others_unseen)
{
    struct names a, b;

    names_init(&a);
    names_init(&b);
    names_add(&a, FAMILY_host, STR("one"), true);
    names_add(&b, FAMILY_host, STR("one"), true);
    names_add(&b, FAMILY_host, STR("two"), true);
    names_merge(&a, &b);
    cr_expect_eq(a.count, 2);
    cr_expect_eq(a.unseen, 1);
    cr_expect(names_is_seen(&a, FAMILY_host, STR("one")));
    names_free(&a);
    names_free(&b);
}

Test(store_names, of_a_million_hosts_take_little_memory)
{
    struct names n;
    char text[32];

    names_init(&n);
    for (unsigned i = 0; i < 1000000; i++)
        names_add(&n, FAMILY_host, name_of(i, text), true);
    cr_expect_eq(n.count, 1000000, "no two were taken for one");
    cr_expect_leq(names_bytes(&n), 32u << 20);
    for (unsigned i = 1000000; i < 2000000; i++)
        cr_assert_not(names_has(&n, FAMILY_host, name_of(i, text)));
    names_free(&n);
}
