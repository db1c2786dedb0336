/* modules.c -- `usher modules`: the modules that an edge with these flags has, and what each of them
 * takes.
 *
 * Owns:    nothing.
 * Thread:  control
 * Used by: cli.c.
 * Not here: loading (module_host/); which of them a request meets (explain.c). */
#include <stdio.h>

#include "cli/cli.h"
#include "cli/verb_flags.h"
#include "cli/verb_modules.h"
#include "module_host/values.h"

struct hook {
    const char *name;
    bool there;
};

#define HOOKS 7

static void hooks_of(const struct usher_module *m, struct hook hooks[HOOKS])
{
    const struct hook all[HOOKS] = {
        { "compile", m->compile != NULL },         { "drop", m->drop != NULL },
        { "on_request", m->on_request != NULL },   { "on_upstream", m->on_upstream != NULL },
        { "on_response", m->on_response != NULL }, { "on_body", m->on_body != NULL },
        { "on_done", m->on_done != NULL },
    };

    memcpy(hooks, all, sizeof(all));
}

/* --- for people --- */

static void say_setting(const struct usher_setting *row, struct buf *to)
{
    char range[SETTING_EXPECTED];

    setting_range(row, range);
    buf_printf(to, "  %-10s %-12s %s: %s", "setting", row->name, row->meaning, range);
    if ((row->flags & USHER_REQUIRED) != 0)
        buf_add_text(to, "; required");
    else if (row->standard != NULL)
        buf_printf(to, "; %s when not said", row->standard);
    if ((row->flags & USHER_MANY) != 0)
        buf_add_text(to, "; may be said several times");
    buf_add_text(to, "\n");
}

static void say_module(const struct module_row *row, struct buf *to)
{
    const struct usher_module *m = &row->module;
    struct hook hooks[HOOKS];

    buf_printf(to, "%s %s -- %s\n  %-10s %u.%u, %s\n  %-10s", m->name, m->version, m->summary,
               "ABI", m->abi_major, m->abi_minor, row->from, "hooks");
    hooks_of(m, hooks);
    for (unsigned i = 0; i < HOOKS; i++)
        if (hooks[i].there)
            buf_printf(to, " %s", hooks[i].name);
    buf_add_text(to, "\n");
    for (unsigned i = 0; i < m->setting_count; i++)
        say_setting(&m->settings[i], to);
    for (unsigned i = 0; i < m->metric_count; i++)
        buf_printf(to, "  %-10s usher_module_%s_%s (%s): %s\n", "metric", m->name,
                   m->metrics[i].name, m->metrics[i].kind == USHER_COUNTER ? "counter" : "gauge",
                   m->metrics[i].help);
}

/* --- for programs --- */

static void add_member(struct buf *to, const char *name, const char *value)
{
    buf_printf(to, ",\"%s\":", name);
    if (value != NULL)
        buf_add_json(to, str_from(value));
    else
        buf_add_text(to, "null");
}

static void add_setting(const struct usher_setting *row, struct buf *to)
{
    char range[SETTING_EXPECTED];

    setting_range(row, range);
    buf_add_text(to, "{\"name\":");
    buf_add_json(to, str_from(row->name));
    add_member(to, "type", setting_type_name((enum usher_type)row->type));
    add_member(to, "default", row->standard);
    add_member(to, "range", range);
    add_member(to, "meaning", row->meaning);
    buf_printf(to, ",\"required\":%s,\"many\":%s}",
               (row->flags & USHER_REQUIRED) != 0 ? "true" : "false",
               (row->flags & USHER_MANY) != 0 ? "true" : "false");
}

static void add_metric(const struct usher_module *m, const struct usher_metric *row, struct buf *to)
{
    buf_printf(to, "{\"name\":\"usher_module_%s_%s\"", m->name, row->name);
    add_member(to, "kind", row->kind == USHER_COUNTER ? "counter" : "gauge");
    add_member(to, "help", row->help);
    buf_add_text(to, "}");
}

static void add_module(const struct module_row *row, struct buf *to)
{
    const struct usher_module *m = &row->module;
    struct hook hooks[HOOKS];
    unsigned written = 0;

    buf_add_text(to, "{\"name\":");
    buf_add_json(to, str_from(m->name));
    add_member(to, "version", m->version);
    add_member(to, "summary", m->summary);
    buf_printf(to, ",\"abi\":\"%u.%u\"", m->abi_major, m->abi_minor);
    add_member(to, "from", row->from);
    buf_add_text(to, ",\"hooks\":[");
    hooks_of(m, hooks);
    for (unsigned i = 0; i < HOOKS; i++)
        if (hooks[i].there)
            buf_printf(to, "%s\"%s\"", written++ > 0 ? "," : "", hooks[i].name);
    buf_add_text(to, "],\"settings\":[");
    for (unsigned i = 0; i < m->setting_count; i++) {
        buf_add_text(to, i > 0 ? "," : "");
        add_setting(&m->settings[i], to);
    }
    buf_add_text(to, "],\"metrics\":[");
    for (unsigned i = 0; i < m->metric_count; i++) {
        buf_add_text(to, i > 0 ? "," : "");
        add_metric(m, &m->metrics[i], to);
    }
    buf_add_text(to, "]}");
}

/* --- the verb --- */

static bool is_wanted(const struct verb_words *words, const struct module_row *row)
{
    for (unsigned i = 0; i < words->count; i++)
        if (strcmp(words->words[i], row->module.name) == 0)
            return true;
    return words->count == 0;
}

static int list(const struct module_registry *registry, const struct verb_words *words, bool json)
{
    struct buf text = { 0 };
    unsigned written = 0;

    for (unsigned i = 0; i < words->count; i++)
        if (registry_find(registry, str_from(words->words[i])) == NULL) {
            fprintf(stderr, "usher modules: there is no module %s\n", words->words[i]);
            return 1;
        }
    buf_add_text(&text, json ? "[" : "");
    for (size_t i = 0; i < registry_count(registry); i++) {
        const struct module_row *row = registry_at(registry, i);

        if (!is_wanted(words, row))
            continue;
        if (json) {
            buf_add_text(&text, written++ > 0 ? ",\n  " : "\n  ");
            add_module(row, &text);
        } else {
            buf_add_text(&text, written++ > 0 ? "\n" : "");
            say_module(row, &text);
        }
    }
    buf_add_text(&text, json ? "\n]\n" : "");
    fwrite(text.ptr, 1, text.len, stdout);
    buf_free(&text);
    return 0;
}

int modules_verb(int argc, char **argv)
{
    struct verb_modules modules;
    struct verb_words words = { .count = 0 };
    struct settings settings;
    bool json = false;
    int code;
    const struct verb_flag flags[] = {
        { "json", 0, NULL, VERB_FLAG_SWITCH, &json, "as a JSON array" },
        { NULL, 0, NULL, VERB_FLAG_SWITCH, NULL, NULL },
    };
    const struct verb_usage usage = {
        .line = "modules [FLAGS] [NAME...]",
        .says = "The modules that an edge with these flags has: name, version, ABI, where from, "
                "hooks, settings, metrics.\n",
        .flags = flags,
        .settings = "module module-dir module-option",
        .without_redis = true,
        .words_most = VERB_WORDS_MAX,
    };

    if (!verb_flags_read(&usage, argc, argv, &settings, &words, &code))
        return code;
    code = verb_modules_open(&modules, &settings);
    if (code == 0)
        code = list(modules.registry, &words, json);
    verb_modules_close(&modules);
    return code;
}
