/* test_map.c -- the hash map against a plain array; the list; random numbers. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/list.h"
#include "base/map.h"
#include "base/random.h"

#define ITEMS 2000

struct item {
    char key[16];
    bool inside, seen;
};

static bool has_key(const void *value, struct str key)
{
    return str_equals(str_from(((const struct item *)value)->key), key);
}

static void expect_same(const struct map *m, struct item *items)
{
    size_t inside = 0, met = 0;
    struct item *item;

    for (unsigned i = 0; i < ITEMS; i++) {
        struct str key = str_from(items[i].key);

        cr_assert_eq(map_find(m, map_hash(key), key), items[i].inside ? &items[i] : NULL, "%s",
                     items[i].key);
        inside += items[i].inside;
        items[i].seen = false;
    }
    for (size_t at = 0; (item = map_next(m, &at)) != NULL; met++) {
        cr_assert_not(item->seen);
        item->seen = true;
    }
    cr_assert_eq(met, inside);
    cr_assert_eq(m->count, inside);
}

Test(base_map, holds_what_was_added_and_not_removed)
{
    struct item *items = calloc(ITEMS, sizeof(*items));
    struct random r;
    struct map m;

    random_init(&r);
    map_init(&m, has_key);
    for (unsigned i = 0; i < ITEMS; i++)
        snprintf(items[i].key, sizeof(items[i].key), "key%u", i);
    for (unsigned step = 0; step < 200000; step++) {
        struct item *item = &items[random_below(&r, step % 40000 < 20000 ? ITEMS : 50)];
        uint64_t hash = map_hash(str_from(item->key));

        if (item->inside)
            map_remove(&m, hash, item);
        else
            map_add(&m, hash, item);
        item->inside = !item->inside;
        if (step % 20000 == 0)
            expect_same(&m, items);
    }
    expect_same(&m, items);
    map_free(&m);
    free(items);
}

/* All in one bucket: slower, not wrong. */
Test(base_map, one_hash_for_all)
{
    struct item items[100] = { 0 };
    struct map m;

    map_init(&m, has_key);
    for (unsigned i = 0; i < 100; i++) {
        snprintf(items[i].key, sizeof(items[i].key), "key%u", i);
        map_add(&m, 15, &items[i]);
    }
    for (unsigned i = 0; i < 100; i += 2)
        map_remove(&m, 15, &items[i]);
    for (unsigned i = 0; i < 100; i++)
        cr_expect_eq(map_find(&m, 15, str_from(items[i].key)), i % 2 ? &items[i] : NULL);
    map_free(&m);
}

struct node {
    int number;
    struct list node;
};

Test(base_list, order_and_removal)
{
    struct node nodes[5];
    struct list head, other;
    int sum = 0, expected = 4;

    list_init(&head);
    list_init(&other);
    for (int i = 0; i < 5; i++) {
        nodes[i].number = i;
        list_init(&nodes[i].node);
        list_prepend(&head, &nodes[i].node);
    }
    LIST_EACH (at, after, &head) {
        struct node *n = LIST_ITEM(at, struct node, node);

        cr_expect_eq(n->number, expected--);
        if (n->number % 2)
            list_remove(&n->node);
    }
    list_remove(&nodes[1].node); /* harmless */
    list_append(&other, &nodes[1].node);
    list_move_all(&other, &head);
    cr_expect(list_is_empty(&head));
    cr_expect_eq(LIST_ITEM(list_take_first(&other), struct node, node)->number, 1);
    LIST_EACH (at, after, &other)
        sum += LIST_ITEM(at, struct node, node)->number;
    cr_expect_eq(sum, 6);
}

Test(base_random, keeps_below_its_limit)
{
    struct random r;
    unsigned seen[7] = { 0 };

    random_init(&r);
    for (unsigned i = 0; i < 70000; i++)
        seen[random_below(&r, 7)]++;
    for (unsigned i = 0; i < 7; i++)
        cr_expect(seen[i] > 9000 && seen[i] < 11000, "%u: %u", i, seen[i]);
    cr_expect_eq(random_below(&r, 1), 0);
}
