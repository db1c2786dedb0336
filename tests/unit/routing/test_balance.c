/* test_balance.c -- who is next, by statistics with a fixed seed: shares, what moves, who stands in. */
#include "routing/balance.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>

#include "base/checksum.h"
#include "routing/balance_key.h"
#include "routing/compile.h"
#include "routing/schedule.h"

#define MOST 32
#define NOW 1000000u

/* A service of endpoints a, b, c ... and what chooses from it. */
struct world {
    struct states states;
    struct service *service;
    struct endpoint endpoints[MOST];
    struct endpoint_options options[MOST];
    struct service_policy policy;
    struct random random;
    uint32_t cursor, count;
    struct balance_request request;
    struct balance_refusal refusal;
    const char *zone;
};

/* `weights`: one for each endpoint, 0 ends it. Options and policy are the world's to set before. */
static void compile(struct world *w)
{
    struct service *before = w->service;

    w->service = compile_service((struct slot_ref){ 1, 1 }, STR("web"), false, &w->policy,
                                 w->endpoints, w->count);
    service_arrange(w->service, str_from(w->zone != NULL ? w->zone : ""));
    states_attach(&w->states, &w->service->object);
    if (before != NULL)
        object_free(&before->object);
    w->request.service = w->service;
}

static void begin(struct world *w, uint32_t count)
{
    *w = (struct world){ .count = count, .random.state = 42 };
    states_init(&w->states);
    for (uint32_t i = 0; i < count; i++) {
        w->endpoints[i].weight = 100;
        w->endpoints[i].options = &w->options[i];
        w->endpoints[i].address.v4.sin_family = AF_INET;
        w->endpoints[i].address.v4.sin_port = htons((uint16_t)(i + 1));
    }
    w->request.cursor = &w->cursor;
    w->request.random = &w->random;
    w->request.now_ms = NOW;
    compile(w);
}

static void end(struct world *w)
{
    object_free(&w->service->object);
    states_free(&w->states);
}

static void set_down(struct world *w, uint32_t i, bool down)
{
    atomic_store(&w->service->endpoints[i].state->down_ms, down ? 1 : 0);
}

static void set_active(struct world *w, uint32_t i, uint32_t active)
{
    atomic_store(&w->service->endpoints[i].state->active, active);
}

/* Its index; UINT32_MAX: none. */
static uint32_t choose(struct world *w)
{
    const struct endpoint *e = balance_choose(&w->request, &w->refusal);

    return e != NULL ? (uint32_t)(e - w->service->endpoints) : UINT32_MAX;
}

/* Of `turns` requests, each endpoint has its percentage of the sum, give or take `percent` of all. */
static void expect_shares(struct world *w, unsigned turns, double percent, const double *shares)
{
    unsigned got[MOST] = { 0 };
    double sum = 0;

    for (uint32_t i = 0; i < w->count; i++)
        sum += shares[i];
    for (unsigned n = 0; n < turns; n++) {
        uint32_t i = choose(w);

        cr_assert_lt(i, w->count, "nobody was chosen");
        got[i]++;
        w->request.hash = checksum(str_slice((const char *)&n, sizeof(n)));
    }
    for (uint32_t i = 0; i < w->count; i++)
        cr_expect(fabs(100.0 * got[i] / turns - 100.0 * shares[i] / sum) <= percent &&
                      (shares[i] > 0 || got[i] == 0),
                  "endpoint %c has %u of %u", 'a' + (int)i, got[i], turns);
}

#define SHARES(...) ((const double[MOST]){ __VA_ARGS__ })

/* --- turns --- */

Test(balance, turns_of_one_that_is_out_go_to_all_others)
{
    struct world w;

    begin(&w, 4);
    expect_shares(&w, 400, 0, SHARES(1, 1, 1, 1));
    set_down(&w, 1, true);
    expect_shares(&w, 300, 0.4, SHARES(1, 0, 1, 1));
    set_down(&w, 1, false);
    expect_shares(&w, 400, 0.3, SHARES(1, 1, 1, 1));
    end(&w);
}

Test(balance, turns_keep_to_weights_when_some_are_out)
{
    struct world w;

    begin(&w, 4);
    w.endpoints[0].weight = 1000;
    w.endpoints[1].weight = 300;
    w.endpoints[2].weight = 100;
    w.endpoints[3].weight = 1;
    compile(&w);
    expect_shares(&w, 1401, 0, SHARES(1000, 300, 100, 1));
    w.policy.health = &(struct health_policy){ .panic = 0 };
    compile(&w);
    set_down(&w, 0, true);
    expect_shares(&w, 4010, 0.2, SHARES(0, 300, 100, 1));
    set_down(&w, 1, true);
    expect_shares(&w, 4040, 1, SHARES(0, 0, 100, 1));
    end(&w);
}

Test(balance, lots_keep_to_weights_when_some_are_out)
{
    struct world w;

    begin(&w, 3);
    w.endpoints[1].weight = 50;
    w.policy.balance = BALANCE_RANDOM;
    compile(&w);
    expect_shares(&w, 20000, 1, SHARES(100, 50, 100));
    set_down(&w, 0, true);
    expect_shares(&w, 20000, 1, SHARES(0, 50, 100));
    w.policy.balance = BALANCE_RANDOM_TWO;
    compile(&w);
    expect_shares(&w, 20000, 1, SHARES(0, 50, 100));
    end(&w);
}

Test(balance, what_is_plain_is_chosen_alike_in_short)
{
    struct world w;

    begin(&w, 3);
    w.endpoints[1].weight = 200;
    compile(&w);
    cr_expect(w.service->plain);
    for (unsigned n = 0; n < 40; n++) {
        uint32_t cursor = w.cursor;
        const struct endpoint *e = balance_next_plain(w.service, &cursor, NOW);

        cr_expect_eq(choose(&w), e - w.service->endpoints);
        cr_expect_eq(cursor, w.cursor);
    }
    set_down(&w, 1, true);
    w.cursor = 2; /* of b a c b */
    cr_expect_not_null(balance_next_plain(w.service, &w.cursor, NOW));
    cr_expect_null(balance_next_plain(w.service, &w.cursor, NOW));
    w.policy.slow_start_ms = 1;
    compile(&w);
    cr_expect_not(w.service->plain);
    end(&w);
}

/* --- load --- */

Test(balance, of_two_the_less_loaded_has_it)
{
    struct world w;

    begin(&w, 2);
    w.policy.balance = BALANCE_RANDOM_TWO;
    compile(&w);
    set_active(&w, 0, 5);
    set_active(&w, 1, 4);
    /* All of the lots fall on the busier one once in 16. */
    expect_shares(&w, 8000, 2, SHARES(1, 15));
    end(&w);
}

Test(balance, of_many_the_busiest_is_hardly_ever_of_two)
{
    struct world w;

    begin(&w, 10);
    w.policy.balance = BALANCE_RANDOM_TWO;
    compile(&w);
    set_active(&w, 3, 50);
    expect_shares(&w, 20000, 1.5, SHARES(1, 1, 1, 0.01, 1, 1, 1, 1, 1, 1));
    end(&w);
}

Test(balance, the_least_loaded_for_its_weight_has_it)
{
    struct world w;

    begin(&w, 3);
    w.endpoints[2].weight = 300;
    w.policy.balance = BALANCE_LEAST_CONN;
    compile(&w);
    set_active(&w, 0, 2);
    set_active(&w, 1, 3);
    set_active(&w, 2, 5); /* 5/300 < 2/100 */
    for (unsigned n = 0; n < 10; n++)
        cr_expect_eq(choose(&w), 2);
    set_active(&w, 2, 7);
    cr_expect_eq(choose(&w), 0);
    set_down(&w, 0, true);
    cr_expect_eq(choose(&w), 2);
    end(&w);
}

Test(balance, those_with_equally_little_to_do_take_turns_by_weight)
{
    struct world w;

    begin(&w, 4);
    w.endpoints[1].weight = 200;
    w.policy.balance = BALANCE_LEAST_CONN;
    compile(&w);
    set_active(&w, 3, 1);
    expect_shares(&w, 1000, 6, SHARES(1, 2, 1, 0));
    set_active(&w, 3, 0);
    expect_shares(&w, 1000, 0.5, SHARES(1, 2, 1, 1));
    end(&w);
}

Test(balance, requests_that_are_counted_spread_as_weights_say)
{
    struct world w;

    begin(&w, 3);
    w.endpoints[0].weight = 50;
    w.policy.balance = BALANCE_LEAST_CONN;
    compile(&w);
    for (unsigned n = 0; n < 500; n++) {
        uint32_t i = choose(&w);

        set_active(&w, i, atomic_load(&w.service->endpoints[i].state->active) + 1);
    }
    for (uint32_t i = 0; i < 3; i++)
        cr_expect(abs((int)atomic_load(&w.service->endpoints[i].state->active) -
                      (i == 0 ? 100 : 200)) <= 1,
                  "%u has %u", i, atomic_load(&w.service->endpoints[i].state->active));
    end(&w);
}

/* --- hashes --- */

#define KEYS 20000u

static uint64_t key(unsigned n)
{
    char text[16];

    return checksum(str_slice(text, (size_t)snprintf(text, sizeof(text), "key-%u", n)));
}

/* Whom each key has, by port, so that places do not matter. */
static void map_keys(struct world *w, uint16_t *ports)
{
    for (unsigned n = 0; n < KEYS; n++) {
        w->request.hash = key(n);
        ports[n] = w->service->endpoints[choose(w)].address.v4.sin_port;
    }
}

static unsigned count_moved(const uint16_t *before, const uint16_t *after)
{
    unsigned moved = 0;

    for (unsigned n = 0; n < KEYS; n++)
        moved += before[n] != after[n];
    return moved;
}

Test(balance, hashes_keep_to_weights)
{
    struct world w;

    begin(&w, 4);
    w.policy.balance = BALANCE_HASH;
    w.endpoints[0].weight = 1000;
    w.endpoints[1].weight = 200;
    compile(&w);
    expect_shares(&w, KEYS, 1, SHARES(1000, 200, 100, 100));
    end(&w);
}

Test(balance, taking_one_of_n_moves_its_keys_and_no_others)
{
    static uint16_t before[KEYS], after[KEYS];
    struct world w;
    unsigned moved;
    uint16_t gone;

    begin(&w, 10);
    w.policy.balance = BALANCE_HASH;
    compile(&w);
    map_keys(&w, before);
    gone = w.endpoints[3].address.v4.sin_port;
    w.endpoints[3] = w.endpoints[9];
    w.count = 9;
    compile(&w);
    map_keys(&w, after);
    moved = count_moved(before, after);
    cr_expect(moved > KEYS / 10 * 9 / 10 && moved < KEYS / 10 * 11 / 10, "%u of %u", moved, KEYS);
    for (unsigned n = 0; n < KEYS; n++)
        cr_assert((before[n] == gone) == (before[n] != after[n]));
    end(&w);
}

Test(balance, one_more_takes_its_share_and_nothing_else_moves)
{
    static uint16_t before[KEYS], after[KEYS];
    struct world w;
    unsigned moved;

    begin(&w, 10);
    w.policy.balance = BALANCE_HASH;
    w.count = 9;
    compile(&w);
    map_keys(&w, before);
    w.count = 10;
    compile(&w);
    map_keys(&w, after);
    moved = count_moved(before, after);
    cr_expect(moved > KEYS / 10 * 9 / 10 && moved < KEYS / 10 * 11 / 10, "%u of %u", moved, KEYS);
    for (unsigned n = 0; n < KEYS; n++)
        cr_assert(before[n] == after[n] || after[n] == htons(10));
    /* A weight that doubles takes what it is due, and nobody else's key moves. */
    w.endpoints[0].weight = 200;
    memcpy(before, after, sizeof(before));
    compile(&w);
    map_keys(&w, after);
    for (unsigned n = 0; n < KEYS; n++)
        cr_assert(before[n] == after[n] || after[n] == htons(1));
    moved = count_moved(before, after);
    cr_expect(moved > KEYS / 14 && moved < KEYS / 10, "%u of %u", moved, KEYS);
    end(&w);
}

Test(balance, keys_of_one_that_is_down_come_back_to_it)
{
    static uint16_t before[KEYS], meanwhile[KEYS], after[KEYS];
    struct world w;

    begin(&w, 5);
    w.policy.balance = BALANCE_HASH;
    compile(&w);
    map_keys(&w, before);
    set_down(&w, 2, true);
    map_keys(&w, meanwhile);
    for (unsigned n = 0; n < KEYS; n++)
        cr_assert((before[n] == htons(3)) == (before[n] != meanwhile[n]));
    set_down(&w, 2, false);
    map_keys(&w, after);
    cr_expect_eq(count_moved(before, after), 0);
    end(&w);
}

Test(balance, a_bound_keeps_a_hot_key_from_filling_its_endpoint)
{
    struct world w;
    unsigned most = 0;

    begin(&w, 4);
    w.policy.balance = BALANCE_HASH;
    w.policy.hash_bound = 125;
    compile(&w);
    w.request.hash = key(1);
    for (unsigned n = 0; n < 400; n++) {
        uint32_t i = choose(&w);

        set_active(&w, i, atomic_load(&w.service->endpoints[i].state->active) + 1);
    }
    for (uint32_t i = 0; i < 4; i++)
        if (atomic_load(&w.service->endpoints[i].state->active) > most)
            most = atomic_load(&w.service->endpoints[i].state->active);
    cr_expect(most >= 124 && most <= 126, "the fullest has %u of 400", most);
    end(&w);
}

/* --- backups, draining, weight 0 --- */

Test(balance, backups_are_for_when_no_other_is_available)
{
    struct world w;

    begin(&w, 4);
    w.options[2].backup = w.options[3].backup = true;
    compile(&w);
    expect_shares(&w, 100, 0, SHARES(1, 1, 0, 0));
    set_down(&w, 0, true);
    expect_shares(&w, 100, 0, SHARES(0, 1, 0, 0));
    set_down(&w, 1, true);
    expect_shares(&w, 100, 0, SHARES(0, 0, 1, 1));
    for (unsigned b = BALANCE_ROUND_ROBIN; b <= BALANCE_HASH; b++) {
        w.policy.balance = (enum balance)b;
        compile(&w);
        set_down(&w, 0, false);
        expect_shares(&w, 100, 0, SHARES(1, 0, 0, 0));
        set_down(&w, 0, true);
        expect_shares(&w, 2000, 6, SHARES(0, 0, 1, 1));
    }
    end(&w);
}

Test(balance, a_backup_is_there_for_what_all_others_failed)
{
    struct world w;

    begin(&w, 3);
    w.options[2].backup = true;
    compile(&w);
    w.request.tried =
        (const struct endpoint *[]){ &w.service->endpoints[0], &w.service->endpoints[1] };
    w.request.tried_count = 1;
    cr_expect_eq(choose(&w), 1);
    w.request.tried_count = 2;
    cr_expect_eq(choose(&w), 2);
    end(&w);
}

Test(balance, a_service_of_backups_alone_uses_them)
{
    struct world w;

    begin(&w, 2);
    w.options[0].backup = w.options[1].backup = true;
    compile(&w);
    expect_shares(&w, 100, 0, SHARES(1, 1));
    end(&w);
}

Test(balance, one_that_drains_gets_nobody_new)
{
    struct world w;
    uint64_t id;

    begin(&w, 3);
    w.policy.sticky = STR("srv");
    compile(&w);
    id = balance_sticky_id(w.service, &w.service->endpoints[1]);
    w.options[1].drain = true;
    w.endpoints[2].weight = 0;
    compile(&w);
    expect_shares(&w, 100, 0, SHARES(1, 0, 0));
    w.request.sticky = id;
    cr_expect_eq(choose(&w), 1);
    w.request.sticky = balance_sticky_id(w.service, &w.service->endpoints[2]);
    cr_expect_eq(choose(&w), 2);
    end(&w);
}

Test(balance, nobody_is_left_and_why)
{
    struct world w;

    begin(&w, 2);
    w.policy.health = &(struct health_policy){ .panic = 0 };
    compile(&w);
    set_down(&w, 0, true);
    set_down(&w, 1, true);
    cr_expect_eq(choose(&w), UINT32_MAX);
    cr_expect_eq(w.refusal.why, PASSED_HEALTH);
    set_down(&w, 1, false);
    w.request.tried = (const struct endpoint *[]){ &w.service->endpoints[1] };
    w.request.tried_count = 1;
    cr_expect_eq(choose(&w), UINT32_MAX);
    cr_expect_eq(w.refusal.why, PASSED_TRIED);
    set_down(&w, 0, false);
    cr_expect_eq(choose(&w), 0);
    w.options[0].drain = true;
    compile(&w);
    w.request.tried_count = 0;
    cr_expect_eq(choose(&w), 1);
    w.endpoints[1].weight = 0;
    compile(&w);
    cr_expect_eq(choose(&w), UINT32_MAX);
    end(&w);
}

/* --- those who stick --- */

Test(balance, a_client_sticks_while_its_endpoint_is_there_and_up)
{
    struct world w;
    char text[STICKY_TEXT_SIZE];
    uint32_t other;

    begin(&w, 3);
    w.policy.sticky = STR("srv");
    w.policy.balance = BALANCE_RANDOM;
    compile(&w);
    w.request.sticky = balance_sticky_id(w.service, &w.service->endpoints[2]);
    cr_expect_eq(balance_sticky_text(w.request.sticky, text).len, 16);
    for (unsigned n = 0; n < 100; n++)
        cr_expect_eq(choose(&w), 2);
    set_down(&w, 2, true);
    other = choose(&w);
    cr_expect(other == 0 || other == 1);
    set_down(&w, 2, false);
    cr_expect_eq(choose(&w), 2);
    w.request.tried = (const struct endpoint *[]){ &w.service->endpoints[2] };
    w.request.tried_count = 1;
    cr_expect_neq(choose(&w), 2);
    w.request.tried_count = 0;
    w.count = 2;
    compile(&w);
    cr_expect_lt(choose(&w), 2);
    /* In a panic its health is believed no more than others'. */
    w.request.sticky = balance_sticky_id(w.service, &w.service->endpoints[1]);
    set_down(&w, 0, true);
    set_down(&w, 1, true);
    for (unsigned n = 0; n < 100; n++)
        cr_expect_eq(choose(&w), 1);
    end(&w);
}

Test(balance, an_id_is_of_its_service)
{
    struct world w;
    uint64_t id;

    begin(&w, 1);
    w.policy.sticky = STR("srv");
    compile(&w);
    id = balance_sticky_id(w.service, &w.service->endpoints[0]);
    memcpy(w.service->name, "bew", 3);
    cr_expect_neq(balance_sticky_id(w.service, &w.service->endpoints[0]), id);
    end(&w);
}

/* --- panic --- */

Test(balance, when_too_few_are_up_all_are_used)
{
    struct world w;

    begin(&w, 4);
    set_down(&w, 0, true);
    set_down(&w, 1, true);
    expect_shares(&w, 400, 0.5, SHARES(0, 0, 1, 1));
    set_down(&w, 2, true);
    expect_shares(&w, 400, 0, SHARES(0, 0, 0, 1));
    w.policy.health = &(struct health_policy){ .panic = 50 };
    for (unsigned b = BALANCE_ROUND_ROBIN; b <= BALANCE_HASH; b++) {
        w.policy.balance = (enum balance)b;
        compile(&w);
        expect_shares(&w, 4000, 4, SHARES(1, 1, 1, 1));
    }
    w.policy.balance = BALANCE_ROUND_ROBIN;
    w.policy.health = &(struct health_policy){ .panic = 20 };
    compile(&w);
    expect_shares(&w, 400, 0, SHARES(0, 0, 0, 1));
    w.policy.health = NULL;
    w.options[1].backup = true; /* is down */
    w.options[2].backup = true;
    set_down(&w, 2, false);
    compile(&w);
    expect_shares(&w, 400, 0, SHARES(0, 0, 0, 1));
    set_down(&w, 3, true);
    expect_shares(&w, 400, 0, SHARES(0, 0, 1, 0));
    end(&w);
}

/* --- zones --- */

static void begin_zones(struct world *w, enum balance balance)
{
    begin(w, 6);
    for (unsigned i = 0; i < 3; i++) {
        w->options[i].zone = STR("eu");
        w->options[3 + i].zone = i < 2 ? STR("us") : (struct str){ NULL, 0 };
    }
    w->policy.balance = balance;
    w->zone = "eu";
    compile(w);
}

Test(balance, its_own_zone_is_preferred_while_enough_of_it_is_up)
{
    for (unsigned b = BALANCE_ROUND_ROBIN; b <= BALANCE_HASH; b++) {
        struct world w;

        begin_zones(&w, (enum balance)b);
        expect_shares(&w, 3000, 4, SHARES(1, 1, 1, 0, 0, 0));
        set_down(&w, 0, true);
        expect_shares(&w, 3000, 4, SHARES(0, 1, 1, 0, 0, 0));
        set_down(&w, 1, true); /* two thirds are out: others stand in for these */
        expect_shares(&w, 9000, 4, SHARES(0, 0, 3, 2, 2, 2));
        set_down(&w, 2, true);
        expect_shares(&w, 3000, 4, SHARES(0, 0, 0, 1, 1, 1));
        end(&w);
    }
}

Test(balance, how_much_of_a_zone_is_enough_is_said)
{
    struct world w;

    begin_zones(&w, BALANCE_ROUND_ROBIN);
    w.policy.zone_min = 1; /* 0 % */
    compile(&w);
    set_down(&w, 0, true);
    set_down(&w, 1, true);
    expect_shares(&w, 300, 0, SHARES(0, 0, 1, 0, 0, 0));
    w.policy.zone_min = 101; /* 100 % */
    compile(&w);
    set_down(&w, 1, false);
    expect_shares(&w, 9000, 2, SHARES(0, 3, 3, 1, 1, 1));
    w.zone = "ap";
    compile(&w);
    set_down(&w, 0, false);
    expect_shares(&w, 600, 0, SHARES(1, 1, 1, 1, 1, 1));
    end(&w);
}

Test(balance, keys_of_those_that_are_up_stay_in_a_poor_zone)
{
    static uint16_t before[KEYS], after[KEYS];
    struct world w;

    begin_zones(&w, BALANCE_HASH);
    map_keys(&w, before);
    set_down(&w, 0, true);
    set_down(&w, 1, true);
    map_keys(&w, after);
    for (unsigned n = 0; n < KEYS; n++)
        cr_assert((before[n] == htons(3)) == (before[n] == after[n]));
    end(&w);
}

Test(balance, a_bound_holds_in_a_poor_zone_too)
{
    struct world w;

    begin_zones(&w, BALANCE_HASH);
    w.policy.hash_bound = 200;
    compile(&w);
    set_down(&w, 0, true);
    set_down(&w, 1, true);
    for (unsigned n = 0; n < 600; n++) {
        uint32_t i;

        w.request.hash = key(n);
        i = choose(&w);
        cr_assert(i > 1 && i < 6);
        set_active(&w, i, atomic_load(&w.service->endpoints[i].state->active) + 1);
    }
    for (uint32_t i = 2; i < 6; i++)
        cr_expect(atomic_load(&w.service->endpoints[i].state->active) > 60, "%u has %u of 600", i,
                  atomic_load(&w.service->endpoints[i].state->active));
    end(&w);
}

/* --- slow start --- */

Test(balance, a_new_one_takes_its_share_little_by_little)
{
    for (unsigned b = BALANCE_ROUND_ROBIN; b <= BALANCE_HASH; b++) {
        struct world w;

        if (b == BALANCE_LEAST_CONN)
            continue; /* goes by load, see below */
        begin(&w, 3);
        w.policy.balance = (enum balance)b;
        w.policy.slow_start_ms = 1000;
        w.count = 2;
        compile(&w);
        cr_expect_eq(atomic_load(&w.service->endpoints[0].state->added_ms), 0);
        w.count = 3;
        compile(&w);
        cr_expect_neq(atomic_load(&w.service->endpoints[2].state->added_ms), 0);
        atomic_store(&w.service->endpoints[2].state->added_ms, NOW);
        expect_shares(&w, 20000, 1.5, SHARES(1, 1, 0.1));
        w.request.now_ms = NOW + 500;
        expect_shares(&w, 20000, 1.5, SHARES(1, 1, 0.55));
        w.request.now_ms = NOW + 1000;
        expect_shares(&w, 20000, 1.5, SHARES(1, 1, 1));
        /* Up again, or back from where it was ejected. */
        atomic_store(&w.service->endpoints[2].state->up_ms, NOW + 1000);
        expect_shares(&w, 20000, 1.5, SHARES(1, 1, 0.1));
        atomic_store(&w.service->endpoints[1].state->outlier.until_ms, NOW + 1000);
        expect_shares(&w, 20000, 1.5, SHARES(1, 0.1, 0.1));
        end(&w);
    }
}

Test(balance, all_that_are_new_together_share_evenly)
{
    struct world w;

    begin(&w, 3);
    w.policy.slow_start_ms = 1000;
    compile(&w);
    for (unsigned i = 0; i < 3; i++)
        atomic_store(&w.service->endpoints[i].state->added_ms, NOW);
    expect_shares(&w, 3000, 3, SHARES(1, 1, 1));
    w.policy.balance = BALANCE_LEAST_CONN;
    compile(&w);
    set_active(&w, 0, 1);
    atomic_store(&w.service->endpoints[0].state->added_ms, 0);
    set_active(&w, 1, 1);
    atomic_store(&w.service->endpoints[2].state->added_ms, 0);
    set_active(&w, 2, 2);
    cr_expect_eq(choose(&w), 0,
                 "one request is more for one whose weight rises than two for another");
    end(&w);
}

/* --- told --- */

Test(balance, an_explanation_says_who_is_out_and_why)
{
    enum passed_over out[MOST];
    uint64_t weights[MOST];
    struct world w;

    begin_zones(&w, BALANCE_ROUND_ROBIN);
    w.options[5].backup = true;
    w.options[4].drain = true;
    w.endpoints[2].weight = 0;
    compile(&w);
    set_down(&w, 0, true);
    cr_expect_not(balance_explain(&w.request, out, weights));
    cr_expect_eq(out[0], PASSED_HEALTH);
    cr_expect_eq(out[1], PASSED_NOT);
    cr_expect_gt(weights[1], 0);
    cr_expect_eq(out[2], PASSED_WEIGHT);
    cr_expect_eq(out[3], PASSED_ZONE);
    cr_expect_eq(out[4], PASSED_DRAIN);
    cr_expect_eq(out[5], PASSED_BACKUP);
    end(&w);
}

Test(balance, an_explanation_of_a_poor_zone_needs_neither_turn_nor_lot)
{
    for (unsigned b = BALANCE_ROUND_ROBIN; b <= BALANCE_HASH; b++) {
        enum passed_over out[MOST];
        uint64_t weights[MOST], sum = 0;
        struct world w;

        begin_zones(&w, (enum balance)b);
        w.request.cursor = NULL;
        w.request.random = NULL;
        set_down(&w, 0, true);
        set_down(&w, 1, true);
        cr_expect_not(balance_explain(&w.request, out, weights));
        for (unsigned i = 0; i < 6; i++)
            sum += weights[i];
        cr_expect_eq(weights[2] * 3, sum, "a third");
        cr_expect_eq(weights[3] * 9, sum * 2);
        cr_expect_eq(out[3], PASSED_NOT);
        end(&w);
    }
}
