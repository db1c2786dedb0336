/* test_scenario_redirect.c -- where clients are sent, and where they are not, whatever they ask for. */
#include "harness/scene.h"

#include <stdio.h>

/* A tenant acme with the host a.test at `o`, and these settings of redirect. */
static void acme(struct scene *s, const struct origin *o, const char *settings)
{
    scene_redis(s, "HSET usher:tenant:acme to %s modules 'redirect(%s)'", origin_at(o), settings);
    scene_redis(s, "SET usher:host:a.test tenant:acme");
    scene_redis(s, "SET usher:host:b.test tenant:acme");
    scene_live(s);
    await_get(s, "a.test", "/", 200, "one");
}

static void expect_sent(struct scene *s, const char *host, const char *path, int status,
                        const char *location)
{
    struct response r = scene_get(s, host, path);

    cr_assert_eq(r.status, status, "%s%s: %d %s", host, path, r.status, response_fault(&r));
    cr_assert_str_eq(response_field(&r, "location"), location, "%s%s: to %s, expected %s", host,
                     path, response_field(&r, "location"), location);
}

SCENARIO(mod_redirect, paths_are_sent_where_the_settings_say)
{
    static struct scene s;
    struct origin *o = origin_start("one");
    unsigned before;

    scene_start(&s);
    acme(&s, o,
         "from=/old to=/new from=/shop/* to=https://shop.example/all/* from=/d/* to=/docs/$1.html"
         " from=/one/* to=/home#top status=301");
    before = origin_requests(o);
    expect_sent(&s, "a.test", "/old", 301, "/new");
    expect_sent(&s, "a.test", "/shop/tea/pot", 301, "https://shop.example/all/tea/pot");
    expect_sent(&s, "a.test", "/shop", 301, "https://shop.example/all/");
    expect_sent(&s, "a.test", "/shop/", 301, "https://shop.example/all/");
    expect_sent(&s, "a.test", "/d/intro", 301, "/docs/intro.html");
    expect_sent(&s, "a.test", "/one/two/three", 301, "/home#top");
    expect_sent(&s, "a.test", "/x/../old", 301, "/new");
    cr_assert_eq(origin_requests(o), before);
    expect_get(&s, "a.test", "/old/", 200, "one");
    expect_get(&s, "a.test", "/shopping", 200, "one");
    expect_get(&s, "a.test", "/new", 200, "one");
    scene_end(&s);
}

SCENARIO(mod_redirect, each_status_there_is_and_bodies_left_unread)
{
    static const int statuses[] = { 301, 302, 303, 307, 308 };
    static struct scene s;
    struct origin *o = origin_start("one");
    struct client *c;

    scene_start(&s);
    acme(&s, o, "from=/old to=/new");
    expect_sent(&s, "a.test", "/old", 302, "/new");
    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
        scene_redis(&s, "HSET usher:tenant:acme modules 'redirect(from=/old to=/new status=%d)'",
                    statuses[i]);
        await_get(&s, "a.test", "/old", statuses[i], "");
    }
    c = scene_open(&s);
    client_send(c, "POST /old HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello"
                   "HEAD /old HTTP/1.1\r\nHost: a.test\r\n\r\n");
    expect_status(client_read(c), 308);
    expect_status(client_read_to_head(c), 308);
    expect_status(client_get(c, "a.test", "/"), 200);
    scene_end(&s);
}

SCENARIO(mod_redirect, the_query_goes_along_unless_it_is_switched_off)
{
    static struct scene s;
    struct origin *o = origin_start("one");

    scene_start(&s);
    acme(&s, o, "from=/a to=/b from=/c to=/d?x=1 from=/e to=/f#part from=/g/* to=/h?path=$1");
    expect_sent(&s, "a.test", "/a?q=1&r", 302, "/b?q=1&r");
    expect_sent(&s, "a.test", "/a?", 302, "/b");
    expect_sent(&s, "a.test", "/c?q=1", 302, "/d?x=1&q=1");
    expect_sent(&s, "a.test", "/e?q=1", 302, "/f?q=1#part");
    expect_sent(&s, "a.test", "/g/one?q=1", 302, "/h?path=one&q=1");
    scene_redis(&s, "HSET usher:tenant:acme modules 'redirect(from=/a to=/b from=/c to=/d?x=1"
                    " query=off status=303)'");
    await_get(&s, "a.test", "/a", 303, "");
    expect_sent(&s, "a.test", "/a?q=1", 303, "/b");
    expect_sent(&s, "a.test", "/c?q=1", 303, "/d?x=1");
    scene_end(&s);
}

SCENARIO(mod_redirect, no_request_chooses_the_host_it_is_sent_to)
{
    static struct scene s;
    struct origin *o = origin_start("one");

    scene_start(&s);
    acme(&s, o, "from=/out/* to=/* from=/safe/* to=https://safe.example/*");
    expect_sent(&s, "a.test", "/out//evil.example/x", 302, "/evil.example/x");
    expect_sent(&s, "a.test", "/out////evil.example", 302, "/evil.example");
    expect_sent(&s, "a.test", "/out/\\evil.example", 302, "/%5Cevil.example");
    expect_sent(&s, "a.test", "/safe/@evil.example", 302, "https://safe.example/@evil.example");
    expect_sent(&s, "a.test", "/safe//evil.example", 302, "https://safe.example//evil.example");
    scene_end(&s);
}

SCENARIO(mod_redirect, a_path_that_is_sent_to_itself_goes_on)
{
    static struct scene s;
    struct origin *o = origin_start("one");

    scene_start(&s);
    acme(&s, o, "from=/a/* to=/a/ map=moved");
    expect_sent(&s, "a.test", "/a/b", 302, "/a/");
    expect_get(&s, "a.test", "/a/", 200, "one");
    scene_redis(&s, "HSET usher:t:acme:moved /loop /loop");
    expect_get(&s, "a.test", "/loop?x", 200, "one");
    scene_end(&s);
}

SCENARIO(mod_redirect, a_map_of_thousands_in_redis)
{
    static struct scene s;
    struct origin *o = origin_start("one");

    scene_start(&s);
    acme(&s, o, "from=/first to=/settings map=moved status=301");
    for (unsigned i = 0; i < 5000; i++)
        redis_queue(&s.redis, "HSET usher:t:acme:moved /p%u /new/%u", i, i);
    redis_flush(&s.redis);
    expect_sent(&s, "a.test", "/p0", 301, "/new/0");
    expect_sent(&s, "a.test", "/p4999?q", 301, "/new/4999?q");
    expect_get(&s, "a.test", "/p5000", 200, "one");
    /* live, with statuses and hosts of their own */
    scene_redis(&s, "HSET usher:t:acme:moved /p0 '307 https://tea.example/x' /first /map"
                    " b.test/p1 /only-b");
    expect_sent(&s, "a.test", "/p0", 307, "https://tea.example/x");
    expect_sent(&s, "a.test", "/first", 301, "/settings");
    expect_sent(&s, "a.test", "/p1", 301, "/new/1");
    expect_sent(&s, "b.test", "/p1", 301, "/only-b");
    scene_redis(&s, "HDEL usher:t:acme:moved /p0");
    expect_get(&s, "a.test", "/p0", 200, "one");
    scene_end(&s);
}

SCENARIO(mod_redirect, what_the_map_says_wrongly_sends_nobody_anywhere)
{
    static const char *const wrong[] = { "//evil.example/",
                                         "ftp://x/",
                                         "new",
                                         "200 /new",
                                         "301",
                                         "301 ",
                                         "javascript:alert(1)",
                                         "https://a@evil.example/" };
    static struct scene s;
    struct origin *o = origin_start("one");

    scene_start(&s);
    acme(&s, o, "map=moved");
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        scene_redis(&s, "HSET usher:t:acme:moved /x '%s'", wrong[i]);
        expect_get(&s, "a.test", "/x", 200, "one");
    }
    await(scene_logged(&s, "is no path and no URL") == sizeof(wrong) / sizeof(wrong[0]));
    scene_redis(&s, "HSET usher:t:acme:moved /x ''");
    expect_get(&s, "a.test", "/x", 200, "one");
    scene_end(&s);
}

SCENARIO(mod_redirect, with_redis_away_requests_go_on_or_end_as_the_settings_say)
{
    static struct scene s;
    struct origin *o = origin_start("one");
    struct response r;

    scene_start(&s);
    scene_redis(&s, "HSET usher:t:acme:moved /old /new");
    acme(&s, o, "from=/here to=/there map=moved");
    expect_sent(&s, "a.test", "/old", 302, "/new");
    scene_redis(&s, "HSET usher:tenant:strict to %s modules 'redirect(map=moved away=fault)'",
                origin_at(o));
    scene_redis(&s, "SET usher:host:c.test tenant:strict");
    await_get(&s, "c.test", "/x", 200, "one");
    redis_kill(&s.redis);
    await(scene_get(&s, "c.test", "/old").status == 503);
    r = scene_get(&s, "c.test", "/old");
    cr_assert_str_eq(response_fault(&r), "module_store");
    expect_get(&s, "a.test", "/old", 200, "one");
    expect_sent(&s, "a.test", "/here", 302, "/there");
    scene_end(&s);
}

SCENARIO(mod_redirect, a_slow_redis_holds_a_request_no_longer_than_is_said)
{
    static struct scene s;
    struct origin *o = origin_start("one");

    scene_start(&s, .flags = { "--lookup-timeout", "1m" });
    scene_redis(&s, "HSET usher:t:acme:moved /old /new");
    acme(&s, o, "map=moved wait=5s");
    expect_sent(&s, "a.test", "/old", 302, "/new");
    scene_redis(&s, "HSET usher:tenant:acme modules 'redirect(map=moved wait=50ms status=303)'");
    await_get(&s, "a.test", "/old", 303, "");
    redis_stop(&s.redis);
    expect_get(&s, "a.test", "/old", 200, "one");
    cr_assert_eq(scene_fault_count(&s, "module_timeout"), 0);
    redis_continue(&s.redis);
    await_get(&s, "a.test", "/old", 303, "");
    scene_end(&s);
}

SCENARIO(mod_redirect, a_map_of_another_type_is_as_good_as_away_and_said_in_the_log)
{
    static struct scene s;

    scene_start(&s);
    scene_redis(&s, "SET usher:t:acme:moved text");
    acme(&s, origin_start("one"), "map=moved");
    expect_get(&s, "a.test", "/old", 200, "one");
    await(scene_logged(&s, "usher:t:acme:moved cannot be read: WRONGTYPE") >= 1);
    scene_end(&s);
}
