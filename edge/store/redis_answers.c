/* redis_answers.c -- HELLO, INFO, refusals, and the maps of Sentinel.
 *
 * Owns:    nothing.
 * Thread:  control
 * Used by: redis_link.c, redis_client.c, sentinel.c, topology.c, replica.c.
 * Not here: values of records (reading.c). */
#include "store/redis_answers.h"

#include <hiredis/alloc.h>
#include <stdio.h>

#include "base/check.h"

#define OLDEST_MAJOR 6
#define OLDEST_MINOR 2

static bool is_text(const redisReply *r)
{
    return r != NULL && (r->type == REDIS_REPLY_STRING || r->type == REDIS_REPLY_STATUS ||
                         r->type == REDIS_REPLY_VERB);
}

struct str redis_map_field(const redisReply *map, const char *name)
{
    if (map == NULL || (map->type != REDIS_REPLY_MAP && map->type != REDIS_REPLY_ARRAY))
        return STR("");
    for (size_t i = 0; i + 1 < map->elements; i += 2) {
        const redisReply *field = map->element[i], *value = map->element[i + 1];

        if (is_text(field) && is_text(value) && strcmp(field->str, name) == 0)
            return str_slice(value->str, value->len);
    }
    return STR("");
}

uint64_t redis_map_number(const redisReply *map, const char *name)
{
    uint64_t number;

    return str_to_u64(redis_map_field(map, name), UINT64_MAX, &number) ? number : 0;
}

bool redis_server_read(const redisReply *r, struct redis_server *to)
{
    struct str version = redis_map_field(r, "version");

    memset(to, 0, sizeof(*to));
    if (r == NULL || r->type != REDIS_REPLY_MAP || version.len == 0)
        return false;
    str_printable(redis_map_field(r, "server"), to->name, sizeof(to->name));
    str_printable(version, to->version, sizeof(to->version));
    str_printable(redis_map_field(r, "mode"), to->mode, sizeof(to->mode));
    to->replica = str_equals(redis_map_field(r, "role"), STR("replica")) ||
                  str_equals(redis_map_field(r, "role"), STR("slave"));
    return true;
}

const char *redis_hello_refusal(const char *error)
{
    return strstr(error, "unknown command `HELLO`") != NULL
               ? "it is older than Redis 6.2, which is needed: it knows no HELLO"
               : error;
}

bool redis_server_is_too_old(const struct redis_server *s)
{
    struct str rest = str_from(s->version), major, minor = { "", 0 };
    uint64_t a = 0, b = 0;

    if (strcmp(s->name, "redis") != 0)
        return false;
    if (!str_split(&rest, '.', &major) || !str_to_u64(major, UINT32_MAX, &a))
        return true;
    if (!str_split(&rest, '.', &minor) || !str_to_u64(minor, UINT32_MAX, &b))
        b = 0;
    return a < OLDEST_MAJOR || (a == OLDEST_MAJOR && b < OLDEST_MINOR);
}

enum redis_refusal redis_refusal_of(const char *error)
{
    static const struct {
        const char *word;
        enum redis_refusal kind;
    } rows[] = {
        { "READONLY ", REFUSAL_READONLY },     { "LOADING ", REFUSAL_LOADING },
        { "MASTERDOWN ", REFUSAL_MASTERDOWN }, { "MOVED ", REFUSAL_MOVED },
        { "ASK ", REFUSAL_CLUSTER },           { "TRYAGAIN ", REFUSAL_CLUSTER },
        { "CLUSTERDOWN ", REFUSAL_CLUSTER },
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (strncmp(error, rows[i].word, strlen(rows[i].word)) == 0)
            return rows[i].kind;
    return REFUSAL_NONE;
}

bool redis_moved_to(const char *error, struct redis_place *to)
{
    struct str rest = str_from(error), word, host;
    const char *colon;

    if (!str_word(&rest, &word) || !str_equals(word, STR("MOVED")) || !str_word(&rest, &word) ||
        !str_word(&rest, &word))
        return false;
    colon = memrchr(word.ptr, ':', word.len); /* an IPv6 address comes without brackets */
    if (colon == NULL)
        return false;
    host = str_slice(word.ptr, (size_t)(colon - word.ptr));
    if (host.len > 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']')
        host = str_slice(host.ptr + 1, host.len - 2);
    if (host.len == 0 || str_equals(host, STR("?")))
        host = str_from(to->host);
    return redis_place_set(to, host,
                           str_slice(colon + 1, word.len - (size_t)(colon + 1 - word.ptr)));
}

struct str redis_info_field(struct str text, const char *name)
{
    struct str line, wanted = str_from(name);

    while (text.len > 0 && str_split(&text, '\n', &line)) {
        if (line.len <= wanted.len || line.ptr[wanted.len] != ':' || !str_starts_with(line, wanted))
            continue;
        if (line.ptr[line.len - 1] == '\r')
            line.len--;
        return str_slice(line.ptr + wanted.len + 1, line.len - wanted.len - 1);
    }
    return STR("");
}

uint64_t redis_info_number(struct str text, const char *name)
{
    uint64_t number;

    return str_to_u64(redis_info_field(text, name), UINT64_MAX, &number) ? number : 0;
}

char *redis_place_text(const struct redis_place *p, char to[REDIS_PLACE_TEXT_SIZE])
{
    snprintf(to, REDIS_PLACE_TEXT_SIZE, strchr(p->host, ':') != NULL ? "[%s]:%u" : "%s:%u", p->host,
             p->port);
    return to;
}

bool redis_place_equals(const struct redis_place *a, const struct redis_place *b)
{
    return a->port == b->port && strcmp(a->host, b->host) == 0;
}

bool redis_place_set(struct redis_place *p, struct str host, struct str port)
{
    uint64_t number;

    if (host.len == 0 || host.len >= sizeof(p->host) || memchr(host.ptr, '\0', host.len) != NULL ||
        !str_to_u64(port, 65535, &number) || number == 0)
        return false;
    memmove(p->host, host.ptr, host.len); /* it may be its own */
    p->host[host.len] = '\0';
    p->port = (uint16_t)number;
    return true;
}

redisReply *redis_reply_copy(const redisReply *r)
{
    redisReply *copy = hi_calloc(1, sizeof(*copy));

    CHECK(copy != NULL);
    *copy = *r;
    if (r->str != NULL) {
        copy->str = hi_malloc(r->len + 1);
        CHECK(copy->str != NULL);
        memcpy(copy->str, r->str, r->len + 1);
    }
    if (r->elements == 0)
        copy->element = NULL;
    else
        copy->element = hi_calloc(r->elements, sizeof(*copy->element));
    for (size_t i = 0; i < r->elements; i++)
        copy->element[i] = redis_reply_copy(r->element[i]);
    return copy;
}
