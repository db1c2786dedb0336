/* fault.c -- the faults, as rows.
 *
 * Owns:    the constant table.
 * Thread:  any.
 * Used by: exchange (answers), counters, metrics, logs.
 * Not here: deciding which fault it is. */
#include "base/fault.h"

#include "base/check.h"

static const struct fault_row rows[FAULT_COUNT] = {
    [FAULT_NONE] = { "none", 0, BLAME_EDGE, LOG_DEBUG, "" },
#define FAULT(name, status, blame, level, sentence)                                                \
    [FAULT_##name] = { #name, status, BLAME_##blame, LOG_##level, sentence },
#include "base/fault.def"
#undef FAULT
};

const struct fault_row *fault_row(enum fault fault)
{
    CHECK(fault < FAULT_COUNT);
    return &rows[fault];
}

const char *fault_blame_name(enum fault_blame blame)
{
    static const char *const names[] = {
        [BLAME_CLIENT] = "client",     [BLAME_SITE] = "site", [BLAME_STORE] = "store",
        [BLAME_ENDPOINT] = "endpoint", [BLAME_EDGE] = "edge",
    };

    return names[blame];
}
