/* test_serializer.c -- heads as they leave this edge. */
#include <criterion/criterion.h>

#include "http/framing.h"
#include "http/parser.h"
#include "http/serializer.h"

static const struct parser_limits limits = { .head_bytes = 4096,
                                             .header_count = 40,
                                             .url_bytes = 1024 };

static void parse(struct parser *p, struct head *h, bool request, const char *text)
{
    head_init(h);
    parser_init(p, request, &limits);
    parser_start(p, h);
    cr_assert_eq(parser_head(p, text, 0, strlen(text)), PARSE_DONE, "%s", text);
    cr_assert_eq(request ? framing_request(h) : framing_response(h, false, true), FAULT_NONE, "%s",
                 text);
}

static const char *request_as_sent(const char *text, bool forwarded)
{
    static char to[4096];
    struct request_out out = { .method = STR("GET"),
                               .path = STR("/p"),
                               .query = STR("q"),
                               .host = STR("shop.example"),
                               .authority = STR("shop.example"),
                               .client_ip = STR("2001:db8::7"),
                               .scheme = STR("http"),
                               .id = STR("edge"),
                               .forwarded = forwarded };
    struct parser p;
    struct head h;
    size_t len;

    parse(&p, &h, true, text);
    len = serializer_request(to, sizeof(to) - 1, &h, &out);
    cr_assert_gt(len, 0);
    to[len] = '\0';
    head_free(&h);
    return to;
}

#define ADDED                                                                                      \
    "X-Forwarded-For: 2001:db8::7\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: shop.example\r\n"

Test(serializer, edits_take_away_and_put_in_place)
{
    static const struct header_edit edits[] = {
        { STR("x-stage"), STR("green") }, { STR("Cookie"), { NULL, 0 } },
        { STR("X-Twice"), STR("1") },     { STR("x-twice"), STR("2") },
        { STR("X-Then"), STR("1") },      { STR("x-then"), { NULL, 0 } },
        { STR("X-Empty"), STR("") },
    };
    static char to[4096];
    struct request_out out = { .method = STR("GET"),
                               .path = STR("/p"),
                               .query = { NULL, 0 },
                               .host = STR("inner.example:81"),
                               .authority = STR("shop.example"),
                               .client_ip = STR("2001:db8::7"),
                               .scheme = STR("http"),
                               .id = STR("edge"),
                               .edits = edits,
                               .edit_count = sizeof(edits) / sizeof(edits[0]) };
    struct parser p;
    struct head h;
    size_t len;

    parse(&p, &h, true,
          "GET /p HTTP/1.1\r\nHost: shop.example\r\nA: 1\r\nCOOKIE: a\r\nB: 2\r\ncookie: b\r\n"
          "X-Stage: mine\r\nX-Then: mine\r\nC: 3\r\n\r\n");
    len = serializer_request(to, sizeof(to) - 1, &h, &out);
    to[len] = '\0';
    head_free(&h);
    cr_expect_str_eq(to, "GET /p HTTP/1.1\r\nHost: inner.example:81\r\nA: 1\r\nB: 2\r\nC: 3\r\n"
                         "x-stage: green\r\nx-twice: 2\r\nX-Empty: \r\n" ADDED
                         "Via: 1.1 edge\r\nCDN-Loop: edge\r\n\r\n");
}

Test(serializer, writes_a_request_with_our_own_fields)
{
    cr_expect_str_eq(
        request_as_sent("GET /p?q HTTP/1.1\r\nAccept: */*\r\nhost: shop.example\r\nX:1\r\n\r\n",
                        false),
        "GET /p?q HTTP/1.1\r\nHost: shop.example\r\nAccept: */*\r\nX: 1\r\n" ADDED
        "Via: 1.1 edge\r\nCDN-Loop: edge\r\n\r\n");
    cr_expect_str_eq(request_as_sent("GET /p?q HTTP/1.1\r\nHost: shop.example\r\n\r\n", true),
                     "GET /p?q HTTP/1.1\r\nHost: shop.example\r\n" ADDED
                     "Forwarded: for=\"[2001:db8::7]\";host=\"shop.example\";proto=http\r\n"
                     "Via: 1.1 edge\r\nCDN-Loop: edge\r\n\r\n");
}

Test(serializer, drops_what_ends_at_this_hop_or_is_ours_to_say)
{
    const char *sent = request_as_sent(
        "POST /p HTTP/1.1\r\nHost: shop.example\r\nConnection: close, X-Secret, TE\r\nX-Secret: 1\r\n"
        "Keep-Alive: 5\r\nProxy-Connection: x\r\nProxy-Authorization: x\r\nTE: gzip\r\nUpgrade: h2c\r\n"
        "HTTP2-Settings: x\r\nX-Forwarded-For: 6.6.6.6\r\nx-forwarded-proto: https\r\n"
        "X-FORWARDED-HOST: evil\r\nForwarded: for=6.6.6.6\r\nVia: 1.0 other\r\nCDN-Loop: other\r\n"
        "Content-Length: 3\r\n\r\n",
        false);

    cr_expect_str_eq(
        sent, "GET /p?q HTTP/1.1\r\nHost: shop.example\r\nVia: 1.0 other\r\nCDN-Loop: other\r\n"
              "Content-Length: 3\r\n" ADDED "Via: 1.1 edge\r\nCDN-Loop: edge\r\n\r\n");
}

Test(serializer, passes_on_what_belongs_to_the_body_and_the_upgrade)
{
    cr_expect(
        strstr(request_as_sent("POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
                               "Trailer: X-Sum\r\nTE: trailers\r\nExpect: 100-continue\r\n\r\n",
                               false),
               "Trailer: X-Sum\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n"
               "Connection: TE\r\nTE: trailers\r\n") != NULL);
    cr_expect(
        strstr(request_as_sent("GET /p HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\n"
                               "Upgrade: WebSocket\r\nSec-WebSocket-Key: k\r\n\r\n",
                               false),
               "Sec-WebSocket-Key: k\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n") != NULL);
    cr_expect(strstr(request_as_sent("GET /p HTTP/1.0\r\nHost: a\r\n\r\n", false),
                     "Via: 1.0 edge") != NULL);
}

static const char *response_as_sent(const char *text, struct response_out out)
{
    static char to[4096];
    struct parser p;
    struct head h;
    size_t len;

    parse(&p, &h, false, text);
    out.status = h.status;
    out.id = STR("edge");
    out.date = STR("now");
    len = serializer_response(to, sizeof(to) - 1, &h, &out);
    cr_assert_gt(len, 0);
    to[len] = '\0';
    head_free(&h);
    return to;
}

Test(serializer, writes_a_response_with_our_own_fields)
{
    cr_expect_str_eq(
        response_as_sent("HTTP/1.1 200 Fine\r\nUsher-Fault: evil\r\nX: y\r\nConnection: X-Y\r\n"
                         "X-Y: 1\r\nKeep-Alive: 3\r\nContent-Length: 3\r\n\r\n",
                         (struct response_out){ .close = true }),
        "HTTP/1.1 200 Fine\r\nX: y\r\nContent-Length: 3\r\nConnection: close\r\nDate: now\r\n"
        "Via: 1.1 edge\r\n\r\n");
    cr_expect_str_eq(
        response_as_sent("HTTP/1.0 200 O\x01K\r\nDate: then\r\n\r\n",
                         (struct response_out){ .chunked = true }),
        "HTTP/1.1 200 OK\r\nDate: then\r\nTransfer-Encoding: chunked\r\nVia: 1.0 edge\r\n\r\n");
    cr_expect_str_eq(
        response_as_sent("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n",
                         (struct response_out){ .keep_alive = true }),
        "HTTP/1.1 204 No Content\r\nConnection: keep-alive\r\nDate: now\r\nVia: 1.1 edge\r\n\r\n");
}

Test(serializer, says_when_there_is_no_room)
{
    struct response_out out = { .status = 200, .id = STR("edge"), .date = STR("now") };
    struct parser p;
    struct head h;
    char to[256];
    size_t whole;

    parse(&p, &h, false, "HTTP/1.1 200 OK\r\nX: y\r\nContent-Length: 0\r\n\r\n");
    whole = serializer_response(to, sizeof(to), &h, &out);
    for (size_t room = 0; room <= whole; room++)
        cr_expect_eq(serializer_response(to, room, &h, &out), 0);
    cr_expect_eq(serializer_response(to, whole + 1, &h, &out), whole);
    head_free(&h);
}

Test(field_names, are_known_in_any_case)
{
#define FIELD(id, name) cr_expect_eq(field_id_of(STR(name)), FIELD_##id, "%s", name);
#include "http/field_names.def"
#undef FIELD
    cr_expect_eq(field_id_of(STR("CoNTent-LENgth")), FIELD_CONTENT_LENGTH);
    cr_expect_eq(field_id_of(STR("Usher-Anything")), FIELD_USHER);
    cr_expect_eq(field_id_of(STR("x-forwarded-fox")), FIELD_OTHER);
    cr_expect_eq(field_id_of(STR("ho\rt")), FIELD_OTHER);
}
