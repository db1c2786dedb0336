/* test_token_bucket.c -- rates by one number, on a clock that stands where the test puts it. */
#include "base/token_bucket.h"

#include <criterion/criterion.h>
#include <pthread.h>

#define MS 1000000ull
#define NOW (1000000 * MS)

/* How many are taken until one is refused. */
static unsigned take_all(struct token_bucket *b, uint64_t now, uint64_t cost, uint64_t burst,
                         uint64_t *wait)
{
    unsigned taken = 0;

    while (token_bucket_take(b, now, cost, burst, wait))
        taken++;
    return taken;
}

Test(token_bucket, gives_its_burst_and_then_its_rate)
{
    struct token_bucket b = { 0 };
    uint64_t wait = 0;

    cr_expect_eq(take_all(&b, NOW, 10 * MS, 50 * MS, &wait), 5);
    cr_expect_eq(wait, 10 * MS);
    cr_expect_eq(take_all(&b, NOW + 9 * MS, 10 * MS, 50 * MS, &wait), 0);
    cr_expect_eq(wait, MS, "and says for how long");
    cr_expect_eq(take_all(&b, NOW + 10 * MS, 10 * MS, 50 * MS, &wait), 1);
    cr_expect_eq(take_all(&b, NOW + 40 * MS, 10 * MS, 50 * MS, &wait), 3);
    cr_expect_eq(take_all(&b, NOW + 9000 * MS, 10 * MS, 50 * MS, &wait), 5, "never more than that");
}

Test(token_bucket, writes_nothing_when_it_refuses)
{
    struct token_bucket b = { 0 };
    uint64_t wait = 0, paid;

    take_all(&b, NOW, 10 * MS, 10 * MS, &wait);
    paid = atomic_load(&b.paid_ns);
    for (unsigned i = 0; i < 100; i++)
        cr_assert_not(token_bucket_take(&b, NOW + MS, 10 * MS, 10 * MS, &wait));
    cr_expect_eq(atomic_load(&b.paid_ns), paid);
}

Test(token_bucket, a_burst_less_than_one_is_one)
{
    struct token_bucket b = { 0 };
    uint64_t wait;

    cr_expect_eq(take_all(&b, NOW, 10 * MS, 0, &wait), 1);
}

/* One a second with a burst of 60 is used up; then the rate becomes a hundred a second: what was owed is not held
 * against it for a minute. The other way round the debt is what it was, and no more. */
Test(token_bucket, a_changed_rate_owes_no_more_than_its_own_burst)
{
    struct token_bucket b = { 0 };
    uint64_t wait;

    cr_expect_eq(take_all(&b, NOW, 1000 * MS, 60000 * MS, &wait), 60);
    cr_expect_eq(take_all(&b, NOW, 10 * MS, 1000 * MS, &wait), 0);
    cr_expect_eq(take_all(&b, NOW + 10 * MS, 10 * MS, 1000 * MS, &wait), 1);
    cr_expect_eq(take_all(&b, NOW + 1010 * MS, 10 * MS, 1000 * MS, &wait), 100);
    cr_expect_eq(take_all(&b, NOW + 2010 * MS, 1000 * MS, 60000 * MS, &wait), 60,
                 "nothing is owed from then on");
}

Test(token_bucket, spending_says_how_long_to_wait)
{
    struct token_bucket b = { 0 };

    cr_expect_eq(token_bucket_spend(&b, NOW, 80 * MS, 100 * MS), 0);
    cr_expect_eq(token_bucket_spend(&b, NOW, 80 * MS, 100 * MS), 60 * MS);
    cr_expect_eq(token_bucket_debt(&b, NOW + 10 * MS), 150 * MS);
    token_bucket_return(&b, 80 * MS);
    cr_expect_eq(token_bucket_debt(&b, NOW), 80 * MS);
    cr_expect_eq(token_bucket_debt(&b, NOW + 1000 * MS), 0);
}

static struct token_bucket shared;
static atomic_uint taken_by_all;

static void *take_many(void *arg)
{
    uint64_t wait;

    (void)arg;
    for (unsigned i = 0; i < 20000; i++)
        if (token_bucket_take(&shared, NOW, MS, 10000 * MS, &wait))
            atomic_fetch_add(&taken_by_all, 1);
    return NULL;
}

Test(token_bucket, is_exact_among_threads)
{
    pthread_t threads[4];

    for (unsigned i = 0; i < 4; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, take_many, NULL), 0);
    for (unsigned i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    cr_expect_eq(atomic_load(&taken_by_all), 10000);
}
