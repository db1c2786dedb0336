/* m_host_bodies.c -- bodies on their way through modules: changed, held back, added to, in every framing
 * and at any size; and responses that modules put in the place of others.
 *
 * Owns:    nothing.
 * Thread:  the test's; clients that send while they read have one more.
 * Used by: make test.
 * Not here: bodies without modules (h_bodies.c); waiting (m_host_waits.c). */
#include "harness/probe.h"

#include <stdlib.h>

#define TAKES_Q "probe(request=\"q-take\" response=\"show\" body_q=\"%s\")"
#define TAKES_R "probe(response=\"r-take; show\" body_r=\"%s\")"

static struct response post(struct scene *s, const char *body)
{
    return scene_exchange(s, kept_format("POST / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n"
                                         "Content-Length: %zu\r\n\r\n%s",
                                         strlen(body), body));
}

SCENARIO(module_bodies, what_becomes_of_a_response)
{
    static const struct {
        const char *how, *text;
    } rows[] = {
        { "upper", "SOME WORDS" },
        { "hold", "some words" },
        { "drop", "" },
        { "tail  more", "some words more" },
        { "head first ", "first some words" },
        { "pass", "some words" },
    };
    static const char *const answers[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nsome words",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\ns\r\n9\r\nome words\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\nsome words",
    };
    static struct scene s;
    struct origin *o = probe_start(&s, "probe");

    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct client *c = scene_open(&s);

        probe_say(&s, kept_format(TAKES_R, rows[i].how));
        for (unsigned k = 0; k < 3; k++) {
            struct response r;

            if (k == 2)
                origin_answers_and_closes(o, answers[k]);
            else
                origin_answers(o, answers[k]);
            r = client_get(c, "a.test", "/");
            expect_status(r, 200);
            cr_assert_str_eq(r.text, rows[i].text, "%s of %u: %s", rows[i].how, k, r.text);
            cr_assert(r.body.whole);
            cr_assert_str_eq(response_field(&r, "Transfer-Encoding"), "chunked");
            cr_assert_null(response_field(&r, "Content-Length"));
            client_send(c, "GET / HTTP/1.0\r\nHost: a.test\r\n\r\n");
            r = client_read(c);
            cr_assert_str_eq(r.text, rows[i].text, "%s of %u to 1.0", rows[i].how, k);
            cr_assert_null(response_field(&r, "Transfer-Encoding"));
            client_close(c);
            c = scene_open(&s);
        }
        client_close(c);
    }
    scene_end(&s);
}

SCENARIO(module_bodies, a_response_that_can_have_none_has_none)
{
    static struct scene s;
    struct origin *o;
    struct client *c;
    struct response r;

    o = probe_start(&s, "probe(request=\"r-take\" response=\"r-take; show\" body_r=\"tail more\")");
    c = scene_open(&s);
    origin_answers(o, "HTTP/1.1 304 Same\r\nETag: \"1\"\r\nContent-Length: 10\r\n\r\n");
    r = client_get(c, "a.test", "/");
    expect_status(r, 304);
    cr_assert(has(probe_trail(&r), "R,r-take=0"), "%s", r.head);
    cr_assert_null(response_field(&r, "Transfer-Encoding"));
    origin_answers(o, "HTTP/1.1 204 None\r\n\r\n");
    expect_status(client_get(c, "a.test", "/"), 204);
    origin_answers(o, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n");
    client_send(c, "HEAD / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    r = client_read_to_head(c);
    expect_status(r, 200);
    cr_assert_null(response_field(&r, "Transfer-Encoding"), "%s", r.head);
    cr_assert(client_silent(c, 20));
    origin_answers(o, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    r = client_get(c, "a.test", "/");
    cr_assert_str_eq(r.text, "more", "one that is empty can be added to");
    expect_metric(&s, "usher_module_probe_lasts_total", 1);
    cr_assert_eq(origin_connections(o), 1);
    scene_end(&s);
}

SCENARIO(module_bodies, what_becomes_of_a_request)
{
    static const struct {
        const char *how, *text;
    } rows[] = {
        { "upper", "SOME WORDS" },
        { "hold", "some words" },
        { "drop", "" },
        { "tail  more", "some words more" },
        { "head first ", "first some words" },
    };
    static struct scene s;
    struct origin *o = probe_start(&s, "probe");
    struct response r;

    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        probe_say(&s, kept_format(TAKES_Q, rows[i].how));
        r = post(&s, "some words");
        expect_status(r, 200);
        cr_assert_str_eq(origin_last(o)->text, rows[i].text);
        cr_assert_str_eq(message_field(origin_last(o)->head, "Transfer-Encoding"), "chunked");
        cr_assert_null(message_field(origin_last(o)->head, "Content-Length"));
        r = scene_exchange(&s, "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n"
                               "Connection: close\r\n\r\n5\r\nsome \r\n5\r\nwords\r\n"
                               "0\r\nX-Sum: 7\r\n\r\n");
        expect_status(r, 200);
        cr_assert_str_eq(origin_last(o)->text, rows[i].text);
        cr_assert_str_eq(origin_last(o)->body.trailers, "X-Sum: 7\r\n");
    }
    scene_end(&s);
}

SCENARIO(module_bodies, a_request_without_a_body_gets_one_only_if_a_module_makes_it)
{
    static struct scene s;
    struct origin *o = probe_start(&s, "probe");
    struct client *c = scene_open(&s);

    probe_say(&s, kept_format(TAKES_Q, "tail made"));
    expect_status(client_get(c, "a.test", "/"), 200);
    cr_assert_str_eq(origin_last(o)->text, "made");
    cr_assert_str_eq(message_field(origin_last(o)->head, "Content-Length"), "4");
    client_send(c, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n\r\n");
    expect_status(client_read(c), 200);
    cr_assert_str_eq(origin_last(o)->text, "made");
    probe_say(&s, kept_format(TAKES_Q, "upper"));
    expect_status(client_get(c, "a.test", "/"), 200);
    cr_assert_null(message_field(origin_last(o)->head, "Content-Length"));
    cr_assert_null(message_field(origin_last(o)->head, "Transfer-Encoding"));
    expect_metric(&s, "usher_module_probe_lasts_total", 3);
    scene_end(&s);
}

/* Answers the first request of its connection; closes under the second without an answer. */
static void once_per_connection(struct origin_conn *c, struct origin_request *r, void *arg)
{
    unsigned *answered = arg;

    if (answered[c->number]++ == 0)
        origin_reply(c, r, 200, "fresh");
    else
        origin_hang_up(c);
}

SCENARIO(module_bodies, one_that_is_sent_again_is_ended_once)
{
    static unsigned answered[8];
    static struct scene s;
    struct origin *o =
        probe_start(&s, "probe(request=\"q-take\" response=\"show\" body_q=\"upper\")");
    struct client *c = scene_open(&s);
    struct response r;

    origin_script(o, once_per_connection, answered);
    expect_status(client_get(c, "a.test", "/"), 200);
    r = client_get(c, "a.test", "/again");
    expect_status(r, 200);
    expect_metric(&s, "usher_retries_total{reason=\"stale\"}", 1);
    expect_metric(&s, "usher_module_probe_lasts_total", 2);
    probe_expect_done(&s, 2);
    scene_end(&s);
}

SCENARIO(module_bodies, pass_from_module_to_module_in_their_order)
{
    static struct scene s;
    struct origin *o;
    struct response r;

    o = probe_start(&s, "probe(request=\"q-take; r-take\" body_q=\"upper\" body_r=\"upper\") "
                        "second(request=\"q-take; r-take\" body_q=\"tail x\" body_r=\"tail x\")");
    r = post(&s, "words");
    cr_assert_str_eq(r.text, "ONEx");
    cr_assert_str_eq(origin_last(o)->text, "WORDSx");
    probe_say(&s, "second(request=\"q-take; r-take\" body_q=\"tail x\" body_r=\"tail x\") "
                  "probe(request=\"q-take; r-take\" body_q=\"upper\" body_r=\"upper\")");
    r = post(&s, "words");
    cr_assert_str_eq(r.text, "ONEX");
    cr_assert_str_eq(origin_last(o)->text, "WORDSX");
    probe_say(&s, "second(request=\"r-take\" body_r=\"hold\") probe(request=\"reply 200 words\" "
                  "response=\"r-take\" body_r=\"upper\")");
    r = post(&s, "words");
    cr_assert_str_eq(r.text, "WORDS", "of a module's answer, too");
    scene_redis(&s, "HSET usher:routes:acme r 'path /x respond 200 \"text\"'");
    probe_say(&s, "probe(response=\"r-take\" body_r=\"upper\")");
    cr_assert_str_eq(probe_get(&s, "/x", "").text, "TEXT");
    scene_end(&s);
}

static void continue_then_answer(struct origin_conn *c, struct origin_request *r, void *arg)
{
    (void)arg;
    origin_send(c, "HTTP/1.1 100 Continue\r\n\r\n");
    origin_reply(c, r, 200, "had it");
}

SCENARIO(module_bodies, expect_100_continue_is_the_endpoints_to_answer)
{
    static struct scene s;
    struct origin *o = probe_start(&s, "probe(request=\"q-take\" body_q=\"upper\")");
    struct client *c = scene_open(&s);

    origin_script(o, continue_then_answer, NULL);
    client_send(c, "POST / HTTP/1.1\r\nHost: a.test\r\nExpect: 100-continue\r\n"
                   "Content-Length: 3\r\n\r\n");
    expect_status(client_read(c), 100);
    client_send(c, "abc");
    expect_status(client_read(c), 200);
    cr_assert_str_eq(origin_last(o)->text, "ABC");
    client_close(c);
    /* one that a module answers is answered without its body */
    probe_say(&s, "probe(request=\"reply 403 no\")");
    c = scene_open(&s);
    client_send(c, "POST / HTTP/1.1\r\nHost: a.test\r\nExpect: 100-continue\r\n"
                   "Content-Length: 3\r\n\r\n");
    expect_status(client_read(c), 403);
    cr_assert(client_ended(c, AWAIT_MS));
    scene_end(&s);
}

SCENARIO(module_bodies, pipelined_requests_are_answered_in_turn)
{
    static struct scene s;
    struct client *c;

    probe_start(&s,
                "probe(request=\"when X-No; reply 403 no\" response=\"r-take\" body_r=\"upper\")");
    c = scene_open(&s);
    client_send(c, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\n\r\nabc"
                   "POST / HTTP/1.1\r\nHost: a.test\r\nX-No: 1\r\nContent-Length: 3\r\n\r\nabc"
                   "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"
                   "GET / HTTP/1.1\r\nHost: a.test\r\nX-No: 1\r\nConnection: close\r\n\r\n");
    for (unsigned i = 0; i < 4; i++) {
        struct response r = client_read(c);

        expect_status(r, i % 2 == 0 ? 200 : 403);
        cr_assert_str_eq(r.text, i % 2 == 0 ? "ONE" : "NO");
    }
    cr_assert(client_ended(c, AWAIT_MS));
    probe_expect_done(&s, 4);
    scene_end(&s);
}

/* --- large ones --- */

struct sender {
    struct client *c;
    uint64_t len;
};

static void *send_pattern(void *owner)
{
    struct sender *s = owner;

    client_send_pattern(s->c, s->len);
    return NULL;
}

static void send_large(struct origin_conn *c, struct origin_request *r, void *arg)
{
    uint64_t *len = arg;

    origin_read_body(c, r);
    origin_sendf(c, "HTTP/1.1 200 OK\r\nContent-Length: %llu\r\n\r\n", (unsigned long long)*len);
    if (!origin_send_pattern(c, *len))
        origin_hang_up(c);
}

SCENARIO(module_bodies, large_ones_pass_whole)
{
    static struct scene s;
    struct origin *o = probe_start(&s, "probe(request=\"q-take; r-take\") "
                                       "second(request=\"q-take; r-take\")");
    struct client *c = scene_open(&s);
    struct sender sender = { c, 8u << 20 };
    uint64_t len = 9u << 20;
    pthread_t thread;
    struct response r;

    origin_script(o, send_large, &len);
    client_sendf(c, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: %llu\r\n\r\n",
                 (unsigned long long)sender.len);
    pthread_create(&thread, NULL, send_pattern, &sender);
    r = client_read(c);
    pthread_join(thread, NULL);
    cr_assert(r.body.whole && r.body.pattern && r.body.bytes == len, "%llu",
              (unsigned long long)r.body.bytes);
    cr_assert(origin_last(o)->body.whole && origin_last(o)->body.pattern);
    cr_assert_eq(origin_last(o)->body.bytes, sender.len);
    scene_end(&s);
}

SCENARIO(module_bodies, one_that_grows_tenfold_for_a_slow_reader_is_bounded)
{
    static struct scene s;
    struct origin *o = probe_start(&s, "probe(response=\"when X-Grow; r-take\" body_r=\"grow\")");
    uint64_t len = 64u << 20;
    struct client *c;
    long before, most = 0;

    expect_get(&s, "a.test", "/", 200, "one");
    before = process_rss_kb(&s.edge.process);
    origin_script(o, send_large, &len);
    c = client_open_narrow(s.edge.at);
    client_send(c, "GET / HTTP/1.1\r\nHost: a.test\r\nX-Grow: 1\r\n\r\n");
    expect_status(client_read_head(c), 200);
    for (unsigned i = 0; i < 60; i++) {
        client_read_bytes(c, 4096);
        if (process_rss_kb(&s.edge.process) > most)
            most = process_rss_kb(&s.edge.process);
        await_nap();
    }
    cr_assert_leq(most - before, edge_has_sanitizer() ? 24000 : 6000, "%ld kB became %ld kB",
                  before, most);
    client_reset(c);
    probe_expect_done(&s, 2);
    scene_end(&s);
}

static void at_gate(struct origin_conn *c, struct origin_request *r, void *arg)
{
    gate_wait(arg);
    origin_reply(c, r, 200, "at last");
}

SCENARIO(module_bodies, an_endpoint_that_does_not_read_holds_the_client_back)
{
    static struct scene s;
    static struct gate gate = GATE_CLOSED;
    struct origin *o = probe_start(&s, "probe(request=\"q-take\" body_q=\"pass\")");
    struct client *c = scene_open(&s);
    struct sender sender = { c, 32u << 20 };
    pthread_t thread;
    long before = process_rss_kb(&s.edge.process), most = 0;

    origin_script(o, at_gate, &gate);
    client_sendf(c, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: %llu\r\n\r\n",
                 (unsigned long long)sender.len);
    pthread_create(&thread, NULL, send_pattern, &sender);
    await(gate_waiting(&gate) == 1);
    for (unsigned i = 0; i < 60; i++) {
        if (process_rss_kb(&s.edge.process) > most)
            most = process_rss_kb(&s.edge.process);
        await_nap();
    }
    cr_assert_leq(most - before, edge_has_sanitizer() ? 12000 : 4000, "%ld kB became %ld kB",
                  before, most);
    gate_open(&gate);
    pthread_join(thread, NULL);
    cr_assert_str_eq(client_read(c).text, "at last");
    cr_assert(origin_last(o)->body.whole && origin_last(o)->body.pattern);
    cr_assert_eq(origin_last(o)->body.bytes, sender.len);
    scene_end(&s);
}

/* --- faults --- */

SCENARIO(module_bodies, a_fault_in_a_requests_body_answers_it)
{
    static struct scene s;
    struct origin *o = probe_start(&s, "probe");
    struct client *c;
    struct response r;

    probe_say(&s, kept_format(TAKES_Q, "fault 300000"));
    c = scene_open(&s);
    client_send(c, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1000000\r\n\r\n");
    client_send_pattern(c, 400000);
    r = client_read(c);
    expect_status(r, 413);
    cr_assert_str_eq(response_fault(&r), "content_too_large");
    expect_status(post(&s, "short"), 200);
    probe_say(&s, kept_format(TAKES_Q, "fault 3"));
    r = post(&s, "short");
    cr_assert_str_eq(response_fault(&r), "content_too_large");
    probe_say(&s, kept_format(TAKES_Q, "wait"));
    r = post(&s, "short");
    cr_assert_str_eq(response_fault(&r), "module_fault", "a body waits for nobody");
    probe_expect_done(&s, 4);
    cr_assert_leq(origin_requests(o), 4);
    scene_end(&s);
}

/* Head and some of the body; the rest when the gate opens. */
static void in_two_parts(struct origin_conn *c, struct origin_request *r, void *arg)
{
    (void)r;
    origin_send(c, "HTTP/1.1 200 OK\r\nX-Origin: one\r\nContent-Length: 10\r\n\r\nsome ");
    gate_wait(arg);
    origin_send(c, "words");
}

SCENARIO(module_bodies, a_fault_in_a_responses_body_is_never_taken_for_the_whole)
{
    static struct scene s;
    static struct gate gate = GATE_CLOSED;
    struct origin *o = probe_start(&s, "probe");
    struct client *c;
    struct response r;

    probe_say(&s, kept_format(TAKES_R, "fault 2"));
    r = probe_get(&s, "/", ""); /* its head is still here: a clear answer */
    expect_status(r, 413);
    probe_say(&s, kept_format(TAKES_R, "fault 7"));
    origin_script(o, in_two_parts, &gate);
    c = scene_open(&s);
    client_send(c, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    expect_status(client_read_head(c), 200);
    gate_open(&gate);
    cr_assert_not(has(client_read_bytes(c, 100), "\r\n0\r\n"), "cut, not ended");
    cr_assert(client_ended(c, AWAIT_MS));
    probe_expect_done(&s, 2);
    scene_end(&s);
}

SCENARIO(module_bodies, the_answer_to_such_a_fault_begins_anew)
{
    static struct scene s;
    struct response r;

    probe_start(&s,
                "probe(response=\"get-status; source; fault-name; show; endpoint; replace sorry\") "
                "second(response=\"endpoint; r-take\" body_r=\"fault 2\")");
    r = probe_get(&s, "/", "");
    expect_status(r, 413);
    cr_assert_str_eq(probe_trail(&r),
                     "Q,U,R,get-status=200,endpoint,fault-name=-,replace=1,R,get-status=413,edge,"
                     "fault-name=content_too_large");
    cr_assert(has(r.text, "content_too_large"), "%s", r.text);
    cr_assert(r.body.whole);
    probe_expect_done(&s, 1);
    scene_end(&s);
}

/* --- heads, later --- */

SCENARIO(module_bodies, the_head_of_a_response_is_there_while_its_body_comes_and_afterwards)
{
    static struct scene s;
    static struct gate gate = GATE_CLOSED;
    struct origin *o;
    struct client *c, *other;

    o = probe_start(&s, "probe(response=\"when X-Go; r-take\" body_r=\"seen\" "
                        "done=\"r-get X-Origin; tell\")");
    origin_script(o, in_two_parts, &gate);
    for (unsigned i = 0; i < 2; i++) {
        c = scene_open(&s);
        client_send(c, i == 0 ? "GET / HTTP/1.1\r\nHost: a.test\r\nX-Go: 1\r\n\r\n"
                              : "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
        expect_status(client_read_head(c), 200);
        other = scene_open(&s); /* what comes is read where that head was */
        client_sendf(other, "POST /%0800d HTTP/1.1\r\nHost: nobody.test\r\n\r\n", 0);
        expect_status(client_read(other), 404);
        gate_pass(&gate, 1);
        cr_assert(has(client_read_bytes(c, i == 0 ? 25 : 10), "words"));
    }
    cr_assert(eventually(scene_logged(&s, "X-Origin=one") == 2, AWAIT_MS));
    probe_expect_done(&s, 2);
    scene_end(&s);
}

/* --- in the place of others --- */

static void without_end(struct origin_conn *c, struct origin_request *r, void *arg)
{
    (void)r;
    origin_send(c, arg);
    while (origin_send_pattern(c, 65536))
        continue;
    origin_hang_up(c);
}

SCENARIO(module_bodies, a_replaced_body_does_not_wait_for_the_old_ones_end)
{
    static struct scene s;
    static char by_length[] = "HTTP/1.1 200 OK\r\nContent-Length: 100000000000\r\n\r\n";
    static char by_close[] = "HTTP/1.1 200 OK\r\n\r\n";
    struct origin *o = probe_start(&s, "probe(response=\"replace sorry\")");
    struct client *c = scene_open(&s);
    uint64_t len = 100000;
    struct response r;

    origin_script(o, send_large, &len); /* this one is read to its end */
    for (unsigned i = 0; i < 2; i++) {
        r = client_get(c, "a.test", "/");
        expect_status(r, 200);
        cr_assert_str_eq(r.text, "sorry");
    }
    cr_assert_eq(origin_connections(o), 1);
    origin_script(o, without_end, by_length);
    for (unsigned i = 0; i < 2; i++)
        cr_assert_str_eq(client_get(c, "a.test", "/").text, "sorry");
    origin_script(o, without_end, by_close);
    for (unsigned i = 0; i < 2; i++)
        cr_assert_str_eq(client_get(c, "a.test", "/").text, "sorry");
    await(origin_open_connections(o) == 0);
    origin_answers_and_closes(o, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nshort");
    for (unsigned i = 0; i < 2; i++)
        cr_assert_str_eq(client_get(c, "a.test", "/").text, "sorry", "a cut one is as good");
    probe_expect_done(&s, 8);
    scene_end(&s);
}

SCENARIO(module_bodies, a_replaced_body_goes_through_modules_too)
{
    static struct scene s;
    struct response r;

    probe_start(&s, "second(response=\"r-take\" body_r=\"tail x\") "
                    "probe(response=\"replace sorry; r-take\" body_r=\"upper\")");
    r = probe_get(&s, "/", "");
    expect_status(r, 200);
    cr_assert_str_eq(r.text, "SORRYX");
    scene_end(&s);
}

SCENARIO(module_bodies, a_websocket_is_none_of_theirs)
{
    static struct scene s;
    struct origin *o =
        probe_start(&s, "probe(request=\"q-take; r-take\" response=\"r-set X-A=1\" "
                        "body_q=\"upper\" body_r=\"upper\" done=\"get-status; tell\")");
    struct client *c = scene_open(&s);

    origin_script(o, origin_websocket, NULL);
    client_send(c,
                "GET /chat HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\n"
                "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: k\r\n\r\n");
    expect_status(client_read(c), 101);
    client_send(c, "hello");
    cr_assert_str_eq(client_read_bytes(c, 5), "hello");
    probe_expect_done(&s, 1);
    cr_assert(process_awaits_log(&s.edge.process, "D,get-status=101", AWAIT_MS));
    client_close(c);
    scene_end(&s);
}
