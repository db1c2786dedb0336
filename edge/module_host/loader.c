/* loader.c -- modules from files: looked at before they are opened, for opening one runs code of it.
 *
 * Owns:    nothing; a library that was taken in is the registry's.
 * Thread:  control, at start.
 * Used by: control/, cli/verb_modules.c.
 * Not here: what is wrong with what a file exports (exported.c). */
#include <dirent.h>
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "module_host/registry.h"
#include "settings.h"

/* The head of this very program, as the linker has laid it down. */
extern const ElfW(Ehdr) __ehdr_start __attribute__((visibility("hidden")));

static const char *machine_name(unsigned machine, char number[16])
{
    switch (machine) {
    case EM_X86_64:
        return "x86-64";
    case EM_AARCH64:
        return "aarch64";
    case EM_386:
        return "i386";
    case EM_ARM:
        return "arm";
    case EM_RISCV:
        return "riscv";
    case EM_PPC64:
        return "ppc64";
    case EM_S390:
        return "s390";
    default:
        snprintf(number, 16, "machine %u", machine);
        return number;
    }
}

static void say_architecture(const ElfW(Ehdr) * head, struct buf *to)
{
    char number[16];

    buf_printf(to, "%s (%s bits, %s-endian)", machine_name(head->e_machine, number),
               head->e_ident[EI_CLASS] == ELFCLASS64 ? "64" : "32",
               head->e_ident[EI_DATA] == ELFDATA2LSB ? "little" : "big");
}

static bool is_for_here(const char *path, struct buf *why)
{
    ElfW(Ehdr) head = { .e_ident = { 0 } };
    FILE *file = fopen(path, "re");
    size_t got;

    if (file == NULL) {
        buf_printf(why, "%s: %s", path, strerror(errno));
        return false;
    }
    got = fread(&head, 1, sizeof(head), file);
    fclose(file);
    if (got != sizeof(head) || memcmp(head.e_ident, ELFMAG, SELFMAG) != 0) {
        buf_printf(why, "%s: is no shared library; a module is built with cc -shared -fPIC", path);
        return false;
    }
    if (head.e_ident[EI_CLASS] != __ehdr_start.e_ident[EI_CLASS] ||
        head.e_ident[EI_DATA] != __ehdr_start.e_ident[EI_DATA] ||
        head.e_machine != __ehdr_start.e_machine) {
        buf_printf(why, "%s: is for another architecture, ", path);
        say_architecture(&head, why);
        buf_add_text(why, ", and this edge for ");
        say_architecture(&__ehdr_start, why);
        return false;
    }
    return true;
}

static bool take_library(struct module_registry *r, const char *path, void *library,
                         struct buf *why)
{
    const struct usher_module *exported = dlsym(library, "usher_module");

    if (exported != NULL)
        return registry_add(r, exported, path, library, why);
    buf_printf(why,
               "%s: exports no usher_module, which this edge looks for; USHER_MODULE(name) of "
               "usher_module.h defines it",
               path);
    return false;
}

bool registry_load(struct module_registry *r, const char *path, struct buf *why)
{
    char *whole; /* a name without '/' would be looked for elsewhere */
    void *library;
    bool good;

    if (!is_for_here(path, why))
        return false;
    whole = realpath(path, NULL);
    library = whole != NULL ? dlopen(whole, RTLD_NOW | RTLD_LOCAL) : NULL;
    if (library == NULL) {
        buf_printf(why, "%s: cannot be loaded: %s", path, whole ? dlerror() : strerror(errno));
        free(whole);
        return false;
    }
    free(whole);
    good = take_library(r, path, library, why);
    if (!good)
        dlclose(library);
    return good;
}

static int is_library(const struct dirent *entry)
{
    size_t len = strlen(entry->d_name);

    return entry->d_name[0] != '.' && len > 3 && strcmp(entry->d_name + len - 3, ".so") == 0;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

bool registry_load_folder(struct module_registry *r, const char *path, struct buf *why)
{
    struct dirent **entries;
    int count = scandir(path, &entries, is_library, by_name);
    bool good = count >= 0;

    if (!good)
        buf_printf(why, "%s: %s", path, strerror(errno));
    for (int i = 0; i < count; i++) {
        struct buf file = { 0 };

        buf_printf(&file, "%s/%s", path, entries[i]->d_name);
        good = good && registry_load(r, file.ptr, why);
        buf_free(&file);
        free(entries[i]);
    }
    if (count >= 0)
        free(entries);
    return good;
}

/* Is each --module-option one of a module that there is? */
static bool options_fit(const struct module_registry *r, const struct settings *s, struct buf *why)
{
    for (unsigned i = 0; i < s->module_option_count; i++) {
        struct str rest = str_from(s->module_options[i]), name;

        if (str_split(&rest, '.', &name) && registry_find(r, name) != NULL)
            continue;
        buf_printf(why, "--module-option %s: there is no module " STR_FMT ", see usher modules",
                   s->module_options[i], STR_ARG(name));
        return false;
    }
    return true;
}

struct module_registry *registry_open(const struct settings *s, struct buf *why)
{
    struct module_registry *r = registry_new();
    bool good = true;

    for (unsigned i = 0; i < s->module_count && good; i++)
        good = registry_load(r, s->modules[i], why);
    if (good && s->module_dir[0] != '\0')
        good = registry_load_folder(r, s->module_dir, why);
    if (good && options_fit(r, s, why))
        return r;
    registry_free(r);
    return NULL;
}
