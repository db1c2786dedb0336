/* path.c -- the normal form of paths (RFC 3986 6.2.2), octet by octet.
 *
 * Owns:    nothing.
 * Thread:  any.
 * Used by: proxy/exchange.c (requests), routing/rule_values.c (rules), explaining; for places in the file
 *          system, endpoints and settings.
 * Not here: "//" taken as "/" (routing/route.c). */
#include "base/path.h"

enum { UNRESERVED = 1, PATH = 2, HEX = 4 };

static const uint8_t kinds[256] = {
    ['0' ... '9'] = UNRESERVED | PATH | HEX,
    ['a' ... 'f'] = UNRESERVED | PATH | HEX,
    ['g' ... 'z'] = UNRESERVED | PATH,
    ['A' ... 'F'] = UNRESERVED | PATH | HEX,
    ['G' ... 'Z'] = UNRESERVED | PATH,
    ['-'] = UNRESERVED | PATH,
    ['.'] = UNRESERVED | PATH,
    ['_'] = UNRESERVED | PATH,
    ['~'] = UNRESERVED | PATH,
    ['!'] = PATH,
    ['$'] = PATH,
    ['&'] = PATH,
    ['\''] = PATH,
    ['('] = PATH,
    [')'] = PATH,
    ['*'] = PATH,
    ['+'] = PATH,
    [','] = PATH,
    [';'] = PATH,
    ['='] = PATH,
    [':'] = PATH,
    ['@'] = PATH,
    ['/'] = PATH,
};

static bool is(char c, unsigned kind)
{
    return (kinds[(unsigned char)c] & kind) != 0;
}

static unsigned hex_value(char c)
{
    return c <= '9' ? (unsigned)(c - '0') : (unsigned)((c | 0x20) - 'a' + 10);
}

static size_t put_escape(char *to, unsigned char c)
{
    static const char hex[] = "0123456789ABCDEF";

    to[0] = '%';
    to[1] = hex[c >> 4];
    to[2] = hex[c & 15];
    return 3;
}

/* One octet of the path at *from, in normal form; false when it may not be in any path. */
static bool put_octet(struct str path, size_t *from, char *to, size_t *len)
{
    char c = path.ptr[(*from)++];
    unsigned char octet;

    if (c != '%') {
        if (is(c, PATH))
            to[(*len)++] = c;
        else if ((unsigned char)c < 0x20 || c == 0x7f)
            return false;
        else
            *len += put_escape(to + *len, (unsigned char)c);
        return true;
    }
    if (path.len - *from < 2 || !is(path.ptr[*from], HEX) || !is(path.ptr[*from + 1], HEX))
        return false;
    octet = (unsigned char)(hex_value(path.ptr[*from]) << 4 | hex_value(path.ptr[*from + 1]));
    *from += 2;
    if (octet < 0x20 || octet == 0x7f)
        return false;
    if (is((char)octet, UNRESERVED))
        to[(*len)++] = (char)octet;
    else
        *len += put_escape(to + *len, octet);
    return true;
}

/* RFC 3986 5.2.4, in place, on a path that begins with '/'. */
static size_t remove_dot_segments(char *path, size_t len)
{
    size_t out = 0, at = 0;

    while (at < len) {
        size_t end = at + 1; /* path[at] is '/' */

        while (end < len && path[end] != '/')
            end++;
        if (end - at == 2 && path[at + 1] == '.') {
            if (end == len)
                path[out++] = '/';
        } else if (end - at == 3 && path[at + 1] == '.' && path[at + 2] == '.') {
            while (out > 0 && path[--out] != '/')
                continue;
            if (end == len)
                path[out++] = '/';
        } else {
            memmove(path + out, path + at, end - at);
            out += end - at;
        }
        at = end;
    }
    if (out == 0)
        path[out++] = '/';
    return out;
}

static bool is_normal(struct str path)
{
    for (size_t i = 0; i < path.len; i++) {
        char c = path.ptr[i];

        if (!is(c, PATH) || (c == '.' && i > 0 && path.ptr[i - 1] == '/'))
            return false;
    }
    return true;
}

size_t path_normal(struct str path, char *to, bool *same)
{
    size_t len = 0, from = 0;

    *same = is_normal(path);
    if (*same) {
        memcpy(to, path.ptr, path.len);
        return path.len;
    }
    while (from < path.len)
        if (!put_octet(path, &from, to, &len))
            return 0;
    if (to[0] == '/')
        len = remove_dot_segments(to, len);
    *same = len == path.len && memcmp(to, path.ptr, len) == 0;
    return len;
}

bool path_is_plain(struct str path)
{
    struct str segment;

    while (str_split(&path, '/', &segment))
        if (segment.len == 0 || str_equals(segment, STR(".")) || str_equals(segment, STR("..")))
            return false;
    return true;
}
