/* rule.h -- one rule as written, taken apart: names in place of slots.
 *
 * Everything a rule points to lies in the arena of the record it came from. */
#ifndef ROUTING_RULE_H
#define ROUTING_RULE_H

#include "routing/route.h"

struct rule_part {
    uint32_t service; /* index into the record's names */
    uint32_t weight;
};

/* As struct action, before there are slots. */
struct rule_action {
    enum action_kind kind;
    uint32_t service;                 /* ACTION_SERVICE: index into the record's names */
    const struct endpoint *endpoints; /* ACTION_ENDPOINTS */
    uint32_t endpoint_count;
    const struct rule_part *parts; /* ACTION_SPLIT */
    uint32_t part_count;
    uint16_t code;
    struct str text;
};

struct rule {
    struct str name;
    struct rule_action action;
};

#endif
