/* test_functions_lua.c -- the tables in schema/functions/usher.lua say what the .def files say. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "base/buf.h"

#define FIELD(name, type, unset, range, meaning)                                                   \
    "    { \"" #name "\", \"" #type "\", \"" range "\" },\n"
static const char host_fields[] = "local host_fields = {\n"
#include "schema/host.def"
#include "schema/tenant.def"
                                  "}\n";
static const char tenant_fields[] = "local tenant_fields = {\n"
#include "schema/tenant.def"
                                    "}\n";
static const char service_fields[] = "local service_fields = {\n"
#include "schema/service.def"
                                     "}\n";
static const char endpoint_options[] = "local endpoint_options = {\n"
#include "schema/endpoint.def"
                                       "}\n";
static const char rule_words[] = "local rule_words = {\n"
#include "schema/rule.def"
                                 "}\n";
#undef FIELD

#define FAMILY(name, key, types, fields, bytes, meaning) "    " #name " = " #fields ",\n"
static const char families[] = "local families = {\n"
#include "schema/families.def"
                               "}\n";
#undef FAMILY

Test(schema, functions_say_what_the_tables_say)
{
    const char *const tables[] = { host_fields,      tenant_fields, service_fields,
                                   endpoint_options, rule_words,    families };
    struct buf text = { 0 };
    char piece[4096];
    size_t len;
    FILE *file = fopen("schema/functions/usher.lua", "r");

    cr_assert_not_null(file, "run the tests from the root");
    while ((len = fread(piece, 1, sizeof(piece), file)) > 0)
        buf_add(&text, piece, len);
    fclose(file);
    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
        cr_expect(strstr(text.ptr, tables[i]) != NULL,
                  "schema/functions/usher.lua does not hold this table (setup/lua_fields writes "
                  "it):\n%s",
                  tables[i]);
    buf_free(&text);
}
