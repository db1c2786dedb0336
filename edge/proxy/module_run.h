/* module_run.h -- the modules of one exchange: which there are, whose turn it is, what they keep.
 *
 * Only an exchange with modules has one; the others pay one look at a pointer. The exchange calls
 * modules_*; modules call back through struct usher_host (module_calls.c), and never end anything. */
#ifndef PROXY_MODULE_RUN_H
#define PROXY_MODULE_RUN_H

#include "base/buf.h"
#include "base/fault.h"
#include "http/head_edit.h"
#include "module_host/chain.h"
#include "net/timer.h"

struct ask_mail;
struct exchange;
struct module_file;
struct request_out;
struct worker;

#define MODULE_TURNS_MAX (2 * CHAIN_MODULES_MAX)
#define MODULE_INLINE_BYTES 1024
#define MODULE_BYTES_MAX (1u << 20) /* of usher_alloc, for one exchange */
#define MODULE_PENDING_MAX 16
#define MODULE_WAIT_MS 10000

/* Which hook runs, or waits. */
enum module_hook { HOOK_NONE, HOOK_REQUEST, HOOK_UPSTREAM, HOOK_RESPONSE, HOOK_BODY, HOOK_DONE };

struct module_turn {
    const struct chain_link *link;
    void *state;   /* the module's own, in this exchange */
    bool takes[2]; /* body, by enum usher_side */
    bool always;   /* the response's since on_request, whatever response it will be */
};

/* Something that a module has started; embedded in what is started. */
struct module_pending {
    struct list node; /* of the run; alone: the exchange has ended */
    struct module_run *run;
    uint32_t call; /* of a hook, that started it and may wait for it */
    usher_resumed resumed;
    void *arg;
    /* The exchange ends: frees it. NULL: it comes all the same, and finds that nobody waits. */
    void (*cancel)(struct module_pending *p);
};

struct module_run {
    struct usher_exchange outside; /* first: all that modules see */
    struct list node;              /* among the worker's spare ones */
    struct exchange *x;
    struct module_turn turns[MODULE_TURNS_MAX];
    unsigned count, at; /* whose turn it is */
    enum module_hook hook;
    uint32_t call; /* counts the calls of hooks */
    bool waiting;
    bool resumed; /* `result` is what the hook that waited came to */
    enum usher_result result;
    enum fault fault; /* what USHER_FAULT of the running hook means */
    struct timer deadline;
    struct list pending;
    unsigned pending_count;
    uint32_t wait_ms;

    bool takes[2];        /* some module takes that side's body */
    enum usher_side side; /* of the body that a hook is called for */
    bool direct;          /* what the edge answers itself is sent without them */
    bool faulted;         /* the response is a fault's: another fault is answered without modules */
    bool request_ended;   /* its body, towards modules */
    bool upstream_begun;  /* on_upstream has been called: `fields` is as it was before */
    struct field *fields; /* of the request */
    uint16_t field_count;
    struct head_text request_text, response_text;
    struct str host_sent; /* len 0: as the rule or the client says */
    struct str query_sent;
    bool query_changed;
    bool path_changed;
    bool rules_request; /* some module has changed its head, or would have */
    bool has_response;  /* x->response is one that modules may see */
    enum usher_source source;

    struct str body;          /* of a response that the edge gives itself */
    uint64_t length;          /* as its Content-Length says it, when it does */
    bool replaced;            /* in place of the endpoint's */
    bool discards;            /* the endpoint's body is thrown away: another was sent */
    struct module_file *file; /* in place of `body`; NULL: none */
    bool sending;             /* its head is out */

    struct buf to_client, to_upstream; /* what body hooks have sent, until it is flushed */
    struct buf held, held_trailers;    /* of the endpoint's response, while on_response waits */
    bool holding, held_end;
    enum fault deferred; /* ends the exchange where it may be ended: at the next flush */

    char id[33]; /* of the request; "": not drawn yet */
    size_t bytes, inline_used;
    void *blocks;
    _Alignas(16) char room[MODULE_INLINE_BYTES];
};

enum modules_say { MODULES_GO_ON, MODULES_ANSWERED, MODULES_WAIT, MODULES_FAULT };

/* Once the request is matched, whatever came of it. False: it has none. */
bool modules_attach(struct exchange *x);
void modules_done(
    struct exchange *x); /* at the exchange's end: on_done; what is pending is let go */
void modules_recycle(struct exchange *x); /* later: the memory goes */

void modules_free_spare(struct worker *w);

/* From the first module on, or from the one that waited. MODULES_FAULT: x->modules->fault. */
enum modules_say modules_on_request(struct exchange *x);
enum modules_say modules_on_upstream(struct exchange *x);
enum modules_say modules_on_response(struct exchange *x);

/* What modules have changed of the request that the endpoint gets. */
void modules_shape_request(struct exchange *x, struct request_out *out);

/* --- responses --- */

/* A response of the edge's own: kept, for step ANSWER. */
void modules_keep_reply(struct exchange *x, const struct head *head, struct str body);
void modules_forget_reply(struct module_run *run); /* its module has gone on without it */
/* Will modules see the response to a fault? */
bool modules_take_fault(struct exchange *x);
/* Sends what was kept. MODULES_GO_ON: it is all sent, and the exchange may end; MODULES_WAIT: a file,
 * and call again when exchange_on_modules or the client's side says so; MODULES_FAULT: run->fault. */
enum modules_say modules_send_reply(struct exchange *x);
/* The endpoint's head is here: its modules may look at it. */
void modules_see_response(struct exchange *x);
/* More of it comes later: its head must not stand in what is read. */
void modules_keep_head(struct exchange *x);
/* While it is held back, and was whole: until then, with these trailers. */
void modules_hold_end(struct exchange *x, struct str trailers);
bool modules_is_sending(const struct exchange *x); /* a file, and not at its end */
/* An endpoint's head, and what is sent in place of its body. */
void modules_begin_response(struct exchange *x);
bool modules_has_body(const struct exchange *x); /* may its response have one? */
/* For a response of the edge's own with so many bytes of body. */
void modules_send_own_head(struct exchange *x, uint64_t bytes);
enum modules_say modules_send_file(struct exchange *x); /* as modules_send_reply */
void modules_drop_file(struct module_run *run);

/* --- bodies --- */

void modules_response_body(struct exchange *x, const char *bytes, size_t len);
void modules_response_end(struct exchange *x); /* the last pieces */
void modules_own_body(struct exchange *x,
                      struct str body); /* all of it, in place of the endpoint's */
void modules_request_body(struct exchange *x, const char *bytes, size_t len);
void modules_request_end(struct exchange *x);
/* To the gather of that side, before it is flushed. */
void modules_give_response(struct exchange *x);
void modules_give_request(struct exchange *x);
/* What was given has been flushed. */
void modules_given(struct exchange *x, enum usher_side side);

/* --- what modules wait for --- */

bool modules_may_wait(const struct module_run *run); /* its hook at hand */
/* Counts one in; false: too many. */
bool modules_pend(struct module_run *run, struct module_pending *p, usher_resumed resumed,
                  void *arg);
/* It has come. Takes it out, and resumes the exchange if that is what it waits for. */
void modules_pending_done(struct module_pending *p);

void module_asks_init(struct worker *w);
void module_asks_free(struct worker *w); /* when no worker runs, and before control frees mails */
/* What control has answered: frees the mail. */
void module_ask_answered(struct worker *w, struct ask_mail *mail);
void modules_cut_subrequests(struct worker *w); /* those that nobody waits for, too */
void modules_stop_waiting(struct module_run *run);
void *modules_alloc(struct module_run *run, size_t bytes); /* zeroed; NULL */
extern const struct usher_host modules_host;

#endif
