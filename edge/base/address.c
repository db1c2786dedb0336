/* address.c -- addresses, to and from text.
 *
 * Owns:    nothing.
 * Thread:  any.
 * Used by: settings, routing/endpoint.c, listener, access log.
 * Not here: names, and whom they are resolved by (net/dns.c). */
#include "base/address.h"

#include <arpa/inet.h>
#include <stdio.h>

bool address_read_ip(int family, struct str text, void *to)
{
    char copy[INET6_ADDRSTRLEN];

    return text.len > 0 && memchr(text.ptr, '\0', text.len) == NULL &&
           str_copy(text, copy, sizeof(copy)) && inet_pton(family, copy, to) == 1;
}

bool address_parse(struct str text, unsigned lowest_port, struct address *a, const char **expected)
{
    const char *colon = text.len ? memrchr(text.ptr, ':', text.len) : NULL;
    struct str ip, digits;
    uint64_t port;
    bool v6;

    *expected = "ADDRESS:PORT, such as 10.0.0.5:8080 or [2001:db8::5]:8080";
    if (colon == NULL)
        return false;
    ip = str_slice(text.ptr, (size_t)(colon - text.ptr));
    digits = str_slice(colon + 1, text.len - ip.len - 1);
    v6 = ip.len >= 2 && ip.ptr[0] == '[' && ip.ptr[ip.len - 1] == ']';
    if (v6)
        ip = str_slice(ip.ptr + 1, ip.len - 2);
    memset(a, 0, sizeof(*a));
    if (v6 ? !address_read_ip(AF_INET6, ip, &a->v6.sin6_addr)
           : !address_read_ip(AF_INET, ip, &a->v4.sin_addr))
        return false;
    if (!str_to_u64(digits, 65535, &port) || port < lowest_port) {
        *expected = lowest_port ? "a port from 1 to 65535" : "a port from 0 to 65535";
        return false;
    }
    a->any.sa_family = v6 ? AF_INET6 : AF_INET;
    if (v6)
        a->v6.sin6_port = htons((uint16_t)port);
    else
        a->v4.sin_port = htons((uint16_t)port);
    return true;
}

struct address address_plain(const struct address *a)
{
    struct address v4 = { 0 };

    if (a->any.sa_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&a->v6.sin6_addr))
        return *a;
    v4.v4.sin_family = AF_INET;
    v4.v4.sin_port = a->v6.sin6_port;
    memcpy(&v4.v4.sin_addr, a->v6.sin6_addr.s6_addr + 12, 4);
    return v4;
}

uint16_t address_port(const struct address *a)
{
    return ntohs(a->any.sa_family == AF_INET6 ? a->v6.sin6_port : a->v4.sin_port);
}

bool address_from_ip(struct str ip, uint16_t port, struct address *a)
{
    memset(a, 0, sizeof(*a));
    if (address_read_ip(AF_INET, ip, &a->v4.sin_addr)) {
        a->v4.sin_family = AF_INET;
        a->v4.sin_port = htons(port);
        return true;
    }
    if (!address_read_ip(AF_INET6, ip, &a->v6.sin6_addr))
        return false;
    a->v6.sin6_family = AF_INET6;
    a->v6.sin6_port = htons(port);
    *a = address_plain(a);
    return true;
}

char *address_ip_text(const struct address *a, char to[ADDRESS_TEXT_SIZE])
{
    const void *ip = a->any.sa_family == AF_INET6 ? (const void *)&a->v6.sin6_addr
                                                  : (const void *)&a->v4.sin_addr;

    if (inet_ntop(a->any.sa_family, ip, to, ADDRESS_TEXT_SIZE) == NULL)
        to[0] = '\0';
    return to;
}

char *address_text(const struct address *a, char to[ADDRESS_TEXT_SIZE])
{
    char ip[ADDRESS_TEXT_SIZE];
    bool v6 = a->any.sa_family == AF_INET6;

    address_ip_text(a, ip);
    snprintf(to, ADDRESS_TEXT_SIZE, v6 ? "[%.46s]:%u" : "%.46s:%u", ip, address_port(a));
    return to;
}
