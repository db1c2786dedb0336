/* test_scenario_static_files.c -- files of a tenant's folder, as clients get them. */
#include "harness/scene.h"
#include "harness/verb.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char www[128]; /* what the operator allows; s.dir goes with all that is in it */

static void put_bytes(const char *name, const char *bytes, size_t len)
{
    char *path = kept_format("%s/%s", www, name);
    int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0644);

    cr_assert_geq(fd, 0, "%s", path);
    cr_assert_eq(write(fd, bytes, len), (ssize_t)len);
    close(fd);
}

static void put(const char *name, const char *text)
{
    put_bytes(name, text, strlen(text));
}

static void put_folder(const char *name)
{
    cr_assert_eq(mkdir(kept_format("%s/%s", www, name), 0755), 0);
}

static void put_pattern(const char *name, size_t len)
{
    char *bytes = kept_alloc(len);

    pattern_fill(bytes, len, 0);
    put_bytes(name, bytes, len);
}

/* Once: a folder for the scene that is about to start, and the flag that allows it. */
static const char *allow(void)
{
    snprintf(www, sizeof(www), "/tmp/usher-www-XXXXXX");
    cr_assert_not_null(mkdtemp(www));
    put_folder("acme");
    return kept_format("static_files.root=%s", www);
}

static void take_away(void)
{
    const char *const argv[] = { "rm", "-rf", www, NULL };

    cr_assert(starts(www, "/tmp/usher-www-"));
    process_run(argv, NULL, NULL, NULL);
}

static void acme(struct scene *s, const struct origin *o, const char *modules)
{
    if (o != NULL) /* else its modules have all the answers */
        scene_redis(s, "HSET usher:tenant:acme to %s", origin_at(o));
    scene_redis(s, "HSET usher:tenant:acme modules '%s'", modules);
    scene_redis(s, "SET usher:host:a.test tenant:acme");
    scene_live(s);
}

static struct response ask(struct scene *s, const char *method, const char *path, const char *more)
{
    struct client *c = scene_open(s);
    struct response r;

    client_sendf(c, "%s %s HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n%s\r\n", method, path,
                 more);
    r = strcmp(method, "HEAD") == 0 ? client_read_to_head(c) : client_read(c);
    client_close(c);
    return r;
}

#define expect_field(r, name, value)                                                               \
    do {                                                                                           \
        char *is_ = response_field(&(r), name);                                                    \
        cr_assert(is_ != NULL && strcmp(is_, value) == 0, "%s: %s, not %s", name, is_, value);     \
    } while (0)

SCENARIO(mod_static_files, files_index_types_and_redirects)
{
    static struct scene s;
    struct response r;

    scene_start(&s, .flags = { "--module-option", allow() });
    put("acme/index.html", "<p>home");
    put("acme/a b.txt", "text");
    put("acme/none", "?");
    put("acme/empty.css", "");
    put_folder("acme/docs");
    put("acme/docs/index.html", "<p>docs");
    put_folder("acme/bare");
    acme(&s, NULL, "static_files(root=acme max_age=1h)");
    r = ask(&s, "GET", "/", "");
    expect_status(r, 200);
    cr_assert_str_eq(r.text, "<p>home");
    expect_field(r, "content-type", "text/html; charset=utf-8");
    expect_field(r, "content-length", "7");
    expect_field(r, "accept-ranges", "bytes");
    expect_field(r, "cache-control", "max-age=3600");
    cr_assert_not_null(response_field(&r, "etag"));
    cr_assert_not_null(response_field(&r, "last-modified"));
    r = ask(&s, "GET", "/a%20b.txt?x=1", "");
    cr_assert_str_eq(r.text, "text");
    r = ask(&s, "GET", "/none", "");
    expect_field(r, "content-type", "application/octet-stream");
    r = ask(&s, "GET", "/empty.css", "");
    expect_status(r, 200);
    expect_field(r, "content-length", "0");
    r = ask(&s, "HEAD", "/", "");
    expect_status(r, 200);
    expect_field(r, "content-length", "7");
    r = ask(&s, "GET", "/docs?a=b", "");
    expect_status(r, 301);
    expect_field(r, "location", "/docs/?a=b");
    r = ask(&s, "GET", "/docs/", "");
    cr_assert_str_eq(r.text, "<p>docs");
    expect_status(ask(&s, "GET", "/bare/", ""), 404);
    r = ask(&s, "GET", "/a%20b.txt", "Range: bytes=1-2\r\n");
    cr_assert(starts(r.head, "HTTP/1.1 206 Partial Content\r\n"), "%s", r.head);
    expect_status(ask(&s, "GET", "/nothing", ""), 404);
    r = ask(&s, "POST", "/", "Content-Length: 0\r\n");
    expect_status(r, 405);
    expect_field(r, "allow", "GET, HEAD");
    scene_end(&s);
    take_away();
}

SCENARIO(mod_static_files, nothing_outside_the_folder_is_read)
{
    static const char *const paths[] = {
        "/../secret", "/%2e%2e/secret", "/..%2fsecret",       "/out",         "/far",
        "/.env",      "/%2eenv",        "/docs/../../secret", "//etc/passwd", "/index.html%00.txt",
        "/pipe"
    };
    static struct scene s;
    char *error;

    scene_start(&s, .flags = { "--module-option", allow() });
    put("secret", "secret");
    put("acme/.env", "secret");
    put("acme/index.html", "home");
    cr_assert_eq(symlink("../secret", kept_format("%s/acme/out", www)), 0);
    cr_assert_eq(symlink("/etc/passwd", kept_format("%s/acme/far", www)), 0);
    cr_assert_eq(mkfifo(kept_format("%s/acme/pipe", www), 0644), 0);
    acme(&s, NULL, "static_files(root=acme)");
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        struct response r = ask(&s, "GET", paths[i], "");

        cr_assert(r.status == 404 || r.status == 400, "%s: %d", paths[i], r.status);
        cr_assert_not(has(r.text, "secret") || has(r.text, "root:"), "%s", paths[i]);
    }
    for (size_t i = 0; i < 3; i++) { /* nor is a root outside taken */
        static const char *const roots[] = { "/etc", "../..", "acme/far" };

        scene_redis(&s, "HSET usher:tenant:acme modules 'static_files(root=%s)'", roots[i]);
        await(has(error = scene_redis(&s, "HGET usher:errors usher:tenant:acme"), roots[i]));
        cr_assert(has(error, "setting root: a folder"), "%s", error);
        expect_get(&s, "a.test", "/", 200, "home");
    }
    scene_redis(&s, "HSET usher:tenant:acme modules 'static_files(root=%s/acme dotfiles)'", www);
    await_get(&s, "a.test", "/.env", 200, "secret");
    scene_end(&s);
    take_away();
}

SCENARIO(mod_static_files, without_the_operators_leave_there_are_none)
{
    static struct scene s;
    struct origin *o = origin_start("one");
    char *error = NULL;

    scene_start(&s);
    acme(&s, o, "request_id");
    await_get(&s, "a.test", "/", 200, "one");
    scene_redis(&s, "HSET usher:tenant:acme modules 'static_files(root=/etc)'");
    await(has(error = scene_redis(&s, "HGET usher:errors usher:tenant:acme"), "operator"));
    cr_assert(has(error, "--module-option static_files.root=DIR"), "%s", error);
    expect_get(&s, "a.test", "/passwd", 200, "one");
    scene_end(&s);
}

SCENARIO(mod_static_files, a_version_that_the_client_has_is_not_sent_again)
{
    static struct scene s;
    struct response r;
    char *tag, *date;

    scene_start(&s, .flags = { "--module-option", allow() });
    put("acme/a.txt", "0123456789");
    acme(&s, NULL, "static_files(root=acme max_age=60s)");
    r = ask(&s, "GET", "/a.txt", "");
    tag = response_field(&r, "etag");
    date = response_field(&r, "last-modified");
    r = ask(&s, "GET", "/a.txt",
            kept_format("If-None-Match: \"x\"\r\nIf-None-Match: W/%s\r\n", tag));
    expect_status(r, 304);
    cr_assert_eq(r.body.bytes, 0);
    expect_field(r, "etag", tag);
    expect_field(r, "cache-control", "max-age=60");
    cr_assert_null(response_field(&r, "content-length"));
    expect_status(ask(&s, "GET", "/a.txt", kept_format("If-Modified-Since: %s\r\n", date)), 304);
    expect_status(ask(&s, "GET", "/a.txt",
                      kept_format("If-None-Match: \"x\"\r\nIf-Modified-Since: %s\r\n", date)),
                  200);
    expect_status(ask(&s, "GET", "/a.txt", "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n"),
                  200);
    expect_status(ask(&s, "GET", "/a.txt", "If-Match: \"x\"\r\n"), 412);
    expect_status(ask(&s, "GET", "/a.txt", kept_format("If-Match: %s\r\n", tag)), 200);
    r = ask(&s, "GET", "/a.txt", "Range: bytes=2-4\r\n");
    expect_status(r, 206);
    cr_assert_str_eq(r.text, "234");
    expect_field(r, "content-range", "bytes 2-4/10");
    expect_field(r, "content-length", "3");
    r = ask(&s, "GET", "/a.txt", kept_format("Range: bytes=-2\r\nIf-Range: %s\r\n", tag));
    expect_status(r, 206);
    cr_assert_str_eq(r.text, "89");
    r = ask(&s, "GET", "/a.txt", "Range: bytes=-2\r\nIf-Range: \"other\"\r\n");
    expect_status(r, 200);
    cr_assert_str_eq(r.text, "0123456789");
    r = ask(&s, "GET", "/a.txt", "Range: bytes=10-\r\n");
    expect_status(r, 416);
    expect_field(r, "content-range", "bytes */10");
    put("acme/a.txt", "0123456789x");
    r = ask(&s, "GET", "/a.txt", kept_format("If-None-Match: %s\r\n", tag));
    expect_status(r, 200);
    cr_assert_str_eq(r.text, "0123456789x");
    scene_end(&s);
    take_away();
}

SCENARIO(mod_static_files, what_is_no_file_goes_on_or_gets_another)
{
    static struct scene s;
    struct origin *o = origin_start("one");
    struct response r;

    scene_start(&s, .flags = { "--module-option", allow() });
    put_folder("acme/v1");
    put_folder("acme/v2");
    put("acme/v1/app.html", "v1");
    put("acme/v2/app.html", "v2");
    cr_assert_eq(symlink("v1", kept_format("%s/acme/current", www)), 0);
    acme(&s, o,
         "static_files(root=acme folder=current strip=/assets fallthrough index=app.html "
         "type html=text/x-own)");
    r = ask(&s, "GET", "/assets/app.html", "");
    cr_assert_str_eq(r.text, "v1");
    expect_field(r, "content-type", "text/x-own");
    expect_status(ask(&s, "GET", "/assets", ""), 301);
    expect_get(&s, "a.test", "/assets/", 200, "v1");
    expect_get(&s, "a.test", "/assets/nothing", 200, "one");
    expect_get(&s, "a.test", "/other", 200, "one");
    r = ask(&s, "POST", "/assets/app.html", "Content-Length: 0\r\n");
    cr_assert_str_eq(r.text, "one");
    cr_assert_eq(symlink("v2", kept_format("%s/acme/next", www)), 0);
    cr_assert_eq(rename(kept_format("%s/acme/next", www), kept_format("%s/acme/current", www)), 0);
    expect_get(&s, "a.test", "/assets/app.html", 200, "v2");
    scene_redis(&s,
                "HSET usher:tenant:acme modules 'static_files(root=acme/v1 missing=/app.html)'");
    await_get(&s, "a.test", "/deep/link", 200, "v1");
    scene_end(&s);
    take_away();
}

SCENARIO(mod_static_files, what_neither_a_file_nor_a_rule_answers_is_no_route)
{
    static struct scene s;

    scene_start(&s, .flags = { "--module-option", allow() });
    put("acme/a.txt", "file");
    acme(&s, NULL, "static_files(root=acme fallthrough)");
    expect_get(&s, "a.test", "/a.txt", 200, "file");
    expect_fault(&s, "a.test", "no_route");
    expect_get(&s, "a.test", "/a.txt", 200, "file");
    scene_end(&s);
    take_away();
}

SCENARIO(mod_static_files, a_folder_for_each_tenant_shows_none_another)
{
    static struct scene s;
    char *error = NULL;

    scene_start(&s, .flags = { "--module-option", kept_format("%s/$tenant", allow()) });
    put("acme/a.txt", "acme");
    put_folder("globex");
    put("globex/a.txt", "globex");
    acme(&s, NULL, "static_files(root=.)");
    expect_get(&s, "a.test", "/a.txt", 200, "acme");
    scene_redis(&s, "HSET usher:tenant:globex modules static_files(root=.)");
    scene_redis(&s, "SET usher:host:b.test tenant:globex");
    await_get(&s, "b.test", "/a.txt", 200, "globex");
    scene_redis(&s, "HSET usher:tenant:acme modules static_files(root=../globex)");
    await(has(error = scene_redis(&s, "HGET usher:errors usher:tenant:acme"), "a folder below"));
    expect_get(&s, "a.test", "/a.txt", 200, "acme");
    scene_end(&s);
    take_away();
}

SCENARIO(mod_static_files, a_folder_that_was_replaced_is_found_again)
{
    static struct scene s;

    scene_start(&s, .flags = { "--module-option", allow() });
    put("acme/a.txt", "old");
    acme(&s, NULL, "static_files(root=acme)");
    expect_get(&s, "a.test", "/a.txt", 200, "old");
    cr_assert_eq(unlink(kept_format("%s/acme/a.txt", www)), 0);
    cr_assert_eq(rmdir(kept_format("%s/acme", www)), 0);
    expect_get(&s, "a.test", "/a.txt", 404, NULL);
    put_folder("acme");
    put("acme/a.txt", "new");
    expect_get(&s, "a.test", "/a.txt", 200, "new");
    scene_end(&s);
    take_away();
}

static void expect_pattern(struct scene *s, const char *path, uint64_t bytes)
{
    struct response r = ask(s, "GET", path, "");

    expect_status(r, 200);
    cr_assert(r.body.whole && r.body.pattern && r.body.bytes == bytes, "%s: %llu bytes", path,
              (unsigned long long)r.body.bytes);
}

SCENARIO(mod_static_files, large_files_arrive_whole_and_slow_readers_cost_no_memory)
{
    static struct scene s;
    struct client *slow[20];
    unsigned files;
    long before;

    scene_start(&s, .workers = 1, .flags = { "--module-option", allow() });
    put_pattern("acme/big", 20000000);
    put_pattern("acme/odd", 65536 * 8);
    acme(&s, NULL, "static_files(root=acme)");
    expect_pattern(&s, "/big", 20000000);
    expect_pattern(&s, "/odd", 65536 * 8);
    await((files = process_files(&s.edge.process)) > 0);
    before = process_rss_kb(&s.edge.process);
    for (unsigned i = 0; i < 20; i++) {
        slow[i] = client_open_narrow(s.edge.at);
        client_send(slow[i], "GET /big HTTP/1.1\r\nHost: a.test\r\n\r\n");
        cr_assert_eq(client_read_head(slow[i]).status, 200);
    }
    expect_pattern(&s, "/odd", 65536 * 8);
    if (!edge_has_sanitizer())
        cr_assert_lt(process_rss_kb(&s.edge.process) - before, 20 * 400);
    for (unsigned i = 0; i < 10; i++)
        client_reset(slow[i]);
    for (unsigned i = 10; i < 20; i++)
        client_close(slow[i]);
    await(process_files(&s.edge.process) <= files);
    scene_end(&s);
    take_away();
}

SCENARIO(mod_static_files, a_file_that_shrinks_cuts_the_response)
{
    static struct scene s;
    struct client *c;
    struct response r;

    scene_start(&s, .workers = 1, .flags = { "--module-option", allow() });
    put_pattern("acme/big", 20000000);
    acme(&s, NULL, "static_files(root=acme)");
    c = client_open_narrow(s.edge.at);
    client_send(c, "GET /big HTTP/1.1\r\nHost: a.test\r\n\r\n");
    cr_assert_eq(client_read_head(c).status, 200);
    put("acme/big", "short");
    r = ask(&s, "GET", "/big", "");
    cr_assert_str_eq(r.text, "short");
    client_read_bytes(c, 20000000);
    cr_assert(client_ended(c, AWAIT_MS), "no more can come: the connection must not wait for it");
    cr_assert_lt(c->in.total, 20000000);
    expect_fault_count(&s, "module_fault", 1);
    scene_end(&s);
    take_away();
}

/* Not in the page cache, as far as the kernel lets go of it: then jobs read it. */
static void forget(const char *name)
{
    int fd = open(kept_format("%s/%s", www, name), O_RDONLY);

    cr_assert_geq(fd, 0);
    cr_assert_eq(fsync(fd), 0);
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    close(fd);
}

SCENARIO(mod_static_files, what_no_cache_has_is_read_by_others_and_clients_may_leave_meanwhile)
{
    static struct scene s;
    unsigned files;

    scene_start(&s, .workers = 1, .flags = { "--module-option", allow() });
    put_pattern("acme/big", 8000000);
    acme(&s, NULL, "static_files(root=acme)");
    expect_pattern(&s, "/big", 8000000);
    files = process_files(&s.edge.process);
    for (unsigned i = 0; i < 5; i++) {
        forget("acme/big");
        expect_pattern(&s, "/big", 8000000);
    }
    for (unsigned i = 0; i < 20; i++) {
        struct client *c = scene_open(&s);

        forget("acme/big");
        client_send(c, "GET /big HTTP/1.1\r\nHost: a.test\r\n\r\n");
        if (i % 2 == 0)
            client_read_head(c);
        client_reset(c);
    }
    expect_pattern(&s, "/big", 8000000);
    await(process_files(&s.edge.process) <= files);
    scene_end(&s);
    take_away();
}

SCENARIO(mod_static_files, files_and_tenants_on_one_connection)
{
    static struct scene s;
    struct origin *o = origin_start("one");
    struct client *c;

    scene_start(&s, .workers = 1, .flags = { "--module-option", allow() });
    put("acme/a.txt", "file");
    put_pattern("acme/big", 300000);
    acme(&s, NULL, "request_id static_files(root=acme)");
    scene_host(&s, "b.test", o);
    scene_live(&s);
    c = scene_open(&s);
    client_send(c, "GET /a.txt HTTP/1.1\r\nHost: a.test\r\n\r\n"
                   "GET /big HTTP/1.1\r\nHost: a.test\r\n\r\n"
                   "GET / HTTP/1.1\r\nHost: b.test\r\n\r\n"
                   "GET /a.txt HTTP/1.1\r\nHost: a.test\r\n\r\n");
    cr_assert_str_eq(client_read(c).text, "file");
    cr_assert_eq(client_read(c).body.bytes, 300000);
    cr_assert_str_eq(client_read(c).text, "one");
    {
        struct response r = client_read(c);

        cr_assert_str_eq(r.text, "file");
        cr_assert_not_null(response_field(&r, "x-request-id"), "hooks of others see it");
    }
    scene_end(&s);
    take_away();
}
