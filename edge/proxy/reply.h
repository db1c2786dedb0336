/* reply.h -- responses that this edge makes itself. */
#ifndef PROXY_REPLY_H
#define PROXY_REPLY_H

#include "base/fault.h"

struct exchange;
struct worker;

/* Answers with x->fault's status, its name in Usher-Fault and a sentence as text. */
void reply_fault(struct exchange *x);

/* Answers as x->action says, a redirect or a text; or the fault why it cannot. */
enum fault reply_action(struct exchange *x);

void replies_free(struct worker *w); /* what it kept of faults' answers */

#endif
