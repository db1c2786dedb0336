/* verb.c -- runs the program's verbs.
 *
 * Owns:    nothing.
 * Thread:  the test's.
 * Used by: scenarios of verbs.
 * Not here: the edge as a process (edge.c). */
#include "harness/verb.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define WORDS_MAX 64

static struct verb_said run(struct scene *s, const char *const argv[])
{
    const char *environment[] = { kept_format("USHER_REDIS=%s", s->options.redis), NULL };
    struct verb_said said;

    said.code = process_run(argv, environment, &said.out, &said.err);
    cr_assert(!has(said.err, "Sanitizer"), "%s", said.err);
    return said;
}

struct verb_said verb_run(struct scene *s, ...)
{
    const char *argv[WORDS_MAX + 2] = { edge_program() }, *word;
    unsigned n = 1;
    va_list more;

    va_start(more, s);
    while ((word = va_arg(more, const char *)) != NULL && n <= WORDS_MAX)
        argv[n++] = word;
    va_end(more);
    return run(s, argv);
}

struct verb_said verb_say(struct scene *s, const char *format, ...)
{
    const char *argv[WORDS_MAX + 2] = { edge_program() };
    char line[4096], *at = line;
    unsigned n = 1;
    va_list args;

    va_start(args, format);
    vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    while (n <= WORDS_MAX) {
        char end = ' ', *start;

        while (*at == ' ')
            at++;
        if (*at == '\0')
            break;
        if (*at == '\'') {
            end = '\'';
            at++;
        }
        start = at;
        while (*at != '\0' && *at != end)
            at++;
        argv[n++] = kept_text(start, (size_t)(at - start));
        at += *at != '\0';
    }
    return run(s, argv);
}

const char *verb_file(struct scene *s, const char *name, const char *text)
{
    const char *path = kept_format("%s/%s", s->dir, name);
    FILE *file = fopen(path, "w");

    cr_assert_not_null(file);
    fputs(text, file);
    fclose(file);
    return path;
}
