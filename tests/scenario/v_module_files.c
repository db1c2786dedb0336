/* v_module_files.c -- modules from files: which are loaded, which are refused and by what sentence; and
 * what the verbs say of modules.
 *
 * Owns:    nothing.
 * Thread:  the test's.
 * Used by: make test.
 * Not here: what hooks do. */
#include "harness/module_build.h"
#include "harness/verb.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define FROZEN "tests/modules/frozen_1_0/frozen.c", "tests/modules/frozen_1_0"
#define WRONG "tests/modules/wrong.c", "modules"

#define expect_code(said, wanted)                                                                  \
    cr_assert_eq((said).code, wanted, "exit %d, expected %d: %s%s", (said).code, wanted,           \
                 (said).out, (said).err)
#define expect_says(text, words)                                                                   \
    cr_assert(has(text, words), "expected %s; it said: %s", words, text)

static const char *build_frozen(struct scene *s)
{
    return module_build(s, "frozen", FROZEN, "");
}

SCENARIO(module_files, one_built_at_1_0_with_its_own_header_is_loaded)
{
    static struct scene s;
    struct verb_said said;
    const char *path;

    scene_start(&s, .without_edge = true, .without_redis = true);
    path = build_frozen(&s);
    said = verb_run(&s, "modules", "--module", path, NULL);
    expect_code(said, 0);
    expect_says(said.out, "frozen 1.0 -- refuses requests without a header");
    expect_says(said.out, kept_format("ABI        1.0, %s", path));
    expect_says(said.out, "hooks      compile on_request on_upstream on_response on_done");
    expect_says(said.out, "; required");
    expect_says(said.out, "a time such as 500ms, 5s or 2m; 2s when not said");
    expect_says(said.out, "metric     usher_module_frozen_refused_total (counter): requests");
    expect_says(said.out, "request_id 1.0 --");
    said = verb_run(&s, "modules", "--json", "--module", path, "frozen", NULL);
    expect_code(said, 0);
    expect_says(said.out, "{\"name\":\"frozen\",\"version\":\"1.0\",");
    expect_says(said.out, "{\"name\":\"mode\",\"type\":\"word\",\"default\":\"strict\",\"range\":"
                          "\"strict or lax\",\"meaning\":\"lax: only counted\",\"required\":false,"
                          "\"many\":false}");
    cr_assert_not(has(said.out, "request_id"), "%s", said.out);
    expect_code(verb_run(&s, "modules", "frozen", NULL), 1);
    scene_end(&s);
}

SCENARIO(module_files, each_of_a_folder_is_loaded)
{
    static struct scene s;
    struct verb_said said;
    const char *folder;

    scene_start(&s, .without_edge = true, .without_redis = true);
    folder = kept_format("%s/folder", s.dir);
    cr_assert_eq(mkdir(folder, 0700), 0);
    module_build(&s, "folder/frozen", FROZEN, "");
    module_build(&s, "folder/another", WRONG, "-DNAME='\"another\"'");
    verb_file(&s, "folder/README", "no module\n");
    said = verb_run(&s, "modules", "--module-dir", folder, NULL);
    expect_code(said, 0);
    expect_says(said.out, "frozen 1.0 --");
    expect_says(said.out, "another 1.0 --");
    module_build(&s, "folder/zz", WRONG, "-DMAJOR=2");
    said = verb_run(&s, "modules", "--module-dir", folder, NULL);
    expect_code(said, 2);
    expect_says(said.err, "folder/zz.so: is built against ABI 2.0");
    said = verb_run(&s, "modules", "--module-dir", "/nowhere", NULL);
    expect_code(said, 2);
    expect_says(said.err, "/nowhere: No such file or directory");
    scene_end(&s);
}

/* Somebody else's machine: the same file, as its head says. */
static const char *for_another_machine(struct scene *s, const char *path)
{
    const char *other = kept_format("%s/elsewhere.so", s->dir);
    FILE *from = fopen(path, "rb"), *to = fopen(other, "wb");
    int c;

    for (long at = 0; (c = fgetc(from)) != EOF; at++)
        fputc(at == 18 ? 243 : at == 19 ? 0 : c, to); /* e_machine: RISC-V */
    fclose(from);
    fclose(to);
    return other;
}

static void expect_refused(struct scene *s, const char *path, const char *words)
{
    struct verb_said said = verb_run(s, "modules", "--module", path, NULL);

    expect_code(said, 2);
    expect_says(said.err, kept_format("usher: %s: ", path));
    expect_says(said.err, words);
    cr_assert_str_eq(said.out, "");
}

SCENARIO(module_files, what_does_not_fit_is_refused_by_a_sentence_that_names_both_sides)
{
    static const struct {
        const char *defines, *words;
    } rows[] = {
        { "-DMAJOR=2", "is built against ABI 2.0, and this edge has ABI 1." },
        { "-DMINOR=999", "is built against ABI 1.999, and this edge has ABI 1." },
        { "-DSIZE=40", "its struct usher_module has 40 bytes, and that of ABI 1." },
        { "-DNAME='\"Wrong\"'", "its name is \"Wrong\", and a module's name is" },
        { "-DNAME='\"request_id\"'",
          "there is one of this name already, version 1.0, which is linked" },
        { "-DWITHOUT_HOOK", "module wrong has no hook, and this edge calls on_request" },
        { "-DWITHOUT_COMPILE", "module wrong has settings and no hook `compile`" },
        { "-DWITHOUT_SYMBOL", "exports no usher_module, which this edge looks for" },
    };
    static struct scene s;
    const char *good;

    scene_start(&s, .without_edge = true, .without_redis = true);
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        expect_refused(&s, module_build(&s, kept_format("w%u", i), WRONG, rows[i].defines),
                       rows[i].words);
    good = build_frozen(&s);
    expect_refused(
        &s, for_another_machine(&s, good),
        "is for another architecture, riscv (64 bits, little-endian), and this edge for ");
    expect_refused(&s, verb_file(&s, "text.so", "no library\n"), "is no shared library");
    expect_refused(&s, kept_format("%s/nothing.so", s.dir), "No such file or directory");
    scene_end(&s);
}

SCENARIO(module_files, the_same_file_twice_is_one_too_many)
{
    static struct scene s;
    struct verb_said said;
    const char *path;

    scene_start(&s, .without_edge = true, .without_redis = true);
    path = build_frozen(&s);
    said = verb_run(&s, "modules", "--module", path, "--module", path, NULL);
    expect_code(said, 2);
    expect_says(said.err,
                "module frozen 1.0: there is one of this name already, version 1.0, which "
                "is from ");
    scene_end(&s);
}

SCENARIO(module_files, an_edge_does_not_start_with_one_that_it_cannot_run)
{
    static struct scene s;
    const char *path;
    char *out, *err;

    scene_start(&s, .without_edge = true, .without_redis = true);
    path = module_build(&s, "wrong", WRONG, "-DWITHOUT_HOOK");
    cr_assert_eq(
        process_run((const char *const[]){ edge_program(), "serve", "--listen", "127.0.0.1:0",
                                           "--admin", "off", "--module", path, NULL },
                    NULL, &out, &err),
        1);
    expect_says(err, "cannot_start module=");
    expect_says(err, "module wrong has no hook");
    scene_end(&s);
}

SCENARIO(module_files, one_built_at_1_0_does_what_it_did)
{
    static struct scene s;
    struct origin *o = origin_start("one");
    struct response r;

    scene_start(&s, .without_edge = true);
    s.options.flags[0] = "--module";
    s.options.flags[1] = build_frozen(&s);
    scene_redis(&s,
                "HSET usher:tenant:acme to %s modules 'frozen(header=X-Key add X-Added=\"a b\")'",
                origin_at(o));
    scene_redis(&s, "SET usher:host:a.test tenant:acme");
    scene_edge_start(&s);
    cr_assert(process_awaits_log(&s.edge.process, "module_loaded module=frozen version=\"1.0\"",
                                 AWAIT_MS));
    await_get(&s, "a.test", "/", 403, "the header is missing\n");
    r = scene_exchange(&s, "GET / HTTP/1.1\r\nHost: a.test\r\nX-Key: 1\r\n\r\n");
    expect_status(r, 200);
    cr_expect_str_eq(response_field(&r, "X-Frozen"), "1.0");
    cr_expect(has(origin_last(o)->head, "X-Added: a b\r\n"), "%s", origin_last(o)->head);
    cr_expect_geq(scene_metric(&s, "usher_module_frozen_refused_total"), 1);
    expect_metric(&s, "usher_module_frozen_open", 0);
    scene_end(&s);
}
