/* test_changes.c -- objects swapped under several threads at once; for ThreadSanitizer.
 *
 * One thread plays control: it publishes objects as fast as it can. Each worker applies the swaps,
 * pins and unpins what it finds, and checks what it reads. Every object must come back once from
 * each worker. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "base/random.h"
#include "net/loop.h"
#include "proxy/sites.h"

#define WORKERS 3
#define ROUNDS 3000
#define SLOTS 8
#define PINS 16

struct player {
    pthread_t thread;
    struct loop loop;
    struct mailbox box;
    struct counters counters;
    struct sites sites;
    struct random random;
    struct object *pinned[PINS];
    unsigned at, applied;
};

static struct settings settings = { .worker_hosts = 100, .lookup_timeout_ms = 1000 };
static struct loop control_loop;
static struct mailbox control;
static struct worker_shared shared = { .settings = &settings, .control = &control };
static struct player players[WORKERS];
static unsigned freed, published;

static void on_control_mail(void *owner, struct mail *mail)
{
    struct released_mail *m = (struct released_mail *)mail;

    (void)owner;
    cr_assert_eq(mail->kind, CONTROL_RELEASED);
    for (size_t i = 0; i < m->count; i++)
        if (--m->objects[i]->holders == 0) {
            free(m->objects[i]);
            freed++;
        }
    free(mail);
}

/* As exchanges do: holds a few objects for a while, whatever is swapped meanwhile. */
static void use_some(struct player *p)
{
    for (unsigned i = 0; i < 4; i++) {
        unsigned at = p->at++ % PINS;
        struct tenant *tenant;

        if (p->pinned[at] != NULL)
            sites_unpin(&p->sites, p->pinned[at]->ref.slot, p->pinned[at]);
        p->pinned[at] =
            sites_pin(&p->sites, OBJECT_TENANT, (uint32_t)random_below(&p->random, SLOTS));
        tenant = (struct tenant *)p->pinned[at];
        if (tenant != NULL)
            cr_assert_str_eq(tenant->id, "acme", "an object is read while it is freed");
    }
}

static void on_player_mail(void *owner, struct mail *mail)
{
    struct player *p = owner;

    sites_apply(&p->sites, ((struct changes_mail *)mail)->changes);
    free(mail);
    use_some(p);
    if (++p->applied < ROUNDS)
        return;
    for (unsigned i = 0; i < PINS; i++)
        if (p->pinned[i] != NULL)
            sites_unpin(&p->sites, p->pinned[i]->ref.slot, p->pinned[i]);
    loop_stop(&p->loop);
}

static void *player_main(void *arg)
{
    struct player *p = arg;

    loop_run(&p->loop);
    mailbox_close(&p->box);
    loop_close(&p->loop);
    return NULL;
}

static slot_tick ticks[SLOTS];

static void publish(unsigned round, struct object *held[SLOTS])
{
    struct changes *c = changes_new(round);
    unsigned slot = round % SLOTS;
    struct tenant *tenant = NULL;

    if (round < ROUNDS - SLOTS && round % 5 != 0) {
        tenant = calloc(1, sizeof(*tenant));
        tenant->object.kind = OBJECT_TENANT;
        tenant->object.ref.slot = slot;
        strcpy(tenant->id, "acme");
        published++;
    }
    if (held[slot] != NULL)
        held[slot]->holders = WORKERS;
    changes_swap(c, &(struct swap){ .kind = OBJECT_TENANT,
                                    .ref = { slot, 0 },
                                    .now = tenant ? &tenant->object : NULL,
                                    .before = held[slot],
                                    .used = &ticks[slot] });
    held[slot] = tenant ? &tenant->object : NULL;
    atomic_store(&c->readers, WORKERS);
    for (unsigned i = 0; i < WORKERS; i++) {
        struct changes_mail *mail = calloc(1, sizeof(*mail));

        mail->changes = c;
        mailbox_post(&players[i].box, &mail->mail);
    }
}

Test(changes, every_replaced_object_comes_back_once_from_each_worker)
{
    struct object *held[SLOTS] = { 0 };

    loop_init(&control_loop);
    mailbox_open(&control, &control_loop, on_control_mail, NULL);
    for (unsigned i = 0; i < WORKERS; i++) {
        struct player *p = &players[i];

        loop_init(&p->loop);
        mailbox_open(&p->box, &p->loop, on_player_mail, p);
        random_init(&p->random);
        sites_init(&p->sites, &p->loop, &shared, &p->counters, i);
        cr_assert_eq(pthread_create(&p->thread, NULL, player_main, p), 0);
    }
    for (unsigned round = 0; round < ROUNDS; round++) {
        publish(round, held);
        uv_run(&control_loop.uv, UV_RUN_NOWAIT);
    }
    for (unsigned i = 0; i < WORKERS; i++) {
        pthread_join(players[i].thread, NULL);
        sites_free(&players[i].sites);
    }
    mailbox_close(&control);
    loop_close(&control_loop);
    cr_expect_eq(freed, published, "%u of %u", freed, published);
}
