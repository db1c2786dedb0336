/* fields_health.c -- the fields of a service that say how its endpoints are checked.
 *
 * Owns:    nothing; what it decodes lies in the record's arena.
 * Thread:  control (pure: any would do).
 * Used by: field_types.c, by its tables.
 * Not here: checking (control/health.c); what comes of it (health.h). */
#include "routing/field_parsers.h"
#include "routing/rule_values.h"

#define PATH_MOST 1024
#define BODY_MOST 256
#define INTERVAL_LEAST_MS 100
#define INTERVAL_MOST_MS (60 * 60 * 1000)
#define TIMEOUT_LEAST_MS 10
#define TIMEOUT_MOST_MS (60 * 1000)

/* Of this service: made, as it is when nothing else is said, with the first of its fields. */
static struct health_policy *policy_of(struct record_fields *fields)
{
    struct health_policy *h = (struct health_policy *)(uintptr_t)fields->policy.health;

    if (h != NULL)
        return h; /* it is this record's, still */
    h = arena_alloc(&fields->arena, sizeof(*h));
    *h = (struct health_policy){ .path = STR("/"),
                                 .method = STR("GET"),
                                 .host = STR(""),
                                 .body = STR(""),
                                 .status = STR("200-399"),
                                 .ranges = { { 200, 399 } },
                                 .range_count = 1,
                                 .interval_ms = 5000,
                                 .timeout_ms = 2000,
                                 .rise = 2,
                                 .fall = 3,
                                 .panic = HEALTH_PANIC };
    fields->policy.health = h;
    return h;
}

static struct health_policy *health_of(struct record_fields *fields)
{
    struct health_policy *h = policy_of(fields);

    h->wanted = true;
    return h;
}

bool parse_service_health(struct str text, struct record_fields *fields, const char **expected)
{
    static const char *const words[] = { "off", "tcp", "http" };
    static const enum health_kind kinds[] = { HEALTH_OFF, HEALTH_TCP, HEALTH_HTTP };
    unsigned number = field_word(text, 3, words);

    (void)expected;
    if (number > 0)
        health_of(fields)->kind = kinds[number - 1];
    return number > 0;
}

/* As it goes into a request line: visible ASCII alone. */
bool parse_service_health_path(struct str text, struct record_fields *fields, const char **expected)
{
    struct health_policy *h = health_of(fields);

    if (text.len == 0 || text.ptr[0] != '/' || text.len > PATH_MOST)
        return false;
    *expected = "a path without spaces, #, control octets and 8-bit octets";
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] <= ' ' || text.ptr[i] >= 0x7f || text.ptr[i] == '#')
            return false;
    h->path = arena_copy(&fields->arena, text);
    h->path_said = true;
    return true;
}

bool parse_service_health_host(struct str text, struct record_fields *fields, const char **expected)
{
    (void)expected;
    health_of(fields)->host = arena_copy(&fields->arena, text);
    return rule_host_is_right(text);
}

bool parse_service_health_method(struct str text, struct record_fields *fields,
                                 const char **expected)
{
    static const char *const words[] = { "GET", "HEAD", "OPTIONS" };

    (void)expected;
    health_of(fields)->method = arena_copy(&fields->arena, text);
    return field_word(text, 3, words) > 0;
}

static bool read_status(struct str text, uint16_t *status)
{
    uint64_t number;

    if (text.len != 3 || !str_to_u64(text, 599, &number) || number < 100)
        return false;
    *status = (uint16_t)number;
    return true;
}

bool parse_service_health_status(struct str text, struct record_fields *fields,
                                 const char **expected)
{
    struct health_policy *h = health_of(fields);
    struct str rest = text, part, from;

    h->range_count = 0;
    while (str_split(&rest, ',', &part)) {
        struct health_range range;

        if (!str_split(&part, '-', &from) || !read_status(from, &range.from))
            return false;
        range.to = range.from;
        if (part.ptr != NULL && !read_status(part, &range.to))
            return false;
        *expected = "ranges that begin with their lower end";
        if (range.to < range.from)
            return false;
        *expected = "at most 16 of them";
        if (h->range_count == HEALTH_RANGES_MAX)
            return false;
        *expected = NULL;
        h->ranges[h->range_count++] = range;
    }
    h->status = arena_copy(&fields->arena, text);
    return h->range_count > 0;
}

bool parse_service_health_body(struct str text, struct record_fields *fields, const char **expected)
{
    (void)expected;
    health_of(fields)->body = arena_copy(&fields->arena, text);
    return text.len > 0 && text.len <= BODY_MOST;
}

bool parse_service_health_interval(struct str text, struct record_fields *fields,
                                   const char **expected)
{
    (void)expected;
    return field_time(text, INTERVAL_LEAST_MS, INTERVAL_MOST_MS, &health_of(fields)->interval_ms);
}

bool parse_service_health_fast(struct str text, struct record_fields *fields, const char **expected)
{
    (void)expected;
    return field_time(text, INTERVAL_LEAST_MS, INTERVAL_MOST_MS, &health_of(fields)->fast_ms);
}

bool parse_service_health_timeout(struct str text, struct record_fields *fields,
                                  const char **expected)
{
    (void)expected;
    return field_time(text, TIMEOUT_LEAST_MS, TIMEOUT_MOST_MS, &health_of(fields)->timeout_ms);
}

bool parse_service_health_rise(struct str text, struct record_fields *fields, const char **expected)
{
    (void)expected;
    return field_number(text, 1, 100, &health_of(fields)->rise);
}

bool parse_service_health_fall(struct str text, struct record_fields *fields, const char **expected)
{
    (void)expected;
    return field_number(text, 1, 100, &health_of(fields)->fall);
}

bool parse_service_health_port(struct str text, struct record_fields *fields, const char **expected)
{
    uint32_t port = 0;

    (void)expected;
    if (!field_number(text, 1, 65535, &port))
        return false;
    health_of(fields)->port = (uint16_t)port;
    return true;
}

bool parse_service_panic(struct str text, struct record_fields *fields, const char **expected)
{
    (void)expected;
    return field_number(text, 0, 100, &policy_of(fields)->panic);
}
