/* verified.c -- whose password was right lately: a table of bounded size, made when there is somebody to keep.
 *
 * Owns:    the table; the slots of passwords that are being judged.
 * Thread:  any; the lock is held for as long as a few digests are compared.
 * Used by: basic_auth.c.
 * Not here: who is to be believed for how long (basic_auth.c). */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "basic_auth.h"

#define SETS 64
#define FIRST_TOOK_MS 100
#define WAYS 4
/* Of no password that anybody knows. */
#define FIRST_DECOY "$2b$10$0x1iqFp1r6nBoZyqCsbv4.ERRrmqw5.Pu5Id0Ax5kWyQns4QD/Fqm"

struct basic_auth_shared {
    pthread_mutex_t lock;
    uint64_t busy_until_ms[BASIC_AUTH_JUDGING_MOST]; /* slots */
    uint64_t took_ms;                                /* to judge, last time */
    char decoy[BASIC_AUTH_HASH_MAX + 1];
    struct basic_auth_verified (*sets)[WAYS]; /* confirmed_ms 0: free */
};

struct basic_auth_shared *basic_auth_shared_new(void)
{
    struct basic_auth_shared *s = calloc(1, sizeof(*s));

    if (s == NULL)
        return NULL;
    s->took_ms = FIRST_TOOK_MS;
    pthread_mutex_init(&s->lock, NULL);
    memcpy(s->decoy, FIRST_DECOY, sizeof(FIRST_DECOY));
    return s;
}

void basic_auth_shared_free(struct basic_auth_shared *s)
{
    pthread_mutex_destroy(&s->lock);
    free(s->sets);
    free(s);
}

/* The set of that user; NULL: nobody has been kept yet. */
static struct basic_auth_verified *set_of(struct basic_auth_shared *s, const uint8_t user[32])
{
    return s->sets != NULL ? s->sets[user[0] % SETS] : NULL;
}

bool basic_auth_find(struct basic_auth_shared *s, const uint8_t user[32],
                     struct basic_auth_verified *found)
{
    struct basic_auth_verified *set;
    bool any = false;

    pthread_mutex_lock(&s->lock);
    set = set_of(s, user);
    for (unsigned i = 0; set != NULL && i < WAYS && !any; i++) {
        any = set[i].confirmed_ms > 0 && memcmp(set[i].user, user, 32) == 0;
        if (any)
            *found = set[i];
    }
    pthread_mutex_unlock(&s->lock);
    return any;
}

void basic_auth_remember(struct basic_auth_shared *s, const struct basic_auth_verified *v)
{
    struct basic_auth_verified *set, *place;

    pthread_mutex_lock(&s->lock);
    if (s->sets == NULL)
        s->sets = calloc(SETS, sizeof(*s->sets));
    set = place = set_of(s, v->user);
    for (unsigned i = 0; set != NULL && i < WAYS; i++) {
        if (memcmp(set[i].user, v->user, 32) == 0) {
            place = &set[i];
            break;
        }
        if (set[i].confirmed_ms < place->confirmed_ms)
            place = &set[i];
    }
    if (place != NULL) /* else no memory: it is judged again */
        *place = *v;
    pthread_mutex_unlock(&s->lock);
}

void basic_auth_decoy(struct basic_auth_shared *s, char to[BASIC_AUTH_HASH_MAX + 1])
{
    pthread_mutex_lock(&s->lock);
    memcpy(to, s->decoy, sizeof(s->decoy));
    pthread_mutex_unlock(&s->lock);
}

void basic_auth_set_decoy(struct basic_auth_shared *s, const char *hash)
{
    pthread_mutex_lock(&s->lock);
    memset(s->decoy, 0, sizeof(s->decoy));
    memcpy(s->decoy, hash, strlen(hash));
    pthread_mutex_unlock(&s->lock);
}

uint32_t basic_auth_begin_judging(struct basic_auth_shared *s, uint64_t now_ms)
{
    uint32_t slot = BASIC_AUTH_NO_SLOT;

    pthread_mutex_lock(&s->lock);
    for (uint32_t i = 0; i < BASIC_AUTH_JUDGING_MOST && slot == BASIC_AUTH_NO_SLOT; i++)
        if (s->busy_until_ms[i] <= now_ms)
            slot = i;
    if (slot != BASIC_AUTH_NO_SLOT)
        s->busy_until_ms[slot] = UINT64_MAX;
    pthread_mutex_unlock(&s->lock);
    return slot;
}

void basic_auth_end_judging(struct basic_auth_shared *s, uint32_t slot, uint64_t took_ms)
{
    pthread_mutex_lock(&s->lock);
    s->busy_until_ms[slot] = 0;
    s->took_ms = took_ms;
    pthread_mutex_unlock(&s->lock);
}

void basic_auth_leave_judging(struct basic_auth_shared *s, uint32_t slot, uint64_t now_ms)
{
    pthread_mutex_lock(&s->lock);
    s->busy_until_ms[slot] = now_ms + s->took_ms;
    pthread_mutex_unlock(&s->lock);
}
