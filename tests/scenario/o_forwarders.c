/* o_forwarders.c -- whose a request is that somebody else has sent.
 *
 * The forwarders are 127.0.0.2 and 10.0.0.0/8; whoever comes from elsewhere speaks for himself.
 *
 * Owns:    nothing.
 * Thread:  the test's.
 * Used by: make test.
 * Not here: every form of the fields (tests/unit/http). */
#include "harness/scene.h"
#include "harness/verb.h"

#define FORWARDER "127.0.0.2"
#define CLIENT_FIELDS "X-Forwarded-For: 1.1.1.1, 203.0.113.7, 10.9.9.9\r\n"

static struct origin *begin(struct scene *s, const char *more, const char *value)
{
    struct origin *o = origin_start("one");

    scene_start(s, .workers = 1,
                .flags = { "--trusted-forwarders", FORWARDER ",10.0.0.0/8", "--access-log", "-",
                           more, value });
    origin_script(o, origin_echo, NULL);
    scene_host(s, "a.test", o);
    scene_redis(s, "HSET usher:tenant:acme to %s https redirect", origin_at(o));
    scene_redis(s, "SET usher:host:b.test tenant:acme");
    scene_live(s);
    return o;
}

static struct client *from(struct scene *s, const char *address)
{
    return client_open_from(s->edge.at, address);
}

static struct response ask(struct client *c, const char *host, const char *fields)
{
    client_sendf(c, "GET / HTTP/1.1\r\nHost: %s\r\n%s\r\n", host, fields);
    return client_read(c);
}

static void expect_line(struct origin *o, const char *line)
{
    const char *head = origin_last(o)->head;

    cr_assert(has(head, kept_format("\r\n%s\r\n", line)), "%s in %s", line, head);
}

SCENARIO(forwarders, each_request_has_a_client_of_its_own)
{
    static struct scene s;
    struct origin *o = begin(&s, NULL, NULL);
    struct client *c = from(&s, FORWARDER);

    expect_status(ask(c, "a.test", CLIENT_FIELDS), 200);
    expect_line(o, "X-Forwarded-For: 203.0.113.7");
    expect_status(ask(c, "a.test", "X-Forwarded-For: 2001:db8::7\r\n"), 200);
    expect_line(o, "X-Forwarded-For: 2001:db8::7");
    expect_status(ask(c, "a.test", ""), 200);
    expect_line(o, "X-Forwarded-For: " FORWARDER);
    expect_status(ask(c, "a.test", "Forwarded: for=\"[2001:db8::9]:1\";proto=https\r\n"), 200);
    expect_line(o, "X-Forwarded-For: 2001:db8::9");
    expect_line(o, "X-Forwarded-Proto: https");
    await(scene_out_has(&s, "\"client\":\"203.0.113.7\""));
    await(scene_out_has(&s, "\"client\":\"2001:db8::7\""));
    await(scene_out_has(&s, "\"client\":\"" FORWARDER "\""));
    scene_end(&s);
}

SCENARIO(forwarders, others_are_not_believed)
{
    static struct scene s;
    struct origin *o = begin(&s, NULL, NULL);
    struct client *c = scene_open(&s);

    expect_status(
        ask(c, "a.test", CLIENT_FIELDS "X-Forwarded-Proto: https\r\nX-Forwarded-Host: x.test\r\n"),
        200);
    expect_line(o, "X-Forwarded-For: 127.0.0.1");
    expect_line(o, "X-Forwarded-Proto: http");
    expect_line(o, "X-Forwarded-Host: a.test");
    cr_assert_not(has(origin_last(o)->head, "203.0.113.7"));
    expect_status(ask(c, "b.test", "X-Forwarded-Proto: https\r\n"), 308);
    scene_end(&s);
}

SCENARIO(forwarders, how_the_client_came_goes_on_to_the_endpoint)
{
    static struct scene s;
    struct origin *o = begin(&s, "--forwarded", "on");
    struct client *c = from(&s, FORWARDER);

    expect_status(ask(c, "a.test",
                      CLIENT_FIELDS "X-Forwarded-Proto: https\r\nX-Forwarded-Host: shop.test\r\n"),
                  200);
    expect_line(o, "X-Forwarded-Proto: https");
    expect_line(o, "X-Forwarded-Host: shop.test");
    expect_line(o, "Host: a.test");
    expect_line(o, "Forwarded: for=203.0.113.7;host=\"shop.test\";proto=https");
    expect_status(ask(c, "a.test", CLIENT_FIELDS "X-Forwarded-Host: \"; x\r\n"), 200);
    expect_line(o, "X-Forwarded-Proto: http");
    expect_line(o, "X-Forwarded-Host: a.test");
    scene_end(&s);
}

SCENARIO(forwarders, who_came_by_https_is_not_sent_there)
{
    static struct scene s;
    struct client *c;

    begin(&s, NULL, NULL);
    c = from(&s, FORWARDER);
    expect_status(ask(c, "b.test", "X-Forwarded-Proto: https\r\n"), 200);
    expect_status(ask(c, "b.test", "X-Forwarded-Proto: http\r\n"), 308);
    expect_status(ask(c, "b.test", ""), 308);
    expect_status(ask(c, "b.test", "Forwarded: for=203.0.113.7;proto=https\r\n"), 200);
    scene_end(&s);
}

SCENARIO(forwarders, rules_and_splits_go_by_the_client)
{
    static struct scene s;
    struct origin *o;
    struct client *c;
    unsigned first = 0;

    o = begin(&s, NULL, NULL);
    scene_endpoint(&s, "one", o);
    scene_endpoint(&s, "two", origin_start("two"));
    scene_redis(&s, "HSET usher:tenant:acme https off");
    scene_redis(&s, "HSET usher:routes:acme ours 'from 203.0.113.0/24 respond 200 \"ours\"'"
                    " rest 'split service:one=50 service:two=50'");
    scene_live(&s);
    c = from(&s, FORWARDER);
    cr_assert_str_eq(ask(c, "b.test", CLIENT_FIELDS).text, "ours");
    cr_assert_str_neq(ask(c, "b.test", "X-Forwarded-For: 198.51.100.1\r\n").text, "ours");
    for (unsigned i = 0; i < 64; i++) {
        const char *fields = kept_format("X-Forwarded-For: 198.51.100.%u\r\n", i);
        bool one = !!strcmp(ask(c, "b.test", fields).text, "two");

        first += one;
        cr_assert_eq(one, !!strcmp(ask(c, "b.test", fields).text, "two"), "it stays");
    }
    cr_assert(first > 8 && first < 56, "%u of 64", first);
    scene_end(&s);
}

SCENARIO(forwarders, a_hash_is_of_the_client)
{
    static struct scene s;
    struct client *c;
    unsigned two = 0;

    begin(&s, NULL, NULL);
    scene_endpoint(&s, "web", origin_start("one"));
    scene_endpoint(&s, "web", origin_start("two"));
    scene_redis(&s, "HSET usher:service:web balance hash");
    scene_redis(&s, "SET usher:host:c.test service:web");
    scene_live(&s);
    c = from(&s, FORWARDER);
    for (unsigned i = 0; i < 64; i++) {
        const char *fields = kept_format("X-Forwarded-For: 198.51.100.%u\r\n", i);
        const char *first = ask(c, "c.test", fields).text;

        two += !strcmp(first, "two");
        cr_assert_str_eq(ask(c, "c.test", fields).text, first, "it stays");
    }
    cr_assert(two > 8 && two < 56, "%u of 64", two);
    scene_end(&s);
}

SCENARIO(forwarders, a_tenants_lists_are_about_the_client)
{
    static struct scene s;
    struct client *c;

    begin(&s, NULL, NULL);
    scene_redis(&s, "HSET usher:tenant:acme https off deny 203.0.113.0/24,127.0.0.2");
    scene_live(&s);
    c = from(&s, FORWARDER);
    for (unsigned i = 0; i < 2; i++) {
        expect_status(ask(c, "b.test", "X-Forwarded-For: 198.51.100.1\r\n"), 200);
        expect_status(ask(c, "b.test", CLIENT_FIELDS), 403);
    }
    scene_end(&s);
}

SCENARIO(forwarders, a_forwarder_behind_a_proxy)
{
    static struct scene s;
    struct origin *o = begin(&s, "--proxy-protocol", "127.0.0.3");
    struct client *c = from(&s, "127.0.0.3");

    client_send(c, "PROXY TCP4 10.4.4.4 10.0.0.1 56324 443\r\n");
    expect_status(ask(c, "a.test", CLIENT_FIELDS), 200);
    expect_line(o, "X-Forwarded-For: 203.0.113.7");
    c = from(&s, "127.0.0.3");
    client_send(c, "PROXY TCP4 198.51.100.4 10.0.0.1 56324 443\r\n");
    expect_status(ask(c, "a.test", CLIENT_FIELDS), 200);
    expect_line(o, "X-Forwarded-For: 198.51.100.4");
    scene_end(&s);
}

SCENARIO(forwarders, explain_knows_them)
{
    static const char words[] = "-H 'X-Forwarded-For: 203.0.113.7' -H 'X-Forwarded-Proto: https' "
                                "-H 'X-Forwarded-Host: shop.test'";
    static struct scene s;
    struct verb_said v;

    begin(&s, NULL, NULL);
    v = verb_say(&s, "explain http://b.test/ --from " FORWARDER " --admin %s %s", s.edge.admin,
                 words);
    cr_assert(has(v.out, "  from 203.0.113.7\n"), "%s%s", v.out, v.err);
    cr_assert_not(has(v.out, "X-Forwarded-Host"), "it goes on as it came: %s", v.out);
    cr_assert_not(has(v.out, "redirect 308"), "%s", v.out);
    v = verb_say(&s, "explain http://b.test/ --from 127.0.0.9 --admin %s %s", s.edge.admin, words);
    cr_assert(has(v.out, "  from 127.0.0.9\n"), "%s%s", v.out, v.err);
    cr_assert(has(v.out, "redirect 308"), "%s", v.out);
    v = verb_say(&s, "explain http://a.test/ --trusted-forwarders 10.0.0.1 --from 10.0.0.1 %s",
                 words);
    cr_assert(has(v.out, "  from 203.0.113.7\n"), "%s%s", v.out, v.err);
    scene_end(&s);
}
