/* test_unit_cors.c -- which settings of cors are taken, and what is said of the others. */
#include "unit/modules/judged.h"

Test(cors, settings_are_taken)
{
    expect_good("cors(origins=*)");
    expect_good("cors(origins=https://app.example)");
    expect_good("cors(origins=https://app.example,http://localhost:3000 credentials)");
    expect_good("cors(origins=\"HTTPS://App.example, https://*.app.example:8443\")");
    expect_good("cors(origins=https://a.example origins=https://b.example max_age=1d)");
    expect_good("cors(origins=http://[2001:db8::5]:8080,chrome-extension://abcdef)");
    expect_good("cors(origins=* methods=* headers=* expose=*)");
    expect_good("cors(origins=https://a.example methods=GET,PUT headers=X-A,X-B expose=X-C)");
}

Test(cors, wrong_settings_are_refused_with_a_sentence)
{
    static const char *const origins[] = {
        "app.example",  "https://app.example/", "https://app.example/x",
        "https://",     "://app.example",       "https://*",
        "https://*.",   "https://a.*.example",  "https://a.b:x",
        "https://a.b:", "https://[]",           "null",
        "https://a.b,", "https://a@b.example",  "1http://a.example",
        "https://a?b",  "\"https://a b\"",      "\"https://a\\nb\"",
    };
    char text[100];

    for (size_t i = 0; i < sizeof(origins) / sizeof(origins[0]); i++) {
        snprintf(text, sizeof(text), "cors(origins=%s)", origins[i]);
        expect_refused(text, "setting origins: origins such as https://app.example");
    }
    expect_refused("cors", "setting origins of cors to be said");
    expect_refused("cors(origins=*,https://a.example)", "* alone: all others are among them");
    expect_refused("cors(origins=* credentials)",
                   "at column 16: expected setting credentials: off");
    expect_refused("cors(origins=https://a.example credentials headers=*)", "each by its name");
    expect_refused("cors(origins=https://a.example credentials methods=GET,*)", "each by its name");
    expect_refused("cors(origins=https://a.example credentials expose=*)", "each by its name");
    expect_refused("cors(origins=* methods=\"GET PUT\")", "methods such as GET,PUT, or *");
    expect_refused("cors(origins=* headers=X-A,)", "headers such as X-One,X-Two, or *");
    expect_refused("cors(origins=* max_age=2d)", "setting max_age: a time");
}
