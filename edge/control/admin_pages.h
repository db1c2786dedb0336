/* admin_pages.h -- what the admin port answers. */
#ifndef CONTROL_ADMIN_PAGES_H
#define CONTROL_ADMIN_PAGES_H

#include "base/str.h"

struct admin_exchange;
struct control;
struct dump_mail;

/* An admin_http_fn; owner is struct control. */
void admin_pages_serve(void *owner, struct admin_exchange *x, struct str path, struct str query);
/* A worker has written its part of a dump. */
void admin_pages_dumped(struct dump_mail *mail);
/* Answers whoever still waits for workers. */
void admin_pages_close(struct control *c);
/* When the workers have ended. */
void admin_pages_free(struct control *c);

#endif
