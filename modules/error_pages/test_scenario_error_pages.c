/* test_scenario_error_pages.c -- which responses get a page of the tenant's own, and what they keep. */
#include "harness/scene.h"

#include <stdio.h>

/* A tenant acme with the host a.test at `at`, and these settings of error_pages. */
static void acme(struct scene *s, const char *at, const char *settings)
{
    scene_redis(s, "HSET usher:tenant:acme to %s modules 'error_pages(%s)'", at, settings);
    scene_redis(s, "SET usher:host:a.test tenant:acme");
    scene_redis(s, "HSET usher:routes:acme no 'path /no deny' own 'path /own respond 404 \"own\"'");
    scene_live(s);
}

static struct response get_as(struct scene *s, const char *path, const char *accept)
{
    return scene_exchange(s, kept_format("GET %s HTTP/1.1\r\nHost: a.test\r\n%s%s%sConnection: "
                                         "close\r\n\r\n",
                                         path, accept ? "Accept: " : "", accept ? accept : "",
                                         accept ? "\r\n" : ""));
}

SCENARIO(mod_error_pages, a_fault_gets_the_page_that_fits_it_best)
{
    static struct scene s;
    struct response r;

    scene_start(&s);
    acme(&s, origin_refusing(), "");
    scene_redis(&s, "HSET usher:t:acme:error_pages default '<p>any'");
    await_get(&s, "a.test", "/", 502, "<p>any");
    scene_redis(&s, "HSET usher:t:acme:error_pages 5xx '<p>five'");
    expect_get(&s, "a.test", "/", 502, "<p>five");
    expect_get(&s, "a.test", "/no", 403, "<p>any");
    scene_redis(&s, "HSET usher:t:acme:error_pages 502 '<p>502'");
    expect_get(&s, "a.test", "/", 502, "<p>502");
    scene_redis(&s, "HSET usher:t:acme:error_pages connect_failed '<p>refused'");
    r = scene_get(&s, "a.test", "/");
    expect_status(r, 502);
    cr_assert_str_eq(r.text, "<p>refused");
    cr_assert_str_eq(response_field(&r, "content-type"), "text/html; charset=utf-8");
    cr_assert_str_eq(response_fault(&r), "connect_failed"); /* it is still said which it is */
    scene_redis(&s, "DEL usher:t:acme:error_pages");
    r = scene_get(&s, "a.test", "/");
    cr_assert(has(response_field(&r, "content-type"), "text/plain"), "%s", r.head);
    scene_end(&s);
}

SCENARIO(mod_error_pages, a_tenant_that_is_closed_gets_its_page_too)
{
    static struct scene s;
    struct response r;

    scene_start(&s);
    acme(&s, origin_refusing(), "");
    scene_redis(&s, "HSET usher:t:acme:error_pages maintenance '<p>back soon' suspended '<p>pay'");
    scene_redis(&s, "HSET usher:tenant:acme status maintenance");
    await_get(&s, "a.test", "/", 503, "<p>back soon");
    r = scene_get(&s, "a.test", "/");
    cr_assert_not_null(response_field(&r, "retry-after"));
    scene_redis(&s, "HSET usher:tenant:acme status suspended");
    await_get(&s, "a.test", "/", 503, "<p>pay");
    scene_end(&s);
}

SCENARIO(mod_error_pages, words_in_braces_stand_for_what_they_say_and_cannot_break_out)
{
    static struct scene s;

    scene_start(&s);
    acme(&s, origin_refusing(), "");
    scene_redis(&s, "HSET usher:t:acme:error_pages default "
                    "'{{status}} {{fault}} {{host}} {{other}} {{ {status}'");
    await_get(&s, "a.test", "/", 502, "502 connect_failed a.test {{other}} {{ {status}");
    scene_redis(&s, "HSET usher:t:acme:error_pages default '{{request_id}}'");
    cr_assert_eq(strlen(scene_get(&s, "a.test", "/").text), 32);
    scene_end(&s);
}

SCENARIO(mod_error_pages, endpoints_own_answers_are_left_alone_unless_it_is_said)
{
    static struct scene s;
    struct origin *o = origin_start("one");
    struct response r;

    scene_start(&s);
    origin_answers(o, "HTTP/1.1 404 Nope\r\nContent-Type: text/x-mine\r\nETag: \"x\"\r\n"
                      "X-Kept: yes\r\nContent-Length: 4\r\n\r\nmine");
    acme(&s, origin_at(o), "");
    scene_redis(&s, "HSET usher:t:acme:error_pages 404 '<p>ours'");
    await_get(&s, "a.test", "/", 404, "mine");
    expect_get(&s, "a.test", "/own", 404, "own");
    scene_redis(&s, "HSET usher:tenant:acme modules error_pages(responses)");
    await_get(&s, "a.test", "/", 404, "<p>ours");
    r = scene_get(&s, "a.test", "/");
    cr_assert_str_eq(response_field(&r, "x-kept"), "yes");
    cr_assert_null(response_field(&r, "etag"));
    cr_assert_str_eq(response_field(&r, "content-type"), "text/html; charset=utf-8");
    expect_get(&s, "a.test", "/own", 404, "own");
    /* What is no error, or has no page, is as it was. */
    origin_answers(o, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood");
    await_get(&s, "a.test", "/", 200, "good");
    origin_answers(o, "HTTP/1.1 500 No\r\nContent-Length: 3\r\n\r\nbad");
    await_get(&s, "a.test", "/", 500, "bad");
    origin_answers(o, "HTTP/1.1 304 Same\r\nETag: \"x\"\r\n\r\n");
    await_get(&s, "a.test", "/", 304, "");
    scene_end(&s);
}

SCENARIO(mod_error_pages, what_other_modules_answer_gets_a_page_where_it_is_said)
{
    static struct scene s;
    struct origin *o = origin_start("one");

    scene_start(&s);
    acme(&s, origin_at(o), "");
    scene_redis(&s, "HSET usher:t:acme:error_pages 503 '<p>closed' 302 never");
    scene_redis(&s, "HSET usher:tenant:acme modules 'redirect(from=/x to=/y) maintenance"
                    " error_pages'");
    await_get(&s, "a.test", "/x", 302, "");
    await(scene_get(&s, "a.test", "/").status == 503);
    cr_assert_str_neq(scene_get(&s, "a.test", "/").text, "<p>closed");
    scene_redis(&s, "HSET usher:tenant:acme modules 'redirect(from=/x to=/y) maintenance"
                    " error_pages(replies)'");
    await_get(&s, "a.test", "/", 503, "<p>closed");
    expect_get(&s, "a.test", "/x", 302, "");
    scene_end(&s);
}

SCENARIO(mod_error_pages, who_does_not_accept_html_gets_the_plain_answer)
{
    static const struct {
        const char *accept;
        bool page;
    } rows[] = { { NULL, true },
                 { "*/*", true },
                 { "text/html,application/xhtml+xml;q=0.9", true },
                 { "application/json, text/*;q=0.1", true },
                 { "TEXT/HTML", true },
                 { "application/json", false },
                 { "application/json, text/html;q=0", false },
                 { "application/json, text/html; level=1;q=0.0", false },
                 { "image/*,text/plain", false } };
    static struct scene s;

    scene_start(&s);
    acme(&s, origin_refusing(), "");
    scene_redis(&s, "HSET usher:t:acme:error_pages 502 '<p>page'");
    await_get(&s, "a.test", "/", 502, "<p>page");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        cr_expect_eq(strcmp(get_as(&s, "/", rows[i].accept).text, "<p>page") == 0, rows[i].page,
                     "Accept: %s", rows[i].accept);
    scene_end(&s);
}

SCENARIO(mod_error_pages, a_head_request_gets_the_head_and_the_connection_lives_on)
{
    static struct scene s;
    struct response r;
    struct client *c;

    scene_start(&s);
    acme(&s, origin_refusing(), "");
    scene_redis(&s, "HSET usher:t:acme:error_pages 502 '<p>page'");
    await_get(&s, "a.test", "/", 502, "<p>page");
    c = scene_open(&s);
    client_send(c, "HEAD / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    r = client_read_to_head(c);
    expect_status(r, 502);
    cr_assert_str_eq(response_field(&r, "content-length"), "7");
    cr_assert_str_eq(client_get(c, "a.test", "/").text, "<p>page");
    scene_end(&s);
}

SCENARIO(mod_error_pages, an_empty_page_is_none_and_large_ones_need_not_fit_together)
{
    static struct scene s;
    static char large[40001];

    scene_start(&s);
    memset(large, 'x', sizeof(large) - 1);
    acme(&s, origin_refusing(), "");
    scene_redis(&s, "HSET usher:t:acme:error_pages default '<p>any' 403 ''");
    await_get(&s, "a.test", "/", 502, "<p>any");
    cr_assert_str_neq(scene_get(&s, "a.test", "/no").text, "<p>any");
    scene_redis(&s, "HSET usher:t:acme:error_pages default %s 5xx %s", large, large);
    expect_get(&s, "a.test", "/", 502, large);
    /* One alone may not be longer than an answer. */
    scene_redis(&s, "HSET usher:t:acme:error_pages connect_failed %s%s", large, large);
    cr_assert(strlen(scene_get(&s, "a.test", "/").text) < 1000);
    await(scene_logged(&s, "connect_failed of error_pages cannot be read: it is longer") >= 1);
    scene_end(&s);
}

SCENARIO(mod_error_pages, with_redis_away_or_slow_the_plain_answer_comes)
{
    static struct scene s;
    struct response r;

    scene_start(&s, .flags = { "--lookup-timeout", "1m" });
    acme(&s, origin_refusing(), "wait=100ms");
    scene_redis(&s, "HSET usher:t:acme:error_pages 502 '<p>page'");
    await_get(&s, "a.test", "/", 502, "<p>page");
    redis_stop(&s.redis);
    r = scene_get(&s, "a.test", "/");
    expect_status(r, 502);
    cr_assert_str_eq(response_fault(&r), "connect_failed");
    cr_assert(r.text[0] != 0 && !has(r.text, "<p>page"), "%s", r.text);
    redis_continue(&s.redis);
    await_get(&s, "a.test", "/", 502, "<p>page");
    redis_kill(&s.redis);
    await(!has(scene_get(&s, "a.test", "/").text, "<p>page"));
    r = scene_get(&s, "a.test", "/");
    expect_status(r, 502);
    cr_assert_str_eq(response_fault(&r), "connect_failed");
    cr_assert_geq(scene_metric(&s, "usher_module_error_pages_away_total"), 2);
    cr_assert_eq(scene_fault_count(&s, "module_timeout"), 0);
    scene_end(&s);
}

SCENARIO(mod_error_pages, the_defaults_may_switch_it_on_for_every_tenant)
{
    static struct scene s;

    scene_start(&s);
    scene_redis(&s, "HSET usher:defaults modules error_pages");
    for (const char *const *t = (const char *const[]){ "one", "two", NULL }; *t != NULL; t++) {
        scene_redis(&s, "HSET usher:tenant:%s to %s", *t, origin_refusing());
        scene_redis(&s, "SET usher:host:%s.test tenant:%s", *t, *t);
        scene_redis(&s, "HSET usher:t:%s:error_pages 502 '<p>%s'", *t, *t);
    }
    await_get(&s, "one.test", "/", 502, "<p>one");
    await_get(&s, "two.test", "/", 502, "<p>two");
    scene_redis(&s, "SET usher:host:alone.test %s", origin_refusing());
    await_fault(&s, "alone.test", "connect_failed");
    scene_end(&s);
}

SCENARIO(mod_error_pages, a_crowd_before_one_page_is_few_questions)
{
    static struct scene s;
    struct client *c[100];
    unsigned long before;

    scene_start(&s, .flags = { "--lookup-timeout", "1m" });
    acme(&s, origin_refusing(), "wait=5s");
    scene_redis(&s, "HSET usher:t:acme:error_pages 403 '<p>no'");
    await_get(&s, "a.test", "/no", 403, "<p>no");
    for (unsigned i = 0; i < 100; i++)
        c[i] = scene_open(&s);
    before = redis_calls(&s.redis, "eval");
    scene_redis(&s, "CLIENT PAUSE 1000 ALL"); /* so that all of them wait at the same time */
    for (unsigned i = 0; i < 100; i++)
        client_send(c[i], "GET /no HTTP/1.1\r\nHost: a.test\r\n\r\n");
    for (unsigned i = 0; i < 20; i++)
        client_reset(c[i]);
    for (unsigned i = 20; i < 100; i++)
        cr_assert_str_eq(client_read(c[i]).text, "<p>no");
    cr_assert_leq(redis_calls(&s.redis, "eval") - before, 20);
    scene_end(&s);
}
