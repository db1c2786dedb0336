/* verb_flags.h -- how verbs read their command line: flags of their own beside --redis and --prefix.
 *
 * A verb describes itself by one struct verb_usage; its --help is made of that. Flags that
 * `usher serve` has too (--redis, --prefix and what else the verb names) are read by the same table
 * as there, with the same USHER_* twins. */
#ifndef CLI_VERB_FLAGS_H
#define CLI_VERB_FLAGS_H

#include <stdbool.h>
#include <stdint.h>

#include "settings.h"

#define VERB_WORDS_MAX 64

/* Words that are no flags; or the values of a flag that may be given again. */
struct verb_words {
    const char *words[VERB_WORDS_MAX];
    unsigned count;
};

enum verb_flag_kind {
    VERB_FLAG_SWITCH, /* nothing follows; `to` is a bool */
    VERB_FLAG_TEXT,   /* `to` is a const char * */
    VERB_FLAG_WORDS,  /* may be given again; `to` is a struct verb_words */
    VERB_FLAG_COUNT,  /* `to` is a uint64_t */
    VERB_FLAG_TIME,   /* `to` is a uint64_t, in ms */
};

struct verb_flag {
    const char *name;  /* "timeout" is --timeout */
    char letter;       /* -X; 0: none */
    const char *value; /* what follows, as the help says it: "TIME"; NULL for a switch */
    enum verb_flag_kind kind;
    void *to; /* keeps what it held (the default) when the flag is not given */
    const char *says;
};

struct verb_usage {
    const char *line;              /* behind "usage: usher ": "wait [FLAGS]" */
    const char *says;              /* a paragraph, lines ended */
    const struct verb_flag *flags; /* the last one's name is NULL; or NULL: none */
    const char
        *settings;      /* more flags of `usher serve` that it takes: "admin state-dir"; or NULL */
    bool without_redis; /* it takes neither --redis nor --prefix */
    unsigned words_least, words_most;
};

/* True: go on, with defaults, environment and flags in `s`. False: return *code; all is said (help
 * was asked for, or one line on standard error tells what is wrong). `words` may be NULL when the
 * verb takes none. */
bool verb_flags_read(const struct verb_usage *u, int argc, char *const *argv, struct settings *s,
                     struct verb_words *words, int *code);

#endif
