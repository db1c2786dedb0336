/* p_health_shared.c -- several edges share the checking of a service: two check for all, none of them alone
 * takes an endpoint from the others, and each goes on by itself while Redis is away.
 *
 * Owns:    nothing.
 * Thread:  the test's.
 * Used by: make test.
 * Not here: what a check is (p_health.c). */
#include <signal.h>

#include "harness/checked.h"
#include "harness/scene.h"

#define EDGES 3
#define LEASE_MS 3000 /* of checks that come as fast as these */

/* Edges "one", "two" and "three" on one Redis, and service "web" of two endpoints that are checked. */
struct cluster {
    struct scene s;
    struct edge more[EDGES - 1];
    struct edge *edges[EDGES];
    unsigned count;
    struct checked left, right;
};

static const char *const names[EDGES] = { "one", "two", "three" };

static void start_more(struct cluster *c)
{
    scene_second_edge(&c->s, &c->more[c->count - 1], "--name", names[c->count], NULL);
    c->edges[c->count] = &c->more[c->count - 1];
    c->count++;
}

static struct response get(const struct edge *e)
{
    return client_get_once(e->at, "a.test", "/");
}

static void start(struct cluster *c, unsigned edges)
{
    checked_start(&c->left, "left");
    checked_start(&c->right, "right");
    scene_start(&c->s, .flags = { "--name", "one", "--workers", "1" });
    c->edges[0] = &c->s.edge;
    c->count = 1;
    scene_redis(&c->s, "HSET usher:service:web health_path /healthz health_interval 200ms "
                       "health_fast 100ms health_timeout 400ms health_fall 2");
    scene_endpoint(&c->s, "web", c->left.origin);
    scene_endpoint(&c->s, "web", c->right.origin);
    scene_redis(&c->s, "SET usher:host:a.test service:web");
    while (c->count < edges)
        start_more(c);
    for (unsigned i = 0; i < edges; i++) /* each holds the service from now on */
        await(get(c->edges[i]).status == 200);
    await(checked_edges(&c->left) >= (edges > 1 ? 2 : 1));
}

static void end(struct cluster *c)
{
    for (unsigned i = 1; i < c->count; i++) {
        if (c->edges[i]->process.running)
            edge_stop(c->edges[i]);
        edge_free(c->edges[i]);
    }
    scene_end(&c->s);
}

static bool is_served_by(const struct edge *e, const char *name)
{
    for (unsigned i = 0; i < 4; i++)
        if (strcmp(get(e).text, name) == 0)
            return true;
    return false;
}

static bool serves_both(const struct edge *e)
{
    return is_served_by(e, "left") && is_served_by(e, "right");
}

static bool avoids(const struct edge *e, const char *name)
{
    for (unsigned i = 0; i < 8; i++)
        if (strcmp(get(e).text, name) == 0)
            return false;
    return true;
}

/* By both. */
static bool is_told_down(struct cluster *c)
{
    const char *told = scene_redis(&c->s, "HGET usher:health:web %s", origin_at(c->left.origin));

    return starts(told, "down | ") &&
           has(told, " | one") + has(told, " | two") + has(told, " | three") >= 2;
}

static bool checks(struct cluster *c, unsigned i)
{
    return scene_redis(&c->s, "HGET usher:lease:health:web %s", names[i]) != NULL;
}

/* One that waits, or one that checks. */
static unsigned one_that(struct cluster *c, bool does)
{
    unsigned i = 0;

    while (i < c->count && checks(c, i) != does)
        i++;
    cr_assert(i < c->count, "there is none");
    return i;
}

SCENARIO(health, two_of_three_edges_check_and_the_third_knows)
{
    static struct cluster c;
    unsigned third;

    start(&c, 3);
    third = one_that(&c, false);
    cr_assert_str_eq(scene_redis(&c.s, "HLEN usher:lease:health:web"), "2");
    checked_forget(&c.left);
    await(checked_count(&c.left, NULL) >= 12);
    cr_assert_eq(checked_edges(&c.left), 2);
    cr_assert_eq(checked_count(&c.left, names[third]), 0);
    checked_set(&c.left, CHECKED_SICK);
    for (unsigned i = 0; i < 3; i++)
        await(avoids(c.edges[i], "left"));
    cr_assert(is_told_down(&c));
    cr_assert_eq(checked_count(&c.left, names[third]), 0);
    await_within(process_awaits_log(&c.edges[third]->process, "endpoint_down service=web", 1000),
                 2000);
    checked_set(&c.left, CHECKED_GOOD);
    for (unsigned i = 0; i < 3; i++)
        await(serves_both(c.edges[i]));
    end(&c);
}

SCENARIO(health, one_checker_with_a_broken_path_takes_an_endpoint_from_nobody_else)
{
    static struct cluster c;
    unsigned broken, third;

    start(&c, 3);
    broken = one_that(&c, true);
    third = one_that(&c, false);
    checked_set_one(&c.left, names[broken], CHECKED_SICK);
    await(starts(scene_redis(&c.s, "HGET usher:health:web %s", origin_at(c.left.origin)),
                 "doubted | "));
    await(avoids(c.edges[broken], "left")); /* it has its own word for it */
    checked_forget(&c.left);
    await(checked_count(&c.left, NULL) >= 10);
    for (unsigned i = 0; i < 3; i++)
        if (i != broken)
            cr_assert(serves_both(c.edges[i]), "%s believes %s", names[i], names[broken]);
    cr_assert_eq(checked_count(&c.left, names[third]), 0);
    checked_set_one(&c.left, NULL, CHECKED_GOOD);
    await(serves_both(c.edges[broken]));
    end(&c);
}

/* The path is broken, says a check: but requests are answered. */
SCENARIO(health, what_an_edge_hears_itself_counts_more_than_that_others_cannot_reach_it)
{
    static struct cluster c;
    unsigned third, checker, left = 0;

    start(&c, 3);
    scene_redis(&c.s, "HSET usher:service:web health_fall 8"); /* so that there is time to hear */
    third = one_that(&c, false);
    checker = one_that(&c, true);
    checked_set(&c.left, CHECKED_CUT);
    await(get(c.edges[third]).status == 200 && is_told_down(&c));
    await(avoids(c.edges[checker], "left"));
    for (unsigned i = 0; i < 60; i++)
        left += strcmp(get(c.edges[third]).text, "left") == 0;
    cr_assert_geq(left, 20);
    checked_set(&c.left, CHECKED_SICK); /* it can be reached, and says that it is not well */
    await(avoids(c.edges[third], "left"));
    end(&c);
}

SCENARIO(health, a_checker_that_is_killed_is_followed_within_a_lease)
{
    static struct cluster c;
    unsigned killed, third;

    start(&c, 3);
    checked_set(&c.left, CHECKED_SICK);
    third = one_that(&c, false);
    await(avoids(c.edges[third], "left"));
    killed = one_that(&c, true);
    if (killed == 0) /* the scene's own stays */
        killed = checks(&c, 1) ? 1 : 2;
    checked_forget(&c.left);
    process_kill(&c.edges[killed]->process);
    await_within(checked_count(&c.left, names[third]) > 0, 3 * LEASE_MS);
    cr_assert(avoids(c.edges[third], "left")); /* and nothing came up in between */
    cr_assert_eq(process_log_count(&c.edges[third]->process, "endpoint_up"), 0);
    end(&c);
}

SCENARIO(health, an_edge_that_ends_gives_its_place_to_another_at_once)
{
    static struct cluster c;

    start(&c, 2);
    await(checks(&c, 0) && checks(&c, 1));
    edge_stop(c.edges[1]);
    cr_assert_not(checks(&c, 1));
    cr_assert(checks(&c, 0));
    end(&c);
}

SCENARIO(health, without_redis_each_edge_checks_for_itself)
{
    static struct cluster c;
    unsigned third;

    start(&c, 3);
    third = one_that(&c, false);
    redis_kill(&c.s.redis);
    await(checked_count(&c.left, names[third]) > 0);
    checked_set_one(&c.left, names[third], CHECKED_SICK);
    await(avoids(c.edges[third], "left"));
    cr_assert(serves_both(c.edges[(third + 1) % 3]));
    checked_set(&c.right, CHECKED_SICK);
    await(avoids(c.edges[(third + 1) % 3], "right"));
    checked_set(&c.right, CHECKED_GOOD);
    checked_set_one(&c.left, NULL, CHECKED_GOOD);
    for (unsigned i = 0; i < 3; i++)
        await(serves_both(c.edges[i]));
    end(&c);
}

/* For a while, from now on. */
static bool two_check(struct cluster *c)
{
    checked_forget(&c->left);
    return eventually(checked_count(&c->left, NULL) > 6, AWAIT_MS) && checked_edges(&c->left) == 2;
}

SCENARIO(health, when_redis_is_back_two_check_for_all_again)
{
    static struct cluster c;
    unsigned waits = 0;

    start(&c, 3);
    checked_set(&c.left, CHECKED_SICK);
    for (unsigned i = 0; i < 3; i++)
        await(avoids(c.edges[i], "left"));
    redis_stop(&c.s.redis); /* it is there, but says nothing */
    checked_forget(&c.left);
    await_within(checked_edges(&c.left) == 3, 2 * AWAIT_MS);
    for (unsigned i = 0; i < 3; i++)
        cr_assert(avoids(c.edges[i], "left"), "%s has forgotten what was known", names[i]);
    redis_continue(&c.s.redis);
    await_within(checks(&c, 0) + checks(&c, 1) + checks(&c, 2) == 2, 2 * AWAIT_MS);
    await_within(two_check(&c), 2 * AWAIT_MS);
    waits = one_that(&c, false);
    checked_set(&c.left, CHECKED_GOOD);
    for (unsigned i = 0; i < 3; i++)
        await(serves_both(c.edges[i]));
    cr_assert_eq(checked_count(&c.left, names[waits]), 0);
    end(&c);
}

SCENARIO(health, an_edge_that_is_started_again_goes_on_from_what_it_had_found)
{
    static struct cluster c;

    start(&c, 1);
    checked_set(&c.left, CHECKED_SICK);
    await(avoids(c.edges[0], "left"));
    await(
        has(scene_redis(&c.s, "HGET usher:health:web %s", origin_at(c.left.origin)), "status 503"));
    process_kill(&c.s.edge.process);
    checked_set(&c.left, CHECKED_GOOD); /* nobody can have found it bad again */
    scene_edge_start(&c.s);
    await(get(c.edges[0]).status == 200);
    cr_assert(process_awaits_log(&c.s.edge.process, "endpoint_down service=web", AWAIT_MS));
    await(serves_both(c.edges[0]));
    end(&c);
}

/* Places are kept and asked for three times in a lease, the edges' and the service's. */
SCENARIO(health, sharing_costs_redis_about_a_word_from_each_edge_in_a_third_of_a_lease)
{
    static struct cluster c;
    unsigned long before, calls;
    uint64_t began;

    start(&c, 3);
    scene_redis(&c.s, "HSET usher:service:web health_interval 1s");
    await(checks(&c, 0) + checks(&c, 1) + checks(&c, 2) == 2);
    checked_forget(&c.left);
    await(checked_count(&c.left, NULL) >= 4);
    before = redis_calls(&c.s.redis, "eval");
    began = await_now_ms();
    checked_forget(&c.left);
    await(checked_count(&c.left, NULL) >= 6);
    calls = redis_calls(&c.s.redis, "eval") - before;
    cr_assert_geq(calls, 2);
    cr_assert_leq(calls, 3 * (await_now_ms() - began) / 900 + 6);
    end(&c);
}

SCENARIO(health, an_edge_that_starts_knows_what_the_others_have_found)
{
    static struct cluster c;

    start(&c, 2);
    checked_set(&c.left, CHECKED_SICK);
    await(avoids(c.edges[0], "left") && avoids(c.edges[1], "left"));
    await(is_told_down(&c));
    checked_forget(&c.left);
    start_more(&c);
    await(get(c.edges[2]).status == 200);
    await(avoids(c.edges[2], "left"));
    cr_assert_eq(checked_count(&c.left, "three"), 0);
    end(&c);
}
