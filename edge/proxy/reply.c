/* reply.c -- a fault, told to the client.
 *
 * Owns:    nothing.
 * Thread:  its worker.
 * Used by: exchange.c.
 * Not here: which fault it is (exchange.c); how HTTP/1 writes it (session.c). */
#include "proxy/reply.h"

#include <stdio.h>

#include "http/parser.h"
#include "http/serializer.h"
#include "proxy/exchange.h"

#define RETRY_AFTER_S 60

static void add_field(struct head *h, struct buf *text, const char *name, const char *value)
{
    struct field *f = head_add(h, HEAD_FIELDS_INLINE);

    *f = (struct field){ .name_at = (uint32_t)text->len, .name_len = (uint16_t)strlen(name) };
    buf_printf(text, "%s: ", name);
    f->value_at = (uint32_t)text->len;
    f->value_len = (uint32_t)strlen(value);
    buf_printf(text, "%s\r\n", value);
    h->base = text->ptr;
}

void reply_fault(struct exchange *x)
{
    const struct fault_row *row = fault_row(x->fault);
    struct str reason = serializer_reason(row->status);
    struct buf text = { 0 }, body = { 0 };
    struct head h;
    char number[24];

    buf_printf(&body, "%u " STR_FMT "\n%s: %s\n", row->status, STR_ARG(reason), row->name,
               row->sentence);
    head_init(&h);
    h.status = (uint16_t)row->status;
    h.minor = 1;
    snprintf(number, sizeof(number), "%zu", body.len);
    add_field(&h, &text, "Content-Type", "text/plain; charset=utf-8");
    add_field(&h, &text, "Content-Length", number);
    add_field(&h, &text, "Cache-Control", "no-store");
    add_field(&h, &text, "Usher-Fault", row->name);
    if (x->fault == FAULT_maintenance) {
        snprintf(number, sizeof(number), "%d", RETRY_AFTER_S);
        add_field(&h, &text, "Retry-After", number);
    }
    h.body = x->request.method == HTTP_HEAD && x->request.bytes > 0 ? BODY_NONE : BODY_LENGTH;
    h.body_bytes = body.len;
    x->status = row->status;
    x->client->send_head(x->session, &h, false);
    if (h.body == BODY_LENGTH) {
        x->response_body_bytes = body.len;
        x->client->send_body(x->session, body.ptr, body.len);
    }
    x->client->finish(x->session, STR(""));
    head_free(&h);
    buf_free(&text);
    buf_free(&body);
}
