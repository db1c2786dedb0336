/* q_queue_cluster.c -- max_conns_of cluster: so many connections from all edges together, never more, and
 * where they are needed. */
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "harness/scene.h"
#include "harness/verb.h"

#define MOST 9
#define LEASE_MS 6000 /* control/shares.c */

/* An origin that counts what is under way with it. */
struct tally {
    pthread_mutex_t lock;
    atomic_uint now, most, most_open, served;
    struct gate *_Atomic gate;
};

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
    if (t->gate != NULL)
        gate_wait(t->gate);
    else
        await_nap();
    pthread_mutex_lock(&t->lock);
    t->now--;
    t->served++;
    pthread_mutex_unlock(&t->lock);
    origin_reply(c, r, 200, "ok");
}

struct trio {
    struct scene s;
    struct edge two, three;
    struct origin *origin;
};

static void start(struct trio *t, struct tally *tally, unsigned most)
{
    const char *token;

    scene_start(&t->s, .workers = 2, .flags = { "--name", "one" });
    scene_second_edge(&t->s, &t->two, "--name", "two", NULL);
    scene_second_edge(&t->s, &t->three, "--name", "three", NULL);
    t->origin = origin_start("counting");
    origin_script(t->origin, count, tally);
    scene_redis(&t->s, "HSET usher:endpoints:app %s 1", origin_at(t->origin));
    scene_redis(&t->s,
                "HSET usher:service:app max_conns %u max_conns_of cluster queue 1000 "
                "queue_timeout 60s",
                most);
    scene_redis(&t->s, "SET usher:host:a.test service:app");
    token = scene_redis(&t->s, "XADD usher:barrier MAXLEN ~ 1000 * by test");
    for (unsigned i = 0; i < 3; i++)
        cr_assert_not_null(scene_redis(&t->s, "BLPOP usher:ack:%s 15", token),
                           "an edge has not applied what was written");
}

/* Each edge knows the service from its first request on; what it has had is soon given up again. */
static void start_known(struct trio *t, struct tally *tally)
{
    struct gate *gate = tally->gate;

    tally->gate = NULL;
    start(t, tally, MOST);
    expect_get(&t->s, "a.test", "/", 200, "ok");
    expect_status(client_get_once(t->two.at, "a.test", "/"), 200);
    expect_status(client_get_once(t->three.at, "a.test", "/"), 200);
    tally->gate = gate;
}

static void end(struct trio *t)
{
    edge_stop(&t->two);
    edge_free(&t->two);
    edge_stop(&t->three);
    edge_free(&t->three);
    scene_end(&t->s);
}

/* --- clients without a break --- */

struct asker {
    const char *at;
    atomic_bool stop;
    atomic_uint good, bad;
    pthread_t thread;
};

static void *ask(void *owner)
{
    struct asker *a = owner;
    struct client *c = client_try(a->at);

    while (c != NULL && !atomic_load(&a->stop)) {
        struct response r = client_get(c, "a.test", "/");

        if (r.status == 200)
            atomic_fetch_add(&a->good, 1);
        else
            atomic_fetch_add(&a->bad, 1);
        if (r.status == 0)
            break;
    }
    return NULL;
}

static struct asker *start_asking(const char *at, unsigned clients)
{
    struct asker *a = kept_alloc(clients * sizeof(*a));

    for (unsigned i = 0; i < clients; i++) {
        a[i].at = at;
        await_thread(&a[i].thread, ask, &a[i]);
    }
    return a;
}

static unsigned good_of(struct asker *a, unsigned clients)
{
    unsigned good = 0;

    for (unsigned i = 0; i < clients; i++)
        good += atomic_load(&a[i].good);
    return good;
}

static void end_asking(struct asker *a, unsigned clients, bool may_fail)
{
    unsigned bad = 0;

    for (unsigned i = 0; i < clients; i++)
        atomic_store(&a[i].stop, true);
    for (unsigned i = 0; i < clients; i++) {
        pthread_join(a[i].thread, NULL);
        bad += atomic_load(&a[i].bad);
    }
    cr_expect(may_fail || bad == 0, "%u failed", bad);
}

SCENARIO(queue_cluster, three_edges_together_never_have_more)
{
    static struct tally tally = { .lock = PTHREAD_MUTEX_INITIALIZER };
    static struct trio t;
    struct asker *a, *b, *c;

    start(&t, &tally, MOST);
    a = start_asking(t.s.edge.at, 12);
    b = start_asking(t.two.at, 12);
    c = start_asking(t.three.at, 12);
    await(good_of(a, 12) > 100 && good_of(b, 12) > 100 && good_of(c, 12) > 100);
    end_asking(b, 12, false); /* others have their places soon, and give them back again */
    end_asking(c, 12, false);
    await(tally.now == MOST);
    c = start_asking(t.three.at, 12);
    await(good_of(c, 12) > 100);
    end_asking(a, 12, false);
    end_asking(c, 12, false);
    cr_expect_leq(tally.most, MOST, "%u at once", tally.most);
    cr_expect_leq(tally.most_open, MOST, "%u connections", tally.most_open);
    end(&t);
}

SCENARIO(queue_cluster, a_share_goes_where_it_is_needed)
{
    static struct gate gate = GATE_CLOSED;
    static struct tally tally = { .lock = PTHREAD_MUTEX_INITIALIZER, .gate = &gate };
    static struct trio t;
    struct client *c[MOST + 3];
    struct client *other;
    uint64_t begun;

    start(&t, &tally, MOST);
    for (unsigned i = 0; i < MOST + 3; i++) {
        c[i] = client_open(t.s.edge.at);
        client_send(c[i], "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    }
    await(gate_waiting(&gate) == MOST); /* all of them are one edge's */
    stays(tally.now == MOST, 200);
    other = client_open(t.two.at);
    client_send(other, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    await(has(scene_page(&t.s, "/dump/queues"), "\"limit\":8"));
    begun = await_now_ms();
    gate_pass(&gate, 1); /* what is given back goes to the other edge, though here others wait */
    await(origin_requests(t.origin) == MOST + 1);
    cr_expect_lt(await_now_ms() - begun, 3000);
    gate_open(&gate);
    expect_status(client_read(other), 200);
    for (unsigned i = 0; i < MOST + 3; i++)
        expect_status(client_read(c[i]), 200);
    cr_expect_eq(tally.most, MOST);
    cr_expect_leq(tally.most_open, MOST);
    end(&t);
}

SCENARIO(queue_cluster, an_edge_that_dies_leaves_its_share_to_the_others)
{
    static struct tally tally = { .lock = PTHREAD_MUTEX_INITIALIZER };
    static struct trio t;
    struct asker *a, *b;

    start_known(&t, &tally);
    b = start_asking(t.two.at, 12);
    await(tally.now == MOST);
    process_signal(&t.two.process, SIGKILL);
    process_wait(&t.two.process, AWAIT_MS);
    end_asking(b, 12, true);
    a = start_asking(t.s.edge.at, 12);
    await_within(tally.now == MOST - MOST / 3, LEASE_MS + AWAIT_MS); /* its floor is kept for it */
    cr_expect_leq(tally.most, MOST);
    end_asking(a, 12, false);
    edge_free(&t.two);
    edge_stop(&t.three);
    edge_free(&t.three);
    scene_end(&t.s);
}

SCENARIO(queue_cluster, without_Redis_each_edge_keeps_an_equal_part)
{
    static struct tally tally = { .lock = PTHREAD_MUTEX_INITIALIZER };
    static struct trio t;
    struct asker *a;
    unsigned before;

    start_known(&t, &tally);
    a = start_asking(t.s.edge.at, 12);
    await(tally.now == MOST);
    redis_stop(&t.s.redis);
    await_within(scene_logged(&t.s, " share_lapsed ") == 1, LEASE_MS + AWAIT_MS);
    cr_expect_eq(scene_metric(&t.s, "usher_service_max_conns{service=\"app\"}"), MOST / 3);
    await(tally.now <= MOST / 3);
    before = good_of(a, 12);
    await(good_of(a, 12) > before + 100);
    cr_expect_leq(tally.now, MOST / 3);
    redis_continue(&t.s.redis);
    await_within(tally.now == MOST, LEASE_MS + AWAIT_MS);
    end_asking(a, 12, false);
    cr_expect_leq(tally.most_open, MOST);
    end(&t);
}

/* Two edges have need, and there is one place. */
SCENARIO(queue_cluster, fewer_than_edges_are_had_in_turn)
{
    static struct tally tally = { .lock = PTHREAD_MUTEX_INITIALIZER };
    static struct trio t;
    struct asker *a, *b;

    start(&t, &tally, 1);
    a = start_asking(t.s.edge.at, 2);
    b = start_asking(t.two.at, 2);
    await(good_of(a, 2) > 20 && good_of(b, 2) > 20);
    end_asking(a, 2, false);
    end_asking(b, 2, false);
    cr_expect_eq(tally.most, 1);
    cr_expect_eq(tally.most_open, 1, "%u", tally.most_open);
    end(&t);
}

SCENARIO(queue_cluster, an_edge_that_ends_leaves_at_once)
{
    static struct tally tally = { .lock = PTHREAD_MUTEX_INITIALIZER };
    static struct trio t;

    start_known(&t, &tally);
    await(has(scene_redis(&t.s, "HKEYS usher:lease:conns:app"), " two"));
    edge_stop(&t.two);
    edge_free(&t.two);
    cr_expect(!has(scene_redis(&t.s, "HKEYS usher:lease:conns:app"), " two"));
    cr_expect(has(scene_redis(&t.s, "HKEYS usher:lease:conns:app"), " three"));
    edge_stop(&t.three);
    edge_free(&t.three);
    scene_end(&t.s);
}

SCENARIO(queue, explain_tells_of_limits_and_who_may_wait)
{
    static struct scene s;
    struct verb_said said;

    scene_start(&s, .without_edge = true);
    scene_redis(&s, "HSET usher:endpoints:web 10.0.0.1:80 max_conns=4 10.0.0.2:80 10");
    scene_redis(&s, "HSET usher:service:web max_conns 10 queue 7 queue_timeout 2500ms");
    scene_redis(&s, "SET usher:host:a.test service:web");
    said = verb_say(&s, "explain a.test/");
    cr_assert_eq(said.code, 0, "%s", said.err);
    cr_expect(has(said.out, "at most 4 connections"), "%s", said.out);
    cr_expect(has(said.out, "at most 10 connections"), "%s", said.out);
    cr_expect(has(said.out, "at most 7 wait for a connection, for 2.5 s at most"), "%s", said.out);
    said = verb_say(&s, "explain --json a.test/");
    cr_expect(has(said.out, "\"max_conns\":4"), "%s", said.out);
    scene_redis(&s, "HSET usher:service:web max_conns many");
    said = verb_say(&s, "check");
    cr_expect(has(said.out, "field max_conns: got \"many\", expected a number from 0 to 100000"),
              "%s", said.out);
    scene_end(&s);
}
