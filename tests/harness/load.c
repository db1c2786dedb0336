/* load.c -- clients without a break.
 *
 * Owns:    their connections and threads.
 * Thread:  its own, one a client; no asserts there.
 * Used by: tests.
 * Not here: clients that do what a test says (client.c). */
#include "harness/load.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define ANSWER_MS 20000 /* more than any limit of an edge on its way */
#define PAUSE_US 1500
#define NEW_CONNECTION_EVERY 9

struct asker {
    struct load *load;
    unsigned number, asked;
    unsigned turn; /* the load's, when its connection was opened */
    int fd;
    unsigned last[VERSIONS_HOSTS_MAX]; /* on this connection */
    char answer[2048];
};

static bool is_away(unsigned turn)
{
    return turn % 2 == 1;
}

/* Was this connection's edge killed meanwhile? */
static bool is_excused(const struct asker *a)
{
    return is_away(a->turn) || a->turn != atomic_load(&a->load->turn);
}

static bool open_connection(struct asker *a)
{
    struct sockaddr_in to = { .sin_family = AF_INET };
    struct timeval limit = { ANSWER_MS / 1000, 0 };
    char host[32];
    unsigned port;
    int on = 1;

    memset(a->last, 0, sizeof(a->last));
    pthread_mutex_lock(&a->load->lock);
    a->turn = atomic_load(&a->load->turn);
    on = sscanf(a->load->at, "%31[^:]:%u", host, &port) == 2;
    pthread_mutex_unlock(&a->load->lock);
    if (!on)
        return false;
    to.sin_port = htons((uint16_t)port);
    inet_pton(AF_INET, host, &to.sin_addr);
    a->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(a->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    setsockopt(a->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    return connect(a->fd, (struct sockaddr *)&to, sizeof(to)) == 0;
}

/* The answer's body, NULL: none that is whole. */
static const char *read_answer(struct asker *a)
{
    size_t len = 0;

    for (;;) {
        ssize_t n = recv(a->fd, a->answer + len, sizeof(a->answer) - 1 - len, 0);
        char *end, *length;

        if (n <= 0)
            return NULL;
        len += (size_t)n;
        a->answer[len] = '\0';
        if ((end = strstr(a->answer, "\r\n\r\n")) == NULL)
            continue;
        length = strcasestr(a->answer, "\r\ncontent-length:");
        if (length == NULL || length > end)
            return NULL;
        if (strlen(end + 4) >= strtoul(length + 17, NULL, 10))
            return end + 4;
    }
}

static void say_wrong(struct asker *a, unsigned i, const char *why, unsigned version, unsigned than)
{
    struct load *l = a->load;

    if (atomic_fetch_add(&l->wrong, 1) == 0)
        snprintf(l->seen, sizeof(l->seen), "client %u, host %u: %s (%u, %u): %.180s", a->number, i,
                 why, version, than, a->answer);
}

static bool is_refusal(const struct asker *a)
{
    return strncmp(a->answer, "HTTP/1.1 503 ", 13) == 0 &&
           strcasestr(a->answer, "\r\nusher-fault: store_") != NULL;
}

static void check(struct asker *a, unsigned i, unsigned least, const char *body)
{
    unsigned most = atomic_load(&a->load->versions->written[i]), version;

    if (body == NULL || strncmp(a->answer, "HTTP/1.1 200 ", 13) != 0) {
        say_wrong(a, i, body == NULL ? "no answer" : "not 200", 0, 0);
        return;
    }
    version = versions_in(i, body);
    if (version == 0)
        say_wrong(a, i, "an answer of another host", 0, 0);
    else if (version < least)
        say_wrong(a, i, "older than what all workers had", version, least);
    else if (version > most)
        say_wrong(a, i, "newer than what was written", version, most);
    else if (version < a->last[i] && !a->load->may_go_back)
        say_wrong(a, i, "it goes back", version, a->last[i]);
    a->last[i] = version;
}

static void open_again(struct asker *a)
{
    close(a->fd);
    if (!open_connection(a) && !is_excused(a))
        say_wrong(a, 0, "no connection", 0, 0);
}

static void ask(struct asker *a)
{
    struct versions *v = a->load->versions;
    unsigned i = (a->number * 7 + a->asked) % v->count, least = atomic_load(&v->least[i]);
    char text[128], host[32];
    int n =
        snprintf(text, sizeof(text), "GET /x HTTP/1.1\r\nHost: %s\r\n\r\n", versions_host(i, host));
    bool may_refuse = atomic_load(&a->load->may_refuse);
    const char *body = NULL;

    a->answer[0] = '\0';
    if (send(a->fd, text, (size_t)n, MSG_NOSIGNAL) == n)
        body = read_answer(a);
    a->asked++;
    may_refuse = may_refuse || atomic_load(&a->load->may_refuse);
    if (body == NULL && is_excused(a))
        return;
    if (body != NULL && may_refuse && is_refusal(a))
        atomic_fetch_add(&a->load->refused, 1);
    else
        check(a, i, least, body);
    if (body == NULL)
        open_again(a);
    atomic_fetch_add(&a->load->asked, 1);
}

static void *run(void *owner)
{
    struct asker a = { .load = owner };
    struct timespec pause = { 0, PAUSE_US * 1000 };

    a.number = atomic_fetch_add(&a.load->numbered, 1);
    if (!open_connection(&a) && !is_excused(&a))
        say_wrong(&a, 0, "no connection", 0, 0);
    while (!atomic_load(&a.load->stop)) {
        nanosleep(&pause, NULL);
        if (is_away(atomic_load(&a.load->turn)))
            continue;
        if (is_excused(&a) || (a.number % 2 == 1 && a.asked % NEW_CONNECTION_EVERY == 0))
            open_again(&a);
        ask(&a);
    }
    close(a.fd);
    return NULL;
}

void load_await(struct load *l, unsigned more)
{
    unsigned before = atomic_load(&l->asked);

    await(atomic_load(&l->asked) >= before + more);
}

void load_start(struct load *l, const struct edge *e, struct versions *v)
{
    bool may_go_back = l->may_go_back;

    memset(l, 0, sizeof(*l));
    l->versions = v;
    l->may_go_back = may_go_back;
    pthread_mutex_init(&l->lock, NULL);
    snprintf(l->at, sizeof(l->at), "%s", e->at);
    for (unsigned i = 0; i < LOAD_CLIENTS; i++)
        await_thread(&l->threads[i], run, l);
    load_await(l, LOAD_CLIENTS * 10);
}

void load_kill(struct load *l, struct edge *e)
{
    atomic_fetch_add(&l->turn, 1);
    process_kill(&e->process);
}

void load_turn(struct load *l, const struct edge *e)
{
    pthread_mutex_lock(&l->lock);
    snprintf(l->at, sizeof(l->at), "%s", e->at);
    atomic_fetch_add(&l->turn, 1);
    pthread_mutex_unlock(&l->lock);
}

unsigned load_number(const char *name, unsigned otherwise)
{
    const char *text = getenv(name);

    return text != NULL ? (unsigned)strtoul(text, NULL, 10) : otherwise;
}

void load_end(struct load *l)
{
    load_await(l, LOAD_CLIENTS * 10);
    atomic_store(&l->stop, true);
    for (unsigned i = 0; i < LOAD_CLIENTS; i++)
        pthread_join(l->threads[i], NULL);
    cr_assert_eq(l->wrong, 0, "%u of %u answers are wrong, the first: %s", (unsigned)l->wrong,
                 (unsigned)l->asked, l->seen);
}
