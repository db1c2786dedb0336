/* test_wait_queue.c -- whose turn it is. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/random.h"
#include "base/wait_queue.h"

static struct wait_queue *q;
static struct waiter waiters[4096];
static unsigned used;

static void start(void)
{
    q = wait_queue_new(2);
    used = 0;
}

static struct waiter *add(const char *group, uint32_t share)
{
    struct waiter *w = &waiters[used++];

    list_init(&w->node);
    wait_queue_add(q, w, str_from(group), share);
    return w;
}

/* Index of the one whose turn it was; -1: nobody waits. */
static int turn(void)
{
    struct waiter *w = wait_queue_next(q);

    if (w == NULL)
        return -1;
    wait_queue_take(q, w);
    return (int)(w - waiters);
}

TestSuite(wait_queue, .init = start);

Test(wait_queue, one_group_is_served_in_the_order_in_which_it_came)
{
    for (unsigned i = 0; i < 100; i++)
        add("a", 100);
    cr_expect_eq(q->waiting, 100);
    for (int i = 0; i < 100; i++)
        cr_assert_eq(turn(), i);
    cr_expect_eq(turn(), -1);
    cr_expect_eq(q->waiting, 0);
    wait_queue_free(q);
}

Test(wait_queue, one_waiter_does_not_wait_behind_a_thousand_of_another_group)
{
    struct waiter *late;

    for (unsigned i = 0; i < 1000; i++)
        add("many", 100);
    for (unsigned i = 0; i < 10; i++)
        turn();
    late = add("one", 100);
    for (unsigned i = 0; i < 2; i++)
        if (turn() == late - waiters)
            late = NULL;
    cr_expect_null(late, "it is next, or next but one");
    while (turn() >= 0)
        continue;
    wait_queue_free(q);
}

Test(wait_queue, turns_go_by_shares)
{
    unsigned of[3] = { 0 };

    for (unsigned i = 0; i < 300; i++) {
        add("a", 100);
        add("b", 200);
        add("c", 700);
    }
    for (unsigned i = 0; i < 300; i++)
        of[turn() % 3]++;
    cr_expect(of[0] >= 28 && of[0] <= 32, "%u", of[0]);
    cr_expect(of[1] >= 58 && of[1] <= 62, "%u", of[1]);
    cr_expect(of[2] >= 207 && of[2] <= 213, "%u", of[2]);
    while (turn() >= 0)
        continue;
    wait_queue_free(q);
}

/* Whoever is back at once after each turn gets no more than its share by being away in between. */
Test(wait_queue, a_group_that_comes_and_goes_has_its_share_and_no_more)
{
    unsigned of_few = 0;

    for (unsigned i = 0; i < 1000; i++)
        add("many", 300);
    add("few", 100);
    for (unsigned i = 0; i < 400; i++)
        if (turn() >= 1000) {
            of_few++;
            add("few", 100);
        }
    cr_expect(of_few >= 98 && of_few <= 102, "%u of 400", of_few);
    while (turn() >= 0)
        continue;
    wait_queue_free(q);
}

Test(wait_queue, who_waits_first_again_is_next_of_its_group)
{
    struct waiter *again = &waiters[2000];

    add("a", 100);
    add("a", 100);
    list_init(&again->node);
    wait_queue_add_first(q, again, STR("a"), 100);
    cr_expect_eq(turn(), 2000);
    cr_expect_eq(turn(), 0);
    cr_expect_eq(turn(), 1);
    wait_queue_free(q);
}

static void add_up(void *owner, struct str group, unsigned waiting)
{
    (void)group;
    *(unsigned *)owner += waiting;
}

/* Whatever comes and goes: everybody is served once, the order within a group holds, and groups that
 * nobody waits in any more do not pile up. */
Test(wait_queue, anything_goes_in_any_order)
{
    struct random random = { 4711 };
    bool waits[4096] = { 0 };
    int last[64], group_of[4096];
    unsigned waiting = 0, sum = 0;

    for (unsigned i = 0; i < 64; i++)
        last[i] = -1;
    while (used < 4096) {
        unsigned what = (unsigned)random_below(&random, 10), who;
        char group[16];
        int at;

        if (what < 5) {
            group_of[used] = (int)random_below(&random, 64);
            snprintf(group, sizeof(group), "g%d", group_of[used]);
            waits[used] = true;
            waiting++;
            add(group, 1 + (uint32_t)group_of[used] * 10);
        } else if (what < 6 && used > 0) {
            who = (unsigned)random_below(&random, used);
            if (waits[who])
                wait_queue_remove(q, &waiters[who]);
            waiting -= waits[who];
            waits[who] = false;
        } else if ((at = turn()) >= 0) {
            cr_assert(waits[at]);
            cr_assert_gt(at, last[group_of[at]], "the order within a group");
            last[group_of[at]] = at;
            waits[at] = false;
            waiting--;
        } else {
            cr_assert_eq(waiting, 0);
        }
        cr_assert_eq(q->waiting, waiting);
    }
    wait_queue_groups(q, add_up, &sum);
    cr_expect_eq(sum, waiting);
    for (; waiting > 0; waiting--)
        cr_assert_geq(turn(), 0);
    cr_expect_eq(turn(), -1);
    wait_queue_free(q);
}

Test(wait_queue, groups_that_went_are_forgotten)
{
    char group[16];

    for (unsigned i = 0; i < 100000; i++) {
        snprintf(group, sizeof(group), "g%u", i);
        used = i % 2;
        add(group, 1);
        if (i > 0)
            turn();
    }
    cr_expect_lt(q->heap_count, 1000, "%zu", q->heap_count);
    turn();
    wait_queue_free(q);
}
