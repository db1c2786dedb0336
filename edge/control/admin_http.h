/* admin_http.h -- a small HTTP server on control's loop: GET, HEAD and POST, one request a connection.
 *
 * A POST's body is read and means nothing: what it does is in its path and query. */
#ifndef CONTROL_ADMIN_HTTP_H
#define CONTROL_ADMIN_HTTP_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/str.h"

struct loop;
struct admin_http;
struct admin_exchange;

/* Must lead to exactly one admin_http_answer for `x`, at once or later. `path` and `query` are as
 * sent and valid during the call only; query.ptr is NULL when there is none. */
typedef void (*admin_http_fn)(void *owner, struct admin_exchange *x, struct str path,
                              struct str query);

/* Takes `fd`, a listening socket. */
struct admin_http *admin_http_open(struct loop *l, int fd, admin_http_fn fn, void *owner);
bool admin_http_is_post(const struct admin_exchange *x);
/* Takes what is in `body` and leaves it empty. The client may be gone: harmless. */
void admin_http_answer(struct admin_exchange *x, unsigned status, const char *type,
                       struct buf *body);
/* Accepts nothing more; what was asked is answered. */
void admin_http_deafen(struct admin_http *a);
/* Closes all; every exchange must have been answered. Run the loop on, then admin_http_free. */
void admin_http_close(struct admin_http *a);
void admin_http_free(struct admin_http *a);

#endif
