/* n_hostile.c -- clients and endpoints that mean harm, or were written by chance: what never ends,
 * what is made up, what is never read.
 *
 * Owns:    nothing.
 * Thread:  the test's.
 * Used by: make test.
 * Not here: the table of wrong heads (g_strict_reading.c).  */
#include "harness/scene.h"

#include <stdlib.h>

#define GET_A "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"
#define CHUNKED_A "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n"
#define CHUNKED_OK "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

static struct origin *begin(struct scene *s)
{
    struct origin *o = origin_start("one");

    scene_start(s, .workers = 1, .flags = { "--log-level", "info" });
    scene_host(s, "a.test", o);
    scene_live(s);
    return o;
}

/* Sends `start`, then `more` again and again; how many bytes it took until the edge had enough. */
static size_t until_refused(struct scene *s, const char *start, const char *more, size_t most,
                            int *status)
{
    struct client *c = scene_open(s);
    char *block = kept_alloc(65537);
    size_t sent = 0, len = strlen(more);
    struct response r;

    for (size_t at = 0; at + len <= 65536; at += len)
        memcpy(block + at, more, len);
    client_send(c, start);
    while (sent < most && client_silent(c, 0) && client_send_bytes(c, block, 65536 / len * len))
        sent += 65536 / len * len;
    r = client_read(c);
    *status = r.status;
    client_close(c);
    return sent;
}

SCENARIO(hostile, what_never_ends_in_a_request_is_refused_early)
{
    static const char *const endless[][2] = {
        { "", "\r\n" },
        { "", "x" },
        { "GET /", "x" },
        { "GET / HTTP/1.1\r\nHost: a.test\r\nX: ", "x" },
        { "GET / HTTP/1.1\r\nHost: a.test\r\n", "x" },
        { "GET / HTTP/1.1\r\nHost: a.test\r\n", "X: y\r\n" },
        { "GET / HTTP/1.1\r\nHost: a.test\r\nX: ", " " },
        { CHUNKED_A, "0" },
        { CHUNKED_A "1;", "x" },
        { CHUNKED_A "1;x=\"", "y" },
        { CHUNKED_A "0;", "x" },
        { CHUNKED_A "0\r\n", "X: y\r\n" },
        { CHUNKED_A "0\r\nX: ", "y" },
    };
    static struct scene s;
    struct origin *o = begin(&s);
    const char *taken = "";

    for (unsigned i = 0; i < sizeof(endless) / sizeof(endless[0]); i++) {
        int status;
        size_t sent = until_refused(&s, endless[i][0], endless[i][1], 16u << 20, &status);

        /* sockets hold a few megabytes on their own */
        if (sent >= 12u << 20)
            taken = kept_format("%s\"%s\" and \"%s\" for ever: %zu bytes taken\n", taken,
                                endless[i][0], endless[i][1], sent);
        cr_assert(status == 0 || (status >= 400 && status < 600), "%u: %d", i, status);
        cr_assert_eq(client_get_once(s.edge.at, "a.test", "/good").status, 200);
    }
    for (unsigned i = 0; i < origin_requests(o); i++)
        cr_assert(strcmp(origin_request(o, i)->target, "/good") == 0 ||
                  !origin_request(o, i)->body.whole);
    cr_assert_str_eq(taken, "", "%s", taken);
    scene_end(&s);
}

struct never_ends {
    const char *start, *more;
};

static void never_end(struct origin_conn *c, struct origin_request *r, void *arg)
{
    const struct never_ends *n = arg;
    size_t len = strlen(n->more);
    char *block = kept_alloc(65537);

    origin_read_body(c, r);
    for (size_t at = 0; at + len <= 65536; at += len)
        memcpy(block + at, n->more, len);
    origin_send(c, n->start);
    for (size_t sent = 0; sent < (32u << 20); sent += 65536)
        if (!origin_send_bytes(c, block, 65536 / len * len))
            break;
    origin_hang_up(c);
}

SCENARIO(hostile, what_never_ends_in_a_response_is_cut_early)
{
    static const struct never_ends endless[] = {
        { "", "x" },
        { "", "\r\n" },
        { "HTTP/1.1 200 ", "x" },
        { "HTTP/1.1 200 OK\r\nX: ", "x" },
        { "HTTP/1.1 200 OK\r\n", "X: y\r\n" },
        { "", "HTTP/1.1 103 Early Hints\r\n\r\n" },
        { "", "HTTP/1.1 100 Continue\r\n\r\n" },
        { CHUNKED_OK "1;", "x" },
        { CHUNKED_OK, "0" },
        { CHUNKED_OK "0\r\n", "X: y\r\n" },
        { CHUNKED_OK "0\r\nX: ", "y" },
    };
    static struct scene s;
    struct origin *o = begin(&s);
    long before;

    expect_get(&s, "a.test", "/", 200, "one");
    before = process_rss_kb(&s.edge.process);
    for (unsigned i = 0; i < sizeof(endless) / sizeof(endless[0]); i++) {
        struct client *c = scene_open(&s);
        struct response r;

        origin_script(o, never_end, (void *)(uintptr_t)&endless[i]);
        client_send(c, GET_A);
        do
            r = client_read(c);
        while (r.status / 100 == 1);
        cr_assert(r.status == 0 || r.status == 502 || !r.body.whole, "%u: %d", i, r.status);
        cr_assert_lt(c->in.total, 4u << 20, "%u: %llu bytes passed on", i,
                     (unsigned long long)c->in.total);
        client_close(c);
        await(origin_open_connections(o) == 0);
        origin_script(o, NULL, NULL);
        expect_get(&s, "a.test", "/", 200, "one");
        origin_drop_connections(o);
        await(origin_open_connections(o) == 0);
    }
    cr_assert_leq(process_rss_kb(&s.edge.process) - before, edge_has_sanitizer() ? 40000 : 6000);
    scene_end(&s);
}

SCENARIO(hostile, a_client_that_pipelines_and_never_reads_is_held_back)
{
    static struct scene s;
    struct origin *o = begin(&s);
    struct client *c = client_open_narrow(s.edge.at);
    char *body = kept_alloc(100001), *requests = kept_alloc(65536);
    size_t n = 0;
    uint64_t sent = 0;
    long before;

    memset(body, 'x', 100000);
    origin_answers(o, kept_format("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n%s", body));
    expect_get(&s, "a.test", "/", 200, NULL);
    before = process_rss_kb(&s.edge.process);
    while (n + sizeof(GET_A) < 65536) {
        memcpy(requests + n, GET_A, sizeof(GET_A) - 1);
        n += sizeof(GET_A) - 1;
    }
    while (sent < (64u << 20) && send_all(c->fd, requests, n, 300))
        sent += n;
    cr_assert_lt(sent, 16u << 20, "the edge took %llu bytes", (unsigned long long)sent);
    cr_assert_leq(process_rss_kb(&s.edge.process) - before, edge_has_sanitizer() ? 12000 : 4000,
                  "%ld to %ld", before, process_rss_kb(&s.edge.process));
    cr_assert_lt(origin_requests(o), 200, "%u answers for a client that reads none",
                 origin_requests(o));
    cr_assert_leq(process_rss_kb(&s.edge.process) - before, edge_has_sanitizer() ? 12000 : 4000);
    scene_end(&s);
}

/* Made-up changes to a text; the same in each run. */
static size_t mutate(char *text, size_t len, size_t room, unsigned *seed)
{
    static const char *const tokens[] = { "\r\n",
                                          "\r\n\r\n",
                                          "\n",
                                          "\r",
                                          " ",
                                          ":",
                                          "\t",
                                          "0\r\n\r\n",
                                          "Content-Length: 1\r\n",
                                          "Transfer-Encoding: chunked\r\n",
                                          "Connection: close\r\n",
                                          "HTTP/1.1",
                                          "ffffffff",
                                          ";",
                                          "," };

    for (unsigned times = 1 + (unsigned)rand_r(seed) % 4; times > 0; times--) {
        size_t at = len > 0 ? (size_t)rand_r(seed) % len : 0;
        const char *token = tokens[(size_t)rand_r(seed) % (sizeof(tokens) / sizeof(tokens[0]))];

        switch (rand_r(seed) % 5) {
        case 0:
            text[at] = (char)rand_r(seed);
            break;
        case 1:
            len = at;
            break;
        case 2:
            if (at < len) {
                memmove(text + at, text + at + 1, len - at - 1);
                len--;
            }
            break;
        default:
            if (len + strlen(token) < room) {
                memmove(text + at + strlen(token), text + at, len - at);
                memcpy(text + at, token, strlen(token));
                len += strlen(token);
            }
        }
    }
    return len;
}

SCENARIO(hostile, made_up_requests_harm_nobody)
{
    static const char *const from[] = {
        "GET /a/b?c=d HTTP/1.1\r\nHost: a.test\r\nUser-Agent: x\r\nAccept: */*\r\n\r\n",
        CHUNKED_A "3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\nX-T: 1\r\n\r\n" GET_A,
        "PUT /x HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\nConnection: keep-alive, x\r\n\r\n"
        "hello" GET_A,
        "GET /ws HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nxxx",
        "GET http://a.test/%41/../b HTTP/1.1\r\nHost: a.test\r\nExpect: 100-continue\r\n\r\n",
    };
    static struct scene s;
    unsigned seed = 20260131, n = edge_has_sanitizer() ? 1500 : 3000;
    char text[2048];

    begin(&s);
    for (unsigned i = 0; i < n; i++) {
        const char *base = from[i % (sizeof(from) / sizeof(from[0]))];
        size_t len = strlen(base);
        struct client *c = scene_open(&s);

        memcpy(text, base, len);
        len = mutate(text, len, sizeof(text), &seed);
        client_send_bytes(c, text, len);
        client_half_close(c);
        while (inbox_fill(&c->in, AWAIT_MS) > 0)
            continue;
        cr_assert(c->in.ended, "request %u: no answer and no end:\n%.*s", i, (int)len, text);
        client_close(c);
    }
    expect_get(&s, "a.test", "/", 200, "one");
    await(scene_metric(&s, "usher_exchanges") == 0);
    await(scene_metric(&s, "usher_client_connections") == 0);
    scene_end(&s);
}

struct made_up {
    char text[2048];
    size_t len;
};

static void answer_made_up(struct origin_conn *c, struct origin_request *r, void *arg)
{
    struct made_up *m = arg;

    (void)r;
    origin_send_bytes(c, m->text, m->len);
    origin_hang_up(c);
}

SCENARIO(hostile, made_up_responses_harm_nobody)
{
    static const char *const from[] = {
        "HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 5\r\n\r\nhello",
        CHUNKED_OK "3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\nX-T: 1\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\nuntil close",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nxxx",
    };
    static struct scene s;
    static struct made_up made_up;
    struct origin *o = begin(&s);
    unsigned seed = 20260201, n = edge_has_sanitizer() ? 1500 : 3000;

    origin_script(o, answer_made_up, &made_up);
    for (unsigned i = 0; i < n; i++) {
        const char *base = from[i % (sizeof(from) / sizeof(from[0]))];
        struct client *c = scene_open(&s);

        memcpy(made_up.text, base, strlen(base));
        made_up.len = mutate(made_up.text, strlen(base), sizeof(made_up.text), &seed);
        client_send(c, i % 7 == 0 ? "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\n"
                                    "Upgrade: websocket\r\n\r\n"
                                  : GET_A);
        client_half_close(c);
        while (inbox_fill(&c->in, AWAIT_MS) > 0)
            continue;
        cr_assert(c->in.ended, "response %u: no answer and no end:\n%.*s", i, (int)made_up.len,
                  made_up.text);
        client_close(c);
    }
    origin_script(o, NULL, NULL);
    expect_get(&s, "a.test", "/", 200, "one");
    await(scene_metric(&s, "usher_exchanges") == 0);
    await(scene_metric(&s, "usher_client_connections") == 0);
    scene_end(&s);
}

static void reset_midway(struct origin_conn *c, struct origin_request *r, void *arg)
{
    unsigned *count = arg;

    (void)r;
    switch ((*count)++ % 5) {
    case 0:
        origin_reset(c);
        break;
    case 1:
        origin_send(c, "HTTP/1.1 200 O");
        origin_reset(c);
        break;
    case 2:
        origin_send(c, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
        origin_reset(c);
        break;
    case 3:
        origin_send(c, CHUNKED_OK "3\r\nabc\r\n");
        origin_reset(c);
        break;
    default:
        origin_send(c, "HTTP/1.1 100 Continue\r\n\r\n");
        origin_reset(c);
    }
}

SCENARIO(hostile, endpoints_that_reset_at_any_point_end_one_exchange_each)
{
    static struct scene s;
    static unsigned count;
    struct origin *o = begin(&s);

    origin_script(o, reset_midway, &count);
    for (unsigned i = 0; i < 200; i++) {
        struct client *c = scene_open(&s);
        struct response r;

        if (i % 2 == 0)
            client_send(c, GET_A);
        else
            client_send(c, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 100000\r\n\r\nsome");
        do
            r = client_read(c);
        while (r.status == 100);
        cr_assert(r.status == 0 || r.status == 502 || (r.status == 200 && !r.body.whole), "%u: %d",
                  i, r.status);
        client_close(c);
    }
    await(scene_metric(&s, "usher_exchanges") == 0);
    await(origin_open_connections(o) == 0);
    expect_metric(&s, "usher_upstream_connections{state=\"busy\"}", 0);
    expect_metric(&s, "usher_upstream_connections{state=\"idle\"}", 0);
    scene_end(&s);
}

SCENARIO(hostile, more_hosts_under_way_than_a_worker_remembers)
{
    static struct scene s;
    static struct gate gate = GATE_CLOSED;
    struct origin *o = origin_start("one");
    struct client *c[100];

    scene_start(&s, .workers = 1, .flags = { "--worker-hosts", "16", "--lookup-rate", "1000000" });
    for (unsigned i = 0; i < 100; i++)
        scene_redis(&s, "HSET usher:tenant:t%u to %s", i, origin_at(o));
    for (unsigned i = 0; i < 100; i++)
        scene_redis(&s, "SET usher:host:h%u.test tenant:t%u", i, i);
    scene_live(&s);
    origin_script(o, origin_at_gate, &gate);
    for (unsigned i = 0; i < 100; i++) {
        c[i] = scene_open(&s);
        client_sendf(c[i], "GET /%u HTTP/1.1\r\nHost: h%u.test\r\n\r\n", i, i);
    }
    await(gate_waiting(&gate) == 100);
    for (unsigned i = 0; i < 100; i++) /* and all of them change under way */
        scene_redis(&s, "HSET usher:tenant:t%u to %s", i, origin_at(origin_start("two")));
    gate_open(&gate);
    for (unsigned i = 0; i < 100; i++)
        cr_assert_str_eq(client_read(c[i]).text, "one", "%u", i);
    for (unsigned i = 0; i < 100; i++)
        await(strcmp(client_get(c[i], kept_format("h%u.test", i), "/").text, "two") == 0);
    cr_assert_leq(scene_metric(&s, "usher_hosts_held"), 16);
    await(scene_metric(&s, "usher_objects_retired") == 0);
    scene_end(&s);
}
