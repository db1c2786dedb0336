/* process.h -- a program that a test started: what it says, how it ends, what it uses. */
#ifndef HARNESS_PROCESS_H
#define HARNESS_PROCESS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct process {
    pid_t pid; /* 0: never started */
    bool running;
    int status; /* once ended: exit code, or 1000 + signal */
    pthread_t reader;
    pthread_mutex_t lock;
    pthread_cond_t said;
    int fd;
    char *log; /* all it has written to standard error */
    size_t log_len, log_room;
    bool log_ended;
    pid_t group; /* of it and those that follow it; 0: none do */
    pid_t watch; /* ends the group when the test dies */
    int watch_pipe;
};

#define PROCESS_STILL_RUNS (-1)

/* `environment`: NULL or more NAME=VALUE, ending in NULL; every USHER_* of ours is left out.
 * Standard output goes to the file `out`; `files`: limit of descriptors, 0 = ours. The program dies
 * with us. */
void process_start(struct process *p, const char *const argv[], const char *const environment[],
                   const char *out, unsigned files);
/* The same, for one that starts another in its place: these, too, die with us, say what they say to the
 * same log, and are ours to wait for. */
void process_start_followed(struct process *p, const char *const argv[],
                            const char *const environment[], const char *out, unsigned files);
/* That, as systemd does it: these are its descriptors 3, 4, ..., and LISTEN_FDS and LISTEN_PID say so. */
void process_start_activated(struct process *p, const char *const argv[],
                             const char *const environment[], const char *out, const int fds[],
                             unsigned count);
/* Its own process has ended (with what process_wait said); the one that followed it is meant from now on. */
void process_follow(struct process *p, pid_t next);
void process_signal(struct process *p, int signal);
/* Exit code, 1000 + signal, or PROCESS_STILL_RUNS after `ms`. */
int process_wait(struct process *p, unsigned ms);
void process_kill(struct process *p); /* at once, and waits; harmless when ended */
void process_free(struct process *p);

bool process_awaits_log(struct process *p, const char *text, unsigned ms);
unsigned process_log_count(struct process *p, const char *text); /* how often it says `text` */
char *process_log(struct process *p);                            /* kept */

long process_rss_kb(const struct process *p);
long process_cpu_ms(const struct process *p); /* of all its threads */
unsigned process_files(const struct process *p);

/* Runs a program to its end: its exit code; *out and *err (may be NULL) are kept texts. */
int process_run(const char *const argv[], const char *const environment[], char **out, char **err);

#endif
