/* test_target.c -- hosts and paths in normal form. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "http/parser.h"
#include "http/target.h"

static const struct parser_limits limits = { .head_bytes = 4096,
                                             .header_count = 8,
                                             .url_bytes = 1024 };

Test(target, writes_hosts_in_one_form)
{
    static const struct {
        const char *sent, *normal; /* "": refused */
    } rows[] = {
        { "Shop.Example", "shop.example" },
        { "shop.example:8080", "shop.example" },
        { "shop.example.", "shop.example" },
        { "shop.example.:80", "shop.example" },
        { "shop.example:", "shop.example" },
        { "10.0.0.1:80", "10.0.0.1" },
        { "[2001:DB8::1]:443", "[2001:db8::1]" },
        { "[::1]", "[::1]" },
        { "xn--bcher-kva.example", "xn--bcher-kva.example" },
        { "my_shop.example", "my_shop.example" },
        { "*", "" },
        { "*.shop.example", "" },
        { "", "" },
        { ".", "" },
        { ".shop", "" },
        { "a..b", "" },
        { "a b", "" },
        { "a/b", "" },
        { "a@b", "" },
        { "a:b", "" },
        { "a:70000", "" },
        { "a:80:80", "" },
        { "[::1", "" },
        { "[::1]x", "" },
        { "[zz]", "" },
        { "::1", "" },
        { "b\xc3\xbc"
          "cher.example",
          "" },
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char to[TARGET_HOST_MAX + 1];
        size_t len = target_normal_host(str_from(rows[i].sent), to);

        cr_expect(str_equals(str_slice(to, len), str_from(rows[i].normal)), "%s -> %.*s",
                  rows[i].sent, (int)len, to);
    }
}

Test(target, refuses_hosts_that_are_too_long)
{
    char host[300], to[TARGET_HOST_MAX + 1];

    memset(host, 'a', sizeof(host));
    cr_expect_eq(target_normal_host(str_slice(host, 64), to), 0, "a label has 63 at most");
    for (size_t i = 63; i < sizeof(host); i += 64)
        host[i] = '.';
    cr_expect_eq(target_normal_host(str_slice(host, 253), to), 253);
    cr_expect_eq(target_normal_host(str_slice(host, 255), to), 0);
}

Test(target, knows_the_forms_of_a_request_target)
{
    static const struct {
        const char *line, *host_field;
        enum fault fault;
        const char *host, *path, *query; /* query NULL: none */
    } rows[] = {
        { "GET /a?b=c HTTP/1.1", "Host: x\r\n", FAULT_NONE, "x", "/a", "b=c" },
        { "GET /a? HTTP/1.1", "Host: x\r\n", FAULT_NONE, "x", "/a", "" },
        { "GET http://x:80/a?b HTTP/1.1", "Host: X\r\n", FAULT_NONE, "x", "/a", "b" },
        { "GET http://x?b HTTP/1.1", "Host: x\r\n", FAULT_NONE, "x", "/", "b" },
        { "GET http://x HTTP/1.1", "Host: x\r\n", FAULT_NONE, "x", "/", NULL },
        { "GET http://y/ HTTP/1.1", "Host: x\r\n", FAULT_bad_request, NULL, NULL, NULL },
        { "GET http://u@x/ HTTP/1.1", "Host: x\r\n", FAULT_bad_request, NULL, NULL, NULL },
        { "OPTIONS * HTTP/1.1", "Host: x\r\n", FAULT_NONE, "x", "*", NULL },
        { "GET * HTTP/1.1", "Host: x\r\n", FAULT_bad_request, NULL, NULL, NULL },
        { "GET /#f HTTP/1.1", "Host: x\r\n", FAULT_bad_request, NULL, NULL, NULL },
        { "CONNECT x:443 HTTP/1.1", "Host: x\r\n", FAULT_not_implemented, NULL, NULL, NULL },
        { "GET / HTTP/1.1", "", FAULT_bad_host, NULL, NULL, NULL },
        { "GET / HTTP/1.0", "", FAULT_bad_host, NULL, NULL, NULL },
        { "GET / HTTP/1.1", "Host:\r\n", FAULT_bad_host, NULL, NULL, NULL },
        { "GET / HTTP/1.1", "Host: x\r\nHost: x\r\n", FAULT_bad_host, NULL, NULL, NULL },
        { "GET / HTTP/1.1", "Host: *\r\n", FAULT_bad_host, NULL, NULL, NULL },
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[256];
        struct parser p;
        struct head h;
        struct target t;

        snprintf(text, sizeof(text), "%s\r\n%s\r\n", rows[i].line, rows[i].host_field);
        head_init(&h);
        parser_init(&p, true, &limits);
        parser_start(&p, &h);
        cr_assert_eq(parser_head(&p, text, 0, strlen(text)), PARSE_DONE, "%s", text);
        cr_expect_eq(target_read(&h, &t), rows[i].fault, "%s", text);
        if (rows[i].fault == FAULT_NONE) {
            cr_expect_str_eq(t.host, rows[i].host);
            cr_expect(str_equals(t.path, str_from(rows[i].path)), "%s", text);
            cr_expect_eq(t.query.ptr == NULL, rows[i].query == NULL, "%s", text);
            if (rows[i].query != NULL)
                cr_expect(str_equals(t.query, str_from(rows[i].query)), "%s", text);
        }
        head_free(&h);
    }
}
