/* target.h -- request-target and Host: which host is asked, for which path (RFC 9112 3.2, 3.3). */
#ifndef HTTP_TARGET_H
#define HTTP_TARGET_H

#include "base/fault.h"
#include "http/head.h"

#define TARGET_HOST_MAX 253

struct target {
    struct str authority; /* as sent: goes on as Host; borrows from the head */
    struct str path;      /* as sent, without query; base/path.h has its normal form */
    struct str query;     /* behind the '?'; ptr NULL when there is none */
    uint8_t host_len;
    char host[TARGET_HOST_MAX +
              1]; /* lower case, no port, no trailing dot: as in usher:host: keys */
};

/* FAULT_NONE, bad_request, bad_host or not_implemented (CONNECT). */
enum fault target_read(const struct head *h, struct target *t);

/* Writes `host` (a Host field's value) without port and trailing dot in lower case; 0 when it is
 * neither a name nor an address literal (RFC 9110 4.2). */
size_t target_normal_host(struct str authority, char to[TARGET_HOST_MAX + 1]);

#endif
