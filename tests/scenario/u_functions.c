/* u_functions.c -- the Redis functions: what they take edges take, what they refuse edges refuse.
 *
 * Owns:    nothing.
 * Thread:  the test's.
 * Used by: make test.
 * Not here: the tables inside (tests/unit/routing/test_functions_lua.c).  */
#include "harness/verb.h"

#include <stdlib.h>

#define expect_code(said, wanted)                                                                  \
    cr_assert_eq((said).code, wanted, "exit %d, expected %d: %s%s", (said).code, wanted,           \
                 (said).out, (said).err)

/* False where Redis is older than 7 and has none. */
static bool has_functions(struct scene *s)
{
    return !starts(redis_try(&s->redis, "FUNCTION LIST"), "-ERR unknown command");
}

struct write {
    const char *function, *key;
    const char *plain; /* the command that writes the same without asking anybody */
    const char *words;
};

#define HOST(words) { "usher_host_set", "usher:host:x.test", "SET", words }
#define HOST_FIELDS(words) { "usher_host_set", "usher:host:x.test", "HSET", words }
#define TENANT(words) { "usher_tenant_set", "usher:tenant:acme", "HSET", words }
#define RULE(words) { "usher_route_set", "usher:routes:acme", "HSET", "r '" words "'" }
#define ENDPOINT(words) { "usher_endpoint_set", "usher:endpoints:new", "HSET", words }
#define SERVICE(words) { "usher_service_set", "usher:service:new", "HSET", words }

static const struct write writes[] = {
    /* hosts */
    HOST("10.0.0.1:80"),
    HOST("'10.0.0.1:80  [2001:db8::1]:80 '"),
    HOST("service:web"),
    HOST("tenant:acme"),
    HOST("tenant:none"),
    HOST("service:none"),
    HOST("service:owned"),
    HOST("nonsense"),
    HOST("''"),
    HOST("10.0.0.1"),
    HOST("10.0.0.1:0"),
    HOST("10.0.0.1:65536"),
    HOST("10.0.0.01:80"),
    HOST("300.0.0.1:80"),
    HOST("[::1:80"),
    HOST("[1:2:3:4:5:6:7:8]:80"),
    HOST("[1:2:3:4:5:6:7]:80"),
    HOST("[1::2::3]:80"),
    HOST("[::ffff:10.0.0.1]:80"),
    HOST("[::10.0.0]:80"),
    HOST("[1:2:3:4:5:6:7:8:9]:80"),
    HOST("[12345::]:80"),
    HOST("'10.0.0.1:80 10.0.0.1:80'"),
    HOST("'fcgi://10.0.0.1:9000 root=/srv 10.0.0.1:9000 app.internal:80'"),
    HOST("'fcgi://10.0.0.1:9000 root=/srv fcgi://10.0.0.1:9000 root=/b'"),
    HOST("fcgi://10.0.0.1:9000"),
    HOST("'root=/srv fcgi://10.0.0.1:9000'"),
    HOST("'app.internal:80 app.internal:80'"),
    HOST("unix:/run/app.sock"),
    HOST("app.internal:80"),
    HOST("servce:web"),
    HOST("tenant:Acme"),
    HOST("tenant:"),
    HOST("service:"),
    { "usher_host_set", "usher:host:*.x.test", "SET", "10.0.0.1:80" },
    { "usher_host_set", "usher:host:*", "SET", "10.0.0.1:80" },
    { "usher_host_set", "usher:host:[2001:db8::1]", "SET", "10.0.0.1:80" },
    { "usher_host_set", "usher:host:X.test", "SET", "10.0.0.1:80" },
    { "usher_host_set", "usher:host:x.test.", "SET", "10.0.0.1:80" },
    { "usher_host_set", "usher:host:x.test:80", "SET", "10.0.0.1:80" },
    { "usher_host_set", "usher:host:x..test", "SET", "10.0.0.1:80" },
    { "usher_host_set", "usher:host:x.*.test", "SET", "10.0.0.1:80" },
    { "usher_host_set", "usher:host:[x]", "SET", "10.0.0.1:80" },
    HOST_FIELDS("tenant acme"),
    HOST_FIELDS("tenant acme to service:owned"),
    HOST_FIELDS("to service:owned"),
    HOST_FIELDS("tenant other to service:owned"),
    HOST_FIELDS("tenant acme status asleep"),
    HOST_FIELDS("colour red to 10.0.0.1:80"),
    /* tenants */
    TENANT("status maintenance retry_after 120 page '<p>back soon</p>'"),
    TENANT("status or"),
    TENANT("status Active"),
    TENANT("retry_after 0"),
    TENANT("retry_after 86401"),
    TENANT("retry_after 1.5"),
    TENANT("https redirect"),
    TENANT("https on"),
    TENANT("path raw"),
    TENANT("path cooked"),
    TENANT("timeout 500ms"),
    TENANT("timeout 24h"),
    TENANT("timeout 25h"),
    TENANT("timeout 0s"),
    TENANT("timeout 5"),
    TENANT("timeout 5d"),
    TENANT("max_conns 1 max_requests 1000000 rps off burst 7 rps_of cluster"),
    TENANT("max_conns 0"),
    TENANT("max_requests 1000001"),
    TENANT("rps 10/s"),
    TENANT("burst off"),
    TENANT("rps_of both"),
    TENANT("max_body 64k bandwidth 1g"),
    TENANT("max_body off bandwidth 512"),
    TENANT("max_body 0"),
    TENANT("max_body 1t"),
    TENANT("bandwidth k"),
    TENANT("allow '10.0.0.0/8, 2001:db8::/32' deny 192.0.2.1"),
    TENANT("allow off"),
    TENANT("allow ' , '"),
    TENANT("deny 10.0.0.0/33"),
    TENANT("deny '10.0.0.1 fd00::/129'"),
    TENANT("deny 10.0.0"),
    TENANT("to service:web"),
    TENANT("to ''"),
    TENANT("tenant acme"),
    { "usher_tenant_set", "usher:tenant:Acme", "HSET", "to 10.0.0.1:80" },
    { "usher_defaults_set", "usher:defaults", "HSET", "timeout 9s" },
    { "usher_defaults_set", "usher:defaults", "HSET", "timeout 9" },
    /* services */
    SERVICE("balance random owner acme"),
    SERVICE("balance least"),
    SERVICE("owner Acme"),
    SERVICE("balance least-conn sticky srv slow_start 1h zone_min 100"),
    SERVICE("balance hash hash_by header:X-User hash_bound 125"),
    SERVICE("hash_by path"),
    SERVICE("hash_by cookie:cart"),
    SERVICE("hash_by or"),
    SERVICE("hash_by header"),
    SERVICE("hash_by header:"),
    SERVICE("hash_by 'cookie:a b'"),
    SERVICE("hash_by path:x"),
    SERVICE("hash_bound 100"),
    SERVICE("hash_bound 1001"),
    SERVICE("sticky 'a=b'"),
    SERVICE("sticky ''"),
    SERVICE("slow_start 61m"),
    SERVICE("slow_start 0s"),
    SERVICE("zone_min 101"),
    SERVICE("health http health_path /healthz?deep=1 health_host h.test:80 health_method HEAD"),
    SERVICE("health_status 200-399,404 health_body ok health_port 65535 panic 0"),
    SERVICE("health_interval 100ms health_fast 1h health_timeout 1m health_rise 1 health_fall 100"),
    SERVICE("health maybe"),
    SERVICE("health_path healthz"),
    SERVICE("health_path '/a b'"),
    SERVICE("health_path /a#b"),
    SERVICE("health_host 'a b'"),
    SERVICE("health_method POST"),
    SERVICE("health_status 2xx"),
    SERVICE("health_status 200,"),
    SERVICE("health_status 200-"),
    SERVICE("health_status 600"),
    SERVICE("health_status 399-200"),
    SERVICE("health_body ''"),
    SERVICE("health_interval 99ms"),
    SERVICE("health_interval 61m"),
    SERVICE("health_timeout 9ms"),
    SERVICE("health_rise 0"),
    SERVICE("health_fall 101"),
    SERVICE("health_port 0"),
    SERVICE("panic 101"),
    ENDPOINT("10.0.0.1:80 100"),
    ENDPOINT("10.0.0.1:80 weight=5"),
    ENDPOINT("10.0.0.1:80 ' 7 '"),
    ENDPOINT("10.0.0.1:80 1001"),
    ENDPOINT("10.0.0.1:80 -1"),
    ENDPOINT("10.0.0.1:80 ''"),
    ENDPOINT("10.0.0.1:80 weight="),
    ENDPOINT("10.0.0.1:80 'weight=5 color=red'"),
    ENDPOINT("10.0.0.1:80 '50 backup drain zone=eu-1a'"),
    ENDPOINT("10.0.0.1:80 backup"),
    ENDPOINT("10.0.0.1:80 'drain weight=7'"),
    ENDPOINT("10.0.0.1:80 drain=1"),
    ENDPOINT("10.0.0.1:80 backup=on"),
    ENDPOINT("10.0.0.1:80 zone"),
    ENDPOINT("10.0.0.1:80 zone=EU"),
    ENDPOINT("10.0.0.1:80 zone="),
    ENDPOINT("10.0.0.1 5"),
    ENDPOINT("origin.example:80 5"),
    ENDPOINT("Origin.example:80 5"),
    ENDPOINT("origin.example:0 5"),
    ENDPOINT("origin..example:80 5"),
    ENDPOINT("-a:80 5"),
    ENDPOINT("web:80 5"),
    ENDPOINT("10.0.0.256:80 5"),
    ENDPOINT("3scale.internal:80 5"),
    ENDPOINT("fcgi://10.0.0.1:9000 5"),
    ENDPOINT("fcgi://10.0.0.1:9000 'root=/srv/app weight=7 keep path_info'"),
    ENDPOINT("fcgi://php:9000 'root=/ index=x/y.php'"),
    ENDPOINT("fcgi://php:9000 'root=/srv index=/x.php'"),
    ENDPOINT("fcgi://php:9000 'root=/srv index=../x.php'"),
    ENDPOINT("fcgi://php:9000 'root=/srv//x'"),
    ENDPOINT("fcgi://php:9000 'root=/srv keep=1'"),
    ENDPOINT("fcgi://php:9000 'root'"),
    ENDPOINT("fcgi://169.254.1.1:9000 root=/srv"),
    ENDPOINT("10.0.0.1:80 keep"),
    ENDPOINT("unix:/run/app.sock 5"),
    ENDPOINT("unix:run/app.sock 5"),
    ENDPOINT("http://10.0.0.1:80 5"),
    /* places where no edge lets an endpoint be unless it is told to */
    ENDPOINT("169.254.169.254:80 1"),
    ENDPOINT("169.253.0.1:80 1"),
    ENDPOINT("0.0.0.0:80 1"),
    ENDPOINT("224.0.0.1:80 1"),
    ENDPOINT("240.0.0.1:80 1"),
    ENDPOINT("255.255.255.255:80 1"),
    ENDPOINT("[::]:80 1"),
    ENDPOINT("[fe80::1]:80 1"),
    ENDPOINT("[FEBF::1]:80 1"),
    ENDPOINT("[fec0::1]:80 1"),
    ENDPOINT("[ff02::1]:80 1"),
    ENDPOINT("[::ffff:169.254.1.1]:80 1"),
    ENDPOINT("[0:0:0:0:0:FFFF:a9fe:1]:80 1"),
    ENDPOINT("[::ffff:10.0.0.1]:80 1"),
    ENDPOINT("[::169.254.1.1]:80 1"),
    ENDPOINT("[64:ff9b::a9fe:1]:80 1"),
    ENDPOINT("[2001:db8::5]:80 1 [2001:DB8:0::0:5]:80 1"),
    RULE("to 169.254.1.1:80"),
    /* rules */
    RULE("path /a deny"),
    RULE("path /a/* method GET,HEAD header X-A=1 query q=1 cookie c from 10.0.0.0/8 websocket "
         "to service:web strip /a prepend /b host h.test:8080 set X-B=\"c d\" unset X-C timeout 5s "
         "priority -3"),
    RULE("to 10.0.0.1:80 [::1]:80"),
    RULE("to app.internal:80 host b:80"),
    RULE("path /x to fcgi://php:9000 root=/srv index=x.php keep strip /x"),
    RULE("path /x to fcgi://php:9000 strip /x"),
    RULE("to php:9000 root=/srv"),
    RULE("to unix:/run/app.sock"),
    RULE("to fcgi://php:9000 keep=no root=/srv"),
    RULE("split service:web=95 service:owned=5"),
    RULE("split service:web=0"),
    RULE("split service:web=1 service:web=2"),
    RULE("split service:web=1001"),
    RULE("split service:none=1"),
    RULE("split service:web"),
    RULE("redirect 301 https://x.test$path"),
    RULE("redirect 308 https://$host$uri"),
    RULE("redirect 302 /elsewhere?$query"),
    RULE("redirect 304 /x"),
    RULE("redirect 301"),
    RULE("redirect 301 //x.test"),
    RULE("redirect 301 /$path"),
    RULE("redirect 301 ftp://x.test"),
    RULE("redirect 301 https://x.test$nope"),
    RULE("redirect 301 https://x.test$query"),
    RULE("redirect 301 https://$path"),
    RULE("respond 200 \"hello\""),
    RULE("respond 204"),
    RULE("respond 204 \"x\""),
    RULE("respond 600"),
    RULE("respond 200 hello"),
    RULE(""),
    RULE("path /a"),
    RULE("pth /a deny"),
    RULE("\"path\" /a deny"),
    RULE("path a deny"),
    RULE("path deny"),
    RULE("path /a/*/b deny"),
    RULE("path /a?b deny"),
    RULE("path /%zz deny"),
    RULE("path /%00 deny"),
    RULE("path \"/with space\" deny"),
    RULE("path /a path /b deny"),
    RULE("method get deny"),
    RULE("method GET, deny"),
    RULE("header X-A header X-B=2 deny"),
    RULE("header =1 deny"),
    RULE("header \"X A\" deny"),
    RULE("query =1 deny"),
    RULE("cookie deny"),
    RULE("from 10.0.0.0/33 deny"),
    RULE("from 10.0.0.1,fd00::/8 deny"),
    RULE("from nowhere deny"),
    RULE("deny path /a"),
    RULE("deny deny"),
    RULE("deny strip /a"),
    RULE("deny priority 5"),
    RULE("deny priority 1001"),
    RULE("strip /a deny"),
    RULE("to service:web strip /"),
    RULE("to service:web strip /./"),
    RULE("to service:web strip a"),
    RULE("to service:web strip /a strip /b"),
    RULE("to service:web host bad/host"),
    RULE("to service:web host h.test:0"),
    RULE("to service:web host [::1]:80"),
    RULE("to service:web set Host=x"),
    RULE("to service:web set Via=x"),
    RULE("to service:web set X-A"),
    RULE("to service:web set X-A="),
    RULE("to service:web unset content-length"),
    RULE("to service:web unset"),
    RULE("to service:web timeout 0s"),
    RULE("to service:Web"),
    RULE("to 10.0.0.1:80 10.0.0.1:80"),
    RULE("to 10.0.0.1:0"),
    RULE("to nowhere"),
    RULE("path \"/a deny"),
    { "usher_route_set", "usher:routes:acme", "HSET", "Rule deny" },
    { "usher_route_set", "usher:routes:none", "HSET", "r deny" },
};

static void write_base(struct scene *s)
{
    scene_redis(s, "FLUSHALL");
    scene_redis(s, "HSET usher:endpoints:web 10.0.0.1:80 100");
    scene_redis(s, "HSET usher:endpoints:owned 10.0.0.1:80 100");
    scene_redis(s, "HSET usher:service:owned owner acme");
    scene_redis(s, "HSET usher:tenant:acme to 10.0.0.1:80");
    scene_redis(s, "HSET usher:tenant:other to 10.0.0.1:80");
}

/* Rules of a tenant that is not there are not wrong, only useless; the function says so at once. */
static bool only_functions_refuse(const struct write *w)
{
    return strcmp(w->key, "usher:routes:none") == 0;
}

SCENARIO(functions, refuse_what_check_refuses_and_take_what_it_takes)
{
    static struct scene s;
    unsigned refused = 0, count = sizeof(writes) / sizeof(writes[0]);

    scene_start(&s, .without_edge = true);
    if (!has_functions(&s)) {
        scene_end(&s);
        return;
    }
    expect_code(verb_say(&s, "schema install"), 0);
    for (unsigned i = 0; i < count; i++) {
        const struct write *w = &writes[i];
        struct verb_said said;
        char *answer;
        bool good;

        write_base(&s);
        scene_redis(&s, "%s %s %s", w->plain, w->key, w->words);
        said = verb_say(&s, "check");
        good = said.code == 0 && !only_functions_refuse(w);
        write_base(&s);
        answer = redis_try(&s.redis, "FCALL %s 1 %s %s", w->function, w->key, w->words);
        cr_assert_eq(strcmp(answer, "OK") == 0, good, "%s %s %s: the function says %s, check: %s",
                     w->plain, w->key, w->words, answer, said.out);
        refused += !good;
        if (!good)
            cr_assert(starts(answer, "-ERR "), "%s", answer);
        if (!good && has(said.out, "expected "))
            cr_assert(only_functions_refuse(w) || has(answer, "expected "), "%s: %s", w->words,
                      answer);
    }
    cr_assert(refused > count / 3 && refused < count * 4 / 5, "%u of %u", refused, count);
    scene_end(&s);
}

SCENARIO(functions, what_they_write_is_live_and_recorded_once)
{
    static struct scene s;
    struct origin *o = origin_start("one");
    char *entries;

    scene_start(&s);
    if (has_functions(&s)) {
        expect_code(verb_say(&s, "schema install"), 0);
        scene_redis(&s, "FCALL usher_endpoint_set 1 usher:endpoints:web %s 100", origin_at(o));
        scene_redis(&s, "FCALL usher_tenant_set 1 usher:tenant:acme to service:web");
        scene_redis(&s, "FCALL usher_host_set 1 usher:host:a.test tenant:acme");
        await_get(&s, "a.test", "/", 200, "one");
        scene_redis(&s, "FCALL usher_route_set 1 usher:routes:acme tea 'path /tea respond 418'");
        await_get(&s, "a.test", "/tea", 418, NULL);
        scene_redis(&s, "FCALL usher_route_del 1 usher:routes:acme tea");
        await_get(&s, "a.test", "/tea", 200, "one");
        scene_redis(&s, "HSET usher:tenant:acme status active");
        await(has(scene_redis(&s, "XRANGE usher:history:acme - +"), "status active"));
        entries = scene_redis(&s, "XLEN usher:history:acme");
        cr_assert_str_eq(entries, "5", "%s", scene_redis(&s, "XRANGE usher:history:acme - +"));
        expect_code(verb_say(&s, "rollback acme"), 0);
        scene_redis(&s, "FCALL usher_delete 1 usher:host:a.test");
        await_fault(&s, "a.test", "unknown_host");
    }
    scene_end(&s);
}

SCENARIO(functions, are_installed_and_told_by_their_version)
{
    static struct scene s;
    struct verb_said said;

    scene_start(&s, .without_edge = true);
    if (has_functions(&s)) {
        said = verb_say(&s, "schema install");
        expect_code(said, 0);
        cr_assert(has(said.out, "loaded"), "%s", said.out);
        said = verb_say(&s, "schema install");
        expect_code(said, 0);
        cr_assert(has(said.out, "is there already"), "%s", said.out);
        scene_redis(&s, "FUNCTION FLUSH");
        scene_redis(&s, "FUNCTION LOAD '#!lua name=usher\n-- version 0\n"
                        "redis.register_function([[usher_old]], function() return 1 end)'");
        said = verb_say(&s, "schema install");
        expect_code(said, 1);
        cr_assert(has(said.err, "version 0"), "%s", said.err);
        said = verb_say(&s, "schema install --replace");
        expect_code(said, 0);
        cr_assert(has(said.out, "in place of version 0"), "%s", said.out);
    } else {
        said = verb_say(&s, "schema install");
        expect_code(said, 1);
        cr_assert(has(said.err, "functions need Redis 7"), "%s", said.err);
    }
    scene_end(&s);
}
