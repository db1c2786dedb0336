/* test_endpoint_state.c -- what is known of endpoints outlives what was compiled of them. */
#include "routing/endpoint_state.h"

#include <criterion/criterion.h>

#include "routing/compile.h"

static struct service *service_with(const uint16_t *ports, uint32_t count, struct states *states)
{
    struct endpoint endpoints[8] = { 0 };
    struct service *service;

    for (uint32_t i = 0; i < count; i++) {
        endpoints[i].weight = 100;
        endpoints[i].address.v4.sin_family = AF_INET;
        endpoints[i].address.v4.sin_port = htons(ports[i]);
    }
    service = compile_service((struct slot_ref){ 7, 3 }, STR("web"), false, NULL, endpoints, count);
    states_attach(states, &service->object);
    return service;
}

Test(endpoint_state, stays_with_its_endpoint_whatever_its_place)
{
    struct states states;
    struct service *before, *after;

    states_init(&states);
    before = service_with((uint16_t[]){ 1, 2 }, 2, &states);
    after = service_with((uint16_t[]){ 3, 2, 1 }, 3, &states);
    cr_expect_eq(before->state, after->state);
    cr_expect_eq(before->endpoints[0].state, after->endpoints[2].state);
    cr_expect_eq(before->endpoints[1].state, after->endpoints[1].state);
    cr_expect_neq(after->endpoints[0].state, after->endpoints[1].state);
    object_free(&before->object);
    cr_expect_eq(states.maps[STATE_ENDPOINT].count, 3);
    object_free(&after->object);
    cr_expect_eq(states.maps[STATE_ENDPOINT].count, 0);
    states_free(&states);
}

Test(endpoint_state, is_kept_for_lists_of_several_alone)
{
    struct endpoint two[2] = { 0 };
    struct record_fields fields = {
        .to = { .kind = ACTION_ENDPOINTS, .endpoints = two, .endpoint_count = 2 }
    };
    struct site_key key = { .slots = { 0 } };
    struct states states;
    struct site *site;

    states_init(&states);
    for (unsigned i = 0; i < 2; i++) {
        two[i].weight = 1;
        two[i].address.v4.sin_family = AF_INET;
        two[i].address.v4.sin_port = htons((uint16_t)(i + 1));
    }
    site = compile_site(&key, &fields, NULL);
    states_attach(&states, &site->object);
    cr_expect_not_null(site->fields.to.own->endpoints[0].state);
    object_free(&site->object);
    fields.to.endpoint_count = 1;
    site = compile_site(&key, &fields, NULL);
    states_attach(&states, &site->object);
    cr_expect_null(site->fields.to.own->endpoints[0].state);
    object_free(&site->object);
    states_free(&states);
}

Test(endpoint_state, of_a_tenant_outlives_its_records)
{
    struct states states;
    struct record_fields fields = { 0 };
    struct tenant *before, *after;

    states_init(&states);
    before = compile_tenant((struct slot_ref){ 1, 1 }, STR("acme"), &fields, NULL, 5);
    states_attach(&states, &before->object);
    after = compile_tenant((struct slot_ref){ 1, 1 }, STR("acme"), NULL, NULL, 5);
    states_attach(&states, &after->object);
    cr_expect_not_null(before->state);
    cr_expect_eq(before->state, after->state);
    object_free(&before->object);
    object_free(&after->object);
    states_free(&states);
}

static struct tenant *tenant_of(struct states *states)
{
    struct tenant *t = compile_tenant((struct slot_ref){ 1, 1 }, STR("acme"), NULL, NULL, 0);

    states_attach(states, &t->object);
    return t;
}

Test(endpoint_state, of_a_tenant_stays_while_connections_are_counted_there)
{
    struct states states;
    struct tenant *t;
    struct tenant_state *state;

    states_init(&states);
    t = tenant_of(&states);
    state = t->state;
    atomic_fetch_add(&state->conns, 1);
    object_free(&t->object);
    t = tenant_of(&states);
    cr_expect_eq(t->state, state, "its record was gone, and is there again");
    cr_expect_eq(atomic_load(&t->state->conns), 1);
    object_free(&t->object);
    atomic_fetch_sub(&state->conns, 1);
    cr_expect_eq(states.maps[STATE_TENANT].count, 1);
    for (unsigned i = 0; i < 2; i++) { /* another new one looks after those that linger */
        struct tenant *other =
            compile_tenant((struct slot_ref){ 2, 1 }, STR("other"), NULL, NULL, 0);

        states_attach(&states, &other->object);
        cr_expect_eq(states.maps[STATE_TENANT].count, 1);
        object_free(&other->object);
    }
    cr_expect_eq(states.maps[STATE_TENANT].count, 0);
    states_free(&states);
}

Test(endpoint_state, a_site_has_one_of_its_own_when_it_is_first_needed)
{
    struct site_key key = { .slots = { 0 } };
    struct states states;
    struct site *site = compile_site(&key, NULL, NULL);
    struct tenant_state *own;

    states_init(&states);
    states_attach(&states, &site->object);
    own = states_of_site(&states, site);
    cr_expect_eq(states_of_site(&states, site), own);
    atomic_fetch_add(&own->conns, 1);
    object_free(&site->object);
    cr_expect_eq(states.maps[STATE_TENANT].count, 0, "it has no name");
    cr_expect_not(list_is_empty(&states.lingering));
    states_free(&states);
}
