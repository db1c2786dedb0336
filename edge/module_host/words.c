/* words.c -- names, parentheses, quotes, columns.
 *
 * Owns:    nothing; what it cuts lies in the caller's arena.
 * Thread:  control (pure: any would do).
 * Used by: chain.c.
 * Not here: what the words mean (chain.c). */
#include "module_host/words.h"

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void skip_spaces(struct module_words *w)
{
    while (w->at < w->text.len && is_space(w->text.ptr[w->at]))
        w->at++;
}

static struct module_word word_from(const struct module_words *w, size_t first)
{
    struct str raw = str_slice(w->text.ptr + first, w->at - first);

    return (struct module_word){ .text = raw, .raw = raw, .column = (uint32_t)first + 1 };
}

enum module_words_result module_words_name(struct module_words *w, struct module_word *name)
{
    size_t first;

    skip_spaces(w);
    first = w->at;
    if (first == w->text.len)
        return MODULE_WORDS_END;
    while (w->at < w->text.len && !is_space(w->text.ptr[w->at]) && w->text.ptr[w->at] != '(')
        w->at++;
    *name = word_from(w, first);
    name->opens = w->at < w->text.len && w->text.ptr[w->at] == '(';
    w->at += name->opens;
    return MODULE_WORD;
}

bool module_words_parted(const struct module_words *w)
{
    return w->at == w->text.len || is_space(w->text.ptr[w->at]);
}

static char unescaped(char c)
{
    return c == 'n' ? '\n' : c == 't' ? '\t' : (c == '"' || c == '\\') ? c : '\0';
}

/* From behind the first quote to behind the second; false: there is none. */
static bool cut_quote(struct module_words *w, char *to, size_t *len)
{
    while (w->at < w->text.len) {
        char c = w->text.ptr[w->at++];

        if (c == '"')
            return true;
        if (c == '\\' && w->at < w->text.len && unescaped(w->text.ptr[w->at]) != '\0')
            c = unescaped(w->text.ptr[w->at++]);
        to[(*len)++] = c;
    }
    return false;
}

static bool cut_word(struct module_words *w, struct module_word *word, const char **expected)
{
    size_t first = w->at, len = 0;
    char *to;

    if (w->room == NULL)
        w->room = arena_alloc(w->arena, w->text.len - first + 1);
    to = w->room;
    *word = (struct module_word){ 0 };
    *expected = NULL;
    while (w->at < w->text.len && !is_space(w->text.ptr[w->at]) && w->text.ptr[w->at] != ')') {
        char c = w->text.ptr[w->at++];

        if (c == '"') {
            if (!cut_quote(w, to, &len))
                *expected = "a quote at its end";
        } else if (c == '(') {
            *expected = "quotes around a value with ( or )";
        } else if ((unsigned char)c < 0x20 || c == 0x7f) {
            *expected = "no control octets outside quotes";
        } else {
            if (c == '=' && !word->has_equals) {
                word->has_equals = true;
                word->equals = len;
            }
            to[len++] = c;
        }
    }
    word->text = str_slice(to, len);
    w->room += len;
    word->raw = str_slice(w->text.ptr + first, w->at - first);
    word->column = (uint32_t)first + 1;
    return *expected == NULL;
}

enum module_words_result module_words_setting(struct module_words *w, struct module_word *word,
                                              const char **expected)
{
    skip_spaces(w);
    if (w->at == w->text.len) {
        *word = word_from(w, w->at);
        *expected = "a ) at the end of the settings";
        return MODULE_WORD_WRONG;
    }
    if (w->text.ptr[w->at] == ')') {
        w->at++;
        return MODULE_WORDS_END;
    }
    return cut_word(w, word, expected) ? MODULE_WORD : MODULE_WORD_WRONG;
}
