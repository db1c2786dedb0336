/* framing.c -- where a message's body ends, and what its connection may do afterwards.
 *
 * Owns:    nothing.
 * Thread:  any.
 * Used by: proxy/session.c, upstream_http1.c, upstream_fastcgi.c; control/ (admin_http.c, health_check.c).
 * Not here: reading the body (parser.c); Host and target (target.c). */
#include "http/framing.h"

#include "http/parser.h"

static void read_connection(struct head *h)
{
    if (h->known[FIELD_CONNECTION] == 0)
        return;
    for (unsigned i = 0; i < h->count; i++) {
        struct str rest, token;

        if (h->fields[i].id != FIELD_CONNECTION)
            continue;
        rest = head_value(h, &h->fields[i]);
        while (str_split(&rest, ',', &token)) {
            token = str_trim(token);
            if (str_equals_nocase(token, STR("close")))
                h->connection_close = true;
            else if (str_equals_nocase(token, STR("keep-alive")))
                h->connection_keep_alive = true;
            else if (str_equals_nocase(token, STR("upgrade")))
                h->connection_upgrade = true;
            else if (token.len > 0)
                h->connection_names_fields = true;
        }
    }
    h->keep_alive = !h->connection_close && (h->minor == 1 || h->connection_keep_alive);
}

/* One Transfer-Encoding, and that is chunked: no other coding is known here. */
static bool is_chunked(const struct head *h)
{
    return h->coding_count == 1 &&
           str_equals_nocase(head_known(h, FIELD_TRANSFER_ENCODING), STR("chunked"));
}

static enum fault request_body(struct head *h)
{
    uint64_t length;

    if (h->coding_count > 0) {
        /* Both, or a coding in HTTP/1.0: how requests are smuggled (RFC 9112 6.1, 11.2). */
        if (h->length_count > 0 || h->minor == 0)
            return FAULT_bad_request;
        if (!is_chunked(h))
            return FAULT_not_implemented;
        h->body = BODY_CHUNKED;
    } else if (h->length_count > 0) {
        if (h->length_count > 1 ||
            !str_to_u64(head_known(h, FIELD_CONTENT_LENGTH), INT64_MAX, &length))
            return FAULT_bad_request;
        h->body = length > 0 ? BODY_LENGTH : BODY_NONE;
        h->body_bytes = length;
    }
    return FAULT_NONE;
}

enum fault framing_request(struct head *h)
{
    enum fault fault = request_body(h);

    if (fault != FAULT_NONE)
        return fault;
    h->keep_alive = h->minor == 1;
    read_connection(h);
    if (h->known[FIELD_EXPECT] != 0 && h->minor == 1) {
        if (!str_equals_nocase(head_known(h, FIELD_EXPECT), STR("100-continue")))
            return FAULT_expectation_failed;
        h->expect_continue = h->body != BODY_NONE;
    }
    h->te_trailers = h->minor == 1 && head_lists(h, FIELD_TE, STR("trailers"));
    h->upgrade = h->minor == 1 && h->connection_upgrade && h->method == HTTP_GET &&
                 h->body == BODY_NONE && head_lists(h, FIELD_UPGRADE, STR("websocket"));
    return FAULT_NONE;
}

enum fault framing_response(struct head *h, bool to_head, bool upgrade_asked)
{
    uint64_t length = 0;

    h->keep_alive = h->minor == 1;
    read_connection(h);
    if (h->length_count > 1 || (h->length_count > 0 && h->coding_count > 0) ||
        (h->coding_count > 0 && (h->minor == 0 || !is_chunked(h))))
        return FAULT_bad_response;
    if (h->length_count > 0 && !str_to_u64(head_known(h, FIELD_CONTENT_LENGTH), INT64_MAX, &length))
        return FAULT_bad_response;
    if (h->status < 100 || h->status > 599)
        return FAULT_bad_response;
    if (h->status == 101) {
        h->upgrade = upgrade_asked && h->connection_upgrade &&
                     head_lists(h, FIELD_UPGRADE, STR("websocket"));
        return h->upgrade ? FAULT_NONE : FAULT_bad_response;
    }
    h->body_bytes = length;
    if (to_head || framing_ends_with_head(h->status))
        h->body = BODY_NONE;
    else if (h->coding_count > 0)
        h->body = BODY_CHUNKED;
    else if (h->length_count > 0)
        h->body = length > 0 ? BODY_LENGTH : BODY_NONE;
    else
        h->body = BODY_UNTIL_CLOSE;
    if (h->body == BODY_UNTIL_CLOSE)
        h->keep_alive = false;
    return FAULT_NONE;
}
