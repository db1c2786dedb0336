/* rules.c -- rules and requests for the tests of routing. */
#include "rules.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"

static bool decoded(const struct text_rule *rules, size_t count, struct record_fields *fields,
                    struct record_error *error)
{
    struct value_field *f = check_alloc((count + 1) * sizeof(*f));
    struct value value = { .kind = VALUE_HASH, .type = "hash", .fields = f, .count = count };
    bool good;

    for (size_t i = 0; i < count; i++)
        f[i] = (struct value_field){ str_from(rules[i].name), str_from(rules[i].text) };
    good = record_decode(NULL, FAMILY_routes, STR("acme"), &value, fields, error);
    free(f);
    return good;
}

char *rules_judged(const struct text_rule *rules, size_t count)
{
    struct record_fields fields;
    struct record_error error;
    struct buf sentence = { 0 };

    buf_add_text(&sentence, "");
    if (!decoded(rules, count, &fields, &error))
        record_error_say(&error, &sentence);
    record_fields_free(&fields);
    return sentence.ptr ? sentence.ptr : strdup("");
}

struct routes *rules_compiled(const struct text_rule *rules, size_t count)
{
    struct record_fields fields;
    struct record_error error;
    struct buf sentence = { 0 };
    struct routes *routes;
    uint32_t *slots;

    if (!decoded(rules, count, &fields, &error))
        record_error_say(&error, &sentence);
    cr_assert_eq(sentence.len, 0, "%s", sentence.ptr);
    slots = check_alloc((fields.names.count + 1) * sizeof(*slots));
    for (uint32_t i = 0; i < fields.names.count; i++)
        slots[i] = i;
    routes = compile_routes((struct slot_ref){ 3, 1 }, STR("acme"), &fields, slots);
    free(slots);
    record_fields_free(&fields);
    return routes;
}

static struct str find_header(void *owner, struct str name, unsigned n)
{
    const struct asking *asking = owner;

    for (size_t i = 0; i < COUNT(asking->headers) && asking->headers[i][0] != NULL; i++)
        if (str_equals_nocase(name, str_from(asking->headers[i][0])) && n-- == 0)
            return str_from(asking->headers[i][1]);
    return (struct str){ NULL, 0 };
}

static struct route_request request_of(const struct asking *asking, struct address *client)
{
    struct route_request q = {
        .owner = (void *)asking,
        .header = find_header,
        .method = str_from(asking->method ? asking->method : "GET"),
        .path = str_from(asking->path),
        .client = client,
        .websocket = asking->websocket,
    };
    const char *expected, *address = asking->client ? asking->client : "192.0.2.1:1";

    cr_assert(address_parse(str_from(address), 1, client, &expected));
    if (asking->query != NULL)
        q.query = str_from(asking->query);
    return q;
}

const char *rules_met(const struct routes *routes, const struct asking *asking)
{
    struct route_scratch *scratch = route_scratch_new();
    struct address client;
    struct route_request q = request_of(asking, &client);
    const struct route *route = routes_match(routes, &q, scratch);
    static char name[NAME_MAX_BYTES + 1];

    str_printable(route ? route->name : STR(""), name, sizeof(name));
    route_scratch_free(scratch);
    return name;
}

const char *rules_met_first(const struct routes *routes, const struct asking *asking)
{
    struct route_scratch *scratch = route_scratch_new();
    struct address client;
    struct route_request q = request_of(asking, &client);
    struct buf why = { 0 };
    static char name[NAME_MAX_BYTES + 1];
    uint32_t i = 0;

    while (i < routes->count && route_refuses(routes, &routes->items[i], &q, scratch, &why)) {
        buf_clear(&why);
        i++;
    }
    str_printable(i < routes->count ? routes->items[i].name : STR(""), name, sizeof(name));
    buf_free(&why);
    route_scratch_free(scratch);
    return name;
}

const char *rules_refused(const struct routes *routes, const char *name,
                          const struct asking *asking)
{
    struct route_scratch *scratch = route_scratch_new();
    struct address client;
    struct route_request q = request_of(asking, &client);
    struct buf why = { 0 };
    static char text[512];

    text[0] = '\0';
    for (uint32_t i = 0; i < routes->count; i++)
        if (str_equals(routes->items[i].name, str_from(name)) &&
            route_refuses(routes, &routes->items[i], &q, scratch, &why))
            snprintf(text, sizeof(text), "%s", why.ptr);
    buf_free(&why);
    route_scratch_free(scratch);
    return text;
}
