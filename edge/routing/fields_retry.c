/* fields_retry.c -- the fields of services about what goes wrong: retries, hedging, outliers, the breaker
 * (schema/service.def).
 *
 * Owns:    nothing.
 * Thread:  control (pure: any would do).
 * Used by: field_types.c, by its tables.
 * Not here: what is made of them (retry.c, outlier.c, breaker.c). */
#include "routing/field_parsers.h"

#define COUNT_MOST 1000
#define LEAST_MOST 1000000
#define TIMES_LEAST_PERCENT 150
#define TIMES_MOST_PERCENT 10000

/* --- retries --- */

bool parse_service_retries(struct str text, struct record_fields *fields, const char **expected)
{
    (void)expected;
    fields->policy.retry.retries = (uint8_t)field_number_and_one(text, RETRIES_MOST);
    return fields->policy.retry.retries > 0;
}

bool parse_service_retry_on(struct str text, struct record_fields *fields, const char **expected)
{
    static const char *const words[] = { "none", "connect", "closed", "502", "503", "504" };
    uint8_t on = 0;
    struct str word;

    (void)expected;
    while (str_word(&text, &word)) {
        unsigned number = field_word(word, sizeof(words) / sizeof(words[0]), words);

        if (number == 0)
            return false;
        on |= (uint8_t)(1u << (number - 1));
    }
    fields->policy.retry.on = on;
    return on != 0 && ((on & RETRY_ON_NONE) == 0 || on == RETRY_ON_NONE);
}

bool parse_service_retry_budget(struct str text, struct record_fields *fields,
                                const char **expected)
{
    (void)expected;
    fields->policy.retry.budget = (uint8_t)field_number_and_one(text, 100);
    return fields->policy.retry.budget > 0;
}

bool parse_service_hedge(struct str text, struct record_fields *fields, const char **expected)
{
    (void)expected;
    fields->policy.hedge_ms = field_parse_ms(text);
    return fields->policy.hedge_ms > 0;
}

/* --- outliers --- */

bool parse_service_outlier_failures(struct str text, struct record_fields *fields,
                                    const char **expected)
{
    (void)expected;
    fields->policy.outlier.failures = (uint16_t)field_number_and_one(text, COUNT_MOST);
    return fields->policy.outlier.failures > 0;
}

bool parse_service_outlier_gateway_errors(struct str text, struct record_fields *fields,
                                          const char **expected)
{
    (void)expected;
    fields->policy.outlier.gateway_errors = (uint16_t)field_number_and_one(text, COUNT_MOST);
    return fields->policy.outlier.gateway_errors > 0;
}

/* "3x" or "2.5x", in percent; 0: it is not. */
static uint32_t parse_times(struct str text)
{
    struct str whole;
    uint64_t percent, tenths = 0;

    if (text.len < 2 || text.ptr[text.len - 1] != 'x')
        return 0;
    text.len--;
    if (!str_split(&text, '.', &whole) || !str_to_u64(whole, 100, &percent))
        return 0;
    if (text.ptr != NULL && (text.len != 1 || !str_to_u64(text, 9, &tenths)))
        return 0;
    percent = percent * 100 + tenths * 10;
    return percent >= TIMES_LEAST_PERCENT && percent <= TIMES_MOST_PERCENT ? (uint32_t)percent : 0;
}

bool parse_service_outlier_latency(struct str text, struct record_fields *fields,
                                   const char **expected)
{
    struct outlier_policy *policy = &fields->policy.outlier;

    (void)expected;
    policy->latency_percent = parse_times(text);
    policy->latency_ms = policy->latency_percent > 0 ? 0 : field_parse_ms(text);
    return policy->latency_percent + policy->latency_ms > 0;
}

bool parse_service_outlier_eject(struct str text, struct record_fields *fields,
                                 const char **expected)
{
    (void)expected;
    fields->policy.outlier.eject_ms = field_parse_ms(text);
    return fields->policy.outlier.eject_ms > 0;
}

bool parse_service_outlier_max_ejected(struct str text, struct record_fields *fields,
                                       const char **expected)
{
    (void)expected;
    fields->policy.outlier.max_ejected = (uint8_t)field_number_and_one(text, 100);
    return fields->policy.outlier.max_ejected > 0;
}

/* --- the breaker --- */

bool parse_service_breaker(struct str text, struct record_fields *fields, const char **expected)
{
    uint32_t percent;

    (void)expected;
    if (!field_number(text, 0, 100, &percent))
        return false;
    fields->policy.breaker.percent = (uint8_t)percent;
    return true;
}

bool parse_service_breaker_min(struct str text, struct record_fields *fields, const char **expected)
{
    (void)expected;
    return field_number(text, 1, LEAST_MOST, &fields->policy.breaker.least);
}

bool parse_service_breaker_open(struct str text, struct record_fields *fields,
                                const char **expected)
{
    (void)expected;
    fields->policy.breaker.open_ms = field_parse_ms(text);
    return fields->policy.breaker.open_ms > 0;
}
