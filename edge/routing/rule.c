/* rule.c -- the grammar of rules: conditions, one action, modifiers, by the table schema/rule.def.
 *
 * Owns:    nothing; what it decodes lies in the record's arena.
 * Thread:  control (pure: any would do).
 * Used by: record.c.
 * Not here: words and quotes (rule_words.c); what stands behind them (rule_values.c); which rule a
 * request meets (match.c). */
#include "routing/rule.h"

#include <stdlib.h>

#include "base/check.h"
#include "routing/field_types.h"
#include "routing/key_names.h"
#include "routing/rule_values.h"
#include "routing/rule_words.h"

#define PRIORITY_MOST 1000

enum part { PART_CONDITION, PART_ACTION, PART_MODIFIER };

struct rule_reader {
    struct record_fields *fields;
    struct record_error *error;
    const struct module_host *modules;
    struct str tenant, text;
    const char *name; /* the rule's */
    struct rule *rule;
    struct rule_words words;
    uint32_t at;                 /* the next word */
    const struct field_row *row; /* of the word being read */
    uint32_t seen;               /* words that may stand once only, a bit for each row */
    uint32_t parts;              /* conditions and modifiers so far */
};

/* --- what is wrong --- */

static bool refuse(struct rule_reader *r, const struct rule_word *word, const char *expected)
{
    record_error_set(r->error, r->name, word->text, "at column %u %s", word->column, expected);
    return false;
}

/* Where the next word is; behind the last one, where one is missing. */
static struct rule_word next_word(const struct rule_reader *r)
{
    if (r->at < r->words.count)
        return r->words.items[r->at];
    return (struct rule_word){ .text = STR(""), .column = r->words.end_column };
}

/* `expected` NULL: what the table says. */
static bool refuse_next(struct rule_reader *r, const char *expected)
{
    struct rule_word word = next_word(r);

    return refuse(r, &word, expected ? expected : r->row->range);
}

static bool has_next(const struct rule_reader *r)
{
    return r->at < r->words.count;
}

/* --- conditions --- */

static struct condition *add_condition(struct rule_reader *r, enum condition_kind kind)
{
    struct rule *rule = r->rule;

    rule->conditions = arena_grown(&r->fields->arena, rule->conditions, rule->condition_count,
                                   &rule->condition_room, sizeof(*rule->conditions));
    rule->conditions[rule->condition_count] = (struct condition){ .kind = kind };
    return &rule->conditions[rule->condition_count++];
}

static bool read_path(struct rule_reader *r)
{
    const char *expected = NULL;

    if (!has_next(r) || !rule_path_condition(r->fields, next_word(r).text, r->rule, &expected))
        return refuse_next(r, expected);
    r->at++;
    return true;
}

static bool read_method(struct rule_reader *r)
{
    struct rule_word word = next_word(r);

    if (!rule_methods_are_right(word.text))
        return refuse_next(r, NULL);
    add_condition(r, CONDITION_METHOD)->value = arena_copy(&r->fields->arena, word.text);
    r->at++;
    return true;
}

static bool read_named(struct rule_reader *r, enum condition_kind kind)
{
    const char *expected = NULL;

    if (!has_next(r) ||
        !rule_named(r->fields, next_word(r).text, add_condition(r, kind), &expected))
        return refuse_next(r, expected);
    r->at++;
    return true;
}

static bool read_header(struct rule_reader *r)
{
    return read_named(r, CONDITION_HEADER);
}

static bool read_query(struct rule_reader *r)
{
    return read_named(r, CONDITION_QUERY);
}

static bool read_cookie(struct rule_reader *r)
{
    return read_named(r, CONDITION_COOKIE);
}

static bool read_from(struct rule_reader *r)
{
    const char *expected = NULL;

    if (!rule_ranges(&r->fields->arena, next_word(r).text, add_condition(r, CONDITION_FROM),
                     &expected))
        return refuse_next(r, expected);
    r->at++;
    return true;
}

static bool read_websocket(struct rule_reader *r)
{
    add_condition(r, CONDITION_WEBSOCKET);
    return true;
}

/* --- actions --- */

static bool is_of_list(const struct endpoint_list *list, struct str text)
{
    return text.len > 0 && ((text.ptr[0] >= '0' && text.ptr[0] <= '9') || text.ptr[0] == '[' ||
                            field_is_of_list(list, text));
}

static bool read_endpoints(struct rule_reader *r)
{
    struct endpoint_list list = { 0 };
    const char *expected = NULL;

    for (; has_next(r) && is_of_list(&list, next_word(r).text); r->at++) {
        if (!field_add_to_list(r->fields, &list, next_word(r).text, &expected))
            return refuse_next(r, expected);
        if (list.count > RULE_ENDPOINTS_MAX)
            return refuse_next(r, "at most 64 endpoints");
    }
    if (list.count == 0 || !field_list_fits(&list, &expected))
        return refuse_next(r, list.count == 0 ? NULL : expected);
    r->rule->action.kind = ACTION_ENDPOINTS;
    r->rule->action.endpoints = list.items;
    r->rule->action.endpoint_count = list.count;
    return true;
}

static bool is_service(struct str text)
{
    return str_starts_with(text, STR("service:"));
}

static bool read_to(struct rule_reader *r)
{
    struct rule_word word = next_word(r);

    if (!is_service(word.text))
        return read_endpoints(r);
    word.text = str_slice(word.text.ptr + 8, word.text.len - 8);
    if (!name_is_right(word.text))
        return refuse_next(r, "service: with " NAME_EXPECTED);
    r->rule->action.kind = ACTION_SERVICE;
    r->rule->action.service = field_name(r->fields, FAMILY_service, r->name, word.text);
    r->at++;
    return true;
}

/* service:NAME=WEIGHT */
static bool read_part(struct rule_reader *r, struct rule_part *part)
{
    struct str text = next_word(r).text, name;
    int32_t weight;

    text = str_slice(text.ptr + 8, text.len - 8);
    if (!str_split(&text, '=', &name) || text.ptr == NULL || !name_is_right(name) ||
        !rule_number(text, 0, WEIGHT_MAX, &weight))
        return false;
    part->service = field_name(r->fields, FAMILY_service, r->name, name);
    part->weight = (uint32_t)weight;
    return true;
}

static bool read_split(struct rule_reader *r)
{
    struct rule_part *parts = NULL;
    uint32_t count = 0, room = 0, sum = 0;

    for (; has_next(r) && is_service(next_word(r).text); r->at++) {
        if (count == RULE_SERVICES_MAX)
            return refuse_next(r, "at most 64 services");
        parts = arena_grown(&r->fields->arena, parts, count, &room, sizeof(*parts));
        if (!read_part(r, &parts[count]))
            return refuse_next(r, NULL);
        for (uint32_t i = 0; i < count; i++)
            if (parts[i].service == parts[count].service)
                return refuse_next(r, "each service once");
        sum += parts[count++].weight;
    }
    if (sum == 0)
        return refuse_next(r, NULL);
    r->rule->action.kind = ACTION_SPLIT;
    r->rule->action.parts = parts;
    r->rule->action.part_count = count;
    return true;
}

static bool read_code(struct rule_reader *r, int32_t least, int32_t most)
{
    int32_t code;

    if (!rule_number(next_word(r).text, least, most, &code))
        return refuse_next(r, NULL);
    r->rule->action.code = (uint16_t)code;
    r->at++;
    return true;
}

static bool read_redirect(struct rule_reader *r)
{
    struct rule_action *action = &r->rule->action;
    const char *expected = NULL;

    if (!read_code(r, 301, 308))
        return false;
    if (action->code > 303 && action->code < 307) {
        r->at--;
        return refuse_next(r, NULL);
    }
    if (!has_next(r) || !rule_url_is_right(next_word(r).text, &expected))
        return refuse_next(r, expected);
    action->kind = ACTION_REDIRECT;
    action->text = arena_copy(&r->fields->arena, next_word(r).text);
    r->at++;
    return true;
}

static bool read_respond(struct rule_reader *r)
{
    struct rule_action *action = &r->rule->action;

    if (!read_code(r, 200, 599))
        return false;
    action->kind = ACTION_RESPOND;
    if (!has_next(r) || !next_word(r).quoted)
        return true;
    if (action->code == 204 || action->code == 205 || action->code == 304)
        return refuse_next(r, "no text: a response with this code has none");
    action->text = arena_copy(&r->fields->arena, next_word(r).text);
    r->at++;
    return true;
}

static bool read_deny(struct rule_reader *r)
{
    r->rule->action.kind = ACTION_DENY;
    return true;
}

/* --- modifiers --- */

static bool read_path_into(struct rule_reader *r, struct str *path)
{
    const char *expected = NULL;

    if (!has_next(r) || !rule_path(&r->fields->arena, next_word(r).text, path, &expected))
        return refuse_next(r, expected);
    r->at++;
    return true;
}

static bool read_strip(struct rule_reader *r)
{
    return read_path_into(r, &r->rule->strip);
}

static bool read_prepend(struct rule_reader *r)
{
    return read_path_into(r, &r->rule->prepend);
}

static bool read_host(struct rule_reader *r)
{
    if (!rule_host_is_right(next_word(r).text))
        return refuse_next(r, NULL);
    r->rule->host = arena_copy(&r->fields->arena, next_word(r).text);
    r->at++;
    return true;
}

static void add_edit(struct rule_reader *r, struct str name, struct str value)
{
    struct rule *rule = r->rule;

    rule->edits = arena_grown(&r->fields->arena, rule->edits, rule->edit_count, &rule->edit_room,
                              sizeof(*rule->edits));
    rule->edits[rule->edit_count++] = (struct header_edit){ name, value };
    r->at++;
}

static bool read_set(struct rule_reader *r)
{
    struct str text = next_word(r).text, name;
    const char *expected = NULL;

    if (!str_split(&text, '=', &name) || text.ptr == NULL)
        return refuse_next(r, NULL);
    if (!rule_header_is_free(name, &expected))
        return refuse_next(r, expected);
    if (!rule_header_value_is_right(text))
        return refuse_next(r, "a value without control octets");
    add_edit(r, arena_copy(&r->fields->arena, name), arena_copy(&r->fields->arena, str_trim(text)));
    return true;
}

static bool read_unset(struct rule_reader *r)
{
    const char *expected = NULL;

    if (!has_next(r))
        return refuse_next(r, NULL);
    if (!rule_header_is_free(next_word(r).text, &expected))
        return refuse_next(r, expected);
    add_edit(r, arena_copy(&r->fields->arena, next_word(r).text), (struct str){ NULL, 0 });
    return true;
}

static bool read_timeout(struct rule_reader *r)
{
    r->rule->timeout_ms = field_parse_ms(next_word(r).text);
    if (r->rule->timeout_ms == 0)
        return refuse_next(r, NULL);
    r->at++;
    return true;
}

static bool read_priority(struct rule_reader *r)
{
    if (!rule_number(next_word(r).text, -PRIORITY_MOST, PRIORITY_MOST, &r->rule->priority))
        return refuse_next(r, NULL);
    r->at++;
    return true;
}

static bool is_modifier(struct str word);

/* Its words are cut anew, for what stands between parentheses. */
static bool read_modules(struct rule_reader *r)
{
    struct chain_scope scope = { .modules = r->modules,
                                 .tenant = r->tenant,
                                 .family = FAMILY_routes,
                                 .name = r->tenant,
                                 .rule = str_from(r->name),
                                 .ends = is_modifier };
    size_t at = next_word(r).column - 1;
    struct chain_error wrong;

    if (!has_next(r))
        return refuse_next(r, NULL);
    if (r->modules == NULL) {
        at = chain_skip(r->text, at, is_modifier);
    } else {
        r->rule->modules = modules_decode(&scope, true, r->name, r->text, &at, r->fields, &wrong);
        if (r->rule->modules == NULL) {
            struct rule_word word = { .text = wrong.got, .column = wrong.column };

            return refuse(r, &word, wrong.expected);
        }
    }
    while (has_next(r) && next_word(r).column <= at)
        r->at++;
    return true;
}

/* --- the table --- */

#define PART_condition PART_CONDITION
#define PART_action PART_ACTION
#define PART_modifier PART_MODIFIER

#define FIELD(name, type, standard, range, meaning) { #name, #type, standard, range, meaning },
static const struct field_row rows[] = {
#include "schema/rule.def"
};
#undef FIELD
#define ROWS (sizeof(rows) / sizeof(rows[0]))

#define FIELD(name, type, standard, range, meaning) { PART_##type, read_##name },
static const struct {
    enum part part;
    bool (*read)(struct rule_reader *r);
} readers[ROWS] = {
#include "schema/rule.def"
};
#undef FIELD

const struct field_row *rule_words_known(size_t *count)
{
    *count = ROWS;
    return rows;
}

static bool is_modifier(struct str word)
{
    for (size_t i = 0; i < ROWS; i++)
        if (readers[i].part == PART_MODIFIER && str_equals(word, str_from(rows[i].name)))
            return true;
    return false;
}

/* --- one rule --- */

static bool may_repeat(const struct field_row *row)
{
    static const char *const words[] = { "header", "query", "cookie", "set", "unset" };

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strcmp(row->name, words[i]) == 0)
            return true;
    return false;
}

static size_t find_row(const struct rule_word *word)
{
    size_t i = 0;

    while (i < ROWS && (word->quoted || !str_equals(word->text, str_from(rows[i].name))))
        i++;
    return i;
}

/* "expected at column 9 a modifier: strip, prepend, ..." */
static bool refuse_word(struct rule_reader *r)
{
    bool acted = r->rule->action.kind != ACTION_UNSET;
    struct buf list = { 0 };

    buf_add_text(&list, acted ? "a modifier: " : "a condition or an action: ");
    for (size_t i = 0, n = 0; i < ROWS; i++)
        if ((readers[i].part == PART_MODIFIER) == acted)
            buf_printf(&list, "%s%s", n++ ? ", " : "", rows[i].name);
    refuse_next(r, list.ptr);
    buf_free(&list);
    return false;
}

static bool is_forward(enum action_kind kind)
{
    return kind == ACTION_SERVICE || kind == ACTION_ENDPOINTS || kind == ACTION_SPLIT;
}

/* Does this word stand where one of its part may? */
static bool is_in_place(struct rule_reader *r, size_t i)
{
    enum action_kind kind = r->rule->action.kind;

    if (readers[i].part == PART_ACTION && kind != ACTION_UNSET)
        return refuse_next(r, "one action only");
    if (readers[i].part == PART_CONDITION && kind != ACTION_UNSET)
        return refuse_next(r, "conditions before the action");
    if (readers[i].part == PART_MODIFIER && kind == ACTION_UNSET)
        return refuse_next(r,
                           "an action before the modifiers: to, split, redirect, respond or deny");
    if (readers[i].part == PART_MODIFIER && !is_forward(kind) &&
        strcmp(rows[i].name, "priority") != 0 && strcmp(rows[i].name, "modules") != 0)
        return refuse_next(r, "only priority or modules here: the request goes to no endpoint");
    if (readers[i].part != PART_ACTION && ++r->parts > RULE_PARTS_MAX)
        return refuse_next(r, "at most 64 conditions and modifiers");
    if (!may_repeat(&rows[i]) && (r->seen & (1u << i)) != 0)
        return refuse_next(r, "this word once only");
    r->seen |= 1u << i;
    return true;
}

static bool read_rule(struct rule_reader *r)
{
    while (has_next(r)) {
        size_t i = find_row(&r->words.items[r->at]);

        if (i == ROWS)
            return refuse_word(r);
        if (!is_in_place(r, i))
            return false;
        r->at++;
        r->row = &rows[i];
        if (!readers[i].read(r))
            return false;
    }
    if (r->rule->action.kind == ACTION_UNSET)
        return refuse_next(r, "an action: to, split, redirect, respond or deny");
    return true;
}

bool rule_decode(const struct module_host *modules, struct str tenant, struct str name,
                 struct str text, struct record_fields *fields, struct record_error *error)
{
    struct rule_reader r = {
        .modules = modules, .tenant = tenant, .text = text, .fields = fields, .error = error
    };
    struct arena words = { 0 };
    struct rule_word wrong;
    const char *expected;
    struct rule *rule;
    bool good;

    CHECK(sizeof(r.seen) * 8 >= ROWS);
    fields->rules = arena_grown(&fields->arena, fields->rules, fields->rule_count,
                                &fields->rule_room, sizeof(*fields->rules));
    rule = r.rule = &fields->rules[fields->rule_count];
    *rule = (struct rule){ .name = arena_copy(&fields->arena, name) };
    r.name = rule->name.ptr;
    good = rule_words_cut(text, &words, &r.words, &wrong, &expected);
    good = good ? read_rule(&r) : refuse(&r, &wrong, expected);
    arena_free(&words);
    if (!good)
        chain_free(rule->modules);
    fields->rule_count += good;
    return good;
}

/* --- all of them --- */

static int by_path(const void *a, const void *b)
{
    const struct rule *x = *(const struct rule *const *)a, *y = *(const struct rule *const *)b;

    if (x->path_kind != y->path_kind)
        return x->path_kind < y->path_kind ? -1 : 1;
    if (x->path.len != y->path.len)
        return x->path.len < y->path.len ? -1 : 1;
    return x->path.len ? memcmp(x->path.ptr, y->path.ptr, x->path.len) : 0;
}

/* Rules of one path stand side by side in `sorted`. */
static const struct rule *find_crowded(const struct rule *const *sorted, uint32_t count)
{
    uint32_t run = 0;

    for (uint32_t i = 0; i < count; i++) {
        run = i > 0 && by_path(&sorted[i - 1], &sorted[i]) == 0 ? run + 1 : 1;
        if (run > RULES_SHARE_PATH)
            return sorted[i];
    }
    return NULL;
}

bool rules_keep_bounds(const struct record_fields *fields, struct record_error *error)
{
    const struct rule **sorted = check_alloc((fields->rule_count + 1) * sizeof(*sorted));
    const struct rule *crowded;

    for (uint32_t i = 0; i < fields->rule_count; i++)
        sorted[i] = &fields->rules[i];
    qsort(sorted, fields->rule_count, sizeof(*sorted), by_path);
    crowded = find_crowded(sorted, fields->rule_count);
    free(sorted);
    if (crowded != NULL)
        record_error_set(error, crowded->name.ptr, crowded->path,
                         "at most %u rules with the same path", RULES_SHARE_PATH);
    return crowded == NULL;
}
