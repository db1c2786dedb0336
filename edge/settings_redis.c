/* settings_redis.c -- where Redis is: redis:// and unix:// URLs.
 *
 * Owns:    nothing.
 * Thread:  any.
 * Used by: settings.c.
 * Not here: connecting (store/redis_link.c). */
#include "settings_redis.h"

#include <string.h>

#define DEFAULT_PORT 6379
#define DB_MAX 1000000

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = str_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Undoes percent-encoding; false when it does not fit, or holds a NUL or half an escape. */
static bool decode(struct str text, char *to, size_t size)
{
    size_t n = 0;

    for (size_t i = 0; i < text.len; i++) {
        int c = (unsigned char)text.ptr[i];

        if (c == '%') {
            int high = i + 2 < text.len ? hex_value(text.ptr[i + 1]) : -1;
            int low = i + 2 < text.len ? hex_value(text.ptr[i + 2]) : -1;

            if (high < 0 || low < 0)
                return false;
            c = high * 16 + low;
            i += 2;
        }
        if (c == 0 || n + 1 >= size)
            return false;
        to[n++] = (char)c;
    }
    to[n] = '\0';
    return true;
}

/* Takes "USER:PASSWORD@", ":PASSWORD@" or "PASSWORD@" off the front, up to the last '@' in front
 * of the first '/'. */
static bool read_user(struct str *rest, struct redis_url *to)
{
    const char *slash = memchr(rest->ptr, '/', rest->len);
    size_t span = slash != NULL ? (size_t)(slash - rest->ptr) : rest->len;
    const char *at = memrchr(rest->ptr, '@', span);
    const char *colon;
    struct str user, password;

    if (at == NULL)
        return true;
    user = str_slice(rest->ptr, (size_t)(at - rest->ptr));
    rest->len -= user.len + 1;
    rest->ptr = at + 1;
    colon = memchr(user.ptr, ':', user.len);
    if (colon == NULL) {
        password = user;
        user.len = 0;
    } else {
        password = str_slice(colon + 1, user.len - (size_t)(colon + 1 - user.ptr));
        user.len = (size_t)(colon - user.ptr);
    }
    return decode(user, to->user, sizeof(to->user)) &&
           decode(password, to->password, sizeof(to->password));
}

static bool read_db(struct str text, struct redis_url *to)
{
    uint64_t db;

    if (!str_to_u64(text, DB_MAX, &db))
        return false;
    to->db = (unsigned)db;
    return true;
}

static bool read_socket(struct str rest, struct redis_url *to, const char **expected)
{
    const char *query = memchr(rest.ptr, '?', rest.len);
    struct str path = rest, db;

    to->unix_socket = true;
    *expected = "unix:///PATH[?db=N]";
    if (query != NULL) {
        path.len = (size_t)(query - rest.ptr);
        db = str_slice(query + 1, rest.len - path.len - 1);
        if (!str_starts_with(db, STR("db=")) || !read_db(str_slice(db.ptr + 3, db.len - 3), to))
            return false;
    }
    /* sockaddr_un holds 108 bytes with the NUL */
    return path.len > 1 && path.len < 108 && path.ptr[0] == '/' &&
           decode(path, to->host, sizeof(to->host));
}

static bool read_host(struct str host, struct redis_url *to, const char **expected)
{
    const char *colon;
    uint64_t port = DEFAULT_PORT;

    if (host.len > 0 && host.ptr[0] == '[') {
        const char *end = memchr(host.ptr, ']', host.len);

        if (end == NULL)
            return false;
        colon = end + 1 < host.ptr + host.len ? end + 1 : NULL;
        if (colon != NULL && *colon != ':')
            return false;
    } else {
        colon = memchr(host.ptr, ':', host.len);
    }
    if (colon != NULL) {
        struct str digits = str_slice(colon + 1, (size_t)(host.ptr + host.len - colon) - 1);

        if (!str_to_u64(digits, 65535, &port) || port == 0) {
            *expected = "a port from 1 to 65535 behind the host";
            return false;
        }
        host.len = (size_t)(colon - host.ptr);
    }
    to->port = (uint16_t)port;
    if (host.len > 0 && host.ptr[0] == '[')
        host = str_slice(host.ptr + 1, host.len - 2);
    return host.len > 0 && memchr(host.ptr, ' ', host.len) == NULL &&
           decode(host, to->host, sizeof(to->host));
}

bool settings_redis_url(struct str url, struct redis_url *to, const char **expected)
{
    struct str rest, host;
    const char *slash;

    memset(to, 0, sizeof(*to));
    *expected = "redis://[USER:PASSWORD@]HOST[:PORT][/DB] or unix:///PATH[?db=N] "
                "(not repeated here: it may hold a password)";
    if (str_starts_with(url, STR("unix://"))) {
        rest = str_slice(url.ptr + 7, url.len - 7);
        return read_user(&rest, to) && read_socket(rest, to, expected);
    }
    if (!str_starts_with(url, STR("redis://")))
        return false;
    rest = str_slice(url.ptr + 8, url.len - 8);
    if (!read_user(&rest, to))
        return false;
    slash = memchr(rest.ptr, '/', rest.len);
    host = rest;
    if (slash != NULL) {
        struct str db = str_slice(slash + 1, (size_t)(rest.ptr + rest.len - slash) - 1);

        host.len = (size_t)(slash - rest.ptr);
        if (db.len > 0 && !read_db(db, to)) {
            *expected = "a database number behind the last slash";
            return false;
        }
    }
    return read_host(host, to, expected);
}
