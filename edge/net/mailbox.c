/* mailbox.c -- mails from one thread to another.
 *
 * Owns:    the mails between posting and delivery.
 * Thread:  posting: any; delivery: the loop's.
 * Used by: control and workers.
 * Not here: counters that both sides read (boards of atomics, where they are defined). */
#include "net/mailbox.h"

#include "base/check.h"
#include "net/loop.h"

static void deliver(struct mailbox *box)
{
    struct list mails;
    struct list *node;

    list_init(&mails);
    pthread_mutex_lock(&box->lock);
    list_move_all(&mails, &box->mails);
    pthread_mutex_unlock(&box->lock);
    while ((node = list_take_first(&mails)) != NULL)
        box->fn(box->owner, LIST_ITEM(node, struct mail, node));
}

static void on_wake(uv_async_t *handle)
{
    deliver(handle->data);
}

void mailbox_open(struct mailbox *box, struct loop *l, mailbox_fn fn, void *owner)
{
    list_init(&box->mails);
    pthread_mutex_init(&box->lock, NULL);
    box->fn = fn;
    box->owner = owner;
    CHECK(uv_async_init(&l->uv, &box->wake, on_wake) == 0);
    box->wake.data = box;
}

void mailbox_post(struct mailbox *box, struct mail *mail)
{
    bool first;

    pthread_mutex_lock(&box->lock);
    first = list_is_empty(&box->mails);
    list_init(&mail->node);
    list_append(&box->mails, &mail->node);
    pthread_mutex_unlock(&box->lock);
    if (first) /* otherwise the wake-up is already on its way */
        uv_async_send(&box->wake);
}

void mailbox_close(struct mailbox *box)
{
    deliver(box);
    uv_close((uv_handle_t *)&box->wake, NULL);
}
