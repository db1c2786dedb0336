/* str.c -- text in pieces.
 *
 * Owns:    nothing; every piece is borrowed.
 * Thread:  any.
 * Used by: every room.
 * Not here: text that grows (buf.c). */
#include "base/str.h"

bool str_equals_nocase(struct str a, struct str b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (str_lower(a.ptr[i]) != str_lower(b.ptr[i]))
            return false;
    return true;
}

bool str_starts_with(struct str s, struct str prefix)
{
    return s.len >= prefix.len && memcmp(s.ptr, prefix.ptr, prefix.len) == 0;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

struct str str_trim(struct str s)
{
    while (s.len > 0 && is_blank(s.ptr[0])) {
        s.ptr++;
        s.len--;
    }
    while (s.len > 0 && is_blank(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

bool str_split(struct str *rest, char separator, struct str *part)
{
    const char *end;

    if (rest->ptr == NULL)
        return false;
    end = rest->len ? memchr(rest->ptr, separator, rest->len) : NULL;
    if (end == NULL) {
        *part = *rest;
        *rest = (struct str){ NULL, 0 };
        return true;
    }
    *part = str_slice(rest->ptr, (size_t)(end - rest->ptr));
    rest->ptr = end + 1;
    rest->len -= part->len + 1;
    return true;
}

bool str_word(struct str *rest, struct str *word)
{
    *rest = str_trim(*rest);
    if (rest->len == 0)
        return false;
    word->ptr = rest->ptr;
    word->len = 0;
    while (word->len < rest->len && !is_blank(rest->ptr[word->len]))
        word->len++;
    rest->ptr += word->len;
    rest->len -= word->len;
    return true;
}

bool str_copy(struct str s, char *to, size_t size)
{
    if (s.len >= size)
        return false;
    if (s.len > 0)
        memcpy(to, s.ptr, s.len);
    to[s.len] = '\0';
    return true;
}

bool str_to_u64(struct str s, uint64_t max, uint64_t *value)
{
    uint64_t n = 0;

    if (s.len == 0 || s.len > 20)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        unsigned digit = (unsigned)(s.ptr[i] - '0');

        if (digit > 9 || n > (max - digit) / 10)
            return false;
        n = n * 10 + digit;
    }
    *value = n;
    return n <= max;
}

char *str_printable(struct str s, char *to, size_t size)
{
    size_t n = s.len < size - 1 ? s.len : size - 1;

    for (size_t i = 0; i < n; i++)
        to[i] = (s.ptr[i] >= 0x20 && s.ptr[i] < 0x7f) ? s.ptr[i] : '?';
    to[n] = '\0';
    return to;
}
