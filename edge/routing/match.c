/* match.c -- finds the rule that a request meets: candidates by path, in the order of their rank.
 *
 * Owns:    nothing.
 * Thread:  any.
 * Used by: proxy/match.c, control/explain.c.
 * Not here: the index (compile_routes.c); bounds on patterns (regex.c). */
#include "routing/match.h"

#include "base/check.h"
#include "routing/route_index.h"

/* --- conditions --- */

static bool is_found(const struct regex *regex, struct str subject, struct route_scratch *scratch,
                     bool deny)
{
    enum regex_result result = regex_find(regex, subject, scratch);

    /* What cannot be found out must not open what a rule closes. */
    return result == REGEX_YES || (result == REGEX_LIMIT && deny);
}

static bool lists_method(struct str methods, struct str method)
{
    struct str one;

    while (str_split(&methods, ',', &one))
        if (str_equals(one, method))
            return true;
    return false;
}

static bool has_header(const struct condition *c, const struct route_request *q,
                       struct route_scratch *scratch, bool deny)
{
    struct str value;

    for (unsigned n = 0; (value = q->header(q->owner, c->name, n)).ptr != NULL; n++)
        if (c->test == TEST_PRESENT ||
            (c->test == TEST_EQUALS && str_equals(str_trim(value), c->value)) ||
            (c->test == TEST_REGEX && is_found(c->regex, str_trim(value), scratch, deny)))
            return true;
    return false;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = str_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Is `encoded` (%41 is A, + is a space) this text? */
static bool decodes_to(struct str encoded, struct str text)
{
    size_t at = 0;

    for (size_t i = 0; i < encoded.len; i++) {
        char c = encoded.ptr[i] == '+' ? ' ' : encoded.ptr[i];

        if (c == '%' && i + 2 < encoded.len && hex_value(encoded.ptr[i + 1]) >= 0 &&
            hex_value(encoded.ptr[i + 2]) >= 0) {
            c = (char)(hex_value(encoded.ptr[i + 1]) << 4 | hex_value(encoded.ptr[i + 2]));
            i += 2;
        }
        if (at == text.len || text.ptr[at++] != c)
            return false;
    }
    return at == text.len;
}

static bool has_parameter(const struct condition *c, struct str query)
{
    struct str one, name;

    if (query.ptr == NULL)
        return false;
    while (str_split(&query, '&', &one)) {
        if (!str_split(&one, '=', &name) || !decodes_to(name, c->name))
            continue;
        if (c->test == TEST_PRESENT || decodes_to(one.ptr ? one : STR(""), c->value))
            return true;
    }
    return false;
}

static bool has_cookie(const struct condition *c, const struct route_request *q)
{
    struct str line, one, name;

    for (unsigned n = 0; (line = q->header(q->owner, STR("cookie"), n)).ptr != NULL; n++)
        while (str_split(&line, ';', &one)) {
            if (!str_split(&one, '=', &name) || !str_equals(str_trim(name), c->name))
                continue;
            if (c->test == TEST_PRESENT || str_equals(one.ptr ? str_trim(one) : STR(""), c->value))
                return true;
        }
    return false;
}

static bool is_from(const struct condition *c, const struct address *client)
{
    for (uint32_t i = 0; client != NULL && i < c->range_count; i++)
        if (cidr_holds(&c->ranges[i], client))
            return true;
    return false;
}

bool match_condition(const struct condition *c, const struct route_request *q,
                     struct route_scratch *scratch, bool deny)
{
    switch (c->kind) {
    case CONDITION_METHOD:
        return lists_method(c->value, q->method);
    case CONDITION_HEADER:
        return has_header(c, q, scratch, deny);
    case CONDITION_QUERY:
        return has_parameter(c, q->query);
    case CONDITION_COOKIE:
        return has_cookie(c, q);
    case CONDITION_FROM:
        return is_from(c, q->client);
    case CONDITION_WEBSOCKET:
        return q->websocket;
    }
    return false;
}

bool match_path(const struct route *route, struct str path, struct route_scratch *scratch)
{
    switch (route->path_kind) {
    case ROUTE_ANY_PATH:
        return true;
    case ROUTE_EXACT_PATH:
        return str_equals(path, route->path);
    case ROUTE_PREFIX_PATH:
        return str_starts_with(path, route->path) &&
               (path.len == route->path.len || path.ptr[route->path.len] == '/');
    case ROUTE_REGEX_PATH:
        return is_found(route->path_regex, path, scratch, route->action.kind == ACTION_DENY);
    }
    return false;
}

/* --- the index --- */

struct search {
    const struct routes *routes;
    const struct route_request *request;
    struct route_scratch *scratch;
    uint32_t best; /* the smallest rank so far whose rule is met; UINT32_MAX: none */
};

/* Whether a rule of the list is met that goes before the best so far. The path of all but those
 * with a regex is known to be met. */
static void try_list(struct search *s, struct route_list list)
{
    for (uint32_t i = 0; i < list.count && list.ranks[i] < s->best; i++) {
        const struct route *route = &s->routes->items[list.ranks[i]];
        bool met =
            route->path_kind != ROUTE_REGEX_PATH || match_path(route, s->request->path, s->scratch);

        for (uint32_t k = 0; met && k < route->condition_count; k++)
            met = match_condition(&route->conditions[k], s->request, s->scratch,
                                  route->action.kind == ACTION_DENY);
        if (met) {
            s->best = list.ranks[i];
            return;
        }
    }
}

/* What is looked at next is fetched while something else is done: in a tenant of many rules hardly
 * anything of them is near. */
static void fetch_bucket(const struct route_table *t, uint64_t hash)
{
    __builtin_prefetch(&t->buckets[(uint32_t)hash & t->mask]);
}

static void fetch_rule(const struct search *s, const struct route_bucket *b)
{
    const char *route = (const char *)&s->routes->items[route_bucket_rules(b).ranks[0]];

    __builtin_prefetch(route);
    __builtin_prefetch(route + 64);
    __builtin_prefetch(route + 128);
}

/* The prefixes of a path that may have rules, from the shortest up. */
struct prefixes {
    uint64_t hashes[RULE_SEGMENTS_MAX];
    uint32_t lens[RULE_SEGMENTS_MAX];
    uint32_t count;
};

static void find_prefixes(struct prefixes *p, const struct route_index *index, struct str path)
{
    uint64_t hash = 0, depths = index->prefix_depths;
    struct str segment;
    size_t at = 0;

    for (p->count = 0; depths != 0 && route_segment(path, &at, &segment); depths >>= 1) {
        if (at > index->prefix_most_bytes)
            return;
        hash = route_hash_segment(hash, segment);
        if ((depths & 1) == 0)
            continue;
        p->hashes[p->count] = hash;
        p->lens[p->count++] = (uint32_t)at;
        fetch_bucket(&index->prefix, hash);
    }
}

static void try_path(struct search *s, const struct route_table *t, uint64_t hash, struct str path)
{
    const struct route_bucket *bucket = route_table_find(t, hash, path);

    if (bucket == NULL)
        return;
    fetch_rule(s, bucket);
    try_list(s, route_bucket_rules(bucket));
}

const struct route *routes_match(const struct routes *r, const struct route_request *q,
                                 struct route_scratch *scratch)
{
    struct search s = { .routes = r, .request = q, .scratch = scratch, .best = UINT32_MAX };
    struct prefixes prefixes;
    uint64_t hash;

    if (r->count == 0)
        return NULL;
    regex_begin_request(scratch);
    hash = map_hash(q->path);
    fetch_bucket(&r->index->exact, hash);
    find_prefixes(&prefixes, r->index, q->path);
    try_path(&s, &r->index->exact, hash, q->path);
    while (prefixes.count-- > 0 && r->index->prefix_first < s.best)
        try_path(&s, &r->index->prefix, prefixes.hashes[prefixes.count],
                 str_slice(q->path.ptr, prefixes.lens[prefixes.count]));
    try_list(&s, r->index->regex);
    try_list(&s, r->index->any);
    return s.best != UINT32_MAX ? &r->items[s.best] : NULL;
}
