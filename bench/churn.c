/* churn.c -- so many changes a second, of tenants that nobody asks for.
 *
 * Owns:    its socket
 * Thread:  any (one)
 * Used by: bench/run
 * Not here: measuring what that does to others (change.c)
 *
 *   churn REDIS DATABASE CHANGES-PER-SECOND TENANTS      REDIS is IPV4:PORT; until it is ended
 *
 * Every change is an HSET of one of usher:tenant:churn0 ... to another endpoint, evenly spread over
 * time by the millisecond.
 */
#include "loopback.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

static void say(int redis, const char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t sent = send(redis, bytes, size, MSG_NOSIGNAL);

        if (sent <= 0 && errno != EINTR && errno != EAGAIN)
            loopback_die("churn: cannot write to Redis: %s", strerror(errno));
        bytes += sent > 0 ? sent : 0;
        size -= sent > 0 ? (size_t)sent : 0;
    }
}

/* Answers are numbers; anything with a '-' at a line's start is an error. */
static void take_replies(int redis)
{
    char reply[65536];
    ssize_t got;

    while ((got = recv(redis, reply, sizeof(reply) - 1, MSG_DONTWAIT)) > 0) {
        reply[got] = '\0';
        if (reply[0] == '-' || strstr(reply, "\n-"))
            loopback_die("churn: Redis says %.200s", reply);
    }
    if (got == 0)
        loopback_die("churn: Redis closed");
}

static size_t change(char *to, size_t room, uint64_t n, unsigned tenants)
{
    char key[64], value[64];

    snprintf(key, sizeof(key), "usher:tenant:churn%llu", (unsigned long long)(n % tenants));
    snprintf(value, sizeof(value), "127.0.0.1:%llu", 20000 + (unsigned long long)(n / tenants % 2));
    return (size_t)snprintf(to, room,
                            "*4\r\n$4\r\nHSET\r\n$%zu\r\n%s\r\n$2\r\nto\r\n$%zu\r\n%s\r\n",
                            strlen(key), key, strlen(value), value);
}

int main(int argc, char **argv)
{
    char out[256];

    if (argc != 5)
        loopback_die("usage: churn REDIS DATABASE CHANGES-PER-SECOND TENANTS");
    signal(SIGPIPE, SIG_IGN);
    struct sockaddr_in address = loopback_address(argv[1]);
    unsigned database = (unsigned)loopback_number("DATABASE", argv[2], 0, 15);
    uint64_t rate = loopback_number("CHANGES-PER-SECOND", argv[3], 1, 1000000);
    unsigned tenants = (unsigned)loopback_number("TENANTS", argv[4], 1, 1000000);
    int redis = loopback_connect(&address, NULL);
    struct pollfd ready = { .fd = redis, .events = POLLOUT };

    poll(&ready, 1, 2000);
    say(redis, out, (size_t)snprintf(out, sizeof(out), "SELECT %u\r\n", database));
    uint64_t began = loopback_now_ns();
    for (uint64_t done = 0;;) {
        uint64_t due = (loopback_now_ns() - began) * rate / 1000000000u;

        for (; done < due; done++)
            say(redis, out, change(out, sizeof(out), done, tenants));
        take_replies(redis);
        nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
    }
}
