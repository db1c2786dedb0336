/* test_record.c -- what a record may say, and what is said about one that may not. */
#include "routing/record.h"

#include <criterion/criterion.h>
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
    if (!record_decode(family, str_from(name), value, fields, &error))
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

static void expect_name(const struct record_fields *fields, uint32_t index, enum family family,
                        const char *name)
{
    cr_assert_lt(index, fields->names.count);
    cr_expect_eq(fields->names.items[index].family, family);
    cr_expect(str_equals(fields->names.items[index].name, str_from(name)));
}

Test(record, host_strings)
{
    struct record_fields fields;
    struct record_error error;
    struct value value = string_of(" 10.0.0.5:8080  [2001:db8::1]:80 ");

    cr_assert(record_decode(FAMILY_host, STR("shop.example"), &value, &fields, &error));
    cr_assert_eq(fields.to.kind, ACTION_ENDPOINTS);
    cr_assert_eq(fields.to.endpoint_count, 2);
    cr_assert_eq(fields.to.endpoints[1].address.any.sa_family, AF_INET6);
    record_fields_free(&fields);
    value = string_of("service:acme-web");
    cr_assert(record_decode(FAMILY_host, STR("shop.example"), &value, &fields, &error));
    cr_assert_eq(fields.to.kind, ACTION_SERVICE);
    expect_name(&fields, fields.to.service, FAMILY_service, "acme-web");
    record_fields_free(&fields);
    value = string_of("tenant:acme");
    cr_assert(record_decode(FAMILY_host, STR("*.shop.example"), &value, &fields, &error));
    cr_assert_eq(fields.to.kind, ACTION_UNSET);
    cr_assert(fields.has_tenant);
    expect_name(&fields, fields.tenant, FAMILY_tenant, "acme");
    record_fields_free(&fields);
}

Test(record, wrong_host_strings)
{
    expect_host("10.0.0.5:99999", "got \"10.0.0.5:99999\", expected a port from 1 to 65535");
    expect_host("10.0.0.5:0", "got \"10.0.0.5:0\", expected a port from 1 to 65535");
    expect_host("10.0.0.5:80 10.0.0.5:80",
                "got \"10.0.0.5:80 10.0.0.5:80\", expected each endpoint once");
    expect_host("origin.example:80", "got \"origin.example:80\", expected ADDRESS:PORT, such as "
                                     "10.0.0.5:8080 or [2001:db8::5]:8080");
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

    cr_assert(record_decode(FAMILY_host, STR("a.example"), &value, &fields, &error));
    expect_name(&fields, fields.tenant, FAMILY_tenant, "acme");
    cr_expect_eq(fields.to.endpoint_count, 1);
    cr_expect_eq(fields.status, STATUS_MAINTENANCE);
    record_fields_free(&fields);
    expect_field(FAMILY_tenant, "tenant", "x",
                 "field tenant: got \"tenant\", expected one of the fields to, status, "
                 "retry_after, page, https, path, timeout");
    expect_field(FAMILY_host, "tenat", "x",
                 "field tenat: got \"tenat\", expected one of the fields tenant, to, status, "
                 "retry_after, page, https, path, timeout");
    expect_field(FAMILY_tenant, "status", "Active",
                 "field status: got \"Active\", expected active, maintenance or suspended");
    expect_field(FAMILY_service, "balance", "least",
                 "field balance: got \"least\", expected round-robin or random");
    expect_field(FAMILY_service, "balance", "random", "");
}

Test(record, endpoints)
{
    struct record_fields fields;
    struct record_error error;
    struct value_field f[] = { { STR("10.0.0.5:1"), STR("100") },
                               { STR("10.0.0.5:2"), STR("weight=0") },
                               { STR("10.0.0.5:3"), STR("1000") } };
    struct value value = hash_of(f, 3);

    cr_assert(record_decode(FAMILY_endpoints, STR("web"), &value, &fields, &error));
    cr_expect_eq(fields.endpoints.items[0].weight, 100);
    cr_expect_eq(fields.endpoints.items[1].weight, 0);
    cr_expect_eq(fields.endpoints.items[2].weight, 1000);
    record_fields_free(&fields);
    expect_field(FAMILY_endpoints, "10.0.0.5:1", "1001",
                 "field 10.0.0.5:1: got \"1001\", expected a weight from 0 to 1000, such as 100 or "
                 "weight=100");
    expect_field(FAMILY_endpoints, "10.0.0.5:1", "weight=5 color=red",
                 "field 10.0.0.5:1: got \"color=red\", expected weight=0 to weight=1000");
    expect_field(FAMILY_endpoints, "10.0.0.5:1", "weight=",
                 "field 10.0.0.5:1: got \"weight=\", expected a weight from 0 to 1000, such as 100 "
                 "or weight=100");
    expect_field(FAMILY_endpoints, "10.0.0.5:1", "",
                 "field 10.0.0.5:1: got \"\", expected a weight from 0 to 1000, such as 100 or "
                 "weight=100");
    expect_field(FAMILY_endpoints, "10.0.0.5", "1",
                 "field 10.0.0.5: got \"10.0.0.5\", expected ADDRESS:PORT, such as 10.0.0.5:8080 "
                 "or [2001:db8::5]:8080");
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
