/* test_module_tables.c -- what basic_auth and jwt keep, under several workers at once; for ThreadSanitizer.
 *
 * Each worker remembers and looks up users and signatures, and asks for keys: who is told to fetch them
 * does so. What is found must be whole, whoever wrote it, and a key is never one that was freed. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/random.h"
#include "modules/basic_auth/basic_auth.h"
#include "modules/jwt/jwt.h"
#include "proxy/module_run.h"

#define WORKERS 4
#define ROUNDS 4000
#define USERS 600
#define SET                                                                                        \
    "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"a\","                                  \
    "\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","                                       \
    "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}]}"

struct player {
    pthread_t thread;
    struct random random;
};

static struct player players[WORKERS];
static struct basic_auth_shared *shared;
static struct jwt_known *known;
static atomic_ulong now_ms = 1, fetches, uses, finds, broken;

static void play_users(struct player *p)
{
    unsigned user = (unsigned)(random_next(&p->random) % USERS);
    uint8_t mark = (uint8_t)random_next(&p->random);
    struct basic_auth_verified v = { .confirmed_ms = atomic_load(&now_ms) }, found;
    char hash[BASIC_AUTH_HASH_MAX + 1];
    uint32_t slot;

    memcpy(v.user, &user, sizeof(user));
    memset(v.hash, mark, sizeof(v.hash));
    memset(v.proof, mark, sizeof(v.proof));
    basic_auth_remember(shared, &v);
    if (basic_auth_find(shared, v.user, &found)) {
        atomic_fetch_add(&finds, 1);
        if (memcmp(found.user, v.user, 32) != 0 || memcmp(found.hash, found.proof, 32) != 0)
            atomic_fetch_add(&broken, 1);
    }
    memset(hash, 'a' + mark % 26, 60);
    hash[60] = '\0';
    basic_auth_set_decoy(shared, hash);
    basic_auth_decoy(shared, hash);
    if (strspn(hash, (char[2]){ hash[0], '\0' }) != strlen(hash) && hash[0] != '$')
        atomic_fetch_add(&broken, 1);
    slot = basic_auth_begin_judging(shared, atomic_load(&now_ms));
    if (slot != BASIC_AUTH_NO_SLOT && mark % 2 == 0)
        basic_auth_end_judging(shared, slot, 1);
    else if (slot != BASIC_AUTH_NO_SLOT)
        basic_auth_leave_judging(shared, slot, atomic_load(&now_ms));
}

static void play_keys(struct player *p)
{
    struct jwt_token t = { .alg = JWT_ES256, .has_kid = true, .kid = "a" };
    struct jwt_key key;
    enum jwt_fetched last;
    const char *why;
    uint8_t digest[32];

    memset(digest, (int)random_next(&p->random), sizeof(digest));
    jwt_known_remember(known, digest);
    jwt_known_is_right(known, digest);
    switch (jwt_known_plan(known, &t, atomic_fetch_add(&now_ms, 1), &key, &last)) {
    case JWT_USE:
        atomic_fetch_add(&uses, 1);
        if (strcmp(key.kid, "a") != 0 || key.len != 91 || key.bytes[0] != 0x30)
            atomic_fetch_add(&broken, 1);
        break;
    case JWT_FETCH:
        atomic_fetch_add(&fetches, 1);
        jwt_known_fetched(known, JWT_FETCHED,
                          jwt_keys_of_set(&modules_host, usher_text(SET), JWT_BIT(JWT_ES256), &why),
                          atomic_load(&now_ms));
        break;
    default:
        break;
    }
}

static void *play(void *arg)
{
    for (unsigned i = 0; i < ROUNDS; i++) {
        play_users(arg);
        play_keys(arg);
    }
    return NULL;
}

Test(module_tables, what_workers_find_is_whole, .timeout = 60)
{
    shared = basic_auth_shared_new();
    known = jwt_known_new(10);
    for (unsigned i = 0; i < WORKERS; i++) {
        players[i].random.state = i + 1;
        cr_assert_eq(pthread_create(&players[i].thread, NULL, play, &players[i]), 0);
    }
    for (unsigned i = 0; i < WORKERS; i++)
        pthread_join(players[i].thread, NULL);
    cr_assert_eq(broken, 0);
    cr_assert_gt(finds, 0);
    cr_assert_gt(uses, 0);
    cr_assert_gt(fetches, 1);
    jwt_known_free(known);
    basic_auth_shared_free(shared);
}
