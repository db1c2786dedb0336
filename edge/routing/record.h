/* record.h -- one Redis value, as read, turned into fields; or into the sentence that says what is
 * wrong with it. Every field is a row of a table in schema/. */
#ifndef ROUTING_RECORD_H
#define ROUTING_RECORD_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"
#include "module_host/chain.h"
#include "routing/limits.h"
#include "routing/rule.h"
#include "routing/service.h"
#include "routing/site.h"

#define RECORD_STRING_MAX (8u * 1024) /* bytes of a string, and of one field's value */
#define RECORD_ENDPOINTS_MAX 1024u    /* endpoints of one service, or of one `to` */

enum family {
#define FAMILY(name, key, types, fields, bytes, meaning) FAMILY_##name,
#include "schema/families.def"
#undef FAMILY
    FAMILIES
};

/* The most that a hash of this family may have: what has more is not fetched. */
struct record_limits {
    uint32_t fields;
    uint32_t bytes; /* as Redis counts its memory */
};

enum value_kind {
    VALUE_ABSENT,
    VALUE_STRING,
    VALUE_HASH,
    VALUE_OTHER,     /* a type that no record has: `type` names it */
    VALUE_TOO_LARGE, /* not fetched */
};

struct value_field {
    struct str name, value;
};

/* Borrows from what it was read from. */
struct value {
    enum value_kind kind;
    char type[16];
    struct str string;
    const struct value_field *fields;
    size_t count;
};

struct record_error {
    char field[64];     /* "" for the whole record: the value, or the key itself */
    char value[96];     /* quoted and shortened */
    char expected[480]; /* "a port from 1 to 65535" */
};

struct endpoint_list {
    struct endpoint *items;
    uint32_t count, room;
};

/* Something else that a record names. */
struct record_name {
    enum family family;
    const char *field; /* that names it (the first that does): "to", or a rule's name */
    struct str name;
};

/* Each thing named once, in the order met. */
struct record_names {
    struct record_name *items;
    uint32_t count, room;
    uint32_t *places; /* where which is, by hash: index + 1, or 0; room for 2 * room */
};

/* What the record says, of whichever family: the fields it cannot have stay unset. Everything it
 * points to lies in its arena. */
struct record_fields {
    struct arena arena;
    struct record_names names;
    bool has_tenant;
    uint32_t tenant; /* index into names */
    struct rule_action to;
    enum tenant_status status;
    enum tenant_https https;
    enum tenant_path path;
    uint32_t retry_after_s, timeout_ms, share;
    uint32_t stream_timeout_ms, tunnel_timeout_ms;
    uint8_t retries; /* plus one; 0: not said */
    struct str page;
    struct limits limits;
    bool limits_said;               /* at least one of them */
    struct service_policy policy;   /* of usher:service: */
    struct endpoint_list endpoints; /* of usher:endpoints: */
    struct rule *rules;             /* of usher:routes:, in the order of the hash */
    uint32_t rule_count, rule_room;
    uint32_t regex_count;    /* in all of them */
    struct str modules_said; /* as written; ptr NULL: not said */
    struct chain *modules;   /* of it; whoever compiles the fields takes it (as those of rules) */
};

/* False: *error says why. `value` is present (not VALUE_ABSENT). Free the fields in both cases.
 * `modules` NULL: what is said of modules is not looked at, for those who want to know the rest. */
bool record_decode(const struct module_host *modules, enum family family, struct str name,
                   const struct value *value, struct record_fields *fields,
                   struct record_error *error);
void record_fields_free(struct record_fields *fields);

/* Is `name` one that a key of this family may have? *expected says which are. */
bool record_name_is_right(enum family family, struct str name, const char **expected);

/* One row of a table in schema/. */
struct field_row {
    const char *name, *type, *standard; /* what holds when it is not said */
    const char *range, *meaning;
};

/* The fields that a hash of this family may have (of endpoints: their options; of routes: none). */
const struct field_row *record_fields_of(enum family family, size_t *count);

/* The words of a rule, likewise; their type is condition, action or modifier. */
const struct field_row *rule_words_known(size_t *count);

void record_error_set(struct record_error *error, const char *field, struct str value,
                      const char *expected, ...) __attribute__((format(printf, 4, 5)));
/* `field to: got "10.0.0.5:99999", expected a port from 1 to 65535` */
void record_error_say(const struct record_error *error, struct buf *sentence);

const char *family_word(enum family family); /* "host" */
bool family_is_single(enum family family);   /* one key and no name: usher:defaults */
struct record_limits family_limits(enum family family);

#endif
