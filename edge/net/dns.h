/* dns.h -- names to addresses with their time to live, without stopping the loop.
 *
 * As the system resolves: /etc/hosts first, the servers and search domains of /etc/resolv.conf; or
 * one server that is named. Answers that do not fit a datagram are asked for by TCP. */
#ifndef NET_DNS_H
#define NET_DNS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"

#define DNS_ADDRESSES 16 /* of one name; more are left out */

struct dns;
struct dns_question;
struct loop;

struct dns_answer {
    unsigned count;                          /* 0: no address, `reason` says why */
    struct address addresses[DNS_ADDRESSES]; /* port 0, each once */
    uint32_t ttl_s; /* the least of all that led to them; 0: not to be kept, or from /etc/hosts */
    bool exists;    /* count 0: false: the name is known to be none */
    const char *reason;
};

/* From a turn of the loop's, or before dns_ask returns. The question is void from here on. */
typedef void (*dns_fn)(void *owner, const struct dns_answer *answer);

/* `server`: asked in place of those of the system; NULL: none. NULL: *reason says why not. */
struct dns *dns_open(struct loop *l, const struct address *server, const char **reason);
void dns_close(struct dns *d); /* what was asked is not answered any more */

/* NULL: it was answered at once. */
struct dns_question *dns_ask(struct dns *d, const char *name, dns_fn fn, void *owner);
void dns_cancel(struct dns_question *q); /* fn will not be called */

const char *dns_library_version(void);

#endif
