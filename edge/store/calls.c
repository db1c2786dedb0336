/* calls.c -- calls to Redis: pipelined on a link of their own, each answered within --lookup-timeout, by
 * Redis or as "away".
 *
 * Owns:    the link, which the first call opens; each call until it is answered.
 * Thread:  control
 * Used by: store.c; the rooms of control/ that share something with other edges.
 * Not here: what is asked (control/); what modules ask (asks.c). */
#include "store/calls.h"

#include <stdlib.h>

#include "base/check.h"
#include "store/state.h"

#define CALLS_MOST 4096 /* sent or waiting, late ones included */

/* Families that are told of, not compiled: what edges and operators say to each other. */
static const char *const shared_families[CALLS_FAMILIES] = { "health:", "ban:" };

struct store_call {
    struct list open_node; /* alone: it was answered */
    struct list sent_node; /* alone: not sent yet */
    struct store *store;
    call_fn fn; /* NULL: cancelled or answered */
    void *owner;
    uint64_t due_ms;
    unsigned argc;
    struct str *words; /* of one allocation, with their text */
};

/* --- answering --- */

static void free_call(struct store_call *c)
{
    list_remove(&c->open_node);
    list_remove(&c->sent_node);
    c->store->calls.count--;
    free(c->words);
    free(c);
}

static void answer(struct store_call *c, const struct call_answer *a)
{
    call_fn fn = c->fn;

    c->fn = NULL;
    list_remove(&c->open_node);
    if (fn != NULL)
        fn(c->owner, a);
}

static void answer_away(struct store_call *c)
{
    answer(c, &(struct call_answer){ .away = true });
}

static void arm(struct store *s)
{
    struct calls *q = &s->calls;
    uint64_t now = loop_now_ms(s->loop), due;

    if (list_is_empty(&q->open)) {
        timer_stop(&q->limit);
        return;
    }
    due = LIST_ITEM(q->open.next, struct store_call, open_node)->due_ms;
    if (!timer_is_set(&q->limit))
        timer_set(s->loop, &q->limit, due > now ? due - now : 1);
}

static void on_limit(struct timer *t)
{
    struct store *s = LIST_ITEM(t, struct store, calls.limit);

    while (!list_is_empty(&s->calls.open)) {
        struct store_call *c = LIST_ITEM(s->calls.open.next, struct store_call, open_node);
        bool was_sent = !list_is_empty(&c->sent_node);

        if (c->due_ms > loop_now_ms(s->loop))
            break;
        answer_away(c);
        if (!was_sent)
            free_call(c);
    }
    arm(s);
}

/* Whatever is under way comes to nothing. */
static void answer_all_away(struct store *s)
{
    struct list *node;

    while ((node = list_take_first(&s->calls.open)) != NULL) {
        struct store_call *c = LIST_ITEM(node, struct store_call, open_node);

        answer_away(c);
        if (list_is_empty(&c->sent_node))
            free_call(c);
    }
    while ((node = list_take_first(&s->calls.sent)) != NULL)
        free_call(LIST_ITEM(node, struct store_call, sent_node));
    timer_stop(&s->calls.limit);
}

/* --- what Redis says --- */

static size_t count_values(const redisReply *r)
{
    size_t count = 0;

    if (r->type != REDIS_REPLY_ARRAY && r->type != REDIS_REPLY_MAP && r->type != REDIS_REPLY_SET)
        return 1;
    for (size_t i = 0; i < r->elements; i++)
        count += count_values(r->element[i]);
    return count;
}

/* What lies in arrays is taken out of them. */
static struct call_value *add_values(const redisReply *r, struct call_value *to)
{
    switch (r->type) {
    case REDIS_REPLY_ARRAY:
    case REDIS_REPLY_MAP:
    case REDIS_REPLY_SET:
        for (size_t i = 0; i < r->elements; i++)
            to = add_values(r->element[i], to);
        return to;
    case REDIS_REPLY_INTEGER:
        *to = (struct call_value){ .kind = CALL_NUMBER, .number = r->integer };
        break;
    case REDIS_REPLY_STRING:
    case REDIS_REPLY_STATUS:
        *to = (struct call_value){ .kind = CALL_TEXT, .text = str_slice(r->str, r->len) };
        break;
    default:
        *to = (struct call_value){ .kind = CALL_NULL };
    }
    return to + 1;
}

static void give(struct store_call *c, const redisReply *r)
{
    struct call_answer a = { .count = count_values(r) };
    struct call_value *values = check_alloc((a.count + 1) * sizeof(*values));

    add_values(r, values);
    a.values = values;
    answer(c, &a);
    free(values);
}

static void on_reply(redisAsyncContext *redis, void *reply, void *owner)
{
    struct store_call *c = owner;
    const redisReply *r = reply;
    struct store *s;

    if (r == NULL || redis->data == NULL)
        return; /* the link is lost: its calls are gone, or will be */
    s = c->store;
    if (r->type != REDIS_REPLY_ERROR)
        give(c, r);
    else if (redis_refusal_of(r->str) != REFUSAL_NONE)
        answer_away(c); /* not here, or not now */
    else
        answer(c, &(struct call_answer){ .error = r->str });
    free_call(c);
    if (r->type == REDIS_REPLY_ERROR)
        redis_link_refused(s->calls.link, r);
    arm(s);
}

static void send_call(struct store_call *c)
{
    list_append(&c->store->calls.sent, &c->sent_node);
    redis_link_send_for(c->store->calls.link, on_reply, c, c->argc, c->words);
}

/* --- the link --- */

static void on_up(void *owner)
{
    struct store *s = owner;

    s->calls.tried = true;
    LIST_EACH (node, after, &s->calls.open) {
        send_call(LIST_ITEM(node, struct store_call, open_node));
        if (!redis_link_is_up(s->calls.link))
            return; /* and no call is left */
    }
}

static void on_down(void *owner, const char *reason)
{
    struct store *s = owner;

    (void)reason;
    s->calls.tried = true;
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
                                    .use = LINK_CALLS,
                                    .client_name = s->client_name,
                                    .prefix = s->prefix };
    struct redis_link_events events = { s, on_up, on_down, on_down, on_push, on_read };

    s->calls.link = redis_link_open(&o, &events);
    topology_use(s->topology, LINK_CALLS, s->calls.link);
}

/* --- what others call --- */

/* The words, and behind them a copy of what they point to. */
static struct str *copy_words(unsigned argc, const struct str *words)
{
    size_t bytes = argc * sizeof(*words);
    struct str *copy;
    char *at;

    for (unsigned i = 0; i < argc; i++)
        bytes += words[i].len;
    copy = check_alloc(bytes + 1);
    at = (char *)(copy + argc);
    for (unsigned i = 0; i < argc; i++) {
        copy[i] = str_slice(at, words[i].len);
        if (words[i].len > 0)
            memcpy(at, words[i].ptr, words[i].len);
        at += words[i].len;
    }
    return copy;
}

struct store_call *store_call(struct store *s, unsigned argc, const struct str *words, call_fn fn,
                              void *owner)
{
    struct calls *q = &s->calls;
    struct store_call *c;

    if (s->closing || (q->tried && !redis_link_is_up(q->link)) || q->count >= CALLS_MOST)
        return NULL;
    if (q->link == NULL)
        open_link(s);
    c = check_alloc(sizeof(*c));
    *c = (struct store_call){ .store = s,
                              .fn = fn,
                              .owner = owner,
                              .due_ms = loop_now_ms(s->loop) + s->settings->lookup_timeout_ms,
                              .argc = argc,
                              .words = copy_words(argc, words) };
    list_init(&c->sent_node);
    list_append(&q->open, &c->open_node);
    q->count++;
    arm(s);
    if (redis_link_is_up(q->link))
        send_call(c);
    return c;
}

void store_call_cancel(struct store_call *c)
{
    c->fn = NULL; /* it is answered all the same, to nobody */
}

bool calls_pushed(struct store *s, struct str key)
{
    if (!str_starts_with(key, s->prefix))
        return false;
    key = str_slice(key.ptr + s->prefix.len, key.len - s->prefix.len);
    for (size_t i = 0; i < CALLS_FAMILIES; i++)
        if (str_starts_with(key, str_from(shared_families[i]))) {
            if (s->events.on_shared != NULL)
                s->events.on_shared(s->events.owner, key);
            return true;
        }
    return false;
}

void calls_all_changed(struct store *s)
{
    if (s->events.on_shared != NULL)
        s->events.on_shared(s->events.owner, STR(""));
}

void calls_add_prefix(struct buf *to, struct str prefix, unsigned family)
{
    buf_add_str(to, prefix);
    buf_add_text(to, shared_families[family]);
}

void calls_init(struct store *s)
{
    list_init(&s->calls.open);
    list_init(&s->calls.sent);
    timer_init(&s->calls.limit, on_limit);
}

void calls_try_now(struct store *s)
{
    if (s->calls.link != NULL)
        redis_link_try_now(s->calls.link);
}

void calls_close(struct store *s)
{
    if (s->calls.link != NULL)
        redis_link_close(s->calls.link);
    answer_all_away(s);
}

void calls_free(struct store *s)
{
    if (s->calls.link != NULL)
        redis_link_free(s->calls.link);
}
