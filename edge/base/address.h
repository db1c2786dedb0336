/* address.h -- an IP address and port, as the kernel takes it and as text; or a family alone, where
 * something else says where it is. */
#ifndef BASE_ADDRESS_H
#define BASE_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>

#include "base/str.h"

#define ADDRESS_TEXT_SIZE 56 /* [v6]:port and a NUL */
#define UNIX_PATH_SIZE 108   /* sun_path, with its NUL */

struct address {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    };
};

static inline socklen_t address_len(const struct address *a)
{
    return a->any.sa_family == AF_INET6 ? sizeof(a->v6) : sizeof(a->v4);
}

static inline struct str address_bytes(const struct address *a)
{
    return str_slice((const char *)a, address_len(a)); /* as a key: unused parts are zero */
}

/* IPv4:port or [IPv6]:port, no names, no zones. `lowest_port`: 1 for endpoints, 0 where the
 * kernel may choose. On false, *expected says what would have been right. */
bool address_parse(struct str text, unsigned lowest_port, struct address *a, const char **expected);

/* An IP address of this family (AF_INET, AF_INET6), as inet_pton writes it. */
bool address_read_ip(int family, struct str text, void *to);
/* An IP address without port or brackets, with this port; an IPv4-mapped one becomes IPv4. */
bool address_from_ip(struct str ip, uint16_t port, struct address *a);
/* As IPv4, if it is IPv4-mapped (RFC 4291 2.5.5.2); else as it is. */
struct address address_plain(const struct address *a);
uint16_t address_port(const struct address *a);

char *address_text(const struct address *a, char to[ADDRESS_TEXT_SIZE]);    /* with the port */
char *address_ip_text(const struct address *a, char to[ADDRESS_TEXT_SIZE]); /* no brackets */

#endif
