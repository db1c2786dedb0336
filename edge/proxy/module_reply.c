/* module_reply.c -- responses that the edge gives itself, when there are modules to see them.
 *
 * Owns:    nothing beside the run of modules.
 * Thread:  its worker.
 * Used by: exchange.c, reply.c; modules (usher_reply, usher_replace_body, usher_fault).
 * Not here: files (module_file.c); what hooks do to bodies (module_body.c). */
#include "http/framing.h"
#include "http/parser.h"
#include "proxy/module_calls.h"
#include "proxy/worker_state.h"

static bool add(struct module_run *run, const char *name, struct str value)
{
    return head_edit_add(&run->x->response, &run->response_text, str_from(name), value);
}

/* Also for modules to see, before it is sent. */
void modules_say_length(struct module_run *run, uint64_t bytes)
{
    struct head *h = &run->x->response;
    bool says_length = !framing_ends_with_head(h->status);
    char number[24];
    size_t at = sizeof(number);

    if (run->length == bytes && h->known[FIELD_CONTENT_LENGTH] != 0 && says_length)
        return;
    run->length = bytes;
    if (h->known[FIELD_CONTENT_LENGTH] != 0)
        head_edit_remove(h, STR("Content-Length"));
    do
        number[--at] = (char)('0' + bytes % 10);
    while ((bytes /= 10) > 0);
    if (says_length)
        add(run, "Content-Length", str_slice(number + at, sizeof(number) - at));
}

static void begin(struct module_run *run, unsigned status)
{
    struct head *h = &run->x->response;

    head_clear(h);
    h->status = (uint16_t)status;
    h->minor = 1;
    run->response_text.ptr = NULL;
    run->response_text.len = 0;
    modules_drop_file(run);
    run->has_response = true;
    run->replaced = run->discards = false;
}

void modules_forget_reply(struct module_run *run)
{
    run->has_response = false;
    run->source = USHER_FROM_ENDPOINT;
    run->body = str_slice(NULL, 0);
    modules_drop_file(run);
}

static bool keep_body(struct module_run *run, struct str body)
{
    char *copy = modules_alloc(run, body.len + 1);

    if (copy == NULL)
        return false;
    if (body.len > 0)
        memcpy(copy, body.ptr, body.len);
    run->body = str_slice(copy, body.len);
    return true;
}

void modules_keep_reply(struct exchange *x, const struct head *head, struct str body)
{
    struct module_run *run = x->modules;
    bool good = true;

    begin(run, head->status);
    run->source = USHER_FROM_EDGE;
    for (unsigned i = 0; good && i < head->count; i++) {
        good = head_edit_add(&x->response, &run->response_text, head_name(head, &head->fields[i]),
                             head_value(head, &head->fields[i]));
        if (good && x->response.fields[i].id == FIELD_USHER) /* an endpoint's would be dropped */
            x->response.fields[i].id = FIELD_OTHER;
    }
    if (!good || !keep_body(run, body))
        run->body = str_slice("", 0);
    modules_say_length(run, run->body.len);
}

bool modules_take_fault(struct exchange *x)
{
    struct module_run *run = x->modules;

    run->direct = run->faulted || x->client->is_blocked(x->session);
    if (run->direct)
        return false;
    modules_stop_waiting(run);
    run->faulted = true;
    run->holding = false;
    run->deferred = FAULT_NONE;
    buf_clear(&run->to_client);
    return true;
}

static enum usher_result reply(struct module_run *run, uint32_t status, struct usher_text type,
                               struct usher_text body, uint64_t bytes)
{
    if (run->hook != HOOK_REQUEST || status < 200 || status > 599)
        return USHER_FAULT;
    begin(run, status);
    run->source = USHER_FROM_MODULE;
    if (!keep_body(run, str_slice(body.ptr, body.len)) ||
        (type.len > 0 && (!head_edit_value_is_right(str_slice(type.ptr, type.len)) ||
                          !add(run, "Content-Type", str_slice(type.ptr, type.len))))) {
        run->has_response = false;
        return USHER_FAULT;
    }
    modules_say_length(run, bytes);
    return USHER_ANSWERED;
}

enum usher_result module_reply(struct usher_exchange *o, uint32_t status, struct usher_text type,
                               struct usher_text body)
{
    return reply(run_of(o), status, type, body, body.len);
}

enum usher_result modules_begin_file(struct module_run *run, uint32_t status, uint64_t bytes)
{
    struct usher_text none = { NULL, 0 };

    return reply(run, status, none, none, bytes);
}

bool module_replace_body(struct usher_exchange *o, struct usher_text type, struct usher_text body)
{
    static const char *const gone[] = { "Content-Type", "Content-Encoding", "Content-Length",
                                        "ETag",         "Last-Modified",    "Accept-Ranges",
                                        "Content-Range" };
    struct module_run *run = run_of(o);
    struct head *h = &run->x->response;

    if (run->hook != HOOK_RESPONSE || framing_is_empty(h->status) ||
        !head_edit_value_is_right(str_slice(type.ptr, type.len)) ||
        !keep_body(run, str_slice(body.ptr, body.len)))
        return false;
    for (unsigned i = 0; i < sizeof(gone) / sizeof(gone[0]); i++)
        head_edit_remove(h, str_from(gone[i]));
    run->replaced = true;
    modules_say_length(run, body.len);
    return type.len == 0 || add(run, "Content-Type", str_slice(type.ptr, type.len));
}

enum usher_result module_fault(struct usher_exchange *o, enum usher_because because)
{
    static const enum fault faults[] = { [USHER_BECAUSE_MODULE] = FAULT_module_fault,
                                         [USHER_BECAUSE_STORE] = FAULT_module_store,
                                         [USHER_BECAUSE_TIMEOUT] = FAULT_module_timeout,
                                         [USHER_BECAUSE_DENIED] = FAULT_denied,
                                         [USHER_BECAUSE_TOO_LARGE] = FAULT_content_too_large,
                                         [USHER_BECAUSE_SERVICE] = FAULT_module_service };

    if ((unsigned)because < sizeof(faults) / sizeof(faults[0]))
        run_of(o)->fault = faults[because];
    return USHER_FAULT;
}

/* --- sending --- */

/* Before the head goes out: a body that cannot be is not taken by anybody. */
static void settle_takes(struct exchange *x)
{
    if (!modules_has_body(x))
        x->modules->takes[USHER_RESPONSE] = false;
}

/* The head of a response whose body is all here: framed by its length, or by chunks when it goes
 * through modules. */
static void frame(struct exchange *x, uint64_t bytes)
{
    struct module_run *run = x->modules;
    struct head *h = &x->response;

    settle_takes(x);
    if (run->takes[USHER_RESPONSE]) {
        head_edit_remove(h, STR("Content-Length"));
        h->body = BODY_CHUNKED;
        return;
    }
    if (h->status == 205) /* RFC 9110 15.3.6: it is empty */
        bytes = 0;
    h->body = modules_has_body(x) ? BODY_LENGTH : BODY_NONE;
    h->body_bytes = bytes;
    modules_say_length(run, bytes);
}

bool modules_has_body(const struct exchange *x)
{
    return x->request.method != HTTP_HEAD && !framing_is_empty(x->response.status);
}

void modules_send_own_head(struct exchange *x, uint64_t bytes)
{
    frame(x, bytes);
    x->status = x->response.status;
    x->response_begun = true;
    x->client->send_head(x->session, &x->response, false);
}

enum modules_say modules_send_reply(struct exchange *x)
{
    struct module_run *run = x->modules;

    if (run->file != NULL && !run->replaced)
        return modules_send_file(x);
    modules_send_own_head(x, run->body.len);
    if (modules_has_body(x)) {
        x->response_body_bytes = run->body.len;
        modules_own_body(x, run->body);
    }
    if (run->deferred != FAULT_NONE) {
        run->fault = run->deferred;
        return MODULES_FAULT;
    }
    modules_give_response(x);
    x->client->finish(x->session, STR(""));
    return MODULES_GO_ON;
}

void modules_see_response(struct exchange *x)
{
    struct module_run *run = x->modules;

    run->has_response = true;
    run->source = USHER_FROM_ENDPOINT;
    run->response_text.ptr = NULL;
}

void modules_keep_head(struct exchange *x)
{
    struct module_run *run = x->modules;

    if (run->has_response && !head_edit_own(&x->response, &run->response_text))
        run->has_response = false;
}

void modules_hold_end(struct exchange *x, struct str trailers)
{
    struct module_run *run = x->modules;

    if (!run->holding)
        return;
    run->held_end = true;
    buf_add_str(&run->held_trailers, trailers);
}

bool modules_is_sending(const struct exchange *x)
{
    return x->modules->sending;
}

void modules_begin_response(struct exchange *x)
{
    struct module_run *run = x->modules;

    settle_takes(x);
    if (run->takes[USHER_RESPONSE]) {
        head_edit_remove(&x->response, STR("Content-Length"));
        x->response_framing = FRAMED_CHUNKED;
    } else if (run->replaced) {
        x->response_framing = FRAMED_LENGTH;
    }
    x->response_begun = true;
    x->status = x->response.status;
    x->client->send_head(x->session, &x->response, false);
    if (!run->replaced)
        return;
    if (modules_has_body(x))
        modules_own_body(x, run->body);
    run->discards = true;
}
