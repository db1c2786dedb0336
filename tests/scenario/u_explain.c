/* u_explain.c -- `usher explain` says what an edge does.
 *
 * Owns:    nothing.
 * Thread:  the test's.
 * Used by: make test.
 * Not here: what an edge does (o_tenants.c, o_routes.c).  */
#include "harness/verb.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define ORIGINS 4
#define TENANTS 6
#define HOSTS 14

/* --- a world drawn by lot --- */

static uint64_t dice_state;

static unsigned roll(unsigned sides)
{
    dice_state ^= dice_state << 13;
    dice_state ^= dice_state >> 7;
    dice_state ^= dice_state << 17;
    return (unsigned)((dice_state >> 20) % sides);
}

#define PICK(list) list[roll(sizeof(list) / sizeof((list)[0]))]

static const char *const paths[] = { "/",        "/x//../a",     "/api//..//a/b",
                                     "/a",       "/a/b",         "/a/b/c",
                                     "/api",     "/api/v1/x",    "/api/",
                                     "/x.html",  "/admin",       "/%61pi/v1",
                                     "/api//v1", "/a/../api/v2", "/A",
                                     "//api",    "/a%2Fb",       "/api/%2e%2e/admin" };
static const char *const path_conditions[] = { "path /a",        "path /a/*",     "path /api/*",
                                               "path /api/v1/*", "path /admin/*", "path ~^/a.b",
                                               "path ~html$",    "path /*",       "" };
static const char *const conditions[] = { "",
                                          "",
                                          "method GET",
                                          "method POST,PUT",
                                          "header X-A",
                                          "header X-A=1",
                                          "header X-A~^[0-9]+$",
                                          "query q",
                                          "query q=1",
                                          "cookie c=1",
                                          "from 127.0.0.0/8",
                                          "from 10.0.0.0/8" };
static const char *const modifiers[] = { "",
                                         "",
                                         "strip /api",
                                         "prepend /v9",
                                         "strip /a prepend /b",
                                         "host other.test",
                                         "set X-Set=yes",
                                         "unset X-A",
                                         "timeout 5s",
                                         "priority 5",
                                         "priority -3" };

struct world {
    struct scene *s;
    struct origin *origins[ORIGINS];
    const char *hosts[HOSTS];
};

static const char *endpoint(struct world *w)
{
    return origin_at(w->origins[roll(ORIGINS)]);
}

static const char *action(struct world *w, bool *forwards)
{
    *forwards = true;
    switch (roll(8)) {
    case 0:
        return kept_format("to %s", endpoint(w));
    case 1:
    case 2:
        return kept_format("to service:s%u", roll(4));
    case 3:
        return kept_format("split service:s0=%u service:s1=%u", 1 + roll(9), 1 + roll(9));
    case 4:
        *forwards = false;
        return "redirect 302 https://$host/new$path";
    case 5:
        *forwards = false;
        return "respond 418 \"a teapot\"";
    case 6:
        *forwards = false;
        return "deny";
    default:
        return kept_format("to service:empty");
    }
}

static void draw_rules(struct world *w, unsigned tenant)
{
    unsigned count = roll(9);

    for (unsigned i = 0; i < count; i++) {
        bool forwards;
        const char *path = PICK(path_conditions), *condition = PICK(conditions),
                   *act = action(w, &forwards);
        const char *modifier = forwards ? PICK(modifiers) : roll(3) ? "" : "priority 2";

        scene_redis(w->s, "HSET usher:routes:t%u r%u '%s %s %s %s'", tenant, i, path, condition,
                    act, modifier);
    }
}

static void draw_tenant(struct world *w, unsigned i)
{
    static const char *const statuses[] = { "active", "active",      "active",
                                            "active", "maintenance", "suspended" };

    scene_redis(w->s, "HSET usher:tenant:t%u status %s", i, PICK(statuses));
    if (roll(3))
        scene_redis(w->s, "HSET usher:tenant:t%u to %s", i,
                    roll(2) ? endpoint(w) : kept_format("service:s%u", roll(4)));
    if (roll(6) == 0)
        scene_redis(w->s, "HSET usher:tenant:t%u https redirect", i);
    if (roll(4) == 0)
        scene_redis(w->s, "HSET usher:tenant:t%u path raw", i);
    if (roll(3) == 0)
        scene_redis(w->s, "HSET usher:tenant:t%u timeout 7s", i);
    draw_rules(w, i);
}

static void draw_host(struct world *w, unsigned i)
{
    switch (roll(7)) {
    case 0:
        scene_redis(w->s, "SET usher:host:%s %s", w->hosts[i], endpoint(w));
        break;
    case 1:
        scene_redis(w->s, "SET usher:host:%s service:s%u", w->hosts[i], roll(4));
        break;
    case 2:
        scene_redis(w->s, "HSET usher:host:%s tenant t%u to %s", w->hosts[i], roll(TENANTS),
                    endpoint(w));
        break;
    case 3:
        scene_redis(w->s, "HSET usher:host:%s tenant t%u status active path normal", w->hosts[i],
                    roll(TENANTS));
        break;
    case 4:
        if (roll(2))
            scene_redis(w->s, "SET usher:host:%s nonsense", w->hosts[i]);
        break; /* or there is no such host */
    default:
        scene_redis(w->s, "SET usher:host:%s tenant:t%u", w->hosts[i], roll(TENANTS));
    }
}

static void draw_world(struct world *w)
{
    static const char *const hosts[HOSTS] = { "a.test",    "b.test",       "c.test",    "d.test",
                                              "x.d.test",  "*.d.test",     "*.test",    "e.example",
                                              "f.example", "g.example",    "h.example", "i.example",
                                              "*.example", "j.k.l.example" };

    memcpy(w->hosts, hosts, sizeof(hosts));
    for (unsigned i = 0; i < ORIGINS; i++)
        w->origins[i] = origin_start(kept_format("origin%u", i));
    for (unsigned i = 0; i < 4; i++) {
        scene_redis(w->s, "HSET usher:endpoints:s%u %s %u %s %u", i, origin_at(w->origins[i]),
                    roll(4) * 10, origin_at(w->origins[(i + 1) % ORIGINS]), roll(3) * 10);
        if (roll(2))
            scene_redis(w->s, "HSET usher:service:s%u balance %s", i,
                        roll(2) ? "random" : "round-robin");
    }
    scene_redis(w->s, "HSET usher:service:empty balance random");
    if (roll(2))
        scene_redis(w->s, "HSET usher:defaults to %s timeout 9s", endpoint(w));
    for (unsigned i = 0; i < TENANTS; i++)
        draw_tenant(w, i);
    for (unsigned i = 0; i < HOSTS; i++)
        draw_host(w, i);
}

/* --- one request, done and explained --- */

struct asked {
    const char *method, *host, *path, *query;
    const char *headers[3];
    unsigned header_count;
};

static struct asked draw_request(struct world *w)
{
    static const char *const methods[] = { "GET", "GET", "GET", "POST", "PUT", "DELETE" };
    static const char *const queries[] = { "", "", "?q", "?q=1", "?q=2&r=3" };
    static const char *const headers[] = { "X-A: 1", "X-A: one", "Cookie: c=1; d=2",
                                           "X-Forwarded-For: 9.9.9.9" };
    const char *host = w->hosts[roll(HOSTS)];
    struct asked a = { .method = PICK(methods), .path = PICK(paths), .query = PICK(queries) };

    a.host = host[0] == '*' ? kept_format("n%u%s", roll(3), host + 1) : host;
    if (roll(10) == 0)
        a.host = "nobody.invalid";
    while (a.header_count < 3 && roll(2)) {
        a.headers[a.header_count] = headers[(roll(4) + a.header_count) % 4];
        a.header_count++;
    }
    if (a.header_count > 1 && strncmp(a.headers[0], a.headers[1], 4) == 0)
        a.header_count = 1;
    if (a.header_count > 2)
        a.header_count = 2;
    return a;
}

static struct response perform(struct world *w, const struct asked *a)
{
    const char *lines = "";

    for (unsigned i = 0; i < a->header_count; i++)
        lines = kept_format("%s%s\r\n", lines, a->headers[i]);
    return scene_exchange(w->s,
                          kept_format("%s %s%s HTTP/1.1\r\nHost: %s\r\n%sConnection: close\r\n\r\n",
                                      a->method, a->path, a->query, a->host, lines));
}

/* The value of a text member; the last one of that name, for the outermost come last. NULL: none. */
static char *member(const char *json, const char *name)
{
    const char *mark = kept_format("\"%s\":\"", name), *at = NULL, *end;

    for (const char *next = json; (next = strstr(next, mark)) != NULL; next++)
        at = next + strlen(mark);
    if (at == NULL)
        return NULL;
    for (end = at; *end != '\0' && *end != '"'; end++)
        if (*end == '\\')
            end++;
    return kept_text(at, (size_t)(end - at));
}

static int number(const char *json, const char *name)
{
    const char *at = strstr(json, kept_format("\"%s\":", name));

    return at != NULL ? (int)strtol(at + strlen(name) + 3, NULL, 10) : 0;
}

/* May this origin answer, by what the explanation says? */
static bool names_endpoint(const char *json, const struct origin *o)
{
    const char *at = strstr(json, kept_format("{\"address\":\"%s\"", origin_at(o))), *out;

    if (at == NULL)
        return false;
    out = strstr(at, "\"out\"");
    return out == NULL || out > strchr(at, '}');
}

static const struct origin *origin_named(struct world *w, const char *name)
{
    for (unsigned i = 0; i < ORIGINS; i++)
        if (strcmp(name, kept_format("origin%u", i)) == 0)
            return w->origins[i];
    return NULL;
}

static const char *said_of(const struct asked *a, const char *json)
{
    return kept_format("%s http://%s%s%s with %s, %s: explained as %s", a->method, a->host, a->path,
                       a->query, a->header_count > 0 ? a->headers[0] : "no headers",
                       a->header_count > 1 ? a->headers[1] : "-", json);
}

static void compare_forwarded(struct world *w, const struct asked *a, struct response *r,
                              const char *json)
{
    const struct origin *o = origin_named(w, r->text);
    struct origin_request *got;
    const char *sent = member(json, "sent");

    cr_assert_not_null(o, "%d \"%s\": %s", r->status, r->text, said_of(a, json));
    cr_assert(names_endpoint(json, o), "%s answered: %s", origin_at(o), said_of(a, json));
    got = origin_last((struct origin *)(uintptr_t)o);
    cr_assert(sent != NULL &&
                  strcmp(sent, kept_format("%s %s HTTP/1.1", got->method, got->target)) == 0,
              "%s %s was sent: %s", got->method, got->target, said_of(a, json));
    cr_assert_eq(has(json, "\"X-Set: yes\""), has(got->head, "X-Set: yes\r\n"), "%s",
                 said_of(a, json));
    cr_assert_eq(has(json, "\"Host: other.test\""), has(got->head, "Host: other.test\r\n"), "%s",
                 said_of(a, json));
    cr_assert(!has(json, "\"X-A: 1\"") || !has(got->head, "X-A: 1\r\n"), "%s", said_of(a, json));
}

static void compare(struct world *w, const struct asked *a, struct response *r, const char *json)
{
    const char *fault = member(json, "fault");
    int status = number(json, "status");

    cr_assert_str_eq(response_fault(r), fault != NULL ? fault : "", "%d: %s", r->status,
                     said_of(a, json));
    if (status == 0) {
        compare_forwarded(w, a, r, json);
        return;
    }
    cr_assert_eq(r->status, status, "came %d: %s", r->status, said_of(a, json));
    if (status == 302 || status == 308)
        cr_assert_str_eq(response_field(r, "Location"), member(json, "says"), "%s",
                         said_of(a, json));
}

static const char *encoded(const char *text)
{
    char *to = kept_alloc(3 * strlen(text) + 1);

    for (size_t n = 0; *text != '\0'; text++, n = strlen(to))
        snprintf(to + n, 4, strchr("/:.=&?%+ ;~#", *text) != NULL ? "%%%02X" : "%c",
                 (unsigned char)*text);
    return to;
}

static const char *explained_by_edge(struct world *w, const struct asked *a)
{
    const char *url = encoded(kept_format("http://%s%s%s", a->host, a->path, a->query));
    const char *page = kept_format("/explain?as=json&method=%s&url=%s", a->method, url);
    struct response r = { .status = 0 };

    for (unsigned i = 0; i < a->header_count; i++)
        page = kept_format("%s&header=%s", page, encoded(a->headers[i]));
    /* 202: it asks Redis for a host that it has not seen */
    await((r = client_get_once(w->s->edge.admin, "admin", page)).status == 200);
    return r.text;
}

static const char *explained_from_redis(struct world *w, const struct asked *a)
{
    const char *url = kept_format("http://%s%s%s", a->host, a->path, a->query);
    struct verb_said said =
        a->header_count == 0 ? verb_run(w->s, "explain", "--json", "-X", a->method, url, NULL)
        : a->header_count == 1
            ? verb_run(w->s, "explain", "--json", "-X", a->method, "-H", a->headers[0], url, NULL)
            : verb_run(w->s, "explain", "--json", "-X", a->method, "-H", a->headers[0], "-H",
                       a->headers[1], url, NULL);

    cr_assert_eq(said.code, 0, "%s", said.err);
    return said.out;
}

/* Each world is drawn while no edge runs: then a record that is wrong has no good version before. */
static void ask_a_world(struct scene *s, unsigned requests, unsigned from_redis)
{
    struct world w = { .s = s };

    scene_redis(s, "FLUSHALL");
    draw_world(&w);
    scene_edge_start(s);
    for (unsigned i = 0; i < requests; i++) {
        struct asked a = draw_request(&w);
        struct response r = perform(&w, &a);

        cr_assert_gt(r.status, 0, "%s", r.why);
        compare(&w, &a, &r, explained_by_edge(&w, &a));
        if (i < from_redis)
            compare(&w, &a, &r, explained_from_redis(&w, &a));
    }
    edge_stop(&s->edge);
    origin_stop_all();
}

SCENARIO(explain, agrees_with_the_edge_on_hundreds_of_requests_over_random_records)
{
    static struct scene s;
    uint64_t seed = (uint64_t)time(NULL) * 2654435761u + (uint64_t)getpid();

    dice_state = seed | 1;
    fprintf(stderr, "the world is drawn from %llu\n", (unsigned long long)dice_state);
    scene_start(&s, .without_edge = true);
    for (unsigned i = 0; i < 5; i++)
        ask_a_world(&s, 100, 20);
    scene_end(&s);
}

SCENARIO(explain, says_why_for_people)
{
    static struct scene s;
    struct verb_said said;

    scene_start(&s, .without_edge = true);
    scene_redis(&s, "HSET usher:endpoints:web 10.0.0.1:80 30 10.0.0.2:80 10 10.0.0.3:80 0");
    scene_redis(&s, "HSET usher:tenant:acme to service:web");
    scene_redis(&s, "HSET usher:routes:acme admin 'path /admin/* deny' api "
                    "'path /api/* to service:web strip /api'");
    scene_redis(&s, "HSET usher:defaults timeout 9s");
    scene_redis(&s, "SET usher:host:*.shop.example tenant:acme");
    said = verb_say(
        &s, "explain http://a.shop.example:8080/x/../api//v1?q -H 'X-Forwarded-For: 1.1.1.1'");
    cr_assert_eq(said.code, 0, "%s", said.err);
    for (const char *const *part =
             (const char *const[]){
                 "usher:host:a.shop.example  -", "usher:host:*.shop.example  found",
                 "x admin: path /admin/* deny", "is not below /admin",
                 "> api: path /api/* to service:web strip /api",
                 "10.0.0.1:80  weight 30, 75% of the requests",
                 "10.0.0.3:80  weight 0, out: weight 0", "timeout 9s  (usher:defaults)",
                 "GET //v1?q HTTP/1.1", "- X-Forwarded-For: 1.1.1.1",
                 "+ X-Forwarded-For: 127.0.0.1", "answer     the endpoint's", NULL };
         *part != NULL; part++)
        cr_assert(has(said.out, *part), "it does not say \"%s\":\n%s", *part, said.out);
    said = verb_say(&s, "explain nobody.test/");
    cr_assert(has(said.out, "404 unknown_host"), "%s", said.out);
    said = verb_say(&s, "explain http://a.shop.example/admin/x");
    cr_assert(has(said.out, "403 denied"), "%s", said.out);
    scene_end(&s);
}

SCENARIO(explain, a_running_edge_tells_of_the_version_in_force)
{
    static struct scene s;
    struct verb_said said;

    scene_start(&s);
    scene_redis(&s, "HSET usher:tenant:acme to 10.0.0.1:80");
    scene_redis(&s, "SET usher:host:a.test tenant:acme");
    said = verb_say(&s, "explain http://a.test/ --admin %s", s.edge.admin);
    cr_assert_eq(said.code, 0, "%s", said.err);
    cr_assert(has(said.out, "10.0.0.1:80"), "%s", said.out);
    scene_redis(&s, "HSET usher:tenant:acme status asleep");
    await(has((said = verb_say(&s, "explain http://a.test/ --admin %s", s.edge.admin)).out,
              "the version before is in force"));
    cr_assert(has(said.out, "got \"asleep\"") && has(said.out, "answer     the endpoint's"), "%s",
              said.out);
    cr_assert(has(verb_say(&s, "explain http://a.test/").out, "503 bad_record"), "from Redis");
    scene_end(&s);
}

SCENARIO(explain, the_copy_on_disk_tells_without_redis_and_without_an_edge)
{
    static struct scene s;
    struct verb_said said;
    const char *dir;

    scene_start(&s, .without_edge = true);
    dir = kept_format("%s/state", s.dir);
    cr_assert_eq(mkdir(dir, 0700), 0);
    cr_assert_eq(verb_say(&s, "explain http://a.test/ --state-dir %s", dir).code, 1);
    scene_redis(&s, "HSET usher:tenant:acme to 10.0.0.1:80");
    scene_redis(&s, "HSET usher:routes:acme no 'path /no/* deny'");
    scene_redis(&s, "SET usher:host:a.test tenant:acme");
    s.options.flags[0] = "--state-dir";
    s.options.flags[1] = dir;
    scene_edge_start(&s);
    await(has(verb_say(&s, "explain http://a.test/no/x --state-dir %s", dir).out, "403 denied"));
    edge_stop(&s.edge);
    redis_kill(&s.redis);
    said = verb_say(&s, "explain http://a.test/yes --state-dir %s", dir);
    cr_assert_eq(said.code, 0, "%s", said.err);
    cr_assert(has(said.out, "10.0.0.1:80  weight 1, 100% of the requests"), "%s", said.out);
    cr_assert(has(said.out, "the copy on disk"), "%s", said.out);
    cr_assert(
        has(verb_say(&s, "explain http://b.test/ --state-dir %s", dir).out, "404 unknown_host"));
    scene_end(&s);
}

SCENARIO(explain, wrong_arguments_are_exit_2_and_no_redis_exit_1)
{
    static struct scene s;

    scene_start(&s, .without_edge = true);
    cr_assert_eq(verb_say(&s, "explain").code, 2);
    cr_assert_eq(verb_say(&s, "explain http://a.test/ -H nocolon").code, 2);
    cr_assert_eq(verb_say(&s, "explain http://a.test/ --from nowhere").code, 2);
    cr_assert_eq(verb_say(&s, "explain http://a.test/ --admin 127.0.0.1:1").code, 1);
    redis_kill(&s.redis);
    cr_assert_eq(verb_say(&s, "explain http://a.test/").code, 1);
    scene_end(&s);
}
