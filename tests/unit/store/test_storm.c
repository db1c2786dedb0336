/* test_storm.c -- a store that lived through thousands of random writes, lost links, expiries and
 * evictions says in the end what a store says that has just been started. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "base/random.h"
#include "scene.h"

static const char *const hosts[] = {
    "a.example",       "b.example",       "*.example",
    "sub.example",     "*.sub.example",   "x.sub.example",
    "y.x.sub.example", "*.x.sub.example", "*",
    "10.0.0.1",        "other.test",      "deep.y.x.sub.example",
};
#define HOSTS (sizeof(hosts) / sizeof(hosts[0]))

static uint64_t below(struct random *r, uint64_t n)
{
    return random_below(r, n);
}

static void write_host(struct scene *s, struct random *r, bool good)
{
    const char *host = hosts[below(r, HOSTS)];
    unsigned n = (unsigned)below(r, 4), port = 1 + (unsigned)below(r, 60000);

    switch (below(r, good ? 5 : 8)) {
    case 0:
        scene_do(s, "SET usher:host:%s 10.0.0.1:%u", host, port);
        break;
    case 1:
        scene_do(s, "SET usher:host:%s tenant:t%u", host, n);
        break;
    case 2:
        scene_do(s, "SET usher:host:%s service:s%u", host, n);
        break;
    case 3:
        scene_do(s, "DEL usher:host:%s", host);
        scene_do(s, "HSET usher:host:%s tenant t%u status active", host, n);
        break;
    case 4:
        scene_do(s, "DEL usher:host:%s", host);
        break;
    case 5:
        scene_do(s, "SET usher:host:%s nonsense", host);
        break;
    case 6:
        scene_do(s, "SET usher:host:%s 10.0.0.2:%u PX %u", host, port, 1 + (unsigned)below(r, 40));
        break;
    case 7:
        scene_do(s, "SET usher:host:%s tenant:none", host);
        break;
    }
}

static void write_tenant(struct scene *s, struct random *r, bool good)
{
    unsigned n = (unsigned)below(r, 4), port = 1 + (unsigned)below(r, 60000);

    switch (below(r, good ? 3 : 8)) {
    case 0:
        scene_do(s, "HSET usher:tenant:t%u to 10.0.1.%u:%u", n, n, port);
        break;
    case 1:
        scene_do(s, "HSET usher:tenant:t%u to service:s%u", n, (unsigned)below(r, 4));
        break;
    case 2:
        scene_do(s, "HSET usher:tenant:t%u status %s", n, below(r, 2) ? "active" : "maintenance");
        break;
    case 3:
        scene_do(s, "DEL usher:tenant:t%u", n);
        break;
    case 4:
        scene_do(s, "HSET usher:tenant:t%u colour red", n);
        break;
    case 5:
        scene_do(s, "DEL usher:tenant:t%u usher:routes:t%u", n, n);
        break;
    case 6:
        scene_do(s, "DEL usher:routes:t%u", n);
        break;
    case 7:
        scene_do(s, "HSET usher:routes:t%u bad %s", n, "path /x nowhere");
        break;
    }
}

static void write_routes(struct scene *s, struct random *r)
{
    unsigned n = (unsigned)below(r, 4), rule = (unsigned)below(r, 5);
    char text[64];

    if (below(r, 3) == 0)
        snprintf(text, sizeof(text), "path /r%u deny", rule);
    else
        snprintf(text, sizeof(text), "path /r%u to service:s%u", rule, (unsigned)below(r, 4));
    if (below(r, 4) == 0)
        scene_do(s, "HDEL usher:routes:t%u r%u", n, rule);
    else
        scene_do(s, "HSET usher:routes:t%u r%u %s", n, rule, text);
}

static void write_defaults(struct scene *s, struct random *r, bool good)
{
    switch (below(r, good ? 2 : 4)) {
    case 0:
        scene_do(s, "HSET usher:defaults to service:s%u", (unsigned)below(r, 4));
        break;
    case 1:
        scene_do(s, "HSET usher:defaults to 10.0.4.%u:80", (unsigned)below(r, 4));
        break;
    case 2:
        scene_do(s, "HSET usher:defaults colour red");
        break;
    case 3:
        scene_do(s, "DEL usher:defaults");
        break;
    }
}

static void write_service(struct scene *s, struct random *r, bool good)
{
    unsigned n = (unsigned)below(r, 4), port = 1 + (unsigned)below(r, 60000);

    switch (below(r, good ? 3 : 7)) {
    case 0:
        scene_do(s, "HSET usher:endpoints:s%u 10.0.2.%u:%u 100", n, n, port);
        break;
    case 1:
        scene_do(s, "HSET usher:service:s%u balance random", n);
        break;
    case 2:
        scene_do(s, "DEL usher:endpoints:s%u", n);
        break;
    case 3:
        scene_do(s, "DEL usher:service:s%u", n);
        break;
    case 4:
        scene_do(s, "HSET usher:endpoints:s%u nowhere 1", n);
        break;
    case 5:
        scene_do(s, "DEL usher:endpoints:s%u usher:service:s%u", n, n);
        break;
    case 6:
        scene_do(s, "HSET usher:service:s%u owner t%u", n, (unsigned)below(r, 4));
        break;
    }
}

static void write_one(struct scene *s, struct random *r, bool good)
{
    switch (below(r, 5)) {
    case 0:
        write_host(s, r, good);
        break;
    case 1:
        write_tenant(s, r, good);
        break;
    case 2:
        write_service(s, r, good);
        break;
    case 3:
        write_routes(s, r);
        break;
    case 4:
        write_defaults(s, r, good);
        break;
    }
}

static void write_some(struct scene *s, struct random *r, bool good)
{
    unsigned count = 1 + (unsigned)below(r, 6);
    bool together = below(r, 3) == 0;

    if (together)
        scene_do(s, "MULTI");
    for (unsigned i = 0; i < count; i++)
        write_one(s, r, good);
    if (together)
        scene_do(s, "EXEC");
}

static void mend_everything(struct scene *s, struct random *r)
{
    for (unsigned n = 0; n < 4; n++) {
        scene_do(s, "HDEL usher:endpoints:s%u nowhere", n);
        scene_do(s, "HSET usher:endpoints:s%u 10.0.3.%u:80 1", n, n);
        scene_do(s, "HDEL usher:service:s%u owner", n);
        scene_do(s, "HDEL usher:tenant:t%u colour", n);
        scene_do(s, "HDEL usher:routes:t%u bad", n);
        scene_do(s, "HSET usher:tenant:t%u status active", n);
    }
    scene_do(s, "HDEL usher:defaults colour");
    for (unsigned i = 0; i < HOSTS; i++)
        scene_do(s, "DEL usher:host:%s", hosts[i]);
    for (unsigned i = 0; i < 20; i++)
        write_host(s, r, true);
}

static bool is_quiet(struct scene *s, const void *with)
{
    struct buf json = { 0 };
    bool quiet;

    (void)with;
    store_dump(s->store, &json);
    quiet = strstr(json.ptr, "\"queued_pushed\":0,\"queued_wanted\":0,\"queued_verify\":0") != NULL;
    quiet = quiet && store_status(s->store)->up && !store_status(s->store)->suspect;
    buf_free(&json);
    return quiet;
}

static void compare(struct scene *s, uint64_t seed)
{
    struct scene *fresh = scene_beside(s);

    scene_open(fresh);
    for (unsigned i = 0; i < HOSTS; i++) {
        const char *host = hosts[i][0] == '*' ? "one.more.test" : hosts[i];
        char route[4096];

        snprintf(route, sizeof(route), "%s", scene_route(fresh, host));
        scene_expect(s, host, route);
        cr_expect_neq(strcmp(route, "?"), 0, "seed %llu", (unsigned long long)seed);
    }
    scene_end(fresh);
}

static void live_through(uint64_t seed, size_t cache_bytes, unsigned max_loss)
{
    struct scene *s = scene_new();
    struct random r = { .state = seed };

    s->settings.cache_bytes = cache_bytes;
    s->settings.max_loss_percent = max_loss;
    scene_open(s);
    for (unsigned round = 0; round < 8; round++) {
        for (unsigned i = 0; i < 150; i++) {
            write_some(s, &r, false);
            if (below(&r, 3) == 0)
                store_lookup(s->store, 0, str_from(hosts[below(&r, HOSTS)]));
            if (below(&r, 4) == 0)
                scene_run(s, (unsigned)below(&r, 3));
            if (below(&r, 150) == 0)
                scene_do(s, "CLIENT KILL TYPE normal SKIPME yes");
            if (below(&r, 200) == 0)
                scene_do(s, "FLUSHDB");
        }
        mend_everything(s, &r);
        scene_run(s, 20);
        cr_assert(scene_await(s, is_quiet, NULL, 10000), "seed %llu: never quiet",
                  (unsigned long long)seed);
        compare(s, seed);
    }
    scene_end(s);
}

Test(store_storm, ends_as_a_fresh_one_begins)
{
    for (uint64_t seed = 1; seed <= 3; seed++)
        live_through(seed * 7919, 256u << 20, 10);
}

Test(store_storm, with_a_cache_too_small)
{
    for (uint64_t seed = 1; seed <= 3; seed++)
        live_through(seed * 104729, 24000, 100);
}
