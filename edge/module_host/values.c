/* values.c -- texts, numbers, times, sizes, words and pairs, within a row's bounds.
 *
 * Owns:    nothing.
 * Thread:  control (pure: any would do).
 * Used by: chain.c, exported.c; cli/modules.c.
 * Not here: quotes and columns (words.c); keys and services (chain.c). */
#include "module_host/values.h"

#include <stdio.h>

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit time_units[] = { { "ms", 1 },
                                          { "s", 1000 },
                                          { "m", 60 * 1000 },
                                          { "h", 60 * 60 * 1000 },
                                          { "d", 24 * 60 * 60 * 1000 },
                                          { NULL, 0 } };
static const struct unit size_units[] = {
    { "", 1 }, { "k", 1 << 10 }, { "m", 1 << 20 }, { "g", 1 << 30 }, { NULL, 0 }
};
static const struct unit no_units[] = { { "", 1 }, { NULL, 0 } };

const char *setting_type_name(enum usher_type type)
{
    static const char *const names[] = { "text", "number", "time", "size",   "switch",
                                         "word", "pair",   "key",  "service" };

    return (size_t)type < sizeof(names) / sizeof(names[0]) ? names[type] : "unknown";
}

static const struct unit *units_of(const struct usher_setting *row)
{
    return row->type == USHER_TYPE_TIME   ? time_units
           : row->type == USHER_TYPE_SIZE ? size_units
                                          : no_units;
}

/* In the greatest unit that says it whole. */
static void number_text(int64_t value, const struct unit *units, char *to, size_t size)
{
    const struct unit *best = units;

    for (const struct unit *u = units; u->name != NULL && value > 0; u++)
        if ((uint64_t)value % u->factor == 0)
            best = u;
    snprintf(to, size, "%lld%s", (long long)value / (long long)best->factor, best->name);
}

static void number_range(const struct usher_setting *row, char to[SETTING_EXPECTED])
{
    static const char *const what[] = { [USHER_TYPE_NUMBER] = "a number",
                                        [USHER_TYPE_TIME] = "a time such as 500ms, 5s or 2m",
                                        [USHER_TYPE_SIZE] = "a size such as 512, 64k or 10m" };
    char least[32], most[32];

    if (row->least == 0 && row->most == 0) {
        snprintf(to, SETTING_EXPECTED, "%s", what[row->type]);
        return;
    }
    number_text(row->least, units_of(row), least, sizeof(least));
    number_text(row->most, units_of(row), most, sizeof(most));
    snprintf(to, SETTING_EXPECTED, "%s%s from %s to %s", what[row->type],
             row->type == USHER_TYPE_NUMBER ? "" : ",", least, most);
}

/* "strict, lax or off" */
static void words_range(const char *words, char to[SETTING_EXPECTED])
{
    struct str rest = str_from(words), word;
    size_t at = 0;

    to[0] = '\0';
    for (bool first = true; str_word(&rest, &word) && at < SETTING_EXPECTED; first = false)
        at += (size_t)snprintf(to + at, SETTING_EXPECTED - at, "%s" STR_FMT,
                               first                     ? ""
                               : str_trim(rest).len == 0 ? " or "
                                                         : ", ",
                               STR_ARG(word));
}

void setting_range(const struct usher_setting *row, char to[SETTING_EXPECTED])
{
    const char *what = "a text";

    switch ((enum usher_type)row->type) {
    case USHER_TYPE_NUMBER:
    case USHER_TYPE_TIME:
    case USHER_TYPE_SIZE:
        number_range(row, to);
        return;
    case USHER_TYPE_WORD:
        words_range(row->words, to);
        return;
    case USHER_TYPE_SWITCH:
        what = "on or off";
        break;
    case USHER_TYPE_PAIR:
        what = "NAME=VALUE";
        break;
    case USHER_TYPE_KEY:
        what = "a key of the tenant's own, or the rest of one, such as users";
        break;
    case USHER_TYPE_SERVICE:
        what = "the name of a service";
        break;
    case USHER_TYPE_TEXT:
        break;
    }
    if (row->type == USHER_TYPE_TEXT && (row->least != 0 || row->most != 0))
        snprintf(to, SETTING_EXPECTED, "a text of %lld to %lld bytes", (long long)row->least,
                 (long long)row->most);
    else
        snprintf(to, SETTING_EXPECTED, "%s", what);
}

/* Digits, for a number perhaps behind a minus, and one of the units. */
static bool read_number(struct str text, const struct unit *units, int64_t *number)
{
    bool minus = units == no_units && text.len > 0 && text.ptr[0] == '-';
    size_t digits = 0;
    uint64_t count;

    text = str_slice(text.ptr + minus, text.len - minus);
    while (digits < text.len && text.ptr[digits] >= '0' && text.ptr[digits] <= '9')
        digits++;
    if (!str_to_u64(str_slice(text.ptr, digits), INT64_MAX, &count))
        return false;
    for (const struct unit *u = units; u->name != NULL; u++) {
        if (!str_equals(str_slice(text.ptr + digits, text.len - digits), str_from(u->name)))
            continue;
        if (count > INT64_MAX / u->factor)
            return false;
        *number = minus ? -(int64_t)count : (int64_t)(count * u->factor);
        return true;
    }
    return false;
}

static bool is_within(const struct usher_setting *row, int64_t number)
{
    return (row->least == 0 && row->most == 0) || (number >= row->least && number <= row->most);
}

static bool read_word(const char *words, struct str text, int64_t *number)
{
    struct str rest = str_from(words), word;

    for (*number = 0; str_word(&rest, &word); ++*number)
        if (str_equals(word, text))
            return true;
    return false;
}

static bool read_pair(struct usher_value *value)
{
    const char *equals = value->text.len ? memchr(value->text.ptr, '=', value->text.len) : NULL;
    size_t len = equals != NULL ? (size_t)(equals - value->text.ptr) : 0;

    if (len == 0)
        return false;
    value->name = (struct usher_text){ value->text.ptr, len };
    value->text = (struct usher_text){ equals + 1, value->text.len - len - 1 };
    return true;
}

bool setting_read(const struct usher_setting *row, struct str text, struct usher_value *value,
                  char expected[SETTING_EXPECTED])
{
    bool good = false;

    *value = (struct usher_value){ .text = { text.ptr, text.len } };
    switch ((enum usher_type)row->type) {
    case USHER_TYPE_TEXT:
        good = is_within(row, (int64_t)text.len);
        break;
    case USHER_TYPE_NUMBER:
    case USHER_TYPE_TIME:
    case USHER_TYPE_SIZE:
        good = read_number(text, units_of(row), &value->number) && is_within(row, value->number);
        break;
    case USHER_TYPE_SWITCH:
        value->number = str_equals(text, STR("on"));
        good = value->number || str_equals(text, STR("off"));
        break;
    case USHER_TYPE_WORD:
        good = read_word(row->words, text, &value->number);
        break;
    case USHER_TYPE_PAIR:
        good = read_pair(value);
        break;
    case USHER_TYPE_KEY:
    case USHER_TYPE_SERVICE:
        good = text.len > 0;
        break;
    }
    setting_range(row, expected);
    if (good)
        expected[0] = '\0';
    return good;
}
