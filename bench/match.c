/* match.c -- what finding the rule of a request costs, for tenants of 10 to 10,000 rules.
 *
 *   usage: match [-r ROUNDS] [-n REQUESTS]
 *
 * Rules are half exact paths, half prefixes, each tenth with a method; some prefixes are as deep as
 * five segments. In each round every tenant is asked in turn, the order rotating: for the paths of
 * ten of its rules that all tenants have ("ten"), and for those of all its rules at random ("all").
 * One line each: rules=N paths=ten|all ns=MEDIAN low=QUARTILE high=QUARTILE ratio=R, the ratio being
 * the median of those to ten rules in the same round.
 *
 * Owns:    its tenants
 * Thread:  one
 * Used by: run
 * Not here: what a whole request costs (load.c)
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/random.h"
#include "routing/compile.h"

#define TENANTS 4
#define SHARED 10 /* rules that all tenants have */
#define ROUNDS_MOST 1000

static const uint32_t sizes[TENANTS] = { SHARED, 100, 1000, 10000 };
enum { PATHS_TEN, PATHS_ALL, PATHS };

struct tenant_rules {
    struct routes *routes;
    char (*paths)[96]; /* one that meets each rule, in the order the rules were made */
    uint32_t count;
};

static double ns[PATHS][TENANTS][ROUNDS_MOST];

static void make_rule(uint32_t i, char *text, size_t size, char *path, size_t path_size)
{
    static const char *const depths[] = { "", "/v1", "/v1/shop", "/v1/shop/items" };
    const char *method = i % 10 == 9 ? "method GET,HEAD " : "";
    const char *above = depths[i / 2 % 4];

    snprintf(path, path_size, i % 2 ? "%s/area-%u/page/42" : "%s/page-%u", above, i);
    if (i % 2)
        snprintf(text, size, "path %s/area-%u/* %sto service:s%u", above, i, method, i % 50);
    else
        snprintf(text, size, "path %s %sto service:s%u", path, method, i % 50);
}

static struct tenant_rules make_tenant(uint32_t count)
{
    struct tenant_rules t = { .count = count, .paths = check_alloc(count * sizeof(*t.paths)) };
    struct value_field *fields = check_alloc(count * sizeof(*fields));
    char(*texts)[160] = check_alloc(count * sizeof(*texts));
    char(*names)[16] = check_alloc(count * sizeof(*names));
    struct value value = { .kind = VALUE_HASH, .type = "hash", .fields = fields, .count = count };
    struct record_fields decoded;
    struct record_error error;
    uint32_t slots[64] = { 0 };

    for (uint32_t i = 0; i < count; i++) {
        make_rule(i, texts[i], sizeof(texts[i]), t.paths[i], sizeof(t.paths[i]));
        snprintf(names[i], sizeof(names[i]), "r%u", i);
        fields[i] = (struct value_field){ str_from(names[i]), str_from(texts[i]) };
    }
    if (!record_decode(NULL, FAMILY_routes, STR("bench"), &value, &decoded, &error)) {
        fprintf(stderr, "match: rule %s: got %s, expected %s\n", error.field, error.value,
                error.expected);
        exit(1);
    }
    t.routes = compile_routes((struct slot_ref){ 0, 0 }, STR("bench"), &decoded, slots);
    record_fields_free(&decoded);
    free(names);
    free(texts);
    free(fields);
    return t;
}

static struct str no_header(void *owner, struct str name, unsigned n)
{
    (void)owner;
    (void)name;
    (void)n;
    return (struct str){ NULL, 0 };
}

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Nanoseconds for each request of `count`. The paths stand in the order in which they are asked
 * for, as a request's path is at hand when its rule is looked for. */
static double measure(const struct tenant_rules *t, uint32_t among, uint32_t count,
                      struct route_scratch *scratch)
{
    struct route_request q = { .header = no_header, .method = STR("GET") };
    char(*asked)[sizeof(t->paths[0])] = check_alloc(count * sizeof(*asked));
    uint64_t began, took;
    struct random random;
    uint32_t met = 0;

    random_init(&random);
    for (uint32_t i = 0; i < count; i++)
        memcpy(asked[i], t->paths[random_below(&random, among)], sizeof(*asked));
    for (unsigned warm = 0; warm < 2; warm++) {
        began = now_ns();
        met = 0;
        for (uint32_t i = 0; i < count; i++) {
            q.path = str_from(asked[i]);
            met += routes_match(t->routes, &q, scratch) != NULL;
        }
        took = now_ns() - began;
    }
    CHECK(met == count);
    free(asked);
    return (double)took / count;
}

static int by_number(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double quantile(const double *numbers, unsigned count, double part)
{
    double sorted[ROUNDS_MOST];

    memcpy(sorted, numbers, count * sizeof(*sorted));
    qsort(sorted, count, sizeof(*sorted), by_number);
    return sorted[(unsigned)((count - 1) * part + 0.5)];
}

static void report(unsigned rounds)
{
    static const char *const words[PATHS] = { "ten", "all" };

    for (unsigned p = 0; p < PATHS; p++)
        for (unsigned t = 0; t < TENANTS; t++) {
            double ratios[ROUNDS_MOST];

            for (unsigned r = 0; r < rounds; r++)
                ratios[r] = ns[p][t][r] / ns[p][0][r];
            printf("rules=%u paths=%s ns=%.1f low=%.1f high=%.1f ratio=%.3f\n", sizes[t], words[p],
                   quantile(ns[p][t], rounds, 0.5), quantile(ns[p][t], rounds, 0.25),
                   quantile(ns[p][t], rounds, 0.75), quantile(ratios, rounds, 0.5));
        }
}

int main(int argc, char **argv)
{
    struct route_scratch *scratch = route_scratch_new();
    struct tenant_rules tenants[TENANTS];
    unsigned rounds = 21;
    uint32_t requests = 100000;
    int option;

    while ((option = getopt(argc, argv, "r:n:")) != -1) {
        if (option == 'r')
            rounds = (unsigned)atoi(optarg);
        else if (option == 'n')
            requests = (uint32_t)atoi(optarg);
        else
            return 2;
    }
    if (rounds < 1 || rounds > ROUNDS_MOST || requests < 1)
        return 2;
    for (unsigned t = 0; t < TENANTS; t++)
        tenants[t] = make_tenant(sizes[t]);
    for (unsigned r = 0; r < rounds; r++)
        for (unsigned i = 0; i < TENANTS; i++) {
            unsigned t = (i + r) % TENANTS;

            ns[PATHS_TEN][t][r] = measure(&tenants[t], SHARED, requests, scratch);
            ns[PATHS_ALL][t][r] = measure(&tenants[t], sizes[t], requests, scratch);
        }
    report(rounds);
    for (unsigned t = 0; t < TENANTS; t++) {
        object_free(&tenants[t].routes->object);
        free(tenants[t].paths);
    }
    route_scratch_free(scratch);
    return 0;
}
