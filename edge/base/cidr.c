/* cidr.c -- ranges of addresses, from text, and what lies in them.
 *
 * Owns:    nothing.
 * Thread:  any.
 * Used by: settings, net/guard.c, whatever asks where a client or an endpoint is.
 * Not here: ports (address.c). */
#include "base/cidr.h"

#include <arpa/inet.h>
#include <stdio.h>

#define V4_BITS 32
#define V6_BITS 128
#define MAPPED_BITS (V6_BITS - V4_BITS)

static const uint8_t mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

static void map_v4(const void *v4, uint8_t to[16])
{
    memcpy(to, mapped, sizeof(mapped));
    memcpy(to + sizeof(mapped), v4, 4);
}

void cidr_ip(const struct address *a, uint8_t to[16])
{
    if (a->any.sa_family == AF_INET6)
        memcpy(to, &a->v6.sin6_addr, 16);
    else
        map_v4(&a->v4.sin_addr, to);
}

bool cidr_parse(struct str text, struct cidr *c, const char **expected)
{
    const char *slash = text.len ? memchr(text.ptr, '/', text.len) : NULL;
    struct str ip = text;
    uint64_t bits, most = V4_BITS;
    struct in_addr v4;

    *expected = "a range of addresses such as 10.0.0.0/8 or fd00::/8";
    if (slash != NULL)
        ip.len = (size_t)(slash - text.ptr);
    if (address_read_ip(AF_INET, ip, &v4))
        map_v4(&v4, c->ip);
    else if (address_read_ip(AF_INET6, ip, c->ip))
        most = V6_BITS;
    else
        return false;
    bits = most;
    if (slash != NULL && !str_to_u64(str_slice(slash + 1, text.len - ip.len - 1), most, &bits)) {
        *expected = most == V4_BITS ? "0 to 32 behind the slash" : "0 to 128 behind the slash";
        return false;
    }
    c->bits = (uint8_t)(most == V4_BITS ? bits + MAPPED_BITS : bits);
    return true;
}

bool cidr_holds(const struct cidr *c, const struct address *a)
{
    unsigned whole = c->bits / 8, rest = c->bits % 8;
    uint8_t ip[16];

    cidr_ip(a, ip);
    if (memcmp(ip, c->ip, whole) != 0)
        return false;
    return rest == 0 || ((ip[whole] ^ c->ip[whole]) & (0xff << (8 - rest)) & 0xff) == 0;
}

char *cidr_text(const struct cidr *c, char to[CIDR_TEXT_SIZE])
{
    bool v4 = c->bits >= MAPPED_BITS && memcmp(c->ip, mapped, sizeof(mapped)) == 0;
    unsigned bits = v4 ? c->bits - MAPPED_BITS : c->bits;
    char ip[INET6_ADDRSTRLEN];
    uint8_t cut[16] = { 0 };

    for (unsigned i = 0; i < c->bits; i += 8)
        cut[i / 8] =
            c->bits - i >= 8 ? c->ip[i / 8] : (uint8_t)(c->ip[i / 8] & 0xff << (8 - (c->bits - i)));
    if (inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? cut + sizeof(mapped) : cut, ip, sizeof(ip)) == NULL)
        ip[0] = '\0';
    if (bits == (v4 ? V4_BITS : V6_BITS))
        snprintf(to, CIDR_TEXT_SIZE, "%s", ip);
    else
        snprintf(to, CIDR_TEXT_SIZE, "%s/%u", ip, bits);
    return to;
}
