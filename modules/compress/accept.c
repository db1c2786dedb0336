/* accept.c -- lists in headers: codings with their weights, types, words. */
#include "accept.h"

#include <string.h>
#include <strings.h>

#define WEIGHT_FULL 1000

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

static bool is(struct usher_text t, const char *word)
{
    return strlen(word) == t.len && strncasecmp(t.ptr, word, t.len) == 0;
}

/* Up to the next separator, trimmed, and the rest behind it; false: nothing is left. */
static bool take(struct usher_text *rest, char separator, struct usher_text *part)
{
    const char *end;

    if (rest->ptr == NULL)
        return false;
    end = rest->len > 0 ? memchr(rest->ptr, separator, rest->len) : NULL;
    if (end == NULL) {
        *part = trimmed(*rest);
        rest->ptr = NULL;
        return true;
    }
    *part = trimmed((struct usher_text){ rest->ptr, (size_t)(end - rest->ptr) });
    rest->len -= (size_t)(end + 1 - rest->ptr);
    rest->ptr = end + 1;
    return true;
}

static enum compress_coding coding_of(struct usher_text name)
{
    for (unsigned i = COMPRESS_GZIP; i < COMPRESS_CODINGS; i++)
        if (is(name, compress_name((enum compress_coding)i)))
            return (enum compress_coding)i;
    return is(name, "x-gzip") ? COMPRESS_GZIP : COMPRESS_NONE;
}

bool compress_read_codings(struct usher_text list, enum compress_coding to[COMPRESS_CODINGS],
                           unsigned *count)
{
    struct usher_text part;

    *count = 0;
    while (take(&list, ',', &part)) {
        enum compress_coding coding = coding_of(part);

        for (unsigned i = 0; i < *count; i++)
            if (to[i] == coding)
                return false;
        if (coding == COMPRESS_NONE)
            return false;
        to[(*count)++] = coding;
    }
    return *count > 0;
}

/* RFC 9110 12.4.2: "0.25" is 250; what is not well-formed is 0. */
static int weight_of(struct usher_text text)
{
    int weight = 0, digit = WEIGHT_FULL;

    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];

        if (i == 1 ? c != '.' : c < '0' || c > '9')
            return 0;
        if (i == 1)
            continue;
        weight += (c - '0') * digit;
        digit /= 10;
    }
    return weight <= WEIGHT_FULL && text.len <= 5 ? weight : 0;
}

/* "gzip;q=0.5" */
static int read_one(struct usher_text part, struct usher_text *name)
{
    struct usher_text parameter;
    int weight = WEIGHT_FULL;

    take(&part, ';', name);
    while (take(&part, ';', &parameter))
        if (parameter.len >= 2 && strncasecmp(parameter.ptr, "q=", 2) == 0)
            weight = weight_of((struct usher_text){ parameter.ptr + 2, parameter.len - 2 });
    return weight;
}

enum compress_coding compress_choose(struct usher_text field, const enum compress_coding *ours,
                                     unsigned count)
{
    int weights[COMPRESS_CODINGS] = { -1, -1, -1, -1 }, others = 0, best = 0;
    enum compress_coding chosen = COMPRESS_NONE;
    struct usher_text part, name;

    while (take(&field, ',', &part)) {
        int weight = read_one(part, &name);

        if (is(name, "*"))
            others = weight;
        else if (is(name, "identity"))
            weights[COMPRESS_NONE] = weight;
        else if (coding_of(name) != COMPRESS_NONE)
            weights[coding_of(name)] = weight;
    }
    for (unsigned i = 0; i < count; i++) {
        int weight = weights[ours[i]] >= 0 ? weights[ours[i]] : others;

        if (weight > best) {
            best = weight;
            chosen = ours[i];
        }
    }
    return weights[COMPRESS_NONE] > best ? COMPRESS_NONE : chosen;
}

static bool fits(struct usher_text pattern, struct usher_text type)
{
    const char *star = memchr(pattern.ptr, '*', pattern.len);
    size_t before, after;

    if (star == NULL)
        return pattern.len == type.len && strncasecmp(pattern.ptr, type.ptr, type.len) == 0;
    before = (size_t)(star - pattern.ptr);
    after = pattern.len - before - 1;
    return type.len >= before + after && strncasecmp(pattern.ptr, type.ptr, before) == 0 &&
           strncasecmp(star + 1, type.ptr + type.len - after, after) == 0;
}

bool compress_type_in(struct usher_text list, struct usher_text type)
{
    struct usher_text bare, pattern;

    if (!take(&type, ';', &bare) || bare.len == 0)
        return false;
    while (take(&list, ',', &pattern))
        if (pattern.len > 0 && fits(pattern, bare))
            return true;
    return false;
}

bool compress_word_in(struct usher_text list, const char *word)
{
    struct usher_text part, name;

    while (take(&list, ',', &part))
        if (take(&part, '=', &name) && is(name, word))
            return true;
    return false;
}
