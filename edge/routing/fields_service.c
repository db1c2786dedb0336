/* fields_service.c -- the other fields of services and options of endpoints (schema/service.def,
 * schema/endpoint.def).
 *
 * Owns:    nothing; what it decodes lies in the record's arena.
 * Thread:  control (pure: any would do).
 * Used by: field_types.c, by its tables.
 * Not here: those that say who is next (fields_balance.c), what is checked (fields_health.c), what goes
 *          wrong (fields_retry.c) and how endpoints are spoken to (fields_endpoint.c). */
#include "routing/field_parsers.h"

#include "routing/key_names.h"

#define MAX_CONNS_MOST 100000 /* 0: any number */
#define QUEUE_MOST 10000

/* --- services --- */

bool parse_service_owner(struct str text, struct record_fields *fields, const char **expected)
{
    (void)expected;
    if (!name_is_right(text))
        return false;
    memcpy(fields->policy.owner, text.ptr, text.len);
    fields->policy.owner[text.len] = '\0';
    return true;
}

bool parse_service_send_proxy(struct str text, struct record_fields *fields, const char **expected)
{
    static const char *const words[] = { "off", "v1", "v2" };
    unsigned number = field_word(text, 3, words);

    (void)expected;
    if (number != 0)
        fields->policy.send_proxy = (enum send_proxy)(number - 1);
    return number != 0;
}

bool parse_service_max_conns(struct str text, struct record_fields *fields, const char **expected)
{
    (void)expected;
    return field_number(text, 0, MAX_CONNS_MOST, &fields->policy.max_conns);
}

bool parse_service_max_conns_of(struct str text, struct record_fields *fields,
                                const char **expected)
{
    static const char *const words[] = { "edge", "cluster" };
    unsigned number = field_word(text, 2, words);

    (void)expected;
    fields->policy.max_conns_of = number == 2 ? MAX_CONNS_OF_CLUSTER : MAX_CONNS_OF_EDGE;
    return number != 0;
}

bool parse_service_queue(struct str text, struct record_fields *fields, const char **expected)
{
    (void)expected;
    fields->policy.queue_and_one = field_number_and_one(text, QUEUE_MOST);
    return fields->policy.queue_and_one > 0;
}

bool parse_service_queue_timeout(struct str text, struct record_fields *fields,
                                 const char **expected)
{
    (void)expected;
    fields->policy.queue_timeout_ms = field_parse_ms(text);
    return fields->policy.queue_timeout_ms > 0;
}

bool parse_service_tunnels(struct str text, struct record_fields *fields, const char **expected)
{
    static const char *const words[] = { "finish", "cut" };
    unsigned number = field_word(text, 2, words);

    (void)expected;
    fields->policy.tunnels = number == 2 ? TUNNELS_CUT : TUNNELS_FINISH;
    return number != 0;
}

/* --- endpoints: of the one that was added last --- */

bool parse_endpoint_weight(struct str text, struct record_fields *fields, const char **expected)
{
    struct endpoint *e = &fields->endpoints.items[fields->endpoints.count - 1];

    (void)expected;
    return field_number(text, 0, WEIGHT_MAX, &e->weight);
}

bool parse_endpoint_max_conns(struct str text, struct record_fields *fields, const char **expected)
{
    struct endpoint_options *options = field_options(fields);

    (void)expected;
    options->has_max_conns = true;
    return field_number(text, 0, MAX_CONNS_MOST, &options->max_conns);
}
