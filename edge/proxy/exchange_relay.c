/* exchange_relay.c -- heads and bodies on their way between the client and the endpoint.
 *
 * Back-pressure goes both ways: a side that cannot be written to stops the reading of the other. What
 * passes through modules does so here, in module_body.c's hands.
 *
 * Owns:    nothing beside the exchange.
 * Thread:  its worker.
 * Used by: session.c and upstream.c, which report what came; module_run.c, when a wait is over.
 * Not here: the steps before an endpoint is found (exchange.c); framing (session_side.c, upstream.c). */
#include "proxy/access_line.h"
#include "proxy/attempt.h"
#include "proxy/exchange_steps.h"
#include "proxy/hedge.h"
#include "proxy/limits.h"
#include "proxy/module_run.h"
#include "proxy/pace.h"
#include "proxy/tunnel.h"
#include "proxy/retry.h"
#include "proxy/upstream.h"
#include "proxy/worker_state.h"

/* Of a body that is replaced: so much is read to its end, so that the connection can serve on. */
#define DISCARD_MOST (256u * 1024)

bool exchange_sends_chunks(const struct exchange *x)
{
    return x->request_framing == FRAMED_AS_READ ? x->request.body == BODY_CHUNKED
                                                : x->request_framing == FRAMED_CHUNKED;
}

void exchange_on_upstream_ready(struct exchange *x)
{
    x->step = STEP_FORWARD;
    exchange_run(x);
}

void exchange_on_request_body(struct exchange *x, const char *bytes, size_t len)
{
    x->request_body_bytes += len;
    if (x->limited != NULL && limits_body_is_over(x))
        return; /* the next flush ends it, not inside the reading of it */
    if (x->modules != NULL && x->modules->takes[USHER_REQUEST])
        modules_request_body(x, bytes, len);
    else
        upstream_send_body(x->upstream, bytes, len);
}

/* What modules have made of the body; false: a fault of theirs, and the exchange is over. */
static bool give_request(struct exchange *x, bool last)
{
    if (x->modules == NULL || !x->modules->takes[USHER_REQUEST])
        return true;
    if (last)
        modules_request_end(x);
    if (x->modules->deferred != FAULT_NONE) {
        exchange_fault(x, x->modules->deferred);
        return false;
    }
    modules_give_request(x);
    return true;
}

/* True: its tenant takes no such body, and the exchange is over. */
static bool refuse_body(struct exchange *x)
{
    if (x->limited == NULL || !limits_body_is_over(x))
        return false;
    limits_count_refusal(x, FAULT_body_too_large);
    exchange_fault(x, FAULT_body_too_large);
    return true;
}

/* A broken upstream is not noticed here: it may have answered before it closed. false: its protocol
 * cannot say this body, and the exchange is over. */
static bool send_on(struct exchange *x, bool last, struct str trailers)
{
    if (upstream_flush(x->upstream, last, trailers) || x->upstream->refused == FAULT_NONE)
        return true;
    exchange_fault(x, x->upstream->refused);
    return false;
}

void exchange_on_request_end(struct exchange *x, struct str trailers)
{
    x->request_whole = true;
    if (refuse_body(x))
        return;
    if (!give_request(x, true))
        return;
    /* What modules say in the head, or take from it, a client may not say behind the body. */
    if (x->modules != NULL && x->modules->rules_request)
        trailers = STR("");
    if (!send_on(x, true, trailers))
        return;
    if (x->modules != NULL)
        modules_given(x, USHER_REQUEST);
}

void exchange_flush_request(struct exchange *x)
{
    if (x->upstream == NULL || refuse_body(x) || !give_request(x, false))
        return; /* being answered without it */
    if (!send_on(x, false, STR("")))
        return;
    if (x->modules != NULL)
        modules_given(x, USHER_REQUEST);
    if (upstream_is_blocked(x->upstream)) {
        x->client_paused = true;
        x->client->pause(x->session);
    }
    if (x->pace != NULL)
        pace_request(x);
}

void exchange_on_upstream_drained(struct exchange *x)
{
    if (!x->client_paused || pace_stops_request(x))
        return;
    x->client_paused = false;
    x->client->resume(x->session);
}

void exchange_on_client_drained(struct exchange *x)
{
    if (x->step == STEP_ANSWER) {
        if (modules_is_sending(x))
            exchange_run(x);
        return;
    }
    if (!x->upstream_paused || (x->modules != NULL && x->modules->holding) ||
        pace_stops_response(x))
        return;
    x->upstream_paused = false;
    if (x->upstream != NULL)
        upstream_resume(x->upstream);
}

static void lose_client(struct exchange *x)
{
    x->client->abort(x->session);
    exchange_on_client_gone(x, FAULT_client_closed);
}

void exchange_on_interim_head(struct exchange *x)
{
    if (x->hedge != NULL)
        hedge_over(x);
    x->client->send_head(x->session, &x->response, true);
    x->client->flush(x->session); /* if it failed, the final head will find out */
}

/* The head of an endpoint's response, as far as its modules let it. What they refuse ends the exchange
 * at the next flush, not inside the reading of it. */
static void pass_response_head(struct exchange *x)
{
    struct module_run *run = x->modules;

    if (!run->has_response)
        modules_see_response(x);
    switch (modules_on_response(x)) {
    case MODULES_WAIT:
        if (!run->holding && !head_edit_own(&x->response, &run->response_text))
            run->deferred = FAULT_out_of_memory;
        run->holding = true;
        break;
    case MODULES_FAULT:
        run->holding = false;
        run->deferred = run->fault;
        break;
    default:
        run->holding = false;
        modules_begin_response(x);
    }
}

bool exchange_on_response_head(struct exchange *x)
{
    if (x->attempt.watched && !attempt_answered(x))
        return false;
    if (x->modules != NULL) {
        pass_response_head(x);
        return true;
    }
    x->response_begun = true;
    x->status = x->response.status;
    x->client->send_head(x->session, &x->response, false);
    return true;
}

void exchange_on_response_body(struct exchange *x, const char *bytes, size_t len)
{
    x->response_body_bytes += len;
    if (x->modules != NULL)
        modules_response_body(x, bytes, len);
    else
        x->client->send_body(x->session, bytes, len);
}

static void pause_upstream(struct exchange *x)
{
    x->upstream_paused = true;
    upstream_pause(x->upstream);
}

/* May what came of a response go on to the client? Else its modules have refused it, or wait. */
static bool give_response(struct exchange *x)
{
    struct module_run *run = x->modules;

    if (run == NULL)
        return true;
    if (run->deferred != FAULT_NONE) {
        exchange_fault(x, run->deferred);
        return false;
    }
    if (run->holding) {
        pause_upstream(x);
        return false;
    }
    modules_give_response(x);
    return true;
}

/* The client has all that it gets, in place of what the endpoint still sends. */
static void end_without_endpoint(struct exchange *x)
{
    if (x->upstream != NULL)
        upstream_close(x->upstream);
    x->upstream = NULL;
    modules_give_response(x);
    x->client->finish(x->session, STR(""));
    exchange_end(x);
}

static bool is_long_to_discard(const struct exchange *x)
{
    return x->modules != NULL && x->modules->discards &&
           (x->response.body == BODY_UNTIL_CLOSE || x->response_body_bytes > DISCARD_MOST);
}

void exchange_flush_response(struct exchange *x)
{
    if (!give_response(x))
        return;
    if (is_long_to_discard(x)) {
        end_without_endpoint(x);
        return;
    }
    if (!x->client->flush(x->session)) {
        lose_client(x);
        return;
    }
    if (x->modules != NULL) {
        modules_given(x, USHER_RESPONSE);
        modules_keep_head(x);
    }
    if (x->client->is_blocked(x->session))
        pause_upstream(x);
    if (x->pace != NULL)
        pace_response(x);
}

void exchange_on_response_end(struct exchange *x, struct str trailers)
{
    if (x->modules != NULL) {
        modules_response_end(x);
        modules_hold_end(x, trailers);
        if (!give_response(x))
            return;
    }
    if (x->upstream != NULL && x->upstream->place != NULL) {
        upstream_end(x->upstream); /* when the client has its answer, the place is free */
        x->upstream = NULL;
    }
    x->client->finish(x->session, trailers);
    exchange_end(x);
}

/* What was held of a response goes on, now that its modules have seen the head. */
static void go_on_with_response(struct exchange *x)
{
    struct module_run *run = x->modules;
    struct buf held;

    pass_response_head(x);
    if (run->holding)
        return;
    held = run->held;
    run->held = (struct buf){ 0 };
    if (held.len > 0)
        modules_response_body(x, held.ptr, held.len);
    if (run->held_end && x->upstream_paused) /* as it was when its response came to its end */
        upstream_read_on(x->upstream);
    if (run->held_end)
        exchange_on_response_end(x, str_slice(run->held_trailers.ptr, run->held_trailers.len));
    else
        exchange_flush_response(x);
    buf_free(&held);
    if (x->step != STEP_RELAY || x->client->is_blocked(x->session) || !x->upstream_paused ||
        pace_stops_response(x))
        return;
    x->upstream_paused = false;
    upstream_resume(x->upstream);
}

void exchange_on_modules(struct exchange *x)
{
    if (x->step == STEP_RELAY)
        go_on_with_response(x);
    else
        exchange_run(x);
}

void exchange_on_upstream_lost(struct exchange *x, enum fault fault, bool stale)
{
    x->upstream = NULL;
    if (x->modules != NULL && x->modules->discards) {
        attempt_over(x, fault);
        end_without_endpoint(x);
    } else if (retry(x, fault, stale)) {
        exchange_run(x);
    } else {
        exchange_fault(x, fault);
    }
}

void exchange_on_tunnel(struct exchange *x, struct tunnel *t)
{
    x->response_begun = true;
    x->status = 101;
    x->client->send_head(x->session, &x->response, false);
    access_line_keep(x, t);
    x->client->tunnel(x->session, t);
    if (x->limited != NULL)
        limits_tunnel(x);
    exchange_end(x);
}
