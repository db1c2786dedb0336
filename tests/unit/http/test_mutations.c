/* test_mutations.c -- requests with bytes changed at random: what is let through, leaves as a request
 * that is read in one way only.
 *
 * The seeds are fixed: a failure comes again. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "base/path.h"
#include "base/random.h"
#include "http/framing.h"
#include "http/parser.h"
#include "http/serializer.h"
#include "http/target.h"

#define ROUNDS 60000

static const struct parser_limits limits = { .head_bytes = 4096,
                                             .header_count = 40,
                                             .url_bytes = 1024 };

static const char *const seeds[] = {
    "GET /a/%61/../b?c=d HTTP/1.1\r\nHost: shop.example:80\r\nX-A: one\r\nConnection: close, X-A\r\n\r\n",
    "POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n",
    "POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\nTE: trailers\r\n\r\n",
    "GET http://a/x HTTP/1.1\r\nhost:a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
    "PUT / HTTP/1.0\r\nHost: [::1]:8\r\nConnection: keep-alive\r\nExpect: 100-continue\r\n\r\n",
};
static const char spice[] = "\r\n\t :;,/%.?#\0\x7f\x80\xff*[]@\"0aZ-_";

/* Changes, doubles or drops a few bytes. */
static size_t mutate(struct random *r, char *text, size_t len)
{
    for (uint64_t n = 1 + random_below(r, 4); n > 0 && len > 2; n--) {
        size_t at = random_below(r, len);

        switch (random_below(r, 4)) {
        case 0:
            text[at] = (char)random_below(r, 256);
            break;
        case 1:
            text[at] = spice[random_below(r, sizeof(spice) - 1)];
            break;
        case 2:
            memmove(text + at, text + at + 1, --len - at);
            break;
        default: /* some of what follows, once more */
            memmove(text + at + 8, text + at, len - at);
            len += len - at >= 8 ? 8 : 0;
        }
    }
    return len;
}

struct reading {
    struct parser parser;
    struct head head;
    struct target target;
};

static bool read_request(struct reading *r, const char *bytes, size_t len)
{
    head_init(&r->head);
    parser_init(&r->parser, true, &limits);
    parser_start(&r->parser, &r->head);
    return parser_head(&r->parser, bytes, 0, len) == PARSE_DONE &&
           framing_request(&r->head) == FAULT_NONE &&
           target_read(&r->head, &r->target) == FAULT_NONE;
}

static bool has_bare_line_end(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((text[i] == '\n' && (i == 0 || text[i - 1] != '\r')) ||
            (text[i] == '\r' && (i + 1 == len || text[i + 1] != '\n')) || text[i] == '\0')
            return true;
    return false;
}

static void expect_one_reading(struct reading *in, const char *sent, size_t len, unsigned round)
{
    struct reading out;

    cr_assert(!has_bare_line_end(sent, len), "round %u: %.*s", round, (int)len, sent);
    cr_assert(read_request(&out, sent, len), "round %u: %.*s", round, (int)len, sent);
    cr_assert_eq(out.head.bytes, len, "round %u: two requests in one: %.*s", round, (int)len, sent);
    cr_assert_str_eq(out.target.host, in->target.host);
    cr_assert_eq(out.head.body, in->head.body);
    cr_assert_eq(out.head.body_bytes, in->head.body == BODY_LENGTH ? in->head.body_bytes : 0);
    cr_assert_eq(out.head.upgrade, in->head.upgrade);
    head_free(&out.head);
}

Test(mutations, what_is_let_through_is_read_in_one_way)
{
    struct random random = { .state = 4 };
    unsigned passed = 0;

    for (unsigned round = 0; round < ROUNDS; round++) {
        const char *seed = seeds[round % (sizeof(seeds) / sizeof(seeds[0]))];
        char text[512], path[3 * 1024 + 1], sent[8192];
        struct reading in;
        size_t len = strlen(seed);
        char *bytes;
        bool same;

        memcpy(text, seed, len);
        len = mutate(&random, text, len);
        bytes = malloc(len);
        memcpy(bytes, text, len);
        if (read_request(&in, bytes, len)) {
            size_t path_len = path_normal(in.target.path, path, &same);
            struct request_out out = { .method = parser_method_name(in.head.method),
                                       .path = str_slice(path, path_len),
                                       .query = in.target.query,
                                       .host = in.target.authority,
                                       .authority = in.target.authority,
                                       .client_ip = STR("10.0.0.1"),
                                       .scheme = STR("http"),
                                       .id = STR("edge") };

            if (path_len > 0) {
                len = serializer_request(sent, sizeof(sent), &in.head, &out);
                cr_assert_gt(len, 0);
                expect_one_reading(&in, sent, len, round);
                passed++;
            }
        }
        head_free(&in.head);
        free(bytes);
    }
    cr_assert_gt(passed, ROUNDS / 20, "too few were let through to prove anything: %u", passed);
}
