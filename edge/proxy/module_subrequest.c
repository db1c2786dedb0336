/* module_subrequest.c -- requests of a module's own: exchanges that have no client but the module.
 *
 * Such an exchange begins at the step that chooses an endpoint, has no modules itself, and counts in
 * no figure of clients' requests. It begins, and its end is told, at a turn's end: never inside a
 * hook, nor inside what another exchange is doing.
 *
 * Owns:    each sub-request until its end is told, or nobody waits for it any more.
 * Thread:  its worker.
 * Used by: modules (usher_subrequest); worker.c, when it stops.
 * Not here: what else takes time (module_wait.c); the exchange itself (exchange.c). */
#include <stdlib.h>

#include "base/check.h"
#include "http/parser.h"
#include "proxy/match.h"
#include "proxy/module_calls.h"
#include "proxy/upstream.h"
#include "proxy/worker_state.h"

#define TIMEOUT_MS 5000
#define TIMEOUT_MOST_MS (10 * 60 * 1000)
#define RESPONSE_BYTES (64 * 1024)
#define BODY_BYTES_MOST (1u << 20)
#define FORGOTTEN_MOST 256               /* at once, of one worker, */
#define FORGOTTEN_BYTES_MOST (32u << 20) /* and what their bodies may take */
#define CLIENT_IP_SIZE 64

struct block {
    struct block *before;
    _Alignas(16) char bytes[];
};

struct subrequest {
    struct module_pending pending; /* of a forgotten one: unused */
    struct list node;
    struct worker *w;
    struct exchange *x;   /* NULL: it has ended */
    struct turn_end turn; /* begins it, and then tells its end */
    struct timer deadline;
    struct usher_response *response;
    bool forget, begun, too_large;
    enum fault fault; /* instead of beginning; then, what it came to */
    uint32_t most_bytes;
    struct address client;
    char client_ip[CLIENT_IP_SIZE];
    struct str body;  /* of the request */
    struct head head; /* of the response, in `head_bytes` */
    char *head_bytes;
    struct buf answer;
    void *blocks;
};

/* --- memory --- */

static void *alloc(void *owner, size_t bytes)
{
    struct subrequest *sub = owner;
    struct block *block = calloc(1, sizeof(*block) + bytes);

    if (block == NULL)
        return NULL;
    block->before = sub->blocks;
    sub->blocks = block;
    return block->bytes;
}

static bool copy(struct subrequest *sub, struct str from, struct str *to)
{
    char *bytes;

    *to = str_slice(NULL, 0);
    if (from.ptr == NULL)
        return true;
    bytes = alloc(sub, from.len + 1);
    if (bytes == NULL)
        return false;
    if (from.len > 0)
        memcpy(bytes, from.ptr, from.len);
    *to = str_slice(bytes, from.len);
    return true;
}

static void dispose(struct subrequest *sub)
{
    struct worker *w = sub->w;
    struct block *block;

    turn_end_cancel(&sub->turn);
    timer_stop(&sub->deadline);
    list_remove(&sub->node);
    w->subrequest_count.all--;
    if (sub->forget) {
        w->subrequest_count.forgotten--;
        w->subrequest_count.forgotten_bytes -= sub->body.len;
    }
    while ((block = sub->blocks) != NULL) {
        sub->blocks = block->before;
        free(block);
    }
    head_free(&sub->head);
    free(sub->head_bytes);
    buf_free(&sub->answer);
    free(sub);
    worker_subrequest_gone(w);
}

/* --- the exchange's client --- */

static void take_head(void *session, const struct head *head, bool interim)
{
    struct subrequest *sub = session;

    if (interim || sub->x->fault != FAULT_NONE)
        return;
    sub->head.status = head->status;
    if (sub->forget)
        return;
    sub->head_bytes = malloc(head->bytes + 1);
    if (sub->head_bytes == NULL)
        return;
    memcpy(sub->head_bytes, head->base, head->bytes);
    sub->head.base = sub->head_bytes;
    sub->head.bytes = head->bytes;
    for (unsigned i = 0; i < head->count; i++) {
        struct field *f = head_add(&sub->head, sub->w->limits.header_count);

        if (f != NULL)
            *f = head->fields[i];
    }
}

static void take_body(void *session, const char *bytes, size_t len)
{
    struct subrequest *sub = session;

    if (sub->x->fault != FAULT_NONE)
        return;
    sub->too_large |= sub->most_bytes > 0 && sub->x->response_body_bytes > sub->most_bytes;
    if (!sub->forget && !sub->too_large)
        buf_add(&sub->answer, bytes, len);
}

static bool is_wanted(void *session)
{
    const struct subrequest *sub = session;

    return !sub->too_large;
}

/* The exchange ends when this returns. */
static void settle(struct subrequest *sub)
{
    sub->fault = sub->x->fault;
    sub->x = NULL;
    timer_stop(&sub->deadline);
    loop_at_turn_end(&sub->w->loop, &sub->turn);
}

static void finish(void *session, struct str trailers)
{
    (void)trailers;
    settle(session);
}

static void abort_response(void *session)
{
    settle(session);
}

static bool recall(void *session)
{
    (void)session;
    return false;
}

static void pause_request(void *session)
{
    (void)session;
}

static bool give_body(void *session)
{
    struct subrequest *sub = session;
    struct exchange *x = sub->x;

    exchange_on_request_body(x, sub->body.ptr, sub->body.len);
    exchange_on_request_end(x, STR(""));
    return true;
}

static void refuse_tunnel(void *session, struct tunnel *t)
{
    (void)session;
    (void)t;
    CHECK(!"its head has no Upgrade");
}

static bool is_blocked(void *session)
{
    (void)session;
    return false;
}

static struct str client_ip(void *session)
{
    const struct subrequest *sub = session;

    return str_from(sub->client_ip);
}

static const struct address *client_address(void *session)
{
    const struct subrequest *sub = session;

    return &sub->client;
}

static const struct client_side module_side = {
    .own = true,
    .send_head = take_head,
    .send_body = take_body,
    .flush = is_wanted,
    .finish = finish,
    .recall = recall,
    .abort = abort_response,
    .pause = pause_request,
    .resume = give_body,
    .tunnel = refuse_tunnel,
    .is_blocked = is_blocked,
    .client_ip = client_ip,
    .client_address = client_address,
};

/* --- its end --- */

static struct usher_text told(struct module_run *run, struct str from)
{
    char *to = modules_alloc(run, from.len + 1);

    if (to != NULL && from.len > 0)
        memcpy(to, from.ptr, from.len);
    return (struct usher_text){ to, from.len };
}

/* In memory of the exchange that waits; false: there is none. */
static bool tell_response(struct subrequest *sub, struct usher_response *r)
{
    struct module_run *run = sub->pending.run;
    const struct head *h = &sub->head;
    struct usher_pair *pairs = modules_alloc(run, (h->count + 1u) * sizeof(*pairs));
    struct usher_text bytes = told(run, str_slice(h->base, sub->head_bytes ? h->bytes : 0));

    if (pairs == NULL || bytes.ptr == NULL || sub->head_bytes == NULL)
        return false;
    for (unsigned i = 0; i < h->count; i++) {
        const struct field *f = &h->fields[i];

        pairs[i].name = (struct usher_text){ bytes.ptr + f->name_at, f->name_len };
        pairs[i].value = (struct usher_text){ bytes.ptr + f->value_at, f->value_len };
    }
    r->body = told(run, str_slice(sub->answer.ptr, sub->answer.len));
    if (r->body.ptr == NULL)
        return false;
    r->headers = pairs;
    r->header_count = h->count;
    r->status = h->status;
    return true;
}

static void tell(struct subrequest *sub)
{
    struct usher_response *r = sub->response;
    bool good = sub->fault == FAULT_NONE && !sub->too_large;

    if (sub->pending.run != NULL) {
        *r = (struct usher_response){ 0 };
        if (sub->too_large)
            r->failure = usher_text("response_too_large");
        else if (!good)
            r->failure = usher_text(fault_row(sub->fault)->name);
        else if (!tell_response(sub, r))
            *r = (struct usher_response){ .failure = usher_text("out_of_memory") };
    }
    counter_add(&sub->w->counters->subrequests[good ? SUBREQUEST_ANSWERED : SUBREQUEST_FAILED], 1);
    modules_pending_done(&sub->pending);
    dispose(sub);
}

static void on_turn(struct turn_end *end)
{
    struct subrequest *sub = LIST_ITEM(end, struct subrequest, turn);

    if (sub->begun) {
        tell(sub);
        return;
    }
    sub->begun = true;
    if (sub->fault != FAULT_NONE)
        exchange_fault(sub->x, sub->fault);
    else
        exchange_start_own(sub->x);
}

static void on_deadline(struct timer *t)
{
    struct subrequest *sub = LIST_ITEM(t, struct subrequest, deadline);

    exchange_fault(sub->x, FAULT_response_timeout);
}

static void cut(struct subrequest *sub, enum fault fault)
{
    struct exchange *x = sub->x;

    sub->x = NULL;
    if (x != NULL)
        exchange_on_client_gone(x, fault);
    counter_add(&sub->w->counters->subrequests[SUBREQUEST_CUT], 1);
    dispose(sub);
}

static void cancel(struct module_pending *p)
{
    cut(LIST_ITEM(p, struct subrequest, pending), FAULT_client_closed);
}

void modules_cut_subrequests(struct worker *w)
{
    LIST_EACH (node, after, &w->subrequests)
        cut(LIST_ITEM(node, struct subrequest, node), FAULT_drain_cut);
}

/* --- its beginning --- */

static struct str str_of(struct usher_text t)
{
    return str_slice(t.ptr, t.len);
}

static bool is_right(const struct module_run *run, const struct usher_request *q)
{
    uint32_t most = run->x->w->settings->max_url_bytes;
    char normal[TARGET_HOST_MAX + 1];
    uint8_t method;

    if (!parser_method_number(str_of(q->method), &method) || q->body.len > BODY_BYTES_MOST ||
        q->timeout_ms > TIMEOUT_MOST_MS || q->most_bytes > BODY_BYTES_MOST)
        return false;
    if (q->path.len > 0 && (q->path.ptr[0] != '/' || memchr(q->path.ptr, '?', q->path.len)))
        return false;
    if (q->path.len > most || q->query.len > most || !module_text_is_visible(q->path) ||
        !module_text_is_visible(q->query) || !module_text_is_visible(q->host) ||
        (q->host.len > 0 && target_normal_host(str_of(q->host), normal) == 0))
        return false;
    for (uint32_t i = 0; i < q->header_count; i++)
        if (!head_edit_name_is_right(str_of(q->headers[i].name)) ||
            !head_edit_value_is_right(str_of(q->headers[i].value)))
            return false;
    return run->x->path_sent.ptr != NULL || q->path.len > 0;
}

/* The module's fields, but for those that are the edge's to say; and which edges the request at hand
 * has been through, so that loops end. */
static bool write_fields(struct subrequest *sub, const struct exchange *parent,
                         const struct usher_request *q)
{
    struct head *h = &sub->x->request;
    struct head_text text = { .alloc = alloc,
                              .owner = sub,
                              .most = sub->w->limits.head_bytes,
                              .most_fields = sub->w->limits.header_count };

    if (!head_edit_own(h, &text))
        return false;
    for (uint32_t i = 0; i < q->header_count; i++) {
        struct str name = str_of(q->headers[i].name);

        if (!head_edit_is_ours(name, false) &&
            !head_edit_add(h, &text, name, str_of(q->headers[i].value)))
            return false;
    }
    for (unsigned i = 0; i < parent->request.count; i++) {
        struct str name = head_name(&parent->request, &parent->request.fields[i]);

        if ((str_equals_nocase(name, STR("CDN-Loop")) || str_equals_nocase(name, STR("Via"))) &&
            !head_edit_add(h, &text, name,
                           head_value(&parent->request, &parent->request.fields[i])))
            return false;
    }
    return true;
}

static bool says_no_body(uint8_t method)
{
    return method == HTTP_POST || method == HTTP_PUT || method == HTTP_PATCH;
}

static bool write_head(struct subrequest *sub, const struct exchange *parent,
                       const struct usher_request *q)
{
    struct head *h = &sub->x->request;

    parser_method_number(str_of(q->method), &h->method);
    h->minor = 1;
    h->keep_alive = true;
    h->body = q->body.len > 0 ? BODY_LENGTH : BODY_NONE;
    h->body_bytes = q->body.len;
    h->length_count = q->body.len > 0 || says_no_body(h->method);
    return write_fields(sub, parent, q) && copy(sub, str_of(q->body), &sub->body);
}

/* What is not said is as the endpoint of the exchange at hand gets it. */
static bool write_target(struct subrequest *sub, const struct module_run *run,
                         const struct usher_request *q)
{
    const struct exchange *parent = run->x;
    struct exchange *x = sub->x;
    struct str path = parent->path_sent, query = parent->target.query, host = run->host_sent;

    if (run->query_changed)
        query = run->query_sent;
    if (host.len == 0 && parent->route != NULL)
        host = parent->route->host;
    if (q->path.len > 0) {
        path = str_of(q->path);
        query = str_of(q->query);
        host = str_slice(NULL, 0);
    }
    if (q->host.len > 0)
        host = str_of(q->host);
    x->https = parent->https;
    memcpy(x->target.host, parent->target.host, parent->target.host_len);
    x->target.host_len = parent->target.host_len;
    if (!copy(sub, path, &x->path_sent) || !copy(sub, query, &x->target.query) ||
        !copy(sub, host, &x->host_sent) || !copy(sub, parent->forwarded_host, &x->forwarded_host) ||
        !copy(sub, parent->target.authority, &x->target.authority))
        return false;
    x->path = x->target.path = x->path_sent;
    return true;
}

static bool has_room(struct worker *w, const struct usher_request *q)
{
    bool room = w->subrequest_count.forgotten < FORGOTTEN_MOST &&
                w->subrequest_count.forgotten_bytes + q->body.len <= FORGOTTEN_BYTES_MOST;

    if (!room)
        counter_add(&w->counters->subrequests[SUBREQUEST_REFUSED], 1);
    return room;
}

static struct subrequest *new_subrequest(struct module_run *run, const struct usher_request *q)
{
    struct exchange *parent = run->x;
    struct str ip = parent->client->client_ip(parent->session);
    struct subrequest *sub = calloc(1, sizeof(*sub));

    if (sub == NULL)
        return NULL;
    sub->w = parent->w;
    sub->forget = q->forget;
    sub->most_bytes = q->most_bytes > 0 || q->forget ? q->most_bytes : RESPONSE_BYTES;
    sub->client = *parent->client->client_address(parent->session);
    memcpy(sub->client_ip, ip.ptr, ip.len < CLIENT_IP_SIZE ? ip.len : CLIENT_IP_SIZE - 1);
    list_init(&sub->node);
    list_init(&sub->pending.node);
    head_init(&sub->head);
    turn_end_init(&sub->turn, on_turn);
    timer_init(&sub->deadline, on_deadline);
    return sub;
}

/* From here on it ends by its exchange's end. */
static void begin(struct subrequest *sub, struct module_run *run, const struct usher_request *q,
                  uint32_t slot)
{
    struct worker *w = sub->w;
    struct exchange *x = exchange_new(w, &module_side, sub);
    uint32_t timeout_ms = q->timeout_ms > 0 ? q->timeout_ms : TIMEOUT_MS;

    sub->x = x;
    x->timeout_ms = timeout_ms;
    sub->fault = match_own(x, run->x, slot);
    if (!write_target(sub, run, q))
        sub->fault = FAULT_out_of_memory;
    else if (!write_head(sub, run->x, q))
        sub->fault = FAULT_head_too_large;
    list_append(&w->subrequests, &sub->node);
    w->subrequest_count.all++;
    if (sub->forget) {
        w->subrequest_count.forgotten++;
        w->subrequest_count.forgotten_bytes += sub->body.len;
    }
    timer_set(&w->loop, &sub->deadline, timeout_ms);
    loop_at_turn_end(&w->loop, &sub->turn);
}

bool module_subrequest(struct usher_exchange *o, const struct usher_request *request,
                       struct usher_response *response, usher_resumed resumed, void *arg)
{
    struct module_run *run = run_of(o);
    struct subrequest *sub;
    uint32_t slot;

    if (run->hook == HOOK_NONE || run->hook == HOOK_DONE || !is_right(run, request) ||
        !module_service_slot(run, request->service, &slot))
        return false;
    if (request->forget ? !has_room(run->x->w, request) : response == NULL || resumed == NULL)
        return false;
    sub = new_subrequest(run, request);
    if (sub == NULL)
        return false;
    if (!request->forget && !modules_pend(run, &sub->pending, resumed, arg)) {
        free(sub);
        return false;
    }
    sub->pending.cancel = cancel;
    sub->response = response;
    begin(sub, run, request, slot);
    return true;
}
