/* test_publish.c -- every worker gets every round; a replaced object is freed by the last release. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "base/check.h"
#include "control/publish.h"

#define WORKERS 3
#define MAILS_MAX 64

struct post_office {
    struct changes *got[WORKERS][MAILS_MAX];
    unsigned count[WORKERS];
    struct confirmation *confirmation;
    unsigned asked;
};

static void post(void *owner, unsigned worker, struct mail *mail)
{
    struct post_office *office = owner;

    if (mail->kind == WORKER_CONFIRM) {
        office->confirmation = ((struct confirm_mail *)mail)->confirmation;
        office->asked++;
        free(mail);
        return;
    }
    cr_assert_eq(mail->kind, WORKER_CHANGES);
    office->got[worker][office->count[worker]++] = ((struct changes_mail *)mail)->changes;
    free(mail);
}

static struct object *object_new(void)
{
    struct site *site = check_alloc(sizeof(*site));

    site->object.kind = OBJECT_SITE;
    site->object.bytes = sizeof(*site);
    return &site->object;
}

static struct changes *swap_of(struct object *now, struct object *before)
{
    struct changes *c = changes_new(1);

    changes_swap(c, &(struct swap){ OBJECT_SITE, { 0, 1 }, now, before, NULL, false });
    return c;
}

static struct released_mail *release_of(unsigned worker, struct object *object)
{
    struct released_mail *m = check_alloc(sizeof(*m) + sizeof(object));

    m->worker = worker;
    m->count = 1;
    m->objects[0] = object;
    return m;
}

Test(publish, every_worker_gets_the_same_changes_with_all_of_them_as_readers)
{
    struct post_office office = { 0 };
    struct publisher p;
    struct changes *c = changes_new(7);

    publish_open(&p, WORKERS, post, &office);
    changes_forget(c, STR("a.example"));
    publish_changes(&p, c);
    for (unsigned i = 0; i < WORKERS; i++) {
        cr_assert_eq(office.count[i], 1);
        cr_assert_eq(office.got[i][0], c);
    }
    cr_assert_eq(atomic_load(&c->readers), WORKERS);
    cr_assert_eq(p.rounds, 1);
    changes_free(c);
    publish_close(&p);
}

Test(publish, a_round_without_content_is_not_mailed)
{
    struct post_office office = { 0 };
    struct publisher p;

    publish_open(&p, WORKERS, post, &office);
    publish_changes(&p, changes_new(1));
    cr_assert_eq(office.count[0], 0);
    cr_assert_eq(p.rounds, 0);
    publish_close(&p);
}

Test(publish, a_replaced_object_is_held_until_the_last_worker_lets_go)
{
    struct post_office office = { 0 };
    struct publisher p;
    struct object *old = object_new(), *new = object_new();
    struct changes *c = swap_of(new, old);

    publish_open(&p, WORKERS, post, &office);
    publish_changes(&p, c);
    cr_assert_eq(p.retired.count, 1);
    publish_released(&p, release_of(0, old));
    publish_released(&p, release_of(2, old));
    cr_assert_eq(p.retired.count, 1);
    cr_assert_eq(old->holders, 1);
    publish_released(&p, release_of(1, old));
    cr_assert_eq(p.retired.count, 0);
    changes_free(c);
    publish_close(&p);
    object_free(new);
}

Test(publish, a_shared_object_is_freed_when_it_stands_nowhere_and_all_slots_were_let_go)
{
    struct post_office office = { 0 };
    struct publisher p;
    struct object *shared = object_new();

    publish_open(&p, WORKERS, post, &office);
    shared->uses = 1; /* replaced in two slots, stands in a third */
    for (unsigned i = 0; i < 2; i++)
        publish_changes(&p, swap_of(NULL, shared));
    cr_assert_eq(p.retired.count, 1);
    cr_assert_eq(shared->holders, 2 * WORKERS);
    for (unsigned i = 0; i < 2 * WORKERS; i++)
        publish_released(&p, release_of(i % WORKERS, shared));
    cr_assert_eq(p.retired.count, 0);
    shared->uses = 0;
    publish_changes(&p, swap_of(NULL, shared));
    for (unsigned i = 0; i < WORKERS; i++) {
        cr_assert_eq(p.retired.count, 1);
        publish_released(&p, release_of(i, shared));
    }
    cr_assert_eq(p.retired.count, 0);
    for (unsigned i = 0; i < 3; i++)
        changes_free(office.got[0][i]);
    publish_close(&p);
}

Test(publish, versions_replaced_in_turn_are_counted_each_for_itself)
{
    struct post_office office = { 0 };
    struct publisher p;
    struct object *version[MAILS_MAX + 1];
    struct released_mail *all[WORKERS];

    publish_open(&p, WORKERS, post, &office);
    for (unsigned w = 0; w < WORKERS; w++) {
        all[w] = check_alloc(sizeof(*all[w]) + MAILS_MAX * sizeof(struct object *));
        all[w]->count = MAILS_MAX;
    }
    version[0] = object_new();
    for (unsigned i = 0; i < MAILS_MAX; i++) {
        version[i + 1] = object_new();
        publish_changes(&p, swap_of(version[i + 1], version[i]));
        for (unsigned w = 0; w < WORKERS; w++)
            all[w]->objects[i] = version[i];
    }
    cr_assert_eq(p.retired.count, MAILS_MAX);
    publish_released(&p, all[1]);
    publish_released(&p, all[0]);
    cr_assert_eq(p.retired.count, MAILS_MAX);
    publish_released(&p, all[2]);
    cr_assert_eq(p.retired.count, 0);
    for (unsigned i = 0; i < MAILS_MAX; i++)
        changes_free(office.got[0][i]);
    publish_close(&p);
    object_free(version[MAILS_MAX]);
}

/* Leaks here are the sanitizer's to find. */
Test(publish, what_was_never_let_go_is_freed_at_the_end)
{
    struct post_office office = { 0 };
    struct publisher p;
    struct changes *c = swap_of(NULL, object_new());

    publish_open(&p, WORKERS, post, &office);
    publish_changes(&p, c);
    changes_free(c);
    publish_discard(&p, swap_of(NULL, object_new()));
    cr_assert_eq(office.count[0], 1, "what is discarded is told to nobody");
    publish_close(&p);
    cr_assert_eq(p.retired.count, 0);
}

Test(publish, a_confirmation_is_shared_by_all_workers_and_waits_for_each)
{
    struct post_office office = { 0 };
    struct publisher p;

    publish_open(&p, WORKERS, post, &office);
    publish_confirm(&p, 42);
    cr_assert_eq(office.asked, WORKERS);
    cr_assert_eq(office.confirmation->number, 42);
    cr_assert_eq(atomic_load(&office.confirmation->workers_left), WORKERS);
    free(office.confirmation);
    publish_close(&p);
}
