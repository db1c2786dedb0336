/* q_hedge.c -- a second endpoint is asked when the first takes long: every way the race can end.
 *
 * Owns:    nothing.
 * Thread:  the test's.
 * Used by: make test.
 * Not here: attempts one after the other (q_retries.c). */
#include "harness/scene.h"

#define HEDGES "usher_retries_total{reason=\"hedge\"}"
#define WON "usher_hedges_won_total"

/* Two origins of a service `web` with such fields, that a.test goes to. Who is asked first waits at
 * `first`, who is asked second at `second`; then each does what it is to do. */
struct race {
    struct scene s;
    struct origin *origins[2];
    struct gate first, second;
    origin_script_fn acts[2];
    pthread_mutex_t lock;
    unsigned asked;
};

static void run_race(struct origin_conn *c, struct origin_request *r, void *arg)
{
    struct race *race = arg;
    unsigned place;

    pthread_mutex_lock(&race->lock);
    place = race->asked++ % 2;
    pthread_mutex_unlock(&race->lock);
    gate_wait(place == 0 ? &race->first : &race->second);
    race->acts[place](c, r, (void *)(place == 0 ? "first" : "second"));
}

static void answer(struct origin_conn *c, struct origin_request *r, void *arg)
{
    origin_reply(c, r, 200, arg);
}

static void refuse(struct origin_conn *c, struct origin_request *r, void *arg)
{
    origin_reply(c, r, 503, arg);
}

static void hang_up(struct origin_conn *c, struct origin_request *r, void *arg)
{
    (void)r;
    (void)arg;
    origin_hang_up(c);
}

static void answer_half(struct origin_conn *c, struct origin_request *r, void *arg)
{
    (void)r;
    (void)arg;
    origin_send(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
    origin_hang_up(c);
}

static void answer_in_pieces(struct origin_conn *c, struct origin_request *r, void *arg)
{
    static const char raw[] = "HTTP/1.1 200 Fine\r\nX-A: b\r\nTransfer-Encoding: chunked\r\n\r\n"
                              "4\r\nabcd\r\n2\r\nef\r\n0\r\nX-After: 2\r\n\r\n";

    (void)r;
    (void)arg;
    for (size_t i = 0; raw[i] != '\0'; i++) {
        origin_send_bytes(c, raw + i, 1);
        if (i % 9 == 0)
            await_nap();
    }
}

static void answer_much(struct origin_conn *c, struct origin_request *r, void *arg)
{
    (void)r;
    (void)arg;
    origin_send(c, "HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n");
    origin_send_pattern(c, 3000000);
}

static struct race *begin(origin_script_fn first, origin_script_fn second, const char *fields)
{
    static struct race race = { .first = GATE_CLOSED,
                                .second = GATE_CLOSED,
                                .lock = PTHREAD_MUTEX_INITIALIZER };
    struct scene *s = &race.s;

    race.acts[0] = first;
    race.acts[1] = second;
    scene_start(s, .workers = 1);
    for (unsigned i = 0; i < 2; i++) {
        race.origins[i] = origin_start("origin");
        origin_script(race.origins[i], run_race, &race);
        scene_endpoint(s, "web", race.origins[i]);
    }
    scene_redis(s, "HSET usher:service:web hedge 50ms %s", fields);
    scene_redis(s, "SET usher:host:a.test service:web");
    scene_live(s);
    return &race;
}

static struct client *ask(struct race *race)
{
    struct client *c = scene_open(&race->s);

    client_send(c, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    return c;
}

/* Until both have the request. */
static struct client *ask_both(struct race *race)
{
    struct client *c = ask(race);

    await(gate_waiting(&race->first) == 1 && gate_waiting(&race->second) == 1);
    return c;
}

static void open_gates(struct race *race)
{
    gate_open(&race->first);
    gate_open(&race->second);
}

/* Nothing of the race is left, and the client's connection goes on. */
static void end(struct race *race, struct client *c)
{
    struct response r;

    open_gates(race);
    race->acts[0] = race->acts[1] = answer;
    if (c != NULL) {
        r = client_get(c, "a.test", "/");
        cr_assert_eq(r.status, 200, "%d %s", r.status, r.why);
        cr_assert(has("first second", r.text), "%s", r.text);
    }
    await(scene_metric(&race->s, "usher_exchanges") == 0);
    scene_end(&race->s);
}

SCENARIO(hedge, the_second_is_asked_after_a_while_and_the_first_to_answer_is_taken)
{
    struct race *race = begin(answer, answer, "");
    struct client *c = ask_both(race);

    gate_open(&race->second);
    cr_assert_str_eq(client_read(c).text, "second");
    expect_metric(&race->s, HEDGES, 1);
    expect_metric(&race->s, WON, 1);
    await(scene_metric(&race->s, "usher_upstream_connections{state=\"busy\"}") == 0);
    cr_assert_eq(scene_metric(&race->s, "usher_upstream_connections{state=\"idle\"}"), 1,
                 "the other connection is closed");
    end(race, c);
}

SCENARIO(hedge, the_first_may_still_be_the_first)
{
    struct race *race = begin(answer, answer, "");
    struct client *c = ask_both(race);

    gate_open(&race->first);
    cr_assert_str_eq(client_read(c).text, "first");
    expect_metric(&race->s, HEDGES, 1);
    expect_metric(&race->s, WON, 0);
    await(scene_metric(&race->s, "usher_exchanges") == 0);
    end(race, c);
}

SCENARIO(hedge, who_answers_in_time_is_not_hedged)
{
    struct race *race = begin(answer, answer, "hedge 30s");

    open_gates(race);
    for (unsigned i = 0; i < 10; i++)
        expect_get(&race->s, "a.test", "/", 200, NULL);
    cr_assert_eq(origin_requests(race->origins[0]) + origin_requests(race->origins[1]), 10);
    expect_metric(&race->s, HEDGES, 0);
    end(race, NULL);
}

SCENARIO(hedge, both_may_answer_at_once)
{
    struct race *race = begin(answer, answer, "retry_budget 100");
    struct client *c = scene_open(&race->s);

    for (unsigned i = 0; i < 20; i++) {
        struct response r;

        client_send(c, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
        await(gate_waiting(&race->first) == 1 && gate_waiting(&race->second) == 1);
        gate_pass(&race->first, 1);
        gate_pass(&race->second, 1);
        r = client_read(c);
        cr_assert_eq(r.status, 200, "%u: %d %s", i, r.status, r.why);
        cr_assert(client_silent(c, 5), "one answer, not two");
        if (i % 10 == 9) /* the budget: ten in two seconds */
            await(scene_metric(&race->s, "usher_exchanges") == 0);
        if (scene_metric(&race->s, HEDGES) >= 9)
            break;
    }
    cr_assert_geq(scene_metric(&race->s, HEDGES), 5);
    end(race, c);
}

SCENARIO(hedge, only_what_may_be_done_twice)
{
    static const char *const requests[] = {
        "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n\r\n",
        "PUT / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\n\r\nabc",
    };
    struct race *race = begin(answer, answer, "");

    for (unsigned i = 0; i < 2; i++) {
        struct client *c = scene_open(&race->s);

        race->asked = 0;
        client_send(c, requests[i]);
        await(gate_waiting(&race->first) == 1);
        stays(origin_requests(race->origins[0]) + origin_requests(race->origins[1]) == i + 1, 200);
        gate_pass(&race->first, 1);
        cr_assert_str_eq(client_read(c).text, "first");
    }
    expect_metric(&race->s, HEDGES, 0);
    end(race, NULL);
}

SCENARIO(hedge, when_the_first_fails_the_second_goes_on)
{
    struct race *race = begin(hang_up, answer, "");
    struct client *c = ask_both(race);

    gate_open(&race->first);
    await(scene_metric(&race->s, "usher_upstream_connections{state=\"busy\"}") == 1);
    cr_assert(client_silent(c, 30));
    gate_open(&race->second);
    cr_assert_str_eq(client_read(c).text, "second");
    expect_metric(&race->s, WON, 1);
    end(race, c);
}

SCENARIO(hedge, when_the_second_fails_the_first_goes_on)
{
    struct race *race = begin(answer, hang_up, "");
    struct client *c = ask_both(race);

    gate_open(&race->second);
    await(scene_metric(&race->s, "usher_exchanges") == 1);
    cr_assert(client_silent(c, 30));
    gate_open(&race->first);
    cr_assert_str_eq(client_read(c).text, "first");
    expect_metric(&race->s, WON, 0);
    end(race, c);
}

SCENARIO(hedge, when_both_fail_the_request_has)
{
    struct race *race = begin(hang_up, hang_up, "");
    struct client *c = ask_both(race);
    struct response r;

    gate_open(&race->first);
    await(scene_metric(&race->s, "usher_upstream_connections{state=\"busy\"}") == 1);
    gate_open(&race->second);
    r = client_read(c);
    cr_assert_eq(r.status, 502);
    cr_assert_str_eq(response_fault(&r), "response_closed");
    expect_fault_count(&race->s, "response_closed", 1);
    end(race, c);
}

SCENARIO(hedge, a_winner_that_fails_within_its_body_has_no_successor)
{
    struct race *race = begin(answer, answer_half, "");
    struct client *c = ask_both(race);
    struct response r;

    gate_open(&race->second);
    r = client_read(c);
    cr_assert_str_eq(r.text, "half");
    cr_assert_not(r.body.whole);
    cr_assert(client_ended(c, AWAIT_MS));
    expect_fault_count(&race->s, "body_truncated", 1);
    end(race, NULL);
}

SCENARIO(hedge, a_client_that_goes_ends_both)
{
    struct race *race = begin(answer, answer, "");
    struct client *c = ask_both(race);

    client_reset(c);
    await(scene_metric(&race->s, "usher_exchanges") == 0);
    await(scene_metric(&race->s, "usher_upstream_connections{state=\"busy\"}") == 0);
    expect_fault_count(&race->s, "client_closed", 1);
    end(race, NULL);
}

SCENARIO(hedge, a_winners_head_may_come_in_pieces)
{
    struct race *race = begin(answer, answer_in_pieces, "");
    struct client *c = ask_both(race);
    struct response r;

    gate_open(&race->second);
    r = client_read(c);
    cr_assert_str_eq(r.text, "abcdef");
    cr_assert_str_eq(response_field(&r, "x-a"), "b");
    cr_assert_str_eq(r.body.trailers, "X-After: 2\r\n");
    end(race, c);
}

SCENARIO(hedge, a_winners_body_may_be_large)
{
    struct race *race = begin(answer, answer_much, "");
    struct client *c = ask_both(race);
    struct response r;

    gate_open(&race->second);
    r = client_read(c);
    cr_assert_eq(r.body.bytes, 3000000);
    cr_assert(r.body.pattern);
    end(race, c);
}

SCENARIO(hedge, an_answer_that_is_not_wanted_waits_for_the_other)
{
    struct race *race = begin(answer, refuse, "retry_on 503");
    struct client *c = ask_both(race);

    gate_pass(&race->second, 1);
    cr_assert(client_silent(c, 50));
    gate_pass(&race->first, 1);
    cr_assert_str_eq(client_read(c).text, "first");
    /* and the other way round */
    race->acts[0] = refuse;
    race->acts[1] = answer;
    client_send(c, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    await(gate_waiting(&race->first) == 1 && gate_waiting(&race->second) == 1);
    gate_pass(&race->first, 1);
    cr_assert(client_silent(c, 50));
    gate_pass(&race->second, 1);
    cr_assert_str_eq(client_read(c).text, "second");
    end(race, c);
}

SCENARIO(hedge, one_that_does_not_accept_is_no_hindrance)
{
    static struct scene s;
    struct origin *o = origin_start("one");

    scene_start(&s, .workers = 1, .flags = { "--connect-timeout", "60s" });
    scene_endpoint(&s, "web", o);
    scene_redis(&s, "HSET usher:endpoints:web %s 100", origin_deaf());
    scene_redis(&s, "HSET usher:service:web hedge 50ms retry_budget 100");
    scene_redis(&s, "SET usher:host:a.test service:web");
    scene_live(&s);
    for (unsigned i = 0; i < 6; i++)
        expect_get(&s, "a.test", "/", 200, "one");
    cr_assert_geq(scene_metric(&s, WON), 1);
    await(scene_metric(&s, "usher_exchanges") == 0);
    scene_end(&s);
}

SCENARIO(hedge, is_held_to_the_budget)
{
    struct race *race = begin(answer, answer, "retry_budget 0");
    struct client *c = ask(race);

    await(scene_metric(&race->s, "usher_retries_refused_total") == 1);
    cr_assert_eq(origin_requests(race->origins[0]) + origin_requests(race->origins[1]), 1);
    gate_open(&race->first);
    cr_assert_str_eq(client_read(c).text, "first");
    end(race, c);
}

SCENARIO(hedge, of_endpoints_with_max_conns_takes_a_place_and_gives_it_back)
{
    struct race *race = begin(answer, answer, "max_conns 1 retry_budget 100");
    struct client *c = ask_both(race);

    gate_open(&race->second);
    cr_assert_str_eq(client_read(c).text, "second");
    expect_metric(&race->s, WON, 1);
    open_gates(race);
    for (unsigned i = 0; i < 4; i++)
        expect_get(&race->s, "a.test", "/", 200, NULL);
    end(race, c);
}
