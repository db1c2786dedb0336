/* test_unit_redirect.c -- which settings of redirect are taken, and what is said of the others. */
#include "unit/modules/judged.h"

Test(redirect, settings_are_taken)
{
    expect_good("redirect(from=/old to=/new)");
    expect_good("redirect(from=/old/* to=/new/*)");
    expect_good("redirect(from=/old/* to=/new)");
    expect_good("redirect(from=/old/* to=https://new.example/$1 status=308 query=off)");
    expect_good("redirect(from=/a to=/b from=/c to=https://c.example)");
    expect_good("redirect(from=/a/* to=/b/$1.html)");
    expect_good("redirect(from=/a/* to=/b?page=$1)");
    expect_good("redirect(from=/* to=https://www.example:8443/*)");
    expect_good("redirect(map=moved)");
    expect_good("redirect(map=moved status=301 away=fault)");
    expect_good("redirect(from=/a to=/b map=usher:t:acme:moved)");
}

Test(redirect, wrong_settings_are_refused_with_a_sentence)
{
    expect_refused("redirect", "else there is nothing to redirect");
    expect_refused("redirect(from=/a)", "a `to` for each `from`");
    expect_refused("redirect(from=/a to=/b to=/c)", "a `from` for each `to`");
    expect_refused("redirect(from=a to=/b)", "a path such as /old");
    expect_refused("redirect(from=/a?b to=/b)", "a path such as /old");
    expect_refused("redirect(from=/a* to=/b)", "* as the whole last part of the path");
    expect_refused("redirect(from=/a/*/b to=/b)", "* as the whole last part of the path");
    expect_refused("redirect(from=/a to=b)", "a path such as /new, or a URL");
    expect_refused("redirect(from=/a to=ftp://b/)", "a path such as /new, or a URL");
    expect_refused("redirect(from=/a to=https://)", "a path such as /new, or a URL");
    expect_refused("redirect(from=/a to=https:///b)", "a path such as /new, or a URL");
    expect_refused("redirect(from=/a to=//b.example/)", "a path such as /new, or a URL");
    expect_refused("redirect(from=/a to=/\\\\b.example/)", "a path such as /new, or a URL");
    expect_refused("redirect(from=/a to=\"/b c\")", "a path such as /new, or a URL");
    expect_refused("redirect(from=/a to=https://good.example@b.example/)", "or a URL");
    expect_refused("redirect(from=/a to=/b/*)", "no * and no $1, for its `from` has no *");
    expect_refused("redirect(from=/a/* to=/b/*/c)", "one * at its end, or one $1");
    expect_refused("redirect(from=/a/* to=/$1/$1)", "one * at its end, or one $1");
    expect_refused("redirect(status=200 map=m)", "301, 302, 303, 307 or 308");
    expect_refused("redirect(map=m wait=1m)", "setting wait: a time such as");
    expect_refused("redirect(map=usher:t:other:moved)", "a key of this tenant");
}

/* What a request says may be no part of the host that it is sent to. */
Test(redirect, the_rest_of_a_path_stands_behind_a_host_and_a_slash)
{
    expect_refused("redirect(from=/a/* to=https://b.example*)", "a slash behind the host");
    expect_refused("redirect(from=/a/* to=https://b.example$1)", "a slash behind the host");
    expect_refused("redirect(from=/a/* to=https://$1.example/)", "a slash behind the host");
    expect_refused("redirect(from=/a/* to=https://$1)", "a slash behind the host");
    expect_refused("redirect(from=/a/* to=$1)", "a path such as /new, or a URL");
    expect_refused("redirect(from=/a/* to=*)", "a path such as /new, or a URL");
    expect_good("redirect(from=/a/* to=https://b.example/*)");
    expect_good("redirect(from=/a/* to=https://b.example?path=$1)");
    expect_good("redirect(from=/a/* to=/*)");
}
