/* settings_numbers.c -- digits and a unit: counts, sizes, rates, times.
 *
 * Owns:    the units.
 * Thread:  any.
 * Used by: settings.c; cli/, for flags of other verbs.
 * Not here: times in records (routing/field_types.c), in settings of modules (module_host/values.c).
 */
#include "settings_numbers.h"

#include <stdio.h>

#include "base/check.h"

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit time_units[] = {
    { "ms", 1 }, { "s", 1000 }, { "m", 60 * 1000 }, { "h", 60 * 60 * 1000 }, { NULL, 0 },
};
static const struct unit size_units[] = {
    { "", 1 }, { "k", 1 << 10 }, { "m", 1 << 20 }, { "g", 1 << 30 }, { NULL, 0 },
};
static const struct unit rate_units[] = {
    { "", 1 },        { "/s", 1 },        { "k", 1 << 10 }, { "k/s", 1 << 10 },
    { "m", 1 << 20 }, { "m/s", 1 << 20 }, { NULL, 0 },
};
static const struct unit no_units[] = { { "", 1 }, { NULL, 0 } };

static const struct {
    const struct unit *units;
    const char *what;
} kinds[] = {
    [NUMBER_COUNT] = { no_units, "a number" },
    [NUMBER_SIZE] = { size_units, "a size such as 64k or 256m," },
    [NUMBER_RATE] = { rate_units, "a number per second" },
    [NUMBER_TIME] = { time_units, "a time such as 500ms, 10s or 2m," },
};

/* The greatest unit that expresses `value` whole, so that ranges read as they were meant. */
static void number_text(uint64_t value, const struct unit *units, char *to, size_t size)
{
    const struct unit *best = NULL;

    for (const struct unit *u = units; u->name != NULL; u++)
        if (strchr(u->name, '/') == NULL && value % u->factor == 0 && (value > 0 || !best))
            best = u;
    CHECK(best != NULL);
    snprintf(to, size, "%llu%s", (unsigned long long)(value / best->factor), best->name);
}

/* Digits and a unit; false also when it is not within the bounds. */
static bool parse_number(struct str text, const struct unit *units, uint64_t least, uint64_t most,
                         uint64_t *value)
{
    size_t digits = 0;
    uint64_t count;

    while (digits < text.len && text.ptr[digits] >= '0' && text.ptr[digits] <= '9')
        digits++;
    if (!str_to_u64(str_slice(text.ptr, digits), UINT64_MAX, &count))
        return false;
    for (const struct unit *u = units; u->name != NULL; u++)
        if (str_equals_nocase(str_slice(text.ptr + digits, text.len - digits), str_from(u->name))) {
            *value = count * u->factor;
            return count <= most / u->factor && *value >= least;
        }
    *value = 0; /* a time of nothing needs no unit */
    return units == time_units && digits == text.len && count == 0 && least == 0;
}

bool settings_number(struct str text, enum number_kind kind, uint64_t least, uint64_t most,
                     uint64_t *value, char *expected, size_t size)
{
    char from[32], to[32];

    number_text(least, kinds[kind].units, from, sizeof(from));
    number_text(most, kinds[kind].units, to, sizeof(to));
    snprintf(expected, size, "%s from %s to %s", kinds[kind].what, from, to);
    return parse_number(text, kinds[kind].units, least, most, value);
}

bool settings_time(struct str text, uint64_t most_ms, uint64_t *ms)
{
    return parse_number(text, time_units, 0, most_ms, ms);
}
