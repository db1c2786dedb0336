/* test_keyspace.c -- commands leave the keys as Redis would leave them. */
#include <criterion/criterion.h>

#include "cli/command_file.h"
#include "cli/keyspace.h"

/* Under the commands: usher:tenant:old has one field, usher:host:old.test is a string. */
static bool fetch_old(void *owner, enum family family, struct str name, struct value *value,
                      const char **why)
{
    static const struct value_field field = { { "to", 2 }, { "10.0.0.1:1", 10 } };

    (void)owner;
    (void)why;
    *value = (struct value){ .kind = VALUE_ABSENT };
    if (family == FAMILY_tenant && str_equals(name, STR("old")))
        *value = (struct value){ .kind = VALUE_HASH, .fields = &field, .count = 1 };
    if (family == FAMILY_host && str_equals(name, STR("old.test")))
        *value = (struct value){ .kind = VALUE_STRING, .string = STR("10.0.0.1:1") };
    return true;
}

static const struct records old = { NULL, fetch_old };

/* What each command was told, then what each touched key holds. */
static const char *outcome(const char *commands, const struct records *under, struct buf *to)
{
    struct keyspace *k = keyspace_new(STR("usher:"), under);
    struct keyspace_complaint complaint;
    struct keyspace_entry entry;
    struct command_file f;
    size_t at = 0;

    buf_clear(to);
    buf_add_text(to, "");
    command_file_open(&f, str_from(commands));
    while (command_file_next(&f) == COMMAND_READ)
        if (!keyspace_apply(k, f.line, f.count, f.words, &complaint))
            buf_printf(to, "%u:%s ", f.line, complaint.warning ? "warning" : "error");
    command_file_free(&f);
    while (keyspace_next(k, &at, &entry)) {
        buf_printf(to, STR_FMT "=", STR_ARG(entry.key));
        if (entry.value->kind == VALUE_STRING)
            buf_printf(to, "\"" STR_FMT "\"", STR_ARG(entry.value->string));
        else if (entry.value->kind == VALUE_OTHER)
            buf_add_text(to, entry.value->type);
        else if (entry.value->kind == VALUE_ABSENT)
            buf_add_text(to, "-");
        for (size_t i = 0; i < entry.value->count; i++)
            buf_printf(to, "{" STR_FMT ":" STR_FMT "}", STR_ARG(entry.value->fields[i].name),
                       STR_ARG(entry.value->fields[i].value));
        buf_add_text(to, " ");
    }
    keyspace_free(k);
    return to->ptr;
}

Test(keyspace, commands_on_nothing)
{
    static const struct {
        const char *commands, *left;
    } rows[] = {
        { "SET a b", "a=\"b\" " },
        { "set a b EX 10", "a=\"b\" " },
        { "SET a b\nSET a c NX\nSET d e XX", "a=\"b\" d=- " },
        { "SETEX a 10 b\nSETNX a c", "a=\"b\" " },
        { "MSET a 1 b 2", "a=\"1\" b=\"2\" " },
        { "MSET a 1 b", "1:error " },
        { "HSET a f 1 g 2\nHSET a f 3", "a={f:3}{g:2} " },
        { "HSET a f", "1:error " },
        { "HSET a f 1 g", "1:error " },
        { "HSET a f 1\nHDEL a f", "a=- " },
        { "HSET a f 1\nHSETNX a f 2\nHSETNX a g 2", "a={f:1}{g:2} " },
        { "SET a b\nHSET a f 1", "2:error a=\"b\" " },
        { "HSET a f 1\nSET a b", "a=\"b\" " },
        { "SET a b\nDEL a c", "a=- c=- " },
        { "SET a b\nEXPIRE a 10", "a=\"b\" " },
        { "SET a b\nEXPIRE a 0", "a=- " },
        { "SET a b\nEXPIRE a -1", "a=- " },
        { "SET a b\nEXPIRE a soon", "2:error a=\"b\" " },
        { "EXPIRE a 10", "1:warning a=- " },
        { "HSET a f 1\nRENAME a b", "a=- b={f:1} " },
        { "RENAME a b", "1:error a=- b=- " },
        { "SADD a x\nLPUSH b x\nZADD c 1 x\nXADD d * f v", "a=set b=list c=zset d=stream " },
        { "SET a b\nFLUSHDB\nSET c d", "a=- c=\"d\" " },
        { "GET a\nPING", "" },
        { "HSTE a f 1", "1:error " },
        { "BITOP AND a b", "1:warning " },
        { "SELECT 2", "1:warning " },
    };
    struct buf said = { 0 };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        cr_expect_str_eq(outcome(rows[i].commands, NULL, &said), rows[i].left, "%s gives %s",
                         rows[i].commands, said.ptr);
    buf_free(&said);
}

Test(keyspace, commands_on_what_is_there)
{
    static const struct {
        const char *commands, *left;
    } rows[] = {
        { "HSET usher:tenant:old status active",
          "usher:tenant:old={to:10.0.0.1:1}{status:active} " },
        { "HDEL usher:tenant:old to", "usher:tenant:old=- " },
        { "HSET usher:host:old.test to x", "1:error usher:host:old.test=\"10.0.0.1:1\" " },
        { "DEL usher:host:old.test", "usher:host:old.test=- " },
        { "SET usher:host:old.test x NX", "usher:host:old.test=\"10.0.0.1:1\" " },
        { "RENAME usher:host:old.test usher:host:new.test",
          "usher:host:old.test=- usher:host:new.test=\"10.0.0.1:1\" " },
        { "FLUSHALL\nHSET usher:tenant:old status active", "usher:tenant:old={status:active} " },
    };
    struct buf said = { 0 };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        cr_expect_str_eq(outcome(rows[i].commands, &old, &said), rows[i].left, "%s gives %s",
                         rows[i].commands, said.ptr);
    buf_free(&said);
}

Test(keyspace, reads_through_to_what_no_command_touched)
{
    struct keyspace *k = keyspace_new(STR("usher:"), &old);
    struct records all = keyspace_records(k);
    struct keyspace_complaint complaint;
    struct value value;
    const char *why;
    const struct str del[] = { STR("DEL"), STR("usher:tenant:old") };

    cr_assert(records_fetch(&all, FAMILY_tenant, STR("old"), &value, &why));
    cr_expect_eq(value.kind, VALUE_HASH);
    cr_assert(keyspace_apply(k, 1, 2, del, &complaint));
    cr_assert(records_fetch(&all, FAMILY_tenant, STR("old"), &value, &why));
    cr_expect_eq(value.kind, VALUE_ABSENT);
    cr_assert(records_fetch(&all, FAMILY_host, STR("old.test"), &value, &why));
    cr_expect_eq(value.kind, VALUE_STRING);
    keyspace_free(k);
}
