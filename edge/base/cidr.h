/* cidr.h -- a range of IP addresses, "10.0.0.0/8" or "2001:db8::/32". */
#ifndef BASE_CIDR_H
#define BASE_CIDR_H

#include "base/address.h"

/* IPv4 in its IPv4-mapped form (RFC 4291 2.5.5.2), so that both forms of one address are one. */
struct cidr {
    uint8_t ip[16];
    uint8_t bits; /* 0 .. 128 */
};

/* A lone address is a range of one. Bits behind the prefix may be set; they mean nothing. On false,
 * *expected says what would have been right. */
bool cidr_parse(struct str text, struct cidr *c, const char **expected);
bool cidr_holds(const struct cidr *c, const struct address *a); /* whatever its port */

/* In its one form: bits behind the prefix zero, a lone address without a slash. Returns `to`. */
#define CIDR_TEXT_SIZE 56
char *cidr_text(const struct cidr *c, char to[CIDR_TEXT_SIZE]);

/* The 16 bytes of an address as a range has them. */
void cidr_ip(const struct address *a, uint8_t to[16]);

#endif
