/* compile_routes.c -- lays out the rules of a tenant in the order of their rank, and their index.
 *
 * Owns:    nothing; who asked for the object owns it, with its compiled patterns.
 * Thread:  control (pure: any would do).
 * Used by: store/objects.c.
 * Not here: finding the rule of a request (match.c). */
#include <stdlib.h>

#include "routing/compile.h"
#include "routing/compile_parts.h"
#include "routing/regex.h"
#include "routing/route_index.h"

/* --- which goes first --- */

static int by_number(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

static int by_rank(const void *a, const void *b)
{
    const struct rule *x = *(const struct rule *const *)a, *y = *(const struct rule *const *)b;
    static const int classes[] = {
        [ROUTE_EXACT_PATH] = 0,
        [ROUTE_PREFIX_PATH] = 1,
        [ROUTE_REGEX_PATH] = 2,
        [ROUTE_ANY_PATH] = 3,
    };
    int order = by_number(y->priority, x->priority);
    size_t least = x->name.len < y->name.len ? x->name.len : y->name.len;

    if (order == 0)
        order = by_number(classes[x->path_kind], classes[y->path_kind]);
    if (order == 0 && x->path_kind == ROUTE_PREFIX_PATH)
        order = by_number((int64_t)y->path.len, (int64_t)x->path.len);
    if (order == 0)
        order = by_number(y->condition_count, x->condition_count);
    if (order == 0)
        order = memcmp(x->name.ptr, y->name.ptr, least);
    return order ? order : by_number((int64_t)x->name.len, (int64_t)y->name.len);
}

static struct rule **sorted_rules(struct record_fields *fields)
{
    struct rule **rules = check_alloc((fields->rule_count + 1) * sizeof(*rules));

    for (uint32_t i = 0; i < fields->rule_count; i++)
        rules[i] = &fields->rules[i];
    qsort(rules, fields->rule_count, sizeof(*rules), by_rank);
    return rules;
}

/* --- one rule --- */

static size_t rule_bytes(const struct rule *rule, const struct record_names *names)
{
    size_t bytes = text_bytes(rule->name) + text_bytes(rule->path) + text_bytes(rule->strip) +
                   text_bytes(rule->prepend) + text_bytes(rule->host) +
                   action_bytes(&rule->action, names) +
                   part_rounded(rule->condition_count * sizeof(struct condition)) +
                   part_rounded(rule->edit_count * sizeof(struct header_edit));

    for (uint32_t i = 0; i < rule->condition_count; i++) {
        const struct condition *c = &rule->conditions[i];

        bytes += text_bytes(c->name) + text_bytes(c->value) +
                 part_rounded(c->range_count * sizeof(struct cidr));
    }
    for (uint32_t i = 0; i < rule->edit_count; i++)
        bytes += text_bytes(rule->edits[i].name) + text_bytes(rule->edits[i].value);
    return bytes;
}

static void lay_conditions(struct route *to, const struct rule *from, char **rest)
{
    struct condition *conditions =
        part_room(rest, from->condition_count * sizeof(struct condition));

    for (uint32_t i = 0; i < from->condition_count; i++) {
        const struct condition *c = &from->conditions[i];
        struct cidr *ranges;

        conditions[i] = *c;
        conditions[i].name = lay_text(c->name, rest);
        conditions[i].value = lay_text(c->value, rest);
        ranges = part_room(rest, c->range_count * sizeof(*ranges));
        if (c->range_count > 0)
            memcpy(ranges, c->ranges, c->range_count * sizeof(*ranges));
        conditions[i].ranges = ranges;
        if (c->test == TEST_REGEX)
            conditions[i].regex = regex_new(c->value);
    }
    to->conditions = conditions;
    to->condition_count = from->condition_count;
}

static void lay_edits(struct route *to, const struct rule *from, char **rest)
{
    struct header_edit *edits = part_room(rest, from->edit_count * sizeof(*edits));

    for (uint32_t i = 0; i < from->edit_count; i++) {
        edits[i].name = lay_text(from->edits[i].name, rest);
        edits[i].value = lay_text(from->edits[i].value, rest);
    }
    to->edits = edits;
    to->edit_count = from->edit_count;
}

static void lay_rule(struct route *to, const struct rule *from, const struct record_names *names,
                     const uint32_t *slots, char **rest)
{
    to->name = lay_text(from->name, rest);
    to->path_kind = from->path_kind;
    to->path = lay_text(from->path, rest);
    if (from->path_kind == ROUTE_REGEX_PATH)
        to->path_regex = regex_new(from->path);
    lay_conditions(to, from, rest);
    lay_action(&to->action, &from->action, names, slots, rest);
    to->strip = lay_text(from->strip, rest);
    to->prepend = lay_text(from->prepend, rest);
    to->host = lay_text(from->host, rest);
    lay_edits(to, from, rest);
    to->timeout_ms = from->timeout_ms;
    to->priority = from->priority;
}

/* --- the index --- */

struct counts {
    uint32_t exact, prefix, regex, any;
};

static struct counts count_paths(struct rule *const *rules, uint32_t count)
{
    struct counts n = { 0 };

    for (uint32_t i = 0; i < count; i++) {
        n.exact += rules[i]->path_kind == ROUTE_EXACT_PATH;
        n.prefix += rules[i]->path_kind == ROUTE_PREFIX_PATH;
        n.regex += rules[i]->path_kind == ROUTE_REGEX_PATH;
        n.any += rules[i]->path_kind == ROUTE_ANY_PATH;
    }
    return n;
}

static uint32_t table_room(uint32_t count)
{
    uint32_t room = 2;

    while (room < 2 * count)
        room *= 2;
    return room;
}

static size_t index_bytes(const struct counts *n)
{
    return part_rounded(sizeof(struct route_index)) +
           part_rounded(table_room(n->exact) * sizeof(struct route_bucket)) +
           part_rounded(table_room(n->prefix) * sizeof(struct route_bucket)) +
           part_rounded((n->exact + n->prefix + n->regex + n->any) * sizeof(uint32_t));
}

static uint64_t hash_of(const struct route *route, uint32_t *segments)
{
    struct str segment;
    uint64_t hash = 0;
    size_t at = 0;

    *segments = 0;
    if (route->path_kind == ROUTE_EXACT_PATH)
        return map_hash(route->path);
    while (route_segment(route->path, &at, &segment)) {
        hash = route_hash_segment(hash, segment);
        ++*segments;
    }
    return hash;
}

/* Buckets learn how many rules they have; where these stand comes afterwards. */
static void count_into(struct route_index *index, const struct route *route, uint32_t rank)
{
    bool exact = route->path_kind == ROUTE_EXACT_PATH;
    struct route_table *table = exact ? &index->exact : &index->prefix;
    uint32_t segments;
    uint64_t hash = hash_of(route, &segments);
    uint32_t at = (uint32_t)hash & table->mask;

    while (
        table->buckets[at].count > 0 &&
        (table->buckets[at].hash != hash ||
         !str_equals(str_slice(table->buckets[at].path, table->buckets[at].path_len), route->path)))
        at = (at + 1) & table->mask;
    table->buckets[at].hash = hash;
    table->buckets[at].path = route->path.ptr;
    table->buckets[at].path_len = (uint32_t)route->path.len;
    table->buckets[at].count++;
    if (exact)
        return;
    if (route->path.len > index->prefix_most_bytes)
        index->prefix_most_bytes = route->path.len;
    index->prefix_depths |= (uint64_t)1 << (segments - 1);
    if (rank < index->prefix_first)
        index->prefix_first = rank;
}

/* Each bucket of several rules gets its piece of `ranks`. */
static void give_places(struct route_table *table, uint32_t **ranks)
{
    for (uint32_t at = 0; at <= table->mask; at++) {
        struct route_bucket *bucket = &table->buckets[at];

        if (bucket->count < 2)
            continue;
        bucket->ranks = *ranks;
        *ranks += bucket->count;
    }
}

static void put(struct route_list list, uint32_t *filled, uint32_t rank)
{
    ((uint32_t *)list.ranks)[(*filled)++] = rank;
}

/* In the order of rank, so every list grows. `filled`: how much of each bucket is. */
static void fill_lists(struct route_index *index, const struct route *routes, uint32_t count,
                       uint32_t *filled[2])
{
    uint32_t regexes = 0, anys = 0;

    for (uint32_t rank = 0; rank < count; rank++) {
        const struct route *route = &routes[rank];
        bool exact = route->path_kind == ROUTE_EXACT_PATH;
        struct route_table *table = exact ? &index->exact : &index->prefix;
        const struct route_bucket *bucket;
        uint32_t segments;

        if (route->path_kind == ROUTE_REGEX_PATH) {
            put(index->regex, &regexes, rank);
        } else if (route->path_kind == ROUTE_ANY_PATH) {
            put(index->any, &anys, rank);
        } else {
            bucket = route_table_find(table, hash_of(route, &segments), route->path);
            put(route_bucket_rules(bucket), &filled[!exact][bucket - table->buckets], rank);
        }
    }
}

static struct route_index *lay_index(const struct route *routes, uint32_t count,
                                     const struct counts *n, char **rest)
{
    struct route_index *index = part_room(rest, sizeof(*index));
    uint32_t *filled[2], *ranks;

    index->exact.mask = table_room(n->exact) - 1;
    index->prefix.mask = table_room(n->prefix) - 1;
    index->exact.buckets = part_room(rest, (index->exact.mask + 1) * sizeof(struct route_bucket));
    index->prefix.buckets = part_room(rest, (index->prefix.mask + 1) * sizeof(struct route_bucket));
    index->prefix_first = UINT32_MAX;
    ranks = part_room(rest, count * sizeof(*ranks));
    index->regex = (struct route_list){ ranks, n->regex };
    index->any = (struct route_list){ ranks + n->regex, n->any };
    ranks += n->regex + n->any;
    for (uint32_t rank = 0; rank < count; rank++)
        if (routes[rank].path_kind == ROUTE_EXACT_PATH ||
            routes[rank].path_kind == ROUTE_PREFIX_PATH)
            count_into(index, &routes[rank], rank);
    give_places(&index->exact, &ranks);
    give_places(&index->prefix, &ranks);
    filled[0] = check_alloc((index->exact.mask + 1) * sizeof(uint32_t));
    filled[1] = check_alloc((index->prefix.mask + 1) * sizeof(uint32_t));
    fill_lists(index, routes, count, filled);
    free(filled[0]);
    free(filled[1]);
    return index;
}

/* --- all rules --- */

static size_t regexes_bytes(const struct routes *r)
{
    size_t bytes = 0;

    for (uint32_t i = 0; i < r->count; i++) {
        if (r->items[i].path_regex != NULL)
            bytes += regex_bytes(r->items[i].path_regex);
        for (uint32_t k = 0; k < r->items[i].condition_count; k++)
            if (r->items[i].conditions[k].regex != NULL)
                bytes += regex_bytes(r->items[i].conditions[k].regex);
    }
    return bytes;
}

static struct routes *new_routes(struct slot_ref ref, struct str id, size_t bytes)
{
    struct routes *routes = check_alloc(bytes);

    routes->object.kind = OBJECT_ROUTES;
    routes->object.ref = ref;
    routes->object.bytes = bytes;
    copy_name(routes->id, sizeof(routes->id), id);
    return routes;
}

struct routes *compile_routes(struct slot_ref ref, struct str id, struct record_fields *fields,
                              const uint32_t *slots)
{
    struct rule **rules;
    struct routes *routes;
    struct route *items;
    struct counts n;
    size_t bytes = part_rounded(sizeof(*routes));
    char *rest;

    if (fields == NULL) {
        routes = new_routes(ref, id, bytes);
        routes->bad = true;
        return routes;
    }
    rules = sorted_rules(fields);
    n = count_paths(rules, fields->rule_count);
    bytes += part_rounded(fields->rule_count * sizeof(*items)) + index_bytes(&n);
    for (uint32_t i = 0; i < fields->rule_count; i++)
        bytes += rule_bytes(rules[i], &fields->names);
    routes = new_routes(ref, id, bytes);
    rest = (char *)routes + part_rounded(sizeof(*routes));
    items = part_room(&rest, fields->rule_count * sizeof(*items));
    for (uint32_t i = 0; i < fields->rule_count; i++)
        lay_rule(&items[i], rules[i], &fields->names, slots, &rest);
    routes->items = items;
    routes->count = fields->rule_count;
    routes->index = lay_index(items, routes->count, &n, &rest);
    CHECK(rest == (char *)routes + bytes);
    routes->object.bytes += regexes_bytes(routes);
    for (uint32_t i = 0; i < fields->rule_count; i++)
        items[i].modules = take_chain(&routes->object, &rules[i]->modules, slots);
    free(rules);
    return routes;
}

void routes_free_parts(struct routes *r)
{
    for (uint32_t i = 0; i < r->count; i++) {
        chain_free((struct chain *)(uintptr_t)r->items[i].modules);
        if (r->items[i].path_regex != NULL)
            regex_free(r->items[i].path_regex);
        for (uint32_t k = 0; k < r->items[i].condition_count; k++)
            if (r->items[i].conditions[k].regex != NULL)
                regex_free(r->items[i].conditions[k].regex);
    }
}
