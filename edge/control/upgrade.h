/* upgrade.h -- SIGUSR2: the next edge is started, and handed every listening socket; then this one drains.
 *
 * Both hold the same sockets, so that whoever waits in a queue is accepted by one or by the other. This one
 * stops accepting when the next one says that it accepts (takeover.h). A next one that fails changes nothing. */
#ifndef CONTROL_UPGRADE_H
#define CONTROL_UPGRADE_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/buf.h"
#include "net/timer.h"

struct control;
struct upgrade_talk;

enum upgrade_phase {
    UPGRADE_NONE,
    UPGRADE_LETS_GO, /* of --state-dir, so that the next one finds it free */
    UPGRADE_AWAITS,  /* the next one runs, and is not ready yet */
    UPGRADE_FAILS,   /* it ends, or is ended */
    UPGRADE_DONE,    /* it serves; this one drains */
};

struct upgrade {
    struct control *control;
    enum upgrade_phase phase;
    char program[4096]; /* what is started: a path; "" : it was not found */
    pid_t next;
    struct upgrade_talk *talk; /* NULL: none */
    struct timer limit;
    uint64_t began_ms;
    unsigned looks;  /* for the end of a next one that fails */
    unsigned failed; /* upgrades */
    char reason[200];
};

void upgrade_init(struct control *c);
/* SIGUSR2. Refused, with a line in the log, while one is under way or this edge ends. */
void upgrade_begin(struct control *c);
/* --state-dir is free for the next one. */
void upgrade_let_go(struct control *c);
/* This edge ends: a next one that does not serve yet is ended, too. */
void upgrade_abort(struct control *c);
/* {"pid":..., "started":..., "phase":"none", "failed":N, "reason":"..."}: for `usher upgrade`. */
void upgrade_state(const struct control *c, struct buf *json);

#endif
