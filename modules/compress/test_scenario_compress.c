/* test_scenario_compress.c -- what clients get compressed, and what they must not. */
#include "harness/scene.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "modules/compress/test_decode.h"

#define ROOM (8u << 20)

static struct origin *begin(struct scene *s, const char *modules)
{
    struct origin *o = origin_start("one");

    scene_start(s, .workers = 1);
    scene_redis(s, "HSET usher:tenant:acme to %s modules '%s'", origin_at(o), modules);
    scene_redis(s, "SET usher:host:a.test tenant:acme");
    scene_live(s);
    return o;
}

/* So much text as a body by length, with these fields. */
static char *page(const char *fields, size_t len)
{
    char *text = kept_alloc(len + 1);

    for (size_t i = 0; i < len; i++)
        text[i] = "an edge serves, "[i % 16];
    text[len] = '\0';
    return kept_format("HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n%s\r\n%s", len, fields, text);
}

static struct response ask(struct scene *s, const char *method, const char *more)
{
    struct client *c = scene_open(s);
    struct response r;

    client_sendf(c, "%s / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n%s\r\n", method, more);
    r = strcmp(method, "HEAD") == 0 ? client_read_to_head(c) : client_read(c);
    client_close(c);
    return r;
}

static void expect_field(struct response r, const char *name, const char *value)
{
    char *is = response_field(&r, name);

    if (value == NULL)
        cr_assert_null(is, "%s: %s", name, is);
    else
        cr_assert(is != NULL && strcmp(is, value) == 0, "%s: %s, not %s", name, is, value);
}

/* Its body, decoded; kept. */
static char *decoded(struct response r, const char *coding)
{
    char *to = kept_alloc(ROOM);
    size_t len;

    expect_field(r, "content-encoding", coding);
    len = decode(coding, r.body.text, r.body.bytes, to, ROOM - 1, false);
    cr_assert_neq(len, SIZE_MAX, "%llu bytes of %s are not whole", (unsigned long long)r.body.bytes,
                  coding);
    to[len] = '\0';
    return to;
}

static void expect_plain(struct response r)
{
    expect_field(r, "content-encoding", NULL);
    cr_assert(starts(r.text, "an edge serves, "), "%s", r.text);
}

SCENARIO(mod_compress, each_coding_is_read_by_its_own_library)
{
    static const char *const codings[] = { "gzip", "br", "zstd" };
    static struct scene s;
    struct origin *o = begin(&s, "compress");
    char *answer = page("Content-Type: text/html; charset=utf-8\r\nETag: \"v1\"\r\n"
                        "Accept-Ranges: bytes\r\nVary: Origin\r\n",
                        200000);

    origin_answers(o, answer);
    for (size_t i = 0; i < 3; i++) {
        struct response r = ask(&s, "GET", kept_format("Accept-Encoding: %s\r\n", codings[i]));

        expect_status(r, 200);
        cr_assert_str_eq(decoded(r, codings[i]), strstr(answer, "\r\n\r\n") + 4);
        cr_assert_lt(r.body.bytes, 20000);
        expect_field(r, "etag", "W/\"v1\"");
        expect_field(r, "accept-ranges", NULL);
        expect_field(r, "content-length", NULL);
        cr_assert(has(r.head, "Accept-Encoding"), "%s", r.head);
    }
    expect_metric(&s, "usher_module_compress_compressed_total", 3);
    expect_metric(&s, "usher_module_compress_bytes_in_total", 600000);
    expect_metric(&s, "usher_module_compress_memory_bytes", 0);
    scene_end(&s);
}

SCENARIO(mod_compress, clients_that_want_it_plain_get_it_plain_and_caches_are_told)
{
    static struct scene s;
    struct origin *o = begin(&s, "compress");
    struct response r;

    origin_answers(o, page("Content-Type: text/plain\r\nETag: \"v1\"\r\n", 5000));
    r = ask(&s, "GET", "");
    expect_plain(r);
    expect_field(r, "vary", "Accept-Encoding");
    expect_field(r, "etag", "\"v1\"");
    expect_field(r, "content-length", "5000");
    expect_plain(ask(&s, "GET", "Accept-Encoding: gzip;q=0\r\n"));
    expect_plain(ask(&s, "GET", "Accept-Encoding: identity, gzip;q=0.3\r\n"));
    r = ask(&s, "GET", "Accept-Encoding: br;q=0.3\r\nAccept-Encoding: gzip\r\n");
    expect_field(r, "content-encoding", "gzip");
    r = ask(&s, "HEAD", "Accept-Encoding: gzip\r\n");
    expect_status(r, 200);
    expect_field(r, "vary", "Accept-Encoding");
    expect_field(r, "content-encoding", NULL);
    scene_end(&s);
}

SCENARIO(mod_compress, what_must_stay_as_it_is_does)
{
    static const char *const fields[] = {
        "Content-Type: image/png\r\n",
        "",
        "Content-Type: text/html\r\nContent-Encoding: gzip\r\n",
        "Content-Type: text/html\r\nCache-Control: public, no-transform\r\n",
        "Content-Type: text/html\r\nContent-Range: bytes 0-4999/9000\r\n",
    };
    static struct scene s;
    struct origin *o = begin(&s, "compress");
    struct response r;

    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        origin_answers(o, page(fields[i], 5000));
        r = ask(&s, "GET", "Accept-Encoding: gzip\r\n");
        cr_assert(starts(r.text, "an edge serves, "), "%s", fields[i]);
        expect_field(r, "vary", NULL);
        expect_field(r, "content-length", "5000");
    }
    origin_answers(o, page("Content-Type: text/html\r\n", 1023));
    expect_plain(ask(&s, "GET", "Accept-Encoding: gzip\r\n"));
    origin_answers(o, page("Content-Type: text/html\r\n", 1024));
    expect_plain(ask(&s, "GET", "Accept-Encoding: gzip\r\nCache-Control: no-transform\r\n"));
    decoded(ask(&s, "GET", "Accept-Encoding: gzip\r\n"), "gzip");
    scene_redis(&s, "HSET usher:tenant:acme modules 'compress(min=10 types=a/b codings=br)'");
    scene_live(&s);
    origin_answers(o, page("Content-Type: a/b\r\n", 100));
    decoded(ask(&s, "GET", "Accept-Encoding: gzip, br\r\n"), "br");
    origin_answers(o, "HTTP/1.1 304 Not Modified\r\nETag: \"v1\"\r\n\r\n");
    r = ask(&s, "GET", "Accept-Encoding: br\r\nIf-None-Match: W/\"v1\"\r\n");
    expect_status(r, 304);
    expect_field(r, "etag", "W/\"v1\"");
    r = ask(&s, "GET", "If-None-Match: \"v1\"\r\n");
    expect_field(r, "etag", "\"v1\"");
    scene_end(&s);
}

static void by_gate(struct origin_conn *c, struct origin_request *r, void *arg)
{
    struct gate *gate = arg;

    origin_read_body(c, r);
    origin_send(c, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                   "Transfer-Encoding: chunked\r\n\r\n");
    for (unsigned i = 0; i < 3; i++) {
        origin_send(c, "f\r\ndata: event  1\n\r\n");
        gate_wait(gate);
    }
    origin_send(c, "0\r\n\r\n");
}

SCENARIO(mod_compress, events_go_out_one_by_one)
{
    static struct gate gate = GATE_CLOSED;
    static struct scene s;
    struct origin *o = begin(&s, "compress");
    struct client *c;
    char to[256];

    origin_script(o, by_gate, &gate);
    c = scene_open(&s);
    client_send(c, "GET / HTTP/1.0\r\nHost: a.test\r\nAccept-Encoding: gzip\r\n\r\n");
    {
        struct response r = client_read_head(c);

        expect_field(r, "content-encoding", "gzip");
    }
    for (unsigned i = 1; i <= 3; i++) { /* each can be read before the next is sent */
        await(decode_gzip(c->in.bytes, c->in.len, to, sizeof(to), true) == 15 * i ||
              (inbox_fill(&c->in, 10), false));
        gate_pass(&gate, 1);
    }
    cr_assert(eventually(inbox_fill(&c->in, 10) == 0, AWAIT_MS));
    cr_assert_eq(decode_gzip(c->in.bytes, c->in.len, to, sizeof(to), false), 45);
    scene_end(&s);
}

/* Text, then nothing until the gate lets it end. */
static void held_text(struct origin_conn *c, struct origin_request *r, void *arg)
{
    origin_read_body(c, r);
    origin_send(c, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
                   "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
    gate_wait(arg);
    origin_send(c, "0\r\n\r\n");
}

static void big_text(struct origin_conn *c, struct origin_request *r, void *arg)
{
    char line[1001];

    (void)arg;
    origin_read_body(c, r);
    origin_send(c, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
                   "Transfer-Encoding: chunked\r\n\r\n");
    memset(line, 'x', sizeof(line));
    for (unsigned i = 0; i < 6000; i++) {
        snprintf(line, 9, "%08u", i * 2654435761u);
        line[8] = 'x';
        line[1000] = '\0';
        if (!origin_sendf(c, "3e8\r\n%s\r\n", line)) {
            origin_hang_up(c);
            return;
        }
    }
    origin_send(c, "0\r\n\r\n");
}

SCENARIO(mod_compress, long_bodies_stream_and_the_memory_has_an_end)
{
    static struct scene s;
    struct origin *o = begin(&s, "compress(codings=gzip memory=1m)");
    static struct gate gate = GATE_CLOSED;
    struct client *held[8];
    unsigned compressed = 0;
    struct response r;
    char *text;

    origin_script(o, big_text, NULL);
    r = ask(&s, "GET", "Accept-Encoding: gzip\r\n");
    text = decoded(r, "gzip");
    cr_assert_eq(strlen(text), 6000000);
    cr_assert(starts(text + 1000, "26544357"), "%.8s", text + 1000);
    origin_script(o, held_text, &gate);
    for (unsigned i = 0; i < 8; i++) {
        held[i] = scene_open(&s);
        client_send(held[i], "GET / HTTP/1.1\r\nHost: a.test\r\nAccept-Encoding: gzip\r\n\r\n");
        r = client_read_head(held[i]);
        compressed += response_field(&r, "content-encoding") != NULL;
    }
    cr_assert(compressed >= 1 && compressed < 8, "%u of 8", compressed);
    cr_assert_gt(scene_metric(&s, "usher_module_compress_full_total"), 0);
    cr_assert_leq(scene_metric(&s, "usher_module_compress_memory_bytes"), 1 << 20);
    for (unsigned i = 0; i < 4; i++)
        client_reset(held[i]);
    gate_open(&gate);
    await(scene_metric(&s, "usher_module_compress_memory_bytes") == 0);
    cr_assert_str_eq(decoded(ask(&s, "GET", "Accept-Encoding: gzip\r\n"), "gzip"), "hello");
    scene_end(&s);
}

static void broken_off(struct origin_conn *c, struct origin_request *r, void *arg)
{
    (void)arg;
    origin_read_body(c, r);
    origin_send(c, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 100000\r\n\r\n"
                   "an edge serves, but this endpoint does not");
    origin_hang_up(c);
}

SCENARIO(mod_compress, a_body_that_breaks_off_does_not_end_as_if_it_were_whole)
{
    static struct scene s;
    struct origin *o = begin(&s, "compress(flush)");
    struct response r;

    origin_script(o, broken_off, NULL);
    r = ask(&s, "GET", "Accept-Encoding: gzip\r\n");
    cr_assert(r.status == 0 || !r.body.whole, "%d", r.status);
    await(scene_metric(&s, "usher_module_compress_memory_bytes") == 0);
    scene_end(&s);
}

SCENARIO(mod_compress, files_are_compressed_on_their_way_but_parts_of_them_are_not)
{
    static struct scene s;
    struct response r;
    char *dir = kept_format("/tmp/usher-www-XXXXXX"), *path, *text;
    FILE *file;

    cr_assert_not_null(mkdtemp(dir));
    path = kept_format("%s/a.txt", dir);
    file = fopen(path, "w");
    for (unsigned i = 0; i < 30000; i++)
        fprintf(file, "line %u\n", i);
    fclose(file);
    scene_start(&s, .flags = { "--module-option", kept_format("static_files.root=%s", dir) });
    scene_redis(&s, "HSET usher:tenant:acme modules 'static_files(root=. index=a.txt) compress'");
    scene_redis(&s, "SET usher:host:a.test tenant:acme");
    scene_live(&s);
    r = ask(&s, "GET", "Accept-Encoding: zstd\r\n");
    expect_status(r, 200);
    text = decoded(r, "zstd");
    cr_assert(starts(text, "line 0\nline 1\n") && has(text, "\nline 29999\n"));
    r = ask(
        &s, "GET",
        kept_format("Accept-Encoding: zstd\r\nIf-None-Match: %s\r\n", response_field(&r, "etag")));
    expect_status(r, 304);
    r = ask(&s, "GET", "Accept-Encoding: zstd\r\nRange: bytes=0-5\r\n");
    expect_status(r, 206);
    cr_assert_str_eq(r.text, "line 0");
    file = fopen(path, "w");
    fputs("short", file);
    fclose(file);
    r = ask(&s, "GET", "Accept-Encoding: zstd\r\n");
    expect_field(r, "content-encoding", NULL);
    cr_assert_str_eq(r.text, "short");
    scene_end(&s);
    unlink(path);
    rmdir(dir);
}
