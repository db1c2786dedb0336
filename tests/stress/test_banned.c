/* test_banned.c -- sets of banned ranges replaced under several threads at once; for ThreadSanitizer.
 *
 * One thread plays control: it builds sets as fast as it can, each of one range, its number's. Each
 * worker looks up in the one it holds. Every set must be freed once, by whoever lets go last. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "net/loop.h"
#include "proxy/client_address.h"
#include "proxy/worker.h"

#define WORKERS 3
#define ROUNDS 3000

struct player {
    pthread_t thread;
    struct loop loop;
    struct mailbox box;
    struct banned *held;
    unsigned applied;
};

static struct player players[WORKERS];

static struct cidr range_of(unsigned round)
{
    const char *expected;
    struct cidr c;

    cr_assert(cidr_parse(STR("10.0.0.0"), &c, &expected));
    c.ip[14] = (uint8_t)(round >> 8);
    c.ip[15] = (uint8_t)round;
    return c;
}

static bool holds(const struct banned *b, unsigned round)
{
    struct address a = { .v4 = { .sin_family = AF_INET } };

    a.v4.sin_addr.s_addr = htonl(0x0a000000 + round);
    return cidr_set_holds(b->set, &a);
}

static void on_mail(void *owner, struct mail *mail)
{
    struct player *p = owner;
    unsigned round = p->applied++;

    banned_let_go(p->held);
    p->held = ((struct banned_mail *)mail)->banned;
    free(mail);
    cr_assert_eq(p->held == NULL, round % 7 == 0, "they come in order");
    if (p->held != NULL)
        cr_assert(holds(p->held, round) && !holds(p->held, round + 1),
                  "a set is read while it is freed");
    if (p->applied == ROUNDS)
        loop_stop(&p->loop);
}

static void *player_main(void *arg)
{
    struct player *p = arg;

    loop_run(&p->loop);
    mailbox_close(&p->box);
    loop_close(&p->loop);
    banned_let_go(p->held);
    return NULL;
}

Test(banned, every_set_is_freed_by_the_last_that_lets_go)
{
    for (unsigned i = 0; i < WORKERS; i++) {
        loop_init(&players[i].loop);
        mailbox_open(&players[i].box, &players[i].loop, on_mail, &players[i]);
        cr_assert_eq(pthread_create(&players[i].thread, NULL, player_main, &players[i]), 0);
    }
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct cidr range = range_of(round);
        struct banned *banned = NULL;

        if (round % 7 != 0)
            banned = banned_new(cidr_set_new(&range, 1), true, WORKERS);
        for (unsigned i = 0; i < WORKERS; i++) {
            struct banned_mail *mail = calloc(1, sizeof(*mail));

            mail->banned = banned;
            mailbox_post(&players[i].box, &mail->mail);
        }
    }
    for (unsigned i = 0; i < WORKERS; i++)
        pthread_join(players[i].thread, NULL);
}
