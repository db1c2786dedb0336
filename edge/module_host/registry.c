/* registry.c -- which modules there are.
 *
 * Owns:    the rows, copies of the modules' tables, and the libraries that they came from.
 * Thread:  control, at start; then any reads.
 * Used by: control/, cli/, chain.c.
 * Not here: opening files (loader.c); what is wrong with what they export (exported.c). */
#include "module_host/registry.h"

#include <dlfcn.h>
#include <stdlib.h>

#include "base/check.h"
#include "module_host/exported.h"

struct module_registry {
    struct module_row rows[MODULES_MAX];
    unsigned count;
};

#define LINKED_IN(name) extern const struct usher_module usher_module_##name;
#include "modules/linked_in.def"
#undef LINKED_IN

static const struct usher_module *const linked_in[] = {
#define LINKED_IN(name) &usher_module_##name,
#include "modules/linked_in.def"
#undef LINKED_IN
    NULL
};

struct module_registry *registry_new(void)
{
    struct module_registry *r = check_alloc(sizeof(*r));
    struct buf why = { 0 };

    for (unsigned i = 0; linked_in[i] != NULL; i++)
        CHECK(registry_add(r, linked_in[i], "linked in", NULL, &why));
    buf_free(&why);
    return r;
}

static char *copy_text(const char *text)
{
    size_t size = strlen(text) + 1;

    return memcpy(check_alloc(size), text, size);
}

/* Rows of whatever size as rows of ours, what they lack being zero. */
static void *copy_rows(const void *rows, unsigned count, size_t row_bytes, size_t our_bytes)
{
    size_t bytes = row_bytes < our_bytes ? row_bytes : our_bytes;
    char *copy = check_alloc(count * our_bytes + 1);

    for (unsigned i = 0; i < count; i++)
        memcpy(copy + i * our_bytes, (const char *)rows + i * row_bytes, bytes);
    return copy;
}

static void take(struct module_row *row, const struct usher_module *m)
{
    memcpy(&row->module, m, m->size < sizeof(row->module) ? m->size : sizeof(row->module));
    row->module.settings =
        copy_rows(m->settings, m->setting_count, m->setting_size, sizeof(struct usher_setting));
    row->module.metrics =
        copy_rows(m->metrics, m->metric_count, m->metric_size, sizeof(struct usher_metric));
    row->module.setting_size = sizeof(struct usher_setting);
    row->module.metric_size = sizeof(struct usher_metric);
}

bool registry_add(struct module_registry *r, const struct usher_module *exported, const char *from,
                  void *library, struct buf *why)
{
    const struct module_row *same;
    struct module_row *row = &r->rows[r->count];

    if (!exported_is_right(exported, from, why))
        return false;
    same = registry_find(r, str_from(exported->name));
    if (same != NULL) {
        buf_printf(why,
                   "%s: module %s %s: there is one of this name already, version %s, which is %s%s",
                   from, exported->name, exported->version, same->module.version,
                   same->library != NULL ? "from " : "", same->from);
        return false;
    }
    if (r->count == MODULES_MAX) {
        buf_printf(why, "%s: module %s would be one more than the %d that an edge can have", from,
                   exported->name, MODULES_MAX);
        return false;
    }
    *row = (struct module_row){ .from = copy_text(from), .index = r->count, .library = library };
    take(row, exported);
    r->count++;
    return true;
}

void registry_free(struct module_registry *r)
{
    if (r == NULL)
        return;
    while (r->count > 0) {
        struct module_row *row = &r->rows[--r->count];

        free((void *)(uintptr_t)row->module.settings);
        free((void *)(uintptr_t)row->module.metrics);
        free((void *)(uintptr_t)row->from);
        if (row->library != NULL)
            dlclose(row->library);
    }
    free(r);
}

size_t registry_count(const struct module_registry *r)
{
    return r->count;
}

const struct module_row *registry_at(const struct module_registry *r, size_t index)
{
    CHECK(index < r->count);
    return &r->rows[index];
}

const struct module_row *registry_find(const struct module_registry *r, struct str name)
{
    for (unsigned i = 0; i < r->count; i++)
        if (str_equals(name, str_from(r->rows[i].module.name)))
            return &r->rows[i];
    return NULL;
}
