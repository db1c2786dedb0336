/* p_health.c -- endpoints are checked, by what their service says: who fails gets no requests until it is
 * good again; one edge alone.
 *
 * Owns:    nothing.
 * Thread:  the test's.
 * Used by: make test.
 * Not here: edges that share the checking (p_health_shared.c). */
#include <stdlib.h>

#include "harness/checked.h"
#include "harness/verb.h"

/* Checks come fast, so that tests do not wait. */
#define QUICKLY "health_interval 200ms health_fast 100ms health_timeout 500ms health_fall 2"

/* Service "web" of a.test, of `left` and `right`, which are checked. */
static void start_pair(struct scene *s, struct checked *left, struct checked *right,
                       const char *fields)
{
    checked_start(left, "left");
    checked_start(right, "right");
    scene_start(s, .flags = { "--name", "one" });
    scene_redis(s, "HSET usher:service:web " QUICKLY " %s", fields);
    scene_endpoint(s, "web", left->origin);
    scene_endpoint(s, "web", right->origin);
    scene_redis(s, "SET usher:host:a.test service:web");
    await(scene_get(s, "a.test", "/").status == 200);
    await(checked_count(left, NULL) > 0 || has(fields, "tcp"));
}

static bool is_served_by(struct scene *s, const char *name)
{
    for (unsigned i = 0; i < 8; i++)
        if (strcmp(scene_get(s, "a.test", "/").text, name) == 0)
            return true;
    return false;
}

/* What an edge says of an endpoint: the part of /explain from its address on. */
static const char *said_of(struct scene *s, const struct origin *o)
{
    const char *page = scene_page(s, "/explain?url=http://a.test/");
    const char *at = page != NULL ? strstr(page, origin_at(o)) : NULL;

    return at != NULL ? kept_text(at, strcspn(at, "\n")) : "";
}

SCENARIO(health, an_endpoint_whose_checks_fail_gets_no_requests_until_they_are_good_again)
{
    static struct scene s;
    static struct checked left, right;
    struct origin_request *check;

    start_pair(&s, &left, &right, "health_path '/healthz?deep=1' health_host check.test:81");
    await(is_served_by(&s, "left") && is_served_by(&s, "right"));
    checked_set(&left, CHECKED_SICK);
    await_get(&s, "a.test", "/", 200, "right");
    stays(!is_served_by(&s, "left"), 300);
    cr_assert(has(said_of(&s, left.origin), "out: down: status 503, expected 200-399, for "), "%s",
              said_of(&s, left.origin));
    cr_assert(has(said_of(&s, left.origin), "says one"), "%s", said_of(&s, left.origin));
    checked_set(&left, CHECKED_GOOD);
    await(is_served_by(&s, "left"));
    await_within(process_awaits_log(&s.edge.process, "endpoint_up service=web", 1000), 2000);
    cr_assert_eq(scene_logged(&s, "endpoint_down service=web endpoint="), 1);
    check = origin_request(left.origin, 0);
    while (check != NULL && strncmp(check->target, "/healthz", 8) != 0)
        check = origin_last(left.origin);
    cr_assert(has(check->head, "GET /healthz?deep=1 HTTP/1.1\r\nHost: check.test:81\r\n") &&
                  has(check->head, "\r\nUser-Agent: usher-health/") &&
                  has(check->head, "\r\nUsher-Edge: one\r\n"),
              "%s", check->head);
    scene_end(&s);
}

SCENARIO(health, a_tcp_check_wants_a_connection_and_no_more)
{
    static struct scene s;
    static struct checked left, right;

    start_pair(&s, &left, &right, "health tcp");
    checked_set(&left, CHECKED_SICK);
    await(scene_metric(&s, "usher_health_checks_total{result=\"good\"}") > 8);
    cr_assert_eq(checked_count(&left, NULL), 0);
    cr_assert_eq(scene_metric(&s, "usher_health_checks_total{result=\"failed\"}"), 0);
    origin_stop(left.origin);
    await(has(said_of(&s, left.origin), "out: down: connection refused"));
    for (unsigned i = 0; i < 16; i++)
        expect_get(&s, "a.test", "/", 200, "right");
    scene_end(&s);
}

SCENARIO(health, the_body_must_hold_what_is_said)
{
    static struct scene s;
    static struct checked left, right;

    checked_start(&left, "unused");
    start_pair(&s, &left, &right, "health_path /healthz health_body 'all fine'");
    left.body = right.body = "today all fine here";
    await(is_served_by(&s, "left") && is_served_by(&s, "right"));
    left.body = "not fine at all";
    await(has(said_of(&s, left.origin), "down: body without \"all fine\""));
    await_get(&s, "a.test", "/", 200, "right");
    left.body = "all fine";
    await(is_served_by(&s, "left"));
    scene_end(&s);
}

SCENARIO(health, a_silent_endpoint_and_one_that_hangs_up_fail_their_checks)
{
    static struct scene s;
    static struct checked left, right;

    start_pair(&s, &left, &right, "health_path /healthz health_timeout 150ms");
    checked_set(&left, CHECKED_SILENT);
    await(has(said_of(&s, left.origin), "down: no answer within 150 ms"));
    checked_set(&left, CHECKED_GOOD);
    await(!has(said_of(&s, left.origin), "down"));
    checked_set(&left, CHECKED_CUT);
    await(has(said_of(&s, left.origin), "down: closed without an answer"));
    scene_end(&s);
}

SCENARIO(health, when_too_few_are_up_all_are_taken_for_up)
{
    static struct scene s;
    static struct checked left, right;

    start_pair(&s, &left, &right, "health_path /healthz");
    checked_set(&left, CHECKED_SICK);
    await_get(&s, "a.test", "/", 200, "right");
    checked_set(&right, CHECKED_SICK);
    await(is_served_by(&s, "left") && is_served_by(&s, "right"));
    await(scene_metric(&s, "usher_health_panics") == 1);
    cr_assert(has(said_of(&s, left.origin), "but so few are up"), "%s", said_of(&s, left.origin));
    scene_redis(&s, "HSET usher:service:web panic 0");
    await_fault(&s, "a.test", "no_endpoint");
    await(scene_metric(&s, "usher_health_panics") == 0);
    checked_set(&right, CHECKED_GOOD);
    await_get(&s, "a.test", "/", 200, "right");
    scene_end(&s);
}

SCENARIO(health, its_fields_and_its_endpoints_change_while_it_runs)
{
    static struct scene s;
    static struct checked left, right, third;

    start_pair(&s, &left, &right, "health_path /healthz");
    checked_set(&left, CHECKED_SICK);
    await_get(&s, "a.test", "/", 200, "right");
    scene_redis(&s, "HSET usher:service:web health_status 200-399,503");
    await(is_served_by(&s, "left"));
    scene_redis(&s, "HDEL usher:service:web health_status");
    await_get(&s, "a.test", "/", 200, "right");
    checked_start(&third, "third");
    checked_set(&third, CHECKED_SICK);
    scene_endpoint(&s, "web", third.origin);
    await(has(said_of(&s, third.origin), "down: status 503")); /* known once it is checked */
    cr_assert(has(said_of(&s, left.origin), "down: status 503"), "%s", said_of(&s, left.origin));
    checked_set(&third, CHECKED_GOOD);
    await(is_served_by(&s, "third"));
    scene_redis(&s, "HDEL usher:endpoints:web %s", origin_at(left.origin));
    scene_live(&s);
    checked_forget(&left);
    stays(checked_count(&left, NULL) == 0, 500);
    scene_redis(&s, "HSET usher:endpoints:web %s 100", origin_at(left.origin));
    await(has(said_of(&s, left.origin), "down: status 503"));
    scene_redis(&s, "HSET usher:service:web health off");
    await(is_served_by(&s, "left"));
    checked_forget(&right);
    stays(checked_count(&right, NULL) == 0, 500);
    cr_assert_str_eq(scene_redis(&s, "EXISTS usher:health:web usher:lease:health:web"), "0");
    scene_end(&s);
}

/* Checks never say where an edge's own places are. */
SCENARIO(health, a_check_goes_nowhere_where_no_endpoint_may_be)
{
    static struct scene s;
    static struct checked left, right;

    start_pair(&s, &left, &right, "health_path /healthz");
    scene_redis(&s, "HSET usher:service:web panic 0 health_port %s",
                strrchr(s.edge.admin, ':') + 1);
    await(has(said_of(&s, left.origin), "down: its place is forbidden"));
    scene_end(&s);
}

SCENARIO(health, what_is_known_is_told_by_page_verb_metrics_and_redis)
{
    static struct scene s;
    static struct checked left, right;
    struct verb_said said;
    const char *page;

    start_pair(&s, &left, &right, "health_path /healthz");
    checked_set(&left, CHECKED_SICK);
    await_get(&s, "a.test", "/", 200, "right");
    await(scene_metric(&s, "usher_health_endpoints{service=\"web\",state=\"down\"}") == 1);
    cr_assert_eq(scene_metric(&s, "usher_health_endpoints{service=\"web\",state=\"up\"}"), 1);
    cr_assert_eq(scene_metric(&s, "usher_health_services{role=\"checks\"}"), 1);
    page = scene_page(&s, "/endpoints");
    cr_assert(has(page, "\"service\":\"web\",\"this_edge\":\"checks\""), "%s", page);
    page = scene_page(&s, "/endpoints?service=web");
    cr_assert(
        has(page, kept_format("\"endpoint\":\"%s\",\"state\":\"down\"", origin_at(left.origin))) &&
            has(page, kept_format("\"endpoint\":\"%s\",\"state\":\"up\"", origin_at(right.origin))),
        "%s", page);
    await(has(scene_redis(&s, "HGET usher:health:web %s", origin_at(left.origin)),
              "status 503, expected 200-399"));
    cr_assert(atoi(scene_redis(&s, "PTTL usher:health:web")) > 0);
    said = verb_say(&s, "endpoints web");
    cr_assert_eq(said.code, 0, "%s", said.err);
    cr_assert(has(said.out, origin_at(left.origin)) && has(said.out, "down") &&
                  has(said.out, "status 503, expected 200-399") && has(said.out, "one"),
              "%s", said.out);
    said = verb_say(&s, "endpoints web --admin %s", s.edge.admin);
    cr_assert(said.code == 0 && has(said.out, "down: status 503"), "%s%s", said.out, said.err);
    said = verb_say(&s, "explain http://a.test/");
    cr_assert(has(said.out, "out: down: status 503, expected 200-399, for ") &&
                  has(said.out, "100% of the requests"),
              "%s%s", said.out, said.err);
    said = verb_say(&s, "endpoints nothing");
    cr_assert(said.code == 1 && has(said.err, "nothing"), "%s%s", said.out, said.err);
    scene_end(&s);
}

SCENARIO(health, behind_proxy_protocol_checks_say_that_they_are_the_edges_own)
{
    static struct scene s;
    static struct checked left, right;

    start_pair(&s, &left, &right, "health_path /healthz");
    scene_redis(&s, "HSET usher:service:web send_proxy v1");
    await(origin_last(left.origin) != NULL &&
          starts(origin_last(left.origin)->head, "PROXY UNKNOWN\r\nGET /healthz"));
    scene_end(&s);
}

/* FastCGI has no question that costs an application nothing. */
SCENARIO(health, a_fastcgi_endpoint_is_connected_to_and_no_more)
{
    static struct scene s;
    static struct checked left, right;
    const char *at;

    start_pair(&s, &left, &right, "health_path /healthz");
    at = kept_format("fcgi://%s", origin_at(left.origin));
    scene_redis(&s, "HDEL usher:endpoints:web %s", origin_at(left.origin));
    scene_redis(&s, "HSET usher:endpoints:web %s root=/srv/app", at);
    await(has(scene_redis(&s, "HGET usher:health:web %s", at), "up | one up "));
    checked_forget(&left);
    stays(checked_count(&left, NULL) == 0, 300);
    origin_stop(left.origin);
    await(has(scene_page(&s, "/endpoints?service=web&as=text"),
              kept_format("%s  down: connection refused", at)));
    scene_end(&s);
}

SCENARIO(health, a_name_is_checked_where_it_is_and_asked_for_by_its_name)
{
    static struct scene s;
    static struct checked left, right;
    const char *at;

    start_pair(&s, &left, &right, "health_path /healthz");
    at = kept_format("localhost:%s", strrchr(origin_at(left.origin), ':') + 1);
    scene_redis(&s, "HDEL usher:endpoints:web %s", origin_at(left.origin));
    scene_redis(&s, "HSET usher:endpoints:web %s 100", at);
    await(has(scene_redis(&s, "HGET usher:health:web %s", at), "up | one up "));
    cr_assert_eq(scene_logged(&s, "endpoint_down"), 0);
    await(has(origin_last(left.origin)->head, kept_format("\r\nHost: %s\r\n", at)));
    scene_end(&s);
}
