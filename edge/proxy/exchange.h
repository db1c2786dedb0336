/* exchange.h -- one request and its response: the conductor of the proxy's rooms.
 *
 * The client's side is struct client_side (session.c implements it for HTTP/1); the endpoint's side
 * is struct upstream. Each of them calls exchange_on_*; only the exchange decides what is next. */
#ifndef PROXY_EXCHANGE_H
#define PROXY_EXCHANGE_H

#include "base/fault.h"
#include "http/head.h"
#include "http/target.h"
#include "proxy/sites.h"
#include "routing/site.h"

struct worker;
struct exchange;
struct upstream;
struct tunnel;
struct module_run;
struct hedge;
struct limits_hold;
struct pace;
struct places;
struct queue_wait;

/* What an exchange asks of its client's connection. None of these calls back into the exchange
 * before it returns. */
struct client_side {
    bool
        own; /* the edge asks by itself (module_subrequest.c): no client's request, in no such figure */
    /* A response head; `interim` ones (1xx) have no body and are followed by another head. */
    void (*send_head)(void *session, const struct head *head, bool interim);
    void (*send_body)(void *session, const char *bytes, size_t len); /* borrowed until flush */
    bool (*flush)(void *session);                                    /* false: it is gone */
    /* Of a file, behind what was flushed, without copying it: how many bytes were taken. 0: none now,
     * by this way: go on with send_body. NULL: there is no such way. */
    size_t (*send_file)(void *session, int fd, uint64_t at, size_t bytes);
    void (*finish)(void *session, struct str trailers); /* and flush */
    /* Takes back a response of which nothing has left yet; false: something has. */
    bool (*recall)(void *session);
    void (*abort)(void *session); /* the response cannot be whole: cut the connection */
    void (*pause)(void *session); /* no more request body for now */
    /* true: it is just reading, and calls exchange_flush_request before it returns. */
    bool (*resume)(void *session);
    void (*tunnel)(void *session, struct tunnel *t); /* bytes go both ways from here on */
    bool (*is_blocked)(void *session);
    /* Client's address without port, for headers and logs. */
    struct str (*client_ip)(void *session);
    const struct address *(*client_address)(void *session);
    /* From now until the exchange ends, the client is this one: its forwarder says so. */
    void (*set_client)(void *session, const struct address *client);
    /* What its connection counts as, see limits.h. NULL: it has none, and no limits. */
    struct limits_hold *(*hold)(void *session);
    /* Where the client connected to. NULL: it did not, the edge asks by itself. */
    struct address (*reached)(void *session);
};

/* One try of an exchange at one endpoint, see attempt.h. */
struct attempt {
    bool on;
    struct endpoint_state *counted; /* where it is counted as active; NULL: nowhere */
    struct places *place;           /* of its endpoint, until its upstream has it; NULL */
    struct upstream *ready;         /* idle, and with that place already; NULL */
    bool watched;      /* something is known of its endpoint: it is to be told how it went */
    bool replaced;     /* the kept connection was stale: it goes on over a fresh one */
    bool trial;        /* of a half-open breaker */
    bool excused;      /* it has failed, and the request is tried again */
    bool stale;        /* and so has the connection: it may have been closing before */
    uint16_t status;   /* of its response; 0: none has begun */
    uint64_t begun_ns; /* 0: nobody asks how long it takes */
};

#define RETRY_TRIED_MOST 4

/* What became of the attempts before the one at hand, see retry.h. */
struct retries {
    const struct endpoint *tried[RETRY_TRIED_MOST]; /* of x->balanced: not to be chosen again */
    uint8_t tried_count;
    uint8_t stale_count; /* connections that were stale */
    bool hedged;         /* and one attempt more, beside the first */
    bool sent;           /* one of their endpoints may have got something of the request */
    enum fault fault;    /* of the last of them */
    uint64_t begun_ms;   /* the first attempt */
};

/* Which address of a named endpoint is tried, see locate.h. All zero: none was yet. */
struct locating {
    uint32_t at, tried;
    uint64_t until_ms; /* it waits for the first address until then */
};

enum step {
    STEP_READ,    /* the request head is being read */
    STEP_RESOLVE, /* host -> site -> tenant; may wait for control */
    STEP_MATCH,   /* what the site, its tenant and its rules say: where to, or what to answer */
    STEP_PACE,    /* its tenant's bandwidth is used up: it waits for its turn */
    STEP_MODULES, /* on_request of its modules; they may wait, or answer */
    STEP_CHOOSE,  /* service -> endpoint */
    STEP_QUEUE,   /* all endpoints have their max_conns: it waits for its turn */
    STEP_CONNECT, /* endpoint -> upstream, pooled or new */
    STEP_FORWARD, /* send the request head */
    STEP_RELAY,   /* bodies and the response */
    STEP_ANSWER,  /* a response of the edge's own, which its modules see first */
    STEP_ENDED,
    STEP_COUNT
};

/* How a body is framed towards whoever gets it: as it was read, or as modules have made it. */
enum framing { FRAMED_AS_READ, FRAMED_LENGTH, FRAMED_CHUNKED };

#define EXCHANGE_HEAD_INLINE 768

struct exchange {
    struct list node; /* of its worker: running, ended, or free */
    struct worker *w;
    const struct client_side *client;
    void *session; /* NULL once the session is gone */
    enum step step;
    enum fault fault;

    struct head request;
    struct target target;
    struct str path; /* normal form */
    char *head_copy; /* the request head's bytes: head_inline or heap */
    char *path_copy; /* heap; NULL when path lies in head_copy */
    char head_inline[EXCHANGE_HEAD_INLINE];

    uint8_t believed;          /* enum client_belief, of its connection; 0: nothing is */
    bool https;                /* its client came by TLS, as is believed */
    struct str forwarded_host; /* what its client asked for, as is believed; len 0: not said */

    struct map_print host_print;
    struct sites_waiter waiter;
    struct site *site; /* pinned, in the slot site_slot */
    uint32_t site_slot;
    struct tenant *tenant;           /* pinned; NULL */
    struct routes *routes;           /* pinned; NULL: its tenant has no rules */
    struct defaults *defaults;       /* pinned; NULL: there are none */
    struct service *service;         /* pinned, when named; NULL */
    const struct route *route;       /* of `routes`, that the request meets; NULL */
    const struct action *action;     /* the route's, or a `to` */
    const struct service *balanced;  /* service, or the unnamed one of `action` */
    struct str path_sent;            /* to the endpoint */
    struct str host_sent;            /* of the edge's own requests; len 0: as the client says */
    char *path_made;                 /* heap: path_sent, where it was rewritten; NULL */
    uint32_t timeout_ms;             /* for the endpoint to begin its response */
    uint32_t stream_timeout_ms;      /* within its body; 0: not looked up yet */
    const struct endpoint *endpoint; /* that was chosen last */
    struct attempt attempt;
    struct queue_wait *wait; /* in STEP_QUEUE; NULL */
    struct retries retries;
    struct hedge *hedge; /* it may have, or has, a second attempt beside the first; NULL */
    bool trial;          /* of a half-open breaker: the attempt that is about to begin */
    bool sets_cookie;    /* with the response: its client sticks to that endpoint from now on */
    struct locating locating;
    struct upstream *upstream;  /* owns until given back to the pool */
    struct module_run *modules; /* NULL: it has none */
    struct tenant_state
        *limited;           /* of its tenant, or its host, which has limits; NULL: there are none */
    struct pace *pace;      /* of `limited`: NULL: no bandwidth is said */
    uint64_t body_most;     /* of `limited`: bytes that its request's body may have */
    uint32_t retry_after_s; /* of `limited`: when it is refused */
    enum framing request_framing, response_framing;
    uint64_t request_sent_bytes; /* FRAMED_LENGTH */

    struct head response;
    bool counted;        /* one of the requests under way of `limited` */
    bool was_counted;    /* its connection, as somebody's */
    bool unrouted;       /* nothing says where it goes, unless its modules do */
    bool request_whole;  /* its body has been read to the end */
    bool logged_later;   /* its line is its tunnel's */
    bool response_begun; /* a final head was given to the client */
    uint8_t interim_heads;
    uint8_t asked_again;  /* its site was evicted between the answer and its use */
    bool client_paused;   /* we stopped the client's body: the upstream is slow */
    bool upstream_paused; /* we stopped the upstream: the client is slow */
    unsigned status;      /* sent to the client; 0 = none */
    uint64_t begun_ns;
    uint64_t request_body_bytes, response_body_bytes;
};

/* From the session. exchange_new cannot fail; it is given back by the exchange's own end. */
struct exchange *exchange_new(struct worker *w, const struct client_side *client, void *session);
/* The head is whole and right: bytes stand at request.base. Takes a copy, and runs. */
void exchange_start(struct exchange *x);
/* The edge's own: its request's head, target, paths, service and timeout are set. Runs. */
void exchange_start_own(struct exchange *x);
void exchange_on_request_body(struct exchange *x, const char *bytes, size_t len);
void exchange_on_request_end(struct exchange *x, struct str trailers);
void exchange_flush_request(struct exchange *x);     /* after each read that gave body */
void exchange_on_client_drained(struct exchange *x); /* what was blocked towards it is sent */
/* The client is gone, or has done wrong: ends the exchange. The session has let go already. */
void exchange_on_client_gone(struct exchange *x, enum fault fault);

/* Answers with the fault, if anything can be answered still, and ends the exchange. */
void exchange_fault(struct exchange *x, enum fault fault);

/* From the upstream. */
void exchange_on_upstream_ready(struct exchange *x);
void exchange_on_upstream_drained(struct exchange *x);
void exchange_on_interim_head(struct exchange *x);
/* False: the response is not wanted, and the upstream was let go. */
bool exchange_on_response_head(struct exchange *x);
void exchange_on_response_body(struct exchange *x, const char *bytes, size_t len);
void exchange_on_response_end(struct exchange *x, struct str trailers);
void exchange_flush_response(struct exchange *x);
/* The upstream is lost (closed by it already). `stale`: it was a pooled one, and not a byte of a
 * response had come: it may have been closing while the request was on its way. */
void exchange_on_upstream_lost(struct exchange *x, enum fault fault, bool stale);
/* From its modules: what they waited for has come. */
void exchange_on_modules(struct exchange *x);
/* 101: `t` is the client's from here on, and the exchange ends. */
void exchange_on_tunnel(struct exchange *x, struct tunnel *t);

/* Does the endpoint get the request's body in chunks? */
bool exchange_sends_chunks(const struct exchange *x);

const char *exchange_step_name(enum step step);
/* Frees what ended since; at the worker's turn end. */
void exchange_reap(struct worker *w);

#endif
