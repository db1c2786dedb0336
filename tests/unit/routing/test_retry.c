/* test_retry.c -- nothing is sent twice that should not be; and retries stay within their budget. */
#include "routing/retry.h"

#include <criterion/criterion.h>

#define BOOLS 6
#define ON_ALL (RETRY_ON_CONNECT | RETRY_ON_CLOSED | RETRY_ON_502 | RETRY_ON_503 | RETRY_ON_504)

static struct retry_facts facts_of(unsigned bits, enum fault fault, unsigned status, unsigned on)
{
    return (struct retry_facts){ .fault = fault,
                                 .status = status,
                                 .on = on,
                                 .sent = bits & 1,
                                 .has_body = bits & 2,
                                 .idempotent = bits & 4,
                                 .answered = bits & 8,
                                 .stale = bits & 16,
                                 .replaced = bits & 32 };
}

/* Of every case there is: what must never be. */
static void judge(const struct retry_facts *f)
{
    enum retry_reason reason = retry_reason(f);

    if (reason == RETRY_NO)
        return;
    cr_assert(!f->answered, "a client with half a response");
    cr_assert(!f->sent || !f->has_body, "a body may be sent twice");
    cr_assert(!f->sent || f->idempotent, "a request that is not idempotent may be done twice");
    cr_assert(reason != RETRY_STALE || (f->stale && !f->replaced), "endless stale connections");
    if (f->fault == FAULT_NONE)
        cr_assert(f->status >= 502 && f->status <= 504, "status %u", f->status);
    else
        cr_assert(fault_row(f->fault)->blame == BLAME_ENDPOINT, "%s", fault_row(f->fault)->name);
    cr_assert(reason == RETRY_STALE || f->on > RETRY_ON_NONE, "nobody asked for it");
}

Test(retry, of_all_cases_none_is_unsafe)
{
    for (unsigned bits = 0; bits < 1u << BOOLS; bits++)
        for (unsigned on = 0; on < 64; on++) {
            for (unsigned fault = 1; fault < FAULT_COUNT; fault++) {
                struct retry_facts f = facts_of(bits, (enum fault)fault, 503, on);

                judge(&f);
            }
            for (unsigned status = 200; status < 600; status++) {
                struct retry_facts f = facts_of(bits, FAULT_NONE, status, on);

                judge(&f);
            }
        }
}

static enum retry_reason of(unsigned bits, enum fault fault, unsigned status, unsigned on)
{
    struct retry_facts f = facts_of(bits, fault, status, on);

    return retry_reason(&f);
}

enum { SENT = 1, BODY = 2, IDEMPOTENT = 4, ANSWERED = 8, STALE = 16, REPLACED = 32 };

Test(retry, what_is_tried_again)
{
    cr_expect_eq(of(BODY, FAULT_connect_failed, 0, RETRY_ON_STANDARD), RETRY_CONNECT);
    cr_expect_eq(of(0, FAULT_connect_timeout, 0, RETRY_ON_STANDARD), RETRY_CONNECT);
    cr_expect_eq(of(0, FAULT_connect_failed, 0, RETRY_ON_CLOSED), RETRY_NO);
    cr_expect_eq(of(0, FAULT_connect_failed, 0, RETRY_ON_NONE), RETRY_NO);
    cr_expect_eq(of(SENT | IDEMPOTENT | STALE, FAULT_response_closed, 0, RETRY_ON_NONE),
                 RETRY_STALE);
    cr_expect_eq(of(SENT | IDEMPOTENT | STALE | REPLACED, FAULT_response_closed, 0, ON_ALL),
                 RETRY_CLOSED);
    cr_expect_eq(of(SENT | STALE, FAULT_response_closed, 0, ON_ALL), RETRY_NO);
    cr_expect_eq(of(SENT | IDEMPOTENT, FAULT_response_closed, 0, RETRY_ON_STANDARD), RETRY_NO);
    cr_expect_eq(of(SENT | IDEMPOTENT, FAULT_bad_response, 0, RETRY_ON_CLOSED), RETRY_CLOSED);
    cr_expect_eq(of(SENT | IDEMPOTENT, FAULT_response_timeout, 0, ON_ALL), RETRY_NO);
    cr_expect_eq(of(SENT | IDEMPOTENT, FAULT_body_truncated, 0, ON_ALL), RETRY_NO);
    cr_expect_eq(of(SENT | IDEMPOTENT, FAULT_NONE, 503, RETRY_ON_503), RETRY_GATEWAY);
    cr_expect_eq(of(SENT | IDEMPOTENT, FAULT_NONE, 502, RETRY_ON_503), RETRY_NO);
    cr_expect_eq(of(SENT | IDEMPOTENT, FAULT_NONE, 500, ON_ALL), RETRY_NO);
    cr_expect_eq(of(SENT, FAULT_NONE, 504, ON_ALL), RETRY_NO);
    cr_expect_eq(of(SENT | IDEMPOTENT | ANSWERED, FAULT_NONE, 504, ON_ALL), RETRY_NO);
}

static unsigned take_all(struct retry_budget *b, uint64_t now_ms, unsigned percent)
{
    unsigned taken = 0;

    while (taken < 10000 && retry_budget_take(b, now_ms, percent))
        taken++;
    return taken;
}

Test(retry_budget, is_a_share_of_the_requests_of_two_seconds)
{
    struct retry_budget b = { 0 };

    retry_budget_count(&b, 5000, 600);
    retry_budget_count(&b, 5999, 400);
    cr_expect_eq(take_all(&b, 5999, 20), 200 + RETRY_BUDGET_FLOOR);
    cr_expect_eq(take_all(&b, 6000, 20), 0, "those of the second before count");
    retry_budget_count(&b, 6000, 100);
    cr_expect_eq(take_all(&b, 6500, 20), 20);
    cr_expect_eq(take_all(&b, 7000, 20), 20 + RETRY_BUDGET_FLOOR - 20,
                 "of 100 requests, 20 are spent");
}

Test(retry_budget, few_requests_have_a_few_retries_and_none_when_none_are_wanted)
{
    struct retry_budget b = { 0 };

    cr_expect_eq(take_all(&b, 1000, 20), RETRY_BUDGET_FLOOR);
    cr_expect_eq(take_all(&b, 1900, 20), 0);
    cr_expect_eq(take_all(&b, 3000, 20), RETRY_BUDGET_FLOOR, "what is long past is forgotten");
    cr_expect_eq(take_all(&b, 9000, 0), 0);
}
