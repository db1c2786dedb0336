/* module_ask.c -- questions of modules to Redis: judged, copied, sent to control, answered.
 *
 * Who asks what is being asked already waits for that answer: a crowd before one page is one question.
 *
 * Owns:    each question while it is not with control, whether its exchange still is or not.
 * Thread:  its worker.
 * Used by: modules (usher_ask), worker.c (what comes back).
 * Not here: Redis (store/asks.c); what else takes time (module_wait.c). */
#include <stdlib.h>

#include "proxy/module_calls.h"
#include "proxy/worker_state.h"

#define OPEN_MOST 4096 /* of one worker, with control */

/* `mail` is first: while it is with control, control may free it. */
struct module_ask {
    struct ask_mail mail;
    struct list same; /* of one that was sent: the others who ask it; of these: a place in there */
    bool shared;      /* it was sent, and stands in w->asks */
    uint64_t hash;
    struct module_pending pending;
    struct usher_answer *answer;
    struct usher_text *values; /* of the exchange's memory, as many as the answer will have */
    size_t len;
    char text[]; /* what makes it this question: kind, count, lengths; the key; the args */
};

static bool is_question(const void *value, struct str text)
{
    const struct module_ask *m = value;

    return str_equals(str_slice(m->text, m->len), text);
}

void module_asks_init(struct worker *w)
{
    map_init(&w->asks, is_question);
}

static void free_same(struct module_ask *m)
{
    struct list *node;

    while ((node = list_take_first(&m->same)) != NULL)
        free(LIST_ITEM(node, struct module_ask, same));
}

void module_asks_free(struct worker *w)
{
    struct module_ask *m;

    for (size_t at = 0; (m = map_next(&w->asks, &at)) != NULL;)
        free_same(m);
    map_free(&w->asks);
}

/* --- asking --- */

struct lengths {
    uint32_t kind, count, key, args[ASK_ARGS_MAX];
};

static char *put(char *to, struct usher_text text, struct str *at)
{
    if (text.len > 0)
        memcpy(to, text.ptr, text.len);
    *at = str_slice(to, text.len);
    return to + text.len;
}

/* With the key as it is in Redis. NULL: no memory. */
static struct module_ask *copy(const struct usher_question *q, struct str prefix, struct str tenant,
                               size_t key_len)
{
    struct lengths lengths = { .kind = q->kind, .count = q->arg_count, .key = (uint32_t)key_len };
    size_t bytes = sizeof(lengths) + key_len;
    struct module_ask *m;
    char *at;

    for (uint32_t i = 0; i < q->arg_count; i++)
        bytes += lengths.args[i] = (uint32_t)q->args[i].len;
    m = calloc(1, sizeof(*m) + bytes);
    if (m == NULL)
        return NULL;
    m->len = bytes;
    list_init(&m->same);
    memcpy(m->text, &lengths, sizeof(lengths));
    at = m->text + sizeof(lengths);
    ask_key(prefix, tenant, str_slice(q->key.ptr, q->key.len), at);
    m->mail.ask = (struct ask){ .kind = (enum usher_ask_kind)q->kind,
                                .key = { at, key_len },
                                .arg_count = q->arg_count,
                                .amount = q->amount,
                                .ttl_ms = q->ttl_ms };
    at += key_len;
    for (uint32_t i = 0; i < q->arg_count; i++)
        at = put(at, q->args[i], &m->mail.ask.args[i]);
    return m;
}

static struct module_ask *judge(const struct exchange *x, const struct usher_question *q)
{
    struct str prefix = str_from(x->w->settings->prefix), tenant;
    size_t key_len;

    if (x->tenant == NULL || !ask_is_right(q))
        return NULL;
    tenant = str_from(x->tenant->id);
    key_len = ask_key(prefix, tenant, str_slice(q->key.ptr, q->key.len), NULL);
    return key_len > 0 ? copy(q, prefix, tenant, key_len) : NULL;
}

/* To control; when this worker has too many there, back at once: Redis is too busy for it. */
static void post(struct worker *w, struct module_ask *m)
{
    m->mail.worker = w->index;
    if (w->asks_open++ >= OPEN_MOST) {
        ask_give_away(&m->mail.ask);
        m->mail.mail.kind = WORKER_ASKED;
        mailbox_post(&w->box, &m->mail.mail);
        return;
    }
    m->mail.mail.kind = CONTROL_ASK;
    mailbox_post(w->shared->control, &m->mail.mail);
}

/* Counters are added to by each for itself. */
static void post_or_join(struct worker *w, struct module_ask *m)
{
    struct str text = str_slice(m->text, m->len);
    struct module_ask *other;

    if (m->mail.ask.kind == USHER_ASK_INCRBY) {
        post(w, m);
        return;
    }
    m->hash = map_hash(text);
    other = map_find(&w->asks, m->hash, text);
    if (other != NULL) {
        list_append(&other->same, &m->same);
        return;
    }
    m->shared = true;
    map_add(&w->asks, m->hash, m);
    post(w, m);
}

bool module_ask(struct usher_exchange *o, const struct usher_question *question,
                struct usher_answer *answer, usher_resumed resumed, void *arg)
{
    struct module_run *run = run_of(o);
    struct module_ask *m = judge(run->x, question);

    if (m == NULL)
        return false;
    m->answer = answer;
    m->values = modules_alloc(run, ask_value_count(&m->mail.ask) * sizeof(*m->values));
    if (m->values == NULL || !modules_pend(run, &m->pending, resumed, arg)) {
        free(m);
        return false;
    }
    post_or_join(run->x->w, m);
    return true;
}

/* --- answering --- */

/* Into the exchange's memory. Where that has no room for it, it is as good as refused. */
static void give(struct module_ask *m, const struct ask *a)
{
    struct usher_answer *to = m->answer;

    *to = (struct usher_answer){
        .state = a->state, .count = ask_value_count(a), .values = m->values, .number = a->number
    };
    for (uint32_t i = 0; i < a->count && i < to->count; i++) {
        char *copied;

        if (a->values[i].ptr == NULL)
            continue;
        copied = modules_alloc(m->pending.run, a->values[i].len + 1);
        if (copied == NULL) {
            to->state = USHER_ANSWER_WRONG;
            m->values[0] = usher_text("there is no room for it in this exchange");
            return;
        }
        memcpy(copied, a->values[i].ptr, a->values[i].len);
        m->values[i] = (struct usher_text){ copied, a->values[i].len };
    }
}

static void resume(struct module_ask *m, const struct ask *answered)
{
    if (m->pending.run == NULL)
        return; /* its exchange is over */
    give(m, answered);
    modules_pending_done(&m->pending);
}

void module_ask_answered(struct worker *w, struct ask_mail *mail)
{
    struct module_ask *m = LIST_ITEM(mail, struct module_ask, mail);
    struct list *node;

    w->asks_open--;
    if (m->shared) /* before anybody goes on, and asks anew */
        map_remove(&w->asks, m->hash, m);
    resume(m, &mail->ask);
    while ((node = list_take_first(&m->same)) != NULL) {
        struct module_ask *other = LIST_ITEM(node, struct module_ask, same);

        resume(other, &mail->ask);
        free(other);
    }
    ask_clear(&mail->ask);
    free(m);
}
