/* fields_limits.c -- the fields of tenants that limit (schema/tenant.def): numbers, rates, sizes, ranges.
 *
 * Owns:    nothing; what it decodes lies in the record's arena.
 * Thread:  control (pure: any would do).
 * Used by: field_types.c, by its tables.
 * Not here: other fields of tenants (fields_tenant.c); what limits do (proxy/limits.c). */
#include "routing/field_parsers.h"

#define SIZE_MOST (1ull << 50)

static bool is_off(struct str text)
{
    return str_equals(text, STR("off"));
}

static bool parse_limit(struct str text, struct record_fields *fields, uint32_t *to)
{
    fields->limits_said = true;
    if (!is_off(text))
        return field_number(text, 1, LIMIT_NUMBER_MOST, to);
    *to = LIMIT_OFF;
    return true;
}

/* 512, 64k, 10m, 1g. */
static bool parse_size(struct str text, struct record_fields *fields, uint64_t *to)
{
    static const char units[] = "kmg";
    const char *unit = text.len > 0 ? memchr(units, text.ptr[text.len - 1], 3) : NULL;
    unsigned shift = unit != NULL ? 10 * (unsigned)(unit - units + 1) : 0;
    uint64_t number;

    fields->limits_said = true;
    *to = LIMIT_OFF_BYTES;
    if (is_off(text))
        return true;
    if (unit != NULL)
        text.len--;
    if (!str_to_u64(text, SIZE_MOST >> shift, &number) || number == 0)
        return false;
    *to = number << shift;
    return true;
}

static bool parts_ranges(char c)
{
    return c == ' ' || c == ',' || c == '\t' || c == '\r' || c == '\n';
}

static struct str next_range(struct str *rest)
{
    struct str word = { NULL, 0 };
    size_t at = 0;

    while (at < rest->len && parts_ranges(rest->ptr[at]))
        at++;
    word.ptr = rest->ptr + at;
    while (at + word.len < rest->len && !parts_ranges(word.ptr[word.len]))
        word.len++;
    *rest = str_slice(word.ptr + word.len, rest->len - at - word.len);
    return word;
}

/* Ranges with spaces or commas between. */
static bool parse_ranges(struct str text, struct record_fields *fields, struct limit_ranges *to,
                         const char **expected)
{
    struct cidr *items = NULL;
    uint32_t count = 0, room = 0;
    struct str word;

    fields->limits_said = true;
    *to = (struct limit_ranges){ .said = true };
    if (is_off(text))
        return true;
    while ((word = next_range(&text)).len > 0) {
        struct cidr range;

        if (!cidr_parse(word, &range, expected))
            return false;
        if (count == LIMIT_RANGES_MOST) {
            *expected = "at most 256 ranges";
            return false;
        }
        items = arena_grown(&fields->arena, items, count, &room, sizeof(*items));
        items[count++] = range;
    }
    limit_ranges_sort(items, count);
    to->items = items;
    to->count = count;
    return count > 0;
}

bool parse_tenant_max_conns(struct str text, struct record_fields *fields, const char **expected)
{
    (void)expected;
    return parse_limit(text, fields, &fields->limits.max_conns);
}

bool parse_tenant_max_requests(struct str text, struct record_fields *fields, const char **expected)
{
    (void)expected;
    return parse_limit(text, fields, &fields->limits.max_requests);
}

bool parse_tenant_rps(struct str text, struct record_fields *fields, const char **expected)
{
    (void)expected;
    return parse_limit(text, fields, &fields->limits.rps);
}

bool parse_tenant_burst(struct str text, struct record_fields *fields, const char **expected)
{
    (void)expected;
    fields->limits_said = true;
    return field_number(text, 1, LIMIT_NUMBER_MOST, &fields->limits.burst);
}

bool parse_tenant_rps_of(struct str text, struct record_fields *fields, const char **expected)
{
    static const char *const words[] = { "edge", "cluster" };

    (void)expected;
    fields->limits_said = true;
    fields->limits.rps_of = (enum rps_of)field_word(text, 2, words);
    return fields->limits.rps_of != RPS_OF_UNSET;
}

bool parse_tenant_max_body(struct str text, struct record_fields *fields, const char **expected)
{
    (void)expected;
    return parse_size(text, fields, &fields->limits.max_body);
}

bool parse_tenant_bandwidth(struct str text, struct record_fields *fields, const char **expected)
{
    (void)expected;
    return parse_size(text, fields, &fields->limits.bandwidth);
}

bool parse_tenant_allow(struct str text, struct record_fields *fields, const char **expected)
{
    return parse_ranges(text, fields, &fields->limits.allow, expected);
}

bool parse_tenant_deny(struct str text, struct record_fields *fields, const char **expected)
{
    return parse_ranges(text, fields, &fields->limits.deny, expected);
}
