/* conditions.c -- RFC 9110's conditional and range requests, as far as files need them. */
#include "conditions.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static struct usher_text trimmed(struct usher_text t)
{
    while (t.len > 0 && (t.ptr[0] == ' ' || t.ptr[0] == '\t')) {
        t.ptr++;
        t.len--;
    }
    while (t.len > 0 && (t.ptr[t.len - 1] == ' ' || t.ptr[t.len - 1] == '\t'))
        t.len--;
    return t;
}

static bool equals(struct usher_text a, struct usher_text b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static bool starts(struct usher_text t, const char *with)
{
    size_t len = strlen(with);

    return t.len >= len && memcmp(t.ptr, with, len) == 0;
}

static void put_two(char *to, int number)
{
    to[0] = (char)('0' + number / 10);
    to[1] = (char)('0' + number % 10);
}

/* For each file that is sent: by hand, as strftime takes four times as long. */
void static_files_date(int64_t seconds, char to[STATIC_FILES_DATE])
{
    static const char days[7][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
    static const char months[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                        "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
    time_t at = (time_t)seconds;
    struct tm parts;

    to[0] = '\0';
    if (gmtime_r(&at, &parts) == NULL || parts.tm_year < -1900 || parts.tm_year > 9999 - 1900)
        return;
    memcpy(to, "ddd, 00 mmm 0000 00:00:00 GMT", STATIC_FILES_DATE);
    memcpy(to, days[parts.tm_wday], 3);
    put_two(to + 5, parts.tm_mday);
    memcpy(to + 8, months[parts.tm_mon], 3);
    put_two(to + 12, (parts.tm_year + 1900) / 100);
    put_two(to + 14, (parts.tm_year + 1900) % 100);
    put_two(to + 17, parts.tm_hour);
    put_two(to + 20, parts.tm_min);
    put_two(to + 23, parts.tm_sec);
}

int64_t static_files_read_date(struct usher_text text)
{
    static const char *const forms[] = { "%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT",
                                         "%a %b %e %H:%M:%S %Y" };
    char copy[48];

    if (text.ptr == NULL || text.len >= sizeof(copy))
        return -1;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        struct tm parts = { 0 };
        const char *end = strptime(copy, forms[i], &parts);

        if (end != NULL && *end == '\0')
            return timegm(&parts);
    }
    return -1;
}

bool static_files_tag_in(struct usher_text list, struct usher_text tag, bool weak)
{
    struct usher_text rest = trimmed(list);

    if (rest.len == 1 && rest.ptr[0] == '*')
        return true;
    while (rest.len > 0) {
        struct usher_text one;
        const char *end;
        bool is_weak = starts(rest, "W/");

        one = is_weak ? (struct usher_text){ rest.ptr + 2, rest.len - 2 } : rest;
        if (one.len < 2 || one.ptr[0] != '"')
            return false;
        end = memchr(one.ptr + 1, '"', one.len - 1);
        if (end == NULL)
            return false;
        one.len = (size_t)(end + 1 - one.ptr);
        if ((weak || !is_weak) && equals(one, tag))
            return true;
        rest.len -= (size_t)(end + 1 - rest.ptr);
        rest.ptr = end + 1;
        while (rest.len > 0 && (rest.ptr[0] == ' ' || rest.ptr[0] == '\t' || rest.ptr[0] == ',')) {
            rest.ptr++;
            rest.len--;
        }
    }
    return false;
}

/* The digits that `t` begins with; false: there are none, or too many. */
static bool take_number(struct usher_text *t, uint64_t *number)
{
    size_t digits = 0;

    *number = 0;
    while (digits < t->len && digits < 18 && t->ptr[digits] >= '0' && t->ptr[digits] <= '9')
        *number = *number * 10 + (uint64_t)(t->ptr[digits++] - '0');
    t->ptr += digits;
    t->len -= digits;
    return digits > 0 && (t->len == 0 || t->ptr[0] < '0' || t->ptr[0] > '9');
}

enum static_files_range static_files_read_range(struct usher_text range, uint64_t size,
                                                uint64_t *from, uint64_t *bytes)
{
    struct usher_text rest = trimmed(range);
    uint64_t first = 0, last = 0;
    bool has_first, has_last;

    if (rest.len < 6 || strncasecmp(rest.ptr, "bytes=", 6) != 0)
        return STATIC_FILES_WHOLE;
    rest = trimmed((struct usher_text){ rest.ptr + 6, rest.len - 6 });
    has_first = rest.len > 0 && rest.ptr[0] != '-';
    if ((has_first && !take_number(&rest, &first)) || rest.len == 0 || rest.ptr[0] != '-')
        return STATIC_FILES_WHOLE;
    rest.ptr++;
    rest.len--;
    has_last = rest.len > 0;
    if ((has_last && !take_number(&rest, &last)) || rest.len > 0 || (!has_first && !has_last) ||
        (has_first && has_last && last < first))
        return STATIC_FILES_WHOLE;
    if (!has_first) { /* the last so many */
        if (last == 0 || size == 0)
            return STATIC_FILES_OUTSIDE;
        *bytes = last < size ? last : size;
        *from = size - *bytes;
        return STATIC_FILES_PART;
    }
    if (first >= size)
        return STATIC_FILES_OUTSIDE;
    if (!has_last || last >= size)
        last = size - 1;
    *from = first;
    *bytes = last - first + 1;
    return STATIC_FILES_PART;
}

bool static_files_same_version(struct usher_text if_range, struct usher_text tag, int64_t modified)
{
    struct usher_text t = trimmed(if_range);

    if (t.len > 0 && (t.ptr[0] == '"' || starts(t, "W/")))
        return equals(t, tag); /* strong: a weak one is never the same */
    return static_files_read_date(t) == modified;
}
