/* fields_endpoint.c -- the options of endpoints that say how they are spoken to (schema/endpoint.def).
 *
 * Owns:    nothing; what it decodes lies in the record's arena.
 * Thread:  control (pure: any would do).
 * Used by: field_types.c, by its tables.
 * Not here: the other options (fields_balance.c, fields_service.c); what an endpoint may be called (endpoint.c). */
#include "routing/field_parsers.h"

#include "base/path.h"

/* Below a folder: segments without "." and "..", and nothing that a shell or a record would trip over. */
static bool is_below(struct str path)
{
    for (size_t i = 0; i < path.len; i++)
        if ((unsigned char)path.ptr[i] <= ' ' || path.ptr[i] == 0x7f || path.ptr[i] == '\\')
            return false;
    return path_is_plain(path);
}

bool parse_endpoint_root(struct str text, struct record_fields *fields, const char **expected)
{
    (void)expected;
    if (text.len == 0 || text.ptr[0] != '/')
        return false;
    if (text.len > 1 && !is_below(str_slice(text.ptr + 1, text.len - 1)))
        return false;
    field_options(fields)->root = arena_copy(&fields->arena, text);
    return true;
}

bool parse_endpoint_index(struct str text, struct record_fields *fields, const char **expected)
{
    (void)expected;
    if (text.len == 0 || !is_below(text))
        return false;
    field_options(fields)->index = arena_copy(&fields->arena, text);
    return true;
}

bool parse_endpoint_path_info(struct str text, struct record_fields *fields, const char **expected)
{
    (void)expected;
    field_options(fields)->path_info = true;
    return text.ptr == NULL;
}

bool parse_endpoint_keep(struct str text, struct record_fields *fields, const char **expected)
{
    (void)expected;
    field_options(fields)->keep = true;
    return text.ptr == NULL;
}
