/* test_scenario_basic_auth.c -- who is let in, what the endpoint is told of them, and what holds while Redis is away. */
#include "harness/scene.h"

#include <stdio.h>
#include <stdlib.h>

#define USERS "usher:t:acme:users"
/* "secret", by htpasswd -B, mkpasswd and openssl passwd */
#define BCRYPT "$2y$05$d1lCz5DMrWO6pj42YXeG5.HDoUrs5UXG1mn9ngaZVtvGqpIIAmbE2"
#define YESCRYPT "$y$j9T$DNXZtPiqifiPyfhlGdhu90$Cm4mq4xfEIXVxoiPY0gV3uQJ9FofhVC4Lvw5SNoSBy7"
#define SHA512                                                                                      \
    "$6$JtGzucs4fpXdGKPR$KcyU/rSbB/7GX7YQongFUmdc8Zqe6HKd1kBcetIjBeKinJP4s9MgvV/wtBXZvH5tPM5B4PK4F" \
    "uWdXcNh4zn4V1"
/* "other" */
#define OTHER "$2y$05$ARNUVsSv4NvXQ05ULKP4R.xeDVuDhW3gXqqr7KGbeDOC6UZJn52W."

#define JUDGED "usher_module_basic_auth_judged_total"
#define CACHED "usher_module_basic_auth_cached_total"
#define REFUSED "usher_module_basic_auth_refused_total"

static void write_records(struct scene *s, const struct origin *o, const char *modules)
{
    scene_redis(s, "HSET " USERS " jane " BCRYPT " john " YESCRYPT " joan " SHA512);
    scene_redis(s, "HSET usher:tenant:acme to %s modules '%s'", origin_at(o), modules);
    scene_redis(s, "SET usher:host:a.test tenant:acme");
    scene_live(s);
}

/* name:password, as a client sends them. */
static const char *encode(const char *text)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *to = kept_alloc(strlen(text) * 2 + 8);
    unsigned bits = 0, held = 0;
    size_t at = 0;

    for (; *text != '\0'; text++) {
        held = held << 8 | (unsigned char)*text;
        for (bits += 8; bits >= 6; bits -= 6)
            to[at++] = letters[held >> (bits - 6) & 63];
    }
    if (bits > 0)
        to[at++] = letters[held << (6 - bits) & 63];
    while (at % 4 != 0)
        to[at++] = '=';
    return to;
}

static const char *request_of(const char *login, const char *more)
{
    return kept_format("GET / HTTP/1.1\r\nHost: a.test\r\nAuthorization: Basic %s\r\n%s"
                       "Connection: close\r\n\r\n",
                       encode(login), more);
}

static struct response login(struct scene *s, const char *said)
{
    return scene_exchange(s, request_of(said, ""));
}

#define expect_login(s, said, status) expect_status(login(s, said), status)

SCENARIO(mod_basic_auth, who_knows_the_password_is_let_in_and_nobody_else)
{
    static const char *const wrong[] = { "jane:Secret", "jane:",  "jane:secret ",  "jane:other",
                                         "john:",       "joan:x", "nobody:secret", "Jane:secret" };
    static struct scene s;
    struct origin *o = origin_start("one");
    struct response r;

    scene_start(&s);
    write_records(&s, o, "basic_auth(users=users realm=\"The \\\"Staff\\\"\")");
    r = scene_get(&s, "a.test", "/");
    expect_status(r, 401);
    cr_assert_str_eq(response_field(&r, "WWW-Authenticate"),
                     "Basic realm=\"The \\\"Staff\\\"\", charset=\"UTF-8\"");
    expect_status(scene_exchange(&s, "GET / HTTP/1.1\r\nHost: a.test\r\nAuthorization: Bearer x\r\n"
                                     "Connection: close\r\n\r\n"),
                  401);
    for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        expect_login(&s, wrong[i], 401);
    cr_assert_eq(origin_requests(o), 0);
    expect_metric(&s, JUDGED, 8); /* also for those who are unknown */
    expect_metric(&s, REFUSED, 10);
    expect_login(&s, "jane:secret", 200);
    expect_login(&s, "john:secret", 200);
    expect_login(&s, "joan:secret", 200);
    cr_assert_eq(origin_requests(o), 3);
    /* Two at once: nobody says which the endpoint would take. */
    expect_status(scene_exchange(&s, request_of("jane:secret", "Authorization: Basic eDp5\r\n")),
                  401);
    scene_end(&s);
}

SCENARIO(mod_basic_auth, the_endpoint_is_told_the_name_by_the_edge_alone)
{
    static struct scene s;
    struct origin *o = origin_start("one");
    const char *forged = "X-User: root\r\nx_user: root\r\nX_USER: root\r\nX-User2: kept\r\n"
                         "Connection: X-User\r\n";

    scene_start(&s);
    write_records(&s, o, "basic_auth(users=" USERS " user_header=X-User)");
    expect_status(scene_exchange(&s, request_of("jane:secret", forged)), 200);
    cr_assert_eq(message_field_count(origin_last(o)->head, "X-User"), 1);
    cr_assert_str_eq(message_field(origin_last(o)->head, "X-User"), "jane");
    cr_assert_eq(message_field_count(origin_last(o)->head, "x_user"), 0);
    cr_assert_str_eq(message_field(origin_last(o)->head, "X-User2"), "kept");
    cr_assert_null(message_field(origin_last(o)->head, "Authorization"));
    scene_redis(&s, "HSET usher:tenant:acme modules 'basic_auth(users=users pass_authorization)'");
    scene_live(&s);
    expect_status(scene_exchange(&s, request_of("jane:secret", "X-User: root\r\n")), 200);
    cr_assert_str_eq(message_field(origin_last(o)->head, "Authorization"),
                     kept_format("Basic %s", encode("jane:secret")));
    cr_assert_eq(message_field_count(origin_last(o)->head, "X-User"),
                 1); /* not this module's now */
    scene_end(&s);
}

SCENARIO(mod_basic_auth, a_password_is_hashed_once_and_a_changed_hash_voids_it)
{
    static struct scene s;

    scene_start(&s);
    write_records(&s, origin_start("one"), "basic_auth(users=users cache=0s)");
    for (unsigned i = 0; i < 5; i++)
        expect_login(&s, "jane:secret", 200);
    expect_metric(&s, JUDGED, 1);
    expect_metric(&s, CACHED, 4);
    expect_login(&s, "jane:wrong", 401); /* failures are not kept, nor do they undo anything */
    expect_login(&s, "jane:wrong", 401);
    expect_metric(&s, JUDGED, 3);
    expect_login(&s, "jane:secret", 200);
    expect_metric(&s, JUDGED, 3);
    scene_redis(&s, "HSET " USERS " jane " OTHER);
    expect_login(&s, "jane:secret", 401);
    expect_login(&s, "jane:other", 200);
    scene_redis(&s, "HDEL " USERS " jane");
    expect_login(&s, "jane:other", 401);
    scene_end(&s);
}

/* Who has logged in does not have to again because the tenant moves. */
SCENARIO(mod_basic_auth, a_record_that_changes_elsewhere_forgets_nobody)
{
    static struct scene s;
    struct origin *two = origin_start("two");

    scene_start(&s);
    write_records(&s, origin_start("one"), "basic_auth(users=users)");
    expect_login(&s, "jane:secret", 200);
    for (unsigned i = 0; i < 3; i++) {
        scene_redis(&s, "HSET usher:tenant:acme timeout %us to %s", 5 + i, origin_at(two));
        scene_live(&s);
        cr_assert_str_eq(login(&s, "jane:secret").text, "two");
    }
    expect_metric(&s, JUDGED, 1);
    scene_redis(&s, "HSET usher:tenant:acme modules 'basic_auth(users=users realm=x)'");
    scene_live(&s);
    expect_login(&s, "jane:secret", 200);
    expect_metric(&s, JUDGED, 2);
    scene_end(&s);
}

SCENARIO(mod_basic_auth, who_was_let_in_goes_on_without_a_question_for_a_while)
{
    static struct scene s;
    unsigned long asked;

    scene_start(&s);
    write_records(&s, origin_start("one"), "basic_auth(users=users cache=1h)");
    expect_login(&s, "jane:secret", 200);
    asked = redis_calls(&s.redis, "hget");
    cr_assert_gt(asked, 0);
    for (unsigned i = 0; i < 20; i++)
        expect_login(&s, "jane:secret", 200);
    cr_assert_eq(redis_calls(&s.redis, "hget"), asked);
    expect_login(&s, "jane:wrong", 401);
    cr_assert_eq(redis_calls(&s.redis, "hget"), asked + 1);
    expect_metric(&s, JUDGED, 2);
    scene_end(&s);
}

SCENARIO(mod_basic_auth, with_redis_away_who_was_let_in_goes_on_and_others_get_503)
{
    static struct scene s;
    struct origin *o = origin_start("one");
    struct response r;

    scene_start(&s);
    write_records(&s, o, "basic_auth(users=users cache=0s)");
    expect_login(&s, "jane:secret", 200);
    redis_kill(&s.redis);
    await(login(&s, "john:secret").status == 503);
    r = login(&s, "john:secret");
    cr_assert_str_eq(response_fault(&r), "module_store");
    expect_login(&s, "jane:secret", 200);
    r = login(&s, "jane:wrong");
    expect_status(r, 503);
    cr_assert_str_eq(response_fault(&r), "module_store");
    expect_status(scene_get(&s, "a.test", "/"), 401);
    expect_metric(&s, JUDGED, 1);
    redis_restart(&s.redis); /* empty */
    write_records(&s, o, "basic_auth(users=users cache=0s)");
    scene_redis(&s, "HSET " USERS " jane " OTHER);
    await(login(&s, "jane:other").status == 200);
    expect_login(&s, "jane:secret", 401);
    scene_end(&s);
}

SCENARIO(mod_basic_auth, a_hash_that_cannot_be_used_lets_nobody_in_and_is_said_in_the_log)
{
    static struct scene s;
    struct response r;

    scene_start(&s);
    write_records(&s, origin_start("one"), "basic_auth(users=users)");
    scene_redis(&s, "HSET " USERS " plain secret cheap $1$28772684$iEwNOgGugqO9.bIz5sk8k/ dear %s",
                "$2b$31$MKc8mxBoMMHZYCaDAPhv5uRrYx1CWx0w3aTHVfxKDVUTVWMSCdTde");
    expect_login(&s, "plain:secret", 401);
    expect_login(&s, "cheap:secret", 401);
    expect_login(&s, "dear:other", 401);
    await(scene_logged(&s, "the hash of dear: expected what crypt(3) makes") == 1);
    cr_assert_eq(scene_logged(&s, "secret"), 0);
    scene_redis(&s, "DEL " USERS);
    scene_redis(&s, "SET " USERS " text");
    r = login(&s, "jane:secret");
    expect_status(r, 500);
    cr_assert_str_eq(response_fault(&r), "module_fault");
    await(scene_logged(&s, "users: WRONGTYPE") == 1);
    scene_end(&s);
}

/* More than are hashed at once: the others wait for their turn, and each gets its own answer. */
SCENARIO(mod_basic_auth, many_who_come_at_once_each_get_their_answer)
{
    static struct scene s;
    static struct client *c[60];
    const unsigned count = sizeof(c) / sizeof(c[0]);

    scene_start(&s);
    write_records(&s, origin_start("one"), "basic_auth(users=users)");
    for (unsigned i = 0; i < count; i++) {
        c[i] = scene_open(&s);
        client_send(c[i], request_of(i % 2 ? "jane:secret" : "jane:wrong", ""));
    }
    for (unsigned i = 0; i < 10; i++) /* some do not wait for it */
        client_reset(c[i]);
    for (unsigned i = 10; i < count; i++)
        expect_status(client_read(c[i]), i % 2 ? 200 : 401);
    expect_login(&s, "joan:secret", 200);
    scene_end(&s);
}

/* They take no place for good, whether their passwords were hashed or not. */
SCENARIO(mod_basic_auth, clients_that_leave_before_they_are_answered_do_not_keep_others_out)
{
    static struct scene s;
    struct client *c;

    scene_start(&s);
    write_records(&s, origin_start("one"), "basic_auth(users=users)");
    for (unsigned i = 0; i < 40; i++) {
        c = scene_open(&s);
        client_send(c, request_of("john:wrong", "")); /* its hash takes longer than jane's */
        client_reset(c);
    }
    expect_login(&s, "jane:secret", 200);
    expect_login(&s, "john:wrong", 401);
    scene_end(&s);
}

SCENARIO(mod_basic_auth, settings_that_are_wrong_are_refused_and_the_last_good_ones_hold)
{
    static const struct {
        const char *modules, *why;
    } rows[] = {
        { "basic_auth", "users" },
        { "basic_auth(users=usher:t:other:users)", "a key of this tenant" },
        { "basic_auth(users=users user_header=\"X User\")", "a header's name" },
        { "basic_auth(users=users user_header=Host)", "not the edge's own" },
        { "basic_auth(users=users user_header=usher-fault)", "not the edge's own" },
        { "basic_auth(users=users realm=\"a\\nb\")", "without control characters" },
        { "basic_auth(users=users cache=2d)", "1h" },
        { "basic_auth(users=users pass=on)", "a setting of basic_auth" },
    };
    static struct scene s;
    char *said = NULL;

    scene_start(&s);
    write_records(&s, origin_start("one"), "basic_auth(users=users)");
    expect_login(&s, "jane:secret", 200);
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        scene_redis(&s, "HSET usher:tenant:acme modules '%s'", rows[i].modules);
        cr_assert(eventually(has(said = scene_redis(&s, "HGET usher:errors usher:tenant:acme"),
                                 rows[i].why),
                             AWAIT_MS),
                  "%s: %s", rows[i].modules, said);
        expect_status(scene_get(&s, "a.test", "/"), 401);
        expect_login(&s, "jane:secret", 200);
    }
    scene_end(&s);
}
