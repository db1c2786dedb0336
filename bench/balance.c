/* balance.c -- what choosing an endpoint costs by each policy, for services of 2 to 1,000 endpoints.
 *
 *   usage: balance [-r ROUNDS] [-n CHOICES]
 *
 * All endpoints are up, of one weight; then one in ten is down. What is chosen has a request under way
 * from then on, and the one chosen 64 choices ago has one less, so that loads differ. In each round
 * every policy is asked in turn. One line each: policy=P endpoints=N down=D ns=MEDIAN low=QUARTILE
 * high=QUARTILE.
 *
 * Owns:    its services
 * Thread:  one
 * Used by: run
 * Not here: what a whole request costs (load.c)
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "routing/balance.h"
#include "routing/compile.h"

#define SIZES 4
#define POLICIES (BALANCE_HASH + 1)
#define ROUNDS_MOST 100
#define UNDER_WAY 64

static const uint32_t sizes[SIZES] = { 2, 10, 100, 1000 };

static double ns[POLICIES][SIZES][2][ROUNDS_MOST];

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static struct service *make(struct states *states, enum balance balance, uint32_t count)
{
    struct endpoint *endpoints = check_alloc(count * sizeof(*endpoints));
    struct service_policy policy = { .balance = balance };
    struct service *service;

    for (uint32_t i = 0; i < count; i++) {
        endpoints[i].weight = 100;
        endpoints[i].address.v4.sin_family = AF_INET;
        endpoints[i].address.v4.sin_addr.s_addr = htonl(0x0a000000 + i);
        endpoints[i].address.v4.sin_port = htons(8080);
    }
    service = compile_service((struct slot_ref){ 0 }, STR("web"), false, &policy, endpoints, count);
    states_attach(states, &service->object);
    free(endpoints);
    return service;
}

static void set_down(const struct service *s, bool down)
{
    for (uint32_t i = 0; i < s->endpoint_count; i += 10)
        atomic_store(&s->endpoints[i].state->down_ms, down ? 1 : 0);
}

static double measure(const struct service *s, uint32_t choices, struct random *random)
{
    struct endpoint_state *under_way[UNDER_WAY] = { NULL };
    uint32_t cursor = 0;
    struct balance_request r = {
        .service = s, .cursor = &cursor, .random = random, .now_ms = 1000000
    };
    struct balance_refusal refusal;
    uint64_t began = now_ns(), took;

    for (uint32_t i = 0; i < choices; i++) {
        struct endpoint_state **place = &under_way[i % UNDER_WAY];

        r.hash = i * 0x9e3779b97f4a7c15u;
        if (*place != NULL)
            atomic_fetch_sub_explicit(&(*place)->active, 1, memory_order_relaxed);
        *place = balance_choose(&r, &refusal)->state;
        atomic_fetch_add_explicit(&(*place)->active, 1, memory_order_relaxed);
    }
    took = now_ns() - began;
    for (uint32_t i = 0; i < UNDER_WAY && i < choices; i++)
        atomic_fetch_sub_explicit(&under_way[i]->active, 1, memory_order_relaxed);
    return (double)took / choices;
}

static int by_number(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void report(unsigned policy, unsigned size, unsigned down, unsigned rounds)
{
    double *all = ns[policy][size][down];

    qsort(all, rounds, sizeof(*all), by_number);
    printf("policy=%s endpoints=%u down=%s ns=%.1f low=%.1f high=%.1f\n",
           balance_word((enum balance)policy), sizes[size], down ? "tenth" : "none",
           all[rounds / 2], all[rounds / 4], all[rounds * 3 / 4]);
}

static void run(struct service *services[POLICIES][SIZES], unsigned rounds, uint32_t choices)
{
    struct random random;

    random_init(&random);
    for (unsigned r = 0; r < rounds; r++)
        for (unsigned size = 0; size < SIZES; size++)
            for (unsigned p = 0; p < POLICIES; p++)
                for (unsigned down = 0; down < 2; down++) {
                    set_down(services[p][size], down);
                    ns[p][size][down][r] =
                        measure(services[p][size], choices / sizes[size] + UNDER_WAY, &random);
                }
}

int main(int argc, char **argv)
{
    struct service *services[POLICIES][SIZES];
    struct states states;
    unsigned rounds = 11;
    uint32_t choices = 500000;
    int option;

    while ((option = getopt(argc, argv, "r:n:")) != -1) {
        if (option == 'r')
            rounds = (unsigned)atoi(optarg);
        else if (option == 'n')
            choices = (uint32_t)atoi(optarg);
        else
            return 2;
    }
    if (rounds < 1 || rounds > ROUNDS_MOST || choices < 1)
        return 2;
    states_init(&states);
    for (unsigned p = 0; p < POLICIES; p++)
        for (unsigned size = 0; size < SIZES; size++)
            services[p][size] = make(&states, (enum balance)p, sizes[size]);
    run(services, rounds, choices);
    for (unsigned p = 0; p < POLICIES; p++)
        for (unsigned size = 0; size < SIZES; size++) {
            for (unsigned down = 0; down < 2; down++)
                report(p, size, down, rounds);
            object_free(&services[p][size]->object);
        }
    states_free(&states);
    return 0;
}
