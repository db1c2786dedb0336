/* probe.h -- a scene whose tenant has the module that does what a test says (tests/modules/probe). */
#ifndef HARNESS_PROBE_H
#define HARNESS_PROBE_H

#include "harness/scene.h"

/* One origin "one", host a.test of tenant acme, and `modules` of that tenant: modules probe and second,
 * which are the same under two names. More of `o` as scene_start has it; workers 0: one. */
#define probe_start(s, modules, ...)                                                               \
    probe_start_with(s, modules, &(struct scene_options){ __VA_ARGS__ })
struct origin *probe_start_with(struct scene *s, const char *modules,
                                const struct scene_options *o);
/* Other modules, live when this returns. */
void probe_say(struct scene *s, const char *modules);

/* What the module wrote down, of a response whose settings say show; "" : nothing. */
const char *probe_trail(const struct response *r);
/* GET of a.test, with more header lines ("" : none). */
struct response probe_get(struct scene *s, const char *path, const char *fields);
/* Every exchange that modules saw begin has seen its end, once. */
void probe_expect_done(struct scene *s, unsigned count);

#endif
