/* field_names.c -- field names to ids, by length first.
 *
 * Owns:    the constant table.
 * Thread:  any.
 * Used by: parser.c.
 * Not here: what a field's value means (framing.c, serializer.c). */
#include "http/field_names.h"

struct row {
    const char *name;
    enum field_id id;
};

/* The rows of each length, in one place: a switch on the length leaves one to three to compare. */
static enum field_id pick(struct str name, const struct row *rows, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        size_t at = 0;

        /* A token has no octet that |0x20 could turn into '-' or a letter but their own. */
        while (at < name.len && (name.ptr[at] | 0x20) == rows[i].name[at])
            at++;
        if (at == name.len)
            return rows[i].id;
    }
    return FIELD_OTHER;
}

#define ROWS(...)                                                                                  \
    do {                                                                                           \
        static const struct row rows[] = { __VA_ARGS__ };                                          \
        return pick(name, rows, sizeof(rows) / sizeof(rows[0]));                                   \
    } while (0)

static enum field_id known(struct str name)
{
    switch (name.len) {
    case 2:
        ROWS({ "te", FIELD_TE });
    case 3:
        ROWS({ "via", FIELD_VIA });
    case 4:
        ROWS({ "host", FIELD_HOST }, { "date", FIELD_DATE });
    case 6:
        ROWS({ "expect", FIELD_EXPECT });
    case 7:
        ROWS({ "upgrade", FIELD_UPGRADE }, { "trailer", FIELD_TRAILER });
    case 8:
        ROWS({ "cdn-loop", FIELD_CDN_LOOP });
    case 9:
        ROWS({ "forwarded", FIELD_FORWARDED });
    case 10:
        ROWS({ "connection", FIELD_CONNECTION }, { "keep-alive", FIELD_KEEP_ALIVE });
    case 14:
        ROWS({ "content-length", FIELD_CONTENT_LENGTH },
             { "http2-settings", FIELD_HTTP2_SETTINGS });
    case 15:
        ROWS({ "x-forwarded-for", FIELD_X_FORWARDED_FOR });
    case 16:
        ROWS({ "x-forwarded-host", FIELD_X_FORWARDED_HOST },
             { "proxy-connection", FIELD_PROXY_CONNECTION });
    case 17:
        ROWS({ "transfer-encoding", FIELD_TRANSFER_ENCODING },
             { "x-forwarded-proto", FIELD_X_FORWARDED_PROTO });
    case 18:
        ROWS({ "proxy-authenticate", FIELD_PROXY_AUTHENTICATE });
    case 19:
        ROWS({ "proxy-authorization", FIELD_PROXY_AUTHORIZATION });
    default:
        return FIELD_OTHER;
    }
}

enum field_id field_id_of(struct str name)
{
    static const char own[] = "usher-";

    if (name.len >= sizeof(own) - 1 && (name.ptr[0] | 0x20) == 'u') {
        size_t at = 0;

        while (at < sizeof(own) - 1 && (name.ptr[at] | 0x20) == own[at])
            at++;
        if (at == sizeof(own) - 1)
            return FIELD_USHER;
    }
    return known(name);
}
