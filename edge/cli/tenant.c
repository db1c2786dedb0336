/* tenant.c -- `usher tenant show, rm`: a tenant with all that belongs to it.
 *
 * Owns:    nothing.
 * Thread:  control
 * Used by: cli.c.
 * Not here: judging and writing (record_write.c); the rules' order (route_list.c).  */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "cli/cli.h"
#include "cli/command_file.h"
#include "cli/record_write.h"
#include "cli/route_list.h"
#include "cli/verb_flags.h"
#include "cli/verb_modules.h"
#include "cli/verb_redis.h"
#include "cli/verb_tenant.h"
#include "store/keys.h"

struct tenant_verb {
    struct settings settings;
    struct verb_tenant at;
    struct verb_modules modules;
    struct verb_words words;
    bool yes;
    uint64_t hosts_most;
    struct buf hosts, services; /* of the tenant: one a line */
    uint64_t host_count, service_count;
};

static struct str id_of(const struct tenant_verb *v)
{
    return str_from(v->words.words[1]);
}

static int say_redis(const char *why)
{
    fprintf(stderr, "usher tenant: Redis: %s\n", why);
    return CLI_EXIT_FAILED;
}

/* --- what belongs to it --- */

static bool on_key(void *owner, struct str key, const enum family *family, struct str name)
{
    (void)owner;
    (void)key;
    (void)name;
    return family != NULL && (*family == FAMILY_host || *family == FAMILY_service);
}

static void on_value(void *owner, enum family family, struct str name, const struct value *value)
{
    struct tenant_verb *v = owner;
    struct record_fields f;
    struct record_error error;

    if (record_decode(NULL, family, name, value, &f, &error)) {
        if (family == FAMILY_service && str_equals(str_from(f.policy.owner), id_of(v))) {
            v->service_count++;
            buf_printf(&v->services, STR_FMT "\n", STR_ARG(name));
        } else if (family == FAMILY_host && f.has_tenant &&
                   str_equals(f.names.items[f.tenant].name, id_of(v)) &&
                   v->host_count++ < v->hosts_most) {
            buf_printf(&v->hosts, STR_FMT "\n", STR_ARG(name));
        }
    }
    record_fields_free(&f);
}

static bool find_belongings(struct tenant_verb *v)
{
    const struct redis_walk walk = { .owner = v, .key = on_key, .value = on_value };

    return redis_records_walk(&v->at.records, "", &walk);
}

/* --- show --- */

/* The value that this hash has for the field; ptr NULL: none. */
static struct str field_of(const struct value *value, const char *name)
{
    for (size_t i = 0; i < value->count; i++)
        if (str_equals(value->fields[i].name, str_from(name)))
            return value->fields[i].value;
    return (struct str){ NULL, 0 };
}

static void add_short(struct buf *to, struct str text)
{
    command_quote(to, text.len > 200 ? str_slice(text.ptr, 200) : text);
    if (text.len > 200)
        buf_add_text(to, "...");
}

/* One record's fields by the table: what it says. Those it does not know stand behind, as they are. */
static bool add_said(struct tenant_verb *v, enum family family, struct str name, struct buf *said,
                     bool *there)
{
    struct value value;
    const char *why;
    size_t count;
    const struct field_row *rows = record_fields_of(family, &count);

    if (!records_fetch(&v->at.source, family, name, &value, &why)) {
        say_redis(why);
        return false;
    }
    *there = value.kind != VALUE_ABSENT;
    for (size_t i = 0; i < count; i++) {
        struct str text = field_of(&value, rows[i].name);

        buf_printf(said, "%s\n", rows[i].name);
        if (text.ptr != NULL)
            add_short(said, text);
        buf_add_text(said, "\n");
    }
    return true;
}

/* Takes the next line of what add_said wrote. */
static struct str next_line(struct str *rest)
{
    struct str line = STR("");

    (void)str_split(rest, '\n', &line);
    return line;
}

static bool add_fields(struct tenant_verb *v, struct buf *to, bool *there)
{
    struct buf own = { 0 }, defaults = { 0 };
    struct str rest_own, rest_defaults;
    bool defaults_there, good;
    size_t count;
    const struct field_row *rows = record_fields_of(FAMILY_tenant, &count);

    good = add_said(v, FAMILY_tenant, id_of(v), &own, there) &&
           add_said(v, FAMILY_defaults, STR(""), &defaults, &defaults_there);
    rest_own = str_slice(own.ptr, own.len);
    rest_defaults = str_slice(defaults.ptr, defaults.len);
    for (size_t i = 0; i < count && good; i++) {
        struct str said, by_default;

        next_line(&rest_own);
        next_line(&rest_defaults);
        said = next_line(&rest_own);
        by_default = next_line(&rest_defaults);
        buf_printf(to, "%-9s %-12s ", i == 0 ? "fields" : "", rows[i].name);
        if (said.len > 0)
            buf_printf(to, STR_FMT "\n", STR_ARG(said));
        else if (by_default.len > 0)
            buf_printf(to, STR_FMT "  (%sdefaults)\n", STR_ARG(by_default), v->settings.prefix);
        else
            buf_printf(to, "-  (%s)\n", rows[i].standard);
    }
    buf_free(&own);
    buf_free(&defaults);
    return good;
}

static void add_lines(struct buf *to, const char *title, const struct buf *lines, uint64_t count,
                      uint64_t shown)
{
    struct str rest = str_slice(lines->ptr, lines->len), line;
    bool first = true;

    if (count == 0)
        buf_printf(to, "%-9s none\n", title);
    while (count > 0 && str_split(&rest, '\n', &line) && line.len > 0) {
        buf_printf(to, "%-9s " STR_FMT "\n", first ? title : "", STR_ARG(line));
        first = false;
    }
    if (count > shown)
        buf_printf(to, "%-9s ... and %llu more (--hosts N shows N)\n", "",
                   (unsigned long long)(count - shown));
}

static int show(struct tenant_verb *v)
{
    struct buf text = { 0 }, rules = { 0 };
    const char *why = NULL;
    bool there = false;
    int code = CLI_EXIT_FAILED;

    buf_printf(&text, "%-9s " STR_FMT "\n", "tenant", STR_ARG(id_of(v)));
    if (!add_fields(v, &text, &there)) {
        /* said */
    } else if (!there) {
        fprintf(stderr, "usher tenant: there is no tenant %s\n", v->words.words[1]);
    } else if (!route_list(&v->modules.host, &v->at.source, id_of(v), false, "          ", &rules,
                           &why)) {
        say_redis(why);
    } else if (!find_belongings(v)) {
        say_redis(v->at.records.error);
    } else {
        if (rules.len == 0)
            buf_printf(&text, "%-9s none\n", "rules");
        else
            buf_printf(&text, "%-9s %s", "rules", rules.ptr + 10);
        add_lines(&text, "services", &v->services, v->service_count, v->service_count);
        add_lines(&text, "hosts", &v->hosts, v->host_count, v->hosts_most);
        fwrite(text.ptr, 1, text.len, stdout);
        code = 0;
    }
    buf_free(&text);
    buf_free(&rules);
    return code;
}

/* --- rm --- */

static void say_dangling(const struct tenant_verb *v)
{
    struct buf text = { 0 };

    if (v->host_count > 0) {
        buf_printf(&text, "%llu host%s this tenant and will answer 503 tenant_gone:\n",
                   (unsigned long long)v->host_count, v->host_count == 1 ? " names" : "s name");
        add_lines(&text, "", &v->hosts, v->host_count, v->hosts_most);
    }
    if (v->service_count > 0) {
        buf_printf(&text, "%llu service%s this tenant as owner, and nobody else may name them:\n",
                   (unsigned long long)v->service_count, v->service_count == 1 ? " has" : "s have");
        add_lines(&text, "", &v->services, v->service_count, v->service_count);
    }
    if (text.len > 0)
        fputs(text.ptr, stderr);
    buf_free(&text);
}

static int remove_tenant(struct tenant_verb *v)
{
    struct buf tenant = { 0 }, routes = { 0 };
    struct record_write w;
    struct value value;
    const char *why;
    int code = CLI_EXIT_FAILED;

    if (!records_fetch(&v->at.source, FAMILY_tenant, id_of(v), &value, &why))
        return say_redis(why);
    if (value.kind == VALUE_ABSENT) {
        fprintf(stderr, "usher tenant: there is no tenant %s\n", v->words.words[1]);
        return CLI_EXIT_FAILED;
    }
    if (!find_belongings(v))
        return say_redis(v->at.records.error);
    say_dangling(v);
    record_write_open(&w, &v->settings, v->at.client, "usher tenant rm");
    w.modules = &v->modules.host;
    w.dry = !v->yes;
    keys_add(&tenant, str_from(v->settings.prefix), FAMILY_tenant, id_of(v));
    keys_add(&routes, str_from(v->settings.prefix), FAMILY_routes, id_of(v));
    record_write_add(&w, 2, (struct str[]){ STR("DEL"), str_slice(tenant.ptr, tenant.len) });
    record_write_add(&w, 2, (struct str[]){ STR("DEL"), str_slice(routes.ptr, routes.len) });
    code = record_write_send(&w);
    if (code == 0 && !v->yes) {
        fprintf(stderr, "usher tenant: nothing was written; --yes does it\n");
        code = CLI_EXIT_FAILED;
    }
    record_write_free(&w);
    buf_free(&tenant);
    buf_free(&routes);
    return code;
}

/* --- the verb --- */

static int run(struct tenant_verb *v, int (*act)(struct tenant_verb *v))
{
    int code = verb_modules_open(&v->modules, &v->settings);

    if (code == 0)
        code = verb_tenant_open(&v->at, "tenant", &v->settings, v->words.words[1]);
    if (code != 0) {
        verb_modules_close(&v->modules);
        return code;
    }
    code = act(v);
    verb_modules_close(&v->modules);
    buf_free(&v->hosts);
    buf_free(&v->services);
    verb_tenant_close(&v->at);
    return code;
}

int tenant_verb(int argc, char **argv)
{
    struct tenant_verb v = { .hosts_most = 50 };
    int code;
    const struct verb_flag flags[] = {
        { "hosts", 0, "N", VERB_FLAG_COUNT, &v.hosts_most, "names so many of its hosts; 50" },
        { "yes", 0, NULL, VERB_FLAG_SWITCH, &v.yes, "rm: do it" },
        { NULL, 0, NULL, VERB_FLAG_SWITCH, NULL, NULL },
    };
    const struct verb_usage usage = {
        .line = "tenant show ID | rm ID [FLAGS]",
        .says =
            "show: its fields, and where defaults hold; its rules in the order in which they are "
            "tried; the\nservices it owns, its hosts (found by going through all keys, in "
            "steps).\nrm: deletes it and its rules; without --yes only says what that would leave "
            "without a tenant.\n",
        .flags = flags,
        .settings = "allow-endpoints unix-endpoints module module-dir module-option",
        .words_least = 2,
        .words_most = 2,
    };

    if (!verb_flags_read(&usage, argc, argv, &v.settings, &v.words, &code))
        return code;
    if (strcmp(v.words.words[0], "show") == 0)
        return run(&v, show);
    if (strcmp(v.words.words[0], "rm") == 0)
        return run(&v, remove_tenant);
    fprintf(stderr, "usher tenant: show ID or rm ID (see usher tenant --help)\n");
    return CLI_EXIT_USAGE;
}
