/* upstream.h -- one connection to an endpoint, whatever it is spoken to in. */
#ifndef PROXY_UPSTREAM_H
#define PROXY_UPSTREAM_H

#include "http/parser.h"
#include "net/conn.h"
#include "net/timer.h"

struct worker;
struct exchange;
struct pool_bucket;
struct places;
struct tunnel;
struct upstream_protocol;
struct upstream_fastcgi;

enum upstream_state {
    UPSTREAM_CONNECTING,
    UPSTREAM_HEAD,   /* a request was or is being sent; its response head is awaited */
    UPSTREAM_BODY,   /* the response body is coming */
    UPSTREAM_IDLE,   /* in the pool */
    UPSTREAM_TUNNEL, /* bytes both ways */
    UPSTREAM_LINGER, /* given up: its place is free when the endpoint has ended it, too */
    UPSTREAM_CLOSED, /* waiting for its last callback */
};

struct upstream {
    struct conn conn;
    struct list node; /* in the idle list of the bucket, or of the place's lane, and in no other */
    struct places *place;   /* it has one of them; NULL: its endpoint has no limit */
    struct list place_node; /* of its worker's `placed` */
    struct worker *w;
    struct pool_bucket *bucket;
    const struct upstream_protocol *protocol; /* the bucket's */
    struct exchange *exchange;                /* NULL when idle or a tunnel */
    struct tunnel *tunnel;                    /* UPSTREAM_TUNNEL */
    struct parser parser;
    struct timer timer;
    enum upstream_state state;
    uint8_t send_proxy; /* enum proxy_version: it begins with a header, and serves nobody else */
    bool reused;        /* has served before: may be stale */
    bool answered;      /* bytes came since the request was sent */
    bool request_sent;  /* wholly */
    bool lingers_long;  /* UPSTREAM_LINGER: it has not begun to answer */
    enum fault refused; /* the protocol cannot say this request's body; nothing of it was sent */
    char *kept;         /* a head that came in pieces */
    size_t kept_len, kept_room;
    size_t piece;                     /* so much is read at a time; 0: as much as there is */
    struct upstream_fastcgi *fastcgi; /* NULL: not spoken here */
};

/* To the bucket's address. NULL: it cannot be tried now (*fault says why). */
struct upstream *upstream_open(struct worker *w, struct pool_bucket *bucket, enum fault *fault);

/* Idle, on a socket that another worker's upstream has let go of (upstream_let_go). NULL: no memory; the
 * socket is closed. */
struct upstream *upstream_adopt(struct worker *w, struct pool_bucket *bucket, int fd);
/* Gives its socket away, and what it has of a place, and closes. -1: no descriptor; nothing was given. */
int upstream_let_go(struct upstream *u);
/* The place is the caller's. Returns u. */
struct upstream *upstream_leave_place(struct upstream *u);
/* It was about to be used, and is not: idle again. */
void upstream_rest(struct upstream *u);
/* The place is the upstream's from here on, until it is closed. */
void upstream_take_place(struct upstream *u, struct places *place);

/* Begins an exchange on an idle or just connected upstream. */
void upstream_begin(struct upstream *u, struct exchange *x);
/* Its response's head has been read, and copied to x->response: the rest of it is another exchange's. */
void upstream_move(struct upstream *u, struct exchange *x);
bool upstream_is_connected(const struct upstream *u);
static inline bool upstream_is_blocked(const struct upstream *u)
{
    return conn_is_blocked(&u->conn);
}

/* Sending goes through the worker's gather; false: broken for writing (reading tells the rest), or
 * u->refused says why it is not sent. A head that cannot be said is a fault. */
enum fault upstream_send_head(struct upstream *u, struct exchange *x);
void upstream_send_body(struct upstream *u, const char *bytes, size_t len);
bool upstream_flush(struct upstream *u, bool last, struct str trailers);

void upstream_read_on(struct upstream *u); /* without an eye on the time */
void upstream_pause(struct upstream *u);
void upstream_resume(struct upstream *u);

/* The exchange is done with it: back to the pool if it can serve another, else closed. */
void upstream_end(struct upstream *u);
/* It lets go of its exchange without a word. At once; but with a place, when the endpoint has ended the
 * connection too: until then it may be working on the request. */
void upstream_close(struct upstream *u);
void upstream_cut(struct upstream *u); /* at once, with a place, too */

const char *upstream_state_name(enum upstream_state state);

#endif
