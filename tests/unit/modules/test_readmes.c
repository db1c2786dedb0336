/* test_readmes.c -- the README of each module that is linked in tells of its settings, all of them and no other. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "module_host/registry.h"

static char *whole_file(const char *path)
{
    FILE *file = fopen(path, "r");
    struct buf text = { 0 };
    char piece[4096];
    size_t len;

    cr_assert_not_null(file, "%s cannot be read; run the tests from the root", path);
    while ((len = fread(piece, 1, sizeof(piece), file)) > 0)
        buf_add(&text, piece, len);
    fclose(file);
    cr_assert_not_null(text.ptr, "%s is empty", path);
    return text.ptr;
}

static const struct usher_setting *setting_at(const struct usher_module *m, unsigned i)
{
    return (const void *)((const char *)m->settings + (size_t)i * m->setting_size);
}

static bool has_setting(const struct usher_module *m, const char *name, size_t len)
{
    for (unsigned i = 0; i < m->setting_count; i++)
        if (strlen(setting_at(m, i)->name) == len && memcmp(setting_at(m, i)->name, name, len) == 0)
            return true;
    return false;
}

/* Rows begin with "| `name`". */
static void expect_rows(const struct usher_module *m, const char *text, const char *path)
{
    char row[80];

    for (unsigned i = 0; i < m->setting_count; i++) {
        snprintf(row, sizeof(row), "\n| `%s` |", setting_at(m, i)->name);
        cr_expect_not_null(strstr(text, row), "%s does not tell of the setting %s", path,
                           setting_at(m, i)->name);
    }
    for (const char *at = text; (at = strstr(at, "\n| `")) != NULL;) {
        size_t len = strcspn(at += 4, "`");

        cr_expect(has_setting(m, at, len), "%s tells of %.*s, which is no setting", path, (int)len,
                  at);
    }
}

Test(readmes, tell_of_every_setting_of_a_module_and_of_no_other)
{
    struct module_registry *r = registry_new();

    cr_assert_geq(registry_count(r), 13);
    for (size_t i = 0; i < registry_count(r); i++) {
        const struct usher_module *m = &registry_at(r, i)->module;
        char path[100];
        char *text;

        snprintf(path, sizeof(path), "modules/%s/README.md", m->name);
        text = whole_file(path);
        expect_rows(m, text, path);
        free(text);
    }
    registry_free(r);
}

Test(readmes, of_all_modules_names_each)
{
    struct module_registry *r = registry_new();
    char *text = whole_file("modules/README.md");

    for (size_t i = 0; i < registry_count(r); i++) {
        char row[100];

        snprintf(row, sizeof(row), "\n| [`%s`](%s/README.md) |", registry_at(r, i)->module.name,
                 registry_at(r, i)->module.name);
        cr_expect_not_null(strstr(text, row), "modules/README.md does not name %s",
                           registry_at(r, i)->module.name);
    }
    free(text);
    registry_free(r);
}
