/* module_ask.c -- questions of modules to Redis: judged, copied, sent to control, answered.
 *
 * Owns:    each question while it is not with control, whether its exchange still is or not.
 * Thread:  its worker.
 * Used by: modules (usher_ask), worker.c (what comes back).
 * Not here: Redis (store/asks.c); what else takes time (module_wait.c). */
#include <stdlib.h>

#include "proxy/module_calls.h"
#include "proxy/worker_state.h"

#define OPEN_MOST 4096 /* of one worker */

/* `mail` is first: while it is with control, control may free it. */
struct module_ask {
    struct ask_mail mail;
    struct module_pending pending;
    struct usher_answer *answer;
    struct usher_text *values; /* of the exchange's memory, as many as the answer will have */
    char text[];               /* the key, then the args */
};

static char *put(char *to, struct usher_text text, struct str *at)
{
    if (text.len > 0)
        memcpy(to, text.ptr, text.len);
    *at = str_slice(to, text.len);
    return to + text.len;
}

/* A copy of its own, of the question, with the key as it is in Redis. NULL: it is none. */
static struct module_ask *copy(struct module_run *run, const struct usher_question *q)
{
    const struct exchange *x = run->x;
    struct str prefix = str_from(x->w->settings->prefix), key = { q->key.ptr, q->key.len }, tenant;
    struct module_ask *m;
    size_t key_len, bytes;
    char *at;

    if (x->tenant == NULL || !ask_is_right(q))
        return NULL;
    tenant = str_from(x->tenant->id);
    bytes = key_len = ask_key(prefix, tenant, key, NULL);
    if (key_len == 0)
        return NULL;
    for (uint32_t i = 0; i < q->arg_count; i++)
        bytes += q->args[i].len;
    m = calloc(1, sizeof(*m) + bytes);
    if (m == NULL)
        return NULL;
    ask_key(prefix, tenant, key, m->text);
    m->mail.ask = (struct ask){ .kind = (enum usher_ask_kind)q->kind,
                                .key = { m->text, key_len },
                                .arg_count = q->arg_count,
                                .amount = q->amount,
                                .ttl_ms = q->ttl_ms };
    at = m->text + key_len;
    for (uint32_t i = 0; i < q->arg_count; i++)
        at = put(at, q->args[i], &m->mail.ask.args[i]);
    return m;
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

bool module_ask(struct usher_exchange *o, const struct usher_question *question,
                struct usher_answer *answer, usher_resumed resumed, void *arg)
{
    struct module_run *run = run_of(o);
    struct module_ask *m = copy(run, question);

    if (m == NULL)
        return false;
    m->answer = answer;
    m->values = modules_alloc(run, ask_value_count(&m->mail.ask) * sizeof(*m->values));
    if (m->values == NULL || !modules_pend(run, &m->pending, resumed, arg)) {
        free(m);
        return false;
    }
    post(run->x->w, m);
    return true;
}

/* Into the exchange's memory. Where that has no room for it, it is as good as refused. */
static void give(struct module_run *run, struct module_ask *m)
{
    const struct ask *a = &m->mail.ask;
    struct usher_answer *to = m->answer;

    *to = (struct usher_answer){
        .state = a->state, .count = ask_value_count(a), .values = m->values, .number = a->number
    };
    for (uint32_t i = 0; i < a->count && i < to->count; i++) {
        char *copied;

        if (a->values[i].ptr == NULL)
            continue;
        copied = modules_alloc(run, a->values[i].len + 1);
        if (copied == NULL) {
            to->state = USHER_ANSWER_WRONG;
            m->values[0] = usher_text("there is no room for it in this exchange");
            return;
        }
        memcpy(copied, a->values[i].ptr, a->values[i].len);
        m->values[i] = (struct usher_text){ copied, a->values[i].len };
    }
}

void module_ask_answered(struct worker *w, struct ask_mail *mail)
{
    struct module_ask *m = LIST_ITEM(mail, struct module_ask, mail);

    w->asks_open--;
    if (m->pending.run != NULL) {
        give(m->pending.run, m);
        modules_pending_done(&m->pending);
    }
    ask_clear(&mail->ask);
    free(m);
}
