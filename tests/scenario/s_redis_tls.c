/* s_redis_tls.c -- Redis behind TLS: whom the edge trusts, and who trusts it.
 *
 * Owns:    nothing.
 * Thread:  the test's.
 * Used by: make test.
 * Not here: plain connections (f_store_*.c). */
#include "harness/certificates.h"
#include "harness/sentinel.h"

#include <stdio.h>

static struct scene s;
static struct redis redis; /* the one with TLS */
static unsigned tls_port;

static const char *at(const char *name)
{
    return kept_format("%s/%s", s.dir, name);
}

static const char *tls_lines(const char *name, const char *auth)
{
    return kept_format("tls-cert-file %s\ntls-key-file %s\ntls-ca-cert-file %s\n"
                       "tls-auth-clients %s\n",
                       at(kept_format("%s.pem", name)), at(kept_format("%s.key", name)),
                       at("ca.pem"), auth);
}

/* A Redis whose certificate is for `names`; `auth`: of clients, "yes" or "no". */
static void begin(const char *names, const char *auth)
{
    scene_start(&s, .without_edge = true, .without_redis = true);
    s.options.unready = false;
    certificates_authority(s.dir);
    certificates_sign(s.dir, "server", names);
    certificates_sign(s.dir, "edge", "DNS:edge");
    cr_assert_eq(
        process_run((const char *[]){ "mkdir", at("tls"), at("other"), NULL }, NULL, NULL, NULL),
        0);
    certificates_authority(at("other"));
    tls_port = redis_free_port();
    redis_start_configured(&redis, at("tls"), 0, false,
                           kept_format("tls-port %u\n%s", tls_port, tls_lines("server", auth)));
}

static void with_flags(const char *url, const char *const flags[])
{
    s.options.redis = url;
    memset(s.options.flags, 0, sizeof(s.options.flags));
    for (unsigned i = 0; flags[i] != NULL; i++)
        s.options.flags[i] = flags[i];
}

static void end(void)
{
    scene_end(&s);
}

static const char *url_of(const char *host)
{
    return kept_format("rediss://%s:%u", host, tls_port);
}

static void expect_works(const char *url, const char *const flags[])
{
    with_flags(url, flags);
    s.options.unready = false;
    scene_edge_start(&s);
    redis_say(&redis, "SET usher:host:a.test %s", origin_at(origin_start("one")));
    await_get(&s, "a.test", "/", 200, "one");
    redis_say(&redis, "SET usher:host:a.test nonsense");
    await(has(redis_say(&redis, "HGETALL usher:errors"), "usher:host:a.test"));
    redis_say(&redis, "DEL usher:host:a.test");
    await_fault(&s, "a.test", "unknown_host");
    edge_stop(&s.edge);
}

static void expect_refusal(const char *url, const char *const flags[], const char *reason)
{
    with_flags(url, flags);
    scene_edge_start_unready(&s);
    cr_assert(process_awaits_log(&s.edge.process, " store_down ", AWAIT_MS));
    cr_assert(process_awaits_log(&s.edge.process, reason, AWAIT_MS), "expected %s, it says:\n%s",
              reason, process_log(&s.edge.process));
    cr_assert_eq(scene_ready(&s), 503);
    edge_stop(&s.edge);
}

#define FLAGS(...) ((const char *const[]){ __VA_ARGS__, NULL })

SCENARIO(redis_tls, a_certificate_for_the_address_by_a_trusted_authority_will_do)
{
    begin("DNS:redis.internal,IP:127.0.0.1", "no");
    expect_works(url_of("127.0.0.1"), FLAGS("--redis-ca", at("ca.pem")));
    expect_works(kept_format("%s?tls_name=redis.internal", url_of("127.0.0.1")),
                 FLAGS("--redis-ca", at("ca.pem")));
    expect_works(url_of("localhost"), FLAGS("--redis-verify", "off"));
    end();
}

SCENARIO(redis_tls, what_is_not_to_be_trusted_is_refused_and_said)
{
    begin("DNS:redis.internal", "no");
    expect_refusal(url_of("127.0.0.1"), FLAGS("--redis-ca", at("other/ca.pem")),
                   "TLS: its certificate is not signed by one of --redis-ca");
    expect_refusal(url_of("127.0.0.1"), FLAGS("--redis-verify", "on"), "not signed by one of");
    expect_refusal(url_of("127.0.0.1"), FLAGS("--redis-ca", at("ca.pem")),
                   "TLS: its certificate is not for 127.0.0.1");
    expect_refusal(kept_format("%s?tls_name=other.internal", url_of("127.0.0.1")),
                   FLAGS("--redis-ca", at("ca.pem")), "TLS: its certificate is for another name");
    expect_refusal(url_of("127.0.0.1"), FLAGS("--redis-ca", at("none.pem")),
                   "none.pem: No such file or directory");
    expect_refusal(kept_format("rediss://127.0.0.1:%u", redis.port),
                   FLAGS("--redis-ca", at("ca.pem")), "does that port speak TLS?");
    end();
}

SCENARIO(redis_tls, a_client_certificate_is_shown_where_it_is_asked_for)
{
    begin("IP:127.0.0.1", "yes");
    expect_refusal(url_of("127.0.0.1"), FLAGS("--redis-ca", at("ca.pem")), "client certificate");
    expect_works(url_of("127.0.0.1"), FLAGS("--redis-ca", at("ca.pem"), "--redis-cert",
                                            at("edge.pem"), "--redis-key", at("edge.key")));
    expect_refusal(url_of("127.0.0.1"),
                   FLAGS("--redis-ca", at("ca.pem"), "--redis-cert", at("edge.pem"), "--redis-key",
                         at("server.key")),
                   "--redis-key ");
    end();
}

/* The user that the last lines of schema/acl.conf describe. */
static const char *sentinel_user(void)
{
    FILE *f = fopen("schema/acl.conf", "r");
    char line[1024], *found = NULL;

    cr_assert_not_null(f, "run the tests from the root");
    while (fgets(line, sizeof(line), f) != NULL)
        if (starts(line, "#   user usher-edge"))
            found = kept_format("%s", line + 4);
    fclose(f);
    cr_assert_not_null(found);
    return found;
}

SCENARIO(redis_tls, a_sentinel_behind_it_that_has_users_of_its_own)
{
    struct redis sentinel;
    unsigned port = redis_free_port();

    begin("IP:127.0.0.1", "no");
    cr_assert_eq(process_run((const char *[]){ "mkdir", at("watch"), NULL }, NULL, NULL, NULL), 0);
    redis_start_configured(
        &sentinel, at("watch"), 0, true,
        kept_format("sentinel monitor mymaster 127.0.0.1 %u 1\ntls-port %u\n%s%s", redis.port, port,
                    tls_lines("server", "no"), sentinel_user()));
    expect_works(kept_format("sentinel://127.0.0.1:%u/mymaster?tls=sentinel&sentinel_user="
                             "usher-edge&sentinel_password=change-me",
                             port),
                 FLAGS("--redis-ca", at("ca.pem")));
    cr_assert_str_eq(redis_say(&sentinel, "ACL LOG 10"), "", "schema/acl.conf does not allow:\n%s",
                     redis_say(&sentinel, "ACL LOG 10"));
    expect_refusal(kept_format("sentinel://127.0.0.1:%u/mymaster?tls=sentinel&sentinel_user="
                               "usher-edge&sentinel_password=wrong",
                               port),
                   FLAGS("--redis-ca", at("ca.pem")), "WRONGPASS");
    end();
    redis_free(&sentinel);
}

SCENARIO(redis_tls, much_goes_through_it_and_verbs_too)
{
    char *out, *err;
    int code;

    begin("IP:127.0.0.1", "yes");
    with_flags(url_of("127.0.0.1"), FLAGS("--redis-ca", at("ca.pem"), "--redis-cert",
                                          at("edge.pem"), "--redis-key", at("edge.key")));
    s.options.unready = false;
    scene_edge_start(&s);
    for (unsigned i = 0; i < 3000; i++)
        redis_queue(&redis, "SET usher:host:h%u.test %s", i, "127.0.0.1:1");
    redis_queue(&redis, "SET usher:host:a.test %s", origin_at(origin_start("one")));
    redis_flush(&redis);
    await_get(&s, "a.test", "/", 200, "one");
    for (unsigned i = 0; i < 200; i++) {
        redis_say(&redis, "SET usher:host:a.test '127.0.0.1:1 127.0.0.1:1 127.0.0.1:1'");
        redis_say(&redis, "SET usher:host:b.test 127.0.0.1:1");
    }
    redis_say(&redis, "SET usher:host:a.test %s", origin_at(origin_start("two")));
    await_get(&s, "a.test", "/", 200, "two");
    expect_metric(&s, "usher_store_reconnects_total", 0);
    code = process_run((const char *[]){ edge_program(), "topology", "--redis", url_of("127.0.0.1"),
                                         "--redis-ca", at("ca.pem"), "--redis-cert", at("edge.pem"),
                                         "--redis-key", at("edge.key"), NULL },
                       NULL, &out, &err);
    cr_assert(code == 0 && has(out, "a primary"), "%d %s%s", code, out, err);
    code = process_run((const char *[]){ edge_program(), "topology", "--redis", url_of("127.0.0.1"),
                                         "--redis-ca", at("other/ca.pem"), NULL },
                       NULL, &out, &err);
    cr_assert(code == 1 && has(err, "not signed by one of --redis-ca"), "%d %s%s", code, out, err);
    end();
}
