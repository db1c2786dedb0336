/* publish.c -- one mail to each worker for each round; an object is freed when all have let go.
 *
 * Owns:    replaced objects, from the swap until the last worker's release.
 * Thread:  control
 * Used by: control.c (the store's changes, the workers' mails).
 * Not here: what changed (store/), applying it (proxy/sites.c). */
#include "control/publish.h"

#include <stdlib.h>

#include "base/check.h"

static struct str pointer_key(struct object *const *object)
{
    return str_slice((const char *)object, sizeof(*object));
}

static bool is_object(const void *value, struct str key)
{
    return memcmp(&value, key.ptr, sizeof(value)) == 0;
}

void publish_open(struct publisher *p, unsigned workers, publish_post_fn post, void *owner)
{
    CHECK(workers > 0);
    *p = (struct publisher){ .workers = workers, .post = post, .owner = owner };
    map_init(&p->retired, is_object);
}

/* Shared objects may be retired from one slot after the other, and stand in others still. */
static void retire(struct publisher *p, struct object *object, uint32_t holders)
{
    uint64_t hash = map_hash(pointer_key(&object));

    if (object->holders == 0)
        map_add(&p->retired, hash, object);
    object->holders += holders;
}

static void let_go(struct publisher *p, struct object *object)
{
    uint64_t hash = map_hash(pointer_key(&object));

    CHECK(map_find(&p->retired, hash, pointer_key(&object)) == object);
    CHECK(object->holders > 0);
    if (--object->holders > 0)
        return;
    map_remove(&p->retired, hash, object);
    if (object->uses == 0)
        object_free(object);
}

void publish_changes(struct publisher *p, struct changes *changes)
{
    if (changes_is_empty(changes)) {
        changes_free(changes);
        return;
    }
    p->rounds++;
    for (size_t i = 0; i < changes->swap_count; i++)
        if (changes->swaps[i].before != NULL)
            retire(p, changes->swaps[i].before, p->workers);
    /* Before the first mail: the first worker may be done before the second one is told. */
    atomic_store_explicit(&changes->readers, p->workers, memory_order_relaxed);
    for (unsigned i = 0; i < p->workers; i++) {
        struct changes_mail *m = check_alloc(sizeof(*m));

        m->mail.kind = WORKER_CHANGES;
        m->changes = changes;
        p->post(p->owner, i, &m->mail);
    }
}

void publish_confirm(struct publisher *p, uint64_t number)
{
    struct confirmation *c = check_alloc(sizeof(*c));

    c->number = number;
    atomic_init(&c->workers_left, p->workers);
    for (unsigned i = 0; i < p->workers; i++) {
        struct confirm_mail *m = check_alloc(sizeof(*m));

        m->mail.kind = WORKER_CONFIRM;
        m->confirmation = c;
        p->post(p->owner, i, &m->mail);
    }
}

void publish_released(struct publisher *p, struct released_mail *mail)
{
    for (size_t i = 0; i < mail->count; i++)
        let_go(p, mail->objects[i]);
    free(mail);
}

void publish_discard(struct publisher *p, struct changes *changes)
{
    for (size_t i = 0; i < changes->swap_count; i++)
        if (changes->swaps[i].before != NULL)
            retire(p, changes->swaps[i].before, 1);
    for (size_t i = 0; i < changes->swap_count; i++)
        if (changes->swaps[i].before != NULL)
            let_go(p, changes->swaps[i].before);
    changes_free(changes);
}

void publish_close(struct publisher *p)
{
    struct object *object;
    size_t at = 0;

    while ((object = map_next(&p->retired, &at)) != NULL)
        if (object->uses == 0)
            object_free(object);
    map_free(&p->retired);
}
