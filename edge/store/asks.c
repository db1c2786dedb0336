/* asks.c -- modules' questions to Redis: one round trip each, pipelined on a link of their own, so that
 * no answer of theirs stands before what the mirror reads.
 *
 * Redis is told how long an answer may be (a script looks before it gives), so that nothing larger
 * comes in at all. A question that is late is answered without Redis; what comes of it is thrown away.
 *
 * Owns:    the link, which the first question opens; each ask until it is answered.
 * Thread:  control
 * Used by: store.c.
 * Not here: which keys may be asked for (proxy/module_ask.c). */
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

struct flight {
    struct list open_node; /* alone: it was answered */
    struct list sent_node; /* alone: not sent yet */
    struct store *store;
    struct ask *ask; /* NULL: it was answered */
    uint64_t due_ms;
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

static void arm(struct store *s)
{
    struct asks *q = &s->asks;
    uint64_t now = loop_now_ms(s->loop), due;

    if (list_is_empty(&q->open)) {
        timer_stop(&q->limit);
        return;
    }
    due = LIST_ITEM(q->open.next, struct flight, open_node)->due_ms;
    if (!timer_is_set(&q->limit))
        timer_set(s->loop, &q->limit, due > now ? due - now : 1);
}

static void free_flight(struct flight *f)
{
    struct asks *q = &f->store->asks;

    CHECK(f->ask == NULL);
    list_remove(&f->open_node);
    list_remove(&f->sent_node);
    q->count--;
    q->bytes -= f->bytes;
    free(f);
}

static void count(struct store *s, const struct ask *ask)
{
    s->status.asks_away += ask->state == USHER_ANSWER_AWAY;
    s->status.asks_wrong += ask->state == USHER_ANSWER_WRONG;
}

/* With what the ask has been given. */
static void answer(struct flight *f)
{
    struct store *s = f->store;
    struct ask *ask = f->ask;

    f->ask = NULL;
    list_remove(&f->open_node);
    count(s, ask);
    s->events.on_asked(s->events.owner, ask);
}

static void answer_away(struct flight *f)
{
    if (f->ask == NULL)
        return;
    ask_give_away(f->ask);
    answer(f);
}

static void on_limit(struct timer *t)
{
    struct store *s = LIST_ITEM(t, struct store, asks.limit);
    uint64_t now = loop_now_ms(s->loop);

    while (!list_is_empty(&s->asks.open)) {
        struct flight *f = LIST_ITEM(s->asks.open.next, struct flight, open_node);
        bool was_sent = !list_is_empty(&f->sent_node);

        if (f->due_ms > now)
            break;
        answer_away(f);
        if (!was_sent)
            free_flight(f);
    }
    arm(s);
}

/* Whatever is under way comes to nothing. */
static void answer_all_away(struct store *s)
{
    struct list *node;

    while ((node = list_take_first(&s->asks.open)) != NULL) {
        struct flight *f = LIST_ITEM(node, struct flight, open_node);

        answer_away(f);
        if (list_is_empty(&f->sent_node))
            free_flight(f);
    }
    while ((node = list_take_first(&s->asks.sent)) != NULL)
        free_flight(LIST_ITEM(node, struct flight, sent_node));
    timer_stop(&s->asks.limit);
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

static void give_error(struct flight *f, const char *error)
{
    static const char large[] = "it is longer than " ANSWER_BYTES " bytes";
    bool passing = is_passing(error);

    if (passing || str_starts_with(str_from(error), STR("NOPERM")))
        log_refusal(f->store, str_from(error));
    if (passing)
        ask_give_away(f->ask);
    else if (str_starts_with(str_from(error), STR(TOO_LARGE)))
        ask_give_wrong(f->ask, str_from(large));
    else
        ask_give_wrong(f->ask, str_from(error));
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

static void give(struct flight *f, const redisReply *r)
{
    struct usher_text values[ASK_ARGS_MAX];
    struct ask *ask = f->ask;
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
        redis_link_fail(s->asks.link, error);
}

/* In place of EXECABORT what made it so. */
static const char *error_of(const struct flight *f, const redisReply *r)
{
    return f->refused[0] != '\0' ? f->refused : first_error(r)->str;
}

static void on_reply(redisAsyncContext *redis, void *reply, void *owner)
{
    struct flight *f = owner;
    const redisReply *r = reply;
    char error[SENTENCE_MOST] = "";
    struct store *s;

    if (r == NULL || redis->data == NULL)
        return; /* the link is lost: its flights are gone, or will be */
    s = f->store;
    if (first_error(r) != NULL)
        snprintf(error, sizeof(error), "%s", error_of(f, r));
    else
        s->asks.refusal_logged = false; /* the next refusal is another one */
    if (f->ask != NULL) {
        if (error[0] != '\0')
            give_error(f, error);
        else
            give(f, r);
        answer(f);
    }
    free_flight(f);
    leave_if_refused(s, error);
    arm(s);
}

static void on_queued(redisAsyncContext *redis, void *reply, void *owner)
{
    struct flight *f = owner;
    const redisReply *r = reply;

    if (r != NULL && redis->data != NULL && r->type == REDIS_REPLY_ERROR && f->refused[0] == '\0')
        snprintf(f->refused, sizeof(f->refused), "%s", r->str);
}

/* --- sending --- */

static void send_script(struct redis_link *l, struct flight *f, const struct ask *a)
{
    struct str words[5 + ASK_ARGS_MAX] = {
        STR("EVAL"),
        a->kind == USHER_ASK_GET ? str_slice(get_script, sizeof(get_script) - 1)
                                 : str_slice(fields_script, sizeof(fields_script) - 1),
        STR("1"), a->key, STR(ANSWER_BYTES)
    };

    for (uint32_t i = 0; i < a->arg_count; i++)
        words[5 + i] = a->args[i];
    redis_link_send_for(l, on_reply, f, 5 + a->arg_count, words);
}

/* Not by a script: Lua's numbers are not as exact. The key that is new is there, with its end, before
 * it is added to. If the link is lost at one of these, the next ones are not looked at. */
static void send_increment(struct redis_link *l, struct flight *f, const struct ask *a)
{
    char by[24], ttl[24];
    struct str set[] = { STR("SET"), a->key, STR("0"), STR("PX"), { 0 }, STR("NX") };
    struct str add[] = { STR("INCRBY"), a->key, { 0 } };

    snprintf(by, sizeof(by), "%lld", (long long)a->amount);
    snprintf(ttl, sizeof(ttl), "%u", a->ttl_ms);
    set[4] = str_from(ttl);
    add[2] = str_from(by);
    redis_link_send_for(l, NULL, NULL, 1, (struct str[]){ STR("MULTI") });
    redis_link_send_for(l, on_queued, f, 6, set);
    redis_link_send_for(l, on_queued, f, 3, add);
    redis_link_send_for(l, on_reply, f, 1, (struct str[]){ STR("EXEC") });
}

static void send_flight(struct flight *f)
{
    struct asks *q = &f->store->asks;
    const struct ask *a = f->ask;

    list_append(&q->sent, &f->sent_node);
    if (a->kind == USHER_ASK_INCRBY)
        send_increment(q->link, f, a);
    else if (a->kind == USHER_ASK_SISMEMBER)
        redis_link_send_for(q->link, on_reply, f, 3,
                            (struct str[]){ STR("SISMEMBER"), a->key, a->args[0] });
    else
        send_script(q->link, f, a);
}

/* --- the link --- */

static void on_up(void *owner)
{
    struct store *s = owner;

    s->asks.tried = true;
    LIST_EACH (node, after, &s->asks.open) {
        send_flight(LIST_ITEM(node, struct flight, open_node));
        if (!redis_link_is_up(s->asks.link))
            return; /* and no flight is left */
    }
}

static void on_down(void *owner, const char *reason)
{
    struct store *s = owner;

    (void)reason;
    s->asks.tried = true;
    answer_all_away(s);
}

static void on_push(void *owner, const redisReply *push)
{
    (void)owner;
    (void)push;
}

static void on_read(void *owner)
{
    (void)owner;
}

static void open_link(struct store *s)
{
    struct redis_link_options o = { .loop = s->loop,
                                    .url = &s->settings->redis,
                                    .topology = s->topology,
                                    .guard = s->guard,
                                    .use = LINK_MODULES,
                                    .client_name = s->client_name,
                                    .prefix = s->prefix };
    struct redis_link_events events = { s, on_up, on_down, on_down, on_push, on_read };

    s->asks.link = redis_link_open(&o, &events);
    topology_use(s->topology, LINK_MODULES, s->asks.link);
}

/* --- what others call --- */

void asks_init(struct store *s)
{
    list_init(&s->asks.open);
    list_init(&s->asks.sent);
    timer_init(&s->asks.limit, on_limit);
}

static size_t bytes_of(const struct ask *a)
{
    size_t bytes = sizeof(struct flight) + a->key.len;

    for (uint32_t i = 0; i < a->arg_count; i++)
        bytes += a->args[i].len;
    return bytes;
}

static bool may_ask(const struct store *s, size_t bytes)
{
    const struct asks *q = &s->asks;

    return !s->closing && (!q->tried || redis_link_is_up(q->link)) && q->count < ASKS_MOST &&
           q->bytes + bytes <= BYTES_MOST;
}

void asks_ask(struct store *s, struct ask *ask)
{
    struct asks *q = &s->asks;
    size_t bytes = bytes_of(ask);
    struct flight *f;

    s->status.asks++;
    if (!may_ask(s, bytes)) {
        ask_give_away(ask);
        count(s, ask);
        s->events.on_asked(s->events.owner, ask);
        return;
    }
    if (q->link == NULL)
        open_link(s);
    f = check_alloc(sizeof(*f));
    f->store = s;
    f->ask = ask;
    f->bytes = bytes;
    f->due_ms = loop_now_ms(s->loop) + s->settings->lookup_timeout_ms;
    list_init(&f->sent_node);
    list_append(&q->open, &f->open_node);
    q->count++;
    q->bytes += bytes;
    arm(s);
    if (redis_link_is_up(q->link))
        send_flight(f);
}

void asks_try_now(struct store *s)
{
    if (s->asks.link != NULL)
        redis_link_try_now(s->asks.link);
}

void asks_close(struct store *s)
{
    if (s->asks.link != NULL)
        redis_link_close(s->asks.link);
    answer_all_away(s);
}

void asks_free(struct store *s)
{
    if (s->asks.link != NULL)
        redis_link_free(s->asks.link);
}
