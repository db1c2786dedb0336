/* load.c -- closed-loop load: N connections, each asks again as soon as it was answered.
 *
 * Owns:    its sockets
 * Thread:  any (one)
 * Used by: bench/run
 * Not here: starting what it measures
 *
 *   load [options] ADDRESS...      several: the connections are spread over them
 *     -n CONNECTIONS (64)    -d MILLISECONDS measured (2000)    -w MILLISECONDS of warm-up (500)
 *     -p PATH (/small)       -b BYTES of a right body (any)     -c CORE to stay on
 *     -h HOST (bench.test)   -k K: instead, t1.bench.test ... tK.bench.test, first each, then at random
 *     -x a new connection per request ("Connection: close")
 *     -e expects to be turned away: by a 403, or by a connection that ends without a byte
 *     -z asks for gzip, and what is not gzip is an error
 *     -r REQUESTS a second, of all connections together; without it, as many as are answered
 *     -l a 429 is no error, and is counted apart
 *     -a STATUS of a right answer (200)
 *     -m PID,PID,... whose CPU time is measured
 *     -1 asks once, prints the response and ends
 *     -f N prints N free ports and ends
 *
 * Prints one line: name=value pairs, separated by spaces. An error is any other status, a wrong
 * length, a refused or broken connection, and what was unanswered for STALL_NS.
 * Bodies are counted, not looked at: what does not come with the head is thrown away in the kernel
 * (MSG_TRUNC), unless it comes in chunks.
 */
#include "loopback.h"

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define STALL_NS 5000000000u
#define WARM_MOST_NS 10000000000u
#define UNTOLD UINT64_MAX /* a body's length that its head does not say */

enum {
    IN_ROOM = 5000,
    OUT_ROOM = 512,
    EVENTS = 512,
    MOST_PIDS = 64,
    MOST_ADDRESSES = 16,
    STEPS = 64,
    BUCKETS = 64 * STEPS
};

/* Where a body in chunks has been read to. */
enum chunk_at { CHUNK_SIZE, CHUNK_SIZE_END, CHUNK_BYTES, CHUNK_BYTES_END, CHUNK_LAST_END };

struct conn {
    int fd;
    unsigned to; /* which address */
    bool got_head, answered, heard;
    bool chunked;
    enum chunk_at chunk_at;
    bool last_chunk;
    uint64_t asked_at;  /* 0: nothing is awaited */
    uint64_t body_left; /* of the chunk, when it comes in chunks */
    size_t filled;      /* of `in`, while the head is read */
    char in[IN_ROOM];
};

struct options {
    unsigned connections, hosts, core;
    uint64_t measure_ns, warm_ns;
    const char *path, *host;
    uint64_t body;       /* UNTOLD: any */
    uint64_t per_second; /* 0: as many as are answered */
    const char *status;
    bool each_new, once, gzip, limits, turned_away;
    pid_t pids[MOST_PIDS];
    unsigned pid_count;
};

struct load {
    struct options o;
    int epoll;
    struct sockaddr_in to[MOST_ADDRESSES];
    unsigned to_count;
    struct conn *conns;
    struct conn **resting;           /* with -r: those that ask next */
    unsigned rest_first, rest_count; /* a ring */
    uint64_t paced_from;
    uint64_t sources; /* connections made; picks the source address */
    uint64_t random;
    uint64_t asked;    /* requests sent */
    unsigned heard_of; /* connections that were answered once */
    size_t before_host, after_host;
    char before[OUT_ROOM], after[OUT_ROOM];

    uint64_t now; /* of the last answer or turn */
    bool measuring;
    uint64_t done, limited, errors, all_done, all_limited, all_errors;
    uint64_t body_bytes;
    char first_error[160];
    uint32_t latency[BUCKETS];
};

/* --- latency: buckets of 1/64 of a power of two, nanoseconds --- */

static unsigned bucket_of(uint64_t ns)
{
    if (ns < STEPS)
        return (unsigned)ns;
    unsigned power = 63u - (unsigned)__builtin_clzll(ns) - 6u;
    return (power + 1) * STEPS + (unsigned)((ns >> power) - STEPS);
}

static double bucket_us(unsigned bucket)
{
    if (bucket < STEPS)
        return bucket / 1000.0;
    unsigned power = bucket / STEPS - 1;
    return ((double)((uint64_t)(STEPS + bucket % STEPS) << power) + (double)(1ull << power) / 2) /
           1000.0;
}

static double percentile_us(const struct load *l, double share)
{
    uint64_t total = 0, seen = 0;

    for (unsigned i = 0; i < BUCKETS; i++)
        total += l->latency[i];
    for (unsigned i = 0; i < BUCKETS; i++) {
        seen += l->latency[i];
        if (total && (double)seen >= share * (double)total)
            return bucket_us(i);
    }
    return 0;
}

/* --- connections --- */

static void fail(struct load *l, const char *what)
{
    l->errors += l->measuring;
    l->all_errors++;
    if (!l->first_error[0])
        snprintf(l->first_error, sizeof(l->first_error), "%s", what);
}

static void open_conn(struct load *l, struct conn *c)
{
    struct epoll_event event = { EPOLLIN | EPOLLRDHUP | EPOLLET, { .ptr = c } };
    struct sockaddr_in from = { .sin_family = AF_INET };

    /* Source addresses in turn, so that closed connections do not use up the ports of one. */
    from.sin_addr.s_addr = htonl(0x7f000101u + (uint32_t)(l->sources++ % 200));
    c->fd = loopback_connect(&l->to[c->to], l->o.each_new ? &from : NULL);
    if (c->fd < 0 || epoll_ctl(l->epoll, EPOLL_CTL_ADD, c->fd, &event))
        loopback_die("load: cannot connect: %s", strerror(errno));
}

static unsigned choose_host(struct load *l)
{
    if (l->asked < l->o.hosts)
        return (unsigned)l->asked + 1;
    l->random ^= l->random << 13;
    l->random ^= l->random >> 7;
    l->random ^= l->random << 17;
    return (unsigned)((l->random >> 32) * l->o.hosts >> 32) + 1;
}

static void ask(struct load *l, struct conn *c)
{
    char out[3 * OUT_ROOM], digits[12];
    size_t size = l->before_host;

    memcpy(out, l->before, size);
    if (l->o.hosts) {
        unsigned host = choose_host(l), at = sizeof(digits);
        for (; host; host /= 10)
            digits[--at] = (char)('0' + host % 10);
        memcpy(out + size, digits + at, sizeof(digits) - at);
        size += sizeof(digits) - at;
    }
    memcpy(out + size, l->after, l->after_host);
    size += l->after_host;
    l->asked++;
    c->got_head = c->answered = c->chunked = c->last_chunk = false;
    c->chunk_at = CHUNK_SIZE;
    c->filled = 0;
    c->asked_at = l->now;
    if (send(c->fd, out, size, MSG_NOSIGNAL) != (ssize_t)size && !l->o.turned_away)
        c->asked_at = 0; /* the connection is broken; its event says so */
}

/* At once, or in its turn. */
static void ask_next(struct load *l, struct conn *c)
{
    if (!l->o.per_second) {
        ask(l, c);
        return;
    }
    c->answered = true;
    c->asked_at = 0;
    l->resting[(l->rest_first + l->rest_count++) % l->o.connections] = c;
}

static void ask_due(struct load *l)
{
    uint64_t due = (l->now - l->paced_from) / 1000 * l->o.per_second / 1000000;

    for (; l->rest_count && l->asked < due; l->rest_count--) {
        ask(l, l->resting[l->rest_first]);
        l->rest_first = (l->rest_first + 1) % l->o.connections;
    }
}

/* At a pace each request has its own moment: a millisecond's worth at once would queue behind itself. */
static int wait_events(struct load *l, struct epoll_event *events)
{
    struct timespec until = { 0 };
    uint64_t due;

    if (!l->o.per_second)
        return epoll_wait(l->epoll, events, EVENTS, 100);
    due = l->paced_from + (l->asked + 1) * 1000000000u / l->o.per_second;
    if (due > l->now + 1000000u || !l->rest_count)
        due = l->now + 1000000u;
    if (due > l->now)
        until.tv_nsec = (long)(due - l->now);
    return epoll_pwait2(l->epoll, events, EVENTS, &until, NULL);
}

static void reopen(struct load *l, struct conn *c)
{
    bool rests = l->o.per_second && c->answered && !c->asked_at;

    close(c->fd);
    open_conn(l, c);
    if (!rests)
        ask(l, c);
}

/* --- one answer --- */

/* The value of a field of the head, behind its blanks; NULL: it has none. */
static const char *field_of(const char *head, size_t size, const char *name)
{
    const char *line = head, *end = head + size;
    size_t length = strlen(name);

    while ((line = memchr(line, '\n', (size_t)(end - line)))) {
        line++;
        if ((size_t)(end - line) > length && (*line | 32) == *name &&
            !strncasecmp(line, name, length))
            return line + length + strspn(line + length, " ");
    }
    return NULL;
}

/* Content-Length of the head; UNTOLD when it has none. */
static uint64_t length_of(const char *head, size_t size)
{
    const char *value = field_of(head, size, "content-length:");

    return value ? strtoull(value, NULL, 10) : UNTOLD;
}

/* Is that a head that was wished for? */
static bool is_right(struct load *l, struct conn *c, size_t head, uint64_t length)
{
    bool limited = l->o.limits && !memcmp(c->in, "HTTP/1.1 429", 12);
    const char *coding;

    if (l->o.turned_away)
        return !memcmp(c->in, "HTTP/1.1 403", 12) && length != UNTOLD;
    if (limited) {
        l->limited += l->measuring;
        l->all_limited++;
        return length != UNTOLD;
    }
    if (memcmp(c->in, "HTTP/1.1 ", 9) || memcmp(c->in + 9, l->o.status, 3) ||
        (length == UNTOLD && !c->chunked) || (l->o.body != UNTOLD && length != l->o.body))
        return false;
    coding = field_of(c->in, head, "content-encoding:");
    return !l->o.gzip || (coding && !strncasecmp(coding, "gzip\r", 5));
}

/* Goes over some bytes of a body in chunks; how many of them it took, all but what comes behind the end. */
static size_t take_chunks(struct load *l, struct conn *c, const char *bytes, size_t size)
{
    size_t at = 0;

    while (at < size && !c->last_chunk) {
        char b = bytes[at];
        if (c->chunk_at == CHUNK_BYTES) {
            size_t part = size - at < c->body_left ? size - at : (size_t)c->body_left;
            l->body_bytes += l->measuring ? part : 0;
            c->body_left -= part;
            at += part;
            if (!c->body_left)
                c->chunk_at = CHUNK_BYTES_END;
            continue;
        }
        at++;
        if (c->chunk_at == CHUNK_SIZE && b != '\r')
            c->body_left = c->body_left * 16 + (uint64_t)(b <= '9' ? b - '0' : (b | 32) - 'a' + 10);
        else if (c->chunk_at == CHUNK_SIZE)
            c->chunk_at = CHUNK_SIZE_END;
        else if (c->chunk_at == CHUNK_SIZE_END)
            c->chunk_at = c->body_left ? CHUNK_BYTES : CHUNK_LAST_END;
        else if (c->chunk_at == CHUNK_BYTES_END && b == '\n')
            c->chunk_at = CHUNK_SIZE;
        else if (c->chunk_at == CHUNK_LAST_END && b == '\n')
            c->last_chunk = true;
    }
    return at;
}

static bool take_head(struct load *l, struct conn *c)
{
    const char *end = memmem(c->in, c->filled, "\r\n\r\n", 4);

    if (!end) {
        if (c->filled == IN_ROOM)
            fail(l, "a head without end");
        return c->filled < IN_ROOM;
    }
    size_t head = (size_t)(end - c->in) + 4, body = c->filled - head;
    uint64_t length = length_of(c->in, head);
    const char *coding = field_of(c->in, head, "transfer-encoding:");
    c->chunked = coding && !strncasecmp(coding, "chunked\r", 8);
    c->body_left = 0;
    if (!is_right(l, c, head, length) || (!c->chunked && body > length) ||
        (c->chunked && take_chunks(l, c, end + 4, body) < body)) {
        char what[120];
        snprintf(what, sizeof(what), "%.60s,length=%lld", c->in, (long long)length);
        what[strcspn(what, "\r\n")] = '\0';
        fail(l, what);
        return false;
    }
    c->got_head = true;
    if (!c->chunked) {
        c->body_left = length - body;
        l->body_bytes += l->measuring ? length : 0;
    }
    return true;
}

static void answered(struct load *l, struct conn *c)
{
    l->now = loopback_now_ns();
    if (l->measuring) {
        l->done++;
        l->latency[bucket_of(l->now - c->asked_at)]++;
    }
    l->all_done++;
    c->answered = true;
    l->heard_of += !c->heard;
    c->heard = true;
    if (!l->o.each_new)
        ask_next(l, c);
}

/* True while there may be more to read. */
static bool read_some(struct load *l, struct conn *c)
{
    ssize_t got;
    size_t wanted = IN_ROOM - c->filled;

    if (c->got_head && !c->answered && !c->chunked) {
        wanted = c->body_left;
        got = recv(c->fd, NULL, wanted, MSG_TRUNC);
    } else if (c->got_head && !c->answered) {
        wanted = IN_ROOM;
        got = recv(c->fd, c->in, wanted, 0);
    } else {
        got = recv(c->fd, c->in + c->filled, wanted, 0);
    }
    if (got < 0 && errno == EAGAIN)
        return false;
    if (got <= 0 && l->o.turned_away && !c->filled && !c->answered) {
        answered(l, c);
        reopen(l, c);
        return false;
    }
    if (got <= 0 || c->answered) {
        /* The end is right where it was asked for; bytes after the answer never are. */
        if (got != 0 || !c->answered)
            fail(l, got > 0 ? "bytes after the answer" : "connection closed early");
        reopen(l, c);
        return false;
    }
    if (c->got_head && c->chunked) {
        if (take_chunks(l, c, c->in, (size_t)got) < (size_t)got) {
            fail(l, "bytes after the answer");
            reopen(l, c);
            return false;
        }
    } else if (c->got_head) {
        c->body_left -= (uint64_t)got;
    } else {
        c->filled += (size_t)got;
        if (!take_head(l, c)) {
            reopen(l, c);
            return false;
        }
    }
    if (!c->got_head || (c->chunked ? !c->last_chunk : c->body_left > 0))
        return (size_t)got == wanted;
    answered(l, c);
    return l->o.each_new;
}

/* --- the run --- */

static uint64_t cpu_ns(const struct load *l)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < l->o.pid_count; i++) {
        clockid_t clock;
        struct timespec used;
        if (clock_getcpuclockid(l->o.pids[i], &clock) || clock_gettime(clock, &used))
            loopback_die("load: process %d is gone", (int)l->o.pids[i]);
        sum += (uint64_t)used.tv_sec * 1000000000u + (uint64_t)used.tv_nsec;
    }
    return sum;
}

/* What a core did, in ticks: everything but idle, and what the machine below took from it. */
static void core_ticks(unsigned core, uint64_t *busy, uint64_t *stolen)
{
    char line[512], name[16];
    FILE *stat = fopen("/proc/stat", "r");
    unsigned long long v[8] = { 0 };

    snprintf(name, sizeof(name), "cpu%u ", core);
    while (stat && fgets(line, sizeof(line), stat))
        if (!strncmp(line, name, strlen(name)))
            sscanf(line + strlen(name), "%llu %llu %llu %llu %llu %llu %llu %llu", &v[0], &v[1],
                   &v[2], &v[3], &v[4], &v[5], &v[6], &v[7]);
    if (stat)
        fclose(stat);
    *busy = v[0] + v[1] + v[2] + v[5] + v[6];
    *stolen = v[7];
}

static void find_stalled(struct load *l)
{
    for (unsigned i = 0; i < l->o.connections; i++) {
        struct conn *c = &l->conns[i];
        if ((c->asked_at || !c->answered) && l->now > c->asked_at + STALL_NS) {
            fail(l, c->answered ? "connection not closed" : "no answer");
            reopen(l, c);
        }
    }
}

/* Until `end`, and until so many were asked and every connection was answered once, but not for
 * ever. */
static void turns_until(struct load *l, uint64_t end, uint64_t least_asked)
{
    struct epoll_event events[EVENTS];
    uint64_t next_look = loopback_now_ns() + 500000000u;

    uint64_t latest = end + WARM_MOST_NS;

    while (l->now < end ||
           ((l->asked < least_asked || l->heard_of < l->o.connections) && l->now < latest)) {
        int count = wait_events(l, events);
        for (int i = 0; i < count; i++) {
            struct conn *c = events[i].data.ptr;
            while (read_some(l, c)) {}
        }
        l->now = loopback_now_ns();
        if (l->o.per_second)
            ask_due(l);
        if (l->now > next_look) {
            find_stalled(l);
            next_look = l->now + 500000000u;
        }
    }
}

static void start(struct load *l)
{
    l->epoll = epoll_create1(EPOLL_CLOEXEC);
    l->conns = calloc(l->o.connections, sizeof(struct conn));
    l->resting = calloc(l->o.connections, sizeof(struct conn *));
    if (l->epoll < 0 || !l->conns || !l->resting)
        loopback_die("load: cannot start: %s", strerror(errno));
    l->before_host = (size_t)snprintf(l->before, OUT_ROOM, "GET %s HTTP/1.1\r\nHost: %s", l->o.path,
                                      l->o.hosts ? "t" : l->o.host);
    l->after_host = (size_t)snprintf(
        l->after, OUT_ROOM,
        "%s\r\nUser-Agent: bench/1\r\nAccept: */*\r\nAccept-Language: en\r\n%s%s\r\n",
        l->o.hosts ? ".bench.test" : "", l->o.gzip ? "Accept-Encoding: gzip\r\n" : "",
        l->o.each_new ? "Connection: close\r\n" : "");
    if (l->before_host >= OUT_ROOM || l->after_host >= OUT_ROOM)
        loopback_die("load: the path or the host is too long");
    l->now = l->paced_from = loopback_now_ns();
    l->random = l->now | 1;
    for (unsigned i = 0; i < l->o.connections; i++) {
        l->conns[i].to = i % l->to_count;
        open_conn(l, &l->conns[i]);
        ask_next(l, &l->conns[i]);
    }
}

static int run(struct load *l)
{
    uint64_t busy[2], stolen[2], cpu[2], from;

    start(l);
    turns_until(l, l->now + l->o.warm_ns, l->o.hosts);
    core_ticks(0, &busy[0], &stolen[0]);
    cpu[0] = cpu_ns(l);
    from = l->now = loopback_now_ns();
    l->measuring = true;
    turns_until(l, from + l->o.measure_ns, 0);
    uint64_t took = l->now - from;
    cpu[1] = cpu_ns(l);
    core_ticks(0, &busy[1], &stolen[1]);
    double seconds = (double)took / 1e9, used = (double)(cpu[1] - cpu[0]);
    double ticks = seconds * (double)sysconf(_SC_CLK_TCK);
    printf(
        "requests=%llu rps=%.1f cpu_us=%.3f busy=%.3f p50_us=%.1f p99_us=%.1f errors=%llu alien=%.3f stolen=%.3f",
        (unsigned long long)l->done, (double)l->done / seconds,
        l->done ? used / 1e3 / (double)l->done : 0.0, used / (double)took, percentile_us(l, 0.5),
        percentile_us(l, 0.99), (unsigned long long)l->errors,
        (double)(busy[1] - busy[0]) / ticks - used / (double)took,
        (double)(stolen[1] - stolen[0]) / ticks);
    printf(" limited=%llu body_bytes=%llu all_requests=%llu all_limited=%llu",
           (unsigned long long)l->limited, (unsigned long long)l->body_bytes,
           (unsigned long long)l->all_done, (unsigned long long)l->all_limited);
    printf(" all_errors=%llu\n", (unsigned long long)l->all_errors);
    if (l->all_errors)
        fprintf(stderr, "load: first error: %s\n", l->first_error);
    return 0;
}

/* The response as it came, for a look at what a proxy adds. */
static int once(struct load *l)
{
    struct conn *c;

    l->o.connections = 1;
    start(l);
    c = l->conns;
    for (l->measuring = true; c->filled < IN_ROOM && !l->all_errors;) {
        struct epoll_event event;
        if (epoll_wait(l->epoll, &event, 1, 5000) < 1)
            break;
        ssize_t got = recv(c->fd, c->in + c->filled, IN_ROOM - c->filled, 0);
        if (got <= 0)
            break;
        c->filled += (size_t)got;
        if (!c->got_head)
            (void)take_head(l, c);
        else if (c->chunked)
            (void)take_chunks(l, c, c->in + c->filled - got, (size_t)got);
        const char *end = memmem(c->in, c->filled, "\r\n\r\n", 4);
        if (c->chunked
                ? c->last_chunk
                : end && (size_t)(end - c->in) + 4 + length_of(c->in, c->filled) <= c->filled)
            break;
    }
    fwrite(c->in, 1, c->filled, stdout);
    return l->all_errors || !c->got_head;
}

static void free_ports(unsigned count)
{
    int fds[64];

    for (unsigned i = 0; i < count; i++) {
        uint16_t port;
        fds[i] = loopback_listen(loopback_address("127.0.0.1:0"), &port);
        printf("%u\n", port);
    }
    while (count)
        close(fds[--count]);
}

static void read_pids(struct options *o, char *list)
{
    char *rest = list, *word;

    while ((word = strsep(&rest, ","))) {
        if (o->pid_count == MOST_PIDS)
            loopback_die("load: at most %d processes", MOST_PIDS);
        o->pids[o->pid_count++] = (pid_t)loopback_number("-m", word, 1, 1u << 30);
    }
}

static void read_options(struct load *l, int argc, char **argv)
{
    struct options *o = &l->o;
    int option;

    while ((option = getopt(argc, argv, "n:d:w:p:b:c:h:k:m:f:r:a:xezl1")) != -1) {
        if (option == 'n')
            o->connections = (unsigned)loopback_number("-n", optarg, 1, 100000);
        else if (option == 'd')
            o->measure_ns = loopback_number("-d", optarg, 1, 3600000) * 1000000u;
        else if (option == 'w')
            o->warm_ns = loopback_number("-w", optarg, 0, 3600000) * 1000000u;
        else if (option == 'p')
            o->path = optarg;
        else if (option == 'b')
            o->body = loopback_number("-b", optarg, 0, 1u << 30);
        else if (option == 'c')
            loopback_pin((unsigned)loopback_number("-c", optarg, 0, 1023));
        else if (option == 'h')
            o->host = optarg;
        else if (option == 'k')
            o->hosts = (unsigned)loopback_number("-k", optarg, 1, 10000000);
        else if (option == 'm')
            read_pids(o, optarg);
        else if (option == 'a')
            o->status = optarg;
        else if (option == 'x')
            o->each_new = true;
        else if (option == 'e')
            o->turned_away = true;
        else if (option == 'z')
            o->gzip = true;
        else if (option == 'r')
            o->per_second = loopback_number("-r", optarg, 1, 10000000);
        else if (option == 'l')
            o->limits = true;
        else if (option == '1')
            o->once = true;
        else if (option == 'f') {
            free_ports((unsigned)loopback_number("-f", optarg, 1, 64));
            exit(0);
        } else
            exit(2);
    }
}

int main(int argc, char **argv)
{
    static struct load l = {
        .o = { .connections = 64,
               .measure_ns = 2000000000u,
               .warm_ns = 500000000u,
               .path = "/small",
               .host = "bench.test",
               .status = "200",
               .body = UNTOLD },
    };

    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_TIMERSLACK, 1);
    read_options(&l, argc, argv);
    if (optind == argc || argc - optind > MOST_ADDRESSES)
        loopback_die("usage: load [options] ADDRESS...");
    while (optind < argc)
        l.to[l.to_count++] = loopback_address(argv[optind++]);
    return l.o.once ? once(&l) : run(&l);
}
