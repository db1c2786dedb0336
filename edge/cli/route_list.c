/* route_list.c -- rules, compiled for their order and written in one form.
 *
 * Owns:    what it compiles, for the length of the call.
 * Thread:  control (pure: any would do)
 * Used by: route.c, tenant.c.
 * Not here: the order (routing/).  */
#include "cli/route_list.h"

#include <stdlib.h>

#include "base/check.h"
#include "routing/compile.h"

struct rule_list {
    struct buf *to;
    const char *indent;
    bool json;
    size_t width;
    unsigned written;
};

static void add_rule(struct rule_list *l, struct str name, struct str text, const char *wrong)
{
    if (l->json) {
        buf_add_text(l->to, l->written > 0 ? ",\n  {\"name\":" : "[\n  {\"name\":");
        buf_add_json(l->to, name);
        buf_add_text(l->to, ",\"rule\":");
        buf_add_json(l->to, text);
        if (wrong != NULL) {
            buf_add_text(l->to, ",\"error\":");
            buf_add_json(l->to, str_from(wrong));
        }
        buf_add_text(l->to, "}");
    } else {
        buf_printf(l->to, "%s%-*.*s  " STR_FMT "\n", l->indent, (int)l->width, STR_ARG(name),
                   STR_ARG(text));
        if (wrong != NULL)
            buf_printf(l->to, "%s%*s  refused: %s\n", l->indent, (int)l->width, "", wrong);
    }
    l->written++;
}

static void add_compiled(struct rule_list *l, struct str tenant, struct record_fields *fields)
{
    uint32_t *slots = check_alloc((fields->names.count + 1) * sizeof(*slots));
    struct routes *routes = compile_routes((struct slot_ref){ 0 }, tenant, fields, slots);
    struct buf text = { 0 };

    for (uint32_t i = 0; i < routes->count; i++) {
        buf_clear(&text);
        route_text(routes, &routes->items[i], &text);
        add_rule(l, routes->items[i].name, str_slice(text.ptr, text.len), NULL);
    }
    buf_free(&text);
    object_free(&routes->object);
    free(slots);
}

/* One by one, as they stand: no edge takes them as a whole. */
static void add_refused(const struct module_host *modules, struct rule_list *l, struct str tenant,
                        const struct value *value, const struct record_error *whole)
{
    bool any = false;

    for (size_t i = 0; i < value->count; i++) {
        struct value one = { .kind = VALUE_HASH, .fields = &value->fields[i], .count = 1 };
        struct record_fields fields;
        struct record_error error;
        struct buf wrong = { 0 };

        if (!record_decode(modules, FAMILY_routes, tenant, &one, &fields, &error)) {
            record_error_say(&error, &wrong);
            any = true;
        } else if (i + 1 == value->count && !any) {
            record_error_say(whole, &wrong); /* too much, all together */
        }
        add_rule(l, value->fields[i].name, value->fields[i].value, wrong.ptr);
        record_fields_free(&fields);
        buf_free(&wrong);
    }
}

bool route_list(const struct module_host *modules, const struct records *from, struct str tenant,
                bool json, const char *indent, struct buf *to, const char **why)
{
    struct rule_list l = { .to = to, .indent = indent, .json = json };
    struct record_fields fields;
    struct record_error error;
    struct value value;

    if (!records_fetch(from, FAMILY_routes, tenant, &value, why))
        return false;
    if (value.kind == VALUE_ABSENT)
        return true;
    for (size_t i = 0; i < value.count; i++)
        if (value.fields[i].name.len > l.width && value.fields[i].name.len <= 30)
            l.width = value.fields[i].name.len;
    if (record_decode(modules, FAMILY_routes, tenant, &value, &fields, &error))
        add_compiled(&l, tenant, &fields);
    else
        add_refused(modules, &l, tenant, &value, &error);
    record_fields_free(&fields);
    if (json)
        buf_add_text(to, l.written > 0 ? "\n]\n" : "[]\n");
    return true;
}
