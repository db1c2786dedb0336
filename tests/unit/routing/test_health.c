/* test_health.c -- what a service says of its checks, and what their outcome means to whoever
 * chooses an endpoint. */
#include "routing/health.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#include "routing/compile.h"

static struct service *service_of(const struct value_field *items, size_t count)
{
    struct value value = { .kind = VALUE_HASH, .fields = items, .count = count };
    struct record_fields fields;
    struct record_error error;
    struct service *s;

    cr_assert(record_decode(NULL, FAMILY_service, STR("web"), &value, &fields, &error), "%s",
              error.expected);
    s = compile_service((struct slot_ref){ 0 }, STR("web"), false, &fields.policy, NULL, 0);
    record_fields_free(&fields); /* nothing of the service lies there */
    return s;
}

Test(health, without_its_fields_a_service_carries_nothing_of_it)
{
    struct value_field plain[] = { { STR("balance"), STR("random") } };
    struct service *s = service_of(plain, 1);

    cr_expect_null(s->policy.health);
    cr_expect_eq(health_kind_of(s->policy.health), HEALTH_OFF);
    object_free(&s->object);
}

Test(health, fields_say_how_and_the_rest_is_as_the_table_says)
{
    struct value_field said[] = { { STR("health_path"), STR("/healthz?a=1") },
                                  { STR("health_status"), STR("200,204,300-302") },
                                  { STR("health_interval"), STR("500ms") },
                                  { STR("health_port"), STR("81") } };
    struct service *s = service_of(said, 4);
    const struct health_policy *h = s->policy.health;

    cr_assert_not_null(h);
    cr_expect_eq(health_kind_of(h), HEALTH_HTTP);
    cr_expect(str_equals(h->path, STR("/healthz?a=1")));
    cr_expect(str_equals(h->method, STR("GET")));
    cr_expect(str_equals(h->status, STR("200,204,300-302")));
    cr_expect_eq(h->range_count, 3);
    cr_expect(h->ranges[2].from == 300 && h->ranges[2].to == 302);
    cr_expect(h->interval_ms == 500 && h->timeout_ms == 2000 && h->rise == 2 && h->fall == 3);
    cr_expect(h->port == 81 && h->panic == 20 && h->body.len == 0 && h->host.len == 0);
    object_free(&s->object);
}

Test(health, a_kind_that_is_said_goes_before_a_path)
{
    struct value_field said[] = { { STR("health"), STR("off") },
                                  { STR("health_path"), STR("/healthz") } };
    struct value_field fall[] = { { STR("health_fall"), STR("5") } };
    struct service *off = service_of(said, 2), *unsaid = service_of(fall, 1);

    cr_expect_eq(health_kind_of(off->policy.health), HEALTH_OFF);
    cr_expect_eq(health_kind_of(unsaid->policy.health), HEALTH_OFF);
    object_free(&off->object);
    object_free(&unsaid->object);
}

static struct endpoint_state state_of(uint64_t down_ms, uint64_t heard_ms)
{
    struct endpoint_state s = { .down_ms = 0 };

    atomic_store(&s.down_ms, down_ms);
    atomic_store(&s.heard_ms, heard_ms);
    return s;
}

Test(health, what_this_edge_heard_since_checks_began_to_fail_counts_more_for_a_while)
{
    struct endpoint_state up = state_of(0, 0), down = state_of(5000, 0),
                          before = state_of(5000, 4999), heard = state_of(5000, 6000);

    cr_expect_not(health_is_down(&up, 7000));
    cr_expect(health_is_down(&down, 7000));
    cr_expect(health_is_down(&before, 5001));
    cr_expect_not(health_is_down(&heard, 6000));
    cr_expect_not(health_is_down(&heard, 5999)); /* another thread's clock is ahead */
    cr_expect_not(health_is_down(&heard, 6000 + HEALTH_TRUST_MS));
    cr_expect(health_is_down(&heard, 6001 + HEALTH_TRUST_MS));
}

Test(health, an_endpoint_that_refuses_is_down_whatever_else_it_answers)
{
    struct endpoint_state refuses = state_of(HEALTH_REFUSES, 6000);

    cr_expect(health_is_down(&refuses, 6000));
}

Test(health, hearing_is_noted_four_times_a_second_at_most)
{
    struct endpoint_state s = state_of(0, 0);

    health_heard(&s, 1000);
    cr_expect_eq(s.heard_ms, 1000);
    health_heard(&s, 1000 + HEALTH_HEARD_MS);
    cr_expect_eq(s.heard_ms, 1000);
    health_heard(&s, 900);
    cr_expect_eq(s.heard_ms, 1000);
    health_heard(&s, 1001 + HEALTH_HEARD_MS);
    cr_expect_eq(s.heard_ms, 1001 + HEALTH_HEARD_MS);
}
