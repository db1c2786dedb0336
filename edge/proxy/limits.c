/* limits.c -- a tenant's limits on addresses, connections, requests, rates and sizes.
 *
 * In this order, so that what costs least and can be least helped is first: address, connections, size,
 * requests under way, rate, bandwidth. Nothing is written for a request that is refused but its count.
 *
 * Owns:    what exchanges and connections hold in the state of a tenant.
 * Thread:  its worker; the states are all workers'.
 * Used by: match.c (admits), exchange.c, exchange_relay.c (bodies, ends), session.c, session_side.c (connections).
 * Not here: what each record says (routing/limits.h); pacing (pace.c); asking Redis (control/rates.c). */
#include "proxy/limits.h"

#include "base/check.h"
#include "base/clock.h"
#include "proxy/exchange.h"
#include "proxy/match.h"
#include "proxy/pace.h"
#include "proxy/worker_state.h"

#define SECOND_NS 1000000000ull
#define RETRY_SOON_S 1

/* LIMIT_KINDS: it refuses nothing. */
static enum limit_kind kind_of(enum fault fault)
{
    switch (fault) {
    case FAULT_denied_address:
        return LIMIT_ADDRESS;
    case FAULT_too_many_connections:
        return LIMIT_CONNS;
    case FAULT_too_many_requests:
        return LIMIT_REQUESTS;
    case FAULT_rate_limited:
        return LIMIT_RATE;
    case FAULT_body_too_large:
        return LIMIT_BODY;
    case FAULT_bandwidth_exceeded:
        return LIMIT_BANDWIDTH;
    default:
        return LIMIT_KINDS;
    }
}

bool limits_is_refusal(enum fault fault)
{
    return kind_of(fault) != LIMIT_KINDS;
}

void limits_count_refusal(struct exchange *x, enum fault fault)
{
    enum limit_kind kind = kind_of(fault);

    if (kind != LIMIT_KINDS)
        atomic_fetch_add_explicit(&x->limited->refused[kind], 1, memory_order_relaxed);
}

/* --- what is said --- */

/* Of those who say limits at all, the strongest first. */
struct said {
    const struct limits *by[MATCH_LAYERS];
    unsigned count;
};

static struct said said_of(const struct exchange *x)
{
    struct said said = { .count = 0 };

    for (unsigned i = 0; i < MATCH_LAYERS; i++) {
        const struct limits *l = match_fields(x, i)->limits;

        if (l != NULL)
            said.by[said.count++] = l;
    }
    return said;
}

/* The first word on `member`; 0: nobody says it. */
#define SAID(said, member)                                                                         \
    ({                                                                                             \
        unsigned by_ = 0;                                                                          \
                                                                                                   \
        while (by_ < (said)->count && (said)->by[by_]->member == 0)                                \
            by_++;                                                                                 \
        by_ < (said)->count ? (said)->by[by_]->member : 0;                                         \
    })

static const struct limit_ranges *ranges_said(const struct said *said, bool deny)
{
    for (unsigned i = 0; i < said->count; i++) {
        const struct limits *l = said->by[i];

        if (deny ? l->deny.said : l->allow.said)
            return deny ? &l->deny : &l->allow;
    }
    return NULL;
}

/* Whose counters: the tenant's; of a host without one, its own. */
static struct tenant_state *state_of(const struct exchange *x)
{
    struct tenant_state *own;

    if (x->tenant != NULL)
        return x->tenant->state;
    own = atomic_load_explicit(&x->site->state, memory_order_acquire);
    return own != NULL ? own : states_of_site(x->defaults->states, x->site);
}

/* --- counting --- */

/* One more, unless there are `most`. */
static bool take_place(atomic_uint *count, unsigned most)
{
    unsigned seen = atomic_load_explicit(count, memory_order_relaxed);

    do {
        if (seen >= most)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(count, &seen, seen + 1, memory_order_relaxed,
                                                    memory_order_relaxed));
    return true;
}

static void give_place(atomic_uint *count)
{
    CHECK(atomic_fetch_sub_explicit(count, 1, memory_order_release) > 0);
}

void limits_release(struct limits_hold *hold)
{
    struct tenant_state *state = hold->state;

    if (state == NULL)
        return;
    if (hold->request)
        give_place(&state->requests);
    *hold = (struct limits_hold){ 0 };
    give_place(&state->conns); /* the last touch: nothing else may keep the state */
}

static enum fault hold_connection(struct exchange *x, const struct said *said,
                                  struct tenant_state *state)
{
    struct limits_hold *hold = x->client->hold(x->session);
    uint32_t most;

    if (hold->state == state)
        return FAULT_NONE;
    most = SAID(said, max_conns);
    if (!take_place(&state->conns, most != 0 ? most : LIMIT_OFF))
        return FAULT_too_many_connections;
    limits_release(hold);
    hold->state = state;
    return FAULT_NONE;
}

/* --- rates --- */

static uint32_t seconds_of(uint64_t ns)
{
    uint64_t seconds = (ns + SECOND_NS - 1) / SECOND_NS;

    return seconds > 0 ? (uint32_t)seconds : 1;
}

/* The state stays while it asks. */
static void have_asked(struct exchange *x, struct tenant_state *state, uint32_t rps, uint32_t burst)
{
    struct rate_mail *mail = check_alloc(sizeof(*mail));

    mail->mail.kind = CONTROL_RATE;
    mail->state = state;
    mail->rps = rps;
    mail->burst = burst;
    mailbox_post(x->w->shared->control, &mail->mail);
}

static bool take_token(struct token_bucket *b, uint64_t now_ns, uint64_t interval_ns,
                       uint32_t burst, uint64_t *wait_ns)
{
    return token_bucket_take(b, now_ns, interval_ns, interval_ns * burst, wait_ns);
}

/* A state without a name is no other edge's. */
static bool is_shared(const struct said *said, const struct tenant_state *state)
{
    return SAID(said, rps_of) == RPS_OF_CLUSTER && state->state.key != NULL;
}

/* This edge holds the rate by itself as well; while Redis is away, its part of it. */
static bool take_leased(struct exchange *x, struct tenant_state *state, uint32_t rps,
                        uint32_t burst, uint64_t *wait_ns)
{
    struct rate_lease *lease = &state->lease;
    uint64_t now_ns = clock_now_ns(), interval_ns = limit_interval_ns(rps);
    uint32_t edges = atomic_load_explicit(&lease->edges, memory_order_relaxed);
    uint32_t most = rate_lease_burst(rps, burst);
    enum lease_word word;
    bool ask;

    if (now_ns < atomic_load_explicit(&lease->away_until_ns, memory_order_relaxed))
        return take_token(&state->rate, now_ns, interval_ns * (edges > 0 ? edges : 1), burst,
                          wait_ns);
    if (!take_token(&state->rate, now_ns, interval_ns, most, wait_ns))
        return false;
    word = rate_lease_spend(lease, now_ns, rps, most, wait_ns, &ask);
    if (ask)
        have_asked(x, state, rps, most);
    return word != LEASE_DRY;
}

static enum fault take_rate(struct exchange *x, const struct said *said, struct tenant_state *state)
{
    uint32_t rps = SAID(said, rps), burst;
    uint64_t wait_ns = 0;
    bool taken;

    if (rps == 0 || rps == LIMIT_OFF)
        return FAULT_NONE;
    if (x->site->fields.limits != NULL && x->site->fields.limits->rps != 0)
        state = atomic_load_explicit(&x->site->state, memory_order_acquire);
    burst = SAID(said, burst);
    if (burst == 0)
        burst = rps;
    if (is_shared(said, state))
        taken = take_leased(x, state, rps, burst, &wait_ns);
    else
        taken = take_token(&state->rate, clock_now_ns(), limit_interval_ns(rps), burst, &wait_ns);
    x->retry_after_s = seconds_of(wait_ns);
    return taken ? FAULT_NONE : FAULT_rate_limited;
}

/* --- all of it --- */

static enum fault judge_body(struct exchange *x, const struct said *said)
{
    uint64_t most = SAID(said, max_body);

    x->body_most = most != 0 ? most : UINT64_MAX;
    return x->request.body == BODY_LENGTH && x->request.body_bytes > x->body_most
               ? FAULT_body_too_large
               : FAULT_NONE;
}

static enum fault judge_requests(struct exchange *x, const struct said *said,
                                 struct tenant_state *state)
{
    uint32_t most = SAID(said, max_requests);
    enum fault fault;

    if (!take_place(&state->requests, most != 0 ? most : LIMIT_OFF))
        return FAULT_too_many_requests;
    x->counted = true;
    fault = take_rate(x, said, state);
    if (fault == FAULT_NONE)
        fault = pace_begin(x, SAID(said, bandwidth));
    return fault;
}

static enum fault judge(struct exchange *x, const struct said *said, struct tenant_state *state)
{
    const struct limit_ranges *allow = ranges_said(said, false), *deny = ranges_said(said, true);
    enum fault fault;

    if ((allow != NULL || deny != NULL) &&
        !limits_let_in(allow, deny, x->client->client_address(x->session)))
        return FAULT_denied_address;
    fault = hold_connection(x, said, state);
    if (fault == FAULT_NONE)
        fault = judge_body(x, said);
    return fault == FAULT_NONE ? judge_requests(x, said, state) : fault;
}

enum fault limits_admit(struct exchange *x)
{
    const struct said said = said_of(x);
    enum fault fault;

    if (said.count == 0) { /* its connection was somebody's */
        limits_release(x->client->hold(x->session));
        return FAULT_NONE;
    }
    x->limited = state_of(x);
    x->retry_after_s = RETRY_SOON_S;
    x->body_most = UINT64_MAX;
    fault = judge(x, &said, x->limited);
    if (fault == FAULT_NONE)
        return fault;
    limits_count_refusal(x, fault);
    if (fault == FAULT_too_many_connections)
        x->request.keep_alive = false;
    return fault;
}

bool limits_body_is_over(const struct exchange *x)
{
    return x->request_body_bytes > x->body_most;
}

void limits_leave(struct exchange *x)
{
    x->counted = false;
    give_place(&x->limited->requests);
}

void limits_over(struct exchange *x)
{
    pace_end(x);
    if (x->counted)
        limits_leave(x);
}

void limits_recycle(struct exchange *x)
{
    pace_free(x);
    x->limited = NULL;
}

void limits_tunnel(struct exchange *x)
{
    struct limits_hold *hold = x->client->hold(x->session);

    if (!x->counted || hold->state != x->limited)
        return;
    hold->request = true;
    x->counted = false;
}
