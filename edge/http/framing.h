/* framing.h -- what a head says about its message: body, persistence, expectations
 * (RFC 9112 6 and 9, RFC 9110 7.6, 10.1). */
#ifndef HTTP_FRAMING_H
#define HTTP_FRAMING_H

#include "base/fault.h"
#include "http/head.h"

/* Fills in body, keep_alive, upgrade, expect_continue, ... of a request. FAULT_NONE, or what the
 * client did wrong. */
enum fault framing_request(struct head *h);

/* The same for a response to a request with (or without) method HEAD that asked (or not) to
 * upgrade. FAULT_NONE or FAULT_bad_response. */
enum fault framing_response(struct head *h, bool to_head, bool upgrade_asked);

/* A response with this status ends with its head, whatever that says (RFC 9112 6.3). */
static inline bool framing_ends_with_head(unsigned status)
{
    return status < 200 || status == 204 || status == 304;
}

/* It has no content: also 205, which is framed as others are, and empty (RFC 9110 15.3.6). */
static inline bool framing_is_empty(unsigned status)
{
    return framing_ends_with_head(status) || status == 205;
}

#endif
