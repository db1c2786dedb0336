/* asker.c -- asks Redis what the query of a request to /ask says, and answers with what came of it: for
 * the tests of usher_ask.
 *
 *     GET /ask?kind=hget&key=users&arg=anna&times=3
 *
 * One line for each question: its state, then its values. With ?later the question is asked when the
 * response is there, and told in X-Asked. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "usher_module.h"

#define ARGS_MOST 17

struct question {
    struct usher_question asked;
    struct usher_text args[ARGS_MOST];
    struct usher_answer answers[20];
    unsigned count, come;
};

static struct usher_text parameter(struct usher_exchange *x, const char *name, uint32_t nth)
{
    return usher_parameter(x, usher_text(name), nth);
}

static long long number(struct usher_exchange *x, const char *name, long long otherwise)
{
    struct usher_text text = parameter(x, name, 0);

    return text.ptr != NULL ? strtoll(usher_copy(x, text).ptr, NULL, 10) : otherwise;
}

static bool is(struct usher_text text, const char *word)
{
    return text.len == strlen(word) && memcmp(text.ptr, word, text.len) == 0;
}

static uint32_t kind_of(struct usher_text word)
{
    static const char *const kinds[] = { "get", "hget", "hmget", "sismember", "incrby" };
    uint32_t kind = 0;

    while (kind < 5 && !is(word, kinds[kind]))
        kind++;
    return kind;
}

static struct usher_text told(struct usher_exchange *x, const struct question *q, const char *end)
{
    static const char *const states[] = { "good", "away", "wrong" };
    size_t room = 256, at = 0;
    char *to;

    for (unsigned i = 0; i < q->count; i++)
        for (unsigned v = 0; v < q->answers[i].count; v++)
            room += q->answers[i].values[v].len + 64;
    to = usher_alloc(x, room);
    for (unsigned i = 0; to != NULL && i < q->count; i++) {
        const struct usher_answer *a = &q->answers[i];

        at += (size_t)snprintf(to + at, room - at, "%s", states[a->state]);
        if (q->asked.kind >= USHER_ASK_SISMEMBER && a->state == USHER_ANSWER_GOOD)
            at += (size_t)snprintf(to + at, room - at, " %lld", (long long)a->number);
        for (unsigned v = 0; v < a->count && q->asked.kind < USHER_ASK_SISMEMBER; v++)
            at += (size_t)snprintf(to + at, room - at, " %.*s",
                                   a->values[v].ptr != NULL ? (int)a->values[v].len : 3,
                                   a->values[v].ptr != NULL ? a->values[v].ptr : "nil");
        if (q->asked.kind >= USHER_ASK_SISMEMBER && a->state == USHER_ANSWER_WRONG)
            at += (size_t)snprintf(to + at, room - at, " %.*s", (int)a->values[0].len,
                                   a->values[0].ptr);
        at += (size_t)snprintf(to + at, room - at, "%s", i + 1 < q->count ? end : "");
    }
    return (struct usher_text){ to, at };
}

static enum usher_result on_come(struct usher_exchange *x, const void *compiled, void *arg)
{
    struct question *q = arg;

    (void)compiled;
    if (++q->come < q->count)
        return USHER_WAIT;
    if (usher_status(x) != 0) {
        usher_header_set(x, USHER_RESPONSE, usher_text("X-Asked"), told(x, q, ", "));
        return USHER_GO_ON;
    }
    return usher_reply(x, 200, usher_text("text/plain"), told(x, q, "\n"));
}

static struct question *read_question(struct usher_exchange *x)
{
    struct question *q = usher_alloc(x, sizeof(*q));

    if (q == NULL)
        return NULL;
    q->asked.kind = kind_of(parameter(x, "kind", 0));
    q->asked.key = parameter(x, "key", 0);
    q->asked.args = q->args;
    while (q->asked.arg_count < ARGS_MOST && parameter(x, "arg", q->asked.arg_count).ptr != NULL) {
        q->args[q->asked.arg_count] = parameter(x, "arg", q->asked.arg_count);
        q->asked.arg_count++;
    }
    q->asked.amount = number(x, "by", 0);
    q->asked.ttl_ms = (uint32_t)number(x, "ttl", 0);
    return q;
}

static enum usher_result ask(struct usher_exchange *x)
{
    struct question *q = read_question(x);
    unsigned times = (unsigned)number(x, "times", 1);

    if (q == NULL)
        return USHER_FAULT;
    while (q->count < times && q->count < 20 &&
           usher_ask(x, &q->asked, &q->answers[q->count], on_come, q))
        q->count++;
    if (q->count < times && usher_status(x) == 0)
        return usher_reply(x, 400, usher_text("text/plain"), usher_text("not asked"));
    /* What was asked is Redis's own copy by now. */
    memset(q->args, 'x', sizeof(q->args));
    return USHER_WAIT;
}

static enum usher_result on_request(struct usher_exchange *x, const void *compiled)
{
    (void)compiled;
    if (!is(usher_path(x), "/ask") || parameter(x, "later", 0).ptr != NULL)
        return USHER_GO_ON;
    return ask(x);
}

static enum usher_result on_response(struct usher_exchange *x, const void *compiled)
{
    (void)compiled;
    return parameter(x, "later", 0).ptr != NULL ? ask(x) : USHER_GO_ON;
}

USHER_MODULE(asker) = {
    USHER_MODULE_ABI,         .name = "asker",
    .version = "1.0",         .summary = "asks Redis what a request to /ask says",
    .on_request = on_request, .on_response = on_response,
};
