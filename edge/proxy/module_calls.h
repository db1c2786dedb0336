/* module_calls.h -- host functions that need a file of their own; see modules/usher_module.h. */
#ifndef PROXY_MODULE_CALLS_H
#define PROXY_MODULE_CALLS_H

#include "proxy/module_run.h"

static inline struct module_run *run_of(struct usher_exchange *outside)
{
    return (struct module_run *)outside;
}

/* module_reply.c */
enum usher_result module_reply(struct usher_exchange *o, uint32_t status, struct usher_text type,
                               struct usher_text body);
bool module_replace_body(struct usher_exchange *o, struct usher_text type, struct usher_text body);
enum usher_result module_fault(struct usher_exchange *o, enum usher_because because);

/* Content-Length of a response that the edge gives itself. */
void modules_say_length(struct module_run *run, uint64_t bytes);
/* module_reply, for a body that is elsewhere. */
enum usher_result modules_begin_file(struct module_run *run, uint32_t status, uint64_t bytes);

/* module_file.c */
enum usher_result module_reply_file(struct usher_exchange *o, uint32_t status, int fd,
                                    uint64_t from, uint64_t bytes);

/* module_body.c */
bool module_take_body(struct usher_exchange *o, enum usher_side side);
bool module_send(struct usher_exchange *o, const char *bytes, size_t len);

/* module_wait.c */
bool module_wait_most(struct usher_exchange *o, uint32_t ms);
bool module_timer(struct usher_exchange *o, uint32_t ms, usher_resumed resumed, void *arg);
bool module_job(struct usher_exchange *o, void (*work)(void *arg), const void *arg, size_t bytes,
                usher_resumed resumed);

/* module_ask.c */
bool module_ask(struct usher_exchange *o, const struct usher_question *question,
                struct usher_answer *answer, usher_resumed resumed, void *arg);

/* module_subrequest.c */
bool module_subrequest(struct usher_exchange *o, const struct usher_request *request,
                       struct usher_response *response, usher_resumed resumed, void *arg);

/* The slot of a handle that the module at hand may use. */
bool module_service_slot(const struct module_run *run, uint64_t handle, uint32_t *slot);
uint64_t module_own_service(const struct module_run *run); /* 0: none */
/* No spaces, control characters or '#': may stand in a target. */
bool module_text_is_visible(struct usher_text t);

#endif
