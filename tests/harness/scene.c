/* scene.c -- one test's world, and the expectations about it.
 *
 * Owns:    the list of scenes that are not ended yet.
 * Thread:  the test's.
 * Used by: tests.
 * Not here: how each part works (edge, redis, origin, client). */
#include "harness/scene.h"

#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct scene *open_scene;

static const char *redis_url(const struct scene *s, const struct scene_options *o)
{
    const char *who = o->password != NULL ? kept_format(":%s@", o->password) : "";

    if (o->tcp)
        return kept_format("redis://%s127.0.0.1:%u/%u", who, s->redis.port, o->db);
    return kept_format("unix://%s", s->redis.socket);
}

void scene_start_with(struct scene *s, const struct scene_options *o)
{
    memset(s, 0, sizeof(*s));
    snprintf(s->dir, sizeof(s->dir), "/tmp/usher-scene-XXXXXX");
    cr_assert_not_null(mkdtemp(s->dir));
    open_scene = s;
    redis_start(&s->redis, s->dir, o->tcp, o->password);
    if (o->db > 0)
        scene_redis(s, "SELECT %u", o->db);
    if (o->without_redis)
        redis_kill(&s->redis);
    memcpy(s->options.flags, o->flags, sizeof(o->flags));
    memcpy(s->options.environment, o->environment, sizeof(o->environment));
    s->options.workers = o->workers;
    s->options.files = o->files;
    s->options.redis = redis_url(s, o);
    s->options.unready = o->unready || o->without_redis;
    s->options.followed = o->followed;
    s->options.program = o->program;
    if (!o->without_edge)
        scene_edge_start(s);
}

void scene_edge_start(struct scene *s)
{
    edge_free(&s->edge);
    edge_start(&s->edge, s->dir, &s->options);
}

void scene_edge_start_unready(struct scene *s)
{
    s->options.unready = true;
    scene_edge_start(s);
}

void scene_second_edge(struct scene *s, struct edge *e, ...)
{
    struct edge_options o = s->options;
    unsigned n = 0;
    va_list more;
    const char *flag;

    while (o.flags[n] != NULL)
        n++;
    va_start(more, e);
    while ((flag = va_arg(more, const char *)) != NULL && n < 39)
        o.flags[n++] = flag;
    va_end(more);
    edge_start(e, s->dir, &o);
}

static void remove_dir(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *entry;

    while (dir != NULL && (entry = readdir(dir)) != NULL)
        if (entry->d_name[0] != '.' && unlink(kept_format("%s/%s", path, entry->d_name)) != 0)
            remove_dir(kept_format("%s/%s", path, entry->d_name));
    if (dir != NULL)
        closedir(dir);
    rmdir(path);
}

void scene_end(struct scene *s)
{
    client_close_all();
    edge_stop(&s->edge);
    cr_assert_null(edge_report(&s->edge), "the edge reports: %s", edge_report(&s->edge));
    edge_free(&s->edge);
    origin_stop_all();
    redis_free(&s->redis);
    remove_dir(s->dir);
    open_scene = NULL;
    kept_free();
}

void scene_leave(void)
{
    struct scene *s = open_scene;

    if (s == NULL)
        return;
    fprintf(stderr, "---- the edge's log\n%s----\n",
            s->edge.process.pid > 0 ? process_log(&s->edge.process) : "(none)\n");
    if (s->edge.process.pid > 0)
        process_kill(&s->edge.process);
    if (s->redis.process.pid > 0)
        process_kill(&s->redis.process);
    remove_dir(s->dir);
    open_scene = NULL;
}

void scene_host(struct scene *s, const char *host, const struct origin *o)
{
    scene_redis(s, "SET usher:host:%s %s", host, origin_at(o));
}

void scene_live(struct scene *s)
{
    const char *token = scene_redis(s, "XADD usher:barrier MAXLEN ~ 1000 * by test");

    cr_assert_not_null(scene_redis(s, "BLPOP usher:ack:%s 15", token),
                       "the edge has not applied what was written");
}

void scene_hosts(struct scene *s, unsigned count, const struct origin *o)
{
    struct client *c = scene_open(s);

    for (unsigned i = 0; i < count; i++)
        redis_queue(&s->redis, "SET usher:host:h%u.test %s", i, origin_at(o));
    redis_flush(&s->redis);
    scene_live(s);
    for (unsigned i = 0; i < count; i++)
        expect_status(client_get(c, kept_format("h%u.test", i), "/"), 200);
    client_close(c);
}

void scene_endpoint(struct scene *s, const char *service, const struct origin *o)
{
    scene_redis(s, "HSET usher:endpoints:%s %s 100", service, origin_at(o));
}

struct response scene_get(struct scene *s, const char *host, const char *path)
{
    return client_get_once(s->edge.at, host, path);
}

static bool fits(const struct response *r, int status, const char *body)
{
    return r->status == status && (body == NULL || strcmp(r->text, body) == 0);
}

static const char *seen(const struct response *r)
{
    return kept_format("%d %s%s \"%.300s\"", r->status, response_fault(r), r->why, r->text);
}

void scene_expect_status(struct response r, int status, const char *file, int line)
{
    cr_assert_eq(r.status, status, "%s:%d: expected %d, came %s", file, line, status, seen(&r));
}

void scene_expect_get(struct scene *s, const char *host, const char *path, int status,
                      const char *body, const char *file, int line)
{
    struct response r = scene_get(s, host, path);

    cr_assert(fits(&r, status, body), "%s:%d: GET %s of %s: expected %d \"%s\", came %s", file,
              line, path, host, status, body != NULL ? body : "", seen(&r));
}

void scene_expect_fault(struct scene *s, const char *host, const char *fault, const char *file,
                        int line)
{
    struct response r = scene_get(s, host, "/");

    cr_assert(r.status == scene_fault_status(fault) && strcmp(response_fault(&r), fault) == 0,
              "%s:%d: GET / of %s: expected %d %s, came %s", file, line, host,
              scene_fault_status(fault), fault, seen(&r));
}

/* So many new connections in a row that each worker will have had one. */
#define IN_A_ROW 8

void scene_await_get(struct scene *s, const char *host, const char *path, int status,
                     const char *body, const char *file, int line)
{
    uint64_t until = await_now_ms() + AWAIT_MS;
    unsigned row = 0;
    struct response r = { .head = "", .text = "", .why = "" };

    while (row < IN_A_ROW && await_now_ms() < until) {
        r = scene_get(s, host, path);
        if (fits(&r, status, body)) {
            row++;
        } else {
            row = 0;
            await_nap();
        }
    }
    cr_assert_eq(row, IN_A_ROW, "%s:%d: GET %s of %s: awaited %d \"%s\", last came %s", file, line,
                 path, host, status, body != NULL ? body : "", seen(&r));
}

void scene_await_fault(struct scene *s, const char *host, const char *fault, const char *file,
                       int line)
{
    uint64_t until = await_now_ms() + AWAIT_MS;
    unsigned row = 0;
    struct response r = { .head = "", .text = "", .why = "" };

    while (row < IN_A_ROW && await_now_ms() < until) {
        r = scene_get(s, host, "/");
        if (r.status == scene_fault_status(fault) && strcmp(response_fault(&r), fault) == 0) {
            row++;
        } else {
            row = 0;
            await_nap();
        }
    }
    cr_assert_eq(row, IN_A_ROW, "%s:%d: GET / of %s: awaited %s, last came %s", file, line, host,
                 fault, seen(&r));
}

int scene_fault_status(const char *fault)
{
    static const struct {
        const char *name;
        int status;
    } rows[] = {
        { "bad_request", 400 },
        { "bad_host", 400 },
        { "uri_too_long", 414 },
        { "head_too_large", 431 },
        { "not_implemented", 501 },
        { "version_unsupported", 505 },
        { "expectation_failed", 417 },
        { "loop_detected", 508 },
        { "header_timeout", 408 },
        { "body_timeout", 408 },
        { "unknown_host", 404 },
        { "no_route", 404 },
        { "bad_record", 503 },
        { "tenant_gone", 503 },
        { "module_fault", 500 },
        { "module_store", 503 },
        { "module_timeout", 504 },
        { "content_too_large", 413 },
        { "no_endpoint", 503 },
        { "maintenance", 503 },
        { "suspended", 503 },
        { "store_unavailable", 503 },
        { "store_timeout", 503 },
        { "store_busy", 503 },
        { "connect_failed", 502 },
        { "connect_timeout", 504 },
        { "response_timeout", 504 },
        { "bad_response", 502 },
        { "response_closed", 502 },
        { "overloaded", 503 },
        { "denied", 403 },
        { "denied_address", 403 },
        { "too_many_connections", 503 },
        { "too_many_requests", 429 },
        { "rate_limited", 429 },
        { "body_too_large", 413 },
        { "bandwidth_exceeded", 429 },
        { "service_forbidden", 503 },
        { "endpoint_forbidden", 503 },
        { "endpoint_busy", 503 },
        { "name_unresolved", 503 },
    };

    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (strcmp(rows[i].name, fault) == 0)
            return rows[i].status;
    cr_assert_fail("%s is no fault with a status", fault);
    return 0;
}

const char *scene_page(struct scene *s, const char *path)
{
    struct response r = client_get_once(s->edge.admin, "admin", path);

    return r.status == 200 ? r.text : NULL;
}

int scene_ready(struct scene *s)
{
    return client_get_once(s->edge.admin, "admin", "/readyz").status;
}

double scene_metric(struct scene *s, const char *name)
{
    const char *page = scene_page(s, "/metrics"), *line = page;

    cr_assert_not_null(page, "no /metrics");
    for (; line != NULL && *line != '\0'; line = strchr(line, '\n'), line += line != NULL)
        if (strncmp(line, name, strlen(name)) == 0 && line[strlen(name)] == ' ')
            return strtod(line + strlen(name), NULL);
    return 0;
}

void scene_expect_metric(struct scene *s, const char *name, double value, const char *file,
                         int line)
{
    (void)eventually(scene_metric(s, name) == value, 1000);
    cr_assert(scene_metric(s, name) == value, "%s:%d: %s: expected %.0f, is %.0f", file, line, name,
              value, scene_metric(s, name));
}

bool scene_out_has(struct scene *s, const char *text)
{
    char line[4096];
    bool found = false;
    FILE *f = fopen(s->edge.out, "re");

    while (f != NULL && !found && fgets(line, sizeof(line), f) != NULL)
        found = has(line, text);
    if (f != NULL)
        fclose(f);
    return found;
}
