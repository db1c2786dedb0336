/* head_edit.c -- adds and removes fields of a head.
 *
 * Owns:    nothing; new bytes lie in memory that the caller gives.
 * Thread:  any (a head belongs to one).
 * Used by: proxy/module_head.c, proxy/module_run.c.
 * Not here: which changes a rule wants (serializer.c writes those). */
#include "http/head_edit.h"

#define ROOM_LEAST 512

static bool reserve(struct head *h, struct head_text *t, size_t more)
{
    size_t room = t->len + more;
    char *bigger;

    if (room > t->most)
        return false;
    if (t->ptr != NULL && room <= t->room)
        return true;
    room += ROOM_LEAST + t->len / 2;
    bigger = t->alloc(t->owner, room);
    if (bigger == NULL)
        return false;
    if (t->len > 0)
        memcpy(bigger, h->base, t->len);
    t->ptr = bigger;
    t->room = room;
    h->base = bigger;
    return true;
}

void head_edit_recount(struct head *h)
{
    memset(h->known, 0, sizeof(h->known));
    for (uint16_t i = 0; i < h->count; i++)
        h->known[h->fields[i].id] = (uint16_t)(i + 1);
}

/* Fields that Connection names go no further. They go before anything is added, so that whoever wrote
 * Connection cannot take away what is added here by naming it. */
static void drop_named(struct head *h)
{
    uint16_t kept = 0;

    if (!h->connection_names_fields)
        return;
    for (uint16_t i = 0; i < h->count; i++)
        if (h->fields[i].id == FIELD_CONNECTION ||
            !head_lists(h, FIELD_CONNECTION, head_name(h, &h->fields[i])))
            h->fields[kept++] = h->fields[i];
    h->count = kept;
    h->connection_names_fields = false;
    head_edit_recount(h);
}

bool head_edit_own(struct head *h, struct head_text *t)
{
    if (t->ptr != NULL && h->base == t->ptr)
        return true;
    t->ptr = NULL;
    t->len = h->bytes;
    return reserve(h, t, 0);
}

bool head_edit_add(struct head *h, struct head_text *t, struct str name, struct str value)
{
    size_t bytes = name.len + 2 + value.len + 2;
    struct field *f;
    char *to;

    if (name.len > UINT16_MAX || !head_edit_own(h, t) || !reserve(h, t, bytes))
        return false;
    drop_named(h);
    f = head_add(h, t->most_fields);
    if (f == NULL)
        return false;
    to = t->ptr + t->len;
    *f = (struct field){ .name_at = (uint32_t)t->len,
                         .name_len = (uint16_t)name.len,
                         .value_at = (uint32_t)(t->len + name.len + 2),
                         .value_len = (uint32_t)value.len,
                         .id = (uint16_t)field_id_of(name) };
    memcpy(to, name.ptr, name.len);
    memcpy(to + name.len, ": ", 2);
    if (value.len > 0)
        memcpy(to + name.len + 2, value.ptr, value.len);
    memcpy(to + name.len + 2 + value.len, "\r\n", 2);
    t->len += bytes;
    h->known[f->id] = h->count;
    return true;
}

void head_edit_remove(struct head *h, struct str name)
{
    uint16_t kept = 0;

    for (uint16_t i = 0; i < h->count; i++)
        if (!str_equals_nocase(head_name(h, &h->fields[i]), name))
            h->fields[kept++] = h->fields[i];
    if (kept == h->count)
        return;
    h->count = kept;
    head_edit_recount(h);
}

bool head_edit_name_is_right(struct str name)
{
    static const char others[] = "!#$%&'*+-.^_`|~";

    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i], low = str_lower(c);

        if (!(low >= 'a' && low <= 'z') && !(c >= '0' && c <= '9') &&
            (c == '\0' || strchr(others, c) == NULL))
            return false;
    }
    return name.len > 0;
}

bool head_edit_value_is_right(struct str value)
{
    if (str_trim(value).len != value.len)
        return false;
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.ptr[i];

        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

bool head_edit_is_ours(struct str name, bool response)
{
    switch (field_id_of(name)) {
    case FIELD_CONNECTION:
    case FIELD_CONTENT_LENGTH:
    case FIELD_TRANSFER_ENCODING:
    case FIELD_TE:
    case FIELD_TRAILER:
    case FIELD_UPGRADE:
    case FIELD_KEEP_ALIVE:
    case FIELD_PROXY_CONNECTION:
    case FIELD_HTTP2_SETTINGS:
    case FIELD_USHER:
        return true;
    case FIELD_HOST:
    case FIELD_EXPECT:
    case FIELD_FORWARDED:
    case FIELD_X_FORWARDED_FOR:
    case FIELD_X_FORWARDED_PROTO:
    case FIELD_X_FORWARDED_HOST:
        return !response;
    default:
        return str_equals_nocase(name, STR("Via")) || str_equals_nocase(name, STR("CDN-Loop"));
    }
}
