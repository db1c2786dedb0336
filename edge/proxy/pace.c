/* pace.c -- bodies of a tenant with `bandwidth`: counted when they have gone on, and what was too fast is waited
 * out before more is read.
 *
 * A response that comes in one piece is never waited for, so the wait is before its request: each request reserves
 * what such responses have been like, and the rest is settled with what it was.
 *
 * Owns:    struct pace, from the request's admission to its end.
 * Thread:  its worker; the bucket is all workers'.
 * Used by: limits.c, exchange.c, exchange_relay.c.
 * Not here: the arithmetic (base/token_bucket.c). */
#include "proxy/pace.h"

#include <stdlib.h>

#include "base/clock.h"
#include "proxy/exchange_steps.h"
#include "proxy/limits.h"
#include "proxy/upstream.h"
#include "proxy/worker_state.h"

#define SECOND_NS 1000000000ull
#define MS_NS 1000000ull
#define BURST_NS (100 * MS_NS)       /* so much may be ahead of its time */
#define WAIT_MOST_NS (5 * SECOND_NS) /* whoever would wait longer for his turn is refused */
#define PIECES_PER_SECOND 20
#define PIECE_LEAST 2048u
#define PIECE_MOST (252u * 1024) /* the worker's read buffer */
#define BYTES_MOST (1ull << 33)  /* at once, so that the product holds */
#define MEAN_SHIFT 3             /* the mean moves by an eighth */
#define RESERVED_PARTS 4         /* of a second: no request reserves more */

struct pace {
    struct exchange *x;
    struct token_bucket *bucket;
    uint64_t bandwidth;
    uint64_t reserved;                      /* bytes paid for, of none that went on yet */
    uint64_t request_bytes, response_bytes; /* counted */
    struct timer request, response;
    uint64_t first_wait_ns;
    void (*go)(struct exchange *x); /* waits for its turn; NULL: had it */
};

static uint64_t cost_ns(const struct pace *p, uint64_t bytes)
{
    if (bytes > BYTES_MOST)
        bytes = BYTES_MOST;
    return bytes * SECOND_NS / p->bandwidth;
}

/* Returns how long to wait. */
static uint64_t count(struct pace *p, uint64_t bytes)
{
    uint64_t covered = bytes < p->reserved ? bytes : p->reserved;

    p->reserved -= covered;
    if (bytes == covered)
        return 0;
    return token_bucket_spend(p->bucket, clock_now_ns(), cost_ns(p, bytes - covered), BURST_NS);
}

static void wait(struct pace *p, struct timer *t, uint64_t ns)
{
    timer_set(&p->x->w->loop, t, ns / MS_NS + 1);
}

/* --- the request, and its turn --- */

static void on_request(struct timer *t)
{
    struct pace *p = LIST_ITEM(t, struct pace, request);
    struct exchange *x = p->x;
    void (*go)(struct exchange *x) = p->go;

    p->go = NULL;
    if (go != NULL)
        go(x);
    else if (x->upstream != NULL && !conn_is_blocked(&x->upstream->conn))
        exchange_on_upstream_drained(x); /* blocked: it goes on when that has drained */
}

static void on_response(struct timer *t)
{
    struct pace *p = LIST_ITEM(t, struct pace, response);

    if (!p->x->client->is_blocked(p->x->session)) /* else it goes on when that has drained */
        exchange_on_client_drained(p->x);
}

enum fault pace_begin(struct exchange *x, uint64_t bandwidth)
{
    struct token_bucket *bucket = &x->limited->bytes;
    uint32_t mean = atomic_load_explicit(&x->limited->mean_bytes, memory_order_relaxed);
    struct pace *p;
    uint64_t wait_ns;

    if (bandwidth == 0 || bandwidth == UINT64_MAX)
        return FAULT_NONE;
    p = malloc(sizeof(*p));
    if (p == NULL)
        return FAULT_out_of_memory;
    *p = (struct pace){ .x = x, .bucket = bucket, .bandwidth = bandwidth };
    p->reserved = mean < bandwidth / RESERVED_PARTS ? mean : bandwidth / RESERVED_PARTS;
    timer_init(&p->request, on_request);
    timer_init(&p->response, on_response);
    x->pace = p;
    /* Behind those that were before; what it reserves itself is not waited for. */
    wait_ns = token_bucket_spend(bucket, clock_now_ns(), cost_ns(p, p->reserved),
                                 BURST_NS + cost_ns(p, p->reserved));
    p->first_wait_ns = wait_ns;
    if (wait_ns <= WAIT_MOST_NS)
        return FAULT_NONE;
    x->retry_after_s = (uint32_t)((wait_ns + SECOND_NS - 1) / SECOND_NS);
    return FAULT_bandwidth_exceeded;
}

bool pace_holds(struct exchange *x, void (*go)(struct exchange *x))
{
    struct pace *p = x->pace;

    if (p == NULL || p->first_wait_ns == 0)
        return false;
    p->go = go;
    wait(p, &p->request, p->first_wait_ns);
    return true;
}

void pace_request(struct exchange *x)
{
    struct pace *p = x->pace;
    uint64_t wait_ns = count(p, x->request_body_bytes - p->request_bytes);

    p->request_bytes = x->request_body_bytes;
    if (wait_ns == 0)
        return;
    x->client_paused = true;
    x->client->pause(x->session);
    wait(p, &p->request, wait_ns);
}

void pace_response(struct exchange *x)
{
    struct pace *p = x->pace;
    uint64_t wait_ns = count(p, x->response_body_bytes - p->response_bytes);

    p->response_bytes = x->response_body_bytes;
    if (wait_ns == 0 || x->upstream == NULL)
        return;
    x->upstream_paused = true;
    upstream_pause(x->upstream);
    wait(p, &p->response, wait_ns);
}

bool pace_stops_request(const struct exchange *x)
{
    return x->pace != NULL && timer_is_set(&x->pace->request);
}

bool pace_stops_response(const struct exchange *x)
{
    return x->pace != NULL && timer_is_set(&x->pace->response);
}

size_t pace_piece(const struct exchange *x)
{
    uint64_t piece;

    if (x->pace == NULL)
        return 0;
    piece = x->pace->bandwidth / PIECES_PER_SECOND;
    return piece < PIECE_LEAST ? PIECE_LEAST : piece > PIECE_MOST ? PIECE_MOST : (size_t)piece;
}

/* What such requests are like: reserved for the next one. */
static void learn(struct exchange *x)
{
    uint64_t bytes = x->request_body_bytes + x->response_body_bytes;
    _Atomic uint32_t *mean = &x->limited->mean_bytes;
    int64_t was = atomic_load_explicit(mean, memory_order_relaxed), now;

    if (bytes > PIECE_MOST)
        bytes = PIECE_MOST; /* what is longer waits while it goes on */
    now = was + (((int64_t)bytes - was) >> MEAN_SHIFT);
    atomic_store_explicit(mean, (uint32_t)now, memory_order_relaxed);
}

void pace_end(struct exchange *x)
{
    struct pace *p = x->pace;

    if (p == NULL)
        return;
    count(p, x->request_body_bytes - p->request_bytes + x->response_body_bytes - p->response_bytes);
    if (p->reserved > 0)
        token_bucket_return(p->bucket, cost_ns(p, p->reserved));
    if (!limits_is_refusal(x->fault))
        learn(x);
    timer_stop(&p->request);
    timer_stop(&p->response);
}

void pace_free(struct exchange *x)
{
    free(x->pace);
    x->pace = NULL;
}
