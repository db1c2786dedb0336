/* serializer.h -- heads as this edge sends them: written anew, field by field, never passed on.
 *
 * Hop-by-hop fields (RFC 9110 7.6.1) and those that Connection names stay behind. */
#ifndef HTTP_SERIALIZER_H
#define HTTP_SERIALIZER_H

#include "base/header_edit.h"
#include "http/head.h"

/* A request to an endpoint. */
struct request_out {
    struct str method, path, query; /* query.ptr NULL: none */
    struct str host;                /* sent as Host */
    struct str authority;           /* as the client sent it: X-Forwarded-Host */
    struct str client_ip, scheme;
    struct str id;  /* ours, for Via and CDN-Loop */
    bool forwarded; /* also Forwarded (RFC 7239) */
    /* Of the client's fields; of several for one name the last holds. None names a field that is
     * ours to say, or that frames the message. */
    const struct header_edit *edits;
    uint32_t edit_count;
    bool reframed; /* not as the head says, but: */
    enum body_kind body;
    uint64_t body_bytes;
};

/* A response to a client over HTTP/1. */
struct response_out {
    unsigned status;
    bool close;                      /* say Connection: close */
    bool keep_alive;                 /* say Connection: keep-alive (to HTTP/1.0) */
    bool chunked;                    /* body in chunks: Transfer-Encoding is ours to say */
    struct str id;                   /* for Via */
    struct str date;                 /* used when the endpoint sent none */
    struct str cookie, cookie_value; /* set beside the endpoint's own; len 0: none */
};

/* The most bytes that a serializer adds to a head's own. */
#define SERIALIZER_ROOM (24 * 1024)

/* Both return the length, or 0 when `room` is too small. `body` of the head decides the framing
 * fields of a request. */
size_t serializer_request(char *to, size_t room, const struct head *h, const struct request_out *o);
size_t serializer_response(char *to, size_t room, const struct head *h,
                           const struct response_out *o);

/* The phrase (RFC 9110 15) of a status this edge may answer with by itself; "" for others: the
 * phrase means nothing to any client (RFC 9112 4). */
struct str serializer_reason(unsigned status);

#endif
