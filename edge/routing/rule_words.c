/* rule_words.c -- words, quotes, columns.
 *
 * Owns:    nothing; what it cuts lies in the caller's arena.
 * Thread:  control (pure: any would do).
 * Used by: rule.c.
 * Not here: what words mean (rule.c). */
#include "routing/rule_words.h"

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool is_control(char c)
{
    return (unsigned char)c < 0x20 || c == 0x7f;
}

static char unescaped(char c)
{
    return c == 'n' ? '\n' : c == 't' ? '\t' : (c == '"' || c == '\\') ? c : '\0';
}

/* What stands between quotes, from behind the first one; false: there is no second one. */
static bool cut_quote(struct str text, size_t *at, char *to, size_t *len)
{
    while (*at < text.len) {
        char c = text.ptr[(*at)++];

        if (c == '"')
            return true;
        if (c == '\\' && *at < text.len && unescaped(text.ptr[*at]) != '\0')
            c = unescaped(text.ptr[(*at)++]);
        to[(*len)++] = c;
    }
    return false;
}

/* `to` has room for all of the text. */
static bool cut_word(struct str text, size_t *at, char *to, struct rule_word *word,
                     const char **expected)
{
    size_t first = *at, len = 0;

    word->column = (uint32_t)first + 1;
    word->quoted = text.ptr[first] == '"';
    while (*at < text.len && !is_space(text.ptr[*at])) {
        char c = text.ptr[(*at)++];

        if (c == '"') {
            if (cut_quote(text, at, to, &len))
                continue;
            *expected = "a quote at its end";
        } else if (!is_control(c)) {
            to[len++] = c;
            continue;
        } else {
            *expected = "no control octets outside quotes";
        }
        word->text = str_slice(text.ptr + first, *at - first);
        return false;
    }
    word->text = str_slice(to, len);
    return true;
}

bool rule_words_cut(struct str text, struct arena *arena, struct rule_words *words,
                    struct rule_word *wrong, const char **expected)
{
    char *to = arena_alloc(arena, text.len + 1);
    size_t at = 0;

    *words = (struct rule_words){ .end_column = (uint32_t)text.len + 1 };
    while (true) {
        struct rule_word word;

        while (at < text.len && is_space(text.ptr[at]))
            at++;
        if (at == text.len)
            return true;
        if (!cut_word(text, &at, to, &word, expected)) {
            *wrong = word;
            return false;
        }
        to += word.text.len;
        words->items = arena_grown(arena, words->items, words->count, &words->room, sizeof(word));
        words->items[words->count++] = word;
    }
}
