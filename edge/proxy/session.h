/* session.h -- one client connection speaking HTTP/1: reads requests, writes responses. */
#ifndef PROXY_SESSION_H
#define PROXY_SESSION_H

#include "http/parser.h"
#include "net/conn.h"
#include "net/loop.h"
#include "proxy/limits.h"

struct worker;
struct exchange;
struct tunnel;

enum session_phase {
    SESSION_IDLE,   /* between requests, or before the first */
    SESSION_HEAD,   /* a request head has begun */
    SESSION_BODY,   /* a request body is being read */
    SESSION_WAIT,   /* the request is whole; its response is not */
    SESSION_SKIP,   /* the response went out before the body came in: the rest is thrown away */
    SESSION_LINGER, /* nothing more is served: what still comes is thrown away (RFC 9112 9.6) */
    SESSION_TUNNEL,
    SESSION_PROXY,  /* a PROXY header must come first */
    SESSION_CLOSED, /* waiting for its last callback */
};

struct session {
    struct conn conn;
    struct list node; /* of its worker */
    struct worker *w;
    struct exchange *exchange;
    struct tunnel *tunnel; /* SESSION_TUNNEL */
    struct parser parser;
    struct timer timer;
    struct turn_end again; /* kept bytes are to be fed */
    enum session_phase phase;
    struct limits_hold hold;
    struct address connected; /* who has connected, by the kernel's word or a PROXY header's */
    struct address reached;   /* where to, by a PROXY header's; family 0: ask the kernel */
    struct address client;    /* who asks: `connected`, or whom that forwards a request for */
    uint8_t believed;         /* enum client_belief */
    uint8_t client_ip_len;
    char client_ip[46];
    bool paused;  /* the exchange takes no body now */
    bool feeding; /* inside feed(): it flushes what is owed to the upstream when it ends */
    bool flush_owed;
    bool client_ended; /* it sends no more */
    bool response_chunked, response_close, response_until_close;
    bool head_unsent;   /* a final head lies in the worker's gather */
    uint64_t skip_left; /* SESSION_SKIP: bytes of body still to come */
    bool http10;
    unsigned served; /* requests begun */
    size_t
        window_bytes; /* of body since the last look at the rate; or of the response, see gone_ms */
    uint64_t
        gone_ms; /* its side is shut: without a byte of response until then, it is taken as gone */
    size_t blocked_before; /* bytes queued for the client at the last look */
    /* Bytes that cannot be taken now: a head in pieces, body while paused, pipelined requests. */
    char *kept;
    size_t kept_from, kept_len, kept_room;
};

/* Takes `fd`. */
void session_open(struct worker *w, int fd, const struct address *client);
void session_close(struct session *s); /* at once */

/* For a client to send a request, once its worker drains: closing at once would cut off one that is on its
 * way. */
#define SESSION_DRAIN_MS 1000

/* The worker drains: each response says close from now on, and idle connections are not kept for long. */
void session_drain(struct session *s);

void session_cut(struct session *s, enum fault fault); /* whatever it does */

const char *session_phase_name(enum session_phase phase);

#endif
