/* module_build.c -- the compiler, run by a test.
 *
 * Owns:    nothing.
 * Thread:  the test's.
 * Used by: scenarios of modules.
 * Not here: loading (the program under test does). */
#include "harness/module_build.h"

#include <stdio.h>
#include <stdlib.h>

const char *module_build(struct scene *s, const char *name, const char *source, const char *include,
                         const char *defines)
{
    const char *cc = getenv("CC") != NULL ? getenv("CC") : "cc";
    const char *path = kept_format("%s/%s.so", s->dir, name);
    const char *command =
        kept_format("%s -std=c11 -Wall -Wextra -Wno-unused -Werror -O1 -shared -fPIC -I%s %s -o %s "
                    "%s",
                    cc, include, defines, path, source);
    char *out, *err;
    int code =
        process_run((const char *const[]){ "/bin/sh", "-c", command, NULL }, NULL, &out, &err);

    cr_assert_eq(code, 0, "%s: exit %d: %s%s", command, code, out, err);
    return path;
}
