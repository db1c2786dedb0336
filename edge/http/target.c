/* target.c -- hosts in the one form that everything is compared in; where the path is.
 *
 * Owns:    nothing.
 * Thread:  any.
 * Used by: exchange, fuzz and unit tests.
 * Not here: the normal form of paths (base/path.c); which site a host is (proxy/sites.c). */
#include "http/target.h"

#include "base/address.h"
#include "http/parser.h"

static bool is_name_char(char c)
{
    /* No host name has an underscore, but many a tenant's does. */
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
           c == '_';
}

static bool port_is_right(struct str port)
{
    uint64_t number;

    return port.len == 0 || str_to_u64(port, 65535, &number);
}

/* "[2001:db8::1]:80": kept with its brackets, which tell it from a name. */
static size_t literal_host(struct str authority, char *to)
{
    const char *end = memchr(authority.ptr, ']', authority.len);
    struct in6_addr ip;
    size_t len;

    if (end == NULL)
        return 0;
    len = (size_t)(end - authority.ptr) - 1;
    if (!address_read_ip(AF_INET6, str_slice(authority.ptr + 1, len), &ip))
        return 0;
    if (authority.len > len + 2 &&
        (authority.ptr[len + 2] != ':' ||
         !port_is_right(str_slice(authority.ptr + len + 3, authority.len - len - 3))))
        return 0;
    to[0] = '[';
    for (size_t i = 0; i < len; i++)
        to[i + 1] = str_lower(authority.ptr[i + 1]);
    to[len + 1] = ']';
    return len + 2;
}

size_t target_normal_host(struct str authority, char to[TARGET_HOST_MAX + 1])
{
    const char *colon;
    size_t label = 0;
    struct str name = authority;

    if (authority.len == 0)
        return 0;
    if (authority.ptr[0] == '[')
        return literal_host(authority, to);
    colon = memchr(authority.ptr, ':', authority.len);
    if (colon != NULL) {
        name.len = (size_t)(colon - authority.ptr);
        if (!port_is_right(str_slice(colon + 1, authority.len - name.len - 1)))
            return 0;
    }
    if (name.len > 0 && name.ptr[name.len - 1] == '.')
        name.len--;
    if (name.len == 0 || name.len > TARGET_HOST_MAX)
        return 0;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];

        if (c == '.') {
            if (label == 0)
                return 0;
            label = 0;
        } else if (!is_name_char(c) || ++label > 63) {
            return 0;
        }
        to[i] = str_lower(c);
    }
    return label > 0 ? name.len : 0;
}

/* http://authority/path?query -> its parts; false when it is no such thing. */
static bool split_absolute(struct str *target, struct str *authority)
{
    struct str rest = *target;
    size_t n = 0;

    if (rest.len < 8 || !str_equals_nocase(str_slice(rest.ptr, 7), STR("http://"))) {
        if (rest.len < 9 || !str_equals_nocase(str_slice(rest.ptr, 8), STR("https://")))
            return false;
        n = 1;
    }
    rest = str_slice(rest.ptr + 7 + n, rest.len - 7 - n);
    for (n = 0; n < rest.len && rest.ptr[n] != '/' && rest.ptr[n] != '?';)
        n++;
    *authority = str_slice(rest.ptr, n);
    *target = str_slice(rest.ptr + n, rest.len - n);
    return true;
}

static void split_query(struct str target, struct target *t)
{
    const char *mark = target.len ? memchr(target.ptr, '?', target.len) : NULL;

    t->path = target;
    t->query = (struct str){ NULL, 0 };
    if (mark != NULL) {
        t->path.len = (size_t)(mark - target.ptr);
        t->query = str_slice(mark + 1, target.len - t->path.len - 1);
    }
    if (t->path.len == 0)
        t->path = STR("/");
}

enum fault target_read(const struct head *h, struct target *t)
{
    struct str target = head_target(h), absolute = { NULL, 0 };

    t->path = STR("/");
    t->query = (struct str){ NULL, 0 };
    t->host_len = 0;
    if (h->method == HTTP_CONNECT)
        return FAULT_not_implemented;
    if (memchr(target.ptr, '#', target.len) != NULL)
        return FAULT_bad_request;
    if (h->host_count != 1)
        return FAULT_bad_host;
    t->authority = head_known(h, FIELD_HOST);
    if (target.ptr[0] != '/' && !str_equals(target, STR("*")) &&
        !split_absolute(&target, &absolute))
        return FAULT_bad_request;
    if (str_equals(target, STR("*")) && h->method != HTTP_OPTIONS)
        return FAULT_bad_request;
    t->host_len = (uint8_t)target_normal_host(t->authority, t->host);
    if (t->host_len == 0)
        return FAULT_bad_host;
    if (absolute.ptr != NULL) {
        char other[TARGET_HOST_MAX + 1];
        size_t len = target_normal_host(absolute, other);

        /* RFC 9112 3.2.2 would take the target's word; two words are an attack more often. */
        if (len != t->host_len || memcmp(other, t->host, len) != 0)
            return FAULT_bad_request;
    }
    t->host[t->host_len] = '\0';
    split_query(target, t);
    return FAULT_NONE;
}
