/* head.c -- the fields of one message.
 *
 * Owns:    the field array.
 * Thread:  any (a head belongs to one).
 * Used by: parser.c fills it; framing.c, serializer.c and exchange read it.
 * Not here: the bytes themselves. */
#include "http/head.h"

#include <stddef.h>
#include <stdlib.h>

void head_init(struct head *h)
{
    h->fields = h->local;
    h->room = HEAD_FIELDS_INLINE;
    head_clear(h);
}

void head_clear(struct head *h)
{
    struct field *fields = h->fields;
    uint16_t room = h->room;

    memset(h, 0, offsetof(struct head, local));
    h->fields = fields;
    h->room = room;
}

void head_free(struct head *h)
{
    if (h->fields != h->local)
        free(h->fields);
    h->fields = h->local;
    h->room = HEAD_FIELDS_INLINE;
}

static bool grow(struct head *h)
{
    unsigned room = h->room * 2u;
    struct field *bigger = malloc(room * sizeof(*bigger));

    if (bigger == NULL || room > UINT16_MAX) {
        free(bigger);
        return false;
    }
    memcpy(bigger, h->fields, h->count * sizeof(*bigger));
    if (h->fields != h->local)
        free(h->fields);
    h->fields = bigger;
    h->room = (uint16_t)room;
    return true;
}

struct field *head_add(struct head *h, unsigned most)
{
    if (h->count >= most || (h->count == h->room && !grow(h)))
        return NULL;
    return &h->fields[h->count++];
}

struct str head_known(const struct head *h, enum field_id id)
{
    if (h->known[id] == 0)
        return (struct str){ NULL, 0 };
    return head_value(h, &h->fields[h->known[id] - 1]);
}

bool head_lists(const struct head *h, enum field_id id, struct str wanted)
{
    for (unsigned i = 0; h->known[id] != 0 && i < h->count; i++) {
        struct str rest, token;

        if (h->fields[i].id != id)
            continue;
        rest = head_value(h, &h->fields[i]);
        while (str_split(&rest, ',', &token))
            if (str_equals_nocase(str_trim(token), wanted))
                return true;
    }
    return false;
}
