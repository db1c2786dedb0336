/* rewrite.c -- paths with a prefix less or more, URLs filled in, clients hashed.
 *
 * Owns:    nothing; writes where it is told.
 * Thread:  any.
 * Used by: proxy/match.c, proxy/reply.c; whatever explains.
 * Not here: which rule it is (match.c). */
#include "routing/rewrite.h"

#include "base/checksum.h"
#include "base/cidr.h"

bool rewrite_strips(struct str strip, struct str path, size_t *len)
{
    size_t at = 0;

    for (size_t i = 0; i < strip.len; i++) {
        if (at == path.len || path.ptr[at] != strip.ptr[i])
            return false;
        at++;
        while (strip.ptr[i] == '/' && at < path.len && path.ptr[at] == '/')
            at++;
    }
    *len = at;
    return at == path.len || path.ptr[at] == '/';
}

static size_t put(char *to, size_t at, struct str text)
{
    if (text.len > 0)
        memcpy(to + at, text.ptr, text.len);
    return at + text.len;
}

size_t rewrite_path(const struct route *route, struct str path, char *to)
{
    size_t len = 0, stripped;

    if (path.len == 0 || path.ptr[0] != '/')
        return put(to, 0, path);
    if (rewrite_strips(route->strip, path, &stripped))
        path = str_slice(path.ptr + stripped, path.len - stripped);
    len = put(to, len, route->prepend);
    return put(to, len, path.len > 0 || len > 0 ? path : STR("/"));
}

static size_t put_value(struct str name, const struct rewrite_request *q, char *to, size_t len)
{
    struct str parts[3] = { { NULL, 0 } };

    if (str_equals(name, STR("host"))) {
        parts[0] = q->host;
    } else if (str_equals(name, STR("query"))) {
        parts[0] = q->query;
    } else {
        parts[0] = q->path;
        if (str_equals(name, STR("uri")) && q->query.ptr != NULL) {
            parts[1] = STR("?");
            parts[2] = q->query;
        }
    }
    for (unsigned i = 0; i < 3; i++)
        len = to != NULL ? put(to, len, parts[i]) : len + parts[i].len;
    return len;
}

size_t rewrite_url(struct str url, const struct rewrite_request *q, char *to)
{
    size_t len = 0;

    for (size_t at = 0; at < url.len;) {
        size_t end = at + 1;

        if (url.ptr[at] != '$') {
            if (to != NULL)
                to[len] = url.ptr[at];
            len++;
            at++;
            continue;
        }
        while (end < url.len && url.ptr[end] >= 'a' && url.ptr[end] <= 'z')
            end++;
        len = put_value(str_slice(url.ptr + at + 1, end - at - 1), q, to, len);
        at = end;
    }
    return len;
}

uint64_t rewrite_client_hash(const struct address *client, struct str tenant, struct str rule)
{
    uint64_t parts[4];

    cidr_ip(client, (uint8_t *)parts);
    parts[2] = checksum(tenant);
    parts[3] = checksum(rule);
    return checksum(str_slice((const char *)parts, sizeof(parts)));
}
