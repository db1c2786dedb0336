/* asks.c -- modules' questions to Redis: one round trip each, pipelined on a link of their own, so that
 * no answer of theirs stands before what the mirror reads.
 *
 * Redis is told how long an answer may be (a script looks before it gives), so that nothing larger
 * comes in at all.
 *
 * Owns:    each ask until it is answered.
 * Thread:  control
 * Used by: store.c.
 * Not here: the link, and what is late (flights.c); which keys may be asked for (proxy/module_ask.c). */
#include "store/asks.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/log.h"
#include "store/state.h"

#define ASKS_MOST 32768 /* sent or waiting, late ones included */
#define BYTES_MOST (32u << 20)
#define ANSWER_BYTES "65536"
#define SENTENCE_MOST 256
#define TOO_LARGE "TOOLARGE"

_Static_assert(ASK_ANSWER_BYTES_MAX == 65536, "ANSWER_BYTES says the same");

struct question {
    struct flight flight; /* first */
    struct ask *ask;      /* while the flight is open */
    size_t bytes;
    char refused[SENTENCE_MOST]; /* a command before EXEC was; "": none */
};

static const char get_script[] =
    "local n = redis.pcall('STRLEN', KEYS[1])\n"
    "if type(n) == 'table' then return n end\n"
    "if n > tonumber(ARGV[1]) then return redis.error_reply('" TOO_LARGE " value') end\n"
    "return redis.pcall('GET', KEYS[1])\n";

static const char fields_script[] =
    "local left, values = tonumber(ARGV[1]), {}\n"
    "for i = 2, #ARGV do\n"
    "  local n = redis.pcall('HSTRLEN', KEYS[1], ARGV[i])\n"
    "  if type(n) == 'table' then return n end\n"
    "  left = left - n\n"
    "  if left < 0 then return redis.error_reply('" TOO_LARGE " value') end\n"
    "  values[i - 1] = redis.pcall('HGET', KEYS[1], ARGV[i])\n"
    "end\n"
    "return values\n";

/* --- answering --- */

static void count(struct store *s, const struct ask *ask)
{
    s->status.asks_away += ask->state == USHER_ANSWER_AWAY;
    s->status.asks_wrong += ask->state == USHER_ANSWER_WRONG;
}

/* With what the ask has been given. */
static void answer(struct store *s, struct ask *ask)
{
    count(s, ask);
    s->events.on_asked(s->events.owner, ask);
}

static void answer_away(struct store *s, struct ask *ask)
{
    ask_give_away(ask);
    answer(s, ask);
}

static void on_away(struct flight *f)
{
    answer_away(f->flights->store, ((struct question *)f)->ask);
}

static void on_free(struct flight *f)
{
    struct question *q = (struct question *)f;

    f->flights->store->asks.bytes -= q->bytes;
    free(q);
}

/* --- what Redis says --- */

/* Errors that are not about the question: another time it may well be answered. */
static bool is_passing(const char *error)
{
    static const char *const passing[] = { "OOM",     "BUSY",       "NOREPLICAS", "EXECABORT",
                                           "MISCONF", "UNKILLABLE", "NOAUTH" };

    for (size_t i = 0; i < sizeof(passing) / sizeof(passing[0]); i++)
        if (str_starts_with(str_from(error), str_from(passing[i])))
            return true;
    return redis_refusal_of(error) != REFUSAL_NONE;
}

/* What people must mend at Redis: said once, until something is answered again. */
static void log_refusal(struct store *s, struct str error)
{
    char text[200];

    if (s->asks.refusal_logged)
        return;
    s->asks.refusal_logged = true;
    log_line(LOG_WARN, "ask_refused", "reason=%s", log_quote(error, text, sizeof(text)));
}

static void give_error(struct store *s, struct ask *ask, const char *error)
{
    static const char large[] = "it is longer than " ANSWER_BYTES " bytes";
    bool passing = is_passing(error);

    if (passing || str_starts_with(str_from(error), STR("NOPERM")))
        log_refusal(s, str_from(error));
    if (passing)
        ask_give_away(ask);
    else if (str_starts_with(str_from(error), STR(TOO_LARGE)))
        ask_give_wrong(ask, str_from(large));
    else
        ask_give_wrong(ask, str_from(error));
}

static struct usher_text text_of(const redisReply *r)
{
    bool is_text = r->type == REDIS_REPLY_STRING || r->type == REDIS_REPLY_STATUS;

    return is_text ? (struct usher_text){ r->str, r->len } : (struct usher_text){ NULL, 0 };
}

static const redisReply *first_error(const redisReply *r)
{
    if (r->type == REDIS_REPLY_ERROR)
        return r;
    for (size_t i = 0; r->type == REDIS_REPLY_ARRAY && i < r->elements; i++)
        if (r->element[i]->type == REDIS_REPLY_ERROR)
            return r->element[i];
    return NULL;
}

static void give(struct ask *ask, const redisReply *r)
{
    struct usher_text values[ASK_ARGS_MAX];
    uint32_t expected = ask_value_count(ask);
    const redisReply *number = r;

    if (r->type == REDIS_REPLY_ARRAY && ask->kind == USHER_ASK_INCRBY && r->elements == 2)
        number = r->element[1];
    if (ask->kind == USHER_ASK_SISMEMBER || ask->kind == USHER_ASK_INCRBY) {
        if (number->type != REDIS_REPLY_INTEGER)
            ask_give_away(ask);
        else
            ask_give_number(ask, number->integer);
        return;
    }
    for (uint32_t i = 0; i < expected; i++) {
        const redisReply *one = r;

        if (r->type == REDIS_REPLY_ARRAY)
            one = i < r->elements ? r->element[i] : NULL;
        values[i] = one != NULL ? text_of(one) : (struct usher_text){ NULL, 0 };
    }
    ask_give(ask, values, expected);
}

/* Errors that say "not here" end the link. A replica by a plain URL takes no writes, and there is no
 * better place to go to. */
static void leave_if_refused(struct store *s, const char *error)
{
    enum redis_refusal refusal = redis_refusal_of(error);

    if (refusal != REFUSAL_NONE &&
        (refusal != REFUSAL_READONLY || s->settings->redis.sentinel_count > 0))
        redis_link_fail(s->asks.flights.link, error);
}

/* In place of EXECABORT what made it so. */
static const char *error_of(const struct question *q, const redisReply *r)
{
    return q->refused[0] != '\0' ? q->refused : first_error(r)->str;
}

static void on_reply(redisAsyncContext *redis, void *reply, void *owner)
{
    struct question *q = (struct question *)flight_of_reply(redis, reply, owner);
    const redisReply *r = reply;
    char error[SENTENCE_MOST] = "";
    struct store *s;

    if (q == NULL)
        return;
    s = q->flight.flights->store;
    if (first_error(r) != NULL)
        snprintf(error, sizeof(error), "%s", error_of(q, r));
    else
        s->asks.refusal_logged = false; /* the next refusal is another one */
    if (flight_is_open(&q->flight)) {
        flight_close(&q->flight);
        if (error[0] != '\0')
            give_error(s, q->ask, error);
        else
            give(q->ask, r);
        answer(s, q->ask);
    }
    flight_end(&q->flight);
    leave_if_refused(s, error);
}

static void on_queued(redisAsyncContext *redis, void *reply, void *owner)
{
    struct question *q = (struct question *)flight_of_reply(redis, reply, owner);
    const redisReply *r = reply;

    if (q != NULL && r->type == REDIS_REPLY_ERROR && q->refused[0] == '\0')
        snprintf(q->refused, sizeof(q->refused), "%s", r->str);
}

/* --- sending --- */

static void send_script(struct redis_link *l, struct question *q, const struct ask *a)
{
    struct str words[5 + ASK_ARGS_MAX] = {
        STR("EVAL"),
        a->kind == USHER_ASK_GET ? str_slice(get_script, sizeof(get_script) - 1)
                                 : str_slice(fields_script, sizeof(fields_script) - 1),
        STR("1"), a->key, STR(ANSWER_BYTES)
    };

    for (uint32_t i = 0; i < a->arg_count; i++)
        words[5 + i] = a->args[i];
    redis_link_send_for(l, on_reply, q, 5 + a->arg_count, words);
}

/* Not by a script: Lua's numbers are not as exact. The key that is new is there, with its end, before
 * it is added to. If the link is lost at one of these, the next ones are not looked at. */
static void send_increment(struct redis_link *l, struct question *q, const struct ask *a)
{
    char by[24], ttl[24];
    struct str set[] = { STR("SET"), a->key, STR("0"), STR("PX"), { 0 }, STR("NX") };
    struct str add[] = { STR("INCRBY"), a->key, { 0 } };

    snprintf(by, sizeof(by), "%lld", (long long)a->amount);
    snprintf(ttl, sizeof(ttl), "%u", a->ttl_ms);
    set[4] = str_from(ttl);
    add[2] = str_from(by);
    redis_link_send_for(l, NULL, NULL, 1, (struct str[]){ STR("MULTI") });
    redis_link_send_for(l, on_queued, q, 6, set);
    redis_link_send_for(l, on_queued, q, 3, add);
    redis_link_send_for(l, on_reply, q, 1, (struct str[]){ STR("EXEC") });
}

static void on_send(struct flight *f)
{
    struct question *q = (struct question *)f;
    struct redis_link *l = f->flights->link;
    const struct ask *a = q->ask;

    if (a->kind == USHER_ASK_INCRBY)
        send_increment(l, q, a);
    else if (a->kind == USHER_ASK_SISMEMBER)
        redis_link_send_for(l, on_reply, q, 3,
                            (struct str[]){ STR("SISMEMBER"), a->key, a->args[0] });
    else
        send_script(l, q, a);
}

/* --- what others call --- */

static const struct flight_events events = { .send = on_send, .away = on_away, .free = on_free };

void asks_init(struct store *s)
{
    flights_init(&s->asks.flights, s, LINK_MODULES, &events);
}

static size_t bytes_of(const struct ask *a)
{
    size_t bytes = a->key.len;

    for (uint32_t i = 0; i < a->arg_count; i++)
        bytes += a->args[i].len;
    return bytes;
}

void asks_ask(struct store *s, struct ask *ask)
{
    struct asks *a = &s->asks;
    size_t bytes = sizeof(struct question) + bytes_of(ask);
    struct question *q;

    s->status.asks++;
    if (!flights_are_taken(&a->flights) || a->flights.count >= ASKS_MOST ||
        a->bytes + bytes > BYTES_MOST) {
        answer_away(s, ask);
        return;
    }
    q = check_alloc(sizeof(*q));
    q->ask = ask;
    q->bytes = bytes;
    a->bytes += bytes;
    flights_add(&a->flights, &q->flight);
}
