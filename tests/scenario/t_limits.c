/* t_limits.c -- what a tenant may take: connections, requests, rates, sizes, bandwidth; all of it live.
 *
 * Owns:    nothing.
 * Thread:  the test's.
 * Used by: make test.
 * Not here: rates across edges (t_rates.c); addresses (t_allow_deny.c); the edge's own limits (i_limits.c). */
#include "harness/scene.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* A tenant acme with the hosts a.test and b.test, and a host c.test of nobody's, at one origin. */
static struct origin *begin(struct scene *s, unsigned workers, const char *fields)
{
    struct origin *o = origin_start("one");

    scene_start(s, .workers = workers);
    scene_redis(s, "HSET usher:tenant:acme to %s %s", origin_at(o), fields);
    scene_redis(s, "SET usher:host:a.test tenant:acme");
    scene_redis(s, "SET usher:host:b.test tenant:acme");
    scene_host(s, "c.test", o);
    scene_live(s);
    return o;
}

static void expect_refusal(struct response r, int status, const char *fault)
{
    expect_status(r, status);
    cr_expect_str_eq(response_fault(&r), fault);
}

static unsigned count_answers(struct scene *s, const char *host, unsigned requests, int status)
{
    struct client *c = scene_open(s);
    unsigned count = 0;

    for (unsigned i = 0; i < requests; i++)
        count += client_get(c, host, "/").status == status;
    client_close(c);
    return count;
}

SCENARIO(tenant_limits, requests_beyond_the_rate_are_429_and_the_endpoint_sees_none)
{
    static struct scene s;
    struct origin *o = begin(&s, 2, "rps 1 burst 5");
    struct response r;
    unsigned passed = 5;

    cr_expect_eq(count_answers(&s, "a.test", 3, 200), 3);
    cr_expect_eq(count_answers(&s, "b.test", 2, 200), 2, "all hosts of the tenant together");
    while ((r = scene_get(&s, "a.test", "/")).status == 200) /* a second has passed */
        passed++;
    expect_refusal(r, 429, "rate_limited");
    cr_assert_not_null(response_field(&r, "retry-after"));
    cr_expect_eq(atoi(response_field(&r, "retry-after")), 1);
    cr_expect_eq(origin_requests(o), passed);
    expect_get(&s, "c.test", "/", 200, "one");
    cr_expect_gt(scene_fault_count(&s, "rate_limited"), 0);
    await(scene_get(&s, "a.test", "/").status == 200);
    scene_end(&s);
}

SCENARIO(tenant_limits, a_change_of_the_rate_holds_for_the_next_request)
{
    static struct scene s;

    begin(&s, 2, "rps 1 burst 2");
    while (scene_get(&s, "a.test", "/").status == 200)
        continue;
    scene_redis(&s, "HSET usher:tenant:acme rps 100000 burst 1000");
    scene_live(&s);
    await_within(count_answers(&s, "a.test", 20, 200) == 20, 4000);
    scene_redis(&s, "HSET usher:tenant:acme rps 1 burst 1");
    scene_live(&s);
    cr_expect_lt(count_answers(&s, "a.test", 20, 200), 10);
    scene_redis(&s, "HSET usher:tenant:acme rps off");
    scene_live(&s);
    cr_expect_eq(count_answers(&s, "a.test", 50, 200), 50);
    scene_redis(&s, "HDEL usher:tenant:acme rps burst");
    scene_live(&s);
    cr_expect_eq(count_answers(&s, "a.test", 50, 200), 50);
    scene_end(&s);
}

SCENARIO(tenant_limits, hosts_and_the_defaults_may_say_them_too)
{
    static struct scene s;
    struct origin *o = begin(&s, 2, "rps 1000000");

    scene_redis(&s, "DEL usher:host:b.test");
    scene_redis(&s, "HSET usher:host:b.test tenant acme rps 1 burst 2");
    scene_redis(&s, "HSET usher:host:d.test to %s rps 1 burst 2", origin_at(o));
    scene_redis(&s, "HSET usher:host:e.test to %s rps 1 burst 2", origin_at(o));
    scene_redis(&s, "HSET usher:defaults rps 1 burst 3");
    scene_live(&s);
    cr_expect_eq(count_answers(&s, "a.test", 30, 200), 30, "the tenant's own word");
    cr_expect_lt(count_answers(&s, "b.test", 30, 200), 12, "the host's");
    cr_expect_lt(count_answers(&s, "d.test", 30, 200), 12);
    cr_expect_geq(count_answers(&s, "e.test", 2, 200), 2, "hosts that say the same count apart");
    cr_expect_lt(count_answers(&s, "c.test", 30, 200), 13, "the defaults'");
    scene_redis(&s, "HSET usher:host:e.test to %s rps off", origin_at(o));
    scene_live(&s);
    cr_expect_eq(count_answers(&s, "e.test", 30, 200), 30);
    cr_expect_eq(count_answers(&s, "a.test", 30, 200), 30);
    scene_end(&s);
}

SCENARIO(tenant_limits, requests_under_way_are_exact_across_workers)
{
    static struct scene s;
    static struct gate gate = GATE_CLOSED;
    struct origin *o = begin(&s, 2, "max_requests 5");
    struct client *clients[20];
    unsigned refused = 0;

    origin_script(o, origin_at_gate, &gate);
    for (unsigned i = 0; i < 20; i++) {
        clients[i] = scene_open(&s);
        client_sendf(clients[i], "GET / HTTP/1.1\r\nHost: %s.test\r\n\r\n", i % 2 ? "a" : "b");
    }
    await(gate_waiting(&gate) == 5);
    await(scene_fault_count(&s, "too_many_requests") == 15);
    gate_open(&gate);
    for (unsigned i = 0; i < 20; i++) {
        struct response r = client_read(clients[i]);

        cr_expect(r.status == 200 || r.status == 429, "%d", r.status);
        refused += r.status == 429;
        if (r.status == 429)
            cr_expect_str_eq(response_field(&r, "retry-after"), "1");
    }
    cr_expect_eq(refused, 15);
    cr_expect_eq(origin_requests(o), 5);
    cr_expect_eq(count_answers(&s, "a.test", 10, 200), 10, "all places are free again");
    scene_end(&s);
}

/* Whatever ends a request gives its place back. */
SCENARIO(tenant_limits, places_are_given_back_however_a_request_ends)
{
    static struct scene s;
    struct origin *o = begin(&s, 2, "max_requests 1");
    struct client *c;

    origin_answers_and_closes(o, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
    for (unsigned i = 0; i < 3; i++)
        scene_get(&s, "a.test", "/");
    origin_answers_and_closes(o, "nonsense");
    for (unsigned i = 0; i < 3; i++)
        expect_fault(&s, "a.test", "bad_response");
    origin_answers(o, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none");
    for (unsigned i = 0; i < 3; i++) { /* a client that leaves */
        c = scene_open(&s);
        client_send(c, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 100\r\n\r\nhalf");
        await(strstr(scene_page(&s, "/dump/tenants"), "\"requests\":1") != NULL);
        client_reset(c);
        await(strstr(scene_page(&s, "/dump/tenants?only=acme"), "\"requests\":0") != NULL);
    }
    scene_redis(&s, "HSET usher:routes:acme no 'path /no deny'");
    scene_live(&s);
    for (unsigned i = 0; i < 3; i++)
        expect_status(scene_get(&s, "a.test", "/no"), 403);
    expect_get(&s, "a.test", "/", 200, "one");
    scene_end(&s);
}

SCENARIO(tenant_limits, connections_are_counted_for_the_tenant_of_their_last_request)
{
    static struct scene s;
    struct client *clients[4], *c;
    struct response r;

    begin(&s, 2, "max_conns 3");
    for (unsigned i = 0; i < 3; i++) {
        clients[i] = scene_open(&s);
        expect_status(client_get(clients[i], i % 2 ? "a.test" : "b.test", "/"), 200);
        expect_status(client_get(clients[i], "a.test", "/"), 200);
    }
    c = scene_open(&s);
    expect_status(client_get(c, "c.test", "/"), 200);
    r = client_get(c, "a.test", "/");
    expect_refusal(r, 503, "too_many_connections");
    cr_expect_str_eq(response_field(&r, "retry-after"), "1");
    cr_expect(client_ended(c, AWAIT_MS), "it would be one more");
    expect_status(client_get(clients[0], "c.test", "/"), 200); /* it is nobody's now */
    c = scene_open(&s);
    expect_status(client_get(c, "a.test", "/"), 200);
    client_close(c);
    client_reset(clients[1]);
    await(strstr(scene_page(&s, "/dump/tenants"), "\"connections\":1") != NULL);
    scene_end(&s);
}

SCENARIO(tenant_limits, a_websocket_is_a_request_and_a_connection_until_it_ends)
{
    static struct scene s;
    struct origin *o = begin(&s, 2, "max_requests 1");
    struct client *c = scene_open(&s);

    origin_script(o, origin_websocket, NULL);
    client_send(
        c, "GET /chat HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
           "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: mine\r\n\r\n");
    expect_status(client_read(c), 101);
    expect_metric(&s, "usher_exchanges", 0);
    expect_fault(&s, "a.test", "too_many_requests");
    await(strstr(scene_page(&s, "/dump/tenants"), "\"connections\":1,\"requests\":1") != NULL);
    client_close(c);
    await(strstr(scene_page(&s, "/dump/tenants"), "\"connections\":0,\"requests\":0") != NULL);
    origin_script(o, NULL, NULL);
    expect_get(&s, "a.test", "/", 200, "one");
    scene_end(&s);
}

SCENARIO(tenant_limits, a_body_too_large_is_413_by_its_length_at_once)
{
    static struct scene s;
    struct origin *o = begin(&s, 1, "max_body 1k");
    struct client *c = scene_open(&s);

    client_send(c, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1025\r\n\r\n");
    expect_refusal(client_read(c), 413, "body_too_large");
    c = scene_open(&s);
    client_send(c, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 99999999\r\nExpect: "
                   "100-continue\r\n\r\n");
    expect_refusal(client_read(c), 413, "body_too_large");
    cr_expect_eq(origin_requests(o), 0);
    c = scene_open(&s);
    client_send(c, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1024\r\n\r\n");
    client_send_pattern(c, 1024);
    expect_status(client_read(c), 200);
    expect_status(client_get(c, "a.test", "/"), 200);
    scene_end(&s);
}

SCENARIO(tenant_limits, a_body_in_chunks_is_cut_where_it_becomes_too_large)
{
    static struct scene s;
    struct origin *o = begin(&s, 1, "max_body 1k");
    struct client *c = scene_open(&s);
    struct response r;

    client_send(c, "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n400\r\n");
    client_send_pattern(c, 1024);
    client_send(c, "\r\n0\r\n\r\n");
    expect_status(client_read(c), 200);
    client_send(c, "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n400\r\n");
    client_send_pattern(c, 1024);
    client_send(c, "\r\n1\r\nx\r\n"); /* and no end */
    r = client_read(c);
    expect_refusal(r, 413, "body_too_large");
    cr_expect(client_ended(c, AWAIT_MS));
    cr_expect_eq(origin_request(o, 0)->body.bytes, 1024);
    await(origin_open_connections(o) <= 1);
    expect_get(&s, "a.test", "/", 200, "one");
    scene_end(&s);
}

static void send_megabyte(struct origin_conn *c, struct origin_request *r, void *arg)
{
    (void)r;
    (void)arg;
    origin_send(c, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
    origin_send_pattern(c, 1000000);
}

static void *fetch(void *arg)
{
    struct response r = client_get_once(arg, "a.test", "/");

    cr_assert_eq(r.status, 200);
    cr_assert_eq(r.body.bytes, 1000000);
    return NULL;
}

SCENARIO(tenant_limits, bandwidth_is_shared_by_all_connections_of_the_tenant)
{
    static struct scene s;
    struct origin *o = begin(&s, 2, "bandwidth 2000000");
    uint64_t begun;
    pthread_t threads[3];

    origin_script(o, send_megabyte, NULL);
    begun = await_now_ms();
    expect_status(scene_get(&s, "c.test", "/"), 200);
    cr_expect_lt(await_now_ms() - begun, 1000, "of another, nothing waits");
    begun = await_now_ms();
    for (unsigned i = 0; i < 3; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, fetch, s.edge.at), 0);
    for (unsigned i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    begun = await_now_ms() - begun;
    cr_expect_geq(begun, 1000, "3 MB at 2 MB/s took %lu ms", (unsigned long)begun);
    cr_expect_lt(begun, 6000, "3 MB at 2 MB/s took %lu ms", (unsigned long)begun);
    scene_end(&s);
}

/* Responses that come in one piece are paid for, too: the next request waits. */
SCENARIO(tenant_limits, bandwidth_holds_for_many_small_responses)
{
    static struct scene s;
    struct origin *o = begin(&s, 1, "bandwidth 100k");
    char *body = kept_alloc(10241);
    struct client *c;
    uint64_t begun;

    memset(body, 'x', 10240);
    body[10240] = '\0';
    origin_answers(o, kept_format("HTTP/1.1 200 OK\r\nContent-Length: 10240\r\n\r\n%s", body));
    c = scene_open(&s);
    begun = await_now_ms();
    for (unsigned i = 0; i < 20; i++)
        expect_status(client_get(c, "a.test", "/"), 200);
    begun = await_now_ms() - begun;
    cr_expect_geq(begun, 1400, "200k at 100k/s took %lu ms", (unsigned long)begun);
    cr_expect_lt(begun, 6000, "200k at 100k/s took %lu ms", (unsigned long)begun);
    scene_end(&s);
}

SCENARIO(tenant_limits, bandwidth_holds_for_uploads)
{
    static struct scene s;
    struct origin *o = begin(&s, 1, "bandwidth 500000");
    struct client *c = scene_open(&s);
    uint64_t begun = await_now_ms();

    client_send(c, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1000000\r\n\r\n");
    client_send_pattern(c, 1000000);
    expect_status(client_read(c), 200);
    begun = await_now_ms() - begun;
    cr_expect_geq(begun, 1000, "1 MB at 0.5 MB/s took %lu ms", (unsigned long)begun);
    cr_expect_lt(begun, 7000, "1 MB at 0.5 MB/s took %lu ms", (unsigned long)begun);
    cr_expect_eq(origin_last(o)->body.bytes, 1000000);
    cr_expect(origin_last(o)->body.pattern);
    scene_end(&s);
}

SCENARIO(tenant_limits, explain_says_them_and_whose_word_each_is)
{
    static struct scene s;
    const char *text;

    begin(&s, 1, "rps 10 max_body 1k");
    scene_redis(&s, "DEL usher:host:a.test");
    scene_redis(&s, "HSET usher:host:a.test tenant acme max_conns 7");
    scene_redis(&s, "HSET usher:defaults max_requests 9 rps 1 deny 10.0.0.0/8");
    scene_live(&s);
    expect_get(&s, "a.test", "/", 200, "one"); /* from then on it is known here */
    text = scene_page(&s, "/explain?url=http://a.test/");
    cr_assert_not_null(text);
    cr_expect(strstr(text, "max_conns 7  (usher:host:a.test)"), "%s", text);
    cr_expect(strstr(text, "max_requests 9  (usher:defaults)"), "%s", text);
    cr_expect(strstr(text, "rps 10  (usher:tenant:acme)"), "%s", text);
    cr_expect(strstr(text, "max_body 1024  (usher:tenant:acme)"), "%s", text);
    text = scene_page(&s, "/explain?url=http://a.test/&from=10.1.2.3");
    cr_expect(strstr(text, "403 denied_address"), "%s", text);
    scene_end(&s);
}
