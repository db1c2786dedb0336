/* metrics.c -- the workers' boards added up, the store's figures, the process's: as text.
 *
 * Owns:    the names of the metrics.
 * Thread:  control
 * Used by: admin_pages.c.
 * Not here: counting (proxy/, store/). */
#include "control/metrics.h"

#include <dirent.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "control/queues.h"

struct row {
    const char *name, *type, *says;
    size_t at;
};

#define BOARD(member) offsetof(struct counters, member)

static const struct row board_rows[] = {
    { "usher_host_cache_hits_total", "counter", "Requests whose host the worker remembered.",
      BOARD(host_hits) },
    { "usher_host_cache_misses_total", "counter", "Requests whose host control was asked for.",
      BOARD(host_misses) },
    { "usher_hosts_held", "gauge", "Hosts remembered, all workers together.", BOARD(hosts_held) },
    { "usher_hosts_waiting", "gauge", "Hosts that control is being asked for.",
      BOARD(waiting_lookups) },
    { "usher_client_connections", "gauge", "Client connections open.", BOARD(clients_open) },
    { "usher_client_connections_total", "counter", "Client connections accepted.",
      BOARD(clients_accepted) },
    { "usher_exchanges", "gauge", "Requests under way.", BOARD(exchanges_open) },
    { "usher_tunnels", "gauge", "Upgraded connections (WebSocket).", BOARD(tunnels_open) },
    { "usher_upstream_connects_total", "counter", "Connections opened to endpoints.",
      BOARD(upstream_connects) },
    { "usher_upstream_reuses_total", "counter", "Requests sent over a kept connection.",
      BOARD(upstream_reuses) },
    { "usher_retries_refused_total", "counter", "Retries and hedges beyond the budget of retries.",
      BOARD(retries_refused) },
    { "usher_hedges_won_total", "counter",
      "Requests whose second attempt was the first to be answered.", BOARD(hedges_won) },
    { "usher_breakers_opened_total", "counter", "Times that a service was found failing (breaker).",
      BOARD(breakers_opened) },
    { "usher_regexes_given_up_total", "counter",
      "Requests for which a regex of a rule could not be tried within its limits.",
      BOARD(regexes_given_up) },
    { "usher_accept_pauses_total", "counter", "Times that accepting paused for want of room.",
      BOARD(accept_pauses) },
    { "usher_queue_waiting", "gauge", "Requests that wait for a connection (max_conns).",
      BOARD(queue_waiting) },
};

#define STATUS(member) offsetof(struct store_status, member)

static const struct row store_rows[] = {
    { "usher_store_reconnects_total", "counter", "Times the link to Redis came back.",
      STATUS(reconnects) },
    { "usher_store_rounds_total", "counter", "Rounds of reading from Redis.", STATUS(rounds) },
    { "usher_store_reads_total", "counter", "Keys read from Redis.", STATUS(reads) },
    { "usher_store_pushes_total", "counter", "Keys that Redis said had changed.", STATUS(pushes) },
    { "usher_store_lookups_total", "counter", "Hosts that workers asked for.", STATUS(lookups) },
    { "usher_store_lookups_refused_total", "counter", "Lookups beyond the allowed rate.",
      STATUS(lookups_refused) },
    { "usher_bad_records_total", "counter", "Record versions that could not be used.",
      STATUS(bad_records_seen) },
    { "usher_records_evicted_total", "counter", "Records dropped for want of room.",
      STATUS(records_evicted) },
    { "usher_history_recorded_total", "counter", "Changes of records that this edge recorded.",
      STATUS(history_recorded) },
    { "usher_history_skipped_total", "counter", "Changes of records that came too fast to record.",
      STATUS(history_skipped) },
    { "usher_module_asks_total", "counter", "Questions of modules to Redis.", STATUS(asks) },
    { "usher_module_asks_away_total", "counter",
      "Questions of modules that were not answered: Redis is away, slow or busy.",
      STATUS(asks_away) },
    { "usher_module_asks_wrong_total", "counter",
      "Questions of modules that Redis refused, such as for a key of another type.",
      STATUS(asks_wrong) },
    { "usher_cache_bytes", "gauge", "Memory taken by records and what was compiled of them.",
      STATUS(cache_bytes) },
};

static const struct row sync_rows[] = {
    { "usher_store_sync_keys", "gauge", "Keys gone over by the walk over all of Redis.",
      STATUS(sync_keys) },
    { "usher_store_sync_of", "gauge", "Keys of the data base when that walk began.",
      STATUS(sync_of) },
    { "usher_store_known_hosts", "gauge", "Hosts known to exist, held or not.", STATUS(hosts) },
    { "usher_store_known_records", "gauge", "Records known to exist, held or not.", STATUS(names) },
    { "usher_store_missing_hosts", "gauge", "Hosts missing in Redis and held back.",
      STATUS(missing_hosts) },
    { "usher_store_recalled_total", "counter", "Values taken from the disk copy.",
      STATUS(recalled) },
};

static void head(struct buf *to, const char *name, const char *type, const char *says)
{
    buf_printf(to, "# HELP %s %s\n# TYPE %s %s\n", name, says, name, type);
}

static void one(struct buf *to, const char *name, const char *type, const char *says,
                uint64_t value)
{
    head(to, name, type, says);
    buf_printf(to, "%s %llu\n", name, (unsigned long long)value);
}

static void labelled(struct buf *to, const char *name, const char *label, const char *of,
                     uint64_t value)
{
    buf_printf(to, "%s{%s=\"%s\"} %llu\n", name, label, of, (unsigned long long)value);
}

/* The board is nothing but counters: that is what makes one loop enough. */
_Static_assert(sizeof(struct counters) % sizeof(counter) == 0, "a board of counters");

void metrics_add(struct metrics *m, const struct counters *board)
{
    const counter *from = (const counter *)(const void *)board;
    counter *to = (counter *)(void *)&m->sum;

    for (size_t i = 0; i < sizeof(*board) / sizeof(counter); i++)
        counter_add(&to[i], counter_read(&from[i]));
}

void metrics_facts(const struct metrics *m, struct store_facts *facts)
{
    facts->connections = counter_read(&m->sum.clients_open);
    facts->requests = facts->faults = 0;
    for (unsigned i = 0; i < 6; i++)
        facts->requests += counter_read(&m->sum.requests[i]);
    for (unsigned i = FAULT_NONE + 1; i < FAULT_COUNT; i++)
        facts->faults += counter_read(&m->sum.faults[i]);
}

static void write_requests(const struct counters *sum, struct buf *to)
{
    static const char *const classes[] = { "none", "1xx", "2xx", "3xx", "4xx", "5xx" };

    head(to, "usher_requests_total", "counter",
         "Requests by the class of the response's status; none: nothing was sent.");
    for (unsigned i = 0; i < 6; i++)
        labelled(to, "usher_requests_total", "class", classes[i], counter_read(&sum->requests[i]));
    head(to, "usher_faults_total", "counter", "Requests that ended otherwise than well, by fault.");
    for (unsigned i = FAULT_NONE + 1; i < FAULT_COUNT; i++)
        labelled(to, "usher_faults_total", "fault", fault_row((enum fault)i)->name,
                 counter_read(&sum->faults[i]));
}

/* Buckets are cumulative, in seconds. */
static void write_histogram(const counter *buckets, const counter *ns_sum, const char *name,
                            const char *says, struct buf *to)
{
    uint64_t count = 0;

    head(to, name, "histogram", says);
    for (unsigned i = 0; i < LATENCY_BUCKETS; i++) {
        count += counter_read(&buckets[i]);
        buf_printf(to, "%s_bucket{le=\"%g\"} %llu\n", name,
                   (double)counters_latency_bounds_us[i] / 1e6, (unsigned long long)count);
    }
    count += counter_read(&buckets[LATENCY_BUCKETS]);
    buf_printf(to, "%s_bucket{le=\"+Inf\"} %llu\n", name, (unsigned long long)count);
    buf_printf(to, "%s_sum %.6f\n", name, (double)counter_read(ns_sum) / 1e9);
    buf_printf(to, "%s_count %llu\n", name, (unsigned long long)count);
}

static void write_times(const struct counters *sum, struct buf *to)
{
    write_histogram(sum->latency, &sum->latency_ns_sum, "usher_request_duration_seconds",
                    "From a request's head to the end of its response.", to);
    write_histogram(sum->queue_wait, &sum->queue_wait_ns_sum, "usher_queue_wait_seconds",
                    "How long requests waited that got a connection then (max_conns).", to);
}

static void write_tunnels(const struct counters *sum, struct buf *to)
{
    one(to, "usher_tunnel_memory_bytes", "gauge",
        "What the program itself holds for the open ones, beside the kernel's buffers.",
        counter_read(&sum->tunnel_memory));
    head(to, "usher_tunnel_bytes_total", "counter", "Bytes through tunnels, by who sent them.");
    labelled(to, "usher_tunnel_bytes_total", "from", "client", counter_read(&sum->tunnel_bytes_in));
    labelled(to, "usher_tunnel_bytes_total", "from", "endpoint",
             counter_read(&sum->tunnel_bytes_out));
    head(to, "usher_tunnels_ended_total", "counter", "Tunnels that have ended, by how.");
    for (unsigned i = 0; i < TUNNEL_ENDS; i++)
        labelled(to, "usher_tunnels_ended_total", "end", tunnel_end_name((enum tunnel_end)i),
                 counter_read(&sum->tunnel_ends[i]));
}

static void write_workers(const struct metrics *m, struct buf *to)
{
    static const char *const ends[] = { "answered", "failed", "cut", "refused" };
    static const char *const retries[] = { "no", "stale", "connect", "closed", "gateway", "hedge" };
    static const char *const refusals[] = { "banned", "proxy_header", "proxy_timeout" };
    const struct counters *sum = &m->sum;

    write_requests(sum, to);
    write_times(sum, to);
    for (size_t i = 0; i < sizeof(board_rows) / sizeof(board_rows[0]); i++) {
        const struct row *row = &board_rows[i];
        const counter *at = (const counter *)(const void *)((const char *)sum + row->at);

        one(to, row->name, row->type, row->says, counter_read(at));
    }
    head(to, "usher_retries_total", "counter", "Requests sent once more, by why.");
    for (unsigned i = RETRY_NO + 1; i < RETRY_REASONS; i++)
        labelled(to, "usher_retries_total", "reason", retries[i], counter_read(&sum->retries[i]));
    head(to, "usher_ejections_total", "counter",
         "Times that an endpoint was left alone for a while, by why.");
    for (unsigned i = OUTLIER_NONE + 1; i < OUTLIER_REASONS; i++)
        labelled(to, "usher_ejections_total", "reason", outlier_reason_name((enum outlier_reason)i),
                 counter_read(&sum->ejections[i]));
    head(to, "usher_subrequests_total", "counter",
         "Requests that modules made by themselves, by how they ended.");
    for (unsigned i = 0; i < SUBREQUEST_ENDS; i++)
        labelled(to, "usher_subrequests_total", "end", ends[i], counter_read(&sum->subrequests[i]));
    head(to, "usher_client_connections_refused_total", "counter",
         "Client connections closed before they could ask for anything, by why.");
    for (unsigned i = 0; i < CLIENT_REFUSALS; i++)
        labelled(to, "usher_client_connections_refused_total", "reason", refusals[i],
                 counter_read(&sum->clients_refused[i]));
    one(to, "usher_bans", "gauge", "Ranges of client addresses that are banned.", m->bans);
    one(to, "usher_bans_wrong", "gauge", "Keys of usher:ban: that are no range.", m->bans_wrong);
    write_tunnels(sum, to);
    head(to, "usher_upstream_connections", "gauge", "Connections to endpoints.");
    labelled(to, "usher_upstream_connections", "state", "idle", counter_read(&sum->upstreams_idle));
    labelled(to, "usher_upstream_connections", "state", "busy", counter_read(&sum->upstreams_busy));
}

static void write_rows(const struct store_status *s, const struct row *rows, size_t count,
                       struct buf *to)
{
    for (const struct row *row = rows; row < rows + count; row++) {
        uint64_t value;

        memcpy(&value, (const char *)s + row->at, sizeof(value));
        one(to, row->name, row->type, row->says, value);
    }
}

static void write_copy(const struct copy_status *c, struct buf *to)
{
    if (!c->configured)
        return;
    one(to, "usher_state_ready", "gauge", "1 while the disk copy can be read.", c->ready);
    one(to, "usher_state_failing", "gauge", "1 while the disk copy cannot be used or written.",
        c->failing);
    one(to, "usher_state_complete", "gauge", "1 when every record of Redis was put there once.",
        c->complete);
    one(to, "usher_state_queued", "gauge", "Records that wait to be written there.", c->queued);
    one(to, "usher_state_written_total", "counter", "Records written there.", c->written);
    one(to, "usher_state_failures_total", "counter", "Times that it could not be used or written.",
        c->failures);
    one(to, "usher_state_damaged_total", "counter", "Times that it was damaged and made anew.",
        c->damaged);
}

static void write_store(const struct store_status *s, struct buf *to)
{
    one(to, "usher_store_up", "gauge", "1 while Redis is connected and tracked.", s->up);
    one(to, "usher_store_suspect", "gauge",
        "1 while something held has not been verified since Redis was away.", s->suspect);
    one(to, "usher_store_regressed", "gauge",
        "1 while Redis lacks more than --max-loss of what is known.", s->regressed);
    one(to, "usher_redis_replica_stale", "gauge",
        "1 while the replica that is read from is behind, and nothing better is in reach.",
        s->stale);
    one(to, "usher_redis_evicts", "gauge",
        "1 when Redis's maxmemory-policy deletes records once its memory is full.", s->evicts);
    one(to, "usher_redis_switches_total", "counter", "Times that Sentinel named another primary.",
        s->switches);
    one(to, "usher_store_syncing", "gauge", "1 while the walk over all of Redis goes on.",
        s->syncing);
    one(to, "usher_store_complete", "gauge",
        "1 while all names are known, so that unknown hosts need no asking.", s->complete);
    write_rows(s, store_rows, sizeof(store_rows) / sizeof(store_rows[0]), to);
    write_rows(s, sync_rows, sizeof(sync_rows) / sizeof(sync_rows[0]), to);
    head(to, "usher_records", "gauge", "Records held, by state.");
    labelled(to, "usher_records", "state", "good", s->records_good);
    labelled(to, "usher_records", "state", "bad", s->records_bad);
    labelled(to, "usher_records", "state", "absent", s->records_absent);
}

static unsigned long long listed_descriptors(void)
{
    /* Opened by name here: a thread checker that sees no open() takes the number for whose it was. */
    int fd = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    unsigned long long count = 0;

    if (dir == NULL) {
        if (fd >= 0)
            close(fd);
        return 0;
    }
    while (readdir(dir) != NULL)
        count++;
    closedir(dir);
    return count > 3 ? count - 3 : 0; /* ".", ".." and the one that lists */
}

/* Linux counts them itself from 6.2 on; listing 100,000 would hold control for a moment. */
static unsigned long long open_descriptors(void)
{
    struct stat status;

    if (stat("/proc/self/fd", &status) == 0 && status.st_size > 0)
        return (unsigned long long)status.st_size;
    return listed_descriptors();
}

static unsigned long long resident_bytes(void)
{
    FILE *f = fopen("/proc/self/statm", "re");
    unsigned long long pages, resident = 0;

    if (f == NULL)
        return 0;
    if (fscanf(f, "%llu %llu", &pages, &resident) != 2)
        resident = 0;
    fclose(f);
    return resident * (unsigned long long)sysconf(_SC_PAGESIZE);
}

static double seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static void write_process(struct buf *to)
{
    struct rusage used;
    struct rlimit limit;

    one(to, "process_resident_memory_bytes", "gauge", "Memory in use.", resident_bytes());
    if (getrusage(RUSAGE_SELF, &used) == 0) {
        head(to, "process_cpu_seconds_total", "counter", "CPU time, user and system.");
        buf_printf(to, "process_cpu_seconds_total %.6f\n",
                   seconds(used.ru_utime) + seconds(used.ru_stime));
    }
    one(to, "process_open_fds", "gauge", "Descriptors open.", open_descriptors());
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        one(to, "process_max_fds", "gauge", "Descriptors that may be open.", limit.rlim_cur);
}

void metrics_write(const struct metrics *m, struct buf *to)
{
    head(to, "usher_build", "gauge", "Always 1; what runs here.");
    labelled(to, "usher_build", "version", USHER_VERSION, 1);
    one(to, "usher_workers", "gauge", "Threads that serve clients.", m->workers);
    one(to, "usher_draining", "gauge", "1 while this edge is ending.", m->draining);
    write_workers(m, to);
    if (m->states != NULL)
        queues_metrics(m->states, to);
    write_store(m->store, to);
    write_copy(&m->copy, to);
    one(to, "usher_changes_published_total", "counter", "Rounds mailed to the workers.", m->rounds);
    one(to, "usher_objects_retired", "gauge", "Replaced objects that requests still use.",
        m->retired);
    one(to, "usher_rate_asks_total", "counter",
        "Questions to Redis for rates that edges share (rps_of cluster).", m->rates_asked);
    one(to, "usher_rate_asks_away_total", "counter",
        "Those that were not answered: each edge then holds its share by itself.", m->rates_away);
    one(to, "usher_access_log_dropped_total", "counter",
        "Access log lines dropped: its file or pipe was too slow.", m->log_dropped);
    write_process(to);
}
