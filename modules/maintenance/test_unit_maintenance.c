/* test_unit_maintenance.c -- which settings of maintenance are taken, and what is said of the others. */
#include "unit/modules/judged.h"

Test(maintenance, settings_are_taken)
{
    expect_good("maintenance");
    expect_good("maintenance(allow=10.0.0.0/8,192.0.2.1 allow=2001:db8::/32,::1)");
    expect_good("maintenance(allow=0.0.0.0/0 allow=::/0 allow=10.1.2.3/32)");
    expect_good("maintenance(allow=::ffff:10.0.0.0/104)");
    expect_good("maintenance(cookie door=s3cret-9 open=/health,/public/* open=/*)");
    expect_good("maintenance(retry_after=2h page=\"<h1>Back at 9 (CET)</h1>\")");
}

Test(maintenance, wrong_settings_are_refused_with_a_sentence)
{
    static const char *const addresses[] = {
        "10.0.0.0/33",   "10.0.0",     "10.0.0.0/",       "10.0.0.0/-1", "10.0.0.0/x",
        "10.0.0.0/0008", "10.0.0.1/8", "::1/129",         "::1/64",      "host.test",
        "10.0.0.0,",     "[::1]",      "\"1.2.3.4 \\n\"",
    };
    char text[100];

    for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
        snprintf(text, sizeof(text), "maintenance(allow=%s)", addresses[i]);
        expect_refused(text, "setting allow: addresses and ranges such as 10.0.0.0/8,2001:db8::5");
    }
    expect_refused("maintenance(cookie=door)", "setting cookie: NAME=VALUE");
    expect_refused("maintenance(cookie=door=1234567)", "at least 8 bytes");
    expect_refused("maintenance(cookie=\"door=12345678;x\")", "without spaces, commas, semicolons");
    expect_refused("maintenance(open=health)", "setting open: paths such as /health");
    expect_refused("maintenance(open=/a/*/b)", "setting open: paths such as /health");
    expect_refused("maintenance(retry_after=500ms)",
                   "a time such as 500ms, 5s or 2m, from 1s to 1d");
    expect_refused("maintenance(page=\"\")", "a text of 1 to 8192 bytes");
}

/* --- who is within: the hook, with an exchange of which only the address is known --- */

extern const struct usher_module usher_module_maintenance;
static const char *client;

static struct usher_text path(struct usher_exchange *x)
{
    (void)x;
    return usher_text("/");
}

static struct usher_text client_ip(struct usher_exchange *x)
{
    (void)x;
    return usher_text(client);
}

static enum usher_result reply(struct usher_exchange *x, uint32_t status, struct usher_text type,
                               struct usher_text body)
{
    (void)x;
    (void)type;
    cr_expect_eq(status, 503);
    cr_expect_gt(body.len, 0);
    return USHER_ANSWERED;
}

static bool header_set(struct usher_exchange *x, enum usher_side side, struct usher_text name,
                       struct usher_text value)
{
    (void)x;
    (void)name;
    (void)value;
    return side == USHER_RESPONSE;
}

static void count(struct usher_exchange *x, uint32_t metric, int64_t by)
{
    (void)x;
    (void)metric;
    (void)by;
}

static bool is_served(const struct chain *c, const char *address)
{
    struct usher_host host = { .path = path,
                               .client_ip = client_ip,
                               .reply = reply,
                               .header_set = header_set,
                               .count = count };
    struct usher_exchange x = { &host };

    client = address;
    return usher_module_maintenance.on_request(&x, c->links[0].compiled) == USHER_GO_ON;
}

Test(maintenance, ranges_hold_what_lies_in_them_and_nothing_else)
{
    static const struct {
        const char *allow, *within[3], *without[3];
    } cases[] = {
        { "10.0.0.0/8",
          { "10.0.0.0", "10.255.255.255", "::ffff:10.1.2.3" },
          { "11.0.0.0", "9.255.255.255", "::10.0.0.1" } },
        { "192.0.2.8/29", { "192.0.2.8", "192.0.2.15" }, { "192.0.2.7", "192.0.2.16" } },
        { "192.0.2.7", { "192.0.2.7", "::ffff:c000:207" }, { "192.0.2.6", "::c000:207", "" } },
        { "2001:db8:0:8000::/49",
          { "2001:db8:0:8000::", "2001:db8:0:ffff::1" },
          { "2001:db8::1", "2001:db8:1::", "192.0.2.1" } },
        { "::ffff:10.0.0.0/104", { "10.9.9.9" }, { "11.9.9.9" } },
        { "0.0.0.0/0", { "1.2.3.4" }, { "::1", "2001:db8::1" } },
        { "::/0", { "1.2.3.4", "::1" }, { "host.test" } },
    };
    struct module_registry *registry = registry_new();
    char text[100], sentence[400];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct chain *c;

        snprintf(text, sizeof(text), "maintenance(allow=%s)", cases[i].allow);
        c = judged_by(registry, "acme", text, sentence);
        cr_assert_not_null(c, "%s", sentence);
        for (int k = 0; k < 3 && cases[i].within[k] != NULL; k++)
            cr_expect(is_served(c, cases[i].within[k]), "%s: %s", text, cases[i].within[k]);
        for (int k = 0; k < 3 && cases[i].without[k] != NULL; k++)
            cr_expect(!is_served(c, cases[i].without[k]), "%s: %s", text, cases[i].without[k]);
        chain_free(c);
    }
    registry_free(registry);
}
