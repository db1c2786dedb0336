/* test_health_verdict.c -- what results and votes come to: rise and fall, agreement, running out, who is
 * believed. */
#include "control/health_verdict.h"

#include <criterion/criterion.h>

static const struct health_policy policy = {
    .rise = 2, .fall = 3, .interval_ms = 5000, .timeout_ms = 2000
};

#define KEEP 30000u

/* Results from `from_ms` on, one each second: '+' good, '-' failed. Returns how often the word changed. */
static unsigned results(struct health_own *own, const char *said, uint64_t from_ms)
{
    unsigned changes = 0;

    for (; *said != '\0'; said++, from_ms += 1000)
        changes += health_own_result(own, &policy, *said == '+', from_ms);
    return changes;
}

Test(health_verdict, the_first_result_decides_then_fall_and_rise_count)
{
    struct health_own up = { 0 }, down = { 0 };

    cr_expect(results(&up, "+", 1000) == 1 && up.word == HEALTH_UP);
    cr_expect(results(&up, "--", 2000) == 0 && up.word == HEALTH_UP);
    cr_expect(results(&up, "-", 4000) == 1 && up.word == HEALTH_DOWN);
    cr_expect_eq(up.failing_ms, 2000);
    cr_expect(results(&up, "+", 5000) == 0 && up.word == HEALTH_DOWN);
    cr_expect(results(&up, "+", 6000) == 1 && up.word == HEALTH_UP);
    cr_expect_eq(up.failing_ms, 0);
    cr_expect(results(&down, "-", 1000) == 1 && down.word == HEALTH_DOWN);
    cr_expect_eq(down.failing_ms, 1000);
}

Test(health_verdict, only_results_in_a_row_count)
{
    struct health_own own = { 0 };

    cr_expect_eq(results(&own, "+--+--+--+", 1000), 1);
    cr_expect_eq(own.word, HEALTH_UP);
    cr_expect_eq(results(&own, "---", 20000), 1);
    cr_expect_eq(own.failing_ms, 20000);
    cr_expect_eq(results(&own, "+-+-+-", 30000), 0);
    cr_expect_eq(own.word, HEALTH_DOWN);
    cr_expect_eq(own.failing_ms, 20000);
}

Test(health_verdict, checks_come_fast_while_a_change_is_made_sure_of)
{
    struct health_policy p = policy;
    struct health_own own = { 0 };

    results(&own, "+", 1000);
    cr_expect_eq(health_own_wait_ms(&own, &p), 5000);
    results(&own, "-", 2000);
    cr_expect_eq(health_own_wait_ms(&own, &p), 1250);
    p.fast_ms = 700;
    cr_expect_eq(health_own_wait_ms(&own, &p), 700);
    p.fast_ms = 60000;
    cr_expect_eq(health_own_wait_ms(&own, &p), 5000);
    p.fast_ms = 0;
    p.interval_ms = 200;
    cr_expect_eq(health_own_wait_ms(&own, &p), 100);
    results(&own, "--", 3000);
    cr_expect_eq(own.word, HEALTH_DOWN);
    cr_expect_eq(health_own_wait_ms(&own, &policy), 5000);
}

static struct health_shared read_text(const char *text)
{
    struct health_shared s;

    health_shared_read(str_from(text), &s);
    return s;
}

static enum health_word word_at(const char *text, uint64_t now_ms)
{
    struct health_shared s = read_text(text);

    return health_shared_word(&s, now_ms, KEEP);
}

Test(health_verdict, votes_are_read_and_what_is_no_vote_is_left_out)
{
    struct health_shared s =
        read_text("down | edge-a down 1000 2000 status 503, expected 200-399 | b up 7 8");

    cr_assert_eq(s.count, 2);
    cr_expect_str_eq(s.votes[0].edge, "edge-a");
    cr_expect(s.votes[0].down && s.votes[0].since_ms == 1000 && s.votes[0].said_ms == 2000);
    cr_expect_str_eq(s.votes[0].reason, "status 503, expected 200-399");
    cr_expect(!s.votes[1].down && s.votes[1].said_ms == 8);
    cr_expect_str_eq(s.votes[1].reason, "");
    cr_expect_eq(read_text("").count, 0);
    cr_expect_eq(read_text("down").count, 0);
    cr_expect_eq(read_text("down | a down | b sideways 1 2 | c down 1").count, 0);
    cr_expect_eq(read_text("down | a down x 2 no | b down 1 2 yes").count, 1);
    cr_expect_eq(read_text("up | a up 1 2 | b up 1 2 | c up 1 2").count, 2);
}

Test(health_verdict, two_must_agree_that_it_is_down_and_one_may_say_that_it_is_up)
{
    cr_expect_eq(word_at("down | a down 1000 2000 x | b down 1500 2100 y", 3000), HEALTH_DOWN);
    cr_expect_eq(word_at("doubted | a down 1000 2000 x | b up 1500 2100", 3000), HEALTH_UP);
    cr_expect_eq(word_at("down | a down 1000 2000 x", 3000), HEALTH_UNKNOWN);
    cr_expect_eq(word_at("up | a up 1000 2000", 3000), HEALTH_UP);
}

Test(health_verdict, votes_run_out_by_themselves)
{
    const char *both = "down | a down 1000 2000 x | b down 1500 9000 y";

    cr_expect_eq(word_at(both, 2000 + KEEP), HEALTH_DOWN);
    cr_expect_eq(word_at(both, 2001 + KEEP), HEALTH_UNKNOWN);
    cr_expect_eq(word_at("doubted | a down 1000 9000 x | b up 1 2000", 2001 + KEEP),
                 HEALTH_UNKNOWN);
    cr_expect_eq(word_at(both, 1), HEALTH_DOWN); /* a clock that went back */
}

Test(health_verdict, who_checks_believes_its_own_eyes_and_who_does_not_believes_two)
{
    struct health_shared down = read_text("down | a down 5000 9000 x | b down 6000 9000 y");
    struct health_shared doubted = read_text("doubted | me down 5000 9000 x | b up 6000 9000");
    struct health_own own = { .word = HEALTH_UP },
                      sees_down = { .word = HEALTH_DOWN, .failing_ms = 77 };
    struct health_own nothing = { .word = HEALTH_UNKNOWN };

    /* Redis's clock is 4000 ahead of ours */
    struct health_standing stand = health_stand(false, &nothing, "", &down, 6000, 4000, KEEP);

    cr_expect(stand.word == HEALTH_DOWN && stand.shared);
    cr_expect_eq(stand.since_ms, 2000);
    cr_expect_str_eq(stand.reason, "y");
    cr_expect_eq(health_stand(true, &own, "", &down, 6000, 4000, KEEP).word, HEALTH_UP);
    stand = health_stand(true, &sees_down, "mine", &doubted, 6000, 4000, KEEP);
    cr_expect(stand.word == HEALTH_DOWN && !stand.shared && stand.since_ms == 77);
    cr_expect_str_eq(stand.reason, "mine");
    cr_expect_eq(health_stand(false, &sees_down, "", &doubted, 6000, 4000, KEEP).word, HEALTH_UP);
    cr_expect_eq(health_stand(true, &nothing, "", &down, 6000, 4000, KEEP).word, HEALTH_DOWN);
    cr_expect_eq(health_stand(true, &nothing, "", NULL, 6000, 4000, KEEP).word, HEALTH_UNKNOWN);
    stand = health_stand(false, &nothing, "", &down, 6000, 6500, KEEP);
    cr_expect_eq(stand.since_ms, 1); /* before this machine was started */
}

Test(health_verdict, an_edge_goes_on_from_what_it_said_itself)
{
    struct health_shared s = read_text("doubted | me down 5000 9000 x | b up 6000 9000");
    struct health_standing stand = health_stand_before(&s, "me", 6000, 4000, KEEP);

    cr_expect(stand.word == HEALTH_DOWN && stand.since_ms == 1000);
    cr_expect_str_eq(stand.reason, "x");
    cr_expect_eq(health_stand_before(&s, "b", 6000, 4000, KEEP).word, HEALTH_UP);
    cr_expect_eq(health_stand_before(&s, "c", 6000, 4000, KEEP).word, HEALTH_UNKNOWN);
    cr_expect_eq(health_stand_before(&s, "me", 5001 + KEEP, 4000, KEEP).word, HEALTH_UNKNOWN);
}

Test(health_verdict, a_refusal_goes_before_a_path_that_is_broken)
{
    struct health_shared s =
        read_text("down | a down 5000 9000 status 503, expected 200 | b down 6000 9000 refused");
    struct health_own nothing = { .word = HEALTH_UNKNOWN };

    cr_expect_str_eq(health_stand(false, &nothing, "", &s, 9000, 0, KEEP).reason,
                     "status 503, expected 200");
    cr_expect(health_refuses("status 503, expected 200"));
    cr_expect(health_refuses("body without \"x\""));
    cr_expect_not(health_refuses("connection refused"));
    cr_expect_not(health_refuses(""));
}

Test(health_verdict, leases_and_keeping_follow_the_interval_within_bounds)
{
    struct health_policy p = { .interval_ms = 100 };

    cr_expect(health_lease_ms(&p) == 3000 && health_keep_ms(&p) == 30000);
    p.interval_ms = 5000;
    cr_expect(health_lease_ms(&p) == 15000 && health_keep_ms(&p) == 30000);
    p.interval_ms = 3600000;
    cr_expect(health_lease_ms(&p) == 60000 && health_keep_ms(&p) == 21600000);
}
