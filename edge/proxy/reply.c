/* reply.c -- what this edge answers by itself: faults, redirects, texts of rules.
 *
 * Owns:    nothing.
 * Thread:  its worker.
 * Used by: exchange.c.
 * Not here: which answer it is (exchange.c, match.c); how HTTP/1 writes it (session.c). */
#include "proxy/reply.h"

#include <stdio.h>
#include <stdlib.h>

#include "http/parser.h"
#include "http/serializer.h"
#include "proxy/limits.h"
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

static void add_field(struct reply *r, const char *name, struct str value)
{
    struct head *h = &r->head;
    struct field *f = head_add(h, HEAD_FIELDS_INLINE);

    *f = (struct field){ .name_at = (uint32_t)r->text.len, .name_len = (uint16_t)strlen(name) };
    buf_printf(&r->text, "%s: ", name);
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

/* Neither HEAD nor these have a body (RFC 9110 6.4.1). */
static bool has_body(const struct exchange *x, const struct reply *r)
{
    return (x->request.method != HTTP_HEAD || x->request.bytes == 0) && r->head.status != 204 &&
           r->head.status != 304;
}

static void finish(struct exchange *x, struct reply *r, struct str body, struct str type)
{
    if (body.len > 0)
        add_field(r, "Content-Type", type);
    if (r->head.status != 204 && r->head.status != 304)
        add_number(r, "Content-Length", body.len);
    if (x->modules != NULL && !x->modules->direct) {
        modules_keep_reply(x, &r->head, body);
        head_free(&r->head);
        buf_free(&r->text);
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
    head_free(&r->head);
    buf_free(&r->text);
}

void reply_fault(struct exchange *x)
{
    const struct fault_row *row = fault_row(x->fault);
    struct str page = { NULL, 0 };
    struct buf text = { 0 };
    struct reply r;

    begin(&r, row->status);
    add_field(&r, "Cache-Control", STR("no-store"));
    add_field(&r, "Usher-Fault", str_from(row->name));
    if (x->fault == FAULT_maintenance) {
        add_number(&r, "Retry-After", match_retry_after(x));
        page = match_page(x);
    }
    if (limits_is_refusal(x->fault) && x->fault != FAULT_denied_address &&
        x->fault != FAULT_body_too_large)
        add_number(&r, "Retry-After", x->retry_after_s);
    if (x->fault == FAULT_queue_full || x->fault == FAULT_queue_timeout)
        add_number(&r, "Retry-After", (service_queue_ms(x->balanced) + 999) / 1000);
    if (x->fault == FAULT_circuit_open)
        add_number(&r, "Retry-After", attempt_circuit_wait_s(x));
    if (page.ptr != NULL) {
        finish(x, &r, page, TEXT_HTML);
        return;
    }
    buf_printf(&text, "%u " STR_FMT "\n%s: %s\n", row->status,
               STR_ARG(serializer_reason(row->status)), row->name, row->sentence);
    finish(x, &r, str_slice(text.ptr, text.len), TEXT_PLAIN);
    buf_free(&text);
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
