/* module_body.c -- bodies on their way through modules.
 *
 * Owns:    nothing beside the run of modules: what hooks send gathers there until it is flushed.
 * Thread:  its worker.
 * Used by: exchange.c, module_reply.c; modules (usher_take_body, usher_send).
 * Not here: framing (module_reply.c, http/serializer.c). */
#include <stdlib.h>

#include "proxy/module_calls.h"
#include "proxy/upstream.h"
#include "proxy/worker_state.h"

#define GATHERED_MAX (16u << 20) /* of what hooks send between two flushes */

bool module_take_body(struct usher_exchange *o, enum usher_side side)
{
    struct module_run *run = run_of(o);

    if ((unsigned)side > USHER_RESPONSE || run->turns[run->at].link->row->module.on_body == NULL)
        return false;
    if (side == USHER_REQUEST ? run->hook != HOOK_REQUEST
                              : run->hook != HOOK_REQUEST && run->hook != HOOK_RESPONSE)
        return false;
    if (side == USHER_RESPONSE && run->hook == HOOK_RESPONSE && !modules_has_body(run->x))
        return false;
    run->turns[run->at].takes[side] = run->takes[side] = true;
    if (side == USHER_RESPONSE && run->hook == HOOK_REQUEST)
        run->turns[run->at].always = true;
    return true;
}

static bool gather(struct module_run *run, enum usher_side side, const char *bytes, size_t len)
{
    struct buf *b = side == USHER_REQUEST ? &run->to_upstream : &run->to_client;

    if (b->len + len > GATHERED_MAX) {
        run->deferred = FAULT_out_of_memory;
        return false;
    }
    buf_add(b, bytes, len);
    return true;
}

/* To the next module, from turn `from` on, that takes this side; else out. */
static bool feed(struct module_run *run, enum usher_side side, unsigned from, const char *bytes,
                 size_t len, bool last)
{
    struct module_watch *watch = &run->x->w->modules;
    unsigned was_at = run->at;
    enum module_hook was = run->hook;
    const struct chain_link *link;
    enum usher_result result;

    while (from < run->count && !run->turns[from].takes[side])
        from++;
    if (from == run->count)
        return len == 0 || gather(run, side, bytes, len);
    link = run->turns[from].link;
    run->at = from;
    run->hook = HOOK_BODY;
    run->side = side;
    module_watch_begin(watch, link->row);
    result = link->row->module.on_body(&run->outside, link->compiled, side, bytes, len, last);
    module_watch_end(watch, link->row, run->x->w->settings->module_stall_ms);
    if (result != USHER_GO_ON && run->deferred == FAULT_NONE) {
        run->deferred = run->fault != FAULT_NONE ? run->fault : FAULT_module_fault;
        counter_add(&watch->boards[link->row->index].faults, 1);
    }
    run->at = was_at;
    run->hook = was;
    return run->deferred == FAULT_NONE && (!last || feed(run, side, from + 1, "", 0, true));
}

bool module_send(struct usher_exchange *o, const char *bytes, size_t len)
{
    struct module_run *run = run_of(o);
    struct module_watch *watch = &run->x->w->modules;
    const struct module_row *row = run->turns[run->at].link->row;
    bool good;

    if (run->hook != HOOK_BODY || run->deferred != FAULT_NONE)
        return false;
    if (len == 0)
        return true;
    module_watch_end(watch, row, run->x->w->settings->module_stall_ms);
    good = feed(run, run->side, run->at + 1, bytes, len, false);
    module_watch_go_on(watch, row);
    return good;
}

/* --- responses --- */

void modules_response_body(struct exchange *x, const char *bytes, size_t len)
{
    struct module_run *run = x->modules;

    if (run->deferred != FAULT_NONE || run->discards)
        return;
    if (run->holding)
        buf_add(&run->held, bytes, len);
    else if (run->takes[USHER_RESPONSE])
        feed(run, USHER_RESPONSE, 0, bytes, len, false);
    else
        x->client->send_body(x->session, bytes, len);
}

void modules_response_end(struct exchange *x)
{
    struct module_run *run = x->modules;

    if (run->takes[USHER_RESPONSE] && run->deferred == FAULT_NONE && !run->discards &&
        !run->holding)
        feed(run, USHER_RESPONSE, 0, "", 0, true);
}

void modules_own_body(struct exchange *x, struct str body)
{
    struct module_run *run = x->modules;

    if (run->takes[USHER_RESPONSE])
        feed(run, USHER_RESPONSE, 0, body.ptr, body.len, true);
    else if (body.len > 0)
        x->client->send_body(x->session, body.ptr, body.len);
}

void modules_give_response(struct exchange *x)
{
    struct buf *b = &x->modules->to_client;

    if (b->len > 0)
        x->client->send_body(x->session, b->ptr, b->len);
}

/* --- requests --- */

void modules_request_body(struct exchange *x, const char *bytes, size_t len)
{
    if (x->modules->deferred == FAULT_NONE)
        feed(x->modules, USHER_REQUEST, 0, bytes, len, false);
}

/* Once, also when the request is sent again. */
void modules_request_end(struct exchange *x)
{
    struct module_run *run = x->modules;

    if (run->deferred == FAULT_NONE && !run->request_ended)
        feed(run, USHER_REQUEST, 0, "", 0, true);
    run->request_ended = true;
}

void modules_give_request(struct exchange *x)
{
    struct buf *b = &x->modules->to_upstream;

    if (b->len > 0)
        upstream_send_body(x->upstream, b->ptr, b->len);
}

void modules_given(struct exchange *x, enum usher_side side)
{
    buf_clear(side == USHER_REQUEST ? &x->modules->to_upstream : &x->modules->to_client);
}
