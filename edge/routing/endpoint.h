/* endpoint.h -- an endpoint as it is written: where it is, and what is spoken there.
 *
 *   10.0.0.5:8080, [2001:db8::5]:8080   an address
 *   app.internal:8080                   a name, resolved while it is in use
 *   unix:/run/app.sock                  a unix socket
 *   fcgi:// before any of these         FastCGI in place of HTTP
 *
 * What is no plain address has options; those say the rest. */
#ifndef ROUTING_ENDPOINT_H
#define ROUTING_ENDPOINT_H

#include "base/arena.h"
#include "routing/service.h"

#define ENDPOINT_HOST_MAX 253
#define ENDPOINT_EXPECTED                                                                          \
    "ADDRESS:PORT or NAME:PORT, such as 10.0.0.5:8080, [2001:db8::5]:8080 or app.internal:8080"

/* Its options, if it has any, lie in the arena. */
bool endpoint_parse(struct arena *arena, struct str text, struct endpoint *e,
                    const char **expected);
/* Of one that is being read: its options, made when these are the first. */
struct endpoint_options *endpoint_options(struct arena *arena, struct endpoint *e);
/* Do its options go with what it is? Once all of them are known. */
bool endpoint_fits(const struct endpoint *e, const char **expected);
/* One place, one protocol: whatever else their options say. */
bool endpoint_is_same(const struct endpoint *a, const struct endpoint *b);

/* As written: "fcgi://unix:/run/php.sock", and with the options that say how it is spoken to:
 * "fcgi://10.0.0.5:9000 root=/srv/app". */
#define ENDPOINT_TEXT_SIZE 320
char *endpoint_text(const struct endpoint *e, char to[ENDPOINT_TEXT_SIZE]);
struct buf;
void endpoint_say(const struct endpoint *e, struct buf *to);

static inline bool endpoint_is_named(const struct endpoint *e)
{
    return e->address.any.sa_family == AF_UNSPEC;
}

static inline bool endpoint_speaks_fastcgi(const struct endpoint *e)
{
    return e->options != NULL && e->options->protocol == PROTOCOL_FASTCGI;
}

#endif
