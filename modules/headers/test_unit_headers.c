/* test_unit_headers.c -- which settings of headers are taken, and what is said of the others. */
#include "unit/modules/judged.h"

#include "http/head_edit.h"

Test(headers, settings_of_both_directions_are_taken)
{
    expect_good("headers");
    expect_good("headers(set X-Edge=1)");
    expect_good("headers(set=X-Edge=1 add X-Edge=2 remove Cookie)");
    expect_good("headers(response_set X-A=b response_add X-A=c response_remove Server)");
    expect_good("headers(set \"X-Said=a b (c) = d\")");
    expect_good("headers(set X-Price=$$5 set X-Both=${host}_$tenant)");
    expect_good("headers(response_set X-All=$client_ip,$host,$tenant,$request_id,$route,$method,"
                "$path,$query,$scheme,$service,$status)");
    /* What is not the client's word, but the endpoint's, may be said of a response alone. */
    expect_good("headers(response_set Forwarded=x response_remove Host)");
    expect_good("headers(set X-A=1 response_set X-A=1 add X-A=2 add X-A=2)");
}

Test(headers, wrong_settings_are_refused_with_a_sentence)
{
    expect_refused("headers(set X-Edge)", "at column 13: expected setting set: NAME=VALUE");
    expect_refused("headers(set X-Edge=)", "a value behind =; to take a header away, remove it");
    expect_refused("headers(set \"X-Edge= \")", "a value behind =");
    expect_refused("headers(set \"X Edge=1\")", "the name of a header, such as X-Edge");
    expect_refused("headers(remove X:Edge)", "setting remove: the name of a header");
    expect_refused("headers(set \"X-Edge=a\\nb\")", "without control octets");
    expect_refused("headers(set X-A=1 set x-a=2)",
                   "at column 23: expected setting set: each header once");
    expect_refused("headers(set X-A=$)", "a variable's name behind $, or $$ for a dollar");
    expect_refused("headers(set X-A=a$-b)", "a variable's name behind $");
    expect_refused("headers(set X-A=${host)", "a } behind the name of the variable");
    expect_refused("headers(set X-A=${host-})", "a } behind the name of the variable");
    expect_refused("headers(set X-A=$hosts)", "not $hosts but one of $client_ip $host");
    expect_refused("headers(add X-A=$status)", "no $status here: a request has none yet");
    expect_refused("headers(colour=red)", "a setting of headers: remove, set, add");
}

/* The module has a list of its own, for it sees nothing of the edge's. */
Test(headers, what_the_edge_would_refuse_is_refused_when_it_is_written)
{
    static const char *const names[] = {
#define FIELD(id, name) name,
#include "http/field_names.def"
#undef FIELD
        "usher-fault", "usher-x", "usher", "x-edge", "server", "set-cookie", "cookie", "age",
    };
    char text[200];

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        for (int response = 0; response < 2; response++) {
            bool ours = head_edit_is_ours(str_from(names[i]), response);

            snprintf(text, sizeof(text), "headers(%sset %s=x)", response ? "response_" : "",
                     names[i]);
            if (ours)
                expect_refused(text, "the edge's own to say");
            else
                expect_good(text);
        }
}
