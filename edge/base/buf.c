/* buf.c -- text that grows.
 *
 * Owns:    the bytes of each struct buf.
 * Thread:  any (a buf belongs to one).
 * Used by: logs, dumps, metrics, the access log.
 * Not here: bytes on their way between two connections (proxy/relay.c). */
#include "base/buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

void buf_free(struct buf *b)
{
    free(b->ptr);
    *b = (struct buf){ 0 };
}

void buf_clear(struct buf *b)
{
    b->len = 0;
    if (b->ptr)
        b->ptr[0] = '\0';
}

void buf_reserve(struct buf *b, size_t more)
{
    size_t need = b->len + more + 1;

    if (need <= b->room)
        return;
    if (need < b->room * 2)
        need = b->room * 2;
    if (need < 64)
        need = 64;
    b->ptr = check_realloc(b->ptr, need);
    b->room = need;
}

void buf_add(struct buf *b, const void *bytes, size_t len)
{
    buf_reserve(b, len);
    if (len > 0)
        memcpy(b->ptr + b->len, bytes, len);
    b->len += len;
    b->ptr[b->len] = '\0';
}

void buf_add_str(struct buf *b, struct str s)
{
    buf_add(b, s.ptr, s.len);
}

void buf_add_text(struct buf *b, const char *text)
{
    buf_add(b, text, strlen(text));
}

void buf_vprintf(struct buf *b, const char *format, va_list args)
{
    va_list again;
    int n;

    va_copy(again, args);
    n = vsnprintf(NULL, 0, format, again);
    va_end(again);
    CHECK(n >= 0);
    buf_reserve(b, (size_t)n);
    vsnprintf(b->ptr + b->len, (size_t)n + 1, format, args);
    b->len += (size_t)n;
}

void buf_printf(struct buf *b, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    buf_vprintf(b, format, args);
    va_end(args);
}

/* Length of the UTF-8 sequence at `p` (RFC 3629), 0 when it is none. */
static size_t utf8_length(const unsigned char *p, size_t left)
{
    size_t n = p[0] < 0x80   ? 1
               : p[0] < 0xc2 ? 0
               : p[0] < 0xe0 ? 2
               : p[0] < 0xf0 ? 3
               : p[0] < 0xf5 ? 4
                             : 0;

    if (n == 0 || n > left)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
        (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
        return 0;
    return n;
}

void buf_add_json(struct buf *b, struct str s)
{
    buf_reserve(b, s.len + 2);
    buf_add(b, "\"", 1);
    for (size_t i = 0; i < s.len;) {
        const unsigned char *p = (const unsigned char *)s.ptr + i;
        size_t n = utf8_length(p, s.len - i);

        if (n == 0 || *p < 0x20 || *p == 0x7f) {
            buf_printf(b, "\\u%04x", *p);
            n = 1;
        } else if (*p == '"' || *p == '\\') {
            char escaped[2] = { '\\', (char)*p };

            buf_add(b, escaped, 2);
        } else {
            buf_add(b, p, n);
        }
        i += n;
    }
    buf_add(b, "\"", 1);
}
