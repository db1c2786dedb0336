/* upstream.h -- one connection to an endpoint, speaking HTTP/1.1. */
#ifndef PROXY_UPSTREAM_H
#define PROXY_UPSTREAM_H

#include "http/parser.h"
#include "net/conn.h"
#include "net/timer.h"

struct worker;
struct exchange;
struct pool_bucket;
struct session;

enum upstream_state {
    UPSTREAM_CONNECTING,
    UPSTREAM_HEAD,   /* a request was or is being sent; its response head is awaited */
    UPSTREAM_BODY,   /* the response body is coming */
    UPSTREAM_IDLE,   /* in the pool */
    UPSTREAM_TUNNEL, /* bytes both ways */
    UPSTREAM_CLOSED, /* waiting for its last callback */
};

struct upstream {
    struct conn conn;
    struct list node; /* in the bucket's idle list, and in no other */
    struct worker *w;
    struct pool_bucket *bucket;
    struct exchange *exchange; /* NULL when idle or a tunnel */
    struct session *tunnel;    /* the other side of a tunnel */
    struct parser parser;
    struct timer timer;
    enum upstream_state state;
    uint8_t send_proxy; /* enum proxy_version: it begins with a header, and serves nobody else */
    bool reused;        /* has served before: may be stale */
    bool answered;      /* bytes came since the request was sent */
    bool request_sent;  /* wholly */
    char *kept;         /* a head that came in pieces */
    size_t kept_len, kept_room;
    size_t piece; /* so much is read at a time; 0: as much as there is */
};

/* To the bucket's address. NULL: it cannot be tried now (*fault says why). */
struct upstream *upstream_open(struct worker *w, struct pool_bucket *bucket, enum fault *fault);

/* Begins an exchange on an idle or just connected upstream. */
void upstream_begin(struct upstream *u, struct exchange *x);
bool upstream_is_connected(const struct upstream *u);

/* Sending goes through the worker's gather; false: broken for writing (reading tells the rest). */
bool upstream_send_head(struct upstream *u, struct exchange *x);
void upstream_send_body(struct upstream *u, const char *bytes, size_t len);
bool upstream_flush(struct upstream *u, bool last, struct str trailers);

void upstream_pause(struct upstream *u);
void upstream_resume(struct upstream *u);

/* The exchange is done with it: back to the pool if it can serve another, else closed. */
void upstream_end(struct upstream *u);
void upstream_close(struct upstream *u); /* at once; it lets go of its exchange without a word */

const char *upstream_state_name(enum upstream_state state);

#endif
