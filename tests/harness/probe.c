/* probe.c -- scenes with the module that does what a test says.
 *
 * Owns:    nothing.
 * Thread:  the test's.
 * Used by: scenarios of what modules may do.
 * Not here: the module (tests/modules/probe). */
#include "harness/probe.h"

#include "harness/module_build.h"

#define PROBE "tests/modules/probe/probe.c", "modules"

struct origin *probe_start_with(struct scene *s, const char *modules, const struct scene_options *o)
{
    struct scene_options options = *o;
    struct origin *origin = origin_start("one");
    unsigned n = 0;

    if (options.workers == 0)
        options.workers = 1;
    options.without_edge = true;
    scene_start_with(s, &options);
    while (s->options.flags[n] != NULL)
        n++;
    s->options.flags[n++] = "--module";
    s->options.flags[n++] = module_build(s, "probe", PROBE, "-D_GNU_SOURCE");
    if (has(modules, "second")) {
        s->options.flags[n++] = "--module";
        s->options.flags[n++] =
            module_build(s, "second", PROBE, "-D_GNU_SOURCE -DNAME='\"second\"'");
    }
    scene_redis(s, "HSET usher:tenant:acme to %s modules '%s'", origin_at(origin), modules);
    scene_redis(s, "SET usher:host:a.test tenant:acme");
    scene_edge_start(s);
    scene_live(s);
    return origin;
}

void probe_say(struct scene *s, const char *modules)
{
    char *wrong;

    scene_redis(s, "HSET usher:tenant:acme modules '%s'", modules);
    scene_live(s);
    wrong = scene_redis(s, "HGET usher:errors usher:tenant:acme");
    cr_assert_null(wrong, "%s", wrong);
}

const char *probe_trail(const struct response *r)
{
    char *trail = response_field(r, "X-probe-Trail");

    return trail != NULL ? trail : "";
}

struct response probe_get(struct scene *s, const char *path, const char *fields)
{
    return scene_exchange(s, kept_format("GET %s HTTP/1.1\r\nHost: a.test\r\n%s"
                                         "Connection: close\r\n\r\n",
                                         path, fields));
}

void probe_expect_done(struct scene *s, unsigned count)
{
    expect_metric(s, "usher_module_probe_dones_total", count);
    expect_metric(s, "usher_module_probe_open", 0);
}
