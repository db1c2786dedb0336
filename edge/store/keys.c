/* keys.c -- Redis keys, to and from their parts.
 *
 * Owns:    nothing.
 * Thread:  control
 * Used by: sync.c, lookups.c, errors.c.
 * Not here: which names are right (routing/record.c). */
#include "store/keys.h"

#define AT_STAR ((size_t)-2)
#define AT_END ((size_t)-1)

void keys_add_family(struct buf *to, struct str prefix, enum family family)
{
    buf_add_str(to, prefix);
    buf_add_text(to, family_word(family));
    if (!family_is_single(family))
        buf_add_text(to, ":");
}

void keys_add(struct buf *to, struct str prefix, enum family family, struct str name)
{
    keys_add_family(to, prefix, family);
    buf_add_str(to, name);
}

bool keys_split(struct str prefix, struct str key, enum family *family, struct str *name)
{
    struct str rest;

    if (!str_starts_with(key, prefix))
        return false;
    rest = str_slice(key.ptr + prefix.len, key.len - prefix.len);
    for (unsigned f = 0; f < FAMILIES; f++) {
        struct str word = str_from(family_word((enum family)f));

        if (!str_starts_with(rest, word))
            continue;
        *family = (enum family)f;
        *name = str_slice(rest.ptr + word.len, rest.len - word.len);
        if (family_is_single(*family)) {
            if (name->len == 0)
                return true;
        } else if (name->len > 0 && name->ptr[0] == ':') {
            name->ptr++;
            name->len--;
            return name->len <= KEYS_NAME_MAX;
        }
    }
    return false;
}

struct str keys_candidate(struct str host, size_t *at, char to[HOST_MAX_BYTES + 1])
{
    const char *dot = NULL;
    size_t len;

    if (*at == 0) {
        *at = host.ptr[0] == '[' ? AT_STAR : 1;
        return host;
    }
    if (*at == AT_END)
        return str_slice(to, 0);
    if (*at != AT_STAR && *at < host.len)
        dot = memchr(host.ptr + *at, '.', host.len - *at);
    to[0] = '*';
    if (dot == NULL) {
        *at = AT_END;
        return str_slice(to, 1);
    }
    len = host.len - (size_t)(dot - host.ptr);
    memcpy(to + 1, dot, len);
    *at = (size_t)(dot - host.ptr) + 1;
    return str_slice(to, len + 1);
}
