/* changes.c -- the one mail that carries a round to the workers.
 *
 * Owns:    its arrays; the objects named in it belong to control.
 * Thread:  built on control, then read by every worker, freed by the last.
 * Used by: store (builds), control/publish.c (posts), proxy/sites.c (applies).
 * Not here: deciding what changed (store/sync.c). */
#include "routing/changes.h"

#include <stdlib.h>

#include "base/check.h"

struct changes *changes_new(uint64_t round)
{
    struct changes *c = check_alloc(sizeof(*c));

    c->round = round;
    return c;
}

void changes_free(struct changes *c)
{
    free(c->swaps);
    free(c->forgotten);
    free(c->answers);
    free(c->moved);
    free(c);
}

bool changes_is_empty(const struct changes *c)
{
    return c->swap_count + c->forgotten_count + c->answer_count + c->moved_count == 0 &&
           !c->forget_unknown;
}

static void *grown(void *items, size_t count, size_t *room, size_t item_bytes)
{
    if (count < *room)
        return items;
    *room = *room ? *room * 2 : 8;
    return check_realloc(items, *room * item_bytes);
}

void changes_swap(struct changes *c, const struct swap *swap)
{
    c->swaps = grown(c->swaps, c->swap_count, &c->swap_room, sizeof(*c->swaps));
    c->swaps[c->swap_count++] = *swap;
}

void changes_move(struct changes *c, struct str host, struct slot_ref site)
{
    c->moved = grown(c->moved, c->moved_count, &c->moved_room, sizeof(*c->moved));
    c->moved[c->moved_count++] = (struct moved){ map_print_of(host), site };
}

void changes_forget(struct changes *c, struct str host)
{
    struct forgotten *f;

    CHECK(host.len > 0 && host.len <= HOST_MAX_BYTES);
    c->forgotten =
        grown(c->forgotten, c->forgotten_count, &c->forgotten_room, sizeof(*c->forgotten));
    f = &c->forgotten[c->forgotten_count++];
    f->suffix = host.ptr[0] == '*';
    f->host_len = (uint8_t)host.len;
    memcpy(f->host, host.ptr, host.len);
    f->host[host.len] = '\0';
}

struct answer *changes_answer(struct changes *c, unsigned worker, struct str host)
{
    struct answer *a;

    CHECK(host.len > 0 && host.len <= HOST_MAX_BYTES);
    c->answers = grown(c->answers, c->answer_count, &c->answer_room, sizeof(*c->answers));
    a = &c->answers[c->answer_count++];
    *a = (struct answer){ .worker = worker, .host_len = (uint8_t)host.len };
    memcpy(a->host, host.ptr, host.len);
    return a;
}
