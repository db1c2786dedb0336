/* redirect.c -- sends clients elsewhere: paths by pattern, and thousands of them from a hash in Redis.
 *
 *     redis-cli HSET usher:tenant:acme modules 'redirect(from=/old to=/new map=moved status=301)'
 *     redis-cli HSET usher:t:acme:moved /tea https://tea.example/ /pot '302 /kettle'
 *
 * Where to is said by the settings or by the hash alone. What comes of the request (the rest of its path, its query)
 * is put behind a host and a slash that stand there, so that no request chooses the host it is sent to.
 */
#include "usher_module.h"

#include <stdio.h>
#include <string.h>

enum { FROM, TO, MAP, STATUS, QUERY, WAIT, AWAY, ROWS };

#define TARGET_MOST 4096

static const struct usher_setting settings[ROWS] = {
    [FROM] = { .name = "from",
               .type = USHER_TYPE_TEXT,
               .flags = USHER_MANY,
               .least = 1,
               .most = 1024,
               .meaning = "a path that is sent elsewhere: /x, or /x/* for it and all below it" },
    [TO] = { .name = "to",
             .type = USHER_TYPE_TEXT,
             .flags = USHER_MANY,
             .least = 1,
             .most = TARGET_MOST,
             .meaning =
                 "where that `from` is sent to; * at its end, or $1, is the rest of the path" },
    [MAP] = { .name = "map",
              .type = USHER_TYPE_KEY,
              .meaning =
                  "a hash: /path, or host/path, to where it is sent, perhaps behind a status" },
    [STATUS] = { .name = "status",
                 .type = USHER_TYPE_WORD,
                 .standard = "302",
                 .words = "301 302 303 307 308",
                 .meaning = "the response's status" },
    [QUERY] = { .name = "query",
                .type = USHER_TYPE_SWITCH,
                .standard = "on",
                .meaning = "the request's query goes along" },
    [WAIT] = { .name = "wait",
               .type = USHER_TYPE_TIME,
               .standard = "500ms",
               .least = 10,
               .most = 5000,
               .meaning = "how long a request waits for what `map` says" },
    [AWAY] = { .name = "away",
               .type = USHER_TYPE_WORD,
               .standard = "go_on",
               .words = "go_on fault",
               .meaning =
                   "with Redis away, what `map` would say is not known: on to the endpoint, or "
                   "503 module_store" },
};

static const uint16_t statuses[] = { 301, 302, 303, 307, 308 };
#define STATUSES (sizeof(statuses) / sizeof(statuses[0]))

struct way {
    struct usher_text from;          /* without the star */
    bool below;                      /* and all below it */
    struct usher_text before, after; /* of where it leads, around the rest of the path */
    bool takes_rest;
};

struct redirect {
    struct way *ways;
    uint32_t count;
    struct usher_text map; /* ptr NULL: none */
    uint16_t status;
    bool query, away_faults;
    uint32_t wait_ms;
};

/* --- targets --- */

static bool begins(struct usher_text text, const char *word)
{
    size_t len = strlen(word);

    return text.len >= len && memcmp(text.ptr, word, len) == 0;
}

static bool is_visible(struct usher_text text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] <= ' ' || (unsigned char)text.ptr[i] > '~' ||
            text.ptr[i] == '\\')
            return false;
    return true;
}

/* How much of it says which host is meant, up to the slash behind: 0 of a path, -1: it is no URL. */
static long authority_end(struct usher_text target)
{
    size_t at = begins(target, "https://") ? 8 : begins(target, "http://") ? 7 : 0;
    const char *slash;

    if (at == 0)
        return target.len > 0 && target.ptr[0] == '/' && !begins(target, "//") ? 0 : -1;
    if (at == target.len || strchr("/?#", target.ptr[at]) != NULL)
        return -1;
    slash = memchr(target.ptr + at, '/', target.len - at);
    for (size_t i = at; i < target.len && (slash == NULL || target.ptr + i < slash); i++)
        if (target.ptr[i] == '?' || target.ptr[i] == '#' || target.ptr[i] == '@')
            return target.ptr[i] == '@' ? -1 : (long)i;
    return slash != NULL ? slash - target.ptr : (long)target.len;
}

static bool is_target(struct usher_text target)
{
    return target.len > 0 && target.len <= TARGET_MOST && is_visible(target) &&
           authority_end(target) >= 0;
}

/* --- settings --- */

static bool read_from(struct usher_compile *c, struct way *way, struct usher_text text, uint32_t i)
{
    way->from = text;
    if (text.ptr[0] != '/' || !is_visible(text) || memchr(text.ptr, '?', text.len) != NULL)
        return usher_refuse(c, FROM, i, "a path such as /old, or /old/* for it and all below it");
    if (text.len >= 2 && memcmp(text.ptr + text.len - 2, "/*", 2) == 0) {
        way->below = true;
        way->from.len -= 2;
    }
    return memchr(way->from.ptr, '*', way->from.len) == NULL ||
           usher_refuse(c, FROM, i, "* as the whole last part of the path, as in /old/*");
}

static bool read_to(struct usher_compile *c, struct way *way, struct usher_text text, uint32_t i)
{
    size_t at = 0, marks = 0, mark_len = 0, mark = 0;
    long authority;

    while (at < text.len) {
        size_t len = text.ptr[at] == '*'                                                   ? 1
                     : text.ptr[at] == '$' && at + 1 < text.len && text.ptr[at + 1] == '1' ? 2
                                                                                           : 0;

        if (len > 0 && marks++ == 0) {
            mark = at;
            mark_len = len;
        }
        at += len > 0 ? len : 1;
    }
    if (!is_target(text))
        return usher_refuse(c, TO, i, "a path such as /new, or a URL such as https://new.example/");
    if (marks > 1 || (mark_len == 1 && mark + 1 != text.len))
        return usher_refuse(c, TO, i, "one * at its end, or one $1");
    if (marks == 1 && !way->below)
        return usher_refuse(c, TO, i, "no * and no $1, for its `from` has no *");
    authority = authority_end(text);
    if (marks == 1 && authority > 0 && (size_t)authority >= mark)
        return usher_refuse(c, TO, i, "a slash behind the host, before the rest of the path");
    way->takes_rest = marks == 1;
    way->before = marks == 1 ? (struct usher_text){ text.ptr, mark } : text;
    if (marks == 1)
        way->after = (struct usher_text){ text.ptr + mark + mark_len, text.len - mark - mark_len };
    return true;
}

static bool compile(struct usher_compile *c, const struct usher_given *given, void **compiled)
{
    struct redirect *r = usher_keep(c, sizeof(*r));

    *compiled = r;
    r->count = given[FROM].count;
    r->ways = usher_keep(c, (r->count + 1) * sizeof(*r->ways));
    if (given[MAP].count > 0)
        r->map = given[MAP].values[0].text;
    r->status = statuses[given[STATUS].values[0].number];
    r->query = given[QUERY].values[0].number;
    r->wait_ms = (uint32_t)given[WAIT].values[0].number;
    r->away_faults = given[AWAY].values[0].number;
    if (given[TO].count != r->count)
        return given[TO].count > r->count
                   ? usher_refuse(c, TO, r->count, "a `from` for each `to`")
                   : usher_refuse(c, FROM, given[TO].count, "a `to` for each `from`");
    for (uint32_t i = 0; i < r->count; i++)
        if (!read_from(c, &r->ways[i], given[FROM].values[i].text, i) ||
            !read_to(c, &r->ways[i], given[TO].values[i].text, i))
            return false;
    return r->count > 0 || r->map.ptr != NULL ||
           usher_refuse(c, MAP, 0, "from and to, or map: else there is nothing to redirect");
}

/* --- going --- */

static char *put(char *to, struct usher_text text)
{
    if (text.len > 0)
        memcpy(to, text.ptr, text.len);
    return to + text.len;
}

/* With the request's query in front of a fragment. ptr NULL: no memory. */
static struct usher_text with_query(struct usher_exchange *x, struct usher_text url)
{
    struct usher_text query = usher_query(x), fragment = { NULL, 0 };
    const char *hash = memchr(url.ptr, '#', url.len);
    char *text, *to;

    if (query.ptr == NULL || query.len == 0)
        return url;
    if (hash != NULL) {
        fragment = (struct usher_text){ hash, (size_t)(url.ptr + url.len - hash) };
        url.len -= fragment.len;
    }
    to = text = usher_alloc(x, url.len + query.len + fragment.len + 2);
    if (text == NULL)
        return (struct usher_text){ NULL, 0 };
    to = put(to, url);
    *to++ = memchr(url.ptr, '?', url.len) != NULL ? '&' : '?';
    to = put(put(to, query), fragment);
    return (struct usher_text){ text, (size_t)(to - text) };
}

static bool is_same(struct usher_text a, struct usher_text b)
{
    return a.len == b.len && memcmp(a.ptr, b.ptr, a.len) == 0;
}

/* A path that is sent to itself would be for ever. */
static enum usher_result go(struct usher_exchange *x, const struct redirect *r, uint16_t status,
                            struct usher_text url)
{
    if (is_same(url, usher_path(x)))
        return USHER_GO_ON;
    if (r->query)
        url = with_query(x, url);
    return url.ptr != NULL ? usher_redirect(x, status, url) : USHER_FAULT;
}

/* Meets this way? Then `rest` is what is below it. */
static bool meets(const struct way *way, struct usher_text path, struct usher_text *rest)
{
    *rest = (struct usher_text){ "", 0 };
    if (!way->below)
        return is_same(way->from, path);
    if (path.len < way->from.len || memcmp(path.ptr, way->from.ptr, way->from.len) != 0)
        return false;
    if (path.len == way->from.len)
        return true;
    *rest = (struct usher_text){ path.ptr + way->from.len + 1, path.len - way->from.len - 1 };
    return path.ptr[way->from.len] == '/';
}

static struct usher_text joined(struct usher_exchange *x, const struct way *way,
                                struct usher_text rest)
{
    char *text, *to;

    if (!way->takes_rest)
        return way->before;
    /* "//evil.example" is another host. */
    while (way->before.len == 1 && rest.len > 0 && rest.ptr[0] == '/') {
        rest.ptr++;
        rest.len--;
    }
    to = text = usher_alloc(x, way->before.len + rest.len + way->after.len + 1);
    if (text == NULL)
        return (struct usher_text){ NULL, 0 };
    to = put(put(put(to, way->before), rest), way->after);
    return (struct usher_text){ text, (size_t)(to - text) };
}

/* --- the map --- */

struct search {
    struct usher_text fields[2]; /* host/path, /path */
    struct usher_answer answer;
};

static enum usher_result follow(struct usher_exchange *x, const struct redirect *r,
                                struct usher_text value)
{
    uint16_t status = r->status;
    char sentence[240];

    for (size_t i = 0; i < STATUSES; i++) {
        char word[8];

        snprintf(word, sizeof(word), "%u ", statuses[i]);
        if (begins(value, word)) {
            status = statuses[i];
            value = (struct usher_text){ value.ptr + 4, value.len - 4 };
            break;
        }
    }
    if (is_target(value))
        return go(x, r, status, value);
    snprintf(sentence, sizeof(sentence), "%.*s: \"%.*s\" is no path and no URL",
             (int)(r->map.len < 80 ? r->map.len : 80), r->map.ptr,
             (int)(value.len < 80 ? value.len : 80), value.ptr);
    usher_log(x, USHER_LOG_WARN, sentence);
    return USHER_GO_ON;
}

static enum usher_result on_late(struct usher_exchange *x, const void *compiled, void *arg)
{
    const struct redirect *r = compiled;

    (void)arg;
    return r->away_faults ? usher_fault(x, USHER_BECAUSE_STORE) : USHER_GO_ON;
}

static enum usher_result on_answer(struct usher_exchange *x, const void *compiled, void *arg)
{
    const struct redirect *r = compiled;
    const struct usher_answer *a = &((struct search *)arg)->answer;
    char sentence[240];

    if (a->state == USHER_ANSWER_GOOD) {
        for (uint32_t i = 0; i < a->count; i++)
            if (a->values[i].ptr != NULL)
                return follow(x, r, a->values[i]);
        return USHER_GO_ON;
    }
    if (a->state == USHER_ANSWER_WRONG) {
        snprintf(sentence, sizeof(sentence), "%.*s cannot be read: %.*s",
                 (int)(r->map.len < 80 ? r->map.len : 80), r->map.ptr,
                 (int)(a->values[0].len < 120 ? a->values[0].len : 120), a->values[0].ptr);
        usher_log(x, USHER_LOG_WARN, sentence);
    }
    return on_late(x, compiled, arg);
}

static enum usher_result look_up(struct usher_exchange *x, const struct redirect *r)
{
    struct usher_text host = usher_host_name(x), path = usher_path(x);
    struct search *s = usher_alloc(x, sizeof(*s));
    char *both = usher_alloc(x, host.len + path.len + 1);
    struct usher_question q = { .kind = USHER_ASK_HMGET, .key = r->map, .arg_count = 2 };

    if (s == NULL || both == NULL)
        return USHER_FAULT;
    put(put(both, host), path);
    s->fields[0] = (struct usher_text){ both, host.len + path.len };
    s->fields[1] = path;
    q.args = s->fields;
    /* Longer than that timer: else the edge would end what waits with a fault. */
    usher_wait_most(x, r->wait_ms + 5000);
    if (!usher_ask(x, &q, &s->answer, on_answer, s))
        return USHER_GO_ON; /* no path of that length is in there */
    return usher_timer(x, r->wait_ms, on_late, NULL) ? USHER_WAIT : USHER_FAULT;
}

static enum usher_result on_request(struct usher_exchange *x, const void *compiled)
{
    const struct redirect *r = compiled;
    struct usher_text path = usher_path(x), rest, url;

    for (uint32_t i = 0; i < r->count; i++) {
        if (!meets(&r->ways[i], path, &rest))
            continue;
        url = joined(x, &r->ways[i], rest);
        return url.ptr != NULL ? go(x, r, r->status, url) : USHER_FAULT;
    }
    return r->map.ptr != NULL ? look_up(x, r) : USHER_GO_ON;
}

USHER_MODULE(redirect) = {
    USHER_MODULE_ABI,
    .name = "redirect",
    .version = "1.0",
    .summary =
        "sends clients elsewhere: paths by pattern, and thousands of them from a hash in Redis",
    USHER_SETTINGS(settings),
    .compile = compile,
    .on_request = on_request,
};
