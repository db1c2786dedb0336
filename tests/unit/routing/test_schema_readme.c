/* test_schema_readme.c -- the tables of schema/README.md say what the .def files say, row by row. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"

/* Tests run from the root of the project. */
static void read_readme(struct buf *text)
{
    FILE *file = fopen("schema/README.md", "r");
    char piece[4096];
    size_t len;

    cr_assert_not_null(file, "schema/README.md cannot be read; run the tests from the root");
    while ((len = fread(piece, 1, sizeof(piece), file)) > 0)
        buf_add(text, piece, len);
    fclose(file);
}

static void expect_table(const struct buf *readme, const char *title, const char *head,
                         const char *rows)
{
    struct buf table = { 0 };

    buf_printf(&table, "\n## %s\n\n%s%s\n", title, head, rows);
    cr_expect(
        readme->ptr != NULL && strstr(readme->ptr, table.ptr) != NULL,
        "schema/README.md does not hold this table, as the .def file says it (setup/schema-readme writes it):\n%s",
        table.ptr);
    buf_free(&table);
}

#define FAMILY(name, key, types, fields, bytes, meaning)                                           \
    "| `usher:" key "` | " types " | " meaning " |\n"
static const char families[] =
#include "schema/families.def"
    ;
#undef FAMILY

#define FIELD(name, type, standard, range, meaning)                                                \
    "| `" #name "` | " #type " | " standard " | " range " | " meaning " |\n"
static const char host_fields[] =
#include "schema/host.def"
    ;
static const char tenant_fields[] =
#include "schema/tenant.def"
    ;
static const char service_fields[] =
#include "schema/service.def"
    ;
static const char endpoint_options[] =
#include "schema/endpoint.def"
    ;
static const char rule_words[] =
#include "schema/rule.def"
    ;

Test(schema, readme_says_what_the_tables_say)
{
    static const char field_head[] =
        "| field | type | default | range | meaning |\n|---|---|---|---|---|\n";
    struct buf readme = { 0 };

    read_readme(&readme);
    expect_table(&readme, "Keys", "| key | type | meaning |\n|---|---|---|\n", families);
    expect_table(&readme, "Fields of a host, as a hash", field_head, host_fields);
    expect_table(&readme, "Fields of a tenant", field_head, tenant_fields);
    expect_table(&readme, "Fields of a service", field_head, service_fields);
    expect_table(&readme, "Options of an endpoint",
                 "| option | type | default | range | meaning |\n|---|---|---|---|---|\n",
                 endpoint_options);
    expect_table(&readme, "Words of a rule",
                 "| word | type | default | range | meaning |\n|---|---|---|---|---|\n",
                 rule_words);
    buf_free(&readme);
}
