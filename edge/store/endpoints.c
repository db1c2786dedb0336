/* endpoints.c -- looks at each endpoint of a record.
 *
 * Owns:    nothing.
 * Thread:  control
 * Used by: judge.c; cli/lint.c and control/explain_records.c, which judge as edges do.
 * Not here: where none may be (net/guard.c).  */
#include "store/endpoints.h"

#include "routing/endpoint.h"

enum guard_verdict endpoint_verdict(const struct guard *guard, const struct endpoint *e)
{
    if (e->address.any.sa_family == AF_UNIX)
        return guard_judge_unix(guard, e->options->unix_path);
    if (endpoint_is_named(e)) /* each of its addresses is, when it is connected to */
        return GUARD_ALLOWED;
    return guard_judge(guard, &e->address);
}

/* `field` NULL: each endpoint is a field of its own. */
static bool points_wrong(const struct guard *guard, const struct endpoint *endpoints,
                         uint32_t count, const char *field, struct record_error *error)
{
    char text[ENDPOINT_TEXT_SIZE];

    for (uint32_t i = 0; i < count; i++) {
        enum guard_verdict verdict = endpoint_verdict(guard, &endpoints[i]);

        if (verdict == GUARD_ALLOWED)
            continue;
        endpoint_text(&endpoints[i], text);
        record_error_set(error, field != NULL ? field : text, str_from(text), "%s",
                         guard_expects(verdict));
        return true;
    }
    return false;
}

bool endpoints_point_wrong(const struct guard *guard, const struct record_fields *fields,
                           struct record_error *error)
{
    char rule[NAME_MAX_BYTES + 1];
    bool wrong =
        points_wrong(guard, fields->endpoints.items, fields->endpoints.count, NULL, error) ||
        points_wrong(guard, fields->to.endpoints, fields->to.endpoint_count, "to", error);

    for (uint32_t i = 0; i < fields->rule_count && !wrong; i++) {
        const struct rule_action *action = &fields->rules[i].action;

        str_printable(fields->rules[i].name, rule, sizeof(rule));
        wrong = points_wrong(guard, action->endpoints, action->endpoint_count, rule, error);
    }
    return wrong;
}
