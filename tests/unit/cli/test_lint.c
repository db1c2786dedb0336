/* test_lint.c -- what the lint says of what commands would leave. */
#include <criterion/criterion.h>

#include "cli/command_file.h"
#include "cli/keyspace.h"
#include "cli/lint.h"
#include "store/keys.h"

static void on_found(void *owner, const struct finding *f)
{
    struct buf *said = owner;

    buf_printf(said, "%s %s " STR_FMT " [%s] {%s}\n", f->warning ? "warning" : "error", f->kind,
               STR_ARG(f->key), f->error.field, f->hint);
}

/* All findings about what these commands leave, each on a line. */
static const char *findings(const char *commands, struct buf *said)
{
    struct keyspace *k = keyspace_new(STR("usher:"), NULL);
    struct records all = keyspace_records(k);
    struct keyspace_complaint complaint;
    struct keyspace_entry e;
    struct command_file f;
    struct lint l;

    buf_clear(said);
    buf_add_text(said, "");
    command_file_open(&f, str_from(commands));
    while (command_file_next(&f) == COMMAND_READ)
        cr_assert(keyspace_apply(k, f.line, f.count, f.words, &complaint), "%s: %s", commands,
                  complaint.expected);
    command_file_free(&f);
    lint_init(&l, STR("usher:"), &all);
    l.owner = said;
    l.found = on_found;
    for (size_t at = 0; keyspace_next(k, &at, &e);) {
        enum family family;
        struct str name = STR("");
        bool ours = keys_split(STR("usher:"), e.key, &family, &name);

        if (e.value->kind != VALUE_ABSENT && lint_key(&l, e.key, ours ? &family : NULL, name))
            lint_record(&l, family, name, e.value);
    }
    lint_free(&l);
    keyspace_free(k);
    return said->ptr;
}

#define ACME "HSET usher:tenant:acme to 10.0.0.1:1\n"

Test(lint, findings)
{
    static const struct {
        const char *commands, *says;
    } rows[] = {
        { "SET usher:host:a.test 10.0.0.1:1", "" },
        { "HSET usher:endpoints:web 10.0.0.1:1 1\nHSET usher:tenant:acme to service:web\n"
          "SET usher:host:a.test tenant:acme",
          "" },
        /* keys */
        { "SET usher:host:A.test 10.0.0.1:1",
          "error bad_key usher:host:A.test [] {did you mean usher:host:a.test?}\n" },
        { "SET usher:host:a.test:80 10.0.0.1:1",
          "error bad_key usher:host:a.test:80 [] {did you mean usher:host:a.test?}\n" },
        { "SET usher:host:*.A.test. 10.0.0.1:1",
          "error bad_key usher:host:*.A.test. [] {did you mean usher:host:*.a.test?}\n" },
        { "SET usher:host:a_/b 10.0.0.1:1", "error bad_key usher:host:a_/b [] {}\n" },
        { "HSET usher:tenant:Acme to 10.0.0.1:1", "error bad_key usher:tenant:Acme [] {}\n" },
        { "HSET usher:tenat:acme to x",
          "error unknown_key usher:tenat:acme [] {did you mean usher:tenant:acme?}\n" },
        { "SET usher:ban:10.0.0.0/8 why", "" },
        { "SET usher:ban:10.0.0.256 why", "error bad_key usher:ban:10.0.0.256 [] {}\n" },
        { "SET usher:colour:x y", "warning unknown_key usher:colour:x [] {}\n" },
        { "SET usher:errors x\nSET usher:edge:one x\nSET usher:t:acme:x y\nSET other x", "" },
        /* fields and values */
        { "HSET usher:tenant:acme to 10.0.0.1:1 statsu active",
          "error bad_record usher:tenant:acme [statsu] {did you mean status?}\n" },
        { "HSET usher:tenant:acme to 10.0.0.1:99999 status asleep colour red",
          "error bad_record usher:tenant:acme [to] {}\n"
          "error bad_record usher:tenant:acme [status] {}\n"
          "error bad_record usher:tenant:acme [colour] {}\n" },
        { "HSET usher:endpoints:web 10.0.0.1:1 wieght=5 10.0.0.2:2 5",
          "error bad_record usher:endpoints:web [10.0.0.1:1] {did you mean weight?}\n" },
        { "SET usher:host:a.test nonsense", "error bad_record usher:host:a.test [] {}\n" },
        { "LPUSH usher:host:a.test x", "error bad_record usher:host:a.test [] {}\n" },
        { "SET usher:tenant:acme x", "error bad_record usher:tenant:acme [] {}\n" },
        /* names */
        { "SET usher:host:a.test tenant:none",
          "error missing_name usher:host:a.test [tenant] {}\n" },
        { "SET usher:host:a.test service:none", "error missing_name usher:host:a.test [to] {}\n" },
        { "HSET usher:tenant:acme to service:none",
          "error missing_name usher:tenant:acme [to] {}\n" },
        { "HSET usher:endpoints:web 10.0.0.1:1 1\nHSET usher:service:web owner acme\n"
          "HSET usher:tenant:acme to service:web\nHSET usher:tenant:other to service:web\n"
          "HSET usher:host:a.test tenant acme to service:web\n"
          "HSET usher:host:b.test tenant other to service:web\n"
          "SET usher:host:c.test service:web",
          "error not_owner usher:tenant:other [to] {}\n"
          "error not_owner usher:host:b.test [to] {}\n"
          "error not_owner usher:host:c.test [to] {}\n" },
        /* what an edge takes, and somebody wonders about */
        { "HSET usher:host:a.test status active", "warning nowhere usher:host:a.test [] {}\n" },
        { "HSET usher:tenant:acme status active", "warning nowhere usher:tenant:acme [] {}\n" },
        { "HSET usher:tenant:acme status active\nHSET usher:defaults to 10.0.0.1:1", "" },
        { "HSET usher:service:web balance random",
          "warning no_endpoint usher:service:web [] {}\n" },
        { "HSET usher:endpoints:web 10.0.0.1:1 0",
          "warning no_endpoint usher:endpoints:web [] {}\n" },
        { "HSET usher:endpoints:web 10.0.0.1:1 'drain backup' 10.0.0.2:1 0",
          "warning no_endpoint usher:endpoints:web [] {}\n" },
        { "HSET usher:endpoints:web 10.0.0.1:1 backup 10.0.0.2:1 drain",
          "warning only_backups usher:endpoints:web [] {}\n" },
        { "HSET usher:endpoints:web 10.0.0.1:1 backup 10.0.0.2:1 100", "" },
        { "HSET usher:endpoints:web 10.0.0.1:1 5\nHSET usher:service:web hash_by path",
          "warning unused usher:service:web [] {}\n" },
        { "HSET usher:endpoints:web 10.0.0.1:1 5\nHSET usher:service:web hash_by path balance hash",
          "" },
        /* rules against each other */
        { ACME
          "HSET usher:routes:acme a 'path /x method GET deny' b 'method GET path /x respond 200'",
          "warning never_met usher:routes:acme [b] {}\n" },
        { ACME "HSET usher:routes:acme b 'path /x header X-A=1 deny' a 'path /x header x-a=1 deny'",
          "warning never_met usher:routes:acme [b] {}\n" },
        { ACME "HSET usher:routes:acme a 'path /x deny' b 'path /x respond 200 priority 1'",
          "warning never_met usher:routes:acme [a] {}\n" },
        { ACME "HSET usher:routes:acme a 'path /x/y method GET deny' b 'path /x/* deny priority 1'",
          "warning never_met usher:routes:acme [a] {}\n" },
        { ACME "HSET usher:routes:acme a 'path /xy deny' b 'path /x/* deny priority 1'", "" },
        { ACME
          "HSET usher:routes:acme a 'path /x deny' b 'path /x/* deny' c 'path /x method GET deny'",
          "" },
        { ACME "HSET usher:routes:acme a 'path /x/* deny' b 'path /x/y method GET deny priority 1'",
          "" },
        { ACME "HSET usher:routes:acme a 'pth /x deny'",
          "error bad_record usher:routes:acme [a] {did you mean path?}\n" },
        { ACME "HSET usher:routes:acme a 'to service:none'",
          "error missing_name usher:routes:acme [a] {}\n" },
        { "HSET usher:routes:nobody a deny", "warning no_tenant usher:routes:nobody [] {}\n" },
    };
    struct buf said = { 0 };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        cr_expect_str_eq(findings(rows[i].commands, &said), rows[i].says, "%s\ngives\n%s",
                         rows[i].commands, said.ptr);
    buf_free(&said);
}

Test(lint, checks_that_are_none)
{
    static const struct {
        const char *fields, *says;
    } rows[] = {
        { "health_interval 1s", "warning unused usher:service:web [] {}\n" },
        { "health_interval 1s health tcp", "" },
        { "health_interval 1s health_path /", "" },
        { "health_path / health off", "" },
        { "panic 30", "" },
        { "health_path / health_body ok", "" },
        { "health_path / health_body ok health_method HEAD",
          "warning no_checks usher:service:web [] {}\n" },
    };
    struct buf said = { 0 }, commands = { 0 };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        buf_clear(&commands);
        buf_printf(&commands, "HSET usher:endpoints:web 10.0.0.1:1 5\nHSET usher:service:web %s",
                   rows[i].fields);
        cr_expect_str_eq(findings(commands.ptr, &said), rows[i].says, "%s\ngives\n%s",
                         rows[i].fields, said.ptr);
    }
    buf_free(&commands);
    buf_free(&said);
}
