/* s_server_kinds.c -- what Redis says it is: too old, another of its family.
 *
 * Between the edge and a real Redis stands one who changes what HELLO answers, and nothing else. The
 * valkey-server of PATH takes Redis's place, where there is one.
 *
 * Owns:    nothing.
 * Thread:  the test's; the liar's, one for each connection.
 * Used by: make test.
 * Not here: nonsense (f_store_wire.c); every scenario with another server (REDIS_SERVER). */
#include "harness/sentinel.h"
#include "harness/verb.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static struct scene s;

static struct liar {
    int fd;
    char to[96];
    char truth[128], lie[128]; /* bytes of the answer to HELLO */
    const char *refused;       /* what is asked with these bytes is answered by ... */
    const char *refusal;       /* ... these; NULL: all is passed on */
} liar;

static struct sockaddr_un address_of(const char *path)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };

    snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
    return a;
}

/* Passes what has come from one on to the other; false: it has ended. */
static bool pass(int from, int to, bool lies)
{
    static _Thread_local char bytes[1 << 16];
    ssize_t n = read(from, bytes, sizeof(bytes));
    char *truth = n > 0 && lies ? memmem(bytes, (size_t)n, liar.truth, strlen(liar.truth)) : NULL;

    if (n <= 0)
        return false;
    if (!lies && liar.refusal != NULL &&
        memmem(bytes, (size_t)n, liar.refused, strlen(liar.refused)) != NULL)
        return send_all(from, liar.refusal, strlen(liar.refusal), AWAIT_MS);
    if (truth == NULL)
        return send_all(to, bytes, (size_t)n, AWAIT_MS);
    return send_all(to, bytes, (size_t)(truth - bytes), AWAIT_MS) &&
           send_all(to, liar.lie, strlen(liar.lie), AWAIT_MS) &&
           send_all(to, truth + strlen(liar.truth),
                    (size_t)(bytes + n - truth) - strlen(liar.truth), AWAIT_MS);
}

static void *pass_both_ways(void *owner)
{
    int edge = (int)(intptr_t)owner, redis = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un to = address_of(liar.to);
    struct pollfd fds[2] = { { edge, POLLIN, 0 }, { redis, POLLIN, 0 } };
    bool going = connect(redis, (struct sockaddr *)&to, sizeof(to)) == 0;

    while (going && poll(fds, 2, -1) > 0) {
        if (fds[0].revents != 0)
            going = pass(edge, redis, false);
        if (going && fds[1].revents != 0)
            going = pass(redis, edge, true);
    }
    close(edge);
    close(redis);
    return NULL;
}

static void *take_all(void *owner)
{
    int fd;

    while ((fd = accept4(liar.fd, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
        pthread_t thread;

        await_thread(&thread, pass_both_ways, (void *)(intptr_t)fd);
        pthread_detach(thread);
    }
    return owner;
}

static const char *said(const char *name, const char *version)
{
    return kept_format("$6\r\nserver\r\n$%zu\r\n%s\r\n$7\r\nversion\r\n$%zu\r\n%s\r\n",
                       strlen(name), name, strlen(version), version);
}

static void begin(const char *name, const char *version)
{
    struct sockaddr_un a;
    pthread_t thread;

    scene_start(&s, .without_edge = true);
    a = address_of(kept_format("%s/liar", s.dir));
    snprintf(liar.truth, sizeof(liar.truth), "%s",
             said(redis_hello(&s.redis, "server"), redis_hello(&s.redis, "version")));
    snprintf(liar.lie, sizeof(liar.lie), "%s", said(name, version));
    snprintf(liar.to, sizeof(liar.to), "%s", s.redis.socket);
    liar.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert(bind(liar.fd, (struct sockaddr *)&a, sizeof(a)) == 0 && listen(liar.fd, 8) == 0);
    await_thread(&thread, take_all, NULL);
    pthread_detach(thread);
    s.options.redis = kept_format("unix://%s", a.sun_path);
}

static void expect_refused_by_edge_and_verbs(const char *sentence)
{
    struct verb_said said;

    scene_edge_start_unready(&s);
    cr_assert(process_awaits_log(&s.edge.process, kept_format("store_down reason=\"%s\"", sentence),
                                 AWAIT_MS));
    cr_assert_eq(scene_ready(&s), 503);
    expect_fault(&s, "a.test", "store_unavailable");
    said = verb_say(&s, "check --redis %s", s.options.redis);
    cr_assert(said.code != 0 && has(said.err, sentence), "%s", said.err);
    scene_end(&s);
}

SCENARIO(server_kinds, one_that_is_too_old_is_refused_in_a_sentence)
{
    liar.refused = "*1\r\n$5\r\nHELLO\r\n"; /* as 6.0 does it */
    liar.refusal = "-ERR wrong number of arguments for 'hello' command\r\n";
    begin("redis", "6.0.16");
    expect_refused_by_edge_and_verbs("it is Redis 6.0.16; 6.2 or newer is needed");
}

SCENARIO(server_kinds, one_so_old_that_it_knows_no_hello_is_refused_in_a_sentence)
{
    liar.refused = "\r\nHELLO\r\n";
    liar.refusal = "-ERR unknown command `HELLO`, with args beginning with: \r\n";
    begin("redis", "5.0.14");
    expect_refused_by_edge_and_verbs(
        "it is older than Redis 6.2, which is needed: it knows no HELLO");
}

/* The edge is started, serves, and has said what it found. */
static void expect_served_from(const char *name, const char *version)
{
    scene_edge_start(&s);
    scene_host(&s, "a.test", origin_start("one"));
    await_get(&s, "a.test", "/", 200, "one");
    await(scene_logged(&s, kept_format("server=%s version=%s mode=standalone role=primary", name,
                                       version)) == 1);
}

SCENARIO(server_kinds, the_oldest_that_will_do_and_one_that_calls_itself_valkey_are_served_from)
{
    static const char *const kinds[][2] = { { "redis", "6.2.0" }, { "valkey", "8.1.0" } };

    for (unsigned i = 0; i < 2; i++) {
        begin(kinds[i][0], kinds[i][1]);
        expect_served_from(kinds[i][0], kinds[i][1]);
        shutdown(liar.fd, SHUT_RDWR);
        scene_end(&s);
        memset(&s, 0, sizeof(s));
    }
}

static bool is_on_path(const char *program)
{
    char *rest = kept_format("%s", getenv("PATH") ? getenv("PATH") : ""), *folder;

    while ((folder = strsep(&rest, ":")) != NULL)
        if (access(kept_format("%s/%s", folder, program), X_OK) == 0)
            return true;
    return false;
}

SCENARIO(server_kinds, a_real_valkey_is_served_from_written_to_and_named)
{
    struct verb_said verb;
    const char *version;

    if (is_on_path("valkey-server"))
        setenv("REDIS_SERVER", "valkey-server", 1);
    scene_start(&s, .without_edge = true, .tcp = true);
    if (strcmp(redis_hello(&s.redis, "server"), "valkey") != 0) {
        scene_end(&s);
        cr_skip_test("no valkey-server here");
    }
    version = redis_hello(&s.redis, "version");
    expect_served_from("valkey", version);
    scene_host(&s, "a.test", origin_start("two")); /* pushed */
    await_get(&s, "a.test", "/", 200, "two");
    scene_redis(&s, "SET usher:host:bad.test nonsense");
    await(has(scene_redis(&s, "HGETALL usher:errors"), "usher:host:bad.test"));
    scene_redis(&s, "DEL usher:host:bad.test");
    await(!has(scene_redis(&s, "HGETALL usher:errors"), "usher:host:bad.test"));
    verb = verb_say(&s, "wait --timeout 8s");
    cr_assert_eq(verb.code, 0, "%s%s", verb.out, verb.err);
    verb = verb_say(&s, "topology");
    cr_assert(verb.code == 0 && has(verb.out, kept_format("valkey %s", version)), "%s%s", verb.out,
              verb.err);
    verb = verb_say(&s, "schema install");
    cr_assert(verb.code == 0 && has(verb.out, "loaded"), "%s%s", verb.out, verb.err);
    scene_redis(&s, "FCALL usher_delete 1 usher:host:a.test");
    await_fault(&s, "a.test", "unknown_host");
    redis_restart(&s.redis);
    await(scene_metric(&s, "usher_store_reconnects_total") >= 1);
    scene_host(&s, "b.test", origin_start("three"));
    await_get(&s, "b.test", "/", 200, "three");
    scene_end(&s);
}

static bool sees_replica(struct redis *sentinel)
{
    const char *replica = redis_say(sentinel, "SENTINEL REPLICAS mymaster");

    return has(replica, "flags\nslave\n") && has(replica, "master-link-status\nok\n");
}

/* How one moves from Redis to Valkey with nothing stopped: a replica is a Valkey, and takes over. */
SCENARIO(server_kinds, a_valkey_that_takes_over_from_redis_is_followed)
{
    static struct sentinels c;
    struct redis *primary;

    if (!is_on_path("valkey-server"))
        cr_skip_test("no valkey-server here");
    scene_start(&s, .without_redis = true, .without_edge = true);
    sentinels_start(&c, &s, 2, "");
    setenv("REDIS_SERVER", "valkey-server", 1);
    redis_restart(&c.nodes[1]);
    cr_assert_str_eq(redis_hello(&c.nodes[1], "server"), "valkey");
    for (unsigned i = 0; i < SENTINELS; i++)
        await(sees_replica(&c.sentinels[i]));
    s.options.redis = sentinels_url(&c);
    s.options.unready = false;
    scene_edge_start(&s);
    redis_say(&c.nodes[0], "SET usher:host:a.test %s", origin_at(origin_start("one")));
    await_get(&s, "a.test", "/", 200, "one");
    await(has(redis_say(&c.nodes[1], "EXISTS usher:host:a.test"), "1"));
    redis_kill(&c.nodes[0]);
    primary = sentinels_primary(&c, &c.nodes[0]);
    cr_assert_eq(primary, &c.nodes[1]);
    redis_say(primary, "SET usher:host:b.test %s", origin_at(origin_start("two")));
    await_get(&s, "b.test", "/", 200, "two");
    await(scene_logged(&s, "server=valkey") >= 1);
    expect_get(&s, "a.test", "/", 200, "one");
    scene_end(&s);
    sentinels_end(&c);
}
