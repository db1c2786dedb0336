/* test_rule.c -- what a rule may say, and what is said about one that may not. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "rules.h"

/* --- right rules, and the one form in which they are shown --- */

static void expect_text(const char *text, const char *shown)
{
    struct routes *routes = rules_compiled(RULES({ "r", text }), 1);
    struct buf again = { 0 };

    route_text(routes, &routes->items[0], &again);
    cr_expect_str_eq(again.ptr, shown, "%s is shown as %s", text, again.ptr);
    object_free(&routes->object);
    /* What is shown can be written, and means the same. */
    routes = rules_compiled(RULES({ "r", shown }), 1);
    buf_clear(&again);
    route_text(routes, &routes->items[0], &again);
    cr_expect_str_eq(again.ptr, shown, "%s is shown as %s", shown, again.ptr);
    buf_free(&again);
    object_free(&routes->object);
}

static void expect_same(const char *text)
{
    expect_text(text, text);
}

Test(rule, each_word)
{
    expect_same("deny");
    expect_same("path /admin/* deny");
    expect_same("path /a deny priority -1000");
    expect_same("path ~^/v[0-9]+/ to 10.0.0.5:8080 [2001:db8::5]:80");
    expect_same("method GET,HEAD to service:web");
    expect_same("header X-A header X-B=1 header X-C~^a deny");
    expect_same("query a query b=2 cookie c cookie d=4 deny");
    expect_same("from 10.0.0.0/8,2001:db8::/32 websocket deny");
    expect_same("split service:a=95 service:b=5 timeout 5s");
    expect_same("redirect 308 https://$host$uri");
    expect_same("redirect 301 /new?from=$path&$query");
    expect_same("redirect 302 https://[2001:db8::1]:8443/");
    expect_same("respond 404");
    expect_same("respond 200 \"all is \\\"well\\\"\\n\"");
    expect_same("path /api/* to service:api strip /api prepend /v2 host api.example:8080 "
                "set X-Tenant=acme unset Cookie timeout 1500ms priority 10");
}

Test(rule, one_form_for_what_means_the_same)
{
    expect_text("  path\t/a\n deny ", "path /a deny");
    expect_text("path /* deny", "deny");
    expect_text("path /a/./b/../%7Euser//x deny", "path /a/~user/x deny");
    expect_text("path /caf\xc3\xa9/%c3/* deny", "path /caf%C3%A9/%C3/* deny");
    expect_text("path \"/a\" deny", "path /a deny");
    expect_text("header X-A=\"a b\" deny", "header \"X-A=a b\" deny");
    expect_text("header \"X-A~\\d \\\\d\" deny", "header \"X-A~\\\\d \\\\d\" deny");
    expect_text("to 10.0.0.5:80 strip /a/ timeout 60000ms", "to 10.0.0.5:80 strip /a timeout 60s");
    expect_text("to service:web set \"X-A=\" ", "to service:web set X-A=");
    expect_text("respond 200 \"\"", "respond 200");
    expect_text("to service:a priority 0", "to service:a");
}

Test(rule, what_the_object_says)
{
    struct routes *routes = rules_compiled(
        RULES({ "api", "path /api/* split service:b=1 service:a=3 set X-A=1 unset X-B timeout 2m" },
              { "web", "to service:a" }),
        2);
    const struct route *api = &routes->items[0];

    cr_assert_eq(routes->count, 2);
    cr_expect_str_eq(routes->id, "acme");
    cr_expect_eq(routes->object.kind, OBJECT_ROUTES);
    cr_expect(str_equals(api->name, STR("api")));
    cr_expect_eq(api->action.kind, ACTION_SPLIT);
    cr_expect_eq(api->action.part_count, 2);
    cr_expect_eq(api->action.part_weights, 4);
    cr_expect(str_equals(api->action.parts[1].service, STR("a")));
    cr_expect_eq(api->action.parts[0].service_slot, 0);
    cr_expect_eq(api->action.parts[1].service_slot, 1);
    cr_expect_eq(api->timeout_ms, 120000);
    cr_expect_eq(api->edit_count, 2);
    cr_expect(str_equals(api->edits[0].value, STR("1")));
    cr_expect_null(api->edits[1].value.ptr);
    cr_expect_eq(routes->items[1].action.service_slot, 1, "one service has one slot");
    object_free(&routes->object);
    routes = compile_routes((struct slot_ref){ 0, 0 }, STR("acme"), NULL, NULL);
    cr_expect(routes->bad);
    cr_expect_eq(routes->count, 0);
    object_free(&routes->object);
}

/* --- rules that are not right --- */

static const struct {
    const char *text, *sentence;
} wrong[] = {
    { "", "got \"\", expected at column 1 an action: to, split, redirect, respond or deny" },
    { "path /a", "got \"\", expected at column 8 an action: to, split, redirect, respond or deny" },
    { "pth /a deny", "got \"pth\", expected at column 1 a condition or an action: path, method, "
                     "header, query, cookie, from, websocket, to, split, redirect, respond, deny" },
    { "\"deny\"", "got \"deny\", expected at column 1 a condition or an action: path, method, "
                  "header, query, cookie, from, websocket, to, split, redirect, respond, deny" },
    { "to service:a stripp /a", "got \"stripp\", expected at column 14 a modifier: strip, prepend, "
                                "host, set, unset, timeout, priority, modules" },
    { "deny path /a", "got \"path\", expected at column 6 conditions before the action" },
    { "deny deny", "got \"deny\", expected at column 6 one action only" },
    { "strip /a to service:a", "got \"strip\", expected at column 1 an action before the "
                               "modifiers: to, split, redirect, respond or deny" },
    { "deny strip /a",
      "got \"strip\", expected at column 6 only priority or modules here: the request goes to no endpoint" },
    { "path /a path /b deny", "got \"path\", expected at column 9 this word once only" },
    { "path", "got \"\", expected at column 5 /x, or /x/* with * as the whole last segment, or "
              "~REGEX" },
    { "path x deny",
      "got \"x\", expected at column 6 /x, or /x/* with * as the whole last segment, "
      "or ~REGEX" },
    { "path /a* deny", "got \"/a*\", expected at column 6 * nowhere but as the whole last segment "
                       "of a condition" },
    { "path /*/a deny", "got \"/*/a\", expected at column 6 * nowhere but as the whole last "
                        "segment of a condition" },
    { "path /a?b deny",
      "got \"/a?b\", expected at column 6 a path without ? or #: those are no part of it" },
    { "path /%4 deny", "got \"/%4\", expected at column 6 two hex digits behind each %, and no "
                       "control octets" },
    { "path /%00 deny", "got \"/%00\", expected at column 6 two hex digits behind each %, and no "
                        "control octets" },
    { "path ~(?:abc){900} deny", "got \"~(?:abc){900}\", expected at column 6 a simpler regex: its "
                                 "counted repeats make it too large" },
    { "path ~ deny", "got \"~\", expected at column 6 a regex of 1 to 1024 bytes" },
    { "method get deny", "got \"get\", expected at column 8 methods in capitals, such as GET or "
                         "GET,HEAD" },
    { "method GET, deny",
      "got \"GET,\", expected at column 8 methods in capitals, such as GET or GET,HEAD" },
    { "header X:A=1 deny", "got \"X:A=1\", expected at column 8 a header's name: letters, digits "
                           "and - alone, or others that RFC 9110 allows" },
    { "query =1 deny", "got \"=1\", expected at column 7 NAME or NAME=VALUE" },
    { "from 10.0.0.0/33 deny",
      "got \"10.0.0.0/33\", expected at column 6 0 to 32 behind the slash" },
    { "from all deny", "got \"all\", expected at column 6 a range of addresses such as 10.0.0.0/8 "
                       "or fd00::/8" },
    { "to", "got \"\", expected at column 3 service:NAME, or endpoints such as 10.0.0.5:8080" },
    { "to web", "got \"web\", expected at column 4 service:NAME, or endpoints such as "
                "10.0.0.5:8080" },
    { "to service:Web", "got \"service:Web\", expected at column 4 service: with a name of a-z 0-9 "
                        ". _ - with 1 to 63 characters" },
    { "to 10.0.0.1:99999", "got \"10.0.0.1:99999\", expected at column 4 a port from 1 to 65535" },
    { "to 10.0.0.1:1 10.0.0.1:1", "got \"10.0.0.1:1\", expected at column 15 each endpoint once" },
    { "split", "got \"\", expected at column 6 service:NAME=WEIGHT, once for each service, weights "
               "from 0 to 1000 and not all 0" },
    { "split service:a=0",
      "got \"\", expected at column 18 service:NAME=WEIGHT, once for each service, weights from 0 "
      "to 1000 and not all 0" },
    { "split service:a", "got \"service:a\", expected at column 7 service:NAME=WEIGHT, once for "
                         "each service, weights from 0 to 1000 and not all 0" },
    { "split service:a=1001", "got \"service:a=1001\", expected at column 7 service:NAME=WEIGHT, "
                              "once for each service, weights from 0 to 1000 and not all 0" },
    { "split service:a=1 service:a=2",
      "got \"service:a=2\", expected at column 19 each service once" },
    { "redirect 304 /a", "got \"304\", expected at column 10 301, 302, 303, 307 or 308, then a URL "
                         "that begins with https://, http:// or /" },
    { "redirect 301", "got \"\", expected at column 13 301, 302, 303, 307 or 308, then a URL that "
                      "begins with https://, http:// or /" },
    { "redirect 301 ftp://a/", "got \"ftp://a/\", expected at column 14 301, 302, 303, 307 or 308, "
                               "then a URL that begins with https://, http:// or /" },
    { "redirect 301 //a.example/", "got \"//a.example/\", expected at column 14 neither /, \\ nor "
                                   "$ behind the first /: it would lead to any host" },
    { "redirect 301 /$path", "got \"/$path\", expected at column 14 neither /, \\ nor $ behind the "
                             "first /: it would lead to any host" },
    { "redirect 301 https://a.example$query",
      "got \"https://a.example$query\", expected at column 14 a host, then nothing or one of / ? # "
      "$path $uri" },
    { "redirect 301 https://$path",
      "got \"https://$path\", expected at column 14 a host, then nothing or one of / ? # $path "
      "$uri" },
    { "redirect 301 /a$b", "got \"/a$b\", expected at column 14 no other $ than $host, $path, "
                           "$query and $uri ($ itself is %24)" },
    { "redirect 301 \"/a\\nSet-Cookie: a=b\"",
      "got \"/a\\x0aSet-Cookie: a=b\", expected at column 14 a URL of visible ASCII characters, "
      "others as %XX" },
    { "respond 199", "got \"199\", expected at column 9 a code from 200 to 599, then a text in "
                     "quotes, or nothing" },
    { "respond 204 \"a\"",
      "got \"a\", expected at column 13 no text: a response with this code has none" },
    { "respond 200 hello", "got \"hello\", expected at column 13 a modifier: strip, prepend, host, "
                           "set, unset, timeout, priority, modules" },
    { "respond 200 \"hello", "got \"\\\"hello\", expected at column 13 a quote at its end" },
    { "to service:a strip /", "got \"/\", expected at column 20 more than the root" },
    { "to service:a strip /a/*", "got \"/a/*\", expected at column 20 * nowhere but as the whole "
                                 "last segment of a condition" },
    { "to service:a host a/b",
      "got \"a/b\", expected at column 19 a host, with a port or without" },
    { "to service:a host a:0",
      "got \"a:0\", expected at column 19 a host, with a port or without" },
    { "to service:a host \"a\\nb\"",
      "got \"a\\x0ab\", expected at column 19 a host, with a port or without" },
    { "to service:a set X", "got \"X\", expected at column 18 NAME=VALUE of a header" },
    { "to service:a set \"X=a\\nb\"",
      "got \"X=a\\x0ab\", expected at column 18 a value without control octets" },
    { "to service:a set \"X Y=a\"",
      "got \"X Y=a\", expected at column 18 a header's name: letters, "
      "digits and - alone, or others that RFC 9110 allows" },
    { "to service:a unset", "got \"\", expected at column 19 NAME of a header" },
    { "to service:a timeout 5", "got \"5\", expected at column 22 a time from 1ms to 24h, such as "
                                "500ms, 5s or 2m" },
    { "to service:a timeout 25h", "got \"25h\", expected at column 22 a time from 1ms to 24h, such "
                                  "as 500ms, 5s or 2m" },
    { "to service:a timeout 0s", "got \"0s\", expected at column 22 a time from 1ms to 24h, such "
                                 "as 500ms, 5s or 2m" },
    { "deny priority 1001", "got \"1001\", expected at column 15 a number from -1000 to 1000" },
    { "deny priority -", "got \"-\", expected at column 15 a number from -1000 to 1000" },
};

Test(rule, wrong_ones_are_told_where_and_what_was_expected)
{
    for (size_t i = 0; i < COUNT(wrong); i++) {
        char *said = rules_judged(RULES({ "ok", "deny" }, { "r-1", wrong[i].text }), 2);
        char sentence[512];

        snprintf(sentence, sizeof(sentence), "field r-1: %s", wrong[i].sentence);
        cr_expect_str_eq(said, sentence, "of \"%s\" it said: %s", wrong[i].text, said);
        free(said);
    }
}

Test(rule, regexes_that_cannot_be_read)
{
    static const char *const patterns[] = {
        "(a", "a)|(b", "(?:(?:ab){1,900}){1,60}", "[", "*a", "\\Qab", "(*UTF)a", "(?1)\\C",
    };

    for (size_t i = 0; i < COUNT(patterns); i++) {
        char path[80], header[80], *said;

        snprintf(path, sizeof(path), "path ~%s deny", patterns[i]);
        snprintf(header, sizeof(header), "header X~%s deny", patterns[i]);
        said = rules_judged(RULES({ "r", path }), 1);
        cr_expect(strstr(said, "expected at column 6 a regex that can be read: ") != NULL, "%s: %s",
                  path, said);
        free(said);
        said = rules_judged(RULES({ "r", header }), 1);
        cr_expect(strstr(said, "expected at column 8 a regex that can be read: ") != NULL, "%s: %s",
                  header, said);
        free(said);
    }
}

Test(rule, headers_that_frame_or_belong_to_the_hop_are_not_touched)
{
    static const char *const names[] = {
        "Host",    "Content-Length", "transfer-encoding", "Connection",        "TE",
        "Trailer", "Upgrade",        "Keep-Alive",        "Proxy-Connection",  "Expect",
        "Via",     "Forwarded",      "X-Forwarded-For",   "X-Forwarded-Proto",
    };

    for (size_t i = 0; i < COUNT(names); i++) {
        char set[80], unset[80], *said;

        snprintf(set, sizeof(set), "to service:a set %s=1", names[i]);
        snprintf(unset, sizeof(unset), "to service:a unset %s", names[i]);
        said = rules_judged(RULES({ "r", set }), 1);
        cr_expect(strstr(said, "neither frames the message") != NULL, "%s: %s", set, said);
        free(said);
        said = rules_judged(RULES({ "r", unset }), 1);
        cr_expect(strstr(said, "neither frames the message") != NULL, "%s: %s", unset, said);
        free(said);
    }
}

Test(rule, control_octets)
{
    struct record_fields fields;
    struct record_error error;
    struct value_field f = { STR("r"), STR("to service:a set X=a\0b") };
    struct value value = { .kind = VALUE_HASH, .type = "hash", .fields = &f, .count = 1 };

    cr_expect_not(record_decode(NULL, FAMILY_routes, STR("acme"), &value, &fields, &error));
    cr_expect_str_eq(error.expected, "at column 18 no control octets outside quotes");
    record_fields_free(&fields);
    f.value = STR("to service:a set \"X=a\0b\"");
    cr_expect_not(record_decode(NULL, FAMILY_routes, STR("acme"), &value, &fields, &error));
    cr_expect_str_eq(error.expected, "at column 18 a value without control octets");
    record_fields_free(&fields);
    f.name = STR("A");
    cr_expect_not(record_decode(NULL, FAMILY_routes, STR("acme"), &value, &fields, &error));
    cr_expect_str_eq(error.field, "A");
    record_fields_free(&fields);
}

/* --- bounds --- */

/* `count` rules that `format` makes of a number each. */
static char *judged_many(size_t count, const char *format)
{
    struct text_rule *rules = calloc(count, sizeof(*rules));
    char *said;

    for (size_t i = 0; i < count; i++) {
        char *name = malloc(32), *text = malloc(strlen(format) + 16);

        snprintf(name, 32, "r%zu", i);
        sprintf(text, format, i);
        rules[i] = (struct text_rule){ name, text };
    }
    said = rules_judged(rules, count);
    for (size_t i = 0; i < count; i++) {
        free((char *)rules[i].name);
        free((char *)rules[i].text);
    }
    free(rules);
    return said;
}

static void expect_many(size_t count, const char *format, const char *sentence)
{
    char *said = judged_many(count, format);

    cr_expect(sentence ? strstr(said, sentence) != NULL : said[0] == '\0', "%zu of %s: %s", count,
              format, said);
    free(said);
}

Test(rule, bounds_of_all_together)
{
    expect_many(256, "path /a query q=%zu deny", NULL);
    expect_many(257, "path /a query q=%zu deny",
                "got \"/a\", expected at most 256 rules with the same path");
    expect_many(257, "path /a/* query q=%zu deny", "at most 256 rules with the same path");
    expect_many(257, "query q=%zu deny", "at most 256 rules with the same path");
    expect_many(100, "path ~^/%zu deny", NULL);
    expect_many(101, "path ~^/%zu deny", "at most 100 regexes in all rules of a tenant");
    expect_many(101, "header X~%zu deny", "at most 100 regexes in all rules of a tenant");
    expect_many(20000, "path /p/%zu to service:s%1$zu", NULL);
}

static char *many_words(const char *front, const char *word, unsigned count, const char *end)
{
    struct buf text = { 0 };

    buf_add_text(&text, front);
    for (unsigned i = 0; i < count; i++)
        buf_printf(&text, "%s", word);
    buf_add_text(&text, end);
    return text.ptr;
}

static void expect_long(const char *front, const char *word, unsigned count, const char *end,
                        const char *sentence)
{
    char *text = many_words(front, word, count, end);
    char *said = rules_judged(RULES({ "r", text }), 1);

    cr_expect(sentence ? strstr(said, sentence) != NULL : said[0] == '\0', "%u of %s: %s", count,
              word, said);
    free(said);
    free(text);
}

Test(rule, bounds_of_one)
{
    expect_long("", "query a ", 64, "deny", NULL);
    expect_long("", "query a ", 65, "deny", "at most 64 conditions and modifiers");
    expect_long("query a to service:a", " unset B", 64, "", "at most 64 conditions and modifiers");
    expect_long("path ", "/a", 64, "/* deny", NULL);
    expect_long("path ", "/a", 65, "/* deny", "at most 64 segments before the *");
    expect_long("path ", "/a", 65, " deny", NULL);
    expect_long("respond 200 \"", "a", 8178, "\"", NULL);
    expect_long("respond 200 \"", "a", 8179, "\"", "at most 8192 bytes");
    expect_long("path ~", "a", 1024, " deny", NULL);
    expect_long("path ~", "a", 1025, " deny", "a regex of 1 to 1024 bytes");
}

Test(rule, any_bytes_are_judged)
{
    static const char *const seeds[] = {
        "path /api/* method GET,HEAD header X~^a to service:a strip /api set X=1 priority 5",
        "from 10.0.0.0/8 split service:a=1 service:b=2 timeout 5s host a.example",
        "query \"a b\"=c cookie d=e redirect 301 https://$host$uri",
        "websocket respond 200 \"a\\\"b\"",
    };
    uint64_t state = 88172645463325252u;

    for (unsigned n = 0; n < 20000; n++) {
        const char *seed = seeds[n % COUNT(seeds)];
        char text[160];
        size_t len = strlen(seed);
        struct record_fields fields;
        struct record_error error;
        struct value_field f = { STR("r"), { text, len } };
        struct value value = { .kind = VALUE_HASH, .type = "hash", .fields = &f, .count = 1 };

        memcpy(text, seed, len);
        for (unsigned k = 0; k <= n % 4; k++) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            text[state % len] = state & 1u << 20 ? (char)(state >> 32) : text[(state >> 40) % len];
        }
        f.value.len = len - state % 3;
        record_decode(NULL, FAMILY_routes, STR("acme"), &value, &fields, &error);
        record_fields_free(&fields);
    }
}
