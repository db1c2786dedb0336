/* command_file.c -- the words of each line, and words written so that they can be read again.
 *
 * Owns:    the words it has read.
 * Thread:  control (pure: any would do)
 * Used by: check.c, and the verbs that print the command which does the same.
 * Not here: what the commands do (keyspace.c). */
#include "cli/command_file.h"

#include <stdlib.h>

#include "base/check.h"

void command_file_open(struct command_file *f, struct str text)
{
    *f = (struct command_file){ .rest = text };
    if (f->rest.ptr == NULL)
        f->rest.ptr = "";
    if (str_starts_with(f->rest, STR("\xef\xbb\xbf"))) { /* a byte order mark */
        f->rest.ptr += 3;
        f->rest.len -= 3;
    }
}

void command_file_free(struct command_file *f)
{
    free(f->words);
    buf_free(&f->text);
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = str_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void put(struct command_file *f, char c)
{
    buf_add(&f->text, &c, 1);
}

static char unescaped(char c)
{
    switch (c) {
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    case 'b':
        return '\b';
    case 'a':
        return '\a';
    default:
        return c;
    }
}

/* `at` points behind a backslash within double quotes; returns how many bytes it stood for. */
static size_t put_escape(struct command_file *f, struct str line, size_t at)
{
    if (line.ptr[at] == 'x' && at + 2 < line.len && hex_value(line.ptr[at + 1]) >= 0 &&
        hex_value(line.ptr[at + 2]) >= 0) {
        put(f, (char)(hex_value(line.ptr[at + 1]) * 16 + hex_value(line.ptr[at + 2])));
        return 3;
    }
    put(f, unescaped(line.ptr[at]));
    return 1;
}

/* From behind the opening quote; *at ends behind the closing one. */
static bool read_quoted(struct command_file *f, struct str line, size_t *at, char quote)
{
    while (*at < line.len) {
        char c = line.ptr[(*at)++];

        if (c == quote) {
            f->wrong = "a space must stand behind the closing quote";
            return *at == line.len || is_space(line.ptr[*at]);
        }
        if (c == '\\' && *at < line.len && quote == '"') {
            *at += put_escape(f, line, *at);
        } else if (c == '\\' && *at < line.len && line.ptr[*at] == '\'') {
            put(f, '\'');
            (*at)++;
        } else {
            put(f, c);
        }
    }
    f->wrong = "a quote is opened and not closed";
    return false;
}

static bool read_word(struct command_file *f, struct str line, size_t *at)
{
    while (*at < line.len && !is_space(line.ptr[*at])) {
        char c = line.ptr[(*at)++];

        if (c == '"' || c == '\'')
            return read_quoted(f, line, at, c);
        put(f, c);
    }
    return true;
}

/* While the text grows it may move: words are lengths until the line is whole. */
static bool read_line(struct command_file *f, struct str line)
{
    size_t at = 0, start;

    f->count = 0;
    buf_clear(&f->text);
    for (;;) {
        while (at < line.len && is_space(line.ptr[at]))
            at++;
        if (at == line.len)
            break;
        start = f->text.len;
        if (!read_word(f, line, &at))
            return false;
        if (f->count == f->room) {
            f->room = f->room ? f->room * 2 : 16;
            f->words = check_realloc(f->words, f->room * sizeof(*f->words));
        }
        f->words[f->count++] = str_slice(NULL, f->text.len - start);
    }
    start = 0;
    for (unsigned i = 0; i < f->count; i++) {
        f->words[i].ptr = f->text.ptr != NULL ? f->text.ptr + start : "";
        start += f->words[i].len;
    }
    return true;
}

enum command_result command_file_next(struct command_file *f)
{
    struct str line;

    while (str_split(&f->rest, '\n', &line)) {
        f->line++;
        while (line.len > 0 && is_space(line.ptr[0])) {
            line.ptr++;
            line.len--;
        }
        if (line.len == 0 || line.ptr[0] == '#')
            continue;
        if (!read_line(f, line))
            return COMMAND_WRONG;
        return COMMAND_READ;
    }
    return COMMAND_END;
}

static bool is_bare(struct str word)
{
    for (size_t i = 0; i < word.len; i++) {
        char c = word.ptr[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              memchr("._-:/@%+,=[]", c, 12) != NULL))
            return false;
    }
    return word.len > 0;
}

void command_quote(struct buf *to, struct str word)
{
    if (is_bare(word)) {
        buf_add_str(to, word);
        return;
    }
    buf_add_text(to, "\"");
    for (size_t i = 0; i < word.len; i++) {
        unsigned char c = (unsigned char)word.ptr[i];

        if (c == '"' || c == '\\')
            buf_printf(to, "\\%c", c);
        else if (c < 0x20 || c >= 0x7f)
            buf_printf(to, "\\x%02x", c);
        else
            buf_add(to, &word.ptr[i], 1);
    }
    buf_add_text(to, "\"");
}
