/* test_parser.c -- heads and bodies, right and wrong, whole and in pieces. */
#include <criterion/criterion.h>

#include "http/framing.h"
#include "http/parser.h"

#define HEAD "GET / HTTP/1.1\r\nHost: a\r\n"
#define POST "POST / HTTP/1.1\r\nHost: a\r\n"
#define CHUNKED POST "Transfer-Encoding: chunked\r\n\r\n"
#define OK "HTTP/1.1 200 OK\r\n"

static const struct parser_limits limits = { .head_bytes = 1024,
                                             .header_count = 8,
                                             .url_bytes = 64 };

struct reading {
    struct parser parser; /* first */
    struct head head;
    struct buf body;
    char *bytes;
    size_t taken;
    enum fault fault; /* FAULT_NONE: whole and right */
    bool more;        /* the message is not whole */
};

static void on_body(struct parser *p, const char *bytes, size_t len)
{
    buf_add(&((struct reading *)p)->body, bytes, len);
}

/* Feeds the message in pieces of `step` bytes, as a connection would. */
static void read_message(struct reading *r, bool request, const char *text, size_t len, size_t step)
{
    enum parse_result result = PARSE_MORE;
    size_t at = 0, taken;

    memset(r, 0, sizeof(*r));
    head_init(&r->head);
    parser_init(&r->parser, request, &limits);
    r->parser.on_body = on_body;
    r->bytes = malloc(len + 1); /* just as large as what came: an overrun is seen */
    memcpy(r->bytes, text, len);
    parser_start(&r->parser, &r->head);
    while (result == PARSE_MORE && at < len) {
        size_t to = at + step < len ? at + step : len;

        result = parser_head(&r->parser, r->bytes, at, to);
        at = to;
    }
    if (result == PARSE_DONE) {
        r->fault = request ? framing_request(&r->head) : framing_response(&r->head, false, false);
        r->parser.body_left = r->head.body_bytes;
        at = r->head.bytes;
        result = r->fault != FAULT_NONE      ? PARSE_BAD
                 : r->head.body == BODY_NONE ? PARSE_DONE
                                             : PARSE_MORE;
        while (result == PARSE_MORE && at < len) {
            size_t piece = step < len - at ? step : len - at;

            result = parser_body(&r->parser, r->bytes + at, piece, &taken);
            at += taken;
        }
    }
    r->taken = at;
    r->more = result == PARSE_MORE;
    if (result == PARSE_BAD && r->fault == FAULT_NONE)
        r->fault = r->parser.fault;
}

static void reading_free(struct reading *r)
{
    parser_free(&r->parser);
    head_free(&r->head);
    buf_free(&r->body);
    free(r->bytes);
}

struct wrong {
    const char *text;
    enum fault fault;
    size_t len; /* when the text holds a NUL */
};

static void expect_faults(bool request, const struct wrong *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t len = rows[i].len ? rows[i].len : strlen(rows[i].text);
        struct reading r;

        for (size_t step = len; step > 0; step = step == len ? 1 : 0) {
            char quoted[300];

            read_message(&r, request, rows[i].text, len, step);
            cr_expect_eq(r.fault, rows[i].fault, "%s in steps of %zu: %s, not %s",
                         log_quote(str_slice(rows[i].text, len), quoted, sizeof(quoted)), step,
                         fault_row(r.fault)->name, fault_row(rows[i].fault)->name);
            reading_free(&r);
        }
    }
}

Test(parser, refuses_requests_that_are_not_strict)
{
    static const struct wrong rows[] = {
        { "GET / HTTP/1.1\nHost: a\n\n", FAULT_bad_request, 0 },
        { "GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", FAULT_bad_request, 0 },
        { HEAD "X: a\rb\r\n\r\n", FAULT_bad_request, 0 },
        { HEAD "X : y\r\n\r\n", FAULT_bad_request, 0 },
        { HEAD "X: a\r\n b\r\n\r\n", FAULT_bad_request, 0 },
        { HEAD " X: a\r\n\r\n", FAULT_bad_request, 0 },
        { HEAD "X: a\0b\r\n\r\n", FAULT_bad_request, sizeof(HEAD "X: a\0b\r\n\r\n") - 1 },
        { HEAD "X(: a\r\n\r\n", FAULT_bad_request, 0 },
        { HEAD ": a\r\n\r\n", FAULT_bad_request, 0 },
        { HEAD "X\r\n\r\n", FAULT_bad_request, 0 },
        { "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", FAULT_bad_request, 0 },
        { "GET /  HTTP/1.1\r\nHost: a\r\n\r\n", FAULT_bad_request, 0 },
        { "GET / HTTP/1.1 \r\nHost: a\r\n\r\n", FAULT_bad_request, 0 },
        { "GET / http/1.1\r\nHost: a\r\n\r\n", FAULT_bad_request, 0 },
        { "GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n", FAULT_bad_request, 0 },
        { "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", FAULT_bad_request, 0 },
        { "\x16\x03\x01\x02 \r\n", FAULT_bad_request, 0 },
        { "GET / HTTP/2.0\r\nHost: a\r\n\r\n", FAULT_version_unsupported, 0 },
        { "GET / HTTP/1.2\r\nHost: a\r\n\r\n", FAULT_version_unsupported, 0 },
        { "GET / HTTP/0.9\r\nHost: a\r\n\r\n", FAULT_version_unsupported, 0 },
        { "FOO / HTTP/1.1\r\nHost: a\r\n\r\n", FAULT_not_implemented, 0 },
    };

    expect_faults(true, rows, 20); /* a method cannot be judged before its last byte: below */
    struct reading r;
    read_message(&r, true, rows[20].text, strlen(rows[20].text), 999);
    cr_expect_eq(r.fault, FAULT_not_implemented);
    reading_free(&r);
}

Test(parser, refuses_framings_that_could_be_read_in_two_ways)
{
    static const struct wrong rows[] = {
        { POST "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", FAULT_bad_request, 0 },
        { POST "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
          FAULT_bad_request, 0 },
        { POST "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
          FAULT_bad_request, 0 },
        { POST "Content-Length: +3\r\n\r\nabc", FAULT_bad_request, 0 },
        { POST "Content-Length: 3, 3\r\n\r\nabc", FAULT_bad_request, 0 },
        { POST "Content-Length: -1\r\n\r\nabc", FAULT_bad_request, 0 },
        { POST "Content-Length: 0x3\r\n\r\nabc", FAULT_bad_request, 0 },
        { POST "Content-Length:\r\n\r\nabc", FAULT_bad_request, 0 },
        { POST "Content-Length: 99999999999999999999\r\n\r\n", FAULT_bad_request, 0 },
        { POST "Transfer-Encoding: gzip, chunked\r\n\r\n", FAULT_not_implemented, 0 },
        { POST "Transfer-Encoding: xchunked\r\n\r\n", FAULT_not_implemented, 0 },
        { POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
          FAULT_bad_request, 0 },
        { "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
          FAULT_bad_request, 0 },
        { CHUNKED "3\nabc\r\n0\r\n\r\n", FAULT_bad_request, 0 },
        { CHUNKED "3\r\nabc0\r\n\r\n", FAULT_bad_request, 0 },
        { CHUNKED "3\r\nabc\n0\r\n\r\n", FAULT_bad_request, 0 },
        { CHUNKED "-3\r\nabc\r\n", FAULT_bad_request, 0 },
        { CHUNKED "0x3\r\nabc\r\n", FAULT_bad_request, 0 },
        { CHUNKED "3 \r\nabc\r\n0\r\n\r\n", FAULT_bad_request, 0 },
        { CHUNKED "FFFFFFFFFFFFFFFFF\r\nabc\r\n", FAULT_bad_request, 0 },
        { CHUNKED "3;a\rb\r\nabc\r\n0\r\n\r\n", FAULT_bad_request, 0 },
        { CHUNKED "0\r\nX : y\r\n\r\n", FAULT_bad_request, 0 },
        { POST "Expect: 200-maybe\r\nContent-Length: 1\r\n\r\n", FAULT_expectation_failed, 0 },
    };

    expect_faults(true, rows, sizeof(rows) / sizeof(rows[0]));
}

Test(parser, refuses_responses_that_are_not_strict)
{
    static const struct wrong rows[] = {
        { "HTTP/1.1 200 OK\nContent-Length: 0\n\n", FAULT_bad_response, 0 },
        { "HTTP/1.1 20 OK\r\n\r\n", FAULT_bad_response, 0 },
        { "HTTP/1.1 2000 OK\r\n\r\n", FAULT_bad_response, 0 },
        { "HTTP/1.1 099 OK\r\n\r\n", FAULT_bad_response, 0 },
        { "HTTP/2.0 200 OK\r\n\r\n", FAULT_bad_response, 0 },
        { "junk\r\n\r\n", FAULT_bad_response, 0 },
        { OK "X y: z\r\n\r\n", FAULT_bad_response, 0 },
        { OK "X: a\r\n b\r\n\r\n", FAULT_bad_response, 0 },
        { OK "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc", FAULT_bad_response, 0 },
        { OK "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", FAULT_bad_response, 0 },
        { OK "Transfer-Encoding: gzip\r\n\r\n", FAULT_bad_response, 0 },
        { "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
          FAULT_bad_response, 0 }, /* nobody asked */
    };

    expect_faults(false, rows, sizeof(rows) / sizeof(rows[0]));
}

Test(parser, reads_a_message_alike_in_any_pieces)
{
    static const char text[] =
        "POST /p?q HTTP/1.1\r\nHost: a\r\nX-Long:   some value \t\r\nX-Empty:\r\n"
        "Transfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n6\r\n world\r\n0\r\n"
        "X-Sum: 1\r\nHost: evil\r\n\r\n";

    for (size_t step = 1; step < sizeof(text); step++) {
        struct reading r;

        read_message(&r, true, text, sizeof(text) - 1, step);
        cr_assert_eq(r.fault, FAULT_NONE, "steps of %zu: %s", step, fault_row(r.fault)->name);
        cr_assert(!r.more && r.taken == sizeof(text) - 1);
        cr_assert_eq(r.head.count, 4);
        cr_assert(str_equals(head_target(&r.head), STR("/p?q")));
        cr_assert(str_equals(head_value(&r.head, &r.head.fields[1]), STR("some value")));
        cr_assert_eq(r.head.fields[2].value_len, 0);
        cr_assert_str_eq(r.body.ptr, "hello world");
        cr_assert(str_equals(str_slice(r.parser.trailers.ptr, r.parser.trailers.len),
                             STR("X-Sum: 1\r\n")),
                  "a trailer may not name a host");
        reading_free(&r);
    }
}

Test(parser, stops_where_the_next_message_begins)
{
    struct reading r;

    read_message(&r, true, POST "Content-Length: 3\r\n\r\nabcGET /", sizeof(POST) + 29, 999);
    cr_assert(!r.more);
    cr_assert_eq(r.taken, sizeof(POST) - 1 + 21 + 3);
    cr_assert_str_eq(r.body.ptr, "abc");
    reading_free(&r);
}

Test(parser, holds_the_limits)
{
    char long_url[128] = "GET /", many[512] = HEAD, large[2048] = HEAD "X: ";
    struct reading r;

    memset(long_url + 5, 'x', 70);
    strcat(long_url, " HTTP/1.1\r\nHost: a\r\n\r\n");
    read_message(&r, true, long_url, strlen(long_url), 999);
    cr_expect_eq(r.fault, FAULT_uri_too_long);
    reading_free(&r);
    for (unsigned i = 0; i < 8; i++)
        strcat(many, "X: y\r\n");
    strcat(many, "\r\n");
    read_message(&r, true, many, strlen(many), 999);
    cr_expect_eq(r.fault, FAULT_head_too_large);
    reading_free(&r);
    memset(large + strlen(large), 'x', 1500);
    for (size_t step = 1; step <= 2000; step += 1999) {
        read_message(&r, true, large, strlen(large), step);
        cr_expect_eq(r.fault, FAULT_head_too_large);
        reading_free(&r);
    }
}

Test(framing, knows_when_a_connection_stays)
{
    static const struct {
        const char *text;
        bool keep_alive;
    } rows[] = {
        { HEAD "\r\n", true },
        { HEAD "Connection: close\r\n\r\n", false },
        { HEAD "Connection: x, CLOSE\r\n\r\n", false },
        { "GET / HTTP/1.0\r\nHost: a\r\n\r\n", false },
        { "GET / HTTP/1.0\r\nHost: a\r\nConnection: Keep-Alive\r\n\r\n", true },
        { "GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive, close\r\n\r\n", false },
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct reading r;

        read_message(&r, true, rows[i].text, strlen(rows[i].text), 999);
        cr_assert_eq(r.fault, FAULT_NONE);
        cr_expect_eq(r.head.keep_alive, rows[i].keep_alive, "%s", rows[i].text);
        reading_free(&r);
    }
}

Test(framing, ends_response_bodies_as_the_rfc_says)
{
    static const struct {
        const char *text;
        bool to_head;
        enum body_kind body;
    } rows[] = {
        { OK "Content-Length: 3\r\n\r\n", false, BODY_LENGTH },
        { OK "Content-Length: 3\r\n\r\n", true, BODY_NONE },
        { OK "Content-Length: 0\r\n\r\n", false, BODY_NONE },
        { OK "Transfer-Encoding: chunked\r\n\r\n", false, BODY_CHUNKED },
        { OK "Transfer-Encoding: chunked\r\n\r\n", true, BODY_NONE },
        { OK "\r\n", false, BODY_UNTIL_CLOSE },
        { "HTTP/1.1 204 No Content\r\n\r\n", false, BODY_NONE },
        { "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", false, BODY_NONE },
        { "HTTP/1.1 103 Early Hints\r\n\r\n", false, BODY_NONE },
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct head h;
        struct parser p;

        head_init(&h);
        parser_init(&p, false, &limits);
        parser_start(&p, &h);
        cr_assert_eq(parser_head(&p, rows[i].text, 0, strlen(rows[i].text)), PARSE_DONE);
        cr_assert_eq(framing_response(&h, rows[i].to_head, false), FAULT_NONE);
        cr_expect_eq(h.body, rows[i].body, "%s", rows[i].text);
        head_free(&h);
    }
}

Test(parser, methods_are_known_by_name_but_connect)
{
    uint8_t method;

    cr_assert(parser_method_number(STR("GET"), &method));
    cr_assert_eq(method, HTTP_GET);
    cr_assert(parser_method_number(STR("M-SEARCH"), &method));
    cr_assert_eq(method, HTTP_MSEARCH);
    cr_assert_not(parser_method_number(STR("get"), &method));
    cr_assert_not(parser_method_number(STR("GETX"), &method));
    cr_assert_not(parser_method_number(STR(""), &method));
    cr_assert_not(parser_method_number(STR("CONNECT"), &method));
}
