/* versions.c -- hosts whose answers tell the version of their record.
 *
 * Owns:    the origin.
 * Thread:  the test's; versions_commands and versions_in: any.
 * Used by: load.c, writer.c, tests.
 * Not here: asking without a break (load.c), writing without one (writer.c). */
#include "harness/versions.h"

#include <stdio.h>
#include <stdlib.h>

#define ACKNOWLEDGED_SECONDS 30
#define CONNECTIONS 8 /* new ones, in a row: each worker will have had one */

enum kind { KIND_HOST, KIND_TENANT, KIND_SERVICE, KIND_RULE, KINDS };

void versions_start(struct versions *v, unsigned count)
{
    memset(v, 0, sizeof(*v));
    v->places = places_start();
    v->count = count;
}

void versions_stop(struct versions *v)
{
    places_stop(v->places);
}

const char *versions_host(unsigned i, char to[32])
{
    snprintf(to, 32, "v%u.test", i);
    return to;
}

static void address(const struct versions *v, unsigned i, unsigned version, char to[32])
{
    snprintf(to, 32, "127.%u.%u.%u:%u", 1 + version / 256, version % 256, 1 + i,
             places_port(v->places));
}

unsigned versions_in(unsigned i, const char *body)
{
    unsigned high, low, host;

    if (sscanf(body, "127.%u.%u.%u", &high, &low, &host) != 3 || high == 0 || host != 1 + i)
        return 0;
    return (high - 1) * 256 + low;
}

void versions_commands(struct versions *v, unsigned i, unsigned version, char to[VERSIONS_TEXT])
{
    char at[32];

    if (version > VERSIONS_MAX)
        abort();
    if (atomic_load(&v->written[i]) < version)
        atomic_store(&v->written[i], version);
    address(v, i, version, at);
    switch ((enum kind)(i % KINDS)) {
    case KIND_HOST:
        snprintf(to, VERSIONS_TEXT, "SET usher:host:v%u.test %s\r\n", i, at);
        break;
    case KIND_TENANT:
        snprintf(to, VERSIONS_TEXT,
                 "MULTI\r\nHSET usher:tenant:v%u to %s\r\n"
                 "SET usher:host:v%u.test tenant:v%u\r\nEXEC\r\n",
                 i, at, i, i);
        break;
    case KIND_SERVICE:
        snprintf(to, VERSIONS_TEXT,
                 "MULTI\r\nDEL usher:endpoints:v%u\r\nHSET usher:endpoints:v%u %s 100\r\n"
                 "SET usher:host:v%u.test service:v%u\r\nEXEC\r\n",
                 i, i, at, i, i);
        break;
    case KIND_RULE:
    default:
        snprintf(to, VERSIONS_TEXT,
                 "MULTI\r\nHSET usher:tenant:v%u status active\r\n"
                 "HSET usher:routes:v%u all \"path /* to %s\"\r\n"
                 "SET usher:host:v%u.test tenant:v%u\r\nEXEC\r\n",
                 i, i, at, i, i);
    }
}

void versions_write_all(struct versions *v, struct redis *to)
{
    for (unsigned i = 0; i < v->count; i++) {
        char text[VERSIONS_TEXT], *line, *rest = text;

        versions_commands(v, i, atomic_load(&v->written[i]) + 1, text);
        while ((line = strsep(&rest, "\n")) != NULL)
            if (line[0] != '\0') {
                line[strcspn(line, "\r")] = '\0';
                for (char *c = line; *c != '\0'; c++) /* redis_queue's quotes are these */
                    *c = *c == '"' ? '\'' : *c;
                redis_queue(to, "%s", line);
            }
    }
    redis_flush(to);
}

static unsigned version_in_redis(struct redis *r, unsigned i)
{
    char *host = redis_say(r, "GET usher:host:v%u.test", i), *text = host;

    if (host == NULL)
        return 0;
    if (i % KINDS == KIND_TENANT)
        text = redis_say(r, "HGET usher:tenant:v%u to", i);
    else if (i % KINDS == KIND_SERVICE)
        text = redis_say(r, "HKEYS usher:endpoints:v%u", i);
    else if (i % KINDS == KIND_RULE)
        text = redis_say(r, "HGET usher:routes:v%u all", i);
    text = text != NULL ? strstr(text, "127.") : NULL;
    cr_assert_not_null(text, "host %u is in Redis, but not what it names", i);
    return versions_in(i, text);
}

void versions_barrier(struct redis *r, unsigned edges)
{
    char *token = redis_say(r, "XADD usher:barrier MAXLEN ~ 1000 * by test");
    uint64_t until = await_now_ms() + ACKNOWLEDGED_SECONDS * 1000;

    /* BLPOP for as long as a reply is waited for here, again and again */
    while (edges > 0 && await_now_ms() < until)
        if (redis_say(r, "BLPOP usher:ack:%s 2", token) != NULL)
            edges--;
    cr_assert_eq(edges, 0, "%u edges acknowledge nothing within %d s", edges, ACKNOWLEDGED_SECONDS);
}

static void expect_version(struct response r, unsigned i, unsigned version)
{
    if (version == 0)
        cr_assert(r.status == 404, "host %u is not in Redis; served: %d \"%.200s\"", i, r.status,
                  r.text);
    else
        cr_assert(r.status == 200 && versions_in(i, r.text) == version,
                  "host %u: version %u is in Redis; served: %u (%d %s%s \"%.200s\")", i, version,
                  versions_in(i, r.text), r.status, response_fault(&r), r.why, r.text);
}

void versions_expect(struct versions *v, struct edge *e, struct redis *r)
{
    unsigned now[VERSIONS_HOSTS_MAX];
    char host[32];

    for (unsigned i = 0; i < v->count; i++)
        now[i] = version_in_redis(r, i);
    for (unsigned n = 0; n < CONNECTIONS; n++) {
        struct client *c = client_open(e->at);

        for (unsigned i = 0; i < v->count; i++)
            expect_version(client_get(c, versions_host(i, host), "/"), i, now[i]);
        client_close(c);
    }
    for (unsigned i = 0; i < v->count; i++)
        atomic_store(&v->least[i], now[i]);
}

void versions_settle(struct versions *v, struct edge *e, struct redis *r)
{
    versions_barrier(r, 1);
    versions_expect(v, e, r);
}
