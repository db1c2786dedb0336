/* ask.c -- which questions may be asked, and answers as they travel.
 *
 * Owns:    nothing; an ask owns its values.
 * Thread:  any: whoever has the ask.
 * Used by: proxy/module_ask.c, store/asks.c, control.c.
 * Not here: Redis (store/asks.c). */
#include "module_host/ask.h"

#include <stdlib.h>

#include "base/check.h"

uint32_t ask_value_count(const struct ask *a)
{
    return a->kind == USHER_ASK_HMGET ? a->arg_count : 1;
}

static bool has_its_args(const struct usher_question *q)
{
    switch (q->kind) {
    case USHER_ASK_GET:
        return q->arg_count == 0;
    case USHER_ASK_HGET:
    case USHER_ASK_SISMEMBER:
        return q->arg_count == 1;
    case USHER_ASK_HMGET:
        return q->arg_count >= 1 && q->arg_count <= ASK_ARGS_MAX;
    case USHER_ASK_INCRBY:
        return q->arg_count == 0 && q->ttl_ms >= 1;
    default:
        return false;
    }
}

bool ask_is_right(const struct usher_question *q)
{
    size_t bytes = q->key.len;

    if (!has_its_args(q) || q->key.ptr == NULL || bytes > ASK_BYTES_MAX)
        return false;
    for (uint32_t i = 0; i < q->arg_count; i++) {
        if (q->args[i].len > ASK_BYTES_MAX || (q->args[i].ptr == NULL && q->args[i].len > 0))
            return false;
        bytes += q->args[i].len;
    }
    return bytes <= ASK_BYTES_MAX;
}

static char *put(char *to, struct str s)
{
    memcpy(to, s.ptr, s.len);
    return to + s.len;
}

size_t ask_key(struct str prefix, struct str tenant, struct str key, char *to)
{
    size_t family = prefix.len + 2, front = family + tenant.len + 1;
    bool begins = str_starts_with(key, prefix);
    char *at = to;

    if (begins && key.len > front && memcmp(key.ptr + prefix.len, "t:", 2) == 0 &&
        memcmp(key.ptr + family, tenant.ptr, tenant.len) == 0 && key.ptr[front - 1] == ':') {
        if (to != NULL)
            put(to, key);
        return key.len;
    }
    /* What looks like a whole key, and is not this tenant's, is none of its own either. */
    if (key.len == 0 || (begins && (prefix.len > 0 || str_starts_with(key, STR("t:")))))
        return 0;
    if (to != NULL) {
        at = put(put(put(at, prefix), STR("t:")), tenant);
        *at++ = ':';
        put(at, key);
    }
    return front + key.len;
}

/* --- answers --- */

void ask_clear(struct ask *a)
{
    free(a->values);
    a->values = NULL;
    a->count = 0;
}

void ask_give(struct ask *a, const struct usher_text *values, uint32_t count)
{
    size_t bytes = count * sizeof(*values);
    char *at;

    ask_clear(a);
    for (uint32_t i = 0; i < count; i++)
        bytes += values[i].len;
    a->values = check_alloc(bytes + 1);
    a->count = count;
    a->state = USHER_ANSWER_GOOD;
    at = (char *)(a->values + count);
    for (uint32_t i = 0; i < count; i++) {
        if (values[i].ptr == NULL)
            continue;
        a->values[i] = (struct usher_text){ at, values[i].len };
        if (values[i].len > 0)
            memcpy(at, values[i].ptr, values[i].len);
        at += values[i].len;
    }
}

void ask_give_number(struct ask *a, int64_t number)
{
    ask_clear(a);
    a->state = USHER_ANSWER_GOOD;
    a->number = number;
}

void ask_give_wrong(struct ask *a, struct str sentence)
{
    ask_give(a, &(struct usher_text){ sentence.ptr, sentence.len }, 1);
    a->state = USHER_ANSWER_WRONG;
}

void ask_give_away(struct ask *a)
{
    ask_clear(a);
    a->state = USHER_ANSWER_AWAY;
}
