/* settings_redis.c -- where Redis is: redis://, unix:// and sentinel:// URLs.
 *
 * Owns:    nothing.
 * Thread:  any.
 * Used by: settings.c.
 * Not here: connecting (store/redis_link.c); asking Sentinel (store/sentinel.c). */
#include "settings_redis.h"

#include <string.h>

#define REDIS_PORT 6379
#define SENTINEL_PORT 26379
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

/* Of `text`, what is in front of the first `mark`, and what is behind it ("" when there is none). */
static struct str cut(struct str text, char mark, struct str *behind)
{
    const char *at = memchr(text.ptr, mark, text.len);

    *behind = STR("");
    if (at == NULL)
        return text;
    *behind = str_slice(at + 1, (size_t)(text.ptr + text.len - at) - 1);
    return str_slice(text.ptr, (size_t)(at - text.ptr));
}

/* --- what follows the ? --- */

static bool read_tls(struct str value, struct redis_url *to)
{
    bool both = str_equals(value, STR("both"));

    to->tls = both || str_equals(value, STR("redis"));
    to->sentinel_tls = both || str_equals(value, STR("sentinel"));
    return to->tls || to->sentinel_tls;
}

static bool read_parameter(struct str name, struct str value, struct redis_url *to,
                           const char **expected)
{
    bool sentinel = to->sentinel_count > 0;

    if (str_equals(name, STR("db")) && to->unix_socket) {
        *expected = "a database number behind db=";
        return read_db(value, to);
    }
    if (str_equals(name, STR("tls_name")) && !to->unix_socket) {
        *expected = "tls_name=NAME, what the server's certificate must be for";
        return value.len > 0 && decode(value, to->tls_name, sizeof(to->tls_name));
    }
    if (str_equals(name, STR("sentinel_user")) && sentinel)
        return decode(value, to->sentinel_user, sizeof(to->sentinel_user));
    if (str_equals(name, STR("sentinel_password")) && sentinel)
        return decode(value, to->sentinel_password, sizeof(to->sentinel_password));
    if (str_equals(name, STR("tls")) && sentinel) {
        *expected = "tls=redis, tls=sentinel or tls=both";
        return read_tls(value, to);
    }
    return false;
}

static bool read_query(struct str query, struct redis_url *to, const char **expected)
{
    struct str part;

    while (query.len > 0 && str_split(&query, '&', &part)) {
        struct str value, name = cut(part, '=', &value);

        *expected = to->unix_socket          ? "only db=N behind the ?"
                    : to->sentinel_count > 0 ? "sentinel_user=, sentinel_password=, tls= or "
                                               "tls_name= behind the ?"
                                             : "only tls_name=NAME behind the ?";
        if (!read_parameter(name, value, to, expected))
            return false;
    }
    return true;
}

/* --- where --- */

static bool read_socket(struct str rest, struct redis_url *to, const char **expected)
{
    struct str query, path = cut(rest, '?', &query);

    to->unix_socket = true;
    *expected = "unix:///PATH[?db=N]";
    /* sockaddr_un holds 108 bytes with the NUL */
    return path.len > 1 && path.len < 108 && path.ptr[0] == '/' &&
           decode(path, to->host, sizeof(to->host)) && read_query(query, to, expected);
}

static bool read_place(struct str host, uint16_t default_port, struct redis_place *to,
                       const char **expected)
{
    const char *colon;
    uint64_t port = default_port;

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
    if (host.len > 1 && host.ptr[0] == '[')
        host = str_slice(host.ptr + 1, host.len - 2);
    return host.len > 0 && memchr(host.ptr, ' ', host.len) == NULL &&
           decode(host, to->host, sizeof(to->host));
}

static bool read_path_db(struct str db, struct redis_url *to, const char **expected)
{
    *expected = "a database number behind the last slash";
    return db.len == 0 || read_db(db, to);
}

static bool read_redis(struct str rest, struct redis_url *to, const char **expected)
{
    struct str query, db, place;
    struct redis_place at;

    rest = cut(rest, '?', &query);
    place = cut(rest, '/', &db);
    if (!read_place(place, REDIS_PORT, &at, expected))
        return false;
    memcpy(to->host, at.host, sizeof(to->host));
    to->port = at.port;
    return read_path_db(db, to, expected) && read_query(query, to, expected);
}

static bool read_sentinels(struct str rest, struct redis_url *to, const char **expected)
{
    struct str query, path, name, db, places, place;

    rest = cut(rest, '?', &query);
    places = cut(rest, '/', &path);
    name = cut(path, '/', &db);
    while (str_split(&places, ',', &place)) {
        if (to->sentinel_count == REDIS_SENTINELS_MAX) {
            *expected = "at most 16 Sentinels";
            return false;
        }
        if (!read_place(place, SENTINEL_PORT, &to->sentinels[to->sentinel_count++], expected))
            return false;
    }
    if (name.len == 0 || !decode(name, to->primary_name, sizeof(to->primary_name))) {
        *expected = "the primary's name, as Sentinel knows it, behind the first slash";
        return false;
    }
    return read_path_db(db, to, expected) && read_query(query, to, expected);
}

static const struct scheme {
    const char *name;
    bool tls;
    bool (*read)(struct str rest, struct redis_url *to, const char **expected);
} schemes[] = {
    { "redis://", false, read_redis },        { "rediss://", true, read_redis },
    { "unix://", false, read_socket },        { "sentinel://", false, read_sentinels },
    { "sentinels://", true, read_sentinels },
};

bool settings_redis_url(struct str url, struct redis_url *to, const char **expected)
{
    struct redis_tls files = to->files; /* said by flags of their own */

    memset(to, 0, sizeof(*to));
    to->files = files;
    *expected = "redis://[USER:PASSWORD@]HOST[:PORT][/DB], rediss:// alike, unix:///PATH[?db=N] or "
                "sentinel://HOST[:PORT],.../NAME[/DB] (not repeated here: it may hold a password)";
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        struct str name = str_from(schemes[i].name), rest;

        if (!str_starts_with(url, name))
            continue;
        rest = str_slice(url.ptr + name.len, url.len - name.len);
        to->tls = to->sentinel_tls = schemes[i].tls;
        return read_user(&rest, to) && schemes[i].read(rest, to, expected);
    }
    return false;
}
