/* rule_values.c -- reads what stands behind the words of a rule.
 *
 * Owns:    nothing; what it keeps lies in the record's arena.
 * Thread:  control (pure: any would do).
 * Used by: rule.c.
 * Not here: which words there are (rule.c); how conditions are met (match.c). */
#include "routing/rule_values.h"

#include "base/check.h"
#include "base/path.h"
#include "routing/regex.h"

static bool is_control(char c)
{
    return (unsigned char)c < 0x20 || c == 0x7f;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* --- paths --- */

/* The form that requests are matched in; false: there is no such path. */
static bool normal_form(struct arena *arena, struct str text, struct str *path,
                        const char **expected)
{
    char *to;
    bool same;
    size_t len;

    if (text.len == 0 || text.ptr[0] != '/')
        return false;
    *expected = "a path without ? or #: those are no part of it";
    if (memchr(text.ptr, '?', text.len) != NULL || memchr(text.ptr, '#', text.len) != NULL)
        return false;
    *expected = "* nowhere but as the whole last segment of a condition";
    if (memchr(text.ptr, '*', text.len) != NULL)
        return false;
    to = arena_alloc(arena, 3 * text.len + 1);
    len = path_normal(text, to, &same);
    *expected = "two hex digits behind each %, and no control octets";
    if (len == 0)
        return false;
    *path = str_slice(to, route_path_form(to, len));
    return true;
}

static struct str without_last_slash(struct str path)
{
    if (path.len > 0 && path.ptr[path.len - 1] == '/')
        path.len--;
    return path;
}

static uint32_t segments_of(struct str path)
{
    uint32_t count = 0;

    for (size_t i = 0; i < path.len; i++)
        count += path.ptr[i] == '/';
    return count;
}

static bool pattern_is_right(struct record_fields *fields, struct str pattern,
                             const char **expected)
{
    char *why = arena_alloc(&fields->arena, 256);

    *expected = "at most 100 regexes in all rules of a tenant";
    if (fields->regex_count++ >= RULES_REGEX_MAX)
        return false;
    *expected = why;
    return regex_is_right(pattern, why, 256);
}

bool rule_path_condition(struct record_fields *fields, struct str text, struct rule *rule,
                         const char **expected)
{
    if (text.len > 0 && text.ptr[0] == '~') {
        rule->path_kind = ROUTE_REGEX_PATH;
        rule->path = arena_copy(&fields->arena, str_slice(text.ptr + 1, text.len - 1));
        return pattern_is_right(fields, rule->path, expected);
    }
    if (text.len < 2 || memcmp(text.ptr + text.len - 2, "/*", 2) != 0) {
        rule->path_kind = ROUTE_EXACT_PATH;
        return normal_form(&fields->arena, text, &rule->path, expected);
    }
    if (!normal_form(&fields->arena, str_slice(text.ptr, text.len - 1), &rule->path, expected))
        return false;
    rule->path = without_last_slash(rule->path);
    rule->path_kind = rule->path.len > 0 ? ROUTE_PREFIX_PATH : ROUTE_ANY_PATH;
    *expected = "at most 64 segments before the *";
    return segments_of(rule->path) <= RULE_SEGMENTS_MAX;
}

bool rule_path(struct arena *arena, struct str text, struct str *path, const char **expected)
{
    if (!normal_form(arena, text, path, expected))
        return false;
    *path = without_last_slash(*path);
    *expected = "more than the root";
    return path->len > 0;
}

/* --- headers and lists --- */

bool rule_header_name_is_right(struct str name, const char **expected)
{
    *expected = "a header's name: letters, digits and - alone, or others that RFC 9110 allows";
    if (name.len == 0 || name.len > 256)
        return false;
    for (size_t i = 0; i < name.len; i++)
        if (!is_letter(name.ptr[i]) && !is_digit(name.ptr[i]) &&
            memchr("!#$%&'*+-.^_`|~", name.ptr[i], 15) == NULL)
            return false;
    return true;
}

bool rule_header_is_free(struct str name, const char **expected)
{
    static const char *const taken[] = {
        "host",
        "connection",
        "content-length",
        "transfer-encoding",
        "te",
        "trailer",
        "upgrade",
        "keep-alive",
        "expect",
        "proxy-connection",
        "proxy-authenticate",
        "proxy-authorization",
        "forwarded",
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-forwarded-host",
        "via",
        "cdn-loop",
        "http2-settings",
        "usher",
    };

    if (!rule_header_name_is_right(name, expected))
        return false;
    *expected = "a header that neither frames the message, nor is this hop's or the edge's own "
                "(for Host there is the word host)";
    for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
        if (str_equals_nocase(name, str_from(taken[i])))
            return false;
    return true;
}

bool rule_header_value_is_right(struct str value)
{
    for (size_t i = 0; i < value.len; i++)
        if (is_control(value.ptr[i]) && value.ptr[i] != '\t')
            return false;
    return true;
}

bool rule_methods_are_right(struct str text)
{
    struct str method;

    if (text.len == 0)
        return false;
    while (str_split(&text, ',', &method)) {
        if (method.len == 0)
            return false;
        for (size_t i = 0; i < method.len; i++)
            if ((method.ptr[i] < 'A' || method.ptr[i] > 'Z') && method.ptr[i] != '-')
                return false;
    }
    return true;
}

bool rule_named(struct record_fields *fields, struct str text, struct condition *c,
                const char **expected)
{
    bool header = c->kind == CONDITION_HEADER;
    size_t at = 0;

    while (at < text.len && text.ptr[at] != '=' && (!header || text.ptr[at] != '~'))
        at++;
    c->test = at == text.len ? TEST_PRESENT : text.ptr[at] == '=' ? TEST_EQUALS : TEST_REGEX;
    c->name = arena_copy(&fields->arena, str_slice(text.ptr, at));
    if (c->test != TEST_PRESENT)
        c->value = arena_copy(&fields->arena, str_slice(text.ptr + at + 1, text.len - at - 1));
    if (!header)
        return at > 0;
    if (!rule_header_name_is_right(c->name, expected))
        return false;
    if (c->test == TEST_REGEX)
        return pattern_is_right(fields, c->value, expected);
    c->value = str_trim(c->value);
    return true;
}

bool rule_ranges(struct arena *arena, struct str text, struct condition *c, const char **expected)
{
    struct cidr *ranges = NULL;
    uint32_t room = 0;
    struct str part;

    if (text.len == 0)
        return false;
    c->value = arena_copy(arena, text);
    while (str_split(&text, ',', &part)) {
        ranges = arena_grown(arena, ranges, c->range_count, &room, sizeof(*ranges));
        if (!cidr_parse(part, &ranges[c->range_count], expected))
            return false;
        c->range_count++;
    }
    c->ranges = ranges;
    return true;
}

/* --- hosts, URLs, numbers --- */

bool rule_host_is_right(struct str host)
{
    const char *colon;
    size_t from = 0;
    uint64_t port;

    if (host.len == 0 || host.len > 260)
        return false;
    if (host.ptr[0] == '[') {
        const char *end = memchr(host.ptr, ']', host.len);
        struct cidr ip;
        const char *expected;

        if (end == NULL)
            return false;
        from = (size_t)(end - host.ptr) + 1;
        if (memchr(host.ptr, '/', from) != NULL || memchr(host.ptr, ':', from) == NULL ||
            !cidr_parse(str_slice(host.ptr + 1, from - 2), &ip, &expected))
            return false;
        if (from == host.len)
            return true;
        if (host.ptr[from] != ':')
            return false;
    }
    colon = memchr(host.ptr + from, ':', host.len - from);
    for (size_t i = from; i < (colon ? (size_t)(colon - host.ptr) : host.len); i++)
        if (!is_letter(host.ptr[i]) && !is_digit(host.ptr[i]) &&
            memchr(".-_", host.ptr[i], 3) == NULL)
            return false;
    if (colon == NULL)
        return true;
    from = (size_t)(colon - host.ptr) + 1;
    return from > 1 && str_to_u64(str_slice(host.ptr + from, host.len - from), 65535, &port) &&
           port > 0;
}

/* $host, $path, $query and $uri, and no other $. */
static bool placeholders_are_right(struct str url)
{
    static const char *const names[] = { "host", "path", "query", "uri" };

    for (size_t i = 0; i < url.len; i++) {
        size_t end = i + 1;
        bool known = false;

        if (url.ptr[i] != '$')
            continue;
        while (end < url.len && is_letter(url.ptr[end]))
            end++;
        for (unsigned n = 0; n < 4; n++)
            known |= str_equals(str_slice(url.ptr + i + 1, end - i - 1), str_from(names[n]));
        if (!known)
            return false;
    }
    return true;
}

/* The length of the host in front, with its port: a name, a literal or $host. */
static size_t host_length(struct str url)
{
    size_t at = 0;

    if (str_starts_with(url, STR("$host")))
        at = 5;
    while (at < url.len && (is_letter(url.ptr[at]) || is_digit(url.ptr[at]) ||
                            memchr(".-_:[]", url.ptr[at], 6) != NULL))
        at++;
    return at;
}

/* Nothing that the client chooses may say which host it is. */
static bool leads_where_written(struct str url, const char **expected)
{
    size_t front = str_starts_with(url, STR("https://")) ? 8 : 7;
    struct str rest;
    size_t host;

    if (url.ptr[0] == '/') {
        *expected = "neither /, \\ nor $ behind the first /: it would lead to any host";
        return url.len == 1 || memchr("/\\$", url.ptr[1], 3) == NULL;
    }
    rest = str_slice(url.ptr + front, url.len - front);
    host = host_length(rest);
    *expected = "a host, then nothing or one of / ? # $path $uri";
    rest = str_slice(rest.ptr + host, rest.len - host);
    return host > 0 && (rest.len == 0 || memchr("/?#", rest.ptr[0], 3) != NULL ||
                        str_starts_with(rest, STR("$path")) || str_starts_with(rest, STR("$uri")));
}

bool rule_url_is_right(struct str url, const char **expected)
{
    if (!str_starts_with(url, STR("https://")) && !str_starts_with(url, STR("http://")) &&
        !str_starts_with(url, STR("/")))
        return false;
    *expected = "a URL of visible ASCII characters, others as %XX";
    for (size_t i = 0; i < url.len; i++)
        if ((unsigned char)url.ptr[i] <= 0x20 || (unsigned char)url.ptr[i] >= 0x7f)
            return false;
    *expected = "no other $ than $host, $path, $query and $uri ($ itself is %24)";
    return placeholders_are_right(url) && leads_where_written(url, expected);
}

bool rule_number(struct str text, int32_t least, int32_t most, int32_t *number)
{
    bool minus = text.len > 0 && text.ptr[0] == '-';
    uint64_t value;

    if (minus)
        text = str_slice(text.ptr + 1, text.len - 1);
    if (!str_to_u64(text, 1000000, &value))
        return false;
    *number = minus ? -(int32_t)value : (int32_t)value;
    return *number >= least && *number <= most;
}
