/* rules.h -- rules for the tests of routing: compiled from their texts, and requests to meet them. */
#ifndef TESTS_UNIT_ROUTING_RULES_H
#define TESTS_UNIT_ROUTING_RULES_H

#include "routing/compile.h"

struct text_rule {
    const char *name, *text;
};

/* The sentence about rules that are not right; "" when they are. The caller frees it. */
char *rules_judged(const struct text_rule *rules, size_t count);

/* Compiled; the service of slot n is the n-th that is named. End with object_free. */
struct routes *rules_compiled(const struct text_rule *rules, size_t count);

/* A request of this method and path, and what a test adds to it. */
struct asking {
    const char *method, *path, *query, *client;
    const char *headers[8][2]; /* name, value; until name is NULL */
    bool websocket;
};

/* The name of the rule that it meets; "" for none. Stays until the next call. */
const char *rules_met(const struct routes *routes, const struct asking *asking);

/* The same without the index: the first of all rules, in their order, that does not refuse. */
const char *rules_met_first(const struct routes *routes, const struct asking *asking);

/* Why the rule of this name refuses; "" when it does not. Stays until the next call. */
const char *rules_refused(const struct routes *routes, const char *name,
                          const struct asking *asking);

/* The same, of a request in words: GETS(routes, .path = "/a", .method = "PUT"). */
#define GETS(of, ...) rules_met(of, &(const struct asking){ __VA_ARGS__ })

#define RULES(...) ((const struct text_rule[]){ __VA_ARGS__ })
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#endif
