/* test_breaker.c -- closed, open, half-open, and round again. */
#include "routing/breaker.h"

#include <criterion/criterion.h>
#include <string.h>

static const struct breaker_policy half = { .percent = 50, .least = 10, .open_ms = 1000 };
static uint64_t wait_ms;

static enum breaker_turn tell(struct breaker *b, bool trial, bool failed, uint64_t now_ms)
{
    return breaker_tell(b, &half, trial, failed, now_ms);
}

/* Open since 1000. */
static struct breaker opened(void)
{
    static struct breaker none;
    struct breaker b = none;

    for (unsigned i = 0; i < 9; i++)
        tell(&b, false, true, 1000);
    cr_assert_eq(tell(&b, false, true, 1000), BREAKER_OPENED);
    return b;
}

Test(breaker, opens_when_so_many_of_enough_have_failed)
{
    struct breaker b = { 0 };

    for (unsigned i = 0; i < 8; i++)
        cr_expect_eq(tell(&b, false, true, 1000), BREAKER_AS_IT_WAS, "too few to say anything");
    for (unsigned i = 0; i < 9; i++)
        tell(&b, false, false, 1000);
    cr_expect_eq(breaker_ask(&b, &half, 1000, &wait_ms), BREAKER_PASS);
    cr_expect_eq(tell(&b, false, true, 1000), BREAKER_OPENED);
    cr_expect_eq(breaker_ask(&b, &half, 1400, &wait_ms), BREAKER_REFUSE);
    cr_expect_eq(wait_ms, 600);
    cr_expect_str_eq(breaker_state_name(&b, 1400), "open");
}

Test(breaker, what_is_long_past_is_forgotten)
{
    struct breaker b = { 0 };

    for (unsigned i = 0; i < 9; i++)
        tell(&b, false, true, 1000);
    cr_expect_eq(tell(&b, false, true, 1000 + 2 * BREAKER_WINDOW_MS), BREAKER_AS_IT_WAS);
}

Test(breaker, closes_when_all_trials_go_well)
{
    struct breaker b = opened();

    for (unsigned i = 0; i < BREAKER_TRIALS; i++)
        cr_expect_eq(breaker_ask(&b, &half, 2000, &wait_ms), BREAKER_TRIAL);
    cr_expect_eq(breaker_ask(&b, &half, 2000, &wait_ms), BREAKER_REFUSE, "a few, not all");
    cr_expect_str_eq(breaker_state_name(&b, 2000), "half-open");
    tell(&b, true, false, 2001);
    tell(&b, true, false, 2001);
    cr_expect_eq(tell(&b, true, false, 2002), BREAKER_CLOSED);
    cr_expect_eq(breaker_ask(&b, &half, 2002, &wait_ms), BREAKER_PASS);
    cr_expect_eq(tell(&b, false, true, 2002), BREAKER_AS_IT_WAS, "old failures are forgotten");
}

Test(breaker, opens_again_when_one_trial_fails)
{
    struct breaker b = opened();

    breaker_ask(&b, &half, 2000, &wait_ms);
    breaker_ask(&b, &half, 2000, &wait_ms);
    tell(&b, true, false, 2001);
    cr_expect_eq(tell(&b, true, true, 2002), BREAKER_OPENED);
    cr_expect_eq(breaker_ask(&b, &half, 2003, &wait_ms), BREAKER_REFUSE);
    cr_expect_eq(breaker_ask(&b, &half, 3002, &wait_ms), BREAKER_TRIAL);
}

Test(breaker, late_news_of_before_it_opened_changes_nothing)
{
    struct breaker b = opened();

    for (unsigned i = 0; i < 100; i++)
        cr_expect_eq(tell(&b, false, i % 2 == 0, 1500), BREAKER_AS_IT_WAS);
    cr_expect_eq(breaker_ask(&b, &half, 2000, &wait_ms), BREAKER_TRIAL);
}

Test(breaker, trials_that_end_without_a_word_give_their_place_back)
{
    struct breaker b = opened();

    for (unsigned i = 0; i < 10; i++) {
        cr_expect_eq(breaker_ask(&b, &half, 2000, &wait_ms), BREAKER_TRIAL);
        breaker_untell(&b);
    }
    for (unsigned i = 0; i < BREAKER_TRIALS; i++)
        breaker_ask(&b, &half, 2000, &wait_ms);
    cr_expect_eq(breaker_ask(&b, &half, 2500, &wait_ms), BREAKER_REFUSE);
    cr_expect_eq(breaker_ask(&b, &half, 3000, &wait_ms), BREAKER_TRIAL,
                 "nor do hanging ones block it");
}
