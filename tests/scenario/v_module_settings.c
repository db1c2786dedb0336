/* v_module_settings.c -- what Redis says of modules: taken, or refused with the column; and what
 * `usher check` and `usher explain` know of it.
 *
 * Owns:    nothing.
 * Thread:  the test's.
 * Used by: make test.
 * Not here: files (v_module_files.c); each error by itself (tests/unit/module_host/test_chain.c). */
#include "harness/module_build.h"
#include "harness/verb.h"

#include <stdlib.h>

#define FROZEN "tests/modules/frozen_1_0/frozen.c", "tests/modules/frozen_1_0"

#define expect_code(said, wanted)                                                                  \
    cr_assert_eq((said).code, wanted, "exit %d, expected %d: %s%s", (said).code, wanted,           \
                 (said).out, (said).err)
#define expect_says(text, words)                                                                   \
    cr_assert(has(text, words), "expected %s; it said: %s", words, text)

static const char *error_of(struct scene *s, const char *key)
{
    char *said = scene_redis(s, "HGET usher:errors %s", key);

    return said != NULL ? said : "";
}

static void await_error(struct scene *s, const char *key, const char *words)
{
    cr_assert(eventually(has(error_of(s, key), words), AWAIT_MS),
              "usher:errors of %s: expected %s, is: %s", key, words, error_of(s, key));
}

static void await_no_error(struct scene *s, const char *key)
{
    cr_assert(eventually(error_of(s, key)[0] == '\0', AWAIT_MS), "%s: %s", key, error_of(s, key));
}

SCENARIO(module_settings,
         a_wrong_one_is_its_records_error_with_the_column_and_the_last_good_serves_on)
{
    static struct scene s;
    struct origin *one = origin_start("one"), *two = origin_start("two");

    scene_start(&s);
    scene_redis(&s, "HSET usher:tenant:acme to %s modules request_id", origin_at(one));
    scene_redis(&s, "SET usher:host:a.test tenant:acme");
    await_get(&s, "a.test", "/", 200, "one");
    scene_redis(&s, "HSET usher:tenant:acme to %s modules 'request_id(trust=perhaps)'",
                origin_at(two));
    await_error(
        &s, "usher:tenant:acme",
        "field modules: got \"trust=perhaps\", expected at column 12 setting trust: on or off");
    await_get(&s, "a.test", "/", 200, "one");
    scene_redis(&s, "HSET usher:tenant:acme modules 'request_id(trust=on)'");
    await_get(&s, "a.test", "/", 200, "two");
    await_no_error(&s, "usher:tenant:acme");
    scene_redis(&s, "HSET usher:tenant:acme modules nosuch");
    await_error(&s, "usher:tenant:acme", "expected at column 1 a module that this edge knows: ");
    scene_redis(&s, "HSET usher:tenant:acme modules 'request_id(header=\"X Id\")'");
    await_error(&s, "usher:tenant:acme", "at column 12 setting header: a header's name");
    scene_redis(&s, "HDEL usher:tenant:acme modules");
    await_no_error(&s, "usher:tenant:acme");
    scene_end(&s);
}

SCENARIO(module_settings, rules_hosts_and_defaults_have_them_too)
{
    static struct scene s;
    struct origin *o = origin_start("one");

    scene_start(&s);
    scene_redis(&s, "HSET usher:tenant:acme to %s", origin_at(o));
    scene_redis(&s, "HSET usher:host:a.test tenant acme modules 'request_id(header=X-A)'");
    await_get(&s, "a.test", "/", 200, "one");
    scene_redis(&s,
                "HSET usher:routes:acme r 'path /x respond 200 \"rule\" modules none priority 3'");
    await_get(&s, "a.test", "/x", 200, "rule");
    scene_redis(&s,
                "HSET usher:routes:acme r 'path /x respond 200 \"new\" modules request_id(a=1)'");
    await_error(
        &s, "usher:routes:acme",
        "field r: got \"a=1\", expected at column 46 a setting of request_id: header, trust, "
        "response");
    await_get(&s, "a.test", "/x", 200, "rule");
    scene_redis(&s, "HSET usher:defaults modules 'request_id request_id'");
    await_error(&s, "usher:defaults", "expected at column 12 each module once");
    scene_redis(&s, "HSET usher:defaults modules request_id");
    await_no_error(&s, "usher:defaults");
    scene_end(&s);
}

SCENARIO(module_settings, services_that_are_named_exist_and_are_the_tenants_to_name)
{
    static struct scene s;
    struct origin *o = origin_start("one");

    scene_start(&s, .without_edge = true);
    s.options.flags[0] = "--module";
    s.options.flags[1] = module_build(&s, "frozen", FROZEN, "");
    scene_edge_start(&s);
    scene_endpoint(&s, "web", o);
    scene_redis(
        &s, "HSET usher:tenant:acme to service:web modules 'frozen(header=A mode=lax other=auth)'");
    scene_redis(&s, "SET usher:host:a.test tenant:acme");
    await_error(&s, "usher:tenant:acme",
                "field modules: got \"auth\", expected a service that exists");
    scene_endpoint(&s, "auth", o);
    await_no_error(&s, "usher:tenant:acme");
    await_get(&s, "a.test", "/", 200, "one");
    scene_endpoint(&s, "theirs", o);
    scene_redis(&s, "HSET usher:service:theirs owner other");
    scene_redis(&s, "HSET usher:tenant:acme modules 'frozen(header=B other=theirs)'");
    await_error(&s, "usher:tenant:acme", "a service that this tenant may name: ");
    /* More services than a host's own value has places for. */
    scene_redis(&s, "HSET usher:host:b.test tenant acme to service:web modules "
                    "'frozen(header=A mode=lax other=spare)'");
    scene_endpoint(&s, "spare", o);
    scene_redis(&s, "HDEL usher:tenant:acme modules");
    await_get(&s, "b.test", "/", 200, "one");
    await_no_error(&s, "usher:host:b.test");
    scene_redis(&s, "HSET usher:defaults modules 'frozen(header=A other=web)'");
    await_error(&s, "usher:defaults", "usher:defaults has no tenant, who may name it");
    scene_redis(&s, "HSET usher:host:c.test to service:web modules 'frozen(header=A users=u)'");
    await_error(&s, "usher:host:c.test", "a host without a tenant has no tenant");
    scene_redis(&s, "HSET usher:host:c.test modules 'frozen(header=A other=web)'");
    await_get(&s, "c.test", "/", 403, "the header is missing\n");
    scene_end(&s);
}

SCENARIO(module_settings, check_knows_them)
{
    static struct scene s;
    struct verb_said said;
    const char *path;

    scene_start(&s, .without_edge = true);
    path = module_build(&s, "frozen", FROZEN, "");
    scene_redis(&s, "HSET usher:endpoints:web 10.0.0.1:80 1");
    scene_redis(&s, "HSET usher:tenant:acme to service:web modules 'request_id(nope=1)'");
    scene_redis(&s, "HSET usher:host:a.test tenant acme modules 'frozen(header=A users=list)'");
    said = verb_say(&s, "check");
    expect_code(said, 1);
    expect_says(said.out,
                "usher:tenant:acme: field modules: got \"nope=1\", expected at column 12 a "
                "setting of request_id: header, trust, response");
    expect_says(said.out,
                "usher:host:a.test: field modules: got \"frozen\", expected at column 1 a "
                "module that this edge knows: ");
    scene_redis(&s, "HSET usher:tenant:acme modules 'request_id(trust)'");
    expect_code(verb_say(&s, "check --module %s", path), 0);
    scene_redis(&s, "HSET usher:host:a.test modules 'frozen(header=A other=nosuch)'");
    said = verb_say(&s, "check --module %s", path);
    expect_code(said, 1);
    expect_says(said.out, "field modules: got \"nosuch\", expected a service that exists");
    scene_end(&s);
}

SCENARIO(module_settings, explain_lists_which_would_run_from_where_in_which_order)
{
    static struct scene s;
    struct verb_said said;

    scene_start(&s, .without_edge = true);
    s.options.flags[0] = "--module";
    s.options.flags[1] = module_build(&s, "frozen", FROZEN, "");
    scene_edge_start(&s);
    scene_redis(&s, "HSET usher:defaults modules request_id(header=X-D)");
    scene_redis(&s, "HSET usher:tenant:acme to 10.0.0.1:80 modules 'request_id(trust) "
                    "frozen(header=\"X-A\")'");
    scene_redis(&s, "SET usher:host:a.test tenant:acme");
    scene_redis(&s, "HSET usher:routes:acme r 'path /r/* to 10.0.0.1:81 modules "
                    "request_id(header=X-R) timeout 5s'");
    scene_redis(&s, "HSET usher:host:b.test tenant acme modules none");
    said = verb_say(&s, "explain --module %s http://a.test/", s.options.flags[1]);
    expect_code(said, 0);
    expect_says(said.out, "modules    request_id(trust)  (usher:tenant:acme)\n"
                          "           frozen(header=\"X-A\")  (usher:tenant:acme)\n");
    said = verb_say(&s, "explain --module %s http://a.test/r/1", s.options.flags[1]);
    expect_says(said.out, "modules    frozen(header=\"X-A\")  (usher:tenant:acme)\n"
                          "           request_id(header=X-R)  (rule r)\n");
    expect_says(said.out, "r: path /r/* to 10.0.0.1:81 timeout 5s modules request_id(header=X-R)");
    said = verb_say(&s, "explain --json --module %s http://b.test/r/1", s.options.flags[1]);
    expect_says(said.out,
                "\"modules\":[{\"name\":\"request_id\",\"says\":\"request_id(header=X-R)\","
                "\"from\":\"rule r\"}]");
    said = verb_say(&s, "explain --module %s http://b.test/", s.options.flags[1]);
    cr_assert_not(has(said.out, "modules    "), "%s", said.out);
    scene_redis(&s, "HDEL usher:tenant:acme to");
    said = verb_say(&s, "explain --module %s http://a.test/", s.options.flags[1]);
    expect_says(said.out, "no_route");
    expect_says(said.out, "remark     its modules see the request all the same");
    scene_redis(&s, "HSET usher:tenant:acme to 10.0.0.1:80");
    scene_live(&s);
    said = verb_say(&s, "explain --admin %s http://a.test/", s.edge.admin);
    expect_says(said.out, "frozen(header=\"X-A\")  (usher:tenant:acme)");
    said = verb_say(&s, "route ls acme");
    expect_says(said.out, "modules request_id(header=X-R)");
    scene_end(&s);
}

SCENARIO(module_settings, a_verb_that_writes_judges_them)
{
    static struct scene s;
    struct verb_said said;

    scene_start(&s, .without_edge = true);
    scene_redis(&s, "HSET usher:tenant:acme to 10.0.0.1:80");
    said = verb_say(&s, "route add acme r 'path /x to 10.0.0.1:80 modules nosuch'");
    expect_code(said, 1);
    expect_says(said.err, "at column 32 a module that this edge knows: ");
    expect_code(verb_say(&s, "route add acme r 'path /x to 10.0.0.1:80 modules request_id(trust)'"),
                0);
    cr_assert_str_eq(scene_redis(&s, "HGET usher:routes:acme r"),
                     "path /x to 10.0.0.1:80 modules request_id(trust)");
    scene_end(&s);
}

SCENARIO(module_settings, functions_for_validated_writes_take_them_as_far_as_they_can_tell)
{
    static struct scene s;

    scene_start(&s, .without_edge = true);
    expect_code(verb_say(&s, "schema install"), 0);
    scene_redis(&s, "FCALL usher_tenant_set 1 usher:tenant:acme to 10.0.0.1:80 modules "
                    "request_id(trust)");
    scene_redis(&s, "FCALL usher_route_set 1 usher:routes:acme r 'path /x to 10.0.0.1:80 modules "
                    "headers(set \"X-A=a (timeout) b\") request_id timeout 5s'");
    cr_expect_str_eq(scene_redis(&s, "HGET usher:tenant:acme modules"), "request_id(trust)");
    cr_expect_str_eq(scene_redis(&s, "HGET usher:routes:acme r"),
                     "path /x to 10.0.0.1:80 modules headers(set \"X-A=a (timeout) b\") request_id "
                     "timeout 5s");
    expect_code(verb_say(&s, "check"), 0);
    scene_end(&s);
}
