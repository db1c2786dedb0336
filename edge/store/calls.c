/* calls.c -- calls to Redis: one command each, its answer taken out of arrays; and keys that edges share.
 *
 * Owns:    each call until it is answered.
 * Thread:  control
 * Used by: store.c; the rooms of control/ that share something with other edges.
 * Not here: the link, and what is late (flights.c); what is asked (control/). */
#include "store/calls.h"

#include <stdlib.h>

#include "base/check.h"
#include "store/state.h"

#define CALLS_MOST 4096 /* sent or waiting, late ones included */

/* Families that are told of, not compiled: what edges and operators say to each other. */
static const char *const shared_families[CALLS_FAMILIES] = { "health:", "ban:" };

struct store_call {
    struct flight flight; /* first */
    call_fn fn;           /* NULL: cancelled */
    void *owner;
    unsigned argc;
    struct str *words; /* of one allocation, with their text */
};

/* --- answering --- */

static void answer(struct store_call *c, const struct call_answer *a)
{
    if (c->fn != NULL)
        c->fn(c->owner, a);
}

static void on_away(struct flight *f)
{
    answer((struct store_call *)f, &(struct call_answer){ .away = true });
}

static void on_free(struct flight *f)
{
    struct store_call *c = (struct store_call *)f;

    free(c->words);
    free(c);
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
    struct store_call *c = (struct store_call *)flight_of_reply(redis, reply, owner);
    const redisReply *r = reply;
    struct redis_link *l;

    if (c == NULL)
        return;
    l = c->flight.flights->link;
    if (flight_is_open(&c->flight)) {
        flight_close(&c->flight);
        if (r->type != REDIS_REPLY_ERROR)
            give(c, r);
        else if (redis_refusal_of(r->str) != REFUSAL_NONE) /* not here, or not now */
            on_away(&c->flight);
        else
            answer(c, &(struct call_answer){ .error = r->str });
    }
    flight_end(&c->flight);
    if (r->type == REDIS_REPLY_ERROR)
        redis_link_refused(l, r);
}

static void on_send(struct flight *f)
{
    struct store_call *c = (struct store_call *)f;

    redis_link_send_for(f->flights->link, on_reply, c, c->argc, c->words);
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
    struct store_call *c;

    if (!flights_are_taken(&s->calls) || s->calls.count >= CALLS_MOST)
        return NULL;
    c = check_alloc(sizeof(*c));
    *c = (struct store_call){
        .fn = fn, .owner = owner, .argc = argc, .words = copy_words(argc, words)
    };
    flights_add(&s->calls, &c->flight);
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
    static const struct flight_events events = { .send = on_send,
                                                 .away = on_away,
                                                 .free = on_free };

    flights_init(&s->calls, s, LINK_CALLS, &events);
}
