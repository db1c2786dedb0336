/* caller.c -- makes the sub-requests that the query of a request to /call says, and answers with what
 * came of them: for the tests of usher_subrequest.
 *
 *     GET /call?method=POST&path=/x&query=a&host=b.test&name=X-A&value=1&body=text&times=3
 *
 * One line for each: its status, a header of its response (?show=NAME), its body; or why it failed.
 * ?own goes to the exchange's own service, ?forget waits for nothing, ?again makes another one when the
 * first has come, ?later makes them when the response is there and tells them in X-Called. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "usher_module.h"

#define TIMES_MOST 20
#define HEADERS_MOST 4

enum { SERVICE, ROWS };

static const struct usher_setting settings[ROWS] = {
    [SERVICE] = { .name = "service",
                  .type = USHER_TYPE_SERVICE,
                  .flags = USHER_REQUIRED,
                  .meaning = "who is called" },
};

struct call {
    struct usher_request request;
    struct usher_pair headers[HEADERS_MOST];
    struct usher_response responses[TIMES_MOST];
    unsigned count, come;
    bool again;
};

static bool compile(struct usher_compile *c, const struct usher_given *given, void **compiled)
{
    uint64_t *service = usher_keep(c, sizeof(*service));

    *service = (uint64_t)given[SERVICE].values[0].number;
    *compiled = service;
    return true;
}

static struct usher_text parameter(struct usher_exchange *x, const char *name, uint32_t nth)
{
    return usher_parameter(x, usher_text(name), nth);
}

static uint32_t number(struct usher_exchange *x, const char *name, uint32_t otherwise)
{
    struct usher_text text = parameter(x, name, 0);

    return text.ptr != NULL ? (uint32_t)strtoul(usher_copy(x, text).ptr, NULL, 10) : otherwise;
}

static bool says(struct usher_exchange *x, const char *name)
{
    return parameter(x, name, 0).ptr != NULL;
}

static bool is(struct usher_text text, struct usher_text word)
{
    return text.len == word.len && memcmp(text.ptr, word.ptr, word.len) == 0;
}

static int length(struct usher_text text)
{
    return text.len < 2000 ? (int)text.len : 2000;
}

static struct usher_text told(struct usher_exchange *x, const struct call *c, const char *end)
{
    struct usher_text show = parameter(x, "show", 0);
    size_t room = TIMES_MOST * 4096, at = 0;
    char *to = usher_alloc(x, room);

    for (unsigned i = 0; to != NULL && i < c->count; i++) {
        const struct usher_response *r = &c->responses[i];

        if (i > 0)
            at += (size_t)snprintf(to + at, room - at, "%s", end);
        if (r->status == 0) {
            at += (size_t)snprintf(to + at, room - at, "failed %.*s", length(r->failure),
                                   r->failure.ptr);
            continue;
        }
        at += (size_t)snprintf(to + at, room - at, "%u", r->status);
        for (uint32_t k = 0; k < r->header_count; k++)
            if (show.ptr != NULL && is(r->headers[k].name, show))
                at += (size_t)snprintf(to + at, room - at, " %.*s", length(r->headers[k].value),
                                       r->headers[k].value.ptr);
        at += (size_t)snprintf(to + at, room - at, " %.*s", length(r->body), r->body.ptr);
    }
    return (struct usher_text){ to, at };
}

static enum usher_result on_come(struct usher_exchange *x, const void *compiled, void *arg)
{
    struct call *c = arg;

    (void)compiled;
    c->come++;
    if (c->again) {
        c->again = false;
        if (!usher_subrequest(x, &c->request, &c->responses[c->count++], on_come, c))
            return USHER_FAULT;
    }
    if (c->come < c->count)
        return USHER_WAIT;
    if (usher_status(x) == 0)
        return usher_reply(x, 200, usher_text("text/plain"), told(x, c, "\n"));
    usher_header_set(x, USHER_RESPONSE, usher_text("X-Called"), told(x, c, ", "));
    return USHER_GO_ON;
}

static struct call *read_call(struct usher_exchange *x, uint64_t service)
{
    struct call *c = usher_alloc(x, sizeof(*c));

    if (c == NULL)
        return NULL;
    c->again = says(x, "again");
    c->request = (struct usher_request){ .service = says(x, "own") ? usher_own_service(x) : service,
                                         .method = parameter(x, "method", 0),
                                         .path = parameter(x, "path", 0),
                                         .query = parameter(x, "query", 0),
                                         .host = parameter(x, "host", 0),
                                         .headers = c->headers,
                                         .body = parameter(x, "body", 0),
                                         .timeout_ms = number(x, "timeout", 0),
                                         .most_bytes = number(x, "most", 0),
                                         .forget = says(x, "forget") };
    if (c->request.method.ptr == NULL)
        c->request.method = usher_text("GET");
    while (c->request.header_count < HEADERS_MOST &&
           parameter(x, "name", c->request.header_count).ptr != NULL) {
        uint32_t i = c->request.header_count++;

        c->headers[i] = (struct usher_pair){ parameter(x, "name", i), parameter(x, "value", i) };
    }
    return c;
}

static enum usher_result call(struct usher_exchange *x, const uint64_t *service)
{
    struct call *c = read_call(x, *service);
    unsigned times = number(x, "times", 1);

    if (c == NULL || (says(x, "wait") && !usher_wait_most(x, number(x, "wait", 0))))
        return USHER_FAULT;
    while (c->count < times && c->count < TIMES_MOST - 1 &&
           usher_subrequest(x, &c->request, &c->responses[c->count], on_come, c))
        c->count++;
    if (c->count < times && usher_status(x) == 0)
        return usher_reply(x, 400, usher_text("text/plain"), usher_text("not called"));
    if (says(x, "forget"))
        return says(x, "reply") ? usher_reply(x, 200, usher_text("text/plain"), usher_text("gone"))
                                : USHER_GO_ON;
    return USHER_WAIT;
}

static enum usher_result on_request(struct usher_exchange *x, const void *compiled)
{
    if (!is(usher_path(x), usher_text("/call")) || says(x, "later"))
        return USHER_GO_ON;
    return call(x, compiled);
}

static enum usher_result on_response(struct usher_exchange *x, const void *compiled)
{
    return says(x, "later") ? call(x, compiled) : USHER_GO_ON;
}

/* From here nobody can be waited for, and nothing be sent. */
static void on_done(struct usher_exchange *x, const void *compiled)
{
    const uint64_t *service = compiled;
    struct usher_request q = { .service = *service,
                               .method = usher_text("GET"),
                               .path = usher_text("/done"),
                               .forget = true };

    if (usher_subrequest(x, &q, NULL, NULL, NULL))
        usher_log(x, USHER_LOG_ERROR, "called from on_done");
}

USHER_MODULE(caller) = {
    USHER_MODULE_ABI,         .name = "caller",
    .version = "1.0",         .summary = "makes the sub-requests that a request to /call says",
    USHER_SETTINGS(settings), .compile = compile,
    .on_request = on_request, .on_response = on_response,
    .on_done = on_done,
};
