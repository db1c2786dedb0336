/* mailbox.h -- how threads speak: a list of mails and a wake-up of the receiver's loop.
 *
 * Mails arrive in the order in which each sender posted them. A mail belongs to the receiver from
 * the moment it is posted. Embed struct mail first in what you send. */
#ifndef NET_MAILBOX_H
#define NET_MAILBOX_H

#include <pthread.h>
#include <stdbool.h>
#include <uv.h>

#include "base/list.h"

struct mail {
    struct list node;
    int kind; /* the receiver's own enum */
};

struct mailbox;
typedef void (*mailbox_fn)(void *owner, struct mail *mail);

struct mailbox {
    uv_async_t wake;
    pthread_mutex_t lock;
    struct list mails;
    mailbox_fn fn;
    void *owner;
};

struct loop;
void mailbox_open(struct mailbox *box, struct loop *l, mailbox_fn fn, void *owner);
void mailbox_post(struct mailbox *box, struct mail *mail); /* from any thread */
/* Stops listening; mails still inside are given to `fn` first. After it nobody may post. */
void mailbox_close(struct mailbox *box);

#endif
