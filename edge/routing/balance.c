/* balance.c -- which endpoint is next: off the rota, by lot, by load or by a hash; and who is considered
 * when some are out.
 *
 * In two parts. Most requests find their endpoint at once: the next on the rota, or one drawn by
 * weight, is available. Else all are looked at: which of them count (this zone's, all, backups, or in
 * a panic everyone), and the choice is made among these.
 *
 * Owns:    nothing; the cursor is its worker's.
 * Thread:  any.
 * Used by: proxy/choose.c, control/explain.c.
 * Not here: the rota (schedule.c); what is known of endpoints (availability.h); what an endpoint is called
 *          in a cookie (balance_key.c). */
#include "routing/balance.h"

#include <math.h>

#include "routing/balance_key.h"
#include "routing/record.h"

#define WALK_MOST 64   /* places of the rota passed over before it is left to chance */
#define DRAWS_MOST 3   /* for a second one that is another */
#define RISE_STEPS 256 /* of a weight that is rising */
#define RISE_FIRST 26  /* it begins at about a tenth */

/* --- parts of both --- */

/* Since when it is one of those that get requests; 0: always. */
static uint64_t rising_from(const struct endpoint_state *state)
{
    uint64_t from = atomic_load_explicit(&state->added_ms, memory_order_relaxed);
    uint64_t up = atomic_load_explicit(&state->up_ms, memory_order_relaxed);
    uint64_t back = atomic_load_explicit(&state->outlier.until_ms, memory_order_relaxed);

    if (from < up)
        from = up;
    return from < back ? back : from;
}

/* How much of its weight it has already, of RISE_STEPS. */
static uint32_t risen(const struct balance_request *r, const struct endpoint *e)
{
    uint32_t over_ms = r->service->policy.slow_start_ms;
    uint64_t from, passed;

    if (over_ms == 0 || e->state == NULL)
        return RISE_STEPS;
    from = rising_from(e->state);
    if (from == 0 || r->now_ms >= from + over_ms)
        return RISE_STEPS;
    passed = r->now_ms > from ? r->now_ms - from : 0;
    return RISE_FIRST + (uint32_t)(passed * (RISE_STEPS - RISE_FIRST) / over_ms);
}

/* Does one that is rising take this turn? */
static bool takes_turn(const struct balance_request *r, const struct endpoint *e)
{
    uint32_t share;

    if (r->service->policy.slow_start_ms == 0)
        return true;
    share = risen(r, e);
    return share >= RISE_STEPS || random_below(r->random, RISE_STEPS) < share;
}

static bool was_tried(const struct balance_request *r, const struct endpoint *e)
{
    for (uint32_t i = 0; i < r->tried_count; i++)
        if (r->tried[i] == e)
            return true;
    return false;
}

static bool is_free(const struct balance_request *r, const struct endpoint *e)
{
    return endpoint_is_out(e, r->now_ms) == PASSED_NOT && !was_tried(r, e);
}

static uint32_t active(const struct endpoint *e)
{
    return e->state != NULL ? atomic_load_explicit(&e->state->active, memory_order_relaxed) : 0;
}

/* Has `a`, of weight `wa`, less to do than `b`? */
static bool is_less_loaded(const struct endpoint *a, uint64_t wa, const struct endpoint *b,
                           uint64_t wb)
{
    return active(a) * wb < active(b) * wa;
}

/* --- at once --- */

static const struct endpoint *place(const struct service *s, uint32_t at)
{
    return &s->endpoints[s->schedule[at]];
}

/* The cursor outlives a service's versions, whose rotas may be shorter. */
static uint32_t cursor_place(const struct balance_request *r, const struct rota *rota)
{
    return *r->cursor < rota->count ? *r->cursor : *r->cursor % rota->count;
}

static const struct endpoint *next_at_once(const struct balance_request *r)
{
    const struct rota *rota = &r->service->rotas[ROTA_FIRST];
    const struct endpoint *e;
    uint32_t at;

    if (rota->count == 0)
        return NULL;
    at = cursor_place(r, rota);
    e = place(r->service, at);
    if (!is_free(r, e))
        return NULL;
    *r->cursor = at + 1;
    return takes_turn(r, e) ? e : NULL;
}

static const struct endpoint *drawn(const struct balance_request *r)
{
    const struct rota *rota = &r->service->rotas[ROTA_FIRST];
    const struct endpoint *e;

    if (rota->count == 0)
        return NULL;
    e = place(r->service, (uint32_t)random_below(r->random, rota->count));
    return is_free(r, e) && takes_turn(r, e) ? e : NULL;
}

static const struct endpoint *better_of_two(const struct balance_request *r)
{
    const struct endpoint *a = drawn(r), *b = a;

    if (a == NULL)
        return NULL;
    for (unsigned i = 0; i < DRAWS_MOST && (b == a || b == NULL); i++)
        b = drawn(r);
    return b != NULL && is_less_loaded(b, b->weight, a, a->weight) ? b : a;
}

/* Where nobody is out, without a look at those that are busier anyhow. */
static const struct endpoint *least_at_once(const struct balance_request *r)
{
    const struct service *s = r->service;
    const struct rota *rota = &s->rotas[ROTA_FIRST];
    const struct endpoint *least = NULL;
    uint32_t from;

    if (s->policy.slow_start_ms > 0 || rota->count == 0)
        return NULL;
    for (uint32_t i = 0; i < s->endpoint_count; i++) {
        const struct endpoint *e = &s->endpoints[i];

        if (endpoint_weight(e) == 0 || endpoint_rota(s, e) != ROTA_FIRST)
            continue;
        if (!is_free(r, e))
            return NULL;
        if (least == NULL || is_less_loaded(e, e->weight, least, least->weight))
            least = e;
    }
    from = cursor_place(r, rota);
    for (uint32_t k = 0; k < rota->count && k < WALK_MOST; k++) {
        uint32_t at = from + k < rota->count ? from + k : from + k - rota->count;
        const struct endpoint *e = place(s, at);

        if (is_less_loaded(least, least->weight, e, e->weight))
            continue;
        *r->cursor = at + 1;
        return e;
    }
    return least;
}

/* Rendezvous: each endpoint draws a number for this hash, and the least has it. So a key moves only
 * when its endpoint goes, or to one that is new. Shares are as the weights say when the number is one
 * of an exponential distribution whose rate is the weight: this, divided by it. */
static double hash_number(const struct balance_request *r, uint32_t i)
{
    uint64_t drawn_bits = random_mixed(r->service->prints[i].name ^ r->hash);

    return -log(((double)(drawn_bits >> 11) + 0.5) * 0x1p-53);
}

/* With even weights the least number is that of the most bits. */
static const struct endpoint *hashed_at_once(const struct balance_request *r)
{
    const struct service *s = r->service;
    const struct endpoint *best = NULL;
    double least = INFINITY;
    uint64_t most = 0;

    if (s->policy.hash_bound > 0 || s->policy.slow_start_ms > 0)
        return NULL;
    for (uint32_t i = 0; i < s->endpoint_count; i++) {
        uint32_t weight = s->prints[i].weight;
        uint64_t bits = s->even ? random_mixed(s->prints[i].name ^ r->hash) >> 11 : 0;
        double number = s->even || weight == 0 ? 0 : hash_number(r, i) / weight;

        if (weight == 0 || (s->even ? best != NULL && bits <= most : number >= least))
            continue;
        best = &s->endpoints[i];
        most = bits;
        least = number;
    }
    return best != NULL && is_free(r, best) ? best : NULL;
}

/* --- all of them looked at --- */

struct view {
    uint8_t out[RECORD_ENDPOINTS_MAX];      /* enum passed_over */
    uint32_t weights[RECORD_ENDPOINTS_MAX]; /* of those considered, in RISE_STEPS; else 0 */
    uint64_t total;                         /* of these weights */
    struct {
        uint64_t weight, healthy, free;
    } sums[ROTAS];
    bool panic;
    bool lot_is_out;     /* one was drawn already, and is out: it is one of those */
    unsigned rotas;      /* 1 << each that is considered */
    enum rota_kind turn; /* whose turns they take; ROTAS: left to chance */
};

static bool is_healthy(enum passed_over out)
{
    return out != PASSED_HEALTH && out != PASSED_EJECTED;
}

static enum passed_over why_out(const struct balance_request *r, const struct endpoint *e)
{
    enum passed_over out;

    if (endpoint_weight(e) == 0)
        return e->weight > 0 ? PASSED_DRAIN : PASSED_WEIGHT;
    out = endpoint_is_out(e, r->now_ms);
    return out == PASSED_NOT && was_tried(r, e) ? PASSED_TRIED : out;
}

/* So little is healthy, and no backup, that it is rather the checks that are wrong. */
static bool is_panic(const struct balance_request *r, const struct view *v)
{
    uint64_t all = v->sums[ROTA_FIRST].weight + v->sums[ROTA_FAR].weight;
    uint64_t healthy = v->sums[ROTA_FIRST].healthy + v->sums[ROTA_FAR].healthy;

    return v->sums[ROTA_BACKUP].healthy == 0 &&
           healthy * 100 < service_panic(&r->service->policy) * all;
}

static void look_at_all(const struct balance_request *r, struct view *v)
{
    const struct service *s = r->service;

    memset(v->sums, 0, sizeof(v->sums));
    for (uint32_t i = 0; i < s->endpoint_count; i++) {
        const struct endpoint *e = &s->endpoints[i];
        enum rota_kind rota = endpoint_rota(s, e);
        enum passed_over out = why_out(r, e);
        uint32_t weight = endpoint_weight(e);

        v->out[i] = (uint8_t)out;
        v->sums[rota].weight += weight;
        v->sums[rota].healthy += is_healthy(out) ? weight : 0;
        v->sums[rota].free += out == PASSED_NOT ? weight : 0;
    }
    v->panic = is_panic(r, v);
    v->lot_is_out = false;
}

static bool is_in(const struct view *v, const struct service *s, uint32_t i)
{
    const struct endpoint *e = &s->endpoints[i];
    enum passed_over out = (enum passed_over)v->out[i];

    if (endpoint_weight(e) == 0 || (v->rotas & 1u << endpoint_rota(s, e)) == 0)
        return false;
    if (v->panic && !is_healthy(out))
        return true;
    return out == PASSED_NOT && !v->lot_is_out;
}

static void weigh(const struct balance_request *r, struct view *v)
{
    v->total = 0;
    for (uint32_t i = 0; i < r->service->endpoint_count; i++) {
        const struct endpoint *e = &r->service->endpoints[i];

        v->weights[i] = is_in(v, r->service, i) ? e->weight * risen(r, e) : 0;
        v->total += v->weights[i];
    }
}

/* --- one of those that have a weight --- */

static uint32_t by_lot(const struct balance_request *r, const struct view *v)
{
    uint64_t at = random_below(r->random, v->total);
    uint32_t i = 0;

    while (at >= v->weights[i])
        at -= v->weights[i++];
    return i;
}

static uint32_t by_turn(const struct balance_request *r, const struct view *v)
{
    const struct service *s = r->service;
    const struct rota *rota = v->turn < ROTAS ? &s->rotas[v->turn] : NULL;
    uint32_t from;

    if (rota == NULL || rota->count == 0)
        return by_lot(r, v);
    from = cursor_place(r, rota);
    for (uint32_t k = 0; k < rota->count && k < WALK_MOST; k++) {
        uint32_t at = (from + k) % rota->count, i = s->schedule[rota->from + at];

        if (v->weights[i] == 0 || !takes_turn(r, &s->endpoints[i]))
            continue;
        *r->cursor = at + 1; /* past those passed over: their turns go to all the others */
        return i;
    }
    *r->cursor = (from + WALK_MOST) % rota->count;
    return by_lot(r, v);
}

static uint32_t by_two_lots(const struct balance_request *r, const struct view *v)
{
    const struct endpoint *all = r->service->endpoints;
    uint32_t a = by_lot(r, v), b = a;

    for (unsigned i = 0; i < DRAWS_MOST && b == a; i++)
        b = by_lot(r, v);
    return is_less_loaded(&all[b], v->weights[b], &all[a], v->weights[a]) ? b : a;
}

/* Where several have the least to do: whose turn it is. */
static uint32_t by_load(const struct balance_request *r, struct view *v)
{
    const struct endpoint *all = r->service->endpoints;
    uint32_t count = r->service->endpoint_count, least = UINT32_MAX;

    for (uint32_t i = 0; i < count; i++)
        if (v->weights[i] > 0 &&
            (least == UINT32_MAX ||
             is_less_loaded(&all[i], v->weights[i], &all[least], v->weights[least])))
            least = i;
    v->total = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (v->weights[i] > 0 &&
            is_less_loaded(&all[least], v->weights[least], &all[i], v->weights[i]))
            v->weights[i] = 0;
        v->total += v->weights[i];
    }
    return by_turn(r, v);
}

/* Its share of all that is under way, and somewhat more (hash_bound), is reached. */
static bool is_at_bound(const struct view *v, const struct endpoint *e, uint32_t weight,
                        uint32_t bound, uint64_t all_active)
{
    return bound > 0 &&
           (uint64_t)active(e) * 100 * v->total >= (uint64_t)bound * (all_active + 1) * weight;
}

static uint32_t by_hash(const struct balance_request *r, const struct view *v, uint32_t bound)
{
    const struct service *s = r->service;
    uint32_t best = UINT32_MAX;
    uint64_t all_active = 0;
    double least = INFINITY;

    for (uint32_t i = 0; bound > 0 && i < s->endpoint_count; i++)
        all_active += v->weights[i] > 0 ? active(&s->endpoints[i]) : 0;
    for (uint32_t i = 0; i < s->endpoint_count; i++) {
        double number;

        if (v->weights[i] == 0 ||
            is_at_bound(v, &s->endpoints[i], v->weights[i], bound, all_active))
            continue;
        number = hash_number(r, i) / v->weights[i];
        if (number < least) {
            least = number;
            best = i;
        }
    }
    return best != UINT32_MAX ? best : by_lot(r, v);
}

static uint32_t pick(const struct balance_request *r, struct view *v)
{
    switch (r->service->policy.balance) {
    case BALANCE_ROUND_ROBIN:
        return by_turn(r, v);
    case BALANCE_RANDOM:
        break;
    case BALANCE_RANDOM_TWO:
        return by_two_lots(r, v);
    case BALANCE_LEAST_CONN:
        return by_load(r, v);
    case BALANCE_HASH:
        return by_hash(r, v, r->service->policy.hash_bound);
    }
    return by_lot(r, v);
}

/* --- which are considered --- */

/* Is this zone so poor that other zones stand in for those of its endpoints that are out? */
static bool others_stand_in(const struct balance_request *r, const struct view *v)
{
    uint32_t said = r->service->policy.zone_min, least = said > 0 ? said - 1 : ZONE_MIN;

    return !v->panic && v->sums[ROTA_FIRST].free > 0 && v->sums[ROTA_FAR].free > 0 &&
           v->sums[ROTA_FIRST].healthy * 100 < least * v->sums[ROTA_FIRST].weight;
}

/* Would this request be that of one which is out? */
static bool is_of_one_out(const struct balance_request *r, struct view *v)
{
    switch (r->service->policy.balance) {
    case BALANCE_LEAST_CONN:
        return random_below(r->random, v->sums[ROTA_FIRST].weight) >= v->sums[ROTA_FIRST].healthy;
    case BALANCE_HASH:
        for (uint32_t i = 0; i < r->service->endpoint_count; i++) {
            const struct endpoint *e = &r->service->endpoints[i];

            v->weights[i] = endpoint_rota(r->service, e) == ROTA_FIRST ? endpoint_weight(e) : 0;
        }
        v->total = v->sums[ROTA_FIRST].weight;
        return v->out[by_hash(r, v, 0)] != PASSED_NOT;
    case BALANCE_ROUND_ROBIN:
        ++*r->cursor;
        break;
    default:
        break;
    }
    return true; /* so it was, or it had been taken at once */
}

static void consider(struct view *v, unsigned rotas, enum rota_kind turn)
{
    v->rotas = rotas;
    v->turn = turn;
}

/* False: nobody. */
static bool find_considered(const struct balance_request *r, struct view *v)
{
    uint64_t near = v->sums[ROTA_FIRST].free, far = v->sums[ROTA_FAR].free;

    if (v->panic)
        consider(v, 1u << ROTA_FIRST | 1u << ROTA_FAR, far > 0 ? ROTAS : ROTA_FIRST);
    else if (others_stand_in(r, v) && is_of_one_out(r, v))
        consider(v, 1u << ROTA_FAR, ROTAS);
    else if (near > 0)
        consider(v, 1u << ROTA_FIRST, ROTA_FIRST);
    else if (far > 0)
        consider(v, 1u << ROTA_FAR, ROTA_FAR);
    else if (v->sums[ROTA_FIRST].healthy + v->sums[ROTA_FAR].healthy == 0 || r->tried_count > 0)
        consider(v, 1u << ROTA_BACKUP, ROTA_BACKUP);
    else
        consider(v, 0, ROTAS);
    weigh(r, v);
    return v->total > 0;
}

static void refuse(const struct balance_request *r, const struct view *v,
                   struct balance_refusal *refusal)
{
    *refusal = (struct balance_refusal){ .why = PASSED_WEIGHT };
    for (uint32_t i = 0; i < r->service->endpoint_count; i++)
        if (v->out[i] > refusal->why && refusal->why != PASSED_FULL)
            refusal->why = (enum passed_over)v->out[i];
}

/* Kept out of what most requests go through, for what it puts on the stack. */
__attribute__((noinline)) static const struct endpoint *choose_among_all(
    const struct balance_request *r, const struct endpoint *wanted, struct balance_refusal *refusal)
{
    struct view v;

    look_at_all(r, &v);
    if (wanted != NULL && v.panic)
        return wanted;
    v.lot_is_out = v.panic && (r->service->policy.balance == BALANCE_RANDOM ||
                               r->service->policy.balance == BALANCE_RANDOM_TWO);
    if (find_considered(r, &v))
        return &r->service->endpoints[pick(r, &v)];
    refuse(r, &v, refusal);
    return NULL;
}

/* --- the choice --- */

const struct endpoint *balance_choose(const struct balance_request *r,
                                      struct balance_refusal *refusal)
{
    const struct endpoint *e = NULL, *wanted = NULL;
    enum passed_over out;

    if (r->sticky != 0)
        wanted = balance_find_sticky(r->service, r->sticky);
    if (wanted != NULL && !was_tried(r, wanted)) {
        out = endpoint_is_out(wanted, r->now_ms);
        if (out == PASSED_NOT)
            return wanted;
        if (out == PASSED_FULL) {
            *refusal = (struct balance_refusal){ PASSED_FULL, wanted };
            return NULL;
        }
        if (!is_healthy(out))
            return choose_among_all(r, wanted, refusal);
    }
    switch (r->service->policy.balance) {
    case BALANCE_ROUND_ROBIN:
        e = next_at_once(r);
        break;
    case BALANCE_RANDOM:
        e = drawn(r);
        break;
    case BALANCE_RANDOM_TWO:
        e = better_of_two(r);
        break;
    case BALANCE_LEAST_CONN:
        e = least_at_once(r);
        break;
    case BALANCE_HASH:
        e = hashed_at_once(r);
        break;
    }
    return e != NULL ? e : choose_among_all(r, NULL, refusal);
}

/* --- told --- */

bool balance_explain(const struct balance_request *r, enum passed_over *out, uint64_t *weights)
{
    const struct service *s = r->service;
    struct view v;
    bool several;

    look_at_all(r, &v);
    several = others_stand_in(r, &v);
    if (several) {
        consider(&v, 1u << ROTA_FIRST | 1u << ROTA_FAR, ROTAS);
        weigh(r, &v);
    } else {
        find_considered(r, &v);
    }
    for (uint32_t i = 0; i < s->endpoint_count; i++) {
        enum rota_kind rota = endpoint_rota(s, &s->endpoints[i]);

        weights[i] = v.weights[i];
        if (several) /* its own share, or one of what those that are out would have had */
            weights[i] *= rota == ROTA_FIRST
                              ? v.sums[ROTA_FAR].free
                              : v.sums[ROTA_FIRST].weight - v.sums[ROTA_FIRST].healthy;
        out[i] = (enum passed_over)v.out[i];
        if (v.weights[i] > 0)
            out[i] = PASSED_NOT;
        else if (out[i] == PASSED_NOT)
            out[i] = rota == ROTA_BACKUP ? PASSED_BACKUP : PASSED_ZONE;
    }
    return v.panic;
}

const char *const balance_words[BALANCES] = {
    [BALANCE_ROUND_ROBIN] = "round-robin",
    [BALANCE_RANDOM] = "random",
    [BALANCE_RANDOM_TWO] = "random-two",
    [BALANCE_LEAST_CONN] = "least-conn",
    [BALANCE_HASH] = "hash",
};

const char *passed_over_text(enum passed_over why)
{
    static const char *const texts[PASSED_KINDS] = {
        [PASSED_NOT] = "",
        [PASSED_WEIGHT] = "weight 0: takes no new requests",
        [PASSED_DRAIN] = "drain: takes no new clients",
        [PASSED_BACKUP] = "backup: used when no other is available",
        [PASSED_ZONE] = "another zone: enough of this edge's own is healthy",
        [PASSED_HEALTH] = "its health checks fail",
        [PASSED_EJECTED] = "ejected: its answers were bad",
        [PASSED_FULL] = "full: max_conns is reached",
        [PASSED_TRIED] = "tried already",
    };

    return texts[why];
}
