/* rule_words.h -- a rule's text, cut into words. */
#ifndef ROUTING_RULE_WORDS_H
#define ROUTING_RULE_WORDS_H

#include "base/arena.h"
#include "base/str.h"

/* `"` opens and closes a quote anywhere in a word; in it \" is a quote, \\ a backslash, \n and \t a
 * line's end and a tab, and any other backslash is itself. */
struct rule_word {
    struct str text; /* without quotes; in the arena */
    uint32_t column; /* of its first character, from 1 */
    bool quoted;     /* it began with a quote, so it is no keyword */
};

struct rule_words {
    struct rule_word *items;
    uint32_t count, room;
    uint32_t end_column; /* behind the last character */
};

/* False: `*wrong` is what cannot be a word, and *expected what would be right there. */
bool rule_words_cut(struct str text, struct arena *arena, struct rule_words *words,
                    struct rule_word *wrong, const char **expected);

#endif
