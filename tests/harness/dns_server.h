/* dns_server.h -- a scripted DNS server: answers what a test says, or does not. */
#ifndef HARNESS_DNS_SERVER_H
#define HARNESS_DNS_SERVER_H

struct dns_server;

enum dns_mood {
    DNS_ANSWERS,
    DNS_SERVFAIL,
    DNS_SILENT,    /* takes questions, says nothing */
    DNS_TRUNCATES, /* by datagram nothing but that it does not fit; by TCP all */
};

/* On 127.0.0.1, by datagram and by TCP on one port of the kernel's choice. */
struct dns_server *dns_server_start(void);
const char *dns_server_at(const struct dns_server *d);
/* What the name has from now on: addresses of IPv4 and IPv6, parted by spaces; "": none. A name that
 * was never said is none (NXDOMAIN). */
void dns_server_say(struct dns_server *d, const char *name, unsigned ttl_s, const char *addresses);
void dns_server_mood(struct dns_server *d, enum dns_mood mood);
unsigned dns_server_questions(struct dns_server *d); /* for A, of any name */
unsigned dns_server_by_tcp(struct dns_server *d);    /* questions that came by TCP */

#endif
