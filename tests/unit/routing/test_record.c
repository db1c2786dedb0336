/* test_record.c -- what a record may say, and what is said about one that may not. */
#include "routing/endpoint.h"
#include "routing/record.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#define FIELDS_MAX 8

static struct value hash_of(struct value_field *fields, size_t count)
{
    return (struct value){ .kind = VALUE_HASH, .type = "hash", .fields = fields, .count = count };
}

static struct value string_of(const char *text)
{
    return (struct value){ .kind = VALUE_STRING, .type = "string", .string = str_from(text) };
}

/* The sentence about a wrong record; "" when it is right. The caller frees it. */
static char *judged(enum family family, const char *name, const struct value *value,
                    struct record_fields *fields)
{
    struct record_error error;
    struct buf sentence = { 0 };

    buf_add_text(&sentence, "");
    if (!record_decode(NULL, family, str_from(name), value, fields, &error))
        record_error_say(&error, &sentence);
    return sentence.ptr ? sentence.ptr : strdup("");
}

static void expect_host(const char *text, const char *sentence)
{
    struct record_fields fields;
    struct value value = string_of(text);
    char *said = judged(FAMILY_host, "shop.example", &value, &fields);

    cr_expect_str_eq(said, sentence, "of \"%s\" it said: %s", text, said);
    free(said);
    record_fields_free(&fields);
}

static void expect_field(enum family family, const char *field, const char *text,
                         const char *sentence)
{
    struct record_fields fields;
    struct value_field f = { str_from(field), str_from(text) };
    struct value value = hash_of(&f, 1);
    char *said = judged(family, "acme", &value, &fields);

    cr_expect_str_eq(said, sentence, "of %s=\"%s\" it said: %s", field, text, said);
    free(said);
    record_fields_free(&fields);
}

/* It is told which fields there are, all of them. */
static void expect_unknown(enum family family, const char *field)
{
    struct buf sentence = { 0 };
    size_t count;
    const struct field_row *rows = record_fields_of(family, &count);

    buf_printf(&sentence, "field %s: got \"%s\", expected one of the fields ", field, field);
    for (size_t i = 0; i < count; i++)
        buf_printf(&sentence, "%s%s", i > 0 ? ", " : "", rows[i].name);
    expect_field(family, field, "x", sentence.ptr);
    buf_free(&sentence);
}

static void expect_name(const struct record_fields *fields, uint32_t index, enum family family,
                        const char *name)
{
    cr_assert_lt(index, fields->names.count);
    cr_expect_eq(fields->names.items[index].family, family);
    cr_expect(str_equals(fields->names.items[index].name, str_from(name)));
}

#define ENDPOINT                                                                                   \
    "ADDRESS:PORT or NAME:PORT, such as 10.0.0.5:8080, [2001:db8::5]:8080 or app.internal:8080"

Test(record, host_strings)
{
    struct record_fields fields;
    struct record_error error;
    struct value value = string_of(" 10.0.0.5:8080  [2001:db8::1]:80 ");

    cr_assert(record_decode(NULL, FAMILY_host, STR("shop.example"), &value, &fields, &error));
    cr_assert_eq(fields.to.kind, ACTION_ENDPOINTS);
    cr_assert_eq(fields.to.endpoint_count, 2);
    cr_assert_eq(fields.to.endpoints[1].address.any.sa_family, AF_INET6);
    record_fields_free(&fields);
    value = string_of("service:acme-web");
    cr_assert(record_decode(NULL, FAMILY_host, STR("shop.example"), &value, &fields, &error));
    cr_assert_eq(fields.to.kind, ACTION_SERVICE);
    expect_name(&fields, fields.to.service, FAMILY_service, "acme-web");
    record_fields_free(&fields);
    value = string_of("tenant:acme");
    cr_assert(record_decode(NULL, FAMILY_host, STR("*.shop.example"), &value, &fields, &error));
    cr_assert_eq(fields.to.kind, ACTION_UNSET);
    cr_assert(fields.has_tenant);
    expect_name(&fields, fields.tenant, FAMILY_tenant, "acme");
    record_fields_free(&fields);
}

Test(record, endpoints_of_other_kinds)
{
    struct record_fields fields;
    struct record_error error;
    struct value value = string_of("fcgi://10.0.0.5:9000 root=/srv/app path_info app.internal:80 "
                                   "unix:/run/app.sock fcgi://unix:/run/php.sock index=x/y.php "
                                   "root=/");
    static const char *const said[] = { "fcgi://10.0.0.5:9000 root=/srv/app path_info",
                                        "app.internal:80", "unix:/run/app.sock",
                                        "fcgi://unix:/run/php.sock root=/ index=x/y.php" };

    cr_assert(record_decode(NULL, FAMILY_host, STR("shop.example"), &value, &fields, &error));
    cr_assert_eq(fields.to.endpoint_count, 4);
    for (unsigned i = 0; i < 4; i++) {
        struct buf text = { 0 };

        endpoint_say(&fields.to.endpoints[i], &text);
        cr_expect_str_eq(text.ptr, said[i]);
        buf_free(&text);
    }
    cr_expect_eq(fields.to.endpoints[0].options->protocol, PROTOCOL_FASTCGI);
    cr_expect_eq(fields.to.endpoints[1].address.any.sa_family, AF_UNSPEC);
    record_fields_free(&fields);
}

Test(record, wrong_endpoints_of_other_kinds)
{
    static const char path[] = "unix: and an absolute path of at most 107 bytes without . .. or "
                               "spaces, such as unix:/run/app.sock";
    static const char *const wrong[][2] = {
        { "unix:run/a", path },
        { "unix:/run/../a", path },
        { "unix:/run//a", path },
        { "unix:/", path },
        { "fcgi://10.0.0.5:9000", "root=/FOLDER behind it, where its scripts lie" },
        { "fcgi://10.0.0.5:9000 root=srv",
          "an absolute path without . .. or spaces, such as root=/srv/app" },
        { "fcgi://10.0.0.5:9000 root=/srv/../etc",
          "an absolute path without . .. or spaces, such as root=/srv/app" },
        { "fcgi://10.0.0.5:9000 root=/srv index=../x.php",
          "a path below root, such as index=index.php" },
        { "fcgi://10.0.0.5:9000 root=/srv path_info=1", "path_info alone" },
        { "10.0.0.5:80 root=/srv",
          "fcgi:// before an endpoint with root, index, path_info or keep" },
        { "app.internal:80 app.internal:80", "each endpoint once" },
        { "fcgi://", ENDPOINT },
        { "root=/srv fcgi://10.0.0.5:9000", ENDPOINT },
        { "http://10.0.0.5:80", ENDPOINT },
    };

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct buf sentence = { 0 };

        buf_printf(&sentence, "got \"%s\", expected %s", wrong[i][0], wrong[i][1]);
        expect_host(wrong[i][0], sentence.ptr);
        buf_free(&sentence);
    }
    expect_field(FAMILY_endpoints, "fcgi://a:9000", "root=/srv weight=5 keep", "");
    expect_field(FAMILY_endpoints, "fcgi://a:9000", "7",
                 "field fcgi://a:9000: got \"7\", expected root=/FOLDER behind it, where its "
                 "scripts lie");
    expect_field(
        FAMILY_endpoints, "a:9000", "keep",
        "field a:9000: got \"keep\", expected fcgi:// before an endpoint with root, index, "
        "path_info or keep");
}

Test(record, wrong_host_strings)
{
    expect_host("10.0.0.5:99999", "got \"10.0.0.5:99999\", expected a port from 1 to 65535");
    expect_host("10.0.0.5:0", "got \"10.0.0.5:0\", expected a port from 1 to 65535");
    expect_host("10.0.0.5:80 10.0.0.5:80",
                "got \"10.0.0.5:80 10.0.0.5:80\", expected each endpoint once");
    expect_host("Origin.example:80", "got \"Origin.example:80\", expected " ENDPOINT);
    expect_host("origin.example", "got \"origin.example\", expected " ENDPOINT);
    expect_host("10.0.0.300:80", "got \"10.0.0.300:80\", expected " ENDPOINT);
    expect_host("servce:acme", "got \"servce:acme\", expected " ENDPOINT);
    expect_host("origin.example:0", "got \"origin.example:0\", expected a port from 1 to 65535");
    expect_host("", "got \"\", expected endpoints such as 10.0.0.5:8080, or service:NAME, or "
                    "tenant:ID");
    expect_host("nonsense", "got \"nonsense\", expected endpoints such as 10.0.0.5:8080, or "
                            "service:NAME, or tenant:ID");
    expect_host("tenant:", "got \"tenant:\", expected tenant: with a name of a-z 0-9 . _ - with 1 "
                           "to 63 characters");
    expect_host("service:Acme", "got \"service:Acme\", expected service: with a name of a-z 0-9 . "
                                "_ - with 1 to 63 characters");
}

Test(record, hashes)
{
    struct record_fields fields;
    struct record_error error;
    struct value_field f[] = { { STR("tenant"), STR("acme") },
                               { STR("to"), STR("10.0.0.5:1") },
                               { STR("status"), STR("maintenance") } };
    struct value value = hash_of(f, 3);

    cr_assert(record_decode(NULL, FAMILY_host, STR("a.example"), &value, &fields, &error));
    expect_name(&fields, fields.tenant, FAMILY_tenant, "acme");
    cr_expect_eq(fields.to.endpoint_count, 1);
    cr_expect_eq(fields.status, STATUS_MAINTENANCE);
    record_fields_free(&fields);
    expect_unknown(FAMILY_tenant, "tenant");
    expect_unknown(FAMILY_host, "tenat");
    expect_field(FAMILY_tenant, "status", "Active",
                 "field status: got \"Active\", expected active, maintenance or suspended");
    expect_field(
        FAMILY_service, "balance", "least",
        "field balance: got \"least\", expected round-robin, random, random-two, least-conn or hash");
    expect_field(FAMILY_service, "balance", "random", "");
}

Test(record, what_a_tenant_a_host_and_the_defaults_may_say)
{
    static const enum family families[] = { FAMILY_tenant, FAMILY_host, FAMILY_defaults };
    struct value_field f[] = {
        { STR("to"), STR("service:web") },  { STR("status"), STR("suspended") },
        { STR("retry_after"), STR("120") }, { STR("page"), STR("<h1>Soon</h1>") },
        { STR("https"), STR("redirect") },  { STR("path"), STR("raw") },
        { STR("timeout"), STR("2m") },
    };
    struct value value = hash_of(f, 7);

    for (unsigned i = 0; i < 3; i++) {
        struct str name = families[i] == FAMILY_defaults ? STR("") : STR("acme");
        struct record_fields fields;
        struct record_error error;

        cr_assert(record_decode(NULL, families[i], name, &value, &fields, &error));
        expect_name(&fields, fields.to.service, FAMILY_service, "web");
        cr_expect_eq(fields.status, STATUS_SUSPENDED);
        cr_expect_eq(fields.retry_after_s, 120);
        cr_expect(str_equals(fields.page, STR("<h1>Soon</h1>")));
        cr_expect_eq(fields.https, HTTPS_REDIRECT);
        cr_expect_eq(fields.path, PATH_RAW);
        cr_expect_eq(fields.timeout_ms, 120000);
        record_fields_free(&fields);
    }
    expect_field(FAMILY_tenant, "retry_after", "0",
                 "field retry_after: got \"0\", expected seconds from 1 to 86400, such as 120");
    expect_field(FAMILY_tenant, "https", "on", "field https: got \"on\", expected off or redirect");
    expect_field(FAMILY_tenant, "path", "Raw", "field path: got \"Raw\", expected normal or raw");
    expect_field(FAMILY_host, "timeout", "5",
                 "field timeout: got \"5\", expected a time from 1ms to 24h, such as 500ms, 5s or "
                 "2m");
    expect_field(FAMILY_service, "owner", "Acme",
                 "field owner: got \"Acme\", expected a name of a-z 0-9 . _ - with 1 to 63 "
                 "characters");
    expect_field(FAMILY_service, "owner", "acme", "");
}

Test(record, a_value_of_8_KiB_is_the_longest)
{
    char *page = calloc(1, RECORD_STRING_MAX + 2), *said;
    struct record_fields fields;
    struct value_field f = { STR("page"), { page, RECORD_STRING_MAX } };
    struct value value = hash_of(&f, 1);

    memset(page, 'a', RECORD_STRING_MAX + 1);
    said = judged(FAMILY_tenant, "acme", &value, &fields);
    cr_expect_str_eq(said, "");
    cr_expect_eq(fields.page.len, RECORD_STRING_MAX);
    free(said);
    record_fields_free(&fields);
    f.value.len++;
    said = judged(FAMILY_tenant, "acme", &value, &fields);
    cr_expect(strstr(said, "expected at most 8192 bytes") != NULL, "%s", said);
    free(said);
    record_fields_free(&fields);
    free(page);
}

Test(record, the_one_key_of_a_family)
{
    struct record_fields fields;
    struct value value = hash_of(NULL, 0);
    char *said = judged(FAMILY_defaults, "", &value, &fields);

    cr_expect_str_eq(said, "");
    free(said);
    said = judged(FAMILY_defaults, "acme", &value, &fields);
    cr_expect_str_eq(said, "got \"acme\", expected a key without a name");
    free(said);
    cr_expect(family_is_single(FAMILY_defaults));
    cr_expect_not(family_is_single(FAMILY_routes));
    cr_expect_eq(family_limits(FAMILY_routes).fields, 20000);
    cr_expect_eq(family_limits(FAMILY_tenant).bytes, 256 * 1024);
}

Test(record, many_names_are_told_apart)
{
    struct value_field f[3000];
    static char names[3000][8], texts[3000][40];
    struct value value = hash_of(f, 3000);
    struct record_fields fields;
    struct record_error error;

    for (unsigned i = 0; i < 3000; i++) {
        snprintf(names[i], sizeof(names[i]), "r%u", i);
        snprintf(texts[i], sizeof(texts[i]), "path /p%u to service:s%u", i, i / 2);
        f[i] = (struct value_field){ str_from(names[i]), str_from(texts[i]) };
    }
    cr_assert(record_decode(NULL, FAMILY_routes, STR("acme"), &value, &fields, &error));
    cr_assert_eq(fields.names.count, 1500);
    for (unsigned i = 0; i < 3000; i++) {
        char name[16];

        snprintf(name, sizeof(name), "s%u", i / 2);
        expect_name(&fields, fields.rules[i].action.service, FAMILY_service, name);
    }
    cr_expect_str_eq(fields.names.items[1].field, "r2", "the first rule that names it");
    record_fields_free(&fields);
}

Test(record, tables_for_others)
{
    size_t count, of_tenant;
    const struct field_row *rows = record_fields_of(FAMILY_host, &count);

    cr_expect_str_eq(rows[0].name, "tenant");
    record_fields_of(FAMILY_tenant, &of_tenant);
    cr_expect_eq(count, of_tenant + 1, "a host may say what a tenant may, and whose it is");
    cr_expect_str_eq(rows[2].range, "active, maintenance or suspended");
    record_fields_of(FAMILY_routes, &count);
    cr_expect_eq(count, 0);
    rows = rule_words_known(&count);
    cr_expect_str_eq(rows[0].name, "path");
    cr_expect_str_eq(rows[0].type, "condition");
    for (size_t i = 0; i < count; i++)
        cr_expect(rows[i].range[0] != '\0' && rows[i].meaning[0] != '\0');
}

Test(record, endpoints)
{
    struct record_fields fields;
    struct record_error error;
    struct value_field f[] = { { STR("10.0.0.5:1"), STR("100") },
                               { STR("10.0.0.5:2"), STR("weight=0") },
                               { STR("10.0.0.5:3"), STR("1000") } };
    struct value value = hash_of(f, 3);

    cr_assert(record_decode(NULL, FAMILY_endpoints, STR("web"), &value, &fields, &error));
    cr_expect_eq(fields.endpoints.items[0].weight, 100);
    cr_expect_eq(fields.endpoints.items[1].weight, 0);
    cr_expect_eq(fields.endpoints.items[2].weight, 1000);
    record_fields_free(&fields);
    expect_field(FAMILY_endpoints, "10.0.0.5:1", "1001",
                 "field 10.0.0.5:1: got \"1001\", expected a weight from 0 to 1000, such as 100 or "
                 "weight=100");
    expect_field(
        FAMILY_endpoints, "10.0.0.5:1", "weight=5 color=red",
        "field 10.0.0.5:1: got \"color=red\", expected options of an endpoint, such as weight=100");
    expect_field(FAMILY_endpoints, "10.0.0.5:1", "weight=",
                 "field 10.0.0.5:1: got \"weight=\", expected a weight from 0 to 1000, such as 100 "
                 "or weight=100");
    expect_field(FAMILY_endpoints, "10.0.0.5:1", "",
                 "field 10.0.0.5:1: got \"\", expected a weight from 0 to 1000, such as 100 or "
                 "weight=100");
    expect_field(FAMILY_endpoints, "10.0.0.5", "1",
                 "field 10.0.0.5: got \"10.0.0.5\", expected " ENDPOINT);
}

Test(record, types_and_sizes)
{
    struct record_fields fields;
    struct value value = { .kind = VALUE_OTHER, .type = "list" };
    char *said = judged(FAMILY_host, "a.example", &value, &fields);

    cr_expect_str_eq(said, "got \"list\", expected a string or a hash");
    free(said);
    value = string_of("x");
    said = judged(FAMILY_tenant, "acme", &value, &fields);
    cr_expect_str_eq(said, "got \"string\", expected a hash");
    free(said);
    value = (struct value){ .kind = VALUE_TOO_LARGE };
    said = judged(FAMILY_tenant, "acme", &value, &fields);
    cr_expect(strstr(said, "too large") != NULL);
    free(said);
}

Test(record, what_is_quoted_is_short_and_printable)
{
    struct record_fields fields;
    char text[3000];
    struct value value = { .kind = VALUE_STRING, .string = str_slice(text, sizeof(text)) };
    char *said;

    memset(text, '\n', sizeof(text));
    said = judged(FAMILY_host, "a.example", &value, &fields);
    cr_expect(strlen(said) < 400);
    cr_expect(strchr(said, '\n') == NULL);
    free(said);
}

static bool host_is_right(const char *host)
{
    const char *expected;

    return record_name_is_right(FAMILY_host, str_from(host), &expected);
}

Test(record, names)
{
    const char *expected;
    char label[64 + 4], host[300];

    cr_expect(host_is_right("*"));
    cr_expect(host_is_right("*.example"));
    cr_expect(host_is_right("a-b_c.example"));
    cr_expect(host_is_right("10.0.0.1"));
    cr_expect(host_is_right("[2001:db8::1]"));
    cr_expect_not(host_is_right(""));
    cr_expect_not(host_is_right("*."));
    cr_expect_not(host_is_right("a.*.example"));
    cr_expect_not(host_is_right("a.example."));
    cr_expect_not(host_is_right("a..example"));
    cr_expect_not(host_is_right(".example"));
    cr_expect_not(host_is_right("A.example"));
    cr_expect_not(host_is_right("a.example:80"));
    cr_expect_not(host_is_right("[2001:DB8::1]"));
    cr_expect_not(host_is_right("[2001:db8::1]:80"));
    cr_expect_not(host_is_right("[]"));
    memset(label, 'a', 64);
    label[64] = '\0';
    cr_expect_not(host_is_right(label));
    cr_expect(host_is_right(label + 1));
    for (size_t i = 0; i < 254; i++)
        host[i] = i % 2 ? '.' : 'a';
    host[254] = '\0';
    cr_expect_not(host_is_right(host));
    host[253] = '\0';
    cr_expect(host_is_right(host));
    cr_expect(record_name_is_right(FAMILY_tenant, STR("a.b-c_9"), &expected));
    cr_expect_not(record_name_is_right(FAMILY_tenant, STR("-a"), &expected));
    cr_expect_not(record_name_is_right(FAMILY_service, STR(""), &expected));
    cr_expect_not(record_name_is_right(FAMILY_endpoints, STR("a:b"), &expected));
    cr_expect_not(record_name_is_right(FAMILY_tenant, str_from(label), &expected));
}

/* What is said of retries, alone and together. */
static unsigned retry_on_said(const char *text)
{
    struct value_field f[] = { { STR("retry_on"), str_from(text) } };
    struct value value = hash_of(f, 1);
    struct record_fields fields;
    struct record_error error;
    unsigned on = record_decode(NULL, FAMILY_service, STR("web"), &value, &fields, &error)
                      ? retry_on_of(&fields.policy.retry)
                      : 0;

    record_fields_free(&fields);
    return on;
}

Test(record, words_of_retry_on)
{
    cr_expect_eq(retry_on_said("none"), RETRY_ON_NONE);
    cr_expect_eq(retry_on_said("connect"), RETRY_ON_CONNECT);
    cr_expect_eq(retry_on_said(" closed "), RETRY_ON_CLOSED);
    cr_expect_eq(retry_on_said("502"), RETRY_ON_502);
    cr_expect_eq(retry_on_said("503"), RETRY_ON_503);
    cr_expect_eq(retry_on_said("504 502"), RETRY_ON_504 | RETRY_ON_502);
    cr_expect_eq(retry_on_said(""), 0);
    cr_expect_eq(retry_on_said("none connect"), 0);
    cr_expect_eq(retry_on_said("timeout"), 0);
}

static uint32_t latency_said(const char *text, bool times)
{
    struct value_field f[] = { { STR("outlier_latency"), str_from(text) } };
    struct value value = hash_of(f, 1);
    struct record_fields fields;
    struct record_error error;
    bool good = record_decode(NULL, FAMILY_service, STR("web"), &value, &fields, &error);
    struct outlier_policy policy = fields.policy.outlier;

    record_fields_free(&fields);
    return !good ? 0 : times ? policy.latency_percent : policy.latency_ms;
}

Test(record, latency_is_a_time_or_some_times_the_others)
{
    cr_expect_eq(latency_said("500ms", false), 500);
    cr_expect_eq(latency_said("3x", true), 300);
    cr_expect_eq(latency_said("2.5x", true), 250);
    cr_expect_eq(latency_said("100x", true), 10000);
    for (unsigned i = 0; i < 7; i++) {
        static const char *const wrong[] = { "x", "1x", "101x", "2.x", "2.55x", "3", "none" };

        cr_expect_eq(latency_said(wrong[i], true) + latency_said(wrong[i], false), 0, "%s",
                     wrong[i]);
    }
}
