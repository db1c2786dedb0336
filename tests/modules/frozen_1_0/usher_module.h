/* usher_module.h -- all that a module of usher is written against. ABI 1.0, plain C11.
 *
 * A module is decision logic for requests: one exported struct that names it, lists its settings, and points to its hooks.
 * It is switched on for a tenant, a host or one rule by what Redis says:
 *
 *     redis-cli HSET usher:tenant:acme modules 'hello(greeting="good day")'
 *
 * and sees, each time a hook is called, one exchange (a request and its response) and nothing else.
 *
 * THREADS   `compile` and `drop` run on the control thread, every other hook on the worker that has the exchange. Hooks of
 *           one exchange never run at the same time; those of different exchanges do. What `compile` made is shared by all
 *           workers: it must not be changed afterwards, but for atomics.
 * TIME      A hook runs inside an event loop that serves thousands of connections: it must not block, sleep, or compute for
 *           long. What takes time is a job (usher_job), a question to Redis (usher_ask) or a sub-request (usher_subrequest):
 *           start it and return USHER_WAIT. A hook that holds its loop longer than --module-stall is named in the log.
 * TEXT      struct usher_text is a pointer and a length, not ended by NUL; ptr NULL: there is none. What a host function
 *           returns lives as long as the exchange, if nothing else is said. What is given to one is copied.
 * ERRORS    No host function ends the exchange by itself. Each says below what it returns when it cannot do what it is
 *           asked; a module that cannot go on returns USHER_FAULT, and the client gets 500 with `Usher-Fault: module_fault`.
 * WHERE     Behind each host function stands from which hooks it may be called: C compile, Q on_request, U on_upstream,
 *           R on_response, B on_body, D on_done, and J what jobs run; "all" is every hook but compile and jobs. What an
 *           operation resumes (usher_resumed) may call what the hook that waited may. Called from elsewhere, or with
 *           arguments that make no sense, a function does nothing and returns what it does on error.
 * GROWTH    Later versions with the same major number add to the ends of these structs, and change nothing that is here. A
 *           module is loaded by every edge of its major whose minor is not older than the module's. */
#ifndef USHER_MODULE_H
#define USHER_MODULE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define USHER_ABI_MAJOR 1
#define USHER_ABI_MINOR 0

struct usher_host;

struct usher_text {
    const char *ptr;
    size_t len;
};

/* What the edge knows of one exchange lies behind this. `host` is where the functions below come from. */
struct usher_exchange {
    const struct usher_host *host;
};

/* Settings being compiled. */
struct usher_compile {
    const struct usher_host *host;
};

enum usher_result {
    USHER_GO_ON = 0, /* to the next module, or to what follows the last one */
    USHER_ANSWERED =
        1, /* the module has replied (usher_reply and the like); from on_request only */
    USHER_WAIT =
        2, /* something was started that resumes this exchange; from on_request and on_response */
    USHER_FAULT = 3, /* the exchange ends in a fault; see usher_fault */
};

enum usher_side { USHER_REQUEST = 0, USHER_RESPONSE = 1 };

/* --- settings --- */

enum usher_type {
    USHER_TYPE_TEXT = 0,   /* text: its bytes, from `least` to `most` of them */
    USHER_TYPE_NUMBER = 1, /* number: from `least` to `most` */
    USHER_TYPE_TIME = 2,   /* number: ms, from `least` to `most`; written 500ms, 5s, 2m, 1h, 1d */
    USHER_TYPE_SIZE = 3,   /* number: bytes, from `least` to `most`; written 512, 64k, 10m, 1g */
    USHER_TYPE_SWITCH = 4, /* number: 1 or 0; written name, name=on or name=off */
    USHER_TYPE_WORD = 5,   /* text, and number: which of `words` it is, from 0 */
    USHER_TYPE_PAIR = 6,   /* name and text: written NAME=VALUE, as in `set X-Edge=1` */
    USHER_TYPE_KEY = 7,    /* text: a Redis key below the tenant's own, see usher_ask */
    USHER_TYPE_SERVICE =
        8, /* number: a handle; written as the name of a service that the tenant may use */
};

/* One row of a module's table of settings: what `usher check`, `usher explain` and `usher modules` know of it, and what is
 * checked before `compile` is called. */
struct usher_setting {
    const char *name; /* a-z 0-9 _ */
    uint32_t type;    /* enum usher_type */
    uint32_t flags;   /* USHER_REQUIRED, USHER_MANY */
    const char
        *standard;       /* what holds when it is not said, as it would be written; NULL: nothing */
    int64_t least, most; /* both 0: no bounds of its own */
    const char *words;   /* USHER_TYPE_WORD: "strict lax off" */
    const char *meaning; /* one sentence, for people */
};

#define USHER_REQUIRED 1u /* an error when it is not said */
#define USHER_MANY 2u     /* may be said several times */

struct usher_value {
    struct usher_text name; /* of a pair */
    struct usher_text text; /* as written, without quotes; of a pair, its value */
    int64_t number;
};

/* What was said of one row, in the order written; without it, `standard`; count 0: neither. It lives, with all it points to, as
 * long as what is compiled. */
struct usher_given {
    const struct usher_value *values;
    uint32_t count;
};

/* --- metrics --- */

enum usher_metric_kind { USHER_COUNTER = 0, USHER_GAUGE = 1 };

/* Appears in /metrics as usher_module_<module>_<name>, summed over all exchanges of this edge. */
struct usher_metric {
    const char *name; /* a-z 0-9 _; a counter's ends with _total */
    uint32_t kind;    /* enum usher_metric_kind */
    const char *help;
};

/* --- the module --- */

/* Where on_response's response comes from. */
enum usher_source {
    USHER_FROM_ENDPOINT = 0,
    USHER_FROM_MODULE = 1, /* a module's reply */
    USHER_FROM_EDGE = 2,   /* a redirect or text of a rule, or a fault: usher_fault_name */
};

struct usher_module {
    uint16_t abi_major, abi_minor; /* USHER_ABI_MAJOR, USHER_ABI_MINOR: what it was built against */
    uint32_t size;                 /* sizeof(struct usher_module) */
    const char *name;              /* a-z 0-9 _, at most 31 bytes: how Redis names it */
    const char *version;           /* its own, as it likes */
    const char *summary;           /* one sentence, for people */
    const struct usher_setting *settings;
    const struct usher_metric *metrics;
    uint16_t setting_count, setting_size; /* rows, and sizeof(struct usher_setting) */
    uint16_t metric_count, metric_size;   /* likewise */

    /* The settings of one tenant, host or rule, once per change. given[i] is what was said of settings[i]. What *compiled is
     * set to is handed to every hook; NULL is as good as anything. It lies in usher_keep's memory, or `drop` frees it. False:
     * the record is bad, with usher_refuse's sentence in usher:errors, and its last good version serves on. NULL: a module
     * without settings. When the record changes and these settings, and those of its other modules, do not, what was compiled
     * before may stay in use, and this is dropped at once: see usher_anew. */
    bool (*compile)(struct usher_compile *c, const struct usher_given *given, void **compiled);
    /* Nobody uses `compiled` any more. May be NULL. */
    void (*drop)(void *compiled);

    /* Each of these may be NULL, but not all. They are called in the order in which Redis lists the modules: those of the
     * host or its tenant first, then those of the rule. */

    /* The request was matched with its rule, and nothing has been sent to anybody. Also when nothing says where it goes: it is
     * 404 no_route if no module answers or chooses a service. */
    enum usher_result (*on_request)(struct usher_exchange *x, const void *compiled);
    /* The request's head is as the endpoint will get it, but for what is said here with usher_header_*. Once for each attempt. */
    enum usher_result (*on_upstream)(struct usher_exchange *x, const void *compiled);
    /* A response's head, of whatever source, before it is sent; not 1xx. Once more when a fault takes the place of a response
     * of which nothing has been sent. */
    enum usher_result (*on_response)(struct usher_exchange *x, const void *compiled);
    /* A piece of a body that the module took (usher_take_body). What it wants sent it says with usher_send; it may change, add
     * to or hold back what it gets, and send more at the end. `last`: the body is whole with this piece, which may be empty. */
    enum usher_result (*on_body)(struct usher_exchange *x, const void *compiled,
                                 enum usher_side side, const char *bytes, size_t len, bool last);
    /* The exchange is over, well or not. Always called, once, for every module whose turn came or would have come. Read only. */
    void (*on_done)(struct usher_exchange *x, const void *compiled);
};

/* What a file of a module exports. Linked into the edge it bears the module's name, for there may be only one of each. */
#ifdef USHER_LINKED_IN
# define USHER_MODULE(name) const struct usher_module usher_module_##name
#else
# define USHER_MODULE(name)                                                                        \
     __attribute__((visibility("default"))) const struct usher_module usher_module
#endif
/* First in the initializer of every module; then .name and so on. */
#define USHER_MODULE_ABI                                                                           \
    .abi_major = USHER_ABI_MAJOR, .abi_minor = USHER_ABI_MINOR, .size = sizeof(struct usher_module)
#define USHER_SETTINGS(table)                                                                      \
    .settings = (table), .setting_count = sizeof(table) / sizeof((table)[0]),                      \
    .setting_size = sizeof((table)[0])
#define USHER_METRICS(table)                                                                       \
    .metrics = (table), .metric_count = sizeof(table) / sizeof((table)[0]),                        \
    .metric_size = sizeof((table)[0])

/* --- what can be waited for --- */

/* Resumes an exchange that waits: what it returns is taken as the result of the hook that returned USHER_WAIT. Not called when
 * the exchange has ended meanwhile. `arg` as it was given. */
typedef enum usher_result (*usher_resumed)(struct usher_exchange *x, const void *compiled,
                                           void *arg);

enum usher_ask_kind {
    USHER_ASK_GET = 0,       /* GET key */
    USHER_ASK_HGET = 1,      /* HGET key args[0] */
    USHER_ASK_HMGET = 2,     /* HMGET key args[0..count) */
    USHER_ASK_SISMEMBER = 3, /* SISMEMBER key args[0] */
    USHER_ASK_INCRBY =
        4, /* INCRBY key amount; a key that is new expires after ttl_ms (at least 1) */
};

/* A question to Redis. The key must begin with usher:t:<tenant>: (with the edge's own prefix), of the tenant at hand; with
 * less it is taken to be the rest of such a key: `users` is usher:t:acme:users. At most 16 args and 16 KiB in all. Who asks
 * what is being asked at that moment shares its answer; counters are added to once for each who asks. */
struct usher_question {
    uint32_t kind; /* enum usher_ask_kind */
    struct usher_text key;
    const struct usher_text *args;
    uint32_t arg_count;
    int64_t amount;
    uint32_t ttl_ms;
};

enum usher_answer_state {
    USHER_ANSWER_GOOD = 0,
    USHER_ANSWER_AWAY =
        1, /* Redis is away, slow or busy: nothing is known. usher_fault(x, USHER_BECAUSE_STORE) fits */
    USHER_ANSWER_WRONG =
        2, /* Redis refused, as for a key of another type, or it is longer than 64 KiB; values[0] is the sentence */
};

/* Lives as long as the exchange. */
struct usher_answer {
    uint32_t state;                  /* enum usher_answer_state */
    uint32_t count;                  /* values: of HMGET as many as args, else 1 */
    const struct usher_text *values; /* ptr NULL: there is none */
    int64_t number;                  /* SISMEMBER: 1 or 0; INCRBY: what the key holds now */
};

struct usher_pair {
    struct usher_text name, value;
};

/* A request of the module's own to a service of the same tenant. */
struct usher_request {
    uint64_t service; /* a handle: usher_value.number, or usher_own_service */
    /* path begins with '/', or is empty: then it, query and host are as the exchange's endpoint gets them. query ptr NULL: none;
     * host empty: the exchange's. X-Forwarded-For and the like are the edge's to say, as in any request to an endpoint. */
    struct usher_text method, path, query, host;
    const struct usher_pair
        *headers; /* those that usher_header_set refuses for their name are left out */
    uint32_t header_count;
    struct usher_text body;
    uint32_t timeout_ms; /* from now to the response's end; 0: 5,000 */
    uint32_t most_bytes; /* of its response's body; 0: 64 KiB. What is longer is a failure */
    /* Nobody waits for the response: it is read and thrown away, also when the exchange has ended. */
    bool forget;
};

/* Lives as long as the exchange. */
struct usher_response {
    /* 0: it failed, `failure` says how: a fault's name, such as connect_failed, or response_too_large. */
    uint32_t status;
    uint32_t header_count;
    const struct usher_pair *headers;
    struct usher_text body;
    struct usher_text failure;
};

/* What a connection's TLS says; there is none without TLS. */
struct usher_tls {
    struct usher_text version, cipher, server_name, client_subject;
};

/* Why an exchange ends in a fault: what the client and the metrics are told. */
enum usher_because {
    USHER_BECAUSE_MODULE = 0,    /* 500 module_fault */
    USHER_BECAUSE_STORE = 1,     /* 503 module_store: Redis was needed and is away */
    USHER_BECAUSE_TIMEOUT = 2,   /* 504 module_timeout */
    USHER_BECAUSE_DENIED = 3,    /* 403 denied */
    USHER_BECAUSE_TOO_LARGE = 4, /* 413 content_too_large */
    USHER_BECAUSE_SERVICE = 5,   /* 503 module_service: a sub-request was needed and failed */
};

enum usher_level {
    USHER_LOG_DEBUG = 0,
    USHER_LOG_NOTICE = 1,
    USHER_LOG_WARN = 2,
    USHER_LOG_ERROR = 3
};

enum usher_digest { USHER_SHA1 = 0, USHER_SHA256 = 1, USHER_SHA384 = 2, USHER_SHA512 = 3 };

enum usher_signature {
    USHER_HMAC_SHA256 = 0, /* key: the secret's bytes */
    USHER_HMAC_SHA384 = 1,
    USHER_HMAC_SHA512 = 2,
    USHER_RSA_SHA256 =
        3, /* PKCS #1 1.5; keys of these: PEM or DER of a public key (SubjectPublicKeyInfo) */
    USHER_RSA_SHA384 = 4,
    USHER_RSA_SHA512 = 5,
    USHER_ECDSA_P256_SHA256 = 6, /* the signature is r and s, 32 bytes each (RFC 7518 3.4) */
    USHER_ECDSA_P384_SHA384 = 7,
    USHER_ED25519 = 8,
};

/* --- what the host gives: call the functions further down, which come by these --- */

struct usher_host {
    uint32_t size;
    uint16_t abi_major, abi_minor; /* the edge's */

    /* compile */
    void *(*keep)(struct usher_compile *c, size_t bytes);
    bool (*refuse)(struct usher_compile *c, uint32_t setting, uint32_t value, const char *expected);
    struct usher_text (*compile_tenant)(struct usher_compile *c);

    /* the request */
    struct usher_text (*method)(struct usher_exchange *x);
    struct usher_text (*path)(struct usher_exchange *x);
    struct usher_text (*raw_path)(struct usher_exchange *x);
    struct usher_text (*query)(struct usher_exchange *x);
    struct usher_text (*host_name)(struct usher_exchange *x);
    struct usher_text (*authority)(struct usher_exchange *x);
    struct usher_text (*scheme)(struct usher_exchange *x);
    struct usher_text (*client_ip)(struct usher_exchange *x);
    struct usher_text (*tenant)(struct usher_exchange *x);
    struct usher_text (*route)(struct usher_exchange *x);
    struct usher_text (*service)(struct usher_exchange *x);
    struct usher_text (*request_id)(struct usher_exchange *x);
    struct usher_text (*parameter)(struct usher_exchange *x, struct usher_text name, uint32_t nth);
    struct usher_text (*cookie)(struct usher_exchange *x, struct usher_text name);
    const struct usher_tls *(*tls)(struct usher_exchange *x);

    /* heads */
    struct usher_text (*header)(struct usher_exchange *x, enum usher_side side,
                                struct usher_text name, uint32_t nth);
    bool (*header_at)(struct usher_exchange *x, enum usher_side side, uint32_t index,
                      struct usher_pair *field);
    bool (*header_set)(struct usher_exchange *x, enum usher_side side, struct usher_text name,
                       struct usher_text value);
    bool (*header_add)(struct usher_exchange *x, enum usher_side side, struct usher_text name,
                       struct usher_text value);
    bool (*header_remove)(struct usher_exchange *x, enum usher_side side, struct usher_text name);
    uint32_t (*status)(struct usher_exchange *x);
    bool (*status_set)(struct usher_exchange *x, uint32_t status);
    enum usher_source (*source)(struct usher_exchange *x);
    struct usher_text (*fault_name)(struct usher_exchange *x);

    /* where to */
    bool (*choose_service)(struct usher_exchange *x, uint64_t service);
    uint64_t (*own_service)(struct usher_exchange *x);
    bool (*rewrite_path)(struct usher_exchange *x, struct usher_text path);
    bool (*rewrite_query)(struct usher_exchange *x, struct usher_text query);
    bool (*rewrite_host)(struct usher_exchange *x, struct usher_text host);

    /* answers */
    enum usher_result (*reply)(struct usher_exchange *x, uint32_t status, struct usher_text type,
                               struct usher_text body);
    enum usher_result (*reply_file)(struct usher_exchange *x, uint32_t status, int fd,
                                    uint64_t from, uint64_t bytes);
    bool (*replace_body)(struct usher_exchange *x, struct usher_text type, struct usher_text body);
    enum usher_result (*fault)(struct usher_exchange *x, enum usher_because because);

    /* bodies */
    bool (*take_body)(struct usher_exchange *x, enum usher_side side);
    bool (*send)(struct usher_exchange *x, const char *bytes, size_t len);

    /* memory, time, words */
    void *(*alloc)(struct usher_exchange *x, size_t bytes);
    void **(*state)(struct usher_exchange *x);
    uint64_t (*now_ms)(struct usher_exchange *x);
    uint64_t (*clock_ms)(struct usher_exchange *x);
    uint64_t (*random)(struct usher_exchange *x);
    void (*log)(struct usher_exchange *x, enum usher_level level, const char *sentence);
    void (*count)(struct usher_exchange *x, uint32_t metric, int64_t by);

    /* what takes time */
    bool (*wait_most)(struct usher_exchange *x, uint32_t ms);
    bool (*timer)(struct usher_exchange *x, uint32_t ms, usher_resumed resumed, void *arg);
    bool (*ask)(struct usher_exchange *x, const struct usher_question *question,
                struct usher_answer *answer, usher_resumed resumed, void *arg);
    bool (*subrequest)(struct usher_exchange *x, const struct usher_request *request,
                       struct usher_response *response, usher_resumed resumed, void *arg);
    bool (*job)(struct usher_exchange *x, void (*work)(void *arg), const void *arg, size_t bytes,
                usher_resumed resumed);

    /* from anywhere */
    size_t (*digest)(enum usher_digest kind, struct usher_text bytes, uint8_t to[64]);
    bool (*verify)(enum usher_signature kind, struct usher_text key, struct usher_text bytes,
                   struct usher_text signature);
    bool (*equal)(struct usher_text a, struct usher_text b);
    size_t (*decode_base64)(struct usher_text text, bool url, void *to, size_t room);
    const char *(*option)(struct usher_compile *c, const char *name);
    void (*anew)(struct usher_compile *c);
};

/* --- compile --- */

static inline struct usher_text usher_text(const char *ended_by_nul)
{
    struct usher_text t = { ended_by_nul, 0 };

    while (ended_by_nul != NULL && ended_by_nul[t.len] != '\0')
        t.len++;
    return t;
}

/* [C] Zeroed memory that lives as long as what is compiled. Never NULL. */
static inline void *usher_keep(struct usher_compile *c, size_t bytes)
{
    return c->host->keep(c, bytes);
}

/* [C] `return usher_refuse(c, ROW, i, "a path such as /srv/www")`: value i of that row is wrong, and this was expected. False. */
static inline bool usher_refuse(struct usher_compile *c, uint32_t setting, uint32_t value,
                                const char *expected)
{
    return c->host->refuse(c, setting, value, expected);
}

/* [C] Whose settings these are; ptr NULL: a host without a tenant. Lives as long as what is compiled. */
static inline struct usher_text usher_compile_tenant(struct usher_compile *c)
{
    return c->host->compile_tenant(c);
}

/* [C] What is compiled now is more than its settings say, such as a folder that was opened: it takes the place of what was
 * compiled before, also when the settings are as they were. */
static inline void usher_anew(struct usher_compile *c)
{
    c->host->anew(c);
}

/* [C] What the edge was started with as --module-option MODULE.name=VALUE, MODULE being this one: for what its operator has to
 * allow, whoever writes Redis. NULL: it was not said. Lives as long as the edge. Of the verbs (usher check), theirs. */
static inline const char *usher_option(struct usher_compile *c, const char *name)
{
    return c->host->option(c, name);
}

/* --- the request, as the client sent it --- */

/* [all] GET */
static inline struct usher_text usher_method(struct usher_exchange *x)
{
    return x->host->method(x);
}

/* [all] In its normal form (escapes decoded where that changes nothing, dots resolved), without the query; as rules see it, or
 * as usher_rewrite_path left it. */
static inline struct usher_text usher_path(struct usher_exchange *x)
{
    return x->host->path(x);
}

/* [all] As the client wrote it. */
static inline struct usher_text usher_raw_path(struct usher_exchange *x)
{
    return x->host->raw_path(x);
}

/* [all] Without '?'; ptr NULL: none. */
static inline struct usher_text usher_query(struct usher_exchange *x)
{
    return x->host->query(x);
}

/* [all] In small letters, without a port. */
static inline struct usher_text usher_host_name(struct usher_exchange *x)
{
    return x->host->host_name(x);
}

/* [all] As the client sent it, with the port if it named one. */
static inline struct usher_text usher_authority(struct usher_exchange *x)
{
    return x->host->authority(x);
}

/* [all] http or https: how the client came. */
static inline struct usher_text usher_scheme(struct usher_exchange *x)
{
    return x->host->scheme(x);
}

/* [all] The client's address as text, without port: after PROXY, or as trusted forwarders say. */
static inline struct usher_text usher_client_ip(struct usher_exchange *x)
{
    return x->host->client_ip(x);
}

/* [all] The tenant's id; ptr NULL: a host without a tenant. */
static inline struct usher_text usher_tenant(struct usher_exchange *x)
{
    return x->host->tenant(x);
}

/* [all] The name of the rule that the request met; ptr NULL: none. */
static inline struct usher_text usher_route(struct usher_exchange *x)
{
    return x->host->route(x);
}

/* [all] The name of the service that it goes to; ptr NULL: endpoints without a name, or none. */
static inline struct usher_text usher_service(struct usher_exchange *x)
{
    return x->host->service(x);
}

/* [all] Of this exchange alone, 32 letters of 0-9 a-f; the same in usher_log's lines. */
static inline struct usher_text usher_request_id(struct usher_exchange *x)
{
    return x->host->request_id(x);
}

/* [all] The nth (from 0) parameter of that name in the query, decoded; ptr NULL: no such. */
static inline struct usher_text usher_parameter(struct usher_exchange *x, struct usher_text name,
                                                uint32_t nth)
{
    return x->host->parameter(x, name, nth);
}

/* [all] The first cookie of that name, as it was sent; ptr NULL: no such. */
static inline struct usher_text usher_cookie(struct usher_exchange *x, struct usher_text name)
{
    return x->host->cookie(x, name);
}

/* [all] NULL: the client came without TLS. */
static inline const struct usher_tls *usher_tls(struct usher_exchange *x)
{
    return x->host->tls(x);
}

/* --- heads --- */

/* [all] The value of the nth (from 0) field of that name, in any case; ptr NULL: no such. Of the response there is none before
 * on_response, but for a reply's. */
static inline struct usher_text usher_header(struct usher_exchange *x, enum usher_side side,
                                             struct usher_text name, uint32_t nth)
{
    return x->host->header(x, side, name, nth);
}

/* [all] The fields in their order, from 0; false: no more. */
static inline bool usher_header_at(struct usher_exchange *x, enum usher_side side, uint32_t index,
                                   struct usher_pair *field)
{
    return x->host->header_at(x, side, index, field);
}

/* [request: Q U; response: Q after usher_reply, R] In place of all fields of that name. A value may hold what RFC 9110 5.5
 * allows. False: that, or the name, is not well formed; or the field frames the message or belongs to one connection (Content-
 * Length, Transfer-Encoding, Connection, Host and the like); or the head became larger than --max-head-bytes.
 * Once a module has changed a request's head, or asked to, the client's trailers do not reach the endpoint. */
static inline bool usher_header_set(struct usher_exchange *x, enum usher_side side,
                                    struct usher_text name, struct usher_text value)
{
    return x->host->header_set(x, side, name, value);
}

/* [as usher_header_set] One field more. */
static inline bool usher_header_add(struct usher_exchange *x, enum usher_side side,
                                    struct usher_text name, struct usher_text value)
{
    return x->host->header_add(x, side, name, value);
}

/* [as usher_header_set] All of that name. False: it may not be; that there was none is no error. */
static inline bool usher_header_remove(struct usher_exchange *x, enum usher_side side,
                                       struct usher_text name)
{
    return x->host->header_remove(x, side, name);
}

/* [all] The response's status; 0: there is none yet. */
static inline uint32_t usher_status(struct usher_exchange *x)
{
    return x->host->status(x);
}

/* [R] 200 to 599, but not 204, 205 or 304, nor in place of one of these. */
static inline bool usher_status_set(struct usher_exchange *x, uint32_t status)
{
    return x->host->status_set(x, status);
}

/* [R B D] */
static inline enum usher_source usher_source(struct usher_exchange *x)
{
    return x->host->source(x);
}

/* [R B D] Why the edge answers by itself, as in Usher-Fault: no_endpoint; ptr NULL: no fault. */
static inline struct usher_text usher_fault_name(struct usher_exchange *x)
{
    return x->host->fault_name(x);
}

/* --- where to --- */

/* [Q] Another service, by a handle from a setting of USHER_TYPE_SERVICE. False: it is none of these settings'. */
static inline bool usher_choose_service(struct usher_exchange *x, uint64_t service)
{
    return x->host->choose_service(x, service);
}

/* [all] A handle of the service that the request goes to, for sub-requests; 0: it has no name. */
static inline uint64_t usher_own_service(struct usher_exchange *x)
{
    return x->host->own_service(x);
}

/* [Q U] The path that the endpoint gets. False: it does not begin with '/', or holds what a path may not. */
static inline bool usher_rewrite_path(struct usher_exchange *x, struct usher_text path)
{
    return x->host->rewrite_path(x, path);
}

/* [Q U] The query that the endpoint gets; ptr NULL: none. */
static inline bool usher_rewrite_query(struct usher_exchange *x, struct usher_text query)
{
    return x->host->rewrite_query(x, query);
}

/* [Q U] The Host that the endpoint gets. */
static inline bool usher_rewrite_host(struct usher_exchange *x, struct usher_text host)
{
    return x->host->rewrite_host(x, host);
}

/* --- answers --- */

/* [Q] `return usher_reply(x, 403, usher_text("text/plain"), usher_text("no\n"))`: answers, in the place of an endpoint. Fields
 * are added before that return by usher_header_set(x, USHER_RESPONSE, ...). `type` may be empty. USHER_ANSWERED; USHER_FAULT:
 * no memory, or not a final status. */
static inline enum usher_result usher_reply(struct usher_exchange *x, uint32_t status,
                                            struct usher_text type, struct usher_text body)
{
    return x->host->reply(x, status, type, body);
}

/* [Q] `return usher_redirect(x, 302, url)` */
static inline enum usher_result usher_redirect(struct usher_exchange *x, uint32_t status,
                                               struct usher_text url)
{
    struct usher_text none = { NULL, 0 };
    enum usher_result result = x->host->reply(x, status, none, none);

    if (result == USHER_ANSWERED &&
        !x->host->header_set(x, USHER_RESPONSE, usher_text("Location"), url))
        return USHER_FAULT;
    return result;
}

/* [Q] Answers with so many bytes of an open file, which is closed by the edge in every case; otherwise as usher_reply. Nothing
 * is said of its type. A file that turns out to be shorter cuts the response. */
static inline enum usher_result usher_reply_file(struct usher_exchange *x, uint32_t status, int fd,
                                                 uint64_t from, uint64_t bytes)
{
    return x->host->reply_file(x, status, fd, from, bytes);
}

/* [R] Another body for this response; what the endpoint sends is read and thrown away. Content-Encoding, ETag, Last-Modified,
 * Accept-Ranges and Content-Range go with the old one. */
static inline bool usher_replace_body(struct usher_exchange *x, struct usher_text type,
                                      struct usher_text body)
{
    return x->host->replace_body(x, type, body);
}

/* [Q U R B] `return usher_fault(x, USHER_BECAUSE_STORE)`: USHER_FAULT, for this reason. */
static inline enum usher_result usher_fault(struct usher_exchange *x, enum usher_because because)
{
    return x->host->fault(x, because);
}

/* --- bodies --- */

/* [Q: both; R: the response's] This module's on_body gets the body of that side, from its beginning. The length it will have is
 * not known any more: it is sent in chunks. True when there is none, too: then on_body is called once, with `last`; but false for
 * a response that cannot have one (to HEAD; 204, 304), and where the module has no on_body. */
static inline bool usher_take_body(struct usher_exchange *x, enum usher_side side)
{
    return x->host->take_body(x, side);
}

/* [B] To the next module that took this body, or to the other side. False: no memory; the exchange ends in a fault. */
static inline bool usher_send(struct usher_exchange *x, const char *bytes, size_t len)
{
    return x->host->send(x, bytes, len);
}

/* --- memory, time, words --- */

/* [all] Zeroed, and lives as long as the exchange. NULL: no memory, or more than 1 MiB for this exchange. */
static inline void *usher_alloc(struct usher_exchange *x, size_t bytes)
{
    return x->host->alloc(x, bytes);
}

/* [all] A copy that ends with a NUL (which is not counted); ptr NULL: no memory. */
static inline struct usher_text usher_copy(struct usher_exchange *x, struct usher_text from)
{
    char *to = (char *)x->host->alloc(x, from.len + 1);
    struct usher_text copy = { to, to != NULL ? from.len : 0 };

    for (size_t i = 0; i < copy.len; i++)
        to[i] = from.ptr[i];
    return copy;
}

/* [all] One pointer of this module's in this exchange, NULL at first. */
static inline void **usher_state(struct usher_exchange *x)
{
    return x->host->state(x);
}

/* [all] On a clock that only goes on, as the event loop has read it last. */
static inline uint64_t usher_now_ms(struct usher_exchange *x)
{
    return x->host->now_ms(x);
}

/* [all] Since 1970, as the system's clock says. */
static inline uint64_t usher_clock_ms(struct usher_exchange *x)
{
    return x->host->clock_ms(x);
}

/* [all] Not for secrets. */
static inline uint64_t usher_random(struct usher_exchange *x)
{
    return x->host->random(x);
}

/* [all] A line in the edge's log, with the module, tenant and request id. Bounded per second: what is more is left out. */
static inline void usher_log(struct usher_exchange *x, enum usher_level level, const char *sentence)
{
    x->host->log(x, level, sentence);
}

/* [all] Adds to metrics[metric]; a gauge may go down, too, a counter does not. */
static inline void usher_count(struct usher_exchange *x, uint32_t metric, int64_t by)
{
    x->host->count(x, metric, by);
}

/* --- what takes time: each starts something, and its hook returns USHER_WAIT; what is still to come when the hook goes on
 * resumes nobody --- */

/* [Q R] How long the exchange may wait from now on; without it, 10,000 ms. Then it ends with 504 module_timeout. */
static inline bool usher_wait_most(struct usher_exchange *x, uint32_t ms)
{
    return x->host->wait_most(x, ms);
}

/* [Q R] False: no memory, or too many at once (16 of each kind). So do the next ones. */
static inline bool usher_timer(struct usher_exchange *x, uint32_t ms, usher_resumed resumed,
                               void *arg)
{
    return x->host->timer(x, ms, resumed, arg);
}

/* [Q R] *answer is filled when `resumed` is called, and must live until then (usher_alloc). False: not such a key. Redis being
 * away is an answer. */
static inline bool usher_ask(struct usher_exchange *x, const struct usher_question *question,
                             struct usher_answer *answer, usher_resumed resumed, void *arg)
{
    return x->host->ask(x, question, answer, resumed, arg);
}

/* [Q R; with forget also U B] *response is filled when `resumed` is called, and must live until then (usher_alloc). With
 * request->forget both may be NULL, and nothing is waited for. False: not a service of this module's settings, nor the exchange's
 * own; or a request that makes no sense (a body of more than 1 MiB, too); or too many at once (16 of one exchange; of forgotten
 * ones 256, or 32 MiB of their bodies, of one worker). A service that is gone or away is a response. */
static inline bool usher_subrequest(struct usher_exchange *x, const struct usher_request *request,
                                    struct usher_response *response, usher_resumed resumed,
                                    void *arg)
{
    return x->host->subrequest(x, request, response, resumed, arg);
}

/* [Q R] Runs `work` on another thread with a copy of arg's bytes, which `resumed` then gets as its arg, as `work` left it. It
 * must point to nothing that lives as long as the exchange or what is compiled, which may end first: `work` may then run, or
 * may not. */
static inline bool usher_job(struct usher_exchange *x, void (*work)(void *arg), const void *arg,
                             size_t bytes, usher_resumed resumed)
{
    return x->host->job(x, work, arg, bytes, resumed);
}

/* --- arithmetic: all hooks, compile and jobs, by the host of either --- */

/* The digest's length; 0: no such kind. */
static inline size_t usher_digest(const struct usher_host *host, enum usher_digest kind,
                                  struct usher_text bytes, uint8_t to[64])
{
    return host->digest(kind, bytes, to);
}

/* False: not that key's signature of these bytes, or not a key of that kind, or a kind that this edge's library does not have. */
static inline bool usher_verify(const struct usher_host *host, enum usher_signature kind,
                                struct usher_text key, struct usher_text bytes,
                                struct usher_text signature)
{
    return host->verify(kind, key, bytes, signature);
}

/* In a time that does not depend on where they differ. */
static inline bool usher_equal(const struct usher_host *host, struct usher_text a,
                               struct usher_text b)
{
    return host->equal(a, b);
}

/* Base64 (RFC 4648): in the standard alphabet with its padding, or with `url` in that of URLs without padding, as JOSE has it.
 * How many bytes came to `to`; SIZE_MAX: these are not the letters that those bytes are written with, or they are more than
 * `room`. */
static inline size_t usher_decode_base64(const struct usher_host *host, struct usher_text text,
                                         bool url, void *to, size_t room)
{
    return host->decode_base64(text, url, to, room);
}

#endif
