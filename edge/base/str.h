/* str.h -- a piece of text that somebody else owns: pointer and length, no NUL needed. */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct str {
    const char *ptr;
    size_t len;
};

#define STR(literal) ((struct str){ (literal), sizeof(literal) - 1 })
#define STR_FMT "%.*s"
#define STR_ARG(s) (int)(s).len, (s).ptr

static inline struct str str_from(const char *text)
{
    return (struct str){ text, strlen(text) };
}

static inline struct str str_slice(const char *ptr, size_t len)
{
    return (struct str){ ptr, len };
}

static inline bool str_equals(struct str a, struct str b)
{
    return a.len == b.len && memcmp(a.ptr, b.ptr, a.len) == 0;
}

static inline char str_lower(char c)
{
    return (c >= 'A' && c <= 'Z') ? (char)(c | 0x20) : c;
}

/* ASCII only, as every name in HTTP is. */
bool str_equals_nocase(struct str a, struct str b);
bool str_starts_with(struct str s, struct str prefix);

/* Without spaces and tabs (RFC 9110 5.6.3, OWS) at both ends. */
struct str str_trim(struct str s);

/* Takes the part of `*rest` before `separator` and moves `*rest` behind it; false when `*rest` is
 * used up. An empty part is a part: "a,,b" has three. Start with rest->ptr != NULL. */
bool str_split(struct str *rest, char separator, struct str *part);

/* Takes the next word of `*rest`, words being parted by spaces and tabs; false when none is left. */
bool str_word(struct str *rest, struct str *word);

/* Whole of `s`, decimal digits only, at most `max`. */
bool str_to_u64(struct str s, uint64_t max, uint64_t *value);

/* Writes `s` and a NUL to `to`; false: they are more than `size` bytes. */
bool str_copy(struct str s, char *to, size_t size);

/* Writes `s` and a NUL to `to`, shortened to `size` - 1 bytes; bytes that are not printable ASCII
 * become '?', so that the result may stand in a log line. Returns `to`. */
char *str_printable(struct str s, char *to, size_t size);

#endif
