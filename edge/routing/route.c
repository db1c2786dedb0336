/* route.c -- the form of paths that rules are matched on; which part of a split a client has.
 *
 * Owns:    nothing.
 * Thread:  any.
 * Used by: rule_values.c (rules' paths), proxy/match.c (requests').
 * Not here: finding a rule (match.c); its text (route_text.c). */
#include "routing/route.h"

#include "base/check.h"
#include "base/path.h"

size_t route_path_form(char *path, size_t len)
{
    size_t out = 0;

    for (size_t i = 0; i < len; i++)
        if (path[i] != '/' || out == 0 || path[out - 1] != '/')
            path[out++] = path[i];
    return out;
}

struct str route_path_otherwise(struct str path, char *scratch)
{
    char *normal = scratch + path.len;
    size_t len;
    bool same;

    if (memmem(path.ptr, path.len, "//", 2) == NULL && memchr(path.ptr, '\\', path.len) == NULL)
        return str_slice(normal, 0);
    for (size_t i = 0; i < path.len; i++)
        scratch[i] = path.ptr[i] == '\\' ? '/' : path.ptr[i];
    len = path_normal(str_slice(scratch, route_path_form(scratch, path.len)), normal, &same);
    return str_slice(normal, route_path_form(normal, len));
}

const struct split_part *action_split(const struct action *action, uint64_t hash)
{
    /* The share of the whole range of hashes: floor(hash * sum / 2^64). */
    uint64_t at = (uint64_t)(((unsigned __int128)hash * action->part_weights) >> 64);

    CHECK(action->kind == ACTION_SPLIT && action->part_weights > 0);
    for (uint32_t i = 0; i < action->part_count; i++) {
        if (at < action->parts[i].weight)
            return &action->parts[i];
        at -= action->parts[i].weight;
    }
    CHECK(!"the weights add up to their sum");
    return NULL;
}
