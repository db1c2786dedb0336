/* g_strict_reading.c -- what is not HTTP/1.1 to the letter is refused, both ways, and nothing of it
 * goes on.
 *
 * Owns:    nothing.
 * Thread:  the test's.
 * Used by: make test.
 * Not here: every corner of the parser (unit and fuzz tests). */
#include "harness/scene.h"

#include <stdio.h>

#define LINE "GET / HTTP/1.1\r\n"
#define GET_A LINE "Host: a.test\r\n"
#define POST_A "POST / HTTP/1.1\r\nHost: a.test\r\n"
/* Behind a head that must not be taken: if it is answered, the reader was led astray. */
#define SMUGGLED "GET /smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n"

struct bad_request {
    const char *what, *bytes, *fault;
};

static const struct bad_request bad_requests[] = {
    { "both lengths",
      POST_A "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" SMUGGLED,
      "bad_request" },
    { "both, the other way round",
      POST_A "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n" SMUGGLED,
      "bad_request" },
    { "unequal lengths", POST_A "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd" SMUGGLED,
      "bad_request" },
    { "equal lengths twice", POST_A "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
      "bad_request" },
    { "a list of lengths", POST_A "Content-Length: 3, 3\r\n\r\nabc", "bad_request" },
    { "a signed length", POST_A "Content-Length: +3\r\n\r\nabc", "bad_request" },
    { "a negative length", POST_A "Content-Length: -1\r\n\r\n", "bad_request" },
    { "a length in hex", POST_A "Content-Length: 0x3\r\n\r\nabc", "bad_request" },
    { "a length with blanks inside", POST_A "Content-Length: 1 2\r\n\r\nabc", "bad_request" },
    { "an empty length", POST_A "Content-Length:\r\n\r\n", "bad_request" },
    { "a length beyond all bounds", POST_A "Content-Length: 99999999999999999999\r\n\r\n",
      "bad_request" },
    { "an unknown coding", POST_A "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
      "not_implemented" },
    { "gzip before chunked", POST_A "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
      "not_implemented" },
    { "chunked not last", POST_A "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", NULL },
    { "chunked twice",
      POST_A "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"
             "0\r\n\r\n",
      NULL },
    { "identity", POST_A "Transfer-Encoding: identity\r\n\r\n", NULL },
    { "a coding with odd blanks",
      POST_A "Transfer-Encoding: \x0b"
             "chunked\r\n\r\n0\r\n\r\n",
      NULL },
    { "chunked in 1.0",
      "POST / HTTP/1.0\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      "bad_request" },
    { "a folded line", GET_A "X-A: b\r\n c\r\n\r\n", "bad_request" },
    { "a folded line by tab", GET_A "X-A: b\r\n\tc\r\n\r\n", "bad_request" },
    { "a first line that is folded", LINE " Host: a.test\r\n\r\n", "bad_request" },
    { "a bare LF after the request line", "GET / HTTP/1.1\nHost: a.test\r\n\r\n", "bad_request" },
    { "a bare LF after a field", LINE "Host: a.test\nX: y\r\n\r\n", "bad_request" },
    { "bare LFs only", "GET / HTTP/1.1\nHost: a.test\n\n", "bad_request" },
    { "an empty line of LF", GET_A "\n" SMUGGLED, "bad_request" },
    { "a bare CR in a value", GET_A "X-A: b\rc\r\n\r\n", "bad_request" },
    { "a bare CR in a name", GET_A "X\rA: b\r\n\r\n", "bad_request" },
    { "a CR at a line's end too many", GET_A "X-A: b\r\r\n\r\n", "bad_request" },
    { "a space before the colon", LINE "Host : a.test\r\n\r\n", "bad_request" },
    { "a space before another colon", GET_A "Content-Length : 3\r\n\r\nabc", "bad_request" },
    { "a tab before the colon", GET_A "X-A\t: b\r\n\r\n", "bad_request" },
    { "a space in a name", GET_A "X A: b\r\n\r\n", "bad_request" },
    { "an empty name", GET_A ": b\r\n\r\n", "bad_request" },
    { "no colon", GET_A "nonsense\r\n\r\n", "bad_request" },
    { "a name that is no token", GET_A "X(A): b\r\n\r\n", "bad_request" },
    { "a name of 8-bit octets", GET_A "X\xc3\xa4: b\r\n\r\n", "bad_request" },
    { "a control octet in a value",
      GET_A "X-A: b\x01"
            "c\r\n\r\n",
      "bad_request" },
    { "DEL in a value",
      GET_A "X-A: b\x7f"
            "c\r\n\r\n",
      "bad_request" },
    { "no Host", LINE "\r\n", "bad_host" },
    { "Host twice", GET_A "Host: a.test\r\n\r\n", "bad_host" },
    { "Host twice, unlike", GET_A "Host: b.test\r\n\r\n", "bad_host" },
    { "an empty Host", LINE "Host:\r\n\r\n", "bad_host" },
    { "a Host of a star", LINE "Host: *\r\n\r\n", "bad_host" },
    { "a Host with a star", LINE "Host: *.a.test\r\n\r\n", "bad_host" },
    { "a Host with a space", LINE "Host: a test\r\n\r\n", "bad_host" },
    { "a Host with a slash", LINE "Host: a.test/x\r\n\r\n", "bad_host" },
    { "a Host with user", LINE "Host: u@a.test\r\n\r\n", "bad_host" },
    { "a Host with a wrong port", LINE "Host: a.test:port\r\n\r\n", "bad_host" },
    { "a Host with a port too large", LINE "Host: a.test:65536\r\n\r\n", "bad_host" },
    { "a Host list", LINE "Host: a.test, b.test\r\n\r\n", "bad_host" },
    { "a Host with an escape", LINE "Host: a%2etest\r\n\r\n", "bad_host" },
    { "a Host with an empty label", LINE "Host: a..test\r\n\r\n", "bad_host" },
    { "a Host of a dot", LINE "Host: .\r\n\r\n", "bad_host" },
    { "a Host of 8-bit octets", LINE "Host: \xc3\xa4.test\r\n\r\n", NULL },
    { "a Host of half a literal", LINE "Host: [::1\r\n\r\n", "bad_host" },
    { "a Host of a wrong literal", LINE "Host: [::g]\r\n\r\n", "bad_host" },
    { "an absolute form that disagrees", "GET http://b.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n",
      "bad_request" },
    { "an absolute form of another scheme", "GET ftp://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n",
      "bad_request" },
    { "an absolute form without host", "GET http:/// HTTP/1.1\r\nHost: a.test\r\n\r\n", NULL },
    { "an absolute form with user", "GET http://u:p@a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n",
      NULL },
    { "an asterisk for GET", "GET * HTTP/1.1\r\nHost: a.test\r\n\r\n", "bad_request" },
    { "a target without slash", "GET x HTTP/1.1\r\nHost: a.test\r\n\r\n", "bad_request" },
    { "CONNECT", "CONNECT a.test:80 HTTP/1.1\r\nHost: a.test:80\r\n\r\n", "not_implemented" },
    { "a fragment", "GET /#x HTTP/1.1\r\nHost: a.test\r\n\r\n", "bad_request" },
    { "an encoded NUL", "GET /a%00b HTTP/1.1\r\nHost: a.test\r\n\r\n", "bad_request" },
    { "an encoded control octet", "GET /a%0d%0ab HTTP/1.1\r\nHost: a.test\r\n\r\n", "bad_request" },
    { "half an escape", "GET /a%4 HTTP/1.1\r\nHost: a.test\r\n\r\n", "bad_request" },
    { "a wrong escape", "GET /a%zz HTTP/1.1\r\nHost: a.test\r\n\r\n", "bad_request" },
    { "a control octet in the target", "GET /a\x01 HTTP/1.1\r\nHost: a.test\r\n\r\n",
      "bad_request" },
    { "a control octet in the query", "GET /?a=\x01 HTTP/1.1\r\nHost: a.test\r\n\r\n",
      "bad_request" },
    { "DEL in the query", "GET /?a=\x7f HTTP/1.1\r\nHost: a.test\r\n\r\n", "bad_request" },
    { "a fragment behind a query", "GET /?a#x HTTP/1.1\r\nHost: a.test\r\n\r\n", "bad_request" },
    { "a tab in the request line", "GET\t/ HTTP/1.1\r\nHost: a.test\r\n\r\n", "bad_request" },
    { "two blanks in the request line", "GET  / HTTP/1.1\r\nHost: a.test\r\n\r\n", "bad_request" },
    { "two blanks before the version", "GET /  HTTP/1.1\r\nHost: a.test\r\n\r\n", "bad_request" },
    { "a blank at the line's end", "GET / HTTP/1.1 \r\nHost: a.test\r\n\r\n", "bad_request" },
    { "a blank in front", " GET / HTTP/1.1\r\nHost: a.test\r\n\r\n", "bad_request" },
    { "no version", "GET /\r\nHost: a.test\r\n\r\n", NULL },
    { "version 2.0", "GET / HTTP/2.0\r\nHost: a.test\r\n\r\n", "version_unsupported" },
    { "version 1.2", "GET / HTTP/1.2\r\nHost: a.test\r\n\r\n", NULL },
    { "version 0.9", "GET / HTTP/0.9\r\nHost: a.test\r\n\r\n", "version_unsupported" },
    { "the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", NULL },
    { "another protocol's version", "GET / ICY/1.1\r\nHost: a.test\r\n\r\n", "bad_request" },
    { "a version in lower case", "GET / http/1.1\r\nHost: a.test\r\n\r\n", "bad_request" },
    { "a version of many digits", "GET / HTTP/1.10\r\nHost: a.test\r\n\r\n", NULL },
    { "a method nobody knows", "BREW / HTTP/1.1\r\nHost: a.test\r\n\r\n", "not_implemented" },
    { "a method in lower case", "get / HTTP/1.1\r\nHost: a.test\r\n\r\n", NULL },
    { "a method that is no token", "G(T / HTTP/1.1\r\nHost: a.test\r\n\r\n", "bad_request" },
    { "TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03zzzz\r\n\r\n", "bad_request" },
    { "an expectation nobody meets", POST_A "Expect: 200-ok\r\nContent-Length: 1\r\n\r\nx",
      "expectation_failed" },
};

/* The answer to bytes that end a connection; asserts that it is ended and says so. */
static struct response refused(struct scene *s, const char *what, const char *bytes, size_t len)
{
    struct client *c = scene_open(s);
    struct response r;

    client_send_bytes(c, bytes, len);
    r = client_read(c);
    cr_assert_neq(r.status, 0, "%s: %s", what, r.why);
    cr_assert(has(response_field(&r, "connection"), "close"), "%s: %s", what, r.head);
    cr_assert(client_ended(c, AWAIT_MS), "%s: the connection is not closed", what);
    client_close(c);
    return r;
}

SCENARIO(strict, each_bad_request_is_refused_and_nothing_goes_on)
{
    static struct scene s;
    struct origin *o = origin_start("one");

    scene_start(&s, .workers = 1);
    scene_host(&s, "a.test", o);
    scene_host(&s, "*", o);
    scene_live(&s);
    for (unsigned i = 0; i < sizeof(bad_requests) / sizeof(bad_requests[0]); i++) {
        const struct bad_request *b = &bad_requests[i];
        struct response r;

        /* what is said of a sound framing (417, say) need not end the connection */
        if (b->fault != NULL && strcmp(b->fault, "bad_request") == 0)
            r = refused(&s, b->what, b->bytes, strlen(b->bytes));
        else
            r = scene_exchange(&s, b->bytes);
        if (b->fault != NULL) {
            cr_assert_str_eq(response_fault(&r), b->fault, "%s: expected %s, came %d %s%s", b->what,
                             b->fault, r.status, response_fault(&r), r.why);
            cr_assert_eq(r.status, scene_fault_status(b->fault), "%s", b->what);
        } else {
            cr_assert(r.status == 400 || r.status == 501 || r.status == 505, "%s: %d %s", b->what,
                      r.status, r.why);
        }
        cr_assert_eq(origin_requests(o), 0, "%s: it went on:\n%s", b->what,
                     origin_requests(o) > 0 ? origin_last(o)->head : "");
    }
    cr_assert_eq(origin_bytes(o), 0);
    expect_get(&s, "a.test", "/", 200, "one");
    scene_end(&s);
}

SCENARIO(strict, nul_is_refused_wherever_it_stands)
{
    static const char request[] = "GET /a HTTP/1.1\r\nHost: a.test\r\nX-A: bc\r\n\r\n";
    static struct scene s;
    struct origin *o = origin_start("one");

    scene_start(&s, .workers = 1);
    scene_host(&s, "a.test", o);
    scene_live(&s);
    for (size_t at = 0; at < sizeof(request) - 1; at++) {
        char bytes[sizeof(request)];
        struct client *c = scene_open(&s);
        struct response r;

        memcpy(bytes, request, sizeof(request));
        bytes[at] = '\0';
        client_send_bytes(c, bytes, sizeof(bytes) - 1);
        client_half_close(c);
        r = client_read(c);
        cr_assert(r.status == 400 || r.status == 501 || r.status == 505 || r.status == 0,
                  "NUL at %zu: %d", at, r.status);
        client_close(c);
    }
    cr_assert_eq(origin_bytes(o), 0);
    scene_end(&s);
}

/* Bodies that turn out bad after their head went on: nothing behind them may. */
SCENARIO(strict, bad_chunks_end_the_exchange_and_the_connection)
{
    static const char *const chunks[] = {
        "zz\r\nabc\r\n0\r\n\r\n",
        "-1\r\nabc\r\n0\r\n\r\n",
        "0x3\r\nabc\r\n0\r\n\r\n",
        "+3\r\nabc\r\n0\r\n\r\n",
        " 3\r\nabc\r\n0\r\n\r\n",
        "3 \r\nabc\r\n0\r\n\r\n",
        "3\nabc\r\n0\r\n\r\n",
        "3\r\nabcd\r\n0\r\n\r\n",
        "3\r\nabc\n0\r\n\r\n",
        "3\r\nabc0\r\n\r\n",
        "\r\nabc\r\n0\r\n\r\n",
        "fffffffffffffffff\r\nabc",
        "ffffffffffffffff1\r\nabc",
        "3;a\rb\r\nabc\r\n0\r\n\r\n",
        "3;a\nb\r\nabc\r\n0\r\n\r\n",
        "3\r\nabc\r\n0\r\nX Y: z\r\n\r\n",
        "3\r\nabc\r\n0\r\nX : z\r\n\r\n",
        "3\r\nabc\r\n0\r\n folded\r\n\r\n",
        "3\r\nabc\r\n0\n\n",
        "3\r\nabc\r\n0\r\nX: y\n\r\n",
    };
    static struct scene s;
    struct origin *o = origin_start("one");

    scene_start(&s, .workers = 1);
    scene_host(&s, "a.test", o);
    scene_live(&s);
    for (unsigned i = 0; i < sizeof(chunks) / sizeof(chunks[0]); i++) {
        struct response r = refused(
            &s, chunks[i],
            kept_format(POST_A "Transfer-Encoding: chunked\r\n\r\n%s" SMUGGLED, chunks[i]),
            strlen(POST_A "Transfer-Encoding: chunked\r\n\r\n" SMUGGLED) + strlen(chunks[i]));

        cr_assert_eq(r.status, 400, "chunks \"%s\": %d %s", chunks[i], r.status,
                     response_fault(&r));
        expect_status(client_get_once(s.edge.at, "a.test", "/good"), 200);
    }
    for (unsigned i = 0; i < origin_requests(o); i++) {
        cr_assert_str_neq(origin_request(o, i)->target, "/smuggled");
        cr_assert(strcmp(origin_request(o, i)->target, "/good") == 0 ||
                      !origin_request(o, i)->body.whole,
                  "a bad body was made whole:\n%s", origin_request(o, i)->head);
    }
    scene_end(&s);
}

SCENARIO(strict, a_body_that_ends_early_is_not_made_whole)
{
    static struct scene s;
    struct origin *o = origin_start("one");
    struct client *c;

    scene_start(&s, .workers = 1);
    scene_host(&s, "a.test", o);
    scene_live(&s);
    c = scene_open(&s);
    client_send(c, POST_A "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    await(origin_requests(o) == 1);
    client_half_close(c);
    await(origin_last(o)->body_read);
    cr_assert_not(origin_last(o)->body.whole);
    c = scene_open(&s);
    client_send(c, POST_A "Content-Length: 10\r\n\r\nabc");
    await(origin_requests(o) == 2);
    client_close(c);
    await(origin_last(o)->body_read);
    cr_assert_not(origin_last(o)->body.whole);
    scene_end(&s);
}

SCENARIO(strict, what_is_too_long_is_refused_by_its_own_status)
{
    static struct scene s;
    struct origin *o = origin_start("one");
    char *x = kept_alloc(70001), *fields = kept_alloc(20000);
    struct response r;
    size_t n = 0;

    memset(x, 'x', 70000);
    scene_start(&s, .workers = 1,
                .flags = { "--max-url-bytes", "1000", "--max-head-bytes", "4k",
                           "--max-header-count", "20" });
    scene_host(&s, "a.test", o);
    scene_live(&s);
    r = scene_exchange(&s, kept_format("GET /%.998s HTTP/1.1\r\nHost: a.test\r\n\r\n", x));
    cr_assert_eq(r.status, 200, "%d", r.status);
    r = scene_exchange(&s, kept_format("GET /%.1000s HTTP/1.1\r\nHost: a.test\r\n\r\n", x));
    cr_assert_eq(r.status, 414, "%d", r.status);
    r = scene_exchange(&s, kept_format("GET /%.60000s", x));
    cr_assert_eq(r.status, 414, "%d", r.status);
    r = scene_exchange(&s, kept_format(GET_A "X: %.3900s\r\n\r\n", x));
    cr_assert_eq(r.status, 200, "%d", r.status);
    r = scene_exchange(&s, kept_format(GET_A "X: %.4100s\r\n\r\n", x));
    cr_assert_eq(r.status, 431, "%d", r.status);
    r = scene_exchange(&s, kept_format(GET_A "%.5000s: y\r\n\r\n", x));
    cr_assert_eq(r.status, 431, "%d", r.status);
    cr_assert(has(response_field(&r, "connection"), "close"));
    for (unsigned i = 0; i < 19; i++)
        n += (size_t)snprintf(fields + n, 20000 - n, "X-%u: y\r\n", i);
    r = scene_exchange(&s, kept_format(GET_A "%s\r\n", fields));
    cr_assert_eq(r.status, 200, "%d", r.status);
    r = scene_exchange(&s, kept_format(GET_A "%sX-19: y\r\n\r\n", fields));
    cr_assert_eq(r.status, 431, "%d", r.status);
    cr_assert_eq(origin_requests(o), 3);
    expect_fault_count(&s, "uri_too_long", 2);
    expect_fault_count(&s, "head_too_large", 3);
    scene_end(&s);
}

#define OK "HTTP/1.1 200 OK\r\n"

SCENARIO(strict, each_bad_response_is_502_and_its_connection_not_used_again)
{
    static const char *const bad[] = {
        "nonsense\r\n\r\n",
        "HTTP/1.1 abc OK\r\n\r\n",
        "HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 600 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTX/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1  200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        OK "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        OK "Content-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
        OK "Content-Length: 2\r\nContent-Length: 2\r\n\r\nab",
        OK "Content-Length: 2, 2\r\n\r\nab",
        OK "Content-Length: -2\r\n\r\nab",
        OK "Content-Length: +2\r\n\r\nab",
        OK "Content-Length: 2x\r\n\r\nab",
        OK "Content-Length:\r\n\r\n",
        OK "Transfer-Encoding: gzip\r\n\r\n",
        OK "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        OK "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        OK "X-A : b\r\nContent-Length: 0\r\n\r\n",
        OK "X A: b\r\nContent-Length: 0\r\n\r\n",
        OK "X-A: b\r\n c\r\nContent-Length: 0\r\n\r\n",
        OK " X-A: b\r\nContent-Length: 0\r\n\r\n",
        OK "X-A: b\rc\r\nContent-Length: 0\r\n\r\n",
        OK "X-A: b\nX-B: c\r\nContent-Length: 0\r\n\r\n",
        OK "no colon\r\nContent-Length: 0\r\n\r\n",
        OK "X-A: b\x01\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    };
    static struct scene s;
    struct origin *o = origin_start("one");
    unsigned n = sizeof(bad) / sizeof(bad[0]);

    scene_start(&s, .workers = 1);
    scene_host(&s, "a.test", o);
    scene_live(&s);
    for (unsigned i = 0; i < n; i++) {
        struct client *c = scene_open(&s);
        struct response r;

        origin_answers(o, bad[i]);
        r = client_get(c, "a.test", "/");
        cr_assert_eq(r.status, 502, "%s: %d %s", bad[i], r.status, r.why);
        cr_assert_str_eq(response_fault(&r), "bad_response", "%s: %s", bad[i], response_fault(&r));
        cr_assert_null(response_field(&r, "x-a"));
        await(origin_open_connections(o) == 0);
        origin_answers(o, NULL);
        cr_assert_str_eq(client_get(c, "a.test", "/").text, "one", "the client's stays usable");
        client_close(c);
        origin_drop_connections(o);
        await(scene_metric(&s, "usher_upstream_connections{state=\"idle\"}") == 0);
    }
    expect_fault_count(&s, "bad_response", n);
    scene_end(&s);
}

SCENARIO(strict, a_response_head_beyond_the_limit_is_502)
{
    static struct scene s;
    struct origin *o = origin_start("one");
    char *x = kept_alloc(200001);

    memset(x, 'x', 200000);
    scene_start(&s, .workers = 1);
    scene_host(&s, "a.test", o);
    scene_live(&s);
    origin_answers(o, kept_format(OK "X: %s\r\nContent-Length: 0\r\n\r\n", x));
    expect_fault(&s, "a.test", "bad_response");
    origin_answers(o, kept_format(OK "X: %.20000s\r\nContent-Length: 0\r\n\r\n", x));
    expect_get(&s, "a.test", "/", 200, "");
    scene_end(&s);
}

SCENARIO(strict, response_bodies_that_break_cut_the_client_off)
{
    static const char *const bad[] = {
        OK "Content-Length: 10\r\n\r\nabc",
        OK "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        OK "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\nabc\r\n0\r\n\r\n",
        OK "Transfer-Encoding: chunked\r\n\r\n3\r\nabcX0\r\n\r\n",
    };
    static struct scene s;
    struct origin *o = origin_start("one");

    scene_start(&s, .workers = 1);
    scene_host(&s, "a.test", o);
    scene_live(&s);
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct client *c = scene_open(&s);
        struct response r;

        origin_answers_and_closes(o, bad[i]);
        r = client_get(c, "a.test", "/");
        /* the head may be gone already; or it was all read at once, and then a 502 is better */
        cr_assert(r.status == 502 || (r.status == 200 && !r.body.whole), "%u: %d, whole %d", i,
                  r.status, r.body.whole);
        client_close(c);
    }
    await(scene_fault_count(&s, "body_truncated") + scene_fault_count(&s, "bad_response") +
              scene_fault_count(&s, "response_closed") ==
          4);
    scene_end(&s);
}

SCENARIO(strict, an_odd_but_lawful_request_passes)
{
    static const char *const lawful[] = {
        "\r\n" GET_A "\r\n",
        LINE "hOST:a.test\r\n\r\n",
        LINE "Host: \t a.test \t \r\n\r\n",
        GET_A "X-Empty:\r\nX-8bit: \xc3\xa4\r\nX-Tab: a\tb\r\n\r\n",
        GET_A "Connection: ,keep-alive,,\r\n\r\n",
        POST_A "Content-Length: 003\r\n\r\nabc",
        POST_A "Transfer-Encoding: Chunked\r\n\r\n003;a=\"b c\"\r\nabc\r\n000\r\n\r\n",
        "GET /?a=b?c=d/../e HTTP/1.1\r\nHost: a.test\r\n\r\n",
        "GET HTTP://A.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n",
        "POST / HTTP/1.0\r\nHost: a.test\r\nContent-Length: 3\r\n\r\nabc",
    };
    static struct scene s;
    struct origin *o = origin_start("one");

    scene_start(&s, .workers = 1);
    scene_host(&s, "a.test", o);
    scene_live(&s);
    for (unsigned i = 0; i < sizeof(lawful) / sizeof(lawful[0]); i++) {
        struct response r = scene_exchange(&s, lawful[i]);

        cr_assert_eq(r.status, 200, "%s: %d %s%s", lawful[i], r.status, response_fault(&r), r.why);
    }
    scene_end(&s);
}

struct sending {
    struct client *c;
    uint64_t len;
};

static void *send_on(void *owner)
{
    struct sending *s = owner;

    client_send_pattern(s->c, s->len);
    return NULL;
}

SCENARIO(strict, a_refusal_arrives_though_the_client_still_sends)
{
    static const char *const requests[] = {
        "POST / HTTP/1.1\r\nHost: nobody.test\r\nContent-Length: 3000000\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3000000\r\nBad Name: x\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    };
    static struct scene s;

    scene_start(&s, .workers = 1);
    scene_host(&s, "a.test", origin_start("one"));
    scene_live(&s);
    for (unsigned i = 0; i < 30; i++) {
        static struct sending sending;
        struct client *c = scene_open(&s);
        struct response r;
        pthread_t thread;

        client_send(c, requests[i % 3]);
        sending = (struct sending){ c, 3000000 };
        pthread_create(&thread, NULL, send_on, &sending);
        r = client_read(c);
        cr_assert(r.status == 404 || r.status == 400, "%u: %d %s: a reset overtook it", i, r.status,
                  r.why);
        pthread_join(thread, NULL);
        cr_assert(client_ended(c, AWAIT_MS) && !c->in.reset, "%u: reset", i);
        client_close(c);
    }
    scene_end(&s);
}

SCENARIO(strict, the_largest_that_is_allowed_goes_through)
{
    static struct scene s;
    struct origin *o = origin_start("one");
    char *quotes = kept_alloc(8001), *x = kept_alloc(32001), *host = kept_alloc(254);
    struct response r;

    memset(quotes, '"', 8000);
    memset(x, 'x', 32000);
    for (unsigned i = 0; i < 253; i++)
        host[i] = i % 63 == 62 ? '.' : 'h';
    scene_start(&s, .workers = 1, .flags = { "--forwarded", "on" });
    scene_host(&s, "a.test", o);
    scene_host(&s, host, o);
    scene_live(&s);
    /* each of these octets becomes three */
    r = scene_exchange(&s, kept_format("GET /%s HTTP/1.1\r\nHost: a.test\r\n\r\n", quotes));
    expect_status(r, 200);
    cr_assert_eq(strcspn(origin_last(o)->head + 5, " "), 24000);
    r = scene_exchange(
        &s, kept_format("GET /%s HTTP/1.1\r\nHost: %s\r\nX: %.20000s\r\n\r\n", quotes, host, x));
    expect_status(r, 200);
    cr_assert_eq(strlen(message_field(origin_last(o)->head, "x")), 20000);
    cr_assert_str_eq(message_field(origin_last(o)->head, "x-forwarded-host"), host);
    r = scene_exchange(&s, kept_format(GET_A "X: %.32000s\r\n\r\n", x));
    expect_status(r, 200);
    origin_answers(o, kept_format(OK "X: %.32000s\r\nContent-Length: 2\r\n\r\nok", x));
    r = scene_get(&s, host, "/");
    expect_status(r, 200);
    cr_assert_eq(strlen(response_field(&r, "x")), 32000);
    scene_end(&s);
}
