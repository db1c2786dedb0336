/* key.c -- whom a request is counted for. */
#include "limit.h"

#include <arpa/inet.h>
#include <string.h>

/* --- what is said --- */

static bool is_name(struct usher_text text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];

        if (c <= ' ' || c >= 0x7f || strchr("\"(),/:;<=>?@[\\]{}", c) != NULL)
            return false;
    }
    return text.len > 0;
}

static bool read_part(struct usher_text text, struct key_part *part)
{
    static const struct {
        const char *word;
        enum key_kind kind;
    } words[] = { { "address", KEY_ADDRESS }, { "path", KEY_PATH },      { "host", KEY_HOST },
                  { "header:", KEY_HEADER },  { "cookie:", KEY_COOKIE }, { "claim:", KEY_HEADER } };

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        size_t len = strlen(words[i].word);

        if (text.len < len || memcmp(text.ptr, words[i].word, len) != 0)
            continue;
        *part = (struct key_part){ words[i].kind, { text.ptr + len, text.len - len } };
        return words[i].word[len - 1] == ':' ? is_name(part->name) : part->name.len == 0;
    }
    return false;
}

bool rate_limit_read_key(struct usher_text text, struct key *key)
{
    key->count = 0;
    for (;;) {
        const char *comma = text.len > 0 ? memchr(text.ptr, ',', text.len) : NULL;
        struct usher_text part = { text.ptr, comma ? (size_t)(comma - text.ptr) : text.len };

        if (key->count == KEY_PARTS_MAX || !read_part(part, &key->parts[key->count++]))
            return false;
        if (comma == NULL)
            return true;
        text = (struct usher_text){ comma + 1, text.len - part.len - 1 };
    }
}

/* --- what a request has --- */

size_t rate_limit_address(struct usher_text text, unsigned char to[8])
{
    static const unsigned char mapped[12] = { [10] = 0xff, [11] = 0xff };
    unsigned char v6[16];
    char copy[INET6_ADDRSTRLEN + 1];

    if (text.len == 0 || text.len >= sizeof(copy))
        return 0;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    if (inet_pton(AF_INET, copy, to) == 1)
        return 4;
    if (inet_pton(AF_INET6, copy, v6) != 1)
        return 0;
    if (memcmp(v6, mapped, sizeof(mapped)) == 0) {
        memcpy(to, v6 + 12, 4);
        return 4;
    }
    memcpy(to, v6, 8);
    return 8;
}

static struct usher_text value_of(struct usher_exchange *x, const struct key_part *part)
{
    switch (part->kind) {
    case KEY_HEADER:
        return usher_header(x, USHER_REQUEST, part->name, 0);
    case KEY_COOKIE:
        return usher_cookie(x, part->name);
    case KEY_PATH:
        return usher_path(x);
    case KEY_HOST:
        return usher_host_name(x);
    case KEY_ADDRESS:
        break;
    }
    return (struct usher_text){ NULL, 0 };
}

/* One part: its kind, its length and its bytes, so that no two keys look the same. */
static size_t put(char *to, enum key_kind kind, struct usher_text value)
{
    uint32_t len = (uint32_t)value.len;

    if (to != NULL) {
        to[0] = (char)kind;
        memcpy(to + 1, &len, sizeof(len));
        memcpy(to + 1 + sizeof(len), value.ptr, value.len);
    }
    return 1 + sizeof(len) + value.len;
}

static size_t put_all(struct usher_exchange *x, const struct key *key, char *to)
{
    size_t len = 0;

    for (uint32_t i = 0; i < key->count; i++) {
        const struct key_part *part = &key->parts[i];
        struct usher_text value = value_of(x, part);
        enum key_kind kind = part->kind;
        unsigned char address[8];

        if (value.len == 0) {
            value = usher_client_ip(x);
            kind = KEY_ADDRESS;
            len += put(
                to != NULL ? to + len : NULL, kind,
                (struct usher_text){ (const char *)address, rate_limit_address(value, address) });
            continue;
        }
        len += put(to != NULL ? to + len : NULL, kind, value);
    }
    return len;
}

struct usher_text rate_limit_key(struct usher_exchange *x, const struct key *key,
                                 char room[KEY_ROOM])
{
    size_t len = put_all(x, key, NULL);
    char *to = len <= KEY_ROOM ? room : usher_alloc(x, len);

    if (to != NULL)
        put_all(x, key, to);
    return (struct usher_text){ to, to != NULL ? len : 0 };
}
