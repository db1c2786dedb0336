/* chain.c -- `modules` compiled: each module's settings judged by its table, then by its `compile`.
 *
 * Owns:    nothing; who asked for a chain owns it.
 * Thread:  control
 * Used by: routing/record.c, routing/rule.c, routing/compile.c.
 * Not here: cutting the text (words.c); single values (values.c); running hooks (proxy/). */
#include "module_host/chain.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "module_host/ask.h"
#include "module_host/chain_pool.h"
#include "module_host/crash.h"
#include "module_host/values.h"
#include "module_host/words.h"
#include "settings.h"

/* What was said of one row. */
struct said {
    struct usher_value *values;
    struct module_word *words; /* as many, beside them: where each was said */
    uint32_t count, room, word_room;
};

/* One module's settings on their way. `base` comes first: it is what `compile` hooks hand back. */
struct compiling {
    struct usher_compile base;
    const struct chain_scope *scope;
    struct chain *chain;
    struct chain_link *link;
    struct module_word name; /* the module's, as said */
    struct said *said;       /* for each row of its table */
    struct arena *scratch;
    struct module_words *words;
    struct chain_error *error;
    uint32_t service_room;
    bool refused;
};

/* --- what is wrong --- */

static bool refuse(struct chain_error *error, const struct module_word *at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static bool refuse(struct chain_error *error, const struct module_word *at, const char *format, ...)
{
    va_list args;

    error->got = at->raw;
    error->column = at->column;
    va_start(args, format);
    vsnprintf(error->expected, sizeof(error->expected), format, args);
    va_end(args);
    return false;
}

static bool refuse_module(const struct module_registry *r, struct chain_error *error,
                          const struct module_word *word)
{
    char known[150] = "";
    size_t at = 0;

    for (size_t i = 0; i < registry_count(r) && at < sizeof(known); i++)
        at += (size_t)snprintf(known + at, sizeof(known) - at, "%s%s", i > 0 ? ", " : "",
                               registry_at(r, i)->module.name);
    return refuse(error, word, "a module that this edge knows: %s", known);
}

static bool refuse_setting(struct compiling *c, const struct module_word *word)
{
    const struct usher_module *m = &c->link->row->module;
    char known[150] = "";
    size_t at = 0;

    for (unsigned i = 0; i < m->setting_count && at < sizeof(known); i++)
        at += (size_t)snprintf(known + at, sizeof(known) - at, "%s%s", i > 0 ? ", " : "",
                               m->settings[i].name);
    if (m->setting_count == 0)
        return refuse(c->error, word, "nothing between ( and ): %s has no settings", m->name);
    return refuse(c->error, word, "a setting of %s: %s", m->name, known);
}

/* --- memory --- */

static void *take(struct chain *chain, size_t bytes)
{
    chain->bytes += bytes;
    return arena_alloc(&chain->memory, bytes);
}

static struct usher_text keep_text(struct chain *chain, struct usher_text text)
{
    char *copy = take(chain, text.len + 1);

    if (text.len > 0)
        memcpy(copy, text.ptr, text.len);
    return (struct usher_text){ copy, text.len };
}

/* --- what `compile` hooks call --- */

static void *on_keep(struct usher_compile *c, size_t bytes)
{
    return take(((struct compiling *)c)->chain, bytes);
}

static bool on_refuse(struct usher_compile *base, uint32_t setting, uint32_t value,
                      const char *expected)
{
    struct compiling *c = (struct compiling *)base;
    const struct module_word *at = &c->name;
    const struct usher_module *m = &c->link->row->module;

    if (!c->refused && setting < m->setting_count && value < c->said[setting].count)
        at = &c->said[setting].words[value];
    if (!c->refused && setting < m->setting_count)
        refuse(c->error, at, "setting %s: %s", m->settings[setting].name, expected);
    else if (!c->refused)
        refuse(c->error, at, "%s", expected);
    c->refused = true;
    return false;
}

static struct usher_text on_tenant(struct usher_compile *base)
{
    struct compiling *c = (struct compiling *)base;
    struct usher_text tenant = { c->scope->tenant.ptr, c->scope->tenant.len };

    return tenant.ptr != NULL ? keep_text(c->chain, tenant) : tenant;
}

/* Said several times, the last holds. */
static const char *on_option(struct usher_compile *base, const char *name)
{
    struct compiling *c = (struct compiling *)base;
    const struct settings *s = c->scope->modules->settings;
    struct str module = str_from(c->link->row->module.name), key = str_from(name);

    for (unsigned i = s != NULL ? s->module_option_count : 0; i-- > 0;) {
        struct str rest = str_from(s->module_options[i]), part;

        if (str_split(&rest, '.', &part) && str_equals(part, module) &&
            str_split(&rest, '=', &part) && str_equals(part, key))
            return rest.ptr != NULL ? rest.ptr : "";
    }
    return NULL;
}

static void on_anew(struct usher_compile *c)
{
    ((struct compiling *)c)->chain->anew = true;
}

void module_host_init(struct module_host *m, const struct module_registry *registry,
                      struct str prefix, const struct usher_host *base)
{
    *m = (struct module_host){ .registry = registry, .prefix = prefix };
    if (base != NULL)
        m->host = *base;
    m->host.size = sizeof(m->host);
    m->host.abi_major = USHER_ABI_MAJOR;
    m->host.abi_minor = USHER_ABI_MINOR;
    m->host.keep = on_keep;
    m->host.refuse = on_refuse;
    m->host.compile_tenant = on_tenant;
    m->host.option = on_option;
    m->host.anew = on_anew;
}

/* --- values --- */

/* `users` becomes usher:t:acme:users; what is already whole must be of this tenant. */
static bool complete_key(struct compiling *c, struct usher_value *value,
                         const struct module_word *at)
{
    const struct chain_scope *s = c->scope;
    struct str said = str_slice(value->text.ptr, value->text.len);
    size_t len;
    char *key;

    if (s->tenant.ptr == NULL)
        return refuse(c->error, at, "no key here: " STR_FMT " has no tenant, whose it would be",
                      STR_ARG(s->whose));
    len = ask_key(s->modules->prefix, s->tenant, said, NULL);
    if (len == 0)
        return refuse(c->error, at,
                      "a key of this tenant, " STR_FMT "t:" STR_FMT
                      ":NAME, or the rest of one, such as users",
                      STR_ARG(s->modules->prefix), STR_ARG(s->tenant));
    key = check_alloc(len);
    ask_key(s->modules->prefix, s->tenant, said, key);
    value->text = keep_text(c->chain, (struct usher_text){ key, len });
    free(key);
    return true;
}

static bool name_service(struct compiling *c, struct usher_value *value,
                         const struct module_word *at)
{
    const struct chain_scope *s = c->scope;
    struct str name = str_slice(value->text.ptr, value->text.len);
    struct chain_link *link = c->link;
    const char *expected;
    uint32_t index, *moved;

    if (s->service == NULL)
        return refuse(c->error, at, "no service here: " STR_FMT " has no tenant, who may name it",
                      STR_ARG(s->whose));
    if (str_starts_with(name, STR("service:")))
        name = str_slice(name.ptr + 8, name.len - 8);
    if (!s->service(s->owner, name, &index, &expected))
        return refuse(c->error, at, "the name of a service: %s", expected);
    if (link->service_count == c->service_room) {
        c->service_room = c->service_room ? 2 * c->service_room : 4;
        moved = take(c->chain, c->service_room * sizeof(*moved));
        if (link->service_count > 0)
            memcpy(moved, link->service_slots, link->service_count * sizeof(*moved));
        link->service_slots = moved;
    }
    link->service_slots[link->service_count++] = index;
    value->text = keep_text(c->chain, (struct usher_text){ name.ptr, name.len });
    value->number = link->service_count;
    return true;
}

/* Takes one value of a row; `at` is where it is said. */
static bool add_value(struct compiling *c, unsigned row, struct str text,
                      const struct module_word *at)
{
    const struct usher_setting *setting = &c->link->row->module.settings[row];
    struct said *said = &c->said[row];
    struct usher_value value;
    char expected[SETTING_EXPECTED];

    if (said->count > 0 && (setting->flags & USHER_MANY) == 0)
        return refuse(c->error, at, "setting %s once only", setting->name);
    if (!setting_read(setting, text, &value, expected))
        return refuse(c->error, at, "setting %s: %s", setting->name, expected);
    if (setting->type == USHER_TYPE_KEY) {
        if (!complete_key(c, &value, at))
            return false;
    } else if (setting->type == USHER_TYPE_SERVICE) {
        if (!name_service(c, &value, at))
            return false;
    } else {
        value.name = value.name.ptr ? keep_text(c->chain, value.name) : value.name;
        value.text = keep_text(c->chain, value.text);
    }
    said->values =
        arena_grown(c->scratch, said->values, said->count, &said->room, sizeof(*said->values));
    said->words =
        arena_grown(c->scratch, said->words, said->count, &said->word_room, sizeof(*said->words));
    said->values[said->count] = value;
    said->words[said->count++] = *at;
    return true;
}

/* --- one module --- */

static bool find_setting(struct compiling *c, struct str name, unsigned *row)
{
    const struct usher_module *m = &c->link->row->module;

    for (*row = 0; *row < m->setting_count; ++*row)
        if (str_equals(name, str_from(m->settings[*row].name)))
            return true;
    return false;
}

/* `name=value`, `name value`, or `name` alone of a switch. */
static bool read_setting(struct compiling *c, const struct module_word *word)
{
    const struct usher_setting *setting;
    struct str name = str_slice(word->text.ptr, word->has_equals ? word->equals : word->text.len);
    struct module_word value;
    const char *expected;
    unsigned row;

    if (word->raw.ptr[0] == '"' || !find_setting(c, name, &row))
        return refuse_setting(c, word);
    setting = &c->link->row->module.settings[row];
    if (word->has_equals)
        return add_value(
            c, row, str_slice(word->text.ptr + word->equals + 1, word->text.len - word->equals - 1),
            word);
    if (setting->type == USHER_TYPE_SWITCH)
        return add_value(c, row, STR("on"), word);
    switch (module_words_setting(c->words, &value, &expected)) {
    case MODULE_WORD:
        return add_value(c, row, value.text, &value);
    case MODULE_WORDS_END:
        return refuse(c->error, word, "a value behind %s", setting->name);
    case MODULE_WORD_WRONG:
        break;
    }
    return refuse(c->error, &value, "%s", expected);
}

static bool read_settings(struct compiling *c)
{
    struct module_word word;
    const char *expected = "";

    if (!c->name.opens)
        return true;
    for (;;) {
        switch (module_words_setting(c->words, &word, &expected)) {
        case MODULE_WORD:
            if (!read_setting(c, &word))
                return false;
            break;
        case MODULE_WORDS_END:
            word = (struct module_word){ .column = (uint32_t)c->words->at + 1 };
            word.raw = str_slice(c->words->text.ptr + c->words->at, 0);
            return module_words_parted(c->words) ||
                   refuse(c->error, &word, "a space behind the settings");
        case MODULE_WORD_WRONG:
            return refuse(c->error, &word, "%s", expected);
        }
    }
}

/* What was not said: the table's standard, or nothing. */
static bool fill_in(struct compiling *c)
{
    const struct usher_module *m = &c->link->row->module;

    for (unsigned i = 0; i < m->setting_count; i++) {
        const struct usher_setting *setting = &m->settings[i];

        if (c->said[i].count > 0)
            continue;
        if ((setting->flags & USHER_REQUIRED) != 0)
            return refuse(c->error, &c->name, "setting %s of %s to be said: %s", setting->name,
                          m->name, setting->meaning);
        if (setting->standard != NULL && !add_value(c, i, str_from(setting->standard), &c->name))
            return false;
    }
    return true;
}

static bool call_compile(struct compiling *c)
{
    const struct usher_module *m = &c->link->row->module;
    struct usher_given *given;
    bool good;

    if (m->compile == NULL)
        return true;
    given = take(c->chain, (m->setting_count + 1) * sizeof(*given));
    for (unsigned i = 0; i < m->setting_count; i++) {
        size_t bytes = c->said[i].count * sizeof(*given->values);
        struct usher_value *values = take(c->chain, bytes);

        if (bytes > 0)
            memcpy(values, c->said[i].values, bytes);
        given[i] = (struct usher_given){ values, c->said[i].count };
    }
    c->base.host = &c->scope->modules->host;
    crash_module = c->link->row;
    good = m->compile(&c->base, given, &c->link->compiled);
    crash_module = NULL;
    if (!good && !c->refused)
        refuse(c->error, &c->name, "other settings: %s refuses these, and does not say why",
               m->name);
    if (good && c->refused && m->drop != NULL && c->link->compiled != NULL)
        m->drop(c->link->compiled);
    return good && !c->refused;
}

static bool add_link(const struct chain_scope *scope, struct chain *chain,
                     const struct module_row *row, const struct module_word *name,
                     struct module_words *words, struct chain_error *error)
{
    struct chain_link *link = &chain->links[chain->count];
    struct compiling c = { .scope = scope,
                           .chain = chain,
                           .link = link,
                           .name = *name,
                           .scratch = words->arena,
                           .words = words,
                           .error = error };
    struct usher_text said;

    *link = (struct chain_link){ .row = row };
    c.said = arena_alloc(c.scratch, (row->module.setting_count + 1) * sizeof(*c.said));
    if (!read_settings(&c) || !fill_in(&c) || !call_compile(&c))
        return false;
    said = keep_text(chain, (struct usher_text){ name->raw.ptr, words->at - (name->column - 1) });
    link->text = str_slice(said.ptr, said.len);
    chain->has |= (uint64_t)1 << row->index;
    chain->count++;
    return true;
}

/* --- all of them --- */

static bool take_name(const struct chain_scope *scope, struct chain *chain,
                      const struct module_word *name, struct module_words *words,
                      struct chain_error *error)
{
    const struct module_row *row = registry_find(scope->modules->registry, name->text);

    if (row == NULL)
        return refuse_module(scope->modules->registry, error, name);
    if ((chain->has & (uint64_t)1 << row->index) != 0)
        return refuse(error, name, "each module once");
    if (chain->count == CHAIN_MODULES_MAX)
        return refuse(error, name, "at most %d modules", CHAIN_MODULES_MAX);
    return add_link(scope, chain, row, name, words, error);
}

static bool is_none(const struct module_word *name)
{
    return !name->opens && str_equals(name->text, STR("none"));
}

static bool read_all(const struct chain_scope *scope, struct chain *chain,
                     struct module_words *words, struct chain_error *error)
{
    struct module_word name;
    bool any = false, none = false;
    size_t before = words->at;

    while (module_words_name(words, &name) == MODULE_WORD) {
        if (any && !name.opens && scope->ends != NULL && scope->ends(name.text)) {
            words->at = before;
            return true;
        }
        if (none || (any && is_none(&name)))
            return refuse(error, &name, "none alone, or modules");
        none = is_none(&name);
        any = true;
        if (!none && !take_name(scope, chain, &name, words, error))
            return false;
        before = words->at;
    }
    name = (struct module_word){ .raw = str_slice(words->text.ptr + words->at, 0),
                                 .column = (uint32_t)words->at + 1 };
    return any || refuse(error, &name, "modules such as request_id, or none");
}

static size_t bytes_of(const struct chain *chain)
{
    return sizeof(*chain) + chain->count * sizeof(struct chain_link);
}

static bool names_services(const struct chain *chain)
{
    for (uint32_t i = 0; i < chain->count; i++)
        if (chain->links[i].service_count > 0)
            return true;
    return false;
}

struct chain *chain_compile(const struct chain_scope *scope, struct str text, size_t *at,
                            struct chain_error *error)
{
    struct chain *chain =
        check_alloc(sizeof(*chain) + CHAIN_MODULES_MAX * sizeof(struct chain_link));
    struct arena scratch = { 0 };
    struct module_words words = { .text = text, .at = *at, .arena = &scratch };
    struct usher_text kept;

    atomic_init(&chain->holders, 1);
    if (!read_all(scope, chain, &words, error)) {
        chain_free(chain);
        chain = NULL;
    } else {
        struct str said = str_trim(str_slice(text.ptr + *at, words.at - *at));

        kept = keep_text(chain, (struct usher_text){ said.ptr, said.len });
        chain->text = str_slice(kept.ptr, kept.len);
        chain = check_realloc(chain, bytes_of(chain));
        chain->bytes += bytes_of(chain);
        *at = words.at;
        if (scope->modules->pool != NULL && !chain->anew && !names_services(chain))
            chain = chain_pool_join(scope->modules->pool, scope, chain);
    }
    arena_free(&scratch);
    return chain;
}

size_t chain_skip(struct str text, size_t at, bool (*ends)(struct str word))
{
    struct arena scratch = { 0 };
    struct module_words words = { .text = text, .at = at, .arena = &scratch };
    struct module_word word;
    const char *expected;
    bool any = false;

    while (module_words_name(&words, &word) == MODULE_WORD &&
           (!any || word.opens || !ends(word.text))) {
        while (word.opens && module_words_setting(&words, &word, &expected) == MODULE_WORD)
            word.opens = true;
        at = words.at;
        any = true;
    }
    arena_free(&scratch);
    return at;
}

void chain_settle(struct chain *c, const uint32_t *slots)
{
    for (uint32_t i = 0; i < c->count; i++)
        for (uint32_t k = 0; k < c->links[i].service_count; k++)
            c->links[i].service_slots[k] = slots[c->links[i].service_slots[k]];
}

void chain_free(struct chain *c)
{
    if (c == NULL || atomic_fetch_sub(&c->holders, 1) != 1)
        return;
    if (c->pool != NULL)
        chain_pool_leave(c);
    for (uint32_t i = 0; i < c->count; i++) {
        const struct chain_link *link = &c->links[i];

        if (link->row->module.drop == NULL || link->compiled == NULL)
            continue;
        crash_module = link->row;
        link->row->module.drop(link->compiled);
        crash_module = NULL;
    }
    arena_free(&c->memory);
    free(c);
}
