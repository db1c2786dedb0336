/* fields_balance.c -- the fields of services and the options of endpoints that say who is next.
 *
 * Owns:    nothing; what it decodes lies in the record's arena.
 * Thread:  control (pure: any would do).
 * Used by: field_types.c, by its tables.
 * Not here: the choice (balance.c); the rota (schedule.c). */
#include "routing/balance.h"
#include "routing/field_parsers.h"
#include "routing/key_names.h"
#include "routing/rule_values.h"

#define COOKIE_NAME_MOST 64
#define SLOW_START_MOST_MS (60u * 60 * 1000)

/* --- services --- */

bool parse_service_balance(struct str text, struct record_fields *fields, const char **expected)
{
    unsigned number = field_word(text, BALANCES, balance_words);

    (void)expected;
    if (number > 0)
        fields->policy.balance = (enum balance)(number - 1);
    return number > 0;
}

bool parse_service_hash_by(struct str text, struct record_fields *fields, const char **expected)
{
    static const char *const words[] = { "client", "path", "header", "cookie" };
    struct str name = text, word;
    const char *of_name;
    unsigned number;
    enum hash_by by;

    (void)expected;
    if (!str_split(&name, ':', &word) || (number = field_word(word, 4, words)) == 0)
        return false;
    by = (enum hash_by)(number - 1);
    if ((by == HASH_BY_HEADER || by == HASH_BY_COOKIE) != (name.ptr != NULL))
        return false;
    if (name.ptr != NULL && !rule_header_name_is_right(name, &of_name))
        return false;
    fields->policy.hash_by = by;
    if (name.ptr != NULL)
        fields->policy.hash_name = arena_copy(&fields->arena, name);
    return true;
}

bool parse_service_hash_bound(struct str text, struct record_fields *fields, const char **expected)
{
    (void)expected;
    return field_number(text, 101, 1000, &fields->policy.hash_bound);
}

bool parse_service_sticky(struct str text, struct record_fields *fields, const char **expected)
{
    const char *of_name;

    (void)expected;
    if (text.len > COOKIE_NAME_MOST || !rule_header_name_is_right(text, &of_name))
        return false;
    fields->policy.sticky = arena_copy(&fields->arena, text);
    return true;
}

bool parse_service_slow_start(struct str text, struct record_fields *fields, const char **expected)
{
    (void)expected;
    return field_time(text, 1, SLOW_START_MOST_MS, &fields->policy.slow_start_ms);
}

bool parse_service_zone_min(struct str text, struct record_fields *fields, const char **expected)
{
    (void)expected;
    fields->policy.zone_min = field_number_and_one(text, 100);
    return fields->policy.zone_min > 0;
}

/* --- endpoints: of the one that was added last --- */

bool parse_endpoint_backup(struct str text, struct record_fields *fields, const char **expected)
{
    (void)expected;
    field_options(fields)->backup = true;
    return text.ptr == NULL;
}

bool parse_endpoint_drain(struct str text, struct record_fields *fields, const char **expected)
{
    (void)expected;
    field_options(fields)->drain = true;
    return text.ptr == NULL;
}

bool parse_endpoint_zone(struct str text, struct record_fields *fields, const char **expected)
{
    (void)expected;
    if (!name_is_right(text))
        return false;
    field_options(fields)->zone = arena_copy(&fields->arena, text);
    return true;
}
