/* x_chaos_wire.c -- under load and under writes, the connection to Redis is cut 200 times, in the
 * middle of what Redis sends: no update is lost.
 *
 * Owns:    nothing.
 * Thread:  the test's; the load's, the writer's and the wire's.
 * Used by: make test.
 * Not here: wires that drip or freeze (f_store_wire.c); Redis itself going away (x_chaos_redis.c). */
#include "harness/load.h"
#include "harness/relay.h"
#include "harness/writer.h"

#include <stdlib.h>

#define HOSTS 40
/* One that is cut comes back later and later, up to 2 s: so several edges, each on its own wire. */
#define EDGES 10
#define CUTS 200
#define CUTS_EACH (CUTS / EDGES)
#define SETTLE_EVERY 25 /* cuts: each looks whether the last of them have lost something */

static struct scene s;
static struct versions v;
static struct load load;
static struct writer writer;
static struct relay *relay;

static void begin(void)
{
    const char *path;

    versions_start(&v, HOSTS);
    scene_start(&s, .without_edge = true);
    path = kept_format("%s/wire", s.dir);
    relay = relay_start(path, s.redis.socket);
    s.options.redis = kept_format("unix://%s", path);
    versions_write_all(&v, &s.redis);
    scene_edge_start(&s);
    versions_settle(&v, &s.edge, &s.redis);
    load_start(&load, &s.edge, &v);
}

static void end(void)
{
    load_end(&load);
    relay_stop(relay);
    versions_stop(&v); /* before the scene's end, which frees what is kept */
    scene_end(&s);
}

static bool is_up(void)
{
    return scene_metric(&s, "usher_store_up") == 1;
}

/* --- cuts --- */

static struct relay *wires[EDGES];
static struct edge edges[EDGES];
static unsigned armed[EDGES]; /* cuts, with the one that is due */

static void begin_many(void)
{
    versions_start(&v, HOSTS);
    scene_start(&s, .without_edge = true, .workers = 1);
    versions_write_all(&v, &s.redis);
    for (unsigned i = 0; i < EDGES; i++) {
        const char *path = kept_format("%s/wire%u", s.dir, i);

        wires[i] = relay_start(path, s.redis.socket);
        s.options.redis = kept_format("unix://%s", path);
        scene_second_edge(&s, &edges[i], "--name", kept_format("edge%u", i), NULL);
    }
}

static void end_many(void)
{
    for (unsigned i = 0; i < EDGES; i++) {
        relay_cut(wires[i]);
        edge_stop(&edges[i]);
        edge_free(&edges[i]);
        relay_stop(wires[i]);
    }
    versions_stop(&v); /* before the scene's end, which frees what is kept */
    scene_end(&s);
}

static void settle_many(void)
{
    versions_barrier(&s.redis, EDGES);
    for (unsigned i = 0; i < EDGES; i++)
        versions_expect(&v, &edges[i], &s.redis);
}

/* Behind so many bytes that it is within a push or a value, or the first words, or within the
 * verification, or later. Returns the cuts so far. */
static unsigned cut_on(unsigned *seed)
{
    static const unsigned most[] = { 60, 1000, 12000 };
    unsigned cuts = 0;

    for (unsigned i = 0; i < EDGES; i++) {
        unsigned n = relay_cuts(wires[i]);

        cuts += n;
        if (n < armed[i] || n >= CUTS_EACH)
            continue;
        relay_cut_behind(wires[i], 1 + (unsigned)rand_r(seed) % most[armed[i] % 3]);
        armed[i]++;
    }
    return cuts;
}

SCENARIO(chaos, connections_cut_200_times_in_the_middle_of_pushes_lose_no_update)
{
    static struct load loads[2];
    unsigned seed = 1, settled = 0, cuts;

    begin_many();
    settle_many();
    load_start(&loads[0], &edges[0], &v);
    load_start(&loads[1], &edges[EDGES - 1], &v);
    writer_start(&writer, &v, &s.redis);
    while ((cuts = cut_on(&seed)) < CUTS) {
        await_nap();
        if (cuts < settled + SETTLE_EVERY)
            continue;
        settled = cuts;
        writer_end(&writer); /* some edges are away, and see no push of the last writes */
        settle_many();
        writer_start(&writer, &v, &s.redis);
    }
    writer_end(&writer);
    settle_many();
    load_end(&loads[0]);
    load_end(&loads[1]);
    end_many();
}

/* --- other ends of a connection --- */

SCENARIO(chaos, connections_killed_by_redis_lose_no_update)
{
    begin();
    for (unsigned i = 0; i < 8; i++) {
        writer_start(&writer, &v, &s.redis);
        scene_redis(&s, "CLIENT KILL TYPE normal SKIPME yes"); /* the writer's, too */
        writer_await(&writer, i % 5 * 5);
        writer_end(&writer);
        versions_settle(&v, &s.edge, &s.redis);
    }
    cr_assert(is_up());
    end();
}

SCENARIO(chaos, a_connection_that_hangs_loses_no_update)
{
    begin();
    writer_start(&writer, &v, &s.redis);
    for (unsigned i = 0; i < 2; i++) {
        relay_freeze(relay, true);
        await_within(!is_up(), 20000);
        writer_await(&writer, 50);
        relay_cut(relay); /* nothing of what hung comes through any more */
        relay_freeze(relay, false);
        await_within(is_up(), 20000);
        writer_await(&writer, 50);
        writer_end(&writer);
        versions_settle(&v, &s.edge, &s.redis);
        writer_start(&writer, &v, &s.redis);
    }
    writer_end(&writer);
    end();
}
