/* settings_places.c -- where unix sockets of endpoints may be, and who resolves names.
 *
 * Owns:    nothing.
 * Thread:  any; once, before threads start.
 * Used by: settings.c.
 * Not here: judging endpoints by it (net/guard.c). */
#include "settings_places.h"

#include "base/path.h"

/* Absolute, in normal form: what is compared by its text must have one form. */
static bool is_folder(struct str path)
{
    return path.len >= 2 && path.ptr[0] == '/' &&
           path_is_plain(str_slice(path.ptr + 1, path.len - 1));
}

bool settings_unix_folders(struct settings *s, struct str text, const char **expected)
{
    struct str rest = text, part;

    *expected =
        "none, or at most 8 absolute folders of at most 107 bytes without . and .., such as "
        "/run/app";
    if (str_equals(text, STR("none"))) {
        s->unix_folder_count = 0;
        return true;
    }
    while (str_split(&rest, ',', &part)) {
        char *to = s->unix_folders[s->unix_folder_count];

        if (part.len > 1 && part.ptr[part.len - 1] == '/')
            part.len--;
        if (s->unix_folder_count == SETTINGS_UNIX_MAX || !is_folder(part) ||
            !str_copy(part, to, sizeof(s->unix_folders[0])))
            return false;
        s->unix_folder_count++;
    }
    return true;
}

bool settings_resolver(struct settings *s, struct str text, const char **expected)
{
    s->resolver_given = !str_equals(text, STR("system"));
    if (!s->resolver_given || address_parse(text, 1, &s->resolver, expected))
        return true;
    *expected = "system, or ADDRESS:PORT, such as 10.0.0.2:53 or [2001:db8::2]:53";
    return false;
}
