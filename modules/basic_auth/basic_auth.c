/* basic_auth.c -- lets in who has a name and a password; the hashes of the passwords are a hash in Redis.
 *
 *     redis-cli HSET usher:tenant:acme modules 'basic_auth(users=users realm=Staff)'
 *     redis-cli HSET usher:t:acme:users jane "$(mkpasswd -m bcrypt)"
 */
#include "basic_auth.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

enum { USERS, REALM, USER_HEADER, PASS, CACHE, OUTAGE, ROWS };
enum { ACCEPTED, REFUSED, CACHED, JUDGED, BUSY, METRICS };

#define REALM_MOST 128
#define NAP_MS 25 /* between two looks whether a password may be judged now */
#define NAPS 200

static const struct usher_setting settings[ROWS] = {
    [USERS] = { .name = "users",
                .type = USHER_TYPE_KEY,
                .flags = USHER_REQUIRED,
                .meaning = "a Redis hash: field a user's name, value what crypt(3) made of the "
                           "password ($2b$, $y$, $6$)" },
    [REALM] = { .name = "realm",
                .type = USHER_TYPE_TEXT,
                .standard = "restricted",
                .least = 1,
                .most = REALM_MOST,
                .meaning = "what the client is told that the password is for" },
    [USER_HEADER] = { .name = "user_header",
                      .type = USHER_TYPE_TEXT,
                      .least = 1,
                      .most = 64,
                      .meaning = "tells the endpoint the user's name in this header, which the "
                                 "client cannot set" },
    [PASS] = { .name = "pass_authorization",
               .type = USHER_TYPE_SWITCH,
               .standard = "off",
               .meaning = "the endpoint gets the client's Authorization, password and all" },
    [CACHE] = { .name = "cache",
                .type = USHER_TYPE_TIME,
                .standard = "5s",
                .least = 0,
                .most = 3600000,
                .meaning = "who was let in goes on for so long without a question to Redis" },
    [OUTAGE] = { .name = "outage",
                 .type = USHER_TYPE_TIME,
                 .standard = "1h",
                 .least = 0,
                 .most = 7 * 86400000LL,
                 .meaning = "and for so long while Redis is away" },
};

static const struct usher_metric metrics[METRICS] = {
    [ACCEPTED] = { "accepted_total", USHER_COUNTER, "Requests let in." },
    [REFUSED] = { "refused_total", USHER_COUNTER, "Requests answered with 401." },
    [CACHED] = { "cached_total", USHER_COUNTER, "Requests let in by what was known already." },
    [JUDGED] = { "judged_total", USHER_COUNTER, "Passwords hashed." },
    [BUSY] = { "busy_total", USHER_COUNTER, "Requests answered with 503: too many to hash." },
};

struct basic_auth {
    struct usher_text users, user_header, challenge;
    bool pass;
    uint64_t cache_ms, outage_ms;
    struct basic_auth_shared *shared;
};

/* One request's way to its answer. */
struct attempt {
    struct basic_auth_login login;
    struct basic_auth_verified seen; /* what was known of the user before */
    uint8_t user[32];
    char hash[BASIC_AUTH_HASH_MAX + 1];
    bool was_seen, is_decoy;
    uint32_t slot; /* while it is judged */
    unsigned naps;
    struct usher_text field; /* what Redis is asked for */
    struct usher_answer answer;
};

/* What is judged on another thread: it may outlive the exchange, and what is compiled. */
struct judging {
    const struct usher_host *host;
    uint64_t took_ms;
    char password[BASIC_AUTH_PASSWORD_MAX + 1];
    char hash[BASIC_AUTH_HASH_MAX + 1];
    bool good;
};

/* --- settings --- */

/* RFC 9110 5.6.2: a token. */
static bool is_token(struct usher_text text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')) &&
            (c == '\0' || strchr("!#$%&'*+-.^_`|~", c) == NULL))
            return false;
    }
    return text.len > 0;
}

/* What frames a message, belongs to one connection, or is the edge's own to say. */
static bool is_edges_own(struct usher_text name)
{
    static const char *const names[] = {
        "Connection", "Content-Length",  "Transfer-Encoding", "TE",   "Trailer",
        "Upgrade",    "Keep-Alive",      "Proxy-Connection",  "Host", "Expect",
        "Forwarded",  "X-Forwarded-For", "X-Forwarded-Proto", "Via",  "X-Forwarded-Host",
        "CDN-Loop",   "HTTP2-Settings",
    };

    if (name.len >= 6 && strncasecmp(name.ptr, "Usher-", 6) == 0)
        return true;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strlen(names[i]) == name.len && strncasecmp(names[i], name.ptr, name.len) == 0)
            return true;
    return false;
}

static size_t append(char *to, size_t at, const char *text)
{
    memcpy(to + at, text, strlen(text));
    return at + strlen(text);
}

/* False: what cannot stand in a header. */
static bool make_challenge(struct usher_compile *c, struct usher_text realm, struct usher_text *to)
{
    char *text = usher_keep(c, 2 * realm.len + 64);
    size_t at = append(text, 0, "Basic realm=\"");

    for (size_t i = 0; i < realm.len; i++) {
        if ((unsigned char)realm.ptr[i] < ' ' || realm.ptr[i] == 0x7f)
            return false;
        if (realm.ptr[i] == '"' || realm.ptr[i] == '\\')
            text[at++] = '\\';
        text[at++] = realm.ptr[i];
    }
    at = append(text, at, "\", charset=\"UTF-8\"");
    *to = (struct usher_text){ text, at };
    return true;
}

static bool compile(struct usher_compile *c, const struct usher_given *given, void **compiled)
{
    struct basic_auth *b = usher_keep(c, sizeof(*b));

    b->users = given[USERS].values[0].text;
    b->pass = given[PASS].values[0].number;
    b->cache_ms = (uint64_t)given[CACHE].values[0].number;
    b->outage_ms = (uint64_t)given[OUTAGE].values[0].number;
    if (!make_challenge(c, given[REALM].values[0].text, &b->challenge))
        return usher_refuse(c, REALM, 0, "a text without control characters");
    if (given[USER_HEADER].count > 0) {
        b->user_header = given[USER_HEADER].values[0].text;
        if (!is_token(b->user_header))
            return usher_refuse(c, USER_HEADER, 0, "a header's name");
        if (is_edges_own(b->user_header))
            return usher_refuse(c, USER_HEADER, 0, "a header that is not the edge's own to say");
    }
    b->shared = basic_auth_shared_new();
    if (b->shared == NULL)
        return usher_refuse(c, ROWS, 0, "memory, and there is none");
    *compiled = b;
    return true;
}

static void drop(void *compiled)
{
    basic_auth_shared_free(((struct basic_auth *)compiled)->shared);
}

/* --- what it comes to --- */

static enum usher_result refuse(struct usher_exchange *x, const struct basic_auth *b)
{
    enum usher_result result = usher_reply(x, 401, usher_text("text/plain; charset=utf-8"),
                                           usher_text("a name and a password are needed\n"));

    usher_count(x, REFUSED, 1);
    if (result == USHER_ANSWERED &&
        !usher_header_set(x, USHER_RESPONSE, usher_text("WWW-Authenticate"), b->challenge))
        return USHER_FAULT;
    return result;
}

static enum usher_result answer_busy(struct usher_exchange *x)
{
    enum usher_result result = usher_reply(x, 503, usher_text("text/plain; charset=utf-8"),
                                           usher_text("too many passwords to check\n"));

    usher_count(x, BUSY, 1);
    if (result == USHER_ANSWERED &&
        !usher_header_set(x, USHER_RESPONSE, usher_text("Retry-After"), usher_text("1")))
        return USHER_FAULT;
    return result;
}

static enum usher_result accept_user(struct usher_exchange *x, const struct basic_auth *b,
                                     struct attempt *a, bool cached)
{
    usher_count(x, ACCEPTED, 1);
    if (cached)
        usher_count(x, CACHED, 1);
    if (b->user_header.ptr != NULL &&
        !usher_header_set(x, USHER_REQUEST, b->user_header, usher_text(a->login.user)))
        return USHER_FAULT;
    if (!b->pass && !usher_header_remove(x, USHER_REQUEST, usher_text("Authorization")))
        return USHER_FAULT;
    return USHER_GO_ON;
}

/* Each way out passes here. */
static enum usher_result end(struct attempt *a, enum usher_result result)
{
    basic_auth_wipe(a->login.password, sizeof(a->login.password));
    return result;
}

/* --- what is known already --- */

/* Of name, password and the hash that judges them; lengths before the texts, so that no two run into one another. */
static void make_proof(struct usher_exchange *x, const struct attempt *a, const uint8_t hash[32],
                       uint8_t proof[32])
{
    char all[2 * 2 + BASIC_AUTH_USER_MAX + BASIC_AUTH_PASSWORD_MAX + 32];
    size_t user = strlen(a->login.user), password = strlen(a->login.password), at = 0;
    uint8_t digest[64];

    all[at++] = (char)(user >> 8);
    all[at++] = (char)user;
    memcpy(all + at, a->login.user, user);
    at += user;
    all[at++] = (char)(password >> 8);
    all[at++] = (char)password;
    memcpy(all + at, a->login.password, password);
    at += password;
    memcpy(all + at, hash, 32);
    usher_digest(x->host, USHER_SHA256, (struct usher_text){ all, at + 32 }, digest);
    memcpy(proof, digest, 32);
    basic_auth_wipe(all, sizeof(all));
}

/* Was this password right for the hash that was there then? */
static bool is_proven(struct usher_exchange *x, const struct attempt *a)
{
    uint8_t proof[32];

    if (!a->was_seen)
        return false;
    make_proof(x, a, a->seen.hash, proof);
    return usher_equal(x->host, (struct usher_text){ (char *)proof, 32 },
                       (struct usher_text){ (const char *)a->seen.proof, 32 });
}

static bool is_younger(struct usher_exchange *x, const struct attempt *a, uint64_t ms)
{
    return usher_now_ms(x) < a->seen.confirmed_ms + ms;
}

static void remember(struct usher_exchange *x, const struct basic_auth *b, const struct attempt *a)
{
    struct basic_auth_verified v = { .confirmed_ms = usher_now_ms(x) };
    uint8_t digest[64];

    usher_digest(x->host, USHER_SHA256, usher_text(a->hash), digest);
    memcpy(v.hash, digest, 32);
    memcpy(v.user, a->user, 32);
    make_proof(x, a, v.hash, v.proof);
    basic_auth_remember(b->shared, &v);
}

/* --- judging --- */

static uint64_t clock_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void judge(void *arg)
{
    struct judging *j = arg;
    uint64_t began_ms = clock_ms();

    j->good = basic_auth_judge(j->host, j->password, j->hash);
    j->took_ms = clock_ms() - began_ms;
    basic_auth_wipe(j->password, sizeof(j->password));
}

static enum usher_result on_judged(struct usher_exchange *x, const void *compiled, void *arg)
{
    const struct basic_auth *b = compiled;
    const struct judging *j = arg;
    struct attempt *a = *usher_state(x);

    basic_auth_end_judging(b->shared, a->slot, j->took_ms);
    a->slot = BASIC_AUTH_NO_SLOT;
    usher_count(x, JUDGED, 1);
    if (!j->good || a->is_decoy)
        return end(a, refuse(x, b));
    remember(x, b, a);
    return end(a, accept_user(x, b, a, false));
}

static enum usher_result start_judging(struct usher_exchange *x, const struct basic_auth *b,
                                       struct attempt *a);

static enum usher_result on_nap(struct usher_exchange *x, const void *compiled, void *arg)
{
    return start_judging(x, compiled, arg);
}

static enum usher_result start_judging(struct usher_exchange *x, const struct basic_auth *b,
                                       struct attempt *a)
{
    struct judging j = { .host = x->host };
    bool started;

    a->slot = basic_auth_begin_judging(b->shared, usher_now_ms(x));
    if (a->slot == BASIC_AUTH_NO_SLOT) {
        if (a->naps++ == NAPS || !usher_timer(x, NAP_MS, on_nap, a))
            return end(a, answer_busy(x));
        return USHER_WAIT;
    }
    memcpy(j.password, a->login.password, sizeof(j.password));
    memcpy(j.hash, a->hash, sizeof(j.hash));
    started = usher_job(x, judge, &j, sizeof(j), on_judged);
    basic_auth_wipe(&j, sizeof(j));
    return started ? USHER_WAIT : end(a, USHER_FAULT);
}

/* The hash that the password is judged by. Who is not there is judged by another's, and refused: it takes as long. */
static void take_hash(struct usher_exchange *x, const struct basic_auth *b, struct attempt *a)
{
    struct usher_text hash = a->answer.values[0];

    if (hash.ptr != NULL && basic_auth_is_hash(hash)) {
        memcpy(a->hash, hash.ptr, hash.len);
        basic_auth_set_decoy(b->shared, a->hash);
        return;
    }
    if (hash.ptr != NULL) {
        char sentence[BASIC_AUTH_USER_MAX + 120];

        snprintf(
            sentence, sizeof(sentence),
            "the hash of %s: expected what crypt(3) makes: $2b$ (cost up to 14), $y$, $6$, $5$",
            a->login.user);
        usher_log(x, USHER_LOG_WARN, sentence);
    }
    a->is_decoy = true;
    basic_auth_decoy(b->shared, a->hash);
}

static enum usher_result on_hash(struct usher_exchange *x, const void *compiled, void *arg)
{
    const struct basic_auth *b = compiled;
    struct attempt *a = arg;
    uint8_t digest[64];

    if (a->answer.state == USHER_ANSWER_AWAY) {
        if (is_proven(x, a) && is_younger(x, a, b->outage_ms))
            return end(a, accept_user(x, b, a, true));
        return end(a, usher_fault(x, USHER_BECAUSE_STORE));
    }
    if (a->answer.state != USHER_ANSWER_GOOD) {
        char sentence[200];

        snprintf(sentence, sizeof(sentence), "users: %.*s", (int)a->answer.values[0].len,
                 a->answer.values[0].ptr);
        usher_log(x, USHER_LOG_WARN, sentence);
        return end(a, USHER_FAULT);
    }
    take_hash(x, b, a);
    usher_digest(x->host, USHER_SHA256, usher_text(a->hash), digest);
    if (!a->is_decoy && a->was_seen && memcmp(a->seen.hash, digest, 32) == 0 && is_proven(x, a)) {
        remember(x, b, a);
        return end(a, accept_user(x, b, a, true));
    }
    return start_judging(x, b, a);
}

/* --- hooks --- */

/* Endpoints may read X_User as X-User. */
static bool is_alike(struct usher_text a, struct usher_text b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++) {
        char one = a.ptr[i] == '_' ? '-' : a.ptr[i], other = b.ptr[i] == '_' ? '-' : b.ptr[i];

        if (strncasecmp(&one, &other, 1) != 0)
            return false;
    }
    return true;
}

static bool remove_alike(struct usher_exchange *x, struct usher_text name)
{
    struct usher_pair field;
    uint32_t at = 0;

    while (usher_header_at(x, USHER_REQUEST, at, &field)) {
        if (!is_alike(field.name, name))
            at++;
        else if (!usher_header_remove(x, USHER_REQUEST, field.name))
            return false;
    }
    return true;
}

static enum usher_result on_request(struct usher_exchange *x, const void *compiled)
{
    const struct basic_auth *b = compiled;
    struct usher_question question = { .kind = USHER_ASK_HGET, .key = b->users, .arg_count = 1 };
    const struct usher_text authorization = usher_text("Authorization");
    struct attempt *a = usher_alloc(x, sizeof(*a));
    uint8_t digest[64];

    if (a == NULL || (b->user_header.ptr != NULL && !remove_alike(x, b->user_header)))
        return USHER_FAULT;
    a->slot = BASIC_AUTH_NO_SLOT;
    *usher_state(x) = a;
    if (usher_header(x, USHER_REQUEST, authorization, 1).ptr != NULL ||
        !basic_auth_read(x->host, usher_header(x, USHER_REQUEST, authorization, 0), &a->login))
        return refuse(x, b);
    a->field = usher_text(a->login.user);
    usher_digest(x->host, USHER_SHA256, a->field, digest);
    memcpy(a->user, digest, 32);
    a->was_seen = basic_auth_find(b->shared, a->user, &a->seen);
    if (a->was_seen && is_younger(x, a, b->cache_ms) && is_proven(x, a))
        return end(a, accept_user(x, b, a, true));
    question.args = &a->field;
    return usher_ask(x, &question, &a->answer, on_hash, a) ? USHER_WAIT : end(a, USHER_FAULT);
}

/* The exchange may have ended while it waited. */
static void on_done(struct usher_exchange *x, const void *compiled)
{
    const struct basic_auth *b = compiled;
    struct attempt *a = *usher_state(x);

    if (a == NULL)
        return;
    basic_auth_wipe(a->login.password, sizeof(a->login.password));
    if (a->slot != BASIC_AUTH_NO_SLOT)
        basic_auth_leave_judging(b->shared, a->slot, usher_now_ms(x));
}

USHER_MODULE(basic_auth) = {
    USHER_MODULE_ABI,
    .name = "basic_auth",
    .version = "1.0",
    .summary = "lets in who has a name and a password; the hashes of the passwords are in Redis",
    USHER_SETTINGS(settings),
    USHER_METRICS(metrics),
    .compile = compile,
    .drop = drop,
    .on_request = on_request,
    .on_done = on_done,
};
