/* compile_parts.c -- lays out actions, policies, and the endpoints of services.
 *
 * Owns:    nothing; it fills its callers' allocations.
 * Thread:  control (pure: any would do).
 * Used by: compile.c, compile_routes.c.
 * Not here: the order of endpoints (schedule.c). */
#include "routing/compile_parts.h"

#include "base/checksum.h"
#include "routing/endpoint.h"
#include "routing/schedule.h"

/* Where the texts (struct str) of a structure stand, which are copied along with it. */
#define TEXTS_END SIZE_MAX
static const size_t health_texts[] = {
    offsetof(struct health_policy, path), offsetof(struct health_policy, method),
    offsetof(struct health_policy, host), offsetof(struct health_policy, status),
    offsetof(struct health_policy, body), TEXTS_END,
};
#define POLICY(text) offsetof(struct service_policy, text)
#define OPTION(text) offsetof(struct endpoint_options, text)
static const size_t policy_texts[] = { POLICY(hash_name), POLICY(sticky), TEXTS_END };
static const size_t option_texts[] = { OPTION(zone), OPTION(unix_path), OPTION(name),
                                       OPTION(root), OPTION(index),     TEXTS_END };

static size_t texts_bytes(const void *from, const size_t *texts)
{
    size_t bytes = 0;

    for (; *texts != TEXTS_END; texts++)
        bytes += text_bytes(*(const struct str *)((const char *)from + *texts));
    return bytes;
}

static void lay_texts(void *to, const size_t *texts, char **rest)
{
    for (; *texts != TEXTS_END; texts++) {
        struct str *text = (struct str *)((char *)to + *texts);

        *text = lay_text(*text, rest);
    }
}

/* --- policies --- */

size_t policy_bytes(const struct service_policy *policy)
{
    size_t bytes = texts_bytes(policy, policy_texts);

    if (policy->health != NULL)
        bytes += part_rounded(sizeof(*policy->health)) + texts_bytes(policy->health, health_texts);
    return bytes;
}

static const struct health_policy *lay_health(const struct health_policy *from, char **rest)
{
    struct health_policy *to;

    if (from == NULL)
        return NULL;
    to = part_room(rest, sizeof(*to));
    *to = *from;
    lay_texts(to, health_texts, rest);
    return to;
}

void lay_policy(struct service_policy *to, const struct service_policy *from, char **rest)
{
    *to = *from;
    lay_texts(to, policy_texts, rest);
    to->health = lay_health(from->health, rest);
}

/* --- endpoints --- */

static size_t options_bytes(const struct endpoint_options *options)
{
    if (options == NULL)
        return 0;
    return part_rounded(sizeof(*options)) + texts_bytes(options, option_texts);
}

static const struct endpoint_options *lay_options(const struct endpoint_options *from, char **rest)
{
    struct endpoint_options *to;

    if (from == NULL)
        return NULL;
    to = part_room(rest, sizeof(*to));
    *to = *from;
    to->resolved = NULL; /* states_attach finds it */
    lay_texts(to, option_texts, rest);
    return to;
}

size_t endpoints_bytes(const struct endpoint *endpoints, uint32_t count)
{
    size_t bytes = part_rounded(count * sizeof(struct endpoint)) +
                   part_rounded(schedule_count(endpoints, count) * sizeof(uint16_t));

    for (uint32_t i = 0; i < count; i++)
        bytes += options_bytes(endpoints[i].options);
    return bytes;
}

void lay_endpoints(struct service *service, const struct endpoint *endpoints, uint32_t count,
                   char **rest)
{
    uint32_t schedule = schedule_count(endpoints, count);
    struct endpoint *copy = part_room(rest, count * sizeof(*copy));
    uint16_t *places = part_room(rest, schedule * sizeof(*places));

    if (count > 0)
        memcpy(copy, endpoints, count * sizeof(*copy));
    for (uint32_t i = 0; i < count; i++) {
        copy[i].options = lay_options(endpoints[i].options, rest);
        copy[i].state = NULL; /* states_attach finds it */
    }
    service->endpoint_count = count;
    service->schedule_count = schedule;
    service->endpoints = copy;
    service->schedule = places;
    service_arrange(service, STR(""));
}

/* --- what balancing needs beside them --- */

static bool needs_prints(const struct service_policy *policy)
{
    return policy->balance == BALANCE_HASH || policy->sticky.len > 0;
}

size_t prints_bytes(const struct service_policy *policy, uint32_t count)
{
    return needs_prints(policy) ? part_rounded(count * sizeof(struct endpoint_print)) : 0;
}

void lay_prints(struct service *service, char **rest)
{
    char text[ENDPOINT_TEXT_SIZE];
    struct endpoint_print *prints;

    if (!needs_prints(&service->policy))
        return;
    prints = part_room(rest, service->endpoint_count * sizeof(*prints));
    for (uint32_t i = 0; i < service->endpoint_count; i++)
        prints[i].name = checksum(str_from(endpoint_text(&service->endpoints[i], text)));
    service->prints = prints;
    schedule_prints(service);
}

/* --- limits --- */

static size_t ranges_bytes(const struct limit_ranges *ranges)
{
    return part_rounded(ranges->count * sizeof(*ranges->items));
}

size_t limits_bytes(const struct record_fields *fields)
{
    const struct limits *l = &fields->limits;

    if (!fields->limits_said)
        return 0;
    return part_rounded(sizeof(*l)) + ranges_bytes(&l->allow) + ranges_bytes(&l->deny);
}

static void lay_ranges(struct limit_ranges *ranges, char **rest)
{
    size_t bytes = ranges->count * sizeof(*ranges->items);
    struct cidr *items = part_room(rest, bytes);

    if (bytes > 0)
        memcpy(items, ranges->items, bytes);
    ranges->items = items;
}

const struct limits *lay_limits(const struct record_fields *fields, char **rest)
{
    struct limits *to;

    if (!fields->limits_said)
        return NULL;
    to = part_room(rest, sizeof(*to));
    *to = fields->limits;
    lay_ranges(&to->allow, rest);
    lay_ranges(&to->deny, rest);
    return to;
}

/* --- actions --- */

size_t action_bytes(const struct rule_action *action, const struct record_names *names)
{
    size_t bytes = text_bytes(action->text);

    if (action->kind == ACTION_SERVICE)
        bytes += text_bytes(names->items[action->service].name);
    if (action->kind == ACTION_ENDPOINTS)
        bytes += part_rounded(sizeof(struct service)) +
                 endpoints_bytes(action->endpoints, action->endpoint_count);
    bytes += part_rounded(action->part_count * sizeof(struct split_part));
    for (uint32_t i = 0; i < action->part_count; i++)
        bytes += text_bytes(names->items[action->parts[i].service].name);
    return bytes;
}

static void lay_split(struct action *to, const struct rule_action *from,
                      const struct record_names *names, const uint32_t *slots, char **rest)
{
    struct split_part *parts = part_room(rest, from->part_count * sizeof(*parts));

    for (uint32_t i = 0; i < from->part_count; i++) {
        parts[i].service = lay_text(names->items[from->parts[i].service].name, rest);
        parts[i].service_slot = slots[from->parts[i].service];
        parts[i].weight = from->parts[i].weight;
        to->part_weights += from->parts[i].weight;
    }
    to->parts = parts;
    to->part_count = from->part_count;
}

static const struct service *lay_own(const struct rule_action *from, char **rest)
{
    struct service *own = part_room(rest, sizeof(*own));

    own->object.kind = OBJECT_SERVICE;
    lay_endpoints(own, from->endpoints, from->endpoint_count, rest);
    return own;
}

void lay_action(struct action *to, const struct rule_action *from, const struct record_names *names,
                const uint32_t *slots, char **rest)
{
    to->kind = from->kind;
    to->code = from->code;
    to->text = lay_text(from->text, rest);
    if (from->kind == ACTION_SERVICE) {
        to->service_slot = slots[from->service];
        to->service = lay_text(names->items[from->service].name, rest);
    } else if (from->kind == ACTION_ENDPOINTS) {
        to->own = lay_own(from, rest);
    } else if (from->kind == ACTION_SPLIT) {
        lay_split(to, from, names, slots, rest);
    }
}
