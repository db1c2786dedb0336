/* module_run.c -- the hooks of an exchange's modules, one after the other; waiting, and going on.
 *
 * Owns:    struct module_run, from modules_attach to modules_recycle.
 * Thread:  its worker.
 * Used by: exchange.c.
 * Not here: what modules may ask for (module_calls.c, module_wait.c); responses and bodies
 *           (module_reply.c, module_body.c); how long hooks take (module_watch.c). */
#include "proxy/module_run.h"

#include <stdlib.h>

#include "base/check.h"
#include "http/serializer.h"
#include "proxy/match.h"
#include "proxy/module_watch.h"
#include "proxy/worker_state.h"

#define SPARE_MOST 64

struct block {
    struct block *before;
    _Alignas(16) char bytes[];
};

static uint64_t stall_ms(const struct worker *w)
{
    return w->settings->module_stall_ms;
}

/* --- memory --- */

void *modules_alloc(struct module_run *run, size_t bytes)
{
    size_t rounded = (bytes + 15) & ~(size_t)15;
    struct block *block;

    if (bytes > MODULE_BYTES_MAX || run->bytes + rounded > MODULE_BYTES_MAX)
        return NULL;
    run->bytes += rounded;
    if (rounded <= sizeof(run->room) - run->inline_used) {
        void *at = run->room + run->inline_used;

        run->inline_used += rounded;
        return memset(at, 0, rounded);
    }
    block = calloc(1, sizeof(*block) + rounded);
    if (block == NULL)
        return NULL;
    block->before = run->blocks;
    run->blocks = block;
    return block->bytes;
}

static void *alloc_text(void *owner, size_t bytes)
{
    return modules_alloc(owner, bytes);
}

static void free_blocks(struct module_run *run)
{
    struct block *block;

    while ((block = run->blocks) != NULL) {
        run->blocks = block->before;
        free(block);
    }
    run->bytes = run->inline_used = 0;
}

/* --- beginning and end --- */

static void on_deadline(struct timer *t);

static struct module_run *new_run(struct worker *w)
{
    struct list *node = list_take_first(&w->spare_runs);
    struct module_run *run;

    if (node != NULL) {
        w->spare_run_count--;
        return LIST_ITEM(node, struct module_run, node);
    }
    run = check_alloc(sizeof(*run));
    run->outside.host = &modules_host;
    list_init(&run->node);
    list_init(&run->pending);
    timer_init(&run->deadline, on_deadline);
    return run;
}

static void add_chain(struct module_run *run, const struct chain *chain, uint64_t but)
{
    for (uint32_t i = 0; chain != NULL && i < chain->count; i++) {
        const struct chain_link *link = &chain->links[i];

        if ((but >> link->row->index & 1) == 0)
            run->turns[run->count++] = (struct module_turn){ .link = link };
    }
}

bool modules_attach(struct exchange *x)
{
    const struct chain *own = match_modules(x), *rule = x->route ? x->route->modules : NULL;
    struct module_run *run;
    struct head_text text = { .alloc = alloc_text };

    if ((own == NULL || own->count == 0) && (rule == NULL || rule->count == 0))
        return false;
    run = new_run(x->w);
    run->x = x;
    add_chain(run, own, rule != NULL ? rule->has : 0);
    add_chain(run, rule, 0);
    text.owner = run;
    text.most = x->w->limits.head_bytes;
    text.most_fields = x->w->limits.header_count;
    run->request_text = run->response_text = text;
    x->modules = run;
    return true;
}

void modules_stop_waiting(struct module_run *run)
{
    struct list *node;

    while ((node = list_take_first(&run->pending)) != NULL) {
        struct module_pending *p = LIST_ITEM(node, struct module_pending, node);

        p->run = NULL;
        if (p->cancel != NULL)
            p->cancel(p);
    }
    run->pending_count = 0;
    run->waiting = false;
    timer_stop(&run->deadline);
}

void modules_done(struct exchange *x)
{
    struct module_run *run = x->modules;

    modules_stop_waiting(run);
    run->hook = HOOK_DONE;
    for (run->at = 0; run->at < run->count; run->at++) {
        const struct chain_link *link = run->turns[run->at].link;

        if (link->row->module.on_done == NULL)
            continue;
        module_watch_begin(&x->w->modules, link->row);
        link->row->module.on_done(&run->outside, link->compiled);
        module_watch_end(&x->w->modules, link->row, stall_ms(x->w));
    }
    run->hook = HOOK_NONE;
    modules_drop_file(run);
}

void modules_recycle(struct exchange *x)
{
    struct module_run *run = x->modules;
    struct worker *w = x->w;
    struct buf *bufs[] = { &run->held, &run->held_trailers, &run->to_client, &run->to_upstream };

    x->modules = NULL;
    for (unsigned i = 0; i < sizeof(bufs) / sizeof(bufs[0]); i++)
        if (bufs[i]->ptr != NULL)
            buf_free(bufs[i]);
    free_blocks(run);
    if (w->spare_run_count >= SPARE_MOST) {
        free(run);
        return;
    }
    memset((char *)run + offsetof(struct module_run, count), 0,
           offsetof(struct module_run, room) - offsetof(struct module_run, count));
    list_init(&run->pending);
    timer_init(&run->deadline, on_deadline);
    list_prepend(&w->spare_runs, &run->node);
    w->spare_run_count++;
}

void modules_free_spare(struct worker *w)
{
    struct list *node;

    while ((node = list_take_first(&w->spare_runs)) != NULL)
        free(LIST_ITEM(node, struct module_run, node));
}

/* --- hooks --- */

typedef enum usher_result (*hook_fn)(struct usher_exchange *x, const void *compiled);

static hook_fn hook_of(const struct usher_module *m, enum module_hook hook)
{
    return hook == HOOK_REQUEST    ? m->on_request
           : hook == HOOK_UPSTREAM ? m->on_upstream
                                   : m->on_response;
}

bool modules_may_wait(const struct module_run *run)
{
    return run->hook == HOOK_REQUEST || run->hook == HOOK_RESPONSE;
}

/* What an earlier hook started and did not wait for resumes nobody. */
static bool is_now(const struct module_run *run, const struct module_pending *p)
{
    return p->call == run->call;
}

static bool is_awaited(const struct module_run *run)
{
    for (const struct list *node = run->pending.next; node != &run->pending; node = node->next)
        if (is_now(run, LIST_ITEM(node, struct module_pending, node)))
            return true;
    return false;
}

/* What a result means here; one that a hook may not give is a fault. */
static enum modules_say judge(struct module_run *run, enum usher_result result)
{
    switch (result) {
    case USHER_GO_ON:
        if (run->hook == HOOK_REQUEST && run->has_response)
            modules_forget_reply(run);
        return MODULES_GO_ON;
    case USHER_ANSWERED:
        if (run->hook == HOOK_REQUEST && run->source == USHER_FROM_MODULE)
            return MODULES_ANSWERED;
        break;
    case USHER_WAIT:
        if (!modules_may_wait(run) || !is_awaited(run))
            break; /* it would wait for nothing */
        run->waiting = true;
        if (!timer_is_set(&run->deadline))
            timer_set(&run->x->w->loop, &run->deadline, run->wait_ms);
        return MODULES_WAIT;
    case USHER_FAULT:
        break;
    }
    if (run->fault == FAULT_NONE)
        run->fault = FAULT_module_fault;
    counter_add(&run->x->w->modules.boards[run->turns[run->at].link->row->index].faults, 1);
    return MODULES_FAULT;
}

/* `next`: right behind another. */
static enum modules_say call(struct module_run *run, hook_fn hook, bool next)
{
    const struct chain_link *link = run->turns[run->at].link;
    struct module_watch *watch = &run->x->w->modules;
    enum usher_result result;

    run->call++;
    run->wait_ms = MODULE_WAIT_MS;
    if (next)
        module_watch_next(watch, link->row);
    else
        module_watch_begin(watch, link->row);
    result = hook(&run->outside, link->compiled);
    module_watch_end(watch, link->row, stall_ms(run->x->w));
    return judge(run, result);
}

static enum modules_say run_hooks(struct module_run *run, enum module_hook hook)
{
    enum modules_say say;
    bool next = false;

    if (run->resumed) {
        run->resumed = false;
        say = judge(run, run->result);
        if (say != MODULES_GO_ON)
            return say;
        run->at++;
    } else {
        run->hook = hook;
        run->at = 0;
        run->fault = FAULT_NONE;
    }
    for (; run->at < run->count; run->at++) {
        hook_fn fn = hook_of(&run->turns[run->at].link->row->module, hook);

        if (fn == NULL)
            continue;
        say = call(run, fn, next);
        if (say != MODULES_GO_ON)
            return say;
        next = true;
    }
    run->hook = HOOK_NONE;
    return MODULES_GO_ON;
}

enum modules_say modules_on_request(struct exchange *x)
{
    return run_hooks(x->modules, HOOK_REQUEST);
}

/* Another response: who took the body of the one before takes this one's when it says so again. */
static void forget_takes(struct module_run *run)
{
    run->takes[USHER_RESPONSE] = false;
    for (unsigned i = 0; i < run->count; i++) {
        run->turns[i].takes[USHER_RESPONSE] = run->turns[i].always;
        run->takes[USHER_RESPONSE] = run->takes[USHER_RESPONSE] || run->turns[i].always;
    }
}

enum modules_say modules_on_response(struct exchange *x)
{
    if (!x->modules->resumed)
        forget_takes(x->modules);
    return run_hooks(x->modules, HOOK_RESPONSE);
}

static bool has_hook(const struct module_run *run, enum module_hook hook)
{
    for (unsigned i = 0; i < run->count; i++)
        if (hook_of(&run->turns[i].link->row->module, hook) != NULL)
            return true;
    return false;
}

/* As many and as large as the rule has them: the limits of modules are not for these. */
static bool edit_as_rule_says(struct exchange *x)
{
    struct head_text *text = &x->modules->request_text;
    struct head_text limits = *text;
    bool good = true;

    text->most = SIZE_MAX;
    text->most_fields = UINT16_MAX;
    for (uint32_t i = 0; good && x->route != NULL && i < x->route->edit_count; i++) {
        const struct header_edit *e = &x->route->edits[i];

        head_edit_remove(&x->request, e->name);
        if (e->value.ptr != NULL)
            good = head_edit_add(&x->request, text, e->name, e->value);
    }
    text->most = limits.most;
    text->most_fields = limits.most_fields;
    return good;
}

/* The head with the rule's edits; as it is here it is put back before another attempt. */
static bool prepare_upstream(struct exchange *x)
{
    struct module_run *run = x->modules;
    struct head *h = &x->request;

    if (run->upstream_begun) {
        memcpy(h->fields, run->fields, run->field_count * sizeof(*h->fields));
        h->count = run->field_count;
        head_edit_recount(h);
        return true;
    }
    if (!edit_as_rule_says(x))
        return false;
    run->upstream_begun = true;
    run->field_count = h->count;
    run->fields = modules_alloc(run, h->count * sizeof(*h->fields) + 1);
    if (run->fields != NULL)
        memcpy(run->fields, h->fields, h->count * sizeof(*h->fields));
    return run->fields != NULL;
}

enum modules_say modules_on_upstream(struct exchange *x)
{
    struct module_run *run = x->modules;

    if (!has_hook(run, HOOK_UPSTREAM))
        return MODULES_GO_ON;
    if (!prepare_upstream(x)) {
        run->fault = FAULT_out_of_memory;
        return MODULES_FAULT;
    }
    return run_hooks(run, HOOK_UPSTREAM);
}

void modules_shape_request(struct exchange *x, struct request_out *out)
{
    const struct module_run *run = x->modules;

    if (run->upstream_begun) { /* the head has the rule's edits already */
        out->edits = NULL;
        out->edit_count = 0;
    }
    if (run->host_sent.len > 0)
        out->host = run->host_sent;
    if (run->query_changed)
        out->query = run->query_sent;
    out->reframed = x->request_framing != FRAMED_AS_READ;
    out->body = x->request_framing == FRAMED_CHUNKED ? BODY_CHUNKED : BODY_LENGTH;
    out->body_bytes = x->request_sent_bytes;
}

/* --- waiting --- */

bool modules_pend(struct module_run *run, struct module_pending *p, usher_resumed resumed,
                  void *arg)
{
    if (!modules_may_wait(run) || run->pending_count >= MODULE_PENDING_MAX)
        return false;
    *p = (struct module_pending){ .run = run, .call = run->call, .resumed = resumed, .arg = arg };
    list_init(&p->node);
    list_append(&run->pending, &p->node);
    run->pending_count++;
    return true;
}

static void go_on(struct module_run *run, enum usher_result result)
{
    run->waiting = false;
    run->resumed = true;
    run->result = result;
    timer_stop(&run->deadline);
    exchange_on_modules(run->x);
}

void modules_pending_done(struct module_pending *p)
{
    struct module_run *run = p->run;
    const struct chain_link *link;
    enum usher_result result;

    if (run == NULL)
        return;
    list_remove(&p->node);
    p->run = NULL;
    run->pending_count--;
    if (!run->waiting || !is_now(run, p))
        return; /* its module has gone on without it */
    link = run->turns[run->at].link;
    module_watch_begin(&run->x->w->modules, link->row);
    result = p->resumed(&run->outside, link->compiled, p->arg);
    module_watch_end(&run->x->w->modules, link->row, stall_ms(run->x->w));
    if (result != USHER_WAIT || !is_awaited(run))
        go_on(run, result);
}

static void on_deadline(struct timer *t)
{
    struct module_run *run = LIST_ITEM(t, struct module_run, deadline);

    run->fault = FAULT_module_timeout;
    go_on(run, USHER_FAULT);
}
