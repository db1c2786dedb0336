/* test_outlier.c -- when endpoints are ejected, for how long, and who never is. */
#include "routing/outlier.h"

#include <criterion/criterion.h>

#include "routing/service.h"

#define MOST 8

static struct endpoint endpoints[MOST];
static struct endpoint_state known[MOST];

/* So many endpoints that nothing is known of yet. */
static struct service service_of(unsigned count)
{
    memset(known, 0, sizeof(known));
    for (unsigned i = 0; i < count; i++)
        endpoints[i] = (struct endpoint){ .weight = 100, .state = &known[i] };
    return (struct service){ .endpoint_count = count, .endpoints = endpoints };
}

static bool fail(struct service *s, unsigned i, unsigned times, uint64_t now_ms)
{
    struct outlier_ejection e = { OUTLIER_NONE, 0 };

    while (times-- > 0)
        e = outlier_failed(s, &known[i], OUTLIER_FAILURES, now_ms);
    return e.reason != OUTLIER_NONE;
}

Test(outlier, five_failures_in_a_row_eject_for_a_while)
{
    struct service s = service_of(2);

    cr_expect(!fail(&s, 0, 4, 1000));
    outlier_went_well(&known[0], 1000);
    cr_expect(!fail(&s, 0, 4, 1000), "not in a row");
    cr_expect(fail(&s, 0, 1, 1000));
    cr_expect(outlier_is_ejected(&known[0], 1000 + OUTLIER_EJECT_STANDARD_MS - 1));
    cr_expect(!outlier_is_ejected(&known[0], 1000 + OUTLIER_EJECT_STANDARD_MS));
    cr_expect(!fail(&s, 0, 10, 2000), "it is ejected already");
}

Test(outlier, is_ejected_for_longer_each_time_and_forgiven_in_time)
{
    struct service s = service_of(2);
    uint64_t now = 1000, base = 100;

    s.policy.outlier.eject_ms = (uint32_t)base;
    fail(&s, 0, 5, now);
    for (unsigned n = 2; n < 15; n++) {
        now = atomic_load(&known[0].outlier.until_ms);
        cr_expect(fail(&s, 0, 1, now), "one more is enough when it is back");
        cr_expect_eq(atomic_load(&known[0].outlier.until_ms) - now,
                     base * (n < OUTLIER_GROWTH_MOST ? n : OUTLIER_GROWTH_MOST));
    }
    now = atomic_load(&known[0].outlier.until_ms);
    cr_expect(outlier_went_well(&known[0], now), "it is back, and that is told once");
    cr_expect(!outlier_went_well(&known[0], now));
    cr_expect(fail(&s, 0, 5, now + 20 * base));
    cr_expect_eq(atomic_load(&known[0].outlier.until_ms) - now - 20 * base, base);
}

Test(outlier, the_last_one_is_never_ejected)
{
    struct service s = service_of(1);

    cr_expect(!fail(&s, 0, 100, 1000));
    s = service_of(2);
    s.policy.outlier.max_ejected = 101;
    cr_expect(fail(&s, 0, 5, 1000));
    cr_expect(!fail(&s, 1, 100, 1000));
    endpoints[0].weight = 0; /* drained: it is none of those that take requests */
    cr_expect(!fail(&s, 1, 100, 40000));
}

Test(outlier, at_most_a_share_is_ejected)
{
    struct service s = service_of(8);
    unsigned ejected = 0;

    for (unsigned i = 0; i < 8; i++)
        ejected += fail(&s, i, 5, 1000);
    cr_expect_eq(ejected, 4);
    s = service_of(8);
    s.policy.outlier.max_ejected = 10 + 1;
    cr_expect(fail(&s, 0, 5, 1000), "one may be, however small the share");
    cr_expect(!fail(&s, 1, 5, 1000));
    s = service_of(8);
    s.policy.outlier.max_ejected = 0 + 1;
    cr_expect(!fail(&s, 0, 5, 1000));
}

Test(outlier, gateway_errors_count_where_they_are_asked_for)
{
    struct service s = service_of(2);

    for (unsigned i = 0; i < 50; i++)
        cr_expect_eq(outlier_failed(&s, &known[0], OUTLIER_GATEWAY_ERRORS, 1000).reason,
                     OUTLIER_NONE);
    s.policy.outlier.gateway_errors = 3 + 1;
    outlier_failed(&s, &known[0], OUTLIER_GATEWAY_ERRORS, 1000);
    outlier_failed(&s, &known[0], OUTLIER_GATEWAY_ERRORS, 1000);
    cr_expect_eq(outlier_failed(&s, &known[0], OUTLIER_GATEWAY_ERRORS, 1000).reason,
                 OUTLIER_GATEWAY_ERRORS);
}

static enum outlier_reason take(struct service *s, unsigned i, uint32_t us, unsigned times)
{
    enum outlier_reason reason = OUTLIER_NONE;

    while (times-- > 0 && reason == OUTLIER_NONE)
        reason = outlier_took(s, &known[i], us, 1000).reason;
    return reason;
}

Test(outlier, one_that_is_slower_than_the_others_is_ejected)
{
    struct service s = service_of(3);

    s.policy.outlier.latency_percent = 300;
    take(&s, 0, 10000, 32);
    take(&s, 1, 12000, 32);
    cr_expect_eq(take(&s, 2, 20000, 32), OUTLIER_NONE);
    cr_expect_eq(take(&s, 2, 90000, 32), OUTLIER_LATENCY);
    cr_expect(outlier_is_ejected(&known[2], 1000));
    cr_expect_eq(atomic_load(&known[2].outlier.latency_samples), 0, "it begins anew");
}

Test(outlier, one_slow_response_is_not_enough)
{
    struct service s = service_of(2);

    s.policy.outlier.latency_ms = 100;
    cr_expect_eq(take(&s, 0, 1000000, 15), OUTLIER_NONE);
    s = service_of(2);
    s.policy.outlier.latency_ms = 100;
    take(&s, 0, 1000, 63);
    cr_expect_eq(take(&s, 0, 500000, 1), OUTLIER_NONE);
    cr_expect_eq(take(&s, 0, 500000, 32), OUTLIER_LATENCY);
}

Test(outlier, differences_of_next_to_nothing_are_none)
{
    struct service s = service_of(2);

    s.policy.outlier.latency_percent = 150;
    take(&s, 0, 100, 32);
    cr_expect_eq(take(&s, 1, 4000, 100), OUTLIER_NONE);
}
