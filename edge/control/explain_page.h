/* explain_page.h -- /explain: what this edge does with a request, from what it holds. */
#ifndef CONTROL_EXPLAIN_PAGE_H
#define CONTROL_EXPLAIN_PAGE_H

#include "base/buf.h"

struct control;

/* `query`: url=, method=, from=, header= (again and again), as=text|json; percent-encoded. Fills `body`
 * and returns the status: 200; 202 when a record is being asked for, ask again; 400. */
unsigned explain_page(struct control *c, struct str query, struct buf *body, bool *json);

#endif
