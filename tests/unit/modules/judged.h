/* judged.h -- what `modules` says, compiled as a record of the tenant acme would be. */
#ifndef UNIT_MODULES_JUDGED_H
#define UNIT_MODULES_JUDGED_H

#include <criterion/criterion.h>
#include <stdio.h>

#include "module_host/chain.h"

/* Any service may be named, and none is looked up. */
static inline bool judged_service(void *owner, struct str name, uint32_t *index,
                                  const char **expected)
{
    (void)owner;
    (void)name;
    (void)expected;
    *index = 0;
    return true;
}

/* NULL: `sentence` says where and why. The chain goes before the registry. */
static inline struct chain *judged_by(struct module_registry *registry, const char *tenant,
                                      const char *text, char sentence[400])
{
    struct module_host modules;
    struct chain_scope scope = { .modules = &modules,
                                 .tenant = tenant ? str_from(tenant) : str_slice(NULL, 0),
                                 .whose = STR("a host without a tenant"),
                                 .service = judged_service };
    struct chain_error error;
    size_t at = 0;
    struct chain *chain;

    module_host_init(&modules, registry, STR("usher:"), NULL);
    chain = chain_compile(&scope, str_from(text), &at, &error);
    sentence[0] = '\0';
    if (chain == NULL)
        snprintf(sentence, 400, "at column %u: expected %s", error.column, error.expected);
    return chain;
}

/* Why it is refused; "": it is not. */
static inline const char *judged_for(const char *tenant, const char *text)
{
    static char sentence[400];
    struct module_registry *registry = registry_new();

    chain_free(judged_by(registry, tenant, text, sentence));
    registry_free(registry);
    return sentence;
}

static inline const char *judged(const char *text)
{
    return judged_for("acme", text);
}

#define expect_good(text)                                                                          \
    do {                                                                                           \
        const char *why_ = judged(text);                                                           \
        cr_expect_str_eq(why_, "", "%s: %s", text, why_);                                          \
    } while (0)
#define expect_refused(text, sentence)                                                             \
    do {                                                                                           \
        const char *why_ = judged(text);                                                           \
        cr_expect_not_null(strstr(why_, sentence), "%s: %s", text, why_);                          \
    } while (0)

#endif
