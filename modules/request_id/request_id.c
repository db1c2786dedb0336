/* request_id.c -- gives each request an id, in a header that the endpoint and the client see.
 *
 *     redis-cli HSET usher:tenant:acme modules 'request_id(trust)'
 */
#include "usher_module.h"

enum { HEADER, TRUST, RESPONSE, ROWS };

#define ID_MOST 128 /* bytes of an id that is taken from the client */

static const struct usher_setting settings[ROWS] = {
    [HEADER] = { .name = "header",
                 .type = USHER_TYPE_TEXT,
                 .standard = "X-Request-Id",
                 .least = 1,
                 .most = 64,
                 .meaning = "the header's name" },
    [TRUST] = { .name = "trust",
                .type = USHER_TYPE_SWITCH,
                .standard = "off",
                .meaning = "the client's own id is kept, when it is well-formed" },
    [RESPONSE] = { .name = "response",
                   .type = USHER_TYPE_SWITCH,
                   .standard = "on",
                   .meaning = "the client gets the header, too" },
};

struct request_id {
    struct usher_text header;
    bool trust, response;
};

/* RFC 9110 5.6.2: a token. */
static bool is_token(struct usher_text text)
{
    static const char others[] = "!#$%&'*+-.^_`|~";

    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');

        for (const char *other = others; *other != '\0' && !good; other++)
            good = c == *other;
        if (!good)
            return false;
    }
    return text.len > 0;
}

static bool compile(struct usher_compile *c, const struct usher_given *given, void **compiled)
{
    struct request_id *r = usher_keep(c, sizeof(*r));

    r->header = given[HEADER].values[0].text;
    r->trust = given[TRUST].values[0].number;
    r->response = given[RESPONSE].values[0].number;
    *compiled = r;
    return is_token(r->header) || usher_refuse(c, HEADER, 0, "a header's name");
}

/* Letters, digits and a few more: nothing that means something in a log or a page. */
static bool is_well_formed(struct usher_text id)
{
    for (size_t i = 0; i < id.len; i++) {
        char c = id.ptr[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '-' || c == '_' || c == '.' || c == ':' || c == '=' || c == '+' || c == '/'))
            return false;
    }
    return id.len > 0 && id.len <= ID_MOST;
}

static enum usher_result on_request(struct usher_exchange *x, const void *compiled)
{
    const struct request_id *r = compiled;
    struct usher_text theirs = usher_header(x, USHER_REQUEST, r->header, 0);

    if (r->trust && is_well_formed(theirs) &&
        usher_header(x, USHER_REQUEST, r->header, 1).ptr == NULL)
        return USHER_GO_ON;
    return usher_header_set(x, USHER_REQUEST, r->header, usher_request_id(x)) ? USHER_GO_ON
                                                                              : USHER_FAULT;
}

static enum usher_result on_response(struct usher_exchange *x, const void *compiled)
{
    const struct request_id *r = compiled;
    struct usher_text id = usher_header(x, USHER_REQUEST, r->header, 0);

    if (!r->response)
        return USHER_GO_ON;
    if (id.ptr == NULL) /* an answer without this module's turn before it */
        id = usher_request_id(x);
    return usher_header_set(x, USHER_RESPONSE, r->header, id) ? USHER_GO_ON : USHER_FAULT;
}

USHER_MODULE(request_id) = {
    USHER_MODULE_ABI,
    .name = "request_id",
    .version = "1.0",
    .summary = "gives each request an id, in a header that the endpoint and the client see",
    USHER_SETTINGS(settings),
    .compile = compile,
    .on_request = on_request,
    .on_response = on_response,
};
