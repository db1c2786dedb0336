/* proxy_header.c -- reads and writes headers of the PROXY protocol.
 *
 * Owns:    nothing.
 * Thread:  any.
 * Used by: proxy/session_proxy.c (reads), proxy/upstream.c and control/health_check.c (write).
 * Not here: who may send one (proxy/client_address.c). */
#include "net/proxy_header.h"

#include <stdio.h>

#include "base/check.h"
#include "base/cidr.h"

#define V1_MOST 107
#define V1_WORDS 6
#define V2_START 16
#define V2_V4_BYTES 12
#define V2_V6_BYTES 36
#define V2_UNIX_BYTES 216

#define COMMAND_LOCAL 0
#define COMMAND_PROXY 1
#define FAMILY_NONE 0
#define FAMILY_V4 1
#define FAMILY_V6 2
#define FAMILY_UNIX 3
#define STREAM 1

#define TLV_CHECKSUM 0x03
#define TLV_TLS 0x20
#define TLV_HEAD 3 /* type and length */
#define TLS_CLIENT 0x01

static const char v1_start[] = "PROXY ";
static const char v2_start[] = "\r\n\r\n\0\r\nQUIT\n";

#define V1_START_BYTES (sizeof(v1_start) - 1)
#define V2_START_BYTES (sizeof(v2_start) - 1)

static enum proxy_header_result bad(const char **why, const char *sentence)
{
    *why = sentence;
    return PROXY_HEADER_BAD;
}

static unsigned byte_at(const char *bytes, size_t at)
{
    return (unsigned char)bytes[at];
}

static unsigned pair_at(const char *bytes, size_t at)
{
    return byte_at(bytes, at) << 8 | byte_at(bytes, at + 1);
}

/* --- version 1 --- */

/* A port as it must be written: no sign, no zero before it. */
static bool read_port(struct str text, uint16_t *port)
{
    uint64_t number;

    if (text.len > 1 && text.ptr[0] == '0')
        return false;
    if (!str_to_u64(text, 65535, &number))
        return false;
    *port = (uint16_t)number;
    return true;
}

static bool read_place(struct str ip, struct str port_text, bool v6, struct address *a)
{
    uint16_t port;

    if ((ip.len > 0 && memchr(ip.ptr, ':', ip.len) != NULL) != v6)
        return false;
    return read_port(port_text, &port) && address_from_ip(ip, port, a);
}

/* "PROXY TCP4 SOURCE DESTINATION PORT PORT", one space between, nothing behind. */
static enum proxy_header_result read_line(struct str line, struct proxy_header *h, const char **why)
{
    struct str words[V1_WORDS], part;
    unsigned count = 0;
    bool v6;

    while (str_split(&line, ' ', &part)) {
        if (count == 2 && str_equals(words[1], STR("UNKNOWN")))
            return PROXY_HEADER_DONE;
        if (count == V1_WORDS)
            return bad(why, "it has more than six words");
        words[count++] = part;
    }
    if (count == 2 && str_equals(words[1], STR("UNKNOWN")))
        return PROXY_HEADER_DONE;
    v6 = str_equals(words[1], STR("TCP6"));
    if (!v6 && !str_equals(words[1], STR("TCP4")))
        return bad(why, "its second word is not TCP4, TCP6 or UNKNOWN");
    if (count != V1_WORDS || !read_place(words[2], words[4], v6, &h->source) ||
        !read_place(words[3], words[5], v6, &h->destination))
        return bad(why, "what follows is not two addresses and two ports");
    h->known = true;
    return PROXY_HEADER_DONE;
}

static enum proxy_header_result read_v1(const char *bytes, size_t len, struct proxy_header *h,
                                        size_t *taken, const char **why)
{
    const char *end = memchr(bytes, '\n', len < V1_MOST ? len : V1_MOST);
    size_t line;

    if (end == NULL)
        return len < V1_MOST ? PROXY_HEADER_MORE
                             : bad(why, "its line does not end within 107 bytes");
    line = (size_t)(end - bytes);
    if (line < V1_START_BYTES + 1 || bytes[line - 1] != '\r')
        return bad(why, "its line does not end with CR LF");
    *taken = line + 1;
    return read_line(str_slice(bytes, line - 1), h, why);
}

/* --- version 2 --- */

/* CRC32c (RFC 4960, appendix B), the four bytes at `hole` taken as zero. */
static uint32_t crc32c(const char *bytes, size_t len, size_t hole)
{
    uint32_t crc = UINT32_MAX;

    for (size_t i = 0; i < len; i++) {
        if (i < hole || i >= hole + 4)
            crc ^= (unsigned char)bytes[i];
        for (unsigned bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
    }
    return ~crc;
}

static bool checksum_is_right(const char *bytes, size_t len, size_t at)
{
    uint32_t said = (uint32_t)pair_at(bytes, at) << 16 | pair_at(bytes, at + 2);

    return crc32c(bytes, len, at) == said;
}

/* The additions behind the addresses: bytes[at..len). */
static enum proxy_header_result read_additions(const char *bytes, size_t at, size_t len,
                                               struct proxy_header *h, const char **why)
{
    while (at < len) {
        unsigned type, size;

        if (len - at < TLV_HEAD)
            return bad(why, "an addition (TLV) is cut short");
        type = byte_at(bytes, at);
        size = pair_at(bytes, at + 1);
        at += TLV_HEAD;
        if (size > len - at)
            return bad(why, "an addition (TLV) is longer than the header");
        if (type == TLV_CHECKSUM && (size != 4 || !checksum_is_right(bytes, len, at)))
            return bad(why, "its checksum is wrong");
        if (type == TLV_TLS && size > 0)
            h->tls = (byte_at(bytes, at) & TLS_CLIENT) != 0;
        at += size;
    }
    return PROXY_HEADER_DONE;
}

static void read_v4(const char *bytes, struct proxy_header *h)
{
    h->source.v4.sin_family = h->destination.v4.sin_family = AF_INET;
    memcpy(&h->source.v4.sin_addr, bytes, 4);
    memcpy(&h->destination.v4.sin_addr, bytes + 4, 4);
    memcpy(&h->source.v4.sin_port, bytes + 8, 2);
    memcpy(&h->destination.v4.sin_port, bytes + 10, 2);
    h->known = true;
}

static void read_v6(const char *bytes, struct proxy_header *h)
{
    h->source.v6.sin6_family = h->destination.v6.sin6_family = AF_INET6;
    memcpy(&h->source.v6.sin6_addr, bytes, 16);
    memcpy(&h->destination.v6.sin6_addr, bytes + 16, 16);
    memcpy(&h->source.v6.sin6_port, bytes + 32, 2);
    memcpy(&h->destination.v6.sin6_port, bytes + 34, 2);
    h->source = address_plain(&h->source);
    h->destination = address_plain(&h->destination);
    h->known = true;
}

static enum proxy_header_result read_proxied(const char *bytes, size_t len, struct proxy_header *h,
                                             const char **why)
{
    static const size_t sizes[] = { [FAMILY_NONE] = 0,
                                    [FAMILY_V4] = V2_V4_BYTES,
                                    [FAMILY_V6] = V2_V6_BYTES,
                                    [FAMILY_UNIX] = V2_UNIX_BYTES };
    unsigned family = byte_at(bytes, 13) >> 4, transport = byte_at(bytes, 13) & 0xf;

    if (family > FAMILY_UNIX || transport > 2)
        return bad(why, "its address family is none there is");
    if (transport != STREAM)
        family = FAMILY_NONE; /* what did not come by TCP is nobody's connection */
    if (len - V2_START < sizes[family])
        return bad(why, "it is too short for its addresses");
    if (family == FAMILY_V4)
        read_v4(bytes + V2_START, h);
    else if (family == FAMILY_V6)
        read_v6(bytes + V2_START, h);
    else if (transport != STREAM)
        return PROXY_HEADER_DONE;
    return read_additions(bytes, V2_START + sizes[family], len, h, why);
}

static enum proxy_header_result read_v2(const char *bytes, size_t len, struct proxy_header *h,
                                        size_t *taken, const char **why)
{
    unsigned command;
    size_t whole;

    if (len < V2_START)
        return PROXY_HEADER_MORE;
    command = byte_at(bytes, 12) & 0xf;
    if (byte_at(bytes, 12) >> 4 != 2 || command > COMMAND_PROXY)
        return bad(why, "its version or command is none there is");
    whole = V2_START + pair_at(bytes, 14);
    if (whole > PROXY_HEADER_MOST)
        return bad(why, "it is longer than 4112 bytes");
    if (len < whole)
        return PROXY_HEADER_MORE;
    *taken = whole;
    return command == COMMAND_LOCAL ? PROXY_HEADER_DONE : read_proxied(bytes, whole, h, why);
}

/* --- both --- */

static bool begins_as(const char *bytes, size_t len, const char *start, size_t start_len)
{
    return memcmp(bytes, start, len < start_len ? len : start_len) == 0;
}

enum proxy_header_result proxy_header_read(const char *bytes, size_t len, struct proxy_header *h,
                                           size_t *taken, const char **why)
{
    memset(h, 0, sizeof(*h));
    if (len == 0)
        return PROXY_HEADER_MORE;
    if (begins_as(bytes, len, v1_start, V1_START_BYTES))
        return read_v1(bytes, len, h, taken, why);
    if (begins_as(bytes, len, v2_start, V2_START_BYTES))
        return read_v2(bytes, len, h, taken, why);
    return bad(why, "the connection does not begin with one");
}

/* --- writing --- */

/* Both addresses of a header are of one family. */
static bool is_v4(const struct address *source, const struct address *destination)
{
    return source->any.sa_family != AF_INET6 && destination->any.sa_family != AF_INET6;
}

static void ip_text(const struct address *a, bool v4, char to[ADDRESS_TEXT_SIZE])
{
    struct address wide = { .v6 = { .sin6_family = AF_INET6 } };

    cidr_ip(a, wide.v6.sin6_addr.s6_addr);
    address_ip_text(v4 ? a : &wide, to);
}

static size_t write_v1(const struct address *source, const struct address *destination, char *to)
{
    char from[ADDRESS_TEXT_SIZE], at[ADDRESS_TEXT_SIZE];
    bool v4 = is_v4(source, destination);
    int len;

    ip_text(source, v4, from);
    ip_text(destination, v4, at);
    len = snprintf(to, PROXY_HEADER_ROOM, "PROXY TCP%c %.46s %.46s %u %u\r\n", v4 ? '4' : '6', from,
                   at, address_port(source), address_port(destination));
    CHECK(len > 0 && len < PROXY_HEADER_ROOM);
    return (size_t)len;
}

static char *begin_v2(char *to, unsigned command, unsigned family, size_t bytes)
{
    memcpy(to, v2_start, V2_START_BYTES);
    to[12] = (char)(0x20 | command);
    to[13] = (char)(family != FAMILY_NONE ? family << 4 | STREAM : 0);
    to[14] = 0;
    to[15] = (char)bytes;
    return to + V2_START;
}

static size_t write_v2(const struct address *source, const struct address *destination, char *to)
{
    bool v4 = is_v4(source, destination);
    size_t bytes = v4 ? V2_V4_BYTES : V2_V6_BYTES;
    char *at = begin_v2(to, COMMAND_PROXY, v4 ? FAMILY_V4 : FAMILY_V6, bytes);

    if (v4) {
        memcpy(at, &source->v4.sin_addr, 4);
        memcpy(at + 4, &destination->v4.sin_addr, 4);
    } else {
        cidr_ip(source, (uint8_t *)at);
        cidr_ip(destination, (uint8_t *)at + 16);
    }
    for (unsigned i = 0; i < 2; i++) {
        unsigned port = address_port(i == 0 ? source : destination);

        at[bytes - 4 + 2 * i] = (char)(port >> 8);
        at[bytes - 3 + 2 * i] = (char)port;
    }
    return V2_START + bytes;
}

size_t proxy_header_write(enum proxy_version version, const struct address *source,
                          const struct address *destination, char to[PROXY_HEADER_ROOM])
{
    CHECK(version != PROXY_NONE);
    return version == PROXY_V1 ? write_v1(source, destination, to)
                               : write_v2(source, destination, to);
}

size_t proxy_header_write_local(enum proxy_version version, char to[PROXY_HEADER_ROOM])
{
    static const char unknown[] = "PROXY UNKNOWN\r\n";

    CHECK(version != PROXY_NONE);
    if (version == PROXY_V2)
        return (size_t)(begin_v2(to, COMMAND_LOCAL, FAMILY_NONE, 0) - to);
    memcpy(to, unknown, sizeof(unknown) - 1);
    return sizeof(unknown) - 1;
}
