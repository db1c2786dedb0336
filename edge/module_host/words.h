/* words.h -- the text behind `modules`, cut: `NAME NAME(setting=value switch pair X=1)`.
 *
 * Quotes as in rules: `"` opens and closes a quote anywhere in a word; in it \" is a quote, \\ a
 * backslash, \n and \t a line's end and a tab, and any other backslash is itself. Parentheses stand
 * in a value only between quotes. */
#ifndef MODULE_HOST_WORDS_H
#define MODULE_HOST_WORDS_H

#include "base/arena.h"
#include "base/str.h"

struct module_word {
    struct str text; /* without quotes, in the arena */
    struct str raw;  /* as written, in what is cut */
    uint32_t column; /* of its first character, from 1 */
    bool has_equals; /* outside quotes, the first of them at */
    size_t equals;   /* in `text` */
    bool opens;      /* a module's name: `(` follows at once */
};

struct module_words {
    struct str text;
    size_t at;
    struct arena *arena;
    char *room; /* for what is still to be cut; NULL at first */
};

enum module_words_result { MODULE_WORD, MODULE_WORDS_END, MODULE_WORD_WRONG };

/* The next module's name; END: the text's. The `(` that follows is passed over. */
enum module_words_result module_words_name(struct module_words *w, struct module_word *name);
/* The next word between parentheses; END: the one that closes, which is passed over. WRONG: *word is
 * what is wrong, and *expected says what would be right. */
enum module_words_result module_words_setting(struct module_words *w, struct module_word *word,
                                              const char **expected);
/* Behind a module: the text's end, or a space. */
bool module_words_parted(const struct module_words *w);

#endif
