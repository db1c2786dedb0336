/* endpoint.c -- endpoints, to and from text.
 *
 * Owns:    nothing; what it decodes lies in its callers' arena.
 * Thread:  any (pure).
 * Used by: field_types.c, record.c, endpoint_state.c, whoever shows endpoints.
 * Not here: options by name (fields_endpoint.c); where no endpoint may be (net/guard.c). */
#include "routing/endpoint.h"

#include <arpa/inet.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/path.h"

struct endpoint_options *endpoint_options(struct arena *arena, struct endpoint *e)
{
    if (e->options == NULL)
        e->options = arena_alloc(arena, sizeof(*e->options));
    return (struct endpoint_options *)(uintptr_t)e->options; /* it is this record's, still */
}

static bool is_plain_path(struct str path)
{
    for (size_t i = 0; i < path.len; i++)
        if ((unsigned char)path.ptr[i] <= ' ' || path.ptr[i] == 0x7f)
            return false;
    return path_is_plain(str_slice(path.ptr + 1, path.len - 1));
}

static bool parse_unix(struct arena *arena, struct str path, struct endpoint *e,
                       const char **expected)
{
    *expected = "unix: and an absolute path of at most 107 bytes without . .. or spaces, such as "
                "unix:/run/app.sock";
    if (path.len < 2 || path.len >= UNIX_PATH_SIZE || path.ptr[0] != '/' || !is_plain_path(path))
        return false;
    e->address = (struct address){ .any = { .sa_family = AF_UNIX } };
    endpoint_options(arena, e)->unix_path = arena_copy(arena, path);
    return true;
}

/* Lower case, labels of letters, digits, '-' and '_'; the last is no number, or "10.0.0.300" were one. */
static bool is_host_name(struct str name)
{
    struct str label;
    bool numeric = true;

    if (name.len == 0 || name.len > ENDPOINT_HOST_MAX)
        return false;
    while (str_split(&name, '.', &label)) {
        numeric = true;
        if (label.len == 0 || label.len > 63 || label.ptr[0] == '-')
            return false;
        for (size_t i = 0; i < label.len; i++) {
            char c = label.ptr[i];
            bool digit = c >= '0' && c <= '9';

            if (!digit && !(c >= 'a' && c <= 'z') && c != '-' && c != '_')
                return false;
            numeric &= digit;
        }
    }
    return !numeric;
}

static bool parse_name(struct arena *arena, struct str text, struct endpoint *e,
                       const char **expected)
{
    const char *colon = memchr(text.ptr, ':', text.len);
    struct str name, digits;
    uint64_t port;

    if (colon == NULL)
        return false;
    name = str_slice(text.ptr, (size_t)(colon - text.ptr));
    digits = str_slice(colon + 1, text.len - name.len - 1);
    if (!is_host_name(name))
        return false;
    if (!str_to_u64(digits, UINT32_MAX, &port))
        return false;
    *expected = "a port from 1 to 65535";
    if (port == 0 || port > 65535)
        return false;
    e->address = (struct address){ .any = { .sa_family = AF_UNSPEC } };
    e->address.v4.sin_port = htons((uint16_t)port);
    endpoint_options(arena, e)->name = arena_copy(arena, name);
    return true;
}

static bool parse_place(struct arena *arena, struct str text, struct endpoint *e,
                        const char **expected)
{
    bool has_ip =
        text.len > 0 && (text.ptr[0] == '[' || (text.ptr[0] >= '0' && text.ptr[0] <= '9'));

    if (str_starts_with(text, STR("unix:")))
        return parse_unix(arena, str_slice(text.ptr + 5, text.len - 5), e, expected);
    if (has_ip && address_parse(text, 1, &e->address, expected))
        return true;
    if (has_ip && strstr(*expected, "a port") == *expected)
        return false;
    *expected = ENDPOINT_EXPECTED;
    return parse_name(arena, text, e, expected);
}

bool endpoint_parse(struct arena *arena, struct str text, struct endpoint *e, const char **expected)
{
    bool fastcgi = str_starts_with(text, STR("fcgi://"));

    e->options = NULL;
    if (fastcgi)
        text = str_slice(text.ptr + 7, text.len - 7);
    *expected = ENDPOINT_EXPECTED;
    if (text.len == 0 || !parse_place(arena, text, e, expected))
        return false;
    if (fastcgi) {
        struct endpoint_options *options = endpoint_options(arena, e);

        options->protocol = PROTOCOL_FASTCGI;
        options->index = STR("index.php");
    }
    return true;
}

static enum endpoint_protocol protocol_of(const struct endpoint *e)
{
    return e->options != NULL ? e->options->protocol : PROTOCOL_HTTP;
}

bool endpoint_fits(const struct endpoint *e, const char **expected)
{
    const struct endpoint_options *o = e->options;

    if (o == NULL)
        return true;
    if (o->protocol == PROTOCOL_FASTCGI) {
        *expected = "root=/FOLDER behind it, where its scripts lie";
        return o->root.ptr != NULL;
    }
    *expected = "fcgi:// before an endpoint with root, index, path_info or keep";
    return o->root.ptr == NULL && o->index.ptr == NULL && !o->path_info && !o->keep;
}

static bool is_same_text(struct str a, struct str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

bool endpoint_is_same(const struct endpoint *a, const struct endpoint *b)
{
    const struct endpoint_options none = { 0 };
    const struct endpoint_options *x = a->options ? a->options : &none;
    const struct endpoint_options *y = b->options ? b->options : &none;

    return str_equals(address_bytes(&a->address), address_bytes(&b->address)) &&
           protocol_of(a) == protocol_of(b) && is_same_text(x->unix_path, y->unix_path) &&
           is_same_text(x->name, y->name);
}

char *endpoint_text(const struct endpoint *e, char to[ENDPOINT_TEXT_SIZE])
{
    const char *scheme = protocol_of(e) == PROTOCOL_FASTCGI ? "fcgi://" : "";
    char address[ADDRESS_TEXT_SIZE];

    if (e->address.any.sa_family == AF_UNIX)
        snprintf(to, ENDPOINT_TEXT_SIZE, "%sunix:" STR_FMT, scheme, STR_ARG(e->options->unix_path));
    else if (endpoint_is_named(e))
        snprintf(to, ENDPOINT_TEXT_SIZE, "%s" STR_FMT ":%u", scheme, STR_ARG(e->options->name),
                 ntohs(e->address.v4.sin_port));
    else
        snprintf(to, ENDPOINT_TEXT_SIZE, "%s%s", scheme, address_text(&e->address, address));
    return to;
}

void endpoint_say(const struct endpoint *e, struct buf *to)
{
    const struct endpoint_options *o = e->options;
    char text[ENDPOINT_TEXT_SIZE];

    buf_add_text(to, endpoint_text(e, text));
    if (o == NULL || o->protocol != PROTOCOL_FASTCGI)
        return;
    buf_printf(to, " root=" STR_FMT, STR_ARG(o->root));
    if (!str_equals(o->index, STR("index.php")))
        buf_printf(to, " index=" STR_FMT, STR_ARG(o->index));
    if (o->path_info)
        buf_add_text(to, " path_info");
    if (o->keep)
        buf_add_text(to, " keep");
}
