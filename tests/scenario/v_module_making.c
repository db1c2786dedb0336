/* v_module_making.c -- a module of one's own, outside of this tree: what `make install` puts in place is
 * all that it needs, and what `make new-module` makes works as it is.
 *
 * Owns:    nothing.
 * Thread:  the test's.
 * Used by: make test.
 * Not here: the tests that come with a new module: they run with all others once it is in modules/. */
#include "harness/module_build.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* A line for the shell, as somebody would type it in the project's folder. */
static char *shell(int wanted, const char *line)
{
    /* The make that runs these tests is not this make's. */
    const char *alone = kept_format("unset MAKEFLAGS MAKELEVEL MFLAGS; %s", line);
    char *out, *err;
    int code = process_run((const char *const[]){ "/bin/sh", "-c", alone, NULL }, NULL, &out, &err);

    cr_assert_eq(code, wanted, "%s: exit %d: %s%s", line, code, out, err);
    return kept_format("%s%s", out, err);
}

/* Greets through an edge that loaded it from `path`. */
static void expect_greeting(struct scene *s, const char *path)
{
    struct origin *o = origin_start("one");

    s->options.flags[0] = "--module";
    s->options.flags[1] = path;
    scene_redis(s, "HSET usher:tenant:acme to %s modules 'greeter(greeting=\"good day\")'",
                origin_at(o));
    scene_redis(s, "SET usher:host:a.test tenant:acme");
    scene_edge_start(s);
    await_get(s, "a.test", "/greeter", 200, "good day");
    expect_get(s, "a.test", "/", 200, "one");
}

SCENARIO(module_making, a_new_one_built_with_what_is_installed_answers_requests)
{
    static struct scene s;
    const char *prefix, *made;

    scene_start(&s, .without_edge = true);
    prefix = kept_format("%s/prefix", s.dir);
    shell(0, kept_format("make -s install-module PREFIX=%s", prefix));
    cr_assert(has(shell(0, kept_format("cat %s/lib/pkgconfig/usher.pc", prefix)),
                  kept_format("prefix=%s\n", prefix)));
    made = shell(0, kept_format("setup/new-module greeter %s", s.dir));
    cr_assert(has(made, "/greeter: make, make unit"), "%s", made);
    shell(0,
          kept_format("cd %s/greeter && PKG_CONFIG_PATH=%s/lib/pkgconfig && "
                      "export PKG_CONFIG_PATH && ${CC:-cc} -std=c11 -Wall -Wextra -Wpedantic "
                      "-Werror -shared -fPIC $(pkg-config --cflags usher) -o greeter.so greeter.c",
                      s.dir, prefix));
    expect_greeting(&s, kept_format("%s/greeter/greeter.so", s.dir));
    scene_end(&s);
}

SCENARIO(module_making, its_readme_has_the_settings_as_the_edge_says_them)
{
    static struct scene s;
    char *out, *err, *readme;
    const char *path;

    scene_start(&s, .without_edge = true, .without_redis = true);
    shell(0, kept_format("setup/new-module greeter %s", s.dir));
    path = module_build(&s, "greeter/greeter", kept_format("%s/greeter/greeter.c", s.dir),
                        "modules", "");
    cr_assert_eq(process_run((const char *const[]){ edge_program(), "modules", "--json", "--module",
                                                    path, "greeter", NULL },
                             NULL, &out, &err),
                 0, "%s", err);
    readme = shell(0, kept_format("cat %s/greeter/README.md", s.dir));
    cr_assert(has(readme,
                  "| `path` | text | /greeter | a text of 1 to 1024 bytes | requests for it "
                  "are answered |"));
    cr_assert(has(out,
                  "\"default\":\"/greeter\",\"range\":\"a text of 1 to 1024 bytes\",\"meaning\":"
                  "\"requests for it are answered\""),
              "%s", out);
    cr_assert(has(readme, "usher_module_greeter_greeted_total") &&
              has(out, "usher_module_greeter_greeted_total"));
    scene_end(&s);
}

/* The tests that come with it: whole once it is in modules/, but what they say must stand. */
SCENARIO(module_making, its_tests_are_right_c)
{
    static struct scene s;

    scene_start(&s, .without_edge = true, .without_redis = true);
    shell(0, kept_format("setup/new-module greeter %s", s.dir));
    for (unsigned i = 0; i < 2; i++)
        shell(0,
              kept_format("${CC:-cc} -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Werror -fsyntax-only "
                          "-Iedge -I. -Itests %s/greeter/%s",
                          s.dir, i == 0 ? "test_unit.c" : "test_scenario.c"));
    scene_end(&s);
}

SCENARIO(module_making, names_that_no_edge_takes_are_refused)
{
    static const char *const names[] = {
        "''", "Hello", "1st", "a-b", "none", "timeout", "abcdefghijklmnopqrstuvwxyz_012345"
    };
    static struct scene s;

    scene_start(&s, .without_edge = true, .without_redis = true);
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        shell(2, kept_format("setup/new-module %s %s", names[i], s.dir));
    shell(0, kept_format("setup/new-module greeter %s", s.dir));
    cr_assert(has(shell(2, kept_format("setup/new-module greeter %s", s.dir)), "is there already"));
    scene_end(&s);
}
