/* explain_sent.h -- the request of an explanation: as it would come, and as it would go on. */
#ifndef CONTROL_EXPLAIN_SENT_H
#define CONTROL_EXPLAIN_SENT_H

#include "control/explain.h"
#include "http/parser.h"
#include "http/target.h"
#include "routing/route.h"

struct explain_message {
    struct buf bytes; /* the head as a client would send it */
    struct parser_limits limits;
    struct parser parser;
    struct head head;
    struct target target;
    struct address client;     /* whom a trusted forwarder names, if one sends the request */
    bool https;                /* as it says */
    struct str forwarded_host; /* as it says; len 0: nothing */
    char *normal, *matched;    /* the path's normal form, and with "//" as "/" */
    size_t normal_len, matched_len;
    bool begun;
};

/* FAULT_NONE, or what the request is refused with before its host is looked at. */
enum fault explain_message_read(struct explain_message *m, struct explanation *e,
                                const struct settings *settings,
                                const struct explain_request *request);
void explain_message_free(struct explain_message *m);

struct route_request explain_message_route_request(struct explain_message *m);
/* The path and query as the request's own URL has them. */
struct str explain_message_own_path(const struct explain_message *m, bool raw);
/* A redirect's URL, filled in. */
struct str explain_message_location(struct explain_message *m, struct explanation *e,
                                    struct str url, bool raw);

/* What the endpoint gets: the request line, and how its head differs from the one that came. */
void explain_message_sent(struct explain_message *m, struct explanation *e,
                          const struct settings *settings, const struct route *route, bool raw);
/* Where that is an endpoint of FastCGI: the script that runs, in place of the request line. */
void explain_message_script(struct explain_message *m, struct explanation *e,
                            const struct endpoint *to, const struct route *route, bool raw);

#endif
