/* fields_tenant.c -- the fields of hosts, tenants and defaults (schema/host.def, schema/tenant.def).
 *
 * Owns:    nothing; what it decodes lies in the record's arena.
 * Thread:  control (pure: any would do).
 * Used by: field_types.c, by its tables.
 * Not here: fields of services and endpoints (fields_service.c). */
#include "routing/field_parsers.h"

#include "routing/key_names.h"

#define RETRY_AFTER_MOST_S (24u * 60 * 60)

bool parse_host_tenant(struct str text, struct record_fields *fields, const char **expected)
{
    (void)expected;
    if (!name_is_right(text))
        return false;
    fields->has_tenant = true;
    fields->tenant = field_name(fields, FAMILY_tenant, "tenant", text);
    return true;
}

bool parse_tenant_to(struct str text, struct record_fields *fields, const char **expected)
{
    return field_parse_target(text, fields, &fields->to, expected);
}

bool parse_tenant_status(struct str text, struct record_fields *fields, const char **expected)
{
    static const char *const words[] = { "active", "maintenance", "suspended" };

    (void)expected;
    fields->status = (enum tenant_status)field_word(text, 3, words);
    return fields->status != STATUS_UNSET;
}

bool parse_tenant_retry_after(struct str text, struct record_fields *fields, const char **expected)
{
    (void)expected;
    return field_number(text, 1, RETRY_AFTER_MOST_S, &fields->retry_after_s);
}

bool parse_tenant_page(struct str text, struct record_fields *fields, const char **expected)
{
    (void)expected;
    fields->page = arena_copy(&fields->arena, text);
    return true; /* its length was looked at with that of every value */
}

bool parse_tenant_https(struct str text, struct record_fields *fields, const char **expected)
{
    static const char *const words[] = { "off", "redirect" };

    (void)expected;
    fields->https = (enum tenant_https)field_word(text, 2, words);
    return fields->https != HTTPS_UNSET;
}

bool parse_tenant_path(struct str text, struct record_fields *fields, const char **expected)
{
    static const char *const words[] = { "normal", "raw" };

    (void)expected;
    fields->path = (enum tenant_path)field_word(text, 2, words);
    return fields->path != PATH_UNSET;
}

bool parse_tenant_timeout(struct str text, struct record_fields *fields, const char **expected)
{
    (void)expected;
    fields->timeout_ms = field_parse_ms(text);
    return fields->timeout_ms > 0;
}

bool parse_tenant_share(struct str text, struct record_fields *fields, const char **expected)
{
    (void)expected;
    return field_number(text, 1, WEIGHT_MAX, &fields->share);
}

bool parse_tenant_stream_timeout(struct str text, struct record_fields *fields,
                                 const char **expected)
{
    (void)expected;
    fields->stream_timeout_ms = field_parse_ms(text);
    return fields->stream_timeout_ms > 0;
}

bool parse_tenant_tunnel_timeout(struct str text, struct record_fields *fields,
                                 const char **expected)
{
    (void)expected;
    fields->tunnel_timeout_ms = field_parse_ms(text);
    return fields->tunnel_timeout_ms > 0;
}

bool parse_tenant_retries(struct str text, struct record_fields *fields, const char **expected)
{
    (void)expected;
    fields->retries = (uint8_t)field_number_and_one(text, RETRIES_MOST);
    return fields->retries > 0;
}

/* Compiled when all fields are known: it may need the tenant (record.c). */
bool parse_tenant_modules(struct str text, struct record_fields *fields, const char **expected)
{
    (void)expected;
    fields->modules_said = arena_copy(&fields->arena, text);
    return true;
}
