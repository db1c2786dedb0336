/* explain.h -- what an edge does with one request, and why: found out without doing it.
 *
 * Over any source of records, and by the code that edges run: the same parser, normal forms,
 * decoder, compiler, matcher and serializer. */
#ifndef CONTROL_EXPLAIN_H
#define CONTROL_EXPLAIN_H

#include "base/arena.h"
#include "base/fault.h"
#include "net/guard.h"
#include "routing/records.h"
#include "settings.h"

#define EXPLAIN_HEADERS_MAX 64

enum explained_state { EXPLAINED_ABSENT, EXPLAINED_GOOD, EXPLAINED_BAD, EXPLAINED_UNREAD };

struct bans;

struct explain_source {
    struct records records;
    /* Values are versions in force: what they name was judged when they were taken. */
    bool in_force;
    /* Tells of a record without fetching it, and what else is to be said of it; NULL: nobody knows
     * more than the fetched value. A record that is GOOD is then fetched. */
    enum explained_state (*state)(void *owner, enum family family, struct str name,
                                  struct buf *says);
    void *owner;
    /* Puts what is known of a named service's endpoints into their states. NULL: it stands there. */
    void (*know)(void *owner, const struct service *service);
    /* Says what is known of an endpoint of this service; true: it gets no requests for it. NULL: nobody
     * knows anything. */
    bool (*health)(void *owner, struct str service, struct str endpoint, struct buf *says);
    const struct guard *guard; /* where endpoints may not be */
    const struct module_host *modules;
    const struct bans *bans; /* NULL: nothing is known of them */
    struct states *states;   /* of an edge that runs; NULL: nothing is known of endpoints' states */
    const struct settings *settings; /* prefix, limits and timeouts as of the edge */
    const char *from;                /* "redis://..." */
};

struct explain_request {
    struct str method, url; /* "http://shop.example/a?b", or without scheme */
    struct str headers[EXPLAIN_HEADERS_MAX];
    unsigned header_count;
    struct address client;
};

/* A record that was looked at. */
struct explained_record {
    struct str key;
    enum explained_state state;
    struct str says; /* what is wrong, or to be remarked; "" */
};

/* A field that holds, and whose word it is. */
struct explained_field {
    const char *name;
    struct str value, from; /* from: a key, "--response-timeout", or "default" */
};

struct explained_rule {
    struct str name, text, why; /* why it does not hold; "" */
    bool holds, tried;          /* the first that holds is met; those behind are not tried */
};

/* In the order in which they run. */
struct explained_module {
    struct str name, text, from; /* text: with its settings, as written */
};

struct explained_part { /* of a split */
    struct str service;
    uint32_t weight;
    bool chosen;
};

struct explained_endpoint {
    struct str address, out; /* out: why it gets nothing; "" */
    struct str health;       /* what its checks say, when it is no reason to be out; "" */
    uint32_t weight;
    double share;       /* of the requests, 0 to 1 */
    bool chosen;        /* by this request's hash or cookie */
    uint32_t max_conns; /* 0: any number */
};

struct explained_line {
    bool added; /* else taken away */
    struct str text;
};

#define EXPLAINED_LIST(type, name)                                                                 \
    struct type *name;                                                                             \
    uint32_t name##_count, name##_room

struct explanation {
    struct arena arena;
    struct str from;

    struct str method, scheme, authority, host, path, normal_path, matched_path, query, client;
    EXPLAINED_LIST(explained_record, records);
    struct str tenant, answered_by; /* ids and keys; "" */
    EXPLAINED_LIST(explained_field, fields);
    EXPLAINED_LIST(explained_rule, rules);
    EXPLAINED_LIST(explained_module, modules);
    struct str action; /* as written; "" */
    struct str action_from;
    EXPLAINED_LIST(explained_part, parts);
    struct str service; /* "" for one without a name */
    const char *balance;
    struct str hash_by;     /* "header:X-User"; "" */
    struct str sticky;      /* the cookie's name; "" */
    bool panic;             /* too few endpoints are up to believe it */
    struct str queue;       /* of a service with max_conns: who waits, and for how long; "" */
    const char *send_proxy; /* "v1", "v2"; "": nothing */
    EXPLAINED_LIST(explained_endpoint, endpoints);
    struct str sent_target; /* "GET /a?b HTTP/1.1"; "": nothing is sent */
    EXPLAINED_LIST(explained_line, lines);
    uint32_t timeout_ms;

    bool unread; /* a record is not known to this edge yet; a request would have it read */
    /* How it ends at the edge; fault NONE and status 0: the endpoint answers. */
    enum fault fault;
    unsigned status;
    struct str ends; /* a sentence, or the Location */
    EXPLAINED_LIST(explained_line, remarks);
};

/* Never fails: what cannot be found out is said in it. Free with explain_free. */
void explain(struct explanation *e, const struct explain_source *source,
             const struct explain_request *request);
void explain_free(struct explanation *e);

void explain_text(const struct explanation *e, struct buf *to);
void explain_json(const struct explanation *e, struct buf *to);

#endif
