/* test_cgi.c -- scripts, parameters and heads in CGI's words. */
#include <criterion/criterion.h>

#include "base/buf.h"
#include "http/cgi.h"

static const struct cgi_scripts app = { .root = { "/srv/app", 8 }, .index = { "index.php", 9 } };
static const struct cgi_scripts split = { .root = { "/srv/app", 8 },
                                          .index = { "index.php", 9 },
                                          .path_info = true };

static void expect_script(const struct cgi_scripts *scripts, const char *path, const char *name,
                          const char *path_info)
{
    struct cgi_script script;
    char scratch[256];

    cr_assert(cgi_script_of(str_from(path), scripts, scratch, &script), "%s was refused", path);
    cr_expect(str_equals(script.name, str_from(name)), "%s is " STR_FMT, path,
              STR_ARG(script.name));
    cr_expect(str_equals(script.path_info, str_from(path_info)), "of %s: " STR_FMT, path,
              STR_ARG(script.path_info));
}

Test(cgi, scripts)
{
    expect_script(&app, "/", "/index.php", "");
    expect_script(&app, "/blog/a%20b", "/index.php", "");
    expect_script(&app, "/a/b.php", "/a/b.php", "");
    expect_script(&app, "/a%20b.php", "/a b.php", "");
    expect_script(&app, "//a///b.php", "/a/b.php", "");
    expect_script(&app, "/a.php/b", "/index.php", "");
    expect_script(&app, "/.php", "/index.php", "");
    expect_script(&app, "/%252e%252e/x.php", "/%2e%2e/x.php", "");
    expect_script(&split, "/a.php/b/c", "/a.php", "/b/c");
    expect_script(&split, "/a.php/b.php", "/a.php", "/b.php");
    expect_script(&split, "/a.phps/b", "/index.php", "");
}

Test(cgi, paths_that_could_mean_another_file)
{
    static const char *const paths[] = { "/a/../b.php",   "/..",        "/a/./b.php",
                                         "/%2e%2e/b.php", "/a%2fb.php", "/a%5Cb.php",
                                         "/a\\b.php",     "/a%00.php",  "/a%0a.php",
                                         "/a%7f.php",     "/a%2.php",   "/a%",
                                         "/a%zz",         "a.php",      "" };
    struct cgi_script script;
    char scratch[256];

    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
        cr_expect(!cgi_script_of(str_from(paths[i]), &app, scratch, &script), "%s", paths[i]);
    cr_expect(cgi_climbs(STR("/a/%2e%2e/b")));
    cr_expect(cgi_climbs(STR("/a/.%2E")));
    cr_expect(!cgi_climbs(STR("/a/../b")));
    cr_expect(!cgi_climbs(STR("/a/%2e%2e%2e/b%2e%2e")));
}

/* "NAME=value\n" for each parameter. */
static char *params_said(const struct cgi_request *r)
{
    static char room[64 * 1024];
    struct fastcgi_writer w = { .at = room, .end = room + sizeof(room) };
    struct buf said = { 0 };
    size_t at = FASTCGI_HEADER_BYTES, end;

    cgi_params(&w, r);
    end = (size_t)(w.at - room);
    cr_assert(!w.full);
    while (at < end) {
        size_t lengths[2];

        for (unsigned i = 0; i < 2; i++) {
            const unsigned char *p = (const unsigned char *)room + at;

            lengths[i] =
                p[0] < 128 ? p[0] : (size_t)(p[0] & 127) << 24 | p[1] << 16 | p[2] << 8 | p[3];
            at += p[0] < 128 ? 1 : 4;
        }
        buf_add(&said, room + at, lengths[0]);
        buf_add_text(&said, "=");
        buf_add(&said, room + at + lengths[0], lengths[1]);
        buf_add_text(&said, "\n");
        at += lengths[0] + lengths[1];
    }
    return said.ptr;
}

Test(cgi, parameters)
{
    struct address client, server;
    const char *expected;
    struct cgi_request r = { .scripts = &split,
                             .script = { STR("/a.php"), STR("/rest") },
                             .method = STR("POST"),
                             .path = STR("/pre/%61.php/rest"),
                             .query = STR("q=1"),
                             .minor = 1,
                             .https = true,
                             .server_name = STR("shop.example"),
                             .client = &client,
                             .server = &server };
    char *said;

    cr_assert(address_parse(STR("[2001:db8::7]:4711"), 1, &client, &expected));
    cr_assert(address_parse(STR("10.0.0.1:443"), 1, &server, &expected));
    r.head = STR("POST /x HTTP/1.1\r\nHost: shop.example:444\r\nContent-Type: text/plain\r\n"
                 "Content-Length: 7\r\nCookie: a=1\r\nX-Two: one\r\nProxy: evil\r\nX_Two: evil\r\n"
                 "cookie: b=2\r\nx-two: two\r\nTransfer-Encoding: chunked\r\nTE: trailers\r\n"
                 "Connection: TE\r\nX-Empty: \r\n\r\n");
    said = params_said(&r);
    cr_expect_str_eq(said, "GATEWAY_INTERFACE=CGI/1.1\nSERVER_SOFTWARE=usher\n"
                           "SERVER_PROTOCOL=HTTP/1.1\nREQUEST_SCHEME=https\nHTTPS=on\n"
                           "REDIRECT_STATUS=200\nREQUEST_METHOD=POST\n"
                           "REQUEST_URI=/pre/%61.php/rest?q=1\nQUERY_STRING=q=1\n"
                           "SCRIPT_FILENAME=/srv/app/a.php\nSCRIPT_NAME=/a.php\n"
                           "DOCUMENT_URI=/a.php/rest\nDOCUMENT_ROOT=/srv/app\nPATH_INFO=/rest\n"
                           "PATH_TRANSLATED=/srv/app/rest\nSERVER_NAME=shop.example\n"
                           "SERVER_ADDR=10.0.0.1\nSERVER_PORT=443\nREMOTE_ADDR=2001:db8::7\n"
                           "REMOTE_PORT=4711\nHTTP_HOST=shop.example:444\n"
                           "CONTENT_TYPE=text/plain\nHTTP_COOKIE=a=1; b=2\nHTTP_X_TWO=one, two\n"
                           "HTTP_X_EMPTY=\n");
    free(said);
}

static void expect_head(const char *head, const char *http)
{
    struct buf text = { 0 };

    buf_reserve(&text, CGI_HTTP_ROOM(strlen(head)));
    cr_assert_eq(cgi_head_end(str_from(head), 0), strlen(head), "%s", head);
    text.len = cgi_to_http(str_from(head), text.ptr);
    cr_expect(str_equals(str_slice(text.ptr, text.len), str_from(http)), "%s became " STR_FMT, head,
              (int)text.len, text.ptr);
    buf_free(&text);
}

Test(cgi, heads_of_responses)
{
    expect_head("Content-Type: text/html\r\n\r\n",
                "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n");
    expect_head("A: b\n\n", "HTTP/1.1 200 OK\r\nA: b\r\n\r\n");
    expect_head("status: 404 Not Found\r\nA: b\n\r\n", "HTTP/1.1 404 Not Found\r\nA: b\r\n\r\n");
    expect_head("Status: 204\n\n", "HTTP/1.1 204\r\n\r\n");
    expect_head("Location: /x\n\n", "HTTP/1.1 302 Found\r\nLocation: /x\r\n\r\n");
    expect_head("Status: 301 Moved\nLocation: /x\n\n",
                "HTTP/1.1 301 Moved\r\nLocation: /x\r\n\r\n");
    expect_head("A: b\nTransfer-Encoding: chunked\nConnection: close\n\n",
                "HTTP/1.1 200 OK\r\nA: b\r\n\r\n");
    expect_head("Status: 101\n\n", "");
    expect_head("Status: abc\n\n", "");
    expect_head("Status: 2000\n\n", "");
    expect_head("Status: 200\nStatus: 200\n\n", "");
}

Test(cgi, the_end_of_a_head_is_found_in_pieces)
{
    static const char *const heads[] = { "A: b\r\n\r\nbody\n\n", "A: b\n\nbody", "A: b\n\r\n\n" };
    static const size_t ends[] = { 8, 6, 7 };

    for (unsigned i = 0; i < 3; i++)
        for (size_t len = 1; len <= strlen(heads[i]); len++)
            for (size_t from = 0; from < len; from++) {
                struct str head = str_slice(heads[i], len);
                bool before = from > 0 && cgi_head_end(str_slice(heads[i], from), 0) > 0;

                if (!before)
                    cr_expect_eq(cgi_head_end(head, from), len >= ends[i] ? ends[i] : 0,
                                 "%u: %zu from %zu", i, len, from);
            }
}
