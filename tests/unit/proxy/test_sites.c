/* test_sites.c -- a worker's tables: what is remembered, forgotten, pinned and released. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "net/loop.h"
#include "proxy/sites.h"

struct table {
    struct settings settings;
    struct loop loop;
    struct mailbox control;
    struct worker_shared shared;
    struct counters counters;
    struct sites sites;
    char asked[64][32]; /* hosts that control was asked for */
    unsigned asked_count, released;
    enum sites_result answer; /* of the last waiter woken */
    struct slot_ref answer_site;
    enum fault answer_fault;
    unsigned woken;
    slot_tick ticks[8];
};

static struct table t;

static void on_control_mail(void *owner, struct mail *mail)
{
    struct table *table = owner;

    if (mail->kind == CONTROL_LOOKUP) {
        struct lookup_mail *m = (struct lookup_mail *)mail;

        snprintf(table->asked[table->asked_count++ % 64], 32, "%.*s", m->host_len, m->host);
    } else if (mail->kind == CONTROL_RELEASED) {
        struct released_mail *m = (struct released_mail *)mail;

        for (size_t i = 0; i < m->count; i++)
            free(m->objects[i]);
        table->released += (unsigned)m->count;
    }
    free(mail);
}

static void on_answer(struct sites_waiter *w, enum sites_result result, struct slot_ref site,
                      enum fault fault)
{
    (void)w;
    t.answer = result;
    t.answer_site = site;
    t.answer_fault = fault;
    t.woken++;
}

static void set_up(void)
{
    t.settings.worker_hosts = 100;
    t.settings.lookup_timeout_ms = 1000;
    loop_init(&t.loop);
    mailbox_open(&t.control, &t.loop, on_control_mail, &t);
    t.shared.settings = &t.settings;
    t.shared.control = &t.control;
    sites_init(&t.sites, &t.loop, &t.shared, &t.counters, 0);
}

static struct object *object_new(enum object_kind kind, uint32_t slot, uint32_t generation)
{
    struct object *o = calloc(1, kind == OBJECT_SITE ? sizeof(struct site) : sizeof(struct tenant));

    o->kind = kind;
    o->ref = (struct slot_ref){ slot, generation };
    return o;
}

static struct changes *round_new(void)
{
    struct changes *c = changes_new(1);

    atomic_store(&c->readers, 1);
    return c;
}

static struct object *swap(uint32_t slot, uint32_t generation, bool gone)
{
    struct object *o = gone ? NULL : object_new(OBJECT_SITE, slot, generation);
    struct changes *c = round_new();

    changes_swap(
        c, &(struct swap){ OBJECT_SITE, { slot, generation }, o, NULL, &t.ticks[slot], gone });
    sites_apply(&t.sites, c);
    return o;
}

static void tear_down(void)
{
    swap(1, 0, true); /* the slots that the tests use: what they hold is released */
    swap(3, 0, true);
    uv_run(&t.loop.uv, UV_RUN_NOWAIT);
    sites_free(&t.sites);
    mailbox_close(&t.control);
    loop_close(&t.loop);
}

TestSuite(sites, .init = set_up, .fini = tear_down);

static enum sites_result find(const char *host, struct slot_ref *ref)
{
    static struct sites_waiter waiters[4096];
    static unsigned next;
    struct sites_waiter *w = &waiters[next++ % 4096];

    w->on_answer = on_answer;
    return sites_find(&t.sites, str_from(host), map_print_of(str_from(host)), ref, w);
}

static void answer(const char *host, enum answer_kind kind, uint32_t slot, uint32_t generation,
                   bool exact)
{
    struct changes *c = round_new();
    struct answer *a = changes_answer(c, 0, str_from(host));

    a->kind = kind;
    a->site = (struct slot_ref){ slot, generation };
    a->used = &t.ticks[slot];
    a->exact = exact;
    sites_apply(&t.sites, c);
}

static void move(const char *host, uint32_t slot, uint32_t generation)
{
    struct changes *c = round_new();

    changes_move(c, str_from(host), (struct slot_ref){ slot, generation });
    sites_apply(&t.sites, c);
}

static void forget(const char *host)
{
    struct changes *c = round_new();

    changes_forget(c, str_from(host));
    sites_apply(&t.sites, c);
}

Test(sites, asks_once_for_all_who_wait_and_remembers)
{
    struct slot_ref ref;

    for (unsigned i = 0; i < 5; i++)
        cr_expect_eq(find("a.test", &ref), SITES_WAIT);
    uv_run(&t.loop.uv, UV_RUN_NOWAIT);
    cr_expect_eq(t.asked_count, 1);
    cr_expect_str_eq(t.asked[0], "a.test");
    swap(3, 1, false);
    answer("a.test", ANSWER_SITE, 3, 1, true);
    cr_expect_eq(t.woken, 5);
    cr_expect_eq(t.answer, SITES_FOUND);
    cr_expect_eq(t.answer_site.slot, 3);
    cr_expect_eq(find("a.test", &ref), SITES_FOUND);
    cr_expect_eq(ref.slot, 3);
}

Test(sites, remembers_nothing_of_a_fault)
{
    struct slot_ref ref;

    cr_expect_eq(find("a.test", &ref), SITES_WAIT);
    answer("a.test", ANSWER_FAULT, 0, 0, false);
    cr_expect_eq(t.answer, SITES_BUSY);
    cr_expect_eq(find("a.test", &ref), SITES_WAIT);
}

Test(sites, a_slot_given_to_another_key_is_not_mistaken)
{
    struct slot_ref ref;

    swap(3, 1, false);
    answer("a.test", ANSWER_SITE, 3, 1, true);
    swap(3, 1, true);
    swap(3, 2, false);
    cr_expect_eq(find("a.test", &ref), SITES_WAIT, "generation 1 is gone");
}

Test(sites, a_moved_host_has_its_new_site_and_no_other_host_has)
{
    struct slot_ref ref;

    swap(1, 1, false);
    swap(3, 1, false);
    answer("a.test", ANSWER_SITE, 1, 1, true);
    answer("b.test", ANSWER_SITE, 1, 1, true);
    move("a.test", 3, 1);
    move("never.seen.test", 3, 1);
    cr_expect_eq(find("a.test", &ref), SITES_FOUND);
    cr_expect_eq(ref.slot, 3);
    cr_expect_eq(find("b.test", &ref), SITES_FOUND);
    cr_expect_eq(ref.slot, 1);
    move("a.test", 0, 0);
    cr_expect_eq(find("a.test", &ref), SITES_WAIT, "its key is gone");
    cr_expect_eq(find("never.seen.test", &ref), SITES_WAIT);
    cr_expect_eq(t.sites.hosts.count, 1);
}

Test(sites, a_wildcards_hosts_do_not_move_with_a_key_of_their_own)
{
    struct slot_ref ref;

    swap(1, 1, false);
    answer("a.test", ANSWER_SITE, 1, 1, false);
    move("a.test", 3, 1);
    cr_expect_eq(find("a.test", &ref), SITES_FOUND);
    cr_expect_eq(ref.slot, 1, "what is forgotten is said apart");
}

/* The answer was found before the host moved, and both come in one mail. */
Test(sites, who_waits_for_a_host_that_moves_meanwhile_gets_its_new_site)
{
    struct slot_ref ref;
    struct changes *c = round_new();
    struct answer *a;

    swap(1, 1, false);
    swap(3, 1, false);
    cr_expect_eq(find("a.test", &ref), SITES_WAIT);
    a = changes_answer(c, 0, STR("a.test"));
    a->kind = ANSWER_SITE;
    a->exact = true;
    a->site = (struct slot_ref){ 1, 1 };
    a->used = t.ticks;
    changes_move(c, STR("a.test"), (struct slot_ref){ 3, 1 });
    sites_apply(&t.sites, c);
    cr_expect_eq(t.answer, SITES_FOUND);
    cr_expect_eq(t.answer_site.slot, 3);
    cr_expect_eq(find("a.test", &ref), SITES_FOUND);
    cr_expect_eq(ref.slot, 3);
}

Test(sites, a_new_wildcard_undoes_what_lies_below_it_and_nothing_else)
{
    struct slot_ref ref;

    swap(1, 1, false);
    answer("x.shop.test", ANSWER_UNKNOWN, 0, 0, false);
    answer("y.shop.test", ANSWER_SITE, 1, 1, false);
    answer("z.shop.test", ANSWER_SITE, 1, 1, true);
    answer("x.other.test", ANSWER_UNKNOWN, 0, 0, false);
    forget("*.shop.test");
    cr_expect_eq(find("x.other.test", &ref), SITES_UNKNOWN);
    cr_expect_eq(find("z.shop.test", &ref), SITES_FOUND, "its own key answers it");
    cr_expect_eq(find("x.shop.test", &ref), SITES_WAIT);
    cr_expect_eq(find("y.shop.test", &ref), SITES_WAIT);
    answer("x.shop.test", ANSWER_SITE, 1, 1, false);
    cr_expect_eq(find("x.shop.test", &ref), SITES_FOUND);
    forget("*");
    cr_expect_eq(find("x.shop.test", &ref), SITES_WAIT);
    cr_expect_eq(find("x.other.test", &ref), SITES_WAIT);
    cr_expect_eq(find("z.shop.test", &ref), SITES_FOUND);
}

Test(sites, many_new_wildcards_undo_more_rather_than_less)
{
    struct slot_ref ref;
    char suffix[64];

    answer("x.old.test", ANSWER_UNKNOWN, 0, 0, false);
    forget("*.old.test");
    for (unsigned i = 0; i < 5000; i++) {
        snprintf(suffix, sizeof(suffix), "*.s%u.test", i);
        forget(suffix);
    }
    cr_expect_eq(find("x.old.test", &ref), SITES_WAIT);
}

Test(sites, a_new_key_undoes_its_own_host)
{
    struct slot_ref ref;

    answer("a.test", ANSWER_UNKNOWN, 0, 0, false);
    cr_expect_eq(find("a.test", &ref), SITES_UNKNOWN);
    forget("a.test");
    cr_expect_eq(find("a.test", &ref), SITES_WAIT);
}

Test(sites, random_names_never_push_good_ones_out)
{
    struct slot_ref ref;
    char host[64];

    swap(1, 1, false);
    for (unsigned i = 0; i < 100; i++) {
        snprintf(host, sizeof(host), "good%u.test", i);
        answer(host, ANSWER_SITE, 1, 1, true);
    }
    for (unsigned i = 0; i < 70000; i++) {
        snprintf(host, sizeof(host), "random%u.test", i);
        answer(host, ANSWER_UNKNOWN, 0, 0, false);
    }
    for (unsigned i = 0; i < 100; i++) {
        snprintf(host, sizeof(host), "good%u.test", i);
        cr_expect_eq(find(host, &ref), SITES_FOUND, "%s", host);
    }
    cr_expect_leq(t.sites.hosts.count, 65536 + 100);
    cr_expect_eq(t.sites.hosts.count, counter_read(&t.counters.hosts_held));
}

Test(sites, a_used_host_gets_a_second_chance)
{
    struct slot_ref ref;
    char host[64];

    swap(1, 1, false);
    for (unsigned i = 0; i < 300; i++) {
        snprintf(host, sizeof(host), "h%u.test", i);
        answer(host, ANSWER_SITE, 1, 1, true);
        cr_assert_eq(find("h0.test", &ref), SITES_FOUND, "used all the time, at %u", i);
    }
    cr_expect_eq(t.sites.hosts.count, 100);
    cr_expect_eq(find("h1.test", &ref), SITES_WAIT);
}

Test(sites, an_object_that_comes_back_to_its_slot_is_released_once_for_each_swap)
{
    struct object *shared = swap(1, 1, false), *other = object_new(OBJECT_SITE, 1, 1);
    struct changes *c;

    cr_assert_eq(sites_pin(&t.sites, OBJECT_SITE, 1), shared);
    for (unsigned i = 0; i < 2; i++) {
        c = round_new();
        changes_swap(
            c, &(struct swap){ OBJECT_SITE, { 1, 1 }, i ? shared : other, NULL, t.ticks, false });
        sites_apply(&t.sites, c);
    }
    uv_run(&t.loop.uv, UV_RUN_NOWAIT);
    cr_expect_eq(t.released, 1, "the other one, which nobody used");
    cr_assert_eq(sites_pin(&t.sites, OBJECT_SITE, 1), shared);
    sites_unpin(&t.sites, 1, shared);
    uv_run(&t.loop.uv, UV_RUN_NOWAIT);
    cr_expect_eq(t.released, 1);
    sites_unpin(&t.sites, 1, shared);
    uv_run(&t.loop.uv, UV_RUN_NOWAIT);
    cr_expect_eq(t.released, 2, "for the first time that it was replaced");
    t.sites.slots[OBJECT_SITE][1].object = NULL; /* it has been freed by that, here */
}

Test(sites, a_replaced_object_is_released_when_nobody_uses_it)
{
    struct object *first, *second;

    first = swap(1, 1, false);
    cr_assert_eq(sites_pin(&t.sites, OBJECT_SITE, 1), first);
    cr_assert_eq(sites_pin(&t.sites, OBJECT_SITE, 1), first);
    swap(1, 1, false);
    uv_run(&t.loop.uv, UV_RUN_NOWAIT);
    cr_expect_eq(t.released, 0);
    second = sites_pin(&t.sites, OBJECT_SITE, 1);
    cr_expect_neq(second, first);
    sites_unpin(&t.sites, 1, first);
    uv_run(&t.loop.uv, UV_RUN_NOWAIT);
    cr_expect_eq(t.released, 0);
    sites_unpin(&t.sites, 1, first);
    uv_run(&t.loop.uv, UV_RUN_NOWAIT);
    cr_expect_eq(t.released, 1);
    swap(1, 1, true);
    cr_expect_eq(sites_pin(&t.sites, OBJECT_SITE, 1), NULL);
    cr_expect_eq(sites_pin(&t.sites, OBJECT_TENANT, 77), NULL);
    sites_unpin(&t.sites, 1, second);
}
