/* d_swaps.c -- what one MULTI/EXEC changed over several families is seen as one change: raced.
 *
 * Owns:    nothing.
 * Thread:  the test's, and one or more that ask meanwhile.
 * Used by: make test.
 * Not here: single changes (d_routing_change.c). */
#include "harness/scene.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SWAPS 10000
#define ASKING 6 /* more than the machine has cores: the edge must fall behind the writer */

/* Answers with its own name and the host it was asked for. */
static void name_and_path(struct origin_conn *c, struct origin_request *r, void *arg)
{
    origin_reply(c, r, 200, arg);
}

struct asking {
    struct scene *s;
    atomic_bool stop;
    atomic_uint asked, wrong;
    char seen[200];
    const char *const *right; /* answers that may come, NULL at the end */
};

static bool is_right(const struct asking *a, const struct response *r)
{
    for (unsigned i = 0; a->right[i] != NULL; i++)
        if (r->status == 200 && strcmp(r->text, a->right[i]) == 0)
            return true;
    return false;
}

static void *ask(void *owner)
{
    struct asking *a = owner;
    struct client *c = client_try(a->s->edge.at);

    while (!atomic_load(&a->stop)) {
        struct response r = { .head = "", .text = "", .why = "no connection" };

        if (c != NULL)
            r = client_get(c, "a.test", "/");
        atomic_fetch_add(&a->asked, 1);
        if (!is_right(a, &r) && atomic_fetch_add(&a->wrong, 1) == 0)
            snprintf(a->seen, sizeof(a->seen), "%d %s%s %.100s", r.status, response_fault(&r),
                     r.why, r.text);
        if (r.status == 0)
            break;
    }
    return NULL;
}

static unsigned all_asked(struct asking asking[ASKING])
{
    unsigned sum = 0;

    for (unsigned i = 0; i < ASKING; i++)
        sum += atomic_load(&asking[i].asked);
    return sum;
}

struct pulse {
    struct process *process;
    atomic_bool on, stop;
};

/* Lets the edge run a moment and stand still a moment, so that whatever it reads has grown. */
static void *pulse_process(void *owner)
{
    struct pulse *p = owner;

    while (!atomic_load(&p->stop)) {
        if (atomic_load(&p->on))
            process_signal(p->process, SIGSTOP);
        usleep(1000);
        process_signal(p->process, SIGCONT);
        usleep(500);
    }
    return NULL;
}

/* The host names one of eight tenants; in each state only one of them exists, and its service is named
 * anew with each swap: any mixture of an old host and a new tenant is a fault. */
SCENARIO(swaps, host_tenant_service_and_endpoints_change_as_one)
{
    static const char *const right[] = { "even", "odd", NULL };
    static struct scene s;
    struct origin *even = origin_start("even"), *odd = origin_start("odd");
    static struct asking asking[ASKING];
    static struct pulse pulse;
    pthread_t threads[ASKING], pulsing;
    unsigned asked = 0, n;

    origin_script(even, name_and_path, (void *)(uintptr_t)"even");
    origin_script(odd, name_and_path, (void *)(uintptr_t)"odd");
    scene_start(&s);
    scene_redis(&s, "HSET usher:endpoints:s0 %s 1", origin_at(even));
    scene_redis(&s, "HSET usher:tenant:t0 to service:s0");
    scene_redis(&s, "SET usher:host:a.test tenant:t0");
    await_get(&s, "a.test", "/", 200, "even");
    for (unsigned i = 0; i < ASKING; i++) {
        asking[i].s = &s;
        asking[i].right = right;
        pthread_create(&threads[i], NULL, ask, &asking[i]);
    }
    pulse.process = &s.edge.process;
    pthread_create(&pulsing, NULL, pulse_process, &pulse);
    for (n = 1; n <= SWAPS || all_asked(asking) < SWAPS; n++) {
        redis_queue(&s.redis, "MULTI");
        redis_queue(&s.redis, "DEL usher:tenant:t%u usher:endpoints:s%u", (n - 1) % 8, (n - 1) % 8);
        redis_queue(&s.redis, "SET usher:host:a.test tenant:t%u", n % 8);
        redis_queue(&s.redis, "HSET usher:tenant:t%u to service:s%u", n % 8, n % 8);
        redis_queue(&s.redis, "HSET usher:endpoints:s%u %s 1", n % 8,
                    origin_at(n % 2 == 0 ? even : odd));
        redis_queue(&s.redis, "EXEC");
        if (n % (n / 500 % 2 == 0 ? 3 : 50) == 0) /* in turns calm, and without a breath */
            redis_flush(&s.redis);
        if (n % 1000 == 0)
            atomic_store(&pulse.on, n / 1000 % 2 == 1);
    }
    atomic_store(&pulse.stop, true);
    pthread_join(pulsing, NULL);
    redis_flush(&s.redis);
    await_get(&s, "a.test", "/", 200, (n - 1) % 2 == 0 ? "even" : "odd");
    for (unsigned i = 0; i < ASKING; i++) {
        atomic_store(&asking[i].stop, true);
        pthread_join(threads[i], NULL);
        asked += atomic_load(&asking[i].asked);
        cr_assert_eq(atomic_load(&asking[i].wrong), 0, "%u of %u answers, first: %s",
                     atomic_load(&asking[i].wrong), atomic_load(&asking[i].asked), asking[i].seen);
    }
    cr_assert_geq(asked, SWAPS, "only %u requests raced", asked);
    cr_assert_eq(scene_logged(&s, " bad_record "), 0, "a mixture was judged bad");
    cr_assert_null(scene_redis(&s, "HGET usher:errors usher:host:a.test"));
    scene_end(&s);
}

/* Two services trade their endpoints in one EXEC; tenant A must never answer what tenant B does. A
 * worker applies a change in one mail: two requests in one pipeline are read in one turn. */
SCENARIO(swaps, two_services_trade_endpoints_as_one)
{
    static struct scene s;
    struct origin *even = origin_start("even"), *odd = origin_start("odd");
    struct client *c;
    unsigned mixed = 0, n;

    scene_start(&s, .workers = 1);
    scene_redis(&s, "HSET usher:endpoints:a %s 1", origin_at(even));
    scene_redis(&s, "HSET usher:endpoints:b %s 1", origin_at(odd));
    scene_redis(&s, "HSET usher:tenant:a to service:a");
    scene_redis(&s, "HSET usher:tenant:b to service:b");
    scene_redis(&s, "SET usher:host:a.test tenant:a");
    scene_redis(&s, "SET usher:host:b.test tenant:b");
    await_get(&s, "a.test", "/", 200, "even");
    await_get(&s, "b.test", "/", 200, "odd");
    c = scene_open(&s);
    for (n = 1; n <= 1000; n++) {
        const char *a = n % 2 == 0 ? "even" : "odd", *b = n % 2 == 0 ? "odd" : "even";

        scene_redis(&s, "MULTI");
        scene_redis(&s, "DEL usher:endpoints:a usher:endpoints:b");
        scene_redis(&s, "HSET usher:endpoints:a %s 1", origin_at(n % 2 == 0 ? even : odd));
        scene_redis(&s, "HSET usher:endpoints:b %s 1", origin_at(n % 2 == 0 ? odd : even));
        scene_redis(&s, "EXEC");
        /* a asked until it has changed: from then on b has changed too */
        for (uint64_t until = await_now_ms() + AWAIT_MS;;) {
            struct response r = client_get(c, "a.test", "/");

            if (strcmp(r.text, a) == 0)
                break;
            cr_assert(strcmp(r.text, b) == 0 && await_now_ms() < until, "trade %u: %d %s", n,
                      r.status, r.text);
        }
        mixed += strcmp(client_get(c, "b.test", "/").text, b) != 0;
    }
    cr_assert_eq(mixed, 0, "%u of %u trades were seen half done", mixed, n - 1);
    scene_end(&s);
}

SCENARIO(swaps, the_last_of_many_writes_is_what_stays)
{
    static struct scene s;
    struct origin *o[4];

    scene_start(&s);
    for (unsigned i = 0; i < 4; i++)
        o[i] = origin_start(kept_format("o%u", i));
    for (unsigned round = 0; round < 20; round++) {
        for (unsigned n = 0; n < 200; n++)
            redis_queue(&s.redis, "SET usher:host:a.test %s", origin_at(o[(n + round) % 4]));
        redis_flush(&s.redis);
        await_get(&s, "a.test", "/", 200, kept_format("o%u", (199 + round) % 4));
    }
    scene_end(&s);
}

SCENARIO(swaps, a_thousand_hosts_changed_at_once_are_all_right)
{
    static struct scene s;
    struct origin *one = origin_start("one"), *two = origin_start("two");
    struct client *c;

    scene_start(&s, .workers = 1);
    for (unsigned i = 0; i < 1000; i++)
        redis_queue(&s.redis, "SET usher:host:h%u.test %s", i, origin_at(one));
    redis_flush(&s.redis);
    scene_live(&s);
    c = scene_open(&s);
    for (unsigned i = 0; i < 1000; i++)
        cr_assert_str_eq(client_get(c, kept_format("h%u.test", i), "/").text, "one");
    for (unsigned i = 0; i < 1000; i++)
        redis_queue(&s.redis, "SET usher:host:h%u.test %s", i, origin_at(two));
    redis_flush(&s.redis);
    for (unsigned i = 0; i < 1000; i++)
        await(strcmp(client_get(c, kept_format("h%u.test", i), "/").text, "two") == 0);
    scene_end(&s);
}

static void slow_at_gate(struct origin_conn *c, struct origin_request *r, void *arg)
{
    if (strcmp(r->target, "/slow") == 0)
        gate_wait(arg);
    origin_reply(c, r, 200, "slow");
}

SCENARIO(swaps, what_was_replaced_is_freed_when_its_last_request_ends)
{
    static struct scene s;
    static struct gate gate = GATE_CLOSED;
    struct origin *slow = origin_start("slow"),
                  *o[2] = { origin_start("even"), origin_start("odd") };
    struct client *pinning, *c;
    long before = 0;

    scene_start(&s, .flags = { "--log-level", "info" });
    origin_script(slow, slow_at_gate, &gate);
    scene_redis(&s, "HSET usher:tenant:acme to %s", origin_at(slow));
    scene_redis(&s, "SET usher:host:a.test tenant:acme");
    scene_live(&s);
    pinning = scene_open(&s);
    client_send(pinning, "GET /slow HTTP/1.1\r\nHost: a.test\r\n\r\n");
    await(gate_waiting(&gate) == 1);
    c = scene_open(&s);
    for (unsigned n = 0; n < 6000; n++) {
        redis_queue(&s.redis, "HSET usher:tenant:acme to '%s %s 127.0.0.1:%u'", origin_at(o[n % 2]),
                    origin_at(o[(n + 1) % 2]), n % 60000 + 1);
        redis_queue(&s.redis, "HSET usher:tenant:acme to %s", origin_at(o[n % 2]));
        if (n % 20 == 0) {
            redis_flush(&s.redis);
            await(strcmp(client_get(c, "a.test", "/").text, n % 2 == 0 ? "even" : "odd") == 0);
        }
        if (n == 2000)
            before = process_rss_kb(&s.edge.process);
    }
    redis_flush(&s.redis);
    await(strcmp(client_get(c, "a.test", "/").text, "odd") == 0);
    expect_metric(&s, "usher_objects_retired", 1);
    cr_assert_leq(process_rss_kb(&s.edge.process) - before, edge_has_sanitizer() ? 60000 : 2000);
    gate_open(&gate);
    cr_assert_str_eq(client_read(pinning).text, "slow");
    expect_metric(&s, "usher_objects_retired", 0);
    scene_end(&s);
}
