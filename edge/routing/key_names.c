/* key_names.c -- which names keys may end in.
 *
 * Owns:    nothing.
 * Thread:  any.
 * Used by: record.c, field_types.c, store.
 * Not here: whole keys (store/keys.c). */
#include "routing/key_names.h"

#include "base/address.h"

static bool is_lower_or_digit(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool name_is_right(struct str name)
{
    if (name.len == 0 || name.len > NAME_MAX_BYTES || !is_lower_or_digit(name.ptr[0]))
        return false;
    for (size_t i = 1; i < name.len; i++)
        if (!is_lower_or_digit(name.ptr[i]) && memchr("._-", name.ptr[i], 3) == NULL)
            return false;
    return true;
}

static bool literal_is_right(struct str host)
{
    struct in6_addr ip;

    if (host.len < 4 || host.ptr[host.len - 1] != ']')
        return false;
    for (size_t i = 1; i < host.len - 1; i++)
        if (memchr("0123456789abcdef:.", host.ptr[i], 18) == NULL)
            return false;
    return address_read_ip(AF_INET6, str_slice(host.ptr + 1, host.len - 2), &ip);
}

static bool host_is_right(struct str host)
{
    size_t label = 0;

    if (str_equals(host, STR("*")))
        return true;
    if (host.len == 0 || host.len > HOST_MAX_BYTES)
        return false;
    if (host.ptr[0] == '[')
        return literal_is_right(host);
    if (str_starts_with(host, STR("*."))) {
        host.ptr += 2;
        host.len -= 2;
    }
    for (size_t i = 0; i < host.len; i++) {
        char c = host.ptr[i];

        if (c == '.' && label > 0)
            label = 0;
        else if ((!is_lower_or_digit(c) && c != '-' && c != '_') || ++label > 63)
            return false;
    }
    return label > 0;
}

bool record_name_is_right(enum family family, struct str name, const char **expected)
{
    if (family == FAMILY_host) {
        *expected = "a key that ends in a host: lower case, no port, no dot at its end; or "
                    "*.parent, or *";
        return host_is_right(name);
    }
    if (family_is_single(family)) {
        *expected = "a key without a name";
        return name.len == 0;
    }
    *expected = "a key that ends in " NAME_EXPECTED;
    return name_is_right(name);
}
