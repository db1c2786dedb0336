/* verb.h -- verbs of the program, run to their end against a scene's Redis. */
#ifndef HARNESS_VERB_H
#define HARNESS_VERB_H

#include "harness/scene.h"

struct verb_said {
    int code;
    char *out, *err; /* kept */
};

/* `usher WORD...` with USHER_REDIS set to the scene's Redis; the words end with NULL. */
struct verb_said verb_run(struct scene *s, ...) __attribute__((sentinel));
/* The same with the words of one line: parted by spaces, 'a word' may hold some. */
struct verb_said verb_say(struct scene *s, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* A file in the scene's folder that holds this text; its path, kept. */
const char *verb_file(struct scene *s, const char *name, const char *text);

#endif
