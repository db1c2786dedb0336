/* test_deny.c -- nothing gets past a rule: no pattern that takes too long, no way of writing a path. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/path.h"
#include "rules.h"

/* --- patterns that would take too long --- */

/* A path in which "(a+)+$" would be looked for until the end of time. */
static struct buf endless_path(void)
{
    struct buf path = { 0 };

    buf_add_text(&path, "/");
    for (unsigned i = 0; i < 4000; i++)
        buf_add_text(&path, "a");
    buf_add_text(&path, "b!");
    return path;
}

Test(deny, a_pattern_without_end_is_given_up)
{
    struct buf path = endless_path();
    struct routes *routes = rules_compiled(
        RULES({ "to", "path ~^/(a+)+$ to service:a" }, { "rest", "respond 200" }), 2);

    cr_expect_str_eq(GETS(routes, .path = path.ptr), "rest", "what is not found out is not met");
    cr_expect_str_eq(GETS(routes, .path = "/aaa"), "to");
    cr_expect(strstr(rules_refused(routes, "to", &(const struct asking){ .path = path.ptr }),
                     "(given up: ") != NULL);
    object_free(&routes->object);
    routes = rules_compiled(RULES({ "no", "path ~^/(a+)+$ deny" }, { "rest", "respond 200" }), 2);
    cr_expect_str_eq(GETS(routes, .path = path.ptr), "no", "but denied");
    cr_expect_str_eq(GETS(routes, .path = "/b"), "rest");
    object_free(&routes->object);
    routes =
        rules_compiled(RULES({ "no", "header X~^/(a+)+$ deny" }, { "rest", "respond 200" }), 2);
    cr_expect_str_eq(GETS(routes, .path = "/", .headers = { { "X", path.ptr } }), "no");
    object_free(&routes->object);
    buf_free(&path);
}

Test(deny, a_path_too_long_to_be_searched)
{
    struct routes *routes = rules_compiled(
        RULES({ "no", "path ~^/b deny" }, { "to", "path ~^/a to service:a priority 1" }), 2);
    char path[4098];

    memset(path, 'a', sizeof(path));
    path[0] = '/';
    path[4097] = '\0';
    cr_expect_str_eq(GETS(routes, .path = path), "no");
    path[4096] = '\0';
    cr_expect_str_eq(GETS(routes, .path = path), "to");
    object_free(&routes->object);
}

Test(deny, no_hundred_of_patterns_stalls_a_worker)
{
    static const char *const patterns[] = {
        "(a+)+$",
        "(a|aa)+$",
        "(a*)*b$",
        "a*a*a*a*a*b$",
        "(.*)(.*)(.*)(.*)b$",
        "(?:a?){50}a{50}b$",
        "(?<p>a+)+\\\\k<p>b$",
        "(([a-z])+.)+[A-Z]",
        "(?:a(?=.*b)(?=.*b)(?=.*b))*b$",
        "(?:a(?:[ab]*c)?(?:[ab]*c)?)*b$",
        "(*NO_JIT)^/(a*a*a*)*b$",
        "(*NO_JIT)^/(?:a(?=.*b)(?=.*b))*b$",
    };
    struct text_rule rules[100];
    struct buf path = endless_path();
    struct routes *routes;
    uint64_t began;

    for (unsigned i = 0; i < 100; i++) {
        char *name = malloc(8), *text = malloc(96);

        snprintf(name, 8, "r%u", i);
        snprintf(text, 96, "path \"~%s\" to service:a", patterns[i % COUNT(patterns)]);
        rules[i] = (struct text_rule){ name, text };
    }
    routes = rules_compiled(rules, 100);
    began = clock_now_ms();
    cr_expect_str_eq(GETS(routes, .path = path.ptr), "");
    /* About 20 ms; what is to be excluded is minutes. */
    cr_expect_lt(clock_now_ms() - began, 2000);
    object_free(&routes->object);
    for (unsigned i = 0; i < 100; i++) {
        free((char *)rules[i].name);
        free((char *)rules[i].text);
    }
    buf_free(&path);
}

/* --- what a deny must not miss --- */

/* As a request's path comes to the rules. NULL: the request is 400 before. */
static const char *met_as_sent(const struct routes *routes, const char *sent)
{
    char normal[3 * 256 + 1];
    bool same;
    size_t len = path_normal(str_from(sent), normal, &same);

    if (len == 0)
        return NULL;
    normal[route_path_form(normal, len)] = '\0';
    return GETS(routes, .path = normal);
}

Test(deny, no_way_of_writing_a_path_gets_past_a_deny)
{
    struct routes *routes =
        rules_compiled(RULES({ "no", "path /admin/* deny" }, { "yes", "to service:a" }), 2);
    static const struct {
        const char *path, *met;
    } table[] = {
        { "/admin", "no" },
        { "/admin/", "no" },
        { "/admin/x", "no" },
        { "/%61dmin", "no" },
        { "/%61%64%6d%69%6e", "no" },
        { "/%61%64%6D%69%6E/x", "no" },
        { "/a%64min/", "no" },
        { "//admin", "no" },
        { "///admin//x", "no" },
        { "/./admin", "no" },
        { "/././admin/./", "no" },
        { "/admin/.", "no" },
        { "/admin/./", "no" },
        { "/admin//", "no" },
        { "/x/../admin", "no" },
        { "/x/y/../../admin", "no" },
        { "/../admin", "no" },
        { "/../../admin/x", "no" },
        { "/x/..//admin", "no" },
        { "/%2e/admin", "no" },
        { "/%2E/admin", "no" },
        { "/x/%2e%2e/admin", "no" },
        { "/x/%2E%2e/admin", "no" },
        { "/x/.%2e/%61dmin", "no" },
        { "/x/%2e./admin", "no" },
        { "/admin/x/..", "no" },
        { "/admin/x/../", "no" },
        { "/admin/%2e", "no" },
        { "/admin/%2f", "no" },
        { "/admin/..;/x", "no" },
        { "/admin/;a=b", "no" },
        { "/admin/%00", NULL },
        { "/admin%00", NULL },
        { "/%0aadmin", NULL },
        { "/admin%", NULL },
        { "/admin%4", NULL },
        { "/%%61dmin", NULL },
        /* Other paths: an origin that takes them for /admin does so by a rule of its own. */
        { "/admin/..", "yes" },
        { "/admin/../x", "yes" },
        { "/administrator", "yes" },
        { "/Admin", "yes" },
        { "/admin;a=b", "yes" },
        { "/admin%3Ba=b", "yes" },
        { "/admin%2Fx", "yes" },
        { "/admin%2fx", "yes" },
        { "/x%2F..%2Fadmin", "yes" },
        { "/%2561dmin", "yes" },
        { "/x/admin", "yes" },
        { "/x//../admin", "yes" }, /* the origin gets /x/admin */
        { "/...//admin", "yes" },
        { "/", "yes" },
    };

    for (size_t i = 0; i < COUNT(table); i++) {
        const char *met = met_as_sent(routes, table[i].path);

        if (met == NULL || table[i].met == NULL)
            cr_expect_eq(met == NULL, table[i].met == NULL, "%s meets %s", table[i].path,
                         met ? met : "nothing: 400");
        else
            cr_expect_str_eq(met, table[i].met, "%s meets %s", table[i].path, met);
    }
    object_free(&routes->object);
}

Test(deny, a_rule_that_is_written_strangely_denies_what_it_means)
{
    static const char *const written[] = {
        "path /admin/* deny",      "path /%61dmin/* deny", "path //admin//* deny",
        "path /x/../admin/* deny", "path /./admin/* deny", "path /%2e/%61%64min/* deny",
    };

    for (size_t i = 0; i < COUNT(written); i++) {
        struct routes *routes =
            rules_compiled(RULES({ "no", written[i] }, { "yes", "to service:a" }), 2);

        cr_expect_str_eq(met_as_sent(routes, "/admin/x"), "no", "%s", written[i]);
        cr_expect_str_eq(met_as_sent(routes, "/x/%2e./%61dmin"), "no", "%s", written[i]);
        cr_expect_str_eq(met_as_sent(routes, "/adminx"), "yes", "%s", written[i]);
        object_free(&routes->object);
    }
}
