/* proxy_header.h -- the PROXY protocol, versions 1 and 2: what a proxy says in front of a connection of
 * where it came from (https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt). */
#ifndef NET_PROXY_HEADER_H
#define NET_PROXY_HEADER_H

#include "base/address.h"

#define PROXY_HEADER_MOST 4112 /* bytes of one that is read: 16 and 4 KiB; of version 1: 107 */
#define PROXY_HEADER_ROOM 112  /* one that is written */

enum proxy_version { PROXY_NONE, PROXY_V1, PROXY_V2 };

struct proxy_header {
    bool known; /* whose connection it is; false: the proxy's own, or of no IP address */
    bool tls;   /* it came to the proxy by TLS */
    struct address source, destination; /* when known; IPv4-mapped ones as IPv4 */
};

enum proxy_header_result {
    PROXY_HEADER_MORE, /* right so far */
    PROXY_HEADER_DONE, /* *taken bytes are the header */
    PROXY_HEADER_BAD,  /* *why says why */
};

/* bytes[0..len) are all that came, from the connection's first byte on. */
enum proxy_header_result proxy_header_read(const char *bytes, size_t len, struct proxy_header *h,
                                           size_t *taken, const char **why);

/* Of a connection that came from `source` to `destination`. Returns the length. */
size_t proxy_header_write(enum proxy_version version, const struct address *source,
                          const struct address *destination, char to[PROXY_HEADER_ROOM]);
/* Of a connection of the edge's own, such as a health check. */
size_t proxy_header_write_local(enum proxy_version version, char to[PROXY_HEADER_ROOM]);

#endif
