/* lint_rules.h -- the rules of one tenant against each other. */
#ifndef CLI_LINT_RULES_H
#define CLI_LINT_RULES_H

#include "routing/record.h"

/* Says of each rule that no request can meet which other one takes all that it would. */
void lint_rules(const struct record_fields *fields,
                void (*shadowed)(void *owner, const struct rule *rule, const struct rule *by),
                void *owner);

#endif
