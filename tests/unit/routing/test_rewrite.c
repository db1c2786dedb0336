/* test_rewrite.c -- paths stripped and prepended, URLs filled in, shares of clients. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "routing/rewrite.h"

static const char *rewritten(const char *strip, const char *prepend, const char *path)
{
    static char to[256];
    struct route route = { .strip = str_from(strip), .prepend = str_from(prepend) };

    to[rewrite_path(&route, str_from(path), to)] = '\0';
    return to;
}

Test(routing_rewrite, whole_segments_are_stripped)
{
    cr_expect_str_eq(rewritten("/api", "", "/api/x"), "/x");
    cr_expect_str_eq(rewritten("/api", "", "/api"), "/");
    cr_expect_str_eq(rewritten("/api", "", "/api/"), "/");
    cr_expect_str_eq(rewritten("/api", "", "/apix"), "/apix");
    cr_expect_str_eq(rewritten("/api", "", "/ap"), "/ap");
    cr_expect_str_eq(rewritten("/a/b", "", "/a/b/c"), "/c");
    cr_expect_str_eq(rewritten("/a/b", "", "//a///b//c"), "//c");
    cr_expect_str_eq(rewritten("/a/b", "", "/ab/c"), "/ab/c");
    cr_expect_str_eq(rewritten("", "", "/x"), "/x");
}

Test(routing_rewrite, what_is_prepended_stands_before_what_is_left)
{
    cr_expect_str_eq(rewritten("", "/v2", "/x"), "/v2/x");
    cr_expect_str_eq(rewritten("/api", "/v2", "/api/x"), "/v2/x");
    cr_expect_str_eq(rewritten("/api", "/v2", "/api"), "/v2");
    cr_expect_str_eq(rewritten("/api", "/v2", "/x"), "/v2/x");
    cr_expect_str_eq(rewritten("/api", "/v2", "*"), "*"); /* OPTIONS of the whole server */
}

static const char *url(const char *text, const char *path, const char *query)
{
    static char to[256];
    struct rewrite_request q = { .host = STR("a.test"),
                                 .path = str_from(path),
                                 .query = query != NULL ? str_from(query) : str_slice(NULL, 0) };
    size_t len = rewrite_url(str_from(text), &q, NULL);

    cr_assert_lt(len, sizeof(to));
    cr_assert_eq(rewrite_url(str_from(text), &q, to), len);
    to[len] = '\0';
    return to;
}

Test(routing_rewrite, a_url_is_filled_in)
{
    cr_expect_str_eq(url("https://$host$uri", "/x", "q=1"), "https://a.test/x?q=1");
    cr_expect_str_eq(url("https://$host$uri", "/x", ""), "https://a.test/x?");
    cr_expect_str_eq(url("https://$host$uri", "/x", NULL), "https://a.test/x");
    cr_expect_str_eq(url("/new$path?a=b&$query", "/x", "q"), "/new/x?a=b&q");
    cr_expect_str_eq(url("/new$path?$query#top", "/x", NULL), "/new/x?#top");
    cr_expect_str_eq(url("https://new.example/", "/x", "q"), "https://new.example/");
}

static struct address at(const char *text)
{
    const char *expected;
    struct address a;

    cr_assert(address_parse(str_from(text), 0, &a, &expected));
    return a;
}

Test(routing_rewrite, a_clients_hash_is_its_address_alone)
{
    struct address one = at("10.0.0.1:1000"), again = at("10.0.0.1:2000"),
                   mapped = at("[::ffff:10.0.0.1]:3000"), other = at("10.0.0.2:1000");
    uint64_t hash = rewrite_client_hash(&one, STR("acme"), STR("beta"));

    cr_expect_eq(rewrite_client_hash(&again, STR("acme"), STR("beta")), hash);
    cr_expect_eq(rewrite_client_hash(&mapped, STR("acme"), STR("beta")), hash);
    cr_expect_neq(rewrite_client_hash(&other, STR("acme"), STR("beta")), hash);
    /* Whoever is early in one rule is not so in each. */
    cr_expect_neq(rewrite_client_hash(&one, STR("acme"), STR("gamma")), hash);
    cr_expect_neq(rewrite_client_hash(&one, STR("bolt"), STR("beta")), hash);
    /* The same on every machine: all edges must agree. */
    cr_expect_eq(hash, 0x7bef25e9ae1e91acu, "%llx", (unsigned long long)hash);
}

Test(routing_rewrite, shares_are_as_the_weights_say)
{
    struct split_part parts[] = { { .weight = 5 }, { .weight = 0 }, { .weight = 95 } };
    struct action split = {
        .kind = ACTION_SPLIT, .parts = parts, .part_count = 3, .part_weights = 100
    };
    unsigned seen[3] = { 0 };

    for (unsigned n = 0; n < 20000; n++) {
        struct address a = { 0 };

        a.v4.sin_family = AF_INET;
        a.v4.sin_addr.s_addr = n * 2654435761u;
        seen[action_split(&split, rewrite_client_hash(&a, STR("acme"), STR("beta"))) - parts]++;
    }
    cr_expect(seen[0] > 800 && seen[0] < 1200, "%u", seen[0]);
    cr_expect_eq(seen[1], 0);
    cr_expect_eq(seen[0] + seen[2], 20000);
}

static const char *otherwise(const char *path)
{
    static char scratch[512];
    struct str form = route_path_otherwise(str_from(path), scratch);

    scratch[form.ptr - scratch + (ptrdiff_t)form.len] = '\0';
    return form.ptr;
}

Test(routing_rewrite, the_other_reading_of_a_raw_path)
{
    cr_expect_str_eq(otherwise("/x/../admin"), ""); /* there is but one */
    cr_expect_str_eq(otherwise("/x//../admin"), "/admin");
    cr_expect_str_eq(otherwise("/x\\../admin"), "/admin");
    cr_expect_str_eq(otherwise("/\\admin"), "/admin");
    cr_expect_str_eq(otherwise("/x//%2e%2e/%61"), "/a");
    cr_expect_str_eq(otherwise("//a//b//"), "/a/b/");
    cr_expect_str_eq(otherwise("//../..//a"), "/a");
    cr_expect_str_eq(otherwise("//%00"), "");
}
