/* error_pages.c -- the tenant's own pages, from a hash in Redis, in place of what the edge says of a fault.
 *
 *     redis-cli HSET usher:t:acme:error_pages 404 '<h1>Not here</h1>' 5xx '<h1>Back soon ({{request_id}})</h1>'
 *     redis-cli HSET usher:tenant:acme modules error_pages
 *
 * The response waits for Redis, but never long, and never comes to harm by it: without a page it is sent as it was.
 */
#include "usher_module.h"

#include <stdio.h>
#include <string.h>

enum { PAGES, TYPE, RESPONSES, REPLIES, WAIT, ROWS };
enum { METRIC_PAGES, METRIC_AWAY, METRICS };

#define CANDIDATES 4 /* the fault's name, 404, 4xx, default */

static const struct usher_setting settings[ROWS] = {
    [PAGES] = { .name = "pages",
                .type = USHER_TYPE_KEY,
                .meaning = "the hash of pages: usher:t:<tenant>:error_pages when not said" },
    [TYPE] = { .name = "type",
               .type = USHER_TYPE_TEXT,
               .standard = "text/html; charset=utf-8",
               .least = 3,
               .most = 100,
               .meaning = "the pages' Content-Type; who does not accept it gets none" },
    [RESPONSES] = { .name = "responses",
                    .type = USHER_TYPE_SWITCH,
                    .standard = "off",
                    .meaning = "also in place of what endpoints answer with a status from 400 on" },
    [REPLIES] = { .name = "replies",
                  .type = USHER_TYPE_SWITCH,
                  .standard = "off",
                  .meaning =
                      "also in place of what other modules answer with a status from 400 on" },
    [WAIT] = { .name = "wait",
               .type = USHER_TYPE_TIME,
               .standard = "1s",
               .least = 10,
               .most = 5000,
               .meaning = "how long a response waits for its page" },
};

static const struct usher_metric metrics[METRICS] = {
    [METRIC_PAGES] = { "pages_total", USHER_COUNTER, "Responses that got a page." },
    [METRIC_AWAY] = { "away_total", USHER_COUNTER,
                      "Responses without a page, for Redis was away, slow or busy." },
};

struct error_pages {
    struct usher_text key, type;
    struct usher_text range; /* of `type`: text/html */
    bool responses, replies;
    uint32_t wait_ms;
};

/* One response that waits for its page. */
struct search {
    struct usher_text fields[CANDIDATES];
    uint32_t count, at; /* at: which is asked for alone, when all together are too much */
    bool over, alone;
    char status[4], class[4];
    struct usher_answer answer;
};

/* --- settings --- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static struct usher_text trimmed(struct usher_text text)
{
    while (text.len > 0 && is_blank(text.ptr[0])) {
        text.ptr++;
        text.len--;
    }
    while (text.len > 0 && is_blank(text.ptr[text.len - 1]))
        text.len--;
    return text;
}

/* What stands before `end`; `rest` is what stands behind it, ptr NULL: nothing. */
static struct usher_text cut(struct usher_text *rest, char end)
{
    const char *at = rest->len > 0 ? memchr(rest->ptr, end, rest->len) : NULL;
    struct usher_text part = { rest->ptr, at != NULL ? (size_t)(at - rest->ptr) : rest->len };

    if (at != NULL)
        *rest = (struct usher_text){ at + 1, rest->len - part.len - 1 };
    else
        *rest = (struct usher_text){ NULL, 0 };
    return trimmed(part);
}

static bool is_type(struct usher_text range)
{
    const char *slash = range.len > 0 ? memchr(range.ptr, '/', range.len) : NULL;

    return slash != NULL && slash > range.ptr && slash < range.ptr + range.len - 1 &&
           memchr(range.ptr, ' ', range.len) == NULL;
}

static bool compile(struct usher_compile *c, const struct usher_given *given, void **compiled)
{
    struct error_pages *p = usher_keep(c, sizeof(*p));
    struct usher_text rest;

    p->key = given[PAGES].count > 0 ? given[PAGES].values[0].text : usher_text("error_pages");
    rest = p->type = given[TYPE].values[0].text;
    p->range = cut(&rest, ';');
    p->responses = given[RESPONSES].values[0].number;
    p->replies = given[REPLIES].values[0].number;
    p->wait_ms = (uint32_t)given[WAIT].values[0].number;
    *compiled = p;
    for (size_t i = 0; i < p->type.len; i++)
        if ((unsigned char)p->type.ptr[i] < ' ' || (unsigned char)p->type.ptr[i] > '~')
            return usher_refuse(c, TYPE, 0, "a Content-Type such as text/html");
    return is_type(p->range) || usher_refuse(c, TYPE, 0, "a Content-Type such as text/html");
}

/* --- which responses --- */

static bool is_same(struct usher_text a, struct usher_text b)
{
    for (size_t i = 0; a.len == b.len && i < a.len; i++) {
        char x = a.ptr[i], y = b.ptr[i];

        if (x >= 'A' && x <= 'Z')
            x = (char)(x | 0x20);
        if (y >= 'A' && y <= 'Z')
            y = (char)(y | 0x20);
        if (x != y)
            return false;
    }
    return a.len == b.len;
}

/* "text/html", or what stands for it: text and any, or all. */
static bool covers(struct usher_text range, struct usher_text type)
{
    size_t slash = (size_t)((const char *)memchr(type.ptr, '/', type.len) - type.ptr);

    if (is_same(range, usher_text("*/*")) || is_same(range, type))
        return true;
    return range.len == slash + 2 && range.ptr[slash + 1] == '*' &&
           is_same((struct usher_text){ range.ptr, slash + 1 },
                   (struct usher_text){ type.ptr, slash + 1 });
}

static bool is_zero(struct usher_text parameters)
{
    while (parameters.ptr != NULL) {
        struct usher_text one = cut(&parameters, ';');

        if (one.len >= 3 && (one.ptr[0] == 'q' || one.ptr[0] == 'Q') && one.ptr[1] == '=') {
            for (size_t i = 2; i < one.len; i++)
                if (one.ptr[i] >= '1' && one.ptr[i] <= '9')
                    return false;
            return true;
        }
    }
    return false;
}

/* Whoever asks for JSON is no person, and has no use for a page. */
static bool accepts(struct usher_exchange *x, struct usher_text type)
{
    bool asked = false;
    struct usher_text value;

    for (uint32_t n = 0;
         (value = usher_header(x, USHER_REQUEST, usher_text("Accept"), n)).ptr != NULL; n++) {
        while (value.ptr != NULL) {
            struct usher_text one = cut(&value, ','), range = cut(&one, ';');

            if (range.len == 0)
                continue;
            asked = true;
            if (covers(range, type) && !is_zero(one))
                return true;
        }
    }
    return !asked;
}

static bool is_ours(struct usher_exchange *x, const struct error_pages *p)
{
    if (usher_status(x) < 400)
        return false;
    switch (usher_source(x)) {
    case USHER_FROM_ENDPOINT:
        return p->responses;
    case USHER_FROM_MODULE:
        return p->replies;
    case USHER_FROM_EDGE: /* what a rule answers was written for it */
        return usher_fault_name(x).ptr != NULL;
    }
    return false;
}

/* --- pages --- */

static bool begins(const char *at, size_t left, const char *word)
{
    size_t len = strlen(word);

    return left >= len && memcmp(at, word, len) == 0;
}

static size_t escaped(struct usher_text from, char *to)
{
    size_t len = 0;

    for (size_t i = 0; i < from.len; i++) {
        char c = from.ptr[i];
        const char *word = c == '<'    ? "&lt;"
                           : c == '>'  ? "&gt;"
                           : c == '&'  ? "&amp;"
                           : c == '"'  ? "&quot;"
                           : c == '\'' ? "&#39;"
                                       : NULL;

        if (word == NULL) {
            if (to != NULL)
                to[len] = c;
            len++;
        } else {
            if (to != NULL)
                memcpy(to + len, word, strlen(word));
            len += strlen(word);
        }
    }
    return len;
}

struct word {
    const char *braced;
    struct usher_text value;
};

/* `page` with the words' values in their places, to `to` if that is not NULL. */
static size_t filled(struct usher_text page, const struct word *words, size_t count, char *to)
{
    size_t len = 0;

    for (size_t i = 0; i < page.len;) {
        size_t w = 0;

        while (page.ptr[i] == '{' && w < count &&
               !begins(page.ptr + i, page.len - i, words[w].braced))
            w++;
        if (page.ptr[i] != '{' || w == count) {
            if (to != NULL)
                to[len] = page.ptr[i];
            len++;
            i++;
        } else {
            len += escaped(words[w].value, to != NULL ? to + len : NULL);
            i += strlen(words[w].braced);
        }
    }
    return len;
}

/* False: no memory. */
static bool give(struct usher_exchange *x, const struct error_pages *p, const struct search *s,
                 struct usher_text page)
{
    struct usher_text fault = usher_fault_name(x);
    const struct word words[] = {
        { "{{status}}", usher_text(s->status) },
        { "{{fault}}", fault.ptr != NULL ? fault : usher_text("") },
        { "{{request_id}}", usher_request_id(x) },
        { "{{host}}", usher_host_name(x) },
    };
    size_t count = sizeof(words) / sizeof(words[0]), len = filled(page, words, count, NULL);
    char *body = usher_alloc(x, len + 1);

    if (body == NULL)
        return false;
    filled(page, words, count, body);
    return usher_replace_body(x, p->type, (struct usher_text){ body, len });
}

/* --- asking --- */

static enum usher_result on_answer(struct usher_exchange *x, const void *compiled, void *arg);

static bool ask_together(struct usher_exchange *x, const struct error_pages *p, struct search *s)
{
    struct usher_question q = {
        .kind = USHER_ASK_HMGET, .key = p->key, .args = s->fields, .arg_count = s->count
    };

    return usher_ask(x, &q, &s->answer, on_answer, s);
}

static bool ask_alone(struct usher_exchange *x, const struct error_pages *p, struct search *s)
{
    struct usher_question q = {
        .kind = USHER_ASK_HGET, .key = p->key, .args = &s->fields[s->at], .arg_count = 1
    };

    return usher_ask(x, &q, &s->answer, on_answer, s);
}

/* As it was: with a page, or without one. */
static enum usher_result end(struct search *s)
{
    s->over = true;
    return USHER_GO_ON;
}

static enum usher_result take(struct usher_exchange *x, const struct error_pages *p,
                              struct search *s, struct usher_text page)
{
    if (page.len == 0) /* there is none, by intent */
        return end(s);
    if (give(x, p, s, page))
        usher_count(x, METRIC_PAGES, 1);
    else
        usher_log(x, USHER_LOG_WARN, "a page was not sent: it is too large for this exchange");
    return end(s);
}

static enum usher_result on_wrong(struct usher_exchange *x, const struct error_pages *p,
                                  struct search *s)
{
    struct usher_text why = s->answer.values[0];
    char sentence[300];

    if (!s->alone) { /* perhaps only together they are too long */
        s->alone = true;
        if (ask_alone(x, p, s))
            return USHER_WAIT;
    }
    snprintf(sentence, sizeof(sentence), "%.*s of %.*s cannot be read: %.*s",
             (int)s->fields[s->at].len, s->fields[s->at].ptr,
             (int)(p->key.len < 80 ? p->key.len : 80), p->key.ptr,
             (int)(why.len < 120 ? why.len : 120), why.ptr);
    usher_log(x, USHER_LOG_WARN, sentence);
    return end(s);
}

static enum usher_result on_answer(struct usher_exchange *x, const void *compiled, void *arg)
{
    const struct error_pages *p = compiled;
    struct search *s = arg;

    if (s->over)
        return USHER_GO_ON;
    if (s->answer.state == USHER_ANSWER_AWAY) {
        usher_count(x, METRIC_AWAY, 1);
        return end(s);
    }
    if (s->answer.state == USHER_ANSWER_WRONG)
        return on_wrong(x, p, s);
    for (uint32_t i = 0; i < s->answer.count; i++)
        if (s->answer.values[i].ptr != NULL)
            return take(x, p, s, s->answer.values[i]);
    if (s->alone && ++s->at < s->count && ask_alone(x, p, s))
        return USHER_WAIT;
    return end(s);
}

static enum usher_result on_late(struct usher_exchange *x, const void *compiled, void *arg)
{
    struct search *s = arg;

    (void)compiled;
    if (!s->over)
        usher_count(x, METRIC_AWAY, 1);
    return end(s);
}

static struct search *begin(struct usher_exchange *x)
{
    struct search *s = usher_alloc(x, sizeof(*s));
    struct usher_text fault = usher_fault_name(x);
    uint32_t status = usher_status(x);

    if (s == NULL)
        return NULL;
    snprintf(s->status, sizeof(s->status), "%u", status % 1000);
    snprintf(s->class, sizeof(s->class), "%uxx", status / 100 % 10);
    if (fault.ptr != NULL)
        s->fields[s->count++] = fault;
    s->fields[s->count++] = usher_text(s->status);
    s->fields[s->count++] = usher_text(s->class);
    s->fields[s->count++] = usher_text("default");
    return s;
}

static enum usher_result on_response(struct usher_exchange *x, const void *compiled)
{
    const struct error_pages *p = compiled;
    struct search *s;

    if (!is_ours(x, p) || usher_tenant(x).ptr == NULL || !accepts(x, p->range))
        return USHER_GO_ON;
    s = begin(x);
    if (s == NULL || !usher_timer(x, p->wait_ms, on_late, s))
        return USHER_GO_ON;
    /* Longer than that timer: else the edge would end what waits with a fault. */
    usher_wait_most(x, p->wait_ms + 5000);
    if (ask_together(x, p, s))
        return USHER_WAIT;
    s->over = true;
    return USHER_GO_ON;
}

USHER_MODULE(error_pages) = {
    USHER_MODULE_ABI,
    .name = "error_pages",
    .version = "1.0",
    .summary = "the tenant's own pages, from Redis, in place of what the edge says of a fault",
    USHER_SETTINGS(settings),
    USHER_METRICS(metrics),
    .compile = compile,
    .on_response = on_response,
};
