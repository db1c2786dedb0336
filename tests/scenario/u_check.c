/* u_check.c -- `usher check`: the keyspace, and files of commands before they are sent.
 *
 * Owns:    nothing.
 * Thread:  the test's.
 * Used by: make test.
 * Not here: each finding by itself (tests/unit/cli/test_lint.c). */
#include "harness/verb.h"

#define expect_code(said, wanted)                                                                  \
    cr_assert_eq((said).code, wanted, "exit %d, expected %d: %s%s", (said).code, wanted,           \
                 (said).out, (said).err)
#define expect_says(said, words) cr_assert(has((said).out, words), "it said: %s", (said).out)

static void write_good(struct scene *s)
{
    scene_redis(s, "HSET usher:endpoints:web 10.0.0.1:80 100");
    scene_redis(s, "HSET usher:tenant:acme to service:web");
    scene_redis(s, "SET usher:host:a.test tenant:acme");
    scene_redis(s, "SET usher:host:b.test 10.0.0.1:80");
}

SCENARIO(check, a_clean_keyspace_is_exit_0_and_an_error_exit_1)
{
    static struct scene s;
    struct verb_said said;

    scene_start(&s, .without_edge = true);
    expect_code(verb_say(&s, "check"), 0);
    write_good(&s);
    said = verb_say(&s, "check");
    expect_code(said, 0);
    expect_says(said, "4 keys checked: 0 errors, 0 warnings");
    scene_redis(&s, "HSET usher:tenant:acme statsu active");
    said = verb_say(&s, "check");
    expect_code(said, 1);
    expect_says(said, "usher:tenant:acme: field statsu");
    expect_says(said, "did you mean status?");
    expect_says(said, "1 error, 0 warnings");
    scene_end(&s);
}

SCENARIO(check, warnings_alone_are_exit_0_unless_strict)
{
    static struct scene s;

    scene_start(&s, .without_edge = true);
    write_good(&s);
    scene_redis(&s, "HSET usher:service:lonely balance random");
    expect_code(verb_say(&s, "check"), 0);
    expect_code(verb_say(&s, "check --strict"), 1);
    expect_says(verb_say(&s, "check"), "warning: usher:service:lonely");
    scene_end(&s);
}

SCENARIO(check, what_nobody_names_is_noted_and_is_no_mistake)
{
    static struct scene s;
    struct verb_said said;

    scene_start(&s, .without_edge = true);
    write_good(&s);
    said = verb_say(&s, "check --strict");
    expect_code(said, 0);
    cr_assert_not(has(said.out, "note"), "%s", said.out);
    scene_redis(&s, "HSET usher:endpoints:spare 10.0.0.2:80 100");
    scene_redis(&s, "HSET usher:endpoints:ruled 10.0.0.2:80 100");
    scene_redis(&s, "HSET usher:routes:acme one 'path /x split service:ruled=1'");
    scene_redis(&s, "HSET usher:tenant:empty to service:web");
    said = verb_say(&s, "check --strict");
    expect_code(said, 0);
    cr_assert_str_eq(said.out,
                     "note: usher:tenant:empty: has no hosts: no request meets it\n"
                     "note: usher:endpoints:spare: is a service that nobody names: no request is "
                     "sent there\n8 keys checked: 0 errors, 0 warnings, 2 notes\n");
    expect_says(verb_say(&s, "check --json"), "{\"severity\":\"note\",\"kind\":\"unnamed\"");
    scene_end(&s);
}

SCENARIO(check, without_redis_or_the_file_it_is_exit_2)
{
    static struct scene s;
    struct verb_said said;

    scene_start(&s, .without_edge = true);
    expect_code(verb_say(&s, "check %s/none.redis", s.dir), 2);
    expect_code(verb_say(&s, "check --colour"), 2);
    expect_code(verb_say(&s, "check --alone"), 2);
    redis_kill(&s.redis);
    said = verb_say(&s, "check");
    expect_code(said, 2);
    cr_assert(has(said.err, "Redis"), "%s", said.err);
    expect_code(verb_run(&s, "check", "--alone",
                         verb_file(&s, "a.redis", "SET usher:host:a.test 10.0.0.1:1\n"), NULL),
                0);
    scene_end(&s);
}

SCENARIO(check, finds_what_the_edge_refuses_in_the_edges_words)
{
    static const struct {
        const char *write, *key;
    } rows[] = {
        { "SET usher:host:x.test nonsense", "usher:host:x.test" },
        { "SET usher:host:x.test 10.0.0.5:99999", "usher:host:x.test" },
        { "SET usher:host:x.test tenant:missing", "usher:host:x.test" },
        { "SET usher:host:x.test service:missing", "usher:host:x.test" },
        { "HSET usher:host:x.test colour blue to 127.0.0.1:1", "usher:host:x.test" },
        { "LPUSH usher:host:x.test 127.0.0.1:80", "usher:host:x.test" },
        { "HSET usher:tenant:x status asleep", "usher:tenant:x" },
        { "SET usher:tenant:x y", "usher:tenant:x" },
        { "HSET usher:endpoints:x 10.0.0.1:80 heavy", "usher:endpoints:x" },
        { "HSET usher:service:x balance least", "usher:service:x" },
        { "SET usher:host:X.test 10.0.0.5:80", "usher:host:X.test" },
        { "HSET usher:defaults status asleep", "usher:defaults" },
        { "SET usher:host:x.test 169.254.169.254:80", "usher:host:x.test" },
        { "HSET usher:endpoints:x [ff02::1]:80 5", "usher:endpoints:x" },
    };
    static struct scene s;

    scene_start(&s);
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct verb_said said;
        char *edge, *got;

        scene_redis(&s, "%s", rows[i].write);
        await(scene_redis(&s, "HGET usher:errors %s", rows[i].key) != NULL);
        edge = scene_redis(&s, "HGET usher:errors %s", rows[i].key);
        said = verb_say(&s, "check");
        expect_code(said, 1);
        expect_says(said, rows[i].key);
        /* "... got "x", expected y": what was expected, whatever the edge says behind it */
        got = strstr(said.out, "got ");
        cr_assert_not_null(got, "%s", said.out);
        got[strcspn(got, "\n;")] = '\0';
        cr_assert(has(edge, got), "check says %s, the edge says %s", got, edge);
        scene_redis(&s, "DEL %s", rows[i].key);
        await(scene_redis(&s, "HGET usher:errors %s", rows[i].key) == NULL);
    }
    scene_end(&s);
}

SCENARIO(check, a_file_is_judged_on_top_of_what_stands)
{
    static struct scene s;
    struct verb_said said;

    scene_start(&s, .without_edge = true);
    write_good(&s);
    /* names what stands already */
    said = verb_run(&s, "check",
                    verb_file(&s, "good.redis", "# a\nSET usher:host:c.test tenant:acme\n"), NULL);
    expect_code(said, 0);
    expect_says(said, "1 key checked");
    /* the same on nothing */
    said = verb_run(&s, "check", "--alone", kept_format("%s/good.redis", s.dir), NULL);
    expect_code(said, 1);
    expect_says(said, "good.redis:2: error: usher:host:c.test: field tenant");
    /* the tenant goes in the same file */
    said = verb_run(
        &s, "check",
        verb_file(&s, "gone.redis",
                  "MULTI\nDEL usher:tenant:acme\nSET usher:host:c.test tenant:acme\nEXEC\n"),
        NULL);
    expect_code(said, 1);
    /* what MULTI discards is not written */
    said = verb_run(&s, "check",
                    verb_file(&s, "not.redis", "MULTI\nSET usher:host:c.test nonsense\nDISCARD\n"),
                    NULL);
    expect_code(said, 0);
    /* a field of a hash that is there */
    said = verb_run(&s, "check",
                    verb_file(&s, "field.redis", "HSET usher:tenant:acme status asleep\n"), NULL);
    expect_code(said, 1);
    expect_says(said, "field.redis:1: error: usher:tenant:acme: field status");
    cr_assert_null(scene_redis(&s, "HGET usher:tenant:acme status"), "check has written");
    scene_end(&s);
}

SCENARIO(check, a_file_that_deletes_says_who_will_miss_it)
{
    static struct scene s;
    struct verb_said said;

    scene_start(&s, .without_edge = true);
    write_good(&s);
    for (unsigned i = 0; i < 120; i++)
        redis_queue(&s.redis, "SET usher:host:h%u.test tenant:acme", i);
    redis_flush(&s.redis);
    said = verb_run(&s, "check", verb_file(&s, "rm.redis", "DEL usher:endpoints:web\n"), NULL);
    expect_code(said, 0);
    expect_says(said, "warning: usher:tenant:acme: names service web, which goes");
    expect_says(said, "1 warning");
    said = verb_run(&s, "check",
                    verb_file(&s, "rm.redis", "DEL usher:tenant:acme usher:host:a.test\n"), NULL);
    expect_code(said, 0);
    expect_says(said, "names tenant acme, which goes");
    expect_says(said, "20 more records");
    cr_assert(!has(said.out, "usher:host:a.test"), "it goes in the same file: %s", said.out);
    scene_end(&s);
}

SCENARIO(check, findings_come_as_json)
{
    static struct scene s;
    struct verb_said said;

    scene_start(&s, .without_edge = true);
    said = verb_say(&s, "check --json");
    cr_assert_str_eq(said.out,
                     "{\"findings\":[],\"checked\":0,\"errors\":0,\"warnings\":0,\"notes\":0}\n");
    scene_redis(&s, "HSET usher:tenant:acme status asleep to 10.0.0.1:1");
    said = verb_say(&s, "check --json");
    expect_code(said, 1);
    expect_says(said,
                "{\"severity\":\"error\",\"kind\":\"bad_record\",\"key\":\"usher:tenant:acme\","
                "\"field\":\"status\",\"value\":\"\\\"asleep\\\"\",\"expected\":\"active, "
                "maintenance or suspended\"}");
    scene_end(&s);
}

SCENARIO(check, a_large_keyspace_is_read_in_steps_and_a_huge_value_not_at_all)
{
    static struct scene s;
    struct verb_said said;
    char *huge = kept_alloc(1 << 20);

    scene_start(&s, .without_edge = true);
    write_good(&s);
    for (unsigned i = 0; i < 20000; i++)
        redis_queue(&s.redis, "SET usher:host:h%u.test tenant:acme", i);
    redis_flush(&s.redis);
    memset(huge, 'x', 1 << 20);
    redis_set_bytes(&s.redis, "usher:host:huge.test", huge, 1 << 20);
    said = verb_say(&s, "check");
    expect_code(said, 1);
    expect_says(said, "20005 keys checked: 1 error, 0 warnings");
    expect_says(said, "usher:host:huge.test: got \"too large\"");
    cr_assert_eq(redis_calls(&s.redis, "keys"), 0);
    scene_end(&s);
}
