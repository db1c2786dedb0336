/* frozen.c -- a module as it was written against ABI 1.0, with the header of that day beside it.
 *
 * It is built and loaded by the tests of every later edge, and is never changed: what it calls is what
 * modules out there call. */
#include "usher_module.h"

enum { HEADER, ALLOW, WAIT, LARGEST, LOG, MODE, ADD, USERS, OTHER, ROWS };

static const struct usher_setting settings[ROWS] = {
    [HEADER] = { .name = "header",
                 .type = USHER_TYPE_TEXT,
                 .flags = USHER_REQUIRED,
                 .least = 1,
                 .most = 64,
                 .meaning = "requests without this header are refused" },
    [ALLOW] = { .name = "allow",
                .type = USHER_TYPE_NUMBER,
                .standard = "1",
                .least = 0,
                .most = 100,
                .meaning = "so many of it are taken" },
    [WAIT] = { .name = "wait",
               .type = USHER_TYPE_TIME,
               .standard = "2s",
               .meaning = "how long Redis may take" },
    [LARGEST] = { .name = "largest",
                  .type = USHER_TYPE_SIZE,
                  .standard = "64k",
                  .meaning = "the longest body" },
    [LOG] = { .name = "log",
              .type = USHER_TYPE_SWITCH,
              .standard = "off",
              .meaning = "a line for each that is refused" },
    [MODE] = { .name = "mode",
               .type = USHER_TYPE_WORD,
               .words = "strict lax",
               .standard = "strict",
               .meaning = "lax: only counted" },
    [ADD] = { .name = "add",
              .type = USHER_TYPE_PAIR,
              .flags = USHER_MANY,
              .meaning = "a header that the endpoint gets" },
    [USERS] = { .name = "users", .type = USHER_TYPE_KEY, .meaning = "who is let in, a set" },
    [OTHER] = { .name = "other", .type = USHER_TYPE_SERVICE, .meaning = "where lax ones go" },
};

enum { REFUSED, OPEN };

static const struct usher_metric metrics[] = {
    [REFUSED] = { "refused_total", USHER_COUNTER, "requests without the header" },
    [OPEN] = { "open", USHER_GAUGE, "requests between their first hook and their last" },
};

struct frozen {
    struct usher_text header, tenant;
    const struct usher_value *added;
    uint32_t added_count;
    int64_t allow;
    uint64_t other;
    bool lax, logs;
};

static bool compile(struct usher_compile *c, const struct usher_given *given, void **compiled)
{
    struct frozen *f = usher_keep(c, sizeof(*f));
    struct usher_value *added = usher_keep(c, given[ADD].count * sizeof(*added));

    f->header = given[HEADER].values[0].text;
    for (size_t i = 0; i < f->header.len; i++)
        if (f->header.ptr[i] <= ' ' || f->header.ptr[i] == ':')
            return usher_refuse(c, HEADER, 0, "the name of a header, such as X-Api-Key");
    f->tenant = usher_compile_tenant(c);
    f->allow = given[ALLOW].values[0].number;
    for (uint32_t i = 0; i < given[ADD].count; i++)
        added[i] = given[ADD].values[i];
    f->added = added;
    f->added_count = given[ADD].count;
    f->other = given[OTHER].count > 0 ? (uint64_t)given[OTHER].values[0].number : 0;
    f->lax = given[MODE].values[0].number == 1;
    f->logs = given[LOG].values[0].number;
    *compiled = f;
    return true;
}

static enum usher_result on_request(struct usher_exchange *x, const void *compiled)
{
    const struct frozen *f = compiled;
    struct usher_text value = usher_header(x, USHER_REQUEST, f->header, 0);

    *usher_state(x) = usher_alloc(x, 1);
    usher_count(x, OPEN, 1);
    if (value.ptr != NULL &&
        usher_header(x, USHER_REQUEST, f->header, (uint32_t)f->allow).ptr == NULL)
        return USHER_GO_ON;
    usher_count(x, REFUSED, 1);
    if (f->logs)
        usher_log(x, USHER_LOG_NOTICE, "a request without its header");
    if (f->lax)
        return f->other == 0 || usher_choose_service(x, f->other) ? USHER_GO_ON : USHER_FAULT;
    return usher_reply(x, 403, usher_text("text/plain"), usher_text("the header is missing\n"));
}

static enum usher_result on_upstream(struct usher_exchange *x, const void *compiled)
{
    const struct frozen *f = compiled;

    for (uint32_t i = 0; i < f->added_count; i++)
        if (!usher_header_set(x, USHER_REQUEST, f->added[i].name, f->added[i].text))
            return USHER_FAULT;
    return USHER_GO_ON;
}

static enum usher_result on_response(struct usher_exchange *x, const void *compiled)
{
    (void)compiled;
    return usher_header_set(x, USHER_RESPONSE, usher_text("X-Frozen"), usher_text("1.0"))
               ? USHER_GO_ON
               : USHER_FAULT;
}

static void on_done(struct usher_exchange *x, const void *compiled)
{
    (void)compiled;
    if (*usher_state(x) != NULL)
        usher_count(x, OPEN, -1);
}

USHER_MODULE(frozen) = {
    USHER_MODULE_ABI,           .name = "frozen",
    .version = "1.0",           .summary = "refuses requests without a header, as ABI 1.0 had it",
    USHER_SETTINGS(settings),   USHER_METRICS(metrics),
    .compile = compile,         .on_request = on_request,
    .on_upstream = on_upstream, .on_response = on_response,
    .on_done = on_done,
};
