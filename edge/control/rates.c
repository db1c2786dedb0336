/* rates.c -- asks Redis for the next tokens of a rate: one script on one key, one answer.
 *
 * The key is a hash: until when what was spent is paid for (microseconds by the clock of Redis, GCRA as in
 * base/token_bucket.h), and when each edge asked last, so that an edge that loses Redis knows among how many the
 * rate is shared.
 *
 * Owns:    questions under way.
 * Thread:  control
 * Used by: control.c.
 * Not here: spending (routing/rate_lease.c, proxy/limits.c). */
#include "control/rates.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "routing/endpoint_state.h"
#include "store/store.h"

#define ANSWER_VALUES 4
#define LOG_EVERY_MS 10000
#define HOST_KEY "host "

/* KEYS[1]; ARGV: the edge, microseconds of one request, of the burst, spent already, wanted.
 * Returns: given, left, microseconds until there is another one, edges. */
static const char script[] =
    "if redis.replicate_commands then redis.replicate_commands() end "
    "local key, edge, every, burst = KEYS[1], 'e:' .. ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]) "
    "local owed, wanted = tonumber(ARGV[4]), tonumber(ARGV[5]) "
    "local t = redis.call('TIME') "
    "local now = t[1] * 1000000 + t[2] "
    "local was = redis.call('HMGET', key, 'paid', 'every', 'edges', edge) "
    "local ahead = math.max((tonumber(was[1]) or 0) - now, 0) "
    "if was[2] and was[2] ~= ARGV[2] then " /* another rate: as many requests are owed, or a burst */
    "  ahead = math.min(ahead * every / tonumber(was[2]), burst) "
    "end "
    "ahead = math.min(ahead, burst + 5000000) + owed * every "
    "local room = math.max(math.floor((burst - ahead) / every + 0.001), 0) "
    "local given = math.min(wanted, room) "
    "ahead = ahead + given * every "
    "local edges = tonumber(was[3]) or 1 "
    "local says = { 'paid', string.format('%.0f', now + ahead), 'every', ARGV[2] } "
    "if now - (tonumber(was[4]) or 0) > 1000000 then "
    "  local all, gone = redis.call('HGETALL', key), {} "
    "  edges = 1 "
    "  for i = 1, #all, 2 do "
    "    if all[i]:sub(1, 2) == 'e:' and all[i] ~= edge then "
    "      if now - tonumber(all[i + 1]) > 10000000 then gone[#gone + 1] = all[i] "
    "      else edges = edges + 1 end "
    "    end "
    "  end "
    "  if #gone > 0 then redis.call('HDEL', key, unpack(gone)) end "
    "  for _, word in ipairs({ edge, string.format('%.0f', now), 'edges', edges }) do "
    "    says[#says + 1] = word "
    "  end "
    "end "
    "redis.call('HSET', key, unpack(says)) "
    "redis.call('PEXPIRE', key, math.ceil(ahead / 1000) + 15000) "
    "return { given, room - given, math.ceil(math.max(ahead + every - burst, 0)), edges }";

/* One under way. */
struct rate_call {
    struct rates *rates;
    struct tenant_state *state;
    uint32_t rps;
    struct lease_question question;
};

static void count_away(struct rates *r, struct rate_call *c, const char *error)
{
    uint64_t now_ms = clock_now_ms();
    char text[200];

    if (error != NULL)
        r->refused++;
    else
        r->away++;
    rate_lease_away(&c->state->lease, clock_now_ns());
    if (error == NULL || (r->logged_ms != 0 && now_ms - r->logged_ms < LOG_EVERY_MS))
        return;
    r->logged_ms = now_ms;
    log_line(LOG_WARN, "rate_refused", "tenant=%s reason=%s", c->state->state.key,
             log_quote(str_from(error), text, sizeof(text)));
}

static bool is_answer(const struct call_answer *a)
{
    if (a->away || a->error != NULL || a->count != ANSWER_VALUES)
        return false;
    for (size_t i = 0; i < ANSWER_VALUES; i++)
        if (a->values[i].kind != CALL_NUMBER)
            return false;
    return true;
}

static void on_answer(void *owner, const struct call_answer *a)
{
    struct rate_call *c = owner;
    struct lease_answer said;

    if (!is_answer(a)) {
        count_away(c->rates, c, a->error);
        free(c);
        return;
    }
    said = (struct lease_answer){ .given = a->values[0].number,
                                  .left = a->values[1].number,
                                  .wait_ns = (uint64_t)a->values[2].number * 1000,
                                  .edges = (uint32_t)a->values[3].number };
    rate_lease_answered(&c->state->lease, clock_now_ns(), c->rps, &c->question, &said);
    free(c);
}

/* usher:rate:acme, usher:rate:host:shop.example: no tenant has a ':' in its name. */
static void write_key(const struct rates *r, const struct tenant_state *t, struct buf *key)
{
    struct str name = str_slice(t->state.key, t->state.key_len);
    size_t skipped = sizeof(HOST_KEY) - 1;

    buf_add_str(key, store_prefix(r->store));
    buf_add_text(key, "rate:");
    if (str_starts_with(name, STR(HOST_KEY))) {
        buf_add_text(key, "host:");
        name = str_slice(name.ptr + skipped, name.len - skipped);
    }
    buf_add_str(key, name);
}

static bool call(struct rate_call *c, uint32_t burst)
{
    double every = 1e6 / c->rps;
    char numbers[4][32];
    struct buf key = { 0 };
    bool sent;

    write_key(c->rates, c->state, &key);
    snprintf(numbers[0], sizeof(numbers[0]), "%.3f", every);
    snprintf(numbers[1], sizeof(numbers[1]), "%.3f", every * burst);
    snprintf(numbers[2], sizeof(numbers[2]), "%lld", (long long)c->question.owed);
    snprintf(numbers[3], sizeof(numbers[3]), "%lld", (long long)c->question.wanted);
    struct str words[] = { STR("EVAL"),
                           { script, sizeof(script) - 1 },
                           STR("1"),
                           { key.ptr, key.len },
                           c->rates->edge,
                           str_from(numbers[0]),
                           str_from(numbers[1]),
                           str_from(numbers[2]),
                           str_from(numbers[3]) };

    sent =
        store_call(c->rates->store, sizeof(words) / sizeof(words[0]), words, on_answer, c) != NULL;
    buf_free(&key);
    return sent;
}

void rates_ask(struct rates *r, struct rate_mail *mail)
{
    struct rate_call *c = check_alloc(sizeof(*c));
    struct rate_lease *lease = &mail->state->lease;
    uint32_t burst = mail->burst;

    *c = (struct rate_call){ .rates = r, .state = mail->state, .rps = mail->rps };
    free(mail);
    if (r->store == NULL) { /* this edge ends */
        rate_lease_away(lease, clock_now_ns());
        free(c);
        return;
    }
    c->question = rate_lease_ask(lease, clock_now_ns(), c->rps);
    r->asked++;
    if (call(c, burst))
        return;
    count_away(r, c, NULL);
    free(c);
}
