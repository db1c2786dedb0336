/* q_queue.c -- max_conns: never more connections at an endpoint than it may have, whatever comes; and those
 * who wait are served in turn. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "harness/scene.h"

#define OPEN "usher_places{state=\"open\"}"

/* An origin that counts what is under way with it. */
struct tally {
    pthread_mutex_t lock;
    unsigned now, most, most_open, served;
    unsigned naps; /* how long it works */
    struct gate *gate;
    const char *head; /* NULL: keeps the connection */
};

#define TALLY { .lock = PTHREAD_MUTEX_INITIALIZER, .naps = 1 }

static void count(struct origin_conn *c, struct origin_request *r, void *arg)
{
    struct tally *t = arg;
    unsigned open = origin_open_connections(c->origin);

    origin_read_body(c, r);
    pthread_mutex_lock(&t->lock);
    t->now++;
    t->most = t->now > t->most ? t->now : t->most;
    t->most_open = open > t->most_open ? open : t->most_open;
    pthread_mutex_unlock(&t->lock);
    for (unsigned i = 0; i < t->naps; i++)
        await_nap();
    if (t->gate != NULL)
        gate_wait(t->gate);
    pthread_mutex_lock(&t->lock);
    t->now--;
    t->served++;
    pthread_mutex_unlock(&t->lock);
    if (t->head != NULL) {
        origin_sendf(c, "HTTP/1.1 200 OK\r\n%sContent-Length: 2\r\n\r\nok", t->head);
        if (has(t->head, "close"))
            origin_hang_up(c);
        return;
    }
    origin_reply(c, r, 200, r->target);
}

static struct origin *counting(struct tally *t)
{
    struct origin *o = origin_start("counting");

    origin_script(o, count, t);
    return o;
}

/* A service of this origin, with these fields, for a.test and b.test of the tenants a and b. */
static void serve(struct scene *s, struct origin *o, const char *endpoint, const char *fields)
{
    scene_redis(s, "HSET usher:endpoints:app %s '%s'", origin_at(o), endpoint);
    if (fields[0] != '\0')
        scene_redis(s, "HSET usher:service:app %s", fields);
    scene_redis(s, "MSET usher:host:a.test tenant:a usher:host:b.test tenant:b");
    scene_redis(s, "HSET usher:tenant:a to service:app");
    scene_redis(s, "HSET usher:tenant:b to service:app");
    scene_live(s);
}

/* --- clients that ask one after the other --- */

struct asker {
    const char *at, *host;
    unsigned requests;
    unsigned good, full, late, other;
    bool fresh;
    char seen[100];
    pthread_t thread;
};

static void *ask(void *owner)
{
    struct asker *a = owner;
    struct client *c = a->fresh ? NULL : client_try(a->at);

    for (unsigned i = 0; i < a->requests; i++) {
        struct response r =
            c == NULL ? client_get_once(a->at, a->host, "/") : client_get(c, a->host, "/");

        a->good += r.status == 200;
        a->full += strcmp(response_fault(&r), "queue_full") == 0;
        a->late += strcmp(response_fault(&r), "queue_timeout") == 0;
        if (r.status != 200)
            snprintf(a->seen, sizeof(a->seen), "%d %s %s", r.status, response_fault(&r),
                     r.why != NULL ? r.why : "");
    }
    if (c != NULL)
        client_close(c);
    return NULL;
}

static struct asker *start_asking(const char *at, const char *host, unsigned clients,
                                  unsigned requests, bool fresh)
{
    struct asker *a = kept_alloc(clients * sizeof(*a));

    for (unsigned i = 0; i < clients; i++) {
        a[i] = (struct asker){ .at = at, .host = host, .requests = requests, .fresh = fresh };
        await_thread(&a[i].thread, ask, &a[i]);
    }
    return a;
}

/* All got all; how many did. */
static unsigned end_asking(struct asker *a, unsigned clients)
{
    unsigned good = 0;

    for (unsigned i = 0; i < clients; i++) {
        pthread_join(a[i].thread, NULL);
        cr_expect_eq(a[i].good, a[i].requests, "%u of %u: %s", a[i].good, a[i].requests, a[i].seen);
        good += a[i].good;
    }
    return good;
}

static double in_use(struct scene *s)
{
    return scene_metric(s, "usher_places{state=\"open\"}") -
           scene_metric(s, "usher_places{state=\"idle\"}");
}

SCENARIO(queue, ten_at_most_are_ten_whatever_comes)
{
    static struct tally t = TALLY;
    static struct scene s;
    struct origin *o = counting(&t);
    struct asker *a;

    scene_start(&s, .workers = 4);
    serve(&s, o, "max_conns=10", "queue 1000 queue_timeout 60s");
    a = start_asking(s.edge.at, "a.test", 200, 10, false);
    cr_expect_eq(end_asking(a, 200), 2000);
    cr_expect_eq(t.served, 2000);
    cr_expect_leq(t.most, 10, "%u requests at once", t.most);
    cr_expect_leq(t.most_open, 10, "%u connections at once", t.most_open);
    cr_expect_geq(t.most, 8, "only %u at once: places are not used", t.most);
    cr_expect_leq(origin_connections(o), 40, "%u connections: they are not passed on",
                  origin_connections(o));
    await(in_use(&s) == 0);
    cr_expect_eq(scene_metric(&s, "usher_queue_waiting"), 0);
    cr_expect_gt(scene_metric(&s, "usher_queue_wait_seconds_count"), 0);
    scene_end(&s);
}

SCENARIO(queue, an_endpoint_that_closes_after_each_response_sees_no_more_either)
{
    static struct tally t = { .lock = PTHREAD_MUTEX_INITIALIZER, .head = "Connection: close\r\n" };
    static struct scene s;
    struct origin *o = counting(&t);
    struct asker *a;

    scene_start(&s, .workers = 4);
    serve(&s, o, "max_conns=3", "queue 1000 queue_timeout 60s");
    a = start_asking(s.edge.at, "a.test", 30, 10, true);
    cr_expect_eq(end_asking(a, 30), 300);
    cr_expect_leq(t.most, 3);
    cr_expect_leq(t.most_open, 3, "%u connections at once", t.most_open);
    await(scene_metric(&s, OPEN) == 0);
    scene_end(&s);
}

SCENARIO(queue, an_idle_connection_goes_to_whoever_waits_on_another_worker)
{
    static struct tally t = TALLY;
    static struct scene s;
    struct origin *o = counting(&t);

    scene_start(&s, .workers = 4);
    serve(&s, o, "max_conns=1", "queue 0");
    for (unsigned i = 0; i < 40; i++) /* on new connections: on all workers in turn */
        expect_get(&s, "a.test", "/", 200, "/");
    cr_expect_eq(origin_connections(o), 1, "%u", origin_connections(o));
    cr_expect_eq(t.most_open, 1);
    scene_end(&s);
}

/* --- who waits, and for how long --- */

static unsigned waiting(struct scene *s)
{
    return (unsigned)scene_metric(s, "usher_queue_waiting");
}

static void send_get(struct client *c, const char *host, const char *path)
{
    client_sendf(c, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", path, host);
}

SCENARIO(queue, those_of_one_tenant_are_served_in_the_order_in_which_they_came)
{
    static struct gate gate = GATE_CLOSED;
    static struct tally t = { .lock = PTHREAD_MUTEX_INITIALIZER, .gate = &gate };
    static struct scene s;
    struct origin *o = counting(&t);
    struct client *first, *c[20];

    scene_start(&s, .workers = 3);
    serve(&s, o, "max_conns=1", "queue 100");
    first = scene_open(&s);
    send_get(first, "a.test", "/first");
    await(gate_waiting(&gate) == 1);
    for (unsigned i = 0; i < 20; i++) {
        c[i] = scene_open(&s);
        send_get(c[i], "a.test", kept_format("/%u", i));
        await(waiting(&s) == i + 1);
    }
    gate_open(&gate);
    for (unsigned i = 0; i < 20; i++)
        expect_status(client_read(c[i]), 200);
    cr_assert_eq(origin_requests(o), 21);
    for (unsigned i = 0; i < 20; i++)
        cr_expect_str_eq(origin_request(o, i + 1)->target, kept_format("/%u", i));
    cr_expect_eq(t.most_open, 1);
    scene_end(&s);
}

SCENARIO(queue, a_tenant_with_many_waiting_does_not_hold_back_one_with_few)
{
    static struct gate gate = GATE_CLOSED;
    static struct tally t = { .lock = PTHREAD_MUTEX_INITIALIZER, .gate = &gate };
    static struct scene s;
    struct origin *o = counting(&t);
    struct client *c[48];
    unsigned of_b = 0;

    scene_start(&s, .workers = 2);
    serve(&s, o, "max_conns=1", "queue 100");
    scene_redis(&s, "HSET usher:tenant:b share 300");
    scene_live(&s);
    for (unsigned i = 0; i < 48;
         i++) { /* 32 of a, and then 16 of b, whose share is three times as much */
        c[i] = scene_open(&s);
        send_get(c[i], i < 32 ? "a.test" : "b.test", i < 32 ? "/a" : "/b");
        await(i == 0 ? gate_waiting(&gate) == 1 : waiting(&s) == i);
    }
    cr_expect(has(scene_page(&s, "/dump/queues"), "{\"tenant\":\"b\",\"waiting\":16}"), "%s",
              scene_page(&s, "/dump/queues"));
    gate_open(&gate);
    for (unsigned i = 0; i < 48; i++)
        expect_status(client_read(c[i]), 200);
    for (unsigned i = 1; i <= 20; i++)
        of_b += strcmp(origin_request(o, i)->target, "/b") == 0;
    cr_expect(of_b >= 13 && of_b <= 16, "%u of the first 20 were b's", of_b);
    scene_end(&s);
}

SCENARIO(queue, who_finds_it_full_or_waits_too_long_is_told_when_to_come_again)
{
    static struct gate gate = GATE_CLOSED;
    static struct tally t = { .lock = PTHREAD_MUTEX_INITIALIZER, .gate = &gate };
    static struct scene s;
    struct origin *o = counting(&t);
    struct client *first, *second;
    struct response r;

    scene_start(&s);
    serve(&s, o, "max_conns=1", "queue 1 queue_timeout 1500ms");
    first = scene_open(&s);
    send_get(first, "a.test", "/");
    await(gate_waiting(&gate) == 1);
    second = scene_open(&s);
    send_get(second, "a.test", "/");
    await(waiting(&s) == 1);
    r = scene_get(&s, "a.test", "/");
    expect_status(r, 503);
    cr_expect_str_eq(response_fault(&r), "queue_full");
    cr_expect_str_eq(response_field(&r, "retry-after"), "2");
    r = client_read(second);
    expect_status(r, 503);
    cr_expect_str_eq(response_fault(&r), "queue_timeout");
    cr_expect_str_eq(response_field(&r, "retry-after"), "2");
    expect_fault_count(&s, "queue_full", 1);
    expect_fault_count(&s, "queue_timeout", 1);
    cr_expect_eq(waiting(&s), 0);
    gate_open(&gate);
    expect_status(client_read(first), 200);
    expect_status(client_get(second, "a.test", "/"), 200); /* its connection serves on */
    cr_expect_eq(origin_connections(o), 1);
    scene_end(&s);
}

SCENARIO(queue, a_client_that_goes_away_leaves_the_queue)
{
    static struct gate gate = GATE_CLOSED;
    static struct tally t = { .lock = PTHREAD_MUTEX_INITIALIZER, .gate = &gate };
    static struct scene s;
    struct origin *o = counting(&t);
    struct client *first, *c[6];

    scene_start(&s);
    serve(&s, o, "max_conns=1", "queue 6");
    first = scene_open(&s);
    send_get(first, "a.test", "/first");
    await(gate_waiting(&gate) == 1);
    for (unsigned i = 0; i < 6; i++) {
        c[i] = scene_open(&s);
        send_get(c[i], i % 2 ? "a.test" : "b.test", "/gone");
        await(waiting(&s) == i + 1);
    }
    for (unsigned i = 0; i < 5; i++)
        i % 2 ? client_close(c[i]) : client_reset(c[i]);
    await(waiting(&s) == 1);
    gate_open(&gate);
    expect_status(client_read(first), 200);
    expect_status(client_read(c[5]), 200);
    cr_expect_eq(origin_requests(o), 2);
    scene_end(&s);
}

/* --- exact, also when things go wrong --- */

SCENARIO(queue, a_request_that_its_client_gave_up_keeps_its_place_while_the_endpoint_works_on_it)
{
    static struct gate gate = GATE_CLOSED;
    static struct tally t = { .lock = PTHREAD_MUTEX_INITIALIZER, .gate = &gate };
    static struct scene s;
    struct origin *o = counting(&t);
    struct client *gone, *next;

    scene_start(&s);
    serve(&s, o, "max_conns=1", "queue 6");
    gone = scene_open(&s);
    send_get(gone, "a.test", "/gone");
    await(gate_waiting(&gate) == 1);
    client_reset(gone);
    expect_fault_count(&s, "client_closed", 1);
    next = scene_open(&s);
    send_get(next, "a.test", "/next");
    await(waiting(&s) == 1);
    stays(origin_requests(o) == 1, 300);
    gate_open(&gate); /* it is done with it, and closes */
    expect_status(client_read(next), 200);
    cr_expect_eq(t.most, 1);
    cr_expect_eq(t.most_open, 1);
    scene_end(&s);
}

static void moody(struct origin_conn *c, struct origin_request *r, void *arg)
{
    struct tally *t = arg;
    unsigned open = origin_open_connections(c->origin);
    unsigned mood;

    pthread_mutex_lock(&t->lock);
    t->now++;
    t->most = t->now > t->most ? t->now : t->most;
    t->most_open = open > t->most_open ? open : t->most_open;
    mood = t->served++ % 8;
    pthread_mutex_unlock(&t->lock);
    if (mood == 6)
        await_nap();
    pthread_mutex_lock(&t->lock);
    t->now--;
    pthread_mutex_unlock(&t->lock);
    switch (mood) {
    case 0:
        origin_reset(c);
        return;
    case 1:
        origin_hang_up(c);
        return;
    case 2:
        origin_send(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nnot so many");
        origin_hang_up(c);
        return;
    case 3:
        origin_send(c, "not HTTP at all\r\n\r\n");
        origin_hang_up(c);
        return;
    case 4:
        origin_send(c, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
        origin_hang_up(c);
        return;
    default:
        origin_reply(c, r, 200, "fine");
    }
}

static void *ask_in_a_mood(void *owner)
{
    struct asker *a = owner;

    for (unsigned i = 0; i < a->requests; i++) {
        struct client *c = client_try(a->at);

        if (c == NULL)
            continue;
        if (client_send_bytes(c, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n", 32) && i % 4 != 1)
            client_read(c);
        if (i % 4 == 3)
            client_close(c);
        else
            client_reset(c);
    }
    return NULL;
}

SCENARIO(queue, whoever_resets_or_closes_the_counts_stay_exact)
{
    static struct tally t = TALLY;
    static struct scene s;
    struct origin *o = origin_start("moody");
    struct asker a[12];

    origin_script(o, moody, &t);
    scene_start(&s, .workers = 3);
    serve(&s, o, "max_conns=3", "queue 50 queue_timeout 2s");
    for (unsigned i = 0; i < 12; i++) {
        a[i] = (struct asker){ .at = s.edge.at, .requests = 60 };
        await_thread(&a[i].thread, ask_in_a_mood, &a[i]);
    }
    for (unsigned i = 0; i < 12; i++)
        pthread_join(a[i].thread, NULL);
    cr_expect_leq(t.most, 3, "%u", t.most);
    cr_expect_leq(t.most_open, 3, "%u", t.most_open);
    await(in_use(&s) == 0 && waiting(&s) == 0);
    await(origin_open_connections(o) == scene_metric(&s, OPEN));
    scene_end(&s);
}

SCENARIO(queue, a_tunnel_keeps_its_place_until_it_ends)
{
    static struct scene s;
    struct origin *o = origin_start("sockets");
    struct client *tunnel, *next;

    origin_script(o, origin_websocket, NULL);
    scene_start(&s);
    serve(&s, o, "max_conns=1", "queue 6");
    tunnel = scene_open(&s);
    client_send(tunnel, "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\n"
                        "Upgrade: websocket\r\nSec-WebSocket-Key: one\r\n\r\n");
    expect_status(client_read_head(tunnel), 101);
    next = scene_open(&s);
    client_send(next, "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\n"
                      "Upgrade: websocket\r\nSec-WebSocket-Key: two\r\n\r\n");
    await(waiting(&s) == 1);
    cr_expect_eq(origin_open_connections(o), 1);
    client_close(tunnel);
    expect_status(client_read_head(next), 101);
    cr_expect_eq(origin_open_connections(o), 1);
    client_close(next);
    await(scene_metric(&s, OPEN) == 0);
    scene_end(&s);
}

/* --- live --- */

SCENARIO(queue, a_limit_raised_or_lowered_holds_at_once)
{
    static struct gate gate = GATE_CLOSED;
    static struct tally t = { .lock = PTHREAD_MUTEX_INITIALIZER, .gate = &gate };
    static struct scene s;
    struct origin *o = counting(&t);
    struct client *c[8];

    scene_start(&s, .workers = 3);
    serve(&s, o, "max_conns=1", "queue 50");
    for (unsigned i = 0; i < 8; i++) {
        c[i] = scene_open(&s);
        send_get(c[i], "a.test", "/");
    }
    await(waiting(&s) == 7);
    scene_redis(&s, "HSET usher:endpoints:app %s max_conns=5", origin_at(o));
    await(gate_waiting(&gate) == 5);
    cr_expect_eq(waiting(&s), 3);
    scene_redis(&s, "HSET usher:endpoints:app %s max_conns=2", origin_at(o));
    scene_live(&s);
    gate_pass(&gate, 3); /* those three are not followed by others */
    await(scene_metric(&s, OPEN) == 2);
    stays(gate_waiting(&gate) == 2, 200);
    gate_open(&gate);
    for (unsigned i = 0; i < 8; i++)
        expect_status(client_read(c[i]), 200);
    await(origin_open_connections(o) <= 2);
    cr_expect_eq(t.most, 5);
    scene_end(&s);
}

SCENARIO(queue, an_endpoint_that_comes_is_used_by_those_who_wait_and_without_any_they_are_told)
{
    static struct gate gate = GATE_CLOSED;
    static struct tally t = { .lock = PTHREAD_MUTEX_INITIALIZER, .gate = &gate };
    static struct scene s;
    struct origin *o = counting(&t), *more = origin_start("more");
    struct client *first, *c[4];
    struct response r;

    scene_start(&s);
    serve(&s, o, "100", "max_conns 1 queue 50");
    first = scene_open(&s);
    send_get(first, "a.test", "/");
    await(gate_waiting(&gate) == 1);
    for (unsigned i = 0; i < 3; i++) {
        c[i] = scene_open(&s);
        send_get(c[i], "a.test", "/");
    }
    await(waiting(&s) == 3);
    scene_endpoint(&s, "app", more);
    for (unsigned i = 0; i < 3; i++) {
        r = client_read(c[i]);
        expect_status(r, 200);
        cr_expect_str_eq(r.text, "more");
    }
    scene_redis(&s, "HDEL usher:endpoints:app %s", origin_at(more));
    scene_live(&s);
    send_get(c[0], "a.test", "/");
    await(waiting(&s) == 1);
    scene_redis(&s, "DEL usher:endpoints:app");
    r = client_read(c[0]);
    expect_status(r, 503);
    cr_expect_str_eq(response_fault(&r), "no_endpoint");
    gate_open(&gate);
    expect_status(client_read(first), 200); /* what ran runs on */
    await(in_use(&s) == 0);
    scene_end(&s);
}

SCENARIO(queue, a_limit_that_goes_lets_all_go)
{
    static struct gate gate = GATE_CLOSED;
    static struct tally t = { .lock = PTHREAD_MUTEX_INITIALIZER, .gate = &gate };
    static struct scene s;
    struct origin *o = counting(&t);
    struct client *c[5];

    scene_start(&s);
    serve(&s, o, "100", "max_conns 1 queue 50");
    for (unsigned i = 0; i < 5; i++) {
        c[i] = scene_open(&s);
        send_get(c[i], "a.test", "/");
    }
    await(waiting(&s) == 4);
    scene_redis(&s, "HDEL usher:service:app max_conns");
    await(gate_waiting(&gate) == 5);
    gate_open(&gate);
    for (unsigned i = 0; i < 5; i++)
        expect_status(client_read(c[i]), 200);
    scene_redis(&s, "HSET usher:service:app max_conns 2"); /* and again */
    scene_live(&s);
    expect_get(&s, "a.test", "/", 200, "/");
    scene_end(&s);
}

SCENARIO(queue, those_who_wait_are_served_while_the_edge_drains)
{
    static struct gate gate = GATE_CLOSED;
    static struct tally t = { .lock = PTHREAD_MUTEX_INITIALIZER, .gate = &gate };
    static struct scene s;
    struct origin *o = counting(&t);
    struct client *c[5];

    scene_start(&s);
    serve(&s, o, "max_conns=1", "queue 50");
    for (unsigned i = 0; i < 5; i++) {
        c[i] = scene_open(&s);
        send_get(c[i], "a.test", "/");
    }
    await(waiting(&s) == 4);
    process_signal(&s.edge.process, SIGTERM);
    await(scene_ready(&s) == 503);
    gate_open(&gate);
    for (unsigned i = 0; i < 5; i++)
        expect_status(client_read(c[i]), 200);
    cr_assert_eq(process_wait(&s.edge.process, AWAIT_MS), 0);
    scene_end(&s);
}

SCENARIO(queue, what_is_cut_while_it_waits_leaves_nothing_behind)
{
    static struct gate gate = GATE_CLOSED;
    static struct tally t = { .lock = PTHREAD_MUTEX_INITIALIZER, .gate = &gate };
    static struct scene s;
    struct origin *o = counting(&t);
    struct client *c[6];

    scene_start(&s, .workers = 3, .flags = { "--drain-timeout", "300ms" });
    serve(&s, o, "max_conns=2", "queue 50");
    for (unsigned i = 0; i < 6; i++) {
        c[i] = scene_open(&s);
        send_get(c[i], "a.test", "/");
    }
    await(waiting(&s) == 4);
    process_signal(&s.edge.process, SIGTERM);
    cr_assert_eq(process_wait(&s.edge.process, AWAIT_MS), 0);
    for (unsigned i = 0; i < 6; i++)
        cr_expect_eq(client_read(c[i]).status, 0);
    gate_open(&gate);
    scene_end(&s);
}
