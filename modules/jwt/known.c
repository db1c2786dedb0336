/* known.c -- keys that were fetched, until when they are good and who fetches them anew; signatures that were right.
 *
 * Owns:    the keys; the table of signatures, made when there is one to keep.
 * Thread:  any; the lock is held for as long as a key is copied.
 * Used by: jwt.c.
 * Not here: asking for keys (jwt.c). */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "jwt.h"

#define LEASE_MS 10000       /* who fetches has so long */
#define TRY_AGAIN_MS 1000    /* after it went wrong */
#define UNKNOWN_KID_MS 30000 /* between two fetches that only a strange kid is the reason for */
#define RIGHT_MOST 256

struct jwt_known {
    pthread_mutex_t lock;
    struct jwt_keys *keys;
    uint64_t keep_ms;
    uint64_t fetched_ms, failed_ms, leased_until_ms, unknown_ms; /* 0: never */
    enum jwt_fetched last;
    uint8_t (*right)[32];
};

struct jwt_known *jwt_known_new(uint64_t keep_ms)
{
    struct jwt_known *k = calloc(1, sizeof(*k));

    if (k == NULL)
        return NULL;
    pthread_mutex_init(&k->lock, NULL);
    k->keep_ms = keep_ms;
    return k;
}

void jwt_known_free(struct jwt_known *k)
{
    pthread_mutex_destroy(&k->lock);
    jwt_keys_free(k->keys);
    free(k->right);
    free(k);
}

/* --- keys --- */

static bool may_fetch(const struct jwt_known *k, uint64_t now_ms)
{
    return k->failed_ms == 0 || now_ms >= k->failed_ms + TRY_AGAIN_MS;
}

/* Old keys serve on while new ones are fetched, and while none can be had. */
static enum jwt_plan plan(struct jwt_known *k, const struct jwt_key *key, uint64_t now_ms)
{
    bool leased = now_ms < k->leased_until_ms;
    bool fresh = k->keys != NULL && now_ms < k->fetched_ms + k->keep_ms;

    if (key != NULL && (fresh || leased))
        return JWT_USE;
    if (leased)
        return JWT_LATER;
    if (!fresh && may_fetch(k, now_ms))
        return JWT_FETCH;
    if (key != NULL)
        return JWT_USE;
    if (k->keys == NULL)
        return JWT_AWAY;
    if (!k->keys->named || !may_fetch(k, now_ms) ||
        (k->unknown_ms != 0 && now_ms < k->unknown_ms + UNKNOWN_KID_MS))
        return JWT_NO_KEY;
    k->unknown_ms = now_ms;
    return JWT_FETCH;
}

enum jwt_plan jwt_known_plan(struct jwt_known *k, const struct jwt_token *t, uint64_t now_ms,
                             struct jwt_key *key, enum jwt_fetched *last)
{
    const struct jwt_key *found;
    enum jwt_plan what;

    pthread_mutex_lock(&k->lock);
    found = k->keys != NULL ? jwt_keys_choose(k->keys, t) : NULL;
    what = plan(k, found, now_ms);
    if (what == JWT_USE)
        memcpy(key, found, offsetof(struct jwt_key, bytes) + found->len);
    if (what == JWT_FETCH)
        k->leased_until_ms = now_ms + LEASE_MS;
    *last = k->last;
    pthread_mutex_unlock(&k->lock);
    return what;
}

void jwt_known_fetched(struct jwt_known *k, enum jwt_fetched how, struct jwt_keys *keys,
                       uint64_t now_ms)
{
    struct jwt_keys *old = NULL;

    pthread_mutex_lock(&k->lock);
    k->leased_until_ms = 0;
    if (how == JWT_FETCHED || how == JWT_GONE) {
        old = k->keys;
        k->keys = keys;
        k->fetched_ms = now_ms;
    }
    if (how != JWT_FETCH_BROKEN) {
        k->failed_ms = how == JWT_FETCHED ? 0 : now_ms;
        k->last = how;
    }
    pthread_mutex_unlock(&k->lock);
    jwt_keys_free(old);
}

/* --- signatures --- */

/* The digest says the place: a token in the place of another just costs that one its verification again. */
bool jwt_known_is_right(struct jwt_known *k, const uint8_t digest[32])
{
    bool right;

    pthread_mutex_lock(&k->lock);
    right = k->right != NULL && memcmp(k->right[digest[0] % RIGHT_MOST], digest, 32) == 0;
    pthread_mutex_unlock(&k->lock);
    return right;
}

void jwt_known_remember(struct jwt_known *k, const uint8_t digest[32])
{
    pthread_mutex_lock(&k->lock);
    if (k->right == NULL)
        k->right = calloc(RIGHT_MOST, sizeof(*k->right));
    if (k->right != NULL)
        memcpy(k->right[digest[0] % RIGHT_MOST], digest, 32);
    pthread_mutex_unlock(&k->lock);
}
