/* field_types.h -- the tables of schema/ and what decodes each of their rows. */
#ifndef ROUTING_FIELD_TYPES_H
#define ROUTING_FIELD_TYPES_H

#include "routing/record.h"

/* False: *expected, where it was set, says it better than the row's range does. */
typedef bool (*field_parse_fn)(struct str text, struct record_fields *fields,
                               const char **expected);

/* The row that has this name; NULL: none. *parse decodes its value. */
const struct field_row *field_find(enum family family, struct str name, field_parse_fn *parse);

/* `service:NAME`, or endpoints. */
bool field_parse_target(struct str text, struct record_fields *fields, struct rule_action *to,
                        const char **expected);
bool field_add_endpoint(struct arena *arena, struct endpoint_list *list, struct str text,
                        uint32_t weight, const char **expected);
/* Likewise in a list, where the words behind an endpoint may be options of it; then, at its end, whether
 * each has what it needs. May the word stand in it at all (or is it a rule's next one)? */
bool field_add_to_list(struct record_fields *fields, struct endpoint_list *list, struct str word,
                       const char **expected);
bool field_list_fits(const struct endpoint_list *list, const char **expected);
bool field_is_of_list(const struct endpoint_list *list, struct str word);
/* "weight=5", or "backup": of the endpoint that was added last. */
bool field_parse_option(struct str word, struct record_fields *fields, const char **expected);
/* "500ms", "5s", "2m", "1h"; 0: it is none of these, or not within 1ms to 24h. */
uint32_t field_parse_ms(struct str text);
/* Likewise, but within these bounds. */
bool field_time(struct str text, uint32_t least_ms, uint32_t most_ms, uint32_t *ms);
bool field_number(struct str text, uint32_t least, uint32_t most, uint32_t *to);
/* For what is 0 while it is not said: the number, up to `most`, and one; 0: it is none. */
uint32_t field_number_and_one(struct str text, uint32_t most);
/* Which of the words: 1 for the first; 0: none of them. */
unsigned field_word(struct str text, unsigned count, const char *const *words);
/* Of the endpoint that was added last: its options, made when these are the first. */
struct endpoint_options *field_options(struct record_fields *fields);
/* What stands behind `modules`, from *at on; `field` is said to name its services. NULL: *wrong. */
struct chain *modules_decode(struct chain_scope *scope, bool may_name_services, const char *field,
                             struct str text, size_t *at, struct record_fields *fields,
                             struct chain_error *wrong);
/* Index in fields->names, where it is added when it is not there. */
uint32_t field_name(struct record_fields *fields, enum family family, const char *field,
                    struct str name);

#endif
