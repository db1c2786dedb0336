/* rule.h -- one rule as written, taken apart: names in place of slots.
 *
 * Everything a rule points to lies in the arena of the record it came from. */
#ifndef ROUTING_RULE_H
#define ROUTING_RULE_H

#include "routing/route.h"

#define RULE_PARTS_MAX 64u     /* conditions and modifiers of a rule */
#define RULE_ENDPOINTS_MAX 64u /* of its `to` */
#define RULE_SERVICES_MAX 64u  /* of its `split` */
#define RULE_SEGMENTS_MAX 64u  /* of a path that is a prefix */
#define RULES_SHARE_PATH 256u  /* rules of a tenant with the same path */
#define RULES_REGEX_MAX 100u   /* regexes in all rules of a tenant */

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

/* As struct route, before there are slots and compiled patterns. */
struct rule {
    struct str name;
    struct rule_action action;
    enum route_path path_kind;
    struct str path;
    struct condition *conditions;
    uint32_t condition_count, condition_room;
    struct str strip, prepend, host;
    struct header_edit *edits;
    uint32_t edit_count, edit_room;
    uint32_t timeout_ms;
    int32_t priority;
    struct chain *modules; /* NULL: not said */
};

struct module_host;
struct record_fields;
struct record_error;

/* Takes one rule apart and adds it to fields->rules. False: *error names the rule, the word and its
 * column. `modules` NULL: what it says of modules is not looked at. */
bool rule_decode(const struct module_host *modules, struct str tenant, struct str name,
                 struct str text, struct record_fields *fields, struct record_error *error);

/* Do the rules together keep to the bounds above? False: *error names one that is too much. */
bool rules_keep_bounds(const struct record_fields *fields, struct record_error *error);

#endif
