/* health_verdict.c -- results counted, votes read, and who is believed.
 *
 * Owns:    nothing.
 * Thread:  control (pure: any would do).
 * Used by: health.c, health_share.c, cli/endpoints.c.
 * Not here: checking (health_check.c); what is written to Redis (health_script.c). */
#include "control/health_verdict.h"

#include <stdio.h>

#include "base/check.h"

#define FAST_LEAST_MS 100
#define KEEP_LEAST_MS 30000u
#define LEASE_LEAST_MS 3000u
#define LEASE_MOST_MS 60000u

/* --- one edge's own --- */

static void set(struct health_own *own, enum health_word word, uint64_t now_ms)
{
    own->word = word;
    own->run = 0;
    own->since_ms = now_ms;
    if (word == HEALTH_UP)
        own->failing_ms = 0;
}

bool health_own_result(struct health_own *own, const struct health_policy *p, bool good,
                       uint64_t now_ms)
{
    bool agrees = own->word == (good ? HEALTH_UP : HEALTH_DOWN);

    own->checked = true;
    if (!good && own->failing_ms == 0)
        own->failing_ms = now_ms;
    if (agrees) {
        own->run = 0;
        if (good)
            own->failing_ms = 0;
        return false;
    }
    own->run++;
    if (own->word != HEALTH_UNKNOWN && own->run < (good ? p->rise : p->fall))
        return false;
    set(own, good ? HEALTH_UP : HEALTH_DOWN, now_ms);
    return true;
}

uint32_t health_own_wait_ms(const struct health_own *own, const struct health_policy *p)
{
    uint32_t fast = p->fast_ms > 0 ? p->fast_ms : p->interval_ms / 4;

    if (own->run == 0)
        return p->interval_ms;
    if (fast < FAST_LEAST_MS)
        fast = FAST_LEAST_MS;
    return fast < p->interval_ms ? fast : p->interval_ms;
}

/* --- what is shared --- */

uint32_t health_keep_ms(const struct health_policy *p)
{
    return p->interval_ms * 6 > KEEP_LEAST_MS ? p->interval_ms * 6 : KEEP_LEAST_MS;
}

uint32_t health_lease_ms(const struct health_policy *p)
{
    uint32_t lease = p->interval_ms * 3;

    return lease < LEASE_LEAST_MS ? LEASE_LEAST_MS : lease > LEASE_MOST_MS ? LEASE_MOST_MS : lease;
}

/* "edge-a down 1795510576625 1795510600000 connection refused" */
static bool read_vote(struct str text, struct health_vote *vote)
{
    struct str edge, word, since, said;

    if (!str_word(&text, &edge) || !str_word(&text, &word) || !str_word(&text, &since) ||
        !str_word(&text, &said))
        return false;
    vote->down = str_equals(word, STR("down"));
    if ((!vote->down && !str_equals(word, STR("up"))) || edge.len >= sizeof(vote->edge) ||
        !str_to_u64(since, INT64_MAX, &vote->since_ms) ||
        !str_to_u64(said, INT64_MAX, &vote->said_ms))
        return false;
    str_printable(edge, vote->edge, sizeof(vote->edge));
    str_printable(str_trim(text), vote->reason, sizeof(vote->reason));
    return true;
}

void health_shared_read(struct str text, struct health_shared *to)
{
    struct str part;

    to->count = 0;
    if (text.len == 0 || !str_split(&text, '|', &part)) /* the word in front is for people */
        return;
    while (to->count < HEALTH_VOTES && str_split(&text, '|', &part))
        to->count += read_vote(str_trim(part), &to->votes[to->count]);
}

enum health_word health_shared_word(const struct health_shared *s, uint64_t redis_now_ms,
                                    uint32_t keep_ms)
{
    unsigned down = 0, up = 0;

    for (unsigned i = 0; i < s->count; i++) {
        if (redis_now_ms > s->votes[i].said_ms + keep_ms)
            continue;
        down += s->votes[i].down;
        up += !s->votes[i].down;
    }
    if (up > 0)
        return HEALTH_UP;
    return down >= HEALTH_VOTES ? HEALTH_DOWN : HEALTH_UNKNOWN;
}

void health_votes_json(const struct health_shared *s, struct buf *to)
{
    for (unsigned i = 0; i < s->count; i++) {
        const struct health_vote *vote = &s->votes[i];

        buf_printf(to, "%s{\"edge\":", i > 0 ? "," : "");
        buf_add_json(to, str_from(vote->edge));
        buf_printf(to, ",\"state\":\"%s\",\"since_ms\":%llu,\"said_ms\":%llu,\"reason\":",
                   vote->down ? "down" : "up", (unsigned long long)vote->since_ms,
                   (unsigned long long)vote->said_ms);
        buf_add_json(to, str_from(vote->reason));
        buf_add_text(to, "}");
    }
}

/* --- both --- */

bool health_refuses(const char *reason)
{
    return strncmp(reason, "status ", 7) == 0 || strncmp(reason, "body ", 5) == 0;
}

/* When one has been refused, that is what is said; else the one that noticed last. */
static const struct health_vote *weighty(const struct health_shared *s)
{
    const struct health_vote *best = &s->votes[0];

    for (unsigned i = 1; i < s->count; i++) {
        const struct health_vote *vote = &s->votes[i];
        bool refuses = health_refuses(vote->reason), before = health_refuses(best->reason);

        if (refuses != before ? refuses : vote->since_ms > best->since_ms)
            best = vote;
    }
    return best;
}

/* A moment of Redis's clock, on ours. */
static uint64_t here(uint64_t redis_ms, int64_t ahead_ms)
{
    return (int64_t)redis_ms > ahead_ms ? (uint64_t)((int64_t)redis_ms - ahead_ms) : 1;
}

struct health_standing health_stand_before(const struct health_shared *shared, const char *edge,
                                           uint64_t now_ms, int64_t ahead_ms, uint32_t keep_ms)
{
    for (unsigned i = 0; i < shared->count; i++) {
        const struct health_vote *vote = &shared->votes[i];

        if (strcmp(vote->edge, edge) == 0 && now_ms <= here(vote->said_ms, ahead_ms) + keep_ms)
            return (struct health_standing){ .word = vote->down ? HEALTH_DOWN : HEALTH_UP,
                                             .since_ms = here(vote->since_ms, ahead_ms),
                                             .reason = vote->reason };
    }
    return (struct health_standing){ .word = HEALTH_UNKNOWN, .reason = "" };
}

bool health_shared_say(const struct health_shared *s, uint64_t redis_now_ms, uint32_t keep_ms,
                       struct buf *to)
{
    const struct health_vote *first = NULL;
    bool up = false;

    for (unsigned i = 0; i < s->count; i++) {
        const struct health_vote *vote = &s->votes[i];

        if (redis_now_ms > vote->said_ms + keep_ms)
            continue;
        up |= !vote->down;
        if (first == NULL && vote->down)
            first = vote;
    }
    if (first != NULL && up)
        buf_printf(to, "up, though %s finds: %s", first->edge, first->reason);
    if (first == NULL || up)
        return false;
    first = weighty(s);
    buf_printf(to, "down: %s, for %llu s, says ", first->reason,
               (unsigned long long)(redis_now_ms > first->since_ms
                                        ? (redis_now_ms - first->since_ms) / 1000
                                        : 0));
    for (unsigned i = 0; i < s->count; i++)
        buf_printf(to, "%s%s", i > 0 ? "," : "", s->votes[i].edge);
    return true;
}

static struct health_standing stand_by_votes(const struct health_shared *s, int64_t ahead_ms)
{
    const struct health_vote *vote = weighty(s);
    uint64_t last = 0;

    for (unsigned i = 0; i < s->count; i++)
        if (s->votes[i].since_ms > last)
            last = s->votes[i].since_ms;
    return (struct health_standing){ .word = HEALTH_DOWN,
                                     .since_ms = here(last, ahead_ms),
                                     .reason = vote->reason,
                                     .shared = true };
}

struct health_standing health_stand(bool checks, const struct health_own *own, const char *reason,
                                    const struct health_shared *shared, uint64_t now_ms,
                                    int64_t ahead_ms, uint32_t keep_ms)
{
    uint64_t redis_now_ms = (uint64_t)((int64_t)now_ms + ahead_ms);
    enum health_word word;

    if (checks && own->word != HEALTH_UNKNOWN)
        return (struct health_standing){ .word = own->word,
                                         .since_ms = own->failing_ms,
                                         .reason = reason };
    word = shared != NULL ? health_shared_word(shared, redis_now_ms, keep_ms) : HEALTH_UNKNOWN;
    if (word == HEALTH_DOWN)
        return stand_by_votes(shared, ahead_ms);
    return (struct health_standing){ .word = word, .reason = "" };
}
