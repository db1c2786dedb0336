/* compile_parts.h -- pieces that several compiled objects have: texts, actions, endpoints.
 *
 * Each is laid down at *rest, which moves behind it; its function ..._bytes says how far. */
#ifndef ROUTING_COMPILE_PARTS_H
#define ROUTING_COMPILE_PARTS_H

#include "base/check.h"
#include "routing/record.h"

static inline size_t part_rounded(size_t bytes)
{
    return (bytes + 15) & ~(size_t)15;
}

/* Room for `bytes`, aligned for anything. */
static inline void *part_room(char **rest, size_t bytes)
{
    void *room = *rest;

    *rest += part_rounded(bytes);
    return room;
}

static inline size_t text_bytes(struct str text)
{
    return part_rounded(text.len);
}

static inline struct str lay_text(struct str text, char **rest)
{
    char *copy = part_room(rest, text.len);

    if (text.len > 0)
        memcpy(copy, text.ptr, text.len);
    return (struct str){ text.ptr != NULL ? copy : NULL, text.len };
}

static inline void copy_name(char *to, size_t room, struct str name)
{
    CHECK(str_copy(name, to, room));
}

/* The object's from now on, settled and counted in its bytes. NULL is fine. */
static inline const struct chain *take_chain(struct object *object, struct chain **chain,
                                             const uint32_t *slots)
{
    struct chain *taken = *chain;

    *chain = NULL;
    if (taken != NULL) {
        chain_settle(taken, slots);
        object->bytes += taken->bytes;
    }
    return taken;
}

size_t policy_bytes(const struct service_policy *policy);
void lay_policy(struct service_policy *to, const struct service_policy *from, char **rest);

/* What lies behind a service: its endpoints and its rota. */
size_t endpoints_bytes(const struct endpoint *endpoints, uint32_t count);
void lay_endpoints(struct service *service, const struct endpoint *endpoints, uint32_t count,
                   char **rest);

/* The prints of a service's endpoints, where its policy needs them; once both are laid out. */
size_t prints_bytes(const struct service_policy *policy, uint32_t count);
void lay_prints(struct service *service, char **rest);

/* NULL: none are said. */
size_t limits_bytes(const struct record_fields *fields);
const struct limits *lay_limits(const struct record_fields *fields, char **rest);

size_t action_bytes(const struct rule_action *action, const struct record_names *names);
void lay_action(struct action *to, const struct rule_action *from, const struct record_names *names,
                const uint32_t *slots, char **rest);

#endif
