/* compile_parts.c -- lays out actions, and the endpoints of services.
 *
 * Owns:    nothing; it fills its callers' allocations.
 * Thread:  control (pure: any would do).
 * Used by: compile.c, compile_routes.c.
 * Not here: the order of endpoints (schedule.c). */
#include "routing/compile_parts.h"

#include "routing/schedule.h"

size_t endpoints_bytes(const struct endpoint *endpoints, uint32_t count)
{
    return part_rounded(count * sizeof(struct endpoint)) +
           part_rounded(schedule_count(endpoints, count) * sizeof(uint16_t));
}

void lay_endpoints(struct service *service, enum balance balance, const struct endpoint *endpoints,
                   uint32_t count, char **rest)
{
    uint32_t schedule = schedule_count(endpoints, count);
    struct endpoint *copy = part_room(rest, count * sizeof(*copy));
    uint16_t *places = part_room(rest, schedule * sizeof(*places));

    if (count > 0)
        memcpy(copy, endpoints, count * sizeof(*copy));
    schedule_fill(copy, count, places, schedule);
    service->balance = balance;
    service->endpoint_count = count;
    service->schedule_count = schedule;
    service->endpoints = copy;
    service->schedule = places;
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
    lay_endpoints(own, BALANCE_ROUND_ROBIN, from->endpoints, from->endpoint_count, rest);
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
