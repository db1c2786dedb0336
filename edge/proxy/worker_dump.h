/* worker_dump.h -- what a worker shows of itself at /dump/. */
#ifndef PROXY_WORKER_DUMP_H
#define PROXY_WORKER_DUMP_H

struct worker;
struct dump_mail;

void worker_dump(struct worker *w, struct dump_mail *mail); /* fills mail->json */

#endif
