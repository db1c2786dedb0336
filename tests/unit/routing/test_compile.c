/* test_compile.c -- compiled objects, their rota, and the choice from it. */
#include "routing/compile.h"

#include <criterion/criterion.h>

#include "routing/balance.h"
#include "routing/schedule.h"

static struct endpoint endpoint(uint16_t port, uint32_t weight)
{
    struct endpoint e = { .weight = weight };

    e.address.v4.sin_family = AF_INET;
    e.address.v4.sin_port = htons(port);
    return e;
}

static struct service *service_of(const uint32_t *weights, uint32_t count)
{
    struct endpoint endpoints[1024];

    for (uint32_t i = 0; i < count; i++)
        endpoints[i] = endpoint((uint16_t)(i + 1), weights[i]);
    return compile_service((struct slot_ref){ 7, 3 }, STR("web"), false, NULL, endpoints, count);
}

static const struct endpoint *choose(const struct service *s, uint32_t *cursor,
                                     struct random *random)
{
    struct balance_request r = { .service = s, .cursor = cursor, .random = random };
    struct balance_refusal refusal;

    return balance_choose(&r, &refusal);
}

/* The ports, as letters, in the order of the rota. */
static void expect_rota(const uint32_t *weights, uint32_t count, const char *letters)
{
    struct service *s = service_of(weights, count);
    struct random random;
    uint32_t cursor = 0;

    random_init(&random);
    cr_expect_eq(s->schedule_count, strlen(letters), "%u places", s->schedule_count);
    for (size_t i = 0; letters[i] != '\0'; i++) {
        const struct endpoint *e = choose(s, &cursor, &random);

        cr_expect_eq(ntohs(e->address.v4.sin_port) - 1 + 'a', letters[i], "at %zu of %s", i,
                     letters);
    }
    object_free(&s->object);
}

Test(compile, rota_is_even)
{
    expect_rota((uint32_t[]){ 100, 100, 100 }, 3, "abc");
    expect_rota((uint32_t[]){ 300, 100 }, 2, "aaba");
    expect_rota((uint32_t[]){ 4, 0, 2 }, 3, "aca");
    expect_rota((uint32_t[]){ 0, 0 }, 2, "");
    expect_rota((uint32_t[]){ 1000 }, 1, "a");
    expect_rota(NULL, 0, "");
}

Test(compile, nothing_to_choose_from)
{
    struct service *s = service_of((uint32_t[]){ 0 }, 1);
    struct random random;
    uint32_t cursor = 5;

    random_init(&random);
    cr_expect_null(choose(s, &cursor, &random));
    object_free(&s->object);
}

Test(compile, weights_of_many_are_scaled_down)
{
    uint32_t weights[1024], turns[1024] = { 0 };
    struct service *s;

    for (uint32_t i = 0; i < 1024; i++)
        weights[i] = i == 0 ? 1 : 997 + i % 4;
    s = service_of(weights, 1024);
    cr_expect_leq(s->schedule_count, SCHEDULE_MOST);
    for (uint32_t i = 0; i < s->schedule_count; i++)
        turns[s->schedule[i]]++;
    for (uint32_t i = 0; i < 1024; i++)
        cr_expect_geq(turns[i], 1, "endpoint %u never gets its turn", i);
    cr_expect_geq(turns[5], 2 * turns[0]);
    object_free(&s->object);
}

Test(compile, random_keeps_to_weights)
{
    struct endpoint two[] = { endpoint(1, 9), endpoint(2, 1) };
    struct service_policy policy = { .balance = BALANCE_RANDOM };
    struct service *s = compile_service((struct slot_ref){ 0 }, STR("web"), false, &policy, two, 2);
    struct random random;
    uint32_t cursor = 0, first = 0;

    random_init(&random);
    for (unsigned i = 0; i < 10000; i++)
        first += choose(s, &cursor, &random) == &s->endpoints[0];
    cr_expect(first > 8700 && first < 9300, "%u of 10000", first);
    object_free(&s->object);
}

Test(compile, sites_and_tenants)
{
    struct endpoint one = endpoint(80, 1);
    struct record_name names[] = { { FAMILY_tenant, "tenant", STR("acme") },
                                   { FAMILY_service, "to", STR("web") } };
    uint32_t slots[] = { 41, 17 };
    struct record_fields fields = {
        .names = { names, 2, 2 },
        .has_tenant = true,
        .to = { .kind = ACTION_ENDPOINTS, .endpoints = &one, .endpoint_count = 1 },
        .status = STATUS_ACTIVE,
        .page = STR("<p>soon")
    };
    struct site_key key = { .value = { 3, 4 }, .slots = { 41, 0 } };
    struct site *site = compile_site(&key, &fields, slots);
    struct defaults *defaults;
    struct tenant *tenant;

    cr_expect_eq(site->object.kind, OBJECT_SITE);
    cr_expect_eq(memcmp(&site->key, &key, sizeof(key)), 0);
    cr_expect(site->has_tenant && !site->bad);
    cr_expect_eq(site->tenant_slot, 41);
    cr_expect_eq(site->fields.to.kind, ACTION_ENDPOINTS);
    cr_expect_eq(site->fields.to.own->endpoint_count, 1);
    cr_expect_str_eq(site->fields.to.own->name, "");
    object_free(&site->object);
    fields.to = (struct rule_action){ .kind = ACTION_SERVICE, .service = 1 };
    tenant = compile_tenant((struct slot_ref){ 1, 2 }, STR("acme"), &fields, slots, 5);
    cr_expect_eq(tenant->fields.to.kind, ACTION_SERVICE);
    cr_expect_eq(tenant->fields.to.service_slot, 17);
    cr_expect(str_equals(tenant->fields.to.service, STR("web")));
    cr_expect(str_equals(tenant->fields.page, STR("<p>soon")));
    cr_expect_eq(tenant->routes_slot, 5);
    object_free(&tenant->object);
    defaults = compile_defaults((struct slot_ref){ 0, 1 }, &fields, slots);
    cr_expect_eq(defaults->fields.to.service_slot, 17);
    cr_expect_not(defaults->bad);
    object_free(&defaults->object);
    site = compile_site(&key, NULL, NULL);
    cr_expect(site->bad);
    object_free(&site->object);
}
