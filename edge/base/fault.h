/* fault.h -- the table of faults (fault.def): log word, counter, status, text and docs come from
 * the same row. */
#ifndef BASE_FAULT_H
#define BASE_FAULT_H

#include "base/log.h"

enum fault {
    FAULT_NONE,
#define FAULT(name, status, blame, level, sentence) FAULT_##name,
#include "base/fault.def"
#undef FAULT
    FAULT_COUNT
};

enum fault_blame { BLAME_CLIENT, BLAME_SITE, BLAME_STORE, BLAME_ENDPOINT, BLAME_EDGE };

struct fault_row {
    const char *name;
    unsigned status; /* 0: nothing is sent */
    enum fault_blame blame;
    enum log_level level;
    const char *sentence;
};

const struct fault_row *fault_row(enum fault fault); /* FAULT_NONE has a row too, named "none" */
const char *fault_blame_name(enum fault_blame blame);

#endif
