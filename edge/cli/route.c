/* route.c -- `usher route ls, add, rm`: the rules of a tenant, in the order in which they are tried.
 *
 * Owns:    nothing.
 * Thread:  control
 * Used by: cli.c.
 * Not here: judging and writing (record_write.c); which rule a request meets (explain.c).  */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "cli/cli.h"
#include "cli/record_write.h"
#include "cli/route_list.h"
#include "cli/verb_flags.h"
#include "cli/verb_modules.h"
#include "cli/verb_redis.h"
#include "cli/verb_tenant.h"
#include "store/keys.h"

struct route_verb {
    struct settings settings;
    struct verb_tenant at;
    struct verb_modules modules;
    struct verb_words words; /* ls TENANT; add TENANT NAME RULE; rm TENANT NAME */
    bool json, dry;
};

static int say_redis(const char *why)
{
    fprintf(stderr, "usher route: Redis: %s\n", why);
    return CLI_EXIT_FAILED;
}

static struct str tenant_of(const struct route_verb *v)
{
    return str_from(v->words.words[1]);
}

/* Is the record there? -1: it cannot be read, and that is said. */
static int exists(struct route_verb *v, enum family family)
{
    struct value value;
    const char *why;

    if (!records_fetch(&v->at.source, family, tenant_of(v), &value, &why)) {
        say_redis(why);
        return -1;
    }
    return value.kind != VALUE_ABSENT;
}

static int list(struct route_verb *v)
{
    struct buf text = { 0 };
    const char *why = NULL;
    int code = 0;

    if (!route_list(&v->modules.host, &v->at.source, tenant_of(v), v->json, "", &text, &why)) {
        code = say_redis(why);
    } else if (text.len == 0) {
        fprintf(stderr, "usher route: tenant %s has no rules\n", v->words.words[1]);
        code = CLI_EXIT_FAILED;
    } else {
        fwrite(text.ptr, 1, text.len, stdout);
    }
    buf_free(&text);
    return code;
}

static int write_rule(struct route_verb *v, unsigned count, const struct str *words, const char *by)
{
    struct record_write w;
    int code;

    record_write_open(&w, &v->settings, v->at.client, by);
    w.modules = &v->modules.host;
    w.dry = v->dry;
    record_write_add(&w, count, words);
    code = record_write_send(&w);
    record_write_free(&w);
    return code;
}

/* What the rule says now; it is kept in `to`. False: there is none, or that cannot be told. */
static bool find_rule(struct route_verb *v, struct str name, struct buf *to, const char **why)
{
    struct value value;

    buf_add_text(to, "");
    *why = NULL;
    if (!records_fetch(&v->at.source, FAMILY_routes, tenant_of(v), &value, why))
        return false;
    *why = NULL;
    for (size_t i = 0; i < value.count; i++)
        if (str_equals(value.fields[i].name, name)) {
            buf_add_str(to, value.fields[i].value);
            return true;
        }
    return false;
}

static int add(struct route_verb *v, struct str key)
{
    struct str name = str_from(v->words.words[2]), rule = str_from(v->words.words[3]);
    struct buf was = { 0 };
    const char *why;
    bool replaced;
    int code = exists(v, FAMILY_tenant);

    if (code <= 0) {
        if (code == 0)
            fprintf(stderr, "usher route: there is no tenant %s\n", v->words.words[1]);
        return CLI_EXIT_FAILED;
    }
    replaced = find_rule(v, name, &was, &why);
    if (why != NULL) {
        code = say_redis(why);
    } else if (replaced && str_equals(str_slice(was.ptr, was.len), rule)) {
        printf("rule %s says that already\n", v->words.words[2]);
        code = 0;
    } else {
        code = write_rule(v, 4, (struct str[]){ STR("HSET"), key, name, rule }, "usher route add");
        if (code == 0 && replaced)
            printf("it was: %s\n", was.ptr);
    }
    buf_free(&was);
    return code;
}

static int remove_rule(struct route_verb *v, struct str key)
{
    struct str name = str_from(v->words.words[2]);
    struct buf was = { 0 };
    const char *why;
    int code;

    if (!find_rule(v, name, &was, &why)) {
        code = CLI_EXIT_FAILED;
        if (why != NULL)
            say_redis(why);
        else
            fprintf(stderr, "usher route: tenant %s has no rule %s\n", v->words.words[1],
                    v->words.words[2]);
    } else {
        code = write_rule(v, 3, (struct str[]){ STR("HDEL"), key, name }, "usher route rm");
        if (code == 0)
            printf("it was: %s\n", was.ptr);
    }
    buf_free(&was);
    return code;
}

static int run(struct route_verb *v, int (*act)(struct route_verb *v, struct str key))
{
    struct buf key = { 0 };
    int code = verb_modules_open(&v->modules, &v->settings);

    if (code == 0)
        code = verb_tenant_open(&v->at, "route", &v->settings, v->words.words[1]);
    if (code != 0) {
        verb_modules_close(&v->modules);
        return code;
    }
    keys_add(&key, str_from(v->settings.prefix), FAMILY_routes, tenant_of(v));
    code = act != NULL ? act(v, str_slice(key.ptr, key.len)) : list(v);
    buf_free(&key);
    verb_tenant_close(&v->at);
    verb_modules_close(&v->modules);
    return code;
}

int route_verb(int argc, char **argv)
{
    struct route_verb v = { .at = { .client = NULL } };
    int code;
    const struct verb_flag flags[] = {
        { "dry-run", 0, NULL, VERB_FLAG_SWITCH, &v.dry,
          "judge, say what would be written, write nothing" },
        { "json", 0, NULL, VERB_FLAG_SWITCH, &v.json, "ls: as a JSON array" },
        { NULL, 0, NULL, VERB_FLAG_SWITCH, NULL, NULL },
    };
    const struct verb_usage usage = {
        .line = "route ls TENANT | add TENANT NAME 'RULE' | rm TENANT NAME [FLAGS]",
        .says =
            "ls: the rules of a tenant in the order in which they are tried.\nadd, rm: writes or "
            "takes away one rule, when an edge would take what comes of it; says the command\nthat "
            "does the same, and leaves the rule before it in the history.\n",
        .flags = flags,
        .settings = "allow-endpoints unix-endpoints module module-dir module-option",
        .words_least = 2,
        .words_most = 4,
    };

    if (!verb_flags_read(&usage, argc, argv, &v.settings, &v.words, &code))
        return code;
    if (strcmp(v.words.words[0], "ls") == 0 && v.words.count == 2)
        return run(&v, NULL);
    if (strcmp(v.words.words[0], "add") == 0 && v.words.count == 4)
        return run(&v, add);
    if (strcmp(v.words.words[0], "rm") == 0 && v.words.count == 3)
        return run(&v, remove_rule);
    fprintf(stderr,
            "usher route: ls TENANT, add TENANT NAME 'RULE' or rm TENANT NAME (see usher route "
            "--help)\n");
    return CLI_EXIT_USAGE;
}
