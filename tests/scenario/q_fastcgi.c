/* q_fastcgi.c -- FastCGI to endpoints, against a responder that does what no good one would.
 *
 * Owns:    nothing.
 * Thread:  the test's.
 * Used by: make test.
 * Not here: real PHP (q_php.c); what parameters there are, one by one (tests/unit/http/test_cgi.c). */
#include "harness/responder.h"
#include "harness/scene.h"
#include "harness/verb.h"

#include <stdatomic.h>
#include <unistd.h>

#define OPTIONS "root=/srv/app"

static struct responder *begin(struct scene *s, const char *options)
{
    struct responder *r = responder_start("127.0.0.1:0");

    scene_start(s, .workers = 1, .flags = { "--log-level", "debug" });
    scene_redis(s, "SET usher:host:a.test 'fcgi://%s %s'", responder_at(r), options);
    scene_live(s);
    return r;
}

static void expect_param(struct responder *r, const char *name, const char *value)
{
    const char *is = responder_param(r, name);

    if (value == NULL)
        cr_assert_null(is, "%s=%s", name, is);
    else
        cr_assert(is != NULL && strcmp(is, value) == 0, "%s=%s, not %s", name,
                  is != NULL ? is : "(none)", value);
}

SCENARIO(fastcgi, a_request_becomes_parameters_and_nothing_else)
{
    static struct scene s;
    struct responder *r = begin(&s, OPTIONS);
    struct response got;

    got = scene_exchange(&s, "GET /a%20b/c.php?x=%20y HTTP/1.1\r\nHost: A.test:81\r\n"
                             "Proxy: http://evil\r\nX_Real: evil\r\nX-Real: good\r\n"
                             "X-Forwarded-For: 1.2.3.4\r\nCookie: a=1\r\nCookie: b=2\r\n"
                             "Connection: X-Hop, close\r\nX-Hop: 1\r\nTE: trailers\r\n\r\n");
    expect_status(got, 200);
    expect_param(r, "SCRIPT_FILENAME", "/srv/app/a b/c.php");
    expect_param(r, "SCRIPT_NAME", "/a b/c.php");
    expect_param(r, "DOCUMENT_ROOT", "/srv/app");
    expect_param(r, "REQUEST_URI", "/a%20b/c.php?x=%20y");
    expect_param(r, "QUERY_STRING", "x=%20y");
    expect_param(r, "REQUEST_METHOD", "GET");
    expect_param(r, "SERVER_NAME", "a.test");
    expect_param(r, "HTTP_HOST", "A.test:81");
    expect_param(r, "REMOTE_ADDR", "127.0.0.1");
    expect_param(r, "SERVER_ADDR", "127.0.0.1");
    expect_param(r, "SERVER_PORT", strrchr(s.edge.at, ':') + 1);
    expect_param(r, "HTTP_X_REAL", "good");
    expect_param(r, "HTTP_COOKIE", "a=1; b=2");
    expect_param(r, "HTTP_X_FORWARDED_FOR", "127.0.0.1");
    expect_param(r, "HTTP_PROXY", NULL);
    expect_param(r, "HTTP_X_HOP", NULL);
    expect_param(r, "HTTP_CONNECTION", NULL);
    expect_param(r, "HTTP_TE", NULL);
    expect_param(r, "PATH_INFO", NULL);
    expect_param(r, "HTTPS", NULL);
    expect_param(r, "CONTENT_LENGTH", NULL);
    scene_end(&s);
}

SCENARIO(fastcgi, options_are_live)
{
    static struct scene s;
    struct responder *r = begin(&s, OPTIONS);

    expect_get(&s, "a.test", "/x.php/more", 200, NULL);
    expect_param(r, "SCRIPT_FILENAME", "/srv/app/index.php");
    expect_param(r, "PATH_INFO", NULL);
    scene_redis(&s, "SET usher:host:a.test 'fcgi://%s root=/ path_info index=front/main.php'",
                responder_at(r));
    scene_live(&s);
    expect_get(&s, "a.test", "/x.php/more", 200, NULL);
    expect_param(r, "SCRIPT_FILENAME", "/x.php");
    expect_param(r, "PATH_INFO", "/more");
    expect_param(r, "PATH_TRANSLATED", "/more");
    expect_get(&s, "a.test", "/", 200, NULL);
    expect_param(r, "SCRIPT_FILENAME", "/front/main.php");
    scene_redis(&s, "HSET usher:endpoints:php fcgi://%s 'root=/one weight=5'", responder_at(r));
    scene_redis(&s, "HSET usher:tenant:t to service:php");
    scene_redis(&s, "HSET usher:routes:t api 'path /api/* to fcgi://%s root=/two strip /api'",
                responder_at(r));
    scene_redis(&s, "SET usher:host:a.test tenant:t");
    scene_live(&s);
    expect_get(&s, "a.test", "/a.php", 200, NULL);
    expect_param(r, "SCRIPT_FILENAME", "/one/a.php");
    expect_get(&s, "a.test", "/api/a.php", 200, NULL);
    expect_param(r, "SCRIPT_FILENAME", "/two/a.php");
    expect_param(r, "REQUEST_URI", "/api/a.php");
    scene_end(&s);
}

SCENARIO(fastcgi, no_path_leaves_the_root)
{
    static const char *const paths[] = { "/%2e%2e/x.php", "/a/.%2e/x.php", "/a%2fx.php",
                                         "/a%5cx.php",    "/a%00.php",     "/..%2fx.php" };
    static struct scene s;
    struct responder *r = begin(&s, OPTIONS);

    scene_redis(&s, "HSET usher:tenant:raw path raw to 'fcgi://%s " OPTIONS "'", responder_at(r));
    scene_redis(&s, "SET usher:host:raw.test tenant:raw");
    scene_live(&s);
    for (unsigned i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        expect_get(&s, "a.test", paths[i], 400, NULL);
        expect_get(&s, "raw.test", paths[i], 400, NULL);
    }
    expect_get(&s, "raw.test", "/../x.php", 400, NULL);
    expect_get(&s, "raw.test", "/a/./x.php", 400, NULL);
    cr_assert_eq(responder_requests(r), 0);
    expect_get(&s, "a.test", "/a/../../x.php", 200, NULL);
    expect_param(r, "SCRIPT_FILENAME", "/srv/app/x.php");
    expect_get(&s, "a.test", "/%252e%252e/x.php", 200, NULL);
    expect_param(r, "SCRIPT_FILENAME", "/srv/app/%2e%2e/x.php");
    scene_end(&s);
}

SCENARIO(fastcgi, bodies_go_through_in_both_directions)
{
    enum { BYTES = 300000 };
    static char body[BYTES + 1];
    static struct scene s;
    struct responder *r = begin(&s, OPTIONS);
    struct client *c;
    struct response got;

    pattern_fill(body, BYTES, 0);
    c = scene_open(&s);
    client_sendf(c, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: %d\r\n\r\n", BYTES);
    cr_assert(client_send_bytes(c, body, BYTES));
    got = client_read(c);
    expect_status(got, 200);
    expect_param(r, "CONTENT_LENGTH", "300000");
    cr_assert_eq(responder_last(r)->body_len, BYTES);
    cr_assert_eq(memcmp(responder_last(r)->body, body, BYTES), 0);
    cr_assert_gt(got.body.bytes, BYTES);
    cr_assert(got.body.whole);
    /* the client's connection serves on, whatever became of the responder's */
    client_send(c, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n\r\n");
    expect_status(client_read(c), 200);
    expect_param(r, "CONTENT_LENGTH", "0");
    scene_end(&s);
}

/* In chunks of its own size; the responder needs the length first. */
static struct response send_chunked(struct client *c, size_t bytes, const char *more)
{
    enum { PIECE = 8192 };
    static char piece[PIECE];

    client_sendf(c, "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n%s\r\n",
                 more);
    if (*more != '\0')
        expect_status(client_read_head(c), 100);
    for (size_t at = 0; at < bytes; at += PIECE) {
        size_t n = bytes - at < PIECE ? bytes - at : PIECE;

        pattern_fill(piece, n, at);
        client_sendf(c, "%zx\r\n", n);
        if (!client_send_bytes(c, piece, n))
            break;
        client_send(c, "\r\n");
    }
    client_send(c, "0\r\n\r\n");
    return client_read(c);
}

SCENARIO(fastcgi, a_body_of_unknown_length_is_held_until_it_is_known)
{
    static struct scene s;
    struct responder *r = begin(&s, OPTIONS);
    const struct responder_request *last;

    expect_status(send_chunked(scene_open(&s), 200000, ""), 200);
    expect_param(r, "CONTENT_LENGTH", "200000");
    last = responder_last(r);
    cr_assert_eq(last->body_len, 200000);
    cr_assert(pattern_holds(last->body, last->body_len, 0));
    expect_status(send_chunked(scene_open(&s), 0, ""), 200);
    expect_param(r, "CONTENT_LENGTH", "0");
    expect_status(send_chunked(scene_open(&s), 5000, "Expect: 100-continue\r\n"), 200);
    expect_param(r, "CONTENT_LENGTH", "5000");
    cr_assert_eq(responder_requests(r), 3);
    scene_end(&s);
}

SCENARIO(fastcgi, a_body_of_unknown_length_is_held_up_to_a_bound)
{
    static struct scene s;
    struct responder *r = begin(&s, OPTIONS);
    struct response got = send_chunked(scene_open(&s), 3u << 20, "");

    expect_status(got, 413);
    cr_assert_str_eq(response_fault(&got), "content_too_large");
    cr_assert_eq(responder_requests(r), 0);
    await(responder_open(r) == 0);
    scene_end(&s);
}

/* What it says, and what the client gets. */
static void expect_answer(struct scene *s, struct responder *r, const char *says, int status,
                          const char *text)
{
    struct response got;

    responder_script(r, responder_says, says);
    got = scene_get(s, "a.test", "/");
    cr_assert_eq(got.status, status, "%s: %d %s", says, got.status, response_fault(&got));
    if (text != NULL)
        cr_assert(has(got.text, text) || has(got.head, text), "%s: %s%s", says, got.head, got.text);
}

SCENARIO(fastcgi, heads_are_read_as_strictly_as_those_of_http)
{
    static struct scene s;
    struct responder *r = begin(&s, OPTIONS);

    expect_answer(&s, r, "Content-Type: a/b\r\n\r\nhello", 200, "hello");
    expect_answer(&s, r, "Status: 201 Made\nX-A: b\n\nhello", 201, "HTTP/1.1 201 Made\r\nX-A: b");
    expect_answer(&s, r, "Location: /x\r\n\r\n", 302, "Location: /x");
    expect_answer(&s, r, "Status: 304\r\nETag: x\r\n\r\nnot to be seen", 304, NULL);
    expect_answer(&s, r, "Status: 204\r\n\r\nnot to be seen", 204, NULL);
    expect_answer(&s, r, "Content-Length: 3\r\n\r\nabcdef", 200, "abc");
    expect_answer(&s, r, "Transfer-Encoding: chunked\r\nConnection: x-a\r\nX-A: b\r\n\r\n3\r\n",
                  200, "X-A: b");
    expect_answer(&s, r, "Status: 101\r\n\r\n", 502, "bad_response");
    expect_answer(&s, r, "Status: 99\r\n\r\n", 502, "bad_response");
    expect_answer(&s, r, "Status: 200\r\nStatus: 404\r\n\r\n", 502, "bad_response");
    expect_answer(&s, r, "no field\r\n\r\n", 502, "bad_response");
    expect_answer(&s, r, "A: b\r\n folded\r\n\r\n", 502, "bad_response");
    expect_answer(&s, r, "A b: c\r\n\r\n", 502, "bad_response");
    expect_answer(&s, r, "Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 502, "bad_response");
    expect_answer(&s, r, "\r\n\r\nbody", 502, "bad_response");
    expect_answer(&s, r, "A: b\r\n", 502, "bad_response");
    expect_answer(&s, r, "", 502, "bad_response");
    responder_script(r, NULL, NULL);
    expect_get(&s, "a.test", "/", 200, NULL);
    scene_end(&s);
}

static void send_raw(struct responder_conn *c, const struct responder_request *r, void *arg)
{
    (void)r;
    responder_raw(c, arg, 8); /* a header */
    responder_end(c, 0, 0);
}

static void say_endlessly(struct responder_conn *c, const struct responder_request *r, void *arg)
{
    (void)r;
    (void)arg;
    while (responder_say(c, "X-A: b\r\n"))
        continue;
    c->hung_up = true;
}

static void end_with(struct responder_conn *c, const struct responder_request *r, void *arg)
{
    (void)r;
    responder_end(c, 0, *(unsigned *)arg);
}

static void wait_at_gate(struct responder_conn *c, const struct responder_request *r, void *arg)
{
    (void)r;
    gate_wait(arg);
    responder_say(c, "A: b\r\n\r\nhello");
    responder_end(c, 0, 0);
}

SCENARIO(fastcgi, records_that_nobody_asked_for_end_the_request)
{
    static struct scene s;
    struct responder *r = begin(&s, OPTIONS);
    unsigned protocol_status = 1;

    responder_script(r, send_raw, "\2\6\0\1\0\0\0\0");
    expect_fault(&s, "a.test", "bad_response");
    responder_script(r, send_raw, "\1\6\0\2\0\0\0\0");
    expect_fault(&s, "a.test", "bad_response");
    responder_script(r, send_raw, "HTTP/1.1");
    expect_fault(&s, "a.test", "bad_response");
    responder_script(r, say_endlessly, NULL);
    expect_fault(&s, "a.test", "bad_response");
    responder_script(r, end_with, &protocol_status);
    expect_fault(&s, "a.test", "bad_response");
    protocol_status = 2;
    expect_fault(&s, "a.test", "endpoint_busy");
    await(responder_open(r) == 0);
    scene_end(&s);
}

static void say_half(struct responder_conn *c, const struct responder_request *r, void *arg)
{
    (void)r;
    (void)arg;
    responder_say(c, "Content-Length: 10\r\n\r\nhalf");
    responder_end(c, 0, 0);
}

SCENARIO(fastcgi, half_a_response_is_not_taken_for_a_whole_one)
{
    static struct scene s;
    struct responder *r = begin(&s, OPTIONS);
    struct response got;

    responder_script(r, responder_says_and_closes, "A: b\r\n\r\nhalf");
    got = scene_get(&s, "a.test", "/");
    cr_assert(!got.body.whole);
    responder_script(r, responder_says_and_closes, "A: b\r\n");
    expect_fault(&s, "a.test", "response_closed");
    responder_script(r, say_half, NULL);
    got = scene_get(&s, "a.test", "/");
    cr_assert(!got.body.whole);
    expect_fault_count(&s, "body_truncated", 2);
    scene_end(&s);
}

SCENARIO(fastcgi, a_head_has_no_body)
{
    static struct scene s;
    struct responder *r = begin(&s, OPTIONS " keep");
    struct client *c = scene_open(&s);

    responder_script(r, responder_says, "Content-Length: 5\r\n\r\nhello");
    client_send(c, "HEAD / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    expect_status(client_read_to_head(c), 200);
    cr_assert_str_eq(client_get(c, "a.test", "/").text, "hello");
    cr_assert_eq(responder_connections(r), 1);
    scene_end(&s);
}

SCENARIO(fastcgi, connections_are_kept_where_that_is_asked_for)
{
    static struct scene s;
    struct responder *r = begin(&s, OPTIONS);

    for (unsigned i = 0; i < 3; i++)
        expect_get(&s, "a.test", "/", 200, NULL);
    cr_assert_eq(responder_connections(r), 3);
    cr_assert(!responder_last(r)->keep);
    await(responder_open(r) == 0);
    scene_redis(&s, "SET usher:host:a.test 'fcgi://%s " OPTIONS " keep'", responder_at(r));
    scene_live(&s);
    for (unsigned i = 0; i < 3; i++)
        expect_get(&s, "a.test", "/", 200, NULL);
    cr_assert_eq(responder_connections(r), 4);
    cr_assert(responder_last(r)->keep);
    cr_assert(has(scene_page(&s, "/dump/upstreams"), "\"protocol\":\"fcgi\",\"idle\":1"));
    scene_end(&s);
}

/* Every second request finds a connection that was closed meanwhile. */
static void answer_and_close(struct responder_conn *c, const struct responder_request *r, void *arg)
{
    (void)r;
    (void)arg;
    responder_say(c, "A: b\r\n\r\nhello");
    responder_end(c, 0, 0);
    c->hung_up = true;
}

SCENARIO(fastcgi, a_kept_connection_that_was_closed_is_no_fault)
{
    static struct scene s;
    struct responder *r = begin(&s, OPTIONS " keep");

    responder_script(r, answer_and_close, NULL);
    for (unsigned i = 0; i < 20; i++)
        expect_get(&s, "a.test", "/", 200, "hello");
    cr_assert_eq(responder_requests(r), 20);
    scene_end(&s);
}

static void complain_much(struct responder_conn *c, const struct responder_request *r, void *arg)
{
    (void)r;
    (void)arg;
    responder_complain(c, "first line\nsecond ");
    responder_say(c, "A: b\r\n\r\nhello");
    responder_complain(c, "line\nthird\"\x1b");
    for (unsigned i = 0; i < 200; i++)
        responder_complain(c, "more\n");
    responder_end(c, 0, 0);
}

SCENARIO(fastcgi, what_it_complains_of_is_logged_within_bounds)
{
    static struct scene s;
    struct responder *r = begin(&s, OPTIONS);

    responder_script(r, complain_much, NULL);
    expect_get(&s, "a.test", "/", 200, "hello");
    cr_assert_eq(scene_logged(&s, "endpoint_says host=\"a.test\" says=\"first line\""), 1);
    cr_assert_eq(scene_logged(&s, "says=\"second line\""), 1);
    cr_assert_eq(scene_logged(&s, "\x1b"), 0);
    cr_assert_leq(scene_logged(&s, "endpoint_says"), 60);
    scene_end(&s);
}

/* As much as it can; says how much that was. */
static void say_much(struct responder_conn *c, const struct responder_request *r, void *arg)
{
    enum { PIECE = 65536 };
    static char piece[PIECE];
    atomic_uint *said = arg;

    (void)r;
    responder_say(c, "A: b\r\n\r\n");
    for (uint64_t at = 0; at < 64u << 20; at += PIECE) {
        pattern_fill(piece, PIECE, at);
        if (!responder_say_bytes(c, piece, PIECE))
            break;
        atomic_fetch_add(said, 1);
    }
    responder_end(c, 0, 0);
}

SCENARIO(fastcgi, a_slow_client_holds_the_responder_and_a_gone_one_ends_it)
{
    static struct scene s;
    static atomic_uint said;
    struct responder *r = begin(&s, OPTIONS);
    struct client *c;
    unsigned before;

    responder_script(r, say_much, &said);
    c = client_open_narrow(s.edge.at);
    client_send(c, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    expect_status(client_read_head(c), 200);
    await((before = atomic_load(&said)) > 0 && (usleep(200000), before == atomic_load(&said)));
    cr_assert_lt(before, 512, "64 MB would be 1024");
    cr_assert_lt(process_rss_kb(&s.edge.process), 200000);
    client_reset(c);
    await(responder_open(r) == 0);
    c = scene_open(&s);
    client_send(c, "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n");
    {
        struct response got = client_read(c);

        expect_status(got, 200);
        cr_assert_eq(got.body.bytes, 64u << 20);
        cr_assert(got.body.pattern && got.body.whole);
    }
    scene_end(&s);
}

static void answer_early(struct responder_conn *c, const struct responder_request *r, void *arg)
{
    (void)r;
    (void)arg;
    responder_say(c, "Status: 403\r\nA: b\r\n\r\nno");
    responder_end(c, 0, 0);
}

SCENARIO(fastcgi, it_may_answer_before_it_has_the_body)
{
    static struct scene s;
    struct responder *r = begin(&s, OPTIONS);
    struct client *c = scene_open(&s);
    struct response got;

    responder_ignores_bodies(r);
    responder_script(r, answer_early, NULL);
    client_send(c, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 100000000\r\n\r\nabc");
    got = client_read(c);
    expect_status(got, 403);
    cr_assert_str_eq(got.text, "no");
    scene_end(&s);
}

SCENARIO(fastcgi, modules_see_it_as_they_see_http)
{
    static struct scene s;
    struct responder *r = begin(&s, OPTIONS);
    struct response got;

    scene_redis(&s,
                "HSET usher:tenant:t to 'fcgi://%s " OPTIONS
                "' modules 'headers(set X-Told=edge response_set X-Seen=yes)'",
                responder_at(r));
    scene_redis(&s, "SET usher:host:a.test tenant:t");
    scene_live(&s);
    got = scene_get(&s, "a.test", "/");
    expect_status(got, 200);
    expect_param(r, "HTTP_X_TOLD", "edge");
    cr_assert_str_eq(response_field(&got, "X-Seen"), "yes");
    scene_end(&s);
}

SCENARIO(fastcgi, a_wrong_record_is_told)
{
    static struct scene s;
    struct responder *r = begin(&s, OPTIONS);

    expect_get(&s, "a.test", "/", 200, NULL);
    scene_redis(&s, "SET usher:host:a.test 'fcgi://%s'", responder_at(r));
    await(has(scene_redis(&s, "HGET usher:errors usher:host:a.test"), "expected root=/FOLDER"));
    expect_get(&s, "a.test", "/", 200, NULL);
    expect_param(r, "DOCUMENT_ROOT", "/srv/app");
    scene_redis(&s, "SET usher:host:a.test 'fcgi://%s root=/srv/../etc'", responder_at(r));
    await(has(scene_redis(&s, "HGET usher:errors usher:host:a.test"), "an absolute path without"));
    expect_get(&s, "a.test", "/", 200, NULL);
    scene_end(&s);
}

SCENARIO(fastcgi, explain_tells_the_script)
{
    static struct scene s;
    struct responder *r = begin(&s, OPTIONS " path_info");
    struct verb_said v = verb_run(&s, "explain", "http://a.test/a%20b.php/c?x=1", NULL);

    cr_assert_eq(v.code, 0, "%s%s", v.out, v.err);
    cr_assert(has(v.out, kept_format("to fcgi://%s " OPTIONS " path_info", responder_at(r))), "%s",
              v.out);
    cr_assert(has(v.out, "FastCGI GET SCRIPT_FILENAME=/srv/app/a b.php PATH_INFO=/c"), "%s", v.out);
    v = verb_run(&s, "explain", "http://a.test/a%2fb.php", NULL);
    cr_assert(has(v.out, "bad_request"), "%s", v.out);
    scene_end(&s);
}

SCENARIO(fastcgi, a_responder_that_is_busy_is_left_for_another)
{
    static struct scene s;
    struct responder *busy = begin(&s, OPTIONS), *free_one = responder_start("127.0.0.1:0");
    unsigned overloaded = 2;

    responder_script(busy, end_with, &overloaded);
    scene_redis(&s, "HSET usher:endpoints:php fcgi://%s " OPTIONS " fcgi://%s " OPTIONS,
                responder_at(busy), responder_at(free_one));
    scene_redis(&s, "SET usher:host:a.test service:php");
    scene_live(&s);
    for (unsigned i = 0; i < 6; i++)
        expect_get(&s, "a.test", "/", 200, NULL);
    cr_assert_eq(responder_requests(free_one), 6);
    cr_assert_gt(responder_requests(busy), 0);
    scene_end(&s);
}

SCENARIO(fastcgi, no_more_than_max_conns_are_under_way)
{
    enum { CLIENTS = 6 };
    static struct scene s;
    static struct gate gate = GATE_CLOSED;
    struct responder *r = begin(&s, OPTIONS);
    struct client *c[CLIENTS];

    responder_script(r, wait_at_gate, &gate);
    scene_redis(&s, "HSET usher:endpoints:php fcgi://%s '" OPTIONS " max_conns=2'",
                responder_at(r));
    scene_redis(&s, "SET usher:host:a.test service:php");
    scene_live(&s);
    for (unsigned i = 0; i < CLIENTS; i++) {
        c[i] = scene_open(&s);
        client_send(c[i], "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    }
    await(gate_waiting(&gate) == 2);
    stays(responder_open(r) <= 2, 100);
    gate_open(&gate);
    for (unsigned i = 0; i < CLIENTS; i++)
        cr_assert_str_eq(client_read(c[i]).text, "hello");
    cr_assert_eq(responder_requests(r), CLIENTS);
    scene_end(&s);
}

SCENARIO(fastcgi, checks_of_health_open_a_connection_and_no_more)
{
    static struct scene s;
    struct responder *r = begin(&s, OPTIONS);

    scene_redis(&s, "HSET usher:endpoints:php fcgi://%s " OPTIONS, responder_at(r));
    scene_redis(&s, "HSET usher:service:php health_path /ping health_interval 100ms");
    scene_redis(&s, "SET usher:host:a.test service:php");
    scene_live(&s);
    expect_get(&s, "a.test", "/", 200, NULL); /* who is never asked for is not checked */
    await(responder_connections(r) >= 4);
    cr_assert_eq(responder_requests(r), 1);
    expect_get(&s, "a.test", "/", 200, NULL);
    scene_end(&s);
}

SCENARIO(fastcgi, a_responder_that_takes_long_is_overtaken_by_another)
{
    static struct scene s;
    static struct gate gate = GATE_CLOSED;
    struct responder *slow = begin(&s, OPTIONS), *quick = responder_start("127.0.0.1:0");

    responder_script(slow, wait_at_gate, &gate);
    responder_script(quick, responder_says, "A: b\r\n\r\nquick");
    scene_redis(&s,
                "HSET usher:endpoints:php fcgi://%s '" OPTIONS " weight=1000' fcgi://%s '" OPTIONS
                " weight=1'",
                responder_at(slow), responder_at(quick));
    scene_redis(&s, "HSET usher:service:php hedge 50ms retry_budget 100");
    scene_redis(&s, "SET usher:host:a.test service:php");
    scene_live(&s);
    for (unsigned i = 0; i < 3; i++)
        expect_get(&s, "a.test", "/", 200, "quick");
    cr_assert_gt(responder_requests(slow), 0);
    gate_open(&gate);
    await(responder_open(slow) == 0);
    scene_end(&s);
}
