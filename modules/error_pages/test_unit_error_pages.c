/* test_unit_error_pages.c -- which settings of error_pages are taken, and what is said of the others. */
#include "unit/modules/judged.h"

Test(error_pages, settings_are_taken_also_where_there_is_no_tenant_to_name_a_key_of)
{
    expect_good("error_pages");
    expect_good("error_pages(pages=texts responses replies wait=250ms)");
    expect_good("error_pages(pages=usher:t:acme:texts type=application/problem+json)");
    expect_good("error_pages(type=\"text/html; charset=iso-8859-1\")");
    cr_expect_str_eq(judged_for(NULL, "error_pages(responses)"), "");
}

Test(error_pages, wrong_settings_are_refused_with_a_sentence)
{
    expect_refused("error_pages(pages=usher:t:other:texts)", "a key of this tenant");
    expect_refused("error_pages(wait=9s)", "setting wait: a time such as");
    expect_refused("error_pages(wait=1ms)", "from 10ms to 5s");
    expect_refused("error_pages(type=html)", "a Content-Type such as text/html");
    expect_refused("error_pages(type=/html)", "a Content-Type such as text/html");
    expect_refused("error_pages(type=text/)", "a Content-Type such as text/html");
    expect_refused("error_pages(type=\"text/html\\n\")", "a Content-Type such as text/html");
    expect_refused("error_pages(responses=yes)", "on or off");
}
