/* test_unit_forward_auth.c -- which settings are taken, and what is said of the others. */
#include "unit/modules/judged.h"

#include "http/head_edit.h"

Test(forward_auth, settings_are_taken)
{
    expect_good("forward_auth(service=login)");
    expect_good("forward_auth(service=login path=/a?b=c copy=X-User copy=X_Group send=X-Token "
                "to_client=Set-Cookie timeout=60s fail=open)");
    expect_good("forward_auth(service=login send=Cookie send=Authorization)");
}

Test(forward_auth, wrong_settings_are_refused_with_a_sentence)
{
    expect_refused("forward_auth", "service");
    expect_refused("forward_auth(service=login path=auth)", "setting path: a path such as /auth");
    expect_refused("forward_auth(service=login path=\"/a b\")", "a path such as /auth");
    expect_refused("forward_auth(service=login path=/a#b)", "a path such as /auth");
    expect_refused("forward_auth(service=login copy=\"X User\")",
                   "at column 28: expected setting copy: a header's name");
    expect_refused("forward_auth(service=login send=X:Y)", "setting send: a header's name");
    expect_refused("forward_auth(service=login timeout=2m)", "from 10ms to 1m");
    expect_refused("forward_auth(service=login fail=maybe)", "closed or open");
}

Test(forward_auth, so_many_headers_and_no_more)
{
    char text[2000];
    size_t at = (size_t)snprintf(text, sizeof(text), "forward_auth(service=login");

    for (unsigned i = 0; i < 33; i++) {
        snprintf(text + at, sizeof(text) - at, ")");
        expect_good(text);
        at += (size_t)snprintf(text + at, sizeof(text) - at, " copy=X-%u", i);
    }
    snprintf(text + at, sizeof(text) - at, ")");
    expect_refused(text, "setting copy: at most 32 of them");
}

/* The module has a list of its own, for it sees nothing of the edge's. */
Test(forward_auth, what_the_edge_would_refuse_is_refused_when_it_is_written)
{
    static const char *const names[] = {
#define FIELD(id, name) name,
#include "http/field_names.def"
#undef FIELD
        "usher-fault", "usher-x", "usher", "x-user", "server", "set-cookie", "cookie",
    };
    char text[200];

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct str name = str_from(names[i]);

        snprintf(text, sizeof(text), "forward_auth(service=login copy=%s)", names[i]);
        if (head_edit_is_ours(name, false) || head_edit_is_ours(name, true))
            expect_refused(text, "not the edge's own to say");
        else
            expect_good(text);
    }
}
