/* o_routes_live.c -- rules that must not be got around, that change while requests run, that are
 * wrong, half-written or very many.
 *
 * Owns:    nothing.
 * Thread:  the test's, and some that ask meanwhile.
 * Used by: make test.
 * Not here: what each word of a rule does (o_routes.c). */
#include "harness/scene.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define ROUTES "usher:routes:acme"
#define ASKING 3

static void begin(struct scene *s, struct origin *o)
{
    scene_start(s);
    scene_redis(s, "HSET usher:tenant:acme to %s", origin_at(o));
    scene_redis(s, "SET usher:host:a.test tenant:acme");
    await_get(s, "a.test", "/", 200, NULL);
}

static void await_error(struct scene *s, const char *key, const char *word, const char *other)
{
    char *said = NULL;

    cr_assert(eventually(has(said = scene_redis(s, "HGET usher:errors %s", key), word) &&
                             has(said, other),
                         AWAIT_MS),
              "usher:errors of %s: expected \"%s\" and \"%s\", is: %s", key, word, other, said);
}

/* Ways to write a path below /admin that an origin might see through. */
static const char *const tricks[] = {
    "/admin",
    "/admin/",
    "/admin/x",
    "/admin?x",
    "/admin/?x=/y",
    "/%61dmin",
    "/%61%64%6d%69%6e/x",
    "/%61%64%6D%69%6E/x",
    "//admin",
    "///admin//x",
    "/./admin",
    "/x/../admin",
    "/x/..//admin",
    "/x/%2e%2e/admin",
    "/x/%2E./admin",
    "/%2e/admin",
    "/../admin",
    "/../../%2e%2e/admin/x",
    "/admin/.",
    "/admin/./x",
    "/admin/x/..",
    "/admin/../admin/x",
    "/admin//../admin",
    "/public/../%61dmin/../admin/x",
    "http://a.test/admin",
    "http://A.test:80//admin",
};

/* What is none: the origin may have these. */
static const char *const innocent[] = {
    "/",           "/administrator", "/admin2",  "/x/admin",   "/admin/..",
    "/admin/../x", "/Admin",         "/admin;x", "/%2561dmin",
};

static const char *request_of(const char *target, const char *version)
{
    return kept_format("GET %s HTTP/%s\r\nHost: a.test\r\nConnection: close\r\n\r\n", target,
                       version);
}

static void expect_no_way_round(struct scene *s, struct origin *o)
{
    unsigned before = origin_requests(o);

    for (size_t i = 0; i < sizeof(tricks) / sizeof(tricks[0]); i++) {
        struct response r = scene_exchange(s, request_of(tricks[i], "1.1"));

        cr_expect(r.status == 403 && !strcmp(response_fault(&r), "denied"), "%s came to %d",
                  tricks[i], r.status);
        cr_expect_eq(scene_exchange(s, request_of(tricks[i], "1.0")).status, 403, "%s", tricks[i]);
    }
    cr_expect_eq(origin_requests(o), before);
    for (size_t i = 0; i < sizeof(innocent) / sizeof(innocent[0]); i++)
        cr_expect_eq(scene_exchange(s, request_of(innocent[i], "1.1")).status, 200, "%s",
                     innocent[i]);
    cr_expect_eq(scene_exchange(s, request_of("/%00/../admin", "1.1")).status, 400);
    cr_expect_eq(scene_exchange(s, request_of("/admin%0a", "1.1")).status, 400);
    cr_expect_eq(scene_exchange(s, request_of("/%zzadmin", "1.1")).status, 400);
    cr_expect_eq(scene_exchange(s, request_of("/x#/../admin", "1.1")).status, 400);
}

SCENARIO(deny, no_way_to_write_a_path_gets_around_it)
{
    static struct scene s;
    struct origin *o = origin_start("one");

    begin(&s, o);
    scene_redis(&s, "HSET " ROUTES " admin 'path /admin/* deny' here 'path /here deny'");
    await(scene_get(&s, "a.test", "/here").status == 403);
    await_get(&s, "a.test", "/here", 403, NULL);
    expect_no_way_round(&s, o);
    /* The same where the origin gets the path as it was sent; there it may read "//" and ".." in
     * another order than we do, and neither reading may get through. */
    scene_redis(&s, "HSET usher:tenant:acme path raw");
    await(scene_get(&s, "a.test", "/%61").status == 200 && !strcmp(origin_last(o)->target, "/%61"));
    await_get(&s, "a.test", "/x//../admin", 403, NULL);
    expect_get(&s, "a.test", "/x/y//../../admin", 403, NULL);
    expect_get(&s, "a.test", "/x\\..\\admin", 403, NULL);
    expect_get(&s, "a.test", "/x\\../admin", 403, NULL);
    expect_get(&s, "a.test", "/x/y/..//../admin", 403, NULL);
    expect_no_way_round(&s, o);
    scene_end(&s);
}

struct asking {
    struct scene *s;
    atomic_bool stop;
    atomic_uint asked, wrong;
    char seen[200];
    bool (*is_right)(const struct response *r);
    const char *path;
};

static void *ask(void *owner)
{
    struct asking *a = owner;
    struct client *c = client_open(a->s->edge.at);

    while (!atomic_load(&a->stop)) {
        struct response r = client_get(c, "a.test", a->path);

        atomic_fetch_add(&a->asked, 1);
        if (!a->is_right(&r) && atomic_fetch_add(&a->wrong, 1) == 0)
            snprintf(a->seen, sizeof(a->seen), "%d %s%s %.100s", r.status, response_fault(&r),
                     r.why, r.text);
        if (r.status == 0)
            break;
    }
    return NULL;
}

static void start_asking(struct asking *asking, pthread_t *threads, struct scene *s,
                         const char *path, bool (*is_right)(const struct response *r))
{
    for (unsigned i = 0; i < ASKING; i++) {
        asking[i].s = s;
        asking[i].path = path;
        asking[i].is_right = is_right;
        pthread_create(&threads[i], NULL, ask, &asking[i]);
    }
}

static unsigned stop_asking(struct asking *asking, pthread_t *threads)
{
    unsigned asked = 0;

    for (unsigned i = 0; i < ASKING; i++) {
        atomic_store(&asking[i].stop, true);
        pthread_join(threads[i], NULL);
        cr_assert_eq(atomic_load(&asking[i].wrong), 0, "%u of %u answers, first: %s",
                     atomic_load(&asking[i].wrong), atomic_load(&asking[i].asked), asking[i].seen);
        asked += atomic_load(&asking[i].asked);
    }
    return asked;
}

static bool is_one_of_two(const struct response *r)
{
    return r->status == 200 && (!strcmp(r->text, "one") || !strcmp(r->text, "two"));
}

SCENARIO(live_rules, one_rule_changes_while_requests_run)
{
    static struct scene s;
    static struct asking asking[ASKING];
    struct origin *one = origin_start("one"), *two = origin_start("two");
    pthread_t threads[ASKING];

    begin(&s, one);
    scene_redis(&s, "HSET " ROUTES " x 'path /x to %s' other 'path /other deny'", origin_at(one));
    await_get(&s, "a.test", "/other", 403, NULL);
    start_asking(asking, threads, &s, "/x", is_one_of_two);
    for (unsigned n = 0; n < 300; n++) {
        struct origin *to = n % 2 == 0 ? two : one;

        if (n % 5 == 4)
            scene_redis(&s, "HDEL " ROUTES " x");
        else
            scene_redis(&s, "HSET " ROUTES " x 'path /x to %s'", origin_at(to));
        scene_redis(&s, "HSET usher:tenant:acme timeout %us", 1 + n);
    }
    scene_redis(&s, "HSET " ROUTES " x 'path /x to %s'", origin_at(two));
    await_get(&s, "a.test", "/x", 200, "two");
    expect_get(&s, "a.test", "/other", 403, NULL);
    cr_assert_geq(stop_asking(asking, threads), 100);
    scene_end(&s);
}

/* The version that a request began with lives until it ends, whatever becomes of the rule. */
SCENARIO(live_rules, a_request_under_way_keeps_its_rule)
{
    static struct scene s;
    static struct gate gate = GATE_CLOSED;
    struct origin *o = origin_start("slow");
    struct client *c;

    begin(&s, origin_start("else"));
    origin_script(o, origin_at_gate, &gate);
    scene_redis(&s, "HSET " ROUTES " x 'path /x to %s' y 'path /y deny'", origin_at(o));
    await_get(&s, "a.test", "/y", 403, NULL);
    c = scene_open(&s);
    client_send(c, "GET /x HTTP/1.1\r\nHost: a.test\r\n\r\n");
    await(gate_waiting(&gate) == 1);
    scene_redis(&s, "DEL " ROUTES);
    await_get(&s, "a.test", "/y", 200, "else"); /* asked first: /x would wait at the gate */
    expect_get(&s, "a.test", "/x", 200, "else");
    scene_redis(&s, "DEL usher:tenant:acme");
    await_fault(&s, "a.test", "tenant_gone");
    gate_open(&gate);
    cr_assert_str_eq(client_read(c).text, "slow");
    scene_end(&s);
}

/* "5 5": the number that the rule had the origin told, and the tenant's own time limit. */
static void name_and_stage(struct origin_conn *c, struct origin_request *r, void *arg)
{
    const char *stage = message_field(r->head, "X-Stage");

    origin_reply(c, r, 200, kept_format("%s %s", (const char *)arg, stage ? stage : "none"));
}

static bool is_of_one_state(const struct response *r)
{
    return r->status == 200 && (!strcmp(r->text, "even even") || !strcmp(r->text, "odd odd"));
}

SCENARIO(live_rules, all_families_in_one_transaction_change_as_one)
{
    static struct scene s;
    static struct asking asking[ASKING];
    struct origin *o[2] = { origin_start("even"), origin_start("odd") };
    pthread_t threads[ASKING];
    unsigned n;

    for (n = 0; n < 2; n++)
        origin_script(o[n], name_and_stage, (void *)(uintptr_t)(n == 0 ? "even" : "odd"));
    scene_start(&s);
    for (n = 0; n < 1500; n++) {
        unsigned now = n % 4, before = (n + 3) % 4;

        redis_queue(&s.redis, "MULTI");
        redis_queue(&s.redis, "DEL usher:tenant:t%u usher:routes:t%u usher:endpoints:s%u", before,
                    before, before);
        redis_queue(&s.redis, "DEL usher:service:s%u", before);
        redis_queue(&s.redis, "SET usher:host:a.test tenant:t%u", now);
        redis_queue(&s.redis, "HSET usher:tenant:t%u to 127.0.0.1:1", now);
        redis_queue(&s.redis, "HSET usher:routes:t%u x 'path /x to service:s%u set X-Stage=%s'",
                    now, now, n % 2 == 0 ? "even" : "odd");
        redis_queue(&s.redis, "HSET usher:service:s%u owner t%u", now, now);
        redis_queue(&s.redis, "HSET usher:endpoints:s%u %s 1", now, origin_at(o[n % 2]));
        redis_queue(&s.redis, "EXEC");
        if (n == 0) {
            redis_flush(&s.redis);
            await_get(&s, "a.test", "/x", 200, "even even");
            start_asking(asking, threads, &s, "/x", is_of_one_state);
        } else if (n % 3 == 0) {
            redis_flush(&s.redis);
        }
    }
    redis_flush(&s.redis);
    await_get(&s, "a.test", "/x", 200, "odd odd");
    cr_assert_geq(stop_asking(asking, threads), 100);
    cr_assert_eq(scene_logged(&s, " bad_record "), 0, "a mixture was judged bad");
    scene_end(&s);
}

SCENARIO(live_rules, a_tenant_of_rules_alone_is_a_tenant)
{
    static struct scene s;
    struct origin *o = origin_start("one");

    scene_start(&s);
    /* Half of it is not there: the host is refused, and taken when it comes. */
    scene_redis(&s, "SET usher:host:a.test tenant:acme");
    await_error(&s, "usher:host:a.test", "acme", "tenant that exists");
    expect_fault(&s, "a.test", "bad_record");
    scene_redis(&s, "HSET " ROUTES " x 'path /x to %s'", origin_at(o));
    await_get(&s, "a.test", "/x", 200, "one");
    expect_fault(&s, "a.test", "no_route");
    scene_redis(&s, "HSET usher:tenant:acme to %s", origin_at(o));
    await_get(&s, "a.test", "/", 200, "one");
    scene_redis(&s, "DEL usher:tenant:acme");
    await_fault(&s, "a.test", "no_route");
    expect_get(&s, "a.test", "/x", 200, "one");
    scene_redis(&s, "DEL " ROUTES);
    await_fault(&s, "a.test", "tenant_gone");
    scene_redis(&s, "HSET usher:tenant:acme to %s", origin_at(o));
    await_get(&s, "a.test", "/x", 200, "one");
    scene_end(&s);
}

static const struct {
    const char *rule, *word;
} wrong_rules[] = {
    { "path /x", "bad" },
    { "path /x to service:missing", "service that exists" },
    { "path /x to service:others", "owner beta" },
    { "path /x split service:web=1 service:missing=1", "missing" },
    { "path /x to 169.254.169.254:80", "link-local" },
    { "path /x to 10.0.0.1:99999", "expected" },
    { "path ~( deny", "expected" },
    { "path /x deny twice", "twice" },
    { "nonsense", "nonsense" },
    { "", "expected" },
};

SCENARIO(live_rules, a_wrong_rule_leaves_all_of_the_tenants_as_they_were)
{
    static struct scene s;
    struct origin *o = origin_start("one");

    begin(&s, o);
    scene_endpoint(&s, "web", o);
    scene_endpoint(&s, "others", o);
    scene_redis(&s, "HSET usher:service:others owner beta");
    scene_redis(&s, "HSET " ROUTES " no 'path /no deny' x 'path /x to service:web'");
    await_get(&s, "a.test", "/no", 403, NULL);
    for (size_t i = 0; i < sizeof(wrong_rules) / sizeof(wrong_rules[0]); i++) {
        scene_redis(&s, "HSET " ROUTES " bad-%zu '%s'", i, wrong_rules[i].rule);
        await_error(&s, ROUTES, kept_format("bad-%zu", i), wrong_rules[i].word);
        cr_expect(has(scene_redis(&s, "HGET usher:errors " ROUTES), "since "));
        /* Another tenant's change, behind it, has come: so has this. */
        expect_get(&s, "a.test", "/no", 403, NULL);
        expect_get(&s, "a.test", "/x", 200, "one");
        scene_redis(&s, "HDEL " ROUTES " bad-%zu", i);
        await(scene_redis(&s, "HGET usher:errors " ROUTES) == NULL);
    }
    /* Rules that never were right: the tenant answers nothing, rather than what they may deny. */
    scene_redis(&s, "HSET usher:routes:new x 'path /x denny'");
    scene_redis(&s, "HSET usher:tenant:new to %s", origin_at(o));
    scene_redis(&s, "SET usher:host:n.test tenant:new");
    await_fault(&s, "n.test", "bad_record");
    await_error(&s, "usher:routes:new", "denny", "expected");
    scene_redis(&s, "HSET usher:routes:new x 'path /x deny'");
    await_get(&s, "n.test", "/", 200, "one");
    scene_end(&s);
}

/* A rule waits for its service, and is taken when it comes. */
SCENARIO(live_rules, a_missing_service_mends_the_rule_that_names_it)
{
    static struct scene s;
    struct origin *o = origin_start("one");

    begin(&s, origin_start("else"));
    scene_redis(&s, "HSET " ROUTES " x 'path /x to service:later'");
    await_error(&s, ROUTES, "later", "service that exists");
    scene_endpoint(&s, "later", o);
    await_get(&s, "a.test", "/x", 200, "one");
    await(scene_redis(&s, "HGET usher:errors " ROUTES) == NULL);
    scene_redis(&s, "DEL usher:endpoints:later");
    await(!strcmp(({
                      struct response r = scene_get(&s, "a.test", "/x");
                      response_fault(&r);
                  }),
                  "no_endpoint"));
    scene_end(&s);
}

SCENARIO(live_rules, thousands_of_rules_and_services_of_one_tenant)
{
    static struct scene s;
    struct origin *o = origin_start("one");
    const unsigned many = 3000;

    begin(&s, origin_start("else"));
    redis_queue(&s.redis, "MULTI");
    for (unsigned i = 0; i < many; i++) {
        redis_queue(&s.redis, "HSET usher:endpoints:s%u %s 1", i, origin_at(o));
        redis_queue(&s.redis, "HSET " ROUTES " r%u 'path /r%u/* to service:s%u strip /r%u'", i, i,
                    i, i);
    }
    redis_queue(&s.redis, "EXEC");
    redis_flush(&s.redis);
    await_get(&s, "a.test", kept_format("/r%u/x", many - 1), 200, "one");
    cr_assert_str_eq(origin_last(o)->target, "/x");
    expect_get(&s, "a.test", "/r0/x", 200, "one");
    expect_get(&s, "a.test", "/r/x", 200, "else");
    scene_redis(&s, "HSET " ROUTES " r7 'path /r7/* deny'");
    await_get(&s, "a.test", "/r7/x", 403, NULL);
    scene_redis(&s, "HDEL " ROUTES " r7");
    await_get(&s, "a.test", "/r7/x", 200, "else");
    expect_get(&s, "a.test", "/r8/x", 200, "one");
    scene_end(&s);
}

/* From the disk copy: from the first request on, what is denied is denied. */
SCENARIO(live_rules, rules_and_defaults_hold_when_the_edge_starts_without_redis)
{
    static struct scene s;
    struct origin *o = origin_start("one"), *two = origin_start("two");

    scene_start(&s, .without_edge = true);
    s.options.flags[0] = "--state-dir";
    s.options.flags[1] = kept_format("%s/state", s.dir);
    scene_endpoint(&s, "web", o);
    scene_redis(&s, "HSET usher:service:web owner acme");
    scene_redis(&s, "HSET " ROUTES " no 'path /no/* deny' x 'path /x to service:web'");
    scene_redis(&s, "SET usher:host:a.test tenant:acme");
    scene_redis(&s, "HSET usher:defaults to %s retry_after 77", origin_at(two));
    scene_redis(&s, "HSET usher:host:m.test status maintenance");
    scene_edge_start(&s);
    await_get(&s, "a.test", "/no/x", 403, NULL);
    expect_get(&s, "a.test", "/x", 200, "one");
    scene_redis(&s, "HSET " ROUTES " wrong 'path /no/* alow'");
    await_error(&s, ROUTES, "wrong", "alow");
    await(scene_metric(&s, "usher_state_complete") == 1 &&
          scene_metric(&s, "usher_state_queued") == 0);
    edge_stop(&s.edge);
    redis_kill(&s.redis);
    scene_edge_start(&s);
    expect_get(&s, "a.test", "/no/x", 403, NULL);
    expect_get(&s, "a.test", "/x", 200, "one");
    expect_get(&s, "a.test", "/", 200, "two");
    cr_assert_str_eq(({
                         struct response r = scene_get(&s, "m.test", "/");
                         response_field(&r, "retry-after");
                     }),
                     "77");
    scene_end(&s);
}

/* Any bytes, of any type and length, in a record of any family. */
SCENARIO(live_rules, no_value_hurts_anybody_else)
{
    static struct scene s;
    static const char *const keys[] = { "usher:host:a.test",   "usher:tenant:acme",
                                        "usher:routes:acme",   "usher:service:web",
                                        "usher:endpoints:web", "usher:defaults" };
    static const char *const pieces[] = {
        "path",  "/x",         "~(",        "deny",     "to",          "service:web",  "split",
        "=",     "\\\"",       "respond",   "200",      "redirect",    "https://",     "$host",
        "strip", "10.0.0.1:1", "127.0.0.1", "priority", "-2147483648", "\\x00",        "\\xff\\xfe",
        "%",     ",",          "header",    "A=~b",     "from",        "0.0.0.0/0",    "timeout",
        "1h",    "websocket",  "\\n",       "\\t",      "*",           "999999999999", "weight=1",
    };
    static char bytes[9000];
    struct origin *o = origin_start("one");
    unsigned seed = 20240917;
    long memory;

    scene_start(&s);
    scene_host(&s, "b.test", o);
    scene_endpoint(&s, "web", o);
    scene_redis(&s, "HSET usher:tenant:acme to service:web");
    scene_redis(&s, "HSET " ROUTES " no 'path /no deny'");
    scene_redis(&s, "SET usher:host:a.test tenant:acme");
    await_get(&s, "a.test", "/no", 403, NULL);
    await_get(&s, "b.test", "/", 200, "one");
    memory = process_rss_kb(&s.edge.process);
    for (unsigned n = 0; n < 1200; n++) {
        const char *key = keys[rand_r(&seed) % 6];
        char *value = kept_format("%s", "");
        unsigned words = (unsigned)rand_r(&seed) % 9;
        size_t len = (size_t)rand_r(&seed) % (n % 50 == 0 ? sizeof(bytes) : 40);

        for (unsigned i = 0; i < words; i++)
            value = kept_format("%s%s%s", value, i ? " " : "", pieces[rand_r(&seed) % 35]);
        for (size_t i = 0; i < len; i++)
            bytes[i] = (char)rand_r(&seed);
        switch (rand_r(&seed) % 7) {
        case 0:
            redis_set_bytes(&s.redis, key, bytes, len);
            break;
        case 1:
            redis_try(&s.redis, "DEL %s", key);
            redis_try(&s.redis, rand_r(&seed) % 2 ? "LPUSH %s x" : "SADD %s x", key);
            break;
        case 2:
            redis_try(&s.redis, "DEL %s", key);
            break;
        case 3:
            redis_set_bytes(&s.redis, "junk", bytes, len);
            redis_try(&s.redis,
                      "EVAL 'local v=redis.call(\"GET\",\"junk\") redis.call(\"HSET\",KEYS[1],v,v) "
                      "redis.call(\"HSET\",KEYS[1],\"x\",v)' 1 %s",
                      key);
            break;
        default:
            redis_try(&s.redis, "HSET %s '%s' '%s'", key, pieces[rand_r(&seed) % 35], value);
        }
        if (n % 100 == 0)
            expect_get(&s, "b.test", "/", 200, "one");
    }
    /* Too many fields, too large as a whole. */
    for (unsigned i = 0; i < 6; i++) {
        redis_try(&s.redis, "DEL %s", keys[i]);
        redis_try(&s.redis, "EVAL 'for i=1,21000 do redis.call(\"HSET\",KEYS[1],i,i) end' 1 %s",
                  keys[i]);
    }
    expect_get(&s, "b.test", "/", 200, "one");
    cr_expect_lt(process_rss_kb(&s.edge.process), memory + 60000 + 200000 * edge_has_sanitizer());
    /* Mended, all is as it was; nothing is said to be wrong any more. */
    redis_say(&s.redis,
              "DEL usher:host:a.test usher:tenant:acme usher:routes:acme usher:service:web"
              " usher:endpoints:web usher:defaults");
    scene_endpoint(&s, "web", o);
    scene_redis(&s, "HSET usher:tenant:acme to service:web");
    scene_redis(&s, "HSET " ROUTES " no 'path /no deny'");
    scene_redis(&s, "SET usher:host:a.test tenant:acme");
    await_get(&s, "a.test", "/no", 403, NULL);
    await_get(&s, "a.test", "/", 200, "one");
    await(strcmp(scene_redis(&s, "HLEN usher:errors"), "0") == 0);
    scene_end(&s);
}
