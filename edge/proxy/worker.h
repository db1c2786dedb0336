/* worker.h -- one worker thread as control sees it: mails in, mails out, a board to read. */
#ifndef PROXY_WORKER_H
#define PROXY_WORKER_H

#include "base/buf.h"
#include "module_host/ask.h"
#include "net/mailbox.h"
#include "proxy/counters.h"
#include "routing/changes.h"
#include "settings.h"

struct worker;
struct access_log;
struct module_watch;
struct guard;
struct client_trust;

/* Control -> worker (mail.kind). */
enum worker_mail {
    WORKER_ACCEPT,  /* struct accept_mail: begin to accept clients */
    WORKER_CHANGES, /* struct changes_mail */
    WORKER_DRAIN,   /* struct mail: take what waits, close listeners, finish what runs */
    WORKER_HAND_OVER, /* struct mail: the same, but what waits is another edge's; nothing is hurried */
    WORKER_CUT,       /* struct mail: cut what still runs, but for tunnels */
    WORKER_STOP,      /* struct mail: cut what still runs; the thread ends */
    WORKER_CONFIRM, /* struct confirm_mail */
    WORKER_DUMP,    /* struct dump_mail; comes back as CONTROL_DUMPED */
    WORKER_ASKED,   /* struct ask_mail, answered */
    WORKER_BANNED,  /* struct banned_mail */
    WORKER_QUEUE,   /* struct queue_mail */
    WORKER_NAMES,   /* struct mail: a name has its first address, or is known to have none */
};

/* Worker -> control. The receiver frees the mail with free(), but for dump mails (control's own). */
enum control_mail {
    CONTROL_LOOKUP = 100, /* struct lookup_mail */
    CONTROL_RELEASED,     /* struct released_mail */
    CONTROL_DRAINED,      /* struct drained_mail: nothing runs on that worker any more */
    CONTROL_DUMPED,       /* struct dump_mail */
    CONTROL_CONFIRMED,    /* struct confirmation: every worker has applied what came before it */
    CONTROL_ASK,          /* struct ask_mail; comes back as WORKER_ASKED, or is freed at the end */
    CONTROL_RATE,         /* struct rate_mail */
};

/* Listening, non-blocking sockets; the worker owns them and `fds` from here on. */
struct accept_mail {
    struct mail mail;
    unsigned count;
    int *fds;
};

struct changes_mail {
    struct mail mail;
    struct changes *changes; /* shared: the last worker to have applied it frees it */
};

struct banned;
struct banned_mail {
    struct mail mail;
    struct banned *banned; /* NULL: nobody */
};

/* Shared by the workers: the last one posts it. */
struct confirmation {
    struct mail mail;
    atomic_uint workers_left;
    uint64_t number;
};

struct confirm_mail {
    struct mail mail;
    struct confirmation *confirmation;
};

struct lookup_mail {
    struct mail mail;
    unsigned worker;
    uint8_t host_len;
    char host[HOST_MAX_BYTES + 1];
};

/* A place of this service was given to this worker, or is wanted of it; or there are more or fewer than before.
 * The state is held until the mail is read. From control, and from any worker. */
struct queue_mail {
    struct mail mail;
    struct service_state *service;
};

/* A module's question. What of it is the worker's own lies behind it. */
struct ask_mail {
    struct mail mail;
    unsigned worker;
    struct ask ask;
};

/* A tenant's share of a rate of the cluster runs out. Its state's lease says that it is asking, until control
 * has an answer. */
struct tenant_state;
struct rate_mail {
    struct mail mail;
    struct tenant_state *state;
    uint32_t rps, burst;
};

/* Replaced objects that no exchange of this worker uses any more. */
struct released_mail {
    struct mail mail;
    unsigned worker;
    size_t count;
    struct object *objects[];
};

struct drained_mail {
    struct mail mail;
    unsigned worker;
};

enum dump_what { DUMP_WORKER, DUMP_HOSTS, DUMP_SERVICES, DUMP_UPSTREAMS, DUMP_EXCHANGES };

struct dump_mail {
    struct mail mail;
    enum dump_what what;
    unsigned worker;
    void *owner;     /* control's own */
    struct buf json; /* one JSON value, written by the worker */
};

/* What all workers share beside compiled objects. */
struct worker_shared {
    const struct settings *settings;
    const struct guard *guard;
    const struct client_trust *trust; /* NULL: of clients nobody */
    const struct module_registry *modules;
    struct mailbox *control;
    struct access_log *access_log; /* NULL: off */
    atomic_int client_room;        /* connections that may still be accepted */
    struct worker *const *workers; /* all there are, before the first change is mailed */
    pthread_barrier_t stopped;     /* what workers mail each other finds its mailbox open */
};

/* The thread runs when this returns; it accepts nothing before WORKER_ACCEPT. */
struct worker *worker_start(struct worker_shared *shared, unsigned index);
void worker_post(struct worker *w, struct mail *mail);
const struct counters *worker_counters(const struct worker *w);
const struct module_watch *worker_modules(const struct worker *w);
void worker_join(struct worker *w); /* after WORKER_STOP; frees it */

#endif
