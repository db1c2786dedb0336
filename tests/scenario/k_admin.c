/* k_admin.c -- what an edge tells about itself: health, metrics, dumps, the access log.
 *
 * Owns:    nothing.
 * Thread:  the test's.
 * Used by: make test.
 * Not here: readiness while Redis is away (f_store_outage.c) or while draining (l_drain.c). */
#include "harness/verb.h"

#include <ctype.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

SCENARIO(admin, health_and_readiness)
{
    static struct scene s;

    scene_start(&s);
    cr_assert_str_eq(scene_page(&s, "/healthz"), "ok\n");
    await(strcmp(scene_page(&s, "/readyz"), "ready\n") == 0);
    expect_status(client_get_once(s.edge.admin, "x", "/no-such-page"), 404);
    cr_assert_not_null(scene_page(&s, "/"));
    cr_assert_not_null(scene_page(&s, "/healthz?from=probe"));
    scene_end(&s);
}

SCENARIO(admin, the_health_verb_says_what_readyz_says)
{
    static struct scene s;
    struct verb_said said;

    scene_start(&s, .flags = { "--drain-wait", "30s" });
    said = verb_say(&s, "health --admin %s", s.edge.admin);
    cr_assert_eq(said.code, 0, "%s", said.err);
    cr_assert_str_eq(said.out, "ready\n");
    process_signal(&s.edge.process, SIGTERM);
    await(verb_say(&s, "health --admin %s", s.edge.admin).code == 1);
    said = verb_say(&s, "health --admin %s", s.edge.admin);
    cr_assert_str_eq(said.out, "draining\n");
    process_kill(&s.edge.process);
    said = verb_say(&s, "health --admin %s", s.edge.admin);
    cr_assert_eq(said.code, 1);
    cr_assert(has(said.err, "usher health: the edge at ") && has(said.err, s.edge.admin), "%s",
              said.err);
    cr_assert_str_eq(said.out, "");
    cr_assert_eq(verb_say(&s, "health --admin off").code, 2);
    cr_assert_eq(verb_say(&s, "health --redis redis://127.0.0.1/").code, 2);
    scene_end(&s);
}

SCENARIO(admin, it_is_http_for_probes_of_every_kind)
{
    static struct scene s;
    struct client *c;
    struct response r;

    scene_start(&s);
    expect_status(client_exchange(s.edge.admin, "GET /healthz HTTP/1.0\r\n\r\n"), 200);
    c = client_open(s.edge.admin);
    client_send(c, "HEAD /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    r = client_read_to_head(c);
    cr_assert_eq(r.status, 200);
    if (has(response_field(&r, "connection"), "close"))
        c = client_open(s.edge.admin);
    expect_status(client_get(c, "x", "/metrics"), 200);
    c = client_open(s.edge.admin);
    client_send(c, "POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
    r = client_read(c);
    cr_assert_eq(r.status, 405, "%d", r.status);
    expect_status(client_exchange(s.edge.admin, "nonsense\r\n\r\n"), 400);
    for (unsigned i = 0; i < 30; i++)
        client_open(s.edge.admin); /* idle ones hold nobody */
    cr_assert_not_null(scene_page(&s, "/healthz"));
    scene_end(&s);
}

/* Prometheus's text form: comments, or a name, perhaps labels, and one number. */
static void check_metrics_text(const char *page)
{
    for (const char *line = page; *line != '\0'; line += strcspn(line, "\n") + 1) {
        const char *at = line;
        char *end;

        if (starts(line, "# HELP ") || starts(line, "# TYPE "))
            continue;
        while (isalnum((unsigned char)*at) || *at == '_')
            at++;
        cr_assert_gt(at - line, 0, "no name: %.80s", line);
        if (*at == '{') {
            while (*at != '}' && *at != '\n')
                at++;
            cr_assert_eq(*at++, '}', "%.80s", line);
        }
        cr_assert_eq(*at, ' ', "%.80s", line);
        strtod(at + 1, &end);
        cr_assert(end > at + 1 && *end == '\n', "no number: %.80s", line);
    }
}

SCENARIO(admin, metrics_are_prometheus_text_and_name_all_that_was_promised)
{
    static const char *const names[] = {
        "usher_requests_total{class=\"2xx\"}",
        "usher_requests_total{class=\"none\"}",
        "usher_faults_total{fault=\"unknown_host\"}",
        "usher_request_duration_seconds_bucket{le=",
        "usher_request_duration_seconds_sum",
        "usher_request_duration_seconds_count",
        "usher_host_cache_hits_total",
        "usher_host_cache_misses_total",
        "usher_client_connections",
        "usher_client_connections_total",
        "usher_exchanges",
        "usher_tunnels",
        "usher_upstream_connections{state=\"idle\"}",
        "usher_upstream_connections{state=\"busy\"}",
        "usher_upstream_connects_total",
        "usher_upstream_reuses_total",
        "usher_retries_total",
        "usher_accept_pauses_total",
        "usher_subrequests_total{end=\"answered\"}",
        "usher_store_up",
        "usher_store_suspect",
        "usher_store_regressed",
        "usher_store_reconnects_total",
        "usher_store_rounds_total",
        "usher_store_reads_total",
        "usher_store_pushes_total",
        "usher_store_lookups_total",
        "usher_store_lookups_refused_total",
        "usher_records{state=\"good\"}",
        "usher_records{state=\"bad\"}",
        "usher_records{state=\"absent\"}",
        "usher_bad_records_total",
        "usher_records_evicted_total",
        "usher_build{version=\"",
        "process_resident_memory_bytes",
        "process_cpu_seconds_total",
        "process_open_fds",
    };
    static struct scene s;
    const char *page;
    struct response r;

    scene_start(&s);
    r = client_get_once(s.edge.admin, "x", "/metrics");
    cr_assert(has(response_field(&r, "content-type"), "text/plain; version=0.0.4"), "%s", r.head);
    page = scene_page(&s, "/metrics");
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        cr_assert(has(page, kept_format("\n%s", names[i])), "%s is not there", names[i]);
    check_metrics_text(page);
    scene_end(&s);
}

SCENARIO(admin, what_happens_is_counted)
{
    static struct scene s;
    struct origin *o = origin_start("one");
    struct client *c;

    scene_start(&s, .workers = 1);
    scene_host(&s, "a.test", o);
    scene_live(&s);
    c = scene_open(&s);
    for (unsigned i = 0; i < 7; i++)
        client_get(c, "a.test", "/");
    client_get(c, "nobody.test", "/");
    origin_answers(o, "HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n");
    client_get(c, "a.test", "/");
    origin_answers(o, "HTTP/1.1 500 Broken\r\nContent-Length: 0\r\n\r\n");
    client_get(c, "a.test", "/");
    expect_metric(&s, "usher_requests_total{class=\"2xx\"}", 7);
    expect_metric(&s, "usher_requests_total{class=\"3xx\"}", 1);
    expect_metric(&s, "usher_requests_total{class=\"4xx\"}", 1);
    expect_metric(&s, "usher_requests_total{class=\"5xx\"}", 1);
    expect_metric(&s, "usher_request_duration_seconds_count", 10);
    expect_metric(&s, "usher_request_duration_seconds_bucket{le=\"+Inf\"}", 10);
    cr_assert_gt(scene_metric(&s, "usher_request_duration_seconds_sum"), 0);
    expect_metric(&s, "usher_host_cache_misses_total", 2);
    expect_metric(&s, "usher_host_cache_hits_total", 8);
    expect_metric(&s, "usher_client_connections", 1);
    expect_metric(&s, "usher_client_connections_total", 1);
    expect_metric(&s, "usher_exchanges", 0);
    expect_metric(&s, "usher_store_up", 1);
    cr_assert_gt(scene_metric(&s, "process_resident_memory_bytes"), 1e6);
    client_close(c);
    await(scene_metric(&s, "usher_client_connections") == 0);
    scene_end(&s);
}

/* Braces, brackets and quotes that fit: enough to see that a page is JSON to its end. */
static bool is_json(const char *text)
{
    char open[64];
    unsigned depth = 0;
    bool inside = false;

    for (; *text != '\0'; text++) {
        if (inside) {
            if (*text == '\\' && text[1] != '\0')
                text++;
            else if (*text == '"')
                inside = false;
            else if ((unsigned char)*text < 0x20)
                return false;
        } else if (*text == '"') {
            inside = true;
        } else if ((*text == '{' || *text == '[') && depth < sizeof(open)) {
            open[depth++] = *text;
        } else if (*text == '}' || *text == ']') {
            if (depth == 0 || open[--depth] != (*text == '}' ? '{' : '['))
                return false;
        }
    }
    return depth == 0 && !inside;
}

SCENARIO(admin, dumps_show_what_is_held)
{
    static const char *const pages[] = { "/dump/store",    "/dump/records",  "/dump/workers",
                                         "/dump/hosts",    "/dump/services", "/dump/upstreams",
                                         "/dump/exchanges" };
    static struct scene s;
    static struct gate gate = GATE_CLOSED;
    struct origin *o = origin_start("one");
    struct client *c;

    scene_start(&s);
    scene_endpoint(&s, "web", o);
    scene_redis(&s, "HSET usher:tenant:acme to service:web");
    scene_redis(&s, "SET usher:host:a.test tenant:acme");
    scene_redis(&s, "SET usher:host:bad\"\\.test nonsense");
    await_get(&s, "a.test", "/", 200, "one");
    origin_script(o, origin_at_gate, &gate);
    c = scene_open(&s);
    client_send(c, "GET /\"quoted\" HTTP/1.1\r\nHost: a.test\r\n\r\n");
    await(gate_waiting(&gate) == 1);
    for (unsigned i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
        const char *page = scene_page(&s, pages[i]);

        cr_assert_not_null(page, "%s", pages[i]);
        cr_assert(is_json(page), "%s is no JSON: %s", pages[i], page);
    }
    cr_assert(has(scene_page(&s, "/dump/records"), "usher:host:a.test"));
    cr_assert(has(scene_page(&s, "/dump/records?prefix=usher:tenant:"), "usher:tenant:acme"));
    cr_assert_not(has(scene_page(&s, "/dump/records?prefix=usher:tenant:"), "usher:host:a.test"));
    cr_assert(has(scene_page(&s, "/dump/hosts"), "a.test"));
    cr_assert(has(scene_page(&s, "/dump/services"), origin_at(o)));
    cr_assert(has(scene_page(&s, "/dump/upstreams"), origin_at(o)));
    cr_assert(has(scene_page(&s, "/dump/exchanges"), "a.test"));
    gate_open(&gate);
    expect_status(client_read(c), 200);
    await(!has(scene_page(&s, "/dump/exchanges"), "a.test"));
    scene_end(&s);
}

static char *file_text(const char *path)
{
    char *text = kept_alloc(1 << 20);
    FILE *f = fopen(path, "re");
    size_t n = f != NULL ? fread(text, 1, (1 << 20) - 1, f) : 0;

    if (f != NULL)
        fclose(f);
    text[n] = '\0';
    return text;
}

static unsigned lines_in(const char *path)
{
    const char *text = file_text(path);
    unsigned n = 0;

    for (; *text != '\0'; text++)
        n += *text == '\n';
    return n;
}

static void check_access_lines(struct scene *s, const char *path, struct origin *o)
{
    char *text, *line;

    expect_get(s, "a.test", "/x?y=%22z", 200, "one");
    expect_fault(s, "nobody.test", "unknown_host");
    scene_exchange(s, "GET /\"quoted\\ HTTP/1.1\r\nHost: a.test\r\n\r\n");
    await(lines_in(path) == 3);
    text = file_text(path);
    for (line = text; *line != '\0';) {
        size_t len = strcspn(line, "\n");
        char *one = kept_text(line, len);

        cr_assert(one[0] == '{' && one[len - 1] == '}' && is_json(one), "%s", one);
        cr_assert(has(one, "\"time\":\"20") && has(one, "\"client\":\"127.0.0.1\"") &&
                      has(one, "\"ms\":"),
                  "%s", one);
        line += len + 1;
    }
    cr_assert(has(text, "\"host\":\"a.test\"") && has(text, "\"method\":\"GET\"") &&
                  has(text, "\"path\":\"/x\"") && has(text, "\"status\":200") &&
                  has(text, "\"bytes_out\":3"),
              "%s", text);
    cr_assert(has(text, kept_format("\"endpoint\":\"%s\"", origin_at(o))), "%s", text);
    cr_assert(has(text, "\"fault\":\"unknown_host\"") && has(text, "\"status\":404"), "%s", text);
}

SCENARIO(admin, the_access_log_is_a_json_line_per_request)
{
    static struct scene s;
    struct origin *o = origin_start("one");
    const char *path;

    scene_start(&s, .without_edge = true);
    path = kept_format("%s/access", s.dir);
    s.options.flags[0] = "--access-log";
    s.options.flags[1] = path;
    scene_edge_start(&s);
    scene_host(&s, "a.test", o);
    check_access_lines(&s, path, o);
    scene_end(&s);
}

SCENARIO(admin, the_access_log_may_go_to_standard_output)
{
    static struct scene s;
    struct origin *o = origin_start("one");

    scene_start(&s, .flags = { "--access-log", "-" });
    scene_host(&s, "a.test", o);
    check_access_lines(&s, s.edge.out, o);
    scene_end(&s);
}

SCENARIO(admin, the_access_log_is_off_by_default)
{
    static struct scene s;

    scene_start(&s);
    scene_host(&s, "a.test", origin_start("one"));
    scene_live(&s);
    expect_get(&s, "a.test", "/", 200, "one");
    cr_assert_str_eq(file_text(s.edge.out), "");
    scene_end(&s);
}

SCENARIO(admin, the_access_log_is_opened_anew_on_sighup)
{
    static struct scene s;
    const char *path, *moved;

    scene_start(&s, .without_edge = true);
    path = kept_format("%s/access", s.dir);
    moved = kept_format("%s/access.1", s.dir);
    s.options.flags[0] = "--access-log";
    s.options.flags[1] = path;
    scene_edge_start(&s);
    scene_host(&s, "a.test", origin_start("one"));
    scene_live(&s);
    expect_get(&s, "a.test", "/1", 200, "one");
    await(lines_in(path) == 1);
    cr_assert_eq(rename(path, moved), 0);
    process_signal(&s.edge.process, SIGHUP);
    await(access(path, F_OK) == 0);
    expect_get(&s, "a.test", "/2", 200, "one");
    await(has(file_text(path), "/2"));
    cr_assert_not(has(file_text(moved), "/2"));
    scene_end(&s);
}

SCENARIO(admin, an_access_log_that_blocks_holds_no_request)
{
    static struct scene s;
    struct client *c;
    const char *path;
    uint64_t start;
    int reader;

    scene_start(&s, .without_edge = true);
    path = kept_format("%s/pipe", s.dir);
    cr_assert_eq(mkfifo(path, 0600), 0);
    reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC); /* and never reads */
    s.options.flags[0] = "--access-log";
    s.options.flags[1] = path;
    scene_edge_start(&s);
    scene_host(&s, "a.test", origin_start("one"));
    c = scene_open(&s);
    start = await_now_ms();
    for (unsigned i = 0; i < 2000; i++) /* some 300 kB: more than a pipe holds */
        expect_status(client_get(c, "a.test", "/"), 200);
    cr_assert_leq(await_now_ms() - start, edge_has_sanitizer() ? 10000 : 4000);
    close(reader);
    scene_end(&s);
}
