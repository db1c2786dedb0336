/* await.h -- waiting for what will be: a clock, eventually(), gates between threads, kept memory.
 *
 * Nothing in a test sleeps for a guessed time: it awaits a state, with a limit that only a failure
 * reaches. */
#ifndef HARNESS_AWAIT_H
#define HARNESS_AWAIT_H

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How long a test waits for what must come, before it calls it a failure. */
#define AWAIT_MS 8000

uint64_t await_now_ms(void);
void await_nap(void); /* a few milliseconds between two looks */

/* Looks until `cond` holds; false when it did not within `ms`. */
#define eventually(cond, ms)                                                                       \
    ({                                                                                             \
        uint64_t until_ = await_now_ms() + (uint64_t)(ms);                                         \
        bool met_;                                                                                 \
                                                                                                   \
        while (!(met_ = (cond)) && await_now_ms() < until_)                                        \
            await_nap();                                                                           \
        met_;                                                                                      \
    })

#define await(cond) cr_assert(eventually(cond, AWAIT_MS), "never came to be: %s", #cond)
#define await_within(cond, ms)                                                                     \
    cr_assert(eventually(cond, ms), "not within %d ms: %s", (int)(ms), #cond)
/* Holds now and stays so for `ms`. */
#define stays(cond, ms) cr_assert(!eventually(!(cond), ms), "did not last: %s", #cond)

/* A gate that threads wait at until somebody opens it, for good or for so many of them. */
struct gate {
    pthread_mutex_t lock;
    pthread_cond_t opened;
    unsigned passes, waiting;
    bool open;
};

#define GATE_CLOSED { .lock = PTHREAD_MUTEX_INITIALIZER, .opened = PTHREAD_COND_INITIALIZER }

void gate_wait(struct gate *g);
void gate_pass(struct gate *g, unsigned count);
void gate_open(struct gate *g);
unsigned gate_waiting(struct gate *g);

/* Starts a thread with a small stack: an origin has one for each connection. */
void await_thread(pthread_t *thread, void *(*run)(void *), void *owner);

/* Memory of the harness and of tests, freed together at the end of the scene. */
void *kept(void *from_malloc);
void *kept_alloc(size_t size);
char *kept_text(const char *bytes, size_t len);
char *kept_format(const char *format, ...) __attribute__((format(printf, 1, 2)));
void kept_free(void);

bool has(const char *text, const char *part); /* false also when text is NULL */
bool starts(const char *text, const char *with);

#endif
