/* module_build.h -- modules made from source while a test runs, as somebody outside of this tree
 * makes them: cc -shared -fPIC and one header. */
#ifndef HARNESS_MODULE_BUILD_H
#define HARNESS_MODULE_BUILD_H

#include "harness/scene.h"

/* A shared library in the scene's folder; its path, kept. `include`: the folder of usher_module.h.
 * `defines`: "-DMAJOR=2 -DNAME=...", or "". */
const char *module_build(struct scene *s, const char *name, const char *source, const char *include,
                         const char *defines);

#endif
