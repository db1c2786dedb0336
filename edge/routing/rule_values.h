/* rule_values.h -- what stands behind the words of a rule: paths, headers, lists, URLs.
 *
 * Each function is false for a text that is not right; *expected, where it was set, says what would
 * be, better than the table does. What it gives lies in the arena. */
#ifndef ROUTING_RULE_VALUES_H
#define ROUTING_RULE_VALUES_H

#include "routing/record.h"

/* /x, /x/(star) or ~RE */
bool rule_path_condition(struct record_fields *fields, struct str text, struct rule *rule,
                         const char **expected);
/* /x in its normal form, without "/" at its end; never "/" alone. */
bool rule_path(struct arena *arena, struct str text, struct str *path, const char **expected);
bool rule_methods_are_right(struct str text);
/* Cuts NAME, NAME=VALUE or (of a header) NAME~RE. */
bool rule_named(struct record_fields *fields, struct str text, struct condition *c,
                const char **expected);
bool rule_ranges(struct arena *arena, struct str text, struct condition *c, const char **expected);
bool rule_header_name_is_right(struct str name, const char **expected);
/* A header that a rule may set or take away: none that frames the message, or is the edge's own. */
bool rule_header_is_free(struct str name, const char **expected);
bool rule_header_value_is_right(struct str value); /* no control octets */
bool rule_host_is_right(struct str host);
bool rule_url_is_right(struct str url, const char **expected);
bool rule_number(struct str text, int32_t least, int32_t most, int32_t *number);

#endif
