/* test_path.c -- paths in the one form that everything is compared in. */
#include "base/path.h"

#include <criterion/criterion.h>

Test(path, writes_paths_in_one_form)
{
    static const struct {
        const char *sent, *normal; /* "": refused */
    } rows[] = {
        { "/", "/" },
        { "/a/b.html", "/a/b.html" },
        { "/%61dmin", "/admin" },
        { "/%7euser", "/~user" },
        { "/a%2fb", "/a%2Fb" },
        { "/a%2Fb", "/a%2Fb" },
        { "/a;b=c", "/a;b=c" },
        { "/a%3bb", "/a%3Bb" },
        { "/x/../admin", "/admin" },
        { "/x/%2e%2e/admin", "/admin" },
        { "/x/.%2E/admin", "/admin" },
        { "/./admin", "/admin" },
        { "/../../admin", "/admin" },
        { "/a/.", "/a/" },
        { "/a/..", "/" },
        { "/a/b/..", "/a/" },
        { "//admin", "//admin" },
        { "/a//../b", "/a/b" },
        { "/...", "/..." },
        { "/.hidden", "/.hidden" },
        { "/a%20b", "/a%20b" },
        { "/a|b", "/a%7Cb" },
        { "/a\\b", "/a%5Cb" },
        { "/a%5cb", "/a%5Cb" },
        { "/%00", "" },
        { "/a%0d%0ab", "" },
        { "/a%7f", "" },
        { "/a%", "" },
        { "/a%4", "" },
        { "/a%zz", "" },
        { "*", "*" },
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct str sent = str_from(rows[i].sent);
        char to[128];
        bool same;
        size_t len = path_normal(sent, to, &same);

        cr_expect(str_equals(str_slice(to, len), str_from(rows[i].normal)), "%s -> %.*s",
                  rows[i].sent, (int)len, to);
        if (len > 0)
            cr_expect_eq(same, str_equals(sent, str_from(rows[i].normal)), "%s", rows[i].sent);
    }
}

Test(path, one_below_a_folder_is_plain_when_it_has_but_one_form)
{
    static const char *const plain[] = { "a", "a/b", "...", ".hidden", "a/..b", "a b" };
    static const char *const others[] = { "", "/a", "a/", "a//b", ".", "..", "a/./b", "a/.." };

    for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++)
        cr_expect(path_is_plain(str_from(plain[i])), "%s", plain[i]);
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        cr_expect(!path_is_plain(str_from(others[i])), "%s", others[i]);
}
