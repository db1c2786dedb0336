/* test_registry.c -- which modules are taken in, and the sentence that others get. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "module_host/registry.h"

static bool compile(struct usher_compile *c, const struct usher_given *given, void **compiled)
{
    (void)c;
    (void)given;
    (void)compiled;
    return true;
}

static void on_done(struct usher_exchange *x, const void *compiled)
{
    (void)x;
    (void)compiled;
}

static struct usher_setting settings[2];
static struct usher_metric metrics[2];

/* One that is right; tests change one thing of it. */
static struct usher_module good(void)
{
    settings[0] = (struct usher_setting){
        .name = "realm", .type = USHER_TYPE_TEXT, .standard = "staff", .meaning = "whose"
    };
    settings[1] = (struct usher_setting){
        .name = "most", .type = USHER_TYPE_NUMBER, .least = 1, .most = 9, .meaning = "how many"
    };
    metrics[0] = (struct usher_metric){ "blocked_total", USHER_COUNTER, "requests refused" };
    metrics[1] = (struct usher_metric){ "open", USHER_GAUGE, "requests that wait" };
    return (struct usher_module){ USHER_MODULE_ABI,         .name = "hello",
                                  .version = "1.2",         .summary = "says hello",
                                  USHER_SETTINGS(settings), USHER_METRICS(metrics),
                                  .compile = compile,       .on_done = on_done };
}

static void expect_refused(const struct usher_module *m, const char *words)
{
    struct module_registry *r = registry_new();
    size_t before = registry_count(r);
    struct buf why = { 0 };

    cr_expect_not(registry_add(r, m, "/m/hello.so", NULL, &why), "taken, expected: %s", words);
    cr_expect(why.ptr != NULL && strstr(why.ptr, words) != NULL, "it said: %s\nexpected: %s",
              why.ptr, words);
    cr_expect(why.ptr != NULL && strncmp(why.ptr, "/m/hello.so: ", 13) == 0, "%s", why.ptr);
    cr_expect_eq(registry_count(r), before);
    buf_free(&why);
    registry_free(r);
}

Test(registry, a_right_module_is_taken_with_its_tables)
{
    struct module_registry *r = registry_new();
    const struct module_row *row;
    struct usher_module m = good();
    struct buf why = { 0 };

    cr_assert(registry_add(r, &m, "/m/hello.so", NULL, &why), "%s", why.ptr);
    memset(settings, 0, sizeof(settings)); /* it has its own copy */
    row = registry_find(r, STR("hello"));
    cr_assert_not_null(row);
    cr_expect_str_eq(row->from, "/m/hello.so");
    cr_expect_eq(row, registry_at(r, row->index));
    cr_expect_str_eq(row->module.settings[1].name, "most");
    cr_expect_str_eq(row->module.metrics[0].name, "blocked_total");
    cr_expect_null(registry_find(r, STR("hell")));
    cr_expect_not_null(registry_find(r, STR("request_id")), "linked in");
    registry_free(r);
}

Test(registry, other_versions_of_the_abi_are_refused_by_both_sides_names)
{
    struct usher_module m = good();

    m.abi_major = 2;
    m.size = 8; /* nothing behind it is read */
    expect_refused(&m,
                   "is built against ABI 2.0, and this edge has ABI 1.0: modules of another major");
    m = good();
    m.abi_minor = 7;
    expect_refused(&m, "is built against ABI 1.7, and this edge has ABI 1.0, which is older");
    m = good();
    m.size -= 8;
    expect_refused(&m, "its struct usher_module has ");
    m = good();
    m.setting_size -= 8;
    expect_refused(&m,
                   "its struct usher_setting has 48 bytes, and that of ABI 1.0, which it names, "
                   "has 56");
    m = good();
    m.metric_size += 8;
    expect_refused(&m, "its struct usher_metric has 32 bytes");
}

Test(registry, names_are_words_and_each_is_one_modules)
{
    static const char *const names[] = { "", "Hello", "a-b", "abcdefghijklmnopqrstuvwxyz012345" };
    struct usher_module m = good();

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        m.name = names[i];
        expect_refused(&m, "a module's name is 1 to 31 of the letters a-z, the digits and _");
    }
    m.name = NULL;
    expect_refused(&m, "its name is \"\"");
    m.name = "none";
    expect_refused(&m, "its name is none, which means something else");
    m.name = "timeout";
    expect_refused(&m, "its name is timeout, which means something else");
    m.name = "request_id";
    expect_refused(&m,
                   "module request_id 1.2: there is one of this name already, version 1.0, which "
                   "is linked in");
    m = good();
    m.version = NULL;
    expect_refused(&m, "module hello has no version");
    m = good();
    m.summary = NULL;
    expect_refused(&m, "module hello has no summary");
}

Test(registry, without_a_hook_it_is_none)
{
    struct usher_module m = good();

    m.on_done = NULL;
    expect_refused(&m, "module hello has no hook, and this edge calls on_request, ");
    m = good();
    m.compile = NULL;
    expect_refused(&m, "module hello has settings and no hook `compile`");
}

Test(registry, tables_are_looked_at_row_by_row)
{
    struct usher_module m = good();

    m.settings = NULL;
    expect_refused(&m, "counts rows of a table that is not there");
    m = good();
    settings[1].name = "realm";
    expect_refused(&m, "module hello: setting realm is there twice");
    m = good();
    settings[1].name = "A";
    expect_refused(&m, "the name of setting 2 is not of a-z");
    m = good();
    settings[1].type = 77;
    expect_refused(&m, "setting most is of a type that this edge does not know");
    m = good();
    settings[1].standard = "10";
    expect_refused(&m, "setting most has a standard that it could not be set to: expected a number "
                       "from 1 to 9");
    m = good();
    settings[1].least = 10;
    expect_refused(&m, "has a least that is more than its most");
    m = good();
    settings[0].type = USHER_TYPE_WORD;
    expect_refused(&m, "setting realm is a word, and names none");
    m = good();
    settings[0].meaning = NULL;
    expect_refused(&m, "setting realm has no meaning");
    m = good();
    settings[0].flags = 8;
    expect_refused(&m, "has a flag that this edge does not know");
    m = good();
    metrics[0].name = "blocked";
    expect_refused(&m, "module hello: metric 1 ends with _total though it is a gauge, or does not");
    m = good();
    metrics[1] = metrics[0];
    expect_refused(&m, "metric 2 is there twice");
    m = good();
    m.metric_count = 17;
    expect_refused(&m, "module hello has 17 metrics, and this edge counts 16 of each module");
    m = good();
    metrics[1].help = NULL;
    expect_refused(&m, "metric 2 has no help");
}

Test(registry, there_may_be_so_many)
{
    static char names[MODULES_MAX + 1][16]; /* they stay the module's */
    struct module_registry *r = registry_new();
    struct usher_module m = good();
    struct buf why = { 0 };

    for (size_t i = registry_count(r); i <= MODULES_MAX; i++) {
        snprintf(names[i], sizeof(names[i]), "m%zu", i);
        m.name = names[i];
        cr_assert_eq(registry_add(r, &m, "x.so", NULL, &why), i < MODULES_MAX, "%s", why.ptr);
    }
    cr_expect_str_eq(why.ptr,
                     "x.so: module m64 would be one more than the 64 that an edge can have");
    buf_free(&why);
    registry_free(r);
}
