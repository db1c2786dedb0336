/* lint_rules.c -- rules that are never met: another one comes first, and holds wherever they do.
 *
 * Among rules of one priority the more specific comes first, so only one that says the same can
 * stand in front of another. A higher priority can put a wide rule before a narrow one.
 *
 * Owns:    nothing.
 * Thread:  control (pure: any would do)
 * Used by: lint.c.
 * Not here: the order itself (routing/match.c).  */
#include "cli/lint_rules.h"

#include <stdlib.h>

#include "base/check.h"

#define PAIRS_MOST 4000000u /* of rules, looked at for what priorities do */

/* What a rule holds for, in one form: equal texts hold for the same requests. */
struct entry {
    const struct rule *rule;
    struct buf text;
};

static int by_bytes(struct str a, struct str b)
{
    int order = memcmp(a.ptr, b.ptr, a.len < b.len ? a.len : b.len);

    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

static int by_text(const void *a, const void *b)
{
    const struct buf *x = a, *y = b;

    return by_bytes(str_slice(x->ptr, x->len), str_slice(y->ptr, y->len));
}

static void add_condition(struct buf *to, const struct condition *c)
{
    size_t from;

    buf_printf(to, "%c%c", 'a' + (char)c->kind, 'a' + (char)c->test);
    from = to->len;
    buf_add_str(to, c->name);
    if (c->kind == CONDITION_HEADER)
        for (size_t i = from; i < to->len; i++)
            to->ptr[i] = str_lower(to->ptr[i]);
    buf_add(to, "\0", 1);
    buf_add_str(to, c->value);
    buf_add(to, "\0", 1);
}

/* The conditions in an order of their own. */
static void add_conditions(struct buf *to, const struct rule *r)
{
    struct buf *each = check_alloc((r->condition_count + 1) * sizeof(*each));

    for (uint32_t i = 0; i < r->condition_count; i++)
        add_condition(&each[i], &r->conditions[i]);
    qsort(each, r->condition_count, sizeof(*each), by_text);
    for (uint32_t i = 0; i < r->condition_count; i++) {
        buf_add(to, each[i].ptr, each[i].len);
        buf_free(&each[i]);
    }
    free(each);
}

/* Of two that hold for the same: which is looked at first. */
static int by_order(const struct rule *a, const struct rule *b)
{
    if (a->priority != b->priority)
        return a->priority > b->priority ? -1 : 1;
    return by_bytes(a->name, b->name);
}

static int by_entry(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    int order = by_text(&x->text, &y->text);

    return order != 0 ? order : by_order(x->rule, y->rule);
}

static bool has_condition(const struct rule *r, const struct condition *c)
{
    for (uint32_t i = 0; i < r->condition_count; i++) {
        const struct condition *other = &r->conditions[i];

        if (other->kind == c->kind && other->test == c->test &&
            str_equals(other->value, c->value) &&
            (c->kind == CONDITION_HEADER ? str_equals_nocase(other->name, c->name)
                                         : str_equals(other->name, c->name)))
            return true;
    }
    return false;
}

static bool path_covers(const struct rule *wide, const struct rule *narrow)
{
    if (wide->path_kind == ROUTE_ANY_PATH)
        return true;
    if (wide->path_kind == narrow->path_kind && str_equals(wide->path, narrow->path))
        return true;
    if (wide->path_kind != ROUTE_PREFIX_PATH ||
        (narrow->path_kind != ROUTE_EXACT_PATH && narrow->path_kind != ROUTE_PREFIX_PATH) ||
        !str_starts_with(narrow->path, wide->path))
        return false;
    return narrow->path.len == wide->path.len || narrow->path.ptr[wide->path.len] == '/';
}

static bool covers(const struct rule *wide, const struct rule *narrow)
{
    if (!path_covers(wide, narrow) || wide->condition_count > narrow->condition_count)
        return false;
    for (uint32_t i = 0; i < wide->condition_count; i++)
        if (!has_condition(narrow, &wide->conditions[i]))
            return false;
    return true;
}

static const struct rule *find_cover(const struct record_fields *f, const struct rule *r)
{
    for (uint32_t i = 0; i < f->rule_count; i++)
        if (f->rules[i].priority > r->priority && covers(&f->rules[i], r))
            return &f->rules[i];
    return NULL;
}

static bool has_priorities(const struct record_fields *f)
{
    for (uint32_t i = 1; i < f->rule_count; i++)
        if (f->rules[i].priority != f->rules[0].priority)
            return true;
    return false;
}

void lint_rules(const struct record_fields *fields,
                void (*shadowed)(void *owner, const struct rule *rule, const struct rule *by),
                void *owner)
{
    uint32_t count = fields->rule_count;
    struct entry *entries = check_alloc((count + 1) * sizeof(*entries));
    bool pairs = has_priorities(fields) && (uint64_t)count * count <= PAIRS_MOST;

    for (uint32_t i = 0; i < count; i++) {
        const struct rule *r = &fields->rules[i];

        entries[i].rule = r;
        buf_printf(&entries[i].text, "%c", 'a' + (char)r->path_kind);
        buf_add_str(&entries[i].text, r->path);
        buf_add(&entries[i].text, "\0", 1);
        add_conditions(&entries[i].text, r);
    }
    qsort(entries, count, sizeof(*entries), by_entry);
    for (uint32_t i = 0, first = 0; i < count; i++) {
        const struct rule *by = NULL;

        if (by_text(&entries[first].text, &entries[i].text) != 0)
            first = i;
        if (i > first)
            by = entries[first].rule;
        else if (pairs)
            by = find_cover(fields, entries[i].rule);
        if (by != NULL)
            shadowed(owner, entries[i].rule, by);
    }
    for (uint32_t i = 0; i < count; i++)
        buf_free(&entries[i].text);
    free(entries);
}
