/* test_chain.c -- what `modules` says, compiled; and where it is wrong, with the column. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "base/check.h"
#include "module_host/chain.h"
#include "settings.h"

/* --- a module with a row of each type --- */

enum { TEXT, NUMBER, TIME, SIZE, SWITCH, WORD, PAIR, KEY, SERVICE, NEEDED, ROWS };

static const struct usher_setting rows[ROWS] = {
    [TEXT] = { .name = "text", .type = USHER_TYPE_TEXT, .least = 1, .most = 5, .meaning = "-" },
    [NUMBER] = { .name = "number",
                 .type = USHER_TYPE_NUMBER,
                 .least = -5,
                 .most = 10,
                 .standard = "7",
                 .meaning = "-" },
    [TIME] = { .name = "time",
               .type = USHER_TYPE_TIME,
               .least = 1,
               .most = 86400000,
               .meaning = "-" },
    [SIZE] = { .name = "size", .type = USHER_TYPE_SIZE, .meaning = "-" },
    [SWITCH] = { .name = "switch", .type = USHER_TYPE_SWITCH, .standard = "off", .meaning = "-" },
    [WORD] = { .name = "word", .type = USHER_TYPE_WORD, .words = "strict lax off", .meaning = "-" },
    [PAIR] = { .name = "set", .type = USHER_TYPE_PAIR, .flags = USHER_MANY, .meaning = "-" },
    [KEY] = { .name = "key", .type = USHER_TYPE_KEY, .meaning = "-" },
    [SERVICE] = { .name = "service",
                  .type = USHER_TYPE_SERVICE,
                  .flags = USHER_MANY,
                  .meaning = "-" },
    [NEEDED] = { .name = "needed",
                 .type = USHER_TYPE_TEXT,
                 .flags = USHER_REQUIRED,
                 .meaning = "what it cannot do without" },
};

struct every {
    const struct usher_given *given;
    struct usher_text tenant;
    const char *option;
};

static int dropped;

static bool every_compile(struct usher_compile *c, const struct usher_given *given, void **compiled)
{
    struct every *e = usher_keep(c, sizeof(*e));

    e->given = given;
    e->tenant = usher_compile_tenant(c);
    e->option = usher_option(c, "root");
    *compiled = e;
    if (given[NEEDED].values[0].text.len == 3 && given[PAIR].count > 1)
        return usher_refuse(c, PAIR, 1, "another pair");
    if (given[NEEDED].values[0].text.len == 5)
        usher_anew(c);
    return given[NEEDED].values[0].text.len != 4;
}

static void every_drop(void *compiled)
{
    cr_assert_not_null(compiled);
    dropped++;
}

static void every_done(struct usher_exchange *x, const void *compiled)
{
    (void)x;
    (void)compiled;
}

static const struct usher_module every = { USHER_MODULE_ABI,     .name = "every",
                                           .version = "1",       .summary = "-",
                                           USHER_SETTINGS(rows), .compile = every_compile,
                                           .drop = every_drop,   .on_done = every_done };
static const struct usher_module plain = { USHER_MODULE_ABI, .name = "plain", .version = "1",
                                           .summary = "-", .on_done = every_done };

/* --- what is said, compiled --- */

static struct module_registry *registry;
static struct module_host host;
static char named[8][64];
static unsigned named_count;

static bool on_service(void *owner, struct str name, uint32_t *index, const char **expected)
{
    (void)owner;
    *expected = "small letters";
    if (name.len == 0 || name.ptr[0] < 'a')
        return false;
    snprintf(named[named_count], sizeof(named[0]), STR_FMT, STR_ARG(name));
    *index = named_count++;
    return true;
}

static bool is_timeout(struct str word)
{
    return str_equals(word, STR("timeout"));
}

static const struct chain_scope of_acme = {
    .modules = &host, .tenant = { "acme", 4 }, .service = on_service, .ends = is_timeout
};

static void set_up(void)
{
    struct buf why = { 0 };

    registry = registry_new();
    cr_assert(registry_add(registry, &every, "a test", NULL, &why), "%s", why.ptr);
    cr_assert(registry_add(registry, &plain, "a test", NULL, &why), "%s", why.ptr);
    module_host_init(&host, registry, STR("usher:"), NULL);
    named_count = 0;
}

static void tear_down(void)
{
    registry_free(registry);
}

TestSuite(chain, .init = set_up, .fini = tear_down);

static struct chain *compiled(const char *text)
{
    struct chain_error error;
    size_t at = 0;
    struct chain *c = chain_compile(&of_acme, str_from(text), &at, &error);

    cr_assert_not_null(c, "%s: column %u: got " STR_FMT ", expected %s", text, error.column,
                       STR_ARG(error.got), error.expected);
    return c;
}

static const struct usher_value *value_of(const struct chain *c, unsigned row, unsigned i)
{
    const struct every *e = c->links[0].compiled;

    cr_assert_gt(e->given[row].count, i);
    return &e->given[row].values[i];
}

static void expect_text(struct usher_text text, const char *expected)
{
    cr_expect(str_equals(str_slice(text.ptr, text.len), str_from(expected)), "%.*s is not %s",
              (int)text.len, text.ptr, expected);
}

Test(chain, values_of_each_type)
{
    struct chain *c =
        compiled("every(text=abc number=-5 time=2m size=64k switch word=lax set X-A=1 "
                 "set=X-B=\"a b=c\" key=users service=auth needed \"say \\\"(hi)\\\"\")");

    cr_assert_eq(c->count, 1);
    expect_text(value_of(c, TEXT, 0)->text, "abc");
    cr_expect_eq(value_of(c, NUMBER, 0)->number, -5);
    cr_expect_eq(value_of(c, TIME, 0)->number, 120000);
    cr_expect_eq(value_of(c, SIZE, 0)->number, 65536);
    cr_expect_eq(value_of(c, SWITCH, 0)->number, 1);
    cr_expect_eq(value_of(c, WORD, 0)->number, 1);
    expect_text(value_of(c, PAIR, 0)->name, "X-A");
    expect_text(value_of(c, PAIR, 0)->text, "1");
    expect_text(value_of(c, PAIR, 1)->name, "X-B");
    expect_text(value_of(c, PAIR, 1)->text, "a b=c");
    expect_text(value_of(c, KEY, 0)->text, "usher:t:acme:users");
    expect_text(value_of(c, SERVICE, 0)->text, "auth");
    expect_text(value_of(c, NEEDED, 0)->text, "say \"(hi)\"");
    expect_text(((const struct every *)c->links[0].compiled)->tenant, "acme");
    chain_free(c);
    cr_expect_eq(dropped, 1);
}

static const char *option_of(const char *a, const char *b)
{
    static struct settings s;
    struct chain *c;
    const char *option;

    memset(&s, 0, sizeof(s));
    snprintf(s.module_options[0], sizeof(s.module_options[0]), "%s", a);
    snprintf(s.module_options[1], sizeof(s.module_options[0]), "%s", b);
    s.module_option_count = 2;
    host.settings = &s;
    c = compiled("every(needed=x)");
    option = ((const struct every *)c->links[0].compiled)->option;
    chain_free(c);
    return option;
}

Test(chain, a_module_sees_its_own_options_and_the_last_of_a_name)
{
    struct chain *c = compiled("every(needed=x)");

    cr_expect_null(((const struct every *)c->links[0].compiled)->option, "there are no settings");
    chain_free(c);
    cr_expect_str_eq(option_of("every.root=/a=b", "plain.root=/c"), "/a=b");
    cr_expect_str_eq(option_of("every.root=/a", "every.root=/c"), "/c");
    cr_expect_str_eq(option_of("every.root=/a", "every.root="), "");
    cr_expect_null(option_of("every.roots=/a", "plain.root=/c"));
}

Test(chain, standards_hold_where_nothing_is_said)
{
    struct chain *c = compiled("every(needed=x)");
    const struct every *e = c->links[0].compiled;

    cr_expect_eq(value_of(c, NUMBER, 0)->number, 7);
    cr_expect_eq(value_of(c, SWITCH, 0)->number, 0);
    cr_expect_eq(e->given[TEXT].count, 0);
    cr_expect_eq(e->given[SERVICE].count, 0);
    cr_expect(c->bytes > sizeof(*c));
    chain_free(c);
}

Test(chain, order_is_as_written_and_none_is_a_chain)
{
    struct chain *c = compiled("  plain  every(needed=x) ");

    cr_assert_eq(c->count, 2);
    cr_expect_str_eq(c->links[0].row->module.name, "plain");
    cr_expect_str_eq(c->links[1].row->module.name, "every");
    cr_expect_eq(c->has, (1ull << c->links[0].row->index) | (1ull << c->links[1].row->index));
    cr_expect(str_equals(c->text, STR("plain  every(needed=x)")));
    chain_free(c);
    c = compiled("none");
    cr_expect_eq(c->count, 0);
    cr_expect_eq(c->has, 0);
    chain_free(c);
    c = compiled("plain()");
    cr_expect_eq(c->count, 1);
    chain_free(c);
}

Test(chain, keys_are_completed_or_of_this_tenant)
{
    struct chain *c = compiled("every(needed=x key=usher:t:acme:a:b)");

    expect_text(value_of(c, KEY, 0)->text, "usher:t:acme:a:b");
    chain_free(c);
}

Test(chain, services_have_handles_and_their_slots)
{
    struct chain *c = compiled("every(service=a service=service:b service c needed=x)");

    cr_assert_eq(named_count, 3);
    cr_expect_str_eq(named[1], "b");
    cr_assert_eq(c->links[0].service_count, 3);
    for (unsigned i = 0; i < 3; i++)
        cr_expect_eq(value_of(c, SERVICE, i)->number, i + 1);
    chain_settle(c, (uint32_t[]){ 41, 42, 43 });
    cr_expect_eq(c->links[0].service_slots[0], 41);
    cr_expect_eq(c->links[0].service_slots[2], 43);
    chain_free(c);
}

Test(chain, ends_before_a_word_of_the_rule)
{
    struct str text = STR("modules plain every(needed=\") timeout\") timeout 5s");
    struct chain_error error;
    size_t at = 8, skipped = chain_skip(text, 8, is_timeout);
    struct chain *c = chain_compile(&of_acme, text, &at, &error);

    cr_assert_not_null(c);
    cr_expect_eq(c->count, 2);
    cr_expect(str_starts_with(str_slice(text.ptr + at, text.len - at), STR(" timeout 5s")));
    cr_expect_eq(skipped, at);
    chain_free(c);
}

/* --- what is wrong, and where --- */

Test(chain, wrong_ones_are_told_where_and_what_was_expected)
{
    static const struct {
        const char *text;
        unsigned column;
        const char *got, *expected; /* expected: its beginning */
    } rows_wrong[] = {
        { "", 1, "", "modules such as" },
        { "  ", 3, "", "modules such as" },
        { "nosuch", 1, "nosuch", "a module that this edge knows: " },
        { "plain nosuch(a=1)", 7, "nosuch", "a module that this edge knows: " },
        { "plain (a=1)", 7, "", "a module that this edge knows: " },
        { "plain plain", 7, "plain", "each module once" },
        { "none plain", 6, "plain", "none alone" },
        { "plain none", 7, "none", "none alone" },
        { "plain(x)", 7, "x", "nothing between ( and ): plain has no settings" },
        { "every", 1, "every", "setting needed of every to be said: what it cannot do without" },
        { "every(needed=x", 15, "", "a ) at the end" },
        { "every(needed=x)y", 16, "", "a space behind the settings" },
        { "every(needed=x nope=1)", 16, "nope=1", "a setting of every: text, number, " },
        { "every(needed=x \"text\"=a)", 16, "\"text\"=a", "a setting of every: " },
        { "every(needed=x text)", 16, "text", "a value behind text" },
        { "every(needed=x needed=y)", 16, "needed=y", "setting needed once only" },
        { "every(needed=x text=)", 16, "text=", "setting text: a text of 1 to 5 bytes" },
        { "every(needed=x text=abcdef)", 16, "text=abcdef",
          "setting text: a text of 1 to 5 bytes" },
        { "every(needed=x number=11)", 16, "number=11", "setting number: a number from -5 to 10" },
        { "every(needed=x number 1x)", 23, "1x", "setting number: a number from -5 to 10" },
        { "every(needed=x number=99999999999999999999)", 16, "number=99999999999999999999",
          "setting number: a number" },
        { "every(needed=x time=5)", 16, "time=5",
          "setting time: a time such as 500ms, 5s or 2m, from 1ms to 1d" },
        { "every(needed=x time=25h)", 16, "time=25h", "setting time: a time" },
        { "every(needed=x size=1t)", 16, "size=1t",
          "setting size: a size such as 512, 64k or 10m" },
        { "every(needed=x size=9999999999g)", 16, "size=9999999999g", "setting size: a size" },
        { "every(needed=x switch=yes)", 16, "switch=yes", "setting switch: on or off" },
        { "every(needed=x word=la)", 16, "word=la", "setting word: strict, lax or off" },
        { "every(needed=x set X-A)", 20, "X-A", "setting set: NAME=VALUE" },
        { "every(needed=x set =1)", 20, "=1", "setting set: NAME=VALUE" },
        { "every(needed=x key=usher:t:other:users)", 16, "key=usher:t:other:users",
          "a key of this tenant, usher:t:acme:NAME, or the rest" },
        { "every(needed=x key=usher:host:a)", 16, "key=usher:host:a", "a key of this tenant" },
        { "every(needed=x key=usher:t:acme:)", 16, "key=usher:t:acme:", "a key of this tenant" },
        { "every(needed=x key=)", 16, "key=", "setting key: a key of the tenant's own" },
        { "every(needed=x service=A)", 16, "service=A", "the name of a service: small letters" },
        { "every(needed=a(b))", 7, "needed=a(b", "quotes around a value with ( or )" },
        { "every(needed=\"a)", 7, "needed=\"a)", "a quote at its end" },
        { "every(needed=a\x01)", 7, "needed=a\x01", "no control octets" },
        { "every(needed=abc set A=1 set B=2)", 30, "B=2", "setting set: another pair" },
        { "every(needed=abcd)", 1, "every", "other settings: every refuses these" },
    };

    for (size_t i = 0; i < sizeof(rows_wrong) / sizeof(rows_wrong[0]); i++) {
        struct chain_error error = { .column = 0 };
        size_t at = 0;
        const char *text = rows_wrong[i].text;
        struct chain *c = chain_compile(&of_acme, str_from(text), &at, &error);

        cr_expect_null(c, "%s is taken", text);
        chain_free(c);
        cr_expect_eq(error.column, rows_wrong[i].column, "%s: column %u", text, error.column);
        cr_expect(str_equals(error.got, str_from(rows_wrong[i].got)), "%s: got " STR_FMT, text,
                  STR_ARG(error.got));
        cr_expect(str_starts_with(str_from(error.expected), str_from(rows_wrong[i].expected)),
                  "%s: expected %s", text, error.expected);
        cr_expect_eq(at, 0);
    }
}

Test(chain, without_a_tenant_there_are_no_keys)
{
    const struct chain_scope nobody = { .modules = &host, .whose = STR("usher:defaults") };
    struct chain_error error;
    size_t at = 0;

    cr_expect_null(chain_compile(&nobody, STR("every(needed=x key=users)"), &at, &error));
    cr_expect_str_eq(error.expected,
                     "no key here: usher:defaults has no tenant, whose it would be");
    cr_expect_null(chain_compile(&nobody, STR("every(needed=x service=a)"), &at, &error));
    cr_expect_str_eq(error.expected,
                     "no service here: usher:defaults has no tenant, who may name it");
}

/* Every text gets a verdict, and what is taken is freed. */
Test(chain, any_text_is_borne)
{
    static const char good[] = "plain every(needed=\"x\\\"\" set A=1 service=a key=b word=lax)";
    static const char changes[] = { ' ', '(', ')', '"', '\\', '=', '\0', '\x7f', 'a' };
    char text[sizeof(good)];

    for (size_t i = 0; i + 1 < sizeof(good); i++)
        for (size_t k = 0; k < sizeof(changes); k++)
            for (size_t len = i + 1; len < sizeof(good); len += i + 1) {
                struct chain_error error = { .column = 0 };
                struct chain *c;
                size_t at = 0;

                memcpy(text, good, sizeof(good));
                text[i] = changes[k];
                named_count = 0;
                cr_expect_leq(chain_skip(str_slice(text, len), 0, is_timeout), len);
                c = chain_compile(&of_acme, str_slice(text, len), &at, &error);
                if (c == NULL)
                    cr_expect(error.column >= 1 && error.column <= len + 1);
                chain_free(c);
            }
}

/* --- chains that are said anew --- */

#define POOLED "every(needed=x)"

static struct chain *compiled_at(struct str name, struct str rule, const char *text)
{
    struct chain_scope scope = of_acme;
    struct chain_error error;
    size_t at = 0;
    struct chain *c;

    scope.family = 3;
    scope.name = name;
    scope.rule = rule;
    c = chain_compile(&scope, str_from(text), &at, &error);
    cr_assert_not_null(c);
    return c;
}

Test(chain, one_that_is_said_as_it_was_in_its_place_is_the_same_one)
{
    struct chain *first, *again, *other[4];

    host.pool = chain_pool_new();
    first = compiled_at(STR("acme"), STR("a"), POOLED);
    again = compiled_at(STR("acme"), STR("a"), "  " POOLED " timeout 5s");
    cr_expect_eq(first, again);
    cr_expect_eq(dropped, 1); /* what was compiled for nothing */
    other[0] = compiled_at(STR("acme"), STR("b"), POOLED);
    other[1] = compiled_at(STR("acm"), STR("ea"), POOLED);
    other[2] = compiled_at(STR("acme"), STR("a"), POOLED " plain");
    other[3] = compiled_at(STR("acme"), STR(""), POOLED);
    for (unsigned i = 0; i < 4; i++) {
        cr_expect_neq(other[i], first, "%u", i);
        chain_free(other[i]);
    }
    cr_expect_eq(dropped, 5);
    chain_free(first);
    cr_expect_eq(dropped, 5); /* again holds it */
    cr_expect_eq(again->links[0].row, registry_find(registry, STR("every")));
    chain_free(again);
    cr_expect_eq(dropped, 6);
    first = compiled_at(STR("acme"), STR("a"), POOLED);
    again = compiled_at(STR("acme"), STR("a"), POOLED);
    cr_expect_eq(first, again);
    chain_free(first);
    chain_free(again);
    cr_expect_eq(dropped, 8);
    chain_pool_free(host.pool);
}

/* Where a service's slot may be another, and where more is compiled than what is said. */
Test(chain, one_that_names_a_service_or_that_is_said_to_be_is_a_new_one_each_time)
{
    static const char *const texts[] = { "every(needed=x service=web)", "every(needed=fresh)" };

    host.pool = chain_pool_new();
    for (unsigned i = 0; i < 2; i++) {
        struct chain *first = compiled_at(STR("acme"), STR("a"), texts[i]);
        struct chain *again = compiled_at(STR("acme"), STR("a"), texts[i]);

        cr_expect_neq(first, again, "%s", texts[i]);
        chain_free(first);
        chain_free(again);
    }
    chain_pool_free(host.pool);
}
