/* forwarded.c -- finds the client behind forwarders, from the right: each has added whom it saw.
 *
 * Owns:    nothing.
 * Thread:  any.
 * Used by: proxy/client_address.c; control/explain_sent.c.
 * Not here: who is trusted (settings); what is sent on (serializer.c). */
#include "http/forwarded.h"

#include "http/target.h"

/* The elements of a field's lines, the last one first. A comma in a quoted string parts as well: no
 * address has one, and half of something is no address. */
struct elements {
    const struct head *h;
    enum field_id id;
    unsigned line; /* lines before this one are left */
    struct str rest;
    bool in_line;
};

static struct elements elements_of(const struct head *h, enum field_id id)
{
    return (struct elements){ .h = h, .id = id, .line = h->known[id] != 0 ? h->count : 0 };
}

static bool next_line(struct elements *e)
{
    while (e->line > 0) {
        const struct field *f = &e->h->fields[--e->line];

        if (f->id == e->id) {
            e->rest = head_value(e->h, f);
            return true;
        }
    }
    return false;
}

static bool previous(struct elements *e, struct str *element)
{
    const char *comma;

    if (!e->in_line && !next_line(e))
        return false;
    comma = e->rest.len > 0 ? memrchr(e->rest.ptr, ',', e->rest.len) : NULL;
    e->in_line = comma != NULL;
    *element = e->rest;
    if (comma != NULL) {
        *element = str_slice(comma + 1, e->rest.len - (size_t)(comma + 1 - e->rest.ptr));
        e->rest.len = (size_t)(comma - e->rest.ptr);
    }
    *element = str_trim(*element);
    return true;
}

/* "192.0.2.1", "192.0.2.1:4711", "2001:db8::1", "[2001:db8::1]", "[2001:db8::1]:4711". A port that
 * is no number (RFC 7239 6.2 lets it be hidden) is none. */
static bool read_node(struct str node, struct address *a)
{
    struct str ip = node, digits = { NULL, 0 };
    const char *colon, *end;
    uint64_t port = 0;

    if (node.len > 0 && node.ptr[0] == '[') {
        end = memchr(node.ptr, ']', node.len);
        if (end == NULL)
            return false;
        ip = str_slice(node.ptr + 1, (size_t)(end - node.ptr) - 1);
        digits = str_slice(end + 1, node.len - ip.len - 2);
        if (digits.len > 0 && *digits.ptr != ':')
            return false;
        if (memchr(ip.ptr, ':', ip.len) == NULL)
            return false;
    } else if (node.len > 0) {
        colon = memchr(node.ptr, ':', node.len);
        if (colon != NULL && memrchr(node.ptr, ':', node.len) == colon) {
            ip.len = (size_t)(colon - node.ptr);
            digits = str_slice(colon, node.len - ip.len);
        }
    }
    if (digits.len > 0 && !str_to_u64(str_slice(digits.ptr + 1, digits.len - 1), 65535, &port))
        port = 0;
    return address_from_ip(ip, (uint16_t)port, a);
}

static struct str unquoted(struct str s)
{
    if (s.len >= 2 && s.ptr[0] == '"' && s.ptr[s.len - 1] == '"')
        return str_slice(s.ptr + 1, s.len - 2);
    return s;
}

/* The value of one parameter of an element of Forwarded; ptr NULL: it has none. */
static struct str parameter(struct str element, struct str wanted)
{
    struct str rest = element, pair;

    while (str_split(&rest, ';', &pair)) {
        struct str name;

        if (memchr(pair.ptr, '=', pair.len) == NULL)
            continue;
        str_split(&pair, '=', &name);
        if (str_equals_nocase(str_trim(name), wanted))
            return unquoted(str_trim(pair));
    }
    return str_slice(NULL, 0);
}

static struct str host_or_none(struct str host)
{
    char normal[TARGET_HOST_MAX + 1];

    return host.ptr != NULL && target_normal_host(host, normal) > 0 ? host : STR("");
}

static bool is_https(struct str scheme)
{
    return scheme.ptr != NULL && str_equals_nocase(scheme, STR("https"));
}

/* The last word on it: that of the forwarder that is nearest. */
static struct str last_of(const struct head *h, enum field_id id)
{
    struct elements e = elements_of(h, id);
    struct str element;

    return previous(&e, &element) ? element : str_slice(NULL, 0);
}

static void read_x_forwarded(const struct head *h, const struct cidr_set *trusted,
                             struct forwarded *f)
{
    struct elements e = elements_of(h, FIELD_X_FORWARDED_FOR);
    struct str element;
    struct address a;

    f->https = is_https(last_of(h, FIELD_X_FORWARDED_PROTO));
    f->host = host_or_none(last_of(h, FIELD_X_FORWARDED_HOST));
    while (cidr_set_holds(trusted, &f->client) && previous(&e, &element) && read_node(element, &a))
        f->client = a;
}

/* Each element tells of one hop: the one that names the client says how it came. */
static void read_elements(const struct head *h, const struct cidr_set *trusted, struct forwarded *f)
{
    struct elements e = elements_of(h, FIELD_FORWARDED);
    struct str element, node;
    struct address a;

    while (cidr_set_holds(trusted, &f->client) && previous(&e, &element)) {
        node = parameter(element, STR("for"));
        if (node.ptr == NULL || !read_node(node, &a))
            return;
        f->client = a;
        f->https = is_https(parameter(element, STR("proto")));
        f->host = host_or_none(parameter(element, STR("host")));
    }
}

void forwarded_read(const struct head *h, const struct cidr_set *trusted, struct forwarded *f)
{
    f->https = false;
    f->host = STR("");
    if (h->known[FIELD_X_FORWARDED_FOR] != 0 || h->known[FIELD_X_FORWARDED_PROTO] != 0 ||
        h->known[FIELD_X_FORWARDED_HOST] != 0)
        read_x_forwarded(h, trusted, f);
    else
        read_elements(h, trusted, f);
}
