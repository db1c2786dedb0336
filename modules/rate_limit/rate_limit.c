/* rate_limit.c -- so many requests in a time, for each address, header, cookie, claim, path or host.
 *
 *     redis-cli HSET usher:tenant:acme modules 'rate_limit(rate=100/m burst=20 key=header:X-Api-Key shared)'
 *
 * Counted by each edge (table.c), or by all together, through counters in Redis that each edge raises by shares.
 */
#include "limit.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum { RATE, BURST, KEY, SHARED, WAIT, HEADERS, KEYS, NAME, ROWS };
enum { ALLOWED, REFUSED, ASKED, AWAY, EVICTED, METRICS };

#define BURST_MOST 100000000
#define LATE_SLACK_MS 5
#define AWAY_MS 1000 /* for so long Redis counts as away, when it did not answer */
#define LOOK_MS 2    /* between two looks at what another request has asked for */
#define STALE_MS 100 /* beyond `wait` */
#define HASH_HEX 32
#define NS_A_SECOND 1000000000u

static const struct usher_setting settings[ROWS] = {
    [RATE] = { .name = "rate",
               .type = USHER_TYPE_TEXT,
               .flags = USHER_REQUIRED,
               .meaning = "requests in a time: 100/s, 100/m, 100/h or 100/d" },
    [BURST] = { .name = "burst",
                .type = USHER_TYPE_NUMBER,
                .least = 1,
                .most = BURST_MOST,
                .meaning = "how many may come at once; else as many as `rate` says" },
    [KEY] = { .name = "key",
              .type = USHER_TYPE_TEXT,
              .standard = "address",
              .meaning = "whose requests are counted together: address, header:NAME, cookie:NAME, "
                         "claim:HEADER, path, host; or several, commas between" },
    [SHARED] = { .name = "shared",
                 .type = USHER_TYPE_SWITCH,
                 .standard = "off",
                 .meaning = "all edges of this Redis count together" },
    [WAIT] = { .name = "wait",
               .type = USHER_TYPE_TIME,
               .standard = "100ms",
               .least = 5,
               .most = 2000,
               .meaning = "of a shared limit: how long Redis may take to answer, before this edge "
                          "rules alone" },
    [HEADERS] = { .name = "headers",
                  .type = USHER_TYPE_SWITCH,
                  .standard = "on",
                  .meaning = "responses say RateLimit and RateLimit-Policy" },
    [KEYS] = { .name = "keys",
               .type = USHER_TYPE_NUMBER,
               .standard = "16384",
               .least = 8,
               .most = 4194304,
               .meaning = "how many are remembered at a time; then those go first that have "
                          "asked least" },
    [NAME] = { .name = "name",
               .type = USHER_TYPE_TEXT,
               .standard = "default",
               .least = 1,
               .most = 32,
               .meaning = "of this limit, in RateLimit-Policy and in its keys in Redis" },
};

static const struct usher_metric metrics[METRICS] = {
    [ALLOWED] = { "allowed_total", USHER_COUNTER, "Requests within the limit." },
    [REFUSED] = { "refused_total", USHER_COUNTER, "Requests answered with 429." },
    [ASKED] = { "asked_total", USHER_COUNTER, "Questions to Redis." },
    [AWAY] = { "away_total", USHER_COUNTER,
               "Requests of a shared limit that this edge ruled on alone." },
    [EVICTED] = { "evicted_total", USHER_COUNTER, "Keys that others had to make room for." },
};

struct rate_limit {
    struct table *table;
    struct limit limit;
    struct key key;
    bool shared, headers;
    uint32_t wait_ms;
    struct usher_text name, policy;
    struct usher_text scope;         /* of its keys in Redis: what other settings do not share */
    _Atomic uint64_t *away_until_ms; /* Redis is not asked before */
};

/* Of one exchange, when the limit is shared or said. */
struct request {
    uint64_t hash;
    struct ruling ruling;
    struct usher_answer answer;
    struct usher_text key; /* in Redis */
    bool asking;
    uint64_t late_ms; /* when it has waited long enough */
};

/* --- compile --- */

static bool is_plain(struct usher_text text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '.' || c == '_' || c == '-'))
            return false;
    }
    return true;
}

static struct usher_text kept(struct usher_compile *c, const char *text)
{
    size_t len = strlen(text);

    return (struct usher_text){ memcpy(usher_keep(c, len + 1), text, len), len };
}

static bool compile_limit(struct usher_compile *c, const struct usher_given *given,
                          struct rate_limit *r)
{
    uint64_t count, period_ns, burst, span_s;
    char policy[120], scope[400];

    if (!rate_limit_read(given[RATE].values[0].text, &count, &period_ns))
        return usher_refuse(c, RATE, 0,
                            "requests in a time, such as 100/s, 100/m, 100/h or 100/d, at most "
                            "1000000 a second");
    burst = given[BURST].count > 0 ? (uint64_t)given[BURST].values[0].number
            : count < BURST_MOST   ? count
                                   : BURST_MOST;
    if (!rate_limit_set(&r->limit, count, period_ns, burst))
        return usher_refuse(c, BURST, 0, "a burst that comes back within 7 days at this rate");
    span_s = (r->limit.burst * r->limit.interval_ns + NS_A_SECOND - 1) / NS_A_SECOND;
    snprintf(policy, sizeof(policy), "\"%.*s\";q=%llu;w=%llu", (int)r->name.len, r->name.ptr,
             (unsigned long long)(span_s * NS_A_SECOND / r->limit.interval_ns),
             (unsigned long long)span_s);
    r->policy = kept(c, policy);
    r->limit.stale_ms = r->wait_ms + STALE_MS;
    snprintf(scope, sizeof(scope), "%.*s %llu %u %.*s", (int)r->name.len, r->name.ptr,
             (unsigned long long)r->limit.interval_ns, (unsigned)r->limit.burst,
             (int)given[KEY].values[0].text.len, given[KEY].values[0].text.ptr);
    r->scope = kept(c, scope);
    return true;
}

static bool compile(struct usher_compile *c, const struct usher_given *given, void **compiled)
{
    struct rate_limit *r = usher_keep(c, sizeof(*r));

    r->away_until_ms = usher_keep(c, sizeof(*r->away_until_ms));
    r->shared = given[SHARED].values[0].number;
    r->headers = given[HEADERS].values[0].number;
    r->wait_ms = (uint32_t)given[WAIT].values[0].number;
    r->name = given[NAME].values[0].text;
    if (!is_plain(r->name))
        return usher_refuse(c, NAME, 0, "letters, digits, . _ and -");
    if (given[KEY].values[0].text.len > 256 ||
        !rate_limit_read_key(given[KEY].values[0].text, &r->key))
        return usher_refuse(c, KEY, 0,
                            "address, header:NAME, cookie:NAME, claim:HEADER, path or host, or up "
                            "to 4 of these with commas between");
    if (r->shared && usher_compile_tenant(c).ptr == NULL)
        return usher_refuse(c, SHARED, 0,
                            "off here: without a tenant there are no keys to count with");
    if (!compile_limit(c, given, r))
        return false;
    r->table = rate_limit_table_new(&r->limit, (uint64_t)given[KEYS].values[0].number);
    if (r->table == NULL)
        return usher_refuse(c, KEYS, 0, "fewer: there is not so much memory");
    *compiled = r;
    return true;
}

static void drop(void *compiled)
{
    struct rate_limit *r = compiled;

    rate_limit_table_free(r->table);
}

/* --- the ruling --- */

static void put_number(char *to, size_t size, struct usher_text *text, uint64_t number)
{
    snprintf(to, size, "%llu", (unsigned long long)number);
    *text = usher_text(to);
}

static enum usher_result refuse(struct usher_exchange *x, const struct ruling *ruling)
{
    struct usher_text seconds;
    char text[24];

    usher_count(x, REFUSED, 1);
    put_number(text, sizeof(text), &seconds, (ruling->retry_in_ms + 999) / 1000);
    if (usher_reply(x, 429, usher_text("text/plain; charset=utf-8"),
                    usher_text("Too many requests. Please come back later.\n")) != USHER_ANSWERED ||
        !usher_header_set(x, USHER_RESPONSE, usher_text("Retry-After"), seconds))
        return USHER_FAULT;
    return USHER_ANSWERED;
}

static enum usher_result settle(struct usher_exchange *x, const struct ruling *ruling)
{
    if (ruling->verdict == LIMIT_REFUSE)
        return refuse(x, ruling);
    usher_count(x, ALLOWED, 1);
    return USHER_GO_ON;
}

/* Redis is away: this edge's own limit holds, so that nothing is open, and nobody is shut out. */
static enum usher_result settle_alone(struct usher_exchange *x, const struct rate_limit *r,
                                      struct request *q)
{
    usher_count(x, AWAY, 1);
    if (q->ruling.verdict == LIMIT_ASK && q->ruling.passed)
        q->ruling.verdict = LIMIT_PASS;
    else
        rate_limit_take(r->table, q->hash, usher_now_ms(x), 0, true, &q->ruling);
    return settle(x, &q->ruling);
}

/* --- what is shared --- */

static enum usher_result go_on(struct usher_exchange *x, const struct rate_limit *r,
                               struct request *q);

/* Keys and names may be secrets: Redis sees a digest of them. NULL: no memory. */
static bool name_counter(struct usher_exchange *x, const struct rate_limit *r, struct request *q)
{
    char room[KEY_ROOM], *text = usher_alloc(x, 64 + HASH_HEX), *all;
    struct usher_text key = rate_limit_key(x, &r->key, room);
    uint8_t digest[64];
    size_t len;

    all = key.ptr != NULL && text != NULL ? usher_alloc(x, r->scope.len + 1 + key.len) : NULL;
    if (all == NULL)
        return false;
    memcpy(all, r->scope.ptr, r->scope.len + 1);
    memcpy(all + r->scope.len + 1, key.ptr, key.len);
    if (usher_digest(x->host, USHER_SHA256, (struct usher_text){ all, r->scope.len + 1 + key.len },
                     digest) == 0)
        return false;
    len = (size_t)snprintf(text, 64, "rate_limit:%.*s:", (int)r->name.len, r->name.ptr);
    for (int i = 0; i < HASH_HEX / 2; i++)
        len += (size_t)snprintf(text + len, 3, "%02x", digest[i]);
    q->key = (struct usher_text){ text, len };
    return true;
}

static enum usher_result on_failed(struct usher_exchange *x, const struct rate_limit *r,
                                   struct request *q)
{
    q->asking = false;
    rate_limit_failed(r->table, q->hash);
    atomic_store_explicit(r->away_until_ms, usher_now_ms(x) + AWAY_MS, memory_order_relaxed);
    return settle_alone(x, r, q);
}

/* Of what is asked for now, or of what was answered in time: then something else is waited for. */
static enum usher_result on_late(struct usher_exchange *x, const void *compiled, void *arg)
{
    struct request *q = arg;

    if (!q->asking || usher_now_ms(x) + LATE_SLACK_MS < q->late_ms)
        return USHER_WAIT;
    return on_failed(x, compiled, q);
}

static enum usher_result on_answer(struct usher_exchange *x, const void *compiled, void *arg)
{
    const struct rate_limit *r = compiled;
    struct request *q = arg;

    if (q->answer.state == USHER_ANSWER_WRONG)
        usher_log(x, USHER_LOG_WARN, "Redis refuses to count for a shared limit");
    if (q->answer.state != USHER_ANSWER_GOOD || q->answer.number < 0)
        return on_failed(x, r, q);
    q->asking = false;
    rate_limit_answered(r->table, q->hash, usher_now_ms(x), usher_clock_ms(x),
                        (uint64_t)q->answer.number, &q->ruling);
    return go_on(x, r, q);
}

static enum usher_result ask(struct usher_exchange *x, const struct rate_limit *r,
                             struct request *q)
{
    struct usher_question question = { .kind = USHER_ASK_INCRBY,
                                       .amount = q->ruling.amount,
                                       .ttl_ms = 2 * r->limit.window_ms + 10000 };
    char key[160];

    q->asking = true;
    q->late_ms = usher_now_ms(x) + r->wait_ms;
    if (q->key.ptr == NULL && !name_counter(x, r, q))
        return on_failed(x, r, q);
    snprintf(key, sizeof(key), "%.*s:%llu", (int)q->key.len, q->key.ptr,
             (unsigned long long)q->ruling.window);
    question.key = usher_text(key);
    usher_count(x, ASKED, 1);
    if (!usher_ask(x, &question, &q->answer, on_answer, q) ||
        !usher_timer(x, r->wait_ms, on_late, q))
        return on_failed(x, r, q);
    return USHER_WAIT;
}

static enum usher_result on_look(struct usher_exchange *x, const void *compiled, void *arg)
{
    const struct rate_limit *r = compiled;
    struct request *q = arg;

    if (usher_now_ms(x) >= q->late_ms)
        return settle_alone(x, r, q);
    rate_limit_take(r->table, q->hash, usher_now_ms(x), usher_clock_ms(x), true, &q->ruling);
    return go_on(x, r, q);
}

static enum usher_result look_soon(struct usher_exchange *x, const struct rate_limit *r,
                                   struct request *q)
{
    if (q->late_ms == 0)
        q->late_ms = usher_now_ms(x) + r->wait_ms;
    return usher_timer(x, LOOK_MS, on_look, q) ? USHER_WAIT : settle_alone(x, r, q);
}

static enum usher_result go_on(struct usher_exchange *x, const struct rate_limit *r,
                               struct request *q)
{
    if (q->ruling.evicted)
        usher_count(x, EVICTED, 1);
    switch (q->ruling.verdict) {
    case LIMIT_ASK:
        return ask(x, r, q);
    case LIMIT_LOOK:
        return look_soon(x, r, q);
    case LIMIT_PASS:
    case LIMIT_REFUSE:
        break;
    }
    return settle(x, &q->ruling);
}

/* --- hooks --- */

static enum usher_result on_request(struct usher_exchange *x, const void *compiled)
{
    const struct rate_limit *r = compiled;
    struct request *q = usher_alloc(x, sizeof(*q));
    char room[KEY_ROOM];
    struct usher_text key = rate_limit_key(x, &r->key, room);
    uint64_t now_ms = usher_now_ms(x);

    if (q == NULL || key.ptr == NULL)
        return USHER_FAULT;
    *usher_state(x) = q;
    q->hash = rate_limit_hash(r->table, key);
    if (r->shared && now_ms >= atomic_load_explicit(r->away_until_ms, memory_order_relaxed)) {
        rate_limit_take(r->table, q->hash, now_ms, usher_clock_ms(x), false, &q->ruling);
        return go_on(x, r, q);
    }
    if (r->shared)
        return settle_alone(x, r, q);
    rate_limit_take(r->table, q->hash, now_ms, 0, false, &q->ruling);
    return go_on(x, r, q);
}

/* draft-ietf-httpapi-ratelimit-headers-10 */
static enum usher_result on_response(struct usher_exchange *x, const void *compiled)
{
    const struct rate_limit *r = compiled;
    const struct request *q = *usher_state(x);
    char now[120];

    if (!r->headers || q == NULL)
        return USHER_GO_ON;
    snprintf(now, sizeof(now), "\"%.*s\";r=%llu;t=%llu", (int)r->name.len, r->name.ptr,
             (unsigned long long)q->ruling.remaining,
             (unsigned long long)((q->ruling.full_in_ms + 999) / 1000));
    if (!usher_header_set(x, USHER_RESPONSE, usher_text("RateLimit-Policy"), r->policy) ||
        !usher_header_set(x, USHER_RESPONSE, usher_text("RateLimit"), usher_text(now)))
        return USHER_FAULT;
    return USHER_GO_ON;
}

/* Its client went away while it asked: another request asks in its place. */
static void on_done(struct usher_exchange *x, const void *compiled)
{
    const struct rate_limit *r = compiled;
    const struct request *q = *usher_state(x);

    if (q != NULL && q->asking)
        rate_limit_failed(r->table, q->hash);
}

USHER_MODULE(rate_limit) = {
    USHER_MODULE_ABI,
    .name = "rate_limit",
    .version = "1.0",
    .summary = "so many requests in a time, for each address, header, cookie, claim, path or host",
    USHER_SETTINGS(settings),
    USHER_METRICS(metrics),
    .compile = compile,
    .drop = drop,
    .on_request = on_request,
    .on_response = on_response,
    .on_done = on_done,
};
