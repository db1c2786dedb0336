/* reply.c -- what this edge answers by itself: faults, redirects, texts of rules.
 *
 * A fault's answer is made once and kept by the worker: refusing costs less than serving.
 *
 * Owns:    the answers that are kept.
 * Thread:  its worker.
 * Used by: exchange.c.
 * Not here: which answer it is (exchange.c, match.c); how HTTP/1 writes it (session.c). */
#include "proxy/reply.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "http/framing.h"
#include "http/parser.h"
#include "http/serializer.h"
#include "proxy/attempt.h"
#include "proxy/match.h"
#include "proxy/module_run.h"
#include "proxy/worker_state.h"
#include "routing/rewrite.h"

#define TEXT_PLAIN STR("text/plain; charset=utf-8")
#define TEXT_HTML STR("text/html; charset=utf-8")

/* A head and a body on their way. */
struct reply {
    struct head head;
    struct buf text; /* of the head */
};

/* A fault's, as it was answered last. */
struct kept_reply {
    bool made;
    uint32_t retry_after_s; /* 0: it does not say */
    struct reply reply;
    struct buf body;
};

struct kept_replies {
    struct kept_reply of[FAULT_COUNT];
};

static void add_field(struct reply *r, const char *name, struct str value)
{
    struct head *h = &r->head;
    struct field *f = head_add(h, HEAD_FIELDS_INLINE);

    *f = (struct field){ .name_at = (uint32_t)r->text.len, .name_len = (uint16_t)strlen(name) };
    buf_add(&r->text, name, f->name_len);
    buf_add_text(&r->text, ": ");
    f->value_at = (uint32_t)r->text.len;
    f->value_len = (uint32_t)value.len;
    buf_add_str(&r->text, value);
    buf_add_text(&r->text, "\r\n");
    h->base = r->text.ptr;
}

static void add_number(struct reply *r, const char *name, uint64_t n)
{
    char number[24];

    snprintf(number, sizeof(number), "%llu", (unsigned long long)n);
    add_field(r, name, str_from(number));
}

static void begin(struct reply *r, unsigned status)
{
    r->text = (struct buf){ 0 };
    head_init(&r->head);
    r->head.status = (uint16_t)status;
    r->head.minor = 1;
}

static bool has_body(const struct exchange *x, const struct reply *r)
{
    return (x->request.method != HTTP_HEAD || x->request.bytes == 0) &&
           !framing_ends_with_head(r->head.status);
}

static void add_body_fields(struct reply *r, struct str body, struct str type)
{
    if (body.len > 0)
        add_field(r, "Content-Type", type);
    if (!framing_ends_with_head(r->head.status))
        add_number(r, "Content-Length", body.len);
}

static void give(struct exchange *x, struct reply *r, struct str body)
{
    if (x->modules != NULL && !x->modules->direct) {
        modules_keep_reply(x, &r->head, body);
        return;
    }
    r->head.body = has_body(x, r) ? BODY_LENGTH : BODY_NONE;
    r->head.body_bytes = body.len;
    x->status = r->head.status;
    x->client->send_head(x->session, &r->head, false);
    if (r->head.body == BODY_LENGTH && body.len > 0) {
        x->response_body_bytes = body.len;
        x->client->send_body(x->session, body.ptr, body.len);
    }
    x->client->finish(x->session, STR(""));
}

static void free_reply(struct reply *r)
{
    head_free(&r->head);
    buf_free(&r->text);
}

static void finish(struct exchange *x, struct reply *r, struct str body, struct str type)
{
    add_body_fields(r, body, type);
    give(x, r, body);
    free_reply(r);
}

static void begin_fault(struct reply *r, const struct fault_row *row, uint32_t retry_after_s)
{
    begin(r, row->status);
    add_field(r, "Cache-Control", STR("no-store"));
    add_field(r, "Usher-Fault", str_from(row->name));
    if (retry_after_s > 0)
        add_number(r, "Retry-After", retry_after_s);
}

static void make(struct kept_reply *k, enum fault fault, uint32_t retry_after_s)
{
    const struct fault_row *row = fault_row(fault);

    if (k->made)
        free_reply(&k->reply);
    k->made = true;
    k->retry_after_s = retry_after_s;
    begin_fault(&k->reply, row, retry_after_s);
    buf_clear(&k->body);
    buf_printf(&k->body, "%u " STR_FMT "\n%s: %s\n", row->status,
               STR_ARG(serializer_reason(row->status)), row->name, row->sentence);
    add_body_fields(&k->reply, str_slice(k->body.ptr, k->body.len), TEXT_PLAIN);
}

static struct kept_reply *find_kept(struct worker *w, enum fault fault)
{
    if (w->replies == NULL)
        w->replies = check_alloc(sizeof(*w->replies));
    return &w->replies->of[fault];
}

void replies_free(struct worker *w)
{
    for (unsigned i = 0; w->replies != NULL && i < FAULT_COUNT; i++) {
        if (w->replies->of[i].made)
            free_reply(&w->replies->of[i].reply);
        buf_free(&w->replies->of[i].body);
    }
    free(w->replies);
    w->replies = NULL;
}

/* 0: it is not to be said. */
static uint32_t retry_after(const struct exchange *x)
{
    switch (x->fault) {
    case FAULT_maintenance:
        return match_retry_after(x);
    case FAULT_too_many_connections:
    case FAULT_too_many_requests:
    case FAULT_rate_limited:
    case FAULT_bandwidth_exceeded:
        return x->retry_after_s;
    case FAULT_queue_full:
    case FAULT_queue_timeout:
        return (uint32_t)((service_queue_ms(x->balanced) + 999) / 1000);
    case FAULT_circuit_open:
        return (uint32_t)attempt_circuit_wait_s(x);
    default:
        return 0;
    }
}

void reply_fault(struct exchange *x)
{
    struct str page = x->fault == FAULT_maintenance ? match_page(x) : str_slice(NULL, 0);
    uint32_t retry_after_s = retry_after(x);
    struct kept_reply *k;
    struct reply r;

    if (page.ptr != NULL) {
        begin_fault(&r, fault_row(x->fault), retry_after_s);
        finish(x, &r, page, TEXT_HTML);
        return;
    }
    k = find_kept(x->w, x->fault);
    if (!k->made || k->retry_after_s != retry_after_s)
        make(k, x->fault, retry_after_s);
    give(x, &k->reply, str_slice(k->body.ptr, k->body.len));
}

static enum fault redirect(struct exchange *x)
{
    struct rewrite_request q = { .host = str_slice(x->target.host, x->target.host_len),
                                 .path = match_own_path(x),
                                 .query = x->target.query };
    size_t len = rewrite_url(x->action->text, &q, NULL);
    struct reply r;
    char *url;

    if (len > x->w->limits.head_bytes)
        return FAULT_uri_too_long;
    url = malloc(len + 1);
    if (url == NULL)
        return FAULT_out_of_memory;
    rewrite_url(x->action->text, &q, url);
    begin(&r, x->action->code);
    add_field(&r, "Location", str_slice(url, len));
    finish(x, &r, STR(""), TEXT_PLAIN);
    free(url);
    return FAULT_NONE;
}

enum fault reply_action(struct exchange *x)
{
    struct reply r;

    if (x->action->kind == ACTION_REDIRECT)
        return redirect(x);
    begin(&r, x->action->code);
    finish(x, &r, x->action->text, TEXT_PLAIN);
    return FAULT_NONE;
}
