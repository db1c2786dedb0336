/* worker_state.h -- what one worker thread owns; for the rooms of proxy/ only. */
#ifndef PROXY_WORKER_STATE_H
#define PROXY_WORKER_STATE_H

#include "base/map.h"
#include "base/random.h"
#include "http/parser.h"
#include "net/listener.h"
#include "net/loop.h"
#include "proxy/exchange.h"
#include "proxy/gather.h"
#include "proxy/module_watch.h"
#include "proxy/locate.h"
#include "proxy/sites.h"
#include "proxy/upstream_pool.h"
#include "proxy/worker.h"

#define WORKER_RULE_CURSORS 1024 /* shared by rules when there are more */
#define DATE_TEXT_SIZE 32        /* "Sun, 06 Nov 1994 08:49:37 GMT" */

struct worker {
    unsigned index;
    struct worker_shared *shared;
    const struct settings *settings;
    pthread_t thread;
    struct loop loop;
    struct mailbox box;
    struct counters *counters;

    struct listener *listeners; /* NULL until it may accept */
    unsigned listener_count;
    bool accept_paused; /* a listener was paused since the last connection ended */
    uint64_t pause_logged_ms;
    bool pause_told;          /* a line said so, and none yet that it goes on */
    struct banned *banned;    /* NULL: nobody is */
    uint64_t proxy_logged_ms; /* when a refused PROXY header was last told of */
    bool draining, drained, stopping;
    bool handed_over; /* draining, while another edge serves: nobody waits for it */

    struct conn_read_buffer read_buffer;
    struct gather to_client, to_upstream;
    struct parser_limits limits;
    struct sites sites;
    struct upstream_pool pool;
    struct list placed; /* upstreams that have a place (max_conns) */
    struct list queued; /* exchanges that wait for one, or have just got it: struct queue_wait */
    struct list served; /* of these, those that have got one and go on at the turn's end */
    struct turn_end serve;
    struct locate_waits locate_waits;
    uint32_t next_address; /* of names with several: each attempt begins at another */
    struct random random;
    struct retry_budget retries;                /* of endpoints that no service names */
    uint32_t rule_cursors[WORKER_RULE_CURSORS]; /* balancing of endpoints that a rule lists */
    struct route_scratch *route_scratch;
    char *path_form; /* scratch: a path, and its normal form */

    struct map tunnel_groups;  /* by the name of their service */
    struct timer tunnel_limit; /* draining: then tunnels are ended */
    struct list sessions;
    unsigned session_count;
    struct list running;      /* exchanges */
    struct list ended, spare; /* exchanges that ended in this turn; those kept for reuse */
    unsigned spare_count;
    struct list spare_runs; /* of modules, kept for reuse */
    unsigned spare_run_count;
    struct map asks;         /* struct module_ask: those that may be shared, by what they ask */
    unsigned asks_open;      /* questions of modules that have not come back */
    struct list subrequests; /* of modules; begun or about to */
    struct subrequest_count {
        unsigned all, forgotten;
        size_t forgotten_bytes;
    } subrequest_count;
    struct module_watch modules;
    struct kept_replies *replies; /* of faults, once answered; NULL: none was */
    char *file_room;              /* a piece of a file on its way; NULL: none was sent yet */
    struct turn_end reap;

    struct buf access_lines;
    struct turn_end access_flush;
    uint64_t log_second; /* fault lines are bounded per second */
    unsigned log_lines, log_left_out;
    uint64_t module_log_second; /* and so are modules' own */
    unsigned module_log_lines;
    uint64_t endpoint_log_second; /* and what endpoints have to say */
    unsigned endpoint_log_lines;
    uint64_t date_second;
    char date[DATE_TEXT_SIZE];
};

/* The current IMF-fixdate (RFC 9110 5.6.7); renewed once a second. */
struct str worker_date(struct worker *w);
/* A client connection ended: its place is free. */
void worker_session_gone(struct worker *w);
/* A sub-request ended: what drains may be drained. */
void worker_subrequest_gone(struct worker *w);

#endif
