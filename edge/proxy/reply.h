/* reply.h -- responses that this edge makes itself. */
#ifndef PROXY_REPLY_H
#define PROXY_REPLY_H

struct exchange;

/* Answers with x->fault's status, its name in Usher-Fault and a sentence as text. */
void reply_fault(struct exchange *x);

#endif
