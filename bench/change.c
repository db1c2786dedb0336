/* change.c -- how soon a change in Redis is served: SET, then ask until no worker knows the old.
 *
 * Owns:    its sockets
 * Thread:  any (one)
 * Used by: bench/run
 * Not here: starting what it measures
 *
 *   change PROXY REDIS KEY ORIGIN-A ORIGIN-B HOST COUNT [FIELD [DATABASE]]
 *                                                          addresses are IPV4:PORT
 *
 * KEY (or FIELD of it, a hash) holds one of the two origins, which answer with "Origin: a" and
 * "Origin: b"; COUNT times it is set to the other. CONNS connections ask in turn, one every STEP_NS. SO_REUSEPORT spreads them over
 * the workers: with two, all on one is one chance in 32768. Prints one line of name=value pairs,
 * milliseconds after the reply to SET:
 *   live   the last answer from the old origin arrived (0: none after the reply)
 *   all    every connection had an answer from the new one; up to CONNS * STEP_NS later than live
 *   sent   like live, but from the moment SET was sent
 *   slow   the longest that any answer took from its request on, until all were renewed
 */
#include "loopback.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define STEP_NS 60000u
#define LOST_NS 2000000000u

enum { CONNS = 16, ROOM = 4096, MOST_CHANGES = 100000 };

struct conn {
    int fd;
    bool asked, renewed; /* waits for an answer; has met the new origin since the change */
    uint64_t asked_at;
    size_t filled;
    char in[ROOM];
};

struct change {
    int epoll, redis;
    struct conn conns[CONNS];
    unsigned next; /* whose turn it is to ask */
    uint64_t next_at;
    char request[512];
    size_t request_size;
    char now_served; /* the origin that KEY names: 'a' or 'b' */
    uint64_t sent_at, replied_at, last_old_at, all_at, slowest;
    unsigned renewed;
    uint64_t answers, errors;
    double live[MOST_CHANGES], all[MOST_CHANGES], sent[MOST_CHANGES];
    double slow[MOST_CHANGES];
};

static void watch(struct change *c, int fd, void *who)
{
    struct epoll_event event = { EPOLLIN, { .ptr = who } };

    if (fd < 0 || epoll_ctl(c->epoll, EPOLL_CTL_ADD, fd, &event))
        loopback_die("change: cannot watch: %s", strerror(errno));
}

static void take_answer(struct change *c, struct conn *k)
{
    ssize_t got = recv(k->fd, k->in + k->filled, ROOM - 1 - k->filled, 0);

    if (got <= 0)
        loopback_die("change: a connection ended: %s", got ? strerror(errno) : "closed");
    k->filled += (size_t)got;
    k->in[k->filled] = '\0';
    const char *body = strstr(k->in, "\r\n\r\n"), *length = strcasestr(k->in, "\ncontent-length:");
    if (!body || !length)
        return;
    if ((size_t)(body + 4 - k->in) + strtoul(length + 16, NULL, 10) > k->filled)
        return;
    const char *origin = strcasestr(k->in, "\norigin: ");
    k->asked = false;
    k->filled = 0;
    c->answers++;
    if (memcmp(k->in, "HTTP/1.1 200", 12) || !origin || origin > body) {
        c->errors++;
        return;
    }
    uint64_t now = loopback_now_ns();
    if (now - k->asked_at > c->slowest)
        c->slowest = now - k->asked_at;
    if (origin[9] != c->now_served) {
        c->errors += k->renewed; /* it went back */
        c->last_old_at = now;
    } else if (!k->renewed) {
        k->renewed = true;
        c->renewed++;
        c->all_at = now;
    }
}

static void take_reply(struct change *c)
{
    char reply[64];
    ssize_t got = recv(c->redis, reply, sizeof(reply), 0);

    bool good = got == 5 && !memcmp(reply, "+OK\r\n", 5);
    if (!good && (got != 4 || reply[0] != ':'))
        loopback_die("change: Redis did not take it: %.*s", (int)got, reply);
    c->replied_at = loopback_now_ns();
}

/* One wait of at most a step, and what it brought. */
static void turn(struct change *c)
{
    struct epoll_event events[CONNS + 1];
    uint64_t now = loopback_now_ns();

    if (now >= c->next_at) {
        struct conn *k = &c->conns[c->next++ % CONNS];
        c->next_at = now + STEP_NS;
        if (!k->asked)
            k->asked_at = now;
        if (!k->asked &&
            send(k->fd, c->request, c->request_size, MSG_NOSIGNAL) != (ssize_t)c->request_size)
            loopback_die("change: cannot ask");
        k->asked = true;
    }
    struct timespec step = { .tv_nsec = c->next_at > now ? (long)(c->next_at - now) : 0 };
    int count = epoll_pwait2(c->epoll, events, CONNS + 1, &step, NULL);
    for (int i = 0; i < count; i++) {
        if (events[i].data.ptr)
            take_answer(c, events[i].data.ptr);
        else
            take_reply(c);
    }
}

static void set(struct change *c, const char *key, const char *field, const char *value)
{
    char out[512];
    int size = field ? snprintf(out, sizeof(out),
                                "*4\r\n$4\r\nHSET\r\n$%zu\r\n%s\r\n$%zu\r\n%s\r\n$%zu\r\n%s\r\n",
                                strlen(key), key, strlen(field), field, strlen(value), value)
                     : snprintf(out, sizeof(out), "*3\r\n$3\r\nSET\r\n$%zu\r\n%s\r\n$%zu\r\n%s\r\n",
                                strlen(key), key, strlen(value), value);

    c->slowest = 0;
    c->replied_at = c->last_old_at = c->all_at = 0;
    c->renewed = 0;
    for (unsigned i = 0; i < CONNS; i++)
        c->conns[i].renewed = false;
    c->sent_at = loopback_now_ns();
    if (send(c->redis, out, (size_t)size, MSG_NOSIGNAL) != size)
        loopback_die("change: cannot write to Redis");
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void print_figures(const char *name, double *figures, unsigned count)
{
    qsort(figures, count, sizeof(*figures), by_size);
    printf(" %s_p50=%.3f %s_p99=%.3f %s_max=%.3f", name, count ? figures[count / 2] : 0, name,
           count ? figures[(count - 1) * 99 / 100] : 0, name, count ? figures[count - 1] : 0);
}

static double ms_between(uint64_t from, uint64_t to)
{
    return to > from ? (double)(to - from) / 1e6 : 0;
}

static void run(struct change *c, const char *key, const char *field, const char *const origin[2],
                unsigned count)
{
    unsigned done = 0, lost = 0, seed = (unsigned)loopback_now_ns();

    for (unsigned i = 0; i < count; i++) {
        c->now_served = i % 2 ? 'a' : 'b';
        set(c, key, field, origin[i % 2 ? 0 : 1]);
        while ((!c->replied_at || c->renewed < CONNS) && loopback_now_ns() < c->sent_at + LOST_NS)
            turn(c);
        if (!c->replied_at || c->renewed < CONNS) {
            lost++;
        } else {
            c->live[done] = ms_between(c->replied_at, c->last_old_at);
            c->all[done] = ms_between(c->replied_at, c->all_at);
            c->slow[done] = (double)c->slowest / 1e6;
            c->sent[done++] = ms_between(c->sent_at, c->last_old_at);
        }
        /* Not in step with anything: 2 to 18 ms, in which nobody may go back. */
        seed = seed * 1664525u + 1013904223u;
        uint64_t until = loopback_now_ns() + 2000000u + seed % 16000000u;
        while (loopback_now_ns() < until)
            turn(c);
    }
    printf("changes=%u lost=%u answers=%llu errors=%llu", done, lost,
           (unsigned long long)c->answers, (unsigned long long)c->errors);
    print_figures("live", c->live, done);
    print_figures("all", c->all, done);
    print_figures("sent", c->sent, done);
    print_figures("slow", c->slow, done);
    putchar('\n');
}

static void choose_database(int redis, unsigned database)
{
    struct pollfd ready = { .fd = redis, .events = POLLOUT };
    char words[32];
    int size = snprintf(words, sizeof(words), "SELECT %u\r\n", database);

    if (poll(&ready, 1, 2000) != 1 || send(redis, words, (size_t)size, MSG_NOSIGNAL) != size)
        loopback_die("change: cannot reach Redis");
    ready.events = POLLIN;
    if (poll(&ready, 1, 2000) != 1 || recv(redis, words, sizeof(words), 0) != 5 || words[0] != '+')
        loopback_die("change: Redis has no data base %u", database);
}

int main(int argc, char **argv)
{
    static struct change c;

    if (argc < 8 || argc > 10)
        loopback_die(
            "usage: change PROXY REDIS KEY ORIGIN-A ORIGIN-B HOST COUNT [FIELD [DATABASE]]");
    signal(SIGPIPE, SIG_IGN);
    struct sockaddr_in proxy = loopback_address(argv[1]), redis = loopback_address(argv[2]);
    unsigned count = (unsigned)loopback_number("COUNT", argv[7], 1, MOST_CHANGES);
    c.epoll = epoll_create1(EPOLL_CLOEXEC);
    c.redis = loopback_connect(&redis, NULL);
    choose_database(c.redis, argc > 9 ? (unsigned)loopback_number("DATABASE", argv[9], 0, 15) : 0);
    watch(&c, c.redis, NULL);
    for (unsigned i = 0; i < CONNS; i++) {
        c.conns[i].fd = loopback_connect(&proxy, NULL);
        watch(&c, c.conns[i].fd, &c.conns[i]);
    }
    c.request_size = (size_t)snprintf(c.request, sizeof(c.request),
                                      "GET /small HTTP/1.1\r\nHost: %s\r\n\r\n", argv[6]);
    const char *const origin[2] = { argv[4], argv[5] };
    run(&c, argv[3], argc > 8 ? argv[8] : NULL, origin, count);
    return 0;
}
