/* compress.c -- compresses what text clients get: gzip, br or zstd, as they accept.
 *
 *     redis-cli HSET usher:tenant:acme modules 'compress(min=1k)'
 */
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "accept.h"
#include "encoder.h"
#include "usher_module.h"

#define LIST_MOST 512 /* bytes of a header's fields, joined */

enum { CODINGS, LEVEL, MIN, TYPES, FLUSH, MEMORY, ROWS };

static const struct usher_setting settings[ROWS] = {
    [CODINGS] = { .name = "codings",
                  .type = USHER_TYPE_TEXT,
                  .standard = "zstd,br,gzip",
                  .least = 1,
                  .most = 64,
                  .meaning = "the codings, the best first: of several that a client likes as well, "
                             "the first is taken" },
    [LEVEL] = { .name = "level",
                .type = USHER_TYPE_NUMBER,
                .standard = "4",
                .least = 1,
                .most = 9,
                .meaning = "how much effort: 1 is fast, 9 is small" },
    [MIN] = { .name = "min",
              .type = USHER_TYPE_SIZE,
              .standard = "1k",
              .most = 1 << 30,
              .meaning = "a body that is known to be shorter is sent as it is" },
    [TYPES] = { .name = "types",
                .type = USHER_TYPE_TEXT,
                .flags = USHER_MANY,
                .standard = "text/*,application/json,application/javascript,application/xml,"
                            "application/wasm,application/*+json,application/*+xml,image/svg+xml,"
                            "font/ttf,font/otf,application/vnd.ms-fontobject",
                .least = 1,
                .most = 1024,
                .meaning = "the media types, with one * in each at most" },
    [FLUSH] = { .name = "flush",
                .type = USHER_TYPE_SWITCH,
                .standard = "off",
                .meaning = "each piece that comes goes out at once, as with text/event-stream" },
    [MEMORY] = { .name = "memory",
                 .type = USHER_TYPE_SIZE,
                 .standard = "64m",
                 .least = 1 << 20,
                 .most = (int64_t)1 << 40,
                 .meaning = "all of these bodies together hold so much at most; what comes beyond "
                            "that is sent as it is" },
};

enum { COMPRESSED, BYTES_IN, BYTES_OUT, HELD, FULL, METRICS };

static const struct usher_metric metrics[METRICS] = {
    [COMPRESSED] = { "compressed_total", USHER_COUNTER, "responses that were compressed" },
    [BYTES_IN] = { "bytes_in_total", USHER_COUNTER, "bytes of bodies before" },
    [BYTES_OUT] = { "bytes_out_total", USHER_COUNTER, "bytes of bodies after" },
    [HELD] = { "memory_bytes", USHER_GAUGE, "set aside for bodies being compressed" },
    [FULL] = { "full_total", USHER_COUNTER,
               "responses sent as they were, for `memory` was used up" },
};

struct compress {
    enum compress_coding codings[COMPRESS_CODINGS];
    unsigned coding_count, level;
    size_t least;
    const struct usher_given *types;
    bool flush;
    size_t memory;
    atomic_size_t *held; /* by all bodies of these settings, on every worker */
};

/* A body on its way; of one exchange. */
struct body {
    struct compress_encoder *encoder; /* NULL: it is sent as it comes */
    enum compress_coding coding;
    size_t held;
    uint64_t in, out;
    bool flush;
    bool begun;
    struct usher_exchange *x; /* of the hook at hand */
};

/* --- settings --- */

static bool is_type(struct usher_text text)
{
    const char *slash = memchr(text.ptr, '/', text.len), *star = memchr(text.ptr, '*', text.len);

    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] <= ' ' || text.ptr[i] == ';')
            return false;
    return slash != NULL && slash > text.ptr && slash + 1 < text.ptr + text.len &&
           (star == NULL ||
            memchr(star + 1, '*', text.len - (size_t)(star + 1 - text.ptr)) == NULL);
}

static bool are_types(struct usher_text list)
{
    while (list.len > 0) {
        const char *comma = memchr(list.ptr, ',', list.len);
        size_t len = comma != NULL ? (size_t)(comma - list.ptr) : list.len;

        if (!is_type((struct usher_text){ list.ptr, len }) || len + 1 == list.len)
            return false;
        len += comma != NULL;
        list.ptr += len;
        list.len -= len;
    }
    return true;
}

static bool compile(struct usher_compile *c, const struct usher_given *given, void **compiled)
{
    struct compress *s = usher_keep(c, sizeof(*s));

    if (!compress_read_codings(given[CODINGS].values[0].text, s->codings, &s->coding_count))
        return usher_refuse(c, CODINGS, 0, "some of zstd,br,gzip, each once");
    for (uint32_t i = 0; i < given[TYPES].count; i++)
        if (!are_types(given[TYPES].values[i].text))
            return usher_refuse(c, TYPES, i, "media types such as text/*,application/json");
    s->level = (unsigned)given[LEVEL].values[0].number;
    s->least = (size_t)given[MIN].values[0].number;
    s->types = &given[TYPES];
    s->flush = given[FLUSH].values[0].number;
    s->memory = (size_t)given[MEMORY].values[0].number;
    s->held = usher_keep(c, sizeof(*s->held));
    *compiled = s;
    return true;
}

/* --- is it one to compress? --- */

static struct usher_text response_header(struct usher_exchange *x, const char *name)
{
    return usher_header(x, USHER_RESPONSE, usher_text(name), 0);
}

static bool has_word(struct usher_exchange *x, enum usher_side side, const char *field,
                     const char *word)
{
    struct usher_text list;

    for (uint32_t i = 0; (list = usher_header(x, side, usher_text(field), i)).ptr != NULL; i++)
        if (compress_word_in(list, word))
            return true;
    return false;
}

/* SIZE_MAX: nobody knows. */
static size_t length_of(struct usher_exchange *x)
{
    struct usher_text text = response_header(x, "Content-Length");
    size_t length = 0;

    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9' || length > SIZE_MAX / 100)
            return SIZE_MAX;
        length = length * 10 + (size_t)(text.ptr[i] - '0');
    }
    return text.len > 0 ? length : SIZE_MAX;
}

static bool fits(struct usher_exchange *x, const struct compress *s)
{
    struct usher_text type = response_header(x, "Content-Type");
    uint32_t status = usher_status(x);

    if (status < 200 || status == 204 || status == 205 || status == 206 || status == 304 ||
        response_header(x, "Content-Encoding").ptr != NULL ||
        response_header(x, "Content-Range").ptr != NULL || length_of(x) < s->least ||
        has_word(x, USHER_RESPONSE, "Cache-Control", "no-transform") ||
        has_word(x, USHER_REQUEST, "Cache-Control", "no-transform"))
        return false;
    for (uint32_t i = 0; i < s->types->count; i++)
        if (compress_type_in(s->types->values[i].text, type))
            return true;
    return false;
}

static enum compress_coding choose(struct usher_exchange *x, const struct compress *s)
{
    struct usher_text name = usher_text("Accept-Encoding"),
                      field = usher_header(x, USHER_REQUEST, name, 0);
    char joined[LIST_MOST];
    size_t len = 0;

    if (usher_header(x, USHER_REQUEST, name, 1).ptr == NULL)
        return compress_choose(field, s->codings, s->coding_count);
    for (uint32_t i = 0; (field = usher_header(x, USHER_REQUEST, name, i)).ptr != NULL; i++) {
        if (field.len + 1 > sizeof(joined) - len)
            break;
        memcpy(joined + len, field.ptr, field.len);
        len += field.len;
        joined[len++] = ',';
    }
    return compress_choose((struct usher_text){ joined, len }, s->codings, s->coding_count);
}

/* --- heads --- */

static bool add_vary(struct usher_exchange *x)
{
    struct usher_text vary = usher_text("Vary");

    return has_word(x, USHER_RESPONSE, "Vary", "Accept-Encoding") ||
           has_word(x, USHER_RESPONSE, "Vary", "*") ||
           usher_header_add(x, USHER_RESPONSE, vary, usher_text("Accept-Encoding"));
}

/* The same tag must not stand for other bytes: as a weak one it says no more than what it means. */
static bool weaken_tag(struct usher_exchange *x)
{
    struct usher_text tag = response_header(x, "ETag");
    char *weak;

    if (tag.len < 2 || tag.ptr[0] != '"')
        return true;
    weak = usher_alloc(x, tag.len + 2);
    if (weak == NULL)
        return false;
    memcpy(weak, "W/", 2);
    memcpy(weak + 2, tag.ptr, tag.len);
    return usher_header_set(x, USHER_RESPONSE, usher_text("ETag"),
                            (struct usher_text){ weak, tag.len + 2 });
}

/* Of a 304: the tag as the client has it, from when it got the body compressed. */
static bool answer_unchanged(struct usher_exchange *x)
{
    struct usher_text tag = response_header(x, "ETag"),
                      asked = usher_header(x, USHER_REQUEST, usher_text("If-None-Match"), 0);
    const char *at = tag.len > 1 && tag.ptr[0] == '"' && asked.len > 0
                         ? memmem(asked.ptr, asked.len, tag.ptr, tag.len)
                         : NULL;

    if (at == NULL || at < asked.ptr + 2 || memcmp(at - 2, "W/", 2) != 0)
        return true;
    return weaken_tag(x) && add_vary(x);
}

static bool say_coding(struct usher_exchange *x, enum compress_coding coding)
{
    static const char *const gone[] = { "Accept-Ranges", "Content-MD5", "Digest", "Content-Digest",
                                        "Repr-Digest" };

    for (size_t i = 0; i < sizeof(gone) / sizeof(gone[0]); i++)
        usher_header_remove(x, USHER_RESPONSE, usher_text(gone[i]));
    return usher_header_set(x, USHER_RESPONSE, usher_text("Content-Encoding"),
                            usher_text(compress_name(coding))) &&
           weaken_tag(x);
}

/* --- bodies --- */

static void let_go(struct usher_exchange *x, const struct compress *s, struct body *b)
{
    compress_close(b->encoder);
    b->encoder = NULL;
    atomic_fetch_sub_explicit(s->held, b->held, memory_order_relaxed);
    usher_count(x, HELD, -(int64_t)b->held);
    b->held = 0;
}

static struct body *body_of(struct usher_exchange *x)
{
    return *usher_state(x);
}

/* Sets memory aside; false: there is none left. */
static bool hold(struct usher_exchange *x, const struct compress *s, struct body *b, size_t length)
{
    b->held = compress_most_bytes(b->coding, s->level, length);
    if (atomic_fetch_add_explicit(s->held, b->held, memory_order_relaxed) + b->held <= s->memory) {
        usher_count(x, HELD, (int64_t)b->held);
        return true;
    }
    atomic_fetch_sub_explicit(s->held, b->held, memory_order_relaxed);
    b->held = 0;
    usher_count(x, FULL, 1);
    return false;
}

static enum usher_result begin(struct usher_exchange *x, const struct compress *s,
                               enum compress_coding coding)
{
    struct body *b = body_of(x);
    size_t length = length_of(x);

    if (b == NULL)
        *usher_state(x) = b = usher_alloc(x, sizeof(*b));
    if (b == NULL)
        return USHER_GO_ON;
    *b = (struct body){ .coding = coding };
    if (!hold(x, s, b, length))
        return USHER_GO_ON;
    b->flush = s->flush || compress_type_in(usher_text("text/event-stream"),
                                            response_header(x, "Content-Type"));
    if (usher_take_body(x, USHER_RESPONSE)) /* not that of a HEAD */
        b->encoder = compress_open(coding, s->level, length);
    if (b->encoder == NULL) {
        let_go(x, s, b);
        return USHER_GO_ON;
    }
    usher_count(x, COMPRESSED, 1);
    return say_coding(x, coding) ? USHER_GO_ON : USHER_FAULT;
}

static enum usher_result on_response(struct usher_exchange *x, const void *compiled)
{
    const struct compress *s = compiled;
    enum compress_coding coding;

    if (body_of(x) != NULL) /* what was begun gave way to another response */
        let_go(x, s, body_of(x));
    if (usher_status(x) == 304)
        return answer_unchanged(x) ? USHER_GO_ON : USHER_FAULT;
    if (!fits(x, s))
        return USHER_GO_ON;
    if (!add_vary(x))
        return USHER_FAULT;
    coding = choose(x, s);
    return coding == COMPRESS_NONE ? USHER_GO_ON : begin(x, s, coding);
}

static bool send(void *owner, const char *bytes, size_t len)
{
    struct body *b = owner;

    b->out += len;
    return len == 0 || usher_send(b->x, bytes, len);
}

/* A module behind this one may have put another body in the place of what was to be compressed, without a coding. */
static bool is_still_coded(struct usher_exchange *x, const struct body *b)
{
    struct usher_text coding = response_header(x, "Content-Encoding");
    const char *name = compress_name(b->coding);

    return coding.len == strlen(name) && memcmp(coding.ptr, name, coding.len) == 0;
}

static enum usher_result on_body(struct usher_exchange *x, const void *compiled,
                                 enum usher_side side, const char *bytes, size_t len, bool last)
{
    struct body *b = body_of(x);
    enum compress_step step = last ? COMPRESS_END : COMPRESS_MORE;

    if (side == USHER_RESPONSE && b != NULL && b->encoder != NULL && !b->begun) {
        b->begun = true;
        if (!is_still_coded(x, b))
            let_go(x, compiled, b);
    }
    if (b == NULL || b->encoder == NULL)
        return len == 0 || usher_send(x, bytes, len) ? USHER_GO_ON : USHER_FAULT;
    if (step == COMPRESS_MORE && len == 0)
        return USHER_GO_ON;
    b->x = x;
    b->in += len;
    if (!compress_feed(b->encoder, bytes, len,
                       step == COMPRESS_MORE && b->flush ? COMPRESS_FLUSH : step, send, b))
        return USHER_FAULT;
    if (last)
        let_go(x, compiled, b);
    return USHER_GO_ON;
}

static void on_done(struct usher_exchange *x, const void *compiled)
{
    struct body *b = body_of(x);

    if (b == NULL)
        return;
    usher_count(x, BYTES_IN, (int64_t)b->in);
    usher_count(x, BYTES_OUT, (int64_t)b->out);
    let_go(x, compiled, b);
}

USHER_MODULE(compress) = {
    USHER_MODULE_ABI,
    .name = "compress",
    .version = "1.0",
    .summary = "compresses what clients get: gzip, br or zstd, as they accept",
    USHER_SETTINGS(settings),
    USHER_METRICS(metrics),
    .compile = compile,
    .on_response = on_response,
    .on_body = on_body,
    .on_done = on_done,
};
