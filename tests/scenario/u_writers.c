/* u_writers.c -- verbs that write: rules, tenants, histories and the way back.
 *
 * Owns:    nothing.
 * Thread:  the test's.
 * Used by: make test.
 * Not here: what edges record by themselves (o_history.c); functions in Redis (u_functions.c).  */
#include "harness/verb.h"

#include <stdlib.h>

#define expect_code(said, wanted)                                                                  \
    cr_assert_eq((said).code, wanted, "exit %d, expected %d: %s%s", (said).code, wanted,           \
                 (said).out, (said).err)

static void write_acme(struct scene *s)
{
    scene_redis(s, "HSET usher:endpoints:web 127.0.0.1:1 100");
    scene_redis(s, "HSET usher:tenant:acme to service:web");
    scene_redis(s, "SET usher:host:a.test tenant:acme");
}

/* Entries of a history that say this key. */
static unsigned entries(struct scene *s, const char *tenant, const char *key)
{
    char *all = scene_redis(s, "XRANGE usher:history:%s - +", tenant);
    unsigned count = 0;

    for (const char *at = all; at != NULL && (at = strstr(at, key)) != NULL; at += strlen(key))
        count++;
    return count;
}

static char *last_entry(struct scene *s, const char *tenant)
{
    return scene_redis(s, "XREVRANGE usher:history:%s + - COUNT 1", tenant);
}

static char *rule(struct scene *s, const char *name)
{
    return scene_redis(s, "HGET usher:routes:acme %s", name);
}

SCENARIO(verbs, a_rule_is_added_listed_in_order_and_taken_away)
{
    static struct scene s;
    struct verb_said said;

    scene_start(&s, .without_edge = true);
    write_acme(&s);
    said = verb_say(&s, "route add acme wide 'path /* to service:web'");
    expect_code(said, 0);
    cr_assert(has(said.out, "HSET usher:routes:acme wide \"path /* to service:web\""), "%s",
              said.out);
    expect_code(verb_say(&s, "route add acme exact 'path /a deny'"), 0);
    said = verb_say(&s, "route ls acme");
    expect_code(said, 0);
    cr_assert(strstr(said.out, "exact") < strstr(said.out, "wide"), "%s", said.out);
    said = verb_say(&s, "route ls acme --json");
    cr_assert(has(said.out, "{\"name\":\"exact\",\"rule\":\"path /a deny\"}"), "%s", said.out);
    said = verb_say(&s, "route rm acme wide");
    expect_code(said, 0);
    cr_assert(has(said.out, "it was: path /* to service:web"), "%s", said.out);
    cr_assert_null(rule(&s, "wide"));
    expect_code(verb_say(&s, "route rm acme wide"), 1);
    scene_end(&s);
}

SCENARIO(verbs, what_an_edge_would_refuse_is_not_written)
{
    static const char *const rules[] = {
        "pth /a deny",     "path /a",      "deny deny",
        "to service:none", "path a deny",  "",
        "redirect 200 /x", "path ~[ deny", "to 10.0.0.1:99999",
    };
    static struct scene s;

    scene_start(&s, .without_edge = true);
    write_acme(&s);
    scene_redis(&s, "HSET usher:routes:acme good 'path /a deny'");
    for (unsigned i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        struct verb_said said = verb_run(&s, "route", "add", "acme", "bad", rules[i], NULL);

        expect_code(said, 1);
        cr_assert(has(said.err, "usher:routes:acme: field bad: "), "%s: %s", rules[i], said.err);
        cr_assert_null(rule(&s, "bad"));
    }
    expect_code(verb_say(&s, "route add acme Bad_Name 'deny'"), 1);
    expect_code(verb_say(&s, "route add nobody x 'deny'"), 1);
    expect_code(verb_say(&s, "route add ac:me x 'deny'"), 2);
    expect_code(verb_say(&s, "route add acme dry 'path /b deny' --dry-run"), 0);
    cr_assert_null(rule(&s, "dry"));
    cr_assert_eq(entries(&s, "acme", "usher:routes:acme"), 0);
    scene_end(&s);
}

SCENARIO(verbs, a_write_is_in_the_history_once_also_when_edges_see_it)
{
    static struct scene s;
    struct verb_said said;

    scene_start(&s);
    write_acme(&s);
    await_get(&s, "a.test", "/nowhere", 502, NULL); /* the edge holds the tenant */
    expect_code(verb_say(&s, "route add acme teapot 'path /tea respond 418'"), 0);
    await_get(&s, "a.test", "/tea", 418, NULL);
    expect_code(verb_say(&s, "route add acme teapot 'path /tea respond 420'"), 0);
    await_get(&s, "a.test", "/tea", 420, NULL);
    /* by hand, so that the edge has something of its own to record behind them */
    scene_redis(&s, "HSET usher:tenant:acme status active");
    await(has(last_entry(&s, "acme"), "status active"));
    cr_assert_eq(entries(&s, "acme", "usher:routes:acme"), 2, "%s",
                 scene_redis(&s, "XRANGE usher:history:acme - +"));
    said = verb_say(&s, "history acme");
    expect_code(said, 0);
    cr_assert(has(said.out, "~ teapot \"path /tea respond 418\" -> \"path /tea respond 420\""),
              "%s", said.out);
    cr_assert(has(said.out, "by usher route add"), "%s", said.out);
    scene_end(&s);
}

SCENARIO(verbs, a_rollback_restores_and_can_itself_be_undone)
{
    static struct scene s;
    struct verb_said said;
    char *id;

    scene_start(&s, .without_edge = true);
    write_acme(&s);
    expect_code(verb_say(&s, "rollback acme"), 1); /* nothing to undo */
    expect_code(verb_say(&s, "route add acme one 'path /one deny'"), 0);
    expect_code(verb_say(&s, "route add acme two 'path /two deny'"), 0);
    said = verb_say(&s, "rollback acme --dry-run");
    expect_code(said, 0);
    cr_assert(has(said.out, "would be written") && rule(&s, "two") != NULL, "%s", said.out);
    expect_code(verb_say(&s, "rollback acme"), 0);
    cr_assert_null(rule(&s, "two"));
    cr_assert_str_eq(rule(&s, "one"), "path /one deny");
    expect_code(verb_say(&s, "rollback acme"), 0); /* the undoing undone */
    cr_assert_str_eq(rule(&s, "two"), "path /two deny");
    cr_assert_eq(entries(&s, "acme", "usher:routes:acme"), 4);
    /* an older one: the record has changed since */
    id = scene_redis(&s, "XRANGE usher:history:acme - + COUNT 1");
    id = kept_text(id, strcspn(id, "\n"));
    said = verb_say(&s, "rollback acme %s", id);
    expect_code(said, 1);
    cr_assert(has(said.err, "has changed since"), "%s", said.err);
    expect_code(verb_say(&s, "rollback acme %s --force", id), 0);
    cr_assert_null(scene_redis(&s, "HGET usher:routes:acme one"));
    cr_assert_str_eq(scene_redis(&s, "EXISTS usher:routes:acme"), "0");
    expect_code(verb_say(&s, "rollback acme 1-1"), 1);
    scene_end(&s);
}

SCENARIO(verbs, a_change_by_plain_redis_cli_is_undone)
{
    static struct scene s;
    struct verb_said said;

    scene_start(&s);
    scene_redis(&s, "SET usher:host:plain.test 127.0.0.1:1");
    scene_live(&s);
    expect_status(scene_get(&s, "plain.test", "/"), 502);
    scene_redis(&s, "SET usher:host:plain.test '127.0.0.1:2 127.0.0.1:3'");
    await(has(last_entry(&s, "-"), "127.0.0.1:3"));
    said = verb_say(&s, "rollback -");
    expect_code(said, 0);
    cr_assert_str_eq(scene_redis(&s, "GET usher:host:plain.test"), "127.0.0.1:1");
    scene_redis(&s, "DEL usher:host:plain.test");
    await(has(last_entry(&s, "-"), "after_type\nnone"));
    expect_code(verb_say(&s, "rollback -"), 0);
    cr_assert_str_eq(scene_redis(&s, "GET usher:host:plain.test"), "127.0.0.1:1");
    scene_end(&s);
}

SCENARIO(verbs, values_of_any_bytes_come_back)
{
    static struct scene s;
    static const char page[] = "<p class=\"x\">\xc3\xa4 'quoted' \\ \x01\n\t</p>";
    char *now;

    scene_start(&s, .without_edge = true);
    write_acme(&s);
    redis_set_bytes(&s.redis, "scratch", page, sizeof(page) - 1);
    scene_redis(&s, "EVAL 'redis.call([[HSET]],KEYS[1],[[page]],redis.call([[GET]],KEYS[2])) "
                    "return redis.call([[HSET]],KEYS[1],[[to]],[[service:web]])' 2 "
                    "usher:tenant:acme scratch");
    expect_code(verb_say(&s, "tenant rm acme --yes"), 0);
    cr_assert_str_eq(scene_redis(&s, "EXISTS usher:tenant:acme"), "0");
    expect_code(verb_say(&s, "rollback acme"), 0);
    now = scene_redis(&s, "HGET usher:tenant:acme page");
    cr_assert(now != NULL && strcmp(now, page) == 0, "%s", now);
    scene_end(&s);
}

SCENARIO(verbs, a_tenant_is_shown_whole_and_goes_only_when_told_twice)
{
    static struct scene s;
    struct verb_said said;

    scene_start(&s, .without_edge = true);
    write_acme(&s);
    scene_redis(&s, "HSET usher:routes:acme api 'path /api/* to service:web'");
    scene_redis(&s, "HSET usher:service:web owner acme");
    scene_redis(&s, "HSET usher:host:b.test tenant acme status suspended");
    scene_redis(&s, "SET usher:host:other.test 10.0.0.1:80");
    scene_redis(&s, "HSET usher:defaults timeout 9s");
    said = verb_say(&s, "tenant show acme");
    expect_code(said, 0);
    for (const char *const *part =
             (const char *const[]){ "service:web", "9s  (usher:defaults)",
                                    "api  path /api/* to service:web", "a.test", "b.test", NULL };
         *part != NULL; part++)
        cr_assert(has(said.out, *part), "it does not say \"%s\":\n%s", *part, said.out);
    cr_assert(!has(said.out, "other.test"));
    said = verb_say(&s, "tenant rm acme");
    expect_code(said, 1);
    cr_assert(has(said.err, "2 hosts name this tenant") && has(said.err, "--yes"), "%s", said.err);
    cr_assert_str_eq(scene_redis(&s, "EXISTS usher:tenant:acme usher:routes:acme"), "2");
    expect_code(verb_say(&s, "tenant rm acme --yes"), 0);
    cr_assert_str_eq(scene_redis(&s, "EXISTS usher:tenant:acme usher:routes:acme"), "0");
    expect_code(verb_say(&s, "tenant rm acme --yes"), 1);
    expect_code(verb_say(&s, "tenant show acme"), 1);
    scene_end(&s);
}
