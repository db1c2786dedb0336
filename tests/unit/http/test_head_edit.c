/* test_head_edit.c -- fields of a head that has been read, changed. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "http/framing.h"
#include "http/head_edit.h"
#include "http/parser.h"
#include "http/serializer.h"

static void *from_heap(void *owner, size_t bytes)
{
    (void)owner;
    return calloc(1, bytes); /* what was before stays where it is, until the test ends */
}

struct read_head {
    struct parser p;
    struct head h;
    struct head_text text;
};

static void read_head(struct read_head *r, const char *bytes)
{
    static const struct parser_limits limits = { 8192, 100, 4096 };
    size_t len = strlen(bytes);

    parser_init(&r->p, true, &limits);
    head_init(&r->h);
    parser_start(&r->p, &r->h);
    cr_assert_eq(parser_head(&r->p, bytes, 0, len), PARSE_DONE);
    cr_assert_eq(framing_request(&r->h), FAULT_NONE);
    r->text = (struct head_text){ .alloc = from_heap, .most = 400, .most_fields = 6 };
}

static const char *written(struct read_head *r)
{
    static char to[4096];
    struct request_out out = { .method = STR("GET"),
                               .path = STR("/"),
                               .host = STR("a"),
                               .authority = STR("a"),
                               .client_ip = STR("1.2.3.4"),
                               .scheme = STR("http"),
                               .id = STR("me") };
    size_t len = serializer_request(to, sizeof(to) - 1, &r->h, &out);

    to[len] = '\0';
    return to;
}

Test(head_edit, what_is_added_is_sent_behind_the_rest)
{
    static struct read_head r;

    read_head(&r, "GET / HTTP/1.1\r\nHost: a\r\nX-A: 1\r\n\r\n");
    cr_assert(head_edit_add(&r.h, &r.text, STR("X-B"), STR("2")));
    cr_assert(head_edit_add(&r.h, &r.text, STR("X-C"), STR("")));
    cr_assert(strstr(written(&r), "\r\nX-A: 1\r\nX-B: 2\r\nX-C: \r\n") != NULL, "%s", written(&r));
}

Test(head_edit, what_connection_names_goes_before_something_is_added)
{
    static struct read_head r;

    read_head(&r, "GET / HTTP/1.1\r\nX-User: me\r\nHost: a\r\nConnection: close, x-user\r\n"
                  "X-Own: 1\r\nConnection: X-Own\r\n\r\n");
    cr_assert(head_edit_add(&r.h, &r.text, STR("X-User"), STR("ann")));
    cr_assert(strstr(written(&r), "\r\nX-User: ann\r\n") != NULL, "%s", written(&r));
    cr_assert(strstr(written(&r), "X-User: me") == NULL, "%s", written(&r));
    cr_assert(strstr(written(&r), "X-Own") == NULL, "%s", written(&r));
    cr_assert_eq(r.h.known[FIELD_HOST], 1, "found where it is now");
}

Test(head_edit, limits_hold_and_leave_all_as_it_was)
{
    static struct read_head r;
    char large[401] = "";

    read_head(&r, "GET / HTTP/1.1\r\nHost: a\r\n1: 1\r\n2: 2\r\n3: 3\r\n\r\n");
    memset(large, 'x', 400);
    cr_assert_not(head_edit_add(&r.h, &r.text, STR("Large"), str_from(large)));
    cr_assert(head_edit_add(&r.h, &r.text, STR("4"), STR("4")));
    cr_assert(head_edit_add(&r.h, &r.text, STR("5"), STR("5")));
    cr_assert_not(head_edit_add(&r.h, &r.text, STR("6"), STR("6")));
    cr_assert_eq(r.h.count, 6);
    head_edit_remove(&r.h, STR("4"));
    cr_assert(head_edit_add(&r.h, &r.text, STR("6"), STR("6")));
    cr_assert(strstr(written(&r), "\r\n5: 5\r\n6: 6\r\n") != NULL, "%s", written(&r));
}

Test(head_edit, names_and_values_are_judged)
{
    cr_assert(head_edit_name_is_right(STR("X-A_b.1")));
    cr_assert_not(head_edit_name_is_right(STR("")));
    cr_assert_not(head_edit_name_is_right(STR("a b")));
    cr_assert_not(head_edit_name_is_right(STR("a:")));
    cr_assert_not(head_edit_name_is_right(str_slice("a\0b", 3)));
    cr_assert(head_edit_value_is_right(STR("")));
    cr_assert(head_edit_value_is_right(STR("a\tb \xff")));
    cr_assert_not(head_edit_value_is_right(STR(" a")));
    cr_assert_not(head_edit_value_is_right(STR("a\r\nb: c")));
    cr_assert_not(head_edit_value_is_right(str_slice("a\0b", 3)));
}

Test(head_edit, fields_that_frame_are_nobodys_to_say)
{
    static const char *const both[] = {
        "Content-Length", "transfer-encoding", "Connection", "usher-fault", "Via", "CDN-Loop"
    };
    static const char *const of_requests[] = { "Host", "Expect", "X-Forwarded-For", "Forwarded" };

    for (unsigned i = 0; i < sizeof(both) / sizeof(both[0]); i++)
        cr_assert(head_edit_is_ours(str_from(both[i]), true) &&
                      head_edit_is_ours(str_from(both[i]), false),
                  "%s", both[i]);
    for (unsigned i = 0; i < sizeof(of_requests) / sizeof(of_requests[0]); i++)
        cr_assert(!head_edit_is_ours(str_from(of_requests[i]), true) &&
                      head_edit_is_ours(str_from(of_requests[i]), false),
                  "%s", of_requests[i]);
    cr_assert_not(head_edit_is_ours(STR("Cookie"), false));
}
