/* edge.h -- the program under test, as a process. */
#ifndef HARNESS_EDGE_H
#define HARNESS_EDGE_H

#include "harness/process.h"

#define EDGE_LISTENS_MAX 8

struct edge {
    struct process process;
    char at[64];                     /* the first address it serves: "127.0.0.1:4711" */
    char also[EDGE_LISTENS_MAX][64]; /* all of them, `at` first */
    unsigned listens;
    char admin[64];
    char out[96]; /* the file its standard output goes to */
};

struct edge_options {
    const char *flags[40];       /* more than the usual ones */
    const char *environment[12]; /* NAME=VALUE */
    const char *redis;           /* URL; NULL: no --redis flag */
    unsigned workers;            /* 0: 2 */
    unsigned files;              /* limit of descriptors; 0: ours */
    bool bare;                   /* neither --listen nor --admin nor --workers: flags say all */
    bool unready;                /* do not wait for /readyz */
    bool followed;               /* another may follow it, see process.h */
    const char *program;         /* NULL: edge_program() */
    int activated[4];            /* listening sockets, as systemd hands them over; see process.h */
    unsigned activated_count;
};

const char *edge_program(void); /* USHER_BIN, else build/usher */
bool edge_has_sanitizer(void);  /* it is slower and bigger then */

/* Returns when it serves (and is ready, unless told otherwise). `dir`: for its output. */
void edge_start(struct edge *e, const char *dir, const struct edge_options *o);
/* The old process has handed over to another and ends: it must end well. The new one is meant from now on. */
void edge_follow(struct edge *e);
/* The number in the log's last ` upgraded pid=`. */
pid_t edge_next(struct edge *e);
/* SIGTERM, and asserts that it ends well: exit 0, no sanitizer's report. */
void edge_stop(struct edge *e);
void edge_free(struct edge *e);
/* NULL, or the line of its log that no edge should ever write. */
const char *edge_report(struct edge *e);

#endif
