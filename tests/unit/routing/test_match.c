/* test_match.c -- which rule a request meets: conditions, precedence, the index, its bounds. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/random.h"
#include "rules.h"

/* --- conditions --- */

static void expect_one(const char *rule, const struct asking *asking, bool met)
{
    struct routes *routes = rules_compiled(RULES({ "r", rule }), 1);
    const char *why = rules_refused(routes, "r", asking);

    cr_expect_eq(rules_met(routes, asking)[0] != '\0', met, "%s of %s", rule, asking->path);
    cr_expect_eq(why[0] == '\0', met, "%s of %s: %s", rule, asking->path, why);
    object_free(&routes->object);
}

#define MEETS(rule, ...) expect_one(rule, &(const struct asking){ __VA_ARGS__ }, true)
#define FAILS(rule, ...) expect_one(rule, &(const struct asking){ __VA_ARGS__ }, false)

Test(match, paths)
{
    MEETS("path /x deny", .path = "/x");
    FAILS("path /x deny", .path = "/x/");
    FAILS("path /x deny", .path = "/X");
    MEETS("path /x/ deny", .path = "/x/");
    MEETS("path /x/* deny", .path = "/x");
    MEETS("path /x/* deny", .path = "/x/");
    MEETS("path /x/* deny", .path = "/x/y/z");
    FAILS("path /x/* deny", .path = "/xy");
    FAILS("path /x/y/* deny", .path = "/x");
    MEETS("path /* deny", .path = "/");
    MEETS("path / deny", .path = "/");
    FAILS("path / deny", .path = "/x");
    MEETS("path ~\\.png$ deny", .path = "/a/b.png");
    FAILS("path ~\\.png$ deny", .path = "/a/b.png/c");
    MEETS("path ~^/v[12]/ deny", .path = "/v2/a");
    FAILS("path ~^/v[12]/ deny", .path = "/a/v2/");
    MEETS("path ~a|^/b deny", .path = "/xxa");
    MEETS("path ~(?i)^/ADMIN deny", .path = "/admin");
    MEETS("deny", .path = "*");
}

Test(match, methods_and_headers)
{
    MEETS("method GET,HEAD deny", .path = "/", .method = "HEAD");
    FAILS("method GET,HEAD deny", .path = "/", .method = "HEA");
    FAILS("method GET deny", .path = "/", .method = "HEAD");
    MEETS("header x-kind deny", .path = "/", .headers = { { "X-Kind", "" } });
    FAILS("header X-Kind deny", .path = "/", .headers = { { "X-Kin", "a" } });
    MEETS("header X-Kind=b deny", .path = "/",
          .headers = { { "X-Kind", "a" }, { "x-kind", "b " } });
    FAILS("header X-Kind=b deny", .path = "/", .headers = { { "X-Kind", "B" } });
    MEETS("header X-Kind~^b+$ deny", .path = "/", .headers = { { "X-Kind", "bbb" } });
    FAILS("header X-Kind~^b+$ deny", .path = "/", .headers = { { "X-Kind", "bba" } });
    MEETS("header A=1 header B=2 deny", .path = "/", .headers = { { "A", "1" }, { "B", "2" } });
    FAILS("header A=1 header B=2 deny", .path = "/", .headers = { { "A", "1" } });
    MEETS("websocket deny", .path = "/", .websocket = true);
    FAILS("websocket deny", .path = "/");
}

Test(match, queries_are_compared_decoded)
{
    MEETS("query a deny", .path = "/", .query = "a");
    MEETS("query a deny", .path = "/", .query = "b=1&a=&c");
    FAILS("query a deny", .path = "/", .query = "ab=1&b=a");
    FAILS("query a deny", .path = "/");
    FAILS("query a deny", .path = "/", .query = "");
    MEETS("query role=admin deny", .path = "/", .query = "x=1&role=admin");
    MEETS("query role=admin deny", .path = "/", .query = "%72ole=%61dm%69n");
    MEETS("query role=admin deny", .path = "/", .query = "role=guest&role=admin");
    FAILS("query role=admin deny", .path = "/", .query = "role=admins");
    FAILS("query role=admin deny", .path = "/", .query = "role=admin%20");
    MEETS("query \"q=a b\" deny", .path = "/", .query = "q=a+b");
    MEETS("query \"q=a b\" deny", .path = "/", .query = "q=a%20b");
    MEETS("query q=a=b deny", .path = "/", .query = "q=a=b");
    MEETS("query q=100% deny", .path = "/", .query = "q=100%");
    MEETS("query q=%zz deny", .path = "/", .query = "q=%zz");
    MEETS("query q= deny", .path = "/", .query = "q");
}

Test(match, cookies)
{
    MEETS("cookie a deny", .path = "/", .headers = { { "Cookie", "b=1; a=2" } });
    MEETS("cookie a=2 deny", .path = "/", .headers = { { "Cookie", "b=1;a=2" } });
    MEETS("cookie a=2 deny", .path = "/", .headers = { { "Cookie", "b=1" }, { "cookie", "a=2" } });
    FAILS("cookie a=2 deny", .path = "/", .headers = { { "Cookie", "aa=2; a=22" } });
    FAILS("cookie A deny", .path = "/", .headers = { { "Cookie", "a=2" } });
    FAILS("cookie a deny", .path = "/", .headers = { { "X", "a=2" } });
}

Test(match, clients)
{
    MEETS("from 10.0.0.0/8 deny", .path = "/", .client = "10.1.2.3:5");
    FAILS("from 10.0.0.0/8 deny", .path = "/", .client = "11.1.2.3:5");
    MEETS("from 10.0.0.0/8 deny", .path = "/", .client = "[::ffff:10.1.2.3]:5");
    MEETS("from ::ffff:10.0.0.0/104 deny", .path = "/", .client = "10.1.2.3:5");
    MEETS("from 192.0.2.7,2001:db8::/32 deny", .path = "/", .client = "[2001:db8:1::1]:5");
    MEETS("from 192.0.2.7,2001:db8::/32 deny", .path = "/", .client = "192.0.2.7:5");
    FAILS("from 192.0.2.7,2001:db8::/32 deny", .path = "/", .client = "192.0.2.8:5");
    MEETS("from 0.0.0.0/0 deny", .path = "/", .client = "192.0.2.8:5");
    FAILS("from 0.0.0.0/0 deny", .path = "/", .client = "[2001:db8::1]:5");
}

static void expect_why(const char *rule, const struct asking *asking, const char *why)
{
    struct routes *routes = rules_compiled(RULES({ "r", rule }), 1);

    cr_expect_str_eq(rules_refused(routes, "r", asking), why);
    object_free(&routes->object);
}

#define WHY(rule, why, ...) expect_why(rule, &(const struct asking){ __VA_ARGS__ }, why)

Test(match, why_a_rule_does_not_hold)
{
    WHY("path /b deny", "path: /a is not /b", .path = "/a");
    WHY("path /b/* deny", "path: /a is not below /b", .path = "/a");
    WHY("path ~^/b deny", "path: /a does not hold ^/b", .path = "/a");
    WHY("method POST deny", "method: GET is not POST", .path = "/a");
    WHY("header X=b deny", "header: there is no X", .path = "/a");
    WHY("header X=b deny", "header: X is \"a\", not \"b\"", .path = "/a",
        .headers = { { "x", "a" } });
    WHY("header X~b deny", "header: X is \"a\", which does not hold \"b\"", .path = "/a",
        .headers = { { "x", "a" } });
    WHY("query q=1 deny", "query: there is no q that is \"1\"", .path = "/a");
    WHY("cookie q deny", "cookie: there is no q", .path = "/a");
    WHY("from 10.0.0.0/8 deny", "from: 192.0.2.1 is not in 10.0.0.0/8", .path = "/a");
    WHY("websocket deny", "websocket: none is asked for", .path = "/a");
    WHY("deny", "", .path = "/a");
}

/* --- which goes first --- */

Test(match, the_more_specific_goes_first)
{
    struct routes *routes = rules_compiled(
        RULES({ "any", "deny" }, { "any-get", "method GET deny" }, { "regex", "path ~^/a deny" },
              { "regex-get", "path ~/b method GET deny" }, { "root", "path / deny" },
              { "a-below", "path /a/* deny" }, { "a-b-below", "path /a/b/* deny" },
              { "a-b-below-q", "path /a/b/* query q deny" }, { "a-b", "path /a/b deny" },
              { "a-b-q", "path /a/b query q deny" }, { "a-b-q-2", "path /a/b query q deny" },
              { "first", "path ~^/first deny priority 1" },
              { "first-exact", "path /first/exact deny" },
              { "last", "path /last deny priority -1" },
              { "every", "path /* method HEAD header X deny" }),
        15);
    static const struct {
        const char *path, *query, *method, *name;
    } expected[] = {
        { "/a/b", NULL, NULL, "a-b" },           { "/a/b", "q", NULL, "a-b-q" },
        { "/a/b/", NULL, NULL, "a-b-below" },    { "/a/b/c", "q", NULL, "a-b-below-q" },
        { "/a", NULL, NULL, "a-below" },         { "/a/c", NULL, NULL, "a-below" },
        { "/ab", NULL, "PUT", "regex" },         { "/c/b", NULL, NULL, "regex-get" },
        { "/c/b", NULL, "PUT", "any" },          { "/", NULL, NULL, "root" },
        { "/z", NULL, NULL, "any-get" },         { "/z", NULL, "PUT", "any" },
        { "/first/exact", NULL, NULL, "first" }, { "/last", NULL, NULL, "any-get" },
        { "*", NULL, "OPTIONS", "any" },
    };

    for (size_t i = 0; i < COUNT(expected); i++)
        cr_expect_str_eq(GETS(routes, .path = expected[i].path, .query = expected[i].query,
                              .method = expected[i].method),
                         expected[i].name, "of %s", expected[i].path);
    cr_expect_str_eq(GETS(routes, .path = "/z", .method = "HEAD", .headers = { { "X", "1" } }),
                     "every");
    object_free(&routes->object);
}

Test(match, no_rules)
{
    struct routes *routes = rules_compiled(NULL, 0);

    cr_expect_str_eq(GETS(routes, .path = "/"), "");
    object_free(&routes->object);
    routes = compile_routes((struct slot_ref){ 0, 0 }, STR("acme"), NULL, NULL);
    cr_expect_str_eq(GETS(routes, .path = "/"), "");
    object_free(&routes->object);
}

Test(match, a_split_is_exact_over_all_hashes)
{
    struct routes *routes =
        rules_compiled(RULES({ "r", "split service:a=95 service:none=0 service:b=5" }), 1);
    const struct action *action = &routes->items[0].action;
    unsigned b = 0;

    for (uint64_t i = 0; i < 10000; i++) { /* the middle of each of 10,000 equal ranges */
        uint64_t hash = UINT64_MAX / 10000 * i + UINT64_MAX / 20000;
        struct str name = action_split(action, hash)->service;

        cr_assert_not(str_equals(name, STR("none")));
        b += str_equals(name, STR("b"));
    }
    cr_expect_eq(b, 500);
    cr_expect(str_equals(action_split(action, 0)->service, STR("a")));
    cr_expect(str_equals(action_split(action, UINT64_MAX)->service, STR("b")));
    object_free(&routes->object);
}

/* --- the index against looking at every rule --- */

static const char *const segments[] = { "a", "b", "c", "api", "v1", "v2", "x.png", "A", "%2F", "" };

static struct buf random_path(struct random *r, unsigned most)
{
    unsigned count = 1 + (unsigned)random_below(r, most);
    struct buf path = { 0 };

    for (unsigned i = 0; i < count; i++) {
        const char *segment = segments[random_below(r, COUNT(segments))];

        /* An empty segment is a trailing slash, and nowhere else is there one. */
        if (segment[0] != '\0' || i + 1 == count)
            buf_printf(&path, "/%s%u", segment,
                       segment[0] != '\0' ? (unsigned)random_below(r, 20) : 0);
        if (segment[0] == '\0' && i + 1 == count)
            path.len--; /* "/0" to "/" */
    }
    buf_add(&path, "", 0);
    path.ptr[path.len] = '\0';
    return path;
}

static char *random_rule(struct random *r, unsigned *regexes, unsigned *pathless)
{
    struct buf rule = { 0 }, path = random_path(r, 4);

    if (path.len == 1 && ++*pathless > 100)
        buf_printf(&path, "p%u", (unsigned)random_below(r, 1000));
    switch (random_below(r, 8)) {
    case 0:
        buf_printf(&rule, ++*regexes < 100 ? "path ~%s[0-9]*$ " : "path %s ", path.ptr);
        break;
    case 1:
        if (++*pathless > 100)
            buf_printf(&rule, "path %s ", path.ptr);
        buf_printf(&rule, "query q=%u ", (unsigned)random_below(r, 1000));
        break;
    case 2:
    case 3:
    case 4:
        buf_printf(&rule, "path %s%s* ", path.ptr, path.ptr[path.len - 1] == '/' ? "" : "/");
        break;
    default:
        buf_printf(&rule, "path %s ", path.ptr);
    }
    if (random_below(r, 3) == 0)
        buf_printf(&rule, "method %s ", random_below(r, 2) ? "GET" : "PUT");
    if (random_below(r, 3) == 0)
        buf_printf(&rule, "query p=%u ", (unsigned)random_below(r, 3));
    buf_add_text(&rule, "deny");
    if (random_below(r, 50) == 0 || rule.len == 4)
        buf_printf(&rule, " priority %d", (int)random_below(r, 7) - 3 - (rule.len == 4 ? 10 : 0));
    buf_free(&path);
    return rule.ptr;
}

static void expect_sorted(const struct routes *routes)
{
    static const int classes[] = { [ROUTE_EXACT_PATH] = 0,
                                   [ROUTE_PREFIX_PATH] = 1,
                                   [ROUTE_REGEX_PATH] = 2,
                                   [ROUTE_ANY_PATH] = 3 };

    for (uint32_t i = 1; i < routes->count; i++) {
        const struct route *a = &routes->items[i - 1], *b = &routes->items[i];
        bool prefixes = a->path_kind == ROUTE_PREFIX_PATH && b->path_kind == ROUTE_PREFIX_PATH;
        char x[NAME_MAX_BYTES + 1], y[NAME_MAX_BYTES + 1];

        cr_assert_geq(a->priority, b->priority);
        if (a->priority != b->priority)
            continue;
        cr_assert_leq(classes[a->path_kind], classes[b->path_kind]);
        if (a->path_kind != b->path_kind)
            continue;
        cr_assert(!prefixes || a->path.len >= b->path.len);
        if (prefixes && a->path.len != b->path.len)
            continue;
        cr_assert_geq(a->condition_count, b->condition_count);
        if (a->condition_count != b->condition_count)
            continue;
        str_printable(a->name, x, sizeof(x));
        str_printable(b->name, y, sizeof(y));
        cr_assert_lt(strcmp(x, y), 0);
    }
}

static void compare_with_oracle(uint64_t seed, size_t count, unsigned requests)
{
    struct text_rule *rules = calloc(count, sizeof(*rules));
    struct random r = { .state = seed };
    struct routes *routes;
    unsigned regexes = 0, pathless = 0;

    for (size_t i = 0; i < count; i++) {
        char *name = malloc(32);

        snprintf(name, 32, "r%zu", i);
        rules[i] = (struct text_rule){ name, random_rule(&r, &regexes, &pathless) };
    }
    routes = rules_compiled(rules, count);
    expect_sorted(routes);
    for (unsigned i = 0; i < requests; i++) {
        struct buf path = random_path(&r, 6);
        char query[32];
        struct asking asking = { .path = path.ptr,
                                 .method = random_below(&r, 2) ? "GET" : "PUT",
                                 .query = query };
        char met[NAME_MAX_BYTES + 1];

        snprintf(query, sizeof(query), "p=%u&q=%u", (unsigned)random_below(&r, 4),
                 (unsigned)random_below(&r, 2000));
        snprintf(met, sizeof(met), "%s", rules_met(routes, &asking));
        cr_expect_str_eq(met, rules_met_first(routes, &asking), "seed %llu: %s?%s meets %s",
                         (unsigned long long)seed, path.ptr, query, met);
        buf_free(&path);
    }
    object_free(&routes->object);
    for (size_t i = 0; i < count; i++) {
        free((char *)rules[i].name);
        free((char *)rules[i].text);
    }
    free(rules);
}

Test(match, the_index_finds_what_looking_at_every_rule_finds)
{
    compare_with_oracle(1, 1, 200);
    compare_with_oracle(2, 2, 200);
    for (uint64_t seed = 3; seed < 30; seed++)
        compare_with_oracle(seed, 60, 100);
    compare_with_oracle(31, 10000, 300);
}

/* Octets that requests are made of, and some that they should not be. */
static char *random_text(struct random *r, size_t most)
{
    static const char *const pieces[] = { "a", "b",  "=",  "&",     "%",    "%61",  "%4",
                                          ";", " ",  "/",  "//",    "..",   "+",    "\t",
                                          "~", "*",  ",",  "admin", "\xc3", "\x01", "role",
                                          "?", "\"", "\\", "" };
    struct buf text = { 0 };

    buf_add(&text, "", 0);
    for (size_t i = random_below(r, most); i > 0; i--)
        buf_add_text(&text, pieces[random_below(r, COUNT(pieces))]);
    return text.ptr != NULL ? text.ptr : strdup("");
}

Test(match, any_octets_are_matched)
{
    struct routes *routes = rules_compiled(
        RULES({ "a", "path /a/* query role=admin deny" }, { "b", "path /a/admin cookie a=b deny" },
              { "c", "path ~a.*b header X~a+b query a deny" }, { "d", "header X=ab deny" },
              { "e", "query \"a b\" deny" }, { "f", "cookie role deny" },
              { "g", "path /admin/* header X deny" }, { "h", "path ~^/(a|b)*/ query b=a deny" },
              { "i", "path /a/b/* deny" }),
        9);
    struct random r = { .state = 7 };
    unsigned met = 0;

    for (unsigned i = 0; i < 30000; i++) {
        char *tail = random_text(&r, 8), *query = random_text(&r, 12), *value = random_text(&r, 4);
        char *cookies = random_text(&r, 12), path[128], name[NAME_MAX_BYTES + 1];
        struct asking asking = { .path = path,
                                 .query = i % 5 ? query : NULL,
                                 .headers = { { "X", value }, { "Cookie", cookies } } };
        size_t len = (size_t)snprintf(path, sizeof(path), "/%s", tail);

        path[route_path_form(path, len)] = '\0';
        snprintf(name, sizeof(name), "%s", rules_met(routes, &asking));
        cr_assert_str_eq(name, rules_met_first(routes, &asking), "%s?%s", path, query);
        met += name[0] != '\0';
        free(tail);
        free(query);
        free(value);
        free(cookies);
    }
    cr_expect(met > 200 && met < 29000, "%u of 30000 meet a rule", met);
    object_free(&routes->object);
}

/* --- the edges of the index --- */

Test(match, paths_of_every_depth_and_length)
{
    struct routes *routes = rules_compiled(
        RULES({ "deep", "path /a/b/c/d/e/f/g/h/i/j/* deny" }, { "a", "path /a/* deny" },
              { "long", "path /aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/* deny" },
              { "slash", "path /a/b/ deny" }),
        4);
    struct buf path = { 0 };

    cr_expect_str_eq(GETS(routes, .path = "/a/b/c/d/e/f/g/h/i/j"), "deep");
    cr_expect_str_eq(GETS(routes, .path = "/a/b/c/d/e/f/g/h/i/j/"), "deep");
    cr_expect_str_eq(GETS(routes, .path = "/a/b/c/d/e/f/g/h/i"), "a");
    cr_expect_str_eq(GETS(routes, .path = "/a/b/"), "slash");
    cr_expect_str_eq(GETS(routes, .path = "/a/b/c/d/e/f/g/h/i/jj"), "a");
    cr_expect_str_eq(GETS(routes, .path = "/"), "");
    cr_expect_str_eq(GETS(routes, .path = "*"), "");
    buf_add_text(&path, "/a");
    for (unsigned i = 0; i < 5000; i++)
        buf_add_text(&path, "/b");
    cr_expect_str_eq(GETS(routes, .path = path.ptr), "a");
    buf_clear(&path);
    buf_add_text(&path, "/");
    for (unsigned i = 0; i < 56; i++)
        buf_add_text(&path, "a");
    cr_expect_str_eq(GETS(routes, .path = path.ptr), "long");
    buf_add_text(&path, "a");
    cr_expect_str_eq(GETS(routes, .path = path.ptr), "");
    buf_free(&path);
    object_free(&routes->object);
}

Test(match, the_deepest_prefix_that_a_rule_may_have)
{
    struct buf text = { 0 };
    struct routes *routes;
    struct text_rule *rules = calloc(64, sizeof(*rules));

    /* One rule for each depth from 1 to 64: all of them are candidates of the deepest path. */
    for (unsigned i = 0; i < 64; i++) {
        char *name = malloc(8);

        snprintf(name, 8, "d%u", i + 1);
        buf_clear(&text);
        buf_add_text(&text, "path ");
        for (unsigned k = 0; k <= i; k++)
            buf_add_text(&text, "/s");
        buf_printf(&text, "/* %sdeny", i == 0 ? "" : "query never ");
        rules[i] = (struct text_rule){ name, strdup(text.ptr) };
    }
    routes = rules_compiled(rules, 64);
    buf_clear(&text);
    for (unsigned k = 0; k < 70; k++)
        buf_add_text(&text, "/s");
    cr_expect_str_eq(GETS(routes, .path = text.ptr), "d1");
    cr_expect_str_eq(GETS(routes, .path = text.ptr, .query = "never"), "d64");
    object_free(&routes->object);
    for (unsigned i = 0; i < 64; i++) {
        free((char *)rules[i].name);
        free((char *)rules[i].text);
    }
    free(rules);
    buf_free(&text);
}
