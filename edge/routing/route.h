/* route.h -- the rules of one tenant, compiled: which one a request meets, and what it says.
 *
 * A rule is conditions, one action, then modifiers (schema/README.md has the grammar). More
 * specific first: priority, exact path, longest prefix, regex, number of other conditions, name.
 * Finding it costs the same for five rules and five thousand: rules are indexed by path. */
#ifndef ROUTING_ROUTE_H
#define ROUTING_ROUTE_H

#include "base/address.h"
#include "base/buf.h"
#include "base/cidr.h"
#include "base/header_edit.h"
#include "module_host/chain.h"
#include "routing/service.h"

enum action_kind {
    ACTION_UNSET,
    ACTION_SERVICE,   /* to service:NAME */
    ACTION_ENDPOINTS, /* to ENDPOINT... */
    ACTION_SPLIT,     /* split service:a=95 service:b=5: sticky per client */
    ACTION_REDIRECT,  /* redirect CODE URL */
    ACTION_RESPOND,   /* respond CODE "TEXT" */
    ACTION_DENY,      /* deny: 403 */
};

struct split_part {
    struct str service; /* its name */
    uint32_t service_slot;
    uint32_t weight;
};

/* What is to be done with a request. Everything it points to lies in its object's allocation. */
struct action {
    enum action_kind kind;
    uint32_t service_slot;     /* ACTION_SERVICE */
    struct str service;        /* its name, for those who explain */
    const struct service *own; /* ACTION_ENDPOINTS: unnamed */
    const struct split_part *parts;
    uint32_t part_count, part_weights; /* ACTION_SPLIT: their number, and their sum */
    uint16_t code;                     /* ACTION_REDIRECT, ACTION_RESPOND */
    struct str text;                   /* the URL ($host $path $query $uri stand for the request's),
                                        * or the body */
};

/* Which part of a split has this client's hash; shares are as the weights say, to the last hash. */
const struct split_part *action_split(const struct action *action, uint64_t hash);

enum route_path {
    ROUTE_ANY_PATH,    /* no condition on it, or one that every path meets */
    ROUTE_EXACT_PATH,  /* just this one */
    ROUTE_PREFIX_PATH, /* this one, and all below it */
    ROUTE_REGEX_PATH,
};

enum condition_kind {
    CONDITION_METHOD,
    CONDITION_HEADER,
    CONDITION_QUERY,
    CONDITION_COOKIE,
    CONDITION_FROM,
    CONDITION_WEBSOCKET,
};

enum condition_test { TEST_PRESENT, TEST_EQUALS, TEST_REGEX };

struct condition {
    enum condition_kind kind;
    enum condition_test test; /* of a header, a parameter or a cookie */
    struct str name;
    struct str value; /* as written: with what it is compared, the pattern, the list */
    const struct cidr *ranges;
    uint32_t range_count;
    struct regex *regex; /* TEST_REGEX */
};

struct route {
    struct str name;
    struct action action;
    enum route_path path_kind;
    struct str path; /* in its normal form, without "/" at a prefix's end; or the pattern */
    struct regex *path_regex;           /* ROUTE_REGEX_PATH */
    const struct condition *conditions; /* other than the path's; all must hold */
    uint32_t condition_count;
    struct str strip, prepend;       /* of the path; len 0: none */
    struct str host;                 /* sent as Host; len 0: as it came */
    const struct header_edit *edits; /* of the request's head, in the order written */
    uint32_t edit_count;
    uint32_t timeout_ms; /* in place of --response-timeout; 0: not said */
    int32_t priority;
    const struct chain *modules; /* behind the host's or its tenant's; NULL: not said */
};

struct route_index;

struct routes {
    struct object object;        /* first */
    char id[NAME_MAX_BYTES + 1]; /* the tenant's */
    bool bad;                    /* never had a good version: 503 bad_record */
    uint32_t count;
    const struct route *items; /* the most specific first */
    const struct route_index *index;
};

/* What of a request is matched. The functions find the n-th value (from 0) of that name; ptr NULL:
 * there is none. Header names in any case; names of query and cookies as they are. */
struct route_request {
    void *owner;
    struct str (*header)(void *owner, struct str name, unsigned n);
    struct str method;
    struct str path;  /* normal form, and "//" taken as "/" */
    struct str query; /* as sent; ptr NULL: none */
    const struct address *client;
    bool websocket;
};

/* Scratch memory for regexes: one for each thread that matches. */
struct route_scratch;
struct route_scratch *route_scratch_new(void);
void route_scratch_free(struct route_scratch *s);

/* The rule that this request meets; NULL: none. */
const struct route *routes_match(const struct routes *r, const struct route_request *q,
                                 struct route_scratch *scratch);

/* Why this rule does not hold for the request, as text ("path: /a is not /b"); false: it holds. */
bool route_refuses(const struct routes *r, const struct route *route, const struct route_request *q,
                   struct route_scratch *scratch, struct buf *why);

/* Writes the rule as one could have written it, in one form. */
void route_text(const struct routes *r, const struct route *route, struct buf *to);

/* "//" to "/", in place; returns the new length. The form that rules are matched on. */
size_t route_path_form(char *path, size_t len);

/* The form that `path`, as a client wrote it, has for an endpoint that takes "//" and "\" as "/"
 * before it removes dot segments; of interest where it gets the path so (path=raw). len 0: there is
 * neither, or no such path. `scratch` holds 4 * path.len + 1 and keeps the result. */
struct str route_path_otherwise(struct str path, char *scratch);

#endif
