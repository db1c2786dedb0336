/* test_places.c -- limits of endpoints as records say them, kept over their versions. */
#include "routing/places.h"

#include <criterion/criterion.h>

#include "routing/compile.h"

static struct states states;

static struct service *service_with(const struct service_policy *policy,
                                    const struct endpoint_options *options)
{
    struct endpoint endpoints[2] = { 0 };
    struct service *service;

    for (uint32_t i = 0; i < 2; i++) {
        endpoints[i].weight = 100;
        endpoints[i].address.v4.sin_family = AF_INET;
        endpoints[i].address.v4.sin_port = htons((uint16_t)(i + 1));
    }
    endpoints[1].options = options;
    service = compile_service((struct slot_ref){ 7, 3 }, STR("web"), false, policy, endpoints, 2);
    states_attach(&states, &service->object);
    return service;
}

static struct places *places(const struct service *service, unsigned endpoint)
{
    return service->endpoints[endpoint].state->places;
}

static void start(void)
{
    states_init(&states);
    states.lane_count = 2;
}

TestSuite(places, .init = start);

Test(places, a_service_without_limits_has_none)
{
    struct service *service = service_with(NULL, NULL);

    cr_expect_not(service->limited);
    cr_expect_null(places(service, 0));
    cr_expect_null(service->state->queue);
    object_free(&service->object);
    states_free(&states);
}

Test(places, an_endpoint_says_its_own_limit_or_has_its_services)
{
    struct service_policy policy = { .max_conns = 10 };
    struct endpoint_options options = { .has_max_conns = true, .max_conns = 3 };
    struct service *service = service_with(&policy, &options);

    cr_expect(service->limited);
    cr_expect_eq(places_limit(places(service, 0)), 10);
    cr_expect_eq(places_limit(places(service, 1)), 3);
    object_free(&service->object);
    options.max_conns = 0;
    service = service_with(&policy, &options);
    cr_expect_eq(places_limit(places(service, 1)), PLACES_ANY);
    object_free(&service->object);
    states_free(&states);
}

Test(places, a_new_version_changes_the_limit_and_forgets_nothing)
{
    struct service_policy policy = { .max_conns = 10 };
    struct service *before = service_with(&policy, NULL), *after;

    atomic_store(&places(before, 0)->open, 4);
    policy.max_conns = 2;
    after = service_with(&policy, NULL);
    cr_expect_eq(places(before, 0), places(after, 0));
    cr_expect_eq(places_limit(places(before, 0)), 2);
    cr_expect_eq(places_open(places(after, 0)), 4);
    cr_expect(places_are_over(places(after, 0)));
    object_free(&before->object);
    atomic_store(&places(after, 0)->open, 0);
    object_free(&after->object);
    states_free(&states);
}

Test(places, what_is_taken_is_remembered_when_the_endpoint_goes_and_comes_back)
{
    struct service_policy policy = { .max_conns = 10 };
    struct service *service = service_with(&policy, NULL);
    struct places *p = places(service, 0);

    atomic_store(&p->open, 1);
    state_hold(p->state);
    object_free(&service->object);
    cr_expect_eq(states.maps[STATE_ENDPOINT].count, 1, "the one that is held");
    cr_expect_eq(states.maps[STATE_SERVICE].count, 1, "in whose queue one waits for it");
    service = service_with(&policy, NULL);
    cr_expect_eq(places(service, 0), p);
    object_free(&service->object);
    atomic_store(&p->open, 0);
    state_let_go(p->state);
    states_free(&states); /* it is gone, too */
}

Test(places, a_share_of_the_cluster_is_none_until_it_is_given)
{
    struct service_policy policy = { .max_conns = 10, .max_conns_of = MAX_CONNS_OF_CLUSTER };
    struct service *service = service_with(&policy, NULL), *after;

    cr_expect_eq(places_limit(places(service, 0)), 0);
    atomic_store(&places(service, 0)->limit, 6);
    policy.max_conns = 4;
    after = service_with(&policy, NULL);
    cr_expect_eq(places_limit(places(service, 0)), 4);
    object_free(&service->object);
    policy.max_conns_of = MAX_CONNS_OF_EDGE;
    service = service_with(&policy, NULL);
    cr_expect_eq(places_limit(places(service, 0)), 4);
    object_free(&service->object);
    object_free(&after->object);
    states_free(&states);
}
